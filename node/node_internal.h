/* node_internal.h - the running node: threads, loop, connections; shared by node/'s own files. */
#ifndef NODE_NODE_INTERNAL_H
#define NODE_NODE_INTERNAL_H

#include <pthread.h>
#include <uv.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/queue.h"
#include "fs/fs_board.h"
#include "net/net.h"
#include "node/node.h"
#include "node/replica.h"
#include "node/worker.h"

#define NODE_READERS_MAX 16

struct worker_thread {
	struct node *node;
	struct worker worker;
	struct queue queue; /* struct job, by link */
	pthread_t thread;
	bool running;
};

/* A connection somebody made to us, or an in-process channel. */
struct link {
	struct hnode by_id;
	uint64_t id;
	uint8_t role;           /* enum net_role */
	struct net_conn *conn;  /* NULL for a channel */
	struct node_channel *channel;
	uint64_t peer_id;       /* NET_ROLE_PEER */
	bool opened;            /* NET_ROLE_CLIENT: the replica knows it */
	bool holds;             /* NET_ROLE_BULK: `held` is kept while this connection stands */
	struct raft_snapshot_meta held;
	struct node *node;
};

/* Our connection to a peer. */
struct peer_link {
	struct node *node;
	uint64_t id;
	char address[RAFT_ADDRESS_MAX];
	struct net_conn *conn;  /* NULL while waiting to try again */
	bool open;
	uint64_t retry_ms;      /* next try */
	uint32_t backoff_ms;
	bool said;              /* the failure was logged */
	bool foreign;           /* it said that it belongs to another cluster */
	char last_error[256];   /* why the last try or connection ended; empty: never failed since it was up */
};

/* What other threads ask of the node thread. */
enum command_type {
	COMMAND_STOP,
	COMMAND_CHANNEL_OPEN,
	COMMAND_CHANNEL_CLOSE,
	COMMAND_CHANNEL_MESSAGE,
	COMMAND_ADMIN,
};

struct command {
	struct list link;
	enum command_type type;
	struct node_channel *channel;
	struct buf data;
	/* For commands that are waited for. */
	struct buf *reply;
	bool waited, done;
};

struct node {
	struct node_options options;
	char socket_path[256];
	char listen_address[RAFT_ADDRESS_MAX];
	struct store_identity identity;
	struct store *store;
	struct worker_shared shared;
	struct replica *replica;
	uint64_t started_ms;
	struct fs_board *board; /* NULL: no memory for it */
	int board_fd;

	/* threads */
	struct worker_thread threads[WORKER_COUNT - 1 + NODE_READERS_MAX];
	size_t thread_count;
	size_t first_reader, reader_count, next_reader;
	pthread_t loop_thread;
	bool loop_running;

	/* the loop; node thread only */
	uv_loop_t loop;
	int wake_fd; /* eventfd: something is in done or commands */
	uv_poll_t wake;
	uv_timer_t timer;
	uv_prepare_t prepare;
	struct net_server *tcp, *local;
	struct peer_link peers[RAFT_NODES_MAX];
	size_t peer_count;
	struct htable links;
	uint64_t next_id;
	bool stopping;

	/* into the node thread */
	struct queue done;     /* struct job */
	struct queue commands; /* struct command */

	/* out of it */
	pthread_mutex_t lock;  /* guards failed, stopped, error, and commands' done */
	pthread_cond_t changed;
	bool failed, stopped;
	struct err error;
};

/* threads.c */
int threads_start(struct node *node, struct err *err);
void threads_stop(struct node *node); /* after the loop ended; runs what is queued, then joins */
void threads_submit(struct node *node, enum worker_kind worker, struct job *job);

/* loop.c */
int loop_init(struct node *node, struct err *err); /* sockets too */
void loop_release(struct node *node);
void loop_run(struct node *node);   /* until COMMAND_STOP or a failure */
void loop_finish_commands(struct node *node); /* after the loop ended: lets everybody go who waits */
void node_wake(struct node *node);  /* any thread */
extern const struct replica_io_ops loop_replica_ops;
void loop_fail(struct node *node, const struct err *err);
/* Is our connection to that peer open? */
bool loop_peer_open(const struct node *node, uint64_t id);
/* Why it is not; "" when it is, or was not tried yet. */
const char *loop_peer_error(const struct node *node, uint64_t id);

/* channel.c */
void channel_deliver(struct node_channel *ch, const void *data, size_t len); /* node thread */
void channel_opened(struct node_channel *ch, uint64_t id);                   /* node thread */
void channel_closed(struct node_channel *ch);                                /* node thread */
uint64_t channel_id(const struct node_channel *ch); /* 0: not open */
/* Posts a command; when waited, returns once the node thread has done it. false: the node has ended. */
bool node_command(struct node *node, struct command *cmd);

/* admin.c; node thread. */
struct json_object;
/* What was asked, to json_object_put(), and its verb, borrowed from it; NULL and "" for what is no object. */
struct json_object *admin_parse(const void *data, size_t len, const char **verb);
/* false: the answer comes later, by admin_check_done(). */
bool admin_handle(struct node *node, uint64_t link_id, const void *data, size_t len, struct buf *reply);
void admin_check_reply(struct node *node, const struct job_check *check, struct buf *reply);

#endif
