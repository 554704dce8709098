/*
 * test_txn.c - a transaction reads what a trivial model says: view, overlay and own mutations as one.
 *
 * The model is arrays: a value per key, bytes and a row length per block. It is changed beside every
 * mutation and compared after each; entries are applied late, in runs, so that the view lags
 * behind and the overlay carries the difference.
 */
#include "kv_rig.h"

#define KEYS 40
#define INOS 3
#define FILE_BLOCKS 4
#define FILE_BYTES (FILE_BLOCKS * KV_BLOCK_SIZE)
#define LAG_MAX 6
#define NAME_SIZE 32

struct model {
	int32_t value[KEYS];                 /* -1: absent */
	uint32_t row_len[INOS][FILE_BLOCKS]; /* 0: no row */
	uint8_t *data[INOS];                 /* FILE_BYTES each */
};

static void model_init(struct model *m)
{
	for (size_t i = 0; i < KEYS; i++)
		m->value[i] = -1;
	memset(m->row_len, 0, sizeof(m->row_len));
	for (size_t i = 0; i < INOS; i++)
		m->data[i] = mem_calloc(1, FILE_BYTES);
}

static void model_release(struct model *m)
{
	for (size_t i = 0; i < INOS; i++)
		free(m->data[i]);
}

static void key_name(size_t n, char key[NAME_SIZE])
{
	/* Two classes, one key a prefix of others, and bytes above 0x7f. */
	if (n % 7 == 0)
		snprintf(key, NAME_SIZE, "d%c\xfe%c", (char)('a' + n % 5), (char)('0' + n / 7));
	else
		snprintf(key, NAME_SIZE, "k%.*s%zu", (int)(n % 3), "xx", n);
}

static void model_write(struct model *m, size_t f, uint32_t off, const uint8_t *data, uint32_t len)
{
	memcpy(m->data[f] + off, data, len);
	for (uint32_t b = off / KV_BLOCK_SIZE; len > 0 && b <= (off + len - 1) / KV_BLOCK_SIZE;
	     b++) {
		uint32_t end = off + len - b * KV_BLOCK_SIZE;

		end = end < KV_BLOCK_SIZE ? end : KV_BLOCK_SIZE;
		if (end > m->row_len[f][b])
			m->row_len[f][b] = end;
	}
}

static void model_punch(struct model *m, size_t f, uint32_t off, uint32_t len)
{
	memset(m->data[f] + off, 0, len);
	for (uint32_t b = 0; b < FILE_BLOCKS; b++) {
		uint32_t start = b * KV_BLOCK_SIZE, from, to;

		if (off + len <= start || off >= start + KV_BLOCK_SIZE)
			continue;
		from = off > start ? off - start : 0;
		to = off + len - start;
		if (to >= m->row_len[f][b] && from < m->row_len[f][b])
			m->row_len[f][b] = from;
	}
}

/* ---- one random step on txn and model alike ---- */

static uint32_t random_off(struct prng *p)
{
	/* Often near the edges of pieces and blocks, where mistakes live. */
	uint32_t off = (uint32_t)prng_below(p, FILE_BYTES);

	switch (prng_below(p, 3)) {
	case 0:
		return off;
	case 1:
		return off / KV_PIECE_SIZE * KV_PIECE_SIZE;
	default:
		return off / KV_BLOCK_SIZE * KV_BLOCK_SIZE;
	}
}

static uint32_t random_len(struct prng *p, uint32_t off)
{
	static const uint32_t sizes[] = { 1,
					  100,
					  KV_PIECE_SIZE,
					  KV_PIECE_SIZE + 1,
					  KV_BLOCK_SIZE,
					  2 * KV_BLOCK_SIZE,
					  3 * KV_BLOCK_SIZE - 5 };
	uint32_t len = sizes[prng_below(p, ARRAY_SIZE(sizes))];

	return (uint32_t)min_u64(len, FILE_BYTES - off);
}

static void step_key(struct prng *p, struct kv_txn *t, struct model *m)
{
	size_t n = prng_below(p, KEYS);
	int32_t value = (int32_t)prng_below(p, 1000);
	char key[NAME_SIZE], text[16];

	key_name(n, key);
	if (prng_below(p, 3) == 0) {
		kv_txn_delete(t, key, strlen(key));
		m->value[n] = -1;
		return;
	}
	snprintf(text, sizeof(text), "%d", value);
	kv_txn_put(t, key, strlen(key), text, strlen(text));
	m->value[n] = value;
}

