/*
 * options.c - every mount option, with its default (mount.quorumfs(8) is compared with this table), and
 * what mount(8) makes of -o lists: several of them, options for others, pairs of which the last counts.
 */
#include <sys/mount.h>

#include "base/buf.h"
#include "mount-helper/mount.h"

#define NOBODY 65534u /* user and group of who is nobody here: nfs(5), exports(5) */
#define AT(field) offsetof(struct mount_options, field)
#define IGNORED(NAME, HELP)                                                                       \
	{ .name = NAME, .kind = OPT_IGNORE, .help = HELP }

#define REFUSED(NAME, WHY)                                                                        \
	{ .name = NAME, .kind = OPT_REFUSE, .help = WHY }

const struct opt mount_options_table[] = {
	{ .name = "ro", .kind = OPT_FLAG, .offset = AT(ro), .def = "rw", .help = "read only: changes fail with EROFS" },
	IGNORED("rw", "read and write"),
	{ .name = "nodev", .kind = OPT_FLAG, .offset = AT(nodev), .def = "dev for root",
	  .help = "device files are not devices" },
	{ .name = "nosuid", .kind = OPT_FLAG, .offset = AT(nosuid), .def = "suid for root",
	  .help = "suid and sgid bits have no effect" },
	{ .name = "noexec", .kind = OPT_FLAG, .offset = AT(noexec), .def = "exec", .help = "programs cannot be run" },
	IGNORED("dev", "the opposite of nodev"),
	IGNORED("suid", "the opposite of nosuid"),
	IGNORED("exec", "the opposite of noexec"),
	IGNORED("acl", "POSIX ACLs, with inheritance from directories: always so unless noacl is given"),
	{ .name = "noacl", .kind = OPT_FLAG, .offset = AT(no_acl), .def = "acl",
	  .help = "no POSIX ACLs: setting one fails with EOPNOTSUPP, those that are there have no effect" },
	IGNORED("user_xattr", "user.* attributes: always so unless nouser_xattr is given"),
	{ .name = "nouser_xattr", .kind = OPT_FLAG, .offset = AT(no_user_xattr), .def = "user_xattr",
	  .help = "no user.* attributes: they fail with EOPNOTSUPP and are not listed" },
	IGNORED("noatime", "access times do not move: the default, as each would be a replicated write"),
	{ .name = "relatime", .kind = OPT_FLAG, .offset = AT(atime_said), .def = "noatime",
	  .help = "a read moves the access time where that tells something; written within ten seconds" },
	{ .name = "strictatime", .kind = OPT_FLAG, .offset = AT(atime_said), .def = "noatime",
	  .help = "every read moves the access time; written within ten seconds" },
	IGNORED("atime", "as relatime"),
	{ .name = "nodiratime", .kind = OPT_FLAG, .offset = AT(nodiratime), .def = "diratime",
	  .help = "with relatime or strictatime: but not of directories" },
	IGNORED("diratime", "the opposite of nodiratime"),
	IGNORED("lazytime", "accepted: access times are always written late"),
	IGNORED("nolazytime", "accepted; see lazytime"),
	IGNORED("delegations", "write(2) may return before it is durable; fsync(2) and close(2) wait for it"),
	{ .name = "nodelegations", .kind = OPT_FLAG, .offset = AT(no_delegations), .def = "delegations",
	  .help = "every write(2) is durable on a majority when it returns" },
	{ .name = "sync", .kind = OPT_FLAG, .offset = AT(no_delegations), .def = "async", .help = "as nodelegations" },
	IGNORED("async", "the opposite of sync"),
	IGNORED("dirsync", "accepted: whatever changes names is durable on a majority when it returns"),
	{ .name = "wsync", .kind = OPT_FLAG, .offset = AT(no_delegations), .def = "async", .help = "as sync" },
	{ .name = "remount", .kind = OPT_FLAG, .offset = AT(remount), .help = "change a mount that is there: ro, nodev, nosuid, noexec, log-level, time-outs" },
	{ .name = "allow_other", .kind = OPT_FLAG, .offset = AT(allow_other), .def = "on for root",
	  .help = "other users than the one who mounts may enter" },
	{ .name = "noallow_other", .kind = OPT_FLAG, .offset = AT(no_allow_other),
	  .help = "only the user who mounts may enter" },
	{ .name = "allow_root", .kind = OPT_FLAG, .offset = AT(allow_root),
	  .help = "only root and the user who mounts may enter" },
	IGNORED("default_permissions", "accepted: the kernel always checks permissions, but with all_squash"),
	{ .name = "root_squash", .kind = OPT_FLAG, .offset = AT(root_squash), .def = "no_root_squash",
	  .help = "root acts here as user and group 65534" },
	IGNORED("no_root_squash", "the opposite of root_squash"),
	{ .name = "all_squash", .kind = OPT_FLAG, .offset = AT(all_squash), .def = "no_all_squash",
	  .help = "everybody acts here as user and group 65534; goes with noacl" },
	IGNORED("no_all_squash", "the opposite of all_squash"),
	{ .name = "root-squash", .kind = OPT_STRING, .offset = AT(root_squash_as), .value = "UID:GID",
	  .help = "root_squash as this user and group" },
	{ .name = "all-squash", .kind = OPT_STRING, .offset = AT(all_squash_as), .value = "UID:GID",
	  .help = "all_squash as this user and group" },
	{ .name = "subdir", .kind = OPT_STRING, .offset = AT(subdir), .value = "PATH", .def = "the root",
	  .help = "mount this directory of the file system" },
	{ .name = "uid", .kind = OPT_U64, .offset = AT(uid), .value = "UID", .def = "as stored",
	  .help = "everything seems to belong to this user; goes with noacl", .max = FS_AS_STORED - 1 },
	{ .name = "gid", .kind = OPT_U64, .offset = AT(gid), .value = "GID", .def = "as stored",
	  .help = "everything seems to belong to this group; goes with noacl", .max = FS_AS_STORED - 1 },
	{ .name = "umask", .kind = OPT_MODE, .offset = AT(umask), .value = "MASK", .def = "as stored",
	  .help = "everything seems to have the permissions 0777 without these (octal); goes with noacl" },
	{ .name = "fmask", .kind = OPT_MODE, .offset = AT(fmask), .value = "MASK", .def = "the umask option",
	  .help = "the same for all but directories" },
	{ .name = "dmask", .kind = OPT_MODE, .offset = AT(dmask), .value = "MASK", .def = "the umask option",
	  .help = "the same for directories" },
	{ .name = "create", .kind = OPT_FLAG, .offset = AT(create),
	  .help = "make a new store when the source directory is empty or missing" },
	{ .name = "hard", .kind = OPT_FLAG, .offset = AT(hard), .def = "softerr",
	  .help = "without quorum wait for ever; always killable" },
	{ .name = "softerr", .kind = OPT_FLAG, .offset = AT(softerr), .def = "softerr",
	  .help = "without quorum fail with ETIMEDOUT after timeo" },
	{ .name = "soft", .kind = OPT_FLAG, .offset = AT(soft), .def = "softerr",
	  .help = "as softerr, but the error is EIO" },
	IGNORED("retrans", "accepted; timeo alone counts"),
	{ .name = "timeo", .kind = OPT_U64, .offset = AT(timeo_ds), .value = "TENTHS", .def = "300",
	  .help = "with softerr: tenths of a second that an operation waits", .min = 1, .max = 36000 },
	{ .name = "mount_timeout", .kind = OPT_U64, .offset = AT(mount_timeout_s), .value = "SECONDS", .def = "60",
	  .help = "how long mounting waits for a node and for quorum", .min = 1, .max = 3600 },
	{ .name = "bg", .kind = OPT_FLAG, .offset = AT(bg), .def = "fg",
	  .help = "when mount_timeout is over, go on trying in the background and exit 0" },
	IGNORED("fg", "the opposite of bg"),
	{ .name = "retry", .kind = OPT_U64, .offset = AT(retry_min), .value = "MINUTES", .def = "10000",
	  .help = "with bg: how long to go on trying", .min = 1, .max = 1000000 },
	{ .name = "delay_connect", .kind = OPT_FLAG, .offset = AT(delay_connect),
	  .help = "mount without waiting for a node or quorum: the first operations wait" },
	{ .name = "backup-volfile-servers", .kind = OPT_STRING, .offset = AT(backup_servers), .value = "HOST:HOST...",
	  .help = "further nodes to go round, behind those of the source" },
	{ .name = "mon_addr", .kind = OPT_STRING, .offset = AT(mon_addr), .value = "HOST/HOST...",
	  .help = "the same, separated by slashes" },
	{ .name = "local_lock", .kind = OPT_STRING, .offset = AT(local_lock), .value = "KIND", .def = "none",
	  .help = "locks that only this mount sees: none, flock, posix or all" },
	{ .name = "nolock", .kind = OPT_FLAG, .offset = AT(nolock), .def = "lock", .help = "local_lock=all" },
	IGNORED("lock", "the opposite of nolock"),
	{ .name = "attr_timeout", .kind = OPT_SECONDS, .offset = AT(attr_timeout), .value = "SECONDS", .def = "0",
	  .help = "upper bound for attributes cached by the kernel; above 0 other nodes' changes show late" },
	{ .name = "entry_timeout", .kind = OPT_SECONDS, .offset = AT(entry_timeout), .value = "SECONDS", .def = "0",
	  .help = "the same for names" },
	{ .name = "negative_timeout", .kind = OPT_SECONDS, .offset = AT(negative_timeout), .value = "SECONDS",
	  .def = "0", .help = "the same for names that do not exist" },
	{ .name = "attribute-timeout", .kind = OPT_SECONDS, .offset = AT(attr_timeout), .value = "SECONDS", .def = "0",
	  .help = "another name of attr_timeout" },
	{ .name = "entry-timeout", .kind = OPT_SECONDS, .offset = AT(entry_timeout), .value = "SECONDS", .def = "0",
	  .help = "another name of entry_timeout" },
	{ .name = "negative-timeout", .kind = OPT_SECONDS, .offset = AT(negative_timeout), .value = "SECONDS",
	  .def = "0", .help = "another name of negative_timeout" },
	{ .name = "actimeo", .kind = OPT_SECONDS, .offset = AT(actimeo), .value = "SECONDS", .def = "0",
	  .help = "all three at once: each that is not given or 0" },
	{ .name = "noac", .kind = OPT_FLAG, .offset = AT(noac), .help = "all three 0, whatever else is said" },
	{ .name = "lookupcache", .kind = OPT_STRING, .offset = AT(lookupcache), .value = "WHICH", .def = "all",
	  .help = "names for which the time-outs hold: all, positive or none" },
	{ .name = "direct_io", .kind = OPT_FLAG, .offset = AT(direct_io),
	  .help = "reads, too, go past the kernel's page cache" },
	IGNORED("kernel_cache", "accepted; pages are kept over open for exactly as long as they are current"),
	IGNORED("auto_cache", "accepted; see kernel_cache"),
	{ .name = "max_read", .kind = OPT_SIZE, .offset = AT(max_read), .value = "BYTES", .def = "1M",
	  .help = "longest read that the kernel asks for at once", .min = 4096, .max = FS_IO_MAX },
	{ .name = "rasize", .kind = OPT_SIZE, .offset = AT(rasize), .value = "BYTES", .def = "1M",
	  .help = "how far the kernel reads ahead; needs root", .min = 4096, .max = 1 << 30 },
	IGNORED("clone_fd", "accepted: always so"),
	IGNORED("auto_unmount", "accepted without effect: after this process died, umount(8) frees the mount point"),
	{ .name = "max_threads", .kind = OPT_U64, .offset = AT(max_threads), .value = "N", .def = "16",
	  .help = "threads that take requests from the kernel", .min = 1, .max = 256 },
	{ .name = "max_idle_threads", .kind = OPT_U64, .offset = AT(max_idle_threads), .value = "N",
	  .def = "max_threads", .help = "so many of them stay when there is less to do", .min = 1, .max = 256 },
	{ .name = "snapshot-threshold", .kind = OPT_SIZE, .offset = AT(snapshot_threshold), .value = "BYTES",
	  .def = "64M", .help = "embedded node: log that makes a snapshot due; -1: never", .min = -1,
	  .max = INT64_MAX },
	{ .name = "snapshot-interval", .kind = OPT_U64, .offset = AT(snapshot_interval), .value = "ENTRIES", .def = "0",
	  .help = "embedded node: entries that make a snapshot due; 0: not used" },
	{ .name = "session-ttl", .kind = OPT_U64, .offset = AT(session_ttl_ms), .value = "MS", .def = "30000",
	  .help = "embedded node: a client unheard for this long ends", .min = NODE_SESSION_TTL_MS_MIN,
	  .max = NODE_SESSION_TTL_MS_MAX },
	{ .name = "leases", .kind = OPT_DURATION, .offset = AT(lease_ns), .value = "TIME", .def = "200ms",
	  .help = "embedded node: length of the leases under which nodes read by themselves; off: none",
	  .min = NODE_LEASE_NS_MIN, .max = NODE_LEASE_NS_MAX },
	{ .name = "listen", .kind = OPT_STRING, .offset = AT(listen), .value = "HOST:PORT",
	  .def = "the node's address in the configuration", .help = "embedded node: address for peers; none: no TCP" },
	{ .name = "log-level", .kind = OPT_STRING, .offset = AT(log_level), .value = "LEVEL", .def = "info",
	  .help = "none, error, warning, info or debug" },
	{ .name = "log-file", .kind = OPT_STRING, .offset = AT(log_file), .value = "PATH", .def = "none",
	  .help = "where the process that stays writes its log" },
	{ .name = "fsname", .kind = OPT_STRING, .offset = AT(fsname), .value = "NAME", .def = "the source",
	  .help = "what findmnt shows as source" },
	{ .name = "foreground", .kind = OPT_FLAG, .offset = AT(foreground), .help = "do not go into the background" },
	{ .name = "debug", .kind = OPT_FLAG, .offset = AT(debug), .help = "print FUSE requests; implies foreground" },
	IGNORED("subtype", "accepted; it is quorumfs"),
	IGNORED("_netdev", "for boot: needs the network"),
	IGNORED("nofail", "for boot: go on without this mount"),
	IGNORED("auto", "for mount -a"),
	IGNORED("noauto", "not for mount -a"),
	IGNORED("user", "for mount(8)"),
	IGNORED("nouser", "for mount(8)"),
	IGNORED("users", "for mount(8)"),
	IGNORED("owner", "for mount(8)"),
	IGNORED("group", "for mount(8)"),
	IGNORED("uhelper", "for umount(8)"),
	IGNORED("defaults", "the defaults of this page"),
	IGNORED("comment", "for administrators"),
	IGNORED("reconnect", "accepted: always so"),
	IGNORED("context", "accepted: labels are attributes of files"),
	REFUSED("nowsync", "changes are durable on a majority when they return, nothing less is offered"),
	REFUSED("writeback_cache", "a write is visible to all mounts when it returns, which this would end"),
	REFUSED("read_from_replica", "reads are never stale, and come from the nearest node as it is"),
	REFUSED("secretfile", "nodes know no secrets yet, so it would protect nothing"),
	REFUSED("snapdirname", "there is no directory of snapshots"),
	REFUSED("metrics", "there is no such address; 'quorumfs status -w json' has the figures"),
	REFUSED("rbytes", "a directory's size is its number of names"),
	REFUSED("modules", "there are none; 'subdir' mounts a directory"),
};
const size_t mount_options_count = ARRAY_SIZE(mount_options_table);

