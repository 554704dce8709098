/*
 * test_replica.c - the way of a change and of a read through real replicas: section 1 of the
 * architecture, rule by rule. The rig's time stands still between rig_pass() calls.
 */
#include "tests/unit/node/node_rig.h"

/* ---- the way of one change -------------------------------------------------------------------- */

static void one_node_alone_leads_and_answers(void **state)
{
	struct rig *rig = rig_new(1, 1);
	struct rig_client *c = rig_client(rig, rig_leader(rig), false);
	struct fs_request put = rig_kv_put("k", "v");
	struct fs_request get = rig_kv_get("k");

	assert_int_equal(rig_call(c, &put)->status, 0);
	assert_memory_equal(rig_call(c, &get)->reply.data, "v", 1);
	rig_settle_and_check(rig);
	rig_free(rig);
}

static void a_change_is_answered_when_committed_and_read_when_applied(void **state)
{
	struct rig *rig = rig_new(3, 2);
	struct rig_node *f = rig_follower(rig, 0);
	struct rig_client *c = rig_client(rig, f, false);
	struct fs_request put = rig_kv_put("k", "v"), get = rig_kv_get("k");
	struct rig_op *op, *read;

	rig_hold(f, WORKER_LOG, true);
	op = rig_send(c, &put);
	rig_pass(rig, 300);
	/* Committed and applied elsewhere, even the leader has it: but this client's node cannot tell yet. */
	assert_string_equal(rig_local_get(rig_leader(rig), "k"), "v");
	assert_false(op->done);
	rig_hold(f, WORKER_APPLY, true);
	rig_hold(f, WORKER_LOG, false);
	rig_pass(rig, 300);
	assert_true(op->done);
	assert_int_equal(op->status, 0);
	/* Whoever reads here waits for what was answered here. */
	read = rig_send(c, &get);
	rig_pass(rig, 300);
	assert_false(read->done);
	rig_hold(f, WORKER_APPLY, false);
	rig_run(rig);
	assert_true(read->done);
	assert_memory_equal(read->reply.data, "v", 1);
	assert_string_equal(rig_local_get(f, "k"), "v");
	rig_settle_and_check(rig);
	rig_free(rig);
}

static void every_mount_reads_its_own_writes(void **state)
{
	struct rig *rig = rig_new(3, 3);

	(void)rig_leader(rig);
	for (size_t i = 0; i < 3; i++) {
		struct rig_client *c = rig_client(rig, &rig->nodes[i], false);

		for (int n = 0; n < 5; n++) {
			char text[16];
			struct fs_request put, get = rig_kv_get("mine");
			struct rig_op *op;

			snprintf(text, sizeof(text), "%zu.%d", i, n);
			put = rig_kv_put("mine", text);
			assert_int_equal(rig_call(c, &put)->status, 0);
			op = rig_call(c, &get);
			assert_int_equal(op->reply.data_len, strlen(text));
			assert_memory_equal(op->reply.data, text, strlen(text));
		}
	}
	rig_free(rig);
}

static void a_read_on_a_follower_sees_every_acknowledged_write(void **state)
{
	struct rig *rig = rig_new(3, 4);
	struct rig_node *slow = rig_follower(rig, 0);
	struct rig_client *writer = rig_client(rig, rig_leader(rig), false);
	struct rig_client *reader = rig_client(rig, slow, false);
	struct fs_request put = rig_kv_put("k", "new");
	struct fs_request get = rig_kv_get("k");
	struct rig_op *op;

	rig_hold(slow, WORKER_APPLY, true);
	assert_int_equal(rig_call(writer, &put)->status, 0);
	op = rig_send(reader, &get);
	rig_pass(rig, 500);
	assert_false(op->done); /* it may not answer from the state it has */
	rig_hold(slow, WORKER_APPLY, false);
	rig_wait(op, rig);
	assert_memory_equal(op->reply.data, "new", 3);
	rig_free(rig);
}

