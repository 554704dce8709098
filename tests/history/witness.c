/* witness.c - see witness.h. */
#include "tests/history/witness.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "tests/history/intern.h"
#include "tests/lib/fsmodel.h"

struct known_inode {
	struct hnode node;
	uint64_t ino;
	struct mnode *m;
	bool opaque;    /* grew too large: its content and attributes are not followed */
	bool mode_open; /* an ACL moved the permission bits: the next answer tells them */
	bool gone;      /* was found to be reclaimed */
};

struct value {
	bool present;
	struct buf bytes;
};

struct witness {
	const struct history *h;
	struct witness_result *result;
	uint64_t *place; /* of each operation in the order of the log */
	struct model model;
	struct htable inodes; /* struct known_inode */
	struct intern keys;
	struct value *values; /* by key */
	size_t value_cap;
	bool default_acls; /* some directory has one: what is made gets bits that the model does not know */
};

/* What the model says of one operation. */
struct verdict {
	enum { JUDGED, NOT_JUDGED } kind;
	int status;
	struct mnode *node; /* whose attributes the answer tells */
	bool created;
	uint64_t offset;
};

/* ---- violations ------------------------------------------------------------------------------------ */

static void __attribute__((format(printf, 3, 4)))
violated(struct witness *w, const struct hist_op *op, const char *fmt, ...)
{
	struct buf *out = &w->result->report;
	char why[300];
	va_list ap;

	if (w->result->violations++)
		return;
	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	buf_printf(out, "at log position %llu: %s\n  ",
		   (unsigned long long)w->place[op - w->h->ops], why);
	history_print(op, out);
	buf_printf(out, "\n");
}

/* ---- places ---------------------------------------------------------------------------------------- */

struct moment {
	uint64_t time_ns;
	size_t op;
	bool is_end;
};

static int compare_moments(const void *a, const void *b)
{
	const struct moment *x = a, *y = b;

	if (x->time_ns != y->time_ns)
		return x->time_ns < y->time_ns ? -1 : 1;
	if (x->is_end != y->is_end)
		return x->is_end ? 1 : -1;
	return x->op < y->op ? -1 : x->op > y->op;
}

/* Did the operation take its place in the log itself? */
static bool is_change(const struct hist_op *op)
{
	return !fs_op_is_read(op->rq.op) && !(op->done && op->status != 0);
}

/* A change that changes nothing has no entry, and the index of what it saw. What is open and has an index
 * was seen in the log. */
static bool may_be_empty(const struct hist_op *op)
{
	if (!op->done || op->logged == HIST_LOGGED)
		return false;
	return op->logged == HIST_NOT_LOGGED || op->rq.op == FS_RENAME ||
	       op->rq.op == FS_REMOVEXATTR ||
	       (op->rq.op == FS_COPY_RANGE && op->reply.count == 0) ||
	       (op->rq.op == FS_WRITE && op->rq.data_len == 0) ||
	       (op->rq.op == FS_SETATTR && op->rq.valid == 0) ||
	       (op->rq.op == FS_CREATE && !op->reply.created && !(op->rq.flags & O_TRUNC));
}

/* Goes through time, and keeps the highest place that was answered so far. */
static void find_places(struct witness *w)
{
	const struct history *h = w->h;
	struct moment *moments = mem_calloc(2 * h->count, sizeof(*moments));
	uint64_t highest = 0;
	size_t n = 0;

	for (size_t i = 0; i < h->count; i++) {
		if (h->ops[i].index == 0)
			continue;
		moments[n++] = (struct moment){ h->ops[i].start_ns, i, false };
		if (h->ops[i].done)
			moments[n++] = (struct moment){ h->ops[i].end_ns, i, true };
	}
	qsort(moments, n, sizeof(*moments), compare_moments);
	for (size_t i = 0; i < n; i++) {
		const struct hist_op *op = &h->ops[moments[i].op];
		uint64_t *place = &w->place[moments[i].op];

		if (moments[i].is_end) {
			highest = max_u64(highest, *place);
		} else if (is_change(op) && !may_be_empty(op)) {
			*place = op->index;
			if (op->index < highest)
				violated(w, op,
					 "index %llu is before %llu, which was answered before "
					 "this was asked",
					 (unsigned long long)op->index,
					 (unsigned long long)highest);
		} else {
			*place = max_u64(op->index, highest);
		}
	}
	free(moments);
}

