/* test_kinode.c - lookup counts, open counts and what the kernel was told. */
#include <malloc.h>

#include "fs/fuse/kinode.h"
#include "tests/lib/unit.h"

static struct fs_attr attr(uint64_t ino, uint64_t version, uint64_t size)
{
	return (struct fs_attr){ .ino = ino, .data_version = version, .size = size };
}

static bool observe(struct kinode_table *t, uint64_t version)
{
	struct fs_attr a = attr(7, version, 100);

	return kinode_observe(t, &a, true);
}

static bool observe_size(struct kinode_table *t, uint64_t version, uint64_t size)
{
	struct fs_attr a = attr(7, version, size);

	return kinode_observe(t, &a, true);
}

static void dropped(struct kinode_table *t, uint64_t version)
{
	struct fs_attr a = attr(7, version, 100);

	kinode_dropped(t, &a);
}

static void changed(struct kinode_table *t, uint64_t old, uint64_t new)
{
	struct fs_attr a = attr(7, new, 100);

	kinode_changed(t, &a, old);
}

static int setup(void **state)
{
	struct kinode_table *t = malloc(sizeof(*t));
	struct fs_attr a = attr(7, 10, 100);

	kinode_table_init(t);
	kinode_lookup(t, &a);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	kinode_table_release(*state);
	free(*state);
	return 0;
}

static void inode_lives_while_looked_up_or_open(void **state)
{
	struct kinode_table *t = *state;
	struct fs_attr a = attr(7, 10, 100);

	kinode_lookup(t, &a);
	kinode_forget(t, 7, 1);
	assert_int_equal(kinode_table_count(t), 1);
	kinode_open(t, 7);
	kinode_forget(t, 7, 1);
	assert_true(kinode_is_open(t, 7));
	kinode_close(t, 7);
	assert_false(kinode_is_open(t, 7));
	assert_int_equal(kinode_table_count(t), 0);
	kinode_forget(t, 7, 5); /* unknown: nothing */
	kinode_close(t, 7);
}

static void open_counts_begin_before_any_lookup(void **state)
{
	struct kinode_table *t = *state;

	kinode_open(t, 8);
	kinode_open(t, 8);
	kinode_close(t, 8);
	assert_true(kinode_is_open(t, 8));
	kinode_close(t, 8);
	assert_false(kinode_is_open(t, 8));
}

static void known_version_needs_no_drop(void **state)
{
	assert_false(observe(*state, 10));
	assert_true(kinode_is_current(*state, 7, 10));
}

static void foreign_change_needs_a_drop_until_it_is_done(void **state)
{
	assert_true(observe(*state, 11));
	assert_true(observe(*state, 11)); /* others wait as well */
	assert_false(kinode_is_current(*state, 7, 11));
	dropped(*state, 11);
	assert_false(observe(*state, 11));
	assert_true(kinode_is_current(*state, 7, 11));
}

static void overtaken_answers_change_nothing(void **state)
{
	dropped(*state, 12);
	assert_false(observe(*state, 11));
	dropped(*state, 11);
	assert_true(kinode_is_current(*state, 7, 12));
}

static void own_writes_move_the_version(void **state)
{
	changed(*state, 10, 11);
	changed(*state, 11, 12);
	assert_true(kinode_is_current(*state, 7, 12));
	assert_false(observe(*state, 12));
}

static void own_write_over_a_foreign_one_does_not_hide_it(void **state)
{
	changed(*state, 11, 12);
	assert_false(kinode_is_current(*state, 7, 12));
	assert_true(observe(*state, 12));
}

static void own_write_to_a_file_that_was_read_is_not_trusted(void **state)
{
	kinode_read(*state, 7);
	changed(*state, 10, 11);
	assert_true(observe(*state, 11));
	dropped(*state, 11);
	changed(*state, 11, 12);
	assert_true(observe(*state, 12));
}

static void another_size_goes_out_at_once(void **state)
{
	assert_false(observe_size(*state, 11,
				  200)); /* a notification would make the kernel discard it */
	assert_true(kinode_is_current(*state, 7, 11));
	assert_true(observe_size(*state, 12, 200));
	dropped(*state, 12);
	assert_false(observe_size(*state, 13, 100));
}

static void open_tells_the_kernel_no_size(void **state)
{
	struct fs_attr a = attr(7, 11, 200);

	assert_false(kinode_observe(*state, &a, false));
	assert_false(kinode_is_current(*state, 7, 11));
	assert_false(observe_size(*state, 11, 200));
	assert_true(kinode_is_current(*state, 7, 11));
}

static void own_change_under_way_may_bring_the_size(void **state)
{
	struct fs_attr a = attr(7, 12, 200);

	kinode_change_begin(*state, 7);
	assert_true(observe_size(*state, 12, 200));
	kinode_wrote(*state, &a, 11, 200);
	kinode_change_end(*state, 7);
	assert_true(observe_size(*state, 12, 200));
	assert_false(observe_size(*state, 13, 300));
}

static void distrust_lasts_until_pages_are_dropped(void **state)
{
	kinode_distrust(*state, 7);
	assert_false(kinode_is_current(*state, 7, 10));
	changed(*state, 10, 11);
	assert_true(observe(*state, 11));
	dropped(*state, 11);
	assert_false(observe(*state, 11));
}

static void unknown_inodes_have_no_pages(void **state)
{
	struct fs_attr a = attr(99, 1, 1);

	assert_false(kinode_observe(*state, &a, true));
	assert_int_equal(kinode_table_count(*state), 1);
}

static void hundred_thousand_inodes_take_at_most_200_bytes_each(void **state)
{
	struct kinode_table *t = *state;
	size_t before = mallinfo2().uordblks;

	for (uint64_t ino = 100; ino < 100100; ino++) {
		struct fs_attr a = attr(ino, 1, 1);

		kinode_lookup(t, &a);
	}
	size_t used = mallinfo2().uordblks - before;

	assert_in_range(used, 0, 100000 * 200);
	for (uint64_t ino = 100; ino < 100100; ino++)
		kinode_forget(t, ino, 1);
	assert_int_equal(kinode_table_count(t), 1);
}

int main(void)
{
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CLAIM(inode_lives_while_looked_up_or_open),
		CLAIM(open_counts_begin_before_any_lookup),
		CLAIM(known_version_needs_no_drop),
		CLAIM(foreign_change_needs_a_drop_until_it_is_done),
		CLAIM(overtaken_answers_change_nothing),
		CLAIM(own_writes_move_the_version),
		CLAIM(own_write_over_a_foreign_one_does_not_hide_it),
		CLAIM(own_write_to_a_file_that_was_read_is_not_trusted),
		CLAIM(another_size_goes_out_at_once),
		CLAIM(open_tells_the_kernel_no_size),
		CLAIM(own_change_under_way_may_bring_the_size),
		CLAIM(distrust_lasts_until_pages_are_dropped),
		CLAIM(unknown_inodes_have_no_pages),
		CLAIM(hundred_thousand_inodes_take_at_most_200_bytes_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
