/*
 * cluster_rig.h - a deterministic cluster around the core: a network that loses, delays, doubles
 * and reorders, disks that forget what was not synced, and the checks that must always hold.
 *
 * Everything follows from one seed. A node's disk does log work in the order it was handed out; a
 * crash keeps what was completed. The state machine is a hash chain over what was applied, so equal
 * states mean equal sequences. Members may change: nodes 1 to s->n exist, the configurations say who
 * is a member, and a retired node never comes back.
 */
#ifndef TESTS_RAFT_CLUSTER_RIG_H
#define TESTS_RAFT_CLUSTER_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hash.h"
#include "raft/raft_internal.h"

#define SIM_NODES_MAX 12
#define SIM_CONFS_MAX 1024
#define SIM_LOG_MAX 8192
#define SIM_READS_MAX 256

static uint64_t sim_seed;

#define SIM_CHECK(cond)                                                                            \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: '%s' violated; replay: SEED=%llu %s\n",  \
				__FILE__, __LINE__, #cond, (unsigned long long)sim_seed, program_invocation_short_name);          \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

struct sim_slot { /* an entry on disk */
	uint64_t term;
	uint8_t type;
	struct blob *data;
};

struct sim_disk {
	struct raft_hard_state hard;
	uint64_t incarnation;
	uint64_t base, base_term, last;
	struct sim_slot slots[SIM_LOG_MAX];
	uint64_t durable; /* state as of here survives */
	struct raft_conf conf[1];
	struct raft_snapshot_meta image;
};

struct sim_op { /* one output's log work and the messages that rest on it */
	bool has_hard;
	struct raft_hard_state hard;
	struct raft_entry *v;
	size_t count;
	bool work; /* false: only messages that wait for what went before */
	struct raft_message *msgs;
	size_t msg_count;
};

struct sim_packet {
	uint64_t due;
	struct raft_message msg;
};

struct sim_read {
	bool pending;
	uint64_t id, floor;
};

struct sim_node {
	uint64_t id;
	struct raft *raft;
	bool up, retired;
	struct sim_disk disk;
	struct sim_op ops[4096];
	size_t op_head, op_tail;
	uint64_t applied, handed;
	uint64_t commit_seen;
	uint32_t tick_rate, disk_rate; /* per thousand and round; clocks and disks differ */
	uint64_t clock_offset_ns;      /* leases: a clock that shows anything, ... */
	int64_t clock_ppm;             /* ... and runs at its own rate, a round being a millisecond */
	uint64_t paused_until;         /* round; what arrives meanwhile waits */
	uint64_t load_lo, load_hi;
	bool fetching, installing;
	uint64_t fetch_from, fetch_due;
	struct raft_snapshot_meta fetch;
	struct sim_read reads[SIM_READS_MAX];
};

struct sim {
	struct prng prng;
	size_t n;
	struct sim_node node[SIM_NODES_MAX + 1]; /* by id */
	struct sim_packet *net;
	size_t net_count, net_cap;
	uint64_t now;
	bool cut[SIM_NODES_MAX + 1][SIM_NODES_MAX + 1]; /* from, to */
	uint32_t drop, dup, slow;                       /* per thousand */
	uint64_t slow_rounds; /* at most so much later than others */
	bool calm;
	uint32_t calm_tick_rate;
	/* truth */
	uint64_t committed; /* highest anywhere */
	uint64_t committed_term[SIM_LOG_MAX];
	uint64_t committed_in[SIM_LOG_MAX]; /* the term in which that became known */
	uint64_t state[SIM_LOG_MAX];     /* hash chain after applying index; 0 unknown */
	uint64_t leader_of[SIM_LOG_MAX]; /* by term */
	struct raft_conf confs[SIM_CONFS_MAX]; /* applied anywhere, ascending by index */
	size_t conf_count;
	uint64_t next_value, next_read;
	uint64_t reads_ok, reads_local, reads_failed, snapshots_installed, loads, persists;
	struct raft_options options;
};

