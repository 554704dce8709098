/* digest.c - see digest.h. */
#include "store/digest.h"

#include "base/hash.h"
#include "store/block.h"

/* Arbitrary, fixed for ever: they are part of the state format. */
#define SEED_LOW 0x7166735f64696731ull
#define SEED_HIGH 0x7166735f64696732ull

#define ROW_HEAD_SIZE 5
#define ON_STACK_MAX 4096
#define PIECE_SIZE 29

void digest_load(struct digest *d, const uint8_t bytes[KV_DIGEST_SIZE])
{
	for (size_t i = 0; i < ARRAY_SIZE(d->lane); i++)
		d->lane[i] = load_le64(bytes + 8 * i);
}

void digest_store(const struct digest *d, uint8_t bytes[KV_DIGEST_SIZE])
{
	for (size_t i = 0; i < ARRAY_SIZE(d->lane); i++)
		store_le64(bytes + 8 * i, d->lane[i]);
}

static struct digest element(const void *data, size_t len)
{
	struct digest e;

	hash128(data, len, SEED_LOW, e.lane);
	hash128(data, len, SEED_HIGH, e.lane + 2);
	return e;
}

static void add(struct digest *d, struct digest e)
{
	for (size_t i = 0; i < ARRAY_SIZE(d->lane); i++)
		d->lane[i] += e.lane[i];
}

static void sub(struct digest *d, struct digest e)
{
	for (size_t i = 0; i < ARRAY_SIZE(d->lane); i++)
		d->lane[i] -= e.lane[i];
}

static struct digest row_element(const void *key, size_t key_len, const void *value, size_t len)
{
	uint8_t small[ON_STACK_MAX];
	size_t total = ROW_HEAD_SIZE + key_len + len;
	uint8_t *p = total <= sizeof(small) ? small : mem_alloc(total);
	struct digest e;

	p[0] = 'k';
	store_le32(p + 1, (uint32_t)key_len);
	memcpy(p + ROW_HEAD_SIZE, key, key_len);
	if (len > 0)
		memcpy(p + ROW_HEAD_SIZE + key_len, value, len);
	e = element(p, total);
	if (p != small)
		free(p);
	return e;
}

void digest_add_row(struct digest *d, const void *key, size_t key_len, const void *value,
		    size_t len)
{
	add(d, row_element(key, key_len, value, len));
}

void digest_sub_row(struct digest *d, const void *key, size_t key_len, const void *value,
		    size_t len)
{
	sub(d, row_element(key, key_len, value, len));
}

static struct digest piece_element(uint64_t row_id, uint32_t piece, const uint8_t *sum,
				   uint32_t row_len)
{
	uint8_t p[PIECE_SIZE];

	p[0] = 'b';
	store_le64(p + 1, block_row_ino(row_id));
	store_le32(p + 9, block_row_block(row_id));
	store_le32(p + 13, piece);
	memcpy(p + 17, sum, BLOCK_SUM_SIZE);
	store_le32(p + 25, row_len);
	return element(p, sizeof(p));
}

void digest_add_block(struct digest *d, uint64_t row_id, const uint8_t *sums, uint32_t row_len)
{
	for (uint32_t i = 0; i < block_piece_count(row_len); i++)
		add(d, piece_element(row_id, i, sums + (size_t)i * BLOCK_SUM_SIZE, row_len));
}

void digest_sub_block(struct digest *d, uint64_t row_id, const uint8_t *sums, uint32_t row_len)
{
	for (uint32_t i = 0; i < block_piece_count(row_len); i++)
		sub(d, piece_element(row_id, i, sums + (size_t)i * BLOCK_SUM_SIZE, row_len));
}
