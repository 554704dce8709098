/*
 * server.c - listening sockets and the connections they bring.
 *
 * Sockets are made by hand and given to libuv, for their errors come at once then and one by one.
 * Thread: the loop's. net_listen() asks the resolver for host names and may block: call it at start.
 */
#include <netinet/in.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mark.h"
#include "net/conn.h"

#define BACKLOG 512
#define WARN_EVERY_MS 5000

struct net_server {
	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	} io;
	uv_loop_t *loop;
	struct net_address address;
	int port;
	dev_t path_dev; /* of the socket file we made: another's is not removed */
	ino_t path_ino;
	uint8_t cluster[16];
	uint32_t group;
	const struct net_conn_ops *ops; /* borrowed */
	void *ctx;
	struct list conns;
	bool closing;
	bool closed; /* libuv let go of io */
	uint64_t warned_ms;
	unsigned hushed; /* warnings left out since then */
};

/* ---- connections -------------------------------------------------------------------------------- */

static void server_free_if_done(struct net_server *server)
{
	if (server->closed && list_empty(&server->conns))
		free(server);
}

void server_forget(struct net_server *server, struct net_conn *conn)
{
	list_del(&conn->of_server);
	server_free_if_done(server);
}

void server_home(const struct net_server *server, uint8_t cluster[16], uint32_t *group)
{
	memcpy(cluster, server->cluster, 16);
	*group = server->group;
}

void server_warn(struct net_server *server, const struct net_conn *conn, const struct err *why)
{
	uint64_t now = clock_boot_ms();

	if (server->warned_ms != 0 && now - server->warned_ms < WARN_EVERY_MS) {
		server->hushed++;
		return;
	}
	log_warning("net", "closed connection from %s: %s (%u more since the last such line)",
		    conn->name, why->text, server->hushed);
	server->warned_ms = now;
	server->hushed = 0;
}

/*
 * Without a descriptor the store could not open its files, and the node would stop: whoever comes then is sent
 * away, and comes again or goes to another node. Nothing fails for it before its own time is over.
 */
static bool refused_for_want_of_files(struct net_server *server, struct net_conn *conn)
{
	uint64_t limit = limits_files();
	struct err err;
	uv_os_fd_t fd;

	if (uv_fileno(&conn->io.handle, &fd) < 0 || !limits_is_last_files(limit, fd))
		return false;
	MARK("net.server.descriptors-used-up");
	err_set(&err, -EMFILE, "the limit of %llu descriptors leaves no room for more clients; raise it, as with "
		"'ulimit -n' or LimitNOFILE=, and start the node again", (unsigned long long)limit);
	server_warn(server, conn, &err);
	conn_fail(conn, &err);
	return true;
}

static void on_connection(uv_stream_t *stream, int status)
{
	struct net_server *server = stream->data;
	struct net_conn *conn;
	struct err err;
	int ret;

	if (status < 0) {
		log_error("net", "cannot accept a connection: %s", uv_strerror(status));
		return;
	}
	conn = conn_new(server->loop, server->ops, server->ctx);
	conn->server = server;
	list_add_tail(&server->conns, &conn->of_server);
	if (server->address.local)
		(void)uv_pipe_init(server->loop, &conn->io.pipe, 0);
	else
		(void)uv_tcp_init(server->loop, &conn->io.tcp);
	conn->io.handle.data = conn;
	conn->io_open = true;
	conn->holds++;
	ret = uv_accept(stream, &conn->io.stream);
	if (ret == 0 && refused_for_want_of_files(server, conn))
		return;
	if (ret == 0) {
		conn_greet(conn, server->address.local);
		return;
	}
	err_set(&err, ret, "cannot accept a connection: %s", uv_strerror(ret));
	log_error("net", "%s", err.text);
	conn_fail(conn, &err);
}

/* ---- sockets ------------------------------------------------------------------------------------ */

static int err_listen(struct err *err, const char *address, const struct net_address *a, int code)
{
	const char *works = "nothing was changed; what uses the address goes on";

	err_set(err, code, "cannot listen on '%.200s': %s", address,
		code == -EADDRINUSE && !a->local ? "the port is in use" : strerror(-code));
	if (a->local && code == -EADDRINUSE)
		err_advise(err, works, "ss -lxp | grep '%.180s'", a->host);
	else if (a->local)
		err_advise(err, works, "ls -ld \"$(dirname '%.180s')\"", a->host);
	else if (code == -EADDRINUSE)
		err_advise(err, works, "ss -ltnp 'sport = :%s'", a->port);
	else if (code == -EADDRNOTAVAIL)
		err_advise(err, works, "use an address of this machine: ip -brief address");
	else if (code == -EACCES || code == -EPERM)
		err_advise(err, works, "take a port above 1023, or start as root");
	else
		err_advise(err, works, "ip -brief address");
	return code;
}

/* Is somebody listening on the socket file? A full backlog counts as yes. */
static bool unix_answers(const struct sockaddr_un *sa)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool answers = true;

	if (fd < 0)
		return true;
	if (connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) < 0 && errno == ECONNREFUSED)
		answers = false;
	close(fd);
	return answers;
}

