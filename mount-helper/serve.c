/*
 * serve.c - the process that stays behind a mount: a session to a node, or a node of its own, and the
 * FUSE loop.
 *
 * Order: node or connection first, then one GETATTR of the root (so there is quorum), then mount(2), then
 * the loop; "ok" is reported when INIT was answered. Whatever fails before leaves the mount point alone.
 *
 * While that goes on a watcher thread says what is waited for, and looks at the parent: if it goes away
 * before it has confirmed, nobody was told of a mount, and none may stay.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/limits.h"
#include "base/log.h"
#include "fs/fs_board.h"
#include "mount-helper/mount.h"
#include "mount-helper/predecessor.h"

#define PROGRESS_MS 2000
#define ENDING_MS 10000u /* a node that ends closes its store within this time */

enum phase {
	PHASE_OPENING, /* the store, or the first connection */
	PHASE_ASKING,  /* for the root */
	PHASE_MOUNTED,
};

struct served {
	const struct mount_args *args;
	int report_fd;   /* -1: no parent */
	int progress_fd; /* where the caller reads */
	int over_fd;     /* eventfd: the watcher has nothing left to do */
	uint64_t start_ms;
	struct node *node;
	pthread_t node_watcher; /* when node_watched */
	bool node_watched;
	struct node_channel *channel;
	struct node_remote *remote;
	struct fs_session *session;
	struct predecessor *predecessor; /* NULL: nothing is remembered */
	uint8_t uuid[KV_UUID_SIZE];

	pthread_mutex_t lock; /* guards all below */
	struct mount_options now; /* args' options, and what remounts have made of them */
	struct buf lists;         /* char *, owned: what its texts borrow from */
	pthread_cond_t changed;
	enum phase phase;
	bool abandoned; /* the parent has gone without confirming */
	bool later;     /* bg: the parent was told that it takes longer, and has gone */
	struct fs_fuse *_Atomic fuse; /* read by callbacks without the lock */
	struct fs_board *board; /* came before there was a fuse to use it */
};

/* ---- what the parent is told ---------------------------------------------------------------------- */

static void report_error(const struct served *s, const struct err *err, int exit_code)
{
	uint8_t code = (uint8_t)exit_code;

	if (s->later) {
		log_error("mount", "%s", err->text);
		return;
	}
	if (s->report_fd < 0) {
		(void)dup2(s->progress_fd, STDERR_FILENO);
		err_print(err, "mount.quorumfs");
		return;
	}
	(void)io_write_all(s->report_fd, &code, 1);
	(void)io_write_all(s->report_fd, err, sizeof(*err));
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

	if (read_whole(fd, &code, 1) < 0 ||
	    (code != MOUNT_OK && code != MOUNT_LATER && read_whole(fd, err, sizeof(*err)) < 0)) {
		err_set(err, -EPIPE, "the process that was to serve the mount ended without a word");
		err_advise(err, "nothing was mounted", "mount again with -o foreground,log-level=debug");
		return MOUNT_FAILED;
	}
	return code;
}

void mount_report_confirm(int fd)
{
	uint8_t code = MOUNT_OK;

	(void)io_write_all(fd, &code, 1);
}

/* ---- the watcher ------------------------------------------------------------------------------------ */

static const char *waits_for(const struct served *s, enum phase phase)
{
	const struct mount_source *src = &s->args->source;
	struct fs_session_stats st;

	if (phase == PHASE_OPENING)
		return src->embedded ? "the store to open" : "the connection";
	fs_session_stats(s->session, &st);
	if (!st.connected)
		return "a node that answers";
	return st.has_leader ? "the file system" : "quorum";
}

static void say_progress(struct served *s)
{
	enum phase phase;

	pthread_mutex_lock(&s->lock);
	phase = s->phase;
	pthread_mutex_unlock(&s->lock);
	dprintf(s->progress_fd, "mount.quorumfs: %s: waiting for %s at '%s' ... %llu s\n", s->args->target,
		waits_for(s, phase), s->args->source.text,
		(unsigned long long)(clock_boot_ms() - s->start_ms) / 1000);
}

static void abandon(struct served *s)
{
	pthread_mutex_lock(&s->lock);
	/* Opening cannot be interrupted; a store bears being killed at any time. */
	if (s->phase == PHASE_OPENING)
		_exit(MOUNT_FAILED);
	s->abandoned = true;
	pthread_cond_signal(&s->changed);
	if (s->fuse)
		fs_fuse_stop(s->fuse);
	pthread_mutex_unlock(&s->lock);
	log_warning("mount", "the process that asked for the mount has gone: nothing stays mounted");
}

