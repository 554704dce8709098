/*
 * fsx.c - random system calls on one file, compared with an array in memory after each of them.
 *
 * Several paths are the same file through several mounts: each call goes through any of them, and is looked
 * at through any other. What one call did, the next must see. Mappings are used with one path only: between
 * mounts they are coherent at msync(2), not at each store.
 *
 * Usage: fsx [-s SEED] [-n CALLS] [-t SECONDS] [-m SIZE_MAX] [-v] FILE...
 * Exit: 0; 1 with what differs and the last calls.
 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/prng.h"

#define PATHS_MAX 8
#define LOG_LINES 40
#define ALIGN 4096u /* O_DIRECT */

static struct fsx {
	const char *paths[PATHS_MAX];
	int fds[PATHS_MAX], append_fds[PATHS_MAX], direct_fds[PATHS_MAX];
	size_t count;
	struct prng p;
	uint8_t *want;       /* the file as it must be */
	uint8_t *got, *data; /* scratch, aligned */
	uint64_t size, max;
	uint64_t calls, refused;
	char log[LOG_LINES][160];
	bool verbose;
} x;

static uint64_t below(uint64_t bound)
{
	return prng_below(&x.p, bound);
}

static void __attribute__((format(printf, 1, 2))) note(const char *fmt, ...)
{
	char *line = x.log[x.calls % LOG_LINES];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(x.log[0]), fmt, ap);
	va_end(ap);
	if (x.verbose)
		printf("%llu %s\n", (unsigned long long)x.calls, line);
}

static void __attribute__((format(printf, 1, 2), noreturn)) differs(const char *fmt, ...)
{
	va_list ap;

	for (uint64_t i = x.calls < LOG_LINES ? 0 : x.calls - LOG_LINES + 1; i <= x.calls; i++)
		printf("%llu %s\n", (unsigned long long)i, x.log[i % LOG_LINES]);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	exit(1);
}

static void must(bool ok, const char *what)
{
	if (!ok)
		differs("%s: %s", what, strerror(errno));
}

static size_t any_path(void)
{
	return (size_t)below(x.count);
}

static void open_path(size_t i)
{
	x.fds[i] = open(x.paths[i], O_RDWR | O_CLOEXEC);
	x.append_fds[i] = open(x.paths[i], O_WRONLY | O_APPEND | O_CLOEXEC);
	x.direct_fds[i] = open(x.paths[i], O_RDWR | O_DIRECT | O_CLOEXEC); /* not everywhere */
	must(x.fds[i] >= 0 && x.append_fds[i] >= 0, "open");
}

static void close_path(size_t i)
{
	must(close(x.fds[i]) == 0 && close(x.append_fds[i]) == 0, "close");
	if (x.direct_fds[i] >= 0)
		must(close(x.direct_fds[i]) == 0, "close");
}

/* Small and large, and edges of pages and of 32 KiB. */
static uint64_t any_offset(uint64_t limit)
{
	uint64_t off = below(limit);

	if (below(3) == 0)
		off = off / 32768 * 32768;
	else if (below(3) == 0)
		off = off / 4096 * 4096;
	return off;
}

static uint64_t any_length(uint64_t off)
{
	uint64_t len = 1 + (below(2) ? below(100) : below(x.max / 4));

	if (below(3) == 0)
		len = (len + 32767) / 32768 * 32768;
	return min_u64(len, x.max - off);
}

static void fill(uint64_t len)
{
	uint8_t first = (uint8_t)(1 + below(255));

	for (uint64_t i = 0; i < len; i++)
		x.data[i] = (uint8_t)(first + i % 251);
}

static void grow(uint64_t size)
{
	if (size > x.size)
		x.size = size; /* the array is zeros there */
}

static void wrote(uint64_t off, uint64_t len)
{
	memcpy(x.want + off, x.data, len);
	grow(off + len);
}

static void look_at_size(size_t at)
{
	struct stat st;

	must((below(2) ? fstat(x.fds[at], &st) : stat(x.paths[at], &st)) == 0, "stat");
	if ((uint64_t)st.st_size != x.size)
		differs("size by %zu: %lld, should be %llu", at, (long long)st.st_size,
			(unsigned long long)x.size);
}

/* ---- calls ---- */

static void call_write(void)
{
	uint64_t off = any_offset(x.max), len = any_length(off);
	size_t at = any_path();

	fill(len);
	note("write %llu + %llu by %zu", (unsigned long long)off, (unsigned long long)len, at);
	must(pwrite(x.fds[at], x.data, len, (off_t)off) == (ssize_t)len, "write");
	wrote(off, len);
}

