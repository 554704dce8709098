/* test_treap.c - the map equals a sorted array, and a snapshot never changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/blob.h"
#include "base/prng.h"
#include "store/treap.h"

#define KEYS 300

static void *ref(void *value)
{
	return blob_ref(value);
}

static void unref(void *value)
{
	blob_unref(value);
}

/* value[n] is the value of key n, 0: absent. */
static void assert_equals(const struct treap *t, const uint8_t *value)
{
	const struct treap_node *n = treap_seek(t, "", 0, false);

	for (unsigned int i = 0; i < KEYS; i++) {
		uint8_t key[2] = { (uint8_t)(i >> 8), (uint8_t)i };
		const struct blob *b = treap_get(t, key, 2);

		if (value[i] == 0) {
			assert_null(b);
			continue;
		}
		assert_non_null(b);
		assert_int_equal(b->data[0], value[i]);
		assert_non_null(n);
		assert_memory_equal(n->key, key, 2);
		assert_ptr_equal(n->value, b);
		n = treap_seek(t, n->key, n->key_len, true);
	}
	assert_null(n);
}

static void random_step(struct treap *t, struct prng *p, uint8_t *value)
{
	unsigned int i = (unsigned int)prng_below(p, KEYS);
	uint8_t key[2] = { (uint8_t)(i >> 8), (uint8_t)i };
	uint8_t v = (uint8_t)(1 + prng_below(p, 255));

	if (prng_below(p, 3) == 0) {
		assert_int_equal(treap_del(t, key, 2), value[i] != 0);
		value[i] = 0;
	} else {
		treap_put(t, key, 2, blob_from(&v, 1));
		value[i] = v;
	}
}

static void the_map_and_its_snapshots_hold_what_was_put(void **state)
{
	struct treap t = { .value_ref = ref, .value_unref = unref };
	uint8_t value[KEYS] = { 0 }, old_value[4][KEYS] = { { 0 } };
	struct treap old[4];
	struct prng p;

	prng_init(&p, 3);
	for (size_t i = 0; i < 4; i++)
		old[i] = treap_snapshot(&t);
	for (int round = 0; round < 400; round++) {
		size_t which = (size_t)round % 4;

		assert_equals(&old[which], old_value[which]);
		treap_release(&old[which]);
		old[which] = treap_snapshot(&t);
		memcpy(old_value[which], value, sizeof(value));
		for (uint64_t n = prng_below(&p, 40); n > 0; n--)
			random_step(&t, &p, value);
		assert_equals(&t, value);
	}
	for (size_t i = 0; i < 4; i++)
		treap_release(&old[i]);
	treap_release(&t);
	treap_release(&t);
}

static void seeking_finds_the_next_key(void **state)
{
	struct treap t = { .value_ref = ref, .value_unref = unref };
	const struct treap_node *n;

	assert_null(treap_seek(&t, "x", 1, false));
	treap_put(&t, "b", 1, blob_from("1", 1));
	treap_put(&t, "bb", 2, blob_from("2", 1));
	treap_put(&t, "\xff", 1, blob_from("3", 1));
	n = treap_seek(&t, "b", 1, false);
	assert_int_equal(n->key_len, 1);
	n = treap_seek(&t, "b", 1, true);
	assert_int_equal(n->key_len, 2);
	n = treap_seek(&t, "bc", 2, false);
	assert_int_equal(n->key[0], 0xff);
	assert_null(treap_seek(&t, "\xff", 1, true));
	treap_release(&t);
}

static void keys_order_as_memcmp_then_length(void **state)
{
	assert_true(key_compare("a", 1, "b", 1) < 0);
	assert_true(key_compare("a", 1, "a", 1) == 0);
	assert_true(key_compare("a", 1, "aa", 2) < 0);
	assert_true(key_compare("b", 1, "aa", 2) > 0);
	assert_true(key_compare("\xff", 1, "a", 1) > 0);
	assert_true(key_compare("", 0, "", 0) == 0);
	assert_true(key_compare(NULL, 0, "a", 1) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_map_and_its_snapshots_hold_what_was_put),
		cmocka_unit_test(seeking_finds_the_next_key),
		cmocka_unit_test(keys_order_as_memcmp_then_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
