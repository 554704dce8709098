/* test_log.c - see base/log.h. */
#include "tests/lib/unit.h"

#include <regex.h>

#include "base/log.h"
#include "tests/lib/capture.h"

static int restore(void **state)
{
	log_set_level(LOG_INFO);
	return 0;
}

static void a_line_has_time_level_module_and_text(void **state)
{
	struct capture c;
	char text[2000];
	regex_t re;

	capture_stderr(&c);
	log_info("raft", "became leader node=%d term=%d", 1, 4);
	capture_end(&c, text, sizeof(text));
	assert_int_equal(regcomp(&re,
				 "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}"
				 "\\.[0-9]{3}Z info raft became leader node=1 term=4\n$",
				 REG_EXTENDED | REG_NOSUB),
			 0);
	assert_int_equal(regexec(&re, text, 0, NULL, 0), 0);
	regfree(&re);
}

static void the_level_decides_what_is_written(void **state)
{
	for (int max = LOG_NONE; max <= LOG_DEBUG; max++) {
		log_set_level((enum log_level)max);
		for (int level = LOG_ERROR; level <= LOG_DEBUG; level++) {
			struct capture c;
			char text[200];

			capture_stderr(&c);
			log_line((enum log_level)level, "m", "x");
			capture_end(&c, text, sizeof(text));
			assert_int_equal(text[0] != '\0', level <= max);
			assert_int_equal(log_enabled((enum log_level)level), level <= max);
		}
	}
}

static void levels_are_parsed_by_name(void **state)
{
	enum log_level level = LOG_NONE;

	assert_int_equal(log_level_parse("warning", &level), 0);
	assert_int_equal(level, LOG_WARNING);
	assert_int_equal(log_level_parse("loud", &level), -EINVAL);
	assert_int_equal(level, LOG_WARNING);
}

static void one_call_is_one_line_whatever_the_text(void **state)
{
	struct capture c;
	char text[4000], longer[3000];

	memset(longer, 'a', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	capture_stderr(&c);
	log_error("fs", "name '%s' %s", "a\nforged error fs line\x1b[2J", longer);
	capture_end(&c, text, sizeof(text));
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	assert_null(strchr(text, '\x1b'));
	assert_in_range(strlen(text), 900, 1024);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_line_has_time_level_module_and_text, restore),
		cmocka_unit_test_teardown(the_level_decides_what_is_written, restore),
		cmocka_unit_test(levels_are_parsed_by_name),
		cmocka_unit_test(one_call_is_one_line_whatever_the_text),
	};

	return cmocka_run_group_tests_name("base/log", tests, NULL, NULL);
}
