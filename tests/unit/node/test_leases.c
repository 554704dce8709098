/*
 * test_leases.c - reads under leases through real replicas: what they cost, and what they hold up.
 * The rules themselves are the core's, see tests/unit/raft/test_lease.c.
 */
#include "tests/unit/node/node_rig.h"

#define LEASE_MS 400u

static struct rig *with_leases(size_t count, uint64_t seed)
{
	struct rig *rig = rig_new(count, seed);

	for (size_t i = 0; i < count; i++)
		rig_crash(&rig->nodes[i]);
	rig->lease_ns = LEASE_MS * 1000000ull;
	for (size_t i = 0; i < count; i++)
		rig_start(&rig->nodes[i]);
	rig_heal(rig);
	(void)rig_leader(rig);
	rig_pass(rig, 1000);
	return rig;
}

/* Reads until the node has a lease; it comes with the heartbeats that follow a read. */
static void warm_up(struct rig *rig, struct rig_client *c)
{
	struct fs_request get = rig_kv_get("k");

	rig_op_free(rig_call(c, &get));
	for (int i = 0; i < 10 && rig_info(c->node).raft.lease.remaining_ns == 0; i++)
		rig_pass(rig, 100);
	assert_true(rig_info(c->node).raft.lease.remaining_ns > 0);
}

static void a_member_under_a_lease_reads_without_a_message(void **state)
{
	struct rig *rig = with_leases(3, 1);
	struct rig_client *writer = rig_client(rig, rig_leader(rig), false);
	struct rig_client *reader = rig_client(rig, rig_follower(rig, 0), false);
	struct fs_request put = rig_kv_put("k", "v"), get = rig_kv_get("k");
	struct replica_info before;
	struct rig_op *op;

	assert_int_equal(rig_call(writer, &put)->status, 0);
	warm_up(rig, reader);
	before = rig_info(reader->node);
	rig_isolate(reader->node);
	op = rig_send(reader, &get);
	rig_run(rig); /* no time passes, and nothing could arrive */
	assert_true(op->done);
	assert_memory_equal(op->reply.data, "v", 1);
	assert_int_equal(rig_info(reader->node).local_reads, before.local_reads + 1);
	assert_int_equal(rig_info(reader->node).index_reads, before.index_reads);
	rig_pass(rig, 2 * LEASE_MS);
	op = rig_send(reader, &get);
	rig_pass(rig, 2000);
	assert_false(op->done); /* the lease ended */
	rig_heal(rig);
	rig_wait(op, rig);
	rig_free(rig);
}

static void the_leader_reads_and_confirms_errors_without_a_message(void **state)
{
	struct rig *rig = with_leases(3, 2);
	struct rig_node *leader = rig_leader(rig);
	struct rig_client *c = rig_client(rig, leader, false);
	struct fs_request get = rig_kv_get("k"), missing = rig_kv_delete("missing");
	struct rig_op *op, *error;

	rig_pass(rig, 200);
	rig_isolate(leader);
	op = rig_send(c, &get);
	rig_run(rig);
	assert_true(op->done);
	error = rig_send(c, &missing);
	rig_run(rig);
	assert_true(error->done);
	assert_int_equal(error->status, -ENOENT);
	rig_heal(rig);
	rig_free(rig);
}

static void an_acknowledged_write_is_seen_at_once_under_every_lease(void **state)
{
	struct rig *rig = with_leases(3, 3);
	struct rig_client *writer = rig_client(rig, rig_leader(rig), false);
	struct rig_client *slow = rig_client(rig, rig_follower(rig, 0), false);
	struct fs_request put = rig_kv_put("k", "old"), get = rig_kv_get("k");
	struct rig_op *op, *read;

	assert_int_equal(rig_call(writer, &put)->status, 0);
	warm_up(rig, slow);
	rig_freeze(rig, rig_leader(rig), slow->node, true);
	put = rig_kv_put("k", "new");
	op = rig_send(writer, &put);
	rig_run(rig);
	assert_false(op->done); /* a majority has it, the holder has not */
	read = rig_send(slow, &get);
	rig_run(rig);
	assert_true(read->done);
	assert_memory_equal(read->reply.data, "old", 3);
	rig_wait(op, rig); /* once the lease has ended */
	read = rig_send(slow, &get);
	rig_run(rig);
	assert_false(read->done);
	rig_freeze(rig, rig_leader(rig), slow->node, false);
	rig_wait(read, rig);
	assert_memory_equal(read->reply.data, "new", 3);
	rig_settle_and_check(rig);
	rig_free(rig);
}

