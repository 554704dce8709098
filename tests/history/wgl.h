/*
 * wgl.h - is there an order of operations that respects real time and that a model accepts?
 *
 * The search of Wing and Gong ("Testing and verifying concurrent objects", 1993) with Lowe's memory of
 * (set of operations done, state) ("Testing for linearizability", 2017), as porcupine arranges it. Sets
 * are remembered by a 128-bit sum of random numbers; two that are taken for one by chance would need
 * some 2^64 of them. Open operations may take effect at any time after their start, or never: they are
 * tried last and only when they change the state.
 */
#ifndef TESTS_HISTORY_WGL_H
#define TESTS_HISTORY_WGL_H

#include "base/base.h"

struct wgl_op {
	uint64_t start_ns, end_ns;
	bool open;        /* end_ns and what it answered mean nothing */
	bool observes;    /* in no state does it change anything but what is known */
	const void *what; /* for the model */
};

/* States are the model's numbers; equal states must have equal numbers. */
struct wgl_model {
	/* False: op cannot happen in state with the answer it gave. Of an open one no answer is known. */
	bool (*step)(void *ctx, uint32_t state, const struct wgl_op *op, uint32_t *next);
	/* Bytes that the model's states take; NULL: none worth counting. */
	uint64_t (*bytes)(void *ctx);
	void *ctx;
	uint32_t initial;
};

struct wgl_limits {
	uint64_t max_steps; /* calls of step() */
	uint64_t max_bytes; /* of the search's memory and the model's states */
};

enum wgl_verdict { WGL_OK, WGL_BAD, WGL_UNDECIDED };

struct wgl_result {
	uint64_t steps;
	/* The longest order found: numbers of ops; the caller frees it. */
	size_t *order, order_count;
};

enum wgl_verdict wgl_check(const struct wgl_model *m, const struct wgl_op *ops, size_t count,
			   const struct wgl_limits *limits, struct wgl_result *result);

#endif
