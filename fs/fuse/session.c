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
 * other change gets a number. When the session has ended, renew() takes a new uuid and begins again.
 *
 * Submitting threads send by themselves, but only DIRECT_SENDERS of them at a time, so that a
 * channel that takes nothing any more never holds every FUSE worker: interrupts must still be read.
 * Order does not matter to the store, as numbers do not say what happens first.
 *
 * Three threads call in: submitters, the channel's (on_up, on_down, on_message) and two of our own:
 * the sender, which alone may block in the channel for long, and the timer, which must not.
 */
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mark.h"
#include "fs/fs_session.h"

#define DIRECT_SENDERS 4
#define STORM_GAP_MS 50u /* sending everything again happens at most this often */
#define ALIVE_MS 1000u
#define CLOCK_RATE_PERCENT 1u /* the cluster waits that much longer, we that much shorter */
#define BEGIN_AGAIN_MS 1000u
#define BEGIN_LOST_MS 5000u
#define KILL_CHECK_MS 100u /* how often an interrupted call asks for SIGKILL */
#define TIMER_IDLE_MS 60000u

struct call {
	struct list all;      /* in s->all, oldest first */
	struct list queue;    /* in s->blocked, s->outgoing or s->sent */
	struct list numbered; /* in s->numbered, by seq; a ring of its own for reads */
	struct hnode by_tag;
	uint64_t tag, seq;
	uint64_t submitted_ms, sent_ms;
	uint32_t refs; /* the session's and one for each thread inside the channel */
	uint32_t attempts;
	uint32_t pid;
	bool is_read;
	bool is_sent; /* may have left */
	bool retried; /* a copy marked RETRY may have left: only a FINAL reply ends the call */
	bool interrupted;
	bool done;       /* out of all lists */
	struct buf body; /* encoded request; never changes */
	fs_reply_fn fn;
	void *ctx;
};

/* ANSWER and ALIVE: sent once, by the sender thread, lost with the connection. */
struct control {
	struct list node;
	struct buf message;
};

struct fs_session {
	struct fs_session_options options;
	const struct fs_channel_ops *ops;
	void *channel;
	pthread_t sender, timer;

	pthread_mutex_t
		lock; /* guards all below and every call; never held in ops, fn, held, killed */
	pthread_cond_t sender_wake, timer_wake;
	bool closing, connected, has_leader;
	struct list all, blocked, outgoing, sent, numbered, control;
	struct htable by_tag;
	uint64_t next_tag, next_seq; /* the next to give */
	uint8_t uuid[KV_UUID_SIZE];
	uint64_t session_id;  /* 0 until a reply brought it */
	uint64_t stamp;       /* the newest heard; 0: none yet, so no session can begin */
	uint64_t begin_stamp; /* fixed when the first number is given; 0: not yet */
	uint64_t first_tag;   /* of this session: what lower ones bring is of another one */
	struct call *begin;   /* under way; NULL: none */
	uint64_t begin_again_ms; /* it was refused: again then; 0: not */
	uint8_t replaces[FS_SESSION_NAME_SIZE];
	bool has_replaces;
	uint32_t ttl_ms;      /* 0: not heard yet */
	uint64_t kept_ms;     /* when the last ALIVE left that a leader confirmed; 0: none */
	bool lapse_said;
	unsigned direct_senders;
	unsigned interrupted_count;
	bool storm_due; /* send again what was sent before; not before storm_ms */
	uint64_t storm_ms, last_storm_ms;
	uint64_t up_ms, last_reply_ms, last_move_ms, last_alive_ms;
	uint64_t timer_sleeps_until_ms;
	struct fs_session_stats stats;
};

/* ---- calls: all with the lock held ---- */

static void call_unref(struct call *c)
{
	assert(c->refs > 0);
	if (--c->refs > 0)
		return;
	assert(c->done);
	buf_release(&c->body);
	free(c);
}

static struct call *call_find(struct fs_session *s, uint64_t tag)
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

