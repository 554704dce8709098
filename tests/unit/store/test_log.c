/* test_log.c - append, load, replace, cut, recover: what a crash may take and what it may not. */
#include "tests/unit/store/log_rig.h"

#include "base/hash.h"

static void appended_entries_load_back(void **state)
{
	struct rig r;

	rig_setup(&r);
	assert_int_equal(rig_append(&r, 1, 3, 1, 0), 0);
	assert_int_equal(rig_append(&r, 4, 5, 2, 100), 0);
	assert_int_equal(store_log_last_index(r.log), 8);
	assert_int_equal(rig_expect(&r, 1, 3, 1, 0), 0);
	assert_int_equal(rig_expect(&r, 4, 8, 2, 100), 0);
	assert_int_equal(rig_expect(&r, 6, 7, 2, 100), 0);
	rig_teardown(&r);
}

static void reopened_log_is_the_same(void **state)
{
	struct rig r;
	struct raft_entry *terms;
	size_t count;

	rig_setup(&r);
	for (uint64_t i = 1; i <= 40; i++)
		assert_int_equal(rig_append(&r, i, 1, 1 + i / 10, 900), 0);
	rig_reopen(&r);
	assert_int_equal(store_log_last_index(r.log), 40);
	for (uint64_t i = 1; i <= 40; i++)
		assert_int_equal(rig_expect(&r, i, i, 1 + i / 10, 900), 0);
	store_log_terms(r.log, &terms, &count);
	assert_int_equal(count, 5);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(terms[i].term, i + 1);
		assert_int_equal(terms[i].index, i == 0 ? 1 : i * 10);
	}
	free(terms);
	assert_int_equal(rig_append(&r, 41, 1, 9, 900), 0);
	assert_int_equal(rig_expect(&r, 41, 41, 9, 900), 0);
	rig_teardown(&r);
}

static void expect_confs(struct rig *r, const uint64_t *want, size_t count)
{
	uint64_t *confs;
	size_t n;

	store_log_confs(r->log, &confs, &n);
	assert_int_equal(n, count);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(confs[i], want[i]);
	free(confs);
}

static void append_conf(struct rig *r, uint64_t index, uint64_t term)
{
	struct raft_entry *v = rig_entries(index, 1, term, 20);
	bool rolled;

	v[0].type = RAFT_ENTRY_CONF;
	assert_int_equal(store_log_append(r->log, v, 1, &rolled, NULL), 0);
	rig_entries_free(v, 1);
}

static void configuration_entries_are_known_without_reading(void **state)
{
	struct rig r;

	rig_setup(&r);
	assert_int_equal(rig_append(&r, 1, 1, 1, 10), 0);
	append_conf(&r, 2, 1);
	assert_int_equal(rig_append(&r, 3, 2, 1, 10), 0);
	append_conf(&r, 5, 1);
	append_conf(&r, 6, 1);
	expect_confs(&r, (const uint64_t[]){ 2, 5, 6 }, 3);
	/* A replaced suffix takes them with it, also after recovery. */
	assert_int_equal(rig_append(&r, 6, 1, 2, 10), 0);
	expect_confs(&r, (const uint64_t[]){ 2, 5 }, 2);
	rig_reopen(&r);
	expect_confs(&r, (const uint64_t[]){ 2, 5 }, 2);
	rig_teardown(&r);
}

static void group_is_one_write_and_one_sync(void **state)
{
	struct rig r;

	rig_setup(&r);
	assert_int_equal(rig_append(&r, 1, 1, 1, 10), 0);
	rig_io_reset(0, 0);
	assert_int_equal(rig_append(&r, 2, 9, 1, 100), 0);
	assert_string_equal(rig_io_state.trace, "ws");
	rig_teardown(&r);
}

static void group_that_does_not_fit_the_rest_begins_a_segment(void **state)
{
	struct rig r;

	rig_setup(&r);
	assert_int_equal(rig_append(&r, 1, 1, 1, 10000), 0);
	rig_io_reset(0, 0);
	assert_int_equal(rig_append(&r, 2, 3, 1, 3000), 0);
	/* header, frame, sync, then the name */
	assert_string_equal(rig_io_state.trace, "wwsrd");
	assert_int_equal(rig_expect(&r, 2, 4, 1, 3000), 0);
	rig_teardown(&r);
}

