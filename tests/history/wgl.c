/*
 * wgl.c - see wgl.h.
 *
 * Calls and returns of answered operations lie in one list by time, open operations in another by
 * their start. A step takes an operation that was called before the first return in the list, and
 * lifts its two events out; at a dead end the last step is undone and the next candidate tried.
 *
 * An answered operation that observes and fits is taken at once and for good: any order that has it later
 * stays an order when it is moved here. So only changes are tried in different orders. (A change that
 * happens to change nothing here is no such thing: later it may be needed.)
 */
#include "tests/history/wgl.h"

#include "base/buf.h"
#include "base/hash.h"
#include "base/list.h"

struct event {
	struct list link;
	struct event *match; /* of a call: its return; NULL for a return, and for open ones */
	uint64_t time_ns;
	size_t op;
	bool is_call, open;
};

struct taken {
	struct event *call;
	uint32_t state; /* before */
	bool free;      /* it observes: no other choice here is better */
};

struct key {
	uint64_t a, b; /* both 0: free */
};

struct search {
	const struct wgl_model *m;
	const struct wgl_op *ops;
	struct event *events;
	struct list answered, open;
	size_t answered_left;
	struct taken *stack;
	size_t depth;
	struct key set; /* of the operations on the stack */
	struct key *seen;
	size_t seen_count, seen_cap;
};

/* ---- memory ---------------------------------------------------------------------------------------- */

static struct key key_of(size_t op)
{
	return (struct key){ hash_u64(2 * op + 1), hash_u64(~(uint64_t)(2 * op)) };
}

static bool seen_put(struct key *table, size_t cap, struct key k)
{
	for (size_t i = k.a & (cap - 1);; i = (i + 1) & (cap - 1)) {
		if (table[i].a == k.a && table[i].b == k.b)
			return false;
		if (table[i].a == 0 && table[i].b == 0) {
			table[i] = k;
			return true;
		}
	}
}

static void seen_grow(struct search *s)
{
	size_t cap = s->seen_cap ? 2 * s->seen_cap : 1024;
	struct key *table = mem_calloc(cap, sizeof(*table));

	for (size_t i = 0; i < s->seen_cap; i++) {
		if (s->seen[i].a || s->seen[i].b)
			seen_put(table, cap, s->seen[i]);
	}
	free(s->seen);
	s->seen = table;
	s->seen_cap = cap;
}

/* False: this set of operations has led to this state before. */
static bool is_new(struct search *s, struct key set, uint32_t state)
{
	struct key k = { set.a ^ hash_u64(state), set.b ^ hash_u64(~(uint64_t)state) };

	if (4 * (s->seen_count + 1) > 3 * s->seen_cap)
		seen_grow(s);
	if (!seen_put(s->seen, s->seen_cap, k))
		return false;
	s->seen_count++;
	return true;
}

static bool over_limits(const struct search *s, const struct wgl_limits *limits, uint64_t steps)
{
	uint64_t bytes = s->seen_cap * sizeof(struct key);

	if (s->m->bytes)
		bytes += s->m->bytes(s->m->ctx);
	return steps > limits->max_steps || bytes > limits->max_bytes;
}

/* ---- events ---------------------------------------------------------------------------------------- */

/* At equal times calls come first: only what was answered before another was asked comes before it. */
static int by_time(const void *a, const void *b)
{
	const struct event *x = *(struct event *const *)a, *y = *(struct event *const *)b;

	if (x->time_ns != y->time_ns)
		return x->time_ns < y->time_ns ? -1 : 1;
	if (x->is_call != y->is_call)
		return x->is_call ? -1 : 1;
	return x->op < y->op ? -1 : x->op > y->op;
}

static void search_init(struct search *s, const struct wgl_model *m, const struct wgl_op *ops,
			size_t count)
{
	struct event **order = mem_calloc(2 * count, sizeof(*order));
	size_t n = 0;

	*s = (struct search){ .m = m, .ops = ops };
	s->events = mem_calloc(2 * count, sizeof(*s->events));
	s->stack = mem_calloc(count, sizeof(*s->stack));
	list_init(&s->answered);
	list_init(&s->open);
	for (size_t i = 0; i < count; i++) {
		struct event *call = &s->events[n], *ret = &s->events[n + 1];

		*call = (struct event){
			.time_ns = ops[i].start_ns, .op = i, .is_call = true, .open = ops[i].open
		};
		order[n++] = call;
		if (ops[i].open)
			continue;
		call->match = ret;
		*ret = (struct event){ .time_ns = ops[i].end_ns, .op = i };
		order[n++] = ret;
		s->answered_left++;
	}
	qsort(order, n, sizeof(*order), by_time);
	for (size_t i = 0; i < n; i++)
		list_add_tail(order[i]->open ? &s->open : &s->answered, &order[i]->link);
	free(order);
}

