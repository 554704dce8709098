/* read.c - see read.h. */
#include "raft/read.h"

#include "base/mark.h"
#include "raft/lease.h"
#include "raft/membership.h"
#include "raft/replication.h"

static void push_result(struct raft *r, struct raft_read_result res)
{
	struct reads *s = &r->reads;

	if (s->result_count == s->result_cap) {
		s->result_cap = s->result_cap == 0 ? 16 : 2 * s->result_cap;
		s->results = mem_realloc(s->results, s->result_cap * sizeof(s->results[0]));
	}
	s->results[s->result_count++] = res;
}

static void answer_local(struct raft *r, uint64_t id, bool ok, uint64_t index)
{
	push_result(r, (struct raft_read_result){ .id = id, .ok = ok, .index = ok ? index : 0 });
}

/*
 * No message is needed under a lease. What was shown anywhere is in our log by the gate, so a member
 * whose log ends beyond its commit index may lack it still, and asks.
 */
static bool answer_under_lease(struct raft *r, uint64_t id)
{
	lease_note_read(r);
	if (!lease_valid(r))
		return false;
	if (r->role != RAFT_LEADER && r->commit < r->tail.last_index) {
		MARK("raft.read.log-ahead-of-commit");
		return false;
	}
	push_result(r, (struct raft_read_result){
			       .id = id, .ok = true, .local = true, .index = r->commit });
	return true;
}

static void add_item(struct raft *r, struct read_item item)
{
	struct reads *s = &r->reads;

	if (s->count == s->cap) {
		s->cap = s->cap == 0 ? 16 : 2 * s->cap;
		s->v = mem_realloc(s->v, s->cap * sizeof(s->v[0]));
	}
	s->v[s->count++] = item;
}

void reads_fail_all(struct raft *r)
{
	struct reads *s = &r->reads;

	MARK_IF(s->count > 0, "raft.read.failed-by-role-change");
	for (size_t i = 0; i < s->count; i++) {
		/* Another node that asked finds out itself: its question is repeated. */
		if (s->v[i].from == 0)
			answer_local(r, s->v[i].id, false, 0);
	}
	s->count = 0;
	s->running = false;
	s->groups = 0;
}

/* ---- leader ------------------------------------------------------------------------------- */

uint64_t reads_running_round(const struct raft *r)
{
	return r->reads.running ? r->reads.round : 0;
}

static bool confirmed(const struct raft *r, const struct progress *p)
{
	return p->acked_round >= r->reads.round;
}

static void answer_question(struct raft *r, uint64_t to, uint64_t context, uint64_t index)
{
	raft_send(r, (struct raft_message){ .type = RAFT_MSG_READ_INDEX_RESP,
					    .to = to,
					    .log_index = index,
					    .context = context });
}

static void finish_round(struct raft *r)
{
	struct reads *s = &r->reads;
	size_t kept = 0;

	assert(replication_own_term_committed(r) && s->index <= r->commit); /* I10 */
	for (size_t i = 0; i < s->count; i++) {
		struct read_item item = s->v[i];

		MARK_IF(item.round == 0, "raft.read.rides-next-round");
		if (item.round == 0)
			s->v[kept++] = item;
		else if (item.from == 0)
			answer_local(r, item.id, true, s->index);
		else
			answer_question(r, item.from, item.id, s->index);
	}
	s->count = kept;
	s->running = false;
}

/* True if a round was finished at once, which needs no one else. */
static bool start_round(struct raft *r)
{
	struct reads *s = &r->reads;

	s->round++;
	r->counters.read_rounds++;
	s->running = true;
	s->index = r->commit;
	for (size_t i = 0; i < s->count; i++)
		s->v[i].round = s->round;
	if (membership_quorum(r, confirmed)) {
		finish_round(r);
		return true;
	}
	replication_heartbeat(r);
	return false;
}

void reads_start_round(struct raft *r)
{
	MARK_IF(r->reads.count > 0 && r->role == RAFT_LEADER && !replication_own_term_committed(r),
		"raft.read.waits-for-own-term");
	/* Before the first commit of our own term the commit index may lag behind the truth. */
	if (replication_own_term_committed(r) && !r->reads.running && r->reads.count > 0)
		start_round(r);
}

void reads_confirm(struct raft *r, struct progress *p, uint64_t round)
{
	p->acked_round = max_u64(p->acked_round, min_u64(round, r->reads.round));
	reads_conf_changed(r);
}

