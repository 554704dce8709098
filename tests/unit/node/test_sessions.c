/*
 * test_sessions.c - who is heard lives, who is not ends, and what ended executes nothing any more:
 * the leader's side of section 6 of the architecture, on clusters of real replicas.
 */
#include "tests/unit/node/node_rig.h"

#define TTL_MS SESSION_TTL_MS
#define TTL_LONG_MS (TTL_MS + TTL_MS / 100)

static uint64_t sessions_on(struct rig_node *node)
{
	return rig_info(node).sessions;
}

static void put(struct rig_client *c, const char *key, const char *value)
{
	struct fs_request rq = rig_kv_put(key, value);
	struct rig_op *op = rig_call(c, &rq);

	assert_int_equal(op->status, 0);
	rig_op_free(op);
}

static uint64_t last_index(struct rig *rig)
{
	return rig_info(rig_leader(rig)).raft.last_index;
}

/* A copy of an operation as its client sent it, to be sent by anybody at any time. */
struct copy {
	struct fs_msg m;
	struct buf body;
};

static struct copy copy_of(const struct rig_client *c, const struct rig_op *op, bool retry)
{
	struct copy copy = { .m = { .type = FS_MSG_REQUEST,
				    .tag = op->tag,
				    .seq = op->seq,
				    .low = op->seq,
				    .session_id = c->session_id,
				    .flags = retry ? FS_MSG_RETRY : 0 } };

	memcpy(copy.m.uuid, c->uuid, KV_UUID_SIZE);
	if (c->session_id == 0) {
		copy.m.flags |= FS_MSG_BEGIN;
		copy.m.stamp = c->begin_stamp;
	}
	buf_put(&copy.body, op->body.data, op->body.len);
	return copy;
}

/* Arrives at last, through a connection of its own. */
static void arrives(struct copy *copy, struct rig_client *by)
{
	copy->m.body = copy->body.data;
	copy->m.body_len = copy->body.len;
	assert_int_equal(rig_send_raw(by, &copy->m), 0);
	buf_release(&copy->body);
}

/* ---- ends --------------------------------------------------------------------------------------------- */

static void a_client_that_is_heard_stays(void **state)
{
	struct rig *rig = rig_new(3, 1);
	struct rig_client *c[2];
	uint64_t index;

	(void)rig_leader(rig);
	c[0] = rig_client(rig, rig_follower(rig, 0), false);
	c[1] = rig_client(rig, rig_leader(rig), true);
	put(c[0], "a", "1");
	put(c[1], "b", "1");
	rig_pass(rig, 2000);
	index = last_index(rig);
	rig_pass(rig, 3 * TTL_MS);
	assert_int_equal(last_index(rig), index); /* and costs no entry */
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(sessions_on(&rig->nodes[i]), 2);
	for (size_t i = 0; i < 2; i++) {
		assert_true(c[i]->kept_tag + 2500 >= rig->now_ms);
		assert_false(c[i]->expired);
	}
	put(c[0], "a", "2");
	rig_settle_and_check(rig);
	rig_free(rig);
}

static void one_that_is_silent_ends_by_one_entry_everywhere(void **state)
{
	struct rig *rig = rig_new(3, 2);
	struct rig_client *c;
	uint64_t index, silent_ms;

	(void)rig_leader(rig);
	rig_pass(rig, 2 * TTL_MS);
	c = rig_client(rig, rig_follower(rig, 0), false);
	put(c, "a", "1");
	rig_pass(rig, 5000);
	index = last_index(rig);
	rig_client_move(c, NULL);
	silent_ms = rig->now_ms;
	while (last_index(rig) == index)
		rig_pass(rig, RIG_TICK_MS);
	/* Never before the time to live and the bound, counted from when it was last heard. */
	assert_true(rig->now_ms - silent_ms >= TTL_LONG_MS - 1000);
	assert_true(rig->now_ms - silent_ms <= TTL_LONG_MS + 2000);
	rig_pass(rig, 1000);
	assert_int_equal(last_index(rig), index + 1);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(sessions_on(&rig->nodes[i]), 0);
	rig_settle_and_check(rig);
	rig_free(rig);
}

