/* file.c - regular files: create, open, read, write, and truncation. See file.h. */
#include "fs/ops/file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/mark.h"
#include "fs/ops/acl.h"
#include "fs/ops/delegation.h"
#include "fs/ops/orphan.h"
#include "fs/request.h"

/* ---- rows ----------------------------------------------------------------------------------------- */

static bool truncate_pending(const struct inode *n)
{
	return n->rec.trunc_from != INODE_NO_TRUNCATE;
}

bool file_is_dense(const struct inode *n)
{
	return !truncate_pending(n) && n->rec.size <= KV_FILE_SIZE_MAX &&
	       n->rec.block_count == file_blocks_of(n->rec.size);
}

/* The file may not grow beyond this while stale rows wait there. */
bool file_grows_into_stale(struct eval *ev, const struct inode *n, uint64_t size)
{
	if (!truncate_pending(n) || size <= (uint64_t)n->rec.trunc_from * KV_BLOCK_SIZE)
		return false;
	MARK("fs.write.blocked-by-stale-rows");
	ev->blocked_ino = n->ino;
	return true;
}

int file_count_rows(struct eval *ev, const struct inode *n, uint32_t first, uint32_t end,
		    uint32_t limit, uint32_t *count, uint32_t *after)
{
	uint32_t at = first;

	*count = 0;
	*after = first;
	while (*count < limit && at < end) {
		uint32_t block;
		int ret = eval_store_error(kv_txn_next_block(ev->txn, n->ino, at, &block));

		if (ret == -ENOENT || (ret == 0 && block >= end))
			return 0;
		if (ret < 0)
			return ret;
		++*count;
		*after = at = block + 1;
	}
	return 0;
}

/* Live rows in [first, end), but not more than one above what one entry drops. */
static int count_to_drop(struct eval *ev, const struct inode *n, uint32_t first, uint32_t *count,
			 uint32_t *end)
{
	*end = truncate_pending(n) ? n->rec.trunc_from : KV_BLOCKS_PER_INO;
	if (file_is_dense(n)) {
		*end = n->rec.block_count;
		*count = *end > first ? *end - first : 0;
		return 0;
	}
	return file_count_rows(ev, n, first, *end, eval_step_blocks(ev) + 1, count, end);
}

/* ---- zeros ---------------------------------------------------------------------------------------- */

/* Bytes [from, to) of one block, not all of it. Its row stays if there is one: a row of no bytes is none. */
static int zero_part(struct eval *ev, const struct inode *n, uint32_t block, uint32_t from,
		     uint32_t to)
{
	uint64_t at = (uint64_t)block * KV_BLOCK_SIZE;
	uint32_t next = block;
	int ret = 0;

	if (!file_is_dense(n))
		ret = eval_store_error(kv_txn_next_block(ev->txn, n->ino, block, &next));
	if (ret < 0 || next != block)
		return ret == -ENOENT ? 0 : ret;
	if (from == 0)
		kv_txn_write(ev->txn, n->ino, at, "", 1);
	from = from == 0 ? 1 : from;
	if (from < to)
		kv_txn_punch(ev->txn, n->ino, at + from, to - from);
	return 0;
}

/* Whole blocks [first, end), as many rows as one entry may drop; *after: where it stopped. */
static int zero_blocks(struct eval *ev, struct inode *n, uint32_t first, uint32_t end,
		       uint32_t *after)
{
	uint32_t limit = eval_step_blocks(ev), count;
	int ret = 0;

	if (file_is_dense(n)) {
		count = (uint32_t)min_u64(limit, end - first);
		*after = first + count;
	} else {
		ret = file_count_rows(ev, n, first, end, limit, &count, after);
		if (count < limit)
			*after = end;
	}
	if (ret < 0 || count == 0)
		return ret;
	kv_txn_drop_blocks(ev->txn, n->ino, first, *after - first);
	n->rec.block_count -= count;
	return 0;
}

