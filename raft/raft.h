/*
 * raft.h - consensus for one group as a pure state machine.
 *
 * No I/O, clock, thread, environment or hidden randomness: inputs in, outputs out. Equal state and
 * equal inputs give equal outputs, so a list of inputs replays a run. The owner (node/) carries the
 * outputs out and reports completions back as further inputs.
 *
 * Way of an entry: PROPOSE appends to the leader's log -> output persist + append messages ->
 * PERSISTED (own disk) and append responses (peers' disks) -> commit_index moves -> output apply
 * -> APPLIED.
 *
 * Sources: Ongaro's dissertation (figure 3.1; sections 3.8, 4.3, 6.4, 9.6, 10.2.1); where there is a
 * free choice it is the one of etcd-io/raft (apply-time configuration, reject hints, progress
 * states), because its recorded interaction scripts serve as our oracle.
 */
#ifndef RAFT_RAFT_H
#define RAFT_RAFT_H

#include "base/base.h"
#include "base/blob.h"
#include "base/buf.h"
#include "base/err.h"

#define RAFT_NODES_MAX 16 /* members of one group, both halves of a joint configuration together */
#define RAFT_ADDRESS_MAX 64

/* ---- entries ------------------------------------------------------------------------------- */

enum raft_entry_type {
	RAFT_ENTRY_NOOP = 1,   /* a new leader's first entry; empty */
	RAFT_ENTRY_CONF = 2,   /* payload: raft_conf_encode() or raft_conf_change_encode() */
	RAFT_ENTRY_NORMAL = 3, /* payload belongs to the layer above */
};

struct raft_entry {
	uint64_t index;
	uint64_t term;
	uint8_t type;      /* enum raft_entry_type */
	struct blob *data; /* NULL when empty; the struct holds one reference where it is owned */
};

struct raft_entries {
	const struct raft_entry *v; /* consecutive indexes */
	size_t count;
};

/* ---- configuration -------------------------------------------------------------------------- */

enum raft_role_bits {
	RAFT_VOTER = 1,        /* votes in the incoming (or only) configuration */
	RAFT_VOTER_OUT = 2,    /* votes in the outgoing half of a joint configuration */
	RAFT_LEARNER = 4,
	RAFT_LEARNER_NEXT = 8, /* becomes a learner when the joint configuration is left */
};

struct raft_member {
	uint64_t id;                    /* never 0 */
	uint8_t role;                   /* raft_role_bits */
	char address[RAFT_ADDRESS_MAX]; /* "host:port", opaque to the core, NUL-terminated */
};

struct raft_conf {
	uint64_t index; /* entry that made it; 0 = none */
	bool auto_leave;
	size_t count;
	struct raft_member members[RAFT_NODES_MAX]; /* ascending by id */
};

/* Layout in raft_wire.c. Decode: 0 or -EPROTO, *conf untouched on failure; index is not part of it. */
void raft_conf_encode(const struct raft_conf *conf, struct buf *out);
int raft_conf_decode(struct raft_conf *conf, const void *data, size_t len);
const struct raft_member *raft_conf_find(const struct raft_conf *conf, uint64_t id);

/* ---- changes of the configuration ------------------------------------------------------------ */

#define RAFT_CHANGES_MAX RAFT_NODES_MAX

enum raft_change_op {
	RAFT_ADD_VOTER = 1, /* or promote a learner */
	RAFT_ADD_LEARNER,   /* or demote a voter, once a joint configuration is left */
	RAFT_REMOVE,
	RAFT_UPDATE, /* the address only */
};

struct raft_change {
	uint64_t id;                    /* 0: the change is ignored */
	uint8_t op;                     /* enum raft_change_op */
	char address[RAFT_ADDRESS_MAX]; /* empty: keeps the one that is known */
};

enum raft_transition {
	RAFT_JOINT_AUTO = 1, /* into a joint configuration, which the leader leaves by itself */
	RAFT_JOINT_EXPLICIT, /* ... which is left by RAFT_LEAVE_JOINT */
	RAFT_SIMPLE,         /* at most one voter changes, at once */
	RAFT_LEAVE_JOINT,    /* no changes */
};

