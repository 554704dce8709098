/*
 * sim_calls.c - the system calls of the product, below /sim/ and on descriptors from SIM_FD_BASE on.
 * All else goes to libc. Each __wrap_ below has its name in the Makefile's SIM_WRAPPED.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/hash.h"
#include "tests/sim/sim_disk_internal.h"

struct handle {
	struct sim_file file;
	uint64_t pos;
};

/* A DIR of ours; which ones are is known by the list alone. */
struct dir_stream {
	struct list link;
	int fd;
	struct dirent *entries;
	size_t count, next;
};

static struct handle **handles; /* by descriptor - SIM_FD_BASE */
static size_t handle_cap;
static struct list streams = { &streams, &streams };

static int result(int ret)
{
	if (ret >= 0)
		return ret;
	errno = -ret;
	return -1;
}

static ssize_t size_result(ssize_t ret)
{
	if (ret >= 0)
		return ret;
	errno = (int)-ret;
	return -1;
}

/* ---- descriptors ------------------------------------------------------------------------------------ */

static bool ours(int fd)
{
	return fd >= SIM_FD_BASE;
}

static struct handle *handle_of(int fd)
{
	size_t at = (size_t)(fd - SIM_FD_BASE);

	return ours(fd) && at < handle_cap ? handles[at] : NULL;
}

static int handle_add(const struct sim_file *file)
{
	struct handle *h = mem_calloc(1, sizeof(*h));
	size_t at = 0;

	h->file = *file;
	while (at < handle_cap && handles[at])
		at++;
	if (at == handle_cap) {
		size_t cap = handle_cap * 2 + 64;

		handles = mem_realloc(handles, cap * sizeof(*handles));
		memset(handles + handle_cap, 0, (cap - handle_cap) * sizeof(*handles));
		handle_cap = cap;
	}
	handles[at] = h;
	return SIM_FD_BASE + (int)at;
}

static void handle_remove(int fd)
{
	struct handle *h = handle_of(fd);

	if (h->file.inode->flock_owner == h)
		h->file.inode->flock_owner = NULL;
	handles[fd - SIM_FD_BASE] = NULL;
	sim_file_close(&h->file);
	free(h);
}

static void stream_free(struct dir_stream *s)
{
	list_del(&s->link);
	free(s->entries);
	free(s);
}

void sim_fds_forget(struct sim_disk *d)
{
	list_for_each_safe (it, &streams) {
		struct dir_stream *s = list_entry(it, struct dir_stream, link);

		if (handle_of(s->fd)->file.disk == d)
			stream_free(s);
	}
	for (size_t i = 0; i < handle_cap; i++)
		if (handles[i] && handles[i]->file.disk == d)
			handle_remove(SIM_FD_BASE + (int)i);
	if (!sim_disk_next(NULL) || (sim_disk_next(NULL) == d && !sim_disk_next(d))) {
		free(handles); /* the last disk */
		handles = NULL;
		handle_cap = 0;
	}
}

/* ---- paths ------------------------------------------------------------------------------------------ */

enum whose { LIBC, SIM_ROOT, SIM_DISK, SIM_NOWHERE };

/* Where a path leads: *dir and *rest say from where to walk, in a disk's own tree. */
static enum whose route(int dir_fd, const char *path, struct sim_inode **dir, const char **rest)
{
	size_t root = strlen(SIM_DISK_ROOT);
	struct sim_disk *d;

	if (path[0] != '/' && ours(dir_fd)) {
		struct handle *h = handle_of(dir_fd);

		if (!h)
			return SIM_NOWHERE;
		*dir = h->file.inode;
		*rest = path;
		return SIM_DISK;
	}
	if (strncmp(path, SIM_DISK_ROOT, root) != 0 || (path[root] != '/' && path[root] != '\0'))
		return LIBC;
	if (path[root + strspn(path + root, "/")] == '\0')
		return SIM_ROOT;
	d = sim_disk_of(path, rest);
	if (!d)
		return SIM_NOWHERE;
	*dir = d->root;
	return SIM_DISK;
}

