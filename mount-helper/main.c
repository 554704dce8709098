/*
 * main.c - mount.quorumfs SOURCE DIR [-sfnv] [-N NS] [-t TYPE] [-o OPTIONS], by mount(8)'s contract: it
 * comes back when the mount is usable, with mount(8)'s exit codes.
 */
#include <fcntl.h>
#include <mntent.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/version.h"
#include "mount-helper/mount.h"

static const char program[] = "mount.quorumfs";

struct command_line {
	bool fake, sloppy, verbose, no_mtab, help, version, print_options;
	const char *type, *namespace;
};

static const struct opt command_line[] = {
	{ .name = "options", .short_name = 'o', .kind = OPT_IGNORE, /* mount_options_take() takes them */
	  .value = "OPTIONS", .help = "mount options, comma-separated; several are joined" },
	{ .name = "fake", .short_name = 'f', .kind = OPT_FLAG, .offset = offsetof(struct command_line, fake),
	  .help = "check everything, mount nothing" },
	{ .name = "sloppy", .short_name = 's', .kind = OPT_FLAG, .offset = offsetof(struct command_line, sloppy),
	  .help = "accept unknown mount options" },
	{ .name = "no-mtab", .short_name = 'n', .kind = OPT_FLAG, .offset = offsetof(struct command_line, no_mtab),
	  .help = "accepted" },
	{ .name = "verbose", .short_name = 'v', .kind = OPT_FLAG, .offset = offsetof(struct command_line, verbose),
	  .help = "say what is done" },
	{ .name = "types", .short_name = 't', .kind = OPT_STRING, .offset = offsetof(struct command_line, type),
	  .value = "TYPE", .help = "accepted" },
	{ .name = "namespace", .short_name = 'N', .kind = OPT_STRING,
	  .offset = offsetof(struct command_line, namespace), .value = "NS", .help = "accepted; mount(8) has switched already" },
	{ .name = "help", .short_name = 'h', .kind = OPT_FLAG, .offset = offsetof(struct command_line, help),
	  .help = "print this text" },
	{ .name = "version", .short_name = 'V', .kind = OPT_FLAG, .offset = offsetof(struct command_line, version),
	  .help = "print the version" },
	{ .name = "print-options", .kind = OPT_FLAG, .offset = offsetof(struct command_line, print_options),
	  .help = "print the option tables, tab-separated" },
};

static void print_option(const struct opt *o)
{
	char left[64];

	snprintf(left, sizeof(left), "  %s%s%s", o->name, o->value ? "=" : "", o->value ? o->value : "");
	opt_print_entry(stdout, left, 29, o->help, o->def);
}

static void print_names(const char *title, enum opt_kind kind)
{
	size_t column = 1;

	printf("\n%s:\n ", title);
	for (size_t i = 0; i < mount_options_count; i++) {
		const char *name = mount_options_table[i].name;

		if (mount_options_table[i].kind != kind)
			continue;
		column += strlen(name) + 1;
		if (column > 78) {
			printf("\n ");
			column = strlen(name) + 2;
		}
		printf(" %s", name);
	}
	printf("\n");
}

static void print_help(void)
{
	printf("Usage: %s SOURCE DIR [OPTIONS]\n\nSOURCE: a store's directory (the node runs inside), a "
	       "node's socket,\nor HOST:PORT,...\n\n", program);
	opt_print_help(command_line, ARRAY_SIZE(command_line), stdout);
	printf("\nMount options (-o):\n");
	for (size_t i = 0; i < mount_options_count; i++)
		if (mount_options_table[i].kind != OPT_IGNORE && mount_options_table[i].kind != OPT_REFUSE)
			print_option(&mount_options_table[i]);
	print_names("Opposites and defaults of others, accepted without effect, or for mount(8)", OPT_IGNORE);
	print_names("Known from elsewhere and refused, with the reason", OPT_REFUSE);
	printf("\nSee mount.quorumfs(8).\n");
}
static int fail(struct err *err, int code)
{
	err_advise(err, "nothing was mounted", "%s --help", program);
	err_print(err, program);
	return code;
}

