/*
 * evaluate.c - see evaluate.h. Architecture section 1, steps 3 and 4; section 6 for the session rules.
 *
 * A request is in exactly one list:
 *   waiting   not evaluated yet, or to be evaluated anew
 *   parked    blocked on an inode, ahead of its window, or its first copy is still proposed
 *   inflight  proposed as entry `index`; dropped once that is applied
 */
#include "node/evaluate.h"

#include <inttypes.h>

#include "base/hash.h"
#include "base/mark.h"

#define OVERLAY_BYTES_MAX (64u * 1024 * 1024)
#define PARKED_MAX 65536u
#define COOL_NS 1000000000ll /* after a recall nobody gets a delegation of that inode */
#define COOL_SLOTS 256u

struct evaluator {
	struct kv_slot *slot;
	uint32_t group;
	int64_t (*wall_ns)(void);
	struct kv_view *view;
	struct kv *view_kv;
	struct overlay *overlay;
	bool leader;
	bool growth_allowed;
	uint64_t room_bytes;
	struct {
		uint64_t ino;
		int64_t recalled_ns;
	} cool[COOL_SLOTS]; /* by hash: a newer one takes the place of an older one */
	uint64_t generation;
	uint64_t term;
	uint64_t tail_index, tail_term;
	uint64_t start_index; /* nothing is evaluated before this is applied */
	uint64_t applied_index;
	int64_t last_wall_ns; /* stamps never go back */
	uint64_t base_term;   /* the term that log time was taken over for */
	uint64_t base_log_ms; /* log time of the last entry before it */
	uint64_t last_log_ms;
	uint64_t sessions_max;
	struct evaluator_limits limits;
	struct list waiting, parked, inflight;
	size_t parked_count;
	struct job_eval_result *result; /* being filled */
	size_t proposals_cap, answers_cap, wanted_cap;
};

struct evaluator *evaluator_new(struct kv_slot *slot, uint32_t group, int64_t (*wall_ns)(void))
{
	struct evaluator *ev = mem_calloc(1, sizeof(*ev));

	ev->slot = slot;
	ev->group = group;
	ev->wall_ns = wall_ns;
	ev->overlay = overlay_new();
	ev->growth_allowed = true;
	ev->limits = (struct evaluator_limits){ .overlay_bytes = OVERLAY_BYTES_MAX,
						.parked = PARKED_MAX };
	list_init(&ev->waiting);
	list_init(&ev->parked);
	list_init(&ev->inflight);
	return ev;
}

void evaluator_limit(struct evaluator *ev, const struct evaluator_limits *limits)
{
	ev->limits = *limits;
}

static void drop_requests(struct list *list)
{
	list_for_each_safe (it, list) {
		list_del(it);
		job_free(list_entry(it, struct job, link));
	}
}

void evaluator_free(struct evaluator *ev)
{
	if (!ev)
		return;
	drop_requests(&ev->waiting);
	drop_requests(&ev->parked);
	drop_requests(&ev->inflight);
	overlay_free(ev->overlay);
	kv_view_close(ev->view);
	kv_unref(ev->view_kv);
	free(ev);
}

static struct eval_request *request_of(struct list *link)
{
	return CONTAINER_OF(list_entry(link, struct job, link), struct eval_request, job);
}

static void park(struct evaluator *ev, struct eval_request *rq, uint64_t wait_index)
{
	if (ev->parked_count >= ev->limits.parked) {
		MARK("node.evaluate.parked-too-many");
		job_free(&rq->job); /* the session sends again; nothing was promised */
		return;
	}
	rq->wait_index = wait_index;
	list_add_tail(&ev->parked, &rq->job.link);
	ev->parked_count++;
}

/* Everything parked whose entry is applied, or that waits for any progress, is looked at again. */
static void unpark(struct evaluator *ev)
{
	list_for_each_safe (it, &ev->parked) {
		if (request_of(it)->wait_index > ev->applied_index)
			continue;
		list_del(it);
		list_add_tail(&ev->waiting, it);
		ev->parked_count--;
	}
}

