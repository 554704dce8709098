/* test_block.c - pieces, their sums, and what each block mutation makes of a row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/prng.h"
#include "store/block.h"

static void row_ids_keep_inode_and_block(void **state)
{
	uint64_t id = block_row_id(KV_INO_MAX, KV_BLOCKS_PER_INO - 1);

	assert_true(id == INT64_MAX);
	assert_int_equal(block_row_ino(id), KV_INO_MAX);
	assert_int_equal(block_row_block(id), KV_BLOCKS_PER_INO - 1);
	assert_int_equal(block_row_id(5, 0), block_row_id(4, KV_BLOCKS_PER_INO - 1) + 1);
}

static void capacity_holds_the_row_and_wastes_less_than_half(void **state)
{
	uint32_t before = 0;

	for (uint32_t len = 1; len <= KV_BLOCK_SIZE; len++) {
		uint32_t c = block_capacity(len);

		assert_true(c >= len && c <= KV_BLOCK_SIZE && c >= before);
		assert_true(len <= KV_PIECE_SIZE ? c - len < 512 : c - len < len);
		assert_int_equal(block_capacity(c), c);
		before = c;
	}
	assert_int_equal(block_capacity(KV_BLOCK_SIZE), KV_BLOCK_SIZE);
}

static void a_head_says_as_many_pieces_as_its_row_takes(void **state)
{
	uint8_t head[BLOCK_HEAD_LEN + BLOCK_PIECES_MAX * BLOCK_SUM_SIZE] = { 0 };
	static const uint32_t lens[] = { 1, 512, 513, 4096, 4097, 12000, KV_BLOCK_SIZE };

	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		uint32_t capacity = block_capacity(lens[i]);
		size_t size = block_head_size(capacity);
		struct block_row row = { .len = 77 };

		store_le32(head, lens[i]);
		assert_int_equal(block_head_decode(&row, head, size, capacity), 0);
		assert_int_equal(row.len, lens[i]);
		assert_ptr_equal(row.sums, head + BLOCK_HEAD_LEN);
		assert_null(row.data);
		row.len = 77;
		assert_int_equal(block_head_decode(&row, head, size, capacity - 1), -EUCLEAN);
		assert_int_equal(block_head_decode(&row, head, size - 8, capacity), -EUCLEAN);
		assert_int_equal(block_head_decode(&row, head, 3, capacity), -EUCLEAN);
		assert_int_equal(block_head_decode(&row, NULL, 0, 0), -EUCLEAN);
		assert_int_equal(row.len, 77);
	}
	store_le32(head, 0);
	assert_int_equal(block_head_decode(&(struct block_row){ 0 }, head, 4, 0), -EUCLEAN);
	store_le32(head, KV_BLOCK_SIZE + 1);
	assert_int_equal(block_head_decode(&(struct block_row){ 0 }, head, sizeof(head),
					   KV_BLOCK_SIZE),
			 -EUCLEAN);
}

static void image_init(struct block_image *img, uint64_t row_id, uint32_t len)
{
	img->len = len;
	for (uint32_t i = 0; i < len; i++)
		img->data[i] = (uint8_t)(i * 7 + 1);
	block_sum_pieces(img->sums, row_id, img->data, len, 0, len);
}

static int verify(const struct block_image *img, uint64_t row_id, uint32_t off, uint32_t len)
{
	struct block_row row = { .sums = img->sums, .data = img->data, .len = img->len };

	return block_row_verify(&row, row_id, off, len);
}

static void damage_is_found_in_its_piece_only(void **state)
{
	struct block_image img;

	image_init(&img, 9, 10000);
	assert_int_equal(verify(&img, 9, 0, 10000), 0);
	img.data[5000] ^= 1;
	assert_int_equal(verify(&img, 9, 0, KV_PIECE_SIZE), 0);
	assert_int_equal(verify(&img, 9, KV_PIECE_SIZE - 1, 2), -EUCLEAN);
	assert_int_equal(verify(&img, 9, 8191, 1), -EUCLEAN);
	assert_int_equal(verify(&img, 9, 8192, KV_BLOCK_SIZE - 8192), 0);
	assert_int_equal(verify(&img, 9, 20000, 100), 0);
}

static void a_piece_in_the_wrong_place_does_not_verify(void **state)
{
	struct block_image img;

	image_init(&img, 9, 2 * KV_PIECE_SIZE);
	assert_int_equal(verify(&img, 10, 0, 1), -EUCLEAN);
	memcpy(img.data + KV_PIECE_SIZE, img.data, KV_PIECE_SIZE);
	memcpy(img.sums + BLOCK_SUM_SIZE, img.sums, BLOCK_SUM_SIZE);
	assert_int_equal(verify(&img, 9, 0, 1), 0);
	assert_int_equal(verify(&img, 9, KV_PIECE_SIZE, 1), -EUCLEAN);
}

static void a_damaged_piece_gets_no_fresh_sum(void **state)
{
	struct kv_mutation patch = { .type = KV_BLOCK_PATCH,
				     .ino = 0,
				     .block = 9,
				     .off = 4097,
				     .data = (const uint8_t *)"x",
				     .data_len = 1 };
	struct kv_mutation cut = {
		.type = KV_BLOCK_PUNCH, .ino = 0, .block = 9, .off = 5000, .len = 27000
	};
	struct kv_mutation beyond = { .type = KV_BLOCK_PATCH,
				      .ino = 0,
				      .block = 9,
				      .off = 20000,
				      .data = (const uint8_t *)"x",
				      .data_len = 1 };
	struct block_image img;

	image_init(&img, 9, 6000);
	img.data[4096] ^= 1;
	assert_int_equal(block_image_apply(&img, &patch), -EUCLEAN);
	assert_int_equal(block_image_apply(&img, &cut), -EUCLEAN);
	/* It would make the short last piece longer. */
	assert_int_equal(block_image_apply(&img, &beyond), -EUCLEAN);
	patch.off = 4000;
	assert_int_equal(block_image_apply(&img, &patch), 0);
}

