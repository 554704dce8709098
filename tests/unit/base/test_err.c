/* test_err.c - see base/err.h. */
#include "tests/lib/unit.h"

#include "base/err.h"
#include "tests/lib/capture.h"

static void set_fills_and_returns_the_code(void **state)
{
	struct err err = ERR_INIT;

	assert_int_equal(err_set(&err, -EINVAL, "bad port '%d'", 99999), -EINVAL);
	assert_int_equal(err.code, -EINVAL);
	assert_string_equal(err.text, "bad port '99999'");
}

static void set_forgets_the_failure_before(void **state)
{
	struct err err = ERR_INIT;

	err_set(&err, -EIO, "first");
	err_advise(&err, "reads", "try %d", 1);
	err_set(&err, -EPERM, "second, after %s", err.text);
	assert_string_equal(err.text, "second, after first");
	assert_string_equal(err.still_works, "");
	assert_string_equal(err.next, "");
}

static void without_an_err_it_is_still_a_failure(void **state)
{
	assert_int_equal(err_set(NULL, -EIO, "lost"), -EIO);
	assert_true(err_prefix(NULL, "store") < 0);
	assert_true(err_advise(NULL, "reads", "try") < 0);
}

static void prefix_goes_in_front(void **state)
{
	struct err err = ERR_INIT;

	err_set(&err, -ENOENT, "no superblock there");
	assert_int_equal(err_prefix(&err, "cannot open store '%s'", "/srv"), -ENOENT);
	assert_string_equal(err.text, "cannot open store '/srv': no superblock there");
}

static void the_innermost_advice_stays(void **state)
{
	struct err err = ERR_INIT;

	err_set(&err, -EIO, "x");
	err_advise(&err, NULL, "quorumfs init %s", "/srv");
	err_advise(&err, "nothing was changed", "something else");
	assert_string_equal(err.next, "quorumfs init /srv");
	assert_string_equal(err.still_works, "nothing was changed");
	err_advise(&err, "other", NULL);
	assert_string_equal(err.still_works, "nothing was changed");
}

static void long_texts_are_cut(void **state)
{
	struct err err = ERR_INIT;
	char text[2000];

	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	err_set(&err, -EIO, "%s", text);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	err_prefix(&err, "%s", text);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
}

static void prints_the_parts_that_are_there(void **state)
{
	struct err err = ERR_INIT;
	struct capture c;
	char text[1000];

	err_set(&err, -ENOENT, "cannot open 'x': gone");
	capture_stderr(&c);
	err_print(&err, "quorumfs");
	capture_end(&c, text, sizeof(text));
	assert_string_equal(text, "quorumfs: cannot open 'x': gone\n");
	err_advise(&err, "all else", "quorumfs status");
	capture_stderr(&c);
	err_print(&err, "quorumfs");
	capture_end(&c, text, sizeof(text));
	assert_string_equal(text, "quorumfs: cannot open 'x': gone\n"
				  "  still works: all else\n"
				  "  next: quorumfs status\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(set_fills_and_returns_the_code),
		cmocka_unit_test(set_forgets_the_failure_before),
		cmocka_unit_test(without_an_err_it_is_still_a_failure),
		cmocka_unit_test(prefix_goes_in_front),
		cmocka_unit_test(the_innermost_advice_stays),
		cmocka_unit_test(long_texts_are_cut),
		cmocka_unit_test(prints_the_parts_that_are_there),
	};

	return cmocka_run_group_tests_name("base/err", tests, NULL, NULL);
}
