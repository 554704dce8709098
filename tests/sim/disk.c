/*
 * disk.c - what the machine does to a node's disk: deaths in the middle of a call, errors, no room, and
 * damage of what was synced.
 *
 * Damage stays within what the contract promises to survive: it hits fewer than half of the members, and
 * a node that was hit counts as lost from then on. It may go on as long as it notices nothing; what it
 * may not do is lie.
 */
#include <unistd.h>

#include "store/log.h"
#include "store/store_internal.h"
#include "tests/sim/seams.h"

#define ROOMY (1024ull * 1024 * 1024)

static void disk_wait(void *ctx, uint64_t ns)
{
	seams_sleep_ns(ns);
}

void disk_make(struct sim_node *node)
{
	struct sim *s = node->sim;
	struct sim_disk_latency latency = s->swarm.latency;
	char name[16];

	snprintf(name, sizeof(name), "n%llu", (unsigned long long)node->id);
	node->disk = sim_disk_new(name, prng_u64(&s->rnd[RND_DISK]));
	node->dir = sim_disk_root(node->disk);
	latency.wait_ns = disk_wait;
	sim_disk_set_latency(node->disk, &latency);
}

void disk_restart_later(struct sim_node *node)
{
	struct sim *s = node->sim;
	uint64_t down = sim_chance(s, RND_FAULT, 600) ? sim_between(s, RND_FAULT, 1, 500)
						      : sim_between(s, RND_FAULT, 500, 8000);

	sim_at(s, s->now + down * SIM_MS, SIM_EV_START, node);
}

bool disk_explains(const struct sim_node *node)
{
	return sim_disk_died(node->disk) || node->damaged || node->full || node->disk_error ||
	       (node->was_full && node->failed && node->error.code == -ENOSPC);
}

void disk_crash_soon(struct sim *s)
{
	struct sim_node *node = fault_node(s);

	if (node->alive)
		sim_disk_crash_at(node->disk, sim_between(s, RND_DISK, 1, 40));
}

/* What moves what a start begins with: few calls, each of which may be the last. */
void disk_crash_in(struct sim_node *node, const struct job *job)
{
	struct sim *s = node->sim;
	bool turn = job->type == JOB_CUT || job->type == JOB_INSTALL ||
		    job->type == JOB_CHECKPOINT || job->type == JOB_SNAPSHOT;

	if (turn && !s->calm && sim_chance(s, RND_DISK, s->swarm.turn_crash))
		sim_disk_crash_at(node->disk, sim_between(s, RND_DISK, 1, 12));
}

void disk_error(struct sim *s)
{
	static const struct sim_disk_fault kinds[] = {
		{ .kind = SIM_FAULT_ERROR, .calls = SIM_IO_CHANGES, .error = EIO },
		{ .kind = SIM_FAULT_ERROR, .calls = SIM_IO_CHANGES, .error = ENOSPC },
		{ .kind = SIM_FAULT_ERROR, .calls = SIM_IO_READ, .error = EIO },
		{ .kind = SIM_FAULT_SHORT },
		{ .kind = SIM_FAULT_SYNC },
		{ .kind = SIM_FAULT_SYNC_REVERT },
	};
	struct sim_node *node = fault_node(s);
	struct sim_disk_fault fault = kinds[sim_between(s, RND_DISK, 0, ARRAY_SIZE(kinds) - 1)];

	if (!node->alive)
		return;
	fault.after = sim_between(s, RND_DISK, 0, 40);
	node->disk_error = true;
	s->counts.disk_faults++;
	sim_trace(s, "node %llu: disk fault %d in %llu calls", (unsigned long long)node->id,
		  fault.kind, (unsigned long long)fault.after);
	sim_disk_arm(node->disk, &fault);
}

