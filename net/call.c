/*
 * call.c - one blocking connection that asks and waits: tools, and snapshot pulls.
 *
 * Not for two threads at a time. The timeout given at opening holds for each call: for any gap in
 * what comes or goes, not for the whole of a long answer. After a failed call only closing is left.
 */
#include <sys/socket.h>

#include "base/clock.h"
#include "net/link.h"

struct net_call {
	struct net_link link;
	char *address; /* owned; link.name */
	uint32_t timeout_ms;
};

/* Sending gives up as receiving does. */
static void set_send_timeout(int fd, uint32_t timeout_ms)
{
	struct timeval tv = { .tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000 };

	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
}

int net_call_open(const char *address, const struct net_hello *hello, uint32_t timeout_ms,
		  struct net_call **out, struct net_hello *answer, struct err *err)
{
	struct net_call *call = mem_calloc(1, sizeof(*call));
	struct net_hello said;
	int ret;

	call->link = NET_LINK_INIT;
	call->address = mem_strdup(address);
	call->timeout_ms = timeout_ms;
	ret = net_link_open(&call->link, call->address, hello, timeout_ms, -1, &said, err);
	if (ret < 0) {
		net_call_close(call);
		return ret;
	}
	set_send_timeout(call->link.fd, timeout_ms);
	if (answer)
		*answer = said;
	*out = call;
	return 0;
}

static int send_frame(struct net_call *call, uint8_t type, const void *payload, size_t len,
		      struct err *err)
{
	uint8_t header[NET_FRAME_HEADER_SIZE];
	struct iovec iov[2] = {
		{ .iov_base = header, .iov_len = sizeof(header) },
		{ .iov_base = (void *)(uintptr_t)payload, .iov_len = len },
	};
	int ret;

	if (len > NET_FRAME_PAYLOAD_MAX) {
		err_set(err, -EMSGSIZE, "cannot send %zu bytes to '%.200s': a frame holds %u", len,
			call->address, NET_FRAME_PAYLOAD_MAX);
		err_advise(err, "nothing was sent", "ask for less at a time");
		return -EMSGSIZE;
	}
	net_frame_seal(header, type, call->link.cluster, call->link.group, payload, len, NULL, 0);
	ret = net_link_write(call->link.fd, iov, 2);
	if (ret < 0) {
		err_set(err, ret, "cannot send to '%.200s': %s", call->address, strerror(-ret));
		err_advise(err, "the other nodes", "quorumfs status");
	}
	return ret;
}

static int err_silent(struct net_call *call, struct err *err)
{
	err_set(err, -ETIMEDOUT, "no answer from '%.200s' within %u ms", call->address,
		call->timeout_ms);
	err_advise(err, "the other nodes; what was asked may still be carried out",
		   "quorumfs status");
	return -ETIMEDOUT;
}

/* Answers PING itself; anything else that nobody asked for is skipped. */
static int take_frames(struct net_call *call, uint8_t reply_type, struct buf *reply,
		       struct err *err)
{
	const uint8_t *payload;
	uint8_t type;
	size_t len;
	int ret;

	while ((ret = net_link_next(&call->link, &type, &payload, &len, err)) > 0) {
		if (type == reply_type) {
			buf_put(reply, payload, len);
			return 1;
		}
		if (type == NET_PING)
			ret = send_frame(call, NET_PONG, NULL, 0, err);
		if (ret < 0)
			return ret;
	}
	return ret;
}

int net_call(struct net_call *call, uint8_t type, const void *payload, size_t len,
	     uint8_t reply_type, struct buf *reply, struct err *err)
{
	int ret = send_frame(call, type, payload, len, err);

	while (ret == 0) {
		ret = take_frames(call, reply_type, reply, err);
		if (ret != 0)
			break;
		if (net_link_wait(&call->link, -1, (int)min_u64(call->timeout_ms, INT32_MAX)) > 0)
			ret = net_link_read(&call->link, err);
		else
			ret = err_silent(call, err);
	}
	/* A late answer must not pass for that of the next question. */
	if (ret < 0)
		(void)shutdown(call->link.fd, SHUT_RDWR);
	return ret > 0 ? 0 : ret;
}

void net_call_close(struct net_call *call)
{
	if (!call)
		return;
	net_link_close(&call->link);
	free(call->address);
	free(call);
}
