/*
 * op.c - one kernel request: submitted once, answered once.
 *
 * Interrupts: libfuse calls interrupted() with the request's lock held, possibly before the session
 * knows the request. So it only leaves a mark or tells the session, whose timer decides; and before
 * a reply frees the request, fuse_req_interrupt_func(NULL) waits until no such call is running,
 * which makes the op safe to free.
 */
#include <linux/xattr.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/log.h"
#include "fs/fuse/front.h"

struct op *op_new(fuse_req_t req, op_done_fn done)
{
	struct op *op = mem_calloc(1, sizeof(*op));

	op->fuse = fuse_req_userdata(req);
	op->req = req;
	op->done = done;
	atomic_init(&op->refs, 1);
	return op;
}

static void op_unref(struct op *op)
{
	if (atomic_fetch_sub(&op->refs, 1) != 1)
		return;
	buf_release(&op->data);
	buf_release(&op->asked_names);
	buf_release(&op->held_bytes);
	free(op);
}

static void interrupted(fuse_req_t req, void *data)
{
	struct op *op = data;

	(void)req;
	atomic_store(&op->interrupted, true);
	uint64_t ticket = atomic_load(&op->ticket);

	if (ticket != 0)
		fs_session_interrupt(op->fuse->session, ticket);
}

static void op_done(struct op *op, int status, const struct fs_reply *reply)
{
	struct fs_fuse *fuse = op->fuse;
	uint64_t changed_ino = op->changes ? op->ino : 0;
	struct fs_reply shown;

	if (status == 0 && reply && reply->has_attr) {
		shown = *reply;
		gather_show(&fuse->gather, &shown.attr);
		reply = &shown;
	}
	op->done(op, status, reply);
	if (changed_ino != 0)
		kinode_change_end(&fuse->inodes, changed_ino);
}

static void asked(struct op *op, const struct fs_reply *reply)
{
	if (op->asks)
		gather_asked(&op->fuse->gather, op->asked.op == FS_WRITE ? op->asked.ino : 0, reply);
	op->asks = false;
}

static bool waits_to_show(struct op *op, const struct fs_reply *reply);

static void answered(void *ctx, int status, const struct fs_reply *reply)
{
	struct op *op = ctx;

	fuse_req_interrupt_func(op->req, NULL, NULL);
	if (reply)
		lcache_learn(&op->fuse->known, &op->asked, status, reply);
	asked(op, status == 0 ? reply : NULL);
	if (status == 0 && reply && op->asked.op == FS_LOOKUP && waits_to_show(op, reply))
		return;
	op_done(op, status, reply);
	op_unref(op);
}

static void note_asked(struct op *op, const struct fs_request *rq)
{
	buf_reset(&op->asked_names);
	buf_put(&op->asked_names, rq->name, rq->name_len);
	buf_put(&op->asked_names, rq->name2, rq->name2_len);
	op->asked = *rq;
	op->asked.name = (const char *)op->asked_names.data;
	op->asked.name2 = op->asked.name ? op->asked.name + rq->name_len : NULL;
	op->asked.data = NULL;
	op->asked.data_len = 0;
}

/* True: done was called, with what a node would have answered now. */
static bool answer_here(struct op *op, const struct fs_request *rq)
{
	struct fs_reply reply = { .has_attr = true };
	int status = -EAGAIN;

	if (rq->checked || op->fence != 0)
		return false;
	if (rq->op == FS_LOOKUP)
		status = lcache_lookup(&op->fuse->known, rq->ino, rq->name, rq->name_len, &reply.attr);
	else if ((rq->op == FS_GETATTR || rq->op == FS_OPEN) &&
		 lcache_attr(&op->fuse->known, rq->ino, &reply.attr))
		status = 0;
	if (status == 0 && gather_look(&op->fuse->gather, reply.attr.ino, op->aside, NULL) == GATHER_WAITS)
		return false;
	if (status != -EAGAIN)
		op_done(op, status, status == 0 ? &reply : NULL);
	return status != -EAGAIN;
}

