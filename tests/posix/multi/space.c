/* space.c - blocks and holes: fallocate, SEEK_DATA and SEEK_HOLE, st_blocks, copy_file_range, clones. */
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

#include "tests/posix/multi/multi.h"

#define MIB (1l << 20)

static void fill(int fd, off_t at, size_t len, char with)
{
	char *data = malloc(len);

	memset(data, with, len);
	IS(len, pwrite(fd, data, len, at));
	free(data);
}

/* All bytes of [at, at + len) are that. */
static void holds(int mount, const char *name, off_t at, size_t len, char want)
{
	int fd = (int)OK(open(P(mount, name), O_RDONLY | O_CLOEXEC));
	char *data = malloc(len);

	IS(len, pread(fd, data, len, at));
	for (size_t i = 0; i < len; i++)
		if (data[i] != want)
			IS(want, data[i]);
	free(data);
	OK(close(fd));
}

static int64_t blocks_of(int mount, const char *name)
{
	return look(mount, name).st_blocks;
}

static void allocated(void)
{
	int fd = make_file(0, "f", "text", 0644), pipe_fds[2];

	OK(fallocate(fd, 0, 0, 2 * MIB));
	IS(2 * MIB, look(1, "f").st_size);
	TRUE(blocks_of(1, "f") >= 2 * MIB / 512 && blocks_of(1, "f") <= 3 * MIB / 512);
	holds(2, "f", 4, 100000, 0);
	text_is(2, "f", "text");
	OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 4 * MIB, MIB));
	IS(2 * MIB, look(2, "f").st_size);
	OK(fallocate(fd, 0, 0, 100)); /* there already */
	IS(2 * MIB, look(1, "f").st_size);
	OK(posix_fallocate(fd, 3 * MIB, 10) == 0 ? 0 : -1);
	IS(3 * MIB + 10, look(1, "f").st_size);
	FAILS(EINVAL, fallocate(fd, 0, 0, 0));
	FAILS(EINVAL, fallocate(fd, 0, -1, 10));
	FAILS(EFBIG, fallocate(fd, 0, INT64_MAX, 1));
	FAILS(EOPNOTSUPP, fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 10));
	FAILS(EBADF, fallocate((int)OK(open(P(1, "f"), O_RDONLY)), 0, 0, 10));
	OK(pipe(pipe_fds));
	FAILS(ESPIPE, fallocate(pipe_fds[1], 0, 0, 10));
	if (on_fuse()) {
		FAILS(EOPNOTSUPP, fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, MIB));
		FAILS(EOPNOTSUPP, fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, MIB));
		FAILS(EOPNOTSUPP, fallocate(fd, FALLOC_FL_UNSHARE_RANGE, 0, MIB));
	}
	OK(ftruncate(fd, 0));
	IS(0, look(1, "f").st_size);
}

static void punched_and_zeroed(void)
{
	int fd = make_file(0, "f", "", 0644), other = (int)OK(open(P(1, "f"), O_RDWR | O_CLOEXEC));
	int64_t before;

	fill(fd, 0, 4 * MIB, 'x');
	before = blocks_of(2, "f");
	TRUE(before >= 4 * MIB / 512);
	holds(1, "f", 0, 4 * MIB, 'x'); /* cached there, perhaps */
	OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, MIB, MIB));
	holds(1, "f", MIB, MIB, 0);
	holds(1, "f", 0, MIB, 'x');
	holds(2, "f", 2 * MIB, 2 * MIB, 'x');
	IS(MIB / 512, before - blocks_of(1, "f"));
	IS(4 * MIB, look(1, "f").st_size);
	OK(fallocate(other, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 3 * MIB + 7,
		     1000)); /* within a block */
	holds(0, "f", 3 * MIB + 7, 1000, 0);
	holds(0, "f", 3 * MIB, 7, 'x');
	holds(2, "f", 3 * MIB + 1007, 100, 'x');
	OK(fallocate(other, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8 * MIB,
		     MIB)); /* beyond the end */
	IS(4 * MIB, look(0, "f").st_size);
	if (fallocate(other, FALLOC_FL_ZERO_RANGE, 0, MIB) < 0 && errno == EOPNOTSUPP)
		return; /* tmpfs */
	holds(2, "f", 0, MIB, 0);
	OK(fallocate(fd, FALLOC_FL_ZERO_RANGE, 4 * MIB - 10, 110));
	IS(4 * MIB + 100, look(1, "f").st_size);
	holds(1, "f", 4 * MIB - 10, 110, 0);
	OK(fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 4 * MIB, MIB));
	IS(4 * MIB + 100, look(2, "f").st_size);
}

