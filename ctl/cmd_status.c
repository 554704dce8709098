/* cmd_status.c - status, check, snapshot create, leader move: what the admin protocol answers. */
#include <inttypes.h>

#include "base/clock.h"
#include "ctl/ctl.h"

static int health_code(struct json_object *o)
{
	const char *health = ctl_str(o, "health");

	if (strcmp(health, "healthy") == 0)
		return CTL_OK;
	return strcmp(health, "degraded") == 0 ? CTL_DEGRADED : CTL_NO_QUORUM;
}

static void print_size(uint64_t bytes, char *out, size_t len)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	double v = (double)bytes;
	size_t u = 0;

	while (v >= 1024 && u + 1 < ARRAY_SIZE(units)) {
		v /= 1024;
		u++;
	}
	snprintf(out, len, u ? "%.1f %s" : "%.0f %s", v, units[u]);
}

static void print_member(struct json_object *m, uint64_t leader_index, FILE *f)
{
	uint64_t applied = ctl_u64(m, "applied_index");
	char free_text[32] = "-", lag[32] = "-";
	struct json_object *v;

	if (json_object_object_get_ex(m, "free_bytes", &v))
		print_size(ctl_u64(m, "free_bytes"), free_text, sizeof(free_text));
	if (json_object_object_get_ex(m, "applied_index", &v))
		snprintf(lag, sizeof(lag), "%" PRIu64, leader_index > applied ? leader_index - applied : 0);
	fprintf(f, "%-5" PRIu64 " %-8s %-22s %-10s %-10s %s%s\n", ctl_u64(m, "id"), ctl_str(m, "role"),
	        ctl_str(m, "address")[0] ? ctl_str(m, "address") : "-",
	        ctl_bool(m, "self") ? "this one" : ctl_bool(m, "connected") ? "up" : "MISSING", lag, free_text,
	        ctl_bool(m, "space_low") ? " SHORT" : "");
	if (ctl_str(m, "last_error")[0] && !ctl_bool(m, "connected"))
		fprintf(f, "      %s\n", ctl_str(m, "last_error"));
}

static void print_advice(struct json_object *o, FILE *f)
{
	uint64_t voters = ctl_u64(o, "voters");
	uint64_t up = ctl_u64(o, "voters_up");

	if (strcmp(ctl_str(o, "health"), "no-quorum") == 0)
		fprintf(f, "no quorum: %" PRIu64 " of %" PRIu64 " nodes can be seen, %" PRIu64 " are needed\n"
		        "  still works: nothing is lost; operations wait and go on by themselves\n"
		        "  next: start quorumfsd on a node that is MISSING\n", up, voters, voters / 2 + 1);
	else if (up < voters)
		fprintf(f, "degraded: survives %" PRIu64 " more failures\n"
		        "  next: start quorumfsd on the node that is MISSING; it catches up by itself\n",
		        up > voters / 2 + 1 ? up - voters / 2 - 1 : 0);
	if (ctl_str(o, "snapshot_error")[0])
		fprintf(f, "snapshots fail: %s\n  still works: everything; the log grows\n"
		        "  next: free space or repair, then quorumfs snapshot create\n",
		        ctl_str(o, "snapshot_error"));
}