static bool is_kept(const struct fs_session *s, uint64_t now)
{
	return s->kept_ms != 0 && now < s->kept_ms + s->ttl_ms - s->ttl_ms * CLOCK_RATE_PERCENT / 100;
}

/* Its time is over without a word: it may have ended. */
static bool is_lapsed(const struct fs_session *s)
{
	return s->session_id != 0 && s->kept_ms != 0 && !is_kept(s, clock_boot_ms());
}

/*
 * What gets the next number; NULL: nothing may now. After a lapse, when the machine has slept say, new
 * changes wait for the leader's word on the session: sent in one that ended they would fail.
 */
static struct call *next_blocked(const struct fs_session *s)
{
	if (list_empty(&s->blocked) || (s->session_id == 0 && s->stamp == 0) || is_lapsed(s))
		return NULL;
	if (s->begin)
		return s->begin->seq == 0 ? s->begin : NULL;
	return list_first(&s->blocked, struct call, queue);
}

/* Gives numbers to changes as far as the window reaches; they become outgoing. */
static void number_blocked(struct fs_session *s)
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

static void wake_sender(struct fs_session *s)
{
	if (s->connected && (!list_empty(&s->outgoing) || !list_empty(&s->control) || s->storm_due))
		pthread_cond_signal(&s->sender_wake);
}

/* Takes the call out of everything: from here on nobody else can answer it. */
static void call_detach(struct fs_session *s, struct call *c)
{
	assert(!c->done);
	c->done = true;
	if (c->interrupted)
		s->interrupted_count--;
	list_del(&c->all);
	list_del(&c->queue);
	list_del(&c->numbered);
	htable_del(&s->by_tag, &c->by_tag);
	number_blocked(s);
	wake_sender(s);
}

/* Answers a call. The lock is let go while the callback runs and for it alone. */
static void call_finish(struct fs_session *s, struct call *c, int status,
			const struct fs_reply *reply)
{
	call_detach(s, c);
	pthread_mutex_unlock(&s->lock);
	c->fn(c->ctx, status, status == 0 ? reply : NULL);
	pthread_mutex_lock(&s->lock);
	call_unref(c);
}

static void message_encode(const struct fs_session *s, struct fs_msg *m, struct buf *out)
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
static void call_send(struct fs_session *s, struct call *c)
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
	message_encode(s, &m, &head);
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
	call_unref(c);
}

/* ---- beginning, and beginning again ---- */

static void begin_free(struct fs_session *s)
{
	struct call *c = s->begin;

	s->begin = NULL;
	s->begin_again_ms = 0;
	if (c) {
		call_detach(s, c);
		call_unref(c);
	}
}

/* In front of everything: a call that nobody waits for and that never times out. */
static void begin_submit(struct fs_session *s)
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
	number_blocked(s);
	wake_sender(s);
}

static void begin_answered(struct fs_session *s, int status)
{
	if (status == 0) {
		s->has_replaces = false;
		begin_free(s);
		number_blocked(s);
		wake_sender(s);
		return;
	}
	/* Too many sessions, say. Nothing was logged, so the same number may go again. */
	log_warning("session", "cannot begin a session, trying again: %s", strerror(-status));
	s->begin_again_ms = clock_boot_ms() + BEGIN_AGAIN_MS;
	pthread_cond_signal(&s->timer_wake);
}

