/* env.c - see env.h: nodes, what their cores hand out, and what is delivered to them. */
#include "tests/oracle/env.h"

#include <stdlib.h>
#include <string.h>

#include "raft/membership.h"
#include "raft/reconfigure.h"
#include "tests/oracle/oracle.h"

/* ---- messages ------------------------------------------------------------------------------- */

void env_list_push(struct env_list *l, struct env_msg m)
{
	if (l->count == l->cap) {
		l->cap = l->cap == 0 ? 8 : 2 * l->cap;
		l->v = mem_realloc(l->v, l->cap * sizeof(l->v[0]));
	}
	l->v[l->count++] = m;
}

static struct raft_entry *copy_entries(const struct raft_entry *v, size_t count)
{
	struct raft_entry *copy = count == 0 ? NULL : mem_dup(v, count * sizeof(v[0]));

	for (size_t i = 0; i < count; i++)
		blob_ref(copy[i].data);
	return copy;
}

struct env_msg env_msg_copy(const struct env_msg *m)
{
	struct env_msg copy = *m;

	assert(m->type != ENV_MSG_CORE && m->response_count == 0);
	copy.entries = copy_entries(m->entries, m->entry_count);
	return copy;
}

void env_msg_release(struct env_msg *m)
{
	for (size_t i = 0; i < m->entry_count; i++)
		blob_unref(m->entries[i].data);
	for (size_t i = 0; i < m->response_count; i++)
		env_msg_release(&m->responses[i]);
	free(m->entries);
	free(m->responses);
	if (m->type == ENV_MSG_CORE)
		raft_message_release(&m->core);
	*m = (struct env_msg){ .type = ENV_MSG_ANY };
}

void env_list_clear(struct env_list *l)
{
	for (size_t i = 0; i < l->count; i++)
		env_msg_release(&l->v[i]);
	free(l->v);
	*l = (struct env_list){ .count = 0 };
}

void env_mark_old(struct env *e, struct blob *payload)
{
	e->old_changes =
		mem_realloc(e->old_changes, (e->old_change_count + 1) * sizeof(e->old_changes[0]));
	e->old_changes[e->old_change_count++] = blob_ref(payload);
}

bool env_is_old(const struct env *e, const struct blob *payload)
{
	for (size_t i = 0; i < e->old_change_count; i++) {
		if (e->old_changes[i] == payload)
			return true;
	}
	return false;
}

/* Takes the core's message over. */
static struct env_msg from_core(struct raft_message *core)
{
	struct env_msg m = { .type = ENV_MSG_CORE,
			     .from = core->from,
			     .to = core->to,
			     .term = core->term,
			     .index = core->log_index,
			     .log_term = core->log_term,
			     .commit = core->commit,
			     .reject = core->reject,
			     .entries = copy_entries(core->entries, core->entry_count),
			     .entry_count = core->entry_count,
			     .core = *core };

	if (core->type == RAFT_MSG_APPEND_RESP) {
		m.log_term = core->hint_term;
		m.hint = core->hint_index;
	}
	if (core->snapshot != NULL) {
		m.has_snapshot = true;
		m.snapshot = *core->snapshot;
	}
	*core = (struct raft_message){ .type = 0 };
	return m;
}

/* ---- what a step hands out ------------------------------------------------------------------- */

struct before {
	enum raft_role role;
	uint64_t term, last;
};

static struct before look(const struct env_node *n)
{
	return (struct before){ .role = n->r->role,
				.term = n->r->hard.term,
				.last = n->r->tail.last_index };
}

static bool is_promise(const struct raft_message *m)
{
	return m->type == RAFT_MSG_APPEND_RESP || m->type == RAFT_MSG_VOTE_RESP ||
	       m->type == RAFT_MSG_PREVOTE_RESP;
}

static size_t take_messages(struct env_node *n, struct raft_message *v, size_t count)
{
	size_t asked = 0;

	for (size_t i = 0; i < count; i++) {
		bool promise = is_promise(&v[i]);

		asked += v[i].type == RAFT_MSG_PREVOTE || v[i].type == RAFT_MSG_VOTE;
		env_list_push(promise ? &n->promises : &n->messages, from_core(&v[i]));
	}
	return asked;
}

