/*
 * alloc.c - where a file has rows and where holes: fallocate, SEEK_DATA and SEEK_HOLE, copy_file_range.
 *
 * A block is allocated when it has a row; the smallest row is one byte. No request does more than one entry
 * may: it tells how far it came, and is asked again for the rest.
 */
#include <linux/fs.h>

#include "base/mark.h"
#include "fs/ops/file.h"

#define SEEK_ROWS_MAX 65536u /* looked at by one SEEK */

/* First row of n at or behind block: 0, -ENOENT, or the store's errors. */
static int next_row(struct eval *ev, const struct inode *n, uint32_t from, uint32_t *block)
{
	return eval_store_error(kv_txn_next_block(ev->txn, n->ino, from, block));
}

static uint64_t start_of(uint32_t block)
{
	return (uint64_t)block * KV_BLOCK_SIZE;
}

/* ---- fallocate ------------------------------------------------------------------------------------ */

/* A row for each of [first, end) that has none. */
static int fill_missing(struct eval *ev, struct inode *n, uint32_t first, uint32_t end)
{
	if (file_is_dense(n) && end <= n->rec.block_count)
		return 0;
	for (uint32_t at = first; at < end;) {
		uint32_t row = end;
		int ret = next_row(ev, n, at, &row);

		if (ret < 0 && ret != -ENOENT)
			return ret;
		if (ret == -ENOENT || row > end)
			row = end;
		for (; at < row; at++, n->rec.block_count++)
			kv_txn_write(ev->txn, n->ino, start_of(at), "", 1);
		at = row + 1;
	}
	return 0;
}

static int allocate(struct eval *ev, struct inode *n, uint64_t off, uint64_t end)
{
	uint32_t first = (uint32_t)(off / KV_BLOCK_SIZE);
	uint32_t last =
		(uint32_t)min_u64(file_blocks_of(end), (uint64_t)first + eval_step_blocks(ev));
	uint64_t reached = min_u64(end, start_of(last)), zeroed;
	int ret = 0;

	if (file_grows_into_stale(ev, n, reached))
		return EVAL_BLOCKED;
	MARK_IF(reached < end, "fs.allocate.in-steps");
	if (ev->rq->flags & FS_ALLOCATE_ZERO) {
		ret = file_zero(ev, n, off, reached, &zeroed);
		assert(ret < 0 || zeroed == reached); /* no more rows than blocks */
	}
	if (ret == 0)
		ret = fill_missing(ev, n, first, last);
	if (!(ev->rq->flags & FS_ALLOCATE_KEEP_SIZE))
		n->rec.size = max_u64(n->rec.size, reached);
	if (reached < end)
		ev->reply.count = reached - off;
	return ret;
}

int eval_allocate(struct eval *ev)
{
	const struct fs_request *rq = ev->rq;
	struct inode n;
	uint64_t end;
	int ret = inode_load_file(ev, rq->ino, &n);

	if (ret < 0)
		return ret;
	if (rq->size == 0 || (rq->flags & ~(uint32_t)(FS_ALLOCATE_KEEP_SIZE | FS_ALLOCATE_ZERO)))
		return -EINVAL;
	if (rq->offset > KV_FILE_SIZE_MAX || rq->size > KV_FILE_SIZE_MAX - rq->offset)
		return -EFBIG;
	end = rq->offset + rq->size;
	if (rq->flags & FS_ALLOCATE_KEEP_SIZE)
		end = min_u64(end, start_of(file_blocks_of(n.rec.size)));
	ev->reply.old_data_version = n.rec.data_version;
	ev->reply.count = rq->size;
	if (rq->offset < end)
		ret = allocate(ev, &n, rq->offset, end);
	if (ret == 0)
		ret = file_changed(ev, &n);
	if (ret == 0)
		inode_reply(ev, &n);
	return ret;
}

int eval_punch(struct eval *ev)
{
	const struct fs_request *rq = ev->rq;
	uint64_t end = rq->offset + min_u64(rq->size, UINT64_MAX - rq->offset), reached = end;
	struct inode n;
	int ret = inode_load_file(ev, rq->ino, &n);

	if (ret < 0)
		return ret;
	if (rq->size == 0)
		return -EINVAL;
	ev->reply.old_data_version = n.rec.data_version;
	if (rq->offset < n.rec.size)
		ret = file_zero(ev, &n, rq->offset, end, &reached);
	ev->reply.count = reached == end ? rq->size : reached - rq->offset;
	if (ret == 0)
		ret = file_changed(ev, &n);
	if (ret == 0)
		inode_reply(ev, &n);
	return ret;
}

/* ---- SEEK_DATA, SEEK_HOLE ------------------------------------------------------------------------- */

