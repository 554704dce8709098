/* membership.c - see membership.h. */
#include "raft/membership.h"

#include "raft/lease.h"

static bool role_valid(uint8_t role)
{
	switch (role) {
	case RAFT_VOTER:
	case RAFT_VOTER_OUT:
	case RAFT_VOTER | RAFT_VOTER_OUT:
	case RAFT_LEARNER:
	case RAFT_VOTER_OUT | RAFT_LEARNER_NEXT:
		return true;
	default:
		return false;
	}
}

bool conf_valid(const struct raft_conf *conf)
{
	uint64_t last = 0;

	if (conf->count > RAFT_NODES_MAX)
		return false;
	for (size_t i = 0; i < conf->count; i++) {
		const struct raft_member *m = &conf->members[i];

		if (m->id <= last || !role_valid(m->role) ||
		    memchr(m->address, 0, sizeof(m->address)) == NULL)
			return false;
		last = m->id;
	}
	return true;
}

bool conf_member_votes(const struct raft_member *member)
{
	return (member->role & (RAFT_VOTER | RAFT_VOTER_OUT)) != 0;
}

const struct raft_member *raft_conf_find(const struct raft_conf *conf, uint64_t id)
{
	for (size_t i = 0; i < conf->count; i++) {
		if (conf->members[i].id == id)
			return &conf->members[i];
	}
	return NULL;
}

void membership_set(struct raft *r, const struct raft_conf *conf)
{
	struct progress old[RAFT_NODES_MAX];
	size_t old_count = r->peer_count;

	assert(conf_valid(conf));
	memcpy(old, r->peers, sizeof(old));
	r->peer_count = 0;
	for (size_t i = 0; i < conf->count; i++) {
		struct progress *p = &r->peers[r->peer_count];
		bool found = false;

		if (conf->members[i].id == r->options.self)
			continue;
		for (size_t k = 0; k < old_count && !found; k++) {
			found = old[k].id == conf->members[i].id;
			if (found) {
				*p = old[k];
				old[k].inflights.ring = NULL;
			}
		}
		if (!found) {
			progress_init(p, conf->members[i].id, max_u64(r->tail.last_index, 1),
				      r->options.max_inflight_messages,
				      r->options.max_inflight_bytes);
			/* A newcomer counts as active now, else it could fail check-quorum at once. */
			p->recent_active = true;
			p->heard_tick = r->now_ticks;
		}
		r->peer_count++;
	}
	for (size_t k = 0; k < old_count; k++) {
		if (raft_conf_find(conf, old[k].id) == NULL)
			lease_peer_left(r);
		progress_release(&old[k]);
	}
	if (conf != &r->conf)
		r->conf = *conf;
}

bool membership_self_votes(const struct raft *r)
{
	const struct raft_member *self = raft_conf_find(&r->conf, r->options.self);

	return self != NULL && conf_member_votes(self);
}

bool membership_sole_voter(const struct raft *r)
{
	size_t voters = 0;

	for (size_t i = 0; i < r->conf.count; i++)
		voters += conf_member_votes(&r->conf.members[i]);
	return voters == 1 && membership_self_votes(r);
}

static const struct progress *peer_of(const struct raft *r, uint64_t id)
{
	for (size_t i = 0; i < r->peer_count; i++) {
		if (r->peers[i].id == id)
			return &r->peers[i];
	}
	return NULL;
}

uint64_t membership_commit(const struct raft *r)
{
	uint64_t in[RAFT_NODES_MAX], out[RAFT_NODES_MAX];
	size_t in_count = 0, out_count = 0;

	for (size_t i = 0; i < r->conf.count; i++) {
		const struct raft_member *m = &r->conf.members[i];
		/* Our own copy counts like a peer's, once it is synced, and may be the last to be. */
		uint64_t match =
			m->id == r->options.self ? r->synced_index : peer_of(r, m->id)->match;

		if (m->role & RAFT_VOTER)
			in[in_count++] = match;
		if (m->role & RAFT_VOTER_OUT)
			out[out_count++] = match;
	}
	return in_count + out_count == 0 ? 0 : quorum_commit_joint(in, in_count, out, out_count);
}

/* One vote per member and half, self included. */
static enum vote_result
count_votes(const struct raft *r, const struct raft_conf *conf, enum vote self,
	    enum vote (*of)(const struct raft *, const struct progress *, const void *),
	    const void *ctx)
{
	enum vote in[RAFT_NODES_MAX], out[RAFT_NODES_MAX];
	size_t in_count = 0, out_count = 0;

	for (size_t i = 0; i < conf->count; i++) {
		const struct raft_member *m = &conf->members[i];
		const struct progress *p = peer_of(r, m->id);
		enum vote v = m->id == r->options.self ? self
			      : p == NULL              ? VOTE_REJECTED
						       : of(r, p, ctx);

		if (m->role & RAFT_VOTER)
			in[in_count++] = v;
		if (m->role & RAFT_VOTER_OUT)
			out[out_count++] = v;
	}
	if (in_count + out_count == 0)
		return VOTE_LOST;
	return quorum_vote_joint(in, in_count, out, out_count);
}

static enum vote vote_of(const struct raft *r, const struct progress *p, const void *ctx)
{
	(void)r;
	(void)ctx;
	return p->vote;
}

enum vote_result membership_tally(const struct raft *r, const struct raft_conf *conf)
{
	return count_votes(r, conf, r->self_vote, vote_of, NULL);
}

struct predicate {
	bool (*fn)(const struct raft *r, const struct progress *p);
};

static enum vote predicate_of(const struct raft *r, const struct progress *p, const void *ctx)
{
	const struct predicate *pred = ctx;

	return pred->fn(r, p) ? VOTE_GRANTED : VOTE_REJECTED;
}

bool membership_quorum_of(const struct raft *r, const struct raft_conf *conf,
			  bool (*fn)(const struct raft *r, const struct progress *p))
{
	struct predicate pred = { .fn = fn };

	return count_votes(r, conf, VOTE_GRANTED, predicate_of, &pred) == VOTE_WON;
}

bool membership_quorum(const struct raft *r,
		       bool (*fn)(const struct raft *r, const struct progress *p))
{
	return membership_quorum_of(r, &r->conf, fn);
}
