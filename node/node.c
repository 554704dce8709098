/* node.c - see node.h: opening, starting, stopping a node in the right order. */
#include <sodium.h>
#include <sys/eventfd.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "node/node_internal.h"

#define DEFAULT_TICK_MS 20u
#define DEFAULT_ELECTION_TICKS 11u /* 220 to 440 ms: just above a lease */
#define DEFAULT_HEARTBEAT_TICKS 2u
#define DEFAULT_READERS 2u
#define SEGMENT_BYTES_MIN (4ull * 1024 * 1024)
#define SEGMENT_BYTES_MAX (16ull * 1024 * 1024)
#define WAL_LIMIT_BYTES (64ull * 1024 * 1024) /* and at most a sixteenth of the file system */

struct node_options node_options_default(const char *dir)
{
	return (struct node_options){
		.dir = dir,
		.snapshot_threshold = NODE_SNAPSHOT_THRESHOLD_DEFAULT,
		.tick_ms = DEFAULT_TICK_MS,
		.election_ticks = DEFAULT_ELECTION_TICKS,
		.heartbeat_ticks = DEFAULT_HEARTBEAT_TICKS,
		.lease_ns = NODE_LEASE_NS_DEFAULT,
		.readers = DEFAULT_READERS,
		.session_ttl_ms = NODE_SESSION_TTL_MS_DEFAULT,
	};
}

static void set_defaults(struct node_options *o)
{
	struct node_options def = node_options_default(o->dir);

	if (o->tick_ms == 0)
		o->tick_ms = def.tick_ms;
	if (o->election_ticks == 0)
		o->election_ticks = def.election_ticks;
	if (o->heartbeat_ticks == 0)
		o->heartbeat_ticks = def.heartbeat_ticks;
	if (o->readers == 0)
		o->readers = def.readers;
	if (o->readers > NODE_READERS_MAX)
		o->readers = NODE_READERS_MAX;
}

static int choose_addresses(struct node *node, const struct raft_conf *conf, struct err *err)
{
	const struct raft_member *self = raft_conf_find(conf, node->identity.node_id);
	const char *listen = node->options.listen;
	int n;

	if (!listen)
		listen = self ? self->address : "";
	if (strcmp(listen, "none") == 0)
		listen = "";
	n = snprintf(node->listen_address, sizeof(node->listen_address), "%s", listen);
	if (n < 0 || (size_t)n >= sizeof(node->listen_address))
		return err_set(err, -ENAMETOOLONG, "the address '%s' is too long", listen);
	if (node->options.socket)
		n = snprintf(node->socket_path, sizeof(node->socket_path), "%s", node->options.socket);
	else
		n = snprintf(node->socket_path, sizeof(node->socket_path), "%s/node.sock",
			     node->options.dir);
	if (n < 0 || n >= 108) {
		err_set(err, -ENAMETOOLONG, "the socket path '%s' is longer than 107 bytes",
			node->socket_path);
		return err_advise(err, "the store, unchanged", "quorumfsd --socket=/run/quorumfs.sock %s",
				  node->options.dir);
	}
	return 0;
}

static int make_replica(struct node *node, const struct store_boot *boot, struct kv *kv, struct err *err)
{
	struct replica_options options = {
		.self = node->identity.node_id,
		.group = node->identity.group,
		.election_ticks = node->options.election_ticks,
		.heartbeat_ticks = node->options.heartbeat_ticks,
		.lease_ns = node->options.lease_ns,
		.clock_rate_ppm = NODE_CLOCK_RATE_PPM,
		.tick_ns = node->options.tick_ms * 1000000ull,
		.snapshot_threshold = node->options.snapshot_threshold,
		.snapshot_interval = node->options.snapshot_interval,
		.session_ttl_ms = node->options.session_ttl_ms,
		.root_uid = geteuid(),
		.root_gid = getegid(),
		.log_bytes = store_log_bytes(node->store),
	};
	struct kv_view *view = NULL;
	struct kv_meta meta;
	int ret = kv_view_open(kv, &view, err);

	if (ret < 0)
		return ret;
	meta = *kv_view_meta(view);
	kv_view_close(view);
	ret = choose_addresses(node, &meta.conf, err);
	if (ret < 0)
		return ret;
	randombytes_buf(&options.seed, sizeof(options.seed));
	node->replica = replica_new(&options, boot, &meta, &loop_replica_ops, node, err);
	if (!node->replica)
		return err->code < 0 ? err->code : -EUCLEAN;
	log_info("node", "opened '%s' node=%llu term=%llu applied=%llu last=%llu incarnation=%llu%s",
		 node->options.dir, (unsigned long long)node->identity.node_id,
		 (unsigned long long)boot->hard.term, (unsigned long long)meta.applied_index,
		 (unsigned long long)boot->last_index, (unsigned long long)boot->incarnation,
		 boot->was_clean ? "" : " (after a crash)");
	return 0;
}

/* 16 MiB, on a small disk a sixty-fourth of it: three or four segments always exist. */
static uint64_t segment_bytes(const struct node_options *o)
{
	struct statvfs vfs;
	uint64_t total;

	if (o->segment_bytes != 0 || statvfs(o->dir, &vfs) < 0)
		return o->segment_bytes;
	total = (uint64_t)vfs.f_blocks * vfs.f_frsize;
	return max_u64(SEGMENT_BYTES_MIN, min_u64(SEGMENT_BYTES_MAX, total / 64 & ~4095ull));
}