static struct job_eval_result *result_get(struct evaluator *ev)
{
	if (!ev->result) {
		ev->result = job_new(JOB_EVAL_RESULT, sizeof(*ev->result));
		ev->result->generation = ev->generation;
		ev->result->prev_index = ev->tail_index;
		ev->result->prev_term = ev->tail_term;
		ev->proposals_cap = 0;
		ev->answers_cap = 0;
		ev->wanted_cap = 0;
	}
	return ev->result;
}

static void result_flush(struct evaluator *ev, struct list *out)
{
	if (!ev->result)
		return;
	list_add_tail(out, &ev->result->job.link);
	ev->result = NULL;
}

static void answer(struct evaluator *ev, const struct eval_request *rq, int32_t status,
		   const struct buf *reply, uint64_t session_id, bool executed)
{
	struct job_eval_result *res = result_get(ev);
	struct eval_answer *a;

	if (rq->origin == 0)
		return;
	if (res->answer_count == ev->answers_cap) {
		ev->answers_cap = ev->answers_cap ? 2 * ev->answers_cap : 8;
		res->answers = mem_realloc(res->answers, ev->answers_cap * sizeof(*res->answers));
	}
	a = &res->answers[res->answer_count++];
	*a = (struct eval_answer){
		.origin = rq->origin,
		.tag = rq->msg.tag,
		.seq = rq->msg.seq,
		.session_id = session_id,
		.status = status,
		.executed = executed,
		.seen_index = ev->tail_index,
		/* A copy marked RETRY may follow another answer, and execute after it. */
		.final = executed || (rq->msg.flags & FS_MSG_RETRY),
		.stamp = ev->applied_index,
	};
	memcpy(a->uuid, rq->msg.uuid, KV_UUID_SIZE);
	if (reply)
		buf_put(&a->reply, reply->data, reply->len);
}

static void cool(struct evaluator *ev, uint64_t ino)
{
	size_t i = hash_u64(ino) % COOL_SLOTS;

	ev->cool[i].ino = ino;
	ev->cool[i].recalled_ns = ev->last_wall_ns;
}

static bool is_cooling(const struct evaluator *ev, uint64_t ino, int64_t now_ns)
{
	size_t i = hash_u64(ino) % COOL_SLOTS;

	return ev->cool[i].ino == ino && now_ns - ev->cool[i].recalled_ns < COOL_NS;
}

static void want(struct evaluator *ev, const struct fs_result *blocked)
{
	struct job_eval_result *res = result_get(ev);

	cool(ev, blocked->blocked_ino);
	if (res->wanted_count == ev->wanted_cap) {
		ev->wanted_cap = ev->wanted_cap ? 2 * ev->wanted_cap : 8;
		res->wanted = mem_realloc(res->wanted, ev->wanted_cap * sizeof(*res->wanted));
	}
	res->wanted[res->wanted_count++] = (struct eval_wanted){ .ino = blocked->blocked_ino,
								 .delegation = blocked->blocked_by };
}

static int propose(struct evaluator *ev, struct eval_request *rq, struct blob *batch)
{
	struct job_eval_result *res = result_get(ev);
	uint64_t index = ev->tail_index + 1;
	int ret = overlay_push(ev->overlay, index, ev->term, batch);

	if (ret < 0) {
		blob_unref(batch);
		return ret;
	}
	if (res->proposal_count == ev->proposals_cap) {
		ev->proposals_cap = ev->proposals_cap ? 2 * ev->proposals_cap : 8;
		res->proposals =
			mem_realloc(res->proposals, ev->proposals_cap * sizeof(*res->proposals));
	}
	res->proposals[res->proposal_count++] =
		(struct raft_proposal){ .type = RAFT_ENTRY_NORMAL, .data = batch };
	ev->tail_index = index;
	ev->tail_term = ev->term;
	rq->index = index;
	list_add_tail(&ev->inflight, &rq->job.link);
	return 0;
}

/* What is known about a request besides what fs_eval() makes of it. */
struct context {
	struct fs_stamp stamp;
	uint64_t log_ms;
	uint64_t session_id;
	uint8_t op;
	struct buf ends; /* for head.ends */
	uint32_t end_count;
};

