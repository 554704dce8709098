/*
 * replica_client.c - clients of this node, what they wait for, and what is passed on for them.
 *
 * A change leaves a waiter (uuid, seq) here, wherever it is evaluated; the waiter is answered when this
 * node has applied the entry, so a mount reads its own writes. An error or a duplicate comes from the
 * leader as an answer instead. A read joins a read round; the round is confirmed by the leader, then
 * waits until this node has applied that far.
 */
#include "base/mark.h"
#include "node/replica_internal.h"

#define READ_AGAIN_MS 50u

static uint64_t waiter_hash(const uint8_t uuid[KV_UUID_SIZE], uint64_t seq)
{
	return hash64_seed(uuid, KV_UUID_SIZE, seq);
}

static struct waiter *waiter_find(struct replica *r, const uint8_t uuid[KV_UUID_SIZE], uint64_t seq)
{
	uint64_t hash = waiter_hash(uuid, seq);

	for (struct hnode *n = htable_first(&r->waiters, hash); n; n = htable_next(n)) {
		struct waiter *w = CONTAINER_OF(n, struct waiter, node);

		if (w->seq == seq && memcmp(w->uuid, uuid, KV_UUID_SIZE) == 0)
			return w;
	}
	return NULL;
}

static void waiter_drop(struct replica *r, struct waiter *w)
{
	htable_del(&r->waiters, &w->node);
	free(w);
}

static void waiter_note(struct replica *r, uint64_t client_id, const struct fs_msg *m)
{
	struct waiter *w = waiter_find(r, m->uuid, m->seq);

	if (!w) {
		w = mem_calloc(1, sizeof(*w));
		memcpy(w->uuid, m->uuid, KV_UUID_SIZE);
		w->seq = m->seq;
		htable_add(&r->waiters, &w->node, waiter_hash(w->uuid, w->seq));
	}
	w->tag = m->tag;
	w->session_id = m->session_id;
	w->stamp = m->stamp;
	w->client_id = client_id;
	w->retried = w->retried || (m->flags & FS_MSG_RETRY);
}

static struct client *client_find(struct replica *r, uint64_t id)
{
	for (struct hnode *n = htable_first(&r->clients, hash_u64(id)); n; n = htable_next(n)) {
		struct client *c = CONTAINER_OF(n, struct client, node);

		if (c->id == id)
			return c;
	}
	return NULL;
}

void client_send(struct replica *r, uint64_t client_id, const struct fs_msg *m)
{
	struct buf frame = BUF_INIT;

	fs_msg_encode(m, &frame);
	r->ops->send_client(r->ctx, client_id, &frame);
	buf_release(&frame);
}

/* What a client is answered. */
struct answer {
	uint8_t flags; /* FS_MSG_FINAL: it binds every copy of the request; FS_MSG_EXPIRED */
	uint64_t seq, session_id, stamp;
	int32_t status;
	const uint8_t *body;
	size_t len;
};

static struct fs_msg reply_message(const struct answer *a, uint64_t tag)
{
	return (struct fs_msg){
		.type = FS_MSG_REPLY,
		.flags = a->flags,
		.tag = tag,
		.seq = a->seq,
		.session_id = a->session_id,
		.stamp = a->stamp,
		.status = a->status,
		.body = a->status == 0 ? a->body : NULL,
		.body_len = a->status == 0 ? a->len : 0,
	};
}

static void send_reply(struct replica *r, uint64_t client_id, uint64_t tag, const struct answer *a)
{
	struct fs_msg m = reply_message(a, tag);

	client_send(r, client_id, &m);
}

/* ---- changes ---------------------------------------------------------------------------------- */

static void evaluate_here(struct replica *r, uint64_t origin, const struct fs_msg *m)
{
	struct eval_request *rq = job_new(JOB_EVAL_REQUEST, sizeof(*rq));

	rq->origin = origin;
	rq->elapsed_ms = sessions_clock_ms(r);
	rq->msg = *m;
	buf_put(&rq->data, m->body, m->body_len);
	rq->msg.body = rq->data.data;
	rq->msg.body_len = rq->data.len;
	replica_submit(r, WORKER_EVALUATE, &rq->job);
}

static bool change_is_sane(const struct fs_msg *m)
{
	bool begins = m->flags & FS_MSG_BEGIN;

	return m->seq > 0 && m->low > 0 && m->low <= m->seq && begins == (m->session_id == 0);
}

