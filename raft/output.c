/*
 * output.c - what one step hands out: messages, log work, entries to apply, loads, cuts.
 *
 * The rules that order it are told in raft_internal.h.
 */
#include "base/mark.h"
#include "raft/lease.h"
#include "raft/membership.h"
#include "raft/raft_internal.h"
#include "raft/read.h"
#include "raft/reconfigure.h"
#include "raft/replication.h"
#include "raft/snapshot.h"

/* ---- messages ------------------------------------------------------------------------------- */

static void list_push(struct message_list *l, const struct raft_message *msg)
{
	if (l->count == l->cap) {
		l->cap = l->cap == 0 ? 16 : 2 * l->cap;
		l->v = mem_realloc(l->v, l->cap * sizeof(l->v[0]));
	}
	l->v[l->count++] = *msg;
}

static void list_clear(struct message_list *l)
{
	for (size_t i = 0; i < l->count; i++)
		raft_message_release(&l->v[i]);
	l->count = 0;
}

static bool hard_is_durable(const struct raft *r)
{
	return r->hard_durable.term == r->hard.term && r->hard_durable.vote == r->hard.vote;
}

static bool hard_handed_out(const struct raft *r)
{
	return r->hard_out.term == r->hard.term && r->hard_out.vote == r->hard.vote;
}

static void complete(struct raft *r, struct raft_message *msg)
{
	msg->from = r->options.self;
	msg->group = r->options.group;
	msg->incarnation = r->incarnation;
	if (msg->term == 0)
		msg->term = r->hard.term;
	assert(msg->to != 0 && msg->to != r->options.self);
	lease_fill(r, msg);
}

void raft_send(struct raft *r, struct raft_message msg)
{
	/* Nothing of a term may be seen outside before the term is durable; the vote is a promise. */
	bool campaign = msg.type == RAFT_MSG_VOTE;

	if (r->hard_durable.term != r->hard.term || (campaign && !hard_is_durable(r))) {
		raft_promise(r, msg);
		return;
	}
	complete(r, &msg);
	list_push(&r->send, &msg);
}

void raft_promise(struct raft *r, struct raft_message msg)
{
	complete(r, &msg);
	MARK_IF(r->promises.count >= RAFT_PROMISES_MAX, "raft.promise.dropped-full");
	if (r->promises.count >= RAFT_PROMISES_MAX)
		raft_message_release(&msg);
	else
		list_push(&r->promises, &msg);
}

void output_drop_promises(struct raft *r)
{
	MARK_IF(r->promises.count > 0, "raft.promise.dropped-by-new-term");
	list_clear(&r->promises);
}

/* ---- log ------------------------------------------------------------------------------------ */

void log_append(struct raft *r, struct raft_entry e)
{
	if (e.type == RAFT_ENTRY_CONF)
		reconfigure_note(r, &e);
	tail_append(&r->tail, e);
}

void log_truncate(struct raft *r, uint64_t index)
{
	assert(index > r->commit && r->role != RAFT_LEADER);
	tail_truncate(&r->tail, index);
	reconfigure_truncate(r, index);
	lease_truncate(r, index);
	r->synced_index = min_u64(r->synced_index, index - 1);
	r->persist_next = min_u64(r->persist_next, index);
	if (r->log_in_flight && r->inflight_index >= index) {
		MARK("raft.persist.replaced-in-flight");
		r->truncate_wait = true;
	}
}

static bool persist_blocked(const struct raft *r)
{
	return r->truncate_wait || r->incoming.phase == SNAPSHOT_INSTALLING;
}

static void hand_out_persist(struct raft *r, struct raft_output *out)
{
	bool installing = r->incoming.phase == SNAPSHOT_INSTALLING;
	size_t count;

	MARK_IF(!hard_handed_out(r) && r->hard_in_flight, "raft.persist.hard-state-queues");
	if (!hard_handed_out(r) && !r->hard_in_flight && !installing) {
		r->hard_out = r->hard;
		r->hard_in_flight = true;
		out->persist_hard_state = true;
		out->hard = r->hard;
	}
	/* Entries follow the hard state of their term, never overtake it. */
	if (!hard_handed_out(r) || persist_blocked(r) || r->persist_next > r->tail.last_index)
		return;
	count = (size_t)(r->tail.last_index - r->persist_next + 1);
	assert(count <= r->tail.count);
	out->persist.v = r->tail.cache + r->tail.head + r->tail.count - count;
	out->persist.count = count;
	r->persist_next = r->tail.last_index + 1;
	r->log_in_flight = true;
	r->inflight_index = r->tail.last_index;
	r->inflight_term = tail_last_term(&r->tail);
}

