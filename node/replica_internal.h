/* replica_internal.h - the replica's parts, shared by the files of node/ that make it up. */
#ifndef NODE_REPLICA_INTERNAL_H
#define NODE_REPLICA_INTERNAL_H

#include "base/hash.h"
#include "base/log.h"
#include "net/net.h"
#include "node/replica.h"

#define SESSION_TTL_MS 30000u /* default: a session unheard for this long ends */
#define CLOCK_RATE_PERCENT 1u /* no two clocks of the cluster and its clients differ more in rate */

/* A client of this node waits for (uuid, seq). */
struct waiter {
	struct hnode node;
	uint8_t uuid[KV_UUID_SIZE];
	uint64_t seq, tag;
	uint64_t client_id;
	uint64_t session_id, stamp; /* as the request names its session */
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
	bool alive_due;      /* an ALIVE came that no beat has taken along yet */
	uint64_t alive_tag;  /* ... of it */
	uint64_t beat;       /* the beat that took one along; 0: none */
	uint64_t beat_tag;
};

/* A session or mount somewhere in the cluster, as the leader knows it; sessions.c. */
struct session {
	struct hnode by_uuid;
	struct list link;
	uint8_t uuid[KV_UUID_SIZE];
	uint64_t id;       /* 0: it has changed nothing yet, the state does not know it */
	uint64_t since_ms; /* known; on the sessions' clock, as are the others */
	uint64_t heard_ms; /* last, or since when it counts as such */
	bool in_state;     /* seen in the table, or begun before our eyes */
	bool heard;        /* in this leadership */
	bool holder;
	bool bye;
	bool ending;       /* its end is proposed */
	uint64_t ending_ms;
	uint64_t via;      /* node whose client it is */
	uint64_t answered; /* number of the last orphan query it answered */
};

struct sessions {
	struct htable by_uuid;
	struct list all;
	uint64_t clock_ms; /* of this leadership, without the time it was stopped */
	uint64_t tick_ms;  /* last tick */
	uint64_t epoch;    /* counts leaderships, and their ends */
	bool complete;     /* the state's sessions are all known */
	bool listing;
	uint64_t list_index; /* applied when the listing began */
	uint64_t list_ms;    /* not listed again before */
	uint64_t look_ms;    /* next look for silent ones */
	struct buf ended;    /* names of those that ended while listing */
	struct list gathering_beats; /* struct beat not in a read round yet */
};

/* What a node said it has heard, to be answered when leadership is confirmed. */
struct beat {
	struct list link;
	uint64_t node, number, epoch;
	struct buf ended; /* names in it of sessions that there are not */
};

/* The answer to a beat. */
struct kept {
	uint64_t number;
	uint32_t ttl_ms;
	uint64_t stamp;
	const uint8_t *names; /* of sessions that ended; borrowed */
	size_t names_len;
};

/* One read round: what leaves once raft has confirmed an index and it is applied here. */
struct read_round {
	struct list link;
	uint64_t id;
	bool confirmed;
	uint64_t index;
	struct list jobs;    /* struct job_read, by job.link */
	struct list answers; /* struct confirm */
	struct list beats;   /* struct beat */
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
	uint64_t room_bytes;
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
	struct fs_board *board; /* NULL: none */
	int board_fd;

	/* progress */
	struct list persisting; /* struct job_persist under way, in order */
	uint64_t commit_index;
	struct job_apply *held; /* entries not given to the worker yet; NULL: none */
	size_t held_bytes;
	uint64_t applied_index, applied_term;
	bool loading;
	uint64_t last_leader, last_term;

	/* evaluation */
	bool evaluating;
	uint64_t evaluated_to; /* the evaluator takes this for the end of the log */
	uint64_t evaluates_above; /* it began, or will, once this is applied */
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
	uint64_t read_ms; /* when the last one came */
	struct list waits; /* struct job_read that wait for a lock to go */
	size_t wait_count;
	struct list recalls; /* leader: struct recall */
	size_t recall_count;
	uint64_t recall_ms; /* looked at last */
	uint64_t unlocked_index; /* applied here, when a lock went last */
	uint64_t local_reads, index_reads;
	uint64_t reads_wait_ms; /* the last round was refused: none before this */

	/* peers */
	struct peer peers[RAFT_NODES_MAX];
	size_t peer_count;
	uint64_t status_ms, space_ms;
	uint64_t status_sent_ms;
	struct job_space space; /* last result */
	uint64_t space_bytes;   /* applied since it was asked for */

	/* snapshots */
	bool snapshot_running, fetch_running, checkpointing;
	bool snapshot_wanted;
	bool snapshot_again; /* be there news or not: the last one failed, or a piece of it does not verify */
	uint64_t since_bytes, since_entries; /* applied since the last snapshot */
	uint64_t state_bytes;            /* at the last checkpoint */
	uint64_t since_checkpoint_bytes; /* applied since then */
	uint64_t snapshots_made, snapshots_installed;
	uint64_t apply_ms;      /* last apply; an idle node checkpoints once, then is silent */
	bool dirty;             /* applied since the last checkpoint */
	char snapshot_error[256];
	bool state_suspect; /* the last image did not verify: once may be the image, twice is the state */
	uint64_t snapshot_retry_ms;

	/* clients' keep-alives on their way to the leader */
	struct {
		uint64_t number; /* the last */
		bool open;       /* not answered yet */
		uint64_t sent_ms;
	} beat;
	uint64_t session_count; /* in the state */

