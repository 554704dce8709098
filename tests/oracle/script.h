/*
 * script.h - recorded cases: a command with arguments and input, a line "----", what it printed.
 *
 * The form is that of cockroachdb/datadriven: comments begin with '#', the expected text ends at an
 * empty line, or, when it begins with a second "----", at two more of them. Arguments are NAME,
 * NAME=VALUE or NAME=(VALUE, VALUE).
 */
#ifndef TESTS_ORACLE_SCRIPT_H
#define TESTS_ORACLE_SCRIPT_H

#include "base/buf.h"
#include "base/err.h"

#define SCRIPT_ARGS_MAX 64
#define SCRIPT_VALUES_MAX 64

struct script_arg {
	char *key;
	char *values[SCRIPT_VALUES_MAX];
	size_t value_count;
};

struct script_case {
	size_t line; /* of the command */
	char *command;
	struct script_arg args[SCRIPT_ARGS_MAX];
	size_t arg_count;
	char *input;    /* without white space around it */
	char *expected; /* lines, each with its end */
};

struct script {
	char *text; /* the file; owned, as all below */
	const char *at;
	size_t line;
};

/* Loads a file. 0 or a negative errno with err. */
int script_open(struct script *s, const char *path, struct err *err);
/* 1 with the next case, to be released; 0 at the end; -EINVAL for one that does not parse. */
int script_next(struct script *s, struct script_case *c);
void script_case_release(struct script_case *c);
void script_close(struct script *s);

/* NULL if there is no such argument. */
const struct script_arg *script_arg(const struct script_case *c, const char *key);
/* The text as a decimal number; false if it is none. */
bool script_number(const char *text, uint64_t *value);

#endif