static void data_and_holes(void)
{
	int fd = make_file(0, "f", "", 0644), other = (int)OK(open(P(1, "f"), O_RDWR | O_CLOEXEC));

	OK(ftruncate(fd, 10 * MIB));
	IS(0, blocks_of(1, "f"));
	FAILS(ENXIO, lseek(other, 0, SEEK_DATA));
	IS(0, lseek(other, 0, SEEK_HOLE));
	fill(fd, 2 * MIB, MIB, 'd');
	fill(other, 6 * MIB, MIB, 'e');
	TRUE(blocks_of(2, "f") >= 2 * MIB / 512 && blocks_of(2, "f") < 3 * MIB / 512);
	for (int i = 0; i < 2; i++) {
		int at = i ? fd : other;

		IS(2 * MIB, lseek(at, 0, SEEK_DATA));
		IS(2 * MIB + 5, lseek(at, 2 * MIB + 5, SEEK_DATA));
		IS(3 * MIB, lseek(at, 2 * MIB, SEEK_HOLE));
		IS(6 * MIB, lseek(at, 3 * MIB, SEEK_DATA));
		IS(7 * MIB, lseek(at, 6 * MIB + 1, SEEK_HOLE));
		FAILS(ENXIO, lseek(at, 7 * MIB, SEEK_DATA));
		IS(7 * MIB + 3, lseek(at, 7 * MIB + 3, SEEK_HOLE));
		FAILS(ENXIO, lseek(at, 10 * MIB, SEEK_DATA));
		FAILS(ENXIO, lseek(at, 10 * MIB, SEEK_HOLE));
	}
	OK(fallocate(other, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * MIB, MIB));
	IS(6 * MIB, lseek(fd, 0, SEEK_DATA));
	OK(ftruncate(fd, 6 * MIB));
	FAILS(ENXIO, lseek(other, 0, SEEK_DATA));
	IS(0, blocks_of(1, "f"));
	OK(ftruncate(other, 0));
	FAILS(ENXIO, lseek(fd, 0, SEEK_HOLE));
	fill(fd, 0, MIB, 'x');
	IS(MIB, lseek(other, 5, SEEK_HOLE)); /* the end is one */
}

/* ---- copies ---- */

static void copy_all(int in, off_t from, int out, off_t to, size_t len)
{
	while (len > 0) {
		ssize_t n = OK(copy_file_range(in, &from, out, &to, len, 0));

		TRUE(n > 0);
		len -= (size_t)n;
	}
}

static void copied(void)
{
	int in = make_file(0, "in", "", 0644), out = make_file(0, "out", "", 0644);
	off_t from = 0, to = 0;

	fill(in, 0, MIB, 'a');
	OK(ftruncate(in, 5 * MIB));
	fill(in, 4 * MIB, MIB, 'b');
	copy_all(in, 0, out, 0, 5 * MIB);
	for (int m = 1; m < MOUNTS; m++) {
		IS(5 * MIB, look(m, "out").st_size);
		holds(m, "out", 0, MIB, 'a');
		holds(m, "out", MIB, 3 * MIB, 0);
		holds(m, "out", 4 * MIB, MIB, 'b');
	}
	copy_all(in, 10, out, 5 * MIB + 3, 1000); /* aligned to nothing */
	holds(1, "out", 5 * MIB + 3, 1000, 'a');
	holds(2, "out", 5 * MIB, 3, 0);
	/* What another mount has just written is what is copied. */
	int other = (int)OK(open(P(1, "in"), O_RDWR | O_CLOEXEC));

	for (int i = 0; i < 5; i++) {
		fill(other, 100, 5000, (char)('0' + i));
		copy_all(in, 100, out, 7, 5000);
		holds(2, "out", 7, 5000, (char)('0' + i));
	}
	from = 0;
	to = 100;
	FAILS(EINVAL, copy_file_range(in, &from, in, &to, 200, 0)); /* overlap */
	from = 5 * MIB;
	IS(0, copy_file_range(in, &from, out, NULL, 10, 0)); /* at the end */
	FAILS(EINVAL, copy_file_range(in, NULL, out, NULL, 10, 1));
	FAILS(EBADF, copy_file_range(in, NULL, (int)OK(open(P(0, "out"), O_RDONLY)), NULL, 10, 0));
	FAILS(EBADF, copy_file_range((int)OK(open(P(0, "in"), O_WRONLY)), NULL, out, NULL, 10, 0));
	FAILS(EBADF, copy_file_range(in, NULL, (int)OK(open(P(0, "out"), O_WRONLY | O_APPEND)),
				     NULL, 10, 0));
	FAILS(EISDIR, copy_file_range((int)OK(open(P(0, ""), O_RDONLY)), NULL, out, NULL, 10, 0));
}

