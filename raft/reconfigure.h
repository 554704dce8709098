/*
 * reconfigure.h - the way of a change of members through the log.
 *
 * The leader takes one change at a time: the entry that asks for it (into a joint configuration),
 * then, once that is in force here, the one that leaves it, which the leader proposes by itself; a
 * leader that is no voter afterwards transfers leadership first.
 * Each takes effect where it is applied. A new leader takes a change only when all it inherited is
 * applied and something of its own term has committed: else a change of its predecessor that it has
 * not seen could stand beside its own (Ongaro, raft-dev 2015).
 */
#ifndef RAFT_RECONFIGURE_H
#define RAFT_RECONFIGURE_H

#include "raft/raft_internal.h"

/* Who is to vote holds all but this many of the committed entries. */
#define RAFT_PROMOTE_LAG_MAX 256

/* Sets r->conf_result and, if the change is in the log now, r->propose_first. */
void reconfigure_propose(struct raft *r, const struct raft_conf_change *change);
/* Puts the CONF entries up to index into force. */
void reconfigure_apply(struct raft *r, uint64_t index);
/* Leaves a joint configuration if that is due, or hands over to somebody who will. */
void reconfigure_auto_leave(struct raft *r);

/*
 * Takes note of the CONF entries that recovery found, and returns a commit index. It is not stored,
 * but it must not fall behind what the log proves: a leader proposes a CONF entry only when it has
 * applied the one before, so all but the last are committed. A node that forgot that would campaign
 * in a configuration that was left long ago, and could win. (Seed 3064 of test_churn.)
 */
uint64_t reconfigure_boot(struct raft *r, const struct raft_boot *boot);
/* CONF entries above applied_index. */
void reconfigure_note(struct raft *r, const struct raft_entry *e); /* appended or handed out */
void reconfigure_truncate(struct raft *r, uint64_t index);         /* from index on */
void reconfigure_forget(struct raft *r, uint64_t upto);            /* an image holds them */
/* Is one of them committed? */
bool reconfigure_unapplied(const struct raft *r);
/*
 * The configuration that the log's one CONF entry above what is in force would lead to. False: there
 * is none, or it was not read yet. Whoever campaigns needs its majorities as well: the entry may be
 * committed without our knowing, and then only somebody who holds it can be elected, perhaps nobody
 * but a node that is no voter before it. (Seed 16080 of test_churn.)
 */
bool reconfigure_next(const struct raft *r, struct raft_conf *next);
/* The first CONF entry that is still to be read, 0 none. */
uint64_t reconfigure_unread(const struct raft *r);

#endif
