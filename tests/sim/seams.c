/*
 * seams.c - the calls by which the product reaches clocks, threads and blocking connections.
 *
 * The functions of base/clock.h and net/net.h's calls are defined here, so the linker leaves the real
 * ones in their archives. pthread_create() and what waits belongs to the one thread that the store
 * makes, and is given to coroutines by --wrap; mutexes stay real, nobody holds one while he yields.
 */
#include <pthread.h>

#include "base/clock.h"
#include "tests/sim/seams.h"

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

static struct coro *thread_current(void);

void seams_sleep_ns(uint64_t ns)
{
	struct sim_node *node = sim_here;
	struct coro *me = coro_current();

	/* A thread of the store is run while somebody waits for it: it never sleeps. */
	if (!node || !me || me == thread_current() || node->dying)
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

/* A thread of the store. It is resumed whenever somebody would wait for it. */
struct thread {
	struct list link; /* in sim_node.coros */
	struct coro *coro;
	void *(*fn)(void *arg);
	void *arg;
	bool ended;
};

static struct thread *running; /* the innermost one that was resumed */

static struct coro *thread_current(void)
{
	return running ? running->coro : NULL;
}

static void thread_main(void *arg)
{
	struct thread *t = arg;

	t->fn(t->arg);
}

static void thread_run(struct thread *t)
{
	struct thread *before = running;
	struct sim_node *node = sim_here;

	running = t;
	t->ended = coro_resume(t->coro);
	running = before;
	sim_here = node;
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
			  void *arg);
int __wrap_pthread_join(pthread_t thread, void **result);
int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex);
int __wrap_pthread_cond_broadcast(pthread_cond_t *cond);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
			  void *arg)
{
	struct thread *t = mem_calloc(1, sizeof(*t));

	assert(sim_here);
	t->fn = fn;
	t->arg = arg;
	t->coro = coro_new(thread_main, t);
	list_add_tail(&sim_here->coros, &t->link);
	*thread = (pthread_t)(uintptr_t)t;
	return 0;
}

int __wrap_pthread_join(pthread_t thread, void **result)
{
	struct thread *t = (struct thread *)(uintptr_t)thread;

	while (!t->ended)
		thread_run(t);
	list_del(&t->link);
	coro_free(t->coro);
	free(t);
	return 0;
}

/* The thread itself goes back to who ran it; anybody else lets the node's threads work on. */
int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
	pthread_mutex_unlock(mutex);
	if (running && coro_current() == running->coro) {
		seams_wait();
	} else {
		assert(sim_here && !list_empty(&sim_here->coros));
		list_for_each_safe (it, &sim_here->coros) {
			struct thread *t = list_entry(it, struct thread, link);

			if (!t->ended)
				thread_run(t);
		}
	}
	pthread_mutex_lock(mutex);
	return 0;
}

int __wrap_pthread_cond_broadcast(pthread_cond_t *cond)
{
	return 0; /* whoever waits looks again by itself */
}

void seams_run_threads(struct sim_node *node)
{
	list_for_each_safe (it, &node->coros) {
		struct thread *t = list_entry(it, struct thread, link);

		if (!t->ended)
			thread_run(t);
	}
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
