/*
 * waits.c - reads that wait: FS_LOCK_WAIT stays here until an entry that is applied here takes a lock away
 * from its inode, and is then evaluated again. After WAIT_MS it is answered -EAGAIN whatever happened, so that
 * nothing depends on a client that went away, a wake-up that a snapshot swallowed, or a leader.
 *
 * Being woken grants nothing; the client tries again, in a change of its own.
 *
 * Any other read that is blocked waits for a delegation to end, for as long as that takes; its client knows when it
 * has had enough. It is evaluated again every now and then, and each time the leader is told what is in its way.
 */
#include "base/mark.h"
#include "node/replica_internal.h"

#define WAIT_MS 1000u
#define WAITS_MAX 16384u
#define LOOK_AGAIN_MS 200u

static struct job_read *read_of(struct list *link)
{
	return CONTAINER_OF(list_entry(link, struct job, link), struct job_read, job);
}

static void wake(struct replica *r, struct job_read *read)
{
	list_del(&read->job.link);
	r->wait_count--;
	read->min_index = r->applied_index;
	replica_submit(r, WORKER_READ, &read->job);
}

void waits_init(struct replica *r)
{
	list_init(&r->waits);
}

void waits_release(struct replica *r)
{
	list_for_each_safe (it, &r->waits) {
		list_del(it);
		job_free(list_entry(it, struct job, link));
	}
	r->wait_count = 0;
}

static bool is_for_delegation(const struct job_read *read)
{
	return read->blocked_by.number != 0;
}

static void forget(struct replica *r, struct job_read *read)
{
	r->reads_open--;
	job_free(&read->job);
}

/* It has waited long enough for a lock, or too many do. */
static bool is_answered_again(const struct replica *r, const struct job_read *read, uint64_t now)
{
	return !is_for_delegation(read) && (now - read->parked_ms >= WAIT_MS || r->wait_count >= WAITS_MAX);
}

bool waits_park(struct replica *r, struct job_read *read)
{
	uint64_t now = replica_now(r);

	if (read->blocked_ino == 0)
		return false;
	if (read->parked_ms == 0)
		read->parked_ms = now;
	if (is_answered_again(r, read, now)) {
		read->job.status = -EAGAIN;
		return false;
	}
	if (r->wait_count >= WAITS_MAX) {
		MARK("node.waits.too-many");
		forget(r, read); /* its session asks again */
		return true;
	}
	read->looked_ms = now;
	if (is_for_delegation(read))
		recalls_want(r, read->blocked_ino, &read->blocked_by);
	list_add_tail(&r->waits, &read->job.link);
	r->wait_count++;
	/* What it saw may be older than a lock that has gone meanwhile. */
	MARK_IF(read->seen_index < r->unlocked_index, "node.waits.overtaken");
	if (read->seen_index < r->unlocked_index)
		wake(r, read);
	return true;
}

void waits_applied(struct replica *r, const struct job_apply *apply)
{
	if (apply->unlocked_count == 0)
		return;
	r->unlocked_index = r->applied_index;
	list_for_each_safe (it, &r->waits) {
		struct job_read *read = read_of(it);

		for (size_t i = 0; i < apply->unlocked_count; i++) {
			if (apply->unlocked[i] != read->blocked_ino)
				continue;
			MARK("node.waits.woken");
			wake(r, read);
			break;
		}
	}
}

void waits_installed(struct replica *r)
{
	r->unlocked_index = r->applied_index;
	list_for_each_safe (it, &r->waits)
		wake(r, read_of(it));
}

void waits_tick(struct replica *r)
{
	uint64_t now = replica_now(r);

	list_for_each_safe (it, &r->waits) {
		struct job_read *read = read_of(it);

		if (is_for_delegation(read)) {
			if (now - read->looked_ms >= LOOK_AGAIN_MS)
				wake(r, read);
			continue;
		}
		if (now - read->parked_ms < WAIT_MS)
			continue; /* one that was woken in vain stands behind younger ones */
		list_del(it);
		r->wait_count--;
		client_on_read_done(r, read);
	}
}

void waits_client_gone(struct replica *r, uint64_t client_id)
{
	list_for_each_safe (it, &r->waits) {
		struct job_read *read = read_of(it);

		if (read->client_id != client_id)
			continue;
		list_del(it);
		r->wait_count--;
		forget(r, read);
	}
}
