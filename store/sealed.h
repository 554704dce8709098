/*
 * sealed.h - the set of sealed snapshots below snapshots/: which there are, which are held, which go.
 *
 *   <index>-<term>-<root, 8 bytes>.manifest   one per snapshot; its appearance is the seal
 *   chunks/<hash>                             named by one or more manifests
 *   incoming.part                             manifest of a fetch in progress or broken off, so that
 *                                             its chunks are kept
 *   image.tmp, *.tmp                          in the making; removed at the next open
 *
 * Chunks that no manifest names are removed when nobody is busy making a snapshot: sealed_enter() and
 * sealed_leave() stand around everything that relies on chunks before a manifest names them.
 */
#ifndef STORE_SEALED_H
#define STORE_SEALED_H

#include "base/list.h"
#include "store/chunk.h"
#include "store/manifest.h"
#include "store/store_internal.h"

#define SEALED_IMAGE "image.tmp"
#define SEALED_KEEP 2u /* snapshots beside those that are held */

struct sealed {
	struct list link;
	uint32_t holds;
	struct manifest m;
};

struct sealed_set {
	struct store *store;
	struct chunk_dir chunks;

	/* Guarded by store->snapshot_lock. */
	pthread_cond_t idle;
	struct list all; /* struct sealed, ascending by index */
	uint32_t busy;   /* between enter and leave */
	bool collecting; /* removal is under way: enter waits */
	bool receiving;  /* there is a struct store_receive */
};

/*
 * The set of s, read from the disk at the first call. A manifest that does not verify is reported and
 * left out. NULL with err: it cannot be read.
 */
struct sealed_set *sealed_of(struct store *s, struct err *err);
void sealed_free(struct sealed_set *set); /* accepts NULL */

void sealed_enter(struct sealed_set *set);
/* The last one to leave removes what is superfluous; a failure there is reported and harmless. */
void sealed_leave(struct sealed_set *set);

/* Makes chunk names and then the manifest durable: m is a snapshot from now on. Takes m's contents,
 * also on failure. Between enter and leave. */
int sealed_add(struct sealed_set *set, struct manifest *m);
/* A copy of the manifest of meta's snapshot: 0 or -ENOENT. Any thread. */
int sealed_copy(struct sealed_set *set, const struct raft_snapshot_meta *meta, struct manifest *m);
/* Hash and length of one chunk: 0, -ENOENT, -EINVAL. Any thread. */
int sealed_chunk(struct sealed_set *set, const struct raft_snapshot_meta *meta, uint32_t number,
		 uint8_t hash[SEAL_HASH_SIZE], uint32_t *raw_len);
/* Manifest of meta's snapshot as it is on the disk: 0, -ENOENT, -EUCLEAN, -EIO. */
int sealed_read(struct sealed_set *set, const struct raft_snapshot_meta *meta, struct manifest *m);

/* incoming.part: write, remove. One fetch at a time: receive.c sees to that. */
int sealed_put_incoming(struct sealed_set *set, const struct manifest *m);
int sealed_drop_incoming(struct sealed_set *set);

/* Removes what a killed process left half made. Called once, before anything else goes on. */
int sealed_remove_temporaries(struct sealed_set *set);

/* ret, and the store is poisoned if it tells that a write or sync was lost. */
int sealed_failed(struct sealed_set *set, int ret);

#endif
