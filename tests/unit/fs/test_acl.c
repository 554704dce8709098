/* test_acl.c - POSIX ACLs. What tests/posix/test_acl.sh compares with Linux is here by hand, and what is not valid. */
#include <sys/stat.h>
#include <sys/xattr.h>

#include "fs/ops/acl.h"
#include "tests/lib/fsfix.h"

#define NOBODY UINT32_MAX
#define ENTRY(TAG, PERM, ID)                                                                       \
	{                                                                                          \
		TAG, PERM, ID                                                                      \
	}

enum { U = 1, USER = 2, G = 4, GROUP = 8, M = 16, O = 32 };

static const struct acl_entry plain[] = { ENTRY(U, 6, NOBODY), ENTRY(G, 4, NOBODY),
					  ENTRY(O, 0, NOBODY) };
static const struct acl_entry named[] = { ENTRY(U, 7, NOBODY), ENTRY(USER, 6, 1001),
					  ENTRY(G, 5, NOBODY), ENTRY(GROUP, 1, 1002),
					  ENTRY(M, 6, NOBODY), ENTRY(O, 4, NOBODY) };

static int set_bytes(struct fsfix *f, uint64_t ino, const char *name, const void *data, size_t len)
{
	return fsfix_eval(f, (struct fs_request){ .op = FS_SETXATTR,
						  .ino = ino,
						  .name = name,
						  .name_len = strlen(name),
						  .data = data,
						  .data_len = len });
}

static void encode(const struct acl_entry *v, size_t count, struct buf *out)
{
	struct acl acl = { .count = count };

	memcpy(acl.v, v, count * sizeof(*v));
	acl_encode(&acl, out);
}

static int set_acl(struct fsfix *f, uint64_t ino, const char *name, const struct acl_entry *v,
		   size_t count)
{
	struct buf b = BUF_INIT;
	int ret;

	encode(v, count, &b);
	ret = set_bytes(f, ino, name, b.data, b.len);
	buf_release(&b);
	return ret;
}

static void assert_acl(struct fsfix *f, uint64_t ino, const char *name, const struct acl_entry *v,
		       size_t count)
{
	struct acl acl;

	assert_int_equal(fsfix_getxattr(f, ino, name), 0);
	assert_int_equal(acl_decode(&acl, f->reply.data, f->reply.data_len), 0);
	assert_int_equal(acl.count, count);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(acl.v[i].tag, v[i].tag);
		assert_int_equal(acl.v[i].perm, v[i].perm);
		assert_int_equal(acl.v[i].id, v[i].id);
	}
}

static uint32_t mode_of(struct fsfix *f, uint64_t ino)
{
	return fsfix_attr(f, ino).mode & 07777;
}

static void an_acl_moves_the_mode(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");
	struct fs_attr before;

	assert_int_equal(fsfix_chmod(f, ino, 04600), 0);
	before = f->reply.attr;
	assert_int_equal(set_acl(f, ino, FS_ACL_ACCESS, named, ARRAY_SIZE(named)), 0);
	assert_int_equal(mode_of(f, ino), 04764);
	assert_true(fsfix_attr(f, ino).ctime_ns > before.ctime_ns);
	assert_int_equal(fsfix_attr(f, ino).data_version, before.data_version);
	assert_acl(f, ino, FS_ACL_ACCESS, named, ARRAY_SIZE(named));
	/* It says no more than the mode: nothing is stored. */
	assert_int_equal(set_acl(f, ino, FS_ACL_ACCESS, plain, ARRAY_SIZE(plain)), 0);
	assert_int_equal(mode_of(f, ino), 04640);
	assert_int_equal(fsfix_getxattr(f, ino, FS_ACL_ACCESS), -ENODATA);
}

static void chmod_moves_the_acl(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");
	struct acl_entry want[ARRAY_SIZE(named)];

	memcpy(want, named, sizeof(want));
	assert_int_equal(set_acl(f, ino, FS_ACL_ACCESS, named, ARRAY_SIZE(named)), 0);
	assert_int_equal(fsfix_chmod(f, ino, 0531), 0);
	want[0].perm = 5;
	want[4].perm = 3; /* the mask, not the group */
	want[5].perm = 1;
	assert_acl(f, ino, FS_ACL_ACCESS, want, ARRAY_SIZE(want));
	assert_int_equal(mode_of(f, ino), 0531);
}

static int make(struct fsfix *f, uint64_t parent, const char *name, uint32_t mode, uint32_t umask)
{
	return fsfix_eval(f, (struct fs_request){ .op = S_ISDIR(mode) ? FS_MKDIR : FS_MKNOD,
						  .ino = parent,
						  .name = name,
						  .name_len = strlen(name),
						  .mode = mode,
						  .valid = umask });
}

