/* test_inode.c - attributes: getattr, setattr, times, owners, privileges. */
#include <sys/stat.h>

#include "tests/lib/fsfix.h"

static int setattr(struct fsfix *f, uint64_t ino, struct fs_request rq)
{
	rq.op = FS_SETATTR;
	rq.ino = ino;
	return fsfix_eval(f, rq);
}

static void an_unknown_inode_is_estale(void **state)
{
	struct fsfix *f = *state;
	static const uint64_t inos[] = { 0, 2, 99, KV_INO_MAX, KV_INO_MAX + 1, UINT64_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(inos); i++) {
		assert_int_equal(fsfix_getattr(f, inos[i]), -ESTALE);
		assert_int_equal(setattr(f, inos[i], (struct fs_request){ .valid = FS_SET_MODE }),
				 -ESTALE);
		assert_int_equal(fsfix_reclaim(f, inos[i]), 0);
		assert_false(f->mutated);
	}
}

static void chmod_sets_the_mode_and_moves_ctime_only(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");
	struct fs_attr a = fsfix_attr(f, ino);

	assert_int_equal(fsfix_chmod(f, ino, 07421), 0);
	assert_int_equal(f->reply.attr.mode, S_IFREG | 07421);
	assert_int_equal(f->reply.attr.mtime_ns, a.mtime_ns);
	assert_true(f->reply.attr.ctime_ns > a.ctime_ns);
	assert_int_equal(f->reply.attr.data_version, a.data_version);
	assert_int_equal(f->reply.old_data_version, a.data_version);
	assert_int_equal(fsfix_chmod(f, ino, S_IFDIR | 0600), 0);
	assert_int_equal(f->reply.attr.mode, S_IFREG | 0600);
}

static void setattr_of_nothing_changes_nothing(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");

	assert_int_equal(setattr(f, ino, (struct fs_request){ .mode = 0777 }), 0);
	assert_false(f->mutated);
	assert_int_equal(f->reply.attr.mode, S_IFREG | 0644);
}

static void chown_takes_suid_from_all_but_directories(void **state)
{
	struct fsfix *f = *state;
	static const struct {
		uint32_t type, before, after;
	} cases[] = {
		{ S_IFREG, 06755, 0755 },  { S_IFREG, 02666, 02666 }, { S_IFIFO, 06755, 0755 },
		{ S_IFSOCK, 06755, 0755 }, { S_IFCHR, 06755, 0755 },  { S_IFDIR, 06755, 06755 },
	};
	struct fs_request make = { .name = "x", .name_len = 1, .ino = FS_ROOT_INO };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		make.op = cases[i].type == S_IFDIR ? FS_MKDIR : FS_MKNOD;
		make.mode = cases[i].type | 0700;
		assert_int_equal(fsfix_eval(f, make), 0);
		uint64_t ino = f->reply.attr.ino;

		assert_int_equal(fsfix_chmod(f, ino, cases[i].before), 0);
		assert_int_equal(
			setattr(f, ino, (struct fs_request){ .valid = FS_SET_UID, .uid2 = 9 }), 0);
		assert_int_equal(f->reply.attr.uid, 9);
		assert_int_equal(f->reply.attr.gid, 0);
		assert_int_equal(f->reply.attr.mode, cases[i].type | cases[i].after);
		if (cases[i].type == S_IFDIR)
			assert_int_equal(fsfix_rmdir(f, FS_ROOT_INO, "x"), 0);
		else
			assert_int_equal(fsfix_unlink(f, FS_ROOT_INO, "x"), 0);
	}
}

static void chown_drops_the_capability_attribute(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");

	assert_int_equal(fsfix_setxattr(f, ino, "security.capability", "c", 0), 0);
	assert_int_equal(fsfix_setxattr(f, ino, "user.keep", "k", 0), 0);
	assert_int_equal(setattr(f, ino, (struct fs_request){ .valid = FS_SET_GID, .gid2 = 9 }), 0);
	assert_int_equal(f->reply.attr.gid, 9);
	assert_int_equal(fsfix_getxattr(f, ino, "security.capability"), -ENODATA);
	assert_int_equal(fsfix_getxattr(f, ino, "user.keep"), 0);
}

static void kill_priv_clears_suid_for_root_too(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");

	assert_int_equal(fsfix_chmod(f, ino, 06755), 0);
	assert_int_equal(
		setattr(f, ino,
			(struct fs_request){ .valid = FS_SET_SIZE | FS_SET_KILL_PRIV, .size = 3 }),
		0);
	assert_int_equal(f->reply.attr.mode, S_IFREG | 0755);
	assert_int_equal(f->reply.attr.size, 3);
}

