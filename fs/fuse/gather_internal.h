/*
 * gather_internal.h - what was gathered of one inode, from inside: requests (gather.c), batches (gather_batch.c),
 * delegations and the thread (gather_keep.c). Lock: all of these with the table's held, but where they say so.
 */
#ifndef FS_FUSE_GATHER_INTERNAL_H
#define FS_FUSE_GATHER_INTERNAL_H

#include "base/clock.h"
#include "base/log.h"
#include "base/mark.h"
#include "fs/fs.h"
#include "fs/fuse/extents.h"
#include "fs/fuse/gather.h"

#define GATHER_LOST (-EIO)

/* What fchmod(2) and the like set after the writes, as in FS_SETATTR; valid 0: nothing. */
struct gathered_set {
	uint32_t valid, mode, uid, gid;
	int64_t atime_ns, mtime_ns;
};

struct range {
	uint64_t offset, end;
};

struct batch {
	struct list node;  /* in g->batches, ascending */
	struct list ready; /* taken to be sent */
	struct gather *table;
	struct gathered *g;
	uint64_t number;
	uint64_t delegation; /* its number */
	uint64_t bytes;
	uint64_t ask;  /* bytes to reserve from now on; 0: as before */
	struct gathered_set set; /* then nothing leaves beside it */
	int64_t shown_ns;
	uint32_t uid, gid, flags;
	bool sent;
	struct range *ranges; /* ascending */
	size_t range_count;
	struct buf data; /* of FS_GATHERED */
};

struct gathered {
	struct hnode node;
	struct list link;
	uint64_t ino;
	struct fs_delegation d; /* number 0: none. bytes: so much may be gathered and under way */
	uint64_t dead;          /* this one, and those before it, are no more, or are being given back */
	uint64_t reserved_index; /* entry that d.bytes is of */
	bool written;           /* it was written lately, so that a delegation is worth asking for */
	bool recalled;          /* to be given back as soon as everything is sent */
	bool leaving;           /* given back together with others */
	unsigned asks;          /* requests under way that may bring one */
	uint64_t cool_ms;       /* nothing is asked for before */
	struct fs_attr base;    /* the newest that was told; ino 0: nothing was */
	uint64_t base_ns;       /* of the boot clock, when base was the leader's present */
	int64_t leader_ns;      /* ... and the leader's clock then */
	struct extents now;     /* gathered, in no batch */
	struct gathered_set set; /* ... with what was set after it */
	uint64_t since_ms;      /* the oldest of it */
	uint64_t used_ms;
	uint32_t uid, gid;      /* whose writes: of several somebody who is not root */
	uint64_t size;          /* where the furthest byte of all that is not answered ends */
	int64_t shown_ns;       /* ctime after all that is not answered; 0: nothing is */
	struct gathered_set shown_set; /* ... and what else, mtime by writes too */
	struct list batches;    /* not answered */
	unsigned sent_count;
	uint64_t last_batch;
	uint64_t bytes;         /* of now and the batches */
	int error;              /* a loss that nobody has been told of */
	struct list waits;      /* struct gather_wait */
};

/* What a call leaves to be done once the lock is let go. */
struct gather_todo {
	struct list ready;   /* struct batch */
	struct list dropped; /* struct batch, to be freed */
	struct list done;    /* struct gather_wait, with their status */
};

static inline void todo_init(struct gather_todo *todo)
{
	list_init(&todo->ready);
	list_init(&todo->dropped);
	list_init(&todo->done);
}

typedef int (*gather_submit_fn)(struct fs_session *s, const struct fs_request *rq, uint32_t pid, fs_reply_fn fn,
				void *ctx, uint64_t *ticket);
/* Without the lock. how: fs_session_submit(), or from callbacks fs_session_submit_aside(). */
void todo_run(struct gather *t, struct gather_todo *todo, gather_submit_fn how);

/* ---- gather.c ---- */

struct gathered *gathered_find(const struct gather *t, uint64_t ino);
struct gathered *gathered_find_or_add(struct gather *t, uint64_t ino);
void gathered_free(struct gather *t, struct gathered *g);
static inline bool gathered_has_now(const struct gathered *g)
{
	return g->now.count > 0 || g->set.valid != 0;
}

/* Something is gathered, or not answered. */
static inline bool gathered_is_busy(const struct gathered *g)
{
	return gathered_has_now(g) || !list_empty(&g->batches);
}

/* ---- gather_batch.c ---- */

/* What is gathered becomes a batch; flags may make one of nothing. */
void batch_seal(struct gather *t, struct gathered *g, uint32_t flags);
/* Takes all that may be sent now. */
void batch_take_ready(struct gathered *g, struct gather_todo *todo);
bool batches_overlap(const struct gathered *g, uint64_t offset, uint64_t end);
/* Waits whose batches are all answered are done. */
void gathered_wake(struct gathered *g, struct gather_todo *todo);
/* Nothing of it is known to be stored, and nothing of it will be. */
void gathered_lose(struct gather *t, struct gathered *g, struct gather_todo *todo);
/* Everything is to be sent, and then the delegation goes. */
void gathered_give_back(struct gather *t, struct gathered *g, struct gather_todo *todo);

/* ---- gather_keep.c ---- */

/* May the delegation be used now? */
bool gathered_is_usable(struct gather *t, const struct gathered *g);
/* attr is newer than what was told so far? Then it is the base. */
void gathered_learn(struct gathered *g, const struct fs_attr *attr);

#endif
