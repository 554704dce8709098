/*
 * store.h - what of one group survives a crash: superblock, log, state generations, snapshots.
 *
 *   DIR/lock                     held while a process has the store open
 *   DIR/group-<id>/superblock    identity, term, vote, incarnation, active generation, log base
 *   DIR/group-<id>/log/          preallocated segments
 *   DIR/group-<id>/state-<gen>/  state.db and its WAL
 *   DIR/group-<id>/snapshots/    manifests, chunks/, received parts
 *
 * Formats: docs/formats.md and the layout tables above each codec. Any error from writing or syncing
 * poisons the store: every later call returns -EIO, and the owner ends the process (section 5).
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "raft/raft.h"
#include "store/store_kv.h"

struct store_identity {
	uint8_t cluster[16];
	uint32_t group;
	uint64_t node_id;
};

struct store_options {
	size_t segment_bytes; /* 0: 16 MiB */
	uint32_t spare_segments; /* kept ready, zeroed; 0: 1 */
};

/* Results of recovery that raft_new() needs. Arrays belong to it; store_boot_release(). */
struct store_boot {
	struct store_identity identity;
	struct raft_hard_state hard;
	uint64_t incarnation;   /* already raised and durable */
	bool was_clean;         /* the last process ended by store_close() */
	uint64_t base_index, base_term, last_index;
	struct raft_entry *terms; /* first entry of each run of equal terms; data NULL */
	size_t term_count;
	uint64_t *confs; /* indexes of the configuration entries in the log */
	size_t conf_count;
	struct raft_snapshot_meta snapshot; /* newest sealed one that verifies; index 0: none */
};

struct store;

/*
 * Makes a new store: DIR may be missing or an empty directory, else -EEXIST / -ENOTEMPTY. Writes
 * entry 1 (term 1, the configuration) and a state that has applied it, so every node of a fixed list
 * starts from the same entry. Durable on return; a crash inside leaves a directory that init and open
 * recognise as unfinished. conf->index is taken as 1.
 */
int store_init(const char *dir, const struct store_identity *identity, const struct raft_conf *conf,
	       struct err *err);
/* -ENOENT: no directory; -EINVAL: not a store; -EBUSY: another process has it; -EUCLEAN: damaged;
 * -EACCES. err tells all four parts. *kv has one reference for the caller. */
int store_open(const char *dir, uint32_t group, const struct store_options *options,
	       struct store **store, struct store_boot *boot, struct kv **kv, struct err *err);
/* A write or sync of anything failed: the process must end. Any thread. */
bool store_has_failed(const struct store *s);
void store_boot_release(struct store_boot *boot);
/* Writes the clean flag when nothing failed. The log must be idle. */
void store_close(struct store *s);
/* Identity without opening (no lock taken); for ctl and the mount helper. */
int store_identify(const char *dir, uint32_t group, struct store_identity *identity, struct err *err);

/* ---- log; thread: log, unless said otherwise -------------------------------------------------- */

struct store_batch {
	bool set_hard;
	struct raft_hard_state hard; /* written and synced before the entries */
	const struct raft_entry *entries; /* replace the log from entries[0].index on; borrowed */
	size_t entry_count;
};

/* Several batches become one frame and one fdatasync (plus one superblock write when any set_hard).
 * On 0 everything is SYNCED. */
int store_persist(struct store *s, const struct store_batch *batches, size_t count, struct err *err);
/* Entries lo.. up to hi, stopping after max_bytes (at least one). *entries: malloc'd array with one
 * reference per entry, for store_entries_free(). Any thread. -ENOENT when lo is cut already;
 * -EUCLEAN when a frame fails its checksum. */
int store_load(struct store *s, uint64_t lo, uint64_t hi, size_t max_bytes,
	       struct raft_entry **entries, size_t *count, struct err *err);
void store_entries_free(struct raft_entry *entries, size_t count);
/* Whole segments below index go back to the spares or vanish. Also raises the superblock's base. */
int store_cut_prefix(struct store *s, uint64_t index, struct err *err);
uint64_t store_log_bytes(struct store *s);      /* live log, any thread */
uint64_t store_bytes_written(struct store *s);  /* since open: log and superblock; any thread */

