/*
 * chaos_report.c - what a run of check-chaos did: operations, faults, and how long nothing was
 * acknowledged.
 *
 * usage: chaos_report EVENTS JSON HISTORY... ; the table goes to standard output, the same as JSON to
 * the file JSON. EVENTS is text, one event a line, times in seconds of the clock of the histories:
 *
 *   round START END               load ran
 *   fault START END KIND DETAIL   END is when it was healed; several may overlap
 *   set NAME VALUE                a figure or word to pass on
 *
 * The gap of a fault is the longest time without an acknowledged change, by any client, that overlaps
 * [START, END] and a round; it ends after END when the cluster had still to come back. Gaps of faults
 * that overlap are counted for each of them.
 */
#include <json-c/json.h>

#include "tests/history/history.h"

#define KINDS_MAX 64u
#define NAMES_MAX 64u

struct times {
	double *v;
	size_t count, cap;
};

struct span {
	double start, end;
	size_t kind;
};

struct kind {
	char name[32];
	struct times gaps;
};

struct figure {
	char name[32], value[128];
};

static struct report {
	struct times acks; /* ends of acknowledged changes, sorted */
	struct span *rounds, *faults;
	size_t round_count, fault_count;
	struct kind kinds[KINDS_MAX + 1]; /* [kind_count]: all of them */
	size_t kind_count;
	struct figure figures[NAMES_MAX];
	size_t figure_count;
	size_t operations, acknowledged, refused, unknown;
} report;

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "chaos_report: %s\n", what);
	exit(1);
}

