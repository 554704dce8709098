/*
 * test_waits.c - locks on clusters of real replicas: who waits is kept by its node until the lock goes, for
 * a second at most; sessions that end take their locks with them in the same entry.
 */
#include "fs/fs_lock.h"
#include "tests/unit/node/node_rig.h"

#define TTL_MS SESSION_TTL_MS

static struct fs_lock whole(uint8_t type, uint64_t owner)
{
	return (struct fs_lock){
		.kind = FS_LOCK_POSIX, .type = type, .end = FS_LOCK_END_MAX, .owner = owner
	};
}

static struct rig_op *send_lock(struct rig_client *c, uint8_t op, uint64_t ino,
				const struct fs_lock *lock)
{
	struct buf data = BUF_INIT;
	struct rig_op *sent;

	fs_lock_encode(lock, &data);
	sent = rig_send(c, &(struct fs_request){
				   .op = op, .ino = ino, .data = data.data, .data_len = data.len });
	buf_release(&data);
	return sent;
}

/* The result of FS_SETLK, or a negative errno. */
static int setlk(struct rig *rig, struct rig_client *c, uint64_t ino, struct fs_lock lock)
{
	struct rig_op *op = send_lock(c, FS_SETLK, ino, &lock);
	struct fs_lock_reply reply;
	int ret;

	rig_wait(op, rig);
	ret = op->status;
	if (ret == 0) {
		assert_int_equal(fs_lock_reply_decode(&reply, op->reply.data, op->reply.data_len),
				 0);
		assert_int_equal(reply.session, c->session_id);
		ret = reply.result;
	}
	rig_op_free(op);
	return ret;
}

static struct rig_op *wait_for(struct rig_client *c, uint64_t ino, struct fs_lock lock)
{
	lock.session = c->session_id;
	return send_lock(c, FS_LOCK_WAIT, ino, &lock);
}

static uint64_t make_file(struct rig *rig, struct rig_client *c)
{
	struct fs_request rq = rig_create(FS_ROOT_INO, "f");
	struct rig_op *op = rig_call(c, &rq);
	uint64_t ino = op->reply.attr.ino;

	RIG_ASSERT(rig, op->status == 0);
	rig_op_free(op);
	return ino;
}

struct lock_rig {
	struct rig *rig;
	struct rig_client *a, *b; /* through two followers */
	uint64_t ino;
};

/* a holds the lock that b waits for. */
static struct lock_rig begin(uint64_t seed)
{
	struct lock_rig l = { .rig = rig_new(3, seed) };

	(void)rig_leader(l.rig);
	l.a = rig_client(l.rig, rig_follower(l.rig, 0), true);
	l.b = rig_client(l.rig, rig_follower(l.rig, 1), true);
	l.ino = make_file(l.rig, l.a);
	assert_int_equal(setlk(l.rig, l.a, l.ino, whole(FS_LOCK_WRITE, 1)), FS_LOCK_GRANTED);
	return l;
}

static int wait_row(struct lock_rig *l)
{
	struct fs_lock lock = whole(FS_LOCK_WRITE, 1);

	lock.waiter = 7;
	return setlk(l->rig, l->b, l->ino, lock);
}

static void who_waits_hears_of_the_unlock_at_once(void **state)
{
	struct lock_rig l = begin(1);
	struct rig_op *op;
	uint64_t from_ms;

	assert_int_equal(wait_row(&l), FS_LOCK_WAITS);
	op = wait_for(l.b, l.ino, whole(FS_LOCK_WRITE, 1));
	rig_pass(l.rig, 500);
	assert_false(op->done);
	from_ms = l.rig->now_ms;
	assert_int_equal(setlk(l.rig, l.a, l.ino, whole(FS_LOCK_UNLOCK, 1)), FS_LOCK_GRANTED);
	rig_wait(op, l.rig);
	assert_int_equal(op->status, 0);
	assert_true(l.rig->now_ms - from_ms <= 400);
	rig_op_free(op);
	assert_int_equal(wait_row(&l), FS_LOCK_GRANTED);
	rig_settle_and_check(l.rig);
	rig_free(l.rig);
	(void)state;
}

static void who_waits_long_is_told_to_try_again(void **state)
{
	struct lock_rig l = begin(2);
	struct rig_op *op = wait_for(l.b, l.ino, whole(FS_LOCK_WRITE, 1));

	(void)state;
	rig_pass(l.rig, 2000);
	assert_true(op->done);
	assert_int_equal(op->status, -EAGAIN);
	rig_op_free(op);
	rig_settle_and_check(l.rig);
	rig_free(l.rig);
}

