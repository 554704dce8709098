/* test_raft_wire.c - messages, configurations and metas <-> bytes. */
#include "tests/unit/raft/core_rig.h"

static struct raft_conf sample_conf(void)
{
	struct raft_conf conf = { .auto_leave = true, .count = 3 };

	conf.members[0] = (struct raft_member){ .id = 1, .role = RAFT_VOTER, .address = "a:1" };
	conf.members[1] =
		(struct raft_member){ .id = 7, .role = RAFT_VOTER_OUT | RAFT_LEARNER_NEXT };
	conf.members[2] = (struct raft_member){ .id = 9, .role = RAFT_LEARNER };
	memset(conf.members[2].address, 'x', RAFT_ADDRESS_MAX - 1);
	return conf;
}

static struct raft_message sample(uint8_t type)
{
	struct raft_message m = { .type = type,
				  .reject = type % 2,
				  .group = 3,
				  .from = 4,
				  .to = 5,
				  .term = 6,
				  .log_index = 7,
				  .log_term = 8,
				  .commit = 9,
				  .hint_index = 10,
				  .hint_term = 11,
				  .context = UINT64_MAX,
				  .incarnation = 13,
				  .campaign_transfer = type == RAFT_MSG_VOTE };

	if (type <= RAFT_MSG_HEARTBEAT_RESP) {
		bool answer = type == RAFT_MSG_APPEND_RESP || type == RAFT_MSG_HEARTBEAT_RESP;

		m.lease = (struct raft_lease_stamp){ .sent_ns = 21,
						     .echo_ns = 22,
						     .echo_incarnation = 23,
						     .length_ns = 24,
						     .grant_ns = answer ? 0 : 25,
						     .grant_index = 26,
						     .wanted = answer,
						     .surrendered = type == RAFT_MSG_APPEND_RESP };
	}
	if (type == RAFT_MSG_APPEND) {
		m.entry_count = 3;
		m.entries = mem_calloc(3, sizeof(m.entries[0]));
		for (size_t i = 0; i < 3; i++)
			m.entries[i] =
				(struct raft_entry){ .index = 8 + i,
						     .term = 6,
						     .type = RAFT_ENTRY_NORMAL,
						     .data = i == 0 ? NULL : blob_from("abc", i) };
	}
	if (type == RAFT_MSG_SNAPSHOT) {
		m.snapshot = mem_calloc(1, sizeof(*m.snapshot));
		*m.snapshot = rig_meta(20, 3, 3);
		m.snapshot->size_bytes = 1 << 20;
		memset(m.snapshot->root, 0xab, 32);
		m.snapshot->conf = sample_conf();
		m.snapshot->conf.index = 4;
	}
	return m;
}

static void messages_survive_the_wire(void **state)
{
	for (uint8_t type = RAFT_MSG_APPEND; type <= RAFT_MSG_TIMEOUT_NOW; type++) {
		struct raft_message m = sample(type), back = { .type = 0 };
		struct buf a = BUF_INIT, b = BUF_INIT;

		raft_message_encode(&m, &a);
		assert_int_equal(raft_message_decode(&back, a.data, a.len), 0);
		raft_message_encode(&back, &b);
		assert_int_equal(a.len, b.len);
		assert_memory_equal(a.data, b.data, a.len);
		assert_int_equal(back.type, type);
		assert_int_equal(back.reject, m.reject);
		assert_int_equal(back.campaign_transfer, m.campaign_transfer);
		assert_true(back.context == m.context && back.hint_term == 11 &&
			    back.incarnation == 13);
		assert_int_equal(back.entry_count, m.entry_count);
		assert_memory_equal(&back.lease, &m.lease, sizeof(m.lease));
		if (type == RAFT_MSG_APPEND) {
			assert_null(back.entries[0].data);
			assert_int_equal(back.entries[2].index, 10);
			assert_memory_equal(back.entries[2].data->data, "ab", 2);
		}
		if (type == RAFT_MSG_SNAPSHOT)
			assert_memory_equal(back.snapshot, m.snapshot, sizeof(*m.snapshot));
		raft_message_release(&m);
		raft_message_release(&back);
		buf_release(&a);
		buf_release(&b);
	}
}

