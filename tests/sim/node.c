/*
 * node.c - a node's life: store, replica and workers as node/ wires them, without its threads.
 *
 * A worker's round is a coroutine, so that it can stop in the middle (sleeping, waiting for a peer or
 * for the disk) while everything else goes on. What a round did takes effect when it runs; the node
 * thread hears of it later, so a crash can come in between.
 */
#include <stdlib.h>

#include "base/io.h"
#include "raft/raft_internal.h"
#include "store/kv.h"
#include "store/store_internal.h"
#include "tests/sim/seams.h"

struct sim_node *node_enter(struct sim_node *node)
{
	struct sim_node *before = sim_here;

	sim_here = node;
	return before;
}

void node_leave(struct sim_node *before)
{
	sim_here = before;
}

/* ---- its clock ------------------------------------------------------------------------------------ */

uint64_t node_local_ns(const struct sim_node *node)
{
	uint64_t passed = node->sim->now - node->clock_since_ns;

	return node->clock_base_ns + passed +
	       (uint64_t)((int64_t)passed / 1000 * node->rate_ppm / 1000);
}

int64_t node_wall_ns(const struct sim_node *node)
{
	return 1000000000000000000ll + node->wall_offset_ns + (int64_t)node_local_ns(node);
}

uint64_t node_true_ns(const struct sim_node *node, uint64_t local_ns)
{
	return local_ns - (uint64_t)((int64_t)local_ns / 1000 * node->rate_ppm / 1000);
}

/* ---- the replica's world ----------------------------------------------------------------------------- */

static struct sim_worker *idle_slot(struct sim_node *node, enum worker_kind kind)
{
	for (size_t k = 0; k < SIM_SLOTS; k++)
		if (node->slots[k].kind == kind && !node->slots[k].busy &&
		    !node->slots[k].scheduled)
			return &node->slots[k];
	return NULL;
}

/* An idle worker of that kind will look at the queue. */
static void wake_worker(struct sim_node *node, enum worker_kind kind)
{
	struct sim *s = node->sim;
	struct sim_worker *slot = idle_slot(node, kind);
	struct sim_event *e;
	uint64_t at;

	if (!slot || list_empty(&node->queues[kind]))
		return;
	at = s->now + sim_between(s, RND_SCHED, 1000, s->swarm.work_min_ns);
	e = sim_at(s, max_u64(at, node->stuck_until[kind]), SIM_EV_WORK, node);
	e->a = (uint64_t)(slot - node->slots);
	slot->scheduled = true;
}

static void ops_submit(void *ctx, enum worker_kind kind, struct job *job)
{
	struct sim_node *node = ctx;

	if (job->type == JOB_PERSIST)
		check_persist_handed(node, CONTAINER_OF(job, struct job_persist, job));
	if (job->type == JOB_APPLY)
		check_apply_handed(node, CONTAINER_OF(job, struct job_apply, job));
	if (job->type == JOB_INSTALL)
		check_install_handed(node, &CONTAINER_OF(job, struct job_install, job)->meta);
	if (job->type == JOB_EVAL_ROLE) {
		const struct job_eval_role *role = CONTAINER_OF(job, struct job_eval_role, job);

		node->role_terms[role->generation % ARRAY_SIZE(node->role_terms)] = role->term;
	}
	disk_crash_in(node, job);
	if (job->type == JOB_CUT)
		check_cut(node, CONTAINER_OF(job, struct job_cut, job)->index);
	list_add_tail(&node->queues[kind], &job->link);
	wake_worker(node, kind);
}

static void ops_send_peer(void *ctx, uint64_t node_id, uint8_t type, struct buf *payload)
{
	if (type == NET_RAFT)
		check_sent(ctx, payload);
	net_send(ctx, node_id, type, payload);
}

