/*
 * request.c - requests, replies and the sequences inside replies as bytes.
 *
 * All integers are little-endian. A request or reply starts with its version; the sequences (dirents,
 * orphans) and statfs live inside a reply and share its version. Decoders borrow, so the megabyte of a
 * write is never copied, and they check only the form: what a request means, and which names and
 * sizes are allowed, is for fs_eval() to answer with the right errno.
 */
#include "fs/request.h"

#include "base/cursor.h"

#define REQUEST_VERSION 2
#define REPLY_VERSION 3

enum reply_flags {
	REPLY_HAS_ATTR = 1,
	REPLY_CREATED = 2,
	REPLY_HAS_DIR = 4,
	REPLY_DELEGATED = 8,
	REPLY_FLAGS = REPLY_HAS_ATTR | REPLY_CREATED | REPLY_HAS_DIR | REPLY_DELEGATED,
};

/* ---- operations ----------------------------------------------------------------------------------- */

enum op_flags {
	OP_READ = 1,
	OP_INTERNAL = 2,
	OP_GROWS = 4,
	OP_LOCK = 8,
};

static const struct {
	const char *name;
	uint8_t flags;
} op_table[] = {
	[FS_LOOKUP] = { "lookup", OP_READ },
	[FS_GETATTR] = { "getattr", OP_READ },
	[FS_OPEN] = { "open", OP_READ },
	[FS_READLINK] = { "readlink", OP_READ },
	[FS_READ] = { "read", OP_READ },
	[FS_READDIR] = { "readdir", OP_READ },
	[FS_GETXATTR] = { "getxattr", OP_READ },
	[FS_LISTXATTR] = { "listxattr", OP_READ },
	[FS_STATFS] = { "statfs", OP_READ },
	[FS_ORPHANS] = { "orphans", OP_READ | OP_INTERNAL },
	[FS_KV_GET] = { "kv-get", OP_READ },
	[FS_GETLK] = { "getlk", OP_READ | OP_LOCK },
	[FS_LOCK_WAIT] = { "lock-wait", OP_READ | OP_LOCK },
	[FS_SEEK] = { "seek", OP_READ },
	[FS_ACCESS] = { "access", OP_READ },
	[FS_SETATTR] = { "setattr", 0 },
	[FS_CREATE] = { "create", OP_GROWS },
	[FS_OPEN_TRUNC] = { "open-trunc", 0 },
	[FS_WRITE] = { "write", OP_GROWS },
	[FS_MKDIR] = { "mkdir", OP_GROWS },
	[FS_RMDIR] = { "rmdir", 0 },
	[FS_UNLINK] = { "unlink", 0 },
	[FS_LINK] = { "link", OP_GROWS },
	[FS_SYMLINK] = { "symlink", OP_GROWS },
	[FS_RENAME] = { "rename", 0 },
	[FS_MKNOD] = { "mknod", OP_GROWS },
	[FS_SETXATTR] = { "setxattr", OP_GROWS },
	[FS_REMOVEXATTR] = { "removexattr", 0 },
	[FS_KV_PUT] = { "kv-put", OP_GROWS },
	[FS_KV_APPEND] = { "kv-append", OP_GROWS },
	[FS_KV_DELETE] = { "kv-delete", 0 },
	[FS_SESSION_BEGIN] = { "session-begin", 0 },
	[FS_SETLK] = { "setlk", OP_LOCK },
	[FS_LOCK_CANCEL] = { "lock-cancel", OP_LOCK },
	[FS_LOCK_RELEASE] = { "lock-release", OP_LOCK },
	[FS_ALLOCATE] = { "allocate", OP_GROWS },
	[FS_PUNCH] = { "punch", 0 },
	[FS_COPY_RANGE] = { "copy-range", OP_GROWS },
	[FS_TMPFILE] = { "tmpfile", OP_GROWS },
	[FS_GATHERED] = { "gathered", 0 }, /* its room is reserved */
	[FS_DELEGATION_RETURN] = { "delegation-return", 0 },
	[FS_ORPHAN_HOLD] = { "orphan-hold", OP_INTERNAL },
	[FS_RECLAIM] = { "reclaim", OP_INTERNAL },
	[FS_MAKE_ROOT] = { "make-root", OP_INTERNAL },
	[FS_SESSION_END] = { "session-end", OP_INTERNAL },
	[FS_DELEGATION_REVOKE] = { "delegation-revoke", OP_INTERNAL },
};

static bool op_known(uint8_t op)
{
	return op < ARRAY_SIZE(op_table) && op_table[op].name;
}

static bool op_has(uint8_t op, uint8_t flag)
{
	return op_known(op) && (op_table[op].flags & flag);
}

