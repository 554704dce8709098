/* ops_link.c - names of inodes: link, unlink, rename, and inodes that are made whole at once. */
#include <string.h>

#include "fs/fuse/front.h"

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	op_submit(op_new(req, op_done_entry), &(struct fs_request){ .op = FS_LINK,
								    .ino = ino,
								    .ino2 = parent,
								    .name = name,
								    .name_len = strlen(name) });
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	op_submit(op_new(req, op_done_status),
		  &(struct fs_request){
			  .op = FS_UNLINK, .ino = parent, .name = name, .name_len = strlen(name) });
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t parent2,
		      const char *name2, unsigned int flags)
{
	op_submit(op_new(req, op_done_status), &(struct fs_request){ .op = FS_RENAME,
								     .ino = parent,
								     .name = name,
								     .name_len = strlen(name),
								     .ino2 = parent2,
								     .name2 = name2,
								     .name2_len = strlen(name2),
								     .flags = flags });
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	op_submit(op_new(req, op_done_entry), &(struct fs_request){ .op = FS_SYMLINK,
								    .ino = parent,
								    .name = name,
								    .name_len = strlen(name),
								    .data = target,
								    .data_len = strlen(target) });
}

static void done_readlink(struct op *op, int status, const struct fs_reply *reply)
{
	if (status < 0)
		op_reply_error(op, status);
	else
		fuse_reply_buf(op->req, reply->data, reply->data_len);
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct op *op = op_new(req, done_readlink);

	atime_note(&op->fuse->atimes, ino, 0);
	op_submit(op, &(struct fs_request){ .op = FS_READLINK, .ino = ino });
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	op_submit(op_new(req, op_done_entry),
		  &(struct fs_request){ .op = FS_MKNOD,
					.ino = parent,
					.name = name,
					.name_len = strlen(name),
					.mode = mode,
					.valid = fuse_req_ctx(req)->umask,
					.rdev = (uint32_t)rdev });
}

void ops_link_fill(struct fuse_lowlevel_ops *ops)
{
	ops->link = op_link;
	ops->unlink = op_unlink;
	ops->rename = op_rename;
	ops->symlink = op_symlink;
	ops->readlink = op_readlink;
	ops->mknod = op_mknod;
}
