/*
 * snapshot.c - making and serving sealed images; see sealed.h for the files.
 *
 * The image is what the online backup API copies on a connection of our own that holds a read
 * transaction: it never starts over, however much is written meanwhile, and is the state at exactly
 * the pinned index (reference, section 4.5). While it is pinned no checkpoint gets past it, so the WAL
 * grows at the rate of writing; the copy pauses between runs of pages to leave the disk to the writer,
 * and stops pausing when the WAL gets long.
 *
 * Memory: a few chunks and 32 bytes per MiB of image, whatever the size of the state.
 */
#include "store/snapshot.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mark.h"
#include "store/kv.h"
#include "store/sealed.h"
#include "store/state_sqlite.h"

#define RUN_PAGES 256
#define PAUSE_MS 3
#define WAL_HURRY_BYTES (128u * 1024u * 1024u)
#define BUSY_TRIES 1000u
#define PROGRESS_MS 5000u

/* One store_snapshot_create(). */
struct making {
	struct store *s;
	struct sealed_set *set;
	const atomic_bool *cancel; /* may be NULL */
	char *image_path;
	char *wal_path;
	struct kv_meta pinned; /* as the read transaction sees it */
	struct manifest m;
	struct snapshot_stats stats;
	uint64_t said_ms;
};

static int check_cancel(const struct making *k, struct err *err)
{
	MARK_IF(k->cancel && atomic_load(k->cancel), "store.snapshot.cancelled");
	if (k->cancel && atomic_load(k->cancel))
		return err_set(err, -ECANCELED, "cannot make a snapshot of store '%s': cancelled",
			       k->s->dir_path);
	return store_check(k->s, err);
}

static int cannot(const struct making *k, int ret, const char *what, const char *why,
		  struct err *err)
{
	return err_set(err, ret, "cannot make a snapshot of store '%s': %s: %s", k->s->dir_path,
		       what, why);
}

static void tell_progress(struct making *k, const char *what, uint64_t done, uint64_t all)
{
	uint64_t now_ms = clock_boot_ms();

	if (now_ms - k->said_ms < PROGRESS_MS)
		return;
	k->said_ms = now_ms;
	log_info("store", "making snapshot index=%" PRIu64 ": %s %" PRIu64 " of %" PRIu64,
		 k->pinned.applied_index, what, done, all);
}

/* ---- copying ---- */

/* stat(), never open(): closing a descriptor of a live database drops SQLite's locks. */
static uint64_t wal_bytes(struct making *k)
{
	struct stat st;
	uint64_t bytes = stat(k->wal_path, &st) == 0 ? (uint64_t)st.st_size : 0;

	k->stats.wal_peak_bytes = max_u64(k->stats.wal_peak_bytes, bytes);
	return bytes;
}

/*
 * Short of space a snapshot is what lets the log be cut, so it may use part of the reserve: growth is
 * refused then, and the image gives its place to the chunks piece by piece.
 */
static int check_space(const struct making *k, uint64_t need, struct err *err)
{
	struct store_space space;
	int ret = store_space(k->s, &space);

	space.reserve_bytes /= 4;

	if (ret < 0)
		return cannot(k, ret, "free space", strerror(-ret), err);
	if (space.free_bytes >= need + space.reserve_bytes)
		return 0;
	MARK("store.snapshot.no-space");
	err_set(err, -ENOSPC,
		"cannot make a snapshot of store '%s': the image needs %" PRIu64 " MiB and %" PRIu64
		" MiB are free, %" PRIu64 " MiB of them reserved",
		k->s->dir_path, need >> 20, space.free_bytes >> 20, space.reserve_bytes >> 20);
	return err_advise(err, "the node goes on; its log grows until there is room", "df -h %s",
			  k->s->dir_path);
}

