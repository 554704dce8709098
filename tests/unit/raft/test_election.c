/* test_election.c - terms, votes, check-quorum. */
#include "tests/unit/raft/core_rig.h"

static void a_sole_voter_leads_after_one_tick_once_its_vote_is_durable(void **state)
{
	struct rig g;

	rig_start(&g, 1, 1, TERMS(1));
	rig_tick(&g, 1);
	assert_int_equal(g.r->role, RAFT_CANDIDATE);
	assert_true(g.out.persist_hard_state);
	assert_int_equal(g.out.hard.term, 2);
	assert_int_equal(g.out.hard.vote, 1);
	assert_int_equal(g.out.send.count + g.out.send_when_stored.count, 0);
	rig_tick(&g, 5); /* no second campaign while the disk works */
	assert_int_equal(g.r->hard.term, 2);
	rig_persist(&g);
	assert_int_equal(g.r->role, RAFT_LEADER);
	assert_int_equal(g.out.persist.count, 1);
	assert_int_equal(g.out.apply.count, 0);
	rig_persist(&g);
	assert_int_equal(g.out.commit_index, 2);
	assert_int_equal(g.out.apply.count, 0); /* both are handed out after loading entry 1 */
	assert_int_equal(g.out.load.lo, 1);
	rig_stop(&g);
}

static void an_election_asks_before_it_spends_a_term(void **state)
{
	struct rig g;

	rig_start(&g, 3, 4, TERMS(1, 4));
	for (int i = 0; i < 20 && g.r->role == RAFT_FOLLOWER; i++) {
		assert_true(i <= 10 || i < 20);
		rig_tick(&g, 1);
	}
	assert_int_equal(g.r->role, RAFT_PRE_CANDIDATE);
	assert_int_equal(g.r->hard.term, 4);
	assert_false(g.out.persist_hard_state);
	assert_int_equal(rig_sent(&g, RAFT_MSG_PREVOTE, 2)->term, 5);
	assert_int_equal(rig_sent(&g, RAFT_MSG_PREVOTE, 3)->log_index, 2);
	assert_int_equal(rig_sent(&g, RAFT_MSG_PREVOTE, 3)->log_term, 4);
	RECV(&g, .type = RAFT_MSG_PREVOTE_RESP, .from = 2, .term = 5);
	assert_int_equal(g.r->role, RAFT_CANDIDATE);
	assert_int_equal(g.out.send.count, 0); /* asking for votes waits for the own one */
	assert_int_equal(g.out.send_when_stored.count, 2);
	/* The others may answer before the own vote is down; that alone does not make a leader. */
	RECV(&g, .type = RAFT_MSG_VOTE_RESP, .from = 2, .term = 5);
	RECV(&g, .type = RAFT_MSG_VOTE_RESP, .from = 3, .term = 5);
	assert_int_equal(g.r->role, RAFT_CANDIDATE);
	rig_persist(&g);
	assert_int_equal(g.r->role, RAFT_LEADER);
	assert_true(g.out.role_changed);
	assert_int_equal(rig_sent(&g, RAFT_MSG_APPEND, 2)->entry_count, 1);
	rig_stop(&g);
}

static void the_timeout_lies_strictly_above_the_lease(void **state)
{
	for (uint64_t seed = 0; seed < 200; seed++) {
		struct rig g;

		rig_prepare(&g, 3, 1, TERMS(1));
		g.options.seed = seed;
		rig_boot(&g);
		rig_tick(&g, 10);
		assert_int_equal(g.r->role, RAFT_FOLLOWER);
		rig_tick(&g, 10);
		assert_int_equal(g.r->role, RAFT_PRE_CANDIDATE);
		rig_stop(&g);
	}
}

static void a_lost_pre_vote_costs_no_term(void **state)
{
	struct rig g;

	rig_start(&g, 3, 4, TERMS(1));
	rig_step(&g, (struct raft_input){ .type = RAFT_IN_CAMPAIGN });
	RECV(&g, .type = RAFT_MSG_PREVOTE_RESP, .from = 2, .term = 4, .reject = true);
	RECV(&g, .type = RAFT_MSG_PREVOTE_RESP, .from = 3, .term = 4, .reject = true);
	assert_int_equal(g.r->role, RAFT_FOLLOWER);
	assert_int_equal(g.r->hard.term, 4);
	rig_stop(&g);
}

