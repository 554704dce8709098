/* mount.c - see mount.h. */
#include "fs/fuse/mount.h"

#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/io.h"

extern char **environ;

/* ---- what is mounted ---- */

/* Undoes the octal escapes (\040) of mountinfo in place. */
static void unescape(char *text)
{
	char *out = text;

	for (const char *in = text; *in; out++) {
		if (in[0] == '\\' && in[1] >= '0' && in[1] <= '3' && in[2] && in[3]) {
			*out = (char)((in[1] - '0') * 64 + (in[2] - '0') * 8 + in[3] - '0');
			in += 4;
		} else {
			*out = *in++;
		}
	}
	*out = '\0';
}

/*
 * Finds the topmost mount at path. Fields: id parent major:minor root mountpoint options ... - type
 * source options. True when there is one; device and type may be NULL.
 */
static bool mountinfo_find(const char *path, char device[32], char type[64])
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL, at[PATH_MAX], dev[32], fs[64];
	size_t cap = 0;
	bool found = false;

	while (f && getline(&line, &cap, f) > 0) {
		const char *sep = strstr(line, " - ");

		if (!sep || sscanf(line, "%*d %*d %31s %*s %4095s", dev, at) != 2 ||
		    sscanf(sep, " - %63s", fs) != 1)
			continue;
		unescape(at);
		if (strcmp(at, path) != 0)
			continue;
		found = true; /* a later line lies on top */
		if (device)
			memcpy(device, dev, sizeof(dev));
		if (type)
			memcpy(type, fs, sizeof(fs));
	}
	free(line);
	if (f)
		fclose(f);
	return found;
}

static bool is_ours(const char *path)
{
	char type[64];

	return mountinfo_find(path, NULL, type) && strcmp(type, MOUNT_TYPE) == 0;
}

bool mount_is_attached(const struct mount_point *mp)
{
	char device[32];

	return mp->device[0] && mountinfo_find(mp->path, device, NULL) &&
	       strcmp(device, mp->device) == 0;
}

/* ---- where ---- */

/* Resolves all but the last component, which may be a mount whose process is us or is gone. */
static char *resolve_parent(const char *path)
{
	char *copy = mem_strdup(path);
	size_t len = strlen(copy);
	struct buf out = BUF_INIT;

	while (len > 1 && copy[len - 1] == '/')
		copy[--len] = '\0';
	char *slash = strrchr(copy, '/');
	const char *last = slash ? slash + 1 : copy;

	if (slash)
		*slash = '\0';
	char *parent = realpath(slash ? (*copy ? copy : "/") : ".", NULL);

	if (parent)
		buf_printf(&out, "%s/%s", strcmp(parent, "/") == 0 ? "" : parent, last);
	buf_put_u8(&out, 0);
	free(parent);
	free(copy);
	return (char *)out.data;
}

static int busy(struct err *err, const char *path)
{
	err_set(err, -EBUSY, "cannot mount on '%s': a quorumfs is already mounted there", path);
	return err_advise(err, "the mount that is there, and everything else", "umount '%s'", path);
}

static int resolve(const char *mountpoint, char **path, mode_t *mode, struct err *err)
{
	char *near = resolve_parent(mountpoint);
	bool ours = *near && is_ours(near);
	struct stat st;

	free(near);
	if (ours)
		return busy(err, mountpoint);
	char *real = realpath(mountpoint, NULL);
	int ret = real && stat(real, &st) == 0 ? 0 : -errno;

	if (ret == 0 && !S_ISDIR(st.st_mode))
		ret = -ENOTDIR;
	else if (ret == 0 && is_ours(real))
		ret = busy(err, mountpoint);
	if (ret == 0) {
		*path = real;
		*mode = st.st_mode;
		return 0;
	}
	free(real);
	if (ret == -EBUSY)
		return ret;
	err_set(err, ret, "cannot mount on '%s': %s", mountpoint,
		ret == -ENOTCONN ? "the process of the mount that is there is gone"
				 : strerror(-ret));
	if (ret == -ENOENT)
		return err_advise(err, "nothing was changed", "mkdir -p '%s'", mountpoint);
	if (ret == -ENOTCONN)
		return err_advise(err, "nothing was changed", "umount '%s'", mountpoint);
	return err_advise(err, "nothing was changed", "ls -ld '%s'", mountpoint);
}

/* ---- as root: mount(2) ---- */

static int open_device(int *fd, struct err *err)
{
	*fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (*fd >= 0)
		return 0;
	int ret = -errno;

	err_set(err, ret, "cannot open '/dev/fuse': %s", strerror(-ret));
	return err_advise(err, "nodes and the quorumfs command work without it", "%s",
			  ret == -EACCES || ret == -EPERM ? "ls -l /dev/fuse" : "modprobe fuse");
}

static uint32_t max_read(const struct fs_fuse_options *o)
{
	return o->max_read == 0 ? FS_IO_MAX : o->max_read;
}

