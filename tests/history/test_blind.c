/*
 * test_blind.c - see tests/history/blind.h: histories known to be good, histories known to be bad, and
 * random ones against a judge that tries every order. SEED and RUNS set the random part.
 */
#include "tests/lib/unit.h"

#include <linux/fs.h>

#include "base/prng.h"
#include "tests/history/blind.h"
#include "tests/history/hist_make.h"

static struct blind_result judge(struct history *h, int want)
{
	struct blind_result r;
	int verdict = blind_check(h, &BLIND_LIMITS, &r);

	if (verdict != want) {
		buf_put_u8(&r.report, 0);
		fail_msg("judged %d, should be %d\n%s", verdict, want, (const char *)r.report.data);
	}
	return r;
}

static void release(struct history *h, struct blind_result *r)
{
	buf_release(&r->report);
	history_release(h);
}

static void good(struct history *h)
{
	struct blind_result r = judge(h, 0);

	assert_int_equal(r.ops_not_judged, 0);
	assert_int_equal(r.report.len, 0);
	release(h, &r);
}

static void bad(struct history *h)
{
	struct blind_result r = judge(h, 1);

	assert_true(r.violations > 0);
	assert_true(r.report.len > 0);
	release(h, &r);
}

#define HISTORY(h) struct history h = HISTORY_INIT

/* ---- values ---------------------------------------------------------------------------------------- */

static void reads_see_the_last_write(void **state)
{
	HISTORY(a);
	HISTORY(b);
	HISTORY(c);

	hist_get(&a, 1, 2, NULL);
	hist_put(&a, 3, 4, "x");
	hist_get(&a, 5, 6, "x");
	hist_delete(&a, 7, 8, 0);
	hist_delete(&a, 9, 10, -ENOENT);
	hist_get(&a, 11, 12, NULL);
	good(&a);
	hist_put(&b, 1, 2, "x");
	hist_put(&b, 3, 4, "y");
	hist_get(&b, 5, 6, "x"); /* stale */
	bad(&b);
	hist_put(&c, 1, 2, "x");
	hist_get(&c, 3, 4, NULL); /* lost */
	bad(&c);
}

static void an_answer_while_the_write_is_under_way_may_be_old_or_new(void **state)
{
	HISTORY(a);
	HISTORY(b);

	hist_put(&a, 1, 2, "x");
	hist_put(&a, 3, 20, "y");
	hist_get(&a, 4, 5, "x");
	hist_get(&a, 6, 7, "y");
	good(&a);
	hist_put(&b, 1, 2, "x");
	hist_put(&b, 3, 20, "y");
	hist_get(&b, 4, 5, "y");
	hist_get(&b, 6, 7, "x"); /* time runs backwards between two readers */
	bad(&b);
}

/* Answered at the very moment the other was asked is not before it. */
static void equal_times_overlap(void **state)
{
	HISTORY(a);

	hist_put(&a, 1, 5, "x");
	hist_get(&a, 5, 6, NULL);
	good(&a);
}

static void open_writes_take_effect_late_or_never_but_not_twice(void **state)
{
	HISTORY(never);
	HISTORY(late);
	HISTORY(gone);
	HISTORY(twice);

	hist_put(&never, 1, 2, "x");
	hist_put(&never, 3, 0, "y");
	hist_get(&never, 10, 11, "x");
	good(&never);
	hist_put(&late, 1, 2, "x");
	hist_put(&late, 3, 0, "y");
	hist_get(&late, 10, 11, "x");
	hist_get(&late, 12, 13, "y");
	good(&late);
	hist_put(&gone, 1, 2, "x");
	hist_put(&gone, 3, 0, "y");
	hist_get(&gone, 10, 11, "y");
	hist_get(&gone, 12, 13, "x");
	bad(&gone);
	hist_append(&twice, 1, 0, "y");
	hist_get(&twice, 10, 11, "yy");
	bad(&twice);
}

