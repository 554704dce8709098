/* test_delegation.c - write delegations in the state: who gets one, whom it blocks, what ends it, and their room. */
#include "tests/lib/fsfix.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "fs/fs_lock.h"

#define A 11u /* sessions */
#define B 12u
#define RESERVE 100000u

/* ---- requests --------------------------------------------------------------------------------------- */

static int as(struct fsfix *f, uint64_t session, struct fs_request rq)
{
	int ret;

	f->session_id = session;
	ret = fsfix_eval(f, rq);
	f->session_id = 0;
	return ret;
}

/* A new file of session's; its delegation, or number 0. */
static struct fs_delegation create(struct fsfix *f, uint64_t session, const char *name, uint64_t *ino)
{
	struct fs_request rq = { .op = FS_CREATE,
				 .ino = FS_ROOT_INO,
				 .name = name,
				 .name_len = strlen(name),
				 .mode = 0644,
				 .flags = O_RDWR,
				 .size = RESERVE };

	assert_int_equal(as(f, session, rq), 0);
	*ino = f->reply.attr.ino;
	return f->reply.delegation;
}

static struct fs_delegation delegated(struct fsfix *f, const char *name, uint64_t *ino)
{
	struct fs_delegation d;

	f->room_bytes = UINT64_MAX;
	d = create(f, A, name, ino);
	assert_int_not_equal(d.number, 0);
	return d;
}

static int write_asking(struct fsfix *f, uint64_t session, uint64_t ino)
{
	return as(f, session,
		  (struct fs_request){
			  .op = FS_WRITE, .ino = ino, .data = "w", .data_len = 1, .size = RESERVE });
}

static int gathered(struct fsfix *f, uint64_t session, uint64_t ino, uint64_t number, uint64_t off,
		    const char *text, uint32_t flags)
{
	struct fs_extent e = { .offset = off, .len = (uint32_t)strlen(text), .data = (const uint8_t *)text };
	struct buf data = BUF_INIT;
	int ret;

	if (e.len > 0)
		fs_extent_encode(&e, &data);
	ret = as(f, session,
		 (struct fs_request){ .op = FS_GATHERED,
				      .ino = ino,
				      .ino2 = number,
				      .flags = flags,
				      .data = data.data,
				      .data_len = data.len });
	buf_release(&data);
	return ret;
}

static int list_of_one(struct fsfix *f, uint64_t session, uint8_t op, uint64_t ino, uint64_t number)
{
	uint8_t name[16];

	store_le64(name, ino);
	store_le64(name + 8, number);
	return as(f, session, (struct fs_request){ .op = op, .data = name, .data_len = sizeof(name) });
}

static int end_session(struct fsfix *f, uint64_t session)
{
	uint8_t name[FS_SESSION_NAME_SIZE] = { 0 };

	store_le64(name + KV_UUID_SIZE, session);
	return fsfix_eval(f, (struct fs_request){
				     .op = FS_SESSION_END, .data = name, .data_len = sizeof(name) });
}

/* ---- granting --------------------------------------------------------------------------------------- */

static void who_makes_or_writes_a_file_may_ask(void **state)
{
	struct fsfix *f = *state;
	struct fs_delegation d;
	uint64_t ino, plain = fsfix_file(f, FS_ROOT_INO, "plain");

	d = delegated(f, "a", &ino);
	assert_int_equal(d.session, A);
	assert_int_equal(d.number, f->tail);
	assert_int_equal(d.bytes, RESERVE);
	assert_int_equal(write_asking(f, B, plain), 0);
	assert_int_equal(f->reply.delegation.number, f->tail);
	assert_int_equal(f->reply.delegation.session, B);
	assert_int_equal(as(f, A, (struct fs_request){ .op = FS_TMPFILE, .ino = FS_ROOT_INO, .mode = 0600, .size = 1 }), 0);
	assert_int_equal(f->reply.delegation.bytes, 1);
}