static int parse(int argc, char **argv, struct mount_args *a, struct command_line *cl, struct err *err)
{
	enum log_level level = LOG_INFO;
	int operands = 0;
	int ret = -EINVAL;

	a->option_list = mount_options_take(&argc, argv, err);
	if (a->option_list)
		ret = opt_parse_argv(command_line, ARRAY_SIZE(command_line), argc, argv, cl, &operands, err);
	if (ret < 0 || cl->help || cl->version || cl->print_options)
		return ret;
	if (operands != 2)
		return err_set(err, -EINVAL, "expected SOURCE and DIR, got %d operands", operands);
	a->source.text = argv[1];
	a->target = argv[2];
	a->fake = cl->fake;
	a->verbose = cl->verbose;
	a->remount_list = mem_strdup(a->option_list); /* parsing takes the list apart */
	ret = mount_options_parse(a->option_list, cl->sloppy, &a->options, err);
	if (ret < 0)
		return ret;
	if (a->options.log_level && log_level_parse(a->options.log_level, &level) < 0)
		return err_set(err, -EINVAL, "unknown log level '%s': not none, error, warning, info or debug",
			       a->options.log_level);
	log_set_level(level);
	return 0;
}

/* The flags of the topmost mount at path when it is a quorumfs; false when it is none. */
static bool find_mounted(const char *path, unsigned long *flags)
{
	FILE *f = setmntent("/proc/self/mounts", "re");
	struct mntent *m;
	bool ours = false;

	while (f && (m = getmntent(f)) != NULL) {
		if (strcmp(m->mnt_dir, path) != 0)
			continue;
		ours = strcmp(m->mnt_type, "fuse.quorumfs") == 0; /* a later line lies on top */
		*flags = (hasmntopt(m, "noatime") ? MS_NOATIME :
			  hasmntopt(m, "relatime") ? MS_RELATIME : MS_STRICTATIME) |
			 (hasmntopt(m, "nodiratime") ? MS_NODIRATIME : 0) | (hasmntopt(m, "ro") ? MS_RDONLY : 0) |
			 (hasmntopt(m, "nodev") ? MS_NODEV : 0) | (hasmntopt(m, "nosuid") ? MS_NOSUID : 0) |
			 (hasmntopt(m, "noexec") ? MS_NOEXEC : 0);
	}
	if (f)
		endmntent(f);
	return ours;
}

static int bad_target(const struct mount_args *a, int code, const char *next, struct err *err)
{
	err_set(err, code, "cannot mount on '%s': %s", a->target,
		code == -ENOTDIR ? "it is not a directory" :
		code == -EBUSY	 ? "a quorumfs is already mounted there" : strerror(-code));
	return err_advise(err, code == -EBUSY ? "the mount that is there" : "nothing was mounted", "%s %s", next,
			  a->target);
}

/* Resolves the directory. What is mounted is looked up, not asked: it may be without quorum. */
static int check_target(struct mount_args *a, struct err *err)
{
	unsigned long flags;
	struct stat st;

	if (!realpath(a->target, a->target_path))
		return bad_target(a, -errno, errno == ENOENT ? "mkdir -p" : "ls -ld", err);
	if (a->options.remount)
		return 0;
	if (find_mounted(a->target_path, &flags))
		return bad_target(a, -EBUSY, "umount", err);
	if (stat(a->target_path, &st) < 0)
		return bad_target(a, -errno, errno == ENOTCONN ? "umount" : "ls -ld", err);
	return S_ISDIR(st.st_mode) ? 0 : bad_target(a, -ENOTDIR, "ls -ld", err);
}

static int cannot_remount(const struct mount_args *a, const struct err *why)
{
	struct err err = ERR_INIT;
	int code = why->code == -EPERM || why->code == -EINVAL ? MOUNT_USAGE : MOUNT_FAILED;

	err_set(&err, why->code, "cannot remount '%s': %s", a->target, why->text);
	if (why->code == -EPERM)
		err_advise(&err, "the mount goes on as it was", "as root: mount -o remount,... %s", a->target);
	else if (why->code == -EBUSY)
		err_advise(&err, "the mount goes on as it was", "fuser -vm %s", a->target);
	else
		err_advise(&err, "the mount goes on as it was", "umount %s, and mount it with other options", a->target);
	return fail(&err, code);
}

