/* rec.c - see rec.h. Integers are little-endian. */
#include "fs/ops/rec.h"

#include <sys/stat.h>

#include "base/cursor.h"

#define INODE_REC_VERSION 1
#define DENTRY_REC_VERSION 1
#define ORDER_REC_VERSION 1
#define ORPHAN_REC_VERSION 1
#define TRUNCATE_REC_VERSION 1
#define COUNTERS_REC_VERSION 1
#define LOCK_REC_VERSION 1
#define HOLDER_REC_VERSION 1
#define WAITER_REC_VERSION 1
#define DELEGATION_REC_VERSION 1
#define DELEGATED_REC_VERSION 1

#define SIZE_UNIT 4096u /* a file's last piece counts whole */

static bool type_valid(uint32_t type_bits)
{
	switch (type_bits) {
	case S_IFREG:
	case S_IFDIR:
	case S_IFLNK:
	case S_IFIFO:
	case S_IFSOCK:
	case S_IFCHR:
	case S_IFBLK:
		return true;
	default:
		return false;
	}
}

/*
 * Inode record.            off size
 *   version, now 1           0   1
 *   flags                    1   1
 *   mode with type bits      2   4
 *   nlink                    6   4
 *   uid                     10   4
 *   gid                     14   4
 *   rdev                    18   4
 *   size                    22   8
 *   atime, ns               30   8
 *   mtime, ns               38   8
 *   ctime, ns               46   8
 *   btime, ns               54   8
 *   data version            62   8
 *   parent                  70   8
 *   block count             78   4
 *   trunc_from              82   4   2^32 - 1: no truncate is pending
 *   xattr count             86   4
 *   xattr bytes             90   4
 *   length n of the target  94   2   0 but for symlinks
 *   target                  96   n
 */
void inode_rec_encode(const struct inode_rec *rec, struct buf *out)
{
	buf_put_u8(out, INODE_REC_VERSION);
	buf_put_u8(out, rec->flags);
	buf_put_le32(out, rec->mode);
	buf_put_le32(out, rec->nlink);
	buf_put_le32(out, rec->uid);
	buf_put_le32(out, rec->gid);
	buf_put_le32(out, rec->rdev);
	buf_put_le64(out, rec->size);
	buf_put_le64(out, (uint64_t)rec->atime_ns);
	buf_put_le64(out, (uint64_t)rec->mtime_ns);
	buf_put_le64(out, (uint64_t)rec->ctime_ns);
	buf_put_le64(out, (uint64_t)rec->btime_ns);
	buf_put_le64(out, rec->data_version);
	buf_put_le64(out, rec->parent);
	buf_put_le32(out, rec->block_count);
	buf_put_le32(out, rec->trunc_from);
	buf_put_le32(out, rec->xattr_count);
	buf_put_le32(out, rec->xattr_bytes);
	buf_put_bytes16(out, rec->target, rec->target_len);
}

/* What every inode record fulfils by itself, whatever the others say. */
static bool inode_rec_valid(const struct inode_rec *rec)
{
	bool dir = S_ISDIR(rec->mode);

	if (!type_valid(rec->mode & S_IFMT) || rec->mode > (S_IFMT | 07777) ||
	    (rec->flags & ~(INODE_RECLAIMING | INODE_LINKABLE | INODE_DELEGATED)))
		return false;
	if ((rec->flags & INODE_DELEGATED) && !S_ISREG(rec->mode))
		return false;
	if ((rec->flags & INODE_LINKABLE) && (!S_ISREG(rec->mode) || rec->nlink > 0))
		return false;
	if ((rec->parent != 0) != dir)
		return false;
	if (S_ISLNK(rec->mode))
		return rec->target_len > 0 && rec->target_len <= FS_SYMLINK_MAX &&
		       rec->size == rec->target_len && rec->block_count == 0;
	if (rec->target_len > 0)
		return false;
	if (!S_ISREG(rec->mode))
		return rec->block_count == 0 && rec->trunc_from == INODE_NO_TRUNCATE;
	if (rec->size > FS_SIZE_MAX || rec->block_count > KV_BLOCKS_PER_INO)
		return false;
	/* Nothing live lies behind a pending truncate. */
	return rec->trunc_from == INODE_NO_TRUNCATE ||
	       (rec->trunc_from <= KV_BLOCKS_PER_INO &&
		rec->size <= (uint64_t)rec->trunc_from * KV_BLOCK_SIZE);
}

