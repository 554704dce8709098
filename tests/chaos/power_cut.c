/*
 * power_cut DIR... - the file systems that hold the DIRs lose power: from now on every call there fails,
 * and nothing that was not synced reaches the disk (FS_IOC_SHUTDOWN, no flush of the journal). All are cut
 * before the first report. umount and mount bring what a machine finds after it.
 */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/base.h"

#define IOC_SHUTDOWN _IOR('X', 125, uint32_t)
#define NO_LOG_FLUSH 2u

int main(int argc, char **argv)
{
	int fds[16], errors[16], failed = 0;

	if (argc < 2 || argc > 1 + (int)ARRAY_SIZE(fds)) {
		fprintf(stderr, "usage: power_cut DIR... (at most %zu)\n", ARRAY_SIZE(fds));
		return 2;
	}
	for (int i = 1; i < argc; i++) {
		fds[i - 1] = open(argv[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fds[i - 1] < 0) {
			perror(argv[i]);
			return 1;
		}
	}
	for (int i = 0; i < argc - 1; i++) {
		uint32_t how = NO_LOG_FLUSH;

		errors[i] = ioctl(fds[i], IOC_SHUTDOWN, &how) < 0 ? errno : 0;
	}
	for (int i = 0; i < argc - 1; i++) {
		close(fds[i]);
		if (errors[i] != 0) {
			fprintf(stderr, "power_cut: %s: %s\n", argv[i + 1], strerror(errors[i]));
			failed = 1;
		}
	}
	return failed;
}
