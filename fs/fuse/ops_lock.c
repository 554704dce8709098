/*
 * ops_lock.c - fcntl and flock locks of the whole cluster, and what closing does to them.
 *
 * Waiting: SETLK with a waiter number -> "waits" -> LOCK_WAIT, a read that comes back when something went or
 * after a second -> SETLK again. A signal ends the read at once, never the change: so it is always known
 * whether the lock was got. What is left behind then is the waiter row, which a cancel takes away before the
 * caller hears EINTR.
 *
 * Owners: for fcntl what the kernel says, for flock the handle, whose number is never used again (the
 * kernel's own is an address, and the RELEASE of a closed file may come after the address's next lock). FLUSH
 * releases the process' fcntl locks. RELEASE releases flocks, and what is left of those that were last used
 * through its handle: locks of open file descriptions (OFD), of which the kernel tells nothing when they are
 * closed. A POSIX owner cannot be left by then, as every process that had the handle has flushed it.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

#include "base/buf.h"
#include "base/mark.h"
#include "fs/fuse/front.h"

/* ---- requests --------------------------------------------------------------------------------------- */

static struct klock_owner owner_of(const struct op *op)
{
	return (struct klock_owner){ .kind = op->lock.kind, .owner = op->lock.owner, .fh = op->fh };
}

typedef void (*submit_fn)(struct op *op, struct fs_request *rq);

static void submit(struct op *op, uint8_t fs_op, submit_fn how)
{
	struct buf data = BUF_INIT;

	fs_lock_encode(&op->lock, &data);
	how(op, &(struct fs_request){
			.op = fs_op, .ino = op->ino, .data = data.data, .data_len = data.len });
	buf_release(&data);
}

static struct op *lock_op_new(fuse_req_t req, op_done_fn done, fuse_ino_t ino,
			      const struct fuse_file_info *fi, uint8_t kind)
{
	struct op *op = op_new(req, done);

	op->ino = ino;
	op->fh = fi->fh;
	op->lock = (struct fs_lock){
		.kind = kind,
		.type = FS_LOCK_UNLOCK,
		.end = FS_LOCK_END_MAX,
		.owner = kind == FS_LOCK_FLOCK ? fi->fh : fi->lock_owner,
		.pid = (uint32_t)fuse_req_ctx(req)->pid,
	};
	return op;
}

/* ---- release ---------------------------------------------------------------------------------------- */

/* A release that nobody waits for any more: until it is done, or the session with all its locks is. */
struct released {
	struct fs_fuse *fuse;
	uint64_t ino;
	struct fs_lock lock;
};

typedef int (*session_submit_fn)(struct fs_session *s, const struct fs_request *rq, uint32_t pid,
				 fs_reply_fn fn, void *ctx, uint64_t *ticket);

static void release(struct fs_fuse *fuse, uint64_t ino, const struct fs_lock *lock,
		    session_submit_fn how);

static void released_aside(void *ctx, int status, const struct fs_reply *reply)
{
	struct released *r = ctx;
	struct klock_owner who = { .kind = r->lock.kind, .owner = r->lock.owner };
	struct fs_lock_reply rep;

	if (status == 0 && fs_lock_reply_decode(&rep, reply->data, reply->data_len) == 0)
		klock_note(&r->fuse->locks, r->ino, &who, &rep, false);
	if (status == -ETIMEDOUT)
		release(r->fuse, r->ino, &r->lock, fs_session_submit_aside);
	else
		klock_releasing(&r->fuse->locks, r->ino, r->lock.kind, r->lock.owner, false);
	free(r);
}

static void release(struct fs_fuse *fuse, uint64_t ino, const struct fs_lock *lock,
		    session_submit_fn how)
{
	struct released *r = mem_calloc(1, sizeof(*r));
	struct buf data = BUF_INIT;

	r->fuse = fuse;
	r->ino = ino;
	r->lock = *lock;
	fs_lock_encode(lock, &data);
	int ret = how(fuse->session,
		      &(struct fs_request){ .op = FS_LOCK_RELEASE,
					    .ino = ino,
					    .data = data.data,
					    .data_len = data.len },
		      0, released_aside, r, NULL);

	if (ret < 0) /* the session is being freed; the cluster ends it */
		free(r);
	buf_release(&data);
}