void ctl_print_status(struct json_object *o, FILE *f)
{
	struct json_object *members = NULL;
	char log[32], state[32];

	print_size(ctl_u64(o, "log_bytes"), log, sizeof(log));
	print_size(ctl_u64(o, "state_bytes"), state, sizeof(state));
	fprintf(f, "%s  %s  %" PRIu64 "/%" PRIu64 " voters  leader %" PRIu64 "  term %" PRIu64
	        "  index %" PRIu64 "\n", ctl_str(o, "cluster"), ctl_str(o, "health"),
	        ctl_u64(o, "voters_up"), ctl_u64(o, "voters"), ctl_u64(o, "leader"), ctl_u64(o, "term"),
	        ctl_u64(o, "applied_index"));
	fprintf(f, "log %s (from %" PRIu64 ")  state %s  snapshot at %" PRIu64 "%s  clients %" PRIu64 "\n", log,
	        ctl_u64(o, "first_index"), state, ctl_u64(o, "snapshot_index"),
	        ctl_bool(o, "fetch_running") ? " (receiving one)" : "", ctl_u64(o, "clients"));
	fprintf(f, "sessions %" PRIu64 "  orphans %" PRIu64 "\n", ctl_u64(o, "sessions"), ctl_u64(o, "orphans"));
	fprintf(f, "%-5s %-8s %-22s %-10s %-10s %s\n", "NODE", "ROLE", "ADDRESS", "STATE", "LAG", "DISK FREE");
	if (!json_object_object_get_ex(o, "members", &members) ||
	    !json_object_is_type(members, json_type_array))
		return;
	for (size_t i = 0; i < json_object_array_length(members); i++)
		print_member(json_object_array_get_idx(members, i), ctl_u64(o, "commit_index"), f);
	print_advice(o, f);
}

static void print_session(struct json_object *s)
{
	char node[24] = "-", id[24] = "-";

	if (ctl_u64(s, "node") != 0)
		snprintf(node, sizeof(node), "%" PRIu64, ctl_u64(s, "node"));
	if (ctl_u64(s, "id") != 0)
		snprintf(id, sizeof(id), "%" PRIu64, ctl_u64(s, "id"));
	printf("%-32s %-10s %-5s %8.1f s  %s%s\n", ctl_str(s, "uuid"), id, node,
	       (double)ctl_u64(s, "heard_ms_ago") / 1000, ctl_bool(s, "mount") ? "mount" : "client",
	       ctl_bool(s, "gone") ? ", gone" : ctl_bool(s, "heard") ? "" : ", not heard yet");
}

static void print_sessions(struct json_object *o)
{
	struct json_object *list = NULL;

	printf("%-32s %-10s %-5s %10s  %s\n", "UUID", "ID", "NODE", "UNHEARD", "KIND");
	if (!json_object_object_get_ex(o, "sessions", &list))
		return;
	for (size_t i = 0; i < json_object_array_length(list); i++)
		print_session(json_object_array_get_idx(list, i));
	if (!ctl_bool(o, "complete"))
		printf("... and more\n");
}

/* The address of the leader when that is another node; "" when it is this one, or nobody. */
static const char *leader_elsewhere(struct json_object *status)
{
	struct json_object *members = NULL;

	if (!json_object_object_get_ex(status, "members", &members) ||
	    ctl_u64(status, "leader") == ctl_u64(status, "node"))
		return "";
	for (size_t i = 0; i < json_object_array_length(members); i++) {
		struct json_object *m = json_object_array_get_idx(members, i);

		if (ctl_u64(m, "id") == ctl_u64(status, "leader"))
			return ctl_str(m, "address");
	}
	return "";
}

/* Only the leader hears of all sessions: it is asked, whichever node was named. */
static int show_sessions(const struct ctl_args *args, struct json_object *status)
{
	struct ctl_args ask = *args;
	struct json_object *answer = NULL;
	struct err err = ERR_INIT;

	if (leader_elsewhere(status)[0])
		ask.node = leader_elsewhere(status);
	if (ctl_admin(&ask, "{\"verb\":\"sessions\"}", &answer, &err) < 0)
		return ctl_fail(&err);
	if (args->json)
		ctl_print_json(answer);
	else
		print_sessions(answer);
	json_object_put(answer);
	return CTL_OK;
}

