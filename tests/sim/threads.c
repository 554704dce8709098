/* threads.c - see threads.h. */
#include "tests/sim/threads.h"

#include <pthread.h>

#include "base/buf.h"

struct thread {
	struct list link; /* in its process's */
	struct coro *coro;
	void *(*fn)(void *arg);
	void *arg;
	bool ended;
};

static struct thread *running; /* the innermost one that was resumed */

__attribute__((weak)) struct list *threads_of_process(void)
{
	static struct list only = { &only, &only };

	return &only;
}

__attribute__((weak)) void threads_let_others(void)
{
}

struct coro *threads_current(void)
{
	return running ? running->coro : NULL;
}

static void thread_main(void *arg)
{
	struct thread *t = arg;

	t->fn(t->arg);
}

void threads_forget(void)
{
	running = NULL;
}

static void thread_run(struct thread *t)
{
	struct thread *before = running;

	running = t;
	t->ended = coro_resume(t->coro);
	running = before;
}

void threads_run(struct list *threads)
{
	list_for_each_safe (it, threads) {
		struct thread *t = list_entry(it, struct thread, link);

		if (!t->ended)
			thread_run(t);
	}
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

	t->fn = fn;
	t->arg = arg;
	t->coro = coro_new(thread_main, t);
	list_add_tail(threads_of_process(), &t->link);
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

/* The thread itself goes back to who ran it; anybody else lets the process's threads work on. */
int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
	pthread_mutex_unlock(mutex);
	if (running && coro_current() == running->coro) {
		coro_yield();
	} else {
		assert(!list_empty(threads_of_process()));
		threads_run(threads_of_process());
		threads_let_others();
	}
	pthread_mutex_lock(mutex);
	return 0;
}

int __wrap_pthread_cond_broadcast(pthread_cond_t *cond)
{
	return 0; /* whoever waits looks again by itself */
}
