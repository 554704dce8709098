/* test_state_sqlite.c - what only the SQLite backend owes: durability, damage found, equal replicas. */
#include "kv_rig.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* ---- creating and opening ---- */

static void a_state_is_created_once_and_opened_where_it_is(void **state)
{
	struct kv_rig *rig = *state;
	struct kv_meta meta = rig_meta();
	struct err err = ERR_INIT;
	struct kv *kv = NULL;
	char path[128];

	assert_int_equal(kv_create_sqlite(rig->dir, &meta, &err), -EEXIST);
	assert_non_null(strstr(err.text, rig->dir));
	snprintf(path, sizeof(path), "%s/none", rig->base);
	assert_int_equal(kv_open_sqlite(path, &kv, &err), -ENOENT);
	assert_null(kv);
	assert_int_equal(access(path, F_OK), -1);
}

static void what_is_no_state_is_refused(void **state)
{
	struct kv_rig *rig = *state;
	struct err err = ERR_INIT;
	char path[160], dir[128];
	struct kv *kv = NULL;
	sqlite3 *db;
	int fd;

	snprintf(dir, sizeof(dir), "%s/junk", rig->base);
	assert_int_equal(io_mkdir_p(dir, 0700), 0);
	snprintf(path, sizeof(path), "%s/" STATE_DB_NAME, dir);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(io_write_all(fd, "this is not a database", 22), 0);
	close(fd);
	assert_int_equal(kv_open_sqlite(dir, &kv, &err), -EUCLEAN);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "CREATE TABLE t(a)", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(kv_open_sqlite(dir, &kv, &err), -EUCLEAN);
	assert_null(kv);
}

static void an_unfinished_creation_is_taken_up_again(void **state)
{
	struct kv_rig *rig = *state;
	struct kv_meta meta = rig_meta();
	struct kv *kv;
	char path[160], dir[128];
	int fd;

	snprintf(dir, sizeof(dir), "%s/half", rig->base);
	assert_int_equal(io_mkdir_p(dir, 0700), 0);
	snprintf(path, sizeof(path), "%s/" STATE_DB_NAME ".new", dir);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_int_equal(io_write_all(fd, "half", 4), 0);
	close(fd);
	assert_int_equal(kv_open_sqlite(dir, &kv, NULL), -ENOENT);
	assert_int_equal(kv_create_sqlite(dir, &meta, NULL), 0);
	assert_int_equal(kv_open_sqlite(dir, &kv, NULL), 0);
	kv_unref(kv);
}

static void everything_is_there_after_reopening(void **state)
{
	struct kv_rig *rig = *state;
	uint8_t digest[KV_DIGEST_SIZE];
	struct kv_txn *t;
	char got[4];

	rig_put(rig, "a", "1");
	rig_write(rig, 5, 100000, "data", 4);
	rig_check_digest(rig->view, digest);
	rig_close(rig);
	rig_open(rig);
	assert_int_equal(kv_view_meta(rig->view)->applied_index, 3);
	assert_memory_equal(kv_view_meta(rig->view)->digest, digest, sizeof(digest));
	rig_check_digest(rig->view, NULL);
	t = kv_txn_new(rig->view, NULL);
	rig_assert_value(t, "a", "1");
	assert_int_equal(kv_txn_read(t, 5, 100000, got, 4), 0);
	assert_memory_equal(got, "data", 4);
	kv_txn_free(t);
	rig_put(rig, "b", "2");
}

/* ---- kill ---- */

/* Entry i writes the same number to a row, to another row, and into a block. */
static void apply_forever(const char *dir, size_t run_length)
{
	struct raft_entry run[8] = { { .index = 0 } };
	struct kv_meta at;
	struct kv *kv;
	uint64_t durable;

	if (kv_open_sqlite(dir, &kv, NULL) < 0)
		_exit(1);
	at = kv->meta;
	for (uint64_t index = at.applied_index + 1;; index += run_length) {
		for (size_t i = 0; i < run_length; i++) {
			struct kv_batch_head head = { .group = RIG_GROUP,
						      .prev_index = index + i - 1,
						      .prev_term = 1 };
			uint64_t n = index + i;
			struct kv_view *view;
			struct kv_txn *t;

			if (kv_view_open(kv, &view, NULL) < 0)
				_exit(1);
			t = kv_txn_new(view, NULL);
			kv_txn_put(t, "a", 1, &n, sizeof(n));
			kv_txn_put(t, "b", 1, &n, sizeof(n));
			kv_txn_write(t, 1, (n % 50) * 5000, &n, sizeof(n));
			run[i] = (struct raft_entry){ .index = n,
						      .term = 1,
						      .type = RAFT_ENTRY_NORMAL,
						      .data = kv_txn_batch(t, &head) };
			kv_txn_free(t);
			kv_view_close(view);
		}
		if (kv_apply(kv, run, run_length, NULL) < 0)
			_exit(2);
		for (size_t i = 0; i < run_length; i++)
			blob_unref(run[i].data);
		if (index % 5 == 0 && kv_checkpoint(kv, &durable, NULL) < 0)
			_exit(3);
	}
}

