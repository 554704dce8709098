/*
 * quorum.h - majorities as arithmetic, plain and joint.
 *
 * A half is an array with one value per voter. An empty half agrees with everything, so a plain
 * configuration is a joint one whose outgoing half is empty (etcd/raft: quorum.JointConfig).
 */
#ifndef RAFT_QUORUM_H
#define RAFT_QUORUM_H

#include "base/base.h"

enum vote { VOTE_NONE = 0, VOTE_GRANTED = 1, VOTE_REJECTED = 2 };

enum vote_result { VOTE_PENDING, VOTE_LOST, VOTE_WON };

#define QUORUM_VOTERS_MAX 16

/* The highest index that a majority holds; UINT64_MAX for an empty half. count <= QUORUM_VOTERS_MAX. */
uint64_t quorum_commit(const uint64_t *match, size_t count);
/* ... that a majority of each half holds. */
uint64_t quorum_commit_joint(const uint64_t *in, size_t in_count, const uint64_t *out,
			     size_t out_count);

enum vote_result quorum_vote(const enum vote *votes, size_t count);
enum vote_result quorum_vote_joint(const enum vote *in, size_t in_count, const enum vote *out,
				   size_t out_count);

#endif
