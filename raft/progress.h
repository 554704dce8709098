/*
 * progress.h - what a leader knows of one peer, and how fast it may send to it.
 *
 * PROBE      one append at a time, until the peer's log is known to match at next_index - 1
 * REPLICATE  optimistic: next_index runs ahead of match_index, limited by the inflight window
 * SNAPSHOT   the peer needs an image; no appends until it reports
 *
 * `paused` stops appends until the next answer: in PROBE after one probe, in REPLICATE while the
 * window is full (a heartbeat's answer then allows one empty append as a probe for lost messages).
 */
#ifndef RAFT_PROGRESS_H
#define RAFT_PROGRESS_H

#include "raft/quorum.h"
#include "raft/raft.h"

struct inflight {
	uint64_t index; /* last entry of one append message */
	uint64_t bytes;
};

struct inflights {
	struct inflight *ring; /* allocated at first use */
	uint32_t start, count;
	uint32_t max_messages;
	uint64_t bytes, max_bytes; /* max_bytes 0: no limit */
};

/* What a leader knows of one peer's clock and lease (lease.h). Times are of our clock, but for sent_ns,
 * granted_sent_ns and surrendered_ns. */
struct lease_peer {
	bool answered;      /* in this term */
	bool wanted;        /* it reads */
	uint64_t length_ns; /* its setting */
	uint64_t sent_ns;   /* newest time at which it sent, ... */
	uint64_t sent_incarnation; /* ... by the clock of this process of it, ... */
	uint64_t heard_ns;         /* ... and when that arrived */
	uint64_t echo_ns;       /* newest of our times that it confirmed */
	uint64_t live_until_ns; /* it may hold a lease until then */
	uint64_t granted_sent_ns, granted_incarnation; /* sent_ns that the last grant answered */
	uint64_t surrendered_ns;
	uint64_t lag_index, lag_since_ns; /* it lacks this, which a quorum has; 0: nothing */
	uint64_t slow_until_ns;
};

struct progress {
	uint64_t id;
	enum raft_peer_state state;
	uint64_t match, next;
	uint64_t pending_snapshot; /* SNAPSHOT: index of the offered image */
	uint64_t sent_commit;      /* highest commit index sent to the peer */
	bool paused;
	struct inflights inflights;
	uint64_t heard_tick;    /* last message of this term; the start of it before the first */
	bool heard;             /* there was one */
	bool recent_active;     /* it answered since the last check of the quorum */
	uint64_t snapshot_tick; /* last offer, or news that the peer is pulling */
	uint64_t acked_round;   /* highest read round confirmed */
	enum vote vote;         /* in the running (pre-)election */
	struct lease_peer lease;
};

void inflights_add(struct inflights *f, uint64_t index, uint64_t bytes);
void inflights_free_le(struct inflights *f, uint64_t index); /* frees all up to index */
bool inflights_full(const struct inflights *f);
void inflights_reset(struct inflights *f);

void progress_init(struct progress *p, uint64_t id, uint64_t next, uint32_t max_messages,
		   uint64_t max_bytes);
void progress_release(struct progress *p);

void progress_become_probe(struct progress *p);
void progress_become_replicate(struct progress *p);
void progress_become_snapshot(struct progress *p, uint64_t index);

bool progress_heard_within(const struct progress *p, uint64_t now_ticks, uint32_t ticks);
bool progress_paused(const struct progress *p);
/* Accounts an append just sent with `count` entries after next - 1. */
void progress_sent_entries(struct progress *p, size_t count, uint64_t bytes);
/* The peer holds everything up to index; false if that is no news. */
bool progress_update(struct progress *p, uint64_t index);
/*
 * The peer refused an append whose prev was `rejected`; its log may match at or below hint. False
 * if the answer is an old one, else next has moved back and an append is due.
 */
bool progress_decrease(struct progress *p, uint64_t rejected, uint64_t hint);
/* Would telling the peer this commit index let it advance? */
bool progress_can_bump_commit(const struct progress *p, uint64_t commit);

#endif