static void a_read_is_not_answered_by_a_node_that_is_cut_off(void **state)
{
	struct rig *rig = rig_new(3, 5);
	struct rig_node *old = rig_leader(rig);
	struct rig_client *reader = rig_client(rig, old, false);
	struct rig_client *writer = rig_client(rig, rig_follower(rig, 0), false);
	struct fs_request put = rig_kv_put("k", "new");
	struct fs_request get = rig_kv_get("k");
	struct rig_op *op;

	rig_isolate(old);
	op = rig_send(reader, &get);
	assert_int_equal(rig_call(writer, &put)->status, 0);
	assert_false(op->done);
	rig_heal(rig);
	rig_wait(op, rig);
	assert_memory_equal(op->reply.data, "new", 3);
	rig_free(rig);
}

static void forwarders_never_send_twice(void **state)
{
	struct rig *rig = rig_new(3, 6);
	struct rig_node *f = rig_follower(rig, 0);
	struct rig_client *c = rig_client(rig, f, false);
	struct fs_request put = rig_kv_append("k", "x");
	struct rig_op *op;
	uint64_t before;

	c->no_resend = true;
	rig_run(rig);
	before = rig->forwards[FS_MSG_REQUEST];
	rig_freeze(rig, f, rig_leader(rig), true);
	op = rig_send(c, &put);
	rig_pass(rig, 400);
	assert_int_equal(rig->forwards[FS_MSG_REQUEST] - before, 1);
	/* The connection breaks: the frame is lost, and a new leader comes or the old one is found. */
	rig_cut(rig, f, rig_leader(rig));
	rig_heal(rig);
	rig_pass(rig, RIG_ELECTION_MS);
	assert_int_equal(rig->forwards[FS_MSG_REQUEST] - before, 1);
	assert_true(c->resends > 0); /* the client was told instead */
	assert_false(op->done);
	rig_send_again(c, op, true);
	rig_wait(op, rig);
	assert_string_equal(rig_local_get(f, "k"), "x");
	rig_free(rig);
}

static void without_a_leader_clients_wait_and_are_told_to_send_again(void **state)
{
	struct rig *rig = rig_new(3, 7);
	struct rig_node *leader = rig_leader(rig);
	struct rig_node *f = rig_follower(rig, 0);
	struct rig_client *c = rig_client(rig, f, false);
	struct fs_request put = rig_kv_append("k", "x");
	struct fs_request get = rig_kv_get("k");
	struct rig_op *op, *read;

	c->no_resend = true;
	rig_run(rig);
	assert_true(c->has_leader);
	rig_isolate(leader);
	rig_isolate(f);
	rig_pass(rig, RIG_ELECTION_MS);
	assert_false(c->has_leader); /* for messages about waiting */
	op = rig_send(c, &put);
	read = rig_send(c, &get);
	c->resends = 0;
	rig_pass(rig, 10000);
	assert_false(op->done);
	assert_false(read->done);
	assert_int_equal(c->resends, 0);
	rig_heal(rig);
	(void)rig_leader(rig);
	rig_pass(rig, RIG_ELECTION_MS);
	assert_true(c->has_leader);
	assert_true(c->resends > 0);
	assert_true(read->done); /* a read needs nobody's help */
	rig_send_again(c, op, true);
	rig_wait(op, rig);
	assert_int_equal(op->status, 0);
	rig_settle_and_check(rig);
	rig_free(rig);
}

/* Found by test_random SEED=10: asked again at once, and refused at once, without an end. */
static void a_refused_read_is_not_asked_again_at_once(void **state)
{
	struct rig *rig = rig_new(5, 10);
	struct rig_node *old = rig_leader(rig), *f = rig_follower(rig, 0);
	struct rig_client *c = rig_client(rig, f, false);
	struct fs_request get = rig_kv_get("k");
	struct rig_op *op;
	uint64_t before;
	int ticks = 0;

	/* It loses its majority and steps down, and one that still hears it has not noticed. */
	for (size_t i = 0; i < rig->count; i++)
		if (&rig->nodes[i] != old && &rig->nodes[i] != f) {
			rig_cut(rig, old, &rig->nodes[i]);
			rig_cut(rig, f, &rig->nodes[i]);
		}
	while (old->replica->evaluating && ticks++ < 100)
		rig_pass(rig, RIG_TICK_MS);
	assert_int_equal(replica_leader(f->replica), old->id);
	before = rig->frames_sent[NET_RAFT];
	op = rig_send(c, &get);
	rig_run(rig);
	assert_true(rig->frames_sent[NET_RAFT] - before < 10);
	assert_false(op->done);
	rig_heal(rig);
	rig_wait(op, rig);
	assert_int_equal(op->status, -ENOENT);
	rig_settle_and_check(rig);
	rig_free(rig);
}

