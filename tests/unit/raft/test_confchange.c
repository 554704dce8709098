/*
 * test_confchange.c - what changes make of configurations. The bulk of the cases are etcd's own
 * (tests/oracle); here is what they do not say: addresses, limits, bytes.
 */
#include "tests/unit/raft/core_rig.h"

#include "raft/membership.h"

static struct raft_conf_change joint(const struct raft_change *v)
{
	struct raft_conf_change change = { .transition = RAFT_JOINT_AUTO };

	for (; v[change.count].id != 0; change.count++)
		change.v[change.count] = v[change.count];
	return change;
}

static uint8_t role_of(const struct raft_conf *conf, uint64_t id)
{
	const struct raft_member *m = raft_conf_find(conf, id);

	return m == NULL ? 0 : m->role;
}

static void a_joint_configuration_keeps_the_old_half(void **state)
{
	struct raft_conf conf = rig_conf(3);
	struct raft_conf_change change =
		joint(CHANGES({ 4, RAFT_ADD_VOTER, "d:4" }, { 5, RAFT_ADD_LEARNER, "e:5" },
			      { 1, RAFT_REMOVE, "" }, { 2, RAFT_ADD_LEARNER, "" }));
	struct raft_conf_change leave = { .transition = RAFT_LEAVE_JOINT };

	assert_int_equal(raft_conf_change(&conf, &change, &conf, NULL), 0);
	assert_true(raft_conf_joint(&conf) && conf.auto_leave);
	assert_int_equal(role_of(&conf, 1), RAFT_VOTER_OUT);
	assert_int_equal(role_of(&conf, 2), RAFT_VOTER_OUT | RAFT_LEARNER_NEXT);
	assert_int_equal(role_of(&conf, 3), RAFT_VOTER | RAFT_VOTER_OUT);
	assert_int_equal(role_of(&conf, 4), RAFT_VOTER);
	assert_int_equal(role_of(&conf, 5), RAFT_LEARNER);
	assert_string_equal(raft_conf_find(&conf, 4)->address, "d:4");
	assert_int_equal(raft_conf_change(&conf, &leave, &conf, NULL), 0);
	assert_false(raft_conf_joint(&conf) || conf.auto_leave);
	assert_int_equal(role_of(&conf, 1), 0);
	assert_int_equal(role_of(&conf, 2), RAFT_LEARNER);
	assert_int_equal(role_of(&conf, 3), RAFT_VOTER);
	assert_int_equal(conf.count, 4);
}

static void an_update_changes_the_address_of_a_member_only(void **state)
{
	struct raft_conf conf = rig_conf(2);
	struct raft_conf_change change =
		joint(CHANGES({ 1, RAFT_UPDATE, "new:1" }, { 9, RAFT_UPDATE, "none:9" }));

	assert_int_equal(raft_conf_change(&conf, &change, &conf, NULL), 0);
	assert_string_equal(conf.members[0].address, "new:1");
	assert_int_equal(conf.count, 2);
	/* Whoever is named again without an address keeps it. */
	conf = rig_conf(2);
	memcpy(conf.members[1].address, "b:2", 4);
	change = joint(CHANGES({ 2, RAFT_ADD_LEARNER, "" }));
	assert_int_equal(raft_conf_change(&conf, &change, &conf, NULL), 0);
	assert_string_equal(conf.members[1].address, "b:2");
}

static void refused_changes_leave_the_result_untouched(void **state)
{
	struct raft_conf conf = rig_conf(RAFT_NODES_MAX), next = { .index = 77 };
	struct raft_conf_change change = joint(CHANGES({ 99, RAFT_ADD_LEARNER, "" }));
	struct err err = ERR_INIT;

	assert_int_equal(raft_conf_change(&conf, &change, &next, &err), -EINVAL);
	assert_string_equal(err.text, "more than 16 members");
	conf = rig_conf(1);
	change = joint(CHANGES({ 1, RAFT_REMOVE, "" }));
	assert_int_equal(raft_conf_change(&conf, &change, &next, &err), -EINVAL);
	assert_string_equal(err.text, "removed all voters");
	assert_int_equal(next.index, 77);
}

static void an_entry_is_a_configuration_or_a_change(void **state)
{
	struct raft_conf conf = rig_conf(3), two = rig_conf(2);
	struct raft_conf_change change = joint(CHANGES({ 1, RAFT_REMOVE, "" }));
	struct raft_entry e = { .index = 9, .type = RAFT_ENTRY_CONF };
	struct buf b = BUF_INIT;

	raft_conf_change_encode(&change, &b);
	e.data = blob_from(b.data, b.len);
	assert_int_equal(raft_conf_apply(&conf, &e), 0);
	assert_int_equal(conf.index, 9);
	assert_int_equal(role_of(&conf, 1), RAFT_VOTER_OUT);
	/* Into a joint configuration from one: changes nothing, on every replica alike. */
	e.index = 10;
	assert_int_equal(raft_conf_apply(&conf, &e), 0);
	assert_int_equal(conf.index, 10);
	assert_int_equal(conf.count, 3);
	blob_unref(e.data);
	buf_reset(&b);
	raft_conf_encode(&two, &b);
	e.data = blob_from(b.data, b.len);
	assert_int_equal(raft_conf_apply(&conf, &e), 0);
	assert_int_equal(conf.count, 2);
	blob_unref(e.data);
	buf_release(&b);
	e.data = NULL;
	assert_int_equal(raft_conf_apply(&conf, &e), -EPROTO);
	e.data = blob_from("\3\1\0", 3);
	assert_int_equal(raft_conf_apply(&conf, &e), -EPROTO);
	blob_unref(e.data);
}

static void changes_survive_their_bytes_and_bad_ones_are_refused(void **state)
{
	struct raft_conf_change change = joint(CHANGES({ 4, RAFT_ADD_VOTER, "d:4" },
						       { 1, RAFT_REMOVE, "" })),
				back = { .count = 5 };
	struct buf b = BUF_INIT;

	raft_conf_change_encode(&change, &b);
	for (size_t len = 0; len < b.len; len++)
		assert_int_equal(raft_conf_change_decode(&back, b.data, len), -EPROTO);
	assert_int_equal(raft_conf_change_decode(&back, b.data, b.len), 0);
	assert_memory_equal(&back, &change, sizeof(change));
	for (size_t at = 0; at < 3; at++) {
		uint8_t good = ((uint8_t *)b.data)[at];

		((uint8_t *)b.data)[at] = 200;
		assert_int_equal(raft_conf_change_decode(&back, b.data, b.len), -EPROTO);
		((uint8_t *)b.data)[at] = good;
	}
	((uint8_t *)b.data)[11] = 5; /* the first operation */
	assert_int_equal(raft_conf_change_decode(&back, b.data, b.len), -EPROTO);
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_joint_configuration_keeps_the_old_half),
		cmocka_unit_test(an_update_changes_the_address_of_a_member_only),
		cmocka_unit_test(refused_changes_leave_the_result_untouched),
		cmocka_unit_test(an_entry_is_a_configuration_or_a_change),
		cmocka_unit_test(changes_survive_their_bytes_and_bad_ones_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
