/* test_klock.c - who has something to release, what relies on a session, and what was lost with one. */
#include "fs/fuse/klock.h"
#include "tests/lib/unit.h"

#define INO 7

static const struct klock_owner posix_5 = { .kind = FS_LOCK_POSIX, .owner = 5, .fh = 1 };
static const struct klock_owner flock_2 = { .kind = FS_LOCK_FLOCK, .owner = 2, .fh = 2 };

static int setup(void **state)
{
	struct klock_table *t = malloc(sizeof(*t));

	klock_table_init(t);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	klock_table_release(*state);
	free(*state);
	return 0;
}

static void granted(struct klock_table *t, const struct klock_owner *who, uint64_t session,
		    uint64_t index)
{
	klock_note(t, INO, who,
		   &(struct fs_lock_reply){ .session = session, .index = index, .left = 1 }, true);
}

static void left_none(struct klock_table *t, const struct klock_owner *who, uint64_t session,
		      uint64_t index)
{
	klock_note(t, INO, who, &(struct fs_lock_reply){ .session = session, .index = index },
		   false);
}

static uint64_t fence(struct klock_table *t, uint64_t fh)
{
	uint64_t session;

	assert_int_equal(klock_use(t, INO, fh, &session), 0);
	return session;
}

static void who_never_asked_has_nothing_to_release(void **state)
{
	struct klock_table *t = *state;
	struct klock_owner who;

	assert_false(klock_close(t, INO, FS_LOCK_POSIX, 5));
	assert_false(klock_take_of_handle(t, INO, 1, &who));
	assert_false(klock_has_asked(t, INO, FS_LOCK_POSIX, 5));
	assert_int_equal(klock_ask(t, INO, &posix_5), 0);
	assert_true(klock_has_asked(t, INO, FS_LOCK_POSIX, 5));
	assert_false(klock_close(t, INO, FS_LOCK_POSIX, 6));
	assert_false(klock_close(t, INO, FS_LOCK_FLOCK, 5));
	assert_false(klock_close(t, INO + 1, FS_LOCK_POSIX, 5));
	/* Even if no answer ever came. */
	assert_true(klock_close(t, INO, FS_LOCK_POSIX, 5));
	assert_false(klock_close(t, INO, FS_LOCK_POSIX, 5));
	/* Granted to a thread that waited through another one's close. */
	granted(t, &posix_5, 3, 10);
	assert_true(klock_close(t, INO, FS_LOCK_POSIX, 5));
}

static void a_handle_takes_its_owners_along(void **state)
{
	struct klock_table *t = *state;
	struct klock_owner moved = { .kind = FS_LOCK_POSIX, .owner = 5, .fh = 2 }, who;

	assert_int_equal(klock_ask(t, INO, &posix_5), 0);
	assert_int_equal(klock_ask(t, INO, &flock_2), 0);
	assert_int_equal(klock_ask(t, INO, &moved), 0);
	assert_false(klock_take_of_handle(t, INO, 1, &who));
	assert_true(klock_take_of_handle(t, INO, 2, &who));
	assert_true(klock_take_of_handle(t, INO, 2, &who));
	assert_false(klock_take_of_handle(t, INO, 2, &who));
}

static void the_latest_answer_says_what_is_held(void **state)
{
	struct klock_table *t = *state;

	assert_int_equal(fence(t, 1), 0);
	assert_int_equal(klock_ask(t, INO, &posix_5), 0);
	assert_int_equal(fence(t, 1), 0);
	granted(t, &posix_5, 3, 10);
	assert_int_equal(fence(t, 1), 3);
	assert_int_equal(fence(t, 2), 3); /* whoever writes: the file is what the lock protects */
	left_none(t, &posix_5, 3, 9);     /* overtaken */
	assert_int_equal(fence(t, 1), 3);
	left_none(t, &posix_5, 3, 11);
	assert_int_equal(fence(t, 1), 0);
	klock_forget(t, INO);
	assert_int_equal(fence(t, 1), 0);
}

static void handles_opened_before_the_loss_are_of_no_use(void **state)
{
	struct klock_table *t = *state;
	uint64_t session;

	granted(t, &posix_5, 3, 10);
	assert_int_equal(klock_lost(t, 4, 100), 0); /* another one's end */
	assert_int_equal(fence(t, 1), 3);
	assert_int_equal(klock_lost(t, 3, 100), 1);
	assert_int_equal(klock_use(t, INO, 1, &session), -EIO);
	assert_int_equal(klock_use(t, INO, 99, &session), -EIO);
	assert_int_equal(klock_ask(t, INO, &posix_5), -EIO);
	assert_int_equal(fence(t, 100), 0);
	/* The next session's locks are those of new handles. */
	klock_note(t, INO, &(struct klock_owner){ .kind = FS_LOCK_POSIX, .owner = 5, .fh = 100 },
		   &(struct fs_lock_reply){ .session = 20, .index = 21, .left = 1 }, true);
	assert_int_equal(fence(t, 100), 20);
	assert_int_equal(klock_use(t, INO, 1, &session), -EIO);
	klock_forget(t, INO);
	assert_int_equal(fence(t, 1), 0);
}

static void what_was_unlocked_in_time_is_not_lost(void **state)
{
	struct klock_table *t = *state;

	granted(t, &posix_5, 3, 10);
	left_none(t, &posix_5, 3, 11);
	assert_int_equal(klock_lost(t, 3, 100), 0);
	assert_int_equal(fence(t, 1), 0);
}

static void nobody_locks_while_his_release_is_under_way(void **state)
{
	struct klock_table *t = *state;

	assert_int_equal(klock_ask(t, INO, &posix_5), 0);
	assert_true(klock_close(t, INO, FS_LOCK_POSIX, 5));
	klock_releasing(t, INO, FS_LOCK_POSIX, 5, true);
	assert_int_equal(klock_ask(t, INO, &posix_5), -ETIMEDOUT);
	assert_false(klock_close(t, INO, FS_LOCK_POSIX, 5));
	klock_releasing(t, INO, FS_LOCK_POSIX, 5, false);
	assert_int_equal(klock_ask(t, INO, &posix_5), 0);
	/* Late news of a release do not take away what was asked for since. */
	klock_releasing(t, INO, FS_LOCK_POSIX, 5, false);
	assert_true(klock_close(t, INO, FS_LOCK_POSIX, 5));
}

#define CLAIM(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLAIM(who_never_asked_has_nothing_to_release),
		CLAIM(a_handle_takes_its_owners_along),
		CLAIM(the_latest_answer_says_what_is_held),
		CLAIM(handles_opened_before_the_loss_are_of_no_use),
		CLAIM(what_was_unlocked_in_time_is_not_lost),
		CLAIM(nobody_locks_while_his_release_is_under_way),
	};

	return cmocka_run_group_tests_name("fs/klock", tests, NULL, NULL);
}
