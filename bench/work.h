/*
 * work.h - what people do to files, measured: threads that repeat one operation for a while, or a number of times.
 *
 * A work prints a line: name, value, unit, and where single operations are timed their p50 and p99 in ms.
 */
#ifndef BENCH_WORK_H
#define BENCH_WORK_H

#include "base/base.h"
#include "base/buf.h"

#define WORK_THREADS 8u       /* of the works that use several */
#define WORK_THREADS_MAX 256u
#define WORK_PAGE 4096u

struct work_options {
	const char *dir;
	double seconds;  /* a phase ends after that */
	uint64_t files;  /* ... or after so many operations of a thread; 0: only by time */
	uint64_t mib;    /* size of the large file */
};

struct work_thread {
	const struct work_options *options;
	unsigned number;
	int fd, dir_fd;
	uint64_t random;
	void *own; /* the work's */
};

/* One operation; it exits the process when it fails. */
typedef void (*work_fn)(struct work_thread *t, uint64_t i);

/* count: operations of each thread at most, also when time is left; 0: options->files. Returns how many thread 0 did. */
uint64_t work_run(const char *name, struct work_thread *threads, unsigned n, work_fn fn, uint64_t count);
/* A work that moves bytes and is timed as a whole. */
void work_report(const char *name, double value, const char *unit);
double work_now(void); /* seconds */
void work_die(const char *what);
/* level as in /proc/sys/vm/drop_caches, after sync(2). */
void work_drop_caches(int level);
void work_write_all(int fd, const void *data, size_t len);

/* work_small.c */
void work_small(const struct work_options *o);   /* files of 4 KiB, one thread: create, stat, rename, unlink, mkdir */
void work_many(const struct work_options *o);    /* creates by eight threads */
void work_durable(const struct work_options *o); /* 4 KiB and fsync, atomic replace */
void work_tree(const struct work_options *o);    /* not measured: a source tree of options->files files */
/* work_bulk.c */
void work_bulk(const struct work_options *o);    /* a large file: sequential, random */
void work_sqlite(const struct work_options *o);
void work_raw(const struct work_options *o);     /* the machine: fdatasync, round trips */

#endif
