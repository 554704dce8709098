/* superblock.c - see superblock.h. Pure codec first, then the two calls that touch the file. */
#include "store/superblock.h"

#include "base/cursor.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/mark.h"

#define SUPERBLOCK_MAGIC "QFSSUPER"
#define SUPERBLOCK_VERSION 1u
#define SUPERBLOCK_BODY_OFF 32u /* the checksum covers everything from here on */
#define SUPERBLOCK_SECTOR 512u  /* live bytes end below it: one sector is old or new, never both */

/*
 * Superblock record. Little-endian; 4096 bytes, zeros after the last field.
 *                                                     off size
 *   magic "QFSSUPER"                                    0    8
 *   format version, now 1                               8    4
 *   slot it was written to, 0 to 3                     12    4
 *   checksum: XXH3-128 of bytes 32..4095               16   16
 *   cluster                                            32   16
 *   group                                              48    4
 *   clean: 0 or 1                                      52    4
 *   node                                               56    8
 *   sequence                                           64    8
 *   previous: checksum of version sequence - 1         72   16
 *   term                                               88    8
 *   vote, 0: nobody                                    96    8
 *   incarnation                                       104    8
 *   active state generation                           112    8
 *   log base index                                    120    8
 *   log base term                                     128    8
 *   first live log segment                            136    8
 *   number of the last log frame before that one      144    8
 *   synced floor: number of a log frame               152    8
 */
void superblock_encode(struct superblock *sb, uint32_t slot, uint8_t out[SUPERBLOCK_RECORD_SIZE])
{
	uint64_t sum[2];

	memset(out, 0, SUPERBLOCK_RECORD_SIZE);
	memcpy(out, SUPERBLOCK_MAGIC, 8);
	store_le32(out + 8, SUPERBLOCK_VERSION);
	store_le32(out + 12, slot);
	memcpy(out + 32, sb->identity.cluster, 16);
	store_le32(out + 48, sb->identity.group);
	store_le32(out + 52, sb->clean ? 1 : 0);
	store_le64(out + 56, sb->identity.node_id);
	store_le64(out + 64, sb->sequence);
	memcpy(out + 72, sb->previous, 16);
	store_le64(out + 88, sb->hard.term);
	store_le64(out + 96, sb->hard.vote);
	store_le64(out + 104, sb->incarnation);
	store_le64(out + 112, sb->generation);
	store_le64(out + 120, sb->base_index);
	store_le64(out + 128, sb->base_term);
	store_le64(out + 136, sb->first_segment);
	store_le64(out + 144, sb->frames_before);
	store_le64(out + 152, sb->synced_frame);
	hash128(out + SUPERBLOCK_BODY_OFF, SUPERBLOCK_RECORD_SIZE - SUPERBLOCK_BODY_OFF, 0, sum);
	store_le64(sb->checksum, sum[0]);
	store_le64(sb->checksum + 8, sum[1]);
	memcpy(out + 16, sb->checksum, 16);
}

int superblock_decode(struct superblock *sb, uint32_t slot,
		      const uint8_t in[SUPERBLOCK_RECORD_SIZE])
{
	struct cursor c = cursor_init(in + 8, SUPERBLOCK_SECTOR - 8);
	struct superblock out = { .sequence = 0 };
	uint32_t clean;
	uint64_t sum[2];

	if (memcmp(in, SUPERBLOCK_MAGIC, 8) != 0 || cursor_le32(&c) != SUPERBLOCK_VERSION ||
	    cursor_le32(&c) != slot)
		return -EUCLEAN;
	cursor_copy(&c, out.checksum, sizeof(out.checksum));
	hash128(in + SUPERBLOCK_BODY_OFF, SUPERBLOCK_RECORD_SIZE - SUPERBLOCK_BODY_OFF, 0, sum);
	if (load_le64(out.checksum) != sum[0] || load_le64(out.checksum + 8) != sum[1])
		return -EUCLEAN;
	cursor_copy(&c, out.identity.cluster, sizeof(out.identity.cluster));
	out.identity.group = cursor_le32(&c);
	clean = cursor_le32(&c);
	out.identity.node_id = cursor_le64(&c);
	out.sequence = cursor_le64(&c);
	cursor_copy(&c, out.previous, sizeof(out.previous));
	out.hard.term = cursor_le64(&c);
	out.hard.vote = cursor_le64(&c);
	out.incarnation = cursor_le64(&c);
	out.generation = cursor_le64(&c);
	out.base_index = cursor_le64(&c);
	out.base_term = cursor_le64(&c);
	out.first_segment = cursor_le64(&c);
	out.frames_before = cursor_le64(&c);
	out.synced_frame = cursor_le64(&c);
	if (!cursor_ok(&c) || clean > 1 || out.sequence == 0 || out.identity.node_id == 0)
		return -EUCLEAN;
	out.clean = clean == 1;
	*sb = out;
	return 0;
}

