/*
 * check.c - fs_check(): does everything in the key space fit together?
 *
 * One pass over each class collects, for every inode, what others say about it; then each inode record is
 * held against that. Nothing is repaired here.
 */
#include <sys/stat.h>

#include "base/hash.h"
#include "fs/ops/acl.h"
#include "fs/ops/delegation.h"
#include "fs/ops/key.h"
#include "fs/ops/lock.h"
#include "fs/ops/rec.h"

/* So many unused numbers below the last used one are searched for stray blocks. */
#define GAP_MAX 1000000u

struct node {
	struct hnode hnode;
	uint64_t ino;
	struct inode_rec rec; /* target unset */
	uint64_t names;       /* dentries that lead here */
	uint64_t named_in;    /* parent of one of them */
	/* Of a directory: dentries, order records, dentries that are directories. */
	uint64_t entries, orders, subdirs;
	uint64_t xattrs, xattr_bytes;
	bool orphan, truncate, delegated; /* has such a record */
	bool reaches_root;
};

struct check {
	struct kv_txn *txn;
	struct buf *out;
	struct htable nodes;
	struct node **by_ino; /* the same, ascending */
	size_t by_ino_cap;
	struct buf row; /* scratch of gets inside scans */
	uint64_t inode_count, bytes, last_ino;
	uint64_t gap_left; /* numbers without a record that are still looked at */
	unsigned problems;
	uint8_t stopped_at; /* class that see_other() met */
};

#define PROBLEM(c, ...)                                                                            \
	((c)->problems++, buf_printf((c)->out, __VA_ARGS__), buf_put_u8((c)->out, '\n'))
#define ULL(v) ((unsigned long long)(v))

static struct node *find(const struct check *c, uint64_t ino)
{
	struct hnode *h = htable_first(&c->nodes, hash_u64(ino));

	for (; h; h = htable_next(h)) {
		struct node *n = CONTAINER_OF(h, struct node, hnode);

		if (n->ino == ino)
			return n;
	}
	return NULL;
}

/* ---- one class each ------------------------------------------------------------------------------- */

static int see_inode(struct check *c, const struct key_parts *k, const uint8_t *value, size_t len)
{
	struct node *n = mem_calloc(1, sizeof(*n));

	if (inode_rec_decode(&n->rec, value, len) < 0) {
		PROBLEM(c, "inode %llu: its record does not decode", ULL(k->ino));
		free(n);
		return 0;
	}
	n->rec.target = NULL;
	n->ino = k->ino;
	htable_add(&c->nodes, &n->hnode, hash_u64(n->ino));
	if (c->inode_count == c->by_ino_cap) {
		c->by_ino_cap = c->by_ino_cap ? 2 * c->by_ino_cap : 64;
		c->by_ino = mem_realloc(c->by_ino, c->by_ino_cap * sizeof(struct node *));
	}
	c->by_ino[c->inode_count++] = n;
	c->bytes += inode_rec_bytes(&n->rec);
	c->last_ino = max_u64(c->last_ino, n->ino);
	return 0;
}

/* The order record under d's cookie says the same as the dentry. */
static int check_order_of(struct check *c, const struct key_parts *k, const struct dentry_rec *d)
{
	struct order_rec o;
	struct key ok;
	int ret;

	key_order(&ok, k->ino, d->cookie);
	buf_reset(&c->row);
	ret = kv_txn_get(c->txn, ok.data, ok.len, &c->row);
	if (ret < 0 && ret != -ENOENT)
		return ret;
	if (ret == -ENOENT || order_rec_decode(&o, c->row.data, c->row.len) < 0 ||
	    o.ino != d->ino || o.mode != d->mode || o.name_len != k->rest_len ||
	    memcmp(o.name, k->rest, o.name_len) != 0)
		PROBLEM(c, "directory %llu, name '%.*s': no order record that fits", ULL(k->ino),
			(int)k->rest_len, (const char *)k->rest);
	return 0;
}

