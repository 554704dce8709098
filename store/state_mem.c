/*
 * state_mem.c - a kv in memory: one treap whose snapshots are the views' pins.
 *
 * For tests and for fs/ops: nothing is durable, everything else behaves as with SQLite. All tables
 * share the map, told apart by a first byte: 'k' + key, 'b' + big-endian row id, and "m", the meta row.
 */
#include <pthread.h>

#include "base/blob.h"
#include "store/kv.h"
#include "store/treap.h"

#define TABLE_KV 'k'
#define TABLE_BLOCK 'b'
#define TABLE_META 'm'

#define MAP_KEY_MAX (1 + KV_KEY_MAX + 1) /* a scan's bound may be one byte longer than a key */
#define BLOCK_KEY_SIZE 9
#define SUM_SIZE 8 /* in front of a kv row's value */
#define LEN_SIZE 4 /* in front of a block row's sums */

struct mem_kv {
	struct kv kv;
	pthread_mutex_t lock; /* guards committed */
	struct treap committed;
};

struct mem_conn {
	struct kv_conn conn;
	struct mem_kv *mem;
	struct treap map; /* pinned, or being changed */
};

struct mem_scan {
	struct mem_conn *mc;
	uint8_t at[MAP_KEY_MAX];
	size_t at_len;
	bool after; /* at was handed out already */
	uint8_t to[MAP_KEY_MAX];
	size_t to_len;
};

static void *value_ref(void *value)
{
	return blob_ref(value);
}

static void value_unref(void *value)
{
	blob_unref(value);
}

static struct mem_conn *mem_conn(struct kv_conn *c)
{
	return CONTAINER_OF(c, struct mem_conn, conn);
}

static size_t map_key(uint8_t table, const void *key, size_t key_len, uint8_t out[MAP_KEY_MAX])
{
	assert(key_len < MAP_KEY_MAX);
	out[0] = table;
	if (key_len > 0)
		memcpy(out + 1, key, key_len);
	return key_len + 1;
}

static void block_key(uint64_t row_id, uint8_t out[BLOCK_KEY_SIZE])
{
	out[0] = TABLE_BLOCK;
	store_be64(out + 1, row_id);
}

/* ---- transactions ---- */

static int mem_begin(struct kv_conn *c, bool write)
{
	struct mem_conn *mc = mem_conn(c);

	(void)write;
	assert(!mc->map.root);
	pthread_mutex_lock(&mc->mem->lock);
	mc->map = treap_snapshot(&mc->mem->committed);
	pthread_mutex_unlock(&mc->mem->lock);
	return 0;
}

static int mem_commit(struct kv_conn *c)
{
	struct mem_conn *mc = mem_conn(c);
	struct treap old;

	pthread_mutex_lock(&mc->mem->lock);
	old = mc->mem->committed;
	mc->mem->committed = mc->map;
	pthread_mutex_unlock(&mc->mem->lock);
	mc->map.root = NULL;
	treap_release(&old);
	return 0;
}

static void mem_rollback(struct kv_conn *c)
{
	treap_release(&mem_conn(c)->map);
}

static void mem_conn_close(struct kv_conn *c)
{
	struct mem_conn *mc = mem_conn(c);

	treap_release(&mc->map);
	free(mc);
}

/* ---- kv rows ---- */

static void row_of(const struct blob *b, struct kv_row *row)
{
	*row = (struct kv_row){
		.sum = load_le64(b->data),
		.value = b->data + SUM_SIZE,
		.len = b->len - SUM_SIZE,
	};
}

static int mem_get(struct kv_conn *c, const void *key, size_t key_len, struct kv_row *row)
{
	uint8_t k[MAP_KEY_MAX];
	const struct blob *b = treap_get(&mem_conn(c)->map, k, map_key(TABLE_KV, key, key_len, k));

	if (!b)
		return -ENOENT;
	row_of(b, row);
	return 0;
}

