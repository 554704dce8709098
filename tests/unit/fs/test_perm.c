/* test_perm.c - callers whom nobody else checks. tests/posix/test_squash.sh compares decisions with Linux'. */
#include <fcntl.h>
#include <sys/stat.h>

#include "tests/lib/fsfix.h"

static int checked(struct fsfix *f, struct fs_request rq)
{
	rq.checked = true;
	return fsfix_eval(f, rq);
}

static void a_stranger_is_refused_where_a_mode_says_so(void **state)
{
	struct fsfix *f = *state;
	uint64_t dir = fsfix_dir(f, FS_ROOT_INO, "d"), ino = fsfix_file(f, dir, "f");

	assert_int_equal(fsfix_chmod(f, ino, 0640), 0);
	assert_int_equal(fsfix_chmod(f, dir, 0711), 0);
	f->uid = f->gid = 7;
	assert_int_equal(checked(f, (struct fs_request){ .op = FS_LOOKUP, .ino = dir, .name = "f", .name_len = 1 }), 0);
	assert_int_equal(checked(f, (struct fs_request){ .op = FS_OPEN, .ino = ino }), -EACCES);
	assert_int_equal(checked(f, (struct fs_request){ .op = FS_ACCESS, .ino = dir, .mode = 4 }), -EACCES);
	assert_int_equal(checked(f, (struct fs_request){ .op = FS_UNLINK, .ino = dir, .name = "f", .name_len = 1 }), -EACCES);
	assert_int_equal(checked(f, (struct fs_request){ .op = FS_SETATTR, .ino = ino, .valid = FS_SET_MODE }), -EPERM);
	/* The same unchecked: the kernel has done it. */
	assert_int_equal(fsfix_eval(f, (struct fs_request){ .op = FS_OPEN, .ino = ino }), 0);
	f->gid = 0;
	assert_int_equal(checked(f, (struct fs_request){ .op = FS_OPEN, .ino = ino }), 0);
	assert_int_equal(checked(f, (struct fs_request){ .op = FS_OPEN, .ino = ino, .flags = O_RDWR }), -EACCES);
}

/* Whatever a client sends: checking permissions looks names up, and these are none. */
static void names_that_are_none_are_answered_as_ever(void **state)
{
	static const uint8_t ops[] = { FS_LOOKUP, FS_CREATE, FS_MKDIR, FS_SYMLINK, FS_MKNOD,
				       FS_UNLINK, FS_RMDIR,  FS_LINK,  FS_RENAME,  FS_SETXATTR };
	static char text[300];
	static const size_t lengths[] = { 0, FS_NAME_MAX + 1, sizeof(text) };
	struct fsfix *f = *state;
	uint64_t dir = fsfix_dir(f, FS_ROOT_INO, "d");

	memset(text, 'x', sizeof(text));
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(lengths) * 2; k++) {
			struct fs_request rq = { .op = ops[i],
						 .ino = dir,
						 .ino2 = FS_ROOT_INO,
						 .flags = k % 2,
						 .name = text,
						 .name_len = lengths[k / 2],
						 .name2 = text,
						 .name2_len = lengths[k / 2],
						 .mode = S_IFREG,
						 .data = "x",
						 .data_len = 1 };

			assert_int_equal(checked(f, rq), fsfix_eval(f, rq));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FSFIX_BOTH(a_stranger_is_refused_where_a_mode_says_so),
		FSFIX_BOTH(names_that_are_none_are_answered_as_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
