/*
 * swarm.c - what a seed draws for its run. Each run has a subset of the faults and its own ranges: runs
 * that have all of them at once never get to the states that few of them lead to.
 */
#include "tests/sim/sim.h"

static uint64_t draw(struct sim *s, uint64_t lo, uint64_t hi)
{
	return sim_between(s, RND_SWARM, lo, hi);
}

static bool flip(struct sim *s, unsigned per_mille)
{
	return sim_chance(s, RND_SWARM, per_mille);
}

/* Mean gap between two faults of a kind, or none of it in this run. */
static unsigned gap_ms(struct sim *s, unsigned per_mille, uint64_t lo, uint64_t hi)
{
	uint64_t gap = draw(s, lo, hi);

	return flip(s, per_mille) ? (unsigned)gap : 0;
}

static void draw_net(struct sim *s, struct swarm *w)
{
	w->delay_min_ns = draw(s, 20000, 500000);
	w->delay_max_ns = w->delay_min_ns + (flip(s, 300) ? draw(s, SIM_MS, 60 * SIM_MS)
							  : draw(s, 100000, 2 * SIM_MS));
	w->loss = flip(s, 400) ? (unsigned)draw(s, 5, 200) : 0;
	w->dup = flip(s, 400) ? (unsigned)draw(s, 5, 200) : 0;
	w->reorder = flip(s, 400) ? (unsigned)draw(s, 5, 200) : 0;
	w->late = flip(s, 500) ? (unsigned)draw(s, 10, 500) : 0;
	w->bulk_loss = flip(s, 400) ? (unsigned)draw(s, 10, 300) : 0;
	w->bulk_damage = flip(s, 300) ? (unsigned)draw(s, 10, 200) : 0;
}

static void draw_faults(struct sim *s, struct swarm *w)
{
	w->crash_ms = gap_ms(s, 700, 1000, 8000);
	w->clean_stop = (unsigned)draw(s, 0, 300);
	w->power_loss = flip(s, 700) ? (unsigned)draw(s, 100, 1000) : 0;
	w->io_crash_ms = gap_ms(s, 500, 500, 6000);
	w->io_error_ms = gap_ms(s, 250, 2000, 8000);
	w->full_ms = gap_ms(s, 150, 3000, 9000);
	w->damage_ms = gap_ms(s, 100, 3000, 9000);
	w->cut_ms = gap_ms(s, 600, 1000, 8000);
	w->pause_ms = gap_ms(s, 400, 1000, 8000);
	w->slow_ms = gap_ms(s, 400, 1000, 6000);
	w->move_ms = gap_ms(s, 600, 500, 5000);
	w->transfer_ms = gap_ms(s, 300, 1000, 6000);
	w->snapshot_ms = gap_ms(s, 400, 1000, 6000);
	w->member_ms = gap_ms(s, s->members ? 1000 : 250, 700, 5000);
	w->sleep_ms = gap_ms(s, 300, 2000, 8000);
	w->replace = (unsigned)draw(s, 0, 1000);
	w->death_ms = gap_ms(s, 300, 2000, 8000);
	w->rate_ppm = flip(s, 500) ? (unsigned)draw(s, 0, 9000) : 0;
	w->wall_jump = flip(s, 300) ? 300 : 0;
}

/* Tiny windows: what is full once in a year is full all the time. */
static void draw_limits(struct sim *s, struct replica_limits *l)
{
	if (flip(s, 300))
		l->max_message_bytes = draw(s, 100, 20000);
	if (flip(s, 300))
		l->max_inflight_messages = (uint32_t)draw(s, 1, 4);
	if (flip(s, 200))
		l->max_inflight_bytes = draw(s, 500, 50000);
	if (flip(s, 200))
		l->max_uncommitted_bytes = draw(s, 500, 50000);
	if (flip(s, 200))
		l->max_apply_bytes = draw(s, 200, 20000);
	if (flip(s, 300))
		l->max_cache_bytes = draw(s, 200, 20000);
	if (flip(s, 500))
		l->keep_tail_bytes = draw(s, 100, 10000);
}

static void draw_evaluator(struct sim *s, struct evaluator_limits *l)
{
	*l = (struct evaluator_limits){ .overlay_bytes = 64u << 20, .parked = 65536 };
	if (flip(s, 100))
		l->overlay_bytes = draw(s, 1, 20000);
	if (flip(s, 100))
		l->parked = draw(s, 0, 4);
	if (flip(s, 500))
		l->step_blocks = (uint32_t)draw(s, 1, 5);
}

static void draw_latency(struct sim *s, struct sim_disk_latency *l)
{
	l->sync_min_ns = draw(s, 10000, 200000);
	l->sync_max_ns = l->sync_min_ns +
			 (flip(s, 250) ? draw(s, SIM_MS, 80 * SIM_MS) : draw(s, 50000, 2 * SIM_MS));
	l->write_max_ns = flip(s, 250) ? draw(s, 1000, SIM_MS) : 0;
}

/* The lease lies between three heartbeats and an election. */
static void draw_ticks(struct sim *s, struct swarm *w)
{
	uint64_t least, most;

	w->tick_ms = flip(s, 500) ? 20 : 50;
	w->election_ticks = (uint32_t)draw(s, 9, 14);
	w->heartbeat_ticks = (uint32_t)draw(s, 1, 2);
	least = 3ull * w->heartbeat_ticks * w->tick_ms + 1;
	most = (uint64_t)w->election_ticks * w->tick_ms - 1;
	w->lease_ns = flip(s, 700) ? draw(s, least, most) * SIM_MS : 0;
	w->session_ttl_ms = flip(s, 500) ? draw(s, 2500, 8000) : 30000;
}

