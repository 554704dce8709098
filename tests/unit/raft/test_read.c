/* test_read.c - linearizable reads by read index. */
#include "tests/unit/raft/core_rig.h"

static void confirm(struct rig *g, uint64_t from, uint64_t round)
{
	RECV(g, .type = RAFT_MSG_HEARTBEAT_RESP, .from = from, .term = g->r->hard.term,
	     .context = round);
}

static void a_read_is_answered_by_one_round_at_once(void **state)
{
	struct rig g;
	uint64_t round;

	rig_start(&g, 3, 1, NULL);
	rig_lead(&g);
	rig_read(&g, 77);
	assert_int_equal(rig_count_sent(&g, RAFT_MSG_HEARTBEAT, 2), 1);
	round = rig_sent(&g, RAFT_MSG_HEARTBEAT, 3)->context;
	assert_true(round != 0 && round != 77);
	assert_int_equal(g.out.read_count, 0);
	confirm(&g, 3, 0); /* an answer to an ordinary heartbeat proves nothing */
	assert_int_equal(g.out.read_count, 0);
	confirm(&g, 3, round);
	assert_int_equal(g.out.read_count, 1);
	assert_true(g.out.reads[0].ok && g.out.reads[0].id == 77 && g.out.reads[0].index == 1);
	rig_stop(&g);
}

static void reads_that_wait_share_the_next_round(void **state)
{
	struct rig g;
	uint64_t first, second;

	rig_start(&g, 3, 1, NULL);
	rig_lead(&g);
	rig_read(&g, 1);
	first = rig_sent(&g, RAFT_MSG_HEARTBEAT, 2)->context;
	rig_read(&g, 2);
	rig_read(&g, 3);
	assert_int_equal(g.out.send.count, 0);
	confirm(&g, 2, first);
	assert_int_equal(g.out.read_count,
			 1); /* the first; an older answer cannot speak for the rest */
	second = rig_sent(&g, RAFT_MSG_HEARTBEAT, 2)->context;
	assert_true(second > first);
	confirm(&g, 3, first);
	assert_int_equal(g.out.read_count, 0);
	confirm(&g, 3, second);
	assert_int_equal(g.out.read_count, 2);
	rig_stop(&g);
}

static void a_lost_round_is_repeated_by_the_heartbeat(void **state)
{
	struct rig g;
	uint64_t round;

	rig_start(&g, 3, 1, NULL);
	rig_lead(&g);
	rig_read(&g, 1);
	round = rig_sent(&g, RAFT_MSG_HEARTBEAT, 2)->context;
	rig_tick(&g, 2);
	assert_int_equal(rig_sent(&g, RAFT_MSG_HEARTBEAT, 2)->context, round);
	rig_stop(&g);
}

static void no_read_is_answered_before_an_own_term_commit(void **state)
{
	struct rig g;

	rig_start(&g, 3, 1, TERMS(1));
	rig_elect(&g);
	rig_read(&g, 1);
	rig_tick(&g, 2);
	assert_int_equal(rig_sent(&g, RAFT_MSG_HEARTBEAT, 2)->context, 0);
	confirm(&g, 2, 0);
	confirm(&g, 3, 0);
	assert_int_equal(g.out.read_count, 0);
	rig_persist(&g);
	rig_ack(&g, 2, 2);
	confirm(&g, 2, g.r->reads.round);
	assert_int_equal(g.out.read_count, 1);
	assert_int_equal(g.out.reads[0].index, 2);
	rig_stop(&g);
}

static void a_leader_that_steps_down_fails_its_reads(void **state)
{
	struct rig g;

	rig_start(&g, 3, 1, NULL);
	rig_lead(&g);
	rig_read(&g, 1);
	rig_read(&g, 2);
	RECV(&g, .type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 9);
	assert_int_equal(g.out.read_count, 2);
	assert_false(g.out.reads[0].ok || g.out.reads[1].ok);
	rig_stop(&g);
}

static void a_stale_leader_cannot_answer(void **state)
{
	struct rig g;

	rig_start(&g, 3, 1, NULL);
	rig_lead(&g);
	for (int i = 0; i < 20; i++) {
		rig_read(&g, 100 + (uint64_t)i);
		assert_int_equal(g.out.read_count, 0);
		rig_tick(&g, 1);
	}
	assert_int_equal(g.r->role, RAFT_FOLLOWER); /* check-quorum */
	assert_int_equal(g.out.read_count, 20);
	for (size_t i = 0; i < 20; i++)
		assert_false(g.out.reads[i].ok);
	rig_stop(&g);
}

static void a_single_voter_answers_at_once(void **state)
{
	struct rig g;

	rig_start(&g, 1, 1, NULL);
	rig_tick(&g, 1);
	rig_persist(&g);
	rig_persist(&g);
	rig_read(&g, 4);
	assert_int_equal(g.out.read_count, 1);
	assert_true(g.out.reads[0].ok && g.out.reads[0].index == 1);
	rig_stop(&g);
}

