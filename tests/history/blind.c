/* blind.c - cuts a history into objects, has each judged, and tells of those that fail. See blind.h. */
#include "tests/history/blind.h"

#include <fcntl.h>

struct blind {
	const struct history *h;
	const struct wgl_limits *limits;
	struct blind_result *result;
	bool *judged; /* by operation */
	/* A truncating open whose file nobody knows: contents that fail may do so because of it. */
	bool contents_unsure;
};

/* ---- one object ------------------------------------------------------------------------------------ */

/* The part of ops that began by `until`; what was not answered by then is open, and reads among that say
 * nothing. */
static size_t prefix(const struct blind_op *ops, size_t count, uint64_t until_ns,
		     struct wgl_op *out)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		const struct hist_op *op = ops[i].op;
		bool open = !op->done || op->end_ns > until_ns;

		if (op->start_ns > until_ns || (open && fs_op_is_read(op->rq.op)))
			continue;
		/* A refusal changes nothing, whenever it happens. */
		if (open && op->done && op->status != 0)
			continue;
		out[n++] = (struct wgl_op){
			.start_ns = op->start_ns,
			.end_ns = op->end_ns,
			.open = open,
			.observes = fs_op_is_read(op->rq.op) || (op->done && op->status != 0),
			.what = &ops[i],
		};
	}
	return n;
}

static enum wgl_verdict judge_prefix(struct blind *b, const struct wgl_model *m,
				     const struct blind_op *ops, size_t count, uint64_t until_ns,
				     struct wgl_op *wgl, struct wgl_result *res)
{
	enum wgl_verdict verdict =
		wgl_check(m, wgl, prefix(ops, count, until_ns, wgl), b->limits, res);