bool fs_op_is_read(uint8_t op)
{
	return op_has(op, OP_READ);
}

bool fs_op_is_internal(uint8_t op)
{
	return op_has(op, OP_INTERNAL);
}

bool fs_op_grows(uint8_t op)
{
	return op_has(op, OP_GROWS);
}

bool fs_op_is_lock(uint8_t op)
{
	return op_has(op, OP_LOCK);
}

const char *fs_op_name(uint8_t op)
{
	return op_known(op) ? op_table[op].name : "unknown";
}

/* ---- requests ------------------------------------------------------------------------------------- */

/*
 * Request.                    off size
 *   version, now 2              0   1
 *   op                          1   1
 *   uid of the caller           2   4
 *   gid of the caller           6   4
 *   ino                        10   8
 *   ino2                       18   8
 *   mode                       26   4
 *   rdev                       30   4
 *   flags                      34   4
 *   valid                      38   4
 *   uid2                       42   4
 *   gid2                       46   4
 *   offset                     50   8
 *   size                       58   8
 *   atime, ns                  66   8
 *   mtime, ns                  74   8
 *   1: check permissions       82   1
 *   length n of name           83   2
 *   name                       85   n
 *   length m of name2        85+n   2
 *   name2                    87+n   m
 *   length k of data       87+n+m   4
 *   data                   91+n+m   k
 */
void fs_request_encode(const struct fs_request *rq, struct buf *out)
{
	buf_put_u8(out, REQUEST_VERSION);
	buf_put_u8(out, rq->op);
	buf_put_le32(out, rq->uid);
	buf_put_le32(out, rq->gid);
	buf_put_le64(out, rq->ino);
	buf_put_le64(out, rq->ino2);
	buf_put_le32(out, rq->mode);
	buf_put_le32(out, rq->rdev);
	buf_put_le32(out, rq->flags);
	buf_put_le32(out, rq->valid);
	buf_put_le32(out, rq->uid2);
	buf_put_le32(out, rq->gid2);
	buf_put_le64(out, rq->offset);
	buf_put_le64(out, rq->size);
	buf_put_le64(out, (uint64_t)rq->atime_ns);
	buf_put_le64(out, (uint64_t)rq->mtime_ns);
	buf_put_u8(out, rq->checked ? 1 : 0);
	buf_put_bytes16(out, rq->name, rq->name_len);
	buf_put_bytes16(out, rq->name2, rq->name2_len);
	buf_put_bytes32(out, rq->data, rq->data_len);
}

int fs_request_decode(struct fs_request *rq, const void *data, size_t len)
{
	struct cursor c = cursor_init(data, len);
	uint8_t version = cursor_u8(&c);
	struct fs_request r = { .op = cursor_u8(&c) };

	r.uid = cursor_le32(&c);
	r.gid = cursor_le32(&c);
	r.ino = cursor_le64(&c);
	r.ino2 = cursor_le64(&c);
	r.mode = cursor_le32(&c);
	r.rdev = cursor_le32(&c);
	r.flags = cursor_le32(&c);
	r.valid = cursor_le32(&c);
	r.uid2 = cursor_le32(&c);
	r.gid2 = cursor_le32(&c);
	r.offset = cursor_le64(&c);
	r.size = cursor_le64(&c);
	r.atime_ns = (int64_t)cursor_le64(&c);
	r.mtime_ns = (int64_t)cursor_le64(&c);
	uint8_t checked = cursor_u8(&c);

	r.checked = checked == 1;
	r.name = (const char *)cursor_bytes16(&c, &r.name_len);
	r.name2 = (const char *)cursor_bytes16(&c, &r.name2_len);
	r.data = cursor_bytes32(&c, &r.data_len);
	if (version != REQUEST_VERSION || checked > 1 || !cursor_at_end(&c) || !op_known(r.op))
		return -EPROTO;
	*rq = r;
	return 0;
}

/* ---- replies -------------------------------------------------------------------------------------- */

/*
 * Reply.                                off size
 *   version, now 3                        0   1
 *   flags: 1 attributes, 2 created,       1   1
 *     4 attributes of the directory,
 *     8 delegation
 *   old data version                      2   8
 *   count                                10   8
 *   offset                               18   8
 *   attributes, if flagged               26  84
 *   the directory's, if flagged              84
 *   delegation, if flagged: session,         24
 *     number, bytes reserved, 8 each
 *   length n of data                          4
 *   data                                      n
 *
 * Attributes.        off size
 *   ino                0   8
 *   mode               8   4
 *   nlink             12   4
 *   uid               16   4
 *   gid               20   4
 *   rdev              24   4
 *   size              28   8
 *   blocks            36   8
 *   atime, ns         44   8
 *   mtime, ns         52   8
 *   ctime, ns         60   8
 *   btime, ns         68   8
 *   data version      76   8
 */
