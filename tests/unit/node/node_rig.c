/* node_rig.c - see node_rig.h: nodes, links, time and faults. Clients are in rig_client.c. */
#include "tests/unit/node/node_rig.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cursor.h"
#include "base/io.h"
#include "base/log.h"
#include "fs/fs.h"
#include "store/store_internal.h"
#include "tests/unit/node/rig_client.h"

#define SEGMENT_BYTES (64u * 1024)
#define EVENTS_MAX 400000u /* at one instant: more is a loop without an end */

int64_t rig_wall;

int64_t rig_wall_ns(void)
{
	return rig_wall;
}

/* ---- the replica's world ---------------------------------------------------------------------- */

static void ops_submit(void *ctx, enum worker_kind worker, struct job *job)
{
	struct rig_node *node = ctx;

	list_add_tail(&node->queues[worker], &job->link);
}

static struct rig_link *link_of(struct rig *rig, uint64_t from, uint64_t to)
{
	return &rig->links[from - 1][to - 1];
}

static void count_frame(struct rig *rig, uint8_t type, const struct buf *payload)
{
	rig->frames_sent[type]++;
	if (type == NET_FORWARD && payload->len > 1 && payload->data[1] < ARRAY_SIZE(rig->forwards))
		rig->forwards[payload->data[1]]++;
}

static void ops_send_peer(void *ctx, uint64_t node_id, uint8_t frame_type, struct buf *payload)
{
	struct rig_node *node = ctx;
	struct rig *rig = node->rig;
	struct rig_frame *frame;

	count_frame(rig, frame_type, payload);
	if (!link_of(rig, node->id, node_id)->up) {
		buf_release(payload);
		return;
	}
	frame = mem_calloc(1, sizeof(*frame));
	frame->type = frame_type;
	frame->payload = *payload;
	*payload = BUF_INIT;
	list_add_tail(&link_of(rig, node->id, node_id)->frames, &frame->link);
}

static void ops_send_client(void *ctx, uint64_t client_id, struct buf *payload)
{
	struct rig_node *node = ctx;

	rig_client_deliver(node->rig, client_id, payload);
}

/* conn_id is the number of the node that pulls. */
static void ops_send_bulk(void *ctx, uint64_t conn_id, struct buf *payload)
{
	struct rig_node *node = ctx;
	struct rig_fetch *f = &node->rig->nodes[conn_id - 1].fetch;

	if (f->job && f->job->from == node->id && f->asked && !f->answered) {
		f->answered = true;
		buf_reset(&f->reply);
		buf_put(&f->reply, payload->data, payload->len);
	}
	buf_release(payload);
}

static void ops_check_done(void *ctx, const struct job_check *check)
{
	struct rig_node *node = ctx;

	buf_release(&node->check.text);
	node->check = *check;
	node->check.text = BUF_INIT;
	buf_put(&node->check.text, check->text.data, check->text.len);
	node->checked = true;
}

static void ops_peers(void *ctx, const struct raft_conf *conf)
{
}

static uint64_t ops_now_ns(void *ctx)
{
	return ((struct rig_node *)ctx)->rig->now_ms * 1000000;
}

static uint64_t ops_now_ms(void *ctx)
{
	return ((struct rig_node *)ctx)->rig->now_ms;
}

static void ops_fatal(void *ctx, const struct err *err)
{
	struct rig_node *node = ctx;

	if (!node->rig->fatal_expected)
		fail_msg("node %llu: %s; replay: SEED=%llu", (unsigned long long)node->id,
			 err->text, (unsigned long long)node->rig->seed);
	node->failed = true;
	node->error = *err;
}

