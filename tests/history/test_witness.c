/*
 * test_witness.c - see tests/history/witness.h: what fs/ops answers is accepted, and every answer that is
 * changed, moved or left out is found. SEED and RUNS set the random part.
 */
#include "tests/lib/fsfix.h"

#include <linux/fs.h>
#include <unistd.h>

#include "base/prng.h"
#include "tests/history/hist_make.h"
#include "tests/history/witness.h"

#define HISTORY(h) struct history h = HISTORY_INIT

static void judge(struct history *h, int want, const char *why)
{
	struct witness_result r;
	int verdict = witness_check(h, &r);

	buf_put_u8(&r.report, 0);
	if (verdict != want || (why && !strstr((const char *)r.report.data, why)))
		fail_msg("judged %d, should be %d%s%s:\n%s", verdict, want, why ? ": " : "",
			 why ? why : "", (const char *)r.report.data);
	buf_release(&r.report);
	history_release(h);
}

static void put(struct history *h, uint64_t start, uint64_t end, const char *value, uint64_t index)
{
	hist_put(h, start, end, value);
	h->ops[h->count - 1].index = index;
}

static void get(struct history *h, uint64_t start, uint64_t end, const char *value, uint64_t index)
{
	hist_get(h, start, end, value);
	h->ops[h->count - 1].index = index;
}

static void answers_are_those_of_the_log(void **state)
{
	HISTORY(a);
	HISTORY(b);
	HISTORY(c);

	put(&a, 1, 9, "x", 6); /* the log is not in the order of asking */
	put(&a, 2, 9, "y", 5);
	get(&a, 3, 4, "y", 5);
	get(&a, 3, 4, NULL, 4);
	get(&a, 10, 11, "x", 6);
	judge(&a, 0, NULL);
	put(&b, 1, 9, "x", 6);
	put(&b, 2, 9, "y", 5);
	get(&b, 10, 11, "y", 6);
	judge(&b, 1, "the bytes read are not those of the model");
	put(&c, 1, 2, "x", 5);
	get(&c, 3, 4, NULL, 6);
	judge(&c, 1, "the model says ok");
}

static void changes_are_in_the_order_of_time(void **state)
{
	HISTORY(a);

	put(&a, 1, 2, "x", 6);
	put(&a, 3, 4, "y", 5);
	judge(&a, 1, "index 5 is before 6, which was answered before this was asked");
}

/* A reader may be behind in what it did not look at. */
static void a_late_reader_is_right_when_its_answer_still_holds(void **state)
{
	HISTORY(a);
	HISTORY(b);

	put(&a, 1, 2, "x", 5);
	hist_name(&a, 3, 4, FS_MKDIR, 1, "d", 0, 7);
	a.ops[1].index = 6;
	get(&a, 5, 6, "x", 5);
	judge(&a, 0, NULL);
	put(&b, 1, 2, "x", 5);
	put(&b, 3, 4, "y", 6);
	get(&b, 5, 6, "x", 5); /* stale */
	judge(&b, 1, "at log position 6: the bytes read are not those of the model");
}

static void open_changes_count_when_the_log_has_them(void **state)
{
	HISTORY(a);
	HISTORY(b);

	put(&a, 1, 0, "x", 5);
	get(&a, 2, 3, "x", 5);
	hist_name(&a, 4, 0, FS_CREATE, 1, "f", 0, 0);
	a.ops[2].index = 6;
	hist_name(&a, 5, 6, FS_LOOKUP, 1, "f", 0, 9); /* now its inode is known */
	a.ops[3].index = 6;
	judge(&a, 0, NULL);
	put(&b, 1, 0, "x", 0);
	get(&b, 2, 3, "x", 5);
	judge(&b, 1, "the model says ENOENT");
}

static void answers_without_an_index_are_counted(void **state)
{
	struct witness_result r;
	HISTORY(a);

	hist_put(&a, 1, 2, "x");
	assert_int_equal(witness_check(&a, &r), 0);
	assert_int_equal(r.unplaced, 1);
	assert_int_equal(r.judged, 0);
	history_release(&a);
}

/* ---- against fs/ops -------------------------------------------------------------------------------- */

#define INOS_MAX 40

struct run {
	struct fsfix *f;
	struct prng p;
	struct history h;
	uint64_t inos[INOS_MAX];
	size_t ino_count;
	char name[2], name2[2], value[8];
	uint8_t to[8];
};

