/* fuzz_manifest.c - no bytes make the manifest decoder misbehave, whatever checksum and root they bear. */
#include "store/manifest.h"
#include "tests/fuzz/fuzz.h"

static void try(const uint8_t *data, size_t len)
{
	struct manifest m = MANIFEST_INIT;
	struct buf again = BUF_INIT;

	if (manifest_decode(&m, data, len) < 0)
		return;
	/* What decodes encodes to the same bytes: there is one form of each manifest. */
	manifest_encode(&m, &again);
	fuzz_same(&again, data, len);
	manifest_release(&m);
}

/* The same content sealed anew: then root and checksum are right, and what lies behind decides. */
static void try_sealed(const uint8_t *data, size_t len)
{
	struct cursor c = cursor_init(data, len);
	struct manifest m = MANIFEST_INIT;
	struct buf bytes = BUF_INIT;

	cursor_copy(&c, m.cluster, sizeof(m.cluster));
	m.group = cursor_le32(&c);
	m.meta.index = cursor_le64(&c);
	m.meta.term = cursor_le64(&c);
	m.chunk_count = 1 + cursor_u8(&c) % 8;
	m.meta.size_bytes = (uint64_t)(m.chunk_count - 1) * SEAL_CHUNK_SIZE + 1 + cursor_le16(&c);
	for (uint32_t i = 0; i < m.chunk_count; i++) {
		uint8_t hash[SEAL_HASH_SIZE];

		cursor_copy(&c, hash, sizeof(hash));
		buf_put(&m.hashes, hash, sizeof(hash));
	}
	manifest_seal(&m);
	manifest_encode(&m, &bytes);
	try(bytes.data, bytes.len);
	if (cursor_left(&c) >= 3) { /* ... and with one byte of it changed */
		size_t at = cursor_le16(&c) % bytes.len;

		bytes.data[at] ^= cursor_u8(&c);
		store_le64(bytes.data + bytes.len - 8, hash64(bytes.data, bytes.len - 8));
		try(bytes.data, bytes.len);
	}
	buf_release(&bytes);
	manifest_release(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t *copy;

	try(data, len);
	try_sealed(data, len);
	if (len < 9)
		return 0;
	copy = mem_dup(data, len);
	store_le64(copy + len - 8, hash64(copy, len - 8));
	try(copy, len);
	free(copy);
	return 0;
}