static void step_block(struct prng *p, struct kv_txn *t, struct model *m)
{
	size_t f = prng_below(p, INOS);
	uint32_t off = random_off(p), len = random_len(p, off);
	uint32_t first = (uint32_t)prng_below(p, FILE_BLOCKS);
	uint32_t count = 1 + (uint32_t)prng_below(p, FILE_BLOCKS - first);
	uint8_t *data;

	switch (prng_below(p, 6)) {
	case 0:
		kv_txn_drop_blocks(t, f, first, count);
		model_punch(m, f, first * KV_BLOCK_SIZE, count * KV_BLOCK_SIZE);
		break;
	case 1:
		kv_txn_punch(t, f, off, len);
		model_punch(m, f, off, len);
		break;
	case 2:
		/* A truncate: to the end of everything. */
		kv_txn_punch(t, f, off, UINT64_MAX);
		model_punch(m, f, off, FILE_BYTES - off);
		break;
	default:
		data = mem_alloc(len);
		for (uint32_t i = 0; i < len; i += 8)
			memcpy(data + i, &(uint64_t){ prng_u64(p) }, len - i < 8 ? len - i : 8);
		kv_txn_write(t, f, off, data, len);
		model_write(m, f, off, data, len);
		free(data);
	}
}

/* ---- comparing ---- */

struct expect {
	const struct model *m;
	size_t seen;
	char last[NAME_SIZE];
};

static int check_row(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *value,
		     size_t len)
{
	struct expect *e = ctx;
	char name[NAME_SIZE], want[16];

	for (size_t n = 0; n < KEYS; n++) {
		key_name(n, name);
		if (strlen(name) != key_len || memcmp(name, key, key_len) != 0)
			continue;
		assert_true(e->m->value[n] >= 0);
		snprintf(want, sizeof(want), "%d", e->m->value[n]);
		assert_int_equal(len, strlen(want));
		assert_memory_equal(value, want, len);
		assert_true(strcmp(e->last, name) < 0);
		memcpy(e->last, name, sizeof(name));
		e->seen++;
		return 0;
	}
	fail_msg("a key that was never written");
	return -1;
}

static void check_scan(struct kv_txn *t, const struct model *m, const char *prefix,
		       const char *after)
{
	struct expect e = { .m = m };
	size_t want = 0;
	char name[NAME_SIZE];

	for (size_t n = 0; n < KEYS; n++) {
		key_name(n, name);
		want += m->value[n] >= 0 && strncmp(name, prefix, strlen(prefix)) == 0 &&
			strcmp(name, after) > 0;
	}
	assert_int_equal(
		kv_txn_scan(t, prefix, strlen(prefix), after, strlen(after), check_row, &e), 0);
	assert_int_equal(e.seen, want);
}

static void check_keys(struct prng *p, struct kv_txn *t, const struct model *m)
{
	char name[NAME_SIZE], after[NAME_SIZE], want[16];

	for (size_t n = 0; n < KEYS; n++) {
		key_name(n, name);
		snprintf(want, sizeof(want), "%d", m->value[n]);
		rig_assert_value(t, name, m->value[n] < 0 ? NULL : want);
	}
	key_name(prng_below(p, KEYS), after);
	check_scan(t, m, "", "");
	check_scan(t, m, "k", "");
	check_scan(t, m, "kx", after);
	check_scan(t, m, "d", after);
}

static void check_blocks(struct prng *p, struct kv_txn *t, const struct model *m)
{
	uint8_t *got = mem_alloc(FILE_BYTES);

	for (size_t f = 0; f < INOS; f++) {
		uint32_t off = random_off(p), len = random_len(p, off);
		uint32_t block = 0;

		assert_int_equal(kv_txn_read(t, f, 0, got, FILE_BYTES), 0);
		assert_memory_equal(got, m->data[f], FILE_BYTES);
		assert_int_equal(kv_txn_read(t, f, off, got, len), 0);
		assert_memory_equal(got, m->data[f] + off, len);
		for (uint32_t from = 0; from <= FILE_BLOCKS; from++) {
			uint32_t want = from;
			int ret = kv_txn_next_block(t, f, from, &block);

			while (want < FILE_BLOCKS && m->row_len[f][want] == 0)
				want++;
			assert_int_equal(ret, want < FILE_BLOCKS ? 0 : -ENOENT);
			if (ret == 0)
				assert_int_equal(block, want);
		}
	}
	free(got);
}

