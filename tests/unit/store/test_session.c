/* test_session.c - every number takes effect once, and the record says what was answered. */
#include "kv_rig.h"

#include "store/session.h"

static int execute(struct buf *record, uint64_t index, uint64_t seq, uint64_t low,
		   const char *reply)
{
	struct kv_batch_head head = { .has_session = true,
				      .seq = seq,
				      .low = low,
				      .begins = record->len == 0,
				      .session_id = record->len ? 50 : index,
				      .stamp = record->len ? 0 : index - 10,
				      .log_ms = 7 * index };
	struct buf out = BUF_INIT;
	int ret;

	head.reply = (const uint8_t *)reply;
	head.reply_len = strlen(reply);
	ret = session_record_execute(record->data, record->len, &head, index, &out);
	if (ret == 0) {
		buf_release(record);
		*record = out;
	} else {
		buf_release(&out);
	}
	return ret;
}

/* "seq:reply@index ..." */
static void assert_record(const struct buf *record, uint64_t id, uint64_t low, uint64_t highest,
			  const char *want)
{
	struct session_record r;
	struct session_reply reply;
	char text[256] = "";

	assert_int_equal(session_record_open(&r, record->data, record->len), 0);
	assert_int_equal(r.id, id);
	assert_int_equal(r.low, low);
	assert_int_equal(r.highest, highest);
	assert_int_equal(r.stamp, id - 10);
	while (session_record_next(&r, &reply)) {
		size_t at = strlen(text);

		snprintf(text + at, sizeof(text) - at, "%d:%.*s@%d ", (int)reply.seq,
			 (int)reply.len, (const char *)reply.data, (int)reply.index);
	}
	assert_string_equal(text, want);
}

static void replies_are_kept_from_low_on(void **state)
{
	struct buf r = BUF_INIT;

	assert_int_equal(execute(&r, 50, 3, 2, "three"), 0);
	assert_record(&r, 50, 2, 3, "3:three@50 ");
	assert_int_equal(execute(&r, 51, 5, 2, "five"), 0);
	assert_int_equal(execute(&r, 52, 2, 2, "two"), 0);
	assert_int_equal(execute(&r, 53, 4, 1, "four"), 0);
	assert_record(&r, 50, 2, 5, "2:two@52 3:three@50 4:four@53 5:five@51 ");
	assert_int_equal(execute(&r, 54, 6, 4, ""), 0);
	assert_record(&r, 50, 4, 6, "4:four@53 5:five@51 6:@54 ");
	assert_int_equal(execute(&r, 55, 9, 9, "nine"), 0);
	assert_record(&r, 50, 9, 9, "9:nine@55 ");
	buf_release(&r);
}

static void a_number_never_executes_twice(void **state)
{
	struct buf r = BUF_INIT;

	assert_int_equal(execute(&r, 50, 3, 2, "three"), 0);
	assert_int_equal(execute(&r, 51, 3, 2, "again"), -EUCLEAN);
	assert_int_equal(execute(&r, 51, 1, 1, "below low"), -EUCLEAN);
	assert_int_equal(execute(&r, 51, 2 + KV_SESSION_WINDOW, 2, "beyond"), -EUCLEAN);
	assert_int_equal(execute(&r, 51, 1 + KV_SESSION_WINDOW, 2, "last"), 0);
	assert_record(&r, 50, 2, 1 + KV_SESSION_WINDOW, "3:three@50 1025:last@51 ");
	buf_release(&r);
}

static void a_session_is_known_by_its_id(void **state)
{
	struct kv_batch_head head = { .has_session = true, .seq = 4, .low = 1, .session_id = 50 };
	struct buf r = BUF_INIT, out = BUF_INIT;

	assert_int_equal(session_record_execute(NULL, 0, &head, 51, &out), -EUCLEAN);
	assert_int_equal(execute(&r, 50, 3, 2, "three"), 0);
	head.session_id = 49;
	assert_int_equal(session_record_execute(r.data, r.len, &head, 51, &out), -EUCLEAN);
	head.session_id = 50;
	assert_int_equal(session_record_execute(r.data, r.len, &head, 51, &out), 0);
	assert_record(&out, 50, 2, 4, "3:three@50 4:@51 ");
	buf_release(&out);
	buf_release(&r);
}

static void a_damaged_record_is_refused(void **state)
{
	struct session_record out;
	struct buf r = BUF_INIT;
	size_t refused = 0;

	assert_int_equal(execute(&r, 50, 3, 2, "three"), 0);
	assert_int_equal(execute(&r, 51, 5, 2, "five"), 0);
	for (size_t len = 0; len < r.len; len++) {
		uint8_t *exact = mem_dup(r.data, len);

		assert_int_equal(session_record_open(&out, exact, len), -EUCLEAN);
		free(exact);
	}
	for (size_t i = 0; i < r.len; i++) {
		r.data[i] ^= 0xff;
		refused += session_record_open(&out, r.data, r.len) < 0;
		r.data[i] ^= 0xff;
	}
	assert_true(refused > 0);
	buf_release(&r);
}

