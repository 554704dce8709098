/* test_batch.c - the batch codec keeps what it is given and refuses what it must not let through. */
#include "kv_rig.h"

static struct kv_batch_head sample_head(void)
{
	struct kv_batch_head head = {
		.group = 9,
		.prev_index = 77,
		.prev_term = 5,
		.wall_ns = -12345,
		.has_session = true,
		.seq = 40,
		.low = 31,
		.session_id = 18,
		.status = -ENOENT,
		.reply = (const uint8_t *)"answer",
		.reply_len = 6,
	};

	memset(head.uuid, 0xab, sizeof(head.uuid));
	return head;
}

static const struct kv_mutation samples[] = {
	{ .type = KV_PUT,
	  .key = (const uint8_t *)"key",
	  .key_len = 3,
	  .data = (const uint8_t *)"v",
	  .data_len = 1 },
	{ .type = KV_PUT, .key = (const uint8_t *)"empty", .key_len = 5, .data_len = 0 },
	{ .type = KV_DELETE, .key = (const uint8_t *)"gone", .key_len = 4 },
	{ .type = KV_BLOCK_PUT,
	  .ino = 3,
	  .block = 4,
	  .data = (const uint8_t *)"data",
	  .data_len = 4 },
	{ .type = KV_BLOCK_PATCH,
	  .ino = KV_INO_MAX,
	  .block = KV_BLOCKS_PER_INO - 1,
	  .off = KV_BLOCK_SIZE - 4,
	  .data = (const uint8_t *)"tail",
	  .data_len = 4 },
	{ .type = KV_BLOCK_PUNCH, .ino = 1, .block = 2, .off = 100, .len = KV_BLOCK_SIZE - 100 },
	{ .type = KV_BLOCK_DROP, .ino = 1, .block = 0, .len = KV_BLOCKS_PER_INO },
};

static void assert_same_mutation(const struct kv_mutation *a, const struct kv_mutation *b)
{
	assert_int_equal(a->type, b->type);
	assert_int_equal(a->key_len, b->key_len);
	assert_int_equal(a->data_len, b->data_len);
	assert_int_equal(a->ino, b->ino);
	assert_int_equal(a->block, b->block);
	assert_int_equal(a->off, b->off);
	assert_int_equal(a->len, b->len);
	if (a->key_len > 0)
		assert_memory_equal(a->key, b->key, a->key_len);
	if (a->data_len > 0)
		assert_memory_equal(a->data, b->data, a->data_len);
}

/* Begins a session and ends two. */
static struct kv_batch_head begin_head(struct buf *ends)
{
	struct kv_batch_head head = sample_head();

	for (uint64_t i = 1; i <= 2; i++) {
		struct kv_session_end end = { .session_id = 10 * i, .stamp = 100 * i };

		memset(end.uuid, (int)i, sizeof(end.uuid));
		kv_session_end_encode(&end, ends);
	}
	head.log_ms = 123456;
	head.begins = true;
	head.session_id = head.prev_index + 1;
	head.stamp = 61;
	head.ends = ends->data;
	head.end_count = 2;
	return head;
}

static void sample_batch(struct buf *out)
{
	struct buf ends = BUF_INIT;
	struct kv_batch_head head = begin_head(&ends);

	kv_batch_encode_head(&head, out);
	buf_release(&ends);
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++)
		kv_mutation_encode(&samples[i], out);
}

static void decoding_gives_back_what_was_encoded(void **state)
{
	struct buf ends = BUF_INIT;
	struct kv_batch_head want = begin_head(&ends), head;
	struct kv_batch_iter it;
	struct kv_mutation m;
	struct buf b = BUF_INIT;
	size_t n = 0;

	sample_batch(&b);
	assert_int_equal(kv_batch_decode(&head, &it, b.data, b.len), 0);
	assert_int_equal(head.group, want.group);
	assert_int_equal(head.prev_index, want.prev_index);
	assert_int_equal(head.prev_term, want.prev_term);
	assert_true(head.wall_ns == want.wall_ns);
	assert_true(head.has_session);
	assert_memory_equal(head.uuid, want.uuid, KV_UUID_SIZE);
	assert_int_equal(head.seq, want.seq);
	assert_int_equal(head.low, want.low);
	assert_int_equal(head.session_id, want.session_id);
	assert_int_equal(head.log_ms, want.log_ms);
	assert_true(head.begins);
	assert_int_equal(head.stamp, want.stamp);
	assert_int_equal(head.end_count, 2);
	for (uint32_t i = 0; i < 2; i++) {
		struct kv_session_end got = kv_session_end_at(&head, i);

		assert_int_equal(got.uuid[15], i + 1);
		assert_int_equal(got.session_id, 10 * (i + 1));
		assert_int_equal(got.stamp, 100 * (i + 1));
	}
	buf_release(&ends);
	assert_int_equal(head.status, want.status);
	assert_int_equal(head.reply_len, want.reply_len);
	assert_memory_equal(head.reply, want.reply, want.reply_len);
	for (; kv_batch_next(&it, &m); n++)
		assert_same_mutation(&m, &samples[n]);
	assert_int_equal(n, ARRAY_SIZE(samples));
	buf_release(&b);
}

