/*
 * fuzz_request.c - arbitrary bytes as request, reply and the sequences in replies: refused, or what
 * encodes to the same bytes. A request that decodes is also evaluated, twice, on a small tree: no request
 * may crash the evaluator or leave a tree that is not sound.
 */
#include "fs/fs_lock.h"
#include "fs/request.h"
#include "tests/fuzz/fuzz.h"

/* ---- a state with a root, a directory, a file, a symlink and an orphan, made once ---- */

struct state {
	struct kv *kv;
	struct kv_view *view;
	uint64_t index;
};

static void apply(struct state *s, struct kv_txn *txn)
{
	struct kv_batch_head head = { .prev_index = s->index, .prev_term = 1 };
	struct raft_entry e = { .index = ++s->index, .term = 1, .type = RAFT_ENTRY_NORMAL };

	e.data = kv_txn_batch(txn, &head);
	if (kv_apply(s->kv, &e, 1, NULL) < 0 || kv_view_refresh(s->view) < 0)
		abort();
	blob_unref(e.data);
}

static void make(struct state *s, const struct fs_request *rq)
{
	struct fs_stamp stamp = { .index = s->index + 1, .wall_ns = 1000 };
	struct kv_txn *txn = kv_txn_new(s->view, NULL);
	struct fs_result res;

	if (fs_eval(txn, rq, &stamp, &res) < 0 || res.outcome != FS_OK)
		abort();
	apply(s, txn);
	buf_release(&res.reply);
	kv_txn_free(txn);
}

static const struct state *base(void)
{
	static struct state s;
	struct kv_meta meta = { .applied_index = 1, .applied_term = 1 };

	if (s.kv)
		return &s;
	s = (struct state){ .kv = kv_new_memory(&meta), .index = 1 };
	if (kv_view_open(s.kv, &s.view, NULL) < 0)
		abort();
	make(&s, &(struct fs_request){ .op = FS_MAKE_ROOT });
	make(&s, &(struct fs_request){ .op = FS_MKDIR, .ino = 1, .name = "d", .name_len = 1 });
	make(&s, &(struct fs_request){ .op = FS_CREATE, .ino = 2, .name = "f", .name_len = 1 });
	make(&s, &(struct fs_request){
			 .op = FS_WRITE, .ino = 3, .offset = 40000, .data = "x", .data_len = 1 });
	make(&s, &(struct fs_request){ .op = FS_SYMLINK,
				       .ino = 1,
				       .name = "l",
				       .name_len = 1,
				       .data = "d/f",
				       .data_len = 3 });
	make(&s, &(struct fs_request){ .op = FS_CREATE, .ino = 1, .name = "u", .name_len = 1 });
	make(&s, &(struct fs_request){ .op = FS_UNLINK, .ino = 1, .name = "u", .name_len = 1 });
	return &s;
}

/* ---- one request on top of it, as the leader does: what it makes lies in the overlay ---- */

static void evaluate(struct overlay *o, uint64_t *index, const struct fs_request *rq)
{
	const struct state *s = base();
	struct fs_stamp stamp = { .index = *index + 1, .wall_ns = 1000, .session_id = 3 };
	struct kv_batch_head head = { .prev_index = *index, .prev_term = 1 };
	struct kv_txn *txn = kv_txn_new(s->view, o);
	struct fs_result res;
	struct blob *batch;

	if (fs_eval(txn, rq, &stamp, &res) < 0)
		abort();
	if (res.outcome == FS_OK && !kv_txn_is_empty(txn)) {
		batch = kv_txn_batch(txn, &head);
		if (overlay_push(o, ++*index, 1, batch) < 0)
			abort();
		blob_unref(batch);
	}
	buf_release(&res.reply);
	kv_txn_free(txn);
}

static void check_tree(struct overlay *o)
{
	struct kv_txn *txn = kv_txn_new(base()->view, o);
	struct buf out = BUF_INIT;
	int ret = fs_check(txn, &out);

	assert(ret == 0);
	buf_release(&out);
	kv_txn_free(txn);
}

/* ---- decoders ---- */

static void check_request(const uint8_t *data, size_t size)
{
	struct buf again = BUF_INIT;
	uint64_t index = base()->index;
	struct fs_request rq;
	struct overlay *o;

	if (fs_request_decode(&rq, data, size) < 0)
		return;
	fs_request_encode(&rq, &again);
	fuzz_same(&again, data, size);
	o = overlay_new();
	evaluate(o, &index, &rq);
	evaluate(o, &index, &rq);
	if (index > base()->index)
		check_tree(o);
	overlay_free(o);
}

static void check_reply(const uint8_t *data, size_t size)
{
	struct buf again = BUF_INIT;
	struct fs_reply reply;

	if (fs_reply_decode(&reply, data, size) < 0)
		return;
	fs_reply_encode(&reply, &again);
	fuzz_same(&again, data, size);
}

static void check_sequences(const uint8_t *data, size_t size)
{
	struct buf again = BUF_INIT;
	struct fs_statfs st;
	struct fs_dirent d;
	struct fs_orphan o;
	const uint8_t *at = data;
	size_t left = size;

	while (fs_dirent_next(&at, &left, &d))
		fs_dirent_encode(&d, &again);
	fuzz_same(&again, data, size - left);
	at = data;
	left = size;
	while (fs_orphan_next(&at, &left, &o))
		fs_orphan_encode(&o, &again);
	fuzz_same(&again, data, size - left);
	if (fs_statfs_decode(&st, data, size) == 0) {
		fs_statfs_encode(&st, &again);
		fuzz_same(&again, data, size);
	}
}

static void check_locks(const uint8_t *data, size_t size)
{
	struct buf again = BUF_INIT;
	struct fs_lock lock;
	struct fs_lock_reply reply;

	if (fs_lock_decode(&lock, data, size) == 0) {
		fs_lock_encode(&lock, &again);
		fuzz_same(&again, data, size);
	}
	if (fs_lock_reply_decode(&reply, data, size) == 0) {
		fs_lock_reply_encode(&reply, &again);
		fuzz_same(&again, data, size);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_request(data, size);
	check_reply(data, size);
	check_sequences(data, size);
	check_locks(data, size);
	return 0;
}
