/* xattrs.c - extended attributes, and the identity of inodes: numbers and handles. */
#include <limits.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "tests/posix/multi/multi.h"

/* ---- extended attributes ---- */

static void set_and_seen(void)
{
	char got[300], list[512];

	close(make_file(0, "f", "", 0644));
	for (int i = 0; i < 9; i++) {
		int a = i % MOUNTS, b = (i + 1) % MOUNTS, c = (i + 2) % MOUNTS;
		char value[8];
		int len = snprintf(value, sizeof(value), "v%d", i);

		FAILS(ENODATA, getxattr(P(b, "f"), "user.a", got, sizeof(got)));
		FAILS(ENODATA, setxattr(P(a, "f"), "user.a", "x", 1, XATTR_REPLACE));
		OK(setxattr(P(a, "f"), "user.a", "old", 3, XATTR_CREATE));
		FAILS(EEXIST, setxattr(P(b, "f"), "user.a", "x", 1, XATTR_CREATE));
		OK(setxattr(P(c, "f"), "user.a", value, (size_t)len, XATTR_REPLACE));
		IS(len, getxattr(P(b, "f"), "user.a", got, sizeof(got)));
		TRUE(memcmp(got, value, (size_t)len) == 0);
		IS(len, getxattr(P(a, "f"), "user.a", NULL, 0));
		FAILS(ERANGE, getxattr(P(a, "f"), "user.a", got, 1));
		OK(setxattr(P(a, "f"), "user.empty", "", 0, 0));
		IS(0, getxattr(P(b, "f"), "user.empty", got, sizeof(got)));
		IS(18, listxattr(P(c, "f"), list, sizeof(list)));
		IS(18, listxattr(P(c, "f"), NULL, 0));
		FAILS(ERANGE, listxattr(P(c, "f"), list, 17));
		TRUE(memmem(list, 18, "user.a", 7) && memmem(list, 18, "user.empty", 11));
		OK(removexattr(P(c, "f"), "user.empty"));
		OK(removexattr(P(b, "f"), "user.a"));
		FAILS(ENODATA, removexattr(P(a, "f"), "user.a"));
		IS(0, listxattr(P(a, "f"), list, sizeof(list)));
	}
	FAILS(EINVAL, setxattr(P(0, "f"), "user.a", "x", 1, 4));
	/* Bytes, not text; renamed and linked with the file. */
	OK(setxattr(P(0, "f"), "user.b", "\0\1\0", 3, 0));
	OK(link(P(1, "f"), P(1, "g")));
	OK(rename(P(2, "f"), P(2, "h")));
	IS(3, getxattr(P(1, "h"), "user.b", got, sizeof(got)));
	IS(3, getxattr(P(0, "g"), "user.b", got, sizeof(got)));
	IS(1, got[1]);
	OK(unlink(P(0, "h")));
	IS(3, getxattr(P(2, "g"), "user.b", got, sizeof(got)));
	close(make_file(0, "f", "", 0644));
	FAILS(ENODATA, getxattr(P(1, "f"), "user.b", got, sizeof(got)));
}

static void limits_of_attributes(void)
{
	char name[300] = "user.", *value = calloc(1, XATTR_SIZE_MAX + 1);

	memset(name + 5, 'n', 251);
	close(make_file(0, "f", "", 0644));
	for (int m = 0; m < MOUNTS; m++) {
		FAILS(ERANGE, setxattr(P(m, "f"), name, "x", 1, 0)); /* 256 bytes */
		FAILS(ERANGE, getxattr(P(m, "f"), name, value, 10));
		FAILS(E2BIG, setxattr(P(m, "f"), "user.big", value, XATTR_SIZE_MAX + 1, 0));
		FAILS(EINVAL, setxattr(P(m, "f"), "user.", "x", 1, 0));
		FAILS(ERANGE, setxattr(P(m, "f"), "", "x", 1, 0));
	}
	name[255] = '\0';
	value[2999] = 'e';
	OK(setxattr(P(0, "f"), name, value, 3000, 0));
	IS(3000, getxattr(P(1, "f"), name, value, XATTR_SIZE_MAX));
	IS('e', value[2999]);
	IS(256, listxattr(P(2, "f"), value, XATTR_SIZE_MAX));
	OK(removexattr(P(2, "f"), name));
	if (!on_fuse() || in_short())
		return; /* ext4 has no room for more */
	value[XATTR_SIZE_MAX - 1] = 'E';
	OK(setxattr(P(1, "f"), "user.big", value, XATTR_SIZE_MAX, 0));
	memset(value, 0, XATTR_SIZE_MAX);
	IS(XATTR_SIZE_MAX, getxattr(P(2, "f"), "user.big", value, XATTR_SIZE_MAX));
	IS('E', value[XATTR_SIZE_MAX - 1]);
	IS(XATTR_SIZE_MAX, getxattr(P(0, "f"), "user.big", NULL, 0));
	/* All names together must fit into one list. */
	for (int i = 0; i < 255; i++) {
		snprintf(name + 250, 6, "%05d", i);
		OK(setxattr(P(i % MOUNTS, "f"), name, "", 0, 0));
	}
	snprintf(name + 250, 6, "%05d", 256);
	FAILS(ENOSPC, setxattr(P(0, "f"), name, "", 0, 0));
	IS(255 * 256 + 9, listxattr(P(1, "f"), value, XATTR_SIZE_MAX));
}