static void nothing_is_delegated_unasked_or_twice(void **state)
{
	struct fsfix *f = *state;
	struct fs_delegation d;
	uint64_t ino;

	f->room_bytes = UINT64_MAX;
	ino = fsfix_file(f, FS_ROOT_INO, "a");
	assert_int_equal(fsfix_write(f, ino, 0, "x", 1), 0);
	assert_int_equal(f->reply.delegation.number, 0);
	assert_int_equal(write_asking(f, A, ino), 0);
	d = f->reply.delegation;
	/* Its holder may not have heard of it: the same is told again. */
	assert_int_equal(write_asking(f, A, ino), 0);
	assert_int_equal(f->reply.delegation.number, d.number);
}

static void nothing_is_delegated_where_it_must_not(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino;

	assert_int_equal(create(f, A, "no-room-known", &ino).number, 0);
	f->room_bytes = UINT64_MAX;
	assert_int_equal(create(f, 0, "of-no-session", &ino).number, 0);
	f->no_delegation = true;
	assert_int_equal(create(f, A, "recalled-lately", &ino).number, 0);
	f->no_delegation = false;
	assert_int_equal(as(f, A,
			    (struct fs_request){ .op = FS_WRITE,
						 .ino = ino,
						 .data = "w",
						 .data_len = 1,
						 .size = RESERVE,
						 .checked = true }),
			 0);
	assert_int_equal(f->reply.delegation.number, 0);
	f->room_bytes = 3 * RESERVE - 1;
	assert_int_equal(create(f, A, "too-little-room", &ino).number, 0);
	f->room_bytes = 3 * RESERVE;
	assert_int_not_equal(create(f, A, "just-enough", &ino).number, 0);
}

static void a_session_has_so_many_and_no_more(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino;
	char name[16];

	f->room_bytes = UINT64_MAX;
	for (unsigned i = 0; i <= FS_DELEGATIONS_PER_SESSION; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		assert_int_equal(create(f, A, name, &ino).number != 0, i < FS_DELEGATIONS_PER_SESSION);
	}
	assert_int_not_equal(create(f, B, "of-another", &ino).number, 0);
}

/* ---- blocking --------------------------------------------------------------------------------------- */

static void assert_blocked(struct fsfix *f, const struct fs_delegation *d, uint64_t ino, struct fs_request rq)
{
	for (int i = 0; i < 2; i++) {
		if (as(f, i == 0 ? B : 0, rq) != FSFIX_BLOCKED)
			fail_msg("%s is not blocked", fs_op_name(rq.op));
		assert_int_equal(f->blocked_ino, ino);
		assert_int_equal(f->blocked_by.session, d->session);
		assert_int_equal(f->blocked_by.number, d->number);
	}
	assert_int_not_equal(as(f, A, rq), FSFIX_BLOCKED);
}

static void whatever_sees_the_inode_is_blocked_for_others(void **state)
{
	static const uint8_t ops[] = { FS_GETATTR, FS_OPEN,     FS_READ,       FS_SEEK,    FS_ACCESS, FS_GETXATTR,
				       FS_SETATTR, FS_WRITE,    FS_REMOVEXATTR, FS_ALLOCATE, FS_PUNCH, FS_LISTXATTR,
				       FS_SETXATTR, FS_OPEN_TRUNC };
	struct fsfix *f = *state;
	uint64_t ino;
	struct fs_delegation d = delegated(f, "a", &ino);

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
		assert_blocked(f, &d, ino,
			       (struct fs_request){ .op = ops[i],
						    .ino = ino,
						    .name = "user.a",
						    .name_len = 6,
						    .size = 10,
						    .data = "w",
						    .data_len = 1,
						    .valid = FS_SET_MODE,
						    .mode = 0600 });
	assert_blocked(f, &d, ino,
		       (struct fs_request){ .op = FS_LOOKUP, .ino = FS_ROOT_INO, .name = "a", .name_len = 1 });
	assert_blocked(f, &d, ino, (struct fs_request){ .op = FS_LOOKUP, .ino = ino, .name = ".", .name_len = 1 });
}