static void assert_whole_entry(struct kv_rig *rig, uint64_t *applied)
{
	const struct kv_meta *meta = kv_view_meta(rig->view);
	struct kv_txn *t = kv_txn_new(rig->view, NULL);
	uint64_t n = meta->applied_index, got = 0;
	struct buf a = BUF_INIT, b = BUF_INIT;

	assert_true(n >= *applied);
	*applied = n;
	rig_check_digest(rig->view, NULL);
	if (n > 1) {
		assert_int_equal(kv_txn_get(t, "a", 1, &a), 0);
		assert_int_equal(kv_txn_get(t, "b", 1, &b), 0);
		assert_memory_equal(a.data, &n, sizeof(n));
		assert_memory_equal(b.data, &n, sizeof(n));
		assert_int_equal(kv_txn_read(t, 1, (n % 50) * 5000, &got, sizeof(got)), 0);
		assert_int_equal(got, n);
	}
	kv_txn_free(t);
	buf_release(&a);
	buf_release(&b);
}

static void a_kill_leaves_a_whole_entry(void **state)
{
	struct kv_rig *rig = *state;
	uint64_t applied = 1;
	struct prng p;

	prng_init(&p, 9);
	for (int round = 0; round < 12; round++) {
		pid_t pid;
		int status;

		rig_close(rig);
		pid = fork();
		if (pid == 0)
			apply_forever(rig->dir, 1 + (size_t)round % 4);
		assert_true(pid > 0);
		usleep(20000 + (useconds_t)prng_below(&p, 60000));
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		rig_open(rig);
		assert_whole_entry(rig, &applied);
	}
	assert_true(applied > 100);
}

/* ---- damage ---- */

/* Flips a bit behind the only place in the file that holds these bytes. */
static void flip_after(const struct kv_rig *rig, const char *bytes, size_t skip)
{
	char *path = state_sqlite_path(rig->dir);
	struct buf file = BUF_INIT;
	uint8_t *at;
	int fd;

	assert_int_equal(io_read_file(AT_FDCWD, path, &file), 0);
	at = memmem(file.data, file.len, bytes, strlen(bytes));
	assert_non_null(at);
	at[skip] ^= 4;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(io_pwrite_all(fd, at + skip, 1, at + skip - file.data), 0);
	close(fd);
	buf_release(&file);
	free(path);
}

static void a_flipped_bit_in_a_block_is_found(void **state)
{
	struct kv_rig *rig = *state;
	uint8_t *data = mem_alloc(KV_BLOCK_SIZE), found[KV_DIGEST_SIZE];
	struct kv_txn *t;

	memset(data, 'x', KV_BLOCK_SIZE);
	memcpy(data + 3 * KV_PIECE_SIZE / 2, "needle in piece one", 19);
	rig_write(rig, 5, 0, data, KV_BLOCK_SIZE);
	rig_close(rig);
	flip_after(rig, "needle in piece one", 3);
	rig_open(rig);
	t = kv_txn_new(rig->view, NULL);
	assert_int_equal(kv_txn_read(t, 5, KV_PIECE_SIZE, data, 1), -EUCLEAN);
	assert_int_equal(kv_txn_read(t, 5, 0, data, KV_PIECE_SIZE), 0);
	assert_int_equal(kv_txn_read(t, 5, KV_PIECE_SIZE - 1, data, 2), -EUCLEAN);
	kv_txn_free(t);
	assert_int_equal(kv_view_digest(rig->view, found, NULL), -EUCLEAN);
	/* A patch of that piece must not give it a fresh sum, a patch of another one may go on. */
	t = kv_txn_new(rig->view, NULL);
	kv_txn_write(t, 5, KV_PIECE_SIZE + 1, "y", 1);
	assert_int_equal(rig_apply_txn(rig, t), -EUCLEAN);
	rig_write(rig, 5, 1, "y", 1);
	/* A whole block reads nothing of the old one and mends it. */
	memset(data, 'z', KV_BLOCK_SIZE);
	rig_write(rig, 5, 0, data, KV_BLOCK_SIZE);
	rig_check_digest(rig->view, NULL);
	free(data);
}

