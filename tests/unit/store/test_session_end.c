/*
 * test_session_end.c - a session ends by an entry, for good: no copy of anything it sent ever executes
 * afterwards, in the table as in the overlay.
 */
#include "kv_rig.h"

#include "store/session.h"

static const uint8_t client[KV_UUID_SIZE] = { 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5 };

static struct kv_session_end end_of(uint8_t who, uint64_t id, uint64_t stamp)
{
	struct kv_session_end end = { .session_id = id, .stamp = stamp };

	memset(end.uuid, who, sizeof(end.uuid));
	return end;
}

static struct blob *batch_of(struct kv_rig *rig, const struct kv_batch_head *head)
{
	struct kv_txn *t = kv_txn_new(rig->view, NULL);
	struct blob *b = kv_txn_batch(t, head);

	kv_txn_free(t);
	return b;
}

/* Client 5 begins with that stamp as entry prev + 1. */
static struct blob *begin_batch(struct kv_rig *rig, uint64_t prev, uint64_t stamp, uint64_t seq)
{
	struct kv_batch_head head = rig_session_head(rig, 5, seq, 1, "reply");

	head.prev_index = prev;
	head.begins = true;
	head.session_id = prev + 1;
	head.stamp = stamp;
	head.log_ms = 100 * prev;
	return batch_of(rig, &head);
}

static struct blob *op_batch(struct kv_rig *rig, uint64_t prev, uint64_t id, uint64_t seq)
{
	struct kv_batch_head head = rig_session_head(rig, 5, seq, 1, "reply");

	head.prev_index = prev;
	head.begins = false;
	head.session_id = id;
	head.stamp = 0;
	return batch_of(rig, &head);
}

static struct blob *end_batch(struct kv_rig *rig, uint64_t prev, uint64_t id, uint64_t stamp)
{
	struct kv_session_end end = end_of(5, id, stamp);
	struct kv_batch_head head = rig_head(rig);
	struct buf ends = BUF_INIT;
	struct blob *b;

	kv_session_end_encode(&end, &ends);
	head.prev_index = prev;
	head.ends = ends.data;
	head.end_count = 1;
	b = batch_of(rig, &head);
	buf_release(&ends);
	return b;
}

static struct kv_session_lookup ask(struct kv_rig *rig, struct overlay *o, uint64_t id, uint64_t stamp,
				    uint64_t seq)
{
	struct kv_session_ask a = { .seq = seq, .low = 1, .session_id = id, .stamp = stamp };
	struct kv_txn *t = kv_txn_new(rig->view, o);
	struct kv_session_lookup found;

	memcpy(a.uuid, client, sizeof(a.uuid));
	assert_int_equal(kv_txn_session(t, &a, &found), 0);
	kv_txn_free(t);
	buf_release(&found.reply);
	return found;
}

static enum kv_session_state state_of(struct kv_rig *rig, struct overlay *o, uint64_t id, uint64_t stamp,
				      uint64_t seq)
{
	return ask(rig, o, id, stamp, seq).state;
}

static uint64_t count_in(struct kv_rig *rig, struct overlay *o)
{
	struct kv_txn *t = kv_txn_new(rig->view, o);
	uint64_t count = kv_txn_session_count(t);

	kv_txn_free(t);
	return count;
}

static int can_end(struct kv_rig *rig, struct overlay *o, uint64_t id, uint64_t *stamp)
{
	struct kv_txn *t = kv_txn_new(rig->view, o);
	struct kv_session_end end = end_of(5, id, 0);
	int ret = kv_txn_session_end(t, &end);

	*stamp = end.stamp;
	kv_txn_free(t);
	return ret;
}

