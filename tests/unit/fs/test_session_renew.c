/*
 * test_session_renew.c - the client's side of a session's life: it begins, it is kept, it ends under the
 * client's feet, and another one begins; nothing is executed twice or under the wrong name.
 */
#include "tests/unit/fs/session_rig.h"

static void node_says(struct fixture *f, struct fs_msg m)
{
	struct buf body = BUF_INIT, out = BUF_INIT;
	struct fs_reply reply = { .count = 1 };

	if (m.type == FS_MSG_REPLY && m.status == 0) {
		fs_reply_encode(&reply, &body);
		m.body = body.data;
		m.body_len = body.len;
	}
	fs_msg_encode(&m, &out);
	fs_session_on_message(f->s, out.data, out.len);
	buf_release(&out);
	buf_release(&body);
}

static void answer(struct fixture *f, struct seen seen, int status, uint64_t session_id)
{
	node_says(f, (struct fs_msg){ .type = FS_MSG_REPLY,
				      .flags = FS_MSG_FINAL,
				      .tag = seen.tag,
				      .seq = seen.seq,
				      .session_id = session_id,
				      .status = status });
}

static void expired(struct fixture *f, struct seen seen, uint64_t stamp)
{
	node_says(f, (struct fs_msg){ .type = FS_MSG_REPLY,
				      .flags = FS_MSG_FINAL | FS_MSG_EXPIRED,
				      .tag = seen.tag,
				      .seq = seen.seq,
				      .stamp = stamp,
				      .status = -ESTALE });
}

static void kept(struct fixture *f, uint64_t tag, uint64_t session_id, uint32_t ttl_ms, uint8_t flags)
{
	node_says(f, (struct fs_msg){ .type = FS_MSG_KEPT,
				      .flags = flags,
				      .tag = tag,
				      .session_id = session_id,
				      .stamp = 30,
				      .ttl_ms = ttl_ms });
}

static void assert_replaces(struct seen seen, struct seen old, uint64_t id)
{
	assert_int_equal(seen.op, FS_SESSION_BEGIN);
	assert_memory_not_equal(seen.uuid, old.uuid, KV_UUID_SIZE);
	assert_memory_equal(seen.data, old.uuid, KV_UUID_SIZE);
	assert_int_equal(load_le64(seen.data + KV_UUID_SIZE), id);
	assert_int_equal(seen.flags & (FS_MSG_BEGIN | FS_MSG_RETRY), FS_MSG_BEGIN);
	assert_int_equal(seen.session_id, 0);
	assert_int_equal(seen.seq, 1);
}

static uint8_t begun_name[FS_SESSION_NAME_SIZE];
static unsigned begun_count;

/* ---- beginning ---- */

static void no_change_leaves_before_there_is_a_stamp(void **state)
{
	struct fixture *f = *state;
	struct fs_session_options o = hard_options(f);

	start(f, &o);
	fs_session_on_up(f->s);
	assert_int_equal(nth(f, FS_MSG_ALIVE, 0, 500).type, FS_MSG_ALIVE); /* asks for one */
	submit(f, FS_MKDIR, 0);
	submit(f, FS_GETATTR, 1);
	assert_int_equal(request(f, 0).op, FS_GETATTR);
	clock_sleep_ms(30);
	assert_int_equal(request_count(f), 1);
	tell_stamp(f, 7);
	assert_int_equal(request(f, 1).op, FS_MKDIR);
	assert_int_equal(request(f, 1).stamp, 7);
	assert_int_equal(request(f, 1).flags, FS_MSG_BEGIN);
}