static uint64_t below(struct run *r, uint64_t bound)
{
	return prng_below(&r->p, bound);
}

static uint64_t any_ino(struct run *r)
{
	return below(r, 3) ? r->inos[below(r, r->ino_count)] : FS_ROOT_INO;
}

static struct fs_request any_request(struct run *r)
{
	static const uint8_t ops[] = {
		FS_LOOKUP,   FS_LOOKUP,   FS_GETATTR,    FS_READ,      FS_READ,    FS_READDIR,
		FS_READLINK, FS_CREATE,   FS_CREATE,     FS_CREATE,    FS_MKDIR,   FS_MKDIR,
		FS_RMDIR,    FS_UNLINK,   FS_LINK,       FS_SYMLINK,   FS_RENAME,  FS_RENAME,
		FS_WRITE,    FS_WRITE,    FS_WRITE,      FS_SETATTR,   FS_SETATTR, FS_OPEN_TRUNC,
		FS_KV_GET,   FS_KV_PUT,   FS_KV_APPEND,  FS_KV_DELETE, FS_PUNCH,   FS_SEEK,
		FS_ALLOCATE, FS_ALLOCATE, FS_COPY_RANGE, FS_COPY_RANGE
	};
	static const uint32_t renames[] = { 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE };
	struct fs_request rq = { .op = ops[below(r, ARRAY_SIZE(ops))] };

	r->name[0] = (char)('a' + below(r, 5));
	r->name2[0] = (char)('a' + below(r, 5));
	snprintf(r->value, sizeof(r->value), "%u", (unsigned int)r->h.count);
	rq.ino = any_ino(r);
	if (rq.op == FS_LINK || rq.op == FS_RENAME)
		rq.ino2 = any_ino(r);
	rq.mode = rq.op == FS_MKDIR ? 0755 : 0644;
	rq.offset = rq.op == FS_WRITE || rq.op == FS_READ ? below(r, 10) : 0;
	rq.size = rq.op == FS_READDIR ? 8192 : below(r, 20);
	if (rq.op < FS_READ || rq.op >= FS_KV_GET) {
		rq.name = r->name;
		rq.name_len = 1;
	}
	if (rq.op == FS_RENAME) {
		rq.name2 = r->name2;
		rq.name2_len = 1;
		rq.flags = renames[below(r, ARRAY_SIZE(renames))];
	}
	if (rq.op == FS_CREATE)
		rq.flags = below(r, 2) ? O_EXCL | O_RDWR : O_RDWR;
	if (rq.op == FS_WRITE)
		rq.flags = below(r, 2) ? O_APPEND : 0;
	if (rq.op == FS_SETATTR)
		rq.valid = below(r, 2) ? FS_SET_SIZE : FS_SET_MODE;
	if (rq.op == FS_ALLOCATE || rq.op == FS_PUNCH || rq.op == FS_COPY_RANGE || rq.op == FS_SEEK)
		rq.offset = below(r, 10);
	if (rq.op == FS_ALLOCATE)
		rq.flags = (uint32_t)below(r, 4);
	if (rq.op == FS_SEEK)
		rq.flags = below(r, 2) ? SEEK_DATA : SEEK_HOLE;
	if (rq.op == FS_COPY_RANGE) {
		store_le64(r->to, below(r, 10));
		rq.data = r->to;
		rq.data_len = sizeof(r->to);
	}
	if (rq.op == FS_WRITE || rq.op == FS_SYMLINK || rq.op == FS_KV_PUT ||
	    rq.op == FS_KV_APPEND) {
		rq.data = r->value;
		rq.data_len = strlen(r->value);
	}
	return rq;
}

/* One after another, each answered before the next is asked, with the index that the log would have. */
static void record(struct run *r, struct fs_request rq)
{
	uint64_t now = 10 * (r->h.count + 1);
	size_t op = history_begin(&r->h, 1, now, &rq);
	int ret = fsfix_eval(r->f, rq);
	const struct fs_attr *a = &r->f->reply.attr;

	if (ret == FSFIX_BLOCKED) {
		r->h.count--; /* nothing was asked */
		return;
	}
	history_end(&r->h, op, now + 5, ret, ret == 0 ? &r->f->reply : NULL, HIST_ALL, r->f->tail);
	if (ret == 0 && r->f->reply.has_attr && r->ino_count < INOS_MAX)
		r->inos[r->ino_count++] = a->ino;
}

