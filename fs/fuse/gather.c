/* gather.c - see gather.h: the table, and what requests of this mount find in it. */
#include <sys/stat.h>

#include "fs/fuse/gather_internal.h"

/* ---- the table ---------------------------------------------------------------------------------------- */

void gather_init(struct gather *t, bool enabled)
{
	pthread_condattr_t attr;

	*t = (struct gather){ .enabled = enabled, .by_ino = HTABLE_INIT };
	pthread_mutex_init(&t->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&t->changed, &attr);
	pthread_condattr_destroy(&attr);
	list_init(&t->all);
	list_init(&t->starved);
}

void gather_release(struct gather *t)
{
	list_for_each_safe (it, &t->all)
		gathered_free(t, list_entry(it, struct gathered, link));
	htable_release(&t->by_ino);
	pthread_cond_destroy(&t->changed);
	pthread_mutex_destroy(&t->lock);
}

struct gathered *gathered_find(const struct gather *t, uint64_t ino)
{
	for (struct hnode *n = htable_first(&t->by_ino, hash_u64(ino)); n; n = htable_next(n)) {
		struct gathered *g = CONTAINER_OF(n, struct gathered, node);

		if (g->ino == ino)
			return g;
	}
	return NULL;
}

struct gathered *gathered_find_or_add(struct gather *t, uint64_t ino)
{
	struct gathered *g = gathered_find(t, ino);

	if (g)
		return g;
	g = mem_calloc(1, sizeof(*g));
	g->ino = ino;
	g->used_ms = clock_boot_ms();
	list_init(&g->batches);
	list_init(&g->waits);
	htable_add(&t->by_ino, &g->node, hash_u64(ino));
	list_add_tail(&t->all, &g->link);
	if (atomic_fetch_add(&t->count, 1) == 0)
		pthread_cond_signal(&t->changed);
	return g;
}

void gathered_free(struct gather *t, struct gathered *g)
{
	assert(list_empty(&g->batches) && list_empty(&g->waits));
	t->bytes -= g->bytes;
	extents_release(&g->now);
	htable_del(&t->by_ino, &g->node);
	list_del(&g->link);
	atomic_fetch_sub(&t->count, 1);
	free(g);
}

/* Most requests of most mounts find nothing here. */
static bool is_empty(struct gather *t)
{
	return atomic_load(&t->count) == 0;
}

/* ---- waiting ------------------------------------------------------------------------------------------- */

static enum gather_verdict wait_until(struct gathered *g, struct gather_wait *w, uint64_t batch, bool syncs)
{
	if (w) {
		w->until = batch;
		w->syncs = syncs;
		list_add_tail(&g->waits, &w->node);
	}
	return GATHER_WAITS;
}

/* Until all that is gathered so far is answered. */
static enum gather_verdict wait_for_all(struct gather *t, struct gathered *g, struct gather_wait *w, bool syncs,
					struct gather_todo *todo)
{
	batch_seal(t, g, 0);
	batch_take_ready(g, todo);
	return wait_until(g, w, g->last_batch, syncs);
}

/* Until there is more room: in the reservation, or in the table. */
static enum gather_verdict wait_for_room(struct gather *t, struct gathered *g, struct gather_wait *w,
					 struct gather_todo *todo)
{
	MARK("fs.gather.waits-for-room");
	if (g->bytes > 0) {
		batch_seal(t, g, 0);
		batch_take_ready(g, todo);
		return wait_until(g, w, list_first(&g->batches, struct batch, node)->number, false);
	}
	list_for_each (it, &t->all) {
		struct gathered *other = list_entry(it, struct gathered, link);

		batch_seal(t, other, 0);
		batch_take_ready(other, todo);
	}
	if (w)
		list_add_tail(&t->starved, &w->node);
	return GATHER_WAITS;
}

/* ---- writing ------------------------------------------------------------------------------------------- */

static bool has_set_id(const struct gathered *g)
{
	return (g->base.mode & (S_ISUID | S_ISGID)) != 0;
}

