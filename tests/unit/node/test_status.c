/* test_status.c - what nodes tell each other once a second: space, positions, mounts. */
#include "tests/unit/node/node_rig.h"

static void every_node_knows_position_and_space_of_the_others(void **state)
{
	struct rig *rig = rig_new(3, 1);
	struct rig_client *c = rig_client(rig, rig_leader(rig), false);
	struct fs_request put = rig_kv_put("k", "v");

	assert_int_equal(rig_call(c, &put)->status, 0);
	rig_pass(rig, 5000);
	for (size_t i = 0; i < 3; i++) {
		struct replica_info info = rig_info(&rig->nodes[i]);

		assert_int_equal(info.peer_count, 2);
		for (size_t k = 0; k < 2; k++) {
			const struct rig_node *peer = &rig->nodes[info.peers[k].id - 1];

			assert_true(info.peers[k].connected);
			assert_true(info.peers[k].heard_ms_ago <= 1000);
			assert_int_equal(info.peers[k].applied_index, peer->replica->applied_index);
			assert_true(info.peers[k].total_bytes > 0);
			assert_false(info.peers[k].space_low);
		}
	}
	rig_free(rig);
}

static void a_node_that_is_gone_is_seen_to_be(void **state)
{
	struct rig *rig = rig_new(3, 2);
	struct rig_node *leader = rig_leader(rig), *gone = rig_follower(rig, 0);
	struct replica_info info;

	rig_pass(rig, 2000);
	rig_crash(gone);
	rig_pass(rig, 10000);
	info = rig_info(leader);
	for (size_t k = 0; k < 2; k++) {
		assert_int_equal(info.peers[k].connected, info.peers[k].id != gone->id);
		assert_int_equal(info.peers[k].heard_ms_ago >= 10000, info.peers[k].id == gone->id);
	}
	rig_free(rig);
}

static void short_space_anywhere_refuses_growth_and_lets_deletes_pass(void **state)
{
	struct rig *rig = rig_new(3, 3);
	struct rig_node *leader = rig_leader(rig), *full = rig_follower(rig, 0);
	struct rig_client *c = rig_client(rig, rig_follower(rig, 1), false);
	struct fs_request put = rig_kv_put("k", "v"), del = rig_kv_delete("k");

	assert_int_equal(rig_call(c, &put)->status, 0);
	full->fake_space =
		(struct store_space){ .total_bytes = 1000, .free_bytes = 10, .reserve_bytes = 100 };
	rig_pass(rig, 6000);
	assert_int_equal(rig_call(c, &put)->status, -ENOSPC);
	assert_int_equal(rig_call(c, &del)->status, 0);
	full->fake_space.free_bytes = 500;
	rig_pass(rig, 6000);
	assert_int_equal(rig_call(c, &put)->status, 0);
	/* The leader's own disk counts as much. */
	leader->fake_space =
		(struct store_space){ .total_bytes = 1000, .free_bytes = 10, .reserve_bytes = 100 };
	rig_pass(rig, 6000);
	assert_int_equal(rig_call(c, &put)->status, -ENOSPC);
	/* A full node that is gone hinders nobody. */
	leader->fake_space.free_bytes = 500;
	full->fake_space.free_bytes = 10;
	rig_pass(rig, 6000);
	assert_int_equal(rig_call(c, &put)->status, -ENOSPC);
	rig_crash(full);
	rig_pass(rig, 6000);
	assert_int_equal(rig_call(c, &put)->status, 0);
	full->fake_space.free_bytes = 500;
	rig_settle_and_check(rig);
	rig_free(rig);
}

static void mounts_of_followers_are_known_to_the_leader(void **state)
{
	struct rig *rig = rig_new(3, 4);
	struct rig_node *leader = rig_leader(rig);
	struct rig_client *mount = rig_client(rig, rig_follower(rig, 0), true);
	unsigned found = 0;

	(void)rig_client(rig, rig_follower(rig, 1), false); /* a tool holds nothing */
	rig_pass(rig, 3000);
	list_for_each (it, &leader->replica->sessions.all) {
		assert_memory_equal(list_entry(it, struct session, link)->uuid, mount->uuid,
				    KV_UUID_SIZE);
		found++;
	}
	assert_int_equal(found, 1);
	rig_free(rig);
}

static void a_frame_that_does_not_decode_changes_nothing(void **state)
{
	struct rig *rig = rig_new(3, 5);
	struct rig_node *leader = rig_leader(rig);
	uint64_t from = rig_follower(rig, 0)->id;
	uint8_t frame[42 + 33] = { 3, 1 }; /* space is low */

	rig_pass(rig, 3000);
	for (size_t len = 0; len < 42; len++)
		status_receive(leader->replica, from, frame, len);
	status_receive(leader->replica, from, frame, sizeof(frame) - 1); /* most of a client */
	frame[0] = 9; /* another version */
	status_receive(leader->replica, from, frame, sizeof(frame));
	frame[0] = 3;
	status_receive(leader->replica, 77, frame, sizeof(frame)); /* a stranger */
	assert_false(replica_peer(leader->replica, from)->space_low);
	assert_true(list_empty(&leader->replica->sessions.all));
	status_receive(leader->replica, from, frame, sizeof(frame));
	assert_true(replica_peer(leader->replica, from)->space_low);
	assert_false(list_empty(&leader->replica->sessions.all));
	rig_free(rig);
}

static void status_costs_no_entry(void **state)
{
	struct rig *rig = rig_new(3, 6);
	uint64_t last;

	(void)rig_client(rig, rig_leader(rig), true);
	rig_pass(rig, 5000);
	last = rig_info(rig_leader(rig)).raft.last_index;
	rig_pass(rig, 60000);
	assert_int_equal(rig_info(rig_leader(rig)).raft.last_index, last);
	assert_true(rig->frames_sent[NET_NODE_STATUS] >= 3 * 2 * 60);
	assert_true(rig->frames_sent[NET_NODE_STATUS] <= 3 * 2 * 75);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_node_knows_position_and_space_of_the_others),
		cmocka_unit_test(a_node_that_is_gone_is_seen_to_be),
		cmocka_unit_test(short_space_anywhere_refuses_growth_and_lets_deletes_pass),
		cmocka_unit_test(mounts_of_followers_are_known_to_the_leader),
		cmocka_unit_test(a_frame_that_does_not_decode_changes_nothing),
		cmocka_unit_test(status_costs_no_entry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
