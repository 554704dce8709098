/*
 * fuse_local.c - the FUSE front end under real system calls: two mounts, A and B, of one in-process
 * state (tests/lib/local_node.h), each with its own session.
 *
 * Three processes: this one guards and unmounts whatever happens; the server holds node, sessions
 * and mounts; the tester makes the system calls, so that a mount is never walked by its own
 * process. Server and tester share a page of controls: delays, lost requests, counters.
 *
 * Exit: 0, 1 failed, 77 no root or no /dev/fuse.  Usage: fuse_local [-d] [-s SEED] [CASE]
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/prng.h"
#include "fs/fs_fuse.h"
#include "tests/lib/local_node.h"

#define MOUNTS 2

struct shared {
	struct local_control control;
	atomic_uint_fast64_t published; /* storm: what every reader must see at least */
	atomic_bool over;
	atomic_uint stop; /* tester: please stop mount number stop - 1 */
	atomic_uint ended[MOUNTS];
};

static struct shared *shared;
static char dir[64];        /* temporary directory */
static char at[MOUNTS][80]; /* mount points */
static uint64_t seed = 1;
static bool debug;

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: failed: %s (errno %d %s)\n", __FILE__, __LINE__,   \
				#cond, errno, strerror(errno));                                    \
			fflush(stderr);                                                            \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

/* ---- the server ---- */

struct server {
	unsigned number;
	struct local_channel *channel;
	struct fs_session *session;
	struct fs_fuse *fuse;
	pthread_t thread;
	atomic_bool started;
};

static void server_started(void *ctx)
{
	atomic_store(&((struct server *)ctx)->started, true);
}

static void *server_run(void *arg)
{
	struct server *s = arg;

	CHECK(fs_fuse_run(s->fuse, server_started, s) == 0);
	local_channel_stop(s->channel);
	fs_session_free(s->session);
	fs_fuse_free(s->fuse);
	local_channel_free(s->channel);
	atomic_store(&shared->ended[s->number], 1);
	return NULL;
}

static void server_start(struct server *s, struct local_node *node, unsigned number)
{
	struct err err = ERR_INIT;
	struct fs_fuse_options fo = { .mountpoint = at[number],
					.shown = FS_SHOWN_AS_STORED,
				      .source = "test,with \\ signs",
				      .allow_other = true,
				      .debug = debug };

	s->number = number;
	s->channel = local_channel_new(node);
	if (fs_fuse_mount(&fo, &s->fuse, &err) < 0) {
		err_print(&err, "fuse_local");
		_exit(1);
	}
	struct fs_session_options so = { .uuid = { (uint8_t)(number + 1) },
					 .holder = true,
					 .hard = true,
					 .held = fs_fuse_held,
					 .killed = fs_fuse_killed,
					 .ctx = s->fuse };

	s->session = fs_session_new(&so, &local_channel_ops, s->channel);
	local_channel_start(s->channel, s->session);
	fs_fuse_attach(s->fuse, s->session);
	pthread_create(&s->thread, NULL, server_run, s);
	while (!atomic_load(&s->started))
		clock_sleep_ms(1);
}

/* Mounting where it cannot be must fail with the right errno and all parts of the text. */
static void check_refusals(void)
{
	static const struct {
		const char *below;
		int want;
	} cases[] = {
		{ "a", -EBUSY },
		{ "missing", -ENOENT },
		{ "file", -ENOTDIR },
	};
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/file", dir);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	CHECK(fd >= 0 && close(fd) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fs_fuse *fuse = NULL;
		struct err err = ERR_INIT;
		struct fs_fuse_options o = { .mountpoint = path,
					     .source = "x",
					     .shown = FS_SHOWN_AS_STORED };

		snprintf(path, sizeof(path), "%s/%s", dir, cases[i].below);
		CHECK(fs_fuse_mount(&o, &fuse, &err) == cases[i].want);
		CHECK(fuse == NULL && err.text[0] && err.still_works[0] && err.next[0]);
	}
}

