/* lease.c - see lease.h. */
#include "raft/lease.h"

#include "base/mark.h"
#include "raft/membership.h"
#include "raft/replication.h"
#include "raft/snapshot.h"

#define PPM 1000000ull

static uint64_t max_length_ns(const struct raft *r)
{
	return max_u64(r->options.lease_ns, r->lease.heard_length_ns);
}

/* How long a clock must run to be sure that duration_ns are over on any other one. Rounded up. */
static uint64_t stretched(const struct raft *r, uint64_t duration_ns)
{
	uint64_t ppm = r->options.clock_rate_ppm;

	if (duration_ns == 0)
		return 0;
	/* (1 + rate) / (1 - rate) = 1 + 2 rate / (1 - rate) */
	return duration_ns + duration_ns / 1000 * (2 * ppm) / (PPM - ppm) * 1000 + 2000;
}

int lease_check_options(const struct raft_options *o, struct err *err)
{
	uint64_t tick_ns = o->tick_ns;

	if (o->clock_rate_ppm > LEASE_RATE_PPM_MAX)
		return err_set(err, -EINVAL, "cannot start raft: clock_rate_ppm '%u' is above '%u'",
			       o->clock_rate_ppm, LEASE_RATE_PPM_MAX);
	if (o->lease_ns == 0)
		return 0;
	if (o->lease_ns > LEASE_NS_MAX || o->lease_ns < 1000000)
		return err_set(
			err, -EINVAL,
			"cannot start raft: a lease of '%llu' ns is not between 1 ms and 60 s",
			(unsigned long long)o->lease_ns);
	/* An election must find the old lease over, and three heartbeats must fit into one lease. */
	if (tick_ns == 0 || o->election_ticks * tick_ns <= o->lease_ns)
		return err_set(
			err, -EINVAL,
			"cannot start raft: the election timeout of '%u' ticks of '%llu' ns is "
			"not above the lease of '%llu' ns",
			o->election_ticks, (unsigned long long)tick_ns,
			(unsigned long long)o->lease_ns);
	if (3 * o->heartbeat_ticks * tick_ns >= o->lease_ns)
		return err_set(
			err, -EINVAL,
			"cannot start raft: three heartbeats of '%u' ticks of '%llu' ns do not "
			"fit into the lease of '%llu' ns",
			o->heartbeat_ticks, (unsigned long long)tick_ns,
			(unsigned long long)o->lease_ns);
	return 0;
}

void lease_set_clock(struct raft *r, uint64_t now_ns)
{
	r->now_ns = max_u64(r->now_ns, now_ns);
	if (r->lease.started)
		return;
	r->lease.started = true;
	/* Who left before we started may hold a lease still. Entry 1 is the first configuration. */
	if (r->conf.index > 1)
		lease_peer_left(r);
}

/* ---- the leader's own lease ------------------------------------------------------------------- */

/* Rule 2: a quorum had not left our term at this time of our clock. */
static uint64_t basis(const struct raft *r)
{
	uint64_t in[RAFT_NODES_MAX], out[RAFT_NODES_MAX];
	size_t in_count = 0, out_count = 0, peer = 0;

	for (size_t i = 0; i < r->conf.count; i++) {
		const struct raft_member *m = &r->conf.members[i];
		uint64_t at_ns =
			m->id == r->options.self ? r->now_ns : r->peers[peer++].lease.echo_ns;

		if (m->role & RAFT_VOTER)
			in[in_count++] = at_ns;
		if (m->role & RAFT_VOTER_OUT)
			out[out_count++] = at_ns;
	}
	return in_count + out_count == 0 ? 0 : quorum_commit_joint(in, in_count, out, out_count);
}

/*
 * No configuration is under way, as far as the log can tell. While one is, those who know of it and
 * those who do not would count different holders.
 */
static bool conf_settled(const struct raft *r)
{
	return r->conf_count == 0;
}

/* Everybody who answered us uses leases of our length: else a successor may wait too little. */
static bool lengths_agree(const struct raft *r)
{
	for (size_t i = 0; i < r->peer_count; i++) {
		const struct lease_peer *l = &r->peers[i].lease;

		if (l->answered && l->length_ns != r->options.lease_ns)
			return false;
	}
	return true;
}

