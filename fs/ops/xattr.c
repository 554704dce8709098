/*
 * xattr.c - extended attributes: one row for each, its value as it is.
 *
 * The inode counts them and the bytes of their names, so that files without any (nearly all) cost no
 * look-up when they are written or removed, and so that LISTXATTR's answer stays within its limit.
 */
#include "fs/ops/xattr.h"

#include <sys/xattr.h>

#include "fs/ops/dir.h"

#define XATTR_LIST_MAX 65536u /* what listxattr(2) can answer */

static const char capability_name[] = "security.capability";

/* The name spaces that exist here; POSIX ACLs would be stored without being enforced. */
static int name_space_check(struct name name)
{
	static const char *const prefixes[] = { "user.", "trusted.", "security." };

	if (name.len == 0 || name.len > FS_XATTR_NAME_MAX)
		return -ERANGE;
	if (memchr(name.data, '\0', name.len))
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		size_t len = strlen(prefixes[i]);

		if (name.len < len || memcmp(name.data, prefixes[i], len) != 0)
			continue;
		return name.len > len ? 0 : -EINVAL;
	}
	return -EOPNOTSUPP;
}

/* Loads the inode and ev->row = the value if there is one: *exists. */
static int xattr_load(struct eval *ev, struct inode *n, struct key *k, bool *exists)
{
	struct name name = { ev->rq->name, ev->rq->name_len };
	int ret = name_space_check(name);

	if (ret == 0)
		ret = inode_load(ev, ev->rq->ino, n);
	if (ret < 0)
		return ret;
	key_ino_name(k, KEY_XATTR, n->ino, name.data, name.len);
	ret = n->rec.xattr_count > 0 ? eval_get(ev, k) : -ENOENT;
	*exists = ret == 0;
	return ret == -ENOENT ? 0 : ret;
}

static void xattr_delete(struct eval *ev, struct inode *n, const void *name, size_t name_len)
{
	struct key k;

	key_ino_name(&k, KEY_XATTR, n->ino, name, name_len);
	eval_delete(ev, &k);
	n->rec.xattr_count--;
	n->rec.xattr_bytes -= (uint32_t)name_len + 1;
}

int xattr_drop_capability(struct eval *ev, struct inode *n)
{
	size_t len = sizeof(capability_name) - 1;
	struct key k;
	int ret;

	if (n->rec.xattr_count == 0)
		return 0;
	key_ino_name(&k, KEY_XATTR, n->ino, capability_name, len);
	ret = eval_get(ev, &k);
	if (ret == 0)
		xattr_delete(ev, n, capability_name, len);
	return ret == -ENOENT ? 0 : ret;
}

/* ---- listing -------------------------------------------------------------------------------------- */

struct names {
	struct buf *out; /* NUL-terminated names */
	uint32_t count, limit;
};

static int collect_name(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *value,
			size_t len)
{
	struct names *names = ctx;
	struct key_parts parts;

	(void)value;
	(void)len;
	if (key_parse(&parts, key, key_len) < 0)
		return -EUCLEAN;
	buf_put(names->out, parts.rest, parts.rest_len);
	buf_put_u8(names->out, '\0');
	return ++names->count < names->limit ? 0 : 1;
}

static int collect(struct eval *ev, const struct inode *n, struct names *names)
{
	struct key prefix;
	int ret;

	if (n->rec.xattr_count == 0)
		return 0;
	key_ino(&prefix, KEY_XATTR, n->ino);
	ret = kv_txn_scan(ev->txn, prefix.data, prefix.len, NULL, 0, collect_name, names);
	if (ret < 0)
		return ret == -EUCLEAN ? ret : -EIO;
	return 0;
}

int xattr_drop_some(struct eval *ev, struct inode *n, uint32_t limit)
{
	struct buf list = BUF_INIT;
	struct names names = { .out = &list, .limit = limit };
	int ret = collect(ev, n, &names);

	for (size_t at = 0; ret == 0 && at < list.len;) {
		size_t len = strlen((const char *)list.data + at);

		xattr_delete(ev, n, list.data + at, len);
		at += len + 1;
	}
	buf_release(&list);
	return ret;
}

/* ---- operations ----------------------------------------------------------------------------------- */

int eval_listxattr(struct eval *ev)
{
	struct names names = { .out = &ev->data, .limit = UINT32_MAX };
	struct inode n;
	int ret = inode_load(ev, ev->rq->ino, &n);

	return ret < 0 ? ret : collect(ev, &n, &names);
}

int eval_getxattr(struct eval *ev)
{
	struct inode n;
	struct key k;
	bool exists;
	int ret = xattr_load(ev, &n, &k, &exists);

	if (ret < 0)
		return ret;
	if (!exists)
		return -ENODATA;
	buf_put(&ev->data, ev->row.data, ev->row.len);
	return 0;
}

static int set_check(const struct fs_request *rq, const struct inode *n, bool exists)
{
	uint32_t known = XATTR_CREATE | XATTR_REPLACE;

	if ((rq->flags & ~known) || (rq->flags & known) == known)
		return -EINVAL;
	if (rq->data_len > FS_XATTR_SIZE_MAX)
		return -E2BIG;
	if (exists && (rq->flags & XATTR_CREATE))
		return -EEXIST;
	if (!exists && (rq->flags & XATTR_REPLACE))
		return -ENODATA;
	if (!exists && n->rec.xattr_bytes + rq->name_len + 1 > XATTR_LIST_MAX)
		return -ENOSPC;
	return 0;
}

int eval_setxattr(struct eval *ev)
{
	const struct fs_request *rq = ev->rq;
	struct inode n;
	struct key k;
	bool exists;
	int ret = xattr_load(ev, &n, &k, &exists);

	if (ret == 0)
		ret = set_check(rq, &n, exists);
	if (ret < 0)
		return ret;
	kv_txn_put(ev->txn, k.data, k.len, rq->data, rq->data_len);
	if (!exists) {
		n.rec.xattr_count++;
		n.rec.xattr_bytes += (uint32_t)rq->name_len + 1;
	}
	inode_touch(ev, &n);
	return inode_store(ev, &n);
}

int eval_removexattr(struct eval *ev)
{
	struct inode n;
	struct key k;
	bool exists;
	int ret = xattr_load(ev, &n, &k, &exists);

	if (ret < 0)
		return ret;
	if (!exists)
		return -ENODATA;
	xattr_delete(ev, &n, ev->rq->name, ev->rq->name_len);
	inode_touch(ev, &n);
	return inode_store(ev, &n);
}