static void garbage_from_a_client_drops_it_and_from_a_peer_is_ignored(void **state)
{
	struct rig *rig = rig_new(3, 8);
	struct rig_node *leader = rig_leader(rig);
	struct rig_client *c = rig_client(rig, leader, false);
	static const uint8_t junk[40] = { 7, 1, 2 };

	assert_int_equal(replica_client_frame(leader->replica, c->id, junk, sizeof(junk)), -EPROTO);
	assert_int_equal(replica_client_frame(leader->replica, 999, junk, sizeof(junk)), -EPROTO);
	for (int type = 0; type < 256; type++)
		replica_peer_frame(leader->replica, rig_follower(rig, 0)->id, (uint8_t)type, junk,
				   sizeof(junk));
	replica_peer_frame(leader->replica, 99, NET_RAFT, junk, sizeof(junk));
	rig_settle_and_check(rig);
	rig_free(rig);
}

static void a_number_that_cannot_be_is_refused(void **state)
{
	struct rig *rig = rig_new(1, 9);
	struct rig_client *c = rig_client(rig, rig_leader(rig), false);
	struct fs_request put = rig_kv_append("k", "x");
	struct rig_op *op = rig_call(c, &put);
	struct fs_msg m = {
		.type = FS_MSG_REQUEST,
		.seq = 5,
		.low = 9,
		.tag = op->tag,
		.body = op->body.data,
		.body_len = op->body.len,
	};

	memcpy(m.uuid, c->uuid, sizeof(m.uuid));
	op->seq = 5;
	op->done = false;
	assert_int_equal(rig_send_raw(c, &m), 0);
	rig_wait(op, rig);
	assert_int_equal(op->status, -EINVAL);
	assert_string_equal(rig_local_get(rig_leader(rig), "k"), "x");
	rig_free(rig);
}

/* ---- errors are reads ---------------------------------------------------------------------------- */

static void no_error_leaves_a_leader_that_is_cut_off(void **state)
{
	struct rig *rig = rig_new(3, 20);
	struct rig_node *old = rig_leader(rig);
	struct rig_client *c = rig_client(rig, old, false);
	struct rig_client *other = rig_client(rig, rig_follower(rig, 0), false);
	struct fs_request dir = rig_mkdir(FS_ROOT_INO, "d");
	struct fs_request gone = rig_unlink(FS_ROOT_INO, "f");
	struct fs_request make = rig_create(FS_ROOT_INO, "f");
	struct rig_op *op;

	assert_int_equal(rig_call(c, &dir)->status, 0);
	c->no_resend = true;
	rig_isolate(old);
	op = rig_send(c, &gone); /* ENOENT, as far as this node can see */
	rig_run(rig);
	assert_false(op->done);
	assert_int_equal(rig_call(other, &make)->status, 0); /* elsewhere the file appears */
	rig_pass(rig, 5000);
	assert_false(op->done);
	rig_heal(rig);
	rig_pass(rig, RIG_ELECTION_MS);
	assert_false(op->done); /* what the old leader saw is void for ever */
	rig_send_again(c, op, true);
	rig_wait(op, rig);
	assert_int_equal(op->status, 0);
	rig_settle_and_check(rig);
	rig_free(rig);
}

