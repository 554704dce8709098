/* fuzz_floor.c - the floor of a state: what decodes is canonical; with a checksum put right, too. */
#include "base/hash.h"
#include "store/floor.h"
#include "tests/fuzz/fuzz.h"

static void check(const uint8_t in[FLOOR_COPY_SIZE])
{
	uint8_t again[FLOOR_COPY_SIZE];
	uint64_t index;

	if (floor_decode(in, &index) < 0)
		return;
	floor_encode(index, again);
	assert(memcmp(in, again, sizeof(again)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t in[FLOOR_COPY_SIZE] = { 0 };

	memcpy(in, data, min_u64(size, sizeof(in)));
	check(in);
	store_le64(in + 24, hash64(in, 24));
	check(in);
	return 0;
}
