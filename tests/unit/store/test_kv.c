/* test_kv.c - one suite for both backends: entries become rows, views stay where they are pinned. */
#include "kv_rig.h"

#include "store/session.h"

static void a_new_state_stands_where_it_was_made(void **state)
{
	struct kv_rig *rig = *state;
	const struct kv_meta *m = kv_view_meta(rig->view);
	static const uint8_t zero[KV_DIGEST_SIZE];

	assert_int_equal(m->applied_index, 1);
	assert_int_equal(m->applied_term, 1);
	assert_int_equal(m->group, RIG_GROUP);
	assert_int_equal(m->cluster[0], 0xc1);
	assert_int_equal(m->conf.index, 1);
	assert_int_equal(m->conf.count, 1);
	assert_int_equal(m->conf.members[0].id, 7);
	assert_memory_equal(m->digest, zero, sizeof(zero));
	rig_check_digest(rig->view, NULL);
}

static void rows_are_put_replaced_and_deleted(void **state)
{
	struct kv_rig *rig = *state;
	struct kv_txn *t;

	rig_put(rig, "a", "1");
	rig_put(rig, "b", "2");
	rig_put(rig, "a", "one");
	rig_put(rig, "e", "");
	rig_check_digest(rig->view, NULL);
	t = kv_txn_new(rig->view, NULL);
	rig_assert_value(t, "a", "one");
	rig_assert_value(t, "b", "2");
	rig_assert_value(t, "e", "");
	rig_assert_value(t, "c", NULL);
	kv_txn_delete(t, "a", 1);
	kv_txn_delete(t, "never", 5);
	assert_int_equal(rig_apply_txn(rig, t), 0);
	t = kv_txn_new(rig->view, NULL);
	rig_assert_value(t, "a", NULL);
	kv_txn_free(t);
	rig_check_digest(rig->view, NULL);
}

static void a_view_stays_at_its_pin(void **state)
{
	struct kv_rig *rig = *state;
	struct kv_view *old;
	struct kv_txn *t;

	rig_put(rig, "a", "1");
	assert_int_equal(kv_view_open(rig->kv, &old, NULL), 0);
	rig_put(rig, "a", "2");
	rig_write(rig, 5, 0, "data", 4);
	t = kv_txn_new(old, NULL);
	rig_assert_value(t, "a", "1");
	uint32_t block;
	assert_int_equal(kv_txn_next_block(t, 5, 0, &block), -ENOENT);
	kv_txn_free(t);
	assert_int_equal(kv_view_meta(old)->applied_index, 2);
	rig_check_digest(old, NULL);
	assert_int_equal(kv_view_refresh(old), 0);
	assert_int_equal(kv_view_meta(old)->applied_index, 4);
	t = kv_txn_new(old, NULL);
	rig_assert_value(t, "a", "2");
	kv_txn_free(t);
	kv_view_unpin(old);
	rig_put(rig, "a", "3");
	assert_int_equal(kv_view_refresh(old), 0);
	t = kv_txn_new(old, NULL);
	rig_assert_value(t, "a", "3");
	kv_txn_free(t);
	kv_view_close(old);
}

static struct blob *put_batch(const struct kv_batch_head *head, const char *key, const char *value)
{
	struct buf b = BUF_INIT;
	struct blob *blob;

	kv_batch_encode_head(head, &b);
	kv_mutation_encode(&(struct kv_mutation){ .type = KV_PUT,
						  .key = (const uint8_t *)key,
						  .key_len = strlen(key),
						  .data = (const uint8_t *)value,
						  .data_len = strlen(value) },
			   &b);
	blob = blob_from(b.data, b.len);
	buf_release(&b);
	return blob;
}

static void assert_nothing_applied(struct kv_rig *rig, const uint8_t *digest, uint64_t index)
{
	uint8_t now[KV_DIGEST_SIZE];

	assert_int_equal(kv_view_refresh(rig->view), 0);
	assert_int_equal(kv_view_meta(rig->view)->applied_index, index);
	rig_check_digest(rig->view, now);
	assert_memory_equal(now, digest, sizeof(now));
}

