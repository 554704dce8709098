/* test_replication.c - append, acknowledge, commit. */
#include "tests/unit/raft/core_rig.h"

static void commit_may_precede_the_leaders_own_sync(void **state)
{
	struct rig g;

	rig_start(&g, 3, 1, TERMS(1));
	rig_elect(&g);
	assert_int_equal(g.out.persist.count, 1);
	rig_ack(&g, 2, 2);
	assert_int_equal(g.out.commit_index, 0); /* one disk of three */
	rig_ack(&g, 3, 2);
	assert_int_equal(g.out.commit_index, 2);
	rig_step(&g, (struct raft_input){
			     .type = RAFT_IN_LOADED,
			     .loaded = { .v = &(struct raft_entry){ .index = 1,
								    .term = 1,
								    .type = RAFT_ENTRY_NOOP },
					 .count = 1 } });
	assert_int_equal(g.out.apply.count, 1); /* what is applied is on our own disk, too */
	rig_persist(&g);
	assert_int_equal(g.out.apply.count, 1);
	rig_stop(&g);
}

static void the_leaders_own_copy_counts_only_when_synced(void **state)
{
	struct rig g;

	rig_start(&g, 3, 1, NULL);
	rig_elect(&g);
	rig_ack(&g, 2, 1);
	assert_int_equal(g.out.commit_index, 0);
	rig_step(&g, (struct raft_input){
			     .type = RAFT_IN_PERSISTED,
			     .persisted = { .index = 1, .term = 2, .level = RAFT_WRITTEN } });
	assert_int_equal(g.out.commit_index, 0);
	rig_persist(&g);
	assert_int_equal(g.out.commit_index, 1);
	rig_stop(&g);
}

/* Dissertation, figure 3.7 (figure 8 of the paper). */
static void an_older_terms_entry_commits_only_below_one_of_our_own(void **state)
{
	struct rig g;

	rig_start(&g, 5, 3, TERMS(1, 2));
	rig_elect(&g); /* term 4; its NOOP is entry 3 */
	rig_persist(&g);
	rig_ack(&g, 2, 2);
	rig_ack(&g, 3, 2);
	assert_int_equal(g.out.commit_index,
			 0); /* entry 2 is on three of five and still not safe */
	rig_ack(&g, 2, 3);
	assert_int_equal(g.out.commit_index, 0);
	rig_ack(&g, 3, 3);
	assert_int_equal(g.out.commit_index, 3);
	rig_stop(&g);
}

static void appends_are_pipelined_up_to_the_message_limit(void **state)
{
	struct rig g;

	rig_start(&g, 3, 1, NULL);
	rig_lead(&g);
	for (int i = 0; i < 3; i++) {
		rig_propose(&g, 2);
		assert_int_equal(rig_sent(&g, RAFT_MSG_APPEND, 2)->entry_count, 2);
	}
	rig_propose(&g, 2);
	assert_null(rig_sent(&g, RAFT_MSG_APPEND, 2)); /* the window of three is full */
	/* A heartbeat's answer allows one empty append, which finds out about losses. */
	RECV(&g, .type = RAFT_MSG_HEARTBEAT_RESP, .from = 2, .term = 2);
	assert_int_equal(rig_count_sent(&g, RAFT_MSG_APPEND, 2), 1);
	assert_int_equal(rig_sent(&g, RAFT_MSG_APPEND, 2)->entry_count, 0);
	rig_ack(&g, 2, 3); /* the first message of two */
	assert_int_equal(rig_sent(&g, RAFT_MSG_APPEND, 2)->entry_count, 2);
	assert_int_equal(rig_sent(&g, RAFT_MSG_APPEND, 2)->log_index, 7);
	rig_stop(&g);
}

static void appends_are_limited_in_bytes(void **state)
{
	struct rig g;

	rig_prepare(&g, 3, 1, NULL);
	g.options.max_message_bytes = 300;
	g.options.max_inflight_bytes = 500;
	g.options.max_inflight_messages = 100;
	rig_boot(&g);
	rig_lead(&g);
	rig_propose_bytes(&g, 10, 76); /* 100 with the frame */
	assert_int_equal(rig_count_sent(&g, RAFT_MSG_APPEND, 2), 1);
	assert_int_equal(rig_sent(&g, RAFT_MSG_APPEND, 2)->entry_count, 3);
	rig_ack(&g, 2, 4);
	/* Six hundred bytes fill the window: what is over when a message is sent still leaves. */
	assert_int_equal(rig_count_sent(&g, RAFT_MSG_APPEND, 2), 2);
	rig_propose_bytes(&g, 1, 5000); /* larger than a message may be */
	rig_ack(&g, 2, 7);
	rig_ack(&g, 2, 10);
	rig_ack(&g, 2, 11);
	assert_int_equal(rig_status(&g).peers[0].next_index, 13);
	rig_stop(&g);
}