static uint64_t leader_remaining_ns(const struct raft *r)
{
	uint64_t end_ns;

	/* Rule 9: whoever hands leadership over has given up its lease before. */
	if (r->options.lease_ns == 0 || !replication_own_term_committed(r) || r->transfer_to != 0 ||
	    !membership_self_votes(r) || !conf_settled(r) || !lengths_agree(r))
		return 0;
	end_ns = basis(r) + r->options.lease_ns;
	return end_ns > r->now_ns ? end_ns - r->now_ns : 0;
}

/* ---- grants ------------------------------------------------------------------------------------ */

static bool live(const struct raft *r, const struct progress *p)
{
	return r->now_ns < p->lease.live_until_ns;
}

static bool deserves(const struct raft *r, const struct progress *p)
{
	const struct lease_peer *l = &p->lease;

	/* Rule 4: who holds commits up reads by asking until it has been quick for a while. */
	return l->answered && l->wanted && r->now_ns >= l->slow_until_ns &&
	       p->state == RAFT_REPLICATE && p->match + LEASE_LAG_MAX >= r->commit &&
	       l->sent_ns > l->surrendered_ns;
}

/* Rule 3. */
static void grant(struct raft *r, struct progress *p, struct raft_lease_stamp *s)
{
	struct lease_peer *l = &p->lease;
	uint64_t left_ns = deserves(r, p) ? leader_remaining_ns(r) : 0;
	uint64_t mark_ns = l->heard_ns + stretched(r, left_ns);

	/* Counted from when the member sent, so one that fell silent gets nothing new. */
	if (left_ns == 0 || mark_ns <= r->now_ns)
		return;
	s->grant_ns = left_ns;
	s->grant_index = r->commit;
	l->live_until_ns = max_u64(l->live_until_ns, mark_ns);
	l->granted_sent_ns = l->sent_ns;
	l->granted_incarnation = l->sent_incarnation;
	r->lease.granted_to_ns = max_u64(r->lease.granted_to_ns, r->now_ns + left_ns);
	assert(replication_own_term_committed(r) && left_ns <= r->options.lease_ns); /* I11 */
}

static void fill_to_member(struct raft *r, struct raft_message *m)
{
	struct progress *p = raft_peer(r, m->to);

	m->lease = (struct raft_lease_stamp){ .sent_ns = max_u64(r->now_ns, 1),
					      .length_ns = r->options.lease_ns };
	if (p == NULL)
		return;
	/* Rule 1. */
	m->lease.echo_ns = p->lease.sent_ns;
	m->lease.echo_incarnation = p->lease.sent_incarnation;
	grant(r, p, &m->lease);
}

static void fill_to_leader(struct raft *r, struct raft_message *m)
{
	m->lease = (struct raft_lease_stamp){ .sent_ns = max_u64(r->now_ns, 1),
					      .echo_ns = r->lease.leader_sent_ns,
					      .length_ns = r->options.lease_ns,
					      .wanted = r->now_ns < r->lease.wanted_until_ns,
					      .surrendered = r->lease.surrendering };
}

void lease_fill(struct raft *r, struct raft_message *m)
{
	bool to_member = m->type == RAFT_MSG_APPEND || m->type == RAFT_MSG_HEARTBEAT;
	bool to_leader = m->type == RAFT_MSG_APPEND_RESP || m->type == RAFT_MSG_HEARTBEAT_RESP;

	if (r->options.lease_ns == 0 || m->term != r->hard.term)
		return;
	if (to_member && r->role == RAFT_LEADER)
		fill_to_member(r, m);
	else if (to_leader && r->role != RAFT_LEADER && m->to == r->leader)
		fill_to_leader(r, m);
}

static void take_surrender(struct lease_peer *l, const struct raft_message *m)
{
	l->surrendered_ns = max_u64(l->surrendered_ns, m->lease.sent_ns);
	/* A grant that answers something later is not among what was given back. */
	if (l->granted_incarnation == m->incarnation && l->granted_sent_ns <= m->lease.sent_ns) {
		MARK("raft.lease.surrendered");
		l->live_until_ns = 0;
	}
}

