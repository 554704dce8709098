/*
 * fuzz_batch.c - the batch decoder on arbitrary bytes: refuses, or gives what encodes to the same bytes
 * and passes through overlay and apply.
 */
#include "store/kv.h"
#include "tests/fuzz/fuzz.h"

static void check_encoding(const struct kv_batch_head *head, struct kv_batch_iter it,
			   const uint8_t *data, size_t size)
{
	struct buf again = BUF_INIT;
	struct kv_mutation m;

	kv_batch_encode_head(head, &again);
	while (kv_batch_next(&it, &m))
		kv_mutation_encode(&m, &again);
	fuzz_same(&again, data, size);
}

static void check_overlay(struct kv_batch_iter it, struct kv_view *view, struct blob *batch)
{
	struct overlay *o = overlay_new();
	struct kv_mutation m;
	struct kv_txn *t;
	uint8_t byte;
	uint32_t block;
	int ret = overlay_push(o, 2, 1, batch);

	assert(ret == 0);
	t = kv_txn_new(view, o);
	while (kv_batch_next(&it, &m)) {
		if (m.key)
			kv_txn_get(t, m.key, m.key_len, NULL);
		else
			kv_txn_read(t, m.ino, (uint64_t)m.block * KV_BLOCK_SIZE, &byte, 1);
		kv_txn_next_block(t, m.ino, m.block, &block);
	}
	kv_txn_free(t);
	overlay_trim(o, 2);
	assert(overlay_entry_count(o) == 0 && overlay_bytes(o) == 0);
	overlay_free(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kv_batch_head head;
	struct kv_batch_iter it;
	struct kv_meta meta = { .applied_index = 1, .applied_term = 1 };
	struct raft_entry e = { .index = 2, .term = 2, .type = RAFT_ENTRY_NORMAL };
	uint8_t digest[KV_DIGEST_SIZE];
	struct kv_view *view;
	struct kv *kv;

	if (kv_batch_decode(&head, &it, data, size) < 0)
		return 0;
	check_encoding(&head, it, data, size);
	/* The state stands where the batch wants it. */
	meta.group = head.group;
	meta.applied_index = head.prev_index;
	meta.applied_term = head.prev_term;
	e.index = head.prev_index + 1;
	e.term = head.prev_term;
	kv = kv_new_memory(&meta);
	if (kv_view_open(kv, &view, NULL) < 0)
		abort();
	e.data = blob_from(data, size);
	check_overlay(it, view, e.data);
	if (kv_apply(kv, &e, 1, NULL) == 0) {
		if (kv_view_refresh(view) < 0 || kv_view_digest(view, digest, NULL) < 0)
			abort();
		assert(memcmp(digest, kv_view_meta(view)->digest, sizeof(digest)) == 0);
	}
	blob_unref(e.data);
	kv_view_close(view);
	kv_unref(kv);
	return 0;
}