static void group_larger_than_a_segment_is_split(void **state)
{
	struct rig r;

	rig_setup(&r);
	assert_int_equal(rig_append(&r, 1, 1, 1, 100), 0);
	assert_int_equal(rig_append(&r, 2, 30, 1, 3000), 0);
	assert_true(r.log->segment_count > 5);
	assert_int_equal(rig_expect(&r, 2, 31, 1, 3000), 0);
	rig_reopen(&r);
	assert_int_equal(rig_expect(&r, 1, 1, 1, 100), 0);
	assert_int_equal(rig_expect(&r, 2, 31, 1, 3000), 0);
	rig_teardown(&r);
}

static void gaps_falling_terms_and_giants_are_refused(void **state)
{
	struct rig r;

	rig_setup(&r);
	assert_int_equal(rig_append(&r, 2, 1, 1, 10), -EINVAL);
	assert_int_equal(rig_append(&r, 1, 5, 3, 10), 0);
	assert_int_equal(rig_append(&r, 7, 1, 3, 10), -EINVAL);
	assert_int_equal(rig_append(&r, 6, 1, 2, 10), -EINVAL);
	assert_int_equal(rig_append(&r, 6, 1, 3, SEGMENT_SIZE_MIN), -EFBIG);
	assert_false(r.log->failed);
	assert_int_equal(rig_append(&r, 6, 1, 3, 10), 0);
	rig_teardown(&r);
}

static void later_entries_replace_the_suffix(void **state)
{
	struct rig r;

	rig_setup(&r);
	assert_int_equal(rig_append(&r, 1, 10, 1, 50), 0);
	assert_int_equal(rig_append(&r, 11, 10, 1, 50), 0);
	assert_int_equal(rig_append(&r, 6, 2, 2, 60), 0);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(store_log_last_index(r.log), 7);
		assert_int_equal(rig_expect(&r, 1, 5, 1, 50), 0);
		assert_int_equal(rig_expect(&r, 6, 7, 2, 60), 0);
		assert_int_equal(rig_expect(&r, 8, 8, 1, 50), -EINVAL);
		rig_reopen(&r);
	}
	/* The same content again at the same place is no mistake. */
	assert_int_equal(rig_append(&r, 6, 2, 2, 60), 0);
	assert_int_equal(rig_append(&r, 8, 1, 2, 60), 0);
	rig_reopen(&r);
	assert_int_equal(rig_expect(&r, 6, 8, 2, 60), 0);
	rig_teardown(&r);
}

static void suffix_may_be_replaced_across_segments(void **state)
{
	struct rig r;

	rig_setup(&r);
	rig_append_each(&r, 1, 30, 1, 2000);
	assert_int_equal(rig_append(&r, 3, 1, 2, 2000), 0);
	rig_append_each(&r, 4, 20, 2, 2000);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(store_log_last_index(r.log), 20);
		assert_int_equal(rig_expect(&r, 1, 2, 1, 2000), 0);
		assert_int_equal(rig_expect(&r, 3, 20, 2, 2000), 0);
		rig_reopen(&r);
	}
	rig_teardown(&r);
}

static void cut(struct rig *r, uint64_t index)
{
	store_log_plan_cut(r->log, index, &r->roots);
	assert_int_equal(store_log_carry_out(r->log, &r->roots, NULL), 0);
}

static size_t files_with(struct rig *r, const char *suffix)
{
	size_t count = 0;

	for (uint64_t n = 0; n < 300; n++) {
		char name[SPARE_NAME_SIZE];

		spare_name(n, suffix, name);
		count += faccessat(r->dir_fd, name, F_OK, 0) == 0;
	}
	return count;
}