static int name_check(const char *name, size_t len)
{
	return name && len > FS_NAME_MAX ? -ENAMETOOLONG : 0;
}

typedef int (*submit_fn)(struct fs_session *s, const struct fs_request *rq, uint32_t pid, fs_reply_fn fn,
			 void *ctx, uint64_t *ticket);

/* 0: op->done was or will be called. The caller holds a reference meanwhile. */
static int submit(struct op *op, const struct fs_request *rq, submit_fn how)
{
	uint32_t pid = (uint32_t)fuse_req_ctx(op->req)->pid;
	uint64_t ticket = 0;

	note_asked(op, rq);
	atomic_fetch_add(&op->refs, 1); /* the callback's */
	fuse_req_interrupt_func(op->req, interrupted, op);
	int ret = how(op->fuse->session, rq, pid, answered, op, &ticket);

	if (ret < 0) {
		fuse_req_interrupt_func(op->req, NULL, NULL);
		op_unref(op);
		return ret;
	}
	/* It may be answered by now, and the next one submitted, whose ticket is greater and stays. */
	uint64_t last = atomic_load(&op->ticket);

	while (last < ticket && !atomic_compare_exchange_weak(&op->ticket, &last, ticket))
		;
	if (atomic_load(&op->interrupted))
		fs_session_interrupt(op->fuse->session, ticket);
	return 0;
}

bool op_is_squashed(fuse_req_t req)
{
	const struct fs_fuse *fuse = fuse_req_userdata(req);
	const struct fs_squash *squash = &fuse->options.squash;

	return squash->all || (squash->root && fuse_req_ctx(req)->uid == 0);
}

static void set_caller(const struct op *op, struct fs_request *rq)
{
	const struct fs_squash *squash = &op->fuse->options.squash;
	const struct fuse_ctx *caller = fuse_req_ctx(op->req);

	if (op->is_writepage)
		return; /* the kernel, for whoever wrote to the page */
	bool squashed = op_is_squashed(op->req);

	rq->uid = squashed ? squash->uid : caller->uid;
	rq->gid = squashed ? squash->gid : caller->gid;
	rq->checked = squashed && !op->by_handle;
}

static submit_fn how_of(const struct op *op)
{
	return op->aside ? fs_session_submit_aside : fs_session_submit;
}

/* ---- what was gathered comes first ---- */

static enum gather_verdict gate_write(struct op *op, const struct fs_request *rq, struct gather_wait *w)
{
	struct gather *t = &op->fuse->gather;
	struct gather_write wr = { .offset = rq->offset,
				   .data = rq->data,
				   .len = rq->data_len,
				   .uid = rq->uid,
				   .gid = rq->gid };

	return op->may_gather ? gather_write(t, rq->ino, &wr, op->aside, w) :
				gather_hold(t, rq->ino, op->aside, w);
}

static bool is_capability(const struct fs_request *rq)
{
	return rq->name_len == strlen(XATTR_NAME_CAPS) && memcmp(rq->name, XATTR_NAME_CAPS, rq->name_len) == 0;
}

/* May the request go to a node? DONE: op->data has what is to be read, or what is to be written was taken. */
static enum gather_verdict gate(struct op *op, const struct fs_request *rq, struct gather_wait *w)
{
	struct gather *t = &op->fuse->gather;
	enum gather_verdict first;

