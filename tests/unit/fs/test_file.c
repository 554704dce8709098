/* test_file.c - create, open, read, write and truncation. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/fsfix.h"

#define BS ((uint64_t)KV_BLOCK_SIZE)

static int append(struct fsfix *f, uint64_t ino, uint64_t off, const char *text)
{
	return fsfix_eval(f, (struct fs_request){ .op = FS_WRITE,
						  .ino = ino,
						  .offset = off,
						  .flags = O_APPEND,
						  .data = text,
						  .data_len = strlen(text) });
}

static void create_makes_a_file_of_the_caller(void **state)
{
	struct fsfix *f = *state;

	f->uid = 3;
	f->gid = 4;
	assert_int_equal(fsfix_create(f, FS_ROOT_INO, "f", 06755, O_RDWR), 0);
	assert_true(f->reply.created);
	assert_int_equal(f->reply.attr.mode, S_IFREG | 06755);
	assert_int_equal(f->reply.attr.nlink, 1);
	assert_int_equal(f->reply.attr.uid, 3);
	assert_int_equal(f->reply.attr.gid, 4);
	assert_int_equal(f->reply.attr.size, 0);
	assert_int_equal(f->reply.attr.btime_ns, f->reply.attr.mtime_ns);
}

static void create_opens_what_is_there(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f"), version;

	assert_int_equal(fsfix_write(f, ino, 0, "data", 4), 0);
	version = f->reply.attr.data_version;
	assert_int_equal(fsfix_create(f, FS_ROOT_INO, "f", 0600, O_RDWR), 0);
	assert_false(f->reply.created);
	assert_false(f->mutated);
	assert_int_equal(f->reply.attr.ino, ino);
	assert_int_equal(f->reply.attr.size, 4);
	assert_int_equal(f->reply.old_data_version, version);
	assert_int_equal(fsfix_create(f, FS_ROOT_INO, "f", 0600, O_RDWR | O_TRUNC), 0);
	assert_false(f->reply.created);
	assert_int_equal(f->reply.attr.size, 0);
	assert_int_equal(f->reply.old_data_version, version);
	assert_true(f->reply.attr.data_version > version);
}

static void create_with_excl_refuses_any_existing_name(void **state)
{
	struct fsfix *f = *state;

	fsfix_file(f, FS_ROOT_INO, "f");
	fsfix_dir(f, FS_ROOT_INO, "d");
	assert_int_equal(fsfix_symlink(f, FS_ROOT_INO, "l", "nowhere"), 0);
	assert_int_equal(fsfix_create(f, FS_ROOT_INO, "f", 0600, O_EXCL), -EEXIST);
	assert_int_equal(fsfix_create(f, FS_ROOT_INO, "d", 0600, O_EXCL), -EEXIST);
	assert_int_equal(fsfix_create(f, FS_ROOT_INO, "l", 0600, O_EXCL), -EEXIST);
	assert_int_equal(fsfix_create(f, FS_ROOT_INO, "d", 0600, 0), -EISDIR);
	assert_int_equal(fsfix_create(f, FS_ROOT_INO, ".", 0600, O_EXCL), -EEXIST);
	assert_int_equal(fsfix_create(f, FS_ROOT_INO, ".", 0600, 0), -EISDIR);
}

static void create_leaves_what_it_cannot_judge_to_the_kernel(void **state)
{
	struct fsfix *f = *state;
	static const struct {
		uint32_t mode, uid, gid, flags;
		int want;
	} cases[] = {
		{ 0600, 1, 1, O_RDWR, 0 }, /* the owner */
		{ 0400, 1, 1, O_RDONLY, 0 },
		{ 0400, 1, 1, O_WRONLY, -ESTALE },
		{ 0400, 1, 1, O_RDONLY | O_TRUNC, -ESTALE },
		{ 0600, 2, 2, O_RDONLY, -ESTALE }, /* somebody else */
		{ 0604, 2, 2, O_RDONLY, -ESTALE }, /* the file's group may be one of his */
		{ 0644, 2, 2, O_RDONLY, 0 },
		{ 0644, 2, 2, O_RDWR, -ESTALE },
		{ 0660, 2, 1, O_RDWR, 0 }, /* the file's group */
		{ 0606, 2, 1, O_RDWR, -ESTALE },
		{ 0000, 0, 0, O_RDWR, 0 }, /* root */
	};

	assert_int_equal(fsfix_symlink(f, FS_ROOT_INO, "l", "nowhere"), 0);
	assert_int_equal(fsfix_create(f, FS_ROOT_INO, "l", 0600, O_RDWR), -ESTALE);
	f->uid = f->gid = 1;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		f->uid = 0;
		assert_int_equal(fsfix_chmod(f, ino, cases[i].mode), 0);
		f->uid = cases[i].uid;
		f->gid = cases[i].gid;
		assert_int_equal(fsfix_create(f, FS_ROOT_INO, "f", 0600, cases[i].flags),
				 cases[i].want);
	}
}

