/* predecessor.c - see predecessor.h; the file's layout is told in docs/formats.md. */
#include "mount-helper/predecessor.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cursor.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mark.h"

#define VERSION 1
#define FILE_MAX (1 + FS_SESSION_NAME_SIZE + 2 + PATH_MAX + 8)

struct predecessor {
	int fd;
	char *path, *target;
	uint8_t name[FS_SESSION_NAME_SIZE]; /* when found */
	bool found;
};

const char *predecessor_folder(char *buf, size_t size)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");

	if (geteuid() == 0)
		return "/run/quorumfs";
	if (!runtime || runtime[0] != '/')
		return NULL;
	return (size_t)snprintf(buf, size, "%s/quorumfs", runtime) < size ? buf : NULL;
}

bool predecessor_decode(const void *data, size_t len, const char *target,
			uint8_t name[FS_SESSION_NAME_SIZE])
{
	struct cursor c = cursor_init(data, len);
	size_t target_len;

	if (cursor_u8(&c) != VERSION)
		return false;
	cursor_copy(&c, name, FS_SESSION_NAME_SIZE);

	const uint8_t *at = cursor_bytes16(&c, &target_len);
	size_t summed = len - cursor_left(&c);

	if (cursor_le64(&c) != hash64(data, summed) || !cursor_at_end(&c))
		return false;
	return target_len == strlen(target) && memcmp(at, target, target_len) == 0;
}

static void read_name(struct predecessor *p)
{
	uint8_t data[FILE_MAX];
	ssize_t len = pread(p->fd, data, sizeof(data), 0);

	p->found = len > 0 && predecessor_decode(data, (size_t)len, p->target, p->name);
	MARK_IF(p->found, "mount-helper.predecessor.found");
	if (len > 0 && !p->found)
		log_warning("mount",
			    "'%s' is not understood: the session before this one ends by its time "
			    "to live",
			    p->path);
}

/* Locked, and still the file of that name: its last owner takes it away while he holds the lock. */
static int open_locked(const char *path)
{
	for (;;) {
		struct stat mine, named;
		int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

		if (fd < 0)
			return -errno;
		if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
			close(fd);
			return -EBUSY;
		}
		if (fstat(fd, &mine) == 0 && stat(path, &named) == 0 && mine.st_ino == named.st_ino)
			return fd;
		close(fd);
	}
}

struct predecessor *predecessor_open(const char *folder, const char *target)
{
	struct buf path = BUF_INIT;
	struct predecessor *p;
	int fd;

	if (!folder || io_mkdir_p(folder, 0700) < 0)
		return NULL;
	buf_printf(&path, "%s/%016llx.session", folder,
		   (unsigned long long)hash64(target, strlen(target)));
	buf_put_u8(&path, 0);
	fd = open_locked((const char *)path.data);
	if (fd < 0) {
		log_debug("mount", "'%s': %s", (const char *)path.data, strerror(-fd));
		buf_release(&path);
		return NULL;
	}
	p = mem_calloc(1, sizeof(*p));
	p->fd = fd;
	p->path = mem_strdup((const char *)path.data);
	p->target = mem_strdup(target);
	buf_release(&path);
	read_name(p);
	return p;
}

bool predecessor_get(const struct predecessor *p, uint8_t name[FS_SESSION_NAME_SIZE])
{
	if (!p || !p->found)
		return false;
	memcpy(name, p->name, FS_SESSION_NAME_SIZE);
	return true;
}

void predecessor_set(struct predecessor *p, const uint8_t name[FS_SESSION_NAME_SIZE])
{
	struct buf out = BUF_INIT;
	int ret;

	if (!p)
		return;
	buf_put_u8(&out, VERSION);
	buf_put(&out, name, FS_SESSION_NAME_SIZE);
	buf_put_bytes16(&out, p->target, strlen(p->target));
	buf_put_le64(&out, hash64(out.data, out.len));
	ret = io_pwrite_all(p->fd, out.data, out.len, 0);
	if (ret == 0 && ftruncate(p->fd, (off_t)out.len) < 0)
		ret = -errno;
	if (ret < 0)
		log_warning("mount", "cannot write '%s': %s", p->path, strerror(-ret));
	buf_release(&out);
}

void predecessor_close(struct predecessor *p, bool keep)
{
	if (!p)
		return;
	if (!keep)
		(void)unlink(p->path);
	close(p->fd);
	free(p->path);
	free(p->target);
	free(p);
}
