/*
 * mark.h - coverage marks: a counter with a name at each rare branch.
 *
 * MARK("store.log.torn-tail-cut") in a branch that ordinary runs seldom take counts how often it was
 * taken. A campaign of simulations prints every mark of the program and so names the branches that no
 * seed has reached, which a line count cannot: the same line is "covered" by a unit test, or by a run
 * that came there on an ordinary way.
 *
 * Names are folder.subject.what-happened, in lower case ("raft.replicate.reject-without-hint"), told
 * apart by dots; tests/lint/marks.sh checks them. The same name may stand in several places where they
 * are one idea: their counts are added. Place a mark where the rare thing is decided, not where it is
 * noticed.
 *
 * Marks are in every build (docs/decisions.md): one relaxed increment, in branches that are rare by
 * definition, and the simulator runs the very objects that ship. Nothing in the product ever reads
 * them, so they are no state: raft/ and fs/ops may have them. Thread safe throughout.
 */
#ifndef BASE_MARK_H
#define BASE_MARK_H

#include <stdatomic.h>

#include "base/base.h"

struct buf;

struct mark {
	const char *name;
	const char *file;
	unsigned line;
	_Atomic uint64_t hits;
};

/*
 * The linker gathers a pointer to each mark in one section, which is how they are found without any
 * registration at run time. Pointers, because compilers may align bigger objects as they please.
 */
#define MARK(text)                                                                                 \
	do {                                                                                       \
		static struct mark mark_here = { .name = "" text,                                  \
						 .file = __FILE__,                                 \
						 .line = __LINE__ };                               \
		static struct mark *const mark_entry __attribute__((section("qfs_marks"), used)) = \
			&mark_here;                                                                \
		(void)mark_entry;                                                                  \
		atomic_fetch_add_explicit(&mark_here.hits, 1, memory_order_relaxed);               \
	} while (0)

/* For a rare case that has no branch of its own, or whose branch is one line. */
#define MARK_IF(condition, text)                                                                   \
	do {                                                                                       \
		if (condition)                                                                     \
			MARK(text);                                                                \
	} while (0)

/* One name of the program, all its places added. */
struct mark_count {
	const char *name;
	const char *file; /* of the first place */
	unsigned line;
	uint64_t hits;
};

/**
 * mark_list() - every mark of this program, whether it was ever taken or not.
 * @list: result, sorted by name, each name once; to free(). NULL if there are none.
 *
 * Return: how many.
 */
size_t mark_list(struct mark_count **list);

uint64_t mark_hits(const char *name); /* 0 also for a name that does not exist */
void mark_reset(void);                /* every count to 0 */

enum mark_format { MARK_TABLE, MARK_JSON };

/**
 * mark_print() - append all marks to @out.
 *
 * MARK_TABLE: one line for each, "HITS NAME FILE:LINE", sorted by name; those never hit come first.
 * MARK_JSON: one object in one line, {"name":hits,...}; results of several runs are added by name.
 */
void mark_print(struct buf *out, enum mark_format format);

#endif
