/*
 * calls.c - single system calls that no common program makes as they are wanted here.
 *
 *   calls copy SOURCE TARGET    copies all by copy_file_range(2); prints how many calls it took
 *   calls tmpfile DIRECTORY     prints what open(2) with O_TMPFILE says: an errno's name, or ok
 *   calls handle PATH           prints the file's handle in hexadecimal digits
 *   calls open-handle DIRECTORY HANDLE
 *                               prints the number of the inode that it leads to in the directory's file
 *                               system, or an errno's name
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "base/buf.h"

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

/* Owned by the caller. */
static struct file_handle *handle_new(void)
{
	struct file_handle *h = mem_calloc(1, sizeof(*h) + MAX_HANDLE_SZ);

	h->handle_bytes = MAX_HANDLE_SZ;
	return h;
}

/* Type and bytes, which is all that open_by_handle_at(2) needs. */
static int print_handle(const char *path)
{
	struct file_handle *h = handle_new();
	int mount_id, ret = name_to_handle_at(AT_FDCWD, path, h, &mount_id, 0);

	if (ret < 0)
		perror("calls: name_to_handle_at");
	else
		printf("%02x", (unsigned)h->handle_type);
	for (unsigned i = 0; ret == 0 && i < h->handle_bytes; i++)
		printf("%02x", h->f_handle[i]);
	putchar('\n');
	free(h);
	return ret < 0;
}

static int open_handle(const char *dir, const char *text)
{
	int at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct file_handle *h = handle_new();
	size_t len = strlen(text) / 2;
	struct stat st;

	for (size_t i = 0; i < len && i <= MAX_HANDLE_SZ; i++) {
		const char digits[3] = { text[2 * i], text[2 * i + 1], '\0' };
		unsigned char byte = (unsigned char)strtoul(digits, NULL, 16);

		if (i == 0)
			h->handle_type = byte;
		else
			h->f_handle[i - 1] = byte;
		h->handle_bytes = (unsigned)i;
	}
	int fd = open_by_handle_at(at, h, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0)
		printf("%s\n", strerrorname_np(errno));
	else
		printf("%lu\n", (unsigned long)st.st_ino);
	free(h);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "copy") == 0)
		return copy(argv[2], argv[3]);
	if (argc == 3 && strcmp(argv[1], "tmpfile") == 0)
		return tmpfile_in(argv[2]);
	if (argc == 3 && strcmp(argv[1], "handle") == 0)
		return print_handle(argv[2]);
	if (argc == 4 && strcmp(argv[1], "open-handle") == 0)
		return open_handle(argv[2], argv[3]);
	return 2;
}
