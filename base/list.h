/* list.h - intrusive doubly linked list; a head is an empty ring. All inline. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include "base/base.h"

struct list {
	struct list *next, *prev;
};

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_add_tail(struct list *head, struct list *node)
{
	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}

static inline void list_add_head(struct list *head, struct list *node)
{
	list_add_tail(head->next, node);
}

/* Safe on a node that is in no list if list_init() was called on it. */
static inline void list_del(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

/* Moves all of src to the tail of dst; src is empty afterwards. */
static inline void list_splice_tail(struct list *dst, struct list *src)
{
	if (list_empty(src))
		return;
	src->next->prev = dst->prev;
	dst->prev->next = src->next;
	src->prev->next = dst;
	dst->prev = src->prev;
	list_init(src);
}

#define list_entry(ptr, type, member) CONTAINER_OF(ptr, type, member)
#define list_first(head, type, member) list_entry((head)->next, type, member)
#define list_for_each(it, head) for (struct list *it = (head)->next; it != (head); it = it->next)
/* The body may delete `it`. */
#define list_for_each_safe(it, head)                                                       \
	for (struct list *it = (head)->next, *it##_next = it->next; it != (head);          \
	     it = it##_next, it##_next = it->next)

#endif