	b->result->steps += res->steps;
	return verdict;
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The earliest answer with which the history cannot be explained any more: more of it never helps. */
static uint64_t first_bad_ns(struct blind *b, const struct wgl_model *m, const struct blind_op *ops,
			     size_t count, struct wgl_op *wgl)
{
	uint64_t *ends = mem_calloc(count, sizeof(*ends)), found;
	size_t n = 0, low = 0, high;

	for (size_t i = 0; i < count; i++) {
		if (ops[i].op->done)
			ends[n++] = ops[i].op->end_ns;
	}
	qsort(ends, n, sizeof(*ends), compare_u64);
	high = n - 1; /* known to be bad */
	while (low < high) {
		size_t middle = (low + high) / 2;
		struct wgl_result res;

		if (judge_prefix(b, m, ops, count, ends[middle], wgl, &res) == WGL_BAD)
			high = middle;
		else
			low = middle + 1;
		free(res.order);
	}
	found = ends[high];
	free(ends);
	return found;
}

#define SHOWN_BEFORE 16u

static void report_op(struct buf *out, const struct blind_op *op, const char *mark)
{
	buf_printf(out, "  %-9s ", mark);
	history_print(op->op, out);
	if (op->about)
		buf_printf(out, ", of which '%.*s'", (int)op->about_len, op->about);
	buf_printf(out, "\n");
}

static int compare_starts(const void *a, const void *b)
{
	const struct wgl_op *x = a, *y = b;

	return x->start_ns < y->start_ns ? -1 : x->start_ns > y->start_ns;
}

/* The shortest violating prefix: its last operations, the answer that cannot be, and what fits before it. */
static void report_violation(struct blind *b, const struct wgl_model *m, const struct blind_op *ops,
			     size_t count, const char *title, struct wgl_op *wgl)
{
	uint64_t bad_ns = first_bad_ns(b, m, ops, count, wgl);
	struct buf *out = &b->result->report;
	struct wgl_result res;
	size_t n, in_order;
	bool *ordered;

	judge_prefix(b, m, ops, count, bad_ns, wgl, &res);
	n = prefix(ops, count, bad_ns, wgl);
	buf_printf(
		out,
		"not linearizable: %s\n  no order explains the first %zu of its %zu operations:\n",
		title, n, count);
	ordered = mem_calloc(n, sizeof(*ordered));
	for (size_t i = 0; i < res.order_count; i++)
		ordered[res.order[i]] = true;
	in_order = res.order_count;
	for (size_t i = in_order > SHOWN_BEFORE ? in_order - SHOWN_BEFORE : 0; i < in_order; i++)
		report_op(out, wgl[res.order[i]].what, "fits");
	/* What is left, by start: few, as all of it overlaps the end of the order. */
	for (size_t i = 0; i < n; i++)
		wgl[i].open = ordered[i] || wgl[i].open;
	qsort(wgl, n, sizeof(*wgl), compare_starts);
	for (size_t i = 0; i < n; i++) {
		const struct blind_op *op = wgl[i].what;

		if (!wgl[i].open)
			report_op(out, op, op->op->end_ns == bad_ns ? "CANNOT BE" : "left over");
	}
	buf_printf(
		out,
		"  (%zu fitting operations in all; \"left over\" ones may come before or after)\n",
		in_order);
	free(ordered);
	free(res.order);
}

static void judge(struct blind *b, const struct wgl_model *m, const struct blind_op *ops,
		  size_t count, const char *title, bool unsure)
{
	struct wgl_op *wgl = mem_calloc(count, sizeof(*wgl));
	struct wgl_result res;
	enum wgl_verdict verdict;

	/* Before the end of time: what is open there is open in the history. */
	verdict = judge_prefix(b, m, ops, count, HISTORY_NEVER - 1, wgl, &res);
	free(res.order);
	b->result->objects++;
	if (verdict == WGL_BAD && !unsure) {
		b->result->violations++;
		report_violation(b, m, ops, count, title, wgl);
	} else if (verdict != WGL_OK) {
		b->result->undecided++;
		buf_printf(&b->result->report, "undecided: %s: %zu operations, %llu steps%s\n",
			   title, count, (unsigned long long)res.steps,
			   verdict == WGL_BAD ? ": an open create may have cut the file" : "");
	}
	free(wgl);
}

/* ---- contents and permission bits ------------------------------------------------------------------ */

/* Operations by object: key -> list. */
struct objects {
	struct intern keys;
	struct object {
		struct blind_op *ops;
		size_t count, cap;
	} * list;
	size_t cap;
};

static void objects_add(struct objects *o, const void *key, size_t len, const struct hist_op *op)
{
	size_t before = o->keys.count;
	uint32_t i = intern_put(&o->keys, key, len);
	struct object *object;

	if (i == o->cap) {
		o->cap = o->cap ? 2 * o->cap : 16;
		o->list = mem_realloc(o->list, o->cap * sizeof(*o->list));
	}
	object = &o->list[i];
	if (o->keys.count > before)
		*object = (struct object){ .ops = NULL };
	if (object->count == object->cap) {
		object->cap = object->cap ? 2 * object->cap : 16;
		object->ops = mem_realloc(object->ops, object->cap * sizeof(*object->ops));
	}
	object->ops[object->count++] = (struct blind_op){ .op = op };
}

static void objects_release(struct objects *o)
{
	for (size_t i = 0; i < o->keys.count; i++)
		free(o->list[i].ops);
	free(o->list);
	intern_release(&o->keys);
}

static void judge_keys(struct blind *b)
{
	struct objects o = { .keys = INTERN_INIT };

	for (size_t i = 0; i < b->h->count; i++) {
		const struct hist_op *op = &b->h->ops[i];
		uint64_t ino;

		if (!content_touches(op, &ino) || ino != 0)
			continue;
		b->judged[i] = true;
		objects_add(&o, op->rq.name, op->rq.name_len, op);
	}
	for (uint32_t i = 0; i < o.keys.count; i++) {
		struct content_model m;
		struct wgl_model wgl;
		char title[80];
		size_t len;
		const char *key = intern_get(&o.keys, i, &len);

		snprintf(title, sizeof(title), "key '%.*s'", (int)min_u64(len, 60), key);
		content_model_init(&m, 0, &wgl);
		judge(b, &wgl, o.list[i].ops, o.list[i].count, title, false);
		content_model_release(&m);
	}
	objects_release(&o);
}

static bool file_touched(const struct hist_op *op, uint64_t *ino)
{
	return content_touches(op, ino) && *ino != 0;
}

/* Objects that are told apart by an inode number. */
static void collect_inodes(struct blind *b, struct objects *o,
			   bool (*touches)(const struct hist_op *op, uint64_t *ino))
{
	for (size_t i = 0; i < b->h->count; i++) {
		uint64_t ino;

		if (!touches(&b->h->ops[i], &ino))
			continue;
		b->judged[i] = true;
		objects_add(o, &ino, sizeof(ino), &b->h->ops[i]);
	}
}

static uint64_t inode_of(const struct objects *o, uint32_t i)
{
	uint64_t ino;

	memcpy(&ino, intern_get(&o->keys, i, NULL), sizeof(ino));
	return ino;
}

static void judge_contents(struct blind *b)
{
	struct objects o = { .keys = INTERN_INIT };

	collect_inodes(b, &o, file_touched);
	for (uint32_t i = 0; i < o.keys.count; i++) {
		uint64_t ino = inode_of(&o, i);
		struct content_model m;
		struct wgl_model wgl;
		char title[80];

		snprintf(title, sizeof(title), "content of inode %llu", (unsigned long long)ino);
		content_model_init(&m, ino, &wgl);
		judge(b, &wgl, o.list[i].ops, o.list[i].count, title, b->contents_unsure);
		content_model_release(&m);
	}
	objects_release(&o);
}

static void judge_modes(struct blind *b)
{
	struct objects o = { .keys = INTERN_INIT };

	collect_inodes(b, &o, mode_touches);
	for (uint32_t i = 0; i < o.keys.count; i++) {
		struct wgl_model wgl;
		char title[80];

		snprintf(title, sizeof(title), "mode of inode %llu",
			 (unsigned long long)inode_of(&o, i));
		mode_model_init(&wgl);
		judge(b, &wgl, o.list[i].ops, o.list[i].count, title, false);
	}
	objects_release(&o);
}

/* ---- the whole ------------------------------------------------------------------------------------- */

static void judge_names(struct blind *b)
{
	struct names *n = names_new(b->h);

	for (size_t i = 0; i < b->h->count; i++)
		b->judged[i] |= names_judges(n, i);
	for (size_t i = 0; i < names_object_count(n); i++) {
		struct buf title = BUF_INIT;
		const struct blind_op *ops;
		struct wgl_model wgl;
		size_t count;

		ops = names_object(n, i, &count, &wgl, &title);
		buf_put_u8(&title, 0);
		judge(b, &wgl, ops, count, (const char *)title.data, false);
		buf_release(&title);
	}
	names_free(n);
}

/* Reads without an answer ask for nothing to be judged. */
static bool wants_judging(const struct hist_op *op)
{
	return op->done || !fs_op_is_read(op->rq.op);
}

int blind_check(const struct history *h, const struct wgl_limits *limits,
		struct blind_result *result)
{
	struct blind b = { .h = h, .limits = limits, .result = result };

	*result = (struct blind_result){ .report = BUF_INIT };
	b.judged = mem_calloc(h->count, sizeof(*b.judged));
	for (size_t i = 0; i < h->count; i++) {
		const struct hist_op *op = &h->ops[i];

		if (op->rq.op == FS_CREATE && (op->rq.flags & O_TRUNC) &&
		    (!op->done || (op->status == 0 && !(op->known & HIST_INO))))
			b.contents_unsure = true;
		/* How far it came is not known; what a copy brings is another object's. */
		if ((op->rq.op == FS_ALLOCATE || op->rq.op == FS_PUNCH) &&
		    (!op->done || (op->status == 0 && !(op->known & HIST_COUNT))))
			b.contents_unsure = true;
		if (op->rq.op == FS_COPY_RANGE && (!op->done || op->status == 0))
			b.contents_unsure = true;
	}
	judge_keys(&b);
	judge_contents(&b);
	judge_modes(&b);
	judge_names(&b);
	for (size_t i = 0; i < h->count; i++) {
		result->ops_judged += b.judged[i];
		result->ops_not_judged += !b.judged[i] && wants_judging(&h->ops[i]);
	}
	free(b.judged);
	if (result->violations)
		return 1;
	return result->undecided ? 2 : 0;
}
