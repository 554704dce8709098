/*
 * floor.h - DIR/floor beside DIR/state.db: the entry that the state must hold at least, written before a
 * checkpoint copies anything.
 *
 * A checkpoint that a reader hinders leaves pages of many transactions in the main file, which newer frames of
 * the WAL hide. Should the WAL lose its end then, by a flipped bit, SQLite opens an older transaction on newer
 * pages: each row verifies, the whole is a mixture. A state below its floor is such a one.
 *
 * Thread: one at a time, the one that applies. Errors: negative errno.
 */
#ifndef STORE_FLOOR_H
#define STORE_FLOOR_H

#include "base/base.h"

#define FLOOR_COPY_SIZE 512u /* a sector: old or new after a power loss */
#define FLOOR_SIZE (2u * FLOOR_COPY_SIZE)

struct floor {
	int wal_fd, dir_fd, fd; /* -1: not there, or not yet */
	uint64_t index;         /* as written last */
	bool wal_failed;        /* to be synced: nothing of it counts any more */
};

/* One copy. Layout in floor.c. */
void floor_encode(uint64_t index, uint8_t out[FLOOR_COPY_SIZE]);
/* 0, -ENODATA: all zero, never written; -EUCLEAN. */
int floor_decode(const uint8_t in[FLOOR_COPY_SIZE], uint64_t *index);

/*
 * Before SQLite opens DIR/state.db. What the WAL holds is written again in place and synced: a sync that
 * failed in an earlier process may have left pages that look clean and are on no disk. -EUCLEAN: the floor is
 * damaged, both copies.
 */
int floor_open(struct floor *f, const char *dir);
/*
 * The WAL, whose last commit is entry index, and then the floor become durable. Nothing when it is that already.
 * -EIO when the WAL cannot be synced, and ever after: the state is to be opened again.
 */
int floor_raise(struct floor *f, uint64_t index);
void floor_close(struct floor *f);

#endif
