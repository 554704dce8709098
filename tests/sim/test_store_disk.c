/* test_store_disk.c - the store on disks that fail: what single faults, found by seeds, once broke. */
#include "tests/lib/unit.h"

#include "store/store.h"
#include "tests/sim/sim_disk.h"

#define DIR "/sim/d/store"

static void open_store(struct store **s, struct store_boot *boot, struct kv **kv)
{
	struct store_options options = { .segment_bytes = 64u * 1024 };
	struct err err = ERR_INIT;

	if (store_open(DIR, 0, &options, s, boot, kv, &err) < 0)
		fail_msg("%s", err.text);
}

static void close_store(struct store *s, struct store_boot *boot, struct kv *kv)
{
	store_boot_release(boot);
	kv_unref(kv);
	store_close(s);
}

static int append(struct store *s, uint64_t index, char fill)
{
	struct blob *data = blob_new(3000);
	struct raft_entry e = {
		.index = index, .term = 1, .type = RAFT_ENTRY_NORMAL, .data = data
	};
	struct store_batch batch = { .entries = &e, .entry_count = 1 };
	struct err err = ERR_INIT;
	int ret;

	memset(data->data, fill, data->len);
	ret = store_persist(s, &batch, 1, &err);
	blob_unref(data);
	return ret;
}

static struct sim_disk *disk_with_store(uint64_t seed)
{
	struct store_identity identity = { .cluster = "disk-tests", .node_id = 1 };
	struct raft_conf conf = { .index = 1,
				  .count = 1,
				  .members = { { 1, RAFT_VOTER, "n1:1" } } };
	struct sim_disk *d = sim_disk_new("d", seed);
	struct err err = ERR_INIT;

	if (store_init(DIR, &identity, &conf, &err) < 0)
		fail_msg("%s", err.text);
	return d;
}

static void restart(struct sim_disk *d, struct store *s, struct store_boot *boot, struct kv *kv,
		    bool power_loss)
{
	sim_disk_crash(d, power_loss);
	close_store(s, boot, kv);
	sim_disk_revive(d);
}

/*
 * A sync fails, the process ends and comes back: it finds the frame in the page cache, clean and not on
 * the disk, and promises what is built on it.
 */
static void what_a_failed_sync_left_in_the_cache_is_made_durable(void **state)
{
	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct sim_disk_fault fault = { .kind = SIM_FAULT_SYNC, .name = ".s" };
		struct sim_disk *d;
		struct store_boot boot;
		struct store *s;
		struct kv *kv;
		uint64_t last;

		sim_machine_seed(seed);
		d = disk_with_store(seed);
		open_store(&s, &boot, &kv);
		assert_int_equal(append(s, 2, 'a'), 0);
		sim_disk_arm(d, &fault);
		assert_true(append(s, 3, 'b') < 0);
		assert_int_equal(sim_disk_hits(d), 1);
		restart(d, s, &boot, kv, false);

		open_store(&s, &boot, &kv);
		last = boot.last_index;
		assert_in_range(last, 2, 3);
		restart(d, s, &boot, kv, true);

		open_store(&s, &boot, &kv);
		assert_int_equal(boot.last_index, last);
		assert_int_equal(append(s, last + 1, 'c'), 0);
		restart(d, s, &boot, kv, true);

		open_store(&s, &boot, &kv);
		assert_int_equal(boot.last_index, last + 1);
		close_store(s, &boot, kv);
		sim_disk_free(d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_failed_sync_left_in_the_cache_is_made_durable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
