/* test_lock.c - locks of many owners against a naive model, waiters, deadlocks, ends of sessions, the fence. */
#include "tests/lib/fsfix.h"

#include "base/prng.h"
#include "fs/fs_lock.h"

#define END FS_LOCK_END_MAX

static struct fs_lock posix(uint8_t type, uint64_t start, uint64_t end, uint64_t owner)
{
	return (struct fs_lock){ .kind = FS_LOCK_POSIX,
				 .type = type,
				 .start = start,
				 .end = end,
				 .owner = owner,
				 .pid = 7 };
}

static struct fs_lock flocked(uint8_t type, uint64_t owner)
{
	return (struct fs_lock){ .kind = FS_LOCK_FLOCK, .type = type, .end = END, .owner = owner };
}

static int call(struct fsfix *f, uint8_t op, uint64_t session, uint64_t ino,
		const struct fs_lock *lock)
{
	struct buf data = BUF_INIT;
	int ret;

	fs_lock_encode(lock, &data);
	f->session_id = fs_op_is_read(op) ? 0 : session;
	ret = fsfix_eval(f,
			 (struct fs_request){
				 .op = op, .ino = ino, .data = data.data, .data_len = data.len });
	f->session_id = 0;
	buf_release(&data);
	return ret;
}

static struct fs_lock_reply reply_of(const struct fsfix *f)
{
	struct fs_lock_reply rep;

	assert_int_equal(fs_lock_reply_decode(&rep, f->reply.data, f->reply.data_len), 0);
	return rep;
}

/* The result, or a negative errno. */
static int setlk(struct fsfix *f, uint64_t session, uint64_t ino, struct fs_lock lock)
{
	int ret = call(f, FS_SETLK, session, ino, &lock);

	return ret < 0 ? ret : reply_of(f).result;
}

static int wait_for(struct fsfix *f, uint64_t session, uint64_t ino, struct fs_lock lock,
		    uint64_t waiter)
{
	lock.waiter = waiter;
	return setlk(f, session, ino, lock);
}

static int release(struct fsfix *f, uint64_t session, uint64_t ino, struct fs_lock lock)
{
	return call(f, FS_LOCK_RELEASE, session, ino, &lock);
}

static int cancel(struct fsfix *f, uint64_t session, uint64_t ino, struct fs_lock lock,
		  uint64_t waiter)
{
	lock.waiter = waiter;
	return call(f, FS_LOCK_CANCEL, session, ino, &lock);
}

/* 1: something is in the way, in *found. */
static int getlk(struct fsfix *f, uint64_t session, uint64_t ino, struct fs_lock lock,
		 struct fs_lock *found)
{
	lock.session = session;
	assert_int_equal(call(f, FS_GETLK, session, ino, &lock), 0);
	if (f->reply.data_len == 0)
		return 0;
	assert_int_equal(fs_lock_decode(found, f->reply.data, f->reply.data_len), 0);
	return 1;
}

static int still_blocked(struct fsfix *f, uint64_t session, uint64_t ino, struct fs_lock lock)
{
	lock.session = session;
	return call(f, FS_LOCK_WAIT, session, ino, &lock);
}

static int end_sessions(struct fsfix *f, const uint64_t *ids, size_t count)
{
	struct buf names = BUF_INIT;
	int ret;

	for (size_t i = 0; i < count; i++) {
		buf_put_zeros(&names, KV_UUID_SIZE);
		buf_put_le64(&names, ids[i]);
	}
	ret = fsfix_eval(f, (struct fs_request){ .op = FS_SESSION_END,
						 .data = names.data,
						 .data_len = names.len });
	buf_release(&names);
	return ret;
}

/* ---- the model --------------------------------------------------------------------------------------- */

#define BYTES 12u
#define SESSIONS 3u
#define OWNERS 3u
#define INOS 2u

/* Type that each owner has on each byte; the last one is the rest of the file. */
static uint8_t held[INOS][SESSIONS][OWNERS][BYTES + 1];

static uint64_t last_byte(uint64_t end)
{
	return end >= BYTES ? END : end;
}

