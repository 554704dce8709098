/*
 * fuzz_block.c - block rows: a head of any bytes, and changes to a row whose sums may be wrong.
 *
 * Never may a piece that does not verify get a sum that does.
 */
#include "store/block.h"
#include "tests/fuzz/fuzz.h"

#define ROW_ID 77u

static void check_head(const uint8_t *data, size_t size)
{
	static const uint8_t zeros[KV_BLOCK_SIZE];
	struct block_row row = { .len = 0 };
	uint64_t stored_len = size >= 4 ? block_capacity(load_le32(data) % (KV_BLOCK_SIZE + 1)) : 0;

	if (block_head_decode(&row, data, size, stored_len) < 0)
		return;
	assert(row.len > 0 && row.len <= stored_len && stored_len <= sizeof(zeros));
	row.data = zeros;
	(void)block_row_verify(&row, ROW_ID, 0, row.len);
}

/* One change, as it may stand in a batch that decodes. */
static void take_mutation(struct cursor *c, struct kv_mutation *m)
{
	static uint8_t fill[KV_BLOCK_SIZE];

	*m = (struct kv_mutation){ .type = KV_BLOCK_PUT + cursor_u8(c) % 3, .block = ROW_ID };
	memset(fill, cursor_u8(c), 64);
	m->data = fill;
	if (m->type != KV_BLOCK_PUT)
		m->off = cursor_le16(c) % KV_BLOCK_SIZE;
	m->len = 1 + cursor_le16(c) % (KV_BLOCK_SIZE - m->off);
	if (m->type != KV_BLOCK_PUNCH)
		m->data_len = m->len;
}

static void check_changes(struct cursor *c)
{
	static struct block_image img;
	uint32_t damaged = UINT32_MAX; /* offset of a byte whose piece's sum is wrong */

	img.len = 0;
	for (int i = 0; i < 8 && cursor_left(c) > 0; i++) {
		struct block_row row = { .sums = img.sums, .data = img.data };
		struct kv_mutation m;
		uint32_t before = img.len;

		if (img.len > 0 && damaged == UINT32_MAX && cursor_u8(c) % 4 == 0) {
			damaged = cursor_le16(c) % img.len;
			img.data[damaged] ^= 1;
		}
		take_mutation(c, &m);
		if (block_image_apply(&img, &m) < 0) {
			assert(damaged < before && img.len == before);
			return; /* the process would end here */
		}
		row.len = img.len;
		if (damaged >= img.len || m.type == KV_BLOCK_PUT)
			damaged = UINT32_MAX;
		else if (damaged < before && damaged >= m.off && damaged < m.off + m.len)
			return; /* would have had to be refused unless it was overwritten whole */
		assert((block_row_verify(&row, ROW_ID, 0, row.len) < 0) == (damaged < img.len));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_init(data, size);

	check_head(data, size);
	check_changes(&c);
	return 0;
}
