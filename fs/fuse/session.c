/*
 * session.c - the client session: every request is a `call` that stays here until it is answered,
 * times out or is interrupted, whichever comes first; that one thing takes it out of all lists
 * under the lock and is the one that runs its callback.
 *
 * A call waits in exactly one of three queues:
 *
 *   blocked    a change without a number: KV_SESSION_WINDOW numbers are under way
 *   outgoing   to be sent by the sender thread: the channel was down, or it is sent again
 *   sent       handed to the channel at least once, or being handed to it now
 *
 * The session begins with the first change that executes; until its id is known, all changes carry the
 * stamp that it begins with. `begin` is a call of our own that does nothing else; while it is there, no
 * other change gets a number. When the session has ended, session_renew() takes a new uuid and begins again.
 *
 * Submitting threads send by themselves, but only DIRECT_SENDERS of them at a time, so that a
 * channel that takes nothing any more never holds every FUSE worker: interrupts must still be read.
 * Order does not matter to the store, as numbers do not say what happens first.
 *
 * Three threads call in: submitters, the channel's (on_up, on_down, on_message) and two of our own:
 * the sender, which alone may block in the channel for long, and the timer, which must not.
 */
#include "fs/fuse/session_internal.h"

#define DIRECT_SENDERS 4

/* ---- life cycle ---- */

struct fs_session *fs_session_new(const struct fs_session_options *options,
				  const struct fs_channel_ops *ops, void *channel)
{
	struct fs_session *s = mem_calloc(1, sizeof(*s));
	pthread_condattr_t attr;

	s->options = *options;
	s->ops = ops;
	s->channel = channel;
	memcpy(s->uuid, options->uuid, sizeof(s->uuid));
	memcpy(s->replaces, options->replaces, sizeof(s->replaces));
	s->has_replaces = options->has_replaces;
	s->next_tag = s->next_seq = 1;
	list_init(&s->all);
	list_init(&s->blocked);
	list_init(&s->outgoing);
	list_init(&s->sent);
	list_init(&s->numbered);
	list_init(&s->control);
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->sender_wake, &attr);
	pthread_cond_init(&s->timer_wake, &attr);
	pthread_condattr_destroy(&attr);
	if (s->options.holder)
		session_begin_submit(s); /* no thread sees it yet */
	int ret = pthread_create(&s->sender, NULL, session_sender_main, s);

	if (ret == 0)
		ret = pthread_create(&s->timer, NULL, session_timer_main, s);
	if (ret != 0) { /* like memory: a process that cannot start two threads cannot serve */
		log_error("session", "cannot start threads: %s", strerror(ret));
		abort();
	}
	return s;
}

static void say_bye(struct fs_session *s)
{
	struct buf out = BUF_INIT;

	pthread_mutex_lock(&s->lock);
	bool connected = s->connected;

	session_message_encode(s, &(struct fs_msg){ .type = FS_MSG_BYE }, &out);
	pthread_mutex_unlock(&s->lock);
	if (connected)
		s->ops->send(s->channel, out.data, out.len, NULL, 0);
	buf_release(&out);
}

void fs_session_free(struct fs_session *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->closing = true;
	pthread_cond_broadcast(&s->sender_wake);
	pthread_cond_broadcast(&s->timer_wake);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->timer, NULL);
	pthread_join(s->sender, NULL);
	pthread_mutex_lock(&s->lock);
	while (!list_empty(&s->all))
		session_call_finish(s, list_first(&s->all, struct call, all), -ECONNABORTED, NULL);
	session_begin_free(s);
	session_control_drop_all(s);
	pthread_mutex_unlock(&s->lock);
	say_bye(s);
	htable_release(&s->by_tag);
	pthread_cond_destroy(&s->timer_wake);
	pthread_cond_destroy(&s->sender_wake);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* ---- submitting ---- */