static bool sim_chance(struct sim *s, uint32_t per_thousand)
{
	return prng_below(&s->prng, 1000) < per_thousand;
}

static void sim_net_push(struct sim *s, struct raft_message *msg, uint64_t due)
{
	if (s->net_count == s->net_cap) {
		s->net_cap = s->net_cap == 0 ? 64 : 2 * s->net_cap;
		s->net = mem_realloc(s->net, s->net_cap * sizeof(s->net[0]));
	}
	s->net[s->net_count].due = due;
	s->net[s->net_count++].msg = *msg;
}

/* By way of the wire, so that every simulated message also tests the codec. */
static struct raft_message sim_copy(const struct raft_message *msg)
{
	struct buf b = BUF_INIT;
	struct raft_message copy = { .type = 0 };
	int ret;

	raft_message_encode(msg, &b);
	ret = raft_message_decode(&copy, b.data, b.len);
	SIM_CHECK(ret == 0);
	buf_release(&b);
	return copy;
}

/* What a message says about its sender's disk must be true when it leaves. */
static void sim_check_promise(const struct sim_node *n, const struct raft_message *m)
{
	const struct sim_disk *d = &n->disk;

	if (m->type != RAFT_MSG_PREVOTE && !(m->type == RAFT_MSG_PREVOTE_RESP && !m->reject))
		SIM_CHECK(d->hard.term >= m->term);
	if (m->type == RAFT_MSG_VOTE && d->hard.term == m->term)
		SIM_CHECK(d->hard.vote == n->id);
	if (m->type == RAFT_MSG_VOTE_RESP && !m->reject && d->hard.term == m->term)
		SIM_CHECK(d->hard.vote == m->to);
	if (m->type == RAFT_MSG_APPEND_RESP && !m->reject && d->hard.term == m->term)
		SIM_CHECK(d->last >= m->log_index);
}

static void sim_transmit(struct sim *s, struct sim_node *n, struct raft_message *m)
{
	sim_check_promise(n, m);
	SIM_CHECK(m->to >= 1 && m->to <= s->n);
	if (!s->cut[n->id][m->to] && !sim_chance(s, s->drop)) {
		uint64_t delay = prng_below(&s->prng, 3);
		struct raft_message copy = sim_copy(m);

		if (sim_chance(s, s->slow))
			delay += prng_below(&s->prng, s->slow_rounds);
		sim_net_push(s, &copy, s->now + delay);
		if (sim_chance(s, s->dup)) {
			copy = sim_copy(m);
			sim_net_push(s, &copy, s->now + delay + prng_below(&s->prng, 60));
		}
	}
	raft_message_release(m);
	*m = (struct raft_message){ .type = 0 };
}

static bool sim_disk_has(const struct sim_disk *d, uint64_t index, uint64_t term)
{
	if (index <= d->base)
		return true;
	return index <= d->last && d->slots[index].term == term;
}

/* The configuration that is in force once index is applied. */
static const struct raft_conf *sim_conf_at(const struct sim *s, uint64_t index)
{
	size_t i = s->conf_count;

	while (i > 0 && s->confs[i - 1].index > index)
		i--;
	return i == 0 ? NULL : &s->confs[i - 1];
}

static void sim_note_conf(struct sim *s, const struct raft_entry *e)
{
	struct raft_conf next = { .count = 0 };

	if (s->conf_count > 0) {
		if (s->confs[s->conf_count - 1].index >= e->index)
			return;
		next = s->confs[s->conf_count - 1];
	}
	SIM_CHECK(s->conf_count < SIM_CONFS_MAX);
	SIM_CHECK(raft_conf_apply(&next, e) == 0);
	/* Into a joint configuration and out of it in turn, and only then into the next. */
	if (s->conf_count > 0)
		SIM_CHECK(raft_conf_joint(&next) != raft_conf_joint(&s->confs[s->conf_count - 1]));
	s->confs[s->conf_count++] = next;
}

