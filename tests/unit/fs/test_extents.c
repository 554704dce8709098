/* test_extents.c - random writes gathered in pieces, against an array of bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/prng.h"
#include "fs/fs.h"
#include "fs/fuse/extents.h"

#define SIZE 400u

static uint8_t bytes[SIZE]; /* 0: nothing was written */

static void assert_same(const struct extents *x)
{
	struct buf out = BUF_INIT;
	uint8_t seen[SIZE] = { 0 };
	uint64_t end = 0, total = 0;
	const uint8_t *data;
	struct fs_extent e;
	size_t left;

	extents_encode(x, &out);
	data = out.data;
	left = out.len;
	while (fs_extent_next(&data, &left, &e)) {
		assert_true(e.offset >= end && e.len > 0);
		end = e.offset + e.len;
		total += e.len;
		memcpy(seen + e.offset, e.data, e.len);
	}
	assert_int_equal(left, 0);
	assert_int_equal(total, x->bytes);
	assert_memory_equal(seen, bytes, SIZE);
	buf_release(&out);
}

static void assert_found(const struct extents *x, uint64_t offset, uint64_t len)
{
	const uint8_t *found = extents_find(x, offset, len);
	bool any = false, all = true;

	for (uint64_t i = offset; i < offset + len; i++) {
		any = any || bytes[i];
		all = all && bytes[i];
	}
	assert_int_equal(extents_overlap(x, offset, len), any);
	if (found)
		assert_memory_equal(found, bytes + offset, len);
	assert_true(all || !found);
}

static void what_is_written_later_counts(void **state)
{
	struct prng p;

	(void)state;
	prng_init(&p, 7);
	for (unsigned run = 0; run < 300; run++) {
		struct extents x = { .count = 0 };

		memset(bytes, 0, sizeof(bytes));
		for (unsigned i = 0; i < 60; i++) {
			uint64_t offset = prng_below(&p, SIZE), len = 1 + prng_below(&p, 1 + prng_below(&p, 60));
			uint8_t data[60];

			len = min_u64(len, SIZE - offset);
			memset(data, (int)(1 + prng_below(&p, 255)), sizeof(data));
			memcpy(bytes + offset, data, len);
			extents_put(&x, offset, data, len);
			assert_same(&x);
			offset = prng_below(&p, SIZE);
			assert_found(&x, offset, 1 + prng_below(&p, SIZE - offset));
		}
		extents_release(&x);
		assert_int_equal(x.bytes, 0);
	}
}

static void one_behind_the_other_is_one_piece(void **state)
{
	struct extents x = { .count = 0 };

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		extents_put(&x, 50 + i, "x", 1);
	assert_int_equal(x.count, 1);
	assert_int_equal(x.bytes, 100);
	extents_release(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_later_counts),
		cmocka_unit_test(one_behind_the_other_is_one_piece),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
