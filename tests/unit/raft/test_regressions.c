/*
 * test_regressions.c - bugs that other implementations had, each as a test of ours.
 *
 * Not here, because they have a test elsewhere: changes of members across a change of leader
 * (test_reconfigure.c: an_inherited_change_blocks_further_ones_until_it_is_applied), campaigns with
 * an unapplied configuration (test_reconfigure.c), joint tallies (test_membership.c), nodes cut off
 * in one direction (test_partitions.c).
 */
#include "tests/unit/raft/core_rig.h"

#include "raft/election.h"

/* Dissertation, 4.2.3: a removed node's campaigns must not depose a leader that others hear. */
static void a_removed_node_deposes_nobody(void **state)
{
	struct rig g;

	rig_start(&g, 3, 1, NULL);
	rig_lead(&g);
	RECV(&g, .type = RAFT_MSG_VOTE, .from = 9, .term = 30, .log_index = 50, .log_term = 29);
	RECV(&g, .type = RAFT_MSG_PREVOTE, .from = 9, .term = 31, .log_index = 50, .log_term = 29);
	assert_int_equal(g.r->role, RAFT_LEADER);
	assert_int_equal(g.r->hard.term, 2);
	rig_stop(&g);
	rig_start(&g, 3, 1, NULL);
	RECV(&g, .type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 1);
	RECV(&g, .type = RAFT_MSG_VOTE, .from = 9, .term = 30, .log_index = 50, .log_term = 29);
	assert_int_equal(g.r->hard.term, 1);
	assert_int_equal(g.out.send.count + g.out.send_when_stored.count, 0);
	rig_stop(&g);
}

/* etcd/raft, Step: with check-quorum a node whose term ran ahead could neither lead nor follow. */
static void a_node_whose_term_ran_ahead_is_set_free(void **state)
{
	struct rig g;

	rig_start(&g, 3, 7, NULL);
	RECV(&g, .type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 3);
	assert_int_equal(rig_sent(&g, RAFT_MSG_APPEND_RESP, 2)->term, 7);
	rig_stop(&g);
	rig_start(&g, 3, 1, NULL);
	rig_lead(&g);
	RECV(&g, .type = RAFT_MSG_APPEND_RESP, .from = 3, .term = 7);
	assert_int_equal(g.r->role, RAFT_FOLLOWER);
	assert_int_equal(g.r->hard.term, 7);
	rig_stop(&g);
}

/* etcd issue 10483: timeouts equal to the lease made two nodes refuse each other for ever. */
static void every_timeout_lies_above_the_lease(void **state)
{
	for (uint64_t seed = 1; seed <= 200; seed++) {
		struct rig g;

		rig_prepare(&g, 3, 1, NULL);
		g.options.seed = seed;
		rig_boot(&g);
		assert_true(g.r->election_timeout > g.options.election_ticks);
		assert_true(g.r->election_timeout <= 2 * g.options.election_ticks);
		rig_stop(&g);
	}
}

/* etcd issue 7331: a new leader's commit index may lag behind what its predecessor answered. */
static void no_read_before_a_commit_of_the_own_term(void **state)
{
	struct rig g;

	rig_start(&g, 3, 1, TERMS(1, 1));
	rig_elect(&g);
	rig_read(&g, 1);
	RECV(&g, .type = RAFT_MSG_HEARTBEAT_RESP, .from = 2, .term = 2,
	     .context = g.r->reads.round);
	assert_int_equal(g.out.read_count, 0);
	assert_false(g.r->reads.running);
	rig_persist(&g);
	rig_ack(&g, 2, 3);
	assert_true(g.r->reads.running);
	assert_int_equal(g.r->reads.index, 3);
	rig_stop(&g);
}

/* etcd issue 20418: an answer to an older round, with a context used again, confirmed a younger read. */
static void only_its_own_round_confirms_a_read(void **state)
{
	uint64_t first;
	struct rig g;

	rig_start(&g, 3, 1, NULL);
	rig_lead(&g);
	rig_read(&g, 7);
	first = g.r->reads.round;
	RECV(&g, .type = RAFT_MSG_HEARTBEAT_RESP, .from = 2, .term = 2, .context = first);
	assert_int_equal(g.out.read_count, 1);
	rig_read(&g, 7); /* the caller's number again; ours is new */
	assert_true(g.r->reads.round > first);
	RECV(&g, .type = RAFT_MSG_HEARTBEAT_RESP, .from = 3, .term = 2, .context = first);
	assert_int_equal(g.out.read_count, 0);
	rig_stop(&g);
}

