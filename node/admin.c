/*
 * admin.c - the admin protocol: a JSON object with "verb" in, a JSON object out (docs/admin.md).
 *
 *   {"verb":"status"}            everything `quorumfs status` shows
 *   {"verb":"snapshot"}          seal a snapshot soon; the answer tells where the last one is
 *   {"verb":"check","tree":b}    recompute the state digest, and check the file tree; answers later
 *   {"verb":"move-leader","to":n}
 *   {"verb":"sessions"}          the sessions, as this node knows them while it leads
 *
 * Every answer has "ok"; a failed one has "error", "still_works" and "next" instead of results.
 */
#include <json-c/json.h>

#include "base/clock.h"
#include "base/version.h"
#include "node/node_internal.h"

#define ADMIN_REQUEST_MAX 65536u

static void put_json(struct json_object *o, struct buf *reply)
{
	const char *text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);

	buf_put(reply, text, strlen(text));
	json_object_put(o);
}

static void put_u64(struct json_object *o, const char *name, uint64_t value)
{
	json_object_object_add(o, name, json_object_new_uint64(value));
}

static void put_str(struct json_object *o, const char *name, const char *value)
{
	json_object_object_add(o, name, json_object_new_string(value));
}

static void put_bool(struct json_object *o, const char *name, bool value)
{
	json_object_object_add(o, name, json_object_new_boolean(value));
}

static void put_hex(struct json_object *o, const char *name, const uint8_t *data, size_t len)
{
	char text[2 * 64 + 1] = "";

	assert(len <= 64);
	for (size_t i = 0; i < len; i++)
		snprintf(text + 2 * i, 3, "%02x", data[i]);
	put_str(o, name, text);
}

static void refuse(struct buf *reply, const char *error, const char *still_works, const char *next)
{
	struct json_object *o = json_object_new_object();

	put_bool(o, "ok", false);
	put_str(o, "error", error);
	put_str(o, "still_works", still_works);
	put_str(o, "next", next);
	put_json(o, reply);
}

/* ---- status --------------------------------------------------------------------------------- */

static const struct raft_peer_status *progress_of(const struct raft_status *st, uint64_t id)
{
	for (size_t i = 0; i < st->peer_count; i++)
		if (st->peers[i].id == id)
			return &st->peers[i];
	return NULL;
}

static struct json_object *member_json(struct node *node, const struct replica_info *info,
				       const struct raft_member *m)
{
	static const char *const states[] = { "probe", "replicate", "snapshot" };
	const struct raft_peer_status *progress = progress_of(&info->raft, m->id);
	struct json_object *o = json_object_new_object();
	bool self = m->id == info->raft.self;

	put_u64(o, "id", m->id);
	put_str(o, "address", m->address);
	put_str(o, "role", m->id == info->raft.leader ? "leader" : m->role & RAFT_VOTER ? "voter" : "learner");
	put_bool(o, "self", self);
	put_bool(o, "connected", self || loop_peer_open(node, m->id));
	if (!self)
		put_str(o, "last_error", loop_peer_error(node, m->id));
	if (self) {
		put_u64(o, "applied_index", info->raft.applied_index);
		put_u64(o, "free_bytes", info->space.free_bytes);
		put_u64(o, "total_bytes", info->space.total_bytes);
		put_bool(o, "space_low", info->space.free_bytes < info->space.reserve_bytes);
	}
	for (size_t i = 0; i < info->peer_count; i++) {
		const struct replica_peer_info *p = &info->peers[i];

		if (p->id != m->id || p->heard_ms_ago == UINT64_MAX)
			continue;
		put_u64(o, "heard_ms_ago", p->heard_ms_ago);
		put_u64(o, "applied_index", p->applied_index);
		put_u64(o, "free_bytes", p->free_bytes);
		put_u64(o, "total_bytes", p->total_bytes);
		put_bool(o, "space_low", p->space_low);
	}
	if (progress && !self) {
		put_str(o, "progress", states[progress->state]);
		put_u64(o, "match_index", progress->match_index);
		put_bool(o, "active", progress->recent_active);
		put_bool(o, "lease", progress->lease_live);
		put_bool(o, "lease_slow", progress->lease_slow);
	}
	return o;
}

static size_t count_voters(const struct raft_conf *conf, struct node *node, uint64_t self, size_t *up)
{
	size_t voters = 0;

	*up = 0;
	for (size_t i = 0; i < conf->count; i++) {
		if (!(conf->members[i].role & RAFT_VOTER))
			continue;
		voters++;
		if (conf->members[i].id == self || loop_peer_open(node, conf->members[i].id))
			(*up)++;
	}
	return voters;
}

