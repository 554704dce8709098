/*
 * lock_wait.c - who waits for a lock, and whether he would wait for ever.
 *
 * A waiter row names what is waited for. Whom that is waiting for follows from the locks: so the graph is never
 * out of date, and rows of waiters whose way is free have no edges. A waiter tries again now and then, so a
 * circle that another's new lock has closed is found as well.
 */
#include "base/mark.h"
#include "fs/ops/lock.h"

#define GRAPH_MAX 1024u /* owners looked at; a longer chain is taken for none that closes */
#define WAITER_OWNER_SIZE (KEY_WAITER_SIZE - 8u) /* prefix of one owner's waiters */

struct owner {
	uint64_t session, owner;
};

struct graph {
	struct owner *v; /* seen; those from `next` on have not been followed */
	size_t count, next;
};

static void graph_add(struct graph *g, const struct lock_row *row)
{
	for (size_t i = 0; i < g->count; i++)
		if (g->v[i].session == row->session && g->v[i].owner == row->owner)
			return;
	MARK_IF(g->count == GRAPH_MAX, "fs.lock.graph-too-large");
	if (g->count < GRAPH_MAX)
		g->v[g->count++] = (struct owner){ row->session, row->owner };
}

/* Who holds what the owner wants. */
static void graph_add_blockers(struct graph *g, const struct lock_list *l, struct owner who,
			       const struct waiter_rec *wants)
{
	for (size_t i = 0; i < l->count; i++)
		if (lock_conflicts(&l->v[i], who.session, who.owner, wants->type, wants->start,
				   wants->end))
			graph_add(g, &l->v[i]);
}

struct waits {
	struct waiter_rec *v;
	struct key_parts *keys; /* rest unset */
	size_t count, cap;
};

static int load_wait(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *value,
		     size_t len)
{
	struct waits *w = ctx;
	struct waiter_rec rec;
	struct key_parts k;

	if (key_parse(&k, key, key_len) < 0 || waiter_rec_decode(&rec, value, len) < 0)
		return -EUCLEAN;
	if (w->count == w->cap) {
		w->cap = w->cap ? 2 * w->cap : 4;
		w->v = mem_realloc(w->v, w->cap * sizeof(*w->v));
		w->keys = mem_realloc(w->keys, w->cap * sizeof(*w->keys));
	}
	k.rest = NULL;
	w->keys[w->count] = k;
	w->v[w->count++] = rec;
	return 0;
}

static void waits_release(struct waits *w)
{
	free(w->v);
	free(w->keys);
}

/* prefix_len: KEY_INO_SIZE for all of the session, WAITER_OWNER_SIZE for the owner's. */
static int waits_load(struct eval *ev, uint64_t session, uint64_t owner, size_t prefix_len,
		      struct waits *w)
{
	struct key k;

	key_waiter(&k, session, owner, 0);
	return eval_store_error(kv_txn_scan(ev->txn, k.data, prefix_len, NULL, 0, load_wait, w));
}

/* Everybody whom `who` waits for. */
static int graph_follow(struct eval *ev, struct graph *g, struct owner who)
{
	struct waits w = { .count = 0 };
	int ret = waits_load(ev, who.session, who.owner, WAITER_OWNER_SIZE, &w);

	for (size_t i = 0; i < w.count && ret == 0; i++) {
		struct lock_list l = { .count = 0 };

		if (w.v[i].kind == FS_LOCK_POSIX)
			ret = lock_load(ev, w.v[i].ino, FS_LOCK_POSIX, &l);
		if (ret == 0)
			graph_add_blockers(g, &l, who, &w.v[i]);
		free(l.v);
	}
	waits_release(&w);
	return ret;
}

int lock_deadlocks(struct eval *ev, const struct fs_lock *lock, const struct lock_list *l)
{
	struct owner self = { ev->stamp->session_id, lock->owner };
	struct waiter_rec wants = { .type = lock->type, .start = lock->start, .end = lock->end };
	struct graph g = { .v = mem_calloc(GRAPH_MAX, sizeof(*g.v)) };
	int ret = 0;

	graph_add_blockers(&g, l, self, &wants);
	while (ret == 0 && g.next < g.count) {
		struct owner who = g.v[g.next++];

		if (who.session == self.session && who.owner == self.owner)
			ret = 1;
		else
			ret = graph_follow(ev, &g, who);
	}
	MARK_IF(ret == 1, "fs.lock.deadlock");
	free(g.v);
	return ret;
}

/* ---- rows ------------------------------------------------------------------------------------------- */

int lock_waiter_put(struct eval *ev, const struct fs_lock *lock)
{
	struct waiter_rec rec = { .kind = lock->kind,
				  .type = lock->type,
				  .ino = ev->rq->ino,
				  .start = lock->start,
				  .end = lock->end };
	uint32_t total;
	struct key k;
	int ret;

	key_waiter(&k, ev->stamp->session_id, lock->owner, lock->waiter);
	ret = eval_get(ev, &k);
	if (ret != -ENOENT)
		return ret; /* it waits already */
	ret = lock_count_get(ev, ev->stamp->session_id, 0, &total);
	if (ret < 0)
		return ret;
	if (total >= FS_LOCKS_PER_SESSION)
		return -ENOLCK;
	waiter_rec_encode(&rec, eval_record(ev));
	eval_put(ev, &k);
	return lock_count_add(ev, ev->stamp->session_id, 0, 1);
}

int lock_waiter_drop(struct eval *ev, const struct fs_lock *lock, int64_t *removed)
{
	struct key k;
	int ret;

	if (lock->waiter == 0)
		return 0;
	key_waiter(&k, ev->stamp->session_id, lock->owner, lock->waiter);
	ret = eval_get(ev, &k);
	if (ret < 0)
		return ret == -ENOENT ? 0 : ret;
	eval_delete(ev, &k);
	++*removed;
	return 0;
}

int lock_waiters_release(struct eval *ev, const struct fs_lock *lock, int64_t *removed)
{
	struct waits w = { .count = 0 };
	int ret = waits_load(ev, ev->stamp->session_id, lock->owner, WAITER_OWNER_SIZE, &w);

	for (size_t i = 0; i < w.count && ret == 0; i++) {
		struct key k;

		if (w.v[i].ino != ev->rq->ino || w.v[i].kind != lock->kind)
			continue;
		key_waiter(&k, ev->stamp->session_id, lock->owner, w.keys[i].start);
		eval_delete(ev, &k);
		++*removed;
	}
	waits_release(&w);
	return ret;
}

int lock_waiters_gone(struct eval *ev, uint64_t session)
{
	struct waits w = { .count = 0 };
	int ret = waits_load(ev, session, 0, KEY_INO_SIZE, &w);

	for (size_t i = 0; i < w.count && ret == 0; i++) {
		struct key k;

		key_waiter(&k, session, w.keys[i].owner, w.keys[i].start);
		eval_delete(ev, &k);
	}
	waits_release(&w);
	return ret;
}