static void on_change(struct replica *r, uint64_t client_id, const struct fs_msg *m)
{
	uint64_t leader = replica_leader(r);

	if (!change_is_sane(m)) {
		struct answer insane = { .flags = FS_MSG_FINAL, .seq = m->seq, .status = -EINVAL };

		MARK("node.client.change-refused");
		send_reply(r, client_id, m->tag, &insane);
		return;
	}
	waiter_note(r, client_id, m);
	if (r->evaluating) {
		evaluate_here(r, r->options.self, m);
	} else if (leader != 0 && leader != r->options.self) {
		struct buf frame = BUF_INIT;

		fs_msg_encode(m, &frame);
		r->ops->send_peer(r->ctx, leader, NET_FORWARD, &frame);
		buf_release(&frame);
	}
	MARK_IF(leader == 0, "node.client.change-waits-for-leader");
	/* Without a leader it waits; when there is one the client is told to send again. */
}

void client_on_forward(struct replica *r, uint64_t from, const uint8_t *payload, size_t len)
{
	struct fs_msg m;

	if (fs_msg_decode(&m, payload, len) < 0) {
		log_warning("replica", "dropped a forwarded message of node=%llu that does not decode",
			    (unsigned long long)from);
		return;
	}
	if (m.type == FS_MSG_ANSWER) {
		orphans_answer(r, &m, from);
	} else if (m.type == FS_MSG_BYE) {
		sessions_bye(r, m.uuid);
	} else if (m.type == FS_MSG_QUERY) {
		client_query_holders(r, &m);
	} else if (m.type == FS_MSG_RECALL) {
		recalls_message(r, &m);
	} else if (m.type == FS_MSG_REQUEST && change_is_sane(&m)) {
		if (r->evaluating) {
			evaluate_here(r, from, &m);
		} else {
			struct fs_msg again = { .type = FS_MSG_RESEND };
			struct buf frame = BUF_INIT;

			MARK("node.forward.to-one-who-does-not-lead");
			fs_msg_encode(&again, &frame);
			r->ops->send_peer(r->ctx, from, NET_FORWARD_REPLY, &frame);
			buf_release(&frame);
		}
	}
}

static void answer_waiter(struct replica *r, const uint8_t uuid[KV_UUID_SIZE], const struct answer *a)
{
	struct waiter *w = waiter_find(r, uuid, a->seq);

	MARK_IF(!w, "node.answer.nobody-waits");
	MARK_IF(w && w->retried && !(a->flags & FS_MSG_FINAL), "node.answer.does-not-bind-retry");
	/* An answer to the first copy does not bind the second one: that one's own answer will come. */
	if (!w || (w->retried && !(a->flags & FS_MSG_FINAL)))
		return;
	send_reply(r, w->client_id, w->tag, a);
	waiter_drop(r, w);
}

void client_answers(struct replica *r, const struct apply_answer *answers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct apply_answer *from = &answers[i];
		struct answer a = { .flags = FS_MSG_FINAL,
				    .seq = from->seq,
				    .session_id = from->session_id,
				    .stamp = from->index,
				    .status = from->status,
				    .body = from->reply,
				    .len = from->reply_len };

		answer_waiter(r, from->uuid, &a);
	}
}

void client_on_forward_reply(struct replica *r, uint64_t from, const uint8_t *payload, size_t len)
{
	struct fs_msg m;

	if (fs_msg_decode(&m, payload, len) < 0) {
		log_warning("replica", "dropped an answer of node=%llu that does not decode",
			    (unsigned long long)from);
		return;
	}
	if (m.type == FS_MSG_RESEND)
		client_resend(r);
	else if (m.type == FS_MSG_REPLY)
		answer_waiter(r, m.uuid,
			      &(struct answer){ .flags = m.flags & (FS_MSG_FINAL | FS_MSG_EXPIRED),
						.seq = m.seq,
						.session_id = m.session_id,
						.stamp = m.stamp,
						.status = m.status,
						.body = m.body,
						.len = m.body_len });
}

