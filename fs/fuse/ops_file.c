/*
 * ops_file.c - open files and their data.
 *
 * READ, WRITE, FSYNC and OPEN with O_TRUNC are answered without waiting for a notifier: the kernel
 * holds pages or write-back of the inode meanwhile (notify.h).
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "fs/fuse/front.h"

/* ---- open and create ---- */

/*
 * Where a written page is in the cache already, the kernel shows the new bytes to other readers on this mount
 * before the write is answered: they would see what another mount, asked later, does not, and what a dead
 * leader may take with it (fuse_fill_write_pages). So what is open for writing does not write through the
 * cache. It costs nothing there, as every write() is sent at once in either way; before Linux 6.6 it would cost
 * shared mappings, so there files open for both keep the cache.
 *
 * With cached pages the kernel splits an append where its own idea of the end of file crosses a page it
 * does not have, and another mount's record could get between the halves. Direct I/O sends it whole.
 *
 * With O_DIRECT alone the kernel still goes by the size that it remembers: it sets the file to that size
 * when a write beyond it fails, whatever another mount appended meanwhile, and fills what a read finds
 * beyond the end up to it with zeros (fuse_direct_IO, generic_file_read_iter). The flag spares it both.
 */
static bool is_direct(const struct fs_fuse *fuse, uint32_t flags)
{
	uint32_t access = flags & O_ACCMODE;

	return fuse->options.direct_io || (flags & (O_APPEND | O_DIRECT)) || access == O_WRONLY ||
	       (access == O_RDWR && fuse->init.maps_direct);
}

/* Is what is written through it durable only when it is synced? */
static bool may_gather(const struct fs_fuse *fuse, fuse_req_t req, uint32_t flags)
{
	return (flags & O_ACCMODE) != O_RDONLY && !(flags & (O_APPEND | O_DIRECT | O_SYNC | O_DSYNC)) &&
	       is_direct(fuse, flags) && !op_is_squashed(req);
}

static struct fuse_file_info file_info(const struct op *op)
{
	uint64_t number = atomic_fetch_add(&op->fuse->next_fh, 1);

	return (struct fuse_file_info){
		.fh = 2 * number + ((op->flags & O_ACCMODE) != O_RDONLY),
		.flags = (int)op->flags,
		.keep_cache = op->keep_cache,
		.direct_io = is_direct(op->fuse, op->flags),
	};
}

static void reply_open(struct op *op)
{
	struct fuse_file_info fi = file_info(op);

	/* A reply that nobody took opened nothing, so no RELEASE will come. */
	if (fuse_reply_open(op->req, &fi) < 0)
		kinode_close(&op->fuse->inodes, op->ino);
}

static void open_failed(struct op *op, int status)
{
	kinode_close(&op->fuse->inodes, op->ino);
	op_reply_error(op, status);
}

static void done_open(struct op *op, int status, const struct fs_reply *reply)
{
	if (status == 0 && !reply->has_attr)
		status = -EIO;
	if (status < 0) {
		open_failed(op, status);
		return;
	}
	op->attr = reply->attr;
	op->keep_cache = kinode_is_current(&op->fuse->inodes, op->ino, op->attr.data_version);
	/* Then reads may be answered without us. */
	if (op->keep_cache && (op->flags & O_ACCMODE) == O_RDONLY)
		atime_note(&op->fuse->atimes, op->ino, op->flags);
	op_finish_coherent(op, reply_open);
}

static void done_open_trunc(struct op *op, int status, const struct fs_reply *reply)
{
	if (status < 0) {
		open_failed(op, status);
		return;
	}
	if (reply->has_attr)
		kinode_changed(&op->fuse->inodes, &reply->attr, reply->old_data_version);
	reply_open(op);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	bool trunc = (fi->flags & O_TRUNC) != 0;
	struct op *op = op_new(req, trunc ? done_open_trunc : done_open);

	op->ino = ino;
	op->flags = (uint32_t)fi->flags;
	op->changes = trunc;
	/* From now on this mount answers "held" when a node asks whether the file may vanish. */
	kinode_open(&op->fuse->inodes, ino);
	op_submit(op, &(struct fs_request){ .op = trunc ? FS_OPEN_TRUNC : FS_OPEN,
					    .ino = ino,
					    .flags = op->flags });
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs_fuse *fuse = fuse_req_userdata(req);

	lock_handle_gone(fuse, ino, fi->fh);
	if (kinode_close(&fuse->inodes, ino))
		klock_forget(&fuse->locks, ino);
	fuse_reply_err(req, 0);
}

