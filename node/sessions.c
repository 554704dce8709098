/*
 * sessions.c - the leader hears of sessions, and ends those it has not heard of for too long.
 *
 * Which sessions there are, the state says; when they were last heard, the leader's memory alone: what
 * keeps a session alive are messages, never entries. A new leader lists the sessions of the state and
 * grants each a full time to live. Then a session begins and ends here when an entry says so that is
 * applied here. A mount that has changed nothing yet is no session of the state; it stands here with id 0
 * and simply vanishes when it is silent.
 *
 * Time is counted in ticks seen, not read off a clock: a leader that was stopped, or a machine that
 * slept, has not waited for anybody, and nobody could have been heard. The same count makes log time.
 *
 * Beats: each node says once in a while which clients it has heard, under a number (status.c). The
 * leader answers with that number once a read round, started afterwards, has shown that it was the leader
 * after it heard. Only then may a client rely on the time to live: a leader that was deposed without
 * knowing it may hear whatever it likes, its successor counts from its own election.
 *
 * A session ends the time to live plus CLOCK_RATE_PERCENT after it was last heard, its client stops
 * relying on it that much earlier, counted from when it sent: so clocks whose rates differ by less agree.
 */
#include "base/cursor.h"
#include "base/mark.h"
#include "node/replica_internal.h"

#define TICK_MS_MAX 1000u     /* more between two ticks, and we were stopped meanwhile */
#define END_AGAIN_MS 10000u   /* an end that was not applied by then: look at the table again */
#define LIST_AGAIN_MS 1000u

/* ---- the table ---------------------------------------------------------------------------------- */

uint64_t sessions_ttl_ms(const struct replica *r)
{
	return r->options.session_ttl_ms ? r->options.session_ttl_ms : SESSION_TTL_MS;
}

/* How long nobody is ended who could still be relying on his session. */
static uint64_t ttl_long_ms(const struct replica *r)
{
	uint64_t ttl = sessions_ttl_ms(r);

	return ttl + (ttl * CLOCK_RATE_PERCENT + 99) / 100;
}

static struct session *find(const struct replica *r, const uint8_t uuid[KV_UUID_SIZE])
{
	struct hnode *n = htable_first(&r->sessions.by_uuid, hash64(uuid, KV_UUID_SIZE));

	for (; n; n = htable_next(n)) {
		struct session *s = CONTAINER_OF(n, struct session, by_uuid);

		if (memcmp(s->uuid, uuid, KV_UUID_SIZE) == 0)
			return s;
	}
	return NULL;
}

static struct session *add(struct replica *r, const uint8_t uuid[KV_UUID_SIZE], uint64_t id)
{
	struct session *s = mem_calloc(1, sizeof(*s));

	memcpy(s->uuid, uuid, KV_UUID_SIZE);
	s->id = id;
	s->since_ms = s->heard_ms = r->sessions.clock_ms;
	htable_add(&r->sessions.by_uuid, &s->by_uuid, hash64(uuid, KV_UUID_SIZE));
	list_add_tail(&r->sessions.all, &s->link);
	return s;
}

static void drop(struct replica *r, struct session *s)
{
	htable_del(&r->sessions.by_uuid, &s->by_uuid);
	list_del(&s->link);
	free(s);
}

static void drop_all(struct replica *r)
{
	list_for_each_safe (it, &r->sessions.all)
		drop(r, list_entry(it, struct session, link));
}

static void free_beat(struct beat *b)
{
	list_del(&b->link);
	buf_release(&b->ended);
	free(b);
}

static void drop_beats(struct list *beats)
{
	list_for_each_safe (it, beats)
		free_beat(list_entry(it, struct beat, link));
}

void sessions_init(struct replica *r, uint64_t incarnation)
{
	list_init(&r->sessions.all);
	list_init(&r->sessions.gathering_beats);
	/* An answer to a beat of the process before this one must not count. */
	r->beat.number = incarnation << 32;
}

void sessions_release(struct replica *r)
{
	drop_all(r);
	drop_beats(&r->sessions.gathering_beats);
	htable_release(&r->sessions.by_uuid);
	buf_release(&r->sessions.ended);
}

void sessions_reset(struct replica *r)
{
	struct sessions *t = &r->sessions;

	drop_all(r);
	drop_beats(&t->gathering_beats);
	buf_reset(&t->ended);
	t->epoch++;
	t->clock_ms = 0;
	t->tick_ms = replica_now(r);
	t->complete = t->listing = false;
	t->list_ms = 0;
	t->look_ms = 0;
}