static void truncated_messages_are_refused_at_every_byte(void **state)
{
	for (uint8_t type = RAFT_MSG_APPEND; type <= RAFT_MSG_TIMEOUT_NOW; type++) {
		struct raft_message m = sample(type), back = { .type = 99 };
		struct buf a = BUF_INIT;

		raft_message_encode(&m, &a);
		for (size_t len = 0; len < a.len; len++) {
			uint8_t *exact =
				mem_dup(a.data, len); /* so that a read past the end is seen */

			assert_int_equal(raft_message_decode(&back, exact, len), -EPROTO);
			free(exact);
		}
		buf_put_u8(&a, 0);
		assert_int_equal(raft_message_decode(&back, a.data, a.len), -EPROTO);
		assert_int_equal(back.type, 99);
		raft_message_release(&m);
		buf_release(&a);
	}
}

static void flipped_bits_never_crash_and_what_decodes_is_canonical(void **state)
{
	for (uint8_t type = RAFT_MSG_APPEND; type <= RAFT_MSG_TIMEOUT_NOW; type++) {
		struct raft_message m = sample(type);
		struct buf a = BUF_INIT, b = BUF_INIT;

		raft_message_encode(&m, &a);
		for (size_t bit = 0; bit < 8 * a.len; bit++) {
			struct raft_message back;

			a.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
			if (raft_message_decode(&back, a.data, a.len) == 0) {
				buf_reset(&b);
				raft_message_encode(&back, &b);
				assert_int_equal(a.len, b.len);
				assert_memory_equal(a.data, b.data, a.len);
				raft_message_release(&back);
			}
			a.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
		}
		raft_message_release(&m);
		buf_release(&a);
		buf_release(&b);
	}
}

static void configurations_survive_and_bad_ones_are_refused(void **state)
{
	struct raft_conf conf = sample_conf(), back = { .count = 99 };
	struct buf a = BUF_INIT;

	raft_conf_encode(&conf, &a);
	for (size_t len = 0; len < a.len; len++)
		assert_int_equal(raft_conf_decode(&back, a.data, len), -EPROTO);
	assert_int_equal(back.count, 99);
	assert_int_equal(raft_conf_decode(&back, a.data, a.len), 0);
	assert_memory_equal(&back, &conf, sizeof(conf));
	a.data[3 + 8] = RAFT_VOTER | RAFT_LEARNER; /* the first member's role */
	assert_int_equal(raft_conf_decode(&back, a.data, a.len), -EPROTO);
	a.data[3 + 8] = RAFT_VOTER;
	a.data[3] = 0; /* its id */
	assert_int_equal(raft_conf_decode(&back, a.data, a.len), -EPROTO);
	a.data[3] = 7; /* not ascending */
	assert_int_equal(raft_conf_decode(&back, a.data, a.len), -EPROTO);
	buf_release(&a);
}

static void metas_survive(void **state)
{
	struct raft_snapshot_meta meta = rig_meta(5, 2, 3), back;
	struct buf a = BUF_INIT;

	meta.conf.index = 3;
	meta.size_bytes = 12345;
	raft_snapshot_meta_encode(&meta, &a);
	for (size_t len = 0; len < a.len; len++)
		assert_int_equal(raft_snapshot_meta_decode(&back, a.data, len), -EPROTO);
	assert_int_equal(raft_snapshot_meta_decode(&back, a.data, a.len), 0);
	assert_memory_equal(&back, &meta, sizeof(meta));
	buf_release(&a);
}

static void names_are_known(void **state)
{
	assert_string_equal(raft_message_type_name(RAFT_MSG_APPEND), "append");
	assert_string_equal(raft_message_type_name(0), "unknown");
	assert_string_equal(raft_message_type_name(200), "unknown");
	assert_string_equal(raft_role_name(RAFT_LEADER), "leader");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_survive_the_wire),
		cmocka_unit_test(truncated_messages_are_refused_at_every_byte),
		cmocka_unit_test(flipped_bits_never_crash_and_what_decodes_is_canonical),
		cmocka_unit_test(configurations_survive_and_bad_ones_are_refused),
		cmocka_unit_test(metas_survive),
		cmocka_unit_test(names_are_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
