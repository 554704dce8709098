/*
 * fuzz_options.c - what people type: command lines and -o lists, with values of every kind, and the names
 * that programs make of files. Parsed or refused with a reason; bounds are kept.
 */
#include "base/opt.h"
#include "mount-helper/mount.h"
#include "tests/fuzz/fuzz.h"

#define ARGS_MAX 12
#define TEXT_MAX 512u

struct result {
	bool flag, other;
	const char *text;
	uint64_t u64, free_u64;
	int64_t i64, size;
	double seconds;
	uint32_t mode;
};

#define AT(field) offsetof(struct result, field)

static const struct opt table[] = {
	{ .name = "flag",
	  .short_name = 'f',
	  .kind = OPT_FLAG,
	  .offset = AT(flag),
	  .no_form = true },
	{ .name = "other", .short_name = 'v', .kind = OPT_FLAG, .offset = AT(other) },
	{ .name = "text",
	  .short_name = 't',
	  .kind = OPT_STRING,
	  .offset = AT(text),
	  .value = "TEXT" },
	{ .name = "number",
	  .short_name = 'n',
	  .kind = OPT_U64,
	  .offset = AT(u64),
	  .value = "N",
	  .min = 3,
	  .max = 1000 },
	{ .name = "any", .short_name = 'a', .kind = OPT_U64, .offset = AT(free_u64), .value = "N" },
	{ .name = "signed",
	  .kind = OPT_I64,
	  .offset = AT(i64),
	  .value = "N",
	  .min = -10,
	  .max = 10 },
	{ .name = "size",
	  .short_name = 's',
	  .kind = OPT_SIZE,
	  .offset = AT(size),
	  .value = "BYTES",
	  .min = -1,
	  .max = INT64_MAX },
	{ .name = "wait",
	  .short_name = 'w',
	  .kind = OPT_SECONDS,
	  .offset = AT(seconds),
	  .value = "S",
	  .min = 1,
	  .max = 60 },
	{ .name = "mask", .kind = OPT_MODE, .offset = AT(mode), .value = "MASK" },
	{ .name = "ignored", .short_name = 'i', .kind = OPT_IGNORE, .value = "X" },
};

static void check_bounds(const struct result *r)
{
	assert(r->u64 == 3 || (r->u64 >= 3 && r->u64 <= 1000));
	assert(r->i64 >= -10 && r->i64 <= 10);
	assert(r->size >= -1);
	assert(r->seconds >= 1 && r->seconds <= 60);
	assert(r->mode <= 0777);
}

static struct result fresh(void)
{
	return (struct result){ .u64 = 3, .seconds = 1 };
}

/* The input's lines are the arguments. */
static void check_argv(char *text)
{
	char *argv[ARGS_MAX + 1] = { "program" };
	struct result r = fresh();
	struct err err = ERR_INIT;
	int argc = 1, operands = 0, ret;

	for (char *arg; argc < ARGS_MAX && (arg = strsep(&text, "\n")) != NULL;)
		argv[argc++] = arg;
	ret = opt_parse_argv(table, ARRAY_SIZE(table), argc, argv, &r, &operands, &err);
	assert(ret == 0 || (ret == -EINVAL && err.text[0]));
	assert(operands >= 0 && operands < argc);
	check_bounds(&r);
}

static void check_list(const char *text, bool sloppy)
{
	char *copy = mem_strdup(text);
	struct result r = fresh();
	struct err err = ERR_INIT;
	int ret = opt_parse_list(table, ARRAY_SIZE(table), copy, sloppy, &r, &err);

	assert(ret == 0 || (ret == -EINVAL && err.text[0]));
	check_bounds(&r);
	free(copy);
}

static void check_mount(const char *text, bool sloppy)
{
	struct mount_options o = mount_options_default();
	char *copy = mem_strdup(text);
	struct err err = ERR_INIT;
	int ret = mount_options_parse(copy, sloppy, &o, &err);

	assert(ret == 0 || (ret == -EINVAL && err.text[0]));
	assert(o.timeo_ds >= 1 && o.max_threads >= 1 && o.max_threads <= 256 &&
	       o.snapshot_threshold >= -1);
	free(copy);
}

static void check_mount_argv(const char *text)
{
	char *copy = mem_strdup(text), *rest = copy;
	char *argv[ARGS_MAX + 1] = { "program" };
	struct err err = ERR_INIT;
	int argc = 1;
	char *list;

	for (char *arg; argc < ARGS_MAX && (arg = strsep(&rest, "\n")) != NULL;)
		argv[argc++] = arg;
	list = mount_options_take(&argc, argv, &err);
	assert(list || err.text[0]);
	assert(argc >= 1 && argc <= ARGS_MAX);
	free(list);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char text[TEXT_MAX + 1];
	size_t len = (size_t)min_u64(size > 0 ? size - 1 : 0, TEXT_MAX);
	enum log_level level;

	if (size == 0)
		return 0;
	memcpy(text, data + 1, len);
	text[len] = '\0';
	if (data[0] % 16 == 15) {
		(void)log_level_parse(text, &level);
		(void)opt_suggest(table, ARRAY_SIZE(table), text);
	}
	switch (data[0] % 4) {
	case 0:
		check_list(text, data[0] & 4);
		break;
	case 1:
		check_mount(text, data[0] & 4);
		break;
	case 2:
		check_mount_argv(text);
		break;
	default:
		check_argv(text);
	}
	return 0;
}