static void check(struct prng *p, struct kv_txn *t, const struct model *m)
{
	check_keys(p, t, m);
	check_blocks(p, t, m);
}

/* ---- the run ---- */

struct proposed {
	struct blob *batch[LAG_MAX];
	size_t count;
};

/* Applies the oldest n proposals in one transaction and lets the view follow. */
static void apply_some(struct kv_rig *rig, struct overlay *o, struct proposed *q, size_t n)
{
	struct raft_entry run[LAG_MAX] = { { .index = 0 } };
	struct err err = ERR_INIT;

	for (size_t i = 0; i < n; i++)
		run[i] = (struct raft_entry){ .index = rig->index + 1 + i,
					      .term = 1,
					      .type = RAFT_ENTRY_NORMAL,
					      .data = q->batch[i] };
	if (kv_apply(rig->kv, run, n, &err) < 0)
		fail_msg("%s", err.text);
	for (size_t i = 0; i < n; i++)
		blob_unref(q->batch[i]);
	q->count -= n;
	memmove(q->batch, q->batch + n, q->count * sizeof(q->batch[0]));
	rig->index += n;
	if (n % 2 == 0)
		return; /* the view stays behind for a while */
	assert_int_equal(kv_view_refresh(rig->view), 0);
	overlay_trim(o, kv_view_meta(rig->view)->applied_index);
}

static void reads_equal_a_model_under_random_work(void **state)
{
	struct kv_rig *rig = *state;
	struct overlay *o = overlay_new();
	struct proposed q = { .count = 0 };
	struct model m;
	struct prng p;

	prng_init(&p, 0x51c3);
	model_init(&m);
	for (int round = 0; round < 250; round++) {
		struct kv_txn *t = kv_txn_new(rig->view, o);
		struct kv_batch_head head = rig_head(rig);
		uint64_t index = rig->index + q.count + 1;

		for (uint64_t n = 1 + prng_below(&p, 8); n > 0; n--) {
			if (prng_below(&p, 2) == 0)
				step_key(&p, t, &m);
			else
				step_block(&p, t, &m);
		}
		check(&p, t, &m);
		head.prev_index = index - 1;
		q.batch[q.count] = kv_txn_batch(t, &head);
		assert_int_equal(overlay_push(o, index, 1, q.batch[q.count++]), 0);
		kv_txn_free(t);
		t = kv_txn_new(rig->view, o);
		assert_true(kv_txn_is_empty(t));
		check(&p, t, &m);
		kv_txn_free(t);
		if (q.count == LAG_MAX || prng_below(&p, 3) == 0)
			apply_some(rig, o, &q, 1 + prng_below(&p, q.count));
	}
	while (q.count > 0)
		apply_some(rig, o, &q, 1);
	assert_int_equal(overlay_entry_count(o), 0);
	struct kv_txn *t = kv_txn_new(rig->view, NULL);
	check(&p, t, &m);
	kv_txn_free(t);
	rig_check_digest(rig->view, NULL);
	model_release(&m);
	overlay_free(o);
}

/* ---- what a batch is made of ---- */

static size_t mutations_of(struct kv_txn *t, struct kv_mutation *out, size_t max,
			   struct blob **batch)
{
	struct kv_batch_head head = { .group = RIG_GROUP };
	struct kv_batch_iter it;
	size_t n = 0;

	*batch = kv_txn_batch(t, &head);
	assert_int_equal(kv_batch_decode(&head, &it, (*batch)->data, (*batch)->len), 0);
	while (n < max && kv_batch_next(&it, &out[n]))
		n++;
	return n;
}