/* The log may have been cut and replaced: what was shown of it is to be shown again. */
static void follow_log(struct env_node *n)
{
	assert(n->r->tail.last_index < ENV_LOG_MAX);
	while (n->in_progress > n->r->tail.base_index &&
	       raft_term_at(n->r, n->in_progress) != n->terms[n->in_progress])
		n->in_progress--;
	n->stable = min_u64(n->stable, n->in_progress);
}

static void announce_role(struct env *e, struct env_node *n, const struct before *b,
			  bool campaigned)
{
	static const char *const names[] = { [RAFT_FOLLOWER] = "follower",
					     [RAFT_PRE_CANDIDATE] = "pre-candidate",
					     [RAFT_CANDIDATE] = "candidate",
					     [RAFT_LEADER] = "leader" };

	if (n->r->role != b->role || n->r->hard.term != b->term ||
	    (campaigned && n->r->role == RAFT_PRE_CANDIDATE))
		env_log_info(e, "%llx became %s at term %llu", (unsigned long long)n->id,
			     names[n->r->role], (unsigned long long)n->r->hard.term);
}

/* Own votes and appends: promises that the node makes to itself. */
static void promise_to_self(struct env_node *n, const struct before *b, bool campaigned)
{
	struct raft *r = n->r;
	struct env_msg m = { .from = n->id, .to = n->id, .term = r->hard.term };

	if (r->role == RAFT_CANDIDATE && r->hard.term != b->term) {
		m.type = ENV_MSG_SELF_VOTE_RESP;
		env_list_push(&n->promises, m);
	} else if (r->role == RAFT_PRE_CANDIDATE && (campaigned || b->role != RAFT_PRE_CANDIDATE)) {
		m.type = ENV_MSG_SELF_PREVOTE_RESP;
		m.term++;
		env_list_push(&n->promises, m);
	} else if (r->role == RAFT_LEADER && r->tail.last_index > b->last) {
		m.type = ENV_MSG_SELF_APPEND_RESP;
		m.index = r->tail.last_index;
		env_list_push(&n->promises, m);
	}
}

static void collect(struct env *e, struct env_node *n, const struct before *b,
		    struct raft_output *out)
{
	struct raft *r = n->r;
	size_t asked = take_messages(n, out->send.v, out->send.count);

	asked += take_messages(n, out->send_when_stored.v, out->send_when_stored.count);
	/* Theirs shows a promise with the work it rests on, also where our core holds that work back. */
	asked += take_messages(n, r->promises.v, r->promises.count);
	r->promises.count = 0;
	if (r->role == RAFT_LEADER && b->role != RAFT_LEADER) {
		n->self_match = r->own_term_index - 1;
		n->self_next = r->own_term_index;
	}
	follow_log(n);
	announce_role(e, n, b, asked > 0);
	promise_to_self(n, b, asked > 0);
}

static int step_once(struct env *e, struct env_node *n, const struct raft_input *in)
{
	struct before b = look(n);
	struct raft_output out;
	int ret = raft_step(n->r, in, &out);

	collect(e, n, &b, &out);
	if (out.snapshot.action == RAFT_SNAPSHOT_FETCH)
		n->offered = *out.snapshot.meta;
	return ret;
}

static void persisted(struct env *e, struct env_node *n, uint64_t index, uint64_t term, bool hard)
{
	struct raft_input in = { .type = RAFT_IN_PERSISTED,
				 .persisted = { .index = index,
						.term = term,
						.level = RAFT_SYNCED,
						.hard_state = hard } };

	step_once(e, n, &in);
}

/*
 * Our core waits for a hard state before it does more; theirs does not. Only a candidate's own vote
 * must wait for its turn, see env_self().
 */
static void settle_hard(struct env *e, struct env_node *n)
{
	while (n->r->hard_in_flight && n->r->role != RAFT_CANDIDATE)
		persisted(e, n, 0, 0, true);
}

int env_step(struct env *e, struct env_node *n, const struct raft_input *in)
{
	int ret = step_once(e, n, in);

	settle_hard(e, n);
	return ret;
}

void env_apply_conf(struct env *e, struct env_node *n, uint64_t index)
{
	struct before b = look(n);
	struct raft_output out = { .persist_hard_state = false };
	struct buf text = BUF_INIT;

	output_begin(n->r);
	reconfigure_apply(n->r, index);
	output_finish(n->r, &out);
	oracle_put_conf(&text, raft_conf(n->r));
	env_log_info(e, "%llx switched to configuration %.*s", (unsigned long long)n->id,
		     (int)text.len, (char *)text.data);
	buf_release(&text);
	collect(e, n, &b, &out);
	settle_hard(e, n);
}