static void note_since(struct gathered *g)
{
	g->used_ms = clock_boot_ms();
	if (!gathered_has_now(g))
		g->since_ms = g->used_ms;
}

/* By the leader's clock, as far as it is known here, and later than all before. */
static int64_t next_shown_ns(const struct gathered *g)
{
	int64_t now_ns = g->leader_ns + (int64_t)(clock_boot_ns() - g->base_ns);
	int64_t last_ns = g->base.mtime_ns > g->shown_ns ? g->base.mtime_ns : g->shown_ns;

	last_ns = g->base.ctime_ns > last_ns ? g->base.ctime_ns : last_ns;
	return now_ns > last_ns ? now_ns : last_ns + 1;
}

static void put(struct gather *t, struct gathered *g, const struct gather_write *wr)
{
	uint64_t before = g->now.bytes;

	note_since(g);
	g->shown_ns = g->shown_set.mtime_ns = next_shown_ns(g);
	g->shown_set.valid |= FS_SET_MTIME;
	extents_put(&g->now, wr->offset, wr->data, wr->len);
	g->bytes += g->now.bytes - before;
	t->bytes += g->now.bytes - before;
	g->size = max_u64(g->size, wr->offset + wr->len);
	if (wr->uid != 0 || g->uid == 0) {
		g->uid = wr->uid;
		g->gid = wr->gid;
	}
}

static enum gather_verdict try_write(struct gather *t, struct gathered *g, const struct gather_write *wr,
				     struct gather_wait *w, struct gather_todo *todo)
{
	bool fits = wr->len > 0 && wr->len <= g->d.bytes && wr->len <= FS_IO_MAX &&
		    wr->offset <= KV_FILE_SIZE_MAX && wr->len <= KV_FILE_SIZE_MAX - wr->offset;

	if (!fits || has_set_id(g) || !gathered_is_usable(t, g))
		return gathered_is_busy(g) ? wait_for_all(t, g, w, false, todo) : GATHER_PASS;
	if (g->bytes + wr->len > g->d.bytes || t->bytes + wr->len > GATHER_MAX)
		return wait_for_room(t, g, w, todo);
	/* What was set has its place between the writes. Two more pieces may come of one. */
	if (g->set.valid != 0 || g->now.bytes + wr->len > FS_IO_MAX || g->now.count + 2 >= FS_GATHERED_EXTENTS_MAX)
		batch_seal(t, g, 0);
	put(t, g, wr);
	if (g->now.bytes >= FS_IO_MAX)
		batch_seal(t, g, 0);
	batch_take_ready(g, todo);
	return GATHER_DONE;
}

enum gather_verdict gather_write(struct gather *t, uint64_t ino, const struct gather_write *wr, bool aside,
				 struct gather_wait *w)
{
	enum gather_verdict verdict = GATHER_PASS;
	struct gather_todo todo;

	if (is_empty(t))
		return GATHER_PASS;
	todo_init(&todo);
	pthread_mutex_lock(&t->lock);
	struct gathered *g = gathered_find(t, ino);

	if (g)
		verdict = try_write(t, g, wr, w, &todo);
	pthread_mutex_unlock(&t->lock);
	todo_run(t, &todo, aside ? fs_session_submit_aside : fs_session_submit);
	return verdict;
}

/* ---- attributes ---------------------------------------------------------------------------------------- */

/* Later ones replace earlier ones: without set-id bits owner and mode do not depend on each other. */
static void merge_set(struct gathered_set *set, const struct fs_request *rq)
{
	if (rq->valid & FS_SET_MODE)
		set->mode = rq->mode;
	if (rq->valid & FS_SET_UID)
		set->uid = rq->uid2;
	if (rq->valid & FS_SET_GID)
		set->gid = rq->gid2;
	if (rq->valid & FS_SET_ATIME)
		set->atime_ns = rq->atime_ns;
	if (rq->valid & FS_SET_MTIME)
		set->mtime_ns = rq->mtime_ns;
	set->valid |= rq->valid;
}