static void what_was_written_is_read(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");

	assert_int_equal(fsfix_write(f, ino, 0, "hello world", 11), 0);
	assert_int_equal(f->reply.count, 11);
	assert_int_equal(f->reply.offset, 0);
	assert_int_equal(f->reply.attr.size, 11);
	assert_int_equal(fsfix_write(f, ino, 6, "there", 5), 0);
	fsfix_assert_content(f, ino, "hello there");
	assert_int_equal(fsfix_read(f, ino, 6, 2), 0);
	assert_int_equal(f->reply.data_len, 2);
	assert_int_equal(f->reply.count, 2);
	assert_memory_equal(f->reply.data, "th", 2);
}

static void reads_stop_at_the_end(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");

	assert_int_equal(fsfix_write(f, ino, 0, "0123456789", 10), 0);
	assert_int_equal(fsfix_read(f, ino, 8, 100), 0);
	assert_int_equal(f->reply.data_len, 2);
	assert_int_equal(fsfix_read(f, ino, 10, 1), 0);
	assert_int_equal(f->reply.data_len, 0);
	assert_int_equal(fsfix_read(f, ino, UINT64_MAX, UINT64_MAX), 0);
	assert_int_equal(f->reply.data_len, 0);
	assert_int_equal(fsfix_read(f, ino, 0, UINT64_MAX), 0);
	assert_int_equal(f->reply.data_len, 10);
}

static void one_read_is_bounded(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");

	assert_int_equal(fsfix_truncate(f, ino, 3 * FS_IO_MAX), 0);
	assert_int_equal(fsfix_read(f, ino, 0, 2 * FS_IO_MAX), 0);
	assert_int_equal(f->reply.data_len, FS_IO_MAX);
}

static void only_files_have_data(void **state)
{
	struct fsfix *f = *state;
	uint64_t d = fsfix_dir(f, FS_ROOT_INO, "d"), l;

	assert_int_equal(fsfix_symlink(f, FS_ROOT_INO, "l", "t"), 0);
	l = f->reply.attr.ino;
	assert_int_equal(fsfix_read(f, d, 0, 1), -EISDIR);
	assert_int_equal(fsfix_write(f, d, 0, "x", 1), -EISDIR);
	assert_int_equal(fsfix_truncate(f, d, 0), -EISDIR);
	assert_int_equal(fsfix_read(f, l, 0, 1), -EINVAL);
	assert_int_equal(fsfix_write(f, l, 0, "x", 1), -EINVAL);
	assert_int_equal(fsfix_truncate(f, l, 0), -EINVAL);
	assert_int_equal(fsfix_read(f, 12345, 0, 1), -ESTALE);
	assert_int_equal(fsfix_write(f, 12345, 0, "x", 1), -ESTALE);
	assert_int_equal(fsfix_write(f, UINT64_MAX, 0, "x", 1), -ESTALE);
}

