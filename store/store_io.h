/*
 * store_io.h - the calls through which log and superblock reach the disk: a table, so that tests
 * can count them, and make each fail in turn.
 *
 * Reading is not in it: a failed read changes nothing. All return 0 (create: a descriptor) or a
 * negative errno. None is retried after an error: the store is poisoned instead.
 */
#ifndef STORE_STORE_IO_H
#define STORE_STORE_IO_H

#include <sys/types.h>

#include "base/base.h"

struct store_io {
	int (*create)(int dir_fd, const char *name); /* must not exist; read and write, 0600 */
	int (*pwrite)(int fd, const void *data, size_t len, off_t off); /* all of it */
	int (*fdatasync)(int fd);
	int (*fsync_dir)(int dir_fd);
	int (*rename)(int dir_fd, const char *from, const char *to);
	int (*unlink)(int dir_fd, const char *name);
	int (*random)(void *out, size_t len); /* segment uuids */
};

extern const struct store_io store_io_posix;

#endif