/* One run of pages. 1: more to do; 0: complete; negative. */
static int copy_run(struct making *k, sqlite3_backup *backup, int *left, uint32_t *busy)
{
	int rc = sqlite3_backup_step(backup, RUN_PAGES);
	int now_left = sqlite3_backup_remaining(backup);

	k->stats.steps++;
	if (rc == SQLITE_DONE)
		return 0;
	if (rc == SQLITE_BUSY || rc == SQLITE_LOCKED)
		return ++*busy < BUSY_TRIES ? 1 : -EBUSY;
	if (rc != SQLITE_OK)
		return state_sqlite_errno(rc);
	if (now_left >= *left)
		k->stats.restarts++;
	*left = now_left;
	return 1;
}

static int copy_pages(struct making *k, sqlite3_backup *backup, struct err *err)
{
	uint32_t busy = 0;
	int left = INT32_MAX;
	bool checked = false;
	int ret;

	while ((ret = copy_run(k, backup, &left, &busy)) > 0) {
		uint64_t pages = (uint64_t)sqlite3_backup_pagecount(backup);

		ret = check_cancel(k, err);
		if (ret == 0 && !checked)
			ret = check_space(k, pages * STATE_PAGE_SIZE, err);
		if (ret < 0)
			return ret;
		checked = true;
		tell_progress(k, "copied page", pages - (uint64_t)left, pages);
		if (wal_bytes(k) < WAL_HURRY_BYTES)
			clock_sleep_ms(PAUSE_MS);
	}
	return ret < 0 ? cannot(k, ret, "copying the state", strerror(-ret), err) : 0;
}

