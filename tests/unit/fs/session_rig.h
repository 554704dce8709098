/*
 * session_rig.h - a client session under test, and a channel that remembers what it was given.
 */
#ifndef TESTS_UNIT_FS_SESSION_RIG_H
#define TESTS_UNIT_FS_SESSION_RIG_H

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/prng.h"
#include "fs/fs_session.h"
#include "tests/lib/unit.h"

#define MAX_SEEN 8192

struct seen {
	uint8_t type, flags, op;
	uint8_t uuid[KV_UUID_SIZE];
	uint8_t data[FS_SESSION_NAME_SIZE]; /* SESSION_BEGIN: what it replaces */
	uint64_t tag, seq, low, session_id, stamp;
	size_t body_len;
	uint64_t first_ino;
};

struct channel {
	pthread_mutex_t lock; /* guards all below */
	struct seen seen[MAX_SEEN];
	size_t count;
	bool broken; /* send says -ENOTCONN */
	unsigned moves;
};

struct fixture {
	struct channel ch;
	struct fs_session *s;
	atomic_bool killed;
	struct {
		atomic_int calls, status;
	} result[2048];
};

static inline int channel_send(void *arg, const void *head, size_t head_len, const void *tail,
			size_t tail_len)
{
	struct channel *ch = arg;
	struct buf all = BUF_INIT;
	struct fs_request rq = { .op = 0 };
	struct fs_msg m;
	int ret = 0;

	buf_put(&all, head, head_len);
	buf_put(&all, tail, tail_len);
	assert_int_equal(fs_msg_decode(&m, all.data, all.len), 0);
	if (m.type == FS_MSG_REQUEST)
		assert_int_equal(fs_request_decode(&rq, m.body, m.body_len), 0);
	pthread_mutex_lock(&ch->lock);
	if (ch->broken) {
		ret = -ENOTCONN;
	} else if (ch->count < MAX_SEEN) {
		struct seen *seen = &ch->seen[ch->count++];

		*seen = (struct seen){
			.type = m.type,
			.flags = m.flags,
			.op = rq.op,
			.tag = m.tag,
			.seq = m.seq,
			.low = m.low,
			.session_id = m.session_id,
			.stamp = m.stamp,
			.body_len = m.body_len,
			.first_ino =
				m.type == FS_MSG_ANSWER && m.body_len >= 8 ? load_le64(m.body) : 0,
		};
		memcpy(seen->uuid, m.uuid, sizeof(seen->uuid));
		if (rq.op == FS_SESSION_BEGIN && rq.data_len == sizeof(seen->data))
			memcpy(seen->data, rq.data, sizeof(seen->data));
	}
	pthread_mutex_unlock(&ch->lock);
	buf_release(&all);
	return ret;
}

static inline void channel_move(void *arg)
{
	struct channel *ch = arg;

	pthread_mutex_lock(&ch->lock);
	ch->moves++;
	pthread_mutex_unlock(&ch->lock);
}

static const struct fs_channel_ops channel_ops = { .send = channel_send, .move = channel_move };

/* The nth message of that type, waited for at most two seconds; type 0 when there is none. */
static inline struct seen nth(struct fixture *f, uint8_t type, size_t n, unsigned wait_ms)
{
	for (unsigned waited = 0;; waited += 2) {
		size_t found = 0;

		pthread_mutex_lock(&f->ch.lock);
		for (size_t i = 0; i < f->ch.count; i++) {
			struct seen seen = f->ch.seen[i];

			if (seen.type == type && found++ == n) {
				pthread_mutex_unlock(&f->ch.lock);
				return seen;
			}
		}
		pthread_mutex_unlock(&f->ch.lock);
		if (waited >= wait_ms)
			return (struct seen){ .type = 0 };
		clock_sleep_ms(2);
	}
}

static inline struct seen request(struct fixture *f, size_t n)
{
	struct seen seen = nth(f, FS_MSG_REQUEST, n, 2000);

	assert_int_equal(seen.type, FS_MSG_REQUEST);
	return seen;
}

static inline size_t request_count(struct fixture *f)
{
	size_t count = 0;

	pthread_mutex_lock(&f->ch.lock);
	for (size_t i = 0; i < f->ch.count; i++)
		count += f->ch.seen[i].type == FS_MSG_REQUEST;
	pthread_mutex_unlock(&f->ch.lock);
	return count;
}