/* The first of blocks from, from + 1, ... without a row, or where the search gave up: *done false. */
static int find_hole(struct eval *ev, const struct inode *n, uint32_t from, uint32_t limit,
		     uint32_t *block, bool *done)
{
	uint32_t end = file_blocks_of(n->rec.size), row;

	*done = true;
	for (*block = from; *block < end; ++*block) {
		int ret;

		if (*block - from == limit) {
			*done = false;
			return 0;
		}
		ret = next_row(ev, n, *block, &row);
		if (ret == -ENOENT || (ret == 0 && row != *block))
			return 0;
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int seek_data(struct eval *ev, const struct inode *n, uint64_t off)
{
	uint32_t block = 0;
	int ret = off < KV_FILE_SIZE_MAX ? next_row(ev, n, (uint32_t)(off / KV_BLOCK_SIZE), &block) : -ENOENT;

	if (ret == -ENOENT || (ret == 0 && start_of(block) >= n->rec.size))
		return -ENXIO;
	if (ret == 0)
		ev->reply.offset = max_u64(off, start_of(block));
	return ret;
}

static int seek_hole(struct eval *ev, const struct inode *n, uint64_t off)
{
	uint32_t block = 0;
	bool done = true;
	int ret = 0;

	if (off < KV_FILE_SIZE_MAX)
		ret = find_hole(ev, n, (uint32_t)(off / KV_BLOCK_SIZE), SEEK_ROWS_MAX, &block, &done);
	/* The end of the file is a hole, wherever it lies. */
	ev->reply.offset = min_u64(max_u64(off, start_of(block)), n->rec.size);
	ev->reply.count = !done;
	return ret;
}

int eval_seek(struct eval *ev)
{
	const struct fs_request *rq = ev->rq;
	struct inode n;
	int ret = inode_load_file(ev, rq->ino, &n);

	if (ret < 0)
		return ret;
	if (rq->flags != SEEK_DATA && rq->flags != SEEK_HOLE)
		return -EINVAL;
	if (rq->offset >= n.rec.size)
		return -ENXIO;
	if (file_is_dense(&n)) {
		ev->reply.offset = rq->flags == SEEK_DATA ? rq->offset : n.rec.size;
		return 0;
	}
	MARK("fs.seek.sparse-file");
	return rq->flags == SEEK_DATA ? seek_data(ev, &n, rq->offset)
				      : seek_hole(ev, &n, rq->offset);
}

/* ---- copy_file_range ------------------------------------------------------------------------------ */

struct copy {
	struct inode src, other;
	struct inode *dst; /* &src when both are one */
	uint64_t from, to, len;
};

/* A hole stays one: what lies in its place goes. */
static int copy_hole(struct eval *ev, struct copy *c)
{
	uint64_t end = c->to + c->len, reached;
	int ret;

	if (file_grows_into_stale(ev, c->dst, end))
		return EVAL_BLOCKED;
	MARK("fs.copy.hole");
	ret = file_zero(ev, c->dst, c->to, end, &reached);
	if (ret < 0)
		return ret;
	c->dst->rec.size = max_u64(c->dst->rec.size, reached);
	ev->reply.count = reached - c->to;
	return file_changed(ev, c->dst);
}

static int copy_data(struct eval *ev, struct copy *c)
{
	uint8_t *data = mem_alloc((size_t)c->len);
	int ret = kv_txn_read(ev->txn, c->src.ino, c->from, data, (size_t)c->len);

	ret = ret == 0 || ret == -EUCLEAN ? ret : -EIO;
	if (ret == 0)
		ret = file_write(ev, c->dst, c->to, data, (size_t)c->len);
	ev->reply.count = c->len;
	free(data);
	return ret;
}

/* One stretch: up to where data or hole ends in the source. */
static int copy_stretch(struct eval *ev, struct copy *c)
{
	uint32_t first = (uint32_t)(min_u64(c->from, KV_FILE_SIZE_MAX) / KV_BLOCK_SIZE), row = 0;
	bool done;
	int ret = next_row(ev, &c->src, first, &row); /* behind the last possible block there is none */

	if (ret < 0 && ret != -ENOENT)
		return ret;
	if (ret == -ENOENT || row > first) {
		if (ret == 0)
			c->len = min_u64(c->len, start_of(row) - c->from);
		return copy_hole(ev, c);
	}
	c->len = min_u64(c->len, FS_IO_MAX);
	if (!file_is_dense(&c->src)) {
		ret = find_hole(ev, &c->src, first, FS_IO_MAX / KV_BLOCK_SIZE + 1, &row, &done);
		if (ret < 0)
			return ret;
		c->len = min_u64(c->len, start_of(row) - c->from);
	}
	return copy_data(ev, c);
}

static int copy_load(struct eval *ev, struct copy *c)
{
	const struct fs_request *rq = ev->rq;
	int ret = inode_load_file(ev, rq->ino, &c->src);

	c->dst = rq->ino2 == rq->ino ? &c->src : &c->other;
	if (ret == 0 && c->dst != &c->src)
		ret = inode_load_file(ev, rq->ino2, c->dst);
	if (ret < 0)
		return ret;
	if (rq->data_len != sizeof(uint64_t))
		return -EINVAL;
	c->from = rq->offset;
	c->to = load_le64(rq->data);
	c->len = c->from < c->src.rec.size ? min_u64(rq->size, c->src.rec.size - c->from) : 0;
	if (c->to > KV_FILE_SIZE_MAX || (c->len > 0 && c->to == KV_FILE_SIZE_MAX))
		return -EFBIG;
	c->len = min_u64(c->len, KV_FILE_SIZE_MAX - c->to);
	if (c->dst == &c->src && c->from < c->to + c->len && c->to < c->from + c->len)
		return -EINVAL;
	return 0;
}

int eval_copy_range(struct eval *ev)
{
	struct copy c;
	int ret = copy_load(ev, &c);

	if (ret < 0)
		return ret;
	ev->reply.old_data_version = c.dst->rec.data_version;
	if (c.len > 0)
		ret = copy_stretch(ev, &c);
	if (ret == 0)
		inode_reply(ev, c.dst);
	return ret;
}
