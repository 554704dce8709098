/*
 * load.c - random file operations on mounts of one file system, and the history of what they answered.
 *
 * One process for each mount, several threads in it, each a client. All work is in one directory, made
 * afresh: directories a and b whose names come and go, files r0.. of slots that are overwritten, p0..
 * that are appended to, t0.. that are cut and read without the page cache. Every value written is unique.
 *
 * What the history must not say, because system calls do not say it: several requests behind one call.
 * So data operations stay inside one page; listings are marked as put together from pieces; no inode
 * number is claimed for a name whose inode was not opened. The kernel answers a rename itself when the two
 * names, looked up one after the other, lead to one inode, as two clients that rename the same name make
 * it seem; so one of the two names is always the client's own, names that hold directories are never those
 * that hold files, and hard links are never renamed. Files that are cut are read through a descriptor with
 * O_APPEND: with O_DIRECT alone the kernel completes a short answer with a second request.
 *
 * A call that fails with ETIMEDOUT, EINTR, EIO, ENOTCONN and the like stays open in the history: it may
 * have taken effect. So do calls under way when the run ends and --grace is over.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/opt.h"
#include "base/prng.h"
#include "tests/history/history.h"

#define THREADS_MAX 16u
#define MOUNTS_MAX 8u
#define SLOT 64u /* bytes of one value */
#define PAGE 4096u
#define DATA_FILES 2u     /* of each kind: r, p, t */
#define APPEND_MAX 32768u /* bytes after which a log is no longer appended to */

static struct options {
	const char *history, *dir;
	uint64_t threads, seed, rate;
	double seconds, grace;
	bool help;
} opt = { .dir = "load", .threads = 3, .seed = 1, .rate = 200, .seconds = 10, .grace = 40 };

static const struct opt opts[] = {
	{ .name = "history",
	  .kind = OPT_STRING,
	  .offset = offsetof(struct options, history),
	  .value = "FILE",
	  .help = "the history to make (required); FILE must not exist" },
	{ .name = "dir",
	  .kind = OPT_STRING,
	  .offset = offsetof(struct options, dir),
	  .value = "NAME",
	  .def = "load",
	  .help = "directory to make in the mounts and to work in" },
	{ .name = "threads",
	  .kind = OPT_U64,
	  .offset = offsetof(struct options, threads),
	  .value = "N",
	  .def = "3",
	  .min = 1,
	  .max = THREADS_MAX,
	  .help = "threads for each mount" },
	{ .name = "seconds",
	  .kind = OPT_SECONDS,
	  .offset = offsetof(struct options, seconds),
	  .value = "S",
	  .def = "10",
	  .help = "how long to start operations" },
	{ .name = "grace",
	  .kind = OPT_SECONDS,
	  .offset = offsetof(struct options, grace),
	  .value = "S",
	  .def = "40",
	  .help = "how long to wait for the last answers then" },
	{ .name = "rate",
	  .kind = OPT_U64,
	  .offset = offsetof(struct options, rate),
	  .value = "N",
	  .def = "200",
	  .min = 1,
	  .max = 1000000,
	  .help = "operations per second and thread at most" },
	{ .name = "seed",
	  .kind = OPT_U64,
	  .offset = offsetof(struct options, seed),
	  .value = "N",
	  .def = "1",
	  .help = "draws the operations" },
	{ .name = "help",
	  .short_name = 'h',
	  .kind = OPT_FLAG,
	  .offset = offsetof(struct options, help),
	  .help = "this text" },
};

/* Shared by all processes of the run. */
struct totals {
	atomic_ulong done, refused, open;
	atomic_bool stop;
};

static struct totals *totals;
static int log_fd;

enum dir_number { DIR_A, DIR_B, DIR_COUNT };
enum data_kind { DATA_SLOTS, DATA_LOG, DATA_CUT, DATA_KINDS };
static const char data_letter[DATA_KINDS] = { 'r', 'p', 't' };

