/* reconfigure.c - see reconfigure.h. */
#include "raft/reconfigure.h"

#include "base/mark.h"
#include "raft/election.h"
#include "raft/membership.h"
#include "raft/read.h"
#include "raft/replication.h"

/* ---- what the log holds ------------------------------------------------------------------------ */

void reconfigure_note(struct raft *r, const struct raft_entry *e)
{
	size_t at = r->conf_count;

	assert(e->type == RAFT_ENTRY_CONF);
	while (at > 0 && r->confs[at - 1].index >= e->index)
		at--;
	if (at < r->conf_count && r->confs[at].index == e->index) {
		if (r->confs[at].data == NULL) /* known since the start, read only now */
			r->confs[at].data = blob_ref(e->data);
		return;
	}
	if (r->conf_count == r->conf_cap) {
		r->conf_cap = r->conf_cap == 0 ? 8 : 2 * r->conf_cap;
		r->confs = mem_realloc(r->confs, r->conf_cap * sizeof(r->confs[0]));
	}
	memmove(&r->confs[at + 1], &r->confs[at], (r->conf_count - at) * sizeof(r->confs[0]));
	r->confs[at] = *e;
	blob_ref(e->data);
	r->conf_count++;
}

uint64_t reconfigure_boot(struct raft *r, const struct raft_boot *boot)
{
	for (size_t i = 0; i < boot->conf_count; i++) {
		struct raft_entry e = { .index = boot->confs[i],
					.term = raft_term_at(r, boot->confs[i]),
					.type = RAFT_ENTRY_CONF };

		if (e.index > boot->applied_index)
			reconfigure_note(r, &e);
	}
	if (r->conf_count < 2)
		return boot->applied_index;
	MARK("raft.conf.commit-proved-by-log");
	return r->confs[r->conf_count - 2].index;
}

void reconfigure_truncate(struct raft *r, uint64_t index)
{
	while (r->conf_count > 0 && r->confs[r->conf_count - 1].index >= index) {
		MARK("raft.conf.cut-with-suffix");
		blob_unref(r->confs[--r->conf_count].data);
	}
}

void reconfigure_forget(struct raft *r, uint64_t upto)
{
	size_t gone = 0;

	while (gone < r->conf_count && r->confs[gone].index <= upto)
		blob_unref(r->confs[gone++].data);
	r->conf_count -= gone;
	if (gone > 0)
		memmove(r->confs, r->confs + gone, r->conf_count * sizeof(r->confs[0]));
}

bool reconfigure_unapplied(const struct raft *r)
{
	return r->conf_count > 0 && r->confs[0].index <= r->commit;
}

bool reconfigure_next(const struct raft *r, struct raft_conf *next)
{
	int ret;

	if (r->test.etcd_conf_rules || r->conf_count == 0 || r->confs[0].data == NULL)
		return false;
	*next = r->conf;
	ret = raft_conf_apply(next, &r->confs[0]);
	assert(ret == 0); /* checked when it was proposed, received or loaded */
	return true;
}

uint64_t reconfigure_unread(const struct raft *r)
{
	for (size_t i = 0; i < r->conf_count; i++) {
		if (r->confs[i].data == NULL)
			return r->confs[i].index;
	}
	return 0;
}

/* ---- into force -------------------------------------------------------------------------------- */

static void follow_up_as_leader(struct raft *r)
{
	const struct raft_member *to;

	if (!membership_self_votes(r)) {
		MARK("raft.conf.leader-removed");
		/* What was committed was told already; the others elect one of theirs. */
		if (!r->test.stay_when_removed)
			election_become_follower(r, r->hard.term, 0);
		return;
	}
	/* A smaller quorum may have what a larger one lacked. */
	if (!replication_maybe_commit(r)) {
		for (size_t i = 0; i < r->peer_count; i++)
			replication_append_to(r, &r->peers[i], false);
	}
	to = raft_conf_find(&r->conf, r->transfer_to);
	if (to == NULL || !conf_member_votes(to)) {
		MARK_IF(r->transfer_to != 0, "raft.transfer.target-left");
		r->transfer_to = 0;
	}
	reads_conf_changed(r);
}

static void put_into_force(struct raft *r, const struct raft_entry *e)
{
	struct raft_conf conf = r->conf;
	int ret = raft_conf_apply(&conf, e);

	assert(ret == 0); /* checked when it was proposed, received or loaded */
	membership_set(r, &conf);
	r->conf_changed = true;
	r->counters.conf_changes++;
	if (r->role == RAFT_LEADER)
		follow_up_as_leader(r);
}

void reconfigure_apply(struct raft *r, uint64_t index)
{
	while (r->conf_count > 0 && r->confs[0].index <= index) {
		struct raft_entry e = r->confs[0];

		blob_ref(e.data);
		reconfigure_forget(r, e.index);
		put_into_force(r, &e);
		blob_unref(e.data);
	}
}

/* ---- proposals --------------------------------------------------------------------------------- */

static void append_change(struct raft *r, const struct raft_conf_change *change)
{
	struct buf payload = BUF_INIT;
	struct raft_entry e = { .index = r->tail.last_index + 1,
				.term = r->hard.term,
				.type = RAFT_ENTRY_CONF };

	/* I8: one at a time, and the one before it is in force. */
	assert(r->test.no_conf_validation || (r->pending_conf <= r->applied && r->role == RAFT_LEADER));
	raft_conf_change_encode(change, &payload);
	e.data = blob_from(payload.data, payload.len);
	buf_release(&payload);
	r->uncommitted_bytes += entry_bytes(&e);
	r->pending_conf = e.index;
	r->propose_first = e.index;
	log_append(r, e);
	replication_broadcast(r);
}

