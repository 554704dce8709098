/* names.c - names and what they lead to: creation, rename, links, symbolic links, special files. */
#include <dirent.h>
#include <linux/fs.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include "tests/posix/multi/multi.h"

#define ROUNDS (in_short() ? 2 : 10) /* of a race */

static void created_and_removed(void)
{
	struct stat st;

	for (int m = 0; m < MOUNTS; m++) /* remembered as missing, wherever that is remembered */
		FAILS(ENOENT, stat(P(m, "f"), &st));
	close(make_file(0, "f", "text", 0640));
	for (int m = 0; m < MOUNTS; m++) {
		st = look(m, "f");
		IS(S_IFREG | 0640, st.st_mode);
		IS(4, st.st_size);
		IS(1, st.st_nlink);
		IS(look(0, "f").st_ino, st.st_ino);
		FAILS(EEXIST, open(P(m, "f"), O_RDWR | O_CREAT | O_EXCL, 0600));
		FAILS(EEXIST, mkdir(P(m, "f"), 0700));
		FAILS(ENOTDIR, rmdir(P(m, "f")));
		FAILS(ENOTDIR, open(P(m, "f/x"), O_RDONLY));
		text_is(m, "f", "text");
	}
	OK(unlink(P(1, "f")));
	for (int m = MOUNTS - 1; m >= 0; m--) {
		FAILS(ENOENT, stat(P(m, "f"), &st));
		FAILS(ENOENT, unlink(P(m, "f")));
	}
	/* The name again, for something else: no mount takes the one for the other. */
	OK(mkdir(P(2, "f"), 0755));
	TRUE(S_ISDIR(look(0, "f").st_mode));
	FAILS(EISDIR, unlink(P(1, "f")));
	OK(rmdir(P(0, "f")));
	OK(symlink("nowhere", P(1, "f")));
	TRUE(S_ISLNK(look(2, "f").st_mode));
	OK(unlink(P(0, "f")));
	close(make_file(1, "f", "new", 0600));
	text_is(0, "f", "new");
	text_is(2, "f", "new");
}

static void renamed(void)
{
	struct stat st;
	int fd;

	close(make_file(0, "a", "A", 0644));
	fd = make_file(1, "b", "B", 0644);
	ino_t ino = look(2, "a").st_ino;

	OK(rename(P(2, "a"), P(2, "b")));
	for (int m = 0; m < MOUNTS; m++) {
		FAILS(ENOENT, stat(P(m, "a"), &st));
		IS(ino, look(m, "b").st_ino);
		text_is(m, "b", "A");
	}
	OK(fstat(fd, &st)); /* the one that was replaced */
	IS(0, st.st_nlink);
	char byte = 0;
	IS(1, pread(fd, &byte, 1, 0));
	IS('B', byte);
	OK(close(fd));
	FAILS(ENOENT, rename(P(0, "a"), P(0, "c")));
	OK(link(P(0, "b"), P(0, "b2")));
	OK(rename(P(1, "b"), P(1, "b2"))); /* two names of one file: nothing happens */
	IS(2, look(2, "b").st_nlink);
	OK(mkdir(P(1, "d"), 0755));
	OK(rename(P(0, "b2"), P(0, "d/b3")));
	IS(ino, look(2, "d/b3").st_ino);
	OK(rename(P(2, "d"), P(2, "e")));
	text_is(1, "e/b3", "A");
	FAILS(ENOENT, stat(P(0, "d/b3"), &st));
}

static int rename2(int mount, const char *from, const char *to, unsigned flags)
{
	return renameat2(AT_FDCWD, P(mount, from), AT_FDCWD, P(mount, to), flags);
}

