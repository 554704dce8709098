/* worker.c - see worker.h. Log and apply group all they are given into one sync, one transaction. */
#include "node/worker.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mark.h"
#include "node/fetch.h"

void worker_init(struct worker *w, enum worker_kind kind, struct worker_shared *shared)
{
	*w = (struct worker){ .kind = kind, .shared = shared };
	if (kind == WORKER_EVALUATE)
		w->evaluator = evaluator_new(&shared->slot, shared->group, clock_wall_ns);
}

void worker_release(struct worker *w)
{
	evaluator_free(w->evaluator);
	kv_view_close(w->view);
	kv_unref(w->view_kv);
	*w = (struct worker){ .kind = w->kind };
}

/* ---- log ------------------------------------------------------------------------------------ */

static void set_failed(struct job *job, int ret, const struct err *err)
{
	job->status = ret;
	job->err = *err;
}

static void run_persist(struct worker *w, struct list *group, struct list *done)
{
	struct store_batch *batches;
	struct err err = ERR_INIT;
	size_t count = 0;
	int ret;

	if (list_empty(group))
		return;
	list_for_each(it, group)
		count++;
	batches = mem_calloc(count, sizeof(*batches));
	count = 0;
	list_for_each(it, group) {
		struct job_persist *p = CONTAINER_OF(list_entry(it, struct job, link),
						     struct job_persist, job);

		batches[count++] = (struct store_batch){
			.set_hard = p->set_hard,
			.hard = p->hard,
			.entries = p->entries,
			.entry_count = p->entry_count,
		};
	}
	ret = store_persist(w->shared->store, batches, count, &err);
	free(batches);
	list_for_each(it, group) {
		if (ret < 0)
			set_failed(list_entry(it, struct job, link), ret, &err);
	}
	list_splice_tail(done, group);
}

static void run_install(struct worker *w, struct job_install *install)
{
	struct job *job = &install->job;

	job->status = store_install(w->shared->store, &install->meta, install->applied_index,
				    &install->kv, &job->err);
	if (job->status == 0)
		kv_slot_set(&w->shared->slot, kv_ref(install->kv));
}

static void run_log(struct worker *w, struct list *jobs, struct list *done)
{
	struct list group;

	list_init(&group);
	list_for_each_safe(it, jobs) {
		struct job *job = list_entry(it, struct job, link);

		list_del(it);
		if (job->type == JOB_PERSIST) {
			list_add_tail(&group, it);
			continue;
		}
		run_persist(w, &group, done);
		if (job->type == JOB_CUT)
			job->status = store_cut_prefix(w->shared->store,
						       CONTAINER_OF(job, struct job_cut, job)->index,
						       &job->err);
		else
			run_install(w, CONTAINER_OF(job, struct job_install, job));
		list_add_tail(done, it);
	}
	run_persist(w, &group, done);
}

/* ---- apply ------------------------------------------------------------------------------------ */

static void run_apply_group(struct worker *w, struct list *group, struct list *done)
{
	struct kv *kv = kv_slot_get(&w->shared->slot);
	struct raft_entry *all;
	struct err err = ERR_INIT;
	size_t count = 0;
	int ret = 0;

	list_for_each(it, group)
		count += CONTAINER_OF(list_entry(it, struct job, link), struct job_apply, job)->entry_count;
	all = mem_alloc(count * sizeof(*all));
	count = 0;
	list_for_each(it, group) {
		struct job_apply *apply = CONTAINER_OF(list_entry(it, struct job, link), struct job_apply, job);

		memcpy(all + count, apply->entries, apply->entry_count * sizeof(*all));
		count += apply->entry_count;
	}
	if (count > 0)
		ret = kv_apply(kv, all, count, &err);
	free(all);
	list_for_each(it, group) {
		struct job_apply *apply = CONTAINER_OF(list_entry(it, struct job, link), struct job_apply, job);

		if (ret < 0)
			set_failed(&apply->job, ret, &err);
		apply->session_count = kv_session_count(kv);
	}
	list_splice_tail(done, group);
	kv_unref(kv);
}

static void run_checkpoint(struct worker *w, struct job_checkpoint *cp)
{
	struct kv *kv = kv_slot_get(&w->shared->slot);

	cp->job.status = kv_checkpoint(kv, &cp->durable_index, &cp->job.err);
	cp->state_bytes = kv_size_bytes(kv);
	kv_unref(kv);
}