/* ---- space; any thread ------------------------------------------------------------------------ */

/*
 * The reserve is what a store needs to go on when nothing may grow any more: segments for the entries
 * that free space, a WAL, a snapshot's beginnings. The larger of 64 MiB and four segments, and never
 * more than a quarter of the file system, so that a small one is not all reserve.
 */
struct store_space {
	uint64_t total_bytes, free_bytes; /* of the file system below */
	uint64_t reserve_bytes;           /* growth is refused below this much free */
};

int store_space(struct store *s, struct store_space *space);

/* ---- snapshots; thread: snapshot, one at a time ------------------------------------------------- */

/**
 * store_snapshot_create() - seal an image of the state at its applied index.   [Snapshot]
 * Online backup on a connection that holds a read transaction while writes go on; hashed into a
 * tree (BLAKE2b, 64 KiB leaves under 1 MiB chunks), chunks compressed (zstd) and shared with the
 * previous snapshot, manifest written last. Older snapshots than the two newest are removed, except
 * those held by store_snapshot_hold(). cancel is polled and may be NULL. The log goes on the word of an image, so all
 * rows are verified before it is sealed: -EUCLEAN when the state, or what was copied of it, is damaged.
 */
int store_snapshot_create(struct store *s, struct kv *kv, struct raft_snapshot_meta *meta,
			  const atomic_bool *cancel, struct err *err);
/* Manifest bytes of a sealed local snapshot, and one of its chunks as stored (compressed). Any thread. */
int store_snapshot_manifest(struct store *s, const struct raft_snapshot_meta *meta, struct buf *out,
			    struct err *err);
int store_snapshot_chunk(struct store *s, const struct raft_snapshot_meta *meta, uint32_t number,
			 struct buf *out, struct err *err);
int store_snapshot_list(struct store *s, struct raft_snapshot_meta **metas, size_t *count); /* free() */
int store_snapshot_verify(struct store *s, const struct raft_snapshot_meta *meta, struct err *err);
/*
 * While a peer pulls a snapshot it must not be removed. Counted, any thread, no I/O; lost at a restart.
 * Nothing when there is no such snapshot. What a release makes superfluous goes with the next snapshot.
 */
void store_snapshot_hold(struct store *s, const struct raft_snapshot_meta *meta);
void store_snapshot_release(struct store *s, const struct raft_snapshot_meta *meta);

struct store_receive; /* a fetch in progress; resumes what an earlier one left */

/* The manifest must hash to meta's root, else -EUCLEAN. */
int store_receive_begin(struct store *s, const struct raft_snapshot_meta *meta, const void *manifest,
			size_t manifest_len, struct store_receive **rx, struct err *err);
uint32_t store_receive_chunk_count(const struct store_receive *rx);
/* The next chunk that is lacking and >= from, or chunk_count. */
uint32_t store_receive_next(const struct store_receive *rx, uint32_t from);
/* Verifies before it stores; -EUCLEAN: fetch it again. */
int store_receive_chunk(struct store_receive *rx, uint32_t number, const void *data, size_t len,
			struct err *err);
/* All chunks are there: seals it as a local snapshot and builds state-<gen+1> from it, verified and
 * durable but not active. -EUCLEAN when the image's own meta differs from the offer. */
int store_receive_finish(struct store_receive *rx, struct err *err);
void store_receive_free(struct store_receive *rx); /* parts stay on disk for a later fetch */

/**
 * store_install() - the flip: one superblock write makes state and log change together.
 *                                             [CondInstallSnapshot, SaveStateAndSnapshot]
 * -ESTALE when meta->index is not above applied_index (then nothing changed). The log keeps what
 * follows a matching (index, term), else it becomes empty with base = (index, term). *kv is the new
 * state with one reference; the old generation is removed once its last reference is gone.
 * Thread: log, while nothing is applied and no other log work is under way.
 */
int store_install(struct store *s, const struct raft_snapshot_meta *meta, uint64_t applied_index,
		  struct kv **kv, struct err *err);

#endif
