/*
 * membership.h - the configuration in force and what its quorums say.
 *
 * A configuration takes effect when its entry is applied (etcd's choice), so committed by the one
 * before it. Both halves of a joint configuration are counted everywhere.
 */
#ifndef RAFT_MEMBERSHIP_H
#define RAFT_MEMBERSHIP_H

#include "raft/raft_internal.h"

/* Ids ascending and not 0, roles that can stand together, addresses terminated. */
bool conf_valid(const struct raft_conf *conf);
bool conf_member_votes(const struct raft_member *member);
/* Is this the payload of a CONF entry? */
bool conf_payload_sound(const struct blob *data);
/* One change, as raft_conf_change() carries it out; nothing is checked afterwards. 0 or -EINVAL. */
int conf_change_one(struct raft_conf *conf, const struct raft_change *change, struct err *err);

/* Replaces the configuration; peers that stay keep their progress. */
void membership_set(struct raft *r, const struct raft_conf *conf);
bool membership_self_votes(const struct raft *r);
bool membership_sole_voter(const struct raft *r);

/* The highest index that a quorum has durably; self counts what is synced. */
uint64_t membership_commit(const struct raft *r);
/* Of the running (pre-)election, in the halves of conf. */
enum vote_result membership_tally(const struct raft *r, const struct raft_conf *conf);
/* ... in the halves of conf, whose members need not be peers; those that are none do not count. */
bool membership_quorum_of(const struct raft *r, const struct raft_conf *conf,
			  bool (*fn)(const struct raft *r, const struct progress *p));
/* Do self and the peers that satisfy fn make a quorum? */
bool membership_quorum(const struct raft *r,
		       bool (*fn)(const struct raft *r, const struct progress *p));

#endif
