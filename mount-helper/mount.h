/* mount.h - the parts of mount.quorumfs: options, source, the process that stays. */
#ifndef MOUNT_HELPER_MOUNT_H
#define MOUNT_HELPER_MOUNT_H

#include "base/base.h"
#include "base/err.h"
#include "base/opt.h"
#include "fs/fs_fuse.h"
#include "node/node.h"

/* mount(8)'s exit codes. */
enum mount_exit {
	MOUNT_OK = 0,
	MOUNT_USAGE = 1,   /* incorrect invocation or permissions */
	MOUNT_SYSTEM = 2,  /* out of memory, cannot fork */
	MOUNT_BUG = 4,
	MOUNT_FAILED = 32,
	MOUNT_LATER = 64, /* between child and parent only: bg, and nobody answers yet */
};

#define MOUNT_ADDRESSES_MAX 16

enum mount_local_lock {
	MOUNT_LOCAL_FLOCK = 1,
	MOUNT_LOCAL_POSIX = 2,
};

struct mount_options {
	bool ro, nodev, nosuid, noexec, remount;
	bool allow_other, no_allow_other, allow_root, no_acl, no_delegations;
	bool nodiratime, bg, delay_connect, nolock;
	bool root_squash, all_squash;
	const char *root_squash_as, *all_squash_as; /* as given: UID:GID */
	struct fs_squash squash;                    /* what comes of these */
	enum fs_atime atime;
	bool atime_said;
	const char *subdir;
	const char *backup_servers, *mon_addr; /* further contact points, as given */
	uint64_t retry_min;                    /* minutes that bg goes on trying */
	uint64_t max_idle_threads;             /* 0: as max_threads */
	bool no_user_xattr, noac, direct_io;
	bool create, hard, softerr, soft, foreground, debug;
	uint64_t timeo_ds; /* tenths of a second, as nfs(5) */
	uint64_t mount_timeout_s;
	uint64_t max_threads;
	uint64_t uid, gid;             /* or FS_AS_STORED */
	uint32_t umask, fmask, dmask;  /* likewise */
	double attr_timeout, entry_timeout, negative_timeout, actimeo;
	int64_t max_read, rasize; /* bytes */
	int64_t snapshot_threshold;
	uint64_t lease_ns;
	uint64_t snapshot_interval;
	uint64_t session_ttl_ms;
	const char *log_level, *log_file, *listen, *fsname;
	const char *lookupcache; /* as given; NULL: all */
	const char *local_lock;  /* as given; NULL: none */
	unsigned local_locks;    /* enum mount_local_lock */
	unsigned long flags_set, flags_cleared; /* MS_...: what a remount says about them */
};

extern const struct opt mount_options_table[];
extern const size_t mount_options_count;

/* What stands in a -o list that is empty. */
struct mount_options mount_options_default(void);
/*
 * Takes every -o LIST, -oLIST, --options=LIST and -fvo LIST out of argv. Returns them joined by commas,
 * "" for none; the caller frees it. NULL with err when a list is missing.
 */
char *mount_options_take(int *argc, char **argv, struct err *err);
/*
 * Parses list (modified; values borrow from it) into o. Names in x- or X- are for others; of ro and rw and
 * such pairs the last one counts; with remount in it, what the kernel shows of a FUSE mount is skipped.
 * 0 or -EINVAL.
 */
int mount_options_parse(char *list, bool sloppy, struct mount_options *o, struct err *err);

/*
 * For a mount that is there: *next becomes now with the options of list (modified; *next's texts borrow from it).
 * What list does not name stays; what cannot change while it is mounted may be named as it is. 0 or -EINVAL.
 */
int mount_options_change(const struct mount_options *now, char *list, struct mount_options *next, struct err *err);

struct mount_source {
	const char *text;    /* as given */
	bool embedded;       /* a directory: the node runs in this process */
	char dir[4096];      /* embedded: resolved */
	char *addresses[MOUNT_ADDRESSES_MAX]; /* owned; paths of sockets are absolute */
	size_t address_count;
	char *subdir; /* owned; behind ":/" in the source, without that; NULL: none */
};

struct mount_args {
	const char *target;
	char target_path[4096]; /* resolved */
	bool fake, verbose;
	struct mount_source source;
	struct mount_options options;
	char *option_list;      /* owned; what the options' texts point into */
	char *remount_list;     /* owned; the same as it was given */
	int log_fd;             /* where the process that stays writes its log; -1: stderr */
};

/* source.c: what the source operand is. Makes a new store when options.create says so. Errors in four
 * parts; *exit_code set on failure. */
int mount_source_resolve(struct mount_args *args, int *exit_code, struct err *err);
void mount_source_release(struct mount_source *source);

/*
 * serve.c: the process that stays. Prints progress to stderr while it takes long; then stderr is the log.
 *
 * report_fd is one end of a stream socket, taken; -1: no parent, errors go to stderr. Over it: we report the
 * outcome, the parent looks whether the mount works and confirms. A parent that closes its end before that
 * has given up: then nothing stays mounted. Returns the exit code.
 */
int mount_serve(const struct mount_args *args, int report_fd);
/* The other end: MOUNT_OK, MOUNT_LATER, or the exit code after filling err. */
int mount_report_read(int fd, struct err *err);
void mount_report_confirm(int fd);

#endif
