/* test_receive.c - pulling a snapshot into another store and installing it; crashes on the way. */
#include <signal.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "tests/unit/store/snap_rig.h"

#define CRASH_ROUNDS 16

static void an_installed_state_equals_the_source(void **state)
{
	struct snap_rig *p = *state;
	uint8_t a[KV_DIGEST_SIZE], b[KV_DIGEST_SIZE];
	struct raft_snapshot_meta meta;
	struct parcel c;

	meta = parcel_make(&c, &p[0], 200);
	assert_int_equal(parcel_receive(&c, &p[1]), 0);
	assert_int_equal(snap_check_state(p[1].r.kv, b), 1); /* not active yet */
	assert_int_equal(snap_install(&p[1], &meta), 0);
	assert_int_equal(snap_check_state(p[0].r.kv, a), meta.index);
	assert_int_equal(snap_check_state(p[1].r.kv, b), meta.index);
	assert_memory_equal(a, b, sizeof(a));
	/* It can go on from there, and serves the snapshot to others. */
	snap_apply(&p[1], 3);
	assert_int_equal(store_snapshot_verify(p[1].r.store, &meta, NULL), 0);
	store_rig_close(&p[1].r);
	snap_open(&p[1]);
	assert_int_equal(p[1].index, meta.index + 1);
	assert_int_equal(p[1].r.boot.snapshot.index, meta.index);
	assert_int_equal(snap_count(&p[1], ".", is_state), 1);
	parcel_release(&c);
}

static void chunks_may_come_in_any_order(void **state)
{
	struct snap_rig *p = *state;
	struct store_receive *rx = NULL;
	struct raft_snapshot_meta meta;
	struct parcel c;
	struct prng rng;
	uint32_t *order;

	meta = parcel_make(&c, &p[0], 300);
	order = mem_calloc(c.count, sizeof(*order));
	prng_init(&rng, 5);
	for (uint32_t n = 0; n < c.count; n++) {
		uint32_t at = (uint32_t)prng_below(&rng, n + 1);

		order[n] = order[at];
		order[at] = n;
	}
	assert_int_equal(store_receive_begin(p[1].r.store, &meta, c.manifest.data, c.manifest.len,
					     &rx, NULL),
			 0);
	assert_int_equal(store_receive_chunk_count(rx), c.count);
	for (uint32_t i = 0; i < c.count; i++) {
		struct buf *chunk = &c.chunks[order[i]];

		assert_int_equal(store_receive_finish(rx, NULL), -EINVAL);
		assert_int_equal(store_receive_chunk(rx, order[i], chunk->data, chunk->len, NULL),
				 0);
		/* Twice is as good as once. */
		assert_int_equal(store_receive_chunk(rx, order[i], chunk->data, chunk->len, NULL),
				 0);
	}
	assert_int_equal(store_receive_next(rx, 0), c.count);
	assert_int_equal(store_receive_finish(rx, &p[1].r.err), 0);
	store_receive_free(rx);
	assert_int_equal(snap_install(&p[1], &meta), 0);
	free(order);
	parcel_release(&c);
}

static void a_broken_fetch_is_resumed(void **state)
{
	struct snap_rig *p = *state;
	struct raft_snapshot_meta meta;
	struct store_receive *rx;
	uint32_t pulled, sum = 0;
	struct parcel c;

	meta = parcel_make(&c, &p[0], 300);
	assert_true(c.count > 8);
	for (int i = 0; i < 3; i++) {
		rx = parcel_pull(&c, &p[1], 3, &pulled);
		assert_int_equal(pulled, 3);
		sum += pulled;
		store_receive_free(rx);
		if (i == 1) { /* over a restart too */
			store_rig_close(&p[1].r);
			snap_open(&p[1]);
		}
	}
	rx = parcel_pull(&c, &p[1], UINT32_MAX, &pulled);
	assert_int_equal(sum + pulled, c.count);
	assert_int_equal(store_receive_finish(rx, NULL), 0);
	store_receive_free(rx);
	assert_int_equal(snap_install(&p[1], &meta), 0);
	parcel_release(&c);
}

