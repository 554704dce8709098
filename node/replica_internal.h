/* replica_internal.h - the replica's parts, shared by replica*.c and orphans.c only. */
#ifndef NODE_REPLICA_INTERNAL_H
#define NODE_REPLICA_INTERNAL_H

#include "base/hash.h"
#include "base/log.h"
#include "net/net.h"
#include "node/replica.h"

#define SESSION_TTL_MS 30000u /* a mount unheard for this long holds nothing any more */

/* A client of this node waits for (uuid, seq). */
struct waiter {
	struct hnode node;
	uint8_t uuid[KV_UUID_SIZE];
	uint64_t seq, tag;
	uint64_t client_id;
	bool retried; /* a copy marked RETRY passed: only a final answer ends it */
};

struct client {
	struct hnode node; /* by id */
	uint64_t id;
	uint8_t uuid[KV_UUID_SIZE]; /* of its last request */
	uint64_t session_id;
	bool holder;
	bool known; /* uuid is set */
	uint64_t heard_ms;
};

/* A mount somewhere in the cluster, as the leader knows it. */
struct holder {
	struct list link;
	uint8_t uuid[KV_UUID_SIZE];
	uint64_t heard_ms;
	uint64_t answered; /* number of the last orphan query it answered */
};

/* One read round: what leaves once raft has confirmed an index and it is applied here. */
struct read_round {
	struct list link;
	uint64_t id;
	bool confirmed;
	uint64_t index;
	struct list jobs;    /* struct job_read, by job.link */
	struct list answers; /* struct confirm */
};

/* An evaluator's answer that waits for its confirmation. */
struct confirm {
	struct list link;
	uint64_t generation; /* of the evaluator: what an ended one saw may never have existed */
	uint64_t seen_index;
	struct eval_answer answer;
};

struct peer {
	uint64_t id;
	char address[RAFT_ADDRESS_MAX];
	bool connected;
	uint64_t heard_ms; /* 0: never */
	uint64_t applied_index;
	struct store_space space;
	bool space_low;
};

struct orphans {
	bool pending;       /* there may be some: look */
	bool listing;       /* a list job is under way */
	bool list_asks;     /* ... whose orphans are to be asked about; else it looks for truncates alone */
	uint64_t list_from; /* ... behind this inode */
	uint64_t after;     /* the list is cut to pages: the next one starts behind this inode */
	size_t counted;     /* orphans on the pages so far */
	uint64_t next_ms;   /* next look */
	uint64_t query;     /* number of the question that is out; 0: none */
	uint64_t query_ms;
	uint64_t *inos;     /* asked about; sorted */
	size_t ino_count;
	uint8_t *logged;    /* per ino: holders are logged already */
	struct buf *held;   /* per ino: le64 session ids that said they hold it */
};

struct replica {
	struct replica_options options;
	const struct replica_io_ops *ops;
	void *ctx;
	struct raft *raft;
	bool failed;

	/* progress */
	struct list persisting; /* struct job_persist under way, in order */
	uint64_t commit_index;
	uint64_t applied_index, applied_term;
	bool loading;
	uint64_t last_leader, last_term;

	/* evaluation */
	bool evaluating;
	uint64_t generation;
	uint64_t read_ids;
	bool growth_allowed;
	struct list refused; /* job_eval_result that raft was too busy for, in order */

	/* clients and reads */
	struct htable clients, waiters;
	struct list gathering; /* struct job_read not in a round yet */
	struct list gathering_answers; /* struct confirm, likewise */
	struct list rounds;    /* struct read_round, in order */
	uint64_t reads_open;
	uint64_t reads_wait_ms; /* the last round was refused: none before this */

	/* peers */
	struct peer peers[RAFT_NODES_MAX];
	size_t peer_count;
	uint64_t status_ms, space_ms;
	struct job_space space; /* last result */
	uint64_t space_bytes;   /* applied since it was asked for */

