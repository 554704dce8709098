/*
 * raft_internal.h - the state behind struct raft, shared by the files of this folder.
 *
 * One step: an input handler changes state and queues messages, then output_finish() (output.c)
 * hands out what has become possible: apply, persist, promises, load, cut.
 *
 * Order towards the disk. At most one hard state is in flight, and a suffix that replaces entries
 * still in flight waits until those are down. So a completion that names (index, term) can only
 * mean one write, and a grouped completion needs no count (the ABA rule).
 *
 * Promises (vote answers, append acknowledgements) wait in `promises` until everything they rest on
 * has been handed out; from there the owner holds them until it is SYNCED. A change of term drops
 * those not handed out yet: nobody in the new term listens to them.
 */
#ifndef RAFT_INTERNAL_H
#define RAFT_INTERNAL_H

#include "base/prng.h"
#include "raft/progress.h"
#include "raft/quorum.h"
#include "raft/raft.h"
#include "raft/tail.h"

#define RAFT_PROMISES_MAX 1024 /* more are dropped: a lost message is always allowed */
#define RAFT_READS_MAX 65536   /* waiting reads; then -EAGAIN */
#define RAFT_READ_GROUPS_MAX 4 /* READ_INDEX questions a follower has under way */
#define RAFT_KNOWN_MAX (2 * RAFT_NODES_MAX)
#define RAFT_LOAD_ENTRIES_MAX 1024

struct message_list {
	struct raft_message *v;
	size_t count, cap;
};

struct read_item {
	uint64_t id;      /* local: the owner's; else the asker's context */
	uint64_t from;    /* 0: local */
	uint64_t round;   /* leader: the round it rides in, 0 waiting */
	uint64_t context; /* follower: the question it rides in, 0 waiting */
};

struct reads {
	struct read_item *v;
	size_t count, cap;
	uint64_t round; /* last one started; never reused in this process */
	bool running;
	uint64_t index; /* commit index when the running round started */
	uint32_t next_context;
	uint32_t groups;      /* follower: questions under way */
	uint32_t retry_ticks; /* follower: since the last question */
	struct raft_read_result *results;
	size_t result_count, result_cap;
};

enum snapshot_phase {
	SNAPSHOT_IDLE,
	SNAPSHOT_FETCHING,   /* the owner pulls the image */
	SNAPSHOT_WAITING,    /* sealed here; outstanding persist and apply drain first */
	SNAPSHOT_INSTALLING, /* the owner flips */
};

struct incoming_snapshot {
	enum snapshot_phase phase;
	uint64_t from;
	struct raft_snapshot_meta meta;
};

struct handed_entry {
	uint64_t index;
	uint64_t bytes;
};

struct lease {
	bool started;
	/* member */
	uint64_t end_ns, min_index; /* the lease granted to us */
	uint64_t leader_sent_ns;    /* newest sent_ns of this term's leader */
	uint64_t proven;            /* the log is as this term's leader's up to here */
	uint64_t wanted_until_ns;
	uint64_t surrendered_ns;
	bool surrendering;
	uint64_t heard_length_ns; /* longest lease of any leader heard */
	/* leader */
	uint64_t others_until_ns; /* members unknown to us may hold a lease until then */
	uint64_t granted_to_ns;   /* end of the longest grant of this term */
	bool gate_waiting;
	uint64_t gate_since_ns, gate_stalls;
};

struct raft {
	struct raft_options options;
	struct raft_test_options test;
	struct prng prng;
	uint64_t incarnation;

	/* term and vote: wanted, handed out, durable */
	struct raft_hard_state hard, hard_out, hard_durable;
	bool hard_in_flight;

	/* role */
	enum raft_role role;
	uint64_t leader;
	bool leader_suspect; /* its connection broke: no lease protects it */
	uint64_t now_ticks;
	uint64_t now_ns; /* our clock, when the running step began */
	uint32_t election_elapsed, election_timeout, heartbeat_elapsed;
	bool hurried; /* election_timeout is shorter than drawn */
	enum vote self_vote;
	bool self_vote_due; /* granted, counts once the hard state is durable */
	uint64_t transfer_to;
	uint64_t transfer_last; /* the target before it */

	/* log */
	struct tail tail;
	uint64_t synced_index;
	uint64_t persist_next; /* first entry not handed out for persist */
	bool log_in_flight;
	uint64_t inflight_index, inflight_term; /* last entry handed out, while in flight */
	bool truncate_wait; /* entries in flight were replaced: hand out nothing until they are down */
	uint64_t commit, handed, applied, durable, durable_reported;
	struct raft_entry
		*confs; /* CONF entries above `applied`, ascending (reconfigure.h) */
	size_t conf_count, conf_cap;
	uint64_t pending_conf;   /* leader: no new CONF before this is applied */
	uint64_t own_term_index; /* leader: its NOOP */
	uint64_t uncommitted_bytes;
	struct handed_entry *handed_fifo;
	size_t handed_head, handed_count, handed_cap;
	uint64_t handed_bytes;

	/* load */
	uint64_t load_lo, load_hi; /* asked for, 0 none */
	bool load_failed;          /* ask again at the next tick */
	size_t load_turn;          /* round robin over apply and peers */

	/* members; peers[] are all of conf but self, in the same order */
	struct raft_conf conf;
	struct progress peers[RAFT_NODES_MAX];
	size_t peer_count;
	struct {
		uint64_t id, incarnation;
	} known[RAFT_KNOWN_MAX];
	size_t known_count;

	struct reads reads;
	struct raft_counters counters;
	struct lease lease;
	struct incoming_snapshot incoming;
	struct raft_snapshot_meta snapshot; /* newest local image */

	/* output memory */
	struct message_list send, stored, promises;
	struct raft_entry *apply_v;
	size_t apply_count, apply_cap;
	enum raft_snapshot_action action;
	uint64_t action_from;
	struct raft_snapshot_meta action_meta;
	enum raft_propose_result propose_result;
	uint64_t propose_first;
	enum raft_conf_result conf_result;
	bool conf_changed;
	uint64_t cut_due; /* handed out as cut_prefix_to; base moves when the next step begins */
};

/* step.c */
struct progress *raft_peer(struct raft *r, uint64_t id); /* NULL if unknown or self */

/* output.c */
/*
 * Takes msg over, completes from, group, incarnation and a term of 0. raft_send(): may leave as soon
 * as the hard state of its term is durable; raft_promise(): rests on the log or the vote.
 */
void raft_send(struct raft *r, struct raft_message msg);
void raft_promise(struct raft *r, struct raft_message msg);
void output_begin(struct raft *r);
void output_finish(struct raft *r, struct raft_output *out);
void output_release(struct raft *r);
void output_drop_promises(struct raft *r);
void log_truncate(struct raft *r, uint64_t index);
void log_append(struct raft *r, struct raft_entry e);
void persist_done(struct raft *r, uint64_t index, uint64_t term, bool hard_state);
void apply_done(struct raft *r, uint64_t index);
void load_done(struct raft *r, const struct raft_entry *v, size_t count);

/* check.c */
void raft_check_cheap(const struct raft *r);

#endif
