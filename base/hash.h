/*
 * hash.h - checksums (XXH3) and an intrusive hash table.
 *
 * The table stores nodes that callers embed in their own structs, grows by itself, and owns
 * nothing. Equal hashes are told apart by the caller, who walks the matches.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/base.h"

uint64_t hash64(const void *data, size_t len);                   /* XXH3_64bits */
uint64_t hash64_seed(const void *data, size_t len, uint64_t seed);
uint64_t hash_u64(uint64_t v);                                   /* splitmix finaliser */
/* XXH3_128bits_withSeed as two lanes. */
void hash128(const void *data, size_t len, uint64_t seed, uint64_t out[2]);

struct hnode {
	struct hnode *next;
	uint64_t hash;
};

struct htable {
	struct hnode **buckets;
	size_t bucket_count; /* a power of two, 0 while empty */
	size_t count;
};

#define HTABLE_INIT ((struct htable){ .buckets = NULL })

void htable_release(struct htable *t);                            /* frees the buckets, not the nodes */
void htable_add(struct htable *t, struct hnode *node, uint64_t hash);
void htable_del(struct htable *t, struct hnode *node);            /* node must be in t */
struct hnode *htable_first(const struct htable *t, uint64_t hash); /* a node with that hash or NULL */
struct hnode *htable_next(const struct hnode *node);              /* the next with the same hash or NULL */
/* Calls fn for every node; fn may free or delete the node it is given, nothing else. */
void htable_each(struct htable *t, void (*fn)(struct hnode *node, void *ctx), void *ctx);

#endif