static void cut_prefix_is_gone_and_the_rest_stays(void **state)
{
	struct rig r;

	rig_setup(&r);
	for (uint64_t i = 1; i <= 60; i++)
		assert_int_equal(rig_append(&r, i, 1, 1 + i / 7, 2000), 0);
	for (uint64_t at = 5; at <= 60; at += 11) {
		size_t before = files_with(&r, "seg");
		uint64_t term = 0;

		cut(&r, at);
		assert_true(files_with(&r, "seg") <= before);
		assert_true(store_log_term_at(r.log, at, &term));
		assert_int_equal(term, 1 + at / 7);
		assert_false(store_log_term_at(r.log, at - 1, &term));
		assert_int_equal(rig_expect(&r, at, at, 1 + at / 7, 2000), -ENOENT);
		rig_reopen(&r);
		assert_int_equal(r.log->base_index, at);
		assert_int_equal(store_log_last_index(r.log), 60);
		for (uint64_t i = at + 1; i <= 60; i++)
			assert_int_equal(rig_expect(&r, i, i, 1 + i / 7, 2000), 0);
	}
	cut(&r, 60);
	assert_int_equal(files_with(&r, "seg"), 1);
	assert_int_equal(store_log_live_bytes(r.log), 0);
	assert_int_equal(rig_append(&r, 61, 1, 100, 10), 0);
	assert_int_equal(rig_append(&r, 60, 1, 100, 10), -EINVAL);
	rig_reopen(&r);
	assert_int_equal(rig_expect(&r, 61, 61, 100, 10), 0);
	rig_teardown(&r);
}

static void recycled_segments_show_nothing_of_their_past(void **state)
{
	struct rig r;
	uint64_t next = 1;

	rig_setup(&r);
	/* The same frames again and again at the same offsets, in files that go round. */
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 12; i++)
			assert_int_equal(rig_append(&r, next++, 1, 1, 2000), 0);
		rig_reopen(&r);
		assert_int_equal(store_log_last_index(r.log), next - 1);
		assert_int_equal(rig_expect(&r, next - 5, next - 1, 1, 2000), 0);
		cut(&r, next - 3);
		assert_true(files_with(&r, "seg") + files_with(&r, "spare") <= 7 + SPARES_RECYCLED);
	}
	rig_teardown(&r);
}

static void reader_keeps_a_segment_that_is_cut_away(void **state)
{
	struct rig r;
	struct log_segment *held;

	rig_setup(&r);
	rig_append_each(&r, 1, 30, 1, 3000);
	held = r.log->segments[0];
	atomic_fetch_add(&held->refs, 1);
	cut(&r, 29);
	assert_int_equal(atomic_load(&held->refs), 1);
	assert_true(fcntl(held->fd, F_GETFD) >= 0);
	log_segment_unref(held);
	rig_teardown(&r);
}

static void crash_inside_a_cut_is_finished_by_the_next_open(void **state)
{
	struct rig r;

	rig_setup(&r);
	rig_append_each(&r, 1, 60, 1, 2000);
	store_log_plan_cut(r.log, 50, &r.roots); /* the superblock is written, and then */
	rig_reopen(&r);
	assert_int_equal(files_with(&r, "seg"), r.log->segment_count);
	assert_int_equal(r.log->base_index, 50);
	assert_int_equal(rig_expect(&r, 51, 60, 1, 2000), 0);
	rig_teardown(&r);
}

static void reset_log_begins_behind_its_base(void **state)
{
	struct rig r;
	uint64_t last;
	bool torn;

	rig_setup(&r);
	rig_append_each(&r, 1, 20, 1, 2000);
	store_log_plan_reset(r.log, 100, 7, &r.roots);
	assert_int_equal(rig_probe(&r, &last, &torn), 0); /* a crash before it is carried out */
	assert_int_equal(last, 100);
	assert_int_equal(store_log_carry_out(r.log, &r.roots, NULL), 0);
	assert_int_equal(files_with(&r, "seg"), 0);
	assert_int_equal(rig_append(&r, 21, 1, 7, 10), -EINVAL);
	assert_int_equal(rig_append(&r, 101, 2, 7, 10), 0);
	rig_reopen(&r);
	assert_int_equal(r.log->base_index, 100);
	assert_int_equal(rig_expect(&r, 101, 102, 7, 10), 0);
	rig_teardown(&r);
}

