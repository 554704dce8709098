/*
 * sim_disk.h - disks in memory that forget what was never synced.
 *
 * A disk is mounted at /sim/<name>. The product's own calls reach it unmodified: the linker sends
 * open(), pwrite(), fsync(), readdir(), statvfs(), ... of the simulator's programs to sim_calls.c
 * (--wrap, the list is SIM_WRAPPED in the Makefile), which keeps paths below /sim/ and descriptors
 * from SIM_FD_BASE on and passes on the rest. SQLite reaches it through sim_vfs.c, the default VFS.
 *
 *   sim_disk.c  lives, crashes, faults, digest    sim_names.c  directories and their changes
 *   sim_pages.c one file: platter and cache       sim_calls.c  the system calls
 *   sim_vfs.c   SQLite's view of it
 *
 * The model. A file has what programs see (the cache) and what is on the platter, in sectors of 512
 * bytes. A sync brings the file's sectors and size to the platter; before that any subset of them may
 * get there, torn within a page, in an older version, in any order with the file's size. A change of a
 * directory (create, mkdir, rename, link, unlink) is pending until the directory itself is synced, in
 * which case its file's own sync does not help; any subset of the pending ones survives, each whole.
 * A power loss draws what survives; the crash of a process alone loses nothing.
 *
 * Deterministic: seed and calls decide everything, also the order of readdir(). One thread, though
 * coroutines may change places in wait_ns(). Every function here takes paths with /sim/<name>/.
 */
#ifndef TESTS_SIM_SIM_DISK_H
#define TESTS_SIM_SIM_DISK_H

#include "base/base.h"
#include "base/buf.h"

#define SIM_DISK_ROOT "/sim"
#define SIM_FD_BASE (1 << 24)
#define SIM_PAGE_SIZE 4096u
#define SIM_SECTOR_SIZE 512u

struct sim_disk;

/* ---- life --------------------------------------------------------------------------------------- */

/* Empty, up, 1 GiB. name: short, without '/', not that of a disk that lives. */
struct sim_disk *sim_disk_new(const char *name, uint64_t seed);
/* Also frees what its programs left open: their descriptors and SQLite files must not be used again. */
void sim_disk_free(struct sim_disk *d);
const char *sim_disk_root(const struct sim_disk *d); /* "/sim/<name>" */

/*
 * The k-th call from now that changes the disk (1: the next one) is the last: the process dies in it.
 * It may have been done in part (a write: some of its pages). It and every later call fail with EIO
 * and change nothing, closing is quiet, and sim_disk_died() is true until sim_disk_revive(). 0: never.
 */
void sim_disk_crash_at(struct sim_disk *d, uint64_t k);
bool sim_disk_died(const struct sim_disk *d);
/* Calls that changed something or tried to, since the disk was made: what crash_at counts. */
uint64_t sim_disk_io_count(const struct sim_disk *d);

/*
 * The process dies here and now (or did at crash_at()), with power_loss the machine with it. What
 * survives is drawn, the process's locks are gone. Its descriptors and SQLite files stay until they
 * are closed; until then, also after revive(), each call on them fails with EIO and changes nothing.
 * So: sim_disk_crash(), free what the process had with its own functions, sim_disk_revive().
 */
void sim_disk_crash(struct sim_disk *d, bool power_loss);
/* The next process may begin. crash_at() and armed faults are forgotten; bad sectors are not. */
void sim_disk_revive(struct sim_disk *d);
/* Descriptors, DIR streams and SQLite files that are not closed, of this and earlier processes. */
size_t sim_disk_open_handles(const struct sim_disk *d);
/* For processes that are never torn down: takes them away. They must not be used again, nor closed. */
void sim_disk_forget_handles(struct sim_disk *d);

/* A number of the disk's own stream: what it draws after is another draw. */
uint64_t sim_disk_draw(struct sim_disk *d);
/* Of what programs see and of what is on the platter: names, sizes, bytes, pending changes. */
uint64_t sim_disk_digest(const struct sim_disk *d);
/* ENOSPC beyond it; in whole pages of written data. May go below what is in use. */
void sim_disk_set_capacity(struct sim_disk *d, uint64_t bytes);
uint64_t sim_disk_used_bytes(const struct sim_disk *d);

