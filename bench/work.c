/* work.c - work [OPTION...] DIR GROUP...: see work.h. Run by bench/compare. As root, for caches are dropped. */
#include <getopt.h>
#include <stdio.h>

#include "bench/work.h"

static const struct {
	const char *name;
	void (*run)(const struct work_options *o);
} groups[] = {
	{ "small", work_small }, { "many", work_many },     { "durable", work_durable },
	{ "bulk", work_bulk },   { "sqlite", work_sqlite }, { "raw", work_raw },
	{ "tree", work_tree },
};

static bool run_group(const char *name, const struct work_options *o)
{
	for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
		if (strcmp(groups[i].name, name) == 0) {
			groups[i].run(o);
			return true;
		}
	}
	return false;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seconds", required_argument, NULL, 's' },
		{ "files", required_argument, NULL, 'f' },
		{ "mib", required_argument, NULL, 'm' },
		{ NULL, 0, NULL, 0 },
	};
	struct work_options o = { .seconds = 4, .mib = 512 };
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (c == 's')
			o.seconds = strtod(optarg, NULL);
		else if (c == 'f')
			o.files = strtoull(optarg, NULL, 10);
		else if (c == 'm')
			o.mib = strtoull(optarg, NULL, 10);
		else
			return 2;
	}
	if (optind + 2 > argc || o.seconds <= 0 || o.mib == 0) {
		fprintf(stderr, "usage: work [--seconds=S] [--files=N] [--mib=N] DIR small|many|durable|bulk|sqlite|raw|tree...\n");
		return 2;
	}
	o.dir = argv[optind];
	for (int i = optind + 1; i < argc; i++) {
		if (!run_group(argv[i], &o)) {
			fprintf(stderr, "work: there is no group '%s'\n", argv[i]);
			return 2;
		}
	}
	return 0;
}
