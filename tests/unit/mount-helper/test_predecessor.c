/* test_predecessor.c - what a mount remembers of the one before it. */
#include <fcntl.h>
#include <unistd.h>

#include "base/io.h"
#include "mount-helper/predecessor.h"
#include "tests/lib/unit.h"

struct fixture {
	char folder[64];
	uint8_t name[FS_SESSION_NAME_SIZE];
	char path[128]; /* of the only file */
};

static int set_up(void **state)
{
	struct fixture *f = mem_calloc(1, sizeof(*f));

	snprintf(f->folder, sizeof(f->folder), "/tmp/predecessor-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	for (size_t i = 0; i < sizeof(f->name); i++)
		f->name[i] = (uint8_t)(i + 1);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(io_remove_tree(AT_FDCWD, f->folder), 0);
	free(f);
	return 0;
}

/* As a mount of /m that was killed leaves it; its file's path goes to f->path. */
static void leave_one(struct fixture *f)
{
	struct predecessor *p = predecessor_open(f->folder, "/m");

	predecessor_set(p, f->name);
	predecessor_close(p, true);

	FILE *find = popen("ls -d /tmp/predecessor-*/*.session", "r");
	bool mine = false;

	while (!mine && fgets(f->path, sizeof(f->path), find))
		mine = strncmp(f->path, f->folder, strlen(f->folder)) == 0;
	pclose(find);
	assert_true(mine);
	f->path[strcspn(f->path, "\n")] = '\0';
}

static bool finds(const struct fixture *f, const char *target, uint8_t *name)
{
	struct predecessor *p = predecessor_open(f->folder, target);
	bool found = predecessor_get(p, name);

	assert_non_null(p);
	predecessor_close(p, true);
	return found;
}

static void a_killed_mount_is_remembered(void **state)
{
	struct fixture *f = *state;
	uint8_t name[FS_SESSION_NAME_SIZE];

	assert_false(finds(f, "/m", name));
	leave_one(f);
	assert_true(finds(f, "/m", name));
	assert_memory_equal(name, f->name, sizeof(name));
	assert_false(finds(f, "/other", name));
}

static void a_clean_end_leaves_nothing(void **state)
{
	struct fixture *f = *state;

	leave_one(f);
	predecessor_close(predecessor_open(f->folder, "/m"), false);
	assert_int_equal(access(f->path, F_OK), -1);
}

static void a_living_one_is_left_alone(void **state)
{
	struct fixture *f = *state;
	struct predecessor *living = predecessor_open(f->folder, "/m");
	uint8_t name[FS_SESSION_NAME_SIZE];

	predecessor_set(living, f->name);
	assert_null(predecessor_open(f->folder, "/m"));
	predecessor_set(NULL, f->name);
	assert_false(predecessor_get(NULL, name));
	predecessor_close(NULL, false);
	predecessor_close(living, true);
	assert_true(finds(f, "/m", name));
}

static void no_place_is_no_error(void **state)
{
	assert_null(predecessor_open(NULL, "/m"));
	assert_null(predecessor_open("/proc/none", "/m"));
}

/* Each byte changed, each length cut: never a session that nobody had. */
static void damage_names_no_session(void **state)
{
	struct fixture *f = *state;
	uint8_t whole[256], name[FS_SESSION_NAME_SIZE];
	ssize_t len;
	int fd;

	leave_one(f);
	fd = open(f->path, O_RDWR | O_CLOEXEC);
	len = read(fd, whole, sizeof(whole));
	assert_int_equal(len, 1 + FS_SESSION_NAME_SIZE + 2 + 2 + 8);
	for (ssize_t i = 0; i < len; i++) {
		uint8_t bad = whole[i] ^ 0x10;

		assert_int_equal(pwrite(fd, &bad, 1, i), 1);
		assert_false(finds(f, "/m", name));
		assert_int_equal(pwrite(fd, whole, (size_t)len, 0), len);
		assert_int_equal(ftruncate(fd, i), 0);
		assert_false(finds(f, "/m", name));
		assert_int_equal(pwrite(fd, whole, (size_t)len, 0), len);
	}
	assert_int_equal(pwrite(fd, "x", 1, len), 1);
	assert_false(finds(f, "/m", name));
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_killed_mount_is_remembered, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_clean_end_leaves_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_living_one_is_left_alone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(no_place_is_no_error, set_up, tear_down),
		cmocka_unit_test_setup_teardown(damage_names_no_session, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("mount-helper/predecessor", tests, NULL, NULL);
}
