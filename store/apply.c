/*
 * apply.c - committed entries become rows, written once above both backends.
 *
 * A run of entries is one transaction: rows, session records, digest, applied position, configuration.
 * Whatever does not fit (an entry out of order, a batch for another place, a number executed before,
 * a damaged row) is a broken invariant: -EUCLEAN, nothing applied.
 */
#include "base/hash.h"
#include "base/mark.h"
#include "store/digest.h"
#include "store/kv.h"
#include "store/session.h"

struct apply {
	struct kv *kv;
	struct kv_conn *c;
	struct kv_meta meta; /* as of the entries applied so far in this run */
	struct digest digest;
	struct buf record; /* scratch: a session record */
	const char *why;   /* static text for what the errno does not tell */
};

/* Fills why, for the error text. */
static int refuse(struct apply *a, const char *why)
{
	MARK("store.apply.refused");
	a->why = why;
	return -EUCLEAN;
}

/* ---- kv rows ---- */

/* old is the row as it is, borrowed from the connection; NULL: there is none. */
static int row_replace(struct apply *a, const void *key, size_t key_len, const struct kv_row *old,
		       const void *value, size_t len)
{
	struct kv_row row = { value, len, kv_row_sum(key, key_len, value, len) };

	if (old)
		digest_sub_row(&a->digest, key, key_len, old->value, old->len);
	digest_add_row(&a->digest, key, key_len, value, len);
	return a->c->ops->put(a->c, key, key_len, &row, old != NULL);
}

static int row_put(struct apply *a, const void *key, size_t key_len, const void *value, size_t len)
{
	struct kv_row old;
	int ret = kv_conn_get(a->c, key, key_len, &old);

	if (ret < 0 && ret != -ENOENT)
		return ret;
	return row_replace(a, key, key_len, ret == 0 ? &old : NULL, value, len);
}

static int row_delete(struct apply *a, const void *key, size_t key_len)
{
	struct kv_row row;
	int ret = kv_conn_get(a->c, key, key_len, &row);

	if (ret < 0)
		return ret == -ENOENT ? 0 : ret;
	digest_sub_row(&a->digest, key, key_len, row.value, row.len);
	return a->c->ops->del(a->c, key, key_len);
}

/* ---- block rows ---- */

static int block_write(struct apply *a, uint64_t row_id, const struct block_row *row, bool exists)
{
	if (row->len == 0)
		return exists ? a->c->ops->block_del(a->c, row_id) : 0;
	digest_add_block(&a->digest, row_id, row->sums, row->len);
	return a->c->ops->block_put(a->c, row_id, row, exists);
}

/* A whole block: of the old row only the sums are read, for the digest. */
static int block_put(struct apply *a, const struct kv_mutation *m)
{
	uint8_t sums[BLOCK_PIECES_MAX * BLOCK_SUM_SIZE];
	uint64_t row_id = block_row_id(m->ino, m->block);
	struct block_row row;
	int ret = a->c->ops->block_sums(a->c, row_id, &row);
	bool exists = ret == 0;

	if (ret < 0 && ret != -ENOENT)
		return ret;
	if (exists)
		digest_sub_block(&a->digest, row_id, row.sums, row.len);
	row = (struct block_row){ .sums = sums, .data = m->data, .len = (uint32_t)m->data_len };
	block_sum_pieces(sums, row_id, m->data, row.len, 0, row.len);
	return block_write(a, row_id, &row, exists);
}

/* Part of a block: the row is read, the pieces it touches are verified and get new sums. */
static int block_modify(struct apply *a, const struct kv_mutation *m)
{
	uint64_t row_id = block_row_id(m->ino, m->block);
	struct block_image img;
	struct block_row row;
	int ret = a->c->ops->block_get(a->c, row_id, &row);
	bool exists = ret == 0;

	if (ret < 0 && ret != -ENOENT)
		return ret;
	img.len = 0;
	if (exists) {
		digest_sub_block(&a->digest, row_id, row.sums, row.len);
		img.len = row.len;
		memcpy(img.sums, row.sums, (size_t)block_piece_count(row.len) * BLOCK_SUM_SIZE);
		memcpy(img.data, row.data, row.len);
	}
	if (block_image_apply(&img, m) < 0)
		return refuse(a, "a piece of a block fails its checksum");
	row = (struct block_row){ .sums = img.sums, .data = img.data, .len = img.len };
	return block_write(a, row_id, &row, exists);
}

static int block_drop(struct apply *a, const struct kv_mutation *m)
{
	uint64_t id = block_row_id(m->ino, m->block);
	uint64_t last = id + m->len - 1;
	struct block_row row;
	int ret;

	while ((ret = a->c->ops->block_next(a->c, id, &id)) == 0 && id <= last) {
		ret = a->c->ops->block_sums(a->c, id, &row);
		if (ret < 0)
			break;
		digest_sub_block(&a->digest, id, row.sums, row.len);
		ret = a->c->ops->block_del(a->c, id);
		if (ret < 0 || id == last)
			break;
		id++;
	}
	return ret == -ENOENT ? 0 : ret;
}

static int apply_mutation(struct apply *a, const struct kv_mutation *m)
{
	switch (m->type) {
	case KV_PUT:
		return row_put(a, m->key, m->key_len, m->data, m->data_len);
	case KV_DELETE:
		return row_delete(a, m->key, m->key_len);
	case KV_BLOCK_PUT:
		return block_put(a, m);
	case KV_BLOCK_PATCH:
	case KV_BLOCK_PUNCH:
		return block_modify(a, m);
	default:
		return block_drop(a, m);
	}
}

