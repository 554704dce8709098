/* check_history.c - is what clients were told linearizable? The checkers on histories in files. */
#include <json-c/json.h>

#include "base/opt.h"
#include "tests/history/blind.h"
#include "tests/history/witness.h"

static struct options {
	uint64_t max_steps;
	int64_t max_bytes;
	bool json, help, quiet, witness;
} opt = { .max_steps = 20000000, .max_bytes = 512 << 20 };

static const struct opt opts[] = {
	{ .name = "max-steps",
	  .kind = OPT_U64,
	  .offset = offsetof(struct options, max_steps),
	  .value = "N",
	  .def = "20000000",
	  .min = 1,
	  .help = "steps of the search for one object, after which it is undecided" },
	{ .name = "max-bytes",
	  .kind = OPT_SIZE,
	  .offset = offsetof(struct options, max_bytes),
	  .value = "BYTES",
	  .def = "512M",
	  .help = "memory of the search for one object" },
	{ .name = "witness",
	  .kind = OPT_FLAG,
	  .offset = offsetof(struct options, witness),
	  .help = "replay by log index instead of searching: for histories that tell it" },
	{ .name = "json",
	  .kind = OPT_FLAG,
	  .offset = offsetof(struct options, json),
	  .help = "print one JSON object" },
	{ .name = "quiet",
	  .short_name = 'q',
	  .kind = OPT_FLAG,
	  .offset = offsetof(struct options, quiet),
	  .help = "print violations alone" },
	{ .name = "help",
	  .short_name = 'h',
	  .kind = OPT_FLAG,
	  .offset = offsetof(struct options, help),
	  .help = "this text" },
};

enum { EXIT_OK, EXIT_VIOLATION, EXIT_USAGE, EXIT_UNDECIDED };

struct counts {
	size_t operations, open, torn;
};

static void put_number(struct json_object *o, const char *name, uint64_t v)
{
	json_object_object_add(o, name, json_object_new_int64((int64_t)v));
}

static const char *verdict_name(int verdict)
{
	static const char *const names[] = { "linearizable", "not linearizable", "undecided" };

	return names[verdict];
}

static void print_json(const struct counts *c, const struct blind_result *r, int verdict)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "verdict", json_object_new_string(verdict_name(verdict)));
	put_number(o, "operations", c->operations);
	put_number(o, "open", c->open);
	put_number(o, "torn_files", c->torn);
	put_number(o, "judged", r->ops_judged);
	put_number(o, "not_judged", r->ops_not_judged);
	put_number(o, "objects", r->objects);
	put_number(o, "violations", r->violations);
	put_number(o, "undecided", r->undecided);
	put_number(o, "steps", r->steps);
	json_object_object_add(
		o, "report",
		json_object_new_string_len((const char *)r->report.data, (int)r->report.len));
	printf("%s\n", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY));
	json_object_put(o);
}

static void print_text(const struct counts *c, const struct blind_result *r, int verdict)
{
	fwrite(r->report.data, 1, r->report.len, stdout);
	if (opt.quiet && verdict == 0)
		return;
	printf("%s: %zu operations (%zu open, %zu not judged), %zu objects: "
	       "%zu violated, %zu undecided; %llu steps\n",
	       verdict_name(verdict), c->operations, c->open, r->ops_not_judged, r->objects,
	       r->violations, r->undecided, (unsigned long long)r->steps);
	if (c->torn)
		printf("%zu files end in the middle of a line, which was left out\n", c->torn);
}

static int check(const struct history *h, struct counts *c)
{
	struct wgl_limits limits = { .max_steps = opt.max_steps,
				     .max_bytes = (uint64_t)opt.max_bytes };
	struct blind_result r;
	int verdict;

	c->operations = h->count;
	for (size_t i = 0; i < h->count; i++)
		c->open += !h->ops[i].done;
	verdict = blind_check(h, &limits, &r);
	if (opt.json)
		print_json(c, &r, verdict);
	else
		print_text(c, &r, verdict);
	buf_release(&r.report);
	return verdict == 0 ? EXIT_OK : verdict == 1 ? EXIT_VIOLATION : EXIT_UNDECIDED;
}

/* For histories of the simulator. */
static int check_witness(const struct history *h)
{
	struct witness_result r;
	int verdict = witness_check(h, &r);

	if (opt.json) {
		struct json_object *o = json_object_new_object();

		json_object_object_add(o, "verdict",
				       json_object_new_string(verdict ? "wrong answer" : "right"));
		put_number(o, "operations", h->count);
		put_number(o, "judged", r.judged);
		put_number(o, "not_judged", r.not_judged);
		put_number(o, "unplaced", r.unplaced);
		json_object_object_add(
			o, "report",
			json_object_new_string_len((const char *)r.report.data, (int)r.report.len));
		printf("%s\n", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY));
		json_object_put(o);
	} else {
		fwrite(r.report.data, 1, r.report.len, stdout);
		printf("%s: %zu operations: %zu judged, %zu not, %zu without an index\n",
		       verdict ? "wrong answer" : "right", h->count, r.judged, r.not_judged,
		       r.unplaced);
	}
	buf_release(&r.report);
	return verdict ? EXIT_VIOLATION : EXIT_OK;
}

static int fail(struct err *err, const char *still_works)
{
	err_advise(err, still_works, "check_history --help");
	err_print(err, "check_history");
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	struct history h = HISTORY_INIT;
	struct counts counts = { .torn = 0 };
	struct err err = ERR_INIT;
	int count, code = EXIT_OK;

	if (opt_parse_argv(opts, ARRAY_SIZE(opts), argc, argv, &opt, &count, &err) < 0)
		return fail(&err, "nothing was read");
	if (opt.help) {
		printf("usage: check_history [OPTION]... FILE...\n"
		       "Judges the operations of all FILEs together, recorded with one clock.\n"
		       "Exit: 0 linearizable, 1 not, 2 usage or unreadable file, 3 undecided "
		       "within the limits.\n\n");
		opt_print_help(opts, ARRAY_SIZE(opts), stdout);
		return EXIT_OK;
	}
	if (count < 1) {
		err_set(&err, -EINVAL, "no file to check");
		return fail(&err, "nothing was read");
	}
	for (int i = 1; i <= count && code == EXIT_OK; i++) {
		bool torn = false;

		if (history_load(&h, argv[i], &torn, &err) < 0)
			code = fail(&err, "the other files");
		counts.torn += torn;
	}
	if (code == EXIT_OK)
		code = opt.witness ? check_witness(&h) : check(&h, &counts);
	history_release(&h);
	return code;
}