static void done_flush(struct op *op, int status, const struct fs_reply *reply)
{
	struct klock_owner who = owner_of(op);
	struct fs_lock_reply rep;

	if (status == 0 && fs_lock_reply_decode(&rep, reply->data, reply->data_len) == 0)
		klock_note(&op->fuse->locks, op->ino, &who, &rep, false);
	if (status == -ETIMEDOUT) {
		MARK("fs.fuse.lock.release-goes-on");
		klock_releasing(&op->fuse->locks, op->ino, who.kind, who.owner, true);
		release(op->fuse, op->ino, &op->lock, fs_session_submit_aside);
	}
	/* With its session a lock has gone as well; whoever used the file has been told. */
	if (status != -ETIMEDOUT && status != -EINTR)
		status = op->status;
	if (status < 0)
		op_reply_error(op, status);
	else
		fuse_reply_err(op->req, 0);
}

void lock_flush(struct op *op, int status)
{
	if (!klock_close(&op->fuse->locks, op->ino, FS_LOCK_POSIX, op->lock.owner)) {
		op_reply_now(op, status); /* the usual case costs nothing */
		return;
	}
	op->done = done_flush;
	op->status = status;
	op->lock = (struct fs_lock){ .kind = FS_LOCK_POSIX,
				     .type = FS_LOCK_UNLOCK,
				     .end = FS_LOCK_END_MAX,
				     .owner = op->lock.owner,
				     .pid = (uint32_t)fuse_req_ctx(op->req)->pid };
	submit(op, FS_LOCK_RELEASE, op_submit);
}

void lock_handle_gone(struct fs_fuse *fuse, uint64_t ino, uint64_t fh)
{
	struct klock_owner who;

	while (klock_take_of_handle(&fuse->locks, ino, fh, &who)) {
		struct fs_lock lock = { .kind = who.kind,
					.type = FS_LOCK_UNLOCK,
					.end = FS_LOCK_END_MAX,
					.owner = who.owner };

		MARK_IF(who.kind == FS_LOCK_POSIX, "fs.fuse.lock.open-file-description");
		/* Leaves before anything that the kernel asks for a next file at the same address. */
		release(fuse, ino, &lock, fs_session_submit);
	}
}

/* ---- set -------------------------------------------------------------------------------------------- */

/* The waiter goes, then the caller is told. */
static void done_cancel(struct op *op, int status, const struct fs_reply *reply)
{
	(void)status;
	(void)reply;
	op_reply_error(op, op->status);
}

static void give_up(struct op *op, int status)
{
	op->status = status;
	op->done = done_cancel;
	submit(op, FS_LOCK_CANCEL, op_submit_again);
}

static void done_wait(struct op *op, int status, const struct fs_reply *reply);

static void done_setlk(struct op *op, int status, const struct fs_reply *reply)
{
	struct klock_owner who = owner_of(op);
	struct fs_lock_reply rep = { .result = FS_LOCK_GRANTED };

	if (status == 0 && fs_lock_reply_decode(&rep, reply->data, reply->data_len) < 0)
		status = -EIO;
	if (status < 0 && op->lock.waiter != 0) {
		give_up(op, status);
		return;
	}
	if (status < 0) {
		op_reply_error(op, status);
		return;
	}
	klock_note(&op->fuse->locks, op->ino, &who, &rep,
		   rep.result == FS_LOCK_GRANTED && op->lock.type != FS_LOCK_UNLOCK);
	switch (rep.result) {
	case FS_LOCK_GRANTED:
		fuse_reply_err(op->req, 0);
		return;
	case FS_LOCK_CONFLICT:
		op_reply_error(op, -EAGAIN);
		return;
	case FS_LOCK_DEADLOCK:
		op_reply_error(op, -EDEADLK);
		return;
	default:
		break;
	}
	if (atomic_load(&op->interrupted)) {
		MARK("fs.fuse.lock.interrupted");
		give_up(op, -EINTR);
		return;
	}
	op->lock.session = rep.session;
	op->done = done_wait;
	submit(op, FS_LOCK_WAIT, op_submit_again);
}

static void done_wait(struct op *op, int status, const struct fs_reply *reply)
{
	(void)reply;
	if (atomic_load(&op->interrupted))
		status = -EINTR;
	if (status < 0 && status != -EAGAIN) {
		give_up(op, status);
		return;
	}
	op->done = done_setlk;
	submit(op, FS_SETLK, op_submit_again);
}

static void set_lock(struct op *op, bool sleep)
{
	struct klock_table *locks = &op->fuse->locks;
	struct klock_owner who = owner_of(op);
	int ret = 0;

	if (op->lock.type == FS_LOCK_UNLOCK) {
		if (!klock_has_asked(locks, op->ino, who.kind, who.owner)) {
			op_reply_now(op, 0);
			return;
		}
	} else {
		ret = klock_ask(locks, op->ino, &who);
		if (sleep)
			op->lock.waiter = atomic_fetch_add(&op->fuse->next_waiter, 1);
	}
	if (ret < 0)
		op_reply_now(op, ret);
	else
		submit(op, FS_SETLK, op_submit);
}

