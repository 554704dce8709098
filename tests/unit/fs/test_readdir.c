/* test_readdir.c - cookies that stay valid under change, types, and buffer limits. */
#include <linux/fs.h>
#include <sys/stat.h>

#include "tests/lib/fsfix.h"

#define ROOT FS_ROOT_INO
#define NAMES_MAX 4096

struct seen {
	char names[NAMES_MAX][24];
	uint64_t inos[NAMES_MAX];
	uint32_t modes[NAMES_MAX];
	size_t count;
	uint64_t last; /* cookie to go on after */
};

static int readdir_op(struct fsfix *f, uint64_t ino, uint64_t after, size_t size)
{
	return fsfix_eval(f, (struct fs_request){
				     .op = FS_READDIR, .ino = ino, .offset = after, .size = size });
}

/* One call; false at the end of the directory. */
static bool read_some(struct fsfix *f, uint64_t ino, size_t size, struct seen *s)
{
	struct fs_dirent d;
	const uint8_t *data;
	size_t len;

	assert_int_equal(readdir_op(f, ino, s->last, size), 0);
	assert_true(f->reply.data_len <= size);
	data = f->reply.data;
	len = f->reply.data_len;
	if (len == 0)
		return false;
	while (fs_dirent_next(&data, &len, &d)) {
		assert_true(s->count < NAMES_MAX && d.name_len < sizeof(s->names[0]));
		assert_true(d.cookie > s->last && d.cookie <= INT64_MAX);
		memcpy(s->names[s->count], d.name, d.name_len);
		s->names[s->count][d.name_len] = '\0';
		s->inos[s->count] = d.ino;
		s->modes[s->count++] = d.mode;
		s->last = d.cookie;
	}
	assert_int_equal(len, 0);
	return true;
}

static struct seen *read_all(struct fsfix *f, uint64_t ino, size_t size)
{
	struct seen *s = mem_calloc(1, sizeof(*s));

	while (read_some(f, ino, size, s))
		;
	return s;
}

static size_t times_seen(const struct seen *s, const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < s->count; i++)
		n += strcmp(s->names[i], name) == 0;
	return n;
}

static void an_empty_directory_has_its_dots(void **state)
{
	struct fsfix *f = *state;
	uint64_t d = fsfix_dir(f, ROOT, "d");
	struct seen *s = read_all(f, d, 4096);

	assert_int_equal(s->count, 2);
	assert_string_equal(s->names[0], ".");
	assert_string_equal(s->names[1], "..");
	assert_int_equal(s->inos[0], d);
	assert_int_equal(s->inos[1], ROOT);
	assert_int_equal(s->modes[0], S_IFDIR);
	free(s);
}

static void types_and_inodes_are_right(void **state)
{
	struct fsfix *f = *state;
	uint64_t file = fsfix_file(f, ROOT, "file"), dir = fsfix_dir(f, ROOT, "dir");
	struct seen *s;

	assert_int_equal(fsfix_symlink(f, ROOT, "link", "t"), 0);
	s = read_all(f, ROOT, 4096);
	assert_int_equal(s->count, 5);
	assert_int_equal(s->modes[2], S_IFREG);
	assert_int_equal(s->inos[2], file);
	assert_int_equal(s->modes[3], S_IFDIR);
	assert_int_equal(s->inos[3], dir);
	assert_int_equal(s->modes[4], S_IFLNK);
	free(s);
}

static void every_buffer_size_gives_the_same_list(void **state)
{
	struct fsfix *f = *state;
	static const size_t sizes[] = { 40, 41, 64, 100, 1000, 4096, 100000 };
	char name[16];

	f->stack = 50;
	for (unsigned i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		fsfix_file(f, ROOT, name);
	}
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct seen *s = read_all(f, ROOT, sizes[i]);

		assert_int_equal(s->count, 202);
		for (unsigned n = 0; n < 200; n++) {
			snprintf(name, sizeof(name), "n%u", n);
			assert_string_equal(s->names[n + 2], name);
		}
		free(s);
	}
	assert_int_equal(readdir_op(f, ROOT, 0, 22), -EINVAL);
	assert_int_equal(readdir_op(f, ROOT, 0, 0), -EINVAL);
}

static void offsets_that_nobody_gave_are_harmless(void **state)
{
	struct fsfix *f = *state;
	static const uint64_t offsets[] = { INT64_MAX, UINT64_MAX, 1000000 };

	fsfix_file(f, ROOT, "f");
	for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
		assert_int_equal(readdir_op(f, ROOT, offsets[i], 4096), 0);
		assert_int_equal(f->reply.data_len, 0);
	}
}