static void *watcher_main(void *arg)
{
	struct served *s = arg;
	struct pollfd fds[] = {
		{ .fd = s->over_fd, .events = POLLIN },
		{ .fd = s->report_fd, .events = POLLIN }, /* poll() skips -1 */
	};

	for (;;) {
		int n = poll(fds, ARRAY_SIZE(fds), PROGRESS_MS);
		uint8_t code;

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0) {
			say_progress(s);
			continue;
		}
		if (!fds[0].revents && read_whole(s->report_fd, &code, 1) < 0)
			abandon(s);
		break;
	}
	if (s->report_fd >= 0)
		close(s->progress_fd); /* the caller may wait for its end */
	return NULL;
}

static void end_watch(const struct served *s)
{
	uint64_t one = 1;

	(void)io_write_all(s->over_fd, &one, sizeof(one));
}

static void started(void *ctx)
{
	struct served *s = ctx;
	uint8_t code = MOUNT_OK;

	if (s->report_fd < 0)
		end_watch(s);
	else if (!s->later)
		(void)io_write_all(s->report_fd, &code, 1);
}

/* ---- parts --------------------------------------------------------------------------------------- */

static bool killed(void *ctx, uint32_t pid)
{
	const struct served *s = ctx;

	return s->fuse && fs_fuse_killed(s->fuse, pid);
}

static size_t held(void *ctx, uint64_t *inos, size_t count)
{
	struct served *s = ctx;

	return s->fuse ? fs_fuse_held(s->fuse, inos, count) : 0;
}

static void lost(void *ctx, uint64_t session_id)
{
	struct served *s = ctx;

	if (s->fuse)
		fs_fuse_lost(s->fuse, session_id);
}

static void recall(void *ctx, uint64_t ino, uint64_t number)
{
	struct served *s = ctx;

	if (s->fuse)
		fs_fuse_recall(s->fuse, ino, number);
}

static void board(void *ctx, int pid, int fd, uint64_t nonce)
{
	struct served *s = ctx;
	struct fs_board *found = NULL;
	int ret = fs_board_open(pid, fd, nonce, &found);

	if (ret < 0) {
		log_info("mount", "asks its node each time, as it cannot see the board of process %d: %s", pid,
			 ret == -EXDEV ? "its clock is another one" : strerror(-ret));
		return;
	}
	pthread_mutex_lock(&s->lock);
	if (s->fuse) {
		fs_fuse_set_board(s->fuse, found);
	} else {
		fs_board_close(s->board);
		s->board = found;
	}
	pthread_mutex_unlock(&s->lock);
}

static void begun(void *ctx, const uint8_t name[FS_SESSION_NAME_SIZE])
{
	struct served *s = ctx;

	predecessor_set(s->predecessor, name);
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
		.begun = begun,
		.lost = lost,
		.recall = recall,
		.board = board,
		.killed = killed,
		.ctx = s,
	};

	memcpy(so.uuid, s->uuid, sizeof(so.uuid));
	so.has_replaces = predecessor_get(s->predecessor, so.replaces);
	s->session = fs_session_new(&so, ops, channel);
}

/* Does a node answer at the socket in its store? One that is ending does not any more. */
static bool is_served(const char *dir)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool served = false;

	if ((size_t)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/node.sock", dir) < sizeof(sa.sun_path))
		served = fd >= 0 && connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0;
	if (fd >= 0)
		close(fd);
	return served;
}

/* umount(8) returns when the mount is gone, a moment before its node has closed the store: that is waited for. */
static int start_node(const struct node_options *no, struct node **node, struct err *err)
{
	uint64_t until_ms = clock_boot_ms() + ENDING_MS;
	int ret;

	while ((ret = node_start(no, node, err)) == -EBUSY && !is_served(no->dir) && clock_boot_ms() < until_ms)
		clock_sleep_ms(50);
	return ret;
}

static int connect_node(struct served *s, struct err *err)
{
	const struct mount_source *src = &s->args->source;
	const struct mount_options *o = &s->args->options;
	struct node_options no;
	char folder[4096];
	int ret;

	randombytes_buf(s->uuid, sizeof(s->uuid));
	s->predecessor = predecessor_open(predecessor_folder(folder, sizeof(folder)), s->args->target_path);
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
	no.session_ttl_ms = o->session_ttl_ms;
	no.lease_ns = o->lease_ns;
	ret = start_node(&no, &s->node, err);
	if (ret == -EBUSY) /* here we know better what to do than the store does */
		snprintf(err->next, sizeof(err->next), "mount -t quorumfs %.120s/node.sock %.80s", src->dir,
			 s->args->target);
	if (ret < 0)
		return ret;
	s->channel = node_channel_new(s->node);
	open_session(s, &node_channel_ops, s->channel);
	node_channel_attach(s->channel, s->session);
	return 0;
}