/* ---- what the state has --------------------------------------------------------------------------- */

static void name_encode(const uint8_t uuid[KV_UUID_SIZE], uint64_t id, struct buf *out)
{
	buf_put(out, uuid, KV_UUID_SIZE);
	buf_put_le64(out, id);
}

static void list_page(struct replica *r, const uint8_t after[KV_UUID_SIZE])
{
	struct job_read *read = job_new(JOB_READ, sizeof(*read));

	read->session_list = true;
	read->min_index = r->applied_index;
	read->stamp = r->sessions.epoch;
	memcpy(read->uuid, after, KV_UUID_SIZE);
	r->sessions.listing = true;
	replica_submit(r, WORKER_READ, &read->job);
}

static void list_start(struct replica *r)
{
	static const uint8_t first[KV_UUID_SIZE];
	struct sessions *t = &r->sessions;

	t->complete = false;
	t->list_index = r->applied_index;
	buf_reset(&t->ended);
	list_for_each (it, &t->all)
		list_entry(it, struct session, link)->in_state = false;
	list_page(r, first);
}

static bool ended_meanwhile(const struct sessions *t, const uint8_t *name)
{
	for (size_t off = 0; off < t->ended.len; off += FS_SESSION_NAME_SIZE)
		if (memcmp(t->ended.data + off, name, FS_SESSION_NAME_SIZE) == 0)
			return true;
	return false;
}

/* An entry says so, or the table: there is this session. */
static void is_there(struct replica *r, const uint8_t uuid[KV_UUID_SIZE], uint64_t id)
{
	struct session *s = find(r, uuid);

	if (!s)
		s = add(r, uuid, id);
	s->id = id;
	s->in_state = true;
}

/* What calls itself a session that began before the listing, and is not listed, has ended. */
static void list_end(struct replica *r)
{
	struct sessions *t = &r->sessions;

	list_for_each_safe (it, &t->all) {
		struct session *s = list_entry(it, struct session, link);

		if (s->id != 0 && s->id <= t->list_index && !s->in_state)
			drop(r, s);
	}
	buf_reset(&t->ended);
	t->listing = false;
	t->complete = true;
}

void sessions_listed(struct replica *r, struct job_read *read)
{
	struct sessions *t = &r->sessions;
	const uint8_t *names = read->reply.data;
	size_t len = read->reply.len;

	if (read->stamp != t->epoch)
		return;
	if (!r->evaluating || read->job.status < 0) {
		t->listing = false;
		t->list_ms = t->clock_ms + LIST_AGAIN_MS;
		return;
	}
	if (len == 0) {
		list_end(r);
		return;
	}
	for (size_t off = 0; off < len; off += FS_SESSION_NAME_SIZE)
		if (!ended_meanwhile(t, names + off))
			is_there(r, names + off, load_le64(names + off + KV_UUID_SIZE));
	list_page(r, names + len - FS_SESSION_NAME_SIZE);
}

void sessions_applied(struct replica *r, const struct job_apply *apply)
{
	struct sessions *t = &r->sessions;

	r->session_count = apply->session_count;
	if (!r->evaluating)
		return;
	for (size_t i = 0; i < apply->session_change_count; i++) {
		const struct apply_session *c = &apply->session_changes[i];
		struct session *s = find(r, c->uuid);

		if (!c->ends) {
			is_there(r, c->uuid, c->id);
			continue;
		}
		if (s && s->id == c->id)
			drop(r, s);
		if (t->listing)
			name_encode(c->uuid, c->id, &t->ended);
	}
}

/* What a stopped process missed counts as TICK_MS_MAX at most. */
static void clock_advance(struct replica *r)
{
	struct sessions *t = &r->sessions;
	uint64_t now = replica_now(r);

	MARK_IF(now - t->tick_ms > TICK_MS_MAX, "node.sessions.clock-stood-still");
	t->clock_ms += min_u64(now - t->tick_ms, TICK_MS_MAX);
	t->tick_ms = now;
}

/* ---- heard ---------------------------------------------------------------------------------------- */