static void renamed_without_replacing(void)
{
	struct stat st;

	close(make_file(0, "a", "A", 0644));
	FAILS(ENOENT, stat(P(0, "b"), &st));
	close(make_file(1, "b", "B", 0644));
	FAILS(EEXIST, rename2(0, "a", "b", RENAME_NOREPLACE)); /* had seen that it is missing */
	FAILS(EEXIST, rename2(2, "a", "b", RENAME_NOREPLACE));
	text_is(2, "b", "B");
	OK(unlink(P(1, "b")));
	OK(rename2(0, "a", "b", RENAME_NOREPLACE));
	text_is(1, "b", "A");
	FAILS(EEXIST, rename2(2, "b", "b", RENAME_NOREPLACE));
	FAILS(EINVAL, rename2(1, "b", "c", RENAME_NOREPLACE | RENAME_EXCHANGE));
	FAILS(EINVAL, rename2(1, "b", "c", 1u << 10));
}

static void exchanged(void)
{
	close(make_file(0, "file", "F", 0644));
	OK(mkdir(P(1, "d1"), 0755));
	OK(mkdir(P(1, "d2"), 0755));
	OK(mkdir(P(2, "d1/sub"), 0755));
	close(make_file(0, "d2/file2", "F2", 0644));
	ino_t sub = look(0, "d1/sub").st_ino, file2 = look(0, "d2/file2").st_ino;

	FAILS(ENOENT, rename2(0, "file", "missing", RENAME_EXCHANGE));
	OK(rename2(0, "d1/sub", "d2/file2", RENAME_EXCHANGE));
	for (int m = 0; m < MOUNTS; m++) {
		IS(file2, look(m, "d1/sub").st_ino);
		IS(sub, look(m, "d2/file2").st_ino);
		TRUE(S_ISDIR(look(m, "d2/file2").st_mode));
		IS(2, look(m, "d1").st_nlink);
		IS(3, look(m, "d2").st_nlink);
		IS(look(m, "d2").st_ino, look(m, "d2/file2/..").st_ino);
	}
	text_is(1, "d1/sub", "F2");
	OK(rename2(2, "file", "d1/sub", RENAME_EXCHANGE));
	text_is(0, "file", "F2");
	text_is(1, "d1/sub", "F");
	FAILS(EINVAL, rename2(1, "d2", "d2/file2", RENAME_EXCHANGE));
	FAILS(EINVAL, rename2(1, "d2/file2", "d2", RENAME_EXCHANGE));
}

static void renames_that_are_refused(void)
{
	OK(mkdir(P(0, "a"), 0755));
	OK(mkdir(P(0, "b"), 0755));
	close(make_file(0, "f", "F", 0644));
	IS(2, look(1, "b").st_nlink);
	close(make_file(2, "b/x", "X", 0644));
	FAILS(ENOTEMPTY, rename(P(1, "a"), P(1, "b")));
	FAILS(ENOTDIR, rename(P(1, "a"), P(1, "f")));
	FAILS(EISDIR, rename(P(2, "f"), P(2, "a")));
	FAILS(ENOTEMPTY, rmdir(P(0, "b")));
	FAILS(EINVAL, rename(P(0, "a"), P(0, "a/c")));
	OK(mkdir(P(1, "a/c"), 0755));
	FAILS(EINVAL, rename(P(2, "a"), P(2, "a/c/d")));
	FAILS(EBUSY, rename(P(0, "a/."), P(0, "c")));
	FAILS(ENOTEMPTY, rename(P(0, "a/c"), P(0, "a"))); /* its own parent */
	OK(unlink(P(1, "b/x")));
	OK(rename(P(0, "a"), P(0, "b")));
	IS(3, look(2, "b").st_nlink);
	IS(look(1, "b").st_ino, look(1, "b/c/..").st_ino);
}

/* ---- loops ---- */

static int top[MOUNTS],
	into[MOUNTS]; /* directories: the case's, and the one that mount m moves into */
static const char *const moved[MOUNTS] = { "a", "b", "c" };

static int move(int m)
{
	if (renameat(top[m], moved[m], into[m], moved[m]) == 0)
		return 0;
	return errno == EINVAL ? 1 : 2;
}

static int move_0(void)
{
	return move(0);
}

static int move_1(void)
{
	return move(1);
}

static int move_2(void)
{
	return move(2);
}

