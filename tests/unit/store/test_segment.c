/* test_segment.c - the codecs of segment header, frame and entry. */
#include "tests/unit/store/log_rig.h"

#include "base/prng.h"

static struct segment_header sample_header(void)
{
	return (struct segment_header){
		.identity = { .cluster = "cluster", .group = 5 },
		.uuid = "uuid of segment",
		.number = 12,
		.size_bytes = 1u << 20,
		.first_index = 100,
		.before = { .index = 104,
			    .term = 9,
			    .chain = "chain value 123",
			    .last = { .number = 77,
				      .segment = 11,
				      .offset = 8192,
				      .first_index = 98,
				      .count = 7,
				      .size_bytes = 1024,
				      .last_term = 9,
				      .header_checksum = 0x1234567890abcdef } },
	};
}

static struct frame_header sample_frame(struct buf *out, size_t count, size_t len)
{
	struct frame_header h = { .group = 5,
				  .uuid = "uuid of segment",
				  .offset = 4096,
				  .number = 78,
				  .synced_frame = 77,
				  .chain = "chain value 123",
				  .previous = sample_header().before.last };
	struct raft_entry *v = rig_entries(105, count, 9, len);

	frame_encode(&h, v, count, out);
	rig_entries_free(v, count);
	return h;
}

static void segment_header_comes_back_as_written(void **state)
{
	struct segment_header in = sample_header(), out;
	uint8_t bytes[SEGMENT_HEADER_SIZE];

	segment_header_encode(&in, bytes);
	assert_int_equal(segment_header_decode(&out, bytes), 0);
	assert_memory_equal(out.identity.cluster, in.identity.cluster, 16);
	assert_int_equal(out.identity.group, 5);
	assert_memory_equal(out.uuid, in.uuid, 16);
	assert_int_equal(out.number, 12);
	assert_int_equal(out.size_bytes, 1u << 20);
	assert_int_equal(out.first_index, 100);
	assert_int_equal(out.before.index, 104);
	assert_int_equal(out.before.term, 9);
	assert_memory_equal(out.before.chain, in.before.chain, 16);
	assert_memory_equal(&out.before.last, &in.before.last, sizeof(in.before.last));
}