	/* leader */
	uint64_t leader_since_ms;
	struct sessions sessions;
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

/* entries.c */
void entries_carry_out(struct replica *r, const struct raft_output *out);
/* What was held back is applied now. */
void entries_flush(struct replica *r);
void entries_applied(struct replica *r, struct job_apply *apply); /* taken */
void entries_release(struct replica *r);

/* replica_client.c */
void client_init(struct replica *r);
void client_release(struct replica *r);
void client_send(struct replica *r, uint64_t client_id, const struct fs_msg *m);
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
/* To the client whose session it names, if that is one of ours. */
void client_recall(struct replica *r, const struct fs_msg *recall);
void client_state(struct replica *r);
/* Takes along the ALIVEs that came since the last beat; the beat's number, 0: there are none. */
uint64_t client_beat(struct replica *r);
void client_kept(struct replica *r, const struct kept *kept);

/* board.c: what mounts on this machine are told without a message. Before anything of out leaves. */
void board_carry_out(struct replica *r, const struct raft_output *out);
void board_installed(struct replica *r); /* of a snapshot: whatever changed in it */
void board_show(struct replica *r, uint64_t client_id);

/* recalls.c: leader only, but for recalls_want() and recalls_message() */
void recalls_init(struct replica *r);
void recalls_reset(struct replica *r); /* leadership began or ended */
/* Somebody is blocked by it. */
void recalls_want(struct replica *r, uint64_t ino, const struct fs_delegation *d);
void recalls_message(struct replica *r, const struct fs_msg *m);
void recalls_applied(struct replica *r, const struct job_apply *apply);
void recalls_tick(struct replica *r);
/* The end of a delegation of that session is proposed, as it was silent. */
bool recalls_is_revoking(const struct replica *r, uint64_t session);

/* waits.c: reads that wait for a lock to go, or a delegation */
void waits_init(struct replica *r);
void waits_release(struct replica *r);
/* Takes a read that is blocked, unless it has waited long enough: then it is answered, with its status. */
bool waits_park(struct replica *r, struct job_read *read);
void waits_applied(struct replica *r, const struct job_apply *apply);
void waits_installed(struct replica *r); /* of a snapshot: whatever changed in it */
void waits_tick(struct replica *r);
void waits_client_gone(struct replica *r, uint64_t client_id);

/* orphans.c: leader only */
void orphans_release(struct replica *r);
void orphans_reset(struct replica *r);  /* leadership began or ended */
void orphans_tick(struct replica *r);
void orphans_listed(struct replica *r, struct job_read *read);
void orphans_answer(struct replica *r, const struct fs_msg *answer, uint64_t from);

/* sessions.c: leader only, but for init, release, sessions_on_kept() and the count in sessions_applied() */
void sessions_init(struct replica *r, uint64_t incarnation);
void sessions_release(struct replica *r);
void sessions_reset(struct replica *r); /* leadership began or ended */
void sessions_tick(struct replica *r);
void sessions_applied(struct replica *r, const struct job_apply *apply);
void sessions_listed(struct replica *r, struct job_read *read);
/* false: there is no such session any more. id 0: it names none. */
bool sessions_heard(struct replica *r, const uint8_t uuid[KV_UUID_SIZE], uint64_t id, bool holder,
		    uint64_t age_ms, uint64_t via);
bool sessions_is_ending(const struct replica *r, const uint8_t uuid[KV_UUID_SIZE]);
void sessions_bye(struct replica *r, const uint8_t uuid[KV_UUID_SIZE]);
struct session *sessions_find(struct replica *r, const uint8_t uuid[KV_UUID_SIZE]);
const struct session *sessions_by_id(const struct replica *r, uint64_t id); /* NULL: unknown here */
uint64_t sessions_ttl_ms(const struct replica *r);
uint64_t sessions_clock_ms(const struct replica *r); /* of this leadership: log time grows with it */
/* This leadership is old enough that whoever is alive anywhere was heard. */
bool sessions_all_known(const struct replica *r);
/* Takes *ended: names in this beat of sessions that there are not. */
void sessions_on_beat(struct replica *r, uint64_t node, uint64_t number, struct buf *ended);
void sessions_confirm_beats(struct replica *r, struct list *beats); /* empties the list */
void sessions_on_kept(struct replica *r, const uint8_t *payload, size_t len);
bool kept_has_ended(const struct kept *kept, const uint8_t uuid[KV_UUID_SIZE], uint64_t id);

/* upkeep.c: checkpoints, snapshots, space */
void upkeep_tick(struct replica *r);
void upkeep_carry_out(struct replica *r, struct raft_output *out); /* out->snapshot */
void upkeep_count_applied(struct replica *r, const struct job_apply *apply);
void upkeep_snapshot_now(struct replica *r); /* due or not */
void upkeep_on_checkpoint(struct replica *r, struct job_checkpoint *cp);
void upkeep_on_snapshot(struct replica *r, struct job_snapshot *snap);
void upkeep_on_served(struct replica *r, const struct job_bulk *bulk);
void upkeep_on_fetched(struct replica *r, struct job_fetch *fetch);
void upkeep_on_installed(struct replica *r, struct job_install *install);
void upkeep_on_space(struct replica *r, struct job_space *space);
/* Growth is refused: less than the reserve and one more image of the state would be left free. */
bool upkeep_space_is_low(const struct replica *r);
/* So much may still be written before growth is refused here. 0: not known. */
uint64_t upkeep_room_bytes(const struct replica *r);
/* Bytes of log after which a snapshot is due now; UINT64_MAX: never. */
uint64_t upkeep_threshold_bytes(const struct replica *r);

/* status.c: NODE_STATUS frames */
void status_send(struct replica *r);
void status_soon(struct replica *r); /* a client is in a hurry to be confirmed */
void status_receive(struct replica *r, uint64_t from, const uint8_t *payload, size_t len);

#endif