static void show_set(const struct gathered_set *set, struct fs_attr *attr)
{
	if (set->valid & FS_SET_MODE)
		attr->mode = (attr->mode & S_IFMT) | (set->mode & 07777);
	if (set->valid & FS_SET_UID)
		attr->uid = set->uid;
	if (set->valid & FS_SET_GID)
		attr->gid = set->gid;
	if (set->valid & FS_SET_ATIME)
		attr->atime_ns = set->atime_ns;
	if (set->valid & FS_SET_MTIME)
		attr->mtime_ns = set->mtime_ns;
}

#define BLOCK_SIZE 4096u
#define SECTOR_SIZE 512u

/* As if no block had been there before; never more than a file without holes has. */
static uint64_t shown_blocks(const struct gathered *g, const struct fs_attr *attr)
{
	uint64_t dense = (attr->size + BLOCK_SIZE - 1) / BLOCK_SIZE * (BLOCK_SIZE / SECTOR_SIZE);
	uint64_t more = (g->bytes + SECTOR_SIZE - 1) / SECTOR_SIZE;

	return max_u64(attr->blocks, min_u64(attr->blocks + more, dense));
}

static void show(const struct gathered *g, struct fs_attr *attr)
{
	attr->size = max_u64(attr->size, g->size);
	attr->blocks = shown_blocks(g, attr);
	show_set(&g->shown_set, attr);
	if (g->shown_ns > attr->ctime_ns)
		attr->ctime_ns = g->shown_ns;
}

/* Rides with writes that are not sent; alone it is as quick without. */
static bool may_gather_set(struct gather *t, const struct gathered *g, const struct fs_request *rq)
{
	bool set_id = (rq->valid & FS_SET_MODE) && (rq->mode & (S_ISUID | S_ISGID));

	return g->now.count > 0 && (rq->valid & ~(uint32_t)FS_GATHERED_VALID) == 0 && !rq->checked && !set_id &&
	       !has_set_id(g) && gathered_is_usable(t, g);
}

static enum gather_verdict try_set(struct gather *t, struct gathered *g, const struct fs_request *rq,
				   struct fs_attr *attr, struct gather_wait *w, struct gather_todo *todo)
{
	if (!may_gather_set(t, g, rq))
		return gathered_is_busy(g) ? wait_for_all(t, g, w, false, todo) : GATHER_PASS;
	MARK("fs.gather.attributes");
	note_since(g);
	merge_set(&g->set, rq);
	merge_set(&g->shown_set, rq);
	g->shown_ns = next_shown_ns(g);
	*attr = g->base;
	return GATHER_DONE;
}

enum gather_verdict gather_set(struct gather *t, const struct fs_request *rq, struct fs_attr *attr, bool aside,
			       struct gather_wait *w)
{
	enum gather_verdict verdict = GATHER_PASS;
	struct gather_todo todo;

	if (is_empty(t))
		return GATHER_PASS;
	todo_init(&todo);
	pthread_mutex_lock(&t->lock);
	struct gathered *g = gathered_find(t, rq->ino);

	if (g)
		verdict = try_set(t, g, rq, attr, w, &todo);
	pthread_mutex_unlock(&t->lock);
	todo_run(t, &todo, aside ? fs_session_submit_aside : fs_session_submit);
	return verdict;
}

enum gather_verdict gather_capability(struct gather *t, uint64_t ino, bool aside, struct gather_wait *w)
{
	bool gone;

	if (is_empty(t))
		return GATHER_PASS;
	pthread_mutex_lock(&t->lock);
	const struct gathered *g = gathered_find(t, ino);

	gone = g && g->now.count > 0 && gathered_is_usable(t, g);
	pthread_mutex_unlock(&t->lock);
	return gone ? GATHER_DONE : gather_hold(t, ino, aside, w);
}

/* ---- everything else ------------------------------------------------------------------------------------ */

static enum gather_verdict try_read(struct gather *t, struct gathered *g, uint64_t offset, uint64_t len,
				    struct buf *out, struct gather_wait *w, struct gather_todo *todo)
{
	const uint8_t *found;
	uint64_t size = max_u64(g->base.size, g->size);

