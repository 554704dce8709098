/* commands.c - the commands of etcd/raft's interaction scripts (its package rafttest). */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "raft/progress.h"
#include "tests/oracle/env.h"
#include "tests/oracle/oracle.h"

#define STABILIZE_MAX 10000 /* rounds; a script that needs more never ends */

/* ---- arguments ----------------------------------------------------------------------------------- */

struct ids {
	uint64_t v[SCRIPT_ARGS_MAX];
	size_t count;
};

/* The arguments that are bare numbers. */
static struct ids bare_ids(const struct script_case *c)
{
	struct ids ids = { .count = 0 };

	for (size_t i = 0; i < c->arg_count; i++) {
		if (c->args[i].value_count == 0 && script_number(c->args[i].key, &ids.v[ids.count]))
			ids.count++;
	}
	return ids;
}

static struct env_node *first_node(struct env *e, const struct script_case *c)
{
	struct ids ids = bare_ids(c);

	return ids.count == 0 ? NULL : env_node(e, ids.v[0]);
}

static const char *value_of(const struct script_case *c, const char *key)
{
	const struct script_arg *arg = script_arg(c, key);

	return arg == NULL || arg->value_count == 0 ? NULL : arg->values[0];
}

static bool flag(const struct script_case *c, const char *key)
{
	const char *value = value_of(c, key);

	return value != NULL && (strcmp(value, "true") == 0 || strcmp(value, "1") == 0);
}

static uint64_t number(const struct script_case *c, const char *key, uint64_t otherwise)
{
	const char *value = value_of(c, key);
	uint64_t n = otherwise;

	return value != NULL && script_number(value, &n) ? n : otherwise;
}

/* ---- nodes --------------------------------------------------------------------------------------- */

static void add_members(struct raft_conf *conf, const struct script_arg *arg, uint8_t op)
{
	for (size_t i = 0; arg != NULL && i < arg->value_count; i++) {
		struct raft_conf_change change = { .transition = RAFT_SIMPLE, .count = 1 };

		change.v[0].op = op;
		if (script_number(arg->values[i], &change.v[0].id))
			raft_conf_change(conf, &change, conf, NULL);
	}
}

static struct raft_options options_of(const struct script_case *c, struct raft_test_options *test)
{
	*test = (struct raft_test_options){ .no_pre_vote = !flag(c, "prevote"),
					    .no_check_quorum = !flag(c, "checkquorum"),
					    .etcd_conf_rules = true,
					    .no_conf_validation =
						    flag(c, "disable-conf-change-validation"),
					    .stay_when_removed = !flag(c, "step-down-on-removal"),
					    .forget_leader = true,
					    .defer_self_vote = true };
	return (struct raft_options){ .seed = 1,
				      .election_ticks = 3,
				      .heartbeat_ticks = 1,
				      .max_message_bytes = SIZE_MAX / 2,
				      .max_inflight_messages =
					      (uint32_t)number(c, "inflight", 4096),
				      .max_uncommitted_bytes = UINT64_MAX / 2,
				      .max_apply_bytes = UINT64_MAX / 2,
				      .max_cache_bytes = UINT64_MAX / 2,
				      .keep_tail_bytes = UINT64_MAX / 2,
				      .test = test };
}

static void add_nodes(struct env *e, const struct script_case *c)
{
	struct ids ids = bare_ids(c);
	struct raft_conf conf = { .count = 0 };
	uint64_t index = number(c, "index", 0);
	const char *reads = value_of(c, "read-only");

	add_members(&conf, script_arg(c, "voters"), RAFT_ADD_VOTER);
	add_members(&conf, script_arg(c, "learners"), RAFT_ADD_LEARNER);
	if (reads != NULL && strcmp(reads, "safe") != 0 && strcmp(reads, "lease-based") != 0) {
		env_print(e, "invalid read-only option \"%s\"", reads);
		return;
	}
	if ((conf.count > 0 || index > 0 || value_of(c, "content") != NULL) && index <= 1) {
		env_print(e, "index must be specified as > 1 due to bootstrap");
		return;
	}
	for (uint64_t i = 0; ids.count > 0 && i < ids.v[0] && e->count < ENV_NODES_MAX; i++) {
		struct raft_options o = options_of(c, &e->test[e->count]);
		struct env_node *n = env_add_node(e, &o, &conf, index);

		if (n == NULL)
			return;
		n->async = flag(c, "async-storage-writes");
		n->lease_reads = reads != NULL && strcmp(reads, "lease-based") == 0;
		n->max_committed_bytes = number(c, "max-committed-size-per-ready", UINT64_MAX / 2);
	}
}

