/* store_rig.h - a whole store in a scratch directory, for test_store.c and test_log_faults.c. */
#ifndef TESTS_UNIT_STORE_STORE_RIG_H
#define TESTS_UNIT_STORE_STORE_RIG_H

#include "store/store_internal.h"
#include "tests/unit/store/log_rig.h"

struct store_rig {
	struct rig dir; /* its path/s is the store's */
	char path[80];
	struct store_options options;
	struct store *store;
	struct store_boot boot;
	struct kv *kv;
	struct err err;
};

static inline struct raft_conf store_rig_conf(void)
{
	struct raft_conf conf = { .count = 1 };

	conf.members[0] =
		(struct raft_member){ .id = 7, .role = RAFT_VOTER, .address = "127.0.0.1:1" };
	return conf;
}

static inline void store_rig_setup(struct store_rig *r)
{
	struct raft_conf conf = store_rig_conf();

	memset(r, 0, sizeof(*r));
	rig_dir_open(&r->dir);
	snprintf(r->path, sizeof(r->path), "%s/s", r->dir.path);
	r->options =
		(struct store_options){ .segment_bytes = SEGMENT_SIZE_MIN, .spare_segments = 1 };
	assert_int_equal(store_init_io(r->path, &rig_identity, &conf, &rig_io, &r->err), 0);
}

static inline int store_rig_open(struct store_rig *r)
{
	r->err = ERR_INIT;
	return store_open_io(r->path, rig_identity.group, &r->options, &rig_io, &r->store, &r->boot,
			     &r->kv, &r->err);
}

static inline void store_rig_close(struct store_rig *r)
{
	store_boot_release(&r->boot);
	kv_unref(r->kv);
	store_close(r->store);
	r->kv = NULL;
	r->store = NULL;
}

/* Ends as a killed process does: what was written stays, nothing more is. */
static inline void store_rig_crash(struct store_rig *r)
{
	store_poison(r->store, -EIO);
	store_rig_close(r);
}

static inline void store_rig_teardown(struct store_rig *r)
{
	if (r->store != NULL)
		store_rig_close(r);
	rig_dir_close(&r->dir);
}

/* Persists count entries from first on; term > 0 and vote as hard state when set. */
static inline int store_rig_persist(struct store_rig *r, bool set_hard, uint64_t term,
				    uint64_t first, size_t count, size_t len)
{
	struct raft_entry *v = rig_entries(first, count, term, len);
	struct store_batch batch = { .set_hard = set_hard,
				     .hard = { .term = term, .vote = 7 },
				     .entries = v,
				     .entry_count = count };
	int ret = store_persist(r->store, &batch, 1, &r->err);

	rig_entries_free(v, count);
	return ret;
}

static inline int store_rig_expect(struct store_rig *r, uint64_t lo, uint64_t hi, uint64_t term,
				   size_t len)
{
	struct rig log = { .log = r->store->log };

	return rig_expect(&log, lo, hi, term, len);
}

#endif
