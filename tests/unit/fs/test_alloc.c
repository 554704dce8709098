/* test_alloc.c - fallocate, data and holes, copies. Random ones are in test_model.c. */
#include <linux/fs.h>
#include <sys/stat.h>

#include "tests/lib/fsfix.h"

#define BS ((uint64_t)KV_BLOCK_SIZE)
#define PER_BLOCK (BS / 512)

static int allocate(struct fsfix *f, uint64_t ino, uint64_t off, uint64_t len, uint32_t flags)
{
	return fsfix_eval(f, (struct fs_request){ .op = FS_ALLOCATE,
						  .ino = ino,
						  .offset = off,
						  .size = len,
						  .flags = flags });
}

static int punch(struct fsfix *f, uint64_t ino, uint64_t off, uint64_t len)
{
	return fsfix_eval(
		f, (struct fs_request){ .op = FS_PUNCH, .ino = ino, .offset = off, .size = len });
}

static int seek(struct fsfix *f, uint64_t ino, uint64_t off, uint32_t whence)
{
	return fsfix_eval(f, (struct fs_request){
				     .op = FS_SEEK, .ino = ino, .offset = off, .flags = whence });
}

static int copy(struct fsfix *f, uint64_t from_ino, uint64_t from, uint64_t to_ino, uint64_t to,
		uint64_t len)
{
	uint8_t at[8];

	store_le64(at, to);
	return fsfix_eval(f, (struct fs_request){ .op = FS_COPY_RANGE,
						  .ino = from_ino,
						  .ino2 = to_ino,
						  .offset = from,
						  .size = len,
						  .data = at,
						  .data_len = sizeof(at) });
}

static void assert_bytes(struct fsfix *f, uint64_t ino, uint64_t off, size_t len, uint8_t want)
{
	const uint8_t *got;

	assert_int_equal(fsfix_read(f, ino, off, len), 0);
	assert_int_equal(f->reply.data_len, len);
	got = f->reply.data;
	for (size_t i = 0; i < len; i++) {
		if (got[i] != want)
			fail_msg("byte %llu is %u", (unsigned long long)(off + i), got[i]);
	}
}

static uint64_t filled(struct fsfix *f, const char *name, size_t len)
{
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, name);
	void *data = mem_alloc(len);

	memset(data, 'x', len);
	assert_int_equal(fsfix_write(f, ino, 0, data, len), 0);
	free(data);
	return ino;
}

static void allocation_fills_holes_and_moves_the_end(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f"), version;

	assert_int_equal(fsfix_write(f, ino, 2 * BS, "data", 4), 0);
	version = f->reply.attr.data_version;
	assert_int_equal(allocate(f, ino, 10, 5 * BS, 0), 0);
	assert_int_equal(f->reply.count, 5 * BS);
	assert_int_equal(f->reply.old_data_version, version);
	assert_int_equal(f->reply.attr.size, 5 * BS + 10);
	/* The last block counts up to the end. */
	assert_int_equal(f->reply.attr.blocks, 5 * PER_BLOCK + 8);
	assert_int_equal(fsfix_read(f, ino, 2 * BS, 4), 0);
	assert_memory_equal(f->reply.data, "data", 4);
	assert_bytes(f, ino, 2 * BS + 4, BS, 0);
	assert_int_equal(allocate(f, ino, 0, 5 * BS, 0), 0);
	assert_int_equal(f->reply.attr.size, 5 * BS + 10);
	assert_int_equal(seek(f, ino, 0, SEEK_HOLE), 0);
	assert_int_equal(f->reply.offset, 5 * BS + 10);
}

static void keep_size_stores_nothing_behind_the_last_block(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");

	assert_int_equal(fsfix_truncate(f, ino, BS + 1), 0);
	assert_int_equal(allocate(f, ino, 0, 100 * BS, FS_ALLOCATE_KEEP_SIZE), 0);
	assert_int_equal(f->reply.count, 100 * BS);
	assert_int_equal(f->reply.attr.size, BS + 1);
	assert_int_equal(f->reply.attr.blocks, PER_BLOCK + 8);
	assert_int_equal(allocate(f, ino, 50 * BS, BS, FS_ALLOCATE_KEEP_SIZE), 0);
	assert_int_equal(f->reply.attr.blocks, PER_BLOCK + 8);
	fsfix_check(f);
}

