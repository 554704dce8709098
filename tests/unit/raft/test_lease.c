/* test_lease.c - leases and the commit gate, rule by rule; test_lease_random.c runs them together. */
#include "raft/lease.h"
#include "tests/unit/raft/core_rig.h"

#define MS 1000000ull
#define LEASE (200 * MS)
#define START (1000000 * MS)
/* The longest that a lease of full length can seem to last to another clock: 1.01 / 0.99 of it. */
#define FOREIGN (LEASE + LEASE / 99 * 2 + 1 * MS)

static void with_leases(struct rig *g, size_t voters, uint64_t term, const uint64_t *terms)
{
	rig_prepare(g, voters, term, terms);
	g->options.lease_ns = LEASE;
	g->options.clock_rate_ppm = 10000;
	g->options.tick_ns = 25 * MS;
	g->now_ns = START;
}

/* What the log holds was applied before the start. */
static void all_applied(struct rig *g)
{
	g->boot.applied_index = g->boot.last_index;
	g->boot.applied_term = g->boot.hard.term;
}

/* An answer as a member gives it: its own clock says sent, and it saw the leader's time echo. */
static void answer(struct rig *g, uint64_t from, uint64_t match, uint64_t sent, uint64_t echo)
{
	RECV(g, .type = RAFT_MSG_APPEND_RESP, .from = from, .term = g->r->hard.term,
	     .log_index = match,
	     .lease = { .sent_ns = sent, .echo_ns = echo, .length_ns = LEASE, .wanted = true });
}

/* Leader of 3 or 5 with its NOOP committed; everybody answered at START what was sent then. */
static void lead(struct rig *g, size_t voters)
{
	with_leases(g, voters, 1, NULL);
	rig_boot(g);
	rig_elect(g);
	rig_persist(g);
	for (size_t id = 2; id <= voters; id++)
		answer(g, id, g->r->tail.last_index, 7000 * MS, START);
	rig_applied(g);
	assert_true(rig_status(g).own_term_committed);
}

static const struct raft_message *heartbeat(struct rig *g, uint64_t to)
{
	do
		rig_tick(g, 1);
	while (rig_sent(g, RAFT_MSG_HEARTBEAT, to) == NULL);
	return rig_sent(g, RAFT_MSG_HEARTBEAT, to);
}

static bool leased(const struct rig *g)
{
	return rig_status(g).lease.remaining_ns > 0;
}

/* ---- rule 1: times of sending, echoed ------------------------------------------------------------ */

static void both_sides_carry_their_times_and_echo_the_newest(void **state)
{
	const struct raft_message *m;
	struct rig g;

	lead(&g, 3);
	g.now_ns = START + 30 * MS;
	answer(&g, 2, 1, 7030 * MS, START);
	answer(&g, 2, 1, 7010 * MS, START); /* overtaken on the way */
	m = heartbeat(&g, 2);
	assert_int_equal(m->lease.sent_ns, START + 30 * MS);
	assert_int_equal(m->lease.echo_ns, 7030 * MS);
	assert_int_equal(m->lease.echo_incarnation, 1);
	rig_stop(&g);

	with_leases(&g, 3, 1, NULL);
	rig_boot(&g);
	RECV(&g, .type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 1,
	     .lease = { .sent_ns = 500 * MS, .length_ns = LEASE });
	RECV(&g, .type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 1,
	     .lease = { .sent_ns = 400 * MS, .length_ns = LEASE });
	m = rig_sent(&g, RAFT_MSG_HEARTBEAT_RESP, 2);
	assert_int_equal(m->lease.sent_ns, START);
	assert_int_equal(m->lease.echo_ns, 500 * MS);
	assert_int_equal(m->lease.length_ns, LEASE);
	rig_stop(&g);
}

