/* rights.c - who may, and what a change takes away: modes, set-id bits, capabilities, sticky bit, ACLs. */
#include <linux/falloc.h>
#include <sys/xattr.h>

#include "base/buf.h"
#include "tests/posix/multi/multi.h"

#define CAPABILITY "security.capability"
#define ACL_ACCESS "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"

/* ---- permissions ---- */

static void permissions(void)
{
	close(make_file(0, "f", "text", 0600));
	OK(mkdir(P(0, "d"), 0755));
	close(make_file(0, "d/f", "text", 0644));
	for (int i = 0; i < 6; i++) {
		int a = i % MOUNTS, b = (i + 1) % MOUNTS;

		become(ALICE, ALICE, 0);
		FAILS(EACCES, open(P(b, "f"), O_RDONLY));
		FAILS(EACCES, open(P(b, "d/new"), O_RDWR | O_CREAT, 0600));
		become_root();
		OK(chmod(P(a, "f"), 0604));
		OK(chmod(P(a, "d"), 0757));
		become(ALICE, ALICE, 0);
		text_is(b, "f", "text");
		FAILS(EACCES, open(P(b, "f"), O_WRONLY));
		FAILS(EPERM, chmod(P(b, "f"), 0777));
		FAILS(EPERM, chown(P(b, "f"), ALICE, ALICE));
		FAILS(EPERM, utimensat(AT_FDCWD, P(b, "f"),
				       (struct timespec[2]){ { 1, 1 }, { 1, 1 } }, 0));
		FAILS(EACCES, utimensat(AT_FDCWD, P(b, "f"), NULL, 0));
		FAILS(EACCES, truncate(P(b, "f"), 0));
		close((int)OK(open(P(b, "d/new"), O_RDWR | O_CREAT | O_EXCL, 0600)));
		OK(unlink(P(b, "d/new")));
		become_root();
		OK(chown(P(a, "f"), ALICE, ALICE));
		become(ALICE, ALICE, 0);
		close((int)OK(open(P(b, "f"), O_WRONLY)));
		OK(utimensat(AT_FDCWD, P(b, "f"), NULL, 0));
		FAILS(EPERM, chown(P(b, "f"), BOB, -1));
		FAILS(EPERM, chown(P(b, "f"), -1, BOB));
		OK(chown(P(b, "f"), -1, ALICE));
		become_root();
		OK(chmod(P(a, "d"), 0700));
		become(ALICE, ALICE, 0);
		FAILS(EACCES, open(P(b, "d/f"), O_RDONLY));
		FAILS(EACCES, unlink(P(b, "d/f")));
		become_root();
		OK(chmod(P(a, "d"), 0755));
		OK(chmod(P(a, "f"), 0600));
		OK(chown(P(a, "f"), 0, 0));
	}
}

/* ---- set-user-ID, set-group-ID, file capabilities ---- */

/* The capability cap_net_raw, as the kernel stores it since version 2. */
static void give_capability(int mount, const char *name)
{
	struct buf cap = BUF_INIT;

	buf_put_le32(&cap, 0x02000001);
	buf_put_le32(&cap, 1u << 13);
	buf_put_zeros(&cap, 12);
	OK(setxattr(P(mount, name), CAPABILITY, cap.data, cap.len, 0));
	buf_release(&cap);
}

static bool has_capability(int mount, const char *name)
{
	char value[64];
	ssize_t len = getxattr(P(mount, name), CAPABILITY, value, sizeof(value));

	if (len < 0)
		IS(ENODATA, errno);
	return len >= 0;
}

static void by_write(int mount)
{
	int fd = (int)OK(open(P(mount, "f"), O_WRONLY | O_CLOEXEC));

	IS(1, write(fd, "x", 1));
	OK(close(fd));
}

static void by_append(int mount)
{
	int fd = (int)OK(open(P(mount, "f"), O_RDWR | O_APPEND | O_CLOEXEC));

	IS(1, write(fd, "x", 1));
	OK(close(fd));
}

static void by_truncate(int mount)
{
	OK(truncate(P(mount, "f"), 3));
}

static void by_ftruncate(int mount)
{
	int fd = (int)OK(open(P(mount, "f"), O_RDWR | O_CLOEXEC));

	OK(ftruncate(fd, 2));
	OK(close(fd));
}