static bool model_conflicts(unsigned ino, unsigned s, unsigned o, const struct fs_lock *l)
{
	for (unsigned s2 = 0; s2 < SESSIONS; s2++)
		for (unsigned o2 = 0; o2 < OWNERS; o2++)
			for (uint64_t b = l->start; b <= BYTES && b <= l->end; b++) {
				uint8_t other = held[ino][s2][o2][b];

				if ((s2 != s || o2 != o) && other != 0 &&
				    (other == FS_LOCK_WRITE || l->type == FS_LOCK_WRITE))
					return true;
			}
	return false;
}

static uint32_t model_rows(unsigned ino, unsigned s)
{
	uint32_t rows = 0;

	for (unsigned o = 0; o < OWNERS; o++)
		for (unsigned b = 0; b <= BYTES; b++) {
			const uint8_t *v = held[ino][s][o];

			rows += v[b] != 0 && (b == 0 || v[b - 1] != v[b]);
		}
	return rows;
}

static void one_step(struct fsfix *f, struct prng *rnd, const uint64_t inos[INOS])
{
	unsigned ino = (unsigned)prng_below(rnd, INOS), s = (unsigned)prng_below(rnd, SESSIONS);
	unsigned o = (unsigned)prng_below(rnd, OWNERS);
	uint64_t start = prng_below(rnd, BYTES + 1),
		 end = start + prng_below(rnd, BYTES + 1 - start);
	struct fs_lock l = posix((uint8_t)(FS_LOCK_READ + prng_below(rnd, 3)), start,
				 last_byte(end), o),
		       got;
	bool unlock = l.type == FS_LOCK_UNLOCK,
	     conflict = !unlock && model_conflicts(ino, s, o, &l);

	if (!unlock) {
		assert_int_equal(getlk(f, s + 1, inos[ino], l, &got), conflict);
		assert_int_equal(still_blocked(f, s + 1, inos[ino], l),
				 conflict ? FSFIX_BLOCKED : 0);
	}
	assert_int_equal(setlk(f, s + 1, inos[ino], l),
			 conflict ? FS_LOCK_CONFLICT : FS_LOCK_GRANTED);
	for (uint64_t b = start; b <= end && !conflict; b++)
		held[ino][s][o][b] = unlock ? 0 : l.type;
	assert_int_equal(reply_of(f).left, model_rows(ino, s));
	if (prng_below(rnd, 40) == 0) {
		assert_int_equal(release(f, s + 1, inos[ino], l), 0);
		memset(held[ino][s][o], 0, BYTES + 1);
	}
	if (prng_below(rnd, 150) == 0) {
		assert_int_equal(end_sessions(f, &(uint64_t){ s + 1 }, 1), 0);
		for (unsigned i = 0; i < INOS; i++)
			memset(held[i][s], 0, sizeof(held[i][s]));
	}
}

static void locks_do_what_bytes_do(void **state)
{
	struct fsfix *f = *state;
	uint64_t inos[INOS] = { fsfix_file(f, FS_ROOT_INO, "a"), fsfix_file(f, FS_ROOT_INO, "b") };
	struct prng rnd;

	memset(held, 0, sizeof(held));
	prng_init(&rnd, 11);
	f->stack = 3;
	for (unsigned i = 0; i < (f->sqlite ? 300 : 6000); i++) {
		one_step(f, &rnd, inos);
		if (i % 100 == 0)
			fsfix_check(f);
	}
}

/* ---- named cases -------------------------------------------------------------------------------------- */

static void what_changes_nothing_makes_no_entry(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");

	assert_int_equal(setlk(f, 1, ino, posix(FS_LOCK_UNLOCK, 0, END, 1)), FS_LOCK_GRANTED);
	assert_false(f->mutated);
	assert_int_equal(release(f, 1, ino, posix(FS_LOCK_UNLOCK, 0, END, 1)), 0);
	assert_false(f->mutated);
	assert_int_equal(cancel(f, 1, ino, posix(FS_LOCK_WRITE, 0, END, 1), 5), 0);
	assert_false(f->mutated);
	assert_int_equal(setlk(f, 1, ino, posix(FS_LOCK_WRITE, 0, 9, 1)), FS_LOCK_GRANTED);
	assert_true(f->mutated);
	assert_int_equal(setlk(f, 1, ino, posix(FS_LOCK_WRITE, 3, 5, 1)), FS_LOCK_GRANTED);
	assert_false(f->mutated);
	assert_int_equal(setlk(f, 2, ino, posix(FS_LOCK_WRITE, 3, 5, 1)), FS_LOCK_CONFLICT);
	assert_false(f->mutated);
}

