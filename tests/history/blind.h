/*
 * blind.h - linearizability of a history by what clients saw alone: no log index, no knowledge of nodes.
 *
 * The history is cut into objects that can be judged apart (a history is linearizable when each object's
 * part is): the contents of a file, a user key, the permission bits of an inode, and names. Each name of
 * a directory is an object of its own; renames, hard links, whole listings and the emptiness of a removed
 * directory join those they touch. Each object is searched for an order (wgl.h) under a model.
 *
 * What an operation says of two objects is judged in each apart, which is weaker than together and never
 * wrong. Not judged at all, and counted: refusals that no model foretells (ENOSPC, EACCES, ...), times,
 * owners, extended attributes, link counts and sizes of directories.
 */
#ifndef TESTS_HISTORY_BLIND_H
#define TESTS_HISTORY_BLIND_H

#include "tests/history/history.h"
#include "tests/history/intern.h"
#include "tests/history/wgl.h"

struct blind_result {
	size_t objects, violations, undecided; /* objects */
	size_t ops_judged, ops_not_judged;
	uint64_t steps;
	struct buf report; /* lines for people on each violation and undecided object */
};

#define BLIND_LIMITS ((struct wgl_limits){ .max_steps = 20000000, .max_bytes = 1u << 29 })

/* limits are for each object. 0: linearizable; 1: not; 2: undecided, as far as it was decided there was no
 * violation. The caller releases result->report. */
int blind_check(const struct history *h, const struct wgl_limits *limits,
		struct blind_result *result);

/* ---- for blind.c: the models ------------------------------------------------------------------------ */

/* One operation as one object sees it. */
struct blind_op {
	const struct hist_op *op;
	const char *about; /* the one name of a listing that is meant; NULL: all of the operation */
	size_t about_len;
	uint8_t kind;  /* names model */
	uint32_t a, b; /* names model */
};

/* Contents of a file or a key. ino: the file; 0: a key. */
struct content_model {
	uint64_t ino;
	struct intern chunks, states;
};
void content_model_init(struct content_model *m, uint64_t ino, struct wgl_model *wgl);
void content_model_release(struct content_model *m);
/* Does op say or do anything to the content of inode `*ino` (key: 0)? */
bool content_touches(const struct hist_op *op, uint64_t *ino);

/* Permission bits of an inode. */
void mode_model_init(struct wgl_model *wgl);
bool mode_touches(const struct hist_op *op, uint64_t *ino);

/* Names: blind_names.c cuts the whole history into its objects. */
struct names;
struct names *names_new(const struct history *h);
void names_free(struct names *n);
size_t names_object_count(const struct names *n);
bool names_judges(const struct names *n, size_t op); /* number in the history */
/* The operations of one object (borrowed), its model, its title. Valid until the next call. */
const struct blind_op *names_object(struct names *n, size_t object, size_t *count,
				    struct wgl_model *wgl, struct buf *title);

#endif
