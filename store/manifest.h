/*
 * manifest.h - what a snapshot consists of: its meta and the hash of each of its chunks.
 *
 * A manifest that decodes is true to its root: the hashes in it are the ones that were sealed.
 */
#ifndef STORE_MANIFEST_H
#define STORE_MANIFEST_H

#include "base/base.h"
#include "base/buf.h"
#include "store/seal.h"

struct manifest {
	uint8_t cluster[16];
	uint32_t group;
	struct raft_snapshot_meta meta;
	uint32_t chunk_count; /* seal_chunk_count(meta.size_bytes) */
	struct buf hashes;    /* chunk_count times SEAL_HASH_SIZE */
};

#define MANIFEST_INIT ((struct manifest){ .group = 0 })

void manifest_release(struct manifest *m);                               /* leaves MANIFEST_INIT */
const uint8_t *manifest_hash(const struct manifest *m, uint32_t number); /* borrowed */
/* Fills meta.root from everything else. */
void manifest_seal(struct manifest *m);
/* Appends. Layout in manifest.c. */
void manifest_encode(const struct manifest *m, struct buf *out);
/* 0 or -EUCLEAN; then *m is untouched. On 0 the caller releases it. */
int manifest_decode(struct manifest *m, const void *data, size_t len);
/* Is all of its meta equal to this one? */
bool manifest_is_for(const struct manifest *m, const struct raft_snapshot_meta *meta);

#endif
