/*
 * test_recalls.c - delegations on clusters of real replicas: whoever is blocked, wherever he asks, has the holder
 * called; silent holders lose theirs, and only they; a new leader grants everybody the time that an old one had.
 */
#include <fcntl.h>

#include "tests/unit/node/node_rig.h"

#define LEASE_MS FS_DELEGATION_LEASE_MS
#define RESERVE 65536u

struct recall_rig {
	struct rig *rig;
	struct rig_client *a, *b; /* through two followers */
	uint64_t ino;
	uint64_t number; /* of a's delegation */
};

static struct rig_op *create(struct rig_client *c, const char *name)
{
	struct fs_request rq = rig_create(FS_ROOT_INO, name);

	rq.size = RESERVE;
	return rig_call(c, &rq);
}

static struct recall_rig begin(uint64_t seed)
{
	struct recall_rig t = { .rig = rig_new(3, seed) };
	struct rig_op *op;

	(void)rig_leader(t.rig);
	rig_pass(t.rig, 5000); /* so that the space is known */
	t.a = rig_client(t.rig, rig_follower(t.rig, 0), true);
	t.b = rig_client(t.rig, rig_follower(t.rig, 1), true);
	op = create(t.a, "f");
	RIG_ASSERT(t.rig, op->status == 0);
	t.ino = op->reply.attr.ino;
	t.number = op->reply.delegation.number;
	RIG_ASSERT(t.rig, t.number != 0);
	rig_op_free(op);
	return t;
}

static void end(struct recall_rig *t)
{
	rig_settle_and_check(t->rig);
	rig_free(t->rig);
}

static struct rig_op *flush(struct recall_rig *t, const char *text, uint32_t flags)
{
	struct fs_extent e = { .len = (uint32_t)strlen(text), .data = (const uint8_t *)text };
	struct buf data = BUF_INIT;
	struct rig_op *op;

	fs_extent_encode(&e, &data);
	op = rig_call(t->a, &(struct fs_request){ .op = FS_GATHERED,
						  .ino = t->ino,
						  .ino2 = t->number,
						  .flags = flags,
						  .data = data.data,
						  .data_len = data.len });
	buf_release(&data);
	return op;
}

static void give_back(struct recall_rig *t, const char *text)
{
	struct rig_op *op = flush(t, text, FS_GATHERED_RETURN);

	assert_int_equal(op->status, 0);
	rig_op_free(op);
}

static struct rig_op *ask(struct rig_client *c, uint8_t op, uint64_t ino)
{
	return rig_send(c, &(struct fs_request){ .op = op, .ino = ino, .size = 100 });
}

static void assert_recalled(const struct recall_rig *t)
{
	assert_true(t->a->recalls > 0);
	assert_int_equal(t->a->recalled_ino, t->ino);
	assert_int_equal(t->a->recalled_number, t->number);
	assert_int_equal(t->b->recalls, 0);
}

/* ---- recalls ------------------------------------------------------------------------------------------ */

static void a_reader_at_another_node_sees_what_was_gathered(void **state)
{
	struct recall_rig t = begin(1);
	struct rig_op *op = ask(t.b, FS_READ, t.ino);

	(void)state;
	rig_pass(t.rig, 300);
	assert_false(op->done);
	assert_recalled(&t);
	give_back(&t, "gathered");
	rig_wait(op, t.rig);
	assert_int_equal(op->status, 0);
	assert_int_equal(op->reply.data_len, 8);
	assert_memory_equal(op->reply.data, "gathered", 8);
	rig_op_free(op);
	end(&t);
}

static void a_change_waits_at_the_leader(void **state)
{
	struct recall_rig t = begin(2);
	struct fs_request rq = rig_write(t.ino, 8, "!", 1);
	struct rig_op *op = rig_send(t.b, &rq);

	(void)state;
	rig_pass(t.rig, 300);
	assert_false(op->done);
	assert_recalled(&t);
	give_back(&t, "gathered");
	rig_wait(op, t.rig);
	assert_int_equal(op->status, 0);
	assert_int_equal(op->reply.attr.size, 9);
	rig_op_free(op);
	end(&t);
}

static void the_holder_itself_is_not_in_its_way(void **state)
{
	struct recall_rig t = begin(3);
	struct rig_op *op = flush(&t, "gathered", 0);

	(void)state;
	rig_op_free(op);
	op = rig_call(t.a, &(struct fs_request){ .op = FS_READ, .ino = t.ino, .size = 100 });
	assert_int_equal(op->reply.data_len, 8);
	rig_op_free(op);
	assert_int_equal(t.a->recalls, 0);
	end(&t);
}

static void a_recall_is_sent_again_while_it_is_wanted(void **state)
{
	struct recall_rig t = begin(4);
	struct rig_op *op = ask(t.b, FS_GETATTR, t.ino);
	unsigned recalls;

	(void)state;
	rig_pass(t.rig, 4 * LEASE_MS);
	/* Its holder is there, and has all the time it needs. */
	assert_false(op->done);
	assert_true(t.a->recalls >= 3 * LEASE_MS / 200 && t.a->recalls <= 5 * LEASE_MS / 200);
	rig_client_move(t.b, NULL);
	rig_pass(t.rig, LEASE_MS);
	recalls = t.a->recalls;
	rig_pass(t.rig, LEASE_MS);
	assert_int_equal(t.a->recalls, recalls);
	rig_op_free(op);
	end(&t);
}

