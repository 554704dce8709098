/*
 * log.c - histories in files: one table of fields serves writing and reading. See history.h.
 */
#include "tests/history/history.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/io.h"

enum { IN_B = 1, IN_E = 2, IN_I = 4 };

enum field_kind { F_U32, F_U64, F_I32, F_BOOL, F_TEXT, F_DATA };

/* Offsets into struct hist_op; texts and data have their length beside them. */
static const struct field {
	const char *name;
	uint8_t lines;
	enum field_kind kind;
	size_t offset, len_offset;
} fields[] = {
#define RQ(f) offsetof(struct hist_op, rq.f)
#define RE(f) offsetof(struct hist_op, reply.f)
	{ "client", IN_B, F_U32, offsetof(struct hist_op, client), 0 },
	{ "uid", IN_B, F_U32, RQ(uid), 0 },
	{ "gid", IN_B, F_U32, RQ(gid), 0 },
	{ "ino", IN_B, F_U64, RQ(ino), 0 },
	{ "ino2", IN_B, F_U64, RQ(ino2), 0 },
	{ "mode", IN_B, F_U32, RQ(mode), 0 },
	{ "rdev", IN_B, F_U32, RQ(rdev), 0 },
	{ "flags", IN_B, F_U32, RQ(flags), 0 },
	{ "valid", IN_B, F_U32, RQ(valid), 0 },
	{ "uid2", IN_B, F_U32, RQ(uid2), 0 },
	{ "gid2", IN_B, F_U32, RQ(gid2), 0 },
	{ "off", IN_B, F_U64, RQ(offset), 0 },
	{ "size", IN_B, F_U64, RQ(size), 0 },
	{ "name", IN_B, F_TEXT, RQ(name), RQ(name_len) },
	{ "name2", IN_B, F_TEXT, RQ(name2), RQ(name2_len) },
	{ "data", IN_B, F_DATA, RQ(data), RQ(data_len) },
	{ "status", IN_E, F_I32, offsetof(struct hist_op, status), 0 },
	{ "index", IN_E | IN_I, F_U64, offsetof(struct hist_op, index), 0 },
	{ "known", IN_E, F_U32, offsetof(struct hist_op, known), 0 },
	{ "ino", IN_E, F_U64, RE(attr.ino), 0 },
	{ "mode", IN_E, F_U32, RE(attr.mode), 0 },
	{ "nlink", IN_E, F_U32, RE(attr.nlink), 0 },
	{ "uid", IN_E, F_U32, RE(attr.uid), 0 },
	{ "gid", IN_E, F_U32, RE(attr.gid), 0 },
	{ "size", IN_E, F_U64, RE(attr.size), 0 },
	{ "blocks", IN_E, F_U64, RE(attr.blocks), 0 },
	{ "version", IN_E, F_U64, RE(attr.data_version), 0 },
	{ "old", IN_E, F_U64, RE(old_data_version), 0 },
	{ "off", IN_E, F_U64, RE(offset), 0 },
	{ "created", IN_E, F_BOOL, RE(created), 0 },
	{ "count", IN_E, F_U64, RE(count), 0 },
	{ "data", IN_E, F_DATA, RE(data), RE(data_len) },
#undef RQ
#undef RE
};

/* ---- writing --------------------------------------------------------------------------------------- */

static void put_escaped(struct buf *out, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++) {
		if (p[i] > ' ' && p[i] <= '~' && p[i] != '%')
			buf_put_u8(out, p[i]);
		else
			buf_printf(out, "%%%02x", p[i]);
	}
}

/* '/' stands in no name, and '%' is escaped, so the separators are safe. */
static void put_listing(struct buf *out, const struct hist_op *op)
{
	const uint8_t *data = op->reply.data;
	size_t len = op->reply.data_len;
	const char *between = "";
	struct fs_dirent d;

	while (fs_dirent_next(&data, &len, &d)) {
		buf_printf(out, "%s%llu:%o:", between, (unsigned long long)d.ino, d.mode);
		put_escaped(out, d.name, d.name_len);
		between = "/";
	}
}