struct placed {
	uint64_t place;
	unsigned int rank; /* entries, then changes that may be none, then reads */
	size_t op;
};

static int compare_placed(const void *a, const void *b)
{
	const struct placed *x = a, *y = b;

	if (x->place != y->place)
		return x->place < y->place ? -1 : 1;
	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return x->op < y->op ? -1 : x->op > y->op;
}

static struct placed *in_order(struct witness *w, size_t *count)
{
	struct placed *order = mem_calloc(w->h->count, sizeof(*order));

	for (size_t i = 0; i < w->h->count; i++) {
		const struct hist_op *op = &w->h->ops[i];
		unsigned int rank =
			!is_change(op) ? 2 : w->place[i] > op->index || may_be_empty(op);

		if (op->index == 0)
			w->result->unplaced += op->done;
		else if (op->done || !fs_op_is_read(op->rq.op))
			order[(*count)++] = (struct placed){ w->place[i], rank, i };
	}
	qsort(order, *count, sizeof(*order), compare_placed);
	return order;
}

/* ---- inodes and names ------------------------------------------------------------------------------ */

static struct known_inode *find_inode(const struct witness *w, uint64_t ino)
{
	for (struct hnode *n = htable_first(&w->inodes, hash_u64(ino)); n; n = htable_next(n)) {
		struct known_inode *k = CONTAINER_OF(n, struct known_inode, node);

		if (k->ino == ino)
			return k;
	}
	return NULL;
}

static void learn_inode(struct witness *w, uint64_t ino, struct mnode *m)
{
	struct known_inode *k = mem_calloc(1, sizeof(*k));

	k->ino = m->attr.ino = ino;
	k->m = m;
	k->mode_open = w->default_acls;
	htable_add(&w->inodes, &k->node, hash_u64(ino));
}

static void free_inode(struct hnode *node, void *ctx)
{
	free(CONTAINER_OF(node, struct known_inode, node));
}