static void a_probe_is_one_append_at_a_time(void **state)
{
	struct rig g;

	rig_start(&g, 3, 1, TERMS(1, 1));
	rig_elect(&g);
	rig_propose(&g, 1);
	assert_null(rig_sent(&g, RAFT_MSG_APPEND, 2));
	assert_int_equal(rig_status(&g).peers[0].state, RAFT_PROBE);
	rig_ack(&g, 2, 3);
	assert_int_equal(rig_status(&g).peers[0].state, RAFT_REPLICATE);
	assert_int_equal(rig_sent(&g, RAFT_MSG_APPEND, 2)->entry_count, 1);
	rig_step(&g, (struct raft_input){ .type = RAFT_IN_UNREACHABLE, .peer = { .id = 2 } });
	assert_int_equal(rig_status(&g).peers[0].state, RAFT_PROBE);
	rig_stop(&g);
}

static void a_refusal_skips_whole_terms(void **state)
{
	const struct raft_message *m;
	struct rig g;

	/* As leader: 1 3 3 3 5 5 | 6. The follower had 1 3 3 4 4 4. */
	rig_start(&g, 3, 5, TERMS(1, 3, 3, 3, 5, 5));
	rig_elect(&g);
	m = rig_sent(&g, RAFT_MSG_APPEND, 2);
	assert_int_equal(m->log_index, 6);
	RECV(&g, .type = RAFT_MSG_APPEND_RESP, .from = 2, .term = 6, .reject = true, .log_index = 6,
	     .hint_index = 6, .hint_term = 4);
	m = rig_sent(&g, RAFT_MSG_APPEND, 2);
	assert_int_equal(m->log_index, 4);
	assert_int_equal(m->log_term, 3);
	/* The same answer again is an old one. */
	RECV(&g, .type = RAFT_MSG_APPEND_RESP, .from = 2, .term = 6, .reject = true, .log_index = 6,
	     .hint_index = 6, .hint_term = 4);
	assert_int_equal(g.out.send.count, 0);
	/* An old refusal does not stop a peer that replicates. */
	rig_ack(&g, 2, 7);
	assert_int_equal(rig_status(&g).peers[0].state, RAFT_REPLICATE);
	RECV(&g, .type = RAFT_MSG_APPEND_RESP, .from = 2, .term = 6, .reject = true, .log_index = 6,
	     .hint_index = 6, .hint_term = 4);
	assert_int_equal(rig_status(&g).peers[0].state, RAFT_REPLICATE);
	rig_stop(&g);

	/* As follower: the hint is the last entry that could match. */
	rig_start(&g, 3, 5, TERMS(1, 3, 3, 4, 4, 4));
	rig_append(&g, 2, 6, 9, 5, 0, NULL);
	m = rig_sent(&g, RAFT_MSG_APPEND_RESP, 2);
	assert_true(m->reject && m->log_index == 9 && m->hint_index == 6 && m->hint_term == 4);
	rig_append(&g, 2, 6, 4, 3, 0, NULL);
	m = rig_sent(&g, RAFT_MSG_APPEND_RESP, 2);
	assert_true(m->reject && m->hint_index == 3 && m->hint_term == 3);
	rig_stop(&g);
}

static void a_conflict_is_replaced_and_what_matches_stays(void **state)
{
	struct rig g;

	rig_start(&g, 3, 3, TERMS(1, 1, 2, 2));
	rig_append(&g, 2, 3, 1, 1, 0, TERMS(1, 2)); /* known already */
	assert_int_equal(g.out.persist.count, 0);
	assert_int_equal(g.r->tail.last_index, 4);
	assert_int_equal(rig_sent(&g, RAFT_MSG_APPEND_RESP, 2)->log_index, 3);
	rig_append(&g, 2, 3, 2, 1, 0, TERMS(2, 3));
	assert_int_equal(g.out.persist.v[0].index, 4);
	assert_int_equal(g.out.persist.v[0].term, 3);
	assert_int_equal(g.r->synced_index, 3);
	assert_int_equal(g.out.send.count, 0);
	assert_int_equal(g.out.send_when_stored.v[0].log_index, 4);
	rig_stop(&g);
}

static void a_follower_commits_no_more_than_it_was_shown(void **state)
{
	struct rig g;

	rig_start(&g, 3, 1, TERMS(1, 1, 1));
	rig_append(&g, 2, 2, 1, 1, 3, TERMS(1));
	assert_int_equal(g.out.commit_index, 2);
	RECV(&g, .type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 2, .commit = 3);
	assert_int_equal(g.out.commit_index, 3);
	assert_int_equal(RECV(&g, .type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 2, .commit = 4),
			 -EPROTO);
	assert_int_equal(g.r->commit, 3);
	/* An append below commit is answered with commit and changes nothing. */
	rig_append(&g, 2, 2, 1, 1, 3, TERMS(2));
	assert_int_equal(rig_sent(&g, RAFT_MSG_APPEND_RESP, 2)->log_index, 3);
	assert_int_equal(g.r->tail.last_index, 3);
	rig_stop(&g);
}

