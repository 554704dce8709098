/*
 * replica.c - see replica.h: stepping the core and carrying its outputs out.
 *
 * raft_step()'s arrays live until the next step, so carry_out() never steps: it moves what it needs
 * into jobs and lists, and replica_flush() goes on from there.
 */
#include "base/mark.h"
#include "node/fetch.h"
#include "node/replica_internal.h"

#define MAX_MESSAGE_BYTES (2u * 1024 * 1024)
#define MAX_INFLIGHT_MESSAGES 64u
#define MAX_INFLIGHT_BYTES (32ull * 1024 * 1024)
#define MAX_UNCOMMITTED_BYTES (64ull * 1024 * 1024)
#define MAX_APPLY_BYTES (32ull * 1024 * 1024)
#define MAX_CACHE_BYTES (32ull * 1024 * 1024)
#define KEEP_TAIL_BYTES (8ull * 1024 * 1024)
#define LOAD_BYTES (4u * 1024 * 1024)
#define STATUS_EVERY_MS 1000u

uint64_t replica_now(struct replica *r)
{
	return r->ops->now_ms(r->ctx);
}

void replica_submit(struct replica *r, enum worker_kind worker, struct job *job)
{
	r->ops->submit(r->ctx, worker, job);
}

bool replica_is_leader(const struct replica *r)
{
	struct raft_status st;

	raft_status(r->raft, &st);
	return st.role == RAFT_LEADER;
}

uint64_t replica_leader(const struct replica *r)
{
	struct raft_status st;

	raft_status(r->raft, &st);
	return st.leader;
}

struct peer *replica_peer(struct replica *r, uint64_t id)
{
	for (size_t i = 0; i < r->peer_count; i++)
		if (r->peers[i].id == id)
			return &r->peers[i];
	return NULL;
}

void replica_fail(struct replica *r, const struct err *err)
{
	if (r->failed)
		return;
	MARK("node.replica.failed");
	r->failed = true;
	r->ops->fatal(r->ctx, err);
}

/* ---- outputs --------------------------------------------------------------------------------- */

static void send_message(struct replica *r, struct raft_message *msg)
{
	struct buf frame = BUF_INIT;
	uint64_t to = msg->to;

	raft_message_encode(msg, &frame);
	r->ops->send_peer(r->ctx, to, NET_RAFT, &frame);
	buf_release(&frame);
}

static struct raft_entry *copy_entries(const struct raft_entries *from)
{
	struct raft_entry *to = mem_calloc(from->count, sizeof(*to));

	for (size_t i = 0; i < from->count; i++) {
		to[i] = from->v[i];
		blob_ref(to[i].data);
	}
	return to;
}

/* Promises leave after all log work handed out so far: with this job, or at once when there is none. */
static void add_promises(struct job_persist *p, struct raft_messages *msgs)
{
	p->promises = mem_realloc(p->promises, (p->promise_count + msgs->count) * sizeof(*p->promises));
	for (size_t i = 0; i < msgs->count; i++) {
		p->promises[p->promise_count++] = msgs->v[i];
		msgs->v[i] = (struct raft_message){ .type = 0 };
	}
}

static void carry_out_log_work(struct replica *r, struct raft_output *out)
{
	struct job_persist *p = NULL;

	if (out->persist_hard_state || out->persist.count > 0) {
		p = job_new(JOB_PERSIST, sizeof(*p));
		p->set_hard = out->persist_hard_state;
		p->hard = out->hard;
		p->entries = copy_entries(&out->persist);
		p->entry_count = out->persist.count;
		add_promises(p, &out->send_when_stored);
		list_add_tail(&r->persisting, &p->tracking);
		replica_submit(r, WORKER_LOG, &p->job);
	} else if (out->send_when_stored.count > 0) {
		if (!list_empty(&r->persisting)) {
			MARK("node.promise.rides-job-under-way");
			/* The log worker reads only the entries; promises are ours until the job is back. */
			p = list_entry(r->persisting.prev, struct job_persist, tracking);
			add_promises(p, &out->send_when_stored);
		}
		for (size_t i = 0; i < out->send_when_stored.count && !p; i++)
			send_message(r, &out->send_when_stored.v[i]);
	}
}

