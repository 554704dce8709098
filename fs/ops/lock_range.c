/* lock_range.c - see lock_range.h. */
#include "fs/ops/lock_range.h"

/* Also with nothing between them. Ends are at most FS_LOCK_END_MAX, so that one more is no overflow. */
static bool touches(const struct lock_range *a, const struct lock_range *b)
{
	return a->start <= b->end + 1 && b->start <= a->end + 1;
}

size_t lock_range_set(const struct lock_range *old, size_t count, struct lock_range set,
		      struct lock_range *out)
{
	const uint64_t start = set.start, end = set.end;
	bool placed = set.type == FS_LOCK_UNLOCK;
	size_t n = 0;

	/* Ranges of the same type that touch become part of it. */
	for (size_t i = 0; i < count && set.type != FS_LOCK_UNLOCK; i++) {
		if (old[i].type != set.type || !touches(&old[i], &set))
			continue;
		set.start = min_u64(set.start, old[i].start);
		set.end = max_u64(set.end, old[i].end);
	}
	for (size_t i = 0; i < count; i++) {
		struct lock_range rest = old[i];

		if (rest.type == set.type &&
		    lock_range_overlaps(rest.start, rest.end, set.start, set.end))
			continue;
		if (!placed && rest.start > set.start) {
			out[n++] = set;
			placed = true;
		}
		if (!lock_range_overlaps(rest.start, rest.end, start, end)) {
			out[n++] = rest;
			continue;
		}
		if (rest.start < start)
			out[n++] =
				(struct lock_range){ rest.start, start - 1, rest.type, rest.pid };
		if (!placed && rest.end > end) {
			out[n++] = set;
			placed = true;
		}
		if (rest.end > end)
			out[n++] = (struct lock_range){ end + 1, rest.end, rest.type, rest.pid };
	}
	if (!placed)
		out[n++] = set;
	return n;
}
