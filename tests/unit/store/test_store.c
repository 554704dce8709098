/* test_store.c - init, open, recovery across superblock, log and state, install. */
#include "tests/unit/store/store_rig.h"

#include <sys/stat.h>

static struct raft_snapshot_meta meta_at(uint64_t index, uint64_t term)
{
	return (struct raft_snapshot_meta){ .index = index,
					    .term = term,
					    .conf = store_rig_conf() };
}

/* A state at (index, term), as store_receive_finish() leaves it in state-<active + 1>. */
static void receive_state(struct store_rig *r, uint64_t index, uint64_t term)
{
	struct kv_meta meta = { .group = rig_identity.group,
				.applied_index = index,
				.applied_term = term,
				.conf = store_rig_conf() };
	char *path = store_state_path(r->store, store_active_generation(r->store) + 1);

	memcpy(meta.cluster, rig_identity.cluster, sizeof(meta.cluster));
	assert_int_equal(kv_create_sqlite(path, &meta, &r->err), 0);
	free(path);
}

static uint64_t applied_index(struct kv *kv)
{
	struct kv_view *view;
	uint64_t index;

	assert_int_equal(kv_view_open(kv, &view, NULL), 0);
	index = kv_view_meta(view)->applied_index;
	kv_view_close(view);
	return index;
}

static void apply_noops(struct store_rig *r, uint64_t first, size_t count, uint64_t term)
{
	struct raft_entry *v = rig_entries(first, count, term, 0);
	uint64_t durable;

	assert_int_equal(kv_apply(r->kv, v, count, &r->err), 0);
	assert_int_equal(kv_checkpoint(r->kv, &durable, &r->err), 0);
	rig_entries_free(v, count);
}

static bool exists(struct store_rig *r, const char *name)
{
	struct buf path = BUF_INIT;
	bool found;

	buf_printf(&path, "%s/group-%u/%s", r->path, rig_identity.group, name);
	buf_put_u8(&path, 0);
	found = access((const char *)path.data, F_OK) == 0;
	buf_release(&path);
	return found;
}

/* ---- init
 * -------------------------------------------------------------------------------------------- */

static void new_store_begins_with_entry_one(void **state)
{
	struct store_rig r;
	struct raft_entry *v;
	struct raft_conf conf;
	size_t count;

	store_rig_setup(&r);
	assert_int_equal(store_rig_open(&r), 0);
	assert_memory_equal(r.boot.identity.cluster, rig_identity.cluster, 16);
	assert_int_equal(r.boot.identity.group, rig_identity.group);
	assert_int_equal(r.boot.identity.node_id, rig_identity.node_id);
	assert_int_equal(r.boot.hard.term, 1);
	assert_int_equal(r.boot.hard.vote, 0);
	assert_int_equal(r.boot.incarnation, 1);
	assert_true(r.boot.was_clean);
	assert_int_equal(r.boot.base_index, 0);
	assert_int_equal(r.boot.last_index, 1);
	assert_int_equal(r.boot.term_count, 1);
	assert_int_equal(r.boot.terms[0].index, 1);
	assert_int_equal(r.boot.terms[0].term, 1);
	assert_int_equal(r.boot.snapshot.index, 0);
	assert_int_equal(applied_index(r.kv), 1);
	assert_int_equal(store_load(r.store, 1, 1, 1000, &v, &count, &r.err), 0);
	assert_int_equal(v[0].type, RAFT_ENTRY_CONF);
	assert_int_equal(raft_conf_decode(&conf, v[0].data->data, v[0].data->len), 0);
	assert_int_equal(conf.members[0].id, 7);
	store_entries_free(v, count);
	store_rig_teardown(&r);
}

static void init_never_overwrites(void **state)
{
	struct store_rig r;
	struct raft_conf conf = store_rig_conf();
	struct store_identity nobody = rig_identity;
	char path[120];

	store_rig_setup(&r);
	assert_int_equal(store_init(r.path, &rig_identity, &conf, &r.err), -EEXIST);
	assert_non_null(strstr(r.err.text, r.path));
	assert_true(r.err.still_works[0] != '\0' && r.err.next[0] != '\0');
	assert_int_equal(store_init(r.dir.path, &rig_identity, &conf, &r.err), -ENOTEMPTY);
	snprintf(path, sizeof(path), "%s/missing/s", r.dir.path);
	assert_int_equal(store_init(path, &rig_identity, &conf, &r.err), -ENOENT);
	snprintf(path, sizeof(path), "%s/other", r.dir.path);
	nobody.node_id = 0;
	assert_int_equal(store_init(path, &nobody, &conf, &r.err), -EINVAL);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(store_init(path, &rig_identity, &conf, &r.err), 0);
	store_rig_teardown(&r);
}