/* false: no such type */
static bool lock_from_flock(const struct flock *fl, struct fs_lock *lock)
{
	switch (fl->l_type) {
	case F_RDLCK:
		lock->type = FS_LOCK_READ;
		break;
	case F_WRLCK:
		lock->type = FS_LOCK_WRITE;
		break;
	case F_UNLCK:
		lock->type = FS_LOCK_UNLOCK;
		break;
	default:
		return false;
	}
	lock->start = (uint64_t)fl->l_start;
	lock->end = fl->l_len == 0 ? FS_LOCK_END_MAX : (uint64_t)(fl->l_start + fl->l_len - 1);
	return fl->l_start >= 0 && lock->start <= lock->end;
}

static void op_setlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *fl,
		     int sleep)
{
	struct op *op = lock_op_new(req, done_setlk, ino, fi, FS_LOCK_POSIX);

	if (fl->l_pid > 0) /* the process; in the request's header stands the thread */
		op->lock.pid = (uint32_t)fl->l_pid;
	if (lock_from_flock(fl, &op->lock))
		set_lock(op, sleep != 0);
	else
		op_reply_now(op, -EINVAL);
}

static void op_flock(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, int how)
{
	struct op *op = lock_op_new(req, done_setlk, ino, fi, FS_LOCK_FLOCK);

	if ((how & LOCK_EX) != 0)
		op->lock.type = FS_LOCK_WRITE;
	else if ((how & LOCK_SH) != 0)
		op->lock.type = FS_LOCK_READ;
	set_lock(op, (how & LOCK_NB) == 0);
}

/* ---- get -------------------------------------------------------------------------------------------- */

static void done_getlk(struct op *op, int status, const struct fs_reply *reply)
{
	struct flock fl = { .l_type = F_UNLCK, .l_whence = SEEK_SET };
	struct fs_lock found;

	if (status == 0 && reply->data_len > 0) {
		if (fs_lock_decode(&found, reply->data, reply->data_len) < 0)
			status = -EIO;
		else
			fl = (struct flock){
				.l_type = found.type == FS_LOCK_READ ? F_RDLCK : F_WRLCK,
				.l_whence = SEEK_SET,
				.l_start = (off_t)found.start,
				.l_len = found.end == FS_LOCK_END_MAX
						 ? 0
						 : (off_t)(found.end - found.start + 1),
				/* A process of another node has no number here. */
				.l_pid = found.session == op->lock.session ? (pid_t)found.pid : 0,
			};
	}
	if (status < 0)
		op_reply_error(op, status);
	else
		fuse_reply_lock(op->req, &fl);
}

static void op_getlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *fl)
{
	struct op *op = lock_op_new(req, done_getlk, ino, fi, FS_LOCK_POSIX);

	op->lock.session = fs_session_id(op->fuse->session);
	if (lock_from_flock(fl, &op->lock))
		submit(op, FS_GETLK, op_submit);
	else
		op_reply_now(op, -EINVAL);
}

void ops_lock_fill(struct fuse_lowlevel_ops *ops, const struct fs_fuse_options *options)
{
	/* Without a handler the kernel keeps these locks to itself. */
	if (!options->local_posix) {
		ops->getlk = op_getlk;
		ops->setlk = op_setlk;
	}
	if (!options->local_flock)
		ops->flock = op_flock;
}

/* ---- what was read under a lock --------------------------------------------------------------------- */

static void done_confirm(struct op *op, int status, const struct fs_reply *reply)
{
	struct fs_lock_reply rep;

	if (status == 0 && fs_lock_reply_decode(&rep, reply->data, reply->data_len) < 0)
		status = -EIO;
	if (status == 0 && rep.session != op->fence) {
		MARK("fs.fuse.lock.read-refused");
		status = -EIO;
	}
	if (status < 0)
		op_reply_error(op, status);
	else
		op->confirmed(op);
}

bool lock_confirm(struct op *op, void (*confirmed)(struct op *op))
{
	if (op->fence == 0 || fs_session_is_kept(op->fuse->session, op->fence))
		return false;
	/* No owner has this number: nothing changes, and nothing is logged. */
	op->lock = (struct fs_lock){ .kind = FS_LOCK_POSIX,
				     .type = FS_LOCK_UNLOCK,
				     .end = FS_LOCK_END_MAX };
	MARK("fs.fuse.lock.read-confirmed");
	op->confirmed = confirmed;
	op->done = done_confirm;
	submit(op, FS_LOCK_RELEASE, op_submit_again);
	return true;
}
