/* test_cluster.c - seeded runs of whole clusters under faults; see cluster_rig.h. */
#include "tests/unit/raft/cluster_rig.h"

#define SEEDS 300

static void sim_fault(struct sim *s)
{
	struct sim_node *n = &s->node[1 + prng_below(&s->prng, s->n)];
	uint64_t a = 1 + prng_below(&s->prng, s->n), b = 1 + prng_below(&s->prng, s->n);

	n->tick_rate = 100 + (uint32_t)prng_below(&s->prng, 900);
	n->disk_rate = 50 + (uint32_t)prng_below(&s->prng, 900);
	switch (prng_below(&s->prng, 7)) {
	case 0:
		if (n->up)
			sim_crash(n);
		break;
	case 1:
	case 2:
		if (!n->up)
			sim_start(s, n);
		break;
	case 3: /* one direction only: asymmetric partitions come from here */
		s->cut[a][b] = a != b;
		break;
	case 4: /* one node cut off */
		for (uint64_t id = 1; id <= s->n; id++)
			s->cut[a][id] = s->cut[id][a] = id != a;
		break;
	case 5:
	case 6:
		memset(s->cut, 0, sizeof(s->cut));
		break;
	}
}

static void sim_hint(struct sim *s, struct sim_node *n)
{
	struct raft_input in = { .type = RAFT_IN_UNREACHABLE,
				 .peer = { .id = 1 + prng_below(&s->prng, s->n) } };

	switch (prng_below(&s->prng, 4)) {
	case 0:
		in.type = RAFT_IN_CAMPAIGN;
		break;
	case 1:
		in.type = RAFT_IN_TRANSFER;
		break;
	default:
		break;
	}
	sim_step(s, n, &in);
}

static void sim_load(struct sim *s)
{
	struct sim_node *n = &s->node[1 + prng_below(&s->prng, s->n)];
	struct sim_node *leader = sim_leader(s);

	if (leader != NULL && sim_chance(s, 400))
		sim_propose(s, leader);
	if (n->up && sim_chance(s, 300))
		sim_read(s, n);
	if (n->up && sim_chance(s, 20))
		sim_hint(s, n);
	if (n->up && sim_chance(s, 20))
		sim_propose(s, n);
}

static bool sim_settled(struct sim *s, uint64_t want)
{
	for (uint64_t id = 1; id <= s->n; id++) {
		if (s->node[id].applied < want)
			return false;
		for (size_t i = 0; i < SIM_READS_MAX; i++) {
			if (s->node[id].reads[i].pending)
				return false;
		}
	}
	return true;
}

static void sim_heal(struct sim *s)
{
	memset(s->cut, 0, sizeof(s->cut));
	s->drop = s->dup = s->slow = 0;
	s->calm = true;
	for (uint64_t id = 1; id <= s->n; id++) {
		if (!s->node[id].up)
			sim_start(s, &s->node[id]);
	}
}

static uint64_t total_persists, total_installs, total_loads, total_reads, total_commits;

static void run_seed(uint64_t seed)
{
	static const size_t sizes[] = { 1, 3, 3, 5 };
	struct sim *s = sim_new(sizes[seed % 4], seed);
	uint64_t before, deadline;
	struct sim_node *leader;
	uint32_t faults = 10 + (uint32_t)prng_below(&s->prng, 90);

	s->drop = (uint32_t)prng_below(&s->prng, 100);
	s->dup = (uint32_t)prng_below(&s->prng, 100);
	s->slow = (uint32_t)prng_below(&s->prng, 200);
	if (sim_chance(s, 500))
		s->options.keep_tail_bytes = 0;
	for (int i = 0; i < 800; i++) {
		sim_round(s);
		sim_load(s);
		if (sim_chance(s, faults))
			sim_fault(s);
	}
	sim_heal(s);
	for (deadline = s->now + 400; s->now < deadline && sim_leader(s) == NULL;)
		sim_round(s);
	for (deadline = s->now + 100; s->now < deadline;)
		sim_round(s);
	leader = sim_leader(s);
	SIM_CHECK(leader != NULL);
	before = s->committed;
	sim_propose(s, leader);
	sim_read(s, &s->node[1]);
	for (deadline = s->now + 1500;
	     s->now < deadline && (s->committed == before || !sim_settled(s, s->committed));)
		sim_round(s);
	SIM_CHECK(s->committed > before);
	SIM_CHECK(sim_settled(s, s->committed));
	total_persists += s->persists;
	total_installs += s->snapshots_installed;
	total_loads += s->loads;
	total_reads += s->reads_ok;
	total_commits += s->committed;
	sim_free(s);
}

static void clusters_stay_safe_and_recover(void **state)
{
	const char *seed = getenv("SEED"), *seeds = getenv("SEEDS");
	uint64_t count = seeds != NULL ? strtoull(seeds, NULL, 0) : SEEDS;

	(void)state;
	if (seed != NULL) {
		run_seed(strtoull(seed, NULL, 0));
		return;
	}
	for (uint64_t i = 0; i < count; i++)
		run_seed(i);
	print_message("commits %llu, persists %llu, reads %llu, loads %llu, installs %llu\n",
		      (unsigned long long)total_commits, (unsigned long long)total_persists,
		      (unsigned long long)total_reads, (unsigned long long)total_loads,
		      (unsigned long long)total_installs);
	/* The runs must reach what they are for. */
	assert_true(total_commits > 10000 && total_reads > 1000);
	assert_true(total_loads > 100 && total_installs > 20);
}

static void equal_seeds_give_equal_runs(void **state)
{
	uint64_t committed[2], values[2];

	(void)state;
	for (int k = 0; k < 2; k++) {
		struct sim *s = sim_new(3, 42);

		s->drop = 50;
		for (int i = 0; i < 300; i++) {
			sim_round(s);
			sim_load(s);
		}
		committed[k] = s->committed;
		values[k] = prng_u64(&s->prng);
		sim_free(s);
	}
	assert_int_equal(committed[0], committed[1]);
	assert_int_equal(values[0], values[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_seeds_give_equal_runs),
		cmocka_unit_test(clusters_stay_safe_and_recover),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
