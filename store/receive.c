/*
 * receive.c - the receiving half of InstallSnapshot: a manifest, then the chunks that are lacking, then
 * a state built from them.
 *
 * States: begun (incoming.part names what belongs to the fetch) -> chunks come, in any order, each
 * verified before it is stored under its own name -> finish. A fetch that breaks off leaves its chunks
 * and incoming.part, so the next one, of this image or a later one, asks only for the rest; so do
 * chunks of older snapshots.
 *
 * finish: state-<active + 1> is built and checked, made durable, and then the snapshot is sealed here.
 * Neither is active before store_install() names the generation; a crash anywhere leaves the node with
 * the state it had.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "base/mark.h"
#include "store/kv.h"
#include "store/sealed.h"
#include "store/state_sqlite.h"

struct store_receive {
	struct store *s;
	struct sealed_set *set;
	struct manifest m;
	bool *have;   /* per chunk: it is in the chunk directory */
	uint8_t *raw; /* a chunk */
};

static int cannot(const struct store_receive *rx, int ret, const char *why, struct err *err)
{
	return err_set(err, ret, "cannot receive snapshot %" PRIu64 " into store '%s': %s",
		       rx->m.meta.index, rx->s->dir_path, why);
}

/* ---- begin ---- */

static bool claim(struct sealed_set *set)
{
	bool claimed;

	pthread_mutex_lock(&set->store->snapshot_lock);
	claimed = !set->receiving;
	set->receiving = true;
	pthread_mutex_unlock(&set->store->snapshot_lock);
	return claimed;
}

/* Only what is offered, for this cluster and group, and only if there is room for it. */
static int check_offer(struct store_receive *rx, const struct raft_snapshot_meta *meta,
		       struct err *err)
{
	struct store_space space;
	int ret;

	MARK_IF(!manifest_is_for(&rx->m, meta), "store.receive.manifest-of-another");
	if (!manifest_is_for(&rx->m, meta))
		return cannot(rx, -EUCLEAN, "its manifest is of another snapshot than was offered",
			      err);
	if (memcmp(rx->m.cluster, rx->s->identity.cluster, sizeof(rx->m.cluster)) != 0 ||
	    rx->m.group != rx->s->identity.group)
		return cannot(rx, -EUCLEAN, "it belongs to another cluster or group", err);
	ret = store_space(rx->s, &space);
	if (ret < 0)
		return cannot(rx, ret, strerror(-ret), err);
	if (space.free_bytes < meta->size_bytes + space.reserve_bytes) {
		MARK("store.receive.no-space");
		cannot(rx, -ENOSPC, "the file system is too full", err);
		return err_advise(err, "the node keeps the state it has", "df -h %s",
				  rx->s->dir_path);
	}
	return 0;
}

static void find_chunks(struct store_receive *rx)
{
	for (uint32_t n = 0; n < rx->m.chunk_count; n++) {
		rx->have[n] = chunk_exists(&rx->set->chunks, manifest_hash(&rx->m, n));
		MARK_IF(rx->have[n], "store.receive.chunk-here-already");
	}
}

static int start(struct store_receive *rx, const struct raft_snapshot_meta *meta,
		 const void *manifest, size_t manifest_len, struct err *err)
{
	int ret = manifest_decode(&rx->m, manifest, manifest_len);

	if (ret < 0) {
		MARK("store.receive.manifest-damaged");
		rx->m.meta.index = meta->index; /* for the message */
		return cannot(rx, ret, "its manifest does not verify", err);
	}
	ret = check_offer(rx, meta, err);
	if (ret < 0)
		return ret;
	rx->have = mem_calloc(rx->m.chunk_count, sizeof(*rx->have));
	rx->raw = mem_alloc(SEAL_CHUNK_SIZE);
	/* First the claim on the chunks, then the look at which there are. */
	sealed_enter(rx->set);
	ret = sealed_put_incoming(rx->set, &rx->m);
	if (ret == 0)
		find_chunks(rx);
	else
		cannot(rx, ret, strerror(-ret), err);
	sealed_leave(rx->set);
	return ret;
}

int store_receive_begin(struct store *s, const struct raft_snapshot_meta *meta,
			const void *manifest, size_t manifest_len, struct store_receive **out,
			struct err *err)
{
	struct sealed_set *set = sealed_of(s, err);
	struct store_receive *rx;
	int ret;

	if (!set)
		return -EIO;
	ret = store_check(s, err);
	if (ret < 0)
		return ret;
	if (!claim(set))
		return err_set(err, -EBUSY,
			       "cannot receive snapshot %" PRIu64
			       " into store '%s': another one is being received",
			       meta->index, s->dir_path);
	rx = mem_calloc(1, sizeof(*rx));
	rx->s = s;
	rx->set = set;
	ret = start(rx, meta, manifest, manifest_len, err);
	if (ret < 0) {
		store_receive_free(rx);
		return ret;
	}
	*out = rx;
	return 0;
}

