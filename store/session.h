/*
 * session.h - the record of one client session: what makes an operation take effect exactly once.
 *
 * Key 's' + uuid in the kv table. Holds a reply for every executed number >= low; so "executed" is
 * "has a reply here, or is below low". Records are changed by one pass over their bytes.
 *
 * A session begins with the first operation of its client that executes, and ends by an entry that names
 * it: a leader that has not heard of it for too long, or the client's next session, which replaces it.
 * Whatever names a session that ended never executes. What does not know its session's id yet, because
 * the first answer never came, names the session by its stamp instead: a log index that the client had
 * seen before it sent anything. The end of a session raises the floor in struct kv_meta to its stamp, and
 * no session begins at or below the floor; so no copy of a first operation, however late, begins a session
 * twice, and no clock is asked about that.
 */
#ifndef STORE_SESSION_H
#define STORE_SESSION_H

#include "base/cursor.h"
#include "store/store_kv.h"

#define SESSION_KEY_SIZE (1 + KV_UUID_SIZE)

struct session_record {
	uint64_t id;      /* index of the entry that began it */
	uint64_t low;     /* all below is answered and forgotten */
	uint64_t highest; /* highest number executed */
	uint64_t stamp;   /* what the client knew of the log before it sent anything */
	uint64_t used_ms; /* log time of its last operation */
	uint32_t count;   /* replies, ascending by seq */
	struct cursor replies;
};

struct session_reply {
	uint64_t seq, index;
	int32_t status;
	const uint8_t *data; /* borrowed from the record */
	size_t len;
};

void session_key(const uint8_t uuid[KV_UUID_SIZE], uint8_t key[SESSION_KEY_SIZE]);
/* Checks the whole record: 0 or -EUCLEAN. Borrows data. */
int session_record_open(struct session_record *r, const void *data, size_t len);
bool session_record_next(struct session_record *r, struct session_reply *reply);
/*
 * Appends to out the record after the operation in head, executed by entry index. data is the record
 * before, len 0: none. -EUCLEAN when the record is damaged, the head names another session or begins one
 * that is there, or the number was executed before, lies below low or beyond the window: the leader
 * checked all that, so the entry is not one of its own.
 */
int session_record_execute(const void *data, size_t len, const struct kv_batch_head *head,
			   uint64_t index, struct buf *out);

#endif
