/*
 * evaluate.h - the leader's evaluator: turns requests into batches, ahead of their commit.
 *
 * It owns the overlay and a view. Its tail (term, index) is the log position that the next batch is
 * valid after. Whenever the log may end elsewhere (new term, refused proposal, entries not its own)
 * the replica sends a role job: the overlay is thrown away, and nothing is evaluated until the log up
 * to that position is applied here; then every request that is still waiting is evaluated anew.
 */
#ifndef NODE_EVALUATE_H
#define NODE_EVALUATE_H

#include "node/job.h"

struct evaluator;

struct evaluator_limits {
	size_t overlay_bytes; /* from here on requests wait for the apply thread */
	size_t parked;        /* requests that wait for others; more are dropped, their sessions send again */
	uint32_t step_blocks; /* struct fs_stamp; 0: the file system's own */
};

/* slot is borrowed. wall_ns is the time source. */
struct evaluator *evaluator_new(struct kv_slot *slot, uint32_t group, int64_t (*wall_ns)(void));
void evaluator_free(struct evaluator *ev);
/* Instead of 64 MiB, 65,536 and the file system's own: the simulator makes them tiny. Before the first job. */
void evaluator_limit(struct evaluator *ev, const struct evaluator_limits *limits);

/*
 * Runs a list of EVAL_* jobs (taken) and appends results (JOB_EVAL_RESULT) to out. A status on a
 * result says that the store failed. Thread: evaluate.
 */
void evaluator_run(struct evaluator *ev, struct list *jobs, struct list *out);

#endif
