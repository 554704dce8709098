/* conn.c - see conn.h. Thread: the loop's. */
#include "net/conn.h"

#include <signal.h>

#include "base/log.h"
#include "base/mark.h"

#define QUEUE_LIMIT_BYTES (64u * 1024 * 1024)
#define LINGER_MS 1000
#define FRAMES_PER_WRITE 64

struct out_frame {
	struct list link;
	struct buf payload; /* owned */
	size_t sent;        /* bytes of header and payload that left already */
	uint8_t header[NET_FRAME_HEADER_SIZE];
};

/* ---- life --------------------------------------------------------------------------------------- */

/* libuv writes without MSG_NOSIGNAL: a peer that left must not end the process. */
static void ignore_sigpipe(void)
{
	struct sigaction now;

	if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
		(void)signal(SIGPIPE, SIG_IGN);
}

struct net_conn *conn_new(uv_loop_t *loop, const struct net_conn_ops *ops, void *ctx)
{
	struct net_conn *conn = mem_calloc(1, sizeof(*conn));

	ignore_sigpipe();
	conn->loop = loop;
	conn->ops = ops;
	conn->ctx = ctx;
	conn->rx = NET_RX_INIT;
	conn->queue_limit = QUEUE_LIMIT_BYTES;
	list_init(&conn->of_server);
	list_init(&conn->waiting);
	list_init(&conn->flying);
	(void)uv_timer_init(loop, &conn->timer);
	conn->timer.data = conn;
	conn->holds = 1;
	return conn;
}

static void frames_free(struct list *frames)
{
	list_for_each_safe (it, frames) {
		struct out_frame *f = list_entry(it, struct out_frame, link);

		list_del(it);
		buf_release(&f->payload);
		free(f);
	}
}

static void conn_unhold(struct net_conn *conn)
{
	assert(conn->holds > 0);
	if (--conn->holds > 0)
		return;
	assert(conn->state == CONN_CLOSING);
	frames_free(&conn->waiting);
	frames_free(&conn->flying);
	net_rx_release(&conn->rx);
	uv_freeaddrinfo(conn->found);
	if (conn->shown && conn->ops->on_close)
		conn->ops->on_close(conn->ctx, conn, &conn->why);
	if (conn->server)
		server_forget(conn->server, conn);
	free(conn);
}

static void on_timer_closed(uv_handle_t *handle)
{
	conn_unhold(handle->data);
}

static void connect_next(struct net_conn *conn);

static void on_io_closed(uv_handle_t *handle)
{
	struct net_conn *conn = handle->data;

	/* A candidate that did not answer makes room for the next one in the same memory. */
	if (conn->state != CONN_CLOSING)
		connect_next(conn);
	conn_unhold(conn);
}

static void io_close(struct net_conn *conn)
{
	if (!conn->io_open)
		return;
	conn->io_open = false;
	uv_close(&conn->io.handle, on_io_closed);
}

void conn_fail(struct net_conn *conn, const struct err *why)
{
	if (conn->state == CONN_CLOSING)
		return;
	/* What went before tells more than the end of a connection that was told to go. */
	if (conn->state != CONN_REFUSING)
		conn->why = *why;
	conn->state = CONN_CLOSING;
	io_close(conn);
	uv_close((uv_handle_t *)&conn->timer, on_timer_closed);
	if (conn->resolving)
		(void)uv_cancel((uv_req_t *)&conn->resolve);
}

static void conn_fail_code(struct net_conn *conn, int code, const char *what)
{
	struct err err;

	err_set(&err, code, "connection with '%.200s' ended: %s: %s", conn->name, what,
		uv_strerror(code));
	conn_fail(conn, &err);
}

void net_conn_close(struct net_conn *conn)
{
	struct err err;

	err_set(&err, -ECANCELED, "connection with '%.200s' was closed by this side", conn->name);
	conn_fail(conn, &err);
}

/* ---- writing ------------------------------------------------------------------------------------ */

static size_t frame_left(const struct out_frame *f)
{
	return sizeof(f->header) + f->payload.len - f->sent;
}

