/* describe.c - messages and entries as etcd/raft prints them. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "tests/oracle/env.h"
#include "tests/oracle/oracle.h"

void env_put(struct env *e, const struct buf *text)
{
	if (e->level < ENV_LEVEL_NONE && text->len > 0)
		buf_put(&e->out, text->data, text->len);
}

static void put_format(struct env *e, const char *fmt, va_list ap)
	__attribute__((format(printf, 2, 0)));

static void put_format(struct env *e, const char *fmt, va_list ap)
{
	char text[1024];

	vsnprintf(text, sizeof(text), fmt, ap);
	buf_put(&e->out, text, strlen(text));
}

void env_print(struct env *e, const char *fmt, ...)
{
	va_list ap;

	if (e->level == ENV_LEVEL_NONE)
		return;
	va_start(ap, fmt);
	put_format(e, fmt, ap);
	va_end(ap);
}

void env_log_info(struct env *e, const char *fmt, ...)
{
	va_list ap;

	if (e->level > ENV_LEVEL_INFO)
		return;
	buf_printf(&e->out, "INFO ");
	va_start(ap, fmt);
	put_format(e, fmt, ap);
	va_end(ap);
	buf_printf(&e->out, "\n");
}

void env_indent_begin(struct env *e, struct buf *saved)
{
	*saved = e->out;
	e->out = BUF_INIT;
}

void env_indent_end(struct env *e, struct buf *saved)
{
	struct buf inner = e->out;
	size_t at = 0;

	e->out = *saved;
	while (at < inner.len) {
		const uint8_t *end = memchr(inner.data + at, '\n', inner.len - at);
		size_t len = end == NULL ? inner.len - at : (size_t)(end - (inner.data + at));

		buf_printf(&e->out, "  ");
		buf_put(&e->out, inner.data + at, len);
		buf_printf(&e->out, "\n");
		at += len + 1;
	}
	buf_release(&inner);
}

const char *env_role_name(enum raft_role role)
{
	static const char *const names[] = { [RAFT_FOLLOWER] = "StateFollower",
					     [RAFT_PRE_CANDIDATE] = "StatePreCandidate",
					     [RAFT_CANDIDATE] = "StateCandidate",
					     [RAFT_LEADER] = "StateLeader" };

	return names[role];
}

static const struct {
	const char *name;
	int core;            /* enum raft_message_type, 0 none */
	enum env_type local; /* ENV_MSG_ANY: none */
} types[] = {
	{ "MsgApp", RAFT_MSG_APPEND, ENV_MSG_ANY },
	{ "MsgAppResp", RAFT_MSG_APPEND_RESP, ENV_MSG_SELF_APPEND_RESP },
	{ "MsgHeartbeat", RAFT_MSG_HEARTBEAT, ENV_MSG_ANY },
	{ "MsgHeartbeatResp", RAFT_MSG_HEARTBEAT_RESP, ENV_MSG_ANY },
	{ "MsgPreVote", RAFT_MSG_PREVOTE, ENV_MSG_ANY },
	{ "MsgPreVoteResp", RAFT_MSG_PREVOTE_RESP, ENV_MSG_SELF_PREVOTE_RESP },
	{ "MsgVote", RAFT_MSG_VOTE, ENV_MSG_ANY },
	{ "MsgVoteResp", RAFT_MSG_VOTE_RESP, ENV_MSG_SELF_VOTE_RESP },
	{ "MsgSnap", RAFT_MSG_SNAPSHOT, ENV_MSG_ANY },
	{ "MsgSnapStatus", RAFT_MSG_SNAPSHOT_RESP, ENV_MSG_ANY },
	{ "MsgReadIndex", RAFT_MSG_READ_INDEX, ENV_MSG_ANY },
	{ "MsgReadIndexResp", RAFT_MSG_READ_INDEX_RESP, ENV_MSG_ANY },
	{ "MsgTimeoutNow", RAFT_MSG_TIMEOUT_NOW, ENV_MSG_ANY },
	{ "MsgProp", 0, ENV_MSG_PROP },
	{ "MsgTransferLeader", 0, ENV_MSG_TRANSFER },
	{ "MsgStorageAppend", 0, ENV_MSG_STORAGE_APPEND },
	{ "MsgStorageAppendResp", 0, ENV_MSG_STORAGE_APPEND_RESP },
	{ "MsgStorageApply", 0, ENV_MSG_STORAGE_APPLY },
	{ "MsgStorageApplyResp", 0, ENV_MSG_STORAGE_APPLY_RESP },
	/* Theirs alone, never on the wire of a script. */
	{ "MsgHup", 0, ENV_MSG_ANY },
	{ "MsgBeat", 0, ENV_MSG_ANY },
	{ "MsgUnreachable", 0, ENV_MSG_ANY },
	{ "MsgCheckQuorum", 0, ENV_MSG_ANY },
	{ "MsgForgetLeader", 0, ENV_MSG_ANY },
};

bool env_is_type(const struct env_msg *m, int type)
{
	if (m->type == ENV_MSG_CORE)
		return types[type].core != 0 && m->core.type == types[type].core;
	return types[type].local == m->type;
}

int env_type_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if (strcmp(types[i].name, name) == 0)
			return (int)i;
	}
	return -1;
}