/* An answer leaves for the node whose client asked. */
static void deliver_answer(struct replica *r, const struct eval_answer *from)
{
	struct answer a = {
		.flags = (uint8_t)((from->final ? FS_MSG_FINAL : 0) | (from->expired ? FS_MSG_EXPIRED : 0)),
		.seq = from->seq,
		.session_id = from->session_id,
		.stamp = from->expired ? from->stamp : 0, /* what was executed shows an older state */
		.status = from->status,
		.body = from->reply.data,
		.len = from->reply.len,
	};
	struct fs_msg m = reply_message(&a, from->tag);
	struct buf frame = BUF_INIT;

	if (from->origin == r->options.self) {
		answer_waiter(r, from->uuid, &a);
		return;
	}
	memcpy(m.uuid, from->uuid, KV_UUID_SIZE);
	fs_msg_encode(&m, &frame);
	r->ops->send_peer(r->ctx, from->origin, NET_FORWARD_REPLY, &frame);
	buf_release(&frame);
}

void client_on_eval_result(struct replica *r, struct job_eval_result *res)
{
	for (size_t i = 0; i < res->answer_count; i++) {
		struct eval_answer *a = &res->answers[i];
		struct confirm *c;

		if (a->executed) {
			deliver_answer(r, a);
			continue;
		}
		c = mem_calloc(1, sizeof(*c));
		c->generation = res->generation;
		c->seen_index = a->seen_index;
		c->answer = *a;
		a->reply = BUF_INIT;
		list_add_tail(&r->gathering_answers, &c->link);
	}
	for (size_t i = 0; i < res->wanted_count; i++)
		recalls_want(r, res->wanted[i].ino, &res->wanted[i].delegation);
}

/* ---- reads ------------------------------------------------------------------------------------ */

static void on_read(struct replica *r, uint64_t client_id, const struct fs_msg *m)
{
	struct job_read *read = job_new(JOB_READ, sizeof(*read));

	read->client_id = client_id;
	memcpy(read->uuid, m->uuid, KV_UUID_SIZE);
	read->tag = m->tag;
	read->reader = m->session_id;
	buf_put(&read->data, m->body, m->body_len);
	list_add_tail(&r->gathering, &read->job.link);
	r->reads_open++;
	r->read_ms = replica_now(r);
}

static struct read_round *round_new(struct replica *r)
{
	struct read_round *round = mem_calloc(1, sizeof(*round));

	round->id = ++r->read_ids;
	list_init(&round->jobs);
	list_init(&round->answers);
	list_init(&round->beats);
	list_splice_tail(&round->jobs, &r->gathering);
	list_splice_tail(&round->answers, &r->gathering_answers);
	list_splice_tail(&round->beats, &r->sessions.gathering_beats);
	list_add_tail(&r->rounds, &round->link);
	return round;
}

static void round_regather(struct replica *r, struct read_round *round)
{
	list_splice_tail(&r->gathering, &round->jobs);
	list_splice_tail(&r->gathering_answers, &round->answers);
	list_splice_tail(&r->sessions.gathering_beats, &round->beats);
	list_del(&round->link);
	free(round);
}

static bool is_gathering(const struct replica *r)
{
	return !list_empty(&r->gathering) || !list_empty(&r->gathering_answers) ||
	       !list_empty(&r->sessions.gathering_beats);
}

void client_start_rounds(struct replica *r)
{
	while (is_gathering(r)) {
		struct raft_input in = { .type = RAFT_IN_READ };
		struct read_round *round;

		if (replica_leader(r) == 0 || replica_now(r) < r->reads_wait_ms)
			return; /* a new leader's arrival or a tick calls again */
		round = round_new(r);
		in.read.id = round->id;
		if (replica_step(r, &in) < 0) {
			MARK("node.read.core-is-busy");
			round_regather(r, round);
			return; /* at the core's limit; the next tick tries again */
		}
		/* Refused at once (no leader now): what it held was gathered again; wait for the next call. */
		if (is_gathering(r))
			return;
	}
}

void client_on_read_result(struct replica *r, const struct raft_read_result *res)
{
	list_for_each_safe(it, &r->rounds) {
		struct read_round *round = list_entry(it, struct read_round, link);

		if (round->id != res->id)
			continue;
		if (!res->ok) {
			MARK("node.read.round-refused");
			/* Who we take for the leader is none any more: asked at once it would refuse again. */
			round_regather(r, round);
			r->reads_wait_ms = replica_now(r) + READ_AGAIN_MS;
			return;
		}
		round->confirmed = true;
		round->index = res->index;
		list_for_each(job, &round->jobs)
			*(res->local ? &r->local_reads : &r->index_reads) += 1;
		return;
	}
}

