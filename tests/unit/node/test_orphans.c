/*
 * test_orphans.c - unlinked files that somebody still holds open, and their end: section 3 of the
 * architecture. A mount is a client of the rig that answers queries.
 */
#include "tests/unit/node/node_rig.h"

#define TTL_MS SESSION_TTL_MS

struct fixture {
	struct rig *rig;
	struct rig_client *holder, *other;
	uint64_t ino;
};

static uint64_t make_file(struct rig_client *c, const char *name)
{
	struct fs_request make = rig_create(FS_ROOT_INO, name);
	struct rig_op *op = rig_call(c, &make);
	uint64_t ino;

	assert_int_equal(op->status, 0);
	ino = op->reply.attr.ino;
	rig_op_free(op);
	return ino;
}

static void unlink_file(struct rig_client *c, const char *name)
{
	struct fs_request gone = rig_unlink(FS_ROOT_INO, name);
	struct rig_op *op = rig_call(c, &gone);

	assert_int_equal(op->status, 0);
	rig_op_free(op);
}

static int getattr_status(struct rig_client *c, uint64_t ino)
{
	struct fs_request rq = { .op = FS_GETATTR, .ino = ino };
	struct rig_op *op = rig_call(c, &rq);
	int status = op->status;

	rig_op_free(op);
	return status;
}

/* A leader that has waited long enough to know everybody, a file, and a mount that holds it. */
static struct fixture start(size_t nodes, uint64_t seed)
{
	struct fixture f = { .rig = rig_new(nodes, seed) };
	struct rig_node *leader = rig_leader(f.rig);

	f.holder = rig_client(f.rig, nodes > 1 ? rig_follower(f.rig, 0) : leader, true);
	f.other = rig_client(f.rig, leader, true);
	f.ino = make_file(f.holder, "f");
	f.holder->held[f.holder->held_count++] = f.ino;
	rig_pass(f.rig, TTL_MS + 1000);
	return f;
}

static void end(struct fixture *f)
{
	rig_settle_and_check(f->rig);
	rig_free(f->rig);
}

static void an_unlinked_file_lives_while_a_mount_holds_it(void **state)
{
	struct fixture f = start(3, 1);

	unlink_file(f.other, "f");
	rig_pass(f.rig, 90000);
	assert_int_equal(getattr_status(f.holder, f.ino), 0);
	assert_int_equal(rig_local_orphans(rig_leader(f.rig)), 1);
	assert_true(f.holder->queries > 0);
	end(&f);
}

static void it_is_reclaimed_soon_after_the_last_close(void **state)
{
	struct fixture f = start(3, 2);

	unlink_file(f.other, "f");
	rig_pass(f.rig, 5000);
	f.holder->held_count = 0;
	rig_pass(f.rig, 3000);
	assert_int_equal(getattr_status(f.holder, f.ino), -ESTALE);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(rig_local_orphans(&f.rig->nodes[i]), 0);
	end(&f);
}

static void one_that_nobody_holds_goes_at_once(void **state)
{
	struct fixture f = start(1, 3);

	f.holder->held_count = 0;
	unlink_file(f.other, "f");
	rig_pass(f.rig, 2000);
	assert_int_equal(rig_local_orphans(rig_leader(f.rig)), 0);
	end(&f);
}

static void a_mount_that_is_silent_too_long_holds_nothing(void **state)
{
	struct fixture f = start(3, 4);

	unlink_file(f.other, "f");
	rig_pass(f.rig, 3000);
	f.holder->mute = true;
	rig_pass(f.rig, TTL_MS - 5000);
	assert_int_equal(rig_local_orphans(rig_leader(f.rig)), 1);
	rig_pass(f.rig, 20000);
	assert_int_equal(rig_local_orphans(rig_leader(f.rig)), 0);
	end(&f);
}

static void a_mount_whose_connection_broke_holds_until_then(void **state)
{
	struct fixture f = start(3, 5);

	unlink_file(f.other, "f");
	rig_client_move(f.holder, NULL);
	rig_pass(f.rig, TTL_MS - 10000);
	assert_int_equal(rig_local_orphans(rig_leader(f.rig)), 1);
	rig_client_move(f.holder, rig_follower(f.rig, 1)); /* it comes back by another node */
	rig_pass(f.rig, 2 * TTL_MS);
	assert_int_equal(rig_local_orphans(rig_leader(f.rig)), 1);
	rig_client_move(f.holder, NULL);
	rig_pass(f.rig, TTL_MS + 15000);
	assert_int_equal(rig_local_orphans(rig_leader(f.rig)), 0);
	end(&f);
}

