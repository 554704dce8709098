/*
 * fuse.c - life of a mount: mounted, served, stopped.
 *
 *   mount    resolves and mounts; the kernel's INIT waits until somebody serves
 *   attach   the session that carries requests
 *   run      libfuse's loop with cloned descriptors; returns when unmounted or stopped
 *   free     after the session is gone, as that answers what is open
 *
 * Stopping: a thread sleeps on a semaphore, which a signal handler may post. It first has a child
 * process write back and unmount, which needs our answers; if files are open and the loop goes on,
 * it ends the loop: libfuse's main thread, which sleeps in sem_wait(3), must be interrupted by a
 * signal of our own, as no notification makes the kernel send a request any more.
 */
#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mark.h"
#include "fs/fuse/front.h"

#define DEFAULT_THREADS 16u
#define MIN_THREADS 8u /* the session may keep four of them; interrupts need another */
#define MAX_BACKGROUND 128
#define STOP_UNMOUNT_MS 3000u /* for write-back and unmounting */
#define STOP_BUSY_MS 300u     /* unmounted so long and still served: files are open */
#define STOP_NUDGE_MS 20u
#define STOP_SIGNAL (SIGRTMAX - 3)

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	(void)userdata;
	conn->max_write = FS_IO_MAX;
	conn->max_read = FS_IO_MAX; /* the mount option says the same, as libfuse demands */
	conn->max_background = MAX_BACKGROUND;
	conn->congestion_threshold = MAX_BACKGROUND * 3 / 4;
	conn->time_gran = 1;
	conn->want &= ~(unsigned)FUSE_CAP_HANDLE_KILLPRIV; /* V2 takes its place, see init.c */
	/* A handle is the inode's number: it is found by that alone, on every mount and for good. */
	conn->want |= conn->capable & FUSE_CAP_EXPORT_SUPPORT;
}