static void times_add(struct times *t, double v)
{
	if (t->count == t->cap) {
		t->cap = t->cap ? 2 * t->cap : 64;
		t->v = mem_realloc(t->v, t->cap * sizeof(*t->v));
	}
	t->v[t->count++] = v;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void times_sort(struct times *t)
{
	if (t->count > 0)
		qsort(t->v, t->count, sizeof(*t->v), compare);
}

/* By nearest rank; of sorted times. */
static double quantile(const struct times *t, unsigned int percent)
{
	size_t rank = (t->count * percent + 99) / 100;

	return t->count ? t->v[rank ? rank - 1 : 0] : 0;
}

/* ---- input ----------------------------------------------------------------------------------------- */

static size_t kind_number(const char *name)
{
	size_t i = 0;

	while (i < report.kind_count && strcmp(report.kinds[i].name, name) != 0)
		i++;
	if (i == KINDS_MAX)
		die("too many kinds of faults");
	if (i == report.kind_count)
		snprintf(report.kinds[report.kind_count++].name, sizeof(report.kinds[i].name), "%s",
			 name);
	return i;
}

static void add_span(struct span **list, size_t *count, struct span s)
{
	*list = mem_realloc(*list, (*count + 1) * sizeof(**list));
	(*list)[(*count)++] = s;
}

static void read_events(const char *path)
{
	FILE *f = fopen(path, "re");
	struct figure g;
	char line[512], kind[32];
	struct span s;

	if (!f)
		die("cannot read the events");
	while (fgets(line, sizeof(line), f)) {
		s = (struct span){ .kind = 0 };
		if (sscanf(line, "round %lf %lf", &s.start, &s.end) == 2) {
			add_span(&report.rounds, &report.round_count, s);
		} else if (sscanf(line, "fault %lf %lf %31s", &s.start, &s.end, kind) == 3) {
			s.kind = kind_number(kind);
			add_span(&report.faults, &report.fault_count, s);
		} else if (sscanf(line, "set %31s %127[^\n]", g.name, g.value) == 2 &&
			   report.figure_count < NAMES_MAX) {
			report.figures[report.figure_count++] = g;
		}
	}
	fclose(f);
}

static bool is_change(const struct hist_op *op)
{
	switch (op->rq.op) {
	case FS_LOOKUP:
	case FS_GETATTR:
	case FS_READ:
	case FS_READDIR:
		return false;
	default:
		return true;
	}
}

static void read_history(const char *path)
{
	struct history h = HISTORY_INIT;
	struct err err = ERR_INIT;

	if (history_load(&h, path, NULL, &err) < 0)
		die(err.text);
	for (size_t i = 0; i < h.count; i++) {
		const struct hist_op *op = &h.ops[i];

		report.operations++;
		report.unknown += !op->done;
		report.refused += op->done && op->status != 0;
		if (!op->done || op->status != 0 || !is_change(op))
			continue;
		report.acknowledged++;
		times_add(&report.acks, (double)op->end_ns / 1e9);
	}
	history_release(&h);
}

/* ---- gaps ------------------------------------------------------------------------------------------ */

static double gap_in_round(const struct span *fault, const struct span *round)
{
	double last = round->start, gap = 0;

	if (fault->end < round->start || fault->start > round->end)
		return 0;
	for (size_t i = 0; i <= report.acks.count && last < fault->end; i++) {
		double at = i < report.acks.count ? report.acks.v[i] : round->end;

		if (at < round->start)
			continue;
		if (at > round->end)
			at = round->end;
		if (at >= fault->start && at - last > gap)
			gap = at - last;
		last = at;
		if (at >= round->end)
			break;
	}
	return gap;
}

static void find_gaps(void)
{
	struct kind *all = &report.kinds[report.kind_count];

	snprintf(all->name, sizeof(all->name), "all");
	for (size_t i = 0; i < report.fault_count; i++) {
		double gap = 0;

		for (size_t r = 0; r < report.round_count; r++) {
			double g = gap_in_round(&report.faults[i], &report.rounds[r]);

			gap = g > gap ? g : gap;
		}
		times_add(&report.kinds[report.faults[i].kind].gaps, gap * 1e3);
		times_add(&all->gaps, gap * 1e3);
	}
	for (size_t i = 0; i <= report.kind_count; i++)
		times_sort(&report.kinds[i].gaps);
}

/* ---- output ---------------------------------------------------------------------------------------- */

static void print_table(void)
{
	printf("%zu operations: %zu changes acknowledged, %zu refused, %zu of unknown outcome\n",
	       report.operations, report.acknowledged, report.refused, report.unknown);
	for (size_t i = 0; i < report.figure_count; i++)
		printf("%s: %s\n", report.figures[i].name, report.figures[i].value);
	printf("%-16s %7s  %s\n", "", "", "longest time without an acknowledged change, ms");
	printf("%-16s %7s %10s %10s %10s\n", "fault", "count", "median", "p99", "worst");
	for (size_t i = 0; i <= report.kind_count; i++) {
		const struct kind *k = &report.kinds[i];

		printf("%-16s %7zu %10.0f %10.0f %10.0f\n", k->name, k->gaps.count,
		       quantile(&k->gaps, 50), quantile(&k->gaps, 99), quantile(&k->gaps, 100));
	}
}

static void put_number(struct json_object *o, const char *name, double v)
{
	json_object_object_add(o, name, json_object_new_int64((int64_t)(v + 0.5)));
}

static struct json_object *figure_value(const char *text)
{
	char *end;
	long long v = strtoll(text, &end, 10);

	return *end == '\0' ? json_object_new_int64(v) : json_object_new_string(text);
}

static void write_json(const char *path)
{
	struct json_object *o = json_object_new_object(), *faults = json_object_new_array();

	put_number(o, "operations", (double)report.operations);
	put_number(o, "acknowledged", (double)report.acknowledged);
	put_number(o, "refused", (double)report.refused);
	put_number(o, "unknown", (double)report.unknown);
	for (size_t i = 0; i < report.figure_count; i++)
		json_object_object_add(o, report.figures[i].name,
				       figure_value(report.figures[i].value));
	for (size_t i = 0; i <= report.kind_count; i++) {
		const struct kind *k = &report.kinds[i];
		struct json_object *f = json_object_new_object();

		json_object_object_add(f, "fault", json_object_new_string(k->name));
		put_number(f, "count", (double)k->gaps.count);
		put_number(f, "gap_median_ms", quantile(&k->gaps, 50));
		put_number(f, "gap_p99_ms", quantile(&k->gaps, 99));
		put_number(f, "gap_worst_ms", quantile(&k->gaps, 100));
		json_object_array_add(faults, f);
	}
	json_object_object_add(o, "faults", faults);
	if (json_object_to_file_ext(path, o, JSON_C_TO_STRING_PRETTY) < 0)
		die("cannot write the JSON");
	json_object_put(o);
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "usage: chaos_report EVENTS JSON HISTORY...\n");
		return 2;
	}
	read_events(argv[1]);
	for (int i = 3; i < argc; i++)
		read_history(argv[i]);
	times_sort(&report.acks);
	find_gaps();
	print_table();
	write_json(argv[2]);
	return 0;
}
