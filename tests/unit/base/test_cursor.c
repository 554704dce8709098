/* test_cursor.c - see base/cursor.h. */
#include "tests/lib/unit.h"

#include "base/buf.h"
#include "base/cursor.h"

static void reads_back_what_buf_wrote(void **state)
{
	struct buf b = BUF_INIT;
	struct cursor c;
	uint8_t copy[2];
	size_t len;

	buf_put_u8(&b, 200);
	buf_put_le16(&b, 60000);
	buf_put_le32(&b, 4000000000u);
	buf_put_le64(&b, UINT64_MAX - 1);
	buf_put_be64(&b, 77);
	buf_put_bytes32(&b, "name", 4);
	buf_put_bytes16(&b, "", 0);
	buf_put(&b, "zz", 2);
	c = cursor_init(b.data, b.len);
	assert_int_equal(cursor_u8(&c), 200);
	assert_int_equal(cursor_le16(&c), 60000);
	assert_int_equal(cursor_le32(&c), 4000000000u);
	assert_true(cursor_le64(&c) == UINT64_MAX - 1);
	assert_int_equal(cursor_be64(&c), 77);
	assert_memory_equal(cursor_bytes32(&c, &len), "name", 4);
	assert_int_equal(len, 4);
	assert_non_null(cursor_bytes16(&c, &len));
	assert_int_equal(len, 0);
	assert_int_equal(cursor_left(&c), 2);
	assert_false(cursor_at_end(&c));
	cursor_copy(&c, copy, 2);
	assert_memory_equal(copy, "zz", 2);
	assert_true(cursor_at_end(&c));
	buf_release(&b);
}

static void every_short_input_is_bad(void **state)
{
	static const uint8_t data[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };

	for (size_t len = 0; len < 8; len++) {
		struct cursor c = cursor_init(data, len);

		assert_int_equal(cursor_le64(&c), 0);
		assert_false(cursor_ok(&c));
		assert_false(cursor_at_end(&c));
		assert_int_equal(cursor_left(&c), 0);
	}
}

static void a_bad_cursor_stays_bad(void **state)
{
	static const uint8_t data[3] = { 9, 9, 9 };
	struct cursor c = cursor_init(data, 3);
	uint8_t copy[2] = { 1, 1 };
	size_t len = 5;

	assert_int_equal(cursor_le32(&c), 0);
	assert_int_equal(cursor_u8(&c), 0); /* though three bytes are left */
	assert_null(cursor_bytes(&c, 0));
	assert_null(cursor_bytes32(&c, &len));
	assert_int_equal(len, 0);
	cursor_copy(&c, copy, 2);
	assert_int_equal(copy[0] | copy[1], 0);
	assert_false(cursor_ok(&c));
}

static void a_length_beyond_the_end_is_bad(void **state)
{
	static const struct {
		uint8_t data[6];
		size_t len, want;
		bool ok;
	} cases[] = {
		{ { 2, 0, 0, 0, 'a', 'b' }, 6, 2, true },
		{ { 3, 0, 0, 0, 'a', 'b' }, 6, 0, false },
		{ { 0xff, 0xff, 0xff, 0xff, 'a', 'b' }, 6, 0, false },
		{ { 0, 0, 0, 0 }, 4, 0, true },
		{ { 0, 0, 0 }, 3, 0, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cursor c = cursor_init(cases[i].data, cases[i].len);
		size_t len = 99;

		assert_int_equal(cursor_bytes32(&c, &len) != NULL, cases[i].ok);
		assert_int_equal(len, cases[i].want);
		assert_int_equal(cursor_ok(&c), cases[i].ok);
	}
}

static void nothing_is_at_its_end(void **state)
{
	struct cursor c = cursor_init(NULL, 0);

	assert_true(cursor_at_end(&c));
	assert_int_equal(cursor_u8(&c), 0);
	assert_false(cursor_at_end(&c));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_back_what_buf_wrote),
		cmocka_unit_test(every_short_input_is_bad),
		cmocka_unit_test(a_bad_cursor_stays_bad),
		cmocka_unit_test(a_length_beyond_the_end_is_bad),
		cmocka_unit_test(nothing_is_at_its_end),
	};

	return cmocka_run_group_tests_name("base/cursor", tests, NULL, NULL);
}
