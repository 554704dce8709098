/* fsfix.c - see fsfix.h. */
#include "tests/lib/fsfix.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/io.h"

#define GROUP 3
#define TERM 5

static struct kv_meta first_meta(void)
{
	struct kv_meta meta = { .group = GROUP, .applied_index = 1, .applied_term = TERM };

	meta.conf = (struct raft_conf){ .index = 1, .count = 1 };
	meta.conf.members[0] =
		(struct raft_member){ .id = 7, .role = RAFT_VOTER, .address = "a:1" };
	return meta;
}

static void open_kv(struct fsfix *f)
{
	struct kv_meta meta = first_meta();
	struct err err = ERR_INIT;

	if (!f->sqlite) {
		f->kv = kv_new_memory(&meta);
		return;
	}
	snprintf(f->base, sizeof(f->base), "/tmp/qfs-fs-XXXXXX");
	assert_non_null(mkdtemp(f->base));
	snprintf(f->dir, sizeof(f->dir), "%s/state", f->base);
	if (kv_create_sqlite(f->dir, &meta, &err) < 0 || kv_open_sqlite(f->dir, &f->kv, &err) < 0)
		fail_msg("%s", err.text);
}

static int setup(void **state, bool sqlite)
{
	struct fsfix *f = mem_calloc(1, sizeof(*f));

	f->sqlite = sqlite;
	f->wall_ns = FSFIX_WALL_START;
	f->applied = f->tail = 1;
	open_kv(f);
	assert_int_equal(kv_view_open(f->kv, &f->view, NULL), 0);
	f->overlay = overlay_new();
	*state = f;
	assert_int_equal(fsfix_eval(f, (struct fs_request){ .op = FS_MAKE_ROOT }), 0);
	return 0;
}

int fsfix_setup_memory(void **state)
{
	return setup(state, false);
}

int fsfix_setup_sqlite(void **state)
{
	return setup(state, true);
}

void fsfix_check(struct fsfix *f)
{
	struct kv_txn *txn = kv_txn_new(f->view, f->overlay);
	struct buf out = BUF_INIT;
	int ret = fs_check(txn, &out);

	buf_put_u8(&out, '\0');
	if (ret != 0)
		fail_msg("fs_check: %d\n%s", ret, (char *)out.data);
	buf_release(&out);
	kv_txn_free(txn);
}

static void check_digest(struct fsfix *f)
{
	uint8_t digest[KV_DIGEST_SIZE];
	struct err err = ERR_INIT;

	if (kv_view_digest(f->view, digest, &err) < 0)
		fail_msg("%s", err.text);
	assert_memory_equal(digest, kv_view_meta(f->view)->digest, sizeof(digest));
}

int fsfix_teardown(void **state)
{
	struct fsfix *f = *state;

	fsfix_check(f);
	fsfix_apply(f);
	fsfix_check(f);
	check_digest(f);
	kv_view_close(f->view);
	overlay_free(f->overlay);
	kv_unref(f->kv);
	if (f->sqlite)
		io_remove_tree(AT_FDCWD, f->base);
	buf_release(&f->encoded);
	free(f->entries);
	free(f);
	return 0;
}

/* ---- evaluating and applying ---- */

void fsfix_apply(struct fsfix *f)
{
	struct err err = ERR_INIT;

	if (f->entry_count == 0)
		return;
	if (kv_apply(f->kv, f->entries, f->entry_count, &err) < 0)
		fail_msg("%s", err.text);
	f->applied = f->tail;
	for (size_t i = 0; i < f->entry_count; i++)
		blob_unref(f->entries[i].data);
	f->entry_count = 0;
	assert_int_equal(kv_view_refresh(f->view), 0);
	overlay_trim(f->overlay, f->applied);
}

static void propose(struct fsfix *f, struct kv_txn *txn, int64_t wall_ns)
{
	struct kv_batch_head head = {
		.group = GROUP, .prev_index = f->tail, .prev_term = TERM, .wall_ns = wall_ns
	};
	struct blob *batch = kv_txn_batch(txn, &head);
	struct kv_batch_iter it;
	struct kv_mutation m;

	assert_int_equal(kv_batch_decode(&head, &it, batch->data, batch->len), 0);
	while (kv_batch_next(&it, &m))
		f->orphans = f->orphans || fs_mutation_is_orphan(&m);
	f->entry_bytes = batch->len;
	f->tail++;
	assert_int_equal(overlay_push(f->overlay, f->tail, TERM, batch), 0);
	if (f->entry_count == f->entry_cap) {
		f->entry_cap = f->entry_cap ? 2 * f->entry_cap : 8;
		f->entries = mem_realloc(f->entries, f->entry_cap * sizeof(*f->entries));
	}
	f->entries[f->entry_count++] = (struct raft_entry){
		.index = f->tail, .term = TERM, .type = RAFT_ENTRY_NORMAL, .data = batch
	};
	if (f->entry_count > f->stack)
		fsfix_apply(f);
}

