/*
 * txn.c - one evaluation: own mutations over the overlay over a view.
 *
 * Own mutations are encoded at once into the bytes that become the batch, and read back from there.
 * With no overlay and nothing written, every call is one statement of the backend.
 */
#include "base/mark.h"
#include "store/kv.h"
#include "store/overlay.h"
#include "store/session.h"

#define OWN_INDEX UINT64_MAX

struct kv_txn {
	struct kv_view *view;          /* borrowed */
	const struct overlay *overlay; /* borrowed; NULL: none */
	struct buf mutations;          /* encoded */
	const uint8_t *base;           /* mutations.data, for the versions in own */
	struct pending own;
	uint8_t *block; /* scratch of KV_BLOCK_SIZE, made when needed */
};

/* The layers above the view, oldest first. */
struct layers {
	const struct pending *v[2];
	size_t count;
};

static struct layers txn_layers(const struct kv_txn *t)
{
	struct layers l = { .count = 0 };

	if (t->overlay && !pending_is_empty(overlay_pending(t->overlay)))
		l.v[l.count++] = overlay_pending(t->overlay);
	if (!pending_is_empty(&t->own))
		l.v[l.count++] = &t->own;
	return l;
}

struct kv_txn *kv_txn_new(struct kv_view *view, struct overlay *overlay)
{
	struct kv_txn *t = mem_calloc(1, sizeof(*t));

	assert(view->pinned);
	t->view = view;
	t->overlay = overlay;
	pending_init(&t->own);
	return t;
}

void kv_txn_free(struct kv_txn *txn)
{
	if (!txn)
		return;
	pending_release(&txn->own);
	buf_release(&txn->mutations);
	free(txn->block);
	free(txn);
}

/* ---- writing ---- */

static void add_own(struct kv_txn *t, const struct kv_mutation *m)
{
	size_t start = t->mutations.len;
	struct kv_batch_iter it;
	struct kv_mutation stored;
	bool found;

	kv_mutation_encode(m, &t->mutations);
	t->base = t->mutations.data;
	it = (struct kv_batch_iter){ .pos = t->base + start, .end = t->base + t->mutations.len };
	found = kv_batch_next(&it, &stored);
	assert(found);
	pending_add(&t->own, OWN_INDEX, &t->base, &stored);
}

void kv_txn_put(struct kv_txn *txn, const void *key, size_t key_len, const void *value, size_t len)
{
	add_own(txn, &(struct kv_mutation){
			     .type = KV_PUT,
			     .key = key,
			     .key_len = key_len,
			     .data = value,
			     .data_len = len,
		     });
}

void kv_txn_delete(struct kv_txn *txn, const void *key, size_t key_len)
{
	add_own(txn, &(struct kv_mutation){ .type = KV_DELETE, .key = key, .key_len = key_len });
}

void kv_txn_write(struct kv_txn *txn, uint64_t ino, uint64_t off, const void *data, size_t len)
{
	const uint8_t *p = data;

	assert(off <= KV_FILE_SIZE_MAX && len <= KV_FILE_SIZE_MAX - off);
	while (len > 0) {
		uint32_t at = (uint32_t)(off % KV_BLOCK_SIZE);
		size_t n = (size_t)min_u64(len, KV_BLOCK_SIZE - at);

		add_own(txn, &(struct kv_mutation){
				     .type = n == KV_BLOCK_SIZE ? KV_BLOCK_PUT : KV_BLOCK_PATCH,
				     .ino = ino,
				     .block = (uint32_t)(off / KV_BLOCK_SIZE),
				     .off = at,
				     .data = p,
				     .data_len = n,
			     });
		off += n;
		p += n;
		len -= n;
	}
}

void kv_txn_drop_blocks(struct kv_txn *txn, uint64_t ino, uint32_t first, uint32_t count)
{
	if (count > 0)
		add_own(txn,
			&(struct kv_mutation){
				.type = KV_BLOCK_DROP, .ino = ino, .block = first, .len = count });
}

static void punch_block(struct kv_txn *t, uint64_t ino, uint32_t block, uint32_t from, uint32_t to)
{
	if (from < to)
		add_own(t, &(struct kv_mutation){ .type = KV_BLOCK_PUNCH,
						  .ino = ino,
						  .block = block,
						  .off = from,
						  .len = to - from });
}