static void init_that_broke_off_can_be_run_again(void **state)
{
	struct store_rig r;
	struct raft_conf conf = store_rig_conf();
	struct store_identity found;
	unsigned calls;

	store_rig_setup(&r);
	assert_int_equal(io_remove_tree(r.dir.dir_fd, "s"), 0);
	rig_io_reset(0, 0);
	assert_int_equal(store_init_io(r.path, &rig_identity, &conf, &rig_io, &r.err), 0);
	calls = rig_io_state.calls;
	for (unsigned at = 1; at <= calls; at++) {
		int ret;

		assert_int_equal(io_remove_tree(r.dir.dir_fd, "s"), 0);
		rig_io_reset(at, -EIO);
		assert_int_equal(store_init_io(r.path, &rig_identity, &conf, &rig_io, &r.err),
				 -EIO);
		assert_true(r.err.text[0] != '\0' && r.err.next[0] != '\0');
		rig_io_reset(0, 0);
		ret = store_identify(r.path, rig_identity.group, &found, &r.err);
		assert_true(ret == 0 || ret == -EINVAL);
		assert_int_equal(store_init_io(r.path, &rig_identity, &conf, &rig_io, &r.err),
				 ret == 0 ? -EEXIST : 0);
		assert_int_equal(store_rig_open(&r), 0);
		assert_false(exists(&r, STORE_UNFINISHED));
		store_rig_close(&r);
	}
	store_rig_teardown(&r);
}

/* ---- open
 * --------------------------------------------------------------------------------------------- */

static void what_is_no_store_is_told_apart(void **state)
{
	struct store_rig r;
	struct store_identity found;
	char path[120];

	store_rig_setup(&r);
	snprintf(path, sizeof(path), "%s/none", r.dir.path);
	assert_int_equal(store_open(path, 0, NULL, &r.store, &r.boot, &r.kv, &r.err), -ENOENT);
	assert_non_null(strstr(r.err.next, "quorumfs init"));
	assert_int_equal(store_identify(path, 0, &found, &r.err), -ENOENT);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(store_open(path, 0, NULL, &r.store, &r.boot, &r.kv, &r.err), -EINVAL);
	assert_non_null(strstr(r.err.text, "not a store"));
	snprintf(path, sizeof(path), "%s/lock", r.path);
	assert_int_equal(store_open(path, 0, NULL, &r.store, &r.boot, &r.kv, &r.err), -EINVAL);
	assert_int_equal(store_open(r.path, 0, NULL, &r.store, &r.boot, &r.kv, &r.err), -EINVAL);
	store_rig_teardown(&r);
}

static void second_process_is_told_who_has_it_open(void **state)
{
	struct store_rig r;
	struct store *other;
	struct store_boot boot;
	struct kv *kv;
	char pid[40];

	store_rig_setup(&r);
	assert_int_equal(store_rig_open(&r), 0);
	assert_int_equal(store_open(r.path, rig_identity.group, NULL, &other, &boot, &kv, &r.err),
			 -EBUSY);
	snprintf(pid, sizeof(pid), "process %d has it open", (int)getpid());
	assert_non_null(strstr(r.err.text, pid));
	assert_true(r.err.still_works[0] != '\0' && r.err.next[0] != '\0');
	store_rig_close(&r);
	assert_int_equal(store_rig_open(&r), 0);
	store_rig_teardown(&r);
}

static void identity_is_read_while_it_is_open(void **state)
{
	struct store_rig r;
	struct store_identity found;

	store_rig_setup(&r);
	assert_int_equal(store_rig_open(&r), 0);
	assert_int_equal(store_identify(r.path, rig_identity.group, &found, &r.err), 0);
	assert_memory_equal(found.cluster, rig_identity.cluster, 16);
	assert_int_equal(found.node_id, rig_identity.node_id);
	store_rig_teardown(&r);
}

