/*
 * client.c - clients that number their operations, remember them until they are answered, move between
 * nodes and send again: the rules of the session in fs/fuse, on simulated time.
 */
#include <stdlib.h>

#include "base/hash.h"
#include "tests/sim/sim.h"

#define ALIVE_MS 1000u
#define BRISK_MS 250u
#define RATE_PERCENT 1u /* the cluster waits that much longer for clients, and they count on less */
#define GIVE_UP_NS (8 * SIM_S) /* soft clients */

#define NO_RECORD SIZE_MAX /* it is no operation on files or keys */

enum { MSG_OPEN, MSG_FRAME, MSG_CLOSE };

static uint64_t lowest_open(const struct sim_client *c)
{
	list_for_each (it, &c->ops) {
		const struct sim_op *op = list_entry(it, struct sim_op, link);

		if (op->seq != 0)
			return op->seq;
	}
	return c->next_seq;
}

static struct sim_node *node_of(const struct sim_client *c)
{
	struct sim_node *node = &c->sim->nodes[c->node];

	return c->node != 0 && node->alive && node->life == c->node_life ? node : NULL;
}

static struct sim_event *to_node(struct sim_client *c, uint64_t what)
{
	struct sim *s = c->sim;
	struct sim_node *node = node_of(c);
	struct sim_event *e;

	if (!node)
		return NULL;
	c->fifo_up_ns = max_u64(c->fifo_up_ns + 1,
				s->now + sim_between(s, RND_NET, 5000, s->swarm.delay_max_ns));
	e = sim_at(s, c->fifo_up_ns, SIM_EV_TO_NODE, node);
	e->a = c->conn;
	e->b = what;
	return e;
}

static void send_msg(struct sim_client *c, struct fs_msg *m)
{
	struct sim_event *e = to_node(c, MSG_FRAME);

	if (!e)
		return;
	memcpy(m->uuid, c->uuid, sizeof(m->uuid));
	m->session_id = c->session_id;
	if (c->holder && (m->type == FS_MSG_REQUEST || m->type == FS_MSG_ALIVE))
		m->flags |= FS_MSG_HOLDER;
	fs_msg_encode(m, &e->payload);
}

static void send_op(struct sim_client *c, struct sim_op *op)
{
	struct fs_msg m = { .type = FS_MSG_REQUEST,
			    .tag = op->tag,
			    .seq = op->seq,
			    .low = lowest_open(c),
			    .body = op->body.data,
			    .body_len = op->body.len };

	if (op->held || !node_of(c) || (op->seq != 0 && c->session_id == 0 && c->stamp == 0))
		return;
	/* A read that is sent again is another one, so that it is known which view answered. */
	if (op->sent && op->seq == 0) {
		op->tag = m.tag = c->next_tag++;
		op->seen = 0;
	}
	if (op->seq != 0 && c->session_id == 0) {
		if (c->begin_stamp == 0)
			c->begin_stamp = c->stamp;
		m.flags |= FS_MSG_BEGIN;
		m.stamp = c->begin_stamp;
	}
	if (op->sent && op->seq != 0) {
		m.flags |= FS_MSG_RETRY;
		op->retried = true;
		c->sim->counts.resends++;
	}
	/* What begins a session gets stuck on its way; the client will ask again over another connection. */
	if (!op->sent && m.flags & FS_MSG_BEGIN && sim_chance(c->sim, RND_LOAD, c->sim->swarm.clog))
		c->fifo_up_ns =
			max_u64(c->fifo_up_ns,
				c->sim->now + sim_between(c->sim, RND_LOAD, 300, 12000) * SIM_MS);
	op->sent = true;
	op->sent_ns = c->sim->now;
	send_msg(c, &m);
}

void client_submit(struct sim_client *c, struct sim_op *op)
{
	send_op(c, op);
}

