/*
 * link.c - names of inodes: link, unlink, symlink, readlink, mknod, rename.
 *
 * Rename decides everything on authoritative state: the kernel's own checks rest on caches of one
 * machine, so two machines could otherwise move two directories into each other.
 */
#include <linux/fs.h>
#include <sys/stat.h>

#include "base/mark.h"
#include "fs/ops/dir.h"
#include "fs/ops/orphan.h"

/* ---- link, unlink --------------------------------------------------------------------------------- */

int eval_link(struct eval *ev)
{
	const struct fs_request *rq = ev->rq;
	struct name name = { rq->name, rq->name_len };
	struct inode dir, n;
	int ret = dir_load_for_new(ev, rq->ino2, name, &dir);

	if (ret == 0)
		ret = inode_load(ev, rq->ino, &n);
	if (ret < 0)
		return ret;
	if (S_ISDIR(n.rec.mode))
		return -EPERM;
	bool first_name = n.rec.flags & INODE_LINKABLE;

	MARK_IF(n.rec.nlink == 0 && !first_name, "fs.link.of-orphan-refused");
	if (n.rec.nlink == 0 && !first_name)
		return -ENOENT;
	if (n.rec.nlink >= FS_LINK_MAX)
		return -EMLINK;
	if (first_name) {
		MARK("fs.link.first-name");
		n.rec.flags &= (uint8_t)~INODE_LINKABLE;
		orphan_remove(ev, &n);
	}
	n.rec.nlink++;
	inode_touch(ev, &n);
	return dir_give_name(ev, &dir, name, &n);
}

int eval_unlink(struct eval *ev)
{
	const struct fs_request *rq = ev->rq;
	struct name name = { rq->name, rq->name_len };
	struct dentry_rec d;
	struct inode dir, n;
	int ret = name_check_normal(name, -EISDIR);

	if (ret == 0)
		ret = dir_load_for_removal(ev, rq->ino, name, &dir, &d, &n);
	if (ret < 0)
		return ret;
	if (S_ISDIR(n.rec.mode))
		return -EISDIR;
	return dir_take_name(ev, &dir, name, &d, &n);
}

/* ---- symlink, readlink, mknod --------------------------------------------------------------------- */

int eval_symlink(struct eval *ev)
{
	const struct fs_request *rq = ev->rq;
	struct name name = { rq->name, rq->name_len };
	struct inode dir, n;
	int ret;

	if (rq->data_len == 0)
		return -ENOENT;
	if (rq->data_len > FS_SYMLINK_MAX)
		return -ENAMETOOLONG;
	if (memchr(rq->data, '\0', rq->data_len))
		return -EINVAL;
	ret = dir_load_for_new(ev, rq->ino, name, &dir);
	if (ret == 0)
		ret = dir_init_new(ev, &dir, S_IFLNK | 0777, &n);
	if (ret < 0)
		return ret;
	n.rec.target = rq->data;
	n.rec.target_len = rq->data_len;
	n.rec.size = rq->data_len;
	return dir_store_new(ev, &dir, name, &n);
}

int eval_readlink(struct eval *ev)
{
	struct inode n;
	int ret = inode_load(ev, ev->rq->ino, &n);

	if (ret < 0)
		return ret;
	if (!S_ISLNK(n.rec.mode))
		return -EINVAL;
	buf_put(&ev->data, n.rec.target, n.rec.target_len);
	return 0;
}

/* The type that mknod makes, or what it says to the others. */
static int mknod_type(uint32_t mode, uint32_t *type)
{
	*type = mode & S_IFMT;
	switch (*type) {
	case 0:
		*type = S_IFREG;
		return 0;
	case S_IFREG:
	case S_IFIFO:
	case S_IFSOCK:
	case S_IFCHR:
	case S_IFBLK:
		return 0;
	case S_IFDIR:
		return -EPERM;
	default:
		return -EINVAL;
	}
}

int eval_mknod(struct eval *ev)
{
	const struct fs_request *rq = ev->rq;
	struct name name = { rq->name, rq->name_len };
	struct inode dir, n;
	uint32_t type;
	int ret = mknod_type(rq->mode, &type);

	if (ret == 0)
		ret = dir_load_for_new(ev, rq->ino, name, &dir);
	if (ret == 0)
		ret = dir_init_new(ev, &dir, type | (rq->mode & 07777), &n);
	if (ret < 0)
		return ret;
	if (type == S_IFCHR || type == S_IFBLK)
		n.rec.rdev = rq->rdev;
	return dir_store_new(ev, &dir, name, &n);
}

