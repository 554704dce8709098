/* test_reconfigure.c - changes of members on their way through the log. */
#include "tests/unit/raft/core_rig.h"

#include "raft/membership.h"
#include "raft/reconfigure.h"

#define ADD_LEARNER_4 CHANGES({ 4, RAFT_ADD_LEARNER, "d:4" })

/* Commits with node 2's help and applies all of it. */
static void commit_and_apply(struct rig *g)
{
	rig_persist(g);
	rig_ack(g, 2, g->r->tail.last_index);
	rig_applied(g);
}

static void a_change_is_in_force_when_it_is_applied(void **state)
{
	struct rig g;

	rig_start(&g, 3, 1, NULL);
	rig_lead(&g);
	assert_int_equal(rig_change(&g, RAFT_JOINT_AUTO, ADD_LEARNER_4), RAFT_CONF_APPENDED);
	assert_int_equal(g.out.propose_first_index, 2);
	rig_persist(&g);
	rig_ack(&g, 2, 2);
	assert_int_equal(g.out.commit_index, 2);
	assert_int_equal(g.handed, 2);
	assert_int_equal(raft_conf(g.r)->count,
			 3); /* committed and handed out is not yet in force */
	rig_applied(&g);
	assert_true(g.out.conf_changed);
	assert_int_equal(raft_conf(g.r)->count, 4);
	assert_int_equal(raft_conf(g.r)->index, 2);
	assert_string_equal(raft_conf_find(raft_conf(g.r), 4)->address, "d:4");
	assert_non_null(rig_sent(&g, RAFT_MSG_APPEND, 4)); /* the newcomer need not wait */
	rig_stop(&g);
}

static void the_leader_leaves_a_joint_configuration_by_itself(void **state)
{
	struct rig g;

	rig_start(&g, 3, 1, NULL);
	rig_lead(&g);
	rig_change(&g, RAFT_JOINT_AUTO, ADD_LEARNER_4);
	commit_and_apply(&g);
	assert_true(raft_conf_joint(raft_conf(g.r)));
	assert_int_equal(g.r->tail.last_index, 3);
	assert_int_equal(tail_get(&g.r->tail, 3)->type, RAFT_ENTRY_CONF);
	assert_int_equal(rig_change(&g, RAFT_JOINT_AUTO, ADD_LEARNER_4), RAFT_CONF_PENDING);
	commit_and_apply(&g);
	assert_false(raft_conf_joint(raft_conf(g.r)));
	assert_int_equal(raft_conf(g.r)->index, 3);
	assert_int_equal(g.r->tail.last_index, 3);
	rig_stop(&g);
}

static void a_new_leader_leaves_what_it_inherited(void **state)
{
	struct rig g;

	rig_prepare(&g, 3, 1, TERMS(1));
	g.boot.applied_index = 1;
	g.boot.conf.auto_leave = true;
	for (size_t i = 0; i < 3; i++)
		g.boot.conf.members[i].role = RAFT_VOTER | RAFT_VOTER_OUT;
	rig_boot(&g);
	rig_elect(&g);
	assert_int_equal(g.r->tail.last_index, 2);
	commit_and_apply(&g);
	assert_int_equal(g.r->tail.last_index, 3);
	commit_and_apply(&g);
	assert_false(raft_conf_joint(raft_conf(g.r)));
	rig_stop(&g);
}

static void one_change_at_a_time_and_none_before_an_own_commit(void **state)
{
	struct rig g;

	rig_start(&g, 3, 1, NULL);
	assert_int_equal(rig_change(&g, RAFT_JOINT_AUTO, ADD_LEARNER_4), RAFT_CONF_NOT_LEADER);
	rig_elect(&g);
	assert_int_equal(rig_change(&g, RAFT_JOINT_AUTO, ADD_LEARNER_4), RAFT_CONF_NOT_READY);
	commit_and_apply(&g);
	rig_ack(&g, 3, 1);
	assert_int_equal(rig_change(&g, RAFT_JOINT_AUTO, ADD_LEARNER_4), RAFT_CONF_APPENDED);
	assert_int_equal(rig_change(&g, RAFT_JOINT_AUTO, ADD_LEARNER_4), RAFT_CONF_PENDING);
	rig_persist(&g);
	rig_ack(&g, 2, 2);
	assert_int_equal(rig_change(&g, RAFT_JOINT_AUTO, ADD_LEARNER_4), RAFT_CONF_PENDING);
	rig_stop(&g);
}

