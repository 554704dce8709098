/* test_snapshot.c - offers, installs, and how far the log may be cut. */
#include "tests/unit/raft/core_rig.h"

static int offer(struct rig *g, uint64_t from, uint64_t term, const struct raft_snapshot_meta *meta)
{
	return RECV(g, .type = RAFT_MSG_SNAPSHOT, .from = from, .term = term,
		    .snapshot = mem_dup(meta, sizeof(*meta)));
}

static void snapshot_input(struct rig *g, enum raft_input_type type,
			   const struct raft_snapshot_meta *meta, int result)
{
	assert_int_equal(
		rig_step(g, (struct raft_input){ .type = type,
						 .snapshot = { .meta = meta, .result = result } }),
		0);
}

static void an_offer_that_is_no_news_only_moves_commit(void **state)
{
	static const struct {
		uint64_t index, term, commit;
	} cases[] = {
		{ 1, 1, 2 }, /* at or below commit */
		{ 2, 1, 2 },
		{ 3, 2, 3 }, /* the log holds it */
		{ 4, 2, 4 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct raft_snapshot_meta meta = rig_meta(cases[i].index, cases[i].term, 3);
		struct rig g;

		rig_prepare(&g, 3, 2, TERMS(1, 1, 2, 2));
		g.boot.applied_index = 2;
		rig_boot(&g);
		offer(&g, 2, 2, &meta);
		assert_int_equal(g.out.snapshot.action, RAFT_SNAPSHOT_NONE);
		assert_int_equal(g.out.commit_index, cases[i].commit);
		assert_int_equal(g.r->tail.last_index, 4);
		assert_int_equal(rig_sent(&g, RAFT_MSG_APPEND_RESP, 2)->log_index, cases[i].commit);
		rig_stop(&g);
	}
}

static void an_image_replaces_a_log_that_does_not_hold_it(void **state)
{
	struct raft_snapshot_meta meta = rig_meta(9, 3, 4), newer = rig_meta(10, 3, 4);
	struct rig g;

	rig_start(&g, 3, 3, TERMS(1, 1));
	offer(&g, 2, 3, &meta);
	assert_int_equal(g.out.snapshot.action, RAFT_SNAPSHOT_FETCH);
	assert_int_equal(g.out.snapshot.from, 2);
	offer(&g, 2, 3, &newer); /* repeated while we pull: what was begun is what counts */
	assert_int_equal(g.out.snapshot.action, RAFT_SNAPSHOT_FETCH);
	assert_int_equal(g.out.snapshot.meta->index, 9);
	rig_tick(&g, 50);
	assert_int_equal(g.r->role, RAFT_FOLLOWER); /* it could not win */
	snapshot_input(&g, RAFT_IN_SNAPSHOT_RECEIVED, &meta, 0);
	assert_int_equal(g.out.snapshot.action, RAFT_SNAPSHOT_INSTALL);
	rig_append(&g, 2, 3, 2, 1, 2, TERMS(3)); /* ignored: the log is about to go */
	assert_int_equal(g.out.send.count + g.out.send_when_stored.count, 0);
	assert_int_equal(g.out.apply.count + g.out.persist.count, 0);
	RECV(&g, .type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 3);
	snapshot_input(&g, RAFT_IN_SNAPSHOT_INSTALLED, &meta, 0);
	assert_true(g.out.conf_changed);
	assert_int_equal(raft_conf(g.r)->count, 4);
	assert_int_equal(rig_sent(&g, RAFT_MSG_APPEND_RESP, 2)->log_index, 9);
	assert_int_equal(rig_status(&g).base_index, 9);
	assert_int_equal(rig_status(&g).last_index, 9);
	assert_int_equal(rig_status(&g).last_term, 3);
	assert_int_equal(rig_status(&g).applied_index, 9);
	assert_int_equal(rig_status(&g).snapshot_index, 9);
	g.handed = 9;
	rig_append(&g, 2, 3, 9, 3, 10, TERMS(3));
	rig_persist(&g);
	assert_int_equal(g.out.apply.count, 1);
	rig_stop(&g);
}

static void install_waits_for_what_was_handed_out(void **state)
{
	struct raft_snapshot_meta meta = rig_meta(9, 3, 3);
	struct rig g;

	rig_start(&g, 3, 3, NULL);
	rig_append(&g, 2, 3, 0, 0, 2, TERMS(1, 1));
	rig_persist(&g);
	assert_int_equal(g.out.apply.count, 2);
	rig_append(&g, 2, 3, 2, 1, 2, TERMS(1));
	offer(&g, 2, 3, &meta);
	snapshot_input(&g, RAFT_IN_SNAPSHOT_RECEIVED, &meta, 0);
	assert_int_equal(g.out.snapshot.action, RAFT_SNAPSHOT_NONE);
	rig_applied(&g);
	assert_int_equal(g.out.snapshot.action,
			 RAFT_SNAPSHOT_NONE); /* entry 3 is on its way to disk */
	rig_persist(&g);
	assert_int_equal(g.out.snapshot.action, RAFT_SNAPSHOT_INSTALL);
	/* A new term meanwhile: its hard state waits, and so does the answer. */
	RECV(&g, .type = RAFT_MSG_VOTE, .from = 3, .term = 4, .campaign_transfer = true,
	     .log_index = 9, .log_term = 3);
	assert_false(g.out.persist_hard_state);
	assert_int_equal(g.out.send_when_stored.count, 0);
	snapshot_input(&g, RAFT_IN_SNAPSHOT_INSTALLED, &meta, 0);
	assert_true(g.out.persist_hard_state);
	assert_int_equal(g.out.send_when_stored.count, 1);
	rig_stop(&g);
}

static void a_failed_or_stale_install_is_normal(void **state)
{
	struct raft_snapshot_meta meta = rig_meta(9, 3, 3), other = rig_meta(8, 3, 3);
	struct rig g;

	rig_start(&g, 3, 3, TERMS(1));
	snapshot_input(&g, RAFT_IN_SNAPSHOT_RECEIVED, &meta, 0); /* nobody asked */
	snapshot_input(&g, RAFT_IN_SNAPSHOT_FAILED, &meta, 0);
	offer(&g, 2, 3, &meta);
	snapshot_input(&g, RAFT_IN_SNAPSHOT_FAILED, &other, 0); /* another fetch's end */
	assert_null(rig_sent(&g, RAFT_MSG_SNAPSHOT_RESP, 2));
	snapshot_input(&g, RAFT_IN_SNAPSHOT_FAILED, &meta, 0);
	assert_true(rig_sent(&g, RAFT_MSG_SNAPSHOT_RESP, 2)->reject);
	offer(&g, 2, 3, &meta);
	snapshot_input(&g, RAFT_IN_SNAPSHOT_RECEIVED, &meta, 0);
	snapshot_input(&g, RAFT_IN_SNAPSHOT_INSTALLED, &meta, -EIO);
	assert_true(rig_sent(&g, RAFT_MSG_SNAPSHOT_RESP, 2)->reject);
	assert_int_equal(g.r->tail.last_index, 1);
	offer(&g, 2, 3, &meta);
	snapshot_input(&g, RAFT_IN_SNAPSHOT_RECEIVED, &meta, 0);
	snapshot_input(&g, RAFT_IN_SNAPSHOT_INSTALLED, &meta, -ESTALE);
	assert_int_equal(rig_status(&g).base_index, 0);
	rig_append(&g, 2, 3, 1, 1, 0, TERMS(3)); /* and the log goes on */
	assert_int_equal(g.r->tail.last_index, 2);
	rig_stop(&g);
}

static void a_fetch_that_the_log_overtakes_is_aborted(void **state)
{
	struct raft_snapshot_meta meta = rig_meta(3, 3, 3);
	struct rig g;

	rig_start(&g, 3, 3, TERMS(1));
	offer(&g, 2, 3, &meta);
	rig_append(&g, 2, 3, 1, 1, 0, TERMS(3, 3));
	assert_int_equal(g.out.snapshot.action, RAFT_SNAPSHOT_ABORT);
	assert_int_equal(g.out.commit_index, 3); /* the image's last entry is committed by nature */
	rig_stop(&g);
}

static void a_new_leader_takes_over_as_source(void **state)
{
	struct raft_snapshot_meta meta = rig_meta(9, 3, 3), newer = rig_meta(12, 3, 3);
	struct rig g;

	rig_start(&g, 3, 3, TERMS(1));
	offer(&g, 2, 3, &meta);
	offer(&g, 3, 4, &newer);
	assert_int_equal(g.out.snapshot.action, RAFT_SNAPSHOT_FETCH);
	assert_int_equal(g.out.snapshot.from, 3);
	snapshot_input(&g, RAFT_IN_SNAPSHOT_FAILED, &meta, 0); /* of the fetch that was replaced */
	assert_null(rig_sent(&g, RAFT_MSG_SNAPSHOT_RESP, 0));
	offer(&g, 3, 4, &newer); /* in case the owner was busy until now */
	assert_int_equal(g.out.snapshot.action, RAFT_SNAPSHOT_FETCH);
	snapshot_input(&g, RAFT_IN_SNAPSHOT_RECEIVED, &meta, 0); /* verified is verified */
	rig_persist(&g);
	assert_int_equal(g.out.snapshot.action, RAFT_SNAPSHOT_INSTALL);
	assert_int_equal(g.out.snapshot.meta->index, 9);
	rig_stop(&g);
}

/* ---- leader ---- */

static void grow(struct rig *g, size_t batches)
{
	for (size_t i = 0; i < batches; i++) {
		assert_int_equal(rig_propose_bytes(g, 10, 976), 0);
		rig_persist(g);
		rig_ack(g, 2, g->r->tail.last_index);
		rig_applied(g);
	}
	rig_step(g, (struct raft_input){ .type = RAFT_IN_DURABLE,
					 .durable = { .index = g->r->applied } });
}

static struct raft_snapshot_meta create_image(struct rig *g, uint64_t index)
{
	struct raft_snapshot_meta meta = rig_meta(index, raft_term_at(g->r, index), 3);

	snapshot_input(g, RAFT_IN_SNAPSHOT_CREATED, &meta, 0);
	return meta;
}

static void the_cut_needs_an_image_and_a_durable_state(void **state)
{
	struct rig g;

	rig_start(&g, 3, 1, NULL);
	rig_lead(&g);
	rig_propose(&g, 10);
	rig_persist(&g);
	rig_ack(&g, 2, 11);
	rig_ack(&g, 3, 11);
	rig_applied(&g);
	create_image(&g, 8);
	assert_int_equal(g.out.cut_prefix_to, 0);
	rig_step(&g, (struct raft_input){ .type = RAFT_IN_DURABLE, .durable = { .index = 5 } });
	assert_int_equal(g.out.cut_prefix_to, 5);
	rig_step(&g, (struct raft_input){ .type = RAFT_IN_DURABLE, .durable = { .index = 11 } });
	assert_int_equal(g.out.cut_prefix_to, 8);
	rig_tick(&g, 1);
	assert_int_equal(g.out.cut_prefix_to, 0);
	assert_int_equal(rig_status(&g).base_index, 8);
	assert_int_equal(raft_term_at(g.r, 8), 2);
	assert_int_equal(raft_term_at(g.r, 7), 0);
	rig_stop(&g);
}

static void a_tail_is_kept_for_slightly_late_peers(void **state)
{
	struct rig g;

	rig_prepare(&g, 3, 1, NULL);
	g.options.keep_tail_bytes = 20000;
	rig_boot(&g);
	rig_lead(&g);
	grow(&g, 4);
	create_image(&g, 41);
	/* Peer 3 still needs entry 2, and there is room for its delay ... */
	assert_int_equal(g.out.cut_prefix_to, 1);
	grow(&g, 10);
	create_image(&g, 141);
	/* ... but no more than four tails. */
	assert_in_range(g.out.cut_prefix_to, 50, 61);
	rig_ack(&g, 3, 141);
	assert_in_range(g.out.cut_prefix_to, 110, 121);
	rig_stop(&g);
}

static void a_peer_below_the_log_is_offered_the_image(void **state)
{
	const struct raft_message *m;
	struct rig g;

	rig_start(&g, 3, 1, NULL);
	rig_lead(&g);
	grow(&g, 2);
	create_image(&g, 21);
	assert_int_equal(g.out.cut_prefix_to, 21);
	RECV(&g, .type = RAFT_MSG_APPEND_RESP, .from = 3, .term = 2, .reject = true,
	     .log_index = 20, .hint_index = 0);
	m = rig_sent(&g, RAFT_MSG_SNAPSHOT, 3);
	assert_non_null(m);
	assert_int_equal(m->snapshot->index, 21);
	assert_int_equal(rig_status(&g).peers[1].state, RAFT_SNAPSHOT);
	rig_propose(&g, 1);
	assert_null(rig_sent(&g, RAFT_MSG_APPEND, 3));
	/* No news for an election timeout: the offer may have been lost. News: it is left alone. */
	for (int i = 0; i < 30; i++) {
		rig_step(&g, (struct raft_input){ .type = RAFT_IN_SNAPSHOT_PROGRESS,
						  .snapshot = { .peer = 3 } });
		rig_tick(&g, 1);
		RECV(&g, .type = RAFT_MSG_HEARTBEAT_RESP, .from = 3, .term = 2);
		assert_null(rig_sent(&g, RAFT_MSG_SNAPSHOT, 3));
	}
	for (int i = 0; i < 10; i++) {
		rig_tick(&g, 1);
		RECV(&g, .type = RAFT_MSG_HEARTBEAT_RESP, .from = 3, .term = 2);
	}
	assert_non_null(rig_sent(&g, RAFT_MSG_SNAPSHOT, 3));
	rig_ack(&g, 3, 21);
	assert_int_equal(rig_status(&g).peers[1].state, RAFT_REPLICATE);
	assert_int_equal(rig_sent(&g, RAFT_MSG_APPEND, 3)->entry_count, 1);
	rig_stop(&g);
}

static void a_refused_image_is_offered_again_after_a_heartbeat(void **state)
{
	struct rig g;

	rig_start(&g, 3, 1, NULL);
	rig_lead(&g);
	grow(&g, 2);
	create_image(&g, 21);
	RECV(&g, .type = RAFT_MSG_APPEND_RESP, .from = 3, .term = 2, .reject = true,
	     .log_index = 20);
	RECV(&g, .type = RAFT_MSG_SNAPSHOT_RESP, .from = 3, .term = 2, .reject = true,
	     .log_index = 7);
	assert_int_equal(rig_status(&g).peers[1].state, RAFT_SNAPSHOT); /* an older one */
	RECV(&g, .type = RAFT_MSG_SNAPSHOT_RESP, .from = 3, .term = 2, .reject = true,
	     .log_index = 21);
	assert_int_equal(rig_status(&g).peers[1].state, RAFT_PROBE);
	assert_null(rig_sent(&g, RAFT_MSG_SNAPSHOT, 3));
	RECV(&g, .type = RAFT_MSG_HEARTBEAT_RESP, .from = 3, .term = 2);
	assert_non_null(rig_sent(&g, RAFT_MSG_SNAPSHOT, 3));
	rig_stop(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_offer_that_is_no_news_only_moves_commit),
		cmocka_unit_test(an_image_replaces_a_log_that_does_not_hold_it),
		cmocka_unit_test(install_waits_for_what_was_handed_out),
		cmocka_unit_test(a_failed_or_stale_install_is_normal),
		cmocka_unit_test(a_fetch_that_the_log_overtakes_is_aborted),
		cmocka_unit_test(a_new_leader_takes_over_as_source),
		cmocka_unit_test(the_cut_needs_an_image_and_a_durable_state),
		cmocka_unit_test(a_tail_is_kept_for_slightly_late_peers),
		cmocka_unit_test(a_peer_below_the_log_is_offered_the_image),
		cmocka_unit_test(a_refused_image_is_offered_again_after_a_heartbeat),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