	if (op->has_waited && rq->op != FS_WRITE && rq->op != FS_COPY_RANGE)
		return GATHER_PASS;
	switch (rq->op) {
	case FS_WRITE:
		return gate_write(op, rq, w);
	case FS_READ:
		return gather_read(t, rq->ino, rq->offset, rq->size, &op->data, op->aside, w);
	case FS_GETATTR:
	case FS_OPEN:
		return gather_look(t, rq->ino, op->aside, w);
	case FS_COPY_RANGE:
		first = gather_hold(t, rq->ino, op->aside, w);
		return first == GATHER_PASS ? gather_hold(t, rq->ino2, op->aside, w) : first;
	case FS_SETATTR:
		return gather_set(t, rq, &op->attr, op->aside, w);
	case FS_OPEN_TRUNC:
	case FS_ALLOCATE:
	case FS_PUNCH:
	case FS_SEEK:
	case FS_ACCESS:
	case FS_GETXATTR:
		return is_capability(rq) ? gather_capability(t, rq->ino, op->aside, w) :
					   gather_hold(t, rq->ino, op->aside, w);
	case FS_LISTXATTR:
	case FS_SETXATTR:
	case FS_REMOVEXATTR:
		return gather_hold(t, rq->ino, op->aside, w);
	default:
		return GATHER_PASS;
	}
}

static void start(struct op *op, struct fs_request *rq);

static void waited(struct gather_wait *w, int status)
{
	struct op *op = CONTAINER_OF(w, struct op, wait);

	fuse_req_interrupt_func(op->req, NULL, NULL);
	op->aside = op->has_waited = true;
	if (status == 0) {
		start(op, &op->held);
		return;
	}
	op_done(op, status, NULL);
	op_unref(op);
}

static bool wait_is_killed(struct gather_wait *w)
{
	struct op *op = CONTAINER_OF(w, struct op, wait);

	return atomic_load(&op->interrupted) &&
	       fs_fuse_killed(op->fuse, (uint32_t)fuse_req_ctx(op->req)->pid);
}

/* From here on op belongs to who ends the wait, if there is one. */
static void prepare_wait(struct op *op, void (*done)(struct gather_wait *w, int status))
{
	op->wait.done = done;
	op->wait.killed = wait_is_killed;
	fuse_req_interrupt_func(op->req, interrupted, op);
}

/* rq may be op->held already. */
static void keep_request(struct op *op, const struct fs_request *rq)
{
	struct buf bytes = BUF_INIT;

	buf_put(&bytes, rq->name, rq->name_len);
	buf_put(&bytes, rq->name2, rq->name2_len);
	buf_put(&bytes, rq->data, rq->data_len);
	op->held = *rq;
	op->held.name = (const char *)bytes.data;
	op->held.name2 = op->held.name ? op->held.name + rq->name_len : NULL;
	op->held.data = bytes.data ? bytes.data + rq->name_len + rq->name2_len : NULL;
	buf_release(&op->held_bytes);
	op->held_bytes = bytes;
}

/* A name leads to what was gathered, and cannot be shown before that is sent: then it is looked up again. */
static bool waits_to_show(struct op *op, const struct fs_reply *reply)
{
	struct gather *t = &op->fuse->gather;
	uint64_t ino = reply->attr.ino;

	if (op->has_waited || !reply->has_attr || gather_look(t, ino, true, NULL) != GATHER_WAITS)
		return false;
	keep_request(op, &op->asked);
	prepare_wait(op, waited);
	if (gather_look(t, ino, true, &op->wait) == GATHER_WAITS)
		return true;
	fuse_req_interrupt_func(op->req, NULL, NULL);
	return false;
}

static void gathered(struct op *op, const struct fs_request *rq)
{
	struct fs_reply reply = { .count = rq->data_len, .offset = rq->offset };
	struct buf data = op->data;

	if (rq->op == FS_GETXATTR) {
		op_done(op, -ENODATA, NULL);
		return;
	}

	if (rq->op == FS_SETATTR) {
		reply.has_attr = true;
		reply.attr = op->attr;
		reply.old_data_version = reply.attr.data_version;
	} else if (rq->op == FS_WRITE) {
		/* Pages of it are older than what is shown from now on, though no version says so yet. */
		kinode_distrust(&op->fuse->inodes, rq->ino);
	} else {
		op->data = BUF_INIT; /* done_read() may fill it */
		reply.data = data.data;
		reply.data_len = data.len;
	}
	op_done(op, 0, &reply);
	if (rq->op == FS_READ)
		buf_release(&data);
}

