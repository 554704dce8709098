/*
 * recalls.c - the leader asks holders to give back delegations that are in somebody's way, and revokes those of
 * holders that it has not heard of for longer than these may rely on them.
 *
 * Who is in the way is found by the evaluator, or by a reader of any node, which tells the leader (FS_MSG_RECALL
 * from node to leader). The same message goes from the leader to the node whose client the holder is, and on to that
 * client, whose answer is the flush itself. It is sent again until the row is gone, and wanted again by whoever is
 * blocked; what nobody wants any more is forgotten.
 *
 * Time is the sessions' (sessions.c), and so is the argument: a holder counts from when it sent the last
 * keep-alive that a leader confirmed, and shorter; the leader from when it heard, and longer. While a revocation is
 * proposed, its holder's keep-alives are not confirmed.
 */
#include "base/mark.h"
#include "node/replica_internal.h"

#define AGAIN_MS 200u          /* sent again, looked at again */
#define FORGET_MS 2000u        /* not wanted any more */
#define REVOKE_AGAIN_MS 5000u
#define RECALLS_MAX 4096u
#define BODY_SIZE 16u
#define LEASE_LONG_MS (FS_DELEGATION_LEASE_MS + (FS_DELEGATION_LEASE_MS * CLOCK_RATE_PERCENT + 99) / 100)

struct recall {
	struct list link;
	uint64_t ino;
	struct fs_delegation d;
	uint64_t wanted_ms, sent_ms;
	uint64_t revoked_ms; /* its end was proposed; 0: not */
};

void recalls_init(struct replica *r)
{
	list_init(&r->recalls);
}

static void drop(struct replica *r, struct recall *rc)
{
	list_del(&rc->link);
	r->recall_count--;
	free(rc);
}

void recalls_reset(struct replica *r)
{
	list_for_each_safe (it, &r->recalls)
		drop(r, list_entry(it, struct recall, link));
}

static struct recall *find(struct replica *r, uint64_t number)
{
	list_for_each (it, &r->recalls) {
		struct recall *rc = list_entry(it, struct recall, link);

		if (rc->d.number == number)
			return rc;
	}
	return NULL;
}

/* ---- messages --------------------------------------------------------------------------------------- */

static void encode(uint64_t ino, const struct fs_delegation *d, struct buf *body, struct fs_msg *m)
{
	buf_put_le64(body, ino);
	buf_put_le64(body, d->number);
	*m = (struct fs_msg){
		.type = FS_MSG_RECALL, .session_id = d->session, .body = body->data, .body_len = body->len
	};
}

static void send_node(struct replica *r, uint64_t node, const struct fs_msg *m)
{
	struct buf frame = BUF_INIT;

	fs_msg_encode(m, &frame);
	r->ops->send_peer(r->ctx, node, NET_FORWARD, &frame);
	buf_release(&frame);
}

/* To the node that the holder was heard by last; to all when that has brought nothing. */
static void send_recall(struct replica *r, struct recall *rc)
{
	const struct session *s = sessions_by_id(r, rc->d.session);
	bool first = rc->sent_ms == 0 && s && s->via != 0;
	struct buf body = BUF_INIT;
	struct fs_msg m;

	encode(rc->ino, &rc->d, &body, &m);
	rc->sent_ms = replica_now(r);
	if (!first || s->via == r->options.self)
		client_recall(r, &m);
	for (size_t i = 0; i < r->peer_count; i++)
		if (!first || s->via == r->peers[i].id)
			send_node(r, r->peers[i].id, &m);
	buf_release(&body);
}

static void tell_leader(struct replica *r, uint64_t ino, const struct fs_delegation *d)
{
	uint64_t leader = replica_leader(r);
	struct buf body = BUF_INIT;
	struct fs_msg m;

	if (leader == 0 || leader == r->options.self)
		return; /* it is wanted again when there is one */
	encode(ino, d, &body, &m);
	send_node(r, leader, &m);
	buf_release(&body);
}

/* The evaluator delegates it to nobody for a while. */
static void tell_evaluator(struct replica *r, uint64_t ino)
{
	struct job_eval_recalled *job = job_new(JOB_EVAL_RECALLED, sizeof(*job));

	job->ino = ino;
	replica_submit(r, WORKER_EVALUATE, &job->job);
}