/* Flags that have two names. */
static const struct pair {
	const char *on, *off;
	size_t offset;
	unsigned long flag;
} pairs[] = {
	{ "ro", "rw", AT(ro), MS_RDONLY },
	{ "nodev", "dev", AT(nodev), MS_NODEV },
	{ "nosuid", "suid", AT(nosuid), MS_NOSUID },
	{ "noexec", "exec", AT(noexec), MS_NOEXEC },
	{ "noacl", "acl", AT(no_acl), 0 },
	{ "nodelegations", "delegations", AT(no_delegations), 0 },
	{ "sync", "async", AT(no_delegations), 0 },
	{ "allow_other", "noallow_other", AT(allow_other), 0 },
	{ "noallow_other", "allow_other", AT(no_allow_other), 0 },
	{ "nodiratime", "diratime", AT(nodiratime), 0 },
	{ "root_squash", "no_root_squash", AT(root_squash), 0 },
	{ "all_squash", "no_all_squash", AT(all_squash), 0 },
	{ "bg", "fg", AT(bg), 0 },
	{ "nolock", "lock", AT(nolock), 0 },
};

/* What the kernel and libfuse show in the mount table; mount(8) hands it back for a remount. */
static const char *const shown_by_kernel[] = { "user_id=", "group_id=", "max_read=", "blksize=", "rootmode=", "fd=" };

