/* test_floor.c - the floor beside a state: its format, when it is written, what it does to the WAL. */
#include "store/floor.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "tests/lib/unit.h"

struct fixture {
	char dir[64];
};

static int set_up(void **state)
{
	struct fixture *f = mem_calloc(1, sizeof(*f));

	snprintf(f->dir, sizeof(f->dir), "/tmp/floor-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(io_remove_tree(AT_FDCWD, f->dir), 0);
	free(f);
	return 0;
}

static void put_file(const struct fixture *f, const char *name, const void *data, size_t len)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(io_pwrite_all(fd, data, len, 0), 0);
	close(fd);
}

static bool there(const struct fixture *f, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	return access(path, F_OK) == 0;
}

static void any_changed_bit_is_told(void **state)
{
	uint8_t copy[FLOOR_COPY_SIZE], again[FLOOR_COPY_SIZE];
	uint64_t index = 0;

	(void)state;
	floor_encode(0x1122334455667788, copy);
	assert_int_equal(floor_decode(copy, &index), 0);
	assert_true(index == 0x1122334455667788);
	for (size_t bit = 0; bit < 8 * sizeof(copy); bit++) {
		memcpy(again, copy, sizeof(copy));
		again[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(floor_decode(again, &index), -EUCLEAN);
	}
	memset(again, 0, sizeof(again));
	assert_int_equal(floor_decode(again, &index), -ENODATA);
}

static void it_rises_and_is_there_at_the_next_start(void **state)
{
	struct fixture *f = *state;
	struct floor floor;

	assert_int_equal(floor_open(&floor, f->dir), 0);
	assert_int_equal(floor.index, 0);
	assert_int_equal(floor_raise(&floor, 5), 0); /* no WAL: nothing can be lost */
	assert_false(there(f, "floor"));
	put_file(f, "state.db-wal", "frames", 6);
	assert_int_equal(floor_raise(&floor, 5), 0);
	assert_int_equal(floor_raise(&floor, 4), 0);
	assert_int_equal(floor.index, 5);
	floor_close(&floor);
	assert_int_equal(floor_open(&floor, f->dir), 0);
	assert_int_equal(floor.index, 5);
	floor_close(&floor);
	assert_int_equal(floor_open(&floor, "/tmp/there/is/none"), -ENOENT);
}

/* The second sync of the same file would succeed: what the first one failed to write counts as clean. */
static void a_wal_that_could_not_be_synced_is_not_trusted_again(void **state)
{
	struct fixture *f = *state;
	struct floor floor;
	int pipes[2], good;

	put_file(f, "state.db-wal", "frames", 6);
	assert_int_equal(floor_open(&floor, f->dir), 0);
	assert_int_equal(floor_raise(&floor, 5), 0);
	assert_int_equal(pipe(pipes), 0);
	good = dup(floor.wal_fd);
	assert_true(good >= 0 && dup2(pipes[1], floor.wal_fd) >= 0); /* fdatasync(2) of it fails */
	assert_int_equal(floor_raise(&floor, 8), -EIO);
	assert_true(dup2(good, floor.wal_fd) >= 0);
	assert_int_equal(floor_raise(&floor, 11), -EIO);
	assert_int_equal(floor.index, 5);
	for (size_t i = 0; i < 2; i++)
		close(pipes[i]);
	close(good);
	floor_close(&floor);
	assert_int_equal(floor_open(&floor, f->dir), 0);
	assert_int_equal(floor.index, 5);
	assert_int_equal(floor_raise(&floor, 11), 0);
	floor_close(&floor);
}

static void of_two_copies_the_higher_counts(void **state)
{
	struct fixture *f = *state;
	uint8_t copies[FLOOR_SIZE];
	struct floor floor;

	floor_encode(7, copies);
	floor_encode(9, copies + FLOOR_COPY_SIZE);
	put_file(f, "floor", copies, sizeof(copies));
	assert_int_equal(floor_open(&floor, f->dir), 0);
	assert_int_equal(floor.index, 9);
	floor_close(&floor);
	copies[FLOOR_COPY_SIZE + 20] ^= 1; /* the write of it was torn */
	put_file(f, "floor", copies, sizeof(copies));
	assert_int_equal(floor_open(&floor, f->dir), 0);
	assert_int_equal(floor.index, 7);
	floor_close(&floor);
	put_file(f, "floor", copies, 100); /* the file was being made */
	assert_int_equal(floor_open(&floor, f->dir), 0);
	assert_int_equal(floor.index, 0);
	floor_close(&floor);
	memset(copies, 'x', FLOOR_COPY_SIZE);
	put_file(f, "floor", copies, sizeof(copies));
	assert_int_equal(floor_open(&floor, f->dir), -EUCLEAN);
}

/* What it writes again is what was there, whatever its length. */
static void the_wal_stays_as_it_is(void **state)
{
	struct fixture *f = *state;
	size_t len = (1u << 20) + 4321;
	uint8_t *data = mem_alloc(len);
	struct buf now = BUF_INIT;
	struct floor floor;
	char path[128];

	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(i * 31 >> 3);
	put_file(f, "state.db-wal", data, len);
	assert_int_equal(floor_open(&floor, f->dir), 0);
	floor_close(&floor);
	snprintf(path, sizeof(path), "%s/state.db-wal", f->dir);
	assert_int_equal(io_read_file(AT_FDCWD, path, &now), 0);
	assert_int_equal(now.len, len);
	assert_memory_equal(now.data, data, len);
	buf_release(&now);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_changed_bit_is_told),
		cmocka_unit_test_setup_teardown(it_rises_and_is_there_at_the_next_start, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_wal_that_could_not_be_synced_is_not_trusted_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(of_two_copies_the_higher_counts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_wal_stays_as_it_is, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("store/floor", tests, NULL, NULL);
}
