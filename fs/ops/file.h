/*
 * file.h - a regular file's bytes: which blocks are stored, and how its end moves.
 *
 * Between operations: no row lies at or behind the block where the size ends, but for the stale ones at
 * trunc_from and above while a truncate is pending; bytes of the last block behind the size are zeros. So
 * growing a file needs no more than a new size.
 *
 * A size may be larger than what blocks can be numbered for: what lies behind KV_FILE_SIZE_MAX is a hole, and
 * nothing can be stored there.
 */
#ifndef FS_OPS_FILE_H
#define FS_OPS_FILE_H

#include "fs/ops/inode.h"

/* Rows of n in [first, end), counted up to limit; *after is the block behind the last one counted. */
int file_count_rows(struct eval *ev, const struct inode *n, uint32_t first, uint32_t end,
		    uint32_t limit, uint32_t *count, uint32_t *after);

/* Blocks that size bytes need, of those that there can be. */
static inline uint32_t file_blocks_of(uint64_t size)
{
	size = min_u64(size, KV_FILE_SIZE_MAX);
	return (uint32_t)(size / KV_BLOCK_SIZE + (size % KV_BLOCK_SIZE != 0));
}

/* Every block up to the size is stored: true for all files but sparse ones. */
bool file_is_dense(const struct inode *n);
/* Would size reach stale rows? Then ev->blocked_ino is set: answer EVAL_BLOCKED. */
bool file_grows_into_stale(struct eval *ev, const struct inode *n, uint64_t size);
/* Stores data and counts its rows; n is not stored and no time moves. Stale rows must not be in its way. */
int file_put(struct eval *ev, struct inode *n, uint64_t off, const void *data, size_t len);
/*
 * Makes [off, end) of n zeros, without rows where whole blocks allow; the size stays. n is not stored and
 * no time moves. At most eval_step_blocks() rows go: *reached is where it stopped, end when it did not.
 */
int file_zero(struct eval *ev, struct inode *n, uint64_t off, uint64_t end, uint64_t *reached);
/* Stores data at off, at most FS_IO_MAX bytes that end where a file may; puts n. 0, EVAL_BLOCKED, or the
 * store's errors. */
int file_write(struct eval *ev, struct inode *n, uint64_t off, const void *data, size_t len);
/* What every change of data does beside it: times, version, privileges; puts n. */
int file_changed(struct eval *ev, struct inode *n);

/*
 * Sets the size; n is not stored. What lies behind a smaller size is dropped at once, or left to
 * FS_RECLAIM if it is more than FS_RECLAIM_BLOCKS rows. -EFBIG, EVAL_BLOCKED (growing into a pending
 * truncate), else only the store's errors. Moves mtime, ctime and data version.
 */
int file_truncate(struct eval *ev, struct inode *n, uint64_t size);

#endif