void kv_txn_punch(struct kv_txn *txn, uint64_t ino, uint64_t off, uint64_t len)
{
	uint64_t end = off + min_u64(len, KV_FILE_SIZE_MAX - min_u64(off, KV_FILE_SIZE_MAX));
	uint32_t first = (uint32_t)(off / KV_BLOCK_SIZE), head = (uint32_t)(off % KV_BLOCK_SIZE);
	uint32_t last = (uint32_t)(end / KV_BLOCK_SIZE), tail = (uint32_t)(end % KV_BLOCK_SIZE);

	if (off >= end)
		return;
	if (first == last) {
		punch_block(txn, ino, first, head, tail);
		return;
	}
	if (head > 0)
		punch_block(txn, ino, first++, head, KV_BLOCK_SIZE);
	kv_txn_drop_blocks(txn, ino, first, last - first);
	if (tail > 0)
		punch_block(txn, ino, last, 0, tail);
}

bool kv_txn_is_empty(const struct kv_txn *txn)
{
	return txn->mutations.len == 0;
}

struct blob *kv_txn_batch(struct kv_txn *txn, const struct kv_batch_head *head)
{
	struct buf h = BUF_INIT;
	struct blob *b;

	kv_batch_encode_head(head, &h);
	b = blob_new(h.len + txn->mutations.len);
	memcpy(b->data, h.data, h.len);
	if (txn->mutations.len > 0)
		memcpy(b->data + h.len, txn->mutations.data, txn->mutations.len);
	buf_release(&h);
	return b;
}

/* ---- keys ---- */

static const struct pending_version *pending_newest(const struct layers *l, const void *key,
						    size_t len)
{
	for (size_t i = l->count; i-- > 0;) {
		const struct pending_version *v = pending_get(l->v[i], key, len);

		if (v)
			return v;
	}
	return NULL;
}

int kv_txn_get(struct kv_txn *txn, const void *key, size_t key_len, struct buf *out)
{
	struct layers l = txn_layers(txn);
	const struct pending_version *v = pending_newest(&l, key, key_len);
	struct kv_row row;
	int ret;

	if (v) {
		if (v->m.type == KV_DELETE)
			return -ENOENT;
		if (out)
			buf_put(out, pending_data(v), v->m.data_len);
		return 0;
	}
	ret = kv_conn_get(txn->view->conn, key, key_len, &row);
	if (ret == 0 && out)
		buf_put(out, row.value, row.len);
	return ret;
}

/* The merge of one scan: at most one row ahead in each source. */
struct merge {
	struct kv_scan *scan;
	const struct kv_conn_ops *ops;
	struct layers layers;
	const struct treap_node *node[2]; /* per layer; NULL: at its end */
	const uint8_t *key;               /* of the view's row; NULL: at its end */
	size_t key_len;
	struct kv_row row;
	const uint8_t *to; /* upper bound */
	size_t to_len;     /* 0: none */
};

static int merge_step_view(struct merge *m)
{
	int ret = m->ops->scan_next(m->scan, &m->key, &m->key_len, &m->row);

	if (ret > 0)
		return kv_row_verify(m->key, m->key_len, &m->row);
	m->key = NULL;
	return ret;
}

static void merge_seek_layer(struct merge *m, size_t i, const void *key, size_t key_len, bool after)
{
	const struct treap_node *n = treap_seek(&m->layers.v[i]->keys, key, key_len, after);

	if (n && m->to_len > 0 && key_compare(n->key, n->key_len, m->to, m->to_len) >= 0)
		n = NULL;
	m->node[i] = n;
}

/*
 * Finds the smallest key of all sources and, of those that have it, the newest value; 1: a row to
 * hand out, 0: one that is deleted, -ENOENT: the end.
 */
static int merge_pick(const struct merge *m, const uint8_t **key, size_t *key_len,
		      const uint8_t **value, size_t *len)
{
	const struct pending_version *v = NULL;

	*key = m->key;
	*key_len = m->key_len;
	for (size_t i = 0; i < m->layers.count; i++) {
		const struct treap_node *n = m->node[i];
		int cmp = !n ? 1 : !*key ? -1 : key_compare(n->key, n->key_len, *key, *key_len);

		if (cmp > 0)
			continue;
		*key = n->key;
		*key_len = n->key_len;
		v = n->value;
	}
	if (!*key)
		return -ENOENT;
	*value = v ? pending_data(v) : m->row.value;
	*len = v ? v->m.data_len : m->row.len;
	return v && v->m.type == KV_DELETE ? 0 : 1;
}

