/*
 * tail.h - the live end of the log.
 *
 * The log covers (base_index, last_index]. Three views of it live in memory:
 * - term runs: the term of *every* index in [base_index, last_index], compactly;
 * - the cache: the last entries, consecutive, always including whatever is not yet stable;
 * - the window: one piece of older entries that was loaded from disk on request.
 * Marks estimate bytes so that a cut can leave a tail of a given size.
 */
#ifndef RAFT_TAIL_H
#define RAFT_TAIL_H

#include "raft/raft.h"

/* What an entry weighs in every limit: its payload and a little for its frame. */
#define TAIL_ENTRY_OVERHEAD 24

struct tail_run {
	uint64_t index; /* first of the run */
	uint64_t term;
};

struct tail_mark {
	uint64_t index; /* first entry counted here */
	uint64_t bytes;
};

struct tail {
	uint64_t base_index, base_term, last_index;
	struct tail_run *runs; /* ascending; the first starts at base_index + 1 */
	size_t run_count, run_cap;
	struct raft_entry *cache; /* cache[head .. head + count) ends at last_index */
	size_t head, count, cap;
	uint64_t cache_bytes;
	struct raft_entry *window; /* consecutive; all within the log */
	size_t window_count;
	struct tail_mark *marks;
	size_t mark_count, mark_cap;
	uint64_t mark_step; /* bytes per mark */
};

static inline uint64_t entry_bytes(const struct raft_entry *e)
{
	return (e->data == NULL ? 0 : e->data->len) + TAIL_ENTRY_OVERHEAD;
}

/* runs: as in raft_boot. mark_step: granularity of tail_cut_keeping(), bytes. */
void tail_init(struct tail *t, uint64_t base_index, uint64_t base_term,
	       const struct raft_entry *runs, size_t run_count, uint64_t last_index,
	       uint64_t mark_step);
void tail_release(struct tail *t);

/* 0 outside [base_index, last_index] (and for base_index 0). */
uint64_t tail_term(const struct tail *t, uint64_t index);
uint64_t tail_last_term(const struct tail *t);
bool tail_matches(const struct tail *t, uint64_t index, uint64_t term);
/* The highest index <= from whose term is <= term; *found_term is that entry's term, 0 below base. */
uint64_t tail_find_conflict(const struct tail *t, uint64_t from, uint64_t term,
			    uint64_t *found_term);

/* Takes over e's reference. e->index must be last_index + 1. */
void tail_append(struct tail *t, struct raft_entry e);
/* Drops everything from index on; index > base_index. */
void tail_truncate(struct tail *t, uint64_t index);
/* Moves base up to index, whose term must be known. */
void tail_cut(struct tail *t, uint64_t index);
/* An empty log above (index, term). */
void tail_reset(struct tail *t, uint64_t index, uint64_t term);

/* The entry if it is in memory, else NULL; borrowed. */
const struct raft_entry *tail_get(const struct tail *t, uint64_t index);
uint64_t tail_cache_first(const struct tail *t); /* last_index + 1 when the cache is empty */
/* Drops cached entries at or below upto, oldest first, while the cache exceeds max_bytes. */
void tail_evict(struct tail *t, uint64_t max_bytes, uint64_t upto);
/* Replaces the window; takes references. Entries must be in the log. */
void tail_set_window(struct tail *t, const struct raft_entry *v, size_t count);
/* The highest index at which a cut still leaves at least this many bytes; base_index if none. */
uint64_t tail_cut_keeping(const struct tail *t, uint64_t bytes);
void tail_check(const struct tail *t);

#endif