/* ---- entries ---- */

static int apply_session(struct apply *a, const struct kv_batch_head *head, uint64_t index)
{
	uint8_t key[SESSION_KEY_SIZE];
	struct kv_row old = { .len = 0 };
	bool known;
	int ret;

	session_key(head->uuid, key);
	ret = kv_conn_get(a->c, key, sizeof(key), &old);
	if (ret < 0 && ret != -ENOENT)
		return ret;
	known = ret == 0;
	buf_reset(&a->record);
	ret = session_record_execute(old.value, known ? old.len : 0, head, index, &a->record);
	if (ret < 0)
		return refuse(a, "its session is not the one here, or its number was executed before");
	a->meta.session_count += !known;
	return row_replace(a, key, sizeof(key), known ? &old : NULL, a->record.data, a->record.len);
}

/* Whoever is named and still here ends; its stamp is never begun with again. */
static int apply_end(struct apply *a, const struct kv_session_end *end)
{
	uint8_t key[SESSION_KEY_SIZE];
	struct session_record record;
	struct kv_row row;
	int ret;

	session_key(end->uuid, key);
	ret = kv_conn_get(a->c, key, sizeof(key), &row);
	MARK_IF(ret == -ENOENT, "store.apply.ends-session-that-is-gone");
	if (ret < 0)
		return ret == -ENOENT ? 0 : ret;
	if (session_record_open(&record, row.value, row.len) < 0)
		return refuse(a, "the record of a session that it ends is damaged");
	if (record.id != end->session_id)
		return 0;
	if (a->meta.session_count == 0)
		return refuse(a, "the count of sessions is wrong");
	a->meta.session_count--;
	a->meta.begin_floor = max_u64(a->meta.begin_floor, record.stamp);
	return row_delete(a, key, sizeof(key));
}

static int apply_normal(struct apply *a, const struct raft_entry *e)
{
	struct kv_batch_head head;
	struct kv_batch_iter it;
	struct kv_mutation m;
	int ret;

	if (!e->data || kv_batch_decode(&head, &it, e->data->data, e->data->len) < 0)
		return refuse(a, "its batch does not decode");
	if (head.group != a->meta.group || head.prev_index != a->meta.applied_index ||
	    head.prev_term != a->meta.applied_term)
		return refuse(a, "its batch was evaluated for another place in the log");
	a->meta.log_ms = max_u64(a->meta.log_ms, head.log_ms);
	for (uint32_t i = 0; i < head.end_count; i++) {
		struct kv_session_end end = kv_session_end_at(&head, i);

		ret = apply_end(a, &end);
		if (ret < 0)
			return ret;
	}
	while (kv_batch_next(&it, &m)) {
		ret = apply_mutation(a, &m);
		if (ret < 0)
			return ret;
	}
	return head.has_session ? apply_session(a, &head, e->index) : 0;
}

static int apply_conf(struct apply *a, const struct raft_entry *e)
{
	if (raft_conf_apply(&a->meta.conf, e) < 0)
		return refuse(a, "its configuration does not decode");
	return 0;
}

static int apply_entry(struct apply *a, const struct raft_entry *e)
{
	int ret = 0;

	if (e->index != a->meta.applied_index + 1 || e->term < a->meta.applied_term)
		return refuse(a, "it does not follow what is applied");
	if (e->type == RAFT_ENTRY_NORMAL)
		ret = apply_normal(a, e);
	else if (e->type == RAFT_ENTRY_CONF)
		ret = apply_conf(a, e);
	else if (e->type != RAFT_ENTRY_NOOP)
		ret = refuse(a, "its type is unknown");
	if (ret == 0) {
		a->meta.applied_index = e->index;
		a->meta.applied_term = e->term;
	}
	return ret;
}

static int write_meta(struct apply *a)
{
	struct buf row = BUF_INIT;
	int ret;

	digest_store(&a->digest, a->meta.digest);
	kv_meta_encode(&a->meta, &row);
	ret = a->c->ops->meta_put(a->c, row.data, row.len);
	buf_release(&row);
	return ret;
}

int kv_apply(struct kv *kv, const struct raft_entry *entries, size_t count, struct err *err)
{
	struct apply a = { .kv = kv, .c = kv->writer, .meta = kv->meta, .record = BUF_INIT };
	const char *what = "cannot begin a transaction for";
	size_t done = 0;
	int ret;

	if (count == 0)
		return 0;
	digest_load(&a.digest, a.meta.digest);
	a.c->detail[0] = '\0';
	ret = a.c->ops->begin(a.c, true);
	if (ret < 0)
		goto out;
	what = "cannot apply";
	for (; done < count && ret == 0; done += ret == 0)
		ret = apply_entry(&a, &entries[done]);
	if (ret < 0)
		goto out;
	what = "cannot commit";
	done = count - 1;
	ret = write_meta(&a);
	if (ret == 0)
		ret = a.c->ops->commit(a.c);
	if (ret == 0)
		kv->meta = a.meta;
out:
	buf_release(&a.record);
	if (ret < 0) {
		err_set(err, ret, "%s entry %llu of term %llu: %s", what,
			(unsigned long long)entries[done].index,
			(unsigned long long)entries[done].term,
			a.why ? a.why : kv_conn_why(a.c, ret));
		a.c->ops->rollback(a.c);
	}
	return ret;
}
