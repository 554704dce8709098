/* delegation.c - see delegation.h. */
#include "fs/ops/delegation.h"

#include "base/mark.h"
#include "fs/ops/file.h"

#define ROOM_FACTOR 3u /* a byte is written to the log, to the WAL and to the state */
#define RETURN_SIZE 16u

/* ---- what is delegated in all ----------------------------------------------------------------------- */

struct totals {
	struct delegated *v;
	size_t count;
	uint64_t bytes; /* of all */
	uint64_t delegations;
};

static int totals_load(struct eval *ev, struct totals *t)
{
	struct key k;
	int ret, count;

	*t = (struct totals){ .count = 0 };
	key_ino(&k, KEY_DELEGATION, 0);
	ret = eval_get(ev, &k);
	if (ret < 0)
		return ret == -ENOENT ? 0 : ret;
	count = delegated_rec_count(ev->row.data, ev->row.len);
	if (count < 0)
		return count;
	t->v = mem_calloc((size_t)count, sizeof(*t->v));
	for (; t->count < (size_t)count; t->count++) {
		t->v[t->count] = delegated_at(ev->row.data, t->count);
		t->bytes += t->v[t->count].bytes;
		t->delegations += t->v[t->count].count;
	}
	return 0;
}

static struct delegated *totals_of(const struct totals *t, uint64_t session)
{
	for (size_t i = 0; i < t->count; i++)
		if (t->v[i].session == session)
			return &t->v[i];
	return NULL;
}

static void totals_store(struct eval *ev, const struct totals *t)
{
	struct buf *out = eval_record(ev);
	size_t left = 0;
	struct key k;

	key_ino(&k, KEY_DELEGATION, 0);
	delegated_rec_begin(out);
	for (size_t i = 0; i < t->count; i++) {
		if (t->v[i].count == 0)
			continue;
		delegated_encode(&t->v[i], out);
		left++;
	}
	if (left > 0)
		eval_put(ev, &k);
	else
		eval_delete(ev, &k);
}

/* The session has so many more, or fewer, which reserve so many more bytes. */
static int totals_move(struct eval *ev, uint64_t session, int count, int64_t bytes)
{
	struct delegated *d;
	struct totals t;
	int ret = totals_load(ev, &t);

	if (ret < 0)
		return ret;
	d = totals_of(&t, session);
	if (!d) {
		t.v = mem_realloc(t.v, (t.count + 1) * sizeof(*t.v));
		d = &t.v[t.count++];
		*d = (struct delegated){ .session = session };
	}
	if ((int64_t)d->count + count < 0 || (int64_t)d->bytes + bytes < 0) {
		free(t.v);
		return -EUCLEAN;
	}
	d->count = (uint32_t)((int64_t)d->count + count);
	d->bytes = (uint64_t)((int64_t)d->bytes + bytes);
	totals_store(ev, &t);
	free(t.v);
	return 0;
}

int delegation_leaves_room(struct eval *ev)
{
	uint64_t room = ev->stamp->room_bytes;
	struct totals t;
	int ret;

	if (room >= ROOM_FACTOR * FS_DELEGATED_BYTES_MAX)
		return 0;
	ret = totals_load(ev, &t);
	free(t.v);
	if (ret < 0 || t.bytes == 0 || room >= ROOM_FACTOR * t.bytes)
		return ret;
	MARK("fs.delegation.room-is-reserved");
	return -ENOSPC;
}

/* ---- one row ------------------------------------------------------------------------------------------ */

static int load(struct eval *ev, uint64_t ino, struct fs_delegation *d)
{
	struct key k;
	int ret;

	key_ino(&k, KEY_DELEGATION, ino);
	ret = eval_get(ev, &k);
	if (ret == 0)
		ret = delegation_rec_decode(d, ev->row.data, ev->row.len);
	return ret == -ENOENT ? -EUCLEAN : ret; /* the inode says that there is one */
}

static void store(struct eval *ev, uint64_t ino, const struct fs_delegation *d)
{
	struct key k;

	key_ino(&k, KEY_DELEGATION, ino);
	delegation_rec_encode(d, eval_record(ev));
	eval_put(ev, &k);
}

/* What looks at the delegation itself, or is the leader's own and shows nobody anything. */
static bool passes_all(uint8_t op)
{
	return fs_op_is_internal(op) || op == FS_GATHERED || op == FS_DELEGATION_RETURN || op == FS_SESSION_BEGIN;
}

