/* data.c - contents: what one mount wrote, another reads next; appends, sizes and their limits, direct and
 * synchronous I/O, mappings. */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "tests/posix/multi/multi.h"

#define MIB (1l << 20)

static void written_and_read(void)
{
	int fds[MOUNTS];
	struct stat st;
	char text[64];

	close(make_file(0, "f", "", 0644));
	for (int m = 0; m < MOUNTS; m++)
		fds[m] = (int)OK(open(P(m, "f"), O_RDWR | O_CLOEXEC));
	for (int i = 0; i < 30; i++) {
		int a = i % MOUNTS, b = (i + 1) % MOUNTS, c = (i + 2) % MOUNTS;
		char want[16];
		int len = snprintf(want, sizeof(want), "round %d.", i);

		IS(len, pwrite(fds[a], want, (size_t)len, i % 5));
		IS(len, pread(fds[b], text, (size_t)len, i % 5));
		TRUE(memcmp(text, want, (size_t)len) == 0);
		OK(fstat(fds[c], &st));
		TRUE(st.st_size >= i % 5 + len);
		IS(st.st_size, lseek(fds[b], 0, SEEK_END));
		OK(ftruncate(fds[c], i % 5 + 1));
		IS(1, pread(fds[a], text, sizeof(text), i % 5));
		IS(0, pread(fds[b], text, sizeof(text), i % 5 + 1));
	}
	/* What was cut off and comes back is zeros. */
	OK(ftruncate(fds[0], 0));
	memset(text, 'x', sizeof(text));
	IS(64, pwrite(fds[1], text, 64, 0));
	IS(64, pread(fds[2], text, 64, 0));
	OK(ftruncate(fds[2], 10));
	OK(ftruncate(fds[0], 40));
	IS(40, pread(fds[1], text, 64, 0));
	IS('x', text[9]);
	for (int i = 10; i < 40; i++)
		IS(0, text[i]);
	IS(1, pwrite(fds[1], "y", 1, MIB));
	IS(1, pread(fds[0], text, 64, MIB));
	IS(64, pread(fds[2], text, 64, MIB - 64));
	IS(0, text[0] | text[63]);
	OK(close((int)OK(open(P(0, "f"), O_WRONLY | O_TRUNC))));
	OK(fstat(fds[1], &st));
	IS(0, st.st_size);
	IS(0, st.st_blocks);
	IS(0, pread(fds[2], text, 64, 0));
	FAILS(EISDIR, open(P(1, ""), O_WRONLY));
	FAILS(EISDIR, read((int)OK(open(P(1, ""), O_RDONLY)), text, 1));
	FAILS(EISDIR, truncate(P(1, ""), 0));
	FAILS(EINVAL, ftruncate((int)OK(open(P(1, "f"), O_RDONLY)), 0));
}

/* What a mapping shows after msync, and what it wrote. */
static void mapped(void)
{
	char *a, text[16];
	int fd = make_file(0, "f", "0123456789", 0644), other;

	other = (int)OK(open(P(1, "f"), O_RDWR | O_CLOEXEC));
	a = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	TRUE(a != MAP_FAILED);
	TRUE(memcmp(a, "0123456789", 11) == 0);
	memcpy(a, "mapped", 6);
	OK(msync(a, 4096, MS_SYNC));
	IS(10, pread(other, text, sizeof(text), 0));
	TRUE(memcmp(text, "mapped6789", 10) == 0);
	OK(munmap(a, 4096));
	IS(6, pwrite(other, "MAPPED", 6, 0));
	OK(close(fd));
	fd = (int)OK(open(P(2, "f"), O_RDONLY | O_CLOEXEC));
	a = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	TRUE(a != MAP_FAILED);
	TRUE(memcmp(a, "MAPPED6789", 10) == 0);
	OK(munmap(a, 4096));
}

/* ---- appends ---- */

enum { APPENDS = 20, RECORD = 5000 };

static int append_from(int m)
{
	int fd = open(P(m, "log"), O_WRONLY | O_APPEND | O_CLOEXEC);
	char record[RECORD];

	for (int i = 0; i < APPENDS && fd >= 0; i++) {
		memset(record, 'A' + m, sizeof(record));
		record[0] = (char)('0' + i % 10);
		if (write(fd, record, sizeof(record)) != sizeof(record))
			return 1;
	}
	return fd < 0;
}

static int append_0(void)
{
	return append_from(0);
}

static int append_1(void)
{
	return append_from(1);
}

static int append_2(void)
{
	return append_from(2);
}

