/*
 * block.h - what one block row means: pieces, checksums, and the block mutations on a row's bytes.
 *
 * A row holds the block up to its last byte ever written (never zero bytes: then there is no row) and
 * one XXH3 per 4 KiB piece, seeded with the row id and piece number so that a piece that turns up in
 * the wrong place does not verify. The last piece may be short.
 *
 * Apply and the overlay's readers change rows with the same functions, so what a read saw before an
 * entry was applied is what it sees afterwards.
 */
#ifndef STORE_BLOCK_H
#define STORE_BLOCK_H

#include "store/store_kv.h"

#define BLOCK_SUM_SIZE 8u
#define BLOCK_PIECES_MAX (KV_BLOCK_SIZE / KV_PIECE_SIZE)

/* A stored row, borrowed. */
struct block_row {
	const uint8_t *sums; /* block_piece_count(len) times BLOCK_SUM_SIZE */
	const uint8_t *data; /* NULL when only the sums were asked for */
	uint32_t len;
};

/* A row in memory, to change. */
struct block_image {
	uint32_t len;
	uint8_t sums[BLOCK_PIECES_MAX * BLOCK_SUM_SIZE];
	uint8_t data[KV_BLOCK_SIZE];
};

static inline uint64_t block_row_id(uint64_t ino, uint32_t block)
{
	return ino * KV_BLOCKS_PER_INO + block;
}

static inline uint64_t block_row_ino(uint64_t row_id)
{
	return row_id / KV_BLOCKS_PER_INO;
}

static inline uint32_t block_row_block(uint64_t row_id)
{
	return (uint32_t)(row_id % KV_BLOCKS_PER_INO);
}

static inline uint32_t block_piece_count(uint32_t row_len)
{
	return (row_len + KV_PIECE_SIZE - 1) / KV_PIECE_SIZE;
}

/*
 * Bytes that a row of row_len bytes takes in a backend that grows rows in steps, so that most appends
 * overwrite in place: 512 up to a piece, then two steps per doubling. A function of the length
 * alone, else replicas that got there in other ways would differ.
 */
uint32_t block_capacity(uint32_t row_len);

/*
 * The head that a backend stores beside a row's bytes (layout: state_sqlite.c): the row's length, then a
 * sum for each piece of its capacity.
 */
#define BLOCK_HEAD_LEN 4u

static inline size_t block_head_size(uint32_t capacity)
{
	return BLOCK_HEAD_LEN + (size_t)block_piece_count(capacity) * BLOCK_SUM_SIZE;
}

/*
 * Takes apart the head of a row with stored_len bytes of data: *row borrows from head, its data is NULL.
 * -EUCLEAN when the lengths do not fit each other; whether the sums fit is block_row_verify()'s to say.
 */
int block_head_decode(struct block_row *row, const uint8_t *head, size_t head_len,
		      uint64_t stored_len);

/* Verifies the pieces that [off, off + len) touches, as far as the row reaches: 0 or -EUCLEAN. */
int block_row_verify(const struct block_row *row, uint64_t row_id, uint32_t off, uint32_t len);

/* Sums of the pieces that [off, off + len) touches, of a row of row_len bytes. */
void block_sum_pieces(uint8_t *sums, uint64_t row_id, const uint8_t *data, uint32_t row_len,
		      uint32_t off, uint32_t len);

/* The range of the old row that m reads or leaves beside what it changes: what to verify before. */
struct block_range {
	uint32_t off, len;
};
struct block_range block_mutation_range(const struct kv_mutation *m, uint32_t row_len);

/* Row length after PUT, PATCH or PUNCH. */
uint32_t block_len_after(const struct kv_mutation *m, uint32_t row_len);
/* PUT, PATCH or PUNCH on data and len; the sums are left alone. data has KV_BLOCK_SIZE bytes. */
void block_change(const struct kv_mutation *m, uint8_t *data, uint32_t *len);
/* The same with the sums of the touched pieces; verifies them first: 0 or -EUCLEAN. */
int block_image_apply(struct block_image *img, const struct kv_mutation *m);

#endif