static void reply_create(struct op *op)
{
	struct fs_fuse *fuse = op->fuse;
	struct fuse_file_info fi = file_info(op);
	struct fuse_entry_param e;

	op_fill_entry(fuse, &op->attr, &e);
	kinode_lookup(&fuse->inodes, &op->attr);
	if (fuse_reply_create(op->req, &e, &fi) < 0) {
		kinode_close(&fuse->inodes, op->attr.ino);
		kinode_forget(&fuse->inodes, op->attr.ino, 1);
	}
}

static void done_create(struct op *op, int status, const struct fs_reply *reply)
{
	struct fs_fuse *fuse = op->fuse;

	if (status == 0 && !reply->has_attr)
		status = -EIO;
	if (status == 0)
		kinode_open(&fuse->inodes, reply->attr.ino);
	/* After the open count: a query sees one or the other. */
	atomic_fetch_sub(&fuse->creates, 1);
	if (status < 0) {
		op_reply_error(op, status);
		return;
	}
	op->attr = reply->attr;
	op->keep_cache = kinode_is_current(&fuse->inodes, op->attr.ino, op->attr.data_version);
	op->tells_attr = true;
	op_finish_coherent(op, reply_create);
}

/* And TMPFILE, whose name is "/": init.c. */
static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		      struct fuse_file_info *fi)
{
	struct op *op = op_new(req, done_create);
	bool has_name = name[0] != '/';

	op->flags = (uint32_t)fi->flags;
	op->may_gather = may_gather(op->fuse, req, op->flags);
	atomic_fetch_add(&op->fuse->creates, 1);
	op_submit(op, &(struct fs_request){ .op = has_name ? FS_CREATE : FS_TMPFILE,
					    .ino = parent,
					    .name = has_name ? name : NULL,
					    .name_len = has_name ? strlen(name) : 0,
					    .mode = mode & 07777,
					    .valid = fuse_req_ctx(req)->umask,
					    .flags = op->flags });
}

/* ---- data ---- */

static void reply_data(struct op *op)
{
	fuse_reply_buf(op->req, (const char *)op->data.data, op->data.len);
}

static void done_read(struct op *op, int status, const struct fs_reply *reply)
{
	if (status < 0) {
		op_reply_error(op, status);
		return;
	}
	if (op->fence == 0) {
		fuse_reply_buf(op->req, reply->data, min_u64(reply->data_len, op->size));
		return;
	}
	buf_put(&op->data, reply->data, min_u64(reply->data_len, op->size));
	if (!lock_confirm(op, reply_data))
		reply_data(op);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	struct op *op = op_new(req, done_read);
	int ret = klock_use(&op->fuse->locks, ino, fi->fh, &op->fence);

	if (ret < 0) {
		op_reply_now(op, ret);
		return;
	}
	op->ino = ino;
	op->size = size;
	kinode_read(&op->fuse->inodes, ino);
	atime_note(&op->fuse->atimes, ino, (uint32_t)fi->flags);
	op_submit(op, &(struct fs_request){
			      .op = FS_READ, .ino = ino, .offset = (uint64_t)off, .size = size });
}

struct drop {
	struct notice notice;
};

static void drop_done(struct notice *n)
{
	free(CONTAINER_OF(n, struct drop, notice));
}

/* The kernel put the data of an append where it believed the end to be, which was elsewhere. */
static void append_was_elsewhere(struct fs_fuse *fuse, uint64_t ino)
{
	struct drop *d = mem_calloc(1, sizeof(*d));

	kinode_distrust(&fuse->inodes, ino);
	d->notice.ino = ino;
	d->notice.done = drop_done;
	notifier_push(&fuse->notifier, &d->notice);
}

