/*
 * history.h - what clients asked, when, and what they were told: the material that the checkers judge.
 *
 * One record is one operation in the terms of fs/fs.h: the request as it was sent and the reply as it
 * came. Times are nanoseconds of one clock that all clients of the history share (the simulator's true
 * time; CLOCK_MONOTONIC of one machine), so "answered before the other was asked" is a fact.
 *
 * Rules of recording, which the verdicts rest on:
 *  - start_ns is read before the request leaves, end_ns after the answer has come: never inside.
 *  - An operation whose outcome nobody knows (timeout, EINTR after sending, client died) stays OPEN: it may
 *    take effect at any later time, once, or never. A client goes on under a new number after it.
 *  - index: of a change, the log index of its entry; of a read or an error, the applied index that it
 *    was answered at; 0: not known. The witness checker needs it, the blind one does not look at it.
 *    An open change whose entry was seen in the log gets its index too (history_set_index()).
 *  - Inodes and keys hold nothing before the history began, and the tree is a root (inode 1) alone;
 *    what was there before is recorded as operations that end before all others start. A directory that
 *    no record of the history makes or looks up (the root, a mount's directory of work) is there always.
 *  - READDIR: reply.data are fs_dirents ("." and ".." are ignored). rq.flags tell how it came about:
 *    enum hist_listing.
 *  - Each value written should be unique (a client and a counter in it), else a lost one cannot be told.
 *
 * In memory (struct history; one thread) for the simulator; in files (struct history_log; any number of
 * threads and processes) for load on real mounts.
 */
#ifndef TESTS_HISTORY_HISTORY_H
#define TESTS_HISTORY_HISTORY_H

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "fs/fs.h"

#define HISTORY_NEVER UINT64_MAX /* end_ns of what is open */

/* Which parts of a reply are known; a real mount shows less than a node. What is not known is not judged. */
enum hist_known {
	HIST_INO = 1,  /* attr.ino: of the inode that was found, made, looked at */
	HIST_TYPE = 2, /* type bits of attr.mode */
	HIST_MODE = 4, /* permission bits of attr.mode */
	HIST_NLINK = 8,
	HIST_OWNER = 16, /* attr.uid, attr.gid */
	HIST_SIZE = 32,
	HIST_BLOCKS = 64,
	HIST_VERSION = 128, /* attr.data_version; of WRITE and the like old_data_version too */
	HIST_OFFSET = 256,  /* where an append went */
	HIST_CREATED = 512,
	HIST_COUNT = 1024, /* bytes written; KV: length */
	HIST_DATA = 2048,
	HIST_ATTR = HIST_INO | HIST_TYPE | HIST_MODE | HIST_NLINK | HIST_OWNER | HIST_SIZE |
		    HIST_BLOCKS | HIST_VERSION,
	HIST_ALL = 4095,
};

/* WRITE: rq.flags: it shares its entry, and the data version, with the one before it. */
#define HIST_SAME_ENTRY 0x40000000u

/* READDIR: rq.flags. */
enum hist_listing {
	HIST_LIST_PAGE =
		0, /* one reply of several: names in it are there at its index; nothing more is said */
	HIST_LIST_WHOLE = 1, /* one reply holds all names: a snapshot of the directory */
	HIST_LIST_PIECES =
		2, /* several replies put together: each name is judged alone, as POSIX has it */
};

/* Of an answered change: is the entry at its index its own? */
enum hist_logged { HIST_LOGGED_UNKNOWN, HIST_LOGGED, HIST_NOT_LOGGED };

struct hist_op {
	uint64_t id; /* in memory its number; in a file what the writer chose */
	uint32_t client;
	bool done;      /* answered; else open: status and reply mean nothing */
	int status;     /* 0 or a negative errno, as told to the client */
	uint32_t known; /* enum hist_known; 0 on errors */
	uint64_t start_ns, end_ns;
	uint64_t index;
	uint8_t logged;        /* enum hist_logged; in memory alone */
	struct fs_request rq;  /* names and data are the history's */
	struct fs_reply reply; /* data are the history's */
};

struct history {
	struct hist_op *ops;
	size_t count, cap;
};

#define HISTORY_INIT ((struct history){ .ops = NULL })

void history_release(struct history *h);
/* Copies names and data. Returns the number of the operation for the calls below. */
size_t history_begin(struct history *h, uint32_t client, uint64_t now_ns,
		     const struct fs_request *rq);
/* reply: copied; NULL on errors. known is cut down to what the operation can tell. Once for each number. */
void history_end(struct history *h, size_t op, uint64_t now_ns, int status,
		 const struct fs_reply *reply, uint32_t known, uint64_t index);
void history_set_index(struct history *h, size_t op, uint64_t index); /* also of open ones */
void history_set_logged(struct history *h, size_t op, bool logged);

/* Is this the name in its request? */
bool hist_names(const struct hist_op *op, const char *name);

/* One line for people: number, client, time, operation, answer. Without a newline. */
void history_print(const struct hist_op *op, struct buf *out);

/*
 * The file: text, one line for each event, so that what was sent is on record before it is sent.
 *
 *   quorumfs-history 1
 *   b ID client=3 t=1000 op=write ino=5 off=0 data=c3.17
 *   e ID t=2000 status=0 index=9 known=1056 size=6 count=6
 *
 * First line: name and version. "b" begins operation ID (decimal, unique in the file), "e" ends it; an
 * operation without "e" is open. Fields are name=value in any order; fields left out are 0 or empty.
 * Numbers are decimal. Bytes stand for themselves from '!' to '~', but for '%', which like all others is
 * %XX. Fields of "b": client t op uid gid ino ino2 mode rdev flags valid uid2 gid2 off size name name2
 * data; of "e": t status index known ino mode nlink uid gid size blocks version old off created count data;
 * of "i" (index of an open operation): index. READDIR's data is ino:type:name, separated by '/'.
 *
 * A writer killed at any moment leaves whole lines and perhaps a torn last one, which the reader drops.
 * Any number of processes append to one file: each event is one write() to a descriptor with O_APPEND.
 */
#define HISTORY_VERSION 1

/* Makes the file (an existing one: -EEXIST) with its first line, or opens one to append. fd >= 0, or a
 * negative errno with err. */
int history_log_create(const char *path, struct err *err);
int history_log_open(const char *path, struct err *err);
/* Each one write(); thread-safe, needs no lock. 0 or a negative errno. */
int history_log_begin(int fd, uint64_t id, uint32_t client, uint64_t now_ns,
		      const struct fs_request *rq);
int history_log_end(int fd, const struct fs_request *rq, uint64_t id, uint64_t now_ns, int status,
		    const struct fs_reply *reply, uint32_t known, uint64_t index);

/* Writes a whole history, as for a failed simulation; an existing file is replaced. */
int history_save(const struct history *h, const char *path, struct err *err);
/* Appends the operations of a file to h. Errors name file, line and what is wrong: -EPROTO (not a
 * history, damaged line, end without beginning), -EOPNOTSUPP (version), errno of reading. A torn last
 * line sets *torn when it is not NULL. */
int history_load(struct history *h, const char *path, bool *torn, struct err *err);
/* The same from memory, which is modified; name stands in errors. */
int history_parse(struct history *h, const char *name, char *text, size_t len, bool *torn,
		  struct err *err);

#endif