static void a_flipped_bit_in_a_row_is_found(void **state)
{
	struct kv_rig *rig = *state;
	uint8_t found[KV_DIGEST_SIZE];
	struct kv_txn *t;

	rig_put(rig, "key", "value with a needle");
	rig_close(rig);
	flip_after(rig, "a needle", 4);
	rig_open(rig);
	t = kv_txn_new(rig->view, NULL);
	assert_int_equal(kv_txn_get(t, "key", 3, NULL), -EUCLEAN);
	kv_txn_put(t, "key", 3, "new", 3);
	assert_int_equal(kv_view_digest(rig->view, found, NULL), -EUCLEAN);
	assert_int_equal(rig_apply_txn(rig, t), -EUCLEAN);
}

static void a_damaged_meta_row_is_refused(void **state)
{
	struct kv_rig *rig = *state;
	struct err err = ERR_INIT;
	char cluster[17];
	struct kv *kv;

	memset(cluster, 0xc1, 16);
	cluster[16] = '\0';
	rig_close(rig);
	flip_after(rig, cluster, 30);
	assert_int_equal(kv_open_sqlite(rig->dir, &kv, &err), -EUCLEAN);
	flip_after(rig, cluster, 30);
	rig_open(rig);
}

/* ---- checkpoints ---- */

static void durable_follows_complete_checkpoints_only(void **state)
{
	struct kv_rig *rig = *state;
	struct kv_view *pin;
	uint64_t durable = 0, small, grown;
	char key[16];

	assert_int_equal(kv_checkpoint(rig->kv, &durable, NULL), 0);
	assert_int_equal(durable, 1);
	rig_put(rig, "a", "1");
	kv_view_unpin(rig->view);
	assert_int_equal(kv_checkpoint(rig->kv, &durable, NULL), 0);
	assert_int_equal(durable, 2);
	assert_int_equal(kv_wal_bytes(rig->kv), 0);
	assert_int_equal(kv_view_refresh(rig->view), 0);
	rig_put(rig, "a", "2");
	small = kv_wal_bytes(rig->kv);
	assert_true(small > 0);
	kv_view_unpin(rig->view);

	/* A reader pinned in the middle: the checkpoint stops there and says so, the WAL grows. */
	assert_int_equal(kv_view_open(rig->kv, &pin, NULL), 0);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(kv_view_refresh(rig->view), 0);
		snprintf(key, sizeof(key), "k%d", i);
		rig_put(rig, key, "v");
	}
	kv_view_unpin(rig->view);
	assert_int_equal(kv_checkpoint(rig->kv, &durable, NULL), 0);
	assert_int_equal(durable, 2);
	grown = kv_wal_bytes(rig->kv);
	assert_true(grown > 50 * small);
	kv_view_close(pin);
	assert_int_equal(kv_checkpoint(rig->kv, &durable, NULL), 0);
	assert_int_equal(durable, rig->index);
	assert_int_equal(kv_view_refresh(rig->view), 0);
	rig_put(rig, "a", "3");
	assert_true(kv_wal_bytes(rig->kv) < grown / 10);
}

/* Frames that a complete checkpoint could not take out of the file are seen with the next commit. */
static void a_wal_that_readers_keep_from_starting_anew_shows(void **state)
{
	struct kv_rig *rig = *state;
	struct kv_view *pin;
	uint64_t durable, before;
	char key[16];

	for (int i = 0; i < 50; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		rig_put(rig, key, "v");
	}
	before = kv_wal_bytes(rig->kv);
	kv_view_unpin(rig->view);
	assert_int_equal(kv_view_open(rig->kv, &pin, NULL), 0);
	assert_int_equal(kv_checkpoint(rig->kv, &durable, NULL), 0);
	assert_int_equal(durable, rig->index);
	assert_int_equal(kv_view_refresh(rig->view), 0);
	rig_put(rig, "a", "1");
	assert_true(kv_wal_bytes(rig->kv) > before);
	kv_view_close(pin);
}

