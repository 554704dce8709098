/*
 * serve.c - the process that stays behind a mount: a session to a node, or a node of its own, and the
 * FUSE loop.
 *
 * Order: node or connection first, then one GETATTR of the root (so there is quorum), then mount(2), then
 * the loop; "ok" is reported when INIT was answered. Whatever fails before leaves the mount point alone.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "mount-helper/mount.h"

struct served {
	const struct mount_args *args;
	int report_fd;
	struct node *node;
	struct node_channel *channel;
	struct node_remote *remote;
	struct fs_session *session;
	struct fs_fuse *fuse;
	uint8_t uuid[KV_UUID_SIZE];
};

/* ---- the line that tells the parent ------------------------------------------------------------ */

static void report_error(int fd, const struct err *err, int exit_code)
{
	uint8_t code = (uint8_t)exit_code;

	(void)io_write_all(fd, &code, 1);
	(void)io_write_all(fd, err, sizeof(*err));
}

static void report_ok(void *ctx)
{
	struct served *s = ctx;
	uint8_t code = MOUNT_OK;

	(void)io_write_all(s->report_fd, &code, 1);
	close(s->report_fd);
	s->report_fd = -1;
}

static int read_whole(int fd, void *data, size_t len)
{
	uint8_t *p = data;

	while (len > 0) {
		ssize_t n = read(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -EPIPE;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int mount_report_read(int fd, struct err *err)
{
	uint8_t code;

	if (read_whole(fd, &code, 1) < 0 || (code != MOUNT_OK && read_whole(fd, err, sizeof(*err)) < 0)) {
		err_set(err, -EPIPE, "the process that was to serve the mount ended without a word");
		err_advise(err, "nothing was mounted", "mount with -o foreground,log-level=debug to see why");
		return MOUNT_FAILED;
	}
	return code;
}

/* ---- parts --------------------------------------------------------------------------------------- */

static bool killed(void *ctx, uint32_t pid)
{
	struct served *s = ctx;

	return fs_fuse_killed(s->fuse, pid);
}

static size_t held(void *ctx, uint64_t *inos, size_t count)
{
	struct served *s = ctx;

	return s->fuse ? fs_fuse_held(s->fuse, inos, count) : 0;
}

static void open_session(struct served *s, const struct fs_channel_ops *ops, void *channel)
{
	const struct mount_options *o = &s->args->options;
	struct fs_session_options so = {
		.holder = true,
		.hard = o->hard,
		.timeo_ms = (uint32_t)(o->timeo_ds * 100),
		.move_ms = s->args->source.address_count > 1 ? 3000 : 0,
		.held = held,
		.killed = killed,
		.ctx = s,
	};

	memcpy(so.uuid, s->uuid, sizeof(so.uuid));
	s->session = fs_session_new(&so, ops, channel);
}

static int connect_node(struct served *s, struct err *err)
{
	const struct mount_source *src = &s->args->source;
	const struct mount_options *o = &s->args->options;
	struct node_options no;
	int ret;

	randombytes_buf(s->uuid, sizeof(s->uuid));
	if (!src->embedded) {
		s->remote = node_remote_new();
		open_session(s, &node_remote_ops, s->remote);
		node_remote_attach(s->remote, s->session, s->uuid, (const char *const *)src->addresses,
				   src->address_count);
		return 0;
	}
	no = node_options_default(src->dir);
	no.listen = o->listen;
	no.snapshot_threshold = o->snapshot_threshold;
	no.snapshot_interval = o->snapshot_interval;
	ret = node_start(&no, &s->node, err);
	if (ret == -EBUSY)
		err_advise(err, "the node that has it open", "mount -t quorumfs %s/node.sock %s", src->dir,
			   s->args->target);
	if (ret < 0)
		return ret;
	s->channel = node_channel_new(s->node);
	open_session(s, &node_channel_ops, s->channel);
	node_channel_attach(s->channel, s->session);
	return 0;
}

struct root_wait {
	pthread_mutex_t lock; /* guards done, status */
	pthread_cond_t changed;
	bool done;
	int status;
};

static void on_root(void *ctx, int status, const struct fs_reply *reply)
{
	struct root_wait *w = ctx;

	(void)reply;
	pthread_mutex_lock(&w->lock);
	w->done = true;
	w->status = status;
	pthread_cond_signal(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

static void say_waiting(const struct served *s, uint64_t waited_ms)
{
	struct fs_session_stats st;

	fs_session_stats(s->session, &st);
	fprintf(stderr, "mount.quorumfs: %s: waiting for %s ... %llus\n", s->args->target,
		!st.connected ? "a node that answers" : !st.has_leader ? "quorum" : "the file system",
		(unsigned long long)(waited_ms / 1000));
}

static int ask_root(struct served *s, struct root_wait *w, uint64_t start_ms, uint64_t *said_ms)
{
	struct fs_request rq = { .op = FS_GETATTR, .ino = FS_ROOT_INO };
	uint64_t limit_ms = s->args->options.mount_timeout_s * 1000;

	w->done = false;
	(void)fs_session_submit(s->session, &rq, 0, on_root, w, NULL);
	pthread_mutex_lock(&w->lock);
	while (!w->done && clock_boot_ms() - start_ms < limit_ms) {
		struct timespec ts;

		clock_gettime(CLOCK_REALTIME, &ts);
		ts.tv_sec += 1;
		(void)pthread_cond_timedwait(&w->changed, &w->lock, &ts);
		if (!w->done && clock_boot_ms() - *said_ms >= 2000) {
			*said_ms = clock_boot_ms();
			say_waiting(s, clock_boot_ms() - start_ms);
		}
	}
	pthread_mutex_unlock(&w->lock);
	return w->done ? w->status : -ETIMEDOUT;
}

/* A cluster that was just made has no root until its first leader made it. */
static int wait_root(struct served *s, struct err *err)
{
	struct root_wait *w = mem_calloc(1, sizeof(*w)); /* outlives a timeout: the process then ends */
	uint64_t start_ms = clock_boot_ms();
	uint64_t said_ms = start_ms;
	struct fs_session_stats st;
	int ret;

	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->changed, NULL);
	do {
		ret = ask_root(s, w, start_ms, &said_ms);
		if (ret == -ESTALE)
			clock_sleep_ms(20);
	} while ((ret == -ESTALE || ret == -ETIMEDOUT) &&
		 clock_boot_ms() - start_ms < s->args->options.mount_timeout_s * 1000);
	if (ret == 0)
		return 0;
	fs_session_stats(s->session, &st);
	err_set(err, ret, "cannot mount '%s': no answer from '%s' within %llu s: %s", s->args->target,
		s->args->source.text, (unsigned long long)s->args->options.mount_timeout_s,
		!st.connected ? "no node can be reached" : !st.has_leader ? "there is no quorum" : strerror(-ret));
	return err_advise(err, "nothing was mounted, nothing is lost", "quorumfs status --node %s",
			  s->args->source.text);
}

static int mount_fuse(struct served *s, struct err *err)
{
	const struct mount_options *o = &s->args->options;
	bool root = geteuid() == 0;
	struct fs_fuse_options fo = {
		.mountpoint = s->args->target_path,
		.source = o->fsname ? o->fsname : s->args->source.text,
		.read_only = o->ro,
		.allow_other = o->allow_other || (root && !o->no_allow_other),
		.nodev = o->nodev || !root,
		.nosuid = o->nosuid || !root,
		.noexec = o->noexec,
		.atime = "noatime",
		.max_threads = (uint32_t)o->max_threads,
		.debug = o->debug,
		.attr_timeout = o->attr_timeout,
		.entry_timeout = o->entry_timeout,
		.negative_timeout = o->negative_timeout,
	};
	int ret = fs_fuse_mount(&fo, &s->fuse, err);

	if (ret == 0)
		fs_fuse_attach(s->fuse, s->session);
	return ret;
}

/* ---- life ------------------------------------------------------------------------------------------ */

static struct fs_fuse *volatile signalled_fuse;

static void on_signal(int sig)
{
	(void)sig;
	if (signalled_fuse)
		fs_fuse_stop(signalled_fuse);
}

static void catch_signals(struct served *s)
{
	struct sigaction sa = { .sa_handler = on_signal };

	signalled_fuse = s->fuse;
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
}

/* An embedded node that failed takes the mount with it: what was acknowledged is on disk. */
static void *watch_node(void *arg)
{
	struct served *s = arg;
	struct err err = ERR_INIT;

	if (node_wait(s->node, &err) < 0) {
		err_advise(&err, "what was acknowledged is in the store", "mount it again");
		err_print(&err, "mount.quorumfs");
		_exit(MOUNT_FAILED);
	}
	return NULL;
}

static void redirect_log(const struct mount_options *o)
{
	int fd = open(o->log_file ? o->log_file : "/dev/null", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	if (o->foreground || o->debug || fd < 0)
		return;
	(void)dup2(fd, STDERR_FILENO);
	(void)dup2(fd, STDOUT_FILENO);
	close(fd);
}

static void started(void *ctx)
{
	struct served *s = ctx;

	report_ok(ctx);
	redirect_log(&s->args->options);
}

static void release(struct served *s)
{
	if (s->remote)
		node_remote_detach(s->remote);
	if (s->channel)
		node_channel_free(s->channel);
	if (s->session)
		fs_session_free(s->session);
	node_remote_free(s->remote);
	signalled_fuse = NULL;
	fs_fuse_free(s->fuse);
}

int mount_serve(const struct mount_args *args, int report_fd)
{
	struct served *s = mem_calloc(1, sizeof(*s));
	struct err err = ERR_INIT;
	pthread_t watcher;
	bool watched = false;
	int ret;

	s->args = args;
	s->report_fd = report_fd;
	signal(SIGPIPE, SIG_IGN);
	if (sodium_init() < 0)
		ret = err_set(&err, -EIO, "libsodium cannot be initialised");
	else
		ret = connect_node(s, &err);
	if (ret == 0)
		ret = wait_root(s, &err);
	if (ret == 0)
		ret = mount_fuse(s, &err);
	if (ret == 0) {
		catch_signals(s);
		watched = s->node && pthread_create(&watcher, NULL, watch_node, s) == 0;
		ret = fs_fuse_run(s->fuse, started, s);
		if (ret < 0)
			err_set(&err, ret, "serving '%s' ended: %s", args->target, strerror(-ret));
	}
	if (ret < 0 && s->report_fd >= 0) {
		err_advise(&err, "nothing was mounted", "mount with -o foreground,log-level=debug to see why");
		report_error(s->report_fd, &err, MOUNT_FAILED);
	}
	release(s);
	if (s->node) {
		node_stop_request(s->node);
		if (watched)
			pthread_join(watcher, NULL);
		node_stop(s->node);
	}
	free(s);
	return ret < 0 ? MOUNT_FAILED : MOUNT_OK;
}