static void make_run(struct run *r, struct fsfix *f, uint64_t seed, size_t count)
{
	*r = (struct run){ .f = f, .inos = { FS_ROOT_INO }, .ino_count = 1 };
	r->h = HISTORY_INIT;
	prng_init(&r->p, seed);
	for (size_t i = 0; i < count; i++)
		record(r, any_request(r));
}

static void what_the_file_system_answers_is_accepted(void **state)
{
	const char *seed = getenv("SEED"), *runs = getenv("RUNS");
	struct witness_result result;
	struct run r;

	make_run(&r, *state, seed ? strtoull(seed, NULL, 0) : 1,
		 runs ? strtoull(runs, NULL, 0) : 5000);
	witness_check(&r.h, &result);
	buf_put_u8(&result.report, 0);
	if (result.violations)
		fail_msg("%s", (const char *)result.report.data);
	assert_true(result.judged > r.h.count * 8 / 10);
	assert_int_equal(result.unplaced, 0);
	buf_release(&result.report);
	history_release(&r.h);
}

/* Each answer of a history in turn: another one in its place must be found, wherever there is one. */
static void every_wrong_answer_is_found(void **state)
{
	struct run r;
	size_t tried = 0;

	make_run(&r, *state, 2, 600);
	for (size_t i = 0; i < r.h.count; i++) {
		struct hist_op *op = &r.h.ops[i], saved = *op;
		struct witness_result result;
		uint8_t *data = (uint8_t *)op->reply.data;

		if (op->status != 0)
			op->status = op->status == -EEXIST ? -EPERM : -EEXIST;
		else if ((op->known & HIST_DATA) && op->reply.data_len > 0 &&
			 op->rq.op != FS_READDIR)
			data[0] ^= 1;
		else if (op->known & HIST_VERSION)
			op->reply.attr.data_version++;
		else if (op->known & HIST_COUNT)
			op->reply.count++;
		else
			op->status = -EEXIST;
		tried++;
		/* A listing's errors, and reads of directories, are not judged. */
		if (witness_check(&r.h, &result) == 0 && saved.status == 0 &&
		    saved.rq.op != FS_READDIR)
			fail_msg("another answer to operation %zu (%s) is not found", i,
				 fs_op_name(op->rq.op));
		buf_release(&result.report);
		if (data && op->reply.data == data && saved.status == 0 &&
		    (saved.known & HIST_DATA) && saved.reply.data_len > 0 &&
		    saved.rq.op != FS_READDIR)
			data[0] ^= 1;
		*op = saved;
	}
	assert_true(tried > 500);
	history_release(&r.h);
}

/* A change that is not in the history any more shows in what follows, unless nobody looks. */
static void a_lost_change_is_found(void **state)
{
	static const uint8_t changes[] = { FS_CREATE, FS_MKDIR, FS_KV_PUT, FS_KV_APPEND };
	struct run r;
	size_t found = 0, tried = 0;

	make_run(&r, *state, 3, 400);
	for (size_t i = 0; i + 100 < r.h.count; i++) {
		struct hist_op *op = &r.h.ops[i], saved = *op;
		struct witness_result result;

		if (op->status != 0 || !memchr(changes, op->rq.op, sizeof(changes)) ||
		    (op->rq.op == FS_CREATE && !op->reply.created))
			continue;
		tried++;
		op->done = false;
		op->index = 0;
		op->end_ns = HISTORY_NEVER;
		found += (size_t)witness_check(&r.h, &result);
		buf_release(&result.report);
		*op = saved;
	}
	assert_true(tried > 20);
	assert_true(2 * found > tried);
	history_release(&r.h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_are_those_of_the_log),
		cmocka_unit_test(changes_are_in_the_order_of_time),
		cmocka_unit_test(a_late_reader_is_right_when_its_answer_still_holds),
		cmocka_unit_test(open_changes_count_when_the_log_has_them),
		cmocka_unit_test(answers_without_an_index_are_counted),
		FSFIX_MEMORY(what_the_file_system_answers_is_accepted),
		FSFIX_MEMORY(every_wrong_answer_is_found),
		FSFIX_MEMORY(a_lost_change_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
