/*
 * log.h - the Raft log over its segments: append with group commit, load, cut, recovery.
 *
 * One thread, the log thread, writes; store_log_load() and the figures at the end may be called by
 * any. Files below log/: <number>.seg, replayed in order of their numbers; <id>.spare and <id>.tmp,
 * see spare.h. What cannot be told from the segments themselves is in the superblock: struct
 * log_roots.
 *
 * In memory there is one struct log_frame for each frame that still counts, ordered by index, so a
 * load is a search, one pread per frame, and a checksum.
 */
#ifndef STORE_LOG_H
#define STORE_LOG_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "store/segment.h"
#include "store/spare.h"
#include "store/store.h"
#include "store/store_io.h"

#define LOG_SEGMENT_DEFAULT (16u * 1024u * 1024u)
#define LOG_SEGMENT_FIRST   (64u * 1024u) /* store_init's: small, so that init is quick */

/* The part of the superblock that roots the log. */
struct log_roots {
	uint64_t base_index, base_term;
	uint64_t first_segment; /* lower ones are dead */
	uint64_t frames_before; /* frames up to this number lie in dead ones */
	uint64_t synced_frame;  /* frames up to this number are known to be durable */
};

struct log_segment {
	atomic_uint refs; /* the log, and each load that reads from it */
	uint64_t number;
	uint8_t uuid[16];
	uint64_t size_bytes;
	uint64_t frames_before; /* number of the last frame before it */
	int fd;
};

struct log_frame {
	struct log_segment *segment; /* borrowed from the log */
	uint64_t offset;
	uint64_t first_index;
	uint32_t count; /* entries that still count: a later frame may have replaced the rest */
	uint32_t size_bytes;
	uint64_t payload_checksum[2];
};

struct log_run { /* entries of one term; it ends where the next run or the log does */
	uint64_t first_index, term;
};

struct store_log {
	/* Constant after store_log_open(). */
	const struct store_io *io;
	int dir_fd; /* borrowed */
	char *path;
	struct store_identity identity;
	size_t segment_bytes;

	/* The log thread's own. */
	struct log_position pos; /* end of what was written */
	uint64_t append_offset;  /* in the newest segment */
	uint64_t next_segment;   /* number */
	uint64_t synced_frame;
	bool fresh; /* the newest segment still bears its spare's name */
	uint64_t fresh_id;
	bool tail_synced;    /* nothing in the newest segment waits for fdatasync */
	bool failed;         /* a write or sync failed */
	bool unproven;       /* recovery: no floor says that the last frame had been durable */
	bool torn;           /* recovery: the bytes at append_offset are a frame that is no good */
	uint64_t torn_index; /* ... the lowest index that it may have held */
	struct buf scratch;
	struct spares spares;

	pthread_mutex_t lock;          /* guards what follows; never held across I/O */
	struct log_segment **segments; /* by number, the last one is written to */
	size_t segment_count, segment_cap;
	struct log_frame *frames; /* by first_index, without gaps */
	size_t frame_count, frame_cap;
	struct log_run *runs;
	size_t run_count, run_cap;
	uint64_t *confs; /* indexes of the configuration entries above base */
	size_t conf_count, conf_cap;
	uint64_t base_index, base_term;
	uint64_t last_index;
	uint64_t live_bytes; /* of frames[] */

	_Atomic uint64_t bytes_written;
};

/* store_init(): segment 1 with this one entry in a directory without segments; durable on return.
 */
int store_log_create(int dir_fd, const struct store_identity *identity,
		     const struct raft_entry *entry, const struct store_io *io, struct err *err);
/*
 * Reads and checks all segments; writes nothing. -EUCLEAN: durable entries are damaged or missing.
 * A torn tail is left out and told by torn and torn_index; the caller, who knows more floors,
 * decides whether it may be one.
 */
int store_log_open(struct store_log **log, int dir_fd, const char *path,
		   const struct store_identity *identity, const struct log_roots *roots,
		   const struct store_options *options, const struct store_io *io, struct err *err);
/* First writes: syncs what was read, wipes a torn tail, removes dead files, starts the spares. */
int store_log_start(struct store_log *log, struct err *err);
void store_log_close(struct store_log *log); /* accepts NULL; writes nothing */

/* May these be appended? They continue the log or replace a suffix above base, indexes and terms
 * are in order, each fits a segment. 0, -EINVAL, -EFBIG. */
int store_log_check(struct store_log *log, const struct raft_entry *entries, size_t count,
		    struct err *err);
/*
 * Appends entries that pass store_log_check() as few frames as fit and syncs. *rolled is set when a
 * new segment was begun. -ENOSPC from making a segment leaves the log as it was; after every other
 * error log->failed is set.
 */
int store_log_append(struct store_log *log, const struct raft_entry *entries, size_t count,
		     bool *rolled, struct err *err);

/*
 * A cut in two steps, with the superblock written between them. plan: what the superblock must say
 * once everything up to index is gone (cut), or everything at all (reset; term is index's).
 */
void store_log_plan_cut(struct store_log *log, uint64_t index, struct log_roots *roots);
void store_log_plan_reset(struct store_log *log, uint64_t index, uint64_t term,
			  struct log_roots *roots);
int store_log_carry_out(struct store_log *log, const struct log_roots *roots, struct err *err);

/* Any thread. */
int store_log_load(struct store_log *log, uint64_t lo, uint64_t hi, size_t max_bytes,
		   struct raft_entry **entries, size_t *count, struct err *err);
bool store_log_term_at(struct store_log *log, uint64_t index, uint64_t *term); /* base to last */
uint64_t store_log_last_index(struct store_log *log);
uint64_t store_log_live_bytes(struct store_log *log);
uint64_t store_log_bytes_written(struct store_log *log);
/* First entry of each run of equal terms above base; free(). */
void store_log_terms(struct store_log *log, struct raft_entry **terms, size_t *count);

/* Indexes of the configuration entries above base, ascending; free(). */
void store_log_confs(struct store_log *log, uint64_t **confs, size_t *count);

/* Between log.c and log_recover.c. */
struct log_segment *log_segment_new(const struct segment_header *h, int fd); /* takes fd */
void log_segment_unref(struct log_segment *seg);
void store_log_push_segment(struct store_log *log, struct log_segment *seg);
/* Adds a frame and forgets what it replaces. entries: the frame's; terms and types are read. */
void store_log_push_frame(struct store_log *log, const struct log_frame *frame,
			  const struct raft_entry *entries);
/* Forgets everything up to index in frames[], runs[] and confs[]. */
void store_log_trim(struct store_log *log, uint64_t index, uint64_t term);
void segment_name(uint64_t number, char name[SPARE_NAME_SIZE]);

#endif
