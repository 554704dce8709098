/* main.c - quorumfs VERB ...: finds the verb, parses its options, runs it. */
#include <signal.h>

#include "base/log.h"
#include "base/version.h"
#include "ctl/ctl.h"
#include "node/node.h"

static void print_usage(FILE *f)
{
	const char *group = "";

	fprintf(f, "Usage: quorumfs VERB [OPTIONS] [OPERANDS]\n");
	for (size_t i = 0; i < ctl_verb_count; i++) {
		const struct ctl_verb *v = &ctl_verbs[i];
		char left[64];

		if (strcmp(group, v->group) != 0)
			fprintf(f, "%s\n", v->group);
		group = v->group;
		snprintf(left, sizeof(left), "%s %s", v->name, v->operands);
		fprintf(f, "  %-33s %s\n", left, v->summary);
	}
	fprintf(f, "Examples\n  quorumfs init /var/lib/quorumfs\n  quorumfs status -w json\n"
		   "  quorumfs help VERB        (or quorumfs VERB --help); see quorumfs(8)\n");
}

static void print_verb(const struct ctl_verb *v)
{
	printf("Usage: quorumfs %s [OPTIONS] %s\n\n%s.\n%s\n", v->name, v->operands, v->summary,
	       v->text ? v->text : "");
	opt_print_help(v->options, v->option_count, stdout);
}

/* argv[1..] starts with the verb's words; *words tells how many there are. */
static const struct ctl_verb *find_verb(int argc, char **argv, int *words)
{
	char two[128];

	for (size_t i = 0; i < ctl_verb_count; i++) {
		*words = strchr(ctl_verbs[i].name, ' ') ? 2 : 1;
		if (argc < 1 + *words)
			continue;
		if (*words == 2)
			snprintf(two, sizeof(two), "%s %s", argv[1], argv[2]);
		else
			snprintf(two, sizeof(two), "%s", argv[1]);
		if (strcmp(ctl_verbs[i].name, two) == 0)
			return &ctl_verbs[i];
	}
	return NULL;
}

static int usage_error(struct err *err, const char *verb)
{
	err_advise(err, "nothing was changed", "quorumfs help%s%s", verb ? " " : "", verb ? verb : "");
	err_print(err, "quorumfs");
	return CTL_USAGE;
}

static int run_verb(const struct ctl_verb *v, int argc, char **argv)
{
	struct ctl_args args = {
		.id = 1,
		.timeout_ms = 10000,
		.snapshot_threshold = NODE_SNAPSHOT_THRESHOLD_DEFAULT,
		.lease_ns = NODE_LEASE_NS_DEFAULT,
		.session_ttl_ms = NODE_SESSION_TTL_MS_DEFAULT,
		.clients = 1,
		.connections = 1,
		.seconds = 5,
		.warmup_s = 1,
		.size = 256,
	};
	struct err err = ERR_INIT;

	if (opt_parse_argv(v->options, v->option_count, argc, argv, &args, &args.operand_count, &err) < 0)
		return usage_error(&err, v->name);
	if (args.help) {
		print_verb(v);
		return CTL_OK;
	}
	if (args.format && strcmp(args.format, "json") == 0)
		args.json = true;
	else if (args.format && strcmp(args.format, "table") != 0)
		err_set(&err, -EINVAL, "unknown output format '%s'", args.format);
	if (args.operand_count < v->min_operands || args.operand_count > v->max_operands)
		err_set(&err, -EINVAL, "'%s' expects %s, got %d operands", v->name,
			v->operands[0] ? v->operands : "no operand", args.operand_count);
	if (err.code < 0)
		return usage_error(&err, v->name);
	args.operands = argv + 1;
	return v->run(&args);
}

static void print_options(void)
{
	for (size_t i = 0; i < ctl_verb_count; i++) {
		printf("verb\t%s\n", ctl_verbs[i].name);
		opt_print_table(ctl_verbs[i].options, ctl_verbs[i].option_count, stdout);
	}
}

int main(int argc, char **argv)
{
	const struct ctl_verb *v;
	struct err err = ERR_INIT;
	int words = 0;
	bool help;

	log_set_level(LOG_ERROR);
	signal(SIGPIPE, SIG_IGN);
	if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		print_usage(argc < 2 ? stderr : stdout);
		return argc < 2 ? CTL_USAGE : CTL_OK;
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		printf("quorumfs %s\n", QUORUMFS_VERSION);
		return CTL_OK;
	}
	if (strcmp(argv[1], "--print-options") == 0) {
		print_options();
		return CTL_OK;
	}
	help = strcmp(argv[1], "help") == 0;
	if (help && argc == 2) {
		print_usage(stdout);
		return CTL_OK;
	}
	if (help) {
		argv++;
		argc--;
	}
	v = find_verb(argc, argv, &words);
	if (!v) {
		err_set(&err, -EINVAL, "unknown verb '%s'", argv[1]);
		return usage_error(&err, NULL);
	}
	if (help) {
		print_verb(v);
		return CTL_OK;
	}
	return run_verb(v, argc - words, argv + words);
}
