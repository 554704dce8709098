/*
 * orphans.c - the leader finds unlinked files that nobody holds open and has them reclaimed.
 *
 * Round: list the orphans (from the local state) -> ask every mount in the cluster which of them it
 * holds -> when all have answered whose sessions have not ended, log the holders of those that are held
 * (once) and reclaim the others in bounded entries. A new leader grants every mount the time to live to
 * show up, as it cannot know who there is (sessions.c).
 *
 * Large truncates of living files are in the same list and need nobody's consent: they go on while a
 * question is out, because writers wait for them.
 */
#include "base/mark.h"
#include "node/replica_internal.h"

#define LIST_BYTES 16384u
#define LOOK_EVERY_MS 1000u
#define QUERY_TIMEOUT_MS 5000u /* then ask again, under a new number */
#define RECLAIM_AT_ONCE 64u    /* entries proposed in one round */
#define TRUNCATE_STEPS 4u      /* of them for one inode */
#define SOON_MS 20u

static void drop_query(struct orphans *o)
{
	for (size_t i = 0; i < o->ino_count; i++)
		buf_release(&o->held[i]);
	free(o->held);
	free(o->logged);
	free(o->inos);
	o->held = NULL;
	o->logged = NULL;
	o->inos = NULL;
	o->ino_count = 0;
	o->query = 0;
}

void orphans_release(struct replica *r)
{
	drop_query(&r->orphans);
}

void orphans_reset(struct replica *r)
{
	drop_query(&r->orphans);
	r->orphans.pending = true;
	r->orphans.after = 0;
	r->orphans.next_ms = 0;
	r->orphan_count = 0;
}

static void list_orphans(struct replica *r)
{
	struct orphans *o = &r->orphans;
	struct fs_request rq = { .op = FS_ORPHANS, .size = LIST_BYTES };
	struct job_read *read = job_new(JOB_READ, sizeof(*read));

	o->list_asks = o->query == 0;
	o->list_from = o->list_asks ? o->after : 0;
	rq.offset = o->list_from;
	fs_request_encode(&rq, &read->data);
	o->listing = true;
	o->pending = false; /* what appears from now on may be missing in the list */
	replica_submit(r, WORKER_READ, &read->job);
}

static void reclaim(struct replica *r, uint64_t ino, bool truncate)
{
	struct fs_request rq = {
		.op = FS_RECLAIM, .ino = ino, .flags = truncate ? FS_RECLAIM_TRUNCATE : 0,
	};

	replica_evaluate_internal(r, &rq);
}

static void ask(struct replica *r)
{
	struct orphans *o = &r->orphans;
	struct fs_msg query = { .type = FS_MSG_QUERY };
	struct buf body = BUF_INIT;
	struct buf frame = BUF_INIT;

	o->query = ++r->read_ids;
	o->query_ms = replica_now(r);
	for (size_t i = 0; i < o->ino_count; i++)
		buf_put_le64(&body, o->inos[i]);
	query.tag = o->query;
	query.body = body.data;
	query.body_len = body.len;
	client_query_holders(r, &query);
	for (size_t i = 0; i < r->peer_count; i++) {
		fs_msg_encode(&query, &frame);
		r->ops->send_peer(r->ctx, r->peers[i].id, NET_FORWARD, &frame);
		buf_release(&frame);
	}
	buf_release(&body);
}

static void add_orphan(struct orphans *o, const struct fs_orphan *orphan)
{
	o->inos = mem_realloc(o->inos, (o->ino_count + 1) * sizeof(*o->inos));
	o->logged = mem_realloc(o->logged, o->ino_count + 1);
	o->held = mem_realloc(o->held, (o->ino_count + 1) * sizeof(*o->held));
	o->inos[o->ino_count] = orphan->ino;
	o->logged[o->ino_count] = orphan->holder_count > 0;
	o->held[o->ino_count++] = BUF_INIT;
}