	if (!gathered_is_busy(g))
		return GATHER_PASS;
	if (!gathered_is_usable(t, g))
		return wait_for_all(t, g, w, false, todo);
	len = offset < size ? min_u64(len, size - offset) : 0;
	found = len > 0 ? extents_find(&g->now, offset, len) : NULL;
	if (len == 0 || found) {
		buf_put(out, found, (size_t)len);
		return GATHER_DONE;
	}
	/* The node has all of it. */
	if (offset + len <= g->base.size && !extents_overlap(&g->now, offset, len) &&
	    !batches_overlap(g, offset, offset + len))
		return GATHER_PASS;
	return wait_for_all(t, g, w, false, todo);
}

enum gather_verdict gather_read(struct gather *t, uint64_t ino, uint64_t offset, uint64_t len, struct buf *out,
				bool aside, struct gather_wait *w)
{
	enum gather_verdict verdict = GATHER_PASS;
	struct gather_todo todo;

	if (is_empty(t))
		return GATHER_PASS;
	todo_init(&todo);
	pthread_mutex_lock(&t->lock);
	struct gathered *g = gathered_find(t, ino);

	if (g)
		verdict = try_read(t, g, offset, len, out, w, &todo);
	pthread_mutex_unlock(&t->lock);
	todo_run(t, &todo, aside ? fs_session_submit_aside : fs_session_submit);
	return verdict;
}

static enum gather_verdict hold(struct gather *t, uint64_t ino, bool shown, bool aside, struct gather_wait *w)
{
	enum gather_verdict verdict = GATHER_PASS;
	struct gather_todo todo;

	if (is_empty(t))
		return GATHER_PASS;
	todo_init(&todo);
	pthread_mutex_lock(&t->lock);
	struct gathered *g = gathered_find(t, ino);

	if (g && gathered_is_busy(g) && !(shown && gathered_is_usable(t, g)))
		verdict = wait_for_all(t, g, w, false, &todo);
	pthread_mutex_unlock(&t->lock);
	todo_run(t, &todo, aside ? fs_session_submit_aside : fs_session_submit);
	return verdict;
}

enum gather_verdict gather_hold(struct gather *t, uint64_t ino, bool aside, struct gather_wait *w)
{
	return hold(t, ino, false, aside, w);
}

enum gather_verdict gather_look(struct gather *t, uint64_t ino, bool aside, struct gather_wait *w)
{
	return hold(t, ino, true, aside, w);
}

enum gather_verdict gather_sync(struct gather *t, uint64_t ino, bool last, int *status, bool aside,
				struct gather_wait *w)
{
	enum gather_verdict verdict = GATHER_DONE;
	struct gather_todo todo;

	*status = 0;
	if (is_empty(t))
		return GATHER_DONE;
	todo_init(&todo);
	pthread_mutex_lock(&t->lock);
	struct gathered *g = gathered_find(t, ino);

	if (g && gathered_is_busy(g)) {
		if (last && g->d.number != 0 && !g->recalled && gathered_has_now(g))
			gathered_give_back(t, g, &todo);
		verdict = wait_for_all(t, g, w, true, &todo);
	} else if (g) {
		*status = g->error;
		g->error = 0;
	}
	pthread_mutex_unlock(&t->lock);
	todo_run(t, &todo, aside ? fs_session_submit_aside : fs_session_submit);
	return verdict;
}

void gather_show(struct gather *t, struct fs_attr *attr)
{
	if (is_empty(t))
		return;
	pthread_mutex_lock(&t->lock);
	struct gathered *g = gathered_find(t, attr->ino);

	if (g)
		gathered_learn(g, attr);
	/* Answers may overtake one another; one from before a batch does not know of it. */
	if (g && g->base.ino != 0 && g->base.data_version > attr->data_version)
		*attr = g->base;
	if (g && gathered_is_busy(g))
		show(g, attr);
	pthread_mutex_unlock(&t->lock);
}
