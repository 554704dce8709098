/* ready.c - what a node would show when asked (Ready), and what follows from it. */
#include <stdlib.h>
#include <string.h>

#include "tests/oracle/env.h"

struct ready {
	bool soft, hard_changed, must_sync;
	struct env_hard hard;
	const struct raft_entry *entries; /* to be stored; in the core's cache */
	size_t entry_count;
	bool snapshot;
	const struct raft_entry *committed; /* to be applied */
	size_t committed_count;
	struct env_list messages;
};

/* ---- sizes --------------------------------------------------------------------------------------- */

static uint64_t varint_bytes(uint64_t v)
{
	uint64_t bytes = 1;

	for (; v >= 128; v >>= 7)
		bytes++;
	return bytes;
}

static uint64_t change_bytes(const struct blob *data, bool old)
{
	struct raft_conf_change change;
	uint64_t bytes = 0;

	if (data == NULL || raft_conf_change_decode(&change, data->data, data->len) < 0 ||
	    change.count == 0)
		return 0;
	for (size_t i = 0; i < change.count; i++)
		bytes += (old ? 3 : 5) + varint_bytes(change.v[i].id);
	return bytes + (old ? 0 : 2);
}

uint64_t env_entries_bytes(const struct env *e, const struct raft_entry *v, size_t count)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < count; i++) {
		bool conf = v[i].type == RAFT_ENTRY_CONF;
		uint64_t data = conf ? change_bytes(v[i].data, env_is_old(e, v[i].data))
				: v[i].data == NULL ? 0
						    : v[i].data->len;

		bytes += 2 + varint_bytes(v[i].term) + varint_bytes(v[i].index) + (conf ? 2 : 0);
		bytes += data == 0 ? 0 : 1 + varint_bytes(data) + data;
	}
	return bytes;
}

/* ---- what there is to show ------------------------------------------------------------------------- */

static uint64_t last_index(const struct env_node *n)
{
	return n->r->tail.last_index;
}

static uint64_t appliable(const struct env_node *n)
{
	/* Without threads, what is stored by a Ready may be applied by it too. */
	return n->async ? min_u64(n->r->commit, n->stable) : n->r->commit;
}

static size_t committed_count(const struct env *e, const struct env_node *n)
{
	uint64_t hi = appliable(n);
	uint64_t room, bytes = 0;
	size_t count = 0;

	if (n->applying_paused || n->snapshot_due || n->applying >= hi)
		return 0;
	room = n->max_committed_bytes - n->applying_bytes;
	for (uint64_t i = n->applying + 1; i <= hi; i++, count++) {
		bytes += env_entries_bytes(e, tail_get(&n->r->tail, i), 1);
		if (count > 0 && bytes > room)
			break;
	}
	return count;
}

static struct env_hard hard_of(const struct env_node *n)
{
	return (struct env_hard){ .term = n->r->hard.term,
				  .vote = n->r->hard.vote,
				  .commit = n->r->commit };
}

static bool hard_changed(const struct env_node *n)
{
	struct env_hard hard = hard_of(n);

	return (hard.term != 0 || hard.vote != 0 || hard.commit != 0) &&
	       (hard.term != n->shown.term || hard.vote != n->shown.vote ||
		hard.commit != n->shown.commit);
}

static bool soft_changed(const struct env_node *n)
{
	return n->r->leader != n->shown_leader || n->r->role != n->shown_role;
}

bool env_has_ready(const struct env_node *n)
{
	return soft_changed(n) || hard_changed(n) || (n->snapshot_due && !n->snapshot_shown) ||
	       n->messages.count > 0 || n->promises.count > 0 || last_index(n) > n->in_progress ||
	       (!n->applying_paused && !n->snapshot_due && n->applying < appliable(n));
}

/* ---- messages to the threads ----------------------------------------------------------------------- */

static struct raft_entry *dup_entries(const struct raft_entry *v, size_t count)
{
	struct raft_entry *copy = count == 0 ? NULL : mem_dup(v, count * sizeof(v[0]));