/* Records appended by three mounts at once: all are there, whole, and each mount's in its order. */
static void appended_at_once(void)
{
	static int (*const appends[])(void) = { append_0, append_1, append_2 };
	int counts[MOUNTS] = { 0 }, fd;
	char record[RECORD];
	uint32_t failed;

	close(make_file(0, "log", "", 0644));
	IS(3, race(appends, 3, &failed));
	IS(3l * APPENDS * RECORD, look(1, "log").st_size);
	fd = (int)OK(open(P(2, "log"), O_RDONLY | O_CLOEXEC));
	while (read(fd, record, sizeof(record)) == sizeof(record)) {
		int m = record[1] - 'A';

		TRUE(m >= 0 && m < MOUNTS);
		IS('0' + counts[m]++ % 10, record[0]);
		for (int i = 1; i < RECORD; i++)
			IS('A' + m, record[i]);
	}
	for (int m = 0; m < MOUNTS; m++)
		IS(APPENDS, counts[m]);
}

static void appended_in_turn(void)
{
	int fds[MOUNTS], plain;
	char text[64];

	close(make_file(0, "f", "start:", 0644));
	for (int m = 0; m < MOUNTS; m++)
		fds[m] = (int)OK(open(P(m, "f"), O_RDWR | O_APPEND | O_CLOEXEC));
	for (int i = 0; i < 9; i++) {
		char digit = (char)('0' + i);

		IS(1, write(fds[i % MOUNTS], &digit, 1));
		/* The kernel reckons with the end that it saw last, see quorumfs(7). */
		if (!on_fuse() || one_mount())
			IS(7 + i, lseek(fds[i % MOUNTS], 0, SEEK_CUR));
	}
	text_is(1, "f", "start:012345678");
	IS(1, pwrite(fds[1], "x", 1, 0)); /* to the end, as Linux has it */
	text_is(2, "f", "start:012345678x");
	OK(ftruncate(fds[2], 3));
	IS(3, write(fds[0], "end", 3));
	text_is(1, "f", "staend");
	plain = (int)OK(open(P(1, "f"), O_WRONLY | O_CLOEXEC));
	IS(2, pwrite(plain, "..", 2, 6)); /* grows it elsewhere */
	IS(1, write(fds[0], "!", 1));
	IS(9, pread(fds[2], text, sizeof(text), 0));
	TRUE(memcmp(text, "staend..!", 9) == 0);
	OK(fcntl(fds[0], F_SETFL, 0)); /* an ordinary descriptor from now on */
	IS(1, pwrite(fds[0], "S", 1, 0));
	OK(fcntl(plain, F_SETFL, O_APPEND));
	IS(1, pwrite(plain, "?", 1, 0));
	text_is(1, "f", "Staend..!?");
}

/* ---- sizes ---- */

static void size_limits(void)
{
	const off_t most = INT64_MAX, common = 4l << 40; /* what every one of them can hold */
	int fd = make_file(0, "f", "x", 0644);
	int other = (int)OK(open(P(1, "f"), O_RDWR | O_CLOEXEC));
	char byte = 1;

	OK(ftruncate(fd, common - 1));
	IS(common - 1, look(1, "f").st_size);
	TRUE(look(2, "f").st_blocks < 1000);
	IS(1, pwrite(other, "e", 1, common - 2));
	IS(1, pread(fd, &byte, 1, common - 2));
	IS('e', byte);
	IS(1, pread(fd, &byte, 1, common / 2));
	IS(0, byte);
	FAILS(EINVAL, ftruncate(fd, -1));
	FAILS(EINVAL, pwrite(fd, "x", 1, -1));
	FAILS(EINVAL, pwrite(fd, "x", 1, most));
	if (on_fuse()) {
		/* The rest of test_sizes.sh: what cannot be stored, as ext4 has it elsewhere. */
		OK(ftruncate(fd, most));
		IS(most, look(2, "f").st_size);
		IS(1, pread(other, &byte, 1, most - 1));
		IS(0, byte);
		OK(ftruncate(other, common));
		FAILS(EFBIG, pwrite(other, "x", 1, common));
		FAILS(EFBIG, pwrite(other, "x", 1, most - 1));
		IS(1, pwrite(other, "xy", 2, common - 1));
		FAILS(EFBIG, fallocate(other, 0, common - 1, 2));
		FAILS(EFBIG, fallocate(other, 0, most - 1, 1));
		IS(common, look(2, "f").st_size);
		OK(close((int)OK(open(P(2, "f"), O_RDWR | O_APPEND))));
		FAILS(EFBIG, write((int)OK(open(P(2, "f"), O_RDWR | O_APPEND)), "x", 1));
	}
	OK(ftruncate(other, 1));
	IS(1, look(0, "f").st_size);
	text_is(0, "f", "x");
}

static volatile sig_atomic_t exceeded;

static void on_exceeded(int sig)
{
	(void)sig;
	exceeded++;
}