static void appends_go_to_the_authoritative_end(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");

	assert_int_equal(append(f, ino, 999, "one"), 0);
	assert_int_equal(f->reply.offset, 0);
	assert_int_equal(append(f, ino, 0, "two"), 0);
	assert_int_equal(f->reply.offset, 3);
	assert_int_equal(f->reply.count, 3);
	fsfix_assert_content(f, ino, "onetwo");
}

static void appends_stack_up_in_the_overlay(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");

	f->stack = 100;
	for (int i = 0; i < 50; i++) {
		assert_int_equal(append(f, ino, 0, "xy"), 0);
		assert_int_equal(f->reply.offset, 2 * i);
	}
	assert_int_equal(fsfix_attr(f, ino).size, 100);
	fsfix_apply(f);
	assert_int_equal(fsfix_attr(f, ino).size, 100);
}

static void data_beyond_the_last_block_is_efbig(void **state)
{
	struct fsfix *f = *state;
	static const uint64_t offsets[] = { KV_FILE_SIZE_MAX, KV_FILE_SIZE_MAX + 1, INT64_MAX - 1,
					    INT64_MAX,        UINT64_MAX - 1,       UINT64_MAX };
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");

	for (size_t i = 0; i < ARRAY_SIZE(offsets); i++)
		assert_int_equal(fsfix_write(f, ino, offsets[i], "xx", 2), -EFBIG);
	assert_int_equal(fsfix_write(f, ino, KV_FILE_SIZE_MAX - 1, "xy", 2), 0);
	assert_int_equal(f->reply.count, 1); /* as much as there is room for */
	assert_int_equal(f->reply.attr.size, KV_FILE_SIZE_MAX);
	assert_int_equal(append(f, ino, 0, "x"), -EFBIG);
	assert_int_equal(fsfix_read(f, ino, KV_FILE_SIZE_MAX - 2, 10), 0);
	assert_int_equal(f->reply.data_len, 2);
	assert_memory_equal(f->reply.data, "\0x", 2);
}

static int seek(struct fsfix *f, uint64_t ino, uint64_t off, uint32_t whence)
{
	return fsfix_eval(f, (struct fs_request){ .op = FS_SEEK, .ino = ino, .offset = off, .flags = whence });
}

static int punch(struct fsfix *f, uint64_t ino, uint64_t off, uint64_t len)
{
	return fsfix_eval(f, (struct fs_request){ .op = FS_PUNCH, .ino = ino, .offset = off, .size = len });
}