static unsigned frame_bufs(struct out_frame *f, uv_buf_t *bufs)
{
	size_t skip = f->sent;
	unsigned n = 0;

	if (skip < sizeof(f->header)) {
		bufs[n++] =
			uv_buf_init((char *)f->header + skip, (unsigned)(sizeof(f->header) - skip));
		skip = 0;
	} else {
		skip -= sizeof(f->header);
	}
	if (f->payload.len > skip)
		bufs[n++] = uv_buf_init((char *)f->payload.data + skip,
					(unsigned)(f->payload.len - skip));
	return n;
}

static void write_waiting(struct net_conn *conn);

static void on_written(uv_write_t *req, int status)
{
	struct net_conn *conn = req->data;

	conn->writing = false;
	frames_free(&conn->flying);
	if (status < 0)
		conn_fail_code(conn, status, "writing");
	else if (conn->state != CONN_CLOSING)
		write_waiting(conn);
}

/* One uv_write() at a time takes all that gathered, so a burst costs few system calls. */
static void write_waiting(struct net_conn *conn)
{
	uv_buf_t bufs[2 * FRAMES_PER_WRITE];
	unsigned count = 0;
	int ret;

	if (conn->writing || list_empty(&conn->waiting))
		return;
	list_for_each_safe (it, &conn->waiting) {
		struct out_frame *f = list_entry(it, struct out_frame, link);

		if (count + 2 > ARRAY_SIZE(bufs))
			break;
		count += frame_bufs(f, bufs + count);
		conn->waiting_bytes -= frame_left(f);
		list_del(it);
		list_add_tail(&conn->flying, it);
	}
	conn->write.data = conn;
	ret = uv_write(&conn->write, &conn->io.stream, bufs, count, on_written);
	if (ret < 0)
		conn_fail_code(conn, ret, "writing");
	else
		conn->writing = true;
}

/* Takes payload. The frame at hand is written at once unless others wait before it. */
static bool push(struct net_conn *conn, uint8_t type, struct buf *payload)
{
	struct out_frame frame = { .payload = *payload };
	struct out_frame *kept;
	uv_buf_t bufs[2];
	unsigned count;
	int ret = UV_EAGAIN;

	*payload = BUF_INIT;
	net_frame_seal(frame.header, type, conn->cluster, conn->group, frame.payload.data,
		       frame.payload.len, NULL, 0);
	count = frame_bufs(&frame, bufs);
	if (!conn->writing && list_empty(&conn->waiting))
		ret = uv_try_write(&conn->io.stream, bufs, count);
	if (ret >= 0)
		frame.sent = (size_t)ret;
	if ((ret < 0 && ret != UV_EAGAIN) || frame_left(&frame) == 0) {
		buf_release(&frame.payload);
		if (ret < 0)
			conn_fail_code(conn, ret, "writing");
		return ret >= 0;
	}
	MARK_IF(frame.sent > 0, "net.conn.frame-left-in-part");
	kept = mem_dup(&frame, sizeof(frame));
	conn->waiting_bytes += frame_left(kept);
	list_add_tail(&conn->waiting, &kept->link);
	write_waiting(conn);
	return conn->state != CONN_CLOSING;
}

bool net_conn_send(struct net_conn *conn, uint8_t type, struct buf *payload)
{
	bool sendable =
		conn->state == CONN_OPEN && net_conn_queued_bytes(conn) <= conn->queue_limit;

	if (sendable && payload->len > NET_FRAME_PAYLOAD_MAX) {
		log_error("net",
			  "dropped a frame of type %u for %s: its %zu bytes are above the limit",
			  type, conn->name, payload->len);
		sendable = false;
	}
	MARK_IF(conn->state == CONN_OPEN && net_conn_queued_bytes(conn) > conn->queue_limit,
		"net.conn.queue-full");
	if (!sendable) {
		buf_release(payload);
		return false;
	}
	return push(conn, type, payload);
}

size_t net_conn_queued_bytes(const struct net_conn *conn)
{
	return conn->waiting_bytes + (conn->io_open ? conn->io.stream.write_queue_size : 0);
}

static void on_shut(uv_shutdown_t *req, int status)
{
	(void)req;
	(void)status; /* the end of the other side's bytes or the timer closes */
}