/* What is in force in a node follows from what it applied. */
static void sim_check_conf(struct sim *s, const struct sim_node *n)
{
	struct raft_status st;
	const struct raft_conf *want;

	raft_status(n->raft, &st);
	want = sim_conf_at(s, st.applied_index);
	if (want != NULL)
		SIM_CHECK(memcmp(want, raft_conf(n->raft), sizeof(*want)) == 0);
}

static bool sim_on_quorum(const struct sim *s, const struct raft_conf *conf, uint64_t index,
			  uint64_t term)
{
	size_t voters[2] = { 0, 0 }, copies[2] = { 0, 0 };

	for (size_t i = 0; i < conf->count; i++) {
		bool has = sim_disk_has(&s->node[conf->members[i].id].disk, index, term);

		for (size_t half = 0; half < 2; half++) {
			if (!(conf->members[i].role & (half == 0 ? RAFT_VOTER : RAFT_VOTER_OUT)))
				continue;
			voters[half]++;
			copies[half] += has;
		}
	}
	return copies[0] > voters[0] / 2 && (voters[1] == 0 || copies[1] > voters[1] / 2);
}

static void sim_note_commit(struct sim *s, struct sim_node *n)
{
	struct raft_status st;

	raft_status(n->raft, &st);
	for (uint64_t i = n->commit_seen + 1; i <= st.commit_index; i++) {
		uint64_t term = raft_term_at(n->raft, i);

		if (i < st.base_index)
			continue;
		if (i <= s->committed) {
			SIM_CHECK(s->committed_term[i] == term);
			continue;
		}
		/* News to the world: a majority of disks must hold it. */
		SIM_CHECK(sim_on_quorum(s, raft_conf(n->raft), i, term));
		s->committed = i;
		s->committed_term[i] = term;
		s->committed_in[i] = st.term;
	}
	if (st.commit_index > n->commit_seen)
		n->commit_seen = st.commit_index;
	if (st.role == RAFT_LEADER) {
		SIM_CHECK(st.term < SIM_LOG_MAX);
		if (s->leader_of[st.term] == 0) {
			s->leader_of[st.term] = n->id;
			/* What was committed in earlier terms; who stood still may win one that is long over. */
			for (uint64_t i = max_u64(st.base_index, 1); i <= s->committed; i++)
				SIM_CHECK(s->committed_in[i] >= st.term ||
					  raft_term_at(n->raft, i) == s->committed_term[i]);
		}
		SIM_CHECK(s->leader_of[st.term] == n->id);
	}
}

static void sim_step(struct sim *s, struct sim_node *n, const struct raft_input *in);

static void sim_take_apply(struct sim *s, struct sim_node *n, const struct raft_entries *apply)
{
	for (size_t i = 0; i < apply->count; i++) {
		const struct raft_entry *e = &apply->v[i];
		uint64_t lanes[4] = { s->state[e->index - 1], e->term, e->type,
				      e->data == NULL ? 0 : hash64(e->data->data, e->data->len) };
		uint64_t h = hash64(lanes, sizeof(lanes)) | 1;

		SIM_CHECK(e->index == n->handed + 1);
		SIM_CHECK(e->index <= s->committed && s->committed_term[e->index] == e->term);
		SIM_CHECK(s->state[e->index] == 0 || s->state[e->index] == h);
		s->state[e->index] = h;
		n->handed = e->index;
		if (e->type == RAFT_ENTRY_CONF)
			sim_note_conf(s, e);
	}
}

static void sim_take_reads(struct sim *s, struct sim_node *n, const struct raft_output *out)
{
	for (size_t i = 0; i < out->read_count; i++) {
		struct sim_read *r = &n->reads[out->reads[i].id % SIM_READS_MAX];

		SIM_CHECK(r->pending && r->id == out->reads[i].id);
		r->pending = false;
		if (out->reads[i].ok) {
			SIM_CHECK(out->reads[i].index >= r->floor);
			s->reads_ok++;
			s->reads_local += out->reads[i].local;
		} else {
			s->reads_failed++;
		}
	}
}