static struct kv_batch_head batch_head(const struct evaluator *ev, const struct eval_request *rq,
				       const struct context *cx, int32_t status,
				       const struct buf *reply)
{
	struct kv_batch_head head = {
		.group = ev->group,
		.prev_index = ev->tail_index,
		.prev_term = ev->tail_term,
		.wall_ns = cx->stamp.wall_ns,
		.log_ms = cx->log_ms,
		.ends = cx->ends.data,
		.end_count = cx->end_count,
		.status = status,
	};

	if (rq->origin != 0) {
		head.has_session = true;
		memcpy(head.uuid, rq->msg.uuid, KV_UUID_SIZE);
		head.seq = rq->msg.seq;
		head.low = rq->msg.low;
		head.session_id = cx->session_id;
		head.begins = cx->session_id == cx->stamp.index;
		head.stamp = head.begins ? rq->msg.stamp : 0;
		head.reply = reply ? reply->data : NULL;
		head.reply_len = reply ? reply->len : 0;
	}
	return head;
}

static void answer_expired(struct evaluator *ev, struct eval_request *rq)
{
	struct job_eval_result *res = result_get(ev);

	answer(ev, rq, -ESTALE, NULL, 0, false);
	/* As far as the log has come nothing of this session can execute any more: that binds all copies. */
	res->answers[res->answer_count - 1].expired = true;
	res->answers[res->answer_count - 1].final = true;
	job_free(&rq->job);
}

/* A session is about to begin: 0, or the error that says why not. */
static int may_begin(const struct evaluator *ev, const struct kv_txn *txn,
		     const struct eval_request *rq)
{
	/* No client has seen more than what is committed: with such a stamp nobody could ever begin again. */
	if (rq->msg.stamp > ev->tail_index)
		return -EINVAL;
	return kv_txn_session_count(txn) >= ev->sessions_max ? -EUSERS : 0;
}

/*
 * Sorts out requests that must not be executed. Returns 1 when rq was dealt with, 0 to execute,
 * negative when the store failed.
 */
static int check_session(struct evaluator *ev, struct kv_txn *txn, struct eval_request *rq,
			 uint64_t *session_id)
{
	struct kv_session_ask ask = { .seq = rq->msg.seq,
				      .low = rq->msg.low,
				      .session_id = rq->msg.session_id,
				      .stamp = rq->msg.stamp };
	struct kv_session_lookup found = { .reply = BUF_INIT };
	int ret, refused;

	memcpy(ask.uuid, rq->msg.uuid, sizeof(ask.uuid));
	ret = kv_txn_session(txn, &ask, &found);
	if (ret < 0)
		return ret;
	*session_id = found.session_id;
	ret = 1;
	MARK_IF(found.state == KV_SESSION_EXPIRED, "node.evaluate.session-expired");
	MARK_IF(found.state == KV_SESSION_DONE, "node.evaluate.duplicate-answered");
	MARK_IF(found.state == KV_SESSION_PENDING, "node.evaluate.duplicate-waits-for-first");
	MARK_IF(found.state == KV_SESSION_OLD, "node.evaluate.number-below-window");
	MARK_IF(found.state == KV_SESSION_AHEAD, "node.evaluate.number-above-window");
	switch (found.state) {
	case KV_SESSION_BEGIN:
		if (!(rq->msg.flags & FS_MSG_BEGIN)) {
			answer_expired(ev, rq);
			break;
		}
		refused = may_begin(ev, txn, rq);
		if (refused < 0) {
			answer(ev, rq, refused, NULL, 0, false);
			job_free(&rq->job);
			break;
		}
		*session_id = ev->tail_index + 1; /* this very entry begins it */
		ret = 0;
		break;
	case KV_SESSION_EXPIRED:
		answer_expired(ev, rq);
		break;
	case KV_SESSION_EXECUTE:
		ret = 0;
		break;
	case KV_SESSION_DONE:
		answer(ev, rq, found.status, &found.reply, found.session_id, true);
		job_free(&rq->job);
		break;
	case KV_SESSION_PENDING:
		park(ev, rq, found.index);
		break;
	case KV_SESSION_OLD:
		job_free(&rq->job);
		break;
	case KV_SESSION_AHEAD:
		park(ev, rq, 0);
		break;
	}
	buf_release(&found.reply);
	return ret;
}

