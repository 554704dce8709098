/*
 * conn.h - one connection in a libuv loop, as server.c and conn.c see it.
 *
 * States:  CONNECTING -> GREETING -> OPEN -> CLOSING -> freed
 *          (accepted: starts at GREETING; from GREETING or OPEN: -> REFUSING -> CLOSING)
 *
 * REFUSING: REFUSED was sent and our half is shut; what still comes is read and dropped for a moment,
 * since closing with unread bytes would reset the connection and lose the text on its way.
 * CLOSING: nothing is delivered any more; on_close and free follow once libuv let go of the handles.
 */
#ifndef NET_CONN_H
#define NET_CONN_H

#include "base/list.h"
#include "net/address.h"
#include "net/frame.h"
#include "net/rx.h"

#define NET_HELLO_TIMEOUT_MS 5000

enum conn_state { CONN_CONNECTING, CONN_GREETING, CONN_OPEN, CONN_REFUSING, CONN_CLOSING };

struct net_conn {
	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	} io;
	uv_timer_t timer; /* of HELLO, of connect and HELLO, of REFUSING */
	uv_loop_t *loop;
	enum conn_state state;
	bool io_open;                   /* io is initialised and not being closed */
	unsigned holds;                 /* io, timer and resolve as long as libuv knows them */
	const struct net_conn_ops *ops; /* borrowed */
	void *ctx;
	void *user;
	bool shown; /* ops has seen it, so on_close is due */
	struct err why;

	struct net_server *server; /* NULL: made by net_connect() */
	struct list of_server;

	uint8_t cluster[16]; /* what frames carry, both ways; known once OPEN */
	uint32_t group;
	struct net_hello hello; /* net_connect(): what we say */
	struct net_hello other; /* what the other side said */
	char name[300];

	struct net_rx rx;
	struct list waiting; /* struct out_frame, not yet handed to libuv */
	size_t waiting_bytes;
	struct list flying; /* handed to libuv in one uv_write() */
	bool writing;
	uv_write_t write;
	uv_shutdown_t shutdown;
	size_t queue_limit;

	uv_connect_t connect; /* net_connect() only, as all below */
	uv_getaddrinfo_t resolve;
	bool resolving;
	struct net_address address;
	struct addrinfo *found; /* owned */
	const struct addrinfo *candidate;
	int connect_error; /* of the last candidate */
};

/* A connection whose io the caller initialises and accepts on; then conn_greet(). */
struct net_conn *conn_new(uv_loop_t *loop, const struct net_conn_ops *ops, void *ctx);
/* After accept: takes the name, starts to read, waits for HELLO. */
void conn_greet(struct net_conn *conn, bool local);
/* Ends the connection for the reason given; nothing when it is closing already. */
void conn_fail(struct net_conn *conn, const struct err *why);

/* server.c: the connection is gone; one line about garbage, at most one each few seconds. */
void server_forget(struct net_server *server, struct net_conn *conn);
void server_warn(struct net_server *server, const struct net_conn *conn, const struct err *why);
void server_home(const struct net_server *server, uint8_t cluster[16], uint32_t *group);

#endif
