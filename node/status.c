/*
 * status.c - what nodes tell each other about once a second; never an entry, nothing is stored.
 *
 * NODE_STATUS                 off size
 *   version, now 1              0   1
 *   space is low                1   1
 *   applied index               2   8
 *   free bytes, total bytes    10  16
 *   count of mounts            26   2
 *   per mount: uuid, age in ms  -  16 + 8
 */
#include "base/cursor.h"
#include "node/replica_internal.h"

#define STATUS_VERSION 1

struct mounts_ctx {
	struct replica *r;
	struct buf *out;
	uint16_t count;
};

static void put_mount(struct hnode *node, void *ctx)
{
	const struct client *c = CONTAINER_OF(node, struct client, node);
	struct mounts_ctx *m = ctx;

	if (!c->holder || m->count == UINT16_MAX)
		return;
	buf_put(m->out, c->uuid, KV_UUID_SIZE);
	buf_put_le64(m->out, replica_now(m->r) - c->heard_ms);
	m->count++;
}

void status_send(struct replica *r)
{
	struct buf frame = BUF_INIT;
	struct mounts_ctx mounts = { .r = r, .out = &frame };
	const struct store_space *space = &r->space.space;

	buf_put_u8(&frame, STATUS_VERSION);
	buf_put_u8(&frame, upkeep_space_is_low(r));
	buf_put_le64(&frame, r->applied_index);
	buf_put_le64(&frame, space->free_bytes);
	buf_put_le64(&frame, space->total_bytes);
	buf_put_le16(&frame, 0);
	htable_each(&r->clients, put_mount, &mounts);
	store_le16(frame.data + 26, mounts.count);
	for (size_t i = 0; i < r->peer_count; i++) {
		struct buf copy = BUF_INIT;

		buf_put(&copy, frame.data, frame.len);
		r->ops->send_peer(r->ctx, r->peers[i].id, NET_NODE_STATUS, &copy);
		buf_release(&copy);
	}
	buf_release(&frame);
}

void status_receive(struct replica *r, uint64_t from, const uint8_t *payload, size_t len)
{
	struct cursor c = cursor_init(payload, len);
	struct peer *p = replica_peer(r, from);
	uint8_t version = cursor_u8(&c);
	bool low = cursor_u8(&c) != 0;
	uint64_t applied = cursor_le64(&c);
	uint64_t free_bytes = cursor_le64(&c);
	uint64_t total_bytes = cursor_le64(&c);
	uint16_t mounts = cursor_le16(&c);

	if (!p || version != STATUS_VERSION || !cursor_ok(&c) ||
	    cursor_left(&c) != (size_t)mounts * (KV_UUID_SIZE + 8))
		return;
	p->space_low = low;
	p->applied_index = applied;
	p->space.free_bytes = free_bytes;
	p->space.total_bytes = total_bytes;
	for (uint16_t i = 0; i < mounts; i++) {
		const uint8_t *uuid = cursor_bytes(&c, KV_UUID_SIZE);
		uint64_t age_ms = cursor_le64(&c);

		if (age_ms < SESSION_TTL_MS)
			orphans_heard(r, uuid, age_ms);
	}
}