static void each_open_is_a_new_incarnation(void **state)
{
	struct store_rig r;

	store_rig_setup(&r);
	for (uint64_t i = 1; i < 8; i++) {
		assert_int_equal(store_rig_open(&r), 0);
		assert_int_equal(r.boot.incarnation, i);
		assert_int_equal(r.boot.was_clean, i % 3 != 0);
		if (i % 3 == 2)
			store_rig_crash(&r);
		else
			store_rig_close(&r);
	}
	store_rig_teardown(&r);
}

static void term_and_vote_survive_and_never_go_back(void **state)
{
	static const struct {
		uint64_t term, vote;
		int want;
	} cases[] = {
		{ 5, 0, 0 },       { 5, 2, 0 }, { 5, 3, -EINVAL }, { 5, 0, -EINVAL },
		{ 4, 1, -EINVAL }, { 5, 2, 0 }, { 6, 1, 0 },
	};
	struct store_rig r;

	store_rig_setup(&r);
	assert_int_equal(store_rig_open(&r), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct store_batch b = { .set_hard = true,
					 .hard = { .term = cases[i].term, .vote = cases[i].vote } };

		assert_int_equal(store_persist(r.store, &b, 1, &r.err), cases[i].want);
	}
	store_rig_crash(&r);
	assert_int_equal(store_rig_open(&r), 0);
	assert_int_equal(r.boot.hard.term, 6);
	assert_int_equal(r.boot.hard.vote, 1);
	store_rig_teardown(&r);
}

static void entry_of_a_term_not_recorded_is_refused(void **state)
{
	struct store_rig r;

	store_rig_setup(&r);
	assert_int_equal(store_rig_open(&r), 0);
	assert_int_equal(store_rig_persist(&r, false, 2, 2, 1, 10), -EINVAL);
	assert_int_equal(store_rig_persist(&r, true, 2, 2, 1, 10), 0);
	store_rig_teardown(&r);
}

static void several_batches_are_one_frame_and_one_sync(void **state)
{
	struct store_rig r;
	struct raft_entry *a = rig_entries(2, 3, 2, 10), *b = rig_entries(5, 2, 2, 10),
			  *c = rig_entries(4, 4, 3, 10);
	struct store_batch batches[] = {
		{ .set_hard = true,
		  .hard = { .term = 2, .vote = 7 },
		  .entries = a,
		  .entry_count = 3 },
		{ .entries = b, .entry_count = 2 },
		{ .set_hard = true,
		  .hard = { .term = 3, .vote = 1 },
		  .entries = c,
		  .entry_count = 4 },
	};

	store_rig_setup(&r);
	assert_int_equal(store_rig_open(&r), 0);
	rig_io_reset(0, 0);
	assert_int_equal(store_persist(r.store, batches, 3, &r.err), 0);
	assert_string_equal(rig_io_state.trace, "wwsws"); /* superblock pair, sync, frame, sync */
	for (int round = 0; round < 2; round++) {
		assert_int_equal(store_rig_expect(&r, 2, 3, 2, 10), 0);
		assert_int_equal(store_rig_expect(&r, 4, 7, 3, 10), 0);
		assert_int_equal(store_log_last_index(r.store->log), 7);
		store_rig_crash(&r);
		assert_int_equal(store_rig_open(&r), 0);
		assert_int_equal(r.boot.hard.term, 3);
		assert_int_equal(r.boot.hard.vote, 1);
	}
	rig_entries_free(a, 3);
	rig_entries_free(b, 2);
	rig_entries_free(c, 4);
	store_rig_teardown(&r);
}

static void batches_with_a_gap_are_refused_whole(void **state)
{
	struct store_rig r;
	struct raft_entry *a = rig_entries(2, 2, 1, 10), *b = rig_entries(5, 2, 1, 10);
	struct store_batch batches[] = { { .entries = a, .entry_count = 2 },
					 { .entries = b, .entry_count = 2 } };

	store_rig_setup(&r);
	assert_int_equal(store_rig_open(&r), 0);
	assert_int_equal(store_persist(r.store, batches, 2, &r.err), -EINVAL);
	assert_int_equal(store_log_last_index(r.store->log), 1);
	assert_int_equal(store_persist(r.store, batches, 1, &r.err), 0);
	rig_entries_free(a, 2);
	rig_entries_free(b, 2);
	store_rig_teardown(&r);
}