int delegation_pass(struct eval *ev, const struct inode *n)
{
	struct fs_delegation d;
	int ret;

	if (passes_all(ev->rq->op))
		return 0;
	ret = load(ev, n->ino, &d);
	if (ret < 0 || d.session == ev->stamp->session_id)
		return ret;
	MARK("fs.delegation.blocks");
	ev->blocked_ino = n->ino;
	ev->blocked_by = d;
	return EVAL_BLOCKED;
}

static int add(struct eval *ev, struct inode *n, uint64_t bytes)
{
	struct fs_delegation d = { .session = ev->stamp->session_id, .number = ev->stamp->index, .bytes = bytes };
	int ret;

	n->rec.flags |= INODE_DELEGATED;
	ret = inode_store(ev, n);
	if (ret < 0)
		return ret;
	store(ev, n->ino, &d);
	ret = totals_move(ev, d.session, 1, (int64_t)bytes);
	if (ret == 0)
		ev->reply.delegation = d;
	return ret;
}

int delegation_grant(struct eval *ev, struct inode *n)
{
	const struct fs_stamp *stamp = ev->stamp;
	uint64_t bytes = min_u64(ev->rq->size, FS_DELEGATION_BYTES_MAX);
	const struct delegated *own;
	struct totals t;
	bool room;
	int ret;

	if (bytes == 0 || stamp->session_id == 0 || ev->rq->checked || stamp->no_delegation)
		return 0;
	if (n->rec.flags & INODE_DELEGATED) /* its own, of which it may never have heard */
		return load(ev, n->ino, &ev->reply.delegation);
	ret = totals_load(ev, &t);
	if (ret < 0)
		return ret;
	own = totals_of(&t, stamp->session_id);
	room = t.bytes + bytes <= FS_DELEGATED_BYTES_MAX && ROOM_FACTOR * (t.bytes + bytes) <= stamp->room_bytes &&
	       t.delegations < DELEGATIONS_MAX && (!own || own->count < FS_DELEGATIONS_PER_SESSION);
	free(t.v);
	MARK_IF(!room, "fs.delegation.not-granted");
	return room ? add(ev, n, bytes) : 0;
}

int delegation_end(struct eval *ev, struct inode *n)
{
	struct fs_delegation d;
	struct key k;
	int ret = load(ev, n->ino, &d);

	if (ret < 0)
		return ret;
	key_ino(&k, KEY_DELEGATION, n->ino);
	eval_delete(ev, &k);
	n->rec.flags &= (uint8_t)~INODE_DELEGATED;
	ev->frees = true;
	return totals_move(ev, d.session, -1, -(int64_t)d.bytes);
}

/* ---- what was gathered --------------------------------------------------------------------------------- */

/* Is every extent what it should be? *end: where the last one in the file ends; *len: bytes of all. */
static bool extents_are_sane(const struct fs_request *rq, uint64_t *end, uint64_t *len)
{
	const uint8_t *data = rq->data;
	size_t left = rq->data_len, count = 0;
	struct fs_extent e;

	*end = *len = 0;
	while (left > 0) {
		if (!fs_extent_next(&data, &left, &e) || e.len == 0 || e.offset > KV_FILE_SIZE_MAX ||
		    e.len > KV_FILE_SIZE_MAX - e.offset || ++count > FS_GATHERED_EXTENTS_MAX)
			return false;
		*end = max_u64(*end, e.offset + e.len);
		*len += e.len;
	}
	return *len <= FS_IO_MAX;
}

/* As the holder has shown it, where that moves forward and is not ahead of the leader's. */
static int64_t shown_time(const struct eval *ev, int64_t old_ns, int64_t new_ns)
{
	int64_t shown_ns = (int64_t)ev->rq->offset;

	return shown_ns > old_ns && shown_ns < new_ns ? shown_ns : new_ns;
}

static int put_extents(struct eval *ev, struct inode *n)
{
	int64_t old_ns = n->rec.mtime_ns;
	const uint8_t *data = ev->rq->data;
	size_t left = ev->rq->data_len;
	struct fs_extent e;
	int ret = 0;

	while (ret == 0 && fs_extent_next(&data, &left, &e))
		ret = file_put(ev, n, e.offset, e.data, e.len);
	if (ret < 0)
		return ret;
	inode_touch_data(ev, n);
	n->rec.mtime_ns = shown_time(ev, old_ns, n->rec.mtime_ns);
	return inode_kill_priv(ev, n, false);
}

/* The bytes first: what was set after them has the last word on times and mode. */
static int put_all(struct eval *ev, struct inode *n, uint64_t len)
{
	int64_t old_ns = n->rec.ctime_ns;
	int ret = len > 0 ? put_extents(ev, n) : 0;

	if (ret == 0 && ev->rq->valid != 0) {
		MARK("fs.delegation.attributes-gathered");
		ret = inode_set(ev, n);
		inode_touch(ev, n);
	}
	n->rec.ctime_ns = shown_time(ev, old_ns, n->rec.ctime_ns);
	return ret;
}