static void an_error_waits_for_the_commit_of_what_it_saw(void **state)
{
	struct rig *rig = rig_new(3, 21);
	struct rig_node *leader = rig_leader(rig);
	struct rig_client *a = rig_client(rig, leader, false);
	struct rig_client *b = rig_client(rig, leader, false);
	struct fs_request dir = rig_mkdir(FS_ROOT_INO, "d");
	struct fs_request warm = rig_kv_put("k", "v");
	struct rig_op *first, *second;

	rig_call(a, &warm);
	rig_call(b, &warm);
	/* Nobody's disk takes entries: they cannot commit, though leadership can be confirmed. */
	for (size_t i = 0; i < 3; i++)
		rig_hold(&rig->nodes[i], WORKER_LOG, true);
	first = rig_send(a, &dir);
	rig_run(rig);
	second = rig_send(b, &dir); /* EEXIST, because of an entry that may still vanish */
	rig_pass(rig, 300);
	assert_false(first->done);
	assert_false(second->done);
	for (size_t i = 0; i < 3; i++)
		rig_hold(&rig->nodes[i], WORKER_LOG, false);
	rig_wait(second, rig);
	assert_int_equal(second->status, -EEXIST);
	assert_true(first->done);
	assert_int_equal(first->status, 0);
	rig_settle_and_check(rig);
	rig_free(rig);
}

static void an_error_of_a_follower_s_client_comes_from_the_leader(void **state)
{
	struct rig *rig = rig_new(3, 22);
	struct rig_client *c = rig_client(rig, rig_follower(rig, 0), false);
	struct fs_request gone = rig_unlink(FS_ROOT_INO, "none");
	uint64_t last = rig_info(rig_leader(rig)).raft.last_index;

	assert_int_equal(rig_call(c, &gone)->status, -ENOENT);
	assert_int_equal(rig_info(rig_leader(rig)).raft.last_index, last); /* it cost no entry */
	rig_free(rig);
}

static void a_late_first_copy_has_no_effect_after_a_logged_error(void **state)
{
	struct rig *rig = rig_new(3, 23);
	struct rig_node *leader = rig_leader(rig);
	struct rig_node *f = rig_follower(rig, 0);
	struct rig_client *c = rig_client(rig, f, false);
	struct rig_client *other = rig_client(rig, leader, false);
	struct fs_request warm = rig_kv_put("k", "v");
	struct fs_request gone = rig_unlink(FS_ROOT_INO, "f");
	struct fs_request make = rig_create(FS_ROOT_INO, "f");
	struct fs_request look = {
		.op = FS_LOOKUP, .ino = FS_ROOT_INO, .name = "f", .name_len = 1
	};
	struct rig_op *op;

	assert_int_equal(rig_call(c, &warm)->status, 0);
	c->no_resend = true;
	rig_freeze(rig, f, leader, true);
	op = rig_send(c, &gone);    /* under way for a long time */
	rig_client_move(c, leader); /* sends it again, as RETRY, to another node */
	rig_run(rig);
	assert_true(op->done);
	assert_int_equal(op->status, -ENOENT);
	assert_int_equal(rig_call(other, &make)->status, 0);
	rig_freeze(rig, f, leader, false);
	rig_pass(rig, 1000);
	assert_int_equal(rig_call(other, &look)->status, 0); /* the file is still there */
	rig_settle_and_check(rig);
	rig_free(rig);
}

static void an_error_to_the_first_copy_does_not_end_one_that_was_sent_again(void **state)
{
	struct rig *rig = rig_new(3, 24);
	struct rig_node *leader = rig_leader(rig);
	struct rig_client *c = rig_client(rig, leader, false);
	struct rig_client *other = rig_client(rig, leader, false);
	struct fs_request warm = rig_kv_put("k", "v");
	struct fs_request gone = rig_unlink(FS_ROOT_INO, "f");
	struct fs_request make = rig_create(FS_ROOT_INO, "f");
	struct rig_op *op;

	assert_int_equal(rig_call(c, &warm)->status, 0);
	rig_hold(leader, WORKER_EVALUATE, true);
	op = rig_send(c, &gone);      /* ENOENT */
	(void)rig_send(other, &make); /* then the file appears */
	rig_send_again(c, op, true);  /* so this copy succeeds: the operation did happen */
	rig_hold(leader, WORKER_EVALUATE, false);
	rig_wait(op, rig);
	assert_int_equal(op->status, 0);
	rig_settle_and_check(rig);
	rig_free(rig);
}

