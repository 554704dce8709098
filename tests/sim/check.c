/*
 * check.c - what must hold after every step, and at the end.
 *
 *   - one leader per term, and each new one has all that is committed
 *   - one history: whatever node applies (index, term, payload), it is what every other one applies
 *   - entries with equal index and term are equal wherever they are written
 *   - states at equal index have equal digests, which are what their rows say
 *   - what a node's disk promised to keep is there when it comes back
 *   - an operation takes effect at most once, and as its answer says
 *   - an answer without an entry has seen nothing that is not committed
 *   - a session ends by an entry alone, and not while its client was told that it is kept
 *   - no read is older than what was committed before it began
 *   - who waits for an answer that came with an image gets it from there
 *   - raft_check() on every node; check_core.c
 */
#include <stdlib.h>

#include "base/hash.h"
#include "fs/fs.h"
#include "raft/raft_internal.h"
#include "tests/history/blind.h"
#include "tests/history/witness.h"
#include "tests/sim/sim.h"

/* An entry that some log held. */
struct sim_written {
	struct hnode node;
	uint64_t index, term, hash, prev_term;
};

/* An operation that took effect, or was answered as one that never will. */
struct sim_executed {
	struct hnode node;
	uint8_t uuid[KV_UUID_SIZE];
	uint64_t seq, index; /* index 0: closed without an entry */
	int32_t status;
	struct buf reply;
};

static void free_written(struct hnode *node, void *ctx)
{
	free(CONTAINER_OF(node, struct sim_written, node));
}

static void free_executed(struct hnode *node, void *ctx)
{
	struct sim_executed *x = CONTAINER_OF(node, struct sim_executed, node);

	buf_release(&x->reply);
	free(x);
}

void check_release(struct sim *s)
{
	htable_each(&s->written, free_written, NULL);
	htable_release(&s->written);
	htable_each(&s->executed, free_executed, NULL);
	htable_release(&s->executed);
	free(s->committed);
	free(s->leaders);
}

static unsigned long long ull(uint64_t v)
{
	return v;
}

static uint64_t entry_hash(const struct raft_entry *e)
{
	return hash64_seed(e->data ? e->data->data : NULL, e->data ? e->data->len : 0,
			   e->type ^ e->term << 8);
}

static uint64_t executed_hash(const uint8_t uuid[KV_UUID_SIZE], uint64_t seq)
{
	return hash64_seed(uuid, KV_UUID_SIZE, seq);
}

static struct sim_executed *executed_find(struct sim *s, const uint8_t uuid[KV_UUID_SIZE],
					  uint64_t seq)
{
	for (struct hnode *n = htable_first(&s->executed, executed_hash(uuid, seq)); n;
	     n = htable_next(n)) {
		struct sim_executed *x = CONTAINER_OF(n, struct sim_executed, node);

		if (x->seq == seq && memcmp(x->uuid, uuid, KV_UUID_SIZE) == 0)
			return x;
	}
	return NULL;
}

/* ---- elections --------------------------------------------------------------------------------------- */

/* The committed entries are few enough to look at the last ones alone: the rest was judged before. */
#define LOOK_BACK 256u

/*
 * A new leader has all that was committed in terms before its own. What a later leader commits it may
 * lack: a node that stood still may win a term that is long over, and nobody will follow it.
 */
static void check_complete(struct sim_node *node, const struct raft *r)
{
	struct sim *s = node->sim;
	uint64_t first = s->committed_last > LOOK_BACK ? s->committed_last - LOOK_BACK : 1;

	for (uint64_t i = first; i <= s->committed_last; i++) {
		const struct sim_committed *c = &s->committed[i];

		if (c->seen_in == 0 || c->seen_in >= r->hard.term)
			continue;
		if (i > r->tail.last_index)
			sim_fail(s,
				 "node %llu leads term %llu with a log up to %llu, %llu is committed",
				 ull(node->id), ull(r->hard.term), ull(r->tail.last_index), ull(i));
		if (raft_term_at(r, i) != 0 && raft_term_at(r, i) != c->term)
			sim_fail(s,
				 "node %llu leads term %llu, its entry %llu has term %llu, not %llu",
				 ull(node->id), ull(r->hard.term), ull(i), ull(raft_term_at(r, i)),
				 ull(c->term));
	}
}