static const struct replica_io_ops rig_ops = {
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

/* ---- life of a node ------------------------------------------------------------------------------ */

static void drop_frames(struct list *frames)
{
	list_for_each_safe (it, frames) {
		struct rig_frame *frame = list_entry(it, struct rig_frame, link);

		list_del(it);
		buf_release(&frame->payload);
		free(frame);
	}
}

static void drop_jobs(struct list *jobs)
{
	list_for_each_safe (it, jobs) {
		list_del(it);
		job_free(list_entry(it, struct job, link));
	}
}

static void fetch_release(struct rig_fetch *f)
{
	if (f->job)
		job_free(&f->job->job);
	store_receive_free(f->rx);
	buf_release(&f->reply);
	*f = (struct rig_fetch){ .job = NULL };
}

static void open_replica(struct rig_node *node, struct kv *kv, const struct store_boot *boot)
{
	struct rig *rig = node->rig;
	struct replica_options options = {
		.self = node->id,
		.group = 0,
		.seed = prng_u64(&rig->prng),
		.election_ticks = 12,
		.heartbeat_ticks = 2,
		.lease_ns = rig->lease_ns,
		.clock_rate_ppm = 10000,
		.tick_ns = RIG_TICK_MS * 1000000ull,
		.snapshot_threshold = rig->snapshot_threshold,
		.snapshot_interval = rig->snapshot_interval,
		.log_bytes = store_log_bytes(node->store),
		.session_ttl_ms = rig->session_ttl_ms,
		.sessions_max = rig->sessions_max,
	};
	struct kv_view *view = NULL;
	struct err err = ERR_INIT;
	struct kv_meta meta;

	assert_int_equal(kv_view_open(kv, &view, &err), 0);
	meta = *kv_view_meta(view);
	kv_view_close(view);
	node->replica = replica_new(&options, boot, &meta, &rig_ops, node, &err);
	if (!node->replica)
		fail_msg("%s; replay: SEED=%llu", err.text, (unsigned long long)rig->seed);
	node->board = fs_board_new(boot->last_index, NULL, &err);
	assert_non_null(node->board);
	replica_set_board(node->replica, node->board, -1);
}

void rig_start(struct rig_node *node)
{
	struct store_options options = { .segment_bytes = SEGMENT_BYTES, .spare_segments = 1 };
	struct worker_shared *shared = &node->shared;
	struct store_boot boot;
	struct kv *kv = NULL;
	struct err err = ERR_INIT;

	assert_false(node->up);
	if (store_open(node->dir, 0, &options, &node->store, &boot, &kv, &err) < 0)
		fail_msg("%s; replay: SEED=%llu", err.text, (unsigned long long)node->rig->seed);
	*shared = (struct worker_shared){ .store = node->store, .self = node->id };
	memcpy(shared->cluster, boot.identity.cluster, sizeof(shared->cluster));
	shared->incarnation = boot.incarnation;
	kv_slot_init(&shared->slot, kv);
	for (int k = 0; k < WORKER_COUNT; k++) {
		worker_init(&node->workers[k], (enum worker_kind)k, shared);
		list_init(&node->queues[k]);
		node->held[k] = false;
	}
	evaluator_free(node->workers[WORKER_EVALUATE].evaluator);
	node->workers[WORKER_EVALUATE].evaluator = evaluator_new(&shared->slot, 0, rig_wall_ns);
	list_init(&node->done);
	node->up = true;
	node->failed = false;
	node->fetches = node->chunks_pulled = 0;
	open_replica(node, kv, &boot);
	store_boot_release(&boot);
	rig_heal(node->rig);
}

/* Ends as a killed process does; what peers and clients see of it comes by the broken connections. */
void rig_crash(struct rig_node *node)
{
	struct rig *rig = node->rig;

	assert_true(node->up);
	node->up = false;
	rig_isolate(node);
	rig_clients_of_dead_node(rig, node);
	replica_free(node->replica);
	node->replica = NULL;
	fs_board_close(node->board);
	for (int k = 0; k < WORKER_COUNT; k++) {
		drop_jobs(&node->queues[k]);
		worker_release(&node->workers[k]);
	}
	drop_jobs(&node->done);
	fetch_release(&node->fetch);
	store_poison(node->store, -EIO);
	kv_slot_release(&node->shared.slot);
	store_close(node->store);
	node->store = NULL;
}

static void make_store(struct rig_node *node)
{
	struct store_identity identity = { .cluster = "node-rig-tests", .node_id = node->id };
	struct raft_conf conf = { .index = 1, .count = node->rig->count };
	struct err err = ERR_INIT;

	for (size_t i = 0; i < node->rig->count; i++) {
		conf.members[i].id = i + 1;
		conf.members[i].role = RAFT_VOTER;
		snprintf(conf.members[i].address, sizeof(conf.members[i].address), "n%zu:1", i + 1);
	}
	if (store_init(node->dir, &identity, &conf, &err) < 0)
		fail_msg("%s", err.text);
}

struct rig *rig_new(size_t count, uint64_t seed)
{
	struct rig *rig = mem_calloc(1, sizeof(*rig));
	/* Memory: syncing costs nothing there, and a crash here loses no page cache anyway. */
	const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

	log_set_level(getenv("RIG_LOG") ? LOG_INFO : LOG_NONE);
	snprintf(rig->dir, sizeof(rig->dir), "%s/qfs-rig-XXXXXX", base);
	assert_non_null(mkdtemp(rig->dir));
	rig->count = count;
	rig->seed = seed;
	rig->now_ms = 1000000;
	rig_wall = 1000000000000000000ll;
	prng_init(&rig->prng, seed);
	rig->snapshot_threshold = -1;
	for (size_t a = 0; a < RIG_NODES_MAX; a++)
		for (size_t b = 0; b < RIG_NODES_MAX; b++)
			list_init(&rig->links[a][b].frames);
	for (size_t i = 0; i < count; i++) {
		struct rig_node *node = &rig->nodes[i];

		node->rig = rig;
		node->id = i + 1;
		snprintf(node->dir, sizeof(node->dir), "%s/n%zu", rig->dir, i + 1);
		make_store(node);
	}
	for (size_t i = 0; i < count; i++)
		rig_start(&rig->nodes[i]);
	return rig;
}

void rig_free(struct rig *rig)
{
	if (!rig)
		return;
	for (size_t i = 0; i < rig->count; i++) {
		if (rig->nodes[i].up)
			rig_crash(&rig->nodes[i]);
		buf_release(&rig->nodes[i].check.text);
	}
	rig_clients_release(rig);
	assert_int_equal(io_remove_tree(AT_FDCWD, rig->dir), 0);
	free(rig);
}

/* ---- links ---------------------------------------------------------------------------------------- */

static void link_down(struct rig *rig, uint64_t from, uint64_t to)
{
	struct rig_link *l = link_of(rig, from, to);
	struct rig_node *node = &rig->nodes[from - 1];

	drop_frames(&l->frames);
	l->frozen = false;
	if (!l->up)
		return;
	l->up = false;
	if (node->up)
		replica_peer_down(node->replica, to);
}

static void link_up(struct rig *rig, uint64_t from, uint64_t to)
{
	struct rig_link *l = link_of(rig, from, to);

	if (l->up || !rig->nodes[from - 1].up || !rig->nodes[to - 1].up)
		return;
	l->up = true;
	replica_peer_up(rig->nodes[from - 1].replica, to);
}

void rig_cut(struct rig *rig, const struct rig_node *a, const struct rig_node *b)
{
	link_down(rig, a->id, b->id);
	link_down(rig, b->id, a->id);
}

void rig_join(struct rig *rig, const struct rig_node *a, const struct rig_node *b)
{
	link_up(rig, a->id, b->id);
	link_up(rig, b->id, a->id);
}

void rig_isolate(struct rig_node *node)
{
	for (size_t i = 0; i < node->rig->count; i++)
		if (&node->rig->nodes[i] != node)
			rig_cut(node->rig, node, &node->rig->nodes[i]);
}

void rig_heal(struct rig *rig)
{
	for (size_t a = 0; a < rig->count; a++)
		for (size_t b = 0; b < a; b++) {
			rig->links[a][b].frozen = rig->links[b][a].frozen = false;
			rig_join(rig, &rig->nodes[a], &rig->nodes[b]);
		}
}

void rig_freeze(struct rig *rig, const struct rig_node *from, const struct rig_node *to,
		bool frozen)
{
	link_of(rig, from->id, to->id)->frozen = frozen;
}

void rig_hold(struct rig_node *node, enum worker_kind worker, bool held)
{
	node->held[worker] = held;
}

/* ---- events ------------------------------------------------------------------------------------------ */

static void run_worker(struct rig_node *node, enum worker_kind kind)
{
	struct list *queue = &node->queues[kind];
	struct list jobs;
	/* How much a worker finds in its queue is chance; all of it is the rule. */
	uint64_t take = node->rig->shuffle ? 1 + prng_below(&node->rig->prng, 4) : UINT64_MAX;

	list_init(&jobs);
	while (take-- > 0 && !list_empty(queue)) {
		struct list *first = queue->next;

		list_del(first);
		list_add_tail(&jobs, first);
	}
	worker_run(&node->workers[kind], &jobs, &node->done);
	worker_after(&node->workers[kind], &node->done);
}

static void start_fetch(struct rig_node *node)
{
	struct list *first = node->queues[WORKER_FETCH].next;

	list_del(first);
	node->fetch.job = CONTAINER_OF(list_entry(first, struct job, link), struct job_fetch, job);
	node->fetches++;
}

static void end_fetch(struct rig_node *node, int status)
{
	struct rig_node *source = &node->rig->nodes[node->fetch.job->from - 1];

	if (source->up)
		store_snapshot_release(source->store, &node->fetch.job->meta);
	node->fetch.job->job.status = status;
	list_add_tail(&node->done, &node->fetch.job->job.link);
	node->fetch.job = NULL;
	fetch_release(&node->fetch);
}

static void ask_for_piece(struct rig_node *node)
{
	struct rig_fetch *f = &node->fetch;
	struct rig_node *source = &node->rig->nodes[f->job->from - 1];
	struct raft_snapshot_meta meta;
	struct buf request = BUF_INIT;

	if (!link_of(node->rig, node->id, source->id)->up) {
		end_fetch(node, -ECONNRESET);
		return;
	}
	buf_put_u8(&request, 1);
	buf_put_u8(&request, f->rx ? 1 : 0);
	buf_put_le32(&request, f->chunk);
	raft_snapshot_meta_encode(&f->job->meta, &request);
	f->asked = true;
	f->answered = false;
	assert_int_equal(replica_bulk_frame(source->replica, node->id, node->id, request.data,
					    request.len, &meta),
			 0);
	if (!f->rx)
		store_snapshot_hold(source->store, &meta);
	buf_release(&request);
}

static void take_piece(struct rig_node *node)
{
	struct rig_fetch *f = &node->fetch;
	struct cursor c = cursor_init(f->reply.data, f->reply.len);
	struct err err = ERR_INIT;
	uint8_t version = cursor_u8(&c);
	int ret = (int32_t)cursor_le32(&c);

	assert_int_equal(version, 1);
	f->asked = false;
	if (ret == 0 && f->rx && node->rig->corrupt_chunks > 0) {
		node->rig->corrupt_chunks--;
		f->reply.data[f->reply.len - 1] ^= 0x40;
	}
	if (ret == 0 && !f->rx) {
		ret = store_receive_begin(node->store, &f->job->meta, c.pos, cursor_left(&c),
					  &f->rx, &err);
	} else if (ret == 0) {
		ret = store_receive_chunk(f->rx, f->chunk, c.pos, cursor_left(&c), &err);
		node->chunks_pulled++;
		if (ret == -EUCLEAN)
			return; /* asked for again */
	}
	if (ret == 0)
		f->chunk = store_receive_next(f->rx, 0);
	if (ret == 0 && node->rig->fail_snapshots > 0 && node->chunks_pulled > 0) {
		node->rig->fail_snapshots--;
		ret = -ECONNRESET;
	}
	if (ret == 0 && f->chunk == store_receive_chunk_count(f->rx)) {
		ret = store_receive_finish(f->rx, &err);
		end_fetch(node, ret);
	} else if (ret < 0) {
		end_fetch(node, ret);
	}
}

/* What can happen next: kind and place of an event. */
struct event {
	enum { EV_WORKER, EV_FETCH, EV_DONE, EV_FRAME, EV_CLIENT } kind;
	size_t a, b;
};

struct events {
	struct event v[256];
	size_t count;
};

static void add_event(struct events *e, int kind, size_t a, size_t b)
{
	assert(e->count < ARRAY_SIZE(e->v));
	e->v[e->count++] = (struct event){ .kind = kind, .a = a, .b = b };
}

static bool fetch_can_go_on(const struct rig_node *node)
{
	const struct rig_fetch *f = &node->fetch;

	if (node->held[WORKER_FETCH])
		return false;
	if (!f->job)
		return !list_empty(&node->queues[WORKER_FETCH]);
	if (!node->rig->links[node->id - 1][f->job->from - 1].up)
		return true;
	return !f->asked || f->answered;
}

static void node_events(struct rig *rig, size_t i, struct events *e)
{
	struct rig_node *node = &rig->nodes[i];

	if (!node->up || node->failed)
		return;
	for (size_t k = 0; k < WORKER_COUNT; k++)
		if (k != WORKER_FETCH && !node->held[k] && !list_empty(&node->queues[k]))
			add_event(e, EV_WORKER, i, k);
	if (fetch_can_go_on(node))
		add_event(e, EV_FETCH, i, 0);
	if (!list_empty(&node->done))
		add_event(e, EV_DONE, i, 0);
	for (size_t from = 0; from < rig->count; from++) {
		struct rig_link *l = &rig->links[from][i];

		if (!l->frozen && !list_empty(&l->frames))
			add_event(e, EV_FRAME, from, i);
	}
}

static void run_fetch(struct rig_node *node)
{
	struct rig_fetch *f = &node->fetch;

	if (!f->job)
		start_fetch(node);
	else if (f->asked && !node->rig->links[node->id - 1][f->job->from - 1].up)
		end_fetch(node, -ECONNRESET);
	else if (!f->asked)
		ask_for_piece(node);
	else
		take_piece(node);
}

static void fake_space(struct rig_node *node, struct job *job)
{
	if (job->type == JOB_SPACE && node->fake_space.total_bytes > 0)
		CONTAINER_OF(job, struct job_space, job)->space = node->fake_space;
}

static void run_event(struct rig *rig, const struct event *ev)
{
	struct rig_node *node = &rig->nodes[ev->a];
	struct list *first;

	switch (ev->kind) {
	case EV_WORKER:
		run_worker(node, (enum worker_kind)ev->b);
		return;
	case EV_FETCH:
		run_fetch(node);
		return;
	case EV_DONE:
		first = node->done.next;
		list_del(first);
		fake_space(node, list_entry(first, struct job, link));
		replica_job_done(node->replica, list_entry(first, struct job, link));
		break;
	case EV_FRAME: {
		struct rig_frame *frame;

		first = rig->links[ev->a][ev->b].frames.next;
		frame = list_entry(first, struct rig_frame, link);
		list_del(first);
		node = &rig->nodes[ev->b];
		replica_peer_frame(node->replica, ev->a + 1, frame->type, frame->payload.data,
				   frame->payload.len);
		buf_release(&frame->payload);
		free(frame);
		break;
	}
	case EV_CLIENT:
		rig_client_read(&rig->clients[ev->a]);
		return;
	}
	/* With several events in one burst the flush comes late: chance too. */
	if (!rig->shuffle || prng_below(&rig->prng, 2) == 0)
		replica_flush(node->replica);
}

static void flush_all(struct rig *rig)
{
	for (size_t i = 0; i < rig->count; i++)
		if (rig->nodes[i].up && !rig->nodes[i].failed)
			replica_flush(rig->nodes[i].replica);
}

static void gather(struct rig *rig, struct events *e)
{
	e->count = 0;
	for (size_t i = 0; i < rig->count; i++)
		node_events(rig, i, e);
	for (size_t i = 0; i < rig->client_count; i++)
		if (!list_empty(&rig->clients[i].inbox))
			add_event(e, EV_CLIENT, i, 0);
}

static void run_some(struct rig *rig, uint64_t limit)
{
	struct events e;
	uint64_t n = 0;

	for (;;) {
		gather(rig, &e);
		if (e.count == 0) {
			flush_all(rig);
			gather(rig, &e);
		}
		if (e.count == 0 || n == limit)
			return;
		RIG_ASSERT(rig, n < EVENTS_MAX);
		run_event(rig, &e.v[rig->shuffle ? prng_below(&rig->prng, e.count) : n % e.count]);
		n++;
	}
}

/* Entries that nobody waits for are applied with the next tick, which is part of this instant. */
static bool flush_held(struct rig *rig)
{
	bool any = false;

	for (size_t i = 0; i < rig->count; i++) {
		struct rig_node *node = &rig->nodes[i];

		if (!node->up || node->failed || !node->replica->held)
			continue;
		entries_flush(node->replica);
		any = true;
	}
	return any;
}

void rig_run(struct rig *rig)
{
	do {
		run_some(rig, UINT64_MAX);
	} while (flush_held(rig));
}

void rig_pass(struct rig *rig, uint64_t ms)
{
	for (uint64_t passed = 0; passed < ms; passed += RIG_TICK_MS) {
		rig->now_ms += RIG_TICK_MS;
		rig_wall += RIG_TICK_MS * 1000000ll;
		rig_clients_tick(rig);
		for (size_t i = 0; i < rig->count; i++) {
			if (!rig->nodes[i].up || rig->nodes[i].failed)
				continue;
			replica_tick(rig->nodes[i].replica);
			replica_flush(rig->nodes[i].replica);
		}
		/* Under faults work need not be done by the next tick. */
		if (rig->shuffle)
			run_some(rig, 50 + prng_below(&rig->prng, 400));
		else
			rig_run(rig);
	}
}

static struct rig_node *agreed_leader(struct rig *rig)
{
	struct rig_node *leader = NULL;

	for (size_t i = 0; i < rig->count; i++)
		if (rig->nodes[i].up && rig->nodes[i].replica->evaluating &&
		    (!leader || rig_info(&rig->nodes[i]).raft.term > rig_info(leader).raft.term))
			leader = &rig->nodes[i];
	if (!leader || !rig_info(leader).raft.own_term_committed)
		return NULL;
	for (size_t i = 0; i < rig->count; i++)
		if (rig->nodes[i].up && rig->links[i][leader->id - 1].up &&
		    replica_leader(rig->nodes[i].replica) != leader->id)
			return NULL;
	return leader;
}

struct rig_node *rig_leader(struct rig *rig)
{
	struct rig_node *leader = agreed_leader(rig);

	for (int tries = 0; !leader && tries < 400; tries++) {
		rig_pass(rig, RIG_TICK_MS);
		leader = agreed_leader(rig);
	}
	RIG_ASSERT(rig, leader != NULL);
	return leader;
}

struct rig_node *rig_follower(struct rig *rig, unsigned nth)
{
	struct rig_node *leader = rig_leader(rig);

	for (size_t i = 0; i < rig->count; i++)
		if (rig->nodes[i].up && &rig->nodes[i] != leader && nth-- == 0)
			return &rig->nodes[i];
	fail_msg("there are not so many followers");
	return NULL;
}

/* ---- looking in ------------------------------------------------------------------------------------------ */

struct replica_info rig_info(struct rig_node *node)
{
	struct replica_info info;

	replica_info(node->replica, &info);
	return info;
}

static struct kv_view *local_view(struct rig_node *node)
{
	struct kv *kv = kv_slot_get(&node->shared.slot);
	struct kv_view *view = NULL;

	assert_int_equal(kv_view_open(kv, &view, NULL), 0);
	kv_unref(kv);
	return view;
}

static int local_eval(struct rig_node *node, const struct fs_request *rq, struct fs_result *res)
{
	struct kv_view *view = local_view(node);
	struct kv_txn *txn = kv_txn_new(view, NULL);
	struct fs_stamp stamp = { .index = 0 };

	assert_int_equal(fs_eval(txn, rq, &stamp, res), 0);
	kv_txn_free(txn);
	kv_view_close(view);
	return res->outcome == FS_OK ? 0 : res->status;
}

const char *rig_local_get(struct rig_node *node, const char *key)
{
	static char text[65536];
	struct fs_request rq = rig_kv_get(key);
	struct fs_result res = { .reply = BUF_INIT };
	struct fs_reply reply;
	size_t len = 0;

	if (local_eval(node, &rq, &res) == 0) {
		assert_int_equal(fs_reply_decode(&reply, res.reply.data, res.reply.len), 0);
		len = min_u64(reply.data_len, sizeof(text) - 1);
		memcpy(text, reply.data, len);
	}
	text[len] = '\0';
	buf_release(&res.reply);
	return text;
}

size_t rig_local_orphans(struct rig_node *node)
{
	struct fs_request rq = { .op = FS_ORPHANS, .size = 1u << 20 };
	struct fs_result res = { .reply = BUF_INIT };
	struct fs_orphan orphan;
	struct fs_reply reply;
	const uint8_t *data;
	size_t len, count = 0;

	assert_int_equal(local_eval(node, &rq, &res), 0);
	assert_int_equal(fs_reply_decode(&reply, res.reply.data, res.reply.len), 0);
	data = reply.data;
	len = reply.data_len;
	while (fs_orphan_next(&data, &len, &orphan))
		count++;
	buf_release(&res.reply);
	return count;
}

static void check_node(struct rig_node *node, const struct kv_meta *want)
{
	struct kv_view *view = local_view(node);
	struct kv_txn *txn = kv_txn_new(view, NULL);
	const struct kv_meta *meta = kv_view_meta(view);
	uint8_t digest[KV_DIGEST_SIZE];
	struct buf text = BUF_INIT;
	struct err err = ERR_INIT;

	RIG_ASSERT(node->rig, meta->applied_index == want->applied_index);
	RIG_ASSERT(node->rig, memcmp(meta->digest, want->digest, KV_DIGEST_SIZE) == 0);
	if (kv_view_digest(view, digest, &err) < 0)
		fail_msg("%s", err.text);
	RIG_ASSERT(node->rig, memcmp(digest, want->digest, KV_DIGEST_SIZE) == 0);
	if (fs_check(txn, &text) != 0) {
		buf_put_u8(&text, '\0');
		fail_msg("node %llu, SEED=%llu: %s", (unsigned long long)node->id,
			 (unsigned long long)node->rig->seed, (char *)text.data);
	}
	buf_release(&text);
	kv_txn_free(txn);
	kv_view_close(view);
}

static bool settled(struct rig *rig)
{
	struct rig_node *leader = agreed_leader(rig);

	for (size_t i = 0; leader && i < rig->count; i++)
		if (rig_info(&rig->nodes[i]).raft.applied_index != rig_info(leader).raft.last_index)
			return false;
	return leader != NULL;
}

void rig_settle_and_check(struct rig *rig)
{
	struct kv_view *view;
	struct kv_meta want;

	rig->shuffle = false;
	for (size_t i = 0; i < rig->count; i++) {
		for (int k = 0; k < WORKER_COUNT; k++)
			rig->nodes[i].held[k] = false;
		if (!rig->nodes[i].up)
			rig_start(&rig->nodes[i]);
	}
	rig_heal(rig);
	(void)rig_leader(rig);
	for (int tries = 0; tries < 400 && !settled(rig); tries++)
		rig_pass(rig, RIG_TICK_MS);
	RIG_ASSERT(rig, settled(rig));
	view = local_view(&rig->nodes[0]);
	want = *kv_view_meta(view);
	kv_view_close(view);
	for (size_t i = 0; i < rig->count; i++)
		check_node(&rig->nodes[i], &want);
}