static void put_field(struct buf *out, const struct hist_op *op, const struct field *f)
{
	const char *at = (const char *)op + f->offset;
	const void *bytes;
	size_t len;
	uint64_t u64;
	uint32_t u32;

	switch (f->kind) {
	case F_U64:
		memcpy(&u64, at, sizeof(u64));
		if (u64)
			buf_printf(out, " %s=%llu", f->name, (unsigned long long)u64);
		return;
	case F_BOOL:
		if (*(const bool *)at)
			buf_printf(out, " %s=1", f->name);
		return;
	case F_U32:
	case F_I32:
		memcpy(&u32, at, sizeof(u32));
		if (u32 && f->kind == F_U32)
			buf_printf(out, " %s=%u", f->name, u32);
		else if (u32)
			buf_printf(out, " %s=%d", f->name, (int)u32);
		return;
	case F_TEXT:
	case F_DATA:
		memcpy(&bytes, at, sizeof(bytes));
		memcpy(&len, (const char *)op + f->len_offset, sizeof(len));
		if (len == 0)
			return;
		buf_printf(out, " %s=", f->name);
		if (op->rq.op == FS_READDIR && bytes == op->reply.data)
			put_listing(out, op);
		else
			put_escaped(out, bytes, len);
	}
}

static void put_fields(struct buf *out, const struct hist_op *op, uint8_t line)
{
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		if (fields[i].lines & line)
			put_field(out, op, &fields[i]);
	}
	buf_printf(out, "\n");
}

static void put_begin(struct buf *out, const struct hist_op *op)
{
	buf_printf(out, "b %llu t=%llu op=%s", (unsigned long long)op->id,
		   (unsigned long long)op->start_ns, fs_op_name(op->rq.op));
	put_fields(out, op, IN_B);
}

static void put_end(struct buf *out, const struct hist_op *op)
{
	buf_printf(out, "e %llu t=%llu", (unsigned long long)op->id,
		   (unsigned long long)op->end_ns);
	put_fields(out, op, IN_E);
}

static int append_line(int fd, struct buf *line)
{
	/* One call: lines of several processes must not mix. A short write means a full disk. */
	ssize_t n = write(fd, line->data, line->len);
	int ret = n < 0 ? -errno : (size_t)n < line->len ? -ENOSPC : 0;

	buf_release(line);
	return ret;
}

int history_log_create(const char *path, struct err *err)
{
	char first[64];
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
	int ret;

	if (fd < 0)
		return err_set(err, -errno, "cannot make history '%s': %s", path, strerror(errno));
	snprintf(first, sizeof(first), "quorumfs-history %d\n", HISTORY_VERSION);
	ret = io_write_all(fd, first, strlen(first));
	if (ret < 0) {
		close(fd);
		return err_set(err, ret, "cannot write history '%s': %s", path, strerror(-ret));
	}
	return fd;
}

int history_log_open(const char *path, struct err *err)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);

	if (fd < 0)
		return err_set(err, -errno, "cannot open history '%s': %s", path, strerror(errno));
	return fd;
}

int history_log_begin(int fd, uint64_t id, uint32_t client, uint64_t now_ns,
		      const struct fs_request *rq)
{
	struct hist_op op = { .id = id, .client = client, .start_ns = now_ns, .rq = *rq };
	struct buf line = BUF_INIT;

	put_begin(&line, &op);
	return append_line(fd, &line);
}

int history_log_end(int fd, const struct fs_request *rq, uint64_t id, uint64_t now_ns, int status,
		    const struct fs_reply *reply, uint32_t known, uint64_t index)
{
	struct hist_op op = { .id = id, .end_ns = now_ns, .status = status, .index = index };
	struct buf line = BUF_INIT;

	op.rq.op = rq->op;
	if (status == 0 && reply) {
		op.reply = *reply;
		op.known = known;
	}
	put_end(&line, &op);
	return append_line(fd, &line);
}