static void a_mount_s_session_begins_before_it_changes_anything(void **state)
{
	struct fixture *f = *state;
	struct fs_session_options o = hard_options(f);
	struct fs_session_stats stats;

	o.holder = true;
	start(f, &o);
	up(f);
	assert_int_equal(request(f, 0).op, FS_SESSION_BEGIN);
	submit(f, FS_MKDIR, 0);
	submit(f, FS_GETATTR, 1); /* reads need no session */
	assert_int_equal(request(f, 0).flags, FS_MSG_BEGIN | FS_MSG_HOLDER);
	assert_int_equal(request(f, 1).op, FS_GETATTR);
	clock_sleep_ms(30);
	assert_int_equal(request_count(f), 2);
	answer(f, request(f, 0), 0, 42);
	assert_int_equal(request(f, 2).op, FS_MKDIR);
	assert_int_equal(request(f, 2).seq, 2);
	assert_int_equal(request(f, 2).low, 2);
	assert_int_equal(request(f, 2).session_id, 42);
	fs_session_stats(f->s, &stats);
	assert_int_equal(stats.session_id, 42);
	assert_int_equal(stats.submitted, 2);
}

static void a_beginning_that_is_refused_is_tried_again(void **state)
{
	struct fixture *f = *state;
	struct fs_session_options o = hard_options(f);

	o.holder = true;
	start(f, &o);
	up(f);
	submit(f, FS_MKDIR, 0);
	answer(f, request(f, 0), -EUSERS, 0);
	clock_sleep_ms(300);
	assert_int_equal(request_count(f), 1);
	assert_int_equal(request(f, 1).op, FS_SESSION_BEGIN);
	assert_int_equal(request(f, 1).seq, 1);
	assert_int_equal(request(f, 1).flags & FS_MSG_RETRY, FS_MSG_RETRY);
	answer(f, request(f, 1), 0, 42);
	answer(f, request(f, 2), 0, 42);
	assert_answered(f, 0, 0);
}

/* ---- kept ---- */

static void a_tool_keeps_what_it_has_begun(void **state)
{
	struct fixture *f = *state;
	struct fs_session_options o = hard_options(f);

	start(f, &o);
	fs_session_on_up(f->s);
	assert_int_equal(nth(f, FS_MSG_ALIVE, 0, 500).type, FS_MSG_ALIVE);
	tell_stamp(f, 10);
	assert_int_equal(nth(f, FS_MSG_ALIVE, 1, 1300).type, 0);
	submit(f, FS_KV_PUT, 0);
	answer(f, request(f, 0), 0, 42);
	submit(f, FS_KV_PUT, 0);
	assert_int_equal(nth(f, FS_MSG_ALIVE, 1, 1500).session_id, 42);
	kept(f, clock_boot_ms(), 42, 600, 0); /* a short time to live is kept more often */
	assert_int_equal(nth(f, FS_MSG_ALIVE, 4, 900).type, FS_MSG_ALIVE);
}

static void a_session_is_relied_on_for_its_time_from_when_it_said_so(void **state)
{
	struct fixture *f = *state;
	uint64_t said_ms;

	be_up(f);
	submit(f, FS_KV_PUT, 0);
	kept(f, clock_boot_ms() - 490, 0, 500, 0);
	assert_false(fs_session_is_kept(f->s, 42)); /* none has begun */
	answer(f, request(f, 0), 0, 42);
	clock_sleep_ms(10);
	said_ms = clock_boot_ms();
	kept(f, said_ms + 10000, 42, 500, 0); /* not what we sent */
	kept(f, said_ms - 496, 42, 500, 0);   /* 500 ms less 1 % are over */
	assert_false(fs_session_is_kept(f->s, 42));
	kept(f, said_ms, 41, 500, 0); /* another session */
	assert_false(fs_session_is_kept(f->s, 42));
	kept(f, said_ms, 42, 500, 0);
	assert_true(fs_session_is_kept(f->s, 42) || clock_boot_ms() > said_ms + 480);
	kept(f, said_ms - 300, 42, 500, 0); /* an older answer takes nothing away */
	assert_true(fs_session_is_kept(f->s, 42) || clock_boot_ms() > said_ms + 480);
	clock_sleep_ms(510);
	assert_false(fs_session_is_kept(f->s, 42));
	kept(f, clock_boot_ms(), 42, 500, 0);
	assert_true(fs_session_is_kept(f->s, 42));
}

