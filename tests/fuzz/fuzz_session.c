/*
 * fuzz_session.c - session records of any bytes, and operations executed on what decodes.
 */
#include "store/session.h"
#include "tests/fuzz/fuzz.h"

/* Replies ascend, lie in the window, and are as many as the record says. */
static void check_record(const void *data, size_t len, struct session_record *head)
{
	struct session_record r;
	struct session_reply reply;
	uint64_t floor;
	uint32_t count = 0;
	int ret = session_record_open(&r, data, len);

	assert(ret == 0);
	*head = r;
	floor = r.low;
	while (session_record_next(&r, &reply)) {
		assert(reply.seq >= floor && reply.seq <= head->highest);
		floor = reply.seq + 1;
		count++;
	}
	assert(count == head->count);
}

/* What executes leaves a record that is sound, holds the new reply, and refuses the same number again. */
static void execute(const void *record, size_t len, const struct session_record *r,
		    struct cursor *c)
{
	struct kv_batch_head head = {
		.has_session = true,
		.session_id = cursor_u8(c) % 4 != 0 ? (len > 0 ? r->id : 100) : 50,
		.begins = len == 0,
		.stamp = 7,
		.low = r->low + cursor_u8(c) % 8,
		.status = -(int32_t)(cursor_u8(c) % 40),
	};
	struct buf out = BUF_INIT, again = BUF_INIT;
	struct session_record after;

	head.reply = fuzz_slice(c, &head.reply_len);
	head.seq = head.low + cursor_le16(c) % (KV_SESSION_WINDOW + 2);
	if (head.seq == 0 || head.seq < head.low)
		return;
	buf_put(&out, "before", 6);
	if (session_record_execute(record, len, &head, 100, &out) < 0) {
		assert(out.len == 6);
		buf_release(&out);
		return;
	}
	check_record(out.data + 6, out.len - 6, &after);
	assert(after.low >= r->low && after.highest >= head.seq && after.count > 0);
	assert(after.id == (len > 0 ? r->id : 100) && after.stamp == (len > 0 ? r->stamp : 7));
	head.begins = false; /* the number alone is reason enough */
	assert(session_record_execute(out.data + 6, out.len - 6, &head, 101, &again) < 0);
	buf_release(&again);
	buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_init(data, size);
	struct session_record none = { .low = 0 }, head;
	const uint8_t *record;
	size_t len = cursor_le16(&c);

	len = (size_t)min_u64(len, cursor_left(&c));
	record = cursor_bytes(&c, len);
	if (len > 0 && session_record_open(&head, record, len) == 0) {
		check_record(record, len, &head);
		/* At the very top the arithmetic of windows would overflow: no client counts that far. */
		if (head.low < UINT64_MAX / 2)
			execute(record, len, &head, &c);
	} else {
		execute(NULL, 0, &none, &c);
	}
	return 0;
}
