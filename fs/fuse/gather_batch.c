/* gather_batch.c - what was gathered on its way to the cluster: batches, their answers, and their loss. See gather.h. */
#include "fs/fuse/gather_internal.h"

#define UNDER_WAY_MAX 8u /* of one inode */

/* ---- making them --------------------------------------------------------------------------------------- */

static void batch_free(struct batch *b)
{
	buf_release(&b->data);
	free(b->ranges);
	free(b);
}

void batch_seal(struct gather *t, struct gathered *g, uint32_t flags)
{
	struct batch *b;

	if (!gathered_has_now(g) && flags == 0)
		return;
	b = mem_calloc(1, sizeof(*b));
	b->table = t;
	b->g = g;
	b->number = ++g->last_batch;
	b->delegation = g->d.number;
	b->bytes = g->now.bytes;
	b->flags = flags;
	b->shown_ns = g->shown_ns;
	b->set = g->set;
	g->set = (struct gathered_set){ .valid = 0 };
	b->uid = g->uid;
	b->gid = g->gid;
	/* It fills one request, so more will come: let some of them be under way at the same time. */
	b->ask = b->bytes == FS_IO_MAX && g->d.bytes < GATHER_STREAM ? GATHER_STREAM : 0;
	b->ranges = mem_calloc(g->now.count + 1, sizeof(*b->ranges));
	for (; b->range_count < g->now.count; b->range_count++) {
		const struct extent *e = &g->now.v[b->range_count];

		b->ranges[b->range_count] = (struct range){ e->offset, e->offset + e->data.len };
	}
	extents_encode(&g->now, &b->data);
	extents_release(&g->now);
	list_init(&b->ready);
	list_add_tail(&g->batches, &b->node);
}

/* ---- their order ---------------------------------------------------------------------------------------- */

static bool ranges_overlap(const struct batch *b, uint64_t offset, uint64_t end)
{
	size_t lo = 0, hi = b->range_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (b->ranges[mid].end <= offset)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < b->range_count && b->ranges[lo].offset < end;
}

bool batches_overlap(const struct gathered *g, uint64_t offset, uint64_t end)
{
	list_for_each (it, &g->batches)
		if (ranges_overlap(list_entry(it, struct batch, node), offset, end))
			return true;
	return false;
}

/* Must an earlier batch be answered before b leaves? */
static bool comes_later(const struct gathered *g, const struct batch *b)
{
	list_for_each (it, &g->batches) {
		const struct batch *earlier = list_entry(it, struct batch, node);

		if (earlier == b)
			return false;
		if ((b->flags & FS_GATHERED_RETURN) || b->set.valid != 0 || earlier->set.valid != 0)
			return true;
		for (size_t i = 0; i < b->range_count; i++)
			if (ranges_overlap(earlier, b->ranges[i].offset, b->ranges[i].end)) {
				MARK("fs.gather.later-of-two");
				return true;
			}
	}
	return false;
}

void batch_take_ready(struct gathered *g, struct gather_todo *todo)
{
	list_for_each (it, &g->batches) {
		struct batch *b = list_entry(it, struct batch, node);

		if (g->sent_count >= UNDER_WAY_MAX)
			return;
		if (b->sent || comes_later(g, b))
			continue;
		b->sent = true;
		g->sent_count++;
		list_add_tail(&todo->ready, &b->ready);
	}
}

/* ---- waits ------------------------------------------------------------------------------------------------ */

static void wait_done(struct gather_wait *w, int status, struct gather_todo *todo)
{
	list_del(&w->node);
	w->status = status;
	list_add_tail(&todo->done, &w->node);
}

void gathered_wake(struct gathered *g, struct gather_todo *todo)
{
	uint64_t first = list_empty(&g->batches) ? UINT64_MAX : list_first(&g->batches, struct batch, node)->number;

	list_for_each_safe (it, &g->waits) {
		struct gather_wait *w = list_entry(it, struct gather_wait, node);
		int status = w->syncs ? g->error : 0;

		if (w->until >= first)
			continue;
		g->error = w->syncs ? 0 : g->error; /* told once */
		wait_done(w, status, todo);
	}
}

/* Nobody answers for so long that who waits has had enough; what is under way stays so. */
static void give_up_waits(struct gathered *g, int status, struct gather_todo *todo)
{
	list_for_each_safe (it, &g->waits)
		wait_done(list_entry(it, struct gather_wait, node), status, todo);
}

static void feed_starved(struct gather *t, struct gather_todo *todo)
{
	list_for_each_safe (it, &t->starved)
		wait_done(list_entry(it, struct gather_wait, node), 0, todo);
}

/* ---- ends --------------------------------------------------------------------------------------------------- */

static void batch_drop(struct gather *t, struct gathered *g, struct batch *b, struct gather_todo *todo)
{
	list_del(&b->node);
	if (b->sent)
		g->sent_count--;
	g->bytes -= b->bytes;
	t->bytes -= b->bytes;
	list_add_tail(&todo->dropped, &b->node);
	if (!gathered_is_busy(g)) {
		g->size = 0;
		g->uid = g->gid = 0;
		g->shown_ns = 0;
		g->shown_set.valid = 0;
	}
}

