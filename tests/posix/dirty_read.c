/*
 * dirty_read.c - nobody reads what is not written yet.
 *
 * usage: dirty_read FILE_A FILE_B SECONDS
 *
 * FILE_A and FILE_B are one file on two mounts. A writer counts up in it through A. A reader looks through A,
 * then through B: what A told, B must know. Prints how often each looked; exit 1 when B was behind A.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static atomic_bool over;
static atomic_uint_fast64_t written;

static int open_or_die(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	if (fd < 0) {
		perror(path);
		exit(2);
	}
	return fd;
}

static void *write_on(void *arg)
{
	int fd = *(int *)arg;

	for (uint64_t n = written + 1; !over; n++) {
		if (pwrite(fd, &n, sizeof(n), 0) != sizeof(n)) {
			perror("pwrite");
			exit(2);
		}
		written = n;
	}
	return NULL;
}

static uint64_t look(int fd)
{
	uint64_t n = 0;

	if (pread(fd, &n, sizeof(n), 0) < 0) {
		perror("pread");
		exit(2);
	}
	return n;
}

int main(int argc, char **argv)
{
	int writer, a, b;
	pthread_t thread;
	uint64_t looks = 0, behind = 0;
	time_t end;

	if (argc != 4) {
		fprintf(stderr, "usage: dirty_read FILE_A FILE_B SECONDS\n");
		return 2;
	}
	writer = open_or_die(argv[1], O_RDWR);
	a = open_or_die(argv[1], O_RDONLY);
	b = open_or_die(argv[2], O_RDONLY);
	written = look(a); /* goes on where the last run ended */
	end = time(NULL) + atoi(argv[3]);
	pthread_create(&thread, NULL, write_on, &writer);
	for (; time(NULL) < end; looks++) {
		uint64_t first = look(a);
		uint64_t then = look(b);

		behind += then < first;
	}
	over = true;
	pthread_join(thread, NULL);
	printf("%" PRIu64 " writes, %" PRIu64 " looks, %" PRIu64 " times the other mount was behind\n",
	       (uint64_t)written, looks, behind);
	return behind > 0;
}