static void a_batch_for_another_place_is_refused_whole(void **state)
{
	struct kv_rig *rig = *state;
	uint8_t digest[KV_DIGEST_SIZE];
	struct kv_batch_head head;

	rig_put(rig, "a", "1");
	rig_check_digest(rig->view, digest);
	head = rig_head(rig);
	head.prev_index--;
	assert_int_equal(rig_apply_batch(rig, put_batch(&head, "a", "2")), -EUCLEAN);
	head = rig_head(rig);
	head.prev_term++;
	assert_int_equal(rig_apply_batch(rig, put_batch(&head, "a", "2")), -EUCLEAN);
	head = rig_head(rig);
	head.group++;
	assert_int_equal(rig_apply_batch(rig, put_batch(&head, "a", "2")), -EUCLEAN);
	assert_int_equal(rig_apply_batch(rig, blob_from("junk", 4)), -EUCLEAN);
	assert_int_equal(rig_apply_batch(rig, NULL), -EUCLEAN);
	assert_nothing_applied(rig, digest, 2);
	head = rig_head(rig);
	assert_int_equal(rig_apply_batch(rig, put_batch(&head, "a", "2")), 0);
}

static void a_run_is_applied_whole_or_not_at_all(void **state)
{
	struct kv_rig *rig = *state;
	uint8_t digest[KV_DIGEST_SIZE];
	struct raft_entry run[3] = { { .index = 2, .term = 1, .type = RAFT_ENTRY_NORMAL },
				     { .index = 3, .term = 2, .type = RAFT_ENTRY_NOOP },
				     { .index = 4, .term = 2, .type = RAFT_ENTRY_NORMAL } };
	struct kv_batch_head head = rig_head(rig);
	struct err err = ERR_INIT;
	struct kv_txn *t;

	rig_check_digest(rig->view, digest);
	run[0].data = put_batch(&head, "a", "1");
	head.prev_index = 3;
	head.prev_term = 1; /* wrong: the NOOP before it has term 2 */
	run[2].data = put_batch(&head, "b", "2");
	assert_int_equal(kv_apply(rig->kv, run, 3, &err), -EUCLEAN);
	assert_non_null(strstr(err.text, "entry 4"));
	assert_nothing_applied(rig, digest, 1);
	blob_unref(run[2].data);
	head.prev_term = 2;
	run[2].data = put_batch(&head, "b", "2");
	assert_int_equal(kv_apply(rig->kv, run, 3, &err), 0);
	assert_int_equal(kv_view_refresh(rig->view), 0);
	assert_int_equal(kv_view_meta(rig->view)->applied_index, 4);
	assert_int_equal(kv_view_meta(rig->view)->applied_term, 2);
	t = kv_txn_new(rig->view, NULL);
	rig_assert_value(t, "a", "1");
	rig_assert_value(t, "b", "2");
	kv_txn_free(t);
	rig_check_digest(rig->view, NULL);
	blob_unref(run[0].data);
	blob_unref(run[2].data);
}

static void entries_follow_one_another(void **state)
{
	struct kv_rig *rig = *state;
	struct raft_entry e = { .index = 3, .term = 1, .type = RAFT_ENTRY_NOOP };

	assert_int_equal(kv_apply(rig->kv, &e, 1, NULL), -EUCLEAN);
	e.index = 1;
	assert_int_equal(kv_apply(rig->kv, &e, 1, NULL), -EUCLEAN);
	e.index = 2;
	e.term = 0;
	assert_int_equal(kv_apply(rig->kv, &e, 1, NULL), -EUCLEAN);
	e.term = 1;
	e.type = 99;
	assert_int_equal(kv_apply(rig->kv, &e, 1, NULL), -EUCLEAN);
	e.type = RAFT_ENTRY_NOOP;
	assert_int_equal(kv_apply(rig->kv, &e, 1, NULL), 0);
	assert_int_equal(kv_apply(rig->kv, &e, 0, NULL), 0);
}