static int serve(int ready, pid_t tester)
{
	static struct server servers[MOUNTS];
	struct local_node *node = local_node_new(&shared->control);
	char ok = 1;

	for (unsigned i = 0; i < MOUNTS; i++)
		server_start(&servers[i], node, i);
	check_refusals();
	CHECK(write(ready, &ok, 1) == 1);
	int status = 0;

	while (waitpid(tester, &status, WNOHANG) == 0) {
		unsigned stop = atomic_exchange(&shared->stop, 0);

		if (stop > 0)
			fs_fuse_stop(servers[stop - 1].fuse);
		clock_sleep_ms(5);
	}
	bool passed = WIFEXITED(status) && WEXITSTATUS(status) == 0;

	if (WIFSIGNALED(status))
		fprintf(stderr, "the tester got signal %d\n", WTERMSIG(status));

	for (unsigned i = 0; i < MOUNTS && !passed;
	     i++) /* a tester that failed left them mounted */
		if (!atomic_load(&shared->ended[i]))
			fs_fuse_stop(servers[i].fuse);
	for (unsigned i = 0; i < MOUNTS; i++)
		pthread_join(servers[i].thread, NULL);
	if (passed && local_node_check(node) != 0)
		passed = false;
	local_node_free(node);
	return passed ? 0 : 1;
}

/* ---- helpers of the tester ---- */

static const char *in(unsigned mount, const char *name)
{
	static char paths[16][PATH_MAX];
	static unsigned next;
	char *path = paths[next++ % 16];

	snprintf(path, PATH_MAX, "%s/%s", at[mount], name);
	return path;
}

static void put(unsigned mount, const char *name, const void *data, size_t len)
{
	int fd = open(in(mount, name), O_WRONLY | O_CREAT | O_TRUNC, 0644);

	CHECK(fd >= 0);
	CHECK(write(fd, data, len) == (ssize_t)len);
	CHECK(close(fd) == 0);
}

static bool same(unsigned mount, const char *name, const void *data, size_t len)
{
	char *have = malloc(len + 1);
	int fd = open(in(mount, name), O_RDONLY);

	CHECK(fd >= 0 && have);
	bool equal = read(fd, have, len + 1) == (ssize_t)len && memcmp(have, data, len) == 0;

	close(fd);
	free(have);
	return equal;
}

static uint64_t count(enum fs_op op)
{
	return atomic_load(&shared->control.count[op]);
}

/* Runs fn in a child; its pid. */
static pid_t spawn(void (*fn)(void))
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0) {
		fn();
		_exit(0);
	}
	return pid;
}

/* Milliseconds until the child ended; fails after limit. */
static uint64_t wait_child(pid_t pid, uint64_t limit_ms, int *status)
{
	uint64_t start_ms = clock_boot_ms();

	while (waitpid(pid, status, WNOHANG) == 0) {
		CHECK(clock_boot_ms() - start_ms < limit_ms);
		clock_sleep_ms(2);
	}
	return clock_boot_ms() - start_ms;
}

/* ---- cases ---- */

static void case_names(void)
{
	struct stat st;
	char target[64];

	CHECK(mkdir(in(0, "d"), 0755) == 0);
	CHECK(mkdir(in(0, "d"), 0755) < 0 && errno == EEXIST);
	put(0, "d/f", "hello", 5);
	CHECK(same(1, "d/f", "hello", 5));
	CHECK(open(in(1, "d/f"), O_CREAT | O_EXCL | O_WRONLY, 0644) < 0 && errno == EEXIST);
	CHECK(link(in(0, "d/f"), in(0, "g")) == 0);
	CHECK(stat(in(1, "g"), &st) == 0 && st.st_nlink == 2 && st.st_size == 5);
	CHECK(rename(in(1, "g"), in(1, "d/h")) == 0);
	CHECK(stat(in(0, "g"), &st) < 0 && errno == ENOENT);
	CHECK(symlink("d/h", in(0, "s")) == 0);
	CHECK(readlink(in(1, "s"), target, sizeof(target)) == 3 && memcmp(target, "d/h", 3) == 0);
	CHECK(same(1, "s", "hello", 5));
	CHECK(rmdir(in(0, "d")) < 0 && errno == ENOTEMPTY);
	CHECK(mkfifo(in(0, "p"), 0600) == 0);
	CHECK(stat(in(1, "p"), &st) == 0 && S_ISFIFO(st.st_mode));
	CHECK(mknod(in(0, "null"), S_IFCHR | 0666, makedev(1, 3)) == 0);
	int fd = open(in(1, "null"), O_WRONLY); /* devices work for root */

	CHECK(fd >= 0 && write(fd, "x", 1) == 1 && close(fd) == 0);
	CHECK(renameat2(AT_FDCWD, in(0, "p"), AT_FDCWD, in(0, "s"), RENAME_NOREPLACE) < 0 &&
	      errno == EEXIST);
	CHECK(renameat2(AT_FDCWD, in(0, "p"), AT_FDCWD, in(0, "s"), RENAME_EXCHANGE) == 0);
	CHECK(lstat(in(1, "s"), &st) == 0 && S_ISFIFO(st.st_mode));
	CHECK(unlink(in(0, "s")) == 0 && unlink(in(0, "p")) == 0 && unlink(in(0, "null")) == 0);
	CHECK(unlink(in(1, "d/f")) == 0 && unlink(in(1, "d/h")) == 0 && rmdir(in(1, "d")) == 0);
	char name[300];

	memset(name, 'n', sizeof(name));
	name[256] = '\0';
	CHECK(mkdir(in(0, name), 0755) < 0 && errno == ENAMETOOLONG);
	name[255] = '\0';
	CHECK(mkdir(in(0, name), 0755) == 0 && rmdir(in(1, name)) == 0);
}