void client_op_drop(struct sim_client *c, struct sim_op *op)
{
	gathers_dropped(c, op);
	list_del(&op->link);
	c->op_count--;
	buf_release(&op->body);
	buf_release(&op->reply);
	free(op);
}

/* ---- what it knows without asking ------------------------------------------------------------------------ */

static struct sim_node *clock_of; /* the machine of whoever asks */

static uint64_t machine_ns(void)
{
	return node_local_ns(clock_of);
}

/* It runs on that node's machine and sees its board. */
static void settle(struct sim_client *c, struct sim_node *machine)
{
	c->machine = machine;
	(void)lcache_set_board(&c->known, machine ? machine->board : NULL);
}

static void learn(struct sim_client *c, const struct sim_op *op, const struct fs_msg *m)
{
	struct fs_reply reply = { .count = 0 };
	struct fs_request rq;

	SIM_CHECK(c->sim, fs_request_decode(&rq, op->body.data, op->body.len) == 0);
	if (m->status == 0)
		SIM_CHECK(c->sim, fs_reply_decode(&reply, m->body, m->body_len) == 0);
	reply.index = m->stamp;
	lcache_learn(&c->known, &rq, m->status, &reply);
}

/* -EAGAIN: it has to ask. */
static int ask_known(struct sim_client *c, const struct fs_request *rq, struct fs_attr *attr)
{
	clock_of = c->machine;
	if (!c->machine)
		return -EAGAIN;
	if (rq->op == FS_LOOKUP)
		return lcache_lookup(&c->known, rq->ino, rq->name, rq->name_len, attr);
	return rq->op == FS_GETATTR && lcache_attr(&c->known, rq->ino, attr) ? 0 : -EAGAIN;
}

/* ---- connecting ---------------------------------------------------------------------------------------- */

static void disconnect(struct sim_client *c)
{
	(void)to_node(c, MSG_CLOSE);
	c->node = 0;
	c->conn = 0;
	c->connect_ns = c->sim->now + sim_between(c->sim, RND_NET, SIM_MS, 200 * SIM_MS);
}

static void connect_somewhere(struct sim_client *c)
{
	struct sim *s = c->sim;
	struct sim_node *node = &s->nodes[sim_between(s, RND_LOAD, 1, s->node_count)];

	c->connect_ns = s->now + sim_between(s, RND_NET, SIM_MS, 100 * SIM_MS);
	if (!node->alive)
		return;
	c->node = node->id;
	c->node_life = node->life;
	c->conn = ++s->next_conn;
	c->fifo_up_ns = s->now;
	c->alive_ns = s->now;
	/* Else it stays where it was, and asks another node over the network. */
	if (!c->machine || sim_chance(s, RND_LOAD, 700))
		settle(c, node);
	(void)to_node(c, MSG_OPEN);
	list_for_each (it, &c->ops)
		send_op(c, list_entry(it, struct sim_op, link));
}

void client_move(struct sim_client *c)
{
	c->sim->counts.moves++;
	disconnect(c);
}

void clients_node_ended(struct sim_node *node)
{
	struct sim *s = node->sim;

	for (size_t i = 0; i < s->client_count; i++) {
		if (s->clients[i].machine == node)
			settle(&s->clients[i], NULL);
		if (s->clients[i].node == node->id)
			disconnect(&s->clients[i]);
	}
}

/* ---- life ------------------------------------------------------------------------------------------------ */

static struct sim_client *client_born(struct sim *s)
{
	struct sim_client *c = &s->clients[s->client_count];
	struct sim_event *e;