/* A directory's descriptor of a dead process leads nowhere; nor does any path of a dead disk. */
static int check_at(int dir_fd, const char *path, const struct sim_inode *dir)
{
	if (path[0] != '/' && ours(dir_fd))
		return sim_file_check(&handle_of(dir_fd)->file);
	return dir->disk->dead ? -EIO : 0;
}

/* ---- opening ---------------------------------------------------------------------------------------- */

static int open_at(struct sim_inode *dir, const char *path, int flags)
{
	struct sim_file file;
	int ret = sim_name_open(dir, path, flags, &file);

	return ret < 0 ? ret : handle_add(&file);
}

static int sim_open(int dir_fd, const char *path, int flags, bool *libc)
{
	struct sim_inode *dir;
	const char *rest;
	int ret;

	*libc = false;
	switch (route(dir_fd, path, &dir, &rest)) {
	case LIBC:
		*libc = true;
		return 0;
	case SIM_DISK:
		ret = check_at(dir_fd, path, dir);
		return result(ret < 0 ? ret : open_at(dir, rest, flags));
	default:
		return result(-ENOENT);
	}
}

int __real_open(const char *path, int flags, ...);
int __real_openat(int dir_fd, const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_openat(int dir_fd, const char *path, int flags, ...);

int __wrap_open(const char *path, int flags, ...)
{
	va_list args;
	mode_t mode = 0;
	bool libc;
	int fd = sim_open(AT_FDCWD, path, flags, &libc);

	va_start(args, flags);
	if (flags & O_CREAT)
		mode = va_arg(args, mode_t);
	va_end(args);
	return libc ? __real_open(path, flags, mode) : fd;
}

int __wrap_openat(int dir_fd, const char *path, int flags, ...)
{
	va_list args;
	mode_t mode = 0;
	bool libc;
	int fd = sim_open(dir_fd, path, flags, &libc);

	va_start(args, flags);
	if (flags & O_CREAT)
		mode = va_arg(args, mode_t);
	va_end(args);
	return libc ? __real_openat(dir_fd, path, flags, mode) : fd;
}

int __real_close(int fd);
int __wrap_close(int fd);

int __wrap_close(int fd)
{
	if (!ours(fd))
		return __real_close(fd);
	if (!handle_of(fd))
		return result(-EBADF);
	handle_remove(fd);
	return 0;
}

/* ---- bytes ------------------------------------------------------------------------------------------- */

#define OURS_OR_LIBC(fd, h, call)                                                                  \
	struct handle *h = handle_of(fd);                                                          \
	if (!ours(fd))                                                                             \
		return call;                                                                       \
	if (!h)                                                                                    \
	return result(-EBADF)

static bool may(const struct handle *h, int not_mode)
{
	return (h->file.flags & O_ACCMODE) != not_mode;
}

static ssize_t handle_read(struct handle *h, void *data, size_t len, uint64_t off)
{
	if (!may(h, O_WRONLY))
		return -EBADF;
	return h->file.inode->is_dir ? -EISDIR : sim_file_read(&h->file, data, len, off);
}

static ssize_t handle_write(struct handle *h, const void *data, size_t len, uint64_t off)
{
	if (!may(h, O_RDONLY))
		return -EBADF;
	if (h->file.flags & O_APPEND)
		off = h->file.inode->size;
	return sim_file_write(&h->file, data, len, off);
}

ssize_t __real_read(int fd, void *data, size_t len);
ssize_t __wrap_read(int fd, void *data, size_t len);
ssize_t __wrap_read(int fd, void *data, size_t len)
{
	OURS_OR_LIBC(fd, h, __real_read(fd, data, len));
	ssize_t n = handle_read(h, data, len, h->pos);

	if (n > 0)
		h->pos += (uint64_t)n;
	return size_result(n);
}

ssize_t __real_write(int fd, const void *data, size_t len);
ssize_t __wrap_write(int fd, const void *data, size_t len);
ssize_t __wrap_write(int fd, const void *data, size_t len)
{
	OURS_OR_LIBC(fd, h, __real_write(fd, data, len));
	uint64_t at = h->file.flags & O_APPEND ? h->file.inode->size : h->pos;
	ssize_t n = handle_write(h, data, len, at);

	if (n > 0)
		h->pos = at + (uint64_t)n;
	return size_result(n);
}

ssize_t __real_pread(int fd, void *data, size_t len, off_t off);
ssize_t __wrap_pread(int fd, void *data, size_t len, off_t off);
ssize_t __wrap_pread(int fd, void *data, size_t len, off_t off)
{
	OURS_OR_LIBC(fd, h, __real_pread(fd, data, len, off));
	return size_result(off < 0 ? -EINVAL : handle_read(h, data, len, (uint64_t)off));
}

ssize_t __real_pwrite(int fd, const void *data, size_t len, off_t off);
ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t off);
ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t off)
{
	OURS_OR_LIBC(fd, h, __real_pwrite(fd, data, len, off));
	return size_result(off < 0 ? -EINVAL : handle_write(h, data, len, (uint64_t)off));
}