static void put_raft(struct json_object *o, const struct replica_info *info)
{
	const struct raft_status *st = &info->raft;

	put_str(o, "role", raft_role_name(st->role));
	put_u64(o, "leader", st->leader);
	put_u64(o, "term", st->term);
	put_u64(o, "first_index", st->base_index + 1);
	put_u64(o, "last_index", st->last_index);
	put_u64(o, "commit_index", st->commit_index);
	put_u64(o, "applied_index", st->applied_index);
	put_u64(o, "durable_index", st->durable_index);
	put_u64(o, "snapshot_index", st->snapshot_index);
	put_u64(o, "uncommitted_bytes", st->uncommitted_bytes);
}

static void put_leases(struct json_object *o, const struct replica_info *info)
{
	const struct raft_lease_status *st = &info->raft.lease;
	struct json_object *lease = json_object_new_object();

	put_u64(lease, "length_us", st->length_ns / 1000);
	put_u64(lease, "remaining_us", st->remaining_ns / 1000);
	put_u64(lease, "holders", st->holders);
	put_bool(lease, "settings_differ", st->lengths_differ);
	put_bool(lease, "gate_waiting", st->gate_waiting);
	put_u64(lease, "gate_waiting_us", st->gate_waiting_ns / 1000);
	put_u64(lease, "gate_stalls", st->gate_stalls);
	json_object_object_add(o, "lease", lease);
	put_u64(o, "local_reads", info->local_reads);
	put_u64(o, "index_reads", info->index_reads);
}

static void put_store(struct json_object *o, const struct replica_info *info)
{
	put_u64(o, "log_bytes", info->log_bytes);
	put_u64(o, "state_bytes", info->state_bytes);
	put_u64(o, "written_bytes", info->written_bytes);
	json_object_object_add(o, "snapshot_threshold",
			       json_object_new_int64(info->snapshot_threshold_bytes == UINT64_MAX ?
							     -1 : (int64_t)info->snapshot_threshold_bytes));
	put_u64(o, "log_since_snapshot", info->log_since_snapshot_bytes);
	put_bool(o, "snapshot_running", info->snapshot_running);
	put_bool(o, "fetch_running", info->fetch_running);
	put_u64(o, "snapshots_made", info->snapshots_made);
	put_u64(o, "snapshots_installed", info->snapshots_installed);
	put_str(o, "snapshot_error", info->snapshot_error);
	put_u64(o, "clients", info->clients);
	put_u64(o, "waiters", info->waiters);
	put_u64(o, "pending_reads", info->pending_reads);
	put_u64(o, "orphans", info->orphans);
	put_u64(o, "sessions", info->sessions);
	put_u64(o, "session_ttl_ms", info->session_ttl_ms);
}

static void status(struct node *node, struct buf *reply)
{
	struct json_object *o = json_object_new_object();
	struct json_object *members = json_object_new_array();
	struct replica_info *info = mem_alloc(sizeof(*info));
	const struct raft_conf *conf = replica_conf(node->replica);
	size_t voters, up;
	const char *health;

	replica_info(node->replica, info);
	voters = count_voters(conf, node, info->raft.self, &up);
	health = info->raft.leader == 0 || up <= voters / 2 ? "no-quorum" :
		 up < voters || info->snapshot_error[0] ? "degraded" : "healthy";
	put_bool(o, "ok", true);
	put_str(o, "health", health);
	put_str(o, "version", QUORUMFS_VERSION);
	put_hex(o, "cluster", node->identity.cluster, 16);
	put_u64(o, "group", node->identity.group);
	put_u64(o, "node", info->raft.self);
	put_u64(o, "uptime_ms", clock_boot_ms() - node->started_ms);
	put_u64(o, "voters", voters);
	put_u64(o, "voters_up", up);
	put_raft(o, info);
	put_leases(o, info);
	put_store(o, info);
	for (size_t i = 0; i < conf->count; i++)
		json_object_array_add(members, member_json(node, info, &conf->members[i]));
	json_object_object_add(o, "members", members);
	put_json(o, reply);
	free(info);
}

/* ---- other verbs ------------------------------------------------------------------------------- */

static void snapshot(struct node *node, struct buf *reply)
{
	struct json_object *o = json_object_new_object();
	struct raft_status st;
	struct replica_info *info = mem_alloc(sizeof(*info));

	replica_snapshot_now(node->replica);
	replica_info(node->replica, info);
	st = info->raft;
	put_bool(o, "ok", true);
	put_u64(o, "snapshot_index", st.snapshot_index);
	put_u64(o, "applied_index", st.applied_index);
	put_u64(o, "snapshots_made", info->snapshots_made);
	put_bool(o, "snapshot_running", info->snapshot_running);
	free(info);
	put_json(o, reply);
}

