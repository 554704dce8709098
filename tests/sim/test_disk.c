/*
 * test_disk.c - the simulated disk keeps what it says: the same answers as a real file system while
 * nothing breaks, and after a power loss whatever a disk may have, but never less than was synced.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/io.h"
#include "base/prng.h"
#include "tests/lib/unit.h"
#include "tests/sim/sim_disk.h"

#define SEEDS 200

static struct sim_disk *fresh(uint64_t seed)
{
	return sim_disk_new("d", seed);
}

static int create(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(fd >= SIM_FD_BASE);
	return fd;
}

static void sync_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fsync(fd), 0);
	close(fd);
}

static void write_at(int fd, const char *text, off_t off)
{
	assert_int_equal(io_pwrite_all(fd, text, strlen(text), off), 0);
}

static void fill(uint8_t *page, size_t len, uint8_t with)
{
	memset(page, with, len);
}

static bool exists(const char *path)
{
	return access(path, F_OK) == 0;
}

static void restart(struct sim_disk *d, bool power_loss)
{
	sim_disk_crash(d, power_loss);
	sim_disk_forget_handles(d);
	sim_disk_revive(d);
}

/* Appends the file's content; false: it is not there. */
static bool content(const char *path, struct buf *out)
{
	buf_reset(out);
	return io_read_file(AT_FDCWD, path, out) == 0;
}

/* ---- what survives ---------------------------------------------------------------------------------- */

static void synced_bytes_survive_a_power_loss(void **state)
{
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct sim_disk *d = fresh(seed);
		struct buf text = BUF_INIT;
		int fd = create("/sim/d/f");

		write_at(fd, "kept", 0);
		assert_int_equal(fdatasync(fd), 0);
		sync_dir("/sim/d");
		write_at(fd, "!", 4);
		restart(d, true);
		assert_true(content("/sim/d/f", &text));
		assert_true(text.len >= 4 && memcmp(text.data, "kept", 4) == 0);
		buf_release(&text);
		sim_disk_free(d);
	}
}

/* Each sector old or new, whatever the others are: also within one page and one write. */
static void unsynced_sectors_survive_in_any_subset(void **state)
{
	uint8_t page[SIM_PAGE_SIZE], got[SIM_PAGE_SIZE];
	unsigned none = 0, all = 0, torn = 0;

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct sim_disk *d = fresh(seed);
		int fd = create("/sim/d/f");
		unsigned fresh_sectors = 0;

		fill(page, sizeof(page), 'o');
		assert_int_equal(io_pwrite_all(fd, page, sizeof(page), 0), 0);
		assert_int_equal(fsync(fd), 0);
		sync_dir("/sim/d");
		fill(page, sizeof(page), 'n');
		assert_int_equal(io_pwrite_all(fd, page, sizeof(page), 0), 0);
		restart(d, true);
		fd = open("/sim/d/f", O_RDONLY | O_CLOEXEC);
		assert_int_equal(io_pread_all(fd, got, sizeof(got), 0), 0);
		for (size_t s = 0; s < sizeof(got); s += SIM_SECTOR_SIZE) {
			for (size_t i = s; i < s + SIM_SECTOR_SIZE; i++)
				assert_int_equal(got[i], got[s]);
			assert_true(got[s] == 'o' || got[s] == 'n');
			fresh_sectors += got[s] == 'n';
		}
		none += fresh_sectors == 0;
		all += fresh_sectors == SIM_PAGE_SIZE / SIM_SECTOR_SIZE;
		torn += fresh_sectors > 0 && fresh_sectors < SIM_PAGE_SIZE / SIM_SECTOR_SIZE;
		close(fd);
		sim_disk_free(d);
	}
	assert_true(none > 0 && all > 0 && torn > 0);
}

static void a_sector_written_twice_may_survive_in_the_middle_version(void **state)
{
	unsigned seen[3] = { 0 };

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct sim_disk *d = fresh(seed);
		struct buf text = BUF_INIT;
		int fd = create("/sim/d/f");

		write_at(fd, "0", 0);
		fsync(fd);
		sync_dir("/sim/d");
		write_at(fd, "1", 0);
		write_at(fd, "2", 0);
		restart(d, true);
		assert_true(content("/sim/d/f", &text));
		assert_in_range(text.data[0], '0', '2');
		seen[text.data[0] - '0']++;
		buf_release(&text);
		sim_disk_free(d);
	}
	assert_true(seen[0] > 0 && seen[1] > 0 && seen[2] > 0);
}