void store_receive_free(struct store_receive *rx)
{
	if (!rx)
		return;
	pthread_mutex_lock(&rx->s->snapshot_lock);
	rx->set->receiving = false;
	pthread_mutex_unlock(&rx->s->snapshot_lock);
	manifest_release(&rx->m);
	free(rx->have);
	free(rx->raw);
	free(rx);
}

/* ---- chunks ---- */

uint32_t store_receive_chunk_count(const struct store_receive *rx)
{
	return rx->m.chunk_count;
}

uint32_t store_receive_next(const struct store_receive *rx, uint32_t from)
{
	/* An equal chunk elsewhere in the image, or a snapshot made here meanwhile, saves the way. */
	for (uint32_t n = from; n < rx->m.chunk_count; n++) {
		if (!rx->have[n])
			rx->have[n] = chunk_exists(&rx->set->chunks, manifest_hash(&rx->m, n));
		if (!rx->have[n])
			return n;
	}
	return rx->m.chunk_count;
}

int store_receive_chunk(struct store_receive *rx, uint32_t number, const void *data, size_t len,
			struct err *err)
{
	const uint8_t *hash;
	int ret = store_check(rx->s, err);

	if (ret < 0)
		return ret;
	if (number >= rx->m.chunk_count)
		return cannot(rx, -EINVAL, "there is no chunk of that number", err);
	hash = manifest_hash(&rx->m, number);
	ret = chunk_decode(hash, seal_chunk_len(rx->m.meta.size_bytes, number), data, len, rx->raw);
	MARK_IF(ret < 0, "store.receive.chunk-damaged");
	if (ret < 0)
		return cannot(rx, ret, "a chunk does not verify", err);
	if (rx->have[number])
		return 0;
	ret = sealed_failed(rx->set, chunk_write(&rx->set->chunks, hash, data, len));
	if (ret < 0)
		return cannot(rx, ret, strerror(-ret), err);
	rx->have[number] = true;
	return 0;
}

/* ---- finish: building the state ---- */

/* Chunk by chunk into fd. One that is damaged here is removed, so that it counts as lacking again. */
static int write_image(struct store_receive *rx, int fd, struct err *err)
{
	const struct store_io *io = rx->s->io;
	struct buf stored = BUF_INIT;
	int ret = 0;

	for (uint32_t n = 0; ret == 0 && n < rx->m.chunk_count; n++) {
		const uint8_t *hash = manifest_hash(&rx->m, n);
		uint32_t len = seal_chunk_len(rx->m.meta.size_bytes, n);

		buf_reset(&stored);
		ret = chunk_read(&rx->set->chunks, hash, len, &stored, rx->raw);
		if (ret == -EUCLEAN || ret == -ENOENT) {
			MARK("store.receive.chunk-rotten-here");
			(void)chunk_remove(&rx->set->chunks, hash);
			rx->have[n] = false;
			ret = cannot(rx, -EUCLEAN,
				     "a chunk was damaged here and has to be fetched again", err);
			break;
		}
		if (ret == 0)
			ret = io->pwrite(fd, rx->raw, len, (off_t)n * SEAL_CHUNK_SIZE);
		if (ret < 0)
			cannot(rx, sealed_failed(rx->set, ret), strerror(-ret), err);
	}
	buf_release(&stored);
	return ret;
}

static int write_state(struct store_receive *rx, int dir_fd, struct err *err)
{
	const struct store_io *io = rx->s->io;
	int fd = io->create(dir_fd, STATE_DB_NAME);
	int ret;

	if (fd < 0)
		return cannot(rx, fd, strerror(-fd), err);
	ret = write_image(rx, fd, err);
	if (ret == 0) {
		ret = io->fdatasync(fd);
		if (ret == 0)
			ret = io->fsync_dir(dir_fd);
		if (ret < 0)
			cannot(rx, sealed_failed(rx->set, ret), strerror(-ret), err);
	}
	close(fd);
	return ret;
}

