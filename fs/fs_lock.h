/*
 * fs_lock.h - byte-range (fcntl) and whole-file (flock) locks as requests and replies.
 *
 * A lock is held by an owner of a session: the kernel's lock owner, or the open file for flock. Both kinds live
 * side by side and do not see each other, as on any Linux file system.
 *
 * Nobody waits in a numbered request, as that would keep the session's window from moving. Who has to wait
 * leaves a waiter row behind (FS_SETLK with a waiter number) and asks by a read, FS_LOCK_WAIT, which the node
 * keeps until nothing is in the way any more or a second has gone by; then he tries again. The waiter rows make
 * the wait-for graph that deadlocks are found in. Who gives up says so (FS_LOCK_CANCEL): whether he got
 * the lock was decided by the answer to his last FS_SETLK.
 */
#ifndef FS_FS_LOCK_H
#define FS_FS_LOCK_H

#include "base/base.h"
#include "base/buf.h"

#define FS_LOCK_END_MAX INT64_MAX /* "to the end of the file, wherever that is" */
#define FS_LOCKS_PER_INO 4096u    /* rows of one kind on one inode; beyond: ENOLCK */
/* Rows and waiters: they all go in the entry that ends it; beyond: ENOLCK. */
#define FS_LOCKS_PER_SESSION 16384u

enum fs_lock_kind {
	FS_LOCK_POSIX = 1,
	FS_LOCK_FLOCK = 2, /* always 0 .. FS_LOCK_END_MAX */
};

enum fs_lock_type {
	FS_LOCK_READ = 1,
	FS_LOCK_WRITE = 2,
	FS_LOCK_UNLOCK = 3,
};

/* The data of all lock requests, and of the reply to FS_GETLK when something is in the way. */
struct fs_lock {
	uint8_t kind;        /* enum fs_lock_kind */
	uint8_t type;        /* enum fs_lock_type */
	uint64_t start, end; /* first and last byte */
	/* GETLK, LOCK_WAIT: whose locks are not in the way; its reply: the holder's */
	uint64_t session;
	uint64_t owner;
	uint64_t waiter; /* SETLK: 0: do not wait; else unique in the session; CANCEL: the same */
	uint32_t pid;    /* as the mount sees it */
};

enum fs_lock_result {
	FS_LOCK_GRANTED, /* also: unlocked */
	FS_LOCK_CONFLICT,
	FS_LOCK_WAITS,    /* the waiter row is there */
	FS_LOCK_DEADLOCK, /* waiting would never end */
};

/* The data of the reply to SETLK and LOCK_RELEASE. */
struct fs_lock_reply {
	uint8_t result;   /* enum fs_lock_result */
	uint64_t session; /* in which it was done */
	uint64_t index;   /* in the order of the log: the greater says what holds */
	uint32_t left;    /* rows that the session then has on the inode */
};

/* Layout tables in lock.c. Decoders: 0 or -EPROTO. */
void fs_lock_encode(const struct fs_lock *lock, struct buf *out);
int fs_lock_decode(struct fs_lock *lock, const void *data, size_t len);
void fs_lock_reply_encode(const struct fs_lock_reply *reply, struct buf *out);
int fs_lock_reply_decode(struct fs_lock_reply *reply, const void *data, size_t len);

#endif
