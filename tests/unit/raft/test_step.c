/* test_step.c - creation, refused inputs, incarnations. */
#include "tests/unit/raft/core_rig.h"

static void nonsense_at_creation_is_refused(void **state)
{
	for (int i = 0; i < 12; i++) {
		struct err err = ERR_INIT;
		struct rig g;

		rig_prepare(&g, 3, 2, TERMS(1, 1, 2, 2));
		switch (i) {
		case 0:
			g.options.self = 0;
			break;
		case 1:
			g.options.election_ticks = 2;
			break;
		case 2:
			g.options.heartbeat_ticks = 0;
			break;
		case 3:
			g.options.max_inflight_messages = 0;
			break;
		case 4:
			g.boot.applied_index = 5;
			break;
		case 5:
			g.boot.durable_index = 1;
			break;
		case 6:
			g.boot.hard.term = 1;
			break; /* a log above the hard state: a vote was lost */
		case 7:
			g.boot.term_count = 0;
			break;
		case 8:
			g.runs[1].index = 1;
			break;
		case 9:
			g.runs[1].term = 1;
			break;
		case 10:
			g.boot.conf.members[1].id = 1;
			break;
		case 11:
			g.boot.applied_index = 3;
			g.boot.applied_term = 1;
			break;
		}
		assert_null(raft_new(&g.options, &g.boot, &err));
		assert_int_equal(err.code, -EINVAL);
		assert_true(err.text[0] != 0);
	}
	raft_free(NULL);
}

static void an_impossible_message_changes_nothing(void **state)
{
	struct raft_snapshot_meta bad_term = rig_meta(9, 9, 3), bad_commit = rig_meta(1, 2, 3);
	const struct raft_message cases[] = {
		{ .type = 0, .from = 2, .to = 1, .term = 5 },
		{ .type = RAFT_MSG_TIMEOUT_NOW + 1, .from = 2, .to = 1, .term = 5 },
		{ .type = RAFT_MSG_HEARTBEAT, .from = 2, .to = 1, .term = 5, .group = 1 },
		{ .type = RAFT_MSG_HEARTBEAT, .from = 2, .to = 3, .term = 5 },
		{ .type = RAFT_MSG_HEARTBEAT, .from = 0, .to = 1, .term = 5 },
		{ .type = RAFT_MSG_HEARTBEAT, .from = 1, .to = 1, .term = 5 },
		{ .type = RAFT_MSG_HEARTBEAT, .from = 2, .to = 1, .term = 0 },
		{ .type = RAFT_MSG_HEARTBEAT, .from = 2, .to = 1, .term = 5, .commit = 5 },
		{ .type = RAFT_MSG_APPEND,
		  .from = 2,
		  .to = 1,
		  .term = 5,
		  .log_index = 1,
		  .log_term = 2 },
		{ .type = RAFT_MSG_HEARTBEAT, .from = 3, .to = 1, .term = 2 }, /* a second leader */
		{ .type = RAFT_MSG_SNAPSHOT, .from = 2, .to = 1, .term = 5 },
		{ .type = RAFT_MSG_SNAPSHOT, .from = 2, .to = 1, .term = 5, .snapshot = &bad_term },
		{ .type = RAFT_MSG_SNAPSHOT,
		  .from = 2,
		  .to = 1,
		  .term = 5,
		  .snapshot = &bad_commit },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct raft_message m = cases[i];
		struct raft *before = mem_alloc(sizeof(*before));
		struct rig g;

		rig_prepare(&g, 3, 2, TERMS(1, 1, 2, 2));
		g.boot.applied_index = 2;
		rig_boot(&g);
		RECV(&g, .type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 2);
		rig_tick(&g, 1);
		memcpy(before, g.r, sizeof(*before));
		m.incarnation = 1;
		assert_int_equal(
			rig_step(&g, (struct raft_input){ .type = RAFT_IN_MESSAGE, .message = &m }),
			-EPROTO);
		assert_memory_equal(before, g.r, sizeof(*before));
		assert_int_equal(g.out.send.count + g.out.send_when_stored.count, 0);
		assert_int_equal(g.out.commit_index, 2);
		free(before);
		rig_stop(&g);
	}
}

