/*
 * buf.h - a growable byte buffer that doubles as the encoder of every format.
 *
 * Allocation failure ends the process (mem_die() in buf.c): a node that cannot allocate a few bytes
 * comes back through recovery, which is tested, while half-encoded messages could not be.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>

#include "base/base.h"

struct buf {
	uint8_t *data;
	size_t len; /* bytes in use */
	size_t cap;
};

#define BUF_INIT ((struct buf){ .data = NULL })

/* Memory that is never NULL: mem_alloc(0) too. mem_calloc zeroes. Free with free(). */
#define MEM_NEVER_NULL __attribute__((returns_nonnull))
void *mem_alloc(size_t size_bytes) MEM_NEVER_NULL;
void *mem_calloc(size_t count, size_t size_bytes) MEM_NEVER_NULL;
void *mem_realloc(void *ptr, size_t size_bytes) MEM_NEVER_NULL;
void *mem_dup(const void *data, size_t len) MEM_NEVER_NULL;
char *mem_strdup(const char *text) MEM_NEVER_NULL;

void buf_release(struct buf *b);            /* frees; leaves BUF_INIT */
void buf_reset(struct buf *b);              /* len = 0, memory kept */
void buf_reserve(struct buf *b, size_t n);  /* room for n more bytes */
uint8_t *buf_extend(struct buf *b, size_t n); /* appends n uninitialised bytes, returns their start */
void buf_resize(struct buf *b, size_t len); /* grows with zeros or cuts */

void buf_put(struct buf *b, const void *data, size_t len);
void buf_put_zeros(struct buf *b, size_t len);
void buf_put_u8(struct buf *b, uint8_t v);
void buf_put_le16(struct buf *b, uint16_t v);
void buf_put_le32(struct buf *b, uint32_t v);
void buf_put_le64(struct buf *b, uint64_t v);
void buf_put_be64(struct buf *b, uint64_t v); /* keys: order is meaning */
void buf_put_bytes32(struct buf *b, const void *data, size_t len); /* le32 length, then the bytes */
void buf_put_bytes16(struct buf *b, const void *data, size_t len); /* le16 length, then the bytes */
void buf_set_le32(struct buf *b, size_t off, uint32_t v); /* overwrite what was put before */
void buf_set_le64(struct buf *b, size_t off, uint64_t v);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static inline void store_le16(uint8_t *p, uint16_t v)
{
	for (int i = 0; i < 2; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static inline void store_le32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static inline void store_le64(uint8_t *p, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static inline void store_be64(uint8_t *p, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> (56 - 8 * i));
}

static inline uint16_t load_le16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t load_le32(const uint8_t *p)
{
	uint32_t v = 0;

	for (int i = 0; i < 4; i++)
		v |= (uint32_t)p[i] << (8 * i);
	return v;
}

static inline uint64_t load_le64(const uint8_t *p)
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

static inline uint64_t load_be64(const uint8_t *p)
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return v;
}

#endif