static void case_attributes(void)
{
	struct timespec times[2] = { { .tv_sec = -5, .tv_nsec = 7 },
				     { .tv_sec = 1, .tv_nsec = 999999999 } };
	struct stat st;
	struct statvfs vfs;

	put(0, "f", "0123456789", 10);
	CHECK(chmod(in(0, "f"), 04755) == 0 && stat(in(1, "f"), &st) == 0);
	CHECK(st.st_mode == (S_IFREG | 04755));
	CHECK(chown(in(0, "f"), 12, 34) == 0 && stat(in(1, "f"), &st) == 0);
	CHECK(st.st_uid == 12 && st.st_gid == 34 && !(st.st_mode & S_ISUID));
	CHECK(utimensat(AT_FDCWD, in(0, "f"), times, 0) == 0 && stat(in(1, "f"), &st) == 0);
	CHECK(st.st_atim.tv_sec == -5 && st.st_atim.tv_nsec == 7);
	CHECK(st.st_mtim.tv_sec == 1 && st.st_mtim.tv_nsec == 999999999);
	CHECK(truncate(in(0, "f"), 4) == 0 && same(1, "f", "0123", 4));
	CHECK(truncate(in(0, "f"), 6) == 0 && same(1, "f", "0123\0\0", 6));
	CHECK(statvfs(at[0], &vfs) == 0 && vfs.f_bsize == 4096 && vfs.f_namemax == 255);
	CHECK(unlink(in(0, "f")) == 0);
}

static void case_xattrs(void)
{
	char value[16];

	put(0, "f", "", 0);
	CHECK(setxattr(in(0, "f"), "user.one", "value", 5, XATTR_CREATE) == 0);
	CHECK(setxattr(in(0, "f"), "user.one", "v", 1, XATTR_CREATE) < 0 && errno == EEXIST);
	CHECK(getxattr(in(1, "f"), "user.one", NULL, 0) == 5);
	CHECK(getxattr(in(1, "f"), "user.one", value, 4) < 0 && errno == ERANGE);
	CHECK(getxattr(in(1, "f"), "user.one", value, 16) == 5 && memcmp(value, "value", 5) == 0);
	CHECK(listxattr(in(1, "f"), NULL, 0) == 9);
	CHECK(listxattr(in(1, "f"), value, 8) < 0 && errno == ERANGE);
	CHECK(listxattr(in(1, "f"), value, 9) == 9 && memcmp(value, "user.one", 9) == 0);
	CHECK(removexattr(in(0, "f"), "user.one") == 0);
	CHECK(getxattr(in(1, "f"), "user.one", NULL, 0) < 0 && errno == ENODATA);
	CHECK(unlink(in(0, "f")) == 0);
}

static void case_large_directory(void)
{
	char name[64];
	unsigned found = 0;
	bool seen[3000] = { false };
	struct dirent *d;

	CHECK(mkdir(in(0, "big"), 0755) == 0);
	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "big/entry-%d", i);
		CHECK(mknod(in(0, name), S_IFREG | 0644, 0) == 0);
	}
	DIR *dp = opendir(in(1, "big"));

	CHECK(dp != NULL);
	while ((d = readdir(dp)) != NULL) {
		int i;

		if (d->d_name[0] == '.') {
			CHECK(d->d_type == DT_DIR);
			continue;
		}
		CHECK(sscanf(d->d_name, "entry-%d", &i) == 1 && !seen[i] && d->d_type == DT_REG);
		seen[i] = true;
		found++;
		snprintf(name, sizeof(name), "big/entry-%d", i);
		CHECK(unlink(in(0, name)) == 0); /* cookies stay valid */
	}
	CHECK(found == 3000);
	closedir(dp);
	CHECK(rmdir(in(0, "big")) == 0);
}