static void an_error_that_saw_a_refused_batch_never_leaves(void **state)
{
	struct rig *rig = rig_new(3, 25);
	struct rig_node *leader = rig_leader(rig);
	struct rig_client *a = rig_client(rig, leader, false);
	struct rig_client *b = rig_client(rig, leader, false);
	struct fs_request warm = rig_kv_put("k", "v");
	struct fs_request dir = rig_mkdir(FS_ROOT_INO, "d");
	struct fs_request rmdir = {
		.op = FS_RMDIR, .ino = FS_ROOT_INO, .name = "d", .name_len = 1
	};
	struct rig_op *first, *second;

	rig_call(a, &warm);
	rig_call(b, &warm);
	/* While leadership is handed over (the other one does not answer) proposals are refused. */
	rig_isolate(leader);
	assert_int_equal(replica_transfer(leader->replica, rig_follower(rig, 0)->id), 0);
	first = rig_send(a, &dir);
	second = rig_send(b, &dir);
	rig_run(rig);
	assert_false(first->done);
	assert_false(second->done);
	rig_heal(rig);
	rig_wait(first, rig);
	rig_wait(second, rig);
	/* One of them made it, the other one saw that: whichever order it was in the end. */
	assert_int_equal(first->status + second->status, -EEXIST);
	assert_int_equal(rig_call(a, &rmdir)->status, 0);
	rig_settle_and_check(rig);
	rig_free(rig);
}

/* ---- exactly once --------------------------------------------------------------------------------- */

/* When the leader dies, seen from a request to it. */
enum dies { BEFORE_EVALUATION, BEFORE_PERSIST, BEFORE_COMMIT, AFTER_COMMIT, AFTER_APPLY, DEATHS };

static void arrange_death(struct rig_node *leader, struct rig *rig, enum dies when)
{
	if (when == BEFORE_EVALUATION)
		rig_hold(leader, WORKER_EVALUATE, true);
	if (when == BEFORE_PERSIST)
		for (size_t i = 0; i < rig->count; i++)
			rig_hold(&rig->nodes[i], WORKER_LOG, true);
	if (when == BEFORE_COMMIT)
		for (size_t i = 0; i < rig->count; i++)
			rig_freeze(rig, &rig->nodes[i], leader,
				   true); /* no acknowledgement arrives */
	if (when == AFTER_COMMIT)
		rig_hold(leader, WORKER_APPLY, true);
}

static void dies_and_client_moves(enum dies when, bool on_leader)
{
	struct rig *rig = rig_new(3, 30 + (unsigned)when);
	struct rig_node *leader = rig_leader(rig);
	struct rig_node *f = rig_follower(rig, 0), *other = rig_follower(rig, 1);
	struct rig_client *c = rig_client(rig, on_leader ? leader : f, false);
	struct fs_request warm = rig_kv_append("k", "a");
	struct fs_request more = rig_kv_append("k", "b");
	struct rig_op *op;

	assert_int_equal(rig_call(c, &warm)->status, 0);
	arrange_death(leader, rig, when);
	op = rig_send(c, &more);
	if (when == AFTER_APPLY)
		rig_hold(f, WORKER_APPLY, true); /* this client's node has no answer yet */
	rig_run(rig);
	if (when < AFTER_COMMIT)
		assert_false(op->done);
	rig_crash(leader);
	for (size_t i = 0; i < 3; i++)
		for (int k = 0; k < WORKER_COUNT; k++)
			rig_hold(&rig->nodes[i], (enum worker_kind)k, false);
	rig_client_move(c, other); /* which sends again what is unanswered */
	rig_wait(op, rig);
	assert_int_equal(op->status, 0);
	assert_int_equal(op->answers, 1);
	rig_settle_and_check(rig);
	assert_string_equal(rig_local_get(leader, "k"), "ab");
	rig_free(rig);
}

static void executed_once_whenever_the_leader_dies(void **state)
{
	for (int when = 0; when < DEATHS; when++) {
		dies_and_client_moves((enum dies)when, false);
		dies_and_client_moves((enum dies)when, true);
	}
}

