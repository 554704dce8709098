/* intern.h - byte strings as small numbers: equal strings, equal numbers. States and names of the checkers. */
#ifndef TESTS_HISTORY_INTERN_H
#define TESTS_HISTORY_INTERN_H

#include "base/base.h"
#include "base/hash.h"

struct intern_item;

struct intern {
	struct htable table;
	struct intern_item **items;
	size_t count, cap;
	uint64_t bytes; /* used, roughly */
};

#define INTERN_INIT ((struct intern){ .table = HTABLE_INIT })

void intern_release(struct intern *in);
/* Numbers count up from 0. */
uint32_t intern_put(struct intern *in, const void *data, size_t len);
/* False: never put. */
bool intern_find(const struct intern *in, const void *data, size_t len, uint32_t *number);
/* Lives until release. */
const void *intern_get(const struct intern *in, uint32_t number, size_t *len);

#endif
