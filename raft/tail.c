/* tail.c - see tail.h. */
#include "raft/tail.h"

#include "base/mark.h"

static void drop_entries(struct raft_entry *v, size_t count)
{
	for (size_t i = 0; i < count; i++)
		blob_unref(v[i].data);
}

static void push_run(struct tail *t, uint64_t index, uint64_t term)
{
	if (t->run_count == t->run_cap) {
		t->run_cap = t->run_cap == 0 ? 16 : 2 * t->run_cap;
		t->runs = mem_realloc(t->runs, t->run_cap * sizeof(t->runs[0]));
	}
	t->runs[t->run_count++] = (struct tail_run){ .index = index, .term = term };
}

void tail_init(struct tail *t, uint64_t base_index, uint64_t base_term,
	       const struct raft_entry *runs, size_t run_count, uint64_t last_index,
	       uint64_t mark_step)
{
	*t = (struct tail){ .base_index = base_index,
			    .base_term = base_term,
			    .last_index = last_index,
			    .mark_step = mark_step };
	for (size_t i = 0; i < run_count; i++)
		push_run(t, runs[i].index, runs[i].term);
}

static void drop_window(struct tail *t)
{
	drop_entries(t->window, t->window_count);
	free(t->window);
	t->window = NULL;
	t->window_count = 0;
}

void tail_release(struct tail *t)
{
	if (t->count > 0)
		drop_entries(t->cache + t->head, t->count);
	drop_window(t);
	free(t->cache);
	free(t->runs);
	free(t->marks);
	*t = (struct tail){ .base_index = 0 };
}

/* The position of the last run that starts at or before index; run_count if there is none. */
static size_t run_of(const struct tail *t, uint64_t index)
{
	size_t lo = 0, hi = t->run_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (t->runs[mid].index <= index)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo == 0 ? t->run_count : lo - 1;
}

uint64_t tail_term(const struct tail *t, uint64_t index)
{
	if (index < t->base_index || index > t->last_index)
		return 0;
	return index == t->base_index ? t->base_term : t->runs[run_of(t, index)].term;
}

uint64_t tail_last_term(const struct tail *t)
{
	return tail_term(t, t->last_index);
}

bool tail_matches(const struct tail *t, uint64_t index, uint64_t term)
{
	return index >= t->base_index && index <= t->last_index && tail_term(t, index) == term;
}

uint64_t tail_find_conflict(const struct tail *t, uint64_t from, uint64_t term,
			    uint64_t *found_term)
{
	uint64_t index = min_u64(from, t->last_index);

	for (size_t i = run_of(t, index); index > t->base_index && i < t->run_count; i--) {
		if (t->runs[i].term <= term) {
			*found_term = t->runs[i].term;
			return index;
		}
		index = t->runs[i].index - 1;
		if (i == 0)
			break;
	}
	if (index == t->base_index && t->base_term <= term) {
		*found_term = t->base_term;
		return index;
	}
	MARK("raft.tail.conflict-below-base");
	/* Below the base nothing is known; a base of 0 has term 0 and was returned above. */
	*found_term = 0;
	return min_u64(index, t->base_index - 1);
}

static void mark_entry(struct tail *t, uint64_t index, uint64_t bytes)
{
	if (t->mark_count > 0 && t->marks[t->mark_count - 1].bytes < t->mark_step) {
		t->marks[t->mark_count - 1].bytes += bytes;
		return;
	}
	if (t->mark_count == t->mark_cap) {
		t->mark_cap = t->mark_cap == 0 ? 16 : 2 * t->mark_cap;
		t->marks = mem_realloc(t->marks, t->mark_cap * sizeof(t->marks[0]));
	}
	t->marks[t->mark_count++] = (struct tail_mark){ .index = index, .bytes = bytes };
}

void tail_append(struct tail *t, struct raft_entry e)
{
	assert(e.index == t->last_index + 1 && e.term >= tail_last_term(t));
	if (t->head + t->count == t->cap) {
		if (t->head > t->cap / 2) {
			memmove(t->cache, t->cache + t->head, t->count * sizeof(e));
			t->head = 0;
		} else {
			t->cap = t->cap == 0 ? 64 : 2 * t->cap;
			t->cache = mem_realloc(t->cache, t->cap * sizeof(e));
		}
	}
	if (e.term != tail_last_term(t) || t->run_count == 0)
		push_run(t, e.index, e.term);
	t->cache[t->head + t->count++] = e;
	t->cache_bytes += entry_bytes(&e);
	t->last_index = e.index;
	mark_entry(t, e.index, entry_bytes(&e));
}

uint64_t tail_cache_first(const struct tail *t)
{
	return t->last_index - t->count + 1;
}