/* Directories a, b, ... moved each into the next, the last into the first, at once: all but one may. */
static void moved_into_one_another(int count)
{
	static int (*const moves[])(void) = { move_0, move_1, move_2 };
	static const char *const tops[] = { "a", "b", "c" };
	uint32_t failed;

	for (int round = 0; round < ROUNDS; round++) {
		char dir[16], name[32];
		int lost = 0;

		snprintf(dir, sizeof(dir), "r%d", round);
		OK(mkdir(P(round % MOUNTS, dir), 0755));
		for (int m = 0; m < count; m++) {
			snprintf(name, sizeof(name), "%s/%s", dir, tops[m]);
			OK(mkdir(P(m, name), 0755));
		}
		for (int m = 0; m < count; m++) {
			snprintf(name, sizeof(name), "%s/%s", dir, tops[(m + 1) % count]);
			top[m] = (int)OK(open(P(m, dir), O_DIRECTORY | O_RDONLY | O_CLOEXEC));
			into[m] = (int)OK(open(P(m, name), O_DIRECTORY | O_RDONLY | O_CLOEXEC));
		}
		IS(count - 1, race(moves, (size_t)count, &failed));
		while (!(failed >> lost & 1))
			lost++;
		IS(1u << lost, failed);
		IS(1, move(lost)); /* and for EINVAL */
		/* The one that stayed is the only one left, and the others hang below it. */
		for (int m = 0; m < MOUNTS; m++) {
			struct stat st;

			snprintf(name, sizeof(name), "%s/%s", dir, tops[lost]);
			OK(stat(P(m, name), &st));
			IS(3, look(m, dir).st_nlink);
			snprintf(name, sizeof(name), "%s/%s/%s", dir, tops[lost],
				 tops[(lost + count - 1) % count]);
			OK(stat(P(m, name), &st));
		}
		for (int m = 0; m < count; m++) {
			close(top[m]);
			close(into[m]);
		}
	}
}

static void two_directories_into_one_another(void)
{
	moved_into_one_another(2);
}

static void three_directories_into_one_another(void)
{
	moved_into_one_another(3);
}

/* One moves a directory below another while the other mount exchanges its parents. */
static void loops_by_stale_views(void)
{
	int below, fd;

	OK(mkdir(P(0, "a"), 0755));
	OK(mkdir(P(0, "b"), 0755));
	below = (int)OK(open(P(1, "b"), O_DIRECTORY | O_RDONLY | O_CLOEXEC));
	fd = (int)OK(open(P(1, ""), O_DIRECTORY | O_RDONLY | O_CLOEXEC));
	OK(rename(P(0, "b"), P(0, "a/b"))); /* mount 1 may still think that b is beside a */
	FAILS(EINVAL, renameat(fd, "a", below, "a"));
	OK(mkdirat(below, "c", 0755));
	TRUE(S_ISDIR(look(2, "a/b/c").st_mode));
	FAILS(EINVAL, renameat2(fd, "a", below, "c", RENAME_EXCHANGE));
	FAILS(EINVAL, renameat2(below, "c", fd, "a", RENAME_EXCHANGE));
}

/* ---- hard links, unlinked files ---- */