void lease_on_answer(struct raft *r, struct progress *p, const struct raft_message *m)
{
	struct lease_peer *l = &p->lease;
	const struct raft_lease_stamp *s = &m->lease;

	/* Rule 5: it dropped what another leader granted before it spoke in this term. */
	MARK_IF(!l->answered && live(r, p), "raft.lease.foreign-given-up");
	if (!l->answered)
		l->live_until_ns = 0;
	l->answered = true;
	l->length_ns = s->length_ns;
	if (s->sent_ns == 0 || m->incarnation < l->sent_incarnation)
		return;
	if (m->incarnation > l->sent_incarnation || s->sent_ns > l->sent_ns) {
		if (m->incarnation > l->sent_incarnation)
			l->surrendered_ns = 0;
		l->sent_ns = s->sent_ns;
		l->sent_incarnation = m->incarnation;
		l->heard_ns = r->now_ns;
		l->wanted = s->wanted;
	}
	if (s->echo_ns <= r->now_ns)
		l->echo_ns = max_u64(l->echo_ns, s->echo_ns);
	if (s->surrendered)
		take_surrender(l, m);
}

/* ---- the gate ----------------------------------------------------------------------------------- */

void lease_peer_left(struct raft *r)
{
	r->lease.others_until_ns =
		max_u64(r->lease.others_until_ns, r->now_ns + stretched(r, max_length_ns(r)));
}

void lease_become_leader(struct raft *r, const bool voted[RAFT_NODES_MAX])
{
	uint64_t until_ns = r->now_ns + stretched(r, max_length_ns(r));

	if (max_length_ns(r) == 0)
		until_ns = 0;
	r->lease.granted_to_ns = 0;
	r->lease.gate_waiting = false;
	/* Rule 5; an answer to our campaign is of the new term like any other. */
	for (size_t i = 0; i < r->peer_count; i++)
		r->peers[i].lease = (struct lease_peer){ .live_until_ns = voted[i] ? 0 : until_ns };
	/* The predecessor may have known members that we do not. */
	if (!conf_settled(r) && until_ns != 0)
		lease_peer_left(r);
}

/* Has this holder lacked something that a quorum has for too long? */
static void note_lag(struct raft *r, struct progress *p, uint64_t quorum)
{
	struct lease_peer *l = &p->lease;

	if (p->match >= quorum) {
		l->lag_index = 0;
	} else if (l->lag_index == 0 || p->match >= l->lag_index) {
		l->lag_index = quorum;
		l->lag_since_ns = r->now_ns;
	} else if (r->now_ns - l->lag_since_ns > r->options.lease_ns / 4) {
		MARK_IF(r->now_ns >= l->slow_until_ns, "raft.lease.holder-slow");
		l->slow_until_ns = r->now_ns + LEASE_SLOW_LENGTHS * r->options.lease_ns;
	}
}

uint64_t lease_gate(struct raft *r, uint64_t quorum)
{
	uint64_t open = quorum;
	bool waits;

	assert(r->role == RAFT_LEADER);
	if (r->now_ns < r->lease.others_until_ns)
		open = min_u64(open, r->commit);
	/* Rule 4. */
	for (size_t i = 0; i < r->peer_count; i++) {
		struct progress *p = &r->peers[i];

		if (!live(r, p))
			continue;
		note_lag(r, p, quorum);
		open = min_u64(open, p->match);
	}
	waits = open < quorum && quorum > r->commit;
	MARK_IF(waits, "raft.commit.gate-waits");
	if (waits && !r->lease.gate_waiting) {
		r->lease.gate_since_ns = r->now_ns;
		r->lease.gate_stalls++;
	}
	r->lease.gate_waiting = waits;
	return open;
}

void lease_recheck(struct raft *r)
{
	if (r->role == RAFT_LEADER && r->lease.gate_waiting)
		replication_maybe_commit(r);
}

/* ---- a member's lease ---------------------------------------------------------------------------- */

