/*
 * lock_check.c - do the locks and what is counted of them fit together? Part of fs_check().
 *
 * What the holder records say is taken down first; every lock and waiter then takes one away, and nothing may be
 * left. Locks on one owner's inode are met in the order of their first bytes, and must not overlap.
 */
#include "base/hash.h"
#include "fs/ops/lock.h"

struct count {
	struct hnode node;
	uint64_t session, ino;
	int64_t left;
};

struct lock_check {
	struct htable counts;
	struct buf *out;
	unsigned problems;
	struct key_parts last; /* lock; class 0: none yet */
	uint64_t last_end;
};

#define ULL(v) ((unsigned long long)(v))

static uint64_t count_hash(uint64_t session, uint64_t ino)
{
	return hash_u64(session) ^ hash_u64(~ino);
}

static struct count *count_of(struct lock_check *c, uint64_t session, uint64_t ino)
{
	uint64_t hash = count_hash(session, ino);
	struct count *n;

	for (struct hnode *h = htable_first(&c->counts, hash); h; h = htable_next(h)) {
		n = CONTAINER_OF(h, struct count, node);
		if (n->session == session && n->ino == ino)
			return n;
	}
	n = mem_calloc(1, sizeof(*n));
	n->session = session;
	n->ino = ino;
	htable_add(&c->counts, &n->node, hash);
	return n;
}

static void problem(struct lock_check *c, const char *what, const struct key_parts *k)
{
	c->problems++;
	buf_printf(c->out, "lock of session %llu, owner %llu, inode %llu: %s\n", ULL(k->session),
		   ULL(k->owner), ULL(k->ino), what);
}

static void see_lock(struct lock_check *c, const struct key_parts *k, const struct lock_rec *rec)
{
	const struct key_parts *last = &c->last;

	if (k->kind < FS_LOCK_POSIX || k->kind > FS_LOCK_FLOCK || rec->end < k->start)
		problem(c, "its kind or its range", k);
	if (last->class == KEY_LOCK && last->ino == k->ino && last->kind == k->kind &&
	    last->session == k->session && last->owner == k->owner && c->last_end >= k->start)
		problem(c, "overlaps another one", k);
	c->last = *k;
	c->last.rest = NULL;
	c->last_end = rec->end;
	count_of(c, k->session, k->ino)->left--;
	count_of(c, k->session, 0)->left--;
}

static int see(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *value, size_t len)
{
	struct lock_check *c = ctx;
	struct waiter_rec waiter;
	struct lock_rec lock;
	struct key_parts k;
	uint32_t count = 0;

	if (key_parse(&k, key, key_len) < 0)
		return 0; /* told already */
	if (k.class == KEY_LOCK_HOLDER) {
		if (holder_rec_decode(&count, value, len) < 0)
			problem(c, "its count does not decode", &k);
		count_of(c, k.session, k.ino)->left += count;
	} else if (k.class == KEY_LOCK) {
		if (lock_rec_decode(&lock, value, len) < 0)
			problem(c, "its record does not decode", &k);
		else
			see_lock(c, &k, &lock);
	} else {
		if (waiter_rec_decode(&waiter, value, len) < 0)
			problem(c, "its waiter does not decode", &k);
		count_of(c, k.session, 0)->left--;
	}
	return 0;
}

static void end_count(struct hnode *h, void *ctx)
{
	struct count *n = CONTAINER_OF(h, struct count, node);
	struct lock_check *c = ctx;
	struct key_parts k = { .session = n->session, .ino = n->ino };

	if (n->left != 0)
		problem(c, n->ino ? "not as many as counted" : "not as many as counted in all", &k);
	free(n);
}

int lock_check(struct kv_txn *txn, struct buf *out, unsigned *problems)
{
	static const uint8_t classes[] = { KEY_LOCK_HOLDER, KEY_LOCK, KEY_LOCK_WAITER };
	struct lock_check c = { .counts = HTABLE_INIT, .out = out };
	int ret = 0;

	for (size_t i = 0; i < ARRAY_SIZE(classes) && ret == 0; i++)
		ret = kv_txn_scan(txn, &classes[i], KEY_CLASS_SIZE, NULL, 0, see, &c);
	htable_each(&c.counts, end_count, &c);
	htable_release(&c.counts);
	*problems += c.problems;
	return ret;
}