static void idle_store_writes_nothing(void **state)
{
	struct store_rig r;
	uint64_t before;

	store_rig_setup(&r);
	assert_int_equal(store_rig_open(&r), 0);
	before = store_bytes_written(r.store);
	rig_io_reset(0, 0);
	usleep(50000);
	assert_int_equal(rig_io_state.calls, 0);
	assert_int_equal(store_bytes_written(r.store), before);
	/* Nor does a batch that says nothing new. */
	assert_int_equal(store_persist(r.store,
				       &(struct store_batch){ .set_hard = true, .hard = { 1, 0 } },
				       1, &r.err),
			 0);
	assert_int_equal(rig_io_state.calls, 0);
	store_rig_teardown(&r);
}

static void cut_survives_a_restart(void **state)
{
	struct store_rig r;

	store_rig_setup(&r);
	assert_int_equal(store_rig_open(&r), 0);
	assert_int_equal(store_rig_persist(&r, true, 2, 2, 19, 0), 0);
	apply_noops(&r, 2, 19, 2);
	for (uint64_t i = 21; i <= 60; i++)
		assert_int_equal(store_rig_persist(&r, false, 2, i, 1, 2500), 0);
	assert_int_equal(store_cut_prefix(r.store, 61, &r.err), -EINVAL);
	assert_int_equal(store_cut_prefix(r.store, 15, &r.err), 0);
	assert_int_equal(store_cut_prefix(r.store, 10, &r.err), 0); /* already */
	store_rig_crash(&r);
	assert_int_equal(store_rig_open(&r), 0);
	assert_int_equal(r.boot.base_index, 15);
	assert_int_equal(r.boot.base_term, 2);
	assert_int_equal(r.boot.last_index, 60);
	assert_int_equal(r.boot.terms[0].index, 16);
	assert_int_equal(store_rig_expect(&r, 15, 15, 2, 0), -ENOENT);
	assert_int_equal(store_rig_expect(&r, 16, 20, 2, 0), 0);
	assert_int_equal(store_rig_expect(&r, 21, 60, 2, 2500), 0);
	store_rig_teardown(&r);
}

/* ---- recovery over the parts
 * ----------------------------------------------------------------------------- */

static void lost_vote_is_noticed_by_the_log(void **state)
{
	struct store_rig r;
	struct buf old = BUF_INIT, name = BUF_INIT;
	int fd;

	store_rig_setup(&r);
	buf_printf(&name, "s/group-%u/superblock", rig_identity.group);
	buf_put_u8(&name, 0);
	assert_int_equal(io_read_file(r.dir.dir_fd, (const char *)name.data, &old), 0);
	assert_int_equal(store_rig_open(&r), 0);
	assert_int_equal(store_rig_persist(&r, true, 5, 2, 1, 10), 0);
	store_rig_close(&r);
	fd = openat(r.dir.dir_fd, (const char *)name.data, O_WRONLY | O_CLOEXEC);
	assert_int_equal(io_pwrite_all(fd, old.data, old.len, 0), 0);
	close(fd);
	assert_int_equal(store_rig_open(&r), -EUCLEAN);
	assert_non_null(strstr(r.err.text, "term and vote were lost"));
	assert_true(r.err.still_works[0] != '\0' && r.err.next[0] != '\0');
	buf_release(&old);
	buf_release(&name);
	store_rig_teardown(&r);
}