static void whole_blocks_are_put_and_parts_patched(void **state)
{
	struct kv_rig *rig = *state;
	struct kv_txn *t = kv_txn_new(rig->view, NULL);
	uint8_t *data = mem_calloc(3, KV_BLOCK_SIZE);
	struct kv_mutation m[8];
	struct blob *b;

	assert_true(kv_txn_is_empty(t));
	kv_txn_write(t, 9, KV_BLOCK_SIZE - 10, data, 2 * KV_BLOCK_SIZE);
	assert_false(kv_txn_is_empty(t));
	assert_int_equal(mutations_of(t, m, 8, &b), 3);
	assert_int_equal(m[0].type, KV_BLOCK_PATCH);
	assert_int_equal(m[0].off, KV_BLOCK_SIZE - 10);
	assert_int_equal(m[0].data_len, 10);
	assert_int_equal(m[1].type, KV_BLOCK_PUT);
	assert_int_equal(m[1].block, 1);
	assert_int_equal(m[1].data_len, KV_BLOCK_SIZE);
	assert_int_equal(m[2].type, KV_BLOCK_PATCH);
	assert_int_equal(m[2].data_len, KV_BLOCK_SIZE - 10);
	kv_txn_free(t);
	blob_unref(b);
	free(data);
}

static void a_punch_drops_whole_blocks_and_punches_the_rest(void **state)
{
	struct kv_rig *rig = *state;
	struct kv_txn *t = kv_txn_new(rig->view, NULL);
	struct kv_mutation m[8];
	struct blob *b;

	kv_txn_punch(t, 9, 5, 0);
	kv_txn_drop_blocks(t, 9, 5, 0);
	assert_true(kv_txn_is_empty(t));
	kv_txn_punch(t, 9, 100, 3 * KV_BLOCK_SIZE);
	kv_txn_punch(t, 9, KV_BLOCK_SIZE, UINT64_MAX);
	assert_int_equal(mutations_of(t, m, 8, &b), 4);
	assert_int_equal(m[0].type, KV_BLOCK_PUNCH);
	assert_int_equal(m[0].off, 100);
	assert_int_equal(m[0].len, KV_BLOCK_SIZE - 100);
	assert_int_equal(m[1].type, KV_BLOCK_DROP);
	assert_int_equal(m[1].block, 1);
	assert_int_equal(m[1].len, 2);
	assert_int_equal(m[2].type, KV_BLOCK_PUNCH);
	assert_int_equal(m[2].block, 3);
	assert_int_equal(m[2].len, 100);
	assert_int_equal(m[3].type, KV_BLOCK_DROP);
	assert_int_equal(m[3].len, KV_BLOCKS_PER_INO - 1);
	kv_txn_free(t);
	blob_unref(b);
}

static void the_last_byte_of_the_largest_file_can_be_written(void **state)
{
	struct kv_rig *rig = *state;
	struct kv_txn *t = kv_txn_new(rig->view, NULL);
	uint8_t got[2];
	uint32_t block;

	kv_txn_write(t, KV_INO_MAX, KV_FILE_SIZE_MAX - 1, "!", 1);
	assert_int_equal(kv_txn_read(t, KV_INO_MAX, KV_FILE_SIZE_MAX - 2, got, 2), 0);
	assert_memory_equal(got, "\0!", 2);
	assert_int_equal(rig_apply_txn(rig, t), 0);
	t = kv_txn_new(rig->view, NULL);
	assert_int_equal(kv_txn_read(t, KV_INO_MAX, KV_FILE_SIZE_MAX - 2, got, 2), 0);
	assert_memory_equal(got, "\0!", 2);
	assert_int_equal(kv_txn_next_block(t, KV_INO_MAX, 0, &block), 0);
	assert_int_equal(block, KV_BLOCKS_PER_INO - 1);
	kv_txn_drop_blocks(t, KV_INO_MAX, 0, KV_BLOCKS_PER_INO);
	assert_int_equal(kv_txn_next_block(t, KV_INO_MAX, 0, &block), -ENOENT);
	assert_int_equal(kv_txn_next_block(t, KV_INO_MAX, KV_BLOCKS_PER_INO, &block), -ENOENT);
	assert_int_equal(rig_apply_txn(rig, t), 0);
	rig_check_digest(rig->view, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(reads_equal_a_model_under_random_work),
		BOTH(whole_blocks_are_put_and_parts_patched),
		BOTH(a_punch_drops_whole_blocks_and_punches_the_rest),
		BOTH(the_last_byte_of_the_largest_file_can_be_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
