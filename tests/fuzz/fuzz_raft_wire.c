/* fuzz_raft_wire.c - whatever decodes must encode to the same bytes; nothing may crash. */
#include "raft/raft.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_equal(struct buf *again, const uint8_t *data, size_t size)
{
	assert(again->len == size && memcmp(again->data, data, size) == 0);
	buf_release(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf again = BUF_INIT;
	struct raft_message msg;
	struct raft_conf conf;
	struct raft_conf_change change;
	struct raft_snapshot_meta meta;

	if (raft_message_decode(&msg, data, size) == 0) {
		raft_message_encode(&msg, &again);
		check_equal(&again, data, size);
		raft_message_release(&msg);
	}
	if (raft_conf_decode(&conf, data, size) == 0) {
		raft_conf_encode(&conf, &again);
		check_equal(&again, data, size);
	}
	if (raft_conf_change_decode(&change, data, size) == 0) {
		struct raft_conf two = {
			.count = 2, .members = { { 1, RAFT_VOTER, "" }, { 2, RAFT_VOTER, "" } }
		};

		raft_conf_change_encode(&change, &again);
		check_equal(&again, data, size);
		/* Whatever it is, it leaves a configuration that stands. */
		(void)raft_conf_change(&two, &change, &conf, NULL);
	}
	if (raft_snapshot_meta_decode(&meta, data, size) == 0) {
		raft_snapshot_meta_encode(&meta, &again);
		check_equal(&again, data, size);
	}
	return 0;
}
