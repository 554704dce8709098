/* test_link.c - link, unlink, symlink, readlink, mknod, rename. */
#include <linux/fs.h>
#include <sys/stat.h>

#include "tests/lib/fsfix.h"

#define ROOT FS_ROOT_INO

static uint64_t ino_of(struct fsfix *f, uint64_t parent, const char *name)
{
	int ret = fsfix_lookup(f, parent, name);

	return ret == 0 ? f->reply.attr.ino : 0;
}

static void a_hard_link_is_the_same_inode(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, ROOT, "f");
	struct fs_attr a = fsfix_attr(f, ino);

	assert_int_equal(fsfix_link(f, ino, ROOT, "g"), 0);
	assert_int_equal(f->reply.attr.ino, ino);
	assert_int_equal(f->reply.attr.nlink, 2);
	assert_true(f->reply.attr.ctime_ns > a.ctime_ns);
	assert_int_equal(f->reply.attr.mtime_ns, a.mtime_ns);
	assert_int_equal(ino_of(f, ROOT, "g"), ino);
	assert_int_equal(fsfix_unlink(f, ROOT, "f"), 0);
	assert_int_equal(fsfix_attr(f, ino).nlink, 1);
	assert_int_equal(fsfix_reclaim_all(f), 0);
}

static void link_tells_why_not(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, ROOT, "f"), d = fsfix_dir(f, ROOT, "d");

	assert_int_equal(fsfix_link(f, ino, ROOT, "d"), -EEXIST);
	assert_int_equal(fsfix_link(f, d, ROOT, "x"), -EPERM);
	assert_int_equal(fsfix_link(f, 999, ROOT, "x"), -ESTALE);
	assert_int_equal(fsfix_link(f, ino, ino, "x"), -ENOTDIR);
	assert_int_equal(fsfix_unlink(f, ROOT, "f"), 0);
	assert_int_equal(fsfix_link(f, ino, ROOT, "x"), -ENOENT);
}

static void links_are_limited(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, ROOT, "f");
	char name[16];

	f->stack = 5000;
	for (unsigned i = 1; i < FS_LINK_MAX; i++) {
		snprintf(name, sizeof(name), "l%u", i);
		assert_int_equal(fsfix_link(f, ino, ROOT, name), 0);
	}
	assert_int_equal(fsfix_link(f, ino, ROOT, "more"), -EMLINK);
}

static void unlink_takes_no_directory(void **state)
{
	struct fsfix *f = *state;

	fsfix_dir(f, ROOT, "d");
	assert_int_equal(fsfix_unlink(f, ROOT, "d"), -EISDIR);
	assert_int_equal(fsfix_unlink(f, ROOT, "."), -EISDIR);
	assert_int_equal(fsfix_unlink(f, ROOT, "none"), -ENOENT);
}

static void an_unlinked_file_goes_on_living_for_its_holders(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, ROOT, "f");

	assert_int_equal(fsfix_unlink(f, ROOT, "f"), 0);
	assert_true(f->orphans);
	assert_int_equal(fsfix_attr(f, ino).nlink, 0);
	assert_int_equal(fsfix_write(f, ino, 0, "still", 5), 0);
	fsfix_assert_content(f, ino, "still");
	assert_int_equal(fsfix_truncate(f, ino, 2), 0);
	assert_int_equal(fsfix_chmod(f, ino, 0600), 0);
	assert_int_equal(fsfix_reclaim_all(f), 1);
	assert_int_equal(fsfix_getattr(f, ino), -ESTALE);
}

static void a_symlink_tells_its_target(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino;

	assert_int_equal(fsfix_symlink(f, ROOT, "l", "../some where"), 0);
	ino = f->reply.attr.ino;
	assert_int_equal(f->reply.attr.mode, S_IFLNK | 0777);
	assert_int_equal(f->reply.attr.size, 13);
	assert_int_equal(fsfix_eval(f, (struct fs_request){ .op = FS_READLINK, .ino = ino }), 0);
	assert_int_equal(f->reply.data_len, 13);
	assert_memory_equal(f->reply.data, "../some where", 13);
	/* It survives changes of its attributes and another name. */
	assert_int_equal(fsfix_eval(f, (struct fs_request){ .op = FS_SETATTR,
							    .ino = ino,
							    .valid = FS_SET_UID,
							    .uid2 = 5 }),
			 0);
	assert_int_equal(fsfix_link(f, ino, ROOT, "m"), 0);
	assert_int_equal(fsfix_rename(f, ROOT, "m", ROOT, "n", 0), 0);
	assert_int_equal(fsfix_eval(f, (struct fs_request){ .op = FS_READLINK, .ino = ino }), 0);
	assert_memory_equal(f->reply.data, "../some where", 13);
	assert_int_equal(fsfix_eval(f, (struct fs_request){ .op = FS_READLINK, .ino = ROOT }),
			 -EINVAL);
}