ssize_t __real_pwritev(int fd, const struct iovec *iov, int count, off_t off);
ssize_t __wrap_pwritev(int fd, const struct iovec *iov, int count, off_t off);
ssize_t __wrap_pwritev(int fd, const struct iovec *iov, int count, off_t off)
{
	OURS_OR_LIBC(fd, h, __real_pwritev(fd, iov, count, off));
	struct buf all = BUF_INIT;
	ssize_t n;

	for (int i = 0; i < count; i++)
		buf_put(&all, iov[i].iov_base, iov[i].iov_len);
	n = off < 0 ? -EINVAL : handle_write(h, all.data, all.len, (uint64_t)off);
	buf_release(&all);
	return size_result(n);
}

ssize_t __real_preadv(int fd, const struct iovec *iov, int count, off_t off);
ssize_t __wrap_preadv(int fd, const struct iovec *iov, int count, off_t off);
ssize_t __wrap_preadv(int fd, const struct iovec *iov, int count, off_t off)
{
	OURS_OR_LIBC(fd, h, __real_preadv(fd, iov, count, off));
	ssize_t done = 0;

	if (off < 0)
		return result(-EINVAL);
	for (int i = 0; i < count; i++) {
		ssize_t n = handle_read(h, iov[i].iov_base, iov[i].iov_len, (uint64_t)(off + done));

		if (n < 0)
			return size_result(done > 0 ? done : n);
		done += n;
		if ((size_t)n < iov[i].iov_len)
			break;
	}
	return done;
}

off_t __real_lseek(int fd, off_t off, int whence);
off_t __wrap_lseek(int fd, off_t off, int whence);
off_t __wrap_lseek(int fd, off_t off, int whence)
{
	OURS_OR_LIBC(fd, h, __real_lseek(fd, off, whence));
	off_t base = whence == SEEK_SET   ? 0
		     : whence == SEEK_CUR ? (off_t)h->pos
		     : whence == SEEK_END ? (off_t)h->file.inode->size
					  : -1;

	if (base < 0 || base + off < 0)
		return result(-EINVAL);
	h->pos = (uint64_t)(base + off);
	return base + off;
}

/* ---- syncing, size and space ------------------------------------------------------------------------- */

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
	OURS_OR_LIBC(fd, h, __real_fsync(fd));
	return result(h->file.inode->is_dir ? sim_dir_sync(&h->file) : sim_file_sync(&h->file));
}

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
	if (!ours(fd))
		return __real_fdatasync(fd);
	return __wrap_fsync(fd);
}

int __real_ftruncate(int fd, off_t size);
int __wrap_ftruncate(int fd, off_t size);
int __wrap_ftruncate(int fd, off_t size)
{
	OURS_OR_LIBC(fd, h, __real_ftruncate(fd, size));
	if (size < 0 || !may(h, O_RDONLY))
		return result(-EINVAL);
	return result(sim_file_truncate(&h->file, (uint64_t)size));
}

