/*
 * opt.h - option tables: one description from which a program parses, prints its help, suggests
 * the nearest name for a typing error, and from which tests compare the man pages.
 *
 * The same table serves command lines (--name=value, --name value, -x) and mount's -o lists.
 */
#ifndef BASE_OPT_H
#define BASE_OPT_H

#include "base/base.h"
#include "base/err.h"

enum opt_kind {
	OPT_FLAG,   /* bool: present; on -o lists also noNAME when no_form is set */
	OPT_STRING, /* const char *, borrowed from argv or the list given */
	OPT_U64,    /* uint64_t, with min and max */
	OPT_I64,    /* int64_t, with min and max */
	OPT_SIZE,   /* int64_t bytes: 4096, 64K, 64M, 1G (powers of 1024); -1 allowed if min is -1 */
	OPT_SECONDS, /* double, seconds, with fractions */
	OPT_MODE,     /* uint32_t, permission bits in octal: 22, 022, 0777 */
	OPT_DURATION, /* uint64_t ns: 200ms, 2s, or off: 0; min and max in ns do not hold for off */
	OPT_IGNORE, /* accepted and without effect; value allowed */
	OPT_REFUSE, /* known from elsewhere, and always an error: help says why; value allowed */
};

struct opt {
	const char *name;      /* long name, without dashes */
	char short_name;       /* 0: none */
	enum opt_kind kind;
	size_t offset;         /* into the result struct; unused by OPT_IGNORE */
	const char *value;     /* name of the value in help, e.g. "BYTES"; NULL for flags */
	const char *def;       /* default as the man page states it; NULL: none */
	const char *help;      /* one line */
	int64_t min, max;      /* numbers; both 0: no bounds; only max 0: no upper bound */
	bool no_form;          /* flags: noNAME clears it */
};

/* The nearest name within two typing errors or NULL. */
const char *opt_suggest(const struct opt *opts, size_t count, const char *name);
const struct opt *opt_find(const struct opt *opts, size_t count, const char *name);
/* Parses text for one option into result; err names option and reason. 0 or -EINVAL. */
int opt_set(const struct opt *o, const char *text, void *result, struct err *err);
/*
 * Parses argv[1..]; options may stand between operands; "--" ends them. Operands are moved to the
 * front of argv[1..] and *operand_count is set. Unknown option: -EINVAL with a suggestion.
 */
int opt_parse_argv(const struct opt *opts, size_t count, int argc, char **argv, void *result,
		   int *operand_count, struct err *err);
/*
 * Parses "a,b=c,,d" (modified in place, values borrow from it). Unknown names: -EINVAL with a
 * suggestion, or skipped when sloppy.
 */
int opt_parse_list(const struct opt *opts, size_t count, char *list, bool sloppy, void *result,
		   struct err *err);
/* Prints "  -x, --name=VALUE   help (default: def)" for each, aligned and within 80 columns, to f. */
void opt_print_help(const struct opt *opts, size_t count, FILE *f);
/* One such entry: left, then help from column on, wrapped; help and def may be NULL. */
void opt_print_entry(FILE *f, const char *left, size_t column, const char *help, const char *def);
/* One line per option, "name<TAB>value<TAB>default", for the test that compares man pages. */
void opt_print_table(const struct opt *opts, size_t count, FILE *f);

#endif