/* A size without its bytes, bytes without their size: a hole is zeros, the rest is gone. */
static void size_and_bytes_survive_without_each_other(void **state)
{
	unsigned hole = 0, empty = 0, whole = 0;

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct sim_disk *d = fresh(seed);
		struct buf text = BUF_INIT;
		int fd = create("/sim/d/f");

		sync_dir("/sim/d");
		write_at(fd, "text", 0);
		restart(d, true);
		assert_true(content("/sim/d/f", &text));
		assert_true(text.len <= 4);
		empty += text.len == 0;
		hole += text.len == 4 && memcmp(text.data, "\0\0\0\0", 4) == 0;
		whole += text.len == 4 && memcmp(text.data, "text", 4) == 0;
		buf_release(&text);
		sim_disk_free(d);
	}
	assert_true(hole > 0 && empty > 0 && whole > 0);
}

static void a_cut_file_may_come_back_longer(void **state)
{
	unsigned back = 0, gone = 0;

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct sim_disk *d = fresh(seed);
		struct buf text = BUF_INIT;
		int fd = create("/sim/d/f");

		write_at(fd, "old text", 0);
		fsync(fd);
		sync_dir("/sim/d");
		assert_int_equal(ftruncate(fd, 0), 0);
		restart(d, true);
		assert_true(content("/sim/d/f", &text));
		back += text.len == 8 && memcmp(text.data, "old text", 8) == 0;
		gone += text.len == 0;
		buf_release(&text);
		sim_disk_free(d);
	}
	assert_true(back > 0 && gone > 0);
}

static void a_new_name_is_kept_by_the_directorys_sync_alone(void **state)
{
	unsigned gone = 0, there = 0;

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct sim_disk *d = fresh(seed);
		int fd = create("/sim/d/f");

		write_at(fd, "text", 0);
		assert_int_equal(fsync(fd), 0);
		assert_int_equal(mkdir("/sim/d/dir", 0700), 0);
		sync_dir("/sim/d");
		close(create("/sim/d/dir/unsynced"));
		close(create("/sim/d/g"));
		restart(d, true);
		assert_true(exists("/sim/d/f") && exists("/sim/d/dir"));
		gone += !exists("/sim/d/g");
		there += exists("/sim/d/g");
		sim_disk_free(d);
	}
	assert_true(gone > 0 && there > 0);
}

/* One or the other, never neither and never both names for the new one. */
static void a_rename_is_whole_or_not_at_all(void **state)
{
	unsigned old = 0, new = 0;

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct sim_disk *d = fresh(seed);
		struct buf text = BUF_INIT;
		int fd = create("/sim/d/f");

		write_at(fd, "old", 0);
		fsync(fd);
		close(fd);
		fd = create("/sim/d/f.tmp");
		write_at(fd, "new", 0);
		fsync(fd);
		close(fd);
		sync_dir("/sim/d");
		assert_int_equal(rename("/sim/d/f.tmp", "/sim/d/f"), 0);
		restart(d, true);
		assert_true(content("/sim/d/f", &text));
		assert_int_equal(text.len, 3);
		if (memcmp(text.data, "new", 3) == 0) {
			assert_false(exists("/sim/d/f.tmp"));
			new ++;
		} else {
			assert_memory_equal(text.data, "old", 3);
			assert_true(exists("/sim/d/f.tmp"));
			old++;
		}
		buf_release(&text);
		sim_disk_free(d);
	}
	assert_true(old > 0 && new > 0);
}