	assert(s->client_count < SIM_CLIENTS_MAX);
	*c = (struct sim_client){
		.sim = s,
		.number = s->client_count++,
		.alive = true,
		.next_seq = 1,
		.next_tag = 1,
		.holder = sim_chance(s, RND_LOAD, 700),
		.soft = s->swarm.soft_clients && sim_chance(s, RND_LOAD, 500),
	};
	for (size_t i = 0; i < KV_UUID_SIZE; i++)
		c->uuid[i] = (uint8_t)prng_u64(&s->rnd[RND_LOAD]);
	list_init(&c->ops);
	lcache_init(&c->known, s->swarm.known_max, machine_ns);
	if (sim_chance(s, RND_LOAD, s->swarm.gathers))
		gathers_begin(c);
	e = sim_at(s, s->now + sim_between(s, RND_LOAD, 0, SIM_S), SIM_EV_CLIENT, NULL);
	e->a = c->number;
	return c;
}

void client_sleep(struct sim_client *c, uint64_t ns)
{
	if (!c->alive)
		return;
	c->sim->counts.slept++;
	c->asleep_until = max_u64(c->asleep_until, c->sim->now + ns);
}

/* Nobody waits any more for what it asked for; it may still happen. */
static void client_end(struct sim_client *c)
{
	disconnect(c);
	c->alive = false;
	gathers_end(c);
	list_for_each_safe (it, &c->ops) {
		struct sim_op *op = list_entry(it, struct sim_op, link);

		op->given_up = true;
		load_answered(c, op);
		client_op_drop(c, op);
	}
}

/* Whoever goes on in its place may end the session that it had. */
static void succeed(struct sim_client *c)
{
	struct sim *s = c->sim;
	struct sim_client *next;

	if (s->client_count == SIM_CLIENTS_MAX)
		return;
	next = client_born(s);
	next->replaces = c->session_id != 0 && sim_chance(s, RND_LOAD, s->swarm.replace);
	next->before = c->number;
}

/* The program ended. Another one takes its place. */
void client_die(struct sim_client *c)
{
	struct sim *s = c->sim;

	if (!c->alive || c->ghost || s->client_count == SIM_CLIENTS_MAX)
		return;
	s->counts.deaths++;
	if (c->session_id != 0 && sim_chance(s, RND_LOAD, s->swarm.ghost)) {
		c->ghost = true;
		client_sleep(c, sim_between(s, RND_LOAD, 300, 8000) * SIM_MS);
	} else {
		client_end(c);
	}
	succeed(c);
}

void client_ended(struct sim *s, const struct kv_session_end *end, uint64_t index, bool replaced)
{
	struct sim_client *c = client_by_uuid(s, end->uuid);

	if (!c || c->ended_index != 0)
		return;
	c->ended_index = index;
	s->counts.replaced += replaced;
	sim_trace(s, "the session of client %zu ends", c->number);
	if (!replaced && c->alive && c->kept_ns > s->now)
		sim_fail(s, "the session of client %zu ended at %llu, %llu ms early", c->number,
			 (unsigned long long)index,
			 (unsigned long long)((c->kept_ns - s->now) / SIM_MS));
}

/* The session ended: its client goes on in another one, which for the checks is another client. */
static void client_expired(struct sim_client *c)
{
	struct sim *s = c->sim;

	s->counts.expired++;
	/* What is committed may not have been handed out yet. */
	if (c->session_id != 0 && c->ended_index == 0 &&
	    (c->ending_index == 0 || c->ending_index > s->commit_last))
		sim_fail(s, "client %zu is told that its session ended, no entry says so",
			 c->number);
	if (c->ended_index == 0)
		c->ended_index = max_u64(c->ending_index, s->committed_last);
	client_end(c);
	if (!c->ghost)
		succeed(c);
}

void clients_start(struct sim *s)
{
	for (size_t i = 0; i < s->swarm.clients; i++)
		client_born(s);
}

void clients_release(struct sim *s)
{
	for (size_t i = 0; i < s->client_count; i++) {
		list_for_each_safe (it, &s->clients[i].ops)
			client_op_drop(&s->clients[i], list_entry(it, struct sim_op, link));
		free(s->clients[i].records);
		lcache_release(&s->clients[i].known);
	}
	gathers_release(s);
	history_release(&s->history);
}

