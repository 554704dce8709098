/*
 * queue.h - hands intrusive list nodes from many threads to one; the seam between threads.
 *
 * A mutex guards the list and is held for a few instructions. The consumer takes everything at
 * once, which is what makes group commit and group apply fall out by themselves.
 */
#ifndef BASE_QUEUE_H
#define BASE_QUEUE_H

#include <pthread.h>

#include "base/list.h"

struct queue {
	pthread_mutex_t lock; /* guards items, closed */
	pthread_cond_t filled;
	struct list items;
	bool closed;
};

void queue_init(struct queue *q);
void queue_release(struct queue *q); /* must be empty */
/* Returns true if the queue was empty before: the moment to wake a sleeping event loop. */
bool queue_push(struct queue *q, struct list *node);
/* Moves all items to out without waiting; true if there were any. */
bool queue_take(struct queue *q, struct list *out);
/*
 * Waits until there is an item or the queue is closed, at most timeout_ms (-1: for ever), then
 * moves all items to out. Returns false when closed and empty; true otherwise (out may be empty
 * after a timeout).
 */
bool queue_wait(struct queue *q, struct list *out, int timeout_ms);
void queue_close(struct queue *q); /* wakes the consumer; pushes after it are still delivered */

#endif
