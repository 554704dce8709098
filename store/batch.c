/*
 * batch.c - the payload of a NORMAL entry <-> bytes.
 *
 * Decoding checks every mutation once, so that whoever walks the batch afterwards (apply, overlay)
 * can trust sizes and bounds. Batches come from disk and network: anything odd is -EUCLEAN.
 */
#include "base/cursor.h"
#include "store/store_kv.h"

#define BATCH_VERSION 2
#define BATCH_FLAG_SESSION 1
#define BATCH_FLAG_BEGINS 2
#define BATCH_FLAG_ENDS 4
#define BATCH_FLAGS (BATCH_FLAG_SESSION | BATCH_FLAG_BEGINS | BATCH_FLAG_ENDS)
#define END_SIZE (KV_UUID_SIZE + 16)

/*
 * Batch. Little-endian.                        size
 *   version, now 2                               1
 *   flags: 1 = session fields, 2 = it begins     1
 *     here, 4 = sessions end here
 *   group                                        4
 *   prev_index                                   8
 *   prev_term                                    8
 *   wall_ns                                      8
 *   log_ms                                       8
 *   with flag 1: uuid, seq, low, session id     16, 8, 8, 8
 *   with flag 2: stamp                           8
 *   with flag 4: count, from 1 on                2
 *     of: uuid, session id, stamp               16, 8, 8
 *   status, 0 or a negative errno                4
 *   reply: length, bytes                         4, n
 *   mutations, until the end
 *
 * Mutation:                                    size
 *   type                                         1
 *   KV_PUT: key length, key, length, data        2, n, 4, n
 *   KV_DELETE: key length, key                   2, n
 *   KV_BLOCK_PUT: ino, block, length, data       8, 4, 4, n
 *   KV_BLOCK_PATCH: ino, block, off, length, data  8, 4, 4, 4, n
 *   KV_BLOCK_PUNCH: ino, block, off, len         8, 4, 4, 4
 *   KV_BLOCK_DROP: ino, block, len in blocks     8, 4, 4
 */
void kv_session_end_encode(const struct kv_session_end *end, struct buf *out)
{
	buf_put(out, end->uuid, KV_UUID_SIZE);
	buf_put_le64(out, end->session_id);
	buf_put_le64(out, end->stamp);
}

struct kv_session_end kv_session_end_at(const struct kv_batch_head *head, uint32_t i)
{
	const uint8_t *at = head->ends + (size_t)i * END_SIZE;
	struct kv_session_end end = { .session_id = load_le64(at + KV_UUID_SIZE),
				      .stamp = load_le64(at + KV_UUID_SIZE + 8) };

	assert(i < head->end_count);
	memcpy(end.uuid, at, KV_UUID_SIZE);
	return end;
}

static uint8_t head_flags(const struct kv_batch_head *head)
{
	return (uint8_t)((head->has_session ? BATCH_FLAG_SESSION : 0) |
			 (head->begins ? BATCH_FLAG_BEGINS : 0) |
			 (head->end_count > 0 ? BATCH_FLAG_ENDS : 0));
}

void kv_batch_encode_head(const struct kv_batch_head *head, struct buf *out)
{
	assert(head->status <= 0);
	assert(head->reply_len <= KV_VALUE_MAX);
	assert(head->end_count <= KV_SESSION_ENDS_MAX);
	assert(!head->begins || head->has_session);
	buf_put_u8(out, BATCH_VERSION);
	buf_put_u8(out, head_flags(head));
	buf_put_le32(out, head->group);
	buf_put_le64(out, head->prev_index);
	buf_put_le64(out, head->prev_term);
	buf_put_le64(out, (uint64_t)head->wall_ns);
	buf_put_le64(out, head->log_ms);
	if (head->has_session) {
		assert(head->seq > 0 && head->low <= head->seq && head->session_id > 0);
		buf_put(out, head->uuid, KV_UUID_SIZE);
		buf_put_le64(out, head->seq);
		buf_put_le64(out, head->low);
		buf_put_le64(out, head->session_id);
	}
	if (head->begins)
		buf_put_le64(out, head->stamp);
	if (head->end_count > 0) {
		buf_put_le16(out, (uint16_t)head->end_count);
		buf_put(out, head->ends, (size_t)head->end_count * END_SIZE);
	}
	buf_put_le32(out, (uint32_t)head->status);
	buf_put_bytes32(out, head->reply, head->reply_len);
}

void kv_mutation_encode(const struct kv_mutation *m, struct buf *out)
{
	buf_put_u8(out, m->type);
	if (m->type == KV_PUT || m->type == KV_DELETE) {
		assert(m->key_len > 0 && m->key_len <= KV_KEY_MAX);
		buf_put_bytes16(out, m->key, m->key_len);
		if (m->type == KV_PUT)
			buf_put_bytes32(out, m->data, m->data_len);
		return;
	}
	buf_put_le64(out, m->ino);
	buf_put_le32(out, m->block);
	switch (m->type) {
	case KV_BLOCK_PUT:
		buf_put_bytes32(out, m->data, m->data_len);
		break;
	case KV_BLOCK_PATCH:
		buf_put_le32(out, m->off);
		buf_put_bytes32(out, m->data, m->data_len);
		break;
	case KV_BLOCK_PUNCH:
		buf_put_le32(out, m->off);
		buf_put_le32(out, m->len);
		break;
	default:
		assert(m->type == KV_BLOCK_DROP);
		buf_put_le32(out, m->len);
	}
}

