/* test_lock_range.c - range arithmetic against an array with one element for each byte. */
#include "tests/lib/unit.h"

#include "base/prng.h"
#include "fs/ops/lock_range.h"

#define BYTES 24u
#define STEPS 20000u

/* Byte BYTES stands for everything from there to the end of time. */
struct bytes {
	uint8_t type[BYTES + 1];
};

static void bytes_set(struct bytes *b, const struct lock_range *set)
{
	for (uint64_t i = set->start; i <= set->end && i <= BYTES; i++)
		b->type[i] = set->type == FS_LOCK_UNLOCK ? 0 : set->type;
}

static struct lock_range draw(struct prng *rnd)
{
	struct lock_range r = { .start = prng_below(rnd, BYTES + 1),
				.type = (uint8_t)(FS_LOCK_READ + prng_below(rnd, 3)),
				.pid = (uint32_t)prng_below(rnd, 3) };

	r.end = prng_below(rnd, 5) == 0 ? FS_LOCK_END_MAX
					: r.start + prng_below(rnd, BYTES + 1 - r.start);
	return r.end == BYTES ? (struct lock_range){ r.start, FS_LOCK_END_MAX, r.type, r.pid } : r;
}

static void assert_sound(const struct lock_range *v, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		assert_true(v[i].start <= v[i].end);
		assert_true(v[i].type == FS_LOCK_READ || v[i].type == FS_LOCK_WRITE);
		if (i == 0)
			continue;
		assert_true(v[i - 1].end < v[i].start);
		assert_false(v[i - 1].type == v[i].type && v[i - 1].end + 1 == v[i].start);
	}
}

static void ranges_say_what_bytes_say(void **state)
{
	struct lock_range v[2][BYTES + 3];
	struct bytes bytes = { .type = { 0 } };
	struct prng rnd;
	size_t count = 0;
	int at = 0;

	(void)state;
	prng_init(&rnd, 7);
	for (unsigned step = 0; step < STEPS; step++) {
		struct lock_range set = draw(&rnd);
		struct bytes seen = { .type = { 0 } };
		size_t new_count = lock_range_set(v[at], count, set, v[1 - at]);

		assert_true(new_count <= count + 2);
		at = 1 - at;
		count = new_count;
		bytes_set(&bytes, &set);
		assert_sound(v[at], count);
		for (size_t i = 0; i < count; i++)
			bytes_set(&seen, &v[at][i]);
		assert_memory_equal(&seen, &bytes, sizeof(seen));
	}
}

static void named_cases(void **state)
{
	static const struct {
		struct lock_range old[2];
		size_t count;
		struct lock_range set, want[3];
		size_t want_count;
	} cases[] = {
		/* the middle of a lock is unlocked */
		{ { { 0, 99, FS_LOCK_WRITE, 1 } },
		  1,
		  { 40, 59, FS_LOCK_UNLOCK, 1 },
		  { { 0, 39, FS_LOCK_WRITE, 1 }, { 60, 99, FS_LOCK_WRITE, 1 } },
		  2 },
		/* the gap between two is closed */
		{ { { 0, 9, FS_LOCK_READ, 1 }, { 20, 29, FS_LOCK_READ, 1 } },
		  2,
		  { 10, 19, FS_LOCK_READ, 2 },
		  { { 0, 29, FS_LOCK_READ, 2 } },
		  1 },
		/* part of it is upgraded */
		{ { { 0, FS_LOCK_END_MAX, FS_LOCK_READ, 1 } },
		  1,
		  { 5, 5, FS_LOCK_WRITE, 1 },
		  { { 0, 4, FS_LOCK_READ, 1 },
		    { 5, 5, FS_LOCK_WRITE, 1 },
		    { 6, FS_LOCK_END_MAX, FS_LOCK_READ, 1 } },
		  3 },
		/* the last byte of all */
		{ { { 0, FS_LOCK_END_MAX, FS_LOCK_READ, 1 } },
		  1,
		  { FS_LOCK_END_MAX, FS_LOCK_END_MAX, FS_LOCK_UNLOCK, 1 },
		  { { 0, FS_LOCK_END_MAX - 1, FS_LOCK_READ, 1 } },
		  1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct lock_range out[4];

		assert_int_equal(lock_range_set(cases[i].old, cases[i].count, cases[i].set, out),
				 cases[i].want_count);
		for (size_t j = 0; j < cases[i].want_count; j++) {
			assert_int_equal(out[j].start, cases[i].want[j].start);
			assert_int_equal(out[j].end, cases[i].want[j].end);
			assert_int_equal(out[j].type, cases[i].want[j].type);
			assert_int_equal(out[j].pid, cases[i].want[j].pid);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_say_what_bytes_say),
		cmocka_unit_test(named_cases),
	};

	return cmocka_run_group_tests_name("fs/lock_range", tests, NULL, NULL);
}
