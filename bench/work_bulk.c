/* work_bulk.c - works on a large file, on a SQLite database, and on the bare machine. */
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/work.h"

#define MIB (1024u * 1024u)

static uint64_t next_random(struct work_thread *t)
{
	t->random ^= t->random << 13;
	t->random ^= t->random >> 7;
	t->random ^= t->random << 17;
	return t->random;
}

static off_t any_page(struct work_thread *t)
{
	return (off_t)(next_random(t) % (t->options->mib * MIB / WORK_PAGE) * WORK_PAGE);
}

static int open_big(const struct work_options *o, int flags)
{
	char path[4096];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/big", o->dir);
	fd = open(path, flags | O_CLOEXEC, 0644);
	if (fd < 0)
		work_die(path);
	return fd;
}

/* Differs from page to page, so that nobody stores it for nothing. */
static void fill(char *buf, uint64_t mib)
{
	struct work_thread t = { .random = 88172645463325252ull + mib };

	for (size_t i = 0; i < MIB; i += 8) {
		uint64_t r = next_random(&t);

		memcpy(buf + i, &r, 8);
	}
}

static void seq_write(const struct work_options *o)
{
	char *buf = mem_alloc(MIB);
	double start = work_now();
	int fd = open_big(o, O_CREAT | O_TRUNC | O_WRONLY);

	for (uint64_t i = 0; i < o->mib; i++) {
		fill(buf, i);
		work_write_all(fd, buf, MIB);
	}
	if (fsync(fd) < 0 || close(fd) < 0)
		work_die("fsync");
	work_report("seq_write", (double)o->mib / (work_now() - start), "MiB/s");
	free(buf);
}

static void seq_read(const struct work_options *o, const char *name)
{
	char *buf = mem_alloc(MIB);
	double start = work_now();
	int fd = open_big(o, O_RDONLY);
	uint64_t bytes = 0;
	ssize_t n;

	while ((n = read(fd, buf, MIB)) > 0)
		bytes += (uint64_t)n;
	if (n < 0 || bytes != o->mib * MIB)
		work_die("read");
	close(fd);
	work_report(name, (double)o->mib / (work_now() - start), "MiB/s");
	free(buf);
}

static void read_page(struct work_thread *t, uint64_t i)
{
	char buf[WORK_PAGE];

	(void)i;
	if (pread(t->fd, buf, sizeof(buf), any_page(t)) != WORK_PAGE)
		work_die("pread");
}

static void rand_read(const struct work_options *o, const char *name, unsigned threads)
{
	struct work_thread t[WORK_THREADS];

	work_drop_caches(3);
	for (unsigned i = 0; i < threads; i++) {
		t[i] = (struct work_thread){ .options = o, .number = i, .random = 7919 * (i + 1), .fd = open_big(o, O_RDONLY) };
		(void)posix_fadvise(t[i].fd, 0, 0, POSIX_FADV_RANDOM);
	}
	(void)work_run(name, t, threads, read_page, 0);
	for (unsigned i = 0; i < threads; i++)
		close(t[i].fd);
}

static void rand_write(const struct work_options *o)
{
	struct work_thread t = { .options = o, .random = 104729 };
	char page[WORK_PAGE];
	uint64_t done = 0;
	double start = work_now();
	int fd = open_big(o, O_WRONLY);

	memset(page, 'r', sizeof(page));
	while (work_now() < start + o->seconds) {
		if (pwrite(fd, page, sizeof(page), any_page(&t)) != WORK_PAGE)
			work_die("pwrite");
		done++;
	}
	if (fsync(fd) < 0 || close(fd) < 0)
		work_die("fsync");
	work_report("rand_write", (double)done * WORK_PAGE / MIB / (work_now() - start), "MiB/s");
}

void work_bulk(const struct work_options *o)
{
	seq_write(o);
	work_drop_caches(3);
	seq_read(o, "seq_read_cold");
	seq_read(o, "seq_read_warm");
	rand_read(o, "rand_read_1", 1);
	rand_read(o, "rand_read_8", WORK_THREADS);
	rand_write(o);
}

/* ---- SQLite ------------------------------------------------------------------------------------------------ */