static void case_sparse_and_large_offsets(void)
{
	char byte = 1;
	struct stat st;
	int fd = open(in(0, "f"), O_RDWR | O_CREAT, 0644);

	CHECK(fd >= 0 && pwrite(fd, "x", 1, 1ll << 33) == 1);
	CHECK(pread(fd, &byte, 1, 12345) == 1 && byte == 0);
	CHECK(stat(in(1, "f"), &st) == 0 && st.st_size == (1ll << 33) + 1 && st.st_blocks < 1024);
	CHECK(pwrite(fd, "x", 1, INT64_MAX - 5) < 0 && errno == EFBIG);
	CHECK(ftruncate(fd, 1000000000000000) == 0);
	CHECK(stat(in(1, "f"), &st) == 0 && st.st_size == 1000000000000000 && st.st_blocks < 1024);
	CHECK(close(fd) == 0 && unlink(in(0, "f")) == 0);
}

/* The INIT flags that libfuse does not send: they are there if this is fast and asks for no xattr.
 */
static void *stat_missing(void *name)
{
	struct stat st;

	CHECK(stat(name, &st) < 0 && errno == ENOENT);
	return NULL;
}

static void case_init_flags(void)
{
	pthread_t threads[4];
	char names[4][128];
	int fd = open(in(0, "f"), O_WRONLY | O_CREAT, 0644);

	atomic_store(&shared->control.delay_ms[FS_LOOKUP], 100);
	uint64_t start_ms = clock_boot_ms();

	for (int i = 0; i < 4; i++) {
		snprintf(names[i], sizeof(names[i]), "%s/missing-%d", at[0], i);
		pthread_create(&threads[i], NULL, stat_missing, names[i]);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	uint64_t took_ms = clock_boot_ms() - start_ms;

	printf("  four lookups of 100 ms in one directory took %llu ms\n",
	       (unsigned long long)took_ms);
	CHECK(took_ms < 250);
	atomic_store(&shared->control.delay_ms[FS_LOOKUP], 0);
	uint64_t before = count(FS_GETXATTR);

	for (int i = 0; i < 40; i++)
		CHECK(write(fd, "x", 1) == 1);
	printf("  40 writes asked %llu times for xattrs\n",
	       (unsigned long long)(count(FS_GETXATTR) - before));
	CHECK(count(FS_GETXATTR) - before <= 1);
	before = count(FS_WRITE);
	char *block = malloc(1 << 20);

	CHECK(block);
	memset(block, 1, 1 << 20); /* the kernel cuts at source pages that it must fault in */
	CHECK(write(fd, block, 1 << 20) == 1 << 20);
	printf("  1 MiB came in %llu writes\n", (unsigned long long)(count(FS_WRITE) - before));
	CHECK(count(FS_WRITE) - before <= 2); /* 40 bytes off the page border */
	free(block);
	CHECK(close(fd) == 0 && unlink(in(0, "f")) == 0);
}

static void case_cache_is_kept_while_unchanged(void)
{
	static char data[65536], have[65536];

	put(1, "f", data, sizeof(data));
	CHECK(same(0, "f", data, sizeof(data)));
	uint64_t before = count(FS_READ);

	for (int i = 0; i < 5; i++) {
		int fd = open(in(0, "f"), O_RDONLY);

		CHECK(fd >= 0 && read(fd, have, sizeof(have)) == sizeof(have) && close(fd) == 0);
	}
	CHECK(count(FS_READ) == before);
	CHECK(unlink(in(0, "f")) == 0);
}

/* Rewrites f through B with equal size and the mtime it had. */
static void rewrite_in_secret(const char *data, size_t len)
{
	struct stat st;
	int fd = open(in(1, "f"), O_WRONLY);

	CHECK(fd >= 0 && fstat(fd, &st) == 0);
	CHECK(pwrite(fd, data, len, 0) == (ssize_t)len);
	CHECK(futimens(fd, (struct timespec[2]){ st.st_atim, st.st_mtim }) == 0 && close(fd) == 0);
}

static void case_rewrite_with_mtime_set_back_is_seen(void)
{
	char have[8] = "";
	struct stat st;

	put(0, "f", "old old", 7);
	CHECK(same(0, "f", "old old", 7)); /* now in A's cache */
	int fd = open(in(0, "f"), O_RDONLY);
	char *map = mmap(NULL, 7, PROT_READ, MAP_SHARED, fd, 0);

	CHECK(fd >= 0 && map != MAP_FAILED && memcmp(map, "old old", 7) == 0);
	rewrite_in_secret("new new", 7);
	CHECK(pread(fd, have, 7, 0) == 7 && memcmp(have, "new new", 7) == 0); /* by GETATTR */
	CHECK(memcmp(map, "new new", 7) == 0);
	rewrite_in_secret("NEW NEW", 7);
	CHECK(stat(in(0, "f"), &st) == 0 && memcmp(map, "NEW NEW", 7) == 0); /* by LOOKUP */
	rewrite_in_secret("3rd 3rd", 7);
	int out = open(in(0, "copy"), O_RDWR | O_CREAT, 0644);
	int again = open(in(0, "f"), O_RDONLY); /* sendfile asks nothing but by OPEN's way there */

	CHECK(out >= 0 && again >= 0 && sendfile(out, again, NULL, 7) == 7);
	CHECK(same(0, "copy", "3rd 3rd", 7));
	munmap(map, 7);
	close(fd);
	close(out);
	close(again);
	CHECK(unlink(in(0, "f")) == 0 && unlink(in(0, "copy")) == 0);
}

#define APPENDERS 4
#define RECORDS 100

static void append_records(unsigned mount)
{
	char record[32];
	int fd = open(in(mount, "log"), O_WRONLY | O_APPEND);

	CHECK(fd >= 0);
	for (int i = 0; i < RECORDS; i++) {
		int len = snprintf(record, sizeof(record), "%d %d\n", (int)getpid(), i);

		CHECK(write(fd, record, (size_t)len) == len);
	}
	CHECK(close(fd) == 0);
}

static void append_by_a(void)
{
	append_records(0);
}

static void append_by_b(void)
{
	append_records(1);
}

static void case_appends_from_both_mounts_never_overwrite(void)
{
	pid_t pids[APPENDERS];
	int next[APPENDERS] = { 0 }, status;

	put(0, "log", "", 0);
	for (int i = 0; i < APPENDERS; i++)
		pids[i] = spawn(i % 2 ? append_by_b : append_by_a);
	for (int i = 0; i < APPENDERS; i++) {
		wait_child(pids[i], 60000, &status);
		CHECK(status == 0);
	}
	for (unsigned m = 0; m < MOUNTS; m++) {
		FILE *f = fopen(in(m, "log"), "r");
		int pid, number, lines = 0;

		CHECK(f != NULL);
		memset(next, 0, sizeof(next));
		for (; fscanf(f, "%d %d\n", &pid, &number) == 2; lines++)
			for (int i = 0; i < APPENDERS; i++)
				if (pids[i] == pid)
					CHECK(number == next[i]++);
		CHECK(lines == APPENDERS * RECORDS);
		fclose(f);
	}
	CHECK(unlink(in(0, "log")) == 0);
}

/*
 * ---- linearizable reads under a storm: a writer changes mounts at will, keeps the size and sets mtime
 * back each time; readers through both mounts, by read() and by mapping, must see what was there when
 * they began.
 */

#define STORM_BYTES 16384
#define STORM_MS 2500u

static void storm_check(const uint64_t *words, uint64_t least)
{
	for (size_t i = 0; i < STORM_BYTES / 8; i++)
		CHECK(words[i] >= least);
}

static void storm_read(unsigned mount)
{
	static uint64_t words[STORM_BYTES / 8];
	struct stat st;
	int fd = open(in(mount, "storm"), O_RDONLY);
	const void *map = mmap(NULL, STORM_BYTES, PROT_READ, MAP_SHARED, fd, 0);

	CHECK(fd >= 0 && map != MAP_FAILED);
	while (!atomic_load(&shared->over)) {
		uint64_t least = atomic_load(&shared->published);

		CHECK(pread(fd, words, STORM_BYTES, 0) == STORM_BYTES);
		storm_check(words, least);
		least = atomic_load(&shared->published);
		CHECK(fstat(fd, &st) == 0);
		for (size_t i = 0; i < STORM_BYTES / 8; i += 512)
			CHECK(((const volatile uint64_t *)map)[i] >= least);
	}
}

static void storm_read_a(void)
{
	storm_read(0);
}

static void storm_read_b(void)
{
	storm_read(1);
}

static void storm_stat(void)
{
	struct stat st;

	while (!atomic_load(&shared->over)) {
		int fd = open(in(0, "storm"), O_RDONLY);

		CHECK(fd >= 0 && fstat(fd, &st) == 0 && close(fd) == 0);
	}
}

static void storm_write(struct prng *p, int *fd)
{
	static uint64_t words[STORM_BYTES / 8];
	uint64_t next = atomic_load(&shared->published) + 1;
	const struct timespec back[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	unsigned mount = (unsigned)prng_below(p, MOUNTS);

	for (size_t i = 0; i < STORM_BYTES / 8; i++)
		words[i] = next;
	CHECK(pwrite(fd[mount], words, STORM_BYTES, 0) == STORM_BYTES);
	if (prng_below(p, 4) > 0)
		CHECK(futimens(fd[prng_below(p, MOUNTS)], back) == 0);
	atomic_store(&shared->published, next);
	if (prng_below(p, 3) == 0)
		clock_sleep_ms(1);
}

static void case_reads_are_linearizable_with_mtime_set_back(void)
{
	static char zeros[STORM_BYTES];
	void (*const readers[])(void) = { storm_read_a, storm_read_a, storm_read_b, storm_stat };
	pid_t pids[ARRAY_SIZE(readers)];
	int fd[MOUNTS], status;
	struct prng p;

	prng_init(&p, seed);
	put(0, "storm", zeros, sizeof(zeros));
	for (unsigned m = 0; m < MOUNTS; m++)
		CHECK((fd[m] = open(in(m, "storm"), O_WRONLY)) >= 0);
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++)
		pids[i] = spawn(readers[i]);
	uint64_t until_ms = clock_boot_ms() + STORM_MS;

	while (clock_boot_ms() < until_ms) {
		atomic_store(&shared->control.delay_ms[FS_READ], (unsigned)prng_below(&p, 3));
		atomic_store(&shared->control.delay_ms[FS_GETATTR], (unsigned)prng_below(&p, 3));
		storm_write(&p, fd);
	}
	atomic_store(&shared->over, true);
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
		wait_child(pids[i], 10000, &status);
		CHECK(status == 0);
	}
	printf("  %llu rewrites\n", (unsigned long long)atomic_load(&shared->published));
	atomic_store(&shared->control.delay_ms[FS_READ], 0);
	atomic_store(&shared->control.delay_ms[FS_GETATTR], 0);
	for (unsigned m = 0; m < MOUNTS; m++)
		close(fd[m]);
	CHECK(unlink(in(0, "storm")) == 0);
}

