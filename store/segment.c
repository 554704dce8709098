/* segment.c - see segment.h. */
#include "store/segment.h"

#include "base/hash.h"

#define SEGMENT_MAGIC      "QFSSEGMT"
#define FRAME_MAGIC        "QFSFRAME"
#define SEGMENT_VERSION    1u
#define FRAME_VERSION      1u

#define FRAME_IDENTITY_END 96u /* the chain covers the bytes before it */
#define FRAME_CHECKSUM_OFF 248u

/*
 * Identity of a frame, as other records copy it. Little-endian.   off size
 *   number, 0: none                                                 0    8
 *   segment number                                                  8    8
 *   offset                                                         16    8
 *   first index                                                    24    8
 *   count                                                          32    4
 *   size                                                           36    4
 *   last term                                                      40    8
 *   header checksum                                                48    8
 */
#define FRAME_ID_SIZE 56u

static void frame_id_put(uint8_t *out, const struct frame_id *id)
{
	store_le64(out, id->number);
	store_le64(out + 8, id->segment);
	store_le64(out + 16, id->offset);
	store_le64(out + 24, id->first_index);
	store_le32(out + 32, id->count);
	store_le32(out + 36, id->size_bytes);
	store_le64(out + 40, id->last_term);
	store_le64(out + 48, id->header_checksum);
}

static struct frame_id frame_id_get(const uint8_t *in)
{
	return (struct frame_id){
		.number = load_le64(in),
		.segment = load_le64(in + 8),
		.offset = load_le64(in + 16),
		.first_index = load_le64(in + 24),
		.count = load_le32(in + 32),
		.size_bytes = load_le32(in + 36),
		.last_term = load_le64(in + 40),
		.header_checksum = load_le64(in + 48),
	};
}

/*
 * Segment header. Little-endian; 4096 bytes, zeros after the last field.
 *                                                     off size
 *   magic "QFSSEGMT"                                    0    8
 *   format version, now 1                               8    4
 *   group                                              12    4
 *   checksum: XXH3-128 of bytes 32..4095               16   16
 *   cluster                                            32   16
 *   uuid, new each time a file becomes a segment       48   16
 *   segment number                                     64    8
 *   file size                                          72    8
 *   first index                                        80    8
 *   before it: index                                   88    8
 *   before it: term                                    96    8
 *   before it: chain                                  104   16
 *   before it: identity of the last frame             120   56
 *
 * The checksum is seeded with version and group, which lie before it.
 */
static uint64_t segment_seed(const uint8_t *bytes)
{
	return load_le64(bytes + 8);
}

void segment_header_encode(const struct segment_header *h, uint8_t out[SEGMENT_HEADER_SIZE])
{
	uint64_t sum[2];

	memset(out, 0, SEGMENT_HEADER_SIZE);
	memcpy(out, SEGMENT_MAGIC, 8);
	store_le32(out + 8, SEGMENT_VERSION);
	store_le32(out + 12, h->identity.group);
	memcpy(out + 32, h->identity.cluster, 16);
	memcpy(out + 48, h->uuid, 16);
	store_le64(out + 64, h->number);
	store_le64(out + 72, h->size_bytes);
	store_le64(out + 80, h->first_index);
	store_le64(out + 88, h->before.index);
	store_le64(out + 96, h->before.term);
	memcpy(out + 104, h->before.chain, 16);
	frame_id_put(out + 120, &h->before.last);
	hash128(out + 32, SEGMENT_HEADER_SIZE - 32, segment_seed(out), sum);
	store_le64(out + 16, sum[0]);
	store_le64(out + 24, sum[1]);
}

