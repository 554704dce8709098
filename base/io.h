/* io.h - whole reads and writes, and the directory calls that crash safety needs. */
#ifndef BASE_IO_H
#define BASE_IO_H

#include <sys/types.h>
#include <sys/uio.h>

#include "base/base.h"
#include "base/buf.h"

/* All return 0 or a negative errno, restart on EINTR and finish partial transfers. */
int io_write_all(int fd, const void *data, size_t len);
int io_pwrite_all(int fd, const void *data, size_t len, off_t off);
int io_pwritev_all(int fd, struct iovec *iov, int count, off_t off); /* iov is consumed */
int io_pread_all(int fd, void *data, size_t len, off_t off);         /* -ENODATA on a short file */
int io_read_file(int dir_fd, const char *name, struct buf *out);     /* appends the whole file */
/* name.tmp, write, fsync, rename over name, fsync the directory. mode as in open(2). */
int io_replace_file(int dir_fd, const char *name, const void *data, size_t len, mode_t mode);
int io_fsync_dir(int dir_fd);
int io_mkdir_p(const char *path, mode_t mode);   /* like mkdir -p; existing directories are fine */
int io_remove_tree(int dir_fd, const char *name); /* like rm -rf; 0 when absent */
int io_set_nonblock(int fd, bool on);

#endif
