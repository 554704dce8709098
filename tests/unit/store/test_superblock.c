/* test_superblock.c - four slots, two per version: what survives which damage. */
#include "tests/unit/store/log_rig.h"

#include "store/superblock.h"

struct file {
	struct rig rig;
	int fd;
	struct superblock sb;
};

static void file_open(struct file *f)
{
	uint8_t *zeros = mem_calloc(1, SUPERBLOCK_SIZE);

	rig_dir_open(&f->rig);
	f->fd = rig_io.create(f->rig.dir_fd, "superblock");
	assert_true(f->fd >= 0);
	assert_int_equal(io_pwrite_all(f->fd, zeros, SUPERBLOCK_SIZE, 0), 0);
	free(zeros);
	f->sb = (struct superblock){
		.identity = rig_identity,
		.hard = { .term = 1, .vote = 0 },
		.generation = 1,
		.first_segment = 1,
	};
}

static void file_close(struct file *f)
{
	close(f->fd);
	rig_dir_close(&f->rig);
}

/* Writes one more version with this term. */
static void write_term(struct file *f, uint64_t term)
{
	f->sb.hard = (struct raft_hard_state){ .term = term, .vote = term % 5 };
	assert_int_equal(superblock_write(&rig_io, f->fd, &f->sb), 0);
}

static void flip(struct file *f, uint32_t slot, size_t byte, uint8_t mask)
{
	uint8_t b;
	off_t off = (off_t)(slot * SUPERBLOCK_SLOT_SIZE + byte);

	assert_int_equal(io_pread_all(f->fd, &b, 1, off), 0);
	b ^= mask;
	assert_int_equal(io_pwrite_all(f->fd, &b, 1, off), 0);
}

/* The term that a reader finds, or the error. */
static int64_t term_found(struct file *f)
{
	struct superblock sb;
	int ret = superblock_read(f->fd, "superblock", &sb, NULL);

	return ret < 0 ? ret : (int64_t)sb.hard.term;
}

static void record_comes_back_as_written(void **state)
{
	struct superblock in = {
		.identity = rig_identity, .sequence = 9, .previous = "previous version",
		.hard = { .term = 11, .vote = 12 }, .incarnation = 13, .clean = true, .generation = 14,
		.base_index = 15, .base_term = 10, .first_segment = 17, .frames_before = 18,
		.synced_frame = 19,
	}, out;
	uint8_t bytes[SUPERBLOCK_RECORD_SIZE];

	superblock_encode(&in, 3, bytes);
	assert_int_equal(superblock_decode(&out, 3, bytes), 0);
	assert_memory_equal(out.identity.cluster, in.identity.cluster, 16);
	assert_int_equal(out.identity.group, in.identity.group);
	assert_int_equal(out.identity.node_id, in.identity.node_id);
	assert_int_equal(out.sequence, 9);
	assert_memory_equal(out.previous, in.previous, 16);
	assert_memory_equal(out.checksum, in.checksum, 16);
	assert_int_equal(out.hard.term, 11);
	assert_int_equal(out.hard.vote, 12);
	assert_int_equal(out.incarnation, 13);
	assert_true(out.clean);
	assert_int_equal(out.generation, 14);
	assert_int_equal(out.base_index, 15);
	assert_int_equal(out.base_term, 10);
	assert_int_equal(out.first_segment, 17);
	assert_int_equal(out.frames_before, 18);
	assert_int_equal(out.synced_frame, 19);
	assert_int_equal(superblock_decode(&out, 2, bytes), -EUCLEAN); /* misdirected */
}

