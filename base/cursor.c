/* cursor.c - see cursor.h. */
#include "base/cursor.h"

#include "base/buf.h"

struct cursor cursor_init(const void *data, size_t len)
{
	const uint8_t *p = data;

	return (struct cursor){ .pos = p, .end = len > 0 ? p + len : p };
}

size_t cursor_left(const struct cursor *c)
{
	return c->bad ? 0 : (size_t)(c->end - c->pos);
}

bool cursor_ok(const struct cursor *c)
{
	return !c->bad;
}

bool cursor_at_end(const struct cursor *c)
{
	return !c->bad && c->pos == c->end;
}

const uint8_t *cursor_bytes(struct cursor *c, size_t len)
{
	const uint8_t *p = c->pos;

	if (c->bad || (size_t)(c->end - c->pos) < len) {
		c->bad = true;
		return NULL;
	}
	if (len > 0)
		c->pos += len;
	return p;
}

uint8_t cursor_u8(struct cursor *c)
{
	const uint8_t *p = cursor_bytes(c, 1);

	return p ? *p : 0;
}

uint16_t cursor_le16(struct cursor *c)
{
	const uint8_t *p = cursor_bytes(c, 2);

	return p ? load_le16(p) : 0;
}

uint32_t cursor_le32(struct cursor *c)
{
	const uint8_t *p = cursor_bytes(c, 4);

	return p ? load_le32(p) : 0;
}

uint64_t cursor_le64(struct cursor *c)
{
	const uint8_t *p = cursor_bytes(c, 8);

	return p ? load_le64(p) : 0;
}

uint64_t cursor_be64(struct cursor *c)
{
	const uint8_t *p = cursor_bytes(c, 8);

	return p ? load_be64(p) : 0;
}

void cursor_copy(struct cursor *c, void *out, size_t len)
{
	const uint8_t *p = cursor_bytes(c, len);

	if (len == 0)
		return;
	if (p)
		memcpy(out, p, len);
	else
		memset(out, 0, len);
}

static const uint8_t *counted(struct cursor *c, size_t n, size_t *len)
{
	const uint8_t *p = c->bad ? NULL : cursor_bytes(c, n);

	*len = p ? n : 0;
	return p;
}

const uint8_t *cursor_bytes32(struct cursor *c, size_t *len)
{
	uint32_t n = cursor_le32(c);

	return counted(c, n, len);
}

const uint8_t *cursor_bytes16(struct cursor *c, size_t *len)
{
	uint16_t n = cursor_le16(c);

	return counted(c, n, len);
}