static void without_leases_nothing_is_sent_about_them(void **state)
{
	struct rig g;

	rig_start(&g, 3, 1, NULL);
	g.now_ns = START;
	rig_lead(&g);
	assert_int_equal(heartbeat(&g, 2)->lease.sent_ns, 0);
	assert_false(leased(&g));
	rig_stop(&g);
}

/* ---- rule 2: the leader's own lease ---------------------------------------------------------------- */

static void the_lease_counts_from_what_a_quorum_echoed_not_from_its_answer(void **state)
{
	struct rig g;

	lead(&g, 5);
	g.now_ns = START + 150 * MS;
	answer(&g, 2, 1, 7150 * MS, START + 100 * MS);
	assert_int_equal(rig_status(&g).lease.remaining_ns,
			 50 * MS); /* two of five are no quorum */
	answer(&g, 3, 1, 7150 * MS, START + 60 * MS);
	assert_int_equal(rig_status(&g).lease.remaining_ns, 110 * MS);
	g.now_ns = START + 259 * MS;
	rig_read(&g, 1);
	assert_true(g.out.read_count == 1 && g.out.reads[0].ok && g.out.reads[0].local);
	g.now_ns = START + 260 * MS;
	rig_read(&g, 2);
	assert_int_equal(g.out.read_count, 0); /* a round is needed */
	assert_int_equal(rig_count_sent(&g, RAFT_MSG_HEARTBEAT, 2), 1);
	rig_stop(&g);
}

static void a_time_from_the_future_is_not_believed(void **state)
{
	struct rig g;

	lead(&g, 3);
	g.now_ns = START + 100 * MS;
	answer(&g, 2, 1, 7100 * MS, START + 900 * MS);
	assert_int_equal(rig_status(&g).lease.remaining_ns, 100 * MS);
	rig_stop(&g);
}

static void both_halves_of_a_joint_configuration_confirm(void **state)
{
	struct rig g;

	with_leases(&g, 5, 1, NULL);
	for (size_t i = 0; i < 5; i++)
		g.boot.conf.members[i].role = i < 3 ? RAFT_VOTER_OUT : RAFT_VOTER;
	g.boot.conf.members[0].role |= RAFT_VOTER;
	g.boot.conf.auto_leave = false;
	rig_boot(&g);
	rig_elect(&g);
	rig_persist(&g);
	answer(&g, 2, 1, 1, START);
	answer(&g, 4, 1, 1, START);
	answer(&g, 5, 1, 1, 0);
	rig_applied(&g);
	assert_int_equal(rig_status(&g).commit_index, 1);
	g.now_ns = START + 100 * MS;
	answer(&g, 2, 1, 2, START + 90 * MS);
	assert_int_equal(rig_status(&g).lease.remaining_ns, 100 * MS);
	answer(&g, 5, 1, 2, START + 50 * MS);
	assert_int_equal(rig_status(&g).lease.remaining_ns, 150 * MS);
	rig_stop(&g);
}

/* ---- rule 3: grants ------------------------------------------------------------------------------- */

static void a_grant_ends_with_the_leaders_own_lease(void **state)
{
	const struct raft_message *m;
	struct rig g;

	lead(&g, 5);
	g.now_ns = START + 120 * MS;
	answer(&g, 2, 1, 7120 * MS, START + 110 * MS); /* alone it confirms nothing */
	m = heartbeat(&g, 2);
	assert_int_equal(m->lease.grant_ns, 80 * MS);
	assert_int_equal(m->lease.grant_index, 1);
	assert_true(rig_status(&g).peers[0].lease_live);
	g.now_ns = START + 201 * MS;
	answer(&g, 2, 1, 7200 * MS, START + 190 * MS);
	assert_int_equal(heartbeat(&g, 2)->lease.grant_ns, 0);
	rig_stop(&g);
}

