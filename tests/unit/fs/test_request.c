/* test_request.c - requests, replies and what lies in them as bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/prng.h"
#include "fs/request.h"

static struct fs_request full_request(void)
{
	return (struct fs_request){ .op = FS_RENAME,
				    .uid = 1,
				    .gid = 2,
				    .ino = 3,
				    .ino2 = 4,
				    .name = "old",
				    .name_len = 3,
				    .name2 = "newer",
				    .name2_len = 5,
				    .mode = 6,
				    .rdev = 7,
				    .flags = 8,
				    .valid = 9,
				    .uid2 = 10,
				    .gid2 = 11,
				    .offset = UINT64_MAX,
				    .size = 12,
				    .atime_ns = INT64_MIN,
				    .mtime_ns = -1,
				    .checked = true,
				    .data = "payload",
				    .data_len = 7 };
}

static struct fs_reply full_reply(void)
{
	return (struct fs_reply){ .has_attr = true,
				  .attr = { .ino = 1,
					    .mode = 2,
					    .nlink = 3,
					    .uid = 4,
					    .gid = 5,
					    .rdev = 6,
					    .size = UINT64_MAX,
					    .blocks = 7,
					    .atime_ns = INT64_MIN,
					    .mtime_ns = -1,
					    .ctime_ns = 8,
					    .btime_ns = 9,
					    .data_version = 10 },
				  .old_data_version = 11,
				  .count = 12,
				  .offset = 13,
				  .created = true,
				  .delegation = { 14, 15, 16 },
				  .data = "body",
				  .data_len = 4 };
}

static void a_request_survives_the_wire(void **state)
{
	struct fs_request a = full_request(), b;
	struct buf out = BUF_INIT;

	fs_request_encode(&a, &out);
	assert_int_equal(fs_request_decode(&b, out.data, out.len), 0);
	assert_int_equal(b.op, a.op);
	assert_int_equal(b.uid, a.uid);
	assert_int_equal(b.gid, a.gid);
	assert_true(b.checked);
	assert_int_equal(b.ino, a.ino);
	assert_int_equal(b.ino2, a.ino2);
	assert_int_equal(b.mode, a.mode);
	assert_int_equal(b.rdev, a.rdev);
	assert_int_equal(b.flags, a.flags);
	assert_int_equal(b.valid, a.valid);
	assert_int_equal(b.uid2, a.uid2);
	assert_int_equal(b.gid2, a.gid2);
	assert_true(b.offset == a.offset);
	assert_int_equal(b.size, a.size);
	assert_true(b.atime_ns == a.atime_ns);
	assert_true(b.mtime_ns == a.mtime_ns);
	assert_int_equal(b.name_len, 3);
	assert_memory_equal(b.name, "old", 3);
	assert_int_equal(b.name2_len, 5);
	assert_memory_equal(b.name2, "newer", 5);
	assert_int_equal(b.data_len, 7);
	assert_memory_equal(b.data, "payload", 7);
	buf_release(&out);
}

static void a_write_is_decoded_without_a_copy(void **state)
{
	void *data = mem_calloc(1, FS_IO_MAX);
	struct fs_request rq = { .op = FS_WRITE, .data = data, .data_len = FS_IO_MAX }, got;
	struct buf out = BUF_INIT;

	fs_request_encode(&rq, &out);
	assert_int_equal(fs_request_decode(&got, out.data, out.len), 0);
	assert_ptr_equal(got.data, out.data + out.len - FS_IO_MAX);
	buf_release(&out);
	free(data);
}

static void the_layout_is_the_table(void **state)
{
	struct fs_request rq = full_request();
	struct fs_reply reply = full_reply();
	struct buf out = BUF_INIT;

	fs_request_encode(&rq, &out);
	assert_int_equal(out.len, 91 + 3 + 5 + 7);
	assert_int_equal(out.data[0], 2);
	assert_int_equal(load_le64(out.data + 18), 4);
	assert_int_equal(load_le64(out.data + 58), 12);
	assert_int_equal(out.data[82], 1);
	assert_int_equal(load_le16(out.data + 83), 3);
	buf_reset(&out);
	fs_reply_encode(&reply, &out);
	assert_int_equal(out.len, 114 + 24 + 4);
	assert_int_equal(out.data[1], 1 | 2 | 8);
	assert_int_equal(load_le64(out.data + 26 + 76), 10);
	buf_reset(&out);
	reply.has_attr = false;
	fs_reply_encode(&reply, &out);
	assert_int_equal(out.len, 30 + 24 + 4);
	buf_release(&out);
}

static void a_reply_survives_the_wire(void **state)
{
	struct fs_reply a = full_reply(), b;
	struct buf out = BUF_INIT;

	fs_reply_encode(&a, &out);
	assert_int_equal(fs_reply_decode(&b, out.data, out.len), 0);
	assert_true(b.has_attr);
	assert_true(b.created);
	assert_int_equal(b.attr.ino, a.attr.ino);
	assert_int_equal(b.attr.mode, a.attr.mode);
	assert_int_equal(b.attr.nlink, a.attr.nlink);
	assert_int_equal(b.attr.uid, a.attr.uid);
	assert_int_equal(b.attr.gid, a.attr.gid);
	assert_int_equal(b.attr.rdev, a.attr.rdev);
	assert_true(b.attr.size == a.attr.size);
	assert_int_equal(b.attr.blocks, a.attr.blocks);
	assert_true(b.attr.atime_ns == a.attr.atime_ns);
	assert_true(b.attr.mtime_ns == a.attr.mtime_ns);
	assert_int_equal(b.attr.ctime_ns, a.attr.ctime_ns);
	assert_int_equal(b.attr.btime_ns, a.attr.btime_ns);
	assert_int_equal(b.attr.data_version, a.attr.data_version);
	assert_int_equal(b.old_data_version, a.old_data_version);
	assert_int_equal(b.count, a.count);
	assert_int_equal(b.offset, a.offset);
	assert_int_equal(b.data_len, 4);
	assert_memory_equal(b.data, "body", 4);
	assert_memory_equal(&b.delegation, &a.delegation, sizeof(a.delegation));
	buf_release(&out);
}

static void a_cut_or_longer_request_is_refused(void **state)
{
	struct fs_request rq = full_request(), got = { .op = 99 };
	struct buf out = BUF_INIT;

	fs_request_encode(&rq, &out);
	for (size_t len = 0; len < out.len; len++)
		assert_int_equal(fs_request_decode(&got, out.data, len), -EPROTO);
	buf_put_u8(&out, 0);
	assert_int_equal(fs_request_decode(&got, out.data, out.len), -EPROTO);
	assert_int_equal(fs_request_decode(&got, NULL, 0), -EPROTO);
	assert_int_equal(got.op, 99);
	buf_release(&out);
}

static void a_cut_or_longer_reply_is_refused(void **state)
{
	struct fs_reply reply = full_reply(), got = { .count = 99 };
	struct buf out = BUF_INIT;

	fs_reply_encode(&reply, &out);
	for (size_t len = 0; len < out.len; len++)
		assert_int_equal(fs_reply_decode(&got, out.data, len), -EPROTO);
	buf_put_u8(&out, 0);
	assert_int_equal(fs_reply_decode(&got, out.data, out.len), -EPROTO);
	assert_int_equal(got.count, 99);
	buf_release(&out);
}

static void other_versions_and_flags_are_refused(void **state)
{
	struct fs_request rq = full_request();
	struct fs_reply reply = full_reply();
	struct buf out = BUF_INIT;

	fs_request_encode(&rq, &out);
	out.data[0]++;
	assert_int_equal(fs_request_decode(&rq, out.data, out.len), -EPROTO);
	buf_reset(&out);
	fs_reply_encode(&reply, &out);
	out.data[1] |= 0x80;
	assert_int_equal(fs_reply_decode(&reply, out.data, out.len), -EPROTO);
	out.data[1] &= 0x7f;
	out.data[0]++;
	assert_int_equal(fs_reply_decode(&reply, out.data, out.len), -EPROTO);
	buf_release(&out);
}

static void only_known_operations_decode(void **state)
{
	struct fs_request rq = { .op = 0 }, got;
	unsigned known = 0;

	for (unsigned op = 0; op < 256; op++) {
		struct buf out = BUF_INIT;
		int ret;

		rq.op = (uint8_t)op;
		fs_request_encode(&rq, &out);
		ret = fs_request_decode(&got, out.data, out.len);
		assert_int_equal(ret == 0, strcmp(fs_op_name((uint8_t)op), "unknown") != 0);
		known += ret == 0;
		if (ret < 0)
			assert_false(fs_op_is_read(rq.op) || fs_op_is_internal(rq.op) ||
				     fs_op_grows(rq.op));
		buf_release(&out);
	}
	assert_int_equal(known, 15 + 26 + 5);
}

static void operations_know_their_kind(void **state)
{
	assert_true(fs_op_is_read(FS_LOOKUP) && fs_op_is_read(FS_KV_GET) &&
		    fs_op_is_read(FS_ORPHANS));
	assert_false(fs_op_is_read(FS_WRITE) || fs_op_is_read(FS_RECLAIM) ||
		     fs_op_is_read(FS_SETATTR));
	assert_true(fs_op_is_internal(FS_RECLAIM) && fs_op_is_internal(FS_ORPHAN_HOLD));
	assert_true(fs_op_is_internal(FS_MAKE_ROOT) && fs_op_is_internal(FS_ORPHANS));
	assert_false(fs_op_is_internal(FS_WRITE) || fs_op_is_internal(FS_LOOKUP));
	assert_true(fs_op_grows(FS_WRITE) && fs_op_grows(FS_CREATE) && fs_op_grows(FS_KV_PUT));
	assert_false(fs_op_grows(FS_UNLINK) || fs_op_grows(FS_RMDIR) || fs_op_grows(FS_OPEN_TRUNC));
	assert_false(fs_op_grows(FS_RECLAIM) || fs_op_grows(FS_KV_DELETE) || fs_op_grows(FS_READ));
}

static void dirents_come_back_in_order(void **state)
{
	struct fs_dirent a = { .ino = 1, .cookie = 3, .mode = 4, .name = "first", .name_len = 5 };
	struct fs_dirent b = { .ino = 2,
			       .cookie = INT64_MAX,
			       .mode = 5,
			       .name = "b",
			       .name_len = 1 },
			 got;
	struct buf out = BUF_INIT;
	const uint8_t *data;
	size_t len;

	fs_dirent_encode(&a, &out);
	assert_int_equal(out.len, fs_dirent_size(5));
	fs_dirent_encode(&b, &out);
	data = out.data;
	len = out.len;
	assert_true(fs_dirent_next(&data, &len, &got));
	assert_int_equal(got.ino, 1);
	assert_int_equal(got.cookie, 3);
	assert_int_equal(got.name_len, 5);
	assert_memory_equal(got.name, "first", 5);
	assert_true(fs_dirent_next(&data, &len, &got));
	assert_int_equal(got.mode, 5);
	assert_true(got.cookie == INT64_MAX);
	assert_int_equal(len, 0);
	assert_false(fs_dirent_next(&data, &len, &got));
	data = out.data;
	len = fs_dirent_size(5) - 1;
	assert_false(fs_dirent_next(&data, &len, &got));
	assert_ptr_equal(data, out.data);
	buf_release(&out);
}

static void statfs_is_filled_in_place(void **state)
{
	struct fs_statfs st = { .inode_count = 5, .bytes_used = 6 }, got;
	struct fs_reply reply = { .count = 0 };
	struct buf body = BUF_INIT, out = BUF_INIT;

	fs_statfs_encode(&st, &body);
	reply.data = body.data;
	reply.data_len = body.len;
	fs_reply_encode(&reply, &out);
	fs_statfs_set_space(&out, 100, 50);
	assert_int_equal(fs_reply_decode(&reply, out.data, out.len), 0);
	assert_int_equal(fs_statfs_decode(&got, reply.data, reply.data_len), 0);
	assert_int_equal(got.inode_count, 5);
	assert_int_equal(got.bytes_used, 6);
	assert_int_equal(got.total_bytes, 100);
	assert_int_equal(got.free_bytes, 50);
	assert_int_equal(fs_statfs_decode(&got, reply.data, reply.data_len - 1), -EPROTO);
	buf_release(&body);
	buf_release(&out);
}

static void orphans_come_back_with_their_holders(void **state)
{
	uint8_t holders[16];
	struct fs_orphan a = { .ino = 1, .holder_count = 2, .holders = holders };
	struct fs_orphan b = { .ino = 2, .linked = true }, got;
	struct buf out = BUF_INIT;
	const uint8_t *data;
	size_t len;

	store_le64(holders, 77);
	store_le64(holders + 8, 88);
	fs_orphan_encode(&a, &out);
	fs_orphan_encode(&b, &out);
	data = out.data;
	len = out.len;
	assert_true(fs_orphan_next(&data, &len, &got));
	assert_int_equal(got.holder_count, 2);
	assert_int_equal(load_le64(got.holders + 8), 88);
	assert_false(got.linked);
	assert_true(fs_orphan_next(&data, &len, &got));
	assert_true(got.linked);
	assert_int_equal(got.ino, 2);
	assert_false(fs_orphan_next(&data, &len, &got));
	/* A count that promises more than is there. */
	store_le32(out.data + 9, UINT32_MAX);
	data = out.data;
	len = out.len;
	assert_false(fs_orphan_next(&data, &len, &got));
	buf_release(&out);
}