/* It checks by who the caller is. Where all act as somebody else, the evaluator alone checks. */
static const char *kernel_checks(const struct fs_fuse_options *o)
{
	return o->squash.all ? "" : ",default_permissions";
}

static int mount_as_root(const struct fs_fuse_options *o, const char *path, mode_t mode, int fd,
			 struct err *err)
{
	struct buf data = BUF_INIT;
	/* The kernel never updates atime of a FUSE inode; this is what it shows. */
	static const unsigned long atime[] = {
		[FS_NOATIME] = MS_NOATIME,
		[FS_RELATIME] = MS_RELATIME,
		[FS_STRICTATIME] = MS_STRICTATIME,
	};
	unsigned long flags = atime[o->atime] | (o->nodiratime ? MS_NODIRATIME : 0) | (o->live.read_only ? MS_RDONLY : 0) |
			      (o->nodev ? MS_NODEV : 0) | (o->nosuid ? MS_NOSUID : 0) |
			      (o->noexec ? MS_NOEXEC : 0);
	int ret = 0;

	buf_printf(&data,
		   "fd=%d,rootmode=%o,user_id=%u,group_id=%u%s%s,max_read=%u", fd,
		   mode & S_IFMT, getuid(), getgid(), kernel_checks(o),
		   o->allow_other ? ",allow_other" : "", max_read(o));
	buf_put_u8(&data, 0);
	if (mount(o->source, path, MOUNT_TYPE, flags, data.data) < 0)
		ret = -errno;
	buf_release(&data);
	if (ret == 0)
		return 0;
	err_set(err, ret, "cannot mount on '%s': %s", o->mountpoint, strerror(-ret));
	return err_advise(err, "nothing was changed", "%s",
			  ret == -ENODEV ? "modprobe fuse" : "dmesg | tail");
}

/* ---- without root: fusermount3 ---- */

#define SAID_MAX 256 /* bytes of what it says, with the final 0 */

static int receive_fd(int sock)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	char byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.bytes,
			      .msg_controllen = sizeof(control.bytes) };
	ssize_t n;
	int fd = -1;

	do
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	const struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;

	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

/* Reads to the end of fd and closes it. Of what a program said: one line, without its name in front. */
static void hear(int fd, char said[SAID_MAX])
{
	static const char name[] = "fusermount3: ";
	struct buf text = BUF_INIT;
	char piece[256];
	ssize_t n;

	while ((n = read(fd, piece, sizeof(piece))) > 0 || (n < 0 && errno == EINTR))
		if (n > 0 && text.len < SAID_MAX)
			buf_put(&text, piece, (size_t)n);
	close(fd);
	buf_put_u8(&text, 0);
	const char *line = (const char *)text.data;

	if (strncmp(line, name, sizeof(name) - 1) == 0)
		line += sizeof(name) - 1;
	snprintf(said, SAID_MAX, "%.*s", (int)strcspn(line, "\n"), line);
	buf_release(&text);
}

/*
 * Starts fusermount3 with descriptor 3 as its end of the socket; its exit status or -errno. What it says goes
 * into said, or where our own stderr goes if that is NULL.
 */
