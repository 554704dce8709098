/* test_clock.c - see base/clock.h. */
#include "tests/lib/unit.h"

#include "base/clock.h"

static void sleeping_takes_at_least_its_time(void **state)
{
	uint64_t start_ns = clock_boot_ns();

	clock_sleep_ms(20);
	assert_true(clock_boot_ns() - start_ns >= 20000000);
}

static void boot_time_never_goes_back(void **state)
{
	uint64_t last = clock_boot_ns();

	for (int i = 0; i < 10000; i++) {
		uint64_t now = clock_boot_ns();

		assert_true(now >= last);
		last = now;
	}
	assert_true(clock_boot_ms() >= last / 1000000);
}

static void wall_time_is_nanoseconds_since_1970(void **state)
{
	assert_true(clock_wall_ns() / 1000000000 - (int64_t)time(NULL) <= 1);
	assert_true((int64_t)time(NULL) - clock_wall_ns() / 1000000000 <= 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sleeping_takes_at_least_its_time),
		cmocka_unit_test(boot_time_never_goes_back),
		cmocka_unit_test(wall_time_is_nanoseconds_since_1970),
	};

	return cmocka_run_group_tests_name("base/clock", tests, NULL, NULL);
}