static void votes_go_to_logs_at_least_as_good(void **state)
{
	static const struct {
		uint64_t last, last_term;
		bool granted;
	} cases[] = {
		{ 3, 2, true }, { 4, 2, true }, { 1, 3, true }, { 2, 2, false }, { 9, 1, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct raft_message *answer;
		struct rig g;

		rig_start(&g, 3, 3, TERMS(1, 2, 2));
		RECV(&g, .type = RAFT_MSG_PREVOTE, .from = 2, .term = 5, .log_index = cases[i].last,
		     .log_term = cases[i].last_term);
		answer = rig_sent(&g, RAFT_MSG_PREVOTE_RESP, 2);
		assert_int_equal(answer->reject, !cases[i].granted);
		assert_int_equal(answer->term, cases[i].granted ? 5 : 3);
		assert_int_equal(g.r->hard.term, 3);
		RECV(&g, .type = RAFT_MSG_VOTE, .from = 2, .term = 5, .log_index = cases[i].last,
		     .log_term = cases[i].last_term);
		answer = rig_sent(&g, RAFT_MSG_VOTE_RESP, 2);
		assert_int_equal(answer->reject, !cases[i].granted);
		assert_int_equal(g.r->hard.vote, cases[i].granted ? 2 : 0);
		rig_stop(&g);
	}
}

static void a_vote_is_given_once_per_term_and_is_a_promise(void **state)
{
	struct rig g;

	rig_start(&g, 3, 1, NULL);
	RECV(&g, .type = RAFT_MSG_VOTE, .from = 2, .term = 2);
	assert_true(g.out.persist_hard_state);
	assert_int_equal(g.out.hard.vote, 2);
	assert_int_equal(g.out.send.count, 0);
	assert_int_equal(g.out.send_when_stored.count, 1);
	RECV(&g, .type = RAFT_MSG_VOTE, .from = 3, .term = 2);
	assert_true(rig_sent(&g, RAFT_MSG_VOTE_RESP, 3)->reject);
	RECV(&g, .type = RAFT_MSG_VOTE, .from = 2, .term = 2); /* asked again: the same answer */
	assert_false(rig_sent(&g, RAFT_MSG_VOTE_RESP, 2)->reject);
	rig_stop(&g);
}

static void a_vote_survives_a_restart(void **state)
{
	struct rig g;

	rig_prepare(&g, 3, 2, NULL);
	g.boot.hard.vote = 2;
	rig_boot(&g);
	RECV(&g, .type = RAFT_MSG_VOTE, .from = 3, .term = 2);
	assert_true(rig_sent(&g, RAFT_MSG_VOTE_RESP, 3)->reject);
	rig_stop(&g);
}

static void campaigns_are_ignored_while_a_leader_is_alive(void **state)
{
	static const uint8_t types[] = { RAFT_MSG_PREVOTE, RAFT_MSG_VOTE };

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct rig g;

		rig_start(&g, 3, 1, NULL);
		RECV(&g, .type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 1);
		RECV(&g, .type = types[i], .from = 3, .term = 9);
		assert_int_equal(g.out.send.count + g.out.send_when_stored.count, 0);
		assert_int_equal(g.r->hard.term, 1);
		/* ... unless the leader itself asked for it, or its connection broke. */
		RECV(&g, .type = RAFT_MSG_VOTE, .from = 3, .term = 3, .campaign_transfer = true);
		assert_false(rig_sent(&g, RAFT_MSG_VOTE_RESP, 3)->reject);
		rig_stop(&g);
	}
}

static void a_broken_connection_to_the_leader_hurries_the_election(void **state)
{
	struct rig g;

	rig_start(&g, 3, 1, NULL);
	RECV(&g, .type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 1);
	rig_step(&g, (struct raft_input){ .type = RAFT_IN_UNREACHABLE, .peer = { .id = 3 } });
	RECV(&g, .type = RAFT_MSG_PREVOTE, .from = 3, .term = 2);
	assert_null(rig_sent(&g, RAFT_MSG_PREVOTE_RESP, 3)); /* that was not the leader */
	rig_step(&g, (struct raft_input){ .type = RAFT_IN_UNREACHABLE, .peer = { .id = 2 } });
	RECV(&g, .type = RAFT_MSG_PREVOTE, .from = 3, .term = 2);
	assert_false(rig_sent(&g, RAFT_MSG_PREVOTE_RESP, 3)->reject);
	rig_tick(&g, 4);
	assert_int_equal(g.r->role, RAFT_PRE_CANDIDATE);
	rig_stop(&g);
	/* A leader that is heard again is trusted again. */
	rig_start(&g, 3, 1, NULL);
	RECV(&g, .type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 1);
	rig_step(&g, (struct raft_input){ .type = RAFT_IN_UNREACHABLE, .peer = { .id = 2 } });
	RECV(&g, .type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 1);
	rig_tick(&g, 10);
	assert_int_equal(g.r->role, RAFT_FOLLOWER);
	rig_stop(&g);
}

