/*
 * test_churn.c - seeded runs in which members come and go while messages are lost, doubled and
 * delayed, links fail in one direction, and nodes crash; see cluster_rig.h.
 *
 * SEED=n runs one seed, SEEDS=n FROM=n that many from there on.
 */
#include "tests/unit/raft/cluster_rig.h"

#define SEEDS 300
#define VOTERS_MAX 7
#define MEMBERS_MAX 9

static uint64_t results[RAFT_CONF_NO_QUORUM + 1];
static uint64_t sizes_seen[VOTERS_MAX + 1], joint_commits, leaders_leaving, retired;

/* A random node; NULL when it was retired. */
static struct sim_node *any_node(struct sim *s)
{
	struct sim_node *n = &s->node[1 + prng_below(&s->prng, s->n)];

	return n->retired ? NULL : n;
}

static void fault(struct sim *s)
{
	struct sim_node *n = any_node(s);
	uint64_t a = 1 + prng_below(&s->prng, s->n), b = 1 + prng_below(&s->prng, s->n);

	switch (prng_below(&s->prng, 8)) {
	case 0:
		if (n != NULL && n->up)
			sim_crash(n);
		break;
	case 1:
	case 2:
	case 3:
		if (n != NULL && !n->up)
			sim_start(s, n);
		break;
	case 4:
		s->cut[a][b] = a != b;
		break;
	case 5:
		for (uint64_t id = 1; id <= s->n; id++)
			s->cut[a][id] = s->cut[id][a] = id != a;
		break;
	default:
		memset(s->cut, 0, sizeof(s->cut));
		break;
	}
}

/* ---- changes ------------------------------------------------------------------------------------ */

static size_t members_with(const struct raft_conf *conf, uint8_t bits, uint64_t *ids)
{
	size_t count = 0;

	for (size_t i = 0; i < conf->count; i++) {
		if (conf->members[i].role & bits)
			ids[count++] = conf->members[i].id;
	}
	return count;
}

static size_t outsiders(const struct sim *s, const struct raft_conf *conf, uint64_t *ids)
{
	size_t count = 0;

	for (uint64_t id = 1; id <= s->n; id++) {
		if (!s->node[id].retired && raft_conf_find(conf, id) == NULL)
			ids[count++] = id;
	}
	return count;
}

static uint64_t pick(struct sim *s, const uint64_t *ids, size_t count)
{
	return count == 0 ? 0 : ids[prng_below(&s->prng, count)];
}

static void push(struct raft_conf_change *change, uint64_t id, uint8_t op)
{
	if (id != 0 && change->count < RAFT_CHANGES_MAX)
		change->v[change->count++] = (struct raft_change){ .id = id, .op = op };
}

/* One wish of an operator; id 0 where there is nobody to carry it out on. */
static void wish(struct sim *s, const struct raft_conf *conf, struct raft_conf_change *change)
{
	uint64_t voters[RAFT_NODES_MAX], learners[RAFT_NODES_MAX], others[SIM_NODES_MAX];
	size_t voter_count = members_with(conf, RAFT_VOTER, voters);
	size_t learner_count = members_with(conf, RAFT_LEARNER, learners);
	size_t other_count = outsiders(s, conf, others);
	uint64_t id;

	switch (prng_below(&s->prng, 9)) {
	case 0:
	case 1: /* somebody new, or somebody who was a member before, with all it remembers */
		if (conf->count >= MEMBERS_MAX)
			break;
		id = other_count > 0 && sim_chance(s, 500) ? pick(s, others, other_count) : 0;
		if (id == 0 && s->n < SIM_NODES_MAX)
			id = sim_add_node(s)->id;
		push(change, id, RAFT_ADD_LEARNER);
		break;
	case 2:
	case 3:
	case 4:
		if (voter_count < VOTERS_MAX)
			push(change, pick(s, learners, learner_count), RAFT_ADD_VOTER);
		break;
	case 5:
		if (sim_chance(s, 600))
			push(change, pick(s, voters, voter_count),
			     sim_chance(s, 700) ? RAFT_REMOVE : RAFT_ADD_LEARNER);
		break;
	case 6: /* replace one */
		push(change, pick(s, learners, learner_count), RAFT_ADD_VOTER);
		push(change, pick(s, voters, voter_count), RAFT_REMOVE);
		break;
	case 7:
		if (sim_chance(s, 200))
			push(change, pick(s, learners, learner_count), RAFT_REMOVE);
		break;
	case 8:
		if (sim_chance(s, 200))
			push(change, pick(s, voters, voter_count), RAFT_UPDATE);
		if (change->count > 0 && change->v[change->count - 1].op == RAFT_UPDATE)
			snprintf(change->v[change->count - 1].address, RAFT_ADDRESS_MAX, "n:%llu",
				 (unsigned long long)s->now);
		break;
	}
}

