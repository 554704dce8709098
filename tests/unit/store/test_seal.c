/* test_seal.c - the hash tree over an image. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sodium.h>

#include "base/prng.h"
#include "store/seal.h"

static uint8_t *random_bytes(size_t len, uint64_t seed)
{
	uint8_t *p = mem_alloc(len);
	struct prng rng;

	prng_init(&rng, seed);
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)prng_u64(&rng);
	return p;
}

static struct raft_snapshot_meta some_meta(void)
{
	struct raft_snapshot_meta meta = { .index = 9,
					   .term = 4,
					   .size_bytes = 2 * SEAL_CHUNK_SIZE + 1 };

	meta.conf = (struct raft_conf){ .index = 3, .count = 2 };
	meta.conf.members[0] =
		(struct raft_member){ .id = 1, .role = RAFT_VOTER, .address = "a:1" };
	meta.conf.members[1] =
		(struct raft_member){ .id = 2, .role = RAFT_LEARNER, .address = "b:1" };
	return meta;
}

static void an_image_is_cut_into_whole_chunks_and_a_rest(void **state)
{
	static const struct {
		uint64_t size;
		uint32_t count, last;
	} cases[] = {
		{ 1, 1, 1 },
		{ SEAL_CHUNK_SIZE - 1, 1, SEAL_CHUNK_SIZE - 1 },
		{ SEAL_CHUNK_SIZE, 1, SEAL_CHUNK_SIZE },
		{ SEAL_CHUNK_SIZE + 1, 2, 1 },
		{ 10ull * SEAL_CHUNK_SIZE, 10, SEAL_CHUNK_SIZE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(seal_chunk_count(cases[i].size), cases[i].count);
		assert_int_equal(seal_chunk_len(cases[i].size, cases[i].count - 1), cases[i].last);
		assert_int_equal(seal_chunk_len(cases[i].size, 0),
				 min_u64(cases[i].size, SEAL_CHUNK_SIZE));
	}
	assert_int_equal(seal_chunk_count(0), 0);
	assert_true(seal_chunk_count(UINT64_MAX) == UINT32_MAX);
}

/* Written out from the layout in seal.c, so that the format cannot change unnoticed. */
static void hashes_follow_the_documented_layout(void **state)
{
	uint8_t *data = random_bytes(SEAL_LEAF_SIZE + 100, 1);
	uint8_t want[SEAL_HASH_SIZE], got[SEAL_HASH_SIZE];
	struct buf b = BUF_INIT, leaves = BUF_INIT;

	buf_put(&b, "quorumfs leaf 1", 16);
	buf_put(&b, data, SEAL_LEAF_SIZE);
	crypto_generichash(want, sizeof(want), b.data, b.len, NULL, 0);
	seal_leaf(data, SEAL_LEAF_SIZE, got);
	assert_memory_equal(got, want, sizeof(want));
	buf_put(&leaves, want, sizeof(want));
	buf_reset(&b);
	buf_put(&b, "quorumfs leaf 1", 16);
	buf_put(&b, data + SEAL_LEAF_SIZE, 100);
	crypto_generichash(want, sizeof(want), b.data, b.len, NULL, 0);
	buf_put(&leaves, want, sizeof(want));
	buf_reset(&b);
	buf_put(&b, "quorumfs chnk 1", 16);
	buf_put_le32(&b, SEAL_LEAF_SIZE + 100);
	buf_put(&b, leaves.data, leaves.len);
	crypto_generichash(want, sizeof(want), b.data, b.len, NULL, 0);
	seal_chunk(data, SEAL_LEAF_SIZE + 100, got);
	assert_memory_equal(got, want, sizeof(want));
	buf_release(&leaves);
	buf_release(&b);
	free(data);
}

static void any_bit_of_a_chunk_changes_its_hash(void **state)
{
	size_t len = 3 * SEAL_LEAF_SIZE + 77;
	uint8_t *data = random_bytes(len, 2);
	uint8_t before[SEAL_HASH_SIZE], after[SEAL_HASH_SIZE];
	struct prng rng;

	prng_init(&rng, 3);
	seal_chunk(data, len, before);
	for (int i = 0; i < 200; i++) {
		size_t at = prng_below(&rng, len);
		uint8_t bit = (uint8_t)(1u << prng_below(&rng, 8));

		data[at] ^= bit;
		seal_chunk(data, len, after);
		assert_memory_not_equal(before, after, sizeof(before));
		data[at] ^= bit;
	}
	seal_chunk(data, len - 1, after);
	assert_memory_not_equal(before, after, sizeof(before));
	free(data);
}

static void leaf_chunk_and_root_of_the_same_bytes_differ(void **state)
{
	uint8_t data[SEAL_HASH_SIZE] = { 1 };
	uint8_t leaf[SEAL_HASH_SIZE], chunk[SEAL_HASH_SIZE], plain[SEAL_HASH_SIZE];

	seal_leaf(data, sizeof(data), leaf);
	seal_chunk(data, sizeof(data), chunk);
	crypto_generichash(plain, sizeof(plain), data, sizeof(data), NULL, 0);
	assert_memory_not_equal(leaf, chunk, sizeof(leaf));
	assert_memory_not_equal(leaf, plain, sizeof(leaf));
	assert_memory_not_equal(chunk, plain, sizeof(leaf));
}

static void root_of(const struct raft_snapshot_meta *meta, const uint8_t *hashes, uint8_t *root)
{
	seal_root((const uint8_t *)"0123456789abcdef", 3, meta, hashes, 3, root);
}

static void the_root_covers_all_that_names_the_image(void **state)
{
	struct raft_snapshot_meta m = some_meta();
	uint8_t hashes[3 * SEAL_HASH_SIZE] = { 5 };
	uint8_t root[SEAL_HASH_SIZE], other[SEAL_HASH_SIZE];

	root_of(&m, hashes, root);
	for (int i = 0; i < 9; i++) {
		m = some_meta();
		memset(hashes, 0, sizeof(hashes));
		hashes[0] = 5;
		m.index += i == 0;
		m.term += i == 1;
		m.size_bytes += i == 2;
		m.conf.index += i == 3;
		m.conf.members[1].role = i == 4 ? RAFT_VOTER : RAFT_LEARNER;
		m.conf.members[0].address[0] = i == 5 ? 'c' : 'a';
		hashes[95] = i == 6;
		if (i == 7)
			seal_root((const uint8_t *)"0123456789abcdeg", 3, &m, hashes, 3, other);
		else if (i == 8)
			seal_root((const uint8_t *)"0123456789abcdef", 4, &m, hashes, 3, other);
		else
			root_of(&m, hashes, other);
		assert_memory_not_equal(root, other, sizeof(root));
	}
	m = some_meta();
	memset(m.root, 0xff, sizeof(m.root)); /* the root is not part of itself */
	hashes[95] = 0;
	root_of(&m, hashes, other);
	assert_memory_equal(root, other, sizeof(root));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_image_is_cut_into_whole_chunks_and_a_rest),
		cmocka_unit_test(hashes_follow_the_documented_layout),
		cmocka_unit_test(any_bit_of_a_chunk_changes_its_hash),
		cmocka_unit_test(leaf_chunk_and_root_of_the_same_bytes_differ),
		cmocka_unit_test(the_root_covers_all_that_names_the_image),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