static void check_leader(struct sim_node *node, const struct raft *r)
{
	struct sim *s = node->sim;
	uint64_t term = r->hard.term;

	if (node->seen_term == term)
		return;
	node->seen_term = term;
	if (term >= s->leaders_cap) {
		size_t cap = 2 * term + 64;

		s->leaders = mem_realloc(s->leaders, cap * sizeof(uint64_t));
		memset(s->leaders + s->leaders_cap, 0, (cap - s->leaders_cap) * sizeof(uint64_t));
		s->leaders_cap = cap;
	}
	if (s->leaders[term] != 0 && s->leaders[term] != node->id)
		sim_fail(s, "nodes %llu and %llu both lead term %llu", ull(s->leaders[term]),
			 ull(node->id), ull(term));
	s->leaders[term] = node->id;
	s->counts.elections++;
	sim_note(s, term, node->id);
	sim_trace(s, "node %llu leads term %llu", ull(node->id), ull(term));
	check_complete(node, r);
}

/* ---- logs ---------------------------------------------------------------------------------------------- */

static struct sim_written *written_find(struct sim *s, uint64_t index, uint64_t term)
{
	uint64_t hash = hash_u64(index ^ term << 40);

	for (struct hnode *n = htable_first(&s->written, hash); n; n = htable_next(n)) {
		struct sim_written *w = CONTAINER_OF(n, struct sim_written, node);

		if (w->index == index && w->term == term)
			return w;
	}
	return NULL;
}

static void shadow_reserve(struct sim_shadow *sh, uint64_t last)
{
	size_t cap = sh->cap;

	while (last >= sh->cap)
		sh->cap = sh->cap ? 2 * sh->cap : 64;
	if (cap != sh->cap)
		sh->terms = mem_realloc(sh->terms, sh->cap * sizeof(uint64_t));
}

static void note_written(struct sim_node *node, const struct raft_entry *e, uint64_t prev_term)
{
	struct sim *s = node->sim;
	struct sim_written *w = written_find(s, e->index, e->term);

	if (!w) {
		w = mem_calloc(1, sizeof(*w));
		*w = (struct sim_written){ .index = e->index,
					   .term = e->term,
					   .hash = entry_hash(e),
					   .prev_term = prev_term };
		htable_add(&s->written, &w->node, hash_u64(e->index ^ e->term << 40));
		return;
	}
	if (w->hash != entry_hash(e) || (prev_term && w->prev_term && w->prev_term != prev_term))
		sim_fail(s, "node %llu has another entry %llu of term %llu than others",
			 ull(node->id), ull(e->index), ull(e->term));
}

static void note_ending(struct sim *s, const struct raft_entry *e)
{
	struct kv_batch_head head;
	struct kv_batch_iter it;

	if (e->type != RAFT_ENTRY_NORMAL || !e->data ||
	    kv_batch_decode(&head, &it, e->data->data, e->data->len) < 0)
		return;
	for (uint32_t i = 0; i < head.end_count; i++)
		client_ending(s, kv_session_end_at(&head, i).uuid, e->index);
}

void check_persist_handed(struct sim_node *node, const struct job_persist *p)
{
	struct sim_shadow *sh = &node->shadow;
	uint64_t prev;

	if (p->set_hard) {
		SIM_CHECK(node->sim, sh->maybe_count < ARRAY_SIZE(sh->hard_maybe));
		sh->hard_maybe[sh->maybe_count++] = p->hard;
	}
	if (p->entry_count == 0)
		return;
	prev = raft_term_at(node->replica->raft, p->entries[0].index - 1);
	for (size_t i = 0; i < p->entry_count; i++) {
		note_ending(node->sim, &p->entries[i]);
		note_written(node, &p->entries[i], prev);
		prev = p->entries[i].term;
	}
	sh->unsure_from = min_u64(sh->unsure_from, p->entries[0].index);
	sh->unsure_last = max_u64(sh->unsure_last, p->entries[p->entry_count - 1].index);
}

