/*
 * echo_rig.h - a node to test against: a loop in a thread of its own that sends every frame back.
 *
 * Types it treats differently: NET_ADMIN is answered by NET_ADMIN_REPLY, NET_BULK not at all.
 */
#ifndef TESTS_NET_ECHO_RIG_H
#define TESTS_NET_ECHO_RIG_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "base/log.h"
#include "net/net.h"

struct echo {
	uv_loop_t loop;
	uv_async_t stop;
	struct net_server *server;
	pthread_t thread;
	char address[128];
	uint8_t cluster[16];
	uint64_t node_id;
	int refuse; /* errno to refuse with, 0: none */
	sem_t frozen, thaw;
	uv_async_t freeze;
	atomic_uint hellos, frames, closes;
};

static int echo_on_hello(void *ctx, struct net_conn *conn, const struct net_hello *hello,
			 struct net_hello *answer, struct err *err)
{
	struct echo *e = ctx;

	atomic_fetch_add(&e->hellos, 1);
	if (e->refuse) {
		err_set(err, e->refuse, "this node belongs to another cluster");
		return err_advise(err, "that cluster", "quorumfs status --there");
	}
	answer->node_id = e->node_id;
	return 0;
}

static void echo_on_frame(void *ctx, struct net_conn *conn, uint8_t type, const uint8_t *payload,
			  size_t len)
{
	struct echo *e = ctx;
	struct buf b = BUF_INIT;

	atomic_fetch_add(&e->frames, 1);
	if (type == NET_BULK)
		return;
	buf_put(&b, payload, len);
	(void)net_conn_send(conn, type == NET_ADMIN ? NET_ADMIN_REPLY : type, &b);
}

static void echo_on_close(void *ctx, struct net_conn *conn, const struct err *why)
{
	atomic_fetch_add(&((struct echo *)ctx)->closes, 1);
}

static const struct net_conn_ops echo_ops = {
	.on_hello = echo_on_hello,
	.on_frame = echo_on_frame,
	.on_close = echo_on_close,
};

static void echo_on_stop(uv_async_t *async)
{
	struct echo *e = async->data;

	net_server_close(e->server);
	uv_close((uv_handle_t *)&e->stop, NULL);
	uv_close((uv_handle_t *)&e->freeze, NULL);
}

static void echo_on_freeze(uv_async_t *async)
{
	struct echo *e = async->data;

	sem_post(&e->frozen);
	sem_wait(&e->thaw);
}

static void *echo_main(void *arg)
{
	struct echo *e = arg;

	uv_run(&e->loop, UV_RUN_DEFAULT);
	return NULL;
}

/* address "127.0.0.1:0" or "unix:PATH", or what an earlier one had. */
static inline void echo_start(struct echo *e, const char *address, uint64_t node_id)
{
	struct err err = ERR_INIT;
	char given[128];

	snprintf(given, sizeof(given), "%s", address);
	*e = (struct echo){ .node_id = node_id, .cluster = { 0xc1, 0x05 } };
	log_set_level(LOG_NONE);
	sem_init(&e->frozen, 0, 0);
	sem_init(&e->thaw, 0, 0);
	assert_int_equal(uv_loop_init(&e->loop), 0);
	uv_async_init(&e->loop, &e->stop, echo_on_stop);
	uv_async_init(&e->loop, &e->freeze, echo_on_freeze);
	e->stop.data = e->freeze.data = e;
	assert_int_equal(net_listen(&e->loop, given, e->cluster, 0, &echo_ops, e, &e->server, &err),
			 0);
	if (strncmp(given, "unix:", 5) == 0)
		snprintf(e->address, sizeof(e->address), "%s", given);
	else
		snprintf(e->address, sizeof(e->address), "127.0.0.1:%d",
			 net_server_port(e->server));
	assert_int_equal(pthread_create(&e->thread, NULL, echo_main, e), 0);
}

static inline void echo_stop(struct echo *e)
{
	uv_async_send(&e->stop);
	pthread_join(e->thread, NULL);
	assert_int_equal(uv_loop_close(&e->loop), 0);
	sem_destroy(&e->frozen);
	sem_destroy(&e->thaw);
}

/* The node's process stops: its sockets stay open and nobody reads. */
static inline void echo_freeze(struct echo *e)
{
	uv_async_send(&e->freeze);
	sem_wait(&e->frozen);
}

static inline void echo_thaw(struct echo *e)
{
	sem_post(&e->thaw);
}

#endif