/* ---- nodes ----------------------------------------------------------------------------------- */

struct env_node *env_node(struct env *e, uint64_t id)
{
	return id == 0 || id > e->count ? NULL : e->nodes[id - 1];
}

struct env_node *env_add_node(struct env *e, const struct raft_options *options,
			      const struct raft_conf *conf, uint64_t index)
{
	struct env_node *n = mem_calloc(1, sizeof(*n));
	struct raft_options o = *options;
	struct raft_boot boot = { .incarnation = 1, .conf = *conf };
	struct err err = ERR_INIT;
	struct buf text = BUF_INIT;

	n->id = o.self = e->count + 1;
	if (index > 0) {
		n->history =
			(struct raft_snapshot_meta){ .index = index, .term = 1, .conf = *conf };
		boot.base_index = boot.last_index = index;
		boot.applied_index = boot.durable_index = index;
		boot.base_term = boot.applied_term = boot.hard.term = 1;
		boot.snapshot = n->history;
		n->base_term = 1;
	}
	n->base = n->last = n->in_progress = n->stable = n->applying = n->applied = index;
	n->terms[index] = n->base_term;
	n->r = raft_new(&o, &boot, &err);
	if (n->r == NULL) {
		env_print(e, "%s\n", err.text);
		free(n);
		return NULL;
	}
	/* Scripts begin with a log of term 1 and no term, which no recovery of ours would accept. */
	n->r->hard = n->r->hard_out = n->r->hard_durable = (struct raft_hard_state){ .term = 0 };
	n->shown.commit = index;
	e->nodes[e->count++] = n;
	oracle_put_conf(&text, conf);
	env_log_info(e, "%llx switched to configuration %.*s", (unsigned long long)n->id,
		     (int)text.len, (char *)text.data);
	buf_release(&text);
	env_log_info(e, "%llx became follower at term 0", (unsigned long long)n->id);
	return n;
}

static void free_node(struct env_node *n)
{
	raft_free(n->r);
	for (uint64_t i = 0; i < ENV_LOG_MAX; i++)
		blob_unref(n->log[i].data);
	env_list_clear(&n->messages);
	env_list_clear(&n->promises);
	env_list_clear(&n->append_work);
	env_list_clear(&n->apply_work);
	env_list_clear(&n->on_advance);
	free(n);
}

void env_free(struct env *e)
{
	for (size_t i = 0; i < e->count; i++)
		free_node(e->nodes[i]);
	env_list_clear(&e->wire);
	for (size_t i = 0; i < e->old_change_count; i++)
		blob_unref(e->old_changes[i]);
	free(e->old_changes);
	buf_release(&e->out);
	free(e);
}

/* ---- delivery -------------------------------------------------------------------------------- */

/* All that the core handed out for the disk is down, up to a group completion's meaning. */
static void drain(struct env *e, struct env_node *n)
{
	settle_hard(e, n);
	while (n->r->log_in_flight)
		persisted(e, n, n->r->inflight_index, n->r->inflight_term, false);
}

static void applied(struct env *e, struct env_node *n, uint64_t index)
{
	struct raft_input in = { .type = RAFT_IN_APPLIED, .applied = { .index = index } };
	struct raft_input durable = { .type = RAFT_IN_DURABLE, .durable = { .index = index } };

	if (index > n->r->handed)
		drain(e, n);
	env_step(e, n, &in);
	env_step(e, n, &durable);
}

/* Theirs takes an image whole as the message arrives; ours is told of each stage of the transfer. */
static void install(struct env *e, struct env_node *n)
{
	struct raft_snapshot_meta meta = n->offered;
	struct raft_input received = { .type = RAFT_IN_SNAPSHOT_RECEIVED,
				       .snapshot = { .meta = &meta } };
	struct raft_input installed = { .type = RAFT_IN_SNAPSHOT_INSTALLED,
					.snapshot = { .meta = &meta } };
	struct buf text = BUF_INIT;

	drain(e, n);
	applied(e, n, n->r->handed);
	env_step(e, n, &received);
	assert(n->r->incoming.phase == SNAPSHOT_INSTALLING);
	env_step(e, n, &installed);
	n->in_progress = n->stable = meta.index;
	n->terms[meta.index] = meta.term;
	n->image = meta;
	n->snapshot_due = true;
	n->snapshot_shown = false;
	oracle_put_conf(&text, raft_conf(n->r));
	env_log_info(e, "%llx switched to configuration %.*s", (unsigned long long)n->id,
		     (int)text.len, (char *)text.data);
	buf_release(&text);
}