int cmd_status(const struct ctl_args *args)
{
	uint64_t deadline_ms = clock_boot_ms() + args->timeout_ms;
	struct json_object *answer = NULL;
	struct err err = ERR_INIT;
	int ret, code;

	for (;;) {
		ret = ctl_admin(args, "{\"verb\":\"status\"}", &answer, &err);
		if (!args->wait || (ret == 0 && ctl_u64(answer, "leader") != 0) ||
		    clock_boot_ms() > deadline_ms)
			break;
		json_object_put(answer);
		answer = NULL;
		clock_sleep_ms(50);
	}
	if (ret < 0)
		return ctl_fail(&err);
	if (args->sessions) {
		code = show_sessions(args, answer);
		json_object_put(answer);
		return code;
	}
	code = health_code(answer);
	if (args->json)
		ctl_print_json(answer);
	else
		ctl_print_status(answer, stdout);
	json_object_put(answer);
	return code;
}

int cmd_check(const struct ctl_args *args)
{
	char request[64];
	struct json_object *answer = NULL;
	struct err err = ERR_INIT;
	bool clean;

	snprintf(request, sizeof(request), "{\"verb\":\"check\",\"tree\":%s}", args->tree ? "true" : "false");
	if (ctl_admin(args, request, &answer, &err) < 0)
		return ctl_fail(&err);
	clean = ctl_bool(answer, "digest_matches") && ctl_bool(answer, "tree_clean");
	if (args->json)
		ctl_print_json(answer);
	else
		printf("node %" PRIu64 "  index %" PRIu64 "  digest %s  %s\n%s", ctl_u64(answer, "node"),
		       ctl_u64(answer, "index"), ctl_str(answer, "digest"), clean ? "clean" : "DAMAGED",
		       ctl_str(answer, "problems"));
	json_object_put(answer);
	return clean ? CTL_OK : CTL_DAMAGED;
}

int cmd_snapshot_create(const struct ctl_args *args)
{
	uint64_t deadline_ms = clock_boot_ms() + args->timeout_ms;
	struct json_object *answer = NULL;
	struct err err = ERR_INIT;
	uint64_t wanted, made;

	if (ctl_admin(args, "{\"verb\":\"snapshot\"}", &answer, &err) < 0)
		return ctl_fail(&err);
	wanted = ctl_u64(answer, "applied_index");
	made = ctl_u64(answer, "snapshot_index");
	while (made < wanted && clock_boot_ms() < deadline_ms) {
		json_object_put(answer);
		answer = NULL;
		clock_sleep_ms(50);
		if (ctl_admin(args, "{\"verb\":\"status\"}", &answer, &err) < 0)
			return ctl_fail(&err);
		made = ctl_u64(answer, "snapshot_index");
		if (ctl_str(answer, "snapshot_error")[0])
			break;
	}
	if (made < wanted) {
		err_set(&err, -EAGAIN, "no snapshot at index %" PRIu64 " yet: %s", wanted,
			ctl_str(answer, "snapshot_error")[0] ? ctl_str(answer, "snapshot_error") :
							       "it is still being made");
		err_advise(&err, "the node serves on", "quorumfs status");
		json_object_put(answer);
		return ctl_fail(&err);
	}
	if (args->json)
		ctl_print_json(answer);
	else
		printf("snapshot at index %" PRIu64 "\n", made);
	json_object_put(answer);
	return CTL_OK;
}

int cmd_leader_move(const struct ctl_args *args)
{
	char request[64];
	struct json_object *answer = NULL;
	struct err err = ERR_INIT;
	char *end;
	unsigned long long id = strtoull(args->operands[0], &end, 10);

	if (*end != '\0' || id == 0) {
		err_set(&err, -EINVAL, "'%s' is not a node's number", args->operands[0]);
		return ctl_fail(&err);
	}
	snprintf(request, sizeof(request), "{\"verb\":\"move-leader\",\"to\":%llu}", id);
	if (ctl_admin(args, request, &answer, &err) < 0)
		return ctl_fail(&err);
	if (args->json) {
		json_object_object_add(answer, "to", json_object_new_uint64(id));
		ctl_print_json(answer);
	} else {
		printf("leadership is being handed to node %llu\n", id);
	}
	json_object_put(answer);
	return CTL_OK;
}
