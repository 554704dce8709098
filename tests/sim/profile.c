/*
 * profile.c - half of the runs lean on one kind of trouble: several faults that lead somewhere only
 * together, with the ranges that make them meet. Drawn after all the rest, so that a run without a
 * profile is what it was.
 */
#include "tests/sim/sim.h"

static uint64_t draw(struct sim *s, uint64_t lo, uint64_t hi)
{
	return sim_between(s, RND_SWARM, lo, hi);
}

/* Most of what is asked for meets what somebody else has under way. */
static void crowd(struct sim *s, struct swarm *w)
{
	w->clients = draw(s, 3, 6);
	w->ops = (unsigned)draw(s, 100, 200);
	w->inflight_max = (unsigned)draw(s, 3, 8);
	w->think_ms = (unsigned)(w->chaos_ns / SIM_MS * w->clients / w->ops);
}

/* Short lives of clients and of their sessions, copies that arrive long after their session ended. */
static void lean_on_sessions(struct sim *s, struct swarm *w)
{
	crowd(s, w);
	w->inflight_max = (unsigned)draw(s, 1, 4);
	w->session_ttl_ms = draw(s, 1000, 2500);
	w->ask_again_ms = (unsigned)draw(s, 400, 1500);
	w->death_ms = (unsigned)draw(s, 700, 2500);
	w->sleep_ms = (unsigned)draw(s, 700, 3000);
	w->replace = 900;
	w->ghost = (unsigned)draw(s, 0, 900);
	w->clog = (unsigned)draw(s, 200, 800);
	w->cut_ms = (unsigned)draw(s, 1000, 6000);
	w->pause_ms = (unsigned)draw(s, 1000, 6000);
}

/* Logs that cannot be written while heartbeats pass, then the end of those who could not. */
static void lean_on_stalls(struct sim *s, struct swarm *w)
{
	crowd(s, w);
	w->stall_ms = (unsigned)draw(s, 1000, 3000);
	w->resend_ms = (unsigned)draw(s, 50, 1500);
	w->soft_clients = false;
}

/* Leaders that lose their role and win it back before their evaluators tell what they found. */
static void lean_on_turns(struct sim *s, struct swarm *w)
{
	crowd(s, w);
	w->late_done = (unsigned)draw(s, 50, 500);
	w->resend_ms = (unsigned)draw(s, 50, 1500);
	w->transfer_ms = (unsigned)draw(s, 150, 1000);
	w->pause_ms = (unsigned)draw(s, 1000, 4000);
}

/* Logs that are damaged in the middle and read again soon. */
static void lean_on_rot(struct sim *s, struct swarm *w)
{
	crowd(s, w);
	w->rot_ms = (unsigned)draw(s, 1000, 4000);
	w->segment_bytes = 16384 * draw(s, 1, 2);
}

/* Logs so short that whoever was away takes an image, over ways that damage it; deaths meanwhile. */
static void lean_on_images(struct sim *s, struct swarm *w)
{
	crowd(s, w);
	w->snapshot_threshold = (int64_t)draw(s, 500, 5000);
	w->snapshot_interval = draw(s, 3, 10);
	w->limits.keep_tail_bytes = draw(s, 100, 2000);
	w->wal_limit_bytes = draw(s, 8192, 60000);
	w->crash_ms = (unsigned)draw(s, 700, 3000);
	w->io_crash_ms = (unsigned)draw(s, 700, 3000);
	w->power_loss = (unsigned)draw(s, 200, 1000);
	w->bulk_damage = (unsigned)draw(s, 0, 500);
	w->turn_crash = (unsigned)draw(s, 0, 150);
	w->segment_bytes = 16384 * draw(s, 1, 2);
}

/* Images for nodes that have not yet applied what they have, while leaders change. */
static void lean_on_laggards(struct sim *s, struct swarm *w)
{
	crowd(s, w);
	w->lag_ms = (unsigned)draw(s, 700, 2500);
	w->transfer_ms = (unsigned)draw(s, 300, 3000);
	w->snapshot_threshold = (int64_t)draw(s, 300, 3000);
	w->snapshot_interval = draw(s, 3, 10);
	w->limits.keep_tail_bytes = draw(s, 100, 1500);
	w->limits.max_apply_bytes = draw(s, 200, 5000);
	w->wal_limit_bytes = draw(s, 8192, 40000);
	w->segment_bytes = 16384;
}

#define GATHERED_BYTES_MAX (512u * 1024) /* one entry, of a second's writes */

void profile_draw(struct sim *s)
{
	static const struct {
		const char *name;
		void (*lean)(struct sim *s, struct swarm *w);
	} profiles[] = {
		{ "sessions", lean_on_sessions },
		{ "stalls", lean_on_stalls },
		{ "turns", lean_on_turns },
		{ "rot", lean_on_rot },
		{ "images", lean_on_images },
	};
	struct swarm *w = &s->swarm;
	size_t pick = draw(s, 0, 2 * ARRAY_SIZE(profiles) - 1);

	w->profile = "none";
	w->ask_again_ms = 3000;
	w->resend_ms = 50;
	if (pick < ARRAY_SIZE(profiles)) {
		w->profile = profiles[pick].name;
		profiles[pick].lean(s, w);
	} else if (draw(s, 0, 4) == 0) {
		w->profile = "laggards";
		lean_on_laggards(s, w);
	}
	w->known_max = draw(s, 1, 30);
	w->looks = draw(s, 0, 2) ? 0 : (unsigned)draw(s, 200, 800);
	w->gathers = draw(s, 0, 2) ? (unsigned)draw(s, 300, 1000) : 0;
	if (w->gathers) {
		w->segment_bytes = max_u64(w->segment_bytes, GATHERED_BYTES_MAX);
		w->think_ms = draw(s, 0, 3) ? (unsigned)min_u64(w->think_ms, 60) : w->think_ms;
	}
}