/* ---- rename --------------------------------------------------------------------------------------- */

struct rename_side {
	struct inode *dir; /* both sides share one when the parents are one */
	struct name name;
	struct dentry_rec d;
	struct inode n;
	bool exists;
};

struct rename {
	struct inode dirs[2];
	struct rename_side src, dst;
	bool exchange;
};

static bool is_dir(const struct rename_side *s)
{
	return s->exists && S_ISDIR(s->n.rec.mode);
}

static int load_side(struct eval *ev, struct rename_side *s)
{
	int ret = dentry_load(ev, s->dir->ino, s->name, &s->d);

	s->exists = ret == 0;
	if (ret == 0)
		ret = inode_load_named(ev, s->d.ino, &s->n);
	return ret;
}

static int rename_load(struct eval *ev, struct rename *r)
{
	const struct fs_request *rq = ev->rq;
	int ret;

	if (rq->flags & ~(uint32_t)(RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	r->exchange = rq->flags & RENAME_EXCHANGE;
	if (r->exchange && (rq->flags & RENAME_NOREPLACE))
		return -EINVAL;
	r->src = (struct rename_side){ .dir = &r->dirs[0], .name = { rq->name, rq->name_len } };
	r->dst = (struct rename_side){ .dir = &r->dirs[rq->ino != rq->ino2],
				       .name = { rq->name2, rq->name2_len } };
	ret = name_check_normal(r->src.name, -EBUSY);
	if (ret == 0)
		ret = name_check_normal(r->dst.name,
					rq->flags & RENAME_NOREPLACE ? -EEXIST : -EBUSY);
	if (ret == 0)
		ret = inode_load_dir(ev, rq->ino, r->src.dir);
	if (ret == 0 && r->dst.dir != r->src.dir)
		ret = inode_load_dir(ev, rq->ino2, r->dst.dir);
	if (ret == 0)
		ret = load_side(ev, &r->src);
	if (ret < 0)
		return ret;
	ret = load_side(ev, &r->dst);
	if (ret < 0 && ret != -ENOENT)
		return ret;
	if (r->dst.exists && (rq->flags & RENAME_NOREPLACE))
		return -EEXIST;
	return !r->dst.exists && r->exchange ? -ENOENT : 0;
}

/* Is ino the directory dir or one above it? 1, 0, or the store's errors. */
static int is_ancestor(struct eval *ev, uint64_t ino, const struct inode *dir)
{
	uint64_t at = dir->ino, parent = dir->rec.parent;
	struct inode n;
	int ret;

	/* A walk longer than there are inodes goes in a circle. */
	ret = eval_counters(ev);
	for (uint64_t i = 0; ret == 0 && i <= ev->counters.inode_count; i++) {
		if (at == ino)
			return 1;
		if (at == FS_ROOT_INO)
			return 0;
		at = parent;
		ret = inode_load_named(ev, at, &n);
		parent = n.rec.parent;
	}
	return ret < 0 ? ret : -EUCLEAN;
}

/* A directory may not end up below itself. */
static int check_loops(struct eval *ev, const struct rename *r)
{
	int ret = 0;

	if (r->src.dir == r->dst.dir)
		return 0;
	if (is_dir(&r->src))
		ret = is_ancestor(ev, r->src.n.ino, r->dst.dir);
	if (ret == 0 && r->exchange && is_dir(&r->dst))
		ret = is_ancestor(ev, r->dst.n.ino, r->src.dir);
	MARK_IF(ret > 0, "fs.rename.loop-refused");
	return ret > 0 ? -EINVAL : ret;
}

/* Another subdirectory for a parent, unless one leaves it at the same time. */
static int check_nlink(const struct rename *r)
{
	bool to_dst = is_dir(&r->src) && !is_dir(&r->dst);
	bool to_src = r->exchange && is_dir(&r->dst) && !is_dir(&r->src);

	if (r->src.dir == r->dst.dir)
		return 0;
	if ((to_dst && r->dst.dir->rec.nlink >= FS_LINK_MAX) ||
	    (to_src && r->src.dir->rec.nlink >= FS_LINK_MAX))
		return -EMLINK;
	return 0;
}

/* In the order in which Linux looks. */
static int rename_check(struct eval *ev, const struct rename *r)
{
	int ret = dir_sticky_check(ev, r->src.dir, &r->src.n);

	if (ret == 0 && r->dst.exists)
		ret = dir_sticky_check(ev, r->dst.dir, &r->dst.n);
	if (ret < 0)
		return ret;
	if (r->dst.exists && !r->exchange) {
		if (is_dir(&r->src) && !is_dir(&r->dst))
			return -ENOTDIR;
		if (!is_dir(&r->src) && is_dir(&r->dst))
			return -EISDIR;
	}
	ret = check_nlink(r);
	if (ret < 0)
		return ret;
	return !r->exchange && is_dir(&r->dst) && r->dst.n.rec.size > 0 ? -ENOTEMPTY : 0;
}

/* n moves below dir; both directories' link counts follow. */
static void move_subdir(struct inode *n, struct inode *from, struct inode *to)
{
	if (!S_ISDIR(n->rec.mode))
		return;
	dir_add_subdir(from, -1);
	dir_add_subdir(to, 1);
	n->rec.parent = to->ino;
}

/* A side's name with the other side's inode; the cookie belongs to the name. */
static void lead_to(struct eval *ev, const struct rename_side *s, const struct inode *n)
{
	struct dentry_rec d = { .ino = n->ino,
				.cookie = s->d.cookie,
				.mode = n->rec.mode & S_IFMT };

	dentry_replace(ev, s->dir, s->name, &d);
}

static void rename_names(struct eval *ev, struct rename *r)
{
	struct dentry_rec d = r->src.d;

	move_subdir(&r->src.n, r->src.dir, r->dst.dir);
	MARK_IF(r->dst.exists && !r->exchange, "fs.rename.replaces");
	if (r->exchange) {
		MARK("fs.rename.exchanges");
		move_subdir(&r->dst.n, r->dst.dir, r->src.dir);
		lead_to(ev, &r->src, &r->dst.n);
		lead_to(ev, &r->dst, &r->src.n);
		return;
	}
	dentry_remove(ev, r->src.dir, r->src.name, &r->src.d);
	if (r->dst.exists) {
		/* The name is there before and after: a reader of the directory meets it once. */
		lead_to(ev, &r->dst, &r->src.n);
		if (is_dir(&r->dst))
			dir_add_subdir(r->dst.dir, -1);
		return;
	}
	d.cookie = dentry_new_cookie(ev);
	dentry_add(ev, r->dst.dir, r->dst.name, &d);
}

static int rename_store(struct eval *ev, struct rename *r)
{
	int ret;

	inode_touch_data(ev, r->src.dir);
	if (r->dst.dir != r->src.dir)
		inode_touch_data(ev, r->dst.dir);
	inode_touch(ev, &r->src.n);
	ret = inode_store(ev, r->src.dir);
	if (ret == 0 && r->dst.dir != r->src.dir)
		ret = inode_store(ev, r->dst.dir);
	if (ret == 0)
		ret = inode_store(ev, &r->src.n);
	if (r->dst.dir == r->src.dir)
		inode_reply_dir(ev, r->src.dir);
	if (ret == 0)
		inode_reply(ev, &r->src.n);
	if (ret < 0 || !r->dst.exists)
		return ret;
	if (!r->exchange)
		return inode_drop_name(ev, &r->dst.n);
	inode_touch(ev, &r->dst.n);
	return inode_store(ev, &r->dst.n);
}

int eval_rename(struct eval *ev)
{
	struct rename r;
	int ret = rename_load(ev, &r);

	if (ret == 0)
		ret = check_loops(ev, &r);
	if (ret < 0)
		return ret;
	/* Two names of one inode: POSIX wants both to stay. */
	if (r.dst.exists && r.src.n.ino == r.dst.n.ino) {
		MARK("fs.rename.two-names-of-one");
		return 0;
	}
	ret = rename_check(ev, &r);
	if (ret < 0)
		return ret;
	rename_names(ev, &r);
	return rename_store(ev, &r);
}
