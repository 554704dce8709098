/* test_rec.c - records as bytes, and what no record may say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/stat.h>

#include "base/prng.h"
#include "fs/ops/rec.h"

static struct inode_rec file_rec(void)
{
	return (struct inode_rec){ .mode = S_IFREG | 0644,
				   .nlink = 2,
				   .uid = 3,
				   .gid = 4,
				   .size = 5,
				   .atime_ns = INT64_MIN,
				   .mtime_ns = -1,
				   .ctime_ns = 6,
				   .btime_ns = 7,
				   .data_version = 8,
				   .block_count = 1,
				   .trunc_from = INODE_NO_TRUNCATE,
				   .xattr_count = 9,
				   .xattr_bytes = 10 };
}

static int recode(const struct inode_rec *in, struct inode_rec *out)
{
	struct buf b = BUF_INIT;
	int ret;

	inode_rec_encode(in, &b);
	ret = inode_rec_decode(out, b.data, b.len);
	buf_release(&b);
	return ret;
}

static void an_inode_survives(void **state)
{
	struct inode_rec a = file_rec(), b;

	assert_int_equal(recode(&a, &b), 0);
	assert_int_equal(b.mode, a.mode);
	assert_int_equal(b.nlink, a.nlink);
	assert_int_equal(b.uid, a.uid);
	assert_int_equal(b.gid, a.gid);
	assert_int_equal(b.size, a.size);
	assert_true(b.atime_ns == a.atime_ns);
	assert_true(b.mtime_ns == a.mtime_ns);
	assert_int_equal(b.ctime_ns, a.ctime_ns);
	assert_int_equal(b.btime_ns, a.btime_ns);
	assert_int_equal(b.data_version, a.data_version);
	assert_int_equal(b.block_count, a.block_count);
	assert_int_equal(b.trunc_from, a.trunc_from);
	assert_int_equal(b.xattr_count, a.xattr_count);
	assert_int_equal(b.xattr_bytes, a.xattr_bytes);
}

static void an_inode_that_contradicts_itself_is_refused(void **state)
{
	const uint8_t *t = (const uint8_t *)"target";
	const struct {
		struct inode_rec rec;
		int want;
	} cases[] = {
		{ { .mode = S_IFDIR, .parent = 1, .trunc_from = INODE_NO_TRUNCATE }, 0 },
		{ { .mode = S_IFDIR, .parent = 0, .trunc_from = INODE_NO_TRUNCATE }, -EUCLEAN },
		{ { .mode = S_IFREG, .parent = 1, .trunc_from = INODE_NO_TRUNCATE }, -EUCLEAN },
		{ { .mode = S_IFLNK,
		    .trunc_from = INODE_NO_TRUNCATE,
		    .target = t,
		    .target_len = 6,
		    .size = 6 },
		  0 },
		{ { .mode = S_IFLNK,
		    .trunc_from = INODE_NO_TRUNCATE,
		    .target = t,
		    .target_len = 6,
		    .size = 5 },
		  -EUCLEAN },
		{ { .mode = S_IFLNK, .trunc_from = INODE_NO_TRUNCATE }, -EUCLEAN },
		{ { .mode = S_IFREG,
		    .trunc_from = INODE_NO_TRUNCATE,
		    .target = t,
		    .target_len = 6 },
		  -EUCLEAN },
		{ { .mode = 0, .trunc_from = INODE_NO_TRUNCATE }, -EUCLEAN },
		{ { .mode = S_IFREG | 1u << 20, .trunc_from = INODE_NO_TRUNCATE }, -EUCLEAN },
		{ { .mode = S_IFREG, .trunc_from = INODE_NO_TRUNCATE, .flags = 8 }, -EUCLEAN },
		{ { .mode = S_IFREG, .trunc_from = INODE_NO_TRUNCATE, .flags = INODE_DELEGATED }, 0 },
		{ { .mode = S_IFIFO, .trunc_from = INODE_NO_TRUNCATE, .flags = INODE_DELEGATED }, -EUCLEAN },
		{ { .mode = S_IFREG, .trunc_from = INODE_NO_TRUNCATE, .flags = INODE_LINKABLE }, 0 },
		{ { .mode = S_IFREG,
		    .nlink = 1,
		    .trunc_from = INODE_NO_TRUNCATE,
		    .flags = INODE_LINKABLE },
		  -EUCLEAN },
		{ { .mode = S_IFIFO, .trunc_from = INODE_NO_TRUNCATE, .flags = INODE_LINKABLE },
		  -EUCLEAN },
		{ { .mode = S_IFREG, .trunc_from = 1, .size = KV_BLOCK_SIZE }, 0 },
		{ { .mode = S_IFREG, .trunc_from = 1, .size = KV_BLOCK_SIZE + 1 }, -EUCLEAN },
		{ { .mode = S_IFREG, .trunc_from = KV_BLOCKS_PER_INO + 1 }, -EUCLEAN },
		{ { .mode = S_IFREG, .trunc_from = INODE_NO_TRUNCATE, .size = KV_FILE_SIZE_MAX },
		  0 },
		{ { .mode = S_IFREG, .trunc_from = INODE_NO_TRUNCATE, .size = INT64_MAX }, 0 },
		{ { .mode = S_IFREG,
		    .trunc_from = INODE_NO_TRUNCATE,
		    .size = (uint64_t)INT64_MAX + 1 },
		  -EUCLEAN },
		{ { .mode = S_IFIFO, .trunc_from = INODE_NO_TRUNCATE, .block_count = 1 },
		  -EUCLEAN },
		{ { .mode = S_IFIFO, .trunc_from = 0 }, -EUCLEAN },
	};
	struct inode_rec got;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(recode(&cases[i].rec, &got), cases[i].want);
}

static void bytes_follow_rows_and_size(void **state)
{
	static const struct {
		uint64_t size;
		uint32_t rows;
		uint64_t want;
	} cases[] = {
		{ 0, 0, 0 },
		{ 1, 1, 4096 },
		{ 4096, 1, 4096 },
		{ 4097, 1, 8192 },
		{ KV_BLOCK_SIZE, 1, KV_BLOCK_SIZE },
		{ 100ull * KV_BLOCK_SIZE, 1, KV_BLOCK_SIZE },
		{ 100ull * KV_BLOCK_SIZE, 0, 0 },
		{ KV_FILE_SIZE_MAX, KV_BLOCKS_PER_INO, KV_FILE_SIZE_MAX },
		{ INT64_MAX, KV_BLOCKS_PER_INO, KV_FILE_SIZE_MAX },
		{ INT64_MAX, 1, KV_BLOCK_SIZE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct inode_rec rec = { .mode = S_IFREG,
					 .size = cases[i].size,
					 .block_count = cases[i].rows };

		assert_true(inode_rec_bytes(&rec) == cases[i].want);
	}
	assert_int_equal(inode_rec_bytes(&(struct inode_rec){ .mode = S_IFDIR, .size = 7 }), 0);
}

static void the_small_records_survive(void **state)
{
	uint8_t holders[8] = { 5 };
	struct dentry_rec d = { .ino = 1, .cookie = 2, .mode = S_IFLNK }, d2;
	struct order_rec o = { .ino = 3,
			       .mode = S_IFREG,
			       .name = (const uint8_t *)"nm",
			       .name_len = 2 },
			 o2;
	struct orphan_rec u = { .holder_count = 1, .holders = holders }, u2;
	struct counters_rec c = { .next_ino = 4, .inode_count = 5, .bytes_used = 6 }, c2;
	struct buf b = BUF_INIT;

	dentry_rec_encode(&d, &b);
	assert_int_equal(b.len, 21);
	assert_int_equal(dentry_rec_decode(&d2, b.data, b.len), 0);
	assert_int_equal(d2.cookie, 2);
	assert_int_equal(d2.mode, S_IFLNK);
	buf_reset(&b);
	order_rec_encode(&o, &b);
	assert_int_equal(b.len, 15 + 2);
	assert_int_equal(order_rec_decode(&o2, b.data, b.len), 0);
	assert_int_equal(o2.ino, 3);
	assert_memory_equal(o2.name, "nm", 2);
	buf_reset(&b);
	orphan_rec_encode(&u, &b);
	assert_int_equal(orphan_rec_decode(&u2, b.data, b.len), 0);
	assert_int_equal(u2.holder_count, 1);
	assert_int_equal(load_le64(u2.holders), 5);
	buf_reset(&b);
	counters_rec_encode(&c, &b);
	assert_int_equal(counters_rec_decode(&c2, b.data, b.len), 0);
	assert_int_equal(c2.bytes_used, 6);
	buf_reset(&b);
	truncate_rec_encode(&b);
	assert_int_equal(truncate_rec_decode(b.data, b.len), 0);
	assert_int_equal(truncate_rec_decode(b.data, 0), -EUCLEAN);
	buf_release(&b);
}

static void names_and_types_are_checked(void **state)
{
	struct order_rec o = {
		.ino = 3, .mode = S_IFREG, .name = (const uint8_t *)"", .name_len = 0
	};
	struct dentry_rec d = { .ino = 1, .mode = 0 };
	struct buf b = BUF_INIT;

	order_rec_encode(&o, &b);
	assert_int_equal(order_rec_decode(&o, b.data, b.len), -EUCLEAN);
	buf_reset(&b);
	dentry_rec_encode(&d, &b);
	assert_int_equal(dentry_rec_decode(&d, b.data, b.len), -EUCLEAN);
	buf_release(&b);
}

/* Any length, any byte changed: decoded or refused, never beyond the end. */
static void records_of_locks_survive_and_are_checked(void **state)
{
	struct waiter_rec w = { .kind = FS_LOCK_FLOCK, .type = FS_LOCK_WRITE, .ino = 9, .end = FS_LOCK_END_MAX };
	struct lock_rec l = { .type = FS_LOCK_READ, .end = 77, .pid = 5 };
	struct buf b = BUF_INIT;
	uint32_t count = 0;

	(void)state;
	lock_rec_encode(&l, &b);
	l = (struct lock_rec){ .type = 0 };
	assert_int_equal(lock_rec_decode(&l, b.data, b.len), 0);
	assert_true(l.type == FS_LOCK_READ && l.end == 77 && l.pid == 5);
	assert_int_equal(lock_rec_decode(&l, b.data, b.len - 1), -EUCLEAN);
	b.data[1] = FS_LOCK_UNLOCK;
	assert_int_equal(lock_rec_decode(&l, b.data, b.len), -EUCLEAN);
	buf_reset(&b);
	waiter_rec_encode(&w, &b);
	assert_int_equal(waiter_rec_decode(&w, b.data, b.len), 0);
	assert_true(w.kind == FS_LOCK_FLOCK && w.ino == 9 && w.end == FS_LOCK_END_MAX);
	b.data[1] = 3;
	assert_int_equal(waiter_rec_decode(&w, b.data, b.len), -EUCLEAN);
	buf_reset(&b);
	holder_rec_encode(4, &b);
	assert_int_equal(holder_rec_decode(&count, b.data, b.len), 0);
	assert_int_equal(count, 4);
	store_le32(b.data + 1, 0);
	assert_int_equal(holder_rec_decode(&count, b.data, b.len), -EUCLEAN);
	buf_release(&b);
}

