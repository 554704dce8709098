/* seams.h - between the seams and the simulated world. */
#ifndef TESTS_SIM_SEAMS_H
#define TESTS_SIM_SEAMS_H

#include "tests/sim/sim.h"

/* A pull of an image: a connection of its own (net/net.h, struct net_call). */
struct sim_call {
	struct list link; /* in the open ones of call.c */
	struct sim_node *node;
	uint64_t to, to_life;
	uint64_t number; /* also the conn_id at the other end */
	uint64_t asked;  /* questions so far: answers to older ones are void */
	uint64_t timeout_ns;
	struct coro *coro;
	int status; /* 1: waits for an answer */
	struct buf reply;
	bool holds; /* the other end keeps the image for us */
	struct raft_snapshot_meta held;
};

/* The coroutine sleeps on the true clock; at once outside of one. */
void seams_sleep_ns(uint64_t ns);
/* Gives up the processor; whoever resumes has the reason. */
void seams_wait(void);
/* The threads of this node's store do what was asked of them. */
void seams_run_threads(struct sim_node *node);

/* call.c */
void call_opened(struct sim_call *c);
void call_closed(struct sim_call *c);
void call_ask(struct sim_call *c, const void *payload, size_t len);
void call_event(struct sim *s, struct sim_event *e);
void call_answer(struct sim_node *from, uint64_t number, struct buf *payload);
void calls_node_ended(struct sim_node *node);
void calls_forget(void); /* a failed run leaves its own behind */
void calls_cut(struct sim *s, uint64_t a, uint64_t b);

#endif