static void nothing_is_granted_before_an_own_term_commit(void **state)
{
	struct rig g;

	with_leases(&g, 3, 1, TERMS(1));
	all_applied(&g);
	rig_boot(&g);
	rig_elect(&g);
	answer(&g, 2, 1, 7000 * MS, START);
	answer(&g, 3, 1, 7000 * MS, START);
	assert_int_equal(heartbeat(&g, 2)->lease.grant_ns, 0);
	assert_false(leased(&g));
	rig_persist(&g);
	answer(&g, 2, 2, 7001 * MS, START);
	rig_applied(&g);
	assert_true(heartbeat(&g, 2)->lease.grant_ns > 0);
	rig_stop(&g);
}

static void only_who_reads_and_is_nearly_caught_up_is_granted(void **state)
{
	struct rig g;

	lead(&g, 3);
	RECV(&g, .type = RAFT_MSG_APPEND_RESP, .from = 2, .term = 2, .log_index = 1,
	     .lease = { .sent_ns = 7001 * MS, .echo_ns = START, .length_ns = LEASE });
	assert_int_equal(heartbeat(&g, 2)->lease.grant_ns, 0); /* does not read */
	RECV(&g, .type = RAFT_MSG_READ_INDEX, .from = 2, .term = 2, .context = 4);
	assert_true(heartbeat(&g, 2)->lease.grant_ns > 0);
	rig_stop(&g);

	lead(&g, 3);
	RECV(&g, .type = RAFT_MSG_APPEND_RESP, .from = 3, .term = 2, .log_index = 1,
	     .lease = { .sent_ns = 7001 * MS, .echo_ns = START, .length_ns = LEASE });
	g.now_ns += 2 * LEASE;
	for (int i = 0; i < 30; i++) {
		rig_propose(&g, 3);
		rig_persist(&g);
		answer(&g, 2, g.r->tail.last_index, 7001 * MS + (uint64_t)i, g.now_ns);
		rig_applied(&g);
	}
	answer(&g, 3, 1, 7002 * MS, g.now_ns);
	assert_true(heartbeat(&g, 2)->lease.grant_ns > 0);
	assert_int_equal(rig_sent(&g, RAFT_MSG_HEARTBEAT, 3)->lease.grant_ns, 0);
	rig_stop(&g);
}

static void a_members_lease_counts_from_its_own_time_and_needs_the_log(void **state)
{
	struct rig g;

	with_leases(&g, 3, 1, NULL);
	rig_boot(&g);
	RECV(&g, .type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 1,
	     .lease = { .sent_ns = 500 * MS, .length_ns = LEASE });
	g.now_ns = START + 100 * MS;
	RECV(&g, .type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 1,
	     .lease = { .sent_ns = 600 * MS,
			.echo_ns = START,
			.echo_incarnation = 1,
			.length_ns = LEASE,
			.grant_ns = 150 * MS,
			.grant_index = 2 });
	assert_false(leased(&g)); /* the log ends at 0, the grant says 2 */
	rig_append(&g, 2, 1, 0, 0, 1, TERMS(1));
	assert_false(leased(&g));
	rig_append(&g, 2, 1, 1, 1, 2, TERMS(1));
	assert_int_equal(rig_status(&g).lease.remaining_ns, 50 * MS);
	rig_persist(&g);
	rig_read(&g, 1);
	assert_true(g.out.read_count == 1 && g.out.reads[0].local && g.out.reads[0].index == 2);
	assert_int_equal(g.out.send.count, 0);
	g.now_ns = START + 150 * MS;
	rig_read(&g, 2);
	assert_int_equal(g.out.read_count, 0);
	assert_int_equal(rig_count_sent(&g, RAFT_MSG_READ_INDEX, 2), 1);
	rig_stop(&g);
}

