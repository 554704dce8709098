/* snap_rig.h - stores with something in them to make snapshots of, and a pull from one to the other. */
#ifndef TESTS_UNIT_STORE_SNAP_RIG_H
#define TESTS_UNIT_STORE_SNAP_RIG_H

#include <dirent.h>
#include <sys/stat.h>

#include "base/prng.h"
#include "store/sealed.h"
#include "store/snapshot.h"
#include "tests/unit/store/store_rig.h"

struct snap_rig {
	struct store_rig r;
	uint64_t index; /* last entry applied */
	uint64_t term;  /* of it */
};

/* A sealed snapshot in memory, as a peer would send it. */
struct parcel {
	struct raft_snapshot_meta meta;
	struct buf manifest;
	uint32_t count;
	struct buf *chunks;
};

static inline void snap_open(struct snap_rig *p)
{
	struct kv_view *view;

	if (store_rig_open(&p->r) < 0)
		fail_msg("%s", p->r.err.text);
	assert_int_equal(kv_view_open(p->r.kv, &view, &p->r.err), 0);
	p->index = kv_view_meta(view)->applied_index;
	p->term = kv_view_meta(view)->applied_term;
	kv_view_close(view);
}

static inline void snap_start(struct snap_rig *p)
{
	store_rig_setup(&p->r);
	snap_open(p);
}

static inline int snap_setup(void **state)
{
	struct snap_rig *p = mem_calloc(2, sizeof(*p));

	*state = p;
	snap_start(&p[0]);
	snap_start(&p[1]);
	return 0;
}

static inline int snap_teardown(void **state)
{
	struct snap_rig *p = *state;

	store_rig_teardown(&p[0].r);
	store_rig_teardown(&p[1].r);
	free(p);
	return 0;
}

/* An entry that fills one block with noise and says under key "n" which entry it is. */
static inline struct blob *snap_batch(uint64_t index, uint64_t prev_term, uint32_t block)
{
	struct kv_batch_head head = { .group = rig_identity.group,
				      .prev_index = index - 1,
				      .prev_term = prev_term };
	uint8_t data[KV_BLOCK_SIZE], n[8];
	struct kv_mutation put = { .type = KV_PUT,
				   .key = (const uint8_t *)"n",
				   .key_len = 1,
				   .data = n,
				   .data_len = sizeof(n) };
	struct kv_mutation write = { .type = KV_BLOCK_PUT,
				     .ino = 5,
				     .block = block,
				     .data = data,
				     .data_len = sizeof(data) };
	struct buf b = BUF_INIT;
	struct prng rng;
	struct blob *blob;

	prng_init(&rng, index);
	for (size_t i = 0; i < sizeof(data); i += 8)
		store_le64(data + i, prng_u64(&rng));
	store_le64(n, index);
	kv_batch_encode_head(&head, &b);
	kv_mutation_encode(&put, &b);
	kv_mutation_encode(&write, &b);
	blob = blob_from(b.data, b.len);
	buf_release(&b);
	return blob;
}

/* Applies the next entry, which writes this block. */
static inline void snap_apply(struct snap_rig *p, uint32_t block)
{
	struct raft_entry e = { .index = p->index + 1, .term = 1, .type = RAFT_ENTRY_NORMAL };
	struct err err = ERR_INIT;

	e.data = snap_batch(e.index, p->term, block);
	if (kv_apply(p->r.kv, &e, 1, &err) < 0)
		fail_msg("%s", err.text);
	blob_unref(e.data);
	p->index++;
	p->term = e.term;
}

static inline void snap_fill(struct snap_rig *p, uint32_t blocks)
{
	for (uint32_t i = 0; i < blocks; i++)
		snap_apply(p, i);
}

static inline struct raft_snapshot_meta snap_create(struct snap_rig *p,
						    struct snapshot_stats *stats)
{
	struct raft_snapshot_meta meta;
	struct err err = ERR_INIT;

	if (snapshot_create(p->r.store, p->r.kv, &meta, NULL, stats, &err) < 0)
		fail_msg("%s", err.text);
	return meta;
}

