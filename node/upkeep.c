/*
 * upkeep.c - when the state is checkpointed, when a snapshot is due, made, fetched and installed, and
 * how much space is left.
 */
#include "base/mark.h"
#include "node/fetch.h"
#include "node/replica_internal.h"

#define SPACE_EVERY_MS 2000u
#define IDLE_CHECKPOINT_MS 3000u
#define SNAPSHOT_RETRY_MS 10000u
#define SNAPSHOT_DAMAGED_RETRY_MS 600000u /* each copies all of the state, and may fail for ever */
#define LOW_SPACE_LOG_BYTES (1024u * 1024)

static void start_fetch(struct replica *r, const struct raft_output *out)
{
	const struct raft_member *m = raft_conf_find(raft_conf(r->raft), out->snapshot.from);
	struct job_fetch *fetch;

	MARK_IF(r->fetch_running, "node.fetch.runs-already");
	MARK_IF(!m, "node.fetch.source-unknown");
	if (r->fetch_running || !m)
		return; /* the running one ends in RECEIVED or FAILED, and the leader offers again */
	r->fetch_running = true;
	fetch = job_new(JOB_FETCH, sizeof(*fetch));
	fetch->from = out->snapshot.from;
	memcpy(fetch->address, m->address, sizeof(fetch->address));
	fetch->meta = *out->snapshot.meta;
	log_info("replica", "fetching snapshot node=%llu from=%llu index=%llu term=%llu size=%llu",
		 (unsigned long long)r->options.self, (unsigned long long)fetch->from,
		 (unsigned long long)fetch->meta.index, (unsigned long long)fetch->meta.term,
		 (unsigned long long)fetch->meta.size_bytes);
	replica_submit(r, WORKER_FETCH, &fetch->job);
}

void upkeep_carry_out(struct replica *r, struct raft_output *out)
{
	struct job_install *install;

	switch (out->snapshot.action) {
	case RAFT_SNAPSHOT_FETCH:
		start_fetch(r, out);
		break;
	case RAFT_SNAPSHOT_INSTALL:
		install = job_new(JOB_INSTALL, sizeof(*install));
		install->meta = *out->snapshot.meta;
		install->applied_index = r->applied_index;
		replica_submit(r, WORKER_LOG, &install->job);
		break;
	case RAFT_SNAPSHOT_NONE:
	case RAFT_SNAPSHOT_ABORT: /* a finished fetch is resumed or refused by its meta later */
		break;
	}
}

static void ask_space(struct replica *r)
{
	struct job_space *space = job_new(JOB_SPACE, sizeof(*space));

	r->space_ms = replica_now(r) + SPACE_EVERY_MS;
	r->space_bytes = 0;
	replica_submit(r, WORKER_READ, &space->job);
}

void upkeep_count_applied(struct replica *r, const struct job_apply *apply)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < apply->entry_count; i++)
		bytes += 64 + (apply->entries[i].data ? apply->entries[i].data->len : 0);
	r->since_bytes += bytes;
	r->since_checkpoint_bytes += bytes;
	r->space_bytes += bytes;
	r->since_entries += apply->entry_count;
	/* The disk must not run full between two looks at it. */
	if (r->space_bytes > r->space.space.reserve_bytes / 8) {
		MARK("node.space.asked-early");
		ask_space(r);
	}
}

void upkeep_on_checkpoint(struct replica *r, struct job_checkpoint *cp)
{
	struct raft_input in = { .type = RAFT_IN_DURABLE };

	r->checkpointing = false;
	r->state_bytes = cp->state_bytes;
	r->since_checkpoint_bytes = 0;
	in.durable.index = cp->durable_index;
	job_free(&cp->job);
	replica_step(r, &in);
}

static void checkpoint(struct replica *r)
{
	struct job_checkpoint *cp;

	if (r->checkpointing)
		return;
	r->checkpointing = true;
	r->dirty = false;
	cp = job_new(JOB_CHECKPOINT, sizeof(*cp));
	replica_submit(r, WORKER_APPLY, &cp->job);
}