struct raft_conf_change {
	uint8_t transition; /* enum raft_transition */
	size_t count;
	struct raft_change v[RAFT_CHANGES_MAX]; /* carried out in this order */
};

/**
 * raft_conf_change() - what a change makes of a configuration; pure.
 * @next: written on success only; may be @conf.
 * @err:  may be NULL. The texts are those of etcd/raft (package confchange), where it has one.
 *
 * Return: 0 or -EINVAL. Source: Raft dissertation, section 4.3; etcd/raft confchange.go.
 */
int raft_conf_change(const struct raft_conf *conf, const struct raft_conf_change *change,
		     struct raft_conf *next, struct err *err);
bool raft_conf_joint(const struct raft_conf *conf);

/* Layout in raft_wire.c. Decode: 0 or -EPROTO, *change untouched on failure. */
void raft_conf_change_encode(const struct raft_conf_change *change, struct buf *out);
int raft_conf_change_decode(struct raft_conf_change *change, const void *data, size_t len);

/**
 * raft_conf_apply() - put a CONF entry into force: the same step on every replica and in its state.
 * @conf: the configuration that the entry meets; on 0 the one it leaves, with its index.
 *
 * A change that does not fit changes nothing but the index, alike on every replica; a leader lets
 * none of them into the log. Return: 0, or -EPROTO if the payload does not decode.
 */
int raft_conf_apply(struct raft_conf *conf, const struct raft_entry *entry);

/* ---- messages -------------------------------------------------------------------------------- */

enum raft_message_type {
	RAFT_MSG_APPEND = 1,
	RAFT_MSG_APPEND_RESP,
	RAFT_MSG_HEARTBEAT,
	RAFT_MSG_HEARTBEAT_RESP,
	RAFT_MSG_PREVOTE,
	RAFT_MSG_PREVOTE_RESP,
	RAFT_MSG_VOTE,
	RAFT_MSG_VOTE_RESP,
	RAFT_MSG_SNAPSHOT,      /* offer: the receiver pulls the chunks outside the core [InstallSnapshot] */
	RAFT_MSG_SNAPSHOT_RESP, /* reject = could not be installed */
	RAFT_MSG_READ_INDEX,    /* follower to leader */
	RAFT_MSG_READ_INDEX_RESP,
	RAFT_MSG_TIMEOUT_NOW,   /* leadership transfer */
};

/* What a sealed image is known by; equal metas name the same bytes. */
struct raft_snapshot_meta {
	uint64_t index;
	uint64_t term;
	uint64_t size_bytes;
	uint8_t root[32]; /* BLAKE2b root of the seal */
	struct raft_conf conf;
};

/*
 * What leases rest on: on APPEND, HEARTBEAT and their answers. Each time is of the clock of the node
 * that wrote it first, and only that node compares it with anything. sent_ns 0: nothing of this is
 * sent, as of a node without leases.
 */
struct raft_lease_stamp {
	uint64_t sent_ns;   /* the sender's clock */
	uint64_t echo_ns;   /* newest sent_ns of the receiver that the sender saw in this term; 0: none */
	uint64_t echo_incarnation; /* to a member: of the process whose clock echo_ns is of */
	uint64_t length_ns;        /* the sender's lease_ns */
	uint64_t grant_ns;         /* to a member: it may read by itself until echo_ns + grant_ns; 0: no grant */
	uint64_t grant_index;      /* ... once its log has this */
	bool wanted;               /* to the leader: reads come in here */
	bool surrendered;          /* to the leader: what was granted for earlier times is given back */
};

