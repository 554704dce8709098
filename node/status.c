/*
 * status.c - what nodes tell each other about once a second; never an entry, nothing is stored.
 *
 * NODE_STATUS                 off size
 *   version, now 3              0   1
 *   space is low                1   1
 *   applied index               2   8
 *   free bytes, total bytes    10  16
 *   bytes to grow into         26   8   before growth is refused there
 *   number of the beat, or 0   34   8
 *   clients, to the end:       42   - each
 *     uuid, session id             16, 8   id 0: none yet
 *     age in ms                         8
 *     1: can hold files open            1
 */
#include "base/cursor.h"
#include "base/mark.h"
#include "node/replica_internal.h"

#define STATUS_VERSION 3
#define HEAD_SIZE 42u
#define SOON_MS 200u /* and no sooner after the last one */
#define CLIENT_SIZE (KV_UUID_SIZE + 17u)

struct clients_ctx {
	struct replica *r;
	struct buf *out;
};

static void put_client(struct hnode *node, void *ctx)
{
	const struct client *c = CONTAINER_OF(node, struct client, node);
	struct clients_ctx *cx = ctx;

	/* A tool that has begun nothing has nothing to keep. */
	if (!c->known || (!c->holder && c->session_id == 0))
		return;
	buf_put(cx->out, c->uuid, KV_UUID_SIZE);
	buf_put_le64(cx->out, c->session_id);
	buf_put_le64(cx->out, replica_now(cx->r) - c->heard_ms);
	buf_put_u8(cx->out, c->holder);
}

/*
 * Clients as in a frame; what the leader does not know any more becomes part of the beat. While it is open
 * whether the proposed end of one of them comes, nobody can be told that he is kept or not: the node will
 * say all of it again, under the same number.
 */
static void hear(struct replica *r, uint64_t node, uint64_t beat, const uint8_t *clients, size_t len)
{
	struct cursor c = cursor_init(clients, len);
	struct buf ended = BUF_INIT;
	bool open = false;

	while (cursor_left(&c) > 0) {
		const uint8_t *name = cursor_bytes(&c, FS_SESSION_NAME_SIZE);
		uint64_t age_ms = cursor_le64(&c);
		bool holder = cursor_u8(&c) != 0;

		if (!sessions_heard(r, name, load_le64(name + KV_UUID_SIZE), holder, age_ms, node))
			buf_put(&ended, name, FS_SESSION_NAME_SIZE);
		open = open || sessions_is_ending(r, name);
	}
	MARK_IF(open, "node.sessions.heard-while-it-ends");
	sessions_on_beat(r, node, open ? 0 : beat, &ended);
}

void status_send(struct replica *r)
{
	struct buf frame = BUF_INIT;
	struct clients_ctx clients = { .r = r, .out = &frame };
	const struct store_space *space = &r->space.space;
	uint64_t beat = client_beat(r);

	r->status_sent_ms = replica_now(r);
	buf_put_u8(&frame, STATUS_VERSION);
	buf_put_u8(&frame, upkeep_space_is_low(r));
	buf_put_le64(&frame, r->applied_index);
	buf_put_le64(&frame, space->free_bytes);
	buf_put_le64(&frame, space->total_bytes);
	buf_put_le64(&frame, upkeep_room_bytes(r));
	buf_put_le64(&frame, beat);
	htable_each(&r->clients, put_client, &clients);
	for (size_t i = 0; i < r->peer_count; i++) {
		struct buf copy = BUF_INIT;

		buf_put(&copy, frame.data, frame.len);
		r->ops->send_peer(r->ctx, r->peers[i].id, NET_NODE_STATUS, &copy);
		buf_release(&copy);
	}
	if (r->evaluating)
		hear(r, r->options.self, beat, frame.data + HEAD_SIZE, frame.len - HEAD_SIZE);
	buf_release(&frame);
}

void status_soon(struct replica *r)
{
	r->status_ms = min_u64(r->status_ms, r->status_sent_ms + SOON_MS);
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
	uint64_t room_bytes = cursor_le64(&c);
	uint64_t beat = cursor_le64(&c);

	if (!p || version != STATUS_VERSION || !cursor_ok(&c) || cursor_left(&c) % CLIENT_SIZE != 0)
		return;
	p->space_low = low;
	p->applied_index = applied;
	p->space.free_bytes = free_bytes;
	p->space.total_bytes = total_bytes;
	p->room_bytes = room_bytes;
	if (r->evaluating)
		hear(r, from, beat, c.pos, cursor_left(&c));
}