static void a_later_image_asks_only_for_what_changed(void **state)
{
	struct snap_rig *p = *state;
	struct raft_snapshot_meta meta;
	struct store_receive *rx;
	uint32_t pulled;
	struct parcel c;

	meta = parcel_make(&c, &p[0], 300);
	rx = parcel_pull(&c, &p[1], c.count - 1, &pulled); /* breaks off before the last chunk */
	store_receive_free(rx);
	parcel_release(&c);
	snap_apply(&p[0], 100);
	meta = snap_create(&p[0], NULL);
	parcel_pack(&c, &p[0], &meta);
	rx = parcel_pull(&c, &p[1], UINT32_MAX, &pulled);
	assert_true(pulled <= 5);
	assert_int_equal(store_receive_finish(rx, NULL), 0);
	store_receive_free(rx);
	assert_int_equal(snap_install(&p[1], &meta), 0);
	parcel_release(&c);
}

static void damage_is_refused_before_use(void **state)
{
	struct snap_rig *p = *state;
	struct store_receive *rx = NULL;
	struct raft_snapshot_meta meta, other;
	struct parcel c;
	struct prng rng;

	prng_init(&rng, 9);
	meta = parcel_make(&c, &p[0], 40);
	for (size_t bit = 0; bit < c.manifest.len * 8; bit++) {
		c.manifest.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(store_receive_begin(p[1].r.store, &meta, c.manifest.data,
						     c.manifest.len, &rx, NULL),
				 -EUCLEAN);
		c.manifest.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (int i = 0; i < 5; i++) { /* a sound manifest, but not of what was offered */
		other = meta;
		other.index += i == 0;
		other.term += i == 1;
		other.size_bytes += i == 2;
		other.root[3] ^= i == 3;
		other.conf.members[0].id += i == 4;
		assert_int_equal(store_receive_begin(p[1].r.store, &other, c.manifest.data,
						     c.manifest.len, &rx, NULL),
				 -EUCLEAN);
	}
	assert_int_equal(store_receive_begin(p[1].r.store, &meta, c.manifest.data, c.manifest.len,
					     &rx, NULL),
			 0);
	for (int i = 0; i < 300; i++) {
		struct buf *chunk = &c.chunks[i % c.count];
		size_t bit = prng_below(&rng, chunk->len * 8);

		chunk->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(
			store_receive_chunk(rx, i % c.count, chunk->data, chunk->len, NULL),
			-EUCLEAN);
		chunk->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_int_equal(store_receive_chunk(rx, 0, c.chunks[1].data, c.chunks[1].len, NULL),
			 -EUCLEAN);
	assert_int_equal(store_receive_chunk(rx, c.count, c.chunks[0].data, c.chunks[0].len, NULL),
			 -EINVAL);
	assert_int_equal(store_receive_next(rx, 0), 0);
	assert_int_equal(snap_count(&p[1], "snapshots/chunks", is_chunk), 0);
	store_receive_free(rx);
	parcel_release(&c);
}

/* A chunk that was stored soundly and rotted before the finish: refused, and asked for again. */
static void a_chunk_that_rots_here_is_fetched_again(void **state)
{
	struct snap_rig *p = *state;
	struct raft_snapshot_meta meta;
	struct manifest m = MANIFEST_INIT;
	char name[CHUNK_NAME_SIZE];
	struct store_receive *rx;
	uint32_t pulled;
	struct parcel c;
	int fd;

	meta = parcel_make(&c, &p[0], 100);
	rx = parcel_pull(&c, &p[1], UINT32_MAX, &pulled);
	assert_int_equal(manifest_decode(&m, c.manifest.data, c.manifest.len), 0);
	chunk_name(manifest_hash(&m, 2), name);
	fd = openat(p[1].r.store->sealed->chunks.fd, name, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "x", 1, 100), 1);
	close(fd);
	assert_int_equal(store_receive_finish(rx, &p[1].r.err), -EUCLEAN);
	assert_int_equal(store_receive_next(rx, 0), 2);
	assert_int_equal(snap_count(&p[1], ".", is_state), 1);
	assert_int_equal(snap_count(&p[1], "snapshots", is_manifest), 0);
	assert_int_equal(store_receive_chunk(rx, 2, c.chunks[2].data, c.chunks[2].len, NULL), 0);
	assert_int_equal(store_receive_finish(rx, NULL), 0);
	store_receive_free(rx);
	assert_int_equal(snap_install(&p[1], &meta), 0);
	manifest_release(&m);
	parcel_release(&c);
}

/* Seals whatever bytes as a parcel: a source that is mistaken about its own image. */
static void parcel_forge(struct parcel *c, const struct raft_snapshot_meta *meta,
			 const struct buf *image)
{
	struct manifest m = MANIFEST_INIT;

	memcpy(m.cluster, rig_identity.cluster, sizeof(m.cluster));
	m.group = rig_identity.group;
	m.meta = *meta;
	m.meta.size_bytes = image->len;
	m.chunk_count = seal_chunk_count(image->len);
	*c = (struct parcel){ .count = m.chunk_count };
	c->chunks = mem_calloc(c->count, sizeof(*c->chunks));
	for (uint32_t n = 0; n < c->count; n++) {
		const uint8_t *raw = image->data + (size_t)n * SEAL_CHUNK_SIZE;
		uint32_t len = seal_chunk_len(image->len, n);

		seal_chunk(raw, len, buf_extend(&m.hashes, SEAL_HASH_SIZE));
		assert_int_equal(chunk_encode(raw, len, &c->chunks[n]), 0);
	}
	manifest_seal(&m);
	c->meta = m.meta;
	manifest_encode(&m, &c->manifest);
	manifest_release(&m);
}

static void parcel_image(const struct parcel *c, struct buf *image)
{
	struct manifest m = MANIFEST_INIT;

	assert_int_equal(manifest_decode(&m, c->manifest.data, c->manifest.len), 0);
	for (uint32_t n = 0; n < c->count; n++) {
		uint32_t len = seal_chunk_len(c->meta.size_bytes, n);

		assert_int_equal(chunk_decode(manifest_hash(&m, n), len, c->chunks[n].data,
					      c->chunks[n].len, buf_extend(image, len)),
				 0);
	}
	manifest_release(&m);
}

static void an_image_that_is_not_what_it_says_is_refused(void **state)
{
	struct snap_rig *p = *state;
	struct raft_snapshot_meta meta, lie;
	struct buf image = BUF_INIT;
	struct parcel c, forged;

	meta = parcel_make(&c, &p[0], 60);
	parcel_image(&c, &image);
	for (int i = 0; i < 6; i++) {
		size_t at = image.len - 5000; /* within the noise of some block */

		lie = meta;
		lie.index += i == 0;
		lie.term += i == 1;
		lie.conf.index += i == 2;
		lie.conf.members[0].address[0] = i == 3 ? '2' : '1';
		image.data[at] ^= i == 4;
		image.data[0] ^= i == 5;
		parcel_forge(&forged, &lie, &image);
		image.data[at] ^= i == 4;
		image.data[0] ^= i == 5;
		assert_int_equal(parcel_receive(&forged, &p[1]), -EUCLEAN);
		assert_int_equal(snap_count(&p[1], "snapshots", is_manifest), 0);
		assert_int_equal(snap_count(&p[1], ".", is_state), 1);
		parcel_release(&forged);
	}
	parcel_forge(&forged, &meta, &image);
	assert_int_equal(parcel_receive(&forged, &p[1]), 0);
	parcel_release(&forged);
	parcel_release(&c);
	buf_release(&image);
}

static void one_fetch_at_a_time(void **state)
{
	struct snap_rig *p = *state;
	struct store_receive *rx, *second = NULL;
	struct raft_snapshot_meta meta;
	struct parcel c;
	uint32_t pulled;

	meta = parcel_make(&c, &p[0], 3);
	rx = parcel_pull(&c, &p[1], 1, &pulled);
	assert_int_equal(store_receive_begin(p[1].r.store, &meta, c.manifest.data, c.manifest.len,
					     &second, &p[1].r.err),
			 -EBUSY);
	store_receive_free(rx);
	rx = parcel_pull(&c, &p[1], 1, &pulled);
	assert_non_null(rx);
	store_receive_free(rx);
	store_receive_free(NULL);
	parcel_release(&c);
}

/* A snapshot made here in the middle of a fetch collects garbage, but not what the fetch has. */
static void making_a_snapshot_spares_a_fetch_in_progress(void **state)
{
	struct snap_rig *p = *state;
	struct raft_snapshot_meta meta, own;
	struct store_receive *rx;
	uint32_t pulled;
	struct parcel c;

	meta = parcel_make(&c, &p[0], 200);
	rx = parcel_pull(&c, &p[1], 4, &pulled);
	snap_fill(&p[1], 5);
	own = snap_create(&p[1], NULL);
	assert_true(store_receive_next(rx, 0) == 4);
	store_receive_free(rx);
	rx = parcel_pull(&c, &p[1], UINT32_MAX, &pulled);
	assert_int_equal(pulled, c.count - 4);
	assert_int_equal(store_receive_finish(rx, NULL), 0);
	store_receive_free(rx);
	assert_int_equal(store_snapshot_verify(p[1].r.store, &own, NULL), 0);
	assert_int_equal(store_snapshot_verify(p[1].r.store, &meta, NULL), 0);
	parcel_release(&c);
}

struct busy {
	struct snap_rig *p;
	atomic_bool stop;
	atomic_uint rounds;
};

static void *make_snapshots(void *arg)
{
	struct busy *b = arg;

	while (!atomic_load(&b->stop)) {
		if (b->p->index < 150) /* below the fetched one, or that would be outdated */
			snap_apply(b->p, (uint32_t)(b->p->index % 300));
		snap_create(b->p, NULL);
		b->rounds++;
	}
	return NULL;
}

/* Serves whatever the list names; what was removed meanwhile is -ENOENT and nothing else. */
static void *serve(void *arg)
{
	struct busy *b = arg;

	while (!atomic_load(&b->stop)) {
		struct raft_snapshot_meta *metas;
		struct buf out = BUF_INIT;
		size_t count;

		assert_int_equal(store_snapshot_list(b->p->r.store, &metas, &count), 0);
		for (size_t i = 0; i < count; i++) {
			int ret = store_snapshot_chunk(b->p->r.store, &metas[i], 0, &out, NULL);

			assert_true(ret == 0 || ret == -ENOENT);
			store_snapshot_hold(b->p->r.store, &metas[i]);
			store_snapshot_release(b->p->r.store, &metas[i]);
			b->rounds += ret == 0;
		}
		free(metas);
		buf_release(&out);
	}
	return NULL;
}

/* The snapshot, fetch and read threads of one node at the same time. */
static void making_serving_and_receiving_do_not_disturb_each_other(void **state)
{
	struct snap_rig *p = *state;
	struct busy make = { .p = &p[1] }, reads = { .p = &p[1] };
	struct raft_snapshot_meta meta;
	struct store_receive *rx;
	pthread_t maker, server;
	uint32_t pulled;
	struct parcel c;

	meta = parcel_make(&c, &p[0], 200);
	assert_int_equal(pthread_create(&maker, NULL, make_snapshots, &make), 0);
	assert_int_equal(pthread_create(&server, NULL, serve, &reads), 0);
	for (uint32_t i = 1; i <= c.count / 2; i++) {
		rx = parcel_pull(&c, &p[1], 1, &pulled);
		assert_non_null(rx);
		store_receive_free(rx);
	}
	rx = parcel_pull(&c, &p[1], UINT32_MAX, &pulled);
	assert_non_null(rx);
	assert_int_equal(store_receive_finish(rx, NULL), 0);
	store_receive_free(rx);
	while (atomic_load(&make.rounds) == 0 || atomic_load(&reads.rounds) == 0)
		usleep(1000);
	atomic_store(&make.stop, true);
	atomic_store(&reads.stop, true);
	pthread_join(maker, NULL);
	pthread_join(server, NULL);
	assert_int_equal(store_snapshot_verify(p[1].r.store, &meta, NULL), 0);
	parcel_release(&c);
}

static void an_outdated_fetch_is_forgotten(void **state)
{
	struct snap_rig *p = *state;
	struct raft_snapshot_meta meta;
	struct store_receive *rx;
	uint32_t pulled;
	struct parcel c;

	meta = parcel_make(&c, &p[0], 100);
	rx = parcel_pull(&c, &p[1], 2, &pulled);
	store_receive_free(rx);
	snap_fill(&p[1], 120); /* it caught up by the log */
	meta = snap_create(&p[1], NULL);
	assert_int_equal(snap_count(&p[1], "snapshots/chunks", is_chunk),
			 seal_chunk_count(meta.size_bytes));
	parcel_release(&c);
}

static void a_stale_install_is_refused(void **state)
{
	struct snap_rig *p = *state;
	uint8_t digest[KV_DIGEST_SIZE];
	struct raft_snapshot_meta meta;
	struct parcel c;

	meta = parcel_make(&c, &p[0], 20);
	assert_int_equal(parcel_receive(&c, &p[1]), 0);
	snap_fill(&p[1], 20); /* the very entries, by the log */
	assert_int_equal(snap_install(&p[1], &meta), -ESTALE);
	snap_apply(&p[1], 1);
	assert_int_equal(snap_install(&p[1], &meta), -ESTALE);
	assert_int_equal(snap_check_state(p[1].r.kv, digest), meta.index + 1);
	store_rig_close(&p[1].r);
	snap_open(&p[1]);
	assert_int_equal(snap_check_state(p[1].r.kv, digest), meta.index + 1);
	parcel_release(&c);
}

static void a_log_suffix_after_the_snapshot_survives(void **state)
{
	struct snap_rig *p = *state;
	struct raft_snapshot_meta meta;
	struct parcel c;

	meta = parcel_make(&c, &p[0], 20);
	assert_int_equal(store_rig_persist(&p[1].r, false, 1, 2, meta.index + 9, 100), 0);
	assert_int_equal(parcel_receive(&c, &p[1]), 0);
	assert_int_equal(snap_install(&p[1], &meta), 0);
	assert_int_equal(store_rig_expect(&p[1].r, meta.index + 1, meta.index + 10, 1, 100), 0);
	store_rig_close(&p[1].r);
	snap_open(&p[1]);
	assert_int_equal(p[1].r.boot.base_index, meta.index);
	assert_int_equal(p[1].r.boot.last_index, meta.index + 10);
	assert_int_equal(p[1].index, meta.index);
	parcel_release(&c);
}

static void a_log_of_another_history_goes(void **state)
{
	struct snap_rig *p = *state;
	struct raft_snapshot_meta meta;
	struct parcel c;

	meta = parcel_make(&c, &p[0], 20);
	assert_int_equal(store_rig_persist(&p[1].r, true, 2, 2, meta.index + 9, 100), 0);
	assert_int_equal(parcel_receive(&c, &p[1]), 0);
	assert_int_equal(snap_install(&p[1], &meta), 0);
	store_rig_close(&p[1].r);
	snap_open(&p[1]);
	assert_int_equal(p[1].r.boot.base_index, meta.index);
	assert_int_equal(p[1].r.boot.base_term, meta.term);
	assert_int_equal(p[1].r.boot.last_index, meta.index);
	parcel_release(&c);
}

/* Old state or the parcel's, whole; what is sealed verifies; nothing half made is left. */
static void check_after_crash(struct snap_rig *p, uint64_t old,
			      const struct raft_snapshot_meta *meta)
{
	uint8_t digest[KV_DIGEST_SIZE];
	uint64_t index;

	snap_open(p);
	index = snap_check_state(p->r.kv, digest);
	assert_true(index == old || index == meta->index);
	assert_true(p->r.boot.snapshot.index <= index);
	assert_true(p->r.boot.base_index <= index && p->r.boot.last_index >= index);
	if (p->r.boot.snapshot.index > 0)
		assert_int_equal(store_snapshot_verify(p->r.store, &p->r.boot.snapshot, NULL), 0);
	assert_int_equal(snap_count(p, "snapshots", is_temporary), 0);
	assert_int_equal(snap_count(p, "snapshots/chunks", is_temporary), 0);
	assert_int_equal(snap_count(p, ".", is_state), 1);
}

static void receive_and_install_survive_every_disk_fault(void **state)
{
	struct snap_rig *p = *state;
	struct raft_snapshot_meta meta;
	bool installed = false;
	struct parcel c;

	meta = parcel_make(&c, &p[0], 40);
	for (unsigned nth = 1; !installed; nth++) {
		int ret;

		rig_io_reset(nth, nth % 2 ? -EIO : -ENOSPC);
		ret = parcel_receive(&c, &p[1]);
		if (ret == 0)
			ret = snap_install(&p[1], &meta);
		if (rig_io_state.calls < nth)
			assert_int_equal(ret, 0);
		rig_io_reset(0, 0);
		store_rig_crash(&p[1].r);
		check_after_crash(&p[1], 1, &meta);
		installed = p[1].index == meta.index;
		assert_true(ret < 0 || installed);
		/* Start over, so that the next call to fail is not one of the finish every time. */
		if (!installed && nth % 3 == 0) {
			store_rig_teardown(&p[1].r);
			snap_start(&p[1]);
		}
	}
	parcel_release(&c);
}

/* What a node does with its own state and with a parcel; then it waits to be killed. */
static void live(struct snap_rig *p, const struct parcel *c)
{
	struct raft_snapshot_meta meta;

	snap_open(p);
	if (store_snapshot_create(p->r.store, p->r.kv, &meta, NULL, &p->r.err) < 0)
		_exit(1);
	if (parcel_receive(c, p) < 0)
		_exit(2);
	if (snap_install(p, &c->meta) < 0)
		_exit(3);
	for (;;)
		pause();
}

/* How long live() takes before it waits. */
static uint64_t live_us(struct snap_rig *p, const struct parcel *c)
{
	uint64_t start_ns = clock_boot_ns();
	struct raft_snapshot_meta meta;
	uint64_t us;

	snap_create(p, NULL);
	assert_int_equal(parcel_receive(c, p), 0);
	meta = c->meta;
	assert_int_equal(snap_install(p, &meta), 0);
	us = (clock_boot_ns() - start_ns) / 1000;
	store_rig_teardown(&p->r);
	snap_start(p);
	return us;
}

static void a_kill_at_any_moment_leaves_an_openable_store(void **state)
{
	struct snap_rig *p = *state;
	struct raft_snapshot_meta meta;
	size_t installed = 0;
	struct parcel c;
	struct prng rng;
	uint64_t us;

	prng_init(&rng, 11);
	meta = parcel_make(&c, &p[0], 250);
	us = live_us(&p[1], &c);
	store_rig_close(&p[0].r); /* the child is to start without threads */
	for (int round = 0; round < CRASH_ROUNDS; round++) {
		pid_t child;
		int status;

		snap_fill(&p[1], 20);
		store_rig_close(&p[1].r);
		child = fork();
		assert_true(child >= 0);
		if (child == 0)
			live(&p[1], &c);
		usleep((useconds_t)prng_below(&rng, 2 * us + 20000));
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status));
		check_after_crash(&p[1], 21, &meta);
		installed += p[1].index == meta.index;
		store_rig_teardown(&p[1].r);
		snap_start(&p[1]);
	}
	/* On a busy machine the moments may all lie on one side of the flip; print it, no more. */
	print_message("killed after the flip: %zu of %d\n", installed, CRASH_ROUNDS);
	parcel_release(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_installed_state_equals_the_source, snap_setup,
						snap_teardown),
		cmocka_unit_test_setup_teardown(chunks_may_come_in_any_order, snap_setup,
						snap_teardown),
		cmocka_unit_test_setup_teardown(a_broken_fetch_is_resumed, snap_setup,
						snap_teardown),
		cmocka_unit_test_setup_teardown(a_later_image_asks_only_for_what_changed,
						snap_setup, snap_teardown),
		cmocka_unit_test_setup_teardown(damage_is_refused_before_use, snap_setup,
						snap_teardown),
		cmocka_unit_test_setup_teardown(a_chunk_that_rots_here_is_fetched_again, snap_setup,
						snap_teardown),
		cmocka_unit_test_setup_teardown(an_image_that_is_not_what_it_says_is_refused,
						snap_setup, snap_teardown),
		cmocka_unit_test_setup_teardown(one_fetch_at_a_time, snap_setup, snap_teardown),
		cmocka_unit_test_setup_teardown(making_a_snapshot_spares_a_fetch_in_progress,
						snap_setup, snap_teardown),
		cmocka_unit_test_setup_teardown(
			making_serving_and_receiving_do_not_disturb_each_other, snap_setup,
			snap_teardown),
		cmocka_unit_test_setup_teardown(an_outdated_fetch_is_forgotten, snap_setup,
						snap_teardown),
		cmocka_unit_test_setup_teardown(a_stale_install_is_refused, snap_setup,
						snap_teardown),
		cmocka_unit_test_setup_teardown(a_log_suffix_after_the_snapshot_survives,
						snap_setup, snap_teardown),
		cmocka_unit_test_setup_teardown(a_log_of_another_history_goes, snap_setup,
						snap_teardown),
		cmocka_unit_test_setup_teardown(receive_and_install_survive_every_disk_fault,
						snap_setup, snap_teardown),
		cmocka_unit_test_setup_teardown(a_kill_at_any_moment_leaves_an_openable_store,
						snap_setup, snap_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