static void load_stops_at_its_byte_limit_with_at_least_one(void **state)
{
	struct rig r;
	struct raft_entry *v;
	size_t count;

	rig_setup(&r);
	assert_int_equal(rig_append(&r, 1, 10, 1, 1000), 0);
	rig_append_each(&r, 11, 20, 1, 1000);
	for (size_t max = 0; max < 15000; max += 500) {
		assert_int_equal(store_log_load(r.log, 3, 20, max, &v, &count, NULL), 0);
		assert_true(count >= 1 && (count == 1 || count * 1000 <= max));
		for (size_t i = 0; i < count; i++)
			assert_true(rig_entry_is(&v[i], 3 + i, 1, 1000));
		rig_entries_free(v, count);
	}
	rig_teardown(&r);
}

static void load_finds_damage(void **state)
{
	struct rig r;
	int fd;

	rig_setup(&r);
	assert_int_equal(rig_append(&r, 1, 2, 1, 1000), 0);
	fd = rig_segment_fd(&r, 1);
	rig_flip(fd, 5000, 1);
	close(fd);
	assert_int_equal(rig_expect(&r, 1, 2, 1, 1000), -EUCLEAN);
	rig_teardown(&r);
}

/* ---- recovery
 * ------------------------------------------------------------------------------------ */

/* Three groups, 1-2, 3-4 and 5-7; offset and size of each frame. */
static void three_frames(struct rig *r, struct log_frame frames[3])
{
	rig_setup(r);
	assert_int_equal(rig_append(r, 1, 2, 1, 300), 0);
	assert_int_equal(rig_append(r, 3, 2, 1, 300), 0);
	assert_int_equal(rig_append(r, 5, 3, 2, 300), 0);
	memcpy(frames, r->log->frames, 3 * sizeof(*frames));
	rig_crash(r);
}

static void tail_torn_at_any_byte_is_left_out(void **state)
{
	struct rig r;
	struct log_frame f[3];
	uint8_t *whole, *zeros;
	int fd;

	three_frames(&r, f);
	fd = rig_segment_fd(&r, 1);
	whole = mem_alloc(f[2].size_bytes);
	zeros = mem_calloc(1, f[2].size_bytes);
	assert_int_equal(io_pread_all(fd, whole, f[2].size_bytes, (off_t)f[2].offset), 0);
	for (size_t kept = 0; kept <= f[2].size_bytes; kept++) {
		size_t lost = f[2].size_bytes - kept;
		bool complete = memcmp(whole + kept, zeros, lost) == 0;
		uint64_t last = 0;
		bool torn = false;

		assert_int_equal(io_pwrite_all(fd, zeros, lost, (off_t)(f[2].offset + kept)), 0);
		assert_int_equal(rig_probe(&r, &last, &torn), 0);
		assert_int_equal(last, complete ? 7 : 4);
		assert_int_equal(torn, !complete && kept >= 32); /* told by the uuid */
		assert_int_equal(io_pwrite_all(fd, whole, f[2].size_bytes, (off_t)f[2].offset), 0);
	}
	close(fd);
	free(whole);
	free(zeros);
	rig_dir_close(&r);
}

static void torn_tail_is_wiped_before_the_log_goes_on(void **state)
{
	struct rig r;
	struct log_frame f[3];
	uint64_t last;
	bool torn;
	int fd;

	three_frames(&r, f);
	fd = rig_segment_fd(&r, 1);
	assert_int_equal(io_pwrite_all(fd, "torn", 4, (off_t)f[2].offset + 400), 0);
	assert_int_equal(rig_probe(&r, &last, &torn), 0);
	assert_int_equal(last, 4);
	assert_true(torn);
	assert_int_equal(rig_start(&r), 0);
	rig_crash(&r);
	assert_int_equal(rig_probe(&r, &last, &torn), 0);
	assert_false(torn);
	assert_int_equal(rig_start(&r), 0);
	assert_int_equal(rig_append(&r, 5, 1, 3, 20), 0);
	assert_int_equal(rig_expect(&r, 5, 5, 3, 20), 0);
	close(fd);
	rig_teardown(&r);
}