static void hundreds_end_in_few_entries(void **state)
{
	struct rig *rig = rig_new(1, 3);
	struct rig_node *node = rig_leader(rig);
	struct rig_client *c = rig_client(rig, node, false);
	uint64_t index;

	rig_pass(rig, TTL_LONG_MS);
	for (int i = 0; i < 600; i++) { /* as many commands, one after the other */
		struct fs_msg bye = { .type = FS_MSG_BYE };

		store_le64(c->uuid, (uint64_t)i + 1);
		c->session_id = c->begin_stamp = 0;
		c->next_seq = 1;
		put(c, "k", "v");
		memcpy(bye.uuid, c->uuid, sizeof(bye.uuid));
		assert_int_equal(rig_send_raw(c, &bye), 0);
		rig_client_move(c, node);
	}
	assert_int_equal(sessions_on(node), 600);
	index = last_index(rig);
	rig_client_move(c, NULL);
	rig_pass(rig, TTL_LONG_MS + 5000);
	assert_int_equal(sessions_on(node), 0);
	assert_true(last_index(rig) - index <= 4);
	rig_settle_and_check(rig);
	rig_free(rig);
}

static void a_mount_s_holds_end_with_its_session(void **state)
{
	struct rig *rig = rig_new(3, 4);
	struct rig_client *mount, *other;
	struct fs_request rq = rig_create(FS_ROOT_INO, "f");
	struct fs_request list = { .op = FS_ORPHANS, .size = 4096 };
	struct fs_orphan orphan;
	struct rig_op *op;
	const uint8_t *data;
	size_t len;

	mount = rig_client(rig, rig_leader(rig), true);
	other = rig_client(rig, rig_leader(rig), true);
	op = rig_call(mount, &rq);
	mount->held[mount->held_count++] = op->reply.attr.ino;
	other->held[other->held_count++] = op->reply.attr.ino;
	put(other, "o", "1");
	rig_pass(rig, TTL_LONG_MS + 1000);
	rq = rig_unlink(FS_ROOT_INO, "f");
	assert_int_equal(rig_call(other, &rq)->status, 0);
	rig_pass(rig, 4000);
	mount->mute = true;
	rig_client_move(mount, NULL);
	rig_pass(rig, TTL_LONG_MS + 5000);
	assert_int_equal(sessions_on(rig_leader(rig)), 1);
	op = rig_call(other, &list); /* the other one still holds it, and it alone is named */
	data = op->reply.data;
	len = op->reply.data_len;
	assert_true(fs_orphan_next(&data, &len, &orphan));
	assert_int_equal(orphan.holder_count, 1);
	assert_int_equal(load_le64(orphan.holders), other->session_id);
	other->held_count = 0;
	rig_pass(rig, 4000);
	assert_int_equal(rig_local_orphans(rig_leader(rig)), 0);
	rig_settle_and_check(rig);
	rig_free(rig);
}

/* ---- never again --------------------------------------------------------------------------------------- */

static void a_late_copy_of_a_first_operation_begins_nothing(void **state)
{
	for (uint64_t seed = 10; seed < 14; seed++) {
		struct rig *rig = rig_new(3, seed);
		bool by_id = seed % 2, bye = seed >= 12;
		struct rig_client *c, *late;
		struct fs_request rq = rig_kv_append("k", "x");
		struct copy copy;
		struct rig_op *op;

		c = rig_client(rig, rig_leader(rig), false);
		late = rig_client(rig, rig_follower(rig, 0), false);
		op = rig_send(c, &rq);
		copy = copy_of(c, op, false); /* on its way somewhere, for long */
		rig_wait(op, rig);
		if (by_id) {
			buf_release(&copy.body);
			copy = copy_of(c, op, true);
		}
		if (bye) {
			struct fs_msg m = { .type = FS_MSG_BYE };

			memcpy(m.uuid, c->uuid, sizeof(m.uuid));
			assert_int_equal(rig_send_raw(c, &m), 0);
		}
		rig_client_move(c, NULL);
		rig_pass(rig, TTL_LONG_MS + 3000);
		assert_int_equal(sessions_on(rig_leader(rig)), 0);
		arrives(&copy, late);
		rig_pass(rig, 3000);
		assert_string_equal(rig_local_get(rig_leader(rig), "k"), "x");
		assert_int_equal(sessions_on(rig_leader(rig)), 0);
		rig_settle_and_check(rig);
		rig_free(rig);
	}
}