/* ---- what fsx does: random operations on a file and on memory, compared all the time ---- */

#define FSX_MAX 300000u

struct fsx {
	struct prng p;
	uint8_t good[FSX_MAX], temp[FSX_MAX];
	size_t size;
	int fd[MOUNTS];
};

static void fsx_write(struct fsx *x, unsigned m, size_t off, size_t len, bool mapped)
{
	if (off > x->size)
		memset(x->good + x->size, 0, off - x->size);
	for (size_t i = 0; i < len; i++)
		x->good[off + i] = (uint8_t)prng_u64(&x->p);
	if (off + len > x->size) {
		x->size = off + len;
		if (mapped)
			CHECK(ftruncate(x->fd[m], (off_t)x->size) == 0);
	}
	if (!mapped) {
		CHECK(pwrite(x->fd[m], x->good + off, len, (off_t)off) == (ssize_t)len);
		return;
	}
	struct stat st;

	/* A mapping knows of what another mount did only after the kernel has asked. */
	CHECK(fstat(x->fd[m], &st) == 0 && (size_t)st.st_size == x->size);
	uint8_t *map = mmap(NULL, x->size, PROT_READ | PROT_WRITE, MAP_SHARED, x->fd[m], 0);

	CHECK(map != MAP_FAILED);
	memcpy(map + off, x->good + off, len);
	CHECK(msync(map, x->size, MS_SYNC) == 0 && munmap(map, x->size) == 0);
}