/* Behind the last block that can be stored everything is a hole. */
static void sizes_go_to_the_end_of_off_t(void **state)
{
	static const uint64_t sizes[] = { KV_FILE_SIZE_MAX + 1, 1ull << 47, 1ull << 62, INT64_MAX };
	static const uint64_t beyond[] = { KV_FILE_SIZE_MAX - 5, KV_FILE_SIZE_MAX, 1ull << 46 };
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f"), other = fsfix_file(f, FS_ROOT_INO, "g");
	uint8_t to[8];

	assert_int_equal(fsfix_write(f, ino, 0, "start", 5), 0);
	assert_int_equal(fsfix_truncate(f, ino, (uint64_t)INT64_MAX + 1), -EFBIG);
	assert_int_equal(fsfix_truncate(f, ino, UINT64_MAX), -EFBIG);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		assert_int_equal(fsfix_truncate(f, ino, sizes[i]), 0);
		assert_true(f->reply.attr.size == sizes[i]);
		assert_int_equal(f->reply.attr.blocks, KV_BLOCK_SIZE / 512);
		for (size_t k = 0; k < ARRAY_SIZE(beyond); k++) {
			uint64_t room = sizes[i] > beyond[k] ? sizes[i] - beyond[k] : 0;

			assert_int_equal(fsfix_read(f, ino, beyond[k], 9), 0);
			assert_int_equal(f->reply.data_len, min_u64(room, 9));
			assert_memory_equal(f->reply.data, "\0\0\0\0\0\0\0\0\0", min_u64(room, 9));
			assert_int_equal(seek(f, ino, beyond[k], SEEK_DATA), -ENXIO);
			assert_int_equal(seek(f, ino, beyond[k], SEEK_HOLE), room > 0 ? 0 : -ENXIO);
			assert_true(room == 0 || f->reply.offset == beyond[k]);
		}
		assert_int_equal(punch(f, ino, KV_FILE_SIZE_MAX - 1, 1ull << 40), 0);
		store_le64(to, 0);
		assert_int_equal(fsfix_eval(f, (struct fs_request){ .op = FS_COPY_RANGE,
								    .ino = ino,
								    .ino2 = other,
								    .offset = sizes[i] - 1,
								    .size = 10,
								    .data = to,
								    .data_len = sizeof(to) }),
				 0);
		assert_int_equal(f->reply.count, 1);
	}
	assert_int_equal(append(f, ino, 0, "x"), -EFBIG);
	assert_int_equal(punch(f, ino, 0, INT64_MAX), 0);
	assert_int_equal(fsfix_attr(f, ino).blocks, 0);
	assert_true(fsfix_attr(f, ino).size == INT64_MAX);
	assert_int_equal(fsfix_write(f, ino, KV_FILE_SIZE_MAX - 1, "x", 1), 0);
	assert_int_equal(seek(f, ino, 1, SEEK_DATA), 0);
	assert_true(f->reply.offset == KV_FILE_SIZE_MAX - KV_BLOCK_SIZE);
	assert_int_equal(seek(f, ino, KV_FILE_SIZE_MAX - 1, SEEK_HOLE), 0);
	assert_true(f->reply.offset == KV_FILE_SIZE_MAX);
	assert_int_equal(fsfix_truncate(f, ino, 1ull << 50), 0);
	assert_int_equal(fsfix_truncate(f, ino, 3), 0);
	assert_int_equal(fsfix_attr(f, ino).blocks, 0);
}

static void a_write_of_nothing_changes_nothing(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");

	assert_int_equal(fsfix_write(f, ino, 100, "", 0), 0);
	assert_false(f->mutated);
	assert_int_equal(f->reply.attr.size, 0);
}

static void too_large_a_write_is_refused(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");
	void *data = mem_calloc(1, FS_IO_MAX + 1);

	assert_int_equal(fsfix_write(f, ino, 0, data, FS_IO_MAX + 1), -EINVAL);
	assert_int_equal(fsfix_write(f, ino, 1, data, FS_IO_MAX), 0);
	assert_int_equal(f->reply.attr.size, FS_IO_MAX + 1);
	free(data);
}

static void a_rewrite_in_the_same_nanosecond_moves_times_and_version(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");
	struct fs_attr a;

	assert_int_equal(fsfix_write(f, ino, 0, "aaaa", 4), 0);
	a = f->reply.attr;
	f->wall_ns -= 1000000; /* another leader's clock is behind */
	assert_int_equal(fsfix_write(f, ino, 0, "bbbb", 4), 0);
	assert_int_equal(f->reply.attr.mtime_ns, a.mtime_ns + 1);
	assert_int_equal(f->reply.attr.ctime_ns, a.ctime_ns + 1);
	assert_int_equal(f->reply.old_data_version, a.data_version);
	assert_int_equal(f->reply.attr.data_version, a.data_version + 1);
}

