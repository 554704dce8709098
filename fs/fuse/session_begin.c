/* session_begin.c - how the session begins, and begins again after it ended. See session.c. */
#include <sys/random.h>

#include "fs/fuse/session_internal.h"

#define BEGIN_AGAIN_MS 1000u
#define BEGIN_LOST_MS 5000u

void session_begin_free(struct fs_session *s)
{
	struct call *c = s->begin;

	s->begin = NULL;
	s->begin_again_ms = 0;
	if (c) {
		session_call_detach(s, c);
		session_call_unref(c);
	}
}

/* In front of everything: a call that nobody waits for and that never times out. */
void session_begin_submit(struct fs_session *s)
{
	struct call *c = mem_calloc(1, sizeof(*c));
	struct fs_request rq = { .op = FS_SESSION_BEGIN };

	if (s->has_replaces) {
		rq.data = s->replaces;
		rq.data_len = sizeof(s->replaces);
	}
	c->refs = 1;
	c->tag = s->next_tag++;
	c->submitted_ms = clock_boot_ms();
	fs_request_encode(&rq, &c->body);
	list_init(&c->all);
	list_init(&c->numbered);
	htable_add(&s->by_tag, &c->by_tag, hash_u64(c->tag));
	list_add_head(&s->blocked, &c->queue);
	s->begin = c;
	session_number_blocked(s);
	session_wake_sender(s);
}

void session_begin_answered(struct fs_session *s, int status)
{
	if (status == 0) {
		s->has_replaces = false;
		session_begin_free(s);
		session_number_blocked(s);
		session_wake_sender(s);
		return;
	}
	/* Too many sessions, say. Nothing was logged, so the same number may go again. */
	log_warning("session", "cannot begin a session, trying again: %s", strerror(-status));
	s->begin_again_ms = clock_boot_ms() + BEGIN_AGAIN_MS;
	pthread_cond_signal(&s->timer_wake);
}

/* It was refused a while ago, or nothing at all has come back. */
void session_begin_again(struct fs_session *s)
{
	const struct call *c = s->begin;
	uint64_t now = clock_boot_ms();

	if (!c || !c->is_sent ||
	    now < (s->begin_again_ms ? s->begin_again_ms : c->sent_ms + BEGIN_LOST_MS))
		return;
	s->begin_again_ms = 0;
	list_del(&s->begin->queue);
	list_add_head(&s->outgoing, &s->begin->queue);
	session_wake_sender(s);
}

/* Goes on in the next session as if it had just been submitted. */
static void call_requeue(struct fs_session *s, struct call *c, struct list *again)
{
	htable_del(&s->by_tag, &c->by_tag);
	c->tag = s->next_tag++; /* answers to the old one mean nothing any more */
	htable_add(&s->by_tag, &c->by_tag, hash_u64(c->tag));
	list_del(&c->numbered);
	list_del(&c->queue);
	list_add_tail(again, &c->queue);
	c->seq = 0;
	c->attempts = 0;
	c->is_sent = c->retried = false;
}

/*
 * The session is no more. What it had sent and not heard of fails. `refused` is the call whose only copy
 * a session refused that had never begun: that one has executed nowhere. NULL: none.
 */
void session_renew(struct fs_session *s, const struct call *refused)
{
	struct list old, again;
	uint64_t ended = s->session_id;
	unsigned failed = 0;

	list_init(&old);
	list_init(&again);
	if (s->session_id != 0) {
		session_name(s, s->replaces);
		s->has_replaces = true;
		s->stats.ended++;
	}
	session_begin_free(s);
	if (getrandom(s->uuid, sizeof(s->uuid), 0) != (ssize_t)sizeof(s->uuid))
		abort(); /* cannot happen for so few bytes */
	list_splice_tail(&old, &s->numbered);
	s->session_id = s->begin_stamp = 0;
	s->next_seq = 1;
	s->kept_ms = 0;
	s->first_tag = s->next_tag;
	if (s->options.holder || s->has_replaces)
		session_begin_submit(s);
	while (!list_empty(&old)) {
		struct call *c = list_first(&old, struct call, numbered);

		if (!c->is_sent || (c == refused && c->attempts == 1)) {
			call_requeue(s, c, &again);
			continue;
		}
		failed++;
		session_call_finish(s, c, -EIO, NULL);
	}
	list_splice_tail(&again, &s->blocked);
	list_splice_tail(&s->blocked, &again);
	if (ended != 0 && s->options.lost) {
		pthread_mutex_unlock(&s->lock);
		s->options.lost(s->options.ctx, ended);
		pthread_mutex_lock(&s->lock);
	}
	log_warning("session",
		    "the session ended, a new one begins; unanswered changes that failed: %u",
		    failed);
	session_number_blocked(s);
	session_wake_sender(s);
	pthread_cond_signal(&s->timer_wake);
}

void session_stamp_heard(struct fs_session *s, uint64_t stamp)
{
	if (stamp <= s->stamp)
		return;
	s->stamp = stamp;
	session_number_blocked(s);
	session_wake_sender(s);
}
