/* test_lcache.c - what a mount remembers, and when it is not to be relied on. */
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/fuse/lcache.h"
#include "fs/ops/key.h"
#include "tests/lib/unit.h"

static uint64_t now_ns;

static uint64_t test_ns(void)
{
	return now_ns;
}

struct fixture {
	struct fs_board *board;
	struct lcache cache;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct err err = ERR_INIT;

	now_ns = 1000;
	f->board = fs_board_new(10, NULL, &err);
	fs_board_own(f->board);
	fs_board_set_until(f->board, 2000);
	lcache_init(&f->cache, 8, test_ns);
	assert_null(lcache_set_board(&f->cache, f->board));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	lcache_release(&f->cache);
	fs_board_disown(f->board);
	fs_board_close(f->board);
	free(f);
	return 0;
}

/* What an entry with this index puts. */
static void put_inode(struct fixture *f, uint64_t ino, uint64_t index)
{
	struct key k;

	key_ino(&k, KEY_INODE, ino);
	fs_board_note(f->board, &(struct kv_mutation){ .type = KV_PUT, .key = k.data, .key_len = k.len }, index);
}

static void put_name(struct fixture *f, uint64_t parent, const char *name, uint64_t index)
{
	struct key k;

	key_ino_name(&k, KEY_DENTRY, parent, name, strlen(name));
	fs_board_note(f->board, &(struct kv_mutation){ .type = KV_DELETE, .key = k.data, .key_len = k.len }, index);
}

static void learn(struct fixture *f, uint8_t op, uint64_t ino, const char *name, uint64_t found, uint64_t index)
{
	struct fs_request rq = { .op = op, .ino = ino, .name = name, .name_len = name ? strlen(name) : 0 };
	struct fs_reply reply = { .has_attr = found != 0, .attr = { .ino = found, .mode = S_IFREG }, .index = index };

	lcache_learn(&f->cache, &rq, found ? 0 : -ENOENT, &reply);
}

static bool knows(struct fixture *f, uint64_t ino)
{
	struct fs_attr attr;

	return lcache_attr(&f->cache, ino, &attr);
}

static int finds(struct fixture *f, uint64_t parent, const char *name)
{
	struct fs_attr attr;

	return lcache_lookup(&f->cache, parent, name, strlen(name), &attr);
}

static void what_was_read_is_known_until_it_changes(void **state)
{
	struct fixture *f = *state;

	assert_false(knows(f, 5));
	learn(f, FS_GETATTR, 5, NULL, 5, 10);
	assert_true(knows(f, 5));
	assert_false(knows(f, 6));
	put_inode(f, 5, 11);
	assert_false(knows(f, 5));
	/* Older than what is under way: not to be shown again. */
	learn(f, FS_GETATTR, 5, NULL, 5, 10);
	assert_false(knows(f, 5));
	learn(f, FS_GETATTR, 5, NULL, 5, 11);
	assert_true(knows(f, 5));
}

static void names_that_are_not_there_are_known_too(void **state)
{
	struct fixture *f = *state;

	learn(f, FS_LOOKUP, 1, "a", 0, 10);
	learn(f, FS_LOOKUP, 1, "b", 7, 10);
	assert_int_equal(finds(f, 1, "a"), -ENOENT);
	assert_int_equal(finds(f, 1, "b"), 0);
	assert_int_equal(finds(f, 2, "a"), -EAGAIN);
	put_name(f, 1, "a", 11);
	assert_int_equal(finds(f, 1, "a"), -EAGAIN);
	put_inode(f, 7, 11);
	assert_int_equal(finds(f, 1, "b"), -EAGAIN);
}

static void nothing_is_known_without_a_lease(void **state)
{
	struct fixture *f = *state;

	learn(f, FS_GETATTR, 5, NULL, 5, 10);
	now_ns = 2000;
	assert_false(knows(f, 5));
	fs_board_set_until(f->board, 3000);
	assert_true(knows(f, 5));
	fs_board_set_until(f->board, 0);
	assert_false(knows(f, 5));
}

static void errors_dots_and_the_unknown_teach_nothing(void **state)
{
	struct fixture *f = *state;
	struct fs_request rq = { .op = FS_GETATTR, .ino = 5 };
	struct fs_reply reply = { .has_attr = true, .attr = { .ino = 5 }, .index = 0 };

	lcache_learn(&f->cache, &rq, 0, &reply);
	reply.index = 10;
	lcache_learn(&f->cache, &rq, -EIO, &reply);
	rq.checked = true;
	lcache_learn(&f->cache, &rq, 0, &reply);
	assert_false(knows(f, 5));
	learn(f, FS_LOOKUP, 1, "..", 1, 10);
	learn(f, FS_LOOKUP, 1, ".", 1, 10);
	assert_int_equal(finds(f, 1, ".."), -EAGAIN);
	assert_int_equal(finds(f, 1, "."), -EAGAIN);
}

static void make_dir(struct fixture *f, uint64_t ino, uint64_t index)
{
	struct fs_request rq = { .op = FS_MKDIR, .ino = 1, .name = "dir", .name_len = 3 };
	struct fs_reply reply = { .has_attr = true,
				  .attr = { .ino = ino, .mode = S_IFDIR, .data_version = 1 },
				  .index = index };

	put_name(f, 1, "dir", index);
	put_inode(f, ino, index);
	lcache_learn(&f->cache, &rq, 0, &reply);
}