int inode_rec_decode(struct inode_rec *rec, const void *data, size_t len)
{
	struct cursor c = cursor_init(data, len);
	uint8_t version = cursor_u8(&c);
	struct inode_rec r = { .flags = cursor_u8(&c) };

	r.mode = cursor_le32(&c);
	r.nlink = cursor_le32(&c);
	r.uid = cursor_le32(&c);
	r.gid = cursor_le32(&c);
	r.rdev = cursor_le32(&c);
	r.size = cursor_le64(&c);
	r.atime_ns = (int64_t)cursor_le64(&c);
	r.mtime_ns = (int64_t)cursor_le64(&c);
	r.ctime_ns = (int64_t)cursor_le64(&c);
	r.btime_ns = (int64_t)cursor_le64(&c);
	r.data_version = cursor_le64(&c);
	r.parent = cursor_le64(&c);
	r.block_count = cursor_le32(&c);
	r.trunc_from = cursor_le32(&c);
	r.xattr_count = cursor_le32(&c);
	r.xattr_bytes = cursor_le32(&c);
	r.target = cursor_bytes16(&c, &r.target_len);
	if (version != INODE_REC_VERSION || !cursor_at_end(&c) || !inode_rec_valid(&r))
		return -EUCLEAN;
	*rec = r;
	return 0;
}

uint64_t inode_rec_bytes(const struct inode_rec *rec)
{
	uint64_t units = rec->size / SIZE_UNIT + (rec->size % SIZE_UNIT != 0);

	if (!S_ISREG(rec->mode))
		return 0;
	return min_u64((uint64_t)rec->block_count * KV_BLOCK_SIZE, units * SIZE_UNIT);
}

/*
 * Dentry record.     off size
 *   version, now 1     0   1
 *   ino                1   8
 *   cookie             9   8
 *   type bits         17   4
 */
void dentry_rec_encode(const struct dentry_rec *rec, struct buf *out)
{
	buf_put_u8(out, DENTRY_REC_VERSION);
	buf_put_le64(out, rec->ino);
	buf_put_le64(out, rec->cookie);
	buf_put_le32(out, rec->mode);
}

int dentry_rec_decode(struct dentry_rec *rec, const void *data, size_t len)
{
	struct cursor c = cursor_init(data, len);
	uint8_t version = cursor_u8(&c);
	struct dentry_rec r = { .ino = cursor_le64(&c) };

	r.cookie = cursor_le64(&c);
	r.mode = cursor_le32(&c);
	if (version != DENTRY_REC_VERSION || !cursor_at_end(&c) || !type_valid(r.mode))
		return -EUCLEAN;
	*rec = r;
	return 0;
}

/*
 * Order record.             off size
 *   version, now 1            0   1
 *   ino                       1   8
 *   type bits                 9   4
 *   length n of the name     13   2
 *   name                     15   n
 */
void order_rec_encode(const struct order_rec *rec, struct buf *out)
{
	buf_put_u8(out, ORDER_REC_VERSION);
	buf_put_le64(out, rec->ino);
	buf_put_le32(out, rec->mode);
	buf_put_bytes16(out, rec->name, rec->name_len);
}

int order_rec_decode(struct order_rec *rec, const void *data, size_t len)
{
	struct cursor c = cursor_init(data, len);
	uint8_t version = cursor_u8(&c);
	struct order_rec r = { .ino = cursor_le64(&c) };

	r.mode = cursor_le32(&c);
	r.name = cursor_bytes16(&c, &r.name_len);
	if (version != ORDER_REC_VERSION || !cursor_at_end(&c) || !type_valid(r.mode) ||
	    r.name_len == 0 || r.name_len > FS_NAME_MAX)
		return -EUCLEAN;
	*rec = r;
	return 0;
}