static void carry_out_load(struct replica *r, struct raft_output *out)
{
	struct job_load *load;

	if (out->load.lo == 0 || r->loading)
		return;
	r->loading = true;
	load = job_new(JOB_LOAD, sizeof(*load));
	load->lo = out->load.lo;
	load->hi = out->load.hi;
	load->max_bytes = LOAD_BYTES;
	replica_submit(r, WORKER_READ, &load->job);
}

static void learn_peers(struct replica *r)
{
	const struct raft_conf *conf = raft_conf(r->raft);
	struct peer old[RAFT_NODES_MAX];
	size_t old_count = r->peer_count;

	memcpy(old, r->peers, sizeof(old));
	r->peer_count = 0;
	for (size_t i = 0; i < conf->count; i++) {
		struct peer *p = &r->peers[r->peer_count];

		if (conf->members[i].id == r->options.self)
			continue;
		*p = (struct peer){ .id = conf->members[i].id };
		for (size_t k = 0; k < old_count; k++)
			if (old[k].id == p->id)
				*p = old[k];
		memcpy(p->address, conf->members[i].address, sizeof(p->address));
		r->peer_count++;
	}
	r->ops->peers(r->ctx, conf);
}

/* The evaluator starts from the end of the log whenever that may have moved without it. */
static void restart_evaluator(struct replica *r, bool leader)
{
	struct job_eval_role *role = job_new(JOB_EVAL_ROLE, sizeof(*role));
	struct raft_status st;

	list_for_each_safe(it, &r->refused) {
		list_del(it);
		job_free(list_entry(it, struct job, link));
	}
	raft_status(r->raft, &st);
	role->generation = ++r->generation;
	role->leader = leader;
	role->term = st.term;
	role->last_index = st.last_index;
	role->last_term = st.last_term;
	role->sessions_max = r->options.sessions_max;
	r->evaluating = leader;
	r->evaluated_to = r->evaluates_above = st.last_index;
	replica_submit(r, WORKER_EVALUATE, &role->job);
}

/* On the tightest node that is there. */
static uint64_t room_bytes(const struct replica *r)
{
	uint64_t room = upkeep_room_bytes(r);

	for (size_t i = 0; i < r->peer_count; i++)
		if (r->peers[i].connected && r->peers[i].space.total_bytes > 0)
			room = min_u64(room, r->peers[i].room_bytes);
	return room;
}

void replica_tell_evaluator(struct replica *r)
{
	struct job_eval_applied *applied;

	if (!r->evaluating)
		return;
	applied = job_new(JOB_EVAL_APPLIED, sizeof(*applied));
	applied->index = r->applied_index;
	applied->growth_allowed = r->growth_allowed;
	applied->room_bytes = room_bytes(r);
	replica_submit(r, WORKER_EVALUATE, &applied->job);
}

void replica_evaluate_internal(struct replica *r, const struct fs_request *rq)
{
	struct eval_request *job;

	if (!r->evaluating)
		return;
	job = job_new(JOB_EVAL_REQUEST, sizeof(*job));
	job->elapsed_ms = sessions_clock_ms(r);
	fs_request_encode(rq, &job->data);
	job->msg.type = FS_MSG_REQUEST;
	job->msg.body = job->data.data;
	job->msg.body_len = job->data.len;
	replica_submit(r, WORKER_EVALUATE, &job->job);
}

static void became_leader(struct replica *r)
{
	struct fs_request root = { .op = FS_MAKE_ROOT,
				   .uid = r->options.root_uid,
				   .gid = r->options.root_gid };

	r->leader_since_ms = replica_now(r);
	sessions_reset(r);
	recalls_reset(r);
	restart_evaluator(r, true);
	replica_tell_evaluator(r);
	replica_evaluate_internal(r, &root);
	orphans_reset(r);
}