void gathered_lose(struct gather *t, struct gathered *g, struct gather_todo *todo)
{
	bool busy = gathered_is_busy(g);

	g->dead = max_u64(g->dead, g->d.number);
	g->d.number = 0;
	g->recalled = false;
	if (!busy)
		return;
	MARK("fs.gather.lost");
	log_error("fuse", "writes to inode %llu that were gathered are lost, the next fsync or close fails bytes=%llu",
		  (unsigned long long)g->ino, (unsigned long long)g->bytes);
	g->error = GATHER_LOST;
	g->bytes -= g->now.bytes;
	t->bytes -= g->now.bytes;
	extents_release(&g->now);
	g->set.valid = 0;
	list_for_each_safe (it, &g->batches) {
		struct batch *b = list_entry(it, struct batch, node);

		if (!b->sent)
			batch_drop(t, g, b, todo);
	}
	gathered_wake(g, todo);
}

void gathered_give_back(struct gather *t, struct gathered *g, struct gather_todo *todo)
{
	g->recalled = true;
	batch_seal(t, g, FS_GATHERED_RETURN);
	batch_take_ready(g, todo);
}

/* ---- answers -------------------------------------------------------------------------------------------------- */

/* What the entry says that is reserved; of several answers the latest in the log counts. */
static void note_reserved(struct gathered *g, const struct fs_reply *reply)
{
	uint64_t bytes = reply->delegation.bytes;

	if (reply->delegation.number != g->d.number)
		return;
	if (reply->index == 0) {
		g->d.bytes = min_u64(g->d.bytes, bytes);
	} else if (reply->index > g->reserved_index) {
		g->d.bytes = bytes;
		g->reserved_index = reply->index;
	}
}

static void stored(struct gathered *g, const struct batch *b, const struct fs_reply *reply)
{
	if (reply->has_attr) {
		gathered_learn(g, &reply->attr);
		/* Our idea of the leader's clock is ahead of it. */
		if (reply->attr.ctime_ns < b->shown_ns) {
			g->leader_ns = reply->attr.ctime_ns;
			g->base_ns = clock_boot_ns();
		}
	}
	if (!(b->flags & FS_GATHERED_RETURN)) {
		note_reserved(g, reply);
	} else if (b->delegation == g->d.number) {
		g->dead = g->d.number;
		g->d.number = 0;
		g->recalled = false;
	}
}

static bool is_answer(const struct gather *t, int status)
{
	return t->stopping || (status != -ETIMEDOUT && status != -EINTR);
}

static void answered(void *ctx, int status, const struct fs_reply *reply)
{
	struct batch *b = ctx;
	struct gather *t = b->table;
	struct gathered *g = b->g;
	struct gather_todo todo;

	todo_init(&todo);
	pthread_mutex_lock(&t->lock);
	if (!is_answer(t, status)) {
		MARK("fs.gather.sent-anew");
		give_up_waits(g, status, &todo);
		list_add_tail(&todo.ready, &b->ready);
	} else {
		if (status == 0)
			stored(g, b, reply);
		else if (b->delegation == g->d.number)
			gathered_lose(t, g, &todo); /* what it refuses, it refuses of all that follow */
		batch_drop(t, g, b, &todo);
		batch_take_ready(g, &todo);
		gathered_wake(g, &todo);
		feed_starved(t, &todo);
	}
	if (t->stopping)
		pthread_cond_signal(&t->changed);
	pthread_mutex_unlock(&t->lock);
	todo_run(t, &todo, fs_session_submit_aside);
}

static void send_batch(struct gather *t, struct batch *b, gather_submit_fn how)
{
	struct fs_request rq = {
		.op = FS_GATHERED,
		.uid = b->uid,
		.gid = b->gid,
		.ino = b->g->ino,
		.ino2 = b->delegation,
		.size = b->ask,
		.flags = b->flags,
		.offset = (uint64_t)b->shown_ns,
		.valid = b->set.valid,
		.mode = b->set.mode,
		.uid2 = b->set.uid,
		.gid2 = b->set.gid,
		.atime_ns = b->set.atime_ns,
		.mtime_ns = b->set.mtime_ns,
		.data = b->data.data,
		.data_len = b->data.len,
	};
	int ret = how(t->session, &rq, 0, answered, b, NULL);

	if (ret < 0) /* the session is being freed */
		answered(b, ret, NULL);
}

void todo_run(struct gather *t, struct gather_todo *todo, gather_submit_fn how)
{
	list_for_each_safe (it, &todo->dropped)
		batch_free(list_entry(it, struct batch, node));
	while (!list_empty(&todo->ready)) {
		struct batch *b = list_first(&todo->ready, struct batch, ready);

		list_del(&b->ready);
		send_batch(t, b, how);
	}
	while (!list_empty(&todo->done)) {
		struct gather_wait *w = list_first(&todo->done, struct gather_wait, node);

		list_del(&w->node);
		w->done(w, w->status);
	}
}
