/* capture.h - collects what a function writes to stderr. All inline. */
#ifndef TESTS_LIB_CAPTURE_H
#define TESTS_LIB_CAPTURE_H

#include <stdio.h>
#include <unistd.h>

#include "base/base.h"

struct capture {
	int saved;
	FILE *file;
};

static inline void capture_stderr(struct capture *c)
{
	fflush(stderr);
	c->saved = dup(STDERR_FILENO);
	c->file = tmpfile();
	assert(c->saved >= 0 && c->file);
	dup2(fileno(c->file), STDERR_FILENO);
}

/* Restores stderr; text gets what was written, cut to its size. */
static inline void capture_end(struct capture *c, char *text, size_t size)
{
	size_t len;

	fflush(stderr);
	dup2(c->saved, STDERR_FILENO);
	close(c->saved);
	rewind(c->file);
	len = fread(text, 1, size - 1, c->file);
	text[len] = '\0';
	fclose(c->file);
}

#endif
