/* test_orphan.c - the orphan list: holders, bounded reclaim, and requests that come too late. */
#include <fcntl.h>
#include <sys/stat.h>

#include "tests/lib/fsfix.h"

#define BS ((uint64_t)KV_BLOCK_SIZE)

static int hold(struct fsfix *f, uint64_t ino, const uint64_t *sessions, size_t count)
{
	uint8_t data[64];

	for (size_t i = 0; i < count; i++)
		store_le64(data + 8 * i, sessions[i]);
	return fsfix_eval(
		f, (struct fs_request){
			   .op = FS_ORPHAN_HOLD, .ino = ino, .data = data, .data_len = 8 * count });
}

static int list(struct fsfix *f, uint64_t after, uint64_t size)
{
	return fsfix_eval(f,
			  (struct fs_request){ .op = FS_ORPHANS, .offset = after, .size = size });
}

static void fill_blocks(struct fsfix *f, uint64_t ino, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(fsfix_write(f, ino, i * BS, "b", 1), 0);
}

static void holders_are_logged_and_listed(void **state)
{
	struct fsfix *f = *state;
	static const uint64_t sessions[] = { 11, 22 };
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");
	struct fs_orphan o;
	const uint8_t *data;
	size_t len;

	assert_int_equal(fsfix_unlink(f, FS_ROOT_INO, "f"), 0);
	assert_int_equal(hold(f, ino, sessions, 2), 0);
	assert_true(f->mutated);
	assert_int_equal(hold(f, ino, sessions, 2), 0);
	assert_false(f->mutated);
	assert_int_equal(list(f, 0, 4096), 0);
	data = f->reply.data;
	len = f->reply.data_len;
	assert_true(fs_orphan_next(&data, &len, &o));
	assert_int_equal(o.ino, ino);
	assert_false(o.linked);
	assert_int_equal(o.holder_count, 2);
	assert_int_equal(load_le64(o.holders), 11);
	assert_int_equal(load_le64(o.holders + 8), 22);
	assert_false(fs_orphan_next(&data, &len, &o));
	assert_int_equal(hold(f, ino, sessions, 0), 0);
	assert_true(f->mutated);
}

static void what_no_longer_qualifies_is_left_alone(void **state)
{
	struct fsfix *f = *state;
	static const uint64_t session = 1;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");

	assert_int_equal(hold(f, ino, &session, 1), 0);
	assert_false(f->mutated);
	assert_int_equal(fsfix_reclaim(f, ino), 0);
	assert_false(f->mutated);
	assert_int_equal(hold(f, 999, &session, 1), 0);
	assert_false(f->mutated);
	assert_int_equal(fsfix_getattr(f, ino), 0);
	assert_int_equal(fsfix_unlink(f, FS_ROOT_INO, "f"), 0);
	assert_int_equal(fsfix_reclaim(f, ino), 0);
	assert_true(f->mutated);
	assert_int_equal(fsfix_reclaim(f, ino), 0);
	assert_false(f->mutated);
}

static int tmpfile_in(struct fsfix *f, uint64_t dir, uint32_t flags)
{
	return fsfix_eval(f, (struct fs_request){ .op = FS_TMPFILE,
						  .ino = dir,
						  .mode = 0666,
						  .flags = flags,
						  .valid = 022 });
}

static int link_ino(struct fsfix *f, uint64_t ino, const char *name)
{
	return fsfix_eval(f, (struct fs_request){ .op = FS_LINK,
						  .ino = ino,
						  .ino2 = FS_ROOT_INO,
						  .name = name,
						  .name_len = strlen(name) });
}

static void a_file_that_begins_without_a_name_may_get_one(void **state)
{
	struct fsfix *f = *state;

	assert_int_equal(tmpfile_in(f, FS_ROOT_INO, 0), 0);
	uint64_t ino = f->reply.attr.ino;

	assert_true(f->orphans);
	assert_int_equal(f->reply.attr.nlink, 0);
	assert_int_equal(f->reply.attr.mode, S_IFREG | 0644);
	fill_blocks(f, ino, 3);
	fsfix_check(f);
	assert_int_equal(link_ino(f, ino, "f"), 0);
	assert_int_equal(f->reply.attr.nlink, 1);
	fsfix_check(f);
	assert_int_equal(fsfix_reclaim(f, ino), 0); /* proposed before, say: it has a name now */
	assert_false(f->mutated);
	assert_int_equal(fsfix_lookup(f, FS_ROOT_INO, "f"), 0);
	assert_int_equal(f->reply.attr.ino, ino);
	/* Once it has had a name, losing it is as with any other. */
	assert_int_equal(fsfix_unlink(f, FS_ROOT_INO, "f"), 0);
	assert_int_equal(link_ino(f, ino, "g"), -ENOENT);
	assert_int_equal(fsfix_reclaim(f, ino), 0);
	assert_int_equal(fsfix_getattr(f, ino), -ESTALE);
	fsfix_check(f);
}

