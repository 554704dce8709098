/*
 * check.c - the invariants, numbered as in the reference (section 2.1).
 *
 * I7 (chain hash) belongs to the log, I13 to I15 to the layers that apply. Of the others, what can be
 * seen at the end of a step is here, the cheap part after every step of a release build; what is true
 * of one act stands as an assert beside it: I1 and I2 across a step in raft_step(), I3 and I9 in
 * log_truncate(), I4 in append_accepted(), I5 in replication_maybe_commit(), I6 in
 * replication_on_append(), I8 in append_change(), I10 in finish_round(), I16 where a queue grows.
 * An assert that fails prints the invariant's number.
 */
#include "raft/lease.h"
#include "raft/membership.h"
#include "raft/raft_internal.h"
#include "raft/replication.h"
#include "raft/snapshot.h"

#define INVARIANT(name, condition) assert((name) != NULL && (condition))

void raft_check_cheap(const struct raft *r)
{
	INVARIANT("I1 hard state", r->hard_durable.term <= r->hard_out.term);
	INVARIANT("I1 hard state", r->hard_out.term <= r->hard.term);
	INVARIANT("I2 commit <= last", r->commit <= r->tail.last_index);
	INVARIANT("I2 applied <= handed <= commit",
		  r->applied <= r->handed && r->handed <= r->commit);
	INVARIANT("I2 durable <= applied", r->durable <= r->applied);
	INVARIANT("I2 base <= durable", r->tail.base_index <= r->durable);
	INVARIANT("handed <= synced", r->handed <= r->synced_index);
	INVARIANT("synced <= handed out for persist", r->synced_index < r->persist_next);
	INVARIANT("persist within the log", r->persist_next <= r->tail.last_index + 1);
	INVARIANT("I1 no leader before its term is durable",
		  r->role != RAFT_LEADER || r->hard_durable.term == r->hard.term);
	INVARIANT("I8 one configuration at most is not known to be committed",
		  r->conf_count < 2 || r->confs[r->conf_count - 2].index <= r->commit ||
			  r->test.no_conf_validation);
	INVARIANT("I12 no role while an image is taken",
		  r->incoming.phase == SNAPSHOT_IDLE || r->role != RAFT_LEADER);
}

static void check_peer(const struct raft *r, const struct progress *p)
{
	INVARIANT("I4 match <= last", p->match <= r->tail.last_index);
	INVARIANT("I4 next > match", p->next > p->match);
	INVARIANT("next <= last + 1",
		  p->next <= max_u64(r->tail.last_index, p->pending_snapshot) + 1);
	INVARIANT("I16 inflight messages", p->inflights.count <= r->options.max_inflight_messages);
	INVARIANT("inflight only in REPLICATE",
		  p->state == RAFT_REPLICATE || p->inflights.count == 0);
	INVARIANT("read rounds are ours", p->acked_round <= r->reads.round);
	INVARIANT("image exists", p->state != RAFT_SNAPSHOT || p->pending_snapshot != 0);
}

static void check_leader(const struct raft *r)
{
	INVARIANT("leader knows itself", r->leader == r->options.self);
	INVARIANT("own entry exists",
		  r->own_term_index != 0 && tail_term(&r->tail, r->own_term_index) != 0
			  ? tail_term(&r->tail, r->own_term_index) == r->hard.term
			  : r->own_term_index <= r->tail.base_index);
	INVARIANT("I5 what a leader commits ends in its own term",
		  r->commit < r->own_term_index || r->commit < r->tail.base_index ||
			  tail_term(&r->tail, r->commit) == r->hard.term);
	INVARIANT("a leader's log is of its own term at the end",
		  tail_last_term(&r->tail) == r->hard.term);
	for (size_t i = 0; i < r->peer_count; i++)
		check_peer(r, &r->peers[i]);
}

static void check_reads(const struct raft *r)
{
	const struct reads *s = &r->reads;

	INVARIANT("I16 reads", s->count <= (size_t)RAFT_READS_MAX);
	INVARIANT("I17 a read waits only for a known leader", s->count == 0 || r->leader != 0);
	INVARIANT("I10 rounds need an own-term commit",
		  !s->running || replication_own_term_committed(r));
	INVARIANT("I10 round index", !s->running || s->index <= r->commit);
}

static void check_conf(const struct raft *r)
{
	size_t others = 0;

	INVARIANT("configuration", conf_valid(&r->conf));
	for (size_t i = 0; i < r->conf.count; i++) {
		if (r->conf.members[i].id == r->options.self)
			continue;
		INVARIANT("peers follow the configuration",
			  others < r->peer_count && r->peers[others].id == r->conf.members[i].id);
		others++;
	}
	INVARIANT("peers follow the configuration", others == r->peer_count);
	for (size_t i = 0; i < r->conf_count; i++)
		INVARIANT("known configurations lie above what is in force",
			  r->confs[i].index > (i == 0 ? r->applied : r->confs[i - 1].index) &&
				  tail_matches(&r->tail, r->confs[i].index, r->confs[i].term));
}

void raft_check(const struct raft *r)
{
	uint64_t bytes = 0;

	raft_check_cheap(r);
	tail_check(&r->tail);
	check_conf(r);
	check_reads(r);
	lease_check(r);
	if (r->role == RAFT_LEADER)
		check_leader(r);
	INVARIANT("candidates know no leader",
		  (r->role != RAFT_CANDIDATE && r->role != RAFT_PRE_CANDIDATE) || r->leader == 0);
	INVARIANT("candidates vote for themselves",
		  r->role != RAFT_CANDIDATE || r->hard.vote == r->options.self);
	for (size_t i = 0; i < r->handed_count; i++)
		bytes += r->handed_fifo[r->handed_head + i].bytes;
	INVARIANT("handed bytes", bytes == r->handed_bytes);
	INVARIANT("handed entries", r->handed_count == r->handed - r->applied);
	INVARIANT("unstable entries are cached",
		  r->synced_index == r->tail.last_index ||
			  tail_cache_first(&r->tail) <= r->synced_index + 1);
	INVARIANT("promises are bounded", r->promises.count <= RAFT_PROMISES_MAX);
	INVARIANT("replaced entries in flight are waited for",
		  !r->truncate_wait || r->log_in_flight);
}
