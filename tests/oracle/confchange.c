/* confchange.c - changes of configurations, computed by raft/confchange.c. */
#include <stdlib.h>
#include <string.h>

#include "raft/membership.h"
#include "tests/oracle/oracle.h"

/* What a leader would know of each member: only where it would start to send is printed. */
struct world {
	struct raft_conf conf;
	uint64_t next[RAFT_NODES_MAX]; /* beside conf.members */
	uint64_t last_index;
};

static void put_half(struct buf *out, const struct raft_conf *conf, uint8_t bit)
{
	const char *sep = "";

	buf_printf(out, "(");
	for (size_t i = 0; i < conf->count; i++) {
		if (!(conf->members[i].role & bit))
			continue;
		buf_printf(out, "%s%llx", sep, (unsigned long long)conf->members[i].id);
		sep = " ";
	}
	buf_printf(out, ")");
}

static bool any(const struct raft_conf *conf, uint8_t bit)
{
	for (size_t i = 0; i < conf->count; i++) {
		if (conf->members[i].role & bit)
			return true;
	}
	return false;
}

void oracle_put_conf(struct buf *out, const struct raft_conf *conf)
{
	buf_printf(out, "voters=");
	put_half(out, conf, RAFT_VOTER);
	if (any(conf, RAFT_VOTER_OUT)) {
		buf_printf(out, "&&");
		put_half(out, conf, RAFT_VOTER_OUT);
	}
	if (any(conf, RAFT_LEARNER)) {
		buf_printf(out, " learners=");
		put_half(out, conf, RAFT_LEARNER);
	}
	if (any(conf, RAFT_LEARNER_NEXT)) {
		buf_printf(out, " learners_next=");
		put_half(out, conf, RAFT_LEARNER_NEXT);
	}
	if (conf->auto_leave)
		buf_printf(out, " autoleave");
}

static const char *read_changes(const struct script_case *c, struct raft_conf_change *change)
{
	static const char ops[] = "vlru";
	char *text = mem_strdup(c->input);
	char *save = NULL;
	const char *bad = NULL;

	for (char *tok = strtok_r(text, " \n", &save); tok != NULL;
	     tok = strtok_r(NULL, " \n", &save)) {
		const char *op = strchr(ops, tok[0]);

		if (change->count == RAFT_CHANGES_MAX || op == NULL ||
		    !script_number(tok + 1, &change->v[change->count].id)) {
			bad = "unknown input";
			break;
		}
		change->v[change->count++].op = (uint8_t)(RAFT_ADD_VOTER + (op - ops));
	}
	free(text);
	return bad;
}

/* Members that stay keep their progress; who is dropped and added in one list starts anew. */
static void follow(struct world *w, const struct raft_conf_change *change,
		   const struct raft_conf *next)
{
	struct raft_conf at = w->conf;
	struct world old = *w;
	bool fresh[RAFT_NODES_MAX] = { false };

	if (change->transition != RAFT_SIMPLE && change->transition != RAFT_LEAVE_JOINT) {
		for (size_t i = 0; i < at.count; i++)
			at.members[i].role |= at.members[i].role & RAFT_VOTER ? RAFT_VOTER_OUT : 0;
	}
	for (size_t i = 0; i < change->count; i++) {
		bool was = raft_conf_find(&at, change->v[i].id) != NULL;

		conf_change_one(&at, &change->v[i], NULL);
		for (size_t k = 0; k < next->count && !was; k++)
			fresh[k] = fresh[k] || next->members[k].id == change->v[i].id;
	}
	w->conf = *next;
	for (size_t i = 0; i < next->count; i++) {
		w->next[i] = max_u64(w->last_index, 1);
		for (size_t k = 0; k < old.conf.count && !fresh[i]; k++) {
			if (old.conf.members[k].id == next->members[i].id)
				w->next[i] = old.next[k];
		}
	}
}

static void *start(void)
{
	return mem_calloc(1, sizeof(struct world));
}

static void run(void *world, const struct script_case *c, struct buf *out)
{
	struct world *w = world;
	struct raft_conf_change change = { .transition = 0 };
	const struct script_arg *auto_leave = script_arg(c, "autoleave");
	struct raft_conf next;
	struct err err = ERR_INIT;
	const char *bad = read_changes(c, &change);

	if (strcmp(c->command, "simple") == 0)
		change.transition = RAFT_SIMPLE;
	else if (strcmp(c->command, "leave-joint") == 0)
		change.transition = RAFT_LEAVE_JOINT;
	else if (strcmp(c->command, "enter-joint") == 0)
		change.transition = auto_leave != NULL && auto_leave->value_count == 1 &&
						    strcmp(auto_leave->values[0], "true") == 0
					    ? RAFT_JOINT_AUTO
					    : RAFT_JOINT_EXPLICIT;
	else
		bad = "unknown command";
	if (bad == NULL && change.transition == RAFT_LEAVE_JOINT && change.count > 0)
		bad = "this command takes no input";
	if (bad != NULL) {
		buf_printf(out, "%s\n", bad);
	} else if (raft_conf_change(&w->conf, &change, &next, &err) < 0) {
		buf_printf(out, "%s\n", err.text);
	} else {
		follow(w, &change, &next);
		oracle_put_conf(out, &w->conf);
		buf_printf(out, "\n");
		for (size_t i = 0; i < w->conf.count; i++)
			buf_printf(out, "%llu: StateProbe match=0 next=%llu%s\n",
				   (unsigned long long)w->conf.members[i].id,
				   (unsigned long long)w->next[i],
				   w->conf.members[i].role == RAFT_LEARNER ? " learner" : "");
	}
	w->last_index++;
}

const struct oracle_kind oracle_confchange = {
	.folder = "confchange", .start = start, .run = run, .stop = free
};
