/* test_opt.c - see base/opt.h. */
#include "tests/lib/unit.h"

#include "base/opt.h"

struct result {
	bool verbose, atime, fake;
	const char *peers;
	uint64_t id;
	int64_t delta, threshold, cache;
	double timeo;
	uint32_t mask;
};

static const struct opt opts[] = {
	{ .name = "verbose",
	  .short_name = 'v',
	  .kind = OPT_FLAG,
	  .offset = offsetof(struct result, verbose),
	  .help = "say more" },
	{ .name = "fake",
	  .short_name = 'f',
	  .kind = OPT_FLAG,
	  .offset = offsetof(struct result, fake),
	  .help = "do nothing" },
	{ .name = "atime",
	  .kind = OPT_FLAG,
	  .offset = offsetof(struct result, atime),
	  .no_form = true,
	  .help = "keep access times" },
	{ .name = "peers",
	  .short_name = 'p',
	  .kind = OPT_STRING,
	  .offset = offsetof(struct result, peers),
	  .value = "LIST",
	  .help = "the others" },
	{ .name = "id",
	  .kind = OPT_U64,
	  .offset = offsetof(struct result, id),
	  .value = "N",
	  .def = "1",
	  .help = "who",
	  .min = 1,
	  .max = 9 },
	{ .name = "delta",
	  .kind = OPT_I64,
	  .offset = offsetof(struct result, delta),
	  .value = "N",
	  .help = "offset",
	  .min = -10,
	  .max = 10 },
	{ .name = "snapshot-threshold",
	  .kind = OPT_SIZE,
	  .offset = offsetof(struct result, threshold),
	  .value = "BYTES",
	  .def = "64M",
	  .help = "when",
	  .min = -1 },
	{ .name = "cache",
	  .kind = OPT_SIZE,
	  .offset = offsetof(struct result, cache),
	  .value = "BYTES",
	  .help = "memory",
	  .min = 4096,
	  .max = 1 << 30 },
	{ .name = "timeo",
	  .kind = OPT_SECONDS,
	  .offset = offsetof(struct result, timeo),
	  .value = "SECONDS",
	  .def = "60",
	  .help = "patience",
	  .max = 100 },
	{ .name = "umask", .kind = OPT_MODE, .offset = offsetof(struct result, mask), .value = "MASK" },
	{ .name = "_netdev", .kind = OPT_IGNORE },
	{ .name = "comment", .kind = OPT_IGNORE, .value = "TEXT" },
};
enum { COUNT = ARRAY_SIZE(opts) };

