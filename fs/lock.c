/* lock.c - locks as bytes. See fs_lock.h. */
#include "fs/fs_lock.h"

#include "base/cursor.h"

/*
 * Lock, inside a request or a reply, whose version it shares.
 *                     off size
 *   kind                0   1   1 POSIX, 2 flock
 *   type                1   1   1 read, 2 write, 3 unlock
 *   first byte          2   8
 *   last byte          10   8   2^63 - 1: to the end
 *   session id         18   8
 *   owner              26   8
 *   waiter             34   8
 *   pid                42   4
 */
void fs_lock_encode(const struct fs_lock *lock, struct buf *out)
{
	buf_put_u8(out, lock->kind);
	buf_put_u8(out, lock->type);
	buf_put_le64(out, lock->start);
	buf_put_le64(out, lock->end);
	buf_put_le64(out, lock->session);
	buf_put_le64(out, lock->owner);
	buf_put_le64(out, lock->waiter);
	buf_put_le32(out, lock->pid);
}

int fs_lock_decode(struct fs_lock *lock, const void *data, size_t len)
{
	struct cursor c = cursor_init(data, len);
	struct fs_lock l = { .kind = cursor_u8(&c) };

	l.type = cursor_u8(&c);
	l.start = cursor_le64(&c);
	l.end = cursor_le64(&c);
	l.session = cursor_le64(&c);
	l.owner = cursor_le64(&c);
	l.waiter = cursor_le64(&c);
	l.pid = cursor_le32(&c);
	if (!cursor_at_end(&c) || l.kind < FS_LOCK_POSIX || l.kind > FS_LOCK_FLOCK ||
	    l.type < FS_LOCK_READ || l.type > FS_LOCK_UNLOCK || l.start > l.end ||
	    l.end > FS_LOCK_END_MAX ||
	    (l.kind == FS_LOCK_FLOCK && (l.start != 0 || l.end != FS_LOCK_END_MAX)))
		return -EPROTO;
	*lock = l;
	return 0;
}

/*
 * Reply to SETLK and LOCK_RELEASE.
 *                     off size
 *   result              0   1   0 granted, 1 conflict, 2 waits, 3 deadlock
 *   session id          1   8
 *   index               9   8
 *   rows left          17   4
 */
void fs_lock_reply_encode(const struct fs_lock_reply *reply, struct buf *out)
{
	buf_put_u8(out, reply->result);
	buf_put_le64(out, reply->session);
	buf_put_le64(out, reply->index);
	buf_put_le32(out, reply->left);
}

int fs_lock_reply_decode(struct fs_lock_reply *reply, const void *data, size_t len)
{
	struct cursor c = cursor_init(data, len);
	struct fs_lock_reply r = { .result = cursor_u8(&c) };

	r.session = cursor_le64(&c);
	r.index = cursor_le64(&c);
	r.left = cursor_le32(&c);
	if (!cursor_at_end(&c) || r.result > FS_LOCK_DEADLOCK)
		return -EPROTO;
	*reply = r;
	return 0;
}
