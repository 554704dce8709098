/*
 * net.c - links between nodes: connections that open, clog, break and come back.
 *
 * What a connection carries arrives in order or not at all, as with TCP, except for the messages of the
 * core: the core promises to bear loss, copies and disorder, so it gets them. A cut way holds what is
 * sent; when it heals in time all of that arrives, else the connection breaks and it is gone.
 */
#include <stdlib.h>

#include "base/hash.h"
#include "tests/sim/seams.h"

#define BACKOFF_MIN_NS (50 * SIM_MS)
#define BACKOFF_MAX_NS SIM_S

enum { PEER_OPENS, PEER_BREAKS, PEER_BREAKS_IF_CUT };

static struct sim_link *link_of(struct sim *s, uint64_t from, uint64_t to)
{
	return &s->links[from][to];
}

static uint64_t delay(struct sim *s)
{
	uint64_t d = sim_between(s, RND_NET, s->swarm.delay_min_ns, s->swarm.delay_max_ns);

	/* Now and then a packet is sent again. */
	return sim_chance(s, RND_NET, 5) ? d + sim_between(s, RND_NET, 0, 200 * SIM_MS) : d;
}

void net_init(struct sim *s)
{
	for (size_t a = 0; a <= SIM_NODES_MAX; a++)
		for (size_t b = 0; b <= SIM_NODES_MAX; b++)
			list_init(&s->links[a][b].held);
}

static void drop_held(struct sim_link *l)
{
	list_for_each_safe (it, &l->held) {
		list_del(it);
		event_free(list_entry(it, struct sim_event, link));
	}
}

void net_release(struct sim *s)
{
	for (size_t a = 0; a <= SIM_NODES_MAX; a++)
		for (size_t b = 0; b <= SIM_NODES_MAX; b++)
			drop_held(&s->links[a][b]);
}

bool net_reachable(struct sim *s, uint64_t a, uint64_t b)
{
	return s->nodes[a].alive && s->nodes[b].alive && !link_of(s, a, b)->cut &&
	       !link_of(s, b, a)->cut;
}

/* ---- frames ----------------------------------------------------------------------------------------- */

static void send_copy(struct sim_node *from, uint64_t to, uint8_t type, const struct buf *payload,
		      uint64_t at)
{
	struct sim *s = from->sim;
	struct sim_link *l = link_of(s, from->id, to);
	struct sim_event *e;

	e = sim_at(s, at, SIM_EV_FRAME, &s->nodes[to]);
	e->a = from->id;
	e->b = l->epoch;
	e->c = type;
	buf_put(&e->payload, payload->data, payload->len);
}

void net_send(struct sim_node *from, uint64_t to, uint8_t type, struct buf *payload)
{
	struct sim *s = from->sim;
	struct sim_link *l = link_of(s, from->id, to);
	uint64_t at = s->now + delay(s);
	bool core = type == NET_RAFT;

	if (!l->open || !s->nodes[to].alive) {
		buf_release(payload);
		return;
	}
	s->counts.frames++;
	if (core && sim_chance(s, RND_NET, s->calm ? 0 : s->swarm.loss)) {
		s->counts.lost++;
		buf_release(payload);
		return;
	}
	if (core && sim_chance(s, RND_NET, s->calm ? 0 : s->swarm.dup)) {
		s->counts.doubled++;
		send_copy(from, to, type, payload, at + sim_between(s, RND_NET, 0, SIM_S));
	}
	if (core && sim_chance(s, RND_NET, s->calm ? 0 : s->swarm.reorder)) {
		s->counts.reordered++;
		at += sim_between(s, RND_NET, 0, 300 * SIM_MS);
	} else {
		at = l->fifo_ns = max_u64(at, l->fifo_ns + 1);
	}
	send_copy(from, to, type, payload, at);
	buf_release(payload);
}

static void deliver(struct sim *s, struct sim_event *e)
{
	struct sim_node *node = &s->nodes[e->node];
	struct sim_link *l = link_of(s, e->a, e->node);

	if (e->b != l->epoch && !sim_chance(s, RND_NET, s->swarm.late)) {
		s->counts.broken++;
		return;
	}
	if (l->cut) {
		e->kept = true;
		list_add_tail(&l->held, &e->link);
		return;
	}
	sim_note(s, e->c, hash64(e->payload.data, e->payload.len));
	replica_peer_frame(node->replica, e->a, (uint8_t)e->c, e->payload.data, e->payload.len);
}

