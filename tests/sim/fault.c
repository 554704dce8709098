/*
 * fault.c - when what breaks. Each kind of fault has a clock of its own; what it hits is drawn when it
 * strikes. faults_stop() mends everything that a fault left.
 */
#include "raft/raft_internal.h"
#include "tests/sim/sim.h"

enum fault {
	FAULT_CRASH,
	FAULT_CUT,
	FAULT_HEAL, /* all links */
	FAULT_PAUSE,
	FAULT_SLOW, /* a worker gets stuck */
	FAULT_MOVE,
	FAULT_TRANSFER,
	FAULT_SNAPSHOT,
	FAULT_DEATH,
	FAULT_SLEEP,
	FAULT_MEMBER,
	FAULT_IO_CRASH,
	FAULT_IO_ERROR,
	FAULT_FULL,
	FAULT_DAMAGE,
	FAULT_STALL,
	FAULT_STALL_ENDS,
	FAULT_ROT,
	FAULT_LAG,
	FAULT_LAG_CUTS, /* b: the node */
	FAULT_LAG_ENDS, /* b: the node */
	FAULT_COUNT,
};

static unsigned gap_of(const struct swarm *w, enum fault kind)
{
	switch (kind) {
	case FAULT_CRASH:
		return w->crash_ms;
	case FAULT_CUT:
		return w->cut_ms;
	case FAULT_HEAL:
		return w->cut_ms ? 2 * w->cut_ms : 0;
	case FAULT_PAUSE:
		return w->pause_ms;
	case FAULT_SLOW:
		return w->slow_ms;
	case FAULT_MOVE:
		return w->move_ms;
	case FAULT_TRANSFER:
		return w->transfer_ms;
	case FAULT_SNAPSHOT:
		return w->snapshot_ms;
	case FAULT_DEATH:
		return w->death_ms;
	case FAULT_MEMBER:
		return w->member_ms;
	case FAULT_SLEEP:
		return w->sleep_ms;
	case FAULT_IO_CRASH:
		return w->io_crash_ms;
	case FAULT_IO_ERROR:
		return w->io_error_ms;
	case FAULT_FULL:
		return w->full_ms;
	case FAULT_DAMAGE:
		return w->damage_ms;
	case FAULT_STALL:
		return w->stall_ms;
	case FAULT_ROT:
		return w->rot_ms;
	case FAULT_LAG:
		return w->lag_ms;
	case FAULT_STALL_ENDS: /* each follows a FAULT_STALL */
	case FAULT_LAG_CUTS:   /* each follows a FAULT_LAG */
	case FAULT_LAG_ENDS:
	case FAULT_COUNT:
		break;
	}
	return 0;
}

static void arm(struct sim *s, enum fault kind)
{
	uint64_t gap = gap_of(&s->swarm, kind);
	struct sim_event *e;

	if (gap == 0 || s->calm)
		return;
	e = sim_at(s, s->now + sim_between(s, RND_FAULT, gap / 4, 2 * gap) * SIM_MS, SIM_EV_FAULT,
		   NULL);
	e->a = kind;
}

static struct sim_node *any_node(struct sim *s)
{
	return &s->nodes[sim_between(s, RND_FAULT, 1, s->node_count)];
}

static struct sim_node *leader_of(struct sim *s)
{
	for (size_t i = 1; i <= s->node_count; i++)
		if (s->nodes[i].alive && replica_is_leader(s->nodes[i].replica))
			return &s->nodes[i];
	return NULL;
}

/* Often the leader: it has the most to lose. */
struct sim_node *fault_node(struct sim *s)
{
	struct sim_node *leader = sim_chance(s, RND_FAULT, 500) ? leader_of(s) : NULL;

	return leader ? leader : any_node(s);
}