static void on_timer(uv_timer_t *timer)
{
	struct net_conn *conn = timer->data;
	struct err err;

	if (conn->state == CONN_CONNECTING) {
		MARK("net.conn.connect-timed-out");
		net_err_connect(&err, conn->name, -ETIMEDOUT);
	} else {
		MARK("net.conn.hello-timed-out");
		err_set(&err, -ETIMEDOUT, "'%.200s' said no valid HELLO in time", conn->name);
		err_advise(&err, "every other connection", "look at the log of that program");
	}
	if (conn->server && conn->state == CONN_GREETING)
		server_warn(conn->server, conn, &err);
	conn_fail(conn, &err);
}

static void refuse(struct net_conn *conn, const struct err *why)
{
	struct buf payload = BUF_INIT;

	MARK("net.conn.refused");
	net_refused_encode(why, &payload);
	if (!push(conn, NET_REFUSED, &payload))
		return;
	conn->why = *why;
	conn->state = CONN_REFUSING;
	(void)uv_timer_start(&conn->timer, on_timer, LINGER_MS, 0);
	if (list_empty(&conn->waiting))
		(void)uv_shutdown(&conn->shutdown, &conn->io.stream, on_shut);
}

/* ---- reading ------------------------------------------------------------------------------------ */

static void take_hello(struct net_conn *conn, const struct net_frame_header *h,
		       const uint8_t *payload)
{
	struct net_hello answer = { .group = 0 };
	struct buf out = BUF_INIT;
	struct err err = ERR_INIT;
	int ret;

	if (h->type != NET_HELLO || net_hello_decode(&conn->other, payload, h->payload_len) < 0) {
		MARK("net.conn.no-hello");
		err_set(&err, -EPROTO, "its first frame is not a HELLO of this version");
		server_warn(conn->server, conn, &err);
		conn_fail(conn, &err);
		return;
	}
	server_home(conn->server, conn->cluster, &conn->group);
	answer.role = conn->other.role;
	answer.group = conn->group;
	memcpy(answer.cluster, conn->cluster, sizeof(answer.cluster));
	conn->shown = true;
	ret = conn->ops->on_hello(conn->ctx, conn, &conn->other, &answer, &err);
	if (conn->state != CONN_GREETING)
		return; /* closed by the callback */
	if (ret < 0) {
		err.code = ret;
		refuse(conn, &err);
		return;
	}
	(void)uv_timer_stop(&conn->timer);
	net_hello_encode(&answer, &out);
	if (push(conn, NET_HELLO_OK, &out))
		conn->state = CONN_OPEN;
}

static void take_refused(struct net_conn *conn, const uint8_t *payload, size_t len)
{
	struct err err;

	(void)net_refused_decode(&err, payload, len);
	err_prefix(&err, "'%.200s' refused", conn->name);
	conn_fail(conn, &err);
}

static void take_answer(struct net_conn *conn, const struct net_frame_header *h,
			const uint8_t *payload)
{
	struct err err;

	if (h->type == NET_REFUSED) {
		take_refused(conn, payload, h->payload_len);
		return;
	}
	if (net_answer_check(&conn->hello, h, payload, conn->name, &conn->other, &err) < 0) {
		conn_fail(conn, &err);
		return;
	}
	memcpy(conn->cluster, conn->other.cluster, sizeof(conn->cluster));
	conn->group = conn->other.group;
	(void)uv_timer_stop(&conn->timer);
	conn->state = CONN_OPEN;
	if (conn->ops->on_open)
		conn->ops->on_open(conn->ctx, conn, &conn->other);
}

static void take_open(struct net_conn *conn, const struct net_frame_header *h,
		      const uint8_t *payload)
{
	struct buf empty = BUF_INIT;
	struct err err;

	if (h->type == NET_REFUSED) {
		take_refused(conn, payload, h->payload_len);
	} else if (net_frame_check_home(h, conn->cluster, conn->group, &err) < 0) {
		MARK("net.conn.frame-of-another-cluster");
		err_advise(&err, "every other connection", "quorumfs status");
		log_warning("net", "refused %s: %s", conn->name, err.text);
		refuse(conn, &err);
	} else if (h->type == NET_PING) {
		(void)net_conn_send(conn, NET_PONG, &empty);
	} else if (h->type >= NET_RAFT) {
		conn->ops->on_frame(conn->ctx, conn, h->type, payload, h->payload_len);
	}
	/* PONG needs nothing; another HELLO says nothing new. */
}