/* Cut at a boundary between mutations it is a valid, shorter batch; nowhere else. */
static void a_cut_batch_decodes_only_between_mutations(void **state)
{
	struct kv_batch_head head;
	struct kv_batch_iter it;
	struct buf b = BUF_INIT;
	size_t valid = 0;

	sample_batch(&b);
	for (size_t len = 0; len < b.len; len++) {
		uint8_t *exact = mem_dup(b.data, len); /* so that ASan sees a read past the end */
		int ret = kv_batch_decode(&head, &it, exact, len);

		assert_true(ret == 0 || ret == -EUCLEAN);
		valid += ret == 0;
		free(exact);
	}
	assert_int_equal(valid, ARRAY_SIZE(samples));
	buf_release(&b);
}

static int decode_with(void (*spoil)(struct buf *b, size_t body))
{
	struct kv_batch_head head = sample_head();
	struct kv_batch_iter it;
	struct buf b = BUF_INIT;
	size_t body;
	int ret;

	kv_batch_encode_head(&head, &b);
	body = b.len;
	spoil(&b, body);
	ret = kv_batch_decode(&head, &it, b.data, b.len);
	buf_release(&b);
	return ret;
}

static void spoil_version(struct buf *b, size_t body)
{
	b->data[0]++;
}
static void spoil_flags(struct buf *b, size_t body)
{
	b->data[1] |= 8;
}
static void spoil_low(struct buf *b, size_t body)
{
	buf_set_le64(b, 62, 41);
}
static void spoil_seq(struct buf *b, size_t body)
{
	buf_set_le64(b, 54, 0);
	buf_set_le64(b, 62, 0);
}
static void spoil_status(struct buf *b, size_t body)
{
	buf_set_le32(b, 78, 1);
}
static void spoil_no_session_id(struct buf *b, size_t body)
{
	buf_set_le64(b, 70, 0);
}
static void spoil_future_session_id(struct buf *b, size_t body)
{
	buf_set_le64(b, 70, 79); /* the entry is 78 */
}
static void spoil_begun_without_flag(struct buf *b, size_t body)
{
	buf_set_le64(b, 70, 78);
}
static void spoil_begins_another(struct buf *b, size_t body)
{
	uint8_t rest[64];
	size_t len = b->len - 78;

	b->data[1] |= 2; /* as if it began, with the id of an earlier entry */
	memcpy(rest, b->data + 78, len);
	buf_resize(b, 78);
	buf_put_le64(b, 5);
	buf_put(b, rest, len);
}
static void put_ends(struct buf *b, uint16_t count)
{
	uint8_t rest[64];
	size_t len = b->len - 78;

	b->data[1] |= 4;
	memcpy(rest, b->data + 78, len);
	buf_resize(b, 78);
	buf_put_le16(b, count);
	buf_put_zeros(b, 32 * (size_t)count);
	buf_put(b, rest, len);
}
static void spoil_no_ends(struct buf *b, size_t body)
{
	put_ends(b, 0);
}
static void spoil_many_ends(struct buf *b, size_t body)
{
	put_ends(b, KV_SESSION_ENDS_MAX + 1);
}
static void leave_full_ends(struct buf *b, size_t body)
{
	put_ends(b, KV_SESSION_ENDS_MAX);
}
static void spoil_type(struct buf *b, size_t body)
{
	buf_put_u8(b, 7);
}

static void spoil_session_key(struct buf *b, size_t body)
{
	kv_mutation_encode(
		&(struct kv_mutation){ .type = KV_PUT, .key = (const uint8_t *)"sx", .key_len = 2 },
		b);
}

static void spoil_empty_key(struct buf *b, size_t body)
{
	buf_put_u8(b, KV_DELETE);
	buf_put_le16(b, 0);
}

static void spoil_long_key(struct buf *b, size_t body)
{
	buf_put_u8(b, KV_DELETE);
	buf_put_le16(b, KV_KEY_MAX + 1);
	buf_put_zeros(b, KV_KEY_MAX + 1);
}

static void spoil_long_value(struct buf *b, size_t body)
{
	buf_put_u8(b, KV_PUT);
	buf_put_bytes16(b, "k", 1);
	buf_put_le32(b, KV_VALUE_MAX + 1);
	buf_put_zeros(b, KV_VALUE_MAX + 1);
}

static void put_block_mutation(struct buf *b, uint8_t type, uint64_t ino, uint32_t block)
{
	buf_put_u8(b, type);
	buf_put_le64(b, ino);
	buf_put_le32(b, block);
}

static void spoil_ino(struct buf *b, size_t body)
{
	put_block_mutation(b, KV_BLOCK_PUT, KV_INO_MAX + 1, 0);
	buf_put_bytes32(b, "x", 1);
}