/* ---- connections --------------------------------------------------------------------------------------- */

static void peer_event(struct sim_node *from, uint64_t to, uint64_t at, uint64_t what)
{
	struct sim_event *e = sim_at(from->sim, at, SIM_EV_PEER, from);

	e->a = to;
	e->b = what;
	e->c = link_of(from->sim, from->id, to)->epoch;
}

void net_connect_all(struct sim_node *node)
{
	struct sim *s = node->sim;
	const struct raft_conf *conf = replica_conf(node->replica);

	for (size_t i = 0; i < conf->count; i++) {
		uint64_t to = conf->members[i].id;
		struct sim_link *l = link_of(s, node->id, to);

		if (to == node->id || l->open || s->now < l->retry_ns)
			continue;
		l->backoff_ns = min_u64(max_u64(2 * l->backoff_ns, BACKOFF_MIN_NS), BACKOFF_MAX_NS);
		l->retry_ns = s->now + l->backoff_ns;
		if (net_reachable(s, node->id, to))
			peer_event(node, to, s->now + 3 * delay(s), PEER_OPENS);
	}
}

static void open_link(struct sim_node *from, uint64_t to)
{
	struct sim *s = from->sim;
	struct sim_link *l = link_of(s, from->id, to);

	if (l->open || !net_reachable(s, from->id, to))
		return;
	drop_held(l);
	l->open = true;
	l->epoch++;
	l->fifo_ns = s->now;
	l->backoff_ns = 0;
	replica_peer_up(from->replica, to);
}

static void break_link(struct sim_node *from, uint64_t to)
{
	struct sim_link *l = link_of(from->sim, from->id, to);

	if (!l->open)
		return;
	sim_trace(from->sim, "connection %llu -> %llu breaks", (unsigned long long)from->id,
		  (unsigned long long)to);
	l->open = false;
	l->epoch++;
	drop_held(l);
	l->retry_ns = from->sim->now + BACKOFF_MIN_NS;
	replica_peer_down(from->replica, to);
}

static void on_peer(struct sim *s, struct sim_event *e)
{
	struct sim_node *from = &s->nodes[e->node];
	struct sim_link *l = link_of(s, e->node, e->a);

	if (e->b == PEER_OPENS)
		open_link(from, e->a);
	else if (e->c == l->epoch &&
		 (e->b == PEER_BREAKS || l->cut || link_of(s, e->a, e->node)->cut))
		break_link(from, e->a);
}

void net_event(struct sim *s, struct sim_event *e)
{
	struct sim_node *was = node_enter(&s->nodes[e->node]);

	if (e->type == SIM_EV_FRAME)
		deliver(s, e);
	else
		on_peer(s, e);
	node_leave(was);
}

/* ---- faults ---------------------------------------------------------------------------------------------- */

static void release_held(struct sim *s, uint64_t from, uint64_t to)
{
	struct sim_link *l = link_of(s, from, to);

	list_for_each_safe (it, &l->held) {
		struct sim_event *e = list_entry(it, struct sim_event, link);

		list_del(it);
		e->kept = false;
		e->at = l->fifo_ns = max_u64(s->now + delay(s), l->fifo_ns + 1);
		queue_push(&s->queue, e);
	}
}

void net_cut(struct sim *s, uint64_t from, uint64_t to, bool cut)
{
	struct sim_link *l = link_of(s, from, to);

	if (l->cut == cut)
		return;
	l->cut = cut;
	if (!cut) {
		release_held(s, from, to);
		return;
	}
	s->counts.cuts++;
	/* Each end notices in its own time that nothing comes back. */
	for (int way = 0; way < 2; way++) {
		struct sim_node *end = &s->nodes[way ? to : from];
		uint64_t at = s->now + sim_between(s, RND_NET, 100 * SIM_MS, 6 * SIM_S);

		if (end->alive)
			peer_event(end, way ? from : to, at, PEER_BREAKS_IF_CUT);
	}
	calls_cut(s, from, to);
}

void net_node_ended(struct sim_node *node)
{
	struct sim *s = node->sim;

	for (uint64_t id = 1; id <= s->node_count; id++) {
		struct sim_link *out = link_of(s, node->id, id);

		out->open = false;
		out->epoch++;
		drop_held(out);
		drop_held(link_of(s, id, node->id));
		if (id != node->id && s->nodes[id].alive)
			peer_event(&s->nodes[id], node->id, s->now + 2 * delay(s), PEER_BREAKS);
	}
}