static int outcome(struct fsfix *f, const struct fs_request *rq, struct kv_txn *txn,
		   const struct fs_result *res, int64_t wall_ns)
{
	f->blocked_ino = res->blocked_ino;
	f->blocked_by = res->blocked_by;
	f->frees = res->frees;
	f->mutated = !kv_txn_is_empty(txn);
	if (res->outcome != FS_OK) {
		assert_false(f->mutated);
		assert_int_equal(res->reply.len, 0);
		if (res->outcome == FS_BLOCKED) {
			assert_int_not_equal(res->blocked_ino, 0);
			return FSFIX_BLOCKED;
		}
		assert_true(res->status < 0);
		return res->status;
	}
	assert_int_equal(fs_reply_decode(&f->reply, res->reply.data, res->reply.len), 0);
	assert_false(f->mutated && fs_op_is_read(rq->op));
	if (f->mutated)
		propose(f, txn, wall_ns);
	return 0;
}

static int eval_once(struct fsfix *f, struct fs_request rq)
{
	struct fs_stamp stamp = { .index = f->tail + 1,
				  .wall_ns = f->wall_ns,
				  .session_id = f->session_id,
				  .step_blocks = f->step_blocks,
				  .room_bytes = f->room_bytes,
				  .no_delegation = f->no_delegation };
	bool plain = f->entry_count == 0 && fs_op_is_read(rq.op);
	struct kv_txn *txn = kv_txn_new(f->view, plain ? NULL : f->overlay);
	struct buf wire = BUF_INIT;
	struct fs_request decoded;
	struct fs_result res;
	int ret;

	rq.uid = f->uid;
	rq.gid = f->gid;
	fs_request_encode(&rq, &wire);
	assert_int_equal(fs_request_decode(&decoded, wire.data, wire.len), 0);
	f->wall_ns += 1000;
	f->orphans = false;
	f->entry_bytes = 0;
	assert_int_equal(fs_eval(txn, &decoded, &stamp, &res), 0);
	buf_release(&f->encoded);
	f->reply = (struct fs_reply){ .count = 0 };
	f->encoded = res.reply;
	ret = outcome(f, &rq, txn, &res, stamp.wall_ns);
	kv_txn_free(txn);
	buf_release(&wire);
	return ret;
}

int fsfix_eval(struct fsfix *f, struct fs_request rq)
{
	int64_t wall_ns = f->wall_ns;
	int ret = eval_once(f, rq);

	/* More than one may be in the way. */
	while (ret == FSFIX_BLOCKED && f->blocked_by.number != 0 && f->recall) {
		f->recall(f->recall_ctx, f->blocked_ino, f->blocked_by);
		f->wall_ns = wall_ns;
		ret = eval_once(f, rq);
	}
	return ret;
}

/* ---- shorthands ---- */

static struct fs_request named(uint8_t op, uint64_t ino, const char *name)
{
	return (struct fs_request){ .op = op, .ino = ino, .name = name, .name_len = strlen(name) };
}

int fsfix_lookup(struct fsfix *f, uint64_t parent, const char *name)
{
	return fsfix_eval(f, named(FS_LOOKUP, parent, name));
}

int fsfix_getattr(struct fsfix *f, uint64_t ino)
{
	return fsfix_eval(f, (struct fs_request){ .op = FS_GETATTR, .ino = ino });
}

int fsfix_create(struct fsfix *f, uint64_t parent, const char *name, uint32_t mode, uint32_t flags)
{
	struct fs_request rq = named(FS_CREATE, parent, name);

	rq.mode = mode;
	rq.flags = flags;
	return fsfix_eval(f, rq);
}

int fsfix_mkdir(struct fsfix *f, uint64_t parent, const char *name, uint32_t mode)
{
	struct fs_request rq = named(FS_MKDIR, parent, name);

	rq.mode = mode;
	return fsfix_eval(f, rq);
}

int fsfix_rmdir(struct fsfix *f, uint64_t parent, const char *name)
{
	return fsfix_eval(f, named(FS_RMDIR, parent, name));
}

int fsfix_unlink(struct fsfix *f, uint64_t parent, const char *name)
{
	return fsfix_eval(f, named(FS_UNLINK, parent, name));
}