static void campaign(struct env *e, const struct script_case *c)
{
	struct env_node *n = first_node(e, c);
	struct raft_input in = { .type = RAFT_IN_CAMPAIGN };

	if (n != NULL)
		env_step(e, n, &in);
}

static void tick(struct env *e, const struct script_case *c, uint32_t count)
{
	struct env_node *n = first_node(e, c);
	struct raft_input in = { .type = RAFT_IN_TICK };

	for (uint32_t i = 0; n != NULL && i < count; i++)
		env_step(e, n, &in);
}

static void tick_election(struct env *e, const struct script_case *c)
{
	struct env_node *n = first_node(e, c);

	tick(e, c, n == NULL ? 0 : n->r->options.election_ticks);
}

static void tick_heartbeat(struct env *e, const struct script_case *c)
{
	struct env_node *n = first_node(e, c);

	tick(e, c, n == NULL ? 0 : n->r->options.heartbeat_ticks);
}

static void set_timeout(struct env *e, const struct script_case *c)
{
	struct env_node *n = first_node(e, c);

	if (n != NULL)
		n->r->election_timeout = (uint32_t)number(c, "timeout", n->r->election_timeout);
}

static void forget_leader(struct env *e, const struct script_case *c)
{
	struct env_node *n = first_node(e, c);
	struct raft_input in = { .type = RAFT_IN_FORGET_LEADER };

	/* Whoever reads by lease has promised not to. */
	if (n != NULL && !n->lease_reads)
		env_step(e, n, &in);
}

static void transfer_leadership(struct env *e, const struct script_case *c)
{
	struct env_node *n = env_node(e, number(c, "from", 0));

	if (n != NULL)
		env_transfer(e, n, number(c, "to", 0));
}

static void report_unreachable(struct env *e, const struct script_case *c)
{
	struct ids ids = bare_ids(c);
	struct env_node *n = ids.count == 2 ? env_node(e, ids.v[0]) : NULL;
	struct raft_input in = { .type = RAFT_IN_UNREACHABLE, .peer = { .id = ids.v[1] } };

	if (n == NULL)
		env_print(e, "must specify exactly two node indexes: node on which to report, and "
			     "reported node");
	else if (n->r->role == RAFT_LEADER)
		env_step(e, n, &in); /* to their followers this says nothing */
}

/* ---- proposals ------------------------------------------------------------------------------------ */

static void propose(struct env *e, const struct script_case *c)
{
	struct env_node *n = first_node(e, c);
	struct raft_entry entry = { .type = RAFT_ENTRY_NORMAL };

	if (n == NULL || c->arg_count != 2) {
		env_print(e, "expected a node and data");
		return;
	}
	entry.data = blob_from(c->args[1].key, strlen(c->args[1].key));
	env_propose(e, n, &entry);
	blob_unref(entry.data);
}

static bool read_changes(struct env *e, const struct script_case *c,
			 struct raft_conf_change *change)
{
	static const char ops[] = "vlru";
	char *text = mem_strdup(c->input);
	char *save = NULL;
	bool ok = true;