/* A fresh directory for the generation that store_install() would make the active one. */
static int make_state_dir(struct store_receive *rx, const char *name, int *dir_fd, struct err *err)
{
	int ret = io_remove_tree(rx->s->group_fd, name);

	if (ret == 0 && mkdirat(rx->s->group_fd, name, 0700) < 0)
		ret = -errno;
	if (ret == 0) {
		*dir_fd = openat(rx->s->group_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		ret = *dir_fd < 0 ? -errno : rx->s->io->fsync_dir(rx->s->group_fd);
	}
	return ret < 0 ? cannot(rx, sealed_failed(rx->set, ret), strerror(-ret), err) : 0;
}

/* ---- finish: checking it ---- */

/* The image's own word on what it is against the offer. */
static int compare_meta(struct store_receive *rx, const struct kv_meta *own, struct err *err)
{
	struct raft_snapshot_meta said = rx->m.meta;

	said.index = own->applied_index;
	said.term = own->applied_term;
	said.conf = own->conf;
	if (memcmp(own->cluster, rx->s->identity.cluster, sizeof(own->cluster)) == 0 &&
	    own->group == rx->s->identity.group && manifest_is_for(&rx->m, &said))
		return 0;
	MARK("store.receive.image-of-another-state");
	return cannot(rx, -EUCLEAN, "the image holds another state than was offered", err);
}

static int quick_check(struct store_receive *rx, const char *dir, struct err *err)
{
	sqlite3_stmt *st = NULL;
	sqlite3 *db;
	bool ok = false;
	int ret = state_sqlite_open_reader(dir, &db, err);

	if (ret < 0)
		return ret;
	if (sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &st, NULL) == SQLITE_OK &&
	    sqlite3_step(st) == SQLITE_ROW) {
		const char *text = (const char *)sqlite3_column_text(st, 0);

		ok = text && strcmp(text, "ok") == 0;
	}
	sqlite3_finalize(st);
	sqlite3_close(db);
	MARK_IF(!ok, "store.receive.image-damaged");
	return ok ? 0 : cannot(rx, -EUCLEAN, "the image is damaged inside", err);
}

/*
 * Every row and piece against its checksum, and all of them against the digest that the entries made:
 * damage that the source sealed without knowing stops here.
 */
static int check_digest(struct store_receive *rx, const char *dir, struct err *err)
{
	uint8_t digest[KV_DIGEST_SIZE];
	struct kv_view *view = NULL;
	struct kv *kv = NULL;
	int ret = kv_open_sqlite(dir, &kv, err);

	if (ret == 0)
		ret = kv_view_open(kv, &view, err);
	if (ret == 0)
		ret = compare_meta(rx, kv_view_meta(view), err);
	if (ret == 0)
		ret = kv_view_digest(view, digest, err);
	MARK_IF(ret == 0 && memcmp(digest, kv_view_meta(view)->digest, sizeof(digest)) != 0,
		"store.receive.digest-differs");
	if (ret == 0 && memcmp(digest, kv_view_meta(view)->digest, sizeof(digest)) != 0)
		ret = cannot(rx, -EUCLEAN, "the image's digest is not that of its rows", err);
	kv_view_close(view);
	kv_unref(kv);
	return ret;
}

static int check_state(struct store_receive *rx, uint64_t generation, int dir_fd, struct err *err)
{
	char *path = store_state_path(rx->s, generation);
	int ret = quick_check(rx, path, err);

	if (ret == 0)
		ret = check_digest(rx, path, err);
	free(path);
	/* SQLite came and went; what it left has to be as durable as the rest. */
	return ret == 0 ? rx->s->io->fsync_dir(dir_fd) : ret;
}

static int build_state(struct store_receive *rx, struct err *err)
{
	uint64_t generation = store_active_generation(rx->s) + 1;
	char name[STORE_NAME_SIZE];
	int dir_fd = -1;
	int ret;

	store_state_name(generation, name);
	ret = make_state_dir(rx, name, &dir_fd, err);
	if (ret == 0)
		ret = write_state(rx, dir_fd, err);
	if (ret == 0)
		ret = check_state(rx, generation, dir_fd, err);
	if (dir_fd >= 0)
		close(dir_fd);
	if (ret < 0)
		(void)io_remove_tree(rx->s->group_fd, name);
	return ret;
}

static int seal_here(struct store_receive *rx, struct err *err)
{
	struct manifest m = rx->m;
	int ret;

	m.hashes = BUF_INIT; /* rx keeps its own */
	buf_put(&m.hashes, rx->m.hashes.data, rx->m.hashes.len);
	ret = sealed_add(rx->set, &m);
	if (ret == 0)
		ret = sealed_drop_incoming(rx->set);
	return ret < 0 ? cannot(rx, ret, strerror(-ret), err) : 0;
}

int store_receive_finish(struct store_receive *rx, struct err *err)
{
	int ret = store_check(rx->s, err);

	if (ret < 0)
		return ret;
	if (store_receive_next(rx, 0) < rx->m.chunk_count)
		return cannot(rx, -EINVAL, "chunks are lacking", err);
	sealed_enter(rx->set);
	ret = build_state(rx, err);
	if (ret == 0)
		ret = seal_here(rx, err);
	sealed_leave(rx->set);
	return ret;
}