/* Moves every source that stands at key. The view last: key may be borrowed from it. */
static int merge_step(struct merge *m, const uint8_t *key, size_t key_len)
{
	bool in_view = m->key && key_compare(m->key, m->key_len, key, key_len) == 0;

	for (size_t i = 0; i < m->layers.count; i++) {
		if (m->node[i] &&
		    key_compare(m->node[i]->key, m->node[i]->key_len, key, key_len) == 0)
			merge_seek_layer(m, i, m->node[i]->key, m->node[i]->key_len, true);
	}
	return in_view ? merge_step_view(m) : 0;
}

static int merge_run(struct merge *m, const void *from, size_t from_len, kv_scan_fn fn, void *ctx)
{
	int ret = merge_step_view(m);

	for (size_t i = 0; i < m->layers.count; i++)
		merge_seek_layer(m, i, from, from_len, false);
	while (ret == 0) {
		const uint8_t *key, *value;
		size_t key_len, len;
		int picked = merge_pick(m, &key, &key_len, &value, &len);

		if (picked < 0)
			break;
		if (picked > 0)
			ret = fn(ctx, key, key_len, value, len);
		if (ret == 0)
			ret = merge_step(m, key, key_len);
	}
	return ret;
}

/* The first key above all that start with prefix: 0 bytes when there is none. */
static size_t prefix_end(const void *prefix, size_t prefix_len, uint8_t end[KV_KEY_MAX])
{
	size_t len = prefix_len;

	if (prefix_len > 0)
		memcpy(end, prefix, prefix_len);
	while (len > 0 && end[len - 1] == 0xff)
		len--;
	if (len > 0)
		end[len - 1]++;
	return len;
}

int kv_txn_scan(struct kv_txn *txn, const void *prefix, size_t prefix_len, const void *after,
		size_t after_len, kv_scan_fn fn, void *ctx)
{
	struct kv_conn *c = txn->view->conn;
	struct merge m = { .ops = c->ops, .layers = txn_layers(txn) };
	uint8_t from[KV_KEY_MAX + 1] = { 0 }, to[KV_KEY_MAX];
	size_t from_len = prefix_len;
	int ret;

	assert(prefix_len <= KV_KEY_MAX && after_len <= KV_KEY_MAX);
	if (prefix_len > 0)
		memcpy(from, prefix, prefix_len);
	if (after_len > 0 && key_compare(after, after_len, prefix, prefix_len) >= 0) {
		/* Nothing lies between a key and the same key with a zero byte behind it. */
		memcpy(from, after, after_len);
		from[after_len] = 0;
		from_len = after_len + 1;
	}
	m.to = to;
	m.to_len = prefix_end(prefix, prefix_len, to);
	ret = c->ops->scan_open(c, from, from_len, to, m.to_len, &m.scan);
	if (ret < 0)
		return ret;
	ret = merge_run(&m, from, from_len, fn, ctx);
	c->ops->scan_close(m.scan);
	return ret;
}

/* ---- blocks ---- */

/* The lowest layer that shows: what lies below is hidden by a drop or a whole block. */
static size_t lowest_visible(const struct layers *l, uint64_t row_id, bool *view_visible)
{
	for (size_t i = l->count; i-- > 0;) {
		if (pending_hides(l->v[i], row_id)) {
			*view_visible = false;
			return i;
		}
	}
	*view_visible = true;
	return 0;
}

static bool has_versions(const struct layers *l, uint64_t row_id)
{
	for (size_t i = 0; i < l->count; i++) {
		if (pending_block(l->v[i], row_id))
			return true;
	}
	return false;
}

/* Makes the block in t->block: the row of the view and all that is pending on it. */
static int block_compose(struct kv_txn *t, const struct layers *l, uint64_t row_id, uint32_t *len)
{
	struct block_row row;
	bool view_visible;
	size_t lowest = lowest_visible(l, row_id, &view_visible);
	int ret = 0;

	*len = 0;
	if (!t->block)
		t->block = mem_alloc(KV_BLOCK_SIZE);
	if (view_visible) {
		ret = t->view->conn->ops->block_get(t->view->conn, row_id, &row);
		if (ret == 0)
			ret = block_row_verify(&row, row_id, 0, row.len);
		if (ret < 0 && ret != -ENOENT)
			return ret;
	}
	if (view_visible && ret == 0) {
		memcpy(t->block, row.data, row.len);
		*len = row.len;
	}
	for (size_t i = lowest; i < l->count; i++) {
		for (const struct pending_version *v = pending_block(l->v[i], row_id); v;
		     v = v->newer) {
			struct kv_mutation m = v->m;

			m.data = pending_data(v);
			block_change(&m, t->block, len);
		}
	}
	return 0;
}

