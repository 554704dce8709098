/* test_snapshot.c - making, sharing, keeping and serving sealed images. */
#include "store/state_sqlite.h"
#include "tests/unit/store/snap_rig.h"

struct writer {
	struct snap_rig *p;
	atomic_bool stop;
	atomic_uint applied;
};

static void *write_on(void *arg)
{
	struct writer *w = arg;

	while (!atomic_load(&w->stop)) {
		snap_apply(w->p, (uint32_t)(w->p->index % 400));
		atomic_fetch_add(&w->applied, 1);
	}
	return NULL;
}

static void an_image_is_the_pinned_index_while_writes_go_on(void **state)
{
	struct snap_rig *p = *state;
	struct writer w = { .p = &p[0] };
	uint8_t digest[KV_DIGEST_SIZE];
	struct raft_snapshot_meta meta;
	struct snapshot_stats stats;
	struct parcel parcel;
	pthread_t thread;
	uint64_t at_start;

	snap_fill(&p[0], 400);
	at_start = p[0].index;
	assert_int_equal(pthread_create(&thread, NULL, write_on, &w), 0);
	while (atomic_load(&w.applied) < 3)
		usleep(100);
	meta = snap_create(&p[0], &stats);
	atomic_store(&w.stop, true);
	pthread_join(thread, NULL);

	assert_int_equal(stats.restarts, 0);
	assert_true(stats.steps > 3);
	assert_true(meta.index > at_start && meta.index < p[0].index);
	assert_true(p[0].index - meta.index > 10); /* writes were not held up */
	parcel_pack(&parcel, &p[0], &meta);
	assert_int_equal(parcel_receive(&parcel, &p[1]), 0);
	assert_int_equal(snap_install(&p[1], &meta), 0);
	assert_int_equal(snap_check_state(p[1].r.kv, digest), meta.index);
	parcel_release(&parcel);
}

static void meta_tells_index_term_size_and_configuration(void **state)
{
	struct snap_rig *p = *state;
	struct raft_conf conf = store_rig_conf();
	struct raft_snapshot_meta meta, *list;
	size_t count;

	snap_fill(p, 5);
	meta = snap_create(p, NULL);
	assert_int_equal(meta.index, 6);
	assert_int_equal(meta.term, 1);
	assert_int_equal(meta.size_bytes % STATE_PAGE_SIZE, 0);
	assert_int_equal(meta.conf.index, 1);
	assert_int_equal(meta.conf.count, 1);
	assert_int_equal(meta.conf.members[0].id, conf.members[0].id);
	assert_int_equal(store_snapshot_list(p->r.store, &list, &count), 0);
	assert_int_equal(count, 1);
	assert_memory_equal(list[0].root, meta.root, sizeof(meta.root));
	assert_int_equal(store_snapshot_verify(p->r.store, &meta, &p->r.err), 0);
	assert_int_equal(snap_count(p, "snapshots", is_temporary), 0);
	free(list);
}

static void a_second_snapshot_shares_what_did_not_change(void **state)
{
	struct snap_rig *p = *state;
	struct snapshot_stats first, second, third;
	struct raft_snapshot_meta meta;

	snap_fill(p, 400);
	snap_create(p, &first);
	assert_true(first.chunk_count > 10);
	assert_int_equal(first.written_count, first.chunk_count);
	snap_apply(p, 200);
	meta = snap_create(p, &second);
	/* The header page, the meta row and one block: at most four places. */
	assert_true(second.written_count >= 1 && second.written_count <= 4);
	assert_true(second.written_bytes * 2 < first.written_bytes);
	assert_int_equal(store_snapshot_verify(p->r.store, &meta, NULL), 0);
	assert_int_equal(snap_count(p, "snapshots/chunks", is_chunk),
			 first.chunk_count + second.written_count);
	snap_apply(p, 201);
	snap_create(p, &third);
	assert_int_equal(snap_count(p, "snapshots", is_manifest), 2);
	/* The first one's own chunks went with it. */
	assert_true(snap_count(p, "snapshots/chunks", is_chunk) <=
		    third.chunk_count + second.written_count);
}

