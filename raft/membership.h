/*
 * membership.h - the configuration in force and what its quorums say.
 *
 * A configuration takes effect when its entry is handed out for apply (etcd's choice), so committed
 * by the one before it. Both halves of a joint configuration are counted everywhere.
 */
#ifndef RAFT_MEMBERSHIP_H
#define RAFT_MEMBERSHIP_H

#include "raft/raft_internal.h"

/* Ids ascending and not 0, roles that can stand together, addresses terminated. */
bool conf_valid(const struct raft_conf *conf);
bool conf_member_votes(const struct raft_member *member);
/* Decodes a CONF entry's payload. 0 or -EPROTO. */
int conf_from_blob(struct raft_conf *conf, const struct blob *data);

/* Replaces the configuration; peers that stay keep their progress. */
void membership_set(struct raft *r, const struct raft_conf *conf);
bool membership_self_votes(const struct raft *r);
bool membership_sole_voter(const struct raft *r);

/* The highest index that a quorum has durably; self counts what is synced. */
uint64_t membership_commit(const struct raft *r);
enum vote_result membership_tally(const struct raft *r);
/* Do self and the peers that satisfy fn make a quorum? */
bool membership_quorum(const struct raft *r,
		       bool (*fn)(const struct raft *r, const struct progress *p));

#endif