	for (size_t i = 0; i < count; i++)
		blob_ref(copy[i].data);
	return copy;
}

static void add_response(struct env_msg *m, struct env_msg response)
{
	m->responses = mem_realloc(m->responses, (m->response_count + 1) * sizeof(m->responses[0]));
	m->responses[m->response_count++] = response;
}

static bool storage_answers(const struct env_node *n, const struct ready *rd)
{
	return last_index(n) > n->stable || rd->snapshot;
}

static struct env_msg storage_append_resp(const struct env_node *n, const struct ready *rd)
{
	struct env_msg m = { .type = ENV_MSG_STORAGE_APPEND_RESP,
			     .from = ENV_APPEND_THREAD,
			     .to = n->id,
			     .term = n->r->hard.term };

	if (last_index(n) > n->stable) {
		m.index = last_index(n);
		m.log_term = raft_term_at(n->r, m.index);
	}
	m.has_snapshot = rd->snapshot;
	if (rd->snapshot)
		m.snapshot = n->image;
	return m;
}

static struct env_msg storage_apply_resp(const struct env_node *n, const struct ready *rd)
{
	return (struct env_msg){ .type = ENV_MSG_STORAGE_APPLY_RESP,
				 .from = ENV_APPLY_THREAD,
				 .to = n->id,
				 .entries = dup_entries(rd->committed, rd->committed_count),
				 .entry_count = rd->committed_count };
}

static void ask_append_thread(struct env_node *n, struct ready *rd)
{
	struct env_msg m = { .type = ENV_MSG_STORAGE_APPEND,
			     .from = n->id,
			     .to = ENV_APPEND_THREAD,
			     .entries = dup_entries(rd->entries, rd->entry_count),
			     .entry_count = rd->entry_count };

	if (rd->hard_changed) {
		m.term = rd->hard.term;
		m.vote = rd->hard.vote;
		m.commit = rd->hard.commit;
	}
	m.has_snapshot = rd->snapshot;
	if (rd->snapshot)
		m.snapshot = n->image;
	for (size_t i = 0; i < n->promises.count; i++)
		add_response(&m, n->promises.v[i]);
	n->promises.count = 0;
	if (storage_answers(n, rd))
		add_response(&m, storage_append_resp(n, rd));
	env_list_push(&rd->messages, m);
}

static void ask_apply_thread(struct env_node *n, struct ready *rd)
{
	struct env_msg m = { .type = ENV_MSG_STORAGE_APPLY,
			     .from = n->id,
			     .to = ENV_APPLY_THREAD,
			     .entries = dup_entries(rd->committed, rd->committed_count),
			     .entry_count = rd->committed_count };

	add_response(&m, storage_apply_resp(n, rd));
	env_list_push(&rd->messages, m);
}

/* ---- Ready ---------------------------------------------------------------------------------------- */

static bool is_self(const struct env_msg *m)
{
	return m->from == m->to;
}

/* Without threads promises leave with the rest: the Ready is stored before its messages are sent. */
static void release_promises(struct env_node *n, struct ready *rd)
{
	for (size_t i = 0; i < n->promises.count; i++)
		env_list_push(is_self(&n->promises.v[i]) ? &n->on_advance : &rd->messages,
			      n->promises.v[i]);
	n->promises.count = 0;
}

static struct ready take_ready(struct env *e, struct env_node *n)
{
	struct ready rd = { .soft = soft_changed(n),
			    .hard_changed = hard_changed(n),
			    .hard = hard_of(n),
			    .entry_count = (size_t)(last_index(n) - n->in_progress),
			    .snapshot = n->snapshot_due && !n->snapshot_shown,
			    .committed_count = committed_count(e, n),
			    .messages = n->messages };

