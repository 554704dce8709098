/* replication.c - see replication.h. */
#include "raft/replication.h"

#include "base/mark.h"
#include "raft/lease.h"
#include "raft/membership.h"
#include "raft/read.h"
#include "raft/snapshot.h"

/* Collects consecutive entries from `from` that are in memory, at least one, up to the limit. */
static size_t collect(const struct raft *r, uint64_t from, struct raft_entry **out, uint64_t *bytes)
{
	struct raft_entry *v;
	size_t count = 0, n = 0;

	*bytes = 0;
	*out = NULL;
	for (uint64_t i = from; i <= r->tail.last_index; i++) {
		const struct raft_entry *e = tail_get(&r->tail, i);

		MARK_IF(e == NULL, "raft.replicate.not-in-memory");
		if (e == NULL ||
		    (count > 0 && *bytes + entry_bytes(e) > r->options.max_message_bytes))
			break;
		*bytes += entry_bytes(e);
		count++;
	}
	if (count == 0)
		return 0;
	v = mem_alloc(count * sizeof(v[0]));
	for (; n < count; n++) {
		v[n] = *tail_get(&r->tail, from + n);
		blob_ref(v[n].data);
	}
	*out = v;
	return count;
}

bool replication_append_to(struct raft *r, struct progress *p, bool even_if_empty)
{
	struct raft_message msg = { .type = RAFT_MSG_APPEND, .to = p->id, .commit = r->commit };
	uint64_t bytes = 0;

	if (progress_paused(p))
		return false;
	msg.log_index = p->next - 1;
	if (msg.log_index < r->tail.base_index)
		return snapshot_offer_to(r, p);
	msg.log_term = tail_term(&r->tail, msg.log_index);
	if (p->state != RAFT_REPLICATE || !inflights_full(&p->inflights))
		msg.entry_count = collect(r, p->next, &msg.entries, &bytes);
	if (msg.entry_count == 0 && !even_if_empty)
		return false;
	progress_sent_entries(p, msg.entry_count, bytes);
	MARK_IF(p->state == RAFT_REPLICATE && p->paused, "raft.replicate.inflight-full");
	MARK_IF(p->state == RAFT_PROBE && msg.entry_count == 0 && p->next <= r->tail.last_index,
		"raft.replicate.probe-without-entries");
	/* A probe for entries that are still on disk goes without them; one is enough. */
	if (p->state == RAFT_PROBE && p->next <= r->tail.last_index)
		p->paused = true;
	p->sent_commit = r->commit;
	r->counters.appends_sent++;
	r->counters.entries_sent += msg.entry_count;
	raft_send(r, msg);
	return true;
}

void replication_broadcast(struct raft *r)
{
	for (size_t i = 0; i < r->peer_count; i++)
		replication_append_to(r, &r->peers[i], true);
}

void replication_feed(struct raft *r)
{
	for (size_t i = 0; r->role == RAFT_LEADER && i < r->peer_count; i++) {
		struct progress *p = &r->peers[i];

		while (p->state == RAFT_REPLICATE && replication_append_to(r, p, false))
			;
	}
}

void replication_heartbeat(struct raft *r)
{
	for (size_t i = 0; i < r->peer_count; i++) {
		struct progress *p = &r->peers[i];
		uint64_t commit = min_u64(p->match, r->commit);

		MARK_IF(p->match < r->commit, "raft.heartbeat.commit-held-at-match");
		p->sent_commit = commit;
		r->counters.heartbeats_sent++;
		raft_send(r, (struct raft_message){ .type = RAFT_MSG_HEARTBEAT,
						    .to = p->id,
						    .commit = commit,
						    .context = reads_running_round(r) });
	}
}

/* ---- commit ------------------------------------------------------------------------------- */

bool replication_own_term_committed(const struct raft *r)
{
	return r->role == RAFT_LEADER && r->own_term_index != 0 && r->commit >= r->own_term_index;
}

void replication_commit_to(struct raft *r, uint64_t commit)
{
	assert(commit <= r->tail.last_index);
	if (commit <= r->commit)
		return;
	for (uint64_t i = r->commit + 1; r->role == RAFT_LEADER && i <= commit; i++) {
		const struct raft_entry *e = i < r->own_term_index ? NULL : tail_get(&r->tail, i);

		if (e != NULL)
			r->uncommitted_bytes -= min_u64(r->uncommitted_bytes, entry_bytes(e));
	}
	r->commit = commit;
}