static void a_change_of_nothing_moves_ctime_and_takes_the_capability(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");

	assert_int_equal(fsfix_chmod(f, ino, 06755), 0);
	assert_int_equal(fsfix_setxattr(f, ino, "security.capability", "x", 0), 0);
	struct fs_attr a = fsfix_attr(f, ino);

	assert_int_equal(setattr(f, ino, (struct fs_request){ .valid = FS_SET_CTIME }), 0);
	assert_int_equal(f->reply.attr.mode, S_IFREG | 06755);
	assert_true(f->reply.attr.ctime_ns > a.ctime_ns);
	assert_int_equal(f->reply.attr.mtime_ns, a.mtime_ns);
	assert_int_equal(
		fsfix_eval(f, (struct fs_request){ .op = FS_GETXATTR,
						   .ino = ino,
						   .name = "security.capability",
						   .name_len = strlen("security.capability") }),
		-ENODATA);
}

static void an_explicit_mode_wins_over_what_chown_clears(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");

	assert_int_equal(setattr(f, ino,
				 (struct fs_request){ .valid = FS_SET_UID | FS_SET_MODE,
						      .uid2 = 9,
						      .mode = 04755 }),
			 0);
	assert_int_equal(f->reply.attr.mode, S_IFREG | 04755);
}

static void times_are_taken_as_given(void **state)
{
	struct fsfix *f = *state;
	static const int64_t times[] = { 0, -1, 1, INT64_MIN, INT64_MAX, 5000000000000000000ll };
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");
	struct fs_attr a = fsfix_attr(f, ino);

	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		assert_int_equal(setattr(f, ino,
					 (struct fs_request){ .valid = FS_SET_ATIME | FS_SET_MTIME,
							      .atime_ns = times[i],
							      .mtime_ns = -1 - times[i] }),
				 0);
		assert_true(f->reply.attr.atime_ns == times[i]);
		assert_true(f->reply.attr.mtime_ns == -1 - times[i]);
		assert_true(f->reply.attr.ctime_ns > a.ctime_ns);
		assert_int_equal(f->reply.attr.data_version, a.data_version);
		a = f->reply.attr;
	}
}

static void now_is_the_leaders(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");
	int64_t now;

	assert_int_equal(
		setattr(f, ino,
			(struct fs_request){ .valid = FS_SET_MTIME, .mtime_ns = INT64_MAX }),
		0);
	now = f->wall_ns;
	assert_int_equal(setattr(f, ino,
				 (struct fs_request){ .valid = FS_SET_MTIME_NOW | FS_SET_ATIME_NOW |
							       FS_SET_MTIME | FS_SET_ATIME }),
			 0);
	assert_true(f->reply.attr.mtime_ns == now);
	assert_true(f->reply.attr.atime_ns == now);
}

static int was_read(struct fsfix *f, uint64_t ino, int64_t at_ns)
{
	return setattr(f, ino, (struct fs_request){ .valid = FS_SET_WAS_READ, .atime_ns = at_ns });
}

static void a_read_moves_atime_alone_and_never_back_or_behind_a_change(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");
	struct fs_attr before = fsfix_attr(f, ino);
	int64_t at_ns = before.ctime_ns + 1;

	assert_int_equal(was_read(f, ino, at_ns), 0);
	assert_true(f->reply.attr.atime_ns == at_ns);
	assert_true(f->reply.attr.mtime_ns == before.mtime_ns && f->reply.attr.ctime_ns == before.ctime_ns);
	assert_int_equal(f->reply.attr.data_version, before.data_version);
	assert_int_equal(was_read(f, ino, at_ns - 1), 0);
	assert_true(f->reply.attr.atime_ns == at_ns);
	assert_false(f->mutated);
	/* Somebody set it back after that read. */
	assert_int_equal(setattr(f, ino, (struct fs_request){ .valid = FS_SET_ATIME, .atime_ns = 5 }), 0);
	assert_int_equal(was_read(f, ino, at_ns), 0);
	assert_true(f->reply.attr.atime_ns == 5);
	/* A clock that is ahead. */
	assert_int_equal(was_read(f, ino, INT64_MAX), 0);
	assert_true(f->reply.attr.atime_ns < f->wall_ns);
	assert_int_equal(setattr(f, ino, (struct fs_request){ .valid = FS_SET_WAS_READ | FS_SET_MODE }), -EINVAL);
}