static void records_of_delegations_survive_and_are_checked(void **state)
{
	struct fs_delegation d = { .session = 5, .number = 6, .bytes = FS_DELEGATION_BYTES_MAX }, got;
	struct delegated t[] = { { 7, 1, 100 }, { 8, 2, UINT64_MAX } };
	struct buf b = BUF_INIT;

	delegation_rec_encode(&d, &b);
	assert_int_equal(delegation_rec_decode(&got, b.data, b.len), 0);
	assert_memory_equal(&got, &d, sizeof(d));
	assert_int_equal(delegation_rec_decode(&got, b.data, b.len - 1), -EUCLEAN);
	buf_reset(&b);
	d.bytes++;
	delegation_rec_encode(&d, &b);
	assert_int_equal(delegation_rec_decode(&got, b.data, b.len), -EUCLEAN);
	buf_reset(&b);
	delegated_rec_begin(&b);
	assert_int_equal(delegated_rec_count(b.data, b.len), -EUCLEAN); /* none is no record */
	for (size_t i = 0; i < ARRAY_SIZE(t); i++)
		delegated_encode(&t[i], &b);
	assert_int_equal(delegated_rec_count(b.data, b.len), 2);
	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		struct delegated u = delegated_at(b.data, i);

		assert_true(u.session == t[i].session && u.count == t[i].count && u.bytes == t[i].bytes);
	}
	assert_int_equal(delegated_rec_count(b.data, b.len - 1), -EUCLEAN);
	buf_release(&b);
}

