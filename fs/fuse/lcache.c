/* lcache.c - see lcache.h. */
#include "fs/fuse/lcache.h"

#include "base/mark.h"

#define NEVER_TRUE UINT64_MAX /* no entry has this index */

struct known_attr {
	struct hnode node;
	struct list lru;
	struct fs_attr attr;
	uint64_t changed; /* its slot's index when it was true last */
	bool whole;       /* a directory of which every name is known */
};

struct known_name {
	struct hnode node;
	struct list lru;
	uint64_t parent;
	uint64_t ino; /* 0: there is no such name */
	uint64_t changed;
	size_t len;
	char name[];
};

void lcache_init(struct lcache *c, size_t max, uint64_t (*boot_ns)(void))
{
	*c = (struct lcache){ .max = max, .boot_ns = boot_ns };
	pthread_mutex_init(&c->lock, NULL);
	list_init(&c->attr_lru);
	list_init(&c->name_lru);
}

/* ---- the tables; lock held ---------------------------------------------------------------------------- */

static uint64_t name_hash(uint64_t parent, const char *name, size_t len)
{
	return hash64_seed(name, len, parent);
}

static struct known_attr *attr_find(struct lcache *c, uint64_t ino)
{
	for (struct hnode *n = htable_first(&c->attrs, hash_u64(ino)); n; n = htable_next(n)) {
		struct known_attr *k = CONTAINER_OF(n, struct known_attr, node);

		if (k->attr.ino == ino)
			return k;
	}
	return NULL;
}

static struct known_name *name_find(struct lcache *c, uint64_t parent, const char *name, size_t len)
{
	for (struct hnode *n = htable_first(&c->names, name_hash(parent, name, len)); n; n = htable_next(n)) {
		struct known_name *k = CONTAINER_OF(n, struct known_name, node);

		if (k->parent == parent && k->len == len && memcmp(k->name, name, len) == 0)
			return k;
	}
	return NULL;
}

static void attr_drop(struct lcache *c, struct known_attr *k)
{
	htable_del(&c->attrs, &k->node);
	list_del(&k->lru);
	free(k);
}

static bool attr_is_true(const struct lcache *c, const struct known_attr *k)
{
	return fs_board_changed(c->board, fs_slot_of_ino(k->attr.ino)) == k->changed;
}

static bool name_is_true(const struct lcache *c, const struct known_name *k)
{
	return fs_board_changed(c->board, fs_slot_of_name(k->parent, k->name, k->len)) == k->changed;
}

/* Without it a directory is no longer known as a whole, unless the name is known not to be there. */
static void name_drop(struct lcache *c, struct known_name *k)
{
	struct known_attr *dir = attr_find(c, k->parent);

	if (dir && (k->ino != 0 || !name_is_true(c, k)))
		dir->whole = false;
	htable_del(&c->names, &k->node);
	list_del(&k->lru);
	free(k);
}

static void used(struct list *lru, struct list *item)
{
	list_del(item);
	list_add_tail(lru, item);
}

/* ---- asking --------------------------------------------------------------------------------------------- */

static bool attr_get(struct lcache *c, uint64_t ino, struct fs_attr *attr)
{
	struct known_attr *k = attr_find(c, ino);

	if (!k || !attr_is_true(c, k))
		return false;
	used(&c->attr_lru, &k->lru);
	*attr = k->attr;
	return true;
}

static int name_get(struct lcache *c, uint64_t parent, const char *name, size_t len, struct fs_attr *attr)
{
	struct known_name *k = name_find(c, parent, name, len);

	if (k && name_is_true(c, k)) {
		used(&c->name_lru, &k->lru);
		if (k->ino == 0)
			return -ENOENT;
		return attr_get(c, k->ino, attr) ? 0 : -EAGAIN;
	}
	struct known_attr *dir = attr_find(c, parent);

	/* A name that is known, and is not what it was, says nothing, even if its slot moved for another one. */
	if (k || !dir || !dir->whole || !attr_is_true(c, dir))
		return -EAGAIN;
	MARK("fs.lcache.absent-from-the-whole");
	return -ENOENT;
}

static bool count(struct lcache *c, bool hit)
{
	*(hit ? &c->stats.hits : &c->stats.misses) += 1;
	return hit;
}

bool lcache_attr(struct lcache *c, uint64_t ino, struct fs_attr *attr)
{
	pthread_mutex_lock(&c->lock);
	bool known = c->board && count(c, fs_board_speaks(c->board, c->boot_ns) && attr_get(c, ino, attr));

	pthread_mutex_unlock(&c->lock);
	return known;
}

int lcache_lookup(struct lcache *c, uint64_t parent, const char *name, size_t len, struct fs_attr *attr)
{
	bool dots = name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.'));
	int ret = -EAGAIN;

	pthread_mutex_lock(&c->lock);
	if (c->board && !dots && len <= FS_NAME_MAX) {
		if (fs_board_speaks(c->board, c->boot_ns))
			ret = name_get(c, parent, name, len, attr);
		count(c, ret != -EAGAIN);
	}
	pthread_mutex_unlock(&c->lock);
	return ret;
}

/* ---- learning -------------------------------------------------------------------------------------------- */