/* The image is read once and removed: neither journal nor sync. */
static int open_image(struct making *k, sqlite3 **db, struct err *err)
{
	int rc;

	(void)unlinkat(k->s->snapshots_fd, SEALED_IMAGE, 0);
	rc = sqlite3_open_v2(k->image_path, db,
			     SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
			     NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(
			*db,
			"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-4096",
			NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		return 0;
	cannot(k, state_sqlite_errno(rc), "opening the image", sqlite3_errmsg(*db), err);
	return state_sqlite_errno(rc);
}

static int backup_into_image(struct making *k, sqlite3 *src, struct err *err)
{
	sqlite3_backup *backup;
	sqlite3 *dst = NULL;
	int ret = open_image(k, &dst, err);
	int rc;

	if (ret == 0) {
		backup = sqlite3_backup_init(dst, "main", src, "main");
		if (!backup) {
			ret = cannot(k, -EIO, "starting the backup", sqlite3_errmsg(dst), err);
		} else {
			ret = copy_pages(k, backup, err);
			rc = sqlite3_backup_finish(backup);
			if (ret == 0 && rc != SQLITE_OK)
				ret = cannot(k, state_sqlite_errno(rc), "finishing the image",
					     sqlite3_errmsg(dst), err);
		}
	}
	rc = sqlite3_close(dst);
	assert(rc == SQLITE_OK);
	return ret;
}

/* Is there a snapshot of the pinned index already, good to the last bit? Then it is the result. */
static bool have_already(struct making *k, struct raft_snapshot_meta *meta)
{
	struct raft_snapshot_meta newest;

	if (snapshot_newest(k->s, UINT64_MAX, &newest) < 0 ||
	    newest.index != k->pinned.applied_index || newest.term != k->pinned.applied_term ||
	    store_snapshot_verify(k->s, &newest, NULL) < 0)
		return false;
	MARK("store.snapshot.there-already");
	*meta = newest;
	return true;
}

/* *done: a snapshot of this index is there already and *meta names it. */
static int copy_state(struct making *k, const char *state_dir, struct raft_snapshot_meta *meta,
		      bool *done, struct err *err)
{
	sqlite3 *src;
	int ret = state_sqlite_open_reader(state_dir, &src, err);

	if (ret < 0)
		return ret;
	if (sqlite3_exec(src, "BEGIN", NULL, NULL, NULL) != SQLITE_OK)
		ret = cannot(k, -EIO, "pinning the state", sqlite3_errmsg(src), err);
	/* The first read takes the snapshot that the transaction then holds. */
	if (ret == 0)
		ret = state_sqlite_read_meta(src, &k->pinned, err);
	if (ret == 0) {
		*done = have_already(k, meta);
		if (!*done)
			ret = backup_into_image(k, src, err);
	}
	sqlite3_close(src);
	return ret;
}

/* ---- sealing ---- */

/* What the image says of itself, never what somebody remembers; the two must agree. */
static int read_image_meta(struct making *k, struct err *err)
{
	struct raft_snapshot_meta *meta = &k->m.meta;
	struct kv_meta own;
	struct stat st;
	int ret = state_sqlite_verify_image(k->image_path, &own, err);

	if (ret < 0)
		return ret;
	if (fstatat(k->s->snapshots_fd, SEALED_IMAGE, &st, 0) < 0)
		return cannot(k, -errno, "the image", strerror(errno), err);
	if (memcmp(own.cluster, k->s->identity.cluster, sizeof(own.cluster)) != 0 ||
	    own.group != k->s->identity.group || own.applied_index != k->pinned.applied_index ||
	    own.applied_term != k->pinned.applied_term || st.st_size <= 0)
		return cannot(k, -EUCLEAN, "the image", "it is not the state that was pinned", err);
	memcpy(k->m.cluster, own.cluster, sizeof(own.cluster));
	k->m.group = own.group;
	meta->index = own.applied_index;
	meta->term = own.applied_term;
	meta->conf = own.conf;
	meta->size_bytes = (uint64_t)st.st_size;
	k->m.chunk_count = seal_chunk_count(meta->size_bytes);
	if (k->m.chunk_count == UINT32_MAX)
		return cannot(k, -EFBIG, "the image", strerror(EFBIG), err);
	return 0;
}

/* Three chunks' worth of memory, for one at a time. */
struct work {
	uint8_t *raw, *other;
	struct buf stored;
};

/*
 * Shares the chunk if there is one, but only after reading it: a rotten one would spoil every later
 * snapshot and is written anew instead.
 */
static int seal_one(struct making *k, int fd, uint32_t number, struct work *w)
{
	uint32_t len = seal_chunk_len(k->m.meta.size_bytes, number);
	off_t off = (off_t)number * SEAL_CHUNK_SIZE;
	uint8_t hash[SEAL_HASH_SIZE];
	int ret = io_pread_all(fd, w->raw, len, off);

	if (ret < 0)
		return ret;
	seal_chunk(w->raw, len, hash);
	buf_put(&k->m.hashes, hash, sizeof(hash));
	buf_reset(&w->stored);
	if (chunk_read(&k->set->chunks, hash, len, &w->stored, w->other) < 0) {
		ret = chunk_encode(w->raw, len, &w->stored);
		if (ret == 0)
			ret = sealed_failed(k->set, chunk_write(&k->set->chunks, hash,
								w->stored.data, w->stored.len));
		k->stats.written_count++;
		k->stats.written_bytes += w->stored.len;
	} else {
		MARK("store.snapshot.chunk-shared");
	}
	/* What is in a chunk needs no place in the image; where holes are unknown it just stays. */
	(void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len);
	return ret;
}

static int seal_chunks(struct making *k, struct err *err)
{
	struct work w = { .raw = mem_alloc(SEAL_CHUNK_SIZE), .other = mem_alloc(SEAL_CHUNK_SIZE) };
	int fd = openat(k->s->snapshots_fd, SEALED_IMAGE, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	int ret = fd < 0 ? -errno : 0;

	for (uint32_t n = 0; ret == 0 && n < k->m.chunk_count; n++) {
		ret = check_cancel(k, err);
		if (ret < 0)
			goto out;
		ret = seal_one(k, fd, n, &w);
		tell_progress(k, "sealed chunk", n + 1, k->m.chunk_count);
	}
	if (ret < 0)
		cannot(k, ret, "writing chunks", strerror(-ret), err);
out:
	if (fd >= 0)
		close(fd);
	buf_release(&w.stored);
	free(w.other);
	free(w.raw);
	return ret;
}

static int seal_image(struct making *k, struct raft_snapshot_meta *meta, struct err *err)
{
	struct raft_snapshot_meta sealed;
	int ret = read_image_meta(k, err);

	if (ret == 0)
		ret = seal_chunks(k, err);
	if (ret < 0)
		return ret;
	k->stats.chunk_count = k->m.chunk_count;
	manifest_seal(&k->m);
	sealed = k->m.meta;
	ret = sealed_add(k->set, &k->m);
	if (ret < 0)
		return cannot(k, ret, "writing the manifest", strerror(-ret), err);
	*meta = sealed;
	return 0;
}

static char *path_of(const char *dir, const char *name)
{
	struct buf path = BUF_INIT;

	buf_printf(&path, "%s/%s", dir, name);
	buf_put_u8(&path, '\0');
	return (char *)path.data;
}

int snapshot_create(struct store *s, struct kv *kv, struct raft_snapshot_meta *meta,
		    const atomic_bool *cancel, struct snapshot_stats *stats, struct err *err)
{
	struct making k = {
		.s = s, .cancel = cancel, .m = MANIFEST_INIT, .said_ms = clock_boot_ms()
	};
	bool done = false;
	int ret = store_check(s, err);

	if (ret < 0)
		return ret;
	if (!kv_dir(kv))
		return err_set(err, -EOPNOTSUPP, "cannot make a snapshot of a state in memory");
	k.set = sealed_of(s, err);
	if (!k.set)
		return -EIO;
	k.image_path = path_of(s->group_path, "snapshots/" SEALED_IMAGE);
	k.wal_path = path_of(kv_dir(kv), STATE_DB_NAME "-wal");
	sealed_enter(k.set);
	ret = copy_state(&k, kv_dir(kv), meta, &done, err);
	if (ret == 0 && !done)
		ret = seal_image(&k, meta, err);
	(void)unlinkat(s->snapshots_fd, SEALED_IMAGE, 0);
	sealed_leave(k.set);
	if (ret == 0 && stats)
		*stats = k.stats;
	manifest_release(&k.m);
	free(k.wal_path);
	free(k.image_path);
	return ret;
}

int store_snapshot_create(struct store *s, struct kv *kv, struct raft_snapshot_meta *meta,
			  const atomic_bool *cancel, struct err *err)
{
	return snapshot_create(s, kv, meta, cancel, NULL, err);
}

/* ---- serving ---- */

static int no_such(const struct store *s, const struct raft_snapshot_meta *meta, int ret,
		   struct err *err)
{
	return err_set(err, ret, "cannot read snapshot %" PRIu64 " of store '%s': %s", meta->index,
		       s->dir_path,
		       ret == -ENOENT ? "there is none, or no longer" : strerror(-ret));
}

int store_snapshot_manifest(struct store *s, const struct raft_snapshot_meta *meta, struct buf *out,
			    struct err *err)
{
	struct sealed_set *set = sealed_of(s, err);
	struct manifest m = MANIFEST_INIT;
	int ret = set ? sealed_copy(set, meta, &m) : -EIO;

	if (set && ret < 0)
		return no_such(s, meta, ret, err);
	if (ret == 0)
		manifest_encode(&m, out);
	manifest_release(&m);
	return ret;
}

int store_snapshot_chunk(struct store *s, const struct raft_snapshot_meta *meta, uint32_t number,
			 struct buf *out, struct err *err)
{
	struct sealed_set *set = sealed_of(s, err);
	uint8_t hash[SEAL_HASH_SIZE];
	uint32_t raw_len;
	uint8_t *raw;
	int ret;

	if (!set)
		return -EIO;
	ret = sealed_chunk(set, meta, number, hash, &raw_len);
	if (ret < 0)
		return no_such(s, meta, ret, err);
	raw = mem_alloc(raw_len);
	ret = chunk_read(&set->chunks, hash, raw_len, out, raw);
	free(raw);
	if (ret < 0)
		return err_set(err, ret,
			       "cannot read chunk %" PRIu32 " of snapshot %" PRIu64
			       " of store '%s': %s",
			       number, meta->index, s->dir_path,
			       ret == -EUCLEAN ? "it does not verify" : strerror(-ret));
	return 0;
}

int store_snapshot_list(struct store *s, struct raft_snapshot_meta **metas, size_t *count)
{
	struct sealed_set *set = sealed_of(s, NULL);
	struct raft_snapshot_meta *v;
	size_t n = 0;

	if (!set)
		return -EIO;
	pthread_mutex_lock(&s->snapshot_lock);
	list_for_each (it, &set->all)
		n++;
	v = mem_calloc(n, sizeof(*v));
	n = 0;
	list_for_each (it, &set->all)
		v[n++] = list_entry(it, struct sealed, link)->m.meta;
	pthread_mutex_unlock(&s->snapshot_lock);
	*metas = v;
	*count = n;
	return 0;
}

/* Every chunk of m is read. *number: the first that is no good. */
static int verify_chunks(struct sealed_set *set, const struct manifest *m, uint32_t *number)
{
	uint8_t *raw = mem_alloc(SEAL_CHUNK_SIZE);
	struct buf stored = BUF_INIT;
	int ret = 0;

	for (uint32_t n = 0; ret == 0 && n < m->chunk_count; n++) {
		buf_reset(&stored);
		*number = n;
		ret = chunk_read(&set->chunks, manifest_hash(m, n),
				 seal_chunk_len(m->meta.size_bytes, n), &stored, raw);
	}
	buf_release(&stored);
	free(raw);
	return ret == -ENOENT ? -EUCLEAN : ret;
}

int store_snapshot_verify(struct store *s, const struct raft_snapshot_meta *meta, struct err *err)
{
	struct sealed_set *set = sealed_of(s, err);
	struct manifest m = MANIFEST_INIT;
	uint32_t number = 0;
	int ret;

	if (!set)
		return -EIO;
	ret = sealed_read(set, meta, &m);
	if (ret < 0)
		return no_such(s, meta, ret, err);
	ret = verify_chunks(set, &m, &number);
	if (ret < 0)
		err_set(err, ret,
			"snapshot %" PRIu64 " of store '%s' does not verify: chunk %" PRIu32
			" of %" PRIu32 " is damaged or missing",
			meta->index, s->dir_path, number, m.chunk_count);
	manifest_release(&m);
	return ret;
}

/* ---- for store_open() ---- */

static bool all_chunks_exist(struct sealed_set *set, const struct manifest *m)
{
	for (uint32_t n = 0; n < m->chunk_count; n++)
		if (!chunk_exists(&set->chunks, manifest_hash(m, n)))
			return false;
	return true;
}

static bool is_usable(struct sealed_set *set, const struct raft_snapshot_meta *meta)
{
	struct manifest m = MANIFEST_INIT;
	bool usable = sealed_read(set, meta, &m) == 0 && all_chunks_exist(set, &m);

	manifest_release(&m);
	return usable;
}

int snapshot_newest(struct store *s, uint64_t max_index, struct raft_snapshot_meta *meta)
{
	struct sealed_set *set = sealed_of(s, NULL);
	struct raft_snapshot_meta *metas;
	size_t count;
	int ret = set ? store_snapshot_list(s, &metas, &count) : -EIO;

	if (ret < 0)
		return ret;
	*meta = (struct raft_snapshot_meta){ .index = 0 };
	while (count-- > 0 && meta->index == 0) {
		if (metas[count].index > max_index)
			continue;
		if (is_usable(set, &metas[count]))
			*meta = metas[count];
		else {
			MARK("store.snapshot.incomplete-not-used");
			log_error("store", "snapshot is incomplete and not used index=%" PRIu64,
				  metas[count].index);
		}
	}
	free(metas);
	return 0;
}

/* What an earlier process left may have its names in the page cache alone, and counts as sealed now. */
int snapshot_cleanup(struct store *s)
{
	struct sealed_set *set = sealed_of(s, NULL);
	int ret = set ? sealed_remove_temporaries(set) : -EIO;

	if (ret == 0)
		ret = chunk_sync(&set->chunks);
	if (ret == 0)
		ret = s->io->fsync_dir(s->snapshots_fd);
	if (ret == 0) {
		sealed_enter(set);
		sealed_leave(set);
	}
	return ret;
}

void snapshot_close(struct store *s)
{
	sealed_free(s->sealed);
	s->sealed = NULL;
}