static void a_leader_without_a_quorum_steps_down(void **state)
{
	struct rig g;

	rig_start(&g, 3, 1, TERMS(1));
	rig_lead(&g);
	for (int i = 0; i < 30; i++) {
		rig_tick(&g, 1);
		RECV(&g, .type = RAFT_MSG_HEARTBEAT_RESP, .from = 3, .term = 2);
	}
	assert_int_equal(g.r->role, RAFT_LEADER);
	/* It looks once per election timeout: answers since the last look count, so this one passes. */
	rig_tick(&g, 10);
	assert_int_equal(g.r->role, RAFT_LEADER);
	rig_tick(&g, 9);
	assert_int_equal(g.r->role, RAFT_LEADER);
	rig_tick(&g, 1);
	assert_int_equal(g.r->role, RAFT_FOLLOWER);
	assert_int_equal(g.r->leader, 0);
	assert_int_equal(g.r->hard.term, 2);
	rig_stop(&g);
}

static void a_stale_leader_is_told_the_new_term(void **state)
{
	const struct raft_message *answer;
	struct rig g;

	rig_start(&g, 3, 5, NULL);
	RECV(&g, .type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 3);
	answer = rig_sent(&g, RAFT_MSG_APPEND_RESP, 2);
	assert_int_equal(answer->term, 5);
	assert_int_equal(g.r->leader, 0);
	RECV(&g, .type = RAFT_MSG_PREVOTE, .from = 2, .term = 3);
	assert_true(rig_sent(&g, RAFT_MSG_PREVOTE_RESP, 2)->reject);
	RECV(&g, .type = RAFT_MSG_VOTE, .from = 2, .term = 3);
	assert_int_equal(g.out.send.count + g.out.send_when_stored.count, 0);
	rig_stop(&g);
}

static void a_leader_follows_a_higher_term(void **state)
{
	struct rig g;

	rig_start(&g, 3, 1, NULL);
	rig_lead(&g);
	RECV(&g, .type = RAFT_MSG_APPEND_RESP, .from = 2, .term = 7);
	assert_int_equal(g.r->role, RAFT_FOLLOWER);
	assert_int_equal(g.r->hard.term, 7);
	assert_true(g.out.persist_hard_state);
	rig_stop(&g);
}

static void learners_and_strangers_do_not_campaign(void **state)
{
	struct rig g;

	rig_prepare(&g, 3, 1, NULL);
	g.boot.conf.members[0].role = RAFT_LEARNER;
	rig_boot(&g);
	rig_tick(&g, 50);
	rig_step(&g, (struct raft_input){ .type = RAFT_IN_CAMPAIGN });
	RECV(&g, .type = RAFT_MSG_TIMEOUT_NOW, .from = 2, .term = 1);
	assert_int_equal(g.r->role, RAFT_FOLLOWER);
	rig_stop(&g);
	rig_prepare(&g, 0, 1, NULL);
	rig_boot(&g);
	rig_tick(&g, 50);
	assert_int_equal(g.r->role, RAFT_FOLLOWER);
	rig_stop(&g);
}

static void no_campaign_before_a_committed_configuration_is_in_force(void **state)
{
	struct rig g;

	/* Entries up to 4 were there at the start; the third changes the configuration. */
	rig_prepare(&g, 3, 2, TERMS(1, 1, 2, 2));
	g.boot.confs = (const uint64_t[]){ 3 };
	g.boot.conf_count = 1;
	rig_boot(&g);
	RECV(&g, .type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 2, .commit = 4);
	assert_int_equal(g.out.load.lo, 1);
	rig_tick(&g, 40);
	assert_int_equal(g.r->role, RAFT_FOLLOWER);
	rig_stop(&g);
	/* Ordinary entries that wait to be applied hold nobody back. */
	rig_start(&g, 3, 2, TERMS(1, 1, 2, 2));
	RECV(&g, .type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 2, .commit = 4);
	rig_tick(&g, 40);
	assert_int_equal(g.r->role, RAFT_PRE_CANDIDATE);
	rig_stop(&g);
}

static void who_may_not_campaign_forgets_a_silent_leader(void **state)
{
	struct rig g;

	rig_prepare(&g, 3, 1, NULL);
	g.boot.conf.members[0].role = RAFT_LEARNER;
	rig_boot(&g);
	RECV(&g, .type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 1);
	rig_read(&g, 1);
	assert_int_equal(g.out.read_count, 0);
	rig_tick(&g, 10);
	assert_int_equal(g.r->leader, 2);
	for (int i = 0; i < 10 && g.r->leader != 0; i++)
		rig_tick(&g, 1);
	assert_int_equal(g.r->leader, 0);
	assert_int_equal(g.out.read_count, 1); /* and whoever waited for it is told */
	assert_false(g.out.reads[0].ok);
	assert_int_equal(g.r->role, RAFT_FOLLOWER);
	rig_stop(&g);
}