static uint32_t pair_of(uint64_t sequence)
{
	return sequence % 2 == 0 ? 0 : 2;
}

static bool all_zero(const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (data[i] != 0)
			return false;
	return true;
}

/* The newest of the four slots; *valid has a bit for each slot that decodes. */
static void pick_newest(const uint8_t *file, struct superblock *best, unsigned *valid)
{
	*best = (struct superblock){ .sequence = 0 };
	*valid = 0;
	for (uint32_t slot = 0; slot < SUPERBLOCK_SLOTS; slot++) {
		struct superblock sb;

		if (superblock_decode(&sb, slot, file + slot * SUPERBLOCK_SLOT_SIZE) < 0 ||
		    pair_of(sb.sequence) != (slot & 2))
			continue;
		*valid |= 1u << slot;
		if (sb.sequence > best->sequence)
			*best = sb;
	}
}

int superblock_read(int fd, const char *path, struct superblock *sb, struct err *err)
{
	uint8_t *file = mem_alloc(SUPERBLOCK_SIZE);
	struct superblock best;
	unsigned valid, other;
	int ret = io_pread_all(fd, file, SUPERBLOCK_SIZE, 0);

	if (ret == -ENODATA) {
		ret = err_set(err, -EUCLEAN,
			      "cannot read superblock '%s': it is shorter than %u bytes", path,
			      SUPERBLOCK_SIZE);
		goto out;
	}
	if (ret < 0) {
		err_set(err, ret, "cannot read superblock '%s': %s", path, strerror(-ret));
		goto out;
	}
	pick_newest(file, &best, &valid);
	MARK_IF((valid >> pair_of(best.sequence) & 3) != 3 && valid != 0,
		"store.superblock.one-copy-of-newest");
	if (valid == 0) {
		bool never = all_zero(file, SUPERBLOCK_SIZE);

		ret = err_set(err, never ? -ENODATA : -EUCLEAN, "cannot read superblock '%s': %s",
			      path,
			      never ? "it was never written" : "no slot has a valid checksum");
		goto out;
	}
	/* Version 1 is alone in the file; later the other pair always holds the version before,
	 * unless a newer one was written there and lost. Then a vote may be lost with it. */
	other = pair_of(best.sequence + 1);
	if ((valid >> other & 3) == 0 &&
	    !(best.sequence == 1 &&
	      all_zero(file + other * SUPERBLOCK_SLOT_SIZE, 2 * SUPERBLOCK_SLOT_SIZE))) {
		MARK("store.superblock.version-lost");
		ret = err_set(err, -EUCLEAN,
			      "cannot trust superblock '%s': both copies of a version are damaged, "
			      "a vote "
			      "may be lost",
			      path);
		goto out;
	}
	*sb = best;
	ret = 0;
out:
	free(file);
	return ret;
}

int superblock_write(const struct store_io *io, int fd, struct superblock *sb)
{
	uint8_t record[SUPERBLOCK_RECORD_SIZE];
	struct superblock next = *sb;
	uint32_t first;
	int ret;

	next.sequence++;
	memcpy(next.previous, sb->checksum, sizeof(next.previous));
	first = pair_of(next.sequence);
	/* The higher slot is encoded last in both versions, so `checksum` names the same bytes: it
	 * covers the body, which holds no slot number. */
	for (uint32_t slot = first; slot < first + 2; slot++) {
		superblock_encode(&next, slot, record);
		ret = io->pwrite(fd, record, sizeof(record), (off_t)slot * SUPERBLOCK_SLOT_SIZE);
		if (ret < 0)
			return ret;
	}
	ret = io->fdatasync(fd);
	if (ret < 0)
		return ret;
	*sb = next;
	return 0;
}
