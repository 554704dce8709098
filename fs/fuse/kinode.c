/* kinode.c - see kinode.h; a hash table of small records under one mutex. */
#include "fs/fuse/kinode.h"

#include "base/buf.h"

#define VERSION_NONE UINT64_MAX /* equal to no version: what is cached is not trusted */

struct kinode {
	struct hnode node;
	uint64_t ino;
	uint64_t lookups;
	uint64_t opens;
	uint64_t version;      /* of the data in the kernel's cache */
	int64_t told_mtime_ns; /* the newest the kernel was ever told */
	/* The kernel was left to see a change by its mtime; whether that reply got there before
	 * another one is not known, so an mtime set back after it is not to be trusted. */
	bool relied_on_mtime;
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
		i->told_mtime_ns = INT64_MAX; /* nothing told is nothing we could rely on */
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

static void tell(struct kinode *i, int64_t mtime_ns)
{
	if (i->told_mtime_ns == INT64_MAX || i->told_mtime_ns < mtime_ns)
		i->told_mtime_ns = mtime_ns;
}

/* ---- public ---- */

void kinode_lookup(struct kinode_table *t, const struct fs_attr *attr)
{
	pthread_mutex_lock(&t->lock);
	struct kinode *i = find_or_add(t, attr->ino);

	if (i->lookups++ == 0 && i->version == VERSION_NONE) {
		i->version = attr->data_version; /* the kernel has no page of it yet */
		i->told_mtime_ns = attr->mtime_ns;
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

void kinode_close(struct kinode_table *t, uint64_t ino)
{
	pthread_mutex_lock(&t->lock);
	struct kinode *i = find(t, ino);

	if (i && i->opens > 0) {
		i->opens--;
		drop_if_unused(t, i);
	}
	pthread_mutex_unlock(&t->lock);
}

bool kinode_is_open(struct kinode_table *t, uint64_t ino)
{
	pthread_mutex_lock(&t->lock);
	const struct kinode *i = find(t, ino);
	bool open = i && i->opens > 0;

	pthread_mutex_unlock(&t->lock);
	return open;
}

bool kinode_observe(struct kinode_table *t, const struct fs_attr *attr)
{
	bool stale = false;

	pthread_mutex_lock(&t->lock);
	struct kinode *i = find(t, attr->ino);

	if (!i)
		goto out;
	/* Older than recorded is an answer that was overtaken: the kernel discards it as well. */
	if (i->version != VERSION_NONE && attr->data_version < i->version)
		goto out;
	if (i->version == attr->data_version) {
		stale = i->relied_on_mtime && attr->mtime_ns < i->told_mtime_ns;
	} else {
		stale = attr->mtime_ns <= i->told_mtime_ns;
		if (!stale) {
			i->version = attr->data_version;
			i->relied_on_mtime = true;
		}
	}
	if (!stale)
		tell(i, attr->mtime_ns);
out:
	pthread_mutex_unlock(&t->lock);
	return stale;
}

void kinode_dropped(struct kinode_table *t, const struct fs_attr *attr)
{
	pthread_mutex_lock(&t->lock);
	struct kinode *i = find(t, attr->ino);

	if (i) {
		if (i->version == VERSION_NONE || i->version < attr->data_version)
			i->version = attr->data_version;
		if (i->version == attr->data_version)
			i->relied_on_mtime = false;
		tell(i, attr->mtime_ns);
	}
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

void kinode_changed(struct kinode_table *t, const struct fs_attr *attr, uint64_t old_version,
		    bool told)
{
	pthread_mutex_lock(&t->lock);
	struct kinode *i = find(t, attr->ino);

	if (i) {
		if (i->version == old_version)
			i->version = attr->data_version;
		if (told && i->relied_on_mtime && attr->mtime_ns < i->told_mtime_ns)
			i->version = VERSION_NONE;
		if (told)
			tell(i, attr->mtime_ns);
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