/* Against bytes changed one by one; all sums must be those of a row made at once. */
static void random_mutations_equal_a_model(void **state)
{
	struct block_image img = { .len = 0 }, want;
	uint8_t data[KV_BLOCK_SIZE];
	struct prng p;

	prng_init(&p, 11);
	memset(&want, 0, sizeof(want));
	for (int round = 0; round < 5000; round++) {
		struct kv_mutation m = { .type = (uint8_t)(KV_BLOCK_PUT + prng_below(&p, 3)),
					 .block = 9 };
		uint32_t len;

		memset(data, round, sizeof(data));
		m.off = m.type == KV_BLOCK_PUT ? 0 : (uint32_t)prng_below(&p, KV_BLOCK_SIZE);
		len = 1 + (uint32_t)prng_below(&p, KV_BLOCK_SIZE - m.off);
		if (m.type == KV_BLOCK_PUNCH) {
			m.len = len;
			memset(want.data + m.off, 0, len);
			if (m.off + len >= want.len && m.off < want.len)
				want.len = m.off;
		} else {
			m.data = data;
			m.data_len = len;
			if (m.type == KV_BLOCK_PUT)
				memset(want.data, 0, sizeof(want.data));
			memcpy(want.data + m.off, data, len);
			if (m.type == KV_BLOCK_PUT || m.off + len > want.len)
				want.len = m.off + len;
		}
		assert_int_equal(block_len_after(&m, img.len), want.len);
		assert_int_equal(block_image_apply(&img, &m), 0);
		assert_int_equal(img.len, want.len);
		if (img.len == 0)
			continue;
		assert_memory_equal(img.data, want.data, img.len);
		block_sum_pieces(want.sums, 9, want.data, want.len, 0, want.len);
		assert_memory_equal(img.sums, want.sums,
				    block_piece_count(img.len) * BLOCK_SUM_SIZE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(row_ids_keep_inode_and_block),
		cmocka_unit_test(capacity_holds_the_row_and_wastes_less_than_half),
		cmocka_unit_test(a_head_says_as_many_pieces_as_its_row_takes),
		cmocka_unit_test(damage_is_found_in_its_piece_only),
		cmocka_unit_test(a_piece_in_the_wrong_place_does_not_verify),
		cmocka_unit_test(a_damaged_piece_gets_no_fresh_sum),
		cmocka_unit_test(random_mutations_equal_a_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