/*
 * Collects which of the sessions that the request names are there: those end with its entry. Not those that
 * still hold locks, as somebody else may be given one: the leader names them again.
 */
static int collect_ends(struct kv_txn *txn, const struct fs_request *fsrq, const struct buf *reply,
			const uint8_t self[KV_UUID_SIZE], struct context *cx)
{
	struct fs_reply rep = { .count = 0 };
	const uint8_t *name = fsrq->data, *end;
	int decoded = fs_reply_decode(&rep, reply->data, reply->len);

	assert(decoded == 0 && rep.count * FS_SESSION_NAME_SIZE <= fsrq->data_len);
	end = name + rep.count * FS_SESSION_NAME_SIZE;
	for (; name < end; name += FS_SESSION_NAME_SIZE) {
		struct kv_session_end e = { .session_id = load_le64(name + KV_UUID_SIZE) };
		int ret;

		memcpy(e.uuid, name, KV_UUID_SIZE);
		if (memcmp(e.uuid, self, KV_UUID_SIZE) == 0)
			continue; /* nobody replaces himself */
		ret = kv_txn_session_end(txn, &e);
		if (ret < 0 && ret != -ENOENT)
			return ret;
		if (ret < 0)
			continue;
		kv_session_end_encode(&e, &cx->ends);
		cx->end_count++;
	}
	return 0;
}

/* Is there something to log although no row changes? */
static bool is_logged(const struct eval_request *rq, const struct context *cx,
		      const struct kv_txn *txn)
{
	bool retry = rq->msg.flags & FS_MSG_RETRY;

	return !kv_txn_is_empty(txn) || (retry && rq->origin != 0) || cx->op == FS_SESSION_BEGIN ||
	       cx->end_count > 0;
}

/* The result of fs_eval() becomes an entry, an answer to confirm, or a parked request. */
static int settle(struct evaluator *ev, struct kv_txn *txn, struct eval_request *rq,
		  struct context *cx, const struct fs_result *res)
{
	bool retry = rq->msg.flags & FS_MSG_RETRY;
	struct kv_batch_head head;
	int ret;

	if (res->outcome == FS_BLOCKED) {
		MARK("node.evaluate.blocked");
		if (res->blocked_by.number != 0)
			want(ev, res);
		park(ev, rq, 0);
		return 0;
	}
	MARK_IF(res->outcome == FS_OK && kv_txn_is_empty(txn) && retry,
		"node.evaluate.empty-retry-logged");
	if (res->outcome == FS_OK && is_logged(rq, cx, txn)) {
		head = batch_head(ev, rq, cx, 0, &res->reply);
		ret = propose(ev, rq, kv_txn_batch(txn, &head));
		/* Who was blocked sees in the overlay that the way is free. */
		if (ret == 0 && res->frees)
			unpark(ev);
		return ret;
	}
	if (res->outcome == FS_ERROR && retry && rq->origin != 0) {
		MARK("node.evaluate.error-of-retry-logged");
		/* Logged under its number, so that an older copy can never take effect afterwards. */
		struct kv_txn *clean = kv_txn_new(ev->view, ev->overlay);

		head = batch_head(ev, rq, cx, res->status, NULL);
		ret = propose(ev, rq, kv_txn_batch(clean, &head));
		kv_txn_free(clean);
		return ret;
	}
	MARK_IF(cx->session_id == cx->stamp.index, "node.evaluate.session-not-begun-after-all");
	/* No entry, so a session that would have begun with it has not. */
	if (cx->session_id == cx->stamp.index)
		cx->session_id = 0;
	answer(ev, rq, res->outcome == FS_OK ? 0 : res->status, &res->reply, cx->session_id, false);
	job_free(&rq->job);
	return 0;
}