static void any_flipped_byte_of_a_durable_frame_is_damage(void **state)
{
	struct rig r;
	struct log_frame f[3];
	uint64_t last;
	bool torn;
	int fd;

	three_frames(&r, f);
	fd = rig_segment_fd(&r, 1);
	/* The header of the segment and both frames that a later one knows to be durable. */
	for (off_t off = 0; off < (off_t)f[2].offset; off += off < 4096 ? 37 : 1) {
		uint8_t bit = (uint8_t)(1u << off % 8);

		rig_flip(fd, off, bit);
		assert_int_equal(rig_probe(&r, &last, &torn), -EUCLEAN);
		rig_flip(fd, off, bit);
	}
	assert_int_equal(rig_probe(&r, &last, &torn), 0);
	assert_int_equal(last, 7);
	close(fd);
	rig_dir_close(&r);
}

static void last_frame_is_torn_above_the_floor_and_damage_below(void **state)
{
	struct rig r;
	struct log_frame f[3];
	uint64_t last;
	bool torn;
	int fd;

	three_frames(&r, f);
	fd = rig_segment_fd(&r, 1);
	for (off_t off = (off_t)f[2].offset; off < (off_t)(f[2].offset + f[2].size_bytes); off++) {
		rig_flip(fd, off, 0x10);
		r.roots.synced_frame = 2;
		assert_int_equal(rig_probe(&r, &last, &torn), 0);
		assert_int_equal(last, 4);
		assert_true(torn);
		r.roots.synced_frame = 3;
		assert_int_equal(rig_probe(&r, &last, &torn), -EUCLEAN);
		rig_flip(fd, off, 0x10);
	}
	close(fd);
	rig_dir_close(&r);
}

static void damage_is_named_in_four_parts_and_not_touched(void **state)
{
	struct rig r;
	struct log_frame f[3];
	struct store_log *log = NULL;
	struct err err = ERR_INIT;
	uint8_t *before = mem_alloc(SEGMENT_SIZE_MIN), *after = mem_alloc(SEGMENT_SIZE_MIN);
	int fd;

	three_frames(&r, f);
	fd = rig_segment_fd(&r, 1);
	assert_int_equal(io_pwrite_all(fd, "bad", 3, (off_t)f[1].offset + 300), 0);
	assert_int_equal(io_pread_all(fd, before, SEGMENT_SIZE_MIN, 0), 0);
	assert_int_equal(store_log_open(&log, r.dir_fd, "log", &rig_identity, &r.roots, &r.options,
					&rig_io, &err),
			 -EUCLEAN);
	assert_non_null(strstr(err.text, "frame 2 (entries 3 to 4, term 1) is damaged"));
	assert_true(err.still_works[0] != '\0' && err.next[0] != '\0');
	assert_int_equal(io_pread_all(fd, after, SEGMENT_SIZE_MIN, 0), 0);
	assert_memory_equal(before, after, SEGMENT_SIZE_MIN);
	close(fd);
	free(before);
	free(after);
	rig_dir_close(&r);
}

static void damage_in_an_older_segment_is_never_torn(void **state)
{
	struct rig r;
	uint64_t last;
	bool torn;
	int fd;

	rig_setup(&r);
	rig_append_each(&r, 1, 20, 1, 2000);
	for (size_t i = 0; i + 1 < r.log->frame_count; i++) {
		struct log_frame *f = &r.log->frames[i];

		if (f->segment == r.log->segments[r.log->segment_count - 1])
			break;
		fd = rig_segment_fd(&r, f->segment->number);
		rig_flip(fd, (off_t)f->offset + 700, 1);
		assert_int_equal(rig_probe(&r, &last, &torn), -EUCLEAN);
		rig_flip(fd, (off_t)f->offset + 700, 1);
		close(fd);
	}
	rig_teardown(&r);
}

static void missing_segment_is_damage(void **state)
{
	struct rig r;
	uint64_t last;
	bool torn;

	rig_setup(&r);
	rig_append_each(&r, 1, 20, 1, 2000);
	r.roots.synced_frame = 20;
	for (size_t i = 0; i < r.log->segment_count; i++) {
		char name[SPARE_NAME_SIZE];

		segment_name(r.log->segments[i]->number, name);
		assert_int_equal(renameat(r.dir_fd, name, r.dir_fd, "aside"), 0);
		assert_int_equal(rig_probe(&r, &last, &torn), -EUCLEAN);
		assert_int_equal(renameat(r.dir_fd, "aside", r.dir_fd, name), 0);
	}
	assert_int_equal(rig_probe(&r, &last, &torn), 0);
	rig_teardown(&r);
}

