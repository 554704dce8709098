/* work_run.c - threads that repeat an operation; see work.h. */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/work.h"

struct runner {
	struct work_thread *t;
	work_fn fn;
	pthread_t thread;
	pthread_barrier_t *start;
	double until;
	uint64_t count, done;
	uint32_t *us; /* of each operation */
	size_t cap;
};

void work_die(const char *what)
{
	perror(what);
	exit(1);
}

double work_now(void)
{
	return (double)clock_boot_ns() / 1e9;
}

void work_write_all(int fd, const void *data, size_t len)
{
	if (write(fd, data, len) != (ssize_t)len)
		work_die("write");
}

void work_drop_caches(int level)
{
	char text[2] = { (char)('0' + level), '\n' };
	int fd;

	sync();
	fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, 2) != 2)
		work_die("/proc/sys/vm/drop_caches");
	close(fd);
}

static void note(struct runner *r, uint64_t us)
{
	if (r->done == r->cap) {
		r->cap = r->cap ? 2 * r->cap : 65536;
		r->us = mem_realloc(r->us, r->cap * sizeof(*r->us));
	}
	r->us[r->done++] = (uint32_t)min_u64(us, UINT32_MAX);
}

static void *runner_main(void *arg)
{
	struct runner *r = arg;
	double until;

	(void)pthread_barrier_wait(r->start);
	until = work_now() + r->t->options->seconds;
	while ((r->count == 0 || r->done < r->count) && work_now() < until) {
		uint64_t start = clock_boot_ns();

		r->fn(r->t, r->done);
		note(r, (clock_boot_ns() - start) / 1000);
	}
	return NULL;
}

static int by_size(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void print_run(const char *name, struct runner *r, unsigned n, double took)
{
	uint32_t *all;
	size_t count = 0, at = 0;

	for (unsigned i = 0; i < n; i++)
		count += r[i].done;
	all = mem_calloc(count + 1, sizeof(*all));
	for (unsigned i = 0; i < n; i++) {
		if (r[i].done > 0)
			memcpy(all + at, r[i].us, r[i].done * sizeof(*all));
		at += r[i].done;
	}
	qsort(all, count, sizeof(*all), by_size);
	printf("%s %.1f /s %.3f %.3f\n", name, (double)count / took, all[count / 2] / 1000.0,
	       all[count * 99 / 100] / 1000.0);
	(void)fflush(stdout);
	free(all);
}

uint64_t work_run(const char *name, struct work_thread *threads, unsigned n, work_fn fn, uint64_t count)
{
	struct runner runners[WORK_THREADS_MAX] = { { .t = NULL } };
	pthread_barrier_t start;
	double began;
	uint64_t first;

	assert(n <= WORK_THREADS_MAX);
	(void)pthread_barrier_init(&start, NULL, n + 1);
	for (unsigned i = 0; i < n; i++) {
		runners[i] = (struct runner){ .t = &threads[i], .fn = fn, .start = &start,
					      .count = count ? count : threads[i].options->files };
		if (pthread_create(&runners[i].thread, NULL, runner_main, &runners[i]) != 0)
			work_die("pthread_create");
	}
	(void)pthread_barrier_wait(&start);
	began = work_now();
	for (unsigned i = 0; i < n; i++)
		pthread_join(runners[i].thread, NULL);
	print_run(name, runners, n, work_now() - began);
	first = runners[0].done;
	for (unsigned i = 0; i < n; i++)
		free(runners[i].us);
	(void)pthread_barrier_destroy(&start);
	return first;
}

void work_report(const char *name, double value, const char *unit)
{
	printf("%s %.1f %s\n", name, value, unit);
	(void)fflush(stdout);
}
