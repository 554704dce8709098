/* pending.c - see pending.h. */
#include "store/pending.h"

#include "base/buf.h"

#define BLOCK_KEY_SIZE 8

struct pending_block {
	struct pending_version *oldest, *newest; /* never empty */
};

static void free_version(void *value)
{
	free(value);
}

static void free_block(void *value)
{
	struct pending_block *b = value;

	for (struct pending_version *v = b->oldest, *newer; v; v = newer) {
		newer = v->newer;
		free(v);
	}
	free(b);
}

void pending_init(struct pending *p)
{
	*p = (struct pending){
		.keys = { .value_unref = free_version },
		.blocks = { .value_unref = free_block },
	};
}

void pending_release(struct pending *p)
{
	treap_release(&p->keys);
	treap_release(&p->blocks);
	free(p->drops);
	p->drops = NULL;
	p->drop_count = p->drop_cap = 0;
}

bool pending_is_empty(const struct pending *p)
{
	return !p->keys.root && !p->blocks.root && p->drop_count == 0;
}

const uint8_t *pending_data(const struct pending_version *v)
{
	return *v->base + v->data_off;
}

/* ---- adding ---- */

static struct pending_version *version_new(uint64_t index, const uint8_t *const *base,
					   const struct kv_mutation *m)
{
	struct pending_version *v = mem_calloc(1, sizeof(*v));

	v->index = index;
	v->m = *m;
	v->m.key = v->m.data = NULL;
	v->base = base;
	v->data_off = m->data ? (size_t)(m->data - *base) : 0;
	return v;
}

/* Blocks of the range that have pending versions forget them: they are dropped as well. */
static void add_drop(struct pending *p, uint64_t index, const struct kv_mutation *m)
{
	struct pending_drop d = { .index = index, .first_id = block_row_id(m->ino, m->block) };
	const struct treap_node *n;
	uint8_t key[BLOCK_KEY_SIZE];

	d.last_id = d.first_id + m->len - 1;
	store_be64(key, d.first_id);
	while ((n = treap_seek(&p->blocks, key, sizeof(key), false)) &&
	       load_be64(n->key) <= d.last_id) {
		memcpy(key, n->key, sizeof(key));
		treap_del(&p->blocks, key, sizeof(key));
	}
	if (p->drop_count == p->drop_cap) {
		p->drop_cap = p->drop_cap ? 2 * p->drop_cap : 8;
		p->drops = mem_realloc(p->drops, p->drop_cap * sizeof(*p->drops));
	}
	p->drops[p->drop_count++] = d;
}

static void add_block(struct pending *p, uint64_t index, const uint8_t *const *base,
		      const struct kv_mutation *m)
{
	struct pending_version *v = version_new(index, base, m);
	struct pending_block *b;
	uint8_t key[BLOCK_KEY_SIZE];

	store_be64(key, block_row_id(m->ino, m->block));
	b = treap_get(&p->blocks, key, sizeof(key));
	if (b && m->type != KV_BLOCK_PUT) {
		b->newest->newer = v;
		b->newest = v;
		return;
	}
	b = mem_calloc(1, sizeof(*b));
	b->oldest = b->newest = v;
	treap_put(&p->blocks, key, sizeof(key), b);
}

void pending_add(struct pending *p, uint64_t index, const uint8_t *const *base,
		 const struct kv_mutation *m)
{
	if (m->type == KV_PUT || m->type == KV_DELETE)
		treap_put(&p->keys, m->key, m->key_len, version_new(index, base, m));
	else if (m->type == KV_BLOCK_DROP)
		add_drop(p, index, m);
	else
		add_block(p, index, base, m);
}

/* ---- trimming ---- */

static void trim_drops(struct pending *p, uint64_t applied)
{
	size_t keep = 0;

	/* In order of index. */
	while (keep < p->drop_count && p->drops[keep].index <= applied)
		keep++;
	p->drop_count -= keep;
	if (p->drop_count > 0)
		memmove(p->drops, p->drops + keep, p->drop_count * sizeof(*p->drops));
}

static void trim_block(struct pending *p, uint64_t applied, const struct kv_mutation *m)
{
	uint8_t key[BLOCK_KEY_SIZE];
	struct pending_block *b;

	store_be64(key, block_row_id(m->ino, m->block));
	b = treap_get(&p->blocks, key, sizeof(key));
	while (b && b->oldest && b->oldest->index <= applied) {
		struct pending_version *v = b->oldest;

		b->oldest = v->newer;
		free(v);
	}
	if (b && !b->oldest)
		treap_del(&p->blocks, key, sizeof(key));
}

void pending_trim(struct pending *p, uint64_t applied, const struct kv_mutation *m)
{
	const struct pending_version *v;

	if (m->type == KV_BLOCK_DROP) {
		trim_drops(p, applied);
	} else if (m->type == KV_PUT || m->type == KV_DELETE) {
		v = pending_get(p, m->key, m->key_len);
		if (v && v->index <= applied)
			treap_del(&p->keys, m->key, m->key_len);
	} else {
		trim_block(p, applied, m);
	}
}

/* ---- reading ---- */

const struct pending_version *pending_get(const struct pending *p, const void *key, size_t key_len)
{
	return treap_get(&p->keys, key, key_len);
}

const struct pending_version *pending_block(const struct pending *p, uint64_t row_id)
{
	const struct pending_block *b;
	uint8_t key[BLOCK_KEY_SIZE];

	if (!p->blocks.root)
		return NULL;
	store_be64(key, row_id);
	b = treap_get(&p->blocks, key, sizeof(key));
	return b ? b->oldest : NULL;
}

bool pending_dropped(const struct pending *p, uint64_t row_id, uint64_t *last_id)
{
	bool found = false;

	*last_id = 0;
	for (size_t i = 0; i < p->drop_count; i++) {
		if (p->drops[i].first_id <= row_id && row_id <= p->drops[i].last_id) {
			found = true;
			*last_id = max_u64(*last_id, p->drops[i].last_id);
		}
	}
	return found;
}

bool pending_hides(const struct pending *p, uint64_t row_id)
{
	const struct pending_version *v = pending_block(p, row_id);
	uint64_t last_id;

	return (v && v->m.type == KV_BLOCK_PUT) || pending_dropped(p, row_id, &last_id);
}

int pending_block_next(const struct pending *p, uint64_t from_id, uint64_t *row_id)
{
	const struct treap_node *n;
	uint8_t key[BLOCK_KEY_SIZE];

	store_be64(key, from_id);
	n = treap_seek(&p->blocks, key, sizeof(key), false);
	if (!n)
		return -ENOENT;
	*row_id = load_be64(n->key);
	return 0;
}