	n->messages = (struct env_list){ .count = 0 };
	if (rd.entry_count > 0)
		rd.entries = tail_get(&n->r->tail, n->in_progress + 1);
	if (rd.committed_count > 0)
		rd.committed = tail_get(&n->r->tail, n->applying + 1);
	rd.must_sync = rd.entry_count > 0 || rd.hard.vote != n->shown.vote ||
		       rd.hard.term != n->shown.term;
	if (!n->async) {
		release_promises(n, &rd);
		if (storage_answers(n, &rd))
			env_list_push(&n->on_advance, storage_append_resp(n, &rd));
		if (rd.committed_count > 0)
			env_list_push(&n->on_advance, storage_apply_resp(n, &rd));
	} else {
		if (rd.entry_count > 0 || rd.hard_changed || rd.snapshot || n->promises.count > 0)
			ask_append_thread(n, &rd);
		if (rd.committed_count > 0)
			ask_apply_thread(n, &rd);
	}
	return rd;
}

static void accept_ready(struct env *e, struct env_node *n, const struct ready *rd)
{
	n->shown_leader = n->r->leader;
	n->shown_role = n->r->role;
	if (rd->hard_changed)
		n->shown = rd->hard;
	for (uint64_t i = n->in_progress + 1; i <= last_index(n); i++)
		n->terms[i] = raft_term_at(n->r, i);
	n->in_progress = last_index(n);
	n->snapshot_shown = n->snapshot_due;
	if (rd->committed_count > 0) {
		n->applying += rd->committed_count;
		n->applying_bytes += env_entries_bytes(e, rd->committed, rd->committed_count);
		n->applying_paused =
			n->applying_bytes >= n->max_committed_bytes || n->applying < appliable(n);
	}
}

static void put_entries(struct env *e, const struct raft_entry *v, size_t count, struct buf *out)
{
	for (size_t i = 0; i < count; i++) {
		env_describe_entry(e, &v[i], out);
		buf_printf(out, "\n");
	}
}

static void describe_ready(struct env *e, const struct env_node *n, const struct ready *rd,
			   struct buf *out)
{
	if (rd->soft)
		buf_printf(out, "Lead:%llu State:%s\n", (unsigned long long)n->r->leader,
			   env_role_name(n->r->role));
	if (rd->hard_changed) {
		buf_printf(out, "HardState Term:%llu", (unsigned long long)rd->hard.term);
		if (rd->hard.vote != 0)
			buf_printf(out, " Vote:%llu", (unsigned long long)rd->hard.vote);
		buf_printf(out, " Commit:%llu\n", (unsigned long long)rd->hard.commit);
	}
	if (rd->entry_count > 0) {
		buf_printf(out, "Entries:\n");
		put_entries(e, rd->entries, rd->entry_count, out);
	}
	if (rd->snapshot) {
		buf_printf(out, "Snapshot ");
		env_describe_snapshot(&n->image, out);
		buf_printf(out, "\n");
	}
	if (rd->committed_count > 0) {
		buf_printf(out, "CommittedEntries:\n");
		put_entries(e, rd->committed, rd->committed_count, out);
	}
	if (rd->messages.count > 0)
		buf_printf(out, "Messages:\n");
	for (size_t i = 0; i < rd->messages.count; i++) {
		env_describe(e, &rd->messages.v[i], out);
		buf_printf(out, "\n");
	}
}

/* ---- storage --------------------------------------------------------------------------------------- */

static void store_image(struct env_node *n, const struct raft_snapshot_meta *image)
{
	for (uint64_t i = n->base + 1; i <= n->last; i++) {
		blob_unref(n->log[i].data);
		n->log[i] = (struct raft_entry){ .index = 0 };
	}
	n->base = n->last = image->index;
	n->base_term = image->term;
}

static void store_entries(struct env_node *n, const struct raft_entry *v, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t index = v[i].index;

		if (index <= n->base)
			continue;
		assert(index <= n->last + 1 && index < ENV_LOG_MAX);
		for (uint64_t k = index; k <= n->last; k++) {
			blob_unref(n->log[k].data);
			n->log[k] = (struct raft_entry){ .index = 0 };
		}
		n->log[index] = v[i];
		blob_ref(v[i].data);
		n->last = index;
	}
}