static void search_release(struct search *s)
{
	free(s->events);
	free(s->stack);
	free(s->seen);
}

static void lift(struct search *s, struct event *call)
{
	call->link.prev->next = call->link.next;
	call->link.next->prev = call->link.prev;
	if (call->match) {
		call->match->link.prev->next = call->match->link.next;
		call->match->link.next->prev = call->match->link.prev;
		s->answered_left--;
	}
}

/* In the reverse order of lift(), so the neighbours are what they were then. */
static void unlift(struct search *s, struct event *call)
{
	if (call->match) {
		call->match->link.prev->next = &call->match->link;
		call->match->link.next->prev = &call->match->link;
		s->answered_left++;
	}
	call->link.prev->next = &call->link;
	call->link.next->prev = &call->link;
}

/* ---- the search ------------------------------------------------------------------------------------ */

static uint64_t first_return_ns(const struct search *s)
{
	list_for_each (it, &s->answered) {
		const struct event *e = list_entry(it, struct event, link);

		if (!e->is_call)
			return e->time_ns;
	}
	return UINT64_MAX;
}

/* The candidate behind `from` (NULL: the first), or NULL at a dead end. */
static struct event *candidate(struct search *s, struct event *from)
{
	struct list *it = from ? from->link.next : s->answered.next;
	struct event *e;

	if (!from || !from->open) {
		e = list_entry(it, struct event, link);
		if (it != &s->answered && e->is_call)
			return e;
		it = s->open.next;
	}
	e = list_entry(it, struct event, link);
	return it != &s->open && e->time_ns <= first_return_ns(s) ? e : NULL;
}

static void take(struct search *s, struct event *call, uint32_t *state, uint32_t next, bool free)
{
	struct key k = key_of(call->op);

	s->stack[s->depth++] = (struct taken){ call, *state, free };
	s->set.a ^= k.a;
	s->set.b ^= k.b;
	*state = next;
	lift(s, call);
}

/* Undoes the last choice and what came free behind it; NULL: there was none. */
static struct event *undo(struct search *s, uint32_t *state)
{
	while (s->depth > 0) {
		struct taken *t = &s->stack[--s->depth];
		struct key k = key_of(t->call->op);

		s->set.a ^= k.a;
		s->set.b ^= k.b;
		*state = t->state;
		unlift(s, t->call);
		if (!t->free)
			return t->call;
	}
	return NULL;
}

/* Takes an operation that observes and fits, if there is one. */
static bool take_free(struct search *s, uint32_t *state, uint64_t *steps)
{
	list_for_each (it, &s->answered) {
		struct event *call = list_entry(it, struct event, link);
		uint32_t next;

		if (!call->is_call)
			return false;
		if (!s->ops[call->op].observes)
			continue;
		++*steps;
		if (s->m->step(s->m->ctx, *state, &s->ops[call->op], &next) && next == *state) {
			take(s, call, state, next, true);
			return true;
		}
	}
	return false;
}

static void keep_longest(const struct search *s, struct wgl_result *result)
{
	if (s->depth <= result->order_count)
		return;
	for (size_t i = 0; i < s->depth; i++)
		result->order[i] = s->stack[i].call->op;
	result->order_count = s->depth;
}

enum wgl_verdict wgl_check(const struct wgl_model *m, const struct wgl_op *ops, size_t count,
			   const struct wgl_limits *limits, struct wgl_result *result)
{
	enum wgl_verdict verdict = WGL_OK;
	uint32_t state = m->initial, next;
	struct event *at = NULL;
	struct search s;

	*result = (struct wgl_result){ .order = mem_calloc(count, sizeof(size_t)) };
	search_init(&s, m, ops, count);
	while (s.answered_left > 0 && verdict == WGL_OK) {
		if (over_limits(&s, limits, ++result->steps)) {
			verdict = WGL_UNDECIDED;
			break;
		}
		if (!at && take_free(&s, &state, &result->steps))
			continue;
		at = candidate(&s, at);
		if (!at) {
			keep_longest(&s, result);
			at = undo(&s, &state);
			verdict = at ? WGL_OK : WGL_BAD;
		} else if (m->step(m->ctx, state, &ops[at->op], &next) &&
			   !(at->open && next == state)) {
			struct key k = key_of(at->op), set = { s.set.a ^ k.a, s.set.b ^ k.b };

			if (is_new(&s, set, next)) {
				take(&s, at, &state, next, false);
				at = NULL;
			}
		}
	}
	keep_longest(&s, result);
	search_release(&s);
	return verdict;
}