static void attr_encode(const struct fs_attr *a, struct buf *out)
{
	buf_put_le64(out, a->ino);
	buf_put_le32(out, a->mode);
	buf_put_le32(out, a->nlink);
	buf_put_le32(out, a->uid);
	buf_put_le32(out, a->gid);
	buf_put_le32(out, a->rdev);
	buf_put_le64(out, a->size);
	buf_put_le64(out, a->blocks);
	buf_put_le64(out, (uint64_t)a->atime_ns);
	buf_put_le64(out, (uint64_t)a->mtime_ns);
	buf_put_le64(out, (uint64_t)a->ctime_ns);
	buf_put_le64(out, (uint64_t)a->btime_ns);
	buf_put_le64(out, a->data_version);
}

static void attr_decode(struct fs_attr *a, struct cursor *c)
{
	a->ino = cursor_le64(c);
	a->mode = cursor_le32(c);
	a->nlink = cursor_le32(c);
	a->uid = cursor_le32(c);
	a->gid = cursor_le32(c);
	a->rdev = cursor_le32(c);
	a->size = cursor_le64(c);
	a->blocks = cursor_le64(c);
	a->atime_ns = (int64_t)cursor_le64(c);
	a->mtime_ns = (int64_t)cursor_le64(c);
	a->ctime_ns = (int64_t)cursor_le64(c);
	a->btime_ns = (int64_t)cursor_le64(c);
	a->data_version = cursor_le64(c);
}

uint8_t *fs_reply_encode_room(const struct fs_reply *reply, size_t data_len, struct buf *out)
{
	assert(data_len <= UINT32_MAX);
	buf_put_u8(out, REPLY_VERSION);
	buf_put_u8(out, (uint8_t)((reply->has_attr ? REPLY_HAS_ATTR : 0) |
				  (reply->created ? REPLY_CREATED : 0) |
				  (reply->has_dir ? REPLY_HAS_DIR : 0) |
				  (reply->delegation.number ? REPLY_DELEGATED : 0)));
	buf_put_le64(out, reply->old_data_version);
	buf_put_le64(out, reply->count);
	buf_put_le64(out, reply->offset);
	if (reply->has_attr)
		attr_encode(&reply->attr, out);
	if (reply->has_dir)
		attr_encode(&reply->dir, out);
	if (reply->delegation.number) {
		buf_put_le64(out, reply->delegation.session);
		buf_put_le64(out, reply->delegation.number);
		buf_put_le64(out, reply->delegation.bytes);
	}
	buf_put_le32(out, (uint32_t)data_len);
	return buf_extend(out, data_len);
}

void fs_reply_encode(const struct fs_reply *reply, struct buf *out)
{
	uint8_t *room = fs_reply_encode_room(reply, reply->data_len, out);

	if (reply->data_len > 0)
		memcpy(room, reply->data, reply->data_len);
}

int fs_reply_decode(struct fs_reply *reply, const void *data, size_t len)
{
	struct cursor c = cursor_init(data, len);
	uint8_t version = cursor_u8(&c);
	uint8_t flags = cursor_u8(&c);
	struct fs_reply r = {
		.has_attr = flags & REPLY_HAS_ATTR,
		.created = flags & REPLY_CREATED,
		.has_dir = flags & REPLY_HAS_DIR,
	};

	r.old_data_version = cursor_le64(&c);
	r.count = cursor_le64(&c);
	r.offset = cursor_le64(&c);
	if (r.has_attr)
		attr_decode(&r.attr, &c);
	if (r.has_dir)
		attr_decode(&r.dir, &c);
	if (flags & REPLY_DELEGATED) {
		r.delegation.session = cursor_le64(&c);
		r.delegation.number = cursor_le64(&c);
		r.delegation.bytes = cursor_le64(&c);
	}
	r.data = cursor_bytes32(&c, &r.data_len);
	if (version != REPLY_VERSION || (flags & ~REPLY_FLAGS) || !cursor_at_end(&c) ||
	    ((flags & REPLY_DELEGATED) && r.delegation.number == 0))
		return -EPROTO;
	*reply = r;
	return 0;
}

/* ---- readdir -------------------------------------------------------------------------------------- */

#define DIRENT_HEAD_SIZE 22u

/*
 * Dirent.                 off size
 *   ino                     0   8
 *   cookie                  8   8
 *   mode                   16   4
 *   length n of the name   20   2
 *   name                   22   n
 */