static void appends_are_there_once_and_in_order(void **state)
{
	HISTORY(a);
	HISTORY(lost);
	HISTORY(dup);
	HISTORY(order);

	hist_append(&a, 1, 10, "x");
	hist_append(&a, 2, 9, "y");
	hist_append(&a, 11, 12, "z");
	hist_get(&a, 13, 14, "yxz");
	good(&a);
	hist_append(&lost, 1, 10, "x");
	hist_append(&lost, 2, 9, "y");
	hist_get(&lost, 13, 14, "y");
	bad(&lost);
	hist_append(&dup, 1, 2, "x");
	hist_get(&dup, 13, 14, "xx");
	bad(&dup);
	hist_append(&order, 1, 2, "x");
	hist_append(&order, 3, 4, "y");
	hist_get(&order, 13, 14, "yx");
	bad(&order);
}

static void a_change_done_twice_is_seen(void **state)
{
	HISTORY(a);

	hist_put(&a, 1, 2, "x");
	hist_delete(&a, 3, 10, 0);
	hist_delete(&a, 4, 9, 0);
	bad(&a);
}

/* ---- files ----------------------------------------------------------------------------------------- */

static void file_contents_are_bytes(void **state)
{
	HISTORY(a);
	HISTORY(torn);
	HISTORY(size);

	hist_write(&a, 1, 2, 0, "aaaa");
	hist_write(&a, 3, 4, 2, "bbbb");
	hist_read(&a, 5, 6, 0, 100, "aabbbb", 6);
	hist_read(&a, 5, 6, 3, 2, "bb", 2);
	hist_read(&a, 5, 6, 6, 10, "", 0);
	hist_cut(&a, 7, 8, 3);
	hist_write(&a, 9, 10, 4, "z");
	hist_read(&a, 11, 12, 0, 100, "aab\0z", 5);
	hist_getattr(&a, 13, 14, 5, hist_attr(5, S_IFREG | 0644, 1, 5), HIST_SIZE);
	hist_write_end(&a, 15, 16, "e");
	hist_read(&a, 17, 18, 5, 9, "e", 1);
	good(&a);
	hist_write(&torn, 1, 2, 0, "aaaa");
	hist_write(&torn, 3, 10, 0, "bbbb");
	hist_read(&torn, 5, 6, 0, 4, "bbaa", 4);
	bad(&torn);
	hist_write(&size, 1, 2, 0, "aaaa");
	hist_getattr(&size, 13, 14, 5, hist_attr(5, S_IFREG | 0644, 1, 3), HIST_SIZE);
	bad(&size);
}

static void long_files_keep_every_chunk(void **state)
{
	static char page[4096], want[9000];
	HISTORY(a);
	HISTORY(b);

	memset(page, 'p', sizeof(page) - 1);
	hist_write(&a, 1, 2, 4090, page);
	hist_write(&b, 1, 2, 4090, page);
	memset(want + 4090, 'p', 4095);
	hist_read(&a, 3, 4, 0, 9000, want, 8185);
	hist_cut(&a, 5, 6, 4096);
	hist_read(&a, 7, 8, 0, 9000, want, 4096);
	hist_cut(&a, 9, 10, 8185);
	memset(want + 4096, 0, 4095);
	hist_read(&a, 11, 12, 0, 9000, want, 8185);
	good(&a);
	want[8184] = 'q';
	hist_read(&b, 3, 4, 0, 9000, want, 8185);
	bad(&b);
}

/* Found on the simulator: the cut fits first, too, where it changes nothing. */
static void what_changes_nothing_now_may_be_needed_later(void **state)
{
	HISTORY(a);

	hist_write(&a, 5, 20, 9, "x");
	hist_cut(&a, 6, 21, 0);
	hist_read(&a, 30, 31, 0, 100, "", 0);
	good(&a);
}

static void permission_bits_are_a_register(void **state)
{
	struct fs_request chmod = {
		.op = FS_SETATTR, .ino = 5, .valid = FS_SET_MODE, .mode = 0600
	};
	struct fs_reply none = { .count = 0 };
	HISTORY(a);
	HISTORY(b);

	hist_getattr(&a, 1, 2, 5, hist_attr(5, S_IFREG | 0644, 1, 0), HIST_MODE);
	hist_add(&a, 3, 4, chmod, 0, none, 0, 0);
	hist_getattr(&a, 5, 6, 5, hist_attr(5, S_IFREG | 0600, 1, 0), HIST_MODE);
	good(&a);
	hist_add(&b, 3, 4, chmod, 0, none, 0, 0);
	hist_getattr(&b, 5, 6, 5, hist_attr(5, S_IFREG | 0644, 1, 0), HIST_MODE);
	bad(&b);
}