void lease_on_leader(struct raft *r, const struct raft_message *m)
{
	const struct raft_lease_stamp *s = &m->lease;
	struct lease *l = &r->lease;

	assert(m->term == r->hard.term && r->role != RAFT_LEADER);
	l->heard_length_ns = max_u64(l->heard_length_ns, min_u64(s->length_ns, LEASE_NS_MAX));
	l->leader_sent_ns = max_u64(l->leader_sent_ns, s->sent_ns);
	if (r->options.lease_ns == 0 || s->grant_ns == 0)
		return;
	/* From before a restart, of this process or of the clock itself: counted from a time that never was. */
	if (s->echo_incarnation != r->incarnation || s->echo_ns == 0 || s->echo_ns > r->now_ns ||
	    s->grant_ns > r->options.lease_ns || s->echo_ns <= l->surrendered_ns) {
		MARK("raft.lease.grant-refused");
		return;
	}
	l->end_ns = max_u64(l->end_ns, s->echo_ns + s->grant_ns);
	l->min_index = max_u64(l->min_index, s->grant_index);
}

void lease_proven(struct raft *r, uint64_t index)
{
	r->lease.proven = max_u64(r->lease.proven, index);
}

void lease_truncate(struct raft *r, uint64_t index)
{
	r->lease.proven = min_u64(r->lease.proven, index - 1);
}

void lease_drop(struct raft *r)
{
	MARK_IF(r->now_ns < r->lease.end_ns, "raft.lease.dropped-live");
	r->lease.end_ns = 0;
	r->lease.min_index = 0;
	r->lease.leader_sent_ns = 0;
	r->lease.proven = 0;
}

void lease_surrender(struct raft *r)
{
	struct raft_message m = { .type = RAFT_MSG_HEARTBEAT_RESP, .to = r->leader };

	if (r->options.lease_ns == 0 || r->role == RAFT_LEADER)
		return;
	r->lease.end_ns = 0;
	r->lease.wanted_until_ns = 0;
	r->lease.surrendered_ns = r->now_ns;
	r->lease.surrendering = true;
	if (r->leader != 0)
		raft_send(r, m);
	r->lease.surrendering = false;
}

static uint64_t member_remaining_ns(const struct raft *r)
{
	const struct lease *l = &r->lease;

	/* Rule 7. A log that an image is about to replace shows nothing. */
	if (r->now_ns >= l->end_ns || max_u64(r->commit, l->proven) < l->min_index ||
	    snapshot_busy(r))
		return 0;
	return l->end_ns - r->now_ns;
}

uint64_t lease_remaining_ns(const struct raft *r)
{
	return r->role == RAFT_LEADER ? leader_remaining_ns(r) : member_remaining_ns(r);
}

uint64_t raft_lease_end_ns(const struct raft *r)
{
	uint64_t left_ns = lease_remaining_ns(r);

	return left_ns > 0 ? r->now_ns + left_ns : 0;
}

bool lease_valid(const struct raft *r)
{
	return lease_remaining_ns(r) > 0;
}

void lease_note_read(struct raft *r)
{
	r->lease.wanted_until_ns = r->now_ns + LEASE_WANTED_LENGTHS * r->options.lease_ns;
}

/* ---- looking in ----------------------------------------------------------------------------------- */

void lease_status(const struct raft *r, struct raft_lease_status *status)
{
	*status = (struct raft_lease_status){
		.length_ns = r->options.lease_ns,
		.remaining_ns = lease_remaining_ns(r),
		.lengths_differ = r->role == RAFT_LEADER && !lengths_agree(r),
		.gate_waiting = r->role == RAFT_LEADER && r->lease.gate_waiting,
		.gate_stalls = r->lease.gate_stalls,
	};
	if (status->gate_waiting)
		status->gate_waiting_ns = r->now_ns - r->lease.gate_since_ns;
	for (size_t i = 0; r->role == RAFT_LEADER && i < r->peer_count; i++)
		status->holders += live(r, &r->peers[i]);
}

void lease_check(const struct raft *r)
{
	const struct lease *l = &r->lease;

	assert("proven within the log" && l->proven <= r->tail.last_index);
	assert("a leader holds no granted lease" && (r->role != RAFT_LEADER || l->end_ns == 0));
	if (r->role != RAFT_LEADER)
		return;
	/* I11: nothing is granted beyond the own lease, whatever happened to that since. */
	assert("I11 grants within the own lease" &&
	       l->granted_to_ns <= r->now_ns + r->options.lease_ns);
	assert("I11 grants after an own-term commit" &&
	       (l->granted_to_ns == 0 || replication_own_term_committed(r)));
}
