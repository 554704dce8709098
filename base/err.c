/* err.c - see err.h. */
#include "base/err.h"

int err_set(struct err *err, int code, const char *fmt, ...)
{
	char text[sizeof(err->text)];
	va_list ap;

	if (!err)
		return code;
	/* Into a copy first: an argument may be the old text. */
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	*err = (struct err){ .code = code };
	memcpy(err->text, text, sizeof(text));
	return code;
}

int err_prefix(struct err *err, const char *fmt, ...)
{
	char old[sizeof(err->text)];
	va_list ap;
	size_t len;

	if (!err)
		return -EIO;
	memcpy(old, err->text, sizeof(old));
	va_start(ap, fmt);
	(void)vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	len = strlen(err->text);
	(void)snprintf(err->text + len, sizeof(err->text) - len, ": %s", old);
	return err->code;
}

int err_advise(struct err *err, const char *still_works, const char *next_fmt, ...)
{
	va_list ap;

	if (!err)
		return -EIO;
	if (still_works && !err->still_works[0])
		(void)snprintf(err->still_works, sizeof(err->still_works), "%s", still_works);
	if (next_fmt && !err->next[0]) {
		va_start(ap, next_fmt);
		(void)vsnprintf(err->next, sizeof(err->next), next_fmt, ap);
		va_end(ap);
	}
	return err->code;
}

void err_print(const struct err *err, const char *program)
{
	fprintf(stderr, "%s: %s\n", program, err->text);
	if (err->still_works[0])
		fprintf(stderr, "  still works: %s\n", err->still_works);
	if (err->next[0])
		fprintf(stderr, "  next: %s\n", err->next);
}
