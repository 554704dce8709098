/*
 * opt.c - see opt.h. The two parsers, for argv and for -o lists, only find an option and its text;
 * opt_set() alone knows what kinds of values there are.
 */
#include "base/opt.h"

#include <inttypes.h>
#include <math.h>

#include "base/buf.h"

#define OPT_HELP_COLUMNS 80u
#define OPT_HELP_LEFT_MAX 34u /* a longer option has a line of its own */

/* Typing errors between two names: insert, delete, change or swap neighbours; limited to 3. */
static size_t typing_errors(const char *a, const char *b)
{
	size_t rows[3][64] = { { 0 } }; /* the row before the previous, the previous, this */
	size_t la = strlen(a), lb = strlen(b);

	if (la >= ARRAY_SIZE(rows[0]) || lb >= ARRAY_SIZE(rows[0]))
		return 3;
	for (size_t j = 0; j <= lb; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= la; i++) {
		const size_t *before = rows[(i + 1) % 3], *prev = rows[(i + 2) % 3];
		size_t *row = rows[i % 3];

		row[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			row[j] = prev[j - 1] + (a[i - 1] != b[j - 1]);
			row[j] = min_u64(row[j], min_u64(prev[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = min_u64(row[j], before[j - 2] + 1);
		}
	}
	return min_u64(rows[la % 3][lb], 3);
}

const char *opt_suggest(const struct opt *opts, size_t count, const char *name)
{
	const char *best = NULL;
	size_t best_errors = 3;

	for (size_t i = 0; i < count; i++) {
		size_t errors = typing_errors(name, opts[i].name);

		/* A name that is wrong in every letter suggests nothing. */
		if (errors < best_errors && errors < strlen(name)) {
			best = opts[i].name;
			best_errors = errors;
		}
	}
	return best;
}

const struct opt *opt_find(const struct opt *opts, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(opts[i].name, name) == 0)
			return &opts[i];
	return NULL;
}

static int bad_value(const struct opt *o, const char *text, struct err *err, const char *why)
{
	return err_set(err, -EINVAL, "bad value '%s' for option '%s': %s", text, o->name, why);
}

static int check_bounds(const struct opt *o, const char *text, int64_t v, struct err *err)
{
	if ((o->min != 0 || o->max != 0) && v < o->min)
		return err_set(err, -EINVAL,
			       "bad value '%s' for option '%s': must be at least %" PRId64, text,
			       o->name, o->min);
	if (o->max != 0 && v > o->max)
		return err_set(err, -EINVAL,
			       "bad value '%s' for option '%s': must be at most %" PRId64, text,
			       o->name, o->max);
	return 0;
}

/* Decimal digits only, so no sign, space or hexadecimal; *end is the first byte behind them. */
static int parse_digits(const char *text, uint64_t *v, const char **end)
{
	uint64_t n = 0;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	for (; *text >= '0' && *text <= '9'; text++)
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*text - '0'), &n))
			return -ERANGE;
	*v = n;
	*end = text;
	return 0;
}

static int parse_u64(const struct opt *o, const char *text, uint64_t *out, struct err *err)
{
	const char *end;
	uint64_t v;
	int ret = parse_digits(text, &v, &end);

	if (ret == -ERANGE)
		return bad_value(o, text, err, "too large");
	if (ret < 0 || *end)
		return bad_value(o, text, err, "not a whole number from 0 on");
	if (v > INT64_MAX && o->max != 0)
		return bad_value(o, text, err, "too large");
	ret = check_bounds(o, text, v > INT64_MAX ? INT64_MAX : (int64_t)v, err);
	if (ret == 0)
		*out = v;
	return ret;
}

static int parse_mode(const struct opt *o, const char *text, uint32_t *out, struct err *err)
{
	size_t digits = strspn(text, "01234567");
	unsigned long v = strtoul(text, NULL, 8);

	if (digits == 0 || text[digits] || v > 0777)
		return bad_value(o, text, err, "not permission bits in octal, 0 to 777");
	*out = (uint32_t)v;
	return 0;
}