struct data_file {
	int fd; /* -1: to be opened */
	int read_fd;
	uint64_t ino;
};

struct client {
	uint32_t number;
	uint64_t ops;     /* numbers them, and makes values unique */
	unsigned int own; /* of its own names, which change when what became of one is not known */
	struct prng p;
	const char *mount;
	int dir_fd[DIR_COUNT]; /* -1: to be opened */
	uint64_t dir_ino[DIR_COUNT];
	struct data_file data[DATA_KINDS][DATA_FILES];
	/* the operation under way */
	struct fs_request rq;
	uint64_t id;
	char name[32], name2[32], value[SLOT];
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void __attribute__((noreturn)) die(const char *what, int code)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(code));
	exit(1);
}

/* ---- the record ------------------------------------------------------------------------------------ */

/* Before the call. The names and the value in c are already set. */
static void begin(struct client *c, struct fs_request rq)
{
	int ret;

	c->id = (uint64_t)c->number << 32 | ++c->ops;
	c->rq = rq;
	ret = history_log_begin(log_fd, c->id, c->number, now_ns(), &c->rq);
	if (ret < 0)
		die("cannot write the history", -ret);
}

/* Errors after which nobody knows whether the call took effect. */
static bool leaves_open(int error)
{
	switch (error) {
	case ETIMEDOUT:
	case EINTR:
	case EIO:
	case ENOTCONN:
	case ECONNABORTED:
	case ECONNREFUSED:
	case ESHUTDOWN:
	case ENODEV:
		return true;
	default:
		return false;
	}
}

/*
 * ESTALE in a directory that is never removed is the kernel's: its cached name of a directory that another
 * mount moved could not be moved along, as another call held the locks (__d_unalias).
 */
static bool kernel_said(const struct client *c, long ret)
{
	bool here = false;

	for (size_t i = 0; i < DIR_COUNT; i++)
		here |= c->rq.name_len > 0 && c->rq.ino == c->dir_ino[i];
	return ret == -ESTALE && here;
}

/* After the call, which returned ret (negative errno on failure). end_ns: taken right behind it. */
static void end_at(struct client *c, uint64_t end_ns, long ret, const struct fs_reply *reply,
		   uint32_t known)
{
	int status = ret < 0 ? (int)ret : 0;

	if (kernel_said(c, ret))
		return;
	if (leaves_open(-status)) {
		atomic_fetch_add(&totals->open, 1);
		/* The mount may be another one when it comes back. */
		for (size_t i = 0; i < DIR_COUNT && status != -ETIMEDOUT && status != -EINTR; i++) {
			close(c->dir_fd[i]);
			c->dir_fd[i] = -1;
		}
		return;
	}
	status = history_log_end(log_fd, &c->rq, c->id, end_ns, status, reply, known, 0);
	if (status < 0)
		die("cannot write the history", -status);
	atomic_fetch_add(ret < 0 ? &totals->refused : &totals->done, 1);
}

static void end(struct client *c, long ret, const struct fs_reply *reply, uint32_t known)
{
	end_at(c, now_ns(), ret, reply, known);
}

static long result(long ret)
{
	return ret < 0 ? -errno : ret;
}

static uint64_t below(struct client *c, uint64_t bound)
{
	return prng_below(&c->p, bound);
}

static size_t any_dir(struct client *c)
{
	return (size_t)below(c, DIR_COUNT);
}

static void set_name(struct client *c, char *name, char letter, unsigned int count)
{
	snprintf(name, sizeof(c->name), "%c%u", letter, (unsigned int)below(c, count));
}

static struct fs_request in_dir(struct client *c, uint8_t op, size_t dir)
{
	return (struct fs_request){
		.op = op, .ino = c->dir_ino[dir], .name = c->name, .name_len = strlen(c->name)
	};
}

static struct fs_request on_file(uint8_t op, const struct data_file *f)
{
	return (struct fs_request){ .op = op, .ino = f->ino };
}