/*
 * Orphan record.                    off size
 *   version, now 1                    0   1
 *   number n of sessions that hold    1   4
 *   their ids                         5   8 n
 */
void orphan_rec_encode(const struct orphan_rec *rec, struct buf *out)
{
	buf_put_u8(out, ORPHAN_REC_VERSION);
	buf_put_le32(out, rec->holder_count);
	if (rec->holder_count > 0)
		buf_put(out, rec->holders, (size_t)rec->holder_count * 8);
}

int orphan_rec_decode(struct orphan_rec *rec, const void *data, size_t len)
{
	struct cursor c = cursor_init(data, len);
	uint8_t version = cursor_u8(&c);
	struct orphan_rec r = { .holder_count = cursor_le32(&c) };

	r.holders = cursor_bytes(&c, (size_t)r.holder_count * 8);
	if (version != ORPHAN_REC_VERSION || !cursor_at_end(&c))
		return -EUCLEAN;
	*rec = r;
	return 0;
}

/*
 * Pending truncate.  off size
 *   version, now 1     0   1
 */
void truncate_rec_encode(struct buf *out)
{
	buf_put_u8(out, TRUNCATE_REC_VERSION);
}

int truncate_rec_decode(const void *data, size_t len)
{
	struct cursor c = cursor_init(data, len);

	return cursor_u8(&c) == TRUNCATE_REC_VERSION && cursor_at_end(&c) ? 0 : -EUCLEAN;
}

/*
 * Counters.          off size
 *   version, now 1     0   1
 *   next ino           1   8
 *   inode count        9   8
 *   bytes used        17   8
 */
void counters_rec_encode(const struct counters_rec *rec, struct buf *out)
{
	buf_put_u8(out, COUNTERS_REC_VERSION);
	buf_put_le64(out, rec->next_ino);
	buf_put_le64(out, rec->inode_count);
	buf_put_le64(out, rec->bytes_used);
}

int counters_rec_decode(struct counters_rec *rec, const void *data, size_t len)
{
	struct cursor c = cursor_init(data, len);
	uint8_t version = cursor_u8(&c);
	struct counters_rec r = { .next_ino = cursor_le64(&c) };

	r.inode_count = cursor_le64(&c);
	r.bytes_used = cursor_le64(&c);
	if (version != COUNTERS_REC_VERSION || !cursor_at_end(&c))
		return -EUCLEAN;
	*rec = r;
	return 0;
}

static bool lock_range_valid(uint8_t type, uint64_t start, uint64_t end)
{
	return (type == FS_LOCK_READ || type == FS_LOCK_WRITE) && start <= end && end <= FS_LOCK_END_MAX;
}

/*
 * Lock record.             off size
 *   version, now 1           0   1
 *   type: 1 read, 2 write    1   1
 *   last byte                2   8
 *   pid                     10   4
 */
void lock_rec_encode(const struct lock_rec *rec, struct buf *out)
{
	buf_put_u8(out, LOCK_REC_VERSION);
	buf_put_u8(out, rec->type);
	buf_put_le64(out, rec->end);
	buf_put_le32(out, rec->pid);
}

int lock_rec_decode(struct lock_rec *rec, const void *data, size_t len)
{
	struct cursor c = cursor_init(data, len);
	uint8_t version = cursor_u8(&c);
	struct lock_rec r = { .type = cursor_u8(&c) };

	r.end = cursor_le64(&c);
	r.pid = cursor_le32(&c);
	if (version != LOCK_REC_VERSION || !cursor_at_end(&c) || !lock_range_valid(r.type, 0, r.end))
		return -EUCLEAN;
	*rec = r;
	return 0;
}

/*
 * Lock count of a session. off size
 *   version, now 1           0   1
 *   locks, never 0           1   4
 */
void holder_rec_encode(uint32_t count, struct buf *out)
{
	buf_put_u8(out, HOLDER_REC_VERSION);
	buf_put_le32(out, count);
}