static void a_waiter_is_noted_once_and_goes_with_its_lock(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");
	struct fs_lock l = posix(FS_LOCK_WRITE, 0, 9, 1);

	assert_int_equal(setlk(f, 1, ino, l), FS_LOCK_GRANTED);
	assert_int_equal(wait_for(f, 2, ino, l, 5), FS_LOCK_WAITS);
	assert_true(f->mutated);
	assert_int_equal(wait_for(f, 2, ino, l, 5), FS_LOCK_WAITS);
	assert_false(f->mutated);
	assert_int_equal(wait_for(f, 2, ino, l, 6), FS_LOCK_WAITS);
	assert_true(f->mutated);
	fsfix_check(f);
	assert_int_equal(release(f, 1, ino, l), 0);
	assert_int_equal(reply_of(f).left, 0);
	assert_int_equal(still_blocked(f, 2, ino, l), 0);
	assert_int_equal(wait_for(f, 2, ino, l, 5), FS_LOCK_GRANTED);
	fsfix_check(f);
	assert_int_equal(cancel(f, 2, ino, l, 6), 0);
	assert_true(f->mutated);
	assert_int_equal(cancel(f, 2, ino, l, 5), 0);
	assert_false(f->mutated);
}

static void a_circle_of_waiters_is_a_deadlock(void **state)
{
	struct fsfix *f = *state;
	uint64_t a = fsfix_file(f, FS_ROOT_INO, "a"), b = fsfix_file(f, FS_ROOT_INO, "b");

	assert_int_equal(setlk(f, 1, a, posix(FS_LOCK_WRITE, 0, 0, 1)), FS_LOCK_GRANTED);
	assert_int_equal(setlk(f, 2, b, posix(FS_LOCK_WRITE, 0, 0, 1)), FS_LOCK_GRANTED);
	assert_int_equal(setlk(f, 3, b, posix(FS_LOCK_WRITE, 5, 5, 1)), FS_LOCK_GRANTED);
	assert_int_equal(wait_for(f, 1, b, posix(FS_LOCK_WRITE, 0, 0, 1), 1), FS_LOCK_WAITS);
	assert_int_equal(wait_for(f, 2, b, posix(FS_LOCK_READ, 5, 5, 1), 1), FS_LOCK_WAITS);
	assert_int_equal(wait_for(f, 3, a, posix(FS_LOCK_READ, 0, END, 1), 9), FS_LOCK_DEADLOCK);
	assert_false(f->mutated);
	/* With one wait given up the circle is open. */
	assert_int_equal(cancel(f, 1, b, posix(FS_LOCK_WRITE, 0, 0, 1), 1), 0);
	assert_int_equal(wait_for(f, 3, a, posix(FS_LOCK_READ, 0, END, 1), 9), FS_LOCK_WAITS);
	assert_int_equal(wait_for(f, 1, b, posix(FS_LOCK_WRITE, 0, 0, 1), 2), FS_LOCK_DEADLOCK);
	/* flock waits for ever, as on Linux. */
	assert_int_equal(setlk(f, 1, a, flocked(FS_LOCK_WRITE, 1)), FS_LOCK_GRANTED);
	assert_int_equal(setlk(f, 2, b, flocked(FS_LOCK_WRITE, 1)), FS_LOCK_GRANTED);
	assert_int_equal(wait_for(f, 1, b, flocked(FS_LOCK_WRITE, 1), 3), FS_LOCK_WAITS);
	assert_int_equal(wait_for(f, 2, a, flocked(FS_LOCK_WRITE, 1), 3), FS_LOCK_WAITS);
}