/* What block_capacity() and the form of the UPDATE are for: neither a patch nor an append in a block
 * rewrites the row. A page of data may straddle two, beside the leaf and the meta row. */
static void a_patch_and_an_append_write_few_pages(void **state)
{
	struct kv_rig *rig = *state;
	uint8_t *data = mem_calloc(1, KV_BLOCK_SIZE);
	const uint64_t page = STATE_PAGE_SIZE + 24;
	uint64_t before;

	rig_write(rig, 5, 0, data, KV_BLOCK_SIZE);
	rig_write(rig, 6, 0, data, 20000);
	memset(data, 'p', KV_PIECE_SIZE);
	before = kv_wal_bytes(rig->kv);
	rig_write(rig, 5, (uint64_t)3 * KV_PIECE_SIZE, data, KV_PIECE_SIZE);
	assert_true(kv_wal_bytes(rig->kv) - before <= 4 * page);
	before = kv_wal_bytes(rig->kv);
	rig_write(rig, 6, 20000, data, 100);
	assert_true(kv_wal_bytes(rig->kv) - before <= 4 * page);
	rig_check_digest(rig->view, NULL);
	free(data);
}

static void size_counts_pages_in_use(void **state)
{
	struct kv_rig *rig = *state;
	uint8_t *data = mem_calloc(16, KV_BLOCK_SIZE);
	uint64_t empty = kv_size_bytes(rig->kv), full;
	struct kv_txn *t;

	rig_write(rig, 5, 0, data, 16 * (size_t)KV_BLOCK_SIZE);
	full = kv_size_bytes(rig->kv);
	assert_true(full >= empty + 16 * (size_t)KV_BLOCK_SIZE);
	t = kv_txn_new(rig->view, NULL);
	kv_txn_drop_blocks(t, 5, 0, 16);
	assert_int_equal(rig_apply_txn(rig, t), 0);
	assert_true(kv_size_bytes(rig->kv) < empty + full / 10);
	free(data);
}

/* ---- replicas ---- */

struct history {
	struct raft_entry entries[300];
	size_t count;
};

/* Makes entries on a scratch memory kv, so that heads are right. */
static void make_history(struct history *h, uint64_t seed)
{
	static const uint8_t zeros[3 * KV_BLOCK_SIZE];
	struct kv_rig rig;
	struct prng p;
	uint64_t id[3] = { 0 };

	prng_init(&p, seed);
	rig_start(&rig, false);
	for (h->count = 0; h->count < ARRAY_SIZE(h->entries); h->count++) {
		uint64_t who = prng_below(&p, 3);
		struct kv_batch_head head;
		struct kv_session_end end = { .session_id = id[who] };
		struct buf ends = BUF_INIT;
		struct kv_txn *t = kv_txn_new(rig.view, NULL);
		struct blob *b;
		char key[16];

		rig.session_id = prng_below(&p, 10) ? id[who] : 0;
		rig.stamp = rig.index;
		head = rig_session_head(&rig, (uint8_t)who, rig.index, 1, "reply");
		if (head.begins && id[who]) { /* one after the other, under the same name */
			memset(end.uuid, (int)who, sizeof(end.uuid));
			kv_session_end_encode(&end, &ends);
			head.ends = ends.data;
			head.end_count = 1;
		}
		id[who] = head.session_id;
		head.log_ms = 1000 * rig.index;
		head.low = rig.index > 20 ? rig.index - 20 : 1;
		for (uint64_t n = prng_below(&p, 6); n > 0; n--) {
			snprintf(key, sizeof(key), "k%d", (int)prng_below(&p, 60));
			if (prng_below(&p, 4) == 0)
				kv_txn_delete(t, key, strlen(key));
			else
				kv_txn_put(t, key, strlen(key), zeros, prng_below(&p, 3000));
		}
		uint64_t ino = prng_below(&p, 3), off = prng_below(&p, 200000);
		if (prng_below(&p, 3) == 0)
			kv_txn_punch(t, ino, off, prng_below(&p, 100000));
		else
			kv_txn_write(t, ino, off, zeros, prng_below(&p, sizeof(zeros)));
		b = kv_txn_batch(t, &head);
		kv_txn_free(t);
		buf_release(&ends);
		h->entries[h->count] = (struct raft_entry){ .index = rig.index + 1,
							    .term = 1,
							    .type = RAFT_ENTRY_NORMAL,
							    .data = blob_ref(b) };
		assert_int_equal(rig_apply_batch(&rig, b), 0);
	}
	rig_stop(&rig);
}

