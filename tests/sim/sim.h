/*
 * sim.h - a whole cluster in one process, one thread, from one seed.
 *
 * Real: everything that ships below the event loop (replica, core, evaluator, workers, store, SQLite,
 * sessions, fs/ops, the pulling of images). Simulated: time, the clocks of the nodes, the network, who
 * runs next, disks, threads (coroutines, see coro.h), clients.
 *
 *   sim.c     options, many seeds, the report       world.c   the queue of events, one run
 *   swarm.c   what a seed draws for its run         seams.c   clocks, threads and calls of the product
 *   profile.c runs that lean on one kind of trouble
 *   node.c    a node's life and its workers         net.c     links between nodes
 *   client.c  sessions that ask, wait and resend    load.c    which operations they ask for
 *   gathers.c clients that gather writes
 *   fault.c   when what breaks                      check.c, check_core.c  what must hold
 *
 * True time is in nanoseconds since the run began. A node sees only its own clock, of another rate.
 * Every random choice comes from a stream of the seed, so that one kind of choice does not move others.
 */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include <setjmp.h>
#include <stdio.h>

#include "base/list.h"
#include "base/prng.h"
#include "fs/fuse/gather.h"
#include "fs/fuse/lcache.h"
#include "net/net.h"
#include "node/replica_internal.h"
#include "node/worker.h"
#include "tests/history/history.h"
#include "tests/sim/coro.h"
#include "tests/sim/sim_disk.h"

#define SIM_NODES_MAX 12 /* over the life of a run; members at a time: 7 */
#define SIM_CLIENTS_MAX 24
#define SIM_READERS 2
#define SIM_SLOTS (WORKER_COUNT + SIM_READERS - 1)
#define SIM_MS 1000000ull
#define SIM_CLOCK_RATE_PPM 10000u /* what nodes believe of each other's clocks */
#define SIM_S 1000000000ull

enum sim_stream { /* of random numbers */
		  RND_SWARM,
		  RND_SCHED,
		  RND_NET,
		  RND_DISK,
		  RND_FAULT,
		  RND_LOAD,
		  RND_NODE, /* seeds of replicas */
		  RND_COUNT,
};

/* What a seed draws. Rates are per mille unless the name tells another unit. */
#define LIST_ROOM 65536u /* more than all names that the load uses */

struct swarm {
	size_t nodes;
	size_t clients;
	unsigned ops;          /* of all clients together */
	uint64_t chaos_ns;     /* how long faults go on */
	unsigned inflight_max; /* operations that one client has under way */
	unsigned think_ms;     /* between two operations of a client, at most */
	size_t known_max;      /* attributes, and names, that a client remembers */
	unsigned looks;        /* operations that are LOOKUP or GETATTR in any case (per mille) */
	unsigned gathers;      /* clients that gather writes (per mille) */
	/* net */
	uint64_t delay_min_ns, delay_max_ns;
	unsigned loss, dup, reorder;
	unsigned late; /* frames of a broken connection that still arrive */
	unsigned bulk_loss, bulk_damage;
	/* faults: mean time between two of them in ms, 0: none */
	unsigned crash_ms, cut_ms, pause_ms, slow_ms, move_ms, transfer_ms, snapshot_ms, death_ms,
		member_ms;
	unsigned clean_stop;  /* of the crashes */
	unsigned power_loss;  /* of the others */
	unsigned io_crash_ms; /* the process dies in a call that changes the disk */
	unsigned io_error_ms, full_ms, damage_ms;
	unsigned rate_ppm;  /* clocks differ by at most this */
	unsigned wall_jump; /* per mille and start */
	unsigned sleep_ms,
		replace;   /* clients that sleep; deaths whose successor ends the session */
	bool soft_clients; /* some operations are given up */
	struct sim_disk_latency latency; /* of disks; min and max alone */
	/* store and replica */
	size_t segment_bytes;
	uint32_t tick_ms, election_ticks, heartbeat_ticks;
	uint64_t lease_ns; /* 0: off */
	uint64_t session_ttl_ms;
	int64_t snapshot_threshold;
	uint64_t snapshot_interval;
	uint64_t wal_limit_bytes;
	struct replica_limits limits;
	struct evaluator_limits evaluator;
	uint64_t work_min_ns, work_max_ns; /* a worker's round */
	unsigned burst;                    /* jobs that a worker finds at once, at most */
	/* what profiles lean on, else 0 */
	const char *profile;
	unsigned stall_ms;  /* mean gap: a majority cannot write its logs, and dies of it */
	unsigned late_done; /* per mille of an evaluator's rounds: heard much later */
	unsigned clog;      /* per mille of first operations: their connection is stuck then */
	unsigned ghost;     /* per mille of deaths: only asleep, goes on beside its successor */
	unsigned rot_ms;    /* mean gap: a log is damaged where it was durable, and read again */
	unsigned lag_ms;    /* mean gap: one falls behind and needs an image */
	unsigned turn_crash; /* per mille of cuts, installs, checkpoints, images: it dies about then */
	unsigned ask_again_ms; /* clients that hear no answer */
	unsigned resend_ms;    /* how long clients take, at most, when they are told to send again */
	bool sparse;                       /* files of many blocks, with holes */
	bool files;                        /* operations on files, else on kv keys alone */
};

