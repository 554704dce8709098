/*
 * spare.h - files that will become log segments: zero-filled and synced by a thread of their own,
 * so that the log thread finds one ready when its segment is full.
 *
 * Spares are log/<id>.spare; half made ones are log/<id>.tmp. A recycled segment keeps its old
 * bytes: they are allocated and written, which is all that a cheap fdatasync needs, and the new
 * uuid keeps them from passing for frames. Nothing is made until somebody asks, so an idle store
 * writes nothing.
 */
#ifndef STORE_SPARE_H
#define STORE_SPARE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/base.h"
#include "store/store_io.h"

#define SPARES_MAX      16u
#define SPARES_RECYCLED 4u /* kept beyond those wanted: a cut frees several at once */
#define SPARE_NAME_SIZE 32u

struct spares {
	/* Constant after init. */
	const struct store_io *io;
	int dir_fd; /* borrowed */
	size_t segment_bytes;
	uint32_t wanted;
	pthread_t thread;
	bool started;

	_Atomic uint64_t bytes_written;
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t changed;
	uint64_t ready[SPARES_MAX];
	uint32_t count;
	uint64_t next_id;
	bool asked, stop;
	int error; /* of the last attempt; cleared by the next request */
};

void spare_name(uint64_t id, const char *suffix, char name[SPARE_NAME_SIZE]);

void spares_init(struct spares *p, const struct store_io *io, int dir_fd, size_t segment_bytes,
		 uint32_t wanted);
/* An existing file of the right size; false: there are enough. Before spares_start(). */
bool spares_adopt(struct spares *p, uint64_t id);
int spares_start(struct spares *p);
/* Stops the thread; a spare in the making is thrown away. */
void spares_release(struct spares *p);

void spares_ask(struct spares *p); /* have one made soon */
/* Waits until there is one; the caller renames it. -ENOSPC, -EIO: it could not be made. */
int spares_take(struct spares *p, uint64_t *id);
/* A place for a recycled segment; false: there are enough. The caller renames, then adds. */
bool spares_reserve(struct spares *p, uint64_t *id);
void spares_add(struct spares *p, uint64_t id);

#endif