static void sim_queue_work(struct sim *s, struct sim_node *n, const struct raft_output *out)
{
	struct sim_op *op;

	if (!out->persist_hard_state && out->persist.count == 0 && out->send_when_stored.count == 0)
		return;
	SIM_CHECK(n->op_tail < ARRAY_SIZE(n->ops));
	op = &n->ops[n->op_tail++];
	*op = (struct sim_op){ .has_hard = out->persist_hard_state,
			       .hard = out->hard,
			       .work = out->persist_hard_state || out->persist.count > 0 };
	SIM_CHECK(!op->work || !n->installing);
	s->persists += op->work;
	if (out->persist.count > 0) {
		op->count = out->persist.count;
		op->v = mem_dup(out->persist.v, op->count * sizeof(op->v[0]));
		for (size_t i = 0; i < op->count; i++)
			blob_ref(op->v[i].data);
	}
	if (out->send_when_stored.count > 0) {
		op->msg_count = out->send_when_stored.count;
		op->msgs = mem_dup(out->send_when_stored.v, op->msg_count * sizeof(op->msgs[0]));
		memset(out->send_when_stored.v, 0, op->msg_count * sizeof(op->msgs[0]));
	}
}

static void sim_disk_drop(struct sim_disk *d, uint64_t from, uint64_t to)
{
	for (uint64_t i = from; i <= to; i++) {
		blob_unref(d->slots[i].data);
		d->slots[i] = (struct sim_slot){ .term = 0 };
	}
}

static void sim_cut_prefix(struct sim_node *n, uint64_t to)
{
	struct sim_disk *d = &n->disk;

	if (to == 0)
		return;
	SIM_CHECK(to <= d->image.index && to <= d->durable && to <= d->last);
	if (to <= d->base)
		return;
	d->base_term = d->slots[to].term;
	sim_disk_drop(d, d->base + 1, to);
	d->base = to;
}

static void sim_take_snapshot(struct sim *s, struct sim_node *n, const struct raft_output *out)
{
	switch (out->snapshot.action) {
	case RAFT_SNAPSHOT_NONE:
		break;
	case RAFT_SNAPSHOT_FETCH:
		SIM_CHECK(!n->installing);
		if (n->fetching)
			break; /* as an owner may that fetches one at a time */
		n->fetching = true;
		n->fetch_from = out->snapshot.from;
		n->fetch = *out->snapshot.meta;
		n->fetch_due = s->now + prng_below(&s->prng, 30);
		break;
	case RAFT_SNAPSHOT_ABORT:
		if (sim_chance(s, 500))
			n->fetching = false;
		break;
	case RAFT_SNAPSHOT_INSTALL:
		SIM_CHECK(n->op_head == n->op_tail || !n->ops[n->op_tail - 1].work);
		SIM_CHECK(n->applied == n->handed && out->apply.count == 0);
		n->installing = true;
		n->fetching = false;
		n->fetch = *out->snapshot.meta;
		n->fetch_due = s->now + prng_below(&s->prng, 10);
		break;
	}
}

static int sim_step_ret(struct sim *s, struct sim_node *n, const struct raft_input *in,
			struct raft_output *out)
{
	struct raft_input timed = *in;
	int ret;

	timed.now_ns = n->clock_offset_ns +
		       s->now * (uint64_t)(1000000 + n->clock_ppm);
	ret = raft_step(n->raft, &timed, out);

	raft_check(n->raft);
	sim_note_commit(s, n);
	sim_check_conf(s, n);
	for (size_t i = 0; i < out->send.count; i++)
		sim_transmit(s, n, &out->send.v[i]);
	sim_queue_work(s, n, out);
	sim_take_apply(s, n, &out->apply);
	sim_take_reads(s, n, out);
	sim_take_snapshot(s, n, out);
	sim_cut_prefix(n, out->cut_prefix_to);
	if (out->load.lo != 0) {
		SIM_CHECK(n->load_lo == 0 && out->load.lo <= out->load.hi);
		n->load_lo = out->load.lo;
		n->load_hi = out->load.hi;
		s->loads++;
	}
	return ret;
}