static void a_client_that_comes_back_too_late_is_told(void **state)
{
	struct rig *rig = rig_new(3, 20);
	struct rig_client *c, *idle;
	struct fs_request rq = rig_kv_append("k", "x");
	struct rig_op *op;
	uint64_t old;

	c = rig_client(rig, rig_leader(rig), false);
	idle = rig_client(rig, rig_follower(rig, 1), true);
	put(c, "c", "1");
	put(idle, "i", "1");
	rig_client_move(c, NULL);
	rig_client_move(idle, NULL);
	rig_pass(rig, TTL_LONG_MS + 3000);
	rig_client_move(c, rig_follower(rig, 0));
	rig_client_move(idle, rig_follower(rig, 0));
	op = rig_call(c, &rq);
	assert_true(op->expired);
	assert_int_equal(op->status, -ESTALE);
	rig_pass(rig, 3000);
	assert_true(idle->expired); /* by the answer to its keep-alive, without asking for anything */
	old = c->session_id;
	op = rig_client_renew(c, true);
	rig_wait(op, rig);
	assert_int_equal(op->status, 0);
	assert_true(c->session_id > old);
	op = rig_call(c, &rq);
	assert_int_equal(op->status, 0);
	assert_string_equal(rig_local_get(rig_leader(rig), "k"), "x");
	assert_int_equal(sessions_on(rig_leader(rig)), 1);
	rig_settle_and_check(rig);
	rig_free(rig);
}

static void what_a_session_replaces_ends_with_that_entry(void **state)
{
	struct rig *rig = rig_new(3, 21);
	struct rig_client *c = rig_client(rig, rig_leader(rig), true);
	struct rig_client *late = rig_client(rig, rig_follower(rig, 0), false);
	struct fs_request rq = rig_kv_append("k", "x");
	struct rig_op *op;
	struct copy ghost;

	put(c, "c", "1");
	op = rig_send(c, &rq);
	ghost = copy_of(c, op, true);
	ghost.m.seq++; /* one more, that never arrived */
	ghost.m.low++;
	rig_wait(op, rig);
	op = rig_client_renew(c, true); /* its process died and came back within the time to live */
	rig_wait(op, rig);
	assert_int_equal(op->status, 0);
	assert_int_equal(sessions_on(rig_leader(rig)), 1);
	arrives(&ghost, late);
	rig_pass(rig, 2000);
	assert_string_equal(rig_local_get(rig_leader(rig), "k"), "x");
	rig_settle_and_check(rig);
	rig_free(rig);
}

static void one_heard_again_while_its_end_is_proposed_has_ended_all_the_same(void **state)
{
	struct rig *rig = rig_new(3, 22);
	struct rig_client *c;
	struct rig_node *leader = rig_leader(rig);
	struct fs_request rq = rig_kv_append("k", "x");
	struct rig_op *op;
	unsigned kept;

	c = rig_client(rig, leader, false);
	put(c, "c", "1");
	c->mute = true;
	rig_client_move(c, NULL);
	rig_pass(rig, TTL_MS - 1000);
	kept = c->kept;
	rig_hold(leader, WORKER_EVALUATE, true); /* decided, but not even proposed */
	while (list_empty(&leader->queues[WORKER_EVALUATE]))
		rig_pass(rig, RIG_TICK_MS);
	c->mute = false;
	rig_client_move(c, leader);
	rig_pass(rig, 13000); /* longer than the leader takes an end for lost */
	assert_int_equal(c->kept, kept); /* nor may it count on what is about to end */
	op = rig_send(c, &rq);
	rig_hold(leader, WORKER_EVALUATE, false);
	rig_wait(op, rig);
	assert_true(op->expired);
	rig_pass(rig, 3000);
	assert_int_equal(sessions_on(rig_leader(rig)), 0);
	assert_string_equal(rig_local_get(rig_leader(rig), "k"), "");
	rig_settle_and_check(rig);
	rig_free(rig);
}