static void whatever_names_or_copies_it_is_blocked_for_others(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino, other = fsfix_file(f, FS_ROOT_INO, "b");
	struct fs_delegation d = delegated(f, "a", &ino);
	struct fs_lock lock = { .kind = FS_LOCK_FLOCK, .type = FS_LOCK_READ, .end = FS_LOCK_END_MAX, .owner = 1 };
	uint8_t at[8] = { 0 };
	struct buf data = BUF_INIT;

	assert_blocked(f, &d, ino,
		       (struct fs_request){
			       .op = FS_LINK, .ino = ino, .ino2 = FS_ROOT_INO, .name = "c", .name_len = 1 });
	assert_blocked(f, &d, ino,
		       (struct fs_request){ .op = FS_COPY_RANGE,
					    .ino = ino,
					    .ino2 = other,
					    .size = 1,
					    .data = at,
					    .data_len = sizeof(at) });
	assert_blocked(f, &d, ino,
		       (struct fs_request){ .op = FS_COPY_RANGE,
					    .ino = other,
					    .ino2 = ino,
					    .size = 1,
					    .data = at,
					    .data_len = sizeof(at) });
	assert_blocked(f, &d, ino,
		       (struct fs_request){ .op = FS_CREATE, .ino = FS_ROOT_INO, .name = "a", .name_len = 1 });
	fs_lock_encode(&lock, &data);
	f->session_id = B;
	assert_int_equal(fsfix_eval(f, (struct fs_request){
					       .op = FS_SETLK, .ino = ino, .data = data.data, .data_len = data.len }),
			 FSFIX_BLOCKED);
	buf_release(&data);
	assert_int_equal(fsfix_rename(f, FS_ROOT_INO, "b", FS_ROOT_INO, "a", 0), FSFIX_BLOCKED);
	assert_int_equal(fsfix_rename(f, FS_ROOT_INO, "a", FS_ROOT_INO, "b", 0), FSFIX_BLOCKED);
	assert_int_equal(fsfix_unlink(f, FS_ROOT_INO, "a"), FSFIX_BLOCKED);
	/* Names are not the inode's. */
	assert_int_equal(fsfix_eval(f, (struct fs_request){ .op = FS_READDIR, .ino = FS_ROOT_INO, .size = 1000 }), 0);
}

/* Its CREATE could not be put in order with what it has gathered. */
static void a_holder_does_not_truncate_by_name(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino;
	struct fs_request rq = { .op = FS_CREATE, .ino = FS_ROOT_INO, .name = "a", .name_len = 1, .flags = O_RDWR | O_TRUNC };

	delegated(f, "a", &ino);
	assert_int_equal(as(f, A, rq), -ESTALE);
}

/* ---- flushing --------------------------------------------------------------------------------------- */

static void what_was_gathered_is_one_entry(void **state)
{
	struct fsfix *f = *state;
	struct fs_extent e[] = { { 0, 5, (const uint8_t *)"hello" },
				 { 3, 4, (const uint8_t *)"p me" },
				 { 70000, 1, (const uint8_t *)"." } };
	struct buf data = BUF_INIT;
	struct fs_attr before;
	uint64_t ino, tail;
	struct fs_delegation d = delegated(f, "a", &ino);

	f->session_id = A;
	before = fsfix_attr(f, ino);
	tail = f->tail;
	for (size_t i = 0; i < ARRAY_SIZE(e); i++)
		fs_extent_encode(&e[i], &data);
	assert_int_equal(as(f, A,
			    (struct fs_request){ .op = FS_GATHERED,
						 .ino = ino,
						 .ino2 = d.number,
						 .offset = (uint64_t)(before.mtime_ns + 7),
						 .data = data.data,
						 .data_len = data.len }),
			 0);
	assert_int_equal(f->tail, tail + 1);
	assert_int_equal(f->reply.attr.size, 70001);
	assert_int_equal(f->reply.attr.data_version, before.data_version + 1);
	/* As its holder showed it. */
	assert_true(f->reply.attr.mtime_ns == before.mtime_ns + 7 && f->reply.attr.ctime_ns == before.ctime_ns + 7);
	assert_int_equal(f->reply.delegation.number, d.number);
	f->session_id = A;
	assert_int_equal(fsfix_read(f, ino, 0, 8), 0);
	assert_memory_equal(f->reply.data, "help me\0", 8);
	buf_release(&data);
}