static void a_file_that_begins_without_a_name_may_end_so(void **state)
{
	struct fsfix *f = *state;

	assert_int_equal(tmpfile_in(f, FS_ROOT_INO, O_EXCL), 0);
	uint64_t ino = f->reply.attr.ino;

	assert_int_equal(link_ino(f, ino, "f"), -ENOENT);
	assert_int_equal(fsfix_reclaim(f, ino), 0);
	assert_int_equal(fsfix_getattr(f, ino), -ESTALE);
	assert_int_equal(tmpfile_in(f, FS_ROOT_INO, 0), 0);
	ino = f->reply.attr.ino;
	assert_int_equal(fsfix_reclaim(f, ino), 0); /* nobody holds it */
	assert_int_equal(link_ino(f, ino, "f"), -ESTALE);
	assert_int_equal(tmpfile_in(f, fsfix_file(f, FS_ROOT_INO, "file"), 0), -ENOTDIR);
	assert_int_equal(tmpfile_in(f, 999, 0), -ENOENT);
	fsfix_check(f);
}

static void a_small_file_is_reclaimed_in_one_entry(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");

	fill_blocks(f, ino, 5);
	assert_int_equal(fsfix_setxattr(f, ino, "user.a", "v", 0), 0);
	assert_int_equal(fsfix_unlink(f, FS_ROOT_INO, "f"), 0);
	assert_int_equal(fsfix_reclaim(f, ino), 0);
	assert_false(f->orphans);
	assert_int_equal(fsfix_getattr(f, ino), -ESTALE);
	assert_int_equal(fsfix_reclaim_all(f), 0);
}

static void a_large_file_is_reclaimed_in_bounded_entries(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");
	unsigned steps = 0;

	fill_blocks(f, ino, 2 * FS_RECLAIM_BLOCKS + 1);
	assert_int_equal(fsfix_unlink(f, FS_ROOT_INO, "f"), 0);
	do {
		assert_int_equal(fsfix_reclaim(f, ino), 0);
		assert_true(f->mutated);
		assert_true(f->entry_bytes < 4096);
		/* From the first step on nobody can take it for a whole file. */
		assert_int_equal(fsfix_getattr(f, ino), -ESTALE);
		assert_int_equal(fsfix_read(f, ino, 0, 1), -ESTALE);
		assert_int_equal(fsfix_eval(f, (struct fs_request){ .op = FS_OPEN, .ino = ino }),
				 -ESTALE);
		fsfix_check(f);
		assert_int_equal(list(f, 0, 4096), 0);
		steps++;
	} while (f->reply.data_len > 0);
	assert_int_equal(steps, 3);
}

static void a_request_for_a_truncate_never_ends_an_orphan(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");
	struct fs_request late = { .op = FS_RECLAIM, .ino = ino, .flags = FS_RECLAIM_TRUNCATE };

	fill_blocks(f, ino, FS_RECLAIM_BLOCKS + 2);
	assert_int_equal(fsfix_truncate(f, ino, 1), 0);
	assert_int_equal(fsfix_unlink(f, FS_ROOT_INO, "f"), 0);
	for (int step = 0; step < 2; step++) {
		assert_int_equal(fsfix_eval(f, late), 0);
		assert_true(f->mutated);
	}
	assert_int_equal(fsfix_eval(f, late), 0);
	assert_false(f->mutated);
	fsfix_assert_content(f, ino, "b");
	assert_int_equal(fsfix_reclaim(f, ino), 0);
	assert_int_equal(fsfix_getattr(f, ino), -ESTALE);
}

static void a_held_orphan_gets_its_truncate_carried_out(void **state)
{
	struct fsfix *f = *state;
	static const uint64_t session = 4;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");
	struct fs_orphan o;
	const uint8_t *data;
	size_t len;

	fill_blocks(f, ino, FS_RECLAIM_BLOCKS + 2);
	assert_int_equal(fsfix_unlink(f, FS_ROOT_INO, "f"), 0);
	assert_int_equal(hold(f, ino, &session, 1), 0);
	assert_int_equal(fsfix_truncate(f, ino, 0), 0);
	assert_int_equal(fsfix_write(f, ino, 0, "x", 1), FSFIX_BLOCKED);
	assert_int_equal(list(f, 0, 4096), 0);
	data = f->reply.data;
	len = f->reply.data_len;
	assert_true(fs_orphan_next(&data, &len, &o));
	assert_true(o.linked); /* nobody is asked */
	for (int step = 0; step < 2; step++)
		assert_int_equal(fsfix_reclaim(f, ino), 0);
	assert_int_equal(fsfix_write(f, ino, 0, "x", 1), 0);
	fsfix_assert_content(f, ino, "x");
	assert_int_equal(list(f, 0, 4096), 0);
	data = f->reply.data;
	len = f->reply.data_len;
	assert_true(fs_orphan_next(&data, &len, &o));
	assert_false(o.linked);
	assert_int_equal(o.holder_count, 1);
}

