/*
 * segment.h - the bytes of one log segment: header, frames, entries. Codecs only, no I/O.
 *
 * A segment is a preallocated file: a header of 4 KiB, then frames at multiples of 512 bytes, one
 * for each group commit. Segments are numbered without gaps and replayed in that order. A frame
 * replaces the log from its first index on, so a conflicting suffix is cut by writing over it,
 * never by truncation.
 *
 * What a reader relies on: a frame names its own offset and its segment's uuid, so neither a
 * misdirected write nor what a recycled file held before passes for a frame; its chain value covers
 * every frame before it, so an old suffix that a power loss brought back does not fit;
 * `synced_frame` says which earlier frames were durable when it was written, so that a bad one
 * among them is known to be corrupt and not merely torn. Frames are counted because indexes are no
 * clock: after a suffix was replaced, lower indexes are written later.
 */
#ifndef STORE_SEGMENT_H
#define STORE_SEGMENT_H

#include "base/base.h"
#include "base/buf.h"
#include "base/cursor.h"
#include "raft/raft.h"
#include "store/store.h"

#define SEGMENT_HEADER_SIZE 4096u
#define SEGMENT_SIZE_MIN    (16u * 1024u)
#define SEGMENT_SIZE_MAX    (1024u * 1024u * 1024u)
#define FRAME_ALIGN         512u
#define FRAME_HEADER_SIZE   256u
#define FRAME_ENTRY_HEAD    21u

/* What a frame is known by; a later frame keeps a copy, to name a destroyed one. number 0: none. */
struct frame_id {
	uint64_t number;
	uint64_t segment;
	uint64_t offset;
	uint64_t first_index;
	uint32_t count;
	uint32_t size_bytes;
	uint64_t last_term;
	uint64_t header_checksum;
};

/* The end of the log at some moment. */
struct log_position {
	uint64_t index, term;
	uint8_t chain[16];
	struct frame_id last; /* the frame that ends here */
};

struct segment_header {
	struct store_identity identity; /* node_id is not stored */
	uint8_t uuid[16];
	uint64_t number;
	uint64_t size_bytes;
	uint64_t
		first_index; /* before.index + 1, or lower when the first frame replaces a suffix */
	struct log_position before;
};

struct frame_header {
	uint32_t group;
	uint8_t uuid[16];
	uint64_t offset;
	uint64_t number; /* counts from 1 over the life of the log */
	uint64_t first_index;
	uint32_t count;      /* entries, at least 1 */
	uint32_t size_bytes; /* header, payload and padding: a multiple of FRAME_ALIGN */
	uint64_t last_term;
	uint64_t synced_frame; /* frames up to this number were durable when this one was built */
	uint64_t payload_checksum[2];
	uint8_t chain[16];
	struct frame_id previous;
	uint64_t header_checksum;
};

void segment_header_encode(const struct segment_header *h, uint8_t out[SEGMENT_HEADER_SIZE]);
/* 0 or -EUCLEAN; *h is untouched on failure. */
int segment_header_decode(struct segment_header *h, const uint8_t in[SEGMENT_HEADER_SIZE]);

/* Bytes that these entries take as one frame. */
uint64_t frame_size(const struct raft_entry *entries, size_t count);
/*
 * Appends a whole frame. In: group, uuid, offset, number, synced_frame, previous, and the chain
 * value before it in `chain`. The rest of *h is filled in, `chain` becomes the frame's own.
 */
void frame_encode(struct frame_header *h, const struct raft_entry *entries, size_t count,
		  struct buf *out);
/* Magic, version, checksum and plausibility; 0 or -EUCLEAN; *h is untouched on failure. */
int frame_header_decode(struct frame_header *h, const uint8_t in[FRAME_HEADER_SIZE]);
/* The chain value that the frame with these header bytes must carry after chain_before. */
void frame_chain(const uint8_t in[FRAME_HEADER_SIZE], const uint8_t chain_before[16],
		 uint8_t chain[16]);
/* Does this header continue the log that ends at pos? (group, number, chain) */
bool frame_links(const struct frame_header *h, const uint8_t in[FRAME_HEADER_SIZE],
		 const struct log_position *pos);
/* Damaged bytes that must have been a frame of this segment, rather than what the file held before.
 */
bool frame_resembles(const uint8_t in[FRAME_HEADER_SIZE], const uint8_t uuid[16], uint64_t number);
/* payload: size_bytes - FRAME_HEADER_SIZE bytes, padding included. */
bool frame_payload_valid(const void *payload, size_t len, const uint64_t checksum[2]);

/* One entry of a payload; data borrows from it. */
struct frame_entry {
	uint64_t index, term;
	uint8_t type;
	const uint8_t *data;
	size_t len;
};

/* The next entry; -EUCLEAN past the end or for an impossible one. */
int frame_next_entry(struct cursor *payload, struct frame_entry *e);

struct frame_id frame_id_of(const struct frame_header *h, uint64_t segment);

#endif