static void on_role_changed(struct replica *r)
{
	struct raft_status st;
	bool leader;

	raft_status(r->raft, &st);
	leader = st.role == RAFT_LEADER;
	if (st.leader == r->last_leader && st.term == r->last_term && leader == r->evaluating)
		return;
	if (st.leader != r->last_leader)
		log_info("replica", "%s node=%llu term=%llu leader=%llu index=%llu commit=%llu",
			 raft_role_name(st.role), (unsigned long long)r->options.self,
			 (unsigned long long)st.term, (unsigned long long)st.leader,
			 (unsigned long long)st.last_index, (unsigned long long)st.commit_index);
	if (leader && (!r->evaluating || st.term != r->last_term)) {
		became_leader(r);
	} else if (!leader && r->evaluating) {
		restart_evaluator(r, false);
		sessions_reset(r);
		recalls_reset(r);
		orphans_reset(r);
	}
	r->last_leader = st.leader;
	r->last_term = st.term;
	entries_flush(r);
	client_on_leader_change(r);
}

static void carry_out(struct replica *r, struct raft_output *out)
{
	board_carry_out(r, out);
	carry_out_log_work(r, out);
	r->commit_index = max_u64(r->commit_index, out->commit_index);
	/* Behind the commit index, for its answers may be read by at once; before the others are told, who wait for nothing. */
	entries_carry_out(r, out);
	for (size_t i = 0; i < out->send.count; i++)
		send_message(r, &out->send.v[i]);
	carry_out_load(r, out);
	for (size_t i = 0; i < out->read_count; i++)
		client_on_read_result(r, &out->reads[i]);
	upkeep_carry_out(r, out);
	if (out->cut_prefix_to > 0) {
		struct job_cut *cut = job_new(JOB_CUT, sizeof(*cut));

		cut->index = out->cut_prefix_to;
		replica_submit(r, WORKER_LOG, &cut->job);
	}
	if (out->conf_changed)
		learn_peers(r);
	if (out->role_changed)
		on_role_changed(r);
	/* A change of members, or its end, is an entry that no evaluation made. */
	if (r->evaluating && out->last_index != r->evaluated_to) {
		MARK("node.evaluate.log-moved-without-it");
		restart_evaluator(r, true);
	}
}

int replica_step(struct replica *r, struct raft_input *in)
{
	struct raft_output out;
	int ret;

	in->now_ns = r->ops->now_ns(r->ctx);
	ret = raft_step(r->raft, in, &out);
	if (ret == 0)
		carry_out(r, &out);
	return ret;
}

/* ---- proposals -------------------------------------------------------------------------------- */

/* true: dealt with; false: raft is too busy, keep it and everything behind it. */
static bool propose(struct replica *r, struct job_eval_result *res)
{
	struct raft_input in = { .type = RAFT_IN_PROPOSE };
	struct raft_output out;
	int ret;

	MARK_IF(res->generation != r->generation, "node.propose.of-older-generation");
	if (res->generation != r->generation || res->proposal_count == 0)
		return true;
	in.propose.v = res->proposals;
	in.propose.count = res->proposal_count;
	in.propose.prev_index = res->prev_index;
	in.propose.prev_term = res->prev_term;
	in.now_ns = r->ops->now_ns(r->ctx);
	ret = raft_step(r->raft, &in, &out);
	MARK_IF(ret == 0 && out.propose_result == RAFT_PROPOSE_TRANSFERRING,
		"node.propose.kept-during-transfer");
	MARK_IF(ret == -EAGAIN, "node.propose.kept-while-busy");
	if (ret < 0)
		return ret != -EAGAIN;
	if (out.propose_result == RAFT_PROPOSE_APPENDED)
		r->evaluated_to = out.last_index;
	/* Also of a step that appended nothing: it may ask for entries, or have found a commit that waited for time. */
	carry_out(r, &out);
	if (out.propose_result == RAFT_PROPOSE_BUSY || out.propose_result == RAFT_PROPOSE_TRANSFERRING)
		return false;
	MARK_IF(out.propose_result == RAFT_PROPOSE_SUPERSEDED, "node.propose.superseded");
	if (out.propose_result != RAFT_PROPOSE_APPENDED && res->generation == r->generation)
		restart_evaluator(r, replica_is_leader(r));
	return true;
}