/* Nobody ends without a leader, so what waits must not fail by the clock alone. */
static void a_lapse_alone_fails_nothing(void **state)
{
	struct fixture *f = *state;

	be_up(f);
	submit(f, FS_MKDIR, 0);
	answer(f, request(f, 0), 0, 42);
	kept(f, clock_boot_ms(), 42, 60, 0);
	submit(f, FS_MKDIR, 1);
	clock_sleep_ms(200);
	assert_false(fs_session_is_kept(f->s, 42));
	assert_open(f, 1);
	answer(f, request(f, 1), 0, 42);
	assert_answered(f, 1, 0);
}

static void a_change_after_a_lapse_waits_for_the_leader_s_word(void **state)
{
	struct fixture *f = *state;

	be_up(f);
	submit(f, FS_MKDIR, 0);
	answer(f, request(f, 0), 0, 42);
	kept(f, clock_boot_ms() - 60, 42, 60, 0); /* as after a sleep */
	submit(f, FS_MKDIR, 1);
	submit(f, FS_GETATTR, 2);
	assert_int_equal(request(f, 1).op, FS_GETATTR);
	clock_sleep_ms(30);
	assert_int_equal(request_count(f), 2);
	kept(f, clock_boot_ms(), 42, 30000, 0); /* it still lives */
	assert_int_equal(request(f, 2).session_id, 42);
	answer(f, request(f, 2), 0, 42);
	assert_answered(f, 1, 0);
}

static void a_change_after_a_lapse_does_not_fail_with_a_session_that_ended(void **state)
{
	struct fixture *f = *state;

	be_up(f);
	submit(f, FS_MKDIR, 0);
	answer(f, request(f, 0), 0, 42);
	kept(f, clock_boot_ms() - 60, 42, 60, 0);
	submit(f, FS_MKDIR, 1);
	kept(f, clock_boot_ms(), 42, 30000, FS_MSG_EXPIRED);
	assert_replaces(request(f, 1), request(f, 0), 42);
	answer(f, request(f, 1), 0, 77);
	answer(f, request(f, 2), 0, 77);
	assert_answered(f, 1, 0);
}

/* As when the machine sleeps before the first keep-alive of a session is confirmed. */
static void a_session_that_was_never_confirmed_lapses_too(void **state)
{
	struct fixture *f = *state;

	be_up(f);
	submit(f, FS_MKDIR, 0);
	answer(f, request(f, 0), 0, 42);
	kept(f, clock_boot_ms(), 42, 60, FS_MSG_EXPIRED);
	submit(f, FS_MKDIR, 1);
	answer(f, request(f, 1), 0, 77);
	answer(f, request(f, 2), 0, 77);
	assert_answered(f, 1, 0);
	clock_sleep_ms(80);
	submit(f, FS_MKDIR, 2);
	clock_sleep_ms(30);
	assert_int_equal(request_count(f), 3);
	kept(f, clock_boot_ms(), 77, 30000, FS_MSG_EXPIRED);
	assert_replaces(request(f, 3), request(f, 1), 77);
	assert_open(f, 2);
	answer(f, request(f, 3), 0, 99);
	answer(f, request(f, 4), 0, 99);
	assert_answered(f, 2, 0);
}

/* ---- ended ---- */

