/* dir.c - directories: lookup, readdir, mkdir, rmdir, and the entries themselves. See dir.h. */
#include "fs/ops/dir.h"

#include <sys/stat.h>

#include "base/mark.h"
#include "fs/ops/acl.h"
#include "fs/request.h"

/* ---- names ---------------------------------------------------------------------------------------- */

int name_check(struct name name, enum name_kind *kind)
{
	*kind = NAME_NORMAL;
	if (name.len == 0)
		return -ENOENT;
	if (name.len > FS_NAME_MAX)
		return -ENAMETOOLONG;
	if (memchr(name.data, '/', name.len) || memchr(name.data, '\0', name.len))
		return -EINVAL;
	if (name.data[0] == '.' && name.len == 1)
		*kind = NAME_DOT;
	else if (name.data[0] == '.' && name.len == 2 && name.data[1] == '.')
		*kind = NAME_DOTDOT;
	return 0;
}

int name_check_normal(struct name name, int dots_errno)
{
	enum name_kind kind;
	int ret = name_check(name, &kind);

	if (ret < 0)
		return ret;
	return kind == NAME_NORMAL ? 0 : dots_errno;
}

/* ---- entries -------------------------------------------------------------------------------------- */

int dentry_load(struct eval *ev, uint64_t parent, struct name name, struct dentry_rec *d)
{
	struct key k;
	int ret;

	key_ino_name(&k, KEY_DENTRY, parent, name.data, name.len);
	ret = eval_get(ev, &k);
	return ret < 0 ? ret : dentry_rec_decode(d, ev->row.data, ev->row.len);
}

uint64_t dentry_new_cookie(const struct eval *ev)
{
	return ev->stamp->index + DIR_COOKIE_PARENT;
}

static void put_order(struct eval *ev, const struct inode *dir, struct name name,
		      const struct dentry_rec *d)
{
	struct order_rec rec = {
		.ino = d->ino,
		.mode = d->mode,
		.name = (const uint8_t *)name.data,
		.name_len = name.len,
	};
	struct key k;

	key_order(&k, dir->ino, d->cookie);
	order_rec_encode(&rec, eval_record(ev));
	eval_put(ev, &k);
}

void dentry_replace(struct eval *ev, const struct inode *dir, struct name name,
		    const struct dentry_rec *d)
{
	struct key k;

	key_ino_name(&k, KEY_DENTRY, dir->ino, name.data, name.len);
	dentry_rec_encode(d, eval_record(ev));
	eval_put(ev, &k);
	put_order(ev, dir, name, d);
}

void dentry_add(struct eval *ev, struct inode *dir, struct name name, const struct dentry_rec *d)
{
	dentry_replace(ev, dir, name, d);
	dir->rec.size++;
}

void dentry_remove(struct eval *ev, struct inode *dir, struct name name, const struct dentry_rec *d)
{
	struct key k;

	key_ino_name(&k, KEY_DENTRY, dir->ino, name.data, name.len);
	eval_delete(ev, &k);
	key_order(&k, dir->ino, d->cookie);
	eval_delete(ev, &k);
	dir->rec.size--;
}

int dir_sticky_check(const struct eval *ev, const struct inode *dir, const struct inode *n)
{
	uint32_t uid = ev->rq->uid;

	if (!(dir->rec.mode & S_ISVTX) || uid == 0 || uid == n->rec.uid || uid == dir->rec.uid)
		return 0;
	return -EPERM;
}

void dir_add_subdir(struct inode *dir, int delta)
{
	dir->rec.nlink += (uint32_t)delta;
}

/* ---- new names ------------------------------------------------------------------------------------ */

int dir_load_for_new(struct eval *ev, uint64_t parent, struct name name, struct inode *dir)
{
	struct dentry_rec d;
	int ret = name_check_normal(name, -EEXIST);

	if (ret == 0)
		ret = inode_load_dir(ev, parent, dir);
	if (ret < 0)
		return ret;
	ret = dentry_load(ev, parent, name, &d);
	if (ret == 0)
		return -EEXIST;
	return ret == -ENOENT ? 0 : ret;
}