static void times_that_do_not_fit_are_the_leaders(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino;
	struct fs_delegation d = delegated(f, "a", &ino);
	struct fs_extent e = { 0, 1, (const uint8_t *)"x" };
	int64_t shown[] = { 0, INT64_MAX, INT64_MIN };
	struct buf data = BUF_INIT;

	fs_extent_encode(&e, &data);
	for (size_t i = 0; i < ARRAY_SIZE(shown); i++) {
		int64_t now = f->wall_ns;

		assert_int_equal(as(f, A,
				    (struct fs_request){ .op = FS_GATHERED,
							 .ino = ino,
							 .ino2 = d.number,
							 .offset = (uint64_t)shown[i],
							 .data = data.data,
							 .data_len = data.len }),
				 0);
		assert_true(f->reply.attr.mtime_ns == now && f->reply.attr.ctime_ns == now);
	}
	buf_release(&data);
}

static void what_was_set_after_the_writes_has_the_last_word(void **state)
{
	struct fsfix *f = *state;
	struct fs_extent e = { 0, 1, (const uint8_t *)"x" };
	struct fs_request rq = { .op = FS_GATHERED,
				 .valid = FS_GATHERED_VALID,
				 .mode = 0640,
				 .uid2 = 7,
				 .gid2 = 8,
				 .atime_ns = -5,
				 .mtime_ns = 12 };
	struct buf data = BUF_INIT;
	struct fs_attr before;
	struct fs_delegation d = delegated(f, "a", &rq.ino);

	f->session_id = A;
	before = fsfix_attr(f, rq.ino);
	fs_extent_encode(&e, &data);
	rq.ino2 = d.number;
	rq.offset = (uint64_t)before.ctime_ns + 9;
	rq.data = data.data;
	rq.data_len = data.len;
	assert_int_equal(as(f, A, rq), 0);
	assert_int_equal(f->reply.attr.mode, S_IFREG | 0640);
	assert_int_equal(f->reply.attr.uid, 7);
	assert_int_equal(f->reply.attr.gid, 8);
	assert_true(f->reply.attr.atime_ns == -5 && f->reply.attr.mtime_ns == 12);
	assert_true(f->reply.attr.ctime_ns == before.ctime_ns + 9);
	/* Without bytes, and with nothing but times. */
	rq.data_len = 0;
	rq.valid = FS_SET_MTIME;
	rq.mtime_ns = 13;
	assert_int_equal(as(f, A, rq), 0);
	assert_true(f->reply.attr.mtime_ns == 13 && f->reply.attr.data_version == before.data_version + 1);
	assert_int_equal(f->reply.attr.mode, S_IFREG | 0640);
	rq.valid = FS_SET_SIZE;
	assert_int_equal(as(f, A, rq), -EINVAL);
	rq.valid = FS_SET_MTIME | FS_SET_MTIME_NOW;
	assert_int_equal(as(f, A, rq), -EINVAL);
	rq.valid = 0;
	assert_int_equal(as(f, A, rq), -EINVAL);
	buf_release(&data);
}

static void a_flush_under_another_number_is_refused(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino, tail, next;
	struct fs_delegation d = delegated(f, "a", &ino);

	tail = f->tail;
	assert_int_equal(gathered(f, A, ino, d.number + 1, 0, "x", 0), -EKEYREVOKED);
	assert_int_equal(gathered(f, B, ino, d.number, 0, "x", 0), -EKEYREVOKED);
	assert_int_equal(gathered(f, A, ino + 1, d.number, 0, "x", 0), -EKEYREVOKED);
	assert_int_equal(gathered(f, A, ino, d.number, 0, "", FS_GATHERED_RETURN), 0);
	assert_int_equal(gathered(f, A, ino, d.number, 0, "x", 0), -EKEYREVOKED);
	/* A later one has another number. */
	assert_int_equal(write_asking(f, A, ino), 0);
	next = f->reply.delegation.number;
	assert_true(next > d.number);
	assert_int_equal(gathered(f, A, ino, d.number, 0, "x", 0), -EKEYREVOKED);
	assert_int_equal(gathered(f, A, ino, next, 1, "y", FS_GATHERED_RETURN), 0);
	assert_int_equal(f->tail, tail + 3);
	fsfix_assert_content(f, ino, "wy");
}

