/* test_dir.c - lookup, mkdir, rmdir and names. */
#include <fcntl.h>
#include <sys/stat.h>

#include "tests/lib/fsfix.h"

static void the_root_is_a_directory_of_root(void **state)
{
	struct fsfix *f = *state;
	struct fs_attr a = fsfix_attr(f, FS_ROOT_INO);

	assert_int_equal(a.mode, S_IFDIR | 0755);
	assert_int_equal(a.nlink, 2);
	assert_int_equal(a.uid, 0);
	assert_int_equal(a.gid, 0);
}

static void make_root_twice_changes_nothing(void **state)
{
	struct fsfix *f = *state;

	assert_int_equal(fsfix_eval(f, (struct fs_request){ .op = FS_MAKE_ROOT, .uid = 7 }), 0);
	assert_false(f->mutated);
}

static void mkdir_is_found_by_lookup(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino;

	f->uid = 7;
	f->gid = 8;
	assert_int_equal(fsfix_mkdir(f, FS_ROOT_INO, "d", 0750), 0);
	assert_true(f->reply.has_attr);
	ino = f->reply.attr.ino;
	assert_int_equal(fsfix_lookup(f, FS_ROOT_INO, "d"), 0);
	assert_int_equal(f->reply.attr.ino, ino);
	assert_int_equal(f->reply.attr.mode, S_IFDIR | 0750);
	assert_int_equal(f->reply.attr.nlink, 2);
	assert_int_equal(f->reply.attr.uid, 7);
	assert_int_equal(f->reply.attr.gid, 8);
	assert_int_equal(fsfix_attr(f, FS_ROOT_INO).nlink, 3);
}

static void inode_numbers_are_never_used_again(void **state)
{
	struct fsfix *f = *state;
	uint64_t first = fsfix_dir(f, FS_ROOT_INO, "d");

	assert_int_equal(fsfix_rmdir(f, FS_ROOT_INO, "d"), 0);
	fsfix_reclaim_all(f);
	assert_true(fsfix_dir(f, FS_ROOT_INO, "d") > first);
}

static void a_change_of_entries_moves_the_parent(void **state)
{
	struct fsfix *f = *state;
	struct fs_attr before = fsfix_attr(f, FS_ROOT_INO), after;

	fsfix_dir(f, FS_ROOT_INO, "d");
	after = fsfix_attr(f, FS_ROOT_INO);
	assert_true(after.mtime_ns > before.mtime_ns);
	assert_true(after.ctime_ns > before.ctime_ns);
	assert_true(after.data_version > before.data_version);
	before = after;
	assert_int_equal(fsfix_rmdir(f, FS_ROOT_INO, "d"), 0);
	after = fsfix_attr(f, FS_ROOT_INO);
	assert_true(after.mtime_ns > before.mtime_ns);
	assert_true(after.ctime_ns > before.ctime_ns);
	assert_int_equal(after.nlink, 2);
}

static void mkdir_of_an_existing_name_is_eexist(void **state)
{
	struct fsfix *f = *state;

	fsfix_dir(f, FS_ROOT_INO, "d");
	fsfix_file(f, FS_ROOT_INO, "f");
	assert_int_equal(fsfix_mkdir(f, FS_ROOT_INO, "d", 0755), -EEXIST);
	assert_int_equal(fsfix_mkdir(f, FS_ROOT_INO, "f", 0755), -EEXIST);
	assert_int_equal(fsfix_mkdir(f, FS_ROOT_INO, ".", 0755), -EEXIST);
	assert_int_equal(fsfix_mkdir(f, FS_ROOT_INO, "..", 0755), -EEXIST);
}

static void names_keep_to_linux_rules(void **state)
{
	struct fsfix *f = *state;
	char name[FS_NAME_MAX + 2];

	memset(name, 'n', sizeof(name));
	name[FS_NAME_MAX + 1] = '\0';
	assert_int_equal(fsfix_lookup(f, FS_ROOT_INO, name), -ENAMETOOLONG);
	assert_int_equal(fsfix_mkdir(f, FS_ROOT_INO, name, 0755), -ENAMETOOLONG);
	assert_int_equal(fsfix_create(f, FS_ROOT_INO, name, 0644, 0), -ENAMETOOLONG);
	assert_int_equal(fsfix_unlink(f, FS_ROOT_INO, name), -ENAMETOOLONG);
	assert_int_equal(fsfix_rmdir(f, FS_ROOT_INO, name), -ENAMETOOLONG);
	name[FS_NAME_MAX] = '\0';
	assert_int_equal(fsfix_mkdir(f, FS_ROOT_INO, name, 0755), 0);
	assert_int_equal(fsfix_lookup(f, FS_ROOT_INO, name), 0);
	assert_int_equal(fsfix_lookup(f, FS_ROOT_INO, ""), -ENOENT);
	assert_int_equal(fsfix_mkdir(f, FS_ROOT_INO, "", 0755), -ENOENT);
	assert_int_equal(fsfix_mkdir(f, FS_ROOT_INO, "a/b", 0755), -EINVAL);
}

