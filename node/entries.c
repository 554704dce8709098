/*
 * entries.c - committed entries on their way into the state, and the answers that they carry.
 *
 * An answer leaves as soon as its entry is handed out: committed, and in our log. Whoever reads here later waits
 * until the entry is applied, as the index of a read round is at least our commit index.
 *
 * Entries that nobody waits for are gathered, until the next tick at most: one transaction for many costs a
 * fraction, and the cores of a small machine have better to do while its clients write.
 */
#include "base/mark.h"
#include "node/replica_internal.h"

#define HELD_ENTRIES_MAX 64u
#define HELD_BYTES_MAX (256u * 1024)
#define READ_LATELY_MS 100u

/* Somebody reads here, or something goes on only when the state has come further. */
static bool is_wanted(const struct replica *r, uint64_t now)
{
	const struct raft_entry *e = r->held->entries;

	if (r->wait_count > 0 || now < r->read_ms + READ_LATELY_MS || r->held_bytes > HELD_BYTES_MAX ||
	    r->held->entry_count >= HELD_ENTRIES_MAX)
		return true;
	/* The evaluator has not begun; a change of members is in force once it is applied. */
	if (r->evaluating && r->applied_index < r->evaluates_above)
		return true;
	for (size_t i = 0; i < r->held->entry_count; i++)
		if (e[i].type != RAFT_ENTRY_NORMAL)
			return true;
	return false;
}

static void hold(struct replica *r, const struct raft_entries *more)
{
	struct job_apply *held = r->held;
	size_t count = held->entry_count;

	held->entries = mem_realloc(held->entries, (count + more->count) * sizeof(*held->entries));
	for (size_t i = 0; i < more->count; i++) {
		held->entries[count + i] = more->v[i];
		blob_ref(more->v[i].data);
		r->held_bytes += more->v[i].data ? more->v[i].data->len : 0;
	}
	held->entry_count = count + more->count;
	job_apply_collect(held, count);
}

void entries_carry_out(struct replica *r, const struct raft_output *out)
{
	size_t answered;

	if (out->apply.count == 0)
		return;
	if (!r->held)
		r->held = job_new(JOB_APPLY, sizeof(*r->held));
	answered = r->held->answer_count;
	hold(r, &out->apply);
	if (r->held->answer_count > answered)
		client_answers(r, r->held->answers + answered, r->held->answer_count - answered);
	if (is_wanted(r, replica_now(r)))
		entries_flush(r);
	else
		MARK("node.apply.held");
}

void entries_flush(struct replica *r)
{
	struct job_apply *held = r->held;

	if (!held)
		return;
	r->held = NULL;
	r->held_bytes = 0;
	replica_submit(r, WORKER_APPLY, &held->job);
}

void entries_release(struct replica *r)
{
	if (r->held)
		job_free(&r->held->job);
	r->held = NULL;
}

void entries_applied(struct replica *r, struct job_apply *apply)
{
	const struct raft_entry *last = &apply->entries[apply->entry_count - 1];
	struct raft_input in = { .type = RAFT_IN_APPLIED };

	r->applied_index = last->index;
	r->applied_term = last->term;
	r->apply_ms = replica_now(r);
	r->dirty = true;
	upkeep_count_applied(r, apply);
	sessions_applied(r, apply);
	recalls_applied(r, apply);
	waits_applied(r, apply);
	if (apply->orphans)
		r->orphans.pending = true;
	in.applied.index = last->index;
	job_free(&apply->job);
	replica_step(r, &in);
	replica_tell_evaluator(r);
}
