/* buf.c - see buf.h. */
#include "base/buf.h"

static _Noreturn void mem_die(size_t size_bytes)
{
	fprintf(stderr, "out of memory: %zu bytes\n", size_bytes);
	abort();
}

void *mem_alloc(size_t size_bytes)
{
	void *p = malloc(size_bytes ? size_bytes : 1);

	if (!p)
		mem_die(size_bytes);
	return p;
}

void *mem_calloc(size_t count, size_t size_bytes)
{
	void *p = calloc(count ? count : 1, size_bytes ? size_bytes : 1);

	if (!p)
		mem_die(size_bytes);
	return p;
}

void *mem_realloc(void *ptr, size_t size_bytes)
{
	void *p = realloc(ptr, size_bytes ? size_bytes : 1);

	if (!p)
		mem_die(size_bytes);
	return p;
}

void *mem_dup(const void *data, size_t len)
{
	void *p = mem_alloc(len);

	if (len > 0)
		memcpy(p, data, len);
	return p;
}

char *mem_strdup(const char *text)
{
	return mem_dup(text, strlen(text) + 1);
}

void buf_release(struct buf *b)
{
	free(b->data);
	*b = BUF_INIT;
}

void buf_reset(struct buf *b)
{
	b->len = 0;
}

void buf_reserve(struct buf *b, size_t n)
{
	size_t cap = b->cap ? b->cap : 64;

	if (b->cap - b->len >= n)
		return;
	if (n > PTRDIFF_MAX - b->len)
		mem_die(n); /* no allocation is that large; below this, cap cannot wrap around */
	while (cap - b->len < n)
		cap *= 2;
	b->data = mem_realloc(b->data, cap);
	b->cap = cap;
}

uint8_t *buf_extend(struct buf *b, size_t n)
{
	uint8_t *start;

	buf_reserve(b, n);
	start = b->data + b->len;
	b->len += n;
	return start;
}

void buf_resize(struct buf *b, size_t len)
{
	if (len > b->len)
		buf_put_zeros(b, len - b->len);
	else
		b->len = len;
}

void buf_put(struct buf *b, const void *data, size_t len)
{
	if (len > 0)
		memcpy(buf_extend(b, len), data, len);
}

void buf_put_zeros(struct buf *b, size_t len)
{
	if (len > 0)
		memset(buf_extend(b, len), 0, len);
}

void buf_put_u8(struct buf *b, uint8_t v)
{
	*buf_extend(b, 1) = v;
}

void buf_put_le16(struct buf *b, uint16_t v)
{
	store_le16(buf_extend(b, 2), v);
}

void buf_put_le32(struct buf *b, uint32_t v)
{
	store_le32(buf_extend(b, 4), v);
}

void buf_put_le64(struct buf *b, uint64_t v)
{
	store_le64(buf_extend(b, 8), v);
}

void buf_put_be64(struct buf *b, uint64_t v)
{
	store_be64(buf_extend(b, 8), v);
}

void buf_put_bytes32(struct buf *b, const void *data, size_t len)
{
	assert(len <= UINT32_MAX);
	buf_put_le32(b, (uint32_t)len);
	buf_put(b, data, len);
}

void buf_put_bytes16(struct buf *b, const void *data, size_t len)
{
	assert(len <= UINT16_MAX);
	buf_put_le16(b, (uint16_t)len);
	buf_put(b, data, len);
}

void buf_set_le32(struct buf *b, size_t off, uint32_t v)
{
	assert(off + 4 <= b->len);
	store_le32(b->data + off, v);
}

void buf_set_le64(struct buf *b, size_t off, uint64_t v)
{
	assert(off + 8 <= b->len);
	store_le64(b->data + off, v);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	assert(n >= 0);
	buf_reserve(b, (size_t)n + 1);
	vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, again);
	va_end(again);
	b->len += (size_t)n;
}