static void a_mount_that_says_goodbye_holds_nothing_any_more(void **state)
{
	struct fixture f = start(3, 6);
	struct fs_msg bye = { .type = FS_MSG_BYE };

	unlink_file(f.other, "f");
	rig_pass(f.rig, 3000);
	f.holder->mute = true;
	memcpy(bye.uuid, f.holder->uuid, sizeof(bye.uuid));
	assert_int_equal(rig_send_raw(f.holder, &bye), 0);
	rig_pass(f.rig, 8000);
	assert_int_equal(rig_local_orphans(rig_leader(f.rig)), 0);
	end(&f);
}

static void a_new_leader_waits_before_it_reclaims(void **state)
{
	struct fixture f = start(3, 7);
	struct rig_node *old;

	f.holder->mute = true; /* alive, but the new leader cannot know */
	unlink_file(f.other, "f");
	rig_client_move(f.other, f.holder->node);
	old = rig_leader(f.rig);
	rig_crash(old);
	(void)rig_leader(f.rig);
	f.holder->mute = false;
	rig_client_move(f.holder, NULL);
	rig_pass(f.rig, TTL_MS - 8000);
	rig_client_move(f.holder, f.other->node);
	assert_int_equal(rig_local_orphans(f.other->node), 1);
	rig_pass(f.rig, 3 * TTL_MS);
	assert_int_equal(rig_local_orphans(f.other->node), 1);
	f.holder->held_count = 0;
	rig_pass(f.rig, 5000);
	assert_int_equal(rig_local_orphans(f.other->node), 0);
	end(&f);
}

static void holders_are_logged(void **state)
{
	struct fixture f = start(3, 8);
	struct fs_request list = { .op = FS_ORPHANS, .size = 4096 };
	struct rig_op *op;
	struct fs_orphan orphan;
	const uint8_t *data;
	size_t len;

	unlink_file(f.other, "f");
	rig_pass(f.rig, 5000);
	op = rig_call(f.other, &list);
	assert_int_equal(op->status, 0);
	data = op->reply.data;
	len = op->reply.data_len;
	assert_true(fs_orphan_next(&data, &len, &orphan));
	assert_int_equal(orphan.ino, f.ino);
	assert_int_equal(orphan.holder_count, 1);
	assert_int_equal(load_le64(orphan.holders), f.holder->session_id);
	assert_true(f.holder->session_id > 0);
	end(&f);
}

static void holding_costs_no_entry_after_it_was_logged(void **state)
{
	struct fixture f = start(3, 9);
	uint64_t last;

	unlink_file(f.other, "f");
	rig_pass(f.rig, 5000);
	last = rig_info(rig_leader(f.rig)).raft.last_index;
	rig_pass(f.rig, 60000);
	assert_int_equal(rig_info(rig_leader(f.rig)).raft.last_index, last);
	end(&f);
}

static void a_large_file_goes_in_bounded_steps(void **state)
{
	struct fixture f = start(1, 10);
	uint64_t last;

	f.holder->held_count = 0;
	for (uint64_t b = 0; b < 2 * FS_RECLAIM_BLOCKS + 10; b++) {
		struct fs_request w = rig_write(f.ino, b * KV_BLOCK_SIZE, "x", 1);
		struct rig_op *op = rig_send(f.holder, &w);

		rig_run(f.rig);
		assert_true(op->done && op->status == 0);
		rig_op_free(op);
	}
	unlink_file(f.other, "f");
	last = rig_info(rig_leader(f.rig)).raft.last_index;
	rig_pass(f.rig, 5000);
	assert_int_equal(rig_local_orphans(rig_leader(f.rig)), 0);
	assert_true(rig_info(rig_leader(f.rig)).raft.last_index - last >= 3);
	end(&f);
}

/* The list comes in pages of 16 KiB: what is held on the first ones must not hide the rest. */
static void many_held_files_do_not_hide_one_that_can_go(void **state)
{
	struct fixture f = start(1, 11);
	uint64_t count = 1300, last_ino = 0;

	f.holder->held_below = UINT64_MAX;
	for (uint64_t i = 0; i < count; i++) {
		char name[24];

		snprintf(name, sizeof(name), "o%llu", (unsigned long long)i);
		last_ino = make_file(f.other, name);
		unlink_file(f.other, name);
	}
	rig_pass(f.rig, 10000);
	assert_int_equal(rig_local_orphans(rig_leader(f.rig)), count);
	f.holder->held_below = last_ino; /* the last one is closed */
	f.holder->held_count = 0;
	rig_pass(f.rig, 10000);
	assert_int_equal(rig_local_orphans(rig_leader(f.rig)), count - 1);
	assert_int_equal(getattr_status(f.other, last_ino), -ESTALE);
	end(&f);
}