void check_persisted(struct sim_node *node, const struct job_persist *p)
{
	struct sim_shadow *sh = &node->shadow;

	if (p->set_hard) {
		sh->hard = p->hard;
		memmove(sh->hard_maybe, sh->hard_maybe + 1,
			(sh->maybe_count - 1) * sizeof(sh->hard_maybe[0]));
		sh->maybe_count--;
	}
	/* What one round of the worker wrote is one frame, and done at one moment. */
	if (p->entry_count > 0 && sh->frame_at != node->sim->now) {
		sh->frame_at = node->sim->now;
		sh->frame_first = p->entries[0].index;
	}
	for (size_t i = 0; i < p->entry_count; i++) {
		shadow_reserve(sh, p->entries[i].index);
		sh->terms[p->entries[i].index] = p->entries[i].term;
		sh->last = p->entries[i].index;
	}
	/* What is under way still lies above what was just completed. */
	if (p->entry_count > 0)
		sh->unsure_from = sh->last >= sh->unsure_last ? UINT64_MAX : sh->last + 1;
	if (sh->unsure_from == UINT64_MAX)
		sh->unsure_last = 0;
}

void check_install_handed(struct sim_node *node, const struct raft_snapshot_meta *meta)
{
	node->shadow.install_index = meta->index;
	node->shadow.install_term = meta->term;
}

void check_cut(struct sim_node *node, uint64_t index)
{
	node->shadow.base = max_u64(node->shadow.base, index);
}

static void shadow_install(struct sim_shadow *sh)
{
	uint64_t index = sh->install_index;

	shadow_reserve(sh, index);
	if (index > sh->last || sh->terms[index] != sh->install_term) {
		sh->last = index;
		sh->terms[index] = sh->install_term;
	}
	sh->base = max_u64(sh->base, index);
	sh->install_index = 0;
}

void check_installed(struct sim_node *node, const struct raft_snapshot_meta *meta)
{
	struct sim *s = node->sim;

	s->counts.installs++;
	sim_trace(s, "node %llu installs the image of %llu", ull(node->id), ull(meta->index));
	SIM_CHECK(s, meta->index <= s->committed_last);
	SIM_CHECK(s, s->committed[meta->index].term == meta->term);
	shadow_install(&node->shadow);
}

static void note_owed(struct hnode *hn, void *ctx)
{
	const struct waiter *w = CONTAINER_OF(hn, struct waiter, node);
	struct sim_node *node = ctx;
	const struct sim_client *c = client_by_uuid(node->sim, w->uuid);
	const struct sim_executed *x = executed_find(node->sim, w->uuid, w->seq);
	struct sim_owed *owed = &node->owed[node->owed_count];

	/* The answers of a session that ended went with it. */
	if (!c || c->ending_index != 0 || !x || x->index <= node->replica->applied_index ||
	    x->index > node->shadow.base || node->owed_count == ARRAY_SIZE(node->owed))
		return;
	memcpy(owed->uuid, w->uuid, KV_UUID_SIZE);
	owed->seq = w->seq;
	owed->client_id = w->client_id;
	owed->tag = w->tag;
	node->owed_count++;
}

void check_install_told(struct sim_node *node, const struct raft_snapshot_meta *meta)
{
	SIM_CHECK(node->sim, node->shadow.base >= meta->index);
	htable_each(&node->replica->waiters, note_owed, node);
}

/* Answered is answered, though the client, who asked once more, may wait here again by now. */
void check_said(struct sim_node *node, uint64_t client_id, const struct buf *message)
{
	struct fs_msg m;

	SIM_CHECK(node->sim, fs_msg_decode(&m, message->data, message->len) == 0);
	for (size_t i = 0; m.type == FS_MSG_REPLY && i < node->owed_count; i++)
		if (node->owed[i].client_id == client_id && node->owed[i].tag == m.tag)
			node->owed[i].seq = 0;
}