static void ops_send_client(void *ctx, uint64_t client_id, struct buf *payload)
{
	struct sim_node *node = ctx;

	/* Answers leave when their entries are committed, before they are handed to the worker. */
	if (node->replica && node->replica->held)
		check_apply_handed(node, node->replica->held);
	check_said(ctx, client_id, payload);
	client_to(ctx, client_id, payload);
}

static void ops_send_bulk(void *ctx, uint64_t conn_id, struct buf *payload)
{
	call_answer(ctx, conn_id, payload);
}

static void ops_check_done(void *ctx, const struct job_check *check)
{
}

static void ops_peers(void *ctx, const struct raft_conf *conf)
{
}

static uint64_t ops_now_ns(void *ctx)
{
	return node_local_ns(ctx);
}

static uint64_t ops_now_ms(void *ctx)
{
	return node_local_ns(ctx) / SIM_MS;
}

static void ops_fatal(void *ctx, const struct err *err)
{
	struct sim_node *node = ctx;

	node->failed = true;
	node->error = *err;
	sim_trace(node->sim, "node %llu stops: %s", (unsigned long long)node->id, err->text);
}

static const struct replica_io_ops sim_replica_ops = {
	.submit = ops_submit,
	.send_peer = ops_send_peer,
	.send_client = ops_send_client,
	.send_bulk = ops_send_bulk,
	.check_done = ops_check_done,
	.peers = ops_peers,
	.now_ms = ops_now_ms,
	.now_ns = ops_now_ns,
	.fatal = ops_fatal,
};

static int64_t wall_of_here(void)
{
	return sim_here ? node_wall_ns(sim_here) : 0;
}

/* ---- beginning ------------------------------------------------------------------------------------------ */

void node_make(struct sim_node *node, const struct raft_conf *conf)
{
	struct store_identity identity = { .cluster = "simulated", .node_id = node->id };
	struct sim_node *was = node_enter(node);
	struct err err = ERR_INIT;

	disk_make(node);
	if (store_init(node->dir, &identity, conf, &err) < 0)
		sim_fail(node->sim, "%s", err.text);
	node->shadow = (struct sim_shadow){
		.hard = { .term = 1 },
		.base = 0,
		.last = 1,
		.unsure_from = UINT64_MAX,
		.cap = 64,
	};
	node->shadow.terms = mem_calloc(64, sizeof(uint64_t));
	node->shadow.terms[1] = 1;
	node_leave(was);
}

static void start_workers(struct sim_node *node, struct kv *kv, const struct store_boot *boot)
{
	struct worker_shared *shared = &node->shared;

	*shared = (struct worker_shared){
		.store = node->store,
		.self = node->id,
		.incarnation = boot->incarnation,
		.wal_limit_bytes = node->sim->swarm.wal_limit_bytes,
	};
	memcpy(shared->cluster, boot->identity.cluster, sizeof(shared->cluster));
	kv_slot_init(&shared->slot, kv);
	for (size_t k = 0; k < SIM_SLOTS; k++) {
		enum worker_kind kind = k < WORKER_COUNT ? (enum worker_kind)k : WORKER_READ;
		struct sim_worker *slot = &node->slots[k];

		*slot = (struct sim_worker){ .kind = kind, .used = true };
		worker_init(&slot->worker, kind, shared);
		list_init(&slot->jobs);
		list_init(&slot->done);
	}
	evaluator_free(node->slots[WORKER_EVALUATE].worker.evaluator);
	node->slots[WORKER_EVALUATE].worker.evaluator =
		evaluator_new(&shared->slot, 0, wall_of_here);
	evaluator_limit(node->slots[WORKER_EVALUATE].worker.evaluator, &node->sim->swarm.evaluator);
	for (int k = 0; k < WORKER_COUNT; k++) {
		list_init(&node->queues[k]);
		node->stuck_until[k] = 0;
	}
}

