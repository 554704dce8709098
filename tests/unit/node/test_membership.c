/*
 * test_membership.c - changes of members through whole nodes: their entries stand between batches of
 * the evaluator, reach every state, and survive restarts. How a program asks for a change, and how a
 * newcomer gets its store, is not here: the changes are put to the leader's core.
 */
#include "tests/unit/node/node_rig.h"

#include "raft/raft_internal.h"

static enum raft_conf_result change(struct rig_node *n, uint64_t id, uint8_t op)
{
	struct raft_conf_change c = { .transition = RAFT_JOINT_AUTO,
				      .count = 1,
				      .v = { { .id = id, .op = op } } };
	struct raft_input in = { .type = RAFT_IN_CONF_CHANGE, .conf_change = { &c } };

	assert_int_equal(replica_step(n->replica, &in), 0);
	return n->replica->raft->conf_result;
}

static const struct raft_conf *stored_conf(struct rig_node *n, struct kv_meta *meta)
{
	struct kv_view *view = NULL;
	struct kv *kv = NULL;

	assert_int_equal(kv_slot_view(&n->shared.slot, &view, &kv, NULL), 0);
	*meta = *kv_view_meta(view);
	kv_view_close(view);
	kv_unref(kv);
	return &meta->conf;
}

static uint8_t role_of(const struct raft_conf *conf, uint64_t id)
{
	const struct raft_member *m = raft_conf_find(conf, id);

	return m == NULL ? 0 : m->role;
}

/* What is in force and what the state holds, on the nodes that are members. */
static void expect_role(struct rig *rig, uint64_t id, uint8_t role)
{
	for (size_t i = 0; i < rig->count; i++) {
		struct rig_node *n = &rig->nodes[i];
		struct kv_meta meta;

		if (!n->up || n->id == id)
			continue;
		RIG_ASSERT(rig, role_of(replica_conf(n->replica), id) == role);
		RIG_ASSERT(rig, role_of(stored_conf(n, &meta), id) == role);
		RIG_ASSERT(rig, meta.conf.index == replica_conf(n->replica)->index);
		RIG_ASSERT(rig, !raft_conf_joint(replica_conf(n->replica)));
	}
}

static void put(struct rig_client *c, const char *value)
{
	struct fs_request rq = rig_kv_put("k", value);

	assert_int_equal(rig_call(c, &rq)->status, 0);
}

static void members_change_between_writes(void **state)
{
	struct rig *rig = rig_new(3, 11);
	struct rig_node *leader = rig_leader(rig), *follower = rig_follower(rig, 0);
	struct rig_client *c = rig_client(rig, leader, false);

	put(c, "1");
	assert_int_equal(change(leader, follower->id, RAFT_ADD_LEARNER), RAFT_CONF_APPENDED);
	put(c,
	    "2"); /* the entry of the change stands between this one and what it was evaluated on */
	rig_pass(rig, 1000);
	expect_role(rig, follower->id, RAFT_LEARNER);
	put(c, "3");
	assert_int_equal(change(leader, follower->id, RAFT_ADD_VOTER), RAFT_CONF_APPENDED);
	put(c, "4");
	rig_pass(rig, 1000);
	expect_role(rig, follower->id, RAFT_VOTER);
	rig_settle_and_check(rig);
	rig_free(rig);
}

/* Its stamp is the index of an entry that the evaluator did not make. */
static void a_session_begins_behind_a_change_of_members(void **state)
{
	struct rig *rig = rig_new(3, 12);
	struct rig_node *leader = rig_leader(rig);

	put(rig_client(rig, leader, false), "1");
	assert_int_equal(change(leader, rig_follower(rig, 0)->id, RAFT_ADD_LEARNER),
			 RAFT_CONF_APPENDED);
	rig_pass(rig, 1000);
	put(rig_client(rig, leader, false), "2");
	rig_settle_and_check(rig);
	rig_free(rig);
}

static void a_changed_configuration_survives_restarts(void **state)
{
	struct rig *rig = rig_new(3, 12);
	struct rig_node *leader = rig_leader(rig), *gone = rig_follower(rig, 1);
	struct rig_client *c = rig_client(rig, leader, false);

	put(c, "1");
	assert_int_equal(change(leader, gone->id, RAFT_REMOVE), RAFT_CONF_APPENDED);
	rig_pass(rig, 1000);
	rig_crash(gone);
	expect_role(rig, gone->id, 0);
	put(c, "2");
	rig_client_move(c, NULL);
	for (size_t i = 0; i < 3; i++) {
		if (&rig->nodes[i] != gone) {
			rig_crash(&rig->nodes[i]);
			rig_start(&rig->nodes[i]);
		}
	}
	leader = rig_leader(rig);
	expect_role(rig, gone->id, 0);
	rig_client_move(c, leader);
	put(c, "3"); /* two of two */
	expect_role(rig, gone->id, 0);
	rig_free(rig);
}

static void a_leader_that_is_removed_hands_over(void **state)
{
	struct rig *rig = rig_new(3, 13);
	struct rig_node *old = rig_leader(rig), *next;
	struct rig_client *c = rig_client(rig, rig_follower(rig, 0), false);

	put(c, "1");
	assert_int_equal(change(old, old->id, RAFT_REMOVE), RAFT_CONF_APPENDED);
	rig_pass(rig, 1000);
	rig_crash(old);
	next = rig_leader(rig);
	RIG_ASSERT(rig, next != old);
	expect_role(rig, old->id, 0);
	put(c, "2");
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_change_between_writes),
		cmocka_unit_test(a_session_begins_behind_a_change_of_members),
		cmocka_unit_test(a_changed_configuration_survives_restarts),
		cmocka_unit_test(a_leader_that_is_removed_hands_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
