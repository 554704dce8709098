/*
 * threads.h - the threads of the store as coroutines: pthread_create() and what waits for them is sent
 * here by the linker (SIM_THREADS in the Makefile). A thread runs whenever somebody would wait for it,
 * until it would wait itself; mutexes stay real, nobody holds one while he yields.
 */
#ifndef TESTS_SIM_THREADS_H
#define TESTS_SIM_THREADS_H

#include "base/list.h"
#include "tests/sim/coro.h"

/* The threads of the process whose code runs. A program with several processes brings its own. */
struct list *threads_of_process(void);
/* All of them do what was asked of them. */
void threads_run(struct list *threads);
/* Somebody waits who is none of the threads: what else can go on does. A program with workers of its own
 * brings this one, too. */
void threads_let_others(void);
/* The coroutine of the thread that runs; NULL: none does. */
struct coro *threads_current(void);
/* None runs any more: the run failed in the middle of one. */
void threads_forget(void);

#endif
