/*
 * test_replica_snapshot.c - when snapshots are made, how far the log is cut, how a node that has fallen
 * behind comes back: sections 4 and 5 of the architecture, in the node.
 */
#include "store/store_internal.h"
#include "tests/unit/node/node_rig.h"

static void restart_all(struct rig *rig)
{
	for (size_t i = 0; i < rig->count; i++) {
		rig_crash(&rig->nodes[i]);
		rig_start(&rig->nodes[i]);
	}
}

static struct rig *start(size_t nodes, uint64_t seed, int64_t threshold, uint64_t interval)
{
	struct rig *rig = rig_new(nodes, seed);

	rig->snapshot_threshold = threshold;
	rig->snapshot_interval = interval;
	restart_all(rig);
	(void)rig_leader(rig);
	return rig;
}

static void append_many(struct rig_client *c, int count, size_t len)
{
	char text[4096];

	assert(len < sizeof(text));
	memset(text, 'x', len);
	text[len] = '\0';
	for (int i = 0; i < count; i++) {
		char key[16];
		struct fs_request put;
		struct rig_op *op;

		snprintf(key, sizeof(key), "k%d", i % 20);
		put = rig_kv_put(key, text);
		op = rig_call(c, &put);
		assert_int_equal(op->status, 0);
		rig_op_free(op);
	}
}

static uint64_t snapshots_of_all(struct rig *rig)
{
	uint64_t n = 0;

	for (size_t i = 0; i < rig->count; i++)
		n += rig_info(&rig->nodes[i]).snapshots_made;
	return n;
}

static void minus_one_makes_none_ever(void **state)
{
	struct rig *rig = start(1, 1, -1, 0);
	struct rig_client *c = rig_client(rig, rig_leader(rig), false);

	assert_true(rig_info(rig_leader(rig)).snapshot_threshold_bytes == UINT64_MAX);
	append_many(c, 300, 4000);
	rig_pass(rig, 20000);
	assert_int_equal(snapshots_of_all(rig), 0);
	assert_int_equal(rig_info(rig_leader(rig)).raft.base_index, 0);
	/* Asked for by name it is made nevertheless. */
	replica_snapshot_now(rig_leader(rig)->replica);
	rig_pass(rig, 1000);
	assert_int_equal(snapshots_of_all(rig), 1);
	rig_free(rig);
}

static void a_threshold_in_bytes_makes_one_due(void **state)
{
	struct rig *rig = start(3, 2, 1000000, 0);
	struct rig_client *c = rig_client(rig, rig_leader(rig), false);
	struct rig_node *leader = rig_leader(rig);

	append_many(c, 150, 4000); /* 600 kB */
	rig_pass(rig, 1000);
	assert_int_equal(snapshots_of_all(rig), 0);
	/* Staggered: each at another time, the leader last. */
	for (uint64_t made = 1; made <= 3; made++) {
		for (int i = 0; i < 200 && snapshots_of_all(rig) < made; i++) {
			append_many(c, 1, 4000);
			rig_pass(rig, RIG_TICK_MS);
		}
		assert_int_equal(snapshots_of_all(rig), made);
		assert_int_equal(rig_info(leader).snapshots_made, made == 3);
	}
	rig_free(rig);
}

static void the_threshold_grows_with_the_state(void **state)
{
	struct rig *rig = start(1, 3, 1000, 0);
	struct rig_node *node = rig_leader(rig);
	struct rig_client *c = rig_client(rig, node, false);

	append_many(c, 50, 4000);
	rig_pass(rig, 5000); /* idle: a checkpoint tells the size of the state */
	assert_true(rig_info(node).state_bytes > 50000);
	assert_true(rig_info(node).snapshot_threshold_bytes >= rig_info(node).state_bytes);
	rig_free(rig);
}

static void an_interval_in_entries_makes_one_due(void **state)
{
	struct rig *rig = start(1, 4, -1, 50);
	struct rig_node *node = rig_leader(rig);
	struct rig_client *c = rig_client(rig, node, false);
	uint64_t before;

	rig_pass(rig, 1000);
	before = rig_info(node).snapshots_made;
	append_many(c, 20, 10);
	rig_pass(rig, 1000);
	assert_int_equal(rig_info(node).snapshots_made, before);
	append_many(c, 200, 10);
	rig_pass(rig, 1000);
	assert_true(rig_info(node).snapshots_made > before);
	rig_free(rig);
}