static void entries_out_of_order_are_refused(void **state)
{
	struct rig g;

	rig_start(&g, 3, 2, TERMS(1, 2));
	assert_int_equal(rig_append(&g, 2, 3, 2, 2, 0, TERMS(1)), -EPROTO); /* a falling term */
	assert_int_equal(rig_append(&g, 2, 3, 2, 2, 0, TERMS(4)), -EPROTO); /* above the leader's */
	assert_int_equal(g.r->hard.term, 2);
	rig_stop(&g);
	rig_start(&g, 3, 1, NULL);
	rig_lead(&g);
	assert_int_equal(rig_ack(&g, 2, 2), -EPROTO); /* nobody can hold more than the leader */
	rig_stop(&g);
}

static void messages_from_before_a_restart_are_dropped(void **state)
{
	struct rig g;

	rig_start(&g, 3, 1, NULL);
	rig_lead(&g);
	rig_propose(&g, 1);
	rig_persist(&g);
	RECV(&g, .type = RAFT_MSG_HEARTBEAT_RESP, .from = 2, .term = 2, .incarnation = 4);
	assert_int_equal(rig_status(&g).peers[0].state,
			 RAFT_PROBE); /* what was in flight is lost */
	RECV(&g, .type = RAFT_MSG_APPEND_RESP, .from = 2, .term = 2, .incarnation = 3,
	     .log_index = 2);
	assert_int_equal(g.out.commit_index, 1);
	RECV(&g, .type = RAFT_MSG_APPEND_RESP, .from = 2, .term = 2, .incarnation = 4,
	     .log_index = 2);
	assert_int_equal(g.out.commit_index, 2);
	rig_stop(&g);
}

static void strangers_are_judged_by_term_and_log(void **state)
{
	struct rig g;

	rig_start(&g, 3, 1, TERMS(1));
	RECV(&g, .type = RAFT_MSG_VOTE, .from = 9, .term = 2, .log_index = 1, .log_term = 1);
	assert_false(rig_sent(&g, RAFT_MSG_VOTE_RESP, 9)->reject);
	rig_stop(&g);
	rig_start(&g, 3, 1, NULL);
	rig_lead(&g);
	for (uint8_t type = RAFT_MSG_APPEND_RESP; type <= RAFT_MSG_TIMEOUT_NOW; type++) {
		if (type != RAFT_MSG_HEARTBEAT && type != RAFT_MSG_SNAPSHOT)
			assert_int_equal(RECV(&g, .type = type, .from = 9, .term = 2), 0);
	}
	assert_int_equal(g.r->role, RAFT_LEADER);
	rig_stop(&g);
}

static void a_message_hands_over_its_entries(void **state)
{
	struct blob *data = blob_from("hello", 5);
	struct raft_message m = {
		.type = RAFT_MSG_APPEND, .from = 2, .to = 1, .term = 2, .entry_count = 1
	};
	struct rig g;

	rig_start(&g, 3, 2, NULL);
	m.entries = mem_calloc(1, sizeof(m.entries[0]));
	m.entries[0] = (struct raft_entry){
		.index = 1, .term = 2, .type = RAFT_ENTRY_NORMAL, .data = blob_ref(data)
	};
	assert_int_equal(
		rig_step(&g, (struct raft_input){ .type = RAFT_IN_MESSAGE, .message = &m }), 0);
	assert_int_equal(m.entry_count, 0);
	assert_ptr_equal(g.out.persist.v[0].data, data);
	rig_stop(&g);
	assert_int_equal(data->refs, 1);
	blob_unref(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nonsense_at_creation_is_refused),
		cmocka_unit_test(an_impossible_message_changes_nothing),
		cmocka_unit_test(entries_out_of_order_are_refused),
		cmocka_unit_test(messages_from_before_a_restart_are_dropped),
		cmocka_unit_test(strangers_are_judged_by_term_and_log),
		cmocka_unit_test(a_message_hands_over_its_entries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
