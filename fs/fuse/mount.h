/*
 * mount.h - getting a FUSE mount and getting rid of it: mount(2) as root, else fusermount3.
 *
 * No function here ever walks into the mount itself: that would wait for ourselves. What is mounted
 * is read from /proc/self/mountinfo; umount(2), which may write back pages and so wait for our own
 * answers, runs in a process of its own while the loop is alive.
 */
#ifndef FS_FUSE_MOUNT_H
#define FS_FUSE_MOUNT_H

#include "base/base.h"
#include "base/err.h"
#include "fs/fs_fuse.h"

#define MOUNT_TYPE "fuse.quorumfs"

struct mount_point {
	char *path;      /* absolute, without symbolic links */
	char device[32]; /* "MAJOR:MINOR" of what we mounted; empty: nothing */
	bool by_helper;  /* fusermount3 mounted it and must unmount it */
};

/* 0 with *fd open on /dev/fuse and *mp filled, or a negative errno with err in four parts. */
int mount_attach(const struct fs_fuse_options *options, struct mount_point *mp, int *fd,
		 struct err *err);
/* Is our mount still there? */
bool mount_is_attached(const struct mount_point *mp);
/* Writes back and unmounts, lazily if it is busy, by a child process that nobody waits for. */
void mount_detach_aside(const struct mount_point *mp);
/* Detaches now. Only when the connection is closed, or it may wait for ourselves. */
void mount_detach(const struct mount_point *mp);
/* bytes; 0: 1 MiB. As root, after INIT. */
void mount_set_readahead(const struct mount_point *mp, uint32_t bytes);
void mount_point_release(struct mount_point *mp);

#endif