static void a_default_acl_is_inherited_and_no_umask_counts(void **state)
{
	struct fsfix *f = *state;
	uint64_t dir = fsfix_dir(f, FS_ROOT_INO, "d"), sub, file;
	struct acl_entry want[ARRAY_SIZE(named)];

	memcpy(want, named, sizeof(want));
	assert_int_equal(set_acl(f, dir, FS_ACL_DEFAULT, named, ARRAY_SIZE(named)), 0);
	assert_int_equal(make(f, dir, "sub", S_IFDIR | 0777, 077), 0);
	sub = f->reply.attr.ino;
	assert_int_equal(f->reply.attr.mode & 07777, 0764);
	assert_acl(f, sub, FS_ACL_DEFAULT, named, ARRAY_SIZE(named));
	assert_acl(f, sub, FS_ACL_ACCESS, named, ARRAY_SIZE(named));
	assert_int_equal(make(f, sub, "file", S_IFREG | 0640, 077), 0);
	file = f->reply.attr.ino;
	assert_int_equal(f->reply.attr.mode & 07777, 0640);
	want[0].perm = 6;
	want[4].perm = 4;
	want[5].perm = 0;
	assert_acl(f, file, FS_ACL_ACCESS, want, ARRAY_SIZE(want));
	assert_int_equal(fsfix_getxattr(f, file, FS_ACL_DEFAULT), -ENODATA);
	/* A symlink has none, and all permissions. */
	assert_int_equal(fsfix_symlink(f, dir, "link", "target"), 0);
	assert_int_equal(f->reply.attr.mode & 07777, 0777);
	assert_int_equal(fsfix_getxattr(f, f->reply.attr.ino, FS_ACL_ACCESS), -ENODATA);
}

static void a_default_acl_of_three_restricts_the_mode_alone(void **state)
{
	struct fsfix *f = *state;
	uint64_t dir = fsfix_dir(f, FS_ROOT_INO, "d");

	assert_int_equal(set_acl(f, dir, FS_ACL_DEFAULT, plain, ARRAY_SIZE(plain)), 0);
	assert_int_equal(make(f, dir, "file", S_IFREG | 02777, 0777), 0);
	assert_int_equal(f->reply.attr.mode & 07777, 02640);
	assert_int_equal(fsfix_getxattr(f, f->reply.attr.ino, FS_ACL_ACCESS), -ENODATA);
}

static void the_umask_counts_without_a_default_acl(void **state)
{
	struct fsfix *f = *state;
	static const uint32_t types[] = { S_IFDIR, S_IFREG, S_IFIFO };
	uint64_t dir = fsfix_dir(f, FS_ROOT_INO, "d");

	assert_int_equal(set_acl(f, dir, FS_ACL_ACCESS, named, ARRAY_SIZE(named)), 0);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		char name[] = { (char)('a' + i), 0 };

		assert_int_equal(make(f, dir, name, types[i] | 01777, 07027), 0);
		assert_int_equal(f->reply.attr.mode, types[i] | 01750);
	}
}

static void an_acl_takes_setgid_from_who_is_not_in_the_group(void **state)
{
	struct fsfix *f = *state;
	static const struct {
		uint32_t uid, gid, other;
		uint32_t want;
	} cases[] = {
		{ 0, 0, 0, 02764 },
		{ 5, 7, 0, 02764 },
		{ 5, 5, 7, 02764 },
		{ 5, 5, 6, 0764 },
	};
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");
	struct buf b = BUF_INIT;

	encode(named, ARRAY_SIZE(named), &b);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char groups[8];

		f->uid = f->gid = 0;
		assert_int_equal(
			fsfix_eval(f, (struct fs_request){ .op = FS_SETATTR,
							   .ino = ino,
							   .valid = FS_SET_UID | FS_SET_GID,
							   .uid2 = 5,
							   .gid2 = 7 }),
			0);
		assert_int_equal(fsfix_chmod(f, ino, 02755), 0);
		f->uid = cases[i].uid;
		f->gid = cases[i].gid;
		store_le32((uint8_t *)groups, 99);
		store_le32((uint8_t *)groups + 4, cases[i].other);
		assert_int_equal(
			fsfix_eval(f, (struct fs_request){ .op = FS_SETXATTR,
							   .ino = ino,
							   .name = FS_ACL_ACCESS,
							   .name_len = strlen(FS_ACL_ACCESS),
							   .name2 = groups,
							   .name2_len = sizeof(groups),
							   .data = b.data,
							   .data_len = b.len }),
			0);
		assert_int_equal(mode_of(f, ino), cases[i].want);
	}
	buf_release(&b);
}

