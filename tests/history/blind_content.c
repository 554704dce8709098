/*
 * blind_content.c - contents as registers of bytes: files and user keys, and permission bits.
 *
 * A state is: present (1 byte), size (8), then the number of each 4 KiB chunk (4 each). Chunks are interned
 * too, so a write to a long file makes one new chunk. The last chunk ends where the content ends.
 */
#include "tests/history/blind.h"

#include <fcntl.h>
#include <sys/stat.h>

#define CHUNK 4096u

struct content {
	bool present;
	uint64_t size;
	struct buf chunks; /* uint32_t each */
};

/* ---- contents -------------------------------------------------------------------------------------- */

static uint32_t chunk_of(const struct content *c, size_t i)
{
	uint32_t number;

	memcpy(&number, c->chunks.data + 4 * i, 4);
	return number;
}

/* Copies content from `off` on, zeros behind the end. */
static void content_copy(const struct content_model *m, const struct content *c, uint64_t off,
			 uint8_t *to, size_t len)
{
	memset(to, 0, len);
	for (uint64_t at = off; at < off + len && at < c->size;) {
		size_t have, in = at % CHUNK;
		const uint8_t *chunk = intern_get(&m->chunks, chunk_of(c, at / CHUNK), &have);
		size_t n = min_u64(have - in, off + len - at);

		memcpy(to + (at - off), chunk + in, n);
		at += n;
	}
}

/* Gives the content a new size and puts data at `off` (off + len is at most size). */
static void content_change(struct content_model *m, struct content *c, uint64_t size, uint64_t off,
			   const void *data, size_t len)
{
	struct buf chunks = BUF_INIT;
	uint64_t first_change = min_u64(off, min_u64(size, c->size)) / CHUNK;

	for (uint64_t i = 0; i * CHUNK < size; i++) {
		uint64_t start = i * CHUNK, end = min_u64(start + CHUNK, size);
		uint8_t bytes[CHUNK];
		uint32_t number;

		if (i < first_change ||
		    (start >= off + len && end <= c->size && end == start + CHUNK)) {
			number = chunk_of(c, i);
		} else {
			uint64_t from = max_u64(start, off), to = min_u64(end, off + len);

			content_copy(m, c, start, bytes, (size_t)(end - start));
			if (from < to)
				memcpy(bytes + (from - start), (const uint8_t *)data + (from - off),
				       (size_t)(to - from));
			number = intern_put(&m->chunks, bytes, (size_t)(end - start));
		}
		buf_put(&chunks, &number, sizeof(number));
	}
	buf_release(&c->chunks);
	c->chunks = chunks;
	c->size = size;
}

static void content_write(struct content_model *m, struct content *c, uint64_t off,
			  const void *data, size_t len)
{
	if (len > 0)
		content_change(m, c, max_u64(c->size, off + len), off, data, len);
}

static void content_cut(struct content_model *m, struct content *c, uint64_t size)
{
	if (size != c->size)
		content_change(m, c, size, size, NULL, 0);
}

static bool content_equals(const struct content_model *m, const struct content *c, uint64_t off,
			   uint64_t want_len, const void *data, size_t len)
{
	uint64_t have = off < c->size ? min_u64(c->size - off, want_len) : 0;
	uint8_t *bytes;
	bool equal;

	if (have != len)
		return false;
	bytes = mem_alloc(len);
	content_copy(m, c, off, bytes, len);
	equal = len == 0 || memcmp(bytes, data, len) == 0;
	free(bytes);
	return equal;
}

static void state_load(struct content_model *m, uint32_t state, struct content *c)
{
	size_t len;
	const uint8_t *p = intern_get(&m->states, state, &len);

	*c = (struct content){ .present = p[0], .size = load_le64(p + 1) };
	buf_put(&c->chunks, p + 9, len - 9);
}

static uint32_t state_store(struct content_model *m, struct content *c)
{
	struct buf b = BUF_INIT;
	uint32_t state;

	buf_put_u8(&b, c->present);
	buf_put_le64(&b, c->size);
	buf_put(&b, c->chunks.data, c->chunks.len);
	state = intern_put(&m->states, b.data, b.len);
	buf_release(&b);
	buf_release(&c->chunks);
	return state;
}