bool sessions_heard(struct replica *r, const uint8_t uuid[KV_UUID_SIZE], uint64_t id, bool holder,
		    uint64_t age_ms, uint64_t via)
{
	struct sessions *t = &r->sessions;
	struct session *s;

	if (!r->evaluating)
		return true;
	clock_advance(r); /* it was heard now, not at the last tick */
	s = find(r, uuid);
	/* Whoever names a session that this node must know if it existed is told that it does not. */
	if (id != 0 && t->complete && id <= r->applied_index && (!s || s->id != id)) {
		MARK("node.sessions.heard-of-one-that-ended");
		return false;
	}
	if (age_ms >= sessions_ttl_ms(r))
		return true;
	if (!s)
		s = add(r, uuid, id);
	if (s->bye)
		return true;
	if (s->id == 0)
		s->id = id;
	s->heard = true;
	s->holder = s->holder || holder;
	s->via = via;
	s->heard_ms = max_u64(s->heard_ms, t->clock_ms > age_ms ? t->clock_ms - age_ms : 0);
	return true;
}

bool sessions_is_ending(const struct replica *r, const uint8_t uuid[KV_UUID_SIZE])
{
	const struct session *s = find(r, uuid);

	return s && (s->ending || recalls_is_revoking(r, s->id));
}

void sessions_bye(struct replica *r, const uint8_t uuid[KV_UUID_SIZE])
{
	struct session *s = r->evaluating ? find(r, uuid) : NULL;

	if (s && s->id == 0) {
		drop(r, s);
	} else if (s) {
		s->bye = s->heard = true;
		s->holder = false;
	}
}

/* ---- ends ----------------------------------------------------------------------------------------- */

/*
 * Who said goodbye still stays for a time to live. Its end raises the floor for new sessions to its
 * stamp, and others, who took theirs before that, may not have got through with their first operation.
 */
static bool is_due(const struct replica *r, const struct session *s)
{
	uint64_t since = s->bye ? s->since_ms : s->heard_ms;

	return r->sessions.clock_ms - since > ttl_long_ms(r);
}

/* true: its end is to be proposed now. Once it was it may come whatever is heard meanwhile. */
static bool judge(struct replica *r, struct session *s)
{
	struct sessions *t = &r->sessions;

	if (s->ending && t->clock_ms - s->ending_ms <= END_AGAIN_MS)
		return false;
	if (s->ending) {
		/* An end that never came: what we take for a session may not be one any more. */
		MARK("node.sessions.end-never-applied");
		t->complete = false;
	} else if (!is_due(r, s)) {
		return false;
	}
	if (s->id == 0) {
		drop(r, s);
		return false;
	}
	s->ending = true;
	s->ending_ms = t->clock_ms;
	return true;
}

static void end_silent(struct replica *r)
{
	struct fs_request rq = { .op = FS_SESSION_END };
	struct buf names = BUF_INIT;

	list_for_each_safe (it, &r->sessions.all) {
		struct session *s = list_entry(it, struct session, link);
		uint64_t silent_ms = r->sessions.clock_ms - s->heard_ms;
		bool bye = s->bye;

		if (names.len == (size_t)KV_SESSION_ENDS_MAX * FS_SESSION_NAME_SIZE)
			break;
		if (!judge(r, s))
			continue;
		name_encode(s->uuid, s->id, &names);
		if (!bye)
			log_info("sessions", "session %llu ends: unheard for %llu ms",
				 (unsigned long long)s->id, (unsigned long long)silent_ms);
	}
	if (names.len > 0) {
		rq.data = names.data;
		rq.data_len = names.len;
		replica_evaluate_internal(r, &rq);
	}
	buf_release(&names);
}

void sessions_tick(struct replica *r)
{
	struct sessions *t = &r->sessions;

	if (!r->evaluating)
		return;
	clock_advance(r);
	if (!t->complete && !t->listing && t->clock_ms >= t->list_ms)
		list_start(r);
	if (!t->complete || t->clock_ms < t->look_ms)
		return;
	t->look_ms = t->clock_ms + max_u64(100, sessions_ttl_ms(r) / 64);
	end_silent(r);
}

uint64_t sessions_clock_ms(const struct replica *r)
{
	return r->evaluating ? r->sessions.clock_ms : 0;
}

bool sessions_all_known(const struct replica *r)
{
	return r->sessions.complete && r->sessions.clock_ms > ttl_long_ms(r);
}

struct session *sessions_find(struct replica *r, const uint8_t uuid[KV_UUID_SIZE])
{
	return find(r, uuid);
}

const struct session *sessions_by_id(const struct replica *r, uint64_t id)
{
	list_for_each (it, &r->sessions.all) {
		const struct session *s = list_entry(it, struct session, link);

		if (s->id == id)
			return s;
	}
	return NULL;
}

