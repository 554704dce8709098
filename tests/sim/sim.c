/*
 * sim.c - the simulator's program: runs of whole clusters by seed. See sim.h.
 *
 *   sim --seed 7            one run, replayed to the same digest
 *   sim --from 1 --seeds N  that many, until the first that fails
 */
#include <getopt.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "base/mark.h"
#include "tests/sim/sim.h"

struct options {
	uint64_t from, seeds;
	size_t nodes;
	unsigned ops;
	bool trace, verbose, log, marks, go_on, members;
	uint64_t seconds; /* 0: no limit */
	const char *history;
};

struct totals {
	uint64_t runs, failed, first_failed;
	uint64_t simulated_ns;
	struct sim_counts counts;
};

static const char usage[] =
	"usage: sim [OPTION...]\n"
	"Runs whole clusters in one process, each from one seed, and checks every step.\n"
	"\n"
	"  --seed N     the run of seed N alone, with its summary\n"
	"  --from N     first seed (default 1)\n"
	"  --seeds N    how many (default 1)\n"
	"  --seconds N  no new run after so many seconds\n"
	"  --go-on      do not stop at the first failure\n"
	"  --nodes N    members (default: drawn)\n"
	"  --ops N      operations (default: drawn)\n"
	"  --marks      the coverage marks and how often each was hit\n"
	"  --verbose    a line for each run\n"
	"  --history F  writes the history of the last run to the file F\n"
	"  --members    members leave, learn and vote again in each run (default: in a quarter)\n"
	"  --trace      a line for each fault, election and the like\n"
	"  --log        the nodes' own log lines\n"
	"  --help\n"
	"\n"
	"The last line of a run is its digest: equal seeds of equal sources give equal digests.\n"
	"Exit: 0 all runs passed, 1 one failed (its reason and how to replay it are printed), 2 "
	"usage.\n";

static uint64_t number(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 0);

	if (*text == '\0' || *end != '\0') {
		fprintf(stderr, "sim: '%s' is not a number\n", text);
		exit(2);
	}
	return n;
}

