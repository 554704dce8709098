/*
 * replication.h - append, acknowledge, commit.
 *
 * The leader sends as far ahead as the peer's window allows and learns from each answer; a refusal
 * carries a hint by which both sides skip whole terms (etcd/raft: findConflictByTerm). Commit counts
 * only entries of the leader's own term (dissertation, 5.4.2 and figure 3.7).
 */
#ifndef RAFT_REPLICATION_H
#define RAFT_REPLICATION_H

#include "raft/raft_internal.h"

/* leader */
void replication_broadcast(
	struct raft *r); /* new entries, or an empty append, to all that may get one */
void replication_heartbeat(struct raft *r); /* to all; carries the running read round */
void replication_feed(
	struct raft *r); /* sends entries to whoever waits for some, e.g. after a load */
/* Sends one append (or an image offer) if the peer may get one; returns whether it did. */
bool replication_append_to(struct raft *r, struct progress *p, bool even_if_empty);
bool replication_maybe_commit(struct raft *r); /* true: the commit index moved, and all were told */
bool replication_own_term_committed(const struct raft *r);
void replication_on_append_resp(struct raft *r, const struct raft_message *msg);
void replication_on_heartbeat_resp(struct raft *r, const struct raft_message *msg);
void replication_unreachable(struct raft *r, struct progress *p);
void replication_transfer(struct raft *r, uint64_t to);
/* 0, or -EAGAIN when too much is uncommitted. */
int replication_propose(struct raft *r, const struct raft_proposal *v, size_t count);

/* follower */
void replication_on_append(struct raft *r, struct raft_message *msg);
void replication_on_heartbeat(struct raft *r, const struct raft_message *msg);
void replication_commit_to(struct raft *r, uint64_t commit);

#endif