struct raft_message {
	uint8_t type; /* enum raft_message_type */
	bool reject;
	uint32_t group;
	uint64_t from, to;
	uint64_t term;       /* 0 only in local bookkeeping, never on the wire */
	uint64_t log_index;  /* APPEND: prev; RESP: match, or the rejected prev; votes: last;
				READ_INDEX_RESP: the read's index; SNAPSHOT_RESP: the image's */
	uint64_t log_term;
	uint64_t commit;     /* HEARTBEAT: min(match, commit); APPEND: commit */
	uint64_t hint_index; /* APPEND_RESP with reject: search hint */
	uint64_t hint_term;
	uint64_t context;    /* HEARTBEAT(_RESP): read round, made by the leader; READ_INDEX(_RESP): the asker's id */
	uint64_t incarnation; /* of the sender: +1 at each start; a lower one is from before a restart */
	bool campaign_transfer; /* VOTE: a transfer, so do not protect the leader's lease */
	struct raft_lease_stamp lease;
	struct raft_entry *entries; /* APPEND; owned by the message */
	size_t entry_count;
	struct raft_snapshot_meta *snapshot; /* SNAPSHOT(_RESP); owned by the message */
};

struct raft_messages {
	struct raft_message *v;
	size_t count;
};

/* Drops entries (with their references) and snapshot; the struct itself belongs to the caller. */
void raft_message_release(struct raft_message *msg);
/* Appends the encoding; payloads are copied. Layout tables in raft_wire.c. */
void raft_message_encode(const struct raft_message *msg, struct buf *out);
/* 0 or -EPROTO (then *msg is untouched). On 0 the caller releases it. */
int raft_message_decode(struct raft_message *msg, const void *data, size_t len);
/* A snapshot meta by itself, for manifests and the bulk channel. */
void raft_snapshot_meta_encode(const struct raft_snapshot_meta *meta, struct buf *out);
int raft_snapshot_meta_decode(struct raft_snapshot_meta *meta, const void *data, size_t len);
const char *raft_message_type_name(uint8_t type);

/* ---- creation ------------------------------------------------------------------------------- */

/* Only the core's own tests may set these; NULL in every program. */
struct raft_test_options {
	bool no_pre_vote;
	bool no_check_quorum;
	bool etcd_conf_rules; /* simple and explicit changes, and only the checks that etcd/raft has */
	bool no_conf_validation; /* ... and not even those */
	bool stay_when_removed;  /* a removed leader goes on */
	bool forget_leader;      /* RAFT_IN_FORGET_LEADER is obeyed */
	bool defer_self_vote;    /* the own pre-vote, too, counts only with the next PERSISTED */
};

struct raft_options {
	uint64_t self;
	uint32_t group;
	uint64_t seed;
	uint32_t election_ticks;  /* timeout randomised in (election, 2 * election]: above the lease */
	uint32_t heartbeat_ticks; /* well below election_ticks */
	size_t max_message_bytes;  /* payload of one APPEND; at least one entry always fits */
	uint32_t max_inflight_messages; /* per peer */
	uint64_t max_inflight_bytes;    /* per peer */
	uint64_t max_uncommitted_bytes; /* then PROPOSE says -EAGAIN; back-pressure, never a drop */
	uint64_t max_apply_bytes;       /* handed out and not yet APPLIED */
	uint64_t max_cache_bytes;       /* entries kept in memory behind the last one */
	uint64_t keep_tail_bytes;       /* log kept below a snapshot for slightly late peers */
	/*
	 * Leases, alike on all members: lease_ns 0 is off. Clocks (raft_input.now_ns) run at rates that
	 * differ from true time by at most clock_rate_ppm; were that wrong, reads could be stale. tick_ns
	 * is checked against the lease, nothing rests on it.
	 */
	uint64_t lease_ns;
	uint32_t clock_rate_ppm;
	uint64_t tick_ns;
	const struct raft_test_options *test;
};

struct raft_hard_state {
	uint64_t term;
	uint64_t vote; /* 0: nobody */
};

/* What recovery found. */
struct raft_boot {
	struct raft_hard_state hard;
	uint64_t incarnation;
	struct raft_conf conf;      /* as of applied_index */
	uint64_t base_index;        /* log starts above it; 0 for a log from the beginning */
	uint64_t base_term;
	const struct raft_entry *terms; /* the first entry of every run of equal terms, ascending; data NULL */
	size_t term_count;
	const uint64_t *confs;      /* indexes of the CONF entries in the log, ascending */
	size_t conf_count;
	uint64_t last_index;        /* base_index when the log is empty */
	uint64_t applied_index;     /* of the state; base_index <= applied_index <= last_index */
	uint64_t applied_term;
	uint64_t durable_index;     /* state survives a power loss up to here */
	struct raft_snapshot_meta snapshot; /* newest sealed local image; index 0: none */
};