struct sim;
struct sim_node;

/* ---- events ------------------------------------------------------------------------------------- */

enum sim_event_type {
	SIM_EV_TICK,      /* node */
	SIM_EV_WORK,      /* node, slot: a worker looks at its queue */
	SIM_EV_WAKE,      /* node, coroutine sleeps no longer */
	SIM_EV_DONE,      /* node, slot: results arrive at the node thread */
	SIM_EV_FRAME,     /* from, node: arrives */
	SIM_EV_PEER,      /* node: a connection opened or broke */
	SIM_EV_CALL,      /* bulk: question or answer arrives, or the call times out */
	SIM_EV_TO_NODE,   /* client's message arrives */
	SIM_EV_TO_CLIENT, /* node's message arrives */
	SIM_EV_CLIENT,    /* a client's own timer */
	SIM_EV_FAULT,
	SIM_EV_START, /* node: comes back */
	SIM_EV_ROOM,  /* a: the disk of that node has room again */
};

struct sim_event {
	uint64_t at, order;
	enum sim_event_type type;
	uint64_t node; /* whose event it is; 0: nobody's */
	uint64_t life; /* of that node; another one: the event is void */
	uint64_t a, b, c;
	bool kept;        /* whoever handled it has it now */
	struct list link; /* while a cut link holds it */
	struct buf payload;
};

struct sim_queue {
	struct sim_event **v; /* a binary heap */
	size_t count, cap;
	uint64_t order;
};

void queue_push(struct sim_queue *q, struct sim_event *e);
void event_free(struct sim_event *e);
struct sim_event *queue_pop(struct sim_queue *q); /* NULL: empty */

/* ---- network ------------------------------------------------------------------------------------ */

/* The connection that `from` opened to `to`, and the way of its bytes. */
struct sim_link {
	bool open;         /* as `from` sees it */
	uint64_t epoch;    /* number of the connection */
	bool cut;          /* nothing passes this way */
	uint64_t fifo_ns;  /* nothing overtakes what arrives then */
	uint64_t retry_ns; /* no attempt before this */
	uint64_t backoff_ns;
	uint64_t dies_ns; /* broken, `from` notices then; 0: sound */
	struct list held; /* struct sim_event: sent while cut */
};

/* ---- nodes -------------------------------------------------------------------------------------- */

struct sim_worker {
	struct worker worker;
	enum worker_kind kind;
	bool used;      /* worker_init() was called */
	bool scheduled; /* an event will look at the queue */
	bool busy;      /* a round is under way, or its results are */
	bool asleep;    /* its coroutine waits for a WAKE with number `sleeps` */
	uint64_t sleeps;
	struct coro *coro;
	struct list jobs, done; /* of the round */
};