static void a_transfer_skips_pre_vote_and_lease(void **state)
{
	struct rig g;

	rig_start(&g, 3, 1, TERMS(1));
	RECV(&g, .type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 1);
	RECV(&g, .type = RAFT_MSG_TIMEOUT_NOW, .from = 2, .term = 1);
	assert_int_equal(g.r->role, RAFT_CANDIDATE);
	assert_true(rig_sent(&g, RAFT_MSG_VOTE, 2)->campaign_transfer);
	rig_stop(&g);
}

static void a_leader_transfers_to_a_peer_that_caught_up(void **state)
{
	struct rig g;

	rig_start(&g, 3, 1, TERMS(1));
	rig_lead(&g);
	rig_propose(&g, 1);
	rig_step(&g, (struct raft_input){ .type = RAFT_IN_TRANSFER, .peer = { .id = 3 } });
	assert_null(rig_sent(&g, RAFT_MSG_TIMEOUT_NOW, 0));
	rig_propose(&g, 1);
	assert_int_equal(g.out.propose_result, RAFT_PROPOSE_TRANSFERRING);
	rig_ack(&g, 3, g.r->tail.last_index);
	assert_non_null(rig_sent(&g, RAFT_MSG_TIMEOUT_NOW, 3));
	/* It gives up after an election timeout. */
	for (int i = 0; i < 10; i++) {
		RECV(&g, .type = RAFT_MSG_HEARTBEAT_RESP, .from = 2, .term = 2);
		rig_tick(&g, 1);
	}
	rig_propose(&g, 1);
	assert_int_equal(g.out.propose_result, RAFT_PROPOSE_APPENDED);
	rig_stop(&g);
}

static void a_second_hard_state_waits_for_the_first(void **state)
{
	struct rig g;

	rig_start(&g, 3, 1, NULL);
	RECV(&g, .type = RAFT_MSG_VOTE, .from = 2, .term = 2);
	assert_int_equal(g.out.hard.term, 2);
	RECV(&g, .type = RAFT_MSG_VOTE, .from = 3, .term = 3);
	assert_false(g.out.persist_hard_state);
	assert_int_equal(g.out.send_when_stored.count, 0);
	/* The completion can only mean the first; the vote of term 3 leaves with its own hard state. */
	rig_persisted(&g, 0, 0, true);
	assert_int_equal(g.r->hard_durable.term, 2);
	assert_true(g.out.persist_hard_state);
	assert_int_equal(g.out.hard.term, 3);
	assert_int_equal(g.out.hard.vote, 3);
	assert_int_equal(g.out.send_when_stored.count, 1);
	assert_int_equal(g.out.send_when_stored.v[0].to, 3);
	rig_persisted(&g, 0, 0, true);
	assert_int_equal(g.r->hard_durable.term, 3);
	rig_stop(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sole_voter_leads_after_one_tick_once_its_vote_is_durable),
		cmocka_unit_test(an_election_asks_before_it_spends_a_term),
		cmocka_unit_test(the_timeout_lies_strictly_above_the_lease),
		cmocka_unit_test(a_lost_pre_vote_costs_no_term),
		cmocka_unit_test(votes_go_to_logs_at_least_as_good),
		cmocka_unit_test(a_vote_is_given_once_per_term_and_is_a_promise),
		cmocka_unit_test(a_vote_survives_a_restart),
		cmocka_unit_test(campaigns_are_ignored_while_a_leader_is_alive),
		cmocka_unit_test(a_broken_connection_to_the_leader_hurries_the_election),
		cmocka_unit_test(a_leader_without_a_quorum_steps_down),
		cmocka_unit_test(a_stale_leader_is_told_the_new_term),
		cmocka_unit_test(a_leader_follows_a_higher_term),
		cmocka_unit_test(learners_and_strangers_do_not_campaign),
		cmocka_unit_test(no_campaign_before_a_committed_configuration_is_in_force),
		cmocka_unit_test(who_may_not_campaign_forgets_a_silent_leader),
		cmocka_unit_test(a_transfer_skips_pre_vote_and_lease),
		cmocka_unit_test(a_leader_transfers_to_a_peer_that_caught_up),
		cmocka_unit_test(a_second_hard_state_waits_for_the_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
