/* verbs.c - the tables: verbs and their options. The man page is compared with them. */
#include "ctl/ctl.h"
#include "node/node.h"

#define AT(field) offsetof(struct ctl_args, field)
#define HELP                                                                                    \
	{ .name = "help", .short_name = 'h', .kind = OPT_FLAG, .offset = AT(help),                \
	  .help = "print this text" }
#define NODE                                                                                     \
	{ .name = "node", .short_name = 'n', .kind = OPT_STRING, .offset = AT(node),              \
	  .value = "NODE", .def = "$QUORUMFS_NODE, else /var/lib/quorumfs",                       \
	  .help = "node to ask: a store's directory, a socket, or host:port" }
#define TIMEOUT                                                                                  \
	{ .name = "timeout", .kind = OPT_U64, .offset = AT(timeout_ms), .value = "MS",            \
	  .def = "10000", .help = "give up after this long", .min = 1, .max = 3600000 }
#define FORMAT                                                                                   \
	{ .name = "json", .kind = OPT_FLAG, .offset = AT(json), .help = "same as -w json" },      \
	{ .name = "write-out", .short_name = 'w', .kind = OPT_STRING, .offset = AT(format),       \
	  .value = "table|json", .def = "table", .help = "output format" }

const struct opt ctl_init_options[] = {
	{ .name = "members", .kind = OPT_STRING, .offset = AT(members), .value = "HOST:PORT,...",
	  .help = "addresses of nodes 1, 2, ...; the same list on every machine" },
	{ .name = "id", .kind = OPT_U64, .offset = AT(id), .value = "N", .def = "1",
	  .help = "which of the members this node is", .min = 1, .max = 7 },
	{ .name = "cluster", .kind = OPT_STRING, .offset = AT(cluster), .value = "HEX",
	  .def = "derived from the members; random for one node",
	  .help = "32 hex digits, the same on every machine" },
	FORMAT,
	HELP,
};
const size_t ctl_init_option_count = ARRAY_SIZE(ctl_init_options);

const struct opt ctl_cluster_options[] = {
	{ .name = "snapshot-threshold", .kind = OPT_SIZE, .offset = AT(snapshot_threshold),
	  .value = "BYTES", .def = "64M", .help = "as for quorumfsd; -1: never", .min = -1,
	  .max = INT64_MAX },
	{ .name = "snapshot-interval", .kind = OPT_U64, .offset = AT(snapshot_interval),
	  .value = "ENTRIES", .def = "0", .help = "as for quorumfsd; 0: not used" },
	{ .name = "session-ttl", .kind = OPT_U64, .offset = AT(session_ttl_ms), .value = "MS",
	  .def = "30000", .help = "as for quorumfsd", .min = NODE_SESSION_TTL_MS_MIN,
	  .max = NODE_SESSION_TTL_MS_MAX },
	{ .name = "leases", .kind = OPT_DURATION, .offset = AT(lease_ns), .value = "TIME", .def = "200ms",
	  .help = "as for quorumfsd", .min = NODE_LEASE_NS_MIN, .max = NODE_LEASE_NS_MAX },
	TIMEOUT,
	FORMAT,
	HELP,
};
const size_t ctl_cluster_option_count = ARRAY_SIZE(ctl_cluster_options);

const struct opt ctl_node_options[] = { NODE, TIMEOUT, FORMAT, HELP };
const size_t ctl_node_option_count = ARRAY_SIZE(ctl_node_options);

const struct opt ctl_status_options[] = {
	NODE, TIMEOUT, FORMAT,
	{ .name = "wait", .kind = OPT_FLAG, .offset = AT(wait),
	  .help = "wait until there is a leader, at most the timeout" },
	{ .name = "sessions", .kind = OPT_FLAG, .offset = AT(sessions),
	  .help = "list the clients' sessions instead, as the leader knows them" },
	HELP,
};
const size_t ctl_status_option_count = ARRAY_SIZE(ctl_status_options);

const struct opt ctl_check_options[] = {
	NODE, TIMEOUT, FORMAT,
	{ .name = "tree", .kind = OPT_FLAG, .offset = AT(tree),
	  .help = "check the file tree too: link counts, parents, orphans, block references" },
	HELP,
};
const size_t ctl_check_option_count = ARRAY_SIZE(ctl_check_options);