static int parse_i64(const struct opt *o, const char *text, int64_t *out, struct err *err)
{
	bool negative = *text == '-';
	const char *end;
	uint64_t v;
	int64_t n;
	int ret = parse_digits(text + negative, &v, &end);

	if (ret == -ERANGE || (ret == 0 && v > INT64_MAX))
		return bad_value(o, text, err, "too large");
	if (ret < 0 || *end)
		return bad_value(o, text, err, "not a whole number");
	n = negative ? -(int64_t)v : (int64_t)v;
	ret = check_bounds(o, text, n, err);
	if (ret == 0)
		*out = n;
	return ret;
}

static int parse_size(const struct opt *o, const char *text, int64_t *out, struct err *err)
{
	static const char units[] = "KMGT";
	const char *end, *unit;
	uint64_t v;
	int ret;

	if (strcmp(text, "-1") == 0 && o->min == -1) {
		*out = -1;
		return 0;
	}
	ret = parse_digits(text, &v, &end);
	if (ret == -ERANGE)
		return bad_value(o, text, err, "too large");
	if (ret == 0 && *end) {
		unit = strchr(units, *end & ~0x20);
		if (unit && end[1] == '\0' && v >> (63 - 10 * (unit - units + 1)))
			return bad_value(o, text, err, "too large");
		if (unit && end[1] == '\0')
			v <<= 10 * (unit - units + 1);
		else
			ret = -EINVAL;
	}
	if (ret < 0)
		return bad_value(o, text, err, "not a size such as 4096, 64K, 64M or 1G");
	if (v > INT64_MAX)
		return bad_value(o, text, err, "too large");
	ret = check_bounds(o, text, (int64_t)v, err);
	if (ret == 0)
		*out = (int64_t)v;
	return ret;
}

static int parse_seconds(const struct opt *o, const char *text, double *out, struct err *err)
{
	double v;
	char *end;

	/* strtod() alone would take signs, spaces, "inf", "nan", exponents and hexadecimal. */
	if (!*text || text[strspn(text, "0123456789.")])
		return bad_value(o, text, err, "not a number of seconds");
	v = strtod(text, &end);
	if (end == text || *end || !isfinite(v))
		return bad_value(o, text, err, "not a number of seconds");
	if (v < (double)o->min || (o->max != 0 && v > (double)o->max))
		return err_set(err, -EINVAL,
			       "bad value '%s' for option '%s': must be at %s %" PRId64 " seconds",
			       text, o->name, v < (double)o->min ? "least" : "most",
			       v < (double)o->min ? o->min : o->max);
	*out = v;
	return 0;
}

static int parse_duration(const struct opt *o, const char *text, uint64_t *out, struct err *err)
{
	uint64_t v, unit;
	const char *end = "";
	int ret;

	if (strcmp(text, "off") == 0) {
		*out = 0;
		return 0;
	}
	ret = parse_digits(text, &v, &end);
	unit = strcmp(end, "ms") == 0 ? 1000000 : strcmp(end, "s") == 0 ? 1000000000 : 0;
	if (ret == -ERANGE || (ret == 0 && unit != 0 && v > INT64_MAX / unit))
		return bad_value(o, text, err, "too large");
	if (ret < 0 || unit == 0)
		return bad_value(o, text, err, "not a duration such as 200ms or 2s, nor 'off'");
	if (v * unit < (uint64_t)o->min || (o->max != 0 && v * unit > (uint64_t)o->max))
		return err_set(err, -EINVAL,
			       "bad value '%s' for option '%s': must be off, or between %" PRId64
			       " ms and %" PRId64 " ms",
			       text, o->name, o->min / 1000000, o->max / 1000000);
	*out = v * unit;
	return 0;
}

