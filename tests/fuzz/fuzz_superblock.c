/*
 * fuzz_superblock.c - a superblock file in which slots are old, new, torn, damaged, misplaced: the newest
 * version that can be trusted, or a refusal; never an older one when the newest may be lost.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "base/io.h"
#include "store/superblock.h"
#include "tests/fuzz/fuzz.h"

enum slot_fate { SLOT_EMPTY, SLOT_GOOD, SLOT_DAMAGED, SLOT_MISPLACED, SLOT_RAW, SLOT_FATES };

struct file {
	uint8_t bytes[SUPERBLOCK_SIZE];
	bool good[SUPERBLOCK_SLOTS];
	uint64_t sequence[SUPERBLOCK_SLOTS];
};

static void make_slot(struct file *f, uint32_t slot, struct cursor *c)
{
	uint8_t *at = f->bytes + slot * SUPERBLOCK_SLOT_SIZE;
	uint8_t fate = cursor_u8(c) % SLOT_FATES;
	struct superblock sb = {
		.identity = { .cluster = { 9 }, .node_id = 1 + cursor_u8(c) % 3 },
		.sequence = cursor_u8(c) % 8,
		.hard = { .term = cursor_u8(c), .vote = cursor_u8(c) % 4 },
		.clean = cursor_u8(c) & 1,
	};

	f->good[slot] = false;
	f->sequence[slot] = sb.sequence;
	memset(at, 0, SUPERBLOCK_RECORD_SIZE);
	if (fate == SLOT_EMPTY)
		return;
	superblock_encode(&sb, fate == SLOT_MISPLACED ? slot ^ 1 : slot, at);
	if (fate == SLOT_RAW)
		cursor_copy(c, at + 32, 128);
	if (fate == SLOT_DAMAGED)
		at[cursor_u8(c)] ^= (uint8_t)(1 + cursor_u8(c) % 255);
	/* A version's pair is decided by its number. */
	f->good[slot] =
		fate == SLOT_GOOD && sb.sequence > 0 && (sb.sequence % 2 == 0) == (slot < 2);
}

static void check(const struct file *f, int fd)
{
	uint64_t newest = 0;
	struct superblock sb;
	int ret = superblock_read(fd, "test", &sb, NULL);

	for (uint32_t i = 0; i < SUPERBLOCK_SLOTS; i++)
		if (f->good[i])
			newest = max_u64(newest, f->sequence[i]);
	if (ret < 0) {
		assert(ret == -EUCLEAN || ret == -ENODATA);
		/* Both pairs whole is never refused. */
		assert(!((f->good[0] || f->good[1]) && (f->good[2] || f->good[3])));
		return;
	}
	assert(sb.sequence > 0 && sb.sequence >= newest && sb.identity.node_id != 0);
	for (uint32_t i = 0; i < SUPERBLOCK_SLOTS; i++) {
		struct superblock one;
		const uint8_t *at = f->bytes + i * SUPERBLOCK_SLOT_SIZE;

		if (superblock_decode(&one, i, at) == 0 && (one.sequence % 2 == 0) == (i < 2))
			assert(one.sequence <= sb.sequence);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct file f;
	static int fd = -1;
	struct cursor c = cursor_init(data, size);

	if (fd < 0)
		fd = memfd_create("superblock", MFD_CLOEXEC);
	if (fd < 0)
		abort();
	for (uint32_t slot = 0; slot < SUPERBLOCK_SLOTS; slot++)
		make_slot(&f, slot, &c);
	if (io_pwrite_all(fd, f.bytes, sizeof(f.bytes), 0) < 0)
		abort();
	check(&f, fd);
	return 0;
}