static void a_file_with_two_renames_behind_it_has_one_name(void **state)
{
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct sim_disk *d = fresh(seed);
		int fd = create("/sim/d/a");
		int names = 0;

		fsync(fd);
		sync_dir("/sim/d");
		assert_int_equal(mkdir("/sim/d/sub", 0700), 0);
		assert_int_equal(rename("/sim/d/a", "/sim/d/b"), 0);
		assert_int_equal(rename("/sim/d/b", "/sim/d/sub/c"), 0);
		if (seed % 2 == 0)
			sync_dir("/sim/d/sub");
		restart(d, true);
		names += exists("/sim/d/a");
		names += exists("/sim/d/b");
		names += exists("/sim/d/sub/c");
		/* Its directory's own name is nobody's promise. */
		assert_true(names == 1 || (names == 0 && !exists("/sim/d/sub")));
		sim_disk_free(d);
	}
}

static void a_killed_process_loses_nothing_but_its_locks(void **state)
{
	struct sim_disk *d = fresh(1);
	struct buf text = BUF_INIT;
	int fd = create("/sim/d/f"), other;

	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	write_at(fd, "text", 0);
	other = open("/sim/d/f", O_RDWR | O_CLOEXEC);
	assert_int_equal(flock(other, LOCK_EX | LOCK_NB), -1);
	assert_int_equal(errno, EWOULDBLOCK);
	sim_disk_crash(d, false);
	assert_int_equal(pwrite(fd, "late", 4, 0), -1);
	assert_int_equal(errno, EIO);
	sim_disk_revive(d);
	assert_int_equal(pwrite(fd, "late", 4, 0), -1); /* still the dead one's */
	assert_true(content("/sim/d/f", &text));
	assert_int_equal(text.len, 4);
	assert_memory_equal(text.data, "text", 4);
	assert_int_equal(sim_disk_open_handles(d), 2);
	close(fd);
	close(other);
	assert_int_equal(sim_disk_open_handles(d), 0);
	fd = open("/sim/d/f", O_RDWR | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	close(fd);
	buf_release(&text);
	sim_disk_free(d);
}

/* ---- faults ------------------------------------------------------------------------------------------ */

static void after_the_kth_change_nothing_changes_any_more(void **state)
{
	for (uint64_t k = 1; k <= 6; k++) {
		struct sim_disk *d = fresh(k);
		int fd, done = 0;

		sim_disk_crash_at(d, k);
		fd = open("/sim/d/f", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		done += fd >= 0;
		done += pwrite(fd, "1", 1, 0) == 1;
		done += fsync(fd) == 0;
		done += mkdir("/sim/d/dir", 0700) == 0;
		done += rename("/sim/d/f", "/sim/d/g") == 0;
		done += unlink("/sim/d/g") == 0;
		assert_int_equal(done, k - 1);
		assert_true(sim_disk_died(d));
		assert_int_equal(sim_disk_io_count(d), k);
		assert_int_equal(access("/sim/d", F_OK), -1);
		restart(d, false);
		assert_false(sim_disk_died(d));
		assert_true(exists("/sim/d"));
		sim_disk_free(d);
	}
}

static void an_armed_fault_hits_the_calls_it_names(void **state)
{
	struct sim_disk *d = fresh(1);
	int fd = create("/sim/d/log"), other = create("/sim/d/other");

	sim_disk_arm(d, &(struct sim_disk_fault){ .kind = SIM_FAULT_ERROR,
						  .calls = SIM_IO_WRITE,
						  .name = "log",
						  .after = 1,
						  .times = 2,
						  .error = ENOSPC });
	assert_int_equal(pwrite(other, "x", 1, 0), 1);
	assert_int_equal(pwrite(fd, "x", 1, 0), 1);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(pwrite(other, "x", 1, 0), 1);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(pwrite(fd, "x", 1, 0), 1);
	assert_int_equal(sim_disk_hits(d), 2);
	close(fd);
	close(other);
	sim_disk_free(d);
}

/* ext4 shows the new bytes afterwards, btrfs the old ones; no later sync brings them to the platter. */
static void a_failed_sync_leaves_pages_that_pass_for_clean(void **state)
{
	unsigned lost = 0;

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct sim_disk *d = fresh(seed);
		struct buf text = BUF_INIT;
		bool revert = seed % 2 == 0;
		int fd = create("/sim/d/f");

		write_at(fd, "old", 0);
		fsync(fd);
		sync_dir("/sim/d");
		write_at(fd, "new", 0);
		sim_disk_arm(d, &(struct sim_disk_fault){ .kind = revert ? SIM_FAULT_SYNC_REVERT
									 : SIM_FAULT_SYNC });
		assert_int_equal(fsync(fd), -1);
		assert_int_equal(errno, EIO);
		assert_int_equal(fsync(fd), 0); /* the lie that nobody must believe */
		assert_true(content("/sim/d/f", &text));
		if (!revert)
			assert_memory_equal(text.data, "new", 3);
		restart(d, true);
		assert_true(content("/sim/d/f", &text));
		lost += memcmp(text.data, "old", 3) == 0;
		buf_release(&text);
		sim_disk_free(d);
	}
	assert_in_range(lost, 1, SEEDS - 1);
}

static void lost_and_misdirected_writes_look_well_until_the_cache_is_gone(void **state)
{
	for (int kind = SIM_FAULT_LOST; kind <= SIM_FAULT_MISDIRECTED; kind++) {
		struct sim_disk *d = fresh((uint64_t)kind);
		uint8_t page[2 * SIM_PAGE_SIZE], got[2 * SIM_PAGE_SIZE];
		int fd = create("/sim/d/f");

		fill(page, sizeof(page), 'o');
		assert_int_equal(io_pwrite_all(fd, page, sizeof(page), 0), 0);
		fsync(fd);
		sync_dir("/sim/d");
		sim_disk_arm(d, &(struct sim_disk_fault){ .kind = (enum sim_disk_fault_kind)kind });
		fill(page, SIM_PAGE_SIZE, 'n');
		assert_int_equal(io_pwrite_all(fd, page, SIM_PAGE_SIZE, 0), 0);
		assert_int_equal(fsync(fd), 0);
		assert_int_equal(io_pread_all(fd, got, sizeof(got), 0), 0);
		assert_memory_equal(got, page, sizeof(got));
		restart(d, true);
		fd = open("/sim/d/f", O_RDONLY | O_CLOEXEC);
		assert_int_equal(io_pread_all(fd, got, sizeof(got), 0), 0);
		assert_int_equal(got[0], 'o');
		assert_int_equal(got[SIM_PAGE_SIZE], kind == SIM_FAULT_LOST ? 'o' : 'n');
		close(fd);
		sim_disk_free(d);
	}
}

static void a_lying_flush_promises_what_it_does_not_keep(void **state)
{
	unsigned lost = 0;

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct sim_disk *d = fresh(seed);
		int fd = create("/sim/d/f");

		fsync(fd);
		sim_disk_arm(
			d, &(struct sim_disk_fault){ .kind = SIM_FAULT_LIE, .times = UINT64_MAX });
		sync_dir("/sim/d");
		restart(d, true);
		lost += !exists("/sim/d/f");
		sim_disk_free(d);
	}
	assert_in_range(lost, 1, SEEDS - 1);
}

