/* election.c - see election.h. */
#include "raft/election.h"

#include "base/mark.h"
#include "raft/lease.h"
#include "raft/membership.h"
#include "raft/read.h"
#include "raft/reconfigure.h"
#include "raft/replication.h"
#include "raft/snapshot.h"

static void reset_timer(struct raft *r)
{
	uint32_t base = r->options.election_ticks;

	r->election_elapsed = 0;
	/* Strictly above the lease of base ticks, else two nodes can refuse each other for ever. */
	r->election_timeout = base + 1 + (uint32_t)prng_below(&r->prng, base);
	r->hurried = false;
}

static void forget_votes(struct raft *r)
{
	r->self_vote = VOTE_NONE;
	r->self_vote_due = false;
	for (size_t i = 0; i < r->peer_count; i++)
		r->peers[i].vote = VOTE_NONE;
}

static void set_leader(struct raft *r, uint64_t leader)
{
	if (r->leader == leader)
		return;
	r->leader = leader;
	r->leader_suspect = false;
	/* Whoever was asked, or asked us, has to ask the next leader. */
	reads_fail_all(r);
}

static void set_term(struct raft *r, uint64_t term, uint64_t vote)
{
	assert(term > r->hard.term || (term == r->hard.term && r->hard.vote == 0));
	if (term > r->hard.term) {
		output_drop_promises(r);
		lease_drop(r); /* rule 6: before anything of the new term leaves */
	}
	r->hard = (struct raft_hard_state){ .term = term, .vote = vote };
}

/* What every change of role has in common (etcd/raft: reset). */
static void leave_role(struct raft *r)
{
	if (r->role == RAFT_LEADER) {
		r->counters.step_downs++;
		reads_fail_all(r);
	}
	MARK_IF(r->transfer_to != 0, "raft.transfer.ended-by-role-change");
	forget_votes(r);
	reset_timer(r);
	r->heartbeat_elapsed = 0;
	r->transfer_to = 0;
	r->uncommitted_bytes = 0;
	r->own_term_index = 0;
}

void election_become_follower(struct raft *r, uint64_t term, uint64_t leader)
{
	if (term > r->hard.term)
		set_term(r, term, 0);
	leave_role(r);
	r->role = RAFT_FOLLOWER;
	set_leader(r, leader);
}

static void become_leader(struct raft *r)
{
	bool voted[RAFT_NODES_MAX];
	struct raft_entry noop = { .index = r->tail.last_index + 1,
				   .term = r->hard.term,
				   .type = RAFT_ENTRY_NOOP };

	assert(r->role == RAFT_CANDIDATE && r->hard_durable.term == r->hard.term);
	assert(r->incoming.phase == SNAPSHOT_IDLE);
	for (size_t i = 0; i < r->peer_count; i++)
		voted[i] = r->peers[i].vote != VOTE_NONE;
	leave_role(r);
	r->role = RAFT_LEADER;
	r->counters.elections_won++;
	set_leader(r, r->options.self);
	for (size_t i = 0; i < r->peer_count; i++) {
		struct progress *p = &r->peers[i];
		struct inflight *ring = p->inflights.ring;

		progress_init(p, p->id, r->tail.last_index + 1, r->options.max_inflight_messages,
			      r->options.max_inflight_bytes);
		p->inflights.ring = ring;
		p->heard_tick = r->now_ticks;
	}
	lease_become_leader(r, voted);
	/* An inherited configuration may not be applied yet; wait for all that was inherited. */
	r->pending_conf = r->tail.last_index;
	r->own_term_index = noop.index;
	log_append(r, noop);
	replication_broadcast(r);
}

static bool votes_in(const struct raft_conf *conf, uint64_t id)
{
	const struct raft_member *m = raft_conf_find(conf, id);

	return m != NULL && conf_member_votes(m);
}

static void ask_votes(struct raft *r, enum campaign kind)
{
	struct raft_conf next;
	bool two = reconfigure_next(r, &next);

	/* Whoever votes in the next configuration is a member of this one. */
	for (size_t i = 0; i < r->conf.count; i++) {
		const struct raft_member *m = &r->conf.members[i];

		if (m->id == r->options.self ||
		    (!conf_member_votes(m) && !(two && votes_in(&next, m->id))))
			continue;
		raft_send(r,
			  (struct raft_message){ .type = kind == CAMPAIGN_PRE ? RAFT_MSG_PREVOTE
									      : RAFT_MSG_VOTE,
						 .to = m->id,
						 .term = r->hard.term + (kind == CAMPAIGN_PRE),
						 .log_index = r->tail.last_index,
						 .log_term = tail_last_term(&r->tail),
						 .campaign_transfer = kind == CAMPAIGN_TRANSFER });
	}
}

