/* test_output.c - what is handed out, and which completion means what. */
#include "tests/unit/raft/core_rig.h"

/*
 * The ABA race: an entry is written, replaced, and comes back. The completion of the first write
 * names the same (index, term) as the last one, but the write between them is still to come.
 */
static void a_completion_of_a_replaced_write_marks_nothing(void **state)
{
	struct rig g;

	rig_start(&g, 3, 1, TERMS(1));
	rig_append(&g, 2, 1, 1, 1, 0, TERMS(1, 1)); /* 2 and 3 of term 1 are handed out */
	assert_int_equal(g.out.persist.count, 2);
	rig_append(&g, 3, 2, 1, 1, 0, TERMS(2)); /* another leader replaces them */
	assert_true(g.out.persist_hard_state);
	assert_int_equal(g.out.persist.count, 0); /* waits: the old ones are in flight */
	assert_int_equal(g.out.send_when_stored.count, 0);
	assert_int_equal(g.r->synced_index, 1);
	rig_append(&g, 2, 3, 1, 1, 0, TERMS(1, 1, 3)); /* and the first entries come back */
	assert_int_equal(g.out.persist.count, 0);
	/* The first write is down: entries 2 and 3 of term 1. That says nothing of the ones now. */
	rig_persisted(&g, 3, 1, false);
	assert_int_equal(g.r->synced_index, 1);
	assert_int_equal(g.out.persist.count, 0); /* the hard state of term 3 goes first */
	rig_persisted(&g, 3, 1, true);
	assert_int_equal(g.out.hard.term, 3);
	assert_int_equal(g.out.persist.count, 3);
	assert_int_equal(g.out.persist.v[0].index, 2);
	assert_int_equal(g.out.send_when_stored.count, 1); /* only the acknowledgement of term 3 */
	assert_int_equal(g.out.send_when_stored.v[0].term, 3);
	rig_persisted(&g, 4, 3, true);
	assert_int_equal(g.r->synced_index, 4);
	rig_stop(&g);
}

static void completions_in_pieces_and_stale_ones_are_normal(void **state)
{
	struct rig g;

	rig_start(&g, 3, 1, TERMS(1));
	rig_append(&g, 2, 1, 1, 1, 0, TERMS(1, 1));
	rig_append(&g, 2, 1, 3, 1, 0, TERMS(1));
	rig_persisted(&g, 2, 1, false);
	assert_int_equal(g.r->synced_index, 2);
	rig_persisted(&g, 2, 1, false);
	rig_persisted(&g, 3, 9, false); /* no such entry */
	assert_int_equal(g.r->synced_index, 2);
	rig_persisted(&g, 4, 1, false);
	assert_int_equal(g.r->synced_index, 4);
	rig_stop(&g);
}

static void promises_of_an_older_term_are_forgotten(void **state)
{
	struct rig g;

	rig_start(&g, 3, 1, TERMS(1));
	RECV(&g, .type = RAFT_MSG_VOTE, .from = 2, .term = 2, .log_index = 1, .log_term = 1);
	assert_int_equal(g.out.send_when_stored.count, 1);
	/* Term 3's hard state has to wait, and so has the acknowledgement; then term 4 begins. */
	rig_append(&g, 3, 3, 1, 1, 0, TERMS(3));
	assert_int_equal(g.out.send_when_stored.count + g.out.persist.count, 0);
	rig_append(&g, 2, 4, 1, 1, 0, TERMS(4));
	rig_persisted(&g, 1, 1, true);
	assert_int_equal(g.out.hard.term, 4);
	assert_int_equal(g.out.send_when_stored.count, 1);
	assert_int_equal(g.out.send_when_stored.v[0].term, 4);
	rig_stop(&g);
}

static void apply_is_handed_out_within_its_budget(void **state)
{
	struct rig g;

	rig_prepare(&g, 1, 1, NULL);
	g.options.max_apply_bytes = 250;
	rig_boot(&g);
	rig_tick(&g, 1);
	rig_persist(&g);
	rig_persist(&g);
	rig_applied(&g);
	rig_propose_bytes(&g, 5, 76);
	rig_persist(&g);
	assert_int_equal(g.out.apply.count, 2);
	rig_tick(&g, 1);
	assert_int_equal(g.out.apply.count, 0);
	rig_applied(&g);
	assert_int_equal(g.out.apply.count, 2);
	rig_applied(&g);
	assert_int_equal(g.out.apply.count, 1);
	assert_int_equal(rig_propose_bytes(&g, 1, 1000), 0); /* one always fits */
	rig_applied(&g);
	rig_persist(&g);
	assert_int_equal(g.out.apply.count, 1);
	rig_stop(&g);
}