static void a_follower_asks_the_leader_with_its_own_context(void **state)
{
	struct rig g;
	uint64_t context;

	rig_prepare(&g, 3, 1, NULL);
	g.boot.incarnation = 6;
	rig_boot(&g);
	RECV(&g, .type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 1);
	rig_read(&g, 1);
	assert_int_equal(rig_count_sent(&g, RAFT_MSG_READ_INDEX, 2), 1);
	context = rig_sent(&g, RAFT_MSG_READ_INDEX, 2)->context;
	assert_int_equal(context >> 32, 6); /* never one from before a restart */
	RECV(&g, .type = RAFT_MSG_READ_INDEX_RESP, .from = 2, .term = 1, .context = 5 << 1,
	     .log_index = 3);
	assert_int_equal(g.out.read_count, 0);
	for (uint64_t id = 2; id <= 9; id++)
		rig_read(&g, id); /* some questions under way, the rest wait for the next */
	assert_int_equal(g.r->reads.groups, RAFT_READ_GROUPS_MAX);
	RECV(&g, .type = RAFT_MSG_READ_INDEX_RESP, .from = 2, .term = 1, .context = context,
	     .log_index = 3);
	assert_int_equal(g.out.read_count, 1);
	assert_true(g.out.reads[0].ok && g.out.reads[0].id == 1 && g.out.reads[0].index == 3);
	context = rig_sent(&g, RAFT_MSG_READ_INDEX, 2)->context;
	RECV(&g, .type = RAFT_MSG_READ_INDEX_RESP, .from = 2, .term = 1, .context = context,
	     .log_index = 4);
	assert_int_equal(g.out.read_count, 5);
	rig_tick(&g, 5); /* lost questions are repeated */
	assert_int_equal(rig_count_sent(&g, RAFT_MSG_READ_INDEX, 2), 3);
	rig_stop(&g);
}

static void a_follower_fails_reads_without_a_leader_or_when_it_changes(void **state)
{
	struct rig g;

	rig_start(&g, 3, 1, NULL);
	rig_read(&g, 1);
	assert_int_equal(g.out.read_count, 1);
	assert_false(g.out.reads[0].ok);
	RECV(&g, .type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 1);
	rig_read(&g, 2);
	assert_int_equal(g.out.read_count, 0);
	RECV(&g, .type = RAFT_MSG_HEARTBEAT, .from = 3, .term = 2);
	assert_int_equal(g.out.read_count, 1);
	assert_false(g.out.reads[0].ok);
	rig_read(&g, 3);
	RECV(&g, .type = RAFT_MSG_READ_INDEX_RESP, .from = 3, .term = 2, .reject = true,
	     .context = rig_sent(&g, RAFT_MSG_READ_INDEX, 3)->context);
	assert_int_equal(g.out.read_count, 1);
	assert_false(g.out.reads[0].ok);
	rig_stop(&g);
}

static void a_leader_answers_followers_and_others_refuse(void **state)
{
	const struct raft_message *m;
	struct rig g;

	rig_start(&g, 3, 1, NULL);
	RECV(&g, .type = RAFT_MSG_READ_INDEX, .from = 3, .term = 1, .context = 9);
	assert_true(rig_sent(&g, RAFT_MSG_READ_INDEX_RESP, 3)->reject);
	rig_lead(&g);
	RECV(&g, .type = RAFT_MSG_READ_INDEX, .from = 3, .term = 2, .context = 10);
	RECV(&g, .type = RAFT_MSG_READ_INDEX, .from = 3, .term = 2, .context = 10);
	confirm(&g, 2, g.r->reads.round);
	assert_int_equal(rig_count_sent(&g, RAFT_MSG_READ_INDEX_RESP, 3), 1);
	m = rig_sent(&g, RAFT_MSG_READ_INDEX_RESP, 3);
	assert_true(!m->reject && m->context == 10 && m->log_index == 1);
	rig_stop(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_read_is_answered_by_one_round_at_once),
		cmocka_unit_test(reads_that_wait_share_the_next_round),
		cmocka_unit_test(a_lost_round_is_repeated_by_the_heartbeat),
		cmocka_unit_test(no_read_is_answered_before_an_own_term_commit),
		cmocka_unit_test(a_leader_that_steps_down_fails_its_reads),
		cmocka_unit_test(a_stale_leader_cannot_answer),
		cmocka_unit_test(a_single_voter_answers_at_once),
		cmocka_unit_test(a_follower_asks_the_leader_with_its_own_context),
		cmocka_unit_test(a_follower_fails_reads_without_a_leader_or_when_it_changes),
		cmocka_unit_test(a_leader_answers_followers_and_others_refuse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
