/* test_membership.c - configurations and the quorums they make. */
#include "tests/unit/raft/core_rig.h"

#include "raft/membership.h"

static void only_roles_that_can_stand_together_are_valid(void **state)
{
	static const uint8_t valid[] = { RAFT_VOTER, RAFT_VOTER_OUT, RAFT_VOTER | RAFT_VOTER_OUT,
					 RAFT_LEARNER, RAFT_VOTER_OUT | RAFT_LEARNER_NEXT };

	for (unsigned int role = 0; role < 256; role++) {
		struct raft_conf conf = rig_conf(3);
		bool want = false;

		conf.members[1].role = (uint8_t)role;
		for (size_t i = 0; i < ARRAY_SIZE(valid); i++)
			want = want || valid[i] == role;
		assert_int_equal(conf_valid(&conf), want);
	}
}

static void members_ascend_and_are_found(void **state)
{
	struct raft_conf conf = rig_conf(3);

	assert_true(conf_valid(&conf));
	assert_ptr_equal(raft_conf_find(&conf, 2), &conf.members[1]);
	assert_null(raft_conf_find(&conf, 4));
	conf.members[2].id = 2;
	assert_false(conf_valid(&conf));
	conf = rig_conf(RAFT_NODES_MAX);
	assert_true(conf_valid(&conf));
	memset(conf.members[3].address, 'x', RAFT_ADDRESS_MAX);
	assert_false(conf_valid(&conf));
}

static void a_joint_configuration_commits_with_both_halves(void **state)
{
	struct rig g;

	/* In: 1 2 3. Out: 1 4 5. */
	rig_prepare(&g, 5, 1, NULL);
	for (size_t i = 0; i < 5; i++)
		g.boot.conf.members[i].role = i == 0  ? RAFT_VOTER | RAFT_VOTER_OUT
					      : i < 3 ? RAFT_VOTER
						      : RAFT_VOTER_OUT;
	rig_boot(&g);
	rig_step(&g, (struct raft_input){ .type = RAFT_IN_CAMPAIGN });
	RECV(&g, .type = RAFT_MSG_PREVOTE_RESP, .from = 2, .term = 2);
	RECV(&g, .type = RAFT_MSG_PREVOTE_RESP, .from = 3, .term = 2);
	assert_int_equal(g.r->role, RAFT_PRE_CANDIDATE); /* one half only */
	RECV(&g, .type = RAFT_MSG_PREVOTE_RESP, .from = 5, .term = 2);
	rig_persist(&g);
	RECV(&g, .type = RAFT_MSG_VOTE_RESP, .from = 2, .term = 2);
	RECV(&g, .type = RAFT_MSG_VOTE_RESP, .from = 4, .term = 2);
	assert_int_equal(g.r->role, RAFT_LEADER);
	rig_persist(&g);
	rig_ack(&g, 2, 1);
	rig_ack(&g, 3, 1);
	assert_int_equal(g.out.commit_index, 0);
	rig_read(&g, 1);
	rig_ack(&g, 5, 1);
	assert_int_equal(g.out.commit_index, 1);
	RECV(&g, .type = RAFT_MSG_HEARTBEAT_RESP, .from = 2, .term = 2,
	     .context = g.r->reads.round);
	assert_int_equal(g.out.read_count, 0);
	RECV(&g, .type = RAFT_MSG_HEARTBEAT_RESP, .from = 4, .term = 2,
	     .context = g.r->reads.round);
	assert_int_equal(g.out.read_count, 1);
	rig_stop(&g);
}

static void peers_that_stay_keep_their_progress(void **state)
{
	struct raft_conf conf;
	struct rig g;

	rig_start(&g, 4, 1, NULL);
	g.r->peers[2].match = 7; /* node 4 */
	g.r->peers[2].next = 8;
	conf = rig_conf(4);
	conf.members[1] = conf.members[3]; /* 1 4 */
	conf.members[2] = (struct raft_member){ .id = 9, .role = RAFT_LEARNER };
	conf.count = 3;
	membership_set(g.r, &conf);
	assert_int_equal(g.r->peer_count, 2);
	assert_int_equal(g.r->peers[0].id, 4);
	assert_int_equal(g.r->peers[0].match, 7);
	assert_int_equal(g.r->peers[1].id, 9);
	assert_int_equal(g.r->peers[1].match, 0);
	rig_stop(&g);
}

static void learners_do_not_count(void **state)
{
	struct rig g;

	rig_prepare(&g, 3, 1, NULL);
	g.boot.conf.members[1].role = RAFT_LEARNER;
	g.boot.conf.members[2].role = RAFT_LEARNER;
	rig_boot(&g);
	assert_true(membership_sole_voter(g.r));
	rig_tick(&g, 1);
	rig_persist(&g);
	assert_int_equal(g.r->role, RAFT_LEADER);
	assert_non_null(rig_sent(&g, RAFT_MSG_APPEND, 2));
	rig_persist(&g);
	assert_int_equal(g.out.commit_index, 1);
	rig_stop(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_roles_that_can_stand_together_are_valid),
		cmocka_unit_test(members_ascend_and_are_found),
		cmocka_unit_test(a_joint_configuration_commits_with_both_halves),
		cmocka_unit_test(peers_that_stay_keep_their_progress),
		cmocka_unit_test(learners_do_not_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
