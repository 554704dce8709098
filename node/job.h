/*
 * job.h - what the replica asks its workers to do, and what comes back.
 *
 * The replica (node thread) fills a job and submits it to a worker; the worker runs it and hands the
 * same struct back as an event. A job owns what it points to. No worker touches the replica, no two
 * workers touch the same job; the only state they share is the kv_slot.
 */
#ifndef NODE_JOB_H
#define NODE_JOB_H

#include <pthread.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"
#include "fs/fs.h"
#include "fs/fs_wire.h"
#include "raft/raft.h"
#include "store/store.h"

enum worker_kind {
	WORKER_LOG,      /* superblock and log: PERSIST, CUT, INSTALL */
	WORKER_APPLY,    /* the only writer of SQLite: APPLY, CHECKPOINT */
	WORKER_EVALUATE, /* the leader's evaluator: EVAL_* */
	WORKER_READ,     /* several threads: READ, LOAD, BULK, SPACE */
	WORKER_SNAPSHOT, /* what takes long and writes little: SNAPSHOT, CHECK */
	WORKER_FETCH,    /* FETCH */
	WORKER_COUNT,
};

enum job_type {
	JOB_PERSIST,
	JOB_CUT,
	JOB_INSTALL,
	JOB_APPLY,
	JOB_CHECKPOINT,
	JOB_EVAL_REQUEST,
	JOB_EVAL_ROLE,
	JOB_EVAL_APPLIED,
	JOB_EVAL_RECALLED,
	JOB_EVAL_RESULT, /* comes from the evaluator on its own account */
	JOB_READ,
	JOB_LOAD,
	JOB_BULK,
	JOB_SPACE,
	JOB_CHECK,
	JOB_SNAPSHOT,
	JOB_FETCH,
};

struct job {
	struct list link;
	enum job_type type;
	int status;     /* 0 or a negative errno, set by the worker */
	bool store_failed; /* with a status: a write failed, so the node must stop */
	struct err err; /* explains a status that is the store's failure */
};

/* ---- log ------------------------------------------------------------------------------------ */

struct job_persist {
	struct job job;
	struct list tracking; /* replica: in the order handed out */
	bool set_hard;
	struct raft_hard_state hard;
	struct raft_entry *entries; /* with references */
	size_t entry_count;
	struct raft_message *promises; /* leave once this is synced */
	size_t promise_count;
};

struct job_cut {
	struct job job;
	uint64_t index;
};

struct job_install {
	struct job job;
	struct raft_snapshot_meta meta;
	uint64_t applied_index;
	struct kv *kv; /* out: the new state, one reference */
};

/* ---- apply ------------------------------------------------------------------------------------ */

/* One executed operation, for the client that waits for it; reply borrows from the job's entries. */
struct apply_answer {
	uint8_t uuid[KV_UUID_SIZE];
	uint64_t seq;
	uint64_t index;
	uint64_t session_id;
	int32_t status;
	const uint8_t *reply;
	size_t reply_len;
};

/* A session began or ended. */
struct apply_session {
	uint8_t uuid[KV_UUID_SIZE];
	uint64_t id;
	bool ends;
};

struct job_apply {
	struct job job;
	struct raft_entry *entries; /* with references */
	size_t entry_count;
	struct apply_answer *answers;
	size_t answer_count;
	struct apply_session *session_changes; /* in order */
	size_t session_change_count;
	uint64_t session_count; /* out: in the state */
	bool orphans; /* an orphan or a large truncate appeared or moved */
	uint64_t *unlocked; /* inodes of whose locks some went or changed */
	size_t unlocked_count;
};

/* Adds what borrows from the entries behind the first `from`, or tells of them: all but session_count. */
void job_apply_collect(struct job_apply *apply, size_t from);

struct job_checkpoint {
	struct job job;
	uint64_t durable_index; /* out */
	uint64_t state_bytes;   /* out */
};

/* ---- evaluate ----------------------------------------------------------------------------------- */

struct eval_request {
	struct job job;
	uint64_t origin;    /* node whose client asks; 0: the leader itself (reclaim and so on) */
	struct fs_msg msg;  /* body points into data */
	struct buf data;
	uint64_t elapsed_ms; /* of this leadership, when it was handed in: makes log time */
	uint64_t wait_index; /* evaluator: parked until this is applied */
	uint64_t index;      /* evaluator: entry it became */
};

struct job_eval_role {
	struct job job;
	uint64_t generation; /* results of an older one are void */
	bool leader;
	uint64_t term;
	uint64_t last_index, last_term; /* end of the log; evaluation starts once it is applied */
	uint64_t sessions_max;
};