int file_zero(struct eval *ev, struct inode *n, uint64_t off, uint64_t end, uint64_t *reached)
{
	/* Behind the size all bytes are zeros: a range that reaches it takes the last block whole. */
	uint64_t live = (uint64_t)file_blocks_of(n->rec.size) * KV_BLOCK_SIZE;
	uint64_t stop = end >= n->rec.size ? live : min_u64(end, live);
	uint32_t first = file_blocks_of(off), last = (uint32_t)(stop / KV_BLOCK_SIZE), after;
	int ret = 0;

	*reached = end;
	if (off >= stop)
		return 0;
	if (first > last)
		return zero_part(ev, n, last, off % KV_BLOCK_SIZE, stop % KV_BLOCK_SIZE);
	if (off % KV_BLOCK_SIZE > 0)
		ret = zero_part(ev, n, first - 1, off % KV_BLOCK_SIZE, KV_BLOCK_SIZE);
	if (ret == 0 && stop % KV_BLOCK_SIZE > 0)
		ret = zero_part(ev, n, last, 0, stop % KV_BLOCK_SIZE);
	if (ret == 0)
		ret = zero_blocks(ev, n, first, last, &after);
	if (ret == 0 && after < last) {
		MARK("fs.zero.in-steps");
		*reached = (uint64_t)after * KV_BLOCK_SIZE;
	}
	return ret;
}

/* ---- truncation ----------------------------------------------------------------------------------- */

static void put_pending_truncate(struct eval *ev, const struct inode *n)
{
	struct key k;

	key_ino(&k, KEY_TRUNCATE, n->ino);
	truncate_rec_encode(eval_record(ev));
	eval_put(ev, &k);
}

static int shrink(struct eval *ev, struct inode *n, uint64_t size)
{
	uint32_t first = file_blocks_of(size);
	uint64_t block_end = min_u64((uint64_t)first * KV_BLOCK_SIZE, n->rec.size);
	uint32_t count, end;
	int ret = count_to_drop(ev, n, first, &count, &end);

	if (ret < 0)
		return ret;
	MARK_IF(truncate_pending(n), "fs.truncate.while-one-is-pending");
	if (count > eval_step_blocks(ev)) {
		MARK("fs.truncate.left-to-reclaim");
		n->rec.trunc_from = first;
		put_pending_truncate(ev, n);
	} else if (count > 0) {
		kv_txn_drop_blocks(ev->txn, n->ino, first, end - first);
		n->rec.block_count -= count;
	}
	if (size < block_end)
		kv_txn_punch(ev->txn, n->ino, size, block_end - size);
	return 0;
}

int file_truncate(struct eval *ev, struct inode *n, uint64_t size)
{
	int ret = 0;

	if (size > FS_SIZE_MAX)
		return -EFBIG;
	if (file_grows_into_stale(ev, n, size))
		return EVAL_BLOCKED;
	if (size < n->rec.size)
		ret = shrink(ev, n, size);
	n->rec.size = size;
	inode_touch_data(ev, n);
	return ret;
}

static int truncate_by_open(struct eval *ev, struct inode *n)
{
	int ret;

	ev->reply.old_data_version = n->rec.data_version;
	ret = file_truncate(ev, n, 0);
	if (ret == 0)
		ret = inode_kill_priv(ev, n, false);
	return ret == 0 ? inode_store(ev, n) : ret;
}

/* ---- open and create ------------------------------------------------------------------------------ */

int eval_open(struct eval *ev)
{
	return eval_getattr(ev);
}

int eval_open_trunc(struct eval *ev)
{
	struct inode n;
	int ret = inode_load_file(ev, ev->rq->ino, &n);

	if (ret == 0)
		ret = truncate_by_open(ev, &n);
	if (ret == 0)
		inode_reply(ev, &n);
	return ret;
}

static int create_new(struct eval *ev, struct inode *dir, struct name name)
{
	struct inode n;
	int ret = dir_init_new(ev, dir, S_IFREG | (ev->rq->mode & 07777), &n);

	if (ret == 0)
		ret = dir_store_new(ev, dir, name, &n);
	if (ret < 0)
		return ret;
	ev->reply.created = true;
	return delegation_grant(ev, &n);
}