/* Entries of a leader that is gone make the log long without making it this leader's. */
static void a_long_log_that_is_not_the_leaders_does_not_serve(void **state)
{
	struct rig g;

	with_leases(&g, 3, 2, TERMS(1, 1, 1, 1));
	rig_boot(&g);
	rig_append(&g, 2, 2, 1, 1, 1, NULL);
	RECV(&g, .type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 2, .commit = 1,
	     .lease = { .sent_ns = 600 * MS,
			.echo_ns = START,
			.echo_incarnation = 1,
			.length_ns = LEASE,
			.grant_ns = 150 * MS,
			.grant_index = 3 });
	assert_false(leased(&g));
	rig_stop(&g);
}

/* ---- rule 4: the commit gate ------------------------------------------------------------------------ */

/* Member 3 gets a lease at START + 10 ms, having sent at 7010 of its clock. */
static void grant_to_three(struct rig *g)
{
	lead(g, 3);
	g->now_ns = START + 10 * MS;
	answer(g, 2, 1, 7010 * MS, START);
	answer(g, 3, 1, 7010 * MS, START);
	assert_true(heartbeat(g, 3)->lease.grant_ns > 0);
	RECV(g, .type = RAFT_MSG_HEARTBEAT_RESP, .from = 2, .term = 2,
	     .lease = { .sent_ns = 7011 * MS, .length_ns = LEASE, .surrendered = true });
	assert_int_equal(rig_status(g).lease.holders, 1);
}

static void a_commit_waits_for_every_holder(void **state)
{
	struct rig g;

	grant_to_three(&g);
	rig_propose(&g, 1);
	rig_persist(&g);
	answer(&g, 2, 2, 7012 * MS, START);
	assert_int_equal(rig_status(&g).commit_index, 1);
	assert_true(rig_status(&g).lease.gate_waiting);
	assert_int_equal(g.out.apply.count, 0);
	answer(&g, 3, 2, 7012 * MS, START);
	assert_int_equal(rig_status(&g).commit_index, 2);
	assert_false(rig_status(&g).lease.gate_waiting);
	rig_stop(&g);
}

static void a_silent_holder_holds_up_for_one_lease_only(void **state)
{
	/* What it last said arrived at START + 10 ms: it may count 200 ms from there, by a slower clock. */
	uint64_t end = START + 10 * MS + LEASE + LEASE / 99 * 2;
	uint64_t stalls;
	struct rig g;

	grant_to_three(&g);
	stalls = rig_status(&g).lease.gate_stalls;
	rig_propose(&g, 1);
	rig_persist(&g);
	answer(&g, 2, 2, 7012 * MS, START + 10 * MS);
	while (g.now_ns < end - 6 * MS) {
		g.now_ns += 5 * MS;
		answer(&g, 2, 2, 7000 * MS + g.now_ns, g.now_ns);
		rig_tick(&g,
			 1); /* its heartbeats go on, nothing is granted for what it does not say */
		assert_int_equal(rig_status(&g).commit_index, 1);
	}
	g.now_ns = end - 10000;
	rig_tick(&g, 1);
	assert_int_equal(rig_status(&g).commit_index, 1);
	g.now_ns = end + 10000;
	rig_tick(&g, 1);
	assert_int_equal(rig_status(&g).commit_index, 2);
	assert_int_equal(rig_status(&g).lease.gate_stalls, stalls + 1);
	rig_stop(&g);
}

static void a_slow_holder_gets_no_lease_for_a_while(void **state)
{
	struct rig g;

	grant_to_three(&g);
	rig_propose(&g, 1);
	rig_persist(&g);
	answer(&g, 2, 2, 7012 * MS, START);
	for (int i = 0; i < 13; i++) { /* it answers, but its disk does not come to an end */
		g.now_ns += 5 * MS;
		answer(&g, 2, 2, 7000 * MS + g.now_ns, g.now_ns);
		answer(&g, 3, 1, 7000 * MS + g.now_ns, g.now_ns);
		rig_tick(&g, 1);
	}
	assert_true(rig_status(&g).peers[1].lease_slow);
	answer(&g, 3, 2, 7000 * MS + g.now_ns + 1, g.now_ns);
	assert_int_equal(rig_status(&g).commit_index, 2);
	assert_int_equal(heartbeat(&g, 3)->lease.grant_ns, 0);
	g.now_ns += LEASE_SLOW_LENGTHS * LEASE;
	answer(&g, 2, 2, 7000 * MS + g.now_ns, g.now_ns);
	answer(&g, 3, 2, 7000 * MS + g.now_ns, g.now_ns);
	assert_true(heartbeat(&g, 3)->lease.grant_ns > 0);
	rig_stop(&g);
}