static void check_owed(struct hnode *hn, void *ctx)
{
	const struct waiter *w = CONTAINER_OF(hn, struct waiter, node);
	struct sim_node *node = ctx;

	/* Whoever gave it up has gone on, and its answer went with that. */
	if (!client_op(node->sim, w->client_id, w->tag))
		return;
	for (size_t i = 0; i < node->owed_count; i++)
		if (node->owed[i].seq == w->seq &&
		    memcmp(node->owed[i].uuid, w->uuid, KV_UUID_SIZE) == 0)
			sim_fail(node->sim,
				 "node %llu got the answer to operation %llu in an image, and keeps "
				 "it",
				 ull(node->id), ull(w->seq));
}

/* Nobody reads here: whoever was to be answered by that has been. */
static bool reads_are_over(const struct sim_node *node)
{
	bool over = list_empty(&node->queues[WORKER_READ]);

	for (size_t k = 0; k < SIM_SLOTS; k++)
		over = over && !(node->slots[k].kind == WORKER_READ &&
				 (node->slots[k].busy || node->slots[k].scheduled));
	return over;
}

void check_node(struct sim_node *node)
{
	const struct raft *r = node->replica->raft;

	raft_check(r);
	check_core(node);
	if (node->owed_count > 0 && reads_are_over(node)) {
		htable_each(&node->replica->waiters, check_owed, node);
		node->owed_count = 0;
	}
	if (r->role == RAFT_LEADER)
		check_leader(node, r);
}

static uint64_t boot_term_at(const struct store_boot *boot, uint64_t index)
{
	uint64_t term = 0;

	if (index == boot->base_index)
		return boot->base_term;
	for (size_t i = 0; i < boot->term_count && boot->terms[i].index <= index; i++)
		term = boot->terms[i].term;
	return index <= boot->last_index ? term : 0;
}

static void check_boot_hard(struct sim_node *node, const struct store_boot *boot)
{
	struct sim_shadow *sh = &node->shadow;
	bool ok = boot->hard.term == sh->hard.term && boot->hard.vote == sh->hard.vote;

	for (size_t i = 0; i < sh->maybe_count; i++)
		ok = ok || (boot->hard.term == sh->hard_maybe[i].term &&
			    boot->hard.vote == sh->hard_maybe[i].vote);
	if (!ok)
		sim_fail(node->sim,
			 "node %llu comes back with term %llu and vote %llu, it promised %llu and "
			 "%llu",
			 ull(node->id), ull(boot->hard.term), ull(boot->hard.vote),
			 ull(sh->hard.term), ull(sh->hard.vote));
	sh->hard = boot->hard;
	sh->maybe_count = 0;
}

bool check_tail_lost(const struct sim_node *node, const struct store_boot *boot)
{
	const struct sim_shadow *sh = &node->shadow;

	return node->log_damaged && boot->last_index < min_u64(sh->last, sh->unsure_from - 1) &&
	       boot->last_index + 1 >= sh->frame_first;
}

