/* test_session.c - the client session against a channel that remembers what it was given. */
#include "base/prng.h"
#include "tests/unit/fs/session_rig.h"

/* ---- numbers ---- */

static void changes_are_numbered_from_one_and_reads_are_not(void **state)
{
	struct fixture *f = *state;

	be_up(f);
	submit(f, FS_MKDIR, 0);
	submit(f, FS_GETATTR, 1);
	submit(f, FS_UNLINK, 2);
	assert_int_equal(request(f, 0).seq, 1);
	assert_int_equal(request(f, 1).seq, 0);
	assert_int_equal(request(f, 2).seq, 2);
	assert_int_equal(request(f, 2).op, FS_UNLINK);
	assert_int_not_equal(request(f, 0).tag, request(f, 1).tag);
}

static void low_is_the_lowest_number_not_answered(void **state)
{
	struct fixture *f = *state;

	be_up(f);
	submit(f, FS_MKDIR, 0);
	submit(f, FS_MKDIR, 1);
	reply_to(f, request(f, 1), 0);
	submit(f, FS_MKDIR, 2);
	assert_int_equal(request(f, 2).low, 1); /* the second's answer does not move it */
	reply_to(f, request(f, 0), 0);
	submit(f, FS_MKDIR, 3);
	assert_int_equal(request(f, 3).low, 3);
	reply_to(f, request(f, 2), 0);
	reply_to(f, request(f, 3), 0);
	submit(f, FS_GETATTR, 4);
	assert_int_equal(request(f, 4).low, 5); /* nothing open: the next to come */
}

static void begin_is_said_until_the_session_is_known(void **state)
{
	struct fixture *f = *state;

	be_up(f);
	submit(f, FS_MKDIR, 0);
	assert_int_equal(request(f, 0).flags, FS_MSG_BEGIN);
	assert_int_equal(request(f, 0).session_id, 0);
	assert_int_equal(request(f, 0).stamp, 10);
	tell_stamp(f, 11);
	submit(f, FS_MKDIR, 1); /* the stamp that it begins with stays */
	assert_int_equal(request(f, 1).flags, FS_MSG_BEGIN);
	assert_int_equal(request(f, 1).stamp, 10);
	reply_to(f, request(f, 0), 0);
	submit(f, FS_MKDIR, 2);
	assert_int_equal(request(f, 2).flags, 0);
	assert_int_equal(request(f, 2).session_id, 42);
	assert_int_equal(request(f, 2).stamp, 0);
}

static void window_holds_back_what_the_store_could_not_remember(void **state)
{
	struct fixture *f = *state;
	uint64_t last = 0;

	be_up(f);
	for (size_t i = 0; i < KV_SESSION_WINDOW + 2; i++)
		last = submit(f, FS_MKDIR, i);
	submit(f, FS_GETATTR, 2000); /* reads pass */
	assert_int_equal(request(f, KV_SESSION_WINDOW).seq, 0);
	assert_int_equal(request_count(f), KV_SESSION_WINDOW + 1);
	atomic_store(&f->killed, true);
	fs_session_interrupt(f->s, last); /* never left */
	assert_answered(f, KV_SESSION_WINDOW + 1, -EINTR);
	reply_to(f, request(f, 1), 0); /* not the lowest */
	clock_sleep_ms(20);
	assert_int_equal(request_count(f), KV_SESSION_WINDOW + 1);
	reply_to(f, request(f, 0), 0);
	assert_int_equal(request(f, KV_SESSION_WINDOW + 1).seq, KV_SESSION_WINDOW + 1);
	assert_int_equal(request(f, KV_SESSION_WINDOW + 1).low, 3);
}

/* ---- again ---- */

static void nothing_leaves_before_the_channel_is_up(void **state)
{
	struct fixture *f = *state;
	struct fs_session_options o = hard_options(f);

	start(f, &o);
	submit(f, FS_MKDIR, 0);
	clock_sleep_ms(20);
	assert_int_equal(request_count(f), 0);
	up(f);
	assert_int_equal(request(f, 0).flags & FS_MSG_RETRY, 0);
}

static void a_new_connection_gets_all_that_is_unanswered_as_retry(void **state)
{
	struct fixture *f = *state;

	be_up(f);
	submit(f, FS_MKDIR, 0);
	submit(f, FS_GETATTR, 1);
	submit(f, FS_MKDIR, 2);
	reply_to(f, request(f, 0), 0);
	fs_session_on_down(f->s);
	up(f);
	for (size_t i = 3; i < 5; i++)
		assert_int_equal(request(f, i).flags & FS_MSG_RETRY, FS_MSG_RETRY);
	assert_int_equal(request(f, 3).tag, request(f, 1).tag);
	assert_int_equal(request(f, 4).seq, request(f, 2).seq);
	clock_sleep_ms(20);
	assert_int_equal(request_count(f), 5);
}