static void deliver_core(struct env *e, struct env_node *n, struct env_msg *m)
{
	struct raft_input in = { .type = RAFT_IN_MESSAGE, .message = &m->core };
	uint64_t term = n->r->hard.term;
	size_t mark = e->out.len;
	int ret;

	n->offered.index = 0;
	ret = env_step(e, n, &in);
	if (ret < 0)
		env_print(e, "refused: %s\n", strerror(-ret));
	/* Two changes of role in one step: a newer term first, then a campaign. */
	if (n->r->hard.term > m->term && m->term > term && e->level <= ENV_LEVEL_INFO) {
		struct buf after = BUF_INIT;

		buf_put(&after, e->out.data + mark, e->out.len - mark);
		e->out.len = mark;
		env_log_info(e, "%llx became follower at term %llu", (unsigned long long)n->id,
			     (unsigned long long)m->term);
		buf_put(&e->out, after.data, after.len);
		buf_release(&after);
	}
	if (n->offered.index != 0)
		install(e, n);
}

/* An answer from somebody who is no member is refused before it reaches their core. */
static bool from_stranger(const struct env_node *n, const struct env_msg *m)
{
	bool answer = m->type == ENV_MSG_SELF_APPEND_RESP || m->type == ENV_MSG_SELF_VOTE_RESP ||
		      m->type == ENV_MSG_SELF_PREVOTE_RESP ||
		      (m->type == ENV_MSG_CORE &&
		       (is_promise(&m->core) || m->core.type == RAFT_MSG_HEARTBEAT_RESP ||
			m->core.type == RAFT_MSG_READ_INDEX_RESP));

	return answer && raft_conf_find(raft_conf(n->r), m->from) == NULL;
}

void env_deliver(struct env *e, struct env_msg *m)
{
	struct env_node *n = env_node(e, m->to);

	if (n == NULL)
		return;
	if (from_stranger(n, m)) {
		env_print(e, "raft: cannot step as peer not found\n");
		return;
	}
	switch (m->type) {
	case ENV_MSG_CORE:
		deliver_core(e, n, m);
		break;
	case ENV_MSG_PROP:
		env_propose(e, n, &m->entries[0]);
		break;
	case ENV_MSG_TRANSFER:
		env_transfer(e, n, m->from);
		break;
	default:
		env_self(e, n, m);
		break;
	}
}

/* ---- what a node hears of itself --------------------------------------------------------------- */

static void self_vote(struct env *e, struct env_node *n, const struct env_msg *m)
{
	enum raft_role asked =
		m->type == ENV_MSG_SELF_VOTE_RESP ? RAFT_CANDIDATE : RAFT_PRE_CANDIDATE;

	if (n->r->role != asked || m->term < n->r->hard.term)
		return;
	do
		persisted(e, n, 0, 0, true);
	while (n->r->hard_in_flight);
}

static void self_append(struct env *e, struct env_node *n, const struct env_msg *m)
{
	if (m->term != n->r->hard.term || n->r->role != RAFT_LEADER)
		return;
	persisted(e, n, m->index, raft_term_at(n->r, m->index), false);
	n->self_match = max_u64(n->self_match, m->index);
	n->self_next = max_u64(n->self_next, m->index + 1);
}

static void storage_appended(struct env *e, struct env_node *n, const struct env_msg *m)
{
	if (m->index != 0) {
		/* Ours names what was made durable, so it may hear of work from older terms as well. */
		persisted(e, n, m->index, m->log_term, false);
		if (m->term == n->r->hard.term && m->index > n->stable &&
		    raft_term_at(n->r, m->index) == m->log_term)
			n->stable = m->index;
		n->in_progress = max_u64(n->in_progress, n->stable);
	}
	if (m->has_snapshot && n->snapshot_due && n->r->snapshot.index == m->snapshot.index) {
		n->snapshot_due = n->snapshot_shown = false;
		n->applied = max_u64(n->applied, m->snapshot.index);
		n->applying = max_u64(n->applying, n->applied);
	}
}

