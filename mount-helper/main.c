/*
 * main.c - mount.quorumfs SOURCE DIR [-sfnv] [-N NS] [-t TYPE] [-o OPTIONS], by mount(8)'s contract: it
 * comes back when the mount is usable, with mount(8)'s exit codes.
 */
#include <fcntl.h>
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
	const char *list, *type, *namespace;
};

static const struct opt command_line[] = {
	{ .name = "options", .short_name = 'o', .kind = OPT_STRING,
	  .offset = offsetof(struct command_line, list), .value = "OPTIONS", .help = "mount options, comma-separated" },
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

static void print_help(void)
{
	printf("Usage: %s SOURCE DIR [OPTIONS]\n\nSOURCE: a store's directory (the node runs inside), a node's "
	       "socket, or HOST:PORT,...\n\n", program);
	opt_print_help(command_line, ARRAY_SIZE(command_line), stdout);
	printf("\nMount options (-o):\n");
	for (size_t i = 0; i < mount_options_count; i++) {
		const struct opt *o = &mount_options_table[i];

		printf("  %s%s%-*s %s%s%s%s\n", o->name, o->value ? "=" : "",
		       (int)(28 - strlen(o->name) - (o->value ? 1 : 0)), o->value ? o->value : "", o->help,
		       o->def ? " (default: " : "", o->def ? o->def : "", o->def ? ")" : "");
	}
	printf("\nSee mount.quorumfs(8).\n");
}

static int fail(struct err *err, int code)
{
	err_advise(err, "nothing was mounted", "%s --help", program);
	err_print(err, program);
	return code;
}

/* What is meant for others: removed before the table sees it. */
static void strip_foreign(char *list)
{
	char *out = list;
	char *next;

	for (char *p = list; p; p = next) {
		size_t len = strcspn(p, ",");

		next = p[len] ? p + len + 1 : NULL;
		if (strncmp(p, "x-", 2) == 0 || strncmp(p, "X-", 2) == 0)
			continue;
		if (out != list)
			*out++ = ',';
		memmove(out, p, len);
		out += len;
	}
	*out = '\0';
}

static int parse(int argc, char **argv, struct mount_args *a, struct command_line *cl, struct err *err)
{
	enum log_level level = LOG_INFO;
	int operands = 0;
	int ret = opt_parse_argv(command_line, ARRAY_SIZE(command_line), argc, argv, cl, &operands, err);

	if (ret < 0 || cl->help || cl->version || cl->print_options)
		return ret;
	if (operands != 2)
		return err_set(err, -EINVAL, "expected SOURCE and DIR, got %d operands", operands);
	a->source.text = argv[1];
	a->target = argv[2];
	a->fake = cl->fake;
	a->verbose = cl->verbose;
	a->option_text = mem_strdup(cl->list ? cl->list : "");
	if (cl->list) {
		char *list = mem_strdup(cl->list); /* values borrow from it for the life of the process */

		strip_foreign(list);
		ret = opt_parse_list(mount_options_table, mount_options_count, list, cl->sloppy,
				     &a->options, err);
		if (ret < 0)
			return ret;
	}
	if (a->options.hard && a->options.softerr)
		return err_set(err, -EINVAL, "the options 'hard' and 'softerr' exclude each other");
	if (a->options.log_level && log_level_parse(a->options.log_level, &level) < 0)
		return err_set(err, -EINVAL, "unknown log level '%s'", a->options.log_level);
	log_set_level(level);
	return 0;
}

static int check_target(struct mount_args *a, struct err *err)
{
	struct stat st;

	if (!realpath(a->target, a->target_path) || stat(a->target_path, &st) < 0) {
		int e = errno;

		err_set(err, -e, "cannot mount on '%s': %s", a->target, strerror(e));
		err_advise(err, "nothing was mounted", "mkdir -p %s", a->target);
		return -e;
	}
	if (!S_ISDIR(st.st_mode)) {
		err_set(err, -ENOTDIR, "cannot mount on '%s': it is not a directory", a->target);
		err_advise(err, "nothing was mounted", "choose a directory");
		return -ENOTDIR;
	}
	return 0;
}

static int remount(const struct mount_args *a)
{
	struct err err = ERR_INIT;
	char *argv[] = { (char *)"mount", (char *)"-i", (char *)"-o", a->option_text, (char *)a->target, NULL };

	execvp("mount", argv);
	err_set(&err, -errno, "cannot run mount(8): %s", strerror(errno));
	return fail(&err, MOUNT_SYSTEM);
}

/* The child reported ok; the mount is usable when a process that is not the server gets an answer. */
static int confirm(const struct mount_args *a)
{
	struct err err = ERR_INIT;
	struct statfs st;

	if (statfs(a->target_path, &st) == 0)
		return MOUNT_OK;
	err_set(&err, -errno, "the mount on '%s' does not answer: %s", a->target, strerror(errno));
	err_advise(&err, "it may come back when there is quorum", "quorumfs status");
	return fail(&err, MOUNT_FAILED);
}

static int run(struct mount_args *a)
{
	struct err err = ERR_INIT;
	int fds[2], code;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0) {
		err_set(&err, -errno, "cannot make a pipe: %s", strerror(errno));
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
		if (!a->options.foreground && !a->options.debug) {
			int null = open("/dev/null", O_RDWR | O_CLOEXEC);

			setsid();
			(void)dup2(null, STDIN_FILENO);
			(void)dup2(null, STDOUT_FILENO);
			if (chdir("/") < 0)
				_exit(MOUNT_SYSTEM);
		}
		_exit(mount_serve(a, fds[1]));
	}
	close(fds[1]);
	code = mount_report_read(fds[0], &err);
	if (code != MOUNT_OK)
		return fail(&err, code);
	code = confirm(a);
	if (code == MOUNT_OK && a->verbose)
		printf("%s: mounted %s on %s\n", program, a->source.text, a->target);
	if (a->options.foreground || a->options.debug) {
		int status = 0;

		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		code = WIFEXITED(status) ? WEXITSTATUS(status) : MOUNT_FAILED;
	}
	return code;
}

int main(int argc, char **argv)
{
	struct mount_args a = {
		.options = {
			.timeo_ds = 300,
			.mount_timeout_s = 60,
			.max_threads = 16,
			.snapshot_threshold = NODE_SNAPSHOT_THRESHOLD_DEFAULT,
		},
	};
	struct command_line cl = { .fake = false };
	struct err err = ERR_INIT;
	int code = MOUNT_FAILED;

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
	return a.fake ? MOUNT_OK : run(&a);
}
