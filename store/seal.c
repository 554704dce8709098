/*
 * seal.c - see seal.h.
 *
 * What is hashed. Little-endian.
 *   leaf:   tag "quorumfs leaf 1", NUL; the bytes
 *   chunk:  tag "quorumfs chnk 1", NUL; le32 length of the chunk; the leaf hashes
 *   root:   tag "quorumfs root 1", NUL; le32 format version; cluster, 16; le32 group; le64 index;
 *           le64 term; le64 size; le64 index of the configuration's entry; configuration: le16
 *           length, raft_conf_encode(); le32 chunk count; the chunk hashes
 */
#include "store/seal.h"

#include <pthread.h>
#include <sodium.h>

#define TAG_SIZE 16u

static const char leaf_tag[TAG_SIZE] = "quorumfs leaf 1";
static const char chunk_tag[TAG_SIZE] = "quorumfs chnk 1";
static const char root_tag[TAG_SIZE] = "quorumfs root 1";

/* Without it libsodium works too, but with its slow portable code. */
static void choose_code(void)
{
	if (sodium_init() < 0)
		abort();
}

static void hash_begin(crypto_generichash_state *h, const char tag[TAG_SIZE])
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, choose_code);
	crypto_generichash_init(h, NULL, 0, SEAL_HASH_SIZE);
	crypto_generichash_update(h, (const unsigned char *)tag, TAG_SIZE);
}

uint32_t seal_chunk_count(uint64_t size_bytes)
{
	uint64_t count = size_bytes / SEAL_CHUNK_SIZE + (size_bytes % SEAL_CHUNK_SIZE != 0);

	return count < UINT32_MAX ? (uint32_t)count : UINT32_MAX;
}

uint32_t seal_chunk_len(uint64_t size_bytes, uint32_t number)
{
	uint64_t start = (uint64_t)number * SEAL_CHUNK_SIZE;

	assert(start < size_bytes);
	return (uint32_t)min_u64(SEAL_CHUNK_SIZE, size_bytes - start);
}

void seal_leaf(const void *data, size_t len, uint8_t hash[SEAL_HASH_SIZE])
{
	crypto_generichash_state h;

	assert(len > 0 && len <= SEAL_LEAF_SIZE);
	hash_begin(&h, leaf_tag);
	crypto_generichash_update(&h, data, len);
	crypto_generichash_final(&h, hash, SEAL_HASH_SIZE);
}

void seal_chunk(const void *data, size_t len, uint8_t hash[SEAL_HASH_SIZE])
{
	crypto_generichash_state h;
	uint8_t leaf[SEAL_HASH_SIZE], le[4];
	const uint8_t *bytes = data;

	assert(len > 0 && len <= SEAL_CHUNK_SIZE);
	hash_begin(&h, chunk_tag);
	store_le32(le, (uint32_t)len);
	crypto_generichash_update(&h, le, sizeof(le));
	for (size_t off = 0; off < len; off += SEAL_LEAF_SIZE) {
		seal_leaf(bytes + off, min_u64(SEAL_LEAF_SIZE, len - off), leaf);
		crypto_generichash_update(&h, leaf, sizeof(leaf));
	}
	crypto_generichash_final(&h, hash, SEAL_HASH_SIZE);
}

void seal_root(const uint8_t cluster[16], uint32_t group, const struct raft_snapshot_meta *meta,
	       const uint8_t *hashes, uint32_t chunk_count, uint8_t root[SEAL_HASH_SIZE])
{
	crypto_generichash_state h;
	struct buf head = BUF_INIT;
	struct buf conf = BUF_INIT;

	raft_conf_encode(&meta->conf, &conf);
	buf_put_le32(&head, SEAL_VERSION);
	buf_put(&head, cluster, 16);
	buf_put_le32(&head, group);
	buf_put_le64(&head, meta->index);
	buf_put_le64(&head, meta->term);
	buf_put_le64(&head, meta->size_bytes);
	buf_put_le64(&head, meta->conf.index);
	buf_put_bytes16(&head, conf.data, conf.len);
	buf_put_le32(&head, chunk_count);
	hash_begin(&h, root_tag);
	crypto_generichash_update(&h, head.data, head.len);
	crypto_generichash_update(&h, hashes, (size_t)chunk_count * SEAL_HASH_SIZE);
	crypto_generichash_final(&h, root, SEAL_HASH_SIZE);
	buf_release(&conf);
	buf_release(&head);
}