static bool heard_lately(const struct raft *r, const struct progress *p)
{
	return progress_heard_within(p, r->now_ticks, r->options.election_ticks);
}

static bool caught_up(const struct raft *r, const struct progress *p)
{
	return p != NULL && p->state == RAFT_REPLICATE && heard_lately(r, p) &&
	       p->match + RAFT_PROMOTE_LAG_MAX >= r->commit;
}

static bool votes_incoming(const struct raft_conf *conf, uint64_t id)
{
	const struct raft_member *m = raft_conf_find(conf, id);

	return m != NULL && (m->role & RAFT_VOTER) != 0;
}

/*
 * A leader that is to go lets one of those that stay leave the joint configuration. Left by itself,
 * the others might not know that the entry is committed, need its vote for as long, and not get it,
 * because its log may be longer than theirs. (Seed 5 of test_churn, two voters, one of them removed.)
 */
static void hand_over(struct raft *r)
{
	const struct progress *best = NULL;

	for (size_t i = 0; i < r->peer_count; i++) {
		const struct progress *p = &r->peers[i];

		if (!votes_incoming(&r->conf, p->id) || !caught_up(r, p))
			continue;
		/* Whoever did not make it the last time comes last. */
		if (best == NULL || best->id == r->transfer_last ||
		    (p->match > best->match && p->id != r->transfer_last))
			best = p;
	}
	if (best == NULL)
		return;
	MARK("raft.conf.hand-over");
	replication_transfer(r, best->id);
}

void reconfigure_auto_leave(struct raft *r)
{
	static const struct raft_conf_change leave = { .transition = RAFT_LEAVE_JOINT };

	if (r->role != RAFT_LEADER || !r->conf.auto_leave || !raft_conf_joint(&r->conf) ||
	    r->applied < r->pending_conf || r->transfer_to != 0 || !membership_self_votes(r))
		return;
	if (!votes_incoming(&r->conf, r->options.self) && !r->test.etcd_conf_rules) {
		hand_over(r);
		return;
	}
	append_change(r, &leave);
	r->propose_first = 0;
}

/* The checks that keep the group able to commit, on top of those that keep it safe. */
static enum raft_conf_result check_live(struct raft *r, const struct raft_conf *next)
{
	for (size_t i = 0; i < next->count; i++) {
		uint64_t id = next->members[i].id;

		if (!votes_incoming(next, id) || votes_incoming(&r->conf, id) ||
		    id == r->options.self)
			continue;
		if (!caught_up(r, raft_peer(r, id))) {
			MARK("raft.conf.not-caught-up");
			return RAFT_CONF_NOT_CAUGHT_UP;
		}
	}
	if (membership_quorum_of(r, next, heard_lately))
		return RAFT_CONF_APPENDED;
	MARK("raft.conf.no-quorum");
	return RAFT_CONF_NO_QUORUM;
}

static enum raft_conf_result check_safe(const struct raft *r, const struct raft_conf_change *change)
{
	bool leaves = change->transition == RAFT_LEAVE_JOINT;
	bool joint = raft_conf_joint(&r->conf);

	if (r->role != RAFT_LEADER || raft_conf_find(&r->conf, r->options.self) == NULL)
		return RAFT_CONF_NOT_LEADER;
	if (r->transfer_to != 0)
		return RAFT_CONF_TRANSFERRING;
	if (r->test.no_conf_validation)
		return RAFT_CONF_APPENDED;
	if (!r->test.etcd_conf_rules && !replication_own_term_committed(r))
		return RAFT_CONF_NOT_READY;
	if (r->pending_conf > r->applied) {
		MARK("raft.conf.pending");
		return RAFT_CONF_PENDING;
	}
	if (joint && !leaves)
		return RAFT_CONF_JOINT;
	if (!joint && leaves)
		return RAFT_CONF_NOT_JOINT;
	return RAFT_CONF_APPENDED;
}

static enum raft_conf_result check_change(struct raft *r, const struct raft_conf_change *change)
{
	enum raft_conf_result result = check_safe(r, change);
	struct raft_conf next;

	if (result != RAFT_CONF_APPENDED || r->test.etcd_conf_rules || r->test.no_conf_validation)
		return result;
	if (change->transition != RAFT_JOINT_AUTO)
		return RAFT_CONF_NOT_ALLOWED;
	if (raft_conf_change(&r->conf, change, &next, NULL) < 0)
		return RAFT_CONF_INVALID;
	return check_live(r, &next);
}

void reconfigure_propose(struct raft *r, const struct raft_conf_change *change)
{
	r->conf_result = check_change(r, change);
	if (r->conf_result == RAFT_CONF_APPENDED)
		append_change(r, change);
}

const char *raft_conf_result_name(enum raft_conf_result result)
{
	static const char *const names[] = {
		[RAFT_CONF_NONE] = "none",
		[RAFT_CONF_APPENDED] = "appended",
		[RAFT_CONF_NOT_LEADER] = "this node is not the leader",
		[RAFT_CONF_TRANSFERRING] = "leadership is being transferred",
		[RAFT_CONF_NOT_READY] = "the leader has not committed anything yet",
		[RAFT_CONF_PENDING] = "another change is under way",
		[RAFT_CONF_JOINT] = "another change is under way",
		[RAFT_CONF_NOT_JOINT] = "no change is under way",
		[RAFT_CONF_NOT_ALLOWED] = "only joint changes are allowed",
		[RAFT_CONF_INVALID] = "it does not fit the configuration",
		[RAFT_CONF_NOT_CAUGHT_UP] = "a new voter must be a learner that has caught up",
		[RAFT_CONF_NO_QUORUM] = "a majority of the remaining voters is not reachable",
	};

	return (size_t)result < ARRAY_SIZE(names) ? names[result] : "unknown";
}