static void what_ended_never_executes_again(void **state)
{
	struct kv_rig *rig = *state;

	for (int i = 0; i < 8; i++)
		rig_put(rig, "x", "y"); /* so that there are indexes to have seen */
	assert_int_equal(rig_apply_batch(rig, begin_batch(rig, rig->index, 5, 1)), 0);
	assert_int_equal(rig->index, 10);
	assert_int_equal(kv_view_meta(rig->view)->session_count, 1);
	assert_int_equal(state_of(rig, NULL, 10, 0, 2), KV_SESSION_EXECUTE);
	assert_int_equal(state_of(rig, NULL, 0, 5, 1), KV_SESSION_DONE);
	/* Another one of the same name: it is not this client's session. */
	assert_int_equal(state_of(rig, NULL, 9, 0, 2), KV_SESSION_EXPIRED);
	assert_int_equal(state_of(rig, NULL, 0, 6, 1), KV_SESSION_EXPIRED);

	assert_int_equal(rig_apply_batch(rig, end_batch(rig, rig->index, 10, 5)), 0);
	assert_int_equal(kv_view_meta(rig->view)->session_count, 0);
	assert_int_equal(kv_view_meta(rig->view)->begin_floor, 5);
	assert_int_equal(state_of(rig, NULL, 10, 0, 2), KV_SESSION_EXPIRED);
	assert_int_equal(state_of(rig, NULL, 0, 5, 1), KV_SESSION_EXPIRED); /* a late first operation */
	assert_int_equal(state_of(rig, NULL, 0, 4, 1), KV_SESSION_EXPIRED); /* one that came too late */
	assert_int_equal(state_of(rig, NULL, 0, 6, 1), KV_SESSION_BEGIN);
	rig_check_digest(rig->view, NULL);
}

/* The leader checked all that; if it had not, nobody would apply it. */
static void an_entry_for_a_session_that_ended_is_not_applied(void **state)
{
	struct kv_rig *rig = *state;
	struct kv_batch_head head;

	assert_int_equal(rig_apply_batch(rig, begin_batch(rig, 1, 1, 1)), 0);
	assert_int_equal(rig_apply_batch(rig, end_batch(rig, 2, 2, 1)), 0);
	assert_int_equal(rig_apply_batch(rig, op_batch(rig, 3, 2, 2)), -EUCLEAN);
	assert_int_equal(kv_view_meta(rig->view)->applied_index, 3);
	assert_int_equal(rig_apply_batch(rig, begin_batch(rig, 3, 3, 1)), 0);
	head = rig_session_head(rig, 5, 2, 1, ""); /* begins one that is there */
	assert_int_equal(rig_apply_batch(rig, batch_of(rig, &head)), -EUCLEAN);
	rig_check_digest(rig->view, NULL);
}

static void the_end_of_another_one_ends_nothing(void **state)
{
	struct kv_rig *rig = *state;
	uint64_t stamp;

	assert_int_equal(rig_apply_batch(rig, begin_batch(rig, 1, 1, 1)), 0);
	assert_int_equal(can_end(rig, NULL, 2, &stamp), 0);
	assert_int_equal(stamp, 1);
	assert_int_equal(can_end(rig, NULL, 3, &stamp), -ENOENT);
	assert_int_equal(rig_apply_batch(rig, end_batch(rig, 2, 9, 8)), 0);
	assert_int_equal(kv_view_meta(rig->view)->session_count, 1);
	assert_int_equal(kv_view_meta(rig->view)->begin_floor, 0);
	assert_int_equal(state_of(rig, NULL, 2, 0, 2), KV_SESSION_EXECUTE);
}