static void damage_at_rest_is_there_after_restarts(void **state)
{
	struct sim_disk *d = fresh(1);
	struct buf text = BUF_INIT;
	uint8_t page[SIM_PAGE_SIZE];
	uint64_t offset;
	int fd = create("/sim/d/f");

	fill(page, sizeof(page), 'a');
	assert_int_equal(io_pwrite_all(fd, page, sizeof(page), 0), 0);
	fsync(fd);
	sync_dir("/sim/d");
	assert_int_equal(sim_disk_flip(d, "/sim/d/f", 17, 1), 0);
	assert_int_equal(sim_disk_flip(d, "/sim/d/f", 4096, 1), -EINVAL);
	assert_int_equal(sim_disk_flip(d, "/sim/d/none", 0, 1), -ENOENT);
	restart(d, true);
	assert_true(content("/sim/d/f", &text));
	assert_int_equal(text.data[17], 'a' ^ 1);
	assert_int_equal(sim_disk_flip_any(d, "f", &text, &offset), 0);
	assert_int_equal(sim_disk_bad_sector(d, "/sim/d/f", 1000), 0);
	restart(d, true);
	fd = open("/sim/d/f", O_RDWR | O_CLOEXEC);
	assert_int_equal(pread(fd, page, 512, 512), -1);
	assert_int_equal(errno, EIO);
	assert_int_equal(pread(fd, page, 512, 0), 512);
	assert_int_equal(pwrite(fd, page, sizeof(page), 0), sizeof(page)); /* remapped */
	assert_int_equal(pread(fd, page, 512, 512), 512);
	close(fd);
	buf_release(&text);
	sim_disk_free(d);
}