/* ---- leaders and clocks --------------------------------------------------------------------------------- */

static void a_new_leader_grants_everybody_a_full_time(void **state)
{
	struct rig *rig = rig_new(3, 30);
	struct rig_client *c;
	struct rig_node *other;

	(void)rig_leader(rig);
	c = rig_client(rig, rig_follower(rig, 0), false);
	put(c, "c", "1");
	rig_client_move(c, NULL);
	rig_pass(rig, TTL_MS - 3000);
	rig_crash(rig_leader(rig));
	other = rig_leader(rig);
	rig_pass(rig, TTL_MS - 2000);
	assert_int_equal(sessions_on(other), 1);
	rig_client_move(c, other);
	rig_pass(rig, 2 * TTL_MS);
	put(c, "c", "2"); /* heard in time */
	rig_client_move(c, NULL);
	rig_pass(rig, TTL_LONG_MS + 2000);
	assert_int_equal(sessions_on(other), 0); /* known from the state, and counted from there */
	rig_settle_and_check(rig);
	rig_free(rig);
}

static void a_new_leader_ends_those_it_never_heard_of(void **state)
{
	struct rig *rig = rig_new(3, 31);
	struct rig_client *c[3];
	struct rig_node *other;

	(void)rig_leader(rig);
	for (size_t i = 0; i < 3; i++) {
		c[i] = rig_client(rig, rig_follower(rig, 0), i == 0);
		put(c[i], "c", "1");
	}
	for (size_t i = 0; i < 3; i++)
		rig_client_move(c[i], NULL);
	rig_crash(rig_leader(rig));
	other = rig_leader(rig);
	rig_pass(rig, TTL_MS - 1000);
	assert_int_equal(sessions_on(other), 3);
	rig_pass(rig, 4000);
	assert_int_equal(sessions_on(other), 0);
	rig_settle_and_check(rig);
	rig_free(rig);
}

static void without_a_leader_nothing_ends(void **state)
{
	struct rig *rig = rig_new(3, 32);
	struct rig_client *c = rig_client(rig, rig_leader(rig), false);
	struct rig_node *last = rig_follower(rig, 0);

	put(c, "c", "1");
	rig_crash(rig_follower(rig, 1));
	rig_crash(rig_leader(rig));
	rig_client_move(c, last);
	rig_pass(rig, 20 * TTL_MS); /* a long night without quorum */
	for (size_t i = 0; i < 3; i++)
		if (!rig->nodes[i].up)
			rig_start(&rig->nodes[i]);
	(void)rig_leader(rig);
	rig_pass(rig, 2000);
	put(c, "c", "2");
	assert_false(c->expired);
	rig_settle_and_check(rig);
	rig_free(rig);
}

static void a_leader_that_was_stopped_has_not_waited(void **state)
{
	struct rig *rig = rig_new(1, 33);
	struct rig_node *node = rig_leader(rig);
	struct rig_client *c = rig_client(rig, node, false);

	put(c, "c", "1");
	rig_pass(rig, 5000);
	c->mute = true;
	rig_client_move(c, NULL);
	rig->now_ms += 10 * TTL_MS; /* the machine slept: no tick, and nobody could be heard */
	rig_pass(rig, TTL_MS - 10000);
	assert_int_equal(sessions_on(node), 1);
	rig_pass(rig, 15000);
	assert_int_equal(sessions_on(node), 0);
	rig_settle_and_check(rig);
	rig_free(rig);
}

