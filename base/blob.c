/* blob.c - see blob.h. */
#include "base/blob.h"

#include "base/buf.h"

struct blob *blob_new(size_t len)
{
	struct blob *b;

	assert(len <= PTRDIFF_MAX - sizeof(*b));
	b = mem_alloc(sizeof(*b) + len);
	atomic_init(&b->refs, 1);
	b->len = len;
	return b;
}

struct blob *blob_from(const void *data, size_t len)
{
	struct blob *b = blob_new(len);

	if (len > 0)
		memcpy(b->data, data, len);
	return b;
}

struct blob *blob_ref(struct blob *b)
{
	if (b)
		atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
	return b;
}

void blob_unref(struct blob *b)
{
	/* Release what this thread did with the bytes; acquire what the others did before freeing. */
	if (b && atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) == 1)
		free(b);
}