/* Ongaro, raft-dev 2015: two leaders could count disjoint quorums if the second one changed at once. */
static void an_inherited_change_blocks_further_ones_until_it_is_applied(void **state)
{
	struct rig g;

	rig_start(&g, 3, 1, TERMS(1, 1));
	rig_elect(&g);
	rig_persist(&g);
	rig_ack(&g, 2, 2);
	assert_int_equal(rig_change(&g, RAFT_JOINT_AUTO, ADD_LEARNER_4), RAFT_CONF_NOT_READY);
	rig_ack(&g, 2, 3);
	assert_int_equal(g.out.commit_index, 3);
	assert_int_equal(rig_change(&g, RAFT_JOINT_AUTO, ADD_LEARNER_4), RAFT_CONF_PENDING);
	rig_stop(&g);
}

static void programs_change_members_jointly_only(void **state)
{
	struct rig g;

	rig_start(&g, 3, 1, NULL);
	rig_lead(&g);
	assert_int_equal(rig_change(&g, RAFT_SIMPLE, ADD_LEARNER_4), RAFT_CONF_NOT_ALLOWED);
	assert_int_equal(rig_change(&g, RAFT_JOINT_EXPLICIT, ADD_LEARNER_4), RAFT_CONF_NOT_ALLOWED);
	assert_int_equal(rig_change(&g, RAFT_LEAVE_JOINT, NULL), RAFT_CONF_NOT_JOINT);
	assert_int_equal(rig_change(&g, RAFT_JOINT_AUTO,
				    CHANGES({ 1, RAFT_REMOVE, "" }, { 2, RAFT_REMOVE, "" },
					    { 3, RAFT_REMOVE, "" })),
			 RAFT_CONF_INVALID);
	assert_int_equal(g.r->tail.last_index, 1);
	rig_stop(&g);
}

static void only_a_learner_that_caught_up_becomes_a_voter(void **state)
{
	const struct raft_change promote[] = { { 4, RAFT_ADD_VOTER, "" }, { .id = 0 } };
	struct rig g;

	rig_start(&g, 3, 1, NULL);
	rig_lead(&g);
	assert_int_equal(rig_change(&g, RAFT_JOINT_AUTO, promote), RAFT_CONF_NOT_CAUGHT_UP);
	rig_change(&g, RAFT_JOINT_AUTO, ADD_LEARNER_4);
	commit_and_apply(&g);
	commit_and_apply(&g);
	assert_int_equal(rig_change(&g, RAFT_JOINT_AUTO, promote), RAFT_CONF_NOT_CAUGHT_UP);
	for (int i = 0; i < 60; i++) {
		assert_int_equal(rig_propose(&g, 5), 0);
		commit_and_apply(&g);
	}
	rig_ack(&g, 4, 3); /* in REPLICATE now, far behind */
	assert_int_equal(rig_change(&g, RAFT_JOINT_AUTO, promote), RAFT_CONF_NOT_CAUGHT_UP);
	rig_ack(&g, 4, g.r->commit - RAFT_PROMOTE_LAG_MAX);
	assert_int_equal(rig_change(&g, RAFT_JOINT_AUTO, promote), RAFT_CONF_APPENDED);
	rig_stop(&g);
}

static void a_change_that_cuts_the_live_quorum_is_refused(void **state)
{
	struct rig g;

	rig_start(&g, 5, 1, NULL);
	rig_lead(&g);
	/* 4 and 5 fall silent; 2 and 3 go on. */
	for (int i = 0; i < 30; i++) {
		rig_tick(&g, 1);
		RECV(&g, .type = RAFT_MSG_HEARTBEAT_RESP, .from = 2, .term = 2);
		RECV(&g, .type = RAFT_MSG_HEARTBEAT_RESP, .from = 3, .term = 2);
	}
	assert_int_equal(g.r->role, RAFT_LEADER);
	assert_int_equal(rig_change(&g, RAFT_JOINT_AUTO,
				    CHANGES({ 2, RAFT_REMOVE, "" }, { 3, RAFT_REMOVE, "" })),
			 RAFT_CONF_NO_QUORUM);
	assert_int_equal(rig_change(&g, RAFT_JOINT_AUTO, CHANGES({ 2, RAFT_REMOVE, "" })),
			 RAFT_CONF_NO_QUORUM);
	assert_int_equal(rig_change(&g, RAFT_JOINT_AUTO,
				    CHANGES({ 4, RAFT_REMOVE, "" }, { 5, RAFT_REMOVE, "" })),
			 RAFT_CONF_APPENDED);
	rig_stop(&g);
}

