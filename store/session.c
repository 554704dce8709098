/* session.c - see session.h. */
#include "store/session.h"

#include "base/buf.h"

#define SESSION_VERSION 2

/*
 * Session record. Little-endian.              off  size
 *   version, now 2                              0    1
 *   id                                          1    8
 *   low                                         9    8
 *   highest executed seq                       17    8
 *   stamp                                      25    8
 *   log time of the last operation, ms         33    8
 *   count of replies                           41    4
 *   replies, ascending by seq, all >= low:     45
 *     seq, index                                     8, 8
 *     status                                         4
 *     reply: length, bytes                           4, n
 */
#define COUNT_OFF 41

void session_key(const uint8_t uuid[KV_UUID_SIZE], uint8_t key[SESSION_KEY_SIZE])
{
	key[0] = KV_CLASS_SESSION;
	memcpy(key + 1, uuid, KV_UUID_SIZE);
}

static void reply_decode(struct cursor *c, struct session_reply *reply)
{
	reply->seq = cursor_le64(c);
	reply->index = cursor_le64(c);
	reply->status = (int32_t)cursor_le32(c);
	reply->data = cursor_bytes32(c, &reply->len);
}

static void reply_encode(const struct session_reply *reply, struct buf *out)
{
	buf_put_le64(out, reply->seq);
	buf_put_le64(out, reply->index);
	buf_put_le32(out, (uint32_t)reply->status);
	buf_put_bytes32(out, reply->data, reply->len);
}

int session_record_open(struct session_record *r, const void *data, size_t len)
{
	struct cursor c = cursor_init(data, len);
	uint8_t version = cursor_u8(&c);
	struct session_record found = { .id = cursor_le64(&c) };
	uint64_t floor;

	found.low = cursor_le64(&c);
	found.highest = cursor_le64(&c);
	found.stamp = cursor_le64(&c);
	found.used_ms = cursor_le64(&c);
	found.count = cursor_le32(&c);
	found.replies = c;
	floor = found.low;
	for (uint32_t i = 0; i < found.count && cursor_ok(&c); i++) {
		struct session_reply reply;

		reply_decode(&c, &reply);
		if (reply.seq < floor || reply.seq > found.highest)
			return -EUCLEAN;
		floor = reply.seq + 1;
	}
	if (version != SESSION_VERSION || !cursor_at_end(&c))
		return -EUCLEAN;
	*r = found;
	return 0;
}

bool session_record_next(struct session_record *r, struct session_reply *reply)
{
	if (cursor_left(&r->replies) == 0)
		return false;
	reply_decode(&r->replies, reply);
	assert(cursor_ok(&r->replies));
	return true;
}

int session_record_execute(const void *data, size_t len, const struct kv_batch_head *head,
			   uint64_t index, struct buf *out)
{
	struct session_record r = { .id = index,
				    .low = head->low,
				    .stamp = head->stamp,
				    .replies = cursor_init(NULL, 0) };
	struct session_reply mine = { head->seq, index, head->status, head->reply,
				      head->reply_len };
	struct session_reply old;
	size_t start = out->len;
	bool placed = false;
	uint32_t count = 0;

	if (len > 0 && session_record_open(&r, data, len) < 0)
		return -EUCLEAN;
	/* The session that the leader knew is the one we know: nobody executes for one that ended. */
	if (head->begins != (len == 0) || head->session_id != r.id)
		return -EUCLEAN;
	r.low = max_u64(r.low, head->low);
	if (head->seq < r.low || head->seq - r.low >= KV_SESSION_WINDOW)
		return -EUCLEAN;
	buf_put_u8(out, SESSION_VERSION);
	buf_put_le64(out, r.id);
	buf_put_le64(out, r.low);
	buf_put_le64(out, max_u64(r.highest, head->seq));
	buf_put_le64(out, r.stamp);
	buf_put_le64(out, max_u64(r.used_ms, head->log_ms));
	buf_put_le32(out, 0);
	while (session_record_next(&r, &old)) {
		if (old.seq == mine.seq) {
			out->len = start;
			return -EUCLEAN;
		}
		if (old.seq < r.low)
			continue;
		if (old.seq > mine.seq && !placed) {
			reply_encode(&mine, out);
			placed = true;
			count++;
		}
		reply_encode(&old, out);
		count++;
	}
	if (!placed)
		reply_encode(&mine, out);
	buf_set_le32(out, start + COUNT_OFF, count + (placed ? 0 : 1));
	return 0;
}