/* ---- rule 5: a new leader ----------------------------------------------------------------------------- */

static void a_new_leader_waits_for_whoever_did_not_speak_in_its_term(void **state)
{
	struct rig g;

	with_leases(&g, 3, 1, TERMS(1));
	all_applied(&g);
	rig_boot(&g);
	rig_elect(&g); /* with the vote of 2, which is a word in the new term */
	rig_persist(&g);
	answer(&g, 2, 2, 7000 * MS, START);
	assert_int_equal(rig_status(&g).commit_index, 1);
	g.now_ns = START + 1010 * LEASE / 990 - 10000;
	rig_tick(&g, 1);
	assert_int_equal(rig_status(&g).commit_index, 1);
	g.now_ns = START + FOREIGN;
	rig_tick(&g, 1);
	assert_int_equal(rig_status(&g).commit_index, 2);
	rig_stop(&g);

	with_leases(&g, 3, 1, TERMS(1));
	all_applied(&g);
	rig_boot(&g);
	rig_elect(&g);
	rig_persist(&g);
	answer(&g, 2, 2, 7000 * MS, START);
	/* Any word will do, even that it has nothing. */
	RECV(&g, .type = RAFT_MSG_HEARTBEAT_RESP, .from = 3, .term = 2);
	assert_int_equal(rig_status(&g).commit_index, 2);
	rig_stop(&g);
}

static void one_voter_waits_for_nobody(void **state)
{
	struct rig g;

	with_leases(&g, 1, 1, NULL);
	rig_boot(&g);
	rig_tick(&g, 1);
	rig_persist(&g);
	rig_persist(&g);
	assert_int_equal(rig_status(&g).commit_index, 1);
	rig_applied(&g);
	assert_true(leased(&g));
	rig_read(&g, 1);
	assert_true(g.out.read_count == 1 && g.out.reads[0].local);
	rig_stop(&g);
}

static void a_leader_with_unknown_members_waits_a_lease(void **state)
{
	struct rig g;

	with_leases(&g, 1, 1, NULL);
	g.boot.conf.index = 9; /* someone may have left just before the start */
	rig_boot(&g);
	rig_tick(&g, 1);
	rig_persist(&g);
	rig_persist(&g);
	assert_int_equal(rig_status(&g).commit_index, 0);
	g.now_ns = START + FOREIGN;
	rig_tick(&g, 1);
	assert_int_equal(rig_status(&g).commit_index, 1);
	rig_stop(&g);
}

static void a_longer_lease_of_a_predecessor_is_waited_for(void **state)
{
	struct rig g;

	rig_prepare(&g, 3, 1, TERMS(1)); /* leases off here */
	g.now_ns = START;
	rig_boot(&g);
	RECV(&g, .type = RAFT_MSG_HEARTBEAT, .from = 3, .term = 1,
	     .lease = { .sent_ns = 1, .length_ns = LEASE });
	rig_step(&g, (struct raft_input){ .type = RAFT_IN_UNREACHABLE, .peer = { .id = 3 } });
	rig_elect(&g);
	rig_persist(&g);
	rig_ack(&g, 2, 2);
	assert_int_equal(rig_status(&g).commit_index, 0);
	g.now_ns = START + FOREIGN;
	rig_tick(&g, 1);
	assert_int_equal(rig_status(&g).commit_index, 2);
	rig_stop(&g);
}