static void one_entry_does_so_much_and_tells_how_far_it_came(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f"), many = 2 * FS_RECLAIM_BLOCKS + 5;

	assert_int_equal(allocate(f, ino, 7, many * BS, 0), 0);
	assert_int_equal(f->reply.count, FS_RECLAIM_BLOCKS * BS - 7);
	assert_int_equal(f->reply.attr.size, FS_RECLAIM_BLOCKS * BS);
	assert_true(f->entry_bytes < FS_RECLAIM_BLOCKS * 64u);
	for (uint64_t at = FS_RECLAIM_BLOCKS * BS; at < many * BS; at += f->reply.count)
		assert_int_equal(allocate(f, ino, at, many * BS - at, FS_ALLOCATE_ZERO), 0);
	assert_int_equal(f->reply.attr.size, many * BS);
	assert_int_equal(punch(f, ino, 0, UINT64_MAX), 0);
	assert_int_equal(f->reply.count, FS_RECLAIM_BLOCKS * BS);
	assert_int_equal(f->reply.attr.blocks, (many - FS_RECLAIM_BLOCKS) * PER_BLOCK);
	assert_int_equal(punch(f, ino, 0, many * BS), 0);
	assert_int_equal(punch(f, ino, 0, many * BS), 0);
	assert_int_equal(f->reply.count, many * BS);
	assert_int_equal(f->reply.attr.blocks, 0);
	assert_int_equal(f->reply.attr.size, many * BS);
}

static void punching_keeps_what_is_beside(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = filled(f, "f", 4 * BS);

	assert_int_equal(punch(f, ino, 10, 2 * BS), 0);
	assert_int_equal(f->reply.attr.size, 4 * BS);
	assert_int_equal(f->reply.attr.blocks, 3 * PER_BLOCK);
	assert_bytes(f, ino, 0, 10, 'x');
	assert_bytes(f, ino, 10, 2 * BS, 0);
	assert_bytes(f, ino, 2 * BS + 10, 2 * BS - 10, 'x');
	/* Up to the end the last block goes, too, and behind the end there is nothing. */
	assert_int_equal(fsfix_truncate(f, ino, 4 * BS - 5), 0);
	assert_int_equal(punch(f, ino, 3 * BS, 9 * BS), 0);
	assert_int_equal(f->reply.attr.size, 4 * BS - 5);
	assert_int_equal(f->reply.attr.blocks, 2 * PER_BLOCK);
	assert_int_equal(punch(f, ino, 8 * BS, BS), 0);
	assert_int_equal(f->reply.attr.size, 4 * BS - 5);
	assert_int_equal(punch(f, ino, 0, 0), -EINVAL);
}

/* The beginning of a block may be all that its row has; without a byte it would be none. */
static void the_beginning_of_a_block_does_not_take_its_row(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");

	assert_int_equal(fsfix_write(f, ino, BS, "data", 4), 0);
	assert_int_equal(fsfix_truncate(f, ino, 3 * BS), 0);
	assert_int_equal(punch(f, ino, 0, BS + 100), 0);
	assert_int_equal(f->reply.attr.blocks, PER_BLOCK);
	assert_bytes(f, ino, 0, 3 * BS, 0);
	fsfix_check(f);
}

static void zeroed_ranges_stay_allocated(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = filled(f, "f", 3 * BS);

	assert_int_equal(allocate(f, ino, 5, 4 * BS, FS_ALLOCATE_ZERO | FS_ALLOCATE_KEEP_SIZE), 0);
	assert_int_equal(f->reply.attr.size, 3 * BS);
	assert_int_equal(f->reply.attr.blocks, 3 * PER_BLOCK);
	assert_bytes(f, ino, 0, 5, 'x');
	assert_bytes(f, ino, 5, 3 * BS - 5, 0);
	assert_int_equal(allocate(f, ino, 0, 4 * BS, FS_ALLOCATE_ZERO), 0);
	assert_int_equal(f->reply.attr.size, 4 * BS);
	assert_int_equal(f->reply.attr.blocks, 4 * PER_BLOCK);
	assert_bytes(f, ino, 0, 4 * BS, 0);
}

