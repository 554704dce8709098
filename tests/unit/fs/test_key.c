/* test_key.c - keys: their bytes, their order, and taking them apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fs/ops/key.h"

static int compare(const struct key *a, const struct key *b)
{
	size_t n = a->len < b->len ? a->len : b->len;
	int ret = memcmp(a->data, b->data, n);

	return ret ? ret : (a->len > b->len) - (a->len < b->len);
}

static void keys_have_the_bytes_of_the_table(void **state)
{
	struct key k;

	key_ino(&k, KEY_INODE, 0x0102030405060708);
	assert_int_equal(k.len, 9);
	assert_memory_equal(k.data, "i\1\2\3\4\5\6\7\10", 9);
	key_ino_name(&k, KEY_DENTRY, 1, "name", 4);
	assert_int_equal(k.len, 13);
	assert_memory_equal(k.data, "d\0\0\0\0\0\0\0\1name", 13);
	key_order(&k, 1, 0x1ff);
	assert_int_equal(k.len, 17);
	assert_memory_equal(k.data, "o\0\0\0\0\0\0\0\1\0\0\0\0\0\0\1\xff", 17);
	key_counters(&k);
	assert_int_equal(k.len, 1);
	key_user(&k, "a/b", 3);
	assert_int_equal(k.len, 4);
	assert_memory_equal(k.data, "ka/b", 4);
}

static void byte_order_is_the_order_of_numbers(void **state)
{
	static const uint64_t numbers[] = { 0,     1,          255,       256,       65535,
					    65536, 1ull << 32, INT64_MAX, UINT64_MAX };
	struct key a, b;

	for (size_t i = 0; i + 1 < ARRAY_SIZE(numbers); i++) {
		key_ino(&a, KEY_INODE, numbers[i]);
		key_ino(&b, KEY_INODE, numbers[i + 1]);
		assert_true(compare(&a, &b) < 0);
		key_order(&a, 7, numbers[i]);
		key_order(&b, 7, numbers[i + 1]);
		assert_true(compare(&a, &b) < 0);
		key_order(&a, numbers[i], UINT64_MAX);
		key_order(&b, numbers[i + 1], 0);
		assert_true(compare(&a, &b) < 0);
	}
}

static void what_was_built_is_taken_apart(void **state)
{
	char name[FS_NAME_MAX], user[FS_KV_KEY_MAX];
	struct key_parts p;
	struct key k;

	memset(name, 'n', sizeof(name));
	memset(user, 'u', sizeof(user));
	key_ino_name(&k, KEY_XATTR, 9, name, sizeof(name));
	assert_int_equal(key_parse(&p, k.data, k.len), 0);
	assert_int_equal(p.class, KEY_XATTR);
	assert_int_equal(p.ino, 9);
	assert_int_equal(p.rest_len, sizeof(name));
	key_order(&k, 8, 77);
	assert_int_equal(key_parse(&p, k.data, k.len), 0);
	assert_int_equal(p.ino, 8);
	assert_int_equal(p.cookie, 77);
	assert_int_equal(p.rest_len, 0);
	key_user(&k, user, sizeof(user));
	assert_int_equal(key_parse(&p, k.data, k.len), 0);
	assert_int_equal(p.ino, 0);
	assert_int_equal(p.rest_len, sizeof(user));
	assert_memory_equal(p.rest, user, sizeof(user));
	key_counters(&k);
	assert_int_equal(key_parse(&p, k.data, k.len), 0);
	key_lock(&k, 1, 2, 3, 4, 5);
	assert_int_equal(key_parse(&p, k.data, k.len), 0);
	assert_true(p.ino == 1 && p.kind == 2 && p.session == 3 && p.owner == 4 && p.start == 5);
	assert_int_equal(fs_mutation_unlocks(&(struct kv_mutation){
				 .type = KV_DELETE, .key = k.data, .key_len = k.len }), 1);
	key_holder(&k, 3, 9);
	assert_int_equal(key_parse(&p, k.data, k.len), 0);
	assert_true(p.ino == 9 && p.session == 3);
	assert_int_equal(fs_mutation_unlocks(&(struct kv_mutation){
				 .type = KV_DELETE, .key = k.data, .key_len = k.len }), 0);
	key_waiter(&k, 3, 4, 6);
	assert_int_equal(key_parse(&p, k.data, k.len), 0);
	assert_true(p.session == 3 && p.owner == 4 && p.start == 6 && p.ino == 0);
}

static void what_nobody_builds_is_refused(void **state)
{
	static const struct {
		const char *key;
		size_t len;
	} cases[] = {
		{ "", 0 },
		{ "i", 1 },
		{ "i1234567", 8 },
		{ "i123456789", 10 },
		{ "d12345678", 9 },
		{ "o12345678", 9 },
		{ "o123456781234567", 16 },
		{ "o12345678123456789", 18 },
		{ "x12345678", 9 },
		{ "k", 1 },
		{ "cc", 2 },
		{ "z", 1 },
		{ "s12345678", 9 },
		{ "u123456789", 10 },
		{ "t1", 2 },
		{ "l12345678k123456781234567812345678x", 35 },
		{ "l12345678k12345678123456781234567", 33 },
		{ "h1234567812345678x", 18 },
		{ "w12345678123456781234567", 24 },
	};
	struct key_parts p;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(key_parse(&p, cases[i].key, cases[i].len), -EUCLEAN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_have_the_bytes_of_the_table),
		cmocka_unit_test(byte_order_is_the_order_of_numbers),
		cmocka_unit_test(what_was_built_is_taken_apart),
		cmocka_unit_test(what_nobody_builds_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