static void create(struct fixture *f, uint64_t dir, const char *name, uint64_t ino, uint64_t version, uint64_t index)
{
	struct fs_request rq = { .op = FS_CREATE, .ino = dir, .name = name, .name_len = strlen(name) };
	struct fs_reply reply = { .has_attr = true,
				  .attr = { .ino = ino, .mode = S_IFREG },
				  .has_dir = true,
				  .dir = { .ino = dir, .mode = S_IFDIR, .data_version = version },
				  .index = index };

	put_name(f, dir, name, index);
	put_inode(f, ino, index);
	put_inode(f, dir, index);
	lcache_learn(&f->cache, &rq, 0, &reply);
}

static void a_directory_made_here_is_known_as_a_whole(void **state)
{
	struct fixture *f = *state;

	make_dir(f, 20, 11);
	assert_int_equal(finds(f, 20, "a"), -ENOENT);
	create(f, 20, "a", 21, 2, 12);
	assert_int_equal(finds(f, 20, "a"), 0);
	assert_int_equal(finds(f, 20, "b"), -ENOENT);
	/* Somebody else makes b. */
	put_name(f, 20, "b", 13);
	put_inode(f, 20, 13);
	assert_int_equal(finds(f, 20, "b"), -EAGAIN);
	assert_int_equal(finds(f, 20, "c"), -EAGAIN);
	/* Our next name does not make us know it. */
	create(f, 20, "d", 22, 4, 14);
	assert_int_equal(finds(f, 20, "b"), -EAGAIN);
	assert_int_equal(finds(f, 20, "c"), -EAGAIN);
	assert_int_equal(finds(f, 20, "d"), 0);
}

static void a_forgotten_name_ends_the_whole(void **state)
{
	struct fixture *f = *state;
	char name[8];

	make_dir(f, 20, 11);
	create(f, 20, "first", 21, 2, 12);
	for (unsigned i = 0; i < 8; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		learn(f, FS_LOOKUP, 1, name, 0, 12);
	}
	assert_int_equal(finds(f, 20, "first"), -EAGAIN);
	assert_int_equal(finds(f, 20, "second"), -EAGAIN);
}

/* Its slot moved before the answer was taken in: nobody knows whether the name is there, least of all we. */
static void a_name_that_was_overtaken_is_not_absent(void **state)
{
	struct fixture *f = *state;
	struct fs_request rq = { .op = FS_CREATE, .ino = 20, .name = "a", .name_len = 1 };
	struct fs_reply reply = { .has_attr = true,
				  .attr = { .ino = 21, .mode = S_IFREG },
				  .has_dir = true,
				  .dir = { .ino = 20, .mode = S_IFDIR, .data_version = 2 },
				  .index = 12 };

	make_dir(f, 20, 11);
	put_inode(f, 20, 12);
	put_name(f, 20, "a", 15); /* or another name with the same slot */
	lcache_learn(&f->cache, &rq, 0, &reply);
	assert_int_equal(finds(f, 20, "a"), -EAGAIN);
	assert_int_equal(finds(f, 20, "b"), -ENOENT);
}

static void a_rename_moves_what_is_known(void **state)
{
	struct fixture *f = *state;
	struct fs_request rq = { .op = FS_RENAME, .ino = 1, .name = "a", .name_len = 1,
				 .ino2 = 1, .name2 = "b", .name2_len = 1 };
	struct fs_reply reply = { .has_attr = true, .attr = { .ino = 5 }, .index = 11 };

	learn(f, FS_LOOKUP, 1, "a", 5, 10);
	put_name(f, 1, "a", 11);
	put_name(f, 1, "b", 11);
	put_inode(f, 5, 11);
	lcache_learn(&f->cache, &rq, 0, &reply);
	assert_int_equal(finds(f, 1, "a"), -ENOENT);
	assert_int_equal(finds(f, 1, "b"), 0);
}

/* The next process of a node writes to another board; this one must not be believed for a moment longer. */
static void a_board_whose_owner_died_says_nothing(void **state)
{
	struct fs_board *board, *mine = NULL;
	struct err err = ERR_INIT;
	int fd, go[2], status;
	char c = 0;
	pid_t pid;

	(void)state;
	now_ns = 1000;
	board = fs_board_new(10, &fd, &err);
	assert_non_null(board);
	assert_int_equal(pipe(go), 0);
	pid = fork();
	if (pid == 0) {
		fs_board_own(board);
		fs_board_set_until(board, 2000);
		c = 1;
		if (write(go[1], &c, 1) == 1)
			pause();
		_exit(0);
	}
	assert_int_equal(read(go[0], &c, 1), 1);
	assert_int_equal(fs_board_open(pid, fd, board->nonce + 1, &mine), -ESTALE);
	assert_int_equal(fs_board_open(pid, fd, board->nonce, &mine), 0);
	assert_true(fs_board_speaks(mine, test_ns));
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_false(fs_board_speaks(mine, test_ns));
	assert_false(fs_board_speaks(mine, test_ns));
	fs_board_close(mine);
	fs_board_close(board);
	close(fd);
	close(go[0]);
	close(go[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_was_read_is_known_until_it_changes, setup, teardown),
		cmocka_unit_test_setup_teardown(names_that_are_not_there_are_known_too, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_is_known_without_a_lease, setup, teardown),
		cmocka_unit_test_setup_teardown(errors_dots_and_the_unknown_teach_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(a_directory_made_here_is_known_as_a_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(a_forgotten_name_ends_the_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(a_name_that_was_overtaken_is_not_absent, setup, teardown),
		cmocka_unit_test_setup_teardown(a_rename_moves_what_is_known, setup, teardown),
		cmocka_unit_test(a_board_whose_owner_died_says_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
