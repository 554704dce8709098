/*
 * lock.c - locks in the state: one row for each, counted for each session, so that a session's end takes them
 * all in its own entry.
 *
 * A lock names (session, owner). An owner's ranges are replaced as a whole: what changed is put, what is no
 * longer there is deleted (lock_range.h). Conflicts are an answer, not an error, since giving up the old flock
 * before waiting for the new one, as Linux does, is a change.
 */
#include "fs/ops/lock.h"

#include "base/mark.h"
#include "fs/ops/inode.h"

/* ---- rows ------------------------------------------------------------------------------------------- */

bool lock_conflicts(const struct lock_row *row, uint64_t session, uint64_t owner, uint8_t type,
		    uint64_t start, uint64_t end)
{
	if (row->session == session && row->owner == owner)
		return false;
	return (type == FS_LOCK_WRITE || row->range.type == FS_LOCK_WRITE) &&
	       lock_range_overlaps(row->range.start, row->range.end, start, end);
}

static int load_row(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *value, size_t len)
{
	struct lock_list *l = ctx;
	struct key_parts k;
	struct lock_rec rec;

	if (key_parse(&k, key, key_len) < 0 || lock_rec_decode(&rec, value, len) < 0)
		return -EUCLEAN;
	if (l->count == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 16;
		l->v = mem_realloc(l->v, l->cap * sizeof(*l->v));
	}
	l->v[l->count++] = (struct lock_row){
		.session = k.session,
		.owner = k.owner,
		.range = { .start = k.start, .end = rec.end, .type = rec.type, .pid = rec.pid },
	};
	return 0;
}

static int load_prefix(struct eval *ev, const struct key *k, size_t prefix_len, struct lock_list *l)
{
	return eval_store_error(kv_txn_scan(ev->txn, k->data, prefix_len, NULL, 0, load_row, l));
}

int lock_load(struct eval *ev, uint64_t ino, uint8_t kind, struct lock_list *l)
{
	struct key k;

	key_lock(&k, ino, kind, 0, 0, 0);
	return load_prefix(ev, &k, KEY_LOCK_KIND_SIZE, l);
}

int lock_count_get(struct eval *ev, uint64_t session, uint64_t ino, uint32_t *count)
{
	struct key k;
	int ret;

	key_holder(&k, session, ino);
	ret = eval_get(ev, &k);
	if (ret == -ENOENT) {
		*count = 0;
		return 0;
	}
	return ret < 0 ? ret : holder_rec_decode(count, ev->row.data, ev->row.len);
}

static int count_move(struct eval *ev, uint64_t session, uint64_t ino, int64_t more)
{
	uint32_t count;
	struct key k;
	int ret = lock_count_get(ev, session, ino, &count);

	if (ret < 0 || more == 0)
		return ret;
	if ((int64_t)count + more < 0)
		return -EUCLEAN;
	count = (uint32_t)((int64_t)count + more);
	key_holder(&k, session, ino);
	if (count == 0) {
		eval_delete(ev, &k);
	} else {
		holder_rec_encode(count, eval_record(ev));
		eval_put(ev, &k);
	}
	return 0;
}

int lock_count_add(struct eval *ev, uint64_t session, uint64_t ino, int64_t more)
{
	int ret = ino != 0 ? count_move(ev, session, ino, more) : 0;

	return ret < 0 ? ret : count_move(ev, session, 0, more);
}

static void put_range(struct eval *ev, uint64_t ino, const struct fs_lock *lock,
		      const struct lock_range *r)
{
	struct lock_rec rec = { .type = r->type, .end = r->end, .pid = r->pid };
	struct key k;

	key_lock(&k, ino, lock->kind, ev->stamp->session_id, lock->owner, r->start);
	lock_rec_encode(&rec, eval_record(ev));
	eval_put(ev, &k);
}

static void delete_range(struct eval *ev, uint64_t ino, const struct fs_lock *lock, uint64_t start)
{
	struct key k;

	key_lock(&k, ino, lock->kind, ev->stamp->session_id, lock->owner, start);
	eval_delete(ev, &k);
}

/* ---- one owner's ranges ----------------------------------------------------------------------------- */

