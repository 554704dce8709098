/*
 * net.h - frames and channels: carries bytes between nodes, clients and tools; knows no requests.
 *
 * Every frame has version, type, cluster, group, length and an XXH3 checksum (layout in frame.c). A
 * connection starts with HELLO, answered by HELLO_OK or REFUSED (a four-part text); anything else on
 * the port is answered by closing the connection and one warning line, and harms nothing.
 *
 * Addresses: "host:port" (TCP; IPv6 in brackets) or "unix:PATH".
 */
#ifndef NET_NET_H
#define NET_NET_H

#include <uv.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

#define NET_FRAME_PAYLOAD_MAX (16u * 1024 * 1024)
#define NET_DEFAULT_PORT 7900

enum net_frame_type {
	NET_HELLO = 1,
	NET_HELLO_OK,
	NET_REFUSED,
	NET_PING, /* answered with PONG by net itself */
	NET_PONG,
	NET_RAFT = 16,     /* node to node: raft_message_encode() */
	NET_FORWARD,       /* node to node: fs_msg of a client, follower to leader */
	NET_FORWARD_REPLY, /* node to node: fs_msg back */
	NET_NODE_STATUS,   /* node to node, about once a second: space, positions, clients heard */
	NET_NODE_KEPT,     /* leader to node: answer to what a NODE_STATUS said of clients */
	NET_CLIENT = 32,   /* fs_msg, both directions */
	NET_ADMIN = 48,    /* JSON request */
	NET_ADMIN_REPLY,   /* JSON answer */
	NET_BULK = 64,     /* snapshot pull: request */
	NET_BULK_REPLY,
};

enum net_role { NET_ROLE_PEER = 1, NET_ROLE_CLIENT, NET_ROLE_ADMIN, NET_ROLE_BULK };

struct net_hello {
	uint8_t role;        /* enum net_role */
	uint8_t cluster[16]; /* zeros: not known (clients and tools); HELLO_OK brings it */
	uint32_t group;
	uint64_t node_id;    /* sender's; 0 for clients; HELLO_OK: the answering node's */
	uint64_t to_node_id; /* 0: whoever answers */
	uint64_t incarnation; /* PEER */
	uint8_t uuid[16];    /* CLIENT */
};

/* ---- frames (frame.c), pure ------------------------------------------------------------------- */

#define NET_FRAME_HEADER_SIZE 48

struct net_frame_header {
	uint8_t type;
	uint8_t cluster[16];
	uint32_t group;
	uint32_t payload_len;
	uint64_t checksum; /* XXH3-64 of the header before it, then of the payload */
};

/* Fills the header in front of a payload given in two parts (either may be empty). */
void net_frame_seal(uint8_t header[NET_FRAME_HEADER_SIZE], uint8_t type, const uint8_t cluster[16],
		    uint32_t group, const void *head, size_t head_len, const void *tail, size_t tail_len);
/* 0; -EPROTO with err: not a quorumfs frame, another version, too long. Checksum not yet checked. */
int net_frame_open(struct net_frame_header *h, const uint8_t header[NET_FRAME_HEADER_SIZE],
		   struct err *err);
int net_frame_verify(const struct net_frame_header *h, const uint8_t header[NET_FRAME_HEADER_SIZE],
		     const void *payload, struct err *err);
void net_hello_encode(const struct net_hello *h, struct buf *out);
int net_hello_decode(struct net_hello *h, const void *data, size_t len);
/* Splits and checks "host:port", "[v6]:port", "host" (default port), "unix:PATH". -EINVAL with err. */
int net_address_check(const char *address, struct err *err);

/* ---- in a libuv loop: the node (server.c, conn.c). Thread: the loop's, all of it ---------------- */

struct net_conn;
struct net_server;