static void hard_links(void)
{
	struct stat st;
	int fd;

	close(make_file(0, "a", "one", 0644));
	OK(link(P(1, "a"), P(1, "b")));
	for (int m = 0; m < MOUNTS; m++) {
		IS(2, look(m, "a").st_nlink);
		IS(look(m, "a").st_ino, look(m, "b").st_ino);
	}
	OK(mkdir(P(2, "d"), 0755));
	OK(link(P(2, "b"), P(2, "d/c")));
	IS(3, look(0, "a").st_nlink);
	FAILS(EEXIST, link(P(0, "a"), P(0, "b")));
	FAILS(EPERM, link(P(0, "d"), P(0, "d2")));
	FAILS(ENOENT, link(P(1, "missing"), P(1, "x")));
	fd = (int)OK(open(P(0, "d/c"), O_WRONLY | O_CLOEXEC));
	IS(5, pwrite(fd, "three", 5, 0));
	OK(fchmod(fd, 0600));
	OK(close(fd));
	text_is(1, "b", "three");
	IS(0600, mode_of(2, "a"));
	OK(unlink(P(1, "a")));
	OK(rename(P(1, "b"), P(1, "b2")));
	IS(2, look(0, "b2").st_nlink);
	OK(unlink(P(2, "d/c")));
	IS(1, look(0, "b2").st_nlink);
	/* Symbolic links and others have several names as well. */
	OK(symlink("x", P(0, "s")));
	OK(link(P(1, "s"), P(1, "s2")));
	IS(2, look(2, "s").st_nlink);
	OK(linkat(AT_FDCWD, P(0, "s"), AT_FDCWD, P(0, "s3"), 0));
	IS(3, look(1, "s2").st_nlink);
	FAILS(ENOENT, linkat(AT_FDCWD, P(0, "s"), AT_FDCWD, P(0, "s4"), AT_SYMLINK_FOLLOW));
	OK(mkfifo(P(2, "p"), 0600));
	OK(link(P(2, "p"), P(2, "p2")));
	IS(2, look(0, "p2").st_nlink);
	FAILS(ENOENT, stat(P(0, "s3"), &st));
}

static void unlinked_but_open(void)
{
	int a = make_file(0, "f", "0123456789", 0644);
	int b = (int)OK(open(P(1, "f"), O_RDWR | O_CLOEXEC));
	char text[32], path[64];
	struct stat st;

	OK(unlink(P(2, "f")));
	for (int m = 0; m < MOUNTS; m++)
		FAILS(ENOENT, stat(P(m, "f"), &st));
	OK(fstat(a, &st));
	IS(0, st.st_nlink);
	IS(4, pwrite(b, "ABCD", 4, 8));
	IS(12, pread(a, text, sizeof(text), 0));
	IS(0, memcmp(text, "01234567ABCD", 12));
	OK(ftruncate(a, 3));
	OK(fstat(b, &st));
	IS(3, st.st_size);
	OK(fchmod(a, 0600));
	OK(fchown(b, ALICE, BOB));
	OK(fstat(a, &st));
	IS(S_IFREG | 0600, st.st_mode);
	IS(BOB, st.st_gid);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", a);
	FAILS(ENOENT, linkat(AT_FDCWD, path, AT_FDCWD, P(0, "again"), AT_SYMLINK_FOLLOW));
	OK(close(a)); /* the last one on its mount: the other lives on */
	IS(3, pread(b, text, sizeof(text), 0));
	IS(5, pwrite(b, "xyzzy", 5, 100));
	OK(fstat(b, &st));
	IS(105, st.st_size);
	/* The name again is another file. */
	close(make_file(2, "f", "new", 0644));
	TRUE(look(1, "f").st_ino != st.st_ino);
	IS(3, pread(b, text, 3, 0));
	IS(0, memcmp(text, "012", 3));
	OK(close(b));
}

static void removed_but_open_directory(void)
{
	int fd;
	struct stat st;
	char entries[1024];

	OK(mkdir(P(0, "d"), 0755));
	fd = (int)OK(open(P(1, "d"), O_DIRECTORY | O_RDONLY | O_CLOEXEC));
	OK(rmdir(P(2, "d")));
	FAILS(ENOENT, openat(fd, "f", O_RDWR | O_CREAT, 0600));
	FAILS(ENOENT, mkdirat(fd, "x", 0700));
	FAILS(ENOENT, symlinkat("x", fd, "y"));
	FAILS(ENOENT, mknodat(fd, "p", S_IFIFO | 0600, 0));
	FAILS(ENOENT, fstatat(fd, "f", &st, 0));
	close(make_file(0, "g", "", 0644));
	FAILS(ENOENT, renameat(AT_FDCWD, P(1, "g"), fd, "g"));
	FAILS(ENOENT, linkat(AT_FDCWD, P(1, "g"), fd, "g", 0));
	OK(fstat(fd, &st));
	IS(0, st.st_nlink);
	FAILS(ENOENT, getdents64(fd, entries, sizeof(entries)));
}