static void random_bytes_never_crash_the_decoders(void **state)
{
	struct inode_rec rec = file_rec();
	struct buf out = BUF_INIT;
	struct prng p;

	prng_init(&p, 3);
	inode_rec_encode(&rec, &out);
	for (unsigned i = 0; i < 20000; i++) {
		size_t len = (size_t)prng_below(&p, out.len + 1);
		uint8_t *data = mem_dup(out.data, len);
		struct dentry_rec d;
		struct order_rec o;
		struct orphan_rec u;
		struct counters_rec c;

		for (unsigned flips = (unsigned)prng_below(&p, 6); len > 0 && flips > 0; flips--)
			data[prng_below(&p, len)] = (uint8_t)prng_u64(&p);
		inode_rec_decode(&rec, data, len);
		dentry_rec_decode(&d, data, len);
		order_rec_decode(&o, data, len);
		orphan_rec_decode(&u, data, len);
		counters_rec_decode(&c, data, len);
		truncate_rec_decode(data, len);
		lock_rec_decode(&(struct lock_rec){ 0 }, data, len);
		waiter_rec_decode(&(struct waiter_rec){ 0 }, data, len);
		holder_rec_decode(&(uint32_t){ 0 }, data, len);
		delegation_rec_decode(&(struct fs_delegation){ 0 }, data, len);
		delegated_rec_count(data, len);
		free(data);
	}
	buf_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_inode_survives),
		cmocka_unit_test(an_inode_that_contradicts_itself_is_refused),
		cmocka_unit_test(bytes_follow_rows_and_size),
		cmocka_unit_test(the_small_records_survive),
		cmocka_unit_test(names_and_types_are_checked),
		cmocka_unit_test(records_of_locks_survive_and_are_checked),
		cmocka_unit_test(records_of_delegations_survive_and_are_checked),
		cmocka_unit_test(random_bytes_never_crash_the_decoders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