static void random_records_never_crash(void **state)
{
	struct session_record out;
	struct session_reply reply;
	struct buf r = BUF_INIT;
	struct prng p;

	prng_init(&p, 21);
	for (uint64_t seq = 1; seq < 20; seq += 2)
		assert_int_equal(execute(&r, 49 + seq, seq, 1, "some reply"), 0);
	for (int round = 0; round < 20000; round++) {
		uint8_t *bytes = mem_dup(r.data, r.len);

		for (uint64_t n = 1 + prng_below(&p, 3); n > 0; n--)
			bytes[prng_below(&p, r.len)] = (uint8_t)prng_u64(&p);
		if (session_record_open(&out, bytes, r.len) == 0)
			while (session_record_next(&out, &reply))
				assert_true(reply.seq >= out.low);
		free(bytes);
	}
	buf_release(&r);
}

/* ---- through kv and txn ---- */

#define STAMP 1

static const uint8_t client[KV_UUID_SIZE] = { 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5 };

static int run_op(struct kv_rig *rig, uint64_t seq, uint64_t low, const char *reply)
{
	struct kv_batch_head head = rig_session_head(rig, 5, seq, low, reply);
	struct kv_txn *t = kv_txn_new(rig->view, NULL);
	struct blob *b;
	int ret;

	head.stamp = head.begins ? STAMP : 0;
	head.status = -EEXIST;
	b = kv_txn_batch(t, &head);
	kv_txn_free(t);
	ret = rig_apply_batch(rig, b);
	if (ret == 0 && rig->session_id == 0)
		rig->session_id = rig->index;
	return ret;
}

static struct kv_session_lookup look(struct kv_rig *rig, struct overlay *o, struct kv_session_ask ask)
{
	struct kv_session_lookup found;
	struct kv_txn *t = kv_txn_new(rig->view, o);

	memcpy(ask.uuid, client, sizeof(ask.uuid));
	assert_int_equal(kv_txn_session(t, &ask, &found), 0);
	kv_txn_free(t);
	return found;
}

/* By id, and as a client would ask that does not know it yet. */
static void assert_lookup(struct kv_rig *rig, struct overlay *o, uint64_t seq, uint64_t low,
			  enum kv_session_state want, uint64_t session_id, uint64_t index,
			  const char *reply)
{
	for (int by_id = 0; by_id <= (session_id != 0); by_id++) {
		struct kv_session_ask ask = { .seq = seq, .low = low, .stamp = STAMP };
		struct kv_session_lookup found;

		if (by_id)
			ask.session_id = session_id;
		found = look(rig, o, ask);
		assert_int_equal(found.state, want);
		assert_int_equal(found.session_id, session_id);
		assert_int_equal(found.index, index);
		assert_int_equal(found.reply.len, strlen(reply));
		if (found.reply.len > 0) {
			assert_memory_equal(found.reply.data, reply, found.reply.len);
			assert_int_equal(found.status, -EEXIST);
		}
		buf_release(&found.reply);
	}
}

static void lookups_follow_the_table(void **state)
{
	struct kv_rig *rig = *state;

	assert_lookup(rig, NULL, 1, 1, KV_SESSION_BEGIN, 0, 0, "");
	assert_lookup(rig, NULL, 0, 0, KV_SESSION_OLD, 0, 0, "");
	assert_int_equal(run_op(rig, 1, 1, "one"), 0);
	assert_lookup(rig, NULL, 1, 1, KV_SESSION_DONE, 2, 2, "one");
	assert_lookup(rig, NULL, 2, 1, KV_SESSION_EXECUTE, 2, 0, "");
	assert_int_equal(run_op(rig, 3, 2, "three"), 0);
	assert_lookup(rig, NULL, 3, 2, KV_SESSION_DONE, 2, 3, "three");
	assert_lookup(rig, NULL, 1, 1, KV_SESSION_OLD, 2, 0, "");
	assert_lookup(rig, NULL, 2, 2, KV_SESSION_EXECUTE, 2, 0, "");
	assert_int_equal(run_op(rig, 3, 2, "three"), -EUCLEAN);
	assert_int_equal(run_op(rig, 1, 1, "one"), -EUCLEAN);
	assert_lookup(rig, NULL, 3, 2, KV_SESSION_DONE, 2, 3, "three");
	rig_check_digest(rig->view, NULL);
}

