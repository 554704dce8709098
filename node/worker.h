/*
 * worker.h - runs jobs, without threads of its own: loop.c gives each worker a thread, a simulator can
 * run them in any order it likes.
 */
#ifndef NODE_WORKER_H
#define NODE_WORKER_H

#include <stdatomic.h>

#include "node/evaluate.h"
#include "node/job.h"

/* What workers share. All of it is thread safe or belongs to one worker. */
struct worker_shared {
	struct store *store;
	struct kv_slot slot;
	uint8_t cluster[16];
	uint32_t group;
	uint64_t self;
	uint64_t incarnation;
	uint64_t wal_limit_bytes; /* growth of the WAL that makes a checkpoint due */
	atomic_bool stopping; /* long jobs give up */
};

/* One worker's own. */
struct worker {
	enum worker_kind kind;
	struct worker_shared *shared;
	struct evaluator *evaluator; /* WORKER_EVALUATE */
	uint64_t wal_mark;           /* WORKER_APPLY: size of the WAL at the last checkpoint */
	struct kv_view *view;        /* WORKER_READ */
	struct kv *view_kv;
};

void worker_init(struct worker *w, enum worker_kind kind, struct worker_shared *shared);
void worker_release(struct worker *w);

/* Runs all jobs of the list (taken, in order, grouped where that saves syncs) and appends them, done,
 * to done. */
void worker_run(struct worker *w, struct list *jobs, struct list *done);
/* Call after what worker_run() did was handed back: upkeep that no answer should wait for (the WAL grows
 * with every transaction; a checkpoint keeps it short). May append jobs of its own to done. */
void worker_after(struct worker *w, struct list *done);

#endif