static void history_release(struct history *h)
{
	for (size_t i = 0; i < h->count; i++)
		blob_unref(h->entries[i].data);
}

static void replay(struct kv_rig *rig, const struct history *h, size_t group, uint8_t *digest)
{
	struct err err = ERR_INIT;
	uint64_t durable;

	for (size_t i = 0; i < h->count; i += group) {
		size_t n = h->count - i < group ? h->count - i : group;

		if (kv_apply(rig->kv, h->entries + i, n, &err) < 0)
			fail_msg("%s", err.text);
		if (i / group % 7 == 0)
			assert_int_equal(kv_checkpoint(rig->kv, &durable, NULL), 0);
	}
	assert_int_equal(kv_view_refresh(rig->view), 0);
	rig_check_digest(rig->view, digest);
}

/* The main file without what SQLite counts for itself (reference, section 4.6). */
static void read_masked(struct kv_rig *rig, struct buf *file)
{
	char *path = state_sqlite_path(rig->dir);

	rig_close(rig);
	assert_int_equal(io_read_file(AT_FDCWD, path, file), 0);
	assert_true(file->len > 100);
	memset(file->data + 24, 0, 4);
	memset(file->data + 40, 0, 4);
	memset(file->data + 92, 0, 8);
	rig_open(rig);
	free(path);
}

static void equal_entries_give_equal_states_whatever_the_grouping(void **state)
{
	static const size_t groups[] = { 1, 7, 64, 300 };
	uint8_t want[KV_DIGEST_SIZE], got[KV_DIGEST_SIZE];
	struct buf want_file = BUF_INIT, file = BUF_INIT;
	struct history h;
	struct kv_rig rig;

	make_history(&h, 77);
	rig_start(&rig, false);
	replay(&rig, &h, 5, want);
	rig_stop(&rig);
	for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
		rig_start(&rig, true);
		replay(&rig, &h, groups[i], got);
		assert_memory_equal(got, want, sizeof(want));
		buf_reset(&file);
		read_masked(&rig, i == 0 ? &want_file : &file);
		if (i > 0) {
			assert_int_equal(file.len, want_file.len);
			assert_memory_equal(file.data, want_file.data, file.len);
		}
		rig_stop(&rig);
	}
	history_release(&h);
	buf_release(&file);
	buf_release(&want_file);
}

/* ---- what snapshots use ---- */

