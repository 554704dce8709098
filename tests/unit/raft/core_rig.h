/*
 * core_rig.h - one core, driven input by input, its output looked at after each.
 *
 * The rig steps, checks the invariants, and keeps the output until the next step. It persists
 * nothing by itself: rig_persist() reports all that was handed out as SYNCED.
 */
#ifndef TESTS_RAFT_CORE_RIG_H
#define TESTS_RAFT_CORE_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "raft/raft_internal.h"
#include "raft/snapshot.h"

#define RIG_LOG_MAX 64

struct rig {
	struct raft_options options;
	struct raft_boot boot;
	struct raft_entry runs[RIG_LOG_MAX];
	struct raft *r;
	struct raft_output out;
	int ret;
	/* what was handed out for apply since the start */
	uint64_t handed;
	uint64_t now_ns; /* the core's clock */
};

static inline struct raft_conf rig_conf(size_t voters)
{
	struct raft_conf conf = { .index = 0, .count = voters };

	for (size_t i = 0; i < voters; i++)
		conf.members[i] = (struct raft_member){ .id = i + 1, .role = RAFT_VOTER };
	return conf;
}

/* Self is 1; the log holds entries of these terms from index 1 on, ended by 0. */
static inline void rig_prepare(struct rig *g, size_t voters, uint64_t term, const uint64_t *terms)
{
	uint64_t last_term = 0;

	*g = (struct rig){ .ret = 0 };
	g->options = (struct raft_options){ .self = 1,
					    .group = 0,
					    .seed = 5,
					    .election_ticks = 10,
					    .heartbeat_ticks = 2,
					    .max_message_bytes = 1000,
					    .max_inflight_messages = 3,
					    .max_inflight_bytes = 100000,
					    .max_uncommitted_bytes = 100000,
					    .max_apply_bytes = 100000,
					    .max_cache_bytes = 100000,
					    .keep_tail_bytes = 0 };
	g->boot = (struct raft_boot){ .hard = { .term = term },
				      .incarnation = 1,
				      .conf = rig_conf(voters),
				      .terms = g->runs };
	for (size_t i = 0; terms != NULL && terms[i] != 0; i++) {
		if (terms[i] != last_term)
			g->runs[g->boot.term_count++] =
				(struct raft_entry){ .index = i + 1, .term = terms[i] };
		last_term = terms[i];
		g->boot.last_index = i + 1;
	}
}

static inline void rig_boot(struct rig *g)
{
	struct err err = ERR_INIT;

	g->r = raft_new(&g->options, &g->boot, &err);
	if (g->r == NULL)
		fail_msg("%s", err.text);
	raft_check(g->r);
	g->handed = g->boot.applied_index;
}

static inline void rig_start(struct rig *g, size_t voters, uint64_t term, const uint64_t *terms)
{
	rig_prepare(g, voters, term, terms);
	rig_boot(g);
}

static inline void rig_stop(struct rig *g)
{
	raft_free(g->r);
	g->r = NULL;
}

static inline int rig_step(struct rig *g, struct raft_input in)
{
	in.now_ns = g->now_ns;
	g->ret = raft_step(g->r, &in, &g->out);
	raft_check(g->r);
	for (size_t i = 0; i < g->out.apply.count; i++)
		assert_int_equal(g->out.apply.v[i].index, ++g->handed);
	return g->ret;
}

static inline void rig_tick(struct rig *g, int count)
{
	for (int i = 0; i < count; i++)
		assert_int_equal(rig_step(g, (struct raft_input){ .type = RAFT_IN_TICK }), 0);
}

/* Fills to and incarnation; entries are moved out or freed. */
static inline int rig_recv(struct rig *g, struct raft_message m)
{
	struct raft_message msg = m;
	int ret;

	if (msg.to == 0)
		msg.to = 1;
	if (msg.incarnation == 0)
		msg.incarnation = 1;
	ret = rig_step(g, (struct raft_input){ .type = RAFT_IN_MESSAGE, .message = &msg });
	raft_message_release(&msg);
	return ret;
}

#define RECV(g, ...) rig_recv(g, (struct raft_message){ __VA_ARGS__ })

/* Entries of these terms after prev, ended by 0; each with len payload bytes. */
static inline int rig_append(struct rig *g, uint64_t from, uint64_t term, uint64_t prev,
			     uint64_t prev_term, uint64_t commit, const uint64_t *terms)
{
	struct raft_message m = { .type = RAFT_MSG_APPEND,
				  .from = from,
				  .term = term,
				  .log_index = prev,
				  .log_term = prev_term,
				  .commit = commit };

	while (terms != NULL && terms[m.entry_count] != 0)
		m.entry_count++;
	if (m.entry_count > 0)
		m.entries = mem_calloc(m.entry_count, sizeof(m.entries[0]));
	for (size_t i = 0; i < m.entry_count; i++)
		m.entries[i] = (struct raft_entry){ .index = prev + 1 + i,
						    .term = terms[i],
						    .type = RAFT_ENTRY_NORMAL,
						    .data = blob_from("x", 1) };
	return rig_recv(g, m);
}

#define TERMS(...) ((const uint64_t[]){ __VA_ARGS__, 0 })

