/*
 * overlay.h - what txn.c reads of an overlay; the public part is in store_kv.h.
 */
#ifndef STORE_OVERLAY_H
#define STORE_OVERLAY_H

#include "base/hash.h"
#include "store/pending.h"
#include "store/store_kv.h"

/* What some entry of the overlay did with a session. reply is borrowed from that entry. */
struct overlay_op {
	bool ends;             /* the session ended: nothing before this counts any more */
	uint64_t session_id;   /* == index: it began here */
	uint64_t stamp;        /* of one that began here */
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
/* The highest stamp of a session that an entry here ends, or an earlier one ended; 0: none. */
uint64_t overlay_begin_floor(const struct overlay *o);
/* Sessions begun less sessions ended by entries here. */
int64_t overlay_session_delta(const struct overlay *o);
/* NULL: no operation of that client is pending. */
const struct overlay_session *overlay_session(const struct overlay *o,
					      const uint8_t uuid[KV_UUID_SIZE]);

#endif
