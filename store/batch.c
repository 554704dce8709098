/*
 * batch.c - the payload of a NORMAL entry <-> bytes.
 *
 * Decoding checks every mutation once, so that whoever walks the batch afterwards (apply, overlay)
 * can trust sizes and bounds. Batches come from disk and network: anything odd is -EUCLEAN.
 */
#include "base/cursor.h"
#include "store/store_kv.h"

#define BATCH_VERSION 1
#define BATCH_FLAG_SESSION 1

/*
 * Batch. Little-endian.                        size
 *   version, now 1                               1
 *   flags: 1 = session fields are there          1
 *   group                                        4
 *   prev_index                                   8
 *   prev_term                                    8
 *   wall_ns                                      8
 *   with flag 1: uuid, seq, low, session id     16, 8, 8, 8
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
void kv_batch_encode_head(const struct kv_batch_head *head, struct buf *out)
{
	assert(head->status <= 0);
	assert(head->reply_len <= KV_VALUE_MAX);
	buf_put_u8(out, BATCH_VERSION);
	buf_put_u8(out, head->has_session ? BATCH_FLAG_SESSION : 0);
	buf_put_le32(out, head->group);
	buf_put_le64(out, head->prev_index);
	buf_put_le64(out, head->prev_term);
	buf_put_le64(out, (uint64_t)head->wall_ns);
	if (head->has_session) {
		assert(head->seq > 0 && head->low <= head->seq);
		buf_put(out, head->uuid, KV_UUID_SIZE);
		buf_put_le64(out, head->seq);
		buf_put_le64(out, head->low);
		buf_put_le64(out, head->session_id);
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

static int head_decode(struct kv_batch_head *head, struct cursor *c)
{
	uint8_t version = cursor_u8(c);
	uint8_t flags = cursor_u8(c);

	*head = (struct kv_batch_head){ .group = cursor_le32(c) };
	head->prev_index = cursor_le64(c);
	head->prev_term = cursor_le64(c);
	head->wall_ns = (int64_t)cursor_le64(c);
	if (flags & BATCH_FLAG_SESSION) {
		head->has_session = true;
		cursor_copy(c, head->uuid, KV_UUID_SIZE);
		head->seq = cursor_le64(c);
		head->low = cursor_le64(c);
		head->session_id = cursor_le64(c);
	}
	head->status = (int32_t)cursor_le32(c);
	head->reply = cursor_bytes32(c, &head->reply_len);
	if (!cursor_ok(c) || version != BATCH_VERSION || (flags & ~BATCH_FLAG_SESSION) != 0)
		return -EUCLEAN;
	if (head->status > 0 || head->status < -4095 || head->reply_len > KV_VALUE_MAX)
		return -EUCLEAN;
	if (head->has_session && (head->seq == 0 || head->low > head->seq))
		return -EUCLEAN;
	return 0;
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
