/*
 * crash_rig.h - one node's store on a simulated disk, and what it promised.
 *
 * The node appends, votes, applies, checkpoints, seals, cuts and installs as a replica does, dies in
 * any of its calls and comes back; `log` is what an honest disk must still know then. Entries that
 * others committed come from a donor on a disk of its own that never fails. All is drawn from a seed.
 */
#ifndef TESTS_SIM_CRASH_RIG_H
#define TESTS_SIM_CRASH_RIG_H

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/prng.h"
#include "store/sealed.h"
#include "store/segment.h"
#include "store/store.h"
#include "tests/lib/unit.h"
#include "tests/sim/sim_disk.h"
#include "tests/sim/threads.h"

#define RIG_GROUP 3u
#define RIG_INDEX_MAX 4096u

/* An entry, and the client's session once it is applied. */
struct rig_entry {
	uint64_t term;
	struct blob *data;
	uint64_t session_id, seq;
	uint8_t digest[KV_DIGEST_SIZE]; /* committed: of the state at this entry */
};

struct rig_log { /* by index; entry 1 is store_init()'s */
	struct rig_entry v[RIG_INDEX_MAX];
	uint64_t last;
};

struct rig_store {
	char path[64];
	struct sim_disk *disk;
	struct store *store;
	struct store_boot boot;
	struct kv *kv;
	uint64_t applied;
};

/* What the call under way may have done when the process died in it. */
struct rig_pending {
	bool hard;
	struct raft_hard_state hard_state;
	uint64_t from, count; /* entries in `next`, of index from on; count 0: none */
	uint64_t base;        /* 0: no cut */
	uint64_t applied;     /* 0: nothing is applied */
	uint64_t install;     /* 0: none */
};

struct rig {
	struct prng rnd;
	struct rig_store node, donor;
	struct rig_log canon;   /* what is committed */
	struct kv *mirror;      /* what that makes of a state */
	struct rig_log own;     /* what the node's log promised to hold */
	struct rig_entry *next; /* being persisted, from pending.from on */
	struct rig_pending pending;
	struct raft_hard_state hard;
	uint64_t incarnation, base, durable;
	uint64_t newest_term;             /* of anybody: each has one leader */
	uint64_t tail_from;               /* first entry of the last call that appended */
	struct raft_snapshot_meta sealed; /* the newest one that is promised; index 0: none */
	bool made;                        /* store_init() came back */
	bool dead;                        /* a call failed: this life is over */
	bool may_fail;                    /* faults are armed */
	bool lost;                        /* power was lost since the node was last looked at */
	bool damaged;                     /* bytes were changed: errors that tell are welcome */
	bool closed;                      /* by store_close(), and nothing since */
	struct kv_view *held;             /* a reader that keeps checkpoints from being complete */
	struct err err;                   /* why */
	uint64_t lives, power_losses, installs, cuts, told;
};

/* ---- time: it stands still, nobody has to wait ---------------------------------------------------- */

uint64_t clock_boot_ns(void)
{
	return 1000000000;
}

uint64_t clock_boot_ms(void)
{
	return 1000;
}

int64_t clock_wall_ns(void)
{
	return 1700000000000000000;
}

void clock_sleep_ms(uint64_t ms)
{
	(void)ms;
}

/* ---- entries ---------------------------------------------------------------------------------------- */

static inline uint64_t rig_draw(struct rig *r, uint64_t below)
{
	return prng_below(&r->rnd, below);
}

