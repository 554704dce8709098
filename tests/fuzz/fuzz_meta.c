/* fuzz_meta.c - the meta row of a state, as it is and with its checksum put right. */
#include "store/kv.h"
#include "tests/fuzz/fuzz.h"

static void try(const uint8_t *data, size_t size)
{
	struct buf again = BUF_INIT;
	struct kv_meta meta;

	if (kv_meta_decode(&meta, data, size) < 0)
		return;
	kv_meta_encode(&meta, &again);
	fuzz_same(&again, data, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;

	try(data, size);
	if (size < 9)
		return 0;
	copy = mem_dup(data, size);
	store_le64(copy + size - 8, hash64(copy, size - 8));
	try(copy, size);
	free(copy);
	return 0;
}
