/*
 * test_lease_random.c - leases under seeded faults, with the true time known.
 *
 * A round is a millisecond. Every node's clock shows something else and runs at its own rate within
 * the bound, also at its edges; messages are late by up to two leases, nodes stand still for longer
 * than one and go on, restart with their clock begun anew, and are cut off in groups. The oracle is
 * the rig's: no read, local or not, may be answered below what was committed anywhere when it began.
 * Five nodes are needed: a deposed leader and one member can keep each other's leases alive in a
 * minority of five, never in one of three.
 *
 * SEED=n replays one run, SEEDS=n runs so many, FROM=n begins there.
 */
#include "tests/unit/raft/cluster_rig.h"

#define SEEDS 900
#define ROUND_NS 1000000ull
#define LEASE_ROUNDS 60u
#define RATE_PPM 50000

struct totals {
	uint64_t commits, reads, local, terms, stalls;
};

static void new_clock(struct sim *s, struct sim_node *n)
{
	static const int64_t edges[] = { -RATE_PPM, RATE_PPM, 0 };

	/* From a year ago to a machine that has just begun. */
	n->clock_offset_ns =
		ROUND_NS * (1 + prng_below(&s->prng, sim_chance(s, 500) ? 100 : 1u << 30));
	n->clock_ppm = sim_chance(s, 700) ? edges[prng_below(&s->prng, 3)]
					  : (int64_t)prng_below(&s->prng, 2 * RATE_PPM) - RATE_PPM;
}

static struct sim *lease_sim(uint64_t seed)
{
	static const size_t sizes[] = { 3, 5, 5 };
	struct sim *s = sim_new(sizes[seed % 3], seed);

	s->options.lease_ns = LEASE_ROUNDS * ROUND_NS;
	s->options.clock_rate_ppm = RATE_PPM;
	s->options.tick_ns = 10 * ROUND_NS;
	s->options.heartbeat_ticks = 1;
	s->options.election_ticks = 7;
	s->slow_rounds = 2 * LEASE_ROUNDS;
	s->calm_tick_rate = 100;
	for (uint64_t id = 1; id <= s->n; id++) {
		sim_crash(&s->node[id]);
		sim_start(s, &s->node[id]);
		new_clock(s, &s->node[id]);
		s->node[id].tick_rate = 100;
	}
	s->drop = (uint32_t)prng_below(&s->prng, 80);
	s->dup = (uint32_t)prng_below(&s->prng, 60);
	s->slow = (uint32_t)prng_below(&s->prng, 200);
	return s;
}

static void cut_groups(struct sim *s)
{
	uint64_t mask = prng_below(&s->prng, 1u << s->n);
	bool one_way = sim_chance(s, 150);

	for (uint64_t a = 1; a <= s->n; a++)
		for (uint64_t b = 1; b <= s->n; b++)
			s->cut[a][b] = ((mask >> (a - 1)) & 1) != ((mask >> (b - 1)) & 1) &&
				       !(one_way && a < b);
}

static void restart(struct sim *s, struct sim_node *n)
{
	uint64_t was_ns = n->clock_offset_ns;

	if (n->up)
		sim_crash(n);
	sim_start(s, n);
	if (sim_chance(s, 300))
		new_clock(s, n); /* the machine, not only the process */
	else
		n->clock_offset_ns = was_ns;
	n->paused_until = 0;
}

