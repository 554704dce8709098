/*
 * err.h - the text of a failure, in the four parts a user needs.
 *
 * A library fills an err and returns a negative errno; a program prints it after its own name:
 *
 *   mount.quorumfs: cannot open store '/srv/data': no superblock there
 *     still works: nothing was changed
 *     next: quorumfs init /srv/data
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdarg.h>

#include "base/base.h"

struct err {
	int code;              /* the negative errno, 0 when nothing failed */
	char text[512];        /* what failed, the subject in quotes, then why; lower case, no full stop */
	char still_works[256]; /* what still works; may be empty in a library, never in a program */
	char next[256];        /* the next command to type */
};

#define ERR_INIT ((struct err){ .code = 0 })

/* Fills text and returns code. err may be NULL. */
int err_set(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Puts "prefix: " in front of the text; returns err->code (-EIO without an err: still a failure). */
int err_prefix(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Adds parts three and four unless they are set already (the innermost knows best); NULL skips. Returns as above. */
int err_advise(struct err *err, const char *still_works, const char *next_fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Prints "PROGRAM: text", "  still works: ...", "  next: ..." to stderr. */
void err_print(const struct err *err, const char *program);

#endif
