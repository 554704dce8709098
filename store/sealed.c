/* sealed.c - see sealed.h. */
#include "store/sealed.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "base/mark.h"

#define CHUNKS_DIR "chunks"
#define INCOMING "incoming.part"
#define MANIFEST_SUFFIX ".manifest"
#define NAME_SIZE 96

static bool ends_with(const char *name, const char *suffix)
{
	size_t len = strlen(name), n = strlen(suffix);

	return len > n && strcmp(name + len - n, suffix) == 0;
}

static void manifest_name(const struct raft_snapshot_meta *meta, char name[NAME_SIZE])
{
	char root[17];

	sodium_bin2hex(root, sizeof(root), meta->root, 8);
	snprintf(name, NAME_SIZE, "%020" PRIu64 "-%020" PRIu64 "-%s" MANIFEST_SUFFIX, meta->index,
		 meta->term, root);
}

int sealed_failed(struct sealed_set *set, int ret)
{
	return ret == -EIO ? store_poison(set->store, ret) : ret;
}

/* Calls fn for every name in a directory until it returns non-zero. */
static int each_name(int dir_fd, int (*fn)(void *ctx, const char *name), void *ctx)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *d;
	int ret = 0;

	if (!dir) {
		ret = -errno;
		if (fd >= 0)
			close(fd);
		return ret;
	}
	while (ret == 0 && (d = readdir(dir)) != NULL)
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			ret = fn(ctx, d->d_name);
	closedir(dir);
	return ret;
}

/* ---- the list; under the lock ---- */

static struct sealed *sealed_entry(struct list *it)
{
	return list_entry(it, struct sealed, link);
}

static struct sealed *find(struct sealed_set *set, const struct raft_snapshot_meta *meta)
{
	list_for_each (it, &set->all) {
		const struct raft_snapshot_meta *have = &sealed_entry(it)->m.meta;

		if (have->index == meta->index &&
		    memcmp(have->root, meta->root, sizeof(have->root)) == 0)
			return sealed_entry(it);
	}
	return NULL;
}

static void insert(struct sealed_set *set, struct sealed *e)
{
	struct list *at = &set->all;

	list_for_each (it, &set->all)
		if (sealed_entry(it)->m.meta.index > e->m.meta.index) {
			at = it;
			break;
		}
	list_add_tail(at, &e->link);
}

static struct sealed *entry_new(struct manifest *m)
{
	struct sealed *e = mem_calloc(1, sizeof(*e));

	list_init(&e->link);
	e->m = *m;
	*m = MANIFEST_INIT;
	return e;
}

static void entry_free(struct sealed *e)
{
	manifest_release(&e->m);
	free(e);
}

static void free_entries(struct list *entries)
{
	list_for_each_safe (it, entries) {
		list_del(it);
		entry_free(sealed_entry(it));
	}
}

/* ---- reading the disk ---- */

/* A manifest file of this store's cluster and group: 0, -ENOENT, -EUCLEAN, -EIO. */
static int read_manifest(struct store *s, const char *name, struct manifest *m)
{
	struct buf bytes = BUF_INIT;
	int ret = io_read_file(s->snapshots_fd, name, &bytes);

	if (ret == 0)
		ret = manifest_decode(m, bytes.data, bytes.len);
	if (ret == 0 && (memcmp(m->cluster, s->identity.cluster, sizeof(m->cluster)) != 0 ||
			 m->group != s->identity.group)) {
		manifest_release(m);
		ret = -EUCLEAN;
	}
	buf_release(&bytes);
	return ret;
}

static int load_name(void *ctx, const char *name)
{
	struct sealed_set *set = ctx;
	struct manifest m = MANIFEST_INIT;
	int ret;

	if (!ends_with(name, MANIFEST_SUFFIX))
		return 0;
	ret = read_manifest(set->store, name, &m);
	if (ret < 0 && ret != -EUCLEAN && ret != -EIO && ret != -ENOENT)
		return ret;
	if (ret < 0) {
		MARK("store.snapshot.manifest-refused");
		log_error("store", "snapshot is refused, its manifest does not verify file=%s: %s",
			  name, strerror(-ret));
		return 0;
	}
	insert(set, entry_new(&m));
	return 0;
}