static void a_leader_steps_down_once_its_removal_is_in_force(void **state)
{
	/* As etcd has it; programs hand over first, see below. */
	const struct raft_test_options test = { .etcd_conf_rules = true };
	struct rig g;

	rig_prepare(&g, 3, 1, NULL);
	g.options.test = &test;
	rig_boot(&g);
	rig_lead(&g);
	assert_int_equal(rig_change(&g, RAFT_JOINT_AUTO, CHANGES({ 1, RAFT_REMOVE, "" })),
			 RAFT_CONF_APPENDED);
	rig_persist(&g);
	rig_ack(&g, 2, 2);
	assert_int_equal(g.out.commit_index, 2);
	rig_applied(&g);
	assert_int_equal(g.r->role, RAFT_LEADER); /* it still counts in the outgoing half */
	assert_int_equal(rig_propose(&g, 1), 0);
	rig_persist(&g);
	rig_ack(&g, 2, 4);
	assert_int_equal(g.r->commit, 2); /* 2 and 3 are the new half: both are needed */
	rig_ack(&g, 3, 4);
	assert_int_equal(g.r->commit, 4);
	rig_applied(&g);
	assert_int_equal(g.r->role, RAFT_FOLLOWER);
	assert_int_equal(g.r->leader, 0);
	assert_null(raft_conf_find(raft_conf(g.r), 1));
	rig_tick(&g, 100);
	assert_int_equal(g.r->role, RAFT_FOLLOWER); /* and it disturbs nobody */
	assert_int_equal(g.r->hard.term, 2);
	rig_stop(&g);
}

static void a_leader_that_is_to_go_hands_over_first(void **state)
{
	struct rig g;

	rig_start(&g, 3, 1, NULL);
	rig_lead(&g);
	rig_change(&g, RAFT_JOINT_AUTO, CHANGES({ 1, RAFT_REMOVE, "" }));
	rig_persist(&g);
	rig_ack(&g, 2, 2);
	rig_applied(&g);
	assert_int_equal(g.r->tail.last_index,
			 2); /* it does not leave the joint configuration itself */
	assert_non_null(rig_sent(&g, RAFT_MSG_TIMEOUT_NOW, 2));
	/* 2 does not take it; after an election timeout it is 3's turn. */
	rig_ack(&g, 3, 2);
	for (int i = 0; i < 10 && rig_sent(&g, RAFT_MSG_TIMEOUT_NOW, 3) == NULL; i++) {
		rig_tick(&g, 1);
		if (rig_sent(&g, RAFT_MSG_TIMEOUT_NOW, 3) != NULL)
			break;
		RECV(&g, .type = RAFT_MSG_HEARTBEAT_RESP, .from = 2, .term = 2);
		RECV(&g, .type = RAFT_MSG_HEARTBEAT_RESP, .from = 3, .term = 2);
	}
	assert_non_null(rig_sent(&g, RAFT_MSG_TIMEOUT_NOW, 3));
	assert_int_equal(g.r->role, RAFT_LEADER);
	rig_stop(&g);
}

/* The successor is up to date, the removed leader's log is longer: seed 6157 of test_churn. */
static void a_removed_node_votes_by_what_it_knows_to_be_committed(void **state)
{
	struct rig g;

	rig_prepare(&g, 3, 2, TERMS(1, 2, 2, 2));
	g.boot.applied_index = g.boot.base_index = g.boot.durable_index = 2;
	g.boot.base_term = g.boot.applied_term = 2;
	g.boot.terms = &(const struct raft_entry){ .index = 3, .term = 2 };
	g.boot.term_count = 1;
	g.boot.conf.members[0] = g.boot.conf.members[1]; /* 2 3: we are out */
	g.boot.conf.members[1] = g.boot.conf.members[2];
	g.boot.conf.count = 2;
	rig_boot(&g);
	RECV(&g, .type = RAFT_MSG_VOTE, .from = 2, .term = 3, .log_index = 1, .log_term = 1);
	assert_true(rig_sent(&g, RAFT_MSG_VOTE_RESP, 2) == NULL ||
		    rig_sent(&g, RAFT_MSG_VOTE_RESP, 2)->reject);
	rig_persist(&g);
	RECV(&g, .type = RAFT_MSG_VOTE, .from = 2, .term = 3, .log_index = 2, .log_term = 2);
	assert_int_equal(g.r->hard.vote, 2);
	rig_stop(&g);
	/* Whoever may be a voter without knowing it looks at all it holds. */
	rig_prepare(&g, 3, 2, TERMS(1, 2, 2, 2));
	g.boot.confs = (const uint64_t[]){ 3 };
	g.boot.conf_count = 1;
	g.boot.conf.members[0].role = RAFT_LEARNER;
	rig_boot(&g);
	RECV(&g, .type = RAFT_MSG_VOTE, .from = 2, .term = 3, .log_index = 2, .log_term = 2);
	assert_int_equal(g.r->hard.vote, 0);
	rig_stop(&g);
}