/* Damages the payload of the newest frame of the log that r has just closed. */
static void damage_last_frame(struct store_rig *r, uint64_t offset)
{
	struct buf name = BUF_INIT;
	int fd;

	buf_printf(&name, "s/group-%u/log/%016x.seg", rig_identity.group, 1);
	buf_put_u8(&name, 0);
	fd = openat(r->dir.dir_fd, (const char *)name.data, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(io_pwrite_all(fd, "damage", 6, (off_t)offset), 0);
	close(fd);
	buf_release(&name);
}

static void bad_tail_is_torn_or_damage_by_what_was_applied(void **state)
{
	for (int applied = 0; applied < 2; applied++) {
		struct store_rig r;
		uint64_t offset;

		store_rig_setup(&r);
		assert_int_equal(store_rig_open(&r), 0);
		assert_int_equal(store_rig_persist(&r, false, 1, 2, 2, 0), 0);
		if (applied)
			apply_noops(&r, 2, 2, 1);
		offset = r.store->log->append_offset - FRAME_ALIGN + FRAME_HEADER_SIZE;
		store_rig_crash(&r);
		damage_last_frame(&r, offset);
		assert_int_equal(store_rig_open(&r), applied ? -EUCLEAN : 0);
		if (applied)
			assert_non_null(strstr(r.err.text, "damaged at entry 2"));
		else
			assert_int_equal(r.boot.last_index, 1);
		store_rig_teardown(&r);
	}
}

static void bad_tail_after_a_clean_end_is_damage(void **state)
{
	struct store_rig r;
	uint64_t offset;

	store_rig_setup(&r);
	assert_int_equal(store_rig_open(&r), 0);
	assert_int_equal(store_rig_persist(&r, false, 1, 2, 2, 0), 0);
	offset = r.store->log->append_offset - FRAME_ALIGN + FRAME_HEADER_SIZE;
	store_rig_close(&r);
	damage_last_frame(&r, offset);
	assert_int_equal(store_rig_open(&r), -EUCLEAN);
	assert_non_null(strstr(r.err.text, "though it was durable"));
	store_rig_teardown(&r);
}

static void state_ahead_of_the_log_becomes_its_base(void **state)
{
	struct store_rig r;

	store_rig_setup(&r);
	assert_int_equal(store_rig_open(&r), 0);
	apply_noops(&r, 2, 5, 1);
	store_rig_crash(&r);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(store_rig_open(&r), 0);
		assert_int_equal(r.boot.base_index, 6);
		assert_int_equal(r.boot.base_term, 1);
		assert_int_equal(r.boot.last_index, 6);
		assert_int_equal(r.boot.term_count, 0);
		store_rig_close(&r);
	}
	assert_int_equal(store_rig_open(&r), 0);
	assert_int_equal(store_rig_persist(&r, true, 2, 7, 1, 0), 0);
	store_rig_teardown(&r);
}

static void missing_state_is_damage(void **state)
{
	struct store_rig r;

	store_rig_setup(&r);
	assert_int_equal(store_rig_open(&r), 0);
	assert_int_equal(io_remove_tree(r.store->group_fd, "state-1"), 0);
	store_rig_close(&r);
	assert_int_equal(store_rig_open(&r), -EUCLEAN);
	store_rig_teardown(&r);
}

/* ---- install
 * ------------------------------------------------------------------------------------------------
 */

static void install_without_a_match_empties_the_log(void **state)
{
	struct store_rig r;
	struct raft_snapshot_meta meta = meta_at(100, 2);
	struct kv *kv = NULL;

	store_rig_setup(&r);
	assert_int_equal(store_rig_open(&r), 0);
	assert_int_equal(store_rig_persist(&r, true, 2, 2, 20, 500), 0);
	receive_state(&r, 100, 2);
	assert_int_equal(store_install(r.store, &meta, 1, &kv, &r.err), 0);
	assert_int_equal(applied_index(kv), 100);
	assert_false(exists(&r, "state-1"));
	assert_int_equal(store_rig_persist(&r, false, 2, 22, 1, 10), -EINVAL);
	assert_int_equal(store_rig_persist(&r, false, 2, 101, 1, 10), 0);
	kv_unref(kv);
	store_rig_crash(&r);
	assert_int_equal(store_rig_open(&r), 0);
	assert_int_equal(r.boot.base_index, 100);
	assert_int_equal(r.boot.base_term, 2);
	assert_int_equal(r.boot.last_index, 101);
	assert_int_equal(applied_index(r.kv), 100);
	store_rig_teardown(&r);
}

static void install_keeps_what_follows_a_match(void **state)
{
	for (uint64_t term = 1; term <= 2; term++) {
		struct store_rig r;
		struct raft_snapshot_meta meta = meta_at(10, term);
		struct kv *kv = NULL;

		store_rig_setup(&r);
		assert_int_equal(store_rig_open(&r), 0);
		assert_int_equal(store_rig_persist(&r, true, 2, 2, 20, 50), 0);
		receive_state(&r, 10, term);
		assert_int_equal(store_install(r.store, &meta, 1, &kv, &r.err), 0);
		kv_unref(kv);
		store_rig_crash(&r);
		assert_int_equal(store_rig_open(&r), 0);
		assert_int_equal(r.boot.base_index, 10);
		assert_int_equal(r.boot.base_term, term);
		assert_int_equal(r.boot.last_index, term == 2 ? 21 : 10);
		if (term == 2)
			assert_int_equal(store_rig_expect(&r, 11, 21, 2, 50), 0);
		store_rig_teardown(&r);
	}
}