static void holes_read_as_zeros_and_cost_nothing(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");
	static const char zeros[100];

	assert_int_equal(fsfix_write(f, ino, 1000 * BS + 5, "end", 3), 0);
	assert_int_equal(f->reply.attr.size, 1000 * BS + 8);
	assert_int_equal(f->reply.attr.blocks, BS / 512);
	assert_int_equal(fsfix_read(f, ino, 500 * BS, 100), 0);
	assert_memory_equal(f->reply.data, zeros, 100);
	assert_int_equal(fsfix_read(f, ino, 1000 * BS, 100), 0);
	assert_int_equal(f->reply.data_len, 8);
	assert_memory_equal(f->reply.data, "\0\0\0\0\0end", 8);
	assert_int_equal(fsfix_write(f, ino, 500 * BS - 1, "mid", 3), 0);
	assert_int_equal(f->reply.attr.blocks, 3 * BS / 512);
	assert_int_equal(fsfix_write(f, ino, 500 * BS - 1, "mid", 3), 0);
	assert_int_equal(f->reply.attr.blocks, 3 * BS / 512);
}

static void small_files_show_few_blocks(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");

	assert_int_equal(fsfix_write(f, ino, 0, "x", 1), 0);
	assert_int_equal(f->reply.attr.blocks, 8);
	assert_int_equal(fsfix_write(f, ino, 4096, "x", 1), 0);
	assert_int_equal(f->reply.attr.blocks, 16);
}

static void truncation_cuts_and_regrows_with_zeros(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");

	assert_int_equal(fsfix_write(f, ino, 0, "0123456789", 10), 0);
	assert_int_equal(fsfix_truncate(f, ino, 4), 0);
	fsfix_assert_content(f, ino, "0123");
	assert_int_equal(fsfix_truncate(f, ino, 8), 0);
	assert_int_equal(fsfix_read(f, ino, 0, 100), 0);
	assert_int_equal(f->reply.data_len, 8);
	assert_memory_equal(f->reply.data, "0123\0\0\0\0", 8);
}

static void truncation_drops_whole_blocks(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");
	char *data = mem_alloc(5 * BS);

	memset(data, 'x', 5 * BS);
	assert_int_equal(fsfix_write(f, ino, 0, data, 5 * BS), 0);
	assert_int_equal(f->reply.attr.blocks, 5 * BS / 512);
	assert_int_equal(fsfix_truncate(f, ino, 2 * BS), 0);
	assert_int_equal(f->reply.attr.blocks, 2 * BS / 512);
	assert_int_equal(fsfix_truncate(f, ino, BS + 1), 0);
	assert_int_equal(fsfix_truncate(f, ino, 4 * BS), 0);
	assert_int_equal(f->reply.attr.blocks, 2 * BS / 512);
	assert_int_equal(fsfix_read(f, ino, BS, 3), 0);
	assert_memory_equal(f->reply.data, "x\0\0", 3);
	assert_int_equal(fsfix_truncate(f, ino, 0), 0);
	assert_int_equal(f->reply.attr.blocks, 0);
	fsfix_check(f);
	free(data);
}

static void truncation_to_the_same_size_moves_the_times(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");
	struct fs_attr a = fsfix_attr(f, ino);

	assert_int_equal(fsfix_eval(f, (struct fs_request){ .op = FS_OPEN_TRUNC, .ino = ino }), 0);
	assert_int_equal(f->reply.old_data_version, a.data_version);
	assert_true(f->reply.attr.data_version > a.data_version);
	assert_true(f->reply.attr.mtime_ns > a.mtime_ns);
	assert_true(f->reply.attr.ctime_ns > a.ctime_ns);
}

static void open_tells_the_data_version(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f"), version;

	assert_int_equal(fsfix_write(f, ino, 0, "x", 1), 0);
	version = f->reply.attr.data_version;
	assert_int_equal(fsfix_eval(f, (struct fs_request){ .op = FS_OPEN, .ino = ino }), 0);
	assert_int_equal(f->reply.attr.data_version, version);
	assert_int_equal(fsfix_eval(f, (struct fs_request){ .op = FS_OPEN, .ino = 999 }), -ESTALE);
	assert_int_equal(
		fsfix_eval(f, (struct fs_request){ .op = FS_OPEN_TRUNC, .ino = FS_ROOT_INO }),
		-EISDIR);
}

