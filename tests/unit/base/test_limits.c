/* test_limits.c - see base/limits.h. */
#include "tests/lib/unit.h"

#include <sys/resource.h>

#include "base/limits.h"

static void the_soft_limit_becomes_the_hard_one(void **state)
{
	struct rlimit was, low;

	assert_return_code(getrlimit(RLIMIT_NOFILE, &was), errno);
	low = (struct rlimit){ .rlim_cur = 100, .rlim_max = was.rlim_max };
	assert_return_code(setrlimit(RLIMIT_NOFILE, &low), errno);
	assert_int_equal(limits_files(), 100);
	assert_int_equal(limits_raise_files(), was.rlim_max);
	assert_int_equal(limits_files(), was.rlim_max);
	assert_int_equal(limits_raise_files(), was.rlim_max); /* twice is as once */
	assert_return_code(setrlimit(RLIMIT_NOFILE, &was), errno);
}

static void the_last_descriptors_are_kept(void **state)
{
	static const struct {
		uint64_t limit;
		int fd;
		bool last;
	} cases[] = {
		{ 1024, 959, false }, { 1024, 960, true }, { 256, 191, false }, { 256, 192, true },
		{ 40, 29, false },    { 40, 30, true },	   { 1048576, 1000, false }, { 256, -1, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(limits_is_last_files(cases[i].limit, cases[i].fd), cases[i].last);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_soft_limit_becomes_the_hard_one),
		cmocka_unit_test(the_last_descriptors_are_kept),
	};

	return cmocka_run_group_tests_name("base/limits", tests, NULL, NULL);
}