struct raft; /* opaque outside raft/ */

/* NULL and err on nonsense in options or boot (a term gap, applied beyond last, ...). */
struct raft *raft_new(const struct raft_options *options, const struct raft_boot *boot,
		      struct err *err);
void raft_free(struct raft *r); /* accepts NULL */

/* ---- inputs --------------------------------------------------------------------------------- */

enum raft_input_type {
	RAFT_IN_TICK,
	RAFT_IN_MESSAGE,
	RAFT_IN_PROPOSE,
	RAFT_IN_READ,      /* a linearizable read wants its index */
	RAFT_IN_PERSISTED, /* log work up to (index, term) reached a level */
	RAFT_IN_APPLIED,
	RAFT_IN_DURABLE,   /* a checkpoint made the state durable up to index */
	RAFT_IN_LOADED,    /* entries that output `load` asked for */
	RAFT_IN_SNAPSHOT_CREATED,   /* a sealed local image exists   [Snapshot] */
	RAFT_IN_SNAPSHOT_RECEIVED,  /* a fetched image is sealed and verified here */
	RAFT_IN_SNAPSHOT_FAILED,    /* the fetch of the offered image failed */
	RAFT_IN_SNAPSHOT_INSTALLED, /* result of output INSTALL      [CondInstallSnapshot] */
	RAFT_IN_SNAPSHOT_PROGRESS,  /* a peer is pulling our image: do not cut the log above it yet */
	RAFT_IN_UNREACHABLE,        /* the transport lost a peer: stop pipelining to it */
	RAFT_IN_CAMPAIGN,           /* start a (pre-)election now, e.g. the leader's connection broke */
	RAFT_IN_TRANSFER,           /* leader: hand leadership to peer */
	RAFT_IN_SURRENDER,          /* member: give the read lease back, e.g. before stopping */
	RAFT_IN_CONF_CHANGE,        /* leader: change the members; out->conf_result tells */
	RAFT_IN_FORGET_LEADER,      /* tests only */
};

/* Log work completes at two levels. Today every promise waits for SYNCED. */
enum raft_level { RAFT_WRITTEN = 1, RAFT_SYNCED = 2 };

struct raft_proposal {
	uint8_t type;      /* NORMAL */
	struct blob *data; /* borrowed; the core takes a reference of its own */
};

struct raft_input {
	enum raft_input_type type;
	uint64_t now_ns; /* CLOCK_BOOTTIME when the input is handled, not when it arrived; needed by leases only */
	union {
		struct raft_message *message; /* MESSAGE: its entries are moved out (count set to 0) */
		struct {
			const struct raft_proposal *v;
			size_t count;
			/* Refused unless the log ends exactly here; index 0: anywhere. Architecture, section 1.4. */
			uint64_t prev_index, prev_term;
		} propose;
		struct {
			uint64_t id; /* chosen by the owner, unique, never sent as a round number */
		} read;
		struct {
			uint64_t index, term;
			enum raft_level level;
			bool hard_state; /* the hard state last handed out is durable too */
		} persisted;
		struct {
			uint64_t index;
		} applied, durable;
		struct {
			const struct raft_entry *v; /* borrowed; references are taken */
			size_t count;               /* 0: could not be read, the core asks again */
		} loaded;
		struct {
			const struct raft_snapshot_meta *meta; /* borrowed */
			int result; /* INSTALLED: 0, -ESTALE (refused at the flip) or another error */
			uint64_t peer; /* PROGRESS */
		} snapshot;
		struct {
			uint64_t id; /* UNREACHABLE, TRANSFER */
		} peer;
		struct {
			/* Borrowed. Programs: RAFT_JOINT_AUTO, and whoever is to vote was a learner before. */
			const struct raft_conf_change *change;
		} conf_change;
	};
};

