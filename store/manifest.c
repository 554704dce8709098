/* manifest.c - see manifest.h. */
#include "store/manifest.h"

#include "base/cursor.h"
#include "base/hash.h"

#define MANIFEST_MAGIC 0x4d534651u /* "QFSM" */

void manifest_release(struct manifest *m)
{
	buf_release(&m->hashes);
	*m = MANIFEST_INIT;
}

const uint8_t *manifest_hash(const struct manifest *m, uint32_t number)
{
	assert(number < m->chunk_count);
	return m->hashes.data + (size_t)number * SEAL_HASH_SIZE;
}

void manifest_seal(struct manifest *m)
{
	assert(m->hashes.len == (size_t)m->chunk_count * SEAL_HASH_SIZE);
	assert(m->chunk_count == seal_chunk_count(m->meta.size_bytes));
	seal_root(m->cluster, m->group, &m->meta, m->hashes.data, m->chunk_count, m->meta.root);
}

/*
 * Manifest. Little-endian.                                off  size
 *   magic "QFSM"                                            0    4
 *   version, now 1                                          4    4
 *   cluster                                                 8   16
 *   group                                                  24    4
 *   chunk count                                            28    4
 *   meta: length, raft_snapshot_meta_encode()              32    2 + n
 *   chunk hashes                                                32 each
 *   XXH3 of all before                                           8
 *
 * The root inside the meta is what makes a manifest trustworthy; the XXH3 tells a torn or rotten file
 * in those few bits that the root does not cover.
 */
void manifest_encode(const struct manifest *m, struct buf *out)
{
	size_t start = out->len;
	struct buf meta = BUF_INIT;

	raft_snapshot_meta_encode(&m->meta, &meta);
	buf_put_le32(out, MANIFEST_MAGIC);
	buf_put_le32(out, SEAL_VERSION);
	buf_put(out, m->cluster, sizeof(m->cluster));
	buf_put_le32(out, m->group);
	buf_put_le32(out, m->chunk_count);
	buf_put_bytes16(out, meta.data, meta.len);
	buf_put(out, m->hashes.data, m->hashes.len);
	buf_put_le64(out, hash64(out->data + start, out->len - start));
	buf_release(&meta);
}

int manifest_decode(struct manifest *m, const void *data, size_t len)
{
	struct cursor c = cursor_init(data, len);
	struct manifest found = MANIFEST_INIT;
	uint32_t magic = cursor_le32(&c);
	uint32_t version = cursor_le32(&c);
	uint8_t root[SEAL_HASH_SIZE];
	const uint8_t *meta, *hashes;
	size_t meta_len, hashes_len;
	uint64_t sum;

	cursor_copy(&c, found.cluster, sizeof(found.cluster));
	found.group = cursor_le32(&c);
	found.chunk_count = cursor_le32(&c);
	meta = cursor_bytes16(&c, &meta_len);
	hashes_len = (size_t)found.chunk_count * SEAL_HASH_SIZE;
	hashes = cursor_bytes(&c, hashes_len);
	sum = cursor_le64(&c);
	if (!cursor_at_end(&c) || magic != MANIFEST_MAGIC || version != SEAL_VERSION ||
	    sum != hash64(data, len - 8) ||
	    raft_snapshot_meta_decode(&found.meta, meta, meta_len) < 0)
		return -EUCLEAN;
	if (found.meta.index == 0 || found.chunk_count == 0 ||
	    found.chunk_count != seal_chunk_count(found.meta.size_bytes))
		return -EUCLEAN;
	seal_root(found.cluster, found.group, &found.meta, hashes, found.chunk_count, root);
	if (memcmp(root, found.meta.root, sizeof(root)) != 0)
		return -EUCLEAN;
	buf_put(&found.hashes, hashes, hashes_len);
	*m = found;
	return 0;
}

bool manifest_is_for(const struct manifest *m, const struct raft_snapshot_meta *meta)
{
	struct buf own = BUF_INIT;
	struct buf other = BUF_INIT;
	bool same;

	raft_snapshot_meta_encode(&m->meta, &own);
	raft_snapshot_meta_encode(meta, &other);
	same = own.len == other.len && memcmp(own.data, other.data, own.len) == 0;
	buf_release(&other);
	buf_release(&own);
	return same;
}
