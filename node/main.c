/* main.c - quorumfsd: one node as a process in the foreground, as service managers want it. */
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/opt.h"
#include "base/version.h"
#include "node/node.h"

static const char program[] = "quorumfsd";

struct arguments {
	bool help, version, print_options;
	const char *listen, *socket, *log_level;
	int64_t snapshot_threshold;
	uint64_t snapshot_interval, session_ttl_ms;
	int64_t segment_bytes;
	uint64_t tick_ms, readers, lease_ns;
};

static const struct opt options[] = {
	{ .name = "listen", .kind = OPT_STRING, .offset = offsetof(struct arguments, listen),
	  .value = "HOST:PORT", .def = "the node's address in the configuration",
	  .help = "address for peers and clients; 'none': only the local socket" },
	{ .name = "socket", .kind = OPT_STRING, .offset = offsetof(struct arguments, socket),
	  .value = "PATH", .def = "DIR/node.sock", .help = "Unix socket for mounts and tools here" },
	{ .name = "snapshot-threshold", .kind = OPT_SIZE,
	  .offset = offsetof(struct arguments, snapshot_threshold), .value = "BYTES", .def = "64M",
	  .help = "log since the last snapshot that makes one due; -1: never", .min = -1,
	  .max = INT64_MAX },
	{ .name = "snapshot-interval", .kind = OPT_U64,
	  .offset = offsetof(struct arguments, snapshot_interval), .value = "ENTRIES", .def = "0",
	  .help = "entries since the last snapshot that make one due; 0: not used" },
	{ .name = "session-ttl", .kind = OPT_U64, .offset = offsetof(struct arguments, session_ttl_ms),
	  .value = "MS", .def = "30000", .help = "a client unheard for this long ends; give all nodes the same",
	  .min = NODE_SESSION_TTL_MS_MIN, .max = NODE_SESSION_TTL_MS_MAX },
	{ .name = "segment-size", .kind = OPT_SIZE, .offset = offsetof(struct arguments, segment_bytes),
	  .value = "BYTES", .def = "0", .help = "size of a log segment; 0: 16M, less on a small disk",
	  .max = 1024 * 1024 * 1024 },
	{ .name = "leases", .kind = OPT_DURATION, .offset = offsetof(struct arguments, lease_ns),
	  .value = "TIME", .def = "200ms", .help = "length of the leases under which nodes read by themselves; off: none",
	  .min = NODE_LEASE_NS_MIN, .max = NODE_LEASE_NS_MAX },
	{ .name = "tick", .kind = OPT_U64, .offset = offsetof(struct arguments, tick_ms),
	  .value = "MS", .def = "20", .help = "length of a tick; elections start after 12 to 22 of them",
	  .min = 5, .max = 10000 },
	{ .name = "readers", .kind = OPT_U64, .offset = offsetof(struct arguments, readers),
	  .value = "N", .def = "2", .help = "threads that answer reads", .min = 1, .max = 16 },
	{ .name = "log-level", .kind = OPT_STRING, .offset = offsetof(struct arguments, log_level),
	  .value = "LEVEL", .def = "info", .help = "none, error, warning, info or debug" },
	{ .name = "help", .short_name = 'h', .kind = OPT_FLAG, .offset = offsetof(struct arguments, help),
	  .help = "print this text" },
	{ .name = "version", .short_name = 'V', .kind = OPT_FLAG,
	  .offset = offsetof(struct arguments, version), .help = "print the version" },
	{ .name = "print-options", .kind = OPT_FLAG, .offset = offsetof(struct arguments, print_options),
	  .help = "print the option table, tab-separated" },
};

static void print_help(void)
{
	printf("Usage: %s [OPTIONS] DIR\n\nRuns the node whose store is DIR, in the foreground, until "
	       "SIGTERM or SIGINT.\n\n", program);
	opt_print_help(options, ARRAY_SIZE(options), stdout);
	printf("\nExamples:\n  quorumfs init /var/lib/quorumfs && quorumfsd /var/lib/quorumfs\n"
	       "  quorumfsd --snapshot-threshold=256M /var/lib/quorumfs\n\nSee quorumfsd(8).\n");
}