static void storage_applied(struct env *e, struct env_node *n, const struct env_msg *m)
{
	uint64_t index = m->entries[m->entry_count - 1].index;
	uint64_t bytes = env_entries_bytes(e, m->entries, m->entry_count);

	n->applied = max_u64(n->applied, index);
	n->applying = max_u64(n->applying, n->applied);
	n->applying_bytes -= min_u64(n->applying_bytes, bytes);
	n->applying_paused = n->applying_bytes >= n->max_committed_bytes;
	applied(e, n, max_u64(index, n->r->applied));
}

void env_self(struct env *e, struct env_node *n, const struct env_msg *m)
{
	switch (m->type) {
	case ENV_MSG_SELF_VOTE_RESP:
	case ENV_MSG_SELF_PREVOTE_RESP:
		self_vote(e, n, m);
		break;
	case ENV_MSG_SELF_APPEND_RESP:
		self_append(e, n, m);
		break;
	case ENV_MSG_STORAGE_APPEND_RESP:
		storage_appended(e, n, m);
		break;
	case ENV_MSG_STORAGE_APPLY_RESP:
		storage_applied(e, n, m);
		break;
	default:
		assert(false && "not addressed to a node");
	}
	settle_hard(e, n);
}

/* ---- proposals ---------------------------------------------------------------------------------- */

static void forward(struct env_node *n, struct env_msg m)
{
	m.to = n->r->leader;
	env_list_push(&n->messages, m);
}

static int propose_data(struct env *e, struct env_node *n, struct blob *data)
{
	struct raft_proposal p = { .type = RAFT_ENTRY_NORMAL, .data = data };
	struct raft_input in = { .type = RAFT_IN_PROPOSE, .propose = { .v = &p, .count = 1 } };
	struct before b = look(n);

	env_step(e, n, &in);
	return n->r->tail.last_index > b.last ? 0 : -EAGAIN;
}

static int propose_change(struct env *e, struct env_node *n, const struct raft_entry *entry)
{
	struct raft_conf_change change;
	struct raft_input in = { .type = RAFT_IN_CONF_CHANGE, .conf_change = { &change } };
	struct before b = look(n);
	enum raft_conf_result result;
	uint64_t index;
	int ret = raft_conf_change_decode(&change, entry->data->data, entry->data->len);

	assert(ret == 0);
	env_step(e, n, &in);
	result = n->r->conf_result;
	index = b.last + 1;
	if (result == RAFT_CONF_APPENDED && env_is_old(e, entry->data))
		env_mark_old(e, tail_get(&n->r->tail, index)->data);
	if (result == RAFT_CONF_APPENDED)
		return 0;
	if (result == RAFT_CONF_NOT_LEADER || result == RAFT_CONF_TRANSFERRING)
		return -EAGAIN;
	/* Where our core refuses a change, theirs puts an empty entry in its place. */
	return propose_data(e, n, NULL);
}

void env_propose(struct env *e, struct env_node *n, const struct raft_entry *entry)
{
	int ret;

	if (n->r->role == RAFT_FOLLOWER && n->r->leader != 0) {
		struct raft_entry bare = { .type = entry->type, .data = entry->data };

		forward(n, (struct env_msg){ .type = ENV_MSG_PROP,
					     .from = n->id,
					     .entries = copy_entries(&bare, 1),
					     .entry_count = 1 });
		return;
	}
	if (entry->type == RAFT_ENTRY_CONF && n->r->role == RAFT_LEADER)
		ret = propose_change(e, n, entry);
	else
		ret = propose_data(e, n, entry->data);
	if (ret < 0)
		env_print(e, "raft proposal dropped\n");
}

void env_transfer(struct env *e, struct env_node *n, uint64_t to)
{
	struct raft_input in = { .type = RAFT_IN_TRANSFER, .peer = { .id = to } };

	if (n->r->role == RAFT_LEADER)
		env_step(e, n, &in);
	else if (n->r->role == RAFT_FOLLOWER && n->r->leader != 0)
		forward(n, (struct env_msg){
				   .type = ENV_MSG_TRANSFER, .from = to, .term = n->r->hard.term });
}
