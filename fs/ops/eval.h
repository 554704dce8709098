/*
 * eval.h - the frame of one evaluation, shared by all operations.
 *
 * An operation checks everything first and mutates then: when it returns an error, nothing was put.
 * The only things that may fail after the first put are reads of the store, and a store that fails
 * ends the evaluation without an answer.
 *
 * Return values of operations and helpers: 0; EVAL_BLOCKED with ev->blocked_ino set; -EIO or -EUCLEAN
 * when the store failed or contradicts itself; any other negative number, an errno, is the answer to the client.
 * Operations therefore never answer -EIO or -EUCLEAN themselves.
 */
#ifndef FS_OPS_EVAL_H
#define FS_OPS_EVAL_H

#include "base/base.h"
#include "base/buf.h"
#include "fs/fs.h"
#include "fs/ops/key.h"
#include "fs/ops/rec.h"

#define EVAL_BLOCKED (-4096) /* no errno */
#define EVAL_OWNED_MAX 4 /* symlink targets that one operation loads */

struct eval {
	struct kv_txn *txn;
	const struct fs_request *rq;
	const struct fs_stamp *stamp;
	struct fs_reply reply; /* what the operation answers; its data is in `data` */
	struct buf data;
	struct buf encoded; /* not empty: the operation has encoded its reply itself */
	uint64_t blocked_ino;
	struct fs_delegation blocked_by; /* number 0: none */
	bool frees;                      /* a delegation ends */
	struct buf row;               /* scratch: the last row read */
	struct buf out;               /* scratch: the record being put */
	struct counters_rec counters; /* once loaded */
	bool counters_loaded, counters_changed;
	void *owned[EVAL_OWNED_MAX]; /* freed at the end */
	size_t owned_count;
};

/* How many blocks, or attributes, this entry may drop. */
static inline uint32_t eval_step_blocks(const struct eval *ev)
{
	return ev->stamp->step_blocks ? ev->stamp->step_blocks : FS_RECLAIM_BLOCKS;
}

/* ev->row = the value. 0, -ENOENT, -EIO, -EUCLEAN. */
int eval_get(struct eval *ev, const struct key *k);
/* Starts a record in ev->out; eval_put() stores it under k. */
struct buf *eval_record(struct eval *ev);
void eval_put(struct eval *ev, const struct key *k);
void eval_delete(struct eval *ev, const struct key *k);
/* What a kv call returned as eval's own codes: anything but 0, -ENOENT and -EUCLEAN is -EIO. */
int eval_store_error(int ret);

/* Loads the counters once; ev->counters is valid on 0. */
int eval_counters(struct eval *ev);
/* Stores them at the end of the evaluation. */
void eval_counters_changed(struct eval *ev);

/* The operations, one for each enum fs_op. */
int eval_lookup(struct eval *ev);
int eval_getattr(struct eval *ev);
int eval_open(struct eval *ev);
int eval_readlink(struct eval *ev);
int eval_read(struct eval *ev);
int eval_readdir(struct eval *ev);
int eval_getxattr(struct eval *ev);
int eval_listxattr(struct eval *ev);
int eval_statfs(struct eval *ev);
int eval_orphans(struct eval *ev);
int eval_kv_get(struct eval *ev);
int eval_seek(struct eval *ev);
int eval_access(struct eval *ev);
int eval_setattr(struct eval *ev);
int eval_create(struct eval *ev);
int eval_tmpfile(struct eval *ev);
int eval_open_trunc(struct eval *ev);
int eval_write(struct eval *ev);
int eval_mkdir(struct eval *ev);
int eval_rmdir(struct eval *ev);
int eval_unlink(struct eval *ev);
int eval_link(struct eval *ev);
int eval_symlink(struct eval *ev);
int eval_rename(struct eval *ev);
int eval_mknod(struct eval *ev);
int eval_setxattr(struct eval *ev);
int eval_removexattr(struct eval *ev);
int eval_kv_put(struct eval *ev);
int eval_kv_append(struct eval *ev);
int eval_kv_delete(struct eval *ev);
int eval_allocate(struct eval *ev);
int eval_punch(struct eval *ev);
int eval_copy_range(struct eval *ev);
int eval_gathered(struct eval *ev);
int eval_delegation_return(struct eval *ev); /* RETURN, REVOKE */
int eval_orphan_hold(struct eval *ev);
int eval_reclaim(struct eval *ev);
int eval_sessions_gone(struct eval *ev); /* SESSION_BEGIN, SESSION_END */
int eval_make_root(struct eval *ev);
int eval_getlk(struct eval *ev);
int eval_lock_wait(struct eval *ev);
int eval_setlk(struct eval *ev);
int eval_lock_cancel(struct eval *ev);
int eval_lock_release(struct eval *ev);

#endif