/* One page: truncates get on, the orphans on it are asked about. Returns how many of both there are. */
static size_t take_page(struct replica *r, const uint8_t *data, size_t len)
{
	struct orphans *o = &r->orphans;
	struct fs_orphan orphan;
	size_t count = 0, steps = 0;

	while (fs_orphan_next(&data, &len, &orphan)) {
		count++;
		if (o->list_asks)
			o->after = orphan.ino;
		if (!orphan.linked && o->list_asks)
			add_orphan(o, &orphan);
		for (size_t i = 0; orphan.linked && i < TRUNCATE_STEPS && steps < RECLAIM_AT_ONCE; i++, steps++)
			reclaim(r, orphan.ino, true);
	}
	if (steps > 0)
		o->next_ms = replica_now(r) + SOON_MS;
	return count;
}

void orphans_listed(struct replica *r, struct job_read *read)
{
	struct orphans *o = &r->orphans;
	struct fs_reply reply;
	size_t count;

	o->listing = false;
	if (!r->evaluating || read->job.status < 0 ||
	    fs_reply_decode(&reply, read->reply.data, read->reply.len) < 0) {
		o->pending = true;
		return;
	}
	if (o->list_asks)
		drop_query(o);
	count = take_page(r, reply.data, reply.data_len);
	if (o->list_asks && count == 0 && o->list_from > 0) {
		o->after = 0; /* behind the last page comes the first */
		list_orphans(r);
		return;
	}
	o->counted = o->list_from > 0 ? o->counted + count : count;
	r->orphan_count = o->counted;
	o->pending = o->pending || count > 0;
	if (o->ino_count > 0 && o->list_asks)
		ask(r);
}

static void note_held(struct orphans *o, uint64_t ino, uint64_t session_id)
{
	for (size_t i = 0; i < o->ino_count; i++)
		if (o->inos[i] == ino)
			buf_put_le64(&o->held[i], session_id);
}

void orphans_answer(struct replica *r, const struct fs_msg *answer, uint64_t from)
{
	struct orphans *o = &r->orphans;
	struct session *s;

	if (!r->evaluating || o->query == 0 || answer->tag != o->query || answer->body_len % 8 != 0)
		return;
	/* What names a session that ended holds nothing by it; its next session will be asked anew. */
	if (!sessions_heard(r, answer->uuid, answer->session_id, true, 0, from))
		return;
	s = sessions_find(r, answer->uuid);
	MARK_IF(s && s->answered == o->query, "node.orphans.answered-twice");
	if (!s || s->answered == o->query)
		return;
	s->answered = o->query;
	for (size_t off = 0; off < answer->body_len; off += 8)
		note_held(o, load_le64(answer->body + off), answer->session_id);
}

/* One that this leader has not heard of yet may be a mount that holds what it likes. */
static bool all_answered(const struct replica *r)
{
	list_for_each(it, &r->sessions.all) {
		const struct session *s = list_entry(it, struct session, link);

		if ((s->holder || !s->heard) && s->answered != r->orphans.query)
			return false;
	}
	return sessions_all_known(r);
}

/* Everyone alive has answered: held ones get their holders logged, the others are reclaimed. */
static void act(struct replica *r)
{
	struct orphans *o = &r->orphans;
	size_t steps = 0;

	for (size_t i = 0; i < o->ino_count; i++) {
		struct fs_request hold = { .op = FS_ORPHAN_HOLD, .ino = o->inos[i] };

		if (o->held[i].len == 0) {
			if (steps++ < RECLAIM_AT_ONCE)
				reclaim(r, o->inos[i], false);
		} else if (!o->logged[i]) {
			MARK("node.orphans.holders-logged");
			hold.data = o->held[i].data;
			hold.data_len = o->held[i].len;
			replica_evaluate_internal(r, &hold);
		}
	}
	/* While there is something to reclaim the next look follows closely. */
	if (steps > 0)
		o->next_ms = replica_now(r) + SOON_MS;
	drop_query(o);
}

void orphans_tick(struct replica *r)
{
	struct orphans *o = &r->orphans;
	uint64_t now = replica_now(r);

	if (!r->evaluating)
		return;
	if (o->query != 0) {
		if (all_answered(r))
			act(r);
		else if (now - o->query_ms > QUERY_TIMEOUT_MS) {
			MARK("node.orphans.query-timed-out");
			drop_query(o);
		}
	}
	if (!o->pending || o->listing || now < o->next_ms)
		return;
	o->next_ms = now + LOOK_EVERY_MS;
	list_orphans(r);
}