int opt_set(const struct opt *o, const char *text, void *result, struct err *err)
{
	void *field = (char *)result + o->offset;

	if (o->kind == OPT_IGNORE)
		return 0;
	if (o->kind == OPT_REFUSE)
		return err_set(err, -EINVAL, "option '%s' is refused: %s", o->name, o->help);
	if (o->kind == OPT_FLAG) {
		if (text)
			return err_set(err, -EINVAL, "option '%s' takes no value, not '%s'",
				       o->name, text);
		*(bool *)field = true;
		return 0;
	}
	if (!text)
		return err_set(err, -EINVAL, "option '%s' needs a value: %s", o->name,
			       o->value ? o->value : "VALUE");
	switch (o->kind) {
	case OPT_STRING:
		*(const char **)field = text;
		return 0;
	case OPT_U64:
		return parse_u64(o, text, field, err);
	case OPT_I64:
		return parse_i64(o, text, field, err);
	case OPT_SIZE:
		return parse_size(o, text, field, err);
	case OPT_SECONDS:
		return parse_seconds(o, text, field, err);
	case OPT_MODE:
		return parse_mode(o, text, field, err);
	case OPT_DURATION:
		return parse_duration(o, text, field, err);
	case OPT_FLAG:
	case OPT_IGNORE:
	case OPT_REFUSE:
		break;
	}
	return err_set(err, -EINVAL, "option '%s' is of no known kind", o->name);
}

static int unknown(const struct opt *opts, size_t count, const char *dashes, const char *name,
		   struct err *err)
{
	const char *near = opt_suggest(opts, count, name);

	if (near)
		return err_set(err, -EINVAL, "unknown option '%s%s': did you mean '%s%s'?", dashes,
			       name, dashes, near);
	return err_set(err, -EINVAL, "unknown option '%s%s'", dashes, name);
}

/* Whether a value may stand in the next argument: only where one must be given. */
static bool takes_value(const struct opt *o)
{
	return o->kind == OPT_IGNORE || o->kind == OPT_REFUSE ? o->value != NULL : o->kind != OPT_FLAG;
}

/* What is left of argv: next is the argument that an option's separate value comes from. */
struct args {
	char **argv;
	int argc;
	int next;
};

static const char *next_arg(struct args *a)
{
	return a->next < a->argc ? a->argv[a->next++] : NULL;
}

static int parse_long(const struct opt *opts, size_t count, const char *arg, struct args *a,
		      void *result, struct err *err)
{
	const char *eq = strchr(arg, '=');
	char *name = eq ? mem_dup(arg, (size_t)(eq - arg) + 1) : mem_strdup(arg);
	const struct opt *o;
	int ret;

	if (eq)
		name[eq - arg] = '\0';
	o = opt_find(opts, count, name);
	if (!o)
		ret = unknown(opts, count, "--", name, err);
	else if (eq)
		ret = opt_set(o, eq + 1, result, err);
	else
		ret = opt_set(o, takes_value(o) ? next_arg(a) : NULL, result, err);
	free(name);
	return ret;
}