static void put_history(const struct history *h, struct buf *out)
{
	buf_printf(out, "quorumfs-history %d\n", HISTORY_VERSION);
	for (size_t i = 0; i < h->count; i++) {
		struct hist_op op = h->ops[i];

		op.id = i; /* those of several files may be equal */
		put_begin(out, &op);
		if (op.done)
			put_end(out, &op);
		else if (op.index)
			buf_printf(out, "i %zu index=%llu\n", i, (unsigned long long)op.index);
	}
}

int history_save(const struct history *h, const char *path, struct err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	struct buf out = BUF_INIT;
	int ret = fd < 0 ? -errno : 0;

	put_history(h, &out);
	if (ret == 0)
		ret = io_write_all(fd, out.data, out.len);
	if (fd >= 0 && close(fd) < 0 && ret == 0)
		ret = -errno;
	buf_release(&out);
	return ret < 0 ? err_set(err, ret, "cannot write history '%s': %s", path, strerror(-ret))
		       : 0;
}

/* ---- reading --------------------------------------------------------------------------------------- */

struct by_id {
	struct hnode node;
	uint64_t id;
	size_t op;
};

struct reader {
	struct history *h;
	const char *path;
	size_t line;
	struct err *err;
	struct htable ids; /* of this file: struct by_id */
};