struct mount_options mount_options_default(void)
{
	return (struct mount_options){
		.timeo_ds = 300,
		.mount_timeout_s = 60,
		.max_threads = 16,
		.retry_min = 10000,
		.max_read = FS_IO_MAX,
		.rasize = 1048576,
		.uid = FS_AS_STORED,
		.gid = FS_AS_STORED,
		.umask = FS_AS_STORED,
		.fmask = FS_AS_STORED,
		.dmask = FS_AS_STORED,
		.snapshot_threshold = NODE_SNAPSHOT_THRESHOLD_DEFAULT,
		.lease_ns = NODE_LEASE_NS_DEFAULT,
		.session_ttl_ms = NODE_SESSION_TTL_MS_DEFAULT,
	};
}

/* ---- argv ---- */

/* The o of -o, -fvo, -oLIST: what is behind it, or NULL. Flags may stand in front of it only. */
static const char *short_list(const char *arg)
{
	size_t flags;

	if (arg[0] != '-' || arg[1] == '-')
		return NULL;
	flags = strspn(arg + 1, "fsnvhV");
	return arg[1 + flags] == 'o' ? arg + 2 + flags : NULL;
}

static bool has_separate_value(const char *arg)
{
	return strcmp(arg, "-t") == 0 || strcmp(arg, "-N") == 0 || strcmp(arg, "--types") == 0 ||
	       strcmp(arg, "--namespace") == 0;
}

