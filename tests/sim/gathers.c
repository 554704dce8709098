/*
 * gathers.c - clients that gather writes under delegations: the mount's own code (fs/fuse/gather.h) over sessions
 * of client.c.
 *
 * A write that was taken stands in the history from when it was asked until its batch is answered, at the batch's
 * index. Checked beside that:
 *  - who syncs without an error has all that was taken before in the log;
 *  - nobody who asks after a write was taken is told of the inode as it was before, while the delegation lasts;
 *  - no delegation ends while its holder may use it, but by himself;
 *  - nothing is taken, read or stored under a delegation whose end is committed.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "fs/fuse/gather_internal.h"
#include "fs/ops/key.h"
#include "tests/sim/sim.h"

#define TICK_NS (100 * SIM_MS)
#define SYNC_EVERY 8u /* rounds of the timer, about */

struct fs_session {
	struct sim_client *c;
};

/* A write that a client was told has happened. */
struct taken {
	uint64_t ino, delegation, batch, taken_ns;
	uint64_t seq;   /* of the request that carries it; 0: it has not left */
	uint64_t index; /* of its entry; 0: none yet */
	size_t record;
	bool answered, told_lost;
};

struct sim_gatherer {
	struct sim_client *c;
	struct fs_session session;
	struct gather table;
	struct taken *taken;
	size_t count, cap;
	uint64_t confirmed_ns, tick_ns;
	bool brisk, ended;
};

/* Somebody was told of the inode by the state as of an entry, while a write to it was taken and not sent. */
struct seen {
	struct sim_gatherer *holder;
	size_t taken;
	uint64_t index;
	size_t by;
};

struct ended {
	uint64_t ino, index;
};

struct sim_gathers {
	struct seen *seen;
	size_t seen_count, seen_cap;
	struct ended *ended; /* the last end of a delegation of each inode */
	size_t ended_count, ended_cap;
};

static struct sim_gathers *gathers_of(struct sim *s)
{
	if (!s->gathers)
		s->gathers = mem_calloc(1, sizeof(*s->gathers));
	return s->gathers;
}

static void *grown(void *v, size_t count, size_t *cap, size_t size)
{
	if (count < *cap)
		return v;
	*cap = 2 * *cap + 16;
	return mem_realloc(v, *cap * size);
}

/* ---- the session ------------------------------------------------------------------------------------------ */

/* Batches of an inode are numbered anew when it was forgotten. */
static bool goes_with(const struct taken *t, uint64_t ino, uint64_t delegation, uint64_t batch)
{
	return t->ino == ino && t->delegation == delegation && t->batch == batch;
}

static void note_batch(struct sim_gatherer *g, const struct sim_op *op, const struct batch *b)
{
	for (size_t i = 0; i < g->count; i++)
		if (goes_with(&g->taken[i], b->g->ino, b->delegation, b->number))
			g->taken[i].seq = op->seq;
}

int fs_session_submit(struct fs_session *session, const struct fs_request *rq, uint32_t pid, fs_reply_fn fn,
		      void *ctx, uint64_t *ticket)
{
	struct sim_client *c = session->c;
	struct sim_op *op;

	(void)pid;
	(void)ticket;
	if (c->gatherer->ended)
		return -ECANCELED;
	op = client_op_new(c, rq);
	op->fn = fn;
	op->fn_ctx = ctx;
	if (op->seq >= c->record_cap) {
		c->record_cap = 2 * op->seq + 16;
		c->records = mem_realloc(c->records, c->record_cap * sizeof(size_t));
	}
	c->records[op->seq] = op->record;
	if (rq->op == FS_GATHERED)
		note_batch(c->gatherer, op, ctx);
	client_submit(c, op);
	return 0;
}

int fs_session_submit_aside(struct fs_session *session, const struct fs_request *rq, uint32_t pid, fs_reply_fn fn,
			    void *ctx, uint64_t *ticket)
{
	return fs_session_submit(session, rq, pid, fn, ctx, ticket);
}

static bool is_fresh(const struct sim_gatherer *g, uint64_t lease_ms)
{
	const struct sim *s = g->c->sim;
	uint64_t ms = min_u64(lease_ms, s->swarm.session_ttl_ms);

	return !g->ended && g->confirmed_ns != 0 && s->now < g->confirmed_ns + (ms - ms / 100) * SIM_MS;
}

