/* queue.c - see queue.h. */
#include "base/queue.h"

void queue_init(struct queue *q)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&q->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&q->filled, &attr);
	pthread_condattr_destroy(&attr);
	list_init(&q->items);
	q->closed = false;
}

void queue_release(struct queue *q)
{
	assert(list_empty(&q->items));
	pthread_cond_destroy(&q->filled);
	pthread_mutex_destroy(&q->lock);
}

bool queue_push(struct queue *q, struct list *node)
{
	bool was_empty;

	pthread_mutex_lock(&q->lock);
	was_empty = list_empty(&q->items);
	list_add_tail(&q->items, node);
	if (was_empty)
		pthread_cond_signal(&q->filled);
	pthread_mutex_unlock(&q->lock);
	return was_empty;
}

bool queue_take(struct queue *q, struct list *out)
{
	bool any;

	pthread_mutex_lock(&q->lock);
	any = !list_empty(&q->items);
	list_splice_tail(out, &q->items);
	pthread_mutex_unlock(&q->lock);
	return any;
}

static struct timespec deadline(int timeout_ms)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += timeout_ms / 1000;
	ts.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000;
	}
	return ts;
}

bool queue_wait(struct queue *q, struct list *out, int timeout_ms)
{
	struct timespec until = { .tv_sec = 0 };
	int ret = 0;
	bool go_on;

	if (timeout_ms >= 0)
		until = deadline(timeout_ms);
	pthread_mutex_lock(&q->lock);
	while (list_empty(&q->items) && !q->closed && ret == 0)
		ret = timeout_ms < 0 ? pthread_cond_wait(&q->filled, &q->lock)
				     : pthread_cond_timedwait(&q->filled, &q->lock, &until);
	go_on = !list_empty(&q->items) || !q->closed;
	list_splice_tail(out, &q->items);
	pthread_mutex_unlock(&q->lock);
	return go_on;
}

void queue_close(struct queue *q)
{
	pthread_mutex_lock(&q->lock);
	q->closed = true;
	pthread_cond_broadcast(&q->filled);
	pthread_mutex_unlock(&q->lock);
}
