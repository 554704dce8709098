/*
 * seal.h - the hash tree over an image: 64 KiB leaves under 1 MiB chunks under one root.
 *
 * All hashes are BLAKE2b-256 and each level begins with a tag of its own, so a leaf can never pass for
 * a chunk nor a chunk for a root. A chunk's hash depends on its bytes alone, not on its place: equal
 * chunks are one file, shared between snapshots. The root covers the places, and all else that says
 * what the image is: format, cluster, group, index, term, size and configuration.
 */
#ifndef STORE_SEAL_H
#define STORE_SEAL_H

#include "base/base.h"
#include "raft/raft.h"

#define SEAL_HASH_SIZE 32u
#define SEAL_LEAF_SIZE 65536u
#define SEAL_CHUNK_SIZE 1048576u
#define SEAL_VERSION 1u

/* Chunks of an image of size_bytes; the last may be short. UINT32_MAX when they are too many. */
uint32_t seal_chunk_count(uint64_t size_bytes);
/* Bytes of chunk number; number < seal_chunk_count(size_bytes). */
uint32_t seal_chunk_len(uint64_t size_bytes, uint32_t number);

/* len: 1 to SEAL_LEAF_SIZE. */
void seal_leaf(const void *data, size_t len, uint8_t hash[SEAL_HASH_SIZE]);
/* len: 1 to SEAL_CHUNK_SIZE. */
void seal_chunk(const void *data, size_t len, uint8_t hash[SEAL_HASH_SIZE]);
/* hashes: chunk_count times SEAL_HASH_SIZE, in order. meta->root is not read. */
void seal_root(const uint8_t cluster[16], uint32_t group, const struct raft_snapshot_meta *meta,
	       const uint8_t *hashes, uint32_t chunk_count, uint8_t root[SEAL_HASH_SIZE]);

#endif