void reads_conf_changed(struct raft *r)
{
	if (r->role != RAFT_LEADER || !r->reads.running || !membership_quorum(r, confirmed))
		return;
	finish_round(r);
	reads_start_round(r);
}

void reads_on_question(struct raft *r, const struct raft_message *msg)
{
	struct reads *s = &r->reads;
	bool refused = r->role != RAFT_LEADER || s->count >= RAFT_READS_MAX;
	struct progress *p = raft_peer(r, msg->from);

	if (p != NULL)
		p->lease.wanted = true; /* the next heartbeat may spare it the next question */
	if (r->role == RAFT_LEADER && lease_valid(r)) {
		MARK("raft.read.question-under-lease");
		answer_question(r, msg->from, msg->context, r->commit);
		return;
	}
	for (size_t i = 0; i < s->count && !refused; i++) {
		if (s->v[i].from == msg->from && s->v[i].id == msg->context) {
			MARK("raft.read.question-repeated");
			return; /* asked again; the first answer will do */
		}
	}
	if (refused) {
		MARK("raft.read.question-refused");
		raft_send(r, (struct raft_message){ .type = RAFT_MSG_READ_INDEX_RESP,
						    .to = msg->from,
						    .reject = true,
						    .context = msg->context });
		return;
	}
	add_item(r, (struct read_item){ .id = msg->context, .from = msg->from });
	reads_start_round(r);
}

/* ---- follower ----------------------------------------------------------------------------- */

static void ask(struct raft *r, uint64_t context)
{
	r->reads.retry_ticks = 0;
	raft_send(r, (struct raft_message){
			     .type = RAFT_MSG_READ_INDEX, .to = r->leader, .context = context });
}

/* Puts all reads that wait into one new question. */
static void ask_waiting(struct raft *r)
{
	struct reads *s = &r->reads;
	uint64_t context = 0;

	if (s->groups >= RAFT_READ_GROUPS_MAX) {
		MARK("raft.read.waits-for-question");
		return;
	}
	for (size_t i = 0; i < s->count; i++) {
		if (s->v[i].context != 0)
			continue;
		/* Unique across restarts, so that an answer from before one cannot match. */
		if (context == 0)
			context = r->incarnation << 32 | ++s->next_context;
		s->v[i].context = context;
	}
	if (context == 0)
		return;
	s->groups++;
	ask(r, context);
}

int reads_add(struct raft *r, uint64_t id)
{
	if (r->reads.count >= RAFT_READS_MAX) {
		MARK("raft.read.busy");
		return -EAGAIN;
	}
	if (answer_under_lease(r, id))
		return 0;
	if (r->leader == 0) {
		MARK("raft.read.no-leader");
		answer_local(r, id, false, 0);
		return 0;
	}
	add_item(r, (struct read_item){ .id = id });
	if (r->role == RAFT_LEADER)
		reads_start_round(r);
	else
		ask_waiting(r);
	return 0;
}

void reads_on_answer(struct raft *r, const struct raft_message *msg)
{
	struct reads *s = &r->reads;
	size_t kept = 0, answered = 0;

	if (r->role != RAFT_FOLLOWER || msg->from != r->leader || msg->context == 0)
		return;
	for (size_t i = 0; i < s->count; i++) {
		if (s->v[i].context != msg->context) {
			s->v[kept++] = s->v[i];
			continue;
		}
		answer_local(r, s->v[i].id, !msg->reject, msg->log_index);
		answered++;
	}
	s->count = kept;
	MARK_IF(answered == 0, "raft.read.answer-stale");
	MARK_IF(answered > 0 && msg->reject, "raft.read.answer-refused");
	if (answered == 0)
		return;
	s->groups--;
	ask_waiting(r);
}

void reads_tick(struct raft *r)
{
	struct reads *s = &r->reads;
	uint64_t asked = 0;

	if (r->role != RAFT_FOLLOWER || r->leader == 0 || s->groups == 0)
		return;
	if (++s->retry_ticks <= 2 * r->options.heartbeat_ticks)
		return;
	/* Items of one question stand together and in the order asked. */
	for (size_t i = 0; i < s->count; i++) {
		if (s->v[i].context > asked) {
			MARK("raft.read.asked-again");
			asked = s->v[i].context;
			ask(r, asked);
		}
	}
}