static void name_spaces(void)
{
	char got[64], list[256];

	close(make_file(0, "f", "", 0666));
	OK(mkdir(P(0, "d"), 01777));
	OK(chmod(P(0, "d"), 01777));
	OK(symlink("f", P(0, "l")));
	OK(mkfifo(P(0, "p"), 0666));
	OK(mknod(P(0, "c"), S_IFCHR | 0666, makedev(1, 3)));
	for (int m = 0; m < MOUNTS; m++) {
		static const char *const special[] = { "l", "p", "c" };

		for (size_t i = 0; i < ARRAY_SIZE(special); i++) {
			FAILS(EPERM, lsetxattr(P(m, special[i]), "user.a", "x", 1, 0));
			FAILS(ENODATA, lgetxattr(P(m, special[i]), "user.a", got, sizeof(got)));
			FAILS(EPERM, lremovexattr(P(m, special[i]), "user.a"));
			OK(lsetxattr(P(m, special[i]), "trusted.t", "1", 1, 0));
			IS(1, lgetxattr(P((m + 1) % MOUNTS, special[i]), "trusted.t", got,
					sizeof(got)));
			OK(lremovexattr(P(m, special[i]), "trusted.t"));
		}
		FAILS(EOPNOTSUPP, setxattr(P(m, "f"), "nons", "x", 1, 0));
		FAILS(EOPNOTSUPP, setxattr(P(m, "f"), "system.other", "x", 1, 0));
		FAILS(EOPNOTSUPP, setxattr(P(m, "f"), "other.name", "x", 1, 0));
		FAILS(EOPNOTSUPP, getxattr(P(m, "f"), "other.name", got, sizeof(got)));
		FAILS(EOPNOTSUPP, removexattr(P(m, "f"), "other.name"));
	}
	OK(setxattr(P(1, "f"), "trusted.t", "1", 1, 0));
	OK(setxattr(P(2, "f"), "security.mine", "2", 1, 0));
	IS(24, listxattr(P(0, "f"), list, sizeof(list)));
	become(ALICE, ALICE, 0);
	for (int m = 0; m < MOUNTS; m++) {
		FAILS(ENODATA, getxattr(P(m, "f"), "trusted.t", got, sizeof(got)));
		FAILS(EPERM, setxattr(P(m, "f"), "trusted.t", "x", 1, 0));
		FAILS(EPERM, removexattr(P(m, "f"), "trusted.t"));
		FAILS(EPERM, setxattr(P(m, "f"), "security.mine", "x", 1, 0));
		IS(1, getxattr(P(m, "f"), "security.mine", got, sizeof(got)));
		OK(setxattr(P(m, "f"), "user.alice", "x", 1, 0)); /* who may write the file */
		FAILS(EPERM,
		      setxattr(P(m, "d"), "user.alice", "x", 1, 0)); /* sticky, and not hers */
	}
	become_root();
	OK(chmod(P(2, "f"), 0600));
	become(ALICE, ALICE, 0);
	FAILS(EACCES, setxattr(P(0, "f"), "user.alice", "x", 1, 0));
	FAILS(EACCES, getxattr(P(1, "f"), "user.alice", got, sizeof(got)));
}

/* ---- identity ---- */