static void lookup_answers_dot_and_dotdot(void **state)
{
	struct fsfix *f = *state;
	uint64_t d = fsfix_dir(f, FS_ROOT_INO, "d"), e = fsfix_dir(f, d, "e");

	assert_int_equal(fsfix_lookup(f, e, "."), 0);
	assert_int_equal(f->reply.attr.ino, e);
	assert_int_equal(fsfix_lookup(f, e, ".."), 0);
	assert_int_equal(f->reply.attr.ino, d);
	assert_int_equal(fsfix_lookup(f, FS_ROOT_INO, ".."), 0);
	assert_int_equal(f->reply.attr.ino, FS_ROOT_INO);
}

/* Which is how a kernel that was restarted since finds what a handle names. */
static void dot_of_an_inode_of_any_type_is_itself(void **state)
{
	struct fsfix *f = *state;
	uint64_t file = fsfix_file(f, FS_ROOT_INO, "f");

	assert_int_equal(fsfix_lookup(f, file, "."), 0);
	assert_int_equal(f->reply.attr.ino, file);
	assert_int_equal(fsfix_lookup(f, file, ".."), -ENOTDIR);
	assert_int_equal(fsfix_unlink(f, FS_ROOT_INO, "f"), 0);
	assert_int_equal(fsfix_lookup(f, file, "."), -ESTALE);
	assert_int_equal(fsfix_lookup(f, 4711, "."), -ESTALE);
}

static void a_file_is_no_parent(void **state)
{
	struct fsfix *f = *state;
	uint64_t file = fsfix_file(f, FS_ROOT_INO, "f");

	assert_int_equal(fsfix_lookup(f, file, "x"), -ENOTDIR);
	assert_int_equal(fsfix_mkdir(f, file, "x", 0755), -ENOTDIR);
	assert_int_equal(fsfix_create(f, file, "x", 0644, 0), -ENOTDIR);
	assert_int_equal(fsfix_unlink(f, file, "x"), -ENOTDIR);
	assert_int_equal(fsfix_rmdir(f, file, "x"), -ENOTDIR);
	assert_int_equal(
		fsfix_eval(f, (struct fs_request){ .op = FS_READDIR, .ino = file, .size = 4096 }),
		-ENOTDIR);
}

static void rmdir_tells_what_is_in_the_way(void **state)
{
	struct fsfix *f = *state;
	uint64_t d = fsfix_dir(f, FS_ROOT_INO, "d");

	fsfix_file(f, d, "f");
	assert_int_equal(fsfix_rmdir(f, FS_ROOT_INO, "d"), -ENOTEMPTY);
	assert_int_equal(fsfix_rmdir(f, d, "f"), -ENOTDIR);
	assert_int_equal(fsfix_rmdir(f, FS_ROOT_INO, "no"), -ENOENT);
	assert_int_equal(fsfix_rmdir(f, d, "."), -EINVAL);
	assert_int_equal(fsfix_rmdir(f, d, ".."), -ENOTEMPTY);
	assert_int_equal(fsfix_unlink(f, d, "f"), 0);
	assert_int_equal(fsfix_rmdir(f, FS_ROOT_INO, "d"), 0);
	assert_int_equal(fsfix_lookup(f, FS_ROOT_INO, "d"), -ENOENT);
}

