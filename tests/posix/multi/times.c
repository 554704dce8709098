/* times.c - which times move when, and how exactly they are kept. */
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <time.h>

#include "tests/posix/multi/multi.h"

static int set_times(int mount, const char *name, struct timespec atime, struct timespec mtime)
{
	return utimensat(AT_FDCWD, P(mount, name), (struct timespec[2]){ atime, mtime },
			 AT_SYMLINK_NOFOLLOW);
}

static void nanoseconds(void)
{
	static const struct timespec times[] = {
		{ 1, 1 },
		{ 1700000000, 123456789 },
		{ 0, 0 },
		{ -1, 999999999 },
		{ -2000000000, 5 },
		{ 2147483648, 1 },
		{ 4294967296, 999999999 },
		{ 9000000000, 250000001 },
	};

	close(make_file(0, "f", "x", 0644));
	OK(symlink("x", P(0, "l")));
	OK(mkdir(P(0, "d"), 0755));
	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		static const char *const names[] = { "f", "l", "d" };
		struct timespec other = times[(i + 1) % ARRAY_SIZE(times)];

		for (size_t n = 0; n < ARRAY_SIZE(names); n++) {
			OK(set_times((int)(i + n) % MOUNTS, names[n], times[i], other));
			for (int m = 0; m < MOUNTS; m++) {
				struct stat st = look(m, names[n]);

				IS(ns_of(times[i]), ns_of(st.st_atim));
				IS(ns_of(other), ns_of(st.st_mtim));
			}
		}
	}
	FAILS(EINVAL,
	      set_times(1, "f", (struct timespec){ 1, 1000000000 }, (struct timespec){ 1, 1 }));
}

static void now_and_omit(void)
{
	const struct timespec old = { 1000, 1 }, omit = { 0, UTIME_OMIT }, now = { 0, UTIME_NOW };
	struct timespec before, after;
	struct stat st, was;

	close(make_file(0, "f", "x", 0666));
	OK(set_times(0, "f", old, old));
	was = look(1, "f");
	tick();
	OK(set_times(1, "f", omit, omit)); /* nothing at all */
	IS(ns_of(was.st_ctim), ns_of(look(2, "f").st_ctim));
	OK(set_times(2, "f", (struct timespec){ 2000, 2 }, omit));
	st = look(0, "f");
	IS(2000, st.st_atim.tv_sec);
	IS(ns_of(old), ns_of(st.st_mtim));
	TRUE(ns_of(st.st_ctim) > ns_of(was.st_ctim));
	OK(set_times(0, "f", omit, (struct timespec){ 3000, 3 }));
	IS(2000, look(1, "f").st_atim.tv_sec);
	IS(3000, look(1, "f").st_mtim.tv_sec);
	clock_gettime(CLOCK_REALTIME, &before);
	tick();
	OK(set_times(1, "f", now, omit));
	tick();
	clock_gettime(CLOCK_REALTIME, &after);
	st = look(2, "f");
	TRUE(ns_of(st.st_atim) >= ns_of(before) && ns_of(st.st_atim) <= ns_of(after));
	IS(3000, st.st_mtim.tv_sec);
	OK(utimensat(AT_FDCWD, P(2, "f"), NULL, 0));
	st = look(0, "f");
	IS(ns_of(st.st_atim), ns_of(st.st_mtim));
	/* Who may write, but is not the owner: now, and nothing else. */
	become(ALICE, ALICE, 0);
	OK(utimensat(AT_FDCWD, P(1, "f"), NULL, 0));
	OK(set_times(1, "f", now, now));
	OK(set_times(1, "f", omit, omit));
	FAILS(EPERM, set_times(1, "f", now, omit));
	FAILS(EPERM, set_times(1, "f", old, old));
}

/* ---- what moves which time of an inode ---- */

static int changed_fd; /* of "f", for reading and writing */

static void do_chmod(int m)
{
	OK(chmod(P(m, "f"), 0640));
}