int holder_rec_decode(uint32_t *count, const void *data, size_t len)
{
	struct cursor c = cursor_init(data, len);
	uint8_t version = cursor_u8(&c);
	uint32_t n = cursor_le32(&c);

	if (version != HOLDER_REC_VERSION || !cursor_at_end(&c) || n == 0)
		return -EUCLEAN;
	*count = n;
	return 0;
}

/*
 * Waiter record.           off size
 *   version, now 1           0   1
 *   kind                     1   1   1 POSIX, 2 flock
 *   type: 1 read, 2 write    2   1
 *   ino                      3   8
 *   first byte              11   8
 *   last byte               19   8
 */
void waiter_rec_encode(const struct waiter_rec *rec, struct buf *out)
{
	buf_put_u8(out, WAITER_REC_VERSION);
	buf_put_u8(out, rec->kind);
	buf_put_u8(out, rec->type);
	buf_put_le64(out, rec->ino);
	buf_put_le64(out, rec->start);
	buf_put_le64(out, rec->end);
}

int waiter_rec_decode(struct waiter_rec *rec, const void *data, size_t len)
{
	struct cursor c = cursor_init(data, len);
	uint8_t version = cursor_u8(&c);
	struct waiter_rec r = { .kind = cursor_u8(&c) };

	r.type = cursor_u8(&c);
	r.ino = cursor_le64(&c);
	r.start = cursor_le64(&c);
	r.end = cursor_le64(&c);
	if (version != WAITER_REC_VERSION || !cursor_at_end(&c) || r.kind < FS_LOCK_POSIX ||
	    r.kind > FS_LOCK_FLOCK || r.ino == 0 || !lock_range_valid(r.type, r.start, r.end))
		return -EUCLEAN;
	*rec = r;
	return 0;
}

/*
 * Delegation record.       off size
 *   version, now 1           0   1
 *   session                  1   8
 *   number                   9   8   log index of the grant
 *   bytes reserved          17   8
 */
void delegation_rec_encode(const struct fs_delegation *rec, struct buf *out)
{
	buf_put_u8(out, DELEGATION_REC_VERSION);
	buf_put_le64(out, rec->session);
	buf_put_le64(out, rec->number);
	buf_put_le64(out, rec->bytes);
}

int delegation_rec_decode(struct fs_delegation *rec, const void *data, size_t len)
{
	struct cursor c = cursor_init(data, len);
	uint8_t version = cursor_u8(&c);
	struct fs_delegation r = { .session = cursor_le64(&c) };

	r.number = cursor_le64(&c);
	r.bytes = cursor_le64(&c);
	if (version != DELEGATION_REC_VERSION || !cursor_at_end(&c) || r.session == 0 || r.number == 0 ||
	    r.bytes > FS_DELEGATION_BYTES_MAX)
		return -EUCLEAN;
	*rec = r;
	return 0;
}

#define DELEGATED_HEAD_SIZE 1u
#define DELEGATED_SIZE 20u

/*
 * What is delegated in all. off size
 *   version, now 1            0   1
 *   sessions, to the end:     1   -  each
 *     session                     8
 *     delegations                 4
 *     bytes that they reserve     8
 */
void delegated_rec_begin(struct buf *out)
{
	buf_put_u8(out, DELEGATED_REC_VERSION);
}

void delegated_encode(const struct delegated *d, struct buf *out)
{
	buf_put_le64(out, d->session);
	buf_put_le32(out, d->count);
	buf_put_le64(out, d->bytes);
}

int delegated_rec_count(const void *data, size_t len)
{
	const uint8_t *p = data;

	if (len <= DELEGATED_HEAD_SIZE || p[0] != DELEGATED_REC_VERSION ||
	    (len - DELEGATED_HEAD_SIZE) % DELEGATED_SIZE != 0)
		return -EUCLEAN;
	return (int)((len - DELEGATED_HEAD_SIZE) / DELEGATED_SIZE);
}

struct delegated delegated_at(const void *data, size_t i)
{
	const uint8_t *p = (const uint8_t *)data + DELEGATED_HEAD_SIZE + i * DELEGATED_SIZE;

	return (struct delegated){ .session = load_le64(p), .count = load_le32(p + 8), .bytes = load_le64(p + 12) };
}
