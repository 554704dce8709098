/* kinode.c - see kinode.h; a hash table of small records under one mutex. */
#include "fs/fuse/kinode.h"

#include "base/buf.h"

#define VERSION_NONE UINT64_MAX /* equal to no version: what is cached is not trusted */

struct kinode {
	struct hnode node;
	uint64_t ino;
	uint64_t lookups;
	uint64_t opens;
	uint64_t version;  /* of the data in the kernel's cache */
	uint64_t size;     /* as the kernel holds it */
	uint32_t changing; /* own changes under way */
	bool was_read;
};

void kinode_table_init(struct kinode_table *t)
{
	pthread_mutex_init(&t->lock, NULL);
	t->by_ino = HTABLE_INIT;
}

static void kinode_free(struct hnode *node, void *ctx)
{
	(void)ctx;
	free(CONTAINER_OF(node, struct kinode, node));
}

void kinode_table_release(struct kinode_table *t)
{
	htable_each(&t->by_ino, kinode_free, NULL);
	htable_release(&t->by_ino);
	pthread_mutex_destroy(&t->lock);
}

size_t kinode_table_count(struct kinode_table *t)
{
	pthread_mutex_lock(&t->lock);
	size_t count = t->by_ino.count;

	pthread_mutex_unlock(&t->lock);
	return count;
}

/* ---- with the lock held ---- */

static struct kinode *find(const struct kinode_table *t, uint64_t ino)
{
	for (struct hnode *n = htable_first(&t->by_ino, hash_u64(ino)); n; n = htable_next(n)) {
		struct kinode *i = CONTAINER_OF(n, struct kinode, node);

		if (i->ino == ino)
			return i;
	}
	return NULL;
}

static struct kinode *find_or_add(struct kinode_table *t, uint64_t ino)
{
	struct kinode *i = find(t, ino);

	if (!i) {
		i = mem_calloc(1, sizeof(*i));
		i->ino = ino;
		i->version = VERSION_NONE;
		htable_add(&t->by_ino, &i->node, hash_u64(ino));
	}
	return i;
}

static void drop_if_unused(struct kinode_table *t, struct kinode *i)
{
	if (i->lookups > 0 || i->opens > 0)
		return;
	htable_del(&t->by_ino, &i->node);
	free(i);
}

/* ---- public ---- */

void kinode_lookup(struct kinode_table *t, const struct fs_attr *attr)
{
	pthread_mutex_lock(&t->lock);
	struct kinode *i = find_or_add(t, attr->ino);

	if (i->lookups++ == 0 && i->version == VERSION_NONE) {
		i->version = attr->data_version;
		i->size = attr->size;
	}
	pthread_mutex_unlock(&t->lock);
}

void kinode_forget(struct kinode_table *t, uint64_t ino, uint64_t count)
{
	pthread_mutex_lock(&t->lock);
	struct kinode *i = find(t, ino);

	if (i) {
		i->lookups -= min_u64(i->lookups, count);
		drop_if_unused(t, i);
	}
	pthread_mutex_unlock(&t->lock);
}

void kinode_open(struct kinode_table *t, uint64_t ino)
{
	pthread_mutex_lock(&t->lock);
	find_or_add(t, ino)->opens++;
	pthread_mutex_unlock(&t->lock);
}

bool kinode_close(struct kinode_table *t, uint64_t ino)
{
	bool last = true;

	pthread_mutex_lock(&t->lock);
	struct kinode *i = find(t, ino);

	if (i && i->opens > 0) {
		last = --i->opens == 0;
		drop_if_unused(t, i);
	}
	pthread_mutex_unlock(&t->lock);
	return last;
}

uint64_t kinode_opens(struct kinode_table *t, uint64_t ino)
{
	pthread_mutex_lock(&t->lock);
	const struct kinode *i = find(t, ino);
	uint64_t opens = i ? i->opens : 0;

	pthread_mutex_unlock(&t->lock);
	return opens;
}

bool kinode_is_open(struct kinode_table *t, uint64_t ino)
{
	return kinode_opens(t, ino) > 0;
}

bool kinode_observe(struct kinode_table *t, const struct fs_attr *attr, bool told)
{
	bool stale = false;

	pthread_mutex_lock(&t->lock);
	struct kinode *i = find(t, attr->ino);

	/* An answer older than the recorded version was overtaken: its caller began before that. */
	if (!i || (i->version != VERSION_NONE && attr->data_version < i->version))
		goto out;
	/* A change of ours under way may itself bring the size. */
	stale = i->version != attr->data_version && (i->size == attr->size || i->changing > 0);
	if (!stale && told) {
		i->version = attr->data_version;
		i->size = attr->size;
	}
out:
	pthread_mutex_unlock(&t->lock);
	return stale;
}

void kinode_dropped(struct kinode_table *t, const struct fs_attr *attr)
{
	pthread_mutex_lock(&t->lock);
	struct kinode *i = find(t, attr->ino);

	if (i && (i->version == VERSION_NONE || i->version < attr->data_version))
		i->version = attr->data_version;
	pthread_mutex_unlock(&t->lock);
}

bool kinode_is_current(struct kinode_table *t, uint64_t ino, uint64_t version)
{
	pthread_mutex_lock(&t->lock);
	const struct kinode *i = find(t, ino);
	bool current = i && i->version == version;

	pthread_mutex_unlock(&t->lock);
	return current;
}

void kinode_read(struct kinode_table *t, uint64_t ino)
{
	pthread_mutex_lock(&t->lock);
	struct kinode *i = find(t, ino);

	if (i)
		i->was_read = true;
	pthread_mutex_unlock(&t->lock);
}

void kinode_change_begin(struct kinode_table *t, uint64_t ino)
{
	pthread_mutex_lock(&t->lock);
	struct kinode *i = find(t, ino);

	if (i)
		i->changing++;
	pthread_mutex_unlock(&t->lock);
}

void kinode_change_end(struct kinode_table *t, uint64_t ino)
{
	pthread_mutex_lock(&t->lock);
	struct kinode *i = find(t, ino);

	if (i && i->changing > 0)
		i->changing--;
	pthread_mutex_unlock(&t->lock);
}

/* With the lock held. */
static void move_version(struct kinode *i, const struct fs_attr *attr, uint64_t old_version)
{
	if (i->version == old_version && !i->was_read)
		i->version = attr->data_version;
}

void kinode_changed(struct kinode_table *t, const struct fs_attr *attr, uint64_t old_version)
{
	pthread_mutex_lock(&t->lock);
	struct kinode *i = find(t, attr->ino);

	if (i) {
		move_version(i, attr, old_version);
		i->size = attr->size;
	}
	pthread_mutex_unlock(&t->lock);
}

void kinode_wrote(struct kinode_table *t, const struct fs_attr *attr, uint64_t old_version,
		  uint64_t end)
{
	pthread_mutex_lock(&t->lock);
	struct kinode *i = find(t, attr->ino);

	if (i) {
		move_version(i, attr, old_version);
		i->size = max_u64(i->size, end);
	}
	pthread_mutex_unlock(&t->lock);
}

void kinode_distrust(struct kinode_table *t, uint64_t ino)
{
	pthread_mutex_lock(&t->lock);
	struct kinode *i = find(t, ino);

	if (i)
		i->version = VERSION_NONE;
	pthread_mutex_unlock(&t->lock);
}