void recalls_want(struct replica *r, uint64_t ino, const struct fs_delegation *d)
{
	struct recall *rc = r->evaluating ? find(r, d->number) : NULL;

	if (!r->evaluating) {
		tell_leader(r, ino, d);
		return;
	}
	if (!rc && r->recall_count >= RECALLS_MAX)
		return;
	if (!rc) {
		rc = mem_calloc(1, sizeof(*rc));
		rc->ino = ino;
		rc->d = *d;
		list_add_tail(&r->recalls, &rc->link);
		r->recall_count++;
		tell_evaluator(r, ino);
		send_recall(r, rc);
	}
	rc->wanted_ms = replica_now(r);
}

void recalls_message(struct replica *r, const struct fs_msg *m)
{
	struct fs_delegation d = { .session = m->session_id };

	if (m->body_len != BODY_SIZE)
		return;
	d.number = load_le64(m->body + 8);
	if (r->evaluating)
		recalls_want(r, load_le64(m->body), &d);
	else
		client_recall(r, m);
}

/* ---- ends ------------------------------------------------------------------------------------------- */

static bool has_unlocked(const struct job_apply *apply, uint64_t ino)
{
	for (size_t i = 0; i < apply->unlocked_count; i++)
		if (apply->unlocked[i] == ino)
			return true;
	return false;
}

void recalls_applied(struct replica *r, const struct job_apply *apply)
{
	list_for_each_safe (it, &r->recalls) {
		struct recall *rc = list_entry(it, struct recall, link);

		if (has_unlocked(apply, rc->ino))
			drop(r, rc);
	}
}

bool recalls_is_revoking(const struct replica *r, uint64_t session)
{
	list_for_each (it, &r->recalls) {
		const struct recall *rc = list_entry(it, struct recall, link);

		if (rc->d.session == session && rc->revoked_ms != 0)
			return true;
	}
	return false;
}

/* May nobody rely on it any more? What this leader does not know at all has ended, or is not listed yet, or began with
 * an entry that is not applied here yet. */
static bool is_silent(const struct replica *r, uint64_t session)
{
	const struct session *s = sessions_by_id(r, session);

	if (!s)
		return r->sessions.complete && session <= r->applied_index;
	return s->bye || r->sessions.clock_ms - s->heard_ms > LEASE_LONG_MS;
}

static void revoke_silent(struct replica *r, struct recall *rc)
{
	struct fs_request rq = { .op = FS_DELEGATION_REVOKE };
	uint8_t name[BODY_SIZE];

	log_warning("delegations", "delegation %llu of inode %llu is revoked: session %llu is silent",
		    (unsigned long long)rc->d.number, (unsigned long long)rc->ino,
		    (unsigned long long)rc->d.session);
	MARK("node.recalls.revoked");
	store_le64(name, rc->ino);
	store_le64(name + 8, rc->d.number);
	rq.data = name;
	rq.data_len = sizeof(name);
	rc->revoked_ms = replica_now(r);
	replica_evaluate_internal(r, &rq);
}

static void look(struct replica *r, struct recall *rc, uint64_t now)
{
	if (rc->revoked_ms != 0 ? now - rc->revoked_ms > REVOKE_AGAIN_MS : is_silent(r, rc->d.session)) {
		revoke_silent(r, rc);
	} else if (rc->revoked_ms == 0 && now - rc->wanted_ms > FORGET_MS) {
		drop(r, rc);
	} else if (rc->revoked_ms == 0 && now - rc->sent_ms >= AGAIN_MS) {
		MARK("node.recalls.sent-again");
		send_recall(r, rc);
	}
}

void recalls_tick(struct replica *r)
{
	uint64_t now = replica_now(r);

	if (!r->evaluating || r->recall_count == 0 || now < r->recall_ms + AGAIN_MS)
		return;
	r->recall_ms = now;
	list_for_each_safe (it, &r->recalls)
		look(r, list_entry(it, struct recall, link), now);
	/* Whoever is blocked there says so again. */
	replica_tell_evaluator(r);
}