/* The owner's part of l, which is in one piece. */
static size_t find_own(const struct eval *ev, const struct fs_lock *lock, const struct lock_list *l,
		       struct lock_range **own)
{
	size_t count = 0;

	*own = mem_alloc((l->count + 1) * sizeof(**own));
	for (size_t i = 0; i < l->count; i++)
		if (l->v[i].session == ev->stamp->session_id && l->v[i].owner == lock->owner)
			(*own)[count++] = l->v[i].range;
	return count;
}

static const struct lock_range *find_start(const struct lock_range *v, size_t count, uint64_t start)
{
	for (size_t i = 0; i < count; i++)
		if (v[i].start == start)
			return &v[i];
	return NULL;
}

static bool same_range(const struct lock_range *a, const struct lock_range *b)
{
	return a->end == b->end && a->type == b->type && a->pid == b->pid;
}

/* Both ascending. */
static void put_difference(struct eval *ev, uint64_t ino, const struct fs_lock *lock,
			   const struct lock_range *old, size_t old_count,
			   const struct lock_range *new, size_t new_count)
{
	for (size_t i = 0; i < old_count; i++)
		if (!find_start(new, new_count, old[i].start))
			delete_range(ev, ino, lock, old[i].start);
	for (size_t i = 0; i < new_count; i++) {
		const struct lock_range *was = find_start(old, old_count, new[i].start);

		if (!was || !same_range(was, &new[i]))
			put_range(ev, ino, lock, &new[i]);
	}
}

/* -ENOLCK: so many more rows, here or in all of the session, are too many. */
static int may_grow(struct eval *ev, const struct lock_list *l, int64_t more)
{
	uint32_t total;
	int ret;

	if (more <= 0)
		return 0;
	ret = lock_count_get(ev, ev->stamp->session_id, 0, &total);
	if (ret < 0)
		return ret;
	if ((int64_t)l->count + more <= FS_LOCKS_PER_INO && total + more <= FS_LOCKS_PER_SESSION)
		return 0;
	MARK("fs.lock.too-many");
	return -ENOLCK;
}

/* Makes it so: granted, or unlocked. The waiter that it was, if any, is gone. */
static int set_ranges(struct eval *ev, uint64_t ino, const struct fs_lock *lock,
		      const struct lock_list *l)
{
	struct lock_range set = { lock->start, lock->end, lock->type, lock->pid };
	struct lock_range *old, *new;
	size_t old_count = find_own(ev, lock, l, &old), new_count;
	int64_t more, unwaited = 0;
	int ret;

	new = mem_alloc((old_count + 2) * sizeof(*new));
	new_count = lock_range_set(old, old_count, set, new);
	more = (int64_t)new_count - (int64_t)old_count;
	ret = may_grow(ev, l, more);
	if (ret == 0) {
		put_difference(ev, ino, lock, old, old_count, new, new_count);
		ret = lock_waiter_drop(ev, lock, &unwaited);
	}
	if (ret == 0)
		ret = lock_count_add(ev, ev->stamp->session_id, ino, more);
	if (ret == 0)
		ret = lock_count_add(ev, ev->stamp->session_id, 0, -unwaited);
	free(old);
	free(new);
	return ret;
}

/* ---- replies ---------------------------------------------------------------------------------------- */

static int reply(struct eval *ev, uint64_t ino, enum fs_lock_result result)
{
	struct fs_lock_reply rep = { .result = (uint8_t)result,
				     .session = ev->stamp->session_id,
				     .index = ev->stamp->index };
	int ret = lock_count_get(ev, rep.session, ino, &rep.left);

	if (ret == 0)
		fs_lock_reply_encode(&rep, &ev->data);
	return ret;
}

/* ---- operations ------------------------------------------------------------------------------------- */

static int decode(const struct eval *ev, struct fs_lock *lock)
{
	const struct fs_request *rq = ev->rq;

	return fs_lock_decode(lock, rq->data, rq->data_len) < 0 || rq->ino == 0 ? -EINVAL : 0;
}

static const struct lock_row *first_conflict(const struct lock_list *l, const struct fs_lock *lock,
					     uint64_t session)
{
	const struct lock_row *first = NULL;

	for (size_t i = 0; i < l->count; i++)
		if (lock_conflicts(&l->v[i], session, lock->owner, lock->type, lock->start,
				   lock->end) &&
		    (!first || l->v[i].range.start < first->range.start))
			first = &l->v[i];
	return first;
}