static void sim_step(struct sim *s, struct sim_node *n, const struct raft_input *in)
{
	struct raft_output out;
	int ret = sim_step_ret(s, n, in, &out);

	SIM_CHECK(ret == 0 || (ret == -EAGAIN && in->type == RAFT_IN_PROPOSE));
}

/* The disk finishes some of its queue, in order, and reports it as one group. */
static void sim_disk_work(struct sim *s, struct sim_node *n, size_t max_ops)
{
	struct sim_disk *d = &n->disk;
	bool hard = false, work = false;
	size_t done = 0;

	for (; done < max_ops && n->op_head < n->op_tail; done++) {
		struct sim_op *op = &n->ops[n->op_head++];

		if (op->has_hard) {
			SIM_CHECK(op->hard.term >= d->hard.term);
			d->hard = op->hard;
			hard = true;
		}
		if (op->count > 0) {
			uint64_t first = op->v[0].index;

			SIM_CHECK(first <= d->last + 1 && first > d->base);
			sim_disk_drop(d, first, d->last);
			for (size_t i = 0; i < op->count; i++) {
				SIM_CHECK(op->v[i].index < SIM_LOG_MAX);
				d->slots[op->v[i].index] =
					(struct sim_slot){ .term = op->v[i].term,
							   .type = op->v[i].type,
							   .data = op->v[i].data };
			}
			d->last = first + op->count - 1;
		}
		work = work || op->work;
		for (size_t i = 0; i < op->msg_count; i++)
			sim_transmit(s, n, &op->msgs[i]);
		free(op->v);
		free(op->msgs);
		*op = (struct sim_op){ .count = 0 };
	}
	if (n->op_head == n->op_tail)
		n->op_head = n->op_tail = 0;
	if (work) {
		uint64_t term = d->last == d->base ? d->base_term : d->slots[d->last].term;
		struct raft_input in = { .type = RAFT_IN_PERSISTED,
					 .persisted = { .index = d->last,
							.term = term,
							.level = RAFT_SYNCED,
							.hard_state = hard } };

		sim_step(s, n, &in);
	}
}

static void sim_load_work(struct sim *s, struct sim_node *n)
{
	struct raft_entry v[64];
	size_t count = 0, max = 1 + prng_below(&s->prng, 20);
	struct raft_input in = { .type = RAFT_IN_LOADED };

	for (uint64_t i = n->load_lo; i <= n->load_hi && count < max; i++) {
		if (i <= n->disk.base || i > n->disk.last || sim_chance(s, 20))
			break;
		v[count++] = (struct raft_entry){ .index = i,
						  .term = n->disk.slots[i].term,
						  .type = n->disk.slots[i].type,
						  .data = n->disk.slots[i].data };
	}
	n->load_lo = n->load_hi = 0;
	in.loaded.v = v;
	in.loaded.count = count;
	sim_step(s, n, &in);
}

static void sim_snapshot_work(struct sim *s, struct sim_node *n)
{
	struct raft_input in = { .type = RAFT_IN_SNAPSHOT_FAILED };
	struct raft_snapshot_meta meta = n->fetch;
	struct sim_disk *d = &n->disk;

	in.snapshot.meta = &meta;
	if (n->installing) {
		n->installing = false;
		in.type = RAFT_IN_SNAPSHOT_INSTALLED;
		if (sim_chance(s, 100)) {
			in.snapshot.result = -EIO;
		} else {
			if (sim_disk_has(d, meta.index, meta.term) && meta.index > d->base &&
			    meta.index <= d->last) {
				sim_disk_drop(d, d->base + 1, meta.index);
			} else {
				sim_disk_drop(d, d->base + 1, d->last);
				d->last = meta.index;
			}
			d->base = meta.index;
			d->base_term = meta.term;
			d->durable = n->applied = n->handed = meta.index;
			d->image = meta;
			SIM_CHECK(s->committed >= meta.index &&
				  s->committed_term[meta.index] == meta.term);
			s->snapshots_installed++;
		}
	} else {
		const struct sim_node *from = &s->node[n->fetch_from];

		n->fetching = false;
		if (from->up && from->disk.image.index == meta.index &&
		    !s->cut[n->fetch_from][n->id] && !sim_chance(s, 100))
			in.type = RAFT_IN_SNAPSHOT_RECEIVED;
	}
	sim_step(s, n, &in);
}