const struct raft_entry *tail_get(const struct tail *t, uint64_t index)
{
	uint64_t first = tail_cache_first(t);

	if (index >= first && index <= t->last_index)
		return &t->cache[t->head + (size_t)(index - first)];
	if (t->window_count > 0 && index >= t->window[0].index &&
	    index - t->window[0].index < t->window_count)
		return &t->window[index - t->window[0].index];
	return NULL;
}

static void pop_front(struct tail *t)
{
	struct raft_entry *e = &t->cache[t->head];

	t->cache_bytes -= entry_bytes(e);
	blob_unref(e->data);
	t->head++;
	t->count--;
	if (t->count == 0)
		t->head = 0;
}

void tail_truncate(struct tail *t, uint64_t index)
{
	assert(index > t->base_index);
	for (; t->count > 0 && t->last_index >= index; t->last_index--) {
		struct raft_entry *e = &t->cache[t->head + --t->count];

		t->cache_bytes -= entry_bytes(e);
		blob_unref(e->data);
	}
	if (t->count == 0)
		t->head = 0;
	t->last_index = min_u64(t->last_index, index - 1);
	while (t->run_count > 0 && t->runs[t->run_count - 1].index >= index)
		t->run_count--;
	while (t->mark_count > 0 && t->marks[t->mark_count - 1].index >= index)
		t->mark_count--;
	if (t->window_count > 0 && t->window[t->window_count - 1].index >= index)
		drop_window(t);
}

void tail_cut(struct tail *t, uint64_t index)
{
	uint64_t term = tail_term(t, index);
	size_t gone = 0;

	assert(index >= t->base_index && index <= t->last_index);
	while (t->count > 0 && t->cache[t->head].index <= index)
		pop_front(t);
	while (gone + 1 < t->run_count && t->runs[gone + 1].index <= index + 1)
		gone++;
	memmove(t->runs, t->runs + gone, (t->run_count - gone) * sizeof(t->runs[0]));
	t->run_count -= gone;
	if (index == t->last_index)
		t->run_count = 0;
	else if (t->run_count > 0)
		t->runs[0].index = index + 1;
	for (gone = 0; gone + 1 < t->mark_count && t->marks[gone + 1].index <= index + 1;)
		gone++;
	if (gone > 0) {
		memmove(t->marks, t->marks + gone, (t->mark_count - gone) * sizeof(t->marks[0]));
		t->mark_count -= gone;
	}
	if (t->window_count > 0 && t->window[0].index <= index)
		drop_window(t);
	t->base_index = index;
	t->base_term = term;
}

void tail_reset(struct tail *t, uint64_t index, uint64_t term)
{
	while (t->count > 0)
		pop_front(t);
	drop_window(t);
	t->run_count = 0;
	t->mark_count = 0;
	t->base_index = t->last_index = index;
	t->base_term = term;
}

void tail_evict(struct tail *t, uint64_t max_bytes, uint64_t upto)
{
	while (t->count > 0 && t->cache_bytes > max_bytes && t->cache[t->head].index <= upto)
		pop_front(t);
}

void tail_set_window(struct tail *t, const struct raft_entry *v, size_t count)
{
	drop_window(t);
	if (count == 0)
		return;
	assert(v[0].index > t->base_index && v[count - 1].index <= t->last_index);
	t->window = mem_dup(v, count * sizeof(v[0]));
	t->window_count = count;
	for (size_t i = 0; i < count; i++)
		blob_ref(v[i].data);
}

uint64_t tail_cut_keeping(const struct tail *t, uint64_t bytes)
{
	uint64_t kept = 0;

	if (bytes == 0)
		return t->last_index;
	for (size_t i = t->mark_count; i > 0; i--) {
		kept += t->marks[i - 1].bytes;
		if (kept >= bytes)
			return max_u64(t->marks[i - 1].index - 1, t->base_index);
	}
	return t->base_index;
}

void tail_check(const struct tail *t)
{
	uint64_t bytes = 0;

	assert(t->base_index <= t->last_index);
	assert((t->run_count == 0) == (t->base_index == t->last_index));
	assert(t->run_count == 0 || t->runs[0].index == t->base_index + 1);
	assert(t->run_count == 0 || t->runs[0].term >= t->base_term);
	for (size_t i = 1; i < t->run_count; i++)
		assert(t->runs[i].index > t->runs[i - 1].index &&
		       t->runs[i].term > t->runs[i - 1].term);
	assert(t->run_count == 0 || t->runs[t->run_count - 1].index <= t->last_index);
	assert(tail_cache_first(t) > t->base_index);
	for (size_t i = 0; i < t->count; i++) {
		const struct raft_entry *e = &t->cache[t->head + i];

		assert(e->index == tail_cache_first(t) + i && e->term == tail_term(t, e->index));
		bytes += entry_bytes(e);
	}
	assert(bytes == t->cache_bytes);
	for (size_t i = 0; i < t->window_count; i++)
		assert(tail_matches(t, t->window[i].index, t->window[i].term));
}