static void check_boot_log(struct sim_node *node, const struct store_boot *boot)
{
	struct sim *s = node->sim;
	struct sim_shadow *sh = &node->shadow;
	uint64_t sure;

	/* The flip was under way when it died, and had happened. */
	if (sh->install_index != 0 && boot->base_index == sh->install_index)
		shadow_install(sh);
	sh->install_index = 0;
	sure = min_u64(sh->last, sh->unsure_from - 1);

	if (boot->last_index < sure)
		sim_fail(s, "node %llu comes back with a log up to %llu, %llu was synced",
			 ull(node->id), ull(boot->last_index), ull(sure));
	if (boot->base_index > max_u64(sh->base, 1))
		sim_fail(s, "node %llu comes back with a log above %llu, it was cut to %llu",
			 ull(node->id), ull(boot->base_index), ull(sh->base));
	for (uint64_t i = boot->base_index + 1; i <= boot->last_index; i++) {
		uint64_t term = boot_term_at(boot, i);

		if (i <= sure && term != sh->terms[i])
			sim_fail(s, "node %llu comes back with term %llu at %llu, %llu was synced",
				 ull(node->id), ull(term), ull(i), ull(sh->terms[i]));
		if (i > sure && !written_find(s, i, term))
			sim_fail(s,
				 "node %llu comes back with an entry %llu of term %llu that nobody "
				 "made",
				 ull(node->id), ull(i), ull(term));
	}
	shadow_reserve(sh, boot->last_index);
	for (uint64_t i = boot->base_index; i <= boot->last_index; i++)
		sh->terms[i] = boot_term_at(boot, i);
	sh->last = boot->last_index;
	sh->unsure_from = UINT64_MAX;
	sh->unsure_last = 0;
}

/* ---- states ---------------------------------------------------------------------------------------------- */

static struct sim_committed *committed_at(struct sim *s, uint64_t index)
{
	if (index >= s->committed_cap) {
		size_t cap = 2 * index + 256;

		s->committed = mem_realloc(s->committed, cap * sizeof(*s->committed));
		memset(s->committed + s->committed_cap, 0,
		       (cap - s->committed_cap) * sizeof(*s->committed));
		s->committed_cap = cap;
	}
	return &s->committed[index];
}

static void check_state(struct sim_node *node, const struct kv_meta *meta)
{
	struct sim *s = node->sim;
	struct sim_committed *c = committed_at(s, meta->applied_index);

	if (c->term != 0 && c->term != meta->applied_term)
		sim_fail(s, "node %llu applied %llu of term %llu, others of term %llu",
			 ull(node->id), ull(meta->applied_index), ull(meta->applied_term),
			 ull(c->term));
	if (c->has_digest && memcmp(c->digest, meta->digest, KV_DIGEST_SIZE) != 0)
		sim_fail(s, "node %llu has another state at %llu than others", ull(node->id),
			 ull(meta->applied_index));
	c->has_digest = true;
	memcpy(c->digest, meta->digest, KV_DIGEST_SIZE);
	sim_note(s, meta->applied_index, load_le64(meta->digest));
}

void check_boot(struct sim_node *node, const struct store_boot *boot, const struct kv_meta *state)
{
	struct sim *s = node->sim;

	check_boot_hard(node, boot);
	check_boot_log(node, boot);
	if (state->applied_index > max_u64(s->committed_last, 1))
		sim_fail(s, "node %llu comes back with a state at %llu, %llu is committed",
			 ull(node->id), ull(state->applied_index), ull(s->committed_last));
	check_state(node, state);
	node->seen_term = 0;
}

static struct sim_executed *executed_add(struct sim *s, const uint8_t uuid[KV_UUID_SIZE],
					 uint64_t seq, uint64_t index, int32_t status,
					 const void *reply, size_t len)
{
	struct sim_executed *x = mem_calloc(1, sizeof(*x));

	memcpy(x->uuid, uuid, KV_UUID_SIZE);
	x->seq = seq;
	x->index = index;
	x->status = status;
	buf_put(&x->reply, reply, len);
	htable_add(&s->executed, &x->node, executed_hash(uuid, seq));
	return x;
}

/* An operation takes effect by being committed; every node that applies it must tell the same. */
static void check_answer(struct sim *s, const struct apply_answer *a)
{
	struct sim_executed *x = executed_find(s, a->uuid, a->seq);

	if (!x) {
		executed_add(s, a->uuid, a->seq, a->index, a->status, a->reply, a->reply_len);
		s->counts.changes++;
		client_executed(s, a);
		load_executed(s, a);
		return;
	}
	if (x->index == 0)
		sim_fail(s, "operation %llu took effect at %llu after it was answered with %d",
			 ull(a->seq), ull(a->index), x->status);
	if (x->index != a->index)
		sim_fail(s, "operation %llu took effect at %llu and at %llu", ull(a->seq),
			 ull(x->index), ull(a->index));
	SIM_CHECK(s, x->status == a->status);
}