void fs_dirent_encode(const struct fs_dirent *d, struct buf *out)
{
	buf_put_le64(out, d->ino);
	buf_put_le64(out, d->cookie);
	buf_put_le32(out, d->mode);
	buf_put_bytes16(out, d->name, d->name_len);
}

size_t fs_dirent_size(size_t name_len)
{
	return DIRENT_HEAD_SIZE + name_len;
}

/* After a successful decode, *data and *len move behind what c has read. */
static bool advance(const struct cursor *c, const uint8_t **data, size_t *len)
{
	if (!cursor_ok(c))
		return false;
	*len = cursor_left(c);
	*data = c->pos;
	return true;
}

bool fs_dirent_next(const uint8_t **data, size_t *len, struct fs_dirent *d)
{
	struct cursor c = cursor_init(*data, *len);
	struct fs_dirent e = { .ino = cursor_le64(&c) };

	e.cookie = cursor_le64(&c);
	e.mode = cursor_le32(&c);
	e.name = (const char *)cursor_bytes16(&c, &e.name_len);
	if (!advance(&c, data, len))
		return false;
	*d = e;
	return true;
}

/* ---- extents -------------------------------------------------------------------------------------- */

/*
 * Extent.                 off size
 *   offset in the file      0   8
 *   length n                8   4
 *   bytes                  12   n
 */
void fs_extent_encode(const struct fs_extent *e, struct buf *out)
{
	buf_put_le64(out, e->offset);
	buf_put_bytes32(out, e->data, e->len);
}

bool fs_extent_next(const uint8_t **data, size_t *len, struct fs_extent *e)
{
	struct cursor c = cursor_init(*data, *len);
	struct fs_extent x = { .offset = cursor_le64(&c) };
	size_t n;

	x.data = cursor_bytes32(&c, &n);
	x.len = (uint32_t)n;
	if (!advance(&c, data, len))
		return false;
	*e = x;
	return true;
}

/* ---- statfs --------------------------------------------------------------------------------------- */

#define STATFS_SPACE_OFF 16u

/*
 * Statfs.              off size
 *   inode count          0   8
 *   bytes used           8   8
 *   total bytes         16   8
 *   free bytes          24   8
 */
void fs_statfs_encode(const struct fs_statfs *st, struct buf *out)
{
	buf_put_le64(out, st->inode_count);
	buf_put_le64(out, st->bytes_used);
	buf_put_le64(out, st->total_bytes);
	buf_put_le64(out, st->free_bytes);
}

int fs_statfs_decode(struct fs_statfs *st, const void *data, size_t len)
{
	struct cursor c = cursor_init(data, len);
	struct fs_statfs s = { .inode_count = cursor_le64(&c) };

	s.bytes_used = cursor_le64(&c);
	s.total_bytes = cursor_le64(&c);
	s.free_bytes = cursor_le64(&c);
	if (!cursor_at_end(&c))
		return -EPROTO;
	*st = s;
	return 0;
}

void fs_statfs_set_space(struct buf *reply, uint64_t total_bytes, uint64_t free_bytes)
{
	struct fs_statfs st;
	struct fs_reply r;
	size_t off;
	int ret = fs_reply_decode(&r, reply->data, reply->len);

	/* It is fs_eval()'s own reply to FS_STATFS. */
	assert(ret == 0);
	ret = fs_statfs_decode(&st, r.data, r.data_len);
	assert(ret == 0);
	off = (size_t)((const uint8_t *)r.data - reply->data) + STATFS_SPACE_OFF;
	buf_set_le64(reply, off, total_bytes);
	buf_set_le64(reply, off + 8, free_bytes);
}

/* ---- orphans -------------------------------------------------------------------------------------- */

/*
 * Orphan or pending truncate.        off size
 *   ino                                0   8
 *   1: a truncate of a living file     8   1
 *   number n of holders                9   4
 *   their session ids                 13   8 n
 */
void fs_orphan_encode(const struct fs_orphan *o, struct buf *out)
{
	buf_put_le64(out, o->ino);
	buf_put_u8(out, o->linked ? 1 : 0);
	buf_put_le32(out, o->holder_count);
	buf_put(out, o->holders, (size_t)o->holder_count * 8);
}

bool fs_orphan_next(const uint8_t **data, size_t *len, struct fs_orphan *o)
{
	struct cursor c = cursor_init(*data, *len);
	struct fs_orphan e = { .ino = cursor_le64(&c) };
	uint8_t linked = cursor_u8(&c);

	e.holder_count = cursor_le32(&c);
	e.holders = cursor_bytes(&c, (size_t)e.holder_count * 8);
	if (linked > 1 || !advance(&c, data, len))
		return false;
	e.linked = linked == 1;
	*o = e;
	return true;
}