/* Before mounting; guarded by served.lock. */
struct question {
	struct served *served;
	bool answered, given_up; /* given_up: the answer frees it */
	int status;
	struct fs_attr attr;
};

static void on_answer(void *ctx, int status, const struct fs_reply *reply)
{
	struct question *q = ctx;
	struct served *s = q->served;

	pthread_mutex_lock(&s->lock);
	q->answered = true;
	q->status = status;
	if (status == 0)
		q->attr = reply->attr;
	pthread_cond_signal(&s->changed);
	if (q->given_up)
		free(q);
	pthread_mutex_unlock(&s->lock);
}

static struct timespec seconds_from_now(uint64_t seconds)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += (time_t)seconds;
	return ts;
}

/* 0 with *attr; -ETIMEDOUT, and its answer may still come after; -ECANCELED: the parent has gone. */
static int ask(struct served *s, const struct fs_request *rq, const struct timespec *until,
	       struct fs_attr *attr)
{
	struct question *q = mem_calloc(1, sizeof(*q));
	int ret = -ETIMEDOUT;

	q->served = s;
	if (fs_session_submit(s->session, rq, 0, on_answer, q, NULL) < 0) {
		free(q);
		return -ECANCELED; /* the session is being freed */
	}
	pthread_mutex_lock(&s->lock);
	while (!q->answered && !s->abandoned &&
	       pthread_cond_clockwait(&s->changed, &s->lock, CLOCK_MONOTONIC, until) == 0)
		;
	if (s->abandoned)
		ret = -ECANCELED;
	else if (q->answered)
		ret = q->status;
	*attr = q->attr;
	q->given_up = !q->answered;
	if (q->answered)
		free(q);
	pthread_mutex_unlock(&s->lock);
	return ret;
}

static int advise_no_answer(const struct served *s, bool connected, struct err *err)
{
	static const char works[] = "nothing was mounted, nothing is lost";
	const struct mount_source *src = &s->args->source;
	const char *node = src->embedded ? src->dir : src->addresses[0];
	const char *slash = strrchr(node, '/');

	/* A socket in its usual place tells where the store is. */
	if (!connected && !src->embedded && slash && strcmp(slash, "/node.sock") == 0)
		return err_advise(err, works, "quorumfsd %.*s", (int)(slash - node) - 5, node + 5);
	return err_advise(err, works, "quorumfs status --node %s", node);
}