static void what_was_sent_fails_and_the_rest_goes_on_in_the_next_session(void **state)
{
	struct fixture *f = *state;
	struct fs_session_stats stats;
	struct seen old, begin;

	be_up(f);
	submit(f, FS_MKDIR, 0);
	answer(f, request(f, 0), 0, 42);
	for (size_t i = 1; i <= KV_SESSION_WINDOW + 2; i++) /* two more than the window takes */
		submit(f, FS_MKDIR, i);
	submit(f, FS_GETATTR, 2000);
	old = request(f, 1);
	assert_int_equal(request(f, KV_SESSION_WINDOW + 1).op, FS_GETATTR);
	assert_int_equal(request_count(f), KV_SESSION_WINDOW + 2);
	expired(f, old, 20);
	for (size_t i = 1; i <= KV_SESSION_WINDOW; i++)
		assert_answered(f, i, -EIO);
	begin = request(f, KV_SESSION_WINDOW + 2);
	assert_replaces(begin, old, 42);
	assert_int_equal(begin.stamp, 20);
	clock_sleep_ms(30);
	assert_int_equal(request_count(f), KV_SESSION_WINDOW + 3); /* nothing overtakes it */
	answer(f, begin, 0, 77);
	for (size_t i = 0; i < 2; i++) {
		struct seen seen = request(f, KV_SESSION_WINDOW + 3 + i);

		assert_int_equal(seen.op, FS_MKDIR);
		assert_int_equal(seen.seq, 2 + i);
		assert_int_equal(seen.session_id, 77);
		assert_int_equal(seen.flags, 0);
		assert_memory_equal(seen.uuid, begin.uuid, KV_UUID_SIZE);
		answer(f, seen, 0, 77);
		assert_answered(f, KV_SESSION_WINDOW + 1 + i, 0);
	}
	assert_open(f, 2000); /* the read was sent and will be answered */
	answer(f, request(f, KV_SESSION_WINDOW + 1), 0, 0);
	assert_answered(f, 2000, 0);
	fs_session_stats(f->s, &stats);
	assert_int_equal(stats.ended, 1);
	assert_int_equal(stats.open, 0);
}

static void an_idle_mount_is_told_by_its_keep_alive(void **state)
{
	struct fixture *f = *state;
	struct fs_session_options o = hard_options(f);

	o.holder = true;
	start(f, &o);
	up(f);
	answer(f, request(f, 0), 0, 42);
	kept(f, clock_boot_ms(), 41, 500, FS_MSG_EXPIRED); /* of another one: nothing */
	clock_sleep_ms(20);
	assert_int_equal(request_count(f), 1);
	kept(f, clock_boot_ms(), 42, 500, FS_MSG_EXPIRED);
	assert_replaces(request(f, 1), request(f, 0), 42);
	assert_int_equal(request(f, 1).stamp, 30);
	submit(f, FS_MKDIR, 0);
	answer(f, request(f, 1), 0, 77);
	answer(f, request(f, 2), 0, 77);
	assert_int_equal(request(f, 2).session_id, 77);
	assert_answered(f, 0, 0);
}

static void note_begun(void *ctx, const uint8_t name[FS_SESSION_NAME_SIZE])
{
	(void)ctx;
	memcpy(begun_name, name, sizeof(begun_name));
	begun_count++;
}

static void a_mount_ends_its_predecessor_and_tells_its_name(void **state)
{
	struct fixture *f = *state;
	struct fs_session_options o = hard_options(f);
	struct seen begin;

	o.holder = o.has_replaces = true;
	memset(o.replaces, 7, sizeof(o.replaces));
	o.begun = note_begun;
	begun_count = 0;
	start(f, &o);
	up(f);
	begin = request(f, 0);
	assert_int_equal(begin.op, FS_SESSION_BEGIN);
	assert_memory_equal(begin.data, o.replaces, sizeof(o.replaces));
	answer(f, begin, 0, 42);
	assert_int_equal(begun_count, 1);
	assert_memory_equal(begun_name, begin.uuid, KV_UUID_SIZE);
	assert_int_equal(load_le64(begun_name + KV_UUID_SIZE), 42);
	submit(f, FS_MKDIR, 0);
	answer(f, request(f, 1), 0, 42);
	assert_int_equal(begun_count, 1);
	kept(f, clock_boot_ms(), 42, 500, FS_MSG_EXPIRED);
	assert_replaces(request(f, 2), begin, 42); /* and not the first one again */
	answer(f, request(f, 2), 0, 77);
	assert_int_equal(begun_count, 2);
	assert_int_equal(load_le64(begun_name + KV_UUID_SIZE), 77);
}