static int submit(struct fs_session *s, const struct fs_request *rq, uint32_t pid, fs_reply_fn fn,
		  void *ctx, uint64_t *ticket, bool aside)
{
	struct call *c = mem_calloc(1, sizeof(*c));

	c->refs = 1;
	c->pid = pid;
	c->fn = fn;
	c->ctx = ctx;
	c->is_read = fs_op_is_read(rq->op);
	c->waits = rq->op == FS_LOCK_WAIT;
	c->locks = rq->op == FS_SETLK;
	list_init(&c->numbered);
	fs_request_encode(rq, &c->body);

	pthread_mutex_lock(&s->lock);
	if (s->closing) {
		pthread_mutex_unlock(&s->lock);
		buf_release(&c->body);
		free(c);
		return -ECONNABORTED;
	}
	c->tag = s->next_tag++;
	if (ticket)
		*ticket = c->tag;
	c->submitted_ms = clock_boot_ms();
	list_add_tail(&s->all, &c->all);
	htable_add(&s->by_tag, &c->by_tag, hash_u64(c->tag));
	s->stats.submitted++;
	list_add_tail(c->is_read ? &s->outgoing : &s->blocked, &c->queue);
	session_number_blocked(s);
	session_wake_timer(s, session_first_deadline(s, c->submitted_ms));
	if (!aside && s->connected && s->direct_senders < DIRECT_SENDERS &&
	    (c->is_read || c->seq > 0)) {
		s->direct_senders++;
		session_call_send(s, c);
		s->direct_senders--;
	} else {
		session_wake_sender(s);
	}
	pthread_mutex_unlock(&s->lock);
	return 0;
}

int fs_session_submit(struct fs_session *s, const struct fs_request *rq, uint32_t pid,
		      fs_reply_fn fn, void *ctx, uint64_t *ticket)
{
	return submit(s, rq, pid, fn, ctx, ticket, false);
}

int fs_session_submit_aside(struct fs_session *s, const struct fs_request *rq, uint32_t pid,
			    fs_reply_fn fn, void *ctx, uint64_t *ticket)
{
	return submit(s, rq, pid, fn, ctx, ticket, true);
}

struct waiter {
	pthread_mutex_t lock; /* guards done */
	pthread_cond_t cond;
	bool done;
	int status;
	struct fs_reply *reply;
	struct buf *hold;
};