static void fsx_read(struct fsx *x, unsigned m, size_t off, size_t len, bool mapped)
{
	struct stat st;

	CHECK(fstat(x->fd[m], &st) == 0 && (size_t)st.st_size == x->size);
	if (off >= x->size)
		return;
	len = min_u64(len, x->size - off);
	if (mapped) {
		uint8_t *map = mmap(NULL, x->size, PROT_READ, MAP_SHARED, x->fd[m], 0);

		CHECK(map != MAP_FAILED);
		CHECK(memcmp(map + off, x->good + off, len) == 0);
		CHECK(munmap(map, x->size) == 0);
		return;
	}
	CHECK(pread(x->fd[m], x->temp, len, (off_t)off) == (ssize_t)len);
	CHECK(memcmp(x->temp, x->good + off, len) == 0);
}

static void fsx_truncate(struct fsx *x, unsigned m, size_t size)
{
	if (size > x->size)
		memset(x->good + x->size, 0, size - x->size);
	x->size = size;
	CHECK(ftruncate(x->fd[m], (off_t)size) == 0);
}

static void fsx(unsigned mounts, unsigned steps)
{
	struct fsx *x = calloc(1, sizeof(*x));

	CHECK(x);
	prng_init(&x->p, seed);
	put(0, "fsx", "", 0);
	for (unsigned m = 0; m < MOUNTS; m++)
		x->fd[m] = open(in(m, "fsx"), O_RDWR);
	for (unsigned i = 0; i < steps; i++) {
		unsigned m = (unsigned)prng_below(&x->p, mounts);
		size_t off = prng_below(&x->p, FSX_MAX);
		size_t len = 1 + prng_below(&x->p, min_u64(FSX_MAX - off, 70000));
		bool mapped = prng_below(&x->p, 2);

		switch (prng_below(&x->p, 8)) {
		case 0:
		case 1:
		case 2:
			fsx_write(x, m, off, len, mapped);
			break;
		case 3:
			fsx_truncate(x, m, off);
			break;
		default:
			fsx_read(x, m, off, len, mapped);
		}
	}
	for (unsigned m = 0; m < MOUNTS; m++) {
		fsx_read(x, m, 0, FSX_MAX, false);
		CHECK(close(x->fd[m]) == 0);
	}
	CHECK(unlink(in(0, "fsx")) == 0);
	free(x);
}

