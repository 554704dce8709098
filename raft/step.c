/* step.c - creation, and one input: what is checked first, and the term rules common to all. */
#include "base/mark.h"
#include "raft/election.h"
#include "raft/lease.h"
#include "raft/membership.h"
#include "raft/raft_internal.h"
#include "raft/read.h"
#include "raft/reconfigure.h"
#include "raft/replication.h"
#include "raft/snapshot.h"

struct progress *raft_peer(struct raft *r, uint64_t id)
{
	for (size_t i = 0; i < r->peer_count; i++) {
		if (r->peers[i].id == id)
			return &r->peers[i];
	}
	return NULL;
}

/* ---- creation ------------------------------------------------------------------------------- */

static int check_options(const struct raft_options *o, struct err *err)
{
	if (o->self == 0)
		return err_set(err, -EINVAL, "cannot start raft: node id is 0");
	if (o->heartbeat_ticks == 0 || o->election_ticks <= o->heartbeat_ticks)
		return err_set(
			err, -EINVAL,
			"cannot start raft: election_ticks '%u' is not above heartbeat_ticks '%u'",
			o->election_ticks, o->heartbeat_ticks);
	if (o->max_inflight_messages == 0)
		return err_set(err, -EINVAL, "cannot start raft: max_inflight_messages is 0");
	return lease_check_options(o, err);
}

static int check_terms(const struct raft_boot *b, struct err *err)
{
	uint64_t index = b->base_index, term = b->base_term;

	if ((b->term_count == 0) != (b->last_index == b->base_index))
		return err_set(err, -EINVAL,
			       "cannot start raft: log '%llu..%llu' has %zu term runs",
			       (unsigned long long)b->base_index + 1,
			       (unsigned long long)b->last_index, b->term_count);
	for (size_t i = 0; i < b->term_count; i++) {
		const struct raft_entry *e = &b->terms[i];
		bool in_order = i == 0 ? e->index == b->base_index + 1 && e->term >= term
				       : e->index > index && e->term > term;

		if (!in_order || e->index > b->last_index || e->term == 0)
			return err_set(
				err, -EINVAL,
				"cannot start raft: term '%llu' at index '%llu' is out of order",
				(unsigned long long)e->term, (unsigned long long)e->index);
		index = e->index;
		term = e->term;
	}
	/* A log above the hard state means that the hard state was lost, and a vote with it. */
	if (term > b->hard.term)
		return err_set(
			err, -EINVAL,
			"cannot start raft: log has term '%llu' but the hard state only '%llu'",
			(unsigned long long)term, (unsigned long long)b->hard.term);
	return 0;
}

static int check_boot(const struct raft_boot *b, struct err *err)
{
	if (b->base_index > b->durable_index || b->durable_index > b->applied_index ||
	    b->applied_index > b->last_index)
		return err_set(
			err, -EINVAL,
			"cannot start raft: base '%llu' <= durable '%llu' <= applied '%llu' <= "
			"last "
			"'%llu' does not hold",
			(unsigned long long)b->base_index, (unsigned long long)b->durable_index,
			(unsigned long long)b->applied_index, (unsigned long long)b->last_index);
	if ((b->base_index == 0) != (b->base_term == 0))
		return err_set(err, -EINVAL, "cannot start raft: base '%llu' with term '%llu'",
			       (unsigned long long)b->base_index, (unsigned long long)b->base_term);
	if (!conf_valid(&b->conf))
		return err_set(err, -EINVAL, "cannot start raft: the configuration is not valid");
	for (size_t i = 0; i < b->conf_count; i++) {
		if (b->confs[i] <= (i == 0 ? b->base_index : b->confs[i - 1]) ||
		    b->confs[i] > b->last_index)
			return err_set(err, -EINVAL,
				       "cannot start raft: configuration at index '%llu' is out of "
				       "order",
				       (unsigned long long)b->confs[i]);
	}
	return check_terms(b, err);
}

struct raft *raft_new(const struct raft_options *options, const struct raft_boot *boot,
		      struct err *err)
{
	struct raft *r;

