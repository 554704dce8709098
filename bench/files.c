/*
 * files.c - files DIR COUNT MIB [sync]: rates of what people do to files, one line each: name, value, unit.
 * With sync every file and the big write are fsynced, which is what a local disk needs to promise what
 * quorumfs promises anyway.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

static void path_of(char *out, size_t len, const char *dir, long i)
{
	snprintf(out, len, "%s/file%ld", dir, i);
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void report(const char *name, double amount, uint64_t start_ns, const char *unit)
{
	printf("%s %.1f %s\n", name, amount * 1e9 / (double)(clock_boot_ns() - start_ns), unit);
}

static void create_all(const char *dir, long count, bool sync)
{
	char path[4096], data[4096];
	uint64_t start = clock_boot_ns();

	memset(data, 'x', sizeof(data));
	for (long i = 0; i < count; i++) {
		int fd;

		path_of(path, sizeof(path), dir, i);
		fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
		if (fd < 0 || write(fd, data, sizeof(data)) != (ssize_t)sizeof(data) ||
		    (sync && fsync(fd) < 0) || close(fd) < 0)
			die(path);
	}
	report("create+write4k+close", (double)count, start, "files/s");
}

static void stat_all(const char *dir, long count)
{
	char path[4096];
	uint64_t start = clock_boot_ns();
	struct stat st;

	for (long i = 0; i < count; i++) {
		path_of(path, sizeof(path), dir, i);
		if (stat(path, &st) < 0)
			die(path);
	}
	report("stat", (double)count, start, "files/s");
}

static void read_all(const char *dir, long count)
{
	char path[4096], data[4096];
	uint64_t start = clock_boot_ns();

	for (long i = 0; i < count; i++) {
		int fd;

		path_of(path, sizeof(path), dir, i);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || read(fd, data, sizeof(data)) != (ssize_t)sizeof(data) || close(fd) < 0)
			die(path);
	}
	report("open+read4k+close", (double)count, start, "files/s");
}

static void unlink_all(const char *dir, long count)
{
	char path[4096];
	uint64_t start = clock_boot_ns();

	for (long i = 0; i < count; i++) {
		path_of(path, sizeof(path), dir, i);
		if (unlink(path) < 0)
			die(path);
	}
	report("unlink", (double)count, start, "files/s");
}

static void big_file(const char *dir, long mib)
{
	static char data[1 << 20];
	char path[4096];
	uint64_t start = clock_boot_ns();
	int fd;

	snprintf(path, sizeof(path), "%s/big", dir);
	memset(data, 'y', sizeof(data));
	fd = open(path, O_CREAT | O_RDWR | O_TRUNC | O_CLOEXEC, 0644);
	for (long i = 0; i < mib && fd >= 0; i++)
		if (write(fd, data, sizeof(data)) != (ssize_t)sizeof(data))
			die(path);
	if (fd < 0 || fsync(fd) < 0)
		die(path);
	report("write1M+fsync", (double)mib, start, "MiB/s");
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	start = clock_boot_ns();
	for (long i = 0; i < mib; i++)
		if (pread(fd, data, sizeof(data), i << 20) != (ssize_t)sizeof(data))
			die(path);
	report("read1M", (double)mib, start, "MiB/s");
	close(fd);
	unlink(path);
}

int main(int argc, char **argv)
{
	if (argc < 4) {
		fprintf(stderr, "usage: files DIR COUNT MIB [sync]\n");
		return 2;
	}
	create_all(argv[1], strtol(argv[2], NULL, 10), argc > 4);
	stat_all(argv[1], strtol(argv[2], NULL, 10));
	read_all(argv[1], strtol(argv[2], NULL, 10));
	unlink_all(argv[1], strtol(argv[2], NULL, 10));
	big_file(argv[1], strtol(argv[3], NULL, 10));
	return 0;
}