static bool key_mutation_valid(const struct kv_mutation *m)
{
	return m->key_len > 0 && m->key_len <= KV_KEY_MAX && m->data_len <= KV_VALUE_MAX &&
	       m->key[0] != KV_CLASS_SESSION;
}

static bool block_mutation_valid(const struct kv_mutation *m)
{
	if (m->ino > KV_INO_MAX || m->block >= KV_BLOCKS_PER_INO || m->off > KV_BLOCK_SIZE)
		return false;
	switch (m->type) {
	case KV_BLOCK_PUT:
	case KV_BLOCK_PATCH:
		return m->data_len > 0 && m->data_len <= KV_BLOCK_SIZE - m->off;
	case KV_BLOCK_PUNCH:
		return m->len > 0 && m->len <= KV_BLOCK_SIZE - m->off;
	default:
		return m->len > 0 && m->len <= KV_BLOCKS_PER_INO - m->block;
	}
}

/* Reads one mutation; false when it is damaged or not allowed. */
static bool mutation_decode(struct cursor *c, struct kv_mutation *m)
{
	*m = (struct kv_mutation){ .type = cursor_u8(c) };
	if (m->type == KV_PUT || m->type == KV_DELETE) {
		m->key = cursor_bytes16(c, &m->key_len);
		if (m->type == KV_PUT)
			m->data = cursor_bytes32(c, &m->data_len);
		return cursor_ok(c) && key_mutation_valid(m);
	}
	if (m->type < KV_BLOCK_PUT || m->type > KV_BLOCK_DROP)
		return false;
	m->ino = cursor_le64(c);
	m->block = cursor_le32(c);
	if (m->type == KV_BLOCK_PATCH || m->type == KV_BLOCK_PUNCH)
		m->off = cursor_le32(c);
	if (m->type == KV_BLOCK_PUT || m->type == KV_BLOCK_PATCH)
		m->data = cursor_bytes32(c, &m->data_len);
	else
		m->len = cursor_le32(c);
	return cursor_ok(c) && block_mutation_valid(m);
}

/* What the fields of a decoded head may be. */
static bool head_valid(const struct kv_batch_head *head, uint8_t flags)
{
	if (head->status > 0 || head->status < -4095 || head->reply_len > KV_VALUE_MAX)
		return false;
	if (head->has_session && (head->seq == 0 || head->low > head->seq || head->session_id == 0 ||
				  head->session_id > head->prev_index + 1))
		return false;
	/* A session is known by the index of the entry that began it. */
	if (head->has_session && head->begins != (head->session_id == head->prev_index + 1))
		return false;
	if (head->begins && !head->has_session)
		return false;
	return (head->end_count > 0) == ((flags & BATCH_FLAG_ENDS) != 0) &&
	       head->end_count <= KV_SESSION_ENDS_MAX;
}

static int head_decode(struct kv_batch_head *head, struct cursor *c)
{
	uint8_t version = cursor_u8(c);
	uint8_t flags = cursor_u8(c);

	*head = (struct kv_batch_head){ .group = cursor_le32(c) };
	head->prev_index = cursor_le64(c);
	head->prev_term = cursor_le64(c);
	head->wall_ns = (int64_t)cursor_le64(c);
	head->log_ms = cursor_le64(c);
	if (flags & BATCH_FLAG_SESSION) {
		head->has_session = true;
		cursor_copy(c, head->uuid, KV_UUID_SIZE);
		head->seq = cursor_le64(c);
		head->low = cursor_le64(c);
		head->session_id = cursor_le64(c);
	}
	if (flags & BATCH_FLAG_BEGINS) {
		head->begins = true;
		head->stamp = cursor_le64(c);
	}
	if (flags & BATCH_FLAG_ENDS) {
		head->end_count = cursor_le16(c);
		head->ends = cursor_bytes(c, (size_t)head->end_count * END_SIZE);
	}
	head->status = (int32_t)cursor_le32(c);
	head->reply = cursor_bytes32(c, &head->reply_len);
	if (!cursor_ok(c) || version != BATCH_VERSION || (flags & ~BATCH_FLAGS) != 0)
		return -EUCLEAN;
	return head_valid(head, flags) ? 0 : -EUCLEAN;
}

int kv_batch_decode(struct kv_batch_head *head, struct kv_batch_iter *it, const void *data,
		    size_t len)
{
	struct cursor c = cursor_init(data, len);
	struct kv_batch_head found;
	struct kv_batch_iter first;
	struct kv_mutation m;

	if (head_decode(&found, &c) < 0)
		return -EUCLEAN;
	first = (struct kv_batch_iter){ .pos = c.pos, .end = c.end };
	while (cursor_left(&c) > 0) {
		if (!mutation_decode(&c, &m))
			return -EUCLEAN;
	}
	*head = found;
	*it = first;
	return 0;
}

bool kv_batch_next(struct kv_batch_iter *it, struct kv_mutation *m)
{
	struct cursor c = cursor_init(it->pos, (size_t)(it->end - it->pos));
	bool valid;

	if (it->pos == it->end)
		return false;
	valid = mutation_decode(&c, m);
	assert(valid);
	it->pos = c.pos;
	return true;
}
