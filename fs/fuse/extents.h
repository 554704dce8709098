/*
 * extents.h - bytes written to a file and not sent yet: pieces in ascending order that do not touch each other's
 * bytes; what is written later takes the place of what was there.
 */
#ifndef FS_FUSE_EXTENTS_H
#define FS_FUSE_EXTENTS_H

#include "base/base.h"
#include "base/buf.h"

struct extent {
	uint64_t offset;
	struct buf data; /* never empty */
};

struct extents {
	struct extent *v;
	size_t count, cap;
	uint64_t bytes; /* of all */
};

void extents_release(struct extents *x); /* leaves it empty */
void extents_put(struct extents *x, uint64_t offset, const void *data, size_t len);
bool extents_overlap(const struct extents *x, uint64_t offset, uint64_t len);
/* All of it lies in one piece: its bytes, borrowed; else NULL. */
const uint8_t *extents_find(const struct extents *x, uint64_t offset, uint64_t len);
/* As the data of FS_GATHERED. */
void extents_encode(const struct extents *x, struct buf *out);

#endif