bool replication_maybe_commit(struct raft *r)
{
	uint64_t index = min_u64(membership_commit(r), r->tail.last_index);

	if (r->role == RAFT_LEADER)
		index = lease_gate(r, index);
	MARK_IF(r->role == RAFT_LEADER && index > r->commit &&
			tail_term(&r->tail, index) != r->hard.term,
		"raft.commit.older-term-waits");
	/* An older term's entry on a majority can still be replaced; one of ours above it seals it. */
	if (r->role != RAFT_LEADER || index <= r->commit ||
	    tail_term(&r->tail, index) != r->hard.term)
		return false;
	assert(tail_term(&r->tail, index) == r->hard.term); /* I5 */
	replication_commit_to(r, index);
	reads_start_round(r);
	replication_broadcast(r);
	return true;
}

/* ---- proposals ---------------------------------------------------------------------------- */

int replication_propose(struct raft *r, const struct raft_proposal *v, size_t count)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < count; i++) {
		struct raft_entry e = { .data = v[i].data };

		bytes += entry_bytes(&e);
		if (v[i].type != RAFT_ENTRY_NORMAL)
			return -EPROTO;
	}
	/* One batch always fits, however large, else it could never be proposed. */
	if (r->uncommitted_bytes > 0 &&
	    r->uncommitted_bytes + bytes > r->options.max_uncommitted_bytes) {
		MARK("raft.propose.busy");
		return -EAGAIN;
	}
	MARK_IF(bytes > r->options.max_uncommitted_bytes, "raft.propose.larger-than-limit");
	r->uncommitted_bytes += bytes;
	r->propose_first = r->tail.last_index + 1;
	for (size_t i = 0; i < count; i++) {
		struct raft_entry e = { .index = r->tail.last_index + 1,
					.term = r->hard.term,
					.type = v[i].type,
					.data = blob_ref(v[i].data) };

		log_append(r, e);
	}
	replication_broadcast(r);
	return 0;
}

/* ---- the leader hears answers --------------------------------------------------------------- */

static void transfer_if_caught_up(struct raft *r, const struct progress *p)
{
	MARK_IF(p->id == r->transfer_to && p->match < r->tail.last_index,
		"raft.transfer.catches-up-first");
	if (p->id == r->transfer_to && p->match == r->tail.last_index)
		raft_send(r, (struct raft_message){ .type = RAFT_MSG_TIMEOUT_NOW, .to = p->id });
}

void replication_transfer(struct raft *r, uint64_t to)
{
	struct progress *p = raft_peer(r, to);
	const struct raft_member *m = raft_conf_find(&r->conf, to);

	if (r->role != RAFT_LEADER || p == NULL || !conf_member_votes(m) || r->transfer_to == to)
		return;
	r->transfer_to = r->transfer_last = to;
	r->counters.transfers++;
	r->election_elapsed = 0; /* it has one election timeout */
	transfer_if_caught_up(r, p);
	if (p->match < r->tail.last_index)
		replication_append_to(r, p, true);
}

static void append_refused(struct raft *r, struct progress *p, const struct raft_message *msg)
{
	uint64_t hint = msg->hint_index;
	uint64_t unused;

	/* Above our last entry of a term <= the hint's the logs cannot agree: skip that term at once. */
	if (msg->hint_term > 0)
		hint = tail_find_conflict(&r->tail, hint, msg->hint_term, &unused);
	MARK_IF(msg->hint_term == 0, "raft.replicate.reject-below-peers-base");
	MARK_IF(hint < msg->hint_index, "raft.replicate.reject-skips-term");
	r->counters.appends_refused++;
	if (!progress_decrease(p, msg->log_index, hint)) {
		MARK("raft.replicate.reject-stale");
		return;
	}
	if (p->state == RAFT_REPLICATE) {
		MARK("raft.replicate.reject-to-probe");
		progress_become_probe(p);
	}
	replication_append_to(r, p, true);
}