static void symlink_targets_are_limited(void **state)
{
	struct fsfix *f = *state;
	char target[FS_SYMLINK_MAX + 2];

	memset(target, 't', sizeof(target));
	target[FS_SYMLINK_MAX + 1] = '\0';
	assert_int_equal(fsfix_symlink(f, ROOT, "l", target), -ENAMETOOLONG);
	assert_int_equal(fsfix_symlink(f, ROOT, "l", ""), -ENOENT);
	target[FS_SYMLINK_MAX] = '\0';
	assert_int_equal(fsfix_symlink(f, ROOT, "l", target), 0);
	assert_int_equal(fsfix_symlink(f, ROOT, "l", "x"), -EEXIST);
}

static void an_unlinked_symlink_is_gone_at_once(void **state)
{
	struct fsfix *f = *state;

	assert_int_equal(fsfix_symlink(f, ROOT, "l", "t"), 0);
	uint64_t ino = f->reply.attr.ino;

	assert_int_equal(fsfix_unlink(f, ROOT, "l"), 0);
	assert_false(f->orphans);
	assert_int_equal(fsfix_getattr(f, ino), -ESTALE);
	assert_int_equal(fsfix_symlink(f, ROOT, "l", "t"), 0);
	ino = f->reply.attr.ino;
	assert_int_equal(fsfix_setxattr(f, ino, "trusted.x", "v", 0), 0);
	assert_int_equal(fsfix_unlink(f, ROOT, "l"), 0);
	assert_true(f->orphans);
	assert_int_equal(fsfix_reclaim_all(f), 1);
}

static void mknod_makes_each_type(void **state)
{
	struct fsfix *f = *state;
	static const struct {
		uint32_t mode, want, rdev;
		int ret;
	} cases[] = {
		{ S_IFREG | 0644, S_IFREG | 0644, 0, 0 },
		{ 0640, S_IFREG | 0640, 0, 0 },
		{ S_IFIFO | 0600, S_IFIFO | 0600, 0, 0 },
		{ S_IFSOCK | 0600, S_IFSOCK | 0600, 0, 0 },
		{ S_IFCHR | 0600, S_IFCHR | 0600, 77, 0 },
		{ S_IFBLK | 0600, S_IFBLK | 0600, 77, 0 },
		{ S_IFDIR | 0700, 0, 0, -EPERM },
		{ S_IFLNK | 0700, 0, 0, -EINVAL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fs_request rq = { .op = FS_MKNOD,
					 .ino = ROOT,
					 .name = "n",
					 .name_len = 1,
					 .mode = cases[i].mode,
					 .rdev = 77 };

		assert_int_equal(fsfix_eval(f, rq), cases[i].ret);
		if (cases[i].ret < 0)
			continue;
		assert_int_equal(f->reply.attr.mode, cases[i].want);
		assert_int_equal(f->reply.attr.rdev, cases[i].rdev);
		assert_int_equal(fsfix_unlink(f, ROOT, "n"), 0);
	}
}

/* ---- rename ---- */

static void rename_moves_a_name(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, ROOT, "a"), d = fsfix_dir(f, ROOT, "d");
	struct fs_attr a = fsfix_attr(f, ino);

	assert_int_equal(fsfix_rename(f, ROOT, "a", ROOT, "b", 0), 0);
	assert_int_equal(ino_of(f, ROOT, "a"), 0);
	assert_int_equal(ino_of(f, ROOT, "b"), ino);
	assert_true(fsfix_attr(f, ino).ctime_ns > a.ctime_ns);
	assert_int_equal(fsfix_rename(f, ROOT, "b", d, "c", 0), 0);
	assert_int_equal(ino_of(f, d, "c"), ino);
	assert_int_equal(fsfix_rename(f, ROOT, "b", d, "c", 0), -ENOENT);
}