/* An answer to what was asked under a lock may come only when the next session is kept. */
static void what_one_gave_is_not_kept_by_the_next(void **state)
{
	struct fixture *f = *state;
	struct fs_session_options o = hard_options(f);

	o.holder = true;
	start(f, &o);
	up(f);
	answer(f, request(f, 0), 0, 42);
	kept(f, clock_boot_ms(), 42, 30000, 0);
	assert_true(fs_session_is_kept(f->s, 42));
	assert_false(fs_session_is_kept(f->s, 0));
	kept(f, clock_boot_ms(), 42, 30000, FS_MSG_EXPIRED);
	answer(f, request(f, 1), 0, 77);
	kept(f, clock_boot_ms(), 77, 30000, 0);
	assert_true(fs_session_is_kept(f->s, 77));
	assert_false(fs_session_is_kept(f->s, 42));
}

static uint64_t lost_id;

static void note_lost(void *ctx, uint64_t session_id)
{
	struct fixture *f = ctx;

	lost_id = session_id;
	/* No lock is held, and the session is another one already. */
	assert_int_equal(fs_session_id(f->s), 0);
	assert_false(fs_session_is_kept(f->s, session_id));
}

static void what_a_session_gave_is_said_to_be_lost(void **state)
{
	struct fixture *f = *state;
	struct fs_session_options o = hard_options(f);

	o.lost = note_lost;
	lost_id = 0;
	start(f, &o);
	up(f);
	submit(f, FS_MKDIR, 0);
	expired(f, request(f, 0), 20);
	assert_int_equal(lost_id, 0); /* none had begun */
	answer(f, request(f, 1), 0, 42);
	assert_int_equal(fs_session_id(f->s), 42);
	kept(f, clock_boot_ms(), 42, 500, 0);
	kept(f, clock_boot_ms(), 42, 500, FS_MSG_EXPIRED);
	assert_int_equal(lost_id, 42);
}

static void answers_of_the_old_session_mean_nothing_to_the_new_one(void **state)
{
	struct fixture *f = *state;
	struct fs_session_stats stats;

	be_up(f);
	submit(f, FS_MKDIR, 0);
	answer(f, request(f, 0), 0, 42);
	submit(f, FS_MKDIR, 1);
	submit(f, FS_MKDIR, 2);
	expired(f, request(f, 1), 20);
	assert_answered(f, 1, -EIO);
	assert_answered(f, 2, -EIO);
	answer(f, request(f, 2), 0, 42);  /* it did execute after all */
	expired(f, request(f, 2), 21);    /* and this is one more copy */
	kept(f, clock_boot_ms(), 42, 500, FS_MSG_EXPIRED);
	submit(f, FS_MKDIR, 3);
	answer(f, request(f, 3), 0, 77);
	answer(f, request(f, 4), 0, 77);
	assert_answered(f, 3, 0);
	assert_answered(f, 2, -EIO);
	assert_int_equal(request(f, 4).session_id, 77);
	fs_session_stats(f->s, &stats);
	assert_int_equal(stats.ended, 1);
	assert_int_equal(stats.session_id, 77);
}

/* Its only copy was refused, and no other one is there: it has executed nowhere. */
static void a_first_operation_refused_for_its_stamp_goes_again(void **state)
{
	struct fixture *f = *state;

	be_up(f);
	submit(f, FS_KV_PUT, 0);
	expired(f, request(f, 0), 20);
	assert_int_equal(request(f, 1).op, FS_KV_PUT);
	assert_int_equal(request(f, 1).stamp, 20);
	assert_int_equal(request(f, 1).flags, FS_MSG_BEGIN);
	assert_int_equal(request(f, 1).seq, 1);
	assert_memory_not_equal(request(f, 1).uuid, request(f, 0).uuid, KV_UUID_SIZE);
	answer(f, request(f, 0), 0, 42); /* too late, and of nobody */
	assert_open(f, 0);
	answer(f, request(f, 1), 0, 77);
	assert_answered(f, 0, 0);
}