/* What a node's disk must hold after a crash, by what the log worker reported. */
struct sim_shadow {
	struct raft_hard_state hard, hard_maybe[64];
	size_t maybe_count;
	uint64_t base, last; /* terms of base + 1 .. last */
	uint64_t *terms;
	size_t cap;
	uint64_t unsure_from; /* entries from here on were being written; UINT64_MAX: none */
	uint64_t install_index, install_term; /* a flip to this image is under way; 0: none */
	uint64_t unsure_last;                 /* the last one that was being written */
	uint64_t frame_first, frame_at;       /* the first entry of what was synced last, and when */
};

struct sim_node {
	struct sim *sim;
	uint64_t id;
	struct sim_disk *disk;
	const char *dir;
	bool full;       /* its disk has no room */
	bool was_full;   /* in this life: its word of that may come late */
	bool disk_error; /* a fault was armed in this life */
	bool damaged;    /* what it had synced was changed behind its back */
	bool log_damaged;
	bool alive;
	bool dying;  /* coroutines run to their end, nothing waits */
	bool failed; /* its replica asked for the end */
	bool gone;   /* for good */
	struct err error;
	uint64_t life; /* +1 with each start and end */
	uint64_t paused_until;
	/* clock: local = base + (true - since) * (1 + rate) */
	uint64_t clock_base_ns, clock_since_ns;
	int64_t rate_ppm;
	int64_t wall_offset_ns;
	struct store *store;
	struct worker_shared shared;
	struct sim_worker slots[SIM_SLOTS];
	struct list queues[WORKER_COUNT];
	uint64_t stuck_until[WORKER_COUNT];
	struct replica *replica;
	struct fs_board *board;
	struct list coros; /* of threads that the store made */
	struct sim_shadow shadow;
	uint64_t seen_term; /* the last one in which it led */
	uint64_t seen_commit;
	uint64_t match_term; /* of what it took its peers for, when it led last */
	struct {
		uint64_t id, match;
	} match[RAFT_NODES_MAX];
	uint64_t role_terms[16]; /* by generation of its evaluator, the last ones */
	struct sim_owed {
		uint8_t uuid[KV_UUID_SIZE];
		uint64_t seq; /* 0: answered */
		uint64_t client_id, tag;
	} owed[64]; /* answers that came with an image */
	size_t owed_count;
};

/* ---- clients -------------------------------------------------------------------------------------- */

struct sim_op {
	struct list link;
	uint64_t seq; /* 0: a read */
	uint64_t tag;
	uint8_t op; /* enum fs_op */
	struct buf body;
	bool sent, retried, done, given_up;
	uint64_t called_ns, returned_ns, sent_ns;
	uint64_t floor;  /* the newest index that was committed before it began */
	uint64_t seen;   /* the state that answered: a change's own entry, a view's applied index */
	uint64_t judged; /* the last evaluation saw the log up to here: the index of an error */
	uint64_t judged_term; /* ... of that entry, or of that leadership */
	size_t record;   /* in the history */
	int32_t status;
	struct buf reply;
	/* of clients that gather */
	struct sim_client *client;
	struct gather_wait wait;
	bool held, has_waited; /* what was gathered is sent first */
	bool asks;             /* ... for a delegation */
	fs_reply_fn fn;        /* it is the gatherer's own */
	void *fn_ctx;
};