static int open_chunks(struct store *s)
{
	int fd;

	if (mkdirat(s->snapshots_fd, CHUNKS_DIR, 0700) == 0) {
		int ret = s->io->fsync_dir(s->snapshots_fd);

		if (ret < 0)
			return ret;
	} else if (errno != EEXIST) {
		return -errno;
	}
	fd = openat(s->snapshots_fd, CHUNKS_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static struct sealed_set *set_new(struct store *s, struct err *err)
{
	struct sealed_set *set = mem_calloc(1, sizeof(*set));
	int ret;

	set->store = s;
	pthread_cond_init(&set->idle, NULL);
	list_init(&set->all);
	set->chunks.io = s->io;
	set->chunks.fd = ret = open_chunks(s);
	if (ret >= 0)
		ret = each_name(s->snapshots_fd, load_name, set);
	if (ret == 0)
		return set;
	err_set(err, ret, "cannot read snapshots of store '%s': %s", s->dir_path, strerror(-ret));
	sealed_free(set);
	return NULL;
}

struct sealed_set *sealed_of(struct store *s, struct err *err)
{
	struct sealed_set *set, *made;

	pthread_mutex_lock(&s->snapshot_lock);
	set = s->sealed;
	pthread_mutex_unlock(&s->snapshot_lock);
	if (set)
		return set;
	made = set_new(s, err);
	if (!made)
		return NULL;
	pthread_mutex_lock(&s->snapshot_lock);
	set = s->sealed;
	if (!set)
		set = s->sealed = made;
	pthread_mutex_unlock(&s->snapshot_lock);
	if (set != made)
		sealed_free(made);
	return set;
}

void sealed_free(struct sealed_set *set)
{
	if (!set)
		return;
	free_entries(&set->all);
	if (set->chunks.fd >= 0)
		close(set->chunks.fd);
	pthread_cond_destroy(&set->idle);
	free(set);
}

/* ---- looking in ---- */

static void manifest_copy(struct manifest *to, const struct manifest *from)
{
	*to = *from;
	to->hashes = BUF_INIT;
	buf_put(&to->hashes, from->hashes.data, from->hashes.len);
}

int sealed_copy(struct sealed_set *set, const struct raft_snapshot_meta *meta, struct manifest *m)
{
	struct sealed *e;

	pthread_mutex_lock(&set->store->snapshot_lock);
	e = find(set, meta);
	if (e)
		manifest_copy(m, &e->m);
	pthread_mutex_unlock(&set->store->snapshot_lock);
	return e ? 0 : -ENOENT;
}

int sealed_chunk(struct sealed_set *set, const struct raft_snapshot_meta *meta, uint32_t number,
		 uint8_t hash[SEAL_HASH_SIZE], uint32_t *raw_len)
{
	struct sealed *e;
	int ret = 0;

	pthread_mutex_lock(&set->store->snapshot_lock);
	e = find(set, meta);
	if (!e) {
		ret = -ENOENT;
	} else if (number >= e->m.chunk_count) {
		ret = -EINVAL;
	} else {
		memcpy(hash, manifest_hash(&e->m, number), SEAL_HASH_SIZE);
		*raw_len = seal_chunk_len(e->m.meta.size_bytes, number);
	}
	pthread_mutex_unlock(&set->store->snapshot_lock);
	return ret;
}

int sealed_read(struct sealed_set *set, const struct raft_snapshot_meta *meta, struct manifest *m)
{
	char name[NAME_SIZE];
	int ret;

	manifest_name(meta, name);
	ret = read_manifest(set->store, name, m);
	if (ret == 0 && !manifest_is_for(m, meta)) {
		manifest_release(m);
		ret = -EUCLEAN;
	}
	return ret;
}

static void hold(struct store *s, const struct raft_snapshot_meta *meta, bool on)
{
	struct sealed_set *set = sealed_of(s, NULL);
	struct sealed *e;

	if (!set)
		return;
	pthread_mutex_lock(&s->snapshot_lock);
	e = find(set, meta);
	if (e && on)
		e->holds++;
	else if (e && e->holds > 0)
		e->holds--;
	pthread_mutex_unlock(&s->snapshot_lock);
}

void store_snapshot_hold(struct store *s, const struct raft_snapshot_meta *meta)
{
	hold(s, meta, true);
}

void store_snapshot_release(struct store *s, const struct raft_snapshot_meta *meta)
{
	hold(s, meta, false);
}

/* ---- adding ---- */

/* NAME.tmp, write, sync, rename, sync the directory. */
static int put_file(struct sealed_set *set, const char *name, const struct buf *bytes)
{
	const struct store_io *io = set->store->io;
	int dir_fd = set->store->snapshots_fd;
	char tmp[NAME_SIZE + 8];
	int fd, ret;

	snprintf(tmp, sizeof(tmp), "%s" CHUNK_TMP_SUFFIX, name);
	(void)unlinkat(dir_fd, tmp, 0);
	fd = io->create(dir_fd, tmp);
	if (fd < 0)
		return fd;
	ret = io->pwrite(fd, bytes->data, bytes->len, 0);
	if (ret == 0)
		ret = io->fdatasync(fd);
	close(fd);
	if (ret == 0)
		ret = io->rename(dir_fd, tmp, name);
	if (ret < 0)
		(void)unlinkat(dir_fd, tmp, 0);
	return ret < 0 ? ret : io->fsync_dir(dir_fd);
}

static int put_manifest(struct sealed_set *set, const char *name, const struct manifest *m)
{
	struct buf bytes = BUF_INIT;
	int ret;

	manifest_encode(m, &bytes);
	ret = put_file(set, name, &bytes);
	buf_release(&bytes);
	return ret;
}

int sealed_add(struct sealed_set *set, struct manifest *m)
{
	char name[NAME_SIZE];
	struct sealed *e, *old;
	/* A manifest that a crash leaves must find its chunks. */
	int ret = chunk_sync(&set->chunks);

	manifest_name(&m->meta, name);
	if (ret == 0)
		ret = put_manifest(set, name, m);
	if (ret < 0) {
		manifest_release(m);
		return sealed_failed(set, ret);
	}
	e = entry_new(m);
	pthread_mutex_lock(&set->store->snapshot_lock);
	old = find(set, &e->m.meta);
	if (old) {
		e->holds = old->holds;
		list_del(&old->link);
	}
	insert(set, e);
	pthread_mutex_unlock(&set->store->snapshot_lock);
	if (old)
		entry_free(old);
	return 0;
}

int sealed_put_incoming(struct sealed_set *set, const struct manifest *m)
{
	return sealed_failed(set, put_manifest(set, INCOMING, m));
}

int sealed_drop_incoming(struct sealed_set *set)
{
	int ret = set->store->io->unlink(set->store->snapshots_fd, INCOMING);

	return ret == -ENOENT ? 0 : ret;
}

/* ---- removing ---- */

/* Moves to `gone` what is neither among the newest nor held. */
static void pick_superfluous(struct sealed_set *set, struct list *gone)
{
	size_t count = 0;

	pthread_mutex_lock(&set->store->snapshot_lock);
	list_for_each (it, &set->all)
		count++;
	list_for_each_safe (it, &set->all) {
		if (count-- <= SEALED_KEEP)
			break;
		if (sealed_entry(it)->holds > 0) {
			MARK("store.snapshot.kept-while-served");
			continue;
		}
		list_del(it);
		list_add_tail(gone, it);
	}
	pthread_mutex_unlock(&set->store->snapshot_lock);
}

static int remove_manifests(struct sealed_set *set, struct list *gone)
{
	const struct store_io *io = set->store->io;
	int ret = 0;

	if (list_empty(gone))
		return 0;
	list_for_each (it, gone) {
		char name[NAME_SIZE];

		manifest_name(&sealed_entry(it)->m.meta, name);
		ret = io->unlink(set->store->snapshots_fd, name);
		if (ret < 0 && ret != -ENOENT)
			return ret;
	}
	/* Before any chunk goes: a manifest must not come back without its chunks. */
	return io->fsync_dir(set->store->snapshots_fd);
}

static bool is_superseded(struct sealed_set *set, const struct manifest *incoming)
{
	bool yes;

	pthread_mutex_lock(&set->store->snapshot_lock);
	yes = !set->receiving && !list_empty(&set->all) &&
	      sealed_entry(set->all.prev)->m.meta.index >= incoming->meta.index;
	pthread_mutex_unlock(&set->store->snapshot_lock);
	return yes;
}

/* Appends the hashes of a fetch that may still be resumed. */
static int keep_incoming(struct sealed_set *set, struct buf *named)
{
	struct manifest m = MANIFEST_INIT;
	int ret = read_manifest(set->store, INCOMING, &m);

	if (ret == -ENOENT)
		return 0;
	MARK_IF(ret == 0 && !is_superseded(set, &m), "store.receive.kept-for-resume");
	MARK_IF(ret == 0 && is_superseded(set, &m), "store.receive.superseded");
	if (ret == -EUCLEAN || (ret == 0 && is_superseded(set, &m)))
		ret = sealed_drop_incoming(set);
	else if (ret == 0)
		buf_put(named, m.hashes.data, m.hashes.len);
	manifest_release(&m);
	return ret;
}

static int compare_hashes(const void *a, const void *b)
{
	return memcmp(a, b, SEAL_HASH_SIZE);
}

struct collect {
	struct sealed_set *set;
	struct buf named; /* hashes, sorted */
};

static int collect_name(void *ctx, const char *name)
{
	struct collect *c = ctx;
	uint8_t hash[SEAL_HASH_SIZE];

	/* What bears another name is being written, or left for the next open. */
	if (!chunk_name_parse(name, hash))
		return 0;
	if (c->named.len > 0 && bsearch(hash, c->named.data, c->named.len / SEAL_HASH_SIZE,
					SEAL_HASH_SIZE, compare_hashes))
		return 0;
	return chunk_remove(&c->set->chunks, hash);
}

/* Removes chunks that no manifest names. */
static int collect_chunks(struct sealed_set *set)
{
	struct collect c = { .set = set, .named = BUF_INIT };
	int ret = keep_incoming(set, &c.named);

	pthread_mutex_lock(&set->store->snapshot_lock);
	list_for_each (it, &set->all) {
		const struct buf *hashes = &sealed_entry(it)->m.hashes;

		buf_put(&c.named, hashes->data, hashes->len);
	}
	pthread_mutex_unlock(&set->store->snapshot_lock);
	if (c.named.len > 0)
		qsort(c.named.data, c.named.len / SEAL_HASH_SIZE, SEAL_HASH_SIZE, compare_hashes);
	if (ret == 0)
		ret = each_name(set->chunks.fd, collect_name, &c);
	buf_release(&c.named);
	return ret;
}

static void remove_superfluous(struct sealed_set *set)
{
	struct list gone;
	int ret;

	list_init(&gone);
	pick_superfluous(set, &gone);
	ret = remove_manifests(set, &gone);
	free_entries(&gone);
	if (ret == 0)
		ret = collect_chunks(set);
	if (ret < 0)
		log_warning("store", "cannot remove old snapshots of store=%s: %s",
			    set->store->dir_path, strerror(-ret));
}

void sealed_enter(struct sealed_set *set)
{
	pthread_mutex_lock(&set->store->snapshot_lock);
	while (set->collecting)
		pthread_cond_wait(&set->idle, &set->store->snapshot_lock);
	set->busy++;
	pthread_mutex_unlock(&set->store->snapshot_lock);
}

void sealed_leave(struct sealed_set *set)
{
	bool last;

	pthread_mutex_lock(&set->store->snapshot_lock);
	assert(set->busy > 0);
	last = --set->busy == 0 && !atomic_load(&set->store->poisoned);
	set->collecting = last; /* it was false: enter waits while it is not */
	pthread_mutex_unlock(&set->store->snapshot_lock);
	if (!last)
		return;
	remove_superfluous(set);
	pthread_mutex_lock(&set->store->snapshot_lock);
	set->collecting = false;
	pthread_cond_broadcast(&set->idle);
	pthread_mutex_unlock(&set->store->snapshot_lock);
}

static int remove_temporary(void *ctx, const char *name)
{
	int dir_fd = *(const int *)ctx;
	bool temporary = ends_with(name, CHUNK_TMP_SUFFIX) || strncmp(name, SEALED_IMAGE, 9) == 0;

	MARK_IF(temporary, "store.snapshot.temporary-removed");
	if (temporary && unlinkat(dir_fd, name, 0) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}

int sealed_remove_temporaries(struct sealed_set *set)
{
	int ret = each_name(set->store->snapshots_fd, remove_temporary, &set->store->snapshots_fd);

	return ret < 0 ? ret : each_name(set->chunks.fd, remove_temporary, &set->chunks.fd);
}