/* Linux gives up a flock of another type before it waits for the new one, or fails to get it. */
static int give_up_flock(struct eval *ev, const struct fs_lock *lock, const struct lock_list *l)
{
	for (size_t i = 0; i < l->count; i++) {
		if (l->v[i].session != ev->stamp->session_id || l->v[i].owner != lock->owner)
			continue;
		MARK("fs.lock.flock-given-up");
		delete_range(ev, ev->rq->ino, lock, 0);
		return lock_count_add(ev, ev->stamp->session_id, ev->rq->ino, -1);
	}
	return 0;
}

static int in_the_way(struct eval *ev, const struct fs_lock *lock, const struct lock_list *l)
{
	enum fs_lock_result result = lock->waiter == 0 ? FS_LOCK_CONFLICT : FS_LOCK_WAITS;
	int64_t unwaited = 0;
	int ret = 0;

	if (result == FS_LOCK_WAITS && lock->kind == FS_LOCK_POSIX) {
		ret = lock_deadlocks(ev, lock, l);
		if (ret < 0)
			return ret;
		result = ret == 1 ? FS_LOCK_DEADLOCK : result;
	}
	if (result == FS_LOCK_WAITS)
		ret = lock_waiter_put(ev, lock);
	else
		ret = lock_waiter_drop(ev, lock, &unwaited);
	if (ret == 0)
		ret = lock_count_add(ev, ev->stamp->session_id, 0, -unwaited);
	if (ret == 0 && lock->kind == FS_LOCK_FLOCK)
		ret = give_up_flock(ev, lock, l);
	return ret == 0 ? reply(ev, ev->rq->ino, result) : ret;
}

int eval_setlk(struct eval *ev)
{
	struct lock_list l = { .count = 0 };
	struct fs_lock lock;
	struct inode n;
	int ret = decode(ev, &lock);

	if (ret == 0 && ev->stamp->session_id == 0)
		ret = -EINVAL;
	/* What is gone can be unlocked, but nothing is locked any more. */
	if (ret == 0 && lock.type != FS_LOCK_UNLOCK)
		ret = inode_load(ev, ev->rq->ino, &n);
	if (ret == 0)
		ret = lock_load(ev, ev->rq->ino, lock.kind, &l);
	if (ret < 0)
		goto out;
	if (lock.type != FS_LOCK_UNLOCK && first_conflict(&l, &lock, ev->stamp->session_id)) {
		ret = in_the_way(ev, &lock, &l);
		goto out;
	}
	ret = set_ranges(ev, ev->rq->ino, &lock, &l);
	if (ret == 0)
		ret = reply(ev, ev->rq->ino, FS_LOCK_GRANTED);
out:
	free(l.v);
	return ret;
}

int eval_lock_release(struct eval *ev)
{
	struct lock_list l = { .count = 0 };
	int64_t unwaited = 0;
	struct fs_lock lock;
	struct key k;
	int ret = decode(ev, &lock);

	if (ret < 0)
		return ret;
	key_lock(&k, ev->rq->ino, lock.kind, ev->stamp->session_id, lock.owner, 0);
	ret = load_prefix(ev, &k, KEY_LOCK_OWNER_SIZE, &l);
	for (size_t i = 0; i < l.count && ret == 0; i++)
		delete_range(ev, ev->rq->ino, &lock, l.v[i].range.start);
	if (ret == 0)
		ret = lock_waiters_release(ev, &lock, &unwaited);
	if (ret == 0)
		ret = lock_count_add(ev, ev->stamp->session_id, ev->rq->ino, -(int64_t)l.count);
	if (ret == 0)
		ret = lock_count_add(ev, ev->stamp->session_id, 0, -unwaited);
	free(l.v);
	return ret == 0 ? reply(ev, ev->rq->ino, FS_LOCK_GRANTED) : ret;
}

int eval_lock_cancel(struct eval *ev)
{
	int64_t unwaited = 0;
	struct fs_lock lock;
	int ret = decode(ev, &lock);

	if (ret == 0)
		ret = lock_waiter_drop(ev, &lock, &unwaited);
	return ret == 0 ? lock_count_add(ev, ev->stamp->session_id, 0, -unwaited) : ret;
}