static void send(struct op *op, struct fs_request *rq)
{
	if (op->may_gather)
		rq->size = gather_ask(&op->fuse->gather, rq->op == FS_WRITE ? rq->ino : 0);
	op->asks = op->may_gather && rq->size > 0;
	int ret = submit(op, rq, how_of(op));

	if (ret < 0) {
		asked(op, NULL);
		op_done(op, ret, NULL);
	}
	op_unref(op);
}

/* Takes op's reference. */
static void start(struct op *op, struct fs_request *rq)
{
	enum gather_verdict verdict = gate(op, rq, NULL);

	if (verdict == GATHER_WAITS) {
		keep_request(op, rq);
		rq = &op->held;
		prepare_wait(op, waited);
		verdict = gate(op, rq, &op->wait);
		if (verdict == GATHER_WAITS)
			return;
		fuse_req_interrupt_func(op->req, NULL, NULL);
	}
	if (verdict == GATHER_DONE)
		gathered(op, rq);
	if (verdict == GATHER_PASS && !answer_here(op, rq))
		send(op, rq);
	else
		op_unref(op);
}

void op_submit(struct op *op, struct fs_request *rq)
{
	if (op->changes)
		kinode_change_begin(&op->fuse->inodes, op->ino);
	int ret = name_check(rq->name, rq->name_len);

	set_caller(op, rq);
	if (ret == 0)
		ret = name_check(rq->name2, rq->name2_len);
	if (ret == 0) {
		start(op, rq);
		return;
	}
	op_done(op, ret, NULL);
	op_unref(op);
}

static void sync_waited(struct gather_wait *w, int status)
{
	struct op *op = CONTAINER_OF(w, struct op, wait);

	fuse_req_interrupt_func(op->req, NULL, NULL);
	op->aside = true;
	op->synced(op, status);
}

void op_sync(struct op *op, bool last, void (*synced)(struct op *op, int status))
{
	struct gather *t = &op->fuse->gather;
	int status;

	op->synced = synced;
	if (gather_sync(t, op->ino, last, &status, false, NULL) == GATHER_WAITS) {
		prepare_wait(op, sync_waited);
		if (gather_sync(t, op->ino, last, &status, false, &op->wait) == GATHER_WAITS)
			return;
		fuse_req_interrupt_func(op->req, NULL, NULL);
	}
	synced(op, status);
}

void op_submit_again(struct op *op, struct fs_request *rq)
{
	assert(!op->changes);
	set_caller(op, rq);
	int ret = submit(op, rq, fs_session_submit_aside);

	if (ret < 0) /* the session is being freed: nothing can be submitted any more, whatever it is */
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the answer's reference is still there */
		op_reply_error(op, ret);
}

void op_reply_now(struct op *op, int status)
{
	if (status < 0)
		op_reply_error(op, status);
	else
		fuse_reply_err(op->req, 0);
	op_unref(op);
}

static bool pages_still_stale(struct notice *n)
{
	const struct op *op = CONTAINER_OF(n, struct op, notice);

	return !kinode_is_current(&op->fuse->inodes, op->attr.ino, op->attr.data_version);
}

static void pages_dropped(struct notice *n)
{
	struct op *op = CONTAINER_OF(n, struct op, notice);

	kinode_dropped(&op->fuse->inodes, &op->attr);
	op->finish(op);
	op_unref(op);
}

void op_finish_coherent(struct op *op, void (*finish)(struct op *op))
{
	if (!S_ISREG(op->attr.mode) ||
	    !kinode_observe(&op->fuse->inodes, &op->attr, op->tells_attr)) {
		finish(op);
		return;
	}
	op->finish = finish;
	op->notice.ino = op->attr.ino;
	op->notice.wanted = pages_still_stale;
	op->notice.done = pages_dropped;
	atomic_fetch_add(&op->refs, 1);
	notifier_push(&op->fuse->notifier, &op->notice);
}