/* It was refused a while ago, or nothing at all has come back. */
static void begin_again(struct fs_session *s)
{
	const struct call *c = s->begin;
	uint64_t now = clock_boot_ms();

	if (!c || !c->is_sent || now < (s->begin_again_ms ? s->begin_again_ms : c->sent_ms + BEGIN_LOST_MS))
		return;
	s->begin_again_ms = 0;
	list_del(&s->begin->queue);
	list_add_head(&s->outgoing, &s->begin->queue);
	wake_sender(s);
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
static void renew(struct fs_session *s, const struct call *refused)
{
	struct list old, again;
	unsigned failed = 0;

	list_init(&old);
	list_init(&again);
	if (s->session_id != 0) {
		memcpy(s->replaces, s->uuid, KV_UUID_SIZE);
		store_le64(s->replaces + KV_UUID_SIZE, s->session_id);
		s->has_replaces = true;
		s->stats.ended++;
	}
	begin_free(s);
	if (getrandom(s->uuid, sizeof(s->uuid), 0) != (ssize_t)sizeof(s->uuid))
		abort(); /* cannot happen for so few bytes */
	list_splice_tail(&old, &s->numbered);
	s->session_id = s->begin_stamp = 0;
	s->next_seq = 1;
	s->kept_ms = 0;
	s->first_tag = s->next_tag;
	if (s->options.holder || s->has_replaces)
		begin_submit(s);
	while (!list_empty(&old)) {
		struct call *c = list_first(&old, struct call, numbered);

		if (!c->is_sent || (c == refused && c->attempts == 1)) {
			call_requeue(s, c, &again);
			continue;
		}
		failed++;
		call_finish(s, c, -EIO, NULL);
	}
	list_splice_tail(&again, &s->blocked);
	list_splice_tail(&s->blocked, &again);
	log_warning("session", "the session ended, a new one begins; unanswered changes that failed: %u",
		    failed);
	number_blocked(s);
	wake_sender(s);
	pthread_cond_signal(&s->timer_wake);
}

static void stamp_heard(struct fs_session *s, uint64_t stamp)
{
	if (stamp <= s->stamp)
		return;
	s->stamp = stamp;
	number_blocked(s);
	wake_sender(s);
}

/* ---- the sender thread ---- */

/* Everything sent at least age_ms ago becomes outgoing, in front of what is new. */
static void storm(struct fs_session *s, uint64_t age_ms)
{
	struct list again;
	uint64_t now = clock_boot_ms();

	list_init(&again);
	list_for_each_safe (it, &s->sent) {
		struct call *c = list_entry(it, struct call, queue);

		if (now - c->sent_ms >= age_ms) {
			list_del(it);
			list_add_tail(&again, it);
		}
	}
	list_splice_tail(&again, &s->outgoing);
	list_splice_tail(&s->outgoing, &again);
}

static void storm_schedule(struct fs_session *s)
{
	if (s->storm_due)
		return;
	s->storm_due = true;
	s->storm_ms = max_u64(clock_boot_ms(), s->last_storm_ms + STORM_GAP_MS);
	wake_sender(s);
}

static void control_push(struct fs_session *s, struct fs_msg *m)
{
	struct control *ctl = mem_calloc(1, sizeof(*ctl));

	message_encode(s, m, &ctl->message);
	list_add_tail(&s->control, &ctl->node);
	wake_sender(s);
}

static void control_free(struct control *ctl)
{
	buf_release(&ctl->message);
	free(ctl);
}

static void control_drop_all(struct fs_session *s)
{
	list_for_each_safe (it, &s->control) {
		list_del(it);
		control_free(list_entry(it, struct control, node));
	}
}

static void control_send(struct fs_session *s)
{
	struct control *ctl = list_first(&s->control, struct control, node);

	list_del(&ctl->node);
	pthread_mutex_unlock(&s->lock);
	s->ops->send(s->channel, ctl->message.data, ctl->message.len, NULL, 0); /* lost is lost */
	control_free(ctl);
	pthread_mutex_lock(&s->lock);
}

static void wait_until(struct fs_session *s, pthread_cond_t *cond, uint64_t until_ms)
{
	uint64_t now = clock_boot_ms();
	uint64_t wait_ms = until_ms > now ? until_ms - now : 0;
	struct timespec ts;

	if (wait_ms == 0)
		return;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += (time_t)(wait_ms / 1000);
	ts.tv_nsec += (long)(wait_ms % 1000) * 1000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_nsec -= 1000000000;
		ts.tv_sec++;
	}
	pthread_cond_timedwait(cond, &s->lock, &ts);
}