static void random_bytes_never_crash_the_decoders(void **state)
{
	struct fs_request rq = full_request();
	struct fs_reply reply = full_reply();
	struct buf bufs[2] = { BUF_INIT, BUF_INIT };
	struct prng p;

	prng_init(&p, 1);
	fs_request_encode(&rq, &bufs[0]);
	fs_reply_encode(&reply, &bufs[1]);
	for (unsigned i = 0; i < 20000; i++) {
		const struct buf *from = &bufs[i % 2];
		size_t len = (size_t)prng_below(&p, from->len + 1);
		uint8_t *data = mem_dup(from->data, len); /* exact size, for the sanitizer */
		const uint8_t *at = data;
		struct fs_dirent d;
		struct fs_orphan o;
		struct fs_statfs st;

		for (unsigned flips = (unsigned)prng_below(&p, 6); len > 0 && flips > 0; flips--)
			data[prng_below(&p, len)] = (uint8_t)prng_u64(&p);
		fs_request_decode(&rq, data, len);
		fs_reply_decode(&reply, data, len);
		fs_statfs_decode(&st, data, len);
		for (size_t left = len; fs_dirent_next(&at, &left, &d);)
			;
		at = data;
		for (size_t left = len; fs_orphan_next(&at, &left, &o);)
			;
		free(data);
	}
	buf_release(&bufs[0]);
	buf_release(&bufs[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_survives_the_wire),
		cmocka_unit_test(a_write_is_decoded_without_a_copy),
		cmocka_unit_test(the_layout_is_the_table),
		cmocka_unit_test(a_reply_survives_the_wire),
		cmocka_unit_test(a_cut_or_longer_request_is_refused),
		cmocka_unit_test(a_cut_or_longer_reply_is_refused),
		cmocka_unit_test(other_versions_and_flags_are_refused),
		cmocka_unit_test(only_known_operations_decode),
		cmocka_unit_test(operations_know_their_kind),
		cmocka_unit_test(dirents_come_back_in_order),
		cmocka_unit_test(statfs_is_filled_in_place),
		cmocka_unit_test(orphans_come_back_with_their_holders),
		cmocka_unit_test(random_bytes_never_crash_the_decoders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
