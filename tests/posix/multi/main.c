/*
 * main.c - runs cases on three directories (multi.h).
 *
 *   multi DIRECTORY DIRECTORY DIRECTORY [CASE...]    all cases, or those named
 *   multi --list                                     their names
 *
 * The directories are three mounts of one file system, in any order and also with repetitions. Prints a line
 * for each case that failed or was skipped, then counts; exit status 1 when one failed.
 */
#include <grp.h>
#include <limits.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/posix/multi/multi.h"

#define SKIPPED 77
#define CASE_SECONDS 120u
#define PATHS 16

static const char *roots[MOUNTS];
static char case_dir[64];

/* ---- checks ---- */

int64_t check_ok(const char *file, int line, const char *what, int64_t got)
{
	if (got >= 0)
		return got;
	printf("  %s:%d: %s: %s\n", file, line, what, strerrorname_np(errno));
	fflush(stdout);
	_exit(1);
}

void check_fails(const char *file, int line, const char *what, int want, int64_t got)
{
	int err = errno;

	if (got == -1 && err == want)
		return;
	printf("  %s:%d: %s: %s, not %s\n", file, line, what,
	       got == -1 ? strerrorname_np(err) : "no error", strerrorname_np(want));
	fflush(stdout);
	_exit(1);
}

void check_is(const char *file, int line, const char *what, int64_t want, int64_t got)
{
	if (got == want)
		return;
	printf("  %s:%d: %s is %lld (0%llo), not %lld (0%llo)\n", file, line, what, (long long)got,
	       (unsigned long long)got, (long long)want, (unsigned long long)want);
	fflush(stdout);
	_exit(1);
}

void case_skip(const char *why)
{
	printf("  skipped: %s\n", why);
	fflush(stdout);
	_exit(SKIPPED);
}

/* ---- the world of a case ---- */

const char *P(int mount, const char *name)
{
	static char paths[PATHS][PATH_MAX];
	static unsigned next;
	char *path = paths[next++ % PATHS];

	snprintf(path, PATH_MAX, "%s/%s%s%s", roots[mount], case_dir, *name ? "/" : "", name);
	return path;
}

bool on_fuse(void)
{
	struct statfs st;

	OK(statfs(roots[0], &st));
	return st.f_type == FUSE_SUPER_MAGIC;
}

bool in_short(void)
{
	const char *value = getenv("SHORT");

	return value && strcmp(value, "1") == 0;
}

bool one_mount(void)
{
	return strcmp(roots[0], roots[1]) == 0 && strcmp(roots[0], roots[2]) == 0;
}

void become(uid_t uid, gid_t gid, gid_t second)
{
	gid_t groups[2] = { gid, second };

	become_root();
	OK(setgroups(second ? 2 : 1, groups));
	OK(setegid(gid));
	OK(seteuid(uid));
}

void become_root(void)
{
	OK(seteuid(0));
	OK(setegid(0));
	OK(setgroups(0, NULL));
}

/* ---- short forms ---- */

struct stat look(int mount, const char *name)
{
	struct stat st;

	OK(lstat(P(mount, name), &st));
	return st;
}

mode_t mode_of(int mount, const char *name)
{
	return look(mount, name).st_mode & 07777;
}

int make_file(int mount, const char *name, const char *text, mode_t mode)
{
	int fd = (int)OK(open(P(mount, name), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));

	IS(strlen(text), write(fd, text, strlen(text)));
	OK(fchmod(fd, mode));
	return fd;
}

void text_is(int mount, const char *name, const char *want)
{
	int fd = (int)OK(open(P(mount, name), O_RDONLY | O_CLOEXEC));
	char got[4096];
	ssize_t len = OK(read(fd, got, sizeof(got) - 1));

	got[len] = '\0';
	if (strcmp(got, want) != 0) {
		printf("  %s has '%s', not '%s'\n", P(mount, name), got, want);
		fflush(stdout);
		_exit(1);
	}
	OK(close(fd));
}

int64_t ns_of(struct timespec ts)
{
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

void tick(void)
{
	/* Ordinary file systems stamp by the clock of the last timer interrupt: 10 ms at most. */
	nanosleep(&(struct timespec){ .tv_nsec = 12000000 }, NULL);
}

int race(int (*const run[])(void), size_t count, uint32_t *failed)
{
	int gate[2], status, won = 0;
	pid_t pids[8];

	assert(count <= ARRAY_SIZE(pids));
	*failed = 0;
	OK(pipe(gate));
	for (size_t i = 0; i < count; i++) {
		char byte;

		fflush(stdout);
		pids[i] = (pid_t)OK(fork());
		if (pids[i] != 0)
			continue;
		close(gate[1]);
		(void)!read(gate[0], &byte, 1); /* until the parent closes it */
		_exit(run[i]());
	}
	close(gate[0]);
	close(gate[1]);
	for (size_t i = 0; i < count; i++) {
		OK(waitpid(pids[i], &status, 0));
		TRUE(WIFEXITED(status));
		won += WEXITSTATUS(status) == 0;
		if (WEXITSTATUS(status) != 0)
			*failed |= 1u << i;
	}
	return won;
}

/* ---- running ---- */

static int run_case(const struct multi_case *c)
{
	int status;

	fflush(stdout);
	pid_t pid = fork();

	if (pid == 0) {
		alarm(CASE_SECONDS);
		umask(022);
		OK(mkdir(P(0, ""), 0755));
		OK(chown(P(0, ""), 0, 0));
		c->run();
		exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return 1;
	if (WIFSIGNALED(status))
		printf("  ended by signal %d\n", WTERMSIG(status));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static bool is_wanted(const char *name, int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return true;
	return argc == 0;
}

int main(int argc, char **argv)
{
	static const struct multi_case *const groups[] = { name_cases, right_cases, time_cases,
							   data_cases, space_cases, xattr_cases };
	bool list = argc == 2 && strcmp(argv[1], "--list") == 0;
	unsigned passed = 0, failed = 0, skipped = 0;
	time_t started = time(NULL);

	if (!list && argc < 1 + MOUNTS)
		return 2;
	for (int i = 0; i < MOUNTS && !list; i++) {
		roots[i] = argv[1 + i];
		if (access(roots[i], W_OK) < 0) {
			perror(roots[i]);
			return 2;
		}
	}
	for (size_t g = 0; g < ARRAY_SIZE(groups); g++) {
		for (const struct multi_case *c = groups[g]; c->name; c++) {
			if (list) {
				puts(c->name);
				continue;
			}
			if (!is_wanted(c->name, argc - 1 - MOUNTS, argv + 1 + MOUNTS))
				continue;
			snprintf(case_dir, sizeof(case_dir), "%s.%d", c->name, getpid());
			int ret = run_case(c);

			if (ret != 0)
				printf("%s %s\n", ret == SKIPPED ? "SKIP" : "FAIL", c->name);
			*(ret == 0 ? &passed : ret == SKIPPED ? &skipped : &failed) += 1;
		}
	}
	if (!list)
		printf("%u passed, %u failed, %u skipped in %ld s\n", passed, failed, skipped,
		       (long)(time(NULL) - started));
	return failed > 0;
}