/* ---- outputs -------------------------------------------------------------------------------- */

enum raft_propose_result {
	RAFT_PROPOSE_NONE,       /* the input was no proposal */
	RAFT_PROPOSE_APPENDED,   /* first_index tells where */
	RAFT_PROPOSE_NOT_LEADER,
	RAFT_PROPOSE_SUPERSEDED, /* the log does not end at (prev_index, prev_term) */
	RAFT_PROPOSE_TRANSFERRING,
	RAFT_PROPOSE_BUSY,       /* max_uncommitted_bytes reached; try again after the next commit */
};

enum raft_conf_result {
	RAFT_CONF_NONE,     /* the input was no change */
	RAFT_CONF_APPENDED, /* propose_first_index tells where; in force once that is applied */
	RAFT_CONF_NOT_LEADER,
	RAFT_CONF_TRANSFERRING,
	RAFT_CONF_NOT_READY,   /* nothing of the leader's own term has committed yet */
	RAFT_CONF_PENDING,     /* one before it is not applied yet */
	RAFT_CONF_JOINT,       /* the joint configuration must be left first */
	RAFT_CONF_NOT_JOINT,   /* there is nothing to leave */
	RAFT_CONF_NOT_ALLOWED, /* programs change members by RAFT_JOINT_AUTO alone */
	RAFT_CONF_INVALID,     /* raft_conf_change() on raft_conf() tells why */
	RAFT_CONF_NOT_CAUGHT_UP, /* who is to vote is no learner that holds nearly all that is committed */
	RAFT_CONF_NO_QUORUM, /* fewer than a majority of the voters it leaves were heard lately */
};

struct raft_read_result {
	uint64_t id;
	bool ok;        /* false: no leader answered; ask again */
	bool local;     /* under a lease: no message was needed */
	uint64_t index; /* answer once applied_index has reached it */
};

enum raft_snapshot_action {
	RAFT_SNAPSHOT_NONE,
	RAFT_SNAPSHOT_FETCH,   /* pull `meta` from `from`, verify it, report RECEIVED or FAILED; repeated while
				  it lasts, so an owner that is busy with it or another may ignore it */
	RAFT_SNAPSHOT_INSTALL, /* flip to the received image, report INSTALLED; nothing is applied meanwhile */
	RAFT_SNAPSHOT_ABORT,   /* the fetch in progress is no longer wanted */
};

struct raft_output {
	bool persist_hard_state;            /* write and sync this, before ... */
	struct raft_hard_state hard;
	struct raft_entries persist;        /* ... these, replacing the log from persist.v[0].index on */
	struct raft_messages send;          /* may leave at once */
	struct raft_messages send_when_stored; /* promises: leave once all log work handed out so far is SYNCED */
	uint64_t commit_index;
	struct raft_entries apply;          /* committed and synced here, each exactly once, in order */
	struct { uint64_t lo, hi; } load;   /* please read entries lo..hi from the log; lo 0: none */
	const struct raft_read_result *reads;
	size_t read_count;
	struct {
		enum raft_snapshot_action action;
		uint64_t from;
		const struct raft_snapshot_meta *meta;
	} snapshot;
	uint64_t cut_prefix_to;             /* the log may drop entries up to here; 0: nothing new */
	enum raft_propose_result propose_result;
	uint64_t propose_first_index;
	uint64_t last_index;                /* where the log ends now */
	enum raft_conf_result conf_result;
	bool role_changed;                  /* role, term or leader differ from before this step */
	bool conf_changed;                  /* raft_conf() changed */
};

/**
 * raft_step() - advance the state machine by exactly one input.
 * @in:  borrowed for the call.
 * @out: overwritten; its arrays belong to @r and live until the next raft_step(). An owner that
 *       keeps an entry's data takes a reference; one that keeps a message moves it out (zeroes it).
 *
 * Return: 0; -EAGAIN at a limit; -EPROTO for a message no correct peer sends (wrong group, unknown
 * type, not addressed to us, log below commit conflicting). An error leaves @r as it was. A message
 * from a node that is not in the configuration is judged by term and log alone.
 * Thread: node.
 */