struct net_conn_ops {
	/* Server side: judge a HELLO. 0 and fill *answer; or a negative errno and err (sent as REFUSED). */
	int (*on_hello)(void *ctx, struct net_conn *conn, const struct net_hello *hello,
			struct net_hello *answer, struct err *err);
	/* Client side of net_connect(): HELLO_OK came. */
	void (*on_open)(void *ctx, struct net_conn *conn, const struct net_hello *answer);
	/* payload is borrowed. */
	void (*on_frame)(void *ctx, struct net_conn *conn, uint8_t type, const uint8_t *payload,
			 size_t len);
	/* Exactly once, last, never from inside a call; conn is freed after it. Also for a connect that
	 * failed. Not for a stranger whose HELLO never came: ops has not seen it. */
	void (*on_close)(void *ctx, struct net_conn *conn, const struct err *why);
};

/* Listens on address; err in four parts: port in use, no permission, stale socket file (replaced when
 * nobody answers on it). cluster and group are what frames must carry. */
int net_listen(uv_loop_t *loop, const char *address, const uint8_t cluster[16], uint32_t group,
	       const struct net_conn_ops *ops, void *ctx, struct net_server **server, struct err *err);
void net_server_close(struct net_server *server); /* closes its connections too */
/* Port really bound, for "host:0" in tests. */
int net_server_port(const struct net_server *server);

/* Connects and says HELLO; the result comes by on_open or on_close. timeout_ms covers both. */
struct net_conn *net_connect(uv_loop_t *loop, const char *address, const struct net_hello *hello,
			     uint32_t timeout_ms, const struct net_conn_ops *ops, void *ctx);
/* Queues one frame; takes *payload over (leaves BUF_INIT). Writes at once when the socket allows it.
 * false: the connection is closing or its queue is above the limit (then the frame is dropped). */
bool net_conn_send(struct net_conn *conn, uint8_t type, struct buf *payload);
size_t net_conn_queued_bytes(const struct net_conn *conn);
void net_conn_set_queue_limit(struct net_conn *conn, size_t bytes); /* default 64 MiB */
void net_conn_close(struct net_conn *conn);
void net_conn_set_user(struct net_conn *conn, void *user);
void *net_conn_user(const struct net_conn *conn);
const struct net_hello *net_conn_hello(const struct net_conn *conn); /* what the other side said */
const char *net_conn_peer_name(const struct net_conn *conn); /* "10.0.0.2:53122", "unix" */

/* ---- without a loop: mounts and tools (client.c). Threads of its own ---------------------------- */

struct net_client;

struct net_client_ops {
	void (*on_up)(void *ctx, const struct net_hello *answer);
	void (*on_frame)(void *ctx, uint8_t type, const uint8_t *payload, size_t len);
	/* After each on_up, and each time none of the addresses could be had. */
	void (*on_down)(void *ctx, const struct err *why);
};

/* Connects in turn to the addresses (copied), for ever, with back-off; pings each second and drops a
 * silent connection after dead_ms. Callbacks come from its one thread. */
struct net_client *net_client_new(const char *const *addresses, size_t count,
				  const struct net_hello *hello, uint32_t dead_ms,
				  const struct net_client_ops *ops, void *ctx);
void net_client_free(struct net_client *c); /* no callback after it returns */
/* Any thread; blocks while the socket is full and alive. -ENOTCONN. */
int net_client_send(struct net_client *c, uint8_t type, const void *head, size_t head_len,
		    const void *tail, size_t tail_len);
/* Process at the other end of a Unix socket, as this one's namespace numbers it; 0: there is none. Any thread. */
int net_client_peer_pid(struct net_client *c);
void net_client_move(struct net_client *c); /* drop the connection, try the next address. Any thread */

/* One blocking connection: tools and snapshot pulls. */
struct net_call;
/* -ECONNREFUSED, -EHOSTUNREACH, -ETIMEDOUT, -EPROTO, or what REFUSED said; err in four parts. */
int net_call_open(const char *address, const struct net_hello *hello, uint32_t timeout_ms,
		  struct net_call **call, struct net_hello *answer, struct err *err);
/* Sends one frame and waits for one of reply_type; the payload is appended to reply. The timeout of
 * opening holds for each silence. After an error only net_call_close() is left. */
int net_call(struct net_call *call, uint8_t type, const void *payload, size_t len, uint8_t reply_type,
	     struct buf *reply, struct err *err);
void net_call_close(struct net_call *call); /* accepts NULL */

#endif
