/*
 * remote.c - the channel of a session to a node of another process: a net client with two callbacks.
 */
#include <pthread.h>

#include "net/net.h"
#include "node/node.h"

struct node_remote {
	pthread_mutex_t lock;    /* guards net while it is being made */
	pthread_mutex_t deliver; /* held while the session is called; guards muted */
	bool muted;
	struct net_client *net;
	struct fs_session *session;
};

static struct net_client *net_of(struct node_remote *r)
{
	struct net_client *net;

	pthread_mutex_lock(&r->lock);
	net = r->net;
	pthread_mutex_unlock(&r->lock);
	return net;
}

static int remote_send(void *channel, const void *head, size_t head_len, const void *tail, size_t tail_len)
{
	struct net_client *net = net_of(channel);

	return net ? net_client_send(net, NET_CLIENT, head, head_len, tail, tail_len) : -ENOTCONN;
}

static void remote_move(void *channel)
{
	struct net_client *net = net_of(channel);

	if (net)
		net_client_move(net);
}

static int remote_node_pid(void *channel)
{
	struct net_client *net = net_of(channel);

	return net ? net_client_peer_pid(net) : 0;
}

const struct fs_channel_ops node_remote_ops = {
	.send = remote_send,
	.move = remote_move,
	.node_pid = remote_node_pid,
};

static void on_up(void *ctx, const struct net_hello *answer)
{
	struct node_remote *r = ctx;

	(void)answer;
	pthread_mutex_lock(&r->deliver);
	if (!r->muted)
		fs_session_on_up(r->session);
	pthread_mutex_unlock(&r->deliver);
}

static void on_frame(void *ctx, uint8_t type, const uint8_t *payload, size_t len)
{
	struct node_remote *r = ctx;

	pthread_mutex_lock(&r->deliver);
	if (type == NET_CLIENT && !r->muted)
		fs_session_on_message(r->session, payload, len);
	pthread_mutex_unlock(&r->deliver);
}

static void on_down(void *ctx, const struct err *why)
{
	struct node_remote *r = ctx;

	(void)why;
	pthread_mutex_lock(&r->deliver);
	if (!r->muted)
		fs_session_on_down(r->session);
	pthread_mutex_unlock(&r->deliver);
}

struct node_remote *node_remote_new(void)
{
	struct node_remote *r = mem_calloc(1, sizeof(*r));

	pthread_mutex_init(&r->lock, NULL);
	pthread_mutex_init(&r->deliver, NULL);
	return r;
}

void node_remote_attach(struct node_remote *r, struct fs_session *session, const uint8_t uuid[16],
			const char *const *addresses, size_t count)
{
	static const struct net_client_ops ops = {
		.on_up = on_up,
		.on_frame = on_frame,
		.on_down = on_down,
	};
	struct net_hello hello = { .role = NET_ROLE_CLIENT };

	memcpy(hello.uuid, uuid, sizeof(hello.uuid));
	r->session = session;
	pthread_mutex_lock(&r->lock);
	r->net = net_client_new(addresses, count, &hello, NODE_REMOTE_DEAD_MS, &ops, r);
	pthread_mutex_unlock(&r->lock);
}

void node_remote_mute(struct node_remote *r)
{
	pthread_mutex_lock(&r->deliver);
	r->muted = true;
	pthread_mutex_unlock(&r->deliver);
}

void node_remote_free(struct node_remote *r)
{
	if (!r)
		return;
	if (r->net)
		net_client_free(r->net);
	pthread_mutex_destroy(&r->deliver);
	pthread_mutex_destroy(&r->lock);
	free(r);
}
