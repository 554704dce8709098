/* hash.c - see hash.h. */
#include "base/hash.h"

#include <xxhash.h>

#include "base/buf.h"

uint64_t hash64(const void *data, size_t len)
{
	return XXH3_64bits(data, len);
}

uint64_t hash64_seed(const void *data, size_t len, uint64_t seed)
{
	return XXH3_64bits_withSeed(data, len, seed);
}

uint64_t hash_u64(uint64_t v)
{
	v = (v ^ (v >> 30)) * 0xbf58476d1ce4e5b9ull;
	v = (v ^ (v >> 27)) * 0x94d049bb133111ebull;
	return v ^ (v >> 31);
}

void hash128(const void *data, size_t len, uint64_t seed, uint64_t out[2])
{
	XXH128_hash_t h = XXH3_128bits_withSeed(data, len, seed);

	out[0] = h.low64;
	out[1] = h.high64;
}

void htable_release(struct htable *t)
{
	free(t->buckets);
	*t = HTABLE_INIT;
}

static void grow(struct htable *t)
{
	size_t count = t->bucket_count ? 2 * t->bucket_count : 16;
	struct hnode **buckets = mem_calloc(count, sizeof(struct hnode *));

	for (size_t i = 0; i < t->bucket_count; i++) {
		struct hnode *next;

		for (struct hnode *n = t->buckets[i]; n; n = next) {
			next = n->next;
			n->next = buckets[n->hash & (count - 1)];
			buckets[n->hash & (count - 1)] = n;
		}
	}
	free(t->buckets);
	t->buckets = buckets;
	t->bucket_count = count;
}

void htable_add(struct htable *t, struct hnode *node, uint64_t hash)
{
	struct hnode **b;

	if (t->count >= t->bucket_count)
		grow(t);
	b = &t->buckets[hash & (t->bucket_count - 1)];
	node->hash = hash;
	node->next = *b;
	*b = node;
	t->count++;
}

void htable_del(struct htable *t, struct hnode *node)
{
	struct hnode **b = &t->buckets[node->hash & (t->bucket_count - 1)];

	while (*b != node) {
		assert(*b);
		b = &(*b)->next;
	}
	*b = node->next;
	node->next = NULL;
	t->count--;
}

static struct hnode *match(struct hnode *n, uint64_t hash)
{
	while (n && n->hash != hash)
		n = n->next;
	return n;
}

struct hnode *htable_first(const struct htable *t, uint64_t hash)
{
	return t->bucket_count ? match(t->buckets[hash & (t->bucket_count - 1)], hash) : NULL;
}

struct hnode *htable_next(const struct hnode *node)
{
	return match(node->next, node->hash);
}

void htable_each(struct htable *t, void (*fn)(struct hnode *node, void *ctx), void *ctx)
{
	for (size_t i = 0; i < t->bucket_count; i++) {
		struct hnode *next;

		for (struct hnode *n = t->buckets[i]; n; n = next) {
			next = n->next;
			fn(n, ctx);
		}
	}
}
