/*
 * coro.h - coroutines: the simulator's threads. One runs at a time, and gives up the processor only in
 * coro_yield(), so what runs next is the simulator's choice.
 */
#ifndef TESTS_SIM_CORO_H
#define TESTS_SIM_CORO_H

#include "base/base.h"

struct coro;

struct coro *coro_new(void (*fn)(void *arg), void *arg);
/* Runs it until it yields or ends; true: it ended. Not from inside another coroutine's yield. */
bool coro_resume(struct coro *c);
/* Inside a coroutine: back to whoever resumed it. */
void coro_yield(void);
/* NULL outside of any. */
struct coro *coro_current(void);
/* Whoever is current never goes on: a long jump to outside of all of them follows. */
void coro_abandon(void);
void coro_free(
	struct coro *c); /* must have ended, or is abandoned with what it holds; accepts NULL */

#endif