static void start_clock(struct sim_node *node)
{
	struct sim *s = node->sim;

	node->clock_base_ns = node->clock_base_ns ? node_local_ns(node)
						  : sim_between(s, RND_FAULT, SIM_S, 1000 * SIM_S);
	node->clock_since_ns = s->now;
	node->rate_ppm = (int64_t)sim_between(s, RND_FAULT, 0, 2 * s->swarm.rate_ppm) -
			 (int64_t)s->swarm.rate_ppm;
	if (sim_chance(s, RND_FAULT, s->swarm.wall_jump))
		node->wall_offset_ns = (int64_t)sim_between(s, RND_FAULT, 0, 7200 * SIM_S) -
				       (int64_t)(3600 * SIM_S);
}

static void start_replica(struct sim_node *node, const struct store_boot *boot,
			  const struct kv_meta *state)
{
	struct sim *s = node->sim;
	struct replica_options options = {
		.self = node->id,
		.group = 0,
		.seed = prng_u64(&s->rnd[RND_NODE]),
		.election_ticks = s->swarm.election_ticks,
		.heartbeat_ticks = s->swarm.heartbeat_ticks,
		.tick_ns = s->swarm.tick_ms * SIM_MS,
		.lease_ns = s->swarm.lease_ns,
		.clock_rate_ppm = SIM_CLOCK_RATE_PPM,
		.session_ttl_ms = s->swarm.session_ttl_ms,
		.snapshot_threshold = s->swarm.snapshot_threshold,
		.snapshot_interval = s->swarm.snapshot_interval,
		.log_bytes = store_log_bytes(node->store),
		.limits = s->swarm.limits,
	};
	struct err err = ERR_INIT;

	node->replica = replica_new(&options, boot, state, &sim_replica_ops, node, &err);
	if (!node->replica)
		sim_fail(s, "node %llu: %s", (unsigned long long)node->id, err.text);
	node->board = fs_board_new(boot->last_index, NULL, &err);
	fs_board_own(node->board);
	replica_set_board(node->replica, node->board, -1);
}

/* It does not come up. Its disk is to blame, or the run has failed. */
static void cannot_start(struct sim_node *node, const struct err *err)
{
	struct sim *s = node->sim;

	sim_trace(s, "node %llu cannot start: %s", (unsigned long long)node->id, err->text);
	if (!disk_explains(node))
		sim_fail(s, "node %llu cannot start: %s", (unsigned long long)node->id, err->text);
	s->counts.refused++;
	sim_disk_crash(node->disk, sim_chance(s, RND_DISK, s->swarm.power_loss));
	node->gone = node->damaged;
	if (!node->gone)
		disk_restart_later(node);
}

static int meta_of(struct kv *kv, struct kv_meta *meta, struct err *err)
{
	struct kv_view *view = NULL;
	int ret = kv_view_open(kv, &view, err);

	if (ret < 0)
		return ret;
	*meta = *kv_view_meta(view);
	kv_view_close(view);
	return 0;
}

/* Nothing is applied meanwhile: whoever asks runs between two steps of the apply worker. */
struct kv_meta node_meta(struct sim_node *node)
{
	struct kv *kv = kv_slot_get(&node->shared.slot);
	struct kv_meta meta = kv->meta;

	kv_unref(kv);
	return meta;
}

static bool open_store(struct sim_node *node, struct store_boot *boot, struct kv **kv,
		       struct kv_meta *meta)
{
	struct store_options options = { .segment_bytes = node->sim->swarm.segment_bytes };
	struct err err = ERR_INIT;
	int ret = store_open(node->dir, 0, &options, &node->store, boot, kv, &err);

	if (ret == 0 && check_tail_lost(node, boot)) {
		node->sim->counts.tails_lost++;
		ret = err_set(&err, -EUCLEAN, "the last frame was damaged at rest");
	}
	if (ret == 0)
		ret = meta_of(*kv, meta, &err);
	if (ret == 0 && !sim_disk_died(node->disk))
		return true;
	if (node->store) {
		store_poison(node->store, -EIO);
		kv_unref(*kv);
		store_boot_release(boot);
		store_close(node->store);
		node->store = NULL;
	}
	cannot_start(node, &err);
	return false;
}