static void no_flipped_bit_of_a_segment_header_goes_unseen(void **state)
{
	struct segment_header in = sample_header(), out;
	uint8_t bytes[SEGMENT_HEADER_SIZE];

	segment_header_encode(&in, bytes);
	for (size_t bit = 0; bit < SEGMENT_HEADER_SIZE * 8; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(segment_header_decode(&out, bytes), -EUCLEAN);
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

static void frame_comes_back_as_written(void **state)
{
	struct buf out = BUF_INIT;
	struct frame_header in = sample_frame(&out, 3, 700), h;
	struct frame_entry e;
	struct cursor c;

	assert_int_equal(out.len % FRAME_ALIGN, 0);
	assert_int_equal(out.len, in.size_bytes);
	assert_int_equal(frame_header_decode(&h, out.data), 0);
	assert_memory_equal(&h, &in, sizeof(h));
	assert_true(frame_payload_valid(out.data + FRAME_HEADER_SIZE, out.len - FRAME_HEADER_SIZE,
					h.payload_checksum));
	c = cursor_init(out.data + FRAME_HEADER_SIZE, out.len - FRAME_HEADER_SIZE);
	for (uint64_t i = 0; i < 3; i++) {
		struct blob *want = rig_data(105 + i, 9, 700);

		assert_int_equal(frame_next_entry(&c, &e), 0);
		assert_int_equal(e.index, 105 + i);
		assert_int_equal(e.term, 9);
		assert_int_equal(e.len, 700);
		assert_memory_equal(e.data, want->data, 700);
		blob_unref(want);
	}
	buf_release(&out);
}

static void frame_size_is_what_encoding_takes(void **state)
{
	for (size_t len = 0; len < 1200; len += 17) {
		struct buf out = BUF_INIT;
		struct raft_entry *v = rig_entries(105, 2, 9, len);
		struct frame_header h = sample_frame(&out, 2, len);

		assert_int_equal(frame_size(v, 2), h.size_bytes);
		rig_entries_free(v, 2);
		buf_release(&out);
	}
}

static void no_flipped_bit_of_a_frame_goes_unseen(void **state)
{
	struct buf out = BUF_INIT;
	struct frame_header in = sample_frame(&out, 2, 300), h;
	size_t len = out.len - FRAME_HEADER_SIZE;

	for (size_t bit = 0; bit < out.len * 8; bit++) {
		out.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		if (bit < FRAME_HEADER_SIZE * 8)
			assert_int_equal(frame_header_decode(&h, out.data), -EUCLEAN);
		else
			assert_false(frame_payload_valid(out.data + FRAME_HEADER_SIZE, len,
							 in.payload_checksum));
		out.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	buf_release(&out);
}

static void frame_links_to_one_position_only(void **state)
{
	struct buf out = BUF_INIT;
	struct frame_header h = sample_frame(&out, 1, 10);
	struct log_position pos = sample_header().before;

	assert_true(frame_links(&h, out.data, &pos));
	pos.chain[3] ^= 1;
	assert_false(frame_links(&h, out.data, &pos));
	pos.chain[3] ^= 1;
	pos.last.number++;
	assert_false(frame_links(&h, out.data, &pos));
	buf_release(&out);
}

static void damaged_frame_still_resembles_one_of_its_segment(void **state)
{
	struct buf out = BUF_INIT;
	struct frame_header h = sample_frame(&out, 1, 10);
	uint8_t other[16] = "another segment";

	for (size_t bit = 0; bit < FRAME_HEADER_SIZE * 8; bit++) {
		out.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_true(frame_resembles(out.data, h.uuid, h.number));
		out.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_false(frame_resembles(out.data, other, h.number + 1));
	buf_release(&out);
}

static void impossible_entries_are_refused(void **state)
{
	static const struct {
		uint64_t index, term;
		uint8_t type;
		uint32_t len;
	} cases[] = {
		{ 0, 1, RAFT_ENTRY_NORMAL, 0 },
		{ 1, 0, RAFT_ENTRY_NORMAL, 0 },
		{ 1, 1, 0, 0 },
		{ 1, 1, RAFT_ENTRY_NORMAL + 1, 0 },
		{ 1, 1, RAFT_ENTRY_NORMAL, 1 },
		{ 1, 1, RAFT_ENTRY_NORMAL, UINT32_MAX },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct buf b = BUF_INIT;
		struct frame_entry e;
		struct cursor c;

		buf_put_le64(&b, cases[i].index);
		buf_put_le64(&b, cases[i].term);
		buf_put_u8(&b, cases[i].type);
		buf_put_le32(&b, cases[i].len);
		c = cursor_init(b.data, b.len);
		assert_int_equal(frame_next_entry(&c, &e), -EUCLEAN);
		buf_release(&b);
	}
}

static void random_bytes_are_refused(void **state)
{
	uint8_t bytes[SEGMENT_HEADER_SIZE];
	struct segment_header sh;
	struct frame_header fh;
	struct prng p;

	prng_init(&p, 42);
	for (int round = 0; round < 1000; round++) {
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)prng_u64(&p);
		assert_int_equal(segment_header_decode(&sh, bytes), -EUCLEAN);
		assert_int_equal(frame_header_decode(&fh, bytes), -EUCLEAN);
		memcpy(bytes, "QFSSEGMT\1\0\0\0", 12);
		assert_int_equal(segment_header_decode(&sh, bytes), -EUCLEAN);
		memcpy(bytes, "QFSFRAME\1\0\0\0", 12);
		assert_int_equal(frame_header_decode(&fh, bytes), -EUCLEAN);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segment_header_comes_back_as_written),
		cmocka_unit_test(no_flipped_bit_of_a_segment_header_goes_unseen),
		cmocka_unit_test(frame_comes_back_as_written),
		cmocka_unit_test(frame_size_is_what_encoding_takes),
		cmocka_unit_test(no_flipped_bit_of_a_frame_goes_unseen),
		cmocka_unit_test(frame_links_to_one_position_only),
		cmocka_unit_test(damaged_frame_still_resembles_one_of_its_segment),
		cmocka_unit_test(impossible_entries_are_refused),
		cmocka_unit_test(random_bytes_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