static void clones_are_refused(void)
{
	int in = make_file(0, "in", "text", 0644), out = make_file(0, "out", "", 0644);
	struct file_clone_range range = { .src_fd = in };

	FAILS(EOPNOTSUPP, ioctl(out, FICLONE, in));
	FAILS(EOPNOTSUPP, ioctl(out, FICLONERANGE, &range));
	IS(0, look(1, "out").st_size);
	FAILS(ENOTTY, ioctl(in, 0x5401 /* TCGETS, of isatty() */, &range));
}

/* ---- the file system's numbers ---- */

static void file_system_numbers(void)
{
	struct statvfs v[MOUNTS];
	struct statfs st;
	int fd;

	for (int m = 0; m < MOUNTS; m++) {
		OK(statvfs(P(m, ""), &v[m]));
		IS(255, v[m].f_namemax);
		TRUE(v[m].f_bsize >= 512 && v[m].f_frsize >= 512);
		TRUE(v[m].f_blocks > 0 && v[m].f_bfree <= v[m].f_blocks &&
		     v[m].f_bavail <= v[m].f_bfree);
		TRUE(v[m].f_files > 0 && v[m].f_ffree <= v[m].f_files);
		IS(v[0].f_blocks, v[m].f_blocks);
		OK(statfs(P(m, ""), &st));
		IS(255, st.f_namelen);
	}
	fd = make_file(0, "f", "", 0644);
	OK(fstatvfs(fd, &v[1]));
	IS(v[0].f_blocks, v[1].f_blocks);
}

/* ---- files that begin without a name ---- */

static void temporary_files(void)
{
	int fd = open(P(0, ""), O_TMPFILE | O_RDWR | O_CLOEXEC, 0640), fd2;
	char path[64], text[8];
	struct stat st;

	if (fd < 0 && errno == EOPNOTSUPP)
		SKIP("no O_TMPFILE here");
	OK(fd);
	OK(fstat(fd, &st));
	IS(0, st.st_nlink);
	IS(S_IFREG | 0640, st.st_mode);
	IS(4, write(fd, "temp", 4));
	IS(4, pread(fd, text, 8, 0));
	OK(ftruncate(fd, 3));
	OK(fchmod(fd, 0600));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	OK(linkat(AT_FDCWD, path, AT_FDCWD, P(0, "named"), AT_SYMLINK_FOLLOW));
	for (int m = 0; m < MOUNTS; m++) {
		IS(1, look(m, "named").st_nlink);
		IS(st.st_ino, look(m, "named").st_ino);
		text_is(m, "named", "tem");
	}
	FAILS(EEXIST, linkat(AT_FDCWD, path, AT_FDCWD, P(0, "named"), AT_SYMLINK_FOLLOW));
	IS(1, write(fd, "!", 1));
	OK(unlink(P(1, "named")));
	OK(fstat(fd, &st));
	IS(0, st.st_nlink);
	OK(close(fd));

	fd = (int)OK(open(P(1, ""), O_TMPFILE | O_EXCL | O_WRONLY | O_CLOEXEC, 0600));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	FAILS(ENOENT, linkat(AT_FDCWD, path, AT_FDCWD, P(1, "never"), AT_SYMLINK_FOLLOW));
	FAILS(EINVAL, open(P(2, ""), O_TMPFILE | O_RDONLY, 0600));
	FAILS(ENOENT, open(P(1, "missing"), O_TMPFILE | O_RDWR, 0600));
	fd2 = (int)OK(open(P(1, ""), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)); /* two at once */
	OK(close(fd));
	IS(1, write(fd2, "x", 1));
	OK(chmod(P(2, ""), 02777));
	OK(chown(P(2, ""), 0, STAFF));
	OK(chmod(P(2, ""), 02777));
	become(ALICE, ALICE, 0);
	fd = (int)OK(open(P(0, ""), O_TMPFILE | O_RDWR | O_CLOEXEC, 0666));
	OK(fstat(fd, &st));
	IS(ALICE, st.st_uid);
	IS(STAFF, st.st_gid);
	IS(S_IFREG | 0644, st.st_mode);
}

const struct multi_case space_cases[] = {
	{ "allocated", allocated },
	{ "punched_and_zeroed", punched_and_zeroed },
	{ "data_and_holes", data_and_holes },
	{ "copied", copied },
	{ "clones_are_refused", clones_are_refused },
	{ "file_system_numbers", file_system_numbers },
	{ "temporary_files", temporary_files },
	{ NULL, NULL },
};