	if (check_options(options, err) < 0 || check_boot(boot, err) < 0)
		return NULL;
	r = mem_calloc(1, sizeof(*r));
	r->options = *options;
	if (options->test != NULL)
		r->test = *options->test;
	r->options.test = NULL;
	r->incarnation = boot->incarnation;
	r->hard = r->hard_out = r->hard_durable = boot->hard;
	prng_init(&r->prng,
		  options->seed ^ options->self * 0x9e3779b97f4a7c15U ^ boot->incarnation << 20);
	tail_init(&r->tail, boot->base_index, boot->base_term, boot->terms, boot->term_count,
		  boot->last_index, max_u64(options->keep_tail_bytes / 64, 4096));
	if (boot->applied_term != 0 && raft_term_at(r, boot->applied_index) != boot->applied_term) {
		err_set(err, -EINVAL,
			"cannot start raft: state was applied at term '%llu' of index '%llu', log "
			"has '%llu'",
			(unsigned long long)boot->applied_term,
			(unsigned long long)boot->applied_index,
			(unsigned long long)raft_term_at(r, boot->applied_index));
		raft_free(r);
		return NULL;
	}
	r->synced_index = boot->last_index;
	r->persist_next = boot->last_index + 1;
	r->handed = r->applied = boot->applied_index;
	r->commit = reconfigure_boot(r, boot);
	r->durable = r->durable_reported = boot->durable_index;
	if (boot->snapshot.index <= boot->applied_index)
		r->snapshot = boot->snapshot;
	r->conf = boot->conf;
	membership_set(r, &r->conf);
	election_become_follower(r, r->hard.term, 0);
	return r;
}

void raft_free(struct raft *r)
{
	if (r == NULL)
		return;
	for (size_t i = 0; i < r->peer_count; i++)
		progress_release(&r->peers[i]);
	tail_release(&r->tail);
	output_release(r);
	free(r);
}

/* ---- a message, looked at before anything changes --------------------------------------------- */

static bool from_a_leader(const struct raft_message *m)
{
	return m->type == RAFT_MSG_APPEND || m->type == RAFT_MSG_HEARTBEAT ||
	       m->type == RAFT_MSG_SNAPSHOT;
}

static bool entries_sound(const struct raft_message *m)
{
	uint64_t term = m->log_term;

	for (size_t i = 0; i < m->entry_count; i++) {
		const struct raft_entry *e = &m->entries[i];

		if (e->index != m->log_index + 1 + i || e->term < term || e->term == 0 ||
		    e->term > m->term)
			return false;
		if (e->type < RAFT_ENTRY_NOOP || e->type > RAFT_ENTRY_NORMAL)
			return false;
		if (e->type == RAFT_ENTRY_CONF && !conf_payload_sound(e->data))
			return false;
		term = e->term;
	}
	return true;
}

/* Does (index, term) contradict an entry that is committed here? */
static bool contradicts_commit(const struct raft *r, uint64_t index, uint64_t term)
{
	return index >= r->tail.base_index && index <= r->commit &&
	       !tail_matches(&r->tail, index, term);
}

static bool leader_message_sound(const struct raft *r, const struct raft_message *m)
{
	if (m->term < r->hard.term)
		return true;
	/* At most one leader per term. */
	if (m->term == r->hard.term && r->leader != 0 && r->leader != m->from) {
		MARK("raft.step.second-leader");
		return false;
	}
	switch (m->type) {
	case RAFT_MSG_APPEND:
		return entries_sound(m) && !contradicts_commit(r, m->log_index, m->log_term);
	case RAFT_MSG_HEARTBEAT:
		return m->commit <= r->tail.last_index || snapshot_busy(r);
	default:
		return m->snapshot->term <= m->term &&
		       !contradicts_commit(r, m->snapshot->index, m->snapshot->term);
	}
}

static int check_message(const struct raft *r, const struct raft_message *m)
{
	if (m->type < RAFT_MSG_APPEND || m->type > RAFT_MSG_TIMEOUT_NOW)
		return -EPROTO;
	if (m->group != r->options.group || m->to != r->options.self || m->from == 0 ||
	    m->from == m->to || m->term == 0)
		return -EPROTO;
	if (m->entry_count > 0 &&
	    (m->type != RAFT_MSG_APPEND || m->log_index > UINT64_MAX - m->entry_count))
		return -EPROTO;
	if (m->type == RAFT_MSG_SNAPSHOT &&
	    (m->snapshot == NULL || m->snapshot->index == 0 || m->snapshot->term == 0 ||
	     !conf_valid(&m->snapshot->conf)))
		return -EPROTO;
	if (from_a_leader(m))
		return leader_message_sound(r, m) ? 0 : -EPROTO;
	/* Nobody can hold more of our log than we do. */
	if (m->type == RAFT_MSG_APPEND_RESP && !m->reject && r->role == RAFT_LEADER &&
	    m->term == r->hard.term && m->log_index > r->tail.last_index)
		return -EPROTO;
	return 0;
}