/* Everybody whose request may have been given up sends it again. */
static void resend_everywhere(struct replica *r)
{
	struct fs_msg m = { .type = FS_MSG_RESEND };

	client_resend(r);
	for (size_t i = 0; i < r->peer_count; i++) {
		struct buf frame = BUF_INIT;

		fs_msg_encode(&m, &frame);
		r->ops->send_peer(r->ctx, r->peers[i].id, NET_FORWARD_REPLY, &frame);
		buf_release(&frame);
	}
}

/* Only for rounds that are confirmed, or to drop what belongs to an evaluation that ended. */
static void finish_answers(struct replica *r, struct read_round *round)
{
	bool dropped = false;

	list_for_each_safe(it, &round->answers) {
		struct confirm *c = list_entry(it, struct confirm, link);
		bool valid = r->evaluating && c->generation == r->generation;

		MARK_IF(valid && round->confirmed && c->seen_index > r->commit_index,
			"node.answer.waits-for-commit");
		MARK_IF(!valid, "node.answer.of-ended-evaluation");
		if (valid && (!round->confirmed || c->seen_index > r->commit_index))
			continue; /* saw entries that are not committed yet */
		if (valid)
			deliver_answer(r, &c->answer);
		dropped = dropped || !valid;
		list_del(it);
		buf_release(&c->answer.reply);
		free(c);
	}
	/* A new leader has its clients send again anyway; one that only starts its evaluation anew has not. */
	if (dropped && r->evaluating) {
		MARK("node.answer.asked-for-anew");
		resend_everywhere(r);
	}
}

void client_finish_rounds(struct replica *r)
{
	list_for_each_safe(it, &r->rounds) {
		struct read_round *round = list_entry(it, struct read_round, link);

		if (!round->confirmed)
			continue;
		sessions_confirm_beats(r, &round->beats);
		finish_answers(r, round);
		MARK_IF(round->index > r->applied_index, "node.read.waits-for-apply");
		if (round->index > r->applied_index) {
			entries_flush(r);
			continue;
		}
		list_for_each_safe(job, &round->jobs) {
			struct job_read *read =
				CONTAINER_OF(list_entry(job, struct job, link), struct job_read, job);

			list_del(job);
			read->min_index = round->index;
			replica_submit(r, WORKER_READ, &read->job);
		}
		if (!list_empty(&round->answers))
			continue;
		list_del(it);
		free(round);
	}
}

void client_on_read_done(struct replica *r, struct job_read *read)
{
	struct answer a = { .flags = FS_MSG_FINAL,
			    .seq = read->seq,
			    .session_id = read->session_id,
			    .stamp = read->seen_index,
			    .status = read->job.status,
			    .body = read->reply.data,
			    .len = read->reply.len };

	if (read->session_lookup) {
		MARK_IF(read->found, "node.answer.from-installed-image");
		if (read->found)
			answer_waiter(r, read->uuid, &a);
	} else if (read->session_list) {
		sessions_listed(r, read);
	} else if (read->client_id == 0) {
		orphans_listed(r, read);
	} else {
		if (waits_park(r, read))
			return;
		a.status = read->job.status;
		r->reads_open--;
		send_reply(r, read->client_id, read->tag, &a);
	}
	job_free(&read->job);
}

/* ---- leaders and snapshots come and go ---------------------------------------------------------- */

static void tell_each(struct hnode *node, void *ctx)
{
	struct client *c = CONTAINER_OF(node, struct client, node);
	void **args = ctx;

	client_send(args[0], c->id, args[1]);
}

static void tell_all(struct replica *r, const struct fs_msg *m)
{
	struct fs_msg copy = *m;
	void *args[2] = { r, &copy };

	htable_each(&r->clients, tell_each, args);
}

void client_resend(struct replica *r)
{
	struct fs_msg m = { .type = FS_MSG_RESEND };

	tell_all(r, &m);
}

void client_state(struct replica *r)
{
	struct fs_msg m = { .type = FS_MSG_STATE,
			    .has_leader = replica_leader(r) != 0,
			    .stamp = r->applied_index };

	tell_all(r, &m);
}

void client_on_leader_change(struct replica *r)
{
	/* Answers of a leadership that ended are void; finish_answers() drops them by their generation. */
	list_for_each(it, &r->rounds)
		finish_answers(r, list_entry(it, struct read_round, link));
	client_state(r);
	r->reads_wait_ms = 0;
	if (replica_leader(r) != 0)
		client_resend(r);
}