static int see_dentry(struct check *c, const struct key_parts *k, const uint8_t *value, size_t len)
{
	struct node *dir = find(c, k->ino), *n;
	struct dentry_rec d;

	if (dentry_rec_decode(&d, value, len) < 0) {
		PROBLEM(c, "directory %llu, name '%.*s': its record does not decode", ULL(k->ino),
			(int)k->rest_len, (const char *)k->rest);
		return 0;
	}
	n = find(c, d.ino);
	if (!dir || !S_ISDIR(dir->rec.mode) || dir->rec.nlink == 0)
		PROBLEM(c, "name '%.*s' in %llu, which is no directory", (int)k->rest_len,
			(const char *)k->rest, ULL(k->ino));
	if (!n || (n->rec.mode & S_IFMT) != d.mode) {
		PROBLEM(c,
			"directory %llu, name '%.*s': leads to %llu, which is missing or of "
			"another type",
			ULL(k->ino), (int)k->rest_len, (const char *)k->rest, ULL(d.ino));
		return 0;
	}
	n->names++;
	n->named_in = k->ino;
	if (dir) {
		dir->entries++;
		dir->subdirs += S_ISDIR(d.mode) ? 1 : 0;
	}
	return check_order_of(c, k, &d);
}

static int see_order(struct check *c, const struct key_parts *k, const uint8_t *value, size_t len)
{
	struct node *dir = find(c, k->ino);
	struct order_rec o;

	if (order_rec_decode(&o, value, len) < 0)
		PROBLEM(c, "directory %llu, cookie %llu: its record does not decode", ULL(k->ino),
			ULL(k->cookie));
	if (dir)
		dir->orders++;
	else
		PROBLEM(c, "cookie %llu in %llu, which is no directory", ULL(k->cookie),
			ULL(k->ino));
	return 0;
}

/* What acl_set(), acl_chmod() and acl_inherit() keep true together. */
static void check_acl(struct check *c, const struct key_parts *k, const struct node *n,
		      const uint8_t *value, size_t len)
{
	enum acl_kind kind = acl_kind((struct name){ (const char *)k->rest, k->rest_len });
	bool says_all = false;
	uint32_t mode = 0;
	struct acl acl;

	if (kind == ACL_NONE)
		return;
	if (acl_decode(&acl, value, len) < 0) {
		PROBLEM(c, "inode %llu: an ACL does not decode", ULL(k->ino));
		return;
	}
	mode = acl_mode(&acl, &says_all);
	if (kind == ACL_DEFAULT && !S_ISDIR(n->rec.mode))
		PROBLEM(c, "inode %llu: a default ACL, but it is no directory", ULL(k->ino));
	if (kind == ACL_ACCESS && (says_all || mode != (n->rec.mode & 0777)))
		PROBLEM(c, "inode %llu: mode %03o, but its ACL says %s%03o", ULL(k->ino),
			n->rec.mode & 0777, says_all ? "no more than " : "", mode);
}

static int see_xattr(struct check *c, const struct key_parts *k, const uint8_t *value, size_t len)
{
	struct node *n = find(c, k->ino);

	(void)value;
	if (!n || len > FS_XATTR_SIZE_MAX) {
		PROBLEM(c, "attribute '%.*s' of inode %llu: %s", (int)k->rest_len,
			(const char *)k->rest, ULL(k->ino),
			n ? "its value is too long" : "there is no such inode");
		return 0;
	}
	n->xattrs++;
	n->xattr_bytes += k->rest_len + 1;
	check_acl(c, k, n, value, len);
	return 0;
}

static int see_orphan(struct check *c, const struct key_parts *k, const uint8_t *value, size_t len)
{
	struct node *n = find(c, k->ino);
	struct orphan_rec rec;
	bool truncate = k->class == KEY_TRUNCATE;

	if (truncate ? truncate_rec_decode(value, len) < 0
		     : orphan_rec_decode(&rec, value, len) < 0)
		PROBLEM(c, "orphan %llu: its record does not decode", ULL(k->ino));
	if (!n)
		PROBLEM(c, "orphan %llu: there is no such inode", ULL(k->ino));
	else if (truncate)
		n->truncate = true;
	else
		n->orphan = true;
	return 0;
}

static int see_delegation(struct check *c, const struct key_parts *k)
{
	struct node *n = find(c, k->ino);

	if (n)
		n->delegated = true;
	else if (k->ino != 0)
		PROBLEM(c, "delegation of inode %llu: there is no such inode", ULL(k->ino));
	return 0;
}

