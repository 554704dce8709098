/* test_call.c - ask and wait, and every way in which no answer comes. */
#include "tests/lib/unit.h"

#include "base/clock.h"
#include "tests/unit/net/echo_rig.h"
#include "tests/unit/net/scratch.h"

static const struct net_hello hello = { .role = NET_ROLE_ADMIN };

static void assert_four_parts(const struct err *err)
{
	assert_true(err->code < 0 && err->text[0] && err->still_works[0] && err->next[0]);
}

static void a_call_brings_the_answer(void **state)
{
	struct echo e;
	struct net_call *call = NULL;
	struct net_hello answer;
	struct buf reply = BUF_INIT;
	struct err err = ERR_INIT;

	echo_start(&e, "127.0.0.1:0", 77);
	assert_int_equal(net_call_open(e.address, &hello, 2000, &call, &answer, &err), 0);
	assert_int_equal(answer.node_id, 77);
	assert_memory_equal(answer.cluster, e.cluster, 16);
	for (int i = 0; i < 3; i++) {
		buf_reset(&reply);
		assert_int_equal(net_call(call, NET_ADMIN, "{}", 2, NET_ADMIN_REPLY, &reply, &err),
				 0);
		assert_int_equal(reply.len, 2);
		assert_memory_equal(reply.data, "{}", 2);
	}
	buf_release(&reply);
	net_call_close(call);
	echo_stop(&e);
}

static void the_largest_frame_passes_over_tcp_and_unix(void **state)
{
	static const char *const addresses[] = { "127.0.0.1:0", "unix:call-test.sock" };
	uint8_t *data = mem_calloc(1, NET_FRAME_PAYLOAD_MAX);

	for (size_t i = 0; i < NET_FRAME_PAYLOAD_MAX; i += 4096)
		store_le32(data + i, (uint32_t)i);
	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
		struct echo e;
		struct net_call *call = NULL;
		struct buf reply = BUF_INIT;

		echo_start(&e, addresses[i], 1);
		assert_int_equal(net_call_open(e.address, &hello, 5000, &call, NULL, NULL), 0);
		assert_int_equal(net_call(call, NET_ADMIN, data, NET_FRAME_PAYLOAD_MAX,
					  NET_ADMIN_REPLY, &reply, NULL),
				 0);
		assert_int_equal(reply.len, NET_FRAME_PAYLOAD_MAX);
		assert_int_equal(memcmp(reply.data, data, reply.len), 0);
		buf_release(&reply);
		assert_int_equal(net_call(call, NET_ADMIN, data, NET_FRAME_PAYLOAD_MAX + 1u,
					  NET_ADMIN_REPLY, &reply, NULL),
				 -EMSGSIZE);
		net_call_close(call);
		echo_stop(&e);
	}
	free(data);
}

static void a_refusal_arrives_with_its_four_parts(void **state)
{
	struct echo e;
	struct net_call *call = NULL;
	struct err err = ERR_INIT;

	echo_start(&e, "127.0.0.1:0", 1);
	e.refuse = -EXDEV;
	assert_int_equal(net_call_open(e.address, &hello, 2000, &call, NULL, &err), -EXDEV);
	assert_string_equal(err.text, "this node belongs to another cluster");
	assert_string_equal(err.still_works, "that cluster");
	assert_string_equal(err.next, "quorumfs status --there");
	assert_null(call);
	echo_stop(&e);
}

static void another_cluster_or_node_than_expected_is_noticed(void **state)
{
	struct net_hello other = { .role = NET_ROLE_ADMIN, .cluster = { 9 } };
	struct net_hello third = { .role = NET_ROLE_ADMIN, .to_node_id = 3 };
	struct echo e;
	struct net_call *call = NULL;
	struct err err = ERR_INIT;

	echo_start(&e, "127.0.0.1:0", 1);
	assert_int_equal(net_call_open(e.address, &other, 2000, &call, NULL, &err), -EXDEV);
	assert_four_parts(&err);
	assert_int_equal(net_call_open(e.address, &third, 2000, &call, NULL, &err), -EXDEV);
	assert_four_parts(&err);
	echo_stop(&e);
}

static void nobody_there_says_to_start_the_node(void **state)
{
	struct echo e;
	struct net_call *call = NULL;
	struct err err = ERR_INIT;

	echo_start(&e, "127.0.0.1:0", 1);
	echo_stop(&e);
	assert_int_equal(net_call_open(e.address, &hello, 2000, &call, NULL, &err), -ECONNREFUSED);
	assert_four_parts(&err);
	assert_non_null(strstr(err.next, "start the node"));
	assert_int_equal(net_call_open("unix:none.sock", &hello, 2000, &call, NULL, &err),
			 -ECONNREFUSED);
	assert_four_parts(&err);
	assert_int_equal(net_call_open("a b", &hello, 2000, &call, NULL, &err), -EINVAL);
	assert_four_parts(&err);
}

static void silence_ends_with_a_timeout_and_spoils_the_connection(void **state)
{
	struct echo e;
	struct net_call *call = NULL;
	struct buf reply = BUF_INIT;
	struct err err = ERR_INIT;
	uint64_t began = clock_boot_ms();

	echo_start(&e, "127.0.0.1:0", 1);
	assert_int_equal(net_call_open(e.address, &hello, 200, &call, NULL, &err), 0);
	assert_int_equal(net_call(call, NET_BULK, "x", 1, NET_BULK_REPLY, &reply, &err),
			 -ETIMEDOUT);
	assert_four_parts(&err);
	assert_in_range(clock_boot_ms() - began, 190, 2000);
	assert_true(net_call(call, NET_ADMIN, "x", 1, NET_ADMIN_REPLY, &reply, &err) < 0);
	net_call_close(call);
	echo_freeze(&e);
	assert_int_equal(net_call_open(e.address, &hello, 200, &call, NULL, &err), -ETIMEDOUT);
	assert_four_parts(&err);
	echo_thaw(&e);
	echo_stop(&e);
}

static void a_host_name_is_resolved(void **state)
{
	struct echo e;
	struct net_call *call = NULL;
	char address[64];

	echo_start(&e, "127.0.0.1:0", 1);
	snprintf(address, sizeof(address), "localhost:%d", net_server_port(e.server));
	assert_int_equal(net_call_open(address, &hello, 2000, &call, NULL, NULL), 0);
	net_call_close(call);
	echo_stop(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_brings_the_answer),
		cmocka_unit_test(the_largest_frame_passes_over_tcp_and_unix),
		cmocka_unit_test(a_refusal_arrives_with_its_four_parts),
		cmocka_unit_test(another_cluster_or_node_than_expected_is_noticed),
		cmocka_unit_test(nobody_there_says_to_start_the_node),
		cmocka_unit_test(silence_ends_with_a_timeout_and_spoils_the_connection),
		cmocka_unit_test(a_host_name_is_resolved),
	};

	return cmocka_run_group_tests(tests, scratch_enter, scratch_leave);
}
