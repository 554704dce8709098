/*
 * test_log_faults.c - each disk call of store_persist() and store_cut_prefix() fails once in turn.
 *
 * Whatever fails: the batch of three is there whole or not at all, the hard state is the old or the
 * new one, the store takes nothing more, and the next open finds it in order.
 */
#include "tests/unit/store/store_rig.h"

struct scenario {
	const char *name;
	bool set_hard;
	size_t fill; /* size of entry 2, written before: decides whether the three begin a segment
		      */
	size_t len;  /* of each of the three */
};

/* Entry 2 is there in term 2; then the three, 3 to 5, in term 2 or 3, with call fail_at failing. */
static int persist_three(struct store_rig *r, const struct scenario *s, unsigned fail_at, int error)
{
	int ret;

	store_rig_setup(r);
	assert_int_equal(store_rig_open(r), 0);
	assert_int_equal(store_rig_persist(r, true, 2, 2, 1, s->fill), 0);
	rig_io_reset(fail_at, error);
	ret = store_rig_persist(r, s->set_hard, s->set_hard ? 3 : 2, 3, 3, s->len);
	if (fail_at > 0 && rig_io_state.calls < fail_at)
		fail_msg("%s: call %u was never made", s->name, fail_at);
	return ret;
}

static void check_whole_or_absent(struct store_rig *r, const struct scenario *s)
{
	uint64_t term = s->set_hard ? 3 : 2;

	rig_io_reset(0, 0);
	assert_int_equal(store_rig_open(r), 0);
	assert_false(r->boot.was_clean);
	assert_true(r->boot.last_index == 2 || r->boot.last_index == 5);
	assert_true(r->boot.hard.term == 2 || r->boot.hard.term == term);
	assert_int_equal(store_rig_expect(r, 2, 2, 2, s->fill), 0);
	if (r->boot.last_index == 5) {
		assert_int_equal(r->boot.hard.term, term);
		assert_int_equal(store_rig_expect(r, 3, 5, term, s->len), 0);
	}
	/* And it goes on as if nothing had been. */
	assert_int_equal(store_rig_persist(r, true, 4, r->boot.last_index + 1, 2, 100), 0);
}

static void fail_each_call(const struct scenario *s, int error)
{
	struct store_rig r;
	unsigned calls;

	assert_int_equal(persist_three(&r, s, 0, 0), 0);
	calls = rig_io_state.calls;
	store_rig_teardown(&r);
	for (unsigned at = 1; at <= calls; at++) {
		assert_int_equal(persist_three(&r, s, at, error), error);
		assert_true(r.err.text[0] != '\0');
		/* Poisoned: no call gets through, and none reaches the disk. */
		rig_io_reset(0, 0);
		assert_int_equal(store_rig_persist(&r, false, 2, 3, 1, 10), -EIO);
		assert_int_equal(store_cut_prefix(r.store, 2, NULL), -EIO);
		store_rig_close(&r);
		assert_int_equal(rig_io_state.calls, 0);
		check_whole_or_absent(&r, s);
		store_rig_teardown(&r);
	}
}

static void three_entries_are_there_whole_or_not_at_all(void **state)
{
	static const struct scenario cases[] = {
		{ "entries", false, 100, 100 },
		{ "hard state and entries", true, 100, 100 },
		{ "entries that begin a segment", false, 9000, 3000 },
		{ "all of it", true, 9000, 3000 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		fail_each_call(&cases[i], -EIO);
		fail_each_call(&cases[i], -ENOSPC);
	}
}

/* Entries 2 to 60, then a cut at 50 with one failing call. */
static int cut_most(struct store_rig *r, unsigned fail_at)
{
	store_rig_setup(r);
	assert_int_equal(store_rig_open(r), 0);
	for (uint64_t i = 2; i <= 60; i++)
		assert_int_equal(store_rig_persist(r, i == 2, 2, i, 1, 2500), 0);
	rig_io_reset(fail_at, -EIO);
	return store_cut_prefix(r->store, 50, &r->err);
}

static void cut_that_fails_loses_nothing_above_it(void **state)
{
	struct store_rig r;
	unsigned calls;

	assert_int_equal(cut_most(&r, 0), 0);
	calls = rig_io_state.calls;
	store_rig_teardown(&r);
	for (unsigned at = 1; at <= calls; at++) {
		assert_int_equal(cut_most(&r, at), -EIO);
		assert_int_equal(store_rig_persist(&r, false, 2, 61, 1, 10), -EIO);
		store_rig_close(&r);
		rig_io_reset(0, 0);
		/* The state is at 1: a log that begins later than that cannot be used with it. */
		if (store_rig_open(&r) < 0) {
			assert_non_null(strstr(r.err.text, "the state ends at entry 1"));
		} else {
			assert_int_equal(r.boot.base_index, 0);
			assert_int_equal(store_rig_expect(&r, 2, 60, 2, 2500), 0);
		}
		store_rig_teardown(&r);
	}
}

static void full_disk_refuses_a_segment_and_poisons_nothing(void **state)
{
	struct store_rig r;
	uint64_t next = 2;
	int ret;

	store_rig_setup(&r);
	assert_int_equal(store_rig_open(&r), 0);
	atomic_store(&rig_spare_error, -ENOSPC);
	assert_int_equal(store_rig_persist(&r, true, 2, next++, 1, 100), 0);
	while ((ret = store_rig_persist(&r, false, 2, next, 1, 6000)) == 0)
		next++;
	assert_int_equal(ret, -ENOSPC);
	assert_non_null(strstr(r.err.text, "cannot make a segment"));
	assert_int_equal(store_rig_persist(&r, false, 2, next, 1, 6000), -ENOSPC);
	assert_int_equal(store_rig_expect(&r, 3, next - 1, 2, 6000), 0);
	atomic_store(&rig_spare_error, 0); /* somebody makes room */
	assert_int_equal(store_rig_persist(&r, false, 2, next, 3, 6000), 0);
	assert_int_equal(store_rig_expect(&r, 3, next + 2, 2, 6000), 0);
	store_rig_teardown(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(three_entries_are_there_whole_or_not_at_all),
		cmocka_unit_test(cut_that_fails_loses_nothing_above_it),
		cmocka_unit_test(full_disk_refuses_a_segment_and_poisons_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