bool fs_session_is_fresh(struct fs_session *session, uint64_t session_id, uint32_t lease_ms)
{
	return session_id != 0 && session_id == session->c->session_id && is_fresh(session->c->gatherer, lease_ms);
}

void fs_session_set_brisk(struct fs_session *session, bool brisk)
{
	session->c->gatherer->brisk = brisk;
}

bool gathers_is_brisk(const struct sim_client *c)
{
	return c->gatherer && c->gatherer->brisk;
}

void gathers_kept(struct sim_client *c, uint64_t sent_ns)
{
	if (c->gatherer)
		c->gatherer->confirmed_ns = max_u64(c->gatherer->confirmed_ns, sent_ns);
}

/* ---- life ------------------------------------------------------------------------------------------------- */

static bool is_open(void *ctx, uint64_t ino)
{
	const struct sim_gatherer *g = ctx;

	return sim_chance(g->c->sim, RND_LOAD, ino % 2 ? 900 : 200);
}

void gathers_begin(struct sim_client *c)
{
	struct sim_gatherer *g = mem_calloc(1, sizeof(*g));

	c->gatherer = g;
	g->c = c;
	g->session.c = c;
	gather_init(&g->table, true);
	gather_attach(&g->table, &g->session, is_open, g);
}

static struct sim_op *own_op(struct sim_client *c)
{
	list_for_each (it, &c->ops)
		if (list_entry(it, struct sim_op, link)->fn)
			return list_entry(it, struct sim_op, link);
	return NULL;
}

/* As when its session ended: nothing is answered any more. */
void gathers_end(struct sim_client *c)
{
	struct sim_gatherer *g = c->gatherer;

	if (!g || g->ended)
		return;
	g->ended = true;
	g->table.stopping = true;
	gather_lost(&g->table, c->session_id);
	for (struct sim_op *op = own_op(c); op; op = own_op(c)) {
		fs_reply_fn fn = op->fn;
		void *ctx = op->fn_ctx;

		client_op_drop(c, op);
		fn(ctx, -EIO, NULL); /* others may go with it */
	}
	while (!list_empty(&g->table.starved)) {
		struct gather_wait *w = list_first(&g->table.starved, struct gather_wait, node);

		list_del(&w->node);
		w->done(w, -EIO);
	}
}

void gathers_release(struct sim *s)
{
	for (size_t i = 0; i < s->client_count; i++) {
		struct sim_gatherer *g = s->clients[i].gatherer;

		if (!g)
			continue;
		gathers_end(&s->clients[i]);
		gather_release(&g->table);
		free(g->taken);
		free(g);
	}
	if (s->gathers) {
		free(s->gathers->seen);
		free(s->gathers->ended);
	}
	free(s->gathers);
	s->gathers = NULL;
}

/* ---- operations --------------------------------------------------------------------------------------------- */

/* Entry with which the last delegation of it ended; 0: none. */
static uint64_t ended_at(struct sim *s, uint64_t ino)
{
	const struct sim_gathers *all = gathers_of(s);

	for (size_t i = 0; i < all->ended_count; i++)
		if (all->ended[i].ino == ino)
			return all->ended[i].index;
	return 0;
}

static void check_usable(struct sim_gatherer *g, uint64_t ino, const char *what)
{
	const struct gathered *of = gathered_find(&g->table, ino);
	uint64_t index = ended_at(g->c->sim, ino);

	if (of && of->d.number != 0 && index > of->d.number)
		sim_fail(g->c->sim, "client %zu %s inode %llu under delegation %llu, which ended at %llu", g->c->number,
			 what, (unsigned long long)ino, (unsigned long long)of->d.number, (unsigned long long)index);
}

static void take(struct sim_gatherer *g, struct sim_op *op, uint64_t ino)
{
	struct sim *s = g->c->sim;
	const struct gathered *of = gathered_find(&g->table, ino);
	uint64_t batch = of->last_batch + (of->now.count > 0);

	check_usable(g, ino, "writes");
	for (size_t i = 0; i < g->count; i++)
		if (goes_with(&g->taken[i], ino, of->d.number, batch))
			s->history.ops[op->record].rq.flags |= HIST_SAME_ENTRY;
	g->taken = grown(g->taken, g->count, &g->cap, sizeof(*g->taken));
	g->taken[g->count++] = (struct taken){
		.ino = ino, .delegation = of->d.number, .batch = batch, .taken_ns = s->now, .record = op->record
	};
	s->counts.gathered++;
	/* It may have left already. */
	list_for_each (it, &of->batches) {
		const struct batch *b = list_entry(it, struct batch, node);

		list_for_each (at, &g->c->ops) {
			const struct sim_op *sent = list_entry(at, struct sim_op, link);

			if (b->number == batch && sent->fn && sent->fn_ctx == b)
				note_batch(g, sent, b);
		}
	}
}