static void a_proposed_end_counts_as_one(void **state)
{
	struct kv_rig *rig = *state;
	struct overlay *o = overlay_new();
	struct blob *b[4];
	uint64_t stamp;

	rig_put(rig, "x", "y");
	assert_int_equal(rig_apply_batch(rig, begin_batch(rig, 2, 1, 1)), 0);
	b[0] = op_batch(rig, 3, 3, 2);
	b[1] = end_batch(rig, 4, 3, 1);
	b[2] = begin_batch(rig, 5, 4, 1); /* the same uuid, later: another session */
	b[3] = op_batch(rig, 6, 6, 2);
	assert_int_equal(overlay_push(o, 4, 1, b[0]), 0);
	assert_int_equal(state_of(rig, o, 3, 0, 2), KV_SESSION_PENDING);
	assert_int_equal(state_of(rig, o, 3, 0, 1), KV_SESSION_DONE);
	assert_int_equal(overlay_push(o, 5, 1, b[1]), 0);
	assert_int_equal(count_in(rig, o), 0);
	assert_int_equal(can_end(rig, o, 3, &stamp), -ENOENT);
	for (uint64_t seq = 1; seq <= 3; seq++) { /* neither again nor anew, nor as answered */
		assert_int_equal(state_of(rig, o, 3, 0, seq), KV_SESSION_EXPIRED);
		assert_int_equal(state_of(rig, o, 0, 1, seq), KV_SESSION_EXPIRED);
	}
	assert_int_equal(state_of(rig, o, 0, 2, 1), KV_SESSION_BEGIN);
	assert_int_equal(overlay_push(o, 6, 1, b[2]), 0);
	assert_int_equal(overlay_push(o, 7, 1, b[3]), 0);
	assert_int_equal(count_in(rig, o), 1);
	assert_int_equal(ask(rig, o, 0, 4, 1).session_id, 6);
	assert_int_equal(state_of(rig, o, 6, 0, 2), KV_SESSION_PENDING);
	assert_int_equal(state_of(rig, o, 3, 0, 2), KV_SESSION_EXPIRED);
	assert_int_equal(can_end(rig, o, 6, &stamp), 0);
	assert_int_equal(stamp, 4);
	for (uint64_t i = 0; i < 4; i++) { /* each moves from the overlay into the table */
		assert_int_equal(rig_apply_batch(rig, b[i]), 0);
		overlay_trim(o, 4 + i);
		assert_int_equal(state_of(rig, o, 3, 0, 2), KV_SESSION_EXPIRED);
		assert_int_equal(state_of(rig, o, 6, 0, 2), i == 3 ? KV_SESSION_DONE : KV_SESSION_PENDING);
		assert_int_equal(count_in(rig, o), 1);
	}
	assert_int_equal(overlay_entry_count(o), 0);
	overlay_free(o);
	rig_check_digest(rig->view, NULL);
}

static void an_overlay_thrown_away_ended_nobody(void **state)
{
	struct kv_rig *rig = *state;
	struct overlay *o = overlay_new();
	struct blob *b;

	assert_int_equal(rig_apply_batch(rig, begin_batch(rig, 1, 1, 1)), 0);
	b = end_batch(rig, 2, 2, 1);
	assert_int_equal(overlay_push(o, 3, 1, b), 0);
	blob_unref(b);
	assert_int_equal(state_of(rig, o, 2, 0, 2), KV_SESSION_EXPIRED);
	overlay_reset(o);
	assert_int_equal(state_of(rig, o, 2, 0, 2), KV_SESSION_EXECUTE);
	assert_int_equal(state_of(rig, o, 0, 1, 2), KV_SESSION_EXECUTE);
	assert_int_equal(count_in(rig, o), 1);
	overlay_free(o);
}

static void an_entry_may_begin_one_session_and_end_another(void **state)
{
	struct kv_rig *rig = *state;
	struct kv_session_end old = end_of(5, 2, 1);
	struct kv_batch_head head;
	struct buf ends = BUF_INIT;

	assert_int_equal(rig_apply_batch(rig, begin_batch(rig, 1, 1, 1)), 0);
	kv_session_end_encode(&old, &ends);
	rig->stamp = 2;
	head = rig_session_head(rig, 6, 1, 1, "new");
	head.ends = ends.data;
	head.end_count = 1;
	assert_int_equal(rig_apply_batch(rig, batch_of(rig, &head)), 0);
	buf_release(&ends);
	assert_int_equal(kv_view_meta(rig->view)->session_count, 1);
	assert_int_equal(state_of(rig, NULL, 2, 0, 2), KV_SESSION_EXPIRED);
	rig_check_digest(rig->view, NULL);
}

