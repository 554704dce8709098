/*
 * fuzz_frame.c - arbitrary bytes into the receive buffer in uneven pieces: refused, or frames that seal
 * to the same header.
 */
#include "net/frame.h"
#include "net/rx.h"
#include "tests/fuzz/fuzz.h"

#define INPUT_MAX 1024u /* some frames; more only costs time */

static void check_stream(const uint8_t *data, size_t size)
{
	static struct net_rx
		rx; /* its memory is kept: half a MiB for each input would be all there is */
	size_t used = 0;
	int ret = 0;

	rx.start = rx.end = rx.want = 0;
	while (ret >= 0 && used < size) {
		struct net_frame_header h;
		const uint8_t *payload;
		size_t room;
		uint8_t *to = net_rx_room(&rx, &room);
		size_t n = min_u64(min_u64(room, size - used), 1 + data[used] % 97);

		memcpy(to, data + used, n);
		net_rx_filled(&rx, n);
		used += n;
		while ((ret = net_rx_next(&rx, NET_FRAME_PAYLOAD_MAX, &h, &payload, NULL)) > 0) {
			uint8_t again[NET_FRAME_HEADER_SIZE];

			net_frame_seal(again, h.type, h.cluster, h.group, payload, h.payload_len,
				       NULL, 0);
			assert(memcmp(again, payload - NET_FRAME_HEADER_SIZE, sizeof(again)) == 0);
		}
	}
}

/* The fuzzer does not find checksums: its bytes, cut by its first one, as frames that are right. */
static void check_sealed(const uint8_t *data, size_t size)
{
	static const uint8_t cluster[16] = { 1 };
	static struct buf stream;
	size_t step = size ? 1 + data[0] : 1;

	buf_reset(&stream);
	for (size_t at = 0; at < size; at += step) {
		size_t n = min_u64(step, size - at);
		uint8_t header[NET_FRAME_HEADER_SIZE];

		net_frame_seal(header, data[at], cluster, 0, data + at, n / 2, data + at + n / 2,
			       n - n / 2);
		buf_put(&stream, header, sizeof(header));
		buf_put(&stream, data + at, n);
	}
	check_stream(stream.data, stream.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size = min_u64(size, INPUT_MAX);
	check_stream(data, size);
	check_sealed(data, size);
	return 0;
}
