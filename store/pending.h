/*
 * pending.h - mutations that are not in a view yet, in key order: the inside of overlay and txn.
 *
 * Per key the newest version is enough: nobody reads an older one, and trimming forgets a version when
 * its index is applied. Per block the mutations since the last one that replaced or dropped the
 * block are kept in order, because patches add up. Ranges of dropped blocks are kept as ranges.
 *
 * The bytes of a mutation stay where they are (a batch's blob, or the txn's buffer, which may move
 * while it grows); versions point at them through a source and an offset.
 */
#ifndef STORE_PENDING_H
#define STORE_PENDING_H

#include "store/block.h"
#include "store/treap.h"

struct pending_version {
	struct pending_version *newer; /* blocks only */
	uint64_t index;
	struct kv_mutation m;       /* key and data pointers unset: see pending_data() */
	const uint8_t *const *base; /* *base + data_off is the data */
	size_t data_off;
};

struct pending_drop {
	uint64_t index;
	uint64_t first_id, last_id; /* row ids */
};

struct pending {
	struct treap keys;   /* key -> struct pending_version */
	struct treap blocks; /* big-endian row id -> struct pending_block */
	struct pending_drop *drops;
	size_t drop_count, drop_cap;
};

void pending_init(struct pending *p);
void pending_release(struct pending *p);
bool pending_is_empty(const struct pending *p);

/* *base must stay valid as long as p knows the mutation; m->data (and key) lie within *base. */
void pending_add(struct pending *p, uint64_t index, const uint8_t *const *base,
		 const struct kv_mutation *m);
/* Forgets what m left here if its index is <= applied. */
void pending_trim(struct pending *p, uint64_t applied, const struct kv_mutation *m);

const uint8_t *pending_data(const struct pending_version *v);
/* NULL: nothing pending for the key. */
const struct pending_version *pending_get(const struct pending *p, const void *key, size_t key_len);

/* Nothing below this layer shows through: the block was dropped or wholly replaced. */
bool pending_hides(const struct pending *p, uint64_t row_id);
/* Pending versions of a block, oldest first; NULL: none (it may still be dropped). */
const struct pending_version *pending_block(const struct pending *p, uint64_t row_id);
/* First row id >= from with pending versions: 0 or -ENOENT. */
int pending_block_next(const struct pending *p, uint64_t from_id, uint64_t *row_id);
/* What was there before this layer was dropped; *last_id: the range goes on to there. */
bool pending_dropped(const struct pending *p, uint64_t row_id, uint64_t *last_id);

#endif