static void sim_make_image(struct sim *s, struct sim_node *n)
{
	struct raft_snapshot_meta meta = { .index = n->applied,
					   .term = raft_term_at(n->raft, n->applied) };
	struct raft_input in = { .type = RAFT_IN_SNAPSHOT_CREATED };

	if (n->applied <= n->disk.image.index)
		return;
	meta.size_bytes = n->applied;
	memcpy(meta.root, &s->state[n->applied], sizeof(uint64_t));
	meta.conf = *raft_conf(n->raft);
	n->disk.image = meta;
	in.snapshot.meta = &meta;
	sim_step(s, n, &in);
}

static void sim_apply_work(struct sim *s, struct sim_node *n)
{
	struct raft_input in = { .type = RAFT_IN_APPLIED };

	n->applied += 1 + prng_below(&s->prng, n->handed - n->applied);
	in.applied.index = n->applied;
	sim_step(s, n, &in);
}

static void sim_checkpoint(struct sim *s, struct sim_node *n)
{
	struct raft_input in = { .type = RAFT_IN_DURABLE, .durable = { .index = n->applied } };

	n->disk.durable = n->applied;
	sim_step(s, n, &in);
}

static void sim_node_work(struct sim *s, struct sim_node *n)
{
	struct raft_input tick = { .type = RAFT_IN_TICK };
	bool calm = s->calm;

	if (sim_chance(s, calm ? s->calm_tick_rate : n->tick_rate))
		sim_step(s, n, &tick);
	if (n->op_head < n->op_tail && sim_chance(s, calm ? 1000 : n->disk_rate))
		sim_disk_work(s, n, calm ? SIZE_MAX : 1 + prng_below(&s->prng, 3));
	if (n->load_lo != 0 && sim_chance(s, 500))
		sim_load_work(s, n);
	if ((n->fetching || n->installing) && s->now >= n->fetch_due)
		sim_snapshot_work(s, n);
	if (n->applied < n->handed && sim_chance(s, 500))
		sim_apply_work(s, n);
	if (!n->installing && n->applied > n->disk.durable && sim_chance(s, 50))
		sim_checkpoint(s, n);
	if (!n->installing && sim_chance(s, 20))
		sim_make_image(s, n);
}

static void sim_deliver(struct sim *s)
{
	/* Those due are taken in random order: a swap makes the queue a bag. */
	for (size_t i = 0; i < s->net_count;) {
		struct sim_packet p = s->net[i];
		struct sim_node *to;

		if (p.due > s->now) {
			i++;
			continue;
		}
		s->net[i] = s->net[--s->net_count];
		to = &s->node[p.msg.to];
		if (to->up && s->now < to->paused_until) {
			sim_net_push(s, &p.msg, to->paused_until);
			continue;
		}
		if (to->up && !s->cut[p.msg.from][p.msg.to]) {
			struct raft_input in = { .type = RAFT_IN_MESSAGE, .message = &p.msg };

			sim_step(s, to, &in);
		}
		raft_message_release(&p.msg);
	}
}

static inline void sim_propose(struct sim *s, struct sim_node *n)
{
	struct raft_proposal v[4];
	struct raft_input in = { .type = RAFT_IN_PROPOSE };
	size_t count = 1 + prng_below(&s->prng, 4);

	for (size_t i = 0; i < count; i++) {
		uint8_t data[64] = { 0 };

		store_le64(data, ++s->next_value);
		v[i].type = RAFT_ENTRY_NORMAL;
		v[i].data = blob_from(data, 8 + prng_below(&s->prng, 56));
	}
	in.propose.v = v;
	in.propose.count = count;
	sim_step(s, n, &in);
	for (size_t i = 0; i < count; i++)
		blob_unref(v[i].data);
}