static void by_open_trunc(int mount)
{
	OK(close((int)OK(open(P(mount, "f"), O_WRONLY | O_TRUNC | O_CLOEXEC))));
}

static void by_fallocate(int mount)
{
	int fd = (int)OK(open(P(mount, "f"), O_RDWR | O_CLOEXEC));

	OK(fallocate(fd, 0, 0, 100000));
	OK(close(fd));
}

static void by_punch(int mount)
{
	int fd = (int)OK(open(P(mount, "f"), O_RDWR | O_CLOEXEC));

	OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
	OK(close(fd));
}

static void by_copy(int mount)
{
	int in = (int)OK(open(P(mount, "source"), O_RDONLY | O_CLOEXEC));
	int out = (int)OK(open(P(mount, "f"), O_WRONLY | O_CLOEXEC));

	IS(6, copy_file_range(in, NULL, out, NULL, 6, 0));
	OK(close(in));
	OK(close(out));
}

static void (*const changes[])(int mount) = { by_write,     by_append,     by_truncate,
					      by_ftruncate, by_open_trunc, by_fallocate,
					      by_punch,     by_copy };

/* Every change of the contents, by each kind of caller: what is left of the mode and of a capability. */
static void set_id_bits_and_writing(void)
{
	static const struct {
		uid_t uid;
		gid_t gid, second;
		mode_t mode, want;
	} cases[] = {
		{ 0, 0, 0, 06777, 06777 },
		{ ALICE, ALICE, 0, 04777, 0777 },
		{ ALICE, ALICE, 0, 06777, 0777 },
		{ ALICE, ALICE, 0, 02777, 0777 },
		{ ALICE, ALICE, STAFF, 06766, 02766 }, /* no S_IXGRP, and a member */
		{ BOB, BOB, 0, 06777, 0777 },
		{ BOB, BOB, STAFF, 02767, 02767 },
		{ BOB, BOB, STAFF, 06777, 0777 },
	};
	int from = 0;

	close(make_file(0, "source", "source", 0644));
	for (size_t c = 0; c < ARRAY_SIZE(changes); c++) {
		for (size_t i = 0; i < ARRAY_SIZE(cases); i++, from++) {
			if (in_short() && (i + c) % 4 != 0)
				continue;
			int a = from % MOUNTS, b = (from + 1) % MOUNTS;

			become_root();
			(void)unlink(P(a, "f"));
			close(make_file(a, "f", "12345678", 0777));
			OK(chown(P(b, "f"), ALICE, STAFF));
			OK(chmod(P(a, "f"), cases[i].mode));
			give_capability(b, "f");
			become(cases[i].uid, cases[i].gid, cases[i].second);
			changes[c](a);
			if (mode_of(b, "f") != cases[i].want)
				printf("  change %zu, case %zu:\n", c, i);
			IS(cases[i].want, mode_of(b, "f"));
			TRUE(!has_capability(b, "f"));
		}
	}
}

/*
 * Who is not of the group takes S_ISGID away also without S_IXGRP, where it means nothing. FUSE does not tell a
 * caller's groups, so there it stays.
 */
static void set_gid_and_strangers(void)
{
	const mode_t want = on_fuse() ? 02766 : 0766;

	for (size_t c = 0; c < ARRAY_SIZE(changes); c++) {
		int a = (int)c % MOUNTS, b = (int)(c + 1) % MOUNTS;

		become_root();
		(void)unlink(P(a, "f"));
		(void)unlink(P(a, "source"));
		close(make_file(a, "source", "source", 0644));
		close(make_file(a, "f", "12345678", 0777));
		OK(chown(P(a, "f"), ALICE, STAFF));
		OK(chmod(P(b, "f"), 06766));
		become(BOB, BOB, 0);
		changes[c](a);
		if (mode_of(b, "f") != want)
			printf("  change %zu:\n", c);
		IS(want, mode_of(b, "f"));
	}
}

