/*
 * digest.h - the state digest: an additive multiset hash over all rows and pieces.
 *
 * Four 64-bit lanes, each the sum mod 2^64 of one lane of two XXH3-128 (different seeds) of every
 * element. Adding and taking away commute, so the digest does not depend on the order in which a
 * state came about nor on how entries were grouped into transactions. It finds faults; it is no
 * defence against somebody who constructs states.
 *
 * Element of a kv row: 'k', le32 key length, key, value.
 * Element of a piece: 'b', le64 ino, le32 block, le32 piece number, le64 sum, le32 row length.
 */
#ifndef STORE_DIGEST_H
#define STORE_DIGEST_H

#include "store/store_kv.h"

struct digest {
	uint64_t lane[4];
};

void digest_load(struct digest *d, const uint8_t bytes[KV_DIGEST_SIZE]);
void digest_store(const struct digest *d, uint8_t bytes[KV_DIGEST_SIZE]);
void digest_add_row(struct digest *d, const void *key, size_t key_len, const void *value,
		    size_t len);
void digest_sub_row(struct digest *d, const void *key, size_t key_len, const void *value,
		    size_t len);
/* All pieces of one block row; sums is le64 for each. Nothing when row_len is 0. */
void digest_add_block(struct digest *d, uint64_t row_id, const uint8_t *sums, uint32_t row_len);
void digest_sub_block(struct digest *d, uint64_t row_id, const uint8_t *sums, uint32_t row_len);

#endif
