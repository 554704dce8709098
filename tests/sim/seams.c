/*
 * seams.c - the calls by which the product reaches clocks and blocking connections.
 *
 * The functions of base/clock.h and net/net.h's calls are defined here, so the linker leaves the real
 * ones in their archives. The threads that the store makes are coroutines, see threads.h.
 */
#include "tests/sim/seams.h"
#include "base/clock.h"
#include "tests/sim/threads.h"

uint64_t clock_boot_ns(void)
{
	return sim_here ? node_local_ns(sim_here) : sim_now ? sim_now->now : 0;
}

uint64_t clock_boot_ms(void)
{
	return clock_boot_ns() / SIM_MS;
}

int64_t clock_wall_ns(void)
{
	return sim_here ? node_wall_ns(sim_here) : 0;
}

/* ---- sleeping ------------------------------------------------------------------------------------- */

void seams_sleep_ns(uint64_t ns)
{
	struct sim_node *node = sim_here;
	struct coro *me = coro_current();

	/* A thread of the store is run while somebody waits for it: it never sleeps. */
	if (!node || !me || me == threads_current() || node->dying)
		return;
	for (size_t k = 0; k < SIM_SLOTS; k++) {
		struct sim_worker *slot = &node->slots[k];

		if (slot->coro != me)
			continue;
		struct sim_event *e = sim_at(node->sim, node->sim->now + ns, SIM_EV_WAKE, node);
		e->a = k;
		e->b = ++slot->sleeps;
		slot->asleep = true;
		while (slot->asleep && !node->dying)
			seams_wait();
		return;
	}
}

void clock_sleep_ms(uint64_t ms)
{
	seams_sleep_ns(ms * SIM_MS);
}

void seams_wait(void)
{
	struct sim_node *node = sim_here;

	coro_yield();
	sim_here = node;
}

/* ---- threads ---------------------------------------------------------------------------------------- */

struct list *threads_of_process(void)
{
	assert(sim_here);
	return &sim_here->coros;
}

/* A worker waits for another one; when its process ends, all of them are run in turn. */
void threads_let_others(void)
{
	if (!coro_current())
		return;
	if (sim_here->dying)
		seams_wait();
	else
		seams_sleep_ns(50000);
}

void seams_run_threads(struct sim_node *node)
{
	struct sim_node *before = node_enter(node);

	threads_run(&node->coros);
	node_leave(before);
}

/* ---- calls: one question, one answer, by the network of the simulation ------------------------------- */

struct net_call {
	struct sim_call call;
};

int net_call_open(const char *address, const struct net_hello *hello, uint32_t timeout_ms,
		  struct net_call **out, struct net_hello *answer, struct err *err)
{
	struct net_call *call;

	assert(sim_here && coro_current());
	if (!net_reachable(sim_here->sim, sim_here->id, hello->to_node_id))
		return err_set(err, -ECONNREFUSED, "cannot reach '%s'", address);
	call = mem_calloc(1, sizeof(*call));
	call->call = (struct sim_call){
		.node = sim_here,
		.to = hello->to_node_id,
		.timeout_ns = timeout_ms * SIM_MS,
		.number = ++sim_here->sim->next_conn,
		.coro = coro_current(),
	};
	*answer = (struct net_hello){ .node_id = hello->to_node_id };
	call_opened(&call->call);
	*out = call;
	return 0;
}

int net_call(struct net_call *call, uint8_t type, const void *payload, size_t len,
	     uint8_t reply_type, struct buf *reply, struct err *err)
{
	struct sim_call *c = &call->call;

	(void)type;
	(void)reply_type;
	c->status = 1;
	call_ask(c, payload, len);
	while (c->status == 1 && !c->node->dying)
		seams_wait();
	if (c->status != 0)
		return err_set(err, c->status == 1 ? -ECANCELED : c->status, "no answer");
	buf_put(reply, c->reply.data, c->reply.len);
	buf_reset(&c->reply);
	return 0;
}

void net_call_close(struct net_call *call)
{
	if (!call)
		return;
	call_closed(&call->call);
	buf_release(&call->call.reply);
	free(call);
}