void swarm_draw(struct sim *s)
{
	struct swarm *w = &s->swarm;
	static const size_t nodes[] = { 1, 2, 3, 3, 3, 3, 3, 4, 5, 5, 5, 7 };
	size_t wanted_nodes = w->nodes;
	unsigned wanted_ops = w->ops;

	w->nodes = nodes[draw(s, 0, ARRAY_SIZE(nodes) - 1)];
	w->clients = draw(s, 1, 6);
	w->ops = (unsigned)draw(s, 30, 200);
	w->chaos_ns = draw(s, 8, 25) * SIM_S;
	w->inflight_max = (unsigned)draw(s, 1, 6);
	w->think_ms = (unsigned)(w->chaos_ns / SIM_MS * w->clients * 2 / w->ops / 2);
	w->soft_clients = flip(s, 400);
	w->files = flip(s, 800);
	w->sparse = w->files && flip(s, 400);
	draw_net(s, w);
	draw_faults(s, w);
	draw_latency(s, &w->latency);
	draw_ticks(s, w);
	w->segment_bytes = flip(s, 600) ? 16384 * draw(s, 1, 4) : 65536 * draw(s, 1, 4);
	w->snapshot_threshold = flip(s, 700) ? (int64_t)draw(s, 500, 20000) : -1;
	w->snapshot_interval = w->snapshot_threshold >= 0 && flip(s, 800) ? draw(s, 3, 30) : 0;
	w->wal_limit_bytes = flip(s, 700) ? draw(s, 8192, 200000) : 64u << 20;
	w->work_min_ns = draw(s, 5000, 100000);
	w->work_max_ns = w->work_min_ns +
			 (flip(s, 300) ? draw(s, SIM_MS, 30 * SIM_MS) : draw(s, 50000, 2 * SIM_MS));
	w->burst = flip(s, 500) ? (unsigned)draw(s, 1, 4) : 64;
	draw_limits(s, &w->limits);
	draw_evaluator(s, &w->evaluator);
	profile_draw(s);
	if (wanted_nodes)
		w->nodes = wanted_nodes;
	if (wanted_ops)
		w->ops = wanted_ops;
}

void swarm_print(const struct swarm *w, FILE *out)
{
	fprintf(out,
		"profile %s: stall %u, rot %u, lag %u (mean gap in ms), late results %u, clog %u, ghost %u, "
		"crash in a turn %u per mille, asks again after %u ms\n"
		"nodes %zu, clients %zu, ops %u, chaos %llu s, in flight %u, think %u ms, %s\n"
		"net: delay %llu..%llu us, loss %u, dup %u, reorder %u, late %u, bulk loss %u "
		"damage %u "
		"(per mille)\n"
		"faults, mean gap in ms: crash %u (clean %u per mille), cut %u, pause %u, slow %u, "
		"move %u, "
		"transfer %u, snapshot %u, death %u; clocks %u ppm, wall jumps %u per mille\n"
		"disk: power loss %u per mille of the crashes, crash in a call %u, error %u, full "
		"%u, damage %u; sync "
		"%llu..%llu us, write up to %llu us\n"
		"store: segments %zu, snapshot threshold %lld interval %llu, wal %llu; work "
		"%llu..%llu us, "
		"burst %u\n"
		"ticks of %u ms, election %u, heartbeat %u, lease %llu ms, sessions %llu ms, sleep "
		"%u, replace %u, members %u\n"
		"limits: message %zu, in flight %u messages %llu bytes, uncommitted %llu, apply "
		"%llu, cache %llu, "
		"tail %llu, overlay %zu, parked %zu, blocks in a step %u\n",
		w->profile, w->stall_ms, w->rot_ms, w->lag_ms, w->late_done, w->clog, w->ghost, w->turn_crash,
		w->ask_again_ms, w->nodes, w->clients, w->ops,
		(unsigned long long)(w->chaos_ns / SIM_S),
		w->inflight_max, w->think_ms, w->sparse  ? "files with holes and keys"
		: w->files ? "files and keys"
			   : "keys",
		(unsigned long long)w->delay_min_ns / 1000,
		(unsigned long long)w->delay_max_ns / 1000, w->loss, w->dup, w->reorder, w->late,
		w->bulk_loss, w->bulk_damage, w->crash_ms, w->clean_stop, w->cut_ms, w->pause_ms,
		w->slow_ms, w->move_ms, w->transfer_ms, w->snapshot_ms, w->death_ms, w->rate_ppm,
		w->wall_jump, w->power_loss, w->io_crash_ms, w->io_error_ms, w->full_ms,
		w->damage_ms, (unsigned long long)w->latency.sync_min_ns / 1000,
		(unsigned long long)w->latency.sync_max_ns / 1000,
		(unsigned long long)w->latency.write_max_ns / 1000, w->segment_bytes,
		(long long)w->snapshot_threshold, (unsigned long long)w->snapshot_interval,
		(unsigned long long)w->wal_limit_bytes, (unsigned long long)w->work_min_ns / 1000,
		(unsigned long long)w->work_max_ns / 1000, w->burst, w->tick_ms, w->election_ticks,
		w->heartbeat_ticks, (unsigned long long)(w->lease_ns / SIM_MS),
		(unsigned long long)w->session_ttl_ms, w->sleep_ms, w->replace, w->member_ms,
		w->limits.max_message_bytes, w->limits.max_inflight_messages,
		(unsigned long long)w->limits.max_inflight_bytes,
		(unsigned long long)w->limits.max_uncommitted_bytes,
		(unsigned long long)w->limits.max_apply_bytes,
		(unsigned long long)w->limits.max_cache_bytes,
		(unsigned long long)w->limits.keep_tail_bytes, w->evaluator.overlay_bytes,
		w->evaluator.parked, w->evaluator.step_blocks);
}