int __real_fallocate(int fd, int mode, off_t off, off_t len);
int __wrap_fallocate(int fd, int mode, off_t off, off_t len);
int __wrap_fallocate(int fd, int mode, off_t off, off_t len)
{
	OURS_OR_LIBC(fd, h, __real_fallocate(fd, mode, off, len));
	if (off < 0 || len <= 0)
		return result(-EINVAL);
	if (!may(h, O_RDONLY))
		return result(-EBADF);
	if (mode == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE))
		return result(sim_file_punch(&h->file, (uint64_t)off, (uint64_t)len));
	if (mode != 0 && mode != FALLOC_FL_KEEP_SIZE)
		return result(-EOPNOTSUPP);
	return result(sim_file_allocate(&h->file, (uint64_t)off, (uint64_t)len, mode != 0));
}

static int fill_statvfs(const struct sim_disk *d, struct statvfs *vfs)
{
	uint64_t left = d->capacity_pages > d->used_pages ? d->capacity_pages - d->used_pages : 0;

	*vfs = (struct statvfs){
		.f_bsize = SIM_PAGE_SIZE,
		.f_frsize = SIM_PAGE_SIZE,
		.f_blocks = d->capacity_pages,
		.f_bfree = left,
		.f_bavail = left,
		.f_files = 1000000,
		.f_ffree = 1000000,
		.f_favail = 1000000,
		.f_namemax = SIM_NAME_MAX,
	};
	return d->dead ? -EIO : 0;
}

int __real_fstatvfs(int fd, struct statvfs *vfs);
int __wrap_fstatvfs(int fd, struct statvfs *vfs);
int __wrap_fstatvfs(int fd, struct statvfs *vfs)
{
	OURS_OR_LIBC(fd, h, __real_fstatvfs(fd, vfs));
	return result(sim_file_check(&h->file) < 0 ? -EIO : fill_statvfs(h->file.disk, vfs));
}

int __real_statvfs(const char *path, struct statvfs *vfs);
int __wrap_statvfs(const char *path, struct statvfs *vfs);
int __wrap_statvfs(const char *path, struct statvfs *vfs)
{
	struct sim_inode *dir, *inode;
	const char *rest;
	enum whose whose = route(AT_FDCWD, path, &dir, &rest);
	int ret;

	if (whose == LIBC)
		return __real_statvfs(path, vfs);
	ret = whose == SIM_DISK ? sim_lookup(dir, rest, &inode) : -ENOENT;
	return result(ret < 0 ? ret : fill_statvfs(dir->disk, vfs));
}

/* ---- locks ------------------------------------------------------------------------------------------- */

int __real_flock(int fd, int how);
int __wrap_flock(int fd, int how);
int __wrap_flock(int fd, int how)
{
	OURS_OR_LIBC(fd, h, __real_flock(fd, how));
	const void **owner = &h->file.inode->flock_owner;

	if (sim_file_check(&h->file) < 0)
		return result(-EIO);
	if ((how & ~LOCK_NB) == LOCK_UN) {
		*owner = *owner == h ? NULL : *owner;
		return 0;
	}
	assert((how & ~LOCK_NB) == LOCK_EX); /* all that the product asks for */
	if (*owner && *owner != h) {
		assert(how & LOCK_NB); /* who waited here would wait for ever */
		return result(-EWOULDBLOCK);
	}
	*owner = h;
	return 0;
}

/* ---- what is there ----------------------------------------------------------------------------------- */

static void fill_stat(const struct sim_inode *inode, struct stat *st)
{
	*st = (struct stat){
		.st_ino = inode->number,
		.st_mode = inode->is_dir ? S_IFDIR | 0700 : S_IFREG | 0600,
		.st_nlink = inode->is_dir ? inode->nlink + 1 : inode->nlink,
		.st_size = inode->is_dir ? SIM_PAGE_SIZE : (off_t)inode->size,
		.st_blksize = SIM_PAGE_SIZE,
	};
	for (size_t i = 0; i < inode->page_count; i++)
		if (inode->pages[i].allocated)
			st->st_blocks += SIM_PAGE_SIZE / 512;
}

