/* test_replica_client.c - which answers may leave, and what waits meanwhile. See node/replica_client.c. */
#include "tests/unit/node/node_rig.h"

/* What a leader's followers say does not arrive: no round is confirmed, for as long as nobody ticks. */
static void hush_followers(struct rig *rig, struct rig_node *leader, bool hushed)
{
	for (size_t i = 0; i < rig->count; i++)
		if (&rig->nodes[i] != leader)
			rig_freeze(rig, &rig->nodes[i], leader, hushed);
}

/* A batch for a place in the log that is not its end: the evaluator has to begin anew. */
static void supersede(struct rig_node *leader)
{
	struct replica *r = leader->replica;
	struct job_eval_result *res = job_new(JOB_EVAL_RESULT, sizeof(*res));

	res->generation = r->generation;
	res->prev_index = 1000000;
	res->prev_term = 1;
	res->proposals = mem_calloc(1, sizeof(*res->proposals));
	res->proposals[0].type = RAFT_ENTRY_NORMAL;
	res->proposals[0].data = blob_from("nowhere", 7);
	res->proposal_count = 1;
	replica_job_done(r, &res->job);
}

/*
 * An error is a read of what the evaluator saw. What one evaluation saw may never have existed, also when
 * the next one begins under the same leader, whose rounds are confirmed as before.
 */
static void an_error_of_an_evaluation_that_ended_never_leaves(void **state)
{
	struct rig *rig = rig_new(3, 40);
	struct rig_node *leader = rig_leader(rig);
	struct rig_client *c = rig_client(rig, leader, false);
	struct fs_request warm = rig_kv_put("k", "v");
	struct fs_request gone = rig_unlink(FS_ROOT_INO, "none");
	uint64_t generation;
	struct rig_op *op;

	assert_int_equal(rig_call(c, &warm)->status, 0);
	c->no_resend = true;
	c->resends = 0;
	hush_followers(rig, leader, true);
	op = rig_send(c, &gone);
	rig_run(rig);
	assert_false(op->done); /* ENOENT waits for its confirmation */
	generation = leader->replica->generation;
	supersede(leader);
	rig_run(rig);
	assert_true(leader->replica->evaluating);
	assert_int_equal(leader->replica->generation, generation + 1);
	hush_followers(rig, leader, false);
	rig_run(rig);
	assert_true(replica_is_leader(leader->replica)); /* it was confirmed all the same */
	assert_false(op->done);
	assert_true(c->resends > 0); /* the client has to know that its request is gone */
	rig_send_again(c, op, true);
	rig_wait(op, rig);
	assert_int_equal(op->status, -ENOENT);
	rig_settle_and_check(rig);
	rig_free(rig);
}

/* The same error, when nothing ended meanwhile: it leaves with the confirmation, and nobody sends again. */
static void an_error_leaves_with_its_confirmation(void **state)
{
	struct rig *rig = rig_new(3, 41);
	struct rig_node *leader = rig_leader(rig);
	struct rig_client *c = rig_client(rig, leader, false);
	struct fs_request warm = rig_kv_put("k", "v");
	struct fs_request gone = rig_unlink(FS_ROOT_INO, "none");
	struct rig_op *op;

	assert_int_equal(rig_call(c, &warm)->status, 0);
	c->resends = 0;
	hush_followers(rig, leader, true);
	op = rig_send(c, &gone);
	rig_run(rig);
	assert_false(op->done);
	hush_followers(rig, leader, false);
	rig_run(rig);
	assert_true(op->done);
	assert_int_equal(op->status, -ENOENT);
	assert_int_equal(op->sent, 1);
	assert_int_equal(c->resends, 0);
	rig_settle_and_check(rig);
	rig_free(rig);
}

/*
 * While leadership is being handed over, proposals are refused. Evaluating them anew each time would be
 * refused as well, without an end and without any time passing: they are kept as they are.
 */
static void a_change_during_a_transfer_waits_and_is_evaluated_once(void **state)
{
	struct rig *rig = rig_new(3, 42);
	struct rig_node *leader = rig_leader(rig), *target = rig_follower(rig, 0);
	struct rig_client *c = rig_client(rig, leader, false);
	struct fs_request warm = rig_kv_put("k", "v"), put = rig_kv_append("k", "w");
	uint64_t generation = leader->replica->generation;
	uint64_t frames;
	struct rig_op *op, *second;

	assert_int_equal(rig_call(c, &warm)->status, 0);
	rig_freeze(rig, leader, target, true); /* it does not hear that it may lead */
	assert_int_equal(replica_transfer(leader->replica, target->id), 0);
	rig_run(rig);
	frames = rig->frames_sent[NET_RAFT];
	op = rig_send(c, &put);
	rig_run(rig); /* it comes to its end */
	second = rig_send(c, &put);
	rig_run(rig);
	assert_false(op->done || second->done);
	assert_false(list_empty(&leader->replica->refused));
	assert_int_equal(leader->replica->generation, generation);
	assert_true(rig->frames_sent[NET_RAFT] - frames < 10);
	/* The transfer is given up after an election timeout; what waited goes on, in its order. */
	rig_pass(rig, 1000);
	assert_true(op->done && second->done);
	assert_int_equal(op->status, 0);
	assert_int_equal(op->sent, 1);
	assert_int_equal(second->sent, 1);
	assert_true(leader->replica->evaluating);
	assert_int_equal(leader->replica->generation, generation);
	assert_string_equal(rig_local_get(leader, "k"), "vww");
	rig_freeze(rig, leader, target, false);
	rig_settle_and_check(rig);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_error_of_an_evaluation_that_ended_never_leaves),
		cmocka_unit_test(an_error_leaves_with_its_confirmation),
		cmocka_unit_test(a_change_during_a_transfer_waits_and_is_evaluated_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
