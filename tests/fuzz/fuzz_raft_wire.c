/* fuzz_raft_wire.c - messages and snapshot metas: refused, or what encodes to the same bytes. */
#include "raft/raft.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf again = BUF_INIT;
	struct raft_snapshot_meta meta;
	struct raft_message msg;

	if (raft_message_decode(&msg, data, size) == 0) {
		raft_message_encode(&msg, &again);
		fuzz_same(&again, data, size);
		raft_message_release(&msg);
	}
	if (raft_snapshot_meta_decode(&meta, data, size) == 0) {
		raft_snapshot_meta_encode(&meta, &again);
		fuzz_same(&again, data, size);
	}
	return 0;
}