static void flock_and_fcntl_do_not_see_each_other(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");

	assert_int_equal(setlk(f, 1, ino, posix(FS_LOCK_WRITE, 0, END, 1)), FS_LOCK_GRANTED);
	assert_int_equal(setlk(f, 2, ino, flocked(FS_LOCK_WRITE, 1)), FS_LOCK_GRANTED);
	assert_int_equal(setlk(f, 1, ino, flocked(FS_LOCK_READ, 2)), FS_LOCK_CONFLICT);
}

static void a_flock_that_is_converted_is_given_up_first(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");

	assert_int_equal(setlk(f, 1, ino, flocked(FS_LOCK_READ, 1)), FS_LOCK_GRANTED);
	assert_int_equal(setlk(f, 2, ino, flocked(FS_LOCK_READ, 1)), FS_LOCK_GRANTED);
	assert_int_equal(wait_for(f, 1, ino, flocked(FS_LOCK_WRITE, 1), 1), FS_LOCK_WAITS);
	assert_int_equal(reply_of(f).left, 0);
	fsfix_check(f);
	/* So the other one gets it, and nobody waits for himself. */
	assert_int_equal(wait_for(f, 2, ino, flocked(FS_LOCK_WRITE, 1), 1), FS_LOCK_GRANTED);
	assert_int_equal(reply_of(f).left, 1);
	assert_int_equal(setlk(f, 2, ino, flocked(FS_LOCK_READ, 1)), FS_LOCK_GRANTED);
	assert_int_equal(wait_for(f, 1, ino, flocked(FS_LOCK_READ, 1), 2), FS_LOCK_GRANTED);
}

static void the_end_of_a_session_takes_all_of_it(void **state)
{
	struct fsfix *f = *state;
	uint64_t a = fsfix_file(f, FS_ROOT_INO, "a"), b = fsfix_file(f, FS_ROOT_INO, "b");

	assert_int_equal(setlk(f, 1, a, posix(FS_LOCK_WRITE, 0, 9, 1)), FS_LOCK_GRANTED);
	assert_int_equal(setlk(f, 1, a, posix(FS_LOCK_READ, 20, 29, 2)), FS_LOCK_GRANTED);
	assert_int_equal(setlk(f, 1, b, flocked(FS_LOCK_WRITE, 1)), FS_LOCK_GRANTED);
	assert_int_equal(setlk(f, 2, a, posix(FS_LOCK_WRITE, 40, 49, 1)), FS_LOCK_GRANTED);
	assert_int_equal(wait_for(f, 1, a, posix(FS_LOCK_WRITE, 40, 49, 2), 1), FS_LOCK_WAITS);
	assert_int_equal(end_sessions(f, &(uint64_t){ 1 }, 1), 0);
	assert_true(f->mutated);
	assert_int_equal(f->reply.count, 1);
	fsfix_check(f);
	assert_int_equal(setlk(f, 2, a, posix(FS_LOCK_WRITE, 0, 39, 1)), FS_LOCK_GRANTED);
	assert_int_equal(setlk(f, 2, b, flocked(FS_LOCK_WRITE, 1)), FS_LOCK_GRANTED);
	assert_int_equal(end_sessions(f, &(uint64_t){ 1 }, 1), 0);
	assert_false(f->mutated);
}

/* FS_LOCKS_PER_INO reads that do not touch. */
static void take_many(struct fsfix *f, uint64_t session, uint64_t ino)
{
	for (uint64_t i = 0; i < FS_LOCKS_PER_INO; i++)
		assert_int_equal(setlk(f, session, ino, posix(FS_LOCK_READ, 2 * i, 2 * i, i)),
				 FS_LOCK_GRANTED);
	assert_int_equal(setlk(f, session, ino, posix(FS_LOCK_READ, END, END, 1)), -ENOLCK);
}

