/*
 * env.h - small clusters as etcd/raft's interaction scripts see them, made of our cores.
 *
 * Their library collects work until the application asks for it (Ready) and reports it as done
 * later (Advance, or answers of an append thread and an apply thread); ours hands out work with
 * every step. So each node here keeps what its core handed out until the script asks:
 *
 * - messages, in two lists: those that may leave at once, and promises, which wait for the disk;
 *   the node's own votes and appends are promises to itself;
 * - which part of the core's log was shown (in_progress), reported durable (stable), shown for
 *   apply (applying) and reported applied (applied).
 *
 * Terms, votes, roles, logs, commit indexes, configurations, progress and the content and order of
 * messages are the core's. The driver looks into the core where a script reaches into theirs.
 */
#ifndef TESTS_ORACLE_ENV_H
#define TESTS_ORACLE_ENV_H

#include "raft/raft_internal.h"
#include "tests/oracle/script.h"

#define ENV_NODES_MAX 32
#define ENV_LOG_MAX 4096
#define ENV_APPEND_THREAD UINT64_MAX
#define ENV_APPLY_THREAD (UINT64_MAX - 1)

enum env_type {
	ENV_MSG_ANY,
	ENV_MSG_CORE, /* a core's message; core.type tells which */
	ENV_MSG_SELF_APPEND_RESP,
	ENV_MSG_SELF_VOTE_RESP,
	ENV_MSG_SELF_PREVOTE_RESP,
	ENV_MSG_PROP,
	ENV_MSG_TRANSFER,
	ENV_MSG_STORAGE_APPEND,
	ENV_MSG_STORAGE_APPEND_RESP,
	ENV_MSG_STORAGE_APPLY,
	ENV_MSG_STORAGE_APPLY_RESP,
};

struct env_msg {
	enum env_type type;
	uint64_t from, to, term;
	uint64_t log_term, index, commit, vote, hint;
	bool reject;
	struct raft_entry *entries; /* with references */
	size_t entry_count;
	bool has_snapshot;
	struct raft_snapshot_meta snapshot;
	struct env_msg *responses;
	size_t response_count;
	struct raft_message core; /* CORE: what is delivered */
};

struct env_list {
	struct env_msg *v;
	size_t count, cap;
};

struct env_hard {
	uint64_t term, vote, commit;
};

struct env_node {
	uint64_t id;
	struct raft *r;
	bool async, lease_reads;
	uint64_t max_committed_bytes;
	/* collected, not shown yet */
	struct env_list messages, promises;
	/* what the last Ready showed */
	uint64_t shown_leader;
	enum raft_role shown_role;
	struct env_hard shown;
	/* the log: index up to which it was shown, is durable, was shown for apply, is applied */
	uint64_t in_progress, stable, applying, applied;
	uint64_t terms[ENV_LOG_MAX]; /* of the entries up to in_progress */
	uint64_t applying_bytes;
	bool applying_paused;
	bool snapshot_due, snapshot_shown; /* an image is to be stored; ... was shown */
	struct raft_snapshot_meta image, offered;
	uint64_t self_match, self_next; /* the leader's progress of itself */
	/* storage */
	uint64_t base, base_term, last;
	struct raft_entry log[ENV_LOG_MAX]; /* with references */
	struct raft_snapshot_meta history;  /* newest image that could be sent */
	struct env_list append_work, apply_work;
	struct env_list on_advance; /* without threads: what Advance delivers */
};

struct env {
	struct env_node *nodes[ENV_NODES_MAX];
	size_t count;
	struct env_list wire;
	struct raft_test_options test[ENV_NODES_MAX];
	struct buf out;
	int level;                 /* 0 debug ... 5 none */
	struct blob **old_changes; /* payloads that were proposed as version 1; with references */
	size_t old_change_count;
};

#define ENV_LEVEL_INFO 1
#define ENV_LEVEL_NONE 5

/* describe.c */
void env_print(struct env *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void env_log_info(struct env *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void env_describe(struct env *e, const struct env_msg *m, struct buf *out);
void env_describe_entry(struct env *e, const struct raft_entry *entry, struct buf *out);
void env_describe_snapshot(const struct raft_snapshot_meta *meta, struct buf *out);
void env_put(struct env *e, const struct buf *text); /* as a harness writes: not when all is off */
const char *env_role_name(enum raft_role role);
const char *env_type_name(const struct env_msg *m);
/* A script's name of a message type as enum raft_message_type, or as 256 + enum env_type; -1 unknown. */
int env_type_of(const char *name);
bool env_is_type(const struct env_msg *m, int type);
void env_indent_begin(struct env *e, struct buf *saved);
void env_indent_end(struct env *e, struct buf *saved);

/* ready.c */
bool env_has_ready(const struct env_node *n);
void env_process_ready(struct env *e, struct env_node *n);
/* As many bytes as their encoding of the entries has. */
uint64_t env_entries_bytes(const struct env *e, const struct raft_entry *v, size_t count);
void env_process_append(struct env *e, struct env_node *n);
void env_process_apply(struct env *e, struct env_node *n);

/* env.c */
struct env_node *env_add_node(struct env *e, const struct raft_options *options,
			      const struct raft_conf *conf, uint64_t index);
void env_free(struct env *e);
struct env_node *env_node(struct env *e, uint64_t id); /* NULL if there is none */
int env_step(struct env *e, struct env_node *n, const struct raft_input *in);
/* Puts the configurations up to index into force, as an application does when it applies them. */
void env_apply_conf(struct env *e, struct env_node *n, uint64_t index);
void env_deliver(struct env *e, struct env_msg *m);
void env_self(struct env *e, struct env_node *n, const struct env_msg *m);
void env_propose(struct env *e, struct env_node *n, const struct raft_entry *entry);
void env_transfer(struct env *e, struct env_node *n, uint64_t to);

void env_list_push(struct env_list *l, struct env_msg m);
void env_list_clear(struct env_list *l);
void env_msg_release(struct env_msg *m);
struct env_msg env_msg_copy(const struct env_msg *m); /* not of CORE messages */
void env_mark_old(struct env *e, struct blob *payload);
bool env_is_old(const struct env *e, const struct blob *payload);

#endif