static void an_idle_node_makes_none_and_writes_nothing(void **state)
{
	struct rig *rig = start(3, 5, 1000, 1);
	struct rig_client *c = rig_client(rig, rig_leader(rig), true);
	uint64_t made, written = 0, now = 0;

	append_many(c, 5, 100);
	rig_pass(rig, 40000); /* the orphan list is looked at, the last checkpoint done */
	made = snapshots_of_all(rig);
	for (size_t i = 0; i < 3; i++)
		written += rig_info(&rig->nodes[i]).written_bytes;
	rig_pass(rig, 120000);
	assert_int_equal(snapshots_of_all(rig), made);
	for (size_t i = 0; i < 3; i++)
		now += rig_info(&rig->nodes[i]).written_bytes;
	assert_int_equal(now, written);
	rig_free(rig);
}

static void the_log_is_cut_only_behind_a_snapshot_and_a_checkpoint(void **state)
{
	struct rig *rig = start(1, 6, -1, 0);
	struct rig_node *node;
	struct rig_client *c;

	rig->snapshot_threshold = 1 << 30; /* never by itself, and a tail of up to 8 MiB */
	restart_all(rig);
	node = rig_leader(rig);
	c = rig_client(rig, node, false);
	append_many(c, 50, 100);
	rig_pass(rig, 10000);
	assert_int_equal(rig_info(node).raft.base_index, 0);
	replica_snapshot_now(node->replica);
	rig_pass(rig, 10000);
	assert_int_equal(rig_info(node).snapshots_made, 1);
	assert_int_equal(rig_info(node).raft.base_index, 0); /* all of it is tail */
	rig->snapshot_threshold = 0;                         /* no tail at all */
	restart_all(rig);
	node = rig_leader(rig);
	rig_client_move(c, node);
	append_many(c, 50, 100);
	/* A snapshot without a checkpoint cuts nothing: what is not durable is replayed from the log. */
	rig_hold(node, WORKER_APPLY, true);
	replica_snapshot_now(node->replica);
	rig_run(rig);
	assert_true(rig_info(node).raft.base_index <= rig_info(node).raft.durable_index);
	rig_hold(node, WORKER_APPLY, false);
	rig_pass(rig, 10000);
	assert_true(rig_info(node).raft.base_index > 0);
	assert_true(rig_info(node).raft.base_index <= rig_info(node).raft.snapshot_index);
	assert_true(rig_info(node).raft.base_index <= rig_info(node).raft.durable_index);
	rig_settle_and_check(rig);
	rig_crash(node);
	rig_start(node); /* from a log that does not start at the beginning */
	rig_settle_and_check(rig);
	rig_free(rig);
}

/* A follower is stopped until the others have cut what it lacks. */
static struct rig_node *make_laggard(struct rig *rig, struct rig_client *c)
{
	struct rig_node *slow = rig_follower(rig, 0);
	uint64_t its_last = rig_info(slow).raft.last_index;

	assert_true(c->node != slow);
	rig_crash(slow);
	for (int i = 0; i < 50; i++) {
		append_many(c, 20, 1000);
		rig_pass(rig, 500);
		if (rig_info(rig_leader(rig)).raft.base_index > its_last)
			return slow;
	}
	fail_msg("the log is never cut");
	return NULL;
}

static void a_node_that_fell_behind_comes_back_by_a_snapshot(void **state)
{
	struct rig *rig = start(3, 7, 1000, 30);
	struct rig_client *c = rig_client(rig, rig_leader(rig), false);
	struct rig_node *slow;
	uint64_t its_last;

	append_many(c, 20, 1000);
	slow = make_laggard(rig, c);
	rig_start(slow);
	its_last = fs_board_changed(slow->board, 0);
	rig_pass(rig, 5000);
	assert_true(rig_info(slow).snapshots_installed >= 1);
	/* Whatever its mounts remember of before, the image may have changed. */
	for (uint32_t i = 0; i < FS_SLOTS; i++)
		assert_true(fs_board_changed(slow->board, i) > its_last);
	rig_settle_and_check(rig);
	append_many(c, 20, 10); /* and goes on by the log */
	rig_settle_and_check(rig);
	rig_crash(slow);
	rig_start(slow);
	rig_settle_and_check(rig);
	rig_free(rig);
}

