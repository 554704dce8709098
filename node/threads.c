/* threads.c - one thread for each worker and several readers; each runs what its queue holds. */
#include <sys/resource.h>
#include <unistd.h>

#include "node/node_internal.h"

#define IMAGE_NICE 10 /* to the 0 of all others: a ninth of their share when both want the processor */

static void hand_back(struct node *node, struct list *done)
{
	bool wake = false;

	list_for_each_safe(it, done) {
		list_del(it);
		if (queue_push(&node->done, it))
			wake = true;
	}
	if (wake)
		node_wake(node);
}

/*
 * Hashing and compressing an image takes seconds in which clients write: they go first. Linux keeps this per
 * thread (setpriority(2)); it needs no right, and without it all is as before.
 */
static void yield_to_clients(enum worker_kind kind)
{
	if (kind == WORKER_SNAPSHOT || kind == WORKER_FETCH)
		(void)setpriority(PRIO_PROCESS, (id_t)gettid(), IMAGE_NICE);
}

static void *thread_main(void *arg)
{
	struct worker_thread *t = arg;
	struct list jobs, done;

	yield_to_clients(t->worker.kind);
	list_init(&jobs);
	list_init(&done);
	while (queue_wait(&t->queue, &jobs, -1)) {
		worker_run(&t->worker, &jobs, &done);
		hand_back(t->node, &done);
		worker_after(&t->worker, &done);
		hand_back(t->node, &done);
	}
	worker_release(&t->worker);
	return NULL;
}

static int start_one(struct node *node, enum worker_kind kind, const char *name, struct err *err)
{
	struct worker_thread *t = &node->threads[node->thread_count];
	int ret;

	t->node = node;
	queue_init(&t->queue);
	worker_init(&t->worker, kind, &node->shared);
	ret = pthread_create(&t->thread, NULL, thread_main, t);
	if (ret != 0) {
		worker_release(&t->worker);
		queue_release(&t->queue);
		return err_set(err, -ret, "cannot start thread '%s': %s", name, strerror(ret));
	}
	(void)pthread_setname_np(t->thread, name);
	t->running = true;
	node->thread_count++;
	return 0;
}

int threads_start(struct node *node, struct err *err)
{
	/* In the order of enum worker_kind, so that a kind is its thread's index; readers come last. */
	static const struct {
		enum worker_kind kind;
		const char *name;
	} kinds[] = {
		{ WORKER_LOG, "log" }, { WORKER_APPLY, "apply" }, { WORKER_EVALUATE, "evaluate" },
		{ WORKER_SNAPSHOT, "snapshot" }, { WORKER_FETCH, "fetch" },
	};
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < ARRAY_SIZE(kinds); i++)
		ret = start_one(node, kinds[i].kind, kinds[i].name, err);
	node->first_reader = node->thread_count;
	for (uint32_t i = 0; ret == 0 && i < node->options.readers; i++) {
		ret = start_one(node, WORKER_READ, "read", err);
		if (ret == 0)
			node->reader_count++;
	}
	return ret;
}

void threads_stop(struct node *node)
{
	for (size_t i = 0; i < node->thread_count; i++)
		queue_close(&node->threads[i].queue);
	for (size_t i = 0; i < node->thread_count; i++) {
		pthread_join(node->threads[i].thread, NULL);
		queue_release(&node->threads[i].queue);
	}
	node->thread_count = 0;
}

void threads_submit(struct node *node, enum worker_kind worker, struct job *job)
{
	size_t i = 0;

	if (worker == WORKER_READ) {
		i = node->first_reader + node->next_reader;
		node->next_reader = (node->next_reader + 1) % node->reader_count;
	} else {
		while (node->threads[i].worker.kind != worker)
			i++;
	}
	(void)queue_push(&node->threads[i].queue, &job->link);
}
