/* block.c - see block.h. */
#include "store/block.h"

#include "base/hash.h"

#define SMALL_STEP 512u

uint32_t block_capacity(uint32_t row_len)
{
	uint32_t size = KV_PIECE_SIZE;

	if (row_len <= KV_PIECE_SIZE)
		return (row_len + SMALL_STEP - 1) / SMALL_STEP * SMALL_STEP;
	while (size < row_len)
		size *= 2;
	return row_len <= size / 4 * 3 && size > 2 * KV_PIECE_SIZE ? size / 4 * 3 : size;
}

int block_head_decode(struct block_row *row, const uint8_t *head, size_t head_len,
		      uint64_t stored_len)
{
	uint32_t len, capacity;

	if (head_len < BLOCK_HEAD_LEN)
		return -EUCLEAN;
	len = load_le32(head);
	if (len == 0 || len > KV_BLOCK_SIZE)
		return -EUCLEAN;
	capacity = block_capacity(len);
	if (stored_len != capacity || head_len != block_head_size(capacity))
		return -EUCLEAN;
	*row = (struct block_row){ .len = len, .sums = head + BLOCK_HEAD_LEN };
	return 0;
}

static uint64_t piece_sum(uint64_t row_id, uint32_t piece, const uint8_t *data, uint32_t row_len)
{
	uint32_t off = piece * KV_PIECE_SIZE;
	uint32_t len = row_len - off < KV_PIECE_SIZE ? row_len - off : KV_PIECE_SIZE;

	return hash64_seed(data + off, len, row_id * BLOCK_PIECES_MAX + piece);
}

/* Pieces first .. end - 1 are touched by [off, off + len) of a row. */
static void pieces_of(uint32_t row_len, uint32_t off, uint32_t len, uint32_t *first, uint32_t *end)
{
	*first = off / KV_PIECE_SIZE;
	*end = len == 0 ? *first : (off + len - 1) / KV_PIECE_SIZE + 1;
	if (*end > block_piece_count(row_len))
		*end = block_piece_count(row_len);
}

int block_row_verify(const struct block_row *row, uint64_t row_id, uint32_t off, uint32_t len)
{
	uint32_t first, end;

	pieces_of(row->len, off, len, &first, &end);
	for (uint32_t i = first; i < end; i++) {
		if (load_le64(row->sums + (size_t)i * BLOCK_SUM_SIZE) !=
		    piece_sum(row_id, i, row->data, row->len))
			return -EUCLEAN;
	}
	return 0;
}

void block_sum_pieces(uint8_t *sums, uint64_t row_id, const uint8_t *data, uint32_t row_len,
		      uint32_t off, uint32_t len)
{
	uint32_t first, end;

	pieces_of(row_len, off, len, &first, &end);
	for (uint32_t i = first; i < end; i++)
		store_le64(sums + (size_t)i * BLOCK_SUM_SIZE, piece_sum(row_id, i, data, row_len));
}

uint32_t block_len_after(const struct kv_mutation *m, uint32_t row_len)
{
	uint32_t end = m->off + (uint32_t)m->data_len;

	switch (m->type) {
	case KV_BLOCK_PUT:
		return (uint32_t)m->data_len;
	case KV_BLOCK_PATCH:
		return end > row_len ? end : row_len;
	default:
		assert(m->type == KV_BLOCK_PUNCH);
		return m->off + m->len >= row_len && m->off < row_len ? m->off : row_len;
	}
}

/*
 * A patch past the old end also makes the zeros between, and with them a longer last piece; a punch
 * that reaches the end cuts, which makes a shorter last piece.
 */
struct block_range block_mutation_range(const struct kv_mutation *m, uint32_t row_len)
{
	struct block_range r = { .off = m->off, .len = m->len };

	if (m->type == KV_BLOCK_PUT)
		return (struct block_range){ .off = 0, .len = (uint32_t)m->data_len };
	if (m->type == KV_BLOCK_PATCH) {
		r.len = (uint32_t)m->data_len;
		if (row_len < m->off) {
			r.len += m->off - row_len;
			r.off = row_len;
		}
		return r;
	}
	if (block_len_after(m, row_len) != row_len && m->off > 0) {
		r.off--; /* the piece that keeps its head */
		r.len++;
	}
	return r;
}

void block_change(const struct kv_mutation *m, uint8_t *data, uint32_t *len)
{
	uint32_t len_after = block_len_after(m, *len);

	switch (m->type) {
	case KV_BLOCK_PUT:
		memcpy(data, m->data, m->data_len);
		break;
	case KV_BLOCK_PATCH:
		if (*len < m->off)
			memset(data + *len, 0, m->off - *len);
		memcpy(data + m->off, m->data, m->data_len);
		break;
	default:
		if (len_after == *len && m->off < *len)
			memset(data + m->off, 0, m->len);
	}
	*len = len_after;
}

int block_image_apply(struct block_image *img, const struct kv_mutation *m)
{
	struct block_row row = { .sums = img->sums, .data = img->data, .len = img->len };
	struct block_range r = block_mutation_range(m, img->len);
	uint64_t row_id = block_row_id(m->ino, m->block);

	/* A piece that is damaged must not get a fresh, valid sum. */
	if (m->type != KV_BLOCK_PUT && block_row_verify(&row, row_id, r.off, r.len) < 0)
		return -EUCLEAN;
	block_change(m, img->data, &img->len);
	block_sum_pieces(img->sums, row_id, img->data, img->len, r.off, r.len);
	return 0;
}
