/*
 * fuzz_replica.c - a node to which anybody says anything: frames of clients and peers of every type, with
 * any content, while connections come and go, time passes and its workers get on or fail.
 *
 * The replica and all below it are real; disk and evaluator are left out: log work succeeds, entries apply,
 * what reads is answered with an error. The node leads a cluster whose others do not vote, or follows.
 * Raft messages that decode come only from their sender and are left to the core's own tests: who is a
 * member is believed. Everything else must be survived whatever it says.
 */
#include "node/replica_internal.h"
#include "tests/fuzz/fuzz.h"

#define CLIENTS 3u
#define STEPS_MAX 64

struct world {
	struct replica *r;
	struct list jobs;
	uint64_t now_ms;
	bool broken; /* the replica asked for the end: nothing more may happen to it */
};

/* ---- the world ---- */

static void submit(void *ctx, enum worker_kind worker, struct job *job)
{
	struct world *w = ctx;

	(void)worker;
	list_add_tail(&w->jobs, &job->link);
}

static void send_peer(void *ctx, uint64_t node_id, uint8_t type, struct buf *payload)
{
	(void)ctx;
	assert(node_id >= 2 && node_id <= 3 && type >= NET_RAFT);
	buf_release(payload);
}

/* What leaves for a client decodes there. */
static void send_client(void *ctx, uint64_t client_id, struct buf *payload)
{
	struct fs_msg m;
	int ret = fs_msg_decode(&m, payload->data, payload->len);

	(void)ctx;
	assert(client_id > 0 && ret == 0);
	buf_release(payload);
}

static void send_bulk(void *ctx, uint64_t conn_id, struct buf *payload)
{
	(void)ctx;
	(void)conn_id;
	buf_release(payload);
}

static void check_done(void *ctx, const struct job_check *check)
{
	(void)ctx;
	(void)check;
}

static void peers(void *ctx, const struct raft_conf *conf)
{
	(void)ctx;
	assert(conf->count == 3);
}

static uint64_t now_ns(void *ctx)
{
	return ((struct world *)ctx)->now_ms * 1000000;
}

static uint64_t now_ms(void *ctx)
{
	return ((struct world *)ctx)->now_ms;
}

static void fatal(void *ctx, const struct err *err)
{
	(void)err;
	((struct world *)ctx)->broken = true;
}

static const struct replica_io_ops ops = {
	.submit = submit,
	.send_peer = send_peer,
	.send_client = send_client,
	.send_bulk = send_bulk,
	.check_done = check_done,
	.peers = peers,
	.now_ms = now_ms,
	.now_ns = now_ns,
	.fatal = fatal,
};

/* ---- workers ---- */

static void run_job(struct world *w, struct job *job)
{
	switch (job->type) {
	case JOB_EVAL_REQUEST:
	case JOB_EVAL_ROLE:
	case JOB_EVAL_APPLIED:
		job_free(job);
		return;
	case JOB_PERSIST:
	case JOB_APPLY:
	case JOB_CUT:
		break;
	case JOB_CHECKPOINT:
		CONTAINER_OF(job, struct job_checkpoint, job)->durable_index = w->r->applied_index;
		break;
	case JOB_SPACE:
		CONTAINER_OF(job, struct job_space, job)->space.free_bytes = 1u << 30;
		CONTAINER_OF(job, struct job_space, job)->space.total_bytes = 2u << 30;
		break;
	case JOB_LOAD:
		job->status = -ENOENT;
		break;
	case JOB_INSTALL:
		job->status = -ESTALE;
		break;
	default:
		job->status = -EAGAIN;
	}
	replica_job_done(w->r, job);
}

static void run_jobs(struct world *w)
{
	for (int i = 0; i < 200 && !list_empty(&w->jobs) && !w->broken; i++) {
		struct job *job = list_first(&w->jobs, struct job, link);

		list_del(&job->link);
		run_job(w, job);
		replica_flush(w->r);
	}
}

static void drop_jobs(struct world *w)
{
	list_for_each_safe (it, &w->jobs) {
		struct job *job = list_entry(it, struct job, link);

		list_del(it);
		if (job->type == JOB_PERSIST)
			list_del(&CONTAINER_OF(job, struct job_persist, job)->tracking);
		job_free(job);
	}
}

/* ---- life ---- */

static void world_init(struct world *w, bool leads)
{
	static struct kv_meta state = { .applied_index = 1, .applied_term = 1 };
	struct raft_entry first = { .index = 1, .term = 1, .type = RAFT_ENTRY_CONF };
	struct store_boot boot = { .hard = { .term = 1 },
				   .incarnation = 1,
				   .last_index = 1,
				   .terms = &first,
				   .term_count = 1 };
	struct replica_options options = { .self = 1,
					   .seed = 7,
					   .election_ticks = 12,
					   .lease_ns = leads ? 0 : 400000000,
					   .clock_rate_ppm = 10000,
					   .tick_ns = 50000000,
					   .heartbeat_ticks = 2,
					   .snapshot_threshold = 1 << 20 };

	*w = (struct world){ .now_ms = 1000 };
	list_init(&w->jobs);
	state.conf = (struct raft_conf){ .index = 1, .count = 3 };
	for (size_t i = 0; i < 3; i++)
		state.conf.members[i] =
			(struct raft_member){ .id = i + 1,
					      .role = leads && i > 0 ? RAFT_LEARNER : RAFT_VOTER,
					      .address = "h:1" };
	w->r = replica_new(&options, &boot, &state, &ops, w, NULL);
	if (!w->r)
		abort();
	if (leads)
		replica_tick(w->r);
	run_jobs(w);
	if (leads)
		run_jobs(w);
	assert(replica_is_leader(w->r) == leads);
	for (uint64_t id = 1; id <= CLIENTS; id++)
		replica_client_open(w->r, id);
	replica_peer_up(w->r, 2);
}