void node_start(struct sim_node *node)
{
	struct sim *s = node->sim;
	struct sim_node *was = node_enter(node);
	struct store_boot boot = { .incarnation = 0 };
	struct kv_meta meta;
	struct kv *kv = NULL;

	assert(!node->alive && !node->gone);
	sim_disk_revive(node->disk);
	node->disk_error = false;
	node->was_full = node->full;
	start_clock(node);
	node->life++;
	if (s->swarm.io_crash_ms && !s->calm && sim_chance(s, RND_DISK, 100))
		sim_disk_crash_at(node->disk, sim_between(s, RND_DISK, 1, 30));
	if (!open_store(node, &boot, &kv, &meta)) {
		node_leave(was);
		return;
	}
	check_boot(node, &boot, &meta);
	start_workers(node, kv, &boot);
	node->alive = true;
	node->failed = false;
	node->owed_count = 0;
	node->match_term = 0;
	node->paused_until = 0;
	start_replica(node, &boot, &meta);
	store_boot_release(&boot);
	sim_trace(s, "node %llu started: applied %llu", (unsigned long long)node->id,
		  (unsigned long long)meta.applied_index);
	sim_at(s,
	       s->now + node_true_ns(node, sim_between(s, RND_SCHED, 0, s->swarm.tick_ms * SIM_MS)),
	       SIM_EV_TICK, node);
	node_leave(was);
}

/* ---- the end ------------------------------------------------------------------------------------------------ */

static void drop_jobs(struct list *jobs)
{
	list_for_each_safe (it, jobs) {
		list_del(it);
		job_free(list_entry(it, struct job, link));
	}
}

/* In turn, for one may wait for another. */
static void end_rounds(struct sim_node *node)
{
	bool more = true;

	while (more) {
		more = false;
		for (size_t k = 0; k < SIM_SLOTS; k++) {
			struct sim_worker *slot = &node->slots[k];

			if (slot->coro && coro_resume(slot->coro)) {
				coro_free(slot->coro);
				slot->coro = NULL;
			}
			more = more || slot->coro;
		}
	}
}

static void end_worker(struct sim_worker *slot)
{
	drop_jobs(&slot->jobs);
	drop_jobs(&slot->done);
	worker_release(&slot->worker);
	slot->used = false;
}

void node_end(struct sim_node *node, enum node_end how)
{
	struct sim *s = node->sim;
	struct sim_node *was = node_enter(node);

	assert(node->alive);
	sim_trace(s, "node %llu %s", (unsigned long long)node->id,
		  how == NODE_STOP    ? "is stopped"
		  : how == NODE_POWER ? "loses power"
				      : "is killed");
	node->dying = true;
	atomic_store(&node->shared.stopping, true);
	if (how != NODE_STOP) {
		sim_disk_crash(node->disk, how == NODE_POWER);
		store_poison(node->store, -EIO);
		s->counts.power_losses += how == NODE_POWER;
	}
	node->alive = false;
	node->life++;
	net_node_ended(node);
	calls_node_ended(node);
	clients_node_ended(node);
	end_rounds(node);
	for (size_t k = 0; k < SIM_SLOTS; k++)
		end_worker(&node->slots[k]);
	for (int k = 0; k < WORKER_COUNT; k++)
		drop_jobs(&node->queues[k]);
	replica_free(node->replica);
	node->replica = NULL;
	fs_board_disown(node->board);
	fs_board_close(node->board);
	node->board = NULL;
	kv_slot_release(&node->shared.slot);
	store_close(node->store);
	node->store = NULL;
	node->dying = false;
	if (how == NODE_STOP)
		sim_disk_crash(node->disk, false);
	SIM_CHECK(s, sim_disk_open_handles(node->disk) == 0);
	node_leave(was);
}

