/*
 * fuzz_request.c - arbitrary bytes as request, reply and the sequences in replies: refused, or what
 * encodes to the same bytes. A request that decodes is also evaluated on a small tree, and its entry
 * applied: no request may crash the evaluator or leave a tree that is not sound.
 */
#include "fs/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same_bytes(struct buf *again, const uint8_t *data, size_t size)
{
	assert(again->len == size && (size == 0 || memcmp(again->data, data, size) == 0));
	buf_release(again);
}

/* ---- a state with a root, a directory, a file and a symlink ---- */

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

static void evaluate(struct state *s, const struct fs_request *rq)
{
	struct fs_stamp stamp = { .index = s->index + 1, .wall_ns = 1000 };
	struct kv_txn *txn = kv_txn_new(s->view, NULL);
	struct fs_result res;

	if (fs_eval(txn, rq, &stamp, &res) < 0)
		abort();
	if (res.outcome == FS_OK && !kv_txn_is_empty(txn))
		apply(s, txn);
	buf_release(&res.reply);
	kv_txn_free(txn);
}

static void state_init(struct state *s)
{
	struct kv_meta meta = { .applied_index = 1, .applied_term = 1 };

	*s = (struct state){ .kv = kv_new_memory(&meta), .index = 1 };
	if (kv_view_open(s->kv, &s->view, NULL) < 0)
		abort();
	evaluate(s, &(struct fs_request){ .op = FS_MAKE_ROOT });
	evaluate(s, &(struct fs_request){ .op = FS_MKDIR, .ino = 1, .name = "d", .name_len = 1 });
	evaluate(s, &(struct fs_request){ .op = FS_CREATE, .ino = 2, .name = "f", .name_len = 1 });
	evaluate(s, &(struct fs_request){ .op = FS_SYMLINK,
					  .ino = 1,
					  .name = "l",
					  .name_len = 1,
					  .data = "d/f",
					  .data_len = 3 });
	evaluate(s, &(struct fs_request){ .op = FS_CREATE, .ino = 1, .name = "u", .name_len = 1 });
	evaluate(s, &(struct fs_request){ .op = FS_UNLINK, .ino = 1, .name = "u", .name_len = 1 });
}

static void state_check(struct state *s)
{
	struct kv_txn *txn = kv_txn_new(s->view, NULL);
	struct buf out = BUF_INIT;
	int ret = fs_check(txn, &out);

	assert(ret == 0);
	buf_release(&out);
	kv_txn_free(txn);
	kv_view_close(s->view);
	kv_unref(s->kv);
}

/* ---- decoders ---- */

static void check_request(const uint8_t *data, size_t size)
{
	struct buf again = BUF_INIT;
	struct fs_request rq;
	struct state s;

	if (fs_request_decode(&rq, data, size) < 0)
		return;
	fs_request_encode(&rq, &again);
	same_bytes(&again, data, size);
	state_init(&s);
	evaluate(&s, &rq);
	evaluate(&s, &rq);
	state_check(&s);
}

static void check_reply(const uint8_t *data, size_t size)
{
	struct buf again = BUF_INIT;
	struct fs_reply reply;

	if (fs_reply_decode(&reply, data, size) < 0)
		return;
	fs_reply_encode(&reply, &again);
	same_bytes(&again, data, size);
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
	same_bytes(&again, data, size - left);
	at = data;
	left = size;
	while (fs_orphan_next(&at, &left, &o))
		fs_orphan_encode(&o, &again);
	same_bytes(&again, data, size - left);
	if (fs_statfs_decode(&st, data, size) == 0) {
		fs_statfs_encode(&st, &again);
		same_bytes(&again, data, size);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_request(data, size);
	check_reply(data, size);
	check_sequences(data, size);
	return 0;
}