bool clients_idle(const struct sim *s)
{
	for (size_t i = 0; i < s->client_count; i++)
		if (s->clients[i].alive && !list_empty(&s->clients[i].ops))
			return false;
	return s->issued >= s->swarm.ops;
}

static void stamp_heard(struct sim_client *c, uint64_t stamp)
{
	bool first = c->stamp == 0 && stamp != 0;

	c->stamp = max_u64(c->stamp, stamp);
	list_for_each (it, &c->ops)
		if (first)
			send_op(c, list_entry(it, struct sim_op, link));
}

/* ---- operations -------------------------------------------------------------------------------------------- */

static void note_begin(struct sim_client *c, struct sim_op *op, const struct fs_request *rq)
{
	struct sim *s = c->sim;

	struct fs_request said = *rq;

	op->record = NO_RECORD;

	if (rq->op == FS_READDIR)
		said.flags = rq->offset == 0 && rq->size >= LIST_ROOM ? HIST_LIST_WHOLE : HIST_LIST_PAGE;
	if (rq->op != FS_SESSION_BEGIN && !op->fn)
		op->record = history_begin(&s->history, (uint32_t)c->number, s->now, &said);
	if (op->seq == 0)
		return;
	if (op->seq >= c->record_cap) {
		c->record_cap = 2 * op->seq + 16;
		c->records = mem_realloc(c->records, c->record_cap * sizeof(size_t));
	}
	c->records[op->seq] = op->record;
}

static void note_end(struct sim_client *c, struct sim_op *op)
{
	struct sim *s = c->sim;
	struct fs_reply reply;

	if (op->record == NO_RECORD)
		return;
	/* The kernel looks again when it is told so of a file that its own mount may gather writes of: it stays open. */
	if (c->gatherer && op->op == FS_CREATE && op->status == -ESTALE)
		return;
	if (op->status == 0)
		SIM_CHECK(s, fs_reply_decode(&reply, op->reply.data, op->reply.len) == 0);
	history_end(&s->history, op->record, s->now, op->status, op->status == 0 ? &reply : NULL,
		    op->status == 0 ? HIST_ALL : 0, op->seen ? op->seen : op->judged);
	if (op->seq != 0)
		history_set_logged(&s->history, op->record, op->seen != 0);
}

struct sim_client *client_by_uuid(struct sim *s, const uint8_t uuid[KV_UUID_SIZE])
{
	for (size_t i = 0; i < s->client_count; i++)
		if (memcmp(s->clients[i].uuid, uuid, KV_UUID_SIZE) == 0)
			return &s->clients[i];
	return NULL;
}

void client_judged(struct sim *s, const struct eval_answer *a, uint64_t seen_term)
{
	struct sim_client *c = client_by_uuid(s, a->uuid);

	if (!c)
		return;
	list_for_each (it, &c->ops) {
		struct sim_op *op = list_entry(it, struct sim_op, link);

		if (op->seq != a->seq)
			continue;
		op->judged = a->seen_index;
		op->judged_term = seen_term;
	}
}

void client_executed(struct sim *s, const struct apply_answer *a)
{
	struct sim_client *c = client_by_uuid(s, a->uuid);

	SIM_CHECK(s, c && a->seq < c->next_seq);
	if (c->ended_index != 0 && a->index > c->ended_index)
		sim_fail(s,
			 "operation %llu of client %zu took effect at %llu, its session ended by "
			 "%llu",
			 (unsigned long long)a->seq, c->number, (unsigned long long)a->index,
			 (unsigned long long)c->ended_index);
	gathers_executed(c, a);
	if (c->records[a->seq] == NO_RECORD)
		return;
	/* An error that is logged under a number makes sure that it has no effect. */
	if (a->status == 0 && !s->history.ops[c->records[a->seq]].done)
		history_set_index(&s->history, c->records[a->seq], a->index);
}

