/*
 * node_rig.h - a deterministic cluster of real replicas in one process and one thread.
 *
 * Real: replica, raft, evaluator, workers, stores in scratch directories. Simulated: the clock, the
 * connections between replicas (first in, first out for each direction; they break, freeze and come
 * back), the clients, and who runs next. rig_run() carries out everything there is to do at one instant;
 * time moves by rig_pass() alone. With rig->shuffle the order of events is drawn from the seed.
 *
 * A crash keeps what was written and drops everything else, as SIGKILL does. A worker can be held: what
 * is submitted to it waits. A client remembers what is unanswered and sends again, marked RETRY, when it
 * is told to or connects anew, as the real session does.
 */
#ifndef TESTS_UNIT_NODE_NODE_RIG_H
#define TESTS_UNIT_NODE_NODE_RIG_H

#include <string.h>

#include "base/list.h"
#include "base/prng.h"
#include "net/net.h"
#include "node/fetch.h"
#include "node/replica_internal.h"
#include "node/worker.h"
#include "tests/lib/unit.h"

#define RIG_NODES_MAX 5
#define RIG_CLIENTS_MAX 8
#define RIG_TICK_MS 50u
#define RIG_ELECTION_MS 4000u /* long enough for every election to end */

struct rig;

struct rig_frame {
	struct list link;
	uint8_t type;
	struct buf payload;
};

/* One direction between two nodes. */
struct rig_link {
	bool up;
	bool frozen; /* what is sent arrives when it thaws */
	struct list frames;
};

/* A snapshot being pulled, one question at a time. */
struct rig_fetch {
	struct job_fetch *job; /* NULL: none */
	struct store_receive *rx;
	bool asked, answered;
	uint32_t chunk;
	struct buf reply;
};

struct rig_node {
	struct rig *rig;
	uint64_t id;
	char dir[96];
	bool up;
	bool failed; /* the replica asked for the end */
	struct err error;
	struct store *store;
	struct worker_shared shared;
	struct worker workers[WORKER_COUNT];
	struct list queues[WORKER_COUNT];
	bool held[WORKER_COUNT];
	struct list done;
	struct replica *replica;
	struct fs_board *board;
	struct rig_fetch fetch;
	uint64_t fetches, chunks_pulled; /* since it was started */
	struct store_space fake_space;   /* total_bytes 0: the real one */
	struct job_check check;          /* the last answer to replica_check(); text is owned */
	bool checked;
};

struct rig_op {
	struct list link; /* in rig_client.ops until rig_op_free() */
	uint64_t seq;     /* 0: a read */
	uint64_t tag;
	struct buf body;
	bool retried; /* sent with RETRY */
	bool done;
	bool expired; /* done: its session ended, it never executes any more */
	unsigned sent, answers;
	int status;
	uint64_t session_id;
	struct buf reply_bytes;
	struct fs_reply reply; /* when done with status 0; borrows from reply_bytes */
};

struct rig_client {
	struct rig *rig;
	uint64_t id; /* of the connection; 0: not connected */
	struct rig_node *node;
	uint8_t uuid[KV_UUID_SIZE];
	uint64_t session_id;
	uint64_t stamp;       /* newest heard */
	uint64_t begin_stamp; /* of this session; fixed with its first number */
	bool expired;         /* a node said so: rig_client_renew() begins another one */
	uint64_t kept_tag;    /* of the last ALIVE that a leader confirmed: when it was sent */
	unsigned kept, uuids;
	uint64_t next_seq, next_tag;
	struct list ops;   /* struct rig_op, ascending */
	struct list inbox; /* struct rig_frame */
	bool holder;
	bool mute;      /* says nothing on its own: no ALIVE, no ANSWER */
	bool no_resend; /* RESEND is counted only */
	bool resend_due;
	uint64_t
		resent_ms; /* everything is sent again at most once a tick, as by the real session */
	uint64_t held[16]; /* inodes it holds open */
	size_t held_count;
	uint64_t held_below; /* and every inode below this */
	unsigned resends, queries;
	uint64_t last_query;
	unsigned recalls;
	uint64_t recalled_ino, recalled_number; /* by the last one */
	bool has_leader;
	uint64_t alive_ms;
};