static void a_node_that_leaves_gives_its_lease_back(void **state)
{
	struct rig *rig = with_leases(3, 4);
	struct rig_client *writer = rig_client(rig, rig_leader(rig), false);
	struct rig_client *reader = rig_client(rig, rig_follower(rig, 0), false);
	struct fs_request put = rig_kv_put("k", "v");
	struct rig_node *node = reader->node;
	struct rig_op *op;

	assert_int_equal(rig_call(writer, &put)->status, 0);
	warm_up(rig, reader);
	assert_true(rig_info(rig_leader(rig)).raft.lease.holders > 0);
	replica_leave(node->replica);
	rig_run(rig);
	rig_isolate(node);
	op = rig_send(writer, &put);
	rig_run(rig);
	assert_true(op->done);
	rig_heal(rig);
	rig_free(rig);
}

static void nobody_who_does_not_read_holds_up_commits(void **state)
{
	struct rig *rig = with_leases(3, 5);
	struct rig_client *writer = rig_client(rig, rig_leader(rig), false);
	struct fs_request put = rig_kv_put("k", "v");
	struct rig_op *op;

	assert_int_equal(rig_call(writer, &put)->status, 0);
	rig_pass(rig, 1000);
	rig_isolate(rig_follower(rig, 0));
	op = rig_send(writer, &put);
	rig_run(rig);
	assert_true(op->done);
	rig_heal(rig);
	rig_free(rig);
}

/* A successor who heard this node in its term waits for nobody here. */
static void a_board_ends_with_the_lease_it_tells_of(void **state)
{
	struct rig *rig = with_leases(3, 6);
	struct rig_node *leader = rig_leader(rig), *f = rig_follower(rig, 0);
	struct rig_client *reader = rig_client(rig, f, false);
	uint64_t term = rig_info(f).raft.term;

	warm_up(rig, reader);
	assert_true(f->board->until_ns > 0);
	assert_int_equal(f->board->until_ns, raft_lease_end_ns(f->replica->raft));
	rig_crash(leader);
	for (int i = 0; i < 200 && rig_info(f).raft.term == term; i++)
		rig_pass(rig, RIG_TICK_MS);
	assert_true(rig_info(f).raft.term > term);
	assert_int_equal(f->board->until_ns, raft_lease_end_ns(f->replica->raft));
	rig_free(rig);
}

static void a_board_tells_of_an_entry_before_its_node_answers_for_it(void **state)
{
	struct rig *rig = with_leases(3, 7);
	struct rig_node *f = rig_follower(rig, 0);
	struct rig_client *c = rig_client(rig, rig_leader(rig), false);
	struct fs_request make = { .op = FS_MKDIR, .ino = FS_ROOT_INO, .name = "d", .name_len = 1, .mode = 0755 };
	uint32_t slot = fs_slot_of_name(FS_ROOT_INO, "d", 1);
	uint64_t before = fs_board_changed(f->board, slot);

	rig_hold(f, WORKER_LOG, true);
	assert_int_equal(rig_call(c, &make)->status, 0);
	assert_true(fs_board_changed(f->board, slot) > before);
	assert_true(fs_board_changed(f->board, fs_slot_of_ino(FS_ROOT_INO)) > before);
	rig_hold(f, WORKER_LOG, false);
	rig_settle_and_check(rig);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_member_under_a_lease_reads_without_a_message),
		cmocka_unit_test(the_leader_reads_and_confirms_errors_without_a_message),
		cmocka_unit_test(an_acknowledged_write_is_seen_at_once_under_every_lease),
		cmocka_unit_test(a_node_that_leaves_gives_its_lease_back),
		cmocka_unit_test(nobody_who_does_not_read_holds_up_commits),
		cmocka_unit_test(a_board_ends_with_the_lease_it_tells_of),
		cmocka_unit_test(a_board_tells_of_an_entry_before_its_node_answers_for_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