const struct opt ctl_bench_options[] = {
	NODE, TIMEOUT, FORMAT,
	{ .name = "clients", .kind = OPT_U64, .offset = AT(clients), .value = "N", .def = "1",
	  .help = "clients, each with one operation under way", .min = 1, .max = 4096 },
	{ .name = "connections", .kind = OPT_U64, .offset = AT(connections), .value = "N", .def = "1",
	  .help = "connections that the clients share, at most one each", .min = 1, .max = 256 },
	{ .name = "seconds", .kind = OPT_U64, .offset = AT(seconds), .value = "S", .def = "5",
	  .help = "measure for this long", .min = 1, .max = 86400 },
	{ .name = "warmup", .kind = OPT_U64, .offset = AT(warmup_s), .value = "S", .def = "1",
	  .help = "run for this long before", .max = 3600 },
	{ .name = "size", .kind = OPT_SIZE, .offset = AT(size), .value = "BYTES", .def = "256",
	  .help = "of each value", .max = KV_VALUE_MAX },
	{ .name = "keep", .kind = OPT_FLAG, .offset = AT(keep), .help = "leave the keys" },
	HELP,
};
const size_t ctl_bench_option_count = ARRAY_SIZE(ctl_bench_options);

#define OPTIONS(table) .options = table, .option_count = ARRAY_SIZE(table)

const struct ctl_verb ctl_verbs[] = {
	{ .name = "init", .group = "ADMINISTRATION", .operands = "DIR", .summary = "make a new store in DIR",
	  .text = "Without --members: a cluster of one node, for an embedded mount or to be\n"
		  "served by quorumfsd. With --members: node --id of a fixed list; run it on\n"
		  "every machine with the same list. Never run it again for a node whose disk was\n"
		  "lost: it may have voted.\n",
	  OPTIONS(ctl_init_options), .min_operands = 1, .max_operands = 1, .run = cmd_init },
	{ .name = "cluster start", .group = "ADMINISTRATION", .operands = "BASE [HOST:PORT...]",
	  .summary = "start nodes here, stores in BASE/n1, n2, ...",
	  .text = "Where there are no stores yet, one is made for each address. Without addresses\n"
		  "the stores that are there are started. Each node runs as a quorumfsd in the\n"
		  "background and logs to BASE/nN.log.\n",
	  OPTIONS(ctl_cluster_options), .min_operands = 1, .max_operands = 8, .run = cmd_cluster_start },
	{ .name = "cluster stop", .group = "ADMINISTRATION", .operands = "BASE",
	  .summary = "stop the nodes whose stores are in BASE", OPTIONS(ctl_cluster_options),
	  .min_operands = 1, .max_operands = 1, .run = cmd_cluster_stop },
	{ .name = "leader move", .group = "ADMINISTRATION", .operands = "ID", .summary = "hand leadership to node ID",
	  OPTIONS(ctl_node_options), .min_operands = 1, .max_operands = 1, .run = cmd_leader_move },
	{ .name = "snapshot create", .group = "ADMINISTRATION", .operands = "",
	  .summary = "seal a snapshot of the node's state now", OPTIONS(ctl_node_options),
	  .min_operands = 0, .max_operands = 0, .run = cmd_snapshot_create },
	{ .name = "status", .group = "INSPECTION", .operands = "",
	  .summary = "show leader, members, log and snapshots",
	  .text = "All as the node asked sees them. Exit code: 0 healthy, 7 degraded, 4 no\n"
		  "quorum, 3 not reachable.\n",
	  OPTIONS(ctl_status_options), .min_operands = 0, .max_operands = 0, .run = cmd_status },
	{ .name = "check", .group = "INSPECTION", .operands = "",
	  .summary = "verify every row of the node's state",
	  .text = "Checksums of every row, and all of them against the state's digest. Nodes with\n"
		  "equal index and digest hold equal states. Exit code 6: damage found.\n",
	  OPTIONS(ctl_check_options), .min_operands = 0, .max_operands = 0, .run = cmd_check },
	{ .name = "kv get", .group = "KEYS", .operands = "KEY", .summary = "print the value of KEY",
	  OPTIONS(ctl_node_options), .min_operands = 1, .max_operands = 1, .run = cmd_kv_get },
	{ .name = "kv put", .group = "KEYS", .operands = "KEY [VALUE]",
	  .summary = "set KEY to VALUE, or to standard input", OPTIONS(ctl_node_options),
	  .min_operands = 1, .max_operands = 2, .run = cmd_kv_put },
	{ .name = "kv append", .group = "KEYS", .operands = "KEY [VALUE]", .summary = "append to KEY",
	  OPTIONS(ctl_node_options), .min_operands = 1, .max_operands = 2, .run = cmd_kv_append },
	{ .name = "kv delete", .group = "KEYS", .operands = "KEY", .summary = "delete KEY",
	  OPTIONS(ctl_node_options), .min_operands = 1, .max_operands = 1, .run = cmd_kv_delete },
	{ .name = "kv bench", .group = "KEYS", .operands = "put|get|mixed", .summary = "measure operations on keys",
	  .text = "Each client has one key of its own below bench/, removed at the end, and asks\n"
		  "again as soon as it is answered. Puts are durable on a majority when they are\n"
		  "answered, gets are linearizable, as those of the other verbs.\n",
	  OPTIONS(ctl_bench_options), .min_operands = 1, .max_operands = 1, .run = cmd_kv_bench },
};
const size_t ctl_verb_count = ARRAY_SIZE(ctl_verbs);