static inline void rig_put_mutations(struct rig *r, uint64_t index, struct buf *b)
{
	uint8_t data[KV_BLOCK_SIZE], n[8];
	struct kv_mutation put = { .type = KV_PUT,
				   .key = (const uint8_t *)"n",
				   .key_len = 1,
				   .data = n,
				   .data_len = sizeof(n) };
	struct kv_mutation write = { .type = KV_BLOCK_PATCH,
				     .ino = 5,
				     .block = (uint32_t)rig_draw(r, 6),
				     .off = (uint32_t)rig_draw(r, 5000),
				     .data = data,
				     .data_len =
					     1 + rig_draw(r, rig_draw(r, 8) == 0 ? 11000 : 600) };
	uint64_t noise = prng_u64(&r->rnd);

	for (size_t i = 0; i < sizeof(data); i += 8)
		store_le64(data + i, noise + i * UINT64_C(0x9e3779b97f4a7c15));
	store_le64(n, index);
	kv_mutation_encode(&put, b);
	kv_mutation_encode(&write, b);
}

/* The next operation of the client, valid directly behind prev. */
static inline struct rig_entry rig_make_entry(struct rig *r, uint64_t index,
					      const struct rig_entry *prev, uint64_t term)
{
	struct rig_entry e = { .term = term, .seq = prev->seq + 1 };
	struct kv_batch_head head = {
		.group = RIG_GROUP,
		.prev_index = index - 1,
		.prev_term = prev->term,
		.has_session = true,
		.seq = e.seq,
		.low = e.seq > 4 ? e.seq - 4 : 1,
		.begins = prev->session_id == 0,
		.reply = (const uint8_t *)"done",
		.reply_len = 4,
	};
	struct buf b = BUF_INIT;

	memset(head.uuid, 0xc1, sizeof(head.uuid));
	e.session_id = head.session_id = head.begins ? index : prev->session_id;
	kv_batch_encode_head(&head, &b);
	rig_put_mutations(r, index, &b);
	e.data = blob_from(b.data, b.len);
	buf_release(&b);
	return e;
}

static inline struct raft_entry rig_raft_entry(const struct rig_entry *e, uint64_t index)
{
	return (struct raft_entry){
		.index = index, .term = e->term, .type = RAFT_ENTRY_NORMAL, .data = e->data
	};
}

static inline void rig_log_cut(struct rig_log *log, uint64_t last)
{
	for (; log->last > last; log->last--)
		if (log->v[log->last].data)
			blob_unref(log->v[log->last].data);
}

/* ---- the model ---------------------------------------------------------------------------------------- */

static inline int rig_read_meta(struct kv *kv, struct kv_meta *meta, struct err *err)
{
	struct kv_view *view;
	int ret = kv_view_open(kv, &view, err);

	if (ret < 0)
		return ret;
	*meta = *kv_view_meta(view);
	kv_view_close(view);
	return 0;
}

static inline struct rig_entry rig_entry_ref(const struct rig_entry *e)
{
	if (e->data)
		blob_ref(e->data);
	return *e;
}

