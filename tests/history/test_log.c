/* test_log.c - see tests/history/history.h and log.c. */
#include "tests/lib/unit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "tests/history/history.h"

static char path[] = "/tmp/quorumfs-history-XXXXXX";

static int make_path(void **state)
{
	int fd = mkstemp(path);

	close(fd);
	return fd < 0;
}

static int remove_path(void **state)
{
	return unlink(path);
}

static void write_file(const char *text, size_t len)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(io_write_all(fd, text, len), 0);
	close(fd);
}

static struct fs_request odd_rename(void)
{
	return (struct fs_request){ .op = FS_RENAME,
				    .ino = 1,
				    .ino2 = 7,
				    .flags = 2,
				    .uid = 10,
				    .name = "a b%\n",
				    .name_len = 5,
				    .name2 = "=\xff",
				    .name2_len = 2 };
}

static void check_same(const struct hist_op *a, const struct hist_op *b)
{
	struct buf x = BUF_INIT, y = BUF_INIT;

	history_print(a, &x);
	history_print(b, &y);
	assert_int_equal(x.len, y.len);
	assert_memory_equal(x.data, y.data, x.len);
	assert_int_equal(a->known, b->known);
	assert_int_equal(a->rq.uid, b->rq.uid);
	assert_int_equal(a->rq.data_len, b->rq.data_len);
	assert_int_equal(a->reply.data_len, b->reply.data_len);
	if (a->reply.data_len)
		assert_memory_equal(a->reply.data, b->reply.data, a->reply.data_len);
	buf_release(&x);
	buf_release(&y);
}

static void make_history(struct history *h)
{
	static const uint8_t bytes[] = { 0, ' ', '%', 'a', 0xff, '\n', '/' };
	struct fs_request write = { .op = FS_WRITE,
				    .ino = 5,
				    .offset = 9,
				    .data = bytes,
				    .data_len = sizeof(bytes),
				    .flags = O_APPEND };
	struct fs_request list = { .op = FS_READDIR, .ino = 1, .flags = HIST_LIST_WHOLE };
	struct fs_request get = { .op = FS_KV_GET, .name = "k", .name_len = 1 };
	struct fs_request odd = odd_rename();
	struct fs_dirent d = { .ino = 5, .mode = S_IFREG, .name = "x:y%", .name_len = 4 };
	struct fs_reply reply = { .has_attr = true,
				  .attr = { .ino = 5, .size = 7, .nlink = 1 },
				  .count = 7,
				  .offset = 3 };
	struct buf names = BUF_INIT;
	size_t op;

	op = history_begin(h, 1, 100, &write);
	history_end(h, op, 200, 0, &reply, HIST_ALL, 4);
	op = history_begin(h, 2, 150, &odd);
	history_set_index(h, op, 12);
	fs_dirent_encode(&d, &names);
	d.name_len = 1;
	fs_dirent_encode(&d, &names);
	op = history_begin(h, 3, 160, &list);
	history_end(h, op, 170, 0, &(struct fs_reply){ .data = names.data, .data_len = names.len },
		    HIST_ALL, 3);
	op = history_begin(h, 3, 180, &get);
	history_end(h, op, 181, -ENOENT, NULL, HIST_ALL, 0);
	history_begin(h, 3, 190, &get);
	buf_release(&names);
}

static void what_is_saved_is_loaded(void **state)
{
	struct history h = HISTORY_INIT, back = HISTORY_INIT;
	bool torn = true;

	make_history(&h);
	assert_int_equal(history_save(&h, path, NULL), 0);
	assert_int_equal(history_load(&back, path, &torn, NULL), 0);
	assert_false(torn);
	assert_int_equal(back.count, h.count);
	for (size_t i = 0; i < h.count; i++)
		check_same(&h.ops[i], &back.ops[i]);
	assert_true(h.ops[0].known & HIST_OFFSET);
	assert_false(h.ops[0].known & HIST_DATA); /* a write tells no data */
	assert_false(back.ops[1].done);
	assert_int_equal(back.ops[1].index, 12);
	assert_int_equal(back.ops[3].status, -ENOENT);
	history_release(&h);
	history_release(&back);
}

/* The file as a killed writer leaves it, cut at every byte: whole lines count, the rest is dropped. */
static void every_torn_file_is_read(void **state)
{
	struct history h = HISTORY_INIT;
	struct buf whole = BUF_INIT;

	make_history(&h);
	assert_int_equal(history_save(&h, path, NULL), 0);
	assert_int_equal(io_read_file(AT_FDCWD, path, &whole), 0);
	for (size_t len = 19; len <= whole.len; len++) {
		struct history back = HISTORY_INIT;
		bool torn;

		write_file((const char *)whole.data, len);
		assert_int_equal(history_load(&back, path, &torn, NULL), 0);
		assert_int_equal(torn, whole.data[len - 1] != '\n');
		assert_true(back.count <= h.count);
		history_release(&back);
	}
	buf_release(&whole);
	history_release(&h);
}