void worker_after(struct worker *w, struct list *done)
{
	struct job_checkpoint *cp;
	struct kv *kv;
	uint64_t wal_bytes;

	if (w->kind != WORKER_APPLY)
		return;
	kv = kv_slot_get(&w->shared->slot);
	wal_bytes = kv_wal_bytes(kv);
	kv_unref(kv);
	/* By growth: while a snapshot pins the WAL, it cannot start anew and only grows. */
	if (wal_bytes < w->wal_mark)
		w->wal_mark = 0;
	if (wal_bytes < w->wal_mark + w->shared->wal_limit_bytes)
		return;
	w->wal_mark = wal_bytes;
	cp = job_new(JOB_CHECKPOINT, sizeof(*cp));
	run_checkpoint(w, cp);
	list_add_tail(done, &cp->job.link);
}

static void run_apply(struct worker *w, struct list *jobs, struct list *done)
{
	struct list group;

	list_init(&group);
	list_for_each_safe(it, jobs) {
		struct job *job = list_entry(it, struct job, link);

		list_del(it);
		if (job->type == JOB_APPLY) {
			list_add_tail(&group, it);
			continue;
		}
		if (!list_empty(&group))
			run_apply_group(w, &group, done);
		run_checkpoint(w, CONTAINER_OF(job, struct job_checkpoint, job));
		list_add_tail(done, it);
	}
	if (!list_empty(&group))
		run_apply_group(w, &group, done);
}

/* ---- read --------------------------------------------------------------------------------------- */

static int read_request(struct worker *w, struct kv_txn *txn, struct job_read *read)
{
	struct fs_result res = { .reply = BUF_INIT };
	struct fs_stamp stamp = { .session_id = read->reader };
	struct fs_request rq;
	int ret;

	if (fs_request_decode(&rq, read->data.data, read->data.len) < 0 || !fs_op_is_read(rq.op))
		return -EINVAL;
	read->blocked_ino = 0;
	read->blocked_by = (struct fs_delegation){ .number = 0 };
	read->seen_index = kv_view_meta(w->view)->applied_index;
	ret = fs_eval(txn, &rq, &stamp, &res);
	if (ret < 0) {
		/* Damage no replica has mended yet; other keys are fine. */
		log_error("read", "operation %s of inode %llu failed: %s", fs_op_name(rq.op),
			  (unsigned long long)rq.ino, strerror(-ret));
		ret = -EIO;
	} else if (res.outcome == FS_ERROR) {
		ret = res.status;
	} else if (res.outcome == FS_BLOCKED) {
		read->blocked_ino = res.blocked_ino;
		read->blocked_by = res.blocked_by;
	} else if (rq.op == FS_STATFS) {
		struct store_space space = { .total_bytes = 0 };

		(void)store_space(w->shared->store, &space);
		fs_statfs_set_space(&res.reply, space.total_bytes,
				    space.free_bytes > space.reserve_bytes ?
					    space.free_bytes - space.reserve_bytes : 0);
	}
	if (ret == 0)
		buf_put(&read->reply, res.reply.data, res.reply.len);
	buf_release(&res.reply);
	return ret;
}

static int read_session(struct kv_txn *txn, struct job_read *read)
{
	struct kv_session_ask ask = { .seq = read->seq,
				      .low = read->seq,
				      .session_id = read->session_id,
				      .stamp = read->stamp };
	struct kv_session_lookup found = { .reply = BUF_INIT };
	int ret;

	memcpy(ask.uuid, read->uuid, sizeof(ask.uuid));
	ret = kv_txn_session(txn, &ask, &found);
	if (ret == 0 && found.state == KV_SESSION_DONE) {
		read->found = true;
		read->session_id = found.session_id;
		ret = found.status;
		buf_put(&read->reply, found.reply.data, found.reply.len);
	}
	buf_release(&found.reply);
	return ret;
}

#define LIST_PAGE_BYTES 65536u

static int list_session(void *ctx, const struct kv_session_info *info)
{
	struct buf *out = ctx;

	buf_put(out, info->uuid, KV_UUID_SIZE);
	buf_put_le64(out, info->session_id);
	return out->len < LIST_PAGE_BYTES ? 0 : 1;
}

static int read_session_list(struct kv_txn *txn, struct job_read *read)
{
	int ret = kv_txn_session_scan(txn, read->uuid, list_session, &read->reply);

	return ret < 0 ? ret : 0;
}

static void run_read(struct worker *w, struct job_read *read)
{
	struct err err = ERR_INIT;
	int ret = kv_slot_view(&w->shared->slot, &w->view, &w->view_kv, &err);
	struct kv_txn *txn;

	if (ret < 0) {
		set_failed(&read->job, -EIO, &err);
		return;
	}
	assert(kv_view_meta(w->view)->applied_index >= read->min_index);
	txn = kv_txn_new(w->view, NULL);
	read->job.status = read->session_lookup ? read_session(txn, read) :
			   read->session_list ? read_session_list(txn, read) : read_request(w, txn, read);
	kv_txn_free(txn);
}