static void stamp_request(struct evaluator *ev, const struct eval_request *rq, struct context *cx)
{
	cx->stamp.index = ev->tail_index + 1;
	cx->stamp.session_id = cx->session_id;
	cx->stamp.step_blocks = ev->limits.step_blocks;
	cx->stamp.wall_ns = ev->wall_ns();
	if (cx->stamp.wall_ns <= ev->last_wall_ns)
		cx->stamp.wall_ns = ev->last_wall_ns + 1;
	ev->last_wall_ns = cx->stamp.wall_ns;
	cx->log_ms = max_u64(ev->last_log_ms, ev->base_log_ms + rq->elapsed_ms);
	ev->last_log_ms = cx->log_ms;
}

static int evaluate_in(struct evaluator *ev, struct kv_txn *txn, struct eval_request *rq,
		       struct context *cx)
{
	struct fs_result res = { .reply = BUF_INIT };
	struct fs_request fsrq;
	int ret = 0;

	if (rq->origin != 0) {
		ret = check_session(ev, txn, rq, &cx->session_id);
		if (ret != 0)
			return ret < 0 ? ret : 0;
	}
	stamp_request(ev, rq, cx);
	if (fs_request_decode(&fsrq, rq->msg.body, rq->msg.body_len) < 0 ||
	    fs_op_is_read(fsrq.op) || (rq->origin != 0 && fs_op_is_internal(fsrq.op))) {
		res.outcome = FS_ERROR;
		res.status = -EINVAL;
	} else if (!ev->growth_allowed && fs_op_grows(fsrq.op)) {
		MARK("node.evaluate.growth-refused");
		res.outcome = FS_ERROR;
		res.status = -ENOSPC;
	} else {
		cx->op = fsrq.op;
		cx->stamp.room_bytes = ev->room_bytes;
		cx->stamp.no_delegation = is_cooling(ev, fsrq.ino, cx->stamp.wall_ns);
		ret = fs_eval(txn, &fsrq, &cx->stamp, &res);
		if (ret == 0 && res.outcome == FS_OK &&
		    (fsrq.op == FS_SESSION_BEGIN || fsrq.op == FS_SESSION_END))
			ret = collect_ends(txn, &fsrq, &res.reply, rq->msg.uuid, cx);
	}
	if (ret == 0)
		ret = settle(ev, txn, rq, cx, &res);
	buf_release(&res.reply);
	return ret;
}

static int evaluate(struct evaluator *ev, struct eval_request *rq)
{
	struct kv_txn *txn = kv_txn_new(ev->view, ev->overlay);
	struct context cx = { .ends = BUF_INIT };
	int ret = evaluate_in(ev, txn, rq, &cx);

	buf_release(&cx.ends);
	kv_txn_free(txn);
	return ret;
}

/*
 * 1: the view is of this leadership. 0: a successor's entries are applied already, where the overlay holds
 * ours; the end of our role is on its way, and nothing is evaluated until it is here.
 */
static int refresh_view(struct evaluator *ev, struct err *err)
{
	int ret = kv_slot_view(ev->slot, &ev->view, &ev->view_kv, err);

	if (ret < 0)
		return ret;
	if (kv_view_meta(ev->view)->applied_term > ev->term) {
		MARK("node.evaluate.successor-applied-already");
		return 0;
	}
	overlay_trim(ev->overlay, kv_view_meta(ev->view)->applied_index);
	/* The first view of a term ends where the log did before it. */
	if (ev->base_term != ev->term) {
		ev->base_term = ev->term;
		ev->base_log_ms = kv_view_meta(ev->view)->log_ms;
		ev->last_log_ms = ev->base_log_ms;
	}
	return 1;
}

