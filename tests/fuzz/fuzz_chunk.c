/* fuzz_chunk.c - a chunk file of any bytes, and names of any text. */
#include "store/chunk.h"
#include "tests/fuzz/fuzz.h"

#define RAW_MAX 8192u

static void check_name(const uint8_t *data, size_t len)
{
	char text[CHUNK_NAME_SIZE + 2] = "", again[CHUNK_NAME_SIZE];
	uint8_t hash[SEAL_HASH_SIZE];

	memcpy(text, data, min_u64(len, sizeof(text) - 1));
	if (!chunk_name_parse(text, hash))
		return;
	chunk_name(hash, again);
	assert(strcmp(text, again) == 0);
}

/* The length is the manifest's word; what is said in the file has to agree with it. */
static void check_decode(uint8_t *copy, size_t len)
{
	static const uint8_t hash[SEAL_HASH_SIZE];
	static uint8_t raw[RAW_MAX];
	uint32_t raw_len = 1 + (load_le32(copy + 5) - 1) % RAW_MAX;

	(void)chunk_decode(hash, raw_len, copy, len, raw);
	store_le64(copy + len - 8, hash64(copy, len - 8));
	(void)chunk_decode(hash, raw_len, copy, len, raw);
}

/* What is written is read, and with one bit turned it is refused. */
static void check_round(const uint8_t *data, size_t len)
{
	static uint8_t raw[RAW_MAX];
	uint32_t raw_len = (uint32_t)min_u64(len, RAW_MAX);
	uint8_t hash[SEAL_HASH_SIZE];
	struct buf stored = BUF_INIT;
	size_t bit;

	seal_chunk(data, raw_len, hash);
	if (chunk_encode(data, raw_len, &stored) < 0)
		abort();
	if (chunk_decode(hash, raw_len, stored.data, stored.len, raw) < 0)
		abort();
	assert(memcmp(raw, data, raw_len) == 0);
	bit = hash64(data, raw_len) % (stored.len * 8);
	stored.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	assert(chunk_decode(hash, raw_len, stored.data, stored.len, raw) < 0);
	buf_release(&stored);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t *copy;

	check_name(data, len);
	if (len < 17)
		return 0;
	copy = mem_dup(data, len);
	check_decode(copy, len);
	free(copy);
	/* Compressing is dear: a share of the inputs. */
	if (data[0] % 8 == 0)
		check_round(data, len);
	return 0;
}