static void take_frames(struct net_conn *conn)
{
	struct net_frame_header h;
	const uint8_t *payload;
	struct err err;
	int ret = 1;

	while (ret > 0 && (conn->state == CONN_OPEN || conn->state == CONN_GREETING)) {
		size_t max =
			conn->state == CONN_OPEN ? NET_FRAME_PAYLOAD_MAX : NET_HELLO_PAYLOAD_MAX;

		ret = net_rx_next(&conn->rx, max, &h, &payload, &err);
		if (ret <= 0)
			break;
		if (conn->state == CONN_OPEN)
			take_open(conn, &h, payload);
		else if (conn->server)
			take_hello(conn, &h, payload);
		else
			take_answer(conn, &h, payload);
	}
	if (ret >= 0)
		return;
	MARK("net.conn.frame-refused");
	if (conn->server)
		server_warn(conn->server, conn, &err);
	err_prefix(&err, "connection with '%.200s' ended", conn->name);
	err_advise(&err, "every other connection",
		   "look whether a quorumfs of this version is there");
	conn_fail(conn, &err);
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct net_conn *conn = handle->data;
	size_t size;
	uint8_t *room;

	(void)suggested;
	if (conn->state == CONN_REFUSING)
		net_rx_release(&conn->rx); /* nothing of it is wanted any more */
	room = net_rx_room(&conn->rx, &size);
	*buf = uv_buf_init((char *)room, (unsigned)min_u64(size, UINT32_MAX / 2));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct net_conn *conn = stream->data;
	struct err err;

	(void)buf;
	if (n > 0 && conn->state != CONN_REFUSING) {
		net_rx_filled(&conn->rx, (size_t)n);
		take_frames(conn);
	} else if (n == UV_EOF) {
		err_set(&err, -ECONNRESET,
			"connection with '%.200s' ended: the other side closed it", conn->name);
		err_advise(&err, "the other nodes", "look at the log of the node there");
		conn_fail(conn, &err);
	} else if (n < 0) {
		conn_fail_code(conn, (int)n, "reading");
	}
}

static void name_peer(struct net_conn *conn, bool local)
{
	struct sockaddr_storage sa;
	char host[INET6_ADDRSTRLEN] = "";
	int len = sizeof(sa);

	(void)snprintf(conn->name, sizeof(conn->name), local ? "unix" : "unknown");
	if (local || uv_tcp_getpeername(&conn->io.tcp, (struct sockaddr *)&sa, &len) < 0)
		return;
	if (sa.ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const void *)&sa;

		(void)uv_ip6_name(in6, host, sizeof(host));
		(void)snprintf(conn->name, sizeof(conn->name), "[%s]:%u", host,
			       ntohs(in6->sin6_port));
	} else {
		const struct sockaddr_in *in = (const void *)&sa;

		(void)uv_ip4_name(in, host, sizeof(host));
		(void)snprintf(conn->name, sizeof(conn->name), "%s:%u", host, ntohs(in->sin_port));
	}
}

static void start_reading(struct net_conn *conn, bool local)
{
	uv_os_fd_t fd;
	int ret = uv_fileno(&conn->io.handle, &fd);

	if (ret == 0)
		net_socket_tune(fd, local);
	conn->state = CONN_GREETING;
	ret = uv_read_start(&conn->io.stream, on_room, on_read);
	if (ret < 0)
		conn_fail_code(conn, ret, "reading");
}

void conn_greet(struct net_conn *conn, bool local)
{
	name_peer(conn, local);
	(void)uv_timer_start(&conn->timer, on_timer, NET_HELLO_TIMEOUT_MS, 0);
	start_reading(conn, local);
}

/* ---- connecting --------------------------------------------------------------------------------- */

static void connect_failed(struct net_conn *conn, int code)
{
	struct err err;

	net_err_connect(&err, conn->name, code);
	conn_fail(conn, &err);
}