static void apply_entries(struct env *e, struct env_node *n, const struct raft_entry *v,
			  size_t count)
{
	for (size_t i = 0; i < count; i++) {
		/* What a change sends off at once knows the images from before it. */
		if (v[i].type == RAFT_ENTRY_CONF) {
			env_apply_conf(e, n, v[i].index);
			n->history.conf = *raft_conf(n->r);
		}
		n->history.index = v[i].index;
		n->history.term = v[i].term;
		n->r->snapshot = n->history;
	}
}

static void advance(struct env *e, struct env_node *n)
{
	struct env_list steps = n->on_advance;

	n->on_advance = (struct env_list){ .count = 0 };
	for (size_t i = 0; i < steps.count; i++)
		env_self(e, n, &steps.v[i]);
	env_list_clear(&steps);
}

void env_process_ready(struct env *e, struct env_node *n)
{
	struct ready rd = take_ready(e, n);
	struct raft_entry *committed = dup_entries(rd.committed, rd.committed_count);
	struct buf text = BUF_INIT;

	describe_ready(e, n, &rd, &text);
	if (text.len > 0)
		env_print(e, "Ready MustSync=%s:\n", rd.must_sync ? "true" : "false");
	else
		buf_printf(&text, "<empty Ready>");
	env_put(e, &text);
	buf_release(&text);
	accept_ready(e, n, &rd);
	if (!n->async) {
		if (rd.snapshot)
			store_image(n, &n->image);
		else
			store_entries(n, rd.entries, rd.entry_count);
		apply_entries(e, n, committed, rd.committed_count);
	}
	for (size_t i = 0; i < rd.messages.count; i++) {
		struct env_msg *m = &rd.messages.v[i];

		env_list_push(m->to == ENV_APPEND_THREAD  ? &n->append_work
			      : m->to == ENV_APPLY_THREAD ? &n->apply_work
							  : &e->wire,
			      *m);
	}
	free(rd.messages.v);
	for (size_t i = 0; i < rd.committed_count; i++)
		blob_unref(committed[i].data);
	free(committed);
	advance(e, n);
}

/* ---- the threads ------------------------------------------------------------------------------------ */

static struct env_msg list_shift(struct env_list *l)
{
	struct env_msg m = l->v[0];

	memmove(l->v, l->v + 1, --l->count * sizeof(l->v[0]));
	return m;
}

/* Shows the work without its answers, and sends those off. */
static void finish_work(struct env *e, struct env_msg *m)
{
	struct buf text = BUF_INIT;

	env_print(e, "Responses:\n");
	for (size_t i = 0; i < m->response_count; i++) {
		env_describe(e, &m->responses[i], &text);
		buf_printf(&text, "\n");
		env_list_push(&e->wire, m->responses[i]);
	}
	env_put(e, &text);
	buf_release(&text);
	m->response_count = 0;
	env_msg_release(m);
}

static void show_work(struct env *e, const struct env_msg *m)
{
	struct env_msg bare = *m;
	struct buf text = BUF_INIT;

	bare.response_count = 0;
	env_print(e, "Processing:\n");
	env_describe(e, &bare, &text);
	buf_printf(&text, "\n");
	env_put(e, &text);
	buf_release(&text);
}

void env_process_append(struct env *e, struct env_node *n)
{
	struct env_msg m;

	if (n->append_work.count == 0) {
		env_print(e, "no append work to perform");
		return;
	}
	m = list_shift(&n->append_work);
	show_work(e, &m);
	if (m.has_snapshot)
		store_image(n, &m.snapshot);
	else
		store_entries(n, m.entries, m.entry_count);
	finish_work(e, &m);
}

void env_process_apply(struct env *e, struct env_node *n)
{
	struct env_msg m;

	if (n->apply_work.count == 0) {
		env_print(e, "no apply work to perform");
		return;
	}
	m = list_shift(&n->apply_work);
	show_work(e, &m);
	apply_entries(e, n, m.entries, m.entry_count);
	finish_work(e, &m);
}