/*
 * Bytes of log after which a snapshot is due: the option, but at least the state's own size, so that a
 * snapshot never copies more than was written since the last one; at most a sixteenth of the disk;
 * staggered by node, the leader last.
 */
uint64_t upkeep_threshold_bytes(const struct replica *r)
{
	uint64_t base;

	if (r->options.snapshot_threshold < 0)
		return UINT64_MAX;
	base = max_u64((uint64_t)r->options.snapshot_threshold, r->state_bytes);
	if (r->space.space.total_bytes > 0)
		base = min_u64(base, r->space.space.total_bytes / 16);
	if (r->evaluating)
		return base + base / 4;
	return base + base / 16 * (r->options.self % 3);
}

/* What growth must leave free. */
static uint64_t kept_free_bytes(const struct replica *r)
{
	uint64_t image = r->options.snapshot_threshold < 0 ? 0 : r->state_bytes + r->since_checkpoint_bytes;

	return r->space.space.reserve_bytes + image;
}

bool upkeep_space_is_low(const struct replica *r)
{
	return r->space.space.total_bytes > 0 && r->space.space.free_bytes < kept_free_bytes(r);
}

uint64_t upkeep_room_bytes(const struct replica *r)
{
	uint64_t kept = kept_free_bytes(r) + r->space_bytes, left = r->space.space.free_bytes;

	return r->space.space.total_bytes > 0 && left > kept ? left - kept : 0;
}

static bool snapshot_is_due(const struct replica *r)
{
	/* Short of space the log goes as soon as it is worth it; an image still fits, see above. */
	if (upkeep_space_is_low(r) && r->options.snapshot_threshold >= 0 && r->since_bytes > LOW_SPACE_LOG_BYTES) {
		MARK("node.snapshot.due-for-want-of-space");
		return true;
	}
	if (r->snapshot_wanted || r->since_bytes > upkeep_threshold_bytes(r))
		return true;
	return r->options.snapshot_interval > 0 && r->since_entries >= r->options.snapshot_interval;
}

static void snapshot_if_due(struct replica *r)
{
	struct job_snapshot *snap;

	if (r->snapshot_running || r->fetch_running || !snapshot_is_due(r) ||
	    replica_now(r) < r->snapshot_retry_ms || (r->since_entries == 0 && !r->snapshot_again))
		return;
	r->snapshot_running = true;
	r->snapshot_wanted = r->snapshot_again = false;
	r->since_bytes = 0;
	r->since_entries = 0;
	snap = job_new(JOB_SNAPSHOT, sizeof(*snap));
	replica_submit(r, WORKER_SNAPSHOT, &snap->job);
}

/*
 * No image can be made of a state that is damaged, so its log would grow for ever, and whom it led would never get
 * one. Others have the data, if there are others; alone, it goes on with what can still be read.
 */
static void on_damaged_image(struct replica *r, struct err *err)
{
	if (r->state_suspect && raft_conf(r->raft)->count > 1) {
		MARK("node.snapshot.state-damaged");
		err_advise(err, "the other nodes, and the log of this one",
			   "quorumfs status --node of another node, then replace this one");
		replica_fail(r, err);
	}
	if (r->state_suspect)
		r->snapshot_retry_ms = replica_now(r) + SNAPSHOT_DAMAGED_RETRY_MS;
	r->state_suspect = true;
}

void upkeep_on_snapshot(struct replica *r, struct job_snapshot *snap)
{
	struct raft_input in = { .type = RAFT_IN_SNAPSHOT_CREATED };

	r->snapshot_running = false;
	if (snap->job.status < 0) {
		MARK("node.snapshot.failed");
		/* The log stays, so nothing is lost; tried again after a while. */
		log_error("replica", "cannot make a snapshot: %s", snap->job.err.text);
		snprintf(r->snapshot_error, sizeof(r->snapshot_error), "%.255s", snap->job.err.text);
		r->snapshot_retry_ms = replica_now(r) + SNAPSHOT_RETRY_MS;
		r->snapshot_wanted = r->snapshot_again = true;
		if (snap->job.status == -EUCLEAN)
			on_damaged_image(r, &snap->job.err);
	} else {
		log_info("replica", "snapshot node=%llu index=%llu term=%llu size=%llu",
			 (unsigned long long)r->options.self, (unsigned long long)snap->meta.index,
			 (unsigned long long)snap->meta.term, (unsigned long long)snap->meta.size_bytes);
		r->snapshot_error[0] = '\0';
		r->state_suspect = false;
		r->snapshots_made++;
		in.snapshot.meta = &snap->meta;
		replica_step(r, &in);
		checkpoint(r); /* the log is cut only below what a checkpoint made durable */
	}
	job_free(&snap->job);
}