static int mem_put(struct kv_conn *c, const void *key, size_t key_len, const struct kv_row *row,
		   bool exists)
{
	struct blob *b = blob_new(SUM_SIZE + row->len);
	uint8_t k[MAP_KEY_MAX];

	(void)exists;
	store_le64(b->data, row->sum);
	if (row->len > 0)
		memcpy(b->data + SUM_SIZE, row->value, row->len);
	treap_put(&mem_conn(c)->map, k, map_key(TABLE_KV, key, key_len, k), b);
	return 0;
}

static int mem_del(struct kv_conn *c, const void *key, size_t key_len)
{
	uint8_t k[MAP_KEY_MAX];

	treap_del(&mem_conn(c)->map, k, map_key(TABLE_KV, key, key_len, k));
	return 0;
}

static int mem_scan_open(struct kv_conn *c, const void *from, size_t from_len, const void *to,
			 size_t to_len, struct kv_scan **scan)
{
	struct mem_scan *s = mem_calloc(1, sizeof(*s));

	s->mc = mem_conn(c);
	s->at_len = map_key(TABLE_KV, from, from_len, s->at);
	if (to_len > 0) {
		s->to_len = map_key(TABLE_KV, to, to_len, s->to);
	} else {
		s->to[0] = TABLE_KV + 1;
		s->to_len = 1;
	}
	*scan = (struct kv_scan *)s;
	return 0;
}

static int mem_scan_next(struct kv_scan *scan, const uint8_t **key, size_t *key_len,
			 struct kv_row *row)
{
	struct mem_scan *s = (struct mem_scan *)scan;
	const struct treap_node *n = treap_seek(&s->mc->map, s->at, s->at_len, s->after);

	if (!n || key_compare(n->key, n->key_len, s->to, s->to_len) >= 0)
		return 0;
	memcpy(s->at, n->key, n->key_len);
	s->at_len = n->key_len;
	s->after = true;
	*key = n->key + 1;
	*key_len = n->key_len - 1;
	row_of(n->value, row);
	return 1;
}

static void mem_scan_close(struct kv_scan *scan)
{
	free(scan);
}

/* ---- block rows ---- */

static int mem_block_get(struct kv_conn *c, uint64_t row_id, struct block_row *row)
{
	uint8_t k[BLOCK_KEY_SIZE];
	const struct blob *b;

	block_key(row_id, k);
	b = treap_get(&mem_conn(c)->map, k, sizeof(k));
	if (!b)
		return -ENOENT;
	row->len = load_le32(b->data);
	row->sums = b->data + LEN_SIZE;
	row->data = row->sums + (size_t)block_piece_count(row->len) * BLOCK_SUM_SIZE;
	return 0;
}

static int mem_block_sums(struct kv_conn *c, uint64_t row_id, struct block_row *row)
{
	int ret = mem_block_get(c, row_id, row);

	if (ret == 0)
		row->data = NULL;
	return ret;
}

static int mem_block_next(struct kv_conn *c, uint64_t from_id, uint64_t *row_id)
{
	uint8_t k[BLOCK_KEY_SIZE];
	const struct treap_node *n;

	block_key(from_id, k);
	n = treap_seek(&mem_conn(c)->map, k, sizeof(k), false);
	if (!n || n->key[0] != TABLE_BLOCK)
		return -ENOENT;
	*row_id = load_be64(n->key + 1);
	return 0;
}

static int mem_block_put(struct kv_conn *c, uint64_t row_id, const struct block_row *row,
			 bool exists)
{
	size_t sums_len = (size_t)block_piece_count(row->len) * BLOCK_SUM_SIZE;
	struct blob *b = blob_new(LEN_SIZE + sums_len + row->len);
	uint8_t k[BLOCK_KEY_SIZE];

	(void)exists;
	block_key(row_id, k);
	store_le32(b->data, row->len);
	memcpy(b->data + LEN_SIZE, row->sums, sums_len);
	memcpy(b->data + LEN_SIZE + sums_len, row->data, row->len);
	treap_put(&mem_conn(c)->map, k, sizeof(k), b);
	return 0;
}

