/* inode.c - inodes: loading, storing, their attributes. See inode.h. */
#include "fs/ops/inode.h"

#include <sys/stat.h>

#include "fs/ops/acl.h"
#include "fs/ops/delegation.h"
#include "fs/ops/file.h"
#include "fs/ops/orphan.h"
#include "fs/ops/xattr.h"

#define SECTOR_SIZE 512u

/* ---- loading and storing -------------------------------------------------------------------------- */

/* The target outlives the scratch row it was decoded from. */
static void own_target(struct eval *ev, struct inode_rec *rec)
{
	if (rec->target_len == 0) {
		rec->target = NULL;
		return;
	}
	assert(ev->owned_count < EVAL_OWNED_MAX);
	rec->target = mem_dup(rec->target, rec->target_len);
	ev->owned[ev->owned_count++] = (void *)rec->target;
}

int inode_load_any(struct eval *ev, uint64_t ino, struct inode *n)
{
	struct key k;
	int ret;

	if (ino == 0 || ino > KV_INO_MAX)
		return -ESTALE;
	key_ino(&k, KEY_INODE, ino);
	ret = eval_get(ev, &k);
	if (ret == 0)
		ret = inode_rec_decode(&n->rec, ev->row.data, ev->row.len);
	if (ret < 0)
		return ret == -ENOENT ? -ESTALE : ret;
	own_target(ev, &n->rec);
	n->ino = ino;
	n->counted_bytes = inode_rec_bytes(&n->rec);
	return n->rec.flags & INODE_DELEGATED ? delegation_pass(ev, n) : 0;
}

int inode_load(struct eval *ev, uint64_t ino, struct inode *n)
{
	int ret = inode_load_any(ev, ino, n);

	return ret == 0 && (n->rec.flags & INODE_RECLAIMING) ? -ESTALE : ret;
}

int inode_load_named(struct eval *ev, uint64_t ino, struct inode *n)
{
	int ret = inode_load(ev, ino, n);

	return ret == -ESTALE || (ret == 0 && n->rec.nlink == 0) ? -EUCLEAN : ret;
}

int inode_load_dir(struct eval *ev, uint64_t ino, struct inode *n)
{
	int ret = inode_load(ev, ino, n);

	if (ret < 0)
		return ret == -ESTALE ? -ENOENT : ret;
	if (!S_ISDIR(n->rec.mode))
		return -ENOTDIR;
	return n->rec.nlink == 0 ? -ENOENT : 0;
}

int inode_load_file(struct eval *ev, uint64_t ino, struct inode *n)
{
	int ret = inode_load(ev, ino, n);

	if (ret < 0)
		return ret;
	if (S_ISDIR(n->rec.mode))
		return -EISDIR;
	return S_ISREG(n->rec.mode) ? 0 : -EINVAL;
}

/* A program may not run as a group that its maker is not of. For callers whom the kernel checks it does this. */
static void strip_sgid(const struct eval *ev, struct inode *n)
{
	const struct fs_request *rq = ev->rq;
	bool runs_as_group = (n->rec.mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP);

	if (rq->checked && rq->uid != 0 && rq->gid != n->rec.gid && !S_ISDIR(n->rec.mode) && runs_as_group)
		n->rec.mode &= ~(uint32_t)S_ISGID;
}

int inode_init_new(struct eval *ev, const struct inode *parent, uint32_t mode, struct inode *n)
{
	int64_t now = ev->stamp->wall_ns;
	int ret = eval_counters(ev);

	if (ret < 0)
		return ret;
	if (ev->counters.next_ino > KV_INO_MAX)
		return -ENOSPC;
	*n = (struct inode){ .ino = ev->counters.next_ino };
	n->rec = (struct inode_rec){
		.mode = mode,
		.nlink = 1,
		.uid = ev->rq->uid,
		.gid = ev->rq->gid,
		.atime_ns = now,
		.mtime_ns = now,
		.ctime_ns = now,
		.btime_ns = now,
		.data_version = 1,
		.trunc_from = INODE_NO_TRUNCATE,
	};
	if (S_ISDIR(mode)) {
		n->rec.nlink = 2;
		n->rec.parent = parent ? parent->ino : n->ino;
	}
	if (parent && (parent->rec.mode & S_ISGID)) {
		n->rec.gid = parent->rec.gid;
		if (S_ISDIR(mode))
			n->rec.mode |= S_ISGID;
	}
	strip_sgid(ev, n);
	ev->counters.next_ino++;
	ev->counters.inode_count++;
	eval_counters_changed(ev);
	return 0;
}

