/* script.c - see script.h. */
#include "tests/oracle/script.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int script_open(struct script *s, const char *path, struct err *err)
{
	struct buf b = BUF_INIT;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : 1;

	while (n > 0) {
		buf_reserve(&b, 65536);
		n = read(fd, b.data + b.len, 65536);
		if (n > 0)
			b.len += (size_t)n;
	}
	if (n < 0) {
		int ret = -errno;

		if (fd >= 0)
			close(fd);
		buf_release(&b);
		return err_set(err, ret, "cannot read script '%s': %s", path, strerror(-ret));
	}
	close(fd);
	buf_put_u8(&b, '\0');
	*s = (struct script){ .text = (char *)b.data, .at = (char *)b.data };
	return 0;
}

void script_close(struct script *s)
{
	free(s->text);
	*s = (struct script){ .text = NULL };
}

/* The next line without its end, in line; false at the end of the file. */
static bool next_line(struct script *s, struct buf *line)
{
	const char *end;
	size_t len;

	if (*s->at == '\0')
		return false;
	end = strchr(s->at, '\n');
	len = end == NULL ? strlen(s->at) : (size_t)(end - s->at);
	buf_reset(line);
	buf_put(line, s->at, len);
	buf_put_u8(line, '\0');
	s->at += len + (end != NULL);
	s->line++;
	return true;
}

static char *trimmed(const char *text)
{
	size_t len;
	char *copy;

	while (isspace((unsigned char)*text))
		text++;
	len = strlen(text);
	while (len > 0 && isspace((unsigned char)text[len - 1]))
		len--;
	copy = mem_alloc(len + 1);
	memcpy(copy, text, len);
	copy[len] = '\0';
	return copy;
}

static char *piece(const char *from, size_t len)
{
	char *copy = mem_alloc(len + 1);

	memcpy(copy, from, len);
	copy[len] = '\0';
	return copy;
}

/* "(a, b)": values at the top level of parentheses. Returns what follows, NULL if it does not close. */
static const char *parse_list(const char *p, struct script_arg *arg)
{
	const char *start = ++p;
	int depth = 1;

	for (; depth > 0; p++) {
		if (*p == '\0' || arg->value_count == SCRIPT_VALUES_MAX)
			return NULL;
		depth += (*p == '(') - (*p == ')');
		if (depth > 0 && !(depth == 1 && *p == ','))
			continue;
		arg->values[arg->value_count++] = piece(start, (size_t)(p - start));
		start = p + 1;
		while (*p == ',' && *start == ' ')
			start = ++p + 1;
	}
	return p;
}

static const char *parse_arg(const char *p, struct script_arg *arg)
{
	size_t len = strcspn(p, " =");

	arg->key = piece(p, len);
	p += len;
	if (*p != '=')
		return p;
	if (*++p == '(')
		return parse_list(p, arg);
	len = strcspn(p, " ");
	arg->values[arg->value_count++] = piece(p, len);
	return p + len;
}

static bool parse_command(const char *line, struct script_case *c)
{
	const char *p = line;
	size_t len = strcspn(p, " ");

	c->command = piece(p, len);
	for (p += len; p != NULL;) {
		while (*p == ' ')
			p++;
		if (*p == '\0')
			return true;
		if (c->arg_count == SCRIPT_ARGS_MAX)
			return false;
		p = parse_arg(p, &c->args[c->arg_count++]);
	}
	return false;
}

static void read_input(struct script *s, struct script_case *c, struct buf *line)
{
	struct buf input = BUF_INIT;

	while (next_line(s, line) && strcmp((char *)line->data, "----") != 0)
		buf_printf(&input, "%s\n", (char *)line->data);
	buf_put_u8(&input, '\0');
	c->input = trimmed((char *)input.data);
	buf_release(&input);
}

static bool blank(const char *line)
{
	return line[strspn(line, " \t\r")] == '\0';
}

static void read_expected(struct script *s, struct script_case *c, struct buf *line)
{
	struct buf text = BUF_INIT;
	bool more = next_line(s, line);

	if (more && strcmp((char *)line->data, "----") == 0) {
		bool closing = false;

		while (next_line(s, line)) {
			bool bar = strcmp((char *)line->data, "----") == 0;

			if (bar && closing)
				break;
			if (closing)
				buf_printf(&text, "----\n");
			closing = bar;
			if (!bar)
				buf_printf(&text, "%s\n", (char *)line->data);
		}
	} else {
		for (; more && !blank((char *)line->data); more = next_line(s, line))
			buf_printf(&text, "%s\n", (char *)line->data);
	}
	buf_put_u8(&text, '\0');
	c->expected = (char *)text.data;
}

int script_next(struct script *s, struct script_case *c)
{
	struct buf line = BUF_INIT;
	int ret = 0;

	*c = (struct script_case){ .line = 0 };
	while (ret == 0 && next_line(s, &line)) {
		char *text = trimmed((char *)line.data);

		while (text[0] != '#' && text[0] != '\0' && text[strlen(text) - 1] == '\\' &&
		       next_line(s, &line)) {
			struct buf joined = BUF_INIT;
			char *next = trimmed((char *)line.data);

			text[strlen(text) - 1] = '\0';
			buf_printf(&joined, "%s %s", text, next);
			buf_put_u8(&joined, '\0');
			free(next);
			free(text);
			text = (char *)joined.data;
		}
		if (text[0] != '#' && text[0] != '\0') {
			c->line = s->line;
			ret = parse_command(text, c) ? 1 : -EINVAL;
		}
		free(text);
	}
	if (ret == 1) {
		read_input(s, c, &line);
		read_expected(s, c, &line);
	}
	buf_release(&line);
	return ret;
}

void script_case_release(struct script_case *c)
{
	for (size_t i = 0; i < c->arg_count; i++) {
		free(c->args[i].key);
		for (size_t k = 0; k < c->args[i].value_count; k++)
			free(c->args[i].values[k]);
	}
	free(c->command);
	free(c->input);
	free(c->expected);
}

const struct script_arg *script_arg(const struct script_case *c, const char *key)
{
	for (size_t i = 0; i < c->arg_count; i++) {
		if (strcmp(c->args[i].key, key) == 0)
			return &c->args[i];
	}
	return NULL;
}

bool script_number(const char *text, uint64_t *value)
{
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	*value = strtoull(text, &end, 10);
	return errno == 0 && *end == '\0';
}