static void waiter_reply(void *ctx, int status, const struct fs_reply *reply)
{
	struct waiter *w = ctx;

	if (status == 0) {
		buf_put(w->hold, reply->data, reply->data_len);
		*w->reply = *reply;
		w->reply->data = w->hold->data;
	}
	pthread_mutex_lock(&w->lock);
	w->status = status;
	w->done = true;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

int fs_session_call(struct fs_session *s, const struct fs_request *rq, struct fs_reply *reply,
		    struct buf *hold)
{
	struct waiter w = { .reply = reply, .hold = hold };

	buf_reset(hold);
	pthread_mutex_init(&w.lock, NULL);
	pthread_cond_init(&w.cond, NULL);
	int ret = fs_session_submit(s, rq, 0, waiter_reply, &w, NULL);

	pthread_mutex_lock(&w.lock);
	while (ret == 0 && !w.done)
		pthread_cond_wait(&w.cond, &w.lock);
	pthread_mutex_unlock(&w.lock);
	pthread_cond_destroy(&w.cond);
	pthread_mutex_destroy(&w.lock);
	return ret < 0 ? ret : w.status;
}

/* The timer answers, so the caller may hold locks that the callback takes. */
void fs_session_interrupt(struct fs_session *s, uint64_t ticket)
{
	pthread_mutex_lock(&s->lock);
	struct call *c = session_call_find(s, ticket);

	if (c && !c->interrupted) {
		c->interrupted = true;
		s->interrupted_count++;
		session_wake_timer(s, 0);
		pthread_cond_signal(&s->timer_wake);
	}
	pthread_mutex_unlock(&s->lock);
}

/* ---- from the channel ---- */

void fs_session_on_up(struct fs_session *s)
{
	pthread_mutex_lock(&s->lock);
	s->connected = true;
	s->up_ms = s->last_storm_ms = clock_boot_ms();
	s->storm_due = false;
	s->last_alive_ms = 0; /* tell the new node at once that we are here */
	if (s->options.board && s->ops->node_pid && s->ops->node_pid(s->channel) > 0)
		session_control_push(s, &(struct fs_msg){ .type = FS_MSG_BOARD });
	session_storm(s, 0);
	session_wake_sender(s);
	pthread_cond_signal(&s->timer_wake);
	pthread_mutex_unlock(&s->lock);
}

void fs_session_on_down(struct fs_session *s)
{
	pthread_mutex_lock(&s->lock);
	s->connected = false;
	s->has_leader = false;
	session_control_drop_all(s); /* answers belong to the connection that asked */
	pthread_mutex_unlock(&s->lock);
}

static void call_answered(struct fs_session *s, struct call *c, const struct fs_msg *m, int status,
			  const struct fs_reply *reply)
{
	uint64_t waited_ms = clock_boot_ms() - c->submitted_ms;

	if ((m->flags & FS_MSG_EXPIRED) && !c->is_read) {
		session_renew(s, s->session_id == 0 ? c : NULL);
	} else if (c == s->begin) {
		session_begin_answered(s, status);
	} else {
		s->stats.answered++;
		s->stats.longest_wait_ms = max_u64(s->stats.longest_wait_ms, waited_ms);
		session_call_finish(s, c, status, reply);
	}
}

static void on_reply(struct fs_session *s, const struct fs_msg *m)
{
	struct fs_reply reply = { .count = 0 };
	uint8_t name[FS_SESSION_NAME_SIZE];
	bool begun = false;
	int status = m->status;

	if (status == 0 && fs_reply_decode(&reply, m->body, m->body_len) < 0)
		status = -EIO;
	reply.index = m->flags & FS_MSG_EXPIRED ? 0 : m->stamp;
	pthread_mutex_lock(&s->lock);
	s->last_reply_ms = clock_boot_ms();
	session_stamp_heard(s, m->stamp);
	if (m->session_id != 0 && m->tag >= s->first_tag) {
		begun = s->session_id == 0;
		s->begun_ms = begun ? clock_boot_ms() : s->begun_ms;
		s->session_id = m->session_id;
		session_name(s, name);
		if (begun)
			session_wake_timer(s, 0); /* from now on it is kept */
	}
	struct call *c = session_call_find(s, m->tag);

	bool binds = (m->flags & FS_MSG_FINAL) || !c || c->is_read || !c->retried;

	MARK_IF(!c, "fs.session.answer-to-nobody");
	MARK_IF(c && !binds, "fs.session.answer-does-not-bind");
	/* Else a copy of what was answered or given up, or an error that the RETRY's own answer follows. */
	if (c && c->seq == m->seq && binds)
		call_answered(s, c, m, status, &reply);
	pthread_mutex_unlock(&s->lock);
	if (begun && s->options.begun)
		s->options.begun(s->options.ctx, name);
}

/* A leader has heard us, and it was one after that; or it says that there is no such session. */
static void on_kept(struct fs_session *s, const struct fs_msg *m)
{
	uint64_t now = clock_boot_ms();

	pthread_mutex_lock(&s->lock);
	session_stamp_heard(s, m->stamp);
	if (m->session_id == s->session_id && m->tag <= now) {
		if (s->ttl_ms != m->ttl_ms)
			session_wake_timer(s, 0);
		s->ttl_ms = m->ttl_ms;
		if (!(m->flags & FS_MSG_EXPIRED))
			s->kept_ms = max_u64(s->kept_ms, m->tag);
		else if (s->session_id != 0)
			session_renew(s, NULL);
		session_number_blocked(s);
		session_wake_sender(s);
	}
	pthread_mutex_unlock(&s->lock);
}

/* "Which of these do you hold open?" */
static void on_query(struct fs_session *s, const struct fs_msg *m)
{
	size_t count = m->body_len / 8, held = 0;
	uint64_t *inos = mem_calloc(count ? count : 1, sizeof(*inos));
	struct buf body = BUF_INIT;

	for (size_t i = 0; i < count; i++)
		inos[i] = load_le64(m->body + 8 * i);
	if (s->options.held)
		held = s->options.held(s->options.ctx, inos, count);
	for (size_t i = 0; i < held; i++)
		buf_put_le64(&body, inos[i]);
	pthread_mutex_lock(&s->lock);
	session_control_push(s, &(struct fs_msg){ .type = FS_MSG_ANSWER,
						  .tag = m->tag,
						  .body = body.data,
						  .body_len = body.len });
	pthread_mutex_unlock(&s->lock);
	buf_release(&body);
	free(inos);
}

static void on_board(struct fs_session *s, const struct fs_msg *m)
{
	int pid = s->ops->node_pid ? s->ops->node_pid(s->channel) : 0;

	if (s->options.board && pid > 0 && m->tag <= INT32_MAX)
		s->options.board(s->options.ctx, pid, (int)m->tag, m->stamp);
}

/* Of a session that ended there is nothing left to give back. */
static void on_recall(struct fs_session *s, const struct fs_msg *m)
{
	if (!s->options.recall || m->session_id != fs_session_id(s))
		return;
	for (size_t off = 0; off < m->body_len; off += 16)
		s->options.recall(s->options.ctx, load_le64(m->body + off), load_le64(m->body + off + 8));
}

void fs_session_on_message(struct fs_session *s, const void *data, size_t len)
{
	struct fs_msg m;

	if (fs_msg_decode(&m, data, len) < 0) {
		MARK("fs.session.message-dropped");
		log_warning("session", "message from the node does not decode bytes=%zu", len);
		return;
	}
	switch (m.type) {
	case FS_MSG_REPLY:
		on_reply(s, &m);
		break;
	case FS_MSG_QUERY:
		on_query(s, &m);
		break;
	case FS_MSG_RESEND:
		pthread_mutex_lock(&s->lock);
		session_storm_schedule(s);
		pthread_mutex_unlock(&s->lock);
		break;
	case FS_MSG_KEPT:
		on_kept(s, &m);
		break;
	case FS_MSG_BOARD:
		on_board(s, &m);
		break;
	case FS_MSG_RECALL:
		on_recall(s, &m);
		break;
	case FS_MSG_STATE:
		pthread_mutex_lock(&s->lock);
		s->has_leader = m.has_leader;
		session_stamp_heard(s, m.stamp);
		pthread_mutex_unlock(&s->lock);
		break;
	default: /* of a newer node: nothing we need to know */
		break;
	}
}

void fs_session_stats(struct fs_session *s, struct fs_session_stats *stats)
{
	pthread_mutex_lock(&s->lock);
	*stats = s->stats;
	stats->connected = s->connected;
	stats->has_leader = s->has_leader;
	stats->session_id = s->session_id;
	stats->open = 0;
	list_for_each (it, &s->all)
		stats->open++;
	pthread_mutex_unlock(&s->lock);
}

void fs_session_set_patience(struct fs_session *s, bool hard, uint32_t timeo_ms)
{
	pthread_mutex_lock(&s->lock);
	s->options.hard = hard;
	s->options.timeo_ms = timeo_ms;
	pthread_cond_signal(&s->timer_wake);
	pthread_mutex_unlock(&s->lock);
}

uint64_t fs_session_id(struct fs_session *s)
{
	pthread_mutex_lock(&s->lock);
	uint64_t id = s->session_id;

	pthread_mutex_unlock(&s->lock);
	return id;
}

bool fs_session_is_kept(struct fs_session *s, uint64_t session_id)
{
	pthread_mutex_lock(&s->lock);
	bool kept = session_id != 0 && s->session_id == session_id &&
		    session_is_kept(s, clock_boot_ms());

	pthread_mutex_unlock(&s->lock);
	return kept;
}

bool fs_session_is_fresh(struct fs_session *s, uint64_t session_id, uint32_t lease_ms)
{
	pthread_mutex_lock(&s->lock);
	bool fresh = session_id != 0 && s->session_id == session_id && s->ttl_ms != 0 &&
		     session_is_fresh(s, clock_boot_ms(), (uint32_t)min_u64(lease_ms, s->ttl_ms));

	pthread_mutex_unlock(&s->lock);
	return fresh;
}

void fs_session_set_brisk(struct fs_session *s, bool brisk)
{
	pthread_mutex_lock(&s->lock);
	if (s->brisk != brisk) {
		s->brisk = brisk;
		session_wake_timer(s, 0);
	}
	pthread_mutex_unlock(&s->lock);
}
