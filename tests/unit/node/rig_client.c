/*
 * rig_client.c - clients of the rig: number operations, remember them until they are answered, send
 * again when told to. The same rules as the session in fs/fuse, without threads and clocks.
 */
#include "tests/unit/node/rig_client.h"

#include <stdlib.h>

#define ALIVE_MS 1000u

static uint64_t lowest_open(const struct rig_client *c)
{
	list_for_each (it, &c->ops) {
		const struct rig_op *op = list_entry(it, struct rig_op, link);

		if (op->seq != 0 && !op->done)
			return op->seq;
	}
	return c->next_seq;
}

int rig_send_raw(struct rig_client *c, const struct fs_msg *m)
{
	struct buf frame = BUF_INIT;
	int ret;

	if (c->id == 0 || !c->node->up)
		return -ENOTCONN;
	fs_msg_encode(m, &frame);
	ret = replica_client_frame(c->node->replica, c->id, frame.data, frame.len);
	replica_flush(c->node->replica);
	buf_release(&frame);
	return ret;
}

static struct fs_msg message(const struct rig_client *c, uint8_t type)
{
	struct fs_msg m = { .type = type, .session_id = c->session_id };

	memcpy(m.uuid, c->uuid, sizeof(m.uuid));
	if (c->holder)
		m.flags |= FS_MSG_HOLDER;
	return m;
}

void rig_send_again(struct rig_client *c, struct rig_op *op, bool retry)
{
	struct fs_msg m = message(c, FS_MSG_REQUEST);

	if (c->session_id == 0) {
		if (c->begin_stamp == 0)
			c->begin_stamp = c->stamp;
		m.flags |= FS_MSG_BEGIN;
		m.stamp = c->begin_stamp;
	}
	m.flags |= retry ? FS_MSG_RETRY : 0;
	m.tag = op->tag;
	m.seq = op->seq;
	m.low = lowest_open(c);
	m.body = op->body.data;
	m.body_len = op->body.len;
	if (rig_send_raw(c, &m) == 0) {
		op->sent++;
		op->retried = op->retried || retry;
	}
}

struct rig_op *rig_send(struct rig_client *c, const struct fs_request *rq)
{
	struct rig_op *op = mem_calloc(1, sizeof(*op));

	op->tag = c->next_tag++;
	op->seq = fs_op_is_read(rq->op) ? 0 : c->next_seq++;
	fs_request_encode(rq, &op->body);
	list_add_tail(&c->ops, &op->link);
	rig_send_again(c, op, false);
	return op;
}

void rig_op_free(struct rig_op *op)
{
	list_del(&op->link);
	buf_release(&op->body);
	buf_release(&op->reply_bytes);
	free(op);
}

void rig_wait(struct rig_op *op, struct rig *rig)
{
	if (!rig->shuffle)
		rig_run(rig);
	for (int tries = 0; tries < 800 && !op->done; tries++)
		rig_pass(rig, RIG_TICK_MS);
	RIG_ASSERT(rig, op->done);
}

struct rig_op *rig_call(struct rig_client *c, const struct fs_request *rq)
{
	struct rig_op *op = rig_send(c, rq);

	rig_wait(op, c->rig);
	return op;
}

static bool holds(const struct rig_client *c, uint64_t ino)
{
	for (size_t k = 0; k < c->held_count; k++)
		if (c->held[k] == ino)
			return true;
	return ino < c->held_below;
}

/* ---- what comes from the node ---------------------------------------------------------------------- */

static void on_reply(struct rig_client *c, const struct fs_msg *m)
{
	list_for_each (it, &c->ops) {
		struct rig_op *op = list_entry(it, struct rig_op, link);

		if (op->tag != m->tag)
			continue;
		assert_int_equal(op->seq, m->seq);
		/* Copies of an operation that was sent again are bound by what the log says alone. */
		if (op->seq != 0 && op->retried && !(m->flags & FS_MSG_FINAL))
			return;
		op->answers++;
		if (op->done)
			return;
		if (m->session_id != 0)
			c->session_id = m->session_id;
		c->stamp = max_u64(c->stamp, m->stamp);
		op->done = true;
		op->expired = m->flags & FS_MSG_EXPIRED;
		c->expired = c->expired || op->expired;
		op->status = m->status;
		op->session_id = m->session_id;
		buf_put(&op->reply_bytes, m->body, m->body_len);
		if (op->status == 0)
			assert_int_equal(fs_reply_decode(&op->reply, op->reply_bytes.data,
							 op->reply_bytes.len),
					 0);
		return;
	}
}

