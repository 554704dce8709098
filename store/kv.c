/* kv.c - what both backends have in common: references, views, row checksums. See kv.h. */
#include "store/kv.h"

#include "base/hash.h"
#include "store/digest.h"

/* ---- lifetime ---- */

int kv_init(struct kv *kv, const struct kv_ops *ops, struct kv_conn *writer, struct err *err)
{
	int ret;

	kv->ops = ops;
	kv->writer = writer;
	atomic_init(&kv->refs, 1);
	ret = kv_conn_meta(writer, &kv->meta);
	if (ret < 0)
		return err_set(err, ret, "cannot read the meta row: %s", kv_conn_why(writer, ret));
	return 0;
}

struct kv *kv_ref(struct kv *kv)
{
	atomic_fetch_add_explicit(&kv->refs, 1, memory_order_relaxed);
	return kv;
}

void kv_unref(struct kv *kv)
{
	void (*on_close)(void *ctx);
	void *ctx;

	if (!kv || atomic_fetch_sub_explicit(&kv->refs, 1, memory_order_acq_rel) != 1)
		return;
	on_close = kv->on_close;
	ctx = kv->on_close_ctx;
	kv->ops->close(kv);
	if (on_close)
		on_close(ctx);
}

void kv_on_close(struct kv *kv, void (*fn)(void *ctx), void *ctx)
{
	kv->on_close = fn;
	kv->on_close_ctx = ctx;
}

const char *kv_dir(const struct kv *kv)
{
	return kv->dir;
}

int kv_checkpoint(struct kv *kv, uint64_t *durable_index, struct err *err)
{
	return kv->ops->checkpoint(kv, durable_index, err);
}

uint64_t kv_size_bytes(struct kv *kv)
{
	return kv->ops->size_bytes(kv);
}

uint64_t kv_session_count(const struct kv *kv)
{
	return kv->meta.session_count;
}

uint64_t kv_wal_bytes(struct kv *kv)
{
	return kv->ops->wal_bytes(kv);
}

/* ---- rows ---- */

uint64_t kv_row_sum(const void *key, size_t key_len, const void *value, size_t len)
{
	return hash64_seed(value, len, hash64(key, key_len));
}

int kv_row_verify(const void *key, size_t key_len, const struct kv_row *row)
{
	return row->sum == kv_row_sum(key, key_len, row->value, row->len) ? 0 : -EUCLEAN;
}

int kv_conn_get(struct kv_conn *c, const void *key, size_t key_len, struct kv_row *row)
{
	int ret = c->ops->get(c, key, key_len, row);

	return ret < 0 ? ret : kv_row_verify(key, key_len, row);
}

const char *kv_conn_why(const struct kv_conn *c, int ret)
{
	if (c->detail[0])
		return c->detail;
	return ret == -EUCLEAN ? "its checksum or format is wrong" : strerror(-ret);
}

/* ---- views ---- */

static int view_pin(struct kv_view *v)
{
	int ret = v->conn->ops->begin(v->conn, false);

	if (ret < 0)
		return ret;
	ret = kv_conn_meta(v->conn, &v->meta);
	if (ret < 0) {
		v->conn->ops->rollback(v->conn);
		return ret;
	}
	v->pinned = true;
	return 0;
}

int kv_view_open(struct kv *kv, struct kv_view **view, struct err *err)
{
	struct kv_view *v = mem_calloc(1, sizeof(*v));
	int ret = kv->ops->view_conn(kv, &v->conn, err);

	if (ret < 0) {
		free(v);
		return ret;
	}
	v->kv = kv_ref(kv);
	ret = view_pin(v);
	if (ret < 0) {
		err_set(err, ret, "cannot pin a view: %s", kv_conn_why(v->conn, ret));
		kv_view_close(v);
		return ret;
	}
	*view = v;
	return 0;
}

void kv_view_close(struct kv_view *view)
{
	if (!view)
		return;
	kv_view_unpin(view);
	view->conn->ops->close(view->conn);
	kv_unref(view->kv);
	free(view);
}

int kv_view_refresh(struct kv_view *view)
{
	kv_view_unpin(view);
	return view_pin(view);
}

void kv_view_unpin(struct kv_view *view)
{
	if (view->pinned)
		view->conn->ops->rollback(view->conn);
	view->pinned = false;
}

const struct kv_meta *kv_view_meta(const struct kv_view *view)
{
	assert(view->pinned);
	return &view->meta;
}

/* ---- the digest from scratch ---- */

static int digest_rows(struct kv_conn *c, struct digest *d)
{
	const uint8_t *key;
	struct kv_scan *scan;
	struct kv_row row;
	size_t key_len;
	int ret = c->ops->scan_open(c, NULL, 0, NULL, 0, &scan);

	if (ret < 0)
		return ret;
	while ((ret = c->ops->scan_next(scan, &key, &key_len, &row)) > 0) {
		ret = kv_row_verify(key, key_len, &row);
		if (ret < 0)
			break;
		digest_add_row(d, key, key_len, row.value, row.len);
	}
	c->ops->scan_close(scan);
	return ret;
}

static int digest_blocks(struct kv_conn *c, struct digest *d)
{
	struct block_row row;
	uint64_t id = 0;
	int ret;

	while ((ret = c->ops->block_next(c, id, &id)) == 0) {
		ret = c->ops->block_get(c, id, &row);
		if (ret == 0)
			ret = block_row_verify(&row, id, 0, row.len);
		if (ret < 0)
			return ret == -ENOENT ? -EUCLEAN : ret;
		digest_add_block(d, id, row.sums, row.len);
		if (id == INT64_MAX)
			return 0;
		id++;
	}
	return ret == -ENOENT ? 0 : ret;
}

int kv_conn_digest(struct kv_conn *c, uint8_t digest[KV_DIGEST_SIZE])
{
	struct digest d = { .lane = { 0 } };
	int ret = digest_rows(c, &d);

	if (ret == 0)
		ret = digest_blocks(c, &d);
	digest_store(&d, digest);
	return ret;
}

int kv_view_digest(struct kv_view *view, uint8_t digest[KV_DIGEST_SIZE], struct err *err)
{
	int ret;

	assert(view->pinned);
	ret = kv_conn_digest(view->conn, digest);
	if (ret < 0)
		err_set(err, ret, "cannot compute the state digest at index %llu: %s",
			(unsigned long long)view->meta.applied_index,
			kv_conn_why(view->conn, ret));
	return ret;
}