/* ---- names, symbolic links ---- */

static void long_names(void)
{
	char longest[256], beyond[257], path[PATH_MAX];
	struct stat st;
	bool found = false;

	memset(longest, 'n', 255);
	longest[255] = '\0';
	memset(beyond, 'n', 256);
	beyond[256] = '\0';
	longest[1] = '\xff'; /* no UTF-8, and nobody's business */
	longest[2] = '\n';
	close(make_file(0, longest, "L", 0644));
	text_is(1, longest, "L");
	DIR *dir = opendir(P(2, ""));

	TRUE(dir != NULL);
	for (struct dirent *d; (d = readdir(dir));)
		found |= strcmp(d->d_name, longest) == 0;
	closedir(dir);
	TRUE(found);
	for (int m = 0; m < MOUNTS; m++) {
		FAILS(ENAMETOOLONG, stat(P(m, beyond), &st));
		FAILS(ENAMETOOLONG, open(P(m, beyond), O_RDWR | O_CREAT, 0600));
		FAILS(ENAMETOOLONG, mkdir(P(m, beyond), 0700));
		FAILS(ENAMETOOLONG, mkfifo(P(m, beyond), 0700));
		FAILS(ENAMETOOLONG, symlink("x", P(m, beyond)));
		FAILS(ENAMETOOLONG, link(P(m, longest), P(m, beyond)));
		FAILS(ENAMETOOLONG, rename(P(m, longest), P(m, beyond)));
		FAILS(ENAMETOOLONG, unlink(P(m, beyond)));
	}
	longest[0] = 'm';
	snprintf(path, sizeof(path), "n%s", longest + 1);
	OK(rename(P(1, path), P(1, longest)));
	text_is(2, longest, "L");
	OK(unlink(P(0, longest)));
	FAILS(ENOENT, stat(P(1, longest), &st));
}

static void symbolic_links(void)
{
	char target[4097], got[5000];

	memset(target, 't', 4095);
	target[4095] = '\0';
	OK(symlink(target, P(0, "long")));
	for (int m = 0; m < MOUNTS; m++) {
		IS(4095, readlink(P(m, "long"), got, sizeof(got)));
		IS(0, memcmp(got, target, 4095));
		IS(4095, look(m, "long").st_size);
		IS(S_IFLNK | 0777, look(m, "long").st_mode);
		IS(10, readlink(P(m, "long"), got, 10));
		FAILS(ENAMETOOLONG, open(P(m, "long"), O_RDONLY));
	}
	target[4095] = 't';
	target[4096] = '\0';
	FAILS(ENAMETOOLONG, symlink(target, P(1, "longer")));
	FAILS(ENOENT, symlink("", P(1, "empty")));
	FAILS(EEXIST, symlink("x", P(1, "long")));
	FAILS(EINVAL, readlink(P(1, ""), got, sizeof(got)));
	/* A new link of the same name is read at once. */
	for (int i = 0; i < 6; i++) {
		char to[8];

		snprintf(to, sizeof(to), "to%d", i);
		if (i > 0)
			OK(unlink(P((i + 1) % MOUNTS, "s")));
		OK(symlink(to, P(i % MOUNTS, "s")));
		for (int m = 0; m < MOUNTS; m++) {
			IS(3, readlink(P(m, "s"), got, sizeof(got)));
			IS(0, memcmp(got, to, 3));
		}
	}
	OK(symlink("loop", P(2, "loop")));
	FAILS(ELOOP, open(P(0, "loop"), O_RDONLY));
	FAILS(ELOOP, open(P(1, "s"), O_RDONLY | O_NOFOLLOW));
	FAILS(ENOENT, open(P(1, "s"), O_RDONLY));
	close(make_file(0, "to5", "five", 0644));
	text_is(1, "s", "five");
	OK(lchown(P(2, "s"), ALICE, BOB));
	IS(ALICE, look(0, "s").st_uid);
	IS(0, look(0, "to5").st_uid);
}