static void the_window_holds_back_what_is_too_far_ahead(void **state)
{
	struct kv_rig *rig = *state;

	assert_lookup(rig, NULL, KV_SESSION_WINDOW + 1, 1, KV_SESSION_AHEAD, 0, 0, "");
	assert_int_equal(run_op(rig, 1, 1, "one"), 0);
	assert_lookup(rig, NULL, KV_SESSION_WINDOW, 1, KV_SESSION_EXECUTE, 2, 0, "");
	assert_lookup(rig, NULL, KV_SESSION_WINDOW + 1, 1, KV_SESSION_AHEAD, 2, 0, "");
	/* The request's own low lets it through although no logged operation carried it. */
	assert_lookup(rig, NULL, KV_SESSION_WINDOW + 1, 2, KV_SESSION_EXECUTE, 2, 0, "");
	assert_lookup(rig, NULL, 90000, 90000, KV_SESSION_EXECUTE, 2, 0, "");
	assert_lookup(rig, NULL, 89999, 90000, KV_SESSION_OLD, 2, 0, "");
	assert_int_equal(run_op(rig, 90000, 90000, "far"), 0);
	assert_lookup(rig, NULL, 90000, 90000, KV_SESSION_DONE, 2, 3, "far");
}

static void reply_bytes_hold_back_all_but_the_lowest(void **state)
{
	struct kv_rig *rig = *state;
	char *big = mem_alloc(KV_SESSION_REPLY_BYTES / 2 + 1);

	memset(big, 'r', KV_SESSION_REPLY_BYTES / 2);
	big[KV_SESSION_REPLY_BYTES / 2] = '\0';
	assert_int_equal(run_op(rig, 2, 1, big), 0);
	assert_lookup(rig, NULL, 4, 1, KV_SESSION_EXECUTE, 2, 0, "");
	assert_int_equal(run_op(rig, 3, 1, big), 0);
	assert_lookup(rig, NULL, 4, 1, KV_SESSION_AHEAD, 2, 0, "");
	assert_lookup(rig, NULL, 1, 1, KV_SESSION_EXECUTE, 2, 0, "");
	assert_lookup(rig, NULL, 3, 1, KV_SESSION_DONE, 2, 3, big);
	assert_lookup(rig, NULL, 5, 3, KV_SESSION_EXECUTE, 2, 0, "");
	free(big);
}

static struct blob *op_batch(struct kv_rig *rig, uint64_t prev, uint64_t seq, uint64_t low,
			     const char *reply)
{
	struct kv_batch_head head = rig_session_head(rig, 5, seq, low, reply);
	struct kv_txn *t = kv_txn_new(rig->view, NULL);
	struct blob *b;

	head.prev_index = prev;
	head.begins = prev == 1;
	head.session_id = 2;
	head.stamp = head.begins ? STAMP : 0;
	head.status = -EEXIST;
	b = kv_txn_batch(t, &head);
	kv_txn_free(t);
	return b;
}

static void lookups_see_the_overlay_as_the_table(void **state)
{
	struct kv_rig *rig = *state;
	struct overlay *o = overlay_new();
	struct blob *one = op_batch(rig, 1, 1, 1, "one"), *two = op_batch(rig, 2, 4, 3, "four");

	assert_int_equal(overlay_push(o, 2, 1, one), 0);
	assert_lookup(rig, o, 1, 1, KV_SESSION_PENDING, 2, 2, "one");
	assert_lookup(rig, o, 2, 1, KV_SESSION_EXECUTE, 2, 0, "");
	assert_int_equal(overlay_push(o, 3, 1, two), 0);
	assert_lookup(rig, o, 4, 3, KV_SESSION_PENDING, 2, 3, "four");
	assert_lookup(rig, o, 2, 1, KV_SESSION_OLD, 2, 0, "");
	assert_lookup(rig, o, 3 + KV_SESSION_WINDOW, 3, KV_SESSION_AHEAD, 2, 0, "");
	assert_int_equal(rig_apply_batch(rig, blob_ref(one)), 0);
	overlay_trim(o, 2);
	assert_lookup(rig, o, 1, 1, KV_SESSION_DONE, 2, 2, "one");
	assert_lookup(rig, o, 4, 3, KV_SESSION_PENDING, 2, 3, "four");
	assert_int_equal(rig_apply_batch(rig, blob_ref(two)), 0);
	overlay_trim(o, 3);
	assert_lookup(rig, o, 4, 3, KV_SESSION_DONE, 2, 3, "four");
	assert_int_equal(overlay_entry_count(o), 0);
	overlay_free(o);
	blob_unref(one);
	blob_unref(two);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replies_are_kept_from_low_on),
		cmocka_unit_test(a_number_never_executes_twice),
		cmocka_unit_test(a_session_is_known_by_its_id),
		cmocka_unit_test(a_damaged_record_is_refused),
		cmocka_unit_test(random_records_never_crash),
		BOTH(lookups_follow_the_table),
		BOTH(the_window_holds_back_what_is_too_far_ahead),
		BOTH(reply_bytes_hold_back_all_but_the_lowest),
		BOTH(lookups_see_the_overlay_as_the_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
