/*
 * failover.c - writers on one mount, and the time without an answer when the leader is killed.
 *
 *   failover --kill=PID DIR     after --warm ms PID gets SIGKILL. Prints the milliseconds from then to the
 *                               first answer of a write that began when the process was gone.
 *   failover --seconds=S DIR    writes for S seconds. Prints writes, rate, and the longest one.
 *
 * Each thread writes a file of its own in DIR, one write(2) after the other; every eighth thread writes
 * 128 KiB each time, the others 64 bytes. A failed write ends it with 1.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/opt.h"

#define THREADS_MAX 64u
#define BIG (128u * 1024)
#define FILE_MAX (16u * 1024 * 1024)
#define PATIENCE_MS 60000u

static struct options {
	uint64_t pid, warm_ms, threads;
	double seconds;
	bool help;
} opt = { .warm_ms = 500, .threads = 4 };

static const struct opt opts[] = {
	{ .name = "kill",
	  .kind = OPT_U64,
	  .offset = offsetof(struct options, pid),
	  .value = "PID",
	  .max = INT32_MAX,
	  .help = "the process to kill" },
	{ .name = "warm",
	  .kind = OPT_U64,
	  .offset = offsetof(struct options, warm_ms),
	  .value = "MS",
	  .def = "500",
	  .help = "how long to write before" },
	{ .name = "threads",
	  .kind = OPT_U64,
	  .offset = offsetof(struct options, threads),
	  .value = "N",
	  .def = "4",
	  .min = 1,
	  .max = THREADS_MAX,
	  .help = "writers" },
	{ .name = "seconds",
	  .kind = OPT_SECONDS,
	  .offset = offsetof(struct options, seconds),
	  .value = "S",
	  .help = "write for so long and kill nobody" },
	{ .name = "help",
	  .short_name = 'h',
	  .kind = OPT_FLAG,
	  .offset = offsetof(struct options, help),
	  .help = "this text" },
};

struct writer {
	pthread_t thread;
	int fd;
	size_t size;
	uint64_t writes, worst_ns;
};

static const char *dir;
static struct writer writers[THREADS_MAX];
static atomic_bool stop, failed;
static atomic_uint_fast64_t gone_ns;  /* when the killed process was gone; 0: not yet */
static atomic_uint_fast64_t first_ns; /* first answer to a write that began later */

static void note_write(struct writer *w, uint64_t start_ns, uint64_t end_ns)
{
	uint64_t gone = atomic_load(&gone_ns), none = 0;

	w->writes++;
	w->worst_ns = max_u64(w->worst_ns, end_ns - start_ns);
	if (gone != 0 && start_ns >= gone)
		atomic_compare_exchange_strong(&first_ns, &none, end_ns);
}

static void *writer_main(void *arg)
{
	static const char data[BIG];
	struct writer *w = arg;
	uint64_t offset = 0;

	while (!atomic_load(&stop)) {
		uint64_t start_ns = clock_boot_ns();
		ssize_t ret = pwrite(w->fd, data, w->size, (off_t)offset);

		if (ret != (ssize_t)w->size) {
			fprintf(stderr, "failover: a write returned %zd: %s\n", ret,
				strerror(errno));
			atomic_store(&failed, true);
			atomic_store(&stop, true);
		} else {
			note_write(w, start_ns, clock_boot_ns());
		}
		offset = offset + 2 * w->size <= FILE_MAX ? offset + w->size : 0;
	}
	return NULL;
}

static bool start_writers(void)
{
	for (size_t i = 0; i < opt.threads; i++) {
		struct writer *w = &writers[i];
		char path[4096];

		snprintf(path, sizeof(path), "%s/w%zu", dir, i);
		w->size = i % 8 == 7 ? BIG : 64;
		w->fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		if (w->fd < 0 || pthread_create(&w->thread, NULL, writer_main, w) != 0) {
			perror(path);
			return false;
		}
	}
	return true;
}

static void join_writers(void)
{
	atomic_store(&stop, true);
	for (size_t i = 0; i < opt.threads; i++)
		pthread_join(writers[i].thread, NULL);
}

static int kill_one(void)
{
	int fd = (int)syscall(SYS_pidfd_open, (pid_t)opt.pid, 0);
	struct pollfd gone = { .fd = fd, .events = POLLIN };
	uint64_t killed_ns;

	if (fd < 0) {
		perror("pidfd_open");
		return 1;
	}
	clock_sleep_ms(opt.warm_ms);
	killed_ns = clock_boot_ns();
	if (kill((pid_t)opt.pid, SIGKILL) < 0 || poll(&gone, 1, PATIENCE_MS) != 1) {
		perror("kill");
		return 1;
	}
	atomic_store(&gone_ns, clock_boot_ns());
	while (atomic_load(&first_ns) == 0 && !atomic_load(&failed)) {
		clock_sleep_ms(1);
		if (clock_boot_ns() - killed_ns > PATIENCE_MS * 1000000ull) {
			fprintf(stderr, "failover: no write was answered for a minute\n");
			_exit(1);
		}
	}
	join_writers();
	close(fd);
	if (!atomic_load(&failed))
		printf("%.1f\n", (double)(atomic_load(&first_ns) - killed_ns) / 1e6);
	return atomic_load(&failed);
}

static int write_on(void)
{
	uint64_t until = clock_boot_ns() + (uint64_t)(opt.seconds * 1e9), writes = 0, worst_ns = 0;

	while (clock_boot_ns() < until && !atomic_load(&failed))
		clock_sleep_ms(20);
	join_writers();
	for (size_t i = 0; i < opt.threads; i++) {
		writes += writers[i].writes;
		worst_ns = max_u64(worst_ns, writers[i].worst_ns);
	}
	printf("%llu writes, %.0f a second, the longest %.0f ms\n", (unsigned long long)writes,
	       (double)writes / opt.seconds, (double)worst_ns / 1e6);
	return atomic_load(&failed);
}

int main(int argc, char **argv)
{
	struct err err = ERR_INIT;
	int count;

	if (opt_parse_argv(opts, ARRAY_SIZE(opts), argc, argv, &opt, &count, &err) < 0) {
		err_print(&err, "failover");
		return 2;
	}
	if (opt.help || count != 1 || (opt.pid == 0) == (opt.seconds == 0)) {
		printf("usage: failover --kill=PID|--seconds=S [OPTION]... DIR\n\n");
		opt_print_help(opts, ARRAY_SIZE(opts), stdout);
		return opt.help ? 0 : 2;
	}
	dir = argv[1];
	if (!start_writers())
		return 1;
	return opt.pid ? kill_one() : write_on();
}