static void events_are_appended_by_any_descriptor(void **state)
{
	struct fs_request rq = odd_rename();
	struct history h = HISTORY_INIT;
	int a, b;

	unlink(path);
	a = history_log_create(path, NULL);
	assert_true(a >= 0);
	assert_int_equal(history_log_create(path, NULL), -EEXIST);
	b = history_log_open(path, NULL);
	assert_true(b >= 0);
	assert_int_equal(history_log_begin(a, 1, 7, 10, &rq), 0);
	assert_int_equal(history_log_begin(b, 2, 8, 11, &rq), 0);
	assert_int_equal(history_log_end(a, &rq, 1, 20, -EEXIST, NULL, 0, 0), 0);
	close(a);
	close(b);
	assert_int_equal(history_load(&h, path, NULL, NULL), 0);
	assert_int_equal(h.count, 2);
	assert_int_equal(h.ops[0].status, -EEXIST);
	assert_int_equal(h.ops[1].client, 8);
	assert_false(h.ops[1].done);
	history_release(&h);
}

static void damage_is_told_with_its_line(void **state)
{
	static const struct {
		const char *text, *want;
		int ret;
	} cases[] = {
		{ "", "line 1: the file is empty", -EPROTO },
		{ "something else\n", "line 1: this is no history", -EPROTO },
		{ "quorumfs-history 2\n", "version 2, this program knows 1", -EOPNOTSUPP },
		{ "quorumfs-history 1\nx 1 t=2\n", "line 2: this is no event", -EPROTO },
		{ "quorumfs-history 1\nb x t=2\n", "line 2: this is no event", -EPROTO },
		{ "quorumfs-history 1\nb 1 t=2\n", "field 'op' is missing", -EPROTO },
		{ "quorumfs-history 1\nb 1 t=2 op=fly\n", "no operation 'fly'", -EPROTO },
		{ "quorumfs-history 1\nb 1 t=2 op=read wings=2\n", "no field 'wings'", -EPROTO },
		{ "quorumfs-history 1\nb 1 t=2 op=read ino=-1\n", "no number", -EPROTO },
		{ "quorumfs-history 1\nb 1 t=2 op=read uid=4294967296\n", "no number", -EPROTO },
		{ "quorumfs-history 1\nb 1 t=2 op=lookup name=%g0\n", "malformed", -EPROTO },
		{ "quorumfs-history 1\nb 1 t=2 op=lookup name=a%2\n", "malformed", -EPROTO },
		{ "quorumfs-history 1\nb 1 t=2 op=read stray\n", "'stray' is no field", -EPROTO },
		{ "quorumfs-history 1\ne 1 t=2\n", "ends and never began", -EPROTO },
		{ "quorumfs-history 1\nb 1 t=2 op=read\ne 1 t=1\n", "ends before it begins",
		  -EPROTO },
		{ "quorumfs-history 1\nb 1 t=2 op=read\nb 1 t=2 op=read\n", "begins twice",
		  -EPROTO },
		{ "quorumfs-history 1\nb 1 t=2 op=read\ne 1 t=3\ne 1 t=3\n", "ends twice",
		  -EPROTO },
		{ "quorumfs-history 1\nb 1 t=2 op=readdir\ne 1 t=3 data=5:xyz\n", "malformed",
		  -EPROTO },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct history h = HISTORY_INIT;
		struct err err = ERR_INIT;

		write_file(cases[i].text, strlen(cases[i].text));
		assert_int_equal(history_load(&h, path, NULL, &err), cases[i].ret);
		if (!strstr(err.text, cases[i].want))
			fail_msg("'%s' does not say '%s'", err.text, cases[i].want);
		history_release(&h);
	}
	write_file("quorumfs-history 1\nb 1\0 t=2\n", 28);
	assert_int_equal(history_load(&(struct history){ .ops = NULL }, path, NULL, NULL), -EPROTO);
	assert_int_equal(history_load(&(struct history){ .ops = NULL }, "/nowhere", NULL, NULL),
			 -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_saved_is_loaded),
		cmocka_unit_test(every_torn_file_is_read),
		cmocka_unit_test(events_are_appended_by_any_descriptor),
		cmocka_unit_test(damage_is_told_with_its_line),
	};

	return cmocka_run_group_tests(tests, make_path, remove_path);
}