static int run_helper(char *const argv[], int sock, char said[SAID_MAX])
{
	posix_spawn_file_actions_t actions;
	struct buf env = BUF_INIT;
	char var[] = "_FUSE_COMMFD=3";
	int status = 0, ends[2] = { -1, -1 };
	pid_t pid;

	if (said && pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	for (char **e = environ; *e; e++)
		if (strncmp(*e, "_FUSE_COMMFD=", 13) != 0)
			buf_put(&env, e, sizeof(*e));
	char *own[2] = { sock >= 0 ? var : NULL, NULL };

	buf_put(&env, own, sizeof(own));
	posix_spawn_file_actions_init(&actions);
	if (said) /* before descriptor 3 is taken, which this may be */
		posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
	if (sock >= 0)
		posix_spawn_file_actions_adddup2(&actions, sock, 3);
	int ret = -posix_spawnp(&pid, argv[0], &actions, NULL, argv, (char **)(void *)env.data);

	posix_spawn_file_actions_destroy(&actions);
	buf_release(&env);
	if (said) {
		close(ends[1]);
		hear(ends[0], said);
	}
	if (ret < 0)
		return ret;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static void put_escaped(struct buf *out, const char *text)
{
	for (; *text; text++) {
		if (*text == ',' || *text == '\\')
			buf_put_u8(out, '\\');
		buf_put_u8(out, (uint8_t)*text);
	}
}

static int helper_failed(const struct fs_fuse_options *o, int ret, const char *said, struct err *err)
{
	static const char works[] = "nothing was changed; root can mount";

	if (ret == -ENOENT) {
		err_set(err, ret, "cannot mount on '%s': fusermount3 is not installed, and only root can do without",
			o->mountpoint);
		return err_advise(err, works, "apt-get install fuse3");
	}
	err_set(err, ret, "cannot mount on '%s': fusermount3: %s", o->mountpoint,
		*said ? said : ret == -EPERM ? "refused without a word" : strerror(-ret));
	if (strstr(said, "user_allow_other"))
		return err_advise(err, "mounting without allow_other",
				  "as root: echo user_allow_other >>/etc/fuse.conf");
	if (strstr(said, "/dev/fuse"))
		return err_advise(err, works, "ls -l /dev/fuse $(command -v fusermount3)");
	return err_advise(err, works, "ls -ld '%s'", o->mountpoint);
}

static int mount_by_helper(const struct fs_fuse_options *o, char *path, int *fd, struct err *err)
{
	char program[] = "fusermount3", opt[] = "-o", end[] = "--";
	struct buf text = BUF_INIT;
	char said[SAID_MAX] = "";
	int sock[2];

	buf_printf(&text,
		   "%s,nosuid,nodev%s%s%s%s%s,max_read=%u,subtype=quorumfs,fsname=",
		   o->live.read_only ? "ro" : "rw", o->noexec ? ",noexec" : "",
		   o->atime == FS_NOATIME ? ",noatime" : "", o->nodiratime ? ",nodiratime" : "", kernel_checks(o),
		   o->allow_other ? ",allow_other" : "", max_read(o));
	put_escaped(&text, o->source);
	buf_put_u8(&text, 0);
	int ret = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock) < 0 ? -errno : 0;

	if (ret == 0) {
		char *argv[] = { program, opt, (char *)text.data, end, path, NULL };

		ret = run_helper(argv, sock[0], said);
		close(sock[0]);
		*fd = ret == 0 ? receive_fd(sock[1]) : -1;
		close(sock[1]);
		if (ret > 0 || (ret == 0 && *fd < 0))
			ret = -EPERM;
	}
	buf_release(&text);
	if (ret == 0)
		return 0;
	return helper_failed(o, ret, said, err);
}

/* ---- public ---- */

int mount_attach(const struct fs_fuse_options *options, struct mount_point *mp, int *fd,
		 struct err *err)
{
	char *path = NULL;
	mode_t mode = 0;
	int dev = -1;
	bool by_helper = geteuid() != 0;
	int ret = resolve(options->mountpoint, &path, &mode, err);

	if (ret == 0)
		ret = by_helper ? mount_by_helper(options, path, &dev, err)
				: open_device(&dev, err);
	if (ret == 0 && !by_helper)
		ret = mount_as_root(options, path, mode, dev, err);
	if (ret < 0) {
		if (dev >= 0)
			close(dev);
		free(path);
		return ret;
	}
	*mp = (struct mount_point){ .path = path, .by_helper = by_helper };
	mountinfo_find(path, mp->device, NULL);
	*fd = dev;
	return 0;
}

/* Only calls that are safe in the child of a process with threads. */
static void detach_in_child(const struct mount_point *mp)
{
	/* An inherited /dev/fuse would keep the connection alive that this may wait for. */
	close_range(3, ~0U, 0);
	if (!mp->by_helper && umount2(mp->path, UMOUNT_NOFOLLOW) == 0)
		_exit(0);
	/* Busy: what mappings have made dirty is written back now or never. */
	int fd = open(mp->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0) {
		syncfs(fd);
		close(fd);
	}
	if (mp->by_helper) {
		execl("/usr/bin/fusermount3", "fusermount3", "-u", "-q", "-z", "--", mp->path,
		      NULL);
		execl("/bin/fusermount3", "fusermount3", "-u", "-q", "-z", "--", mp->path, NULL);
	}
	umount2(mp->path, MNT_DETACH | UMOUNT_NOFOLLOW);
	_exit(0);
}

void mount_detach_aside(const struct mount_point *mp)
{
	if (!mount_is_attached(mp))
		return;
	pid_t pid = fork();

	if (pid == 0) {
		if (fork() == 0) /* init reaps it */
			detach_in_child(mp);
		_exit(0);
	}
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

void mount_detach(const struct mount_point *mp)
{
	char program[] = "fusermount3", u[] = "-u", q[] = "-q", z[] = "-z", end[] = "--";

	if (!mount_is_attached(mp))
		return;
	if (mp->by_helper)
		run_helper((char *[]){ program, u, q, z, end, mp->path, NULL }, -1, NULL);
	else
		umount2(mp->path, MNT_DETACH | UMOUNT_NOFOLLOW);
}

void mount_set_readahead(const struct mount_point *mp, uint32_t bytes)
{
	char name[128], kib[16];

	/* INIT alone cannot raise it above 128 KiB; without root it stays there. */
	snprintf(name, sizeof(name), "/sys/class/bdi/%s/read_ahead_kb", mp->device);
	int fd = mp->device[0] ? open(name, O_WRONLY | O_CLOEXEC) : -1;

	if (fd < 0)
		return;
	snprintf(kib, sizeof(kib), "%u", bytes == 0 ? 1024 : bytes / 1024);
	io_write_all(fd, kib, strlen(kib)); /* slower reads if it fails, nothing worse */
	close(fd);
}

void mount_point_release(struct mount_point *mp)
{
	free(mp->path);
	*mp = (struct mount_point){ .path = NULL };
}