static void rename_of_a_directory_moves_the_link_counts(void **state)
{
	struct fsfix *f = *state;
	uint64_t a = fsfix_dir(f, ROOT, "a"), b = fsfix_dir(f, ROOT, "b"), s = fsfix_dir(f, a, "s");

	assert_int_equal(fsfix_rename(f, a, "s", b, "t", 0), 0);
	assert_int_equal(fsfix_attr(f, a).nlink, 2);
	assert_int_equal(fsfix_attr(f, b).nlink, 3);
	assert_int_equal(fsfix_lookup(f, s, ".."), 0);
	assert_int_equal(f->reply.attr.ino, b);
	fsfix_dir(f, a, "x");
	assert_int_equal(fsfix_rename(f, b, "t", a, "x", 0), 0);
	assert_int_equal(fsfix_attr(f, a).nlink, 3);
	assert_int_equal(fsfix_attr(f, b).nlink, 2);
}

static void rename_replaces_its_target(void **state)
{
	struct fsfix *f = *state;
	uint64_t a = fsfix_file(f, ROOT, "a"), b = fsfix_file(f, ROOT, "b");

	assert_int_equal(fsfix_link(f, b, ROOT, "b2"), 0);
	assert_int_equal(fsfix_rename(f, ROOT, "a", ROOT, "b", 0), 0);
	assert_int_equal(ino_of(f, ROOT, "b"), a);
	assert_int_equal(fsfix_attr(f, b).nlink, 1);
	assert_int_equal(fsfix_rename(f, ROOT, "b", ROOT, "b2", 0), 0);
	assert_true(f->orphans);
	assert_int_equal(fsfix_attr(f, b).nlink, 0);
	assert_int_equal(fsfix_reclaim_all(f), 1);
}

static void rename_between_types_is_refused(void **state)
{
	struct fsfix *f = *state;
	uint64_t d = fsfix_dir(f, ROOT, "d"), e = fsfix_dir(f, ROOT, "e");

	fsfix_file(f, ROOT, "f");
	fsfix_file(f, e, "inside");
	assert_int_equal(fsfix_rename(f, ROOT, "d", ROOT, "f", 0), -ENOTDIR);
	assert_int_equal(fsfix_rename(f, ROOT, "f", ROOT, "d", 0), -EISDIR);
	assert_int_equal(fsfix_rename(f, ROOT, "d", ROOT, "e", 0), -ENOTEMPTY);
	assert_int_equal(fsfix_rename(f, ROOT, "e", ROOT, "d", 0), 0);
	assert_int_equal(ino_of(f, ROOT, "d"), e);
	assert_int_equal(fsfix_attr(f, d).nlink, 0);
	assert_int_equal(fsfix_attr(f, ROOT).nlink, 3);
}

static void rename_makes_no_loop(void **state)
{
	struct fsfix *f = *state;
	uint64_t a = fsfix_dir(f, ROOT, "a"), b = fsfix_dir(f, a, "b"), c = fsfix_dir(f, b, "c");

	assert_int_equal(fsfix_rename(f, ROOT, "a", c, "x", 0), -EINVAL);
	assert_int_equal(fsfix_rename(f, ROOT, "a", a, "x", 0), -EINVAL);
	assert_int_equal(fsfix_rename(f, ROOT, "a", b, "c", RENAME_EXCHANGE), -EINVAL);
	assert_int_equal(fsfix_rename(f, b, "c", ROOT, "a", RENAME_EXCHANGE), -EINVAL);
	assert_int_equal(fsfix_rename(f, b, "c", ROOT, "a", 0), -ENOTEMPTY);
	assert_int_equal(fsfix_rename(f, a, "b", ROOT, "b", 0), 0);
	assert_int_equal(fsfix_rename(f, ROOT, "a", c, "a", 0), 0);
}

/* Two machines, each of which sees no harm in its own half. */
static void crossed_renames_of_directories_make_no_loop(void **state)
{
	struct fsfix *f = *state;
	uint64_t a = fsfix_dir(f, ROOT, "a"), b = fsfix_dir(f, ROOT, "b");

	f->stack = 10;
	assert_int_equal(fsfix_rename(f, ROOT, "a", b, "a", 0), 0);
	assert_int_equal(fsfix_rename(f, ROOT, "b", a, "b", 0), -EINVAL);
}

static void rename_of_one_inode_onto_itself_does_nothing(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, ROOT, "a");

	assert_int_equal(fsfix_link(f, ino, ROOT, "b"), 0);
	assert_int_equal(fsfix_rename(f, ROOT, "a", ROOT, "b", 0), 0);
	assert_false(f->mutated);
	assert_int_equal(fsfix_rename(f, ROOT, "a", ROOT, "a", 0), 0);
	assert_false(f->mutated);
	assert_int_equal(ino_of(f, ROOT, "a"), ino);
	assert_int_equal(ino_of(f, ROOT, "b"), ino);
	assert_int_equal(fsfix_rename(f, ROOT, "a", ROOT, "b", RENAME_NOREPLACE), -EEXIST);
}

