/*
 * test_store_crash.c - a store keeps its promises whatever call its process dies in and whatever a
 * power loss leaves of what was not synced (reference, sections 3.3 and 3.6).
 *
 * What was SYNCED is there after every start: entries, term and vote, the durable part of the state,
 * snapshots. Terms, votes and incarnations never go back, the log has no gap, the state is what its
 * entries make of it, and each of the client's numbers has taken effect once. Bytes that change at
 * rest are told, never cut away.
 *
 * SEED=n runs that one alone, SEEDS=n as many from FROM (1) on; SHORT=1 is the form for CI.
 */
#include "tests/sim/crash_rig.h"

/* ---- looking after a start ------------------------------------------------------------------------------ */

static void check_hard(struct rig *r)
{
	const struct raft_hard_state *now = &r->node.boot.hard, *may = &r->pending.hard_state;

	if (now->term != r->hard.term || now->vote != r->hard.vote) {
		assert_true(r->pending.hard);
		assert_int_equal(now->term, may->term);
		assert_int_equal(now->vote, may->vote);
	}
	r->hard = *now;
	assert_true(r->node.boot.incarnation > r->incarnation);
	r->incarnation = r->node.boot.incarnation;
}

/* An install under way happened or did not; so did a cut. */
static void check_base(struct rig *r)
{
	uint64_t base = r->node.boot.base_index;

	if (r->pending.install != 0 && base == r->pending.install)
		rig_own_install(r, base);
	if (base != r->base)
		assert_int_equal(base, r->pending.base);
	r->base = base;
}

static bool loaded_is(const struct raft_entry *e, const struct rig_entry *want)
{
	if (e->term != want->term)
		return false;
	if (!e->data || !want->data)
		return !e->data == !want->data;
	return e->data->len == want->data->len &&
	       memcmp(e->data->data, want->data->data, e->data->len) == 0;
}

/* Loads entry index; false: the store tells that it is damaged. */
static bool load_one(struct rig *r, uint64_t index, struct raft_entry **v, size_t *count)
{
	int ret = store_load(r->node.store, index, index, 1, v, count, &r->err);

	if (ret < 0 && !r->damaged)
		fail_msg("entry %d: %s", (int)index, r->err.text);
	return ret == 0;
}

/* The entry is the promised one, or with `fresh` the one that was on its way. */
static void check_entry(struct rig *r, uint64_t index, bool fresh)
{
	const struct rig_entry *want = fresh ? &r->next[index - r->pending.from] : &r->own.v[index];
	struct raft_entry *v = NULL;
	size_t count = 0;

	if (!load_one(r, index, &v, &count)) {
		r->told++;
		return;
	}
	assert_int_equal(count, 1);
	/* Entry 1 is the configuration; the store made it. */
	if (index > 1 && !loaded_is(&v[0], want))
		fail_msg("entry %d is not the one of term %d that was promised", (int)index,
			 (int)want->term);
	store_entries_free(v, count);
}

/* Did what was on its way get there, as a whole or in part? */
static bool next_is_there(struct rig *r)
{
	uint64_t last = r->node.boot.last_index, from = r->pending.from;
	struct raft_entry *v = NULL;
	size_t count = 0;
	bool there = false;

	if (r->pending.count == 0 || last < from || from <= r->base)
		return false;
	if (load_one(r, from, &v, &count)) {
		there = loaded_is(&v[0], &r->next[0]);
		store_entries_free(v, count);
	}
	return there;
}

static void check_log(struct rig *r)
{
	uint64_t last = r->node.boot.last_index;
	bool fresh = next_is_there(r);
	uint64_t from = fresh ? r->pending.from : UINT64_MAX;
	/*
	 * The last frame after a crash: torn or damaged is not to be told here, and without it there may
	 * be again what it had replaced.
	 */
	bool unsure = !fresh && r->damaged && !r->closed;

	if (fresh)
		assert_true(last < from + r->pending.count);
	else if (unsure)
		assert_true(last + 1 >= r->tail_from);
	else
		assert_int_equal(last, r->own.last);
	for (uint64_t i = r->base + 1; i <= last && !(unsure && i >= r->tail_from); i++)
		check_entry(r, i, i >= from);
	if (fresh && from > r->own.last)
		assert_true(last >= r->own.last);
	if (!fresh) {
		rig_log_cut(&r->own, unsure ? min_u64(last, r->tail_from - 1) : last);
		return;
	}
	rig_log_cut(&r->own, from - 1);
	for (uint64_t i = from; i <= last; i++)
		r->own.v[++r->own.last] = rig_entry_ref(&r->next[i - from]);
	r->tail_from = from;
}