static void a_new_commit_is_told_at_once_and_once(void **state)
{
	struct rig g;

	rig_start(&g, 3, 1, NULL);
	rig_lead(&g);
	rig_propose(&g, 1);
	rig_ack(&g, 2, 2);
	rig_persist(&g);
	assert_int_equal(g.out.commit_index, 2);
	for (uint64_t id = 2; id <= 3; id++) {
		assert_int_equal(rig_count_sent(&g, RAFT_MSG_APPEND, id), 1);
		assert_int_equal(rig_sent(&g, RAFT_MSG_APPEND, id)->commit, 2);
	}
	rig_ack(&g, 3, 2);
	assert_int_equal(g.out.send.count, 0);
	rig_stop(&g);
}

static void an_idle_leader_only_beats(void **state)
{
	struct rig g;

	rig_start(&g, 3, 1, NULL);
	rig_lead(&g);
	rig_persist(&g);
	for (int i = 0; i < 40; i++) {
		rig_tick(&g, 1);
		assert_false(g.out.persist_hard_state);
		assert_int_equal(g.out.persist.count, 0);
		for (size_t k = 0; k < g.out.send.count; k++)
			assert_int_equal(g.out.send.v[k].type, RAFT_MSG_HEARTBEAT);
		RECV(&g, .type = RAFT_MSG_HEARTBEAT_RESP, .from = 2, .term = 2);
		assert_int_equal(g.out.send.count, 0);
		RECV(&g, .type = RAFT_MSG_HEARTBEAT_RESP, .from = 3, .term = 2);
	}
	rig_stop(&g);
}

static void heartbeats_never_commit_beyond_what_matches(void **state)
{
	struct rig g;

	rig_start(&g, 3, 1, TERMS(1, 1, 1));
	rig_elect(&g);
	rig_persist(&g);
	rig_ack(&g, 2, 4);
	assert_int_equal(g.out.commit_index, 4);
	rig_tick(&g, 2);
	assert_int_equal(rig_sent(&g, RAFT_MSG_HEARTBEAT, 2)->commit, 4);
	assert_int_equal(rig_sent(&g, RAFT_MSG_HEARTBEAT, 3)->commit, 0);
	rig_stop(&g);
}

static void proposals_are_refused_where_they_cannot_hold(void **state)
{
	struct raft_proposal p = { .type = RAFT_ENTRY_NORMAL };
	struct raft_input in = { .type = RAFT_IN_PROPOSE, .propose = { .v = &p, .count = 1 } };
	struct rig g;

	rig_start(&g, 3, 1, NULL);
	assert_int_equal(rig_step(&g, in), 0);
	assert_int_equal(g.out.propose_result, RAFT_PROPOSE_NOT_LEADER);
	rig_lead(&g);
	in.propose.prev_index = 1;
	in.propose.prev_term = 1;
	assert_int_equal(rig_step(&g, in), 0);
	assert_int_equal(g.out.propose_result, RAFT_PROPOSE_SUPERSEDED);
	in.propose.prev_term = 2;
	assert_int_equal(rig_step(&g, in), 0);
	assert_int_equal(g.out.propose_result, RAFT_PROPOSE_APPENDED);
	assert_int_equal(g.out.propose_first_index, 2);
	assert_int_equal(rig_step(&g, in), 0);
	assert_int_equal(g.out.propose_result, RAFT_PROPOSE_SUPERSEDED);
	rig_stop(&g);
}

static void too_much_uncommitted_pushes_back(void **state)
{
	struct rig g;

	rig_prepare(&g, 3, 1, NULL);
	g.options.max_uncommitted_bytes = 500;
	rig_boot(&g);
	rig_lead(&g);
	assert_int_equal(rig_propose_bytes(&g, 1, 5000), 0); /* alone, anything fits */
	assert_int_equal(rig_propose_bytes(&g, 1, 1), -EAGAIN);
	assert_int_equal(g.out.propose_result, RAFT_PROPOSE_BUSY);
	assert_int_equal(g.r->tail.last_index, 2);
	rig_persist(&g);
	rig_ack(&g, 2, 2);
	assert_int_equal(rig_status(&g).uncommitted_bytes, 0);
	assert_int_equal(rig_propose_bytes(&g, 2, 176), 0);
	assert_int_equal(rig_status(&g).uncommitted_bytes, 400);
	assert_int_equal(rig_propose_bytes(&g, 1, 176), -EAGAIN);
	rig_stop(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commit_may_precede_the_leaders_own_sync),
		cmocka_unit_test(the_leaders_own_copy_counts_only_when_synced),
		cmocka_unit_test(an_older_terms_entry_commits_only_below_one_of_our_own),
		cmocka_unit_test(appends_are_pipelined_up_to_the_message_limit),
		cmocka_unit_test(appends_are_limited_in_bytes),
		cmocka_unit_test(a_probe_is_one_append_at_a_time),
		cmocka_unit_test(a_refusal_skips_whole_terms),
		cmocka_unit_test(a_conflict_is_replaced_and_what_matches_stays),
		cmocka_unit_test(a_follower_commits_no_more_than_it_was_shown),
		cmocka_unit_test(a_new_commit_is_told_at_once_and_once),
		cmocka_unit_test(an_idle_leader_only_beats),
		cmocka_unit_test(heartbeats_never_commit_beyond_what_matches),
		cmocka_unit_test(proposals_are_refused_where_they_cannot_hold),
		cmocka_unit_test(too_much_uncommitted_pushes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