static void *sender_main(void *arg)
{
	struct fs_session *s = arg;

	pthread_mutex_lock(&s->lock);
	while (!s->closing) {
		uint64_t now = clock_boot_ms();

		if (!s->connected) {
			pthread_cond_wait(&s->sender_wake, &s->lock);
		} else if (!list_empty(&s->control)) {
			control_send(s);
		} else if (s->storm_due && now >= s->storm_ms) {
			s->storm_due = false;
			s->last_storm_ms = now;
			storm(s, 0);
		} else if (!list_empty(&s->outgoing)) {
			call_send(s, list_first(&s->outgoing, struct call, queue));
		} else if (s->storm_due) {
			wait_until(s, &s->sender_wake, s->storm_ms);
		} else {
			pthread_cond_wait(&s->sender_wake, &s->lock);
		}
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* ---- the timer thread ---- */

/* Soft sessions: gives up what waited timeo_ms. The number is never sent again, low moves on. */
static void expire(struct fs_session *s)
{
	while (!s->options.hard && !list_empty(&s->all)) {
		struct call *c = list_first(&s->all, struct call, all);

		if (clock_boot_ms() < c->submitted_ms + s->options.timeo_ms)
			return;
		MARK("fs.session.timed-out");
		s->stats.timed_out++;
		call_finish(s, c, -ETIMEDOUT, NULL);
	}
}

/*
 * Interrupted calls: what never left is answered now; what left only when its caller is being
 * killed, as otherwise the caller would be told EINTR of a change that happens.
 */
static void check_interrupted(struct fs_session *s)
{
	size_t count = 0;

	if (s->interrupted_count == 0)
		return;
	uint64_t *tags = mem_calloc(s->interrupted_count, sizeof(*tags));

	list_for_each (it, &s->all) {
		const struct call *c = list_entry(it, struct call, all);

		if (c->interrupted)
			tags[count++] = c->tag;
	}
	for (size_t i = 0; i < count; i++) {
		struct call *c = call_find(s, tags[i]);
		bool killed = false;

		if (c && c->is_sent && s->options.killed) {
			uint32_t pid = c->pid;

			pthread_mutex_unlock(&s->lock);
			killed = s->options.killed(s->options.ctx, pid);
			pthread_mutex_lock(&s->lock);
			c = call_find(s, tags[i]); /* it may have been answered meanwhile */
		}
		MARK_IF(c && !killed && c->is_sent, "fs.session.interrupt-waits");
		MARK_IF(c && killed, "fs.session.interrupted-by-kill");
		MARK_IF(c && !c->is_sent, "fs.session.interrupted-unsent");
		if (c && (killed || !c->is_sent))
			call_finish(s, c, -EINTR, NULL);
	}
	free(tags);
}

/*
 * A node that answers nothing for move_ms is left. One that answers others but not the oldest call
 * may have lost that one: what is as old is sent again.
 */
static void check_progress(struct fs_session *s)
{
	uint64_t now = clock_boot_ms();
	uint64_t limit = s->options.move_ms;

	if (limit == 0 || !s->connected || list_empty(&s->all))
		return;
	const struct call *oldest = list_first(&s->all, struct call, all);
	uint64_t since = max_u64(oldest->submitted_ms, s->up_ms);

	if (now < since + limit)
		return;
	if (now >= max_u64(s->last_reply_ms, s->last_move_ms) + limit) {
		MARK("fs.session.node-left");
		s->last_move_ms = now;
		pthread_mutex_unlock(&s->lock);
		s->ops->move(s->channel);
		pthread_mutex_lock(&s->lock);
	} else if (oldest->is_sent && now >= oldest->sent_ms + limit) {
		MARK("fs.session.oldest-sent-again");
		storm(s, limit);
		wake_sender(s);
	}
}

/* Until a stamp is known as well: the node's first word brings one. */
static bool has_to_say(const struct fs_session *s)
{
	return s->options.holder || s->session_id != 0 || s->stamp == 0;
}

static uint64_t alive_every_ms(const struct fs_session *s)
{
	return s->ttl_ms ? min_u64(ALIVE_MS, s->ttl_ms / 6) : ALIVE_MS;
}

static void keep_alive(struct fs_session *s)
{
	uint64_t now = clock_boot_ms();

	if (!has_to_say(s) || !s->connected || now < s->last_alive_ms + alive_every_ms(s))
		return;
	s->last_alive_ms = now;
	if (list_empty(&s->control))
		control_push(s, &(struct fs_msg){ .type = FS_MSG_ALIVE, .tag = now });
}

static void check_lapse(struct fs_session *s)
{
	bool lapsed = is_lapsed(s);

	if (lapsed && !s->lapse_said)
		log_warning("session", "no leader has confirmed session %llu for %u ms: it may end",
			    (unsigned long long)s->session_id, s->ttl_ms);
	s->lapse_said = lapsed;
}

/* When a call submitted at `since` needs the timer first. */
static uint64_t first_deadline(const struct fs_session *s, uint64_t since)
{
	uint64_t at = since + TIMER_IDLE_MS;

	if (!s->options.hard)
		at = min_u64(at, since + s->options.timeo_ms);
	if (s->options.move_ms > 0)
		at = min_u64(at, since + s->options.move_ms);
	return at;
}

static uint64_t next_wake(const struct fs_session *s)
{
	uint64_t now = clock_boot_ms();
	uint64_t at = now + TIMER_IDLE_MS;

	if (has_to_say(s) && s->connected)
		at = min_u64(at, s->last_alive_ms + alive_every_ms(s));
	if (s->begin_again_ms)
		at = min_u64(at, s->begin_again_ms);
	if (s->interrupted_count > 0)
		at = min_u64(at, now + KILL_CHECK_MS);
	if (!list_empty(&s->all)) {
		uint64_t since = list_first(&s->all, struct call, all)->submitted_ms;

		/* Past the first deadline of move_ms it is asked again now and then. */
		at = min_u64(at, max_u64(first_deadline(s, since), now + KILL_CHECK_MS));
		if (!s->options.hard)
			at = min_u64(at, since + s->options.timeo_ms);
	}
	return at;
}

static void *timer_main(void *arg)
{
	struct fs_session *s = arg;

	pthread_mutex_lock(&s->lock);
	while (!s->closing) {
		expire(s);
		check_interrupted(s);
		check_progress(s);
		keep_alive(s);
		begin_again(s);
		check_lapse(s);
		if (s->closing)
			break;
		s->timer_sleeps_until_ms = next_wake(s);
		wait_until(s, &s->timer_wake, s->timer_sleeps_until_ms);
		s->timer_sleeps_until_ms = 0;
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

static void wake_timer(struct fs_session *s, uint64_t at_ms)
{
	if (at_ms >= s->timer_sleeps_until_ms)
		return;
	s->timer_sleeps_until_ms = at_ms;
	pthread_cond_signal(&s->timer_wake);
}

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
		begin_submit(s); /* no thread sees it yet */
	int ret = pthread_create(&s->sender, NULL, sender_main, s);

	if (ret == 0)
		ret = pthread_create(&s->timer, NULL, timer_main, s);
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

	message_encode(s, &(struct fs_msg){ .type = FS_MSG_BYE }, &out);
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
		call_finish(s, list_first(&s->all, struct call, all), -ECONNABORTED, NULL);
	begin_free(s);
	control_drop_all(s);
	pthread_mutex_unlock(&s->lock);
	say_bye(s);
	htable_release(&s->by_tag);
	pthread_cond_destroy(&s->timer_wake);
	pthread_cond_destroy(&s->sender_wake);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* ---- submitting ---- */

int fs_session_submit(struct fs_session *s, const struct fs_request *rq, uint32_t pid,
		      fs_reply_fn fn, void *ctx, uint64_t *ticket)
{
	struct call *c = mem_calloc(1, sizeof(*c));

	c->refs = 1;
	c->pid = pid;
	c->fn = fn;
	c->ctx = ctx;
	c->is_read = fs_op_is_read(rq->op);
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
	number_blocked(s);
	wake_timer(s, first_deadline(s, c->submitted_ms));
	if (s->connected && s->direct_senders < DIRECT_SENDERS && (c->is_read || c->seq > 0)) {
		s->direct_senders++;
		call_send(s, c);
		s->direct_senders--;
	} else {
		wake_sender(s);
	}
	pthread_mutex_unlock(&s->lock);
	return 0;
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
	struct call *c = call_find(s, ticket);

	if (c && !c->interrupted) {
		c->interrupted = true;
		s->interrupted_count++;
		wake_timer(s, 0);
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
	storm(s, 0);
	wake_sender(s);
	pthread_cond_signal(&s->timer_wake);
	pthread_mutex_unlock(&s->lock);
}

void fs_session_on_down(struct fs_session *s)
{
	pthread_mutex_lock(&s->lock);
	s->connected = false;
	s->has_leader = false;
	control_drop_all(s); /* answers belong to the connection that asked */
	pthread_mutex_unlock(&s->lock);
}

static void call_answered(struct fs_session *s, struct call *c, const struct fs_msg *m, int status,
			  const struct fs_reply *reply)
{
	uint64_t waited_ms = clock_boot_ms() - c->submitted_ms;

	if ((m->flags & FS_MSG_EXPIRED) && !c->is_read) {
		renew(s, s->session_id == 0 ? c : NULL);
	} else if (c == s->begin) {
		begin_answered(s, status);
	} else {
		s->stats.answered++;
		s->stats.longest_wait_ms = max_u64(s->stats.longest_wait_ms, waited_ms);
		call_finish(s, c, status, reply);
	}
}

static void on_reply(struct fs_session *s, const struct fs_msg *m)
{
	struct fs_reply reply = { .count = 0 };
	int status = m->status;

	if (status == 0 && fs_reply_decode(&reply, m->body, m->body_len) < 0)
		status = -EIO;
	pthread_mutex_lock(&s->lock);
	s->last_reply_ms = clock_boot_ms();
	stamp_heard(s, m->stamp);
	if (m->session_id != 0 && m->tag >= s->first_tag) {
		if (s->session_id == 0)
			wake_timer(s, 0); /* from now on it is kept */
		s->session_id = m->session_id;
	}
	struct call *c = call_find(s, m->tag);

	bool binds = (m->flags & FS_MSG_FINAL) || !c || c->is_read || !c->retried;

	MARK_IF(!c, "fs.session.answer-to-nobody");
	MARK_IF(c && !binds, "fs.session.answer-does-not-bind");
	/* Else a copy of what was answered or given up, or an error that the RETRY's own answer follows. */
	if (c && c->seq == m->seq && binds)
		call_answered(s, c, m, status, &reply);
	pthread_mutex_unlock(&s->lock);
}

/* A leader has heard us, and it was one after that; or it says that there is no such session. */
static void on_kept(struct fs_session *s, const struct fs_msg *m)
{
	uint64_t now = clock_boot_ms();

	pthread_mutex_lock(&s->lock);
	stamp_heard(s, m->stamp);
	if (m->session_id == s->session_id && m->tag <= now) {
		if (s->ttl_ms != m->ttl_ms)
			wake_timer(s, 0);
		s->ttl_ms = m->ttl_ms;
		if (!(m->flags & FS_MSG_EXPIRED))
			s->kept_ms = max_u64(s->kept_ms, m->tag);
		else if (s->session_id != 0)
			renew(s, NULL);
		number_blocked(s);
		wake_sender(s);
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
	control_push(s, &(struct fs_msg){ .type = FS_MSG_ANSWER,
					  .tag = m->tag,
					  .body = body.data,
					  .body_len = body.len });
	pthread_mutex_unlock(&s->lock);
	buf_release(&body);
	free(inos);
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
		storm_schedule(s);
		pthread_mutex_unlock(&s->lock);
		break;
	case FS_MSG_KEPT:
		on_kept(s, &m);
		break;
	case FS_MSG_STATE:
		pthread_mutex_lock(&s->lock);
		s->has_leader = m.has_leader;
		stamp_heard(s, m.stamp);
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

bool fs_session_is_kept(struct fs_session *s)
{
	pthread_mutex_lock(&s->lock);
	bool kept = s->session_id != 0 && is_kept(s, clock_boot_ms());

	pthread_mutex_unlock(&s->lock);
	return kept;
}