static void a_send_that_failed_is_no_retry_and_may_be_taken_back(void **state)
{
	struct fixture *f = *state;

	be_up(f);
	f->ch.broken = true;
	submit(f, FS_MKDIR, 0);
	uint64_t ticket = submit(f, FS_MKDIR, 1);

	fs_session_on_down(f->s);
	atomic_store(&f->killed, true);
	fs_session_interrupt(f->s, ticket);
	assert_answered(f, 1, -EINTR);
	f->ch.broken = false;
	up(f);
	assert_int_equal(request(f, 0).flags & FS_MSG_RETRY, 0);
	assert_open(f, 0);
}

static void resend_storms_are_at_most_one_in_fifty_ms(void **state)
{
	struct fixture *f = *state;

	be_up(f);
	submit(f, FS_MKDIR, 0);
	request(f, 0);
	for (int i = 0; i < 20; i++)
		say(f, FS_MSG_RESEND, 0, NULL, 0);
	assert_int_equal(request(f, 1).flags & FS_MSG_RETRY, FS_MSG_RETRY);
	clock_sleep_ms(120);
	assert_in_range(request_count(f), 2, 3);
}

static void copies_and_unknown_replies_are_ignored(void **state)
{
	struct fixture *f = *state;

	be_up(f);
	submit(f, FS_MKDIR, 0);
	reply_to(f, (struct seen){ .tag = 999, .seq = 1 }, 0);
	reply_to(f, (struct seen){ .tag = request(f, 0).tag, .seq = 9 }, 0);
	assert_open(f, 0);
	reply_to(f, request(f, 0), -EEXIST);
	reply_to(f, request(f, 0), 0);
	assert_answered(f, 0, -EEXIST);
	fs_session_on_message(f->s, "garbage", 7);
}

/* ---- giving up ---- */

static void soft_session_gives_up_and_never_sends_that_number_again(void **state)
{
	struct fixture *f = *state;
	struct fs_session_options o = hard_options(f);

	o.hard = false;
	o.timeo_ms = 60;
	start(f, &o);
	up(f);
	submit(f, FS_MKDIR, 0);
	struct seen first = request(f, 0);

	assert_answered(f, 0, -ETIMEDOUT);
	submit(f, FS_MKDIR, 1);
	assert_int_equal(request(f, 1).seq, 2);
	assert_int_equal(request(f, 1).low, 2);
	say(f, FS_MSG_RESEND, 0, NULL, 0);
	assert_int_equal(request(f, 2).seq, 2);
	reply_to(f, first, 0); /* too late */
	reply_to(f, request(f, 1), 0);
	assert_answered(f, 0, -ETIMEDOUT);
	assert_answered(f, 1, 0);
}

static void soft_session_gives_up_without_a_connection(void **state)
{
	struct fixture *f = *state;
	struct fs_session_options o = hard_options(f);

	o.hard = false;
	o.timeo_ms = 40;
	start(f, &o);
	submit(f, FS_GETATTR, 0);
	assert_answered(f, 0, -ETIMEDOUT);
}

static void sent_request_is_interrupted_only_by_a_kill(void **state)
{
	struct fixture *f = *state;

	be_up(f);
	uint64_t ticket = submit(f, FS_MKDIR, 0);

	request(f, 0);
	fs_session_interrupt(f->s, ticket);
	fs_session_interrupt(f->s, ticket);
	fs_session_interrupt(f->s, ticket + 5); /* unknown */
	clock_sleep_ms(150);
	assert_open(f, 0);
	atomic_store(&f->killed, true); /* no second interrupt comes: the timer must look */
	assert_answered(f, 0, -EINTR);
	reply_to(f, request(f, 0), 0);
	assert_answered(f, 0, -EINTR);
}

/* PostgreSQL's lseek() failed with EINTR while its node was started again. */
static void a_signal_interrupts_nothing_that_waits_for_a_node(void **state)
{
	struct fixture *f = *state;

	be_up(f);
	fs_session_on_down(f->s);
	fs_session_interrupt(f->s, submit(f, FS_GETATTR, 0));
	fs_session_interrupt(f->s, submit(f, FS_MKDIR, 1));
	fs_session_interrupt(f->s, submit(f, FS_SETLK, 2)); /* that is what a signal may do */
	assert_answered(f, 2, -EINTR);
	clock_sleep_ms(150);
	assert_open(f, 0);
	assert_open(f, 1);
	atomic_store(&f->killed, true);
	assert_answered(f, 0, -EINTR);
	assert_answered(f, 1, -EINTR);
}