const char *env_type_name(const struct env_msg *m)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if (env_is_type(m, (int)i))
			return types[i].name;
	}
	return "unknown";
}

static void put_quoted(struct buf *out, const struct blob *data)
{
	buf_printf(out, "\"");
	for (size_t i = 0; data != NULL && i < data->len; i++) {
		uint8_t c = data->data[i];

		if (c == '"' || c == '\\')
			buf_printf(out, "\\%c", c);
		else if (c == '\n' || c == '\t')
			buf_printf(out, "\\%c", c == '\n' ? 'n' : 't');
		else if (isprint(c))
			buf_printf(out, "%c", c);
		else
			buf_printf(out, "\\x%02x", c);
	}
	buf_printf(out, "\"");
}

static void put_changes(struct buf *out, const struct blob *data)
{
	struct raft_conf_change change;

	if (data == NULL || raft_conf_change_decode(&change, data->data, data->len) < 0)
		return;
	for (size_t i = 0; i < change.count; i++)
		buf_printf(out, " %c%llu", " vlru"[change.v[i].op],
			   (unsigned long long)change.v[i].id);
}

void env_describe_entry(struct env *e, const struct raft_entry *entry, struct buf *out)
{
	buf_printf(out, "%llu/%llu ", (unsigned long long)entry->term,
		   (unsigned long long)entry->index);
	if (entry->type == RAFT_ENTRY_CONF) {
		buf_printf(out, "%s",
			   env_is_old(e, entry->data) ? "EntryConfChange" : "EntryConfChangeV2");
		put_changes(out, entry->data);
	} else {
		buf_printf(out, "EntryNormal ");
		put_quoted(out, entry->data);
	}
}

static void put_ids(struct buf *out, const char *name, const struct raft_conf *conf, uint8_t bit)
{
	const char *sep = "";

	buf_printf(out, "%s:[", name);
	for (size_t i = 0; i < conf->count; i++) {
		if (!(conf->members[i].role & bit))
			continue;
		buf_printf(out, "%s%llu", sep, (unsigned long long)conf->members[i].id);
		sep = " ";
	}
	buf_printf(out, "] ");
}

void env_describe_snapshot(const struct raft_snapshot_meta *meta, struct buf *out)
{
	buf_printf(out, "Index:%llu Term:%llu ConfState:", (unsigned long long)meta->index,
		   (unsigned long long)meta->term);
	put_ids(out, "Voters", &meta->conf, RAFT_VOTER);
	put_ids(out, "VotersOutgoing", &meta->conf, RAFT_VOTER_OUT);
	put_ids(out, "Learners", &meta->conf, RAFT_LEARNER);
	put_ids(out, "LearnersNext", &meta->conf, RAFT_LEARNER_NEXT);
	buf_printf(out, "AutoLeave:%s", meta->conf.auto_leave ? "true" : "false");
}

static void put_target(struct buf *out, uint64_t id)
{
	if (id == 0)
		buf_printf(out, "None");
	else if (id == ENV_APPEND_THREAD)
		buf_printf(out, "AppendThread");
	else if (id == ENV_APPLY_THREAD)
		buf_printf(out, "ApplyThread");
	else
		buf_printf(out, "%llx", (unsigned long long)id);
}

static void put_entries(struct env *e, const struct env_msg *m, const char *indent, struct buf *out)
{
	buf_printf(out, " Entries:[");
	for (size_t i = 0; i < m->entry_count; i++) {
		if (m->entry_count > 1)
			buf_printf(out, "\n%s  ", indent);
		env_describe_entry(e, &m->entries[i], out);
	}
	if (m->entry_count > 1)
		buf_printf(out, "\n%s", indent);
	buf_printf(out, "]");
}

static void describe(struct env *e, const struct env_msg *m, const char *indent, struct buf *out)
{
	buf_printf(out, "%s", indent);
	put_target(out, m->from);
	buf_printf(out, "->");
	put_target(out, m->to);
	buf_printf(out, " %s Term:%llu Log:%llu/%llu", env_type_name(m),
		   (unsigned long long)m->term, (unsigned long long)m->log_term,
		   (unsigned long long)m->index);
	if (m->reject)
		buf_printf(out, " Rejected (Hint: %llu)", (unsigned long long)m->hint);
	if (m->commit != 0)
		buf_printf(out, " Commit:%llu", (unsigned long long)m->commit);
	if (m->vote != 0)
		buf_printf(out, " Vote:%llu", (unsigned long long)m->vote);
	if (m->entry_count > 0)
		put_entries(e, m, indent, out);
	if (m->has_snapshot) {
		buf_printf(out, "\n%s  Snapshot: ", indent);
		env_describe_snapshot(&m->snapshot, out);
	}
	if (m->response_count > 0) {
		char deeper[32];

		snprintf(deeper, sizeof(deeper), "%s  ", indent);
		buf_printf(out, " Responses:[");
		for (size_t i = 0; i < m->response_count; i++) {
			buf_printf(out, "\n");
			describe(e, &m->responses[i], deeper, out);
		}
		buf_printf(out, "\n%s]", indent);
	}
}

void env_describe(struct env *e, const struct env_msg *m, struct buf *out)
{
	describe(e, m, "", out);
}