int dir_init_new(struct eval *ev, const struct inode *dir, uint32_t mode, struct inode *n)
{
	if (S_ISDIR(mode) && dir->rec.nlink >= FS_LINK_MAX)
		return -EMLINK;
	return inode_init_new(ev, dir, mode, n);
}

int dir_store_new(struct eval *ev, struct inode *dir, struct name name, struct inode *n)
{
	int ret = acl_inherit(ev, dir, n);

	if (ret < 0)
		return ret;
	if (S_ISDIR(n->rec.mode))
		dir_add_subdir(dir, 1);
	return dir_give_name(ev, dir, name, n);
}

int dir_give_name(struct eval *ev, struct inode *dir, struct name name, struct inode *n)
{
	struct dentry_rec d = {
		.ino = n->ino,
		.cookie = dentry_new_cookie(ev),
		.mode = n->rec.mode & S_IFMT,
	};
	int ret;

	dentry_add(ev, dir, name, &d);
	inode_touch_data(ev, dir);
	ret = inode_store(ev, dir);
	inode_reply_dir(ev, dir);
	if (ret == 0)
		ret = inode_store(ev, n);
	if (ret == 0)
		inode_reply(ev, n);
	return ret;
}

/* ---- names that go -------------------------------------------------------------------------------- */

int dir_load_for_removal(struct eval *ev, uint64_t parent, struct name name, struct inode *dir,
			 struct dentry_rec *d, struct inode *n)
{
	int ret = inode_load_dir(ev, parent, dir);

	if (ret == 0)
		ret = dentry_load(ev, dir->ino, name, d);
	if (ret == 0)
		ret = inode_load_named(ev, d->ino, n);
	return ret == 0 ? dir_sticky_check(ev, dir, n) : ret;
}

int dir_take_name(struct eval *ev, struct inode *dir, struct name name, const struct dentry_rec *d,
		  struct inode *n)
{
	int ret;

	dentry_remove(ev, dir, name, d);
	inode_touch_data(ev, dir);
	ret = inode_store(ev, dir);
	inode_reply_dir(ev, dir);
	return ret < 0 ? ret : inode_drop_name(ev, n);
}

/* ---- operations ----------------------------------------------------------------------------------- */

/* "." is how a kernel asks for an inode of which it has nothing but a handle: of any type, while it has a name. */
static int lookup_dots(struct eval *ev, enum name_kind kind)
{
	struct inode n;
	int ret;

	if (kind == NAME_DOTDOT) {
		ret = inode_load_dir(ev, ev->rq->ino, &n);
		if (ret == 0)
			ret = inode_load_named(ev, n.rec.parent, &n);
	} else {
		ret = inode_load(ev, ev->rq->ino, &n);
		if (ret == 0 && n.rec.nlink == 0)
			ret = -ESTALE;
	}
	if (ret == 0)
		inode_reply(ev, &n);
	return ret;
}

int eval_lookup(struct eval *ev)
{
	const struct fs_request *rq = ev->rq;
	struct name name = { rq->name, rq->name_len };
	struct dentry_rec d;
	enum name_kind kind;
	struct inode n;
	int ret = name_check(name, &kind);

	if (ret < 0)
		return ret;
	if (kind != NAME_NORMAL)
		return lookup_dots(ev, kind);
	ret = dentry_load(ev, rq->ino, name, &d);
	if (ret == -ENOENT) {
		/* Only a miss needs to know what the parent is. */
		ret = inode_load_dir(ev, rq->ino, &n);
		return ret < 0 ? ret : -ENOENT;
	}
	if (ret == 0)
		ret = inode_load_named(ev, d.ino, &n);
	if (ret == 0)
		inode_reply(ev, &n);
	return ret;
}

