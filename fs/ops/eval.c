/* eval.c - one request to one outcome: the dispatch table and what surrounds an operation. */
#include "fs/ops/eval.h"

#include "base/mark.h"
#include "fs/ops/delegation.h"
#include "fs/ops/perm.h"
#include "fs/request.h"

typedef int (*eval_fn)(struct eval *ev);

static const eval_fn eval_table[] = {
	[FS_LOOKUP] = eval_lookup,       [FS_GETATTR] = eval_getattr,
	[FS_OPEN] = eval_open,           [FS_READLINK] = eval_readlink,
	[FS_READ] = eval_read,           [FS_READDIR] = eval_readdir,
	[FS_GETXATTR] = eval_getxattr,   [FS_LISTXATTR] = eval_listxattr,
	[FS_STATFS] = eval_statfs,       [FS_ORPHANS] = eval_orphans,
	[FS_KV_GET] = eval_kv_get,       [FS_SETATTR] = eval_setattr,
	[FS_CREATE] = eval_create,       [FS_OPEN_TRUNC] = eval_open_trunc,
	[FS_WRITE] = eval_write,         [FS_MKDIR] = eval_mkdir,
	[FS_RMDIR] = eval_rmdir,         [FS_UNLINK] = eval_unlink,
	[FS_LINK] = eval_link,           [FS_SYMLINK] = eval_symlink,
	[FS_RENAME] = eval_rename,       [FS_MKNOD] = eval_mknod,
	[FS_SETXATTR] = eval_setxattr,   [FS_REMOVEXATTR] = eval_removexattr,
	[FS_KV_PUT] = eval_kv_put,       [FS_KV_APPEND] = eval_kv_append,
	[FS_KV_DELETE] = eval_kv_delete, [FS_ORPHAN_HOLD] = eval_orphan_hold,
	[FS_RECLAIM] = eval_reclaim,     [FS_MAKE_ROOT] = eval_make_root,
	[FS_SEEK] = eval_seek,           [FS_ALLOCATE] = eval_allocate,
	[FS_PUNCH] = eval_punch,         [FS_COPY_RANGE] = eval_copy_range,
	[FS_SESSION_BEGIN] = eval_sessions_gone, [FS_SESSION_END] = eval_sessions_gone,
	[FS_GETLK] = eval_getlk,         [FS_LOCK_WAIT] = eval_lock_wait,
	[FS_SETLK] = eval_setlk,         [FS_LOCK_CANCEL] = eval_lock_cancel,
	[FS_LOCK_RELEASE] = eval_lock_release, [FS_TMPFILE] = eval_tmpfile,
	[FS_ACCESS] = eval_access,       [FS_GATHERED] = eval_gathered,
	[FS_DELEGATION_RETURN] = eval_delegation_return, [FS_DELEGATION_REVOKE] = eval_delegation_return,
};

int eval_store_error(int ret)
{
	if (ret == 0 || ret == -ENOENT || ret == -EUCLEAN)
		return ret;
	return -EIO;
}

int eval_get(struct eval *ev, const struct key *k)
{
	buf_reset(&ev->row);
	return eval_store_error(kv_txn_get(ev->txn, k->data, k->len, &ev->row));
}

struct buf *eval_record(struct eval *ev)
{
	buf_reset(&ev->out);
	return &ev->out;
}

void eval_put(struct eval *ev, const struct key *k)
{
	kv_txn_put(ev->txn, k->data, k->len, ev->out.data, ev->out.len);
}

void eval_delete(struct eval *ev, const struct key *k)
{
	kv_txn_delete(ev->txn, k->data, k->len);
}

/* ---- counters ------------------------------------------------------------------------------------- */

int eval_counters(struct eval *ev)
{
	struct key k;
	int ret;

	if (ev->counters_loaded)
		return 0;
	key_counters(&k);
	ret = eval_get(ev, &k);
	if (ret == -ENOENT) {
		ev->counters = (struct counters_rec){ .next_ino = FS_ROOT_INO };
		ret = 0;
	} else if (ret == 0) {
		ret = counters_rec_decode(&ev->counters, ev->row.data, ev->row.len);
	}
	ev->counters_loaded = ret == 0;
	return ret;
}

void eval_counters_changed(struct eval *ev)
{
	assert(ev->counters_loaded);
	ev->counters_changed = true;
}

static void store_counters(struct eval *ev)
{
	struct key k;

	key_counters(&k);
	counters_rec_encode(&ev->counters, eval_record(ev));
	eval_put(ev, &k);
}

int eval_statfs(struct eval *ev)
{
	struct fs_statfs st = { .inode_count = 0 };
	int ret = eval_counters(ev);

	if (ret < 0)
		return ret;
	st.inode_count = ev->counters.inode_count;
	st.bytes_used = ev->counters.bytes_used;
	fs_statfs_encode(&st, &ev->data);
	return 0;
}

/* ---- the whole ------------------------------------------------------------------------------------ */

/* A change that relies on locks of a session which is not the one it comes in: those locks are gone. */
static bool is_fenced(const struct eval *ev)
{
	const struct fs_request *rq = ev->rq;

	return (rq->op == FS_WRITE || rq->op == FS_SETATTR || rq->op == FS_ALLOCATE ||
		rq->op == FS_PUNCH) &&
	       rq->ino2 != 0 && rq->ino2 != ev->stamp->session_id;
}

static int run(struct eval *ev)
{
	uint8_t op = ev->rq->op;

	if (is_fenced(ev)) {
		MARK("fs.lock.write-fenced");
		return -ENOLCK;
	}
	if (op >= ARRAY_SIZE(eval_table) || !eval_table[op])
		return -ENOSYS;
	int ret = fs_op_grows(op) ? delegation_leaves_room(ev) : 0;

	if (ret == 0 && ev->rq->checked)
		ret = perm_check_request(ev);
	return ret == 0 ? eval_table[op](ev) : ret;
}

static void finish(struct eval *ev, struct fs_result *result)
{
	if (ev->counters_changed)
		store_counters(ev);
	if (ev->encoded.len > 0) {
		result->reply = ev->encoded;
		ev->encoded = BUF_INIT;
		return;
	}
	ev->reply.data = ev->data.data;
	ev->reply.data_len = ev->data.len;
	fs_reply_encode(&ev->reply, &result->reply);
}

static void eval_release(struct eval *ev)
{
	for (size_t i = 0; i < ev->owned_count; i++)
		free(ev->owned[i]);
	buf_release(&ev->data);
	buf_release(&ev->encoded);
	buf_release(&ev->row);
	buf_release(&ev->out);
}

int fs_eval(struct kv_txn *txn, const struct fs_request *rq, const struct fs_stamp *stamp,
	    struct fs_result *result)
{
	struct eval ev = { .txn = txn, .rq = rq, .stamp = stamp };
	bool was_empty = kv_txn_is_empty(txn);
	int ret = run(&ev);

	*result = (struct fs_result){ .reply = BUF_INIT };
	if (ret == 0) {
		finish(&ev, result);
		result->frees = ev.frees;
		assert(!fs_op_is_read(rq->op) || kv_txn_is_empty(txn) == was_empty);
	} else if (ret == EVAL_BLOCKED) {
		result->outcome = FS_BLOCKED;
		result->blocked_ino = ev.blocked_ino;
		result->blocked_by = ev.blocked_by;
		ret = 0;
	} else if (ret != -EIO && ret != -EUCLEAN) {
		assert(kv_txn_is_empty(txn) == was_empty);
		result->outcome = FS_ERROR;
		result->status = ret;
		ret = 0;
	}
	eval_release(&ev);
	return ret;
}