static void a_wait_ends_by_any_signal_and_its_cleaning_up_by_a_kill_alone(void **state)
{
	struct fixture *f = *state;

	be_up(f);
	fs_session_interrupt(f->s, submit(f, FS_LOCK_WAIT, 0));
	assert_answered(f, 0, -EINTR);
	fs_session_on_down(f->s);
	fs_session_interrupt(f->s, submit(f, FS_LOCK_CANCEL, 1)); /* never sent */
	clock_sleep_ms(150);
	assert_open(f, 1);
	atomic_store(&f->killed, true);
	assert_answered(f, 1, -EINTR);
}

static void what_is_submitted_aside_is_sent_by_the_sessions_own_thread(void **state)
{
	struct fixture *f = *state;
	struct fs_request rq = { .op = FS_GETATTR, .ino = 1 };

	be_up(f);
	for (size_t i = 0; i < 50; i++)
		assert_int_equal(fs_session_submit_aside(f->s, &rq, 0, on_answer, &f->result[i], NULL), 0);
	for (size_t i = 0; i < 50; i++)
		reply_to(f, request(f, i), 0);
	for (size_t i = 0; i < 50; i++)
		assert_answered(f, i, 0);
}

static void node_without_progress_is_left(void **state)
{
	struct fixture *f = *state;
	struct fs_session_options o = hard_options(f);

	o.move_ms = 60;
	start(f, &o);
	up(f);
	clock_sleep_ms(150);
	assert_int_equal(f->ch.moves, 0); /* idle is no lack of progress */
	submit(f, FS_MKDIR, 0);
	clock_sleep_ms(400);
	pthread_mutex_lock(&f->ch.lock);
	assert_in_range(f->ch.moves, 1, 7);
	pthread_mutex_unlock(&f->ch.lock);
	assert_open(f, 0);
}

static void free_aborts_what_is_open_and_says_bye(void **state)
{
	struct fixture *f = *state;

	be_up(f);
	submit(f, FS_MKDIR, 0);
	fs_session_free(f->s);
	f->s = NULL;
	assert_answered(f, 0, -ECONNABORTED);
	assert_int_equal(nth(f, FS_MSG_BYE, 0, 0).type, FS_MSG_BYE);
}

/* ---- nodes speak first ---- */

static void query_is_answered_with_what_is_held(void **state)
{
	struct fixture *f = *state;
	const uint64_t inos[] = { 3, 4, 5 };

	be_up(f);
	say(f, FS_MSG_QUERY, 17, inos, 3);
	struct seen answer = nth(f, FS_MSG_ANSWER, 0, 2000);

	assert_int_equal(answer.type, FS_MSG_ANSWER);
	assert_int_equal(answer.tag, 17);
	assert_int_equal(answer.body_len, 8);
	assert_int_equal(answer.first_ino, 4);
}

static void holder_says_it_is_alive_once_a_second(void **state)
{
	struct fixture *f = *state;
	struct fs_session_options o = hard_options(f);

	o.holder = true;
	start(f, &o);
	up(f);
	/* How late is the machine's affair; not at once again is ours. */
	assert_int_equal(nth(f, FS_MSG_ALIVE, 0, 10000).type, FS_MSG_ALIVE);
	assert_int_equal(nth(f, FS_MSG_ALIVE, 0, 10000).flags, FS_MSG_HOLDER);
	assert_int_equal(nth(f, FS_MSG_ALIVE, 1, 200).type, 0);
	assert_int_equal(nth(f, FS_MSG_ALIVE, 1, 10000).type, FS_MSG_ALIVE);
}

/* ---- many threads ---- */

static void *answer_all(void *arg)
{
	struct fixture *f = arg;

	for (size_t i = 0; i < 2; i++)
		reply_to(f, request(f, i), 0);
	return NULL;
}

static void call_waits_for_its_reply(void **state)
{
	struct fixture *f = *state;
	struct fs_request rq = { .op = FS_MKDIR, .ino = 1, .name = "a", .name_len = 1 };
	struct buf hold = BUF_INIT;
	struct fs_reply reply;
	pthread_t server;

	be_up(f);
	pthread_create(&server, NULL, answer_all, f);
	assert_int_equal(fs_session_call(f->s, &rq, &reply, &hold), 0);
	assert_int_equal(reply.count, 1);
	assert_int_equal(fs_session_call(f->s, &rq, &reply, &hold), 0);
	pthread_join(server, NULL);
	buf_release(&hold);
}

