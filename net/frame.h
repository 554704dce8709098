/*
 * frame.h - what net's own files share of frame.c and net.h leaves out: the text of a refusal.
 */
#ifndef NET_FRAME_H
#define NET_FRAME_H

#include "net/net.h"

/* Frames before HELLO is answered carry at most this much; a stranger cannot make us reserve more. */
#define NET_HELLO_PAYLOAD_MAX 2048

/* Appends all four parts of why. */
void net_refused_encode(const struct err *why, struct buf *out);
/* Fills why and returns its code (always negative); bytes that do not decode give -EPROTO. */
int net_refused_decode(struct err *why, const void *data, size_t len);
bool net_cluster_known(const uint8_t cluster[16]); /* not all zeros */
/* 0; -EXDEV with err: the frame belongs to another cluster or group. */
int net_frame_check_home(const struct net_frame_header *h, const uint8_t cluster[16],
			 uint32_t group, struct err *err);
/* Judges the answer to a HELLO and fills *answer. -EPROTO, -EXDEV with err in four parts; REFUSED is
 * not for it. name: of the other side, for the text. */
int net_answer_check(const struct net_hello *said, const struct net_frame_header *h,
		     const uint8_t *payload, const char *name, struct net_hello *answer,
		     struct err *err);

#endif
