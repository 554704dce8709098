/* store_io.c - the table that programs use. */
#include "store/store_io.h"

#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/io.h"

static int posix_create(int dir_fd, const char *name)
{
	int fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	return fd < 0 ? -errno : fd;
}

static int posix_fdatasync(int fd)
{
	return fdatasync(fd) < 0 ? -errno : 0;
}

static int posix_rename(int dir_fd, const char *from, const char *to)
{
	return renameat(dir_fd, from, dir_fd, to) < 0 ? -errno : 0;
}

static int posix_unlink(int dir_fd, const char *name)
{
	return unlinkat(dir_fd, name, 0) < 0 ? -errno : 0;
}

static int posix_random(void *out, size_t len)
{
	ssize_t n;

	do
		n = getrandom(out, len, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EIO; /* up to 256 bytes come whole */
}

const struct store_io store_io_posix = {
	.create = posix_create,
	.pwrite = io_pwrite_all,
	.fdatasync = posix_fdatasync,
	.fsync_dir = io_fsync_dir,
	.rename = posix_rename,
	.unlink = posix_unlink,
	.random = posix_random,
};