static void every_copy_of_a_number_gets_the_stored_reply(void **state)
{
	struct rig *rig = rig_new(3, 40);
	struct rig_node *f = rig_follower(rig, 0);
	struct rig_client *c = rig_client(rig, f, false);
	struct fs_request make = rig_create(FS_ROOT_INO, "f");
	struct rig_op *op = rig_call(c, &make);
	uint64_t ino = op->reply.attr.ino, index = op->session_id;
	uint64_t last = rig_info(rig_leader(rig)).raft.last_index;

	assert_true(op->reply.created);
	assert_true(ino > 0 && index > 0);
	for (int i = 0; i < 3; i++) {
		rig_client_move(c, &rig->nodes[i]);
		op->done = false;
		buf_reset(&op->reply_bytes);
		c->next_seq = op->seq; /* nothing is answered yet, as it sees it */
		rig_send_again(c, op, true);
		rig_wait(op, rig);
		assert_int_equal(op->status, 0);
		assert_true(op->reply.created);
		assert_int_equal(op->reply.attr.ino, ino);
	}
	assert_int_equal(rig_info(rig_leader(rig)).raft.last_index, last);
	rig_free(rig);
}

static void an_acknowledged_change_survives_the_death_of_all(void **state)
{
	struct rig *rig = rig_new(3, 41);
	struct rig_client *c;
	struct fs_request put = rig_kv_append("k", "x");

	(void)rig_leader(rig);
	c = rig_client(rig, &rig->nodes[0], false);
	for (int round = 0; round < 3; round++) {
		struct rig_op *op = rig_call(c, &put);

		assert_int_equal(op->status, 0);
		for (size_t i = 0; i < 3; i++)
			rig_crash(&rig->nodes[i]);
		for (size_t i = 0; i < 3; i++)
			rig_start(&rig->nodes[i]);
		rig_client_move(c, &rig->nodes[round % 3]);
	}
	rig_settle_and_check(rig);
	assert_string_equal(rig_local_get(&rig->nodes[0], "k"), "xxx");
	rig_free(rig);
}

static void pipelined_changes_keep_their_order_over_leader_changes(void **state)
{
	struct rig *rig = rig_new(5, 42);
	struct rig_client *c = rig_client(rig, rig_follower(rig, 0), false);
	struct rig_op *op = NULL;

	for (int n = 0; n < 60; n++) {
		char text[16];
		struct fs_request more;

		snprintf(text, sizeof(text), "%02d.", n);
		more = rig_kv_append("k", text);
		op = rig_send(c, &more);
		if (n % 20 == 10) {
			struct rig_node *leader = rig_leader(rig);

			if (leader == c->node)
				assert_int_equal(
					replica_transfer(leader->replica, leader->id % 5 + 1), 0);
			else
				rig_isolate(leader);
			rig_pass(rig, 3000);
			rig_heal(rig);
		}
	}
	rig_wait(op, rig);
	rig_settle_and_check(rig);
	/* Exactly once each; a session's operations run at once, so order within a burst is free. */
	assert_int_equal(strlen(rig_local_get(c->node, "k")), 180);
	for (int n = 0; n < 60; n++) {
		char text[16];

		snprintf(text, sizeof(text), "%02d.", n);
		assert_non_null(strstr(rig_local_get(c->node, "k"), text));
	}
	rig_free(rig);
}

static void a_new_leader_evaluates_nothing_before_its_first_entry_is_applied(void **state)
{
	struct rig *rig = rig_new(3, 43);
	struct rig_node *old = rig_leader(rig), *next = rig_follower(rig, 0);
	struct rig_client *c = rig_client(rig, rig_follower(rig, 1), false);
	struct fs_request put = rig_kv_append("k", "x");
	struct rig_op *op;
	uint64_t last;

	assert_int_equal(rig_call(c, &put)->status, 0);
	rig_hold(next, WORKER_APPLY, true);
	assert_int_equal(replica_transfer(old->replica, next->id), 0);
	rig_pass(rig, 1000);
	assert_true(next->replica->evaluating);
	last = rig_info(next).raft.last_index;
	op = rig_send(c, &put);
	rig_pass(rig, 300);
	assert_int_equal(rig_info(next).raft.last_index, last);
	assert_false(op->done);
	rig_hold(next, WORKER_APPLY, false);
	rig_wait(op, rig);
	rig_settle_and_check(rig);
	assert_string_equal(rig_local_get(next, "k"), "xx");
	rig_free(rig);
}