struct sim_client {
	struct sim *sim;
	size_t number;
	bool alive;
	uint64_t node; /* 0: not connected */
	uint64_t node_life;
	uint64_t conn; /* of the connection; new with each */
	uint64_t fifo_up_ns, fifo_down_ns;
	uint8_t uuid[KV_UUID_SIZE];
	uint64_t session_id;
	uint64_t stamp;       /* newest heard; 0: none, so no change leaves */
	uint64_t begin_stamp; /* of this session */
	uint64_t next_seq, next_tag;
	struct list ops; /* struct sim_op under way, ascending */
	size_t *records; /* by number of a change: where it is in the history */
	size_t record_cap;
	size_t op_count;
	uint64_t connect_ns, issue_ns, alive_ns, resend_ns;
	bool resend_due, holder, soft;
	uint64_t asleep_until; /* neither sends nor hears before that */
	uint64_t kept_ns;      /* its session may not end before that unless it is replaced */
	uint64_t ended_index; /* no change of its session stands behind this entry; 0: it goes on */
	uint64_t ending_index; /* an entry that was written here ends its session; 0: none */
	bool ghost;           /* somebody goes on in its place, and it does not know */
	bool replaces;        /* its first operation ends the session of `before` */
	size_t before;
	struct sim_node *machine; /* whose board it sees; NULL: none's */
	struct lcache known;
	struct sim_gatherer *gatherer; /* NULL: it gathers nothing */
	uint64_t own_ino;              /* 0: none */
};

/* ---- the run --------------------------------------------------------------------------------------- */

struct sim_committed {
	uint64_t term, hash;
	uint64_t seen_in; /* term of the node that first handed it out: committed in this one or before */
	bool has_digest, has_session;
	uint8_t digest[KV_DIGEST_SIZE];
};

struct sim_counts {
	uint64_t steps, ops, acked, errors, given_up, resends, reads;
	uint64_t elections, crashes, clean_stops, stopped, refused, cuts, pauses, stuck, moves,
		transfers, deaths, expired, slept, replaced, changes_of_members, known, gathered,
		gather_syncs, gather_lost;
	uint64_t frames, lost, doubled, reordered, broken;
	uint64_t snapshots, installs, bulk_calls, bulk_lost, bulk_damaged, power_losses,
		disk_faults;
	uint64_t entries, changes, judged, unjudged, undecided, tails_lost;
};

struct sim {
	uint64_t seed, now, until;
	bool trace, members;
	struct swarm swarm;
	struct prng rnd[RND_COUNT];
	struct sim_queue queue;
	struct sim_node nodes[SIM_NODES_MAX + 1]; /* by id, from 1 */
	size_t node_count;
	struct sim_link links[SIM_NODES_MAX + 1][SIM_NODES_MAX + 1];
	struct sim_client clients[SIM_CLIENTS_MAX];
	size_t client_count;
	uint64_t next_conn;
	unsigned issued;
	bool has_root; /* committed: clients may begin */
	bool calm;     /* faults are over */
	uint64_t digest;
	struct sim_counts counts;
	/* checks */
	struct sim_committed *committed; /* by index */
	size_t committed_cap;
	uint64_t committed_last;
	uint64_t commit_last;   /* the newest index that any node took for committed */
	uint64_t commit_term;   /* ... of that entry */
	struct htable written;  /* struct sim_written by (index, term) */
	struct htable executed; /* struct sim_executed by (uuid, seq) */
	uint64_t *leaders;      /* by term */
	size_t leaders_cap;
	sigjmp_buf failed;
	char reason[1200];
	struct sim_load *load;
	struct history history;
	struct sim_gathers *gathers;
};

/* The run under way, and the node whose code runs; for the seams alone. */
extern struct sim *sim_now;
extern struct sim_node *sim_here;

