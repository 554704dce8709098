/* mark.c - see mark.h. */
#include "base/mark.h"

#include "base/buf.h"

/* From the linker; weak, because a program may be without any mark. */
extern struct mark *const __start_qfs_marks[] __attribute__((weak, visibility("hidden")));
extern struct mark *const __stop_qfs_marks[] __attribute__((weak, visibility("hidden")));

static int order_by_name(const void *a, const void *b)
{
	const struct mark_count *x = a;
	const struct mark_count *y = b;
	int order = strcmp(x->name, y->name);

	if (order == 0)
		order = strcmp(x->file, y->file);
	return order != 0 ? order : (x->line > y->line) - (x->line < y->line);
}

static uint64_t hits_of(const struct mark *m)
{
	return atomic_load_explicit(&m->hits, memory_order_relaxed);
}

/* Both ends are of one array, that the linker made: counted by address, as C knows two objects. */
static size_t places_marked(void)
{
	return ((uintptr_t)__stop_qfs_marks - (uintptr_t)__start_qfs_marks) / sizeof(struct mark *);
}

size_t mark_list(struct mark_count **list)
{
	size_t places = places_marked();
	size_t count = 0;
	struct mark_count *all;

	*list = NULL;
	if (places == 0)
		return 0;
	all = mem_calloc(places, sizeof(*all));
	for (size_t i = 0; i < places; i++) {
		const struct mark *m = __start_qfs_marks[i];

		all[i] = (struct mark_count){
			.name = m->name, .file = m->file, .line = m->line, .hits = hits_of(m)
		};
	}
	qsort(all, places, sizeof(*all), order_by_name);
	for (size_t i = 0; i < places; i++) {
		if (count > 0 && strcmp(all[count - 1].name, all[i].name) == 0)
			all[count - 1].hits += all[i].hits;
		else
			all[count++] = all[i];
	}
	*list = all;
	return count;
}

uint64_t mark_hits(const char *name)
{
	uint64_t hits = 0;

	for (struct mark *const *m = __start_qfs_marks; m != __stop_qfs_marks; m++)
		if (strcmp((*m)->name, name) == 0)
			hits += hits_of(*m);
	return hits;
}

void mark_reset(void)
{
	for (struct mark *const *m = __start_qfs_marks; m != __stop_qfs_marks; m++)
		atomic_store_explicit(&(*m)->hits, 0, memory_order_relaxed);
}

static void print_table(struct buf *out, const struct mark_count *list, size_t count)
{
	for (int taken = 0; taken <= 1; taken++) {
		for (size_t i = 0; i < count; i++) {
			const struct mark_count *m = &list[i];

			if ((m->hits > 0) == (taken == 1))
				buf_printf(out, "%12llu %s %s:%u\n", (unsigned long long)m->hits,
					   m->name, m->file, m->line);
		}
	}
}

static void print_json(struct buf *out, const struct mark_count *list, size_t count)
{
	buf_put_u8(out, '{');
	/* tests/lint/marks.sh: no name holds a character that JSON would quote. */
	for (size_t i = 0; i < count; i++)
		buf_printf(out, "%s\"%s\":%llu", i > 0 ? "," : "", list[i].name,
			   (unsigned long long)list[i].hits);
	buf_printf(out, "}\n");
}

void mark_print(struct buf *out, enum mark_format format)
{
	struct mark_count *list;
	size_t count = mark_list(&list);

	if (format == MARK_JSON)
		print_json(out, list, count);
	else
		print_table(out, list, count);
	free(list);
}