static void a_configuration_is_kept_with_its_index(void **state)
{
	struct kv_rig *rig = *state;
	struct raft_conf conf = { .count = 2 };
	struct raft_conf_change change = { .transition = RAFT_JOINT_AUTO,
					   .count = 1,
					   .v = { { 2, RAFT_REMOVE, "" } } };
	struct buf b = BUF_INIT;

	conf.members[0] = (struct raft_member){ .id = 1, .role = RAFT_VOTER, .address = "x:1" };
	conf.members[1] = (struct raft_member){ .id = 2, .role = RAFT_VOTER, .address = "y:2" };
	raft_conf_encode(&conf, &b);
	rig_put(rig, "a", "1");
	assert_int_equal(rig_apply_as(rig, RAFT_ENTRY_CONF, blob_from(b.data, b.len)), 0);
	assert_int_equal(kv_view_meta(rig->view)->conf.index, 3);
	assert_int_equal(kv_view_meta(rig->view)->conf.count, 2);
	assert_string_equal(kv_view_meta(rig->view)->conf.members[1].address, "y:2");
	buf_reset(&b);
	raft_conf_change_encode(&change, &b);
	assert_int_equal(rig_apply_as(rig, RAFT_ENTRY_CONF, blob_from(b.data, b.len)), 0);
	assert_int_equal(kv_view_meta(rig->view)->conf.index, 4);
	assert_int_equal(kv_view_meta(rig->view)->conf.members[1].role, RAFT_VOTER_OUT);
	assert_int_equal(rig_apply_as(rig, RAFT_ENTRY_CONF, blob_from("!", 1)), -EUCLEAN);
	assert_int_equal(rig_apply_as(rig, RAFT_ENTRY_CONF, NULL), -EUCLEAN);
	buf_release(&b);
}

static void assert_reads(struct kv_rig *rig, uint64_t ino, uint64_t off, const void *want,
			 size_t len)
{
	struct kv_txn *t = kv_txn_new(rig->view, NULL);
	uint8_t *got = mem_alloc(len);

	assert_int_equal(kv_txn_read(t, ino, off, got, len), 0);
	assert_memory_equal(got, want, len);
	free(got);
	kv_txn_free(t);
}

static void a_patch_past_the_end_leaves_zeros_between(void **state)
{
	struct kv_rig *rig = *state;
	uint8_t want[9000] = { 'a', 'b' };

	rig_write(rig, 5, 0, "ab", 2);
	rig_write(rig, 5, 8996, "tail", 4);
	memcpy(want + 8996, "tail", 4);
	assert_reads(rig, 5, 0, want, sizeof(want));
	rig_check_digest(rig->view, NULL);
}

static void a_punch_at_the_end_shortens_and_to_nothing_removes(void **state)
{
	struct kv_rig *rig = *state;
	uint8_t bytes[10000], zeros[10000] = { 0 };
	struct kv_txn *t;
	uint32_t block;

	memset(bytes, 'x', sizeof(bytes));
	rig_write(rig, 5, 0, bytes, sizeof(bytes));
	t = kv_txn_new(rig->view, NULL);
	kv_txn_punch(t, 5, 5000, KV_FILE_SIZE_MAX - 5000);
	assert_int_equal(rig_apply_txn(rig, t), 0);
	memset(bytes + 5000, 0, 5000);
	assert_reads(rig, 5, 0, bytes, sizeof(bytes));
	rig_check_digest(rig->view, NULL);
	/* What was cut does not come back when the row grows again. */
	rig_write(rig, 5, 9999, "y", 1);
	bytes[9999] = 'y';
	assert_reads(rig, 5, 0, bytes, sizeof(bytes));
	rig_check_digest(rig->view, NULL);
	t = kv_txn_new(rig->view, NULL);
	kv_txn_punch(t, 5, 0, 10000);
	assert_int_equal(rig_apply_txn(rig, t), 0);
	assert_reads(rig, 5, 0, zeros, sizeof(zeros));
	t = kv_txn_new(rig->view, NULL);
	assert_int_equal(kv_txn_next_block(t, 5, 0, &block), -ENOENT);
	kv_txn_free(t);
	static const uint8_t empty[KV_DIGEST_SIZE];
	assert_memory_equal(kv_view_meta(rig->view)->digest, empty, sizeof(empty));
}

