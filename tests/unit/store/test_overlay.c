/* test_overlay.c - proposed entries show over the view until the view has them, and no longer. */
#include "kv_rig.h"

static struct blob *make(struct kv_rig *rig, uint64_t prev, void (*fill)(struct kv_txn *t))
{
	struct kv_batch_head head = rig_head(rig);
	struct kv_txn *t = kv_txn_new(rig->view, NULL);
	struct blob *b;

	head.prev_index = prev;
	fill(t);
	b = kv_txn_batch(t, &head);
	kv_txn_free(t);
	return b;
}

static void fill_one(struct kv_txn *t)
{
	kv_txn_put(t, "a", 1, "1", 1);
	kv_txn_put(t, "b", 1, "1", 1);
	kv_txn_write(t, 5, 0, "hello", 5);
	kv_txn_write(t, 6, 0, "six", 3);
}

static void fill_two(struct kv_txn *t)
{
	kv_txn_put(t, "a", 1, "2", 1);
	kv_txn_delete(t, "b", 1);
	kv_txn_delete(t, "base", 4);
	kv_txn_write(t, 5, 4, "OVER", 4);
	kv_txn_drop_blocks(t, 6, 0, 10);
}

static void fill_three(struct kv_txn *t)
{
	kv_txn_write(t, 6, 2, "x", 1);
}

static void assert_file(struct kv_txn *t, uint64_t ino, const char *want, size_t len)
{
	char got[64];

	assert_int_equal(kv_txn_read(t, ino, 0, got, len), 0);
	assert_memory_equal(got, want, len);
}

static void assert_sees(struct kv_rig *rig, struct overlay *o, const char *a, const char *b,
			const char *base, const char *five, const char *six)
{
	struct kv_txn *t = kv_txn_new(rig->view, o);
	uint32_t block;

	rig_assert_value(t, "a", a);
	rig_assert_value(t, "b", b);
	rig_assert_value(t, "base", base);
	assert_file(t, 5, five, 8);
	assert_file(t, 6, six, 3);
	assert_int_equal(kv_txn_next_block(t, 6, 0, &block), six[0] || six[2] ? 0 : -ENOENT);
	kv_txn_free(t);
}

static void entries_show_until_trimmed_and_then_in_the_view(void **state)
{
	struct kv_rig *rig = *state;
	struct overlay *o = overlay_new();
	struct blob *b[3];

	rig_put(rig, "base", "0");
	b[0] = make(rig, 2, fill_one);
	b[1] = make(rig, 3, fill_two);
	b[2] = make(rig, 4, fill_three);
	assert_sees(rig, o, NULL, NULL, "0", "\0\0\0\0\0\0\0\0", "\0\0\0");
	assert_int_equal(overlay_push(o, 3, 1, b[0]), 0);
	assert_sees(rig, o, "1", "1", "0", "hello\0\0\0", "six");
	assert_int_equal(overlay_push(o, 4, 1, b[1]), 0);
	assert_sees(rig, o, "2", NULL, NULL, "hellOVER", "\0\0\0");
	assert_int_equal(overlay_push(o, 5, 1, b[2]), 0);
	assert_sees(rig, o, "2", NULL, NULL, "hellOVER", "\0\0x");
	assert_int_equal(overlay_entry_count(o), 3);
	assert_int_equal(overlay_bytes(o), b[0]->len + b[1]->len + b[2]->len);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(rig_apply_batch(rig, b[i]), 0);
		/* The view has it and the overlay still too: shows the same. */
		assert_sees(rig, o, "2", NULL, NULL, "hellOVER", "\0\0x");
		overlay_trim(o, rig->index);
		assert_sees(rig, o, "2", NULL, NULL, "hellOVER", "\0\0x");
		assert_int_equal(overlay_entry_count(o), 2 - i);
	}
	assert_int_equal(overlay_bytes(o), 0);
	overlay_free(o);
}

static void a_reset_overlay_shows_nothing_and_can_be_filled_again(void **state)
{
	struct kv_rig *rig = *state;
	struct overlay *o = overlay_new();
	struct blob *b = make(rig, 1, fill_one);

	assert_int_equal(overlay_push(o, 2, 1, b), 0);
	overlay_reset(o);
	assert_int_equal(overlay_entry_count(o), 0);
	assert_int_equal(overlay_bytes(o), 0);
	assert_sees(rig, o, NULL, NULL, NULL, "\0\0\0\0\0\0\0\0", "\0\0\0");
	assert_int_equal(overlay_push(o, 2, 1, b), 0);
	assert_sees(rig, o, "1", "1", NULL, "hello\0\0\0", "six");
	overlay_free(o);
	overlay_free(NULL);
	blob_unref(b);
}

static void entries_without_mutations_count_and_damaged_ones_do_not(void **state)
{
	struct overlay *o = overlay_new();
	struct blob *junk = blob_from("junk", 4);

	assert_int_equal(overlay_push(o, 9, 2, NULL), 0);
	assert_int_equal(overlay_push(o, 12, 2, junk), -EUCLEAN);
	assert_int_equal(overlay_entry_count(o), 1);
	overlay_trim(o, 8);
	assert_int_equal(overlay_entry_count(o), 1);
	overlay_trim(o, 20);
	assert_int_equal(overlay_entry_count(o), 0);
	blob_unref(junk);
	overlay_free(o);
}

/* The caller may drop its reference: the overlay has its own. */
static void pushed_batches_are_referenced(void **state)
{
	struct kv_rig *rig = *state;
	struct overlay *o = overlay_new();
	struct blob *b = make(rig, 1, fill_one);

	assert_int_equal(overlay_push(o, 2, 1, b), 0);
	blob_unref(b);
	assert_sees(rig, o, "1", "1", NULL, "hello\0\0\0", "six");
	overlay_free(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(entries_show_until_trimmed_and_then_in_the_view),
		BOTH(a_reset_overlay_shows_nothing_and_can_be_filled_again),
		BOTH(entries_without_mutations_count_and_damaged_ones_do_not),
		BOTH(pushed_batches_are_referenced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