static void extents_that_make_no_sense_are_refused(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino;
	struct fs_delegation d = delegated(f, "a", &ino);
	struct fs_extent e[] = { { 0, 0, NULL }, { KV_FILE_SIZE_MAX, 1, (const uint8_t *)"x" }, { UINT64_MAX, 1, (const uint8_t *)"x" } };

	assert_int_equal(gathered(f, A, ino, d.number, 0, "", 0), -EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(e); i++) {
		struct buf data = BUF_INIT;

		fs_extent_encode(&e[i], &data);
		assert_int_equal(as(f, A, (struct fs_request){ .op = FS_GATHERED, .ino = ino, .ino2 = d.number, .data = data.data, .data_len = data.len }),
				 -EINVAL);
		data.len--;
		assert_int_equal(as(f, A, (struct fs_request){ .op = FS_GATHERED, .ino = ino, .ino2 = d.number, .data = data.data, .data_len = data.len }),
				 -EINVAL);
		buf_release(&data);
	}
}

/* ---- ends ------------------------------------------------------------------------------------------- */

static void assert_ended(struct fsfix *f, uint64_t ino)
{
	assert_true(f->frees);
	f->session_id = B;
	assert_int_equal(fsfix_getattr(f, ino), 0);
	f->session_id = 0;
	fsfix_check(f);
}

static void each_end_lets_others_on(void **state)
{
	struct fsfix *f = *state;
	struct fs_delegation d;
	uint64_t ino;

	d = delegated(f, "flushed", &ino);
	assert_int_equal(gathered(f, A, ino, d.number, 0, "x", FS_GATHERED_RETURN), 0);
	assert_int_equal(f->reply.delegation.number, 0);
	assert_ended(f, ino);
	d = delegated(f, "returned", &ino);
	assert_int_equal(list_of_one(f, A, FS_DELEGATION_RETURN, ino, d.number), 0);
	assert_ended(f, ino);
	d = delegated(f, "revoked", &ino);
	assert_int_equal(list_of_one(f, 0, FS_DELEGATION_REVOKE, ino, d.number), 0);
	assert_ended(f, ino);
	delegated(f, "of-an-ended-session", &ino);
	assert_int_equal(end_session(f, A), 0);
	assert_ended(f, ino);
}

static void what_is_not_there_any_more_is_returned_in_vain(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino;
	struct fs_delegation d = delegated(f, "a", &ino);

	assert_int_equal(list_of_one(f, A, FS_DELEGATION_RETURN, ino, d.number - 1), 0);
	assert_int_equal(list_of_one(f, A, FS_DELEGATION_RETURN, ino + 5, d.number), 0);
	assert_int_equal(list_of_one(f, B, FS_DELEGATION_RETURN, ino, d.number), 0);
	assert_int_equal(list_of_one(f, 0, FS_DELEGATION_REVOKE, ino, d.number - 1), 0);
	assert_int_equal(end_session(f, B), 0);
	assert_false(f->mutated);
	f->session_id = B;
	assert_int_equal(fsfix_getattr(f, ino), FSFIX_BLOCKED);
}

static void it_goes_with_its_inode(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino;
	struct fs_delegation d = delegated(f, "a", &ino);

	f->session_id = A;
	assert_int_equal(fsfix_unlink(f, FS_ROOT_INO, "a"), 0);
	/* Who holds it open goes on writing. */
	assert_int_equal(gathered(f, A, ino, d.number, 0, "x", 0), 0);
	assert_int_equal(fsfix_reclaim(f, ino), 0);
	assert_int_equal(fsfix_getattr(f, ino), -ESTALE);
	assert_int_equal(gathered(f, A, ino, d.number, 0, "x", 0), -EKEYREVOKED);
}