static bool is_before(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

/* A cluster that was just made has no root until its first leader made it. */
static int wait_root(struct served *s, uint64_t seconds, struct err *err)
{
	const struct fs_request rq = { .op = FS_GETATTR, .ino = FS_ROOT_INO };
	struct timespec until = seconds_from_now(seconds);
	struct fs_session_stats st;
	struct timespec now;
	struct fs_attr attr;
	int ret;

	do {
		ret = ask(s, &rq, &until, &attr);
		if (ret == -ESTALE)
			clock_sleep_ms(20);
		now = seconds_from_now(0);
	} while ((ret == -ESTALE || ret == -ETIMEDOUT) && is_before(&now, &until));
	if (ret == 0)
		return 0;
	fs_session_stats(s->session, &st);
	err_set(err, ret, "cannot mount '%s': no answer from '%s' within %llu s: %s", s->args->target,
		s->args->source.text, (unsigned long long)seconds,
		!st.connected ? "no node can be reached" : !st.has_leader ? "there is no quorum" : strerror(-ret));
	return advise_no_answer(s, st.connected, err);
}

/* bg: whoever asked for the mount need not wait. */
static void let_parent_go(struct served *s)
{
	uint8_t code = MOUNT_LATER;

	end_watch(s);
	s->later = s->report_fd >= 0;
	if (s->later)
		(void)io_write_all(s->report_fd, &code, 1);
	log_info("mount", "nobody answers yet, trying on mountpoint=%s minutes=%llu", s->args->target,
		 (unsigned long long)s->args->options.retry_min);
}

static int wait_answer(struct served *s, struct err *err)
{
	const struct mount_options *o = &s->args->options;
	int ret = wait_root(s, o->mount_timeout_s, err);

	if (ret == 0 || ret == -ECANCELED || !o->bg)
		return ret;
	let_parent_go(s);
	return wait_root(s, o->retry_min * 60, err);
}

static int no_subdir(const struct served *s, int ret, const char *why, struct err *err)
{
	const struct mount_source *src = &s->args->source;

	err_set(err, ret, "cannot mount the directory '%s' of '%s': %s", src->subdir, src->text, why);
	if (ret != -ENOENT)
		return err_advise(err, "nothing was mounted", "mount all of it, and look");
	return err_advise(err, "nothing was mounted", "mount all of it, and there: mkdir -p %s", src->subdir);
}

/* Walks down to the directory that is to be mounted, as root and without following links. */
static int find_root(struct served *s, uint64_t *ino, struct err *err)
{
	struct timespec until = seconds_from_now(s->args->options.mount_timeout_s);
	const char *p = s->args->source.subdir ? s->args->source.subdir : "";
	struct fs_attr attr;

	*ino = FS_ROOT_INO;
	while (*(p += strspn(p, "/"))) {
		size_t len = strcspn(p, "/");
		struct fs_request rq = { .op = FS_LOOKUP, .ino = *ino, .name = p, .name_len = len };
		int ret;

		if (len == 2 && p[0] == '.' && p[1] == '.')
			return no_subdir(s, -EINVAL, "'..' leads out of it", err);
		if (len > FS_NAME_MAX)
			return no_subdir(s, -ENAMETOOLONG, strerror(ENAMETOOLONG), err);
		ret = ask(s, &rq, &until, &attr);
		if (ret == 0 && !S_ISDIR(attr.mode))
			ret = -ENOTDIR;
		if (ret < 0)
			return no_subdir(s, ret, strerror(-ret), err);
		*ino = attr.ino;
		p += len;
	}
	return 0;
}

/* ---- options that change ---- */

static bool others_may_enter(const struct mount_options *o)
{
	return o->allow_other || o->allow_root || (geteuid() == 0 && !o->no_allow_other);
}

static struct fs_fuse_live live_of(const struct mount_options *o)
{
	return (struct fs_fuse_live){
		.read_only = o->ro,
		.soft = o->soft,
		.attr_timeout = o->attr_timeout,
		.entry_timeout = o->entry_timeout,
		.negative_timeout = o->negative_timeout,
	};
}

/* Asked by a remount, of which the kernel's part is done by who asks. */
static void change(void *ctx, struct fs_fuse_change *change)
{
	struct served *s = ctx;
	struct mount_options next;
	enum log_level level = LOG_INFO;
	char *list = mem_strdup(change->list);

	pthread_mutex_lock(&s->lock);
	int ret = mount_options_change(&s->now, list, &next, &change->err);

	if (ret == 0 && next.log_level && log_level_parse(next.log_level, &level) < 0)
		ret = err_set(&change->err, -EINVAL, "unknown log level '%s': not none, error, warning, info or debug",
			      next.log_level);
	if (ret == 0) {
		struct fs_fuse_live live = live_of(&next);

		s->now = next;
		buf_put(&s->lists, &list, sizeof(list));
		log_set_level(level);
		fs_session_set_patience(s->session, next.hard, (uint32_t)(next.timeo_ds * 100));
		fs_fuse_set_live(s->fuse, &live);
		log_info("mount", "changed mountpoint=%s options=%s", s->args->target, change->list);
	} else {
		free(list);
	}
	pthread_mutex_unlock(&s->lock);
}

static void release_lists(struct buf *lists)
{
	for (size_t at = 0; at < lists->len; at += sizeof(char *)) {
		char *list;

		memcpy(&list, lists->data + at, sizeof(list));
		free(list);
	}
	buf_release(lists);
}

static int mount_fuse(struct served *s, uint64_t root_ino, struct err *err)
{
	const struct mount_options *o = &s->args->options;
	bool root = geteuid() == 0;
	struct fs_fuse_options fo = {
		.mountpoint = s->args->target_path,
		.source = o->fsname ? o->fsname : s->args->source.text,
		.live = live_of(o),
		.change = change,
		.change_ctx = s,
		.allow_other = others_may_enter(o),
		.allow_root = o->allow_root,
		.nodev = o->nodev || !root,
		.nosuid = o->nosuid || !root,
		.noexec = o->noexec,
		.no_acl = o->no_acl,
		.delegations = !o->no_delegations,
		.no_user_xattr = o->no_user_xattr,
		.direct_io = o->direct_io,
		.max_read = (uint32_t)o->max_read,
		.readahead = (uint32_t)o->rasize,
		.shown = { .uid = (uint32_t)o->uid, .gid = (uint32_t)o->gid, .fmask = o->fmask, .dmask = o->dmask },
		.atime = o->atime,
		.nodiratime = o->nodiratime,
		.squash = o->squash,
		.root_ino = root_ino,
		.max_threads = (uint32_t)o->max_threads,
		.max_idle_threads = (uint32_t)o->max_idle_threads,
		.debug = o->debug,
		.local_flock = (o->local_locks & MOUNT_LOCAL_FLOCK) != 0,
		.local_posix = (o->local_locks & MOUNT_LOCAL_POSIX) != 0,
	};
	struct fs_fuse *fuse = NULL;
	int ret = fs_fuse_mount(&fo, &fuse, err);

	if (ret < 0)
		return ret;
	fs_fuse_attach(fuse, s->session);
	pthread_mutex_lock(&s->lock);
	s->fuse = fuse;
	fs_fuse_set_board(fuse, s->board);
	s->board = NULL;
	s->phase = PHASE_MOUNTED;
	if (s->abandoned)
		ret = err_set(err, -ECANCELED, "the process that asked for the mount has gone");
	pthread_mutex_unlock(&s->lock);
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

/* Was everything answered? Else what was given up may still come late, and the next mount ends the session. */
static bool all_answered(const struct served *s)
{
	struct fs_session_stats st;

	fs_session_stats(s->session, &st);
	return st.open == 0 && st.timed_out == 0;
}

static void release(struct served *s, bool ended_well)
{
	bool remembered = s->session && !(ended_well && all_answered(s));

	if (s->remote)
		node_remote_mute(s->remote);
	if (s->channel)
		node_channel_detach(s->channel);
	if (s->session)
		fs_session_free(s->session);
	node_remote_free(s->remote);
	node_channel_free(s->channel);
	predecessor_close(s->predecessor, remembered);
	signalled_fuse = NULL;
	fs_fuse_free(s->fuse);
	fs_board_close(s->board);
	if (s->node) {
		node_stop_request(s->node);
		if (s->node_watched)
			pthread_join(s->node_watcher, NULL);
		node_stop(s->node);
	}
	release_lists(&s->lists);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static int serve(struct served *s, struct err *err)
{
	uint64_t root_ino = FS_ROOT_INO;
	int ret = connect_node(s, err);

	if (ret < 0)
		return ret;
	pthread_mutex_lock(&s->lock);
	s->phase = PHASE_ASKING;
	pthread_mutex_unlock(&s->lock);
	if (!s->args->options.delay_connect)
		ret = wait_answer(s, err);
	if (ret == 0)
		ret = find_root(s, &root_ino, err);
	if (ret == 0)
		ret = mount_fuse(s, root_ino, err);
	if (ret < 0)
		return ret;
	catch_signals(s);
	s->node_watched = s->node && pthread_create(&s->node_watcher, NULL, watch_node, s) == 0;
	ret = fs_fuse_run(s->fuse, started, s);
	return ret < 0 ? err_set(err, ret, "serving '%s' ended: %s", s->args->target, strerror(-ret)) : 0;
}

/* From here on stderr is the log; progress goes where stderr was. */
static int prepare(struct served *s, struct err *err)
{
	(void)limits_raise_files(); /* what applications have open costs us none; peers and the store do */
	s->progress_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	s->over_fd = eventfd(0, EFD_CLOEXEC);
	if (s->over_fd < 0)
		return err_set(err, -errno, "cannot make an eventfd: %s", strerror(errno));
	if (s->args->log_fd >= 0)
		(void)dup2(s->args->log_fd, STDERR_FILENO);
	if (sodium_init() < 0)
		return err_set(err, -EIO, "libsodium cannot be initialised");
	return 0;
}

int mount_serve(const struct mount_args *args, int report_fd)
{
	struct served *s = mem_calloc(1, sizeof(*s));
	struct err err = ERR_INIT;
	pthread_t watcher;
	bool watched;
	int ret;

	s->args = args;
	s->now = args->options;
	s->now.allow_other = others_may_enter(&args->options); /* as the kernel shows it, and mount(8) hands it back */
	s->report_fd = report_fd;
	s->start_ms = clock_boot_ms();
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	signal(SIGPIPE, SIG_IGN);
	ret = prepare(s, &err);
	watched = ret == 0 && pthread_create(&watcher, NULL, watcher_main, s) == 0;
	if (ret == 0 && !watched)
		ret = err_set(&err, -EAGAIN, "cannot start a thread");
	if (ret == 0)
		ret = serve(s, &err);
	if (ret < 0) {
		err_advise(&err, "nothing is mounted", "mount again with -o foreground,log-level=debug");
		report_error(s, &err, MOUNT_FAILED);
	}
	if (watched) {
		end_watch(s);
		pthread_join(watcher, NULL);
	}
	release(s, ret >= 0);
	return ret < 0 ? MOUNT_FAILED : MOUNT_OK;
}
