/* link.c - see link.h. */
#include "net/link.h"

#include <poll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "net/address.h"

/* Milliseconds until deadline for poll(). */
static int ms_left(uint64_t deadline_ms)
{
	uint64_t now = clock_boot_ms();

	return now >= deadline_ms ? 0 : (int)min_u64(deadline_ms - now, INT32_MAX);
}

/* 1: events came; 0: timeout; -ECANCELED. */
static int wait_fd(int fd, short events, int wake_fd, int timeout_ms)
{
	struct pollfd fds[2] = { { .fd = fd, .events = events },
				 { .fd = wake_fd, .events = POLLIN } };
	uint64_t deadline_ms = clock_boot_ms() + (uint64_t)(timeout_ms < 0 ? 0 : timeout_ms);
	int n;

	do {
		n = poll(fds, 2, timeout_ms < 0 ? -1 : ms_left(deadline_ms));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (fds[1].revents != 0)
		return -ECANCELED;
	return fds[0].revents != 0 ? 1 : 0;
}

int net_link_wait(const struct net_link *link, int wake_fd, int timeout_ms)
{
	return wait_fd(link->fd, POLLIN, wake_fd, timeout_ms);
}

/* ---- connecting --------------------------------------------------------------------------------- */

static int connect_fd(int fd, const struct sockaddr *sa, socklen_t len, uint64_t deadline_ms,
		      int wake_fd)
{
	int error = 0;
	socklen_t size = sizeof(error);
	int ret = connect(fd, sa, len) == 0 ? 0 : -errno;

	/* EAGAIN: the backlog of a Unix socket is full; as good as a refusal that ends by itself. */
	if (ret == -EAGAIN)
		return -ECONNREFUSED;
	if (ret == 0 || (ret != -EINPROGRESS && ret != -EINTR))
		return ret;
	ret = wait_fd(fd, POLLOUT, wake_fd, ms_left(deadline_ms));
	if (ret <= 0)
		return ret < 0 ? ret : -ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		return -errno;
	return -error;
}

static int connect_one(int family, const struct sockaddr *sa, socklen_t len, uint64_t deadline_ms,
		       int wake_fd, int *out)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int ret;

	if (fd < 0)
		return -errno;
	net_socket_tune(fd, family == AF_UNIX);
	ret = connect_fd(fd, sa, len, deadline_ms, wake_fd);
	if (ret == 0)
		ret = io_set_nonblock(fd, false);
	if (ret < 0)
		close(fd);
	else
		*out = fd;
	return ret;
}

static int connect_address(const char *address, uint64_t deadline_ms, int wake_fd, int *fd,
			   struct err *err)
{
	struct net_address a;
	struct addrinfo *list;
	struct sockaddr_un un;
	int ret = net_address_parse(&a, address, err);

	if (ret < 0)
		return ret;
	if (a.local) {
		net_address_unix(&a, &un);
		ret = connect_one(AF_UNIX, (const struct sockaddr *)&un, sizeof(un), deadline_ms,
				  wake_fd, fd);
		return ret < 0 ? net_err_connect(err, address, ret) : 0;
	}
	ret = net_address_resolve(&a, false, &list, err);
	if (ret < 0)
		return ret;
	ret = -EHOSTUNREACH;
	for (const struct addrinfo *ai = list; ai && ret < 0 && ret != -ECANCELED; ai = ai->ai_next)
		ret = connect_one(ai->ai_family, ai->ai_addr, ai->ai_addrlen, deadline_ms, wake_fd,
				  fd);
	freeaddrinfo(list);
	return ret < 0 ? net_err_connect(err, address, ret) : 0;
}

/* ---- greeting ----------------------------------------------------------------------------------- */

static int say_hello(const struct net_link *link, const struct net_hello *hello)
{
	uint8_t header[NET_FRAME_HEADER_SIZE];
	struct buf payload = BUF_INIT;
	struct iovec iov[2];
	int ret;

	net_hello_encode(hello, &payload);
	net_frame_seal(header, NET_HELLO, hello->cluster, hello->group, payload.data, payload.len,
		       NULL, 0);
	iov[0] = (struct iovec){ .iov_base = header, .iov_len = sizeof(header) };
	iov[1] = (struct iovec){ .iov_base = payload.data, .iov_len = payload.len };
	ret = net_link_write(link->fd, iov, 2);
	buf_release(&payload);
	return ret;
}

