/*
 * gather_keep.c - delegations of this mount: asked for, granted, recalled, given back when they are idle, lost; and
 * the thread that sees to what is due. See gather.h.
 */
#include "fs/fuse/gather_internal.h"

#define AGE_MS 1000u       /* nothing is gathered longer */
#define TICK_MS 100u
#define IDLE_MS 1000u      /* of a closed file: then it is given back ... */
#define IDLE_OPEN_MS 5000u /* ... and of an open one */
#define LINGER_MS 2000u    /* answers that were overtaken come no later */
#define COOL_MS 1000u      /* after a recall */
#define STOP_MS 10000u
#define INODES_MAX 8192u   /* with more no new file is asked for with a delegation */
#define RETURN_SIZE 16u

bool gathered_is_usable(struct gather *t, const struct gathered *g)
{
	return g->d.number != 0 && !g->recalled && !g->leaving && g->base.ino != 0 &&
	       fs_session_is_fresh(t->session, g->d.session, FS_DELEGATION_LEASE_MS);
}

void gathered_learn(struct gathered *g, const struct fs_attr *attr)
{
	if (g->base.ino == 0 || attr->data_version > g->base.data_version ||
	    (attr->data_version == g->base.data_version && attr->ctime_ns >= g->base.ctime_ns))
		g->base = *attr;
}

/* Are keep-alives still needed soon? */
static void tell_session(struct gather *t)
{
	bool held = false;

	list_for_each (it, &t->all)
		held = held || list_entry(it, struct gathered, link)->d.number != 0;
	fs_session_set_brisk(t->session, held);
}

/* ---- asking -------------------------------------------------------------------------------------------------- */

static bool may_ask(struct gather *t)
{
	return t->enabled && t->running && !t->stopping && atomic_load(&t->count) < INODES_MAX;
}

/* One write alone gains nothing from it. */
static bool is_worth_it(struct gathered *g)
{
	uint64_t now_ms = clock_boot_ms();
	bool again = g->written && now_ms < g->used_ms + AGE_MS;

	g->written = true;
	g->used_ms = now_ms;
	return again && g->d.number == 0 && !g->leaving && now_ms >= g->cool_ms;
}

uint64_t gather_ask(struct gather *t, uint64_t ino)
{
	uint64_t bytes = 0;

	if (!t->enabled)
		return 0;
	pthread_mutex_lock(&t->lock);
	if (may_ask(t) && ino == 0) {
		atomic_fetch_add(&t->creates, 1);
		bytes = GATHER_ASK;
	} else if (may_ask(t)) {
		struct gathered *g = gathered_find_or_add(t, ino);

		if (is_worth_it(g)) {
			g->asks++;
			bytes = GATHER_ASK;
		}
	}
	pthread_mutex_unlock(&t->lock);
	return bytes;
}

static void granted(struct gather *t, const struct fs_reply *reply)
{
	struct gathered *g = gathered_find_or_add(t, reply->attr.ino);

	/* Told once more, or given back meanwhile. */
	if (reply->delegation.number <= g->dead || g->d.number != 0)
		return;
	g->d = reply->delegation;
	g->recalled = false;
	g->reserved_index = reply->index;
	g->used_ms = clock_boot_ms();
	gathered_learn(g, &reply->attr);
	g->leader_ns = reply->attr.ctime_ns;
	g->base_ns = clock_boot_ns();
	fs_session_set_brisk(t->session, true);
}

void gather_asked(struct gather *t, uint64_t ino, const struct fs_reply *reply)
{
	pthread_mutex_lock(&t->lock);
	struct gathered *g = ino != 0 ? gathered_find(t, ino) : NULL;

	if (reply && reply->has_attr && reply->delegation.number != 0)
		granted(t, reply);
	if (g)
		g->asks--;
	else
		atomic_fetch_sub(&t->creates, 1);
	pthread_mutex_unlock(&t->lock);
}

/* ---- giving back ---------------------------------------------------------------------------------------------- */

/* Those that go together, in one entry. */
struct parting {
	struct gather *table;
	struct buf names; /* ino, number */
};

static void parting_send(struct parting *p);

