/* test_hash.c - see base/hash.h. */
#include "tests/lib/unit.h"

#include "base/hash.h"

/* Stored formats depend on these values: a new library must not change them. */
static void checksums_are_those_of_the_xxh3_specification(void **state)
{
	uint64_t lanes[2];

	assert_true(hash64("", 0) == 0x2d06800538d394c2ull);
	assert_true(hash64_seed("", 0, 0) == hash64("", 0));
	assert_true(hash64_seed("abc", 3, 1) != hash64("abc", 3));
	hash128("", 0, 0, lanes);
	assert_true(lanes[1] == 0x99aa06d3014798d8ull);
	assert_true(lanes[0] == 0x6001c324468d497full);
}

struct item {
	struct hnode node;
	uint64_t key;
};

static struct item *find(const struct htable *t, uint64_t key, uint64_t hash)
{
	for (struct hnode *n = htable_first(t, hash); n; n = htable_next(n)) {
		struct item *it = CONTAINER_OF(n, struct item, node);

		if (it->key == key)
			return it;
	}
	return NULL;
}

static void free_item(struct hnode *node, void *ctx)
{
	size_t *count = ctx;

	free(CONTAINER_OF(node, struct item, node));
	(*count)++;
}

static void the_empty_table_finds_nothing(void **state)
{
	struct htable t = HTABLE_INIT;

	assert_null(htable_first(&t, 1));
	htable_release(&t);
}

static void finds_what_was_added_while_it_grows(void **state)
{
	struct htable t = HTABLE_INIT;
	size_t freed = 0;

	for (uint64_t i = 0; i < 5000; i++) {
		struct item *it = calloc(1, sizeof(*it));

		assert_non_null(it);
		it->key = i;
		htable_add(&t, &it->node, hash_u64(i));
	}
	assert_int_equal(t.count, 5000);
	for (uint64_t i = 0; i < 5000; i++)
		assert_non_null(find(&t, i, hash_u64(i)));
	assert_null(find(&t, 5000, hash_u64(5000)));
	for (uint64_t i = 0; i < 5000; i += 2) {
		struct item *it = find(&t, i, hash_u64(i));

		htable_del(&t, &it->node);
		free(it);
	}
	assert_int_equal(t.count, 2500);
	for (uint64_t i = 0; i < 5000; i++)
		assert_int_equal(find(&t, i, hash_u64(i)) != NULL, i % 2);
	htable_each(&t, free_item, &freed);
	assert_int_equal(freed, 2500);
	htable_release(&t);
}

static void equal_hashes_are_walked_one_by_one(void **state)
{
	struct item items[40] = { { .key = 0 } };
	struct htable t = HTABLE_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(items); i++) {
		items[i].key = i;
		htable_add(&t, &items[i].node, i % 2 ? 7 : 7 + (1u << 20)); /* same bucket */
	}
	for (size_t i = 0; i < ARRAY_SIZE(items); i++)
		assert_ptr_equal(find(&t, i, i % 2 ? 7 : 7 + (1u << 20)), &items[i]);
	assert_null(find(&t, 0, 7));
	htable_release(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checksums_are_those_of_the_xxh3_specification),
		cmocka_unit_test(the_empty_table_finds_nothing),
		cmocka_unit_test(finds_what_was_added_while_it_grows),
		cmocka_unit_test(equal_hashes_are_walked_one_by_one),
	};

	return cmocka_run_group_tests_name("base/hash", tests, NULL, NULL);
}