static void note_executed(struct sim *s, const struct raft_entry *e)
{
	struct kv_batch_head head;
	struct kv_batch_iter it;
	struct apply_answer a;
	struct kv_mutation m;

	if (e->type != RAFT_ENTRY_NORMAL || !e->data ||
	    kv_batch_decode(&head, &it, e->data->data, e->data->len) < 0)
		return;
	s->has_root = true; /* the first batch of all */
	while (kv_batch_next(&it, &m))
		gathers_mutation(s, e->index, &m);
	gathers_entry(s, e->index);
	for (uint32_t i = 0; i < head.end_count; i++) {
		struct kv_session_end end = kv_session_end_at(&head, i);

		client_ended(s, &end, e->index, head.has_session);
	}
	if (!head.has_session)
		return;
	a = (struct apply_answer){ .seq = head.seq,
				   .index = e->index,
				   .status = head.status,
				   .reply = head.reply,
				   .reply_len = head.reply_len };
	memcpy(a.uuid, head.uuid, KV_UUID_SIZE);
	check_answer(s, &a);
}

/* What is handed out to be applied is committed. */
void check_apply_handed(struct sim_node *node, const struct job_apply *apply)
{
	struct sim *s = node->sim;

	for (size_t i = 0; i < apply->entry_count; i++) {
		const struct raft_entry *e = &apply->entries[i];
		struct sim_committed *c = committed_at(s, e->index);

		if (c->hash != 0 && (c->hash != entry_hash(e) || c->term != e->term))
			sim_fail(s,
				 "node %llu applies another entry %llu (term %llu) than others "
				 "(%llu)",
				 ull(node->id), ull(e->index), ull(e->term), ull(c->term));
		if (c->hash == 0) {
			s->counts.entries++;
			c->seen_in = node->replica->raft->hard.term;
			note_executed(s, e);
		}
		c->hash = entry_hash(e);
		c->term = e->term;
		s->committed_last = max_u64(s->committed_last, e->index);
	}
}

void check_applied(struct sim_node *node, const struct job_apply *apply, const struct kv_meta *meta)
{
	struct sim *s = node->sim;

	if (apply->entries[apply->entry_count - 1].index == meta->applied_index)
		check_state(node, meta);
	for (size_t i = 0; i < apply->answer_count; i++)
		check_answer(s, &apply->answers[i]);
}

/* ---- answers ---------------------------------------------------------------------------------------------- */

void check_read(struct sim_node *node, struct sim_op *op, uint64_t applied)
{
	if (applied < op->floor)
		sim_fail(node->sim,
			 "a read over node %llu saw %llu, %llu was committed before it began",
			 ull(node->id), ull(applied), ull(op->floor));
	op->seen = applied;
}

/* What has no entry is an answer about the log: of entries that are committed, these and no others. */
static void check_seen(const struct sim_client *c, const struct sim_op *op)
{
	struct sim *s = c->sim;
	uint64_t term = committed_at(s, op->judged)->term;

	if (op->judged > s->commit_last)
		sim_fail(s, "operation %llu of client %zu: %d is seen at %llu, %llu is committed",
			 ull(op->seq), c->number, op->status, ull(op->judged), ull(s->commit_last));
	if (term != 0 && term != op->judged_term)
		sim_fail(s, "operation %llu of client %zu: %d is seen at %llu of term %llu, not %llu",
			 ull(op->seq), c->number, op->status, ull(op->judged), ull(op->judged_term),
			 ull(term));
}