static void run_load(struct worker *w, struct job_load *load)
{
	load->job.status = store_load(w->shared->store, load->lo, load->hi, load->max_bytes,
				      &load->entries, &load->entry_count, &load->job.err);
}

static void run_bulk(struct worker *w, struct job_bulk *bulk)
{
	bulk->job.status = bulk->manifest ?
		store_snapshot_manifest(w->shared->store, &bulk->meta, &bulk->reply, &bulk->job.err) :
		store_snapshot_chunk(w->shared->store, &bulk->meta, bulk->number, &bulk->reply,
				     &bulk->job.err);
}

static void run_space(struct worker *w, struct job_space *space)
{
	space->job.status = store_space(w->shared->store, &space->space);
	space->log_bytes = store_log_bytes(w->shared->store);
	space->written_bytes = store_bytes_written(w->shared->store);
}

static void run_check(struct worker *w, struct job_check *check)
{
	int ret = kv_slot_view(&w->shared->slot, &w->view, &w->view_kv, &check->job.err);

	if (ret == 0) {
		check->meta = *kv_view_meta(w->view);
		ret = kv_view_digest(w->view, check->digest, &check->job.err);
	}
	if (ret == 0 && check->tree) {
		struct kv_txn *txn = kv_txn_new(w->view, NULL);

		ret = fs_check(txn, &check->text);
		kv_txn_free(txn);
	}
	check->job.status = ret;
}

static void run_reads(struct worker *w, struct list *jobs, struct list *done)
{
	list_for_each_safe(it, jobs) {
		struct job *job = list_entry(it, struct job, link);

		list_del(it);
		if (job->type == JOB_READ)
			run_read(w, CONTAINER_OF(job, struct job_read, job));
		else if (job->type == JOB_LOAD)
			run_load(w, CONTAINER_OF(job, struct job_load, job));
		else if (job->type == JOB_BULK)
			run_bulk(w, CONTAINER_OF(job, struct job_bulk, job));
		else
			run_space(w, CONTAINER_OF(job, struct job_space, job));
		list_add_tail(done, it);
	}
	/* A pinned view would hold the WAL; the next job pins again. */
	if (w->view)
		kv_view_unpin(w->view);
}

/* ---- snapshots ---------------------------------------------------------------------------------- */

static void run_snapshot(struct worker *w, struct job_snapshot *snap)
{
	struct kv *kv = kv_slot_get(&w->shared->slot);

	snap->job.status = store_snapshot_create(w->shared->store, kv, &snap->meta,
						 &w->shared->stopping, &snap->job.err);
	kv_unref(kv);
}

static void run_each(struct worker *w, struct list *jobs, struct list *done)
{
	list_for_each_safe(it, jobs) {
		struct job *job = list_entry(it, struct job, link);

		list_del(it);
		if (job->type == JOB_SNAPSHOT)
			run_snapshot(w, CONTAINER_OF(job, struct job_snapshot, job));
		else if (job->type == JOB_CHECK)
			run_check(w, CONTAINER_OF(job, struct job_check, job));
		else
			fetch_run(w->shared, CONTAINER_OF(job, struct job_fetch, job));
		list_add_tail(done, it);
	}
	if (w->view)
		kv_view_unpin(w->view);
}

/* Images are made and fetched where an error may pass, but a store that failed is the end of a node. */
static void mark_store_failed(const struct worker *w, struct list *done)
{
	if (w->kind == WORKER_READ || !store_has_failed(w->shared->store))
		return; /* a reader's status is the operation's */
	list_for_each(it, done) {
		struct job *job = list_entry(it, struct job, link);

		MARK_IF(job->status < 0, "node.worker.store-failed");
		job->store_failed = job->status < 0;
	}
}

void worker_run(struct worker *w, struct list *jobs, struct list *done)
{
	switch (w->kind) {
	case WORKER_LOG:
		run_log(w, jobs, done);
		break;
	case WORKER_APPLY:
		run_apply(w, jobs, done);
		break;
	case WORKER_EVALUATE:
		evaluator_run(w->evaluator, jobs, done);
		break;
	case WORKER_READ:
		run_reads(w, jobs, done);
		break;
	case WORKER_SNAPSHOT:
	case WORKER_FETCH:
		run_each(w, jobs, done);
		break;
	case WORKER_COUNT:
		break;
	}
	mark_store_failed(w, done);
}