int segment_header_decode(struct segment_header *h, const uint8_t in[SEGMENT_HEADER_SIZE])
{
	struct segment_header out = { .number = load_le64(in + 64) };
	uint64_t sum[2];

	if (memcmp(in, SEGMENT_MAGIC, 8) != 0 || load_le32(in + 8) != SEGMENT_VERSION)
		return -EUCLEAN;
	hash128(in + 32, SEGMENT_HEADER_SIZE - 32, segment_seed(in), sum);
	if (load_le64(in + 16) != sum[0] || load_le64(in + 24) != sum[1])
		return -EUCLEAN;
	out.identity.group = load_le32(in + 12);
	memcpy(out.identity.cluster, in + 32, 16);
	memcpy(out.uuid, in + 48, 16);
	out.size_bytes = load_le64(in + 72);
	out.first_index = load_le64(in + 80);
	out.before.index = load_le64(in + 88);
	out.before.term = load_le64(in + 96);
	memcpy(out.before.chain, in + 104, 16);
	out.before.last = frame_id_get(in + 120);
	if (out.number == 0 || out.first_index == 0 || out.first_index > out.before.index + 1 ||
	    out.size_bytes < SEGMENT_SIZE_MIN || out.size_bytes > SEGMENT_SIZE_MAX)
		return -EUCLEAN;
	*h = out;
	return 0;
}

/*
 * Frame. Little-endian; padded with zeros to a multiple of 512 bytes.
 *                                                     off size
 *   magic "QFSFRAME"                                    0    8
 *   format version, now 1                               8    4
 *   group                                              12    4
 *   uuid of the segment                                16   16
 *   own offset in the file                             32    8
 *   frame number, from 1                               40    8
 *   first index                                        48    8
 *   entry count                                        56    4
 *   size: header, payload, padding                     60    4
 *   last term                                          64    8
 *   synced frame: this and lower ones were durable     72    8
 *   payload checksum: XXH3-128 of bytes 256..size      80   16
 *   chain: XXH3-128 of (chain before, bytes 0..95)     96   16
 *   identity of the frame before                      112   56
 *   zeros                                             168   80
 *   header checksum: XXH3-64 of bytes 0..247          248    8
 *   payload: entries                                  256    -
 *
 * Entry.                                              off size
 *   index                                               0    8
 *   term                                                8    8
 *   type: enum raft_entry_type                         16    1
 *   length                                             17    4
 *   data                                               21    -
 */
uint64_t frame_size(const struct raft_entry *entries, size_t count)
{
	uint64_t size = FRAME_HEADER_SIZE;

	for (size_t i = 0; i < count; i++)
		size += FRAME_ENTRY_HEAD + (entries[i].data != NULL ? entries[i].data->len : 0);
	return (size + FRAME_ALIGN - 1) / FRAME_ALIGN * FRAME_ALIGN;
}

static void entry_put(struct buf *out, const struct raft_entry *e)
{
	buf_put_le64(out, e->index);
	buf_put_le64(out, e->term);
	buf_put_u8(out, e->type);
	buf_put_bytes32(out, e->data != NULL ? e->data->data : NULL,
			e->data != NULL ? e->data->len : 0);
}

static void header_put(uint8_t *out, const struct frame_header *h)
{
	memcpy(out, FRAME_MAGIC, 8);
	store_le32(out + 8, FRAME_VERSION);
	store_le32(out + 12, h->group);
	memcpy(out + 16, h->uuid, 16);
	store_le64(out + 32, h->offset);
	store_le64(out + 40, h->number);
	store_le64(out + 48, h->first_index);
	store_le32(out + 56, h->count);
	store_le32(out + 60, h->size_bytes);
	store_le64(out + 64, h->last_term);
	store_le64(out + 72, h->synced_frame);
	store_le64(out + 80, h->payload_checksum[0]);
	store_le64(out + 88, h->payload_checksum[1]);
	frame_id_put(out + 112, &h->previous);
}

void frame_encode(struct frame_header *h, const struct raft_entry *entries, size_t count,
		  struct buf *out)
{
	size_t start = out->len;
	uint64_t size = frame_size(entries, count);
	uint8_t *bytes, chain_before[16];

	assert(count > 0 && count <= UINT32_MAX && size <= SEGMENT_SIZE_MAX);
	buf_put_zeros(out, FRAME_HEADER_SIZE);
	for (size_t i = 0; i < count; i++)
		entry_put(out, &entries[i]);
	buf_put_zeros(out, size - (out->len - start));
	bytes = out->data + start;

	h->first_index = entries[0].index;
	h->count = (uint32_t)count;
	h->size_bytes = (uint32_t)size;
	h->last_term = entries[count - 1].term;
	hash128(bytes + FRAME_HEADER_SIZE, size - FRAME_HEADER_SIZE, 0, h->payload_checksum);
	header_put(bytes, h);
	memcpy(chain_before, h->chain, 16);
	frame_chain(bytes, chain_before, h->chain);
	memcpy(bytes + 96, h->chain, 16);
	h->header_checksum = hash64(bytes, FRAME_CHECKSUM_OFF);
	store_le64(bytes + FRAME_CHECKSUM_OFF, h->header_checksum);
}