static inline void sim_read(struct sim *s, struct sim_node *n)
{
	struct raft_input in = { .type = RAFT_IN_READ };
	struct sim_read *r = &n->reads[++s->next_read % SIM_READS_MAX];

	if (r->pending)
		return;
	*r = (struct sim_read){ .pending = true, .id = s->next_read, .floor = s->committed };
	in.read.id = r->id;
	sim_step(s, n, &in);
}

static void sim_start(struct sim *s, struct sim_node *n)
{
	struct raft_entry runs[SIM_LOG_MAX];
	uint64_t confs[SIM_CONFS_MAX];
	size_t run_count = 0;
	struct sim_disk *d = &n->disk;
	uint64_t term = 0;
	struct raft_options o = s->options;
	struct err err = ERR_INIT;
	struct raft_boot boot = { .hard = d->hard,
				  .incarnation = ++d->incarnation,
				  .conf = d->conf[0],
				  .base_index = d->base,
				  .base_term = d->base_term,
				  .terms = runs,
				  .confs = confs,
				  .last_index = d->last,
				  .applied_index = d->durable,
				  .durable_index = d->durable,
				  .snapshot = d->image };

	if (sim_conf_at(s, d->durable) != NULL)
		boot.conf = *sim_conf_at(s, d->durable);
	for (uint64_t i = d->base + 1; i <= d->last; i++) {
		if (i == d->base + 1 || d->slots[i].term != term)
			runs[run_count++] =
				(struct raft_entry){ .index = i, .term = d->slots[i].term };
		term = d->slots[i].term;
		if (d->slots[i].type == RAFT_ENTRY_CONF)
			confs[boot.conf_count++] = i;
	}
	boot.term_count = run_count;
	if (boot.snapshot.index > d->durable)
		boot.snapshot = (struct raft_snapshot_meta){ .index = 0 };
	if (boot.snapshot.index == 0)
		d->image.index = 0;
	boot.applied_term = d->durable == d->base ? d->base_term : d->slots[d->durable].term;
	o.self = n->id;
	n->raft = raft_new(&o, &boot, &err);
	if (n->raft == NULL)
		fprintf(stderr, "%s\n", err.text);
	SIM_CHECK(n->raft != NULL);
	n->up = true;
	n->tick_rate = 100 + (uint32_t)prng_below(&s->prng, 900);
	n->disk_rate = 50 + (uint32_t)prng_below(&s->prng, 900);
	n->applied = n->handed = d->durable;
	n->commit_seen = d->durable;
}

static void sim_drop_ops(struct sim_node *n)
{
	for (; n->op_head < n->op_tail; n->op_head++) {
		struct sim_op *op = &n->ops[n->op_head];

		for (size_t i = 0; i < op->count; i++)
			blob_unref(op->v[i].data);
		for (size_t i = 0; i < op->msg_count; i++)
			raft_message_release(&op->msgs[i]);
		free(op->v);
		free(op->msgs);
	}
	n->op_head = n->op_tail = 0;
}

static void sim_crash(struct sim_node *n)
{
	sim_drop_ops(n);
	raft_free(n->raft);
	n->raft = NULL;
	n->up = false;
	n->load_lo = n->load_hi = 0;
	n->fetching = n->installing = false;
	memset(n->reads, 0, sizeof(n->reads));
}

static struct sim_node *sim_leader(struct sim *s)
{
	struct sim_node *best = NULL;
	uint64_t best_term = 0;

	for (uint64_t id = 1; id <= s->n; id++) {
		struct raft_status st;

		if (!s->node[id].up)
			continue;
		raft_status(s->node[id].raft, &st);
		if (st.role == RAFT_LEADER && st.term > best_term) {
			best = &s->node[id];
			best_term = st.term;
		}
	}
	return best;
}