static void on_eval_result(struct replica *r, struct job_eval_result *res)
{
	if (res->job.status < 0) {
		replica_fail(r, &res->job.err);
		job_free(&res->job);
		return;
	}
	if (res->generation == r->generation)
		client_on_eval_result(r, res);
	if (!list_empty(&r->refused) || !propose(r, res))
		list_add_tail(&r->refused, &res->job.link);
	else
		job_free(&res->job);
}

static void propose_again(struct replica *r)
{
	while (!list_empty(&r->refused)) {
		struct list *first = r->refused.next;
		struct job *job = list_entry(first, struct job, link);

		list_del(first);
		if (!propose(r, CONTAINER_OF(job, struct job_eval_result, job))) {
			list_add_head(&r->refused, first);
			return;
		}
		job_free(job);
	}
}

/* ---- completions ------------------------------------------------------------------------------ */

static void on_persisted(struct replica *r, struct job_persist *p)
{
	struct raft_input in = { .type = RAFT_IN_PERSISTED };

	list_del(&p->tracking);
	for (size_t i = 0; i < p->promise_count; i++)
		send_message(r, &p->promises[i]);
	in.persisted.level = RAFT_SYNCED;
	in.persisted.hard_state = p->set_hard;
	if (p->entry_count > 0) {
		in.persisted.index = p->entries[p->entry_count - 1].index;
		in.persisted.term = p->entries[p->entry_count - 1].term;
	} else {
		struct raft_status st;

		raft_status(r->raft, &st);
		in.persisted.index = st.synced_index;
		in.persisted.term = raft_term_at(r->raft, st.synced_index);
	}
	job_free(&p->job);
	replica_step(r, &in);
}

static void on_loaded(struct replica *r, struct job_load *load)
{
	struct raft_input in = { .type = RAFT_IN_LOADED };

	r->loading = false;
	MARK_IF(load->job.status == -ENOENT, "node.load.cut-meanwhile");
	if (load->job.status < 0 && load->job.status != -ENOENT) {
		replica_fail(r, &load->job.err);
	} else {
		in.loaded.v = load->entries;
		in.loaded.count = load->entry_count;
		replica_step(r, &in);
	}
	job_free(&load->job);
}

