/* test_io.c - see base/io.h. Each test has a fresh directory of its own. */
#include "tests/lib/unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"

struct fixture {
	char path[64];
	int dir;
};

static int setup(void **state)
{
	struct fixture *f = mem_calloc(1, sizeof(*f));

	snprintf(f->path, sizeof(f->path), "/tmp/qfs-test-io-XXXXXX");
	assert_non_null(mkdtemp(f->path));
	f->dir = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(f->dir >= 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	close(f->dir);
	assert_int_equal(io_remove_tree(AT_FDCWD, f->path), 0);
	assert_int_equal(access(f->path, F_OK), -1);
	free(f);
	return 0;
}

static int open_new(struct fixture *f, const char *name)
{
	int fd = openat(f->dir, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	return fd;
}

static void pread_wants_everything(void **state)
{
	int fd = open_new(*state, "a");
	char out[6] = "";

	assert_int_equal(io_pwrite_all(fd, "hello", 5, 3), 0);
	assert_int_equal(io_pread_all(fd, out, 5, 3), 0);
	assert_string_equal(out, "hello");
	assert_int_equal(io_pread_all(fd, out, 6, 3), -ENODATA);
	assert_int_equal(io_pread_all(fd, out, 0, 100), 0);
	close(fd);
	assert_int_equal(io_pread_all(fd, out, 1, 0), -EBADF);
	assert_int_equal(io_pwrite_all(fd, out, 1, 0), -EBADF);
}

/* More parts than one system call takes, with empty ones among them. */
static void pwritev_writes_every_part(void **state)
{
	enum { PARTS = 3000 };
	struct iovec *iov = mem_calloc(PARTS, sizeof(*iov));
	uint8_t *bytes = mem_alloc(PARTS), *out = mem_alloc(PARTS);
	int fd = open_new(*state, "a");
	size_t len = 0;

	for (size_t i = 0; i < PARTS; i++) {
		bytes[i] = (uint8_t)i;
		iov[i] = (struct iovec){ .iov_base = bytes + len, .iov_len = i % 3 };
		len += i % 3;
		if (len > PARTS - 3)
			iov[i].iov_len = 0;
	}
	len = 0;
	for (size_t i = 0; i < PARTS; i++)
		len += iov[i].iov_len;
	assert_int_equal(io_pwritev_all(fd, iov, PARTS, 10), 0);
	assert_int_equal(io_pread_all(fd, out, len, 10), 0);
	assert_memory_equal(out, bytes, len);
	assert_int_equal(lseek(fd, 0, SEEK_END), 10 + (off_t)len);
	close(fd);
	free(iov);
	free(bytes);
	free(out);
}

static void *drain(void *arg)
{
	char chunk[1000];
	size_t *total = mem_calloc(1, sizeof(*total));
	ssize_t n;

	while ((n = read(*(int *)arg, chunk, sizeof(chunk))) > 0)
		*total += (size_t)n;
	return total;
}

static void write_all_finishes_partial_writes(void **state)
{
	size_t len = 1 << 20;
	char *data = mem_calloc(1, len);
	pthread_t reader;
	void *total;
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(pthread_create(&reader, NULL, drain, &fds[0]), 0);
	assert_int_equal(io_write_all(fds[1], data, len), 0);
	close(fds[1]);
	pthread_join(reader, &total);
	assert_int_equal(*(size_t *)total, len);
	close(fds[0]);
	free(total);
	free(data);
}

static void nonblock_can_be_switched(void **state)
{
	char c;
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(io_set_nonblock(fds[0], true), 0);
	assert_int_equal(read(fds[0], &c, 1), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(io_set_nonblock(fds[0], false), 0);
	assert_int_equal(fcntl(fds[0], F_GETFL) & O_NONBLOCK, 0);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(io_set_nonblock(fds[0], true), -EBADF);
}

static void replace_is_all_or_nothing(void **state)
{
	struct fixture *f = *state;
	struct buf b = BUF_INIT;
	struct stat st;

	assert_int_equal(io_replace_file(f->dir, "id", "one", 3, 0640), 0);
	assert_int_equal(io_replace_file(f->dir, "id", "two!", 4, 0640), 0);
	buf_put_u8(&b, '>');
	assert_int_equal(io_read_file(f->dir, "id", &b), 0);
	assert_int_equal(b.len, 5);
	assert_memory_equal(b.data, ">two!", 5);
	assert_int_equal(fstatat(f->dir, "id", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777 & ~0640, 0);
	assert_int_equal(faccessat(f->dir, "id.tmp", F_OK, 0), -1);
	/* A directory cannot be replaced by a file: the error leaves nothing behind. */
	assert_int_equal(mkdirat(f->dir, "d", 0700), 0);
	assert_true(io_replace_file(f->dir, "d", "x", 1, 0600) < 0);
	assert_int_equal(faccessat(f->dir, "d.tmp", F_OK, 0), -1);
	buf_release(&b);
}

static void read_file_leaves_the_buffer_on_failure(void **state)
{
	struct fixture *f = *state;
	struct buf b = BUF_INIT;

	buf_put(&b, "abc", 3);
	assert_int_equal(io_read_file(f->dir, "missing", &b), -ENOENT);
	assert_int_equal(io_read_file(f->dir, ".", &b), -EISDIR);
	assert_int_equal(b.len, 3);
	buf_release(&b);
}

static void large_files_are_read_whole(void **state)
{
	struct fixture *f = *state;
	struct buf in = BUF_INIT, out = BUF_INIT;

	for (uint32_t i = 0; i < 100000; i++)
		buf_put_le32(&in, i);
	assert_int_equal(io_replace_file(f->dir, "big", in.data, in.len, 0600), 0);
	assert_int_equal(io_read_file(f->dir, "big", &out), 0);
	assert_int_equal(out.len, in.len);
	assert_memory_equal(out.data, in.data, in.len);
	buf_release(&in);
	buf_release(&out);
}

static void mkdir_p_makes_what_is_missing(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *path;
		int want;
	} cases[] = {
		{ "a/b/c", 0 },      { "a/b/c", 0 },         { "a/x/", 0 }, { "a//y", 0 },
		{ "file", -EEXIST }, { "file/d", -ENOTDIR }, { "a", 0 },
	};

	close(open_new(f, "file"));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char path[200];

		snprintf(path, sizeof(path), "%s/%s", f->path, cases[i].path);
		assert_int_equal(io_mkdir_p(path, 0755), cases[i].want);
	}
	assert_int_equal(faccessat(f->dir, "a/b/c", F_OK, 0), 0);
	assert_int_equal(faccessat(f->dir, "a/y", F_OK, 0), 0);
	assert_true(io_mkdir_p("", 0755) < 0);
}

static void remove_tree_stays_inside_its_tree(void **state)
{
	struct fixture *f = *state;
	char path[200];

	snprintf(path, sizeof(path), "%s/t/u/v", f->path);
	assert_int_equal(io_mkdir_p(path, 0755), 0);
	close(open_new(f, "keep"));
	assert_int_equal(mkdirat(f->dir, "keepdir", 0700), 0);
	close(open_new(f, "keepdir/inner"));
	close(open_new(f, "t/u/file"));
	assert_int_equal(symlinkat("../keepdir", f->dir, "t/link"), 0);
	assert_int_equal(io_remove_tree(f->dir, "t"), 0);
	assert_int_equal(faccessat(f->dir, "t", F_OK, 0), -1);
	assert_int_equal(faccessat(f->dir, "keepdir/inner", F_OK, 0), 0);
	assert_int_equal(io_remove_tree(f->dir, "t"), 0); /* absent is fine */
	assert_int_equal(io_remove_tree(f->dir, "keep"), 0);
	assert_int_equal(io_fsync_dir(f->dir), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(pread_wants_everything),
		TEST(pwritev_writes_every_part),
		TEST(write_all_finishes_partial_writes),
		TEST(nonblock_can_be_switched),
		TEST(replace_is_all_or_nothing),
		TEST(read_file_leaves_the_buffer_on_failure),
		TEST(large_files_are_read_whole),
		TEST(mkdir_p_makes_what_is_missing),
		TEST(remove_tree_stays_inside_its_tree),
	};

	return cmocka_run_group_tests_name("base/io", tests, NULL, NULL);
}