static void changing_data_takes_privileges_away(void **state)
{
	struct fsfix *f = *state;
	static const struct {
		uint32_t uid, before, after;
	} cases[] = {
		{ 1, 06755, 0755 }, { 1, 02666, 02666 }, { 1, 06666, 02666 },
		{ 1, 04755, 0755 }, { 0, 06755, 06755 },
	};
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (int how = 0; how < 4; how++) {
			f->uid = 0;
			assert_int_equal(fsfix_chmod(f, ino, cases[i].before), 0);
			assert_int_equal(fsfix_setxattr(f, ino, "security.capability", "caps", 0),
					 0);
			f->uid = cases[i].uid;
			if (how == 0)
				assert_int_equal(fsfix_write(f, ino, 0, "x", 1), 0);
			else if (how == 1)
				assert_int_equal(fsfix_truncate(f, ino, 10), 0);
			else if (how == 2)
				assert_int_equal(
					fsfix_eval(f, (struct fs_request){ .op = FS_OPEN_TRUNC,
									   .ino = ino }),
					0);
			else
				assert_int_equal(append(f, ino, 0, "x"), 0);
			assert_int_equal(f->reply.attr.mode & 07777, cases[i].after);
			assert_int_equal(fsfix_getxattr(f, ino, "security.capability"), -ENODATA);
		}
	}
}

/* Blocks of a sparse file without writing them all at once. */
static void fill_blocks(struct fsfix *f, uint64_t ino, uint32_t first, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(fsfix_write(f, ino, (first + i) * BS, "b", 1), 0);
}

static void a_large_truncate_is_carried_out_in_steps(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");
	uint32_t count = 2 * FS_RECLAIM_BLOCKS + 10;

	fill_blocks(f, ino, 0, count);
	assert_int_equal(fsfix_truncate(f, ino, 10), 0);
	assert_true(f->orphans);
	assert_true(f->entry_bytes < 4096);
	assert_int_equal(f->reply.attr.size, 10);
	fsfix_check(f);
	assert_int_equal(fsfix_read(f, ino, 0, 100), 0);
	assert_memory_equal(f->reply.data, "b\0\0\0\0\0\0\0\0\0", 10);
	assert_int_equal(fsfix_link(f, ino, FS_ROOT_INO, "g"), 0);
	assert_int_equal(fsfix_reclaim_all(f), 3);
	assert_int_equal(fsfix_attr(f, ino).blocks, 8);
}

static void growing_into_a_pending_truncate_waits(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");

	fill_blocks(f, ino, 0, 2 * FS_RECLAIM_BLOCKS);
	assert_int_equal(fsfix_truncate(f, ino, 5), 0);
	assert_int_equal(fsfix_write(f, ino, 100, "in", 2), 0); /* the live block */
	assert_int_equal(fsfix_write(f, ino, BS, "x", 1), FSFIX_BLOCKED);
	assert_int_equal(f->blocked_ino, ino);
	assert_int_equal(fsfix_write(f, ino, BS - 1, "xx", 2), FSFIX_BLOCKED);
	assert_int_equal(fsfix_truncate(f, ino, BS + 1), FSFIX_BLOCKED);
	assert_int_equal(fsfix_truncate(f, ino, BS), 0);
	assert_int_equal(append(f, ino, 0, "x"), FSFIX_BLOCKED);
	assert_int_equal(fsfix_truncate(f, ino, 0), 0);
	assert_int_equal(fsfix_write(f, ino, 0, "x", 1), 0);
	/* Each step frees some more of the range. */
	assert_int_equal(fsfix_reclaim(f, ino), 0);
	assert_true(f->orphans);
	assert_int_equal(fsfix_write(f, ino, BS, "x", 1), 0);
	assert_int_equal(fsfix_write(f, ino, (FS_RECLAIM_BLOCKS + 1) * BS, "x", 1), FSFIX_BLOCKED);
	assert_int_equal(fsfix_reclaim(f, ino), 0);
	assert_int_equal(fsfix_write(f, ino, (FS_RECLAIM_BLOCKS + 1) * BS, "x", 1), 0);
	assert_int_equal(fsfix_read(f, ino, 2 * BS, 4), 0);
	assert_memory_equal(f->reply.data, "\0\0\0\0", 4);
}