/* Half is read, then every second name goes, others are renamed, and new ones come. */
static void a_reader_survives_others_changes(void **state)
{
	struct fsfix *f = *state;
	struct seen *s = mem_calloc(1, sizeof(*s));
	char name[24], to[24];

	f->stack = 7;
	for (unsigned i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "keep%u", i);
		fsfix_file(f, ROOT, name);
		snprintf(name, sizeof(name), "gone%u", i);
		fsfix_file(f, ROOT, name);
	}
	for (unsigned round = 0; read_some(f, ROOT, 1000, s); round++) {
		for (unsigned i = 0; i < 15 && round < 20; i++) {
			snprintf(name, sizeof(name), "gone%u", round * 15 + i);
			snprintf(to, sizeof(to), "new%u", round * 15 + i);
			if (i % 2)
				assert_int_equal(fsfix_unlink(f, ROOT, name), 0);
			else
				assert_int_equal(fsfix_rename(f, ROOT, name, ROOT, to, 0), 0);
		}
	}
	for (unsigned i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "keep%u", i);
		assert_int_equal(times_seen(s, name), 1);
		snprintf(name, sizeof(name), "gone%u", i);
		assert_true(times_seen(s, name) <= 1);
	}
	free(s);
}

static void a_replaced_name_is_met_once(void **state)
{
	struct fsfix *f = *state;
	struct seen *s = mem_calloc(1, sizeof(*s));
	uint64_t swapped;

	fsfix_file(f, ROOT, "target");
	swapped = fsfix_dir(f, ROOT, "other");
	fsfix_file(f, ROOT, "source");
	assert_true(read_some(f, ROOT, 23 + 24 + 28, s)); /* the dots and "target" */
	assert_int_equal(s->count, 3);
	assert_int_equal(fsfix_rename(f, ROOT, "source", ROOT, "target", 0), 0);
	assert_int_equal(fsfix_rename(f, ROOT, "target", ROOT, "other", RENAME_EXCHANGE), 0);
	while (read_some(f, ROOT, 4096, s))
		;
	assert_int_equal(times_seen(s, "target"), 1);
	assert_int_equal(times_seen(s, "other"), 1);
	assert_int_equal(times_seen(s, "source"), 0);
	assert_int_equal(s->modes[s->count - 1], S_IFREG);
	assert_int_equal(fsfix_lookup(f, ROOT, "target"), 0);
	assert_int_equal(f->reply.attr.ino, swapped);
	free(s);
}

static void a_name_made_again_gets_a_new_place(void **state)
{
	struct fsfix *f = *state;
	struct seen *s = mem_calloc(1, sizeof(*s));

	fsfix_file(f, ROOT, "a");
	fsfix_file(f, ROOT, "b");
	while (read_some(f, ROOT, 4096, s))
		;
	assert_int_equal(fsfix_unlink(f, ROOT, "a"), 0);
	fsfix_file(f, ROOT, "a");
	assert_true(read_some(f, ROOT, 4096, s));
	assert_int_equal(times_seen(s, "a"), 2);
	assert_int_equal(times_seen(s, "b"), 1);
	free(s);
}

static void a_large_directory_is_read_in_one_pass(void **state)
{
	struct fsfix *f = *state;
	uint64_t cookie = 0, last = 0, count = 0;
	char name[24];

	f->stack = 2000;
	for (unsigned i = 0; i < 20000; i++) {
		snprintf(name, sizeof(name), "entry%u", i);
		assert_int_equal(fsfix_symlink(f, ROOT, name, "t"), 0);
	}
	fsfix_apply(f);
	do {
		struct fs_dirent d;
		const uint8_t *data;
		size_t len;

		assert_int_equal(readdir_op(f, ROOT, cookie, 32768), 0);
		data = f->reply.data;
		len = f->reply.data_len;
		last = cookie;
		while (fs_dirent_next(&data, &len, &d)) {
			cookie = d.cookie;
			count++;
		}
	} while (cookie != last);
	assert_int_equal(count, 20002);
	assert_int_equal(fsfix_attr(f, ROOT).size, 20000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FSFIX_BOTH(an_empty_directory_has_its_dots),
		FSFIX_BOTH(types_and_inodes_are_right),
		FSFIX_BOTH(every_buffer_size_gives_the_same_list),
		FSFIX_BOTH(offsets_that_nobody_gave_are_harmless),
		FSFIX_BOTH(a_reader_survives_others_changes),
		FSFIX_BOTH(a_replaced_name_is_met_once),
		FSFIX_BOTH(a_name_made_again_gets_a_new_place),
		FSFIX_BOTH(a_large_directory_is_read_in_one_pass),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