int eval_mkdir(struct eval *ev)
{
	const struct fs_request *rq = ev->rq;
	struct name name = { rq->name, rq->name_len };
	struct inode dir, n;
	int ret = dir_load_for_new(ev, rq->ino, name, &dir);

	if (ret == 0)
		ret = dir_init_new(ev, &dir, S_IFDIR | (rq->mode & 01777), &n);
	if (ret == 0)
		ret = dir_store_new(ev, &dir, name, &n);
	return ret;
}

int eval_rmdir(struct eval *ev)
{
	const struct fs_request *rq = ev->rq;
	struct name name = { rq->name, rq->name_len };
	struct dentry_rec d;
	struct inode dir, n;
	enum name_kind kind;
	int ret = name_check(name, &kind);

	if (ret < 0)
		return ret;
	if (kind != NAME_NORMAL)
		return kind == NAME_DOT ? -EINVAL : -ENOTEMPTY;
	ret = dir_load_for_removal(ev, rq->ino, name, &dir, &d, &n);
	if (ret < 0)
		return ret;
	if (!S_ISDIR(n.rec.mode))
		return -ENOTDIR;
	if (n.rec.size > 0)
		return -ENOTEMPTY;
	dir_add_subdir(&dir, -1);
	return dir_take_name(ev, &dir, name, &d, &n);
}

/* ---- readdir -------------------------------------------------------------------------------------- */

struct listing {
	struct buf *out;
	size_t room;
	bool full;
};

static bool listing_add(struct listing *l, const struct fs_dirent *d)
{
	if (fs_dirent_size(d->name_len) > l->room - l->out->len) {
		MARK("fs.readdir.page-full");
		l->full = true;
		return false;
	}
	fs_dirent_encode(d, l->out);
	return true;
}

static void listing_dots(struct listing *l, const struct inode *dir, uint64_t after)
{
	struct fs_dirent self = { .ino = dir->ino,
				  .cookie = DIR_COOKIE_SELF,
				  .mode = S_IFDIR,
				  .name = ".",
				  .name_len = 1 };
	struct fs_dirent parent = { .ino = dir->rec.parent,
				    .cookie = DIR_COOKIE_PARENT,
				    .mode = S_IFDIR,
				    .name = "..",
				    .name_len = 2 };

	if (after < DIR_COOKIE_SELF && !listing_add(l, &self))
		return;
	if (after < DIR_COOKIE_PARENT)
		listing_add(l, &parent);
}

static int listing_order(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *value,
			 size_t len)
{
	struct listing *l = ctx;
	struct key_parts parts;
	struct order_rec rec;
	struct fs_dirent d;

	if (key_parse(&parts, key, key_len) < 0 || order_rec_decode(&rec, value, len) < 0)
		return -EUCLEAN;
	d = (struct fs_dirent){
		.ino = rec.ino,
		.cookie = parts.cookie,
		.mode = rec.mode,
		.name = (const char *)rec.name,
		.name_len = rec.name_len,
	};
	return listing_add(l, &d) ? 0 : 1;
}

int eval_readdir(struct eval *ev)
{
	const struct fs_request *rq = ev->rq;
	struct listing l = { .out = &ev->data, .room = (size_t)min_u64(rq->size, FS_IO_MAX) };
	struct key prefix, after;
	struct inode dir;
	int ret = inode_load_dir(ev, rq->ino, &dir);

	if (ret < 0)
		return ret;
	listing_dots(&l, &dir, rq->offset);
	if (!l.full) {
		key_ino(&prefix, KEY_ORDER, dir.ino);
		key_order(&after, dir.ino, max_u64(rq->offset, DIR_COOKIE_PARENT));
		ret = kv_txn_scan(ev->txn, prefix.data, prefix.len, after.data, after.len,
				  listing_order, &l);
		if (ret < 0)
			return ret == -EUCLEAN ? ret : -EIO;
	}
	/* Room for not even one entry is the caller's mistake, and no end of the directory. */
	return l.full && ev->data.len == 0 ? -EINVAL : 0;
}