static void an_idle_state_is_not_copied_again(void **state)
{
	struct snap_rig *p = *state;
	struct raft_snapshot_meta first, second;
	struct snapshot_stats stats;

	snap_fill(p, 3);
	first = snap_create(p, NULL);
	second = snap_create(p, &stats);
	assert_int_equal(stats.steps, 0);
	assert_memory_equal(first.root, second.root, sizeof(first.root));
	assert_int_equal(snap_count(p, "snapshots", is_manifest), 1);
}

static void the_two_newest_and_the_held_are_kept(void **state)
{
	struct snap_rig *p = *state;
	struct raft_snapshot_meta metas[5];

	for (int i = 0; i < 5; i++) {
		snap_fill(p, 2);
		metas[i] = snap_create(p, NULL);
		if (i == 0) {
			store_snapshot_hold(p->r.store, &metas[0]);
			store_snapshot_hold(p->r.store, &metas[0]);
		}
	}
	assert_int_equal(snap_count(p, "snapshots", is_manifest), 3);
	assert_int_equal(store_snapshot_verify(p->r.store, &metas[0], NULL), 0);
	assert_int_equal(store_snapshot_verify(p->r.store, &metas[1], NULL), -ENOENT);
	assert_int_equal(store_snapshot_verify(p->r.store, &metas[4], NULL), 0);
	store_snapshot_release(p->r.store, &metas[0]);
	snap_fill(p, 1);
	snap_create(p, NULL);
	assert_int_equal(store_snapshot_verify(p->r.store, &metas[0], NULL), 0);
	store_snapshot_release(p->r.store, &metas[0]);
	snap_fill(p, 1);
	snap_create(p, NULL);
	assert_int_equal(store_snapshot_verify(p->r.store, &metas[0], NULL), -ENOENT);
	assert_int_equal(snap_count(p, "snapshots", is_manifest), 2);
	/* Neither of these is there: nothing happens. */
	store_snapshot_hold(p->r.store, &metas[0]);
	store_snapshot_release(p->r.store, &metas[0]);
}

static void snapshots_are_found_again_after_a_restart(void **state)
{
	struct snap_rig *p = *state;
	struct raft_snapshot_meta meta;

	snap_fill(p, 50);
	snap_create(p, NULL);
	snap_fill(p, 1);
	meta = snap_create(p, NULL);
	store_rig_close(&p->r);
	snap_open(p);
	assert_int_equal(p->r.boot.snapshot.index, meta.index);
	assert_memory_equal(p->r.boot.snapshot.root, meta.root, sizeof(meta.root));
	assert_int_equal(store_snapshot_verify(p->r.store, &meta, NULL), 0);
	assert_int_equal(snapshot_newest(p->r.store, meta.index - 1, &meta), 0);
	assert_int_equal(meta.index, p->r.boot.snapshot.index - 1);
	assert_int_equal(snapshot_newest(p->r.store, 1, &meta), 0);
	assert_int_equal(meta.index, 0);
}

static void flip_file(const struct snap_rig *p, const char *sub, bool (*want)(const char *),
		      uint64_t seed, bool all)
{
	char path[400];
	struct dirent *d;
	struct prng rng;
	bool done = false;
	DIR *dir;

	prng_init(&rng, seed);
	snprintf(path, sizeof(path), "%s/group-3/%s", p->r.path, sub);
	dir = opendir(path);
	assert_non_null(dir);
	while ((d = readdir(dir)) != NULL && (all || !done)) {
		struct stat st;
		uint8_t byte;
		off_t at;
		int fd;

		if (d->d_name[0] == '.' || !want(d->d_name))
			continue;
		snprintf(path, sizeof(path), "%s/group-3/%s/%s", p->r.path, sub, d->d_name);
		fd = open(path, O_RDWR | O_CLOEXEC);
		assert_true(fd >= 0 && fstat(fd, &st) == 0);
		at = (off_t)prng_below(&rng, (uint64_t)st.st_size);
		assert_int_equal(pread(fd, &byte, 1, at), 1);
		byte ^= (uint8_t)(1u << prng_below(&rng, 8));
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
		close(fd);
		done = true;
	}
	closedir(dir);
	assert_true(done);
}

static void a_damaged_manifest_is_not_a_snapshot(void **state)
{
	struct snap_rig *p = *state;

	for (uint64_t seed = 1; seed <= 20; seed++) {
		snap_fill(p, 1);
		snap_create(p, NULL);
		flip_file(p, "snapshots", is_manifest, seed, true);
		store_rig_close(&p->r);
		snap_open(p);
		assert_int_equal(p->r.boot.snapshot.index, 0);
	}
}

