/*
 * rx.h - the receive buffer of one connection: bytes in, whole verified frames out, no copy.
 *
 * Bytes are read straight behind those that wait; a payload is handed out where it lies. Only an
 * incomplete frame is ever moved, to the front, when the room behind it does not do.
 */
#ifndef NET_RX_H
#define NET_RX_H

#include "net/net.h"

struct net_rx {
	uint8_t *data;
	size_t cap;
	size_t start; /* first byte not delivered yet */
	size_t end;   /* behind the last byte read */
	size_t want;  /* size of the frame at start as far as known */
};

#define NET_RX_INIT ((struct net_rx){ .data = NULL })

void net_rx_release(struct net_rx *rx);
/* Room to read into, *size at least 128 KiB or what the frame at hand lacks. Ends the life of payloads
 * handed out before. */
uint8_t *net_rx_room(struct net_rx *rx, size_t *size);
void net_rx_filled(struct net_rx *rx, size_t n); /* n bytes were read into the room */
/* 1: a frame, its payload borrowed until net_rx_room(); 0: more bytes are needed; -EPROTO with err:
 * not a frame, damaged, or above payload_max. */
int net_rx_next(struct net_rx *rx, size_t payload_max, struct net_frame_header *h,
		const uint8_t **payload, struct err *err);

#endif
