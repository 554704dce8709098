/*
 * etcd.c - etcd HOST:PORT put|get CLIENTS SECONDS SIZE: rate of puts, or of linearizable gets, by clients with one
 * operation under way each, over etcd's JSON gateway and kept connections. One line: name, value, unit, p50, p99.
 *
 * Debian has no benchmark of etcd's own. The gateway costs etcd more than gRPC would; keep that in mind.
 */
#include <netdb.h>
#include <netinet/tcp.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/work.h"

struct peer {
	char host[128], *port;
	bool put;
	char value[8192]; /* base64 */
};

static int dial(const struct peer *p)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found;
	int one = 1, fd;

	if (getaddrinfo(p->host, p->port, &hints, &found) != 0)
		work_die(p->host);
	fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) < 0)
		work_die("connect");
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	freeaddrinfo(found);
	return fd;
}

/* Reads one answer: its head, and as many bytes as that says. */
static void take_answer(int fd)
{
	char buf[16384];
	size_t len = 0, want = 0;

	while (want == 0 || len < want) {
		ssize_t n = recv(fd, buf + len, sizeof(buf) - 1 - len, 0);
		const char *end, *length;

		if (n <= 0)
			work_die("recv");
		len += (size_t)n;
		buf[len] = '\0';
		end = strstr(buf, "\r\n\r\n");
		length = strcasestr(buf, "Content-Length:");
		if (want == 0 && end && length)
			want = (size_t)(end + 4 - buf) + strtoul(length + 15, NULL, 10);
	}
	if (strncmp(buf, "HTTP/1.1 200", 12) != 0) {
		fprintf(stderr, "etcd: %.200s\n", buf);
		exit(1);
	}
}

static void operation(struct work_thread *t, uint64_t i)
{
	const struct peer *p = t->own;
	char key[64], raw[32], body[12288], head[256];
	int n = snprintf(raw, sizeof(raw), "bench/%u", t->number), len;

	(void)i;
	sodium_bin2base64(key, sizeof(key), (unsigned char *)raw, (size_t)n, sodium_base64_VARIANT_ORIGINAL);
	len = p->put ? snprintf(body, sizeof(body), "{\"key\":\"%s\",\"value\":\"%s\"}", key, p->value)
		     : snprintf(body, sizeof(body), "{\"key\":\"%s\"}", key);
	n = snprintf(head, sizeof(head), "POST /v3/kv/%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n",
		     p->put ? "put" : "range", len);
	if (send(t->fd, head, (size_t)n, MSG_MORE | MSG_NOSIGNAL) != n || send(t->fd, body, (size_t)len, MSG_NOSIGNAL) != len)
		work_die("send");
	take_answer(t->fd);
}

int main(int argc, char **argv)
{
	struct peer p = { .put = argc == 6 && strcmp(argv[2], "put") == 0 };
	struct work_options o = { .seconds = argc == 6 ? strtod(argv[4], NULL) : 0 };
	unsigned clients = argc == 6 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;
	size_t size = argc == 6 ? strtoul(argv[5], NULL, 10) : 0;
	struct work_thread *t;
	unsigned char value[4096];
	char name[64];

	if (argc != 6 || clients == 0 || clients > WORK_THREADS_MAX || size > sizeof(value) || o.seconds <= 0) {
		fprintf(stderr, "usage: etcd HOST:PORT put|get CLIENTS SECONDS SIZE\n");
		return 2;
	}
	(void)snprintf(p.host, sizeof(p.host), "%s", argv[1]);
	p.port = strrchr(p.host, ':');
	if (!p.port || sodium_init() < 0)
		return 2;
	*p.port++ = '\0';
	randombytes_buf(value, size);
	sodium_bin2base64(p.value, sizeof(p.value), value, size, sodium_base64_VARIANT_ORIGINAL);
	t = mem_calloc(clients, sizeof(*t));
	for (unsigned i = 0; i < clients; i++)
		t[i] = (struct work_thread){ .options = &o, .number = i, .fd = dial(&p), .own = &p };
	(void)snprintf(name, sizeof(name), "kv_%s_%u", argv[2], clients);
	(void)work_run(name, t, clients, operation, 0);
	free(t);
	return 0;
}
