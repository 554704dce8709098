/* key.c - see key.h. */
#include "fs/ops/key.h"

#include "base/hash.h"

void key_ino(struct key *k, uint8_t class, uint64_t ino)
{
	k->data[0] = class;
	store_be64(k->data + KEY_CLASS_SIZE, ino);
	k->len = KEY_INO_SIZE;
}

void key_ino_name(struct key *k, uint8_t class, uint64_t ino, const void *name, size_t name_len)
{
	assert(name_len > 0 && name_len <= FS_NAME_MAX);
	key_ino(k, class, ino);
	memcpy(k->data + KEY_INO_SIZE, name, name_len);
	k->len += name_len;
}

void key_order(struct key *k, uint64_t parent, uint64_t cookie)
{
	key_ino(k, KEY_ORDER, parent);
	store_be64(k->data + KEY_INO_SIZE, cookie);
	k->len = KEY_ORDER_SIZE;
}

void key_counters(struct key *k)
{
	k->data[0] = KEY_COUNTERS;
	k->len = KEY_CLASS_SIZE;
}

void key_user(struct key *k, const void *user, size_t user_len)
{
	assert(user_len > 0 && user_len <= FS_KV_KEY_MAX);
	k->data[0] = KEY_USER;
	memcpy(k->data + KEY_CLASS_SIZE, user, user_len);
	k->len = KEY_CLASS_SIZE + user_len;
}

void key_lock(struct key *k, uint64_t ino, uint8_t kind, uint64_t session, uint64_t owner, uint64_t start)
{
	key_ino(k, KEY_LOCK, ino);
	k->data[KEY_INO_SIZE] = kind;
	store_be64(k->data + KEY_LOCK_KIND_SIZE, session);
	store_be64(k->data + KEY_LOCK_SESSION_SIZE, owner);
	store_be64(k->data + KEY_LOCK_OWNER_SIZE, start);
	k->len = KEY_LOCK_SIZE;
}

void key_holder(struct key *k, uint64_t session, uint64_t ino)
{
	key_ino(k, KEY_LOCK_HOLDER, session);
	store_be64(k->data + KEY_INO_SIZE, ino);
	k->len = KEY_HOLDER_SIZE;
}

void key_waiter(struct key *k, uint64_t session, uint64_t owner, uint64_t waiter)
{
	key_ino(k, KEY_LOCK_WAITER, session);
	store_be64(k->data + KEY_INO_SIZE, owner);
	store_be64(k->data + KEY_INO_SIZE + 8, waiter);
	k->len = KEY_WAITER_SIZE;
}

/* The classes of fixed size that begin with more than an inode number. */
static int parse_lock(struct key_parts *k, const uint8_t *p, size_t len)
{
	switch (k->class) {
	case KEY_LOCK:
		if (len != KEY_LOCK_SIZE)
			return -EUCLEAN;
		k->ino = load_be64(p + KEY_CLASS_SIZE);
		k->kind = p[KEY_INO_SIZE];
		k->session = load_be64(p + KEY_LOCK_KIND_SIZE);
		k->owner = load_be64(p + KEY_LOCK_SESSION_SIZE);
		k->start = load_be64(p + KEY_LOCK_OWNER_SIZE);
		return 0;
	case KEY_LOCK_HOLDER:
		if (len != KEY_HOLDER_SIZE)
			return -EUCLEAN;
		k->session = load_be64(p + KEY_CLASS_SIZE);
		k->ino = load_be64(p + KEY_INO_SIZE);
		return 0;
	default:
		if (len != KEY_WAITER_SIZE)
			return -EUCLEAN;
		k->session = load_be64(p + KEY_CLASS_SIZE);
		k->owner = load_be64(p + KEY_INO_SIZE);
		k->start = load_be64(p + KEY_INO_SIZE + 8);
		return 0;
	}
}

static bool class_is_lock(uint8_t class)
{
	return class == KEY_LOCK || class == KEY_LOCK_HOLDER || class == KEY_LOCK_WAITER;
}