	for (char *tok = strtok_r(text, " \n", &save); ok && tok != NULL;
	     tok = strtok_r(NULL, " \n", &save)) {
		const char *op = strchr(ops, tok[0]);

		ok = op != NULL && change->count < RAFT_CHANGES_MAX &&
		     script_number(tok + 1, &change->v[change->count].id);
		if (ok)
			change->v[change->count++].op = (uint8_t)(RAFT_ADD_VOTER + (op - ops));
		else
			env_print(e, op == NULL ? "unknown input: %s" : "unknown token %s", tok);
	}
	free(text);
	return ok;
}

/* Their three transitions: with "auto", one change needs no joint configuration, and none leaves it. */
static bool read_transition(struct env *e, const struct script_case *c,
			    struct raft_conf_change *change)
{
	const char *name = value_of(c, "transition");

	if (name == NULL || strcmp(name, "auto") == 0)
		change->transition = change->count == 0   ? RAFT_LEAVE_JOINT
				     : change->count == 1 ? RAFT_SIMPLE
							  : RAFT_JOINT_AUTO;
	else if (strcmp(name, "implicit") == 0)
		change->transition = RAFT_JOINT_AUTO;
	else if (strcmp(name, "explicit") == 0)
		change->transition = RAFT_JOINT_EXPLICIT;
	else
		env_print(e, "unknown transition %s", name);
	return change->transition != 0;
}

static void propose_conf_change(struct env *e, const struct script_case *c)
{
	struct env_node *n = first_node(e, c);
	struct raft_conf_change change = { .transition = 0 };
	struct raft_entry entry = { .type = RAFT_ENTRY_CONF };
	struct buf payload = BUF_INIT;

	if (n == NULL || !read_changes(e, c, &change) || !read_transition(e, c, &change))
		return;
	if (flag(c, "v1") && (change.count != 1 || change.transition != RAFT_SIMPLE)) {
		env_print(e, "v1 conf change can only have one operation and no transition");
		return;
	}
	raft_conf_change_encode(&change, &payload);
	entry.data = blob_from(payload.data, payload.len);
	buf_release(&payload);
	if (flag(c, "v1"))
		env_mark_old(e, entry.data);
	env_propose(e, n, &entry);
	blob_unref(entry.data);
}

/* ---- messages --------------------------------------------------------------------------------------- */

static bool is_local(const struct env_msg *m)
{
	return m->from == m->to || m->from >= ENV_APPLY_THREAD || m->to >= ENV_APPLY_THREAD;
}

/* Takes from the wire what goes to that node, in order. */
static struct env_list take_for(struct env *e, uint64_t to, int type, bool drop)
{
	struct env_list taken = { .count = 0 };
	size_t kept = 0;

	for (size_t i = 0; i < e->wire.count; i++) {
		struct env_msg *m = &e->wire.v[i];

		if (m->to == to && !(drop && is_local(m)) && (type < 0 || env_is_type(m, type)))
			env_list_push(&taken, *m);
		else
			e->wire.v[kept++] = *m;
	}
	e->wire.count = kept;
	return taken;
}

static size_t deliver(struct env *e, uint64_t to, int type, bool drop)
{
	struct env_list taken = take_for(e, to, type, drop);
	size_t count = taken.count;

	for (size_t i = 0; i < count; i++) {
		struct buf text = BUF_INIT;

		if (drop)
			env_print(e, "dropped: ");
		env_describe(e, &taken.v[i], &text);
		buf_printf(&text, "\n");
		env_put(e, &text);
		buf_release(&text);
		if (!drop)
			env_deliver(e, &taken.v[i]);
	}
	env_list_clear(&taken);
	return count;
}

static void deliver_msgs(struct env *e, const struct script_case *c)
{
	const char *name = value_of(c, "type");
	int type = name == NULL ? -1 : env_type_of(name);
	size_t count = 0;

	if (name != NULL && type < 0) {
		env_print(e, "unknown message type %s", name);
		return;
	}
	/* In the order of the arguments: bare ids are delivered, those in drop=() are not. */
	for (size_t i = 0; i < c->arg_count; i++) {
		const struct script_arg *arg = &c->args[i];
		uint64_t id;

		if (arg->value_count == 0 && script_number(arg->key, &id))
			count += deliver(e, id, type, false);
		for (size_t k = 0; k < arg->value_count && strcmp(arg->key, "drop") == 0; k++) {
			if (script_number(arg->values[k], &id))
				count += deliver(e, id, type, true);
		}
	}
	if (count == 0)
		env_print(e, "no messages\n");
}