static int __attribute__((format(printf, 2, 3))) bad_line(struct reader *r, const char *fmt, ...)
{
	char why[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	return err_set(r->err, -EPROTO, "cannot read history '%s', line %zu: %s", r->path, r->line,
		       why);
}

static struct by_id *find_id(struct reader *r, uint64_t id)
{
	for (struct hnode *n = htable_first(&r->ids, hash_u64(id)); n; n = htable_next(n)) {
		struct by_id *b = CONTAINER_OF(n, struct by_id, node);

		if (b->id == id)
			return b;
	}
	return NULL;
}

static void free_id(struct hnode *node, void *ctx)
{
	free(CONTAINER_OF(node, struct by_id, node));
}

static bool parse_number(const char *text, bool may_be_negative, uint64_t max, uint64_t *value)
{
	bool negative = may_be_negative && text[0] == '-';
	const char *digits = text + negative;
	char *end;

	if (digits[0] < '0' || digits[0] > '9')
		return false;
	errno = 0;
	*value = strtoull(digits, &end, 10);
	if (errno || *end || *value > max)
		return false;
	*value = negative ? -*value : *value;
	return true;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Appends len characters of text without their escapes. */
static bool unescape(const char *text, size_t len, struct buf *out)
{
	for (size_t i = 0; i < len; i++) {
		int high, low;

		if (text[i] <= ' ' || text[i] > '~')
			return false;
		if (text[i] != '%') {
			buf_put_u8(out, (uint8_t)text[i]);
			continue;
		}
		high = i + 2 < len ? hex_digit(text[i + 1]) : -1;
		low = i + 2 < len ? hex_digit(text[i + 2]) : -1;
		if (high < 0 || low < 0)
			return false;
		buf_put_u8(out, (uint8_t)(high << 4 | low));
		i += 2;
	}
	return true;
}

static bool parse_listing(char *text, struct buf *out)
{
	struct buf name = BUF_INIT;
	bool ok = true;

	for (char *item, *rest = text; ok && (item = strsep(&rest, "/"));) {
		struct fs_dirent d = { .cookie = 0 };
		char *colon, *end;

		d.ino = strtoull(item, &colon, 10);
		end = colon;
		if (*colon == ':')
			d.mode = (uint32_t)strtoul(colon + 1, &end, 8);
		buf_reset(&name);
		ok = colon > item && end > colon && *end == ':' &&
		     unescape(end + 1, strlen(end + 1), &name) && name.len > 0 && name.len <= 255;
		d.name = (const char *)name.data;
		d.name_len = name.len;
		if (ok)
			fs_dirent_encode(&d, out);
	}
	buf_release(&name);
	return ok;
}

static int set_bytes(struct reader *r, struct hist_op *op, const struct field *f, char *text,
		     bool listing)
{
	struct buf bytes = BUF_INIT;
	void *old;
	bool ok = listing ? parse_listing(text, &bytes) : unescape(text, strlen(text), &bytes);

	if (!ok || bytes.len == 0) {
		buf_release(&bytes);
		return bad_line(r, "field '%s' holds a malformed value", f->name);
	}
	memcpy(&old, (char *)op + f->offset, sizeof(old));
	free(old); /* of the same field given twice */
	memcpy((char *)op + f->offset, &bytes.data, sizeof(bytes.data));
	memcpy((char *)op + f->len_offset, &bytes.len, sizeof(bytes.len));
	return 0;
}

static int set_field(struct reader *r, struct hist_op *op, uint8_t line, const char *name,
		     char *text)
{
	const struct field *f = NULL;
	uint64_t v = 0;
	uint32_t v32;

	for (size_t i = 0; i < ARRAY_SIZE(fields) && !f; i++) {
		if ((fields[i].lines & line) && strcmp(fields[i].name, name) == 0)
			f = &fields[i];
	}
	if (!f)
		return bad_line(r, "there is no field '%.40s' here", name);
	if (f->kind == F_TEXT || f->kind == F_DATA)
		return set_bytes(r, op, f, text, line == IN_E && op->rq.op == FS_READDIR);
	if (!parse_number(text, f->kind == F_I32,
			  f->kind == F_U64    ? UINT64_MAX
			  : f->kind == F_I32  ? INT32_MAX
			  : f->kind == F_BOOL ? 1
					      : UINT32_MAX,
			  &v))
		return bad_line(r, "field '%s' holds no number of its range: '%.40s'", name, text);
	v32 = (uint32_t)v;
	if (f->kind == F_U64)
		memcpy((char *)op + f->offset, &v, sizeof(v));
	else if (f->kind == F_BOOL)
		*((bool *)((char *)op + f->offset)) = v != 0;
	else
		memcpy((char *)op + f->offset, &v32, sizeof(v32));
	return 0;
}

static uint8_t op_by_name(const char *name)
{
	for (unsigned int op = 1; op < 256; op++) {
		if (strcmp(fs_op_name((uint8_t)op), name) == 0)
			return strcmp(name, "unknown") == 0 ? 0 : (uint8_t)op;
	}
	return 0;
}

/* The fields after the kind of line and the id. "t" and "op" come before those they rule. */
static int read_fields(struct reader *r, struct hist_op *op, uint8_t line, char *rest,
		       uint64_t *time_ns)
{
	int ret = 0;

	for (char *word; ret == 0 && (word = strsep(&rest, " "));) {
		char *value = strchr(word, '=');

		if (!value)
			return bad_line(r, "'%.40s' is no field", word);
		*value++ = 0;
		if (strcmp(word, "t") == 0) {
			if (!parse_number(value, false, UINT64_MAX - 1, time_ns))
				return bad_line(r, "'%.40s' is no time", value);
		} else if (line == IN_B && strcmp(word, "op") == 0) {
			op->rq.op = op_by_name(value);
			if (op->rq.op == 0)
				return bad_line(r, "there is no operation '%.40s'", value);
		} else {
			ret = set_field(r, op, line, word, value);
		}
	}
	return ret;
}

static int read_begin(struct reader *r, uint64_t id, char *rest)
{
	struct fs_request nothing = { .op = 0 };
	struct by_id *b;
	size_t number;
	int ret;

	if (find_id(r, id))
		return bad_line(r, "operation %llu begins twice", (unsigned long long)id);
	number = history_begin(r->h, 0, 0, &nothing);
	r->h->ops[number].id = id;
	ret = read_fields(r, &r->h->ops[number], IN_B, rest, &r->h->ops[number].start_ns);
	if (ret < 0)
		return ret;
	if (r->h->ops[number].rq.op == 0)
		return bad_line(r, "field 'op' is missing");
	b = mem_calloc(1, sizeof(*b));
	b->id = id;
	b->op = number;
	htable_add(&r->ids, &b->node, hash_u64(id));
	return 0;
}

static int read_end(struct reader *r, uint64_t id, uint8_t line, char *rest)
{
	struct by_id *b = find_id(r, id);
	struct hist_op *op = b ? &r->h->ops[b->op] : NULL;
	uint64_t end_ns = HISTORY_NEVER;
	int ret;

	if (!op)
		return bad_line(r, "operation %llu ends and never began", (unsigned long long)id);
	if (op->done)
		return bad_line(r, "operation %llu ends twice", (unsigned long long)id);
	ret = read_fields(r, op, line, rest, &end_ns);
	if (ret < 0 || line == IN_I)
		return ret;
	if (end_ns == HISTORY_NEVER || end_ns < op->start_ns)
		return bad_line(r, "operation %llu ends before it begins", (unsigned long long)id);
	op->done = true;
	op->end_ns = end_ns;
	op->reply.has_attr = op->known & HIST_ATTR;
	return 0;
}

static int read_line(struct reader *r, char *line)
{
	char *rest = line;
	char *kind = strsep(&rest, " "), *id_text = strsep(&rest, " ");
	uint64_t id;

	if (!id_text || !rest || strlen(kind) != 1 || !strchr("bei", kind[0]) ||
	    !parse_number(id_text, false, UINT64_MAX, &id))
		return bad_line(r, "this is no event: '%.20s'", line);
	if (kind[0] == 'b')
		return read_begin(r, id, rest);
	return read_end(r, id, kind[0] == 'e' ? IN_E : IN_I, rest);
}

static int read_first(struct reader *r, const char *line)
{
	static const char name[] = "quorumfs-history ";
	uint64_t version;

	if (strncmp(line, name, strlen(name)) != 0 ||
	    !parse_number(line + strlen(name), false, UINT64_MAX, &version))
		return bad_line(r, "this is no history");
	if (version != HISTORY_VERSION)
		return err_set(
			r->err, -EOPNOTSUPP,
			"cannot read history '%s': it has version %llu, this program knows %d",
			r->path, (unsigned long long)version, HISTORY_VERSION);
	return 0;
}

static int read_lines(struct reader *r, char *text, size_t len, bool *torn)
{
	int ret = 0;

	for (char *end; ret == 0 && (end = memchr(text, '\n', len)); r->line++) {
		size_t used = (size_t)(end - text) + 1;

		*end = 0;
		if (strlen(text) != used - 1)
			return bad_line(r, "it holds a zero byte");
		ret = r->line == 1 ? read_first(r, text) : read_line(r, text);
		text += used;
		len -= used;
	}
	if (ret == 0 && r->line == 1)
		return bad_line(r, "the file is empty or its first line torn");
	if (torn)
		*torn = len > 0;
	return ret;
}

int history_parse(struct history *h, const char *name, char *text, size_t len, bool *torn,
		  struct err *err)
{
	struct reader r = { .h = h, .path = name, .line = 1, .err = err, .ids = HTABLE_INIT };
	int ret = read_lines(&r, text, len, torn);

	htable_each(&r.ids, free_id, NULL);
	htable_release(&r.ids);
	return ret;
}

int history_load(struct history *h, const char *path, bool *torn, struct err *err)
{
	struct buf text = BUF_INIT;
	int ret = io_read_file(AT_FDCWD, path, &text);

	if (ret < 0)
		err_set(err, ret, "cannot read history '%s': %s", path, strerror(-ret));
	else
		ret = history_parse(h, path, (char *)text.data, text.len, torn, err);
	buf_release(&text);
	return ret;
}