/* The state is that of one committed entry; false: it tells that it is damaged. */
static bool check_digest(struct rig *r)
{
	uint8_t digest[KV_DIGEST_SIZE];
	struct kv_view *view = NULL;
	uint64_t at;
	int ret = kv_view_open(r->node.kv, &view, &r->err);
	bool same;

	if (ret == 0)
		ret = kv_view_digest(view, digest, &r->err);
	if (ret == 0 && memcmp(digest, kv_view_meta(view)->digest, sizeof(digest)) != 0)
		ret = -EUCLEAN;
	if (ret < 0) {
		if (!r->damaged)
			fail_msg("state: %s", r->err.text);
		kv_view_close(view);
		return false;
	}
	at = kv_view_meta(view)->applied_index;
	same = at >= 1 && at <= r->canon.last &&
	       (at == 1 || memcmp(digest, r->canon.v[at].digest, sizeof(digest)) == 0);
	kv_view_close(view);
	if (!same)
		fail_msg("the state at entry %d is not what its entries make", (int)at);
	return true;
}

static void check_state(struct rig *r, uint64_t applied_before)
{
	uint64_t applied = r->node.applied;

	assert_true(applied >= r->base);
	/* A damaged WAL makes SQLite fall back, below what had been copied too: the digest tells. */
	assert_true(applied >= r->durable || r->damaged);
	assert_true(applied <= r->node.boot.last_index && applied <= r->canon.last);
	if (!r->lost && !r->damaged)
		assert_true(applied >= applied_before);
	if (!check_digest(r))
		r->told++;
}

static void check_snapshots(struct rig *r)
{
	struct raft_snapshot_meta *metas = NULL;
	size_t count = 0;
	bool found = r->sealed.index == 0;

	assert_int_equal(store_snapshot_list(r->node.store, &metas, &count), 0);
	for (size_t i = 0; i < count; i++) {
		int ret = store_snapshot_verify(r->node.store, &metas[i], &r->err);

		if (ret < 0 && !r->damaged)
			fail_msg("snapshot %d: %s", (int)metas[i].index, r->err.text);
		found = found || (metas[i].index >= r->sealed.index);
	}
	free(metas);
	if (!found && !r->damaged)
		fail_msg("snapshot %d is gone", (int)r->sealed.index);
	if (r->sealed.index <= r->node.applied && !r->damaged)
		assert_true(r->node.boot.snapshot.index >= r->sealed.index);
}

/* Everything that is committed and in the log can be applied, once, and gives the right state. */
static void replay(struct rig *r)
{
	uint64_t upto = rig_matched(r);

	while (!r->dead && r->node.applied < upto)
		rig_apply(r);
	if (!r->dead && !check_digest(r))
		r->told++;
}

/* ---- starting --------------------------------------------------------------------------------------------- */

/* false: the process died in it, or damage was told. */
static bool start(struct rig *r)
{
	uint64_t applied_before = r->node.applied;
	int ret;

	r->err = ERR_INIT;
	if (!r->made) {
		ret = rig_store_init(&r->node, 7, &r->err);
		r->made = ret == 0;
		if (sim_disk_died(r->node.disk))
			return false;
		/* It was finished before the process died. */
		if (ret < 0 && ret != -EEXIST && r->may_fail)
			return false;
		if (ret < 0 && ret != -EEXIST)
			fail_msg("init: %s", r->err.text);
		r->made = true;
	}
	ret = rig_store_open(&r->node, &r->err);
	if (ret < 0) {
		if (!sim_disk_died(r->node.disk) && !r->damaged && !r->may_fail)
			fail_msg("%s", r->err.text);
		if (!sim_disk_died(r->node.disk))
			r->told++;
		r->node.applied = applied_before;
		return false;
	}
	assert_true(!r->closed || r->node.boot.was_clean);
	check_hard(r);
	check_base(r);
	check_log(r);
	check_state(r, applied_before);
	check_snapshots(r);
	r->lost = r->closed = false;
	rig_settled(r);
	return true;
}