/* Promises leave once all they can rest on is with the owner. */
static void hand_out_promises(struct raft *r)
{
	if (!hard_handed_out(r) || r->persist_next <= r->tail.last_index || r->truncate_wait)
		return;
	for (size_t i = 0; i < r->promises.count; i++)
		list_push(&r->stored, &r->promises.v[i]);
	r->promises.count = 0;
}

void persist_done(struct raft *r, uint64_t index, uint64_t term, bool hard_state)
{
	if (hard_state && r->hard_in_flight) {
		r->hard_in_flight = false;
		r->hard_durable = r->hard_out;
	}
	if (!r->log_in_flight)
		return;
	if (index == r->inflight_index && term == r->inflight_term) {
		/* Everything handed out is down; what was not replaced meanwhile is stable. */
		r->log_in_flight = false;
		r->truncate_wait = false;
		r->synced_index = r->persist_next - 1;
	} else if (index > r->synced_index && index < r->persist_next &&
		   tail_matches(&r->tail, index, term)) {
		MARK("raft.persist.first-of-two-in-flight");
		r->synced_index = index;
	} else {
		MARK("raft.persist.completion-stale");
	}
}

/* ---- apply ---------------------------------------------------------------------------------- */

static void handed_push(struct raft *r, uint64_t index, uint64_t bytes)
{
	if (r->handed_head + r->handed_count == r->handed_cap) {
		if (r->handed_head > r->handed_cap / 2) {
			memmove(r->handed_fifo, r->handed_fifo + r->handed_head,
				r->handed_count * sizeof(r->handed_fifo[0]));
			r->handed_head = 0;
		} else {
			r->handed_cap = r->handed_cap == 0 ? 64 : 2 * r->handed_cap;
			r->handed_fifo = mem_realloc(r->handed_fifo,
						     r->handed_cap * sizeof(r->handed_fifo[0]));
		}
	}
	r->handed_fifo[r->handed_head + r->handed_count++] =
		(struct handed_entry){ .index = index, .bytes = bytes };
	r->handed_bytes += bytes;
}

void apply_done(struct raft *r, uint64_t index)
{
	assert(index <= r->handed);
	while (r->handed_count > 0 && r->handed_fifo[r->handed_head].index <= index) {
		r->handed_bytes -= r->handed_fifo[r->handed_head].bytes;
		r->handed_head++;
		if (--r->handed_count == 0)
			r->handed_head = 0;
	}
	r->applied = max_u64(r->applied, index);
	r->durable = max_u64(r->durable, min_u64(r->durable_reported, r->applied));
	reconfigure_apply(r, r->applied);
	reconfigure_auto_leave(r);
}

/* The entries that may be applied: committed, and on our own disk so that state never runs ahead
 * of the log it came from. */
static uint64_t apply_limit(const struct raft *r)
{
	return snapshot_busy(r) ? r->handed : min_u64(r->commit, r->synced_index);
}

static bool apply_budget_left(const struct raft *r, uint64_t bytes)
{
	return r->handed_bytes == 0 || r->handed_bytes + bytes <= r->options.max_apply_bytes;
}

static void hand_out_apply(struct raft *r)
{
	while (r->handed < apply_limit(r)) {
		const struct raft_entry *e = tail_get(&r->tail, r->handed + 1);

		MARK_IF(e == NULL, "raft.apply.not-in-memory");
		MARK_IF(e != NULL && !apply_budget_left(r, entry_bytes(e)),
			"raft.apply.budget-full");
		if (e == NULL || !apply_budget_left(r, entry_bytes(e)))
			break;
		if (r->apply_count == r->apply_cap) {
			r->apply_cap = r->apply_cap == 0 ? 64 : 2 * r->apply_cap;
			r->apply_v = mem_realloc(r->apply_v, r->apply_cap * sizeof(r->apply_v[0]));
		}
		r->apply_v[r->apply_count++] = *e;
		r->handed = e->index;
		handed_push(r, e->index, entry_bytes(e));
		if (e->type == RAFT_ENTRY_CONF)
			reconfigure_note(r, e);
	}
}

/* ---- load ----------------------------------------------------------------------------------- */

/*
 * The first entry consumer i lacks in memory, 0 none. Consumer 0 is apply, i the peer i - 1, and the
 * last one the campaign, which must know what the configuration may become.
 */
static uint64_t lacking(const struct raft *r, size_t i)
{
	uint64_t next;

	if (i > r->peer_count)
		return reconfigure_unread(r);
	if (i == 0) {
		next = r->handed + 1;
		if (next > apply_limit(r) || !apply_budget_left(r, 1))
			return 0;
	} else {
		const struct progress *p = &r->peers[i - 1];

		next = p->next;
		if (r->role != RAFT_LEADER || p->state != RAFT_REPLICATE || progress_paused(p) ||
		    next > r->tail.last_index || next <= r->tail.base_index)
			return 0;
	}
	return tail_get(&r->tail, next) == NULL ? next : 0;
}