/* [off, off + len) of one block. */
static int block_read(struct kv_txn *t, const struct layers *l, uint64_t row_id, uint32_t off,
		      uint8_t *out, uint32_t len)
{
	struct block_row row = { .len = 0 };
	bool view_visible;
	uint32_t have;
	int ret = 0;

	lowest_visible(l, row_id, &view_visible);
	if (has_versions(l, row_id)) {
		ret = block_compose(t, l, row_id, &row.len);
		row.data = t->block;
	} else if (view_visible) {
		ret = t->view->conn->ops->block_get(t->view->conn, row_id, &row);
		if (ret == 0)
			ret = block_row_verify(&row, row_id, off, len);
		else if (ret == -ENOENT)
			ret = 0;
	}
	if (ret < 0)
		return ret;
	have = row.len > off ? row.len - off : 0;
	have = have < len ? have : len;
	if (have > 0)
		memcpy(out, row.data + off, have);
	memset(out + have, 0, len - have);
	return 0;
}

int kv_txn_read(struct kv_txn *txn, uint64_t ino, uint64_t off, void *out, size_t len)
{
	struct layers l = txn_layers(txn);
	uint8_t *p = out;

	assert(ino <= KV_INO_MAX && off <= KV_FILE_SIZE_MAX && len <= KV_FILE_SIZE_MAX - off);
	while (len > 0) {
		uint32_t at = (uint32_t)(off % KV_BLOCK_SIZE);
		uint32_t n = (uint32_t)min_u64(len, KV_BLOCK_SIZE - at);
		uint64_t row_id = block_row_id(ino, (uint32_t)(off / KV_BLOCK_SIZE));
		int ret = block_read(txn, &l, row_id, at, p, n);

		if (ret < 0)
			return ret;
		off += n;
		p += n;
		len -= n;
	}
	return 0;
}

/* First row of the view >= from that no layer dropped. */
static int view_block_next(struct kv_txn *t, const struct layers *l, uint64_t from,
			   uint64_t *row_id)
{
	struct kv_conn *c = t->view->conn;
	int ret;

	while ((ret = c->ops->block_next(c, from, row_id)) == 0) {
		uint64_t end = 0;
		uint64_t last;
		bool dropped = false;

		for (size_t i = 0; i < l->count; i++) {
			if (pending_dropped(l->v[i], *row_id, &last)) {
				dropped = true;
				end = max_u64(end, last);
			}
		}
		MARK_IF(dropped, "store.txn.block-dropped-in-overlay");
		if (!dropped || end == INT64_MAX)
			return dropped ? -ENOENT : 0;
		from = end + 1;
	}
	return ret;
}

/* Bytes the row would have with all that is pending; 0: no row. Only lengths are computed. */
static int block_length(struct kv_txn *t, const struct layers *l, uint64_t row_id, uint32_t *len)
{
	struct block_row row;
	bool view_visible;
	size_t lowest = lowest_visible(l, row_id, &view_visible);

	*len = 0;
	if (view_visible) {
		int ret = t->view->conn->ops->block_sums(t->view->conn, row_id, &row);

		if (ret < 0 && ret != -ENOENT)
			return ret;
		*len = ret == 0 ? row.len : 0;
	}
	for (size_t i = lowest; i < l->count; i++) {
		for (const struct pending_version *v = pending_block(l->v[i], row_id); v;
		     v = v->newer)
			*len = block_len_after(&v->m, *len);
	}
	return 0;
}