/* ---- beats ---------------------------------------------------------------------------------------- */

void sessions_on_beat(struct replica *r, uint64_t node, uint64_t number, struct buf *ended)
{
	bool settled = r->evaluating && r->applied_index >= r->evaluates_above;
	struct beat *b;

	/*
	 * An earlier leader may have ended any of them by an entry that is not applied here yet. The node says the same
	 * again.
	 */
	MARK_IF(r->evaluating && !settled, "node.sessions.beat-before-own-entry");
	if (settled && number != 0) {
		b = mem_calloc(1, sizeof(*b));
		b->node = node;
		b->number = number;
		b->epoch = r->sessions.epoch;
		b->ended = *ended;
		*ended = BUF_INIT;
		list_add_tail(&r->sessions.gathering_beats, &b->link);
	}
	buf_release(ended);
}

/*
 * Answer to a beat: NODE_KEPT    off size
 *   version, now 1                 0   1
 *   number of the beat             1   8
 *   time to live, ms               9   4
 *   stamp                         13   8
 *   sessions that ended: names    21   24 each, to the end
 */
#define KEPT_VERSION 1

void sessions_confirm_beats(struct replica *r, struct list *beats)
{
	list_for_each_safe (it, beats) {
		struct beat *b = list_entry(it, struct beat, link);
		struct buf frame = BUF_INIT;

		buf_put_u8(&frame, KEPT_VERSION);
		buf_put_le64(&frame, b->number);
		buf_put_le32(&frame, (uint32_t)sessions_ttl_ms(r));
		buf_put_le64(&frame, r->applied_index);
		buf_put(&frame, b->ended.data, b->ended.len);
		MARK_IF(b->epoch != r->sessions.epoch, "node.sessions.beat-of-another-leadership");
		if (r->evaluating && b->epoch == r->sessions.epoch) {
			if (b->node == r->options.self)
				sessions_on_kept(r, frame.data, frame.len);
			else
				r->ops->send_peer(r->ctx, b->node, NET_NODE_KEPT, &frame);
		}
		buf_release(&frame);
		free_beat(b);
	}
}

void sessions_on_kept(struct replica *r, const uint8_t *payload, size_t len)
{
	struct cursor c = cursor_init(payload, len);
	uint8_t version = cursor_u8(&c);
	uint64_t number = cursor_le64(&c);
	struct kept kept = { .number = number, .ttl_ms = cursor_le32(&c) };

	kept.stamp = cursor_le64(&c);
	kept.names_len = cursor_left(&c);
	kept.names = cursor_bytes(&c, kept.names_len);
	if (version != KEPT_VERSION || !cursor_at_end(&c) || kept.names_len % FS_SESSION_NAME_SIZE != 0 ||
	    number != r->beat.number || !r->beat.open)
		return;
	r->beat.open = false;
	client_kept(r, &kept);
}

bool kept_has_ended(const struct kept *kept, const uint8_t uuid[KV_UUID_SIZE], uint64_t id)
{
	for (size_t off = 0; off < kept->names_len; off += FS_SESSION_NAME_SIZE)
		if (memcmp(kept->names + off, uuid, KV_UUID_SIZE) == 0 &&
		    load_le64(kept->names + off + KV_UUID_SIZE) == id)
			return true;
	return false;
}

/* ---- for people ------------------------------------------------------------------------------------- */

ssize_t replica_sessions(struct replica *r, size_t max, struct replica_session_info **out)
{
	size_t count = 0;

	*out = NULL;
	if (!r->evaluating)
		return -EPERM;
	if (r->sessions.by_uuid.count == 0)
		return 0;
	*out = mem_calloc(min_u64(max, r->sessions.by_uuid.count), sizeof(**out));
	list_for_each (it, &r->sessions.all) {
		const struct session *s = list_entry(it, struct session, link);
		struct replica_session_info *info = &(*out)[count];

		if (count++ == max)
			return (ssize_t)max;
		*info = (struct replica_session_info){
			.id = s->id,
			.node = s->via,
			.heard = s->heard,
			.holder = s->holder,
			.gone = s->bye,
			.heard_ms_ago = r->sessions.clock_ms - s->heard_ms,
		};
		memcpy(info->uuid, s->uuid, KV_UUID_SIZE);
	}
	return (ssize_t)count;
}