/* ---- names ----------------------------------------------------------------------------------------- */

static void names_come_and_go(void **state)
{
	HISTORY(a);
	HISTORY(phantom);
	HISTORY(twice);
	HISTORY(lost);

	hist_name(&a, 1, 2, FS_LOOKUP, 1, "a", -ENOENT, 0);
	hist_name(&a, 3, 4, FS_CREATE, 1, "a", 0, 5);
	hist_name(&a, 5, 6, FS_CREATE, 1, "a", -EEXIST, 0);
	hist_name(&a, 7, 8, FS_LOOKUP, 1, "a", 0, 5);
	hist_list(&a, 9, 10, 1, HIST_LIST_WHOLE, "a5");
	hist_name(&a, 11, 12, FS_UNLINK, 1, "a", 0, 0);
	hist_name(&a, 13, 14, FS_UNLINK, 1, "a", -ENOENT, 0);
	hist_list(&a, 15, 16, 1, HIST_LIST_WHOLE, "");
	good(&a);
	hist_name(&phantom, 3, 4, FS_CREATE, 1, "a", 0, 5);
	hist_name(&phantom, 5, 6, FS_UNLINK, 1, "a", 0, 0);
	hist_list(&phantom, 7, 8, 1, HIST_LIST_PIECES, "a5");
	bad(&phantom);
	hist_name(&twice, 3, 14, FS_CREATE, 1, "a", 0, 5);
	hist_name(&twice, 5, 10, FS_CREATE, 1, "a", 0, 6);
	bad(&twice);
	hist_name(&lost, 3, 4, FS_CREATE, 1, "a", 0, 5);
	hist_list(&lost, 7, 8, 1, HIST_LIST_WHOLE, "");
	bad(&lost);
}

static void a_name_leads_to_its_inode(void **state)
{
	HISTORY(wrong);
	HISTORY(again);

	hist_name(&wrong, 3, 4, FS_CREATE, 1, "a", 0, 5);
	hist_name(&wrong, 5, 6, FS_LOOKUP, 1, "a", 0, 6);
	bad(&wrong);
	hist_name(&again, 3, 4, FS_CREATE, 1, "a", 0, 5);
	hist_name(&again, 5, 6, FS_UNLINK, 1, "a", 0, 0);
	hist_name(&again, 7, 8, FS_CREATE, 1, "a", 0, 6);
	hist_name(&again, 9, 10, FS_LOOKUP, 1, "a", 0, 5);
	bad(&again);
}

static void a_rename_is_one_step(void **state)
{
	HISTORY(a);
	HISTORY(both);
	HISTORY(neither);
	HISTORY(pieces);

	hist_name(&a, 1, 2, FS_CREATE, 1, "a", 0, 5);
	hist_rename(&a, 3, 10, 1, "a", 2, "b", 0, 0);
	hist_name(&a, 4, 5, FS_LOOKUP, 1, "a", 0, 5);
	hist_name(&a, 6, 7, FS_LOOKUP, 2, "b", 0, 5);
	hist_name(&a, 8, 9, FS_LOOKUP, 1, "a", -ENOENT, 0);
	good(&a);
	hist_name(&both, 1, 2, FS_CREATE, 1, "a", 0, 5);
	hist_rename(&both, 3, 10, 1, "a", 2, "b", 0, 0);
	hist_name(&both, 4, 5, FS_LOOKUP, 2, "b", 0, 5);
	hist_name(&both, 6, 7, FS_LOOKUP, 1, "a", 0, 5);
	bad(&both);
	hist_name(&neither, 1, 2, FS_CREATE, 1, "a", 0, 5);
	hist_rename(&neither, 3, 10, 1, "a", 1, "b", 0, 0);
	hist_list(&neither, 4, 5, 1, HIST_LIST_WHOLE, "");
	bad(&neither);
	/* POSIX promises nothing of names that move while a listing is put together. */
	hist_name(&pieces, 1, 2, FS_CREATE, 1, "a", 0, 5);
	hist_rename(&pieces, 3, 10, 1, "a", 1, "b", 0, 0);
	hist_list(&pieces, 4, 5, 1, HIST_LIST_PIECES, "");
	good(&pieces);
}

