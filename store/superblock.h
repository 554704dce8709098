/*
 * superblock.h - identity, hard state and the roots of everything else, in one file of 64 KiB.
 *
 * Four slots. Version v goes to two of them, {0,1} for even v and {2,3} for odd v, followed by one
 * fdatasync; the highest valid version wins. Two copies, because with a single newest one a bad
 * sector would silently bring the previous vote back. The file is never renamed and never grows. A
 * record's live bytes lie in one 512-byte sector, so a power loss leaves each slot old or new; a
 * pair without any valid slot is therefore damage, and the store refuses to open.
 */
#ifndef STORE_SUPERBLOCK_H
#define STORE_SUPERBLOCK_H

#include "base/base.h"
#include "base/err.h"
#include "store/store.h"
#include "store/store_io.h"

#define SUPERBLOCK_SIZE        65536u
#define SUPERBLOCK_SLOTS       4u
#define SUPERBLOCK_SLOT_SIZE   (SUPERBLOCK_SIZE / SUPERBLOCK_SLOTS)
#define SUPERBLOCK_RECORD_SIZE 4096u /* written at the start of a slot; the rest stays zero */

struct superblock {
	struct store_identity identity;
	uint64_t sequence;    /* version of this record; 0: none */
	uint8_t previous[16]; /* checksum of version sequence - 1 */
	uint8_t checksum[16]; /* of this record; filled by encode, decode and write */
	struct raft_hard_state hard;
	uint64_t incarnation;
	bool clean;                     /* the last process ended by store_close() */
	uint64_t generation;            /* state-<generation> is the active one */
	uint64_t base_index, base_term; /* the log starts above this entry */
	uint64_t first_segment;         /* log segments with a lower number are dead */
	uint64_t frames_before;         /* log frames up to this number lie in dead segments */
	uint64_t synced_frame; /* floor: log frames up to this number are known to be durable */
};

/* Record of SUPERBLOCK_RECORD_SIZE bytes for one slot. Layout table in superblock.c. */
void superblock_encode(struct superblock *sb, uint32_t slot, uint8_t out[SUPERBLOCK_RECORD_SIZE]);
/* 0 or -EUCLEAN; *sb is untouched on failure. */
int superblock_decode(struct superblock *sb, uint32_t slot,
		      const uint8_t in[SUPERBLOCK_RECORD_SIZE]);

/*
 * The newest valid version of an open file. path is for messages. -ENODATA: never written (all
 * zero); -EUCLEAN: damaged, or a pair of slots without a valid copy; -EIO.
 */
int superblock_read(int fd, const char *path, struct superblock *sb, struct err *err);
/* Writes *sb as the next version to its two slots and syncs. *sb gets the new sequence on success.
 */
int superblock_write(const struct store_io *io, int fd, struct superblock *sb);

#endif