int fsfix_link(struct fsfix *f, uint64_t ino, uint64_t parent, const char *name)
{
	struct fs_request rq = named(FS_LINK, ino, name);

	rq.ino2 = parent;
	return fsfix_eval(f, rq);
}

int fsfix_symlink(struct fsfix *f, uint64_t parent, const char *name, const char *target)
{
	struct fs_request rq = named(FS_SYMLINK, parent, name);

	rq.data = target;
	rq.data_len = strlen(target);
	return fsfix_eval(f, rq);
}

int fsfix_rename(struct fsfix *f, uint64_t parent, const char *name, uint64_t parent2,
		 const char *name2, uint32_t flags)
{
	struct fs_request rq = named(FS_RENAME, parent, name);

	rq.ino2 = parent2;
	rq.name2 = name2;
	rq.name2_len = strlen(name2);
	rq.flags = flags;
	return fsfix_eval(f, rq);
}

int fsfix_write(struct fsfix *f, uint64_t ino, uint64_t off, const void *data, size_t len)
{
	return fsfix_eval(
		f,
		(struct fs_request){
			.op = FS_WRITE, .ino = ino, .offset = off, .data = data, .data_len = len });
}

int fsfix_read(struct fsfix *f, uint64_t ino, uint64_t off, size_t len)
{
	return fsfix_eval(
		f, (struct fs_request){ .op = FS_READ, .ino = ino, .offset = off, .size = len });
}

int fsfix_truncate(struct fsfix *f, uint64_t ino, uint64_t size)
{
	return fsfix_eval(
		f, (struct fs_request){
			   .op = FS_SETATTR, .ino = ino, .valid = FS_SET_SIZE, .size = size });
}

int fsfix_chmod(struct fsfix *f, uint64_t ino, uint32_t mode)
{
	return fsfix_eval(
		f, (struct fs_request){
			   .op = FS_SETATTR, .ino = ino, .valid = FS_SET_MODE, .mode = mode });
}

int fsfix_setxattr(struct fsfix *f, uint64_t ino, const char *name, const char *value,
		   uint32_t flags)
{
	struct fs_request rq = named(FS_SETXATTR, ino, name);

	rq.data = value;
	rq.data_len = strlen(value);
	rq.flags = flags;
	return fsfix_eval(f, rq);
}

int fsfix_getxattr(struct fsfix *f, uint64_t ino, const char *name)
{
	return fsfix_eval(f, named(FS_GETXATTR, ino, name));
}

int fsfix_reclaim(struct fsfix *f, uint64_t ino)
{
	return fsfix_eval(f, (struct fs_request){ .op = FS_RECLAIM, .ino = ino });
}

uint64_t fsfix_file(struct fsfix *f, uint64_t parent, const char *name)
{
	assert_int_equal(fsfix_create(f, parent, name, 0644, O_RDWR | O_EXCL), 0);
	return f->reply.attr.ino;
}

uint64_t fsfix_dir(struct fsfix *f, uint64_t parent, const char *name)
{
	assert_int_equal(fsfix_mkdir(f, parent, name, 0755), 0);
	return f->reply.attr.ino;
}

struct fs_attr fsfix_attr(struct fsfix *f, uint64_t ino)
{
	assert_int_equal(fsfix_getattr(f, ino), 0);
	assert_true(f->reply.has_attr);
	assert_int_equal(f->reply.attr.ino, ino);
	return f->reply.attr;
}

void fsfix_assert_content(struct fsfix *f, uint64_t ino, const char *text)
{
	assert_int_equal(fsfix_read(f, ino, 0, FS_IO_MAX), 0);
	assert_int_equal(f->reply.data_len, strlen(text));
	assert_memory_equal(f->reply.data, text, strlen(text));
}

unsigned fsfix_reclaim_all(struct fsfix *f)
{
	unsigned steps = 0;

	for (;;) {
		struct fs_orphan o;
		const uint8_t *data;
		size_t len;

		assert_int_equal(fsfix_eval(f, (struct fs_request){ .op = FS_ORPHANS }), 0);
		data = f->reply.data;
		len = f->reply.data_len;
		if (!fs_orphan_next(&data, &len, &o))
			return steps;
		assert_int_equal(
			fsfix_eval(f, (struct fs_request){ .op = FS_RECLAIM,
							   .ino = o.ino,
							   .flags = o.linked ? FS_RECLAIM_TRUNCATE
									     : 0 }),
			0);
		assert_true(f->mutated);
		steps++;
	}
}