/* It opens a file in its very first second, on a follower: the leader must have heard of it by then. */
static void a_mount_that_has_just_come_is_asked_too(void **state)
{
	struct fixture f = start(3, 12);
	struct fs_request open = { .op = FS_OPEN, .ino = f.ino };
	struct rig_client *fresh;
	struct rig_op *op;

	f.holder->held_count = 0;
	do
		rig_pass(f.rig, RIG_TICK_MS);
	while (f.holder->node->replica->status_ms !=
	       f.rig->now_ms + 1000); /* it has just told its status */
	fresh = rig_client(f.rig, f.holder->node, true);
	fresh->alive_ms = UINT64_MAX - 2000; /* it has said nothing but this */
	fresh->held[fresh->held_count++] = f.ino;
	op = rig_send(fresh, &open);
	rig_run(f.rig);
	assert_true(op->done && op->status == 0);
	fresh->mute = true; /* slow to answer */
	unlink_file(f.other, "f");
	rig_pass(f.rig, 400);
	assert_int_equal(rig_local_orphans(rig_leader(f.rig)), 1);
	fresh->mute = false;
	fresh->alive_ms = 0;
	rig_pass(f.rig, 2 * TTL_MS);
	assert_int_equal(rig_local_orphans(rig_leader(f.rig)), 1);
	end(&f);
}

/* While a question waits for a mount that is stuck, large truncates get on: writers wait for them. */
static void truncates_need_nobody_s_consent(void **state)
{
	struct fixture f = start(1, 13);
	struct fs_request cut = { .op = FS_SETATTR, .valid = FS_SET_SIZE };
	uint64_t big = make_file(f.other, "big");
	struct rig_op *op;
	struct fs_request w;

	for (uint64_t b = 0; b < 3 * FS_RECLAIM_BLOCKS; b++) {
		w = rig_write(big, b * KV_BLOCK_SIZE, "x", 1);
		op = rig_send(f.other, &w);
		rig_run(f.rig);
		assert_true(op->done && op->status == 0);
		rig_op_free(op);
	}
	unlink_file(f.other, "f");
	f.holder->mute = true; /* a question is out, and stays so */
	rig_pass(f.rig, 2000);
	cut.ino = big;
	assert_int_equal(rig_call(f.other, &cut)->status, 0);
	w = rig_write(big, (3 * FS_RECLAIM_BLOCKS - 1) * (uint64_t)KV_BLOCK_SIZE, "y", 1);
	op = rig_send(f.other, &w);
	rig_pass(f.rig, 1500);
	assert_true(op->done);
	assert_int_equal(op->status, 0);
	assert_int_equal(rig_local_orphans(rig_leader(f.rig)), 1);
	end(&f);
}

static void an_orphan_that_appears_during_a_look_is_not_forgotten(void **state)
{
	struct fixture f = start(1, 14);
	struct rig_node *node = rig_leader(f.rig);
	struct fs_request gone = rig_unlink(FS_ROOT_INO, "f");
	struct fs_request put = rig_kv_put("k", "v");
	struct rig_op *op;

	f.holder->held_count = 0;
	assert_int_equal(rig_call(f.other, &put)->status, 0);
	/* A look at the list is done, its result not yet heard, when the file is unlinked. */
	node->replica->orphans.pending = true;
	node->replica->orphans.next_ms = 0;
	orphans_tick(node->replica);
	assert_true(node->replica->orphans.listing);
	worker_run(&node->workers[WORKER_READ], &node->queues[WORKER_READ], &node->done);
	{
		struct list late;

		list_init(&late);
		list_splice_tail(&late, &node->done);
		op = rig_send(f.other, &gone);
		rig_run(f.rig);
		assert_true(op->done);
		list_splice_tail(&node->done, &late);
	}
	rig_pass(f.rig, 3000);
	assert_int_equal(rig_local_orphans(node), 0);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_unlinked_file_lives_while_a_mount_holds_it),
		cmocka_unit_test(it_is_reclaimed_soon_after_the_last_close),
		cmocka_unit_test(one_that_nobody_holds_goes_at_once),
		cmocka_unit_test(a_mount_that_is_silent_too_long_holds_nothing),
		cmocka_unit_test(a_mount_whose_connection_broke_holds_until_then),
		cmocka_unit_test(a_mount_that_says_goodbye_holds_nothing_any_more),
		cmocka_unit_test(a_new_leader_waits_before_it_reclaims),
		cmocka_unit_test(holders_are_logged),
		cmocka_unit_test(holding_costs_no_entry_after_it_was_logged),
		cmocka_unit_test(a_large_file_goes_in_bounded_steps),
		cmocka_unit_test(many_held_files_do_not_hide_one_that_can_go),
		cmocka_unit_test(a_mount_that_has_just_come_is_asked_too),
		cmocka_unit_test(truncates_need_nobody_s_consent),
		cmocka_unit_test(an_orphan_that_appears_during_a_look_is_not_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