/* ---- replies ---- */

void op_reply_error(struct op *op, int status)
{
	assert(status < 0);
	/* Where nodes are is none of the application's business. */
	if (status == -ENOTCONN || status <= -1000 || (status == -ETIMEDOUT && op->fuse->live.soft))
		status = -EIO;
	fuse_reply_err(op->req, -status);
}

/* As libfuse's options of these names do it: setuid, setgid and sticky bits are not shown either. */
static void show_as(const struct fs_shown *shown, struct stat *st)
{
	uint32_t mask = S_ISDIR(st->st_mode) ? shown->dmask : shown->fmask;

	if (shown->uid != FS_AS_STORED)
		st->st_uid = shown->uid;
	if (shown->gid != FS_AS_STORED)
		st->st_gid = shown->gid;
	if (mask != FS_AS_STORED)
		st->st_mode = (st->st_mode & S_IFMT) | (0777 & ~mask);
}

void op_fill_stat(struct fs_fuse *fuse, const struct fs_attr *a, struct stat *st)
{
	const int64_t second = 1000000000;
	struct timespec *times[] = { &st->st_atim, &st->st_mtim, &st->st_ctim };
	const int64_t ns[] = { atime_shown(&fuse->atimes, a), a->mtime_ns,
			       a->ctime_ns };

	*st = (struct stat){
		.st_ino = a->ino,
		.st_mode = a->mode,
		.st_nlink = a->nlink,
		.st_uid = a->uid,
		.st_gid = a->gid,
		.st_rdev = a->rdev,
		.st_size = (off_t)a->size,
		.st_blksize = FRONT_IO_SIZE,
		.st_blocks = (blkcnt_t)a->blocks,
	};
	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		int64_t rest = ns[i] % second;

		/* Before 1970 the seconds round down, so that nanoseconds stay positive. */
		times[i]->tv_sec = ns[i] / second - (rest < 0);
		times[i]->tv_nsec = rest < 0 ? rest + second : rest;
	}
	show_as(&fuse->options.shown, st);
}

void op_fill_entry(struct fs_fuse *fuse, const struct fs_attr *attr,
		   struct fuse_entry_param *e)
{
	*e = (struct fuse_entry_param){
		.ino = attr->ino == fuse->options.root_ino ? FUSE_ROOT_ID : attr->ino,
		.generation = 1, /* inode numbers are never used again */
		.attr_timeout = fuse->live.attr_timeout,
		.entry_timeout = fuse->live.entry_timeout,
	};
	op_fill_stat(fuse, attr, &e->attr);
}

void op_reply_attr(struct op *op)
{
	struct stat st;

	op_fill_stat(op->fuse, &op->attr, &st);
	fuse_reply_attr(op->req, &st, op->fuse->live.attr_timeout);
}

void op_reply_entry(struct op *op)
{
	struct fuse_entry_param e;

	op_fill_entry(op->fuse, &op->attr, &e);
	/* Counted first, as a FORGET may follow at once; a reply that nobody took does not count.
	 */
	kinode_lookup(&op->fuse->inodes, &op->attr);
	if (fuse_reply_entry(op->req, &e) < 0)
		kinode_forget(&op->fuse->inodes, op->attr.ino, 1);
}

void op_done_status(struct op *op, int status, const struct fs_reply *reply)
{
	(void)reply;
	if (status < 0)
		op_reply_error(op, status);
	else
		fuse_reply_err(op->req, 0);
}

void op_done_entry(struct op *op, int status, const struct fs_reply *reply)
{
	if (status == 0 && !reply->has_attr)
		status = -EIO;
	if (status < 0) {
		op_reply_error(op, status);
		return;
	}
	op->attr = reply->attr;
	op->tells_attr = true;
	op_finish_coherent(op, op_reply_entry);
}
