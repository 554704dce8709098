/*
 * check_core.c - what a node's core takes for granted, against its disk and the other nodes.
 *
 *   - what it takes for synced is on its disk, and where its log ends the disk's does
 *   - nothing of a term leaves before the term is on disk; who votes or acknowledges has that there, too
 *   - what a peer is known to hold never gets less within a term
 *   - whoever may read by a lease has all that is committed
 *   - leadership is handed over without a lease
 */
#include "raft/lease.h"
#include "tests/sim/sim.h"

static unsigned long long ull(uint64_t v)
{
	return v;
}

/* ---- disk ---------------------------------------------------------------------------------------------- */

static void check_hard(const struct sim_node *node, const struct raft *r)
{
	const struct raft_hard_state *durable = &r->hard_durable, *disk = &node->shadow.hard;

	if (durable->term > disk->term ||
	    (durable->term == disk->term && durable->vote != 0 && durable->vote != disk->vote))
		sim_fail(node->sim,
			 "node %llu takes term %llu and vote %llu for durable, its disk has %llu "
			 "and %llu",
			 ull(node->id), ull(durable->term), ull(durable->vote), ull(disk->term),
			 ull(disk->vote));
}

/* While an image replaces the log, disk and core change one after the other. */
static void check_synced(const struct sim_node *node, const struct raft *r)
{
	const struct sim_shadow *sh = &node->shadow;
	uint64_t index = r->synced_index;

	if (r->incoming.phase == SNAPSHOT_INSTALLING)
		return;
	if (index > sh->last || (index > max_u64(sh->base, r->tail.base_index) &&
				 sh->terms[index] != raft_term_at(r, index)))
		sim_fail(node->sim, "node %llu takes entry %llu of term %llu for synced, it is not",
			 ull(node->id), ull(index), ull(raft_term_at(r, index)));
	if (index == r->tail.last_index && !r->log_in_flight && sh->last != index)
		sim_fail(node->sim, "node %llu takes its log to end at %llu, its disk has %llu",
			 ull(node->id), ull(index), ull(sh->last));
}

/* Who left and came back is a newcomer. */
static void check_match(struct sim_node *node, const struct raft *r)
{
	for (size_t i = 0; i < ARRAY_SIZE(node->match); i++) {
		const struct progress *p = &r->peers[i];
		bool known = r->role == RAFT_LEADER && i < r->peer_count;

		if (known && node->match_term == r->hard.term && node->match[i].id == p->id &&
		    p->match < node->match[i].match)
			sim_fail(node->sim, "node %llu took %llu for having %llu, and now for %llu",
				 ull(node->id), ull(p->id), ull(node->match[i].match),
				 ull(p->match));
		node->match[i].id = known ? p->id : 0;
		node->match[i].match = known ? p->match : 0;
	}
	node->match_term = r->hard.term;
}

/* ---- leases --------------------------------------------------------------------------------------------- */

/* May it read by itself, were it asked now? Its clock goes on while it stands still. */
static bool holds_lease(const struct sim_node *node)
{
	struct raft *r = node->replica->raft;
	uint64_t stepped_ns = r->now_ns;
	bool holds;

	r->now_ns = max_u64(stepped_ns, node_local_ns(node));
	holds = lease_valid(r);
	r->now_ns = stepped_ns;
	return holds;
}

/* A leader shows what it committed; a member nothing while its log holds more than that. */
static void check_holder(const struct sim_node *node)
{
	const struct sim *s = node->sim;
	const struct raft *r = node->replica->raft;
	uint64_t index = s->commit_last, term = raft_term_at(r, index);
	bool lacks = r->tail.last_index < index || (term != 0 && term != s->commit_term) ||
		     (r->role == RAFT_LEADER && r->commit < index);

	if (lacks && holds_lease(node))
		sim_fail(node->sim,
			 "node %llu may read by a lease, and lacks %llu of term %llu, which is "
			 "committed",
			 ull(node->id), ull(index), ull(s->commit_term));
}

void check_core(struct sim_node *node)
{
	struct sim *s = node->sim;
	const struct raft *r = node->replica->raft;

	check_hard(node, r);
	check_synced(node, r);
	check_match(node, r);
	if (r->commit <= s->commit_last) {
		check_holder(node);
		return;
	}
	s->commit_last = r->commit;
	s->commit_term = raft_term_at(r, r->commit);
	for (size_t i = 1; i <= s->node_count; i++)
		if (s->nodes[i].alive)
			check_holder(&s->nodes[i]);
}

/* ---- messages ------------------------------------------------------------------------------------------- */

static bool is_pre_vote(const struct raft_message *m)
{
	return m->type == RAFT_MSG_PREVOTE || m->type == RAFT_MSG_PREVOTE_RESP;
}

void check_sent(const struct sim_node *node, const struct buf *payload)
{
	const struct sim_shadow *sh = &node->shadow;
	struct raft_message m;

	SIM_CHECK(node->sim, raft_message_decode(&m, payload->data, payload->len) == 0);
	if (m.term > sh->hard.term && !is_pre_vote(&m))
		sim_fail(node->sim, "node %llu speaks in term %llu, its disk has %llu",
			 ull(node->id), ull(m.term), ull(sh->hard.term));
	if (m.type == RAFT_MSG_VOTE_RESP && !m.reject && m.term == sh->hard.term &&
	    sh->hard.vote != m.to)
		sim_fail(node->sim, "node %llu votes for %llu in term %llu, its disk has %llu",
			 ull(node->id), ull(m.to), ull(m.term), ull(sh->hard.vote));
	/* In a later term the log may have been cut again. */
	if (m.type == RAFT_MSG_APPEND_RESP && !m.reject && m.term == sh->hard.term &&
	    m.log_index > sh->last)
		sim_fail(node->sim, "node %llu acknowledges %llu, its disk has %llu", ull(node->id),
			 ull(m.log_index), ull(sh->last));
	if (m.type == RAFT_MSG_TIMEOUT_NOW && holds_lease(node))
		sim_fail(node->sim, "node %llu hands over to %llu, and may read by a lease",
			 ull(node->id), ull(m.to));
	raft_message_release(&m);
}