/* What fstat() says of an inode that is open; INO and TYPE alone are of the moment of opening. */
static uint32_t fill_ino(int fd, struct fs_reply *reply)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return 0;
	reply->has_attr = true;
	reply->attr = (struct fs_attr){ .ino = st.st_ino, .mode = st.st_mode & S_IFMT };
	return HIST_INO | HIST_TYPE;
}

/* ---- names ----------------------------------------------------------------------------------------- */

static void step_create(struct client *c)
{
	struct fs_reply reply = { .count = 0 };
	size_t dir = any_dir(c);
	uint64_t end_ns;
	uint32_t known = 0;
	long fd;

	set_name(c, c->name, 'f', 4);
	struct fs_request rq = in_dir(c, FS_CREATE, dir);
	rq.flags = O_EXCL | O_RDWR;
	rq.mode = 0644;
	begin(c, rq);
	fd = result(openat(c->dir_fd[dir], c->name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0644));
	end_ns = now_ns();
	if (fd >= 0) {
		known = fill_ino((int)fd, &reply);
		close((int)fd);
	}
	end_at(c, end_ns, fd, &reply, known);
}

static void step_mkdir(struct client *c)
{
	size_t dir = any_dir(c);
	struct fs_request rq;

	set_name(c, c->name, 'd', 2);
	rq = in_dir(c, FS_MKDIR, dir);
	rq.mode = 0755;
	begin(c, rq);
	end(c, result(mkdirat(c->dir_fd[dir], c->name, 0755)), NULL, 0);
}

static void step_rmdir(struct client *c)
{
	size_t dir = any_dir(c);

	set_name(c, c->name, 'd', 2);
	begin(c, in_dir(c, FS_RMDIR, dir));
	end(c, result(unlinkat(c->dir_fd[dir], c->name, AT_REMOVEDIR)), NULL, 0);
}

static void step_symlink(struct client *c)
{
	size_t dir = any_dir(c);
	struct fs_request rq;

	set_name(c, c->name, 's', 2);
	rq = in_dir(c, FS_SYMLINK, dir);
	rq.data = "target";
	rq.data_len = 6;
	begin(c, rq);
	end(c, result(symlinkat("target", c->dir_fd[dir], c->name)), NULL, 0);
}

static void any_file_name(struct client *c, char *name)
{
	static const char letters[] = "fffffslo";
	char letter = letters[below(c, strlen(letters))];

	if (letter == 'o')
		snprintf(name, sizeof(c->name), "o%u.%u", (unsigned int)below(c, c->number) + 1,
			 c->own);
	else
		set_name(c, name, letter, letter == 'f' ? 4 : 2);
}

static void step_unlink(struct client *c)
{
	size_t dir = any_dir(c);

	any_file_name(c, c->name);
	begin(c, in_dir(c, FS_UNLINK, dir));
	end(c, result(unlinkat(c->dir_fd[dir], c->name, 0)), NULL, 0);
}

/* From a name that all use to an own one, or back. */
static void step_rename(struct client *c)
{
	static const uint32_t choice[] = { 0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE };
	size_t from = any_dir(c), to = any_dir(c);
	bool dirs = below(c, 5) == 0, back = below(c, 2);
	struct fs_request rq;
	long ret;

	set_name(c, back ? c->name2 : c->name, dirs ? 'd' : 'f', dirs ? 2 : 4);
	snprintf(back ? c->name : c->name2, sizeof(c->name), "%c%u.%u", dirs ? 'e' : 'o', c->number,
		 c->own);
	rq = in_dir(c, FS_RENAME, from);
	rq.ino2 = c->dir_ino[to];
	rq.name2 = c->name2;
	rq.name2_len = strlen(c->name2);
	rq.flags = choice[below(c, ARRAY_SIZE(choice))];
	begin(c, rq);
	ret = result(renameat2(c->dir_fd[from], c->name, c->dir_fd[to], c->name2, rq.flags));
	c->own += ret < 0 && leaves_open((int)-ret);
	end(c, ret, NULL, 0);
}