static void do_chown(int m)
{
	OK(chown(P(m, "f"), ALICE, ALICE));
}

static void do_chown_nothing(int m)
{
	OK(chown(P(m, "f"), -1, -1));
}

static void do_link(int m)
{
	OK(link(P(m, "f"), P(m, "f2")));
}

static void do_unlink(int m)
{
	OK(unlink(P(m, "f2")));
}

static void do_rename(int m)
{
	OK(rename(P(m, "f"), P(m, "f3")));
	OK(rename(P(m, "f3"), P(m, "f")));
}

static void do_setxattr(int m)
{
	OK(setxattr(P(m, "f"), "user.a", "1", 1, 0));
}

static void do_removexattr(int m)
{
	OK(removexattr(P(m, "f"), "user.a"));
}

static void do_utimes(int m)
{
	OK(set_times(m, "f", (struct timespec){ 5, 5 }, (struct timespec){ 0, UTIME_OMIT }));
}

static void do_write(int m)
{
	(void)m;
	IS(4, pwrite(changed_fd, "text", 4, 0)); /* what is there already */
}

static void do_truncate(int m)
{
	OK(truncate(P(m, "f"), 2));
}

static void do_ftruncate_same(int m)
{
	(void)m;
	OK(ftruncate(changed_fd, 2));
}

static void do_open_trunc(int m)
{
	OK(close((int)OK(open(P(m, "f"), O_WRONLY | O_TRUNC))));
}

static void do_open_trunc_empty(int m)
{
	do_open_trunc(m);
}

static void do_fallocate(int m)
{
	(void)m;
	OK(fallocate(changed_fd, 0, 0, 8192));
}

static void do_read(int m)
{
	char byte;

	(void)m;
	IS(1, pread(changed_fd, &byte, 1, 0));
}

static void do_nothing(int m)
{
	struct stat st;

	OK(stat(P(m, "f"), &st));
	OK(access(P(m, "f"), R_OK));
	OK(close((int)OK(open(P(m, "f"), O_WRONLY))));
	OK(fsync(changed_fd));
	IS(0, write(changed_fd, "", 0));
}

static void times_of_a_file(void)
{
	static const struct {
		void (*run)(int m);
		bool moves_mtime, moves_ctime;
	} acts[] = {
		{ do_chmod, false, true },         { do_chown, false, true },
		{ do_chown_nothing, false, true }, { do_link, false, true },
		{ do_unlink, false, true },        { do_rename, false, true },
		{ do_setxattr, false, true },      { do_removexattr, false, true },
		{ do_utimes, false, true },        { do_write, true, true },
		{ do_truncate, true, true },       { do_ftruncate_same, true, true },
		{ do_open_trunc, true, true },     { do_open_trunc_empty, true, true },
		{ do_fallocate, true, true },      { do_read, false, false },
		{ do_nothing, false, false },
	};

	close(make_file(0, "f", "text", 0666));
	for (size_t i = 0; i < ARRAY_SIZE(acts); i++) {
		int a = (int)i % MOUNTS, b = (a + 1) % MOUNTS, c = (a + 2) % MOUNTS;
		struct stat was, is;

		changed_fd = (int)OK(open(P(a, "f"), O_RDWR));
		was = look(b, "f");
		tick();
		acts[i].run(a);
		is = look(b, "f");
		if ((ns_of(is.st_mtim) > ns_of(was.st_mtim)) != acts[i].moves_mtime ||
		    (ns_of(is.st_ctim) > ns_of(was.st_ctim)) != acts[i].moves_ctime)
			printf("  act %zu:\n", i);
		IS(acts[i].moves_mtime, ns_of(is.st_mtim) > ns_of(was.st_mtim));
		IS(acts[i].moves_ctime, ns_of(is.st_ctim) > ns_of(was.st_ctim));
		IS(ns_of(is.st_ctim), ns_of(look(c, "f").st_ctim));
		OK(close(changed_fd));
	}
}

