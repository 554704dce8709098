/*
 * locker - a process that a script makes lock files: one command per line on stdin, one answer per line on
 * stdout. An answer is "ok", the name of the errno, or what was asked for. S is a slot, 0 to 9, for a descriptor.
 *
 *   open S PATH | close S | dup S S2
 *   set S r|w|u START LEN | wait S r|w START LEN      fcntl(F_SETLK), fcntl(F_SETLKW)
 *   oset ... | owait ...                              the same for the open file description (F_OFD_...)
 *   get S r|w START LEN                               "free", or "r|w START LEN PID"
 *   flock S sh|ex|un | tryflock S sh|ex|un
 *   write S OFFSET TEXT | read S OFFSET LEN | cut S SIZE | sync S
 *   mode S OCTAL | mtime S SECONDS | look S           fchmod(2), futimens(2); "SIZE MODE MTIME" of fstat(2)
 *   alarm MS                                          a signal then ends what is waiting
 *   fork S                                            a child sets and keeps nothing: "ok" when it has exited
 *   pid
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLOTS 10

static int fds[SLOTS];

static void answer(int ret)
{
	if (ret < 0)
		printf("%s\n", strerrorname_np(errno));
	else
		printf("ok\n");
}

static struct flock range_of(const char *type, long start, long len)
{
	return (struct flock){ .l_type = *type == 'r'   ? F_RDLCK
					 : *type == 'w' ? F_WRLCK
							: F_UNLCK,
			       .l_whence = SEEK_SET,
			       .l_start = start,
			       .l_len = len };
}

static void get(int fd, struct flock fl)
{
	if (fcntl(fd, F_GETLK, &fl) < 0)
		answer(-1);
	else if (fl.l_type == F_UNLCK)
		printf("free\n");
	else
		printf("%c %ld %ld %d\n", fl.l_type == F_RDLCK ? 'r' : 'w', (long)fl.l_start,
		       (long)fl.l_len, fl.l_pid);
}

static bool lock_command(const char *name, int slot, const char *type, long start, long len)
{
	static const struct {
		const char *name;
		int cmd;
	} commands[] = {
		{ "set", F_SETLK },
		{ "wait", F_SETLKW },
		{ "oset", F_OFD_SETLK },
		{ "owait", F_OFD_SETLKW },
	};
	struct flock fl = range_of(type, start, len);

	if (strcmp(name, "get") == 0) {
		get(fds[slot], fl);
		return true;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(name, commands[i].name) != 0)
			continue;
		answer(fcntl(fds[slot], commands[i].cmd, &fl));
		return true;
	}
	return false;
}

static int flock_of(const char *type)
{
	return strcmp(type, "sh") == 0 ? LOCK_SH : strcmp(type, "ex") == 0 ? LOCK_EX : LOCK_UN;
}

static void on_alarm(int sig)
{
	(void)sig;
}

static void set_alarm(long ms)
{
	struct itimerval it = { .it_value = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 } };

	answer(setitimer(ITIMER_REAL, &it, NULL));
}

static void read_back(int fd, long offset, long len)
{
	char text[128] = "";

	if (pread(fd, text, (size_t)len < sizeof(text) ? (size_t)len : sizeof(text) - 1, offset) <
	    0)
		answer(-1);
	else
		printf("%s\n", text);
}

static void set_mtime(int fd, long seconds)
{
	answer(futimens(fd, (struct timespec[]){ { .tv_nsec = UTIME_OMIT }, { .tv_sec = seconds } }));
}

static void look(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		answer(-1);
	else
		printf("%lld %o %lld\n", (long long)st.st_size, st.st_mode & 07777, (long long)st.st_mtime);
}

/* A child's exit closes what it inherited, but the locks are its parent's. */
static void fork_and_exit(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	answer(pid < 0 ? -1 : waitpid(pid, NULL, 0));
}

static void run(char *line)
{
	char name[16] = "", text[4096] = "";
	long a = 0, b = 0;
	int slot = 0;

	if (sscanf(line, "%15s %d %4095s %ld %ld", name, &slot, text, &a, &b) < 1 || slot < 0)
		return;
	if (strcmp(name, "alarm") == 0) {
		set_alarm(slot);
		return;
	}
	slot %= SLOTS;
	if (lock_command(name, slot, text, a, b))
		return;
	if (strcmp(name, "open") == 0) {
		fds[slot] = open(text, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
		answer(fds[slot]);
	} else if (strcmp(name, "close") == 0) {
		answer(close(fds[slot]));
	} else if (strcmp(name, "dup") == 0) {
		fds[atoi(text) % SLOTS] = fcntl(fds[slot], F_DUPFD_CLOEXEC, 3);
		answer(fds[atoi(text) % SLOTS]);
	} else if (strcmp(name, "flock") == 0) {
		answer(flock(fds[slot], flock_of(text)));
	} else if (strcmp(name, "tryflock") == 0) {
		answer(flock(fds[slot], flock_of(text) | LOCK_NB));
	} else if (strcmp(name, "cut") == 0) {
		answer(ftruncate(fds[slot], atol(text)));
	} else if (strcmp(name, "sync") == 0) {
		answer(fsync(fds[slot]));
	} else if (strcmp(name, "mode") == 0) {
		answer(fchmod(fds[slot], (mode_t)strtol(text, NULL, 8)));
	} else if (strcmp(name, "mtime") == 0) {
		set_mtime(fds[slot], atol(text));
	} else if (strcmp(name, "look") == 0) {
		look(fds[slot]);
	} else if (strcmp(name, "read") == 0) {
		read_back(fds[slot], atol(text), a);
	} else if (sscanf(line, "write %d %ld %4095s", &slot, &a, text) == 3) {
		answer((int)pwrite(fds[slot % SLOTS], text, strlen(text), a));
	} else if (strcmp(name, "fork") == 0) {
		fork_and_exit();
	} else if (strcmp(name, "pid") == 0) {
		printf("%d\n", getpid());
	} else {
		printf("unknown command\n");
	}
}

int main(void)
{
	struct sigaction sa = { .sa_handler = on_alarm }; /* no SA_RESTART */
	char line[4200];

	sigaction(SIGALRM, &sa, NULL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof(line), stdin))
		run(line);
	return 0;
}
