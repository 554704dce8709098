/*
 * gather.h - writes that this mount may gather, because it has a delegation of the inode (fs/fs.h), and what it has
 * gathered: sent when somebody waits for it, when it is a second old, when it is a megabyte, or when it is recalled.
 *
 * What is sent together is a batch: immutable, with a number in the order of the writes. Batches are under way side
 * by side, as answers take their time and requests of a session may be evaluated in any order; but never two of
 * which one overwrites the other, and nothing beside one that gives the delegation back. A batch is sent again
 * until it is known what became of it.
 *
 * A delegation may be used only while a leader has confirmed the session a lease ago at most; else everything waits
 * for what was gathered to be sent, and goes the ordinary way. When a batch is refused, or the session ends, what was
 * gathered is lost: the next fsync or close of a handle that could write fails with EIO, once for each inode.
 *
 * This mount's other requests for the inode either do not mind (names), are shown what was gathered (attributes, and
 * reads of it), ride with it (chmod, chown and utimens of what has writes not sent), or wait until it is sent (all others). Nobody waits in a thread: see struct gather_wait.
 */
#ifndef FS_FUSE_GATHER_H
#define FS_FUSE_GATHER_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/base.h"
#include "base/hash.h"
#include "base/list.h"
#include "fs/fs_session.h"

#define GATHER_MAX (32u * 1024 * 1024) /* bytes of all inodes, those under way included */
#define GATHER_ASK (1024u * 1024)      /* what is reserved first ... */
#define GATHER_STREAM (8u * 1024 * 1024) /* ... and when a file is written from end to end */

enum gather_verdict {
	GATHER_PASS,  /* not ours: the ordinary way */
	GATHER_DONE,
	GATHER_WAITS, /* the wait was taken: done() will be called; then ask again */
};

/* Embedded in its owner; belongs to the table from GATHER_WAITS until done is called. */
struct gather_wait {
	struct list node;
	uint64_t until; /* the last batch that it waits for */
	bool syncs;     /* it is to be told when something was lost */
	int status;
	/* status: 0, what a loss is told with, or why it is of no use to wait on. Any thread, holding no lock; must
	 * not block. */
	void (*done)(struct gather_wait *w, int status);
	/* Is its caller being killed? Thread: the table's own; asked now and then. */
	bool (*killed)(struct gather_wait *w);
};

struct gather_write {
	uint64_t offset;
	const void *data;
	size_t len;
	uint32_t uid, gid;
};

struct gather {
	bool enabled;
	struct fs_session *session; /* borrowed from start to stop */
	bool (*is_open)(void *ctx, uint64_t ino); /* does anybody have it open? Called with the lock held */
	void *ctx;
	pthread_mutex_t lock; /* guards all below; held for the copy of what is gathered, and never in a callback */
	pthread_cond_t changed;
	struct htable by_ino;
	struct list all;      /* struct gathered */
	struct list starved;  /* waits for memory */
	uint64_t bytes;       /* of all */
	atomic_size_t count;  /* inodes in the table: mostly none */
	atomic_uint creates;  /* files asked for with a delegation and not answered */
	bool running, stopping;
	pthread_t thread;
};

void gather_init(struct gather *t, bool enabled);
void gather_release(struct gather *t); /* not running */
/* What gather_start() does without its thread: then somebody calls gather_tick() about ten times a second. */
void gather_attach(struct gather *t, struct fs_session *session, bool (*is_open)(void *ctx, uint64_t ino), void *ctx);
/* Sees to what is due. */
void gather_tick(struct gather *t);
/* 0 or a negative errno. Without delegations nothing starts. */
int gather_start(struct gather *t, struct fs_session *session, bool (*is_open)(void *ctx, uint64_t ino), void *ctx);
/* Sends everything, for ten seconds at most when nobody answers, and ends the thread. */
void gather_stop(struct gather *t);

/* ---- delegations ---- */

/* What to ask for with a WRITE of ino, or a CREATE (ino 0); 0: nothing. Then gather_asked() must follow the answer. */
uint64_t gather_ask(struct gather *t, uint64_t ino);
/* reply NULL: it failed. */
void gather_asked(struct gather *t, uint64_t ino, const struct fs_reply *reply);
void gather_recall(struct gather *t, uint64_t ino, uint64_t number);
void gather_lost(struct gather *t, uint64_t session_id);

/* ---- requests ---- */

/* w NULL: WAITS only tells that it would. aside: called from a callback, which must not block in the channel. */

enum gather_verdict gather_write(struct gather *t, uint64_t ino, const struct gather_write *wr, bool aside,
				 struct gather_wait *w);
/* SETATTR. DONE: it rides with what was gathered; *attr as told last, for gather_show(). */
enum gather_verdict gather_set(struct gather *t, const struct fs_request *rq, struct fs_attr *attr, bool aside,
			       struct gather_wait *w);
/* GETXATTR of a file's capability, which the kernel wants before every chown. DONE: a write has taken it. */
enum gather_verdict gather_capability(struct gather *t, uint64_t ino, bool aside, struct gather_wait *w);
/* DONE: *out has len bytes, or fewer at the end. */
enum gather_verdict gather_read(struct gather *t, uint64_t ino, uint64_t offset, uint64_t len, struct buf *out,
				bool aside, struct gather_wait *w);
/* Something else that would not see what was gathered. PASS or WAITS. */
enum gather_verdict gather_hold(struct gather *t, uint64_t ino, bool aside, struct gather_wait *w);
/* Attributes are asked for, which gather_show() will put right: waits only where it could not. PASS or WAITS. */
enum gather_verdict gather_look(struct gather *t, uint64_t ino, bool aside, struct gather_wait *w);
/* fsync, or close, of a handle that could write. DONE: *status. last: then the delegation is not needed any more. */
enum gather_verdict gather_sync(struct gather *t, uint64_t ino, bool last, int *status, bool aside,
				struct gather_wait *w);
/* What a node told, with what was gathered. */
void gather_show(struct gather *t, struct fs_attr *attr);

#endif