/* ---- what moves a directory's ---- */

static void times_of_directories(void)
{
	static const struct {
		const char *what;
		bool moves_d, moves_e;
	} acts[] = {
		{ "create", true, false },  { "open", false, false },  { "link", true, false },
		{ "symlink", true, false }, { "mkfifo", true, false }, { "mkdir", true, false },
		{ "rename", true, false },  { "over", true, true },    { "exchange", true, true },
		{ "chmod", false, false },  { "write", false, false }, { "unlink", true, false },
		{ "rmdir", true, false },   { "look", false, false },
	};

	OK(mkdir(P(0, "d"), 0755));
	OK(mkdir(P(0, "e"), 0755));
	close(make_file(0, "e/x", "", 0644));
	for (size_t i = 0; i < ARRAY_SIZE(acts); i++) {
		int a = (int)i % MOUNTS, b = (a + 1) % MOUNTS;
		struct stat d = look(b, "d"), e = look(b, "e"), d2, e2;

		tick();
		switch (i) {
		case 0:
			OK(close((int)OK(open(P(a, "d/f"), O_RDWR | O_CREAT | O_EXCL, 0644))));
			break;
		case 1:
			OK(close((int)OK(open(P(a, "d/f"), O_RDWR | O_CREAT, 0644))));
			break;
		case 2:
			OK(link(P(a, "d/f"), P(a, "d/g")));
			break;
		case 3:
			OK(symlink("x", P(a, "d/l")));
			break;
		case 4:
			OK(mkfifo(P(a, "d/p"), 0644));
			break;
		case 5:
			OK(mkdir(P(a, "d/s"), 0755));
			break;
		case 6:
			OK(rename(P(a, "d/f"), P(a, "d/h")));
			break;
		case 7:
			OK(rename(P(a, "d/g"), P(a, "e/g")));
			break;
		case 8:
			OK(renameat2(AT_FDCWD, P(a, "d/h"), AT_FDCWD, P(a, "e/x"),
				     RENAME_EXCHANGE));
			break;
		case 9:
			OK(chmod(P(a, "d/h"), 0600));
			break;
		case 10:
			OK(truncate(P(a, "d/h"), 100));
			break;
		case 11:
			OK(unlink(P(a, "d/h")));
			break;
		case 12:
			OK(rmdir(P(a, "d/s")));
			break;
		default:
			FAILS(ENOENT, access(P(a, "d/s"), F_OK));
			break;
		}
		d2 = look(b, "d");
		e2 = look(b, "e");
		if ((ns_of(d2.st_mtim) > ns_of(d.st_mtim)) != acts[i].moves_d ||
		    (ns_of(e2.st_mtim) > ns_of(e.st_mtim)) != acts[i].moves_e)
			printf("  %s:\n", acts[i].what);
		IS(acts[i].moves_d, ns_of(d2.st_mtim) > ns_of(d.st_mtim));
		IS(acts[i].moves_e, ns_of(e2.st_mtim) > ns_of(e.st_mtim));
		IS(acts[i].moves_d, ns_of(d2.st_ctim) > ns_of(d.st_ctim));
		IS(acts[i].moves_e, ns_of(e2.st_ctim) > ns_of(e.st_ctim));
	}
	/* A directory that is moved: its own ctime, and those of both parents. */
	OK(mkdir(P(1, "d/s"), 0755));
	struct stat s = look(0, "d/s");

	tick();
	OK(rename(P(2, "d/s"), P(2, "e/s")));
	TRUE(ns_of(look(0, "e/s").st_ctim) > ns_of(s.st_ctim));
}

const struct multi_case time_cases[] = {
	{ "nanoseconds", nanoseconds },
	{ "now_and_omit", now_and_omit },
	{ "times_of_a_file", times_of_a_file },
	{ "times_of_directories", times_of_directories },
	{ NULL, NULL },
};