static bool is_state_db(const char *name)
{
	return strcmp(name, STATE_DB_NAME) == 0;
}

/* A flipped bit in what is no row (free space, an unused page) is none in the state, and SQLite sees some at once. */
static void no_image_of_a_damaged_state_is_sealed(void **state)
{
	struct snap_rig *p = *state;
	int refused = 0;

	snap_fill(p, 100);
	store_rig_close(&p->r);
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct raft_snapshot_meta meta = { .index = 0 };
		struct err err = ERR_INIT;

		flip_file(p, "state-1", is_state_db, seed, true);
		if (store_rig_open(&p->r) == 0 &&
		    store_snapshot_create(p->r.store, p->r.kv, &meta, NULL, &err) < 0) {
			assert_int_equal(err.code, -EUCLEAN);
			assert_non_null(strstr(err.text, "cannot verify"));
			assert_int_equal(snapshot_newest(p->r.store, UINT64_MAX, &meta), 0);
			assert_int_equal(meta.index, 0);
			refused++;
		}
		store_rig_close(&p->r);
		flip_file(p, "state-1", is_state_db, seed, true); /* and back */
		if (meta.index != 0)
			break; /* sealed: from here on it is there already */
	}
	assert_true(refused >= 5);
	snap_open(p);
}

static void a_damaged_chunk_is_refused_and_mended_by_the_next_snapshot(void **state)
{
	struct snap_rig *p = *state;
	struct raft_snapshot_meta meta;
	struct buf out = BUF_INIT;
	struct snapshot_stats stats;
	size_t bad = 0;

	snap_fill(p, 100);
	meta = snap_create(p, &stats);
	flip_file(p, "snapshots/chunks", is_chunk, 4, true);
	assert_int_equal(store_snapshot_verify(p->r.store, &meta, &p->r.err), -EUCLEAN);
	assert_non_null(strstr(p->r.err.text, "does not verify"));
	for (uint32_t n = 0; n < stats.chunk_count; n++)
		bad += store_snapshot_chunk(p->r.store, &meta, n, &out, NULL) == -EUCLEAN;
	assert_int_equal(bad, stats.chunk_count);
	assert_int_equal(out.len, 0);
	/* The same index: what is there is not good, so it is made again. */
	meta = snap_create(p, &stats);
	assert_int_equal(stats.written_count, stats.chunk_count);
	assert_int_equal(store_snapshot_verify(p->r.store, &meta, NULL), 0);
	buf_release(&out);
}

static void a_snapshot_with_a_missing_chunk_is_passed_over(void **state)
{
	struct snap_rig *p = *state;
	struct raft_snapshot_meta first, second;
	struct manifest m = MANIFEST_INIT;

	snap_fill(p, 40);
	first = snap_create(p, NULL);
	snap_fill(p, 1);
	second = snap_create(p, NULL);
	assert_int_equal(sealed_copy(p->r.store->sealed, &second, &m), 0);
	assert_int_equal(chunk_remove(&p->r.store->sealed->chunks, manifest_hash(&m, 0)), 0);
	manifest_release(&m);
	store_rig_close(&p->r);
	snap_open(p);
	assert_int_equal(p->r.boot.snapshot.index, first.index);
}

static void unknown_snapshots_and_chunks_are_told(void **state)
{
	struct snap_rig *p = *state;
	struct raft_snapshot_meta meta;
	struct buf out = BUF_INIT;

	snap_fill(p, 1);
	meta = snap_create(p, NULL);
	assert_int_equal(store_snapshot_chunk(p->r.store, &meta, 999, &out, NULL), -EINVAL);
	meta.root[0] ^= 1;
	assert_int_equal(store_snapshot_chunk(p->r.store, &meta, 0, &out, NULL), -ENOENT);
	assert_int_equal(store_snapshot_manifest(p->r.store, &meta, &out, &p->r.err), -ENOENT);
	assert_int_equal(store_snapshot_verify(p->r.store, &meta, NULL), -ENOENT);
	buf_release(&out);
}