static void a_full_disk_says_so_and_deleting_makes_room(void **state)
{
	struct sim_disk *d = fresh(1);
	uint8_t page[SIM_PAGE_SIZE];
	struct statvfs vfs;
	int fd = create("/sim/d/f");

	fill(page, sizeof(page), 'x');
	sim_disk_set_capacity(d, 4 * SIM_PAGE_SIZE);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pwrite(fd, page, sizeof(page), i * SIM_PAGE_SIZE), sizeof(page));
	assert_int_equal(pwrite(fd, page, sizeof(page), 4 * SIM_PAGE_SIZE), -1);
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(pwrite(fd, page, sizeof(page), 0), sizeof(page)); /* in place */
	assert_int_equal(statvfs("/sim/d", &vfs), 0);
	assert_int_equal(vfs.f_bavail, 0);
	unlink("/sim/d/f");
	assert_int_equal(sim_disk_used_bytes(d), 4 * SIM_PAGE_SIZE); /* still open */
	close(fd);
	sync_dir("/sim/d");
	assert_int_equal(sim_disk_used_bytes(d), 0);
	sim_disk_free(d);
}

/* ---- time ---------------------------------------------------------------------------------------------- */

struct waiting {
	struct sim_disk *d;
	int fd;
	uint64_t ns;
	bool crash, write;
};

static void while_it_waits(void *ctx, uint64_t ns)
{
	struct waiting *w = ctx;

	w->ns += ns;
	if (w->write)
		assert_int_equal(pwrite(w->fd, "later", 5, SIM_PAGE_SIZE), 5);
	if (w->crash)
		sim_disk_crash(w->d, true);
}

static void a_sync_under_way_covers_what_was_there_when_it_began(void **state)
{
	unsigned later_lost = 0;

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct sim_disk *d = fresh(seed);
		struct buf text = BUF_INIT;
		struct waiting w = { .d = d, .write = true };
		int fd = w.fd = create("/sim/d/f");

		sync_dir("/sim/d");
		assert_int_equal(ftruncate(fd, 2 * SIM_PAGE_SIZE), 0);
		assert_int_equal(fsync(fd), 0);
		sim_disk_set_latency(d, &(struct sim_disk_latency){ .sync_min_ns = 5,
								    .sync_max_ns = 9,
								    .wait_ns = while_it_waits,
								    .ctx = &w });
		write_at(fd, "first", 0);
		assert_int_equal(fsync(fd), 0);
		assert_in_range(w.ns, 5, 9);
		restart(d, true);
		assert_true(content("/sim/d/f", &text));
		assert_memory_equal(text.data, "first", 5);
		later_lost += memcmp(text.data + SIM_PAGE_SIZE, "later", 5) != 0;
		buf_release(&text);
		sim_disk_free(d);
	}
	assert_in_range(later_lost, 1, SEEDS);
}

static void a_sync_that_power_interrupts_fails(void **state)
{
	struct sim_disk *d = fresh(1);
	struct waiting w = { .d = d, .crash = true };
	int fd = create("/sim/d/f");

	sim_disk_set_latency(d, &(struct sim_disk_latency){
					.sync_max_ns = 1, .wait_ns = while_it_waits, .ctx = &w });
	write_at(fd, "x", 0);
	assert_int_equal(fsync(fd), -1);
	assert_int_equal(errno, EIO);
	close(fd);
	sim_disk_free(d);
}

/* ---- the same answers as a real file system ---------------------------------------------------------- */

#define NAMES 6
#define OPEN_MAX 4

struct side {
	char root[64];
	int dir_fd; /* of root/0 once it is there */
	int fds[OPEN_MAX];
};