int raft_step(struct raft *r, const struct raft_input *in, struct raft_output *out);

/* ---- looking in ------------------------------------------------------------------------------ */

enum raft_role { RAFT_FOLLOWER, RAFT_PRE_CANDIDATE, RAFT_CANDIDATE, RAFT_LEADER };

enum raft_peer_state { RAFT_PROBE, RAFT_REPLICATE, RAFT_SNAPSHOT };

/* Counted since the start; none ever goes back. */
struct raft_counters {
	uint64_t pre_campaigns, campaigns, elections_won;
	uint64_t step_downs; /* from leader */
	uint64_t appends_sent, entries_sent, heartbeats_sent;
	uint64_t appends_refused; /* answers to the leader: the logs did not match */
	uint64_t snapshots_offered, snapshots_installed;
	uint64_t proposals_refused; /* at a limit */
	uint64_t conf_changes;      /* put into force */
	uint64_t transfers;         /* begun by this leader */
	uint64_t read_rounds, loads;
};

struct raft_peer_status {
	uint64_t id;
	enum raft_peer_state state;
	uint64_t match_index, next_index;
	uint32_t inflight_messages;
	uint64_t inflight_bytes;
	uint64_t snapshot_index; /* SNAPSHOT: of the image offered */
	bool paused;        /* nothing more is sent before the next answer */
	bool recent_active; /* heard within the last election timeout */
	bool lease_live;    /* may read by itself: commits wait for it */
	bool lease_slow;    /* held commits up and gets no lease for a while */
};

struct raft_lease_status {
	uint64_t length_ns;    /* 0: off */
	uint64_t remaining_ns; /* of this node's own lease; 0: reads ask the leader, or a quorum */
	bool lengths_differ;   /* leader: no leases, since a member has another setting */
	bool gate_waiting;     /* leader: a quorum has more than all holders have */
	uint64_t gate_waiting_ns;
	uint64_t gate_stalls;  /* times that the gate waited, since the start */
	size_t holders;        /* leader: members that commits wait for */
};

struct raft_status {
	uint64_t self;
	enum raft_role role;
	uint64_t term, vote, leader; /* leader 0: unknown */
	uint64_t base_index, last_index, last_term, synced_index;
	uint64_t commit_index, applied_index, handed_index /* last one given out for apply */, durable_index;
	uint64_t snapshot_index;
	uint64_t uncommitted_bytes, cache_bytes;
	uint32_t election_elapsed_ticks;
	bool own_term_committed; /* leader: reads and evaluation may start */
	size_t pending_reads;
	uint64_t transfer_to;   /* leadership is being handed to this node; 0: no */
	bool conf_joint;        /* in force */
	bool conf_pending;      /* the log holds a change above what is in force */
	uint64_t handed_bytes;  /* handed out for apply and not yet APPLIED */
	uint64_t fetching_index, fetching_from; /* image being fetched or installed; 0: none */
	bool installing;
	struct raft_counters counters;
	struct raft_lease_status lease;
	size_t peer_count;
	struct raft_peer_status peers[RAFT_NODES_MAX]; /* leader only */
};

void raft_status(const struct raft *r, struct raft_status *status);
/*
 * Until then, on the clock of raft_input.now_ns, nothing commits that this node does not hold: the end of its lease,
 * as of the last step. 0: it has none. What a step tells to send or to store may end it, so look first.
 */
uint64_t raft_lease_end_ns(const struct raft *r);
/* The one in force, which is the one as of applied_index; borrowed. */
const struct raft_conf *raft_conf(const struct raft *r);
/* Term of the entry at index, 0 when it is outside [base_index, last_index]. */
uint64_t raft_term_at(const struct raft *r, uint64_t index);
/*
 * The invariants of the reference's section 2.1, cheap enough for every simulated step. Aborts with
 * the violated one's name. raft_step() runs the cheap part of it in release builds too.
 */
void raft_check(const struct raft *r);
const char *raft_role_name(enum raft_role role);
const char *raft_conf_result_name(enum raft_conf_result result);

#endif
