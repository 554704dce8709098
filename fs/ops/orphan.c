/*
 * orphan.c - unlinked inodes and pending truncates: listed, held, reclaimed in bounded steps.
 *
 *   last name goes -> 'u' record, nlink 0 -> (holders logged) -> FS_RECLAIM drops up to
 *   FS_RECLAIM_BLOCKS rows and as many attributes per entry -> record, inode and counters go.
 *
 *   large truncate -> 't' record, inode.trunc_from -> FS_RECLAIM drops rows from there upwards and
 *   moves trunc_from behind them, so that writers get on as the stale range shrinks.
 *
 * Each step that leaves something to do puts its 'u' or 't' record again: whoever watches mutations for
 * work (fs_mutation_is_orphan()) sees it.
 */
#include "fs/ops/orphan.h"

#include <sys/stat.h>

#include "base/mark.h"
#include "fs/ops/delegation.h"
#include "fs/ops/file.h"
#include "fs/ops/lock.h"
#include "fs/ops/xattr.h"
#include "fs/request.h"

#define LIST_SIZE_DEFAULT 65536u /* FS_ORPHANS without a size */
#define ORPHAN_SIZE_MIN 13u      /* encoded, without holders */
#define HOLDERS_MAX 4096u        /* an entry is bounded */
#define GONE_ROWS_MAX 65536u     /* orphans looked at when sessions end ... */
#define GONE_CHANGES_MAX 1024u   /* ... and changed */

static void put_orphan(struct eval *ev, uint64_t ino, const struct orphan_rec *rec)
{
	struct key k;

	key_ino(&k, KEY_ORPHAN, ino);
	orphan_rec_encode(rec, eval_record(ev));
	eval_put(ev, &k);
}

int orphan_add(struct eval *ev, struct inode *n)
{
	struct orphan_rec rec = { .holder_count = 0 };

	/* A symlink cannot be opened. */
	if (S_ISLNK(n->rec.mode) && n->rec.xattr_count == 0) {
		MARK("fs.orphan.symlink-goes-at-once");
		return inode_delete(ev, n);
	}
	put_orphan(ev, n->ino, &rec);
	return inode_store(ev, n);
}

void orphan_remove(struct eval *ev, const struct inode *n)
{
	struct key k;

	key_ino(&k, KEY_ORPHAN, n->ino);
	eval_delete(ev, &k);
}

/* ---- listing -------------------------------------------------------------------------------------- */

struct orphan_item {
	uint64_t ino;
	bool linked;
	struct buf holders; /* as in struct fs_orphan */
};

struct orphan_list {
	struct orphan_item *v;
	size_t count, cap;
	size_t room; /* rows that this scan may still add */
};

static void list_release(struct orphan_list *l)
{
	for (size_t i = 0; i < l->count; i++)
		buf_release(&l->v[i].holders);
	free(l->v);
}

static struct orphan_item *list_push(struct orphan_list *l, uint64_t ino, bool linked)
{
	if (l->count == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 16;
		l->v = mem_realloc(l->v, l->cap * sizeof(*l->v));
	}
	l->v[l->count] = (struct orphan_item){ .ino = ino, .linked = linked, .holders = BUF_INIT };
	return &l->v[l->count++];
}

static int list_row(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *value, size_t len)
{
	struct orphan_rec rec = { .holder_count = 0 };
	struct orphan_list *l = ctx;
	struct orphan_item *item;
	struct key_parts parts;

	if (key_parse(&parts, key, key_len) < 0)
		return -EUCLEAN;
	if (parts.class == KEY_ORPHAN ? orphan_rec_decode(&rec, value, len) < 0
				      : truncate_rec_decode(value, len) < 0)
		return -EUCLEAN;
	item = list_push(l, parts.ino, parts.class == KEY_TRUNCATE);
	buf_put(&item->holders, rec.holders, (size_t)rec.holder_count * 8);
	return --l->room > 0 ? 0 : 1;
}

/* Rows of one class behind after, enough to fill an answer of room bytes, without any holders even. */
static int list_class(struct eval *ev, uint8_t class, uint64_t after_ino, size_t room,
		      struct orphan_list *l)
{
	struct key after;
	int ret;

	key_ino(&after, class, after_ino);
	l->room = room / ORPHAN_SIZE_MIN + 1;
	ret = kv_txn_scan(ev->txn, after.data, KEY_CLASS_SIZE, after.data, after.len, list_row, l);
	return ret < 0 && ret != -EUCLEAN ? -EIO : ret < 0 ? ret : 0;
}

static int by_ino(const void *a, const void *b)
{
	const struct orphan_item *x = a, *y = b;

	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	return (int)y->linked - (int)x->linked; /* the truncate first: it needs nobody's consent */
}