static void a_reader_sees_meta_at_its_pin_and_cannot_write(void **state)
{
	struct kv_rig *rig = *state;
	struct kv_meta meta;
	sqlite3 *db;

	rig_put(rig, "a", "1");
	assert_int_equal(state_sqlite_open_reader(rig->dir, &db, NULL), 0);
	assert_int_equal(sqlite3_exec(db, "BEGIN", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(state_sqlite_read_meta(db, &meta, NULL), 0);
	assert_int_equal(meta.applied_index, 2);
	rig_put(rig, "a", "2");
	assert_int_equal(state_sqlite_read_meta(db, &meta, NULL), 0);
	assert_int_equal(meta.applied_index, 2);
	assert_int_equal(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(state_sqlite_read_meta(db, &meta, NULL), 0);
	assert_int_equal(meta.applied_index, 3);
	assert_int_not_equal(sqlite3_exec(db, "DELETE FROM kv", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void the_meta_of_an_image_is_read_without_touching_it(void **state)
{
	struct kv_rig *rig = *state;
	struct buf file = BUF_INIT;
	struct err err = ERR_INIT;
	struct kv_meta meta;
	char *path = state_sqlite_path(rig->dir), image[160];
	int fd;

	rig_put(rig, "a", "1");
	rig_close(rig);
	assert_int_equal(io_read_file(AT_FDCWD, path, &file), 0);
	snprintf(image, sizeof(image), "%s/50%%?odd#name", rig->base);
	fd = open(image, O_CREAT | O_WRONLY | O_CLOEXEC, 0400);
	assert_int_equal(io_write_all(fd, file.data, file.len), 0);
	close(fd);
	if (state_sqlite_verify_image(image, &meta, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(meta.applied_index, 2);
	assert_int_equal(meta.group, RIG_GROUP);
	assert_int_equal(meta.conf.members[0].id, 7);
	snprintf(image, sizeof(image), "%s/none", rig->base);
	assert_true(state_sqlite_verify_image(image, &meta, &err) < 0);
	assert_int_equal(access(image, F_OK), -1);
	rig_open(rig);
	buf_release(&file);
	free(path);
}

/* As a power loss would leave it: what is on the disk now, in another place, under no process. */
static void copy_state(const struct kv_rig *rig, char *dir, size_t size)
{
	char command[600];

	snprintf(dir, size, "%s/copy", rig->base);
	snprintf(command, sizeof(command), "rm -rf %s && mkdir %s && cp %s/state.db %s/state.db-wal %s/floor %s",
		 dir, dir, rig->dir, rig->dir, rig->dir, dir);
	assert_int_equal(system(command), 0);
}

static void flip_in(const char *dir, const char *name, off_t at)
{
	char path[300];
	uint8_t byte = 0;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0 && pread(fd, &byte, 1, at) == 1);
	byte ^= 8;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

/* Pages of newer entries are in the main file, and the WAL that hides them loses its end. */
static void a_state_that_fell_below_its_floor_is_refused(void **state)
{
	struct kv_rig *rig = *state;
	struct kv_view *pin;
	struct err err = ERR_INIT;
	struct kv *kv = NULL;
	uint64_t durable, applied;
	char key[16], dir[200];

	for (int i = 0; i < 60; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		rig_put(rig, key, "v");
		if (i == 40)
			assert_int_equal(kv_view_open(rig->kv, &pin, NULL), 0);
	}
	applied = rig->index;
	kv_view_unpin(rig->view);
	assert_int_equal(kv_checkpoint(rig->kv, &durable, NULL), 0);
	assert_true(durable < applied);
	copy_state(rig, dir, sizeof(dir));
	assert_int_equal(kv_open_sqlite(dir, &kv, &err), 0);
	assert_int_equal(kv->meta.applied_index, applied);
	kv_unref(kv);
	copy_state(rig, dir, sizeof(dir));
	flip_in(dir, "state.db-wal", 32 + 10 * (24 + STATE_PAGE_SIZE) + 100);
	assert_int_equal(kv_open_sqlite(dir, &kv, &err), -EUCLEAN);
	assert_non_null(strstr(err.text, "the end of its WAL is damaged"));
	assert_true(err.next[0] != '\0');
	/* One damaged copy of the floor does no harm, two cannot be trusted. */
	copy_state(rig, dir, sizeof(dir));
	flip_in(dir, "floor", 3);
	assert_int_equal(kv_open_sqlite(dir, &kv, &err), 0);
	kv_unref(kv);
	copy_state(rig, dir, sizeof(dir));
	flip_in(dir, "floor", 17);
	flip_in(dir, "floor", 512 + 25);
	err = ERR_INIT;
	assert_int_equal(kv_open_sqlite(dir, &kv, &err), -EUCLEAN);
	assert_non_null(strstr(err.text, "both copies are damaged"));
	kv_view_close(pin);
}

int main(void)
{
#define SQLITE(f)                                                                                  \
	{                                                                                          \
#f, f, rig_setup_sqlite, rig_teardown, NULL                                        \
	}
	const struct CMUnitTest tests[] = {
		SQLITE(a_state_is_created_once_and_opened_where_it_is),
		SQLITE(what_is_no_state_is_refused),
		SQLITE(an_unfinished_creation_is_taken_up_again),
		SQLITE(everything_is_there_after_reopening),
		SQLITE(a_state_that_fell_below_its_floor_is_refused),
		SQLITE(a_kill_leaves_a_whole_entry),
		SQLITE(a_flipped_bit_in_a_block_is_found),
		SQLITE(a_flipped_bit_in_a_row_is_found),
		SQLITE(a_damaged_meta_row_is_refused),
		SQLITE(durable_follows_complete_checkpoints_only),
		SQLITE(a_wal_that_readers_keep_from_starting_anew_shows),
		SQLITE(a_patch_and_an_append_write_few_pages),
		SQLITE(size_counts_pages_in_use),
		cmocka_unit_test(equal_entries_give_equal_states_whatever_the_grouping),
		SQLITE(a_reader_sees_meta_at_its_pin_and_cannot_write),
		SQLITE(the_meta_of_an_image_is_read_without_touching_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
