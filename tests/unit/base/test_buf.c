/* test_buf.c - see base/buf.h. */
#include "tests/lib/unit.h"

#include "base/buf.h"

static void integers_are_laid_out_by_name(void **state)
{
	static const uint8_t want[] = {
		0x01, 0x03, 0x02, 0x07, 0x06, 0x05, 0x04, 0x0f, 0x0e, 0x0d, 0x0c, 0x0b,
		0x0a, 0x09, 0x08, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f,
	};
	struct buf b = BUF_INIT;

	buf_put_u8(&b, 1);
	buf_put_le16(&b, 0x0203);
	buf_put_le32(&b, 0x04050607);
	buf_put_le64(&b, 0x08090a0b0c0d0e0full);
	buf_put_be64(&b, 0x08090a0b0c0d0e0full);
	assert_int_equal(b.len, sizeof(want));
	assert_memory_equal(b.data, want, sizeof(want));
	buf_release(&b);
}

static void loads_undo_stores(void **state)
{
	static const uint64_t cases[] = { 0,          1,          0x7f,
					  0x80,       0xffff,     0x8000,
					  0x80000000, UINT32_MAX, 0x8000000000000000ull,
					  UINT64_MAX };
	uint8_t p[8];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		store_le16(p, (uint16_t)cases[i]);
		assert_int_equal(load_le16(p), (uint16_t)cases[i]);
		store_le32(p, (uint32_t)cases[i]);
		assert_int_equal(load_le32(p), (uint32_t)cases[i]);
		store_le64(p, cases[i]);
		assert_true(load_le64(p) == cases[i]);
		store_be64(p, cases[i]);
		assert_true(load_be64(p) == cases[i]);
	}
}

static void big_endian_keys_sort_like_numbers(void **state)
{
	uint8_t a[8], b[8];

	store_be64(a, 255);
	store_be64(b, 256);
	assert_true(memcmp(a, b, 8) < 0);
}

static void contents_survive_growth(void **state)
{
	struct buf b = BUF_INIT;

	for (uint32_t i = 0; i < 10000; i++)
		buf_put_le32(&b, i);
	assert_int_equal(b.len, 40000);
	for (uint32_t i = 0; i < 10000; i++)
		assert_int_equal(load_le32(b.data + 4 * i), i);
	buf_release(&b);
	assert_null(b.data);
	assert_int_equal(b.len, 0);
}

static void resize_grows_with_zeros_and_cuts(void **state)
{
	struct buf b = BUF_INIT;

	buf_put(&b, "abc", 3);
	buf_resize(&b, 2);
	buf_resize(&b, 4);
	assert_int_equal(b.len, 4);
	assert_memory_equal(b.data, "ab\0\0", 4);
	buf_release(&b);
}

static void counted_bytes_carry_their_length(void **state)
{
	struct buf b = BUF_INIT;

	buf_put_bytes32(&b, "xyz", 3);
	buf_put_bytes16(&b, NULL, 0);
	assert_int_equal(b.len, 9);
	assert_memory_equal(b.data, "\3\0\0\0xyz\0\0", 9);
	buf_release(&b);
}

static void set_overwrites_what_was_put(void **state)
{
	struct buf b = BUF_INIT;

	buf_put_zeros(&b, 16);
	buf_set_le32(&b, 2, 0x01020304);
	buf_set_le64(&b, 8, 5);
	assert_int_equal(b.len, 16);
	assert_int_equal(load_le32(b.data + 2), 0x01020304);
	assert_int_equal(load_le64(b.data + 8), 5);
	buf_release(&b);
}

static void printf_appends_without_the_zero(void **state)
{
	struct buf b = BUF_INIT;
	char want[200];

	buf_printf(&b, "%s=%d,", "a", 7);
	memset(want, 'z', sizeof(want));
	want[199] = '\0';
	buf_printf(&b, "%s", want);
	assert_int_equal(b.len, 4 + 199);
	assert_memory_equal(b.data, "a=7,z", 5);
	buf_release(&b);
}

static void memory_is_never_null(void **state)
{
	void *p[] = { mem_alloc(0), mem_calloc(0, 8), mem_dup(NULL, 0), mem_strdup("") };

	for (size_t i = 0; i < ARRAY_SIZE(p); i++) {
		assert_non_null(p[i]);
		free(p[i]);
	}
}

static void release_accepts_the_empty_buffer(void **state)
{
	struct buf b = BUF_INIT;

	buf_reset(&b);
	buf_release(&b);
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers_are_laid_out_by_name),
		cmocka_unit_test(loads_undo_stores),
		cmocka_unit_test(big_endian_keys_sort_like_numbers),
		cmocka_unit_test(contents_survive_growth),
		cmocka_unit_test(resize_grows_with_zeros_and_cuts),
		cmocka_unit_test(counted_bytes_carry_their_length),
		cmocka_unit_test(set_overwrites_what_was_put),
		cmocka_unit_test(printf_appends_without_the_zero),
		cmocka_unit_test(memory_is_never_null),
		cmocka_unit_test(release_accepts_the_empty_buffer),
	};

	return cmocka_run_group_tests_name("base/buf", tests, NULL, NULL);
}