static void send_snapshot(struct env *e, const struct script_case *c)
{
	struct ids ids = bare_ids(c);
	struct env_node *from = ids.count == 2 ? env_node(e, ids.v[0]) : NULL;
	struct env_msg m = { .type = ENV_MSG_CORE, .has_snapshot = true };
	struct buf text = BUF_INIT;

	if (from == NULL)
		return;
	m.from = ids.v[0];
	m.to = ids.v[1];
	m.term = from->r->hard.term;
	m.snapshot = from->history;
	m.core = (struct raft_message){ .type = RAFT_MSG_SNAPSHOT,
					.from = m.from,
					.to = m.to,
					.term = m.term,
					.incarnation = 1,
					.snapshot = mem_dup(&m.snapshot, sizeof(m.snapshot)) };
	env_describe(e, &m, &text);
	env_put(e, &text);
	buf_release(&text);
	env_list_push(&e->wire, m);
}

/* ---- work ---------------------------------------------------------------------------------------------- */

typedef void (*process_fn)(struct env *e, struct env_node *n);

static void process_titled(struct env *e, struct env_node *n, process_fn fn, const char *title)
{
	struct buf saved;

	env_print(e, "> %llu %s\n", (unsigned long long)n->id, title);
	env_indent_begin(e, &saved);
	fn(e, n);
	env_indent_end(e, &saved);
}

static void process(struct env *e, const struct script_case *c, process_fn fn, const char *title)
{
	struct ids ids = bare_ids(c);

	for (size_t i = 0; i < ids.count; i++) {
		struct env_node *n = env_node(e, ids.v[i]);

		if (n == NULL)
			continue;
		if (ids.count > 1)
			process_titled(e, n, fn, title);
		else
			fn(e, n);
	}
}

static void process_ready(struct env *e, const struct script_case *c)
{
	process(e, c, env_process_ready, "handling Ready");
}

static void process_append_thread(struct env *e, const struct script_case *c)
{
	process(e, c, env_process_append, "processing append thread");
}

static void process_apply_thread(struct env *e, const struct script_case *c)
{
	process(e, c, env_process_apply, "processing apply thread");
}

static bool has_messages(const struct env *e, uint64_t to)
{
	for (size_t i = 0; i < e->wire.count; i++) {
		if (e->wire.v[i].to == to)
			return true;
	}
	return false;
}

static void receive_all(struct env *e, struct env_node *n)
{
	deliver(e, n->id, -1, false);
}

static void append_all(struct env *e, struct env_node *n, const char *title)
{
	env_print(e, "> %llu %s\n", (unsigned long long)n->id, title);
	while (n->append_work.count > 0) {
		struct buf saved;

		env_indent_begin(e, &saved);
		env_process_append(e, n);
		env_indent_end(e, &saved);
	}
}

static void apply_all(struct env *e, struct env_node *n, const char *title)
{
	env_print(e, "> %llu %s\n", (unsigned long long)n->id, title);
	while (n->apply_work.count > 0) {
		struct buf saved;

		env_indent_begin(e, &saved);
		env_process_apply(e, n);
		env_indent_end(e, &saved);
	}
}