int frame_header_decode(struct frame_header *h, const uint8_t in[FRAME_HEADER_SIZE])
{
	struct frame_header out = { .group = load_le32(in + 12) };

	if (memcmp(in, FRAME_MAGIC, 8) != 0 || load_le32(in + 8) != FRAME_VERSION)
		return -EUCLEAN;
	out.header_checksum = load_le64(in + FRAME_CHECKSUM_OFF);
	if (out.header_checksum != hash64(in, FRAME_CHECKSUM_OFF))
		return -EUCLEAN;
	memcpy(out.uuid, in + 16, 16);
	out.offset = load_le64(in + 32);
	out.number = load_le64(in + 40);
	out.first_index = load_le64(in + 48);
	out.count = load_le32(in + 56);
	out.size_bytes = load_le32(in + 60);
	out.last_term = load_le64(in + 64);
	out.synced_frame = load_le64(in + 72);
	out.payload_checksum[0] = load_le64(in + 80);
	out.payload_checksum[1] = load_le64(in + 88);
	memcpy(out.chain, in + 96, 16);
	out.previous = frame_id_get(in + 112);
	if (out.number == 0 || out.synced_frame >= out.number || out.first_index == 0 ||
	    out.count == 0 || out.first_index > UINT64_MAX - out.count ||
	    out.size_bytes % FRAME_ALIGN != 0 || out.size_bytes > SEGMENT_SIZE_MAX ||
	    out.size_bytes < FRAME_HEADER_SIZE + (uint64_t)out.count * FRAME_ENTRY_HEAD)
		return -EUCLEAN;
	*h = out;
	return 0;
}

void frame_chain(const uint8_t in[FRAME_HEADER_SIZE], const uint8_t chain_before[16],
		 uint8_t chain[16])
{
	uint8_t bytes[16 + FRAME_IDENTITY_END];
	uint64_t sum[2];

	memcpy(bytes, chain_before, 16);
	memcpy(bytes + 16, in, FRAME_IDENTITY_END);
	hash128(bytes, sizeof(bytes), 0, sum);
	store_le64(chain, sum[0]);
	store_le64(chain + 8, sum[1]);
}

bool frame_links(const struct frame_header *h, const uint8_t in[FRAME_HEADER_SIZE],
		 const struct log_position *pos)
{
	uint8_t chain[16];

	frame_chain(in, pos->chain, chain);
	return h->number == pos->last.number + 1 && memcmp(chain, h->chain, 16) == 0;
}

bool frame_resembles(const uint8_t in[FRAME_HEADER_SIZE], const uint8_t uuid[16], uint64_t number)
{
	/* Nothing that a recycled file held before has this uuid or a number this high. */
	return memcmp(in + 16, uuid, 16) == 0 ||
	       (memcmp(in, FRAME_MAGIC, 8) == 0 && load_le64(in + 40) == number);
}

bool frame_payload_valid(const void *payload, size_t len, const uint64_t checksum[2])
{
	uint64_t sum[2];

	hash128(payload, len, 0, sum);
	return sum[0] == checksum[0] && sum[1] == checksum[1];
}

int frame_next_entry(struct cursor *payload, struct frame_entry *e)
{
	struct frame_entry out = { .index = cursor_le64(payload) };

	out.term = cursor_le64(payload);
	out.type = cursor_u8(payload);
	out.data = cursor_bytes32(payload, &out.len);
	if (!cursor_ok(payload) || out.index == 0 || out.term == 0 || out.type < RAFT_ENTRY_NOOP ||
	    out.type > RAFT_ENTRY_NORMAL)
		return -EUCLEAN;
	*e = out;
	return 0;
}

struct frame_id frame_id_of(const struct frame_header *h, uint64_t segment)
{
	return (struct frame_id){
		.number = h->number,
		.segment = segment,
		.offset = h->offset,
		.first_index = h->first_index,
		.count = h->count,
		.size_bytes = h->size_bytes,
		.last_term = h->last_term,
		.header_checksum = h->header_checksum,
	};
}
