/* session_call.c - calls and their queues: numbering, sending, answering. See session.c. */
#include "fs/fuse/session_internal.h"

#define CLOCK_RATE_PERCENT 1u /* the cluster waits that much longer, we that much shorter */

void session_call_unref(struct call *c)
{
	assert(c->refs > 0);
	if (--c->refs > 0)
		return;
	assert(c->done);
	buf_release(&c->body);
	free(c);
}

void session_name(const struct fs_session *s, uint8_t name[FS_SESSION_NAME_SIZE])
{
	memcpy(name, s->uuid, KV_UUID_SIZE);
	store_le64(name + KV_UUID_SIZE, s->session_id);
}

struct call *session_call_find(struct fs_session *s, uint64_t tag)
{
	for (struct hnode *n = htable_first(&s->by_tag, hash_u64(tag)); n; n = htable_next(n)) {
		struct call *c = CONTAINER_OF(n, struct call, by_tag);

		if (c->tag == tag)
			return c;
	}
	return NULL;
}

/* The lowest number that is not answered yet. */
static uint64_t session_low(const struct fs_session *s)
{
	return list_empty(&s->numbered) ? s->next_seq
					: list_first(&s->numbered, struct call, numbered)->seq;
}

bool session_is_fresh(const struct fs_session *s, uint64_t now, uint32_t ms)
{
	return s->kept_ms != 0 && now < s->kept_ms + ms - ms * CLOCK_RATE_PERCENT / 100;
}

bool session_is_kept(const struct fs_session *s, uint64_t now)
{
	return session_is_fresh(s, now, s->ttl_ms);
}

/* Its time is over without a word: it may have ended. */
bool session_is_lapsed(const struct fs_session *s)
{
	uint64_t since = s->kept_ms ? s->kept_ms : s->begun_ms;

	/* A time to live is known from the session before this one, if at all. */
	return s->session_id != 0 && s->ttl_ms != 0 &&
	       clock_boot_ms() >= since + s->ttl_ms - s->ttl_ms * CLOCK_RATE_PERCENT / 100;
}

/*
 * What gets the next number; NULL: nothing may now. After a lapse, when the machine has slept say, new
 * changes wait for the leader's word on the session: sent in one that ended they would fail.
 */
static struct call *next_blocked(const struct fs_session *s)
{
	if (list_empty(&s->blocked) || (s->session_id == 0 && s->stamp == 0) ||
	    session_is_lapsed(s))
		return NULL;
	if (s->begin)
		return s->begin->seq == 0 ? s->begin : NULL;
	return list_first(&s->blocked, struct call, queue);
}

/* Gives numbers to changes as far as the window reaches; they become outgoing. */
void session_number_blocked(struct fs_session *s)
{
	struct call *c;

	MARK_IF(!list_empty(&s->blocked) && s->next_seq >= session_low(s) + KV_SESSION_WINDOW,
		"fs.session.window-full");
	while (s->next_seq < session_low(s) + KV_SESSION_WINDOW && (c = next_blocked(s))) {
		if (s->session_id == 0 && s->begin_stamp == 0)
			s->begin_stamp = s->stamp;
		c->seq = s->next_seq++;
		list_add_tail(&s->numbered, &c->numbered);
		list_del(&c->queue);
		list_add_tail(&s->outgoing, &c->queue);
	}
}

void session_wake_sender(struct fs_session *s)
{
	if (s->connected && (!list_empty(&s->outgoing) || !list_empty(&s->control) || s->storm_due))
		pthread_cond_signal(&s->sender_wake);
}

/* Takes the call out of everything: from here on nobody else can answer it. */
void session_call_detach(struct fs_session *s, struct call *c)
{
	assert(!c->done);
	c->done = true;
	if (c->interrupted)
		s->interrupted_count--;
	list_del(&c->all);
	list_del(&c->queue);
	list_del(&c->numbered);
	htable_del(&s->by_tag, &c->by_tag);
	session_number_blocked(s);
	session_wake_sender(s);
}

/* Answers a call. The lock is let go while the callback runs and for it alone. */
void session_call_finish(struct fs_session *s, struct call *c, int status,
			 const struct fs_reply *reply)
{
	session_call_detach(s, c);
	pthread_mutex_unlock(&s->lock);
	c->fn(c->ctx, status, reply);
	pthread_mutex_lock(&s->lock);
	session_call_unref(c);
}

void session_message_encode(const struct fs_session *s, struct fs_msg *m, struct buf *out)
{
	memcpy(m->uuid, s->uuid, sizeof(m->uuid));
	m->session_id = s->session_id;
	if (s->options.holder && (m->type == FS_MSG_REQUEST || m->type == FS_MSG_ALIVE))
		m->flags |= FS_MSG_HOLDER;
	fs_msg_encode(m, out);
}

/*
 * Hands one call to the channel; the lock is let go meanwhile. A call is in `sent` before it
 * leaves, so that a connection that comes up at any moment sends it again.
 */
void session_call_send(struct fs_session *s, struct call *c)
{
	struct buf head = BUF_INIT;
	bool first = !c->is_sent;
	uint32_t attempt = ++c->attempts;
	struct fs_msg m = {
		.type = FS_MSG_REQUEST,
		.flags = (uint8_t)((first ? 0 : FS_MSG_RETRY) | (s->session_id ? 0 : FS_MSG_BEGIN)),
		.tag = c->tag,
		.seq = c->seq,
		.low = session_low(s),
		.stamp = s->session_id ? 0 : s->begin_stamp,
	};

	list_del(&c->queue);
	list_add_tail(&s->sent, &c->queue);
	/* The body is the end of the message, so that a write's data is not copied once more. */
	session_message_encode(s, &m, &head);
	c->is_sent = true;
	c->sent_ms = clock_boot_ms();
	c->refs++;
	if (!first) {
		MARK("fs.session.sent-again");
		s->stats.resent++;
		c->retried = true;
	}
	pthread_mutex_unlock(&s->lock);
	int ret = s->ops->send(s->channel, head.data, head.len, c->body.data, c->body.len);

	buf_release(&head);
	pthread_mutex_lock(&s->lock);
	MARK_IF(ret < 0 && first && attempt == c->attempts, "fs.session.taken-back");
	MARK_IF(ret < 0 && first && attempt != c->attempts, "fs.session.not-taken-back");
	/* It did not leave, and no other attempt ran meanwhile: it may still be taken back. */
	if (ret < 0 && first && attempt == c->attempts)
		c->is_sent = false;
	session_call_unref(c);
}
