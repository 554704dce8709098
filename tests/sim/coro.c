/* coro.c - see coro.h. Stacks are kept for the next one: a run makes thousands. */
#include "tests/sim/coro.h"

#include <sys/mman.h>
#include <ucontext.h>

#include "base/buf.h"

#define STACK_BYTES (1024u * 1024)
#define POOL_MAX 64

struct coro {
	ucontext_t here, back;
	void (*fn)(void *arg);
	void *arg;
	struct coro *before; /* who was current when it was resumed */
	bool ended;
	void *stack;
};

static struct coro *current;
static void *pool[POOL_MAX];
static size_t pool_count;

static void *stack_get(void)
{
	void *stack;

	if (pool_count > 0)
		return pool[--pool_count];
	stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert(stack != MAP_FAILED);
	/* The lowest page stops an overflow. */
	assert(mprotect(stack, 4096, PROT_NONE) == 0);
	return stack;
}

static void stack_put(void *stack)
{
	if (pool_count < POOL_MAX)
		pool[pool_count++] = stack;
	else
		munmap(stack, STACK_BYTES);
}

static void run(void)
{
	struct coro *c = current;

	c->fn(c->arg);
	c->ended = true;
	swapcontext(&c->here, &c->back);
}

struct coro *coro_new(void (*fn)(void *arg), void *arg)
{
	struct coro *c = mem_calloc(1, sizeof(*c));

	c->fn = fn;
	c->arg = arg;
	c->stack = stack_get();
	getcontext(&c->here);
	c->here.uc_stack.ss_sp = c->stack;
	c->here.uc_stack.ss_size = STACK_BYTES;
	makecontext(&c->here, run, 0);
	return c;
}

bool coro_resume(struct coro *c)
{
	assert(!c->ended);
	c->before = current;
	current = c;
	swapcontext(&c->back, &c->here);
	current = c->before;
	return c->ended;
}

void coro_yield(void)
{
	struct coro *c = current;

	assert(c);
	swapcontext(&c->here, &c->back);
}

struct coro *coro_current(void)
{
	return current;
}

void coro_abandon(void)
{
	current = NULL;
}

void coro_free(struct coro *c)
{
	if (!c)
		return;
	stack_put(c->stack);
	free(c);
}