static void limits_are_kept_and_one_entry_is_bounded(void **state)
{
	struct fsfix *f = *state;
	const unsigned files = FS_LOCKS_PER_SESSION / FS_LOCKS_PER_INO;
	uint64_t one_more = fsfix_file(f, FS_ROOT_INO, "more");
	char name[2] = "a";

	for (unsigned i = 0; i < files; i++, name[0]++)
		take_many(f, 1, fsfix_file(f, FS_ROOT_INO, name));
	assert_int_equal(setlk(f, 1, one_more, posix(FS_LOCK_READ, 0, 0, 1)), -ENOLCK);
	assert_int_equal(setlk(f, 2, one_more, posix(FS_LOCK_WRITE, 0, 0, 1)), FS_LOCK_GRANTED);
	assert_int_equal(wait_for(f, 1, one_more, posix(FS_LOCK_WRITE, 0, 0, 1), 1), -ENOLCK);
	/* What does not fit into one entry does not end with it. */
	assert_int_equal(end_sessions(f, (uint64_t[]){ 2, 1 }, 2), 0);
	assert_int_equal(f->reply.count, 1);
	assert_int_equal(end_sessions(f, (uint64_t[]){ 1, 2 }, 2), 0);
	assert_int_equal(f->reply.count, 2);
	assert_true(f->entry_bytes < 4u * 1024 * 1024);
}

static int write_as(struct fsfix *f, uint64_t session, uint64_t ino, uint64_t fence)
{
	int ret;

	f->session_id = session;
	ret = fsfix_eval(
		f, (struct fs_request){
			   .op = FS_WRITE, .ino = ino, .ino2 = fence, .data = "x", .data_len = 1 });
	f->session_id = 0;
	return ret;
}

static void a_write_under_locks_of_another_session_is_refused(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");
	struct fs_request cut = { .op = FS_SETATTR, .ino = ino, .ino2 = 5, .valid = FS_SET_SIZE };

	assert_int_equal(write_as(f, 5, ino, 5), 0);
	assert_int_equal(write_as(f, 6, ino, 0), 0);
	assert_int_equal(write_as(f, 6, ino, 5), -ENOLCK);
	f->session_id = 6;
	assert_int_equal(fsfix_eval(f, cut), -ENOLCK);
	cut.size = 1;
	cut.op = FS_PUNCH;
	assert_int_equal(fsfix_eval(f, cut), -ENOLCK);
	cut.op = FS_ALLOCATE;
	assert_int_equal(fsfix_eval(f, cut), -ENOLCK);
	f->session_id = 5;
	assert_int_equal(fsfix_eval(f, cut), 0);
}

static void nonsense_is_refused(void **state)
{
	struct fsfix *f = *state;
	uint64_t ino = fsfix_file(f, FS_ROOT_INO, "f");

	assert_int_equal(fsfix_eval(f, (struct fs_request){ .op = FS_SETLK, .ino = ino }), -EINVAL);
	assert_int_equal(setlk(f, 0, ino, posix(FS_LOCK_READ, 0, 0, 1)), -EINVAL);
	assert_int_equal(setlk(f, 1, ino, posix(FS_LOCK_READ, 5, 4, 1)), -EINVAL);
	assert_int_equal(setlk(f, 1, ino, posix(FS_LOCK_READ, 0, (uint64_t)END + 1, 1)), -EINVAL);
	assert_int_equal(setlk(f, 1, ino, posix(4, 0, 0, 1)), -EINVAL);
	assert_int_equal(setlk(f, 1, 999, posix(FS_LOCK_READ, 0, 0, 1)), -ESTALE);
	assert_int_equal(setlk(f, 1, 999, posix(FS_LOCK_UNLOCK, 0, 0, 1)), FS_LOCK_GRANTED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FSFIX_BOTH(locks_do_what_bytes_do),
		FSFIX_BOTH(what_changes_nothing_makes_no_entry),
		FSFIX_BOTH(a_waiter_is_noted_once_and_goes_with_its_lock),
		FSFIX_BOTH(a_circle_of_waiters_is_a_deadlock),
		FSFIX_MEMORY(flock_and_fcntl_do_not_see_each_other),
		FSFIX_BOTH(a_flock_that_is_converted_is_given_up_first),
		FSFIX_BOTH(the_end_of_a_session_takes_all_of_it),
		FSFIX_MEMORY(limits_are_kept_and_one_entry_is_bounded),
		FSFIX_BOTH(a_write_under_locks_of_another_session_is_refused),
		FSFIX_MEMORY(nonsense_is_refused),
	};

	return cmocka_run_group_tests_name("fs/lock", tests, NULL, NULL);
}