static void noreplace_keeps_what_is_there(void **state)
{
	struct fsfix *f = *state;
	uint64_t a = fsfix_file(f, ROOT, "a");

	fsfix_file(f, ROOT, "b");
	assert_int_equal(fsfix_rename(f, ROOT, "a", ROOT, "b", RENAME_NOREPLACE), -EEXIST);
	assert_int_equal(fsfix_rename(f, ROOT, "a", ROOT, "c", RENAME_NOREPLACE), 0);
	assert_int_equal(ino_of(f, ROOT, "c"), a);
}

static void exchange_swaps_two_names(void **state)
{
	struct fsfix *f = *state;
	uint64_t d = fsfix_dir(f, ROOT, "d"), file = fsfix_file(f, ROOT, "f"),
		 sub = fsfix_dir(f, d, "sub");

	fsfix_file(f, sub, "inside");
	assert_int_equal(fsfix_rename(f, d, "sub", ROOT, "f", RENAME_EXCHANGE), 0);
	assert_int_equal(ino_of(f, d, "sub"), file);
	assert_int_equal(ino_of(f, ROOT, "f"), sub);
	assert_int_equal(fsfix_attr(f, d).nlink, 2);
	assert_int_equal(fsfix_attr(f, ROOT).nlink, 4);
	assert_int_equal(fsfix_rename(f, d, "sub", ROOT, "none", RENAME_EXCHANGE), -ENOENT);
	assert_int_equal(fsfix_rename(f, ROOT, "f", ROOT, "d", RENAME_EXCHANGE), 0);
	assert_int_equal(ino_of(f, ROOT, "f"), d);
	assert_int_equal(ino_of(f, ROOT, "d"), sub);
}

static void unknown_rename_flags_are_einval(void **state)
{
	struct fsfix *f = *state;

	fsfix_file(f, ROOT, "a");
	assert_int_equal(fsfix_rename(f, ROOT, "a", ROOT, "b", RENAME_WHITEOUT), -EINVAL);
	assert_int_equal(fsfix_rename(f, ROOT, "a", ROOT, "b", RENAME_NOREPLACE | RENAME_EXCHANGE),
			 -EINVAL);
	assert_int_equal(fsfix_rename(f, ROOT, "a", ROOT, "b", 1u << 31), -EINVAL);
}

static void rename_knows_the_special_names(void **state)
{
	struct fsfix *f = *state;

	fsfix_file(f, ROOT, "a");
	assert_int_equal(fsfix_rename(f, ROOT, ".", ROOT, "b", 0), -EBUSY);
	assert_int_equal(fsfix_rename(f, ROOT, "a", ROOT, "..", 0), -EBUSY);
	assert_int_equal(fsfix_rename(f, ROOT, "a", ROOT, "..", RENAME_NOREPLACE), -EEXIST);
	assert_int_equal(fsfix_rename(f, ROOT, "a", ROOT, "", 0), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FSFIX_BOTH(a_hard_link_is_the_same_inode),
		FSFIX_BOTH(link_tells_why_not),
		FSFIX_MEMORY(links_are_limited),
		FSFIX_BOTH(unlink_takes_no_directory),
		FSFIX_BOTH(an_unlinked_file_goes_on_living_for_its_holders),
		FSFIX_BOTH(a_symlink_tells_its_target),
		FSFIX_BOTH(symlink_targets_are_limited),
		FSFIX_BOTH(an_unlinked_symlink_is_gone_at_once),
		FSFIX_BOTH(mknod_makes_each_type),
		FSFIX_BOTH(rename_moves_a_name),
		FSFIX_BOTH(rename_of_a_directory_moves_the_link_counts),
		FSFIX_BOTH(rename_replaces_its_target),
		FSFIX_BOTH(rename_between_types_is_refused),
		FSFIX_BOTH(rename_makes_no_loop),
		FSFIX_BOTH(crossed_renames_of_directories_make_no_loop),
		FSFIX_BOTH(rename_of_one_inode_onto_itself_does_nothing),
		FSFIX_BOTH(noreplace_keeps_what_is_there),
		FSFIX_BOTH(exchange_swaps_two_names),
		FSFIX_BOTH(unknown_rename_flags_are_einval),
		FSFIX_BOTH(rename_knows_the_special_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