/* Runs a seed; 0, or -1 with sim->reason. */
int sim_run(struct sim *s);
void sim_release(struct sim *s);
/* Ends the run as failed. Does not return. */
void sim_fail(struct sim *s, const char *fmt, ...) __attribute__((format(printf, 2, 3), noreturn));
#define SIM_CHECK(s, cond)                                                                         \
	do {                                                                                       \
		if (!(cond))                                                                       \
			sim_fail(s, "%s:%d: %s", __FILE__, __LINE__, #cond);                       \
	} while (0)
void sim_trace(struct sim *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Folds a number into the run's digest. */
void sim_note(struct sim *s, uint64_t a, uint64_t b);
struct sim_event *sim_at(struct sim *s, uint64_t at, enum sim_event_type type,
			 struct sim_node *node);

uint64_t sim_between(struct sim *s, enum sim_stream stream, uint64_t lo, uint64_t hi);
bool sim_chance(struct sim *s, enum sim_stream stream, unsigned per_mille);

/* swarm.c */
void swarm_draw(struct sim *s);
/* profile.c: the last part of it */
void profile_draw(struct sim *s);
void swarm_print(const struct swarm *w, FILE *out);

/* node.c */
void node_make(struct sim_node *node, const struct raft_conf *conf);
void node_start(struct sim_node *node);
enum node_end { NODE_KILL, NODE_POWER, NODE_STOP };
void node_end(struct sim_node *node, enum node_end how);
void node_event(struct sim_node *node, struct sim_event *e);
void node_after(struct sim_node *node); /* flush and check, after each event of a live node */
uint64_t node_local_ns(const struct sim_node *node);
int64_t node_wall_ns(const struct sim_node *node);
/* True time until this much passed on the node's clock. */
uint64_t node_true_ns(const struct sim_node *node, uint64_t local_ns);
void node_release(struct sim_node *node);
/* The round of a worker that waits in this coroutine goes on. */
void node_resume(struct sim_node *node, struct coro *coro);
/* Runs fn on the node's side of the seams. */
struct sim_node *node_enter(struct sim_node *node);
void node_leave(struct sim_node *before);

/* net.c */
void net_init(struct sim *s);
void net_release(struct sim *s);
void net_send(struct sim_node *from, uint64_t to, uint8_t type, struct buf *payload);
void net_event(struct sim *s, struct sim_event *e);
void net_connect_all(struct sim_node *node); /* at each tick: what is not open is tried again */
void net_cut(struct sim *s, uint64_t from, uint64_t to, bool cut);
void net_node_ended(struct sim_node *node);
bool net_reachable(struct sim *s, uint64_t a, uint64_t b); /* both ways */

/* client.c */
void clients_start(struct sim *s);
void clients_release(struct sim *s);
void clients_node_ended(struct sim_node *node);
void client_event(struct sim *s, struct sim_event *e);
void client_to(struct sim_node *node, uint64_t conn, struct buf *payload);
void client_move(struct sim_client *c);
void client_die(struct sim_client *c);
void client_sleep(struct sim_client *c, uint64_t ns);
struct sim_op *client_op(struct sim *s, uint64_t conn, uint64_t tag); /* NULL: nobody waits */
struct sim_client *client_by_uuid(struct sim *s, const uint8_t uuid[KV_UUID_SIZE]); /* or NULL */
/* The evaluator answers a change without an entry, seeing the log up to this index. */
void client_judged(struct sim *s, const struct eval_answer *a, uint64_t seen_term);
/* The first node applied a client's change. */
void client_executed(struct sim *s, const struct apply_answer *a);
/* ... an entry that ends its session; replaced: since another client said so. */
void client_ended(struct sim *s, const struct kv_session_end *end, uint64_t index, bool replaced);
/* ... is being written. Who sleeps may wake up now. */
void client_ending(struct sim *s, const uint8_t uuid[KV_UUID_SIZE], uint64_t index);
bool clients_idle(const struct sim *s);

void client_submit(struct sim_client *c, struct sim_op *op); /* it was made, or may go on */
struct sim_op *client_op_new(struct sim_client *c, const struct fs_request *rq);
void client_op_drop(struct sim_client *c, struct sim_op *op);

/* gathers.c */
void gathers_begin(struct sim_client *c); /* it is one of those who gather */
void gathers_end(struct sim_client *c);   /* nothing comes or goes any more */
void gathers_release(struct sim *s);
/* False: op waits, or was taken, and is not to be sent; it may be gone. */
bool gathers_start(struct sim_client *c, struct sim_op *op);
/* An answer. True: it was the gatherer's own, and op is gone. */
bool gathers_answered(struct sim_client *c, struct sim_op *op, const struct fs_msg *m);
void gathers_dropped(struct sim_client *c, struct sim_op *op); /* it ends without one */
void gathers_recall(struct sim_client *c, const struct fs_msg *m);
void gathers_kept(struct sim_client *c, uint64_t sent_ns);
void gathers_tick(struct sim_client *c);
bool gathers_is_brisk(const struct sim_client *c);
/* An entry of a client is in the log, for good; what one does to a key. */
void gathers_executed(struct sim_client *c, const struct apply_answer *a);
void gathers_mutation(struct sim *s, uint64_t index, const struct kv_mutation *m);
void gathers_entry(struct sim *s, uint64_t index); /* all its mutations were told */
/* An operation of c ended, and told attributes of this inode. */
void gathers_seen(struct sim_client *c, const struct sim_op *op, uint64_t ino);
void gathers_check_end(struct sim *s);

/* load.c */
void load_start(struct sim *s);
void load_release(struct sim *s);
/* Fills rq; what it points to lives until the next call. false: nothing more to do. */
bool load_next(struct sim_client *c, struct fs_request *rq);
void load_answered(struct sim_client *c, struct sim_op *op);
void load_executed(struct sim *s, const struct apply_answer *a); /* the first node applied it */
void load_check_end(struct sim *s);

/* disk.c */
void disk_make(struct sim_node *node);
void disk_restart_later(struct sim_node *node);
void disk_crash_soon(struct sim *s);
/* The node is about to do this. */
void disk_crash_in(struct sim_node *node, const struct job *job);
void disk_error(struct sim *s);
void disk_full(struct sim *s);
void disk_damage(struct sim *s);
void disk_rot(struct sim *s);
void disk_mend(struct sim_node *node); /* room, no armed faults */
void disk_event(struct sim *s, struct sim_event *e);
/* The machine's faults explain that this node stopped or cannot start. */
bool disk_explains(const struct sim_node *node);

/* fault.c */
struct sim_node *fault_node(struct sim *s); /* any; often the leader */
void faults_start(struct sim *s);
void fault_event(struct sim *s, struct sim_event *e);
void faults_stop(struct sim *s);

/* check.c */
void check_release(struct sim *s);
void check_node(struct sim_node *node); /* after each step */
void check_persist_handed(struct sim_node *node, const struct job_persist *p);
void check_persisted(struct sim_node *node, const struct job_persist *p);
void check_apply_handed(struct sim_node *node, const struct job_apply *apply);
void check_applied(struct sim_node *node, const struct job_apply *apply,
		   const struct kv_meta *meta);
void check_installed(struct sim_node *node, const struct raft_snapshot_meta *meta);
/* ... and the replica is about to hear of it. */
/* A node says this on a client's connection. */
void check_said(struct sim_node *node, uint64_t client_id, const struct buf *message);
void check_install_told(struct sim_node *node, const struct raft_snapshot_meta *meta);
void check_install_handed(struct sim_node *node, const struct raft_snapshot_meta *meta);
void check_cut(struct sim_node *node, uint64_t index);
/*
 * Damage hit the last frame that was synced, and it was taken for a torn one: no log can tell these two
 * apart by itself (Alagappan et al., FAST 2018, on protocol-aware recovery). The node must not vote with what is left.
 */
bool check_tail_lost(const struct sim_node *node, const struct store_boot *boot);
void check_boot(struct sim_node *node, const struct store_boot *boot, const struct kv_meta *state);
/* A view with this applied index answered a copy of a read. */
void check_read(struct sim_node *node, struct sim_op *op, uint64_t applied);
void check_reply(struct sim_client *c, struct sim_op *op);
bool check_is_member(struct sim *s, uint64_t id); /* as the node that applied most has it */
bool check_converged(struct sim *s);
void check_end(struct sim *s);
struct kv_meta node_meta(struct sim_node *node);

/* check_core.c */
void check_core(struct sim_node *node); /* after each step */
/* A message of the core leaves. */
void check_sent(const struct sim_node *node, const struct buf *payload);

#endif