static void file_size_limit_of_a_process(void)
{
	int fd = make_file(0, "f", "", 0644);
	int append = (int)OK(open(P(1, "f"), O_WRONLY | O_APPEND | O_CLOEXEC));
	char text[200] = { 0 };

	signal(SIGXFSZ, on_exceeded);
	OK(setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 1000, 1000 }));
	IS(100, pwrite(fd, text, 200, 900)); /* up to the limit */
	IS(0, exceeded);
	FAILS(EFBIG, pwrite(fd, text, 1, 1000));
	IS(1, exceeded);
	FAILS(EFBIG, ftruncate(fd, 1001));
	IS(2, exceeded);
	FAILS(EFBIG, truncate(P(2, "f"), 1001));
	IS(3, exceeded);
	IS(1000, look(1, "f").st_size);
	FAILS(EFBIG, write(append, "x", 1)); /* where the other mount has put the end */
	IS(4, exceeded);
	FAILS(EFBIG, fallocate(fd, 0, 900, 101));
	OK(ftruncate(fd, 995));
	IS(995,
	   look(1, "f")
		   .st_size); /* the kernel counts from the end that it saw last, see quorumfs(7) */
	IS(5, write(append, text, 10));
	OK(ftruncate(fd, 1000));
}

/* ---- direct and synchronous I/O ---- */

static void direct(void)
{
	enum { SIZE = 65536 };
	int fds[MOUNTS], cached;
	char *block = aligned_alloc(4096, SIZE), *got = aligned_alloc(4096, SIZE);

	close(make_file(0, "f", "", 0644));
	for (int m = 0; m < MOUNTS; m++) {
		fds[m] = open(P(m, "f"), O_RDWR | O_DIRECT | O_CLOEXEC);
		if (fds[m] < 0 && errno == EINVAL)
			SKIP("no O_DIRECT here");
		OK(fds[m]);
	}
	cached = (int)OK(open(P(1, "f"), O_RDWR | O_CLOEXEC));
	for (int i = 0; i < 12; i++) {
		int a = i % MOUNTS, b = (i + 1) % MOUNTS;
		off_t at = (i % 4) * (off_t)SIZE;

		memset(block, 'a' + i, SIZE);
		IS(SIZE, pwrite(fds[a], block, SIZE, at));
		IS(SIZE, pread(fds[b], got, SIZE, at));
		TRUE(memcmp(block, got, SIZE) == 0);
		IS(SIZE, pread(cached, got, SIZE, at));
		TRUE(memcmp(block, got, SIZE) == 0);
		IS(3, pwrite(cached, "xyz", 3, at + 5)); /* through the cache, then read directly */
		IS(SIZE, pread(fds[a], got, SIZE, at));
		TRUE(memcmp(got + 4, block, 1) == 0 && memcmp(got + 5, "xyz", 3) == 0);
	}
	OK(ftruncate(fds[0], SIZE + 100));
	IS(100, pread(fds[1], got, SIZE, SIZE)); /* the end of the file */
	IS(0, pread(fds[2], got, SIZE, 2l * SIZE));
}

static void synchronous(void)
{
	static const int flags[] = { O_SYNC, O_DSYNC, O_SYNC | O_APPEND, O_DSYNC | O_DIRECT };
	char *block = aligned_alloc(4096, 4096);

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		int a = (int)i % MOUNTS, b = (a + 1) % MOUNTS, fd;
		char name[8], got[4096];

		snprintf(name, sizeof(name), "f%zu", i);
		fd = open(P(a, name), O_RDWR | O_CREAT | O_CLOEXEC | flags[i], 0644);
		if (fd < 0 && errno == EINVAL)
			continue; /* no O_DIRECT */
		OK(fd);
		IS(flags[i], fcntl(fd, F_GETFL) & (O_SYNC | O_DSYNC | O_APPEND | O_DIRECT));
		for (int n = 0; n < 3; n++) {
			memset(block, 'a' + n, 4096);
			IS(4096, write(fd, block, 4096));
			IS(4096 * (n + 1), look(b, name).st_size);
		}
		OK(fdatasync(fd));
		OK(fsync(fd));
		OK(syncfs(fd));
		OK(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER));
		OK(close(fd));
		fd = (int)OK(open(P(b, name), O_RDONLY | O_CLOEXEC));
		IS(4096, pread(fd, got, 4096, 4096));
		IS('b', got[4095]);
		OK(fsync(fd)); /* a reader may, too */
		OK(close(fd));
		fd = (int)OK(open(P(b, ""), O_DIRECTORY | O_RDONLY | O_CLOEXEC));
		OK(fsync(fd));
		OK(fdatasync(fd));
		OK(close(fd));
	}
}

const struct multi_case data_cases[] = {
	{ "written_and_read", written_and_read },
	{ "mapped", mapped },
	{ "appended_at_once", appended_at_once },
	{ "appended_in_turn", appended_in_turn },
	{ "size_limits", size_limits },
	{ "file_size_limit_of_a_process", file_size_limit_of_a_process },
	{ "direct", direct },
	{ "synchronous", synchronous },
	{ NULL, NULL },
};
