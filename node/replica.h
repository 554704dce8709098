/*
 * replica.h - one group's replica on one node: events in, raft_step(), outputs carried out.
 *
 * No thread, no socket, no clock: the world is struct replica_io_ops, so that a simulator drives the
 * code that ships. Everything here runs on the node thread.
 *
 * Way of a change: client frame -> waiter (uuid, seq) noted -> evaluator here, or forwarded to the
 * leader -> proposals -> raft -> applied here -> the waiter is answered from the entry.
 * Way of a read: client frame -> read index -> applied far enough -> reader -> answer.
 */
#ifndef NODE_REPLICA_H
#define NODE_REPLICA_H

#include "fs/fs_board.h"
#include "node/job.h"
#include "raft/raft.h"
#include "store/store.h"

struct replica_io_ops { /* calls return at once; results come back as events */
	void (*submit)(void *ctx, enum worker_kind worker, struct job *job); /* taken */
	/* A frame to a peer or client; *payload is taken. May be lost. */
	void (*send_peer)(void *ctx, uint64_t node_id, uint8_t frame_type, struct buf *payload);
	void (*send_client)(void *ctx, uint64_t client_id, struct buf *payload);
	void (*send_bulk)(void *ctx, uint64_t conn_id, struct buf *payload);
	/* Answer to replica_check(). */
	void (*check_done)(void *ctx, const struct job_check *check);
	/* Membership changed: connect to these. */
	void (*peers)(void *ctx, const struct raft_conf *conf);
	uint64_t (*now_ms)(void *ctx); /* monotonic */
	/* CLOCK_BOOTTIME, now: leases rest on it (raft.h). */
	uint64_t (*now_ns)(void *ctx);
	void (*fatal)(void *ctx, const struct err *err); /* the process must end */
};

/* Of the core (raft_options, where they are told); 0: the value that programs use. */
struct replica_limits {
	size_t max_message_bytes;
	uint32_t max_inflight_messages;
	uint64_t max_inflight_bytes, max_uncommitted_bytes, max_apply_bytes, max_cache_bytes;
	uint64_t keep_tail_bytes; /* at most; the snapshot threshold bounds it too */
};

struct replica_options {
	uint64_t self;
	uint32_t group;
	uint64_t seed;
	uint32_t election_ticks, heartbeat_ticks;
	uint64_t lease_ns; /* 0: off; as in struct raft_options */
	uint32_t clock_rate_ppm;
	uint64_t tick_ns;
	int64_t snapshot_threshold;
	uint64_t snapshot_interval;
	uint64_t log_bytes; /* live log at start */
	struct replica_limits limits; /* the simulator makes them tiny */
	uint64_t session_ttl_ms; /* 0: 30 000. The leader's counts */
	uint64_t sessions_max;   /* 0: KV_SESSIONS_MAX. Likewise */
	uint32_t root_uid, root_gid; /* of a new file system, if this node leads first */
};

struct replica;

struct replica *replica_new(const struct replica_options *options, const struct store_boot *boot,
			    const struct kv_meta *state, const struct replica_io_ops *ops, void *ctx,
			    struct err *err);
void replica_free(struct replica *r);
/* Borrowed: kept true from now on, and shown to clients who ask, as descriptor fd of this process. */
void replica_set_board(struct replica *r, struct fs_board *board, int fd);

/* ---- events ---------------------------------------------------------------------------------- */

void replica_tick(struct replica *r);
void replica_job_done(struct replica *r, struct job *job); /* taken */
/* Outputs of the step are carried out before it returns, but what can be grouped (read rounds) waits for
 * this: call it once after each burst of events. */
void replica_flush(struct replica *r);
void replica_peer_up(struct replica *r, uint64_t node_id);   /* our connection to it stands */
void replica_peer_down(struct replica *r, uint64_t node_id); /* it broke */
void replica_peer_frame(struct replica *r, uint64_t from, uint8_t frame_type, const uint8_t *payload,
			size_t len);
void replica_client_open(struct replica *r, uint64_t client_id);
void replica_client_close(struct replica *r, uint64_t client_id);
/* -EPROTO: drop the connection. */
int replica_client_frame(struct replica *r, uint64_t client_id, const uint8_t *payload, size_t len);
/* A piece of a snapshot for peer_id; *meta tells of which. -EPROTO: drop the connection. */
int replica_bulk_frame(struct replica *r, uint64_t conn_id, uint64_t peer_id, const uint8_t *payload,
		       size_t len, struct raft_snapshot_meta *meta);

/* ---- administration -------------------------------------------------------------------------- */

void replica_snapshot_now(struct replica *r);
void replica_check(struct replica *r, uint64_t admin_id, bool tree);
int replica_transfer(struct replica *r, uint64_t to);
/* Before this process stops: nobody shall wait for the read lease that it may hold. */
void replica_leave(struct replica *r);

struct replica_peer_info {
	uint64_t id;
	char address[RAFT_ADDRESS_MAX];
	bool connected;
	uint64_t heard_ms_ago; /* UINT64_MAX: never */
	uint64_t applied_index;
	uint64_t free_bytes, total_bytes;
	bool space_low;
};

struct replica_info {
	struct raft_status raft;
	struct store_space space;
	uint64_t log_bytes, written_bytes, state_bytes;
	uint64_t snapshot_threshold_bytes; /* in force now; UINT64_MAX: off */
	uint64_t log_since_snapshot_bytes;
	bool snapshot_running, fetch_running;
	uint64_t snapshots_made, snapshots_installed;
	char snapshot_error[256]; /* of the last failure; empty: none */
	size_t clients, waiters, pending_reads;
	uint64_t local_reads, index_reads; /* of clients here: under a lease, and after asking */
	uint64_t leader_since_ms;
	size_t orphans;
	uint64_t sessions;       /* in the state as applied here */
	uint64_t session_ttl_ms; /* of this node */
	size_t peer_count;
	struct replica_peer_info peers[RAFT_NODES_MAX];
};

void replica_info(struct replica *r, struct replica_info *info);

struct replica_session_info {
	uint8_t uuid[KV_UUID_SIZE];
	uint64_t id;   /* 0: it has changed nothing yet */
	uint64_t node; /* where it is connected, as far as it was heard; 0: unknown */
	uint64_t heard_ms_ago; /* heard false: since this leader began to count */
	bool heard;
	bool holder;   /* a mount: may hold files open */
	bool gone;     /* said goodbye */
};

/* What the leader knows; at most max of them. *out: free() it. -EPERM: this node is not the leader. */
ssize_t replica_sessions(struct replica *r, size_t max, struct replica_session_info **out);
const struct raft_conf *replica_conf(const struct replica *r); /* the one in force; borrowed */

#endif
