/* collect.c - what the replica must know of entries that are committed. */
#include "fs/fs.h"
#include "node/job.h"

static void collect_session(struct job_apply *apply, size_t *cap, struct apply_session change)
{
	if (apply->session_change_count == *cap) {
		*cap = *cap ? 2 * *cap : 8;
		apply->session_changes =
			mem_realloc(apply->session_changes, *cap * sizeof(*apply->session_changes));
	}
	apply->session_changes[apply->session_change_count++] = change;
}

static void collect_sessions(struct job_apply *apply, size_t *cap, const struct kv_batch_head *head)
{
	struct apply_session begins = { .id = head->session_id };

	for (uint32_t i = 0; i < head->end_count; i++) {
		struct kv_session_end end = kv_session_end_at(head, i);
		struct apply_session ends = { .id = end.session_id, .ends = true };

		memcpy(ends.uuid, end.uuid, KV_UUID_SIZE);
		collect_session(apply, cap, ends);
	}
	memcpy(begins.uuid, head->uuid, KV_UUID_SIZE);
	if (head->begins)
		collect_session(apply, cap, begins);
}

static void collect_answer(struct job_apply *apply, size_t *cap, const struct raft_entry *e,
			   const struct kv_batch_head *head)
{
	if (apply->answer_count == *cap) {
		*cap = *cap ? 2 * *cap : 8;
		apply->answers = mem_realloc(apply->answers, *cap * sizeof(*apply->answers));
	}
	apply->answers[apply->answer_count++] = (struct apply_answer){
		.seq = head->seq,
		.index = e->index,
		.session_id = head->session_id,
		.status = head->status,
		.reply = head->reply,
		.reply_len = head->reply_len,
	};
	memcpy(apply->answers[apply->answer_count - 1].uuid, head->uuid, KV_UUID_SIZE);
}

static void collect_unlocked(struct job_apply *apply, size_t *cap, uint64_t ino)
{
	if (ino == 0 || (apply->unlocked_count > 0 && apply->unlocked[apply->unlocked_count - 1] == ino))
		return;
	if (apply->unlocked_count == *cap) {
		*cap = *cap ? 2 * *cap : 8;
		apply->unlocked = mem_realloc(apply->unlocked, *cap * sizeof(*apply->unlocked));
	}
	apply->unlocked[apply->unlocked_count++] = ino;
}

void job_apply_collect(struct job_apply *apply, size_t from)
{
	size_t answers_cap = apply->answer_count, sessions_cap = apply->session_change_count;
	size_t unlocked_cap = apply->unlocked_count;
	struct kv_batch_head head;
	struct kv_batch_iter it;
	struct kv_mutation m;

	for (size_t i = from; i < apply->entry_count; i++) {
		const struct raft_entry *e = &apply->entries[i];

		if (e->type != RAFT_ENTRY_NORMAL || !e->data ||
		    kv_batch_decode(&head, &it, e->data->data, e->data->len) < 0)
			continue;
		while (kv_batch_next(&it, &m)) {
			apply->orphans = apply->orphans || fs_mutation_is_orphan(&m);
			collect_unlocked(apply, &unlocked_cap, fs_mutation_unlocks(&m));
		}
		collect_sessions(apply, &sessions_cap, &head);
		if (head.has_session)
			collect_answer(apply, &answers_cap, e, &head);
	}
}