static void pieces_that_do_not_verify_are_fetched_again(void **state)
{
	struct rig *rig = start(3, 8, 1000, 30);
	struct rig_client *c = rig_client(rig, rig_leader(rig), false);
	struct rig_node *slow = make_laggard(rig, c);

	rig->corrupt_chunks = 2;
	rig_start(slow);
	rig_pass(rig, 5000);
	assert_int_equal(rig->corrupt_chunks, 0);
	assert_true(rig_info(slow).snapshots_installed >= 1);
	rig_settle_and_check(rig);
	rig_free(rig);
}

/* One bit of each chunk. */
static void damage_chunks(const struct rig_node *node)
{
	char command[400];

	snprintf(command, sizeof(command),
		 "for f in %s/group-0/snapshots/chunks/*; do printf X | "
		 "dd of=$f bs=1 seek=40 conv=notrunc status=none || exit 1; done",
		 node->dir);
	assert_int_equal(system(command), 0);
}

static void a_leader_mends_its_damaged_image(void **state)
{
	struct rig *rig = start(3, 12, 1000, 30);
	struct rig_client *c = rig_client(rig, rig_leader(rig), false);
	struct rig_node *slow = make_laggard(rig, c);
	uint64_t made;

	rig_pass(rig, 5000); /* nothing new since its image */
	made = rig_info(rig_leader(rig)).snapshots_made;
	damage_chunks(rig_leader(rig));
	rig_start(slow);
	rig_pass(rig, 30000);
	assert_true(rig_info(slow).snapshots_installed >= 1);
	assert_true(rig_info(rig_leader(rig)).snapshots_made > made);
	rig_settle_and_check(rig);
	rig_free(rig);
}

/* Stopped behind a checkpoint, damaged in one block, and started. */
static void damage_state(struct rig *rig, struct rig_node *node)
{
	char command[600];

	rig_pass(rig, 5000);
	rig_crash(node);
	snprintf(command, sizeof(command),
		 "f=$(ls %s/group-0/state-*/state.db) && at=$(grep -abo xxxxxxxx $f | head -n 1 | cut -d: -f1) && "
		 "printf Y | dd of=$f bs=1 seek=$at conv=notrunc status=none",
		 node->dir);
	assert_int_equal(system(command), 0);
	rig_start(node);
	(void)rig_leader(rig);
}

static void a_node_whose_state_is_damaged_stops_where_others_have_the_data(void **state)
{
	struct rig *rig = start(3, 16, -1, 0);
	struct rig_client *c = rig_client(rig, rig_leader(rig), false);
	struct rig_node *damaged = rig_leader(rig);

	append_many(c, 20, 1000);
	damage_state(rig, damaged);
	rig->fatal_expected = true;
	replica_snapshot_now(damaged->replica);
	rig_run(rig);
	assert_non_null(strstr(rig_info(damaged).snapshot_error, "cannot verify"));
	assert_false(damaged->failed); /* it may have been the image */
	rig_pass(rig, 30000);
	assert_true(damaged->failed);
	rig_crash(damaged);
	rig_client_move(c, rig_leader(rig));
	append_many(c, 20, 10);
	rig_free(rig);
}

static void a_single_node_goes_on_with_what_can_be_read(void **state)
{
	struct rig *rig = start(1, 17, -1, 0);
	struct rig_client *c = rig_client(rig, rig_leader(rig), false);
	struct rig_node *node = rig_leader(rig);

	append_many(c, 20, 1000);
	damage_state(rig, node);
	replica_snapshot_now(node->replica);
	rig_pass(rig, 60000);
	assert_false(node->failed);
	assert_non_null(strstr(rig_info(node).snapshot_error, "cannot verify"));
	rig_free(rig);
}

static void a_fetch_that_breaks_off_is_tried_again(void **state)
{
	struct rig *rig = start(3, 9, 1000, 30);
	struct rig_client *c = rig_client(rig, rig_leader(rig), false);
	struct rig_node *slow = make_laggard(rig, c);

	rig->fail_snapshots = 2;
	rig_start(slow);
	rig_pass(rig, 20000);
	assert_int_equal(rig->fail_snapshots, 0);
	assert_true(slow->fetches > 2);
	assert_true(rig_info(slow).snapshots_installed >= 1);
	rig_settle_and_check(rig);
	rig_free(rig);
}

