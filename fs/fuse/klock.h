/*
 * klock.h - what the mount must know of the locks that were taken through it: who has something to release
 * when he closes, and which files may no longer be used because their locks were lost with the session.
 *
 * An owner is noted before his request leaves, so that even a lock whose answer never came is released. Whether
 * a session holds anything on an inode at all is said by every answer, with its place in the log: the latest
 * one counts. While it does, changes name that session and are refused in any other (the fence); once that
 * session has ended, handles opened before are of no use any more.
 */
#ifndef FS_FUSE_KLOCK_H
#define FS_FUSE_KLOCK_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/base.h"
#include "base/hash.h"
#include "fs/fs_lock.h"

struct klock_table {
	pthread_mutex_t lock; /* guards by_ino; held for a few instructions */
	struct htable by_ino;
	atomic_size_t count; /* inodes in it: 0 for most mounts, most of the time */
};

struct klock_owner {
	uint8_t kind; /* enum fs_lock_kind */
	uint64_t owner;
	uint64_t fh;    /* the handle it was last used through */
	bool releasing; /* its release is still under way, the close that began it has given up */
};

void klock_table_init(struct klock_table *t);
void klock_table_release(struct klock_table *t);

/* A lock is about to be asked for. -EIO: what this handle had is lost; -ETIMEDOUT: see releasing. */
int klock_ask(struct klock_table *t, uint64_t ino, const struct klock_owner *who);
/* Has he ever asked for one, and not closed since? */
bool klock_has_asked(struct klock_table *t, uint64_t ino, uint8_t kind, uint64_t owner);
/* The answer to it, or to a release. granted: he has something to release. */
void klock_note(struct klock_table *t, uint64_t ino, const struct klock_owner *who,
		const struct fs_lock_reply *reply, bool granted);
/* Data or size is used through fh: 0 with *fence the session whose locks that relies on, 0: none; -EIO: lost. */
int klock_use(struct klock_table *t, uint64_t ino, uint64_t fh, uint64_t *fence);
/* A descriptor is closed: has this owner something to release? It is forgotten. */
bool klock_close(struct klock_table *t, uint64_t ino, uint8_t kind, uint64_t owner);
/* The release that a close waited for goes on without it, or has ended. */
void klock_releasing(struct klock_table *t, uint64_t ino, uint8_t kind, uint64_t owner,
		     bool releasing);
/* The handle is gone: takes out one owner that used it last, to be released. False: there is none (left). */
bool klock_take_of_handle(struct klock_table *t, uint64_t ino, uint64_t fh,
			  struct klock_owner *who);
/* Nobody has the inode open any more. */
void klock_forget(struct klock_table *t, uint64_t ino);
/* The session ended: of all inodes that it held locks on, handles below next_fh are lost. Returns how many. */
size_t klock_lost(struct klock_table *t, uint64_t session, uint64_t next_fh);

#endif