static bool promotable(const struct raft *r)
{
	struct raft_conf next;

	MARK_IF(reconfigure_unapplied(r), "raft.election.conf-unapplied");
	MARK_IF(r->incoming.phase != SNAPSHOT_IDLE, "raft.election.fetching-image");
	/*
	 * Whoever is fetching an image lacks something committed, so it could not win anyway; and a
	 * committed configuration that is not in force yet could make the campaign meaningless.
	 */
	if (r->incoming.phase != SNAPSHOT_IDLE || reconfigure_unapplied(r) ||
	    reconfigure_unread(r) != 0)
		return false;
	return membership_self_votes(r) ||
	       (reconfigure_next(r, &next) && votes_in(&next, r->options.self));
}

void election_campaign(struct raft *r, enum campaign kind)
{
	if (r->role == RAFT_LEADER || !promotable(r))
		return;
	if (kind == CAMPAIGN_PRE && r->test.no_pre_vote)
		kind = CAMPAIGN_VOTE;
	leave_role(r);
	if (kind == CAMPAIGN_PRE) {
		r->role = RAFT_PRE_CANDIDATE;
		r->counters.pre_campaigns++;
	} else {
		r->role = RAFT_CANDIDATE;
		r->counters.campaigns++;
		set_term(r, r->hard.term + 1, r->options.self);
	}
	set_leader(r, 0);
	r->self_vote_due = true;
	ask_votes(r, kind);
	if (!r->test.defer_self_vote)
		election_count_self(r);
}

/* What the votes counted so far decide. */
static void decide(struct raft *r)
{
	enum vote_result result = membership_tally(r, &r->conf), other;
	struct raft_conf next;

	if (reconfigure_next(r, &next)) {
		other = membership_tally(r, &next);
		MARK_IF(other != result, "raft.election.next-configuration-counts");
		if (other == VOTE_LOST || result == VOTE_WON)
			result = other;
	}
	MARK_IF(result == VOTE_LOST && r->role == RAFT_PRE_CANDIDATE, "raft.prevote.lost");
	MARK_IF(result == VOTE_LOST && r->role == RAFT_CANDIDATE, "raft.vote.lost");
	MARK_IF(result == VOTE_WON && r->self_vote_due, "raft.vote.won-before-own-is-durable");
	if (result == VOTE_LOST)
		election_become_follower(r, r->hard.term, 0);
	else if (result == VOTE_WON && r->role == RAFT_PRE_CANDIDATE)
		election_campaign(r, CAMPAIGN_VOTE);
	else if (result == VOTE_WON && r->role == RAFT_CANDIDATE && !r->self_vote_due)
		become_leader(r);
}

void election_count_self(struct raft *r)
{
	if (!r->self_vote_due || r->hard_durable.term != r->hard.term ||
	    r->hard_durable.vote != r->hard.vote)
		return;
	r->self_vote_due = false;
	r->self_vote = VOTE_GRANTED;
	decide(r);
}

static bool recently_active(const struct raft *r, const struct progress *p)
{
	(void)r;
	return p->recent_active;
}

/* Once per election timeout: who has not answered since the last time counts as gone. */
static void check_quorum(struct raft *r)
{
	r->election_elapsed = 0;
	if (!r->test.no_check_quorum && !membership_quorum(r, recently_active)) {
		MARK("raft.election.check-quorum-step-down");
		election_become_follower(r, r->hard.term, 0);
		return;
	}
	for (size_t i = 0; !r->test.no_check_quorum && i < r->peer_count; i++)
		r->peers[i].recent_active = false;
	MARK_IF(r->transfer_to != 0, "raft.transfer.timed-out");
	r->transfer_to = 0; /* a transfer has one election timeout */
	reconfigure_auto_leave(r);
}

static void leader_tick(struct raft *r)
{
	if (++r->election_elapsed >= r->options.election_ticks)
		check_quorum(r);
	if (r->role != RAFT_LEADER)
		return;
	if (++r->heartbeat_elapsed >= r->options.heartbeat_ticks) {
		r->heartbeat_elapsed = 0;
		replication_heartbeat(r);
	}
}

/* Who may not campaign, a removed node say, must not wait for ever for a leader that is gone. */
static void give_up_leader(struct raft *r)
{
	election_campaign(r, CAMPAIGN_PRE);
	if (r->role != RAFT_FOLLOWER)
		return;
	MARK_IF(r->leader != 0, "raft.election.leader-given-up");
	set_leader(r, 0);
}

void election_tick(struct raft *r)
{
	r->now_ticks++;
	if (r->role == RAFT_LEADER) {
		leader_tick(r);
		return;
	}
	if (r->election_elapsed < UINT32_MAX)
		r->election_elapsed++;
	if (r->role == RAFT_FOLLOWER && r->leader == 0 && membership_sole_voter(r))
		election_campaign(r, CAMPAIGN_PRE); /* nobody else to wait for */
	else if (r->election_elapsed >= r->election_timeout)
		give_up_leader(r);
}

