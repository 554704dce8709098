/*
 * client.c - a mount's channel to whichever node answers, kept up by one thread.
 *
 * The thread connects, reads, and calls back. Any thread writes by itself, blocking, so a request
 * goes out without a change of threads. A node is dead when PING goes unanswered or a write does not
 * move for dead_ms; whoever notices shuts the socket down, which wakes reader and writers alike.
 *
 * Locks: write_lock is held while one frame is written, and may be held for dead_ms. lock is held
 * for a few instructions. fd changes only under both, so either suffices to use it.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mark.h"
#include "net/link.h"

#define CONNECT_TIMEOUT_MS 3000u
#define PING_MS 1000u
#define PING_RETRY_MS 50
#define BACKOFF_MIN_MS 50u
#define BACKOFF_MAX_MS 1000u

struct net_client {
	char **addresses; /* owned, count of them */
	size_t count;
	struct net_hello hello;
	uint32_t dead_ms;
	uint32_t ping_ms;
	const struct net_client_ops *ops; /* borrowed */
	void *ctx;
	pthread_t thread;
	int wake_fd; /* eventfd: move or stop is wanted */
	atomic_bool stopping;

	pthread_mutex_t write_lock; /* one frame at a time */
	pthread_mutex_t lock;
	int fd;              /* -1: not up; both locks */
	uint8_t cluster[16]; /* as fd */
	uint32_t group;
	atomic_bool ping_wanted; /* whoever writes next, or the thread, sends it */

	/* the thread's own */
	struct net_link link;
	size_t next;   /* address to try next */
	size_t failed; /* addresses that failed in a row */
	uint32_t backoff_ms;
	uint64_t heard_ms;     /* when bytes came last */
	uint64_t ping_ms_sent; /* when the first PING since then was due; 0: none */
};

/* ---- writing: any thread -------------------------------------------------------------------------- */

/* write_lock is held. A frame that did not leave whole spoils what would follow. */
static int write_frame(struct net_client *c, uint8_t type, const void *head, size_t head_len,
		       const void *tail, size_t tail_len)
{
	uint8_t header[NET_FRAME_HEADER_SIZE];
	struct iovec iov[3] = {
		{ .iov_base = header, .iov_len = sizeof(header) },
		{ .iov_base = (void *)(uintptr_t)head, .iov_len = head_len },
		{ .iov_base = (void *)(uintptr_t)tail, .iov_len = tail_len },
	};

	if (c->fd < 0)
		return -ENOTCONN;
	net_frame_seal(header, type, c->cluster, c->group, head, head_len, tail, tail_len);
	if (net_link_write(c->fd, iov, 3) == 0)
		return 0;
	MARK("net.client.write-failed");
	(void)shutdown(c->fd, SHUT_RDWR);
	return -ENOTCONN;
}

/* write_lock is held. */
static void write_ping(struct net_client *c)
{
	if (atomic_exchange(&c->ping_wanted, false))
		(void)write_frame(c, NET_PING, NULL, 0, NULL, 0);
}

int net_client_send(struct net_client *c, uint8_t type, const void *head, size_t head_len,
		    const void *tail, size_t tail_len)
{
	int ret;

	if (head_len > NET_FRAME_PAYLOAD_MAX || tail_len > NET_FRAME_PAYLOAD_MAX - head_len)
		return -EMSGSIZE;
	pthread_mutex_lock(&c->write_lock);
	ret = write_frame(c, type, head, head_len, tail, tail_len);
	write_ping(c);
	pthread_mutex_unlock(&c->write_lock);
	return ret;
}