static void what_is_no_acl_is_refused(void **state)
{
	struct fsfix *f = *state;
	static const struct {
		struct acl_entry v[5];
		size_t count;
	} cases[] = {
		{ { ENTRY(U, 7, 0), ENTRY(G, 7, 0) }, 2 },                 /* no others */
		{ { ENTRY(G, 7, 0), ENTRY(U, 7, 0), ENTRY(O, 7, 0) }, 3 }, /* order */
		{ { ENTRY(U, 7, 0), ENTRY(U, 7, 0), ENTRY(G, 7, 0), ENTRY(O, 7, 0) },
		  4 },                                                     /* twice */
		{ { ENTRY(U, 8, 0), ENTRY(G, 7, 0), ENTRY(O, 7, 0) }, 3 }, /* permission */
		{ { ENTRY(U, 7, 0), ENTRY(3, 7, 0), ENTRY(G, 7, 0), ENTRY(O, 7, 0) }, 4 }, /* tag */
		{ { ENTRY(U, 7, 0), ENTRY(USER, 7, 1), ENTRY(G, 7, 0), ENTRY(O, 7, 0) },
		  4 }, /* no mask */
		{ { ENTRY(U, 7, 0), ENTRY(USER, 7, NOBODY), ENTRY(G, 7, 0), ENTRY(M, 7, 0),
		    ENTRY(O, 7, 0) },
		  5 },
		{ { ENTRY(U, 7, 0), ENTRY(G, 7, 0), ENTRY(M, 7, 0), ENTRY(M, 7, 0),
		    ENTRY(O, 7, 0) },
		  5 },
	};
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f"), dir = fsfix_dir(f, FS_ROOT_INO, "d");
	struct fs_attr before = fsfix_attr(f, ino);
	struct acl many = { .count = ACL_ENTRIES_MAX };
	struct buf b = BUF_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(set_acl(f, ino, FS_ACL_ACCESS, cases[i].v, cases[i].count),
				 -EINVAL);
	encode(plain, ARRAY_SIZE(plain), &b);
	for (size_t len = 0; len < b.len; len++)
		assert_int_equal(set_bytes(f, ino, FS_ACL_ACCESS, b.data, len), -EINVAL);
	b.data[0] = 3;
	assert_int_equal(set_bytes(f, ino, FS_ACL_ACCESS, b.data, b.len), -EINVAL);
	buf_release(&b);
	for (size_t i = 0; i < many.count; i++)
		many.v[i] = (struct acl_entry)ENTRY(USER, 7, (uint32_t)i);
	acl_encode(&many, &b);
	buf_put_zeros(&b, 8);
	assert_int_equal(set_bytes(f, ino, FS_ACL_ACCESS, b.data, b.len), -E2BIG);
	buf_release(&b);
	assert_int_equal(set_acl(f, ino, FS_ACL_DEFAULT, plain, ARRAY_SIZE(plain)), -EACCES);
	assert_int_equal(fsfix_symlink(f, dir, "l", "t"), 0);
	assert_int_equal(set_acl(f, f->reply.attr.ino, FS_ACL_ACCESS, plain, ARRAY_SIZE(plain)),
			 -EOPNOTSUPP);
	assert_int_equal(fsfix_attr(f, ino).ctime_ns, before.ctime_ns);
}

static void removing_leaves_the_mode(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");
	struct fs_request rq = { .op = FS_REMOVEXATTR,
				 .ino = ino,
				 .name = FS_ACL_ACCESS,
				 .name_len = strlen(FS_ACL_ACCESS) };

	assert_int_equal(fsfix_eval(f, rq), 0);
	assert_false(f->mutated);
	assert_int_equal(set_acl(f, ino, FS_ACL_ACCESS, named, ARRAY_SIZE(named)), 0);
	assert_int_equal(fsfix_eval(f, rq), 0);
	assert_int_equal(mode_of(f, ino), 0764);
	assert_int_equal(fsfix_getxattr(f, ino, FS_ACL_ACCESS), -ENODATA);
}

/* The group bits are a mask then: they prove nothing. */
static void create_leaves_a_file_with_an_acl_to_the_kernel(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");

	assert_int_equal(set_acl(f, ino, FS_ACL_ACCESS, named, ARRAY_SIZE(named)), 0);
	assert_int_equal(fsfix_chmod(f, ino, 0666), 0);
	assert_int_equal(fsfix_create(f, FS_ROOT_INO, "f", 0600, 2 /* O_RDWR */), 0);
	f->uid = f->gid = 1001;
	assert_int_equal(fsfix_create(f, FS_ROOT_INO, "f", 0600, 2), -ESTALE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FSFIX_MEMORY(an_acl_moves_the_mode),
		FSFIX_MEMORY(chmod_moves_the_acl),
		FSFIX_MEMORY(a_default_acl_is_inherited_and_no_umask_counts),
		FSFIX_MEMORY(a_default_acl_of_three_restricts_the_mode_alone),
		FSFIX_MEMORY(the_umask_counts_without_a_default_acl),
		FSFIX_MEMORY(an_acl_takes_setgid_from_who_is_not_in_the_group),
		FSFIX_MEMORY(what_is_no_acl_is_refused),
		FSFIX_MEMORY(removing_leaves_the_mode),
		FSFIX_MEMORY(create_leaves_a_file_with_an_acl_to_the_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