static void step_lookup(struct client *c)
{
	struct fs_reply reply = { .has_attr = true };
	size_t dir = any_dir(c);
	struct stat st = { .st_ino = 0 };
	long ret;

	if (below(c, 5) == 0)
		set_name(c, c->name, 'd', 2);
	else
		any_file_name(c, c->name);
	begin(c, in_dir(c, FS_LOOKUP, dir));
	ret = result(fstatat(c->dir_fd[dir], c->name, &st, AT_SYMLINK_NOFOLLOW));
	reply.attr.ino = st.st_ino;
	reply.attr.mode = st.st_mode & S_IFMT;
	end(c, ret, &reply, HIST_INO | HIST_TYPE);
}

struct linux_dirent {
	uint64_t d_ino;
	int64_t d_off;
	unsigned short d_reclen;
	unsigned char d_type;
	char d_name[];
};

/* All names that getdents64 gives, as fs_dirents. */
static long list_names(int fd, struct buf *names)
{
	static _Thread_local char block[32768];

	for (;;) {
		long n = result(syscall(SYS_getdents64, fd, block, sizeof(block)));

		if (n <= 0)
			return n;
		for (long at = 0; at < n;) {
			const struct linux_dirent *e = (const void *)(block + at);
			struct fs_dirent d = { .ino = e->d_ino,
					       .mode = DTTOIF(e->d_type),
					       .name = e->d_name,
					       .name_len = strlen(e->d_name) };

			if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
				fs_dirent_encode(&d, names);
			at += e->d_reclen;
		}
	}
}

