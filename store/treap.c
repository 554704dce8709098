/* treap.c - see treap.h. */
#include "store/treap.h"

#include "base/buf.h"
#include "base/hash.h"

int key_compare(const void *a, size_t a_len, const void *b, size_t b_len)
{
	size_t shorter = a_len < b_len ? a_len : b_len;
	int ret = shorter == 0 ? 0 : memcmp(a, b, shorter);

	if (ret != 0)
		return ret;
	return a_len < b_len ? -1 : a_len > b_len;
}

static struct treap_node *node_new(const void *key, size_t key_len, void *value)
{
	struct treap_node *n = mem_calloc(1, sizeof(*n) + key_len);

	atomic_init(&n->refs, 1);
	n->priority = hash64(key, key_len);
	n->value = value;
	n->key_len = key_len;
	memcpy(n->key, key, key_len);
	return n;
}

static struct treap_node *node_ref(struct treap_node *n)
{
	if (n)
		atomic_fetch_add_explicit(&n->refs, 1, memory_order_relaxed);
	return n;
}

static void node_unref(struct treap *t, struct treap_node *n)
{
	if (!n || atomic_fetch_sub_explicit(&n->refs, 1, memory_order_acq_rel) != 1)
		return;
	node_unref(t, n->left);
	node_unref(t, n->right);
	t->value_unref(n->value);
	free(n);
}

/* The same node for this map alone. Holds down to the root: the caller owned the way here. */
static struct treap_node *node_own(struct treap *t, struct treap_node *n)
{
	struct treap_node *copy;

	if (atomic_load_explicit(&n->refs, memory_order_acquire) == 1)
		return n;
	copy = node_new(n->key, n->key_len, t->value_ref(n->value));
	copy->left = node_ref(n->left);
	copy->right = node_ref(n->right);
	node_unref(t, n);
	return copy;
}

void treap_release(struct treap *t)
{
	node_unref(t, t->root);
	t->root = NULL;
}

struct treap treap_snapshot(const struct treap *t)
{
	struct treap copy = *t;

	assert(t->value_ref);
	node_ref(copy.root);
	return copy;
}

static struct treap_node *rotate_right(struct treap_node *n)
{
	struct treap_node *up = n->left;

	n->left = up->right;
	up->right = n;
	return up;
}

static struct treap_node *rotate_left(struct treap_node *n)
{
	struct treap_node *up = n->right;

	n->right = up->left;
	up->left = n;
	return up;
}

/* Insertion below n puts the new node where order wants it, then rotates it up by priority. */
static struct treap_node *put_below(struct treap *t, struct treap_node *n, const void *key,
				    size_t key_len, void *value)
{
	int cmp;

	if (!n)
		return node_new(key, key_len, value);
	n = node_own(t, n);
	cmp = key_compare(key, key_len, n->key, n->key_len);
	if (cmp == 0) {
		t->value_unref(n->value);
		n->value = value;
		return n;
	}
	if (cmp < 0) {
		n->left = put_below(t, n->left, key, key_len, value);
		return n->left->priority > n->priority ? rotate_right(n) : n;
	}
	n->right = put_below(t, n->right, key, key_len, value);
	return n->right->priority > n->priority ? rotate_left(n) : n;
}

void treap_put(struct treap *t, const void *key, size_t key_len, void *value)
{
	t->root = put_below(t, t->root, key, key_len, value);
}

/* All keys of a are below all of b; both are owned by the caller. */
static struct treap_node *merge(struct treap *t, struct treap_node *a, struct treap_node *b)
{
	if (!a || !b)
		return a ? a : b;
	if (a->priority > b->priority) {
		a = node_own(t, a);
		a->right = merge(t, a->right, b);
		return a;
	}
	b = node_own(t, b);
	b->left = merge(t, a, b->left);
	return b;
}

static struct treap_node *del_below(struct treap *t, struct treap_node *n, const void *key,
				    size_t key_len)
{
	struct treap_node *rest;
	int cmp;

	n = node_own(t, n);
	cmp = key_compare(key, key_len, n->key, n->key_len);
	if (cmp < 0)
		n->left = del_below(t, n->left, key, key_len);
	else if (cmp > 0)
		n->right = del_below(t, n->right, key, key_len);
	else {
		rest = merge(t, n->left, n->right);
		n->left = n->right = NULL;
		node_unref(t, n);
		return rest;
	}
	return n;
}

bool treap_del(struct treap *t, const void *key, size_t key_len)
{
	if (!treap_get(t, key, key_len))
		return false;
	t->root = del_below(t, t->root, key, key_len);
	return true;
}

void *treap_get(const struct treap *t, const void *key, size_t key_len)
{
	const struct treap_node *n = t->root;

	while (n) {
		int cmp = key_compare(key, key_len, n->key, n->key_len);

		if (cmp == 0)
			return n->value;
		n = cmp < 0 ? n->left : n->right;
	}
	return NULL;
}

const struct treap_node *treap_seek(const struct treap *t, const void *key, size_t key_len,
				    bool after)
{
	const struct treap_node *n = t->root;
	const struct treap_node *found = NULL;

	while (n) {
		int cmp = key_compare(key, key_len, n->key, n->key_len);

		if (cmp == 0 && !after)
			return n;
		if (cmp < 0) {
			found = n;
			n = n->left;
		} else {
			n = n->right;
		}
	}
	return found;
}