/* Mounts on this machine do without it: they ask each time. */
static void make_board(struct node *node, uint64_t last_index)
{
	struct err err = ERR_INIT;

	node->board = fs_board_new(last_index, &node->board_fd, &err);
	if (!node->board)
		log_warning("node", "%s", err.text);
	replica_set_board(node->replica, node->board, node->board_fd);
}

static int open_store(struct node *node, struct err *err)
{
	struct store_options options = { .segment_bytes = segment_bytes(&node->options) };
	struct store_boot boot = { .incarnation = 0 };
	struct store_space space = { .total_bytes = 0 };
	struct kv *kv = NULL;
	int ret = store_open(node->options.dir, 0, &options, &node->store, &boot, &kv, err);

	if (ret < 0)
		return ret;
	node->identity = boot.identity;
	node->shared.store = node->store;
	memcpy(node->shared.cluster, boot.identity.cluster, 16);
	node->shared.group = boot.identity.group;
	node->shared.self = boot.identity.node_id;
	node->shared.incarnation = boot.incarnation;
	(void)store_space(node->store, &space);
	node->shared.wal_limit_bytes = min_u64(WAL_LIMIT_BYTES, space.total_bytes / 16);
	ret = make_replica(node, &boot, kv, err);
	if (ret == 0)
		make_board(node, boot.last_index);
	kv_slot_init(&node->shared.slot, kv);
	store_boot_release(&boot);
	return ret;
}

static void *loop_main(void *arg)
{
	struct node *node = arg;

	if (node->board)
		fs_board_own(node->board);
	loop_run(node);
	if (node->board)
		fs_board_disown(node->board);
	pthread_mutex_lock(&node->lock);
	node->stopped = true;
	pthread_mutex_unlock(&node->lock);
	loop_finish_commands(node); /* no new ones from here on */
	return NULL;
}

/* Undoes whatever was started, from any point. */
static void node_release(struct node *node, bool loop_made)
{
	atomic_store(&node->shared.stopping, true);
	if (node->loop_running)
		pthread_join(node->loop_thread, NULL);
	threads_stop(node);
	if (loop_made)
		loop_release(node);
	replica_free(node->replica);
	fs_board_close(node->board);
	if (node->board_fd >= 0)
		close(node->board_fd);
	if (node->store) {
		kv_slot_release(&node->shared.slot);
		store_close(node->store);
	}
	if (node->wake_fd >= 0)
		close(node->wake_fd);
	queue_release(&node->done);
	queue_release(&node->commands);
	pthread_cond_destroy(&node->changed);
	pthread_mutex_destroy(&node->lock);
	free(node);
}

int node_start(const struct node_options *options, struct node **out, struct err *err)
{
	struct node *node = mem_calloc(1, sizeof(*node));
	bool loop_made = false;
	int ret;

	node->options = *options;
	set_defaults(&node->options);
	node->started_ms = clock_boot_ms();
	node->links = HTABLE_INIT;
	node->board_fd = node->wake_fd = -1;
	queue_init(&node->done);
	queue_init(&node->commands);
	pthread_mutex_init(&node->lock, NULL);
	pthread_cond_init(&node->changed, NULL);
	atomic_init(&node->shared.stopping, false);
	if (sodium_init() < 0) {
		ret = err_set(err, -EIO, "libsodium cannot be initialised");
		goto fail;
	}
	node->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (node->wake_fd < 0) {
		ret = err_set(err, -errno, "cannot make an eventfd: %s", strerror(errno));
		goto fail;
	}
	ret = open_store(node, err);
	if (ret < 0)
		goto fail;
	ret = loop_init(node, err);
	loop_made = true;
	if (ret == 0)
		ret = threads_start(node, err);
	if (ret == 0) {
		ret = -pthread_create(&node->loop_thread, NULL, loop_main, node);
		if (ret < 0)
			err_set(err, ret, "cannot start the node thread: %s", strerror(-ret));
	}
	if (ret < 0)
		goto fail;
	(void)pthread_setname_np(node->loop_thread, "node");
	node->loop_running = true;
	*out = node;
	return 0;
fail:
	node_release(node, loop_made);
	return ret;
}

void node_stop_request(struct node *node)
{
	struct command stop = { .type = COMMAND_STOP, .waited = true };

	list_init(&stop.link);
	(void)node_command(node, &stop);
}

void node_stop(struct node *node)
{
	if (!node)
		return;
	node_stop_request(node);
	node_release(node, true);
}

int node_wait(struct node *node, struct err *err)
{
	int ret = 0;

	pthread_mutex_lock(&node->lock);
	while (!node->failed && !node->stopped)
		pthread_cond_wait(&node->changed, &node->lock);
	if (node->failed) {
		*err = node->error;
		ret = node->error.code < 0 ? node->error.code : -EIO;
	}
	pthread_mutex_unlock(&node->lock);
	return ret;
}

int node_admin(struct node *node, const char *request_json, struct buf *reply_json)
{
	struct command cmd = { .type = COMMAND_ADMIN, .reply = reply_json, .waited = true };
	int ret = 0;

	list_init(&cmd.link);
	buf_put(&cmd.data, request_json, strlen(request_json));
	if (!node_command(node, &cmd))
		ret = -ESHUTDOWN;
	buf_release(&cmd.data);
	return ret;
}
