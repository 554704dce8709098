/* ops_attr.c - attributes of inodes and of the file system. */
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "fs/fuse/front.h"

static void show_attr(struct op *op)
{
	op_finish_coherent(op, op_reply_attr);
}

static void done_getattr(struct op *op, int status, const struct fs_reply *reply)
{
	if (status == 0 && !reply->has_attr)
		status = -EIO;
	if (status < 0) {
		op_reply_error(op, status);
		return;
	}
	op->attr = reply->attr;
	op->tells_attr = true;
	if (!lock_confirm(op, show_attr))
		show_attr(op);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct op *op = op_new(req, done_getattr);

	op->ino = ino;
	/* With a handle the kernel asks before it reads from its cache, so this is part of a read. */
	if (fi && klock_use(&op->fuse->locks, ino, fi->fh, &op->fence) < 0)
		op_reply_now(op, -EIO);
	else
		op_submit(op, &(struct fs_request){ .op = FS_GETATTR, .ino = ino });
}

/* Never waits for a notifier: a truncation holds back the kernel's write-back of this inode. */
static void done_setattr(struct op *op, int status, const struct fs_reply *reply)
{
	if (status == -ENOLCK || (status == 0 && !reply->has_attr))
		status = -EIO;
	if (status < 0) {
		op_reply_error(op, status);
		return;
	}
	op->attr = reply->attr;
	if (op->sets_atime)
		atime_forget(&op->fuse->atimes, op->ino);
	kinode_changed(&op->fuse->inodes, &op->attr, reply->old_data_version);
	op_reply_attr(op);
}

static int64_t nanoseconds(const struct timespec *ts)
{
	return (int64_t)ts->tv_sec * 1000000000 + ts->tv_nsec;
}

static uint32_t setattr_valid(int to_set)
{
	static const struct {
		int fuse;
		uint32_t ours;
	} map[] = {
		{ FUSE_SET_ATTR_MODE, FS_SET_MODE },
		{ FUSE_SET_ATTR_UID, FS_SET_UID },
		{ FUSE_SET_ATTR_GID, FS_SET_GID },
		{ FUSE_SET_ATTR_SIZE, FS_SET_SIZE },
		{ FUSE_SET_ATTR_ATIME, FS_SET_ATIME },
		{ FUSE_SET_ATTR_MTIME, FS_SET_MTIME },
		{ FUSE_SET_ATTR_ATIME_NOW, FS_SET_ATIME_NOW },
		{ FUSE_SET_ATTR_MTIME_NOW, FS_SET_MTIME_NOW },
		{ FUSE_SET_ATTR_KILL_SUID, FS_SET_KILL_PRIV }, /* FATTR_KILL_SUIDGID on the wire */
	};
	uint32_t valid = 0;

	for (size_t i = 0; i < ARRAY_SIZE(map); i++)
		if (to_set & map[i].fuse)
			valid |= map[i].ours;
	/* The kernel sends both; "now" is the leader's, stamped when it evaluates. */
	if (valid & FS_SET_ATIME_NOW)
		valid &= ~(uint32_t)FS_SET_ATIME;
	if (valid & FS_SET_MTIME_NOW)
		valid &= ~(uint32_t)FS_SET_MTIME;
	return valid;
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set,
		       struct fuse_file_info *fi)
{
	struct fs_request rq = {
		.op = FS_SETATTR,
		.ino = ino,
		.valid = setattr_valid(to_set),
		.mode = st->st_mode & 07777,
		.uid2 = st->st_uid,
		.gid2 = st->st_gid,
		.size = (uint64_t)st->st_size,
		.atime_ns = nanoseconds(&st->st_atim),
		.mtime_ns = nanoseconds(&st->st_mtim),
	};

	/* chown(2) of neither owner nor group, or a capability that a change to come takes away: the same request. */
	if (rq.valid == 0)
		rq.valid = FS_SET_CTIME;
	struct op *op = op_new(req, done_setattr);
	struct fs_fuse *fuse = op->fuse;

	/* A path has no handle that could have lost its locks. */
	if ((rq.valid & FS_SET_SIZE) &&
	    klock_use(&fuse->locks, ino, fi ? fi->fh : UINT64_MAX, &rq.ino2) < 0) {
		op_reply_now(op, -EIO);
		return;
	}
	op->ino = ino;
	op->changes = true;
	op->by_handle = fi != NULL; /* ftruncate(2) alone comes with one */
	op->sets_atime = (rq.valid & (FS_SET_ATIME | FS_SET_ATIME_NOW)) != 0;
	op_submit(op, &rq);
}

/* Comes only where the kernel does not check permissions: of mounts on which all act as somebody else. */
static void op_access(fuse_req_t req, fuse_ino_t ino, int mask)
{
	op_submit(op_new(req, op_done_status),
		  &(struct fs_request){ .op = FS_ACCESS, .ino = ino, .mode = (uint32_t)mask });
}

static void done_statfs(struct op *op, int status, const struct fs_reply *reply)
{
	struct fs_statfs st = { .inode_count = 0 };

	if (status == 0 && fs_statfs_decode(&st, reply->data, reply->data_len) < 0)
		status = -EIO;
	if (status < 0) {
		op_reply_error(op, status);
		return;
	}
	fsblkcnt_t room = st.free_bytes / FRONT_BLOCK_SIZE;

	/* Inodes are made of the same bytes: one is free for each free block. */
	fuse_reply_statfs(op->req, &(struct statvfs){
					   .f_bsize = FRONT_BLOCK_SIZE,
					   .f_frsize = FRONT_BLOCK_SIZE,
					   .f_blocks = st.total_bytes / FRONT_BLOCK_SIZE,
					   .f_bfree = room,
					   .f_bavail = room,
					   .f_files = st.inode_count + room,
					   .f_ffree = room,
					   .f_favail = room,
					   .f_namemax = FS_NAME_MAX,
				   });
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	(void)ino;
	op_submit(op_new(req, done_statfs), &(struct fs_request){ .op = FS_STATFS });
}

void ops_attr_fill(struct fuse_lowlevel_ops *ops)
{
	ops->getattr = op_getattr;
	ops->setattr = op_setattr;
	ops->access = op_access;
	ops->statfs = op_statfs;
}