static void renames_over_names(void **state)
{
	HISTORY(a);
	HISTORY(b);
	HISTORY(full);

	hist_name(&a, 1, 2, FS_CREATE, 1, "a", 0, 5);
	hist_name(&a, 1, 2, FS_CREATE, 1, "b", 0, 6);
	hist_name(&a, 1, 2, FS_MKDIR, 1, "d", 0, 7);
	hist_rename(&a, 3, 4, 1, "a", 1, "b", RENAME_NOREPLACE, -EEXIST);
	hist_rename(&a, 3, 4, 1, "a", 1, "c", RENAME_EXCHANGE, -ENOENT);
	hist_rename(&a, 3, 4, 1, "a", 1, "d", 0, -EISDIR);
	hist_rename(&a, 3, 4, 1, "d", 1, "a", 0, -ENOTDIR);
	hist_rename(&a, 5, 6, 1, "a", 1, "b", RENAME_EXCHANGE, 0);
	hist_list(&a, 7, 8, 1, HIST_LIST_WHOLE, "b5a6d7");
	hist_rename(&a, 9, 10, 1, "a", 1, "b", 0, 0);
	hist_list(&a, 11, 12, 1, HIST_LIST_WHOLE, "b6d7");
	good(&a);
	hist_name(&b, 1, 2, FS_CREATE, 1, "a", 0, 5);
	hist_name(&b, 1, 2, FS_CREATE, 1, "b", 0, 6);
	hist_rename(&b, 3, 4, 1, "a", 1, "b", RENAME_NOREPLACE, 0);
	bad(&b);
	hist_name(&full, 1, 2, FS_MKDIR, 1, "d", 0, 5);
	hist_name(&full, 1, 2, FS_MKDIR, 1, "e", 0, 6);
	hist_name(&full, 3, 4, FS_CREATE, 6, "x", 0, 7);
	hist_rename(&full, 5, 6, 1, "d", 1, "e", 0, 0); /* over a directory that is not empty */
	bad(&full);
}

static void directories_go_when_empty_and_then_are_gone(void **state)
{
	HISTORY(a);
	HISTORY(full);
	HISTORY(after);

	hist_name(&a, 1, 2, FS_MKDIR, 1, "d", 0, 5);
	hist_name(&a, 3, 4, FS_CREATE, 5, "x", 0, 6);
	hist_name(&a, 5, 6, FS_RMDIR, 1, "d", -ENOTEMPTY, 0);
	hist_name(&a, 7, 8, FS_UNLINK, 5, "x", 0, 0);
	hist_name(&a, 9, 10, FS_RMDIR, 1, "d", 0, 0);
	hist_name(&a, 11, 12, FS_CREATE, 5, "x", -ENOENT, 0);
	good(&a);
	hist_name(&full, 1, 2, FS_MKDIR, 1, "d", 0, 5);
	hist_name(&full, 3, 4, FS_CREATE, 5, "x", 0, 6);
	hist_name(&full, 5, 6, FS_RMDIR, 1, "d", 0, 0);
	bad(&full);
	hist_name(&after, 1, 2, FS_MKDIR, 1, "d", 0, 5);
	hist_name(&after, 5, 6, FS_RMDIR, 1, "d", 0, 0);
	hist_name(&after, 7, 8, FS_CREATE, 5, "x", 0, 6);
	bad(&after);
}