static void go_on(struct gather_wait *w, int status)
{
	struct sim_op *op = CONTAINER_OF(w, struct sim_op, wait);
	struct sim_client *c = op->client;

	op->held = false;
	op->has_waited = true;
	if (status < 0 || c->gatherer->ended) {
		op->given_up = true;
		load_answered(c, op);
		client_op_drop(c, op);
	} else if (gathers_start(c, op)) {
		client_submit(c, op);
	}
}

static bool never_killed(struct gather_wait *w)
{
	(void)w;
	return false;
}

static enum gather_verdict gate(struct sim_gatherer *g, struct sim_op *op, const struct fs_request *rq,
				struct gather_wait *w)
{
	struct gather *t = &g->table;
	struct gather_write wr = {
		.offset = rq->offset, .data = rq->data, .len = rq->data_len, .uid = rq->uid, .gid = rq->gid
	};
	struct buf out = BUF_INIT;
	enum gather_verdict verdict;

	switch (rq->op) {
	case FS_WRITE:
		return rq->flags & O_APPEND ? gather_hold(t, rq->ino, true, w) : gather_write(t, rq->ino, &wr, true, w);
	case FS_READ:
		verdict = gather_read(t, rq->ino, rq->offset, rq->size, &out, true, w);
		buf_release(&out);
		return verdict;
	case FS_GETATTR:
	case FS_SETATTR:
	case FS_SETXATTR:
		return op->has_waited ? GATHER_PASS : gather_hold(t, rq->ino, true, w);
	default:
		return GATHER_PASS;
	}
}

static void ask(struct sim_gatherer *g, struct sim_op *op, struct fs_request *rq)
{
	if (rq->op != FS_CREATE && (rq->op != FS_WRITE || (rq->flags & O_APPEND)))
		return;
	rq->size = gather_ask(&g->table, rq->op == FS_WRITE ? rq->ino : 0);
	op->asks = rq->size > 0;
	struct buf body = BUF_INIT;

	fs_request_encode(rq, &body);
	buf_release(&op->body);
	op->body = body;
}

bool gathers_start(struct sim_client *c, struct sim_op *op)
{
	struct sim_gatherer *g = c->gatherer;
	struct fs_request rq;
	enum gather_verdict verdict;

	if (!g || g->ended)
		return true;
	SIM_CHECK(c->sim, fs_request_decode(&rq, op->body.data, op->body.len) == 0);
	op->wait.done = go_on;
	op->wait.killed = never_killed;
	op->held = true; /* it may be done before it is known that it waits */
	verdict = gate(g, op, &rq, &op->wait);
	if (verdict == GATHER_WAITS)
		return false;
	op->held = false;
	if (verdict == GATHER_DONE) {
		if (rq.op == FS_WRITE)
			take(g, op, rq.ino);
		else
			check_usable(g, rq.ino, "reads");
		client_op_drop(c, op);
		return false;
	}
	ask(g, op, &rq);
	return true;
}

/* ---- answers --------------------------------------------------------------------------------------------------- */

static void batch_answered(struct sim_gatherer *g, const struct sim_op *op, uint64_t index)
{
	struct sim *s = g->c->sim;

	for (size_t i = 0; i < g->count; i++) {
		struct taken *t = &g->taken[i];

		if (t->seq != op->seq || t->answered)
			continue;
		t->answered = true;
		history_end(&s->history, t->record, s->now, 0, &(struct fs_reply){ .count = 0 }, 0, index);
		history_set_logged(&s->history, t->record, true);
	}
}

/* reply NULL: it failed, or nobody waits for it any more. */
static void was_asked(struct sim_gatherer *g, struct sim_op *op, const struct fs_reply *reply)
{
	struct fs_request rq;

	if (!op->asks)
		return;
	op->asks = false;
	SIM_CHECK(g->c->sim, fs_request_decode(&rq, op->body.data, op->body.len) == 0);
	gather_asked(&g->table, rq.op == FS_WRITE ? rq.ino : 0, reply);
}