static inline bool is_killed(void *ctx, uint32_t pid)
{
	struct fixture *f = ctx;

	return pid == 77 && atomic_load(&f->killed);
}

static inline size_t held_even(void *ctx, uint64_t *inos, size_t count)
{
	size_t held = 0;

	(void)ctx;
	for (size_t i = 0; i < count; i++)
		if (inos[i] % 2 == 0)
			inos[held++] = inos[i];
	return held;
}

static inline struct fs_session_options hard_options(struct fixture *f)
{
	return (struct fs_session_options){
		.uuid = { 1, 2, 3 }, .hard = true, .killed = is_killed, .held = held_even, .ctx = f
	};
}

static inline void start(struct fixture *f, const struct fs_session_options *options)
{
	f->s = fs_session_new(options, &channel_ops, &f->ch);
}

static inline int setup(void **state)
{
	struct fixture *f = mem_calloc(1, sizeof(*f));

	log_set_level(LOG_NONE);
	pthread_mutex_init(&f->ch.lock, NULL);
	*state = f;
	return 0;
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;

	fs_session_free(f->s);
	pthread_mutex_destroy(&f->ch.lock);
	free(f);
	return 0;
}

static inline void on_answer(void *ctx, int status, const struct fs_reply *reply)
{
	struct {
		atomic_int calls, status;
	} *r = ctx;

	assert_true(reply != NULL || status != 0);
	assert_true(status == 0 || !reply || (!reply->has_attr && reply->data_len == 0));
	atomic_store(&r->status, status);
	atomic_fetch_add(&r->calls, 1);
}

static inline void tell_stamp(struct fixture *f, uint64_t stamp)
{
	struct buf out = BUF_INIT;

	fs_msg_encode(&(struct fs_msg){ .type = FS_MSG_STATE, .has_leader = true, .stamp = stamp }, &out);
	fs_session_on_message(f->s, out.data, out.len);
	buf_release(&out);
}

static inline uint64_t submit(struct fixture *f, uint8_t op, size_t slot)
{
	uint64_t ticket = 0;
	struct fs_request rq = { .op = op, .ino = 1, .name = "a", .name_len = 1 };

	assert_int_equal(fs_session_submit(f->s, &rq, 77, on_answer, &f->result[slot], &ticket), 0);
	return ticket;
}

/* Connected, and told from where a session may begin. */
static inline void up(struct fixture *f)
{
	fs_session_on_up(f->s);
	tell_stamp(f, 10);
}

/* What most tests begin with: a hard session that is up. */
static inline void be_up(struct fixture *f)
{
	struct fs_session_options o = hard_options(f);

	start(f, &o);
	up(f);
}

static inline void reply_to(struct fixture *f, struct seen seen, int status)
{
	struct buf body = BUF_INIT, out = BUF_INIT;
	struct fs_reply reply = { .count = 1 };

	fs_reply_encode(&reply, &body);
	fs_msg_encode(&(struct fs_msg){ .type = FS_MSG_REPLY,
					.flags = FS_MSG_FINAL,
					.tag = seen.tag,
					.seq = seen.seq,
					.status = status,
					.session_id = 42,
					.body = status == 0 ? body.data : NULL,
					.body_len = status == 0 ? body.len : 0 },
		      &out);
	fs_session_on_message(f->s, out.data, out.len);
	buf_release(&out);
	buf_release(&body);
}

static inline void say(struct fixture *f, uint8_t type, uint64_t tag, const uint64_t *inos, size_t count)
{
	struct buf body = BUF_INIT, out = BUF_INIT;

	for (size_t i = 0; i < count; i++)
		buf_put_le64(&body, inos[i]);
	fs_msg_encode(
		&(struct fs_msg){
			.type = type, .tag = tag, .body = body.data, .body_len = body.len },
		&out);
	fs_session_on_message(f->s, out.data, out.len);
	buf_release(&out);
	buf_release(&body);
}

static inline void assert_answered(struct fixture *f, size_t slot, int status)
{
	for (int i = 0; i < 1500 && atomic_load(&f->result[slot].calls) == 0; i++)
		clock_sleep_ms(2);
	assert_int_equal(atomic_load(&f->result[slot].calls), 1);
	assert_int_equal(atomic_load(&f->result[slot].status), status);
}

static inline void assert_open(struct fixture *f, size_t slot)
{
	assert_int_equal(atomic_load(&f->result[slot].calls), 0);
}

#endif
