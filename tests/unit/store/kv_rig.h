/*
 * kv_rig.h - a kv of either backend under test, and entries made by hand.
 *
 * BOTH(test) registers a test once per backend; its state is a struct kv_rig.
 */
#ifndef TESTS_KV_RIG_H
#define TESTS_KV_RIG_H

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/io.h"
#include "base/prng.h"
#include "store/kv.h"
#include "store/state_sqlite.h"

struct kv_rig {
	bool sqlite;
	char base[64]; /* temporary directory; the state is base/state */
	char dir[80];
	struct kv *kv;
	struct kv_view *view;
	uint64_t index, term; /* of the last entry applied */
	uint64_t session_id;  /* for rig_session_head(); 0: the head begins one */
	uint64_t stamp;       /* ... with this */
};

#define BOTH(f)                                                                                    \
	{ #f " (memory)", f, rig_setup_memory, rig_teardown, NULL },                               \
	{                                                                                          \
#f " (sqlite)", f, rig_setup_sqlite, rig_teardown, NULL                            \
	}

#define RIG_GROUP 3

static inline struct kv_meta rig_meta(void)
{
	struct kv_meta meta = { .group = RIG_GROUP, .applied_index = 1, .applied_term = 1 };

	memset(meta.cluster, 0xc1, sizeof(meta.cluster));
	meta.conf = (struct raft_conf){ .index = 1, .count = 1 };
	meta.conf.members[0] =
		(struct raft_member){ .id = 7, .role = RAFT_VOTER, .address = "a:1" };
	return meta;
}

static inline void rig_open(struct kv_rig *rig)
{
	struct err err = ERR_INIT;

	if (kv_open_sqlite(rig->dir, &rig->kv, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(kv_view_open(rig->kv, &rig->view, &err), 0);
}

static inline void rig_start(struct kv_rig *rig, bool sqlite)
{
	struct kv_meta meta = rig_meta();
	struct err err = ERR_INIT;

	*rig = (struct kv_rig){ .sqlite = sqlite, .index = 1, .term = 1 };
	if (!sqlite) {
		rig->kv = kv_new_memory(&meta);
		assert_int_equal(kv_view_open(rig->kv, &rig->view, &err), 0);
		return;
	}
	snprintf(rig->base, sizeof(rig->base), "/tmp/qfs-kv-XXXXXX");
	assert_non_null(mkdtemp(rig->base));
	snprintf(rig->dir, sizeof(rig->dir), "%s/state", rig->base);
	if (kv_create_sqlite(rig->dir, &meta, &err) < 0)
		fail_msg("%s", err.text);
	rig_open(rig);
}

static inline void rig_close(struct kv_rig *rig)
{
	kv_view_close(rig->view);
	kv_unref(rig->kv);
	rig->view = NULL;
	rig->kv = NULL;
}

static inline void rig_stop(struct kv_rig *rig)
{
	rig_close(rig);
	if (rig->sqlite)
		io_remove_tree(AT_FDCWD, rig->base);
}

static inline int rig_setup_memory(void **state)
{
	struct kv_rig *rig = mem_calloc(1, sizeof(*rig));

	*state = rig;
	rig_start(rig, false);
	return 0;
}

static inline int rig_setup_sqlite(void **state)
{
	struct kv_rig *rig = mem_calloc(1, sizeof(*rig));

	*state = rig;
	rig_start(rig, true);
	return 0;
}

static inline int rig_teardown(void **state)
{
	rig_stop(*state);
	free(*state);
	return 0;
}

/* A head that fits after the last entry applied. */
static inline struct kv_batch_head rig_head(const struct kv_rig *rig)
{
	return (struct kv_batch_head){ .group = RIG_GROUP,
				       .prev_index = rig->index,
				       .prev_term = rig->term };
}

static inline struct kv_batch_head rig_session_head(const struct kv_rig *rig, uint8_t client,
						    uint64_t seq, uint64_t low, const char *reply)
{
	struct kv_batch_head head = rig_head(rig);

	head.has_session = true;
	memset(head.uuid, client, sizeof(head.uuid));
	head.seq = seq;
	head.low = low;
	head.begins = rig->session_id == 0;
	head.session_id = head.begins ? rig->index + 1 : rig->session_id;
	head.stamp = head.begins ? rig->stamp : 0;
	head.reply = (const uint8_t *)reply;
	head.reply_len = strlen(reply);
	return head;
}

/* Applies one payload as the next entry; takes data. */
static inline int rig_apply_as(struct kv_rig *rig, uint8_t type, struct blob *data)
{
	struct raft_entry e = {
		.index = rig->index + 1, .term = rig->term, .type = type, .data = data
	};
	int ret = kv_apply(rig->kv, &e, 1, NULL);

	blob_unref(data);
	if (ret == 0)
		rig->index++;
	assert_true(kv_view_refresh(rig->view) == 0);
	return ret;
}

static inline int rig_apply_batch(struct kv_rig *rig, struct blob *data)
{
	return rig_apply_as(rig, RAFT_ENTRY_NORMAL, data);
}

/* Applies the transaction without a session and frees it. */
static inline int rig_apply_txn(struct kv_rig *rig, struct kv_txn *txn)
{
	struct kv_batch_head head = rig_head(rig);
	struct blob *b = kv_txn_batch(txn, &head);

	kv_txn_free(txn);
	return rig_apply_batch(rig, b);
}

static inline void rig_put(struct kv_rig *rig, const char *key, const char *value)
{
	struct kv_txn *t = kv_txn_new(rig->view, NULL);

	kv_txn_put(t, key, strlen(key), value, strlen(value));
	assert_int_equal(rig_apply_txn(rig, t), 0);
}

static inline void rig_write(struct kv_rig *rig, uint64_t ino, uint64_t off, const void *data,
			     size_t len)
{
	struct kv_txn *t = kv_txn_new(rig->view, NULL);

	kv_txn_write(t, ino, off, data, len);
	assert_int_equal(rig_apply_txn(rig, t), 0);
}

/* The digest from scratch is the one in meta; returned in digest when not NULL. */
static inline void rig_check_digest(struct kv_view *view, uint8_t *digest)
{
	uint8_t found[KV_DIGEST_SIZE];
	struct err err = ERR_INIT;

	if (kv_view_digest(view, found, &err) < 0)
		fail_msg("%s", err.text);
	assert_memory_equal(found, kv_view_meta(view)->digest, sizeof(found));
	if (digest)
		memcpy(digest, found, sizeof(found));
}

static inline void rig_assert_value(struct kv_txn *txn, const char *key, const char *want)
{
	struct buf out = BUF_INIT;
	int ret = kv_txn_get(txn, key, strlen(key), &out);

	if (!want) {
		assert_int_equal(ret, -ENOENT);
	} else {
		assert_int_equal(ret, 0);
		assert_int_equal(out.len, strlen(want));
		assert_memory_equal(out.data ? (const void *)out.data : "", want, out.len);
	}
	buf_release(&out);
}

#endif