static bool stabilize_round(struct env *e, struct env_node **nodes, size_t count)
{
	bool worked = false;

	for (size_t i = 0; i < count; i++) {
		if (env_has_ready(nodes[i])) {
			process_titled(e, nodes[i], env_process_ready, "handling Ready");
			worked = true;
		}
	}
	for (size_t i = 0; i < count; i++) {
		if (has_messages(e, nodes[i]->id)) {
			process_titled(e, nodes[i], receive_all, "receiving messages");
			worked = true;
		}
	}
	for (size_t i = 0; i < count; i++) {
		if (nodes[i]->append_work.count > 0) {
			append_all(e, nodes[i], "processing append thread");
			worked = true;
		}
	}
	for (size_t i = 0; i < count; i++) {
		if (nodes[i]->apply_work.count > 0) {
			apply_all(e, nodes[i], "processing apply thread");
			worked = true;
		}
	}
	return worked;
}

static int level_of(const char *name)
{
	static const char *const names[] = { "DEBUG", "INFO", "WARN", "ERROR", "FATAL", "NONE" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcasecmp(names[i], name) == 0)
			return (int)i;
	}
	return -1;
}

static void set_level(struct env *e, const char *name)
{
	int level = level_of(name);

	if (level < 0)
		env_print(e, "log levels must be either of [DEBUG INFO WARN ERROR FATAL NONE]");
	else
		e->level = level;
}

static void stabilize(struct env *e, const struct script_case *c)
{
	struct ids ids = bare_ids(c);
	struct env_node *nodes[ENV_NODES_MAX];
	size_t count = 0;
	int rounds = 0;
	int level = e->level;

	for (uint64_t id = 1; id <= e->count && ids.count == 0; id++)
		nodes[count++] = env_node(e, id);
	for (size_t i = 0; i < ids.count && count < ENV_NODES_MAX; i++) {
		if (env_node(e, ids.v[i]) != NULL)
			nodes[count++] = env_node(e, ids.v[i]);
	}
	if (value_of(c, "log-level") != NULL)
		set_level(e, value_of(c, "log-level"));
	while (stabilize_round(e, nodes, count) && ++rounds < STABILIZE_MAX)
		;
	if (rounds == STABILIZE_MAX)
		env_print(e, "does not come to rest\n");
	e->level = level;
}

/* ---- what is printed on request --------------------------------------------------------------------------- */

static void log_level(struct env *e, const struct script_case *c)
{
	if (c->arg_count > 0)
		set_level(e, c->args[0].key);
}

static void print_log(struct env *e, const struct env_node *n)
{
	struct buf text = BUF_INIT;

	if (n->last == n->base)
		buf_printf(&text, "log is empty: first index=%llu, last index=%llu",
			   (unsigned long long)n->base + 1, (unsigned long long)n->last);
	for (uint64_t i = n->base + 1; i <= n->last; i++) {
		env_describe_entry(e, &n->log[i], &text);
		buf_printf(&text, "\n");
	}
	env_put(e, &text);
	buf_release(&text);
}

static void raft_log(struct env *e, const struct script_case *c)
{
	struct env_node *n = first_node(e, c);

	if (n != NULL)
		print_log(e, n);
}

static void compact(struct env *e, const struct script_case *c)
{
	struct env_node *n = first_node(e, c);
	struct ids ids = bare_ids(c);
	uint64_t to = ids.count == 2 ? ids.v[1] : 0;

	if (n == NULL)
		return;
	if (to <= n->base || to > n->last) {
		env_print(e, "requested index is unavailable due to compaction");
		return;
	}
	n->base_term = n->log[to].term;
	for (uint64_t i = n->base + 1; i <= to; i++) {
		blob_unref(n->log[i].data);
		n->log[i] = (struct raft_entry){ .index = 0 };
	}
	n->base = to;
	tail_cut(&n->r->tail, to);
	print_log(e, n);
}

static void raft_state(struct env *e, const struct script_case *c)
{
	(void)c;
	for (size_t i = 0; i < e->count; i++) {
		struct env_node *n = e->nodes[i];
		struct raft_status st;
		const struct raft_member *self = raft_conf_find(raft_conf(n->r), n->id);
		bool voter = self != NULL && (self->role & (RAFT_VOTER | RAFT_VOTER_OUT));

		raft_status(n->r, &st);
		env_print(e, "%llu: %s %s Term:%llu Lead:%llu\n", (unsigned long long)n->id,
			  env_role_name(st.role), voter ? "(Voter)" : "(Non-Voter)",
			  (unsigned long long)st.term, (unsigned long long)st.leader);
	}
}

