/*
 * fs_wire.h - messages between a client (mount or tool) and the node that serves it, and between
 * nodes that pass requests on. They travel as payload of net frames or over an in-process queue.
 *
 * Nodes speak first too: FS_MSG_QUERY asks which inodes a client holds open, FS_MSG_RECALL for a delegation.
 */
#ifndef FS_FS_WIRE_H
#define FS_FS_WIRE_H

#include "base/base.h"
#include "base/buf.h"
#include "store/store_kv.h"

enum fs_msg_type {
	FS_MSG_REQUEST = 1, /* client -> node; node -> leader when forwarded */
	FS_MSG_REPLY,       /* back the same way */
	FS_MSG_RESEND,      /* node -> client: what you sent may be lost (new leader, no leader, snapshot):
			     * send all that is unanswered again, marked RETRY */
	FS_MSG_QUERY,       /* node -> client: which of these inodes do you hold open? */
	FS_MSG_ANSWER,      /* client -> node */
	FS_MSG_BYE,         /* client -> node: the session's user is gone; holds nothing any more */
	FS_MSG_ALIVE,       /* client -> node, about once a second: keeps the session; never an entry */
	FS_MSG_STATE,       /* node -> client: has_leader, for messages about waiting; stamp */
	FS_MSG_KEPT,        /* node -> client: a leader that was one afterwards has heard the ALIVE with this
			     * tag. ttl_ms from when that was sent the session lives; stamp */
	FS_MSG_BOARD,       /* client -> node: I am on your machine, where is your board (fs_board.h)? node -> client:
			     * tag = its descriptor there, stamp = its nonce. No answer: there is none */
	FS_MSG_RECALL,      /* node -> client: give back what the body names, delegations of session_id; the flush
			     * is the answer. node -> leader: it is in somebody's way. leader -> node: pass it on */
};

enum fs_msg_flags {
	FS_MSG_RETRY = 1,  /* REQUEST: may have been sent before */
	FS_MSG_BEGIN = 2,  /* REQUEST: the client knows no session id yet; an unknown uuid begins one */
	FS_MSG_HOLDER = 4, /* REQUEST, ALIVE: this client can hold files open (a mount, not a tool) */
	FS_MSG_EXPIRED = 16, /* REPLY: the session of this request ended, so it can never execute any more
			      * (its first copy may have, long ago); stamp. KEPT: it ended */
	FS_MSG_BRISK = 32, /* ALIVE: it relies on more than the session, and is to be confirmed soon */
	FS_MSG_FINAL = 8,  /* REPLY: binds every copy of the request: it was logged, or read. Without it an
			    * error may stand in nobody's log, and a RETRY under way could still succeed */
};

struct fs_msg {
	uint8_t type; /* enum fs_msg_type */
	uint8_t flags;
	uint8_t uuid[KV_UUID_SIZE]; /* the client's */
	uint64_t tag;    /* REQUEST, REPLY, ALIVE, KEPT: the client's own; QUERY, ANSWER: the query's number */
	uint64_t seq;    /* REQUEST, REPLY: 0 for reads */
	uint64_t low;    /* REQUEST: lowest number not answered yet */
	uint64_t session_id; /* REQUEST: 0 with BEGIN; REPLY: learnt; ANSWER, ALIVE: 0: none yet */
	uint64_t stamp;  /* STATE, KEPT, EXPIRED: a log index, for a session that is to begin; REQUEST with
			  * BEGIN: the one its session begins with, the same in all its requests; REPLY: it shows
			  * the state as of this entry; 0: not told */
	uint32_t ttl_ms; /* KEPT */
	int32_t status;  /* REPLY: 0 or a negative errno */
	bool has_leader; /* STATE */
	const uint8_t *body; /* REQUEST: fs_request; REPLY: fs_reply; QUERY: le64 inos; ANSWER: le64 inos held;
			      * RECALL: le64 ino, le64 number */
	size_t body_len;     /* borrowed */
};

/* Layout table in wire.c. */
void fs_msg_encode(const struct fs_msg *m, struct buf *out);
int fs_msg_decode(struct fs_msg *m, const void *data, size_t len); /* 0 or -EPROTO; borrows */

#endif