/* What an entry does, what it answers, and the end of a session are one transaction. */
static void a_run_that_fails_leaves_the_table_as_it_was(void **state)
{
	struct kv_rig *rig = *state;
	struct raft_entry e[3];
	uint8_t before[KV_DIGEST_SIZE];
	struct kv_meta meta;

	assert_int_equal(rig_apply_batch(rig, begin_batch(rig, 1, 1, 1)), 0);
	meta = *kv_view_meta(rig->view);
	memcpy(before, meta.digest, sizeof(before));
	for (uint64_t i = 0; i < 3; i++)
		e[i] = (struct raft_entry){
			.index = 3 + i,
			.term = 1,
			.type = RAFT_ENTRY_NORMAL,
			.data = i == 0 ? op_batch(rig, 2, 2, 2) :
				i == 1 ? end_batch(rig, 3, 2, 1) :
					 op_batch(rig, 4, 2, 3) /* for one that ended */,
		};
	assert_int_equal(kv_apply(rig->kv, e, 3, NULL), -EUCLEAN);
	assert_int_equal(kv_view_refresh(rig->view), 0);
	assert_memory_equal(kv_view_meta(rig->view)->digest, before, sizeof(before));
	assert_int_equal(kv_view_meta(rig->view)->session_count, 1);
	assert_int_equal(kv_view_meta(rig->view)->begin_floor, 0);
	assert_int_equal(state_of(rig, NULL, 2, 0, 2), KV_SESSION_EXECUTE);
	assert_int_equal(kv_apply(rig->kv, e, 2, NULL), 0);
	for (uint64_t i = 0; i < 3; i++)
		blob_unref(e[i].data);
}

static void floor_count_and_log_time_survive_a_restart(void **state)
{
	struct kv_rig *rig = *state;
	const struct kv_meta *meta;

	rig_put(rig, "x", "y");
	assert_int_equal(rig_apply_batch(rig, begin_batch(rig, 2, 2, 1)), 0);
	assert_int_equal(rig_apply_batch(rig, end_batch(rig, 3, 3, 2)), 0);
	assert_int_equal(rig_apply_batch(rig, begin_batch(rig, 4, 4, 1)), 0);
	rig_close(rig);
	rig_open(rig);
	meta = kv_view_meta(rig->view);
	assert_int_equal(meta->begin_floor, 2);
	assert_int_equal(meta->session_count, 1);
	assert_int_equal(meta->log_ms, 400);
	assert_int_equal(state_of(rig, NULL, 3, 0, 2), KV_SESSION_EXPIRED);
	assert_int_equal(state_of(rig, NULL, 0, 2, 1), KV_SESSION_EXPIRED);
	assert_int_equal(state_of(rig, NULL, 5, 0, 2), KV_SESSION_EXECUTE);
}

struct seen {
	size_t count, stop_after;
	struct kv_session_info last;
};

static int see(void *ctx, const struct kv_session_info *info)
{
	struct seen *seen = ctx;

	assert_true(seen->count == 0 || memcmp(seen->last.uuid, info->uuid, KV_UUID_SIZE) < 0);
	seen->last = *info;
	return ++seen->count == seen->stop_after;
}

static void the_table_is_listed_by_pages(void **state)
{
	struct kv_rig *rig = *state;
	struct seen seen = { .stop_after = 2 };
	struct kv_txn *t;

	for (uint8_t who = 5; who > 0; who--) {
		struct kv_batch_head head = rig_session_head(rig, who, 1, 1, "");

		head.log_ms = rig->index;
		assert_int_equal(rig_apply_batch(rig, batch_of(rig, &head)), 0);
	}
	t = kv_txn_new(rig->view, NULL);
	assert_int_equal(kv_txn_session_scan(t, NULL, see, &seen), 1);
	assert_int_equal(seen.last.uuid[0], 2);
	assert_int_equal(seen.last.session_id, 5);
	assert_int_equal(seen.last.used_log_ms, 4);
	seen.stop_after = 5;
	assert_int_equal(kv_txn_session_scan(t, seen.last.uuid, see, &seen), 1);
	assert_int_equal(seen.last.uuid[0], 5);
	assert_int_equal(kv_txn_session_scan(t, seen.last.uuid, see, &seen), 0);
	kv_txn_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(what_ended_never_executes_again),
		BOTH(an_entry_for_a_session_that_ended_is_not_applied),
		BOTH(the_end_of_another_one_ends_nothing),
		BOTH(a_proposed_end_counts_as_one),
		BOTH(an_overlay_thrown_away_ended_nobody),
		BOTH(an_entry_may_begin_one_session_and_end_another),
		BOTH(a_run_that_fails_leaves_the_table_as_it_was),
		{ "floor_count_and_log_time_survive_a_restart (sqlite)",
		  floor_count_and_log_time_survive_a_restart, rig_setup_sqlite, rig_teardown, NULL },
		BOTH(the_table_is_listed_by_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
