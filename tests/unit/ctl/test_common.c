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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exit_codes_follow_the_reason),
		cmocka_unit_test(a_node_is_a_directory_a_socket_or_an_address),
		cmocka_unit_test(the_environment_names_the_usual_node),
		cmocka_unit_test(fields_that_are_missing_read_as_nothing),
	};

	return cmocka_run_group_tests_name("ctl/common", tests, NULL, NULL);
}