static const char *path_of(const struct side *s, unsigned name, char out[128])
{
	static const char *const names[NAMES] = { "0", "0/a", "0/b", "1", "0/../2", "0/sub" };

	snprintf(out, 128, "%s/%s", s->root, names[name]);
	return out;
}

static int count_names(const struct side *s, const char *name)
{
	char path[128];
	struct dirent *e;
	DIR *dir;
	int n = 0;

	snprintf(path, sizeof(path), "%s/%s", s->root, name);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while ((e = readdir(dir)) != NULL)
		n += (int)strlen(e->d_name) * 10 + e->d_name[0] % 7 + (e->d_type == DT_DIR);
	closedir(dir);
	return n;
}

/* Carries out one drawn call and tells what came of it. */
static int64_t one_call(struct side *s, struct prng *rnd)
{
	static const int flags[] = { O_RDWR | O_CREAT,
				     O_RDWR | O_CREAT | O_EXCL,
				     O_RDWR,
				     O_RDONLY,
				     O_WRONLY | O_TRUNC,
				     O_WRONLY | O_APPEND,
				     O_RDONLY | O_DIRECTORY };
	uint64_t what = prng_below(rnd, 16), slot = prng_below(rnd, OPEN_MAX);
	unsigned a = (unsigned)prng_below(rnd, NAMES), b = (unsigned)prng_below(rnd, NAMES);
	uint64_t off = prng_below(rnd, 20000), len = prng_below(rnd, 9000);
	uint64_t flag = prng_below(rnd, ARRAY_SIZE(flags)), byte = prng_u64(rnd);
	char path[128], path2[128];
	static uint8_t bytes[9000];
	struct stat st;
	int64_t ret = 0;

	memset(bytes, (int)(byte & 0xff), sizeof(bytes));
	path_of(s, a, path);
	path_of(s, b, path2);
	switch (what) {
	case 0:
	case 1:
		if (s->fds[slot] >= 0)
			close(s->fds[slot]);
		s->fds[slot] = open(path, flags[flag] | O_CLOEXEC, 0600);
		return s->fds[slot] < 0 ? -errno : 0;
	case 2:
	case 3:
	case 4:
		ret = pwrite(s->fds[slot], bytes, len, (off_t)off);
		break;
	case 5:
		ret = write(s->fds[slot], bytes, len);
		break;
	case 6:
	case 7:
		ret = pread(s->fds[slot], bytes, len, (off_t)off);
		if (ret > 0)
			ret = (int64_t)(hash64(bytes, (size_t)ret) >> 1);
		break;
	case 8:
		ret = read(s->fds[slot], bytes, len);
		if (ret > 0)
			ret = (int64_t)(hash64(bytes, (size_t)ret) >> 1);
		break;
	case 9:
		ret = ftruncate(s->fds[slot], (off_t)off);
		break;
	case 10:
		ret = fallocate(s->fds[slot], (int)(byte & 1) * 3, (off_t)off, (off_t)len + 1);
		break;
	case 11:
		ret = byte & 1 ? mkdir(path, 0700) : rmdir(path);
		break;
	case 12:
		ret = byte & 1 ? unlink(path) : link(path, path2);
		break;
	case 13:
		ret = rename(path, path2);
		break;
	case 14:
		ret = stat(path, &st);
		if (ret == 0)
			ret = S_ISDIR(st.st_mode) ? -1000 : st.st_size * 10 + (int64_t)st.st_nlink;
		break;
	default:
		ret = byte & 1 ? fsync(s->fds[slot]) : lseek(s->fds[slot], (off_t)off, SEEK_SET);
		break;
	}
	return ret == -1 ? -errno : ret;
}

