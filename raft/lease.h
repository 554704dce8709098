/*
 * lease.h - leader lease, member read leases and the commit gate.
 *
 * The leader's lease: a quorum confirmed, by echoing the times at which the leader sent, that nobody
 * else led at that time; for lease_ns after the oldest of those times the leader reads without a
 * round. It grants what is left of it to members that read, so that these read without a message.
 * In exchange an entry commits only when every member that may hold a lease has it: what was shown
 * anywhere is then in every holder's log, and a holder reads only while all of its log is committed.
 *
 * Times are of each node's own clock; only the rate at which clocks run is assumed to agree, within
 * clock_rate_ppm. A member counts from when it sent what the leader answers, the leader from when it
 * received that and longer by the bound: the leader's mark ends last.
 *
 * A new leader knows nothing of its predecessors' grants. Every other member counts as a holder for
 * a full lease from the election on, or until it speaks in the new term: members drop their lease
 * before anything of a new term leaves them. Configurations follow the same thought: while one is
 * under way nothing is granted, and who left is waited for like a stranger.
 *
 * The rules, by the numbers that lease.c and the tests call them by:
 *   1  answers carry the member's time of sending, appends and heartbeats echo it, and the other way round
 *   2  the leader's lease runs from the (f+1)-th newest of its own times that was echoed
 *   3  a grant: not before an own-term commit, to who is nearly caught up, ends with the leader's lease
 *   4  an entry commits once all live holders have it; who makes others wait gets no lease
 *   5  a new leader counts everybody as a holder for a full lease, or until they speak
 *   6  a new term, or a new process, has no lease
 *   7  a member reads when its log reaches the grant's index and nothing in it is under way
 *   8  whatever is under way blocks every read: footprints are not looked at
 *   9  leadership is handed over without a lease
 * Sources: Gray, Cheriton 1989; Moraru et al., Paxos Quorum Leases (SoCC 2014); Ongaro's
 * dissertation, 6.4.1; Hermes (ASPLOS 2020).
 */
#ifndef RAFT_LEASE_H
#define RAFT_LEASE_H

#include "raft/raft_internal.h"

#define LEASE_NS_MAX 60000000000ull
#define LEASE_RATE_PPM_MAX 100000u
/* Who lacks more of the committed entries is granted nothing. */
#define LEASE_LAG_MAX 64
/* A member that read lately wants a lease for so many lease lengths. */
#define LEASE_WANTED_LENGTHS 10
/* Who held a commit up for a quarter of a lease gets none for so many lease lengths. */
#define LEASE_SLOW_LENGTHS 16

/* 0, or -EINVAL: lengths that do not fit together. */
int lease_check_options(const struct raft_options *o, struct err *err);
/* First thing of a step; a clock never goes back. */
void lease_set_clock(struct raft *r, uint64_t now_ns);

/* May this node answer reads by itself now? A leader up to its commit index, a member up to the end of its log. */
bool lease_valid(const struct raft *r);
/* What is left of the own lease, the leader's or the granted one; 0: none. */
uint64_t lease_remaining_ns(const struct raft *r);
void lease_note_read(struct raft *r);

/* ---- leader ---- */
/* voted[i]: peers[i] answered our campaign, in this term. */
void lease_become_leader(struct raft *r, const bool voted[RAFT_NODES_MAX]);
/* An answer of this term; call before its content is handled. */
void lease_on_answer(struct raft *r, struct progress *p, const struct raft_message *m);
/* The highest index up to `quorum`, which a quorum has, that no holder lacks. */
uint64_t lease_gate(struct raft *r, uint64_t quorum);
/* Looks again whether the gate that waits has opened. */
void lease_recheck(struct raft *r);
/* A member that left may still hold a lease. */
void lease_peer_left(struct raft *r);

/* ---- member ---- */
void lease_on_leader(struct raft *r, const struct raft_message *m);
/* Everything up to index is known to be as in the log of this term's leader. */
void lease_proven(struct raft *r, uint64_t index);
void lease_truncate(struct raft *r, uint64_t index);
void lease_drop(struct raft *r);      /* a new term */
void lease_surrender(struct raft *r); /* the owner's wish; the leader is told */

/* Stamps a message that is about to be queued, and grants with it. */
void lease_fill(struct raft *r, struct raft_message *m);

void lease_status(const struct raft *r, struct raft_lease_status *status);
void lease_check(const struct raft *r);

#endif