static void move_leader(struct node *node, uint64_t to, struct buf *reply)
{
	struct json_object *o;
	int ret = replica_transfer(node->replica, to);

	if (ret == -EPERM) {
		refuse(reply, "this node is not the leader", "everything", "quorumfs status");
		return;
	}
	if (ret < 0) {
		refuse(reply, "that node is not a member, or a change of leader is under way already",
		       "everything", "quorumfs status");
		return;
	}
	o = json_object_new_object();
	put_bool(o, "ok", true);
	put_json(o, reply);
}

#define SESSIONS_SHOWN_MAX 20000u /* what a frame can hold with room to spare */

static struct json_object *session_json(const struct replica_session_info *info)
{
	struct json_object *o = json_object_new_object();

	put_hex(o, "uuid", info->uuid, KV_UUID_SIZE);
	put_u64(o, "id", info->id);
	put_u64(o, "node", info->node);
	put_bool(o, "heard", info->heard);
	put_u64(o, "heard_ms_ago", info->heard_ms_ago);
	put_bool(o, "mount", info->holder);
	put_bool(o, "gone", info->gone);
	return o;
}

static void sessions(struct node *node, struct buf *reply)
{
	struct replica_session_info *list = NULL;
	ssize_t count = replica_sessions(node->replica, SESSIONS_SHOWN_MAX, &list);
	struct json_object *array, *o;

	if (count < 0) {
		refuse(reply, "this node is not the leader, who alone hears of all sessions", "everything",
		       "quorumfs status");
		return;
	}
	array = json_object_new_array();
	for (ssize_t i = 0; i < count; i++)
		json_object_array_add(array, session_json(&list[i]));
	free(list);
	o = json_object_new_object();
	put_bool(o, "ok", true);
	put_bool(o, "complete", count < (ssize_t)SESSIONS_SHOWN_MAX);
	json_object_object_add(o, "sessions", array);
	put_json(o, reply);
}

void admin_check_reply(struct node *node, const struct job_check *check, struct buf *reply)
{
	struct json_object *o;
	bool equal = memcmp(check->digest, check->meta.digest, KV_DIGEST_SIZE) == 0;

	if (check->job.status < 0) {
		refuse(reply, check->job.err.text[0] ? check->job.err.text : strerror(-check->job.status),
		       "files that are not damaged", "quorumfs status");
		return;
	}
	o = json_object_new_object();
	put_bool(o, "ok", true);
	put_u64(o, "node", node->identity.node_id);
	put_u64(o, "index", check->meta.applied_index);
	put_u64(o, "term", check->meta.applied_term);
	put_hex(o, "digest", check->digest, KV_DIGEST_SIZE);
	put_bool(o, "digest_matches", equal);
	put_bool(o, "tree_checked", check->tree);
	put_bool(o, "tree_clean", check->job.status == 0);
	json_object_object_add(o, "problems", json_object_new_string_len((const char *)check->text.data,
									 (int)check->text.len));
	put_json(o, reply);
}

struct json_object *admin_parse(const void *data, size_t len, const char **verb)
{
	struct json_tokener *tok = json_tokener_new();
	struct json_object *o = json_tokener_parse_ex(tok, data, (int)min_u64(len, ADMIN_REQUEST_MAX));
	struct json_object *field = NULL;

	json_tokener_free(tok);
	*verb = NULL;
	if (json_object_object_get_ex(o, "verb", &field) && json_object_is_type(field, json_type_string))
		*verb = json_object_get_string(field);
	if (!*verb)
		*verb = "";
	return o;
}

bool admin_handle(struct node *node, uint64_t link_id, const void *data, size_t len, struct buf *reply)
{
	const char *verb;
	struct json_object *o = admin_parse(data, len, &verb);
	struct json_object *field = NULL;
	bool now = true;

	if (strcmp(verb, "status") == 0) {
		status(node, reply);
	} else if (strcmp(verb, "sessions") == 0) {
		sessions(node, reply);
	} else if (strcmp(verb, "snapshot") == 0) {
		snapshot(node, reply);
	} else if (strcmp(verb, "check") == 0 && link_id != 0) {
		now = false;
		replica_check(node->replica, link_id,
			      json_object_object_get_ex(o, "tree", &field) && json_object_get_boolean(field));
	} else if (strcmp(verb, "move-leader") == 0 && json_object_object_get_ex(o, "to", &field)) {
		move_leader(node, json_object_get_uint64(field), reply);
	} else {
		refuse(reply, "unknown admin verb", "all other verbs", "quorumfs --help");
	}
	json_object_put(o);
	return now;
}