/* False if the sender has restarted since it sent this. */
static bool note_incarnation(struct raft *r, const struct raft_message *m)
{
	struct progress *p;
	size_t i = 0;

	while (i < r->known_count && r->known[i].id != m->from)
		i++;
	if (i == RAFT_KNOWN_MAX)
		return true;
	if (i == r->known_count) {
		r->known_count++;
		r->known[i].id = m->from;
		r->known[i].incarnation = m->incarnation;
	}
	if (m->incarnation < r->known[i].incarnation) {
		MARK("raft.step.sent-before-restart");
		return false;
	}
	if (m->incarnation > r->known[i].incarnation) {
		MARK("raft.step.peer-restarted");
		r->known[i].incarnation = m->incarnation;
		p = raft_peer(r, m->from);
		if (p != NULL)
			replication_unreachable(r, p);
	}
	return true;
}

/* ---- a message ---------------------------------------------------------------------------------- */

/* A message of an older term is only good for telling its sender about ours. */
static void answer_old_term(struct raft *r, const struct raft_message *m)
{
	/*
	 * Without this a node whose term ran ahead could neither follow the old leader nor, its
	 * campaigns being ignored, ever replace it (etcd/raft: Step).
	 */
	if ((m->type == RAFT_MSG_APPEND || m->type == RAFT_MSG_HEARTBEAT) &&
	    !(r->test.no_check_quorum && r->test.no_pre_vote)) {
		MARK("raft.step.old-leader-answered");
		raft_send(r, (struct raft_message){ .type = RAFT_MSG_APPEND_RESP, .to = m->from });
	} else if (m->type == RAFT_MSG_PREVOTE) {
		MARK("raft.step.old-prevote-answered");
		raft_send(r, (struct raft_message){ .type = RAFT_MSG_PREVOTE_RESP,
						    .to = m->from,
						    .reject = true });
	}
}

/* Returns whether the message is still to be handled, in our (possibly new) term. */
static bool settle_term(struct raft *r, const struct raft_message *m)
{
	bool campaign = m->type == RAFT_MSG_VOTE || m->type == RAFT_MSG_PREVOTE;

	if (m->term < r->hard.term) {
		answer_old_term(r, m);
		return false;
	}
	if (m->term == r->hard.term)
		return true;
	if (campaign && !m->campaign_transfer && election_in_lease(r)) {
		MARK("raft.vote.ignored-in-lease");
		return false;
	}
	/* A pre-vote and its grant speak of a term that nobody has entered yet. */
	if (m->type == RAFT_MSG_PREVOTE || (m->type == RAFT_MSG_PREVOTE_RESP && !m->reject))
		return true;
	MARK_IF(r->role == RAFT_LEADER, "raft.election.deposed-by-term");
	election_become_follower(r, m->term, from_a_leader(m) ? m->from : 0);
	return true;
}

static void handle_message(struct raft *r, struct raft_message *m)
{
	struct progress *p = raft_peer(r, m->from);

	if (p != NULL && m->term == r->hard.term) {
		p->heard_tick = r->now_ticks;
		p->heard = true;
		if (m->type == RAFT_MSG_APPEND_RESP || m->type == RAFT_MSG_HEARTBEAT_RESP)
			p->recent_active = true;
	}
	if (p != NULL && m->term == r->hard.term && r->role == RAFT_LEADER &&
	    (m->type == RAFT_MSG_APPEND_RESP || m->type == RAFT_MSG_HEARTBEAT_RESP))
		lease_on_answer(r, p, m);
	if (from_a_leader(m)) {
		election_heard_leader(r, m->from);
		lease_on_leader(r, m);
	}
	switch (m->type) {
	case RAFT_MSG_APPEND:
		replication_on_append(r, m);
		break;
	case RAFT_MSG_APPEND_RESP:
		replication_on_append_resp(r, m);
		break;
	case RAFT_MSG_HEARTBEAT:
		replication_on_heartbeat(r, m);
		break;
	case RAFT_MSG_HEARTBEAT_RESP:
		replication_on_heartbeat_resp(r, m);
		break;
	case RAFT_MSG_PREVOTE:
	case RAFT_MSG_VOTE:
		election_on_vote(r, m);
		break;
	case RAFT_MSG_PREVOTE_RESP:
	case RAFT_MSG_VOTE_RESP:
		election_on_vote_resp(r, m);
		break;
	case RAFT_MSG_SNAPSHOT:
		snapshot_on_offer(r, m);
		break;
	case RAFT_MSG_SNAPSHOT_RESP:
		snapshot_on_resp(r, m);
		break;
	case RAFT_MSG_READ_INDEX:
		reads_on_question(r, m);
		break;
	case RAFT_MSG_READ_INDEX_RESP:
		reads_on_answer(r, m);
		break;
	case RAFT_MSG_TIMEOUT_NOW:
		election_on_timeout_now(r);
		break;
	default:
		assert(false && "type was checked");
	}
}