/* name: FS_SESSION_NAME_SIZE bytes of the session that is replaced. */
static void begin_request(struct sim_client *c, struct fs_request *rq, uint8_t *name)
{
	const struct sim_client *before = &c->sim->clients[c->before];

	memcpy(name, before->uuid, KV_UUID_SIZE);
	store_le64(name + KV_UUID_SIZE, before->session_id);
	*rq = (struct fs_request){ .op = FS_SESSION_BEGIN,
				   .data = name,
				   .data_len = FS_SESSION_NAME_SIZE };
}

static void tell_seen(struct sim_client *c, const struct sim_op *op)
{
	struct fs_reply reply;

	SIM_CHECK(c->sim, fs_reply_decode(&reply, op->reply.data, op->reply.len) == 0);
	if (reply.has_attr)
		gathers_seen(c, op, reply.attr.ino);
}

static void op_ends(struct sim_client *c, struct sim_op *op)
{
	op->done = true;
	op->returned_ns = c->sim->now;
	check_reply(c, op);
	note_end(c, op);
	if (op->status == 0 && !op->fn)
		tell_seen(c, op);
	load_answered(c, op);
	client_op_drop(c, op);
}

/* At once, so it must show all that any node took for committed. */
static bool answered_here(struct sim_client *c, struct sim_op *op, const struct fs_request *rq)
{
	struct fs_reply reply = { .has_attr = true };
	int status = ask_known(c, rq, &reply.attr);

	if (status == -EAGAIN)
		return false;
	c->sim->counts.known++;
	op->status = status;
	op->seen = c->sim->commit_last;
	if (status == 0)
		fs_reply_encode(&reply, &op->reply);
	op_ends(c, op);
	return true;
}

struct sim_op *client_op_new(struct sim_client *c, const struct fs_request *rq)
{
	struct sim_op *op = mem_calloc(1, sizeof(*op));

	op->client = c;
	op->op = rq->op;
	op->tag = c->next_tag++;
	op->seq = fs_op_is_read(rq->op) ? 0 : c->next_seq++;
	op->record = NO_RECORD;
	fs_request_encode(rq, &op->body);
	op->called_ns = c->sim->now;
	op->floor = c->sim->commit_last;
	list_add_tail(&c->ops, &op->link);
	c->op_count++;
	return op;
}

static void issue(struct sim_client *c)
{
	struct sim *s = c->sim;
	uint8_t name[FS_SESSION_NAME_SIZE];
	struct fs_request rq;
	struct sim_op *op;

	if (c->replaces && c->next_seq == 1 && s->has_root)
		begin_request(c, &rq, name);
	else if (!s->has_root || c->op_count >= s->swarm.inflight_max || !load_next(c, &rq))
		return;
	op = client_op_new(c, &rq);
	note_begin(c, op, &rq);
	s->counts.ops++;
	if (gathers_start(c, op) && !answered_here(c, op, &rq))
		send_op(c, op);
}

static void send_all_again(struct sim_client *c)
{
	c->resend_due = false;
	list_for_each (it, &c->ops)
		send_op(c, list_entry(it, struct sim_op, link));
}

void client_ending(struct sim *s, const uint8_t uuid[KV_UUID_SIZE], uint64_t index)
{
	struct sim_client *c = client_by_uuid(s, uuid);

	if (c)
		c->ending_index = index;
	if (!c || !c->alive || c->asleep_until <= s->now || !s->swarm.ghost)
		return;
	sim_trace(s, "client %zu wakes up as its session ends", c->number);
	c->asleep_until = s->now;
	if (c->node == 0)
		connect_somewhere(c);
	issue(c);
	send_all_again(c);
}

static void give_up_old(struct sim_client *c)
{
	struct sim *s = c->sim;

	list_for_each_safe (it, &c->ops) {
		struct sim_op *op = list_entry(it, struct sim_op, link);

		if (op->fn || op->held || s->calm || s->now < op->called_ns + GIVE_UP_NS)
			continue;
		s->counts.given_up++;
		op->given_up = true;
		load_answered(c, op);
		client_op_drop(c, op);
	}
}