static bool class_has_ino(uint8_t class)
{
	return class == KEY_INODE || class == KEY_DENTRY || class == KEY_ORDER ||
	       class == KEY_XATTR || class == KEY_ORPHAN || class == KEY_TRUNCATE ||
	       class == KEY_DELEGATION;
}

/* How many bytes may follow what key_parse() has taken so far. */
static bool rest_fits(uint8_t class, size_t len)
{
	switch (class) {
	case KEY_DENTRY:
	case KEY_XATTR:
		return len > 0 && len <= FS_NAME_MAX;
	case KEY_USER:
		return len > 0 && len <= FS_KV_KEY_MAX;
	case KEY_INODE:
	case KEY_ORDER:
	case KEY_ORPHAN:
	case KEY_TRUNCATE:
	case KEY_DELEGATION:
	case KEY_COUNTERS:
		return len == 0;
	default:
		return false;
	}
}

int key_parse(struct key_parts *parts, const void *key, size_t key_len)
{
	const uint8_t *p = key;
	size_t at = KEY_CLASS_SIZE;
	struct key_parts k = { .class = 0 };

	if (key_len < KEY_CLASS_SIZE)
		return -EUCLEAN;
	k.class = p[0];
	if (class_is_lock(k.class)) {
		int ret = parse_lock(&k, p, key_len);

		k.rest = p + key_len;
		if (ret == 0)
			*parts = k;
		return ret;
	}
	if (class_has_ino(k.class)) {
		if (key_len < KEY_INO_SIZE)
			return -EUCLEAN;
		k.ino = load_be64(p + at);
		at = KEY_INO_SIZE;
	}
	if (k.class == KEY_ORDER) {
		if (key_len < KEY_ORDER_SIZE)
			return -EUCLEAN;
		k.cookie = load_be64(p + at);
		at = KEY_ORDER_SIZE;
	}
	k.rest = p + at;
	k.rest_len = key_len - at;
	if (!rest_fits(k.class, k.rest_len))
		return -EUCLEAN;
	*parts = k;
	return 0;
}

uint64_t fs_mutation_ino(const struct kv_mutation *m)
{
	struct key_parts parts;

	if (m->type != KV_PUT && m->type != KV_DELETE)
		return m->ino;
	return key_parse(&parts, m->key, m->key_len) == 0 ? parts.ino : 0;
}

/* Reclaiming in steps puts the record again each time; its removal leaves nothing to look for. */
bool fs_mutation_is_orphan(const struct kv_mutation *m)
{
	return m->type == KV_PUT && m->key_len == KEY_INO_SIZE &&
	       (m->key[0] == KEY_ORPHAN || m->key[0] == KEY_TRUNCATE);
}

uint64_t fs_mutation_unlocks(const struct kv_mutation *m)
{
	struct key_parts parts;

	if (m->type == KV_DELETE && m->key_len == KEY_INO_SIZE && m->key[0] == KEY_DELEGATION)
		return load_be64(m->key + KEY_CLASS_SIZE);
	/* A put may shorten a lock, or make it one to read. */
	if ((m->type != KV_PUT && m->type != KV_DELETE) || m->key_len != KEY_LOCK_SIZE ||
	    m->key[0] != KEY_LOCK)
		return 0;
	return key_parse(&parts, m->key, m->key_len) == 0 ? parts.ino : 0;
}

uint32_t fs_slot_of_ino(uint64_t ino)
{
	return (uint32_t)(hash_u64(ino) % FS_SLOTS);
}

uint32_t fs_slot_of_name(uint64_t parent, const void *name, size_t len)
{
	return (uint32_t)(hash64_seed(name, len, parent) % FS_SLOTS);
}

bool fs_mutation_slot(const struct kv_mutation *m, uint32_t *slot)
{
	struct key_parts k;

	if ((m->type != KV_PUT && m->type != KV_DELETE) || m->key_len < KEY_INO_SIZE ||
	    (m->key[0] != KEY_INODE && m->key[0] != KEY_DENTRY) || key_parse(&k, m->key, m->key_len) < 0)
		return false;
	*slot = k.class == KEY_INODE ? fs_slot_of_ino(k.ino) : fs_slot_of_name(k.ino, k.rest, k.rest_len);
	return true;
}