static int count_bytes(struct eval *ev, struct inode *n, uint64_t bytes)
{
	int ret;

	if (bytes == n->counted_bytes)
		return 0;
	ret = eval_counters(ev);
	if (ret < 0)
		return ret;
	ev->counters.bytes_used += bytes - n->counted_bytes;
	n->counted_bytes = bytes;
	eval_counters_changed(ev);
	return 0;
}

int inode_store(struct eval *ev, struct inode *n)
{
	int ret = count_bytes(ev, n, inode_rec_bytes(&n->rec));
	struct key k;

	if (ret < 0)
		return ret;
	key_ino(&k, KEY_INODE, n->ino);
	inode_rec_encode(&n->rec, eval_record(ev));
	eval_put(ev, &k);
	return 0;
}

int inode_delete(struct eval *ev, struct inode *n)
{
	int ret = eval_counters(ev);
	struct key k;

	if (ret == 0)
		ret = count_bytes(ev, n, 0);
	if (ret == 0 && (n->rec.flags & INODE_DELEGATED))
		ret = delegation_end(ev, n);
	if (ret < 0)
		return ret;
	ev->counters.inode_count--;
	eval_counters_changed(ev);
	key_ino(&k, KEY_INODE, n->ino);
	eval_delete(ev, &k);
	return 0;
}

/* ---- changes that many operations make ------------------------------------------------------------ */

int64_t inode_time_next(const struct eval *ev, int64_t old_ns)
{
	int64_t next = old_ns == INT64_MAX ? old_ns : old_ns + 1;

	return ev->stamp->wall_ns > next ? ev->stamp->wall_ns : next;
}

void inode_touch(const struct eval *ev, struct inode *n)
{
	n->rec.ctime_ns = inode_time_next(ev, n->rec.ctime_ns);
}

void inode_touch_data(const struct eval *ev, struct inode *n)
{
	n->rec.mtime_ns = inode_time_next(ev, n->rec.mtime_ns);
	n->rec.data_version++;
	inode_touch(ev, n);
}

void inode_clear_suid(struct inode *n)
{
	n->rec.mode &= ~(uint32_t)S_ISUID;
	if (n->rec.mode & S_IXGRP)
		n->rec.mode &= ~(uint32_t)S_ISGID;
}

int inode_kill_priv(struct eval *ev, struct inode *n, bool forced)
{
	if (forced || ev->rq->uid != 0)
		inode_clear_suid(n);
	return xattr_drop_capability(ev, n);
}

int inode_drop_name(struct eval *ev, struct inode *n)
{
	inode_touch(ev, n);
	if (S_ISDIR(n->rec.mode))
		n->rec.nlink = 0; /* its "." goes as well */
	else
		n->rec.nlink--;
	return n->rec.nlink > 0 ? inode_store(ev, n) : orphan_add(ev, n);
}

static struct fs_attr attr_of(const struct inode *n)
{
	const struct inode_rec *rec = &n->rec;

	return (struct fs_attr){
		.ino = n->ino,
		.mode = rec->mode,
		.nlink = rec->nlink,
		.uid = rec->uid,
		.gid = rec->gid,
		.rdev = rec->rdev,
		.size = rec->size,
		.blocks = inode_rec_bytes(rec) / SECTOR_SIZE,
		.atime_ns = rec->atime_ns,
		.mtime_ns = rec->mtime_ns,
		.ctime_ns = rec->ctime_ns,
		.btime_ns = rec->btime_ns,
		.data_version = rec->data_version,
	};
}

void inode_reply(struct eval *ev, const struct inode *n)
{
	ev->reply.has_attr = true;
	ev->reply.attr = attr_of(n);
}

void inode_reply_dir(struct eval *ev, const struct inode *dir)
{
	ev->reply.has_dir = true;
	ev->reply.dir = attr_of(dir);
}

/* ---- operations ----------------------------------------------------------------------------------- */

int eval_getattr(struct eval *ev)
{
	struct inode n;
	int ret = inode_load(ev, ev->rq->ino, &n);

	if (ret == 0)
		inode_reply(ev, &n);
	return ret;
}

int eval_make_root(struct eval *ev)
{
	struct inode root;
	int ret = inode_load(ev, FS_ROOT_INO, &root);

	if (ret != -ESTALE)
		return ret;
	ret = inode_init_new(ev, NULL, S_IFDIR | 0755, &root);
	if (ret < 0)
		return ret;
	/* The first number given out; anything else would be a state without a root. */
	if (root.ino != FS_ROOT_INO)
		return -EUCLEAN;
	return inode_store(ev, &root);
}

