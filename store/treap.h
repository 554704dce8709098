/*
 * treap.h - an ordered map from byte strings to values, with snapshots for the price of a reference.
 *
 * Nodes are reference counted and copied on write only when shared: a map that was never snapshot
 * changes in place, one that was leaves the snapshot's nodes as they are. The shape depends on the
 * keys alone (priority = hash of the key), depth is logarithmic for keys nobody chose against it.
 * Snapshots may be read and released by other threads than the one that changes the map.
 */
#ifndef STORE_TREAP_H
#define STORE_TREAP_H

#include <stdatomic.h>

#include "base/base.h"

struct treap_node {
	atomic_uint refs;
	uint64_t priority;
	struct treap_node *left, *right;
	void *value;
	size_t key_len;
	uint8_t key[];
};

struct treap {
	struct treap_node *root;
	void *(*value_ref)(void *value);  /* for a copied node; NULL: the map is never snapshot */
	void (*value_unref)(void *value); /* for a node that goes */
};

void treap_release(struct treap *t);                /* leaves it empty */
struct treap treap_snapshot(const struct treap *t); /* release it */
/* Takes value; an old value of the key is released. */
void treap_put(struct treap *t, const void *key, size_t key_len, void *value);
bool treap_del(struct treap *t, const void *key, size_t key_len);        /* was there */
void *treap_get(const struct treap *t, const void *key, size_t key_len); /* borrowed, or NULL */
/* First node with key >= (or >, when after) the given one, or NULL; borrowed until the next change. */
const struct treap_node *treap_seek(const struct treap *t, const void *key, size_t key_len,
				    bool after);
int key_compare(const void *a, size_t a_len, const void *b, size_t b_len); /* memcmp order */

#endif
