/*
 * kinode.h - what the kernel knows of our inodes: lookup counts, open files, and which data version
 * it was last told, so that pages are dropped exactly when the kernel would not do it by itself.
 *
 * The kernel drops an inode's pages when an attribute reply shows another size or mtime than it
 * holds. Every change of data moves mtime forward, so only an mtime that was set back can hide one.
 * `told` is the newest mtime the kernel was ever told: a changed version with a still newer mtime
 * is the kernel's business, a changed version with any other is ours.
 *
 * About 64 bytes per inode; the node ids are the inode numbers.
 */
#ifndef FS_FUSE_KINODE_H
#define FS_FUSE_KINODE_H

#include <pthread.h>

#include "base/base.h"
#include "base/hash.h"
#include "fs/fs.h"

struct kinode_table {
	pthread_mutex_t lock; /* guards the table and its inodes; held for a few instructions */
	struct htable by_ino;
};

void kinode_table_init(struct kinode_table *t);
void kinode_table_release(struct kinode_table *t);
size_t kinode_table_count(struct kinode_table *t);

/* One more name was told to the kernel. A first one records attr as what the kernel knows. */
void kinode_lookup(struct kinode_table *t, const struct fs_attr *attr);
/* The kernel forgets count lookups; the inode goes with the last of them and the last open. */
void kinode_forget(struct kinode_table *t, uint64_t ino, uint64_t count);

void kinode_open(struct kinode_table *t, uint64_t ino);
void kinode_close(struct kinode_table *t, uint64_t ino);
bool kinode_is_open(struct kinode_table *t, uint64_t ino);

/*
 * An attribute reply is about to be sent. True: cached pages may be stale and the kernel would not
 * see it; drop them and call kinode_dropped() before replying.
 */
bool kinode_observe(struct kinode_table *t, const struct fs_attr *attr);
void kinode_dropped(struct kinode_table *t, const struct fs_attr *attr);
/* Does the kernel's cache hold exactly this version, so that OPEN may keep it? */
bool kinode_is_current(struct kinode_table *t, uint64_t ino, uint64_t version);
/* Our own change moved old_version to attr's. told: the kernel gets attr with the reply. */
void kinode_changed(struct kinode_table *t, const struct fs_attr *attr, uint64_t old_version,
		    bool told);
/* The cache is known to differ from every version. */
void kinode_distrust(struct kinode_table *t, uint64_t ino);

#endif