static void set_id_bits_and_owners(void)
{
	static const mode_t types[] = { S_IFREG, S_IFIFO, S_IFSOCK };

	for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
		for (int i = 0; i < 3; i++) {
			int a = i, b = (i + 1) % MOUNTS;

			become_root();
			(void)unlink(P(b, "f"));
			OK(mknod(P(a, "f"), types[t] | 0600, 0));
			OK(chown(P(a, "f"), ALICE, STAFF));
			OK(chmod(P(b, "f"), 06755));
			OK(chown(P(a, "f"), -1, BOB)); /* root, too */
			IS(0755, mode_of(b, "f"));
			OK(chmod(P(a, "f"), 06744));
			OK(chown(P(b, "f"), -1, STAFF));
			IS(02744, mode_of(a, "f"));
			OK(chmod(P(a, "f"), 06755));
			OK(chown(P(b, "f"), -1,
				 -1)); /* FUSE does not tell that from the end of a capability */
			IS(on_fuse() ? 06755 : 0755, mode_of(a, "f"));
			OK(chmod(P(a, "f"), 06755));
			if (types[t] == S_IFREG)
				give_capability(a, "f");
			become(ALICE, ALICE, STAFF);
			OK(chown(P(b, "f"), -1, ALICE));
			IS(0755, mode_of(a, "f"));
			if (types[t] == S_IFREG)
				TRUE(!has_capability(a, "f"));
		}
	}
	become_root();
	OK(mkdir(P(0, "d"), 0755));
	OK(chmod(P(0, "d"), 06755));
	OK(chown(P(1, "d"), ALICE, STAFF));
	IS(06755, mode_of(2, "d"));
}

static void set_gid_by_owner(void)
{
	close(make_file(0, "f", "", 0644));
	OK(chown(P(0, "f"), ALICE, STAFF));
	become(ALICE, ALICE, 0);
	OK(chmod(P(1, "f"), 06755)); /* not of the group */
	IS(04755, mode_of(2, "f"));
	become(ALICE, ALICE, STAFF);
	OK(chmod(P(2, "f"), 06755));
	IS(06755, mode_of(0, "f"));
}

static void set_gid_directories(void)
{
	OK(mkdir(P(0, "d"), 0755));
	OK(chown(P(0, "d"), 0, STAFF));
	OK(chmod(P(0, "d"), 02777));
	become(ALICE, ALICE, 0);
	OK(mkdir(P(1, "d/sub"), 0755));
	IS(02755, mode_of(2, "d/sub"));
	IS(STAFF, look(2, "d/sub").st_gid);
	IS(ALICE, look(0, "d/sub").st_uid);
	close((int)OK(open(P(1, "d/f"), O_RDWR | O_CREAT, 02775)));
	IS(STAFF, look(0, "d/f").st_gid);
	IS(0755, mode_of(0, "d/f")); /* no member */
	become(ALICE, ALICE, STAFF);
	close((int)OK(open(P(2, "d/sub/f"), O_RDWR | O_CREAT, 02775)));
	IS(02755, mode_of(0, "d/sub/f"));
	OK(symlink("x", P(2, "d/l")));
	OK(mkfifo(P(2, "d/p"), 0644));
	IS(STAFF, look(1, "d/l").st_gid);
	IS(STAFF, look(1, "d/p").st_gid);
	become_root();
	OK(chmod(P(2, "d"), 0777));
	OK(mkdir(P(1, "d/plain"), 0755));
	IS(0755, mode_of(0, "d/plain"));
	IS(0, look(0, "d/plain").st_gid);
}

static void sticky_directories(void)
{
	OK(mkdir(P(0, "d"), 0755));
	OK(chmod(P(0, "d"), 01777));
	OK(mkdir(P(0, "own"), 0755));
	OK(chown(P(0, "own"), BOB, BOB));
	become(ALICE, ALICE, 0);
	close((int)OK(open(P(1, "d/f"), O_RDWR | O_CREAT, 0666)));
	OK(mkdir(P(1, "d/s"), 0777));
	become(BOB, BOB, 0);
	for (int m = 0; m < MOUNTS; m++) {
		FAILS(EPERM, unlink(P(m, "d/f")));
		FAILS(EPERM, rmdir(P(m, "d/s")));
		FAILS(EPERM, rename(P(m, "d/f"), P(m, "d/g")));
		FAILS(EPERM, rename(P(m, "d/f"), P(m, "own/f")));
		close((int)OK(open(P(m, "own/mine"), O_RDWR | O_CREAT, 0666)));
		FAILS(EPERM, rename(P(m, "own/mine"), P(m, "d/f"))); /* would replace it */
		OK(link(P(m, "own/mine"), P(m, "d/mine")));
		OK(unlink(P(m, "d/mine")));
	}
	become_root();
	OK(chmod(P(2, "d"), 0777));
	become(BOB, BOB, 0);
	OK(rename(P(0, "d/f"), P(0, "d/g")));
	become_root();
	OK(chmod(P(1, "d"), 01777));
	become(BOB, BOB, 0);
	FAILS(EPERM, unlink(P(2, "d/g")));
	become_root();
	OK(chown(P(0, "d"), BOB, BOB)); /* the directory's owner may */
	become(BOB, BOB, 0);
	OK(unlink(P(1, "d/g")));
	become(ALICE, ALICE, 0);
	OK(rmdir(P(2, "d/s"))); /* and the entry's */
}