	/* snapshots */
	bool snapshot_running, fetch_running, checkpointing;
	bool snapshot_wanted;
	uint64_t since_bytes, since_entries; /* applied since the last snapshot */
	uint64_t state_bytes;            /* at the last checkpoint */
	uint64_t since_checkpoint_bytes; /* applied since then */
	uint64_t snapshots_made, snapshots_installed;
	uint64_t apply_ms;      /* last apply; an idle node checkpoints once, then is silent */
	bool dirty;             /* applied since the last checkpoint */
	char snapshot_error[256];
	uint64_t snapshot_retry_ms;

	/* leader */
	uint64_t leader_since_ms;
	struct list holders;
	struct orphans orphans;
	bool root_made;
	size_t orphan_count;
};

/* replica.c */
int replica_step(struct replica *r, struct raft_input *in);
uint64_t replica_now(struct replica *r);
bool replica_is_leader(const struct replica *r);
uint64_t replica_leader(const struct replica *r);
struct peer *replica_peer(struct replica *r, uint64_t id);
void replica_submit(struct replica *r, enum worker_kind worker, struct job *job);
/* The process must end; the first reason is told. */
void replica_fail(struct replica *r, const struct err *err);
/* What is applied, and whether the state may grow. */
void replica_tell_evaluator(struct replica *r);
/* An operation of the leader's own, by the evaluator. */
void replica_evaluate_internal(struct replica *r, const struct fs_request *rq);

/* replica_client.c */
void client_init(struct replica *r);
void client_release(struct replica *r);
void client_answers(struct replica *r, const struct apply_answer *answers, size_t count);
void client_on_leader_change(struct replica *r);
void client_on_installed(struct replica *r);
void client_on_forward(struct replica *r, uint64_t from, const uint8_t *payload, size_t len);
void client_on_forward_reply(struct replica *r, uint64_t from, const uint8_t *payload, size_t len);
void client_on_eval_result(struct replica *r, struct job_eval_result *res);
void client_on_read_result(struct replica *r, const struct raft_read_result *res);
void client_on_read_done(struct replica *r, struct job_read *read);
void client_start_rounds(struct replica *r);
void client_finish_rounds(struct replica *r);
void client_resend(struct replica *r);
/* A read for the node itself: local state, no round. */
void client_query_holders(struct replica *r, const struct fs_msg *query);
void client_state(struct replica *r);

/* orphans.c: leader only */
void orphans_release(struct replica *r);
void orphans_reset(struct replica *r);  /* leadership began or ended */
void orphans_tick(struct replica *r);
void orphans_listed(struct replica *r, struct job_read *read);
void orphans_answer(struct replica *r, const struct fs_msg *answer);
void orphans_heard(struct replica *r, const uint8_t uuid[KV_UUID_SIZE], uint64_t age_ms);
void orphans_bye(struct replica *r, const uint8_t uuid[KV_UUID_SIZE]);

/* upkeep.c: checkpoints, snapshots, space */
void upkeep_tick(struct replica *r);
void upkeep_carry_out(struct replica *r, struct raft_output *out); /* out->snapshot */
void upkeep_count_applied(struct replica *r, const struct job_apply *apply);
void upkeep_snapshot_now(struct replica *r); /* due or not */
void upkeep_on_checkpoint(struct replica *r, struct job_checkpoint *cp);
void upkeep_on_snapshot(struct replica *r, struct job_snapshot *snap);
void upkeep_on_fetched(struct replica *r, struct job_fetch *fetch);
void upkeep_on_installed(struct replica *r, struct job_install *install);
void upkeep_on_space(struct replica *r, struct job_space *space);
/* Growth is refused: less than the reserve and one more image of the state would be left free. */
bool upkeep_space_is_low(const struct replica *r);
/* Bytes of log after which a snapshot is due now; UINT64_MAX: never. */
uint64_t upkeep_threshold_bytes(const struct replica *r);

/* status.c: NODE_STATUS frames */
void status_send(struct replica *r);
void status_receive(struct replica *r, uint64_t from, const uint8_t *payload, size_t len);

#endif