char *mount_options_take(int *argc, char **argv, struct err *err)
{
	static const char missing[] = "";
	struct buf joined = BUF_INIT;
	bool only_operands = false;
	int kept = 1;

	for (int i = 1; i < *argc; i++) {
		char *arg = argv[i];
		const char *after_o = only_operands ? NULL : short_list(arg);
		const char *list = after_o && *after_o ? after_o : NULL;
		size_t flags = after_o ? (size_t)(after_o - arg) - 2 : 0;

		if (only_operands || strcmp(arg, "--") == 0) {
			only_operands = true;
			argv[kept++] = arg;
			continue;
		}
		if (strncmp(arg, "--options=", 10) == 0)
			list = arg + 10;
		else if ((after_o && !list) || strcmp(arg, "--options") == 0)
			list = i + 1 < *argc ? argv[++i] : missing;
		if (list == missing)
			goto fail;
		if (list)
			buf_printf(&joined, "%s%s", joined.len ? "," : "", list);
		if (after_o)
			arg[1 + flags] = '\0'; /* the flags in front stay */
		if (!list || flags > 0)
			argv[kept++] = arg;
		if (!list && has_separate_value(arg) && i + 1 < *argc)
			argv[kept++] = argv[++i];
	}
	*argc = kept;
	buf_put_u8(&joined, 0);
	return (char *)joined.data;
fail:
	buf_release(&joined);
	err_set(err, -EINVAL, "option '-o' needs a value: OPTIONS");
	return NULL;
}

