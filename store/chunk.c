/* chunk.c - see chunk.h. */
#include "store/chunk.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "base/cursor.h"
#include "base/hash.h"
#include "base/io.h"

#define CHUNK_MAGIC 0x43534651u /* "QFSC" */
#define CHUNK_VERSION 1
#define CHUNK_HEAD_SIZE 9u
#define CHUNK_TAIL_SIZE 8u
/* The fastest level: an image is made while the node serves. */
#define CHUNK_ZSTD_LEVEL 1
#define CHUNK_STORED_MAX (CHUNK_HEAD_SIZE + ZSTD_COMPRESSBOUND(SEAL_CHUNK_SIZE) + CHUNK_TAIL_SIZE)

/* ---- names ---- */

void chunk_name(const uint8_t hash[SEAL_HASH_SIZE], char name[CHUNK_NAME_SIZE])
{
	sodium_bin2hex(name, CHUNK_NAME_SIZE, hash, SEAL_HASH_SIZE);
}

bool chunk_name_parse(const char *name, uint8_t hash[SEAL_HASH_SIZE])
{
	char again[CHUNK_NAME_SIZE];
	size_t len;

	if (strlen(name) != CHUNK_NAME_SIZE - 1 ||
	    sodium_hex2bin(hash, SEAL_HASH_SIZE, name, CHUNK_NAME_SIZE - 1, NULL, &len, NULL) !=
		    0 ||
	    len != SEAL_HASH_SIZE)
		return false;
	chunk_name(hash, again); /* capital letters are nobody's */
	return strcmp(again, name) == 0;
}

/* ---- codec ---- */

/*
 * Chunk. Little-endian.             off  size
 *   magic "QFSC"                      0    4
 *   version, now 1                    4    1
 *   length of the bytes               5    4
 *   the bytes, as one zstd frame      9    n
 *   XXH3 of all before                     8
 *
 * The XXH3 is for bits of the zstd frame that its decoder does not look at: what is stored is what was
 * written, to the bit.
 */
int chunk_encode(const void *raw, uint32_t raw_len, struct buf *out)
{
	size_t start = out->len;
	size_t bound = ZSTD_compressBound(raw_len);
	size_t len;

	assert(raw_len > 0 && raw_len <= SEAL_CHUNK_SIZE);
	buf_put_le32(out, CHUNK_MAGIC);
	buf_put_u8(out, CHUNK_VERSION);
	buf_put_le32(out, raw_len);
	len = ZSTD_compress(buf_extend(out, bound), bound, raw, raw_len, CHUNK_ZSTD_LEVEL);
	if (ZSTD_isError(len)) { /* with a buffer of the bound's size only memory can lack */
		buf_resize(out, start);
		return -ENOMEM;
	}
	buf_resize(out, start + CHUNK_HEAD_SIZE + len);
	buf_put_le64(out, hash64(out->data + start, out->len - start));
	return 0;
}

int chunk_decode(const uint8_t hash[SEAL_HASH_SIZE], uint32_t raw_len, const void *data, size_t len,
		 void *raw)
{
	struct cursor c = cursor_init(data, len);
	uint32_t magic = cursor_le32(&c);
	uint8_t version = cursor_u8(&c);
	uint32_t said_len = cursor_le32(&c);
	uint8_t found[SEAL_HASH_SIZE];
	const uint8_t *frame;
	size_t frame_len;

	assert(raw_len > 0 && raw_len <= SEAL_CHUNK_SIZE);
	if (cursor_left(&c) < CHUNK_TAIL_SIZE || len > CHUNK_STORED_MAX)
		return -EUCLEAN;
	frame_len = cursor_left(&c) - CHUNK_TAIL_SIZE;
	frame = cursor_bytes(&c, frame_len);
	if (magic != CHUNK_MAGIC || version != CHUNK_VERSION || said_len != raw_len ||
	    cursor_le64(&c) != hash64(data, len - CHUNK_TAIL_SIZE))
		return -EUCLEAN;
	if (ZSTD_decompress(raw, raw_len, frame, frame_len) != raw_len)
		return -EUCLEAN;
	seal_chunk(raw, raw_len, found);
	return memcmp(found, hash, sizeof(found)) == 0 ? 0 : -EUCLEAN;
}

/* ---- files ---- */

bool chunk_exists(struct chunk_dir *dir, const uint8_t hash[SEAL_HASH_SIZE])
{
	char name[CHUNK_NAME_SIZE];

	chunk_name(hash, name);
	return faccessat(dir->fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int write_file(const struct store_io *io, int fd, const void *data, size_t len)
{
	int ret = io->pwrite(fd, data, len, 0);

	return ret < 0 ? ret : io->fdatasync(fd);
}

int chunk_write(struct chunk_dir *dir, const uint8_t hash[SEAL_HASH_SIZE], const void *data,
		size_t len)
{
	char name[CHUNK_NAME_SIZE], tmp[CHUNK_NAME_SIZE + 32];
	int fd, ret;

	chunk_name(hash, name);
	snprintf(tmp, sizeof(tmp), "%s.%" PRIu64 CHUNK_TMP_SUFFIX, name,
		 atomic_fetch_add(&dir->next_tmp, 1));
	fd = dir->io->create(dir->fd, tmp);
	if (fd < 0)
		return fd;
	ret = write_file(dir->io, fd, data, len);
	close(fd);
	/* Over a file of the same name too: it was found damaged, or somebody was quicker. */
	if (ret == 0)
		ret = dir->io->rename(dir->fd, tmp, name);
	if (ret < 0)
		(void)unlinkat(dir->fd, tmp, 0);
	return ret;
}

int chunk_sync(struct chunk_dir *dir)
{
	return dir->io->fsync_dir(dir->fd);
}

int chunk_read(struct chunk_dir *dir, const uint8_t hash[SEAL_HASH_SIZE], uint32_t raw_len,
	       struct buf *out, void *raw)
{
	char name[CHUNK_NAME_SIZE];
	size_t start = out->len;
	struct stat st;
	int fd, ret;

	chunk_name(hash, name);
	fd = openat(dir->fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = fstat(fd, &st) < 0 ? -errno : 0;
	if (ret == 0 && (st.st_size <= 0 || (uint64_t)st.st_size > CHUNK_STORED_MAX))
		ret = -EUCLEAN;
	if (ret == 0)
		ret = io_pread_all(fd, buf_extend(out, (size_t)st.st_size), (size_t)st.st_size, 0);
	close(fd);
	if (ret == 0)
		ret = chunk_decode(hash, raw_len, out->data + start, out->len - start, raw);
	if (ret < 0)
		buf_resize(out, start);
	return ret == -ENODATA ? -EUCLEAN : ret;
}

int chunk_remove(struct chunk_dir *dir, const uint8_t hash[SEAL_HASH_SIZE])
{
	char name[CHUNK_NAME_SIZE];
	int ret;

	chunk_name(hash, name);
	ret = dir->io->unlink(dir->fd, name);
	return ret == -ENOENT ? 0 : ret;
}