static void sql(sqlite3 *db, const char *text)
{
	char *why = NULL;

	if (sqlite3_exec(db, text, NULL, NULL, &why) != SQLITE_OK) {
		fprintf(stderr, "work: %s: %s\n", text, why);
		exit(1);
	}
}

static void insert(struct work_thread *t, uint64_t i)
{
	(void)i;
	sql(t->own, "INSERT INTO t(v) VALUES(randomblob(100))");
}

void work_sqlite(const struct work_options *o)
{
	struct work_thread t = { .options = o };
	sqlite3 *db = NULL;
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s/data.db", o->dir);
	if (sqlite3_open(path, &db) != SQLITE_OK)
		work_die(path);
	sql(db, "PRAGMA journal_mode=DELETE");
	sql(db, "PRAGMA synchronous=FULL");
	sql(db, "CREATE TABLE t(k INTEGER PRIMARY KEY, v BLOB)");
	t.own = db;
	(void)work_run("sqlite_insert", &t, 1, insert, 0);
	sqlite3_close(db);
}

/* ---- the machine ------------------------------------------------------------------------------------------- */

static void overwrite_sync(struct work_thread *t, uint64_t i)
{
	char page[WORK_PAGE];

	memset(page, (int)i, sizeof(page));
	if (pwrite(t->fd, page, sizeof(page), (off_t)(i % 4096 * WORK_PAGE)) != WORK_PAGE || fdatasync(t->fd) < 0)
		work_die("fdatasync");
}

static void *echo(void *arg)
{
	int fd = *(int *)arg;
	char buf[64];

	while (recv(fd, buf, sizeof(buf), MSG_WAITALL) == sizeof(buf))
		if (send(fd, buf, sizeof(buf), MSG_NOSIGNAL) != sizeof(buf))
			break;
	return NULL;
}

static void round_trip(struct work_thread *t, uint64_t i)
{
	char buf[64] = { (char)i };

	if (send(t->fd, buf, sizeof(buf), MSG_NOSIGNAL) != sizeof(buf) ||
	    recv(t->fd, buf, sizeof(buf), MSG_WAITALL) != sizeof(buf))
		work_die("round trip");
}

static void run_echo(const struct work_options *o, const char *name, int ours, int theirs)
{
	struct work_options brief = *o;
	struct work_thread t = { .options = &brief, .fd = ours };
	pthread_t thread;

	brief.seconds = min_u64((uint64_t)(o->seconds * 1000), 1000) / 1000.0;
	if (pthread_create(&thread, NULL, echo, &theirs) != 0)
		work_die("pthread_create");
	(void)work_run(name, &t, 1, round_trip, 0);
	shutdown(ours, SHUT_RDWR);
	pthread_join(thread, NULL);
	close(ours);
	close(theirs);
}

static void tcp_pair(int pair[2])
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int one = 1, l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	pair[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (l < 0 || pair[0] < 0 || bind(l, (struct sockaddr *)&a, len) < 0 || listen(l, 1) < 0 ||
	    getsockname(l, (struct sockaddr *)&a, &len) < 0 || connect(pair[0], (struct sockaddr *)&a, len) < 0)
		work_die("TCP over loopback");
	pair[1] = accept(l, NULL, NULL);
	if (pair[1] < 0)
		work_die("accept");
	(void)setsockopt(pair[0], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(pair[1], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	close(l);
}

void work_raw(const struct work_options *o)
{
	struct work_options brief = *o;
	struct work_thread t = { .options = &brief };
	char path[4096], *buf = mem_calloc(1, MIB);
	int pair[2];

	brief.seconds = min_u64((uint64_t)(o->seconds * 1000), 1000) / 1000.0;
	(void)snprintf(path, sizeof(path), "%s/raw", o->dir);
	t.fd = open(path, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0644);
	for (int i = 0; t.fd >= 0 && i < 16; i++)
		work_write_all(t.fd, buf, MIB);
	if (t.fd < 0 || fsync(t.fd) < 0)
		work_die(path);
	(void)work_run("raw_fdatasync", &t, 1, overwrite_sync, 0);
	close(t.fd);
	free(buf);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		work_die("socketpair");
	run_echo(o, "raw_unix_round", pair[0], pair[1]);
	tcp_pair(pair);
	run_echo(o, "raw_tcp_round", pair[0], pair[1]);
}
