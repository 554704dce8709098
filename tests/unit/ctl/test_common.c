#include "tests/lib/unit.h"

#include <sys/stat.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "tests/lib/capture.h"

static void exit_codes_follow_the_reason(void **state)
{
	static const struct { int code, want; } cases[] = {
		{ -EINVAL, CTL_USAGE },		{ -ECONNREFUSED, CTL_UNREACHABLE },
		{ -ENOENT, CTL_UNREACHABLE },	{ -ETIMEDOUT, CTL_NO_QUORUM },
		{ -EACCES, CTL_REFUSED },	{ -EXDEV, CTL_REFUSED },
		{ -EUCLEAN, CTL_DAMAGED },	{ -EIO, CTL_FAILED },
		{ -ENOSPC, CTL_FAILED },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err err = ERR_INIT;
		struct capture c;
		char text[1024];

		err_set(&err, cases[i].code, "cannot do '%s': because", "it");
		capture_stderr(&c);
		int got = ctl_fail(&err);

		capture_end(&c, text, sizeof(text));
		assert_int_equal(got, cases[i].want);
		assert_string_equal(text, "quorumfs: cannot do 'it': because\n"
					  "  still works: nothing was changed\n"
					  "  next: quorumfs help\n");
	}
}

static void a_node_is_a_directory_a_socket_or_an_address(void **state)
{
	char dir[] = "/tmp/qfs-ctl-test-XXXXXX";
	char out[256], want[256];

	assert_non_null(mkdtemp(dir));
	ctl_address(dir, out, sizeof(out));
	snprintf(want, sizeof(want), "unix:%s/node.sock", dir);
	assert_string_equal(out, want);
	rmdir(dir);
	ctl_address("/run/q.sock", out, sizeof(out));
	assert_string_equal(out, "unix:/run/q.sock");
	ctl_address("unix:q.sock", out, sizeof(out));
	assert_string_equal(out, "unix:q.sock");
	ctl_address("10.0.0.1:7900", out, sizeof(out));
	assert_string_equal(out, "10.0.0.1:7900");
}

static void the_environment_names_the_usual_node(void **state)
{
	char out[256];

	setenv("QUORUMFS_NODE", "n2:7901", 1);
	ctl_address(NULL, out, sizeof(out));
	assert_string_equal(out, "n2:7901");
	ctl_address("n3:7901", out, sizeof(out));
	assert_string_equal(out, "n3:7901");
	unsetenv("QUORUMFS_NODE");
	ctl_address(NULL, out, sizeof(out));
	assert_non_null(strstr(out, "/var/lib/quorumfs"));
}

static void fields_that_are_missing_read_as_nothing(void **state)
{
	struct json_object *o = json_tokener_parse("{\"a\":7,\"s\":\"x\",\"b\":true}");

	assert_int_equal(ctl_u64(o, "a"), 7);
	assert_int_equal(ctl_u64(o, "z"), 0);
	assert_string_equal(ctl_str(o, "s"), "x");
	assert_string_equal(ctl_str(o, "z"), "");
	assert_true(ctl_bool(o, "b"));
	assert_false(ctl_bool(o, "z"));
	json_object_put(o);
}

static void text_that_is_no_utf8_becomes_base64(void **state)
{
	static const struct { const char *text; size_t len; bool plain; } cases[] = {
		{ "", 0, true },
		{ "plain", 5, true },
		{ "a\0b", 3, true },
		{ "b\xc3\xbc", 3, true },
		{ "\xe2\x82\xac \xf0\x9f\x98\x80", 8, true },
		{ "\xff", 1, false },
		{ "\x80", 1, false },
		{ "a\xc3", 2, false },             /* cut short */
		{ "\xc0\x80", 2, false },         /* overlong */
		{ "\xed\xa0\x80", 3, false },     /* a surrogate */
		{ "\xf4\x90\x80\x80", 4, false }, /* above the last code point */
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct json_object *o = json_object_new_object();
		struct json_object *v = NULL;

		ctl_put_text(o, "v", cases[i].text, cases[i].len);
		assert_int_equal(json_object_object_length(o), 1);
		assert_int_equal(json_object_object_get_ex(o, cases[i].plain ? "v" : "v_base64", &v), 1);
		if (cases[i].plain) {
			assert_int_equal(json_object_get_string_len(v), (int)cases[i].len);
			assert_memory_equal(json_object_get_string(v), cases[i].text, cases[i].len);
		}
		json_object_put(o);
	}
}

static char *status_text(const char *json)
{
	struct json_object *o = json_tokener_parse(json);
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(o);
	assert_non_null(f);
	ctl_print_status(o, f);
	fclose(f);
	json_object_put(o);
	return text;
}

static void status_says_why_a_node_is_missing(void **state)
{
	char *text = status_text("{\"health\":\"degraded\",\"voters\":3,\"voters_up\":2,\"members\":["
				 "{\"id\":1,\"self\":true,\"last_error\":\"no\",\"connected\":true},"
				 "{\"id\":2,\"connected\":true,\"last_error\":\"an old one\"},"
				 "{\"id\":3,\"connected\":false,\"last_error\":\"'h:1' refused: not you\"}]}");

	assert_non_null(strstr(text, "MISSING"));
	assert_non_null(strstr(text, "\n      'h:1' refused: not you\n"));
	assert_null(strstr(text, "an old one")); /* it is connected now */
	free(text);
}

/* What is on the other end may be anything. */
static void status_takes_any_answer(void **state)
{
	free(status_text("{}"));
	free(status_text("[]"));
	free(status_text("{\"members\":7,\"health\":[]}"));
	free(status_text("{\"members\":[7,null,[],{\"address\":{}}]}"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exit_codes_follow_the_reason),
		cmocka_unit_test(a_node_is_a_directory_a_socket_or_an_address),
		cmocka_unit_test(the_environment_names_the_usual_node),
		cmocka_unit_test(fields_that_are_missing_read_as_nothing),
		cmocka_unit_test(text_that_is_no_utf8_becomes_base64),
		cmocka_unit_test(status_says_why_a_node_is_missing),
		cmocka_unit_test(status_takes_any_answer),
	};

	return cmocka_run_group_tests_name("ctl/common", tests, NULL, NULL);
}
