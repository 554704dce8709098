/* test_progress.c - one peer's flow control. */
#include "tests/unit/raft/core_rig.h"

static void the_window_counts_messages_and_bytes(void **state)
{
	struct progress p;

	progress_init(&p, 2, 1, 3, 100);
	assert_false(inflights_full(&p.inflights));
	inflights_add(&p.inflights, 1, 99);
	assert_false(inflights_full(&p.inflights)); /* what tips the limit over still leaves */
	inflights_add(&p.inflights, 2, 50);
	assert_true(inflights_full(&p.inflights));
	inflights_free_le(&p.inflights, 1);
	assert_int_equal(p.inflights.bytes, 50);
	inflights_add(&p.inflights, 3, 1);
	inflights_add(&p.inflights, 5, 1);
	assert_true(inflights_full(&p.inflights)); /* three messages */
	inflights_free_le(&p.inflights, 4);
	assert_int_equal(p.inflights.count, 1);
	inflights_free_le(&p.inflights, 9);
	assert_int_equal(p.inflights.count + p.inflights.bytes, 0);
	progress_release(&p);
}

static void replicate_is_optimistic_and_probe_is_not(void **state)
{
	struct progress p;

	progress_init(&p, 2, 5, 2, 0);
	progress_sent_entries(&p, 3, 30);
	assert_int_equal(p.next, 5);
	assert_true(progress_paused(&p));
	assert_true(progress_update(&p, 4));
	progress_become_replicate(&p);
	progress_sent_entries(&p, 3, 30);
	assert_int_equal(p.next, 8);
	assert_false(progress_paused(&p));
	progress_sent_entries(&p, 1, 10);
	assert_true(progress_paused(&p));
	progress_become_probe(&p);
	assert_int_equal(p.next, 5);
	assert_int_equal(p.inflights.count, 0);
	progress_release(&p);
}

static void old_answers_change_nothing(void **state)
{
	static const struct {
		enum raft_peer_state state;
		uint64_t match, next, rejected, hint;
		bool moved;
		uint64_t want;
	} cases[] = {
		{ RAFT_REPLICATE, 5, 10, 5, 5, false, 10 },
		{ RAFT_REPLICATE, 5, 10, 4, 4, false, 10 },
		{ RAFT_REPLICATE, 5, 10, 9, 9, true, 6 },
		{ RAFT_PROBE, 0, 10, 5, 5, false, 10 },
		{ RAFT_PROBE, 0, 10, 9, 9, true, 9 },
		{ RAFT_PROBE, 0, 10, 9, 2, true, 3 },
		{ RAFT_PROBE, 0, 1, 0, 0, true, 1 },
		{ RAFT_PROBE, 4, 10, 9, 2, true, 5 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct progress p;

		progress_init(&p, 2, cases[i].next, 2, 0);
		p.state = cases[i].state;
		p.match = cases[i].match;
		assert_int_equal(progress_decrease(&p, cases[i].rejected, cases[i].hint),
				 cases[i].moved);
		assert_int_equal(p.next, cases[i].want);
		progress_release(&p);
	}
}

static void match_never_goes_back(void **state)
{
	struct progress p;

	progress_init(&p, 2, 9, 2, 0);
	assert_true(progress_update(&p, 7));
	assert_false(progress_update(&p, 7));
	assert_false(progress_update(&p, 3));
	assert_int_equal(p.match, 7);
	assert_int_equal(p.next, 9);
	assert_true(progress_update(&p, 12));
	assert_int_equal(p.next, 13);
	progress_release(&p);
}

static void after_an_image_the_probe_starts_above_it(void **state)
{
	struct progress p;

	progress_init(&p, 2, 3, 2, 0);
	progress_become_snapshot(&p, 20);
	assert_true(progress_paused(&p));
	assert_int_equal(p.next, 21);
	progress_become_probe(&p);
	assert_int_equal(p.next, 21);
	assert_int_equal(p.match, 0);
	assert_int_equal(p.pending_snapshot, 0);
	progress_release(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_window_counts_messages_and_bytes),
		cmocka_unit_test(replicate_is_optimistic_and_probe_is_not),
		cmocka_unit_test(old_answers_change_nothing),
		cmocka_unit_test(match_never_goes_back),
		cmocka_unit_test(after_an_image_the_probe_starts_above_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