static void append_accepted(struct raft *r, struct progress *p, uint64_t match)
{
	assert(match <= r->tail.last_index); /* I4; step.c refuses more. It never falls: progress_update() */
	if (!progress_update(p, match) && !(p->match == match && p->state == RAFT_PROBE)) {
		MARK("raft.replicate.ack-stale");
		return;
	}
	if (p->state == RAFT_PROBE)
		progress_become_replicate(p);
	else if (p->state == RAFT_REPLICATE)
		inflights_free_le(&p->inflights, match);
	else if (p->match >= r->tail.base_index) {
		MARK("raft.snapshot.peer-caught-up");
		progress_become_replicate(p); /* the image is in, or the peer did without */
	}
	if (!replication_maybe_commit(r) && progress_can_bump_commit(p, r->commit))
		replication_append_to(r, p, true);
	while (replication_append_to(r, p, false))
		;
	transfer_if_caught_up(r, p);
}

void replication_on_append_resp(struct raft *r, const struct raft_message *msg)
{
	struct progress *p = raft_peer(r, msg->from);

	if (r->role != RAFT_LEADER || p == NULL)
		return;
	if (msg->reject)
		append_refused(r, p, msg);
	else
		append_accepted(r, p, msg->log_index);
}

void replication_on_heartbeat_resp(struct raft *r, const struct raft_message *msg)
{
	struct progress *p = raft_peer(r, msg->from);

	if (r->role != RAFT_LEADER || p == NULL)
		return;
	p->paused = false;
	if (p->state == RAFT_SNAPSHOT)
		snapshot_offer_again(r, p);
	else if (p->match < r->tail.last_index || p->state == RAFT_PROBE)
		replication_append_to(r, p, true);
	reads_confirm(r, p, msg->context);
}

void replication_unreachable(struct raft *r, struct progress *p)
{
	/* What was sent ahead is probably lost; find out with one append at a time. */
	if (r->role == RAFT_LEADER && p->state == RAFT_REPLICATE) {
		MARK("raft.replicate.peer-unreachable");
		progress_become_probe(p);
	}
}

/* ---- follower ------------------------------------------------------------------------------- */

static void refuse_append(struct raft *r, const struct raft_message *msg)
{
	struct raft_message answer = { .type = RAFT_MSG_APPEND_RESP,
				       .to = msg->from,
				       .reject = true,
				       .log_index = msg->log_index };

	answer.hint_index =
		tail_find_conflict(&r->tail, msg->log_index, msg->log_term, &answer.hint_term);
	raft_send(r, answer);
}

static void acknowledge(struct raft *r, uint64_t to, uint64_t match)
{
	raft_promise(r, (struct raft_message){
				.type = RAFT_MSG_APPEND_RESP, .to = to, .log_index = match });
}

/* Appends what is new of msg's entries; those the log holds already stay untouched. */
static void take_entries(struct raft *r, struct raft_message *msg)
{
	for (size_t i = 0; i < msg->entry_count; i++) {
		struct raft_entry *e = &msg->entries[i];

		if (e->index <= r->tail.last_index) {
			if (tail_matches(&r->tail, e->index, e->term)) {
				MARK("raft.append.held-already");
				blob_unref(e->data);
				continue;
			}
			MARK("raft.append.conflict-cuts-suffix");
			log_truncate(r, e->index);
		}
		log_append(r, *e);
	}
	free(msg->entries);
	msg->entries = NULL;
	msg->entry_count = 0;
}

void replication_on_append(struct raft *r, struct raft_message *msg)
{
	uint64_t match = msg->log_index + msg->entry_count;

	if (snapshot_busy(r)) {
		MARK("raft.append.while-installing");
		return; /* the log is about to be replaced; the leader asks again */
	}
	if (msg->log_index < r->commit) {
		MARK("raft.append.below-commit");
		lease_proven(r, r->commit);
		acknowledge(r, msg->from, r->commit);
		return;
	}
	if (!tail_matches(&r->tail, msg->log_index, msg->log_term)) {
		MARK("raft.append.refused");
		refuse_append(r, msg);
		return;
	}
	take_entries(r, msg);
	assert(match <= r->tail.last_index); /* I6: proven up to here, and no further */
	lease_proven(r, match);
	replication_commit_to(r, min_u64(msg->commit, match));
	snapshot_recheck(r);
	acknowledge(r, msg->from, match);
}

void replication_on_heartbeat(struct raft *r, const struct raft_message *msg)
{
	if (!snapshot_busy(r))
		replication_commit_to(r, msg->commit);
	snapshot_recheck(r);
	raft_send(r, (struct raft_message){ .type = RAFT_MSG_HEARTBEAT_RESP,
					    .to = msg->from,
					    .context = msg->context });
}
