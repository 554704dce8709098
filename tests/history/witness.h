/*
 * witness.h - replays a history in the order of the log and compares every answer with a plain model.
 *
 * Each change stands at its log index. A read, and an error, stands at the applied index it was answered
 * at, or later if a change that was answered before the read was asked has a higher one: a reader may be
 * behind in what it did not look at, but what it says must hold then, too. Changes, for their part, must
 * have indexes in the order of real time. The model is tests/lib/fsmodel.h, and for keys a table.
 *
 * An open change with an index took effect there; one without an index is taken as never executed, so a
 * caller that cannot see the log must use the blind checker. Answers without an index are counted and not
 * judged. So are: times, extended attributes, refusals for want of space or rights, and files that grew
 * beyond WITNESS_FILE_MAX. Time: O(n log n) beside the model's own.
 */
#ifndef TESTS_HISTORY_WITNESS_H
#define TESTS_HISTORY_WITNESS_H

#include "tests/history/history.h"

#define WITNESS_FILE_MAX (16u << 20)

struct witness_result {
	size_t judged, not_judged, unplaced; /* operations; unplaced: answered, index unknown */
	size_t violations;                   /* 0 or 1: it stops at the first */
	struct buf report;
};

/* 0: every judged answer is right; 1: not. The caller releases result->report. */
int witness_check(const struct history *h, struct witness_result *result);

#endif