static int load(struct rig *g, uint64_t lo, uint64_t hi, uint64_t term)
{
	struct raft_entry v[16];

	for (uint64_t i = lo; i <= hi; i++)
		v[i - lo] =
			(struct raft_entry){ .index = i, .term = term, .type = RAFT_ENTRY_NORMAL };
	return rig_step(
		g, (struct raft_input){ .type = RAFT_IN_LOADED,
					.loaded = { .v = v, .count = (size_t)(hi + 1 - lo) } });
}

static void what_was_not_applied_before_a_restart_is_loaded(void **state)
{
	struct rig g;

	rig_prepare(&g, 3, 2, TERMS(1, 1, 1, 1, 1, 1));
	g.boot.applied_index = 2;
	rig_boot(&g);
	RECV(&g, .type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 2, .commit = 5);
	assert_int_equal(g.out.load.lo, 3);
	assert_true(g.out.load.hi >= 5);
	rig_tick(&g, 1);
	assert_int_equal(g.out.load.lo, 0); /* one question at a time */
	load(&g, 3, 4, 1);                  /* fewer than asked */
	assert_int_equal(g.out.apply.count, 2);
	assert_int_equal(g.out.load.lo, 5);
	load(&g, 5, 4, 1); /* could not be read: asked again at the next tick */
	assert_int_equal(g.out.load.lo, 0);
	rig_tick(&g, 1);
	assert_int_equal(g.out.load.lo, 5);
	load(&g, 5, 6, 9); /* not what the log says */
	assert_int_equal(g.out.apply.count, 0);
	rig_tick(&g, 1);
	load(&g, 5, 6, 1);
	assert_int_equal(g.out.apply.count, 1); /* 6 is not committed */
	rig_stop(&g);
}

static void a_lagging_peer_is_fed_from_the_disk(void **state)
{
	const struct raft_message *m;
	struct rig g;

	rig_start(&g, 3, 1, TERMS(1, 1, 1, 1));
	rig_elect(&g);
	RECV(&g, .type = RAFT_MSG_APPEND_RESP, .from = 2, .term = 2, .reject = true, .log_index = 4,
	     .hint_index = 1, .hint_term = 1);
	m = rig_sent(&g, RAFT_MSG_APPEND, 2);
	assert_int_equal(m->log_index, 1);
	assert_int_equal(m->entry_count, 0); /* a probe needs no entries */
	rig_ack(&g, 2, 1);
	assert_null(rig_sent(&g, RAFT_MSG_APPEND, 2));
	assert_int_equal(g.out.load.lo, 2);
	assert_int_equal(g.out.load.hi, 4);
	load(&g, 2, 4, 1);
	m = rig_sent(&g, RAFT_MSG_APPEND, 2);
	assert_int_equal(m->entry_count, 4); /* loaded ones and the NOOP from the cache */
	assert_int_equal(m->entries[3].term, 2);
	rig_stop(&g);
}

static void the_cache_keeps_its_size_but_all_that_is_not_stable(void **state)
{
	struct rig g;

	rig_prepare(&g, 1, 1, NULL);
	g.options.max_cache_bytes = 300;
	rig_boot(&g);
	rig_tick(&g, 1);
	rig_persist(&g);
	rig_propose_bytes(&g, 10, 76);
	rig_tick(&g, 1);
	assert_true(rig_status(&g).cache_bytes > 1000);
	rig_persist(&g);
	assert_int_equal(g.out.apply.count, 11);
	rig_tick(&g, 1);
	assert_true(rig_status(&g).cache_bytes <= 300);
	rig_stop(&g);
}

static void an_output_lives_until_the_next_step(void **state)
{
	struct rig g;

	rig_prepare(&g, 1, 1, NULL);
	g.options.max_cache_bytes = 0;
	rig_boot(&g);
	rig_tick(&g, 1);
	rig_persist(&g);
	rig_persist(&g);
	rig_propose_bytes(&g, 3, 100);
	rig_persist(&g);
	assert_int_equal(g.out.apply.count, 3);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(g.out.apply.v[i].data->data[99], 7);
	rig_stop(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_completion_of_a_replaced_write_marks_nothing),
		cmocka_unit_test(completions_in_pieces_and_stale_ones_are_normal),
		cmocka_unit_test(promises_of_an_older_term_are_forgotten),
		cmocka_unit_test(apply_is_handed_out_within_its_budget),
		cmocka_unit_test(what_was_not_applied_before_a_restart_is_loaded),
		cmocka_unit_test(a_lagging_peer_is_fed_from_the_disk),
		cmocka_unit_test(the_cache_keeps_its_size_but_all_that_is_not_stable),
		cmocka_unit_test(an_output_lives_until_the_next_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