static void on_connected(uv_connect_t *req, int status)
{
	struct net_conn *conn = req->data;
	struct buf payload = BUF_INIT;

	if (conn->state != CONN_CONNECTING)
		return;
	if (status < 0) {
		conn->connect_error = status;
		io_close(conn); /* then the next candidate */
		return;
	}
	start_reading(conn, conn->address.local);
	if (conn->state != CONN_GREETING)
		return;
	net_hello_encode(&conn->hello, &payload);
	(void)push(conn, NET_HELLO, &payload);
}

static void connect_unix(struct net_conn *conn)
{
	conn->connect.data = conn;
	(void)uv_pipe_init(conn->loop, &conn->io.pipe, 0);
	conn->io.handle.data = conn;
	conn->io_open = true;
	conn->holds++;
	uv_pipe_connect(&conn->connect, &conn->io.pipe, conn->address.host, on_connected);
}

/* Takes the next of the host's addresses, or gives up. */
static void connect_next(struct net_conn *conn)
{
	const struct addrinfo *ai = conn->candidate;
	int ret;

	if (!ai) {
		connect_failed(conn, conn->connect_error ? conn->connect_error : -EHOSTUNREACH);
		return;
	}
	conn->candidate = ai->ai_next;
	conn->connect.data = conn;
	(void)uv_tcp_init(conn->loop, &conn->io.tcp);
	conn->io.handle.data = conn;
	conn->io_open = true;
	conn->holds++;
	ret = uv_tcp_connect(&conn->connect, &conn->io.tcp, ai->ai_addr, on_connected);
	if (ret < 0) {
		conn->connect_error = ret;
		io_close(conn);
	}
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
	struct net_conn *conn = req->data;
	struct err err;

	conn->resolving = false;
	conn->found = list;
	conn->candidate = list;
	if (conn->state == CONN_CONNECTING && status < 0) {
		net_err_resolve(&err, conn->name, uv_strerror(status));
		conn_fail(conn, &err);
	} else if (conn->state == CONN_CONNECTING) {
		connect_next(conn);
	}
	conn_unhold(conn);
}

/* Numbers need no resolver, and no thread of libuv's pool, which slow names may fill. */
static int resolve(struct net_conn *conn)
{
	struct addrinfo hints = {
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV | AI_NUMERICHOST,
	};
	int ret = getaddrinfo(conn->address.host, conn->address.port, &hints, &conn->found);

	if (ret == 0) {
		conn->candidate = conn->found;
		connect_next(conn);
		return 0;
	}
	hints.ai_flags = AI_NUMERICSERV;
	conn->resolve.data = conn;
	ret = uv_getaddrinfo(conn->loop, &conn->resolve, on_resolved, conn->address.host,
			     conn->address.port, &hints);
	if (ret == 0) {
		conn->resolving = true;
		conn->holds++;
	}
	return ret;
}

struct net_conn *net_connect(uv_loop_t *loop, const char *address, const struct net_hello *hello,
			     uint32_t timeout_ms, const struct net_conn_ops *ops, void *ctx)
{
	struct net_conn *conn = conn_new(loop, ops, ctx);
	struct err err;
	int ret;

	conn->shown = true;
	conn->hello = *hello;
	memcpy(conn->cluster, hello->cluster, sizeof(conn->cluster));
	conn->group = hello->group;
	(void)snprintf(conn->name, sizeof(conn->name), "%s", address);
	uv_update_time(loop);
	(void)uv_timer_start(&conn->timer, on_timer, timeout_ms, 0);
	if (net_address_parse(&conn->address, address, &err) < 0) {
		conn_fail(conn, &err);
		return conn;
	}
	if (conn->address.local) {
		connect_unix(conn);
		return conn;
	}
	ret = resolve(conn);
	if (ret < 0) {
		net_err_resolve(&err, address, uv_strerror(ret));
		conn_fail(conn, &err);
	}
	return conn;
}

/* ---- what a connection knows -------------------------------------------------------------------- */

void net_conn_set_queue_limit(struct net_conn *conn, size_t bytes)
{
	conn->queue_limit = bytes;
}

void net_conn_set_user(struct net_conn *conn, void *user)
{
	conn->user = user;
}

void *net_conn_user(const struct net_conn *conn)
{
	return conn->user;
}

const struct net_hello *net_conn_hello(const struct net_conn *conn)
{
	return &conn->other;
}

const char *net_conn_peer_name(const struct net_conn *conn)
{
	return conn->name;
}