/* ---- one list ---- */

static const char *next_item(const char *item)
{
	const char *comma = strchr(item, ',');

	return comma ? comma + 1 : NULL;
}

static bool item_is(const char *item, const char *name)
{
	size_t len = strlen(name);

	return strncmp(item, name, len) == 0 && (item[len] == ',' || item[len] == '\0');
}

static bool has_item(const char *list, const char *name)
{
	for (const char *p = list; p; p = next_item(p))
		if (item_is(p, name))
			return true;
	return false;
}

static bool is_foreign(const char *item, bool remount)
{
	if (strncmp(item, "x-", 2) == 0 || strncmp(item, "X-", 2) == 0)
		return true;
	for (size_t i = 0; remount && i < ARRAY_SIZE(shown_by_kernel); i++)
		if (strncmp(item, shown_by_kernel[i], strlen(shown_by_kernel[i])) == 0)
			return true;
	return false;
}

static void strip_foreign(char *list, bool remount)
{
	char *out = list;

	for (char *p = list; *p;) {
		size_t len = strcspn(p, ",");
		char *item = p;

		p += len + (p[len] ? 1 : 0);
		if (is_foreign(item, remount))
			continue;
		if (out != list)
			*out++ = ',';
		memmove(out, item, len);
		out += len;
	}
	*out = '\0';
}

/* 1: the last of both is on, -1: off, 0: neither is there. */
static int last_of_pair(const char *list, const struct pair *pair)
{
	int said = 0;

	for (const char *p = list; p; p = next_item(p))
		said = item_is(p, pair->on) ? 1 : item_is(p, pair->off) ? -1 : said;
	return said;
}

