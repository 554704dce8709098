/* fuzz_wire.c - arbitrary bytes as fs message: refused, or what encodes to the same bytes. */
#include "fs/fs_wire.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf again = BUF_INIT;
	struct fs_msg m;

	if (fs_msg_decode(&m, data, size) < 0)
		return 0;
	fs_msg_encode(&m, &again);
	fuzz_same(&again, data, size);
	return 0;
}
