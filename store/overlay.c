/*
 * overlay.c - entries that were proposed and are not applied in the view yet.
 *
 * A queue of entries in log order, each with its batch; their mutations in `pending`, their session
 * operations per client. Trimming walks the batch of each entry that leaves, so nothing but the
 * entry has to remember what it changed.
 */
#include "store/overlay.h"

#include "base/list.h"

struct overlay_entry {
	struct list link;
	uint64_t index, term;
	struct blob *batch;  /* one reference, or NULL */
	const uint8_t *base; /* batch->data: where the versions look up their bytes */
	int64_t session_delta; /* sessions begun less sessions ended */
	bool has_session;
	uint8_t uuid[KV_UUID_SIZE];
};

struct overlay {
	struct list entries; /* ascending by index */
	size_t count, bytes;
	struct pending pending;
	struct htable sessions; /* struct overlay_session by uuid */
	uint64_t begin_floor;   /* never falls before a reset: the view's has caught up by then */
	int64_t session_delta;  /* sum over the entries */
};

struct overlay *overlay_new(void)
{
	struct overlay *o = mem_calloc(1, sizeof(*o));

	list_init(&o->entries);
	pending_init(&o->pending);
	return o;
}

/* ---- session operations ---- */

static uint64_t uuid_hash(const uint8_t uuid[KV_UUID_SIZE])
{
	return hash64(uuid, KV_UUID_SIZE);
}

static struct overlay_session *find_session(const struct overlay *o,
					    const uint8_t uuid[KV_UUID_SIZE])
{
	struct hnode *n = htable_first(&o->sessions, uuid_hash(uuid));

	for (; n; n = htable_next(n)) {
		struct overlay_session *s = CONTAINER_OF(n, struct overlay_session, node);

		if (memcmp(s->uuid, uuid, KV_UUID_SIZE) == 0)
			return s;
	}
	return NULL;
}

static void add_op(struct overlay *o, const uint8_t uuid[KV_UUID_SIZE], struct overlay_op op)
{
	struct overlay_session *s = find_session(o, uuid);

	if (!s) {
		s = mem_calloc(1, sizeof(*s));
		memcpy(s->uuid, uuid, KV_UUID_SIZE);
		htable_add(&o->sessions, &s->node, uuid_hash(uuid));
	}
	if (s->op_count == s->op_cap) {
		s->op_cap = s->op_cap ? 2 * s->op_cap : 4;
		s->ops = mem_realloc(s->ops, s->op_cap * sizeof(*s->ops));
	}
	s->ops[s->op_count++] = op;
}

/* The order is apply's: what ends does so before the operation. */
static void add_sessions(struct overlay *o, struct overlay_entry *e, const struct kv_batch_head *head)
{
	for (uint32_t i = 0; i < head->end_count; i++) {
		struct kv_session_end end = kv_session_end_at(head, i);

		add_op(o, end.uuid,
		       (struct overlay_op){ .ends = true,
					    .session_id = end.session_id,
					    .index = e->index });
		o->begin_floor = max_u64(o->begin_floor, end.stamp);
	}
	if (head->has_session)
		add_op(o, head->uuid,
		       (struct overlay_op){ .session_id = head->session_id,
					    .stamp = head->stamp,
					    .seq = head->seq,
					    .low = head->low,
					    .index = e->index,
					    .status = head->status,
					    .reply = head->reply,
					    .reply_len = head->reply_len });
	e->session_delta = (int64_t)head->begins - (int64_t)head->end_count;
	o->session_delta += e->session_delta;
}

static void free_session(struct overlay_session *s)
{
	free(s->ops);
	free(s);
}

static void trim_ops(struct overlay *o, const uint8_t uuid[KV_UUID_SIZE], uint64_t applied)
{
	struct overlay_session *s = find_session(o, uuid);
	size_t gone = 0;

	if (!s)
		return;
	while (gone < s->op_count && s->ops[gone].index <= applied)
		gone++;
	s->op_count -= gone;
	if (s->op_count > 0) {
		memmove(s->ops, s->ops + gone, s->op_count * sizeof(*s->ops));
		return;
	}
	htable_del(&o->sessions, &s->node);
	free_session(s);
}