static void killed_between_fetch_and_flip_it_starts_over(void **state)
{
	struct rig *rig = start(3, 10, 1000, 30);
	struct rig_client *c = rig_client(rig, rig_leader(rig), false);
	struct rig_node *slow = make_laggard(rig, c);

	rig_start(slow);
	rig_hold(slow, WORKER_FETCH, true);
	for (int i = 0; i < 100 && !slow->replica->fetch_running; i++)
		rig_pass(rig, RIG_TICK_MS);
	rig_run(rig);
	rig_hold(slow, WORKER_LOG, true);
	rig_hold(slow, WORKER_FETCH, false);
	rig_run(rig);
	/* The image is sealed here, and its flip ordered. */
	assert_false(list_empty(&slow->queues[WORKER_LOG]));
	assert_int_equal(list_entry(slow->queues[WORKER_LOG].prev, struct job, link)->type,
			 JOB_INSTALL);
	rig_crash(slow);
	rig_start(slow);
	rig_pass(rig, 10000);
	rig_settle_and_check(rig);
	rig_free(rig);
}

static void a_leader_that_dies_during_the_fetch_is_replaced_as_source(void **state)
{
	struct rig *rig = start(3, 11, 1000, 30);
	struct rig_node *old = rig_leader(rig);
	struct rig_client *c = rig_client(rig, old, false);
	struct rig_node *slow = make_laggard(rig, c);

	old = rig_leader(rig);
	rig_start(slow);
	rig_hold(slow, WORKER_FETCH, true);
	rig_pass(rig, 2000);
	assert_true(slow->replica->fetch_running);
	rig_crash(old);
	rig_hold(slow, WORKER_FETCH, false);
	rig_pass(rig,
		 20000); /* the last two elect one; slow lacks the log, so the other one leads */
	rig_client_move(c, rig_leader(rig));
	append_many(c, 5, 10);
	assert_true(rig_info(slow).snapshots_installed >= 1);
	rig_settle_and_check(rig);
	rig_free(rig);
}

static void a_stale_image_is_refused(void **state)
{
	struct rig *rig = start(3, 12, 1000, 30);
	struct rig_node *leader = rig_leader(rig);
	struct rig_client *c = rig_client(rig, leader, false);
	struct rig_node *f = rig_follower(rig, 0);
	struct job_install *install = job_new(JOB_INSTALL, sizeof(*install));
	uint64_t before;

	append_many(c, 60, 100);
	rig_pass(rig, 2000);
	/* One at or below the applied index changes nothing, whoever asks for it. */
	install->meta.index = rig_info(f).raft.applied_index;
	install->meta.term = rig_info(f).raft.term;
	install->applied_index = rig_info(f).raft.applied_index;
	before = rig_info(f).raft.applied_index;
	list_add_tail(&f->queues[WORKER_LOG], &install->job.link);
	rig_run(rig);
	assert_int_equal(rig_info(f).snapshots_installed, 0);
	assert_true(rig_info(f).raft.applied_index >= before);
	append_many(c, 5, 10);
	rig_settle_and_check(rig);
	rig_free(rig);
}

/* Entries inside an image are applied by nobody one by one: the session table has their replies. */
static void answers_come_from_the_session_table_after_an_install(void **state)
{
	struct rig *rig = start(3, 13, 1000, 30);
	struct rig_node *leader = rig_leader(rig);
	struct rig_node *f = rig_follower(rig, 0);
	struct rig_client *busy = rig_client(rig, leader, false);
	struct rig_client *c = rig_client(rig, f, false);
	struct fs_request put = rig_kv_append("mine", "x");
	struct fs_request get = rig_kv_get("mine");
	struct rig_op *op;

	assert_int_equal(rig_call(c, &put)->status, 0);
	c->no_resend = true;
	rig_freeze(rig, leader, f, true); /* it can ask, but hears nothing */
	op = rig_send(c, &put);
	rig_run(rig);
	assert_string_equal(rig_local_get(leader, "mine"), "xx");
	for (int i = 0; i < 40 && rig_info(leader).raft.base_index <= rig_info(f).raft.last_index;
	     i++) {
		append_many(busy, 20, 1000);
		rig_pass(rig, 500);
	}
	assert_false(op->done);
	rig_cut(rig, leader, f); /* what it was sent is lost */
	rig_pass(rig, 500);
	rig_heal(rig);
	rig_pass(rig, 8000);
	assert_true(rig_info(f).snapshots_installed >= 1);
	assert_true(op->done);
	assert_int_equal(op->status, 0);
	assert_int_equal(op->sent, 1); /* nobody asked again */
	op = rig_call(c, &get);
	assert_int_equal(op->reply.data_len, 2);
	rig_settle_and_check(rig);
	rig_free(rig);
}