/* A cluster such as -vfo LIST or -oLIST: flags up to the first option that takes a value. */
static int parse_short(const struct opt *opts, size_t count, const char *arg, struct args *a,
		       void *result, struct err *err)
{
	for (; *arg; arg++) {
		const struct opt *o = NULL;
		int ret;

		for (size_t i = 0; i < count && !o; i++)
			if (opts[i].short_name == *arg)
				o = &opts[i];
		if (!o)
			return err_set(err, -EINVAL, "unknown option '-%c'", *arg);
		if (takes_value(o))
			return opt_set(o, arg[1] ? arg + 1 : next_arg(a), result, err);
		ret = opt_set(o, NULL, result, err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

int opt_parse_argv(const struct opt *opts, size_t count, int argc, char **argv, void *result,
		   int *operand_count, struct err *err)
{
	struct args a = { .argv = argv, .argc = argc, .next = 1 };
	bool only_operands = false;
	int operands = 0;

	while (a.next < argc) {
		char *arg = argv[a.next++];
		int ret = 0;

		if (only_operands || arg[0] != '-' || arg[1] == '\0')
			argv[1 + operands++] = arg; /* never ahead of what was read */
		else if (strcmp(arg, "--") == 0)
			only_operands = true;
		else if (arg[1] == '-')
			ret = parse_long(opts, count, arg + 2, &a, result, err);
		else
			ret = parse_short(opts, count, arg + 1, &a, result, err);
		if (ret < 0)
			return ret;
	}
	*operand_count = operands;
	return 0;
}

static int parse_list_item(const struct opt *opts, size_t count, char *item, bool sloppy,
			   void *result, struct err *err)
{
	char *value = strchr(item, '=');
	const struct opt *o;

	if (value)
		*value++ = '\0';
	o = opt_find(opts, count, item);
	if (o)
		return opt_set(o, value, result, err);
	if (!value && strncmp(item, "no", 2) == 0) {
		o = opt_find(opts, count, item + 2);
		if (o && o->kind == OPT_FLAG && o->no_form) {
			*(bool *)(void *)((char *)result + o->offset) = false;
			return 0;
		}
	}
	return sloppy ? 0 : unknown(opts, count, "", item, err);
}

int opt_parse_list(const struct opt *opts, size_t count, char *list, bool sloppy, void *result,
		   struct err *err)
{
	char *item;
	int ret = 0;

	while (ret == 0 && (item = strsep(&list, ",")) != NULL)
		if (*item)
			ret = parse_list_item(opts, count, item, sloppy, result, err);
	return ret;
}

/* Prints text from *at on, at spaces in steps to a new line at column before it would pass 80. */
static void print_wrapped(FILE *f, const char *text, size_t column, size_t *at)
{
	while (*text) {
		size_t word = strcspn(text, " ");
		bool first = *at == column;

		if (!first && *at + 1 + word > OPT_HELP_COLUMNS) {
			fprintf(f, "\n%*s", (int)column, "");
			*at = column;
			first = true;
		}
		fprintf(f, "%s%.*s", first ? "" : " ", (int)word, text);
		*at += word + !first;
		text += word;
		text += strspn(text, " ");
	}
}

void opt_print_entry(FILE *f, const char *left, size_t column, const char *help, const char *def)
{
	size_t len = strlen(left), at = column;
	char text[160];

	fputs(left, f);
	if (len + 2 > column)
		fprintf(f, "\n%*s", (int)column, "");
	else
		fprintf(f, "%*s", (int)(column - len), "");
	print_wrapped(f, help ? help : "", column, &at);
	if (def) {
		snprintf(text, sizeof(text), "(default: %s)", def);
		/* On a line of its own rather than torn apart. */
		if (at + 1 + strlen(text) > OPT_HELP_COLUMNS && at > column) {
			fprintf(f, "\n%*s", (int)column, "");
			at = column;
		}
		print_wrapped(f, text, column, &at);
	}
	fputc('\n', f);
}

static int left_of(const struct opt *o, char *out, size_t size)
{
	char dash[8] = "     ";

	if (o->short_name)
		snprintf(dash, sizeof(dash), " -%c, ", o->short_name);
	return snprintf(out, size, " %s--%s%s%s", dash, o->name, o->value ? "=" : "",
			o->value ? o->value : "");
}

void opt_print_help(const struct opt *opts, size_t count, FILE *f)
{
	char left[128];
	size_t width = 0;

	for (size_t i = 0; i < count; i++)
		width = max_u64(width, (size_t)left_of(&opts[i], left, sizeof(left)));
	width = min_u64(width + 3, OPT_HELP_LEFT_MAX);
	for (size_t i = 0; i < count; i++) {
		left_of(&opts[i], left, sizeof(left));
		opt_print_entry(f, left, width, opts[i].help, opts[i].def);
	}
}

void opt_print_table(const struct opt *opts, size_t count, FILE *f)
{
	for (size_t i = 0; i < count; i++)
		fprintf(f, "%s\t%s\t%s\n", opts[i].name, opts[i].value ? opts[i].value : "",
			opts[i].def ? opts[i].def : "");
}