void gathers_dropped(struct sim_client *c, struct sim_op *op)
{
	if (c->gatherer)
		was_asked(c->gatherer, op, NULL);
}

bool gathers_answered(struct sim_client *c, struct sim_op *op, const struct fs_msg *m)
{
	struct sim_gatherer *g = c->gatherer;
	struct fs_reply reply = { .count = 0 };
	struct fs_attr attr;

	if (!g)
		return false;
	if (op->status == 0)
		SIM_CHECK(c->sim, fs_reply_decode(&reply, op->reply.data, op->reply.len) == 0);
	reply.index = m->stamp;
	was_asked(g, op, op->status == 0 ? &reply : NULL);
	if (!op->fn) {
		attr = reply.attr;
		if (reply.has_attr)
			gather_show(&g->table, &attr);
		return false;
	}
	check_reply(c, op);
	if (op->op == FS_GATHERED && op->status == 0)
		batch_answered(g, op, op->seen);
	list_del(&op->link);
	list_init(&op->link);
	c->op_count--;
	op->fn(op->fn_ctx, op->status, op->status == 0 ? &reply : NULL);
	c->op_count++;
	client_op_drop(c, op);
	return true;
}

void gathers_recall(struct sim_client *c, const struct fs_msg *m)
{
	if (!c->gatherer || c->gatherer->ended || m->session_id != c->session_id)
		return;
	for (size_t off = 0; off < m->body_len; off += 16)
		gather_recall(&c->gatherer->table, load_le64(m->body + off), load_le64(m->body + off + 8));
}

void gathers_executed(struct sim_client *c, const struct apply_answer *a)
{
	struct sim_gatherer *g = c->gatherer;
	uint64_t ended;

	for (size_t i = 0; g && a->status == 0 && i < g->count; i++) {
		struct taken *t = &g->taken[i];

		if (t->seq != a->seq || t->seq == 0)
			continue;
		t->index = a->index;
		ended = ended_at(c->sim, t->ino);
		if (ended > t->delegation && ended < a->index)
			sim_fail(c->sim, "entry %llu writes under delegation %llu, which ended at %llu",
				 (unsigned long long)a->index, (unsigned long long)t->delegation,
				 (unsigned long long)ended);
		if (!t->answered)
			history_set_index(&c->sim->history, t->record, a->index);
	}
}

/* ---- fsync and close ---------------------------------------------------------------------------------------------- */

struct sync {
	struct gather_wait wait;
	struct sim_gatherer *g;
	uint64_t ino;
	size_t count; /* of what was taken when it began */
};

static void synced(struct sim_gatherer *g, uint64_t ino, size_t count, int status)
{
	struct sim *s = g->c->sim;

	s->counts.gather_syncs++;
	s->counts.gather_lost += status == -EIO;
	/* A loss is told once: of all that there was. */
	for (size_t i = 0; i < (status == -EIO ? g->count : count); i++) {
		struct taken *t = &g->taken[i];

		if (t->ino != ino || t->answered || t->told_lost)
			continue;
		if (status == 0)
			sim_fail(s, "client %zu: what it wrote to inode %llu is not in the log after fsync",
				 g->c->number, (unsigned long long)ino);
		t->told_lost = status == -EIO;
	}
}

static void sync_done(struct gather_wait *w, int status)
{
	struct sync *y = CONTAINER_OF(w, struct sync, wait);

	if (!y->g->ended)
		synced(y->g, y->ino, y->count, status);
	free(y);
}

static void sync_something(struct sim_gatherer *g)
{
	struct sim *s = g->c->sim;
	const struct taken *t = &g->taken[g->count - 1 - sim_between(s, RND_LOAD, 0, min_u64(g->count - 1, 4))];
	bool last = sim_chance(s, RND_LOAD, 500);
	struct sync *y = mem_calloc(1, sizeof(*y));
	int status = 0;

	y->wait.done = sync_done;
	y->wait.killed = never_killed;
	y->g = g;
	y->ino = t->ino;
	y->count = g->count;
	if (gather_sync(&g->table, y->ino, last, &status, true, &y->wait) == GATHER_DONE) {
		synced(g, y->ino, y->count, status);
		free(y);
	}
}

