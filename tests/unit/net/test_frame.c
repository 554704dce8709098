/* test_frame.c - a frame comes back as it was sealed, and nothing else passes for one. */
#include "tests/lib/unit.h"

#include "base/prng.h"
#include "net/frame.h"

static const uint8_t cluster[16] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 };

static bool accepted(const uint8_t *bytes, size_t len)
{
	struct net_frame_header h;

	return len >= NET_FRAME_HEADER_SIZE && net_frame_open(&h, bytes, NULL) == 0 &&
	       h.payload_len <= len - NET_FRAME_HEADER_SIZE &&
	       net_frame_verify(&h, bytes, bytes + NET_FRAME_HEADER_SIZE, NULL) == 0;
}

static void fill(struct prng *p, uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)prng_u64(p);
}

static void a_frame_comes_back_whatever_the_split(void **state)
{
	static const size_t lens[] = {
		0, 1, 15, 16, 17, 239, 240, 241, 1024, 4095, 70000, 1 << 20
	};
	struct prng p;

	prng_init(&p, 7);
	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		uint8_t *bytes = mem_alloc(NET_FRAME_HEADER_SIZE + lens[i]);
		uint8_t *payload = bytes + NET_FRAME_HEADER_SIZE;
		size_t cuts[] = { 0, lens[i], lens[i] / 2, (size_t)prng_below(&p, lens[i] + 1) };
		uint8_t first[NET_FRAME_HEADER_SIZE];
		struct net_frame_header h;

		fill(&p, payload, lens[i]);
		for (size_t k = 0; k < ARRAY_SIZE(cuts); k++) {
			net_frame_seal(bytes, NET_CLIENT, cluster, 3, payload, cuts[k],
				       payload + cuts[k], lens[i] - cuts[k]);
			if (k == 0)
				memcpy(first, bytes, sizeof(first));
			assert_memory_equal(first, bytes, sizeof(first));
		}
		assert_int_equal(net_frame_open(&h, bytes, NULL), 0);
		assert_int_equal(h.type, NET_CLIENT);
		assert_int_equal(h.group, 3);
		assert_int_equal(h.payload_len, lens[i]);
		assert_memory_equal(h.cluster, cluster, 16);
		assert_int_equal(net_frame_verify(&h, bytes, payload, NULL), 0);
		free(bytes);
	}
}

