/*
 * lcache.h - attributes and names that this mount was told, as long as its node's board (fs_board.h) says that they
 * are what a node would answer now: then requests of the kernel are answered here, without a message.
 *
 * Nothing is ever shown that was not current while the request was being handled. What a change of our own answered
 * is remembered like what was read: both say as of which entry they show the state.
 *
 * A directory that was made here, and that nobody but this mount has changed since, is known as a whole: names in it
 * that are not known do not exist. That ends with the first change by somebody else, or of what is not remembered.
 *
 * Bounded: the least recently used goes first.
 */
#ifndef FS_FUSE_LCACHE_H
#define FS_FUSE_LCACHE_H

#include <pthread.h>

#include "base/base.h"
#include "base/hash.h"
#include "base/list.h"
#include "fs/fs_board.h"

#define LCACHE_ENTRIES_MAX 65536u /* of each kind */

struct lcache_stats {
	uint64_t hits, misses; /* of questions that could have been answered */
	size_t attrs, names;
};

struct lcache {
	pthread_mutex_t lock; /* guards all below; held for a few instructions */
	struct fs_board *board; /* NULL: nobody speaks */
	uint64_t (*boot_ns)(void);
	size_t max;
	struct htable attrs, names;
	struct list attr_lru, name_lru; /* the least recently used first */
	struct lcache_stats stats;
};

void lcache_init(struct lcache *c, size_t max, uint64_t (*boot_ns)(void));
void lcache_release(struct lcache *c);
/* Borrowed; what was remembered stays true under it, or is found changed. NULL: there is none. Returns the one before. */
struct fs_board *lcache_set_board(struct lcache *c, struct fs_board *board);

/* What GETATTR or OPEN would answer. */
bool lcache_attr(struct lcache *c, uint64_t ino, struct fs_attr *attr);
/* What LOOKUP would: 0 with *attr, -ENOENT; -EAGAIN: ask. */
int lcache_lookup(struct lcache *c, uint64_t parent, const char *name, size_t len, struct fs_attr *attr);

/* rq was answered with status and reply; index 0 in it teaches nothing. */
void lcache_learn(struct lcache *c, const struct fs_request *rq, int status, const struct fs_reply *reply);
void lcache_stats(struct lcache *c, struct lcache_stats *stats);

#endif