static struct raft_options sim_options(uint64_t seed)
{
	return (struct raft_options){ .group = 7,
				      .seed = seed,
				      .election_ticks = 10,
				      .heartbeat_ticks = 2,
				      .max_message_bytes = 200,
				      .max_inflight_messages = 4,
				      .max_inflight_bytes = 600,
				      .max_uncommitted_bytes = 2000,
				      .max_apply_bytes = 500,
				      .max_cache_bytes = 600,
				      .keep_tail_bytes = 4096 };
}

static inline struct sim *sim_new(size_t n, uint64_t seed)
{
	struct sim *s = mem_calloc(1, sizeof(*s));
	struct raft_conf conf = { .index = 1, .count = n };
	struct buf b = BUF_INIT;

	sim_seed = seed;
	prng_init(&s->prng, seed);
	s->n = n;
	s->slow_rounds = 40;
	s->calm_tick_rate = 1000;
	s->options = sim_options(seed);
	for (size_t i = 0; i < n; i++)
		conf.members[i] = (struct raft_member){ .id = i + 1, .role = RAFT_VOTER };
	raft_conf_encode(&conf, &b);
	for (uint64_t id = 1; id <= n; id++) {
		struct sim_node *node = &s->node[id];

		/* As quorumfs init leaves it: entry 1 is the configuration, written everywhere. */
		node->id = id;
		node->disk.last = 1;
		node->disk.hard.term = 1;
		node->disk.slots[1] = (struct sim_slot){ .term = 1,
							 .type = RAFT_ENTRY_CONF,
							 .data = blob_from(b.data, b.len) };
		node->disk.conf[0] = conf;
	}
	buf_release(&b);
	s->leader_of[1] = UINT64_MAX;
	for (uint64_t id = 1; id <= n; id++)
		sim_start(s, &s->node[id]);
	return s;
}

static void sim_free(struct sim *s)
{
	for (uint64_t id = 1; id <= s->n; id++) {
		if (s->node[id].up)
			sim_crash(&s->node[id]);
		sim_disk_drop(&s->node[id].disk, s->node[id].disk.base + 1, s->node[id].disk.last);
	}
	for (size_t i = 0; i < s->net_count; i++)
		raft_message_release(&s->net[i].msg);
	free(s->net);
	free(s);
}

/* A newcomer: an empty disk and no configuration. */
static inline struct sim_node *sim_add_node(struct sim *s)
{
	struct sim_node *n;

	SIM_CHECK(s->n < SIM_NODES_MAX);
	n = &s->node[++s->n];
	n->id = s->n;
	sim_start(s, n);
	return n;
}

/* Equal (index, term) on two nodes: everything before is equal, too. */
static void sim_check_log_matching(struct sim *s)
{
	for (uint64_t a = 1; a <= s->n; a++) {
		for (uint64_t b = a + 1; b <= s->n; b++) {
			struct raft_status sa, sb;
			bool same = false;

			if (!s->node[a].up || !s->node[b].up)
				continue;
			raft_status(s->node[a].raft, &sa);
			raft_status(s->node[b].raft, &sb);
			for (uint64_t i = min_u64(sa.last_index, sb.last_index);
			     i > 0 && i >= max_u64(sa.base_index, sb.base_index); i--) {
				bool equal = raft_term_at(s->node[a].raft, i) ==
					     raft_term_at(s->node[b].raft, i);

				SIM_CHECK(!same || equal);
				same = same || equal;
			}
		}
	}
}

/* One unit of time. */
static void sim_round(struct sim *s)
{
	s->now++;
	for (uint64_t id = 1; id <= s->n; id++) {
		if (s->node[id].up && s->now >= s->node[id].paused_until)
			sim_node_work(s, &s->node[id]);
	}
	sim_deliver(s);
	if (s->now % 20 == 0)
		sim_check_log_matching(s);
}

#endif
