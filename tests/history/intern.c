/* intern.c - see intern.h. */
#include "tests/history/intern.h"

#include "base/buf.h"

struct intern_item {
	struct hnode node;
	uint32_t number;
	size_t len;
	uint8_t data[];
};

void intern_release(struct intern *in)
{
	for (size_t i = 0; i < in->count; i++)
		free(in->items[i]);
	free(in->items);
	htable_release(&in->table);
	*in = INTERN_INIT;
}

bool intern_find(const struct intern *in, const void *data, size_t len, uint32_t *number)
{
	struct hnode *n = htable_first(&in->table, hash64(data, len));

	for (; n; n = htable_next(n)) {
		const struct intern_item *item = CONTAINER_OF(n, struct intern_item, node);

		if (item->len == len && (len == 0 || memcmp(item->data, data, len) == 0)) {
			*number = item->number;
			return true;
		}
	}
	return false;
}

uint32_t intern_put(struct intern *in, const void *data, size_t len)
{
	struct intern_item *item;
	uint32_t number;

	if (intern_find(in, data, len, &number))
		return number;
	if (in->count == in->cap) {
		in->cap = in->cap ? 2 * in->cap : 64;
		in->items = mem_realloc(in->items, in->cap * sizeof(*in->items));
	}
	item = mem_alloc(sizeof(*item) + len);
	item->number = (uint32_t)in->count;
	item->len = len;
	if (len > 0)
		memcpy(item->data, data, len);
	htable_add(&in->table, &item->node, hash64(data, len));
	in->items[in->count++] = item;
	in->bytes += sizeof(*item) + len + 24;
	return item->number;
}

const void *intern_get(const struct intern *in, uint32_t number, size_t *len)
{
	assert(number < in->count);
	if (len)
		*len = in->items[number]->len;
	return in->items[number]->data;
}