static struct options parse(int argc, char **argv)
{
	static const struct option table[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "from", required_argument, NULL, 'f' },
		{ "seeds", required_argument, NULL, 'n' },
		{ "seconds", required_argument, NULL, 'l' },
		{ "nodes", required_argument, NULL, 'N' },
		{ "ops", required_argument, NULL, 'o' },
		{ "marks", no_argument, NULL, 'm' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "trace", no_argument, NULL, 't' },
		{ "log", no_argument, NULL, 'L' },
		{ "members", no_argument, NULL, 'M' },
		{ "history", required_argument, NULL, 'H' },
		{ "go-on", no_argument, NULL, 'g' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct options o = { .from = 1, .seeds = 1 };
	int c;

	while ((c = getopt_long(argc, argv, "h", table, NULL)) != -1) {
		switch (c) {
		case 's':
			o.from = number(optarg);
			o.seeds = 1;
			o.verbose = true;
			break;
		case 'f':
			o.from = number(optarg);
			break;
		case 'n':
			o.seeds = number(optarg);
			break;
		case 'l':
			o.seconds = number(optarg);
			break;
		case 'N':
			o.nodes = number(optarg);
			break;
		case 'o':
			o.ops = (unsigned)number(optarg);
			break;
		case 'm':
			o.marks = true;
			break;
		case 'v':
			o.verbose = true;
			break;
		case 't':
			o.trace = true;
			break;
		case 'L':
			o.log = true;
			break;
		case 'H':
			o.history = optarg;
			break;
		case 'M':
			o.members = true;
			break;
		case 'g':
			o.go_on = true;
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			fputs(usage, stderr);
			exit(2);
		}
	}
	if (optind < argc || o.nodes > 7) {
		fputs(usage, stderr);
		exit(2);
	}
	return o;
}

static void add_counts(struct sim_counts *to, const struct sim_counts *from)
{
	uint64_t *a = (uint64_t *)to;
	const uint64_t *b = (const uint64_t *)from;

	for (size_t i = 0; i < sizeof(*to) / sizeof(uint64_t); i++)
		a[i] += b[i];
}

static void print_counts(const struct sim_counts *c)
{
#define N(field) #field " %llu", (unsigned long long)c->field
	printf(N(steps));
	printf(", " N(ops));
	printf(", " N(acked));
	printf(", " N(errors));
	printf(", " N(given_up));
	printf(", " N(reads));
	printf(", " N(known));
	printf(", " N(gathered));
	printf(", " N(gather_syncs));
	printf(", " N(gather_lost));
	printf(", " N(resends));
	printf(", " N(entries));
	printf(", " N(judged));
	printf(", " N(unjudged));
	printf(", " N(undecided));
	printf("\n" N(elections));
	printf(", " N(crashes));
	printf(", " N(power_losses));
	printf(", " N(clean_stops));
	printf(", " N(stopped));
	printf(", " N(refused));
	printf(", " N(disk_faults));
	printf(", " N(tails_lost));
	printf(", " N(cuts));
	printf(", " N(pauses));
	printf(", " N(stuck));
	printf(", " N(moves));
	printf(", " N(deaths));
	printf(", " N(slept));
	printf(", " N(replaced));
	printf(", " N(changes_of_members));
	printf(", " N(expired));
	printf(", " N(transfers));
	printf("\n" N(frames));
	printf(", " N(lost));
	printf(", " N(doubled));
	printf(", " N(reordered));
	printf(", " N(broken));
	printf(", " N(snapshots));
	printf(", " N(installs));
	printf(", " N(bulk_calls));
	printf(", " N(bulk_lost));
	printf(", " N(bulk_damaged));
	printf("\n");
#undef N
}

static void tell_failure(const struct sim *s, const struct options *o)
{
	printf("seed %llu failed: %s\n", (unsigned long long)s->seed, s->reason);
	swarm_print(&s->swarm, stdout);
	printf("replay: make check-sim SEED=%llu", (unsigned long long)s->seed);
	if (o->nodes)
		printf(" (with --nodes %zu)", o->nodes);
	printf("\n");
	fflush(stdout);
}

static bool run_seed(uint64_t seed, const struct options *o, struct totals *t)
{
	struct sim *s = mem_calloc(1, sizeof(*s));
	bool ok;

	s->seed = seed;
	s->trace = o->trace;
	s->members = o->members;
	s->swarm.nodes = o->nodes;
	s->swarm.ops = o->ops;
	ok = sim_run(s) == 0;
	t->runs++;
	t->simulated_ns += s->now;
	add_counts(&t->counts, &s->counts);
	if (!ok) {
		tell_failure(s, o);
		t->first_failed = t->failed++ ? t->first_failed : seed;
	}
	if (o->verbose && o->seeds == 1) {
		swarm_print(&s->swarm, stdout);
		print_counts(&s->counts);
	}
	if (o->verbose)
		printf("seed %llu steps %llu simulated %llu.%03llu s digest %016llx\n",
		       (unsigned long long)seed, (unsigned long long)s->counts.steps,
		       (unsigned long long)(s->now / SIM_S),
		       (unsigned long long)(s->now % SIM_S / SIM_MS),
		       (unsigned long long)s->digest);
	if (o->history && history_save(&s->history, o->history, NULL) < 0)
		fprintf(stderr, "sim: cannot write '%s'\n", o->history);
	sim_release(s);
	free(s);
	return ok;
}

static double seconds_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void print_marks(void)
{
	struct buf text = BUF_INIT;

	mark_print(&text, MARK_TABLE);
	fwrite(text.data, 1, text.len, stdout);
	buf_release(&text);
}

static void report(const struct options *o, const struct totals *t, double took)
{
	double simulated = (double)t->simulated_ns / (double)SIM_S;

	if (t->runs > 1) {
		printf("%llu runs, %llu failed, %.1f s, %.2f runs per second, simulated time to "
		       "real time "
		       "%.0f to 1\n",
		       (unsigned long long)t->runs, (unsigned long long)t->failed, took,
		       (double)t->runs / took, simulated / took);
		print_counts(&t->counts);
	}
	if (o->marks)
		print_marks();
	if (t->failed > 0)
		printf("first failure: replay: make check-sim SEED=%llu\n",
		       (unsigned long long)t->first_failed);
}

int main(int argc, char **argv)
{
	struct options o = parse(argc, argv);
	struct totals t = { .runs = 0 };
	double began = seconds_now();

	setvbuf(stdout, NULL, _IOLBF, 0);
	log_set_level(o.log ? LOG_INFO : LOG_NONE);
	for (uint64_t seed = o.from; seed < o.from + o.seeds; seed++) {
		if (!run_seed(seed, &o, &t) && !o.go_on)
			break;
		if (o.seconds && seconds_now() - began > (double)o.seconds)
			break;
	}
	report(&o, &t, seconds_now() - began);
	return t.failed > 0;
}