static void nothing_is_made_in_a_removed_directory(void **state)
{
	struct fsfix *f = *state;
	uint64_t d = fsfix_dir(f, FS_ROOT_INO, "d");
	uint64_t file = fsfix_file(f, FS_ROOT_INO, "f");

	assert_int_equal(fsfix_rmdir(f, FS_ROOT_INO, "d"), 0);
	for (int reclaimed = 0; reclaimed < 2; reclaimed++) {
		assert_int_equal(fsfix_create(f, d, "x", 0644, 0), -ENOENT);
		assert_int_equal(fsfix_mkdir(f, d, "x", 0755), -ENOENT);
		assert_int_equal(fsfix_link(f, file, d, "x"), -ENOENT);
		assert_int_equal(fsfix_rename(f, FS_ROOT_INO, "f", d, "x", 0), -ENOENT);
		assert_int_equal(fsfix_lookup(f, d, "x"), -ENOENT);
		assert_int_equal(
			fsfix_eval(f,
				   (struct fs_request){ .op = FS_READDIR, .ino = d, .size = 4096 }),
			-ENOENT);
		if (!reclaimed)
			assert_int_equal(fsfix_attr(f, d).nlink, 0);
		fsfix_reclaim_all(f);
	}
	assert_int_equal(fsfix_getattr(f, d), -ESTALE);
}

static void setgid_directories_hand_their_group_down(void **state)
{
	struct fsfix *f = *state;
	uint64_t d = fsfix_dir(f, FS_ROOT_INO, "d");

	assert_int_equal(fsfix_eval(f, (struct fs_request){ .op = FS_SETATTR,
							    .ino = d,
							    .valid = FS_SET_MODE | FS_SET_GID,
							    .mode = 02775,
							    .gid2 = 50 }),
			 0);
	assert_int_equal(f->reply.attr.mode, S_IFDIR | 02775);
	f->uid = 1000;
	f->gid = 1000;
	assert_int_equal(fsfix_mkdir(f, d, "sub", 0755), 0);
	assert_int_equal(f->reply.attr.mode, S_IFDIR | 02755);
	assert_int_equal(f->reply.attr.gid, 50);
	assert_int_equal(f->reply.attr.uid, 1000);
	assert_int_equal(fsfix_create(f, d, "file", 0644, 0), 0);
	assert_int_equal(f->reply.attr.mode, S_IFREG | 0644);
	assert_int_equal(f->reply.attr.gid, 50);
}

static void sticky_directories_guard_the_names_of_others(void **state)
{
	struct fsfix *f = *state;
	uint64_t t = fsfix_dir(f, FS_ROOT_INO, "tmp");

	assert_int_equal(fsfix_chmod(f, t, 01777), 0);
	f->uid = 1;
	fsfix_file(f, t, "mine");
	fsfix_dir(f, t, "dir");
	f->uid = 2;
	fsfix_file(f, t, "other");
	assert_int_equal(fsfix_unlink(f, t, "mine"), -EPERM);
	assert_int_equal(fsfix_rmdir(f, t, "dir"), -EPERM);
	assert_int_equal(fsfix_rename(f, t, "mine", t, "x", 0), -EPERM);
	assert_int_equal(fsfix_rename(f, t, "other", t, "mine", 0), -EPERM);
	assert_int_equal(fsfix_unlink(f, t, "other"), 0);
	f->uid = 1;
	assert_int_equal(fsfix_rmdir(f, t, "dir"), 0);
	f->uid = 0;
	assert_int_equal(fsfix_unlink(f, t, "mine"), 0);
}

static void the_owner_of_a_sticky_directory_removes_everything(void **state)
{
	struct fsfix *f = *state;
	uint64_t t;

	f->uid = 5;
	t = fsfix_dir(f, FS_ROOT_INO, "tmp");
	assert_int_equal(fsfix_chmod(f, t, 01777), 0);
	f->uid = 6;
	fsfix_file(f, t, "f");
	f->uid = 5;
	assert_int_equal(fsfix_unlink(f, t, "f"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FSFIX_BOTH(the_root_is_a_directory_of_root),
		FSFIX_BOTH(make_root_twice_changes_nothing),
		FSFIX_BOTH(mkdir_is_found_by_lookup),
		FSFIX_BOTH(inode_numbers_are_never_used_again),
		FSFIX_BOTH(a_change_of_entries_moves_the_parent),
		FSFIX_BOTH(mkdir_of_an_existing_name_is_eexist),
		FSFIX_BOTH(names_keep_to_linux_rules),
		FSFIX_BOTH(lookup_answers_dot_and_dotdot),
		FSFIX_BOTH(dot_of_an_inode_of_any_type_is_itself),
		FSFIX_BOTH(a_file_is_no_parent),
		FSFIX_BOTH(rmdir_tells_what_is_in_the_way),
		FSFIX_BOTH(nothing_is_made_in_a_removed_directory),
		FSFIX_BOTH(setgid_directories_hand_their_group_down),
		FSFIX_BOTH(sticky_directories_guard_the_names_of_others),
		FSFIX_BOTH(the_owner_of_a_sticky_directory_removes_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
