/* session_threads.c - the sender, which may block in the channel, and the timer, which must not. See session.c. */
#include "fs/fuse/session_internal.h"

#define STORM_GAP_MS 50u /* sending everything again happens at most this often */
#define ALIVE_MS 1000u
#define BRISK_MS 250u
#define KILL_CHECK_MS 100u /* how often an interrupted call asks for SIGKILL */
#define TIMER_IDLE_MS 60000u

/* ---- the sender thread ---- */

/* Everything sent at least age_ms ago becomes outgoing, in front of what is new. */
void session_storm(struct fs_session *s, uint64_t age_ms)
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

void session_storm_schedule(struct fs_session *s)
{
	if (s->storm_due)
		return;
	s->storm_due = true;
	s->storm_ms = max_u64(clock_boot_ms(), s->last_storm_ms + STORM_GAP_MS);
	session_wake_sender(s);
}

void session_control_push(struct fs_session *s, struct fs_msg *m)
{
	struct control *ctl = mem_calloc(1, sizeof(*ctl));

	session_message_encode(s, m, &ctl->message);
	list_add_tail(&s->control, &ctl->node);
	session_wake_sender(s);
}

static void control_free(struct control *ctl)
{
	buf_release(&ctl->message);
	free(ctl);
}

void session_control_drop_all(struct fs_session *s)
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

void *session_sender_main(void *arg)
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
			session_storm(s, 0);
		} else if (!list_empty(&s->outgoing)) {
			session_call_send(s, list_first(&s->outgoing, struct call, queue));
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
		session_call_finish(s, c, -ETIMEDOUT, NULL);
	}
}

/*
 * Interrupted calls go on until their caller is being killed: programs with handlers know no EINTR from a disk, and
 * a change that left may happen. Waiting for a lock ends by any signal, where it is certain that none was got.
 */
static bool ends_by_any_signal(const struct call *c)
{
	return c->waits || (c->locks && !c->is_sent);
}

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
		struct call *c = session_call_find(s, tags[i]);
		bool killed = false;

		if (c && !ends_by_any_signal(c) && s->options.killed) {
			uint32_t pid = c->pid;

			pthread_mutex_unlock(&s->lock);
			killed = s->options.killed(s->options.ctx, pid);
			pthread_mutex_lock(&s->lock);
			c = session_call_find(s, tags[i]); /* it may have been answered meanwhile */
		}
		MARK_IF(c && !killed && c->is_sent, "fs.session.interrupt-waits");
		MARK_IF(c && !killed && !c->is_sent, "fs.session.interrupt-waits-unsent");
		MARK_IF(c && killed, "fs.session.interrupted-by-kill");
		if (c && (killed || ends_by_any_signal(c)))
			session_call_finish(s, c, -EINTR, NULL);
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
		session_storm(s, limit);
		session_wake_sender(s);
	}
}

/* Until a stamp is known as well: the node's first word brings one. */
static bool has_to_say(const struct fs_session *s)
{
	return s->options.holder || s->session_id != 0 || s->stamp == 0;
}

static uint64_t alive_every_ms(const struct fs_session *s)
{
	uint64_t every_ms = s->brisk ? BRISK_MS : ALIVE_MS;

	return s->ttl_ms ? min_u64(every_ms, s->ttl_ms / 6) : every_ms;
}

static void keep_alive(struct fs_session *s)
{
	uint64_t now = clock_boot_ms();

	if (!has_to_say(s) || !s->connected || now < s->last_alive_ms + alive_every_ms(s))
		return;
	s->last_alive_ms = now;
	if (list_empty(&s->control))
		session_control_push(s, &(struct fs_msg){ .type = FS_MSG_ALIVE,
							  .flags = s->brisk ? FS_MSG_BRISK : 0,
							  .tag = now });
}

static void check_lapse(struct fs_session *s)
{
	bool lapsed = session_is_lapsed(s);

	if (lapsed && !s->lapse_said)
		log_warning("session", "no leader has confirmed session %llu for %u ms: it may end",
			    (unsigned long long)s->session_id, s->ttl_ms);
	s->lapse_said = lapsed;
}

uint64_t session_first_deadline(const struct fs_session *s, uint64_t since)
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
		at = min_u64(at, max_u64(session_first_deadline(s, since), now + KILL_CHECK_MS));
		if (!s->options.hard)
			at = min_u64(at, since + s->options.timeo_ms);
	}
	return at;
}

void *session_timer_main(void *arg)
{
	struct fs_session *s = arg;

	pthread_mutex_lock(&s->lock);
	while (!s->closing) {
		expire(s);
		check_interrupted(s);
		check_progress(s);
		keep_alive(s);
		session_begin_again(s);
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

void session_wake_timer(struct fs_session *s, uint64_t at_ms)
{
	if (at_ms >= s->timer_sleeps_until_ms)
		return;
	s->timer_sleeps_until_ms = at_ms;
	pthread_cond_signal(&s->timer_wake);
}