/* While room is short nothing is reserved anew for what has been used. */
static int use_up(struct eval *ev, const struct inode *n, struct fs_delegation *d, uint64_t len)
{
	uint64_t used = min_u64(len, d->bytes);
	struct totals t;
	int ret = totals_load(ev, &t);

	free(t.v);
	if (ret < 0 || used == 0 || ROOM_FACTOR * t.bytes <= ev->stamp->room_bytes)
		return ret;
	MARK("fs.delegation.used-up");
	d->bytes -= used;
	store(ev, n->ino, d);
	return totals_move(ev, d->session, 0, -(int64_t)used);
}

/* The holder has more to gather than was reserved. What there is no room for it does without. */
static int reserve_more(struct eval *ev, const struct inode *n, struct fs_delegation *d)
{
	uint64_t bytes = min_u64(ev->rq->size, FS_DELEGATION_BYTES_MAX), more = bytes > d->bytes ? bytes - d->bytes : 0;
	struct totals t;
	int ret;

	if (more == 0 || ev->stamp->no_delegation)
		return 0;
	ret = totals_load(ev, &t);
	free(t.v);
	if (ret < 0 || t.bytes + more > FS_DELEGATED_BYTES_MAX || ROOM_FACTOR * (t.bytes + more) > ev->stamp->room_bytes)
		return ret;
	d->bytes = bytes;
	store(ev, n->ino, d);
	return totals_move(ev, d->session, 0, (int64_t)more);
}

/* The inode, if this session has that delegation of it: else -EKEYREVOKED. */
static int load_held(struct eval *ev, uint64_t ino, uint64_t number, struct inode *n, struct fs_delegation *d)
{
	int ret = inode_load_any(ev, ino, n);

	if (ret < 0)
		return ret == -ESTALE ? -EKEYREVOKED : ret;
	if (!(n->rec.flags & INODE_DELEGATED))
		return -EKEYREVOKED;
	ret = load(ev, ino, d);
	if (ret < 0)
		return ret;
	/* The leader's own requests are of no session. */
	if (d->number != number || (d->session != ev->stamp->session_id && ev->rq->op != FS_DELEGATION_REVOKE))
		return -EKEYREVOKED;
	return 0;
}

int eval_gathered(struct eval *ev)
{
	const struct fs_request *rq = ev->rq;
	bool ends = rq->flags & FS_GATHERED_RETURN;
	struct fs_delegation d;
	uint64_t end, len;
	struct inode n;
	int ret;

	if (!extents_are_sane(rq, &end, &len) || (rq->valid & ~(uint32_t)FS_GATHERED_VALID) ||
	    (len == 0 && rq->valid == 0 && !ends))
		return -EINVAL;
	ret = load_held(ev, rq->ino, rq->ino2, &n, &d);
	MARK_IF(ret == -EKEYREVOKED, "fs.delegation.flush-refused");
	if (ret < 0)
		return ret;
	if (len > 0 && file_grows_into_stale(ev, &n, end))
		return EVAL_BLOCKED;
	ev->reply.old_data_version = n.rec.data_version;
	ev->reply.count = len;
	ret = put_all(ev, &n, len);
	if (ret == 0 && len > 0 && !ends)
		ret = use_up(ev, &n, &d, len);
	if (ret == 0 && !ends)
		ret = reserve_more(ev, &n, &d);
	if (ret == 0 && ends)
		ret = delegation_end(ev, &n);
	if (ret == 0)
		ret = inode_store(ev, &n);
	if (ret < 0)
		return ret;
	if (!ends)
		ev->reply.delegation = d;
	inode_reply(ev, &n);
	return 0;
}

