/* test_tail.c - the live end of the log. */
#include "tests/unit/raft/core_rig.h"

static void make(struct tail *t, uint64_t base, uint64_t base_term, const uint64_t *terms,
		 size_t len)
{
	tail_init(t, base, base_term, NULL, 0, base, 100);
	for (size_t i = 0; terms[i] != 0; i++)
		tail_append(t, (struct raft_entry){ .index = base + 1 + i,
						    .term = terms[i],
						    .type = RAFT_ENTRY_NORMAL,
						    .data = blob_new(len) });
	tail_check(t);
}

static void the_term_of_every_index_is_known(void **state)
{
	const uint64_t terms[] = { 3, 3, 5, 5, 5, 9, 0 };
	struct tail t;

	make(&t, 10, 2, terms, 1);
	assert_int_equal(tail_term(&t, 9), 0);
	assert_int_equal(tail_term(&t, 10), 2);
	for (size_t i = 0; terms[i] != 0; i++)
		assert_int_equal(tail_term(&t, 11 + i), terms[i]);
	assert_int_equal(tail_term(&t, 17), 0);
	assert_int_equal(tail_last_term(&t), 9);
	tail_evict(&t, 0, 16);
	assert_null(tail_get(&t, 16));
	assert_int_equal(tail_term(&t, 13), 5);
	tail_check(&t);
	tail_release(&t);
}

static void a_conflict_is_searched_by_term(void **state)
{
	static const struct {
		uint64_t from, term, want, want_term;
	} cases[] = {
		{ 16, 9, 16, 9 }, { 16, 8, 15, 5 }, { 16, 5, 15, 5 }, { 14, 5, 14, 5 },
		{ 16, 4, 12, 3 }, { 16, 2, 10, 2 }, { 99, 3, 12, 3 }, { 10, 2, 10, 2 },
		{ 16, 1, 9, 0 },  { 10, 1, 9, 0 },  { 7, 5, 7, 0 },
	};
	struct tail t;

	make(&t, 10, 2, TERMS(3, 3, 5, 5, 5, 9), 1);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t term = 77;

		assert_int_equal(tail_find_conflict(&t, cases[i].from, cases[i].term, &term),
				 cases[i].want);
		assert_int_equal(term, cases[i].want_term);
	}
	tail_release(&t);
	make(&t, 0, 0, TERMS(3), 1);
	for (uint64_t from = 0; from < 3; from++) {
		uint64_t term = 77;

		assert_int_equal(tail_find_conflict(&t, from, 1, &term), 0);
		assert_int_equal(term, 0);
	}
	tail_release(&t);
}

static void cut_and_truncate_keep_the_rest(void **state)
{
	const uint64_t terms[] = { 3, 3, 5, 5, 5, 9, 0 };

	for (uint64_t cut = 10; cut <= 16; cut++) {
		for (uint64_t end = cut; end <= 16; end++) {
			struct tail t;

			make(&t, 10, 2, terms, 1);
			tail_truncate(&t, end + 1);
			tail_cut(&t, cut);
			tail_check(&t);
			assert_int_equal(t.base_index, cut);
			assert_int_equal(t.last_index, end);
			for (uint64_t i = cut + 1; i <= end; i++) {
				assert_int_equal(tail_term(&t, i), terms[i - 11]);
				assert_int_equal(tail_get(&t, i)->index, i);
			}
			assert_int_equal(t.base_term, cut == 10 ? 2 : terms[cut - 11]);
			tail_append(&t, (struct raft_entry){ .index = end + 1, .term = 9 });
			tail_check(&t);
			tail_release(&t);
		}
	}
}

static void the_window_serves_what_the_cache_lacks(void **state)
{
	struct raft_entry v[3];
	struct tail t;

	make(&t, 10, 2, TERMS(3, 3, 5, 5, 5, 9), 1);
	tail_evict(&t, 0, 14);
	assert_null(tail_get(&t, 14));
	assert_non_null(tail_get(&t, 15));
	for (size_t i = 0; i < 3; i++)
		v[i] = (struct raft_entry){ .index = 12 + i, .term = i == 0 ? 3 : 5 };
	tail_set_window(&t, v, 3);
	tail_check(&t);
	assert_null(tail_get(&t, 11));
	assert_int_equal(tail_get(&t, 12)->term, 3);
	assert_int_equal(tail_get(&t, 14)->term, 5);
	tail_truncate(&t, 14);
	assert_null(tail_get(&t, 13)); /* it reached into what was cut */
	tail_check(&t);
	tail_release(&t);
}

static void a_cut_leaves_a_tail_of_the_size_asked(void **state)
{
	struct tail t;
	uint64_t cut;

	make(&t, 0, 0, TERMS(1, 1, 1, 1, 1, 1, 1, 1, 1, 1), 76); /* ten of 100 bytes */
	assert_int_equal(tail_cut_keeping(&t, 0), 10);
	for (uint64_t keep = 1; keep <= 1000; keep += 50) {
		cut = tail_cut_keeping(&t, keep);
		assert_true((10 - cut) * 100 >= keep);
		assert_true((10 - cut) * 100 <= keep + 200);
	}
	assert_int_equal(tail_cut_keeping(&t, 1001), 0);
	tail_release(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_term_of_every_index_is_known),
		cmocka_unit_test(a_conflict_is_searched_by_term),
		cmocka_unit_test(cut_and_truncate_keep_the_rest),
		cmocka_unit_test(the_window_serves_what_the_cache_lacks),
		cmocka_unit_test(a_cut_leaves_a_tail_of_the_size_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