static void learn_attr(struct lcache *c, const struct fs_attr *attr, uint64_t index, bool whole)
{
	uint64_t changed = fs_board_changed(c->board, fs_slot_of_ino(attr->ino));
	struct known_attr *k = attr_find(c, attr->ino);

	/* No name was added or taken since it was known as a whole. */
	whole = whole || (k && k->whole && k->attr.data_version == attr->data_version);

	/* Something later is under way, or came back from the node before this did. */
	MARK_IF(changed > index, "fs.lcache.overtaken");
	if (changed > index)
		return;
	if (!k) {
		if (c->attrs.count >= c->max)
			attr_drop(c, list_first(&c->attr_lru, struct known_attr, lru));
		k = mem_calloc(1, sizeof(*k));
		k->attr.ino = attr->ino;
		htable_add(&c->attrs, &k->node, hash_u64(attr->ino));
		list_add_tail(&c->attr_lru, &k->lru);
	}
	k->attr = *attr;
	k->changed = changed;
	k->whole = whole;
	used(&c->attr_lru, &k->lru);
}

static void learn_name(struct lcache *c, uint64_t parent, const char *name, size_t len, uint64_t ino,
		       uint64_t index)
{
	uint64_t changed = fs_board_changed(c->board, fs_slot_of_name(parent, name, len));
	struct known_name *k = name_find(c, parent, name, len);

	if (len == 0 || len > FS_NAME_MAX)
		return;
	/* What cannot be relied on is noted all the same: in a directory known as a whole it is no unknown name. */
	if (changed > index)
		changed = NEVER_TRUE;
	if (!k) {
		if (c->names.count >= c->max)
			name_drop(c, list_first(&c->name_lru, struct known_name, lru));
		k = mem_calloc(1, sizeof(*k) + len);
		k->parent = parent;
		k->len = len;
		memcpy(k->name, name, len);
		htable_add(&c->names, &k->node, name_hash(parent, name, len));
		list_add_tail(&c->name_lru, &k->lru);
	}
	k->ino = ino;
	k->changed = changed;
	used(&c->name_lru, &k->lru);
}

static bool is_dots(const struct fs_request *rq)
{
	return rq->name_len <= 2 && memcmp(rq->name, "..", rq->name_len) == 0;
}

/*
 * One change of names in dir, ours. dir was whole just before it: then its attributes are known, true up to that
 * entry, and differ by one version.
 */
static void learn_dir(struct lcache *c, const struct fs_reply *reply)
{
	const struct known_attr *k = attr_find(c, reply->dir.ino);
	bool whole = k && k->whole && k->attr.data_version + 1 == reply->dir.data_version;

	learn_attr(c, &reply->dir, reply->index, whole);
}

/* A name leads to what the reply shows, which may have been made by it. */
static void learn_named(struct lcache *c, const struct fs_request *rq, uint64_t parent, const char *name,
			size_t len, const struct fs_reply *reply)
{
	bool is_new_dir = rq->op == FS_MKDIR;

	learn_attr(c, &reply->attr, reply->index, is_new_dir);
	learn_name(c, parent, name, len, reply->attr.ino, reply->index);
}

static void learn_change(struct lcache *c, const struct fs_request *rq, const struct fs_reply *reply)
{
	switch (rq->op) {
	case FS_LINK:
		learn_named(c, rq, rq->ino2, rq->name, rq->name_len, reply);
		break;
	case FS_CREATE:
	case FS_MKDIR:
	case FS_SYMLINK:
	case FS_MKNOD:
		learn_named(c, rq, rq->ino, rq->name, rq->name_len, reply);
		break;
	case FS_UNLINK:
	case FS_RMDIR:
		learn_name(c, rq->ino, rq->name, rq->name_len, 0, reply->index);
		break;
	case FS_RENAME:
		/* An exchange, or two names of one file: nothing but that they may have changed. */
		if (rq->flags != 0 || !reply->has_attr)
			return;
		learn_named(c, rq, rq->ino2, rq->name2, rq->name2_len, reply);
		learn_name(c, rq->ino, rq->name, rq->name_len, 0, reply->index);
		break;
	default:
		if (reply->has_attr)
			learn_attr(c, &reply->attr, reply->index, false);
		break;
	}
	if (reply->has_dir)
		learn_dir(c, reply);
}

void lcache_learn(struct lcache *c, const struct fs_request *rq, int status, const struct fs_reply *reply)
{
	bool missed = rq->op == FS_LOOKUP && status == -ENOENT;

	if (reply->index == 0 || (status < 0 && !missed) || rq->checked || (rq->op == FS_LOOKUP && is_dots(rq)))
		return;
	pthread_mutex_lock(&c->lock);
	if (c->board) {
		if (missed)
			learn_name(c, rq->ino, rq->name, rq->name_len, 0, reply->index);
		else if (rq->op == FS_LOOKUP)
			learn_named(c, rq, rq->ino, rq->name, rq->name_len, reply);
		else
			learn_change(c, rq, reply);
	}
	pthread_mutex_unlock(&c->lock);
}

/* ---- life ------------------------------------------------------------------------------------------------- */

struct fs_board *lcache_set_board(struct lcache *c, struct fs_board *board)
{
	struct fs_board *old;

	pthread_mutex_lock(&c->lock);
	old = c->board;
	c->board = board;
	pthread_mutex_unlock(&c->lock);
	return old;
}

static void free_attr(struct hnode *node, void *ctx)
{
	(void)ctx;
	free(CONTAINER_OF(node, struct known_attr, node));
}

static void free_name(struct hnode *node, void *ctx)
{
	(void)ctx;
	free(CONTAINER_OF(node, struct known_name, node));
}

void lcache_release(struct lcache *c)
{
	htable_each(&c->attrs, free_attr, NULL);
	htable_each(&c->names, free_name, NULL);
	htable_release(&c->attrs);
	htable_release(&c->names);
	pthread_mutex_destroy(&c->lock);
}

void lcache_stats(struct lcache *c, struct lcache_stats *stats)
{
	pthread_mutex_lock(&c->lock);
	*stats = c->stats;
	stats->attrs = c->attrs.count;
	stats->names = c->names.count;
	pthread_mutex_unlock(&c->lock);
}