static void the_list_goes_on_after_the_last_seen(void **state)
{
	struct fsfix *f = *state;
	static const uint64_t sizes[] = { 1, 40, 100, 0 };
	char name[16];
	uint64_t big;

	f->stack = 100;
	for (unsigned i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		fsfix_file(f, FS_ROOT_INO, name);
		assert_int_equal(fsfix_unlink(f, FS_ROOT_INO, name), 0);
	}
	big = fsfix_file(f, FS_ROOT_INO, "big");
	fill_blocks(f, big, FS_RECLAIM_BLOCKS + 1);
	assert_int_equal(fsfix_truncate(f, big, 0), 0);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint64_t after = 0, seen = 0, linked = 0;

		for (;;) {
			struct fs_orphan o;
			const uint8_t *data;
			size_t len;

			assert_int_equal(list(f, after, sizes[i]), 0);
			data = f->reply.data;
			len = f->reply.data_len;
			if (len == 0)
				break;
			while (fs_orphan_next(&data, &len, &o)) {
				assert_true(o.ino > after);
				after = o.ino;
				seen++;
				linked += o.linked;
			}
		}
		assert_int_equal(seen, 51);
		assert_int_equal(linked, 1);
	}
}

static void a_removed_directory_is_an_orphan_too(void **state)
{
	struct fsfix *f = *state;
	uint64_t d = fsfix_dir(f, FS_ROOT_INO, "d");

	assert_int_equal(fsfix_rmdir(f, FS_ROOT_INO, "d"), 0);
	assert_true(f->orphans);
	assert_int_equal(fsfix_attr(f, d).nlink, 0);
	assert_int_equal(fsfix_reclaim_all(f), 1);
	assert_int_equal(fsfix_getattr(f, d), -ESTALE);
}

static void holder_lists_must_be_whole(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");

	assert_int_equal(fsfix_unlink(f, FS_ROOT_INO, "f"), 0);
	assert_int_equal(fsfix_eval(f, (struct fs_request){ .op = FS_ORPHAN_HOLD,
							    .ino = ino,
							    .data = "1234567",
							    .data_len = 7 }),
			 -EINVAL);
}

static void mutations_tell_their_inode(void **state)
{
	static const struct {
		const char *key;
		size_t len;
		uint64_t ino;
		bool orphan;
	} cases[] = {
		{ "i\0\0\0\0\0\0\0\5", 9, 5, false },
		{ "u\0\0\0\0\0\0\0\6", 9, 6, true },
		{ "t\0\0\0\0\0\0\1\0", 9, 256, true },
		{ "d\0\0\0\0\0\0\0\7name", 13, 7, false },
		{ "o\0\0\0\0\0\0\0\7\0\0\0\0\0\0\0\1", 17, 7, false },
		{ "x\0\0\0\0\0\0\0\3user.a", 15, 3, false },
		{ "c", 1, 0, false },
		{ "kuser", 5, 0, false },
		{ "u", 1, 0, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct kv_mutation m = { .type = KV_PUT,
					 .key = (const uint8_t *)cases[i].key,
					 .key_len = cases[i].len };

		assert_int_equal(fs_mutation_ino(&m), cases[i].ino);
		assert_int_equal(fs_mutation_is_orphan(&m), cases[i].orphan);
		m.type = KV_DELETE;
		assert_int_equal(fs_mutation_ino(&m), cases[i].ino);
		assert_false(fs_mutation_is_orphan(&m));
	}
	assert_int_equal(fs_mutation_ino(&(struct kv_mutation){ .type = KV_BLOCK_PATCH, .ino = 9 }),
			 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FSFIX_BOTH(holders_are_logged_and_listed),
		FSFIX_BOTH(what_no_longer_qualifies_is_left_alone),
		FSFIX_BOTH(a_file_that_begins_without_a_name_may_get_one),
		FSFIX_BOTH(a_file_that_begins_without_a_name_may_end_so),
		FSFIX_BOTH(a_small_file_is_reclaimed_in_one_entry),
		FSFIX_BOTH(a_large_file_is_reclaimed_in_bounded_entries),
		FSFIX_BOTH(a_request_for_a_truncate_never_ends_an_orphan),
		FSFIX_BOTH(a_held_orphan_gets_its_truncate_carried_out),
		FSFIX_BOTH(the_list_goes_on_after_the_last_seen),
		FSFIX_BOTH(a_removed_directory_is_an_orphan_too),
		FSFIX_BOTH(holder_lists_must_be_whole),
		cmocka_unit_test(mutations_tell_their_inode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
