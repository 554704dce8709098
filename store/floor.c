/* floor.c - see floor.h. */
#include "store/floor.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cursor.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/mark.h"
#include "store/state_sqlite.h"

#define MAGIC "QFSFLOOR"
#define VERSION 1u
#define BODY_SIZE 24u
#define FLOOR_NAME "floor"
#define PIECE_SIZE (1u << 20)

/*
 * Floor: two equal copies of a sector, little-endian, zeros after the last field.
 *                                  off size
 *   magic "QFSFLOOR"                 0    8
 *   format version, now 1            8    4
 *   0                               12    4
 *   index of an entry               16    8
 *   checksum: XXH3-64 of 0..23      24    8
 */
void floor_encode(uint64_t index, uint8_t out[FLOOR_COPY_SIZE])
{
	memset(out, 0, FLOOR_COPY_SIZE);
	memcpy(out, MAGIC, 8);
	store_le32(out + 8, VERSION);
	store_le64(out + 16, index);
	store_le64(out + BODY_SIZE, hash64(out, BODY_SIZE));
}

int floor_decode(const uint8_t in[FLOOR_COPY_SIZE], uint64_t *index)
{
	uint8_t canonical[FLOOR_COPY_SIZE] = { 0 };

	if (memcmp(in, canonical, sizeof(canonical)) == 0)
		return -ENODATA;
	floor_encode(load_le64(in + 16), canonical);
	if (memcmp(in, canonical, sizeof(canonical)) != 0)
		return -EUCLEAN;
	*index = load_le64(in + 16);
	return 0;
}

/* The higher of the copies; a file that was being made is none. */
static int read_index(int fd, uint64_t *index)
{
	uint8_t copies[FLOOR_SIZE] = { 0 };
	uint64_t v[2] = { 0, 0 };
	int ret[2];
	int failed = io_pread_all(fd, copies, sizeof(copies), 0);

	*index = 0;
	if (failed < 0)
		return failed == -ENODATA ? 0 : failed;
	for (size_t i = 0; i < 2; i++)
		ret[i] = floor_decode(copies + i * FLOOR_COPY_SIZE, &v[i]);
	MARK_IF((ret[0] == 0) != (ret[1] == 0), "store.floor.one-copy");
	*index = max_u64(v[0], v[1]);
	if (ret[0] == 0 || ret[1] == 0 || (ret[0] == -ENODATA && ret[1] == -ENODATA))
		return 0;
	return -EUCLEAN;
}

static int write_again(int fd)
{
	uint8_t *piece;
	struct stat st;
	int ret = 0;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size == 0)
		return 0;
	MARK("store.floor.wal-written-again");
	piece = mem_alloc(PIECE_SIZE);
	for (off_t at = 0; ret == 0 && at < st.st_size; at += PIECE_SIZE) {
		size_t len = (size_t)min_u64(PIECE_SIZE, (uint64_t)(st.st_size - at));

		ret = io_pread_all(fd, piece, len, at);
		if (ret == 0)
			ret = io_pwrite_all(fd, piece, len, at);
	}
	free(piece);
	if (ret == 0 && fdatasync(fd) < 0)
		ret = -errno;
	return ret;
}

static int open_wal(struct floor *f)
{
	if (f->wal_fd >= 0)
		return 0;
	f->wal_fd = openat(f->dir_fd, STATE_DB_NAME "-wal", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	return f->wal_fd < 0 ? -errno : 0;
}

int floor_open(struct floor *f, const char *dir)
{
	int ret;

	*f = (struct floor){ .wal_fd = -1, .fd = -1 };
	f->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f->dir_fd < 0)
		return -errno;
	f->fd = openat(f->dir_fd, FLOOR_NAME, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	ret = f->fd >= 0 ? read_index(f->fd, &f->index) : errno == ENOENT ? 0 : -errno;
	if (ret == 0) {
		ret = open_wal(f);
		ret = ret == 0 ? write_again(f->wal_fd) : ret == -ENOENT ? 0 : ret;
	}
	if (ret < 0)
		floor_close(f);
	return ret;
}

static int write_index(struct floor *f, uint64_t index)
{
	uint8_t copies[FLOOR_SIZE];
	bool is_new = f->fd < 0;
	int ret;

	if (is_new)
		f->fd = openat(f->dir_fd, FLOOR_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (f->fd < 0)
		return -errno;
	floor_encode(index, copies);
	floor_encode(index, copies + FLOOR_COPY_SIZE);
	ret = io_pwrite_all(f->fd, copies, sizeof(copies), 0);
	if (ret == 0 && fdatasync(f->fd) < 0)
		ret = -errno;
	if (ret == 0 && is_new)
		ret = io_fsync_dir(f->dir_fd);
	return ret;
}

/* What a failed sync left behind looks clean and is on no disk: the next one would succeed without it. */
static int sync_wal(struct floor *f)
{
	if (!f->wal_failed && fdatasync(f->wal_fd) == 0)
		return 0;
	MARK_IF(f->wal_failed, "store.floor.wal-failed-before");
	f->wal_failed = true;
	return -EIO;
}

int floor_raise(struct floor *f, uint64_t index)
{
	int ret;

	if (index <= f->index)
		return 0;
	ret = open_wal(f);
	if (ret == -ENOENT) /* nothing was committed since the file was made */
		return 0;
	if (ret == 0)
		ret = sync_wal(f);
	if (ret == 0) /* its name, too */
		ret = io_fsync_dir(f->dir_fd);
	if (ret == 0)
		ret = write_index(f, index);
	if (ret == 0)
		f->index = index;
	return ret;
}

void floor_close(struct floor *f)
{
	int fds[] = { f->wal_fd, f->fd, f->dir_fd };

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	*f = (struct floor){ .wal_fd = -1, .dir_fd = -1, .fd = -1 };
}