/* mkdir(2) tells no inode number; the first who looks learns it, and then it stays. */
static void inodes_nobody_told_are_learnt(void **state)
{
	HISTORY(a);
	HISTORY(two);
	HISTORY(open);
	HISTORY(gone);

	hist_name(&a, 1, 2, FS_MKDIR, 1, "d", 0, 0);
	hist_rename(&a, 3, 4, 1, "d", 1, "e", 0, 0);
	hist_name(&a, 5, 6, FS_LOOKUP, 1, "e", 0, 9);
	hist_name(&a, 7, 8, FS_LOOKUP, 1, "e", 0, 9);
	good(&a);
	hist_name(&two, 1, 2, FS_MKDIR, 1, "d", 0, 0);
	hist_name(&two, 5, 6, FS_LOOKUP, 1, "d", 0, 9);
	hist_name(&two, 7, 8, FS_LOOKUP, 1, "d", 0, 8);
	bad(&two);
	hist_name(&open, 1, 0, FS_MKDIR, 1, "d", 0, 0);
	hist_name(&open, 3, 4, FS_LOOKUP, 1, "d", -ENOENT, 0);
	hist_name(&open, 5, 6, FS_LOOKUP, 1, "d", 0, 9);
	good(&open);
	hist_name(&gone, 1, 0, FS_MKDIR, 1, "d", 0, 0);
	hist_name(&gone, 5, 6, FS_LOOKUP, 1, "d", 0, 9);
	hist_name(&gone, 7, 8, FS_LOOKUP, 1, "d", -ENOENT, 0);
	bad(&gone);
}

static void hard_links_are_counted(void **state)
{
	HISTORY(a);
	HISTORY(b);

	hist_name(&a, 1, 2, FS_CREATE, 1, "a", 0, 5);
	hist_link(&a, 3, 4, 5, 2, "l", 0);
	hist_getattr(&a, 5, 6, 5, hist_attr(5, S_IFREG, 2, 0), HIST_NLINK);
	hist_name(&a, 7, 8, FS_UNLINK, 1, "a", 0, 0);
	hist_getattr(&a, 9, 10, 5, hist_attr(5, S_IFREG, 1, 0), HIST_NLINK);
	hist_name(&a, 11, 12, FS_UNLINK, 2, "l", 0, 0);
	hist_link(&a, 13, 14, 5, 2, "m", -ENOENT);
	good(&a);
	hist_name(&b, 1, 2, FS_CREATE, 1, "a", 0, 5);
	hist_link(&b, 3, 4, 5, 2, "l", 0);
	hist_getattr(&b, 5, 6, 5, hist_attr(5, S_IFREG, 1, 0), HIST_NLINK);
	bad(&b);
}

/* Found on the simulator: a link to the root was refused, and the root taken for a file without a name. */
static void what_always_was_there_stays(void **state)
{
	HISTORY(a);
	HISTORY(b);

	hist_link(&a, 1, 2, 1, 1, "l", -EPERM);
	hist_name(&a, 3, 4, FS_CREATE, 1, "a", 0, 5);
	good(&a);
	hist_name(&b, 1, 2, FS_LOOKUP, 1, ".", 0, 1);
	hist_list(&b, 3, 4, 1, HIST_LIST_WHOLE, ".1");
	hist_name(&b, 5, 6, FS_CREATE, 1, "a", 0, 5);
	hist_list(&b, 7, 8, 1, HIST_LIST_WHOLE, ".1a5");
	struct blind_result r = judge(&b, 0);

	assert_int_equal(r.ops_not_judged, 1); /* the lookup of "." */
	release(&b, &r);
}

static void refusals_no_model_foretells_are_counted(void **state)
{
	struct blind_result r;
	HISTORY(a);

	hist_name(&a, 1, 2, FS_CREATE, 1, "a", -ENOSPC, 0);
	hist_name(&a, 3, 4, FS_LOOKUP, 1, "a", -ENOENT, 0);
	r = judge(&a, 0);
	assert_int_equal(r.ops_judged, 1);
	assert_int_equal(r.ops_not_judged, 1);
	release(&a, &r);
}

/* ---- reports and limits ---------------------------------------------------------------------------- */

static void the_report_ends_at_the_first_answer_that_cannot_be(void **state)
{
	struct blind_result r;
	const char *text;
	HISTORY(a);

	hist_put(&a, 1, 2, "x");
	hist_put(&a, 3, 4, "y");
	hist_get(&a, 5, 6, "x");
	for (uint64_t t = 10; t < 400; t += 2)
		hist_get(&a, t, t + 1, "y");
	r = judge(&a, 1);
	buf_put_u8(&r.report, 0);
	text = (const char *)r.report.data;
	assert_non_null(strstr(text, "no order explains the first 3 of its 198 operations"));
	assert_non_null(
		strstr(text, "CANNOT BE #2 client 2 [5, 6] kv-get(\"k\") = ok count 1 \"x\""));
	assert_null(strstr(text, "[10, 11]"));
	release(&a, &r);
}