static void on_role(struct evaluator *ev, const struct job_eval_role *role)
{
	bool same_term = role->term == ev->term;

	overlay_reset(ev->overlay);
	ev->generation = role->generation;
	ev->leader = role->leader;
	ev->term = role->term;
	ev->tail_index = role->last_index;
	ev->tail_term = role->last_term;
	ev->start_index = role->last_index;
	ev->sessions_max = role->sessions_max ? role->sessions_max : KV_SESSIONS_MAX;
	MARK_IF(!list_empty(&ev->inflight) && role->leader,
		"node.evaluate.inflight-evaluated-anew");
	MARK_IF(!list_empty(&ev->inflight) && !role->leader, "node.evaluate.inflight-dropped");
	MARK_IF(!list_empty(&ev->parked) && !role->leader, "node.evaluate.parked-dropped");
	if (!role->leader) {
		/* The clients' own nodes tell them to send again to the new leader. */
		drop_requests(&ev->waiting);
		drop_requests(&ev->parked);
		drop_requests(&ev->inflight);
		ev->parked_count = 0;
		return;
	}
	/* What was executed after all is found in the session table when it is looked at again. */
	list_splice_tail(&ev->inflight, &ev->parked);
	list_splice_tail(&ev->inflight, &ev->waiting);
	list_splice_tail(&ev->waiting, &ev->inflight);
	ev->parked_count = 0;
	/* Handed in under another leadership, whose time is not this one's. */
	list_for_each (it, &ev->waiting)
		request_of(it)->elapsed_ms = same_term ? request_of(it)->elapsed_ms : 0;
}

static void on_applied(struct evaluator *ev, const struct job_eval_applied *applied)
{
	ev->applied_index = max_u64(ev->applied_index, applied->index);
	ev->growth_allowed = applied->growth_allowed;
	ev->room_bytes = applied->room_bytes;
	list_for_each_safe (it, &ev->inflight) {
		if (request_of(it)->index > ev->applied_index)
			break;
		list_del(it);
		job_free(&request_of(it)->job);
	}
	unpark(ev);
}

static void take_jobs(struct evaluator *ev, struct list *jobs, struct list *out)
{
	list_for_each_safe (it, jobs) {
		struct job *job = list_entry(it, struct job, link);

		list_del(it);
		switch (job->type) {
		case JOB_EVAL_REQUEST:
			if (ev->leader)
				list_add_tail(&ev->waiting, &job->link);
			else
				job_free(job);
			break;
		case JOB_EVAL_ROLE:
			result_flush(ev, out);
			on_role(ev, CONTAINER_OF(job, struct job_eval_role, job));
			job_free(job);
			break;
		case JOB_EVAL_RECALLED:
			cool(ev, CONTAINER_OF(job, struct job_eval_recalled, job)->ino);
			job_free(job);
			break;
		default:
			assert(job->type == JOB_EVAL_APPLIED);
			on_applied(ev, CONTAINER_OF(job, struct job_eval_applied, job));
			job_free(job);
			break;
		}
	}
}

void evaluator_run(struct evaluator *ev, struct list *jobs, struct list *out)
{
	int ret = 0;
	struct err err = ERR_INIT;

	take_jobs(ev, jobs, out);
	MARK_IF(ev->leader && ev->applied_index < ev->start_index && !list_empty(&ev->waiting),
		"node.evaluate.waits-for-own-first-entry");
	MARK_IF(overlay_bytes(ev->overlay) >= ev->limits.overlay_bytes, "node.evaluate.overlay-full");
	if (ev->leader && ev->applied_index >= ev->start_index && !list_empty(&ev->waiting)) {
		ret = refresh_view(ev, &err);
		while (ret > 0 && !list_empty(&ev->waiting) &&
		       overlay_bytes(ev->overlay) < ev->limits.overlay_bytes) {
			struct list *first = ev->waiting.next;
			int done;

			list_del(first);
			done = evaluate(ev, request_of(first));
			if (done < 0) { /* the process ends; nobody else owns it */
				list_add_head(&ev->waiting, first);
				ret = err_set(&err, done,
					      "cannot evaluate a change behind entry %" PRIu64
					      ": %s",
					      ev->tail_index,
					      done == -EUCLEAN ? "the state contradicts itself"
							       : strerror(-done));
			}
		}
		if (ev->view)
			kv_view_unpin(ev->view);
	}
	if (ret < 0) {
		struct job_eval_result *res = result_get(ev);

		res->job.status = ret;
		res->job.err = err;
	}
	result_flush(ev, out);
}
