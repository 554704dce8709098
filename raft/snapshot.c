/* snapshot.c - see snapshot.h. */
#include "raft/snapshot.h"

#include "base/mark.h"
#include "raft/lease.h"
#include "raft/membership.h"
#include "raft/reconfigure.h"
#include "raft/replication.h"

/* A peer that fetches or is nearly caught up may hold back the cut up to this many tails. */
#define SNAPSHOT_HOLD_TAILS 4

bool snapshot_meta_equal(const struct raft_snapshot_meta *a, const struct raft_snapshot_meta *b)
{
	return a->index == b->index && a->term == b->term && a->size_bytes == b->size_bytes &&
	       memcmp(a->root, b->root, sizeof(a->root)) == 0;
}

/* ---- leader ------------------------------------------------------------------------------- */

static bool recently_active(const struct raft *r, const struct progress *p)
{
	return r->now_ticks - p->heard_tick <= r->options.election_ticks;
}

static void send_offer(struct raft *r, struct progress *p)
{
	p->snapshot_tick = r->now_ticks;
	r->counters.snapshots_offered++;
	raft_send(r,
		  (struct raft_message){ .type = RAFT_MSG_SNAPSHOT,
					 .to = p->id,
					 .snapshot = mem_dup(&r->snapshot, sizeof(r->snapshot)) });
}

bool snapshot_offer_to(struct raft *r, struct progress *p)
{
	if (r->snapshot.index < r->tail.base_index || r->snapshot.index == 0 || !p->recent_active) {
		MARK("raft.snapshot.no-offer-possible");
		return false;
	}
	progress_become_snapshot(p, r->snapshot.index);
	send_offer(r, p);
	return true;
}

void snapshot_offer_again(struct raft *r, struct progress *p)
{
	if (r->now_ticks - p->snapshot_tick <= r->options.election_ticks)
		return;
	MARK("raft.snapshot.offered-again");
	progress_become_snapshot(p, r->snapshot.index);
	send_offer(r, p);
}

void snapshot_on_resp(struct raft *r, const struct raft_message *msg)
{
	struct progress *p = raft_peer(r, msg->from);

	if (r->role != RAFT_LEADER || p == NULL || p->state != RAFT_SNAPSHOT || !msg->reject)
		return;
	/* An answer to an older offer says nothing about this one. */
	if (msg->log_index != p->pending_snapshot) {
		MARK("raft.snapshot.refusal-stale");
		return;
	}
	MARK("raft.snapshot.peer-refused");
	p->pending_snapshot = 0;
	progress_become_probe(p);
	p->paused = true; /* wait for its next heartbeat answer before trying again */
}

void snapshot_on_progress(struct raft *r, uint64_t peer)
{
	struct progress *p = raft_peer(r, peer);

	if (r->role == RAFT_LEADER && p != NULL && p->state == RAFT_SNAPSHOT)
		p->snapshot_tick = r->now_ticks;
}

void snapshot_on_created(struct raft *r, const struct raft_snapshot_meta *meta)
{
	if (meta->index <= r->snapshot.index || meta->index > r->applied) {
		MARK("raft.snapshot.created-for-nothing");
		return;
	}
	r->snapshot = *meta;
	/* Someone may have been waiting for an image to exist. */
	for (size_t i = 0; r->role == RAFT_LEADER && i < r->peer_count; i++) {
		if (r->peers[i].next - 1 < r->tail.base_index) {
			MARK("raft.snapshot.was-awaited");
			replication_append_to(r, &r->peers[i], true);
		}
	}
}

uint64_t snapshot_cut_limit(const struct raft *r)
{
	uint64_t keep = r->options.keep_tail_bytes;
	uint64_t limit = min_u64(r->snapshot.index, r->durable);
	uint64_t held;

	if (limit <= r->tail.base_index)
		return 0;
	limit = min_u64(limit, tail_cut_keeping(&r->tail, keep));
	if (limit <= r->tail.base_index || r->role != RAFT_LEADER)
		return limit;
	held = limit;
	for (size_t i = 0; i < r->peer_count; i++) {
		const struct progress *p = &r->peers[i];

		if (!recently_active(r, p))
			continue;
		if (p->state == RAFT_SNAPSHOT)
			held = min_u64(held, p->pending_snapshot);
		else if (p->state == RAFT_REPLICATE)
			held = min_u64(held, p->match);
	}
	MARK_IF(held < limit, "raft.cut.held-for-peer");
	/* Beyond some tails the disk matters more: the peer takes an image instead. */
	if (held < limit)
		held = max_u64(held, min_u64(limit, tail_cut_keeping(&r->tail,
								     SNAPSHOT_HOLD_TAILS * keep)));
	return held;
}

/* ---- receiver ----------------------------------------------------------------------------- */

bool snapshot_busy(const struct raft *r)
{
	return r->incoming.phase == SNAPSHOT_WAITING || r->incoming.phase == SNAPSHOT_INSTALLING;
}

static void set_action(struct raft *r, enum raft_snapshot_action action)
{
	r->action = action;
	r->action_from = r->incoming.from;
	r->action_meta = r->incoming.meta;
}

static void acknowledge(struct raft *r, uint64_t match)
{
	if (r->leader != 0 && r->leader != r->options.self)
		raft_promise(r, (struct raft_message){ .type = RAFT_MSG_APPEND_RESP,
						       .to = r->leader,
						       .log_index = match });
}

