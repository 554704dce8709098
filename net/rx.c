/* rx.c - see rx.h. */
#include "net/rx.h"

#define RX_SIZE (512u * 1024) /* what a busy connection settles at */
#define RX_ROOM_MIN (128u * 1024)
#define RX_KEEP_MAX (4u * 1024 * 1024) /* a larger one is given back once it is empty */

void net_rx_release(struct net_rx *rx)
{
	free(rx->data);
	*rx = NET_RX_INIT;
}

uint8_t *net_rx_room(struct net_rx *rx, size_t *size)
{
	size_t held = rx->end - rx->start;
	size_t lack = rx->want > held ? rx->want - held : 0;
	size_t need = max_u64(lack, RX_ROOM_MIN);

	if (held == 0) {
		rx->start = rx->end = 0;
		if (rx->cap > RX_KEEP_MAX)
			net_rx_release(rx);
	}
	if (rx->cap - rx->end < need) {
		if (held > 0 && rx->start > 0)
			memmove(rx->data, rx->data + rx->start, held);
		rx->start = 0;
		rx->end = held;
		if (rx->cap - held < need) {
			rx->cap = max_u64(RX_SIZE, held + need);
			rx->data = mem_realloc(rx->data, rx->cap);
		}
	}
	*size = rx->cap - rx->end;
	return rx->data + rx->end;
}

void net_rx_filled(struct net_rx *rx, size_t n)
{
	assert(n <= rx->cap - rx->end);
	rx->end += n;
}

int net_rx_next(struct net_rx *rx, size_t payload_max, struct net_frame_header *h,
		const uint8_t **payload, struct err *err)
{
	size_t held = rx->end - rx->start;
	const uint8_t *header;
	int ret;

	rx->want = 0;
	if (held == 0)
		return 0;
	header = rx->data + rx->start;
	/* A stranger who says too little to fill a header is told by the first four bytes. */
	if (held < NET_FRAME_HEADER_SIZE) {
		static const char magic[] = "QFSN";

		if (memcmp(header, magic, min_u64(held, 4)) != 0)
			return err_set(err, -EPROTO, "these bytes are not a quorumfs frame");
		return 0;
	}
	ret = net_frame_open(h, header, err);
	if (ret < 0)
		return ret;
	if (h->payload_len > payload_max)
		return err_set(err, -EPROTO, "a frame of %u bytes came before HELLO was answered",
			       h->payload_len);
	rx->want = NET_FRAME_HEADER_SIZE + (size_t)h->payload_len;
	if (held < rx->want)
		return 0;
	*payload = header + NET_FRAME_HEADER_SIZE;
	ret = net_frame_verify(h, header, *payload, err);
	if (ret < 0)
		return ret;
	rx->start += rx->want;
	rx->want = 0;
	return 1;
}