/* Other files took the room, and give it back later. */
void disk_full(struct sim *s)
{
	struct sim_node *node = fault_node(s);

	if (!node->disk || node->full)
		return;
	node->full = node->was_full = true;
	s->counts.disk_faults++;
	sim_trace(s, "node %llu: disk is full", (unsigned long long)node->id);
	sim_disk_set_capacity(node->disk, sim_disk_used_bytes(node->disk) +
						  sim_between(s, RND_DISK, 0, 300000));
	sim_at(s, s->now + sim_between(s, RND_DISK, 500, 6000) * SIM_MS, SIM_EV_ROOM, NULL)->a =
		node->id;
}

void disk_event(struct sim *s, struct sim_event *e)
{
	struct sim_node *node = &s->nodes[e->a];

	node->full = false;
	sim_disk_set_capacity(node->disk, ROOMY);
}

/* One more node may be lost: fewer than half of the members are. */
static bool may_damage(const struct sim *s, const struct sim_node *node)
{
	size_t damaged = 0;
	/* Where members leave, half of the nodes may be all that vote (fault.c). */
	size_t voters = s->swarm.member_ms ? (s->node_count + 1) / 2 : s->node_count;

	for (size_t i = 1; i <= s->node_count; i++)
		damaged += s->nodes[i].damaged || s->nodes[i].gone;
	return node->damaged || 2 * (damaged + 1) < voters;
}

/* "/state-": SQLite's file, its WAL, the floor. */
void disk_damage(struct sim *s)
{
	static const char *const places[] = { "/log/", "superblock", "/snapshots/", "/state-", NULL };
	const char *place = places[sim_between(s, RND_DISK, 0, ARRAY_SIZE(places) - 1)];
	struct sim_node *node = fault_node(s);
	struct buf path = BUF_INIT;
	uint64_t offset;

	if (!may_damage(s, node))
		return;
	if (sim_disk_flip_any(node->disk, place, &path, &offset) == 0) {
		buf_put_u8(&path, '\0');
		node->damaged = true;
		node->log_damaged = node->log_damaged || strcmp(place ? place : "", "/log/") == 0;
		s->counts.disk_faults++;
		sim_trace(s, "node %llu: damage of %s at %llu", (unsigned long long)node->id,
			  (char *)path.data, (unsigned long long)offset);
	}
	buf_release(&path);
}

/*
 * A byte of a frame that has a successor, so that its loss is to be told from a torn end; or a whole
 * segment but the newest one. Then the process dies, and the next one reads the log.
 */
void disk_rot(struct sim *s)
{
	struct sim_node *node = fault_node(s);
	char path[512], name[SPARE_NAME_SIZE];
	const struct store_log *log;
	const struct log_frame *frame;
	uint64_t offset;

	if (!node->alive || node->damaged || !may_damage(s, node))
		return;
	log = node->store->log;
	if (log->frame_count < 2)
		return;
	frame = &log->frames[sim_between(s, RND_DISK, 0, log->frame_count - 2)];
	offset = frame->offset + sim_between(s, RND_DISK, 0, frame->size_bytes - 1);
	segment_name(frame->segment->number, name);
	snprintf(path, sizeof(path), "%s/%s", log->path, name);
	node->damaged = true;
	s->counts.disk_faults++;
	if (frame->segment != log->segments[log->segment_count - 1] &&
	    sim_chance(s, RND_DISK, 400)) {
		sim_trace(s, "node %llu: %s is gone", (unsigned long long)node->id, path);
		unlink(path);
	} else {
		sim_trace(s, "node %llu: damage of %s at %llu", (unsigned long long)node->id, path,
			  (unsigned long long)offset);
		SIM_CHECK(s, sim_disk_flip(node->disk, path, offset,
					   (uint8_t)sim_between(s, RND_DISK, 1, 255)) == 0);
	}
	s->counts.crashes++;
	node_end(node, NODE_KILL);
	disk_restart_later(node);
}

void disk_mend(struct sim_node *node)
{
	sim_disk_disarm(node->disk);
	sim_disk_crash_at(node->disk, 0);
	sim_disk_set_capacity(node->disk, ROOMY);
	node->full = false;
	if (!node->alive)
		node->disk_error = false;
}