/* The state's own digest is that of its rows, and "n" is its applied index; returns both. */
static inline uint64_t snap_check_state(struct kv *kv, uint8_t digest[KV_DIGEST_SIZE])
{
	struct err err = ERR_INIT;
	struct kv_view *view;
	struct kv_txn *txn;
	struct buf n = BUF_INIT;
	uint64_t index;

	assert_int_equal(kv_view_open(kv, &view, &err), 0);
	index = kv_view_meta(view)->applied_index;
	if (kv_view_digest(view, digest, &err) < 0)
		fail_msg("%s", err.text);
	assert_memory_equal(digest, kv_view_meta(view)->digest, KV_DIGEST_SIZE);
	txn = kv_txn_new(view, NULL);
	if (kv_txn_get(txn, "n", 1, &n) == 0)
		assert_int_equal(load_le64(n.data), index);
	else
		assert_int_equal(index, 1);
	buf_release(&n);
	kv_txn_free(txn);
	kv_view_close(view);
	return index;
}

static inline void parcel_pack(struct parcel *c, struct snap_rig *from,
			       const struct raft_snapshot_meta *meta)
{
	struct err *err = &from->r.err;

	*c = (struct parcel){ .meta = *meta, .count = seal_chunk_count(meta->size_bytes) };
	assert_int_equal(store_snapshot_manifest(from->r.store, meta, &c->manifest, err), 0);
	c->chunks = mem_calloc(c->count, sizeof(*c->chunks));
	for (uint32_t n = 0; n < c->count; n++)
		assert_int_equal(store_snapshot_chunk(from->r.store, meta, n, &c->chunks[n], err),
				 0);
}

/* A state grown by count entries, its snapshot, and all of that as a parcel. */
static inline struct raft_snapshot_meta parcel_make(struct parcel *c, struct snap_rig *from,
						    unsigned count)
{
	struct raft_snapshot_meta meta;

	snap_fill(from, count);
	meta = snap_create(from, NULL);
	parcel_pack(c, from, &meta);
	return meta;
}

static inline void parcel_release(struct parcel *c)
{
	for (uint32_t n = 0; n < c->count; n++)
		buf_release(&c->chunks[n]);
	free(c->chunks);
	buf_release(&c->manifest);
}

/* Pulls at most `limit` chunks in the order asked for; *pulled counts. Does not finish. */
static inline struct store_receive *parcel_pull(const struct parcel *c, struct snap_rig *to,
						uint32_t limit, uint32_t *pulled)
{
	struct store_receive *rx = NULL;

	*pulled = 0;
	to->r.err = ERR_INIT;
	if (store_receive_begin(to->r.store, &c->meta, c->manifest.data, c->manifest.len, &rx,
				&to->r.err) < 0)
		return NULL;
	for (uint32_t n = store_receive_next(rx, 0); n < c->count && *pulled < limit;
	     n = store_receive_next(rx, n + 1)) {
		if (store_receive_chunk(rx, n, c->chunks[n].data, c->chunks[n].len, &to->r.err) <
		    0) {
			store_receive_free(rx);
			return NULL;
		}
		++*pulled;
	}
	return rx;
}

/* All of it: 0 or what failed. */
static inline int parcel_receive(const struct parcel *c, struct snap_rig *to)
{
	uint32_t pulled;
	struct store_receive *rx = parcel_pull(c, to, UINT32_MAX, &pulled);
	int ret = rx ? store_receive_finish(rx, &to->r.err) : to->r.err.code;

	store_receive_free(rx);
	return ret;
}

/* The flip; the rig's kv is the new one afterwards. */
static inline int snap_install(struct snap_rig *p, const struct raft_snapshot_meta *meta)
{
	struct kv *kv;
	int ret = store_install(p->r.store, meta, p->index, &kv, &p->r.err);

	if (ret < 0)
		return ret;
	kv_unref(p->r.kv);
	p->r.kv = kv;
	p->index = meta->index;
	p->term = meta->term;
	return 0;
}

/* Names in a directory of the store for which want() is true. */
static inline size_t snap_count(const struct snap_rig *p, const char *sub,
				bool (*want)(const char *))
{
	char path[160];
	struct dirent *d;
	size_t count = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/group-3/%s", p->r.path, sub);
	dir = opendir(path);
	if (!dir)
		return 0;
	while ((d = readdir(dir)) != NULL)
		count += d->d_name[0] != '.' && want(d->d_name);
	closedir(dir);
	return count;
}

static inline bool is_chunk(const char *name)
{
	uint8_t hash[SEAL_HASH_SIZE];

	return chunk_name_parse(name, hash);
}

static inline bool is_manifest(const char *name)
{
	return strlen(name) > 9 && strcmp(name + strlen(name) - 9, ".manifest") == 0;
}

static inline bool is_temporary(const char *name)
{
	return strstr(name, ".tmp") != NULL;
}

static inline bool is_state(const char *name)
{
	return strncmp(name, "state-", 6) == 0;
}

#endif
