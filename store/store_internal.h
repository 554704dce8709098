/*
 * store_internal.h - struct store, for the sources of store/ alone.
 *
 * Threads: the log thread is the only one that writes superblock and log. The snapshot thread reads
 * identity, paths and the active generation, and owns what lies below snapshots/ and the directory
 * state-<active + 1> until store_install() makes it the active one. Other threads load entries.
 */
#ifndef STORE_STORE_INTERNAL_H
#define STORE_STORE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "store/store.h"
#include "store/store_io.h"
#include "store/superblock.h"

struct sealed_set;
struct store_log;

#define STORE_NAME_SIZE 48 /* "state-<gen>", "group-<id>" */

struct store {
	/* Constant after store_open(). */
	char *dir_path;   /* DIR */
	char *group_path; /* DIR/group-<id> */
	struct store_identity identity;
	int lock_fd;      /* DIR/lock, flock()ed */
	int group_fd;     /* DIR/group-<id> */
	int log_fd;       /* DIR/group-<id>/log */
	int snapshots_fd; /* DIR/group-<id>/snapshots; always there */
	int superblock_fd;
	const struct store_io *io;

	pthread_mutex_t superblock_lock; /* guards sb; held for copies only, never across I/O */
	struct superblock sb;            /* as it is on disk; changed by the log thread */

	struct store_log *log;

	atomic_bool poisoned; /* a write or a sync failed: every call returns -EIO from now on */
	_Atomic uint64_t superblock_bytes; /* written since open */

	/* snapshot.c and receive.c; nobody else looks at what it guards. */
	pthread_mutex_t snapshot_lock;
	struct sealed_set *sealed; /* made at the first use; snapshot_close() frees it */
};

/* The generation that the superblock names. Any thread. A new one is built as this + 1. */
uint64_t store_active_generation(struct store *s);
/* "state-<gen>", relative to group_fd. */
void store_state_name(uint64_t generation, char name[STORE_NAME_SIZE]);
/* GROUP/state-<gen>; free() it. Any thread. */
char *store_state_path(const struct store *s, uint64_t generation);
/* 0, or -EIO with err once the store is poisoned. Any thread. */
int store_check(struct store *s, struct err *err);
/* After a failed write or sync. Any thread. Returns code. */
int store_poison(struct store *s, int code);

/* Between store.c and store_init.c. */
#define STORE_UNFINISHED "init-unfinished" /* in the group directory until init is durable */

void store_group_name(uint32_t group, char name[STORE_NAME_SIZE]);
/* Opens DIR/lock and locks it; *fd for the caller. -EBUSY with the owner's pid in err. */
int store_lock(int dir_fd, const char *dir, int *fd, struct err *err);
/* Opens GROUP/superblock with these flags and reads it. -EINVAL: init did not finish; -EUCLEAN. */
int store_read_superblock(int group_fd, const char *dir, int flags, int *fd, struct superblock *sb,
			  struct err *err);

/* The public calls with another I/O table; tests only. */
int store_init_io(const char *dir, const struct store_identity *identity,
		  const struct raft_conf *conf, const struct store_io *io, struct err *err);
int store_open_io(const char *dir, uint32_t group, const struct store_options *options,
		  const struct store_io *io, struct store **store, struct store_boot *boot,
		  struct kv **kv, struct err *err);

#endif