/* ---- a life ------------------------------------------------------------------------------------------------ */

static void one_step(struct rig *r)
{
	if (rig_is_behind(r)) {
		switch (rig_draw(r, 4)) {
		case 0:
			rig_install(r);
			break;
		case 1:
			rig_apply(r);
			break;
		default:
			rig_catch_up(r);
			break;
		}
		return;
	}
	switch (rig_draw(r, 17)) {
	case 0:
		rig_vote(r, r->newest_term += 1 + rig_draw(r, 3));
		break;
	case 1:
	case 2:
		rig_checkpoint(r);
		break;
	case 3:
		rig_seal(r);
		break;
	case 4:
	case 5:
		rig_cut(r);
		break;
	case 6:
		rig_elsewhere(r);
		break;
	case 7:
		rig_commit(r);
		rig_install(r); /* while the log holds more */
		break;
	case 8:
	case 9:
	case 10:
		rig_commit(r);
		rig_apply(r);
		break;
	case 11:
		threads_run(threads_of_process()); /* the spares' */
		break;
	case 12:
		rig_read(r);
		break;
	default:
		rig_append(r);
		break;
	}
}

static void arm_a_fault(struct rig *r)
{
	static const int errors[] = { ENOSPC, EIO, EIO };
	struct sim_disk_fault f = {
		.kind = SIM_FAULT_ERROR,
		.calls = SIM_IO_CHANGES,
		.after = rig_draw(r, 300),
		.error = errors[rig_draw(r, ARRAY_SIZE(errors))],
	};

	if (rig_draw(r, 4) == 0)
		f.times = UINT64_MAX;
	if (rig_draw(r, 3) == 0) { /* pages that pass for clean and are not on the platter */
		f = (struct sim_disk_fault){
			.kind = rig_draw(r, 2) == 0 ? SIM_FAULT_SYNC : SIM_FAULT_SYNC_REVERT,
			.name = rig_draw(r, 3) == 0 ? "superblock" : "/log/",
			.after = rig_draw(r, 30),
		};
	}
	sim_disk_arm(r->node.disk, &f);
	r->may_fail = true;
}

static void one_life(struct rig *r, uint64_t crash_at, unsigned steps)
{
	sim_disk_crash_at(r->node.disk, crash_at);
	if (start(r)) {
		replay(r);
		while (!r->dead && steps-- > 0 && r->canon.last + 64 < RIG_INDEX_MAX)
			one_step(r);
	}
}

/* Bytes of one kind of file change while the node is down; name NULL: any. */
static void damage(struct rig *r, const char *name)
{
	struct buf path = BUF_INIT;
	uint64_t at;

	if (sim_disk_flip_any(r->node.disk, name, &path, &at) == 0) {
		r->damaged = true;
		if (rig_draw(r, 4) == 0)
			(void)sim_disk_bad_sector(r->node.disk, (const char *)path.data, at);
	}
	buf_release(&path);
}