static void free_session_node(struct hnode *node, void *ctx)
{
	(void)ctx;
	free_session(CONTAINER_OF(node, struct overlay_session, node));
}

/* ---- entries ---- */

static void free_entry(struct overlay *o, struct overlay_entry *e)
{
	list_del(&e->link);
	o->count--;
	o->session_delta -= e->session_delta;
	if (e->batch)
		o->bytes -= e->batch->len;
	blob_unref(e->batch);
	free(e);
}

int overlay_push(struct overlay *o, uint64_t index, uint64_t term, struct blob *batch)
{
	struct kv_batch_head head = { .has_session = false };
	struct kv_batch_iter it = { .pos = NULL };
	struct overlay_entry *e;
	struct kv_mutation m;

	if (batch && kv_batch_decode(&head, &it, batch->data, batch->len) < 0)
		return -EUCLEAN;
	assert(list_empty(&o->entries) ||
	       list_entry(o->entries.prev, struct overlay_entry, link)->index < index);
	e = mem_calloc(1, sizeof(*e));
	e->index = index;
	e->term = term;
	e->batch = blob_ref(batch);
	e->base = batch ? batch->data : NULL;
	e->has_session = head.has_session;
	memcpy(e->uuid, head.uuid, KV_UUID_SIZE);
	list_add_tail(&o->entries, &e->link);
	o->count++;
	o->bytes += batch ? batch->len : 0;
	while (kv_batch_next(&it, &m))
		pending_add(&o->pending, index, &e->base, &m);
	add_sessions(o, e, &head);
	return 0;
}

static void trim_entry(struct overlay *o, struct overlay_entry *e, uint64_t applied)
{
	struct kv_batch_head head;
	struct kv_batch_iter it;
	struct kv_mutation m;
	int ret;

	if (e->batch) {
		ret = kv_batch_decode(&head, &it, e->batch->data, e->batch->len);
		assert(ret == 0);
		while (kv_batch_next(&it, &m))
			pending_trim(&o->pending, applied, &m);
		for (uint32_t i = 0; i < head.end_count; i++)
			trim_ops(o, kv_session_end_at(&head, i).uuid, applied);
	}
	if (e->has_session)
		trim_ops(o, e->uuid, applied);
}

void overlay_trim(struct overlay *o, uint64_t applied_index)
{
	list_for_each_safe (it, &o->entries) {
		struct overlay_entry *e = list_entry(it, struct overlay_entry, link);

		if (e->index > applied_index)
			break;
		trim_entry(o, e, applied_index);
		free_entry(o, e);
	}
}

void overlay_reset(struct overlay *o)
{
	pending_release(&o->pending);
	htable_each(&o->sessions, free_session_node, NULL);
	htable_release(&o->sessions);
	o->sessions = HTABLE_INIT;
	o->begin_floor = 0;
	list_for_each_safe (it, &o->entries)
		free_entry(o, list_entry(it, struct overlay_entry, link));
}

void overlay_free(struct overlay *o)
{
	if (!o)
		return;
	overlay_reset(o);
	free(o);
}

size_t overlay_entry_count(const struct overlay *o)
{
	return o->count;
}

size_t overlay_bytes(const struct overlay *o)
{
	return o->bytes;
}

const struct pending *overlay_pending(const struct overlay *o)
{
	return &o->pending;
}

uint64_t overlay_begin_floor(const struct overlay *o)
{
	return o->begin_floor;
}

int64_t overlay_session_delta(const struct overlay *o)
{
	return o->session_delta;
}

const struct overlay_session *overlay_session(const struct overlay *o,
					      const uint8_t uuid[KV_UUID_SIZE])
{
	return find_session(o, uuid);
}