void check_reply(struct sim_client *c, struct sim_op *op)
{
	struct sim *s = c->sim;
	struct sim_executed *x;

	if (op->seq == 0)
		return;
	x = executed_find(s, c->uuid, op->seq);
	if (!x) {
		/* A second copy may have been judged since. */
		if (!op->retried)
			check_seen(c, op);
		executed_add(s, c->uuid, op->seq, 0, op->status, NULL, 0);
		return;
	}
	SIM_CHECK(s, x->index != 0);
	if (x->status != op->status ||
	    (op->status == 0 && (x->reply.len != op->reply.len ||
				 memcmp(x->reply.data, op->reply.data, op->reply.len) != 0)))
		sim_fail(
			s,
			"operation %llu of client %zu was answered with %d, its entry %llu says %d",
			ull(op->seq), c->number, op->status, ull(x->index), x->status);
	op->seen = x->index;
}

/* ---- the end ------------------------------------------------------------------------------------------------ */

bool check_is_member(struct sim *s, uint64_t id)
{
	const struct raft *newest = NULL;

	for (size_t i = 1; i <= s->node_count; i++) {
		const struct sim_node *node = &s->nodes[i];

		if (node->alive && (!newest || node->replica->raft->applied > newest->applied))
			newest = node->replica->raft;
	}
	return newest && raft_conf_find(&newest->conf, id) != NULL;
}

bool check_converged(struct sim *s)
{
	uint64_t last = 0;

	for (size_t i = 1; i <= s->node_count; i++) {
		struct sim_node *node = &s->nodes[i];
		const struct raft *r;

		if (node->gone || node->damaged || !check_is_member(s, node->id))
			continue;
		if (!node->alive)
			return false;
		r = node->replica->raft;
		if (last != 0 && r->applied != last)
			return false;
		last = r->applied;
		if (r->tail.last_index != last || r->commit != last || r->leader == 0)
			return false;
	}
	return true;
}

static void check_tree(struct sim_node *node, struct kv_view *view)
{
	struct kv_txn *txn = kv_txn_new(view, NULL);
	struct buf text = BUF_INIT;

	if (fs_check(txn, &text) != 0) {
		buf_put_u8(&text, '\0');
		sim_fail(node->sim, "node %llu: %.300s", ull(node->id), (char *)text.data);
	}
	buf_release(&text);
	kv_txn_free(txn);
}

static void check_end_of(struct sim_node *node)
{
	struct sim *s = node->sim;
	struct sim_node *was = node_enter(node);
	struct kv *kv = kv_slot_get(&node->shared.slot);
	struct kv_view *view = NULL;
	uint8_t digest[KV_DIGEST_SIZE];
	struct err err = ERR_INIT;

	int ret = kv_view_open(kv, &view, &err);

	if (ret == 0)
		ret = kv_view_digest(view, digest, &err);
	if (ret < 0 && !node->damaged)
		sim_fail(s, "node %llu: %s", ull(node->id), err.text);
	if (ret == 0) {
		check_state(node, kv_view_meta(view));
		SIM_CHECK(s, memcmp(digest, kv_view_meta(view)->digest, KV_DIGEST_SIZE) == 0);
		check_tree(node, view);
	}
	kv_view_close(view);
	kv_unref(kv);
	node_leave(was);
}

/* Every answer against plain models: in the order of the log, and by what clients saw alone. */
static void check_history(struct sim *s)
{
	struct wgl_limits limits = { .max_steps = 200000, .max_bytes = 1u << 26 };
	struct witness_result w = { .judged = 0 };
	struct blind_result b = { .objects = 0 };

	if (witness_check(&s->history, &w) != 0) {
		buf_put_u8(&w.report, '\0');
		sim_fail(s, "the witness says: %.900s", (char *)w.report.data);
	}
	s->counts.judged += w.judged;
	s->counts.unjudged += w.not_judged + w.unplaced;
	buf_release(&w.report);
	if (blind_check(&s->history, &limits, &b) == 1) {
		buf_put_u8(&b.report, '\0');
		sim_fail(s, "not linearizable: %.400s", (char *)b.report.data);
	}
	s->counts.undecided += b.undecided;
	buf_release(&b.report);
}

void check_end(struct sim *s)
{
	check_history(s);
	for (size_t i = 1; i <= s->node_count; i++)
		if (s->nodes[i].alive)
			check_end_of(&s->nodes[i]);
}