static void what_cannot_be_is_refused(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f"), dir = fsfix_dir(f, FS_ROOT_INO, "d");
	struct fs_attr before = fsfix_attr(f, ino);

	assert_int_equal(allocate(f, ino, 0, 0, 0), -EINVAL);
	assert_int_equal(allocate(f, ino, 0, 1, 4), -EINVAL);
	assert_int_equal(allocate(f, ino, KV_FILE_SIZE_MAX, 1, 0), -EFBIG);
	assert_int_equal(allocate(f, ino, UINT64_MAX, 2, 0), -EFBIG);
	assert_int_equal(allocate(f, dir, 0, 1, 0), -EISDIR);
	assert_int_equal(punch(f, dir, 0, 1), -EISDIR);
	assert_int_equal(seek(f, dir, 0, SEEK_DATA), -EISDIR);
	assert_int_equal(seek(f, ino, 0, 0), -EINVAL);
	assert_int_equal(copy(f, ino, 0, dir, 0, 1), -EISDIR);
	assert_int_equal(copy(f, ino, 0, 999, 0, 1), -ESTALE);
	assert_int_equal(copy(f, ino, 0, ino, KV_FILE_SIZE_MAX + 1, 1), -EFBIG);
	assert_int_equal(fsfix_attr(f, ino).ctime_ns, before.ctime_ns);
}

static void allocation_waits_for_stale_rows(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");

	f->step_blocks = 2;
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(fsfix_write(f, ino, i * BS, "x", 1), 0);
	assert_int_equal(fsfix_truncate(f, ino, 1), 0);
	assert_int_equal(allocate(f, ino, 0, 2 * BS, 0), FSFIX_BLOCKED);
	assert_int_equal(f->blocked_ino, ino);
	assert_int_equal(allocate(f, ino, 0, 9 * BS, FS_ALLOCATE_KEEP_SIZE), 0);
	assert_int_equal(copy(f, ino, 0, ino, BS, 1), FSFIX_BLOCKED);
	fsfix_reclaim_all(f);
	assert_int_equal(allocate(f, ino, 0, 2 * BS, 0), 0);
	assert_bytes(f, ino, 1, 2 * BS - 1, 0);
}

static void data_and_holes_are_told_apart(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");

	assert_int_equal(seek(f, ino, 0, SEEK_DATA), -ENXIO);
	assert_int_equal(fsfix_write(f, ino, 2 * BS + 5, "x", 1), 0);
	assert_int_equal(fsfix_truncate(f, ino, 5 * BS), 0);
	assert_int_equal(seek(f, ino, 7, SEEK_DATA), 0);
	assert_int_equal(f->reply.offset, 2 * BS);
	assert_int_equal(seek(f, ino, 2 * BS + 9, SEEK_DATA), 0);
	assert_int_equal(f->reply.offset, 2 * BS + 9);
	assert_int_equal(seek(f, ino, 2 * BS + 9, SEEK_HOLE), 0);
	assert_int_equal(f->reply.offset, 3 * BS);
	assert_int_equal(seek(f, ino, 7, SEEK_HOLE), 0);
	assert_int_equal(f->reply.offset, 7);
	assert_int_equal(seek(f, ino, 3 * BS, SEEK_DATA), -ENXIO);
	assert_int_equal(seek(f, ino, 5 * BS, SEEK_HOLE), -ENXIO);
}

