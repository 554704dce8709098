/*
 * append_writer FILE ID COUNT PAUSE_MS - appends COUNT numbered records of one size with O_APPEND, one
 * write(2) each; any failed or short call ends it with 1. Prints the longest single call in ms.
 */
#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"

int main(int argc, char **argv)
{
	char record[64];
	uint64_t worst_ms = 0;
	int fd;

	if (argc != 5)
		return 2;
	fd = open(argv[1], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0) {
		perror("open");
		return 1;
	}
	for (long i = 0, n = strtol(argv[3], NULL, 10); i < n; i++) {
		uint64_t start_ms = clock_boot_ms();
		int len = snprintf(record, sizeof(record), "writer %s record %08ld ................\n", argv[2], i);
		ssize_t ret = write(fd, record, (size_t)len);

		if (ret != len) {
			fprintf(stderr, "record %ld: write returned %zd: %s\n", i, ret, strerror(errno));
			return 1;
		}
		if (clock_boot_ms() - start_ms > worst_ms)
			worst_ms = clock_boot_ms() - start_ms;
		clock_sleep_ms(strtoull(argv[4], NULL, 10));
	}
	printf("writer %s: longest write %llu ms\n", argv[2], (unsigned long long)worst_ms);
	return close(fd) == 0 ? 0 : 1;
}
