/*
 * fuzz_segment.c - superblock record, segment header, frame header and entries from any bytes.
 *
 * Checksums would stop nearly every input at the door, so each decoder also gets the input with its
 * checksum put right: then what lies behind is what decides.
 */
#include "store/segment.h"
#include "store/superblock.h"
#include "tests/fuzz/fuzz.h"

static void put_sum(uint8_t *out, const uint8_t *data, size_t len, uint64_t seed)
{
	uint64_t sum[2];

	hash128(data, len, seed, sum);
	store_le64(out, sum[0]);
	store_le64(out + 8, sum[1]);
}

static void try_superblock(uint8_t *block)
{
	uint8_t again[SUPERBLOCK_RECORD_SIZE];
	struct superblock sb;

	superblock_decode(&sb, 0, block);
	memcpy(block, "QFSSUPER\1\0\0\0\0\0\0\0", 16);
	put_sum(block + 16, block + 32, SUPERBLOCK_RECORD_SIZE - 32, 0);
	if (superblock_decode(&sb, 0, block) < 0)
		return;
	superblock_encode(&sb, 0, again);
	assert(memcmp(block + 32, again + 32, 128) == 0); /* all fields */
}

static void try_segment_header(uint8_t *block)
{
	uint8_t again[SEGMENT_HEADER_SIZE];
	struct segment_header h;

	segment_header_decode(&h, block);
	memcpy(block, "QFSSEGMT\1\0\0\0", 12);
	put_sum(block + 16, block + 32, SEGMENT_HEADER_SIZE - 32, load_le64(block + 8));
	if (segment_header_decode(&h, block) < 0)
		return;
	segment_header_encode(&h, again);
	assert(memcmp(block + 32, again + 32, 144) == 0);
}

static void try_frame(uint8_t *block, const uint8_t *payload, size_t len)
{
	struct cursor c = cursor_init(payload, len);
	struct log_position pos = { .index = 1 };
	struct frame_header h;
	struct frame_entry e;

	frame_header_decode(&h, block);
	memcpy(block, "QFSFRAME\1\0\0\0", 12);
	store_le64(block + 248, hash64(block, 248));
	if (frame_header_decode(&h, block) == 0) {
		assert(h.count > 0 && h.size_bytes >= FRAME_HEADER_SIZE);
		frame_links(&h, block, &pos);
		frame_payload_valid(payload, len, h.payload_checksum);
	}
	while (frame_next_entry(&c, &e) == 0)
		assert(e.data != NULL || e.len == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static uint8_t block[SEGMENT_HEADER_SIZE]; /* as large as a superblock record */
	size_t copied = (size_t)min_u64(len, sizeof(block));

	for (int i = 0; i < 3; i++) {
		memset(block, 0, sizeof(block));
		memcpy(block, data, copied);
		if (i == 0)
			try_superblock(block);
		else if (i == 1)
			try_segment_header(block);
		else
			try_frame(block, data, len);
	}
	return 0;
}
