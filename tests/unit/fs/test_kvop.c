/* test_kvop.c - the plain user key space. */
#include "tests/lib/fsfix.h"

static int op(struct fsfix *f, uint8_t what, const char *key, const char *value)
{
	return fsfix_eval(f, (struct fs_request){ .op = what,
						  .name = key,
						  .name_len = strlen(key),
						  .data = value,
						  .data_len = strlen(value) });
}

static void put_get_append_delete(void **state)
{
	struct fsfix *f = *state;

	assert_int_equal(op(f, FS_KV_GET, "k", ""), -ENOENT);
	assert_int_equal(op(f, FS_KV_PUT, "k", "one"), 0);
	assert_int_equal(f->reply.count, 3);
	assert_int_equal(op(f, FS_KV_APPEND, "k", "+two"), 0);
	assert_int_equal(f->reply.count, 7);
	assert_int_equal(op(f, FS_KV_GET, "k", ""), 0);
	assert_int_equal(f->reply.data_len, 7);
	assert_memory_equal(f->reply.data, "one+two", 7);
	assert_int_equal(op(f, FS_KV_DELETE, "k", ""), 0);
	assert_int_equal(op(f, FS_KV_GET, "k", ""), -ENOENT);
	assert_int_equal(op(f, FS_KV_DELETE, "k", ""), -ENOENT);
}

static void append_makes_the_key(void **state)
{
	struct fsfix *f = *state;

	assert_int_equal(op(f, FS_KV_APPEND, "new", "x"), 0);
	assert_int_equal(op(f, FS_KV_APPEND, "new", ""), 0);
	assert_int_equal(op(f, FS_KV_GET, "new", ""), 0);
	assert_int_equal(f->reply.data_len, 1);
	assert_int_equal(f->reply.count, 1);
}

static void appends_stack_up_in_the_overlay(void **state)
{
	struct fsfix *f = *state;

	f->stack = 64;
	for (unsigned i = 1; i <= 40; i++) {
		assert_int_equal(op(f, FS_KV_APPEND, "k", "ab"), 0);
		assert_int_equal(f->reply.count, 2 * i);
	}
}

static void keys_and_values_are_limited(void **state)
{
	struct fsfix *f = *state;
	char key[FS_KV_KEY_MAX + 2];
	struct fs_request rq = { .op = FS_KV_PUT, .name = "k", .name_len = 1 };
	void *big = mem_calloc(1, KV_VALUE_MAX + 1);

	memset(key, 'k', sizeof(key));
	key[FS_KV_KEY_MAX + 1] = '\0';
	assert_int_equal(op(f, FS_KV_PUT, key, "v"), -ENAMETOOLONG);
	assert_int_equal(op(f, FS_KV_PUT, "", "v"), -EINVAL);
	key[FS_KV_KEY_MAX] = '\0';
	assert_int_equal(op(f, FS_KV_PUT, key, "v"), 0);
	assert_int_equal(op(f, FS_KV_GET, key, ""), 0);
	rq.data = big;
	rq.data_len = KV_VALUE_MAX + 1;
	assert_int_equal(fsfix_eval(f, rq), -EFBIG);
	rq.data_len = KV_VALUE_MAX;
	assert_int_equal(fsfix_eval(f, rq), 0);
	assert_int_equal(op(f, FS_KV_APPEND, "k", "x"), -EFBIG);
	assert_int_equal(op(f, FS_KV_GET, "k", ""), 0);
	assert_int_equal(f->reply.data_len, KV_VALUE_MAX);
	free(big);
}

static void user_keys_never_meet_the_file_system(void **state)
{
	struct fsfix *f = *state;
	static const char root_key[] = "i\0\0\0\0\0\0\0\1";
	struct fs_request rq = {
		.op = FS_KV_PUT, .name = root_key, .name_len = 9, .data = "x", .data_len = 1
	};

	assert_int_equal(fsfix_eval(f, rq), 0);
	assert_int_equal(fsfix_getattr(f, FS_ROOT_INO), 0);
	rq.op = FS_KV_DELETE;
	assert_int_equal(fsfix_eval(f, rq), 0);
	assert_int_equal(fsfix_getattr(f, FS_ROOT_INO), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FSFIX_BOTH(put_get_append_delete),
		FSFIX_BOTH(append_makes_the_key),
		FSFIX_BOTH(appends_stack_up_in_the_overlay),
		FSFIX_BOTH(keys_and_values_are_limited),
		FSFIX_BOTH(user_keys_never_meet_the_file_system),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