static int see(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *value, size_t len)
{
	struct check *c = ctx;
	struct key_parts k;

	if (key_parse(&k, key, key_len) < 0) {
		PROBLEM(c, "a key of class 0x%02x that nothing makes", key_len > 0 ? key[0] : 0);
		return 0;
	}
	switch (k.class) {
	case KEY_INODE:
		return see_inode(c, &k, value, len);
	case KEY_DENTRY:
		return see_dentry(c, &k, value, len);
	case KEY_ORDER:
		return see_order(c, &k, value, len);
	case KEY_XATTR:
		return see_xattr(c, &k, value, len);
	case KEY_ORPHAN:
	case KEY_TRUNCATE:
		return see_orphan(c, &k, value, len);
	case KEY_DELEGATION:
		return see_delegation(c, &k);
	default:
		return 0; /* counters and locks are looked at last, user keys mean what they like */
	}
}

/* ---- each inode against what was seen ------------------------------------------------------------- */

static void check_dir(struct check *c, const struct node *n)
{
	bool root = n->ino == FS_ROOT_INO;
	uint64_t nlink = n->orphan ? 0 : 2 + n->subdirs;

	if (n->rec.nlink != nlink)
		PROBLEM(c, "directory %llu: nlink %u, but it should be %llu", ULL(n->ino),
			n->rec.nlink, ULL(nlink));
	if (n->rec.size != n->entries || n->entries != n->orders)
		PROBLEM(c, "directory %llu: size %llu, %llu names, %llu cookies", ULL(n->ino),
			ULL(n->rec.size), ULL(n->entries), ULL(n->orders));
	if (n->names != (root || n->orphan ? 0u : 1u))
		PROBLEM(c, "directory %llu: has %llu names", ULL(n->ino), ULL(n->names));
	if (root ? n->rec.parent != n->ino : !n->orphan && n->rec.parent != n->named_in)
		PROBLEM(c, "directory %llu: its parent is %llu, its name is in %llu", ULL(n->ino),
			ULL(n->rec.parent), ULL(n->named_in));
}

static int check_blocks(struct check *c, const struct node *n)
{
	uint64_t live = n->rec.size / KV_BLOCK_SIZE + (n->rec.size % KV_BLOCK_SIZE != 0);
	uint32_t block = 0, rows = 0;
	bool stray = false;
	int ret = 0;

	for (uint32_t at = 0; at < KV_BLOCKS_PER_INO; at = block + 1) {
		ret = kv_txn_next_block(c->txn, n->ino, at, &block);
		if (ret < 0)
			break;
		rows++;
		if (block >= live && block < n->rec.trunc_from &&
		    !(n->rec.flags & INODE_RECLAIMING))
			stray = true;
	}
	if (ret < 0 && ret != -ENOENT)
		return ret;
	if (rows != n->rec.block_count)
		PROBLEM(c, "inode %llu: block count %u, but %u rows", ULL(n->ino),
			n->rec.block_count, rows);
	if (stray)
		PROBLEM(c, "inode %llu: blocks behind its size", ULL(n->ino));
	return 0;
}

/* Follows parents until the root or a directory known to reach it. */
static void check_reach(struct check *c, struct node *n)
{
	struct node *at = n;

	for (uint64_t i = 0; at && !at->reaches_root && at->ino != FS_ROOT_INO; i++) {
		if (i > c->inode_count) {
			PROBLEM(c, "directory %llu: its parents go in a circle", ULL(n->ino));
			return;
		}
		at = find(c, at->rec.parent);
	}
	if (!at) {
		PROBLEM(c, "directory %llu: cannot be reached from the root", ULL(n->ino));
		return;
	}
	for (at = n; !at->reaches_root && at->ino != FS_ROOT_INO; at = find(c, at->rec.parent))
		at->reaches_root = true;
}

static int check_inode(struct check *c, struct node *n)
{
	if (S_ISDIR(n->rec.mode)) {
		check_dir(c, n);
		if (!n->orphan)
			check_reach(c, n);
	} else if (n->rec.nlink != n->names) {
		PROBLEM(c, "inode %llu: nlink %u, but %llu names", ULL(n->ino), n->rec.nlink,
			ULL(n->names));
	}
	if (n->orphan != (n->rec.nlink == 0))
		PROBLEM(c, "inode %llu: nlink %u, but %s in the orphan list", ULL(n->ino),
			n->rec.nlink, n->orphan ? "it is" : "it is not");
	if (n->truncate != (n->rec.trunc_from != INODE_NO_TRUNCATE))
		PROBLEM(c, "inode %llu: pending truncate and its record do not agree", ULL(n->ino));
	if (n->delegated != ((n->rec.flags & INODE_DELEGATED) != 0))
		PROBLEM(c, "inode %llu: its delegation and its record do not agree", ULL(n->ino));
	if (n->rec.xattr_count != n->xattrs || n->rec.xattr_bytes != n->xattr_bytes)
		PROBLEM(c, "inode %llu: %u attributes, but %llu are there", ULL(n->ino),
			n->rec.xattr_count, ULL(n->xattrs));
	return check_blocks(c, n);
}

