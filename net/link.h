/*
 * link.h - one connection on blocking calls: what client.c and call.c have in common.
 *
 * Waiting is done by poll() with a deadline and, when there is one, a second descriptor whose
 * readability calls the wait off. Reading belongs to one thread; writing may be another's.
 */
#ifndef NET_LINK_H
#define NET_LINK_H

#include <sys/uio.h>

#include "net/frame.h"
#include "net/rx.h"

struct net_link {
	int fd;           /* -1: not open */
	const char *name; /* the address, borrowed: for texts */
	struct net_rx rx;
	uint8_t cluster[16]; /* of HELLO_OK */
	uint32_t group;
};

#define NET_LINK_INIT ((struct net_link){ .fd = -1, .rx = NET_RX_INIT })

/* Connects, says HELLO, reads the answer, all within timeout_ms; the socket blocks. address must outlive
 * link. wake_fd -1: none. Errors as of net_call_open(), -ECANCELED by wake_fd; link stays as it was. */
int net_link_open(struct net_link *link, const char *address, const struct net_hello *hello,
		  uint32_t timeout_ms, int wake_fd, struct net_hello *answer, struct err *err);
void net_link_close(struct net_link *link); /* accepts one that is not open */
/* Waits until bytes can be read: 1; 0: timeout; -ECANCELED: wake_fd is readable. */
int net_link_wait(const struct net_link *link, int wake_fd, int timeout_ms);
/* Reads once without waiting. 0: some, or none there; negative with err: the connection is over. */
int net_link_read(struct net_link *link, struct err *err);
/* 1 and the next frame, payload borrowed until net_link_read(); 0: none yet; negative with err: garbage,
 * another cluster's frame, or what REFUSED said. */
int net_link_next(struct net_link *link, uint8_t *type, const uint8_t **payload, size_t *len,
		  struct err *err);
/* Writes all. -ETIMEDOUT: nothing moved for the socket's SO_SNDTIMEO. The frame may be cut: shut down. */
int net_link_write(int fd, struct iovec *iov, int count); /* iov is consumed */

#endif