void replica_job_done(struct replica *r, struct job *job)
{
	bool may_fail = job->type == JOB_READ || job->type == JOB_BULK || job->type == JOB_FETCH ||
			job->type == JOB_SNAPSHOT || job->type == JOB_INSTALL || job->type == JOB_LOAD ||
			job->type == JOB_CHECK || job->type == JOB_SPACE || job->type == JOB_EVAL_RESULT;

	if (job->status < 0 && (!may_fail || job->store_failed)) {
		replica_fail(r, &job->err);
		if (job->type == JOB_PERSIST)
			list_del(&CONTAINER_OF(job, struct job_persist, job)->tracking);
		job_free(job);
		return;
	}
	switch (job->type) {
	case JOB_PERSIST:
		on_persisted(r, CONTAINER_OF(job, struct job_persist, job));
		break;
	case JOB_APPLY:
		entries_applied(r, CONTAINER_OF(job, struct job_apply, job));
		break;
	case JOB_CHECKPOINT:
		upkeep_on_checkpoint(r, CONTAINER_OF(job, struct job_checkpoint, job));
		break;
	case JOB_INSTALL:
		upkeep_on_installed(r, CONTAINER_OF(job, struct job_install, job));
		break;
	case JOB_EVAL_RESULT:
		on_eval_result(r, CONTAINER_OF(job, struct job_eval_result, job));
		break;
	case JOB_READ:
		client_on_read_done(r, CONTAINER_OF(job, struct job_read, job));
		break;
	case JOB_LOAD:
		on_loaded(r, CONTAINER_OF(job, struct job_load, job));
		break;
	case JOB_BULK: {
		struct job_bulk *bulk = CONTAINER_OF(job, struct job_bulk, job);
		struct buf frame = BUF_INIT;

		upkeep_on_served(r, bulk);
		bulk_reply_encode(bulk, &frame);
		r->ops->send_bulk(r->ctx, bulk->conn_id, &frame);
		buf_release(&frame);
		job_free(job);
		break;
	}
	case JOB_SPACE:
		upkeep_on_space(r, CONTAINER_OF(job, struct job_space, job));
		break;
	case JOB_CHECK:
		r->ops->check_done(r->ctx, CONTAINER_OF(job, struct job_check, job));
		job_free(job);
		break;
	case JOB_SNAPSHOT:
		upkeep_on_snapshot(r, CONTAINER_OF(job, struct job_snapshot, job));
		break;
	case JOB_FETCH:
		upkeep_on_fetched(r, CONTAINER_OF(job, struct job_fetch, job));
		break;
	default:
		job_free(job);
		break;
	}
}

/* ---- other events ------------------------------------------------------------------------------ */

void replica_flush(struct replica *r)
{
	propose_again(r);
	client_start_rounds(r);
	client_finish_rounds(r);
}

void replica_tick(struct replica *r)
{
	struct raft_input in = { .type = RAFT_IN_TICK };
	uint64_t now = replica_now(r);

	replica_step(r, &in);
	entries_flush(r);
	if (now >= r->status_ms) {
		r->status_ms = now + min_u64(STATUS_EVERY_MS, sessions_ttl_ms(r) / 6);
		status_send(r);
	}
	upkeep_tick(r);
	sessions_tick(r);
	recalls_tick(r);
	orphans_tick(r);
	waits_tick(r);
}

void replica_peer_up(struct replica *r, uint64_t node_id)
{
	struct peer *p = replica_peer(r, node_id);

	if (!p)
		return;
	p->connected = true;
	status_send(r); /* which mounts are here, before anything they may want */
	/* What either side had under way on the old connection may be lost. */
	if (node_id == replica_leader(r))
		client_resend(r);
	if (r->evaluating) {
		struct fs_msg msg = { .type = FS_MSG_RESEND };
		struct buf frame = BUF_INIT;

		fs_msg_encode(&msg, &frame);
		r->ops->send_peer(r->ctx, node_id, NET_FORWARD_REPLY, &frame);
		buf_release(&frame);
	}
}

void replica_peer_down(struct replica *r, uint64_t node_id)
{
	struct raft_input in = { .type = RAFT_IN_UNREACHABLE };
	struct peer *p = replica_peer(r, node_id);

	if (!p || !p->connected)
		return;
	p->connected = false;
	in.peer.id = node_id;
	replica_step(r, &in);
}

static void on_raft_frame(struct replica *r, uint64_t from, const uint8_t *payload, size_t len)
{
	struct raft_input in = { .type = RAFT_IN_MESSAGE };
	struct raft_message msg;

	if (raft_message_decode(&msg, payload, len) < 0 || msg.from != from) {
		MARK("node.peer.message-dropped");
		log_warning("replica", "dropped a message of node=%llu that does not decode",
			    (unsigned long long)from);
		return;
	}
	in.message = &msg;
	replica_step(r, &in);
	raft_message_release(&msg);
}