static void dropping_touches_only_its_range(void **state)
{
	struct kv_rig *rig = *state;
	struct kv_txn *t;
	uint32_t block;

	for (uint64_t ino = 4; ino <= 6; ino++)
		for (uint64_t b = 0; b < 5; b++)
			rig_write(rig, ino, b * KV_BLOCK_SIZE, "z", 1);
	rig_write(rig, 4, KV_FILE_SIZE_MAX - 1, "e", 1);
	t = kv_txn_new(rig->view, NULL);
	kv_txn_drop_blocks(t, 5, 1, 3);
	kv_txn_drop_blocks(t, 6, 0, KV_BLOCKS_PER_INO);
	assert_int_equal(rig_apply_txn(rig, t), 0);
	t = kv_txn_new(rig->view, NULL);
	assert_int_equal(kv_txn_next_block(t, 5, 1, &block), 0);
	assert_int_equal(block, 4);
	assert_int_equal(kv_txn_next_block(t, 5, 0, &block), 0);
	assert_int_equal(block, 0);
	assert_int_equal(kv_txn_next_block(t, 6, 0, &block), -ENOENT);
	assert_int_equal(kv_txn_next_block(t, 4, 5, &block), 0);
	assert_int_equal(block, KV_BLOCKS_PER_INO - 1);
	kv_txn_free(t);
	rig_check_digest(rig->view, NULL);
}

struct seen {
	char text[512];
	size_t count, stop_after;
};

static int see(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *value, size_t len)
{
	struct seen *s = ctx;
	size_t at = strlen(s->text);

	snprintf(s->text + at, sizeof(s->text) - at, "%.*s=%.*s ", (int)key_len, (const char *)key,
		 (int)len, (const char *)value);
	return ++s->count == s->stop_after ? 42 : 0;
}

static void assert_scan(struct kv_txn *t, const char *prefix, const char *after, const char *want)
{
	struct seen s = { .count = 0 };

	assert_int_equal(kv_txn_scan(t, prefix, strlen(prefix), after, strlen(after), see, &s), 0);
	assert_string_equal(s.text, want);
}

static void a_scan_sees_its_prefix_in_order(void **state)
{
	struct kv_rig *rig = *state;
	struct seen s = { .stop_after = 2 };
	struct kv_txn *t;

	rig_put(rig, "b", "0");
	rig_put(rig, "a2", "2");
	rig_put(rig, "a1", "1");
	rig_put(rig, "a", "-");
	rig_put(rig, "a1\xff", "3");
	rig_put(rig, "\xff\xff", "f");
	t = kv_txn_new(rig->view, NULL);
	assert_scan(t, "a", "", "a=- a1=1 a1\xff=3 a2=2 ");
	assert_scan(t, "a", "a1", "a1\xff=3 a2=2 ");
	assert_scan(t, "a1", "", "a1=1 a1\xff=3 ");
	assert_scan(t, "", "", "a=- a1=1 a1\xff=3 a2=2 b=0 \xff\xff=f ");
	assert_scan(t, "\xff", "", "\xff\xff=f ");
	assert_scan(t, "a", "a9", "");
	assert_scan(t, "b", "a1", "b=0 ");
	assert_scan(t, "x", "", "");
	assert_int_equal(kv_txn_scan(t, "a", 1, NULL, 0, see, &s), 42);
	assert_string_equal(s.text, "a=- a1=1 ");
	kv_txn_free(t);
}

static int scan_inside(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *value,
		       size_t len)
{
	struct seen s = { .count = 0 };
	struct buf out = BUF_INIT;

	assert_int_equal(kv_txn_get(ctx, "a2", 2, &out), 0);
	assert_int_equal(kv_txn_scan(ctx, "a", 1, NULL, 0, see, &s), 0);
	assert_int_equal(s.count, 2);
	assert_int_equal(value[0], key[1]);
	buf_release(&out);
	return 0;
}

static void a_scan_may_read_and_scan_inside(void **state)
{
	struct kv_rig *rig = *state;
	struct kv_txn *t;

	rig_put(rig, "a1", "1");
	rig_put(rig, "a2", "2");
	t = kv_txn_new(rig->view, NULL);
	assert_int_equal(kv_txn_scan(t, "a", 1, NULL, 0, scan_inside, t), 0);
	kv_txn_free(t);
}