static void cancelling_leaves_nothing(void **state)
{
	struct snap_rig *p = *state;
	struct raft_snapshot_meta meta;
	atomic_bool cancel;

	atomic_init(&cancel, true);
	snap_fill(p, 100);
	assert_int_equal(store_snapshot_create(p->r.store, p->r.kv, &meta, &cancel, &p->r.err),
			 -ECANCELED);
	assert_int_equal(snap_count(p, "snapshots", is_temporary), 0);
	assert_int_equal(snap_count(p, "snapshots", is_manifest), 0);
	assert_int_equal(snap_count(p, "snapshots/chunks", is_chunk), 0);
	snap_create(p, NULL);
}

static void leftovers_are_removed_at_open(void **state)
{
	static const char *const names[] = {
		"image.tmp", "image.tmp-journal", "chunks/abc.1.tmp", "x.manifest.tmp",
		"chunks/0000000000000000000000000000000000000000000000000000000000000000"
	};
	struct snap_rig *p = *state;

	store_rig_close(&p->r);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char path[300];
		int fd;

		snprintf(path, sizeof(path), "%s/group-3/snapshots/%s", p->r.path, names[i]);
		fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
		assert_true(fd >= 0);
		close(fd);
	}
	snap_open(p);
	assert_int_equal(snap_count(p, "snapshots", is_temporary), 0);
	assert_int_equal(snap_count(p, "snapshots/chunks", is_temporary), 0);
	assert_int_equal(snap_count(p, "snapshots/chunks", is_chunk), 0);
}

/* Each disk call fails in turn: no snapshot, or a whole one; and the one before it stays. */
static void create_survives_every_disk_fault(void **state)
{
	struct snap_rig *p = *state;
	struct raft_snapshot_meta before, meta;
	bool fired = true;

	snap_fill(p, 40);
	before = snap_create(p, NULL);
	for (unsigned nth = 1; fired; nth++) {
		int ret;

		snap_fill(p, 1);
		rig_io_reset(nth, nth % 2 ? -EIO : -ENOSPC);
		ret = store_snapshot_create(p->r.store, p->r.kv, &meta, NULL, &p->r.err);
		fired = rig_io_state.calls >= nth;
		rig_io_reset(0, 0);
		assert_true(fired || ret == 0);
		store_rig_crash(&p->r);
		snap_open(p);
		if (ret == 0)
			before = meta;
		assert_true(p->r.boot.snapshot.index >= before.index);
		before = p->r.boot.snapshot;
		assert_int_equal(store_snapshot_verify(p->r.store, &before, NULL), 0);
		assert_int_equal(snap_count(p, "snapshots", is_temporary), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_image_is_the_pinned_index_while_writes_go_on,
						snap_setup, snap_teardown),
		cmocka_unit_test_setup_teardown(meta_tells_index_term_size_and_configuration,
						snap_setup, snap_teardown),
		cmocka_unit_test_setup_teardown(a_second_snapshot_shares_what_did_not_change,
						snap_setup, snap_teardown),
		cmocka_unit_test_setup_teardown(an_idle_state_is_not_copied_again, snap_setup,
						snap_teardown),
		cmocka_unit_test_setup_teardown(the_two_newest_and_the_held_are_kept, snap_setup,
						snap_teardown),
		cmocka_unit_test_setup_teardown(snapshots_are_found_again_after_a_restart,
						snap_setup, snap_teardown),
		cmocka_unit_test_setup_teardown(no_image_of_a_damaged_state_is_sealed, snap_setup,
						snap_teardown),
		cmocka_unit_test_setup_teardown(a_damaged_manifest_is_not_a_snapshot, snap_setup,
						snap_teardown),
		cmocka_unit_test_setup_teardown(
			a_damaged_chunk_is_refused_and_mended_by_the_next_snapshot, snap_setup,
			snap_teardown),
		cmocka_unit_test_setup_teardown(a_snapshot_with_a_missing_chunk_is_passed_over,
						snap_setup, snap_teardown),
		cmocka_unit_test_setup_teardown(unknown_snapshots_and_chunks_are_told, snap_setup,
						snap_teardown),
		cmocka_unit_test_setup_teardown(cancelling_leaves_nothing, snap_setup,
						snap_teardown),
		cmocka_unit_test_setup_teardown(leftovers_are_removed_at_open, snap_setup,
						snap_teardown),
		cmocka_unit_test_setup_teardown(create_survives_every_disk_fault, snap_setup,
						snap_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