/* ---- directories ---- */

static unsigned entries_of(int mount, const char *name)
{
	DIR *dir = opendir(P(mount, name));
	unsigned count = 0;

	TRUE(dir != NULL);
	for (struct dirent *d; (d = readdir(dir)); count++) {
		char path[600];
		struct stat st;

		snprintf(path, sizeof(path), "%s/%s", name, d->d_name);
		OK(lstat(P(mount, path), &st));
		if (strcmp(d->d_name, "..") != 0)
			IS(st.st_ino, d->d_ino);
		IS(IFTODT(st.st_mode), d->d_type);
	}
	closedir(dir);
	return count;
}

static void directories(void)
{
	struct stat st;

	OK(mkdir(P(0, "d"), 0755));
	IS(2, look(1, "d").st_nlink);
	for (int i = 0; i < 9; i++) {
		char name[16];

		snprintf(name, sizeof(name), "d/s%d", i);
		OK(mkdir(P(i % MOUNTS, name), 0755));
		IS(3 + i, look((i + 1) % MOUNTS, "d").st_nlink);
		IS(3 + i, entries_of((i + 2) % MOUNTS, "d"));
	}
	close(make_file(0, "d/f", "", 0644));
	OK(symlink("f", P(0, "d/l")));
	OK(mkfifo(P(1, "d/p"), 0644));
	OK(mknod(P(1, "d/s"), S_IFSOCK | 0644, 0));
	OK(mknod(P(1, "d/c"), S_IFCHR | 0644, makedev(1, 3)));
	IS(11, look(2, "d").st_nlink);
	IS(16, entries_of(2, "d"));
	OK(mkdir(P(0, "e"), 0755));
	OK(rename(P(1, "d/s0"), P(1, "e/s0")));
	IS(10, look(2, "d").st_nlink);
	IS(3, look(0, "e").st_nlink);
	OK(fstatat(AT_FDCWD, P(2, "e/s0/.."), &st, 0));
	IS(look(0, "e").st_ino, st.st_ino);
	OK(mkdir(P(2, "d/empty"), 0755));
	TRUE(S_ISDIR(
		look(0, "e/s0")
			.st_mode)); /* needed before a rename into another directory, see quorumfs(7) */
	OK(rename(P(0, "e/s0"), P(0, "d/empty"))); /* replaces it */
	IS(11, look(1, "d").st_nlink);
	IS(2, look(1, "e").st_nlink);
	FAILS(ENOTEMPTY, rmdir(P(2, "d")));
	FAILS(EINVAL, rmdir(P(2, "d/.")));
	FAILS(ENOTEMPTY, rmdir(P(2, "d/s1/..")));
	OK(rmdir(P(2, "e")));
	FAILS(ENOENT, rmdir(P(0, "e")));
}

/* A directory read in parts while another mount changes it: what stays is met once. */
static void read_while_it_changes(void)
{
	enum { MOST = 300 };
	const int names = in_short() ? 150 : MOST;
	uint8_t met[MOST] = { 0 };
	int at = 0, i;
	char name[32];
	DIR *dir;

	OK(mkdir(P(0, "d"), 0755));
	for (i = 0; i < names; i++) {
		snprintf(name, sizeof(name), "d/n%d", i);
		close(make_file(i % MOUNTS, name, "", 0644));
	}
	dir = opendir(P(1, "d"));
	TRUE(dir != NULL);
	for (struct dirent *d; (d = readdir(dir)); at++) {
		if (sscanf(d->d_name, "n%d", &i) == 1 && i < names)
			met[i]++;
		if (at % 50 != 25)
			continue;
		snprintf(name, sizeof(name), "d/n%d", at / 50 * 7); /* goes */
		(void)unlink(P(2, name));
		snprintf(name, sizeof(name), "d/x%d", at); /* comes */
		close(make_file(0, name, "", 0644));
	}
	closedir(dir);
	for (i = 0; i < names; i++)
		if (i % 7 != 0 || i > names / 50 * 7)
			IS(1, met[i]);
	/* From the start it shows what is there. */
	IS(0, access(P(1, "d/x25"), F_OK));
	FAILS(ENOENT, access(P(1, "d/n7"), F_OK));
}