static void send_all_again(struct rig_client *c)
{
	list_for_each (it, &c->ops) {
		struct rig_op *op = list_entry(it, struct rig_op, link);

		if (!op->done)
			rig_send_again(c, op, op->sent > 0 && op->seq != 0);
	}
}

static void resend_if_due(struct rig_client *c)
{
	if (!c->resend_due || c->rig->now_ms < c->resent_ms + RIG_TICK_MS)
		return;
	c->resend_due = false;
	c->resent_ms = c->rig->now_ms;
	send_all_again(c);
}

static void on_query(struct rig_client *c, const struct fs_msg *query)
{
	struct fs_msg m = message(c, FS_MSG_ANSWER);
	struct buf body = BUF_INIT;

	c->queries++;
	c->last_query = query->tag;
	for (size_t i = 0; i < query->body_len / 8; i++)
		if (holds(c, load_le64(query->body + 8 * i)))
			buf_put_le64(&body, load_le64(query->body + 8 * i));
	m.tag = query->tag;
	m.body = body.data;
	m.body_len = body.len;
	if (!c->mute)
		rig_send_raw(c, &m);
	buf_release(&body);
}

void rig_client_read(struct rig_client *c)
{
	struct rig_frame *frame = list_first(&c->inbox, struct rig_frame, link);
	struct fs_msg m;

	list_del(&frame->link);
	assert_int_equal(fs_msg_decode(&m, frame->payload.data, frame->payload.len), 0);
	switch (m.type) {
	case FS_MSG_REPLY:
		on_reply(c, &m);
		break;
	case FS_MSG_RESEND:
		c->resends++;
		c->resend_due = !c->no_resend;
		resend_if_due(c);
		break;
	case FS_MSG_QUERY:
		on_query(c, &m);
		break;
	case FS_MSG_RECALL:
		c->recalls++;
		c->recalled_ino = load_le64(m.body);
		c->recalled_number = load_le64(m.body + 8);
		break;
	case FS_MSG_STATE:
		c->has_leader = m.has_leader;
		c->stamp = max_u64(c->stamp, m.stamp);
		break;
	case FS_MSG_KEPT:
		c->stamp = max_u64(c->stamp, m.stamp);
		if (m.session_id != c->session_id)
			break;
		if (m.flags & FS_MSG_EXPIRED)
			c->expired = true;
		else
			c->kept_tag = max_u64(c->kept_tag, m.tag);
		c->kept++;
		break;
	default:
		fail_msg("a node sent message type %u to a client", m.type);
	}
	buf_release(&frame->payload);
	free(frame);
}

void rig_client_deliver(struct rig *rig, uint64_t client_id, struct buf *payload)
{
	for (size_t i = 0; i < rig->client_count; i++) {
		struct rig_frame *frame;

		if (rig->clients[i].id != client_id)
			continue;
		frame = mem_calloc(1, sizeof(*frame));
		frame->payload = *payload;
		*payload = BUF_INIT;
		list_add_tail(&rig->clients[i].inbox, &frame->link);
		return;
	}
	buf_release(payload);
}

/* ---- connections -------------------------------------------------------------------------------------- */

static void drop_inbox(struct rig_client *c)
{
	list_for_each_safe (it, &c->inbox) {
		struct rig_frame *frame = list_entry(it, struct rig_frame, link);

		list_del(it);
		buf_release(&frame->payload);
		free(frame);
	}
}

void rig_client_move(struct rig_client *c, struct rig_node *node)
{
	if (c->id != 0 && c->node->up)
		replica_client_close(c->node->replica, c->id);
	drop_inbox(c);
	c->id = 0;
	c->node = node;
	if (!node)
		return;
	c->id = ++c->rig->next_client_id;
	replica_client_open(node->replica, c->id);
	/* Its STATE is in the inbox; a client knows a stamp before it sends. */
	c->stamp = max_u64(c->stamp, node->replica->applied_index);
	send_all_again(c);
}

struct rig_op *rig_client_renew(struct rig_client *c, bool replace)
{
	struct fs_request rq = rig_session_begin();
	uint8_t name[FS_SESSION_NAME_SIZE];