/* ---- umask and ACLs ---- */

static void umask_counts(void)
{
	static const struct {
		mode_t mask, mode, want;
	} cases[] = {
		{ 022, 0666, 0644 }, { 077, 0777, 0700 }, { 0, 0777, 0777 }, { 027, 01755, 01750 }
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int a = (int)i % MOUNTS, b = (a + 1) % MOUNTS;

		umask(cases[i].mask);
		close((int)OK(open(P(a, "f"), O_RDWR | O_CREAT | O_EXCL, cases[i].mode)));
		OK(mkdir(P(a, "d"), cases[i].mode));
		OK(mkfifo(P(a, "p"), cases[i].mode));
		IS(cases[i].want, mode_of(b, "f"));
		IS(cases[i].want, mode_of(b, "d"));
		IS(cases[i].want, mode_of(b, "p"));
		OK(unlink(P(b, "f")));
		OK(rmdir(P(b, "d")));
		OK(unlink(P(b, "p")));
	}
}

struct entry {
	uint16_t tag, perm;
	uint32_t id;
};

#define NOBODY UINT32_MAX
/* user::uo, user:ALICE:na, group::go, mask::ma, other::ot - tags of acl(5) in the kernel's order */
#define ACL(uo, na, go, ma, ot)                                                                    \
	(const struct entry[])                                                                     \
	{                                                                                          \
		{ 0x01, uo, NOBODY }, { 0x02, na, ALICE }, { 0x04, go, NOBODY },                   \
			{ 0x10, ma, NOBODY },                                                      \
		{                                                                                  \
			0x20, ot, NOBODY                                                           \
		}                                                                                  \
	}
#define ACL_ENTRIES 5

static void put_acl(struct buf *out, const struct entry e[ACL_ENTRIES])
{
	buf_put_le32(out, 2); /* the format's version */
	for (int i = 0; i < ACL_ENTRIES; i++) {
		buf_put_le16(out, e[i].tag);
		buf_put_le16(out, e[i].perm);
		buf_put_le32(out, e[i].id);
	}
}

static int set_acl(int mount, const char *name, const char *kind, const struct entry e[ACL_ENTRIES])
{
	struct buf acl = BUF_INIT;

	put_acl(&acl, e);
	int ret = setxattr(P(mount, name), kind, acl.data, acl.len, 0);
	int err = errno;

	buf_release(&acl);
	errno = err;
	return ret;
}

static void acl_is(int mount, const char *name, const char *kind, const struct entry e[ACL_ENTRIES])
{
	struct buf want = BUF_INIT;
	char got[256];
	ssize_t len = OK(getxattr(P(mount, name), kind, got, sizeof(got)));

	put_acl(&want, e);
	IS(want.len, len);
	TRUE(memcmp(got, want.data, want.len) == 0);
	buf_release(&want);
}