static void call_append(void)
{
	uint64_t len = 1 + below(40000);
	size_t at = any_path();

	if (x.size + len > x.max)
		return;
	fill(len);
	note("append %llu + %llu by %zu", (unsigned long long)x.size, (unsigned long long)len, at);
	must(write(x.append_fds[at], x.data, len) == (ssize_t)len, "append");
	wrote(x.size, len);
}

static void call_direct(void)
{
	uint64_t off = below(x.max / ALIGN) * ALIGN, len = (1 + below(20)) * ALIGN;
	size_t at = any_path();

	if (x.direct_fds[at] < 0 || off + len > x.max)
		return;
	if (below(2)) {
		ssize_t n;

		note("direct read %llu + %llu by %zu", (unsigned long long)off,
		     (unsigned long long)len, at);
		n = pread(x.direct_fds[at], x.got, len, (off_t)off);
		uint64_t have = off < x.size ? min_u64(len, x.size - off) : 0;

		if (n != (ssize_t)have || memcmp(x.got, x.want + off, have) != 0)
			differs("direct read: %zd bytes, or others than those written", n);
		return;
	}
	fill(len);
	note("direct write %llu + %llu by %zu", (unsigned long long)off, (unsigned long long)len,
	     at);
	must(pwrite(x.direct_fds[at], x.data, len, (off_t)off) == (ssize_t)len, "direct write");
	wrote(off, len);
}

static void call_truncate(void)
{
	uint64_t size = any_offset(x.max);
	size_t at = any_path();

	note("truncate %llu by %zu", (unsigned long long)size, at);
	must((below(2) ? ftruncate(x.fds[at], (off_t)size) : truncate(x.paths[at], (off_t)size)) ==
		     0,
	     "truncate");
	if (size < x.size)
		memset(x.want + size, 0, x.size - size);
	x.size = size;
}

static void call_fallocate(void)
{
	static const struct {
		int mode;
		const char *name;
		bool keep, zero;
	} kinds[] = {
		{ 0, "allocate", false, false },
		{ FALLOC_FL_KEEP_SIZE, "allocate, keep size", true, false },
		{ FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, "punch", true, true },
		{ FALLOC_FL_ZERO_RANGE, "zero", false, true },
		{ FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, "zero, keep size", true, true },
	};
	size_t kind = (size_t)below(ARRAY_SIZE(kinds)), at = any_path();
	uint64_t off = any_offset(x.max), len = any_length(off), end = off + len;

	note("%s %llu + %llu by %zu", kinds[kind].name, (unsigned long long)off,
	     (unsigned long long)len, at);
	if (fallocate(x.fds[at], kinds[kind].mode, (off_t)off, (off_t)len) < 0) {
		must(errno == EOPNOTSUPP, "fallocate");
		x.refused++;
		return;
	}
	if (kinds[kind].zero && off < x.size)
		memset(x.want + off, 0, min_u64(end, x.size) - off);
	if (!kinds[kind].keep)
		grow(end);
}

static void call_copy(void)
{
	uint64_t from = any_offset(x.size + 1), len = any_length(from), to = any_offset(x.max);
	size_t a = any_path();
	loff_t in = (loff_t)from, out = (loff_t)to;
	ssize_t n;

	if (from >= x.size || to + len > x.max || (from < to + len && to < from + len))
		return;
	note("copy %llu + %llu to %llu by %zu", (unsigned long long)from, (unsigned long long)len,
	     (unsigned long long)to, a);
	/* The kernel ends a copy where it believes the source to end: as cp does, ask first. */
	look_at_size(a);
	n = copy_file_range(x.fds[a], &in, x.fds[a], &out, len, 0);
	if (n <= 0 || (uint64_t)n > min_u64(len, x.size - from))
		differs("copy_file_range: %zd %s", n, strerror(errno));
	memmove(x.want + to, x.want + from, (size_t)n);
	grow(to + (uint64_t)n);
}

static void call_map(void)
{
	uint64_t pages = (x.size + 4095) / 4096, off, len;
	bool store = below(2);
	uint8_t *map;

	if (x.count > 1 || x.size == 0)
		return;
	map = mmap(NULL, pages * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, x.fds[0], 0);
	must(map != MAP_FAILED, "mmap");
	off = below(x.size);
	len = min_u64(1 + below(10000), x.size - off);
	note("mapped %s %llu + %llu", store ? "store" : "load", (unsigned long long)off,
	     (unsigned long long)len);
	if (store) {
		fill(len);
		memcpy(map + off, x.data, len);
		wrote(off, len);
		if (below(2))
			must(msync(map, pages * 4096, MS_SYNC) == 0, "msync");
	} else if (memcmp(map + off, x.want + off, len) != 0) {
		differs("mapped bytes are not those written");
	}
	must(munmap(map, pages * 4096) == 0, "munmap");
}