static enum fs_atime last_atime(const char *list)
{
	static const struct {
		const char *name;
		enum fs_atime atime;
	} names[] = {
		{ "noatime", FS_NOATIME },
		{ "relatime", FS_RELATIME },
		{ "atime", FS_RELATIME },
		{ "strictatime", FS_STRICTATIME },
	};
	enum fs_atime said = FS_NOATIME;

	for (const char *p = list; p; p = next_item(p))
		for (size_t i = 0; i < ARRAY_SIZE(names); i++)
			said = item_is(p, names[i].name) ? names[i].atime : said;
	return said;
}

/* "UID:GID", both below 2^32 - 1. */
static int parse_ids(const char *name, const char *text, struct fs_squash *s, struct err *err)
{
	unsigned long long uid, gid;
	int end = 0;

	if (strspn(text, "0123456789:") == strlen(text) && strlen(text) <= 21 &&
	    sscanf(text, "%llu:%llu%n", &uid, &gid, &end) == 2 && !text[end] && uid < FS_AS_STORED &&
	    gid < FS_AS_STORED) {
		s->uid = (uint32_t)uid;
		s->gid = (uint32_t)gid;
		return 0;
	}
	return err_set(err, -EINVAL, "bad value '%s' for option '%s': not UID:GID, two numbers", text, name);
}

static int settle_squash(struct mount_options *o, struct err *err)
{
	struct fs_squash *s = &o->squash;
	int ret = 0;

	s->uid = s->gid = NOBODY;
	s->root = o->root_squash || o->root_squash_as;
	s->all = o->all_squash || o->all_squash_as;
	if (o->root_squash_as)
		ret = parse_ids("root-squash", o->root_squash_as, s, err);
	if (s->all)
		s->uid = s->gid = NOBODY; /* root is one of all */
	if (ret == 0 && o->all_squash_as)
		ret = parse_ids("all-squash", o->all_squash_as, s, err);
	if (s->all)
		o->no_acl = true;
	/* What the kernel remembers it does not ask for, and who may look for it is ours to check. */
	if (s->root || s->all)
		o->entry_timeout = o->negative_timeout = 0;
	return ret;
}

static int check_exclusive(const struct mount_options *o, struct err *err)
{
	if (o->hard + o->softerr + o->soft > 1)
		return err_set(err, -EINVAL, "the options 'hard', 'softerr' and 'soft' exclude each other");
	if (o->allow_root && o->no_allow_other)
		return err_set(err, -EINVAL, "the options 'allow_root' and 'noallow_other' exclude each other");
	return 0;
}

static int parse_local_lock(struct mount_options *o, struct err *err)
{
	static const struct {
		const char *name;
		unsigned locks;
	} kinds[] = {
		{ "none", 0 },
		{ "flock", MOUNT_LOCAL_FLOCK },
		{ "posix", MOUNT_LOCAL_POSIX },
		{ "all", MOUNT_LOCAL_FLOCK | MOUNT_LOCAL_POSIX },
	};

	if (o->nolock)
		o->local_lock = "all";
	if (!o->local_lock)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(o->local_lock, kinds[i].name) != 0)
			continue;
		o->local_locks = kinds[i].locks;
		return 0;
	}
	return err_set(err, -EINVAL, "option 'local_lock=%s': it is none, flock, posix or all", o->local_lock);
}

/* Permissions that are not the stored ones are not those of the ACLs either. */
static void settle_masks(struct mount_options *o)
{
	if (o->fmask == FS_AS_STORED)
		o->fmask = o->umask;
	if (o->dmask == FS_AS_STORED)
		o->dmask = o->umask;
	if (o->uid != FS_AS_STORED || o->gid != FS_AS_STORED || o->fmask != FS_AS_STORED ||
	    o->dmask != FS_AS_STORED)
		o->no_acl = true;
}

static int settle_caches(struct mount_options *o, struct err *err)
{
	double *const timeouts[] = { &o->attr_timeout, &o->entry_timeout, &o->negative_timeout };
	const char *which = o->lookupcache ? o->lookupcache : "all";

	for (size_t i = 0; i < ARRAY_SIZE(timeouts); i++)
		*timeouts[i] = o->noac ? 0 : *timeouts[i] > 0 ? *timeouts[i] : o->actimeo;
	if (strcmp(which, "none") == 0)
		o->entry_timeout = o->negative_timeout = 0;
	else if (strcmp(which, "positive") == 0)
		o->negative_timeout = 0;
	else if (strcmp(which, "all") != 0)
		return err_set(err, -EINVAL, "option 'lookupcache=%s': it is all, positive or none", which);
	o->max_read &= ~INT64_C(4095);
	return 0;
}