static void lookup_waiter(struct hnode *node, void *ctx)
{
	struct waiter *w = CONTAINER_OF(node, struct waiter, node);
	struct replica *r = ctx;
	struct job_read *read = job_new(JOB_READ, sizeof(*read));

	read->session_lookup = true;
	memcpy(read->uuid, w->uuid, KV_UUID_SIZE);
	read->seq = w->seq;
	read->session_id = w->session_id;
	read->stamp = w->stamp;
	read->min_index = r->applied_index;
	replica_submit(r, WORKER_READ, &read->job);
}

/* Entries inside the image were never applied here one by one: answer from the session table. */
void client_on_installed(struct replica *r)
{
	htable_each(&r->waiters, lookup_waiter, r);
	waits_installed(r);
}

/* ---- orphan queries, recalls ---------------------------------------------------------------------- */

struct query_ctx {
	struct replica *r;
	const struct fs_msg *query;
};

static void query_each(struct hnode *node, void *ctx)
{
	struct client *c = CONTAINER_OF(node, struct client, node);
	const struct query_ctx *q = ctx;

	if (c->holder)
		client_send(q->r, c->id, q->query);
}

void client_query_holders(struct replica *r, const struct fs_msg *query)
{
	struct query_ctx q = { .r = r, .query = query };

	htable_each(&r->clients, query_each, &q);
}

static void recall_each(struct hnode *node, void *ctx)
{
	struct client *c = CONTAINER_OF(node, struct client, node);
	const struct query_ctx *q = ctx;

	if (c->session_id == q->query->session_id)
		client_send(q->r, c->id, q->query);
}

void client_recall(struct replica *r, const struct fs_msg *recall)
{
	struct query_ctx q = { .r = r, .query = recall };

	htable_each(&r->clients, recall_each, &q);
}

/* What a client says for the leader's ears: handled here or passed on. */
static void to_leader(struct replica *r, const struct fs_msg *m)
{
	uint64_t leader = replica_leader(r);
	struct buf frame = BUF_INIT;

	if (r->evaluating) {
		if (m->type == FS_MSG_ANSWER)
			orphans_answer(r, m, r->options.self);
		else
			sessions_bye(r, m->uuid);
	} else if (leader != 0) {
		fs_msg_encode(m, &frame);
		r->ops->send_peer(r->ctx, leader, NET_FORWARD, &frame);
		buf_release(&frame);
	}
}

/* ---- keep-alives ---------------------------------------------------------------------------------- */

#define BEAT_AGAIN_MS 2000u /* a beat unanswered for so long is given up */

static void beat_each(struct hnode *node, void *ctx)
{
	struct client *c = CONTAINER_OF(node, struct client, node);
	struct replica *r = ctx;

	if (!c->alive_due)
		return;
	c->alive_due = false;
	c->beat = r->beat.number;
	c->beat_tag = c->alive_tag;
	r->beat.open = true;
}

uint64_t client_beat(struct replica *r)
{
	uint64_t now = replica_now(r);

	/* The same number again, until it is answered: then it means what was heard the first time. */
	if (r->beat.open && now < r->beat.sent_ms + BEAT_AGAIN_MS)
		return r->beat.number;
	r->beat.number++;
	r->beat.open = false;
	r->beat.sent_ms = now;
	htable_each(&r->clients, beat_each, r);
	return r->beat.open ? r->beat.number : 0;
}

struct kept_ctx {
	struct replica *r;
	const struct kept *kept;
};

static void kept_each(struct hnode *node, void *ctx)
{
	struct client *c = CONTAINER_OF(node, struct client, node);
	const struct kept_ctx *cx = ctx;
	const struct kept *kept = cx->kept;
	struct fs_msg m = { .type = FS_MSG_KEPT,
			    .tag = c->beat_tag,
			    .session_id = c->session_id,
			    .stamp = kept->stamp,
			    .ttl_ms = kept->ttl_ms };

	if (c->beat != kept->number)
		return;
	c->beat = 0;
	if (kept_has_ended(kept, c->uuid, c->session_id))
		m.flags = FS_MSG_EXPIRED;
	client_send(cx->r, c->id, &m);
}

