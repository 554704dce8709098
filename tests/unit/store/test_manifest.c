/* test_manifest.c - a manifest that decodes is the one that was sealed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hash.h"
#include "store/manifest.h"

static struct manifest some_manifest(uint32_t chunks)
{
	struct manifest m = { .cluster = "a cluster of one", .group = 3, .chunk_count = chunks };

	m.meta = (struct raft_snapshot_meta){ .index = 77, .term = 5 };
	m.meta.size_bytes = (uint64_t)chunks * SEAL_CHUNK_SIZE - 8192;
	m.meta.conf = (struct raft_conf){ .index = 40, .count = 1 };
	m.meta.conf.members[0] =
		(struct raft_member){ .id = 9, .role = RAFT_VOTER, .address = "h:1" };
	for (uint32_t i = 0; i < chunks * SEAL_HASH_SIZE; i++)
		buf_put_u8(&m.hashes, (uint8_t)(i * 7));
	manifest_seal(&m);
	return m;
}

static void a_manifest_decodes_to_what_was_encoded(void **state)
{
	static const uint32_t counts[] = { 1, 2, 1000 };

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		struct manifest m = some_manifest(counts[i]);
		struct manifest back = MANIFEST_INIT;
		struct buf bytes = BUF_INIT, again = BUF_INIT;

		manifest_encode(&m, &bytes);
		assert_int_equal(manifest_decode(&back, bytes.data, bytes.len), 0);
		assert_true(manifest_is_for(&back, &m.meta));
		manifest_encode(&back, &again);
		assert_int_equal(again.len, bytes.len);
		assert_memory_equal(again.data, bytes.data, bytes.len);
		back.meta.conf.index++;
		assert_false(manifest_is_for(&back, &m.meta));
		buf_release(&again);
		buf_release(&bytes);
		manifest_release(&back);
		manifest_release(&m);
	}
}

static void every_flipped_bit_is_refused(void **state)
{
	struct manifest m = some_manifest(5);
	struct manifest back = MANIFEST_INIT;
	struct buf bytes = BUF_INIT;

	manifest_encode(&m, &bytes);
	for (size_t bit = 0; bit < bytes.len * 8; bit++) {
		bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(manifest_decode(&back, bytes.data, bytes.len), -EUCLEAN);
		/* Nor does a checksum that fits help: the root speaks for the content. */
		store_le64(bytes.data + bytes.len - 8, hash64(bytes.data, bytes.len - 8));
		if (bit < (bytes.len - 8) * 8)
			assert_int_equal(manifest_decode(&back, bytes.data, bytes.len), -EUCLEAN);
		buf_reset(&bytes);
		manifest_encode(&m, &bytes);
	}
	assert_null(back.hashes.data);
	buf_release(&bytes);
	manifest_release(&m);
}

static void short_and_long_input_is_refused(void **state)
{
	struct manifest m = some_manifest(3);
	struct manifest back = MANIFEST_INIT;
	struct buf bytes = BUF_INIT;

	manifest_encode(&m, &bytes);
	for (size_t len = 0; len < bytes.len; len++)
		assert_int_equal(manifest_decode(&back, bytes.data, len), -EUCLEAN);
	buf_put_u8(&bytes, 0);
	assert_int_equal(manifest_decode(&back, bytes.data, bytes.len), -EUCLEAN);
	buf_release(&bytes);
	manifest_release(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_manifest_decodes_to_what_was_encoded),
		cmocka_unit_test(every_flipped_bit_is_refused),
		cmocka_unit_test(short_and_long_input_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
