/* history.c - records in memory, and records for people. See history.h. */
#include "tests/history/history.h"

#include <fcntl.h>
#include <sys/stat.h>

static void *copy(const void *data, size_t len)
{
	return data && len > 0 ? mem_dup(data, len) : NULL;
}

static void op_release(struct hist_op *op)
{
	free((void *)op->rq.name);
	free((void *)op->rq.name2);
	free((void *)op->rq.data);
	free((void *)op->reply.data);
}

void history_release(struct history *h)
{
	for (size_t i = 0; i < h->count; i++)
		op_release(&h->ops[i]);
	free(h->ops);
	*h = HISTORY_INIT;
}

size_t history_begin(struct history *h, uint32_t client, uint64_t now_ns,
		     const struct fs_request *rq)
{
	struct hist_op *op;

	if (h->count == h->cap) {
		h->cap = h->cap ? 2 * h->cap : 64;
		h->ops = mem_realloc(h->ops, h->cap * sizeof(*h->ops));
	}
	op = &h->ops[h->count];
	*op = (struct hist_op){ .id = h->count, .client = client, .rq = *rq };
	op->start_ns = now_ns;
	op->end_ns = HISTORY_NEVER;
	op->rq.name = copy(rq->name, rq->name_len);
	op->rq.name2 = copy(rq->name2, rq->name2_len);
	op->rq.data = copy(rq->data, rq->data_len);
	return h->count++;
}

/* What a reply to this operation says at all. */
static uint32_t tells(const struct fs_request *rq, const struct fs_reply *reply)
{
	uint32_t attr = reply->has_attr ? HIST_ATTR : 0;

	switch (rq->op) {
	case FS_READ:
	case FS_READLINK:
	case FS_READDIR:
	case FS_GETXATTR:
	case FS_LISTXATTR:
		return attr | HIST_DATA;
	case FS_KV_GET:
		return HIST_DATA | HIST_COUNT;
	case FS_KV_PUT:
	case FS_KV_APPEND:
	case FS_KV_DELETE:
		return HIST_COUNT;
	case FS_WRITE:
		return attr | HIST_COUNT | (rq->flags & O_APPEND ? HIST_OFFSET : 0);
	case FS_ALLOCATE:
	case FS_PUNCH:
	case FS_COPY_RANGE:
		return attr | HIST_COUNT;
	case FS_SEEK:
		return reply->count == 0 ? HIST_OFFSET : 0;
	case FS_CREATE:
		return attr | HIST_CREATED;
	case FS_RENAME:
		return 0; /* the judges know the renamed by what made it or found it */
	default:
		return attr;
	}
}

void history_end(struct history *h, size_t number, uint64_t now_ns, int status,
		 const struct fs_reply *reply, uint32_t known, uint64_t index)
{
	struct hist_op *op = &h->ops[number];

	assert(number < h->count);
	assert(!op->done);
	assert(now_ns >= op->start_ns);
	op->done = true;
	op->end_ns = now_ns;
	op->status = status;
	op->index = index;
	if (status != 0 || !reply)
		return;
	op->reply = *reply;
	op->known = known & tells(&op->rq, reply);
	op->reply.data = op->known & HIST_DATA ? copy(reply->data, reply->data_len) : NULL;
	op->reply.data_len = op->known & HIST_DATA ? reply->data_len : 0;
}

void history_set_logged(struct history *h, size_t op, bool logged)
{
	h->ops[op].logged = logged ? HIST_LOGGED : HIST_NOT_LOGGED;
}

void history_set_index(struct history *h, size_t op, uint64_t index)
{
	assert(op < h->count);
	h->ops[op].index = index;
}

/* ---- for people ------------------------------------------------------------------------------------ */

#define SHOWN_BYTES 48u

static void print_bytes(struct buf *out, const void *data, size_t len)
{
	const uint8_t *p = data;

	buf_printf(out, "\"");
	for (size_t i = 0; i < len && i < SHOWN_BYTES; i++) {
		if (p[i] >= ' ' && p[i] <= '~')
			buf_put_u8(out, p[i]);
		else
			buf_printf(out, "\\x%02x", p[i]);
	}
	buf_printf(out, len > SHOWN_BYTES ? "\"... (%zu bytes)" : "\"", len);
}

static void print_entry_name(struct buf *out, uint64_t dir, const char *name, size_t len)
{
	buf_printf(out, "%llu/%.*s", (unsigned long long)dir, (int)len, name ? name : "");
}

static void print_setattr(const struct fs_request *rq, struct buf *out)
{
	if (rq->valid & FS_SET_SIZE)
		buf_printf(out, ", size %llu", (unsigned long long)rq->size);
	if (rq->valid & FS_SET_MODE)
		buf_printf(out, ", mode 0%o", rq->mode & 07777);
	if (rq->valid & (FS_SET_UID | FS_SET_GID))
		buf_printf(out, ", owner %u:%u", rq->uid2, rq->gid2);
}