static void spoil_block(struct buf *b, size_t body)
{
	put_block_mutation(b, KV_BLOCK_PUT, 1, KV_BLOCKS_PER_INO);
	buf_put_bytes32(b, "x", 1);
}

static void spoil_empty_block(struct buf *b, size_t body)
{
	put_block_mutation(b, KV_BLOCK_PUT, 1, 0);
	buf_put_le32(b, 0);
}

static void spoil_long_block(struct buf *b, size_t body)
{
	put_block_mutation(b, KV_BLOCK_PUT, 1, 0);
	buf_put_le32(b, KV_BLOCK_SIZE + 1);
	buf_put_zeros(b, KV_BLOCK_SIZE + 1);
}

static void spoil_patch_end(struct buf *b, size_t body)
{
	put_block_mutation(b, KV_BLOCK_PATCH, 1, 0);
	buf_put_le32(b, KV_BLOCK_SIZE - 1);
	buf_put_bytes32(b, "xy", 2);
}

static void spoil_patch_off(struct buf *b, size_t body)
{
	put_block_mutation(b, KV_BLOCK_PATCH, 1, 0);
	buf_put_le32(b, UINT32_MAX);
	buf_put_bytes32(b, "xy", 2);
}

static void spoil_punch_len(struct buf *b, size_t body)
{
	put_block_mutation(b, KV_BLOCK_PUNCH, 1, 0);
	buf_put_le32(b, 1);
	buf_put_le32(b, KV_BLOCK_SIZE);
}

static void spoil_empty_punch(struct buf *b, size_t body)
{
	put_block_mutation(b, KV_BLOCK_PUNCH, 1, 0);
	buf_put_le32(b, 1);
	buf_put_le32(b, 0);
}

static void spoil_drop_len(struct buf *b, size_t body)
{
	put_block_mutation(b, KV_BLOCK_DROP, 1, 1);
	buf_put_le32(b, KV_BLOCKS_PER_INO);
}

static void leave_alone(struct buf *b, size_t body)
{
}

static void what_breaks_a_bound_is_refused(void **state)
{
	static void (*const spoilers[])(struct buf *, size_t) = {
		spoil_version,     spoil_flags,       spoil_low,         spoil_seq,
		spoil_status,      spoil_type,        spoil_session_key, spoil_empty_key,
		spoil_long_key,    spoil_long_value,  spoil_ino,         spoil_block,
		spoil_empty_block, spoil_long_block,  spoil_patch_end,   spoil_patch_off,
		spoil_punch_len,   spoil_empty_punch, spoil_drop_len,    spoil_no_session_id,
		spoil_future_session_id, spoil_begun_without_flag, spoil_begins_another,
		spoil_no_ends,     spoil_many_ends,
	};

	assert_int_equal(decode_with(leave_alone), 0);
	assert_int_equal(decode_with(leave_full_ends), 0);
	for (size_t i = 0; i < ARRAY_SIZE(spoilers); i++) {
		if (decode_with(spoilers[i]) != -EUCLEAN)
			fail_msg("spoiler %zu got through", i);
	}
}

static void a_failed_decode_leaves_its_results_alone(void **state)
{
	struct kv_batch_head head = { .group = 1234 };
	struct kv_batch_iter it = { .pos = (const uint8_t *)"x" };

	assert_int_equal(kv_batch_decode(&head, &it, "\1\0\0", 3), -EUCLEAN);
	assert_int_equal(head.group, 1234);
	assert_non_null(it.pos);
}

/* What decodes encodes to the same bytes; what does not changes nothing and crashes nothing. */
static void random_damage_is_refused_or_harmless(void **state)
{
	struct kv_batch_head head;
	struct kv_batch_iter it;
	struct kv_mutation m;
	struct buf b = BUF_INIT, again = BUF_INIT;
	struct prng p;

	prng_init(&p, 20);
	sample_batch(&b);
	for (int round = 0; round < 50000; round++) {
		uint8_t *bytes = mem_dup(b.data, b.len);

		for (uint64_t n = 1 + prng_below(&p, 3); n > 0; n--)
			bytes[prng_below(&p, b.len)] = (uint8_t)prng_u64(&p);
		if (kv_batch_decode(&head, &it, bytes, b.len) == 0) {
			buf_reset(&again);
			kv_batch_encode_head(&head, &again);
			while (kv_batch_next(&it, &m))
				kv_mutation_encode(&m, &again);
			assert_int_equal(again.len, b.len);
			assert_memory_equal(again.data, bytes, b.len);
		}
		free(bytes);
	}
	buf_release(&again);
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decoding_gives_back_what_was_encoded),
		cmocka_unit_test(a_cut_batch_decodes_only_between_mutations),
		cmocka_unit_test(what_breaks_a_bound_is_refused),
		cmocka_unit_test(a_failed_decode_leaves_its_results_alone),
		cmocka_unit_test(random_damage_is_refused_or_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