static void case_random_operations_on_one_mount(void)
{
	fsx(1, 1500);
}

static void case_random_operations_alternating_mounts(void)
{
	fsx(2, 1500);
}

/* ---- signals ---- */

static void make_directory(void)
{
	signal(SIGTERM, SIG_DFL);
	mkdir(in(0, "never"), 0755);
}

static void handler(int sig)
{
	(void)sig;
}

static void make_directory_catching(void)
{
	struct sigaction sa = { .sa_handler = handler };

	sigaction(SIGTERM, &sa, NULL); /* no SA_RESTART: EINTR would be seen */
	CHECK(mkdir(in(0, "slow"), 0755) == 0);
}

static void case_kill_frees_a_process_that_waits(void)
{
	static const int signals[] = { SIGKILL, SIGTERM };
	int status;

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		atomic_store(&shared->control.silent[FS_MKDIR], true);
		pid_t pid = spawn(make_directory);

		clock_sleep_ms(100);
		CHECK(waitpid(pid, &status, WNOHANG) == 0);
		CHECK(kill(pid, signals[i]) == 0);
		uint64_t took_ms = wait_child(pid, 2000, &status);

		printf("  signal %d freed it after %llu ms\n", signals[i],
		       (unsigned long long)took_ms);
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == signals[i] && took_ms < 500);
		atomic_store(&shared->control.silent[FS_MKDIR], false);
	}
	atomic_store(&shared->control.delay_ms[FS_MKDIR], 400);
	pid_t pid = spawn(make_directory_catching);

	clock_sleep_ms(100);
	CHECK(kill(pid, SIGTERM) == 0); /* caught: the change happens, so no EINTR */
	wait_child(pid, 2000, &status);
	CHECK(status == 0);
	atomic_store(&shared->control.delay_ms[FS_MKDIR], 0);
	CHECK(rmdir(in(1, "slow")) == 0);
	pid = spawn(make_directory_catching);
	wait_child(pid, 2000, &status);
	CHECK(status == 0 && rmdir(in(1, "slow")) == 0);
}

/* ---- open but unlinked ---- */

static void case_unlinked_file_lives_while_another_mount_holds_it(void)
{
	char have[4];

	put(0, "f", "data", 4);
	int fd = open(in(0, "f"), O_RDWR);

	CHECK(fd >= 0 && unlink(in(1, "f")) == 0);
	for (int i = 0; i < 500 && atomic_load(&shared->control.orphans) != 1; i++)
		clock_sleep_ms(10); /* others may be left of earlier cases */
	clock_sleep_ms(400);        /* some rounds of the reclaimer */
	CHECK(pread(fd, have, 4, 0) == 4 && memcmp(have, "data", 4) == 0);
	CHECK(pwrite(fd, "more", 4, 4) == 4);
	CHECK(atomic_load(&shared->control.orphans) == 1);
	CHECK(close(fd) == 0);
	for (int i = 0; i < 200 && atomic_load(&shared->control.orphans) > 0; i++)
		clock_sleep_ms(10);
	CHECK(atomic_load(&shared->control.orphans) == 0);
}

static void case_ioctl_and_locks(void)
{
	int fd = open(in(0, "f"), O_RDWR | O_CREAT, 0644);
	struct flock fl = { .l_type = F_WRLCK };

	CHECK(fd >= 0 && !isatty(fd) && errno == ENOTTY);
	CHECK(fcntl(fd, F_SETLK, &fl) == 0);
	/* The other mount is another session. */
	int other = open(in(1, "f"), O_RDWR);

	CHECK(other >= 0 && fcntl(other, F_SETLK, &fl) < 0 && errno == EAGAIN);
	CHECK(flock(fd, LOCK_EX) == 0 && flock(other, LOCK_SH | LOCK_NB) < 0 && errno == EAGAIN);
	CHECK(close(other) == 0);
	CHECK(fsync(fd) == 0 && fdatasync(fd) == 0 && close(fd) == 0 && unlink(in(0, "f")) == 0);
	int dfd = open(at[0], O_RDONLY | O_DIRECTORY);

	CHECK(dfd >= 0 && fsync(dfd) == 0 && close(dfd) == 0);
}

