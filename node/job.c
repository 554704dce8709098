/* job.c - making and freeing jobs; the slot that holds the state in force. */
#include "node/job.h"

void *job_new(enum job_type type, size_t size_bytes)
{
	struct job *job = mem_calloc(1, size_bytes);

	list_init(&job->link);
	job->type = type;
	return job;
}

static void entries_free(struct raft_entry *entries, size_t count)
{
	for (size_t i = 0; i < count; i++)
		blob_unref(entries[i].data);
	free(entries);
}

static void persist_release(struct job_persist *p)
{
	entries_free(p->entries, p->entry_count);
	for (size_t i = 0; i < p->promise_count; i++)
		raft_message_release(&p->promises[i]);
	free(p->promises);
}

static void eval_result_release(struct job_eval_result *res)
{
	for (size_t i = 0; i < res->proposal_count; i++)
		blob_unref(res->proposals[i].data);
	free(res->proposals);
	for (size_t i = 0; i < res->answer_count; i++)
		buf_release(&res->answers[i].reply);
	free(res->answers);
	free(res->wanted);
}

static void apply_release(struct job_apply *apply)
{
	entries_free(apply->entries, apply->entry_count);
	free(apply->answers);
	free(apply->session_changes);
	free(apply->unlocked);
}

static void read_release(struct job_read *read)
{
	buf_release(&read->data);
	buf_release(&read->reply);
}

void job_free(struct job *job)
{
	if (!job)
		return;
	switch (job->type) {
	case JOB_PERSIST:
		persist_release(CONTAINER_OF(job, struct job_persist, job));
		break;
	case JOB_INSTALL:
		kv_unref(CONTAINER_OF(job, struct job_install, job)->kv);
		break;
	case JOB_APPLY:
		apply_release(CONTAINER_OF(job, struct job_apply, job));
		break;
	case JOB_EVAL_REQUEST:
		buf_release(&CONTAINER_OF(job, struct eval_request, job)->data);
		break;
	case JOB_EVAL_RESULT:
		eval_result_release(CONTAINER_OF(job, struct job_eval_result, job));
		break;
	case JOB_READ:
		read_release(CONTAINER_OF(job, struct job_read, job));
		break;
	case JOB_LOAD: {
		struct job_load *load = CONTAINER_OF(job, struct job_load, job);

		store_entries_free(load->entries, load->entry_count);
		break;
	}
	case JOB_BULK:
		buf_release(&CONTAINER_OF(job, struct job_bulk, job)->reply);
		break;
	case JOB_CHECK:
		buf_release(&CONTAINER_OF(job, struct job_check, job)->text);
		break;
	case JOB_CUT:
	case JOB_CHECKPOINT:
	case JOB_EVAL_ROLE:
	case JOB_EVAL_APPLIED:
	case JOB_EVAL_RECALLED:
	case JOB_SPACE:
	case JOB_SNAPSHOT:
	case JOB_FETCH:
		break;
	}
	free(job);
}

void kv_slot_init(struct kv_slot *slot, struct kv *kv)
{
	pthread_mutex_init(&slot->lock, NULL);
	slot->kv = kv;
}

void kv_slot_release(struct kv_slot *slot)
{
	kv_unref(slot->kv);
	slot->kv = NULL;
	pthread_mutex_destroy(&slot->lock);
}

struct kv *kv_slot_get(struct kv_slot *slot)
{
	struct kv *kv;

	pthread_mutex_lock(&slot->lock);
	kv = kv_ref(slot->kv);
	pthread_mutex_unlock(&slot->lock);
	return kv;
}

void kv_slot_set(struct kv_slot *slot, struct kv *kv)
{
	struct kv *old;

	pthread_mutex_lock(&slot->lock);
	old = slot->kv;
	slot->kv = kv;
	pthread_mutex_unlock(&slot->lock);
	kv_unref(old);
}

int kv_slot_view(struct kv_slot *slot, struct kv_view **view, struct kv **view_kv, struct err *err)
{
	struct kv *kv = kv_slot_get(slot);
	int ret = 0;

	if (*view && *view_kv == kv) {
		ret = kv_view_refresh(*view);
		kv_unref(kv);
		return ret < 0 ? err_set(err, ret, "cannot read the state") : 0;
	}
	kv_view_close(*view);
	kv_unref(*view_kv);
	*view = NULL;
	*view_kv = NULL;
	ret = kv_view_open(kv, view, err);
	if (ret < 0) {
		kv_unref(kv);
		return ret;
	}
	*view_kv = kv;
	return 0;
}