	memcpy(name, c->uuid, KV_UUID_SIZE);
	store_le64(name + KV_UUID_SIZE, c->session_id);
	if (replace && c->session_id != 0) {
		rq.data = name;
		rq.data_len = sizeof(name);
	}
	list_for_each (it, &c->ops) {
		struct rig_op *op = list_entry(it, struct rig_op, link);

		if (op->done || op->seq == 0)
			continue;
		op->done = true;
		op->status = -EIO;
		op->tag = 0; /* what comes for it is not for the new session's operations */
	}
	c->uuid[KV_UUID_SIZE - 1] = (uint8_t)(++c->uuids);
	c->session_id = c->begin_stamp = 0;
	c->next_seq = 1;
	c->expired = false;
	return rig_send(c, &rq);
}

struct rig_client *rig_client(struct rig *rig, struct rig_node *node, bool holder)
{
	struct rig_client *c = &rig->clients[rig->client_count++];

	assert(rig->client_count <= RIG_CLIENTS_MAX);
	*c = (struct rig_client){ .rig = rig, .holder = holder, .next_seq = 1, .next_tag = 1 };
	memset(c->uuid, (int)(0xa0 + rig->client_count), sizeof(c->uuid));
	list_init(&c->ops);
	list_init(&c->inbox);
	rig_client_move(c, node);
	return c;
}

void rig_clients_of_dead_node(struct rig *rig, const struct rig_node *node)
{
	for (size_t i = 0; i < rig->client_count; i++)
		if (rig->clients[i].node == node)
			rig_client_move(&rig->clients[i], NULL);
}

void rig_clients_tick(struct rig *rig)
{
	for (size_t i = 0; i < rig->client_count; i++) {
		struct rig_client *c = &rig->clients[i];
		struct fs_msg m = message(c, FS_MSG_ALIVE);

		m.tag = rig->now_ms;
		resend_if_due(c);
		if (c->id == 0 || (!c->holder && c->session_id == 0) || c->mute || rig->now_ms < c->alive_ms + ALIVE_MS)
			continue;
		c->alive_ms = rig->now_ms;
		rig_send_raw(c, &m);
	}
}

void rig_clients_release(struct rig *rig)
{
	for (size_t i = 0; i < rig->client_count; i++) {
		struct rig_client *c = &rig->clients[i];

		drop_inbox(c);
		list_for_each_safe (it, &c->ops)
			rig_op_free(list_entry(it, struct rig_op, link));
	}
}

/* ---- requests ------------------------------------------------------------------------------------------- */

static struct fs_request kv_request(uint8_t op, const char *key, const char *value)
{
	return (struct fs_request){
		.op = op,
		.name = key,
		.name_len = strlen(key),
		.data = value,
		.data_len = value ? strlen(value) : 0,
	};
}

struct fs_request rig_kv_put(const char *key, const char *value)
{
	return kv_request(FS_KV_PUT, key, value);
}

struct fs_request rig_kv_append(const char *key, const char *value)
{
	return kv_request(FS_KV_APPEND, key, value);
}

struct fs_request rig_kv_get(const char *key)
{
	return kv_request(FS_KV_GET, key, NULL);
}

struct fs_request rig_kv_delete(const char *key)
{
	return kv_request(FS_KV_DELETE, key, NULL);
}

static struct fs_request named(uint8_t op, uint64_t parent, const char *name, uint32_t mode)
{
	return (struct fs_request){
		.op = op,
		.ino = parent,
		.name = name,
		.name_len = strlen(name),
		.mode = mode,
	};
}

struct fs_request rig_mkdir(uint64_t parent, const char *name)
{
	return named(FS_MKDIR, parent, name, 0755);
}

struct fs_request rig_create(uint64_t parent, const char *name)
{
	return named(FS_CREATE, parent, name, 0644);
}

struct fs_request rig_unlink(uint64_t parent, const char *name)
{
	return named(FS_UNLINK, parent, name, 0);
}

struct fs_request rig_session_begin(void)
{
	return (struct fs_request){ .op = FS_SESSION_BEGIN };
}

struct fs_request rig_write(uint64_t ino, uint64_t off, const void *data, size_t len)
{
	return (struct fs_request){
		.op = FS_WRITE,
		.ino = ino,
		.offset = off,
		.data = data,
		.data_len = len,
	};
}