static void set_times(struct eval *ev, struct inode *n)
{
	const struct fs_request *rq = ev->rq;

	if (rq->valid & FS_SET_ATIME_NOW)
		n->rec.atime_ns = ev->stamp->wall_ns;
	else if (rq->valid & FS_SET_ATIME)
		n->rec.atime_ns = rq->atime_ns;
	/* Given times are taken as given: coherence rests on the data version. */
	if (rq->valid & FS_SET_MTIME_NOW)
		n->rec.mtime_ns = ev->stamp->wall_ns;
	else if (rq->valid & FS_SET_MTIME)
		n->rec.mtime_ns = rq->mtime_ns;
}

/* Everyone's chown takes suid and sgid away, root's too; directories keep them. */
static int set_owner(struct eval *ev, struct inode *n)
{
	const struct fs_request *rq = ev->rq;

	if (rq->valid & FS_SET_UID)
		n->rec.uid = rq->uid2;
	if (rq->valid & FS_SET_GID)
		n->rec.gid = rq->gid2;
	return S_ISDIR(n->rec.mode) ? 0 : inode_kill_priv(ev, n, true);
}

static int set_size(struct eval *ev, struct inode *n)
{
	int ret = file_truncate(ev, n, ev->rq->size);

	return ret != 0 ? ret : inode_kill_priv(ev, n, false);
}

/* chmod(2): S_ISGID is for those who are of the group. For callers whom the kernel checks it does this. */
static uint32_t mode_to_set(const struct eval *ev, const struct inode *n)
{
	const struct fs_request *rq = ev->rq;
	bool stranger = rq->checked && rq->uid != 0 && rq->gid != n->rec.gid;

	return (n->rec.mode & S_IFMT) | (rq->mode & 07777 & ~(stranger ? (uint32_t)S_ISGID : 0));
}

/* Nobody sees a read but in atime: no other time moves. A change after the read says more than it does. */
static int set_was_read(struct eval *ev, struct inode *n)
{
	int64_t read_ns = ev->rq->atime_ns < ev->stamp->wall_ns ? ev->rq->atime_ns : ev->stamp->wall_ns;
	int ret = 0;

	if (ev->rq->valid != FS_SET_WAS_READ)
		return -EINVAL;
	if (read_ns > n->rec.atime_ns && read_ns >= n->rec.ctime_ns) {
		n->rec.atime_ns = read_ns;
		ret = inode_store(ev, n);
	}
	if (ret == 0)
		inode_reply(ev, n);
	return ret;
}

int inode_set(struct eval *ev, struct inode *n)
{
	const struct fs_request *rq = ev->rq;
	int ret = 0;

	if (rq->valid & (FS_SET_UID | FS_SET_GID))
		ret = set_owner(ev, n);
	if (ret == 0 && (rq->valid & FS_SET_KILL_PRIV) && !S_ISDIR(n->rec.mode))
		ret = inode_kill_priv(ev, n, true);
	if (ret == 0 && (rq->valid & FS_SET_CTIME))
		ret = xattr_drop_capability(ev, n);
	if (ret == 0 && (rq->valid & FS_SET_MODE)) {
		n->rec.mode = mode_to_set(ev, n);
		ret = acl_chmod(ev, n);
	}
	if (ret == 0)
		set_times(ev, n);
	return ret;
}

int eval_setattr(struct eval *ev)
{
	const struct fs_request *rq = ev->rq;
	struct inode n;
	int ret;

	ret = rq->valid & FS_SET_SIZE ? inode_load_file(ev, rq->ino, &n)
				      : inode_load(ev, rq->ino, &n);
	if (ret < 0)
		return ret;
	ev->reply.old_data_version = n.rec.data_version;
	if (rq->valid == 0) {
		inode_reply(ev, &n);
		return 0;
	}
	if (rq->valid & FS_SET_WAS_READ)
		return set_was_read(ev, &n);
	/* The size first: only it can be refused. */
	if (rq->valid & FS_SET_SIZE)
		ret = set_size(ev, &n);
	if (ret == 0)
		ret = inode_set(ev, &n);
	if (ret != 0)
		return ret;
	if (!(rq->valid & FS_SET_SIZE))
		inode_touch(ev, &n);
	ret = inode_store(ev, &n);
	if (ret == 0)
		inode_reply(ev, &n);
	return ret;
}