static void parted(void *ctx, int status, const struct fs_reply *reply)
{
	struct parting *p = ctx;
	struct gather *t = p->table;

	(void)reply;
	pthread_mutex_lock(&t->lock);
	bool again = status == -ETIMEDOUT && !t->stopping;

	for (size_t off = 0; off < p->names.len && !again; off += RETURN_SIZE) {
		struct gathered *g = gathered_find(t, load_le64(p->names.data + off));

		if (g)
			g->leaving = false;
	}
	pthread_mutex_unlock(&t->lock);
	if (again) {
		parting_send(p);
		return;
	}
	buf_release(&p->names);
	free(p);
}

static void parting_send(struct parting *p)
{
	struct fs_request rq = {
		.op = FS_DELEGATION_RETURN, .data = p->names.data, .data_len = p->names.len
	};
	int ret = fs_session_submit_aside(p->table->session, &rq, 0, parted, p, NULL);

	if (ret < 0)
		parted(p, ret, NULL);
}

static void parting_add(struct parting **p, struct gather *t, uint64_t ino, uint64_t number)
{
	if (!*p) {
		*p = mem_calloc(1, sizeof(**p));
		(*p)->table = t;
	}
	buf_put_le64(&(*p)->names, ino);
	buf_put_le64(&(*p)->names, number);
}

/* Of a delegation that nobody here knows: its answer never came, or was for somebody who had given up. */
static void recall_unknown(struct gather *t, struct gathered *g, uint64_t ino, uint64_t number, struct parting **p)
{
	bool may_come = atomic_load(&t->creates) > 0 || (g && (g->asks > 0 || g->leaving));

	MARK_IF(may_come, "fs.gather.recalled-before-it-is-known");
	if (!may_come)
		parting_add(p, t, ino, number);
}

void gather_recall(struct gather *t, uint64_t ino, uint64_t number)
{
	struct parting *p = NULL;
	struct gather_todo todo;

	todo_init(&todo);
	pthread_mutex_lock(&t->lock);
	struct gathered *g = gathered_find(t, ino);

	if (!t->running) {
		/* nobody serves yet, or any more: the session tells that itself */
	} else if (!g || g->d.number != number) {
		recall_unknown(t, g, ino, number, &p);
	} else {
		g->cool_ms = clock_boot_ms() + COOL_MS;
		if (!g->recalled)
			gathered_give_back(t, g, &todo);
	}
	pthread_mutex_unlock(&t->lock);
	if (p)
		parting_send(p);
	todo_run(t, &todo, fs_session_submit_aside);
}

void gather_lost(struct gather *t, uint64_t session_id)
{
	struct gather_todo todo;

	todo_init(&todo);
	pthread_mutex_lock(&t->lock);
	list_for_each (it, &t->all) {
		struct gathered *g = list_entry(it, struct gathered, link);

		if (g->d.number != 0 && g->d.session == session_id)
			gathered_lose(t, g, &todo);
	}
	pthread_mutex_unlock(&t->lock);
	todo_run(t, &todo, fs_session_submit_aside);
}

/* ---- the thread -------------------------------------------------------------------------------------------------- */

static void end_killed(struct list *waits, struct gather_todo *todo)
{
	list_for_each_safe (it, waits) {
		struct gather_wait *w = list_entry(it, struct gather_wait, node);

		if (!w->killed(w))
			continue;
		list_del(it);
		w->status = -EINTR;
		list_add_tail(&todo->done, it);
	}
}

static bool is_idle(struct gather *t, const struct gathered *g, uint64_t now_ms)
{
	return !gathered_is_busy(g) && g->asks == 0 && !g->leaving &&
	       now_ms >= g->used_ms + (t->is_open(t->ctx, g->ino) ? IDLE_OPEN_MS : IDLE_MS);
}