static struct fuse_session *make_session(struct fs_fuse *fuse)
{
	char name[] = "quorumfs", opt[] = "-o", values[64];
	char *argv[] = { name, opt, values, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(3, argv);
	struct fuse_lowlevel_ops ops = { .init = op_init };

	snprintf(values, sizeof(values), "max_read=%u%s%s", FS_IO_MAX,
		 fuse->options.debug ? ",debug" : "", fuse->options.allow_root ? ",allow_root" : "");
	ops_lookup_fill(&ops);
	ops_attr_fill(&ops);
	ops_dir_fill(&ops);
	ops_file_fill(&ops);
	ops_space_fill(&ops);
	ops_link_fill(&ops);
	ops_xattr_fill(&ops);
	ops_lock_fill(&ops, &fuse->options);
	struct fuse_session *se = fuse_session_new(&args, &ops, sizeof(ops), fuse);

	fuse_opt_free_args(&args);
	return se;
}

static void fuse_release(struct fs_fuse *fuse)
{
	free((char *)fuse->options.mountpoint);
	free((char *)fuse->options.source);
	mount_point_release(&fuse->mount);
	kinode_table_release(&fuse->inodes);
	klock_table_release(&fuse->locks);
	gather_release(&fuse->gather);
	atime_table_release(&fuse->atimes);
	fs_board_close(lcache_set_board(&fuse->known, NULL));
	lcache_release(&fuse->known);
	sem_destroy(&fuse->stop);
	free(fuse);
}

int fs_fuse_mount(const struct fs_fuse_options *options, struct fs_fuse **out, struct err *err)
{
	struct fs_fuse *fuse = mem_calloc(1, sizeof(*fuse));
	int fd = -1;

	fuse->options = *options;
	fuse->options.mountpoint = mem_strdup(options->mountpoint);
	fuse->options.source = mem_strdup(options->source ? options->source : "quorumfs");
	kinode_table_init(&fuse->inodes);
	klock_table_init(&fuse->locks);
	gather_init(&fuse->gather, options->delegations);
	atime_table_init(&fuse->atimes, options->atime);
	lcache_init(&fuse->known, LCACHE_ENTRIES_MAX, clock_boot_ns);
	fs_fuse_set_live(fuse, &options->live);
	if (fuse->options.root_ino == 0)
		fuse->options.root_ino = FS_ROOT_INO;
	/* It lives as long as it is mounted, whoever removes it. */
	kinode_open(&fuse->inodes, fuse->options.root_ino);
	atomic_init(&fuse->next_fh, 1);
	atomic_init(&fuse->next_waiter, 1);
	sem_init(&fuse->stop, 0, 0);
	int ret = mount_attach(&fuse->options, &fuse->mount, &fd, err);

	if (ret < 0)
		goto fail;
	fuse->se = make_session(fuse);
	ret = fuse->se ? init_use_custom_io(fuse->se, fd) : -ENOMEM;
	if (ret < 0) {
		err_set(err, ret, "cannot start FUSE on '%s': %s", options->mountpoint,
			strerror(-ret));
		close(fd);
		goto fail;
	}
	ret = notifier_start(&fuse->notifier, fuse->se);
	if (ret < 0) {
		err_set(err, ret, "cannot start threads for '%s': %s", options->mountpoint,
			strerror(-ret));
		goto fail;
	}
	*out = fuse;
	return 0;
fail:
	err_advise(err, "nothing was changed", "ulimit -a");
	if (fuse->se)
		fuse_session_destroy(fuse->se);
	mount_detach(&fuse->mount);
	fuse_release(fuse);
	return ret;
}

void fs_fuse_attach(struct fs_fuse *fuse, struct fs_session *session)
{
	fuse->session = session;
}

void fs_fuse_set_board(struct fs_fuse *fuse, struct fs_board *board)
{
	fs_board_close(lcache_set_board(&fuse->known, board));
}

void fs_fuse_set_live(struct fs_fuse *fuse, const struct fs_fuse_live *live)
{
	fuse->live.soft = live->soft;
	fuse->live.attr_timeout = live->attr_timeout;
	fuse->live.entry_timeout = live->entry_timeout;
	fuse->live.negative_timeout = live->negative_timeout;
	atime_set_read_only(&fuse->atimes, live->read_only);
}

/* ---- stopping ---- */

static void wait_for_stop(struct fs_fuse *fuse)
{
	while (sem_wait(&fuse->stop) < 0 && errno == EINTR)
		;
}

static bool wait_ended(struct fs_fuse *fuse, uint64_t limit_ms)
{
	uint64_t until_ms = clock_boot_ms() + limit_ms;

	while (!atomic_load(&fuse->ended) && clock_boot_ms() < until_ms)
		clock_sleep_ms(STOP_NUDGE_MS);
	return atomic_load(&fuse->ended);
}

static bool unmount_ends_it(struct fs_fuse *fuse)
{
	uint64_t until_ms = clock_boot_ms() + STOP_UNMOUNT_MS;

	mount_detach_aside(&fuse->mount);
	while (mount_is_attached(&fuse->mount) && clock_boot_ms() < until_ms)
		if (wait_ended(fuse, STOP_NUDGE_MS))
			return true;
	return wait_ended(fuse, STOP_BUSY_MS);
}

static void interrupts_only(int sig)
{
	(void)sig;
}

static void *stopper_main(void *arg)
{
	struct fs_fuse *fuse = arg;
	struct sigaction sa = { .sa_handler = interrupts_only }; /* no SA_RESTART */

	wait_for_stop(fuse);
	if (atomic_load(&fuse->ended) || unmount_ends_it(fuse))
		return NULL;
	log_info("fuse", "files are open, ending the mount nevertheless mountpoint=%s",
		 fuse->mount.path);
	sigaction(STOP_SIGNAL, &sa, NULL);
	do {
		fuse_session_exit(fuse->se);
		/* Again and again, as it may come just before libfuse begins to sleep. */
		pthread_kill(fuse->runner, STOP_SIGNAL);
	} while (!wait_ended(fuse, STOP_NUDGE_MS));
	return NULL;
}

void fs_fuse_stop(struct fs_fuse *fuse)
{
	sem_post(&fuse->stop);
}

/* ---- serving ---- */

static int loop(struct fs_fuse *fuse)
{
	struct fuse_loop_config *cfg = fuse_loop_cfg_create();
	uint32_t threads = fuse->options.max_threads ? fuse->options.max_threads : DEFAULT_THREADS;

	if (!cfg)
		return -ENOMEM;
	fuse_loop_cfg_set_clone_fd(cfg, 1);
	fuse_loop_cfg_set_max_threads(cfg, threads < MIN_THREADS ? MIN_THREADS : threads);
	if (fuse->options.max_idle_threads > 0)
		fuse_loop_cfg_set_idle_threads(cfg, fuse->options.max_idle_threads);
	int ret = fuse_session_loop_mt(fuse->se, cfg);

	fuse_loop_cfg_destroy(cfg);
	return ret > 0 ? -EIO : ret;
}

static bool is_open(void *ctx, uint64_t ino)
{
	struct fs_fuse *fuse = ctx;

	return kinode_is_open(&fuse->inodes, ino);
}

int fs_fuse_run(struct fs_fuse *fuse, void (*started)(void *ctx), void *ctx)
{
	pthread_t stopper;
	sigset_t stop;

	assert(fuse->session);
	sigemptyset(&stop);
	sigaddset(&stop, STOP_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &stop, NULL);
	fuse->runner = pthread_self();
	fuse->init.started = started;
	fuse->init.ctx = ctx;
	int ret = -pthread_create(&stopper, NULL, stopper_main, fuse);

	if (ret < 0)
		return ret;
	ret = atime_start(&fuse->atimes, fuse->session);
	if (ret == 0)
		ret = gather_start(&fuse->gather, fuse->session, is_open, fuse);
	if (ret == 0)
		ret = loop(fuse);
	gather_stop(&fuse->gather);
	atime_stop(&fuse->atimes);
	atomic_store(&fuse->ended, true);
	sem_post(&fuse->stop);
	pthread_join(stopper, NULL);
	return ret;
}

/*
 * Answers whatever the kernel still asks, until `drained`: a request that nobody reads holds pages, and
 * a notifier that waits for those could not be joined.
 */
static void *drain_main(void *arg)
{
	struct fs_fuse *fuse = arg;
	int fd = fuse_session_fd(fuse->se);
	size_t size = FS_IO_MAX + FRONT_BLOCK_SIZE;
	char *request = mem_alloc(size);

	io_set_nonblock(fd, true);
	while (!atomic_load(&fuse->drained)) {
		ssize_t n = read(fd, request, size);
		const struct fuse_in_header *in = (const void *)request;

		if (n < 0 && errno == ENODEV)
			break; /* unmounted, the usual case */
		if (n < (ssize_t)sizeof(*in)) {
			clock_sleep_ms(STOP_NUDGE_MS);
			continue;
		}
		if (in->opcode == FUSE_FORGET || in->opcode == FUSE_BATCH_FORGET ||
		    in->opcode == FUSE_INTERRUPT)
			continue; /* these get no reply */
		struct fuse_out_header out = { .len = sizeof(out),
					       .error = -ECONNABORTED,
					       .unique = in->unique };

		if (write(fd, &out, sizeof(out)) < 0)
			log_debug("fuse", "cannot refuse a request: %s", strerror(errno));
	}
	free(request);
	return NULL;
}

/* Needs the session gone: what it had under way is answered. */
static void stop_notifier(struct fs_fuse *fuse)
{
	pthread_t drainer;
	bool draining = pthread_create(&drainer, NULL, drain_main, fuse) == 0;

	notifier_stop(&fuse->notifier);
	atomic_store(&fuse->drained, true);
	if (draining)
		pthread_join(drainer, NULL);
}

void fs_fuse_free(struct fs_fuse *fuse)
{
	if (!fuse)
		return;
	stop_notifier(fuse);
	/* Closes the connection, so that the umount waits for nobody. */
	fuse_session_destroy(fuse->se);
	mount_detach(&fuse->mount);
	fuse_release(fuse);
}

/* ---- for the session ---- */

size_t fs_fuse_held(void *ctx, uint64_t *inos, size_t count)
{
	struct fs_fuse *fuse = ctx;
	size_t held = 0;

	for (size_t i = 0; i < count; i++)
		/* A CREATE that is under way may open any of them: its answer tells which. */
		if (kinode_is_open(&fuse->inodes, inos[i]) || atomic_load(&fuse->creates) > 0)
			inos[held++] = inos[i];
	return held;
}

void fs_fuse_lost(void *ctx, uint64_t session_id)
{
	struct fs_fuse *fuse = ctx;
	size_t count = klock_lost(&fuse->locks, session_id, 2 * atomic_load(&fuse->next_fh));

	gather_lost(&fuse->gather, session_id);
	if (count == 0)
		return;
	MARK("fs.fuse.lock.lost");
	log_error("fuse", "locks were lost with session %llu: until they are closed, EIO for files=%zu",
		  (unsigned long long)session_id, count);
}

void fs_fuse_recall(void *ctx, uint64_t ino, uint64_t number)
{
	struct fs_fuse *fuse = ctx;

	gather_recall(&fuse->gather, ino, number);
}

/* Is bit SIGKILL - 1 set in the hexadecimal mask after the field's name? */
static bool mask_has_kill(const char *text, const char *field)
{
	const char *at = strstr(text, field);
	uint64_t mask = at ? strtoull(at + strlen(field), NULL, 16) : 0;

	return mask >> (SIGKILL - 1) & 1;
}

bool fs_fuse_killed(void *ctx, uint32_t pid)
{
	struct buf text = BUF_INIT;
	char path[64];

	(void)ctx;
	if (pid == 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%u/status", pid);
	int ret = io_read_file(AT_FDCWD, path, &text);

	buf_put_u8(&text, 0);
	bool killed = ret == 0 && (mask_has_kill((char *)text.data, "\nSigPnd:") ||
				   mask_has_kill((char *)text.data, "\nShdPnd:"));

	buf_release(&text);
	return killed;
}