static void a_pending_truncate_may_be_cut_further(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");

	fill_blocks(f, ino, 0, 3 * FS_RECLAIM_BLOCKS);
	assert_int_equal(fsfix_truncate(f, ino, (FS_RECLAIM_BLOCKS + 500) * BS), 0);
	assert_int_equal(fsfix_truncate(f, ino, (FS_RECLAIM_BLOCKS + 100) * BS),
			 0); /* few: at once */
	fsfix_check(f);
	assert_int_equal(fsfix_truncate(f, ino, 1), 0); /* many */
	fsfix_check(f);
	fsfix_reclaim_all(f);
	assert_int_equal(fsfix_attr(f, ino).blocks, 8);
}

static void exactly_a_step_is_truncated_at_once(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");

	fill_blocks(f, ino, 0, FS_RECLAIM_BLOCKS);
	assert_int_equal(fsfix_truncate(f, ino, 0), 0);
	assert_false(f->orphans);
	assert_int_equal(fsfix_reclaim_all(f), 0);
	assert_int_equal(fsfix_attr(f, ino).blocks, 0);
}

static void a_sparse_truncate_counts_rows_not_distance(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");

	assert_int_equal(fsfix_write(f, ino, KV_FILE_SIZE_MAX - 1, "x", 1), 0);
	assert_int_equal(fsfix_truncate(f, ino, 0), 0);
	assert_false(f->orphans);
	assert_int_equal(f->reply.attr.blocks, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FSFIX_BOTH(create_makes_a_file_of_the_caller),
		FSFIX_BOTH(create_opens_what_is_there),
		FSFIX_BOTH(create_with_excl_refuses_any_existing_name),
		FSFIX_BOTH(create_leaves_what_it_cannot_judge_to_the_kernel),
		FSFIX_BOTH(what_was_written_is_read),
		FSFIX_BOTH(reads_stop_at_the_end),
		FSFIX_BOTH(one_read_is_bounded),
		FSFIX_BOTH(only_files_have_data),
		FSFIX_BOTH(appends_go_to_the_authoritative_end),
		FSFIX_BOTH(appends_stack_up_in_the_overlay),
		FSFIX_BOTH(data_beyond_the_last_block_is_efbig),
		FSFIX_BOTH(sizes_go_to_the_end_of_off_t),
		FSFIX_BOTH(a_write_of_nothing_changes_nothing),
		FSFIX_BOTH(too_large_a_write_is_refused),
		FSFIX_BOTH(a_rewrite_in_the_same_nanosecond_moves_times_and_version),
		FSFIX_BOTH(holes_read_as_zeros_and_cost_nothing),
		FSFIX_BOTH(small_files_show_few_blocks),
		FSFIX_BOTH(truncation_cuts_and_regrows_with_zeros),
		FSFIX_BOTH(truncation_drops_whole_blocks),
		FSFIX_BOTH(truncation_to_the_same_size_moves_the_times),
		FSFIX_BOTH(open_tells_the_data_version),
		FSFIX_BOTH(changing_data_takes_privileges_away),
		FSFIX_BOTH(a_large_truncate_is_carried_out_in_steps),
		FSFIX_BOTH(growing_into_a_pending_truncate_waits),
		FSFIX_BOTH(a_pending_truncate_may_be_cut_further),
		FSFIX_BOTH(exactly_a_step_is_truncated_at_once),
		FSFIX_BOTH(a_sparse_truncate_counts_rows_not_distance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
