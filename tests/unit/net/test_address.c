/* test_address.c - which texts are addresses, and what is said about unreachable ones. */
#include "tests/lib/unit.h"

#include "net/address.h"

static void addresses_are_split_into_host_and_port(void **state)
{
	static const struct {
		const char *text, *host, *port;
		bool local;
	} cases[] = {
		{ "10.0.0.1:7000", "10.0.0.1", "7000", false },
		{ "node-a.example", "node-a.example", "7900", false },
		{ "[::1]:80", "::1", "80", false },
		{ "[fe80::1]", "fe80::1", "7900", false },
		{ "localhost:0", "localhost", "0", false },
		{ "unix:/run/q/s", "/run/q/s", "", true },
	};
	struct net_address a;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(net_address_parse(&a, cases[i].text, NULL), 0);
		assert_string_equal(a.host, cases[i].host);
		assert_string_equal(a.port, cases[i].port);
		assert_int_equal(a.local, cases[i].local);
	}
}

static void what_is_no_address_is_refused_with_advice(void **state)
{
	static const char *const cases[] = {
		"",      ":7900",   "host:", "host:x", "host:65536",   "host:-1", "host:123456",
		"[::1",  "[::1]7",  "[]:7",  "::1",    "fe80::1:7900", "unix:",   "a b:7",
		"a/b:7", "host: 7",
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err err = ERR_INIT;

		assert_int_equal(net_address_check(cases[i], &err), -EINVAL);
		assert_true(err.text[0] && err.still_works[0] && err.next[0]);
	}
}

static void names_and_paths_beyond_the_limits_are_refused(void **state)
{
	char path[5 + 109] = "unix:";
	char host[300];
	struct net_address a;

	memset(path + 5, 'p', 108);
	assert_int_equal(net_address_parse(&a, path, NULL), -EINVAL);
	path[5 + 107] = '\0';
	assert_int_equal(net_address_parse(&a, path, NULL), 0);
	memset(host, 'h', sizeof(host) - 1);
	host[sizeof(host) - 1] = '\0';
	assert_int_equal(net_address_parse(&a, host, NULL), -EINVAL);
}

static void failures_to_connect_have_four_parts_and_a_code_to_branch_on(void **state)
{
	static const struct {
		int code, want;
	} cases[] = {
		{ -ECONNREFUSED, -ECONNREFUSED },
		{ -ENOENT, -ECONNREFUSED },
		{ -ETIMEDOUT, -ETIMEDOUT },
		{ -ENETUNREACH, -EHOSTUNREACH },
		{ -EACCES, -EACCES },
		{ -EIO, -EIO },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err err = ERR_INIT;

		assert_int_equal(net_err_connect(&err, "unix:/none", cases[i].code), cases[i].want);
		assert_int_equal(err.code, cases[i].want);
		assert_non_null(strstr(err.text, "'unix:/none'"));
		assert_true(err.still_works[0] && err.next[0]);
	}
}

static void a_host_that_does_not_exist_is_unreachable(void **state)
{
	struct net_address a;
	struct addrinfo *list = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(net_address_parse(&a, "no-such-host.invalid:7900", NULL), 0);
	assert_int_equal(net_address_resolve(&a, false, &list, &err), -EHOSTUNREACH);
	assert_non_null(strstr(err.text, "no-such-host.invalid"));
	assert_non_null(strstr(err.next, "getent"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_split_into_host_and_port),
		cmocka_unit_test(what_is_no_address_is_refused_with_advice),
		cmocka_unit_test(names_and_paths_beyond_the_limits_are_refused),
		cmocka_unit_test(failures_to_connect_have_four_parts_and_a_code_to_branch_on),
		cmocka_unit_test(a_host_that_does_not_exist_is_unreachable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