#define STORM_THREADS 6
#define STORM_EACH 250

struct submitter {
	struct fixture *f;
	size_t first;
};

static void *submit_many(void *arg)
{
	struct submitter *s = arg;

	for (size_t i = 0; i < STORM_EACH; i++) {
		uint64_t ticket = submit(s->f, i % 3 ? FS_MKDIR : FS_GETATTR, s->first + i);

		if (i % 7 == 0)
			fs_session_interrupt(s->f->s, ticket);
	}
	return NULL;
}

/* Answers some of what was sent, twice at times, forgets some, breaks the connection now and then.
 */
static void disturb(struct fixture *f, struct prng *p)
{
	struct seen seen = { .type = 0 };
	uint64_t dice = prng_below(p, 100);

	pthread_mutex_lock(&f->ch.lock);
	if (f->ch.count > 0)
		seen = f->ch.seen[prng_below(p, f->ch.count)];
	if (f->ch.count > MAX_SEEN / 2)
		f->ch.count = 0; /* forgotten: must be sent again */
	f->ch.broken = dice == 1;
	pthread_mutex_unlock(&f->ch.lock);
	if (dice < 2)
		fs_session_on_down(f->s);
	if (dice < 4)
		up(f);
	else if (dice < 6)
		say(f, FS_MSG_RESEND, 0, NULL, 0);
	else if (seen.type == FS_MSG_REQUEST)
		reply_to(f, seen, dice < 10 ? -EEXIST : 0);
}

static void every_request_is_answered_exactly_once(void **state)
{
	struct fixture *f = *state;
	struct fs_session_options o = hard_options(f);
	struct submitter submitters[STORM_THREADS];
	pthread_t threads[STORM_THREADS];
	struct fs_session_stats stats;
	struct prng p;

	prng_init(&p, 0x5e55);
	start(f, &o);
	for (size_t i = 0; i < STORM_THREADS; i++) {
		submitters[i] = (struct submitter){ .f = f, .first = i * STORM_EACH };
		pthread_create(&threads[i], NULL, submit_many, &submitters[i]);
	}
	uint64_t until_ms = clock_boot_ms() + 20000;

	do {
		disturb(f, &p);
		fs_session_stats(f->s, &stats);
	} while ((stats.submitted < STORM_THREADS * STORM_EACH || stats.open > 0) &&
		 clock_boot_ms() < until_ms);
	for (size_t i = 0; i < STORM_THREADS; i++)
		pthread_join(threads[i], NULL);
	fs_session_stats(f->s, &stats);
	assert_int_equal(stats.open, 0);
	assert_int_equal(stats.submitted, STORM_THREADS * STORM_EACH);
	clock_sleep_ms(20); /* the last callback may still run */
	for (size_t i = 0; i < STORM_THREADS * STORM_EACH; i++)
		assert_int_equal(atomic_load(&f->result[i].calls), 1);
}

int main(void)
{
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CLAIM(changes_are_numbered_from_one_and_reads_are_not),
		CLAIM(low_is_the_lowest_number_not_answered),
		CLAIM(begin_is_said_until_the_session_is_known),
		CLAIM(window_holds_back_what_the_store_could_not_remember),
		CLAIM(nothing_leaves_before_the_channel_is_up),
		CLAIM(a_new_connection_gets_all_that_is_unanswered_as_retry),
		CLAIM(a_send_that_failed_is_no_retry_and_may_be_taken_back),
		CLAIM(resend_storms_are_at_most_one_in_fifty_ms),
		CLAIM(copies_and_unknown_replies_are_ignored),
		CLAIM(soft_session_gives_up_and_never_sends_that_number_again),
		CLAIM(soft_session_gives_up_without_a_connection),
		CLAIM(sent_request_is_interrupted_only_by_a_kill),
		CLAIM(a_signal_interrupts_nothing_that_waits_for_a_node),
		CLAIM(a_wait_ends_by_any_signal_and_its_cleaning_up_by_a_kill_alone),
		CLAIM(what_is_submitted_aside_is_sent_by_the_sessions_own_thread),
		CLAIM(node_without_progress_is_left),
		CLAIM(free_aborts_what_is_open_and_says_bye),
		CLAIM(query_is_answered_with_what_is_held),
		CLAIM(holder_says_it_is_alive_once_a_second),
		CLAIM(call_waits_for_its_reply),
		CLAIM(every_request_is_answered_exactly_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
