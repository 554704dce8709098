/*
 * node.h - a node to run or to embed: the store, Raft, the threads and sockets around them.
 *
 * quorumfsd is a main around it; mount.quorumfs embeds it when its source operand is a directory.
 */
#ifndef NODE_NODE_H
#define NODE_NODE_H

#include "base/base.h"
#include "base/err.h"
#include "fs/fs_session.h"

struct node_options {
	const char *dir;
	const char *listen;         /* "host:port"; NULL: the node's own address in the configuration;
				     * "none": no TCP (a single node needs none) */
	const char *socket;         /* path; NULL: DIR/node.sock */
	int64_t snapshot_threshold; /* bytes of log since the last snapshot; -1: off */
	uint64_t snapshot_interval; /* entries since the last snapshot; 0: not used */
	uint32_t tick_ms;           /* 0: 20 */
	uint32_t election_ticks;    /* 0: 11 */
	uint32_t heartbeat_ticks;   /* 0: 2 */
	uint64_t lease_ns;          /* length of read leases; 0: off */
	uint64_t segment_bytes;     /* 0: 16 MiB, less on a small disk */
	uint32_t readers;           /* reader threads; 0: 2 */
	uint64_t session_ttl_ms;    /* 0: NODE_SESSION_TTL_MS_DEFAULT. The leader's counts */
};

#define NODE_SESSION_TTL_MS_DEFAULT 30000u
/* Lengths and the assumed error of clock rates must be alike on all nodes; the timeout of elections, of
 * election_ticks, must be above a lease. */
#define NODE_LEASE_NS_DEFAULT 200000000ull
#define NODE_LEASE_NS_MIN 10000000ll
#define NODE_LEASE_NS_MAX 60000000000ll
#define NODE_CLOCK_RATE_PPM 10000u /* 1 % */

#define NODE_SESSION_TTL_MS_MIN 1000u
#define NODE_SESSION_TTL_MS_MAX 3600000u

#define NODE_SNAPSHOT_THRESHOLD_DEFAULT (64ll * 1024 * 1024)

/* All options with defaults set. */
struct node_options node_options_default(const char *dir);

/* Making a store: a node of a fixed list, or a cluster of one. */
struct node_init_options {
	const char *dir;
	const uint8_t *cluster;           /* 16 bytes; NULL: derived from the members, random for one node */
	uint64_t node_id;                 /* 1 .. member_count */
	const char *const *addresses;     /* of nodes 1, 2, ...; one empty string for an embedded node */
	size_t member_count;
};

/* Every node of the list writes the same entry 1. 0, or a negative errno with all four parts:
 * -EEXIST a store is there, -ENOTEMPTY, -EACCES, -EINVAL a bad address or number. */
int node_init(const struct node_init_options *options, struct err *err);

struct node;

/* Opens the store, starts the threads and sockets. err in four parts: not a store, in use, port taken,
 * no permission, damaged. On 0 the node runs; quorum may come later. */
int node_start(const struct node_options *options, struct node **node, struct err *err);
/* Asks the loop to end: node_wait() returns 0. Any thread but the node's. */
void node_stop_request(struct node *node);
/* Stops, flushes, closes the store cleanly; frees. Accepts NULL. Nobody may wait in node_wait() any more. */
void node_stop(struct node *node);
/* Blocks until the node failed (a disk error, corruption): its errno; or was asked to stop: 0. */
int node_wait(struct node *node, struct err *err);

/* In-process channel for an embedded client: like a connection, without sockets. The session given by
 * fs_session_new() must be attached before anything arrives; on_up is called from the node's thread. */
struct node_channel;
struct node_channel *node_channel_new(struct node *node);
extern const struct fs_channel_ops node_channel_ops; /* channel argument: the struct node_channel */
void node_channel_attach(struct node_channel *ch, struct fs_session *session);
void node_channel_detach(struct node_channel *ch); /* nothing is delivered after it returns */
void node_channel_free(struct node_channel *ch);   /* after the session is freed; accepts NULL */

#define NODE_REMOTE_DEAD_MS 5000u /* a connection silent for so long is dropped */

/* Channel to a node in another process, by socket or network; goes round the addresses for ever. */
struct node_remote;
struct node_remote *node_remote_new(void);
extern const struct fs_channel_ops node_remote_ops; /* channel argument: the struct node_remote */
/* Starts connecting; addresses as in net.h, copied. */
void node_remote_attach(struct node_remote *r, struct fs_session *session, const uint8_t uuid[16],
			const char *const *addresses, size_t count);
/* Nothing is delivered after it returns; the session can still say BYE while it is freed. */
void node_remote_mute(struct node_remote *r);
void node_remote_free(struct node_remote *r); /* after the session is freed; accepts NULL */

/* The admin protocol, also reachable as NET_ADMIN: JSON in, JSON out (docs/admin.md). Any thread but
 * the node's; blocks. */
int node_admin(struct node *node, const char *request_json, struct buf *reply_json);

#endif