/* ---- steps ----------------------------------------------------------------------------------------- */

static bool step_key(struct content_model *m, struct content *c, const struct hist_op *op)
{
	const struct fs_request *rq = &op->rq;
	bool count_known = op->known & HIST_COUNT, had = c->present;
	uint64_t old = c->size;

	if (op->done && op->status != 0)
		return op->status == -ENOENT && !had;
	switch (rq->op) {
	case FS_KV_GET:
		return had && (!count_known || op->reply.count == old) &&
		       (!(op->known & HIST_DATA) ||
			content_equals(m, c, 0, UINT64_MAX, op->reply.data, op->reply.data_len));
	case FS_KV_DELETE:
		*c = (struct content){ .chunks = c->chunks };
		buf_reset(&c->chunks);
		return (had && (!count_known || op->reply.count == old)) || !op->done;
	case FS_KV_PUT:
		content_change(m, c, rq->data_len, 0, rq->data, rq->data_len);
		break;
	default:
		content_write(m, c, c->size, rq->data, rq->data_len);
	}
	c->present = true;
	return !count_known || op->reply.count == c->size;
}

static bool step_write(struct content_model *m, struct content *c, const struct hist_op *op)
{
	bool append = op->rq.flags & O_APPEND;
	size_t len = op->rq.data_len;
	uint64_t off = append ? c->size : op->rq.offset;

	if (op->known & HIST_COUNT) {
		if (op->reply.count > len)
			return false;
		len = op->reply.count;
	}
	if ((op->known & HIST_OFFSET) && op->reply.offset != off)
		return false;
	content_write(m, c, off, op->rq.data, len);
	return true;
}

/* Zeros, in or behind the file as it was; those behind a size that stays are none. */
static void step_space(struct content_model *m, struct content *c, const struct hist_op *op)
{
	const struct fs_request *rq = &op->rq;
	bool keep = rq->op == FS_PUNCH || (rq->flags & FS_ALLOCATE_KEEP_SIZE);
	bool zero = rq->op == FS_PUNCH || (rq->flags & FS_ALLOCATE_ZERO);
	uint64_t end = rq->offset + op->reply.count, size = c->size;

	if (!(op->known & HIST_COUNT))
		return;
	if (zero && rq->offset < size) {
		size_t len = (size_t)(min_u64(end, size) - rq->offset);
		uint8_t *zeros = mem_calloc(1, len);

		content_write(m, c, rq->offset, zeros, len);
		free(zeros);
	}
	if (!keep && end > size)
		content_cut(m, c, end);
}

static bool step_file(struct content_model *m, struct content *c, const struct hist_op *op)
{
	const struct fs_request *rq = &op->rq;
	bool here = rq->ino == m->ino;

	if (here && rq->op == FS_WRITE && !step_write(m, c, op))
		return false;
	if (here && rq->op == FS_SETATTR && (rq->valid & FS_SET_SIZE))
		content_cut(m, c, rq->size);
	if (here && rq->op == FS_OPEN_TRUNC)
		content_cut(m, c, 0);
	if (here && (rq->op == FS_ALLOCATE || rq->op == FS_PUNCH))
		step_space(m, c, op);
	if (rq->op == FS_CREATE && (rq->flags & O_TRUNC))
		content_cut(m, c, 0);
	if (here && rq->op == FS_READ && (op->known & HIST_DATA) &&
	    !content_equals(m, c, rq->offset, rq->size, op->reply.data, op->reply.data_len))
		return false;
	return !(op->known & HIST_SIZE) || !(op->known & HIST_INO) ||
	       op->reply.attr.ino != m->ino || op->reply.attr.size == c->size;
}

static bool content_step(void *ctx, uint32_t state, const struct wgl_op *w, uint32_t *next)
{
	struct content_model *m = ctx;
	const struct hist_op *op = ((const struct blind_op *)w->what)->op;
	struct hist_op open;
	struct content c;
	bool ok;

	if (w->open && op->done) { /* a prefix of the history ends before its answer */
		open = *op;
		open.done = false;
		open.known = 0;
		op = &open;
	}
	state_load(m, state, &c);
	ok = m->ino ? step_file(m, &c, op) : step_key(m, &c, op);
	*next = state_store(m, &c);
	return ok;
}