static void one_heard_before_the_clock_is_looked_at_is_heard_now(void **state)
{
	struct rig *rig = rig_new(1, 36);
	struct rig_node *node = rig_leader(rig);
	struct rig_client *c = rig_client(rig, node, false);

	put(c, "c", "1");
	rig_pass(rig, 5000);
	c->mute = true;
	rig_client_move(c, NULL);
	rig->now_ms += 900; /* the process stood still; what came meanwhile is looked at before the tick */
	assert_true(sessions_heard(node->replica, c->uuid, c->session_id, false, 0, 1));
	rig_pass(rig, TTL_MS);
	assert_int_equal(sessions_on(node), 1);
	rig_pass(rig, 15000);
	assert_int_equal(sessions_on(node), 0);
	rig_settle_and_check(rig);
	rig_free(rig);
}

static uint64_t log_time_of(struct rig_node *node)
{
	struct kv *kv = kv_slot_get(&node->shared.slot);
	struct kv_view *view = NULL;
	struct err err = ERR_INIT;
	uint64_t log_ms;

	assert_int_equal(kv_view_open(kv, &view, &err), 0);
	log_ms = kv_view_meta(view)->log_ms;
	kv_view_close(view);
	kv_unref(kv);
	return log_ms;
}

static void log_time_stands_still_without_a_leader(void **state)
{
	struct rig *rig = rig_new(3, 34);
	struct rig_client *c;
	uint64_t first, second;

	(void)rig_leader(rig);
	c = rig_client(rig, rig_follower(rig, 0), false);
	rig_pass(rig, 5000);
	put(c, "c", "1");
	first = log_time_of(c->node);
	assert_in_range(first, 4000, 7000);
	rig_isolate(rig_follower(rig, 0));
	rig_isolate(rig_follower(rig, 1));
	rig_isolate(&rig->nodes[0]);
	rig_pass(rig, 100000);
	rig_heal(rig);
	(void)rig_leader(rig);
	rig_pass(rig, 3000);
	put(c, "c", "2");
	second = log_time_of(c->node);
	assert_in_range(second, first + 2000, first + 12000);
	for (size_t i = 0; i < 3; i++) {
		rig_pass(rig, 1000);
		assert_int_equal(log_time_of(&rig->nodes[i]), second);
	}
	rig_settle_and_check(rig);
	rig_free(rig);
}

static void a_deposed_leader_keeps_nobody(void **state)
{
	struct rig *rig = rig_new(3, 35);
	struct rig_node *old = rig_leader(rig);
	struct rig_client *c = rig_client(rig, old, true);
	uint64_t cut_ms;

	put(c, "c", "1");
	rig_pass(rig, 3000);
	assert_true(c->kept > 0);
	rig_isolate(old);
	cut_ms = rig->now_ms;
	rig_pass(rig, 20000);
	/* It heard the client all the time, and for a while it took itself for the leader. */
	assert_true(c->kept_tag <= cut_ms);
	rig_heal(rig);
	(void)rig_leader(rig);
	rig_pass(rig, 4000);
	assert_true(c->kept_tag > cut_ms + 20000);
	rig_settle_and_check(rig);
	rig_free(rig);
}

/* Its log may hold the end of any session, proposed by its predecessor, committed and not applied yet. */
static void a_new_leader_keeps_nobody_before_its_own_entry_is_applied(void **state)
{
	struct rig *rig = rig_new(3, 36);
	struct rig_node *old = rig_leader(rig), *next = rig_follower(rig, 0);
	struct rig_client *c = rig_client(rig, next, true);
	unsigned kept;

	put(c, "c", "1");
	rig_pass(rig, 3000);
	assert_true(c->kept > 0);
	rig_hold(next, WORKER_APPLY, true);
	assert_int_equal(replica_transfer(old->replica, next->id), 0);
	rig_pass(rig, 300);
	assert_true(next->replica->evaluating);
	kept = c->kept;
	rig_pass(rig, 6000);
	assert_int_equal(c->kept, kept);
	rig_hold(next, WORKER_APPLY, false);
	rig_pass(rig, 6000);
	assert_true(c->kept > kept);
	rig_settle_and_check(rig);
	rig_free(rig);
}

