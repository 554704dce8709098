/* notify.c - see notify.h. */
#include "fs/fuse/notify.h"

#include <fuse3/fuse_lowlevel.h>

#include "base/hash.h"
#include "base/log.h"

static void notice_carry_out(struct notifier *n, struct notice *notice)
{
	int ret = 0;

	/* Offset 0 and length 0: all pages. Dirty ones of a mapping are written back first. */
	if (!notice->wanted || notice->wanted(notice))
		ret = fuse_lowlevel_notify_inval_inode(n->se, notice->ino, 0, 0);

	/* ENOENT: the kernel does not hold this inode. ENODEV, ENOTCONN: unmounted meanwhile. */
	if (ret < 0 && ret != -ENOENT && ret != -ENODEV && ret != -ENOTCONN)
		log_warning("fuse", "kernel did not drop pages ino=%llu error=%d",
			    (unsigned long long)notice->ino, -ret);
	notice->done(notice);
}

static void *worker_main(void *arg)
{
	struct notifier_worker *w = arg;
	struct list items;

	list_init(&items);
	while (queue_wait(&w->queue, &items, -1)) {
		list_for_each_safe (it, &items) {
			list_del(it);
			notice_carry_out(w->notifier, list_entry(it, struct notice, node));
		}
	}
	return NULL;
}

int notifier_start(struct notifier *n, struct fuse_session *se)
{
	size_t started = 0;
	int ret = 0;

	n->se = se;
	while (ret == 0 && started < NOTIFIER_THREADS) {
		struct notifier_worker *w = &n->workers[started];

		w->notifier = n;
		queue_init(&w->queue);
		ret = -pthread_create(&w->thread, NULL, worker_main, w);
		if (ret == 0)
			started++;
		else
			queue_release(&w->queue);
	}
	n->running = ret == 0;
	for (size_t i = 0; ret < 0 && i < started; i++) {
		queue_close(&n->workers[i].queue);
		pthread_join(n->workers[i].thread, NULL);
		queue_release(&n->workers[i].queue);
	}
	return ret;
}

void notifier_stop(struct notifier *n)
{
	if (!n->running)
		return;
	n->running = false;
	for (size_t i = 0; i < NOTIFIER_THREADS; i++)
		queue_close(&n->workers[i].queue);
	for (size_t i = 0; i < NOTIFIER_THREADS; i++) {
		pthread_join(n->workers[i].thread, NULL);
		queue_release(&n->workers[i].queue);
	}
}

void notifier_push(struct notifier *n, struct notice *notice)
{
	struct notifier_worker *w = &n->workers[hash_u64(notice->ino) % NOTIFIER_THREADS];

	list_init(&notice->node);
	queue_push(&w->queue, &notice->node);
}