static void a_large_truncate_is_reclaimed_all_the_same(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino;
	struct fs_delegation d = delegated(f, "a", &ino);

	assert_int_equal(gathered(f, A, ino, d.number, 9 * KV_BLOCK_SIZE, "x", 0), 0);
	assert_int_equal(gathered(f, A, ino, d.number, 5 * KV_BLOCK_SIZE, "x", 0), 0);
	f->step_blocks = 1;
	f->session_id = A;
	assert_int_equal(fsfix_truncate(f, ino, 0), 0);
	/* Gathered meanwhile, it waits for rows that are still to go; nobody is to be recalled. */
	assert_int_equal(gathered(f, A, ino, d.number, 6 * KV_BLOCK_SIZE, "x", 0), FSFIX_BLOCKED);
	assert_int_equal(f->blocked_by.number, 0);
	f->session_id = 0;
	while (fsfix_reclaim(f, ino) == 0 && f->mutated)
		;
	assert_int_equal(gathered(f, A, ino, d.number, 6 * KV_BLOCK_SIZE, "x", 0), 0);
}

/* ---- room -------------------------------------------------------------------------------------------- */

static void reserved_room_is_nobody_elses(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino, other = fsfix_file(f, FS_ROOT_INO, "b");
	struct fs_delegation d = delegated(f, "a", &ino);

	f->room_bytes = 3 * RESERVE;
	assert_int_equal(fsfix_write(f, other, 0, "x", 1), 0);
	f->room_bytes = 3 * RESERVE - 1;
	assert_int_equal(fsfix_write(f, other, 0, "x", 1), -ENOSPC);
	assert_int_equal(fsfix_unlink(f, FS_ROOT_INO, "b"), 0);
	assert_int_equal(gathered(f, A, ino, d.number, 0, "x", 0), 0);
}

static void what_is_used_while_room_is_short_is_not_reserved_anew(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino;
	struct fs_delegation d = delegated(f, "a", &ino);

	assert_int_equal(gathered(f, A, ino, d.number, 0, "12345", 0), 0);
	assert_int_equal(f->reply.delegation.bytes, RESERVE);
	f->room_bytes = 1;
	assert_int_equal(gathered(f, A, ino, d.number, 0, "12345", 0), 0);
	assert_int_equal(f->reply.delegation.bytes, RESERVE - 5);
	f->room_bytes = UINT64_MAX;
	assert_int_equal(gathered(f, A, ino, d.number, 0, "12345", 0), 0);
	assert_int_equal(f->reply.delegation.bytes, RESERVE - 5);
	fsfix_check(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FSFIX_BOTH(who_makes_or_writes_a_file_may_ask),
		FSFIX_MEMORY(nothing_is_delegated_unasked_or_twice),
		FSFIX_MEMORY(nothing_is_delegated_where_it_must_not),
		FSFIX_MEMORY(a_session_has_so_many_and_no_more),
		FSFIX_BOTH(whatever_sees_the_inode_is_blocked_for_others),
		FSFIX_MEMORY(whatever_names_or_copies_it_is_blocked_for_others),
		FSFIX_MEMORY(a_holder_does_not_truncate_by_name),
		FSFIX_BOTH(what_was_gathered_is_one_entry),
		FSFIX_MEMORY(times_that_do_not_fit_are_the_leaders),
		FSFIX_BOTH(what_was_set_after_the_writes_has_the_last_word),
		FSFIX_BOTH(a_flush_under_another_number_is_refused),
		FSFIX_MEMORY(extents_that_make_no_sense_are_refused),
		FSFIX_BOTH(each_end_lets_others_on),
		FSFIX_MEMORY(what_is_not_there_any_more_is_returned_in_vain),
		FSFIX_BOTH(it_goes_with_its_inode),
		FSFIX_MEMORY(a_large_truncate_is_reclaimed_all_the_same),
		FSFIX_MEMORY(reserved_room_is_nobody_elses),
		FSFIX_MEMORY(what_is_used_while_room_is_short_is_not_reserved_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