/*
 * How long the disk takes, drawn for each call between min and max: wait_ns() is called in the middle
 * of a sync, and of a write if its max is not 0. A power loss may come while it waits; other coroutines
 * may use the disk. A stuck disk is a long time. wait_ns NULL: never.
 */
struct sim_disk_latency {
	uint64_t sync_min_ns, sync_max_ns, write_min_ns, write_max_ns;
	void (*wait_ns)(void *ctx, uint64_t ns);
	void *ctx;
};

void sim_disk_set_latency(struct sim_disk *d, const struct sim_disk_latency *latency);

/* ---- faults ------------------------------------------------------------------------------------- */

enum sim_io {                         /* bits */
	      SIM_IO_CREATE = 1 << 0, /* open() that makes a file, mkdir() */
	      SIM_IO_WRITE = 1 << 1,
	      SIM_IO_TRUNCATE = 1 << 2, /* ftruncate(), fallocate(), O_TRUNC */
	      SIM_IO_SYNC = 1 << 3,     /* of a file */
	      SIM_IO_SYNC_DIR = 1 << 4,
	      SIM_IO_RENAME = 1 << 5,        /* and link() */
	      SIM_IO_UNLINK = 1 << 6,        /* and rmdir() */
	      SIM_IO_CHANGES = (1 << 7) - 1, /* all of the above: what crash_at counts */
	      SIM_IO_READ = 1 << 7,
	      SIM_IO_OPEN = 1 << 8, /* of what is there */
};

enum sim_disk_fault_kind {
	SIM_FAULT_ERROR, /* the call fails with .error and does nothing */
	SIM_FAULT_SHORT, /* a write or read transfers only some of its bytes */
	SIM_FAULT_SYNC, /* a sync fails with EIO: a part of the sectors got there, yet all are clean now */
	SIM_FAULT_SYNC_REVERT, /* ... and programs see the old bytes of the others from now on, not the new */
	SIM_FAULT_LOST,        /* a write that never gets to the platter, whatever is synced */
	SIM_FAULT_MISDIRECTED, /* a write that gets to the platter elsewhere in the file */
	SIM_FAULT_MISREAD,     /* a read that returns bytes from elsewhere in the file */
	SIM_FAULT_LIE,         /* a sync that returns 0 and does nothing: outside of the contract */
};

struct sim_disk_fault {
	enum sim_disk_fault_kind kind;
	unsigned calls;   /* enum sim_io; 0: all that the kind can hit */
	const char *name; /* a part of the path; NULL: any. Copied. */
	uint64_t after;   /* so many matching calls go well first */
	uint64_t times;   /* and so many are hit then; 0: one */
	int error;        /* SIM_FAULT_ERROR: ENOSPC, EIO, ... */
};

void sim_disk_arm(struct sim_disk *d,
		  const struct sim_disk_fault *fault); /* beside those armed before */
void sim_disk_disarm(struct sim_disk *d);              /* all of them */
uint64_t
sim_disk_hits(const struct sim_disk *d); /* calls that faults hit, since the disk was made */

/* At rest, on platter and in the cache. 0, -ENOENT, -EINVAL beyond the end. */
int sim_disk_flip(struct sim_disk *d, const char *path, uint64_t offset, uint8_t mask);
/* Reading this sector fails with EIO until it is written again. */
int sim_disk_bad_sector(struct sim_disk *d, const char *path, uint64_t offset);
/*
 * The same to a byte of a file with content, both drawn; name: a part of its path, NULL: any. *path
 * (NULL: not wanted) and *offset tell which; the text is the caller's to release. -ENOENT: no such.
 */
int sim_disk_flip_any(struct sim_disk *d, const char *name, struct buf *path, uint64_t *offset);
/* Appends what is on the platter of a file that programs see under this path. */
int sim_disk_platter(struct sim_disk *d, const char *path, struct buf *out);

/* ---- what else the machine gives ------------------------------------------------------------------ */

/*
 * Random numbers of getrandom() and of SQLite begin anew from this seed: call it first in each run.
 * Registers the VFS the first time.
 */
void sim_machine_seed(uint64_t seed);

/* The clock that SQLite sees, and its waiting for locks. Without: a fixed day, and no waiting. */
struct sim_machine {
	int64_t (*wall_ns)(void);
	void (*sleep_ns)(uint64_t ns);
};

void sim_machine_set(const struct sim_machine *machine); /* borrowed; NULL: without */

#endif