static void what_takes_too_long_is_undecided(void **state)
{
	struct wgl_limits limits = { .max_steps = 500, .max_bytes = 1 << 30 };
	struct blind_result r;
	HISTORY(a);

	for (uint64_t i = 0; i < 12; i++) {
		char value[2] = { (char)('a' + i), 0 };

		hist_append(&a, 1, 100, value);
	}
	hist_get(&a, 200, 201, "lkjihgfedcbz");
	assert_int_equal(blind_check(&a, &limits, &r), 2);
	assert_int_equal(r.undecided, 1);
	assert_int_equal(r.violations, 0);
	assert_true(r.report.len > 0);
	release(&a, &r);
}

/* ---- against every order --------------------------------------------------------------------------- */

#define OPS_MAX 7
#define NAMES 3

/* A state plain enough to be copied: a value, and inodes of three names. */
struct plain {
	char value[64];
	bool present;
	uint64_t ino[NAMES];
};

static size_t name_number(const struct hist_op *op, bool second)
{
	return (size_t)((second ? op->rq.name2 : op->rq.name)[0] - 'a');
}

/* The status that op has in s, and s after it. *says: what else it tells (value or inode). */
static int plain_step(struct plain *s, const struct hist_op *op, const char **text, uint64_t *ino)
{
	size_t a = op->rq.op < FS_KV_PUT && op->rq.op != FS_KV_GET ? name_number(op, false) : 0;
	size_t len = strlen(s->value);
	uint64_t moved;

	switch (op->rq.op) {
	case FS_KV_GET:
		*text = s->value;
		return s->present ? 0 : -ENOENT;
	case FS_KV_PUT:
		len = 0;
		/* fall through */
	case FS_KV_APPEND:
		memcpy(s->value + len, op->rq.data, op->rq.data_len);
		s->value[len + op->rq.data_len] = 0;
		s->present = true;
		return 0;
	case FS_KV_DELETE:
		s->value[0] = 0;
		if (!s->present)
			return -ENOENT;
		s->present = false;
		return 0;
	case FS_LOOKUP:
		*ino = s->ino[a];
		return s->ino[a] ? 0 : -ENOENT;
	case FS_CREATE:
		if (s->ino[a])
			return -EEXIST;
		s->ino[a] = *ino = 100 + op->id;
		return 0;
	case FS_UNLINK:
		if (!s->ino[a])
			return -ENOENT;
		s->ino[a] = 0;
		return 0;
	default: /* FS_RENAME */
		moved = s->ino[a];
		if (!moved)
			return -ENOENT;
		s->ino[a] = 0;
		s->ino[name_number(op, true)] = moved;
		return 0;
	}
}

#define UNSEEN 1000u /* inodes of open creates, until a lookup tells their number */

/* A lookup tells the number of an inode that nobody had seen. */
static bool learn(const struct history *h, struct plain *s, uint64_t unseen, uint64_t told)
{
	for (size_t i = 0; i < h->count; i++) {
		const struct hist_op *op = &h->ops[i];

		if (op->rq.op == FS_CREATE && op->done && op->status == 0 &&
		    op->reply.attr.ino == told)
			return false;
	}
	for (size_t i = 0; i < NAMES; i++) {
		if (s->ino[i] == told)
			return false;
	}
	for (size_t i = 0; i < NAMES; i++)
		s->ino[i] = s->ino[i] == unseen ? told : s->ino[i];
	return true;
}