static void a_first_operation_sent_twice_fails(void **state)
{
	struct fixture *f = *state;

	be_up(f);
	submit(f, FS_KV_PUT, 0);
	request(f, 0);
	say(f, FS_MSG_RESEND, 0, NULL, 0);
	expired(f, request(f, 1), 20); /* the first copy may have executed before */
	assert_answered(f, 0, -EIO);
	submit(f, FS_KV_PUT, 1);
	assert_int_equal(request(f, 2).stamp, 20);
	assert_int_equal(request(f, 2).op, FS_KV_PUT); /* nothing to replace that anybody knew of */
	answer(f, request(f, 2), 0, 77);
	assert_answered(f, 1, 0);
}

static void a_mount_whose_beginning_is_refused_for_its_stamp_begins_anew(void **state)
{
	struct fixture *f = *state;
	struct fs_session_options o = hard_options(f);

	o.holder = true;
	start(f, &o);
	up(f);
	submit(f, FS_MKDIR, 0);
	request(f, 0);
	say(f, FS_MSG_RESEND, 0, NULL, 0);
	expired(f, request(f, 1), 20);
	assert_int_equal(request(f, 2).op, FS_SESSION_BEGIN);
	assert_int_equal(request(f, 2).stamp, 20);
	answer(f, request(f, 2), 0, 77);
	answer(f, request(f, 3), 0, 77);
	assert_answered(f, 0, 0); /* it had never left */
}

static void a_session_may_end_while_it_is_freed_or_out_of_reach(void **state)
{
	struct fixture *f = *state;
	struct fs_session_options o = hard_options(f);

	o.holder = true;
	start(f, &o);
	up(f);
	answer(f, request(f, 0), 0, 42);
	submit(f, FS_MKDIR, 0);
	request(f, 1);
	fs_session_on_down(f->s);
	fs_session_on_up(f->s);
	expired(f, request(f, 2), 20);
	assert_answered(f, 0, -EIO);
	fs_session_on_down(f->s);
	submit(f, FS_MKDIR, 1); /* waits behind the beginning */
	fs_session_free(f->s);
	f->s = NULL;
	assert_answered(f, 1, -ECONNABORTED);
}

/* ---- at random ---- */

#define SUBMITTERS 4
#define EACH 300

static void *submit_some(void *arg)
{
	struct fixture *f = ((void **)arg)[0];
	size_t first = (size_t)(uintptr_t)((void **)arg)[1] * EACH;

	for (size_t i = 0; i < EACH; i++)
		submit(f, i % 4 ? FS_MKDIR : FS_GETATTR, first + i);
	return NULL;
}

/*
 * A node that executes a number once for each session, tells that sessions ended, forgets, and breaks
 * connections. No change that was answered with success was executed by two sessions.
 */
