/*
 * loop.c - the node thread: timers, sockets, and the way of events into the replica and back out.
 *
 * Connections: every node connects to every other one and sends on its own connection only; what it
 * receives comes on the connections others made. Clients, tools and snapshot pulls connect to us.
 */
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mark.h"
#include "node/node_internal.h"

#define CONNECT_TIMEOUT_MS 2000u
#define BACKOFF_MIN_MS 50u
#define BACKOFF_MAX_MS 1000u

/*
 * Not uv_async_send(): its loop waits, spinning, for the sender to be done with it, which on one processor is
 * the very thread that the woken loop has just interrupted: 30 us for each hand-over.
 */
void node_wake(struct node *node)
{
	uint64_t one = 1;

	if (write(node->wake_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: readable all the same */
}

void loop_fail(struct node *node, const struct err *err)
{
	log_error("node", "stopping: %s", err->text);
	pthread_mutex_lock(&node->lock);
	if (!node->failed) {
		node->failed = true;
		node->error = *err;
	}
	pthread_cond_broadcast(&node->changed);
	pthread_mutex_unlock(&node->lock);
	atomic_store(&node->shared.stopping, true);
	node->stopping = true;
	uv_stop(&node->loop);
}

/* ---- links: what others connected ------------------------------------------------------------- */

static struct link *link_find(struct node *node, uint64_t id)
{
	for (struct hnode *n = htable_first(&node->links, hash_u64(id)); n; n = htable_next(n)) {
		struct link *l = CONTAINER_OF(n, struct link, by_id);

		if (l->id == id)
			return l;
	}
	return NULL;
}

static struct link *link_new(struct node *node, uint8_t role)
{
	struct link *l = mem_calloc(1, sizeof(*l));

	l->node = node;
	l->role = role;
	l->id = ++node->next_id;
	htable_add(&node->links, &l->by_id, hash_u64(l->id));
	return l;
}

static void link_free(struct link *l)
{
	htable_del(&l->node->links, &l->by_id);
	free(l);
}

static int judge_peer(struct node *node, const struct net_hello *hello, struct err *err)
{
	struct replica_info info;

	if (hello->to_node_id != 0 && hello->to_node_id != node->identity.node_id) {
		err_set(err, -EINVAL, "node %llu was expected at this address, this is node %llu",
			(unsigned long long)hello->to_node_id, (unsigned long long)node->identity.node_id);
		return err_advise(err, "every other connection", "quorumfs status");
	}
	if (hello->role != NET_ROLE_PEER)
		return 0;
	replica_info(node->replica, &info);
	for (size_t i = 0; i < info.peer_count; i++)
		if (info.peers[i].id == hello->node_id)
			return 0;
	err_set(err, -EPERM, "node %llu is not a member of this cluster",
		(unsigned long long)hello->node_id);
	return err_advise(err, "the cluster goes on without it", "quorumfs status");
}

static int on_hello(void *ctx, struct net_conn *conn, const struct net_hello *hello,
		    struct net_hello *answer, struct err *err)
{
	static const uint8_t unknown[16];
	struct node *node = ctx;
	struct link *l;
	int ret = 0;

	if (hello->group != node->identity.group)
		ret = err_set(err, -EINVAL, "group %u is not served here", hello->group);
	else if (memcmp(hello->cluster, unknown, 16) != 0 &&
		 memcmp(hello->cluster, node->identity.cluster, 16) != 0)
		ret = err_set(err, -EXDEV, "this node belongs to another cluster");
	else if (hello->role == NET_ROLE_PEER || hello->role == NET_ROLE_BULK)
		ret = judge_peer(node, hello, err);
	if (ret < 0)
		return err_advise(err, "this node and its cluster, unchanged", "quorumfs status --json");
	*answer = (struct net_hello){
		.role = hello->role,
		.group = node->identity.group,
		.node_id = node->identity.node_id,
		.to_node_id = hello->node_id,
		.incarnation = node->shared.incarnation,
	};
	memcpy(answer->cluster, node->identity.cluster, 16);
	l = link_new(node, hello->role);
	l->conn = conn;
	l->peer_id = hello->node_id;
	net_conn_set_user(conn, l);
	return 0;
}

/* The first frame of a client opens it in the replica: HELLO_OK has left by then. */
static void client_frame(struct link *l, const uint8_t *payload, size_t len)
{
	if (!l->opened) {
		l->opened = true;
		replica_client_open(l->node->replica, l->id);
	}
	if (replica_client_frame(l->node->replica, l->id, payload, len) < 0) {
		log_warning("node", "dropped client %s: its message does not decode",
			    net_conn_peer_name(l->conn));
		net_conn_close(l->conn);
	}
}

/* The image a peer is pulling stays until its connection ends, however many newer ones there are. */
static void bulk_frame(struct link *l, const uint8_t *payload, size_t len)
{
	struct raft_snapshot_meta meta;

	if (replica_bulk_frame(l->node->replica, l->id, l->peer_id, payload, len, &meta) < 0) {
		net_conn_close(l->conn);
		return;
	}
	if (l->holds)
		return;
	l->holds = true;
	l->held = meta;
	store_snapshot_hold(l->node->store, &l->held);
}

static void on_frame(void *ctx, struct net_conn *conn, uint8_t type, const uint8_t *payload, size_t len)
{
	struct node *node = ctx;
	struct link *l = net_conn_user(conn);
	struct buf reply = BUF_INIT;

	if (!l)
		return;
	if (l->role == NET_ROLE_PEER) {
		replica_peer_frame(node->replica, l->peer_id, type, payload, len);
	} else if (l->role == NET_ROLE_CLIENT && type == NET_CLIENT) {
		client_frame(l, payload, len);
	} else if (l->role == NET_ROLE_ADMIN && type == NET_ADMIN) {
		if (admin_handle(node, l->id, payload, len, &reply))
			(void)net_conn_send(conn, NET_ADMIN_REPLY, &reply);
	} else if (l->role == NET_ROLE_BULK && type == NET_BULK) {
		bulk_frame(l, payload, len);
	} else {
		log_warning("node", "dropped %s: frame type %u is not for its role",
			    net_conn_peer_name(conn), type);
		net_conn_close(conn);
	}
	buf_release(&reply);
}

static void on_close(void *ctx, struct net_conn *conn, const struct err *why)
{
	struct node *node = ctx;
	struct link *l = net_conn_user(conn);

	(void)why;
	if (!l)
		return;
	if (l->opened)
		replica_client_close(node->replica, l->id);
	if (l->holds)
		store_snapshot_release(node->store, &l->held);
	link_free(l);
}

static const struct net_conn_ops server_ops = {
	.on_hello = on_hello,
	.on_frame = on_frame,
	.on_close = on_close,
};

/* ---- peers: what we connect to ------------------------------------------------------------------ */

static void peer_on_open(void *ctx, struct net_conn *conn, const struct net_hello *answer)
{
	struct peer_link *p = ctx;

	(void)conn;
	(void)answer;
	p->open = true;
	p->foreign = false;
	p->last_error[0] = '\0';
	p->backoff_ms = BACKOFF_MIN_MS;
	p->said = false;
	log_info("node", "connected node=%llu peer=%llu address=%s",
		 (unsigned long long)p->node->identity.node_id, (unsigned long long)p->id, p->address);
	replica_peer_up(p->node->replica, p->id);
}

static void peer_on_frame(void *ctx, struct net_conn *conn, uint8_t type, const uint8_t *payload, size_t len)
{
	(void)ctx;
	(void)conn;
	(void)type;
	(void)payload;
	(void)len; /* peers answer on their own connections */
}

/* So many peers of another cluster that the rest is no quorum: this store is at the wrong place. */
static void check_foreign(struct node *node, const struct peer_link *last)
{
	struct err err = ERR_INIT;
	size_t foreign = 0;

	for (size_t i = 0; i < node->peer_count; i++)
		foreign += node->peers[i].foreign;
	if (node->peer_count + 1 - foreign > (node->peer_count + 1) / 2)
		return;
	err_set(&err, -EXDEV, "the store '%s' belongs to another cluster than the nodes it should meet: %zu of "
		"%zu refused it, the last at '%s'", node->options.dir, foreign, node->peer_count, last->address);
	err_advise(&err, "the cluster at those addresses, and this store as it is",
		   "quorumfs status --node %s", last->address);
	loop_fail(node, &err);
}

static void peer_on_close(void *ctx, struct net_conn *conn, const struct err *why)
{
	struct peer_link *p = ctx;
	bool was_open = p->open;

	(void)conn;
	p->conn = NULL;
	p->open = false;
	snprintf(p->last_error, sizeof(p->last_error), "%.255s", why ? why->text : "closed");
	p->retry_ms = clock_boot_ms() + p->backoff_ms;
	p->backoff_ms = (uint32_t)min_u64(2ull * p->backoff_ms, BACKOFF_MAX_MS);
	if (!p->said && !p->node->stopping) {
		p->said = true;
		log_warning("node", "%s peer=%llu address=%s: %s", was_open ? "lost" : "cannot reach",
			    (unsigned long long)p->id, p->address, why ? why->text : "closed");
	}
	if (was_open && !p->node->stopping)
		replica_peer_down(p->node->replica, p->id);
	if (why && why->code == -EXDEV && !p->node->stopping) {
		p->foreign = true;
		check_foreign(p->node, p);
	}
}

static const struct net_conn_ops peer_ops = {
	.on_open = peer_on_open,
	.on_frame = peer_on_frame,
	.on_close = peer_on_close,
};

static void peer_connect(struct peer_link *p)
{
	struct node *node = p->node;
	struct net_hello hello = {
		.role = NET_ROLE_PEER,
		.group = node->identity.group,
		.node_id = node->identity.node_id,
		.to_node_id = p->id,
		.incarnation = node->shared.incarnation,
	};

	memcpy(hello.cluster, node->identity.cluster, 16);
	p->conn = net_connect(&node->loop, p->address, &hello, CONNECT_TIMEOUT_MS, &peer_ops, p);
	if (!p->conn)
		p->retry_ms = clock_boot_ms() + BACKOFF_MAX_MS;
}

static void connect_peers(struct node *node)
{
	uint64_t now = clock_boot_ms();

	for (size_t i = 0; i < node->peer_count; i++)
		if (!node->peers[i].conn && node->peers[i].id != 0 && now >= node->peers[i].retry_ms)
			peer_connect(&node->peers[i]);
}

static struct peer_link *peer_find(struct node *node, uint64_t id)
{
	for (size_t i = 0; i < node->peer_count; i++)
		if (node->peers[i].id == id)
			return &node->peers[i];
	return NULL;
}

const char *loop_peer_error(const struct node *node, uint64_t id)
{
	for (size_t i = 0; i < node->peer_count; i++)
		if (node->peers[i].id == id)
			return node->peers[i].last_error;
	return "";
}

bool loop_peer_open(const struct node *node, uint64_t id)
{
	for (size_t i = 0; i < node->peer_count; i++)
		if (node->peers[i].id == id)
			return node->peers[i].open;
	return false;
}

/* ---- replica's world ------------------------------------------------------------------------------ */

static void ops_submit(void *ctx, enum worker_kind worker, struct job *job)
{
	threads_submit(ctx, worker, job);
}

static void ops_send_peer(void *ctx, uint64_t node_id, uint8_t frame_type, struct buf *payload)
{
	struct peer_link *p = peer_find(ctx, node_id);

	/* A full queue would lose this frame in the middle: break the connection, both ends start anew. */
	if (p && p->open && !net_conn_send(p->conn, frame_type, payload) && p->conn)
		net_conn_close(p->conn);
	buf_release(payload);
}

static void ops_send_client(void *ctx, uint64_t client_id, struct buf *payload)
{
	struct link *l = link_find(ctx, client_id);

	if (l && l->channel)
		channel_deliver(l->channel, payload->data, payload->len);
	else if (l && !net_conn_send(l->conn, NET_CLIENT, payload))
		net_conn_close(l->conn); /* it comes back and sends again */
	buf_release(payload);
}

static void ops_send_bulk(void *ctx, uint64_t conn_id, struct buf *payload)
{
	struct link *l = link_find(ctx, conn_id);

	if (l && l->conn)
		(void)net_conn_send(l->conn, NET_BULK_REPLY, payload);
	buf_release(payload);
}

static void finish_command(struct node *node, struct command *cmd)
{
	pthread_mutex_lock(&node->lock);
	cmd->done = true;
	pthread_cond_broadcast(&node->changed);
	pthread_mutex_unlock(&node->lock);
}

static void ops_check_done(void *ctx, const struct job_check *check)
{
	struct node *node = ctx;
	struct link *l = link_find(node, check->admin_id);
	struct buf reply = BUF_INIT;

	admin_check_reply(node, check, &reply);
	if (l && l->conn)
		(void)net_conn_send(l->conn, NET_ADMIN_REPLY, &reply);
	buf_release(&reply);
}

static void ops_peers(void *ctx, const struct raft_conf *conf)
{
	struct node *node = ctx;

	for (size_t i = 0; i < conf->count; i++) {
		const struct raft_member *m = &conf->members[i];
		struct peer_link *p = peer_find(node, m->id);

		if (m->id == node->identity.node_id || m->address[0] == '\0')
			continue;
		if (!p) {
			assert(node->peer_count < RAFT_NODES_MAX);
			p = &node->peers[node->peer_count++];
			*p = (struct peer_link){ .node = node, .id = m->id, .backoff_ms = BACKOFF_MIN_MS };
		}
		memcpy(p->address, m->address, sizeof(p->address));
	}
}

static uint64_t ops_now_ms(void *ctx)
{
	(void)ctx;
	return clock_boot_ms();
}

static uint64_t ops_now_ns(void *ctx)
{
	(void)ctx;
	return clock_boot_ns();
}

static void ops_fatal(void *ctx, const struct err *err)
{
	loop_fail(ctx, err);
}

const struct replica_io_ops loop_replica_ops = {
	.submit = ops_submit,
	.send_peer = ops_send_peer,
	.send_client = ops_send_client,
	.send_bulk = ops_send_bulk,
	.check_done = ops_check_done,
	.peers = ops_peers,
	.now_ms = ops_now_ms,
	.now_ns = ops_now_ns,
	.fatal = ops_fatal,
};

/* ---- events ----------------------------------------------------------------------------------------- */

static void open_channel(struct node *node, struct command *cmd)
{
	struct link *l = link_new(node, NET_ROLE_CLIENT);

	l->channel = cmd->channel;
	replica_client_open(node->replica, l->id);
	channel_opened(cmd->channel, l->id);
}

static void close_channel(struct node *node, struct command *cmd)
{
	struct link *l = link_find(node, channel_id(cmd->channel));

	if (l) {
		replica_client_close(node->replica, l->id);
		link_free(l);
	}
	channel_closed(cmd->channel);
}

/* true: cmd was allocated for us and is done with. */
static bool run_command(struct node *node, struct command *cmd)
{
	switch (cmd->type) {
	case COMMAND_STOP:
		replica_leave(node->replica);
		node->stopping = true;
		uv_stop(&node->loop);
		return false;
	case COMMAND_CHANNEL_OPEN:
		open_channel(node, cmd);
		return false;
	case COMMAND_CHANNEL_CLOSE:
		close_channel(node, cmd);
		return false;
	case COMMAND_CHANNEL_MESSAGE:
		if (channel_id(cmd->channel) != 0)
			(void)replica_client_frame(node->replica, channel_id(cmd->channel),
						   cmd->data.data, cmd->data.len);
		buf_release(&cmd->data);
		return true;
	case COMMAND_ADMIN:
		(void)admin_handle(node, 0, cmd->data.data, cmd->data.len, cmd->reply);
		return false;
	}
	return false;
}

static void on_wake(uv_poll_t *wake, int status, int events)
{
	struct node *node = wake->data;
	struct list items;
	uint64_t count;

	(void)status;
	(void)events;
	list_init(&items);
	/* Before the queues are looked at: what comes after that wakes again. */
	if (read(node->wake_fd, &count, sizeof(count)) < 0)
		MARK("node.loop.woken-for-nothing");
	(void)queue_take(&node->done, &items);
	list_for_each_safe(it, &items) {
		list_del(it);
		if (node->stopping)
			job_free(list_entry(it, struct job, link));
		else
			replica_job_done(node->replica, list_entry(it, struct job, link));
	}
	(void)queue_take(&node->commands, &items);
	list_for_each_safe(it, &items) {
		struct command *cmd = list_entry(it, struct command, link);

		list_del(it);
		if (run_command(node, cmd))
			free(cmd);
		else
			finish_command(node, cmd);
	}
}

void loop_finish_commands(struct node *node)
{
	struct list items;

	list_init(&items);
	(void)queue_take(&node->commands, &items);
	list_for_each_safe(it, &items) {
		struct command *cmd = list_entry(it, struct command, link);

		list_del(it);
		if (cmd->waited) {
			finish_command(node, cmd);
		} else {
			buf_release(&cmd->data);
			free(cmd);
		}
	}
	pthread_mutex_lock(&node->lock);
	pthread_cond_broadcast(&node->changed);
	pthread_mutex_unlock(&node->lock);
}

static void on_tick(uv_timer_t *timer)
{
	struct node *node = timer->data;

	if (node->stopping)
		return;
	connect_peers(node);
	replica_tick(node->replica);
}

/* Runs before the loop waits: after each burst of events. */
static void on_prepare(uv_prepare_t *prepare)
{
	struct node *node = prepare->data;

	if (!node->stopping)
		replica_flush(node->replica);
}

void loop_run(struct node *node)
{
	connect_peers(node);
	uv_run(&node->loop, UV_RUN_DEFAULT);
}

/* ---- life --------------------------------------------------------------------------------------------- */

static int listen_all(struct node *node, struct err *err)
{
	char local[sizeof(node->socket_path) + 8];
	int ret = 0;

	snprintf(local, sizeof(local), "unix:%s", node->socket_path);
	if (node->listen_address[0] != '\0')
		ret = net_listen(&node->loop, node->listen_address, node->identity.cluster,
				 node->identity.group, &server_ops, node, &node->tcp, err);
	if (ret == 0)
		ret = net_listen(&node->loop, local, node->identity.cluster, node->identity.group,
				 &server_ops, node, &node->local, err);
	return ret;
}

int loop_init(struct node *node, struct err *err)
{
	int ret = uv_loop_init(&node->loop);

	if (ret < 0)
		return err_set(err, ret, "cannot make an event loop: %s", uv_strerror(ret));
	uv_poll_init(&node->loop, &node->wake, node->wake_fd);
	uv_timer_init(&node->loop, &node->timer);
	uv_prepare_init(&node->loop, &node->prepare);
	node->wake.data = node;
	node->timer.data = node;
	node->prepare.data = node;
	uv_timer_start(&node->timer, on_tick, node->options.tick_ms, node->options.tick_ms);
	uv_prepare_start(&node->prepare, on_prepare);
	uv_poll_start(&node->wake, UV_READABLE, on_wake);
	return listen_all(node, err);
}

void loop_release(struct node *node)
{
	struct list left;

	node->stopping = true;
	net_server_close(node->tcp);
	net_server_close(node->local);
	for (size_t i = 0; i < node->peer_count; i++)
		if (node->peers[i].conn)
			net_conn_close(node->peers[i].conn);
	uv_close((uv_handle_t *)&node->wake, NULL);
	uv_close((uv_handle_t *)&node->timer, NULL);
	uv_close((uv_handle_t *)&node->prepare, NULL);
	uv_run(&node->loop, UV_RUN_DEFAULT);
	(void)uv_loop_close(&node->loop);
	htable_release(&node->links);
	list_init(&left);
	(void)queue_take(&node->done, &left);
	list_for_each_safe(it, &left) {
		list_del(it);
		job_free(list_entry(it, struct job, link));
	}
}