void replica_peer_frame(struct replica *r, uint64_t from, uint8_t frame_type, const uint8_t *payload,
			size_t len)
{
	struct peer *p = replica_peer(r, from);

	if (!p)
		return;
	p->heard_ms = replica_now(r);
	switch (frame_type) {
	case NET_RAFT:
		on_raft_frame(r, from, payload, len);
		break;
	case NET_FORWARD:
		client_on_forward(r, from, payload, len);
		break;
	case NET_FORWARD_REPLY:
		client_on_forward_reply(r, from, payload, len);
		break;
	case NET_NODE_STATUS:
		status_receive(r, from, payload, len);
		break;
	case NET_NODE_KEPT:
		sessions_on_kept(r, payload, len);
		break;
	default:
		break;
	}
}

int replica_bulk_frame(struct replica *r, uint64_t conn_id, uint64_t peer_id, const uint8_t *payload,
		       size_t len, struct raft_snapshot_meta *meta)
{
	struct raft_input in = { .type = RAFT_IN_SNAPSHOT_PROGRESS };
	struct job_bulk *bulk = job_new(JOB_BULK, sizeof(*bulk));
	int ret = bulk_request_decode(bulk, payload, len);

	if (ret < 0) {
		job_free(&bulk->job);
		return ret;
	}
	*meta = bulk->meta;
	bulk->conn_id = conn_id;
	in.snapshot.meta = &bulk->meta;
	in.snapshot.peer = peer_id;
	(void)replica_step(r, &in);
	replica_submit(r, WORKER_READ, &bulk->job);
	return 0;
}

/* ---- life ------------------------------------------------------------------------------------- */

static uint64_t limit(uint64_t wanted, uint64_t otherwise)
{
	return wanted != 0 ? wanted : otherwise;
}

static struct raft *make_core(const struct replica_options *o, const struct store_boot *boot,
			      const struct kv_meta *state, struct err *err)
{
	const struct replica_limits *l = &o->limits;
	uint64_t tail = limit(l->keep_tail_bytes, KEEP_TAIL_BYTES);
	struct raft_options options = {
		.self = o->self,
		.group = o->group,
		.seed = o->seed,
		.election_ticks = o->election_ticks,
		.heartbeat_ticks = o->heartbeat_ticks,
		.lease_ns = o->lease_ns,
		.clock_rate_ppm = o->clock_rate_ppm,
		.tick_ns = o->tick_ns,
		.max_message_bytes = limit(l->max_message_bytes, MAX_MESSAGE_BYTES),
		.max_inflight_messages = (uint32_t)limit(l->max_inflight_messages, MAX_INFLIGHT_MESSAGES),
		.max_inflight_bytes = limit(l->max_inflight_bytes, MAX_INFLIGHT_BYTES),
		.max_uncommitted_bytes = limit(l->max_uncommitted_bytes, MAX_UNCOMMITTED_BYTES),
		.max_apply_bytes = limit(l->max_apply_bytes, MAX_APPLY_BYTES),
		.max_cache_bytes = limit(l->max_cache_bytes, MAX_CACHE_BYTES),
		.keep_tail_bytes = o->snapshot_threshold >= 0 ?
			min_u64(tail, (uint64_t)o->snapshot_threshold) : tail,
	};
	struct raft_boot rb = {
		.hard = boot->hard,
		.incarnation = boot->incarnation,
		.conf = state->conf,
		.base_index = boot->base_index,
		.base_term = boot->base_term,
		.terms = boot->terms,
		.term_count = boot->term_count,
		.confs = boot->confs,
		.conf_count = boot->conf_count,
		.last_index = boot->last_index,
		.applied_index = state->applied_index,
		.applied_term = state->applied_term,
		.durable_index = boot->base_index,
		.snapshot = boot->snapshot,
	};

	return raft_new(&options, &rb, err);
}

struct replica *replica_new(const struct replica_options *options, const struct store_boot *boot,
			    const struct kv_meta *state, const struct replica_io_ops *ops, void *ctx,
			    struct err *err)
{
	struct raft *core = make_core(options, boot, state, err);
	struct replica *r;