static void no_flipped_bit_of_a_record_goes_unseen(void **state)
{
	struct superblock in = { .identity = rig_identity, .sequence = 9 }, out;
	uint8_t bytes[SUPERBLOCK_RECORD_SIZE];

	superblock_encode(&in, 1, bytes);
	for (size_t bit = 0; bit < sizeof(bytes) * 8; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(superblock_decode(&out, 1, bytes), -EUCLEAN);
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

static void live_bytes_of_a_record_lie_in_one_sector(void **state)
{
	struct superblock a = { .identity = rig_identity, .sequence = 1 }, b;
	uint8_t x[SUPERBLOCK_RECORD_SIZE], y[SUPERBLOCK_RECORD_SIZE];

	memset(&b, 0xff, sizeof(b));
	b.clean = true;
	superblock_encode(&a, 0, x);
	superblock_encode(&b, 0, y);
	assert_memory_equal(x + 512, y + 512, sizeof(x) - 512);
}

static void newest_version_wins(void **state)
{
	struct file f;

	file_open(&f);
	assert_int_equal(term_found(&f), -ENODATA);
	for (uint64_t term = 1; term < 12; term++) {
		write_term(&f, term);
		assert_int_equal(f.sb.sequence, term);
		assert_int_equal(term_found(&f), term);
	}
	file_close(&f);
}

static void each_version_names_the_one_before(void **state)
{
	struct file f;
	uint8_t checksum[16];
	struct superblock sb;

	file_open(&f);
	write_term(&f, 1);
	memcpy(checksum, f.sb.checksum, 16);
	write_term(&f, 2);
	assert_int_equal(superblock_read(f.fd, "superblock", &sb, NULL), 0);
	assert_memory_equal(sb.previous, checksum, 16);
	file_close(&f);
}

static void one_bad_copy_changes_nothing(void **state)
{
	struct file f;

	file_open(&f);
	write_term(&f, 1);
	for (uint64_t term = 2; term < 6; term++) {
		write_term(&f, term);
		for (uint32_t slot = 0; slot < SUPERBLOCK_SLOTS; slot++) {
			flip(&f, slot, 100, 4);
			assert_int_equal(term_found(&f), term);
			flip(&f, slot, 100, 4);
		}
	}
	file_close(&f);
}

static void two_bad_copies_never_bring_the_old_vote_back(void **state)
{
	struct file f;

	file_open(&f);
	for (uint64_t term = 1; term < 6; term++) {
		uint32_t pair = term % 2 == 0 ? 0 : 2;

		write_term(&f, term);
		flip(&f, pair, 96, 1);
		flip(&f, pair + 1, 96, 1);
		assert_int_equal(term_found(&f), -EUCLEAN);
		flip(&f, pair, 96, 1);
		flip(&f, pair + 1, 96, 1);
	}
	file_close(&f);
}

static void crash_between_the_two_copies_leaves_old_or_new(void **state)
{
	struct file f;
	struct superblock before;

	file_open(&f);
	for (uint64_t term = 1; term < 5; term++)
		write_term(&f, term);
	before = f.sb;
	f.sb.hard.term = 5;
	rig_io_reset(2, -EIO); /* the first copy is written, of the second one half */
	assert_int_equal(superblock_write(&rig_io, f.fd, &f.sb), -EIO);
	assert_int_equal(f.sb.sequence, before.sequence);
	assert_int_equal(term_found(&f), 5);
	rig_io_reset(0, 0);
	assert_int_equal(superblock_read(f.fd, "superblock", &f.sb, NULL), 0);
	write_term(&f, 6);
	assert_int_equal(term_found(&f), 6);
	file_close(&f);
}

static void version_is_two_writes_and_one_sync(void **state)
{
	struct file f;

	file_open(&f);
	rig_io_reset(0, 0);
	write_term(&f, 1);
	assert_string_equal(rig_io_state.trace, "wws");
	file_close(&f);
}

static void short_or_garbled_file_is_damage(void **state)
{
	struct file f;

	file_open(&f);
	write_term(&f, 1);
	assert_int_equal(ftruncate(f.fd, SUPERBLOCK_SIZE - 1), 0);
	assert_int_equal(term_found(&f), -EUCLEAN);
	assert_int_equal(ftruncate(f.fd, 0), 0);
	assert_int_equal(ftruncate(f.fd, SUPERBLOCK_SIZE), 0);
	assert_int_equal(term_found(&f), -ENODATA);
	flip(&f, 1, 2000, 0x80);
	assert_int_equal(term_found(&f), -EUCLEAN);
	file_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(record_comes_back_as_written),
		cmocka_unit_test(no_flipped_bit_of_a_record_goes_unseen),
		cmocka_unit_test(live_bytes_of_a_record_lie_in_one_sector),
		cmocka_unit_test(newest_version_wins),
		cmocka_unit_test(each_version_names_the_one_before),
		cmocka_unit_test(one_bad_copy_changes_nothing),
		cmocka_unit_test(two_bad_copies_never_bring_the_old_vote_back),
		cmocka_unit_test(crash_between_the_two_copies_leaves_old_or_new),
		cmocka_unit_test(version_is_two_writes_and_one_sync),
		cmocka_unit_test(short_or_garbled_file_is_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