static void log_of_another_group_is_refused(void **state)
{
	struct rig r;
	struct store_log *log = NULL;
	struct store_identity other = rig_identity;

	rig_setup(&r);
	assert_int_equal(rig_append(&r, 1, 1, 1, 10), 0);
	other.group++;
	assert_int_equal(
		store_log_open(&log, r.dir_fd, "log", &other, &r.roots, &r.options, &rig_io, NULL),
		-EUCLEAN);
	other = rig_identity;
	other.cluster[5] ^= 1;
	assert_int_equal(
		store_log_open(&log, r.dir_fd, "log", &other, &r.roots, &r.options, &rig_io, NULL),
		-EUCLEAN);
	rig_teardown(&r);
}

/* Rewrites a frame's header after a change, as writing it so would have done. */
static void reseal(uint8_t *head)
{
	store_le64(head + 248, hash64(head, 248));
}

static void unsynced_frames_out_of_order_are_torn(void **state)
{
	struct rig r;
	struct log_frame f[3];
	uint8_t head[FRAME_HEADER_SIZE];
	uint64_t last;
	bool torn;
	int fd;

	/* Frame 3 came to the disk, frame 2 of the same unsynced group did not. */
	three_frames(&r, f);
	fd = rig_segment_fd(&r, 1);
	assert_int_equal(io_pread_all(fd, head, sizeof(head), (off_t)f[2].offset), 0);
	store_le64(head + 72, 1); /* only frame 1 was durable when it was written */
	reseal(head);
	assert_int_equal(io_pwrite_all(fd, head, sizeof(head), (off_t)f[2].offset), 0);
	assert_int_equal(io_pwrite_all(fd, "lost", 4, (off_t)f[1].offset + 300), 0);
	assert_int_equal(rig_probe(&r, &last, &torn), 0);
	assert_int_equal(last, 2);
	assert_true(torn);
	assert_int_equal(rig_start(&r), 0);
	assert_int_equal(rig_append(&r, 3, 2, 3, 300), 0); /* as long as the lost frame 2 */
	rig_crash(&r);
	assert_int_equal(rig_probe(&r, &last, &torn), 0);
	assert_int_equal(last, 4); /* frame 3 did not come back to life behind it */
	close(fd);
	rig_dir_close(&r);
}

static void frame_of_another_history_does_not_link(void **state)
{
	struct rig r;
	struct log_frame f[3];
	uint8_t *old;
	uint64_t last;
	bool torn;
	int fd;

	three_frames(&r, f);
	fd = rig_segment_fd(&r, 1);
	old = mem_alloc(f[2].size_bytes);
	assert_int_equal(io_pread_all(fd, old, f[2].size_bytes, (off_t)f[2].offset), 0);
	assert_int_equal(io_pwrite_all(fd, "torn", 4, (off_t)f[1].offset + 300), 0);
	/* Frame 2 is lost together with 3, 2 is written anew, and then 3 comes back as it was. */
	assert_int_equal(ftruncate(fd, (off_t)f[1].offset), 0);
	assert_int_equal(ftruncate(fd, SEGMENT_SIZE_MIN), 0);
	assert_int_equal(rig_start(&r), 0);
	assert_int_equal(rig_append(&r, 3, 2, 3, 300), 0);
	rig_crash(&r);
	assert_int_equal(io_pwrite_all(fd, old, f[2].size_bytes, (off_t)f[2].offset), 0);
	/* It says that the frame before it was durable; so it was, but not this one. */
	r.roots.synced_frame = 2;
	assert_int_equal(rig_probe(&r, &last, &torn), 0);
	assert_int_equal(last, 4);
	close(fd);
	free(old);
	rig_dir_close(&r);
}

static void spares_are_made_when_half_is_used_and_never_when_idle(void **state)
{
	struct rig r;

	rig_setup(&r);
	usleep(20000);
	assert_int_equal(files_with(&r, "spare"), 0);
	assert_int_equal(store_log_bytes_written(r.log), 0);
	assert_int_equal(rig_append(&r, 1, 1, 1, 9000), 0);
	for (int i = 0; i < 500 && files_with(&r, "spare") < 2; i++)
		usleep(10000);
	assert_int_equal(files_with(&r, "spare"), 2);
	rig_reopen(&r);
	assert_int_equal(r.log->spares.count, 2);
	rig_teardown(&r);
}