struct job_eval_applied {
	struct job job;
	uint64_t index;
	bool growth_allowed; /* space on every node */
	uint64_t room_bytes; /* struct fs_stamp */
};

/* A delegation of ino is recalled: nobody gets one for a while. */
struct job_eval_recalled {
	struct job job;
	uint64_t ino;
};

/* A request is blocked by this. */
struct eval_wanted {
	uint64_t ino;
	struct fs_delegation delegation;
};

/* An answer that is a read of what the evaluator saw: leaves after confirmation (section 1). */
struct eval_answer {
	uint64_t origin;
	uint8_t uuid[KV_UUID_SIZE];
	uint64_t tag, seq, session_id;
	int32_t status;
	struct buf reply;
	bool executed; /* from the session table: committed already, nothing to confirm */
	uint64_t seen_index; /* end of the log as this answer saw it */
	bool final;    /* binds every copy of the request (FS_MSG_FINAL) */
	bool expired;  /* FS_MSG_EXPIRED, with stamp */
	uint64_t stamp;
};

struct job_eval_result {
	struct job job;
	uint64_t generation;
	uint64_t prev_index, prev_term; /* where the first proposal belongs */
	struct raft_proposal *proposals; /* with references */
	size_t proposal_count;
	struct eval_answer *answers;
	size_t answer_count;
	struct eval_wanted *wanted; /* to be recalled */
	size_t wanted_count;
};

/* ---- read --------------------------------------------------------------------------------------- */

struct job_read {
	struct job job;
	uint64_t client_id; /* 0: the node itself, see `internal` */
	uint8_t uuid[KV_UUID_SIZE];
	uint64_t tag;
	uint64_t min_index; /* asserted: the view has at least this */
	struct buf data;    /* encoded fs_request */
	struct buf reply;   /* out */
	bool session_lookup; /* after a snapshot: data unused, answer (uuid, seq) from the table */
	uint64_t seq;
	uint64_t stamp;
	bool found;          /* out, session_lookup */
	uint64_t session_id; /* session_lookup: as in the request; out: of the session */
	bool session_list;   /* a page of the table behind uuid: data unused; reply: names, by uuid */
	uint64_t reader;      /* session id of who reads; 0: it has none */
	uint64_t blocked_ino; /* out: no answer yet, FS_BLOCKED; 0: answered */
	struct fs_delegation blocked_by; /* out: number 0: none */
	uint64_t seen_index;  /* out: of the state that was looked at; 0: none was */
	uint64_t parked_ms;   /* replica: since when it waits for that; 0: it has not waited */
	uint64_t looked_ms;   /* replica: parked last */
};

struct job_load {
	struct job job;
	uint64_t lo, hi;
	size_t max_bytes;
	struct raft_entry *entries; /* out */
	size_t entry_count;
};

struct job_bulk {
	struct job job;
	uint64_t conn_id;
	struct raft_snapshot_meta meta;
	bool manifest;   /* else chunk `number` */
	uint32_t number;
	struct buf reply; /* out */
};

struct job_space {
	struct job job;
	struct store_space space; /* out */
	uint64_t log_bytes;       /* out */
	uint64_t written_bytes;   /* out */
};

/* A whole-state question of the admin protocol: digest recomputed, or fs_check. */
struct job_check {
	struct job job;
	uint64_t admin_id;
	bool tree; /* fs_check() too */
	struct kv_meta meta; /* out */
	uint8_t digest[KV_DIGEST_SIZE]; /* out */
	struct buf text; /* out */
};

/* ---- snapshots ---------------------------------------------------------------------------------- */

struct job_snapshot {
	struct job job;
	struct raft_snapshot_meta meta; /* out */
};

struct job_fetch {
	struct job job;
	uint64_t from;
	char address[RAFT_ADDRESS_MAX];
	struct raft_snapshot_meta meta;
};

/* ---- shared -------------------------------------------------------------------------------------- */

/* The state in force. A flip replaces it; workers notice at their next job and reopen their views. */
struct kv_slot {
	pthread_mutex_t lock; /* guards kv */
	struct kv *kv;
};

void kv_slot_init(struct kv_slot *slot, struct kv *kv); /* takes the reference */
void kv_slot_release(struct kv_slot *slot);
struct kv *kv_slot_get(struct kv_slot *slot);              /* a reference of the caller's own */
void kv_slot_set(struct kv_slot *slot, struct kv *kv);     /* takes the reference */
/* Opens *view on the slot's kv, or refreshes it, or reopens it after a flip. */
int kv_slot_view(struct kv_slot *slot, struct kv_view **view, struct kv **view_kv, struct err *err);

void *job_new(enum job_type type, size_t size_bytes); /* zeroed */
void job_free(struct job *job); /* with all that it owns; accepts NULL */

#endif