void node_release(struct sim_node *node)
{
	if (node->alive)
		node_end(node, NODE_KILL);
	free(node->shadow.terms);
	if (node->disk)
		sim_disk_free(node->disk);
}

/* ---- events -------------------------------------------------------------------------------------------------- */

/* What the log worker did is on disk now, whether or not anybody hears of it. */
static void note_persisted(struct sim_worker *slot, struct sim_node *node)
{
	list_for_each (it, &slot->done) {
		struct job *job = list_entry(it, struct job, link);

		if (job->type == JOB_PERSIST && job->status == 0)
			check_persisted(node, CONTAINER_OF(job, struct job_persist, job));
		if (job->type == JOB_INSTALL && job->status == 0)
			check_installed(node, &CONTAINER_OF(job, struct job_install, job)->meta);
	}
}

static void note_applied(struct sim_worker *slot, struct sim_node *node)
{
	struct kv_meta meta = node_meta(node);

	list_for_each (it, &slot->done) {
		struct job *job = list_entry(it, struct job, link);

		if (job->type == JOB_APPLY && job->status == 0)
			check_applied(node, CONTAINER_OF(job, struct job_apply, job), &meta);
	}
}

static void note_reads(struct sim_worker *slot, struct sim_node *node)
{
	struct kv_meta meta = node_meta(node);

	list_for_each (it, &slot->done) {
		struct job *job = list_entry(it, struct job, link);
		struct job_read *read = CONTAINER_OF(job, struct job_read, job);
		struct sim_op *op;

		if (job->type != JOB_READ || read->session_lookup || read->client_id == 0)
			continue;
		op = client_op(node->sim, read->client_id, read->tag);
		if (op)
			check_read(node, op, meta.applied_index);
	}
}

static void note_judged(struct sim_worker *slot, struct sim_node *node)
{
	list_for_each (it, &slot->done) {
		struct job *job = list_entry(it, struct job, link);
		struct job_eval_result *res = CONTAINER_OF(job, struct job_eval_result, job);
		uint64_t term;

		if (job->type != JOB_EVAL_RESULT)
			continue;
		term = node->role_terms[res->generation % ARRAY_SIZE(node->role_terms)];
		for (size_t i = 0; i < res->answer_count; i++) {
			const struct eval_answer *a = &res->answers[i];

			if (!a->executed)
				client_judged(node->sim, a,
					      a->seen_index > res->prev_index ? term
									      : res->prev_term);
		}
	}
}

static void run_round(void *arg)
{
	struct sim_worker *slot = arg;
	struct sim_node *node = sim_here;

	worker_run(&slot->worker, &slot->jobs, &slot->done);
	worker_after(&slot->worker, &slot->done);
	if (node->dying || sim_disk_died(node->disk))
		return;
	if (slot->kind == WORKER_LOG)
		note_persisted(slot, node);
	else if (slot->kind == WORKER_APPLY)
		note_applied(slot, node);
	else if (slot->kind == WORKER_READ)
		note_reads(slot, node);
	else if (slot->kind == WORKER_EVALUATE)
		note_judged(slot, node);
}

/* true when the round is over and its results are on their way. */
static void resume_round(struct sim_node *node, struct sim_worker *slot)
{
	struct sim *s = node->sim;
	struct sim_event *e;
	uint64_t at;

	if (!coro_resume(slot->coro))
		return;
	coro_free(slot->coro);
	slot->coro = NULL;
	seams_run_threads(node);
	if (sim_disk_died(node->disk))
		return;
	at = s->now + sim_between(s, RND_SCHED, s->swarm.work_min_ns, s->swarm.work_max_ns);
	if (slot->kind == WORKER_EVALUATE && !s->calm &&
	    sim_chance(s, RND_SCHED, s->swarm.late_done))
		at += sim_between(s, RND_SCHED, 20, 3000) * SIM_MS;
	e = sim_at(s, at, SIM_EV_DONE, node);
	e->a = (uint64_t)(slot - node->slots);
}