/* ---- rule 6: a term ends, a process ends ---------------------------------------------------------------- */

static void holder(struct rig *g)
{
	with_leases(g, 3, 1, NULL);
	rig_boot(g);
	rig_append(g, 2, 1, 0, 0, 1, TERMS(1));
	rig_persist(g);
	RECV(g, .type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 1, .commit = 1,
	     .lease = { .sent_ns = 600 * MS,
			.echo_ns = START,
			.echo_incarnation = 1,
			.length_ns = LEASE,
			.grant_ns = 150 * MS,
			.grant_index = 1 });
	assert_true(leased(g));
}

static void a_new_term_ends_the_lease_before_it_is_answered(void **state)
{
	struct rig g;

	holder(&g);
	RECV(&g, .type = RAFT_MSG_VOTE, .from = 3, .term = 2, .log_index = 1, .log_term = 1,
	     .campaign_transfer = true);
	assert_int_equal(g.r->hard.vote, 3);
	assert_false(leased(&g));
	RECV(&g, .type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 1,
	     .lease = { .sent_ns = 700 * MS,
			.echo_ns = START,
			.echo_incarnation = 1,
			.length_ns = LEASE,
			.grant_ns = 190 * MS,
			.grant_index = 1 });
	assert_false(leased(&g));
	rig_stop(&g);
}

static void a_grant_to_an_earlier_process_is_refused(void **state)
{
	struct rig g;

	holder(&g);
	rig_stop(&g);
	with_leases(&g, 3, 1, NULL);
	g.boot.incarnation = 2;
	rig_boot(&g);
	rig_append(&g, 2, 1, 0, 0, 1, TERMS(1));
	RECV(&g, .type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 1, .commit = 1,
	     .lease = { .sent_ns = 600 * MS,
			.echo_ns = START,
			.echo_incarnation = 1,
			.length_ns = LEASE,
			.grant_ns = 150 * MS,
			.grant_index = 1 });
	assert_false(leased(&g));
	RECV(&g, .type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 1, .commit = 1,
	     .lease = { .sent_ns = 600 * MS,
			.echo_ns = START + 1,
			.echo_incarnation = 2,
			.length_ns = LEASE,
			.grant_ns = 150 * MS,
			.grant_index = 1 });
	assert_false(leased(&g)); /* a time that has not been */
	rig_stop(&g);
}

/* ---- rules 7 and 8: what a member may answer ------------------------------------------------------------- */

static void a_member_whose_log_is_ahead_asks(void **state)
{
	struct rig g;

	holder(&g);
	rig_append(&g, 2, 1, 1, 1, 1, TERMS(1)); /* may be shown elsewhere already */
	assert_true(leased(&g));
	rig_read(&g, 1);
	assert_int_equal(g.out.read_count, 0);
	assert_int_equal(rig_count_sent(&g, RAFT_MSG_READ_INDEX, 2), 1);
	RECV(&g, .type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 1, .commit = 2);
	rig_read(&g, 2);
	assert_true(g.out.read_count == 1 && g.out.reads[0].local && g.out.reads[0].index == 2);
	rig_stop(&g);
}

static void a_leader_with_a_lease_answers_questions_at_once(void **state)
{
	struct rig g;

	lead(&g, 3);
	RECV(&g, .type = RAFT_MSG_READ_INDEX, .from = 2, .term = 2, .context = 4);
	assert_int_equal(rig_sent(&g, RAFT_MSG_READ_INDEX_RESP, 2)->log_index, 1);
	assert_int_equal(rig_count_sent(&g, RAFT_MSG_HEARTBEAT, 3), 0);
	rig_stop(&g);
}

/* ---- rule 9: leases end before leadership is handed over --------------------------------------------------- */