static void crash(struct sim *s)
{
	struct sim_node *node = fault_node(s);
	bool all = sim_chance(s, RND_FAULT, 60);
	bool power = sim_chance(s, RND_FAULT, s->swarm.power_loss);

	for (size_t i = 1; i <= s->node_count; i++) {
		struct sim_node *n = all ? &s->nodes[i] : node;

		if (n->alive) {
			bool clean = sim_chance(s, RND_FAULT, s->swarm.clean_stop);

			s->counts.crashes += !clean;
			s->counts.clean_stops += clean;
			node_end(n, clean ? NODE_STOP : power ? NODE_POWER : NODE_KILL);
			disk_restart_later(n);
		}
		if (!all)
			break;
	}
}

static void cut_both(struct sim *s, uint64_t a, uint64_t b, bool cut)
{
	net_cut(s, a, b, cut);
	net_cut(s, b, a, cut);
}

static void cut_off(struct sim *s, uint64_t node, bool cut)
{
	for (uint64_t id = 1; id <= s->node_count; id++)
		if (id != node)
			cut_both(s, node, id, cut);
}

/* One way between two, one node from all others, or two halves. */
static void cut(struct sim *s)
{
	struct sim_node *a = fault_node(s), *b = any_node(s);
	uint64_t side = prng_u64(&s->rnd[RND_FAULT]);

	switch (sim_between(s, RND_FAULT, 0, 3)) {
	case 0:
		if (a != b)
			net_cut(s, a->id, b->id, true);
		break;
	case 1:
		cut_off(s, a->id, true);
		break;
	case 2: /* it hears nobody, or nobody hears it */
		for (uint64_t id = 1; id <= s->node_count; id++)
			if (id != a->id)
				net_cut(s, side & 1 ? a->id : id, side & 1 ? id : a->id, true);
		break;
	default:
		for (uint64_t x = 1; x <= s->node_count; x++)
			for (uint64_t y = 1; y <= s->node_count; y++)
				if ((side >> x & 1) != (side >> y & 1))
					net_cut(s, x, y, true);
		break;
	}
}

static void heal(struct sim *s)
{
	for (uint64_t a = 1; a <= s->node_count; a++)
		for (uint64_t b = 1; b <= s->node_count; b++)
			net_cut(s, a, b, false);
}

/* Stopped as by SIGSTOP: its clock goes on; or as a machine's, whose clock stops too. */
static void pause_node(struct sim *s)
{
	struct sim_node *node = fault_node(s);
	uint64_t ns =
		sim_between(s, RND_FAULT, 10, sim_chance(s, RND_FAULT, 700) ? 1000 : 6000) * SIM_MS;

	if (!node->alive || node->paused_until > s->now)
		return;
	s->counts.pauses++;
	sim_trace(s, "node %llu is stopped for %llu ms", (unsigned long long)node->id,
		  (unsigned long long)(ns / SIM_MS));
	node->paused_until = s->now + ns;
}

static void slow(struct sim *s)
{
	struct sim_node *node = fault_node(s);
	enum worker_kind kind = (enum worker_kind)sim_between(s, RND_FAULT, 0, WORKER_COUNT - 1);

	s->counts.stuck++;
	node->stuck_until[kind] = s->now + sim_between(s, RND_FAULT, 50, 6000) * SIM_MS;
}

/*
 * Nobody but perhaps the leader can write its log, while heartbeats pass. Before that is over the others
 * die, with what they had not written; the leader dies with them, stands still, or is cut off, and so
 * outlives what it was told meanwhile.
 */
static void stall(struct sim *s)
{
	struct sim_node *leader = leader_of(s);
	uint64_t ns = sim_between(s, RND_FAULT, 200, 2000) * SIM_MS;
	bool all = sim_chance(s, RND_FAULT, 500);

	if (!leader)
		return;
	s->counts.stuck++;
	sim_trace(s, "logs cannot be written for %llu ms", (unsigned long long)(ns / SIM_MS));
	for (size_t i = 1; i <= s->node_count; i++)
		if (&s->nodes[i] != leader || all)
			s->nodes[i].stuck_until[WORKER_LOG] = s->now + ns + 20 * SIM_MS;
	sim_at(s, s->now + ns, SIM_EV_FAULT, NULL)->a = FAULT_STALL_ENDS;
}