static int bind_unix(int fd, const struct sockaddr_un *sa)
{
	const struct sockaddr *addr = (const struct sockaddr *)sa;
	struct stat st;

	if (bind(fd, addr, sizeof(*sa)) == 0)
		return 0;
	if (errno != EADDRINUSE)
		return -errno;
	if (lstat(sa->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode) || unix_answers(sa))
		return -EADDRINUSE;
	MARK("net.listen.stale-socket-replaced");
	/* Left behind by a node that did not end well. */
	if (unlink(sa->sun_path) < 0 || bind(fd, addr, sizeof(*sa)) < 0)
		return -errno;
	return 0;
}

static int listen_unix(const struct net_address *a, int *out)
{
	struct sockaddr_un sa;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int ret = 0;

	if (fd < 0)
		return -errno;
	net_address_unix(a, &sa);
	/* Requests name the user they act for, so only ours may make them: the file gets this mode. */
	if (fchmod(fd, 0600) < 0)
		ret = -errno;
	if (ret == 0)
		ret = bind_unix(fd, &sa);
	if (ret == 0 && listen(fd, BACKLOG) < 0)
		ret = -errno;
	if (ret < 0)
		close(fd);
	else
		*out = fd;
	return ret;
}

static int listen_tcp(const struct addrinfo *ai, int *out)
{
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1;
	int ret = 0;

	if (fd < 0)
		return -errno;
	net_socket_tune(fd, false); /* accepted sockets inherit, and the window is settled early */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
		ret = -errno;
	if (ret < 0)
		close(fd);
	else
		*out = fd;
	return ret;
}

/* The first of the host's addresses that can be had. */
static int listen_any(const struct net_address *a, const char *address, int *fd, struct err *err)
{
	struct addrinfo *list;
	int ret;

	if (a->local) {
		ret = listen_unix(a, fd);
		return ret < 0 ? err_listen(err, address, a, ret) : 0;
	}
	ret = net_address_resolve(a, true, &list, err);
	if (ret < 0)
		return ret;
	ret = -EADDRNOTAVAIL;
	for (const struct addrinfo *ai = list; ai && ret < 0; ai = ai->ai_next)
		ret = listen_tcp(ai, fd);
	freeaddrinfo(list);
	return ret < 0 ? err_listen(err, address, a, ret) : 0;
}

/* ---- life --------------------------------------------------------------------------------------- */

static int bound_port(int fd)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);

	if (getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
		return 0;
	if (sa.ss_family == AF_INET)
		return ntohs(((const struct sockaddr_in *)(const void *)&sa)->sin_port);
	if (sa.ss_family == AF_INET6)
		return ntohs(((const struct sockaddr_in6 *)(const void *)&sa)->sin6_port);
	return 0;
}

static int server_open(struct net_server *server, int fd)
{
	struct stat st;
	int ret;

	if (server->address.local) {
		(void)uv_pipe_init(server->loop, &server->io.pipe, 0);
		ret = uv_pipe_open(&server->io.pipe, fd);
		if (stat(server->address.host, &st) == 0) {
			server->path_dev = st.st_dev;
			server->path_ino = st.st_ino;
		}
	} else {
		(void)uv_tcp_init(server->loop, &server->io.tcp);
		ret = uv_tcp_open(&server->io.tcp, fd);
		server->port = bound_port(fd);
	}
	server->io.handle.data = server;
	if (ret < 0) {
		close(fd);
		return ret;
	}
	return uv_listen(&server->io.stream, BACKLOG, on_connection);
}

int net_listen(uv_loop_t *loop, const char *address, const uint8_t cluster[16], uint32_t group,
	       const struct net_conn_ops *ops, void *ctx, struct net_server **out, struct err *err)
{
	struct net_server *server;
	struct net_address a;
	int fd = -1;
	int ret = net_address_parse(&a, address, err);

	if (ret == 0)
		ret = listen_any(&a, address, &fd, err);
	if (ret < 0)
		return ret;
	server = mem_calloc(1, sizeof(*server));
	server->loop = loop;
	server->address = a;
	server->group = group;
	server->ops = ops;
	server->ctx = ctx;
	memcpy(server->cluster, cluster, sizeof(server->cluster));
	list_init(&server->conns);
	ret = server_open(server, fd);
	if (ret < 0) {
		net_server_close(server);
		return err_listen(err, address, &a, ret);
	}
	*out = server;
	return 0;
}

static void on_server_closed(uv_handle_t *handle)
{
	struct net_server *server = handle->data;

	server->closed = true;
	server_free_if_done(server);
}

void net_server_close(struct net_server *server)
{
	struct stat st;

	if (!server || server->closing)
		return;
	server->closing = true;
	if (server->address.local && stat(server->address.host, &st) == 0 &&
	    st.st_dev == server->path_dev && st.st_ino == server->path_ino)
		(void)unlink(server->address.host);
	list_for_each (it, &server->conns)
		net_conn_close(list_entry(it, struct net_conn, of_server));
	uv_close(&server->io.handle, on_server_closed);
}

int net_server_port(const struct net_server *server)
{
	return server->port;
}