static bool answered_like(const struct history *h, const struct plain *before, struct plain *after,
			  const struct hist_op *op)
{
	const char *text = NULL;
	uint64_t ino = 0;
	int status;

	*after = *before;
	status = plain_step(after, op, &text, &ino);
	if (!op->done && op->rq.op == FS_CREATE && status == 0)
		after->ino[name_number(op, false)] = UNSEEN + op->id;
	if (!op->done)
		return true;
	if (status != op->status)
		return false;
	if (status == 0 && text)
		return strlen(text) == op->reply.data_len &&
		       memcmp(text, op->reply.data, op->reply.data_len) == 0;
	if (status != 0 || !ino || !(op->known & HIST_INO))
		return true;
	if (ino >= UNSEEN)
		return learn(h, after, ino, op->reply.attr.ino);
	return op->reply.attr.ino == ino;
}

/* Tries every order, open operations at any place or not at all. */
static bool some_order(const struct history *h, const struct plain *s, unsigned int left)
{
	bool only_open = true;

	for (size_t i = 0; i < h->count; i++) {
		bool first = left & 1u << i;
		struct plain next;

		if (!first)
			continue;
		only_open &= !h->ops[i].done;
		for (size_t k = 0; k < h->count; k++)
			first &= !((left & 1u << k) && h->ops[k].done &&
				   h->ops[k].end_ns < h->ops[i].start_ns);
		if (first && answered_like(h, s, &next, &h->ops[i]) &&
		    some_order(h, &next, left & ~(1u << i)))
			return true;
	}
	return only_open;
}

static struct fs_request random_request(struct prng *p, bool names, uint64_t number)
{
	static const char *const letters[] = { "a", "b", "c" };
	static const uint8_t key_ops[] = { FS_KV_GET,    FS_KV_GET,    FS_KV_PUT,
					   FS_KV_APPEND, FS_KV_APPEND, FS_KV_DELETE };
	static const uint8_t name_ops[] = { FS_LOOKUP, FS_LOOKUP, FS_CREATE,
					    FS_CREATE, FS_UNLINK, FS_RENAME };
	static char values[OPS_MAX][2];
	struct fs_request rq = { .op = key_ops[prng_below(p, ARRAY_SIZE(key_ops))] };
	size_t a = prng_below(p, NAMES);

	if (!names) {
		rq.name = "k";
		values[number][0] =
			(char)('A' + prng_below(p, 3)); /* at times what is there already */
		rq.data = values[number];
		return rq;
	}
	rq.op = name_ops[prng_below(p, ARRAY_SIZE(name_ops))];
	rq.ino = 1;
	rq.flags = rq.op == FS_CREATE ? O_EXCL : 0;
	rq.name = letters[a];
	if (rq.op == FS_RENAME) {
		rq.ino2 = 1;
		rq.name2 = letters[(a + 1 + prng_below(p, NAMES - 1)) % NAMES];
	}
	return rq;
}

/* Executes at points in time, answers within intervals around them: linearizable by construction. */
static void random_history(struct prng *p, struct history *h, bool names)
{
	struct plain s = { .present = false };
	size_t count = 2 + prng_below(p, OPS_MAX - 1);

	for (uint64_t i = 0; i < count; i++) {
		struct fs_request rq = random_request(p, names, i);
		uint64_t at = 100 + i * 10, start = at - prng_below(p, 30),
			 end = at + prng_below(p, 30);
		struct fs_reply reply = { .has_attr = names };
		bool open = prng_below(p, 6) == 0, executed = !open || prng_below(p, 2);
		const char *text = NULL;
		struct hist_op op = { .id = i, .rq = rq };
		int status = 0;

		op.rq.data_len = rq.data ? 1 : 0;
		if (executed)
			status = plain_step(&s, &op, &text, &reply.attr.ino);
		reply.data = text;
		reply.data_len = text ? strlen(text) : 0;
		hist_add(h, start, open ? 0 : end, rq, status, reply,
			 rq.op == FS_KV_GET                         ? HIST_DATA
			 : rq.op == FS_LOOKUP || rq.op == FS_CREATE ? HIST_INO
								    : 0,
			 0);
	}
}

