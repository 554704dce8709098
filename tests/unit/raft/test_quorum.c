/* test_quorum.c - majorities as tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "raft/quorum.h"

static void commit_index_is_held_by_a_majority(void **state)
{
	static const struct {
		size_t count;
		uint64_t match[5], want;
	} cases[] = {
		{ 1, { 7 }, 7 },          { 2, { 7, 5 }, 5 },          { 3, { 0, 0, 0 }, 0 },
		{ 3, { 9, 5, 0 }, 5 },    { 3, { 9, 9, 1 }, 9 },       { 3, { 1, 4, 4 }, 4 },
		{ 4, { 1, 2, 3, 4 }, 2 }, { 5, { 5, 1, 4, 2, 3 }, 3 }, { 5, { 9, 9, 9, 0, 0 }, 9 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(quorum_commit(cases[i].match, cases[i].count), cases[i].want);
}

static void an_empty_half_agrees_with_everything(void **state)
{
	const uint64_t match[] = { 3, 4, 5 };
	const enum vote votes[] = { VOTE_GRANTED, VOTE_GRANTED, VOTE_NONE };

	assert_true(quorum_commit(NULL, 0) == UINT64_MAX);
	assert_int_equal(quorum_commit_joint(match, 3, NULL, 0), 4);
	assert_int_equal(quorum_vote_joint(votes, 3, NULL, 0), VOTE_WON);
}

static void a_joint_commit_needs_both_halves(void **state)
{
	const uint64_t in[] = { 9, 9, 1 }, out[] = { 9, 2, 2 };

	assert_int_equal(quorum_commit_joint(in, 3, out, 3), 2);
	assert_int_equal(quorum_commit_joint(out, 3, in, 3), 2);
}

static void a_vote_is_won_lost_or_open(void **state)
{
	static const struct {
		size_t count;
		enum vote votes[5];
		enum vote_result want;
	} cases[] = {
		{ 1, { VOTE_NONE }, VOTE_PENDING },
		{ 1, { VOTE_GRANTED }, VOTE_WON },
		{ 1, { VOTE_REJECTED }, VOTE_LOST },
		{ 2, { VOTE_GRANTED, VOTE_NONE }, VOTE_PENDING },
		{ 2, { VOTE_GRANTED, VOTE_REJECTED }, VOTE_LOST },
		{ 3, { VOTE_GRANTED, VOTE_GRANTED, VOTE_NONE }, VOTE_WON },
		{ 3, { VOTE_GRANTED, VOTE_REJECTED, VOTE_NONE }, VOTE_PENDING },
		{ 3, { VOTE_NONE, VOTE_REJECTED, VOTE_REJECTED }, VOTE_LOST },
		{ 4, { VOTE_GRANTED, VOTE_GRANTED, VOTE_REJECTED, VOTE_REJECTED }, VOTE_LOST },
		{ 5, { VOTE_GRANTED, VOTE_GRANTED, VOTE_REJECTED, VOTE_REJECTED }, VOTE_PENDING },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(quorum_vote(cases[i].votes, cases[i].count), cases[i].want);
}

static void a_joint_vote_is_lost_with_either_half(void **state)
{
	const enum vote won[] = { VOTE_GRANTED }, lost[] = { VOTE_REJECTED },
			open[] = { VOTE_NONE };

	assert_int_equal(quorum_vote_joint(won, 1, won, 1), VOTE_WON);
	assert_int_equal(quorum_vote_joint(won, 1, open, 1), VOTE_PENDING);
	assert_int_equal(quorum_vote_joint(lost, 1, open, 1), VOTE_LOST);
	assert_int_equal(quorum_vote_joint(won, 1, lost, 1), VOTE_LOST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commit_index_is_held_by_a_majority),
		cmocka_unit_test(an_empty_half_agrees_with_everything),
		cmocka_unit_test(a_joint_commit_needs_both_halves),
		cmocka_unit_test(a_vote_is_won_lost_or_open),
		cmocka_unit_test(a_joint_vote_is_lost_with_either_half),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