/* No news: committed already, or the log holds the image's last entry, which commits it. */
static bool no_news(struct raft *r, const struct raft_snapshot_meta *meta)
{
	if (meta->index > r->commit && tail_matches(&r->tail, meta->index, meta->term)) {
		MARK("raft.snapshot.log-holds-it");
		replication_commit_to(r, meta->index);
	}
	return meta->index <= r->commit;
}

void snapshot_recheck(struct raft *r)
{
	if (r->incoming.phase != SNAPSHOT_FETCHING && r->incoming.phase != SNAPSHOT_WAITING)
		return;
	if (!no_news(r, &r->incoming.meta))
		return;
	MARK("raft.snapshot.fetch-overtaken");
	set_action(r, RAFT_SNAPSHOT_ABORT);
	r->incoming.phase = SNAPSHOT_IDLE;
	acknowledge(r, r->commit);
}

void snapshot_on_offer(struct raft *r, const struct raft_message *msg)
{
	const struct raft_snapshot_meta *meta = msg->snapshot;

	if (snapshot_busy(r)) {
		MARK("raft.snapshot.offer-while-installing");
		return;
	}
	if (no_news(r, meta)) {
		MARK("raft.snapshot.offer-is-no-news");
		acknowledge(r, r->commit);
		snapshot_recheck(r);
		return;
	}
	MARK_IF(r->incoming.phase == SNAPSHOT_FETCHING && r->incoming.from != msg->from,
		"raft.snapshot.source-changed");
	MARK_IF(r->incoming.phase == SNAPSHOT_FETCHING && r->incoming.from == msg->from,
		"raft.snapshot.offer-repeated");
	/*
	 * A new leader takes over as source. A repeated offer, newer image or not, repeats the FETCH
	 * begun: the owner may have been busy with another one and not have started it.
	 */
	if (r->incoming.phase != SNAPSHOT_FETCHING || r->incoming.from != msg->from)
		r->incoming = (struct incoming_snapshot){ .phase = SNAPSHOT_FETCHING,
							  .from = msg->from,
							  .meta = *meta };
	set_action(r, RAFT_SNAPSHOT_FETCH);
}

static void report_failure(struct raft *r)
{
	MARK("raft.snapshot.fetch-failed");
	if (r->leader != 0 && r->leader != r->options.self)
		raft_send(r, (struct raft_message){ .type = RAFT_MSG_SNAPSHOT_RESP,
						    .to = r->leader,
						    .reject = true,
						    .log_index = r->incoming.meta.index });
	r->incoming.phase = SNAPSHOT_IDLE;
}

void snapshot_on_failed(struct raft *r, const struct raft_snapshot_meta *meta)
{
	/* A fetch that another one replaced may still report. */
	if (r->incoming.phase == SNAPSHOT_FETCHING &&
	    (meta == NULL || snapshot_meta_equal(meta, &r->incoming.meta)))
		report_failure(r);
}

void snapshot_on_received(struct raft *r, const struct raft_snapshot_meta *meta)
{
	if (r->incoming.phase != SNAPSHOT_FETCHING) {
		MARK("raft.snapshot.received-unasked");
		return;
	}
	MARK_IF(!snapshot_meta_equal(meta, &r->incoming.meta),
		"raft.snapshot.received-other-image");
	/* Any image that was verified will do, also one asked for earlier from another source. */
	r->incoming.meta = *meta;
	r->incoming.phase = SNAPSHOT_WAITING;
	snapshot_recheck(r);
}

void snapshot_try_install(struct raft *r)
{
	MARK_IF(r->incoming.phase == SNAPSHOT_WAITING && r->handed != r->applied,
		"raft.snapshot.install-waits-for-apply");
	if (r->incoming.phase != SNAPSHOT_WAITING || r->handed != r->applied)
		return;
	if (r->hard_in_flight || r->hard_durable.term != r->hard.term ||
	    r->hard_durable.vote != r->hard.vote || r->log_in_flight ||
	    r->synced_index != r->tail.last_index)
		return;
	r->incoming.phase = SNAPSHOT_INSTALLING;
	set_action(r, RAFT_SNAPSHOT_INSTALL);
}

static void install(struct raft *r)
{
	const struct raft_snapshot_meta *meta = &r->incoming.meta;

	if (tail_matches(&r->tail, meta->index, meta->term)) {
		MARK("raft.snapshot.suffix-kept");
		tail_cut(&r->tail, meta->index);
		reconfigure_forget(r, meta->index);
	} else {
		tail_reset(&r->tail, meta->index, meta->term);
		reconfigure_forget(r, UINT64_MAX);
	}
	lease_truncate(r, r->tail.last_index + 1);
	r->synced_index = r->tail.last_index;
	r->persist_next = r->tail.last_index + 1;
	r->commit = max_u64(r->commit, meta->index);
	r->handed = r->applied = meta->index;
	r->durable = r->durable_reported = meta->index;
	r->snapshot = *meta;
	membership_set(r, &meta->conf);
	r->conf_changed = true;
}

void snapshot_on_installed(struct raft *r, const struct raft_snapshot_meta *meta, int result)
{
	if (r->incoming.phase != SNAPSHOT_INSTALLING ||
	    !snapshot_meta_equal(meta, &r->incoming.meta))
		return;
	MARK_IF(result == -ESTALE, "raft.snapshot.install-stale");
	if (result != 0 && result != -ESTALE) {
		MARK("raft.snapshot.install-failed");
		report_failure(r);
		return;
	}
	r->incoming.phase = SNAPSHOT_IDLE;
	if (result == 0) {
		r->counters.snapshots_installed++;
		install(r);
	}
	acknowledge(r, r->commit);
}
