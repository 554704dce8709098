/* quorum.c - see quorum.h. */
#include "raft/quorum.h"

uint64_t quorum_commit(const uint64_t *match, size_t count)
{
	uint64_t sorted[QUORUM_VOTERS_MAX];

	assert(count <= QUORUM_VOTERS_MAX);
	if (count == 0)
		return UINT64_MAX;
	for (size_t i = 0; i < count; i++) {
		size_t at = i;

		for (; at > 0 && sorted[at - 1] < match[i]; at--)
			sorted[at] = sorted[at - 1];
		sorted[at] = match[i];
	}
	/* sorted[] descends, so count / 2 + 1 voters, a majority, hold at least this. */
	return sorted[count / 2];
}

uint64_t quorum_commit_joint(const uint64_t *in, size_t in_count, const uint64_t *out,
			     size_t out_count)
{
	return min_u64(quorum_commit(in, in_count), quorum_commit(out, out_count));
}

enum vote_result quorum_vote(const enum vote *votes, size_t count)
{
	size_t granted = 0, rejected = 0;
	size_t majority = count / 2 + 1;

	if (count == 0)
		return VOTE_WON;
	for (size_t i = 0; i < count; i++) {
		granted += votes[i] == VOTE_GRANTED;
		rejected += votes[i] == VOTE_REJECTED;
	}
	if (granted >= majority)
		return VOTE_WON;
	/* Lost as soon as the voters that may still grant cannot complete a majority. */
	return count - rejected < majority ? VOTE_LOST : VOTE_PENDING;
}

enum vote_result quorum_vote_joint(const enum vote *in, size_t in_count, const enum vote *out,
				   size_t out_count)
{
	enum vote_result a = quorum_vote(in, in_count);
	enum vote_result b = quorum_vote(out, out_count);

	if (a == VOTE_LOST || b == VOTE_LOST)
		return VOTE_LOST;
	return a == VOTE_WON && b == VOTE_WON ? VOTE_WON : VOTE_PENDING;
}
