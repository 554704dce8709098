/*
 * cmd_cluster.c - several nodes on one machine, each a quorumfsd in the background: to try quorumfs,
 * and for tests. On real machines a service manager runs one quorumfsd each.
 */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "ctl/ctl.h"
#include "node/node.h"

#define NODES_MAX 7

extern char **environ;

static void store_path(char *out, size_t len, const char *base, int n, const char *suffix)
{
	snprintf(out, len, "%s/n%d%s", base, n, suffix);
}

/* The pid in the lock file of a running node; 0: nobody holds the lock, whatever the file says. */
static pid_t node_pid(const char *base, int n)
{
	char path[PATH_MAX], text[32] = "";
	long pid = 0;
	int fd;

	store_path(path, sizeof(path), base, n, "/lock");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK &&
	    pread(fd, text, sizeof(text) - 1, 0) > 0)
		pid = strtol(text, NULL, 10);
	close(fd);
	return pid > 0 ? (pid_t)pid : 0;
}

/* quorumfsd from the directory this program lies in, else from PATH. */
static void daemon_path(char *out, size_t len)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	snprintf(out, len, "quorumfsd");
	if (n <= 0)
		return;
	self[n] = '\0';
	slash = strrchr(self, '/');
	if (!slash)
		return;
	*slash = '\0';
	if ((size_t)snprintf(out, len, "%s/quorumfsd", self) >= len || access(out, X_OK) != 0)
		snprintf(out, len, "quorumfsd");
}