static void one_flipped_bit_is_never_accepted(void **state)
{
	uint8_t bytes[NET_FRAME_HEADER_SIZE + 61];
	struct prng p;

	prng_init(&p, 11);
	fill(&p, bytes, sizeof(bytes));
	net_frame_seal(bytes, NET_RAFT, cluster, 0, bytes + NET_FRAME_HEADER_SIZE, 61, NULL, 0);
	assert_true(accepted(bytes, sizeof(bytes)));
	for (size_t bit = 0; bit < 8 * sizeof(bytes); bit++) {
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(accepted(bytes, sizeof(bytes)));
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void a_cut_frame_is_never_accepted(void **state)
{
	uint8_t bytes[NET_FRAME_HEADER_SIZE + 61] = { 0 };

	net_frame_seal(bytes, NET_RAFT, cluster, 0, bytes + NET_FRAME_HEADER_SIZE, 61, NULL, 0);
	for (size_t len = 0; len < sizeof(bytes); len++)
		assert_false(accepted(bytes, len));
}

static void garbage_is_never_accepted(void **state)
{
	uint8_t bytes[NET_FRAME_HEADER_SIZE + 256];
	struct prng p;

	prng_init(&p, 13);
	for (int i = 0; i < 20000; i++) {
		fill(&p, bytes, sizeof(bytes));
		if (i % 2 == 0)
			memcpy(bytes, "QFSN\1\20\0", 8);
		assert_false(accepted(bytes, sizeof(bytes)));
	}
}

static void another_version_is_named_in_the_error(void **state)
{
	uint8_t bytes[NET_FRAME_HEADER_SIZE];
	struct net_frame_header h;
	struct err err = ERR_INIT;

	net_frame_seal(bytes, NET_PING, cluster, 0, NULL, 0, NULL, 0);
	bytes[4] = 9;
	assert_int_equal(net_frame_open(&h, bytes, &err), -EPROTO);
	assert_non_null(strstr(err.text, "version 9"));
}

static void a_length_above_the_limit_is_refused(void **state)
{
	uint8_t bytes[NET_FRAME_HEADER_SIZE];
	struct net_frame_header h;

	net_frame_seal(bytes, NET_PING, cluster, 0, NULL, 0, NULL, 0);
	store_le32(bytes + 28, NET_FRAME_PAYLOAD_MAX + 1);
	assert_int_equal(net_frame_open(&h, bytes, NULL), -EPROTO);
}

static void hello_comes_back_and_cut_or_long_ones_do_not(void **state)
{
	struct net_hello in = { .role = NET_ROLE_CLIENT,
				.group = 4,
				.node_id = 5,
				.to_node_id = 6,
				.incarnation = 7,
				.uuid = { 9, 8, 7 } };
	struct net_hello out;
	struct buf b = BUF_INIT;

	memcpy(in.cluster, cluster, 16);
	net_hello_encode(&in, &b);
	assert_int_equal(net_hello_decode(&out, b.data, b.len), 0);
	assert_int_equal(out.role, in.role);
	assert_int_equal(out.group, in.group);
	assert_int_equal(out.node_id, in.node_id);
	assert_int_equal(out.to_node_id, in.to_node_id);
	assert_int_equal(out.incarnation, in.incarnation);
	assert_memory_equal(out.uuid, in.uuid, 16);
	assert_memory_equal(out.cluster, cluster, 16);
	for (size_t len = 0; len < b.len; len++)
		assert_int_equal(net_hello_decode(&out, b.data, len), -EPROTO);
	buf_put_u8(&b, 0);
	assert_int_equal(net_hello_decode(&out, b.data, b.len), -EPROTO);
	b.data[1] = NET_ROLE_BULK + 1;
	assert_int_equal(net_hello_decode(&out, b.data, b.len - 1), -EPROTO);
	buf_release(&b);
}

static void a_refusal_keeps_its_four_parts(void **state)
{
	struct err in, out;
	struct buf b = BUF_INIT;

	err_set(&in, -EXDEV, "this node belongs to another cluster");
	err_advise(&in, "this cluster", "quorumfs status");
	net_refused_encode(&in, &b);
	assert_int_equal(net_refused_decode(&out, b.data, b.len), -EXDEV);
	assert_string_equal(out.text, in.text);
	assert_string_equal(out.still_works, in.still_works);
	assert_string_equal(out.next, in.next);
	for (size_t len = 0; len < b.len; len++)
		assert_int_equal(net_refused_decode(&out, b.data, len), -EPROTO);
	buf_release(&b);
}

static void a_refusal_cannot_forge_lines_on_a_terminal(void **state)
{
	struct err in, out;
	struct buf b = BUF_INIT;

	err_set(&in, -EPERM, "no\n\033[2Jyes");
	net_refused_encode(&in, &b);
	assert_int_equal(net_refused_decode(&out, b.data, b.len), -EPERM);
	assert_string_equal(out.text, "no??[2Jyes");
	buf_release(&b);
}

static void frames_of_another_cluster_or_group_are_told_apart(void **state)
{
	struct net_frame_header h = { .group = 2 };
	struct err err = ERR_INIT;

	memcpy(h.cluster, cluster, 16);
	assert_int_equal(net_frame_check_home(&h, cluster, 2, &err), 0);
	assert_int_equal(net_frame_check_home(&h, cluster, 1, &err), -EXDEV);
	h.cluster[15] ^= 1;
	assert_int_equal(net_frame_check_home(&h, cluster, 2, &err), -EXDEV);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_frame_comes_back_whatever_the_split),
		cmocka_unit_test(one_flipped_bit_is_never_accepted),
		cmocka_unit_test(a_cut_frame_is_never_accepted),
		cmocka_unit_test(garbage_is_never_accepted),
		cmocka_unit_test(another_version_is_named_in_the_error),
		cmocka_unit_test(a_length_above_the_limit_is_refused),
		cmocka_unit_test(hello_comes_back_and_cut_or_long_ones_do_not),
		cmocka_unit_test(a_refusal_keeps_its_four_parts),
		cmocka_unit_test(a_refusal_cannot_forge_lines_on_a_terminal),
		cmocka_unit_test(frames_of_another_cluster_or_group_are_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
