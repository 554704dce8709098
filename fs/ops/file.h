/*
 * file.h - a regular file's bytes: which blocks are stored, and how its end moves.
 *
 * Between operations: no row lies at or behind the block where the size ends, but for the stale ones at
 * trunc_from and above while a truncate is pending; bytes of the last block behind the size are zeros. So
 * growing a file needs no more than a new size.
 */
#ifndef FS_OPS_FILE_H
#define FS_OPS_FILE_H

#include "fs/ops/inode.h"

/* Rows of n in [first, end), counted up to limit; *after is the block behind the last one counted. */
int file_count_rows(struct eval *ev, const struct inode *n, uint32_t first, uint32_t end,
		    uint32_t limit, uint32_t *count, uint32_t *after);

/*
 * Sets the size; n is not stored. What lies behind a smaller size is dropped at once, or left to
 * FS_RECLAIM if it is more than FS_RECLAIM_BLOCKS rows. -EFBIG, EVAL_BLOCKED (growing into a pending
 * truncate), else only the store's errors. Moves mtime, ctime and data version.
 */
int file_truncate(struct eval *ev, struct inode *n, uint64_t size);

#endif