static void lease_fault(struct sim *s)
{
	struct sim_node *n = &s->node[1 + prng_below(&s->prng, s->n)];
	struct raft_input in = { .type = RAFT_IN_CAMPAIGN };

	n->tick_rate = 50 + (uint32_t)prng_below(&s->prng, 150);
	n->disk_rate = 100 + (uint32_t)prng_below(&s->prng, 900);
	switch (prng_below(&s->prng, 10)) {
	case 0:
		restart(s, n);
		break;
	case 1:
		if (n->up && sim_chance(s, 300))
			sim_crash(n);
		else if (!n->up)
			restart(s, n);
		break;
	case 2:
	case 3:
	case 4:
		cut_groups(s);
		break;
	case 5:
	case 6:
		memset(s->cut, 0, sizeof(s->cut));
		break;
	case 7:
		n->paused_until = s->now + prng_below(&s->prng, 3 * LEASE_ROUNDS);
		break;
	case 8: /* elections that need not wait for anybody's timeout: no rule may rest on it */
		in.type = sim_chance(s, 500) ? RAFT_IN_TRANSFER : RAFT_IN_CAMPAIGN;
		in.peer.id = 1 + prng_below(&s->prng, s->n);
		if (n->up && s->now >= n->paused_until)
			sim_step(s, n, &in);
		break;
	case 9:
		in.type = sim_chance(s, 500) ? RAFT_IN_SURRENDER : RAFT_IN_UNREACHABLE;
		in.peer.id = 1 + prng_below(&s->prng, s->n);
		if (n->up && s->now >= n->paused_until)
			sim_step(s, n, &in);
		break;
	}
}

static void lease_load(struct sim *s)
{
	for (uint64_t id = 1; id <= s->n; id++) {
		struct sim_node *n = &s->node[id];
		struct raft_status st;

		if (!n->up || s->now < n->paused_until)
			continue;
		if (sim_chance(s, 250))
			sim_read(s, n);
		raft_status(n->raft, &st);
		/* Deposed leaders propose on, too; not so much that logs never come to rest. */
		if (st.role == RAFT_LEADER && sim_chance(s, 40))
			sim_propose(s, n);
	}
}

static void settle(struct sim *s)
{
	uint64_t before = s->committed, deadline;
	struct sim_node *leader;

	memset(s->cut, 0, sizeof(s->cut));
	s->drop = s->dup = s->slow = 0;
	s->calm = true;
	for (uint64_t id = 1; id <= s->n; id++) {
		s->node[id].paused_until = 0;
		if (!s->node[id].up)
			sim_start(s, &s->node[id]);
	}
	/* Ticks are drawn, so that a leader can be missed by chance; not for ever. */
	for (deadline = s->now + 6000; s->now < deadline && s->committed == before;) {
		sim_round(s);
		leader = sim_leader(s);
		if (leader != NULL && s->now % (2 * LEASE_ROUNDS) == 0)
			sim_propose(s, leader);
	}
	SIM_CHECK(s->committed > before);
}

static void run_seed(uint64_t seed, struct totals *t)
{
	struct sim *s = lease_sim(seed);
	uint32_t faults = 5 + (uint32_t)prng_below(&s->prng, 25);

	for (int i = 0; i < 1500; i++) {
		sim_round(s);
		lease_load(s);
		if (sim_chance(s, faults))
			lease_fault(s);
	}
	settle(s);
	t->commits += s->committed;
	t->reads += s->reads_ok;
	t->local += s->reads_local;
	for (uint64_t id = 1; id <= s->n; id++) {
		struct raft_status st;

		raft_status(s->node[id].raft, &st);
		t->stalls += st.lease.gate_stalls;
	}
	sim_free(s);
}

static void no_read_is_older_than_what_was_committed_before_it_began(void **state)
{
	const char *seed = getenv("SEED"), *seeds = getenv("SEEDS"), *from = getenv("FROM");
	uint64_t count = seeds != NULL ? strtoull(seeds, NULL, 0) : SEEDS;
	uint64_t first = from != NULL ? strtoull(from, NULL, 0) : 0;
	/* The first that find: a log counted by its length, a grant to an earlier process. */
	static const uint64_t kept[] = { 2245 };
	struct totals t = { .commits = 0 };

	if (seed != NULL) {
		run_seed(strtoull(seed, NULL, 0), &t);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		run_seed(kept[i], &t);
	for (uint64_t i = 0; i < count; i++)
		run_seed(first + i, &t);
	print_message("commits %llu, reads %llu, of them local %llu, commits held up %llu\n",
		      (unsigned long long)t.commits, (unsigned long long)t.reads,
		      (unsigned long long)t.local, (unsigned long long)t.stalls);
	/* The runs must reach what they are for. */
	assert_true(t.local > count * 50 && t.stalls > count && t.commits > count * 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_read_is_older_than_what_was_committed_before_it_began),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