/* False: it has gone. */
static bool look(struct gather *t, struct gathered *g, uint64_t now_ms, struct gather_todo *todo, struct parting **p)
{
	bool full = *p && (*p)->names.len >= FS_DELEGATIONS_AT_ONCE * RETURN_SIZE;

	end_killed(&g->waits, todo);
	if (gathered_has_now(g) && now_ms >= g->since_ms + AGE_MS)
		batch_seal(t, g, 0);
	batch_take_ready(g, todo);
	if (!is_idle(t, g, now_ms))
		return true;
	if (g->d.number != 0 && !full) {
		parting_add(p, t, g->ino, g->d.number);
		g->dead = g->d.number;
		g->d.number = 0;
		g->leaving = true;
		return true;
	}
	/* An error waits for whoever has the file open. */
	if (g->d.number != 0 || !list_empty(&g->waits) || now_ms < g->used_ms + LINGER_MS ||
	    (g->error != 0 && t->is_open(t->ctx, g->ino)))
		return true;
	gathered_free(t, g);
	return false;
}

void gather_tick(struct gather *t)
{
	uint64_t now_ms = clock_boot_ms();
	struct parting *p = NULL;
	struct gather_todo todo;

	todo_init(&todo);
	pthread_mutex_lock(&t->lock);
	end_killed(&t->starved, &todo);
	list_for_each_safe (it, &t->all)
		look(t, list_entry(it, struct gathered, link), now_ms, &todo, &p);
	tell_session(t);
	pthread_mutex_unlock(&t->lock);
	if (p)
		parting_send(p);
	todo_run(t, &todo, fs_session_submit_aside);
}

static void sleep_ms(struct gather *t, uint64_t ms)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_nsec += (long)(ms * 1000000);
	ts.tv_sec += ts.tv_nsec / 1000000000;
	ts.tv_nsec %= 1000000000;
	pthread_cond_timedwait(&t->changed, &t->lock, &ts);
}

static bool any_is_busy(const struct gather *t)
{
	list_for_each (it, &t->all)
		if (gathered_is_busy(list_entry(it, struct gathered, link)))
			return true;
	return false;
}

/* Whatever is left, and for as long as it makes sense to wait for. Lock held; let go meanwhile. */
static void send_the_rest(struct gather *t)
{
	uint64_t until_ms = clock_boot_ms() + STOP_MS;
	struct gather_todo todo;

	todo_init(&todo);
	list_for_each (it, &t->all) {
		struct gathered *g = list_entry(it, struct gathered, link);

		if (g->d.number != 0 && !g->recalled)
			gathered_give_back(t, g, &todo);
	}
	pthread_mutex_unlock(&t->lock);
	todo_run(t, &todo, fs_session_submit);
	pthread_mutex_lock(&t->lock);
	while (any_is_busy(t) && clock_boot_ms() < until_ms)
		sleep_ms(t, TICK_MS);
	if (any_is_busy(t))
		log_error("fuse", "nobody takes the last writes: they are lost bytes=%llu", (unsigned long long)t->bytes);
}

static void *gather_main(void *arg)
{
	struct gather *t = arg;

	pthread_mutex_lock(&t->lock);
	while (!t->stopping) {
		if (atomic_load(&t->count) == 0) {
			pthread_cond_wait(&t->changed, &t->lock);
			continue;
		}
		pthread_mutex_unlock(&t->lock);
		gather_tick(t);
		pthread_mutex_lock(&t->lock);
		if (!t->stopping)
			sleep_ms(t, TICK_MS);
	}
	send_the_rest(t);
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

void gather_attach(struct gather *t, struct fs_session *session, bool (*is_open)(void *ctx, uint64_t ino), void *ctx)
{
	t->session = session;
	t->is_open = is_open;
	t->ctx = ctx;
	t->running = t->enabled;
}

int gather_start(struct gather *t, struct fs_session *session, bool (*is_open)(void *ctx, uint64_t ino), void *ctx)
{
	int ret;

	gather_attach(t, session, is_open, ctx); /* no request comes before */
	if (!t->enabled)
		return 0;
	ret = -pthread_create(&t->thread, NULL, gather_main, t);
	t->running = ret == 0;
	return ret;
}

void gather_stop(struct gather *t)
{
	if (!t->running)
		return;
	pthread_mutex_lock(&t->lock);
	t->stopping = true;
	pthread_cond_signal(&t->changed);
	pthread_mutex_unlock(&t->lock);
	pthread_join(t->thread, NULL);
	pthread_mutex_lock(&t->lock);
	t->running = false;
	pthread_mutex_unlock(&t->lock);
}