/*
 * A piece of our image cannot be read: whoever needs it would ask for ever. The next image writes anew what
 * does not verify, also under the same name.
 */
void upkeep_on_served(struct replica *r, const struct job_bulk *bulk)
{
	int status = bulk->job.status;

	if (bulk->manifest || (status != -EUCLEAN && status != -EIO) || r->snapshot_again)
		return;
	MARK("node.snapshot.image-damaged");
	log_error("replica", "%s; the image is made again", bulk->job.err.text);
	r->snapshot_again = r->snapshot_wanted = true;
}

void upkeep_on_fetched(struct replica *r, struct job_fetch *fetch)
{
	struct raft_input in = { .type = RAFT_IN_SNAPSHOT_RECEIVED };

	r->fetch_running = false;
	MARK_IF(fetch->job.status < 0, "node.fetch.failed");
	if (fetch->job.status < 0)
		in.type = RAFT_IN_SNAPSHOT_FAILED;
	in.snapshot.meta = &fetch->meta;
	in.snapshot.result = fetch->job.status;
	replica_step(r, &in);
	job_free(&fetch->job);
}

void upkeep_on_installed(struct replica *r, struct job_install *install)
{
	struct raft_input in = { .type = RAFT_IN_SNAPSHOT_INSTALLED };

	MARK_IF(install->job.status == -ESTALE, "node.install.stale");
	if (install->job.status < 0 && install->job.status != -ESTALE) {
		MARK("node.install.failed");
		replica_fail(r, &install->job.err);
		job_free(&install->job);
		return;
	}
	if (install->job.status == 0) {
		log_info("replica", "installed snapshot node=%llu index=%llu term=%llu",
			 (unsigned long long)r->options.self, (unsigned long long)install->meta.index,
			 (unsigned long long)install->meta.term);
		r->applied_index = install->meta.index;
		r->applied_term = install->meta.term;
		board_installed(r);
		r->since_bytes = 0;
		r->since_entries = 0;
		r->snapshots_installed++;
	}
	in.snapshot.meta = &install->meta;
	in.snapshot.result = install->job.status;
	replica_step(r, &in);
	if (install->job.status == 0)
		client_on_installed(r);
	job_free(&install->job);
}

void upkeep_on_space(struct replica *r, struct job_space *space)
{
	bool low;

	r->space.space = space->space;
	r->space.log_bytes = space->log_bytes;
	r->space.written_bytes = space->written_bytes;
	low = upkeep_space_is_low(r);
	for (size_t i = 0; i < r->peer_count; i++)
		low = low || (r->peers[i].connected && r->peers[i].space_low);
	MARK_IF(low && r->growth_allowed, "node.space.low");
	MARK_IF(!low && !r->growth_allowed, "node.space.enough-again");
	if (low == r->growth_allowed) {
		r->growth_allowed = !low;
		log_warning("replica", low ? "space is short: writes fail with ENOSPC, deletes work node=%llu" :
					     "space is enough again: writes work node=%llu",
			    (unsigned long long)r->options.self);
		replica_tell_evaluator(r);
	}
	job_free(&space->job);
}

void upkeep_snapshot_now(struct replica *r)
{
	r->snapshot_wanted = true;
	r->snapshot_retry_ms = 0;
	snapshot_if_due(r);
}

void upkeep_tick(struct replica *r)
{
	uint64_t now = replica_now(r);

	if (now >= r->space_ms)
		ask_space(r);
	snapshot_if_due(r);
	if (r->dirty && now >= r->apply_ms + IDLE_CHECKPOINT_MS)
		checkpoint(r);
}
