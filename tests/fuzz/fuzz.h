/*
 * fuzz.h - what every fuzz target includes. docs/fuzzing.md lists the decoders and their targets.
 *
 * A target gets bytes and must come back: no crash, no sanitizer report, no assertion, no hang. Where a
 * format is canonical, what decodes must encode to the same bytes. Structured targets read their input
 * with a struct cursor, which gives zeros at the end, so every input is a whole scenario.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "base/buf.h"
#include "base/cursor.h"
#include "base/hash.h"
#include "base/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was encoded again is what came in; resets it. */
static inline void fuzz_same(struct buf *again, const void *data, size_t size)
{
	assert(again->len == size && (size == 0 || memcmp(again->data, data, size) == 0));
	buf_release(again);
}

/* A slice with its length in front, one byte, as far as the input goes. */
static inline const uint8_t *fuzz_slice(struct cursor *c, size_t *len)
{
	size_t want = cursor_u8(c);

	*len = (size_t)min_u64(want, cursor_left(c));
	return cursor_bytes(c, *len);
}

#endif
