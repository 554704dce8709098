/* test_worker.c - jobs on a real store, without a replica above them. */
#include "tests/unit/node/node_rig.h"

/* A node whose replica is left alone: the tests submit jobs themselves. */
static struct rig_node *start(struct rig **rig, uint64_t seed)
{
	struct rig_client *c;
	struct fs_request put = rig_kv_append("k", "x");

	*rig = rig_new(1, seed);
	c = rig_client(*rig, rig_leader(*rig), false);
	assert_int_equal(rig_call(c, &put)->status, 0);
	rig_pass(*rig, 5000);
	return &(*rig)->nodes[0];
}

static struct job *run_one(struct rig_node *node, enum worker_kind kind, struct job *job)
{
	struct list jobs, done;

	list_init(&jobs);
	list_init(&done);
	list_add_tail(&jobs, &job->link);
	worker_run(&node->workers[kind], &jobs, &done);
	assert_true(list_empty(&jobs));
	assert_ptr_equal(done.next, &job->link); /* the same struct comes back */
	list_del(&job->link);
	assert_true(list_empty(&done));
	return job;
}

static struct job_read *read_job(const struct fs_request *rq)
{
	struct job_read *read = job_new(JOB_READ, sizeof(*read));

	fs_request_encode(rq, &read->data);
	return read;
}

static void a_read_answers_or_tells_its_errno(void **state)
{
	struct rig *rig;
	struct rig_node *node = start(&rig, 1);
	struct fs_request get = rig_kv_get("k"), none = rig_kv_get("none");
	struct job_read *read = read_job(&get);
	struct fs_reply reply;

	run_one(node, WORKER_READ, &read->job);
	assert_int_equal(read->job.status, 0);
	assert_int_equal(fs_reply_decode(&reply, read->reply.data, read->reply.len), 0);
	assert_memory_equal(reply.data, "x", 1);
	job_free(&read->job);
	read = read_job(&none);
	run_one(node, WORKER_READ, &read->job);
	assert_int_equal(read->job.status, -ENOENT);
	assert_int_equal(read->reply.len, 0);
	job_free(&read->job);
	rig_free(rig);
}

static void a_change_sent_as_a_read_changes_nothing(void **state)
{
	struct rig *rig;
	struct rig_node *node = start(&rig, 2);
	struct fs_request put = rig_kv_append("k", "y");
	struct job_read *read = read_job(&put);

	run_one(node, WORKER_READ, &read->job);
	assert_int_equal(read->job.status, -EINVAL);
	buf_reset(&read->data);
	buf_put(&read->data, "junk", 4);
	run_one(node, WORKER_READ, &read->job);
	assert_int_equal(read->job.status, -EINVAL);
	job_free(&read->job);
	assert_string_equal(rig_local_get(node, "k"), "x");
	rig_free(rig);
}

static void statfs_tells_the_space_of_this_node(void **state)
{
	struct rig *rig;
	struct rig_node *node = start(&rig, 3);
	struct fs_request rq = { .op = FS_STATFS };
	struct job_read *read = read_job(&rq);
	struct fs_reply reply;
	struct fs_statfs st;

	run_one(node, WORKER_READ, &read->job);
	assert_int_equal(read->job.status, 0);
	assert_int_equal(fs_reply_decode(&reply, read->reply.data, read->reply.len), 0);
	assert_int_equal(fs_statfs_decode(&st, reply.data, reply.data_len), 0);
	assert_true(st.total_bytes > 0);
	assert_true(st.free_bytes < st.total_bytes); /* the reserve is not offered */
	job_free(&read->job);
	rig_free(rig);
}

static void the_session_table_answers_for_what_was_executed(void **state)
{
	struct rig *rig;
	struct rig_node *node = start(&rig, 4);

	for (uint64_t seq = 1; seq <= 2; seq++) {
		struct job_read *read = job_new(JOB_READ, sizeof(*read));

		read->session_lookup = true;
		read->seq = seq;
		read->session_id = rig->clients[0].session_id;
		memcpy(read->uuid, rig->clients[0].uuid, KV_UUID_SIZE);
		run_one(node, WORKER_READ, &read->job);
		assert_int_equal(read->found, seq == 1);
		assert_int_equal(read->session_id, rig->clients[0].session_id);
		job_free(&read->job);
	}
	rig_free(rig);
}

static void space_check_and_load_tell_the_truth(void **state)
{
	struct rig *rig;
	struct rig_node *node = start(&rig, 5);
	struct job_space *space = job_new(JOB_SPACE, sizeof(*space));
	struct job_check *check = job_new(JOB_CHECK, sizeof(*check));
	struct job_load *load = job_new(JOB_LOAD, sizeof(*load));
	uint64_t last = rig_info(node).raft.last_index;

	run_one(node, WORKER_READ, &space->job);
	assert_true(space->space.total_bytes > 0 && space->log_bytes > 0 &&
		    space->written_bytes > 0);
	check->tree = true;
	run_one(node, WORKER_SNAPSHOT, &check->job);
	assert_int_equal(check->job.status, 0);
	assert_int_equal(check->meta.applied_index, last);
	assert_memory_equal(check->digest, check->meta.digest, KV_DIGEST_SIZE);
	load->lo = 2;
	load->hi = last;
	load->max_bytes = 1 << 20;
	run_one(node, WORKER_READ, &load->job);
	assert_int_equal(load->job.status, 0);
	assert_int_equal(load->entry_count, last - 1);
	assert_int_equal(load->entries[0].index, 2);
	job_free(&space->job);
	job_free(&check->job);
	job_free(&load->job);
	rig_free(rig);
}

/* Whatever was queued meanwhile becomes one frame, and each job still gets its own completion, in order. */
static void log_work_that_waited_is_done_together_and_in_order(void **state)
{
	struct rig *rig;
	struct rig_node *node = start(&rig, 6);
	struct rig_client *c = &rig->clients[0];
	struct fs_request put = rig_kv_append("k", "y");
	struct list done;
	uint64_t index = 0;
	int count = 0;

	rig_hold(node, WORKER_LOG, true);
	for (int i = 0; i < 5; i++) {
		(void)rig_send(c, &put);
		rig_run(rig); /* each one proposed by itself */
	}
	list_init(&done);
	worker_run(&node->workers[WORKER_LOG], &node->queues[WORKER_LOG], &done);
	list_for_each (it, &done) {
		struct job_persist *p =
			CONTAINER_OF(list_entry(it, struct job, link), struct job_persist, job);

		assert_int_equal(p->job.status, 0);
		assert_true(p->entries[0].index > index);
		index = p->entries[p->entry_count - 1].index;
		count++;
	}
	assert_int_equal(count, 5);
	list_splice_tail(&node->done, &done);
	rig_hold(node, WORKER_LOG, false);
	rig_settle_and_check(rig);
	assert_string_equal(rig_local_get(node, "k"), "xyyyyy");
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_read_answers_or_tells_its_errno),
		cmocka_unit_test(a_change_sent_as_a_read_changes_nothing),
		cmocka_unit_test(statfs_tells_the_space_of_this_node),
		cmocka_unit_test(the_session_table_answers_for_what_was_executed),
		cmocka_unit_test(space_check_and_load_tell_the_truth),
		cmocka_unit_test(log_work_that_waited_is_done_together_and_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