/* etcd/raft, sendHeartbeat: a heartbeat must not commit what was not matched. */
static void a_heartbeat_commits_no_more_than_what_matches(void **state)
{
	struct rig g;

	rig_start(&g, 3, 1, NULL);
	rig_lead(&g);
	rig_propose(&g, 4);
	rig_persist(&g);
	rig_ack(&g, 2, 5);
	assert_int_equal(g.r->commit, 5);
	while (rig_sent(&g, RAFT_MSG_HEARTBEAT, 3) == NULL)
		rig_tick(&g, 1);
	assert_int_equal(rig_sent(&g, RAFT_MSG_HEARTBEAT, 2)->commit, 5);
	assert_int_equal(rig_sent(&g, RAFT_MSG_HEARTBEAT, 3)->commit, 1);
	rig_stop(&g);
	rig_start(&g, 3, 1, TERMS(1));
	assert_int_equal(RECV(&g, .type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 1, .commit = 9),
			 -EPROTO);
	assert_int_equal(g.r->commit, 0);
	rig_stop(&g);
}

/* etcd testdata, append_aba_race: a completion from an older term marked newer entries as stable. */
static void a_completion_marks_only_what_it_wrote(void **state)
{
	struct rig g;

	rig_start(&g, 3, 2, NULL);
	rig_append(&g, 2, 2, 0, 0, 0, TERMS(2, 2)); /* handed out, in flight */
	rig_append(&g, 3, 3, 0, 0, 0, TERMS(3));    /* replaced */
	rig_persisted(&g, 0, 0, true);
	rig_append(&g, 2, 4, 0, 0, 0, TERMS(2, 2)); /* and back again */
	assert_int_equal(g.r->synced_index, 0);
	/* The first write is down; what lies on disk now may be overwritten by nobody but us. */
	rig_persisted(&g, 2, 2, true);
	assert_int_equal(g.r->synced_index, 0);
	assert_int_equal(g.out.persist.count, 2);
	rig_persist(&g);
	assert_int_equal(g.r->synced_index, 2);
	rig_stop(&g);
}

/* etcd issue 14370: a group of one announced a commit before its disk had it. */
static void a_group_of_one_commits_when_its_disk_has_it(void **state)
{
	struct rig g;

	rig_start(&g, 1, 1, NULL);
	rig_tick(&g, 1);
	rig_persist(&g);
	assert_int_equal(g.r->role, RAFT_LEADER);
	assert_int_equal(g.out.commit_index, 0);
	rig_persist(&g);
	assert_int_equal(g.out.commit_index, 1);
	rig_propose(&g, 1);
	assert_int_equal(g.out.commit_index, 1);
	assert_int_equal(g.out.apply.count, 0);
	rig_persist(&g);
	assert_int_equal(g.out.commit_index, 2);
	assert_int_equal(g.out.apply.count, 1);
	rig_stop(&g);
}

/* etcd testdata, campaign_learner_must_vote: it may have been promoted without knowing it. */
static void a_learner_votes_when_asked(void **state)
{
	struct rig g;

	rig_prepare(&g, 3, 1, TERMS(1));
	g.boot.conf.members[0].role = RAFT_LEARNER;
	rig_boot(&g);
	RECV(&g, .type = RAFT_MSG_VOTE, .from = 2, .term = 2, .log_index = 1, .log_term = 1);
	assert_int_equal(g.r->hard.vote, 2);
	rig_stop(&g);
}

/* A vote that was given is given, also after a restart. */
static void a_restarted_node_does_not_vote_twice(void **state)
{
	struct rig g;

	rig_prepare(&g, 3, 5, TERMS(1));
	g.boot.hard.vote = 2;
	rig_boot(&g);
	RECV(&g, .type = RAFT_MSG_VOTE, .from = 3, .term = 5, .log_index = 9, .log_term = 5);
	assert_true(rig_sent(&g, RAFT_MSG_VOTE_RESP, 3)->reject);
	RECV(&g, .type = RAFT_MSG_VOTE, .from = 2, .term = 5, .log_index = 9, .log_term = 5);
	assert_false(rig_sent(&g, RAFT_MSG_VOTE_RESP, 2)->reject);
	rig_stop(&g);
}

/* CCF (Howard et al., NSDI 2025), as the five below: commit advanced over an entry of an older term. */
static void an_older_terms_entry_commits_only_under_one_of_ours(void **state)
{
	struct rig g;

	rig_start(&g, 3, 2, TERMS(1, 2, 2));
	rig_elect(&g);
	rig_persist(&g);
	rig_ack(&g, 2, 3);
	rig_ack(&g, 3, 3);
	assert_int_equal(g.r->commit, 0);
	rig_ack(&g, 2, 4);
	assert_int_equal(g.r->commit, 4);
	rig_stop(&g);
}

static void a_refusal_commits_nothing(void **state)
{
	struct rig g;

	rig_start(&g, 3, 1, NULL);
	rig_lead(&g);
	rig_propose(&g, 3);
	rig_persist(&g);
	RECV(&g, .type = RAFT_MSG_APPEND_RESP, .from = 2, .term = 2, .reject = true, .log_index = 4,
	     .hint_index = 4, .hint_term = 2);
	RECV(&g, .type = RAFT_MSG_APPEND_RESP, .from = 3, .term = 2, .reject = true, .log_index = 4,
	     .hint_index = 4, .hint_term = 2);
	assert_int_equal(g.r->commit, 1);
	assert_int_equal(g.r->peers[0].match, 1);
	rig_stop(&g);
}