void election_heard_leader(struct raft *r, uint64_t leader)
{
	MARK_IF(r->role == RAFT_CANDIDATE, "raft.election.candidate-met-leader");
	MARK_IF(r->role == RAFT_PRE_CANDIDATE, "raft.election.pre-candidate-met-leader");
	MARK_IF(r->leader_suspect && r->leader == leader, "raft.election.suspect-leader-heard");
	if (r->role != RAFT_FOLLOWER)
		election_become_follower(r, r->hard.term, leader);
	set_leader(r, leader);
	if (r->hurried)
		reset_timer(r);
	r->leader_suspect = false;
	r->election_elapsed = 0;
}

void election_forget_leader(struct raft *r)
{
	if (r->test.forget_leader && r->role == RAFT_FOLLOWER)
		set_leader(r, 0);
}

/* Campaign after min_ticks and a little chance, if the timer does not fire earlier anyway. */
static void hurry(struct raft *r, uint32_t min_ticks)
{
	uint32_t spread = 2 * r->options.heartbeat_ticks;
	uint32_t soon = min_ticks + 1 + (uint32_t)prng_below(&r->prng, spread);

	if (r->election_elapsed + soon >= r->election_timeout)
		return;
	r->election_timeout = r->election_elapsed + soon;
	r->hurried = true;
}

void election_leader_unreachable(struct raft *r)
{
	r->leader_suspect = true;
	hurry(r, 0);
}

bool election_in_lease(const struct raft *r)
{
	if (r->test.no_check_quorum)
		return false;
	if (r->role == RAFT_LEADER)
		return true;
	return r->leader != 0 && !r->leader_suspect &&
	       r->election_elapsed < r->options.election_ticks;
}

/*
 * Would a leader with this log lack nothing that may be committed?
 *
 * What a node holds counts towards commit only where it is a voter. One that is none, in force or in
 * any configuration of its log, asks for what it knows to be committed, no more: a leader that was
 * removed may hold entries that nobody will ever have, while the others, who cannot know yet that
 * its removal is committed, need its vote. (Seed 6157 of test_churn.)
 */
static bool log_up_to_date(const struct raft *r, const struct raft_message *msg)
{
	uint64_t index = r->tail.last_index;

	if (!membership_self_votes(r) && r->conf_count == 0) {
		MARK_IF(r->commit < index, "raft.vote.by-commit-index");
		index = r->commit;
	}
	return msg->log_term > tail_term(&r->tail, index) ||
	       (msg->log_term == tail_term(&r->tail, index) && msg->log_index >= index);
}

void election_on_vote(struct raft *r, const struct raft_message *msg)
{
	bool pre = msg->type == RAFT_MSG_PREVOTE;
	bool free_to_vote = r->hard.vote == msg->from || (r->hard.vote == 0 && r->leader == 0) ||
			    (pre && msg->term > r->hard.term);
	bool up_to_date = log_up_to_date(r, msg);
	struct raft_message answer = { .type = pre ? RAFT_MSG_PREVOTE_RESP : RAFT_MSG_VOTE_RESP,
				       .to = msg->from,
				       .reject = !free_to_vote || !up_to_date };

	MARK_IF(pre && answer.reject, "raft.prevote.refused");
	MARK_IF(!pre && !free_to_vote, "raft.vote.refused-not-free");
	MARK_IF(!pre && free_to_vote && !up_to_date, "raft.vote.refused-log-behind");
	MARK_IF(!pre && r->hard.vote == msg->from, "raft.vote.granted-again");
	/* A granted pre-vote answers in the term that was asked for, which is not ours yet. */
	answer.term = answer.reject ? r->hard.term : msg->term;
	if (!answer.reject && !pre) {
		assert(r->hard.vote == 0 || r->hard.vote == msg->from);
		if (r->hard.vote == 0)
			set_term(r, r->hard.term, msg->from);
		r->election_elapsed = 0;
	}
	if (pre)
		raft_send(r, answer);
	else
		raft_promise(r, answer);
}

void election_on_vote_resp(struct raft *r, const struct raft_message *msg)
{
	enum raft_role asked =
		msg->type == RAFT_MSG_PREVOTE_RESP ? RAFT_PRE_CANDIDATE : RAFT_CANDIDATE;
	struct progress *p = raft_peer(r, msg->from);

	if (r->role != asked || p == NULL)
		return;
	if (asked == RAFT_PRE_CANDIDATE && !msg->reject && msg->term != r->hard.term + 1) {
		MARK("raft.prevote.stale-grant");
		return; /* granted for an earlier campaign */
	}
	if (p->vote == VOTE_NONE)
		p->vote = msg->reject ? VOTE_REJECTED : VOTE_GRANTED;
	/* Who won the pre-vote and is refused now met another candidate: do not wait out a split vote. */
	if (asked == RAFT_CANDIDATE && msg->reject) {
		MARK("raft.vote.met-other-candidate");
		hurry(r, r->options.heartbeat_ticks);
	}
	decide(r);
}

void election_on_timeout_now(struct raft *r)
{
	MARK("raft.transfer.timeout-now");
	MARK_IF(!promotable(r), "raft.transfer.not-promotable");
	if (r->role == RAFT_FOLLOWER)
		election_campaign(r, CAMPAIGN_TRANSFER);
}
