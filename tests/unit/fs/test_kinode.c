/* test_kinode.c - lookup counts, open counts and what the kernel was told. */
#include <malloc.h>

#include "fs/fuse/kinode.h"
#include "tests/lib/unit.h"

static struct fs_attr attr(uint64_t ino, uint64_t version, int64_t mtime_ns)
{
	return (struct fs_attr){ .ino = ino, .data_version = version, .mtime_ns = mtime_ns };
}

static bool observe(struct kinode_table *t, uint64_t version, int64_t mtime_ns)
{
	struct fs_attr a = attr(7, version, mtime_ns);

	return kinode_observe(t, &a);
}

static void dropped(struct kinode_table *t, uint64_t version, int64_t mtime_ns)
{
	struct fs_attr a = attr(7, version, mtime_ns);

	kinode_dropped(t, &a);
}

static void changed(struct kinode_table *t, uint64_t old, uint64_t new, int64_t mtime_ns, bool told)
{
	struct fs_attr a = attr(7, new, mtime_ns);

	kinode_changed(t, &a, old, told);
}

static int setup(void **state)
{
	struct kinode_table *t = malloc(sizeof(*t));
	struct fs_attr a = attr(7, 10, 1000);

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
	struct fs_attr a = attr(7, 10, 1000);

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

static void same_version_needs_no_drop_whatever_the_mtime(void **state)
{
	assert_false(observe(*state, 10, 1000));
	assert_false(observe(*state, 10, 5000)); /* utimens forward and back */
	assert_false(observe(*state, 10, 1000));
	assert_true(kinode_is_current(*state, 7, 10));
}

static void newer_mtime_is_left_to_the_kernel(void **state)
{
	assert_false(observe(*state, 11, 1001));
	assert_true(kinode_is_current(*state, 7, 11));
}

static void mtime_set_back_needs_a_drop_until_it_is_done(void **state)
{
	assert_true(observe(*state, 11, 1000));
	assert_true(observe(*state, 11, 1000)); /* others wait as well */
	assert_false(kinode_is_current(*state, 7, 11));
	dropped(*state, 11, 1000);
	assert_false(observe(*state, 11, 1000));
	assert_true(kinode_is_current(*state, 7, 11));
}

static void mtime_set_back_to_any_told_before_needs_a_drop(void **state)
{
	assert_false(observe(*state, 11, 2000));
	assert_true(observe(*state, 12, 1000));
	assert_true(observe(*state, 12, 1500));
}

static void mtime_set_back_right_after_a_change_is_not_trusted(void **state)
{
	assert_false(observe(*state, 11, 2000)); /* this reply may be overtaken ... */
	assert_true(observe(*state, 11, 1000));  /* ... by this one */
	dropped(*state, 11, 1000);
	assert_false(observe(*state, 11, 1000));
}

static void overtaken_answers_change_nothing(void **state)
{
	assert_false(observe(*state, 12, 2000));
	assert_false(observe(*state, 11, 1500));
	assert_true(kinode_is_current(*state, 7, 12));
}

static void own_writes_move_the_version(void **state)
{
	changed(*state, 10, 11, 3000, false);
	assert_true(kinode_is_current(*state, 7, 11));
	assert_false(observe(*state, 11, 3000));
}

static void own_write_over_a_foreign_one_does_not_hide_it(void **state)
{
	changed(*state, 11, 12, 3000, false);
	assert_false(kinode_is_current(*state, 7, 12));
	assert_true(observe(*state, 12, 1000));
}

static void own_setattr_that_restores_mtime_keeps_what_was_written(void **state)
{
	changed(*state, 10, 11, 3000, false);
	changed(*state, 11, 11, 500, true);
	assert_false(observe(*state, 11, 500));
	assert_true(kinode_is_current(*state, 7, 11));
}

static void own_setattr_does_not_hide_a_foreign_change(void **state)
{
	changed(*state, 11, 11, 2000, true); /* chmod: tells the kernel the foreign mtime */
	assert_true(observe(*state, 11, 2000));
}

static void distrust_lasts_until_pages_are_dropped(void **state)
{
	kinode_distrust(*state, 7);
	assert_false(kinode_is_current(*state, 7, 10));
	assert_true(observe(*state, 10, 1000));
	dropped(*state, 10, 1000);
	assert_false(observe(*state, 10, 1000));
}

static void unknown_inodes_have_no_pages(void **state)
{
	struct fs_attr a = attr(99, 1, 1);

	assert_false(kinode_observe(*state, &a));
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
		CLAIM(same_version_needs_no_drop_whatever_the_mtime),
		CLAIM(newer_mtime_is_left_to_the_kernel),
		CLAIM(mtime_set_back_needs_a_drop_until_it_is_done),
		CLAIM(mtime_set_back_to_any_told_before_needs_a_drop),
		CLAIM(mtime_set_back_right_after_a_change_is_not_trusted),
		CLAIM(overtaken_answers_change_nothing),
		CLAIM(own_writes_move_the_version),
		CLAIM(own_write_over_a_foreign_one_does_not_hide_it),
		CLAIM(own_setattr_that_restores_mtime_keeps_what_was_written),
		CLAIM(own_setattr_does_not_hide_a_foreign_change),
		CLAIM(distrust_lasts_until_pages_are_dropped),
		CLAIM(unknown_inodes_have_no_pages),
		CLAIM(hundred_thousand_inodes_take_at_most_200_bytes_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