/* A forgotten commit index let a node campaign in a configuration long left: seed 3064 of test_churn. */
static void the_log_proves_earlier_configurations_committed(void **state)
{
	struct rig g;

	rig_prepare(&g, 3, 2, TERMS(1, 1, 1, 1, 2));
	g.boot.confs = (const uint64_t[]){ 1, 3, 4 };
	g.boot.conf_count = 3;
	rig_boot(&g);
	assert_int_equal(g.r->commit, 3);
	rig_tick(&g, 100);
	assert_int_equal(g.r->role, RAFT_FOLLOWER); /* not before 1 and 3 are in force */
	rig_stop(&g);
	g.boot.conf_count = 1;
	rig_boot(&g);
	assert_int_equal(g.r->commit, 0);
	rig_stop(&g);
}

/*
 * Seed 16080 of test_churn: voter 2 handed over to learner 1 and lost its end of the log. Only 1 holds
 * all that may be committed, and it cannot know that it has become a voter.
 */
static void a_campaign_needs_the_next_configuration_too(void **state)
{
	struct raft_conf_change change = { .transition = RAFT_JOINT_AUTO,
					   .count = 2,
					   .v = { { 1, RAFT_ADD_VOTER, "" },
						  { 2, RAFT_REMOVE, "" } } };
	struct raft_entry e = { .index = 3, .term = 1, .type = RAFT_ENTRY_CONF };
	struct buf b = BUF_INIT;
	struct rig g;

	rig_prepare(&g, 2, 1, TERMS(1, 1, 1, 1));
	g.boot.conf.members[0].role = RAFT_LEARNER;
	g.boot.confs = (const uint64_t[]){ 3 };
	g.boot.conf_count = 1;
	rig_boot(&g);
	rig_tick(&g, 1);
	assert_int_equal(g.out.load.lo, 3);
	rig_tick(&g, 100);
	assert_int_equal(g.r->role, RAFT_FOLLOWER); /* until it has read what 3 says */
	raft_conf_change_encode(&change, &b);
	e.data = blob_from(b.data, b.len);
	buf_release(&b);
	rig_step(&g,
		 (struct raft_input){ .type = RAFT_IN_LOADED, .loaded = { .v = &e, .count = 1 } });
	blob_unref(e.data);
	for (int i = 0; i < 30 && g.r->role == RAFT_FOLLOWER; i++)
		rig_tick(&g, 1);
	assert_int_equal(g.r->role, RAFT_PRE_CANDIDATE);
	assert_non_null(rig_sent(&g, RAFT_MSG_PREVOTE, 2));
	/* Its own vote is the whole incoming half; 2 is the one in force and the outgoing half. */
	RECV(&g, .type = RAFT_MSG_PREVOTE_RESP, .from = 2, .term = 2);
	rig_persist(&g);
	assert_int_equal(g.r->role, RAFT_CANDIDATE);
	RECV(&g, .type = RAFT_MSG_VOTE_RESP, .from = 2, .term = 2);
	assert_int_equal(g.r->role, RAFT_LEADER);
	rig_stop(&g);
}