/* From now on it must never be lost. Takes a reference. */
static inline void rig_commit_entry(struct rig *r, const struct rig_entry *entry)
{
	struct rig_entry *e = &r->canon.v[++r->canon.last];
	struct raft_entry v = rig_raft_entry(entry, r->canon.last);
	struct err err = ERR_INIT;
	struct kv_meta meta;

	*e = rig_entry_ref(entry);
	if (kv_apply(r->mirror, &v, 1, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(rig_read_meta(r->mirror, &meta, &err), 0);
	memcpy(e->digest, meta.digest, sizeof(e->digest));
}

static inline bool rig_same(const struct rig_entry *a, const struct rig_entry *b)
{
	return a->term == b->term && a->data == b->data;
}

/* The last entry up to which the node's log is what is committed. */
static inline uint64_t rig_matched(const struct rig *r)
{
	uint64_t i = min_u64(r->own.last, r->canon.last);

	while (!rig_same(&r->own.v[i], &r->canon.v[i]))
		i--;
	return i;
}

static inline bool rig_is_behind(const struct rig *r)
{
	return rig_matched(r) < r->canon.last;
}

/* The node's log becomes what is committed up to there, and no more. */
static inline void rig_own_canon(struct rig *r, uint64_t last)
{
	rig_log_cut(&r->own, 0);
	for (uint64_t i = 1; i <= last; i++)
		r->own.v[i] = rig_entry_ref(&r->canon.v[i]);
	r->own.last = last;
}

/* ---- a store ------------------------------------------------------------------------------------------ */

static inline struct store_identity rig_identity(uint64_t node)
{
	struct store_identity identity = { .group = RIG_GROUP, .node_id = node };

	memset(identity.cluster, 0xab, sizeof(identity.cluster));
	return identity;
}

static inline struct raft_conf rig_conf(void)
{
	struct raft_conf conf = { .count = 1 };

	conf.members[0] =
		(struct raft_member){ .id = 7, .role = RAFT_VOTER, .address = "127.0.0.1:1" };
	return conf;
}

static inline int rig_store_init(struct rig_store *s, uint64_t node, struct err *err)
{
	struct store_identity identity = rig_identity(node);
	struct raft_conf conf = rig_conf();

	return store_init(s->path, &identity, &conf, err);
}

/* As a process that ends; whether it was one that died is the disk's business. */
static inline void rig_store_close(struct rig_store *s)
{
	if (!s->store)
		return;
	store_boot_release(&s->boot);
	kv_unref(s->kv);
	store_close(s->store);
	s->kv = NULL;
	s->store = NULL;
}

static inline int rig_store_open(struct rig_store *s, struct err *err)
{
	struct store_options options = { .segment_bytes = SEGMENT_SIZE_MIN, .spare_segments = 1 };
	struct kv_meta meta;
	int ret = store_open(s->path, RIG_GROUP, &options, &s->store, &s->boot, &s->kv, err);

	if (ret < 0)
		return ret;
	ret = rig_read_meta(s->kv, &meta, err);
	if (ret < 0)
		rig_store_close(s);
	else
		s->applied = meta.applied_index;
	return ret;
}

static inline int rig_store_apply(struct rig_store *s, const struct rig_log *log, uint64_t upto,
				  struct err *err)
{
	struct raft_entry v[64];
	size_t count = 0;
	int ret;

	for (uint64_t i = s->applied + 1; i <= upto && count < ARRAY_SIZE(v); i++)
		v[count++] = rig_raft_entry(&log->v[i], i);
	if (count == 0)
		return 0;
	ret = kv_apply(s->kv, v, count, err);
	if (ret == 0)
		s->applied += count;
	return ret;
}

/* ---- life and death ---------------------------------------------------------------------------------- */

static uint64_t rig_cases; /* begun */

static inline void rig_start(struct rig *r, uint64_t seed)
{
	struct kv_meta meta = { .group = RIG_GROUP, .applied_index = 1, .applied_term = 1 };
	struct store_identity identity = rig_identity(7);

	rig_cases++;
	sim_machine_seed(seed);
	memset(r, 0, sizeof(*r));
	prng_init(&r->rnd, seed);
	r->err = ERR_INIT;
	r->node.disk = sim_disk_new("n", prng_u64(&r->rnd));
	r->donor.disk = sim_disk_new("donor", prng_u64(&r->rnd));
	snprintf(r->node.path, sizeof(r->node.path), "%s/s", sim_disk_root(r->node.disk));
	snprintf(r->donor.path, sizeof(r->donor.path), "%s/s", sim_disk_root(r->donor.disk));
	memcpy(meta.cluster, identity.cluster, sizeof(meta.cluster));
	meta.conf = rig_conf();
	meta.conf.index = 1;
	r->mirror = kv_new_memory(&meta);
	r->canon.last = r->own.last = r->base = r->durable = 1;
	r->canon.v[1].term = r->own.v[1].term = 1;
	r->hard.term = r->newest_term = 1;
	r->base = 0;
	if (rig_store_init(&r->donor, 8, &r->err) < 0 || rig_store_open(&r->donor, &r->err) < 0)
		fail_msg("donor: %s", r->err.text);
}

static inline void rig_settled(struct rig *r)
{
	for (uint64_t i = 0; i < r->pending.count; i++)
		blob_unref(r->next[i].data);
	free(r->next);
	r->next = NULL;
	r->pending = (struct rig_pending){ .hard = false };
}

static inline void rig_stop(struct rig *r)
{
	rig_store_close(&r->node);
	rig_store_close(&r->donor);
	rig_settled(r);
	rig_log_cut(&r->own, 0);
	rig_log_cut(&r->canon, 0);
	kv_unref(r->mirror);
	assert_int_equal(sim_disk_open_handles(r->node.disk), 0);
	assert_int_equal(sim_disk_open_handles(r->donor.disk), 0);
	sim_disk_free(r->node.disk);
	sim_disk_free(r->donor.disk);
}

/* A call's result: false ends this life, which only a fault may do. */
static inline bool rig_went(struct rig *r, int ret)
{
	if (ret >= 0)
		return true;
	if (!r->may_fail && !r->damaged && !sim_disk_died(r->node.disk))
		fail_msg("nothing was broken, and yet: %s", r->err.text);
	r->dead = true;
	return false;
}

static inline void rig_release_view(struct rig *r)
{
	kv_view_close(r->held);
	r->held = NULL;
}

/* The process ends; with clean it says so first. */
static inline void rig_end(struct rig *r, bool clean, bool power_loss)
{
	if (clean)
		rig_release_view(r);
	r->closed = clean && !r->dead && !r->may_fail && r->node.store;
	if (clean)
		rig_store_close(&r->node);
	r->closed = r->closed && !sim_disk_died(r->node.disk);
	sim_disk_crash(r->node.disk, power_loss);
	rig_release_view(r);
	rig_store_close(&r->node);
	sim_disk_revive(r->node.disk);
	r->dead = r->may_fail = false;
	r->lost = r->lost || power_loss;
	r->lives++;
	r->power_losses += power_loss;
}

/* ---- what a node does --------------------------------------------------------------------------------- */

/* Entries v behind what the node holds up to from - 1; a new term when they replace some. Takes next. */
static inline void rig_persist(struct rig *r, uint64_t from, struct rig_entry *next, uint64_t count,
			       const struct raft_hard_state *hard)
{
	struct raft_entry *v = mem_calloc(count, sizeof(*v));
	struct store_batch batch = { .entries = v, .entry_count = count };

	rig_settled(r);
	r->next = next;
	r->pending = (struct rig_pending){ .from = from, .count = count };
	if (hard) {
		r->pending.hard = batch.set_hard = true;
		r->pending.hard_state = batch.hard = *hard;
	}
	for (uint64_t i = 0; i < count; i++)
		v[i] = rig_raft_entry(&next[i], from + i);
	if (rig_went(r, store_persist(r->node.store, &batch, 1, &r->err))) {
		if (hard)
			r->hard = *hard;
		rig_log_cut(&r->own, from - 1);
		for (uint64_t i = 0; i < count; i++)
			r->own.v[++r->own.last] = next[i];
		r->tail_from = from;
		r->pending.count = 0; /* they are the log's now */
		rig_settled(r);
	}
	free(v);
}

/* New entries: behind the last one, or in a newer term instead of some that are not committed. */
static inline void rig_append(struct rig *r)
{
	uint64_t count = 1 + rig_draw(r, rig_draw(r, 4) == 0 ? 12 : 3);
	uint64_t spare = r->own.last - r->canon.last;
	uint64_t from = r->own.last + 1;
	struct raft_hard_state hard = { .vote = rig_draw(r, 4) };
	bool newer = rig_draw(r, 4) == 0;
	struct rig_entry *next = mem_calloc(count, sizeof(*next));

	if (newer && spare > 0)
		from -= rig_draw(r, spare + 1);
	hard.term = newer ? ++r->newest_term : r->hard.term;
	for (uint64_t i = 0; i < count; i++)
		next[i] = rig_make_entry(r, from + i, i > 0 ? &next[i - 1] : &r->own.v[from - 1],
					 hard.term);
	rig_persist(r, from, next, count, newer ? &hard : NULL);
}

/* What was committed elsewhere, as the leader sends it. */
static inline void rig_catch_up(struct rig *r)
{
	uint64_t from = rig_matched(r) + 1;
	uint64_t count = 1 + rig_draw(r, min_u64(r->canon.last - from + 1, 12));
	struct raft_hard_state hard = { .term = r->canon.v[from + count - 1].term };
	struct rig_entry *next = mem_calloc(count, sizeof(*next));

	for (uint64_t i = 0; i < count; i++)
		next[i] = rig_entry_ref(&r->canon.v[from + i]);
	rig_persist(r, from, next, count, hard.term > r->hard.term ? &hard : NULL);
}

static inline void rig_vote(struct rig *r, uint64_t term)
{
	struct store_batch batch = { .set_hard = true };

	rig_settled(r);
	r->pending.hard = true;
	r->pending.hard_state = (struct raft_hard_state){ .term = term, .vote = rig_draw(r, 4) };
	batch.hard = r->pending.hard_state;
	if (rig_went(r, store_persist(r->node.store, &batch, 1, &r->err))) {
		r->hard = r->pending.hard_state;
		rig_settled(r);
	}
}

static inline void rig_commit(struct rig *r)
{
	uint64_t upto = r->canon.last + rig_draw(r, r->own.last - r->canon.last + 1);

	while (r->canon.last < upto)
		rig_commit_entry(r, &r->own.v[r->canon.last + 1]);
}

static inline void rig_apply(struct rig *r)
{
	uint64_t upto = rig_matched(r);

	if (upto <= r->node.applied)
		return;
	rig_settled(r);
	r->pending.applied = min_u64(upto, r->node.applied + 64);
	if (rig_went(r, rig_store_apply(&r->node, &r->canon, upto, &r->err)))
		rig_settled(r);
}

static inline void rig_checkpoint(struct rig *r)
{
	uint64_t durable = 0;

	rig_settled(r);
	if (rig_went(r, kv_checkpoint(r->node.kv, &durable, &r->err))) {
		assert_true(durable >= r->durable && durable <= r->node.applied);
		r->durable = durable;
	}
}

/* Somebody begins to read, or ends. */
static inline void rig_read(struct rig *r)
{
	if (r->held)
		rig_release_view(r);
	else
		(void)rig_went(r, kv_view_open(r->node.kv, &r->held, &r->err));
}

static inline void rig_seal(struct rig *r)
{
	struct raft_snapshot_meta meta;

	rig_settled(r);
	if (rig_went(r, store_snapshot_create(r->node.store, r->node.kv, &meta, NULL, &r->err))) {
		assert_int_equal(meta.index, r->node.applied);
		r->sealed = meta;
	}
}

static inline void rig_cut(struct rig *r)
{
	uint64_t to = min_u64(min_u64(r->durable, r->sealed.index), r->own.last);

	if (to <= r->base)
		return;
	to -= rig_draw(r, 3) == 0 ? rig_draw(r, to - r->base) : 0;
	rig_settled(r);
	r->pending.base = to;
	if (rig_went(r, store_cut_prefix(r->node.store, to, &r->err))) {
		r->base = to;
		r->cuts++;
		rig_settled(r);
	}
}

/* ---- others, and their snapshots ------------------------------------------------------------------------ */

/* Others committed entries that the node has not heard of, perhaps instead of some it holds. */
static inline void rig_elsewhere(struct rig *r)
{
	uint64_t term = ++r->newest_term;

	for (uint64_t i = 0, count = 1 + rig_draw(r, 6); i < count; i++) {
		struct rig_entry e =
			rig_make_entry(r, r->canon.last + 1, &r->canon.v[r->canon.last], term);

		rig_commit_entry(r, &e);
		blob_unref(e.data);
	}
}

static inline void rig_donor_follows(struct rig *r)
{
	struct rig_store *s = &r->donor;

	for (uint64_t i = s->applied + 1; i <= r->canon.last; i++) {
		struct raft_entry e = rig_raft_entry(&r->canon.v[i], i);
		struct store_batch batch = { .set_hard = true,
					     .hard = { .term = e.term },
					     .entries = &e,
					     .entry_count = 1 };

		if (store_persist(s->store, &batch, 1, &r->err) < 0)
			fail_msg("donor: %s", r->err.text);
	}
	while (s->applied < r->canon.last)
		if (rig_store_apply(s, &r->canon, r->canon.last, &r->err) < 0)
			fail_msg("donor: %s", r->err.text);
}

static inline int rig_pull(struct rig *r, const struct raft_snapshot_meta *meta)
{
	struct buf bytes = BUF_INIT;
	struct store_receive *rx = NULL;
	int ret;

	assert_int_equal(store_snapshot_manifest(r->donor.store, meta, &bytes, &r->err), 0);
	ret = store_receive_begin(r->node.store, meta, bytes.data, bytes.len, &rx, &r->err);
	while (ret == 0) {
		uint32_t n = store_receive_next(rx, 0);

		if (n >= store_receive_chunk_count(rx))
			break;
		buf_reset(&bytes);
		assert_int_equal(store_snapshot_chunk(r->donor.store, meta, n, &bytes, &r->err), 0);
		ret = store_receive_chunk(rx, n, bytes.data, bytes.len, &r->err);
	}
	if (ret == 0)
		ret = store_receive_finish(rx, &r->err);
	store_receive_free(rx);
	buf_release(&bytes);
	return ret;
}

/* The store's own rule: what follows a matching entry stays, else the log is empty. */
static inline void rig_own_install(struct rig *r, uint64_t index)
{
	if (r->own.last < index || r->own.v[index].term != r->canon.v[index].term) {
		rig_own_canon(r, index);
		r->tail_from = index + 1;
	}
	r->base = r->durable = index;
	r->installs++;
}

/* The image came, and the log was quicker: it is refused. false: the log is not that far. */
static inline bool rig_overtake(struct rig *r, const struct raft_snapshot_meta *meta)
{
	struct kv *kv;
	int ret;

	if (rig_matched(r) < meta->index)
		return false;
	while (!r->dead && r->node.applied < meta->index)
		rig_apply(r);
	if (r->dead)
		return true;
	ret = store_install(r->node.store, meta, r->node.applied, &kv, &r->err);
	if (ret == 0)
		fail_msg("an image of entry %d was installed over a state at %d", (int)meta->index,
			 (int)r->node.applied);
	if (ret != -ESTALE)
		(void)rig_went(r, ret);
	return true;
}

static inline void rig_install(struct rig *r)
{
	struct raft_snapshot_meta meta;
	struct kv *kv;

	if (r->canon.last <= r->node.applied)
		return;
	rig_donor_follows(r);
	if (store_snapshot_create(r->donor.store, r->donor.kv, &meta, NULL, &r->err) < 0)
		fail_msg("donor: %s", r->err.text);
	if (meta.term > r->hard.term)
		rig_vote(r, meta.term);
	if (r->dead || !rig_went(r, rig_pull(r, &meta)))
		return;
	r->sealed = meta;
	rig_settled(r);
	if (rig_draw(r, 3) == 0 && rig_overtake(r, &meta))
		return;
	r->pending.install = meta.index;
	if (!rig_went(r, store_install(r->node.store, &meta, r->node.applied, &kv, &r->err)))
		return;
	rig_release_view(r);
	kv_unref(r->node.kv);
	r->node.kv = kv;
	r->node.applied = meta.index;
	rig_own_install(r, meta.index);
	rig_settled(r);
}

#endif
