/* ops_xattr.c - extended attributes; which names exist is the evaluator's business. */
#include <string.h>

#include "fs/fuse/front.h"

/* Size 0 asks for the length; too small a buffer is ERANGE. */
static void done_xattr_data(struct op *op, int status, const struct fs_reply *reply)
{
	if (status == 0 && op->size > 0 && reply->data_len > op->size)
		status = -ERANGE;
	if (status < 0)
		op_reply_error(op, status);
	else if (op->size == 0)
		fuse_reply_xattr(op->req, reply->data_len);
	else
		fuse_reply_buf(op->req, reply->data, reply->data_len);
}

static void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct op *op = op_new(req, done_xattr_data);

	op->size = size;
	op_submit(op,
		  &(struct fs_request){
			  .op = FS_GETXATTR, .ino = ino, .name = name, .name_len = strlen(name) });
}

static void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct op *op = op_new(req, done_xattr_data);

	op->size = size;
	op_submit(op, &(struct fs_request){ .op = FS_LISTXATTR, .ino = ino });
}

static void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
			size_t size, int flags)
{
	op_submit(op_new(req, op_done_status), &(struct fs_request){ .op = FS_SETXATTR,
								     .ino = ino,
								     .name = name,
								     .name_len = strlen(name),
								     .data = value,
								     .data_len = size,
								     .flags = (uint32_t)flags });
}

static void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	op_submit(op_new(req, op_done_status), &(struct fs_request){ .op = FS_REMOVEXATTR,
								     .ino = ino,
								     .name = name,
								     .name_len = strlen(name) });
}

void ops_xattr_fill(struct fuse_lowlevel_ops *ops)
{
	ops->getxattr = op_getxattr;
	ops->listxattr = op_listxattr;
	ops->setxattr = op_setxattr;
	ops->removexattr = op_removexattr;
}