static void same_inode_numbers(void)
{
	static const char *const names[] = { "f", "d", "l", "p", "" };

	close(make_file(0, "f", "", 0644));
	OK(mkdir(P(1, "d"), 0755));
	OK(symlink("x", P(2, "l")));
	OK(mkfifo(P(0, "p"), 0644));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		for (int m = 0; m < MOUNTS; m++) {
			IS(look(0, names[i]).st_ino, look(m, names[i]).st_ino);
			for (size_t j = 0; j < i; j++)
				TRUE(look(m, names[i]).st_ino != look(m, names[j]).st_ino);
		}
	}
	ino_t ino = look(0, "f").st_ino;

	OK(rename(P(1, "f"), P(1, "d/g")));
	IS(ino, look(2, "d/g").st_ino);
}

struct handle {
	struct file_handle h;
	char room[MAX_HANDLE_SZ];
};

static int handle_of(int mount, const char *name, struct handle *h)
{
	int id;

	h->h.handle_bytes = MAX_HANDLE_SZ;
	return name_to_handle_at(AT_FDCWD, P(mount, name), &h->h, &id, 0);
}

static int open_handle(int mount, struct handle *h, int flags)
{
	int at = (int)OK(open(P(mount, ""), O_RDONLY | O_CLOEXEC));
	int fd = open_by_handle_at(at, &h->h, flags | O_CLOEXEC);
	int err = errno;

	close(at);
	errno = err;
	return fd;
}

static bool forget_inodes(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, "2\n", 2) == 2;

	if (fd >= 0)
		close(fd);
	return done;
}

/* A handle outlives what the kernel remembers, leads to the same file on every mount, and not to the next
 * file of the name: which is what an NFS server needs. */
static void file_handles(void)
{
	static struct handle f, d, sub, gone;
	struct handle small = { .h.handle_bytes = 0 };
	struct stat st;
	char text[8];
	int fd, id;

	close(make_file(0, "f", "text", 0644));
	OK(mkdir(P(0, "d"), 0755));
	OK(mkdir(P(0, "d/sub"), 0755));
	close(make_file(0, "d/sub/g", "", 0644));
	FAILS(EOVERFLOW, name_to_handle_at(AT_FDCWD, P(1, "f"), &small.h, &id, 0));
	OK(handle_of(1, "f", &f));
	OK(handle_of(1, "d", &d));
	OK(handle_of(2, "d/sub", &sub));
	OK(handle_of(0, "d/sub/g", &gone));
	for (int round = 0; round < 2; round++) {
		for (int m = 0; m < MOUNTS; m++) {
			fd = (int)OK(open_handle(m, &f, O_RDWR));
			IS(4, read(fd, text, sizeof(text)));
			OK(fstat(fd, &st));
			IS(look(0, "f").st_ino, st.st_ino);
			close(fd);
			fd = (int)OK(open_handle(m, &sub, O_RDONLY | O_DIRECTORY));
			OK(fstatat(fd, "g", &st, 0));
			OK(fstatat(fd, "..", &st, 0));
			IS(look(0, "d").st_ino, st.st_ino);
			close(fd);
			FAILS(ENOTDIR, open_handle(m, &f, O_RDONLY | O_DIRECTORY));
			close((int)OK(open_handle(m, &gone, O_RDONLY)));
		}
		forget_inodes();
	}
	OK(rename(P(2, "f"), P(2, "d/f2"))); /* follows the file */
	fd = (int)OK(open_handle(1, &f, O_RDONLY));
	IS(4, read(fd, text, sizeof(text)));
	close(fd);
	OK(unlink(P(1, "d/sub/g")));
	close(make_file(0, "d/sub/g", "new", 0644));
	/* Until the kernel has forgotten it, it may be found as one that is open somewhere would be. */
	bool forgotten = forget_inodes();

	for (int m = 0; m < MOUNTS && forgotten; m++)
		FAILS(ESTALE, open_handle(m, &gone, O_RDONLY));
	become(ALICE, ALICE, 0);
	FAILS(EPERM, open_handle(0, &f, O_RDONLY));
}

const struct multi_case xattr_cases[] = {
	{ "set_and_seen", set_and_seen }, { "limits_of_attributes", limits_of_attributes },
	{ "name_spaces", name_spaces },   { "same_inode_numbers", same_inode_numbers },
	{ "file_handles", file_handles }, { NULL, NULL },
};