/* A name as the model takes it; false: it is none that the model knows. */
static bool plain_name(const char *name, size_t len, char *out)
{
	if (len == 0 || len > FS_NAME_MAX || memchr(name, '/', len) || memchr(name, 0, len) ||
	    (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.'))))
		return false;
	memcpy(out, name, len);
	out[len] = 0;
	return true;
}

/* ---- files ----------------------------------------------------------------------------------------- */

static bool too_large(const struct mnode *n, uint64_t size)
{
	return S_ISREG(n->attr.mode) && size > WITNESS_FILE_MAX;
}

static void run_write(struct witness *w, const struct hist_op *op, struct known_inode *k,
		      struct verdict *v)
{
	bool append = op->rq.flags & O_APPEND;

	v->offset = append ? k->m->content.len : op->rq.offset;
	if (too_large(k->m, v->offset + op->rq.data_len) && op->status == 0) {
		k->opaque = true;
		v->kind = NOT_JUDGED;
		return;
	}
	v->status =
		model_write(&w->model, k->m, op->rq.offset, append, op->rq.data, op->rq.data_len);
	if (v->status == 0 && (op->rq.flags & HIST_SAME_ENTRY))
		k->m->attr.data_version--;
	if (v->status == 0 && (op->known & HIST_COUNT) && op->reply.count != op->rq.data_len)
		violated(w, op, "%llu of %zu bytes written", (unsigned long long)op->reply.count,
			 op->rq.data_len);
}

static void run_setattr(struct witness *w, const struct hist_op *op, struct known_inode *k,
			struct verdict *v)
{
	const struct fs_request *rq = &op->rq;

	if ((rq->valid & FS_SET_SIZE) && too_large(k->m, rq->size) && op->status == 0) {
		k->opaque = true;
		v->kind = NOT_JUDGED;
		return;
	}
	if (op->done && op->status != 0 && !(rq->valid & FS_SET_SIZE)) {
		v->kind = NOT_JUDGED;
		return;
	}
	if (rq->valid & FS_SET_SIZE)
		v->status = model_truncate(&w->model, k->m, rq->size, false);
	if (v->status < 0)
		return;
	if (rq->valid & FS_SET_UID)
		model_chown(&w->model, k->m, rq->uid2);
	if (rq->valid & FS_SET_GID)
		k->m->attr.gid = rq->gid2;
	if (rq->valid & FS_SET_MODE)
		model_chmod(&w->model, k->m, rq->mode & 07777);
	/* Which bits fall then is the model's business only in tests/unit/fs/test_model.c. */
	if ((rq->valid & (FS_SET_KILL_PRIV | FS_SET_GID)) && (op->known & HIST_MODE))
		k->m->attr.mode = (k->m->attr.mode & S_IFMT) | (op->reply.attr.mode & 07777);
}

/* What one entry did of it, as the answer tells; without one, nobody knows how far it came. */
static void run_space(struct witness *w, const struct hist_op *op, struct known_inode *k,
		      struct verdict *v)
{
	const struct fs_request *rq = &op->rq;
	uint64_t count = op->reply.count;
	bool keep = rq->op == FS_PUNCH || (rq->flags & FS_ALLOCATE_KEEP_SIZE);

	if (op->done && op->status != 0) {
		v->kind = NOT_JUDGED;
		return;
	}
	if (!(op->known & HIST_COUNT) || (!keep && too_large(k->m, rq->offset + count))) {
		k->opaque = true;
		v->kind = NOT_JUDGED;
		return;
	}
	if (count == 0 || count > rq->size)
		violated(w, op, "%llu bytes are done of %llu", (unsigned long long)count,
			 (unsigned long long)rq->size);
	else if (rq->op == FS_PUNCH)
		v->status = model_punch(&w->model, k->m, rq->offset, count);
	else
		v->status = model_allocate(&w->model, k->m, rq->offset, count, keep,
					   rq->flags & FS_ALLOCATE_ZERO);
}

static void run_seek(const struct hist_op *op, struct known_inode *k, struct verdict *v)
{
	if (!S_ISREG(k->m->attr.mode) || op->reply.count > 0) {
		v->kind = NOT_JUDGED;
		return;
	}
	v->status = model_seek(k->m, op->rq.offset, op->rq.flags == SEEK_HOLE, &v->offset);
}

static void run_copy(struct witness *w, const struct hist_op *op, struct verdict *v)
{
	struct known_inode *src = find_inode(w, op->rq.ino), *dst = find_inode(w, op->rq.ino2);
	uint64_t count = op->reply.count, to = op->rq.data_len == 8 ? load_le64(op->rq.data) : 0;
	bool told = op->done && op->status == 0 && (op->known & HIST_COUNT);

	v->kind = NOT_JUDGED;
	if (op->done && op->status != 0)
		return;
	if (!src || !dst || src->opaque || dst->opaque || !told || too_large(dst->m, to + count)) {
		if (dst)
			dst->opaque = true;
		return;
	}
	v->kind = JUDGED;
	v->node = dst->m;
	if (count > 0 && op->rq.offset + count > src->m->content.len)
		violated(w, op, "%llu bytes are copied, the model has %zu in all",
			 (unsigned long long)count, src->m->content.len);
	else if (count > 0)
		model_copy(&w->model, src->m, op->rq.offset, dst->m, to, count);
	else if (op->rq.size > 0 && op->rq.offset < src->m->content.len)
		violated(w, op, "nothing is copied, the model has bytes there");
}

/* Which bits an ACL leaves is the business of tests/unit/fs/test_acl.c. */
static void run_setxattr(struct witness *w, const struct hist_op *op, struct known_inode *k,
			 struct verdict *v)
{
	v->kind = NOT_JUDGED;
	if (op->done && op->status != 0)
		return;
	k->mode_open |= hist_names(op, FS_ACL_ACCESS);
	w->default_acls |= hist_names(op, FS_ACL_DEFAULT);
}

static void check_bytes(struct witness *w, const struct hist_op *op, const struct buf *content,
			uint64_t off, uint64_t size)
{
	uint64_t have = off < content->len ? min_u64(content->len - off, size) : 0;

	if (!(op->known & HIST_DATA))
		return;
	if (op->reply.data_len != have)
		violated(w, op, "%zu bytes read, the model has %llu there", op->reply.data_len,
			 (unsigned long long)have);
	else if (have > 0 && memcmp(op->reply.data, content->data + off, have) != 0)
		violated(w, op, "the bytes read are not those of the model");
}

static void run_on_file(struct witness *w, const struct hist_op *op, struct known_inode *k,
			struct verdict *v)
{
	v->node = k->m;
	switch (op->rq.op) {
	case FS_WRITE:
		run_write(w, op, k, v);
		break;
	case FS_SETATTR:
		run_setattr(w, op, k, v);
		break;
	case FS_OPEN_TRUNC:
		v->status = model_truncate(&w->model, k->m, 0, true);
		break;
	case FS_READ:
		v->status = S_ISREG(k->m->attr.mode) ? 0 : op->status;
		if (S_ISREG(k->m->attr.mode) && op->status == 0)
			check_bytes(w, op, &k->m->content, op->rq.offset, op->rq.size);
		break;
	case FS_READLINK:
		v->status = S_ISLNK(k->m->attr.mode) ? 0 : op->status;
		if (S_ISLNK(k->m->attr.mode) && op->status == 0)
			check_bytes(w, op, &k->m->content, 0, UINT64_MAX);
		break;
	case FS_ALLOCATE:
	case FS_PUNCH:
		run_space(w, op, k, v);
		break;
	case FS_SEEK:
		run_seek(op, k, v);
		break;
	case FS_SETXATTR:
		run_setxattr(w, op, k, v);
		break;
	case FS_GETATTR:
	case FS_OPEN:
		break;
	default:
		v->kind = NOT_JUDGED;
	}
}

/* ---- directories ----------------------------------------------------------------------------------- */

static void run_make(struct witness *w, const struct hist_op *op, struct mnode *dir,
		     const char *name, struct verdict *v)
{
	const struct fs_request *rq = &op->rq;
	char target[FS_SYMLINK_MAX + 1] = "";
	uint32_t mode = rq->mode & 07777;

	if (rq->op != FS_SYMLINK)
		mode &= ~(rq->valid & 0777); /* the umask */
	if (rq->op == FS_CREATE) {
		v->status =
			model_create(&w->model, dir, name, mode, rq->flags, &v->node, &v->created);
		return;
	}
	if (rq->op == FS_SYMLINK && rq->data_len <= FS_SYMLINK_MAX && rq->data_len > 0)
		memcpy(target, rq->data, rq->data_len);
	mode |= rq->op == FS_MKDIR ? S_IFDIR : rq->op == FS_SYMLINK ? S_IFLNK : rq->mode & S_IFMT;
	if (rq->op == FS_SYMLINK)
		mode = S_IFLNK | 0777;
	if (rq->op == FS_MKNOD && !(rq->mode & S_IFMT))
		mode |= S_IFREG;
	v->status = model_make(&w->model, dir, name, mode, rq->op == FS_SYMLINK ? target : NULL,
			       &v->node);
	v->created = v->status == 0;
}

static struct known_inode *living(struct witness *w, uint64_t ino, struct verdict *v)
{
	struct known_inode *k = find_inode(w, ino);

	if (!k || k->gone)
		v->status = -ESTALE;
	return k && !k->gone ? k : NULL;
}

static void run_two(struct witness *w, const struct hist_op *op, const char *name,
		    struct verdict *v)
{
	const struct fs_request *rq = &op->rq;
	struct known_inode *a = living(w, rq->ino, v), *b = living(w, rq->ino2, v);
	char name2[FS_NAME_MAX + 1];

	if (!a || !b) {
		/* Which of several reasons to refuse is told is open. */
		if (op->status != 0)
			v->kind = NOT_JUDGED;
		return;
	}
	if (rq->op == FS_LINK) {
		v->node = a->m;
		v->status = model_link(&w->model, a->m, b->m, name);
	} else if (plain_name(rq->name2, rq->name2_len, name2)) {
		v->status = model_rename(&w->model, a->m, name, b->m, name2, rq->flags);
	} else {
		v->kind = NOT_JUDGED;
	}
}

/* The model forgets a symlink with its last name; the node that the operation would do this to. */
static struct mnode *mortal(struct witness *w, const struct fs_request *rq)
{
	bool rename = rq->op == FS_RENAME;
	struct known_inode *dir = find_inode(w, rename ? rq->ino2 : rq->ino);
	char name[FS_NAME_MAX + 1];
	struct mnode *m;

	if ((rq->op != FS_UNLINK && !rename) || !dir || !S_ISDIR(dir->m->attr.mode) ||
	    !plain_name(rename ? rq->name2 : rq->name, rename ? rq->name2_len : rq->name_len, name))
		return NULL;
	m = model_find(dir->m, name);
	return m && S_ISLNK(m->attr.mode) && m->attr.nlink == 1 ? m : NULL;
}

static void forget_if_gone(struct witness *w, const struct mnode *m, uint64_t ino)
{
	struct known_inode *k = find_inode(w, ino);

	for (size_t i = 0; i < w->model.count; i++) {
		if (w->model.nodes[i] == m)
			return;
	}
	if (!k)
		return;
	htable_del(&w->inodes, &k->node);
	free(k);
}

static void run_on_name(struct witness *w, const struct hist_op *op, struct verdict *v)
{
	struct known_inode *k;
	char name[FS_NAME_MAX + 1];

	if (!plain_name(op->rq.name, op->rq.name_len, name)) {
		v->kind = NOT_JUDGED;
		return;
	}
	if (op->rq.op == FS_LINK || op->rq.op == FS_RENAME) {
		run_two(w, op, name, v);
		return;
	}
	k = living(w, op->rq.ino, v);
	if (!k)
		return;
	if (op->rq.op == FS_LOOKUP)
		v->status = model_lookup(&w->model, k->m, name, &v->node);
	else if (op->rq.op == FS_UNLINK)
		v->status = model_unlink(&w->model, k->m, name);
	else if (op->rq.op == FS_RMDIR)
		v->status = model_rmdir(&w->model, k->m, name);
	else
		run_make(w, op, k->m, name, v);
}

static bool told_inode(struct witness *w, const struct hist_op *op, struct mnode *m, uint64_t ino)
{
	if (m->attr.ino == 0 && !find_inode(w, ino))
		learn_inode(w, ino, m);
	if (m->attr.ino == ino)
		return true;
	violated(w, op, "inode %llu is told, the model has %llu there", (unsigned long long)ino,
		 (unsigned long long)m->attr.ino);
	return false;
}

/* A reply that had room for one more name shows all that are left. */
static bool whole_listing(const struct hist_op *op)
{
	size_t entry_max = 8 + 8 + 4 + 2 + FS_NAME_MAX;

	return op->rq.flags == HIST_LIST_WHOLE ||
	       (op->rq.flags == HIST_LIST_PAGE && op->rq.offset == 0 &&
		op->rq.size >= op->reply.data_len + entry_max);
}

static void check_listing(struct witness *w, const struct hist_op *op, const struct mnode *dir)
{
	const uint8_t *data = op->reply.data;
	size_t len = op->reply.data_len, seen = 0;
	char name[FS_NAME_MAX + 1];
	struct fs_dirent d;

	while (w->result->violations == 0 && fs_dirent_next(&data, &len, &d)) {
		struct mnode *m;

		if (!plain_name(d.name, d.name_len, name))
			continue;
		m = model_find(dir, name);
		if (!m)
			violated(w, op, "'%s' is listed, the model has no such name", name);
		else
			told_inode(w, op, m, d.ino);
		seen++;
	}
	if (w->result->violations == 0 && whole_listing(op) && seen != dir->entry_count)
		violated(w, op, "%zu names are listed, the model has %zu", seen, dir->entry_count);
}

static void run_readdir(struct witness *w, const struct hist_op *op, struct verdict *v)
{
	struct known_inode *k = living(w, op->rq.ino, v);

	if (!k || !S_ISDIR(k->m->attr.mode) || op->status != 0 ||
	    op->rq.flags == HIST_LIST_PIECES || !(op->known & HIST_DATA)) {
		v->kind = NOT_JUDGED;
		return;
	}
	check_listing(w, op, k->m);
}

/* ---- keys ------------------------------------------------------------------------------------------ */

static void run_on_key(struct witness *w, const struct hist_op *op, struct verdict *v)
{
	size_t before = w->keys.count;
	uint32_t i = intern_put(&w->keys, op->rq.name, op->rq.name_len);
	struct value *value;

	if (i == w->value_cap) {
		w->value_cap = w->value_cap ? 2 * w->value_cap : 16;
		w->values = mem_realloc(w->values, w->value_cap * sizeof(*w->values));
	}
	value = &w->values[i];
	if (w->keys.count > before)
		*value = (struct value){ .bytes = BUF_INIT };
	if ((op->rq.op == FS_KV_GET || op->rq.op == FS_KV_DELETE) && !value->present) {
		v->status = -ENOENT;
		return;
	}
	if (op->rq.op == FS_KV_PUT)
		buf_reset(&value->bytes);
	if (op->rq.op == FS_KV_PUT || op->rq.op == FS_KV_APPEND) {
		buf_put(&value->bytes, op->rq.data, op->rq.data_len);
		value->present = true;
	}
	if ((op->known & HIST_COUNT) && op->reply.count != value->bytes.len)
		violated(w, op, "count %llu is told, the model has %zu",
			 (unsigned long long)op->reply.count, value->bytes.len);
	if (op->rq.op == FS_KV_GET && op->status == 0)
		check_bytes(w, op, &value->bytes, 0, UINT64_MAX);
	if (op->rq.op == FS_KV_DELETE) {
		buf_reset(&value->bytes);
		value->present = false;
	}
}

/* ---- the replay ------------------------------------------------------------------------------------ */

static void check_fields(struct witness *w, const struct hist_op *op, const struct fs_attr *told,
			 const struct fs_attr *have)
{
	const struct {
		uint32_t bit;
		const char *name;
		uint64_t told, have;
	} fields[] = {
		{ HIST_TYPE, "type", told->mode & S_IFMT, have->mode & S_IFMT },
		{ HIST_MODE, "mode", told->mode & 07777, have->mode & 07777 },
		{ HIST_NLINK, "link count", told->nlink, have->nlink },
		{ HIST_OWNER, "owner", told->uid, have->uid },
		{ HIST_OWNER, "group", told->gid, have->gid },
		{ HIST_SIZE, "size", told->size, have->size },
		{ HIST_VERSION, "data version", told->data_version, have->data_version },
	};

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		if ((op->known & fields[i].bit) && fields[i].told != fields[i].have)
			violated(w, op, "%s %llu is told, the model has %llu", fields[i].name,
				 (unsigned long long)fields[i].told,
				 (unsigned long long)fields[i].have);
	}
}

static void check_attr(struct witness *w, const struct hist_op *op, struct mnode *m)
{
	const struct fs_attr *told = &op->reply.attr;
	struct known_inode *k;

	if ((op->known & HIST_INO) && !told_inode(w, op, m, told->ino))
		return;
	k = find_inode(w, m->attr.ino);
	if (k && k->mode_open && (op->known & HIST_MODE)) {
		m->attr.mode = (m->attr.mode & S_IFMT) | (told->mode & 07777);
		k->mode_open = false;
	}
	check_fields(w, op, told, &m->attr);
}

/* Refusals for reasons that the model does not have. */
static bool beyond_model(int status)
{
	switch (-status) {
	case ENOSPC:
	case EDQUOT:
	case EACCES:
	case EROFS:
	case EMLINK:
	case ENAMETOOLONG:
	case EIO:
	case ENOSYS:
	case EOPNOTSUPP:
	case EAGAIN:
		return true;
	default:
		return false;
	}
}

/* The inode that the operation is about was found to be reclaimed: only what has no name can be. */
static bool is_reclaimed(struct witness *w, const struct hist_op *op)
{
	struct known_inode *k = find_inode(w, op->rq.ino);

	/* Of a copy it may be the other one. */
	if (op->status != -ESTALE || op->rq.op == FS_COPY_RANGE)
		return false;
	if (!k || k->m->attr.nlink > 0)
		return false;
	k->gone = true;
	return true;
}

static void compare(struct witness *w, const struct hist_op *op, const struct verdict *v)
{
	struct known_inode *k;

	if (v->status == -ESTALE && op->status == -ENOENT)
		return; /* a parent that is gone */
	if (op->status != v->status) {
		violated(w, op, "the model says %s",
			 v->status == 0 ? "ok" : strerrorname_np(-v->status));
		return;
	}
	if (op->status != 0)
		return;
	k = v->node && v->node->attr.ino ? find_inode(w, v->node->attr.ino) : NULL;
	if (v->node && !(k && k->opaque))
		check_attr(w, op, v->node);
	if ((op->known & HIST_CREATED) && op->reply.created != v->created)
		violated(w, op, "created %d is told, the model says %d", op->reply.created,
			 v->created);
	if ((op->known & HIST_OFFSET) && op->reply.offset != v->offset)
		violated(w, op, "the model appends at %llu", (unsigned long long)v->offset);
}

static bool about_opaque(const struct witness *w, const struct hist_op *op)
{
	const struct known_inode *k = find_inode(w, op->rq.ino);

	return k && k->opaque && op->rq.op != FS_LINK && op->rq.op != FS_COPY_RANGE;
}

static bool has_name(uint8_t op)
{
	switch (op) {
	case FS_LOOKUP:
	case FS_CREATE:
	case FS_MKDIR:
	case FS_RMDIR:
	case FS_UNLINK:
	case FS_LINK:
	case FS_SYMLINK:
	case FS_RENAME:
	case FS_MKNOD:
		return true;
	default:
		return false;
	}
}

static bool is_fenced(const struct hist_op *op)
{
	return op->rq.ino2 != 0 && op->done && op->status == -ENOLCK;
}

static void run(struct witness *w, const struct hist_op *op, struct verdict *v)
{
	struct known_inode *k;

	/* Locks are not in the model; a change that relied on lost ones has no effect. */
	if (fs_op_is_lock(op->rq.op) || is_fenced(op)) {
		v->kind = NOT_JUDGED;
		return;
	}
	switch (op->rq.op) {
	case FS_KV_GET:
	case FS_KV_PUT:
	case FS_KV_APPEND:
	case FS_KV_DELETE:
		run_on_key(w, op, v);
		return;
	case FS_READDIR:
		run_readdir(w, op, v);
		return;
	case FS_STATFS:
	case FS_ORPHANS:
		v->kind = NOT_JUDGED;
		return;
	default:
		break;
	}
	if (has_name(op->rq.op)) {
		struct mnode *m = mortal(w, &op->rq);
		uint64_t ino = m ? m->attr.ino : 0;

		run_on_name(w, op, v);
		if (ino)
			forget_if_gone(w, m, ino);
		return;
	}
	k = living(w, op->rq.ino, v);
	if (k)
		run_on_file(w, op, k, v);
}

static void replay(struct witness *w, const struct hist_op *op)
{
	struct verdict v = { .kind = JUDGED };

	w->model.uid = op->rq.uid;
	w->model.gid = op->rq.gid;
	if ((op->done && op->status != 0 && (beyond_model(op->status) || is_reclaimed(w, op))) ||
	    about_opaque(w, op)) {
		w->result->not_judged++;
		return;
	}
	if (op->rq.op == FS_COPY_RANGE)
		run_copy(w, op, &v);
	else
		run(w, op, &v);
	if (v.kind == NOT_JUDGED)
		w->result->not_judged++;
	else if (op->done)
		compare(w, op, &v);
	w->result->judged += v.kind == JUDGED;
}

int witness_check(const struct history *h, struct witness_result *result)
{
	struct witness w = { .h = h, .result = result, .inodes = HTABLE_INIT, .keys = INTERN_INIT };
	struct placed *order;
	size_t count = 0;

	*result = (struct witness_result){ .report = BUF_INIT };
	w.place = mem_calloc(h->count, sizeof(*w.place));
	model_init(&w.model);
	learn_inode(&w, FS_ROOT_INO, w.model.nodes[0]);
	find_places(&w);
	order = in_order(&w, &count);
	for (size_t i = 0; i < count && result->violations == 0; i++)
		replay(&w, &h->ops[order[i].op]);
	free(order);
	free(w.place);
	for (size_t i = 0; i < w.keys.count; i++)
		buf_release(&w.values[i].bytes);
	free(w.values);
	intern_release(&w.keys);
	htable_each(&w.inodes, free_inode, NULL);
	htable_release(&w.inodes);
	model_release(&w.model);
	return result->violations ? 1 : 0;
}
