/* test_digest.c - the digest is a sum over a multiset, and the meta row carries it unharmed. */
#include "kv_rig.h"

#include "store/digest.h"

static void order_does_not_matter_and_taking_away_undoes(void **state)
{
	static const uint8_t sums[16] = { 1, 2, 3 };
	struct digest a = { .lane = { 0 } }, b = a, empty = a;

	digest_add_row(&a, "k", 1, "v", 1);
	digest_add_block(&a, 77, sums, 5000);
	digest_add_row(&a, "l", 1, "", 0);
	digest_add_row(&b, "l", 1, NULL, 0);
	digest_add_row(&b, "k", 1, "v", 1);
	digest_add_block(&b, 77, sums, 5000);
	assert_memory_equal(&a, &b, sizeof(a));
	for (size_t i = 0; i < 4; i++)
		assert_true(a.lane[i] != 0);
	digest_sub_block(&a, 77, sums, 5000);
	digest_sub_row(&a, "l", 1, "", 0);
	digest_sub_row(&a, "k", 1, "v", 1);
	assert_memory_equal(&a, &empty, sizeof(a));
}

static struct digest of_row(const char *key, const char *value)
{
	struct digest d = { .lane = { 0 } };

	digest_add_row(&d, key, strlen(key), value, strlen(value));
	return d;
}

static struct digest of_block(uint64_t row_id, uint8_t sum, uint32_t len)
{
	uint8_t sums[8] = { sum };
	struct digest d = { .lane = { 0 } };

	digest_add_block(&d, row_id, sums, len);
	return d;
}

static void what_differs_counts_differently(void **state)
{
	struct digest d[] = {
		of_row("ab", "c"),  of_row("a", "bc"),  of_row("ab", "d"),  of_row("abc", ""),
		of_block(1, 1, 10), of_block(2, 1, 10), of_block(1, 2, 10), of_block(1, 1, 11),
	};

	for (size_t i = 0; i < ARRAY_SIZE(d); i++)
		for (size_t k = 0; k < i; k++)
			for (size_t lane = 0; lane < 4; lane++)
				assert_true(d[i].lane[lane] != d[k].lane[lane]);
}

static void large_rows_are_summed_too(void **state)
{
	char *value = mem_alloc(KV_VALUE_MAX);
	struct digest a = { .lane = { 0 } };

	memset(value, 'v', KV_VALUE_MAX);
	digest_add_row(&a, "k", 1, value, KV_VALUE_MAX);
	value[KV_VALUE_MAX - 1] = 'w';
	digest_sub_row(&a, "k", 1, value, KV_VALUE_MAX);
	assert_true(a.lane[0] != 0);
	free(value);
}

/* ---- meta ---- */

static void meta_decodes_to_what_was_encoded(void **state)
{
	struct kv_meta meta = rig_meta(), got;
	struct buf b = BUF_INIT, again = BUF_INIT;

	memset(meta.digest, 0xd1, sizeof(meta.digest));
	meta.applied_index = 1234567890123;
	meta.applied_term = 17;
	kv_meta_encode(&meta, &b);
	assert_int_equal(kv_meta_decode(&got, b.data, b.len), 0);
	assert_int_equal(got.applied_index, meta.applied_index);
	assert_int_equal(got.applied_term, meta.applied_term);
	assert_int_equal(got.group, meta.group);
	assert_memory_equal(got.cluster, meta.cluster, sizeof(meta.cluster));
	assert_memory_equal(got.digest, meta.digest, sizeof(meta.digest));
	assert_int_equal(got.conf.index, meta.conf.index);
	assert_string_equal(got.conf.members[0].address, meta.conf.members[0].address);
	kv_meta_encode(&got, &again);
	assert_int_equal(again.len, b.len);
	assert_memory_equal(again.data, b.data, b.len);
	buf_release(&again);
	buf_release(&b);
}

static void damaged_meta_is_refused(void **state)
{
	struct kv_meta meta = rig_meta(), got = { .group = 4 };
	struct buf b = BUF_INIT;

	kv_meta_encode(&meta, &b);
	for (size_t i = 0; i < b.len; i++) {
		b.data[i] ^= 0x10;
		assert_int_equal(kv_meta_decode(&got, b.data, b.len), -EUCLEAN);
		b.data[i] ^= 0x10;
	}
	for (size_t len = 0; len < b.len; len++) {
		uint8_t *exact = mem_dup(b.data, len);

		assert_int_equal(kv_meta_decode(&got, exact, len), -EUCLEAN);
		free(exact);
	}
	assert_int_equal(got.group, 4);
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order_does_not_matter_and_taking_away_undoes),
		cmocka_unit_test(what_differs_counts_differently),
		cmocka_unit_test(large_rows_are_summed_too),
		cmocka_unit_test(meta_decodes_to_what_was_encoded),
		cmocka_unit_test(damaged_meta_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