static int spawn_node(const struct ctl_args *args, const char *base, int n, pid_t *pid, struct err *err)
{
	char program[PATH_MAX], dir[PATH_MAX], log[PATH_MAX], threshold[64], interval[64], ttl[64];
	char leases[64] = "--leases=off";
	char *argv[] = { program, threshold, interval, ttl, leases, dir, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	int ret;

	daemon_path(program, sizeof(program));
	store_path(dir, sizeof(dir), base, n, "");
	store_path(log, sizeof(log), base, n, ".log");
	snprintf(threshold, sizeof(threshold), "--snapshot-threshold=%lld",
		 (long long)args->snapshot_threshold);
	snprintf(interval, sizeof(interval), "--snapshot-interval=%llu",
		 (unsigned long long)args->snapshot_interval);
	snprintf(ttl, sizeof(ttl), "--session-ttl=%llu", (unsigned long long)args->session_ttl_ms);
	if (args->lease_ns > 0)
		snprintf(leases, sizeof(leases), "--leases=%llums",
			 (unsigned long long)(args->lease_ns / 1000000));
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	posix_spawn_file_actions_adddup2(&actions, 1, 2);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID);
	ret = posix_spawnp(pid, program, &actions, &attr, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	if (ret != 0)
		return err_set(err, -ret, "cannot start '%s': %s", program, strerror(ret));
	return 0;
}

static bool has_store(const char *base, int n)
{
	char path[PATH_MAX];

	store_path(path, sizeof(path), base, n, "/group-0/superblock");
	return access(path, F_OK) == 0;
}

static int count_stores(const char *base)
{
	int count = 0;

	for (int n = 1; n <= NODES_MAX; n++)
		count += has_store(base, n);
	return count;
}

/*
 * All or none: a store that is missing among others was lost, and its node may have voted; made anew it
 * could vote twice in a term.
 */
static int make_stores(const char *base, int count, char **addresses, struct err *err)
{
	int found = count_stores(base);
	int ret = 0;

	for (int n = 1; n <= count; n++)
		if (found > 0 && (found != count || !has_store(base, n))) {
			err_set(err, -EEXIST, "cannot make %d stores in '%s': %d are there, of another cluster or "
				"with some lost", count, base, found);
			return err_advise(err, "the stores that are there", "quorumfs cluster start %s", base);
		}
	for (int n = 1; ret == 0 && found == 0 && n <= count; n++) {
		char dir[PATH_MAX];
		struct node_init_options o = {
			.dir = dir,
			.node_id = (uint64_t)n,
			.addresses = (const char *const *)addresses,
			.member_count = (size_t)count,
		};

		store_path(dir, sizeof(dir), base, n, "");
		ret = node_init(&o, err);
	}
	return ret;
}

/* Waits until node n answers with a leader. pid: 0, or our child, which may have ended at once. */
static int wait_ready(const struct ctl_args *args, const char *base, int n, pid_t pid,
		      uint64_t deadline_ms, struct err *err)
{
	struct ctl_args one = *args;
	char dir[PATH_MAX];
	uint64_t leader = 0;

	store_path(dir, sizeof(dir), base, n, "");
	one.node = dir;
	one.timeout_ms = 1000;
	while (leader == 0) {
		struct json_object *answer = NULL;

		if (ctl_admin(&one, "{\"verb\":\"status\"}", &answer, err) == 0)
			leader = ctl_u64(answer, "leader");
		json_object_put(answer);
		if (leader == 0 && pid > 0 && waitpid(pid, NULL, WNOHANG) == pid) {
			*err = ERR_INIT;
			err_set(err, -ECHILD, "node %d in '%s' did not start; its log tells why", n, dir);
			return err_advise(err, "the nodes that run", "tail -n 3 %s/n%d.log", base, n);
		}
		if (leader == 0 && clock_boot_ms() > deadline_ms) {
			*err = ERR_INIT;
			err_set(err, -ETIMEDOUT, "node %d in '%s' has no leader yet", n, dir);
			return err_advise(err, "the nodes that run go on trying", "tail %s/n%d.log", base, n);
		}
		if (leader == 0)
			clock_sleep_ms(50);
	}
	return 0;
}

static void print_nodes_json(const char *base)
{
	struct json_object *o = json_object_new_object();
	struct json_object *nodes = json_object_new_array();

	for (int n = 1; n <= NODES_MAX; n++) {
		struct json_object *node;
		char dir[PATH_MAX];

		if (!has_store(base, n))
			continue;
		store_path(dir, sizeof(dir), base, n, "");
		node = json_object_new_object();
		json_object_object_add(node, "id", json_object_new_int(n));
		ctl_put_text(node, "dir", dir, strlen(dir));
		json_object_object_add(node, "pid", json_object_new_int((int)node_pid(base, n)));
		json_object_array_add(nodes, node);
	}
	json_object_object_add(o, "nodes", nodes);
	ctl_print_json(o);
	json_object_put(o);
}

int cmd_cluster_start(const struct ctl_args *args)
{
	const char *base = args->operands[0];
	int count = args->operand_count - 1;
	pid_t pids[NODES_MAX + 1] = { 0 };
	uint64_t deadline_ms = clock_boot_ms() + args->timeout_ms;
	struct err err = ERR_INIT;
	int ret = io_mkdir_p(base, 0700);

	if (ret < 0)
		err_set(&err, ret, "cannot make the directory '%s': %s", base, strerror(-ret));
	if (ret == 0 && count > 0)
		ret = make_stores(base, count, args->operands + 1, &err);
	if (ret == 0 && count == 0)
		count = count_stores(base);
	if (ret == 0 && count == 0) {
		ret = err_set(&err, -EINVAL, "there are no stores in '%s' and no addresses were given", base);
		err_advise(&err, "nothing was changed",
			   "quorumfs cluster start %s 127.0.0.1:7901 127.0.0.1:7902 127.0.0.1:7903", base);
	}
	for (int n = 1; ret == 0 && n <= NODES_MAX; n++)
		if (has_store(base, n) && node_pid(base, n) == 0)
			ret = spawn_node(args, base, n, &pids[n], &err);
	for (int n = 1; ret == 0 && n <= NODES_MAX; n++)
		if (has_store(base, n))
			ret = wait_ready(args, base, n, pids[n], deadline_ms, &err);
	if (ret < 0)
		return ctl_fail(&err);
	if (args->json) {
		print_nodes_json(base);
		return CTL_OK;
	}
	for (int n = 1; n <= NODES_MAX; n++)
		if (has_store(base, n))
			printf("node %d: %s/n%d, pid %d\n", n, base, n, (int)node_pid(base, n));
	printf("survives: %d failures\nnext: mount -t quorumfs %s/n1/node.sock DIR\n", (count - 1) / 2, base);
	return CTL_OK;
}

int cmd_cluster_stop(const struct ctl_args *args)
{
	const char *base = args->operands[0];
	uint64_t deadline_ms = clock_boot_ms() + args->timeout_ms;
	struct err err = ERR_INIT;
	int stopped = 0;

	for (int n = 1; n <= NODES_MAX; n++) {
		pid_t pid = node_pid(base, n);

		if (pid == 0)
			continue;
		kill(pid, SIGTERM);
		while (node_pid(base, n) == pid && clock_boot_ms() < deadline_ms)
			clock_sleep_ms(20);
		if (node_pid(base, n) == pid) {
			err_set(&err, -EBUSY, "node %d (pid %d) does not stop", n, (int)pid);
			err_advise(&err, "the other nodes were stopped", "kill -KILL %d", (int)pid);
			return ctl_fail(&err);
		}
		stopped++;
	}
	if (args->json) {
		struct json_object *o = json_object_new_object();

		json_object_object_add(o, "stopped", json_object_new_int(stopped));
		ctl_print_json(o);
		json_object_put(o);
	} else {
		printf("stopped %d nodes\n", stopped);
	}
	return CTL_OK;
}
