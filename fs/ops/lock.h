/* lock.h - what the files of the locks share, and what happens to them when sessions end. */
#ifndef FS_OPS_LOCK_H
#define FS_OPS_LOCK_H

#include "fs/fs_lock.h"
#include "fs/ops/eval.h"
#include "fs/ops/lock_range.h"

/* One lock as it is stored. */
struct lock_row {
	uint64_t session, owner;
	struct lock_range range;
};

struct lock_list {
	struct lock_row *v; /* by session, owner and start */
	size_t count, cap;
};

/* All locks of one kind on ino; the caller frees l->v, also after an error. 0, -EIO, -EUCLEAN. */
int lock_load(struct eval *ev, uint64_t ino, uint8_t kind, struct lock_list *l);
/* Is this lock in the way of what an owner wants? */
bool lock_conflicts(const struct lock_row *row, uint64_t session, uint64_t owner, uint8_t type,
		    uint64_t start, uint64_t end);

/* The session has `more` rows more (or less) on ino, and in all; ino 0: a waiter, in all only. */
int lock_count_add(struct eval *ev, uint64_t session, uint64_t ino, int64_t more);
/* 0 when there is none. */
int lock_count_get(struct eval *ev, uint64_t session, uint64_t ino, uint32_t *count);

/* fs_check() of all locks: text to out, *problems counts. 0 or the store's errors. */
int lock_check(struct kv_txn *txn, struct buf *out, unsigned *problems);

/* ---- lock_wait.c ---- */

/* Would the owner of lock wait for ever? l: the locks on the inode. 1, 0, or the store's errors. */
int lock_deadlocks(struct eval *ev, const struct fs_lock *lock, const struct lock_list *l);
/* The waiter row of lock is there, and counted. -ENOLCK when the session has too many. */
int lock_waiter_put(struct eval *ev, const struct fs_lock *lock);
/* ... is gone; *removed is raised when it was there, and not yet taken off the count. */
int lock_waiter_drop(struct eval *ev, const struct fs_lock *lock, int64_t *removed);
/* The same for all of the owner's waiters on the inode, of the lock's kind. */
int lock_waiters_release(struct eval *ev, const struct fs_lock *lock, int64_t *removed);
/* All of the session's waiters; the count is not kept. */
int lock_waiters_gone(struct eval *ev, uint64_t session);

/*
 * Sessions end, named as in FS_SESSION_END: they lose all locks and waiters. *done: how many of them, from the
 * first; the others have lost nothing, as one entry is bounded. 0 or the store's errors.
 */
int lock_sessions_gone(struct eval *ev, const uint8_t *names, size_t count, size_t *done);

#endif
