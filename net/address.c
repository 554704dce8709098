/* address.c - see address.h. */
#include "net/address.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#define SOCKET_BUFFER_BYTES (1024 * 1024)
/* Longer than an election and any pause of a healthy machine, shorter than TCP's quarter of an hour. */
#define TCP_DEAD_MS 10000

static int bad(const char *text, struct err *err, const char *why)
{
	err_set(err, -EINVAL, "cannot use address '%.200s': %s", text, why);
	err_advise(err, "nothing was changed",
		   "write it as HOST:PORT, [IPV6]:PORT or unix:PATH, e.g. 10.0.0.1:%d",
		   NET_DEFAULT_PORT);
	return -EINVAL;
}

static int parse_port(struct net_address *a, const char *port)
{
	unsigned long value = 0;

	if (*port == '\0' || strlen(port) > 5)
		return -EINVAL;
	for (const char *p = port; *p; p++) {
		if (*p < '0' || *p > '9')
			return -EINVAL;
		value = value * 10 + (unsigned long)(*p - '0');
	}
	if (value > 65535)
		return -EINVAL;
	(void)snprintf(a->port, sizeof(a->port), "%lu", value);
	return 0;
}

static int parse_local(struct net_address *a, const char *path, const char *text, struct err *err)
{
	size_t len = strlen(path);
	struct sockaddr_un sa;

	if (len == 0)
		return bad(text, err, "the socket's path is missing");
	if (len >= sizeof(sa.sun_path))
		return bad(text, err, "a socket's path has at most 107 bytes");
	a->local = true;
	memcpy(a->host, path, len + 1);
	return 0;
}

int net_address_parse(struct net_address *a, const char *text, struct err *err)
{
	struct net_address out = { .local = false };
	const char *host = text;
	const char *end;
	const char *port = NULL;

	if (strncmp(text, "unix:", 5) == 0) {
		int ret = parse_local(&out, text + 5, text, err);

		if (ret == 0)
			*a = out;
		return ret;
	}
	if (*text == '[') {
		host = text + 1;
		end = strchr(host, ']');
		if (!end || (end[1] != '\0' && end[1] != ':'))
			return bad(text, err, "the bracket is not closed before the port");
		if (end[1] == ':')
			port = end + 2;
	} else {
		end = strchrnul(host, ':');
		if (*end == ':')
			port = end + 1;
		if (port && strchr(port, ':'))
			return bad(text, err, "an IPv6 address needs brackets");
	}
	if (end == host)
		return bad(text, err, "the host is missing");
	if ((size_t)(end - host) >= sizeof(out.host))
		return bad(text, err, "the host name is too long");
	for (const char *p = host; p < end; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f || *p == '/')
			return bad(text, err, "the host has a character that no host name has");
	memcpy(out.host, host, (size_t)(end - host));
	(void)snprintf(out.port, sizeof(out.port), "%d", NET_DEFAULT_PORT);
	if (port && parse_port(&out, port) < 0)
		return bad(text, err, "the port is not a number up to 65535");
	*a = out;
	return 0;
}

int net_address_check(const char *address, struct err *err)
{
	struct net_address a;

	return net_address_parse(&a, address, err);
}

void net_address_unix(const struct net_address *a, struct sockaddr_un *out)
{
	*out = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(out->sun_path, a->host, strlen(a->host) + 1);
}

int net_err_resolve(struct err *err, const char *address, const char *why)
{
	struct net_address a;

	err_set(err, -EHOSTUNREACH, "cannot find the host of '%.200s': %s", address, why);
	if (net_address_parse(&a, address, NULL) < 0)
		return -EHOSTUNREACH;
	err_advise(err, "every connection that is up; nothing was sent", "getent ahosts %.200s",
		   a.host);
	return -EHOSTUNREACH;
}

int net_address_resolve(const struct net_address *a, bool passive, struct addrinfo **list,
			struct err *err)
{
	struct addrinfo hints = {
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV | (passive ? AI_PASSIVE : 0),
	};
	char text[300];
	int ret = getaddrinfo(a->host, a->port, &hints, list);

	if (ret == 0)
		return 0;
	(void)snprintf(text, sizeof(text), strchr(a->host, ':') ? "[%s]:%s" : "%s:%s", a->host,
		       a->port);
	return net_err_resolve(err, text, ret == EAI_SYSTEM ? strerror(errno) : gai_strerror(ret));
}

int net_err_connect(struct err *err, const char *address, int code)
{
	const char *works = "nothing was sent, so nothing has changed";
	bool local = strncmp(address, "unix:", 5) == 0;

	switch (code) {
	case -ECONNREFUSED:
		err_set(err, code, "cannot connect to '%.200s': no node listens there", address);
		break;
	case -ENOENT:
		code = -ECONNREFUSED;
		err_set(err, code, "cannot connect to '%.200s': there is no such socket", address);
		break;
	case -ETIMEDOUT:
		err_set(err, code, "cannot connect to '%.200s': no answer in time", address);
		err_advise(err, works, "quorumfs status, on the machine of that node");
		return code;
	case -ENETUNREACH:
	case -EHOSTUNREACH:
		err_set(err, -EHOSTUNREACH, "cannot connect to '%.200s': %s", address,
			strerror(-code));
		err_advise(err, works, "ip route, and look whether that machine is up");
		return -EHOSTUNREACH;
	case -EACCES:
	case -EPERM:
		err_set(err, code, "cannot connect to '%.200s': %s", address, strerror(-code));
		err_advise(err, works,
			   local ? "try again as the user the node runs as, or as root"
				 : "look for a firewall: nft list ruleset");
		return code;
	default:
		err_set(err, code, "cannot connect to '%.200s': %s", address, strerror(-code));
		err_advise(err, works, "look at the log of that node");
		return code;
	}
	err_advise(err, works, "start the node there: quorumfsd DIRECTORY");
	return code;
}

/* Beyond the system's limit where we may; the kernel doubles what it is told. */
static void set_buffer(int fd, int force, int plain, bool local)
{
	int bytes = SOCKET_BUFFER_BYTES;

	/* For TCP a size cut to the limit would be worse than the kernel's own tuning. */
	if (setsockopt(fd, SOL_SOCKET, force, &bytes, sizeof(bytes)) < 0 && local)
		(void)setsockopt(fd, SOL_SOCKET, plain, &bytes, sizeof(bytes));
}

static void set_tcp(int fd, int option, int value)
{
	(void)setsockopt(fd, IPPROTO_TCP, option, &value, sizeof(value));
}

void net_socket_tune(int fd, bool local)
{
	int on = 1;

	set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, local);
	set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, local);
	if (local)
		return;
	set_tcp(fd, TCP_NODELAY, 1);
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	set_tcp(fd, TCP_KEEPIDLE, 5);
	set_tcp(fd, TCP_KEEPINTVL, 2);
	set_tcp(fd, TCP_KEEPCNT, 3);
	set_tcp(fd, TCP_USER_TIMEOUT, TCP_DEAD_MS);
}
