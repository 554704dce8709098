/* test_chunk.c - chunk files: stored form, names, refusal of what does not verify. */
#include "base/prng.h"
#include "store/chunk.h"
#include "tests/unit/store/log_rig.h"

#include <sys/stat.h>

#define LEN 200000u

struct fixture {
	struct rig dir;
	struct chunk_dir chunks;
	uint8_t raw[LEN], back[LEN];
	uint8_t hash[SEAL_HASH_SIZE];
	struct buf stored;
};

static int setup(void **state)
{
	struct fixture *f = mem_calloc(1, sizeof(*f));
	struct prng rng;

	*state = f;
	rig_dir_open(&f->dir);
	f->chunks.io = &rig_io;
	f->chunks.fd = f->dir.dir_fd;
	prng_init(&rng, 1);
	for (size_t i = 0; i < LEN; i++) /* half of it compresses */
		f->raw[i] = (uint8_t)(i < LEN / 2 ? i / 1000 : prng_u64(&rng));
	seal_chunk(f->raw, LEN, f->hash);
	assert_int_equal(chunk_encode(f->raw, LEN, &f->stored), 0);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	buf_release(&f->stored);
	rig_dir_close(&f->dir);
	free(f);
	return 0;
}

static void a_chunk_reads_back(void **state)
{
	struct fixture *f = *state;
	struct buf out = BUF_INIT;

	assert_true(f->stored.len < LEN * 3 / 4);
	assert_false(chunk_exists(&f->chunks, f->hash));
	assert_int_equal(chunk_read(&f->chunks, f->hash, LEN, &out, f->back), -ENOENT);
	assert_int_equal(chunk_write(&f->chunks, f->hash, f->stored.data, f->stored.len), 0);
	assert_int_equal(chunk_sync(&f->chunks), 0);
	assert_true(chunk_exists(&f->chunks, f->hash));
	assert_int_equal(chunk_read(&f->chunks, f->hash, LEN, &out, f->back), 0);
	assert_memory_equal(f->raw, f->back, LEN);
	assert_int_equal(out.len, f->stored.len);
	assert_int_equal(chunk_remove(&f->chunks, f->hash), 0);
	assert_int_equal(chunk_remove(&f->chunks, f->hash), 0);
	assert_false(chunk_exists(&f->chunks, f->hash));
	buf_release(&out);
}

static void any_flipped_bit_is_refused(void **state)
{
	struct fixture *f = *state;
	struct prng rng;

	prng_init(&rng, 2);
	for (size_t i = 0; i < 3000; i++) {
		/* All of the head, where the decoders have most to misread, and samples of the rest. */
		size_t bit = i < 40 * 8 ? i : prng_below(&rng, f->stored.len * 8);
		uint8_t mask = (uint8_t)(1u << bit % 8);

		f->stored.data[bit / 8] ^= mask;
		assert_int_equal(chunk_decode(f->hash, LEN, f->stored.data, f->stored.len, f->back),
				 -EUCLEAN);
		f->stored.data[bit / 8] ^= mask;
	}
	assert_int_equal(chunk_decode(f->hash, LEN, f->stored.data, f->stored.len, f->back), 0);
}

static void short_long_and_foreign_bytes_are_refused(void **state)
{
	struct fixture *f = *state;
	uint8_t other[SEAL_HASH_SIZE];

	for (size_t len = 0; len < f->stored.len; len += len < 64 ? 1 : 997)
		assert_int_equal(chunk_decode(f->hash, LEN, f->stored.data, len, f->back),
				 -EUCLEAN);
	assert_int_equal(chunk_decode(f->hash, LEN - 1, f->stored.data, f->stored.len, f->back),
			 -EUCLEAN);
	memcpy(other, f->hash, sizeof(other));
	other[31] ^= 1;
	assert_int_equal(chunk_decode(other, LEN, f->stored.data, f->stored.len, f->back),
			 -EUCLEAN);
	buf_put_u8(&f->stored, 0);
	assert_int_equal(chunk_decode(f->hash, LEN, f->stored.data, f->stored.len, f->back),
			 -EUCLEAN);
}

/* Sound in itself, but of another content than the name says. */
static void a_chunk_under_a_wrong_name_is_refused(void **state)
{
	struct fixture *f = *state;
	struct buf out = BUF_INIT;
	uint8_t other[SEAL_HASH_SIZE] = { 1, 2, 3 };

	assert_int_equal(chunk_write(&f->chunks, other, f->stored.data, f->stored.len), 0);
	assert_int_equal(chunk_read(&f->chunks, other, LEN, &out, f->back), -EUCLEAN);
	assert_int_equal(out.len, 0);
	buf_release(&out);
}

static void names_are_hashes_and_nothing_else_is(void **state)
{
	char name[CHUNK_NAME_SIZE + 1];
	uint8_t hash[SEAL_HASH_SIZE], back[SEAL_HASH_SIZE];

	for (size_t i = 0; i < sizeof(hash); i++)
		hash[i] = (uint8_t)(i * 37);
	chunk_name(hash, name);
	assert_true(chunk_name_parse(name, back));
	assert_memory_equal(hash, back, sizeof(hash));
	name[3] = 'G';
	assert_false(chunk_name_parse(name, back));
	chunk_name(hash, name);
	name[63] = '\0';
	assert_false(chunk_name_parse(name, back));
	assert_false(chunk_name_parse("", back));
	memset(name, 'A', 64);
	name[64] = '\0';
	assert_false(chunk_name_parse(name, back));
	assert_false(chunk_name_parse("0123.1.tmp", back));
}

/* Whatever call fails: the chunk is there and whole, or not there at all, and no temporary is left. */
static void a_failed_write_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	bool fired = true;

	for (unsigned nth = 1; fired; nth++) {
		struct buf out = BUF_INIT;
		int ret;

		rig_io_reset(nth, -ENOSPC);
		ret = chunk_write(&f->chunks, f->hash, f->stored.data, f->stored.len);
		fired = rig_io_state.calls >= nth;
		assert_int_equal(ret, fired ? -ENOSPC : 0);
		rig_io_reset(0, 0);
		assert_int_equal(chunk_read(&f->chunks, f->hash, LEN, &out, f->back),
				 fired ? -ENOENT : 0);
		if (fired) /* an empty directory can be removed, and made again */
			assert_int_equal(rmdir(f->dir.path), 0);
		if (fired)
			assert_int_equal(mkdir(f->dir.path, 0700), 0);
		if (fired) {
			close(f->dir.dir_fd);
			f->dir.dir_fd = open(f->dir.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
			f->chunks.fd = f->dir.dir_fd;
		}
		buf_release(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_chunk_reads_back, setup, teardown),
		cmocka_unit_test_setup_teardown(any_flipped_bit_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(short_long_and_foreign_bytes_are_refused, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_chunk_under_a_wrong_name_is_refused, setup,
						teardown),
		cmocka_unit_test_setup_teardown(names_are_hashes_and_nothing_else_is, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_failed_write_leaves_nothing, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