static void a_transfer_gives_up_the_lease_first(void **state)
{
	struct rig g;

	lead(&g, 3);
	assert_true(leased(&g));
	rig_step(&g, (struct raft_input){ .type = RAFT_IN_TRANSFER, .peer = { .id = 2 } });
	assert_int_equal(rig_count_sent(&g, RAFT_MSG_TIMEOUT_NOW, 2), 1);
	assert_false(leased(&g));
	assert_int_equal(heartbeat(&g, 3)->lease.grant_ns, 0);
	rig_read(&g, 1);
	assert_int_equal(g.out.read_count, 0);
	rig_stop(&g);
}

static void a_deposed_leader_has_no_lease(void **state)
{
	struct rig g;

	lead(&g, 3);
	RECV(&g, .type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 3);
	assert_false(leased(&g));
	rig_stop(&g);
}

/* ---- giving back, changes of members, settings --------------------------------------------------------------- */

static void a_member_gives_its_lease_back(void **state)
{
	const struct raft_message *m;
	struct rig g;

	holder(&g);
	g.now_ns += 5 * MS;
	rig_step(&g, (struct raft_input){ .type = RAFT_IN_SURRENDER });
	m = rig_sent(&g, RAFT_MSG_HEARTBEAT_RESP, 2);
	assert_true(m->lease.surrendered && m->lease.sent_ns == g.now_ns);
	assert_false(leased(&g));
	RECV(&g, .type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 1, .commit = 1,
	     .lease = { .sent_ns = 610 * MS,
			.echo_ns = START + 5 * MS,
			.echo_incarnation = 1,
			.length_ns = LEASE,
			.grant_ns = 150 * MS,
			.grant_index = 1 });
	assert_false(leased(&g)); /* it was under way meanwhile */
	rig_stop(&g);
}

static void what_was_given_back_no_longer_holds_up_commits(void **state)
{
	struct rig g;

	grant_to_three(&g);
	rig_propose(&g, 1);
	rig_persist(&g);
	answer(&g, 2, 2, 7012 * MS, START);
	RECV(&g, .type = RAFT_MSG_HEARTBEAT_RESP, .from = 3, .term = 2,
	     .lease = { .sent_ns = 7009 * MS, .length_ns = LEASE, .surrendered = true });
	assert_int_equal(rig_status(&g).commit_index, 1); /* older than the grant */
	RECV(&g, .type = RAFT_MSG_HEARTBEAT_RESP, .from = 3, .term = 2,
	     .lease = { .sent_ns = 7013 * MS, .length_ns = LEASE, .surrendered = true });
	assert_int_equal(rig_status(&g).commit_index, 2);
	assert_int_equal(heartbeat(&g, 3)->lease.grant_ns, 0);
	rig_stop(&g);
}

static void no_lease_while_members_change_and_who_left_is_waited_for(void **state)
{
	struct rig g;

	lead(&g, 3);
	g.now_ns += 10 * MS;
	answer(&g, 2, 1, 7010 * MS, START);
	answer(&g, 3, 1, 7010 * MS, START);
	assert_int_equal(rig_change(&g, RAFT_JOINT_AUTO, CHANGES({ .id = 3, .op = RAFT_REMOVE })),
			 RAFT_CONF_APPENDED);
	assert_false(leased(&g));
	assert_int_equal(heartbeat(&g, 3)->lease.grant_ns, 0);
	rig_persist(&g);
	answer(&g, 2, 2, 7011 * MS, START);
	answer(&g, 3, 2, 7011 * MS, START);
	rig_applied(&g); /* the joint one is in force, its end is proposed */
	rig_persist(&g);
	answer(&g, 2, 3, 7012 * MS, START);
	answer(&g, 3, 3, 7012 * MS, START);
	assert_int_equal(rig_status(&g).commit_index, 3);
	rig_applied(&g);
	assert_int_equal(raft_conf(g.r)->count, 2);
	assert_true(leased(&g));
	rig_propose(&g, 1);
	rig_persist(&g);
	answer(&g, 2, 4, 7013 * MS, START);
	assert_int_equal(rig_status(&g).commit_index, 3);
	g.now_ns += FOREIGN;
	rig_tick(&g, 1);
	assert_int_equal(rig_status(&g).commit_index, 4);
	rig_stop(&g);
}