int eval_getlk(struct eval *ev)
{
	struct lock_list l = { .count = 0 };
	const struct lock_row *row;
	struct fs_lock lock;
	int ret = decode(ev, &lock);

	if (ret == 0)
		ret = lock_load(ev, ev->rq->ino, lock.kind, &l);
	row = ret == 0 && lock.type != FS_LOCK_UNLOCK ? first_conflict(&l, &lock, lock.session)
						      : NULL;
	if (row) {
		struct fs_lock found = { .kind = lock.kind,
					 .type = row->range.type,
					 .start = row->range.start,
					 .end = row->range.end,
					 .session = row->session,
					 .owner = row->owner,
					 .pid = row->range.pid };

		fs_lock_encode(&found, &ev->data);
	}
	free(l.v);
	return ret;
}

int eval_lock_wait(struct eval *ev)
{
	struct lock_list l = { .count = 0 };
	struct fs_lock lock;
	int ret = decode(ev, &lock);

	if (ret == 0)
		ret = lock_load(ev, ev->rq->ino, lock.kind, &l);
	if (ret == 0 && first_conflict(&l, &lock, lock.session)) {
		ev->blocked_ino = ev->rq->ino;
		ret = EVAL_BLOCKED;
	}
	free(l.v);
	return ret;
}

/* ---- sessions that end ------------------------------------------------------------------------------ */

struct inos {
	uint64_t *v;
	size_t count, cap;
};

static int list_ino(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *value, size_t len)
{
	struct inos *l = ctx;
	struct key_parts k;

	(void)value;
	(void)len;
	if (key_parse(&k, key, key_len) < 0)
		return -EUCLEAN;
	if (l->count == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 16;
		l->v = mem_realloc(l->v, l->cap * sizeof(*l->v));
	}
	l->v[l->count++] = k.ino; /* 0: the total, which goes as well */
	return 0;
}

static int drop_on_inode(struct eval *ev, uint64_t session, uint64_t ino, uint8_t kind)
{
	struct lock_list l = { .count = 0 };
	struct key k;
	int ret;

	key_lock(&k, ino, kind, session, 0, 0);
	ret = load_prefix(ev, &k, KEY_LOCK_SESSION_SIZE, &l);
	for (size_t i = 0; i < l.count && ret == 0; i++) {
		key_lock(&k, ino, kind, session, l.v[i].owner, l.v[i].range.start);
		eval_delete(ev, &k);
	}
	free(l.v);
	return ret;
}

static int drop_session(struct eval *ev, uint64_t session)
{
	struct inos inos = { .count = 0 };
	struct key k;
	int ret;

	key_holder(&k, session, 0);
	ret = eval_store_error(
		kv_txn_scan(ev->txn, k.data, KEY_INO_SIZE, NULL, 0, list_ino, &inos));
	MARK_IF(inos.count > 0, "fs.lock.lost-with-the-session");
	for (size_t i = 0; i < inos.count && ret == 0; i++) {
		uint64_t ino = inos.v[i];

		if (ino != 0)
			ret = drop_on_inode(ev, session, ino, FS_LOCK_POSIX);
		if (ino != 0 && ret == 0)
			ret = drop_on_inode(ev, session, ino, FS_LOCK_FLOCK);
		key_holder(&k, session, ino);
		eval_delete(ev, &k);
	}
	free(inos.v);
	return ret == 0 ? lock_waiters_gone(ev, session) : ret;
}

int lock_sessions_gone(struct eval *ev, const uint8_t *names, size_t count, size_t *done)
{
	uint64_t rows = 0;

	for (*done = 0; *done < count; ++*done) {
		uint64_t session = load_le64(names + *done * FS_SESSION_NAME_SIZE + KV_UUID_SIZE);
		uint32_t total;
		int ret = lock_count_get(ev, session, 0, &total);

		if (ret < 0)
			return ret;
		rows += total;
		if (rows > FS_LOCKS_PER_SESSION) {
			MARK("fs.lock.sessions-end-in-steps");
			return 0;
		}
		ret = total > 0 ? drop_session(ev, session) : 0;
		if (ret < 0)
			return ret;
	}
	return 0;
}