static void done_write(struct op *op, int status, const struct fs_reply *reply)
{
	struct fs_fuse *fuse = op->fuse;
	uint64_t ino = op->ino;

	if (status < 0) {
		op_reply_error(op, status == -ENOLCK ? -EIO : status);
		return;
	}
	bool elsewhere = (op->flags & O_APPEND) && reply->offset != op->offset;

	if (reply->has_attr)
		kinode_wrote(&fuse->inodes, &reply->attr, reply->old_data_version,
			     op->offset + reply->count);
	fuse_reply_write(op->req, reply->count);
	if (elsewhere)
		append_was_elsewhere(fuse, ino);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off,
		     struct fuse_file_info *fi)
{
	struct op *op = op_new(req, done_write);
	struct fs_request rq = {
		.op = FS_WRITE,
		.ino = ino,
		.offset = (uint64_t)off,
		.data = data,
		.data_len = size,
		.flags = fi->writepage ? 0 : (uint32_t)fi->flags & O_APPEND,
	};

	int ret = klock_use(&op->fuse->locks, ino, fi->fh, &rq.ino2);

	if (ret < 0) {
		op_reply_now(op, ret);
		return;
	}
	op->ino = ino;
	op->offset = rq.offset;
	op->flags = rq.flags;
	op->changes = true;
	op->is_writepage = fi->writepage;
	op->may_gather = !fi->writepage && may_gather(op->fuse, req, (uint32_t)fi->flags);
	/* Older kernels keep the pages below direct I/O; as if read, they are not taken for current. */
	if (!fi->writepage && is_direct(op->fuse, (uint32_t)fi->flags))
		kinode_read(&op->fuse->inodes, ino);
	op_submit(op, &rq);
}

/* ---- what was gathered becomes durable ---- */

static void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct op *op = op_new(req, NULL);

	op->ino = ino;
	op->fh = fi->fh;
	op->lock.owner = fi->lock_owner;
	/* Who could not write has nothing to wait for, and no loss to be told of. */
	if (fh_can_write(fi->fh))
		op_sync(op, kinode_opens(&op->fuse->inodes, ino) == 1, lock_flush);
	else
		lock_flush(op, 0);
}

/* Every other write was durable on a majority when it was answered, and the kernel waited for those. */
static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct op *op = op_new(req, NULL);

	(void)datasync;
	op->ino = ino;
	if (fh_can_write(fi->fh))
		op_sync(op, false, op_reply_now);
	else
		op_reply_now(op, 0);
}

static void change_options(fuse_req_t req, const void *in)
{
	const struct fs_fuse *fuse = fuse_req_userdata(req);
	uid_t caller = fuse_req_ctx(req)->uid;
	struct fs_fuse_change *change = mem_dup(in, sizeof(*change));

	change->list[sizeof(change->list) - 1] = '\0';
	change->err = ERR_INIT;
	if (caller != 0 && caller != getuid())
		err_set(&change->err, -EPERM, "only root and who mounted may change a mount");
	else
		fuse->options.change(fuse->options.change_ctx, change);
	fuse_reply_ioctl(req, 0, change, sizeof(*change));
	free(change);
}

static void op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned int cmd, void *arg,
		     struct fuse_file_info *fi, unsigned flags, const void *in, size_t in_size,
		     size_t out_size)
{
	const struct fs_fuse *fuse = fuse_req_userdata(req);

	(void)arg;
	(void)fi;
	(void)flags;
	if (cmd == (unsigned int)FS_FUSE_CHANGE && ino == fuse->options.root_ino && fuse->options.change &&
	    in_size == sizeof(struct fs_fuse_change) && out_size == in_size)
		change_options(req, in);
	else
		fuse_reply_err(req, ENOTTY); /* what isatty() expects */
}

void ops_file_fill(struct fuse_lowlevel_ops *ops)
{
	ops->open = op_open;
	ops->release = op_release;
	ops->create = op_create;
	ops->read = op_read;
	ops->write = op_write;
	ops->flush = op_flush;
	ops->fsync = op_fsync;
	ops->ioctl = op_ioctl;
}