static inline int rig_persisted(struct rig *g, uint64_t index, uint64_t term, bool hard)
{
	return rig_step(g, (struct raft_input){ .type = RAFT_IN_PERSISTED,
						.persisted = { .index = index,
							       .term = term,
							       .level = RAFT_SYNCED,
							       .hard_state = hard } });
}

static inline void rig_persist(struct rig *g)
{
	uint64_t last = g->r->persist_next - 1;

	assert_int_equal(rig_persisted(g, last, raft_term_at(g->r, last), g->r->hard_in_flight), 0);
}

static inline int rig_propose_bytes(struct rig *g, size_t count, size_t len)
{
	struct raft_proposal v[32];
	int ret;

	for (size_t i = 0; i < count; i++) {
		v[i] = (struct raft_proposal){ .type = RAFT_ENTRY_NORMAL, .data = blob_new(len) };
		memset(v[i].data->data, 7, len);
	}
	ret = rig_step(g, (struct raft_input){ .type = RAFT_IN_PROPOSE,
					       .propose = { .v = v, .count = count } });
	for (size_t i = 0; i < count; i++)
		blob_unref(v[i].data);
	return ret;
}

static inline int rig_propose(struct rig *g, size_t count)
{
	return rig_propose_bytes(g, count, 1);
}

/* One change of members; ops pair up with ids, ended by an id of 0. */
static inline enum raft_conf_result rig_change(struct rig *g, uint8_t transition,
					       const struct raft_change *v)
{
	struct raft_conf_change change = { .transition = transition };

	for (; v != NULL && v[change.count].id != 0; change.count++)
		change.v[change.count] = v[change.count];
	assert_int_equal(rig_step(g, (struct raft_input){ .type = RAFT_IN_CONF_CHANGE,
							  .conf_change = { &change } }),
			 0);
	return g->out.conf_result;
}

#define CHANGES(...) ((const struct raft_change[]){ __VA_ARGS__, { .id = 0 } })

static inline void rig_read(struct rig *g, uint64_t id)
{
	assert_int_equal(
		rig_step(g, (struct raft_input){ .type = RAFT_IN_READ, .read = { .id = id } }), 0);
}

static inline void rig_applied(struct rig *g)
{
	rig_step(g,
		 (struct raft_input){ .type = RAFT_IN_APPLIED, .applied = { .index = g->handed } });
}

/* The first message of that type (to that node, unless 0), from either list; NULL: none. */
static inline const struct raft_message *rig_sent(const struct rig *g, uint8_t type, uint64_t to)
{
	const struct raft_messages *lists[] = { &g->out.send, &g->out.send_when_stored };

	for (size_t k = 0; k < 2; k++) {
		for (size_t i = 0; i < lists[k]->count; i++) {
			const struct raft_message *m = &lists[k]->v[i];

			if (m->type == type && (to == 0 || m->to == to))
				return m;
		}
	}
	return NULL;
}

static inline size_t rig_count_sent(const struct rig *g, uint8_t type, uint64_t to)
{
	size_t count = 0;

	for (size_t i = 0; i < g->out.send.count; i++)
		count += g->out.send.v[i].type == type && g->out.send.v[i].to == to;
	for (size_t i = 0; i < g->out.send_when_stored.count; i++)
		count += g->out.send_when_stored.v[i].type == type &&
			 g->out.send_when_stored.v[i].to == to;
	return count;
}

static inline struct raft_status rig_status(const struct rig *g)
{
	struct raft_status st;

	raft_status(g->r, &st);
	return st;
}

/* Pre-vote and vote won with the others' help; the NOOP is handed out, not yet persisted. */
static inline void rig_elect(struct rig *g)
{
	uint64_t term = g->r->hard.term;

	rig_step(g, (struct raft_input){ .type = RAFT_IN_CAMPAIGN });
	for (size_t id = 2; id <= g->r->conf.count && g->r->role == RAFT_PRE_CANDIDATE; id++)
		RECV(g, .type = RAFT_MSG_PREVOTE_RESP, .from = id, .term = term + 1);
	assert_int_equal(g->r->role, RAFT_CANDIDATE);
	rig_persist(g);
	for (size_t id = 2; id <= g->r->conf.count && g->r->role == RAFT_CANDIDATE; id++)
		RECV(g, .type = RAFT_MSG_VOTE_RESP, .from = id, .term = term + 1);
	assert_int_equal(g->r->role, RAFT_LEADER);
}

static inline int rig_ack(struct rig *g, uint64_t from, uint64_t match)
{
	return RECV(g, .type = RAFT_MSG_APPEND_RESP, .from = from, .term = g->r->hard.term,
		    .log_index = match);
}

/* Leader with its NOOP committed and everybody caught up. */
static inline void rig_lead(struct rig *g)
{
	rig_elect(g);
	rig_persist(g);
	for (size_t id = 2; id <= g->r->conf.count; id++)
		rig_ack(g, id, g->r->tail.last_index);
	rig_applied(g);
}

static inline struct raft_snapshot_meta rig_meta(uint64_t index, uint64_t term, size_t voters)
{
	return (struct raft_snapshot_meta){ .index = index,
					    .term = term,
					    .conf = rig_conf(voters) };
}

#endif