/* The process that serves the mount looks at the options, and takes over what is its part. */
static int change_served(const struct mount_args *a, struct err *err)
{
	struct fs_fuse_change *change = mem_calloc(1, sizeof(*change));
	int fd = open(a->target_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int ret = 0;

	if ((size_t)snprintf(change->list, sizeof(change->list), "%s", a->remount_list) >= sizeof(change->list))
		ret = err_set(err, -EINVAL, "more options than fit in %zu bytes", sizeof(change->list) - 1);
	else if (fd < 0 || ioctl(fd, FS_FUSE_CHANGE, change) < 0)
		ret = err_set(err, -errno, "the process that serves it does not answer: %s", strerror(errno));
	else if (change->err.code < 0)
		ret = err_set(err, change->err.code, "%s", change->err.text);
	if (fd >= 0)
		close(fd);
	free(change);
	return ret;
}

/*
 * What is not named stays, though the kernel takes the flags as a whole. mount(8) names all that is shown of the mount
 * and leaves out what was asked to be the default again: in such a list, a flag that is not there is to go.
 */
static unsigned long flags_after(const struct mount_args *a, unsigned long was)
{
	unsigned long cleared = a->options.flags_cleared;

	if (strstr(a->remount_list, "user_id="))
		cleared |= MS_RDONLY | MS_NODEV | MS_NOSUID | MS_NOEXEC;
	return (was & ~cleared) | a->options.flags_set;
}

static int remount(const struct mount_args *a)
{
	unsigned long was = 0, flags;
	struct err err = ERR_INIT;

	if (!find_mounted(a->target_path, &was)) {
		err_set(&err, -EINVAL, "cannot remount '%s': no quorumfs is mounted there", a->target);
		err_advise(&err, "nothing was changed", "mount -t quorumfs %s %s", a->source.text, a->target);
		return fail(&err, MOUNT_FAILED);
	}
	flags = flags_after(a, was);
	if (a->fake)
		return MOUNT_OK;
	if (flags != was && geteuid() != 0) {
		err_set(&err, -EPERM, "only root changes ro, nodev, nosuid and noexec");
		return cannot_remount(a, &err);
	}
	if (change_served(a, &err) < 0)
		return cannot_remount(a, &err);
	if (flags == was || mount("none", a->target_path, NULL, MS_REMOUNT | flags, NULL) == 0)
		return MOUNT_OK;
	err_set(&err, -errno, "%s", strerror(errno));
	return cannot_remount(a, &err);
}

/* The child reported ok; the mount is usable when a process that is not the server gets an answer. */
static int confirm(const struct mount_args *a, int fd)
{
	struct err err = ERR_INIT;
	struct statfs st;

	/* With delay_connect there may be nobody yet to answer. */
	if (a->options.delay_connect || statfs(a->target_path, &st) == 0) {
		mount_report_confirm(fd);
		return MOUNT_OK;
	}
	/* Unconfirmed, the child unmounts again. */
	err_set(&err, -errno, "the mount on '%s' does not answer: %s", a->target, strerror(errno));
	err_advise(&err, "nothing is lost, nothing stays mounted", "quorumfs status --node %s", a->source.text);
	return fail(&err, MOUNT_FAILED);
}

static int open_log(struct mount_args *a, struct err *err)
{
	const char *path = a->options.log_file;
	bool stays = a->options.foreground || a->options.debug;

	a->log_fd = -1;
	if (!path && stays)
		return 0;
	if (!path)
		path = "/dev/null";
	/* Here, where a relative path still means what it meant to the caller. */
	a->log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (a->log_fd >= 0)
		return 0;
	err_set(err, -errno, "cannot open the log file '%s': %s", path, strerror(errno));
	return err_advise(err, "nothing was mounted", "mount with another -o log-file=");
}

/*
 * What the caller has open is not for the process that stays: it would keep other file systems busy, and pipes
 * from ending, for as long as the mount is there.
 */
static void close_inherited(int keep, int keep_too)
{
	unsigned low = (unsigned)(keep < keep_too ? keep : keep_too);
	unsigned high = (unsigned)(keep < keep_too ? keep_too : keep);

	assert(keep >= 0 && keep_too >= 0);
	if (high < STDERR_FILENO)
		high = STDERR_FILENO;
	if (low < STDERR_FILENO)
		low = STDERR_FILENO;
	if (low > STDERR_FILENO + 1)
		(void)close_range(STDERR_FILENO + 1, low - 1, 0);
	if (high > low + 1)
		(void)close_range(low + 1, high - 1, 0);
	(void)close_range(high + 1, ~0U, 0);
}

static int child_main(const struct mount_args *a, int report_fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	setsid();
	(void)dup2(null, STDIN_FILENO);
	(void)dup2(null, STDOUT_FILENO);
	close_inherited(report_fd, a->log_fd); /* in the background there is always a log_fd */
	if (chdir("/") < 0)
		return MOUNT_SYSTEM;
	return mount_serve(a, report_fd);
}

static int run(const struct mount_args *a)
{
	struct err err = ERR_INIT;
	int fds[2], code;
	pid_t pid;

	if (a->options.foreground || a->options.debug)
		return mount_serve(a, -1);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0) {
		err_set(&err, -errno, "cannot make a pair of sockets: %s", strerror(errno));
		return fail(&err, MOUNT_SYSTEM);
	}
	/* Before any thread exists: threads do not survive a fork. */
	pid = fork();
	if (pid < 0) {
		err_set(&err, -errno, "cannot fork: %s", strerror(errno));
		return fail(&err, MOUNT_SYSTEM);
	}
	if (pid == 0) {
		close(fds[0]);
		_exit(child_main(a, fds[1]));
	}
	close(fds[1]);
	code = mount_report_read(fds[0], &err);
	if (code == MOUNT_LATER) {
		fprintf(stderr, "%s: %s: nobody answers at '%s' yet; trying on in the background for %llu minutes\n",
			program, a->target, a->source.text, (unsigned long long)a->options.retry_min);
		return MOUNT_OK;
	}
	if (code != MOUNT_OK) {
		/* Not before the store is closed, as whoever reads the error may try again at once. */
		(void)waitpid(pid, NULL, 0);
		return fail(&err, code);
	}
	code = confirm(a, fds[0]);
	if (code == MOUNT_OK && a->verbose)
		printf("%s: mounted %s on %s\n", program, a->source.text, a->target);
	return code;
}

int main(int argc, char **argv)
{
	static struct mount_args a; /* with all it owns, to the end of the process */
	struct command_line cl = { .fake = false };
	struct err err = ERR_INIT;
	int code = MOUNT_FAILED;

	a.options = mount_options_default();
	a.log_fd = -1;
	if (parse(argc, argv, &a, &cl, &err) < 0)
		return fail(&err, MOUNT_USAGE);
	if (cl.help) {
		print_help();
		return MOUNT_OK;
	}
	if (cl.version) {
		printf("%s %s\n", program, QUORUMFS_VERSION);
		return MOUNT_OK;
	}
	if (cl.print_options) {
		opt_print_table(command_line, ARRAY_SIZE(command_line), stdout);
		printf("mount options\n");
		opt_print_table(mount_options_table, mount_options_count, stdout);
		return MOUNT_OK;
	}
	if (check_target(&a, &err) < 0)
		return fail(&err, MOUNT_FAILED);
	if (a.options.remount)
		return remount(&a);
	if (mount_source_resolve(&a, &code, &err) < 0)
		return fail(&err, code);
	if (a.fake)
		return MOUNT_OK;
	if (open_log(&a, &err) < 0)
		return fail(&err, MOUNT_FAILED);
	return run(&a);
}