static void stall_ends(struct sim *s)
{
	struct sim_node *leader = leader_of(s);
	uint64_t what = sim_between(s, RND_FAULT, 0, 3);

	for (size_t i = 1; i <= s->node_count; i++) {
		struct sim_node *node = &s->nodes[i];

		if (!node->alive || (node == leader && what > 0))
			continue;
		s->counts.crashes++;
		node_end(node, NODE_KILL);
		disk_restart_later(node);
	}
	if (!leader || what == 0)
		return;
	/* What waits for a node that stands still already must keep its order. */
	if (what < 3 && leader->paused_until <= s->now)
		leader->paused_until = s->now + sim_between(s, RND_FAULT, 300, 3000) * SIM_MS;
	if (what == 3)
		cut_off(s, leader->id, true);
}

static void lag_event(struct sim *s, uint64_t after_ns, enum fault what, uint64_t node)
{
	struct sim_event *e = sim_at(s, s->now + after_ns, SIM_EV_FAULT, NULL);

	e->a = what;
	e->b = node;
}

/*
 * It has much to apply and does not get to it; then it hears nobody for so long that the others cut their
 * logs. When it is offered an image, all of that is still to be done.
 */
static void lag(struct sim *s)
{
	struct sim_node *node = any_node(s);
	uint64_t cut_ns = sim_between(s, RND_FAULT, 1, 300) * SIM_MS;
	uint64_t away_ns = sim_between(s, RND_FAULT, 200, 2500) * SIM_MS;
	uint64_t busy_ns = sim_between(s, RND_FAULT, 0, 3000) * SIM_MS;

	if (!node->alive)
		return;
	s->counts.stuck++;
	sim_trace(s, "node %llu applies nothing, and is cut off", (unsigned long long)node->id);
	node->stuck_until[WORKER_APPLY] = s->now + cut_ns + away_ns + busy_ns;
	if (sim_chance(s, RND_FAULT, 500))
		node->stuck_until[WORKER_FETCH] = s->now + cut_ns + away_ns + busy_ns / 2;
	lag_event(s, cut_ns, FAULT_LAG_CUTS, node->id);
	lag_event(s, cut_ns + away_ns, FAULT_LAG_ENDS, node->id);
}

static void transfer(struct sim *s)
{
	struct sim_node *to = any_node(s);

	for (size_t i = 1; i <= s->node_count; i++) {
		struct sim_node *node = &s->nodes[i];
		struct sim_node *was = node_enter(node);

		if (node->alive && replica_is_leader(node->replica) && node != to &&
		    node->paused_until <= s->now) {
			s->counts.transfers++;
			(void)replica_transfer(node->replica, to->id);
			node_after(node);
		}
		node_leave(was);
	}
}

/* A node takes frames from those alone that its own configuration names (docs/decisions.md, "Who comes back"). */
static bool knows_all(const struct sim_node *who, const struct raft_conf *conf)
{
	if (!who->alive)
		return false;
	for (size_t i = 0; i < conf->count; i++)
		if (!raft_conf_find(replica_conf(who->replica), conf->members[i].id))
			return false;
	return true;
}

/*
 * Members leave, come back as learners, and vote again once they caught up; with what their disks kept.
 * At least half of the nodes stay voters, so that damage and deaths elsewhere meet a quorum.
 */
