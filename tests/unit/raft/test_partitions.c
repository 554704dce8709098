/*
 * test_partitions.c - links that fail in one direction, or between some nodes only. Pre-vote and
 * check-quorum together must keep the group going; either alone does not.
 */
#include "tests/unit/raft/cluster_rig.h"

#define RUNS 40

static void rounds(struct sim *s, int count)
{
	for (int i = 0; i < count; i++)
		sim_round(s);
}

/* Three or five nodes that agree on a leader; nothing is lost but where a test cuts. */
static struct sim *settled_cluster(size_t n, uint64_t seed, struct sim_node **leader)
{
	struct sim *s = sim_new(n, seed);

	s->calm = true;
	rounds(s, 100);
	*leader = sim_leader(s);
	SIM_CHECK(*leader != NULL);
	return s;
}

static struct raft_status status_of(const struct sim_node *n)
{
	struct raft_status st;

	raft_status(n->raft, &st);
	return st;
}

static struct sim_node *other(struct sim *s, const struct sim_node *n)
{
	return &s->node[n->id % s->n + 1];
}

/* Goes on for a while: does what is proposed to whoever leads get committed? */
static bool goes_on(struct sim *s)
{
	uint64_t before = s->committed;

	for (int i = 0; i < 100; i++) {
		struct sim_node *leader = sim_leader(s);

		if (leader != NULL && i % 10 == 0)
			sim_propose(s, leader);
		sim_round(s);
	}
	return s->committed > before;
}

static void a_leader_that_only_sends_is_replaced(void **state)
{
	for (uint64_t seed = 0; seed < RUNS; seed++) {
		struct sim_node *old;
		struct sim *s = settled_cluster(seed % 2 == 0 ? 3 : 5, seed, &old);

		/* Its heartbeats keep the others quiet until it finds out that nobody answers. */
		for (uint64_t id = 1; id <= s->n; id++)
			s->cut[id][old->id] = id != old->id;
		rounds(s, 80);
		SIM_CHECK(status_of(old).role != RAFT_LEADER);
		SIM_CHECK(sim_leader(s) != NULL && sim_leader(s) != old);
		SIM_CHECK(goes_on(s));
		sim_free(s);
	}
}

static void a_leader_that_only_receives_is_replaced(void **state)
{
	for (uint64_t seed = 0; seed < RUNS; seed++) {
		struct sim_node *old;
		struct sim *s = settled_cluster(3, seed, &old);

		for (uint64_t id = 1; id <= s->n; id++)
			s->cut[old->id][id] = id != old->id;
		rounds(s, 80);
		SIM_CHECK(status_of(old).role != RAFT_LEADER); /* it hears of its successor */
		SIM_CHECK(goes_on(s));
		sim_free(s);
	}
}

/* seed: which direction of the follower's links fails. */
static void cut_follower(struct sim *s, uint64_t id, bool sends)
{
	for (uint64_t k = 1; k <= s->n; k++) {
		s->cut[k][id] = sends && k != id;
		s->cut[id][k] = !sends && k != id;
	}
}

static void a_follower_cut_in_one_direction_disturbs_nobody(void **state)
{
	for (uint64_t seed = 0; seed < RUNS; seed++) {
		struct sim_node *leader, *follower;
		struct sim *s = settled_cluster(3, seed, &leader);
		uint64_t term = status_of(leader).term;

		follower = other(s, leader);
		cut_follower(s, follower->id, seed % 2 == 0);
		for (int i = 0; i < 4; i++)
			SIM_CHECK(goes_on(s));
		SIM_CHECK(sim_leader(s) == leader && status_of(leader).term == term);
		/* Nor does it when it comes back. */
		memset(s->cut, 0, sizeof(s->cut));
		for (int i = 0; i < 400 && follower->applied < s->committed; i++)
			sim_round(s);
		SIM_CHECK(sim_leader(s) == leader && status_of(leader).term == term);
		SIM_CHECK(follower->applied == s->committed);
		sim_free(s);
	}
}

/* Cloudflare's incident of 2020: a node that cannot hear the leader but is heard by the others. */
static void a_link_between_leader_and_one_follower_changes_nothing(void **state)
{
	for (uint64_t seed = 0; seed < RUNS; seed++) {
		struct sim_node *leader, *follower;
		struct sim *s = settled_cluster(3, seed, &leader);
		uint64_t term = status_of(leader).term;

		follower = other(s, leader);
		s->cut[leader->id][follower->id] = s->cut[follower->id][leader->id] = true;
		for (int i = 0; i < 4; i++)
			SIM_CHECK(goes_on(s));
		SIM_CHECK(sim_leader(s) == leader && status_of(leader).term == term);
		sim_free(s);
	}
}

/* Omni-Paxos' chain and quorum-loss cases: the leader reaches one of four, that one reaches all. */
static void a_leader_that_lost_its_quorum_gives_way_to_who_has_one(void **state)
{
	for (uint64_t seed = 0; seed < RUNS; seed++) {
		struct sim_node *leader, *hub;
		struct sim *s = settled_cluster(5, seed, &leader);

		hub = other(s, leader);
		for (uint64_t a = 1; a <= s->n; a++) {
			for (uint64_t b = 1; b <= s->n; b++)
				s->cut[a][b] = a != b && a != hub->id && b != hub->id;
		}
		rounds(s, 300);
		SIM_CHECK(sim_leader(s) == hub);
		SIM_CHECK(goes_on(s));
		sim_free(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_leader_that_only_sends_is_replaced),
		cmocka_unit_test(a_leader_that_only_receives_is_replaced),
		cmocka_unit_test(a_follower_cut_in_one_direction_disturbs_nobody),
		cmocka_unit_test(a_link_between_leader_and_one_follower_changes_nothing),
		cmocka_unit_test(a_leader_that_lost_its_quorum_gives_way_to_who_has_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
