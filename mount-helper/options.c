/*
 * options.c - every mount option, with its default (mount.quorumfs(8) is compared with this table), and
 * what mount(8) makes of -o lists: several of them, options for others, pairs of which the last counts.
 */
#include <sys/mount.h>

#include "base/buf.h"
#include "mount-helper/mount.h"

#define AT(field) offsetof(struct mount_options, field)
#define IGNORED(NAME, HELP)                                                                       \
	{ .name = NAME, .kind = OPT_IGNORE, .help = HELP }

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
	IGNORED("noatime", "access times do not move: always so, as each would be a replicated write"),
	IGNORED("nodiratime", "as noatime"),
	IGNORED("relatime", "accepted; access times do not move"),
	IGNORED("sync", "accepted: every write is durable on a majority when it returns"),
	IGNORED("async", "accepted; see sync"),
	IGNORED("dirsync", "accepted; see sync"),
	IGNORED("wsync", "accepted; see sync"),
	{ .name = "remount", .kind = OPT_FLAG, .offset = AT(remount), .help = "change ro and rw of a mount that is there" },
	{ .name = "allow_other", .kind = OPT_FLAG, .offset = AT(allow_other), .def = "on for root",
	  .help = "other users than the one who mounts may enter" },
	{ .name = "noallow_other", .kind = OPT_FLAG, .offset = AT(no_allow_other),
	  .help = "only the user who mounts may enter" },
	IGNORED("default_permissions", "accepted: the kernel always checks permissions"),
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
	{ .name = "local_lock", .kind = OPT_STRING, .offset = AT(local_lock), .value = "KIND", .def = "none",
	  .help = "locks that only this mount sees: none, flock, posix or all" },
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
	{ .name = "actimeo", .kind = OPT_SECONDS, .offset = AT(attr_timeout), .value = "SECONDS", .def = "0",
	  .help = "another name of attr_timeout" },
	{ .name = "noac", .kind = OPT_FLAG, .offset = AT(noac), .help = "attr_timeout=0, whatever else is said" },
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
	{ "allow_other", "noallow_other", AT(allow_other), 0 },
	{ "noallow_other", "allow_other", AT(no_allow_other), 0 },
};

/* What the kernel and libfuse show in the mount table; mount(8) hands it back for a remount. */
static const char *const shown_by_kernel[] = { "user_id=", "group_id=", "max_read=", "blksize=", "rootmode=", "fd=" };

struct mount_options mount_options_default(void)
{
	return (struct mount_options){
		.timeo_ds = 300,
		.mount_timeout_s = 60,
		.max_threads = 16,
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
	const char *which = o->lookupcache ? o->lookupcache : "all";

	if (o->noac)
		o->attr_timeout = 0;
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
	if (o->hard + o->softerr + o->soft > 1)
		return err_set(err, -EINVAL, "the options 'hard', 'softerr' and 'soft' exclude each other");
	settle_masks(o);
	ret = settle_caches(o, err);
	return ret == 0 ? parse_local_lock(o, err) : ret;
}