static uint64_t seed_from_environment(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

static bool is_set(const char *name)
{
	const char *text = getenv(name);

	return text && *text;
}

static bool is_short(void)
{
	return is_set("SHORT");
}

/* ---- claims -------------------------------------------------------------------------------------------------- */

/* Dies in each of its calls, and the next attempt in one of its own; the last one goes well. */
static void an_init_that_dies_again_and_again_can_be_finished(void **state)
{
	for (uint64_t k = 1, done = 0; !done; k++) {
		for (uint64_t again = 0; again < 8; again++) {
			static struct rig r;

			rig_start(&r, k * 100 + again);
			for (int life = 0; life < 3 && !r.made; life++) {
				uint64_t at = life == 0 ? k : 1 + rig_draw(&r, 60);

				sim_disk_crash_at(r.node.disk, at);
				if (start(&r))
					done = 1;
				rig_end(&r, false, rig_draw(&r, 3) > 0);
			}
			if (!start(&r))
				fail_msg("after a death at call %d: %s", (int)k, r.err.text);
			rig_end(&r, true, false);
			rig_stop(&r);
		}
	}
}

/* What may come after a death: who comes back, for how long, and what becomes of it. */
struct aftermath {
	bool power_loss;       /* with the death */
	bool dies_again;       /* in the start that follows, and with power */
	unsigned steps;        /* of the next life */
	bool power_loss_later; /* at its end */
};

static const struct aftermath aftermaths[] = {
	{ .power_loss = true, .steps = 4, .power_loss_later = true },
	{ .power_loss = false, .steps = 0, .power_loss_later = true },
	{ .power_loss = false, .steps = 4, .power_loss_later = true },
	{ .power_loss = true, .dies_again = true, .steps = 2, .power_loss_later = true },
	{ .power_loss = false, .dies_again = true, .steps = 2, .power_loss_later = true },
};

/* The same life until call k; false: it has no such call. */
static bool die_in_call(uint64_t seed, uint64_t k, const struct aftermath *after, uint64_t draw)
{
	static struct rig r;
	bool died;

	rig_start(&r, seed);
	one_life(&r, k, 60);
	died = sim_disk_died(r.node.disk);
	for (uint64_t i = 0; i < draw; i++)
		(void)sim_disk_draw(r.node.disk); /* other subsets than the last time */
	rig_end(&r, !died, after->power_loss);
	if (after->dies_again) {
		one_life(&r, 1 + rig_draw(&r, 40), 0);
		rig_end(&r, false, true);
	}
	one_life(&r, 0, after->steps);
	rig_end(&r, false, after->power_loss_later);
	one_life(&r, 0, 0);
	rig_end(&r, true, false);
	rig_stop(&r);
	return died;
}

static void each_call_of_a_life_may_be_its_last(void **state)
{
	uint64_t stride = is_short() ? 7 : 1;
	uint64_t calls = 0;

	if (is_set("SEED"))
		skip();
	for (size_t a = 0; a < ARRAY_SIZE(aftermaths); a++)
		for (uint64_t k = 1 + a % stride; die_in_call(1, k, &aftermaths[a], k); k += stride)
			calls++;
	print_message("%llu deaths\n", (unsigned long long)calls);
}

/*
 * A process dies between the renaming of a new segment and the sync of its name; the next one finds the
 * segment, appends to it and acknowledges; then power is lost.
 */
static void a_name_found_after_a_kill_is_made_durable_before_it_is_built_on(void **state)
{
	for (uint64_t seed = 1; seed <= 20; seed++) {
		static struct rig r;

		rig_start(&r, seed);
		assert_true(start(&r));
		r.may_fail = true;
		sim_disk_arm(r.node.disk, &(struct sim_disk_fault){ .kind = SIM_FAULT_ERROR,
								    .calls = SIM_IO_SYNC_DIR,
								    .name = "/log",
								    .after = 1, /* a spare's */
								    .error = EIO });
		while (!r.dead)
			rig_append(&r);
		rig_end(&r, false, false);
		assert_true(start(&r));
		rig_append(&r);
		rig_end(&r, false, true);
		assert_true(start(&r));
		rig_end(&r, true, false);
		rig_stop(&r);
	}
}

/* The same for the name of a snapshot's manifest: the next process finds it there already, and good. */
static void a_snapshot_found_after_a_kill_is_made_durable_before_it_counts(void **state)
{
	for (uint64_t seed = 1; seed <= 20; seed++) {
		static struct rig r;

		rig_start(&r, seed);
		assert_true(start(&r));
		rig_append(&r);
		rig_commit(&r);
		rig_apply(&r);
		r.may_fail = true;
		sim_disk_arm(r.node.disk, &(struct sim_disk_fault){ .kind = SIM_FAULT_ERROR,
								    .calls = SIM_IO_SYNC_DIR,
								    .name = "/snapshots",
								    .after = 1, /* the chunks' */
								    .error = EIO });
		rig_seal(&r);
		assert_true(r.dead);
		rig_end(&r, false, false);
		assert_true(start(&r));
		replay(&r);
		rig_seal(&r);
		assert_false(r.dead);
		rig_end(&r, false, true);
		assert_true(start(&r));
		rig_end(&r, true, false);
		rig_stop(&r);
	}
}

static void run_random_lives(uint64_t seed)
{
	static struct rig r;

	rig_start(&r, seed);
	for (int life = 0; life < 12; life++) {
		bool dies = rig_draw(&r, 4) > 0;

		if (rig_draw(&r, 4) == 0)
			arm_a_fault(&r);
		one_life(&r, dies ? 1 + rig_draw(&r, rig_draw(&r, 2) == 0 ? 60 : 700) : 0,
			 10 + (unsigned)rig_draw(&r, 60));
		rig_end(&r, rig_draw(&r, 3) == 0, rig_draw(&r, 2) == 0);
	}
	one_life(&r, 0, 0);
	rig_end(&r, true, false);
	print_message("seed %llu: log %llu, disk %016llx\n", (unsigned long long)seed,
		      (unsigned long long)r.own.last,
		      (unsigned long long)sim_disk_digest(r.node.disk));
	rig_stop(&r);
}

/* Told or harmless: what the node shows is what was promised, or it says that it cannot. */
static void changed_bytes_are_told_and_never_cut_away(void **state)
{
	static const char *const names[] = { ".seg",         ".seg",       "superblock", "state.db",
					     "state.db-wal", "snapshots/", NULL };
	uint64_t seeds = seed_from_environment("SEEDS", is_short() ? 15 : 100);
	uint64_t told = 0, harmless = 0;

	if (is_set("SEED"))
		skip();
	for (uint64_t seed = 1; seed <= seeds; seed++)
		for (size_t n = 0; n < ARRAY_SIZE(names); n++) {
			static struct rig r;

			rig_start(&r, seed * 16 + n);
			one_life(&r, rig_draw(&r, 2) == 0 ? 0 : 100 + rig_draw(&r, 600), 60);
			rig_end(&r, rig_draw(&r, 2) == 0, rig_draw(&r, 2) == 0);
			if (r.made)
				damage(&r, names[n]);
			one_life(&r, 0, 0);
			if (r.told > 0)
				told++;
			else
				harmless++;
			rig_end(&r, false, false);
			rig_stop(&r);
		}
	print_message("%llu told, %llu harmless\n", (unsigned long long)told,
		      (unsigned long long)harmless);
	assert_true(told > 0);
}

static void promises_outlive_any_lives_and_deaths(void **state)
{
	uint64_t from = seed_from_environment("FROM", 1);
	uint64_t seeds = seed_from_environment("SEEDS", is_short() ? 40 : 200);

	if (is_set("SEED")) {
		from = seed_from_environment("SEED", 1);
		seeds = 1;
	}
	for (uint64_t seed = from; seed < from + seeds; seed++) {
		print_message("SEED=%llu\n", (unsigned long long)seed);
		run_random_lives(seed);
	}
}

/* Told after each claim: how many stores that took, so that a failure is known to be early or late. */
static int tell_cases(void **state)
{
	print_message("%llu cases so far\n", (unsigned long long)rig_cases);
	return 0;
}

#define CLAIM(fn) cmocka_unit_test_teardown(fn, tell_cases)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLAIM(an_init_that_dies_again_and_again_can_be_finished),
		CLAIM(a_name_found_after_a_kill_is_made_durable_before_it_is_built_on),
		CLAIM(a_snapshot_found_after_a_kill_is_made_durable_before_it_counts),
		CLAIM(each_call_of_a_life_may_be_its_last),
		CLAIM(changed_bytes_are_told_and_never_cut_away),
		CLAIM(promises_outlive_any_lives_and_deaths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
