/* reads.c - reads FILE COUNT: how long stat() and an uncached read of 4 KiB take, one line each: name, median in us. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/buf.h"

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
	long count = argc == 3 ? strtol(argv[2], NULL, 10) : 0;
	int fd = argc == 3 ? open(argv[1], O_RDONLY | O_DIRECT | O_CLOEXEC) : -1;
	uint64_t *took = mem_calloc((size_t)(count > 0 ? count : 1), sizeof(*took));
	void *page = NULL;

	if (count <= 0 || fd < 0 || posix_memalign(&page, 4096, 4096) != 0) {
		fprintf(stderr, "Usage: reads FILE COUNT\n");
		return 2;
	}
	for (int what = 0; what < 2; what++) {
		for (long i = -count / 10; i < count; i++) { /* the first tenth warms up */
			uint64_t start = clock_boot_ns();
			struct stat st;

			if (what == 0 ? stat(argv[1], &st) < 0 : pread(fd, page, 4096, 0) < 0) {
				perror("reads");
				return 1;
			}
			if (i >= 0)
				took[i] = clock_boot_ns() - start;
		}
		qsort(took, (size_t)count, sizeof(*took), by_size);
		printf("%s %.1f\n", what == 0 ? "stat" : "read", (double)took[count / 2] / 1000);
	}
	free(page);
	free(took);
	close(fd);
	return 0;
}
