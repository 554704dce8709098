/* work_small.c - works on small files. Names are short and their directories new, for each group. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/work.h"

static char page[WORK_PAGE];

static void make_dir(char *path, size_t size, const struct work_options *o, const char *name, unsigned number)
{
	(void)snprintf(path, size, "%s/%s%u", o->dir, name, number);
	if (mkdir(path, 0755) < 0)
		work_die(path);
}

static int open_dir(const struct work_options *o, const char *name, unsigned number)
{
	char path[4096];
	int fd;

	make_dir(path, sizeof(path), o, name, number);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		work_die(path);
	return fd;
}

static void set_threads(struct work_thread *t, const struct work_options *o)
{
	memset(page, 'x', sizeof(page));
	for (unsigned i = 0; i < WORK_THREADS; i++)
		t[i] = (struct work_thread){ .options = o, .number = i, .random = 88172645463325252ull + i };
}

static const char *name_of(char name[32], const struct work_thread *t, char kind, uint64_t i)
{
	(void)snprintf(name, 32, "%c%u.%llu", kind, t->number, (unsigned long long)i);
	return name;
}

static void create(struct work_thread *t, uint64_t i)
{
	char name[32];
	int fd = openat(t->dir_fd, name_of(name, t, 'f', i), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);

	if (fd < 0)
		work_die("create");
	work_write_all(fd, page, sizeof(page));
	if (close(fd) < 0)
		work_die("close");
}

static void look(struct work_thread *t, uint64_t i)
{
	struct stat st;
	char name[32];

	if (fstatat(t->dir_fd, name_of(name, t, 'f', i), &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_size != WORK_PAGE)
		work_die("stat");
}

static void rename_one(struct work_thread *t, uint64_t i)
{
	char from[32], to[32];

	if (renameat(t->dir_fd, name_of(from, t, 'f', i), t->dir_fd, name_of(to, t, 'r', i)) < 0)
		work_die("rename");
}

static void unlink_one(struct work_thread *t, uint64_t i)
{
	char name[32];

	if (unlinkat(t->dir_fd, name_of(name, t, 'r', i), 0) < 0)
		work_die("unlink");
}

static void mkdir_one(struct work_thread *t, uint64_t i)
{
	char name[32];

	if (mkdirat(t->dir_fd, name_of(name, t, 'd', i), 0755) < 0)
		work_die("mkdir");
}

/* What is renamed or unlinked in less than all its time was made before: the slowest of them decides how much. */
void work_small(const struct work_options *o)
{
	struct work_thread t[WORK_THREADS];
	uint64_t n;

	set_threads(t, o);
	t[0].dir_fd = open_dir(o, "small", 0);
	n = work_run("create_1", t, 1, create, 0);
	work_drop_caches(2);
	n = work_run("stat_cold_1", t, 1, look, n);
	n = work_run("rename_1", t, 1, rename_one, n);
	(void)work_run("unlink_1", t, 1, unlink_one, n);
	(void)work_run("mkdir_1", t, 1, mkdir_one, 0);
	close(t[0].dir_fd);
}

void work_many(const struct work_options *o)
{
	struct work_thread t[WORK_THREADS];
	int shared;

	set_threads(t, o);
	for (unsigned i = 0; i < WORK_THREADS; i++)
		t[i].dir_fd = open_dir(o, "own", i);
	(void)work_run("create_8_own", t, WORK_THREADS, create, 0);
	for (unsigned i = 0; i < WORK_THREADS; i++)
		close(t[i].dir_fd);
	shared = open_dir(o, "shared", 0);
	for (unsigned i = 0; i < WORK_THREADS; i++)
		t[i].dir_fd = shared;
	(void)work_run("create_8_one", t, WORK_THREADS, create, 0);
	close(shared);
}

/* Round a file of 4 MiB that is there. */
static void write_sync(struct work_thread *t, uint64_t i)
{
	if (pwrite(t->fd, page, sizeof(page), (off_t)(i % 1024 * WORK_PAGE)) != WORK_PAGE || fsync(t->fd) < 0)
		work_die("write and fsync");
}

static void replace(struct work_thread *t, uint64_t i)
{
	int fd = openat(t->dir_fd, "new", O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);

	(void)i;
	if (fd < 0)
		work_die("open new");
	work_write_all(fd, page, sizeof(page));
	if (fsync(fd) < 0 || close(fd) < 0 || renameat(t->dir_fd, "new", t->dir_fd, "file") < 0 || fsync(t->dir_fd) < 0)
		work_die("replace");
}

void work_durable(const struct work_options *o)
{
	struct work_thread t[WORK_THREADS];

	set_threads(t, o);
	for (unsigned i = 0; i < WORK_THREADS; i++) {
		t[i].dir_fd = open_dir(o, "durable", i);
		t[i].fd = openat(t[i].dir_fd, "log", O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
		if (t[i].fd < 0)
			work_die("open log");
	}
	(void)work_run("durable_1", t, 1, write_sync, 0);
	(void)work_run("durable_8", t, WORK_THREADS, write_sync, 0);
	(void)work_run("atomic_1", t, 1, replace, 0);
	(void)work_run("atomic_8", t, WORK_THREADS, replace, 0);
	for (unsigned i = 0; i < WORK_THREADS; i++) {
		close(t[i].fd);
		close(t[i].dir_fd);
	}
}

/* ---- a tree ------------------------------------------------------------------------------------------------ */

#define TREE_FILE_MAX 40000u
#define TREE_DIR_FILES 20u

/* Words, so that git finds something to compress; the same for each run. */
static size_t words(char *buf, struct work_thread *t)
{
	static const char *const some[] = { "static ", "int ", "struct ", "return ", "if (", ") {\n\t", "}\n", "ret = ",
					    "value", "count", " + ", ";\n\t", "0x", "NULL", "const ", "size_t " };
	size_t len = 0, want;

	/* Mostly short, some long: 10 KB in the mean. */
	t->random = t->random * 6364136223846793005ull + 1442695040888963407ull;
	want = 100 + (t->random >> 33) % ((t->random >> 20) % 4 == 0 ? TREE_FILE_MAX - 200 : 12000);
	while (len < want) {
		t->random = t->random * 6364136223846793005ull + 1442695040888963407ull;
		len += (size_t)snprintf(buf + len, 32, "%s%llu ", some[(t->random >> 40) % ARRAY_SIZE(some)],
					(unsigned long long)(t->random >> 50));
	}
	return len;
}

void work_tree(const struct work_options *o)
{
	struct work_thread t = { .options = o, .random = 42, .dir_fd = -1 };
	char name[32], *buf = mem_alloc(TREE_FILE_MAX + 64);

	for (uint64_t i = 0; i < o->files; i++) {
		int fd;

		if (i % TREE_DIR_FILES == 0) {
			if (t.dir_fd >= 0)
				close(t.dir_fd);
			t.dir_fd = open_dir(o, "dir", (unsigned)(i / TREE_DIR_FILES));
		}
		fd = openat(t.dir_fd, name_of(name, &t, 's', i), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
		if (fd < 0)
			work_die("create");
		work_write_all(fd, buf, words(buf, &t));
		close(fd);
	}
	close(t.dir_fd);
	free(buf);
}
