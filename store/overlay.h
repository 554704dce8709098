/*
 * overlay.h - what txn.c reads of an overlay; the public part is in store_kv.h.
 */
#ifndef STORE_OVERLAY_H
#define STORE_OVERLAY_H

#include "base/hash.h"
#include "store/pending.h"
#include "store/store_kv.h"

/* An operation that some entry of the overlay executed. reply is borrowed from that entry. */
struct overlay_op {
	uint64_t seq, low, index;
	int32_t status;
	const uint8_t *reply;
	size_t reply_len;
};

struct overlay_session {
	struct hnode node;
	uint8_t uuid[KV_UUID_SIZE];
	struct overlay_op *ops; /* ascending by index */
	size_t op_count, op_cap;
};

const struct pending *overlay_pending(const struct overlay *o);
/* NULL: no operation of that client is pending. */
const struct overlay_session *overlay_session(const struct overlay *o,
					      const uint8_t uuid[KV_UUID_SIZE]);

#endif
