/* ops_xattr.c - extended attributes; which names exist is the evaluator's business. */
#include <string.h>

#include "base/buf.h"
#include "fs/fuse/front.h"

#define GROUPS_MAX (FS_NAME_MAX / sizeof(uint32_t)) /* of a caller, that a request can name */

static bool is_acl(const char *name)
{
	return strcmp(name, FS_ACL_ACCESS) == 0 || strcmp(name, FS_ACL_DEFAULT) == 0;
}

/* A mount with noacl or nouser_xattr knows no such names. */
static bool is_hidden(const struct fs_fuse *fuse, const char *name)
{
	return (fuse->options.no_acl && is_acl(name)) ||
	       (fuse->options.no_user_xattr && strncmp(name, "user.", 5) == 0);
}

/* True: the request is answered. */
static bool refuse_hidden(fuse_req_t req, const char *name)
{
	if (!is_hidden(fuse_req_userdata(req), name))
		return false;
	fuse_reply_err(req, EOPNOTSUPP);
	return true;
}

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
	if (refuse_hidden(req, name))
		return;
	struct op *op = op_new(req, done_xattr_data);

	op->size = size;
	op_submit(op,
		  &(struct fs_request){
			  .op = FS_GETXATTR, .ino = ino, .name = name, .name_len = strlen(name) });
}

static void done_listxattr(struct op *op, int status, const struct fs_reply *reply)
{
	struct buf names = BUF_INIT;
	struct fs_reply shown;
	size_t len;

	if (status < 0 || (!op->fuse->options.no_acl && !op->fuse->options.no_user_xattr)) {
		done_xattr_data(op, status, reply);
		return;
	}
	for (size_t at = 0; at < reply->data_len; at += len) {
		const char *name = (const char *)reply->data + at;

		len = strnlen(name, reply->data_len - at) + 1;
		if (at + len <= reply->data_len && !is_hidden(op->fuse, name))
			buf_put(&names, name, len);
	}
	shown = *reply;
	shown.data = names.data;
	shown.data_len = names.len;
	done_xattr_data(op, status, &shown);
	buf_release(&names);
}

static void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct op *op = op_new(req, done_listxattr);

	op->size = size;
	op_submit(op, &(struct fs_request){ .op = FS_LISTXATTR, .ino = ino });
}

/*
 * An ACL takes the setgid bit away where the caller is not of the file's group. The evaluator knows the
 * file, we know the caller; who is in more groups than a request holds is of no others.
 */
static void put_groups(fuse_req_t req, struct buf *out)
{
	gid_t groups[GROUPS_MAX];
	int count = fuse_req_getgroups(req, GROUPS_MAX, groups);

	for (int i = 0; i < count && i < (int)GROUPS_MAX; i++)
		buf_put_le32(out, groups[i]);
}

static void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
			size_t size, int flags)
{
	struct buf groups = BUF_INIT;
	struct fs_request rq = { .op = FS_SETXATTR,
				 .ino = ino,
				 .name = name,
				 .name_len = strlen(name),
				 .data = value,
				 .data_len = size,
				 .flags = (uint32_t)flags };

	if (refuse_hidden(req, name))
		return;
	if (is_acl(name) && fuse_req_ctx(req)->uid != 0 && !op_is_squashed(req)) {
		put_groups(req, &groups);
		rq.name2 = (const char *)groups.data;
		rq.name2_len = groups.len;
	}
	op_submit(op_new(req, op_done_status), &rq);
	buf_release(&groups);
}

static void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	if (refuse_hidden(req, name))
		return;
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