int kv_txn_next_block(struct kv_txn *txn, uint64_t ino, uint32_t from, uint32_t *block)
{
	struct layers l = txn_layers(txn);
	uint64_t id = block_row_id(ino, from);
	uint64_t last = block_row_id(ino, KV_BLOCKS_PER_INO - 1);
	uint64_t found, other;
	uint32_t len;
	int ret;

	assert(ino <= KV_INO_MAX);
	if (from >= KV_BLOCKS_PER_INO)
		return -ENOENT;
	for (; id <= last; id = found + 1) {
		ret = view_block_next(txn, &l, id, &found);
		if (ret < 0 && ret != -ENOENT)
			return ret;
		if (ret == -ENOENT)
			found = UINT64_MAX;
		for (size_t i = 0; i < l.count; i++) {
			if (pending_block_next(l.v[i], id, &other) == 0 && other < found)
				found = other;
		}
		if (found > last)
			return -ENOENT;
		if (l.count == 0)
			len = 1;
		else
			ret = block_length(txn, &l, found, &len);
		if (ret < 0 && ret != -ENOENT)
			return ret;
		if (len > 0) {
			*block = block_row_block(found);
			return 0;
		}
	}
	return -ENOENT;
}

/* ---- sessions ---- */

/* A session as it stands in view and overlay, and what there is about one number of it. */
struct standing {
	bool known;
	uint64_t id, stamp;
	uint64_t low;       /* the highest low of anybody: what counts against the window lies above */
	size_t reply_bytes; /* ... of such */
};

static void found_reply(struct kv_session_lookup *out, enum kv_session_state state, uint64_t index,
			int32_t status, const void *reply, size_t len)
{
	out->state = state;
	out->index = index;
	out->status = status;
	buf_put(&out->reply, reply, len);
}

/* Operations behind the last end: those before it are another session's, and so is the record. */
static size_t first_living(const struct overlay_session *s)
{
	size_t i = s ? s->op_count : 0;

	while (i > 0 && !s->ops[i - 1].ends)
		i--;
	return i;
}

static void stand_pending(const struct overlay_session *s, size_t first, struct standing *st)
{
	for (size_t i = first; s && i < s->op_count; i++) {
		st->low = max_u64(st->low, s->ops[i].low);
		if (s->ops[i].session_id != s->ops[i].index)
			continue;
		st->known = true;
		st->id = s->ops[i].session_id;
		st->stamp = s->ops[i].stamp;
	}
}

static void lookup_pending(const struct overlay_session *s, size_t first, uint64_t seq,
			   struct standing *st, struct kv_session_lookup *out)
{
	for (size_t i = first; s && i < s->op_count; i++) {
		const struct overlay_op *op = &s->ops[i];

		MARK_IF(op->seq == seq, "store.session.duplicate-pending");
		if (op->seq == seq)
			found_reply(out, KV_SESSION_PENDING, op->index, op->status, op->reply,
				    op->reply_len);
		if (op->seq >= st->low)
			st->reply_bytes += op->reply_len;
	}
}

static void lookup_record(struct session_record r, uint64_t seq, struct standing *st,
			  struct kv_session_lookup *out)
{
	struct session_reply reply;

	while (session_record_next(&r, &reply)) {
		MARK_IF(reply.seq == seq, "store.session.duplicate-done");
		if (reply.seq == seq)
			found_reply(out, KV_SESSION_DONE, reply.index, reply.status, reply.data,
				    reply.len);
		if (reply.seq >= st->low)
			st->reply_bytes += reply.len;
	}
}

/* The lowest unanswered operation must get through, or nothing would ever leave the window. */
static bool beyond_window(const struct standing *st, uint64_t seq)
{
	return seq - st->low >= KV_SESSION_WINDOW ||
	       (seq > st->low && st->reply_bytes >= KV_SESSION_REPLY_BYTES);
}

static bool may_begin(const struct kv_txn *txn, const struct kv_session_ask *ask)
{
	uint64_t floor = txn->view->meta.begin_floor;

	if (txn->overlay)
		floor = max_u64(floor, overlay_begin_floor(txn->overlay));
	return ask->session_id == 0 && ask->stamp > floor;
}

/* Does the request mean the session that stands? */
static bool is_meant(const struct standing *st, const struct kv_session_ask *ask)
{
	return ask->session_id ? ask->session_id == st->id : ask->stamp == st->stamp;
}

/* -ENOENT: the view has none. Borrows until the next use of the connection. */
static int load_record(struct kv_txn *txn, const uint8_t uuid[KV_UUID_SIZE], struct session_record *r)
{
	uint8_t key[SESSION_KEY_SIZE];
	struct kv_row row;
	int ret;

	session_key(uuid, key);
	ret = kv_conn_get(txn->view->conn, key, sizeof(key), &row);
	return ret < 0 ? ret : session_record_open(r, row.value, row.len);
}

