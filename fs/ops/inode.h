/*
 * inode.h - inode records in the hands of an operation.
 *
 * Rules kept here once for all operations: times move by at least 1 ns with every change, the data
 * version with every change of data, suid and sgid go where POSIX lets them go, and the counters follow
 * what is stored.
 */
#ifndef FS_OPS_INODE_H
#define FS_OPS_INODE_H

#include "fs/ops/eval.h"

struct inode {
	uint64_t ino;
	struct inode_rec rec;   /* target belongs to the eval */
	uint64_t counted_bytes; /* what the counters hold for it */
};

/* -ESTALE: no such inode (any more), so that the kernel walks the path again. EVAL_BLOCKED from any of these: it is
 * delegated to another session. */
int inode_load(struct eval *ev, uint64_t ino, struct inode *n);
/* The same, but finds an inode that is being reclaimed, too. */
int inode_load_any(struct eval *ev, uint64_t ino, struct inode *n);
/* An inode that a dentry names: -EUCLEAN when it is missing. */
int inode_load_named(struct eval *ev, uint64_t ino, struct inode *n);
/* A directory in which names are looked for or changed: -ENOENT when it was removed, -ENOTDIR. */
int inode_load_dir(struct eval *ev, uint64_t ino, struct inode *n);
/* Regular files only: -EISDIR, -EINVAL. */
int inode_load_file(struct eval *ev, uint64_t ino, struct inode *n);

/* Fills a new inode of the caller's, numbered, with all times now and no name yet; a parent with S_ISGID
 * hands its group down. -ENOSPC when numbers have run out. Mutates nothing but the counters in memory. */
int inode_init_new(struct eval *ev, const struct inode *parent, uint32_t mode, struct inode *n);

/* Puts the record; the counters follow. 0 or the store's errors. */
int inode_store(struct eval *ev, struct inode *n);
/* Deletes the record and takes it out of the counters; blocks and xattrs must be gone. */
int inode_delete(struct eval *ev, struct inode *n);

int64_t inode_time_next(const struct eval *ev, int64_t old_ns); /* max(now, old + 1) */
void inode_touch(const struct eval *ev, struct inode *n);       /* ctime */
void inode_touch_data(const struct eval *ev, struct inode *n);  /* mtime, ctime, data version */

/* Clears suid, and sgid where the group may execute. */
void inode_clear_suid(struct inode *n);
/* What a change of a file's data does to its privileges: suid and sgid unless the caller is root (forced:
 * also then), the capability attribute always. Mutates; 0 or the store's errors. */
int inode_kill_priv(struct eval *ev, struct inode *n, bool forced);
/* What the request's valid says, but for the size. n is not stored and its ctime does not move. */
int inode_set(struct eval *ev, struct inode *n);

/* One name less; without any name it becomes an orphan. Puts the inode. */
int inode_drop_name(struct eval *ev, struct inode *n);

void inode_reply(struct eval *ev, const struct inode *n); /* reply.attr */
void inode_reply_dir(struct eval *ev, const struct inode *dir); /* reply.dir, as stored */

#endif
