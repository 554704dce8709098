/* test_prng.c - see base/prng.h. */
#include "tests/lib/unit.h"

#include "base/prng.h"

/* The first outputs of the reference implementation for the state 1, 2, 3, 4. */
static void follows_the_reference_implementation(void **state)
{
	static const uint64_t want[] = { 11520, 0, 1509978240, 1215971899390074240ull };
	struct prng p = { .s = { 1, 2, 3, 4 } };

	for (size_t i = 0; i < ARRAY_SIZE(want); i++)
		assert_true(prng_u64(&p) == want[i]);
}

static void equal_seeds_give_equal_numbers(void **state)
{
	struct prng a, b, c;
	int different = 0;

	prng_init(&a, 42);
	prng_init(&b, 42);
	prng_init(&c, 43);
	for (int i = 0; i < 1000; i++) {
		uint64_t v = prng_u64(&a);

		assert_true(v == prng_u64(&b));
		different += v != prng_u64(&c);
	}
	assert_true(different > 990);
}

static void seed_zero_is_no_dead_state(void **state)
{
	struct prng p;

	prng_init(&p, 0);
	assert_true((p.s[0] | p.s[1] | p.s[2] | p.s[3]) != 0);
}

static void below_stays_below_and_reaches_all(void **state)
{
	static const uint64_t bounds[] = { 1, 2, 3, 10, 1000 };
	struct prng p;

	prng_init(&p, 7);
	for (size_t i = 0; i < ARRAY_SIZE(bounds); i++) {
		uint64_t low = UINT64_MAX, high = 0;

		for (int n = 0; n < 20000; n++) {
			uint64_t v = prng_below(&p, bounds[i]);

			assert_true(v < bounds[i]);
			low = min_u64(low, v);
			high = max_u64(high, v);
		}
		assert_int_equal(low, 0);
		assert_int_equal(high, bounds[i] - 1);
	}
	assert_true(prng_below(&p, UINT64_MAX) < UINT64_MAX);
}

static void below_is_even(void **state)
{
	int hits[5] = { 0 };
	struct prng p;

	prng_init(&p, 1);
	for (int n = 0; n < 50000; n++)
		hits[prng_below(&p, 5)]++;
	for (int i = 0; i < 5; i++)
		assert_in_range(hits[i], 9500, 10500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(follows_the_reference_implementation),
		cmocka_unit_test(equal_seeds_give_equal_numbers),
		cmocka_unit_test(seed_zero_is_no_dead_state),
		cmocka_unit_test(below_stays_below_and_reaches_all),
		cmocka_unit_test(below_is_even),
	};

	return cmocka_run_group_tests_name("base/prng", tests, NULL, NULL);
}