static void change_members(struct sim *s)
{
	struct sim_node *n = sim_leader(s);
	struct raft_conf_change change = { .transition = RAFT_JOINT_AUTO };
	struct raft_input in = { .type = RAFT_IN_CONF_CHANGE, .conf_change = { &change } };
	struct raft_output out;

	if (n == NULL)
		return;
	wish(s, raft_conf(n->raft), &change);
	if (sim_chance(s, 200))
		wish(s, raft_conf(n->raft), &change);
	if (change.count == 0)
		return;
	/* The leader may have been deposed without knowing it: also that must be safe. */
	(void)sim_step_ret(s, n, &in, &out);
	results[out.conf_result]++;
}

/*
 * A removed node may be thrown away once all members know that it is none and cannot forget it: their
 * state is durable as of that configuration. Before, they may need its vote: the entry by which it
 * left is committed, but they do not know, or will not after a power loss.
 */
static void retire(struct sim *s)
{
	const struct raft_conf *last = sim_conf_at(s, UINT64_MAX);
	uint64_t others[SIM_NODES_MAX];
	struct sim_node *n;

	for (size_t i = 0; i < last->count; i++) {
		n = &s->node[last->members[i].id];
		if (n->retired)
			continue;
		/* Nor while it may be on its way back in. */
		if (!n->up || raft_conf(n->raft)->index != last->index ||
		    n->disk.durable < last->index || n->raft->conf_count > 0)
			return;
	}
	n = &s->node[pick(s, others, outsiders(s, last, others))];
	if (n->id == 0)
		return;
	if (n->up)
		sim_crash(n);
	n->retired = true;
	retired++;
}

/* ---- a run -------------------------------------------------------------------------------------- */

static void load(struct sim *s)
{
	struct sim_node *n = any_node(s);
	struct sim_node *leader = sim_leader(s);

	if (leader != NULL && sim_chance(s, 300))
		sim_propose(s, leader);
	if (n != NULL && n->up && sim_chance(s, 200))
		sim_read(s, n);
	if (leader != NULL && sim_chance(s, 10)) {
		struct raft_input in = { .type = RAFT_IN_TRANSFER,
					 .peer = { .id = 1 + prng_below(&s->prng, s->n) } };

		sim_step(s, leader, &in);
	}
}

static void watch(struct sim *s, size_t *confs_seen)
{
	for (; *confs_seen < s->conf_count; (*confs_seen)++) {
		const struct raft_conf *conf = &s->confs[*confs_seen];
		uint64_t voters[RAFT_NODES_MAX];
		struct sim_node *leader = sim_leader(s);

		sizes_seen[members_with(conf, RAFT_VOTER, voters)]++;
		joint_commits += raft_conf_joint(conf);
		if (raft_conf_joint(conf) && leader != NULL &&
		    raft_conf_find(conf, leader->id) != NULL &&
		    !(raft_conf_find(conf, leader->id)->role & RAFT_VOTER))
			leaders_leaving++;
	}
}

static bool settled(struct sim *s)
{
	const struct raft_conf *last = sim_conf_at(s, UINT64_MAX);

	if (raft_conf_joint(last))
		return false;
	for (size_t i = 0; i < last->count; i++) {
		struct sim_node *n = &s->node[last->members[i].id];

		if (!n->retired && n->applied < s->committed)
			return false;
	}
	for (uint64_t id = 1; id <= s->n; id++) {
		for (size_t i = 0; i < SIM_READS_MAX; i++) {
			if (s->node[id].reads[i].pending)
				return false;
		}
	}
	return true;
}