/* ---- special files ---- */

static void special_files(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char text[8] = "untouch";
	int fd, sock;

	OK(mknod(P(0, "zero"), S_IFCHR | 0666, makedev(1, 5)));
	OK(chmod(P(0, "zero"), 0666));
	OK(mknod(P(1, "disk"), S_IFBLK | 0600, makedev(259, 70000)));
	OK(mkfifo(P(2, "pipe"), 0600));
	for (int m = 0; m < MOUNTS; m++) {
		IS(S_IFCHR | 0666, look(m, "zero").st_mode);
		IS(makedev(1, 5), look(m, "zero").st_rdev);
		IS(S_IFBLK | 0600, look(m, "disk").st_mode);
		IS(makedev(259, 70000), look(m, "disk").st_rdev);
		IS(S_IFIFO | 0600, look(m, "pipe").st_mode);
		IS(0, look(m, "pipe").st_size);
	}
	fd = (int)OK(open(P(1, "zero"), O_RDWR | O_CLOEXEC));
	IS(8, read(fd, text, 8));
	IS(0, text[0] | text[7]);
	OK(close(fd));
	fd = (int)OK(open(P(1, "pipe"), O_RDWR | O_CLOEXEC));
	IS(2, write(fd, "ab", 2));
	IS(2, read(fd, text, 8));
	OK(close(fd));
	FAILS(ENXIO, open(P(0, "pipe"), O_WRONLY | O_NONBLOCK));

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", P(0, "sock"));
	sock = (int)OK(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	OK(bind(sock, (struct sockaddr *)&address, sizeof(address)));
	OK(listen(sock, 1));
	TRUE(S_ISSOCK(look(1, "sock").st_mode));
	FAILS(ENXIO, open(P(2, "sock"), O_RDONLY));
	fd = (int)OK(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	OK(connect(fd, (struct sockaddr *)&address, sizeof(address)));
	FAILS(EADDRINUSE, bind((int)OK(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)),
			       (struct sockaddr *)&address, sizeof(address)));
	OK(unlink(P(2, "sock")));
	FAILS(ENOENT, connect((int)OK(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)),
			      (struct sockaddr *)&address, sizeof(address)));

	OK(chmod(P(0, ""), 0777));
	become(ALICE, ALICE, 0);
	FAILS(EPERM, mknod(P(1, "mine"), S_IFCHR | 0600, makedev(1, 3)));
	FAILS(EPERM, mknod(P(1, "mine"), S_IFBLK | 0600, makedev(1, 3)));
	OK(mkfifo(P(1, "mine"), 0600));
	IS(ALICE, look(0, "mine").st_uid);
	FAILS(EEXIST, mkfifo(P(2, "mine"), 0600));
}

const struct multi_case name_cases[] = {
	{ "created_and_removed", created_and_removed },
	{ "renamed", renamed },
	{ "renamed_without_replacing", renamed_without_replacing },
	{ "exchanged", exchanged },
	{ "renames_that_are_refused", renames_that_are_refused },
	{ "two_directories_into_one_another", two_directories_into_one_another },
	{ "three_directories_into_one_another", three_directories_into_one_another },
	{ "loops_by_stale_views", loops_by_stale_views },
	{ "hard_links", hard_links },
	{ "unlinked_but_open", unlinked_but_open },
	{ "removed_but_open_directory", removed_but_open_directory },
	{ "long_names", long_names },
	{ "symbolic_links", symbolic_links },
	{ "directories", directories },
	{ "read_while_it_changes", read_while_it_changes },
	{ "special_files", special_files },
	{ NULL, NULL },
};