int mount_options_parse(char *list, bool sloppy, struct mount_options *o, struct err *err)
{
	int said[ARRAY_SIZE(pairs)];
	int ret;

	strip_foreign(list, has_item(list, "remount"));
	o->atime = last_atime(list);
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		said[i] = last_of_pair(list, &pairs[i]);
	ret = opt_parse_list(mount_options_table, mount_options_count, list, sloppy, o, err);
	if (ret < 0)
		return ret;
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		if (said[i] < 0)
			*(bool *)(void *)((char *)o + pairs[i].offset) = false;
		o->flags_set |= said[i] > 0 ? pairs[i].flag : 0;
		o->flags_cleared |= said[i] < 0 ? pairs[i].flag : 0;
	}
	ret = check_exclusive(o, err);
	settle_masks(o);
	if (ret == 0)
		ret = settle_caches(o, err);
	if (ret == 0)
		ret = settle_squash(o, err);
	return ret == 0 ? parse_local_lock(o, err) : ret;
}

/* ---- remount ---- */

static const size_t changeable[] = {
	AT(ro), AT(nodev), AT(nosuid), AT(noexec), AT(remount), AT(log_level), AT(hard), AT(softerr), AT(soft),
	AT(timeo_ds), AT(attr_timeout), AT(entry_timeout), AT(negative_timeout), AT(actimeo), AT(noac), AT(lookupcache),
};

static bool is_changeable(const struct opt *o)
{
	for (size_t i = 0; i < ARRAY_SIZE(changeable); i++)
		if (o->offset == changeable[i])
			return true;
	return o->kind == OPT_IGNORE || o->kind == OPT_REFUSE;
}

static bool is_same(const struct opt *o, const struct mount_options *a, const struct mount_options *b)
{
	static const size_t sizes[] = {
		[OPT_FLAG] = sizeof(bool),	    [OPT_U64] = sizeof(uint64_t),
		[OPT_I64] = sizeof(int64_t),	    [OPT_SIZE] = sizeof(int64_t),
		[OPT_SECONDS] = sizeof(double),	    [OPT_MODE] = sizeof(uint32_t),
		[OPT_DURATION] = sizeof(uint64_t),
	};
	const void *x = (const char *)a + o->offset, *y = (const char *)b + o->offset;

	if (o->kind == OPT_STRING) {
		const char *p = *(const char *const *)x, *q = *(const char *const *)y;

		return p && q ? strcmp(p, q) == 0 : p == q;
	}
	return memcmp(x, y, sizes[o->kind]) == 0;
}

/* Of words that exclude each other the new one counts, and words for several options are said anew. */
static void forget_overridden(const char *list, struct mount_options *o)
{
	if (has_item(list, "hard") || has_item(list, "softerr") || has_item(list, "soft"))
		o->hard = o->softerr = o->soft = false;
	o->noac = false;
	o->remount = false;
	o->flags_set = o->flags_cleared = 0;
}

static bool names_option(const char *list, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = list; p; p = next_item(p))
		if (strncmp(p, name, len) == 0 && strchr(",=", p[len])) /* or at the end */
			return true;
	return false;
}

/* What else differs follows from one that is named. */
static int check_unchanged(const char *named, const struct mount_options *now,
			   const struct mount_options *next, struct err *err)
{
	for (size_t i = 0; i < mount_options_count; i++) {
		const struct opt *o = &mount_options_table[i];

		if (!is_changeable(o) && o->offset != AT(atime_said) && names_option(named, o->name) &&
		    !is_same(o, now, next))
			return err_set(err, -EINVAL, "option '%s' cannot change while it is mounted", o->name);
	}
	return 0;
}

int mount_options_change(const struct mount_options *now, char *list, struct mount_options *next, struct err *err)
{
	char *named = mem_strdup(list);
	int ret;

	*next = *now;
	forget_overridden(list, next);
	ret = mount_options_parse(list, true, next, err); /* whoever asked has looked at the names */
	if (ret == 0)
		ret = check_unchanged(named, now, next, err);
	next->atime = now->atime; /* mount(8) hands back the kernel's word for it, asked or not */
	free(named);
	return ret;
}