/* How the session of that client stands; *first and *has_record tell where its replies are. */
static int stand(struct kv_txn *txn, const uint8_t uuid[KV_UUID_SIZE], struct session_record *record,
		 bool *has_record, const struct overlay_session **pending, size_t *first,
		 struct standing *st)
{
	const struct overlay_session *s = txn->overlay ? overlay_session(txn->overlay, uuid) : NULL;
	int ret = load_record(txn, uuid, record);

	if (ret < 0 && ret != -ENOENT)
		return ret;
	*pending = s;
	*first = first_living(s);
	*has_record = ret == 0 && *first == 0;
	if (*has_record) {
		st->known = true;
		st->id = record->id;
		st->stamp = record->stamp;
		st->low = max_u64(st->low, record->low);
	}
	stand_pending(s, *first, st);
	return 0;
}

int kv_txn_session(struct kv_txn *txn, const struct kv_session_ask *ask, struct kv_session_lookup *out)
{
	struct kv_session_lookup found = { .state = KV_SESSION_EXECUTE, .reply = BUF_INIT };
	struct standing st = { .low = ask->low };
	const struct overlay_session *pending;
	struct session_record record;
	bool has_record;
	size_t first;
	int ret = stand(txn, ask->uuid, &record, &has_record, &pending, &first, &st);

	if (ret < 0)
		return ret;
	MARK_IF(!st.known, "store.session.unknown");
	MARK_IF(st.known && !has_record, "store.session.begun-in-overlay");
	MARK_IF(!st.known && first > 0, "store.session.ended-in-overlay");
	if (st.known ? !is_meant(&st, ask) : !may_begin(txn, ask)) {
		MARK("store.session.expired");
		found.state = KV_SESSION_EXPIRED;
		*out = found;
		return 0;
	}
	found.session_id = st.known ? st.id : 0;
	lookup_pending(pending, first, ask->seq, &st, &found);
	if (has_record)
		lookup_record(record, ask->seq, &st, &found);
	if (found.state == KV_SESSION_EXECUTE) {
		MARK_IF(ask->seq < st.low, "store.session.old");
		MARK_IF(ask->seq >= st.low && beyond_window(&st, ask->seq),
			"store.session.beyond-window");
		if (ask->seq == 0 || ask->seq < st.low) /* numbers begin at 1 */
			found.state = KV_SESSION_OLD;
		else if (beyond_window(&st, ask->seq))
			found.state = KV_SESSION_AHEAD;
		else if (!st.known)
			found.state = KV_SESSION_BEGIN;
	}
	*out = found;
	return 0;
}

int kv_txn_session_end(struct kv_txn *txn, struct kv_session_end *end)
{
	const struct overlay_session *pending;
	struct standing st = { .low = 0 };
	struct session_record record;
	bool has_record;
	size_t first;
	int ret = stand(txn, end->uuid, &record, &has_record, &pending, &first, &st);

	if (ret < 0)
		return ret;
	if (!st.known || st.id != end->session_id)
		return -ENOENT;
	end->stamp = st.stamp;
	return 0;
}

uint64_t kv_txn_session_count(const struct kv_txn *txn)
{
	uint64_t count = txn->view->meta.session_count;

	if (txn->overlay)
		count = (uint64_t)((int64_t)count + overlay_session_delta(txn->overlay));
	return count;
}

struct session_scan {
	kv_session_fn fn;
	void *ctx;
};

static int scan_record(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *value, size_t len)
{
	struct session_scan *scan = ctx;
	struct kv_session_info info;
	struct session_record r;

	if (key_len != SESSION_KEY_SIZE || session_record_open(&r, value, len) < 0)
		return -EUCLEAN;
	info = (struct kv_session_info){
		.session_id = r.id, .used_log_ms = r.used_ms, .highest = r.highest
	};
	memcpy(info.uuid, key + 1, KV_UUID_SIZE);
	return scan->fn(scan->ctx, &info);
}

int kv_txn_session_scan(struct kv_txn *txn, const uint8_t after[KV_UUID_SIZE], kv_session_fn fn, void *ctx)
{
	static const uint8_t prefix = KV_CLASS_SESSION;
	struct session_scan scan = { .fn = fn, .ctx = ctx };
	uint8_t key[SESSION_KEY_SIZE];

	if (after)
		session_key(after, key);
	return kv_txn_scan(txn, &prefix, 1, key, after ? sizeof(key) : 0, scan_record, &scan);
}
