/* fuzz_manifest.c - no bytes make the decoders of manifest and chunk misbehave. */
#include <stddef.h>

#include "base/hash.h"
#include "store/chunk.h"
#include "store/manifest.h"

static void try_manifest(const uint8_t *data, size_t len)
{
	struct manifest m = MANIFEST_INIT;
	struct buf again = BUF_INIT;

	if (manifest_decode(&m, data, len) < 0)
		return;
	/* What decodes encodes to the same bytes: there is one form of each manifest. */
	manifest_encode(&m, &again);
	if (again.len != len || memcmp(again.data, data, len) != 0)
		abort();
	buf_release(&again);
	manifest_release(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const uint8_t hash[SEAL_HASH_SIZE];
	uint8_t *copy, *raw;
	uint32_t raw_len;

	try_manifest(data, len);
	if (len < 17)
		return 0;
	/* With a checksum that fits, so that the fuzzer gets past it. */
	copy = mem_dup(data, len);
	store_le64(copy + len - 8, hash64(copy, len - 8));
	try_manifest(copy, len);
	/* The length is the manifest's word; the file's own has to agree with it. */
	raw_len = 1 + (load_le32(data + 5) - 1) % 8192;
	raw = mem_alloc(raw_len);
	(void)chunk_decode(hash, raw_len, copy, len, raw);
	free(raw);
	free(copy);
	return 0;
}