static void no_change_succeeds_in_two_sessions(void **state)
{
	struct fixture *f = *state;
	struct fs_session_options o = hard_options(f);
	void *args[SUBMITTERS][2];
	pthread_t threads[SUBMITTERS];
	struct fs_session_stats stats;
	uint64_t until_ms = clock_boot_ms() + 20000, stamp = 10;
	uint8_t dead[64][KV_UUID_SIZE];
	size_t dead_count = 0, at = 0;
	struct prng p;

	prng_init(&p, 0xe4d);
	o.holder = true;
	start(f, &o);
	up(f);
	for (size_t i = 0; i < SUBMITTERS; i++) {
		args[i][0] = f;
		args[i][1] = (void *)(uintptr_t)i;
		pthread_create(&threads[i], NULL, submit_some, args[i]);
	}
	do {
		struct seen seen = { .type = 0 };
		uint64_t dice = prng_below(&p, 200);
		bool is_dead = false;

		pthread_mutex_lock(&f->ch.lock);
		if (at < f->ch.count)
			seen = f->ch.seen[at++];
		if (f->ch.count == MAX_SEEN)
			f->ch.count = at = 0;
		pthread_mutex_unlock(&f->ch.lock);
		for (size_t i = 0; i < dead_count; i++)
			is_dead = is_dead || memcmp(dead[i], seen.uuid, KV_UUID_SIZE) == 0;
		if (dice == 0) {
			fs_session_on_down(f->s);
			fs_session_on_up(f->s);
		} else if (dice == 1) {
			say(f, FS_MSG_RESEND, 0, NULL, 0);
		}
		if (seen.type == FS_MSG_REQUEST && seen.seq == 0) {
			answer(f, seen, 0, 0);
		} else if (seen.type == FS_MSG_REQUEST && is_dead) {
			expired(f, seen, ++stamp);
		} else if (seen.type == FS_MSG_REQUEST && dice == 2 && seen.session_id != 0 && dead_count < 64) {
			memcpy(dead[dead_count++], seen.uuid, KV_UUID_SIZE);
			expired(f, seen, ++stamp);
		} else if (seen.type == FS_MSG_REQUEST && dice > 4) {
			answer(f, seen, 0, 1000 + dead_count);
		}
		if (seen.type == 0)
			clock_sleep_ms(1);
		if (seen.type == 0 && prng_below(&p, 10) == 0)
			say(f, FS_MSG_RESEND, 0, NULL, 0);
		fs_session_stats(f->s, &stats);
	} while ((stats.submitted < SUBMITTERS * EACH || stats.open > 0) && clock_boot_ms() < until_ms);
	for (size_t i = 0; i < SUBMITTERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(stats.open, 0);
	clock_sleep_ms(20);
	for (size_t i = 0; i < SUBMITTERS * EACH; i++) {
		int status = atomic_load(&f->result[i].status);

		assert_int_equal(atomic_load(&f->result[i].calls), 1);
		assert_true(status == 0 || (status == -EIO && i % 4 != 0));
	}
	assert_true(stats.ended > 0 && stats.ended == dead_count);
}

int main(void)
{
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CLAIM(no_change_leaves_before_there_is_a_stamp),
		CLAIM(a_mount_s_session_begins_before_it_changes_anything),
		CLAIM(a_beginning_that_is_refused_is_tried_again),
		CLAIM(a_tool_keeps_what_it_has_begun),
		CLAIM(a_session_is_relied_on_for_its_time_from_when_it_said_so),
		CLAIM(a_lapse_alone_fails_nothing),
		CLAIM(a_change_after_a_lapse_waits_for_the_leader_s_word),
		CLAIM(a_change_after_a_lapse_does_not_fail_with_a_session_that_ended),
		CLAIM(what_was_sent_fails_and_the_rest_goes_on_in_the_next_session),
		CLAIM(a_mount_ends_its_predecessor_and_tells_its_name),
		CLAIM(an_idle_mount_is_told_by_its_keep_alive),
		CLAIM(what_one_gave_is_not_kept_by_the_next),
		CLAIM(what_a_session_gave_is_said_to_be_lost),
		CLAIM(a_session_that_was_never_confirmed_lapses_too),
		CLAIM(answers_of_the_old_session_mean_nothing_to_the_new_one),
		CLAIM(a_first_operation_refused_for_its_stamp_goes_again),
		CLAIM(a_first_operation_sent_twice_fails),
		CLAIM(a_mount_whose_beginning_is_refused_for_its_stamp_begins_anew),
		CLAIM(a_session_may_end_while_it_is_freed_or_out_of_reach),
		CLAIM(no_change_succeeds_in_two_sessions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