static int step_message(struct raft *r, struct raft_message *m)
{
	int ret = check_message(r, m);

	MARK_IF(ret < 0, "raft.step.message-refused");
	if (ret == 0 && note_incarnation(r, m) && settle_term(r, m))
		handle_message(r, m);
	if (ret == 0)
		lease_recheck(r);
	return ret;
}

/* ---- the other inputs ------------------------------------------------------------------------ */

static int step_propose(struct raft *r, const struct raft_input *in)
{
	int ret;

	assert(in->propose.count > 0);
	if (r->role != RAFT_LEADER || raft_conf_find(&r->conf, r->options.self) == NULL) {
		MARK("raft.propose.not-leader");
		r->propose_result = RAFT_PROPOSE_NOT_LEADER;
		return 0;
	}
	if (r->transfer_to != 0) {
		MARK("raft.propose.transferring");
		r->propose_result = RAFT_PROPOSE_TRANSFERRING;
		return 0;
	}
	if (in->propose.prev_index != 0 && (in->propose.prev_index != r->tail.last_index ||
					    in->propose.prev_term != tail_last_term(&r->tail))) {
		MARK("raft.propose.superseded");
		r->propose_result = RAFT_PROPOSE_SUPERSEDED;
		return 0;
	}
	ret = replication_propose(r, in->propose.v, in->propose.count);
	r->propose_result = ret == 0         ? RAFT_PROPOSE_APPENDED
			    : ret == -EAGAIN ? RAFT_PROPOSE_BUSY
					     : RAFT_PROPOSE_NONE;
	r->counters.proposals_refused += ret == -EAGAIN;
	return ret;
}

static void step_persisted(struct raft *r, const struct raft_input *in)
{
	/* Today every promise waits for SYNCED. */
	if (in->persisted.level != RAFT_SYNCED)
		return;
	persist_done(r, in->persisted.index, in->persisted.term, in->persisted.hard_state);
	election_count_self(r);
	replication_maybe_commit(r);
}

static void step_unreachable(struct raft *r, uint64_t id)
{
	struct progress *p = raft_peer(r, id);

	if (p != NULL)
		replication_unreachable(r, p);
	if (r->role == RAFT_FOLLOWER && r->leader == id && id != 0) {
		MARK("raft.election.leader-unreachable");
		election_leader_unreachable(r);
	}
}

static int dispatch(struct raft *r, const struct raft_input *in)
{
	switch (in->type) {
	case RAFT_IN_TICK:
		r->load_failed = false;
		election_tick(r);
		reads_tick(r);
		lease_recheck(r);
		return 0;
	case RAFT_IN_MESSAGE:
		return step_message(r, in->message);
	case RAFT_IN_PROPOSE:
		return step_propose(r, in);
	case RAFT_IN_READ:
		return reads_add(r, in->read.id);
	case RAFT_IN_PERSISTED:
		step_persisted(r, in);
		return 0;
	case RAFT_IN_APPLIED:
		apply_done(r, in->applied.index);
		return 0;
	case RAFT_IN_DURABLE:
		r->durable_reported = max_u64(r->durable_reported, in->durable.index);
		r->durable = max_u64(r->durable, min_u64(r->durable_reported, r->applied));
		return 0;
	case RAFT_IN_LOADED:
		load_done(r, in->loaded.v, in->loaded.count);
		return 0;
	case RAFT_IN_SNAPSHOT_CREATED:
		snapshot_on_created(r, in->snapshot.meta);
		return 0;
	case RAFT_IN_SNAPSHOT_RECEIVED:
		snapshot_on_received(r, in->snapshot.meta);
		return 0;
	case RAFT_IN_SNAPSHOT_FAILED:
		snapshot_on_failed(r, in->snapshot.meta);
		return 0;
	case RAFT_IN_SNAPSHOT_INSTALLED:
		snapshot_on_installed(r, in->snapshot.meta, in->snapshot.result);
		return 0;
	case RAFT_IN_SNAPSHOT_PROGRESS:
		snapshot_on_progress(r, in->snapshot.peer);
		return 0;
	case RAFT_IN_UNREACHABLE:
		step_unreachable(r, in->peer.id);
		return 0;
	case RAFT_IN_CAMPAIGN:
		election_campaign(r, CAMPAIGN_PRE);
		return 0;
	case RAFT_IN_TRANSFER:
		replication_transfer(r, in->peer.id);
		return 0;
	case RAFT_IN_SURRENDER:
		lease_surrender(r);
		return 0;
	case RAFT_IN_CONF_CHANGE:
		reconfigure_propose(r, in->conf_change.change);
		return 0;
	case RAFT_IN_FORGET_LEADER:
		election_forget_leader(r);
		return 0;
	}
	assert(false && "unknown input");
	return -EPROTO;
}