static void world_release(struct world *w)
{
	drop_jobs(w);
	replica_free(w->r);
}

/* A follower takes node 2 for the leader from here on. */
static void hear_leader(struct world *w)
{
	struct raft_message m = { .type = RAFT_MSG_HEARTBEAT, .from = 2, .to = 1, .term = 2 };
	struct buf frame = BUF_INIT;

	m.incarnation = 1;
	raft_message_encode(&m, &frame);
	replica_peer_frame(w->r, 2, NET_RAFT, frame.data, frame.len);
	buf_release(&frame);
}

/* ---- one step ---- */

/* A message whose fields are sound enough to get somewhere, or just bytes. */
static void take_msg(struct cursor *c, struct buf *out)
{
	uint8_t shape = cursor_u8(c);
	struct fs_msg m = { .type = 1 + shape % FS_MSG_KEPT, .flags = cursor_u8(c) & 31 };
	size_t len;

	if (shape & 128) {
		m.body = fuzz_slice(c, &len);
		buf_put(out, m.body, len);
		return;
	}
	memset(m.uuid, cursor_u8(c) % 3, sizeof(m.uuid));
	m.tag = cursor_u8(c) % 16;
	m.seq = cursor_u8(c) % 16;
	m.low = cursor_u8(c) % 8;
	m.session_id = cursor_u8(c) % 4;
	m.stamp = cursor_u8(c) % 4;
	m.ttl_ms = cursor_u8(c) * 100u;
	m.status = -(int32_t)(cursor_u8(c) % 3);
	m.body = fuzz_slice(c, &len);
	m.body_len = len;
	fs_msg_encode(&m, out);
}

static void frame_from_peer(struct world *w, uint64_t peer, uint8_t type, struct cursor *c)
{
	struct raft_message msg;
	struct buf frame = BUF_INIT;
	const uint8_t *bytes;
	size_t len;

	if (type == NET_FORWARD || type == NET_FORWARD_REPLY) {
		take_msg(c, &frame);
	} else {
		bytes = fuzz_slice(c, &len);
		buf_put(&frame, bytes, len);
	}
	if (type != NET_RAFT || raft_message_decode(&msg, frame.data, frame.len) < 0)
		replica_peer_frame(w->r, peer, type, frame.data, frame.len);
	else
		raft_message_release(&msg);
	buf_release(&frame);
}

static void frame_of_client(struct world *w, uint64_t id, struct cursor *c)
{
	struct buf frame = BUF_INIT;

	take_msg(c, &frame);
	if (replica_client_frame(w->r, id, frame.data, frame.len) < 0) {
		replica_client_close(w->r, id);
		replica_client_open(w->r, id);
	}
	buf_release(&frame);
}

static void frame_of_bulk(struct world *w, struct cursor *c)
{
	struct raft_snapshot_meta meta;
	size_t len;
	const uint8_t *bytes = fuzz_slice(c, &len);

	(void)replica_bulk_frame(w->r, 9, 2 + cursor_u8(c) % 2, bytes, len, &meta);
}

static void step(struct world *w, struct cursor *c)
{
	static const uint8_t types[] = { NET_FORWARD, NET_FORWARD_REPLY, NET_NODE_STATUS, NET_RAFT,
					 255,         NET_NODE_KEPT };
	uint8_t byte = cursor_u8(c);
	uint64_t client = 1 + byte / 16 % CLIENTS, peer = 2 + byte / 16 % 2;

	switch (byte % 13) {
	case 0:
	case 1:
	case 2:
		frame_of_client(w, client, c);
		break;
	case 3:
	case 4:
	case 5:
	case 6:
	case 7:
	case 8:
		frame_from_peer(w, peer, types[byte % 13 - 3], c);
		break;
	case 9:
		frame_of_bulk(w, c);
		break;
	case 10:
		w->now_ms += byte & 128 ? 20000 : 50;
		replica_tick(w->r);
		break;
	case 11:
		replica_client_close(w->r, client);
		replica_client_open(w->r, client);
		break;
	default:
		if (byte & 128)
			replica_peer_up(w->r, peer);
		else
			replica_peer_down(w->r, peer);
	}
	replica_flush(w->r);
	if (byte & 8)
		run_jobs(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_init(data, size);
	uint8_t mode = cursor_u8(&c);
	struct world w;

	log_set_level(LOG_NONE);
	world_init(&w, mode & 1);
	if (!(mode & 1) && (mode & 2))
		hear_leader(&w);
	for (int i = 0; i < STEPS_MAX && cursor_left(&c) > 0 && !w.broken; i++)
		step(&w, &c);
	assert(!w.broken);
	world_release(&w);
	return 0;
}
