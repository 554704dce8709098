/* ops_lookup.c - names to inodes, and the kernel forgetting them. */
#include <string.h>

#include "fs/fuse/front.h"

static void done_lookup(struct op *op, int status, const struct fs_reply *reply)
{
	/* Node 0 is how a missing name is told with a time for which it may be believed. */
	if (status == -ENOENT && op->fuse->live.negative_timeout > 0) {
		fuse_reply_entry(op->req,
				 &(struct fuse_entry_param){
					 .entry_timeout = op->fuse->live.negative_timeout });
		return;
	}
	op_done_entry(op, status, reply);
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	op_submit(op_new(req, done_lookup),
		  &(struct fs_request){
			  .op = FS_LOOKUP, .ino = parent, .name = name, .name_len = strlen(name) });
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
	struct fs_fuse *fuse = fuse_req_userdata(req);

	kinode_forget(&fuse->inodes, ino, count);
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	struct fs_fuse *fuse = fuse_req_userdata(req);

	for (size_t i = 0; i < count; i++)
		kinode_forget(&fuse->inodes, forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

void ops_lookup_fill(struct fuse_lowlevel_ops *ops)
{
	ops->lookup = op_lookup;
	ops->forget = op_forget;
	ops->forget_multi = op_forget_multi;
}