static void call_reopen(void)
{
	size_t at = any_path();

	note("reopen %zu", at);
	close_path(at);
	open_path(at);
}

static void call_fsync(void)
{
	size_t at = any_path();

	note("fsync %zu", at);
	must((below(2) ? fsync(x.fds[at]) : fdatasync(x.fds[at])) == 0, "fsync");
}

/* ---- looking ---- */

static void look_at(size_t at, uint64_t off, uint64_t len)
{
	uint64_t have = off < x.size ? min_u64(len, x.size - off) : 0;
	ssize_t n = pread(x.fds[at], x.got, len, (off_t)off);

	if (n != (ssize_t)have)
		differs("read by %zu at %llu: %zd bytes, should be %llu", at,
			(unsigned long long)off, n, (unsigned long long)have);
	for (uint64_t i = 0; i < have; i++) {
		if (x.got[i] != x.want[off + i])
			differs("read by %zu: byte %llu is %02x, should be %02x", at,
				(unsigned long long)(off + i), x.got[i], x.want[off + i]);
	}
}

/* What is no data reads as zeros, and data and holes follow each other up to the end. */
static void look_at_holes(size_t at)
{
	off_t off = 0;

	while ((uint64_t)off < x.size) {
		off_t data = lseek(x.fds[at], off, SEEK_DATA), hole;

		must(data >= off || errno == ENXIO, "SEEK_DATA");
		if (data < 0)
			data = (off_t)x.size;
		for (off_t i = off; i < data; i++) {
			if (x.want[i] != 0)
				differs("by %zu: byte %lld is in a hole", at, (long long)i);
		}
		if ((uint64_t)data == x.size)
			return;
		hole = lseek(x.fds[at], data, SEEK_HOLE);
		if (hole <= data || (uint64_t)hole > x.size)
			differs("SEEK_HOLE by %zu from %lld: %lld", at, (long long)data,
				(long long)hole);
		off = hole;
	}
	if (lseek(x.fds[at], (off_t)x.size, SEEK_DATA) >= 0 || errno != ENXIO)
		differs("SEEK_DATA at the end: no ENXIO");
}

static void look(void)
{
	size_t at = any_path();
	uint64_t off = any_offset(x.max);

	look_at_size(at);
	look_at(at, off, min_u64(1 + below(70000), x.max - off));
	if (x.calls % 20 == 0)
		look_at_holes(any_path());
	if (x.calls % 50 == 0)
		look_at(any_path(), 0, x.max);
}

static void step(void)
{
	static void (*const calls[])(void) = {
		call_write,    call_write,     call_write,     call_append,    call_direct,
		call_truncate, call_fallocate, call_fallocate, call_fallocate, call_copy,
		call_copy,     call_map,       call_map,       call_reopen,    call_fsync,
	};

	note("nothing");
	calls[below(ARRAY_SIZE(calls))]();
	look();
	x.calls++;
}

static uint8_t *scratch(void)
{
	uint8_t *p = aligned_alloc(ALIGN, x.max);

	must(p != NULL, "memory");
	memset(p, 0, x.max);
	return p;
}

int main(int argc, char **argv)
{
	uint64_t seed = 1, calls = 5000, seconds = 0, start_ms = clock_boot_ms();
	int c;

	x.max = 1u << 20;
	while ((c = getopt(argc, argv, "s:n:t:m:v")) != -1) {
		if (c == 's')
			seed = strtoull(optarg, NULL, 0);
		else if (c == 'n')
			calls = strtoull(optarg, NULL, 0);
		else if (c == 't')
			seconds = strtoull(optarg, NULL, 0);
		else if (c == 'm')
			x.max = strtoull(optarg, NULL, 0) / ALIGN * ALIGN;
		else if (c == 'v')
			x.verbose = true;
		else
			return 2;
	}
	for (int i = optind; i < argc && x.count < PATHS_MAX; i++)
		x.paths[x.count++] = argv[i];
	if (x.count == 0 || x.max < ALIGN * 32)
		return 2;
	prng_init(&x.p, seed);
	x.want = scratch();
	x.got = scratch();
	x.data = scratch();
	int fd = open(x.paths[0], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	must(fd >= 0 && close(fd) == 0, "create");
	for (size_t i = 0; i < x.count; i++)
		open_path(i);
	while (seconds ? clock_boot_ms() - start_ms < seconds * 1000 : x.calls < calls)
		step();
	for (size_t i = 0; i < x.count; i++) {
		look_at(i, 0, x.max);
		close_path(i);
	}
	printf("fsx: seed %llu, %llu calls through %zu path(s), %llu refused: equal\n",
	       (unsigned long long)seed, (unsigned long long)x.calls, x.count,
	       (unsigned long long)x.refused);
	return 0;
}