static void print_peer(struct env *e, const struct progress *p, bool learner)
{
	static const char *const states[] = { [RAFT_PROBE] = "StateProbe",
					      [RAFT_REPLICATE] = "StateReplicate",
					      [RAFT_SNAPSHOT] = "StateSnapshot" };

	env_print(e, "%llu: %s match=%llu next=%llu%s%s", (unsigned long long)p->id,
		  states[p->state], (unsigned long long)p->match, (unsigned long long)p->next,
		  learner ? " learner" : "", progress_paused(p) ? " paused" : "");
	if (p->pending_snapshot > 0)
		env_print(e, " pendingSnap=%llu", (unsigned long long)p->pending_snapshot);
	if (!p->recent_active)
		env_print(e, " inactive");
	if (p->inflights.count > 0)
		env_print(e, " inflight=%u%s", p->inflights.count,
			  inflights_full(&p->inflights) ? "[full]" : "");
	env_print(e, "\n");
}

static void status(struct env *e, const struct script_case *c)
{
	struct env_node *n = first_node(e, c);

	if (n == NULL || n->r->role != RAFT_LEADER)
		return;
	for (size_t i = 0; i < n->r->conf.count; i++) {
		const struct raft_member *m = &n->r->conf.members[i];

		if (m->id == n->id)
			env_print(e, "%llu: StateReplicate match=%llu next=%llu%s\n",
				  (unsigned long long)n->id, (unsigned long long)n->self_match,
				  (unsigned long long)n->self_next,
				  m->role == RAFT_LEARNER ? " learner" : "");
		else
			print_peer(e, raft_peer(n->r, m->id), m->role == RAFT_LEARNER);
	}
}

/* ---- the table ----------------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	void (*run)(struct env *e, const struct script_case *c);
} commands[] = {
	{ "_breakpoint", NULL },
	{ "add-nodes", add_nodes },
	{ "campaign", campaign },
	{ "compact", compact },
	{ "deliver-msgs", deliver_msgs },
	{ "process-ready", process_ready },
	{ "process-append-thread", process_append_thread },
	{ "process-apply-thread", process_apply_thread },
	{ "log-level", log_level },
	{ "raft-log", raft_log },
	{ "raft-state", raft_state },
	{ "set-randomized-election-timeout", set_timeout },
	{ "stabilize", stabilize },
	{ "status", status },
	{ "tick-election", tick_election },
	{ "tick-heartbeat", tick_heartbeat },
	{ "transfer-leadership", transfer_leadership },
	{ "forget-leader", forget_leader },
	{ "send-snapshot", send_snapshot },
	{ "propose", propose },
	{ "propose-conf-change", propose_conf_change },
	{ "report-unreachable", report_unreachable },
};

static void *start(void)
{
	return mem_calloc(1, sizeof(struct env));
}

static void run(void *world, const struct script_case *c, struct buf *out)
{
	struct env *e = world;
	bool known = false;

	buf_reset(&e->out);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(commands[i].name, c->command) != 0)
			continue;
		known = true;
		if (commands[i].run != NULL)
			commands[i].run(e, c);
	}
	if (!known)
		buf_printf(&e->out, "unknown command");
	for (size_t i = 0; i < e->count; i++)
		raft_check(e->nodes[i]->r);
	if (e->out.len == 0)
		buf_printf(&e->out, "ok");
	buf_put(out, e->out.data, e->out.len);
	if (out->data[out->len - 1] != '\n')
		buf_printf(out, "\n");
}

static void stop(void *world)
{
	env_free(world);
}

const struct oracle_kind oracle_interaction = {
	.folder = "interaction", .start = start, .run = run, .stop = stop, .projected = true
};
