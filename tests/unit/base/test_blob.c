/* test_blob.c - see base/blob.h. */
#include "tests/lib/unit.h"

#include <pthread.h>

#include "base/blob.h"

static void holds_a_copy(void **state)
{
	char text[] = "payload";
	struct blob *b = blob_from(text, sizeof(text));

	text[0] = 'X';
	assert_int_equal(b->len, sizeof(text));
	assert_string_equal((const char *)b->data, "payload");
	blob_unref(b);
}

static void empty_and_null_are_accepted(void **state)
{
	struct blob *b = blob_from(NULL, 0);

	assert_int_equal(b->len, 0);
	blob_unref(b);
	assert_null(blob_ref(NULL));
	blob_unref(NULL);
}

static void *ref_and_unref(void *arg)
{
	for (int i = 0; i < 20000; i++)
		blob_unref(blob_ref(arg));
	blob_unref(arg);
	return NULL;
}

/* A lost count would free too early or leak; AddressSanitizer sees both. */
static void references_are_counted_across_threads(void **state)
{
	struct blob *b = blob_from("x", 1);
	pthread_t threads[4];

	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ref_and_unref, blob_ref(b)), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&b->refs), 1);
	blob_unref(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(holds_a_copy),
		cmocka_unit_test(empty_and_null_are_accepted),
		cmocka_unit_test(references_are_counted_across_threads),
	};

	return cmocka_run_group_tests_name("base/blob", tests, NULL, NULL);
}