/*
 * The caller's kernel believed that the name was free, so it has not checked whether the caller may
 * open what is there. Where mode and primary group do not prove it, the kernel has to look again: 0, else
 * 1, or the store's errors.
 */
static int may_open(struct eval *ev, const struct inode *n)
{
	const struct fs_request *rq = ev->rq;
	const struct inode_rec *rec = &n->rec;
	uint32_t acc = rq->flags & O_ACCMODE;
	uint32_t want =
		(acc != O_WRONLY ? 4 : 0) | (acc != O_RDONLY || (rq->flags & O_TRUNC) ? 2 : 0);
	uint32_t group = rec->mode >> 3, other = rec->mode;
	int ret;

	if (rq->uid == 0)
		return true;
	if (rq->uid == rec->uid)
		return (rec->mode >> 6 & want) == want;
	/* Then the mode does not say who may. */
	ret = acl_is_there(ev, n);
	if (ret != 0)
		return ret < 0 ? ret : 0;
	if (rq->gid == rec->gid)
		return (group & want) == want;
	/* It may be one of the caller's other groups. */
	return (group & other & want) == want;
}

/* -ESTALE makes the kernel walk the path again, and then open what it finds in the ordinary way. */
static int open_existing(struct eval *ev, uint64_t ino)
{
	const struct fs_request *rq = ev->rq;
	struct inode n;
	int ret;

	if (rq->flags & O_EXCL)
		return -EEXIST;
	ret = inode_load_named(ev, ino, &n);
	if (ret < 0)
		return ret;
	if (S_ISDIR(n.rec.mode))
		return -EISDIR;
	ret = S_ISREG(n.rec.mode) ? may_open(ev, &n) : 0;
	if (ret < 0)
		return ret;
	if (ret == 0) {
		MARK("fs.create.kernel-must-look-again");
		return -ESTALE;
	}
	/* Whoever gathers writes orders them by what is done to the inode, which this request does not name. */
	if ((rq->flags & O_TRUNC) && (n.rec.flags & INODE_DELEGATED)) {
		MARK("fs.create.delegated-must-look-again");
		return -ESTALE;
	}
	MARK("fs.create.other-was-quicker");
	ev->reply.old_data_version = n.rec.data_version;
	ret = rq->flags & O_TRUNC ? truncate_by_open(ev, &n) : 0;
	if (ret == 0)
		inode_reply(ev, &n);
	return ret;
}

int eval_create(struct eval *ev)
{
	const struct fs_request *rq = ev->rq;
	struct name name = { rq->name, rq->name_len };
	struct dentry_rec d;
	struct inode dir;
	int ret = name_check_normal(name, rq->flags & O_EXCL ? -EEXIST : -EISDIR);

	if (ret == 0)
		ret = inode_load_dir(ev, rq->ino, &dir);
	if (ret < 0)
		return ret;
	ret = dentry_load(ev, dir.ino, name, &d);
	if (ret == -ENOENT)
		return create_new(ev, &dir, name);
	return ret < 0 ? ret : open_existing(ev, d.ino);
}

/* As CREATE would make it; whoever made it holds it, or it is reclaimed. */
int eval_tmpfile(struct eval *ev)
{
	struct inode dir, n;
	int ret = inode_load_dir(ev, ev->rq->ino, &dir);

	if (ret == 0)
		ret = inode_init_new(ev, &dir, S_IFREG | (ev->rq->mode & 07777), &n);
	if (ret == 0)
		ret = acl_inherit(ev, &dir, &n);
	if (ret < 0)
		return ret;
	n.rec.nlink = 0;
	n.rec.flags = ev->rq->flags & O_EXCL ? 0 : INODE_LINKABLE;
	ret = orphan_add(ev, &n);
	if (ret == 0)
		inode_reply(ev, &n);
	return ret < 0 ? ret : delegation_grant(ev, &n);
}