int eval_delegation_return(struct eval *ev)
{
	const struct fs_request *rq = ev->rq;
	const uint8_t *p = rq->data;
	size_t count = rq->data_len / RETURN_SIZE;

	if (rq->data_len % RETURN_SIZE != 0 || count > FS_DELEGATIONS_AT_ONCE)
		return -EINVAL;
	for (; count > 0; count--, p += RETURN_SIZE) {
		struct fs_delegation d;
		struct inode n;
		int ret = load_held(ev, load_le64(p), load_le64(p + 8), &n, &d);

		if (ret == -EKEYREVOKED)
			continue;
		MARK_IF(ret == 0 && rq->op == FS_DELEGATION_REVOKE, "fs.delegation.revoked");
		if (ret == 0)
			ret = delegation_end(ev, &n);
		if (ret == 0)
			ret = inode_store(ev, &n);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* ---- sessions that end ---------------------------------------------------------------------------------- */

struct gone {
	const uint8_t *names;
	size_t count;
	uint64_t *inos;
	size_t ino_count;
};

static bool is_gone(const struct gone *g, uint64_t session)
{
	for (size_t i = 0; i < g->count; i++)
		if (load_le64(g->names + i * FS_SESSION_NAME_SIZE + KV_UUID_SIZE) == session)
			return true;
	return false;
}

static int list_gone(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *value, size_t len)
{
	struct gone *g = ctx;
	struct fs_delegation d;
	struct key_parts k;

	if (key_parse(&k, key, key_len) < 0)
		return -EUCLEAN;
	if (k.ino == 0)
		return 0; /* the totals */
	if (delegation_rec_decode(&d, value, len) < 0)
		return -EUCLEAN;
	if (is_gone(g, d.session)) {
		g->inos = mem_realloc(g->inos, (g->ino_count + 1) * sizeof(*g->inos));
		g->inos[g->ino_count++] = k.ino;
	}
	return 0;
}

/* Has any of them one? Mostly not. */
static int any_has(struct eval *ev, const struct gone *g)
{
	struct totals t;
	int ret = totals_load(ev, &t), found = 0;

	for (size_t i = 0; ret == 0 && i < t.count; i++)
		found = found || is_gone(g, t.v[i].session);
	free(t.v);
	return ret < 0 ? ret : found;
}

int delegation_sessions_gone(struct eval *ev, const uint8_t *names, size_t count)
{
	static const uint8_t class = KEY_DELEGATION;
	struct gone g = { .names = names, .count = count };
	int ret = any_has(ev, &g);

	if (ret <= 0)
		return ret;
	ret = eval_store_error(kv_txn_scan(ev->txn, &class, KEY_CLASS_SIZE, NULL, 0, list_gone, &g));
	MARK_IF(g.ino_count > 0, "fs.delegation.lost-with-the-session");
	for (size_t i = 0; i < g.ino_count && ret == 0; i++) {
		struct inode n;

		ret = inode_load_any(ev, g.inos[i], &n);
		if (ret == 0)
			ret = delegation_end(ev, &n);
		if (ret == 0)
			ret = inode_store(ev, &n);
		ret = ret == -ESTALE ? -EUCLEAN : ret;
	}
	free(g.inos);
	return ret;
}

/* ---- fs_check() ------------------------------------------------------------------------------------------- */

struct delegation_check {
	struct totals t; /* counted down by every row */
	struct buf *out;
	unsigned problems;
};

#define ULL(v) ((unsigned long long)(v))

static void problem(struct delegation_check *c, const char *what, uint64_t number)
{
	c->problems++;
	buf_printf(c->out, "delegation: %s %llu\n", what, ULL(number));
}

static void see_totals(struct delegation_check *c, const uint8_t *value, size_t len)
{
	int count = delegated_rec_count(value, len);

	if (count < 0) {
		problem(c, "the totals do not decode, bytes", len);
		return;
	}
	c->t.v = mem_calloc((size_t)count, sizeof(*c->t.v));
	for (; c->t.count < (size_t)count; c->t.count++)
		c->t.v[c->t.count] = delegated_at(value, c->t.count);
}

static int see(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *value, size_t len)
{
	struct delegation_check *c = ctx;
	struct fs_delegation rec;
	struct delegated *d;
	struct key_parts k;

	if (key_parse(&k, key, key_len) < 0)
		return 0; /* told already */
	if (k.ino == 0) { /* comes first */
		see_totals(c, value, len);
		return 0;
	}
	if (delegation_rec_decode(&rec, value, len) < 0) {
		problem(c, "the record does not decode, inode", k.ino);
		return 0;
	}
	d = totals_of(&c->t, rec.session);
	if (!d || d->count == 0 || d->bytes < rec.bytes) {
		problem(c, "not counted, inode", k.ino);
		return 0;
	}
	d->count--;
	d->bytes -= rec.bytes;
	return 0;
}

int delegation_check(struct kv_txn *txn, struct buf *out, unsigned *problems)
{
	static const uint8_t class = KEY_DELEGATION;
	struct delegation_check c = { .out = out };
	int ret = kv_txn_scan(txn, &class, KEY_CLASS_SIZE, NULL, 0, see, &c);

	for (size_t i = 0; i < c.t.count; i++)
		if (c.t.v[i].count != 0 || c.t.v[i].bytes != 0)
			problem(&c, "counted, but not there, of session", c.t.v[i].session);
	free(c.t.v);
	*problems += c.problems;
	return ret;
}