static void the_end_of_time_is_no_overflow(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");

	assert_int_equal(
		setattr(f, ino,
			(struct fs_request){ .valid = FS_SET_MTIME, .mtime_ns = INT64_MAX }),
		0);
	assert_int_equal(fsfix_write(f, ino, 0, "x", 1), 0);
	assert_true(f->reply.attr.mtime_ns == INT64_MAX);
	f->wall_ns = INT64_MIN;
	assert_int_equal(fsfix_write(f, ino, 0, "x", 1), 0);
	assert_true(f->reply.attr.mtime_ns == INT64_MAX);
	f->wall_ns = FSFIX_WALL_START;
}

static void a_rewrite_with_mtime_set_back_shows_in_the_data_version(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");
	struct fs_attr a;

	assert_int_equal(fsfix_write(f, ino, 0, "aaaa", 4), 0);
	a = f->reply.attr;
	assert_int_equal(fsfix_write(f, ino, 0, "bbbb", 4), 0);
	assert_int_equal(
		setattr(f, ino,
			(struct fs_request){ .valid = FS_SET_MTIME, .mtime_ns = a.mtime_ns }),
		0);
	assert_true(f->reply.attr.mtime_ns == a.mtime_ns);
	assert_int_equal(f->reply.attr.size, a.size);
	assert_int_equal(f->reply.attr.data_version, a.data_version + 1);
}

static void a_truncate_with_mtime_keeps_the_given_one(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");

	assert_int_equal(setattr(f, ino,
				 (struct fs_request){ .valid = FS_SET_SIZE | FS_SET_MTIME,
						      .size = 7,
						      .mtime_ns = 42 }),
			 0);
	assert_int_equal(f->reply.attr.mtime_ns, 42);
	assert_int_equal(f->reply.attr.size, 7);
}

static void statfs_counts_inodes_and_bytes(void **state)
{
	struct fsfix *f = *state;
	struct fs_statfs st;
	uint64_t ino;

	ino = fsfix_file(f, FS_ROOT_INO, "f");
	assert_int_equal(fsfix_write(f, ino, 0, "x", 1), 0);
	assert_int_equal(fsfix_eval(f, (struct fs_request){ .op = FS_STATFS }), 0);
	fs_statfs_set_space(&f->encoded, 1000, 500);
	assert_int_equal(fs_reply_decode(&f->reply, f->encoded.data, f->encoded.len), 0);
	assert_int_equal(fs_statfs_decode(&st, f->reply.data, f->reply.data_len), 0);
	assert_int_equal(st.inode_count, 2);
	assert_int_equal(st.bytes_used, 4096);
	assert_int_equal(st.total_bytes, 1000);
	assert_int_equal(st.free_bytes, 500);
	assert_int_equal(fsfix_unlink(f, FS_ROOT_INO, "f"), 0);
	fsfix_reclaim_all(f);
	assert_int_equal(fsfix_eval(f, (struct fs_request){ .op = FS_STATFS }), 0);
	assert_int_equal(fs_statfs_decode(&st, f->reply.data, f->reply.data_len), 0);
	assert_int_equal(st.inode_count, 1);
	assert_int_equal(st.bytes_used, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FSFIX_BOTH(an_unknown_inode_is_estale),
		FSFIX_BOTH(chmod_sets_the_mode_and_moves_ctime_only),
		FSFIX_BOTH(setattr_of_nothing_changes_nothing),
		FSFIX_BOTH(chown_takes_suid_from_all_but_directories),
		FSFIX_BOTH(chown_drops_the_capability_attribute),
		FSFIX_BOTH(kill_priv_clears_suid_for_root_too),
		FSFIX_BOTH(a_change_of_nothing_moves_ctime_and_takes_the_capability),
		FSFIX_BOTH(an_explicit_mode_wins_over_what_chown_clears),
		FSFIX_BOTH(times_are_taken_as_given),
		FSFIX_BOTH(now_is_the_leaders),
		FSFIX_BOTH(a_read_moves_atime_alone_and_never_back_or_behind_a_change),
		FSFIX_BOTH(the_end_of_time_is_no_overflow),
		FSFIX_BOTH(a_rewrite_with_mtime_set_back_shows_in_the_data_version),
		FSFIX_BOTH(a_truncate_with_mtime_keeps_the_given_one),
		FSFIX_BOTH(statfs_counts_inodes_and_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
