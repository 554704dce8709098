/*
 * xattr.c - extended attributes: one row for each, its value as it is.
 *
 * The inode counts them and the bytes of their names, so that files without any (nearly all) cost no
 * look-up when they are written or removed, and so that LISTXATTR's answer stays within its limit.
 */
#include "fs/ops/xattr.h"

#include <sys/xattr.h>

#include "fs/ops/acl.h"

#define XATTR_LIST_MAX 65536u /* what listxattr(2) can answer */

static const char capability_name[] = "security.capability";

/* The name spaces that exist here, besides the two names of ACLs. */
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

int xattr_get(struct eval *ev, const struct inode *n, struct name name)
{
	struct key k;

	if (n->rec.xattr_count == 0)
		return -ENOENT;
	key_ino_name(&k, KEY_XATTR, n->ino, name.data, name.len);
	return eval_get(ev, &k);
}

void xattr_put(struct eval *ev, struct inode *n, struct name name, bool exists, const void *value,
	       size_t len)
{
	struct key k;

	key_ino_name(&k, KEY_XATTR, n->ino, name.data, name.len);
	kv_txn_put(ev->txn, k.data, k.len, value, len);
	if (exists)
		return;
	n->rec.xattr_count++;
	n->rec.xattr_bytes += (uint32_t)name.len + 1;
}

void xattr_delete(struct eval *ev, struct inode *n, struct name name)
{
	struct key k;

	key_ino_name(&k, KEY_XATTR, n->ino, name.data, name.len);
	eval_delete(ev, &k);
	n->rec.xattr_count--;
	n->rec.xattr_bytes -= (uint32_t)name.len + 1;
}

/* Loads the inode and ev->row = the value if there is one: *exists. */
static int xattr_load(struct eval *ev, struct inode *n, bool *exists)
{
	struct name name = { ev->rq->name, ev->rq->name_len };
	int ret = acl_kind(name) ? 0 : name_space_check(name);

	if (ret == 0)
		ret = inode_load(ev, ev->rq->ino, n);
	if (ret < 0)
		return ret;
	ret = xattr_get(ev, n, name);
	*exists = ret == 0;
	return ret == -ENOENT ? 0 : ret;
}

int xattr_drop_capability(struct eval *ev, struct inode *n)
{
	struct name name = { capability_name, sizeof(capability_name) - 1 };
	int ret = xattr_get(ev, n, name);

	if (ret == 0)
		xattr_delete(ev, n, name);
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
		const char *text = (const char *)list.data + at;
		struct name name = { text, strlen(text) };

		xattr_delete(ev, n, name);
		at += name.len + 1;
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
	bool exists;
	int ret = xattr_load(ev, &n, &exists);

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
	struct name name = { rq->name, rq->name_len };
	struct inode n;
	bool exists;
	int ret = xattr_load(ev, &n, &exists);

	if (ret == 0)
		ret = set_check(rq, &n, exists);
	if (ret == 0 && acl_kind(name))
		ret = acl_set(ev, &n, exists);
	else if (ret == 0)
		xattr_put(ev, &n, name, exists, rq->data, rq->data_len);
	if (ret < 0)
		return ret;
	inode_touch(ev, &n);
	return inode_store(ev, &n);
}

int eval_removexattr(struct eval *ev)
{
	struct name name = { ev->rq->name, ev->rq->name_len };
	struct inode n;
	bool exists;
	int ret = xattr_load(ev, &n, &exists);

	if (ret < 0)
		return ret;
	/* As Linux has it: there is no ACL afterwards, which is all that was asked. */
	if (!exists)
		return acl_kind(name) ? 0 : -ENODATA;
	xattr_delete(ev, &n, name);
	inode_touch(ev, &n);
	return inode_store(ev, &n);
}