static void created_log_holds_entry_one(void **state)
{
	struct rig r;
	struct raft_entry *v = rig_entries(1, 1, 1, 50);

	rig_dir_open(&r);
	assert_int_equal(store_log_create(r.dir_fd, &rig_identity, &v[0], &rig_io, NULL), 0);
	r.roots.synced_frame = 1;
	assert_int_equal(rig_start(&r), 0);
	assert_int_equal(rig_expect(&r, 1, 1, 1, 50), 0);
	assert_int_equal(rig_append(&r, 2, 1, 1, 12000), 0);
	rig_entries_free(v, 1);
	rig_teardown(&r);
}

struct loader {
	struct rig *rig;
	atomic_bool stop;
	int result;
};

static void *load_for_ever(void *arg)
{
	struct loader *l = arg;

	while (!atomic_load(&l->stop) && l->result == 0) {
		uint64_t last = store_log_last_index(l->rig->log);

		/* Cut away meanwhile is an answer; wrong content is not. */
		l->result = last == 0 ? 0 : rig_expect(l->rig, last, last, 1, 1500);
		if (l->result == -ENOENT)
			l->result = 0;
	}
	return NULL;
}

static void loads_run_beside_appends_and_cuts(void **state)
{
	struct rig r;
	struct loader l = { .rig = &r };
	pthread_t thread;

	rig_setup(&r);
	assert_int_equal(pthread_create(&thread, NULL, load_for_ever, &l), 0);
	for (uint64_t i = 1; i <= 400; i++) {
		assert_int_equal(rig_append(&r, i, 1, 1, 1500), 0);
		if (i % 10 == 0)
			cut(&r, i - 2);
	}
	atomic_store(&l.stop, true);
	pthread_join(thread, NULL);
	assert_int_equal(l.result, 0);
	rig_teardown(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(appended_entries_load_back),
		cmocka_unit_test(reopened_log_is_the_same),
		cmocka_unit_test(configuration_entries_are_known_without_reading),
		cmocka_unit_test(group_is_one_write_and_one_sync),
		cmocka_unit_test(group_that_does_not_fit_the_rest_begins_a_segment),
		cmocka_unit_test(group_larger_than_a_segment_is_split),
		cmocka_unit_test(gaps_falling_terms_and_giants_are_refused),
		cmocka_unit_test(later_entries_replace_the_suffix),
		cmocka_unit_test(suffix_may_be_replaced_across_segments),
		cmocka_unit_test(cut_prefix_is_gone_and_the_rest_stays),
		cmocka_unit_test(recycled_segments_show_nothing_of_their_past),
		cmocka_unit_test(reader_keeps_a_segment_that_is_cut_away),
		cmocka_unit_test(crash_inside_a_cut_is_finished_by_the_next_open),
		cmocka_unit_test(reset_log_begins_behind_its_base),
		cmocka_unit_test(load_stops_at_its_byte_limit_with_at_least_one),
		cmocka_unit_test(load_finds_damage),
		cmocka_unit_test(tail_torn_at_any_byte_is_left_out),
		cmocka_unit_test(torn_tail_is_wiped_before_the_log_goes_on),
		cmocka_unit_test(any_flipped_byte_of_a_durable_frame_is_damage),
		cmocka_unit_test(last_frame_is_torn_above_the_floor_and_damage_below),
		cmocka_unit_test(damage_is_named_in_four_parts_and_not_touched),
		cmocka_unit_test(damage_in_an_older_segment_is_never_torn),
		cmocka_unit_test(missing_segment_is_damage),
		cmocka_unit_test(log_of_another_group_is_refused),
		cmocka_unit_test(unsynced_frames_out_of_order_are_torn),
		cmocka_unit_test(frame_of_another_history_does_not_link),
		cmocka_unit_test(spares_are_made_when_half_is_used_and_never_when_idle),
		cmocka_unit_test(created_log_holds_entry_one),
		cmocka_unit_test(loads_run_beside_appends_and_cuts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