	if (!core)
		return NULL;
	r = mem_calloc(1, sizeof(*r));
	r->options = *options;
	r->ops = ops;
	r->ctx = ctx;
	r->raft = core;
	r->applied_index = state->applied_index;
	r->applied_term = state->applied_term;
	r->growth_allowed = true;
	r->dirty = true; /* a checkpoint tells what is durable */
	r->apply_ms = ops->now_ms(ctx);
	if (state->applied_index > boot->snapshot.index)
		r->since_entries = state->applied_index - boot->snapshot.index;
	r->since_bytes = options->log_bytes; /* an upper bound: some of it lies below the snapshot */
	list_init(&r->persisting);
	list_init(&r->refused);
	r->session_count = state->session_count;
	sessions_init(r, boot->incarnation);
	recalls_init(r);
	client_init(r);
	learn_peers(r);
	return r;
}

void replica_free(struct replica *r)
{
	if (!r)
		return;
	entries_release(r);
	client_release(r);
	sessions_release(r);
	recalls_reset(r);
	orphans_release(r);
	list_for_each_safe(it, &r->refused) {
		list_del(it);
		job_free(list_entry(it, struct job, link));
	}
	raft_free(r->raft);
	free(r);
}

/* ---- administration ---------------------------------------------------------------------------- */

void replica_snapshot_now(struct replica *r)
{
	upkeep_snapshot_now(r);
}

void replica_check(struct replica *r, uint64_t admin_id, bool tree)
{
	struct job_check *check = job_new(JOB_CHECK, sizeof(*check));

	check->admin_id = admin_id;
	check->tree = tree;
	replica_submit(r, WORKER_SNAPSHOT, &check->job);
}

int replica_transfer(struct replica *r, uint64_t to)
{
	struct raft_input in = { .type = RAFT_IN_TRANSFER };

	if (!replica_is_leader(r))
		return -EPERM;
	if (!replica_peer(r, to))
		return -ENOENT;
	in.peer.id = to;
	return replica_step(r, &in);
}

void replica_leave(struct replica *r)
{
	struct raft_input in = { .type = RAFT_IN_SURRENDER };

	(void)replica_step(r, &in);
}

void replica_info(struct replica *r, struct replica_info *info)
{
	uint64_t now = replica_now(r);

	*info = (struct replica_info){ .space = r->space.space };
	raft_status(r->raft, &info->raft);
	info->log_bytes = r->space.log_bytes;
	info->written_bytes = r->space.written_bytes;
	info->state_bytes = r->state_bytes;
	info->snapshot_threshold_bytes = upkeep_threshold_bytes(r);
	info->log_since_snapshot_bytes = r->since_bytes;
	info->snapshot_running = r->snapshot_running;
	info->fetch_running = r->fetch_running;
	info->snapshots_made = r->snapshots_made;
	info->snapshots_installed = r->snapshots_installed;
	memcpy(info->snapshot_error, r->snapshot_error, sizeof(info->snapshot_error));
	info->clients = r->clients.count;
	info->waiters = r->waiters.count;
	info->pending_reads = r->reads_open;
	info->local_reads = r->local_reads;
	info->index_reads = r->index_reads;
	info->leader_since_ms = r->evaluating ? now - r->leader_since_ms : 0;
	info->orphans = r->orphan_count;
	info->sessions = r->session_count;
	info->session_ttl_ms = sessions_ttl_ms(r);
	info->peer_count = r->peer_count;
	for (size_t i = 0; i < r->peer_count; i++) {
		const struct peer *p = &r->peers[i];
		struct replica_peer_info *pi = &info->peers[i];

		pi->id = p->id;
		memcpy(pi->address, p->address, sizeof(pi->address));
		pi->connected = p->connected;
		pi->heard_ms_ago = p->heard_ms ? now - p->heard_ms : UINT64_MAX;
		pi->applied_index = p->applied_index;
		pi->free_bytes = p->space.free_bytes;
		pi->total_bytes = p->space.total_bytes;
		pi->space_low = p->space_low;
	}
}

const struct raft_conf *replica_conf(const struct replica *r)
{
	return raft_conf(r->raft);
}