/* ---- images ----------------------------------------------------------------------------------------------- */

/* The node's waiters are answered from the table that came with the image, and by it alone. */
static void an_image_brings_the_table_and_what_ended_stays_ended(void **state)
{
	struct rig *rig = rig_new(3, 40);
	struct rig_node *leader, *away;
	struct rig_client *living, *dead, *other;
	struct fs_request rq = rig_kv_append("k", "x");
	struct rig_op *op[2];

	rig->snapshot_threshold = 1000;
	for (size_t i = 0; i < 3; i++) {
		rig_crash(&rig->nodes[i]);
		rig_start(&rig->nodes[i]);
	}
	leader = rig_leader(rig);
	away = rig_follower(rig, 0);
	other = rig_client(rig, leader, true);
	living = rig_client(rig, away, false);
	dead = rig_client(rig, away, false);
	put(living, "l", "1");
	put(dead, "d", "1");
	rig_pass(rig, 2000);
	/* Both send; the node hears nothing of the answers, and is cut off. */
	rig_freeze(rig, leader, away, true);
	op[0] = rig_send(living, &rq);
	op[1] = rig_send(dead, &rq);
	rig_pass(rig, 300);
	rig_isolate(away);
	for (int i = 0; i < 80; i++) { /* meanwhile the log goes on, and is cut */
		put(other, "big", "a value that makes the log grow beyond what is kept");
		rig_pass(rig, 500);
		/* As if it had another way to the leader. */
		assert_true(sessions_heard(leader->replica, living->uuid, living->session_id, false, 0, 9));
	}
	assert_int_equal(sessions_on(leader), 2);
	assert_false(op[0]->done || op[1]->done);
	rig_heal(rig);
	rig_pass(rig, 5000);
	assert_true(rig_info(away).snapshots_installed > 0);
	rig_wait(op[0], rig);
	rig_wait(op[1], rig);
	assert_int_equal(op[0]->status, 0);
	assert_true(op[1]->expired); /* it was executed; its session has ended; it does not know */
	assert_string_equal(rig_local_get(away, "k"), "xx");
	rig_settle_and_check(rig);
	rig_free(rig);
}

/* ---- limits and lists --------------------------------------------------------------------------------------- */

static void a_full_table_refuses_newcomers_until_somebody_ends(void **state)
{
	struct rig *rig = rig_new(1, 50);
	struct rig_node *node = &rig->nodes[0];
	struct fs_request rq = rig_kv_put("k", "v");
	struct rig_client *c[3];
	struct rig_op *op;

	rig->sessions_max = 2;
	rig_crash(node);
	rig_start(node);
	(void)rig_leader(rig);
	for (size_t i = 0; i < 3; i++)
		c[i] = rig_client(rig, node, false);
	put(c[0], "k", "1");
	put(c[1], "k", "1");
	op = rig_call(c[2], &rq);
	assert_int_equal(op->status, -EUSERS);
	rig_client_move(c[0], NULL);
	rig_pass(rig, TTL_LONG_MS + 3000);
	/* There is room; but its stamp is as old as that of the one that ended. */
	assert_true(rig_call(c[2], &rq)->expired);
	rig_wait(rig_client_renew(c[2], false), rig);
	put(c[2], "k", "1");
	rig_settle_and_check(rig);
	rig_free(rig);
}