static void print_file_request(const struct fs_request *rq, struct buf *out)
{
	unsigned long long off = rq->offset, ino = rq->ino;

	buf_printf(out, "%llu", ino);
	if (rq->op == FS_READ)
		buf_printf(out, ", at %llu, %llu bytes", off, (unsigned long long)rq->size);
	else if (rq->op == FS_WRITE && (rq->flags & O_APPEND))
		buf_printf(out, ", at the end, ");
	else if (rq->op == FS_WRITE)
		buf_printf(out, ", at %llu, ", off);
	else if (rq->op == FS_SETATTR)
		print_setattr(rq, out);
	if (rq->op == FS_WRITE)
		print_bytes(out, rq->data, rq->data_len);
}

static void print_request(const struct fs_request *rq, struct buf *out)
{
	buf_printf(out, "%s(", fs_op_name(rq->op));
	switch (rq->op) {
	case FS_KV_GET:
	case FS_KV_PUT:
	case FS_KV_APPEND:
	case FS_KV_DELETE:
		print_bytes(out, rq->name, rq->name_len);
		if (rq->op == FS_KV_PUT || rq->op == FS_KV_APPEND) {
			buf_printf(out, ", ");
			print_bytes(out, rq->data, rq->data_len);
		}
		break;
	case FS_RENAME:
		print_entry_name(out, rq->ino, rq->name, rq->name_len);
		buf_printf(out, " -> ");
		print_entry_name(out, rq->ino2, rq->name2, rq->name2_len);
		if (rq->flags)
			buf_printf(out, ", flags %u", rq->flags);
		break;
	case FS_LINK:
		buf_printf(out, "%llu -> ", (unsigned long long)rq->ino);
		print_entry_name(out, rq->ino2, rq->name, rq->name_len);
		break;
	default:
		if (rq->name_len > 0)
			print_entry_name(out, rq->ino, rq->name, rq->name_len);
		else
			print_file_request(rq, out);
	}
	buf_printf(out, ")");
}

static void print_listing(const struct fs_reply *reply, struct buf *out)
{
	const uint8_t *data = reply->data;
	size_t len = reply->data_len;
	struct fs_dirent d;

	buf_printf(out, " {");
	while (fs_dirent_next(&data, &len, &d))
		buf_printf(out, " %.*s:%llu", (int)d.name_len, d.name, (unsigned long long)d.ino);
	buf_printf(out, " }");
}

static void print_reply(const struct hist_op *op, struct buf *out)
{
	const struct fs_attr *a = &op->reply.attr;
	static const struct {
		uint32_t bit;
		const char *name;
		size_t offset;
	} numbers[] = {
		{ HIST_INO, "ino", offsetof(struct fs_attr, ino) },
		{ HIST_SIZE, "size", offsetof(struct fs_attr, size) },
		{ HIST_VERSION, "version", offsetof(struct fs_attr, data_version) },
	};

	buf_printf(out, "ok");
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		uint64_t v;

		memcpy(&v, (const char *)a + numbers[i].offset, sizeof(v));
		if (op->known & numbers[i].bit)
			buf_printf(out, " %s %llu", numbers[i].name, (unsigned long long)v);
	}
	if (op->known & HIST_NLINK)
		buf_printf(out, " nlink %u", a->nlink);
	if (op->known & HIST_MODE)
		buf_printf(out, " mode 0%o", a->mode & 07777);
	if (op->known & HIST_OFFSET)
		buf_printf(out, " at %llu", (unsigned long long)op->reply.offset);
	if (op->known & HIST_COUNT)
		buf_printf(out, " count %llu", (unsigned long long)op->reply.count);
	if (!(op->known & HIST_DATA))
		return;
	buf_printf(out, " ");
	if (op->rq.op == FS_READDIR)
		print_listing(&op->reply, out);
	else
		print_bytes(out, op->reply.data, op->reply.data_len);
}

bool hist_names(const struct hist_op *op, const char *name)
{
	return op->rq.name_len == strlen(name) && memcmp(op->rq.name, name, op->rq.name_len) == 0;
}

void history_print(const struct hist_op *op, struct buf *out)
{
	buf_printf(out, "#%llu client %u [%llu, ", (unsigned long long)op->id, op->client,
		   (unsigned long long)op->start_ns);
	if (op->done)
		buf_printf(out, "%llu] ", (unsigned long long)op->end_ns);
	else
		buf_printf(out, "open) ");
	if (op->index)
		buf_printf(out, "index %llu ", (unsigned long long)op->index);
	print_request(&op->rq, out);
	buf_printf(out, " = ");
	if (!op->done)
		buf_printf(out, "?");
	else if (op->status != 0)
		buf_printf(out, "%s",
			   strerrorname_np(-op->status) ? strerrorname_np(-op->status) : "?");
	else
		print_reply(op, out);
}