/* Parked after the state that was looked at, and before the news that the lock went: applied in between. */
static void an_unlock_that_overtakes_the_look_is_not_missed(void **state)
{
	struct lock_rig l = begin(3);
	struct rig_op *op;

	(void)state;
	op = wait_for(l.b, l.ino, whole(FS_LOCK_WRITE, 1));
	rig_run(l.rig);
	rig_hold(l.b->node, WORKER_READ, true);
	/* Something else on the inode goes, which wakes it into the held worker ... */
	assert_int_equal(setlk(l.rig, l.a, l.ino, whole(FS_LOCK_READ, 1)), FS_LOCK_GRANTED);
	assert_int_equal(setlk(l.rig, l.a, l.ino, whole(FS_LOCK_UNLOCK, 1)), FS_LOCK_GRANTED);
	rig_hold(l.b->node, WORKER_READ, false);
	rig_wait(op, l.rig);
	assert_int_equal(op->status, 0);
	rig_op_free(op);
	rig_settle_and_check(l.rig);
	rig_free(l.rig);
}

static void a_client_that_leaves_leaves_nothing_behind(void **state)
{
	struct lock_rig l = begin(4);
	struct rig_op *op = wait_for(l.b, l.ino, whole(FS_LOCK_WRITE, 1));
	struct rig_node *node = l.b->node;

	(void)state;
	rig_pass(l.rig, 200);
	assert_int_equal(node->replica->wait_count, 1);
	rig_client_move(l.b, NULL);
	assert_int_equal(node->replica->wait_count, 0);
	assert_int_equal(node->replica->reads_open, 0);
	rig_op_free(op);
	rig_settle_and_check(l.rig);
	rig_free(l.rig);
}

static void locks_and_waiters_outlive_the_leader(void **state)
{
	struct lock_rig l = begin(5);
	struct rig_node *old = rig_leader(l.rig);
	struct fs_lock lock = whole(FS_LOCK_WRITE, 1);
	struct rig_op *op;

	(void)state;
	assert_int_equal(wait_row(&l), FS_LOCK_WAITS);
	op = wait_for(l.b, l.ino, lock);
	rig_crash(old);
	(void)rig_leader(l.rig);
	if (!op->done)
		rig_wait(op, l.rig);
	rig_op_free(op);
	assert_int_equal(wait_row(&l), FS_LOCK_WAITS);
	/* The graph is in the state: a may not wait for what b has. */
	assert_int_equal(setlk(l.rig, l.b, FS_ROOT_INO, lock), FS_LOCK_GRANTED);
	lock.waiter = 3;
	assert_int_equal(setlk(l.rig, l.a, FS_ROOT_INO, lock), FS_LOCK_DEADLOCK);
	rig_start(old);
	rig_heal(l.rig);
	rig_settle_and_check(l.rig);
	rig_free(l.rig);
}

static void a_session_that_ends_unlocks_in_that_entry(void **state)
{
	struct lock_rig l = begin(6);
	struct rig_op *op;
	uint64_t index;

	(void)state;
	assert_int_equal(wait_row(&l), FS_LOCK_WAITS);
	rig_pass(l.rig, 3000);
	index = rig_info(rig_leader(l.rig)).raft.last_index;
	rig_client_move(l.a, NULL);
	rig_pass(l.rig, TTL_MS + TTL_MS / 50);
	for (unsigned i = 0; i < 60 && rig_info(rig_leader(l.rig)).raft.last_index == index; i++)
		rig_pass(l.rig, 100);
	rig_pass(l.rig, 1000);
	assert_int_equal(rig_info(rig_leader(l.rig)).raft.last_index, index + 1);
	op = wait_for(l.b, l.ino, whole(FS_LOCK_WRITE, 1));
	rig_wait(op, l.rig);
	assert_int_equal(op->status, 0);
	rig_op_free(op);
	assert_int_equal(wait_row(&l), FS_LOCK_GRANTED);
	rig_settle_and_check(l.rig);
	rig_free(l.rig);
}

static void a_session_that_is_replaced_unlocks_and_its_writes_are_fenced(void **state)
{
	struct lock_rig l = begin(7);
	struct fs_request rq = rig_write(l.ino, 0, "late", 4);
	uint64_t old = l.a->session_id;
	struct rig_op *op;

	(void)state;
	assert_int_equal(wait_row(&l), FS_LOCK_WAITS);
	rq.ino2 = old;
	op = rig_call(l.a, &rq);
	assert_int_equal(op->status, 0);
	rig_op_free(op);
	op = rig_client_renew(l.a, true);
	rig_wait(op, l.rig);
	assert_int_equal(op->status, 0);
	rig_op_free(op);
	assert_int_equal(wait_row(&l), FS_LOCK_GRANTED);
	op = rig_call(l.a, &rq);
	assert_int_equal(op->status, -ENOLCK);
	rig_op_free(op);
	rig_settle_and_check(l.rig);
	rig_free(l.rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_waits_hears_of_the_unlock_at_once),
		cmocka_unit_test(who_waits_long_is_told_to_try_again),
		cmocka_unit_test(an_unlock_that_overtakes_the_look_is_not_missed),
		cmocka_unit_test(a_client_that_leaves_leaves_nothing_behind),
		cmocka_unit_test(locks_and_waiters_outlive_the_leader),
		cmocka_unit_test(a_session_that_ends_unlocks_in_that_entry),
		cmocka_unit_test(a_session_that_is_replaced_unlocks_and_its_writes_are_fenced),
	};

	return cmocka_run_group_tests_name("node/waits", tests, NULL, NULL);
}
