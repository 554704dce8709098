/*
 * ops_space.c - where files have blocks: fallocate, lseek to data or hole, copy_file_range.
 *
 * The evaluator does as much as one entry may. A fallocate or lseek goes on where that ended, as a new op on
 * the same kernel request; of a copy the kernel is told how far it came, and its caller asks again. None of
 * them waits for a notifier: the kernel holds pages of the inode meanwhile (notify.h), and drops those that
 * changed by itself.
 */
#include <errno.h>
#include <linux/falloc.h>

#include "fs/fuse/front.h"

/* ---- fallocate ---- */

static void fallocate_from(fuse_req_t req, uint64_t ino, uint64_t fh, uint32_t mode,
			   uint64_t off, uint64_t len);

static void done_fallocate(struct op *op, int status, const struct fs_reply *reply)
{
	uint64_t count = status == 0 ? reply->count : 0;

	if (status == -ENOLCK || (status == 0 && (!reply->has_attr || count == 0 || count > op->left)))
		status = -EIO;
	if (status < 0) {
		op_reply_error(op, status);
		return;
	}
	kinode_wrote(&op->fuse->inodes, &reply->attr, reply->old_data_version,
		     op->flags & FALLOC_FL_KEEP_SIZE ? 0 : op->offset + count);
	if (count < op->left)
		fallocate_from(op->req, op->ino, op->fh, op->flags, op->offset + count,
			       op->left - count);
	else
		fuse_reply_err(op->req, 0);
}

static void fallocate_from(fuse_req_t req, uint64_t ino, uint64_t fh, uint32_t mode, uint64_t off,
			   uint64_t len)
{
	struct op *op = op_new(req, done_fallocate);
	struct fs_request rq = { .op = mode & FALLOC_FL_PUNCH_HOLE ? FS_PUNCH : FS_ALLOCATE,
				 .ino = ino,
				 .offset = off,
				 .size = len };

	if (rq.op == FS_ALLOCATE)
		rq.flags = (mode & FALLOC_FL_KEEP_SIZE ? FS_ALLOCATE_KEEP_SIZE : 0) |
			   (mode & FALLOC_FL_ZERO_RANGE ? FS_ALLOCATE_ZERO : 0);
	int ret = klock_use(&op->fuse->locks, ino, fh, &rq.ino2);

	if (ret < 0) {
		op_reply_now(op, ret);
		return;
	}
	op->ino = ino;
	op->fh = fh;
	op->flags = mode;
	op->offset = off;
	op->left = len;
	op->changes = true;
	op_submit(op, &rq);
}

static void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len,
			 struct fuse_file_info *fi)
{
	switch (mode) {
	case 0:
	case FALLOC_FL_KEEP_SIZE:
	case FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE:
	case FALLOC_FL_ZERO_RANGE:
	case FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE:
		fallocate_from(req, ino, fi->fh, (uint32_t)mode, (uint64_t)off, (uint64_t)len);
		break;
	default:
		fuse_reply_err(req, EOPNOTSUPP);
	}
}

/* ---- lseek ---- */

static void seek_from(fuse_req_t req, uint64_t ino, uint32_t whence, uint64_t off);

static void done_lseek(struct op *op, int status, const struct fs_reply *reply)
{
	if (status < 0)
		op_reply_error(op, status);
	else if (reply->count > 0 && reply->offset > op->offset)
		seek_from(op->req, op->ino, op->flags, reply->offset);
	else
		fuse_reply_lseek(op->req, (off_t)reply->offset);
}

static void seek_from(fuse_req_t req, uint64_t ino, uint32_t whence, uint64_t off)
{
	struct op *op = op_new(req, done_lseek);

	op->ino = ino;
	op->flags = whence;
	op->offset = off;
	op_submit(op, &(struct fs_request){
			      .op = FS_SEEK, .ino = ino, .offset = off, .flags = whence });
}

static void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
		     struct fuse_file_info *fi)
{
	(void)fi;
	seek_from(req, ino, (uint32_t)whence, (uint64_t)off);
}

/* ---- copy_file_range ---- */

static void done_copy(struct op *op, int status, const struct fs_reply *reply)
{
	if (status < 0) {
		op_reply_error(op, status);
		return;
	}
	if (reply->has_attr && reply->count > 0)
		kinode_wrote(&op->fuse->inodes, &reply->attr, reply->old_data_version,
			     op->offset + reply->count);
	fuse_reply_write(op->req, reply->count);
}

static void op_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t off_in,
			       struct fuse_file_info *fi_in, fuse_ino_t ino_out, off_t off_out,
			       struct fuse_file_info *fi_out, size_t len, int flags)
{
	struct op *op = op_new(req, done_copy);
	uint8_t to[sizeof(uint64_t)];
	struct fs_request rq = { .op = FS_COPY_RANGE,
				 .ino = ino_in,
				 .ino2 = ino_out,
				 .offset = (uint64_t)off_in,
				 .size = len,
				 .data = to,
				 .data_len = sizeof(to) };

	struct klock_table *locks = &op->fuse->locks;
	uint64_t fence_in, fence_out;

	(void)flags; /* none exist */
	if (klock_use(locks, ino_in, fi_in->fh, &fence_in) < 0 ||
	    klock_use(locks, ino_out, fi_out->fh, &fence_out) < 0) {
		op_reply_now(op, -EIO);
		return;
	}
	/* Under locks the kernel reads and writes instead, and each of those is held against them. */
	if (fence_in != 0 || fence_out != 0) {
		op_reply_now(op, -EOPNOTSUPP);
		return;
	}
	store_le64(to, (uint64_t)off_out);
	op->ino = ino_out;
	op->offset = (uint64_t)off_out;
	op->changes = true;
	op_submit(op, &rq);
}

void ops_space_fill(struct fuse_lowlevel_ops *ops)
{
	ops->fallocate = op_fallocate;
	ops->lseek = op_lseek;
	ops->copy_file_range = op_copy_file_range;
}