static void hand_out_load(struct raft *r, struct raft_output *out)
{
	size_t consumers = r->peer_count + 2;

	if (r->load_lo != 0 || r->load_failed || snapshot_busy(r))
		return;
	for (size_t n = 0; n < consumers; n++) {
		size_t i = (r->load_turn + n) % consumers;
		uint64_t lo = lacking(r, i);

		if (lo == 0)
			continue;
		r->load_turn = i + 1;
		r->counters.loads++;
		r->load_lo = lo;
		r->load_hi =
			min_u64(lo + RAFT_LOAD_ENTRIES_MAX - 1, tail_cache_first(&r->tail) - 1);
		out->load.lo = r->load_lo;
		out->load.hi = r->load_hi;
		return;
	}
}

/* Loaded entries come from our disk, but the log may have changed since they were asked for. */
static size_t usable_prefix(const struct raft *r, const struct raft_entry *v, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (v[i].index != r->load_lo + i || v[i].index > r->load_hi ||
		    v[i].index <= r->tail.base_index ||
		    !tail_matches(&r->tail, v[i].index, v[i].term) ||
		    (v[i].type == RAFT_ENTRY_CONF && !conf_payload_sound(v[i].data))) {
			MARK("raft.load.overtaken");
			return i;
		}
	}
	return count;
}

void load_done(struct raft *r, const struct raft_entry *v, size_t count)
{
	if (r->load_lo == 0)
		return;
	count = usable_prefix(r, v, count);
	/* Nothing usable: try again at the next tick, unless the log was cut past the question. */
	r->load_failed = count == 0 && r->load_lo > r->tail.base_index;
	MARK_IF(r->load_failed, "raft.load.failed");
	if (count > 0)
		tail_set_window(&r->tail, v, count);
	for (size_t i = 0; i < count; i++) {
		if (v[i].type == RAFT_ENTRY_CONF && v[i].index > r->applied)
			reconfigure_note(r, &v[i]);
	}
	r->load_lo = r->load_hi = 0;
	replication_feed(r);
}

/* ---- a step's output ------------------------------------------------------------------------ */

void output_begin(struct raft *r)
{
	list_clear(&r->send);
	list_clear(&r->stored);
	r->apply_count = 0;
	r->reads.result_count = 0;
	r->action = RAFT_SNAPSHOT_NONE;
	r->propose_result = RAFT_PROPOSE_NONE;
	r->propose_first = 0;
	r->conf_result = RAFT_CONF_NONE;
	r->conf_changed = false;
	/* Only now, since the last output pointed into the cache. Uncommitted ones are still counted. */
	if (r->cut_due > r->tail.base_index)
		tail_cut(&r->tail, r->cut_due);
	r->cut_due = 0;
	tail_evict(&r->tail, r->options.max_cache_bytes, min_u64(r->synced_index, r->commit));
}

static void hand_out_cut(struct raft *r, struct raft_output *out)
{
	uint64_t limit = r->incoming.phase == SNAPSHOT_INSTALLING ? 0 : snapshot_cut_limit(r);

	limit = min_u64(limit, r->applied);
	if (limit <= r->tail.base_index)
		return;
	out->cut_prefix_to = r->cut_due = limit;
}

void output_finish(struct raft *r, struct raft_output *out)
{
	snapshot_try_install(r);
	hand_out_apply(r);
	hand_out_persist(r, out);
	hand_out_promises(r);
	hand_out_cut(r, out);
	hand_out_load(r, out);
	out->send = (struct raft_messages){ .v = r->send.v, .count = r->send.count };
	out->send_when_stored =
		(struct raft_messages){ .v = r->stored.v, .count = r->stored.count };
	out->apply = (struct raft_entries){ .v = r->apply_v, .count = r->apply_count };
	out->reads = r->reads.results;
	out->read_count = r->reads.result_count;
	out->snapshot.action = r->action;
	out->snapshot.from = r->action_from;
	out->snapshot.meta = r->action == RAFT_SNAPSHOT_NONE ? NULL : &r->action_meta;
	out->propose_result = r->propose_result;
	out->propose_first_index = r->propose_first;
	out->last_index = r->tail.last_index;
	out->conf_result = r->conf_result;
	out->conf_changed = r->conf_changed;
}

void output_release(struct raft *r)
{
	list_clear(&r->send);
	list_clear(&r->stored);
	list_clear(&r->promises);
	free(r->send.v);
	free(r->stored.v);
	free(r->promises.v);
	free(r->apply_v);
	free(r->handed_fifo);
	reconfigure_forget(r, UINT64_MAX);
	free(r->confs);
	free(r->reads.v);
	free(r->reads.results);
}