static void stale_or_wrong_image_changes_nothing(void **state)
{
	struct store_rig r;
	struct raft_snapshot_meta meta = meta_at(10, 1);
	struct kv *kv = NULL;

	store_rig_setup(&r);
	assert_int_equal(store_rig_open(&r), 0);
	assert_int_equal(store_install(r.store, &meta, 10, &kv, &r.err), -ESTALE);
	assert_int_equal(store_install(r.store, &meta, 1, &kv, &r.err), -ENOENT);
	receive_state(&r, 11, 1);
	assert_int_equal(store_install(r.store, &meta, 1, &kv, &r.err), -EUCLEAN);
	meta.term = 2;
	assert_int_equal(store_install(r.store, &meta, 1, &kv, &r.err), -EINVAL);
	assert_null(kv);
	assert_int_equal(store_active_generation(r.store), 1);
	assert_true(exists(&r, "state-2"));
	store_rig_close(&r);
	assert_int_equal(store_rig_open(&r), 0);
	assert_int_equal(r.boot.last_index, 1);
	assert_false(exists(&r, "state-2")); /* received but never installed */
	store_rig_teardown(&r);
}

static void install_is_old_or_new_whatever_fails(void **state)
{
	for (unsigned at = 1, ret = 1; ret != 0; at++) {
		struct store_rig r;
		struct raft_snapshot_meta meta = meta_at(100, 2);
		struct kv *kv = NULL;

		store_rig_setup(&r);
		assert_int_equal(store_rig_open(&r), 0);
		assert_int_equal(store_rig_persist(&r, true, 2, 2, 20, 500), 0);
		receive_state(&r, 100, 2);
		rig_io_reset(at, -EIO);
		ret = store_install(r.store, &meta, 1, &kv, &r.err) != 0;
		rig_io_reset(0, 0);
		if (ret != 0)
			assert_int_equal(store_rig_persist(&r, false, 2, 101, 1, 10), -EIO);
		kv_unref(kv);
		store_rig_close(&r);
		assert_int_equal(store_rig_open(&r), 0);
		assert_true((r.boot.base_index == 0 && r.boot.last_index == 21 &&
			     applied_index(r.kv) == 1) ||
			    (r.boot.base_index == 100 && r.boot.last_index == 100 &&
			     applied_index(r.kv) == 100));
		store_rig_teardown(&r);
	}
}

static void space_keeps_a_reserve_that_fits_the_disk(void **state)
{
	struct store_rig r;
	struct store_space space;

	store_rig_setup(&r);
	assert_int_equal(store_rig_open(&r), 0);
	assert_int_equal(store_space(r.store, &space), 0);
	assert_true(space.total_bytes > 0 && space.free_bytes <= space.total_bytes);
	assert_true(space.reserve_bytes <= space.total_bytes / 8);
	store_rig_teardown(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(new_store_begins_with_entry_one),
		cmocka_unit_test(init_never_overwrites),
		cmocka_unit_test(init_that_broke_off_can_be_run_again),
		cmocka_unit_test(what_is_no_store_is_told_apart),
		cmocka_unit_test(second_process_is_told_who_has_it_open),
		cmocka_unit_test(identity_is_read_while_it_is_open),
		cmocka_unit_test(each_open_is_a_new_incarnation),
		cmocka_unit_test(term_and_vote_survive_and_never_go_back),
		cmocka_unit_test(entry_of_a_term_not_recorded_is_refused),
		cmocka_unit_test(several_batches_are_one_frame_and_one_sync),
		cmocka_unit_test(batches_with_a_gap_are_refused_whole),
		cmocka_unit_test(idle_store_writes_nothing),
		cmocka_unit_test(cut_survives_a_restart),
		cmocka_unit_test(lost_vote_is_noticed_by_the_log),
		cmocka_unit_test(bad_tail_is_torn_or_damage_by_what_was_applied),
		cmocka_unit_test(bad_tail_after_a_clean_end_is_damage),
		cmocka_unit_test(state_ahead_of_the_log_becomes_its_base),
		cmocka_unit_test(missing_state_is_damage),
		cmocka_unit_test(install_without_a_match_empties_the_log),
		cmocka_unit_test(install_keeps_what_follows_a_match),
		cmocka_unit_test(stale_or_wrong_image_changes_nothing),
		cmocka_unit_test(install_is_old_or_new_whatever_fails),
		cmocka_unit_test(space_keeps_a_reserve_that_fits_the_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