static void the_same_calls_have_the_same_results_as_on_a_real_disk(void **state)
{
	char scratch[] = "/tmp/quorumfs-sim-disk-XXXXXX";

	assert_non_null(mkdtemp(scratch));
	for (uint64_t seed = 0; seed < 150; seed++) {
		struct sim_disk *d = fresh(seed);
		struct side real = { .dir_fd = -1 }, sim = { .dir_fd = -1 };
		struct prng a, b;

		snprintf(real.root, sizeof(real.root), "%s/%d", scratch, (int)seed);
		snprintf(sim.root, sizeof(sim.root), "/sim/d/x");
		assert_int_equal(mkdir(real.root, 0700), 0);
		assert_int_equal(mkdir(sim.root, 0700), 0);
		for (int i = 0; i < OPEN_MAX; i++)
			real.fds[i] = sim.fds[i] = -1;
		prng_init(&a, seed);
		prng_init(&b, seed);
		for (int step = 0; step < 300; step++) {
			int64_t want = one_call(&real, &a), got = one_call(&sim, &b);

			if (want != got)
				fail_msg("seed %d step %d: the real disk says %lld, ours %lld",
					 (int)seed, step, (long long)want, (long long)got);
			if (step % 16 == 0)
				assert_int_equal(count_names(&real, "0"), count_names(&sim, "0"));
		}
		for (int i = 0; i < OPEN_MAX; i++)
			if (real.fds[i] >= 0) {
				close(real.fds[i]);
				close(sim.fds[i]);
			}
		assert_int_equal(count_names(&real, "."), count_names(&sim, "."));
		assert_int_equal(sim_disk_open_handles(d), 0);
		assert_int_equal(io_remove_tree(AT_FDCWD, sim.root), 0);
		sync_dir("/sim/d");
		sim_disk_free(d);
	}
	assert_int_equal(io_remove_tree(AT_FDCWD, scratch), 0);
}

/* ---- replay --------------------------------------------------------------------------------------------- */

static uint64_t digest_of_a_run(uint64_t seed)
{
	struct sim_disk *d = fresh(seed);
	struct side s = { .dir_fd = -1, .root = "/sim/d" };
	struct prng rnd;
	uint64_t digest;

	for (int i = 0; i < OPEN_MAX; i++)
		s.fds[i] = -1;
	prng_init(&rnd, seed);
	for (int step = 0; step < 500; step++) {
		(void)one_call(&s, &rnd);
		if (step % 100 == 99) {
			restart(d, step % 200 == 99);
			for (int i = 0; i < OPEN_MAX; i++)
				s.fds[i] = -1;
		}
	}
	digest = sim_disk_digest(d);
	sim_disk_free(d);
	return digest;
}

static void a_seed_gives_the_same_disk_again(void **state)
{
	for (uint64_t seed = 0; seed < 20; seed++) {
		assert_int_equal(digest_of_a_run(seed), digest_of_a_run(seed));
		assert_int_not_equal(digest_of_a_run(seed), digest_of_a_run(seed + 1));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(synced_bytes_survive_a_power_loss),
		cmocka_unit_test(unsynced_sectors_survive_in_any_subset),
		cmocka_unit_test(a_sector_written_twice_may_survive_in_the_middle_version),
		cmocka_unit_test(size_and_bytes_survive_without_each_other),
		cmocka_unit_test(a_cut_file_may_come_back_longer),
		cmocka_unit_test(a_new_name_is_kept_by_the_directorys_sync_alone),
		cmocka_unit_test(a_rename_is_whole_or_not_at_all),
		cmocka_unit_test(a_file_with_two_renames_behind_it_has_one_name),
		cmocka_unit_test(a_killed_process_loses_nothing_but_its_locks),
		cmocka_unit_test(after_the_kth_change_nothing_changes_any_more),
		cmocka_unit_test(an_armed_fault_hits_the_calls_it_names),
		cmocka_unit_test(a_failed_sync_leaves_pages_that_pass_for_clean),
		cmocka_unit_test(lost_and_misdirected_writes_look_well_until_the_cache_is_gone),
		cmocka_unit_test(a_lying_flush_promises_what_it_does_not_keep),
		cmocka_unit_test(damage_at_rest_is_there_after_restarts),
		cmocka_unit_test(a_full_disk_says_so_and_deleting_makes_room),
		cmocka_unit_test(a_sync_under_way_covers_what_was_there_when_it_began),
		cmocka_unit_test(a_sync_that_power_interrupts_fails),
		cmocka_unit_test(the_same_calls_have_the_same_results_as_on_a_real_disk),
		cmocka_unit_test(a_seed_gives_the_same_disk_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
