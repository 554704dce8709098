/* progress.c - see progress.h. */
#include "raft/progress.h"

void inflights_add(struct inflights *f, uint64_t index, uint64_t bytes)
{
	assert(!inflights_full(f));
	if (f->ring == NULL)
		f->ring = mem_alloc(f->max_messages * sizeof(f->ring[0]));
	f->ring[(f->start + f->count) % f->max_messages] =
		(struct inflight){ .index = index, .bytes = bytes };
	f->count++;
	f->bytes += bytes;
}

void inflights_free_le(struct inflights *f, uint64_t index)
{
	while (f->count > 0 && f->ring[f->start].index <= index) {
		f->bytes -= f->ring[f->start].bytes;
		f->start = (f->start + 1) % f->max_messages;
		f->count--;
	}
}

bool inflights_full(const struct inflights *f)
{
	return f->count == f->max_messages || (f->max_bytes != 0 && f->bytes >= f->max_bytes);
}

void inflights_reset(struct inflights *f)
{
	f->start = 0;
	f->count = 0;
	f->bytes = 0;
}

void progress_init(struct progress *p, uint64_t id, uint64_t next, uint32_t max_messages,
		   uint64_t max_bytes)
{
	*p = (struct progress){ .id = id, .state = RAFT_PROBE, .next = next };
	p->inflights.max_messages = max_messages;
	p->inflights.max_bytes = max_bytes;
}

void progress_release(struct progress *p)
{
	free(p->inflights.ring);
	p->inflights.ring = NULL;
}

static void enter_state(struct progress *p, enum raft_peer_state state)
{
	p->state = state;
	p->paused = false;
	p->pending_snapshot = 0;
	inflights_reset(&p->inflights);
}

void progress_become_probe(struct progress *p)
{
	/* After an image was sent, expect the peer to have it: probing above it costs one answer at most. */
	uint64_t next =
		p->state == RAFT_SNAPSHOT ? max_u64(p->match, p->pending_snapshot) : p->match;

	enter_state(p, RAFT_PROBE);
	p->next = next + 1;
	p->sent_commit = min_u64(p->sent_commit, next);
}

void progress_become_replicate(struct progress *p)
{
	enter_state(p, RAFT_REPLICATE);
	p->next = p->match + 1;
}

void progress_become_snapshot(struct progress *p, uint64_t index)
{
	enter_state(p, RAFT_SNAPSHOT);
	p->pending_snapshot = index;
	p->next = max_u64(index, p->match) + 1;
	p->sent_commit = index;
}

bool progress_heard_within(const struct progress *p, uint64_t now_ticks, uint32_t ticks)
{
	return p->heard && now_ticks - p->heard_tick <= ticks;
}

bool progress_paused(const struct progress *p)
{
	return p->state == RAFT_SNAPSHOT || p->paused;
}

void progress_sent_entries(struct progress *p, size_t count, uint64_t bytes)
{
	if (p->state == RAFT_PROBE) {
		p->paused = p->paused || count > 0;
		return;
	}
	assert(p->state == RAFT_REPLICATE);
	if (count > 0) {
		p->next += count;
		inflights_add(&p->inflights, p->next - 1, bytes);
	}
	p->paused = inflights_full(&p->inflights);
}

bool progress_update(struct progress *p, uint64_t index)
{
	if (index <= p->match)
		return false;
	p->match = index;
	p->next = max_u64(p->next, index + 1);
	p->paused = false;
	return true;
}

bool progress_decrease(struct progress *p, uint64_t rejected, uint64_t hint)
{
	if (p->state == RAFT_REPLICATE) {
		if (rejected <= p->match)
			return false;
		p->next = p->match + 1;
	} else {
		/* A probe has one prev at a time; any other one is an old answer. */
		if (p->next - 1 != rejected)
			return false;
		p->next = max_u64(min_u64(rejected, hint + 1), p->match + 1);
		p->paused = false;
	}
	p->sent_commit = min_u64(p->sent_commit, p->next - 1);
	return true;
}

bool progress_can_bump_commit(const struct progress *p, uint64_t commit)
{
	return commit > p->sent_commit && p->sent_commit < p->next - 1;
}
