/*
 * ops_dir.c - directories. An open directory keeps no position here: the kernel's offset is the cookie
 * of the last entry it got, and stays valid while the directory changes. But it is counted: a directory
 * that is removed lives until it is closed, like a file.
 */
#include <linux/fuse.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "fs/fuse/front.h"

static void reply_opendir(fuse_req_t req, fuse_ino_t ino, const struct fuse_file_info *fi)
{
	struct fs_fuse *fuse = fuse_req_userdata(req);

	kinode_open(&fuse->inodes, ino);
	if (fuse_reply_open(req, fi) < 0)
		kinode_close(&fuse->inodes, ino); /* interrupted: no RELEASEDIR will come */
}

static void done_opendir_access(struct op *op, int status, const struct fs_reply *reply)
{
	struct fuse_file_info fi = { .flags = (int)op->flags };

	(void)reply;
	if (status < 0)
		op_reply_error(op, status);
	else
		reply_opendir(op->req, op->ino, &fi);
}

static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	/* The LOOKUP or GETATTR before it has found the directory. */
	if (!op_is_squashed(req)) {
		reply_opendir(req, ino, fi);
		return;
	}
	struct op *op = op_new(req, done_opendir_access);

	op->ino = ino;
	op->flags = (uint32_t)fi->flags;
	op_submit(op, &(struct fs_request){ .op = FS_ACCESS, .ino = ino, .mode = R_OK });
}

static void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs_fuse *fuse = fuse_req_userdata(req);

	(void)fi;
	kinode_close(&fuse->inodes, ino);
	fuse_reply_err(req, 0);
}

/* Every change was durable when it was answered. */
static void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)ino;
	(void)datasync;
	(void)fi;
	fuse_reply_err(req, 0);
}

/* Appends one entry in the kernel's format; false when the caller's buffer has no room for it. */
static bool put_dirent(struct buf *out, size_t room, const struct fs_dirent *d)
{
	size_t len = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + d->name_len);
	struct fuse_dirent head = {
		.ino = d->ino,
		.off = d->cookie,
		.namelen = (uint32_t)d->name_len,
		.type = (d->mode & S_IFMT) >> 12,
	};

	if (out->len + len > room)
		return false;
	size_t pad = len - FUSE_NAME_OFFSET - d->name_len;

	buf_put(out, &head, FUSE_NAME_OFFSET);
	buf_put(out, d->name, d->name_len);
	buf_put_zeros(out, pad);
	return true;
}

static void done_readdir(struct op *op, int status, const struct fs_reply *reply)
{
	struct buf out = BUF_INIT;
	struct fs_dirent d;

	if (status < 0) {
		op_reply_error(op, status);
		return;
	}
	const uint8_t *data = reply->data;
	size_t len = reply->data_len;

	/* What does not fit is asked for again, by its cookie. */
	while (fs_dirent_next(&data, &len, &d) && put_dirent(&out, op->size, &d))
		;
	fuse_reply_buf(op->req, (const char *)out.data, out.len);
	buf_release(&out);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		       struct fuse_file_info *fi)
{
	struct op *op = op_new(req, done_readdir);

	op->size = size;
	if (!op->fuse->options.nodiratime)
		atime_note(&op->fuse->atimes, ino, (uint32_t)fi->flags);
	op_submit(op,
		  &(struct fs_request){
			  .op = FS_READDIR, .ino = ino, .offset = (uint64_t)off, .size = size });
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	op_submit(op_new(req, op_done_entry),
		  &(struct fs_request){ .op = FS_MKDIR,
					.ino = parent,
					.name = name,
					.name_len = strlen(name),
					.mode = mode & 07777,
					.valid = fuse_req_ctx(req)->umask });
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	op_submit(op_new(req, op_done_status),
		  &(struct fs_request){
			  .op = FS_RMDIR, .ino = parent, .name = name, .name_len = strlen(name) });
}

void ops_dir_fill(struct fuse_lowlevel_ops *ops)
{
	ops->opendir = op_opendir;
	ops->releasedir = op_releasedir;
	ops->fsyncdir = op_fsyncdir;
	ops->readdir = op_readdir;
	ops->mkdir = op_mkdir;
	ops->rmdir = op_rmdir;
}