static int usage_error(struct err *err)
{
	err_advise(err, "nothing was changed", "%s --help", program);
	err_print(err, program);
	return 2;
}

static int parse(int argc, char **argv, struct arguments *a, struct node_options *o, struct err *err)
{
	enum log_level level = LOG_INFO;
	int operands = 0;
	int ret = opt_parse_argv(options, ARRAY_SIZE(options), argc, argv, a, &operands, err);

	if (ret < 0 || a->help || a->version || a->print_options)
		return ret;
	if (operands != 1)
		return err_set(err, -EINVAL, "expected one operand, the store's directory, got %d", operands);
	if (a->log_level && log_level_parse(a->log_level, &level) < 0)
		return err_set(err, -EINVAL, "unknown log level '%s'", a->log_level);
	log_set_level(level);
	*o = node_options_default(argv[1]);
	o->listen = a->listen;
	o->socket = a->socket;
	o->snapshot_threshold = a->snapshot_threshold;
	o->snapshot_interval = a->snapshot_interval;
	o->session_ttl_ms = a->session_ttl_ms;
	o->segment_bytes = (uint64_t)a->segment_bytes;
	o->tick_ms = (uint32_t)a->tick_ms;
	o->lease_ns = a->lease_ns;
	o->readers = (uint32_t)a->readers;
	return 0;
}

/* SIGTERM and SIGINT are blocked in every thread and taken here; a failed node ends the wait too. */
struct signal_wait {
	struct node *node;
	sigset_t set;
};

static void *signal_main(void *arg)
{
	struct signal_wait *w = arg;
	struct err err = ERR_INIT;

	if (node_wait(w->node, &err) < 0) {
		/* Never sync or write again: what is on disk is what recovery starts from. */
		err_advise(&err, "the store as it was last synced; other nodes go on",
			   "look at the cause, then start %s again", program);
		err_print(&err, program);
		_exit(1);
	}
	return NULL;
}

static int run(const struct node_options *o)
{
	struct signal_wait wait = { .node = NULL };
	struct err err = ERR_INIT;
	pthread_t watcher;
	uint64_t files = limits_raise_files();
	int sig, ret;

	if (files < LIMITS_FILES_PLENTY)
		log_warning("node", "few descriptors, clients beyond them are sent away: raise the hard limit limit=%llu",
			    (unsigned long long)files);
	sigemptyset(&wait.set);
	sigaddset(&wait.set, SIGTERM);
	sigaddset(&wait.set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &wait.set, NULL);
	signal(SIGPIPE, SIG_IGN);
	ret = node_start(o, &wait.node, &err);
	if (ret < 0) {
		err_advise(&err, "nothing was changed", "quorumfs help");
		err_print(&err, program);
		return 1;
	}
	if (pthread_create(&watcher, NULL, signal_main, &wait) != 0)
		return 1;
	sigwait(&wait.set, &sig);
	log_info("node", "stopping on signal %d", sig);
	node_stop_request(wait.node);
	pthread_join(watcher, NULL);
	node_stop(wait.node);
	return 0;
}

int main(int argc, char **argv)
{
	struct arguments a = {
		.snapshot_threshold = NODE_SNAPSHOT_THRESHOLD_DEFAULT,
		.session_ttl_ms = NODE_SESSION_TTL_MS_DEFAULT,
		.tick_ms = 20,
		.lease_ns = NODE_LEASE_NS_DEFAULT,
		.readers = 2,
	};
	struct node_options o;
	struct err err = ERR_INIT;

	if (parse(argc, argv, &a, &o, &err) < 0)
		return usage_error(&err);
	if (a.help) {
		print_help();
		return 0;
	}
	if (a.version) {
		printf("%s %s\n", program, QUORUMFS_VERSION);
		return 0;
	}
	if (a.print_options) {
		opt_print_table(options, ARRAY_SIZE(options), stdout);
		return 0;
	}
	return run(&o);
}
