/*
 * lock_range.h - the arithmetic of one owner's byte ranges: what a lock or an unlock makes of them.
 *
 * An owner's ranges on an inode never overlap, and two of the same type never touch.
 */
#ifndef FS_OPS_LOCK_RANGE_H
#define FS_OPS_LOCK_RANGE_H

#include "fs/fs_lock.h"

struct lock_range {
	uint64_t start, end; /* first and last byte */
	uint8_t type;        /* enum fs_lock_type */
	uint32_t pid;
};

static inline bool lock_range_overlaps(uint64_t start, uint64_t end, uint64_t start2, uint64_t end2)
{
	return start <= end2 && start2 <= end;
}

/*
 * old[count]: ascending. Fills out, which has room for count + 2, with what the owner has after set, whose type
 * may be FS_LOCK_UNLOCK: ascending, too. Returns how many.
 */
size_t lock_range_set(const struct lock_range *old, size_t count, struct lock_range set,
		      struct lock_range *out);

#endif