/* Another answer, another time, or an operation less: often no longer linearizable. */
static void spoil(struct prng *p, struct history *h)
{
	struct hist_op *op = &h->ops[prng_below(p, h->count)];
	struct hist_op *other = &h->ops[prng_below(p, h->count)];
	struct fs_reply reply;
	uint32_t known;

	switch (prng_below(p, 3)) {
	case 0: /* answers change places */
		if (op->rq.op != other->rq.op || op->status != other->status || !op->done ||
		    !other->done || op->rq.op == FS_CREATE)
			return;
		reply = op->reply;
		op->reply = other->reply;
		other->reply = reply;
		known = op->known;
		op->known = other->known;
		other->known = known;
		break;
	case 1: /* what overlapped comes before */
		if (!op->done)
			return;
		op->start_ns = op->end_ns =
			op->start_ns + prng_below(p, op->end_ns - op->start_ns + 1);
		break;
	default:
		if (!op->done || op->rq.op == FS_CREATE || op->status == 0)
			return;
		op->status = op->status == -ENOENT ? 0 : -ENOENT;
		op->known = 0;
		if (op->rq.op == FS_KV_GET)
			op->known = HIST_DATA;
	}
}

static void print_history(const struct history *h)
{
	for (size_t i = 0; i < h->count; i++) {
		struct buf line = BUF_INIT;

		history_print(&h->ops[i], &line);
		print_message("%.*s\n", (int)line.len, (const char *)line.data);
		buf_release(&line);
	}
}

static void random_histories_are_judged_as_by_trying_every_order(void **state)
{
	const char *seed_text = getenv("SEED"), *runs_text = getenv("RUNS");
	uint64_t seed = seed_text ? strtoull(seed_text, NULL, 0) : 1;
	uint64_t runs = runs_text ? strtoull(runs_text, NULL, 0) : 20000;
	size_t bads = 0;
	struct prng p;

	for (uint64_t run = 0; run < runs; run++) {
		struct plain empty = { .present = false };
		struct blind_result r;
		HISTORY(h);
		bool want;
		int verdict;

		prng_init(&p, seed + run);
		random_history(&p, &h, (seed + run) % 2 == 0);
		verdict = blind_check(&h, &BLIND_LIMITS, &r);
		if (verdict != 0)
			fail_msg(
				"linearizable by construction, judged %d; replay: SEED=%llu RUNS=1",
				verdict, (unsigned long long)(seed + run));
		buf_release(&r.report);
		for (int i = 0; i < 3; i++)
			spoil(&p, &h);
		want = some_order(&h, &empty, (1u << h.count) - 1);
		verdict = blind_check(&h, &BLIND_LIMITS, &r);
		if ((verdict == 0) != want) {
			print_history(&h);
			fail_msg("judged %d, every order says %d; replay: SEED=%llu RUNS=1",
				 verdict, want, (unsigned long long)(seed + run));
		}
		bads += !want;
		release(&h, &r);
	}
	print_message("%zu of %llu spoilt histories are not linearizable\n", bads,
		      (unsigned long long)runs);
	if (runs > 1000)
		assert_true(bads > runs / 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_see_the_last_write),
		cmocka_unit_test(an_answer_while_the_write_is_under_way_may_be_old_or_new),
		cmocka_unit_test(equal_times_overlap),
		cmocka_unit_test(open_writes_take_effect_late_or_never_but_not_twice),
		cmocka_unit_test(appends_are_there_once_and_in_order),
		cmocka_unit_test(a_change_done_twice_is_seen),
		cmocka_unit_test(file_contents_are_bytes),
		cmocka_unit_test(long_files_keep_every_chunk),
		cmocka_unit_test(what_changes_nothing_now_may_be_needed_later),
		cmocka_unit_test(permission_bits_are_a_register),
		cmocka_unit_test(names_come_and_go),
		cmocka_unit_test(a_name_leads_to_its_inode),
		cmocka_unit_test(a_rename_is_one_step),
		cmocka_unit_test(renames_over_names),
		cmocka_unit_test(directories_go_when_empty_and_then_are_gone),
		cmocka_unit_test(inodes_nobody_told_are_learnt),
		cmocka_unit_test(hard_links_are_counted),
		cmocka_unit_test(what_always_was_there_stays),
		cmocka_unit_test(refusals_no_model_foretells_are_counted),
		cmocka_unit_test(the_report_ends_at_the_first_answer_that_cannot_be),
		cmocka_unit_test(what_takes_too_long_is_undecided),
		cmocka_unit_test(random_histories_are_judged_as_by_trying_every_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