static void ask_again(struct sim_client *c)
{
	struct sim_op *oldest = NULL;

	list_for_each (it, &c->ops)
		if (!oldest && !list_entry(it, struct sim_op, link)->held)
			oldest = list_entry(it, struct sim_op, link);
	if (!oldest || c->sim->now < max_u64(oldest->sent_ns, oldest->called_ns) +
					     c->sim->swarm.ask_again_ms * SIM_MS)
		return;
	if (sim_chance(c->sim, RND_LOAD, 500))
		client_move(c);
	else
		send_all_again(c);
}

static void on_timer(struct sim_client *c)
{
	struct sim *s = c->sim;
	struct sim_event *e;

	if (!c->alive)
		return;
	if (c->node == 0 && s->now >= c->connect_ns)
		connect_somewhere(c);
	gathers_tick(c);
	if (c->soft)
		give_up_old(c);
	if (c->resend_due && s->now >= c->resend_ns)
		send_all_again(c);
	ask_again(c);
	if (s->now >= c->issue_ns) {
		issue(c);
		c->issue_ns = s->now + sim_between(s, RND_LOAD, 0, s->swarm.think_ms * SIM_MS);
	}
	if ((c->holder || c->session_id != 0) && c->node != 0 && s->now >= c->alive_ns) {
		bool brisk = gathers_is_brisk(c);
		struct fs_msg m = { .type = FS_MSG_ALIVE, .flags = brisk ? FS_MSG_BRISK : 0, .tag = s->now };

		c->alive_ns = s->now + min_u64(brisk ? BRISK_MS : ALIVE_MS, s->swarm.session_ttl_ms / 3) * SIM_MS;
		send_msg(c, &m);
	}
	e = sim_at(s, s->now + sim_between(s, RND_LOAD, SIM_MS, 20 * SIM_MS), SIM_EV_CLIENT, NULL);
	e->a = c->number;
}

/* ---- what arrives --------------------------------------------------------------------------------------------- */

static void on_reply(struct sim_client *c, const struct fs_msg *m)
{
	struct sim *s = c->sim;

	list_for_each (it, &c->ops) {
		struct sim_op *op = list_entry(it, struct sim_op, link);

		if (op->tag != m->tag)
			continue;
		SIM_CHECK(s, op->seq == m->seq);
		/* Copies of an operation that was sent again are bound by what the log says alone. */
		if (op->seq != 0 && op->retried && !(m->flags & FS_MSG_FINAL))
			return;
		if (m->flags & FS_MSG_EXPIRED) {
			client_expired(c);
			return;
		}
		if (m->session_id != 0)
			c->session_id = m->session_id;
		if (m->status == -EIO && op->seq == 0) {
			/* A disk that cannot be read: no answer to anything. Another node may tell. */
			SIM_CHECK(s, disk_explains(&s->nodes[c->node]));
			client_move(c);
			return;
		}
		learn(c, op, m);
		op->status = m->status;
		buf_put(&op->reply, m->body, m->body_len);
		sim_note(s, op->tag << 16 ^ (uint64_t)(uint32_t)op->status,
			 hash64(op->reply.data, op->reply.len));
		s->counts.acked += op->status == 0;
		s->counts.errors += op->status != 0;
		s->counts.reads += op->seq == 0;
		if (!gathers_answered(c, op, m))
			op_ends(c, op);
		return;
	}
}

static void on_query(struct sim_client *c, const struct fs_msg *query)
{
	struct fs_msg m = { .type = FS_MSG_ANSWER, .tag = query->tag };

	send_msg(c, &m);
}

