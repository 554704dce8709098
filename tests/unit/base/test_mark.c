/* test_mark.c - see base/mark.h. */
#include "tests/lib/unit.h"

#include <pthread.h>

#include "base/buf.h"
#include "base/mark.h"

static void take(int which)
{
	switch (which) {
	case 0:
		MARK("base.test.zero");
		break;
	case 1:
		MARK("base.test.one");
		break;
	case 2:
		MARK("base.test.shared");
		break;
	case 3:
		MARK("base.test.shared");
		break;
	default:
		MARK_IF(which == 4, "base.test.four");
		MARK_IF(which == 5, "base.test.never");
	}
}

static int start_without_hits(void **state)
{
	mark_reset();
	return 0;
}

static void a_mark_counts_how_often_it_was_taken(void **state)
{
	take(1);
	assert_int_equal(mark_hits("base.test.one"), 1);
	take(1);
	assert_int_equal(mark_hits("base.test.one"), 2);
	assert_int_equal(mark_hits("base.test.zero"), 0);
}

static void a_condition_that_does_not_hold_is_no_hit(void **state)
{
	take(4);
	assert_int_equal(mark_hits("base.test.four"), 1);
	assert_int_equal(mark_hits("base.test.never"), 0);
}

static void places_of_one_name_are_added(void **state)
{
	take(2);
	take(3);
	take(3);
	assert_int_equal(mark_hits("base.test.shared"), 3);
}

static void a_name_that_does_not_exist_has_no_hits(void **state)
{
	assert_int_equal(mark_hits("base.test.unheard-of"), 0);
}

static void a_mark_never_taken_is_listed_too(void **state)
{
	struct mark_count *list;
	size_t count = mark_list(&list);
	static const char *const want[] = { "base.test.four", "base.test.never", "base.test.one",
					    "base.test.shared", "base.test.zero" };
	size_t found = 0;

	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			assert_true(strcmp(list[i - 1].name, list[i].name) < 0);
		if (found < ARRAY_SIZE(want) && strcmp(list[i].name, want[found]) == 0) {
			assert_int_equal(list[i].hits, 0);
			assert_string_equal(list[i].file, __FILE__);
			found++;
		}
	}
	assert_int_equal(found, ARRAY_SIZE(want));
	free(list);
}

static void reset_sets_every_count_to_zero(void **state)
{
	take(0);
	take(1);
	mark_reset();
	assert_int_equal(mark_hits("base.test.zero"), 0);
	assert_int_equal(mark_hits("base.test.one"), 0);
}

static void the_table_begins_with_what_was_never_hit(void **state)
{
	struct buf out = BUF_INIT;
	const char *never, *once;

	take(0);
	take(1);
	take(2);
	mark_print(&out, MARK_TABLE);
	buf_put_u8(&out, '\0');
	never = strstr((char *)out.data, "           0 base.test.never " __FILE__ ":");
	once = strstr((char *)out.data, "           1 base.test.one " __FILE__ ":");
	assert_non_null(never);
	assert_non_null(once);
	assert_true(never < once);
	buf_release(&out);
}

static void json_is_one_object_from_name_to_hits(void **state)
{
	struct buf out = BUF_INIT;

	take(1);
	take(2);
	take(3);
	mark_print(&out, MARK_JSON);
	buf_put_u8(&out, '\0');
	assert_string_equal((char *)out.data, "{\"base.test.four\":0,\"base.test.never\":0,\"base."
					      "test.one\":1,\"base.test.shared\":2,"
					      "\"base.test.zero\":0}\n");
	buf_release(&out);
}

static void *take_often(void *arg)
{
	for (int i = 0; i < 10000; i++)
		take(0);
	return arg;
}

static void threads_lose_no_count(void **state)
{
	pthread_t threads[4];

	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_often, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(mark_hits("base.test.zero"), 40000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_mark_counts_how_often_it_was_taken, start_without_hits),
		cmocka_unit_test_setup(a_condition_that_does_not_hold_is_no_hit,
				       start_without_hits),
		cmocka_unit_test_setup(places_of_one_name_are_added, start_without_hits),
		cmocka_unit_test_setup(a_name_that_does_not_exist_has_no_hits, start_without_hits),
		cmocka_unit_test_setup(a_mark_never_taken_is_listed_too, start_without_hits),
		cmocka_unit_test_setup(reset_sets_every_count_to_zero, start_without_hits),
		cmocka_unit_test_setup(the_table_begins_with_what_was_never_hit,
				       start_without_hits),
		cmocka_unit_test_setup(json_is_one_object_from_name_to_hits, start_without_hits),
		cmocka_unit_test_setup(threads_lose_no_count, start_without_hits),
	};

	return cmocka_run_group_tests_name("base/mark", tests, NULL, NULL);
}