static void on_work(struct sim_node *node, struct sim_worker *slot)
{
	struct list *queue = &node->queues[slot->kind];
	/* How much a worker finds in its queue is chance. */
	uint64_t take = sim_between(node->sim, RND_SCHED, 1, node->sim->swarm.burst);

	slot->scheduled = false;
	/* One pulled image or one read at a time, so that what a read saw is known. */
	if (slot->kind == WORKER_READ || slot->kind == WORKER_FETCH)
		take = 1;
	while (take-- > 0 && !list_empty(queue)) {
		struct list *first = queue->next;

		list_del(first);
		list_add_tail(&slot->jobs, first);
	}
	if (list_empty(&slot->jobs))
		return;
	slot->busy = true;
	slot->coro = coro_new(run_round, slot);
	resume_round(node, slot);
}

static void on_done(struct sim_node *node, struct sim_worker *slot)
{
	slot->busy = false;
	while (!list_empty(&slot->done) && !node->failed) {
		struct list *first = slot->done.next;

		struct job *job = list_entry(first, struct job, link);

		list_del(first);
		if (job->type == JOB_INSTALL && job->status == 0)
			check_install_told(node, &CONTAINER_OF(job, struct job_install, job)->meta);
		replica_job_done(node->replica, job);
	}
	for (int k = 0; k < WORKER_COUNT; k++)
		wake_worker(node, (enum worker_kind)k);
}

static void on_tick(struct sim_node *node)
{
	struct sim *s = node->sim;

	net_connect_all(node);
	replica_tick(node->replica);
	sim_at(s, s->now + node_true_ns(node, s->swarm.tick_ms * SIM_MS), SIM_EV_TICK, node);
}

void node_event(struct sim_node *node, struct sim_event *e)
{
	struct sim_node *was = node_enter(node);
	struct sim_worker *slot = &node->slots[e->a < SIM_SLOTS ? e->a : 0];

	switch (e->type) {
	case SIM_EV_TICK:
		on_tick(node);
		break;
	case SIM_EV_WORK:
		on_work(node, slot);
		break;
	case SIM_EV_WAKE:
		if (slot->asleep && slot->sleeps == e->b) {
			slot->asleep = false;
			resume_round(node, slot);
		}
		break;
	case SIM_EV_DONE:
		on_done(node, slot);
		break;
	default:
		assert(!"an event that no node knows");
	}
	node_leave(was);
}

void node_after(struct sim_node *node)
{
	struct sim *s = node->sim;
	struct sim_node *was = node_enter(node);

	if (!node->failed && !sim_disk_died(node->disk)) {
		replica_flush(node->replica);
		check_node(node);
	}
	if (sim_disk_died(node->disk)) {
		sim_trace(s, "node %llu dies in a call", (unsigned long long)node->id);
		s->counts.crashes++;
		node_end(node,
			 sim_chance(s, RND_DISK, s->swarm.power_loss) ? NODE_POWER : NODE_KILL);
		disk_restart_later(node);
	} else if (node->failed) {
		if (!disk_explains(node))
			sim_fail(s, "node %llu stops: %s", (unsigned long long)node->id,
				 node->error.text);
		s->counts.stopped++;
		node_end(node, NODE_KILL);
		/* What noticed its damage is for its owner to replace. */
		node->gone = node->damaged;
		if (!node->gone)
			disk_restart_later(node);
	}
	node_leave(was);
}

/* A coroutine that waits for the answer to a call goes on. */
void node_resume(struct sim_node *node, struct coro *coro)
{
	struct sim_node *was = node_enter(node);

	for (size_t k = 0; k < SIM_SLOTS; k++)
		if (node->slots[k].coro == coro && coro)
			resume_round(node, &node->slots[k]);
	node_leave(was);
}