static int check_counters(struct check *c)
{
	struct counters_rec rec = { .next_ino = 0 };
	struct key k;
	int ret;

	key_counters(&k);
	buf_reset(&c->row);
	ret = kv_txn_get(c->txn, k.data, k.len, &c->row);
	if (ret < 0 && ret != -ENOENT)
		return ret;
	if (ret == 0 && counters_rec_decode(&rec, c->row.data, c->row.len) < 0)
		PROBLEM(c, "the counters do not decode");
	if (rec.inode_count != c->inode_count || rec.bytes_used != c->bytes)
		PROBLEM(c, "counters: %llu inodes and %llu bytes, but there are %llu and %llu",
			ULL(rec.inode_count), ULL(rec.bytes_used), ULL(c->inode_count),
			ULL(c->bytes));
	if (rec.next_ino <= c->last_ino && c->inode_count > 0)
		PROBLEM(c, "counters: the next inode is %llu, but %llu exists", ULL(rec.next_ino),
			ULL(c->last_ino));
	return 0;
}

/* Blocks of numbers in [from, to), which have no record. */
static int check_gap(struct check *c, uint64_t from, uint64_t to)
{
	uint32_t block;

	for (; from < to && c->gap_left > 0; from++, c->gap_left--) {
		int ret = kv_txn_next_block(c->txn, from, 0, &block);

		if (ret == 0)
			PROBLEM(c, "inode %llu: blocks, but no record", ULL(from));
		else if (ret != -ENOENT)
			return ret;
	}
	return 0;
}

static int check_all_inodes(struct check *c)
{
	uint64_t next = FS_ROOT_INO;
	int ret = 0;

	for (uint64_t i = 0; i < c->inode_count && ret == 0; i++) {
		struct node *n = c->by_ino[i];

		if (n->ino == 0 || n->ino > KV_INO_MAX) {
			PROBLEM(c, "inode %llu: its number is out of range", ULL(n->ino));
			continue;
		}
		ret = check_gap(c, next, n->ino);
		if (ret == 0)
			ret = check_inode(c, n);
		next = n->ino + 1;
	}
	return ret;
}

/* Stops at a class that is looked at apart or not at all: there may be many of these. */
static int see_other(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *value,
		     size_t len)
{
	struct check *c = ctx;

	if (key[0] != KEY_INODE && key[0] != KV_CLASS_SESSION)
		return see(c, key, key_len, value, len);
	c->stopped_at = key[0];
	return 1;
}

/* Inodes before the classes that speak of them, though others come first in key order. */
static int scan_all(struct check *c)
{
	static const uint8_t inode_class = KEY_INODE;
	uint8_t after[KV_KEY_MAX];
	size_t after_len = 0;
	int ret = kv_txn_scan(c->txn, &inode_class, 1, NULL, 0, see, c);

	if (ret < 0)
		return ret;
	while ((ret = kv_txn_scan(c->txn, "", 0, after, after_len, see_other, c)) > 0) {
		/* The last key that the class could have. */
		memset(after, 0xff, sizeof(after));
		after[0] = c->stopped_at;
		after_len = sizeof(after);
	}
	return ret;
}

static void free_node(struct hnode *h, void *ctx)
{
	(void)ctx;
	free(CONTAINER_OF(h, struct node, hnode));
}

int fs_check(struct kv_txn *txn, struct buf *out)
{
	struct check c = { .txn = txn, .out = out, .nodes = HTABLE_INIT, .gap_left = GAP_MAX };
	int ret = scan_all(&c);

	if (ret == 0)
		ret = check_all_inodes(&c);
	if (ret == 0)
		ret = check_counters(&c);
	if (ret == 0)
		ret = lock_check(txn, out, &c.problems);
	if (ret == 0)
		ret = delegation_check(txn, out, &c.problems);
	if (ret == 0 && c.inode_count > 0 && !find(&c, FS_ROOT_INO))
		PROBLEM(&c, "there is no root directory");
	htable_each(&c.nodes, free_node, NULL);
	htable_release(&c.nodes);
	free(c.by_ino);
	buf_release(&c.row);
	if (ret < 0)
		return ret;
	return c.problems > 0 ? 1 : 0;
}