int __real_fstat(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st)
{
	OURS_OR_LIBC(fd, h, __real_fstat(fd, st));
	if (sim_file_check(&h->file) < 0)
		return result(-EIO);
	fill_stat(h->file.inode, st);
	return 0;
}

static int sim_stat(int dir_fd, const char *path, struct stat *st, bool *libc)
{
	struct sim_inode *dir, *inode;
	const char *rest;
	int ret;

	*libc = false;
	switch (route(dir_fd, path, &dir, &rest)) {
	case LIBC:
		*libc = true;
		return 0;
	case SIM_ROOT:
		*st = (struct stat){ .st_mode = S_IFDIR | 0700, .st_nlink = 2 };
		return 0;
	case SIM_DISK:
		ret = check_at(dir_fd, path, dir);
		if (ret == 0)
			ret = sim_lookup(dir, rest, &inode);
		if (ret == 0)
			fill_stat(inode, st);
		return result(ret);
	default:
		return result(-ENOENT);
	}
}

int __real_stat(const char *path, struct stat *st);
int __wrap_stat(const char *path, struct stat *st);
int __wrap_stat(const char *path, struct stat *st)
{
	bool libc;
	int ret = sim_stat(AT_FDCWD, path, st, &libc);

	return libc ? __real_stat(path, st) : ret;
}

int __real_lstat(const char *path, struct stat *st);
int __wrap_lstat(const char *path, struct stat *st);
int __wrap_lstat(const char *path, struct stat *st)
{
	bool libc;
	int ret = sim_stat(AT_FDCWD, path, st, &libc);

	return libc ? __real_lstat(path, st) : ret;
}

int __real_fstatat(int dir_fd, const char *path, struct stat *st, int flags);
int __wrap_fstatat(int dir_fd, const char *path, struct stat *st, int flags);
int __wrap_fstatat(int dir_fd, const char *path, struct stat *st, int flags)
{
	bool libc;
	int ret = sim_stat(dir_fd, path, st, &libc);

	return libc ? __real_fstatat(dir_fd, path, st, flags) : ret;
}

int __real_faccessat(int dir_fd, const char *path, int mode, int flags);
int __wrap_faccessat(int dir_fd, const char *path, int mode, int flags);
int __wrap_faccessat(int dir_fd, const char *path, int mode, int flags)
{
	struct stat st;
	bool libc;
	int ret = sim_stat(dir_fd, path, &st, &libc);

	return libc ? __real_faccessat(dir_fd, path, mode, flags) : ret;
}

int __real_access(const char *path, int mode);
int __wrap_access(const char *path, int mode);
int __wrap_access(const char *path, int mode)
{
	struct stat st;
	bool libc;
	int ret = sim_stat(AT_FDCWD, path, &st, &libc);

	return libc ? __real_access(path, mode) : ret;
}

/* ---- names ------------------------------------------------------------------------------------------- */

static int sim_mkdir(int dir_fd, const char *path, bool *libc)
{
	struct sim_inode *dir;
	const char *rest;
	int ret;

	*libc = false;
	switch (route(dir_fd, path, &dir, &rest)) {
	case LIBC:
		*libc = true;
		return 0;
	case SIM_ROOT:
		return result(-EEXIST);
	case SIM_DISK:
		ret = check_at(dir_fd, path, dir);
		return result(ret < 0 ? ret : sim_name_mkdir(dir, rest));
	default:
		return result(-ENOENT);
	}
}

int __real_mkdir(const char *path, mode_t mode);
int __wrap_mkdir(const char *path, mode_t mode);
int __wrap_mkdir(const char *path, mode_t mode)
{
	bool libc;
	int ret = sim_mkdir(AT_FDCWD, path, &libc);

	return libc ? __real_mkdir(path, mode) : ret;
}

int __real_mkdirat(int dir_fd, const char *path, mode_t mode);
int __wrap_mkdirat(int dir_fd, const char *path, mode_t mode);
int __wrap_mkdirat(int dir_fd, const char *path, mode_t mode)
{
	bool libc;
	int ret = sim_mkdir(dir_fd, path, &libc);

	return libc ? __real_mkdirat(dir_fd, path, mode) : ret;
}