/* It was heard, and may count on its session from when it spoke. */
static void on_kept(struct sim_client *c, const struct fs_msg *m)
{
	uint64_t ttl_ms = m->ttl_ms - m->ttl_ms * RATE_PERCENT / 100;

	if (m->session_id != c->session_id || c->session_id == 0)
		return;
	if (m->flags & FS_MSG_EXPIRED)
		client_expired(c);
	else
		c->kept_ns = max_u64(c->kept_ns, m->tag + ttl_ms * SIM_MS);
	gathers_kept(c, m->tag);
}

static void from_node(struct sim_client *c, const struct buf *payload)
{
	struct sim *s = c->sim;
	struct fs_msg m;

	SIM_CHECK(s, fs_msg_decode(&m, payload->data, payload->len) == 0);
	stamp_heard(c, m.stamp);
	switch (m.type) {
	case FS_MSG_REPLY:
		on_reply(c, &m);
		break;
	case FS_MSG_RESEND:
		if (!c->resend_due)
			c->resend_ns = s->now + sim_between(s, RND_LOAD, 0, s->swarm.resend_ms) * SIM_MS;
		c->resend_due = true;
		break;
	case FS_MSG_QUERY:
		on_query(c, &m);
		break;
	case FS_MSG_STATE:
		break;
	case FS_MSG_RECALL:
		gathers_recall(c, &m);
		break;
	case FS_MSG_KEPT:
		on_kept(c, &m);
		break;
	default:
		sim_fail(s, "a node sent message type %u to a client", m.type);
	}
}

static struct sim_client *by_conn(struct sim *s, uint64_t conn)
{
	for (size_t i = 0; i < s->client_count; i++)
		if (s->clients[i].conn == conn && s->clients[i].alive)
			return &s->clients[i];
	return NULL;
}

struct sim_op *client_op(struct sim *s, uint64_t conn, uint64_t tag)
{
	struct sim_client *c = by_conn(s, conn);

	if (!c)
		return NULL;
	list_for_each (it, &c->ops)
		if (list_entry(it, struct sim_op, link)->tag == tag)
			return list_entry(it, struct sim_op, link);
	return NULL;
}

void client_to(struct sim_node *node, uint64_t conn, struct buf *payload)
{
	struct sim *s = node->sim;
	struct sim_client *c = by_conn(s, conn);
	struct sim_event *e;

	if (c) {
		c->fifo_down_ns =
			max_u64(c->fifo_down_ns + 1,
				s->now + sim_between(s, RND_NET, 5000, s->swarm.delay_max_ns));
		e = sim_at(s, c->fifo_down_ns, SIM_EV_TO_CLIENT, NULL);
		e->a = conn;
		buf_put(&e->payload, payload->data, payload->len);
	}
	buf_release(payload);
}

static void arrived(struct sim *s, struct sim_event *e)
{
	struct sim_node *node = &s->nodes[e->node];
	struct sim_node *was = node_enter(node);

	if (e->b == MSG_OPEN)
		replica_client_open(node->replica, e->a);
	else if (e->b == MSG_CLOSE)
		replica_client_close(node->replica, e->a);
	else
		SIM_CHECK(s, replica_client_frame(node->replica, e->a, e->payload.data,
						  e->payload.len) == 0);
	node_leave(was);
}

void client_event(struct sim *s, struct sim_event *e)
{
	struct sim_client *c;

	if (e->type == SIM_EV_TO_CLIENT || e->type == SIM_EV_CLIENT) {
		c = e->type == SIM_EV_CLIENT ? &s->clients[e->a] : by_conn(s, e->a);
		if (c && c->asleep_until > s->now) {
			e->kept = true;
			e->at = c->asleep_until;
			queue_push(&s->queue, e);
			return;
		}
	}
	if (e->type == SIM_EV_CLIENT) {
		on_timer(&s->clients[e->a]);
	} else if (e->type == SIM_EV_TO_NODE) {
		arrived(s, e);
	} else {
		c = by_conn(s, e->a); /* gone with its connection otherwise */
		if (c)
			from_node(c, &e->payload);
	}
}