static void copies_go_stretch_by_stretch(void **state)
{
	struct fsfix *f = *state;
	uint64_t src = filled(f, "src", 2 * BS), dst = filled(f, "dst", 6 * BS);

	assert_int_equal(fsfix_truncate(f, src, 5 * BS), 0);
	assert_int_equal(copy(f, src, 100, dst, BS, 9 * BS), 0);
	assert_int_equal(f->reply.count, 2 * BS - 100); /* data */
	assert_int_equal(f->reply.attr.ino, dst);
	assert_int_equal(copy(f, src, 2 * BS, dst, 2 * BS, 9 * BS), 0);
	assert_int_equal(f->reply.count, 3 * BS); /* the hole up to the end */
	assert_int_equal(f->reply.attr.size, 6 * BS);
	assert_int_equal(f->reply.attr.blocks, 3 * PER_BLOCK);
	assert_bytes(f, dst, 0, 2 * BS, 'x');
	assert_bytes(f, dst, 2 * BS, 3 * BS, 0);
	assert_bytes(f, dst, 5 * BS, BS, 'x');
	assert_int_equal(copy(f, src, 5 * BS, dst, 0, 1), 0);
	assert_int_equal(f->reply.count, 0);
	assert_false(f->mutated);
	assert_int_equal(copy(f, src, 0, dst, 5 * BS, FS_IO_MAX), 0);
	assert_int_equal(f->reply.count, 2 * BS);
	assert_int_equal(f->reply.attr.size, 7 * BS);
}

static void a_file_is_copied_into_itself_where_nothing_overlaps(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = filled(f, "f", BS + 10);

	assert_int_equal(copy(f, ino, 0, ino, 3 * BS, BS + 10), 0);
	assert_int_equal(f->reply.attr.size, 4 * BS + 10);
	assert_bytes(f, ino, 3 * BS, BS + 10, 'x');
	assert_bytes(f, ino, BS + 10, 2 * BS - 10, 0);
	assert_int_equal(copy(f, ino, 0, ino, 5, 6), -EINVAL);
	assert_int_equal(copy(f, ino, 5, ino, 0, 6), -EINVAL);
	assert_int_equal(copy(f, ino, 5, ino, 0, 5), 0);
	/* A hole into data. */
	assert_int_equal(copy(f, ino, 2 * BS, ino, 0, BS), 0);
	assert_bytes(f, ino, 0, BS, 0);
	assert_int_equal(f->reply.data_len, BS);
}

static void privileges_go_with_the_data(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = filled(f, "f", BS), other = filled(f, "g", BS);

	for (int how = 0; how < 4; how++) {
		f->uid = f->gid = 0;
		assert_int_equal(fsfix_chmod(f, ino, 06755), 0);
		assert_int_equal(fsfix_setxattr(f, ino, "security.capability", "c", 0), 0);
		f->uid = f->gid = 5;
		assert_int_equal(how == 0   ? allocate(f, ino, 0, 1, 0)
				 : how == 1 ? allocate(f, ino, 0, 1, FS_ALLOCATE_ZERO)
				 : how == 2 ? punch(f, ino, 0, 1)
					    : copy(f, other, 0, ino, 0, 1),
				 0);
		assert_int_equal(f->reply.attr.mode & 07777, 0755);
		assert_int_equal(fsfix_getxattr(f, ino, "security.capability"), -ENODATA);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FSFIX_BOTH(allocation_fills_holes_and_moves_the_end),
		FSFIX_BOTH(keep_size_stores_nothing_behind_the_last_block),
		FSFIX_BOTH(one_entry_does_so_much_and_tells_how_far_it_came),
		FSFIX_BOTH(punching_keeps_what_is_beside),
		FSFIX_BOTH(the_beginning_of_a_block_does_not_take_its_row),
		FSFIX_BOTH(zeroed_ranges_stay_allocated),
		FSFIX_BOTH(what_cannot_be_is_refused),
		FSFIX_BOTH(allocation_waits_for_stale_rows),
		FSFIX_BOTH(data_and_holes_are_told_apart),
		FSFIX_BOTH(copies_go_stretch_by_stretch),
		FSFIX_BOTH(a_file_is_copied_into_itself_where_nothing_overlaps),
		FSFIX_BOTH(privileges_go_with_the_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