void gathers_tick(struct sim_client *c)
{
	struct sim_gatherer *g = c->gatherer;

	if (!g || g->ended)
		return;
	if (g->count > 0 && sim_between(c->sim, RND_LOAD, 1, SYNC_EVERY) == 1)
		sync_something(g);
	if (c->sim->now < g->tick_ns)
		return;
	g->tick_ns = c->sim->now + TICK_NS;
	gather_tick(&g->table);
}

/* ---- what others see ------------------------------------------------------------------------------------------------ */

void gathers_mutation(struct sim *s, uint64_t index, const struct kv_mutation *m)
{
	struct sim_gathers *all = gathers_of(s);
	uint64_t ino;

	if (m->type != KV_DELETE || m->key_len != KEY_CLASS_SIZE + 8 ||
	    (m->key[0] != KEY_DELEGATION && m->key[0] != KEY_INODE))
		return;
	ino = load_be64(m->key + KEY_CLASS_SIZE);
	/* Clients here hold nothing open: what has no name goes, with its delegation, and that harms nobody. */
	if (m->key[0] == KEY_INODE)
		index = 0;
	for (size_t i = 0; i < all->ended_count; i++)
		if (all->ended[i].ino == ino) {
			all->ended[i].index = index;
			return;
		}
	all->ended = grown(all->ended, all->ended_count, &all->ended_cap, sizeof(*all->ended));
	all->ended[all->ended_count++] = (struct ended){ ino, index };
}

static void check_not_used(struct sim_client *c, uint64_t ino, uint64_t index)
{
	struct sim_gatherer *g = c->gatherer;
	const struct gathered *of = g && !g->ended ? gathered_find(&g->table, ino) : NULL;

	if (of && of->d.number < index && gathered_is_usable(&g->table, of) && c->ended_index == 0 && !c->ghost)
		sim_fail(c->sim, "delegation %llu of inode %llu ends with entry %llu, and client %zu may still use it",
			 (unsigned long long)of->d.number, (unsigned long long)ino, (unsigned long long)index, c->number);
}

void gathers_entry(struct sim *s, uint64_t index)
{
	const struct sim_gathers *all = gathers_of(s);

	for (size_t i = 0; i < all->ended_count; i++)
		for (size_t k = 0; k < s->client_count && all->ended[i].index == index; k++)
			check_not_used(&s->clients[k], all->ended[i].ino, index);
}

static void note_seen(struct sim_gatherer *holder, const struct sim_op *op, uint64_t ino, size_t by)
{
	struct sim_gathers *all = gathers_of(holder->c->sim);
	uint64_t ended = ended_at(holder->c->sim, ino);

	for (size_t i = 0; i < holder->count; i++) {
		const struct taken *t = &holder->taken[i];

		if (t->ino != ino || t->index != 0 || t->told_lost || t->taken_ns >= op->called_ns ||
		    t->delegation < ended)
			continue;
		all->seen = grown(all->seen, all->seen_count, &all->seen_cap, sizeof(*all->seen));
		all->seen[all->seen_count++] =
			(struct seen){ .holder = holder, .taken = i, .index = op->seen, .by = by };
	}
}

void gathers_seen(struct sim_client *c, const struct sim_op *op, uint64_t ino)
{
	struct sim *s = c->sim;

	for (size_t i = 0; i < s->client_count; i++) {
		struct sim_gatherer *g = s->clients[i].gatherer;

		if (g && &s->clients[i] != c && s->clients[i].ended_index == 0 && is_fresh(g, FS_DELEGATION_LEASE_MS))
			note_seen(g, op, ino, c->number);
	}
}

/* By now it is known where each went. */
void gathers_check_end(struct sim *s)
{
	const struct sim_gathers *all = gathers_of(s);

	for (size_t i = 0; i < all->seen_count; i++) {
		const struct seen *v = &all->seen[i];
		const struct taken *t = &v->holder->taken[v->taken];

		if (t->index == 0 || t->index > v->index)
			sim_fail(s, "client %zu saw inode %llu as of entry %llu beside a write of client %zu, entry %llu",
				 v->by, (unsigned long long)t->ino, (unsigned long long)v->index,
				 v->holder->c->number, (unsigned long long)t->index);
	}
}