static void the_leader_can_tell_who_there_is(void **state)
{
	struct rig *rig = rig_new(3, 51);
	struct replica_session_info *list;
	struct rig_client *mount, *tool;
	unsigned seen = 0;

	(void)rig_leader(rig);
	mount = rig_client(rig, rig_follower(rig, 0), true);
	tool = rig_client(rig, rig_follower(rig, 1), false);
	put(mount, "k", "1");
	put(tool, "k", "1");
	rig_pass(rig, 3000);
	assert_int_equal(replica_sessions(rig_follower(rig, 0)->replica, 10, &list), -EPERM);
	assert_int_equal(replica_sessions(rig_leader(rig)->replica, 10, &list), 2);
	for (size_t i = 0; i < 2; i++) {
		const struct rig_client *c = memcmp(list[i].uuid, mount->uuid, KV_UUID_SIZE) == 0 ? mount :
												    tool;

		assert_memory_equal(list[i].uuid, c->uuid, KV_UUID_SIZE);
		assert_int_equal(list[i].id, c->session_id);
		assert_int_equal(list[i].node, c->node->id);
		assert_int_equal(list[i].holder, c == mount);
		assert_true(list[i].heard && list[i].heard_ms_ago < 2500);
		seen |= c == mount ? 1 : 2;
	}
	assert_int_equal(seen, 3);
	free(list);
	assert_int_equal(replica_sessions(rig_leader(rig)->replica, 1, &list), 1);
	free(list);
	rig_free(rig);
}

static void an_answer_to_a_beat_that_does_not_decode_keeps_nobody(void **state)
{
	struct rig *rig = rig_new(3, 52);
	struct rig_client *c;
	struct replica *r;
	uint8_t frame[21 + FS_SESSION_NAME_SIZE] = { 1 };
	unsigned kept;

	(void)rig_leader(rig);
	c = rig_client(rig, rig_follower(rig, 0), true);
	put(c, "k", "1");
	rig_pass(rig, 3000);
	r = c->node->replica;
	rig_freeze(rig, rig_leader(rig), c->node, true); /* so that one stays open */
	rig_pass(rig, 1500);
	assert_true(r->beat.open);
	kept = c->kept;
	for (size_t len = 0; len < 21; len++)
		sessions_on_kept(r, frame, len);
	store_le64(frame + 1, r->beat.number);
	sessions_on_kept(r, frame, sizeof(frame) - 1);
	frame[0] = 2;
	sessions_on_kept(r, frame, 21);
	frame[0] = 1;
	store_le64(frame + 1, r->beat.number - 1); /* of another beat */
	sessions_on_kept(r, frame, 21);
	rig_run(rig);
	assert_int_equal(c->kept, kept);
	store_le64(frame + 1, r->beat.number);
	sessions_on_kept(r, frame, 21);
	rig_run(rig);
	assert_int_equal(c->kept, kept + 1);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_client_that_is_heard_stays),
		cmocka_unit_test(one_that_is_silent_ends_by_one_entry_everywhere),
		cmocka_unit_test(hundreds_end_in_few_entries),
		cmocka_unit_test(a_mount_s_holds_end_with_its_session),
		cmocka_unit_test(a_late_copy_of_a_first_operation_begins_nothing),
		cmocka_unit_test(a_client_that_comes_back_too_late_is_told),
		cmocka_unit_test(what_a_session_replaces_ends_with_that_entry),
		cmocka_unit_test(one_heard_again_while_its_end_is_proposed_has_ended_all_the_same),
		cmocka_unit_test(a_new_leader_grants_everybody_a_full_time),
		cmocka_unit_test(a_new_leader_ends_those_it_never_heard_of),
		cmocka_unit_test(without_a_leader_nothing_ends),
		cmocka_unit_test(a_leader_that_was_stopped_has_not_waited),
		cmocka_unit_test(one_heard_before_the_clock_is_looked_at_is_heard_now),
		cmocka_unit_test(log_time_stands_still_without_a_leader),
		cmocka_unit_test(a_deposed_leader_keeps_nobody),
		cmocka_unit_test(a_new_leader_keeps_nobody_before_its_own_entry_is_applied),
		cmocka_unit_test(an_image_brings_the_table_and_what_ended_stays_ended),
		cmocka_unit_test(a_full_table_refuses_newcomers_until_somebody_ends),
		cmocka_unit_test(the_leader_can_tell_who_there_is),
		cmocka_unit_test(an_answer_to_a_beat_that_does_not_decode_keeps_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