int raft_step(struct raft *r, const struct raft_input *in, struct raft_output *out)
{
	enum raft_role role = r->role;
	uint64_t leader = r->leader, commit = r->commit;
	struct raft_hard_state hard = r->hard;
	int ret;

	*out = (struct raft_output){ .persist_hard_state = false };
	output_begin(r);
	lease_set_clock(r, in->now_ns);
	ret = dispatch(r, in);
	if (ret == 0)
		output_finish(r, out);
	out->propose_result = r->propose_result;
	out->commit_index = r->commit;
	out->role_changed = r->role != role || r->hard.term != hard.term || r->leader != leader;
	/* I1: terms never go back, a vote is given once per term; I2: commit never goes back. */
	assert(r->hard.term > hard.term ||
	       (r->hard.term == hard.term && (hard.vote == 0 || hard.vote == r->hard.vote)));
	assert(r->commit >= commit);
	raft_check_cheap(r);
	return ret;
}

/* ---- looking in -------------------------------------------------------------------------------- */

uint64_t raft_term_at(const struct raft *r, uint64_t index)
{
	return tail_term(&r->tail, index);
}

const struct raft_conf *raft_conf(const struct raft *r)
{
	return &r->conf;
}

const char *raft_role_name(enum raft_role role)
{
	static const char *const names[] = { "follower", "pre-candidate", "candidate", "leader" };

	return (size_t)role < ARRAY_SIZE(names) ? names[role] : "unknown";
}

void raft_status(const struct raft *r, struct raft_status *status)
{
	*status = (struct raft_status){ .self = r->options.self,
					.role = r->role,
					.term = r->hard.term,
					.vote = r->hard.vote,
					.leader = r->leader,
					.base_index = r->tail.base_index,
					.last_index = r->tail.last_index,
					.last_term = tail_last_term(&r->tail),
					.synced_index = r->synced_index,
					.commit_index = r->commit,
					.applied_index = r->applied,
					.handed_index = r->handed,
					.durable_index = r->durable,
					.snapshot_index = r->snapshot.index,
					.uncommitted_bytes = r->uncommitted_bytes,
					.cache_bytes = r->tail.cache_bytes,
					.election_elapsed_ticks = r->election_elapsed,
					.own_term_committed = replication_own_term_committed(r),
					.pending_reads = r->reads.count,
					.transfer_to = r->transfer_to,
					.conf_joint = raft_conf_joint(&r->conf),
					.conf_pending = r->conf_count > 0,
					.handed_bytes = r->handed_bytes,
					.installing = r->incoming.phase == SNAPSHOT_INSTALLING,
					.counters = r->counters };
	if (r->incoming.phase != SNAPSHOT_IDLE) {
		status->fetching_index = r->incoming.meta.index;
		status->fetching_from = r->incoming.from;
	}
	lease_status(r, &status->lease);
	for (size_t i = 0; r->role == RAFT_LEADER && i < r->peer_count; i++) {
		const struct progress *p = &r->peers[i];

		status->peers[status->peer_count++] = (struct raft_peer_status){
			.id = p->id,
			.state = p->state,
			.match_index = p->match,
			.next_index = p->next,
			.inflight_messages = p->inflights.count,
			.inflight_bytes = p->inflights.bytes,
			.snapshot_index = p->pending_snapshot,
			.paused = progress_paused(p),
			.recent_active =
				progress_heard_within(p, r->now_ticks, r->options.election_ticks),
			.lease_live = r->now_ns < p->lease.live_until_ns,
			.lease_slow = r->now_ns < p->lease.slow_until_ns,
		};
	}
}