static void who_is_removed_and_added_again_starts_anew(void **state)
{
	struct rig g;

	rig_start(&g, 4, 1, NULL);
	rig_lead(&g);
	rig_change(&g, RAFT_JOINT_AUTO, CHANGES({ 4, RAFT_REMOVE, "" }));
	for (int i = 0; i < 2; i++) {
		rig_persist(&g);
		rig_ack(&g, 2, g.r->tail.last_index);
		rig_ack(&g, 3, g.r->tail.last_index);
		rig_applied(&g);
	}
	assert_int_equal(g.r->peer_count, 2);
	assert_int_equal(rig_change(&g, RAFT_JOINT_AUTO, ADD_LEARNER_4), RAFT_CONF_APPENDED);
	commit_and_apply(&g);
	assert_int_equal(g.r->peers[2].id, 4);
	assert_int_equal(g.r->peers[2].match, 0);
	assert_int_equal(g.r->peers[2].state, RAFT_PROBE);
	rig_stop(&g);
}

static void a_transfer_to_someone_demoted_is_given_up(void **state)
{
	struct rig g;

	rig_start(&g, 3, 1, NULL);
	rig_lead(&g);
	rig_change(&g, RAFT_JOINT_AUTO, CHANGES({ 3, RAFT_REMOVE, "" }));
	commit_and_apply(&g);
	rig_step(&g, (struct raft_input){ .type = RAFT_IN_TRANSFER, .peer = { .id = 3 } });
	assert_int_equal(g.r->transfer_to, 3);
	assert_int_equal(rig_change(&g, RAFT_JOINT_AUTO, ADD_LEARNER_4), RAFT_CONF_TRANSFERRING);
	commit_and_apply(&g); /* out of the joint configuration, as was proposed before */
	assert_int_equal(g.r->transfer_to, 0);
	rig_stop(&g);
}

static void no_campaign_while_a_committed_change_is_not_applied(void **state)
{
	struct raft_conf_change change = { .transition = RAFT_JOINT_AUTO,
					   .count = 1,
					   .v = { { 4, RAFT_ADD_LEARNER, "" } } };
	struct raft_message m = {
		.type = RAFT_MSG_APPEND, .from = 2, .term = 1, .commit = 1, .entry_count = 1
	};
	struct buf b = BUF_INIT;
	struct rig g;

	rig_start(&g, 3, 1, NULL);
	raft_conf_change_encode(&change, &b);
	m.entries = mem_calloc(1, sizeof(m.entries[0]));
	m.entries[0] = (struct raft_entry){
		.index = 1, .term = 1, .type = RAFT_ENTRY_CONF, .data = blob_from(b.data, b.len)
	};
	buf_release(&b);
	rig_recv(&g, m);
	rig_persist(&g);
	assert_int_equal(g.handed, 1);
	rig_tick(&g, 100);
	assert_int_equal(g.r->role, RAFT_FOLLOWER);
	rig_applied(&g);
	rig_tick(&g, 1);
	assert_int_equal(g.r->role, RAFT_PRE_CANDIDATE);
	rig_stop(&g);
}

static void results_have_names(void **state)
{
	for (int i = RAFT_CONF_NONE; i <= RAFT_CONF_NO_QUORUM; i++)
		assert_string_not_equal(raft_conf_result_name((enum raft_conf_result)i), "unknown");
	assert_string_equal(raft_conf_result_name((enum raft_conf_result)99), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_change_is_in_force_when_it_is_applied),
		cmocka_unit_test(the_leader_leaves_a_joint_configuration_by_itself),
		cmocka_unit_test(a_new_leader_leaves_what_it_inherited),
		cmocka_unit_test(one_change_at_a_time_and_none_before_an_own_commit),
		cmocka_unit_test(an_inherited_change_blocks_further_ones_until_it_is_applied),
		cmocka_unit_test(programs_change_members_jointly_only),
		cmocka_unit_test(only_a_learner_that_caught_up_becomes_a_voter),
		cmocka_unit_test(a_change_that_cuts_the_live_quorum_is_refused),
		cmocka_unit_test(a_leader_steps_down_once_its_removal_is_in_force),
		cmocka_unit_test(a_leader_that_is_to_go_hands_over_first),
		cmocka_unit_test(a_removed_node_votes_by_what_it_knows_to_be_committed),
		cmocka_unit_test(the_log_proves_earlier_configurations_committed),
		cmocka_unit_test(a_campaign_needs_the_next_configuration_too),
		cmocka_unit_test(who_is_removed_and_added_again_starts_anew),
		cmocka_unit_test(a_transfer_to_someone_demoted_is_given_up),
		cmocka_unit_test(no_campaign_while_a_committed_change_is_not_applied),
		cmocka_unit_test(results_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
