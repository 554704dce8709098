/* wire.c - fs messages as bytes. See fs_wire.h. */
#include "fs/fs_wire.h"

#include "base/cursor.h"

#define MSG_VERSION 4
#define MSG_FLAGS (FS_MSG_RETRY | FS_MSG_BEGIN | FS_MSG_HOLDER | FS_MSG_FINAL | FS_MSG_EXPIRED | FS_MSG_BRISK)

/*
 * Message. Little-endian.     off size
 *   version, now 4              0   1
 *   type                        1   1
 *   flags                       2   1
 *   1: there is a leader        3   1
 *   uuid of the client          4  16
 *   tag                        20   8
 *   seq                        28   8
 *   low                        36   8
 *   session id                 44   8
 *   stamp                      52   8
 *   time to live, ms           60   4
 *   status                     64   4   0 or a negative errno
 *   body                       68   to the end
 */
void fs_msg_encode(const struct fs_msg *m, struct buf *out)
{
	buf_put_u8(out, MSG_VERSION);
	buf_put_u8(out, m->type);
	buf_put_u8(out, m->flags);
	buf_put_u8(out, m->has_leader ? 1 : 0);
	buf_put(out, m->uuid, sizeof(m->uuid));
	buf_put_le64(out, m->tag);
	buf_put_le64(out, m->seq);
	buf_put_le64(out, m->low);
	buf_put_le64(out, m->session_id);
	buf_put_le64(out, m->stamp);
	buf_put_le32(out, m->ttl_ms);
	buf_put_le32(out, (uint32_t)m->status);
	buf_put(out, m->body, m->body_len);
}

/* What a message of this type may carry besides its head. */
static bool body_fits(const struct fs_msg *m)
{
	switch (m->type) {
	case FS_MSG_REQUEST:
		return m->body_len > 0;
	case FS_MSG_REPLY:
		return m->status <= 0;
	case FS_MSG_QUERY:
	case FS_MSG_ANSWER:
		return m->body_len % 8 == 0;
	case FS_MSG_RECALL:
		return m->body_len > 0 && m->body_len % 16 == 0;
	case FS_MSG_RESEND:
	case FS_MSG_BYE:
	case FS_MSG_ALIVE:
	case FS_MSG_STATE:
	case FS_MSG_KEPT:
	case FS_MSG_BOARD:
		return m->body_len == 0;
	default:
		return false;
	}
}

int fs_msg_decode(struct fs_msg *m, const void *data, size_t len)
{
	struct cursor c = cursor_init(data, len);
	uint8_t version = cursor_u8(&c);
	struct fs_msg r = { .type = cursor_u8(&c) };
	uint8_t has_leader;

	r.flags = cursor_u8(&c);
	has_leader = cursor_u8(&c);
	cursor_copy(&c, r.uuid, sizeof(r.uuid));
	r.tag = cursor_le64(&c);
	r.seq = cursor_le64(&c);
	r.low = cursor_le64(&c);
	r.session_id = cursor_le64(&c);
	r.stamp = cursor_le64(&c);
	r.ttl_ms = cursor_le32(&c);
	r.status = (int32_t)cursor_le32(&c);
	r.body_len = cursor_left(&c);
	r.body = cursor_bytes(&c, r.body_len);
	if (version != MSG_VERSION || !cursor_at_end(&c) || (r.flags & ~MSG_FLAGS) ||
	    has_leader > 1 || !body_fits(&r))
		return -EPROTO;
	r.has_leader = has_leader == 1;
	*m = r;
	return 0;
}