static void list_encode(struct eval *ev, const struct orphan_list *l, size_t room)
{
	for (size_t i = 0; i < l->count; i++) {
		const struct orphan_item *item = &l->v[i];
		struct fs_orphan o = {
			.ino = item->ino,
			.linked = item->linked,
			.holder_count = (uint32_t)(item->holders.len / 8),
			.holders = item->holders.data,
		};
		size_t before = ev->data.len;

		/* An orphan's pending truncate comes first and alone; the orphan follows once that is done. */
		if (i > 0 && l->v[i - 1].ino == item->ino) {
			MARK("fs.orphan.truncate-comes-first");
			continue;
		}
		fs_orphan_encode(&o, &ev->data);
		/* At least one, however small the room, so that a caller always gets on. */
		if (ev->data.len > room && before > 0) {
			MARK("fs.orphan.page-full");
			buf_resize(&ev->data, before);
			return;
		}
	}
}

int eval_orphans(struct eval *ev)
{
	const struct fs_request *rq = ev->rq;
	size_t room = rq->size ? (size_t)min_u64(rq->size, FS_IO_MAX) : LIST_SIZE_DEFAULT;
	struct orphan_list l = { .count = 0 };
	int ret = list_class(ev, KEY_TRUNCATE, rq->offset, room, &l);

	if (ret == 0)
		ret = list_class(ev, KEY_ORPHAN, rq->offset, room, &l);
	if (ret == 0 && l.count > 0) {
		qsort(l.v, l.count, sizeof(*l.v), by_ino);
		list_encode(ev, &l, room);
	}
	list_release(&l);
	return ret;
}

/* ---- holders -------------------------------------------------------------------------------------- */

/* *rec borrows from ev->row. 0 or -ENOENT. */
static int load_orphan(struct eval *ev, uint64_t ino, struct orphan_rec *rec)
{
	struct key k;
	int ret;

	key_ino(&k, KEY_ORPHAN, ino);
	ret = eval_get(ev, &k);
	return ret < 0 ? ret : orphan_rec_decode(rec, ev->row.data, ev->row.len);
}

int eval_orphan_hold(struct eval *ev)
{
	const struct fs_request *rq = ev->rq;
	struct orphan_rec new = { .holder_count = (uint32_t)(rq->data_len / 8),
				  .holders = rq->data };
	struct orphan_rec old;
	int ret;

	if (rq->data_len % 8 != 0 || rq->data_len / 8 > HOLDERS_MAX)
		return -EINVAL;
	ret = load_orphan(ev, rq->ino, &old);
	if (ret < 0)
		return ret == -ENOENT ? 0 : ret;
	if (old.holder_count == new.holder_count &&
	    (new.holder_count == 0 || memcmp(old.holders, new.holders, rq->data_len) == 0))
		return 0;
	put_orphan(ev, rq->ino, &new);
	return 0;
}

/* ---- sessions that end ----------------------------------------------------------------------------- */

struct gone {
	const uint8_t *names; /* FS_SESSION_NAME_SIZE each */
	size_t count;
	size_t rows; /* that may still be looked at */
	struct orphan_list changed; /* with what is left of their holders */
};

static bool is_gone(const struct gone *g, const uint8_t id[8])
{
	for (size_t i = 0; i < g->count; i++)
		if (memcmp(g->names + i * FS_SESSION_NAME_SIZE + KV_UUID_SIZE, id, 8) == 0)
			return true;
	return false;
}

static int gone_row(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *value, size_t len)
{
	struct gone *g = ctx;
	struct orphan_item *item = NULL;
	struct key_parts parts;
	struct orphan_rec rec;

	if (key_parse(&parts, key, key_len) < 0 || orphan_rec_decode(&rec, value, len) < 0)
		return -EUCLEAN;
	for (uint32_t i = 0; i < rec.holder_count && !item; i++)
		if (is_gone(g, rec.holders + (size_t)i * 8))
			item = list_push(&g->changed, parts.ino, false);
	for (uint32_t i = 0; i < rec.holder_count && item; i++)
		if (!is_gone(g, rec.holders + (size_t)i * 8))
			buf_put(&item->holders, rec.holders + (size_t)i * 8, 8);
	return --g->rows > 0 && g->changed.count < GONE_CHANGES_MAX ? 0 : 1;
}

/*
 * Sessions end: orphans name them as holders no more. What the bounds leave out does no harm: the names
 * tell people who held a file; whether it is still held is asked before it is reclaimed. Locks are another
 * matter: who does not lose them all does not end.
 */