static void numbers_are_checked_to_the_last_letter(void **state)
{
	static const struct {
		const char *name, *text;
		int64_t want; /* -99: refused */
	} cases[] = {
		{ "id", "1", 1 },
		{ "id", "9", 9 },
		{ "id", "0", -99 },
		{ "id", "10", -99 },
		{ "id", "", -99 },
		{ "id", "-1", -99 },
		{ "id", "+1", -99 },
		{ "id", " 1", -99 },
		{ "id", "1x", -99 },
		{ "id", "0x1", -99 },
		{ "id", "18446744073709551616", -99 },
		{ "id", "18446744073709551615", -99 },
		{ "id", "99999999999999999999999", -99 },
		{ "delta", "-10", -10 },
		{ "delta", "10", 10 },
		{ "delta", "-11", -99 },
		{ "delta", "--1", -99 },
		{ "delta", "9223372036854775808", -99 },
		{ "cache", "4096", 4096 },
		{ "cache", "4K", 4096 },
		{ "cache", "4k", 4096 },
		{ "cache", "1M", 1 << 20 },
		{ "cache", "1G", 1 << 30 },
		{ "cache", "2G", -99 },
		{ "cache", "4095", -99 },
		{ "cache", "-1", -99 },
		{ "cache", "1KK", -99 },
		{ "cache", "K", -99 },
		{ "cache", "1Q", -99 },
		{ "cache", "4096 ", -99 },
		{ "snapshot-threshold", "-1", -1 },
		{ "snapshot-threshold", "0", 0 },
		{ "snapshot-threshold", "-2", -99 },
		{ "snapshot-threshold", "64M", 64 << 20 },
		{ "snapshot-threshold", "8388607T", 8388607ll << 40 },
		{ "snapshot-threshold", "8388608T", -99 },
		{ "snapshot-threshold", "9223372036854775808", -99 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct result r = { .id = 77, .delta = 77, .cache = 77, .threshold = 77 };
		const struct opt *o = opt_find(opts, COUNT, cases[i].name);
		struct err err = ERR_INIT;
		int64_t got;
		int ret = opt_set(o, cases[i].text, &r, &err);

		memcpy(&got, (char *)&r + o->offset, sizeof(got));
		if (cases[i].want == -99) {
			assert_int_equal(ret, -EINVAL);
			assert_int_equal(got, 77);
			assert_non_null(strstr(err.text, cases[i].name));
		} else {
			assert_int_equal(ret, 0);
			assert_true(got == cases[i].want);
		}
	}
}

static void permission_bits_are_octal(void **state)
{
	static const struct {
		const char *text;
		uint32_t want; /* 07777: refused */
	} cases[] = {
		{ "0", 0 },	   { "22", 022 },   { "022", 022 },   { "0777", 0777 }, { "1000", 07777 },
		{ "", 07777 },	   { "8", 07777 },  { "-1", 07777 },  { "0x7", 07777 }, { " 7", 07777 },
		{ "7 ", 07777 },   { "u=r", 07777 }, { "7777777777777777777777777", 07777 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct result r = { .mask = 07777 };
		struct err err = ERR_INIT;
		int ret = opt_set(opt_find(opts, COUNT, "umask"), cases[i].text, &r, &err);

		assert_int_equal(ret, cases[i].want == 07777 ? -EINVAL : 0);
		assert_int_equal(r.mask, cases[i].want);
	}
}

static void seconds_have_fractions(void **state)
{
	static const struct {
		const char *text;
		double want; /* negative: refused */
	} cases[] = {
		{ "1", 1 },   { "0.25", 0.25 }, { ".5", 0.5 }, { "100", 100 }, { "100.5", -1 },
		{ "-1", -1 }, { "1e1", -1 },    { "inf", -1 }, { "nan", -1 },  { "", -1 },
		{ ".", -1 },  { "1.2.3", -1 },  { "0x1", -1 }, { "5s", -1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct result r = { .timeo = 7 };
		int ret = opt_set(opt_find(opts, COUNT, "timeo"), cases[i].text, &r, NULL);

		assert_int_equal(ret, cases[i].want < 0 ? -EINVAL : 0);
		assert_true(r.timeo == (cases[i].want < 0 ? 7 : cases[i].want));
	}
}

static void durations_have_units_and_may_be_off(void **state)
{
	static const struct opt lease = { .name = "lease", .kind = OPT_DURATION, .min = 10000000, .max = 60000000000 };
	static const struct {
		const char *text;
		uint64_t want; /* 77: refused */
	} cases[] = {
		{ "off", 0 },     { "10ms", 10000000 }, { "200ms", 200000000 }, { "2s", 2000000000 },
		{ "60s", 60000000000 }, { "61s", 77 },  { "9ms", 77 },   { "0ms", 77 }, { "0", 77 },
		{ "200", 77 },    { "", 77 },    { "ms", 77 },    { "-1s", 77 }, { "1.5s", 77 },
		{ "2s ", 77 },    { "OFF", 77 }, { "18446744073709551615s", 77 },
		{ "99999999999999999999999s", 77 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t got = 77;
		int ret = opt_set(&lease, cases[i].text, &got, NULL);

		assert_int_equal(ret, cases[i].want == 77 ? -EINVAL : 0);
		assert_true(got == cases[i].want);
	}
}

static void argv_mixes_options_and_operands(void **state)
{
	char *argv[] = { "prog",   "src", "-v", "--peers", "a,b", "dir",
			 "--id=3", "-",   "--", "--cache", NULL };
	struct result r = { .verbose = false };
	struct err err = ERR_INIT;
	int operands = -1;

	assert_int_equal(opt_parse_argv(opts, COUNT, 10, argv, &r, &operands, &err), 0);
	assert_int_equal(operands, 4);
	assert_string_equal(argv[1], "src");
	assert_string_equal(argv[2], "dir");
	assert_string_equal(argv[3], "-");
	assert_string_equal(argv[4], "--cache");
	assert_true(r.verbose);
	assert_string_equal(r.peers, "a,b");
	assert_int_equal(r.id, 3);
}

static void short_options_cluster(void **state)
{
	static char *const cases[][4] = {
		{ "prog", "-vfp", "list", NULL },
		{ "prog", "-vfplist", "-v", NULL },
		{ "prog", "-f", "-vplist", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *argv[4];
		struct result r = { .verbose = false };
		int operands;

		memcpy(argv, cases[i], sizeof(argv));
		assert_int_equal(opt_parse_argv(opts, COUNT, 3, argv, &r, &operands, NULL), 0);
		assert_int_equal(operands, 0);
		assert_true(r.verbose && r.fake);
		assert_string_equal(r.peers, "list");
	}
}

static void bad_arguments_are_named(void **state)
{
	static const struct {
		const char *arg, *text;
	} cases[] = {
		{ "--peer=x", "unknown option '--peer': did you mean '--peers'?" },
		{ "--snapshot-treshold=1", "unknown option '--snapshot-treshold': "
					   "did you mean '--snapshot-threshold'?" },
		{ "--zzzzzzz", "unknown option '--zzzzzzz'" },
		{ "-x", "unknown option '-x'" },
		{ "--peers", "option 'peers' needs a value: LIST" },
		{ "-p", "option 'peers' needs a value: LIST" },
		{ "--verbose=1", "option 'verbose' takes no value, not '1'" },
		{ "--id=ten", "bad value 'ten' for option 'id': not a whole number from 0 on" },
		{ "--id=12", "bad value '12' for option 'id': must be at most 9" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char arg[64];
		char *argv[] = { "prog", arg, NULL };
		struct result r = { .verbose = false };
		struct err err = ERR_INIT;
		int operands = -1;

		snprintf(arg, sizeof(arg), "%s", cases[i].arg);
		assert_int_equal(opt_parse_argv(opts, COUNT, 2, argv, &r, &operands, &err),
				 -EINVAL);
		assert_string_equal(err.text, cases[i].text);
		assert_int_equal(operands, -1);
	}
}

static void lists_are_parsed_as_mount_gives_them(void **state)
{
	char list[] = "verbose,,peers=a:1=x,id=4,_netdev,_netdev=y,comment=z,atime,noatime,";
	struct result r = { .atime = true };
	struct err err = ERR_INIT;

	assert_int_equal(opt_parse_list(opts, COUNT, list, false, &r, &err), 0);
	assert_true(r.verbose);
	assert_false(r.atime);
	assert_string_equal(r.peers, "a:1=x");
	assert_int_equal(r.id, 4);
}

static void only_sloppy_lists_skip_unknown_names(void **state)
{
	static const char *const unknown[] = { "bogus", "noverbose", "noatime=1", "bogus=1", "no" };

	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
		char strict[64], sloppy[64];
		struct result r = { .verbose = false };
		struct err err = ERR_INIT;

		snprintf(strict, sizeof(strict), "%s,id=5", unknown[i]);
		memcpy(sloppy, strict, sizeof(strict));
		assert_int_equal(opt_parse_list(opts, COUNT, strict, false, &r, &err), -EINVAL);
		assert_non_null(strstr(err.text, "unknown option"));
		assert_int_equal(opt_parse_list(opts, COUNT, sloppy, true, &r, &err), 0);
		assert_int_equal(r.id, 5);
	}
	/* A known name with a bad value is a mistake in either. */
	char bad[] = "id=zero";
	struct result r;

	assert_int_equal(opt_parse_list(opts, COUNT, bad, true, &r, NULL), -EINVAL);
}

static void two_typing_errors_are_forgiven(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "peers", "peers" },
		{ "pers", "peers" },
		{ "epers", "peers" },
		{ "preers", "peers" },
		{ "verbsoe", "verbose" },
		{ "vrbos", "verbose" },
		{ "vrbs", NULL },
		{ "di", "id" },
		{ "xx", NULL },
		{ "x", NULL },
		{ "", NULL },
		{ "catche", "cache" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *got = opt_suggest(opts, COUNT, cases[i].text);

		if (cases[i].want)
			assert_string_equal(got, cases[i].want);
		else
			assert_null(got);
	}
}

static void help_and_table_tell_every_option(void **state)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	opt_print_help(opts, 5, f);
	fclose(f);
	assert_string_equal(text, "  -v, --verbose      say more\n"
				  "  -f, --fake         do nothing\n"
				  "      --atime        keep access times\n"
				  "  -p, --peers=LIST   the others\n"
				  "      --id=N         who (default: 1)\n");
	free(text);
	f = open_memstream(&text, &len);
	assert_non_null(f);
	opt_print_table(opts + 3, 2, f);
	fclose(f);
	assert_string_equal(text, "peers\tLIST\t\nid\tN\t1\n");
	free(text);
}

/* What does not fit 80 columns goes on below, a default whole if it can. */
static void help_stays_within_a_terminal(void **state)
{
	static const struct opt wide[] = {
		{ .name = "an-option-with-a-very-long-name", .kind = OPT_STRING, .value = "VALUE",
		  .help = "short", .def = "also short" },
		{ .name = "l", .kind = OPT_STRING, .value = "V",
		  .help = "a text that fills the line to the last column", .def = "none" },
		{ .name = "m", .kind = OPT_FLAG,
		  .help = "a text of so many words that it has to be broken somewhere between two of them, twice",
		  .def = "what stands on a line of its own" },
		{ .name = "w", .kind = OPT_FLAG,
		  .help = "awordthatislongerthanalltheroomtherewouldeverbeonalineofthehelp yes" },
	};
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	opt_print_help(wide, ARRAY_SIZE(wide), f);
	fclose(f);
	assert_string_equal(
		text,
		"      --an-option-with-a-very-long-name=VALUE\n"
		"                                  short (default: also short)\n"
		"      --l=V                       a text that fills the line to the last column\n"
		"                                  (default: none)\n"
		"      --m                         a text of so many words that it has to be\n"
		"                                  broken somewhere between two of them, twice\n"
		"                                  (default: what stands on a line of its own)\n"
		"      --w                         "
		"awordthatislongerthanalltheroomtherewouldeverbeonalineofthehelp\n"
		"                                  yes\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_checked_to_the_last_letter),
		cmocka_unit_test(permission_bits_are_octal),
		cmocka_unit_test(seconds_have_fractions),
		cmocka_unit_test(durations_have_units_and_may_be_off),
		cmocka_unit_test(argv_mixes_options_and_operands),
		cmocka_unit_test(short_options_cluster),
		cmocka_unit_test(bad_arguments_are_named),
		cmocka_unit_test(lists_are_parsed_as_mount_gives_them),
		cmocka_unit_test(only_sloppy_lists_skip_unknown_names),
		cmocka_unit_test(two_typing_errors_are_forgiven),
		cmocka_unit_test(help_and_table_tell_every_option),
		cmocka_unit_test(help_stays_within_a_terminal),
	};

	return cmocka_run_group_tests_name("base/opt", tests, NULL, NULL);
}