void client_kept(struct replica *r, const struct kept *kept)
{
	struct kept_ctx cx = { .r = r, .kept = kept };

	htable_each(&r->clients, kept_each, &cx);
}

/* ---- connections ---------------------------------------------------------------------------------- */

void client_init(struct replica *r)
{
	list_init(&r->gathering);
	list_init(&r->gathering_answers);
	list_init(&r->rounds);
	waits_init(r);
}

static void free_client(struct hnode *node, void *ctx)
{
	(void)ctx;
	free(CONTAINER_OF(node, struct client, node));
}

static void free_waiter(struct hnode *node, void *ctx)
{
	(void)ctx;
	free(CONTAINER_OF(node, struct waiter, node));
}

void client_release(struct replica *r)
{
	list_for_each_safe(it, &r->rounds)
		round_regather(r, list_entry(it, struct read_round, link));
	list_for_each_safe(it, &r->gathering) {
		list_del(it);
		job_free(list_entry(it, struct job, link));
	}
	list_for_each_safe(it, &r->gathering_answers) {
		struct confirm *c = list_entry(it, struct confirm, link);

		list_del(it);
		buf_release(&c->answer.reply);
		free(c);
	}
	waits_release(r);
	htable_each(&r->clients, free_client, NULL);
	htable_each(&r->waiters, free_waiter, NULL);
	htable_release(&r->clients);
	htable_release(&r->waiters);
}

void replica_client_open(struct replica *r, uint64_t client_id)
{
	struct client *c = mem_calloc(1, sizeof(*c));
	struct fs_msg m = { .type = FS_MSG_STATE,
			    .has_leader = replica_leader(r) != 0,
			    .stamp = r->applied_index };

	c->id = client_id;
	htable_add(&r->clients, &c->node, hash_u64(client_id));
	client_send(r, client_id, &m);
}

struct close_ctx {
	struct replica *r;
	uint64_t client_id;
	struct waiter **found;
	size_t count;
};

static void find_waiters(struct hnode *node, void *ctx)
{
	struct close_ctx *close = ctx;
	struct waiter *w = CONTAINER_OF(node, struct waiter, node);

	if (w->client_id != close->client_id)
		return;
	close->found = mem_realloc(close->found, (close->count + 1) * sizeof(*close->found));
	close->found[close->count++] = w;
}

void replica_client_close(struct replica *r, uint64_t client_id)
{
	struct client *c = client_find(r, client_id);
	struct close_ctx closing = { .r = r, .client_id = client_id };

	if (!c)
		return;
	waits_client_gone(r, client_id);
	htable_each(&r->waiters, find_waiters, &closing);
	for (size_t i = 0; i < closing.count; i++)
		waiter_drop(r, closing.found[i]);
	free(closing.found);
	htable_del(&r->clients, &c->node);
	free(c);
}

static void note_client(struct replica *r, struct client *c, const struct fs_msg *m)
{
	memcpy(c->uuid, m->uuid, KV_UUID_SIZE);
	c->known = true;
	c->heard_ms = replica_now(r);
	c->session_id = m->session_id;
	if (m->type == FS_MSG_ALIVE) {
		c->alive_due = true;
		c->alive_tag = m->tag;
		if (m->flags & FS_MSG_BRISK)
			status_soon(r);
	}
	if (m->flags & FS_MSG_HOLDER) {
		bool is_new = !c->holder;

		c->holder = true;
		/* On the same link as what it asks next, so the leader knows it before it can open a file. */
		if (is_new)
			status_send(r);
	}
}

int replica_client_frame(struct replica *r, uint64_t client_id, const uint8_t *payload, size_t len)
{
	struct client *c = client_find(r, client_id);
	struct fs_msg m;

	if (!c || fs_msg_decode(&m, payload, len) < 0)
		return -EPROTO;
	note_client(r, c, &m);
	switch (m.type) {
	case FS_MSG_REQUEST:
		if (m.body_len == 0)
			return -EPROTO;
		if (m.seq == 0)
			on_read(r, client_id, &m);
		else
			on_change(r, client_id, &m);
		return 0;
	case FS_MSG_ANSWER:
		to_leader(r, &m);
		return 0;
	case FS_MSG_BYE:
		c->holder = false;
		to_leader(r, &m);
		return 0;
	case FS_MSG_ALIVE:
		return 0;
	case FS_MSG_BOARD:
		board_show(r, client_id);
		return 0;
	default:
		return -EPROTO;
	}
}