static void heal(struct sim *s)
{
	memset(s->cut, 0, sizeof(s->cut));
	s->drop = s->dup = s->slow = 0;
	s->calm = true;
	for (uint64_t id = 1; id <= s->n; id++) {
		if (!s->node[id].up && !s->node[id].retired)
			sim_start(s, &s->node[id]);
	}
}

/* Everybody who is left up, and nothing lost any more: the members agree and go on. */
static void recover(struct sim *s)
{
	struct sim_node *leader;
	uint64_t before, deadline;

	heal(s);
	for (deadline = s->now + 600; s->now < deadline && sim_leader(s) == NULL;)
		sim_round(s);
	for (deadline = s->now + 200; s->now < deadline;)
		sim_round(s);
	leader = sim_leader(s);
	SIM_CHECK(leader != NULL);
	before = s->committed;
	sim_propose(s, leader);
	sim_read(s, leader);
	for (deadline = s->now + 2000;
	     s->now < deadline && (s->committed == before || !settled(s));)
		sim_round(s);
	SIM_CHECK(s->committed > before);
	SIM_CHECK(settled(s));
}

static uint64_t total_commits, total_installs;

static void run_seed(uint64_t seed)
{
	static const size_t sizes[] = { 1, 3, 5, 7 };
	struct sim *s = sim_new(sizes[seed % 4], seed);
	uint32_t faults = (uint32_t)prng_below(&s->prng, 60);
	uint32_t changes = 10 + (uint32_t)prng_below(&s->prng, 90);
	size_t confs_seen = 0;

	s->drop = (uint32_t)prng_below(&s->prng, 60);
	s->dup = (uint32_t)prng_below(&s->prng, 100);
	s->slow = (uint32_t)prng_below(&s->prng, 200);
	if (sim_chance(s, 500))
		s->options.keep_tail_bytes = 0;
	for (int i = 0; i < 1500; i++) {
		sim_round(s);
		load(s);
		watch(s, &confs_seen);
		if (sim_chance(s, faults))
			fault(s);
		if (sim_chance(s, changes))
			change_members(s);
		if (s->conf_count > 0 && sim_chance(s, 5))
			retire(s);
	}
	recover(s);
	watch(s, &confs_seen);
	total_commits += s->committed;
	total_installs += s->snapshots_installed;
	sim_free(s);
}

static void members_come_and_go_safely(void **state)
{
	const char *seed = getenv("SEED"), *seeds = getenv("SEEDS");
	const char *from = getenv("FROM");
	uint64_t first = from != NULL ? strtoull(from, NULL, 0) : 0;
	uint64_t count = seeds != NULL ? strtoull(seeds, NULL, 0) : SEEDS;

	(void)state;
	if (seed != NULL) {
		run_seed(strtoull(seed, NULL, 0));
		return;
	}
	for (uint64_t i = first; i < first + count; i++)
		run_seed(i);
	print_message(
		"commits %llu, installs %llu, joint %llu, leaders leaving %llu, retired %llu\n",
		(unsigned long long)total_commits, (unsigned long long)total_installs,
		(unsigned long long)joint_commits, (unsigned long long)leaders_leaving,
		(unsigned long long)retired);
	for (size_t i = RAFT_CONF_APPENDED; i < ARRAY_SIZE(results); i++)
		print_message("%6llu %s\n", (unsigned long long)results[i],
			      raft_conf_result_name((enum raft_conf_result)i));
	for (size_t i = 1; i <= VOTERS_MAX; i++)
		print_message("%6llu of %zu voters\n", (unsigned long long)sizes_seen[i], i);
	if (seeds != NULL)
		return;
	/* The runs must reach what they are for. */
	assert_true(joint_commits > 1000 && leaders_leaving > 50 && retired > 30);
	assert_true(total_installs > 100);
	for (size_t i = 1; i <= VOTERS_MAX; i++)
		assert_true(sizes_seen[i] > 50);
	assert_true(results[RAFT_CONF_PENDING] > 0 && results[RAFT_CONF_NOT_READY] > 0 &&
		    results[RAFT_CONF_NOT_CAUGHT_UP] > 0 && results[RAFT_CONF_NO_QUORUM] > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_come_and_go_safely),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
