/* test_wire.c - messages between clients and nodes as bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/prng.h"
#include "fs/fs_wire.h"

static struct fs_msg full_msg(void)
{
	return (struct fs_msg){ .type = FS_MSG_REPLY,
				.flags = FS_MSG_RETRY | FS_MSG_HOLDER | FS_MSG_EXPIRED,
				.uuid = { 1, 2, 3, [15] = 16 },
				.tag = UINT64_MAX,
				.seq = 5,
				.low = 4,
				.session_id = 7,
				.stamp = 0x1122334455667788,
				.ttl_ms = 30000,
				.status = -EEXIST,
				.has_leader = true,
				.body = (const uint8_t *)"12345678",
				.body_len = 8 };
}

static void a_message_survives_the_wire(void **state)
{
	struct fs_msg a = full_msg(), b;
	struct buf out = BUF_INIT;

	fs_msg_encode(&a, &out);
	assert_int_equal(out.len, 68 + 8);
	assert_int_equal(fs_msg_decode(&b, out.data, out.len), 0);
	assert_int_equal(b.type, a.type);
	assert_int_equal(b.flags, a.flags);
	assert_memory_equal(b.uuid, a.uuid, sizeof(a.uuid));
	assert_true(b.tag == a.tag);
	assert_int_equal(b.seq, 5);
	assert_int_equal(b.low, 4);
	assert_int_equal(b.session_id, 7);
	assert_true(b.stamp == a.stamp);
	assert_int_equal(b.ttl_ms, 30000);
	assert_int_equal(b.status, -EEXIST);
	assert_true(b.has_leader);
	assert_int_equal(b.body_len, 8);
	assert_ptr_equal(b.body, out.data + 68);
	buf_release(&out);
}

/* The session sends a head made of an empty body, and the request behind it. */
static void a_body_may_follow_the_head(void **state)
{
	struct fs_msg head = { .type = FS_MSG_REQUEST }, got;
	struct buf out = BUF_INIT;

	fs_msg_encode(&head, &out);
	buf_put(&out, "request", 7);
	assert_int_equal(fs_msg_decode(&got, out.data, out.len), 0);
	assert_int_equal(got.body_len, 7);
	assert_memory_equal(got.body, "request", 7);
	buf_release(&out);
}

static void a_cut_head_is_refused(void **state)
{
	struct fs_msg m = full_msg(), got = { .tag = 99 };
	struct buf out = BUF_INIT;

	fs_msg_encode(&m, &out);
	for (size_t len = 0; len < 68; len++)
		assert_int_equal(fs_msg_decode(&got, out.data, len), -EPROTO);
	assert_int_equal(got.tag, 99);
	buf_release(&out);
}

static void each_type_has_its_form(void **state)
{
	static const struct {
		uint8_t type;
		size_t body;
		int32_t status;
		int want;
	} cases[] = {
		{ 0, 0, 0, -EPROTO },
		{ FS_MSG_REQUEST, 1, 0, 0 },
		{ FS_MSG_REQUEST, 0, 0, -EPROTO },
		{ FS_MSG_REPLY, 0, -EIO, 0 },
		{ FS_MSG_REPLY, 9, 0, 0 },
		{ FS_MSG_REPLY, 0, 1, -EPROTO },
		{ FS_MSG_RESEND, 0, 0, 0 },
		{ FS_MSG_RESEND, 1, 0, -EPROTO },
		{ FS_MSG_QUERY, 16, 0, 0 },
		{ FS_MSG_QUERY, 0, 0, 0 },
		{ FS_MSG_QUERY, 9, 0, -EPROTO },
		{ FS_MSG_ANSWER, 8, 0, 0 },
		{ FS_MSG_ANSWER, 7, 0, -EPROTO },
		{ FS_MSG_BYE, 0, 0, 0 },
		{ FS_MSG_ALIVE, 0, 0, 0 },
		{ FS_MSG_STATE, 0, 0, 0 },
		{ FS_MSG_STATE, 8, 0, -EPROTO },
		{ FS_MSG_KEPT, 0, 0, 0 },
		{ FS_MSG_KEPT, 1, 0, -EPROTO },
		{ FS_MSG_BOARD, 0, 0, 0 },
		{ FS_MSG_BOARD, 8, 0, -EPROTO },
		{ FS_MSG_RECALL, 16, 0, 0 },
		{ FS_MSG_RECALL, 0, 0, -EPROTO },
		{ FS_MSG_RECALL, 8, 0, -EPROTO },
		{ FS_MSG_RECALL + 1, 0, 0, -EPROTO },
		{ 255, 0, 0, -EPROTO },
	};
	static const uint8_t body[16];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fs_msg m = { .type = cases[i].type,
				    .status = cases[i].status,
				    .body = body,
				    .body_len = cases[i].body },
			      got;
		struct buf out = BUF_INIT;

		fs_msg_encode(&m, &out);
		assert_int_equal(fs_msg_decode(&got, out.data, out.len), cases[i].want);
		buf_release(&out);
	}
}

static void unknown_versions_and_flags_are_refused(void **state)
{
	struct fs_msg m = full_msg(), got;
	struct buf out = BUF_INIT;

	fs_msg_encode(&m, &out);
	out.data[0] = 1;
	assert_int_equal(fs_msg_decode(&got, out.data, out.len), -EPROTO);
	out.data[0] = 4;
	out.data[2] = 0x80;
	assert_int_equal(fs_msg_decode(&got, out.data, out.len), -EPROTO);
	out.data[2] = 0;
	out.data[3] = 2;
	assert_int_equal(fs_msg_decode(&got, out.data, out.len), -EPROTO);
	buf_release(&out);
}

static void random_bytes_never_crash_the_decoder(void **state)
{
	struct fs_msg m = full_msg();
	struct buf out = BUF_INIT;
	struct prng p;

	prng_init(&p, 2);
	fs_msg_encode(&m, &out);
	for (unsigned i = 0; i < 20000; i++) {
		size_t len = (size_t)prng_below(&p, out.len + 1);
		uint8_t *data = mem_dup(out.data, len);

		for (unsigned flips = (unsigned)prng_below(&p, 6); len > 0 && flips > 0; flips--)
			data[prng_below(&p, len)] = (uint8_t)prng_u64(&p);
		fs_msg_decode(&m, data, len);
		free(data);
	}
	buf_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_survives_the_wire),
		cmocka_unit_test(a_body_may_follow_the_head),
		cmocka_unit_test(a_cut_head_is_refused),
		cmocka_unit_test(each_type_has_its_form),
		cmocka_unit_test(unknown_versions_and_flags_are_refused),
		cmocka_unit_test(random_bytes_never_crash_the_decoder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