static void members_with_other_settings_end_all_leases(void **state)
{
	struct rig g;

	lead(&g, 3);
	RECV(&g, .type = RAFT_MSG_HEARTBEAT_RESP, .from = 3, .term = 2);
	assert_false(leased(&g));
	assert_true(rig_status(&g).lease.lengths_differ);
	assert_int_equal(heartbeat(&g, 2)->lease.grant_ns, 0);
	rig_stop(&g);
}

static void lengths_that_do_not_fit_are_refused(void **state)
{
	struct err err = ERR_INIT;
	struct rig g;

	with_leases(&g, 3, 1, NULL);
	g.options.tick_ns = 20 * MS; /* 10 ticks of it are not above 200 ms */
	assert_null(raft_new(&g.options, &g.boot, &err));
	g.options.tick_ns = 40 * MS; /* three heartbeats of 2 take 240 ms */
	assert_null(raft_new(&g.options, &g.boot, &err));
	g.options.tick_ns = 25 * MS;
	g.options.clock_rate_ppm = LEASE_RATE_PPM_MAX + 1;
	assert_null(raft_new(&g.options, &g.boot, &err));
	g.options.clock_rate_ppm = 10000;
	g.options.lease_ns = 1000;
	assert_null(raft_new(&g.options, &g.boot, &err));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_sides_carry_their_times_and_echo_the_newest),
		cmocka_unit_test(without_leases_nothing_is_sent_about_them),
		cmocka_unit_test(the_lease_counts_from_what_a_quorum_echoed_not_from_its_answer),
		cmocka_unit_test(a_time_from_the_future_is_not_believed),
		cmocka_unit_test(both_halves_of_a_joint_configuration_confirm),
		cmocka_unit_test(a_grant_ends_with_the_leaders_own_lease),
		cmocka_unit_test(nothing_is_granted_before_an_own_term_commit),
		cmocka_unit_test(only_who_reads_and_is_nearly_caught_up_is_granted),
		cmocka_unit_test(a_members_lease_counts_from_its_own_time_and_needs_the_log),
		cmocka_unit_test(a_long_log_that_is_not_the_leaders_does_not_serve),
		cmocka_unit_test(a_commit_waits_for_every_holder),
		cmocka_unit_test(a_silent_holder_holds_up_for_one_lease_only),
		cmocka_unit_test(a_slow_holder_gets_no_lease_for_a_while),
		cmocka_unit_test(a_new_leader_waits_for_whoever_did_not_speak_in_its_term),
		cmocka_unit_test(one_voter_waits_for_nobody),
		cmocka_unit_test(a_leader_with_unknown_members_waits_a_lease),
		cmocka_unit_test(a_longer_lease_of_a_predecessor_is_waited_for),
		cmocka_unit_test(a_new_term_ends_the_lease_before_it_is_answered),
		cmocka_unit_test(a_grant_to_an_earlier_process_is_refused),
		cmocka_unit_test(a_member_whose_log_is_ahead_asks),
		cmocka_unit_test(a_leader_with_a_lease_answers_questions_at_once),
		cmocka_unit_test(a_transfer_gives_up_the_lease_first),
		cmocka_unit_test(a_deposed_leader_has_no_lease),
		cmocka_unit_test(a_member_gives_its_lease_back),
		cmocka_unit_test(what_was_given_back_no_longer_holds_up_commits),
		cmocka_unit_test(no_lease_while_members_change_and_who_left_is_waited_for),
		cmocka_unit_test(members_with_other_settings_end_all_leases),
		cmocka_unit_test(lengths_that_do_not_fit_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
