/* test_xattr.c - extended attributes. */
#include <sys/stat.h>
#include <sys/xattr.h>

#include "tests/lib/fsfix.h"

static int listxattr_op(struct fsfix *f, uint64_t ino)
{
	return fsfix_eval(f, (struct fs_request){ .op = FS_LISTXATTR, .ino = ino });
}

static int remove_op(struct fsfix *f, uint64_t ino, const char *name)
{
	return fsfix_eval(f, (struct fs_request){ .op = FS_REMOVEXATTR,
						  .ino = ino,
						  .name = name,
						  .name_len = strlen(name) });
}

static void a_value_is_read_back(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");
	struct fs_attr a = fsfix_attr(f, ino);

	assert_int_equal(fsfix_setxattr(f, ino, "user.a", "value", 0), 0);
	assert_int_equal(fsfix_getxattr(f, ino, "user.a"), 0);
	assert_int_equal(f->reply.data_len, 5);
	assert_memory_equal(f->reply.data, "value", 5);
	assert_true(fsfix_attr(f, ino).ctime_ns > a.ctime_ns);
	assert_int_equal(fsfix_attr(f, ino).mtime_ns, a.mtime_ns);
	assert_int_equal(fsfix_setxattr(f, ino, "user.a", "", 0), 0);
	assert_int_equal(fsfix_getxattr(f, ino, "user.a"), 0);
	assert_int_equal(f->reply.data_len, 0);
	assert_int_equal(fsfix_getxattr(f, ino, "user.b"), -ENODATA);
	assert_int_equal(fsfix_getxattr(f, 999, "user.b"), -ESTALE);
}

static void the_list_is_nul_separated(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");
	static const char want[] = "security.s\0trusted.t\0user.u";

	assert_int_equal(listxattr_op(f, ino), 0);
	assert_int_equal(f->reply.data_len, 0);
	assert_int_equal(fsfix_setxattr(f, ino, "user.u", "1", 0), 0);
	assert_int_equal(fsfix_setxattr(f, ino, "trusted.t", "2", 0), 0);
	assert_int_equal(fsfix_setxattr(f, ino, "security.s", "3", 0), 0);
	assert_int_equal(fsfix_setxattr(f, fsfix_file(f, FS_ROOT_INO, "g"), "user.other", "4", 0),
			 0);
	assert_int_equal(listxattr_op(f, ino), 0);
	assert_int_equal(f->reply.data_len, sizeof(want));
	assert_memory_equal(f->reply.data, want, sizeof(want));
}

static void create_and_replace_are_exact(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");

	assert_int_equal(fsfix_setxattr(f, ino, "user.a", "1", XATTR_REPLACE), -ENODATA);
	assert_int_equal(fsfix_setxattr(f, ino, "user.a", "1", XATTR_CREATE), 0);
	assert_int_equal(fsfix_setxattr(f, ino, "user.a", "2", XATTR_CREATE), -EEXIST);
	assert_int_equal(fsfix_setxattr(f, ino, "user.a", "2", XATTR_REPLACE), 0);
	assert_int_equal(fsfix_setxattr(f, ino, "user.a", "2", XATTR_REPLACE | XATTR_CREATE),
			 -EINVAL);
	assert_int_equal(fsfix_setxattr(f, ino, "user.a", "2", 64), -EINVAL);
}

static void remove_takes_what_is_there(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");

	assert_int_equal(remove_op(f, ino, "user.a"), -ENODATA);
	assert_int_equal(fsfix_setxattr(f, ino, "user.a", "1", 0), 0);
	assert_int_equal(remove_op(f, ino, "user.a"), 0);
	assert_int_equal(fsfix_getxattr(f, ino, "user.a"), -ENODATA);
	assert_int_equal(remove_op(f, ino, "user.a"), -ENODATA);
}

static void unknown_name_spaces_are_refused(void **state)
{
	struct fsfix *f = *state;
	static const struct {
		const char *name;
		int want;
	} cases[] = {
		{ "system.posix_acl_accesses", -EOPNOTSUPP },
		{ "system.other", -EOPNOTSUPP },
		{ "nons", -EOPNOTSUPP },
		{ "other.a", -EOPNOTSUPP },
		{ "user", -EOPNOTSUPP },
		{ "user.", -EINVAL },
		{ "", -ERANGE },
	};
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(fsfix_setxattr(f, ino, cases[i].name, "v", 0), cases[i].want);
		assert_int_equal(fsfix_getxattr(f, ino, cases[i].name), cases[i].want);
		assert_int_equal(remove_op(f, ino, cases[i].name), cases[i].want);
	}
}

static void sizes_are_limited(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");
	char name[FS_XATTR_NAME_MAX + 2];
	struct fs_request rq = { .op = FS_SETXATTR, .ino = ino, .name = "user.big", .name_len = 8 };
	void *value = mem_calloc(1, FS_XATTR_SIZE_MAX + 1);

	rq.data = value;
	rq.data_len = FS_XATTR_SIZE_MAX + 1;
	assert_int_equal(fsfix_eval(f, rq), -E2BIG);
	rq.data_len = FS_XATTR_SIZE_MAX;
	assert_int_equal(fsfix_eval(f, rq), 0);
	assert_int_equal(fsfix_getxattr(f, ino, "user.big"), 0);
	assert_int_equal(f->reply.data_len, FS_XATTR_SIZE_MAX);
	memset(name, 'n', sizeof(name));
	memcpy(name, "user.", 5);
	name[FS_XATTR_NAME_MAX + 1] = '\0';
	assert_int_equal(fsfix_setxattr(f, ino, name, "v", 0), -ERANGE);
	name[FS_XATTR_NAME_MAX] = '\0';
	assert_int_equal(fsfix_setxattr(f, ino, name, "v", 0), 0);
	free(value);
}

static void the_list_never_outgrows_listxattr(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");
	char name[FS_XATTR_NAME_MAX + 1];
	int ret = 0;

	memset(name, 'n', sizeof(name));
	name[FS_XATTR_NAME_MAX] = '\0';
	for (unsigned i = 0; ret == 0; i++) {
		assert_true(i < 1000);
		snprintf(name, 16, "user.%05u", i);
		name[10] = 'n';
		ret = fsfix_setxattr(f, ino, name, "v", 0);
	}
	assert_int_equal(ret, -ENOSPC);
	assert_int_equal(listxattr_op(f, ino), 0);
	assert_int_equal(f->reply.data_len, 65536);
}

static void attributes_go_with_their_inode(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");
	char name[32];

	f->stack = 500;
	for (unsigned i = 0; i < FS_RECLAIM_BLOCKS + 5; i++) {
		snprintf(name, sizeof(name), "user.%u", i);
		assert_int_equal(fsfix_setxattr(f, ino, name, "v", 0), 0);
	}
	assert_int_equal(fsfix_unlink(f, FS_ROOT_INO, "f"), 0);
	assert_int_equal(fsfix_reclaim(f, ino), 0);
	assert_true(f->orphans);
	assert_int_equal(fsfix_getattr(f, ino), -ESTALE);
	fsfix_check(f);
	assert_int_equal(fsfix_reclaim_all(f), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FSFIX_BOTH(a_value_is_read_back),
		FSFIX_BOTH(the_list_is_nul_separated),
		FSFIX_BOTH(create_and_replace_are_exact),
		FSFIX_BOTH(remove_takes_what_is_there),
		FSFIX_BOTH(unknown_name_spaces_are_refused),
		FSFIX_BOTH(sizes_are_limited),
		FSFIX_BOTH(the_list_never_outgrows_listxattr),
		FSFIX_BOTH(attributes_go_with_their_inode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
