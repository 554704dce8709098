/*
 * test_paper.c - sentences and figures of the Raft paper as tables (section 5; etcd/raft keeps the
 * same ones in raft_paper_test.go and raft_test.go).
 */
#include "tests/unit/raft/core_rig.h"

/* Entries of these terms, ended by 0, as the log of a core that was just started. */
static void start(struct rig *g, uint64_t self, uint64_t term, const uint64_t *terms)
{
	rig_prepare(g, 3, term, terms);
	g->options.self = self;
	g->options.max_message_bytes = 100;
	rig_boot(g);
}

/* 5.2: a server votes for at most one candidate in a term, first come, first served. */
static void a_vote_is_given_once_per_term(void **state)
{
	static const struct {
		uint64_t voted_for, asks;
		bool granted;
	} cases[] = {
		{ 0, 2, true }, { 0, 3, true },  { 2, 2, true },
		{ 3, 3, true }, { 2, 3, false }, { 3, 2, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct raft_message *answer;
		struct rig g;

		rig_prepare(&g, 3, 1, NULL);
		g.boot.hard.vote = cases[i].voted_for;
		rig_boot(&g);
		RECV(&g, .type = RAFT_MSG_VOTE, .from = cases[i].asks, .term = 1);
		rig_persist(&g);
		answer = rig_sent(&g, RAFT_MSG_VOTE_RESP, cases[i].asks);
		assert_int_equal(g.r->hard.vote == cases[i].asks, cases[i].granted);
		assert_true(answer == NULL || answer->reject == !cases[i].granted);
		rig_stop(&g);
	}
}

/* 5.4.1: the voter denies its vote if its own log is more up to date. */
static void the_more_up_to_date_log_is_not_voted_down(void **state)
{
	static const struct {
		uint64_t terms[3], log_term, log_index;
		bool granted;
	} cases[] = {
		/* the same term: the longer log */
		{ { 1 }, 1, 1, true },
		{ { 1 }, 1, 2, true },
		{ { 1, 1 }, 1, 1, false },
		/* the candidate's last term is higher */
		{ { 1 }, 2, 1, true },
		{ { 1 }, 2, 2, true },
		{ { 1, 1 }, 2, 1, true },
		/* the voter's is */
		{ { 2 }, 1, 1, false },
		{ { 2 }, 1, 2, false },
		{ { 1, 2 }, 1, 1, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct rig g;

		start(&g, 1, 2, cases[i].terms);
		RECV(&g, .type = RAFT_MSG_VOTE, .from = 2, .term = 3, .log_term = cases[i].log_term,
		     .log_index = cases[i].log_index);
		assert_int_equal(g.r->hard.vote == 2, cases[i].granted);
		rig_stop(&g);
	}
}

/* 5.2: how many votes make a leader, and how many refusals unmake a candidate. */
static void a_majority_decides_an_election(void **state)
{
	static const struct {
		size_t voters, grants, refusals;
		enum raft_role role;
	} cases[] = {
		{ 3, 1, 0, RAFT_LEADER },    { 3, 0, 2, RAFT_FOLLOWER },
		{ 3, 0, 1, RAFT_CANDIDATE }, { 5, 4, 0, RAFT_LEADER },
		{ 5, 2, 2, RAFT_LEADER },    { 5, 1, 2, RAFT_CANDIDATE },
		{ 5, 1, 3, RAFT_FOLLOWER },  { 5, 0, 4, RAFT_FOLLOWER },
		{ 5, 0, 2, RAFT_CANDIDATE }, { 7, 3, 3, RAFT_LEADER },
		{ 4, 1, 1, RAFT_CANDIDATE }, { 4, 1, 2, RAFT_FOLLOWER },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t id = 2;
		struct rig g;

		rig_start(&g, cases[i].voters, 1, NULL);
		rig_step(&g, (struct raft_input){ .type = RAFT_IN_CAMPAIGN });
		for (uint64_t k = 2; g.r->role == RAFT_PRE_CANDIDATE; k++)
			RECV(&g, .type = RAFT_MSG_PREVOTE_RESP, .from = k, .term = 2);
		rig_persist(&g);
		for (size_t k = 0; k < cases[i].grants && g.r->role == RAFT_CANDIDATE; k++)
			RECV(&g, .type = RAFT_MSG_VOTE_RESP, .from = id++, .term = 2);
		for (size_t k = 0; k < cases[i].refusals && g.r->role == RAFT_CANDIDATE; k++)
			RECV(&g, .type = RAFT_MSG_VOTE_RESP, .from = id++, .term = 2,
			     .reject = true);
		assert_int_equal(g.r->role, cases[i].role);
		rig_stop(&g);
	}
}

/* A core and what it has sent to the other one. */
struct side {
	struct rig g;
	struct raft_message sent[64];
	size_t count;
};

static void collect(struct side *s, uint64_t to)
{
	struct raft_messages *lists[] = { &s->g.out.send, &s->g.out.send_when_stored };

	for (size_t k = 0; k < 2; k++) {
		for (size_t i = 0; i < lists[k]->count; i++) {
			struct raft_message *m = &lists[k]->v[i];

			if (m->to != to)
				continue;
			assert_true(s->count < ARRAY_SIZE(s->sent));
			s->sent[s->count++] = *m;
			*m = (struct raft_message){ .type = 0 };
		}
	}
}

/* Everything that is under way from one to the other; answers are collected. */
static void pump(struct side *from, struct side *to)
{
	for (size_t i = 0; i < from->count; i++) {
		struct raft_input in = { .type = RAFT_IN_MESSAGE, .message = &from->sent[i] };

		assert_int_equal(rig_step(&to->g, in), 0);
		raft_message_release(&from->sent[i]);
		collect(to, from->g.options.self);
	}
	from->count = 0;
}

/* A leader asks for its own old entries as the core of any node does: they are on its disk. */
static void serve_load(struct rig *g, const uint64_t *terms)
{
	struct raft_entry v[32];
	size_t count = 0;

	for (uint64_t i = g->r->load_lo; i != 0 && i <= g->r->load_hi; i++)
		v[count++] = (struct raft_entry){ .index = i,
						  .term = terms[i - 1],
						  .type = RAFT_ENTRY_NORMAL,
						  .data = blob_from("x", 1) };
	if (count == 0)
		return;
	rig_step(g, (struct raft_input){ .type = RAFT_IN_LOADED,
					 .loaded = { .v = v, .count = count } });
	for (size_t i = 0; i < count; i++)
		blob_unref(v[i].data);
}

/* Figure 7: whatever a follower's log looks like, it ends as the leader's. */
static void a_leader_makes_every_log_of_figure_7_its_own(void **state)
{
	static const uint64_t leader_log[] = { 1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 0 };
	static const uint64_t followers[][14] = {
		{ 1, 1, 1, 4, 4, 5, 5, 6, 6 },
		{ 1, 1, 1, 4 },
		{ 1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6 },
		{ 1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7 },
		{ 1, 1, 1, 4, 4, 4, 4 },
		{ 1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(followers); i++) {
		struct side l = { .count = 0 }, f = { .count = 0 };
		int rounds = 0;

		start(&l.g, 1, 7, leader_log);
		start(&f.g, 2, 7, followers[i]);
		rig_elect(&l.g);
		collect(&l, 2);
		while (raft_term_at(f.g.r, 11) != 8 && ++rounds < 40) {
			pump(&l, &f);
			rig_persist(&f.g);
			collect(&f, 1);
			pump(&f, &l);
			serve_load(&l.g, leader_log);
			collect(&l, 2);
		}
		assert_int_equal(f.g.r->tail.last_index, 11);
		for (uint64_t k = 1; k <= 11; k++)
			assert_int_equal(raft_term_at(f.g.r, k), raft_term_at(l.g.r, k));
		/* With hints, not index by index: at most one question for each term. */
		assert_true(rounds <= 8);
		for (size_t k = 0; k < f.count; k++)
			raft_message_release(&f.sent[k]);
		for (size_t k = 0; k < l.count; k++)
			raft_message_release(&l.sent[k]);
		rig_stop(&l.g);
		rig_stop(&f.g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_vote_is_given_once_per_term),
		cmocka_unit_test(the_more_up_to_date_log_is_not_voted_down),
		cmocka_unit_test(a_majority_decides_an_election),
		cmocka_unit_test(a_leader_makes_every_log_of_figure_7_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
