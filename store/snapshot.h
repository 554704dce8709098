/*
 * snapshot.h - what store.c, receive.c and tests know of snapshot.c; the rest is in store.h.
 */
#ifndef STORE_SNAPSHOT_H
#define STORE_SNAPSHOT_H

#include "store/store_internal.h"

/* Of one store_snapshot_create(). */
struct snapshot_stats {
	uint32_t steps;    /* page runs of the backup */
	uint32_t restarts; /* of the backup; the held read transaction keeps it 0 */
	uint64_t wal_peak_bytes;
	uint32_t chunk_count;
	uint32_t written_count; /* chunks that no earlier snapshot had */
	uint64_t written_bytes; /* of them, compressed */
};

/* store_snapshot_create() with its figures; stats may be NULL. */
int snapshot_create(struct store *s, struct kv *kv, struct raft_snapshot_meta *meta,
		    const atomic_bool *cancel, struct snapshot_stats *stats, struct err *err);

/*
 * The newest sealed snapshot at or below max_index whose manifest verifies against its root and whose
 * chunks are all there; their bytes are verified when they are used, and by store_snapshot_verify().
 * meta->index 0: none.
 */
int snapshot_newest(struct store *s, uint64_t max_index, struct raft_snapshot_meta *meta);

/* store_open() calls it once, before any other call: removes temporary images and files, and chunks
 * that no manifest names. */
int snapshot_cleanup(struct store *s);
/* Forgets what is in memory; store_close() calls it last. */
void snapshot_close(struct store *s);

#endif