static int sim_unlink(int dir_fd, const char *path, bool is_dir, bool *libc)
{
	struct sim_inode *dir;
	const char *rest;
	enum whose whose = route(dir_fd, path, &dir, &rest);
	int ret = -ENOENT;

	*libc = whose == LIBC;
	if (whose == SIM_DISK) {
		ret = check_at(dir_fd, path, dir);
		if (ret == 0)
			ret = sim_name_unlink(dir, rest, is_dir);
	}
	return *libc ? 0 : result(ret);
}

int __real_unlink(const char *path);
int __wrap_unlink(const char *path);
int __wrap_unlink(const char *path)
{
	bool libc;
	int ret = sim_unlink(AT_FDCWD, path, false, &libc);

	return libc ? __real_unlink(path) : ret;
}

int __real_rmdir(const char *path);
int __wrap_rmdir(const char *path);
int __wrap_rmdir(const char *path)
{
	bool libc;
	int ret = sim_unlink(AT_FDCWD, path, true, &libc);

	return libc ? __real_rmdir(path) : ret;
}

int __real_unlinkat(int dir_fd, const char *path, int flags);
int __wrap_unlinkat(int dir_fd, const char *path, int flags);
int __wrap_unlinkat(int dir_fd, const char *path, int flags)
{
	bool libc;
	int ret = sim_unlink(dir_fd, path, flags & AT_REMOVEDIR, &libc);

	return libc ? __real_unlinkat(dir_fd, path, flags) : ret;
}

typedef int (*two_names_fn)(struct sim_inode *, const char *, struct sim_inode *, const char *);

static int sim_two_names(int from_fd, const char *from, int to_fd, const char *to, two_names_fn fn,
			 bool *libc)
{
	struct sim_inode *from_dir, *to_dir;
	const char *from_rest, *to_rest;
	enum whose a = route(from_fd, from, &from_dir, &from_rest);
	enum whose b = route(to_fd, to, &to_dir, &to_rest);
	int ret;

	*libc = a == LIBC && b == LIBC;
	if (*libc)
		return 0;
	if (a != SIM_DISK || b != SIM_DISK)
		return result(a == LIBC || b == LIBC ? -EXDEV : -ENOENT);
	ret = check_at(from_fd, from, from_dir);
	if (ret == 0)
		ret = check_at(to_fd, to, to_dir);
	return result(ret < 0 ? ret : fn(from_dir, from_rest, to_dir, to_rest));
}

int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to)
{
	bool libc;
	int ret = sim_two_names(AT_FDCWD, from, AT_FDCWD, to, sim_name_rename, &libc);

	return libc ? __real_rename(from, to) : ret;
}

int __real_renameat(int from_fd, const char *from, int to_fd, const char *to);
int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to);
int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	bool libc;
	int ret = sim_two_names(from_fd, from, to_fd, to, sim_name_rename, &libc);

	return libc ? __real_renameat(from_fd, from, to_fd, to) : ret;
}

int __real_link(const char *from, const char *to);
int __wrap_link(const char *from, const char *to);
int __wrap_link(const char *from, const char *to)
{
	bool libc;
	int ret = sim_two_names(AT_FDCWD, from, AT_FDCWD, to, sim_name_link, &libc);

	return libc ? __real_link(from, to) : ret;
}

int __real_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags);
int __wrap_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags);
int __wrap_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
	bool libc;
	int ret = sim_two_names(from_fd, from, to_fd, to, sim_name_link, &libc);

	return libc ? __real_linkat(from_fd, from, to_fd, to, flags) : ret;
}

/* ---- reading directories ----------------------------------------------------------------------------- */

static void add_entry(struct dir_stream *s, const char *name, const struct sim_inode *inode)
{
	struct dirent *e = &s->entries[s->count++];

	*e = (struct dirent){
		.d_ino = inode->number,
		.d_type = inode->is_dir ? DT_DIR : DT_REG,
		.d_reclen = sizeof(*e),
	};
	snprintf(e->d_name, sizeof(e->d_name), "%s", name);
}