static void wait_ended(unsigned mount)
{
	uint64_t start_ms = clock_boot_ms();

	while (!atomic_load(&shared->ended[mount])) {
		CHECK(clock_boot_ms() - start_ms < 5000);
		clock_sleep_ms(5);
	}
	printf("  mount %c was gone after %llu ms\n", "AB"[mount],
	       (unsigned long long)(clock_boot_ms() - start_ms));
}

/* The last case: A is unmounted by umount, B is stopped with a file open and dirty pages mapped. */
static void case_ends(void)
{
	int fd = open(in(1, "open"), O_RDWR | O_CREAT, 0644);

	CHECK(fd >= 0 && ftruncate(fd, 4096) == 0);
	char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	CHECK(map != MAP_FAILED);
	map[0] = 1;
	CHECK(umount(at[0]) == 0);
	wait_ended(0);
	atomic_store(&shared->stop, 2);
	wait_ended(1);
	CHECK(write(fd, "x", 1) < 0); /* its file system is gone, which it is told */
}

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
#define CASE(name)                                                                                 \
	{                                                                                          \
#name, case_##name                                                                 \
	}
	CASE(names),
	CASE(attributes),
	CASE(xattrs),
	CASE(large_directory),
	CASE(sparse_and_large_offsets),
	CASE(init_flags),
	CASE(cache_is_kept_while_unchanged),
	CASE(rewrite_with_mtime_set_back_is_seen),
	CASE(appends_from_both_mounts_never_overwrite),
	CASE(reads_are_linearizable_with_mtime_set_back),
	CASE(random_operations_on_one_mount),
	CASE(random_operations_alternating_mounts),
	CASE(kill_frees_a_process_that_waits),
	CASE(unlinked_file_lives_while_another_mount_holds_it),
	CASE(ioctl_and_locks),
	CASE(ends),
};

static int test(int ready, const char *only)
{
	char ok;

	CHECK(read(ready, &ok, 1) == 1);
	umask(022);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (only && strcmp(only, cases[i].name) != 0 && strcmp(cases[i].name, "ends") != 0)
			continue;
		printf("%s\n", cases[i].name);
		fflush(stdout);
		cases[i].run();
	}
	return 0;
}

/* ---- the guard ---- */

static int guard(const char *only)
{
	int ready[2], status = 1;

	CHECK(pipe(ready) == 0);
	pid_t server = fork();

	CHECK(server >= 0);
	if (server == 0) {
		pid_t tester = fork();

		CHECK(tester >= 0);
		if (tester == 0) {
			close(ready[1]);
			_exit(test(ready[0], only));
		}
		close(ready[0]);
		exit(serve(ready[1], tester));
	}
	close(ready[0]);
	close(ready[1]);
	waitpid(server, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv)
{
	int opt;

	while ((opt = getopt(argc, argv, "ds:")) != -1) {
		if (opt == 'd')
			debug = true;
		else if (opt == 's')
			seed = strtoull(optarg, NULL, 0);
		else
			return 2;
	}
	if (geteuid() != 0 || access("/dev/fuse", R_OK | W_OK) != 0) {
		fprintf(stderr, "fuse_local: needs root and /dev/fuse: skipped\n");
		return 77;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	log_set_level(LOG_WARNING);
	snprintf(dir, sizeof(dir), "/tmp/quorumfs-fuse-XXXXXX");
	CHECK(mkdtemp(dir) != NULL);
	for (unsigned i = 0; i < MOUNTS; i++) {
		snprintf(at[i], sizeof(at[i]), "%s/%c", dir, "ab"[i]);
		CHECK(mkdir(at[i], 0700) == 0);
	}
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	CHECK(shared != MAP_FAILED);
	int ret = guard(optind < argc ? argv[optind] : NULL);
	char file[80];

	for (unsigned i = 0; i < MOUNTS; i++) {
		umount2(at[i], MNT_DETACH);
		rmdir(at[i]);
	}
	snprintf(file, sizeof(file), "%s/file", dir);
	unlink(file);
	rmdir(dir);
	if (ret == 0)
		printf("passed\n");
	else
		printf("failed; replay: fuse_local -s %llu\n", (unsigned long long)seed);
	return ret;
}