static uint64_t content_bytes(void *ctx)
{
	const struct content_model *m = ctx;

	return m->states.bytes + m->chunks.bytes;
}

void content_model_init(struct content_model *m, uint64_t ino, struct wgl_model *wgl)
{
	struct content empty = { .present = ino != 0 };

	*m = (struct content_model){ .ino = ino, .states = INTERN_INIT };
	*wgl = (struct wgl_model){ .step = content_step, .bytes = content_bytes, .ctx = m };
	wgl->initial = state_store(m, &empty);
}

void content_model_release(struct content_model *m)
{
	intern_release(&m->chunks);
	intern_release(&m->states);
}

/* ---- which operations ------------------------------------------------------------------------------ */

static bool says_size(const struct hist_op *op)
{
	return (op->known & HIST_SIZE) && (op->known & HIST_INO) &&
	       (!(op->known & HIST_TYPE) || S_ISREG(op->reply.attr.mode));
}

static bool file_touches(const struct hist_op *op, uint64_t *ino)
{
	const struct fs_request *rq = &op->rq;

	*ino = rq->ino;
	if (op->done && op->status != 0)
		return false; /* nothing happened, and why is not a matter of content */
	switch (rq->op) {
	case FS_WRITE:
	case FS_OPEN_TRUNC:
	case FS_ALLOCATE:
	case FS_PUNCH:
		return true;
	case FS_READ:
		return op->done && ((op->known & HIST_DATA) || says_size(op));
	case FS_SETATTR:
		if (rq->valid & FS_SET_SIZE)
			return true;
		break;
	case FS_CREATE:
		*ino = op->reply.attr.ino;
		if (op->done && (op->known & HIST_INO) && (rq->flags & O_TRUNC))
			return true;
		break;
	case FS_MKDIR:
	case FS_SYMLINK:
	case FS_READDIR:
		return false;
	default:
		break;
	}
	*ino = op->reply.attr.ino;
	return op->done && says_size(op) && S_ISREG(op->reply.attr.mode);
}

bool content_touches(const struct hist_op *op, uint64_t *ino)
{
	switch (op->rq.op) {
	case FS_KV_GET:
		*ino = 0;
		return op->done && (op->status == 0 || op->status == -ENOENT);
	case FS_KV_PUT:
	case FS_KV_APPEND:
	case FS_KV_DELETE:
		*ino = 0;
		return !op->done || op->status == 0 ||
		       (op->rq.op == FS_KV_DELETE && op->status == -ENOENT);
	default:
		return file_touches(op, ino);
	}
}

/* ---- permission bits ------------------------------------------------------------------------------- */

/* Writes and changes of owner clear the other two. */
#define MODE_BITS 01777u

static bool sets_acl(const struct hist_op *op)
{
	return op->rq.op == FS_SETXATTR && hist_names(op, FS_ACL_ACCESS);
}

/* State: 0: nobody has looked yet; else bits + 1. Which bits creation gives depends on umask and directory,
 * so the first look decides. */
static bool mode_step(void *ctx, uint32_t state, const struct wgl_op *w, uint32_t *next)
{
	const struct hist_op *op = ((const struct blind_op *)w->what)->op;
	uint32_t seen = (op->reply.attr.mode & MODE_BITS) + 1;

	(void)ctx;
	*next = state;
	if (op->rq.op == FS_SETATTR && (op->rq.valid & FS_SET_MODE))
		*next = (op->rq.mode & MODE_BITS) + 1;
	if (sets_acl(op)) /* what it makes of the bits is not looked into */
		*next = 0;
	if (w->open || !(op->known & HIST_MODE))
		return true;
	if (*next == 0)
		*next = seen;
	return *next == seen;
}

void mode_model_init(struct wgl_model *wgl)
{
	*wgl = (struct wgl_model){ .step = mode_step };
}

bool mode_touches(const struct hist_op *op, uint64_t *ino)
{
	*ino = op->rq.ino;
	if (op->done && op->status != 0)
		return false;
	if ((op->rq.op == FS_SETATTR && (op->rq.valid & FS_SET_MODE)) || sets_acl(op))
		return true;
	*ino = op->reply.attr.ino;
	return op->done && (op->known & HIST_MODE) && (op->known & HIST_INO);
}
