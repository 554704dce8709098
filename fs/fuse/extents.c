/* extents.c - see extents.h. */
#include "fs/fuse/extents.h"

#include "fs/fs.h"

static uint64_t end_of(const struct extent *e)
{
	return e->offset + e->data.len;
}

/* The first piece that ends behind offset. */
static size_t first_behind(const struct extents *x, uint64_t offset)
{
	size_t lo = 0, hi = x->count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (end_of(&x->v[mid]) <= offset)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

void extents_release(struct extents *x)
{
	for (size_t i = 0; i < x->count; i++)
		buf_release(&x->v[i].data);
	free(x->v);
	*x = (struct extents){ .count = 0 };
}

static void insert(struct extents *x, size_t at, uint64_t offset, const void *data, size_t len)
{
	if (x->count == x->cap) {
		x->cap = x->cap ? 2 * x->cap : 16;
		x->v = mem_realloc(x->v, x->cap * sizeof(*x->v));
	}
	memmove(&x->v[at + 1], &x->v[at], (x->count - at) * sizeof(*x->v));
	x->v[at] = (struct extent){ .offset = offset };
	buf_put(&x->v[at].data, data, len);
	x->count++;
	x->bytes += len;
}

static void drop(struct extents *x, size_t first, size_t count)
{
	for (size_t i = first; i < first + count; i++) {
		x->bytes -= x->v[i].data.len;
		buf_release(&x->v[i].data);
	}
	memmove(&x->v[first], &x->v[first + count], (x->count - first - count) * sizeof(*x->v));
	x->count -= count;
}

static void cut(struct extents *x, size_t i, size_t len)
{
	x->bytes -= x->v[i].data.len - len;
	buf_resize(&x->v[i].data, len);
}

/* Makes [offset, end) free of pieces; returns where a new one belongs. */
static size_t clear(struct extents *x, uint64_t offset, uint64_t end)
{
	size_t at = first_behind(x, offset), last;

	if (at < x->count && x->v[at].offset < offset) {
		struct extent *e = &x->v[at];

		/* What reaches beyond the end goes on as a piece of its own. */
		if (end_of(e) > end)
			insert(x, at + 1, end, x->v[at].data.data + (end - e->offset), (size_t)(end_of(e) - end));
		cut(x, at, (size_t)(offset - x->v[at].offset));
		at++;
	}
	for (last = at; last < x->count && end_of(&x->v[last]) <= end; last++)
		;
	drop(x, at, last - at);
	if (at < x->count && x->v[at].offset < end) {
		size_t gone = (size_t)(end - x->v[at].offset), left = x->v[at].data.len - gone;

		memmove(x->v[at].data.data, x->v[at].data.data + gone, left);
		x->v[at].offset = end;
		cut(x, at, left);
	}
	return at;
}

void extents_put(struct extents *x, uint64_t offset, const void *data, size_t len)
{
	uint64_t end = offset + len;
	size_t at = first_behind(x, offset);

	if (at < x->count && x->v[at].offset <= offset && end <= end_of(&x->v[at])) {
		memcpy(x->v[at].data.data + (offset - x->v[at].offset), data, len);
		return;
	}
	at = clear(x, offset, end);
	/* One behind the other, as most files are written. */
	if (at > 0 && end_of(&x->v[at - 1]) == offset && x->v[at - 1].data.len + len <= FS_IO_MAX) {
		buf_put(&x->v[at - 1].data, data, len);
		x->bytes += len;
		return;
	}
	insert(x, at, offset, data, len);
}

bool extents_overlap(const struct extents *x, uint64_t offset, uint64_t len)
{
	size_t at = first_behind(x, offset);

	return at < x->count && x->v[at].offset < offset + len;
}

const uint8_t *extents_find(const struct extents *x, uint64_t offset, uint64_t len)
{
	size_t at = first_behind(x, offset);

	if (at == x->count || x->v[at].offset > offset || end_of(&x->v[at]) < offset + len)
		return NULL;
	return x->v[at].data.data + (offset - x->v[at].offset);
}

void extents_encode(const struct extents *x, struct buf *out)
{
	buf_reserve(out, (size_t)x->bytes + x->count * FS_EXTENT_HEAD_SIZE);
	for (size_t i = 0; i < x->count; i++)
		fs_extent_encode(&(struct fs_extent){ .offset = x->v[i].offset,
						      .len = (uint32_t)x->v[i].data.len,
						      .data = x->v[i].data.data },
				 out);
}