struct rig {
	char dir[64];
	size_t count;
	struct rig_node nodes[RIG_NODES_MAX];
	struct rig_link links[RIG_NODES_MAX][RIG_NODES_MAX]; /* [from][to] */
	struct rig_client clients[RIG_CLIENTS_MAX];
	size_t client_count;
	uint64_t next_client_id;
	uint64_t now_ms;
	uint64_t lease_ns; /* for nodes started from now on; 0: off */
	struct prng prng;
	uint64_t seed;
	bool shuffle;
	int64_t snapshot_threshold;
	uint64_t snapshot_interval;
	uint64_t session_ttl_ms, sessions_max; /* for nodes started from now on; 0: defaults */
	unsigned corrupt_chunks; /* so many of the next ones are damaged on their way */
	unsigned fail_snapshots; /* so many of the next fetches break off */
	bool fatal_expected;
	uint64_t frames_sent[256]; /* by frame type, between nodes */
	uint64_t forwards[8];      /* NET_FORWARD by fs_msg type below 8 */
};

/* A cluster of count nodes, started, without a leader yet. */
struct rig *rig_new(size_t count, uint64_t seed);
void rig_free(struct rig *rig);

/* ---- time ---- */

void rig_run(struct rig *rig);               /* until nothing is left to do at this instant */
void rig_pass(struct rig *rig, uint64_t ms); /* in ticks, each run to its end */
/* Passes time until a leader evaluates and every node that is up knows it. */
struct rig_node *rig_leader(struct rig *rig);
struct rig_node *rig_follower(struct rig *rig,
			      unsigned nth); /* nth other than the leader that is up */
int64_t rig_wall_ns(void);                   /* the wall clock of all nodes */
extern int64_t rig_wall;                     /* what it says; moves with rig_pass() */

/* ---- faults ---- */

void rig_crash(struct rig_node *node);
void rig_start(struct rig_node *node);
void rig_cut(struct rig *rig, const struct rig_node *a,
	     const struct rig_node *b); /* what was under way is lost */
void rig_join(struct rig *rig, const struct rig_node *a, const struct rig_node *b);
void rig_isolate(struct rig_node *node);
void rig_heal(struct rig *rig); /* all links of nodes that are up, thawed */
void rig_freeze(struct rig *rig, const struct rig_node *from, const struct rig_node *to,
		bool frozen);
void rig_hold(struct rig_node *node, enum worker_kind worker, bool held);

/* ---- clients ---- */

struct rig_client *rig_client(struct rig *rig, struct rig_node *node, bool holder);
void rig_client_move(struct rig_client *c, struct rig_node *node); /* NULL: disconnect */
/* A new session under a new uuid; what is open fails with -EIO. Returns the op that begins it and, unless
 * the old one is not to be replaced, names it; NULL when the old one had never begun. */
struct rig_op *rig_client_renew(struct rig_client *c, bool replace);
/* Sends; the answer comes with rig_run() or later. */
struct rig_op *rig_send(struct rig_client *c, const struct fs_request *rq);
void rig_send_again(struct rig_client *c, struct rig_op *op, bool retry); /* the same number */
void rig_op_free(struct rig_op *op);
/* Sends and passes time until it is answered. The op lives until rig_op_free() or the end of the rig. */
struct rig_op *rig_call(struct rig_client *c, const struct fs_request *rq);
void rig_wait(struct rig_op *op, struct rig *rig);
/* A message as it is, without any book-keeping. */
int rig_send_raw(struct rig_client *c, const struct fs_msg *m);

/* ---- shorthands: requests ---- */

struct fs_request rig_kv_put(const char *key, const char *value);
struct fs_request rig_kv_append(const char *key, const char *value);
struct fs_request rig_kv_get(const char *key);
struct fs_request rig_kv_delete(const char *key);
struct fs_request rig_mkdir(uint64_t parent, const char *name);
struct fs_request rig_create(uint64_t parent, const char *name);
struct fs_request rig_unlink(uint64_t parent, const char *name);
struct fs_request rig_write(uint64_t ino, uint64_t off, const void *data, size_t len);
struct fs_request rig_session_begin(void);

/* The value of a key on this node alone, without asking anybody; "" when there is none. */
const char *rig_local_get(struct rig_node *node, const char *key);
size_t rig_local_orphans(struct rig_node *node);

/* ---- checks ---- */

struct replica_info rig_info(struct rig_node *node);
/* Lets everything settle with all nodes up and joined; then states are equal, their digests are what
 * their rows say, and the tree is sound. */
void rig_settle_and_check(struct rig *rig);
/* Fails with the rig's seed in the message. */
#define RIG_ASSERT(rig, cond)                                                                      \
	do {                                                                                       \
		if (!(cond))                                                                       \
			fail_msg("%s:%d: '%s' is false; replay: SEED=%llu", __FILE__, __LINE__,    \
				 #cond, (unsigned long long)(rig)->seed);                          \
	} while (0)

#endif