static void a_closed_connection_is_answered_no_more(void **state)
{
	struct rig *rig = rig_new(3, 44);
	struct rig_node *f = rig_follower(rig, 0);
	struct rig_client *c = rig_client(rig, f, false);
	struct fs_request put = rig_kv_append("k", "x");

	rig_hold(f, WORKER_LOG, true);
	(void)rig_send(c, &put);
	rig_run(rig);
	assert_int_equal(rig_info(f).waiters, 1);
	rig_client_move(c, NULL);
	assert_int_equal(rig_info(f).waiters, 0);
	assert_int_equal(rig_info(f).clients, 0);
	rig_hold(f, WORKER_LOG, false);
	rig_settle_and_check(rig);
	assert_string_equal(rig_local_get(f, "k"), "x");
	rig_free(rig);
}

static void a_disk_that_fails_ends_the_node_and_nothing_is_promised(void **state)
{
	struct rig *rig = rig_new(3, 45);
	struct rig_node *f = rig_follower(rig, 0);
	struct rig_client *c = rig_client(rig, rig_leader(rig), false);
	struct fs_request put = rig_kv_append("k", "x");

	rig->fatal_expected = true;
	(void)store_persist; /* the error comes from below it */
	rig_hold(f, WORKER_LOG, true);
	assert_int_equal(rig_call(c, &put)->status, 0);
	list_for_each (it, &f->queues[WORKER_LOG]) {
		struct job *job = list_entry(it, struct job, link);

		job->status = -EIO;
		err_set(&job->err, -EIO, "cannot write the log");
	}
	list_splice_tail(&f->done, &f->queues[WORKER_LOG]);
	rig_run(rig);
	assert_true(f->failed);
	assert_non_null(strstr(f->error.text, "cannot write"));
	assert_int_equal(rig_call(c, &put)->status, 0); /* the others go on */
	rig_crash(f);
	rig_settle_and_check(rig);
	assert_string_equal(rig_local_get(f, "k"), "xx");
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_node_alone_leads_and_answers),
		cmocka_unit_test(a_change_is_answered_when_committed_and_read_when_applied),
		cmocka_unit_test(every_mount_reads_its_own_writes),
		cmocka_unit_test(a_read_on_a_follower_sees_every_acknowledged_write),
		cmocka_unit_test(a_read_is_not_answered_by_a_node_that_is_cut_off),
		cmocka_unit_test(forwarders_never_send_twice),
		cmocka_unit_test(without_a_leader_clients_wait_and_are_told_to_send_again),
		cmocka_unit_test(a_refused_read_is_not_asked_again_at_once),
		cmocka_unit_test(garbage_from_a_client_drops_it_and_from_a_peer_is_ignored),
		cmocka_unit_test(a_number_that_cannot_be_is_refused),
		cmocka_unit_test(no_error_leaves_a_leader_that_is_cut_off),
		cmocka_unit_test(an_error_waits_for_the_commit_of_what_it_saw),
		cmocka_unit_test(an_error_of_a_follower_s_client_comes_from_the_leader),
		cmocka_unit_test(a_late_first_copy_has_no_effect_after_a_logged_error),
		cmocka_unit_test(an_error_to_the_first_copy_does_not_end_one_that_was_sent_again),
		cmocka_unit_test(an_error_that_saw_a_refused_batch_never_leaves),
		cmocka_unit_test(executed_once_whenever_the_leader_dies),
		cmocka_unit_test(every_copy_of_a_number_gets_the_stored_reply),
		cmocka_unit_test(an_acknowledged_change_survives_the_death_of_all),
		cmocka_unit_test(pipelined_changes_keep_their_order_over_leader_changes),
		cmocka_unit_test(a_new_leader_evaluates_nothing_before_its_first_entry_is_applied),
		cmocka_unit_test(a_closed_connection_is_answered_no_more),
		cmocka_unit_test(a_disk_that_fails_ends_the_node_and_nothing_is_promised),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