/* ---- data ----------------------------------------------------------------------------------------- */

int eval_read(struct eval *ev)
{
	const struct fs_request *rq = ev->rq;
	struct inode n;
	uint64_t len = 0, stored;
	uint8_t *room;
	int ret = inode_load_file(ev, rq->ino, &n);

	if (ret < 0)
		return ret;
	/* Stale rows lie behind the size, so what is read is never theirs. */
	if (rq->offset < n.rec.size)
		len = min_u64(min_u64(rq->size, FS_IO_MAX), n.rec.size - rq->offset);
	ev->reply.count = len;
	room = fs_reply_encode_room(&ev->reply, (size_t)len, &ev->encoded);
	stored = rq->offset < KV_FILE_SIZE_MAX ? min_u64(len, KV_FILE_SIZE_MAX - rq->offset) : 0;
	if (stored < len)
		memset(room + stored, 0, (size_t)(len - stored));
	if (stored == 0)
		return 0;
	ret = kv_txn_read(ev->txn, n.ino, rq->offset, room, (size_t)stored);
	return ret == 0 || ret == -EUCLEAN ? ret : -EIO;
}

/* Blocks of [first, last] that have no row yet. */
static int count_missing(struct eval *ev, const struct inode *n, uint32_t first, uint32_t last,
			 uint32_t *missing)
{
	uint32_t live = file_blocks_of(n->rec.size);
	uint32_t count = 0, after;
	int ret = 0;

	if (file_is_dense(n))
		count = live > first ? (uint32_t)min_u64(live, last + 1) - first : 0;
	else {
		MARK("fs.write.sparse-file");
		ret = file_count_rows(ev, n, first, last + 1, last + 1 - first, &count, &after);
	}
	*missing = last + 1 - first - count;
	return ret;
}

int file_changed(struct eval *ev, struct inode *n)
{
	int ret;

	inode_touch_data(ev, n);
	ret = inode_kill_priv(ev, n, false);
	return ret < 0 ? ret : inode_store(ev, n);
}

int file_put(struct eval *ev, struct inode *n, uint64_t off, const void *data, size_t len)
{
	uint64_t end = off + len;
	uint32_t missing;
	int ret = count_missing(ev, n, (uint32_t)(off / KV_BLOCK_SIZE),
			    (uint32_t)((end - 1) / KV_BLOCK_SIZE), &missing);
	if (ret < 0)
		return ret;
	kv_txn_write(ev->txn, n->ino, off, data, len);
	n->rec.block_count += missing;
	n->rec.size = max_u64(n->rec.size, end);
	return 0;
}

int file_write(struct eval *ev, struct inode *n, uint64_t off, const void *data, size_t len)
{
	int ret;

	if (file_grows_into_stale(ev, n, off + len))
		return EVAL_BLOCKED;
	ret = file_put(ev, n, off, data, len);
	return ret < 0 ? ret : file_changed(ev, n);
}

int eval_write(struct eval *ev)
{
	const struct fs_request *rq = ev->rq;
	struct inode n;
	uint64_t off, len = rq->data_len;
	int ret = inode_load_file(ev, rq->ino, &n);

	if (ret < 0)
		return ret;
	if (len > FS_IO_MAX)
		return -EINVAL;
	/* The end is ours to know: the caller's may be older than another mount's append. */
	off = rq->flags & O_APPEND ? n.rec.size : rq->offset;
	if (off > KV_FILE_SIZE_MAX || (len > 0 && off == KV_FILE_SIZE_MAX))
		return -EFBIG;
	len = min_u64(len, KV_FILE_SIZE_MAX - off); /* as much as there is room for: write(2) */
	ev->reply.old_data_version = n.rec.data_version;
	ev->reply.offset = off;
	ev->reply.count = len;
	if (len > 0)
		ret = file_write(ev, &n, off, rq->data, (size_t)len);
	if (ret == 0)
		inode_reply(ev, &n);
	return ret < 0 ? ret : delegation_grant(ev, &n);
}
