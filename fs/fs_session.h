/*
 * fs_session.h - the client session: numbers operations, remembers them until they are answered,
 * sends again after a break, and gives up by the rules of architecture section 7.
 *
 * Only the session ever sends an operation twice. It gets its channel as a table of functions: a net
 * client, an in-process queue of an embedded node, or a test's.
 *
 * A mount begins its session at once, a tool with its first change. About once a second it says that it is
 * alive, and a leader confirms. When nothing was confirmed for the time to live less the clock-rate bound,
 * the session may have ended: what it gave must not be relied on any more (fs_session_is_kept()), but
 * whatever waits goes on waiting, as without a leader nothing ends. Once a leader says that it did end,
 * changes that were sent and not answered fail with EIO (they may or may not have taken effect, and never
 * will from then on), and a new session begins that replaces the old one; reads, and what was never sent,
 * just go on in it.
 */
#ifndef FS_FS_SESSION_H
#define FS_FS_SESSION_H

#include "base/base.h"
#include "base/err.h"
#include "fs/fs.h"
#include "fs/fs_wire.h"

struct fs_channel_ops {
	/* Sends one encoded fs_msg as head followed by tail (either may be empty). Any thread; may block
	 * for as long as the channel is alive. -ENOTCONN: not sent; the session sends again when told
	 * that the channel is up. */
	int (*send)(void *channel, const void *head, size_t head_len, const void *tail, size_t tail_len);
	/* This node makes no progress: drop it and connect to another one. May do nothing. Any thread. */
	void (*move)(void *channel);
	/* The process that answers, when it is on this machine and its number means something here; else 0. May be
	 * NULL. Any thread. */
	int (*node_pid)(void *channel);
};

struct fs_session_options {
	uint8_t uuid[KV_UUID_SIZE]; /* fresh random for every session; those that replace it make their own */
	bool has_replaces;  /* its first session ends the one named by replaces */
	uint8_t replaces[FS_SESSION_NAME_SIZE];
	bool holder;        /* a mount */
	bool hard;          /* wait for ever; else fail with -ETIMEDOUT */
	uint32_t timeo_ms;  /* soft: after this long without an answer */
	uint32_t move_ms;   /* ask for another node after this long without progress; 0: never */
	/* Fills inos (count of them) down to those held open; returns how many are left. Thread: the
	 * channel's; must not block on requests. NULL: holds nothing. */
	size_t (*held)(void *ctx, uint64_t *inos, size_t count);
	/* A session has begun, also each later one: this is its name. Thread: the channel's. NULL: nobody asks. */
	void (*begun)(void *ctx, const uint8_t name[FS_SESSION_NAME_SIZE]);
	/* A session ended, and all that it gave. What is submitted from now on goes into another one, and what
	 * was never sent has gone there already. Thread: the channel's, holding no lock. NULL: nobody asks. */
	void (*lost)(void *ctx, uint64_t session_id);
	/* A delegation of the session is wanted by somebody else: it is to be flushed and given back. Thread: the
	 * channel's; must not block. NULL: there are none. */
	void (*recall)(void *ctx, uint64_t ino, uint64_t number);
	/* The node's board: see fs_board_open(). Thread: the channel's. NULL: not asked for. */
	void (*board)(void *ctx, int pid, int fd, uint64_t nonce);
	/* Is SIGKILL pending for the process (or thread) that made the request? NULL: no. */
	bool (*killed)(void *ctx, uint32_t pid);
	void *ctx;
};

struct fs_session;

/* status 0 or a negative errno. reply is borrowed for the call, NULL when nobody answered, and has nothing but
 * its index after an error. Called
 * exactly once per submitted request, from the channel's or the timer's thread, holding no lock. */
typedef void (*fs_reply_fn)(void *ctx, int status, const struct fs_reply *reply);

/* Starts the sender and the timer thread. The channel may be not yet connected. Ends the process when it
 * cannot start them. */
struct fs_session *fs_session_new(const struct fs_session_options *options,
				  const struct fs_channel_ops *ops, void *channel);
/* Answers all that is open with -ECONNABORTED, says BYE, stops the thread. The channel must deliver
 * nothing any more. */
void fs_session_free(struct fs_session *s);

/* Encodes, numbers (unless a read), sends. 0: fn will be called; or has been. Never fails for want of
 * a connection: it waits. *ticket for fs_session_interrupt(); may be NULL. Any thread. */
int fs_session_submit(struct fs_session *s, const struct fs_request *rq, uint32_t pid, fs_reply_fn fn,
		      void *ctx, uint64_t *ticket);
/* The same, but never sends by itself: for callbacks, which must not block in the channel. */
int fs_session_submit_aside(struct fs_session *s, const struct fs_request *rq, uint32_t pid,
			    fs_reply_fn fn, void *ctx, uint64_t *ticket);
/* submit and wait; *reply and what it points to live in *hold, which the caller releases. */
int fs_session_call(struct fs_session *s, const struct fs_request *rq, struct fs_reply *reply,
		    struct buf *hold);
/* The caller got a signal. As on a local disk, that ends a call only when it ends the caller: answered -EINTR when
 * killed() says so, else goes on waiting (asked again by the timer, which is also who answers: the caller may
 * hold locks that the callback takes). Waiting for locks is for signals to end: FS_LOCK_WAIT is answered
 * -EINTR in any case, FS_SETLK when it was never sent. Unknown tickets are ignored. Any thread. */
void fs_session_interrupt(struct fs_session *s, uint64_t ticket);

/* From the channel; one thread at a time. */
void fs_session_on_up(struct fs_session *s);   /* connected: everything unanswered is sent, RETRY if sent before */
void fs_session_on_down(struct fs_session *s);
void fs_session_on_message(struct fs_session *s, const void *data, size_t len);

struct fs_session_stats {
	uint64_t submitted, answered, resent, timed_out, open;
	uint64_t longest_wait_ms; /* of any answered request */
	uint64_t session_id;      /* 0: none has begun yet */
	uint64_t ended;           /* sessions that ended under us */
	bool connected, has_leader;
};
/* Is what that session gave still certain? Locks, delegations and the like must be asked this at each use. False
 * of one that has ended, even while its successor is kept. */
bool fs_session_is_kept(struct fs_session *s, uint64_t session_id);
/* Was it confirmed so short a time ago? As is_kept, for what is given for less than the session's time to live. */
bool fs_session_is_fresh(struct fs_session *s, uint64_t session_id, uint32_t lease_ms);
/* While it has something that must be fresh, it is confirmed more often. */
void fs_session_set_brisk(struct fs_session *s, bool brisk);
/* Options hard and timeo_ms from now on, also for what waits already. Any thread. */
void fs_session_set_patience(struct fs_session *s, bool hard, uint32_t timeo_ms);
uint64_t fs_session_id(struct fs_session *s); /* 0: none has begun yet */
void fs_session_stats(struct fs_session *s, struct fs_session_stats *stats);

#endif
