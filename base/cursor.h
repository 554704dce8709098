/*
 * cursor.h - reads a borrowed byte range front to back; the decoder of every format.
 *
 * A read past the end returns zeros or NULL and marks the cursor bad, so a decoder checks once, at
 * its end, with cursor_ok() (more may follow) or cursor_at_end() (nothing may follow).
 */
#ifndef BASE_CURSOR_H
#define BASE_CURSOR_H

#include "base/base.h"

struct cursor {
	const uint8_t *pos;
	const uint8_t *end;
	bool bad;
};

struct cursor cursor_init(const void *data, size_t len);
size_t cursor_left(const struct cursor *c);
bool cursor_ok(const struct cursor *c);     /* no read went past the end */
bool cursor_at_end(const struct cursor *c); /* ... and everything was read */
uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_le16(struct cursor *c);
uint32_t cursor_le32(struct cursor *c);
uint64_t cursor_le64(struct cursor *c);
uint64_t cursor_be64(struct cursor *c);
const uint8_t *cursor_bytes(struct cursor *c, size_t len); /* borrowed; NULL past the end */
void cursor_copy(struct cursor *c, void *out, size_t len); /* zeros past the end */
/* A length, then that many bytes; *len is 0 and the result NULL past the end. */
const uint8_t *cursor_bytes32(struct cursor *c, size_t *len);
const uint8_t *cursor_bytes16(struct cursor *c, size_t *len);

#endif
