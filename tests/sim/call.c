/*
 * call.c - how a node pulls an image from another: calls of net/net.h over the simulated network.
 *
 * The serving side is what node/loop.c does for a bulk connection: the first question makes the image
 * held, the end of the connection lets it go.
 */
#include <stdlib.h>

#include "tests/sim/seams.h"

enum { CALL_QUESTION, CALL_ANSWER, CALL_LOST };

static struct list calls = { &calls, &calls };

static struct sim_call *find(uint64_t number)
{
	list_for_each (it, &calls) {
		struct sim_call *c = list_entry(it, struct sim_call, link);

		if (c->number == number)
			return c;
	}
	return NULL;
}

void calls_forget(void)
{
	list_init(&calls);
}

void call_opened(struct sim_call *c)
{
	c->to_life = c->node->sim->nodes[c->to].life;
	list_add_tail(&calls, &c->link);
}

void call_closed(struct sim_call *c)
{
	struct sim_node *to = &c->node->sim->nodes[c->to];

	list_del(&c->link);
	if (c->holds && to->alive && to->life == c->to_life)
		store_snapshot_release(to->store, &c->held);
}

static struct sim_event *call_later(struct sim_call *c, uint64_t delay_ns, struct sim_node *node,
				    uint64_t kind)
{
	struct sim *s = c->node->sim;
	struct sim_event *e = sim_at(s, s->now + delay_ns, SIM_EV_CALL, node);

	e->a = c->number;
	e->b = c->asked;
	e->c = kind;
	return e;
}

static uint64_t call_delay(struct sim *s)
{
	return sim_between(s, RND_NET, s->swarm.delay_min_ns, s->swarm.delay_max_ns);
}

void call_ask(struct sim_call *c, const void *payload, size_t len)
{
	struct sim *s = c->node->sim;
	struct sim_node *to = &s->nodes[c->to];
	struct sim_event *e;

	c->asked++;
	s->counts.bulk_calls++;
	call_later(c, c->timeout_ns, c->node, CALL_LOST);
	if (to->life != c->to_life || !to->alive) {
		call_later(c, call_delay(s), c->node, CALL_LOST);
		return;
	}
	if (!s->calm && sim_chance(s, RND_NET, s->swarm.bulk_loss)) {
		s->counts.bulk_lost++;
		call_later(c, call_delay(s), c->node, CALL_LOST);
		return;
	}
	if (!net_reachable(s, c->node->id, c->to))
		return;
	e = call_later(c, call_delay(s), to, CALL_QUESTION);
	buf_put(&e->payload, payload, len);
}

void call_answer(struct sim_node *from, uint64_t number, struct buf *payload)
{
	struct sim *s = from->sim;
	struct sim_call *c = find(number);
	struct sim_event *e;

	if (c && c->to == from->id && net_reachable(s, c->node->id, c->to)) {
		e = call_later(c, call_delay(s), c->node, CALL_ANSWER);
		buf_put(&e->payload, payload->data, payload->len);
		if (!s->calm && sim_chance(s, RND_NET, s->swarm.bulk_damage) && payload->len > 5) {
			s->counts.bulk_damaged++;
			e->payload.data[sim_between(s, RND_NET, 5, payload->len - 1)] ^= 0x40;
		}
	}
	buf_release(payload);
}

static void question(struct sim_call *c, struct sim_event *e)
{
	struct sim_node *to = &c->node->sim->nodes[c->to];
	struct raft_snapshot_meta meta;

	if (replica_bulk_frame(to->replica, c->number, c->node->id, e->payload.data, e->payload.len,
			       &meta) < 0) {
		call_later(c, call_delay(c->node->sim), c->node, CALL_LOST);
		return;
	}
	if (c->holds)
		return;
	c->holds = true;
	c->held = meta;
	store_snapshot_hold(to->store, &c->held);
}

void call_event(struct sim *s, struct sim_event *e)
{
	struct sim_call *c = find(e->a);
	struct sim_node *was;

	if (!c || e->b != c->asked)
		return;
	was = node_enter(&s->nodes[e->node]);
	if (e->c == CALL_QUESTION) {
		question(c, e);
	} else if (c->status == 1) {
		c->status = e->c == CALL_ANSWER ? 0 : -ETIMEDOUT;
		buf_reset(&c->reply);
		buf_put(&c->reply, e->payload.data, e->payload.len);
		node_resume(c->node, c->coro);
	}
	node_leave(was);
}

/* Those who pull from a node that ended see their connection break. */
void calls_node_ended(struct sim_node *node)
{
	list_for_each (it, &calls) {
		struct sim_call *c = list_entry(it, struct sim_call, link);

		if (c->to == node->id && c->node != node)
			call_later(c, call_delay(node->sim), c->node, CALL_LOST);
	}
}

void calls_cut(struct sim *s, uint64_t a, uint64_t b)
{
	list_for_each (it, &calls) {
		struct sim_call *c = list_entry(it, struct sim_call, link);

		if ((c->node->id == a && c->to == b) || (c->node->id == b && c->to == a))
			call_later(c, sim_between(s, RND_NET, SIM_MS, c->timeout_ns), c->node,
				   CALL_LOST);
	}
}
