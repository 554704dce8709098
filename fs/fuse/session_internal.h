/*
 * session_internal.h - the client session from inside: its calls (session_call.c), how it begins and begins
 * again (session_begin.c), its two threads (session_threads.c). Lock: all of these with it held.
 */
#ifndef FS_SESSION_INTERNAL_H
#define FS_SESSION_INTERNAL_H

#include <pthread.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mark.h"
#include "fs/fs_session.h"

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
	bool waits;   /* a read that may take long: any signal ends it */
	bool locks;   /* any signal ends it while it was never sent */
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
		lock; /* guards all below and every call; never held in ops, fn, begun, lost, held, killed */
	pthread_cond_t sender_wake, timer_wake;
	bool closing, connected, has_leader;
	struct list all, blocked, outgoing, sent, numbered, control;
	struct htable by_tag;
	uint64_t next_tag, next_seq; /* the next to give */
	uint8_t uuid[KV_UUID_SIZE];
	uint64_t session_id;     /* 0 until a reply brought it */
	uint64_t stamp;          /* the newest heard; 0: none yet, so no session can begin */
	uint64_t begin_stamp;    /* fixed when the first number is given; 0: not yet */
	uint64_t first_tag;      /* of this session: what lower ones bring is of another one */
	struct call *begin;      /* under way; NULL: none */
	uint64_t begin_again_ms; /* it was refused: again then; 0: not */
	uint8_t replaces[FS_SESSION_NAME_SIZE];
	bool has_replaces;
	uint32_t ttl_ms;   /* 0: not heard yet */
	uint64_t kept_ms;  /* when the last ALIVE left that a leader confirmed; 0: none */
	uint64_t begun_ms; /* when it was learnt that the session began */
	bool lapse_said;
	bool brisk; /* keep-alives are to be confirmed soon */
	unsigned direct_senders;
	unsigned interrupted_count;
	bool storm_due; /* send again what was sent before; not before storm_ms */
	uint64_t storm_ms, last_storm_ms;
	uint64_t up_ms, last_reply_ms, last_move_ms, last_alive_ms;
	uint64_t timer_sleeps_until_ms;
	struct fs_session_stats stats;
};

/* ---- session_call.c ---- */

void session_call_unref(struct call *c);
void session_name(const struct fs_session *s, uint8_t name[FS_SESSION_NAME_SIZE]);
/* NULL: no such call. */
struct call *session_call_find(struct fs_session *s, uint64_t tag);
/* Has a leader confirmed it within so long, by our clock and with the bound on clock rates? */
bool session_is_fresh(const struct fs_session *s, uint64_t now, uint32_t ms);
/* ... within its time to live? */
bool session_is_kept(const struct fs_session *s, uint64_t now);
/* Its time is over without a word: it may have ended. */
bool session_is_lapsed(const struct fs_session *s);
/* Gives numbers to changes as far as the window reaches; they become outgoing. */
void session_number_blocked(struct fs_session *s);
void session_wake_sender(struct fs_session *s);
/* Takes the call out of everything: from here on nobody else can answer it. */
void session_call_detach(struct fs_session *s, struct call *c);
/* Answers a call. The lock is let go while the callback runs and for it alone. */
void session_call_finish(struct fs_session *s, struct call *c, int status,
			 const struct fs_reply *reply);
/* Appends m with what all messages of the session say. */
void session_message_encode(const struct fs_session *s, struct fs_msg *m, struct buf *out);
/* Hands one call to the channel; the lock is let go meanwhile. */
void session_call_send(struct fs_session *s, struct call *c);

/* ---- session_begin.c ---- */

/* In front of everything: a call that nobody waits for and that never times out. */
void session_begin_submit(struct fs_session *s);
void session_begin_free(struct fs_session *s);
void session_begin_answered(struct fs_session *s, int status);
/* When it was refused a while ago, or nothing at all has come back. */
void session_begin_again(struct fs_session *s);
/* The session is no more. refused: the call whose only copy a session refused that had never begun, so that it
 * has executed nowhere; NULL: none. */
void session_renew(struct fs_session *s, const struct call *refused);
void session_stamp_heard(struct fs_session *s, uint64_t stamp);

/* ---- session_threads.c ---- */

void *session_sender_main(void *arg);
void *session_timer_main(void *arg);
/* Everything that was sent is to be sent again, soon. */
void session_storm_schedule(struct fs_session *s);
/* What was sent at least age_ms ago becomes outgoing, in front of what is new. */
void session_storm(struct fs_session *s, uint64_t age_ms);
/* A message that is sent once; owns nothing of m. */
void session_control_push(struct fs_session *s, struct fs_msg *m);
void session_control_drop_all(struct fs_session *s);
/* When a call submitted at `since` needs the timer first. */
uint64_t session_first_deadline(const struct fs_session *s, uint64_t since);
/* The timer looks again at at_ms at the latest. */
void session_wake_timer(struct fs_session *s, uint64_t at_ms);

#endif