static void member(struct sim *s)
{
	struct sim_node *who = fault_node(s);

	for (size_t i = 1; i <= s->node_count; i++) {
		struct sim_node *node = &s->nodes[i];
		struct raft_conf_change change = { .transition = RAFT_JOINT_AUTO, .count = 1 };
		struct raft_input in = { .type = RAFT_IN_CONF_CHANGE, .conf_change = { &change } };
		const struct raft_conf *conf;
		const struct raft_member *m;
		struct sim_node *was;
		size_t voters = 0;

		if (!node->alive || node->paused_until > s->now ||
		    !replica_is_leader(node->replica))
			continue;
		conf = replica_conf(node->replica);
		m = raft_conf_find(conf, who->id);
		for (size_t k = 0; k < conf->count; k++)
			voters += (conf->members[k].role & RAFT_VOTER) != 0;
		if (m && m->role & RAFT_VOTER && 2 * (voters - 1) < s->node_count)
			return;
		if (!m && !knows_all(who, conf))
			return;
		change.v[0] = (struct raft_change){ .id = who->id };
		snprintf(change.v[0].address, sizeof(change.v[0].address), "n%llu:1",
			 (unsigned long long)who->id);
		change.v[0].op = !m                              ? RAFT_ADD_LEARNER
				 : m->role & RAFT_LEARNER        ? RAFT_ADD_VOTER
				 : sim_chance(s, RND_FAULT, 500) ? RAFT_REMOVE
								 : RAFT_ADD_LEARNER;
		was = node_enter(node);
		if (replica_step(node->replica, &in) == 0 &&
		    node->replica->raft->conf_result == RAFT_CONF_APPENDED) {
			s->counts.changes_of_members++;
			sim_trace(s, "node %llu: change %u of member %llu",
				  (unsigned long long)node->id, change.v[0].op,
				  (unsigned long long)who->id);
		}
		node_after(node);
		node_leave(was);
		return;
	}
}

static void snapshot(struct sim *s)
{
	struct sim_node *node = any_node(s);
	struct sim_node *was = node_enter(node);

	if (node->alive && node->paused_until <= s->now) {
		s->counts.snapshots++;
		replica_snapshot_now(node->replica);
	}
	node_leave(was);
}

void fault_event(struct sim *s, struct sim_event *e)
{
	enum fault kind = (enum fault)e->a;

	if (s->calm)
		return;
	switch (kind) {
	case FAULT_CRASH:
		crash(s);
		break;
	case FAULT_CUT:
		cut(s);
		break;
	case FAULT_HEAL:
		heal(s);
		break;
	case FAULT_PAUSE:
		pause_node(s);
		break;
	case FAULT_SLOW:
		slow(s);
		break;
	case FAULT_MOVE:
		client_move(&s->clients[sim_between(s, RND_FAULT, 0, s->client_count - 1)]);
		break;
	case FAULT_TRANSFER:
		transfer(s);
		break;
	case FAULT_SNAPSHOT:
		snapshot(s);
		break;
	case FAULT_DEATH:
		client_die(&s->clients[sim_between(s, RND_FAULT, 0, s->client_count - 1)]);
		break;
	case FAULT_MEMBER:
		member(s);
		break;
	case FAULT_SLEEP:
		client_sleep(&s->clients[sim_between(s, RND_FAULT, 0, s->client_count - 1)],
			     sim_between(s, RND_FAULT, 100, 12000) * SIM_MS);
		break;
	case FAULT_IO_CRASH:
		disk_crash_soon(s);
		break;
	case FAULT_IO_ERROR:
		disk_error(s);
		break;
	case FAULT_FULL:
		disk_full(s);
		break;
	case FAULT_DAMAGE:
		disk_damage(s);
		break;
	case FAULT_STALL:
		stall(s);
		break;
	case FAULT_STALL_ENDS:
		stall_ends(s);
		return;
	case FAULT_ROT:
		disk_rot(s);
		break;
	case FAULT_LAG:
		lag(s);
		break;
	case FAULT_LAG_CUTS:
	case FAULT_LAG_ENDS:
		cut_off(s, e->b, kind == FAULT_LAG_CUTS);
		return;
	case FAULT_COUNT:
		break;
	}
	arm(s, kind);
}

void faults_start(struct sim *s)
{
	for (int kind = 0; kind < FAULT_COUNT; kind++)
		arm(s, (enum fault)kind);
}

/* A paused node goes on at its time: what waits for it must keep its order. */
void faults_stop(struct sim *s)
{
	s->calm = true;
	heal(s);
	for (size_t i = 1; i <= s->node_count; i++) {
		struct sim_node *node = &s->nodes[i];

		for (int k = 0; k < WORKER_COUNT; k++)
			node->stuck_until[k] = 0;
		disk_mend(node);
		if (!node->alive && !node->gone)
			node_start(node);
	}
}
