/* test_job.c - jobs own what they point to; the slot gives views of the state in force. */
#include <string.h>

#include "node/job.h"
#include "tests/lib/unit.h"

static struct kv *memory_kv(uint64_t applied)
{
	struct kv_meta meta = { .group = 0, .applied_index = applied, .applied_term = 1 };

	meta.conf = (struct raft_conf){ .index = 1, .count = 1 };
	meta.conf.members[0] = (struct raft_member){ .id = 1, .role = RAFT_VOTER };
	return kv_new_memory(&meta);
}

static struct raft_entry *two_entries(struct blob *data)
{
	struct raft_entry *v = mem_calloc(2, sizeof(*v));

	v[0] = (struct raft_entry){ .index = 2, .term = 1, .type = RAFT_ENTRY_NOOP };
	v[1] = (struct raft_entry){
		.index = 3, .term = 1, .type = RAFT_ENTRY_NORMAL, .data = blob_ref(data)
	};
	return v;
}

/* What a job still owned would show as a leak, what it did not as freed twice (check-asan). */
static void freeing_a_job_frees_all_that_it_owns(void **state)
{
	struct blob *data = blob_from("batch", 5);
	struct job_persist *persist = job_new(JOB_PERSIST, sizeof(*persist));
	struct job_apply *apply = job_new(JOB_APPLY, sizeof(*apply));
	struct job_eval_result *res = job_new(JOB_EVAL_RESULT, sizeof(*res));
	struct eval_request *rq = job_new(JOB_EVAL_REQUEST, sizeof(*rq));
	struct job_load *load = job_new(JOB_LOAD, sizeof(*load));
	struct job_install *install = job_new(JOB_INSTALL, sizeof(*install));
	struct job_read *read = job_new(JOB_READ, sizeof(*read));

	persist->entries = two_entries(data);
	persist->entry_count = 2;
	persist->promises = mem_calloc(1, sizeof(*persist->promises));
	persist->promises[0].type = RAFT_MSG_APPEND;
	persist->promises[0].entries = two_entries(data);
	persist->promises[0].entry_count = 2;
	persist->promise_count = 1;
	apply->entries = two_entries(data);
	apply->entry_count = 2;
	apply->answers = mem_calloc(1, sizeof(*apply->answers));
	res->proposals = mem_calloc(1, sizeof(*res->proposals));
	res->proposals[0].data = blob_ref(data);
	res->proposal_count = 1;
	res->answers = mem_calloc(1, sizeof(*res->answers));
	buf_put(&res->answers[0].reply, "reply", 5);
	res->answer_count = 1;
	buf_put(&rq->data, "request", 7);
	load->entries = two_entries(data);
	load->entry_count = 2;
	install->kv = memory_kv(1);
	buf_put(&read->data, "a", 1);
	buf_put(&read->reply, "b", 1);
	job_free(&persist->job);
	job_free(&apply->job);
	job_free(&res->job);
	job_free(&rq->job);
	job_free(&load->job);
	job_free(&install->job);
	job_free(&read->job);
	job_free(NULL);
	assert_memory_equal(data->data, "batch", 5);
	blob_unref(data);
}

static void a_new_job_is_empty_and_in_no_list(void **state)
{
	for (int type = JOB_PERSIST; type <= JOB_FETCH; type++) {
		/* The largest, so that any type fits. */
		struct job_check *job = job_new(
			(enum job_type)type, sizeof(struct job_check) + sizeof(struct job_fetch));

		assert_int_equal(job->job.type, type);
		assert_int_equal(job->job.status, 0);
		assert_true(list_empty(&job->job.link));
		job_free(&job->job);
	}
}

static void put_and_apply(struct kv *kv, uint64_t index, const char *value)
{
	struct kv_view *view = NULL;
	struct kv_txn *txn;
	struct kv_batch_head head = { .prev_index = index - 1, .prev_term = 1 };
	struct raft_entry e = { .index = index, .term = 1, .type = RAFT_ENTRY_NORMAL };
	struct err err = ERR_INIT;

	assert_int_equal(kv_view_open(kv, &view, NULL), 0);
	txn = kv_txn_new(view, NULL);
	kv_txn_put(txn, "k", 1, value, strlen(value));
	e.data = kv_txn_batch(txn, &head);
	kv_txn_free(txn);
	kv_view_close(view);
	if (kv_apply(kv, &e, 1, &err) < 0)
		fail_msg("%s", err.text);
	blob_unref(e.data);
}

static void a_view_of_the_slot_follows_applies_and_flips(void **state)
{
	struct kv_slot slot;
	struct kv_view *view = NULL;
	struct kv *view_kv = NULL, *old = memory_kv(1), *new = memory_kv(40);

	kv_slot_init(&slot, old);
	assert_int_equal(kv_slot_view(&slot, &view, &view_kv, NULL), 0);
	assert_int_equal(kv_view_meta(view)->applied_index, 1);
	put_and_apply(old, 2, "a");
	assert_int_equal(kv_view_meta(view)->applied_index, 1); /* pinned */
	assert_int_equal(kv_slot_view(&slot, &view, &view_kv, NULL), 0);
	assert_int_equal(kv_view_meta(view)->applied_index, 2);
	kv_slot_set(&slot, new);
	assert_ptr_equal(view_kv, old); /* still usable until it is asked for again */
	assert_int_equal(kv_view_meta(view)->applied_index, 2);
	assert_int_equal(kv_slot_view(&slot, &view, &view_kv, NULL), 0);
	assert_ptr_equal(view_kv, new);
	assert_int_equal(kv_view_meta(view)->applied_index, 40);
	kv_view_close(view);
	kv_unref(view_kv);
	kv_slot_release(&slot);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(freeing_a_job_frees_all_that_it_owns),
		cmocka_unit_test(a_new_job_is_empty_and_in_no_list),
		cmocka_unit_test(a_view_of_the_slot_follows_applies_and_flips),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