/* Largest keys and values pass through every layer. */
static void limits_are_reached(void **state)
{
	struct kv_rig *rig = *state;
	uint8_t *value = mem_calloc(1, KV_VALUE_MAX);
	uint8_t key[KV_KEY_MAX];
	struct buf out = BUF_INIT;
	struct kv_txn *t = kv_txn_new(rig->view, NULL);
	struct seen s = { .count = 0 };

	memset(key, 0xff, sizeof(key));
	value[KV_VALUE_MAX - 1] = 9;
	kv_txn_put(t, key, sizeof(key), value, KV_VALUE_MAX);
	assert_int_equal(rig_apply_txn(rig, t), 0);
	t = kv_txn_new(rig->view, NULL);
	assert_int_equal(kv_txn_get(t, key, sizeof(key), &out), 0);
	assert_int_equal(out.len, KV_VALUE_MAX);
	assert_memory_equal(out.data, value, KV_VALUE_MAX);
	assert_int_equal(kv_txn_scan(t, key, sizeof(key), NULL, 0, see, &s), 0);
	assert_int_equal(s.count, 1);
	assert_int_equal(kv_txn_scan(t, key, 1, key, sizeof(key), see, &s), 0);
	assert_int_equal(s.count, 1);
	kv_txn_free(t);
	rig_check_digest(rig->view, NULL);
	buf_release(&out);
	free(value);
}

static void *count_rows(void *ctx)
{
	struct kv_view *view;
	struct seen s = { .stop_after = 0 };

	assert_int_equal(kv_view_open(ctx, &view, NULL), 0);
	for (int i = 0; i < 200; i++) {
		struct kv_txn *t = kv_txn_new(view, NULL);
		uint64_t applied = kv_view_meta(view)->applied_index;

		/* Row n is written by entry n: a pinned state is whole. */
		s = (struct seen){ .count = 0 };
		assert_int_equal(kv_txn_scan(t, "n", 1, NULL, 0, see, &s), 0);
		assert_int_equal(s.count, applied - 1);
		kv_txn_free(t);
		assert_int_equal(kv_view_refresh(view), 0);
	}
	kv_view_close(view);
	return NULL;
}

static void readers_see_whole_states_while_entries_are_applied(void **state)
{
	struct kv_rig *rig = *state;
	pthread_t reader[2];
	char key[16];

	for (size_t i = 0; i < ARRAY_SIZE(reader); i++)
		assert_int_equal(pthread_create(&reader[i], NULL, count_rows, rig->kv), 0);
	for (int n = 0; n < 300; n++) {
		uint64_t durable;

		snprintf(key, sizeof(key), "n%06d", n);
		rig_put(rig, key, "");
		if (n % 50 == 0)
			assert_int_equal(kv_checkpoint(rig->kv, &durable, NULL), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(reader); i++)
		pthread_join(reader[i], NULL);
}

static void closing_is_told_after_the_last_reference(void *ctx)
{
	(*(int *)ctx)++;
}

static void a_view_keeps_its_state_alive(void **state)
{
	struct kv_meta meta = rig_meta();
	struct kv *kv = kv_new_memory(&meta);
	struct kv_view *view;
	int closed = 0;

	kv_on_close(kv, closing_is_told_after_the_last_reference, &closed);
	assert_int_equal(kv_view_open(kv, &view, NULL), 0);
	kv_unref(kv_ref(kv));
	kv_unref(kv);
	assert_int_equal(closed, 0);
	assert_int_equal(kv_view_meta(view)->applied_index, 1);
	kv_view_close(view);
	assert_int_equal(closed, 1);
	kv_unref(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(a_new_state_stands_where_it_was_made),
		BOTH(rows_are_put_replaced_and_deleted),
		BOTH(a_view_stays_at_its_pin),
		BOTH(a_batch_for_another_place_is_refused_whole),
		BOTH(a_run_is_applied_whole_or_not_at_all),
		BOTH(entries_follow_one_another),
		BOTH(a_configuration_is_kept_with_its_index),
		BOTH(a_patch_past_the_end_leaves_zeros_between),
		BOTH(a_punch_at_the_end_shortens_and_to_nothing_removes),
		BOTH(dropping_touches_only_its_range),
		BOTH(a_scan_sees_its_prefix_in_order),
		BOTH(a_scan_may_read_and_scan_inside),
		BOTH(limits_are_reached),
		BOTH(readers_see_whole_states_while_entries_are_applied),
		cmocka_unit_test(a_view_keeps_its_state_alive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