static void nobody_gets_one_for_a_second_after_a_recall(void **state)
{
	struct recall_rig t = begin(5);
	struct fs_request rq = rig_write(t.ino, 0, "x", 1);
	struct rig_op *op;

	(void)state;
	rq.size = RESERVE;
	op = rig_send(t.b, &rq);
	rig_pass(t.rig, 100);
	give_back(&t, "gathered");
	rig_wait(op, t.rig);
	assert_int_equal(op->reply.delegation.number, 0);
	rig_op_free(op);
	rig_pass(t.rig, 1100);
	op = rig_call(t.b, &rq);
	assert_int_not_equal(op->reply.delegation.number, 0);
	rig_op_free(op);
	end(&t);
}

/* ---- silent holders ------------------------------------------------------------------------------------ */

static void a_silent_holder_loses_it_after_the_lease(void **state)
{
	struct recall_rig t = begin(6);
	struct rig_op *op, *late;
	uint64_t from_ms = t.rig->now_ms;

	(void)state;
	t.a->mute = true;
	op = ask(t.b, FS_GETATTR, t.ino);
	rig_wait(op, t.rig);
	assert_int_equal(op->status, 0);
	assert_int_equal(op->reply.attr.size, 0);
	assert_true(t.rig->now_ms - from_ms >= LEASE_MS - 1000);
	assert_true(t.rig->now_ms - from_ms <= LEASE_MS + 1000);
	late = flush(&t, "too late", 0);
	assert_int_equal(late->status, -EKEYREVOKED);
	rig_op_free(late);
	rig_op_free(op);
	end(&t);
}

/* What a leader confirms after it has heard nothing for a lease must not come from before. */
static void while_it_is_revoked_nobody_is_told_that_he_is_kept(void **state)
{
	struct recall_rig t = begin(7);
	struct rig_op *op = ask(t.b, FS_GETATTR, t.ino);
	struct rig_node *leader = rig_leader(t.rig);
	uint64_t kept_tag;

	(void)state;
	t.a->mute = true;
	rig_hold(leader, WORKER_APPLY, true);
	rig_pass(t.rig, 2 * LEASE_MS);
	assert_true(recalls_is_revoking(leader->replica, t.a->session_id));
	kept_tag = t.a->kept_tag;
	t.a->mute = false;
	rig_pass(t.rig, 1000);
	assert_int_equal(t.a->kept_tag, kept_tag);
	rig_hold(leader, WORKER_APPLY, false);
	rig_wait(op, t.rig);
	rig_pass(t.rig, 4000);
	assert_true(t.a->kept_tag > kept_tag);
	rig_op_free(op);
	end(&t);
}

static void a_new_leader_waits_for_a_lease_of_its_own(void **state)
{
	struct recall_rig t = begin(8);
	struct rig_node *old = rig_leader(t.rig);
	struct rig_op *op;
	uint64_t from_ms;

	(void)state;
	t.a->mute = true;
	rig_pass(t.rig, 2 * LEASE_MS); /* silent for the old one, whom nobody asks */
	rig_crash(old);
	(void)rig_leader(t.rig);
	from_ms = t.rig->now_ms;
	op = ask(t.b, FS_GETATTR, t.ino);
	rig_pass(t.rig, LEASE_MS - 500);
	assert_false(op->done);
	rig_wait(op, t.rig);
	assert_int_equal(op->status, 0);
	assert_true(t.rig->now_ms - from_ms <= LEASE_MS + 2000);
	rig_start(old);
	rig_op_free(op);
	end(&t);
}

static void a_brisk_client_is_confirmed_soon(void **state)
{
	struct recall_rig t = begin(9);
	struct fs_msg alive = { .type = FS_MSG_ALIVE, .flags = FS_MSG_HOLDER | FS_MSG_BRISK };

	(void)state;
	t.a->mute = true;
	memcpy(alive.uuid, t.a->uuid, sizeof(alive.uuid));
	alive.session_id = t.a->session_id;
	for (unsigned i = 0; i < 20; i++) {
		alive.tag = t.rig->now_ms;
		assert_int_equal(rig_send_raw(t.a, &alive), 0);
		rig_pass(t.rig, 250);
		assert_true(t.rig->now_ms - t.a->kept_tag <= 600 || i < 4);
	}
	end(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reader_at_another_node_sees_what_was_gathered),
		cmocka_unit_test(a_change_waits_at_the_leader),
		cmocka_unit_test(the_holder_itself_is_not_in_its_way),
		cmocka_unit_test(a_recall_is_sent_again_while_it_is_wanted),
		cmocka_unit_test(nobody_gets_one_for_a_second_after_a_recall),
		cmocka_unit_test(a_silent_holder_loses_it_after_the_lease),
		cmocka_unit_test(while_it_is_revoked_nobody_is_told_that_he_is_kept),
		cmocka_unit_test(a_new_leader_waits_for_a_lease_of_its_own),
		cmocka_unit_test(a_brisk_client_is_confirmed_soon),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