static int mem_block_del(struct kv_conn *c, uint64_t row_id)
{
	uint8_t k[BLOCK_KEY_SIZE];

	block_key(row_id, k);
	treap_del(&mem_conn(c)->map, k, sizeof(k));
	return 0;
}

/* ---- meta ---- */

static int mem_meta_get(struct kv_conn *c, const uint8_t **data, size_t *len)
{
	static const uint8_t k = TABLE_META;
	const struct blob *b = treap_get(&mem_conn(c)->map, &k, 1);

	if (!b)
		return -ENOENT;
	*data = b->data;
	*len = b->len;
	return 0;
}

static int mem_meta_put(struct kv_conn *c, const void *data, size_t len)
{
	static const uint8_t k = TABLE_META;

	treap_put(&mem_conn(c)->map, &k, 1, blob_from(data, len));
	return 0;
}

static const struct kv_conn_ops conn_ops = {
	.close = mem_conn_close,
	.begin = mem_begin,
	.commit = mem_commit,
	.rollback = mem_rollback,
	.get = mem_get,
	.scan_open = mem_scan_open,
	.scan_next = mem_scan_next,
	.scan_close = mem_scan_close,
	.block_get = mem_block_get,
	.block_sums = mem_block_sums,
	.block_next = mem_block_next,
	.meta_get = mem_meta_get,
	.put = mem_put,
	.del = mem_del,
	.block_put = mem_block_put,
	.block_del = mem_block_del,
	.meta_put = mem_meta_put,
};

/* ---- kv ---- */

static struct kv_conn *conn_new(struct mem_kv *mem)
{
	struct mem_conn *mc = mem_calloc(1, sizeof(*mc));

	mc->conn.ops = &conn_ops;
	mc->mem = mem;
	return &mc->conn;
}

static int mem_view_conn(struct kv *kv, struct kv_conn **conn, struct err *err)
{
	(void)err;
	*conn = conn_new(CONTAINER_OF(kv, struct mem_kv, kv));
	return 0;
}

static int mem_checkpoint(struct kv *kv, uint64_t *durable_index, struct err *err)
{
	(void)err;
	*durable_index = kv->meta.applied_index;
	return 0;
}

static uint64_t bytes_below(const struct treap_node *n)
{
	const struct blob *b;

	if (!n)
		return 0;
	b = n->value;
	return bytes_below(n->left) + bytes_below(n->right) + n->key_len + b->len;
}

static uint64_t mem_size_bytes(struct kv *kv)
{
	return bytes_below(CONTAINER_OF(kv, struct mem_kv, kv)->committed.root);
}

static uint64_t mem_wal_bytes(struct kv *kv)
{
	(void)kv;
	return 0;
}

static void mem_close(struct kv *kv)
{
	struct mem_kv *mem = CONTAINER_OF(kv, struct mem_kv, kv);

	kv->writer->ops->close(kv->writer);
	treap_release(&mem->committed);
	pthread_mutex_destroy(&mem->lock);
	free(mem);
}

static const struct kv_ops mem_ops = {
	.view_conn = mem_view_conn,
	.checkpoint = mem_checkpoint,
	.size_bytes = mem_size_bytes,
	.wal_bytes = mem_wal_bytes,
	.close = mem_close,
};

struct kv *kv_new_memory(const struct kv_meta *meta)
{
	struct mem_kv *mem = mem_calloc(1, sizeof(*mem));
	struct kv_conn *writer = conn_new(mem);
	struct buf row = BUF_INIT;
	int ret;

	pthread_mutex_init(&mem->lock, NULL);
	mem->committed = (struct treap){ .value_ref = value_ref, .value_unref = value_unref };
	kv_meta_encode(meta, &row);
	ret = mem_begin(writer, true);
	if (ret == 0)
		ret = mem_meta_put(writer, row.data, row.len);
	if (ret == 0)
		ret = mem_commit(writer);
	if (ret == 0)
		ret = mem_begin(writer, false);
	if (ret == 0)
		ret = kv_init(&mem->kv, &mem_ops, writer, NULL);
	mem_rollback(writer);
	buf_release(&row);
	assert(ret == 0);
	return &mem->kv;
}