static uint64_t entry_order(const struct sim_disk *d, const char *name)
{
	return hash64_seed(name, strlen(name), d->seed);
}

/* As hashed directories have it: any order, and always the same. */
static void sort_entries(struct dir_stream *s, const struct sim_disk *d)
{
	for (size_t i = 1; i < s->count; i++) {
		struct dirent e = s->entries[i];
		uint64_t order = entry_order(d, e.d_name);
		size_t at = i;

		while (at > 0 && entry_order(d, s->entries[at - 1].d_name) > order) {
			s->entries[at] = s->entries[at - 1];
			at--;
		}
		s->entries[at] = e;
	}
}

static struct dir_stream *stream_of(const DIR *dir)
{
	list_for_each (it, &streams)
		if ((const void *)dir == (void *)list_entry(it, struct dir_stream, link))
			return list_entry(it, struct dir_stream, link);
	return NULL;
}

DIR *__real_fdopendir(int fd);
DIR *__wrap_fdopendir(int fd);
DIR *__wrap_fdopendir(int fd)
{
	struct handle *h = handle_of(fd);
	struct dir_stream *s;
	int ret;

	if (!ours(fd))
		return __real_fdopendir(fd);
	ret = !h ? -EBADF : !h->file.inode->is_dir ? -ENOTDIR : sim_file_check(&h->file);
	if (ret < 0) {
		errno = -ret;
		return NULL;
	}
	s = mem_calloc(1, sizeof(*s));
	s->fd = fd;
	list_add_tail(&streams, &s->link);
	return (DIR *)s;
}

DIR *__real_opendir(const char *path);
DIR *__wrap_opendir(const char *path);
DIR *__wrap_opendir(const char *path)
{
	struct sim_inode *dir;
	const char *rest;
	int fd;

	if (route(AT_FDCWD, path, &dir, &rest) == LIBC)
		return __real_opendir(path);
	fd = __wrap_open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? NULL : __wrap_fdopendir(fd);
}

struct dirent *__real_readdir(DIR *dir);
struct dirent *__wrap_readdir(DIR *dir);
struct dirent *__wrap_readdir(DIR *dir)
{
	struct dir_stream *s = stream_of(dir);
	struct sim_file *f;

	if (!s)
		return __real_readdir(dir);
	f = &handle_of(s->fd)->file;
	if (sim_file_check(f) < 0 ||
	    sim_call_begin(f->disk, SIM_IO_READ, f->inode->path).error < 0) {
		errno = EIO;
		return NULL;
	}
	if (!s->entries) {
		const struct sim_names *names = &f->inode->names;

		s->entries = mem_calloc(names->count + 2, sizeof(*s->entries));
		add_entry(s, ".", f->inode);
		add_entry(s, "..", f->inode->parent ? f->inode->parent : f->inode);
		for (size_t i = 0; i < names->count; i++)
			add_entry(s, names->v[i].name, names->v[i].inode);
		sort_entries(s, f->disk);
	}
	return s->next < s->count ? &s->entries[s->next++] : NULL;
}

int __real_dirfd(DIR *dir);
int __wrap_dirfd(DIR *dir);
int __wrap_dirfd(DIR *dir)
{
	struct dir_stream *s = stream_of(dir);

	return s ? s->fd : __real_dirfd(dir);
}

int __real_closedir(DIR *dir);
int __wrap_closedir(DIR *dir);
int __wrap_closedir(DIR *dir)
{
	struct dir_stream *s = stream_of(dir);
	int fd;

	if (!s)
		return __real_closedir(dir);
	fd = s->fd;
	stream_free(s);
	return __wrap_close(fd);
}

/* ---- what would differ from run to run ---------------------------------------------------------------- */

/* The lock of a store holds it. */
pid_t __wrap_getpid(void);
pid_t __wrap_getpid(void)
{
	return 4711;
}

ssize_t __wrap_getrandom(void *data, size_t len, unsigned int flags);
ssize_t __wrap_getrandom(void *data, size_t len, unsigned int flags)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)data)[i] = (uint8_t)prng_u64(&sim_machine_rnd);
	return (ssize_t)len;
}