/* Waits for the first frame. */
static int first_frame(struct net_link *link, uint64_t deadline_ms, int wake_fd,
		       struct net_frame_header *h, const uint8_t **payload, struct err *err)
{
	for (;;) {
		int ret = net_rx_next(&link->rx, NET_HELLO_PAYLOAD_MAX, h, payload, err);

		if (ret < 0) {
			err_prefix(err, "cannot talk to '%.200s'", link->name);
			err_advise(err, "nothing was sent, so nothing has changed",
				   "look whether a quorumfs node of this version listens there");
		}
		if (ret != 0)
			return ret;
		ret = net_link_wait(link, wake_fd, ms_left(deadline_ms));
		if (ret == 0)
			ret = -ETIMEDOUT;
		if (ret < 0)
			return net_err_connect(err, link->name, ret);
		ret = net_link_read(link, err);
		if (ret < 0)
			return ret;
	}
}

static int greet(struct net_link *link, const struct net_hello *hello, uint64_t deadline_ms,
		 int wake_fd, struct net_hello *answer, struct err *err)
{
	struct net_frame_header h;
	const uint8_t *payload;
	int ret = say_hello(link, hello);

	if (ret < 0)
		return net_err_connect(err, link->name, ret);
	ret = first_frame(link, deadline_ms, wake_fd, &h, &payload, err);
	if (ret < 0)
		return ret;
	if (h.type == NET_REFUSED) {
		struct err why;

		ret = net_refused_decode(&why, payload, h.payload_len);
		if (err)
			*err = why;
		err_advise(err, "nothing was sent, so nothing has changed",
			   "look at the log of that node");
		return ret;
	}
	ret = net_answer_check(hello, &h, payload, link->name, answer, err);
	if (ret < 0)
		return ret;
	memcpy(link->cluster, answer->cluster, sizeof(link->cluster));
	link->group = answer->group;
	return 0;
}

int net_link_open(struct net_link *link, const char *address, const struct net_hello *hello,
		  uint32_t timeout_ms, int wake_fd, struct net_hello *answer, struct err *err)
{
	uint64_t deadline_ms = clock_boot_ms() + timeout_ms;
	struct net_link out = NET_LINK_INIT;
	int ret = connect_address(address, deadline_ms, wake_fd, &out.fd, err);

	if (ret < 0)
		return ret;
	out.name = address;
	ret = greet(&out, hello, deadline_ms, wake_fd, answer, err);
	if (ret < 0)
		net_link_close(&out);
	else
		*link = out;
	return ret;
}

void net_link_close(struct net_link *link)
{
	if (link->fd >= 0)
		close(link->fd);
	net_rx_release(&link->rx);
	*link = NET_LINK_INIT;
}

/* ---- frames ------------------------------------------------------------------------------------- */

int net_link_read(struct net_link *link, struct err *err)
{
	size_t size;
	uint8_t *room = net_rx_room(&link->rx, &size);
	ssize_t n = recv(link->fd, room, size, MSG_DONTWAIT);
	int ret;

	if (n > 0) {
		net_rx_filled(&link->rx, (size_t)n);
		return 0;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	ret = n < 0 ? -errno : -ECONNRESET;
	err_set(err, ret, "connection with '%.200s' ended: %s", link->name,
		n < 0 ? strerror(-ret) : "the other side closed it");
	err_advise(err, "the other nodes", "look at the log of the node there");
	return ret;
}

int net_link_next(struct net_link *link, uint8_t *type, const uint8_t **payload, size_t *len,
		  struct err *err)
{
	struct net_frame_header h;
	int ret = net_rx_next(&link->rx, NET_FRAME_PAYLOAD_MAX, &h, payload, err);

	if (ret == 0)
		return 0;
	if (ret > 0 && h.type == NET_REFUSED) {
		struct err why;

		ret = net_refused_decode(&why, *payload, h.payload_len);
		if (err)
			*err = why;
		return ret;
	}
	if (ret > 0 && net_frame_check_home(&h, link->cluster, link->group, err) < 0)
		ret = -EXDEV;
	if (ret < 0) {
		err_prefix(err, "connection with '%.200s' ended", link->name);
		err_advise(err, "the other nodes", "look at the log of the node there");
		return ret;
	}
	*type = h.type;
	*len = h.payload_len;
	return 1;
}

int net_link_write(int fd, struct iovec *iov, int count)
{
	while (count > 0) {
		struct msghdr msg = { .msg_iov = iov, .msg_iovlen = (size_t)count };
		ssize_t n = sendmsg(fd, &msg, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		for (; count > 0 && (size_t)n >= iov->iov_len; iov++, count--)
			n -= (ssize_t)iov->iov_len;
		if (count > 0) {
			iov->iov_base = (char *)iov->iov_base + n;
			iov->iov_len -= (size_t)n;
		}
	}
	return 0;
}
