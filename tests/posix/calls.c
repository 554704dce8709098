/*
 * calls.c - single system calls that no common program makes as they are wanted here.
 *
 *   calls copy SOURCE TARGET    copies all by copy_file_range(2); prints how many calls it took
 *   calls tmpfile DIRECTORY     prints what open(2) with O_TMPFILE says: an errno's name, or ok
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"

static int copy(const char *source, const char *target)
{
	int in = open(source, O_RDONLY | O_CLOEXEC);
	int out = open(target, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	unsigned calls = 0;
	struct stat st;
	ssize_t n = -1;

	if (in < 0 || out < 0 || fstat(in, &st) < 0) {
		perror("calls: open");
		return 1;
	}
	for (off_t left = st.st_size; left > 0; left -= n, calls++) {
		n = copy_file_range(in, NULL, out, NULL, (size_t)left, 0);
		if (n <= 0)
			break;
	}
	if (n < 0)
		perror("calls: copy_file_range");
	printf("%u\n", calls);
	return n > 0 ? 0 : 1;
}

static int tmpfile_in(const char *dir)
{
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	printf("%s\n", fd < 0 ? strerrorname_np(errno) : "ok");
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "copy") == 0)
		return copy(argv[2], argv[3]);
	if (argc == 3 && strcmp(argv[1], "tmpfile") == 0)
		return tmpfile_in(argv[2]);
	return 2;
}