static void wake(struct net_client *c)
{
	uint64_t one = 1;

	pthread_mutex_lock(&c->lock);
	if (c->fd >= 0)
		(void)shutdown(c->fd, SHUT_RDWR);
	pthread_mutex_unlock(&c->lock);
	if (write(c->wake_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: readable all the same */
}

void net_client_move(struct net_client *c)
{
	wake(c);
}

int net_client_peer_pid(struct net_client *c)
{
	struct ucred peer = { .pid = 0 };
	socklen_t len = sizeof(peer);

	pthread_mutex_lock(&c->lock);
	if (c->fd < 0 || getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		peer.pid = 0;
	pthread_mutex_unlock(&c->lock);
	return peer.pid;
}

/* ---- the thread ------------------------------------------------------------------------------------ */

static void wake_clear(struct net_client *c)
{
	uint64_t n;

	if (read(c->wake_fd, &n, sizeof(n)) < 0)
		return; /* was not set */
}

static void publish(struct net_client *c, int fd)
{
	struct timeval tv = { .tv_sec = c->dead_ms / 1000, .tv_usec = c->dead_ms % 1000 * 1000 };

	if (fd >= 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	/* Going down: the writers let go of the lock once they are woken. */
	pthread_mutex_lock(&c->lock);
	if (c->fd >= 0)
		(void)shutdown(c->fd, SHUT_RDWR);
	pthread_mutex_unlock(&c->lock);
	pthread_mutex_lock(&c->write_lock);
	pthread_mutex_lock(&c->lock);
	c->fd = fd;
	memcpy(c->cluster, c->link.cluster, sizeof(c->cluster));
	c->group = c->link.group;
	pthread_mutex_unlock(&c->lock);
	pthread_mutex_unlock(&c->write_lock);
}

/*
 * Asks for a sign of life. A writer that is at work sends the PING with its next breath, and a socket
 * too full to take one will not be waited for here: the thread must go on reading.
 */
static void try_ping(struct net_client *c)
{
	struct iovec iov;
	uint8_t header[NET_FRAME_HEADER_SIZE];
	ssize_t n;

	if (!atomic_load(&c->ping_wanted) || pthread_mutex_trylock(&c->write_lock) != 0)
		return;
	if (atomic_exchange(&c->ping_wanted, false)) {
		net_frame_seal(header, NET_PING, c->cluster, c->group, NULL, 0, NULL, 0);
		n = send(c->fd, header, sizeof(header), MSG_DONTWAIT | MSG_NOSIGNAL);
		iov = (struct iovec){ .iov_base = header + n,
				      .iov_len = sizeof(header) - (size_t)n };
		if (n > 0 && iov.iov_len > 0 && net_link_write(c->fd, &iov, 1) < 0)
			(void)shutdown(c->fd, SHUT_RDWR);
		else if (n < 0)
			atomic_store(&c->ping_wanted, true);
	}
	pthread_mutex_unlock(&c->write_lock);
}

/* Returns how long to wait for bytes, 0: the node is dead. */
static int watch(struct net_client *c)
{
	uint64_t now = clock_boot_ms();
	uint64_t silent_ms = now - c->heard_ms;

	if (silent_ms < c->ping_ms)
		return (int)(c->ping_ms - silent_ms);
	if (c->ping_ms_sent == 0) {
		c->ping_ms_sent = now;
		atomic_store(&c->ping_wanted, true);
	}
	try_ping(c);
	/* After a suspend the silence is long though nobody was asked: give the PING its time. */
	if (silent_ms >= c->dead_ms && now - c->ping_ms_sent >= c->dead_ms - c->ping_ms)
		return 0;
	return atomic_load(&c->ping_wanted) ? PING_RETRY_MS : (int)c->ping_ms;
}

static int deliver(struct net_client *c, struct err *err)
{
	const uint8_t *payload;
	uint8_t type;
	size_t len;
	int ret;

	while ((ret = net_link_next(&c->link, &type, &payload, &len, err)) > 0) {
		if (type >= NET_RAFT && c->ops->on_frame)
			c->ops->on_frame(c->ctx, type, payload, len);
		if (atomic_load(&c->stopping))
			return err_set(err, -ECANCELED, "the channel is being closed");
	}
	return ret;
}

/* Reads until the connection is over; err tells why. */
static void run_connection(struct net_client *c, struct err *err)
{
	int ret = deliver(c, err);

	c->heard_ms = clock_boot_ms();
	c->ping_ms_sent = 0;
	while (ret == 0) {
		int timeout_ms = watch(c);

		ret = net_link_wait(&c->link, c->wake_fd, timeout_ms);
		if (ret == 0 && timeout_ms == 0) {
			MARK("net.client.node-is-dead");
			err_set(err, -ETIMEDOUT, "no sign of life from '%.200s' for %u ms",
				c->link.name, c->dead_ms);
			err_advise(err, "the other nodes; what waits is sent again",
				   "quorumfs status");
			return;
		}
		if (ret == 0)
			continue;
		if (ret < 0) {
			MARK("net.client.moved");
			err_set(err, ret,
				"connection with '%.200s' was given up to try another node",
				c->link.name);
			err_advise(err, "the other nodes; what waits is sent again",
				   "quorumfs status");
			return;
		}
		ret = net_link_read(&c->link, err);
		c->heard_ms = clock_boot_ms();
		c->ping_ms_sent = 0;
		atomic_store(&c->ping_wanted, false);
		if (ret == 0)
			ret = deliver(c, err);
	}
}

static void back_off(struct net_client *c)
{
	struct net_link none = NET_LINK_INIT;

	if (!atomic_load(&c->stopping))
		(void)net_link_wait(&none, c->wake_fd, (int)c->backoff_ms);
	c->backoff_ms = (uint32_t)min_u64(2ull * c->backoff_ms, BACKOFF_MAX_MS);
}

/* One address: connect, be up, go down. */
static void run_address(struct net_client *c, const char *address)
{
	uint64_t began_ms = clock_boot_ms();
	struct net_hello answer;
	struct err err = ERR_INIT;
	bool up;
	int ret;

	ret = net_link_open(&c->link, address, &c->hello, CONNECT_TIMEOUT_MS, c->wake_fd, &answer,
			    &err);
	up = ret == 0;
	if (up) {
		atomic_store(&c->ping_wanted, false);
		publish(c, c->link.fd);
		if (c->ops->on_up)
			c->ops->on_up(c->ctx, &answer);
		run_connection(c, &err);
		publish(c, -1);
		net_link_close(&c->link);
	}
	c->failed = up ? 0 : c->failed + 1;
	if (ret != -ECANCELED && !atomic_load(&c->stopping) && c->ops->on_down &&
	    (up || c->failed % c->count == 0))
		c->ops->on_down(c->ctx, &err);
	/* A node that takes us and drops us at once is no better than one that is not there. */
	if (up && clock_boot_ms() - began_ms >= BACKOFF_MAX_MS)
		c->backoff_ms = BACKOFF_MIN_MS;
	else if (up || c->failed % c->count == 0)
		back_off(c);
}

static void *client_main(void *arg)
{
	struct net_client *c = arg;

	while (!atomic_load(&c->stopping)) {
		const char *address = c->addresses[c->next];

		c->next = (c->next + 1) % c->count;
		/* What called for a move has been obeyed by getting here. */
		wake_clear(c);
		if (!atomic_load(&c->stopping))
			run_address(c, address);
	}
	return NULL;
}

/* ---- life ------------------------------------------------------------------------------------------ */

/* Signals are for the program's own threads. */
static void start_thread(struct net_client *c)
{
	sigset_t all, old;
	int ret;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = pthread_create(&c->thread, NULL, client_main, c);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	/* Without descriptor or thread there is no channel, and no caller could go on. */
	if (ret == 0 && c->wake_fd >= 0)
		return;
	log_error("net", "cannot start the thread of a channel: %s", strerror(ret ? ret : EMFILE));
	abort();
}

struct net_client *net_client_new(const char *const *addresses, size_t count,
				  const struct net_hello *hello, uint32_t dead_ms,
				  const struct net_client_ops *ops, void *ctx)
{
	struct net_client *c = mem_calloc(1, sizeof(*c));

	assert(count > 0 && dead_ms > 0);
	c->addresses = mem_calloc(count, sizeof(*c->addresses));
	for (size_t i = 0; i < count; i++)
		c->addresses[i] = mem_strdup(addresses[i]);
	c->count = count;
	c->hello = *hello;
	c->dead_ms = dead_ms;
	c->ping_ms = (uint32_t)max_u64(1, min_u64(PING_MS, dead_ms / 3));
	c->ops = ops;
	c->ctx = ctx;
	c->fd = -1;
	c->link = NET_LINK_INIT;
	c->backoff_ms = BACKOFF_MIN_MS;
	c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&c->write_lock, NULL);
	pthread_mutex_init(&c->lock, NULL);
	start_thread(c);
	return c;
}

void net_client_free(struct net_client *c)
{
	if (!c)
		return;
	atomic_store(&c->stopping, true);
	wake(c);
	pthread_join(c->thread, NULL);
	for (size_t i = 0; i < c->count; i++)
		free(c->addresses[i]);
	free(c->addresses);
	close(c->wake_fd);
	pthread_mutex_destroy(&c->write_lock);
	pthread_mutex_destroy(&c->lock);
	free(c);
}