static void acls_and_modes(void)
{
	char got[64];

	close(make_file(0, "f", "text", 0640));
	if (set_acl(0, "f", ACL_ACCESS, ACL(6, 6, 4, 6, 0)) < 0 && errno == EOPNOTSUPP)
		SKIP("no ACLs here");
	for (int m = 0; m < MOUNTS; m++) {
		IS(0660, mode_of(m, "f")); /* the mask shows as the group's bits */
		acl_is(m, "f", ACL_ACCESS, ACL(6, 6, 4, 6, 0));
	}
	OK(chmod(P(1, "f"), 0700)); /* and the group's bits are the mask */
	for (int m = 0; m < MOUNTS; m++)
		acl_is(m, "f", ACL_ACCESS, ACL(7, 6, 4, 0, 0));
	become(ALICE, ALICE, 0);
	FAILS(EACCES, open(P(2, "f"), O_RDONLY));
	become_root();
	for (int i = 0; i < 6; i++) {
		int a = i % MOUNTS, b = (i + 1) % MOUNTS;

		OK(chmod(P(a, "f"), 0640));
		become(ALICE, ALICE, 0);
		text_is(b, "f", "text");
		FAILS(EACCES, open(P(b, "f"), O_WRONLY));
		become_root();
		OK(chmod(P(b, "f"), 0600));
		become(ALICE, ALICE, 0);
		FAILS(EACCES, open(P(a, "f"), O_RDONLY));
		FAILS(EPERM, set_acl(a, "f", ACL_ACCESS, ACL(6, 6, 4, 6, 0)));
		become_root();
	}
	OK(removexattr(P(2, "f"), ACL_ACCESS));
	FAILS(ENODATA, getxattr(P(0, "f"), ACL_ACCESS, got, sizeof(got)));
	FAILS(EACCES, set_acl(1, "f", ACL_DEFAULT, ACL(6, 6, 4, 6, 0)));
	FAILS(EINVAL, setxattr(P(1, "f"), ACL_ACCESS, "\2\0\0\0junk", 8, 0));
}

static void default_acls(void)
{
	char got[64];

	OK(mkdir(P(0, "d"), 0755));
	if (set_acl(0, "d", ACL_DEFAULT, ACL(7, 7, 5, 7, 0)) < 0 && errno == EOPNOTSUPP)
		SKIP("no ACLs here");
	FAILS(ENODATA, getxattr(P(1, "d"), ACL_ACCESS, got, sizeof(got)));
	umask(077); /* which does not count there */
	close((int)OK(open(P(1, "d/f"), O_RDWR | O_CREAT, 0664)));
	OK(mkdir(P(2, "d/s"), 0775));
	OK(mkfifo(P(0, "d/p"), 0606));
	OK(symlink("x", P(1, "d/l")));
	for (int m = 0; m < MOUNTS; m++) {
		IS(0660, mode_of(m, "d/f"));
		acl_is(m, "d/f", ACL_ACCESS, ACL(6, 7, 5, 6, 0));
		FAILS(ENODATA, getxattr(P(m, "d/f"), ACL_DEFAULT, got, sizeof(got)));
		IS(0770, mode_of(m, "d/s"));
		acl_is(m, "d/s", ACL_ACCESS, ACL(7, 7, 5, 7, 0));
		acl_is(m, "d/s", ACL_DEFAULT, ACL(7, 7, 5, 7, 0));
		IS(0600, mode_of(m, "d/p"));
		acl_is(m, "d/p", ACL_ACCESS, ACL(6, 7, 5, 0, 0));
		FAILS(EOPNOTSUPP, lgetxattr(P(m, "d/l"), ACL_ACCESS, got, sizeof(got)));
	}
	close((int)OK(open(P(0, "d/s/deep"), O_RDWR | O_CREAT, 0666)));
	acl_is(1, "d/s/deep", ACL_ACCESS, ACL(6, 7, 5, 6, 0));
	become(ALICE, ALICE, 0);
	close((int)OK(open(P(2, "d/s/deep"), O_RDWR)));
	become_root();
	OK(removexattr(P(1, "d"), ACL_DEFAULT));
	close((int)OK(open(P(2, "d/late"), O_RDWR | O_CREAT, 0664)));
	IS(0600, mode_of(0, "d/late"));
}

const struct multi_case right_cases[] = {
	{ "permissions", permissions },
	{ "set_id_bits_and_writing", set_id_bits_and_writing },
	{ "set_gid_and_strangers", set_gid_and_strangers },
	{ "set_id_bits_and_owners", set_id_bits_and_owners },
	{ "set_gid_by_owner", set_gid_by_owner },
	{ "set_gid_directories", set_gid_directories },
	{ "sticky_directories", sticky_directories },
	{ "umask_counts", umask_counts },
	{ "acls_and_modes", acls_and_modes },
	{ "default_acls", default_acls },
	{ NULL, NULL },
};