static void a_snapshot_that_cannot_be_made_is_reported_and_tried_again(void **state)
{
	struct rig *rig = start(1, 14, -1, 0);
	struct rig_node *node = rig_leader(rig);
	struct rig_client *c = rig_client(rig, node, false);
	struct job_snapshot *failed = job_new(JOB_SNAPSHOT, sizeof(*failed));

	append_many(c, 3, 100);
	node->replica->snapshot_running = true;
	err_set(&failed->job.err, -ENOSPC, "cannot write the image");
	failed->job.status = -ENOSPC;
	list_add_tail(&node->done, &failed->job.link);
	rig_run(rig);
	assert_non_null(strstr(rig_info(node).snapshot_error, "cannot write"));
	rig_pass(rig, 5000);
	assert_int_equal(rig_info(node).snapshots_made, 0);
	rig_pass(rig, 10000);
	assert_int_equal(rig_info(node).snapshots_made, 1);
	assert_string_equal(rig_info(node).snapshot_error, "");
	rig_free(rig);
}

static void a_restart_does_not_forget_how_much_was_logged(void **state)
{
	struct rig *rig = start(1, 15, -1, 40);
	struct rig_node *node = rig_leader(rig);
	struct rig_client *c = rig_client(rig, node, false);

	for (int round = 0; round < 3; round++) {
		append_many(c, 12, 10);
		rig_crash(node);
		rig_start(node);
		(void)rig_leader(rig);
		rig_client_move(c, node);
	}
	append_many(c, 12, 10);
	rig_pass(rig, 1000);
	assert_true(rig_info(node).raft.snapshot_index > 0);
	rig_free(rig);
}

static void a_store_that_failed_under_a_snapshot_ends_the_node(void **state)
{
	struct rig *rig = start(1, 15, -1, 0);
	struct rig_node *node = rig_leader(rig);

	rig->fatal_expected = true;
	store_poison(node->store, -EIO);
	replica_snapshot_now(node->replica);
	rig_run(rig);
	assert_true(node->failed);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(minus_one_makes_none_ever),
		cmocka_unit_test(a_threshold_in_bytes_makes_one_due),
		cmocka_unit_test(the_threshold_grows_with_the_state),
		cmocka_unit_test(an_interval_in_entries_makes_one_due),
		cmocka_unit_test(an_idle_node_makes_none_and_writes_nothing),
		cmocka_unit_test(the_log_is_cut_only_behind_a_snapshot_and_a_checkpoint),
		cmocka_unit_test(a_node_that_fell_behind_comes_back_by_a_snapshot),
		cmocka_unit_test(pieces_that_do_not_verify_are_fetched_again),
		cmocka_unit_test(a_leader_mends_its_damaged_image),
		cmocka_unit_test(a_node_whose_state_is_damaged_stops_where_others_have_the_data),
		cmocka_unit_test(a_single_node_goes_on_with_what_can_be_read),
		cmocka_unit_test(a_fetch_that_breaks_off_is_tried_again),
		cmocka_unit_test(killed_between_fetch_and_flip_it_starts_over),
		cmocka_unit_test(a_leader_that_dies_during_the_fetch_is_replaced_as_source),
		cmocka_unit_test(a_stale_image_is_refused),
		cmocka_unit_test(answers_come_from_the_session_table_after_an_install),
		cmocka_unit_test(a_snapshot_that_cannot_be_made_is_reported_and_tried_again),
		cmocka_unit_test(a_store_that_failed_under_a_snapshot_ends_the_node),
		cmocka_unit_test(a_restart_does_not_forget_how_much_was_logged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
