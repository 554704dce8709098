/*
 * ctl.h - the quorumfs command: a table of verbs, each with its own options and help.
 *
 * Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no node reachable, 4 no quorum, 5 refused,
 * 6 damage found, 7 done but degraded.
 */
#ifndef CTL_CTL_H
#define CTL_CTL_H

#include <json-c/json.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/opt.h"

enum ctl_exit {
	CTL_OK = 0,
	CTL_FAILED = 1,
	CTL_USAGE = 2,
	CTL_UNREACHABLE = 3,
	CTL_NO_QUORUM = 4,
	CTL_REFUSED = 5,
	CTL_DAMAGED = 6,
	CTL_DEGRADED = 7,
};

/* One flat struct for all verbs' options. */
struct ctl_args {
	bool help, json, print_options, version, wait, tree;
	const char *format;  /* -w table|json */
	const char *node;    /* socket, address or store directory to talk to */
	const char *members; /* host:port,... */
	const char *cluster; /* 32 hex digits */
	uint64_t id;
	uint64_t timeout_ms;
	int64_t snapshot_threshold;
	uint64_t lease_ns;
	uint64_t snapshot_interval;
	uint64_t session_ttl_ms;
	bool sessions;
	uint64_t clients, connections, seconds, warmup_s, size; /* kv bench */
	bool keep;
	int operand_count;
	char **operands;
};

struct ctl_verb {
	const char *name;     /* "kv put" */
	const char *group;    /* heading in the help */
	const char *operands; /* "KEY [VALUE]" */
	const char *summary;  /* one line */
	const char *text;     /* more, for --help; may be NULL */
	const struct opt *options;
	size_t option_count;
	int min_operands, max_operands; /* max -1: any */
	int (*run)(const struct ctl_args *args); /* returns an exit code */
};

extern const struct ctl_verb ctl_verbs[];
extern const size_t ctl_verb_count;

/* Prints err after "quorumfs" with defaults for parts three and four; returns the code that fits. */
int ctl_fail(struct err *err);
/* "DIR", "PATH.sock", "host:port" or NULL (QUORUMFS_NODE, then /var/lib/quorumfs) -> address for net. */
void ctl_address(const char *node, char *out, size_t len);
/* Is anybody there at all? A quick answer beats a long wait for a wrong address. 0 or negative with err. */
int ctl_probe(const struct ctl_args *args, struct err *err);
/* Sends an admin request; *answer is the parsed object, json_object_put() it. 0 or negative with err. */
int ctl_admin(const struct ctl_args *args, const char *request, struct json_object **answer,
	      struct err *err);
uint64_t ctl_u64(struct json_object *o, const char *name);
const char *ctl_str(struct json_object *o, const char *name);
bool ctl_bool(struct json_object *o, const char *name);
/* Adds bytes as they are when they are UTF-8, else as NAME_base64, for JSON knows no other text. */
void ctl_put_text(struct json_object *o, const char *name, const void *data, size_t len);
/* Prints o as -w json does. */
void ctl_print_json(struct json_object *o);

/* The answer to "status" as people read it. */
void ctl_print_status(struct json_object *o, FILE *f);

/* cmd_*.c */
int cmd_init(const struct ctl_args *args);
int cmd_cluster_start(const struct ctl_args *args);
int cmd_cluster_stop(const struct ctl_args *args);
int cmd_status(const struct ctl_args *args);
int cmd_snapshot_create(const struct ctl_args *args);
int cmd_check(const struct ctl_args *args);
int cmd_leader_move(const struct ctl_args *args);
int cmd_kv_get(const struct ctl_args *args);
int cmd_kv_put(const struct ctl_args *args);
int cmd_kv_append(const struct ctl_args *args);
int cmd_kv_delete(const struct ctl_args *args);
int cmd_kv_bench(const struct ctl_args *args);

extern const struct opt ctl_init_options[], ctl_cluster_options[], ctl_node_options[],
	ctl_status_options[], ctl_check_options[], ctl_bench_options[];
extern const size_t ctl_init_option_count, ctl_cluster_option_count, ctl_node_option_count,
	ctl_status_option_count, ctl_check_option_count, ctl_bench_option_count;

#endif