static void step_readdir(struct client *c)
{
	size_t dir = any_dir(c);
	struct fs_request rq = { .op = FS_READDIR,
				 .ino = c->dir_ino[dir],
				 .flags = HIST_LIST_PIECES };
	struct fs_reply reply = { .count = 0 };
	struct buf names = BUF_INIT;
	long fd, ret;

	begin(c, rq);
	fd = ret = result(openat(c->dir_fd[dir], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	if (fd >= 0) {
		ret = list_names((int)fd, &names);
		close((int)fd);
	}
	reply.data = names.data;
	reply.data_len = names.len;
	end(c, ret, &reply, HIST_DATA);
	buf_release(&names);
}

/* Opens a name (a lookup on record), and does one more thing with what it found, whatever its name is then. */
static long open_found(struct client *c, size_t dir, int flags, uint64_t *ino)
{
	struct fs_reply reply = { .count = 0 };
	uint64_t end_ns;
	uint32_t known = 0;
	long fd;

	begin(c, in_dir(c, FS_LOOKUP, dir));
	fd = result(openat(c->dir_fd[dir], c->name, flags | O_CLOEXEC | O_NOFOLLOW));
	end_ns = now_ns();
	if (fd >= 0)
		known = fill_ino((int)fd, &reply);
	end_at(c, end_ns, fd, &reply, known);
	*ino = reply.attr.ino;
	if (fd >= 0 && known == 0) {
		close((int)fd);
		return -EIO;
	}
	return fd;
}

static void step_link(struct client *c)
{
	size_t dir = any_dir(c);
	struct fs_request rq;
	char proc[64];
	uint64_t ino;
	long fd, ret;

	set_name(c, c->name, 'f', 4);
	fd = open_found(c, any_dir(c), O_RDWR, &ino);
	if (fd < 0)
		return;
	set_name(c, c->name, 'l', 2);
	rq = in_dir(c, FS_LINK, dir);
	rq.ino2 = rq.ino;
	rq.ino = ino;
	snprintf(proc, sizeof(proc), "/proc/self/fd/%ld", fd);
	begin(c, rq);
	ret = result(linkat(AT_FDCWD, proc, c->dir_fd[dir], c->name, AT_SYMLINK_FOLLOW));
	/* The kernel says so from the link count it remembers, which this mount's unlink may have made 0
	 * while another mount's link was under way: no answer of the file system. */
	if (ret != -ENOENT)
		end(c, ret, NULL, 0);
	close((int)fd);
}

static void make_value(struct client *c, size_t len)
{
	snprintf(c->value, sizeof(c->value), "%u.%llu", c->number, (unsigned long long)c->ops);
	for (size_t i = strlen(c->value); i < len; i++)
		c->value[i] = '.';
	if (len > 0)
		c->value[len - 1] = '\n';
}

/* A file or directory that was found: written and read, or a name in it made and removed. */
static void step_inside(struct client *c)
{
	size_t dir = any_dir(c);
	bool is_dir = below(c, 2);
	struct data_file f;
	long fd;

	set_name(c, c->name, is_dir ? 'd' : 'f', is_dir ? 2 : 4);
	fd = open_found(c, dir, is_dir ? O_RDONLY | O_DIRECTORY : O_RDWR, &f.ino);
	if (fd < 0)
		return;
	if (is_dir) {
		struct fs_request rq;
		bool make = below(c, 3) > 0;

		set_name(c, c->name, 'x', 2);
		rq = (struct fs_request){ .op = make ? FS_MKDIR : FS_RMDIR,
					  .ino = f.ino,
					  .name = c->name,
					  .name_len = strlen(c->name),
					  .mode = 0755 };
		begin(c, rq);
		end(c,
		    result(make ? mkdirat((int)fd, c->name, 0755)
				: unlinkat((int)fd, c->name, AT_REMOVEDIR)),
		    NULL, 0);
	} else {
		struct fs_request rq = on_file(FS_WRITE, &f);
		struct fs_reply reply = { .count = SLOT };

		make_value(c, SLOT);
		rq.data = c->value;
		rq.data_len = SLOT;
		begin(c, rq);
		end(c, result(pwrite((int)fd, c->value, SLOT, 0)), &reply, 0);
	}
	close((int)fd);
}

/* ---- data ------------------------------------------------------------------------------------------ */

static struct data_file *any_data(struct client *c, enum data_kind kind)
{
	return &c->data[kind][below(c, DATA_FILES)];
}

static void end_data(struct client *c, struct data_file *f, long ret, const struct fs_reply *reply,
		     uint32_t known)
{
	uint64_t end_ns = now_ns();

	if (ret < 0 && leaves_open((int)-ret)) {
		close(f->fd);
		close(f->read_fd);
		f->fd = -1;
	}
	end_at(c, end_ns, ret, reply, known);
}

static void write_value(struct client *c, struct data_file *f, uint64_t offset, bool append)
{
	struct fs_request rq = on_file(FS_WRITE, f);
	struct fs_reply reply = { .count = 0 };
	size_t len = append ? 16 + below(c, SLOT - 16) : SLOT;
	long ret;

	make_value(c, len);
	rq.offset = offset;
	rq.flags = append ? O_APPEND : 0;
	rq.data = c->value;
	rq.data_len = len;
	begin(c, rq);
	ret = result(append ? write(f->fd, c->value, len)
			    : pwrite(f->fd, c->value, len, (off_t)offset));
	reply.count = ret > 0 ? (uint64_t)ret : 0;
	end_data(c, f, ret, &reply, HIST_COUNT);
}

static void read_value(struct client *c, struct data_file *f, uint64_t offset, size_t len)
{
	static _Thread_local char page[PAGE] __attribute__((aligned(PAGE)));
	struct fs_request rq = on_file(FS_READ, f);
	struct fs_reply reply = { .data = page };
	long ret;

	rq.offset = offset;
	rq.size = len;
	begin(c, rq);
	ret = result(pread(f->read_fd, page, len, (off_t)offset));
	reply.data_len = ret > 0 ? (size_t)ret : 0;
	end_data(c, f, ret, &reply, HIST_DATA);
}

static void step_write_slot(struct client *c)
{
	write_value(c, any_data(c, DATA_SLOTS), below(c, 4) * SLOT, false);
}

static void step_read_slot(struct client *c)
{
	if (below(c, 4) == 0)
		read_value(c, any_data(c, DATA_SLOTS), 0, 4 * SLOT);
	else
		read_value(c, any_data(c, DATA_SLOTS), below(c, 4) * SLOT, SLOT);
}

/* The end as this mount sees it, which is only a hint for choosing a page or stopping. */
static uint64_t end_of(const struct data_file *f)
{
	struct stat st;

	return fstat(f->fd, &st) < 0 ? 0 : (uint64_t)st.st_size;
}

static void step_append(struct client *c)
{
	struct data_file *f = any_data(c, DATA_LOG);

	if (end_of(f) < APPEND_MAX)
		write_value(c, f, 0, true);
}

static void step_read_log(struct client *c)
{
	struct data_file *f = any_data(c, DATA_LOG);
	uint64_t last = end_of(f) / PAGE;

	read_value(c, f, (below(c, 4) ? last : below(c, last + 1)) * PAGE, PAGE);
}

static void step_cut(struct client *c)
{
	struct data_file *f = any_data(c, DATA_CUT);
	struct fs_request rq = on_file(FS_SETATTR, f);

	rq.valid = FS_SET_SIZE;
	rq.size = below(c, 4 * SLOT);
	begin(c, rq);
	end_data(c, f, result(ftruncate(f->fd, (off_t)rq.size)), NULL, 0);
}

static void step_cut_file(struct client *c)
{
	struct data_file *f = any_data(c, DATA_CUT);

	switch (below(c, 3)) {
	case 0:
		step_cut(c);
		return;
	case 1:
		write_value(c, f, below(c, 4) * SLOT, false);
		return;
	default:
		read_value(c, f, 0, PAGE);
	}
}

static void step_chmod(struct client *c)
{
	struct data_file *f = any_data(c, DATA_CUT);
	struct fs_request rq = on_file(FS_SETATTR, f);

	rq.valid = FS_SET_MODE;
	rq.mode = 0600 | (uint32_t)below(c, 0200);
	begin(c, rq);
	end_data(c, f, result(fchmod(f->fd, rq.mode)), NULL, 0);
}

static void step_getattr(struct client *c)
{
	struct data_file *f = any_data(c, (enum data_kind)below(c, DATA_KINDS));
	struct fs_reply reply = { .has_attr = true };
	struct stat st = { .st_ino = 0 };
	long ret;

	begin(c, on_file(FS_GETATTR, f));
	ret = result(fstat(f->fd, &st));
	reply.attr = (struct fs_attr){ .ino = st.st_ino,
				       .mode = st.st_mode,
				       .nlink = (uint32_t)st.st_nlink,
				       .size = (uint64_t)st.st_size };
	end_data(c, f, ret, &reply, HIST_INO | HIST_TYPE | HIST_MODE | HIST_SIZE);
}

/* ---- a client -------------------------------------------------------------------------------------- */

static const struct {
	void (*fn)(struct client *c);
	unsigned int weight;
} steps[] = {
	{ step_create, 8 },  { step_mkdir, 3 },    { step_rmdir, 3 },      { step_symlink, 2 },
	{ step_unlink, 6 },  { step_rename, 6 },   { step_lookup, 10 },    { step_readdir, 6 },
	{ step_link, 3 },    { step_inside, 4 },   { step_write_slot, 8 }, { step_read_slot, 10 },
	{ step_append, 6 },  { step_read_log, 8 }, { step_cut_file, 8 },   { step_chmod, 2 },
	{ step_getattr, 6 },
};

static int open_dirs(struct client *c)
{
	for (size_t i = 0; i < DIR_COUNT; i++) {
		char path[4096];
		struct stat st;

		if (c->dir_fd[i] >= 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s/%c", c->mount, opt.dir, (char)('a' + i));
		c->dir_fd[i] = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (c->dir_fd[i] < 0 || fstat(c->dir_fd[i], &st) < 0)
			return -errno;
		c->dir_ino[i] = st.st_ino;
	}
	return 0;
}

static int open_data(struct client *c, enum data_kind kind, size_t i)
{
	struct data_file *f = &c->data[kind][i];
	int flags = O_RDWR | O_CLOEXEC | (kind == DATA_LOG ? O_APPEND : 0);
	char path[4096];
	struct stat st;

	if (f->fd >= 0)
		return 0;
	/* With the page cache and without. */
	if (kind == DATA_SLOTS && below(c, 2))
		flags |= O_DIRECT;
	snprintf(path, sizeof(path), "%s/%s/%c%zu", c->mount, opt.dir, data_letter[kind], i);
	if (kind == DATA_SLOTS && below(c, 2))
		f->read_fd = open(path, flags);
	else if (kind == DATA_SLOTS)
		f->read_fd = open(path, O_RDONLY | O_CLOEXEC);
	else
		f->read_fd = open(path, O_RDONLY | O_APPEND | O_CLOEXEC);
	if (f->read_fd < 0)
		return -errno;
	f->fd = open(path, flags);
	if (f->fd < 0 || fstat(f->fd, &st) < 0) {
		close(f->read_fd);
		close(f->fd);
		f->fd = -1;
		return -EIO;
	}
	f->ino = st.st_ino;
	return 0;
}

/* Everything that a step may use is open. Not on record: these names never change. */
static int open_all(struct client *c)
{
	int ret = open_dirs(c);

	for (size_t kind = 0; ret == 0 && kind < DATA_KINDS; kind++) {
		for (size_t i = 0; ret == 0 && i < DATA_FILES; i++)
			ret = open_data(c, (enum data_kind)kind, i);
	}
	return ret;
}

static void any_step(struct client *c)
{
	unsigned int total = 0, drawn;

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
		total += steps[i].weight;
	drawn = (unsigned int)below(c, total);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		if (drawn < steps[i].weight) {
			steps[i].fn(c);
			return;
		}
		drawn -= steps[i].weight;
	}
}

static void client_init(struct client *c, const char *mount, uint32_t number)
{
	*c = (struct client){ .number = number, .mount = mount };
	prng_init(&c->p, opt.seed * 1000003 + number);
	for (size_t i = 0; i < DIR_COUNT; i++)
		c->dir_fd[i] = -1;
	for (size_t kind = 0; kind < DATA_KINDS; kind++) {
		for (size_t i = 0; i < DATA_FILES; i++)
			c->data[kind][i].fd = -1;
	}
}

static void *client_main(void *arg)
{
	struct client *c = arg;
	uint64_t pause_us = 2000000u / opt.rate + 1; /* the mean is half of it */

	while (!atomic_load(&totals->stop)) {
		if (open_all(c) == 0)
			any_step(c);
		else
			clock_sleep_ms(20);
		usleep((useconds_t)below(c, pause_us));
	}
	return NULL;
}

static void __attribute__((noreturn)) mount_main(const char *mount, uint32_t first)
{
	static struct client clients[THREADS_MAX];
	pthread_t threads[THREADS_MAX];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (uint32_t i = 0; i < opt.threads; i++) {
		client_init(&clients[i], mount, first + i);
		if (pthread_create(&threads[i], NULL, client_main, &clients[i]) != 0)
			die("cannot start a thread", EAGAIN);
	}
	for (uint32_t i = 0; i < opt.threads; i++)
		pthread_join(threads[i], NULL);
	_exit(0);
}

/* ---- the run --------------------------------------------------------------------------------------- */

static void make_dir(const char *path)
{
	if (mkdir(path, 0777) < 0)
		die(path, errno);
}

/* The tree that the clients find, made through one mount; only the slots' first bytes are on record. */
static void make_tree(const char *mount)
{
	static struct client c;
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", mount, opt.dir);
	make_dir(path);
	for (size_t i = 0; i < DIR_COUNT; i++) {
		snprintf(path, sizeof(path), "%s/%s/%c", mount, opt.dir, (char)('a' + i));
		make_dir(path);
	}
	client_init(&c, mount, 0);
	for (size_t kind = 0; kind < DATA_KINDS; kind++) {
		for (size_t i = 0; i < DATA_FILES; i++) {
			int fd;

			snprintf(path, sizeof(path), "%s/%s/%c%zu", mount, opt.dir,
				 data_letter[kind], i);
			fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
			if (fd < 0)
				die(path, errno);
			close(fd);
		}
	}
	if (open_all(&c) < 0)
		die("cannot open what was just made", errno);
	for (size_t i = 0; i < DATA_FILES; i++) {
		for (uint64_t slot = 0; slot < 4; slot++)
			write_value(&c, &c.data[DATA_SLOTS][i], slot * SLOT, false);
	}
	/* Its descriptors stay: the process that made them ends with them. */
}

/* Waits until the time is over or all have ended. True: all have. */
static bool wait_children(pid_t *pids, size_t count, double seconds)
{
	uint64_t until = now_ns() + (uint64_t)(seconds * 1e9);

	for (;;) {
		size_t left = 0;

		for (size_t i = 0; i < count; i++) {
			if (pids[i] > 0 && waitpid(pids[i], NULL, WNOHANG) == pids[i])
				pids[i] = 0;
			left += pids[i] > 0;
		}
		if (left == 0 || now_ns() >= until)
			return left == 0;
		clock_sleep_ms(20);
	}
}

static void on_signal(int signal_number)
{
	(void)signal_number;
	atomic_store(&totals->stop, true);
}

static int run(char **mounts, size_t count)
{
	pid_t pids[MOUNTS_MAX], maker = fork();
	int status;

	if (maker == 0) {
		make_tree(mounts[0]);
		_exit(0);
	}
	if (maker < 0 || waitpid(maker, &status, 0) != maker || status != 0)
		return 1;
	for (size_t i = 0; i < count; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			die("cannot start a process", errno);
		if (pids[i] == 0)
			mount_main(mounts[i], (uint32_t)(1 + i * THREADS_MAX));
	}
	for (uint64_t until = now_ns() + (uint64_t)(opt.seconds * 1e9);
	     now_ns() < until && !atomic_load(&totals->stop);)
		clock_sleep_ms(20);
	atomic_store(&totals->stop, true);
	if (!wait_children(pids, count, opt.grace)) {
		for (size_t i = 0; i < count; i++) {
			if (pids[i] > 0)
				kill(pids[i], SIGKILL);
		}
		wait_children(pids, count, 10);
	}
	printf("load: %lu answered, %lu refused, %lu without an answer, seed %llu\n",
	       atomic_load(&totals->done), atomic_load(&totals->refused),
	       atomic_load(&totals->open), (unsigned long long)opt.seed);
	return 0;
}

static int usage(const char *why)
{
	fprintf(stderr, "load: %s\n  next: load --help\n", why);
	return 2;
}

int main(int argc, char **argv)
{
	struct err err = ERR_INIT;
	int count;

	if (opt_parse_argv(opts, ARRAY_SIZE(opts), argc, argv, &opt, &count, &err) < 0)
		return usage(err.text);
	if (opt.help) {
		printf("usage: load --history=FILE [OPTION]... MOUNT...\n"
		       "Random file operations through mounts of one file system; their history "
		       "goes to FILE.\n"
		       "SIGTERM ends the run early. Exit: 0 the run took place, 1 not, 2 "
		       "usage.\n\n");
		opt_print_help(opts, ARRAY_SIZE(opts), stdout);
		return 0;
	}
	if (!opt.history || count < 1 || count > (int)MOUNTS_MAX)
		return usage("one history and 1 to 8 mounts are needed");
	log_fd = history_log_create(opt.history, &err);
	if (log_fd < 0) {
		err_print(&err, "load");
		return 1;
	}
	totals = mmap(NULL, sizeof(*totals), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (totals == MAP_FAILED)
		die("cannot share memory", errno);
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	return run(argv + 1, (size_t)count);
}