static void an_append_from_earlier_cuts_nothing_that_matches(void **state)
{
	struct rig g;

	rig_start(&g, 3, 1, NULL);
	rig_append(&g, 2, 1, 0, 0, 0, TERMS(1, 1, 1, 1, 1));
	rig_append(&g, 2, 1, 1, 1, 0, TERMS(1));
	assert_int_equal(g.r->tail.last_index, 5);
	assert_false(g.r->truncate_wait);
	rig_stop(&g);
}

static void an_answer_claims_no_more_than_was_compared(void **state)
{
	struct rig g;

	rig_start(&g, 3, 2, TERMS(1, 1, 2, 2, 2));
	rig_append(&g, 2, 3, 2, 1, 5, NULL); /* nothing above 2 was compared */
	rig_persist(&g);
	assert_int_equal(g.r->commit, 2);
	RECV(&g, .type = RAFT_MSG_APPEND, .from = 2, .term = 3, .log_index = 2, .log_term = 1,
	     .commit = 5);
	assert_int_equal(rig_sent(&g, RAFT_MSG_APPEND_RESP, 2)->log_index, 2);
	rig_stop(&g);
}

/* A transfer that does not happen must not stop the group: etcd gives it one election timeout. */
static void a_transfer_to_a_dead_node_is_given_up(void **state)
{
	struct rig g;

	rig_start(&g, 3, 1, NULL);
	rig_lead(&g);
	rig_step(&g, (struct raft_input){ .type = RAFT_IN_TRANSFER, .peer = { .id = 3 } });
	assert_non_null(rig_sent(&g, RAFT_MSG_TIMEOUT_NOW, 3));
	rig_propose(&g, 1);
	assert_int_equal(g.out.propose_result, RAFT_PROPOSE_TRANSFERRING);
	for (int i = 0; i < 10; i++) {
		rig_tick(&g, 1);
		RECV(&g, .type = RAFT_MSG_HEARTBEAT_RESP, .from = 2, .term = 2);
	}
	assert_int_equal(g.r->role, RAFT_LEADER);
	rig_propose(&g, 1);
	assert_int_equal(g.out.propose_result, RAFT_PROPOSE_APPENDED);
	rig_stop(&g);
}

static void a_transfer_waits_until_the_target_has_everything(void **state)
{
	struct rig g;

	rig_start(&g, 3, 1, NULL);
	rig_lead(&g);
	rig_propose(&g, 2);
	rig_step(&g, (struct raft_input){ .type = RAFT_IN_TRANSFER, .peer = { .id = 3 } });
	assert_null(rig_sent(&g, RAFT_MSG_TIMEOUT_NOW, 3));
	rig_ack(&g, 3, 2);
	assert_null(rig_sent(&g, RAFT_MSG_TIMEOUT_NOW, 3));
	rig_ack(&g, 3, 3);
	assert_non_null(rig_sent(&g, RAFT_MSG_TIMEOUT_NOW, 3));
	rig_stop(&g);
}

/* A candidate is no follower: a transfer's late message starts no second campaign. */
static void only_a_follower_takes_a_transfer(void **state)
{
	struct rig g;

	rig_start(&g, 3, 1, NULL);
	rig_step(&g, (struct raft_input){ .type = RAFT_IN_CAMPAIGN });
	assert_int_equal(g.r->role, RAFT_PRE_CANDIDATE);
	RECV(&g, .type = RAFT_MSG_TIMEOUT_NOW, .from = 2, .term = 1);
	assert_int_equal(g.r->role, RAFT_PRE_CANDIDATE);
	rig_stop(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_removed_node_deposes_nobody),
		cmocka_unit_test(a_node_whose_term_ran_ahead_is_set_free),
		cmocka_unit_test(every_timeout_lies_above_the_lease),
		cmocka_unit_test(no_read_before_a_commit_of_the_own_term),
		cmocka_unit_test(only_its_own_round_confirms_a_read),
		cmocka_unit_test(a_heartbeat_commits_no_more_than_what_matches),
		cmocka_unit_test(a_completion_marks_only_what_it_wrote),
		cmocka_unit_test(a_group_of_one_commits_when_its_disk_has_it),
		cmocka_unit_test(a_learner_votes_when_asked),
		cmocka_unit_test(a_restarted_node_does_not_vote_twice),
		cmocka_unit_test(an_older_terms_entry_commits_only_under_one_of_ours),
		cmocka_unit_test(a_refusal_commits_nothing),
		cmocka_unit_test(an_append_from_earlier_cuts_nothing_that_matches),
		cmocka_unit_test(an_answer_claims_no_more_than_was_compared),
		cmocka_unit_test(a_transfer_to_a_dead_node_is_given_up),
		cmocka_unit_test(a_transfer_waits_until_the_target_has_everything),
		cmocka_unit_test(only_a_follower_takes_a_transfer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