int eval_sessions_gone(struct eval *ev)
{
	const struct fs_request *rq = ev->rq;
	struct gone g = { .names = rq->data,
			  .count = rq->data_len / FS_SESSION_NAME_SIZE,
			  .rows = GONE_ROWS_MAX };
	struct key from;
	int ret;

	if (rq->data_len % FS_SESSION_NAME_SIZE != 0 || g.count > KV_SESSION_ENDS_MAX)
		return -EINVAL;
	if (g.count == 0)
		return 0;
	ret = lock_sessions_gone(ev, g.names, g.count, &g.count);
	if (ret == 0)
		ret = delegation_sessions_gone(ev, g.names, g.count);
	if (ret < 0)
		return ret;
	ev->reply.count = g.count;
	key_ino(&from, KEY_ORPHAN, 0);
	ret = kv_txn_scan(ev->txn, from.data, KEY_CLASS_SIZE, from.data, from.len, gone_row, &g);
	for (size_t i = 0; i < g.changed.count && ret >= 0; i++) {
		const struct orphan_item *item = &g.changed.v[i];
		struct orphan_rec rec = { .holder_count = (uint32_t)(item->holders.len / 8),
					  .holders = item->holders.data };

		put_orphan(ev, item->ino, &rec);
	}
	list_release(&g.changed);
	return ret < 0 && ret != -EUCLEAN ? -EIO : ret < 0 ? ret : 0;
}

/* ---- reclaim -------------------------------------------------------------------------------------- */

/* Drops up to a step's rows at and above first; *after lies behind them. */
static int drop_rows(struct eval *ev, struct inode *n, uint32_t first, uint32_t *after, bool *more)
{
	uint32_t count, next;
	int ret = file_count_rows(ev, n, first, KV_BLOCKS_PER_INO, eval_step_blocks(ev), &count,
				  after);

	if (ret < 0)
		return ret;
	ret = eval_store_error(kv_txn_next_block(ev->txn, n->ino, *after, &next));
	if (ret < 0 && ret != -ENOENT)
		return ret;
	*more = ret == 0;
	if (count > 0)
		kv_txn_drop_blocks(ev->txn, n->ino, first, *after - first);
	n->rec.block_count -= count;
	return 0;
}

static int reclaim_truncated(struct eval *ev, struct inode *n)
{
	struct key k;
	bool more;
	int ret = drop_rows(ev, n, n->rec.trunc_from, &n->rec.trunc_from, &more);

	if (ret < 0)
		return ret;
	key_ino(&k, KEY_TRUNCATE, n->ino);
	if (more) {
		MARK("fs.reclaim.truncate-goes-on");
		truncate_rec_encode(eval_record(ev));
		eval_put(ev, &k);
	} else {
		n->rec.trunc_from = INODE_NO_TRUNCATE;
		eval_delete(ev, &k);
	}
	return inode_store(ev, n);
}

static int reclaim_orphan(struct eval *ev, struct inode *n)
{
	struct orphan_rec rec = { .holder_count = 0 };
	uint32_t after;
	bool more;
	int ret = drop_rows(ev, n, 0, &after, &more);

	if (ret == 0)
		ret = xattr_drop_some(ev, n, eval_step_blocks(ev));
	if (ret < 0)
		return ret;
	if (more || n->rec.xattr_count > 0) {
		MARK("fs.reclaim.orphan-goes-on");
		n->rec.flags |= INODE_RECLAIMING;
		put_orphan(ev, n->ino, &rec);
		return inode_store(ev, n);
	}
	orphan_remove(ev, n);
	return inode_delete(ev, n);
}

/*
 * A pending truncate comes first, whatever else is due: it takes nothing from anybody. The request may be
 * older than what it meets, so one that was made for a truncate must never end an orphan.
 */
int eval_reclaim(struct eval *ev)
{
	const struct fs_request *rq = ev->rq;
	struct orphan_rec rec;
	struct inode n;
	int ret = inode_load_any(ev, rq->ino, &n);

	MARK_IF(ret == -ESTALE, "fs.reclaim.gone-already");
	if (ret < 0)
		return ret == -ESTALE ? 0 : ret;
	if (n.rec.trunc_from != INODE_NO_TRUNCATE)
		return reclaim_truncated(ev, &n);
	if (rq->flags & FS_RECLAIM_TRUNCATE) {
		MARK("fs.reclaim.truncate-done-already");
		return 0;
	}
	ret = load_orphan(ev, n.ino, &rec);
	MARK_IF(ret == -ENOENT, "fs.reclaim.no-orphan");
	if (ret < 0)
		return ret == -ENOENT ? 0 : ret;
	return n.rec.nlink == 0 ? reclaim_orphan(ev, &n) : -EUCLEAN;
}
