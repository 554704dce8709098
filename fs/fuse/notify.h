/*
 * notify.h - threads that make the kernel drop cached pages, and then let a reply go.
 *
 * A notification waits for every READ and WRITE of that inode that holds its pages, so it is never
 * sent from a handler or from the session's threads, and READ, WRITE, SETATTR and OPEN with O_TRUNC
 * never wait for one (FUSE reference, section 3). Inodes are spread over several threads, so that
 * one whose WRITE waits for the quorum does not hold up the others.
 */
#ifndef FS_FUSE_NOTIFY_H
#define FS_FUSE_NOTIFY_H

#include "base/base.h"
#include "base/list.h"
#include "base/queue.h"
#include "fs/fs.h"

#define NOTIFIER_THREADS 4u

struct notifier;
struct fuse_session;

/* Embedded in its owner; belongs to the notifier from the push until done is called. */
struct notice {
	struct list node;
	uint64_t ino;
	bool (*wanted)(struct notice *n); /* false: somebody did it meanwhile; NULL: always */
	void (*done)(struct notice *n);   /* the pages are gone; called by a notifier thread */
};

struct notifier_worker {
	struct notifier *notifier;
	struct queue queue;
	pthread_t thread;
};

struct notifier {
	struct fuse_session *se;
	bool running;
	struct notifier_worker workers[NOTIFIER_THREADS];
};

int notifier_start(struct notifier *n, struct fuse_session *se); /* 0 or a negative errno */
/* Finishes what is queued, joins the threads. Nothing may be pushed any more. */
void notifier_stop(struct notifier *n);
/* ino and done are set. Any thread; never blocks. */
void notifier_push(struct notifier *n, struct notice *notice);

#endif
