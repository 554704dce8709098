/*
 * read.h - linearizable reads without a log entry (dissertation, 6.4).
 *
 * Leader: all reads that wait ride in one round. A round has a number that the leader makes, never
 * one from outside (etcd issue 20418); it starts when none is running and the leader has committed
 * in its own term, notes the commit index, and is over when a quorum has answered a heartbeat that
 * carries its number.
 *
 * Under a lease (lease.h) there is no round: a leader answers at its commit index, a member at the end
 * of its log, provided all of that is committed; else it asks, which is quicker than to wait.
 *
 * Follower: reads are put to the leader in a question with a context of our own; a few questions may
 * be under way, later reads share the next one. A question is repeated while it is unanswered.
 */
#ifndef RAFT_READ_H
#define RAFT_READ_H

#include "raft/raft_internal.h"

int reads_add(struct raft *r, uint64_t id); /* 0 or -EAGAIN */
void reads_fail_all(struct raft *r);
void reads_start_round(struct raft *r);             /* if one is due */
uint64_t reads_running_round(const struct raft *r); /* 0: none */
void reads_confirm(struct raft *r, struct progress *p, uint64_t round);
void reads_tick(struct raft *r);
void reads_on_question(struct raft *r, const struct raft_message *msg);
void reads_on_answer(struct raft *r, const struct raft_message *msg);
void reads_conf_changed(struct raft *r);

#endif
