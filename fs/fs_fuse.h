/*
 * fs_fuse.h - the FUSE front end: libfuse3's low-level API on one side, a client session on the other.
 *
 * Stage 1 of the coherence recipes (FUSE reference, section 3): entry, attribute and negative timeouts
 * are 0, every walk asks; pages stay cached only while the data version is unchanged.
 */
#ifndef FS_FS_FUSE_H
#define FS_FS_FUSE_H

#include <signal.h>
#include <sys/ioctl.h>

#include "base/base.h"
#include "base/err.h"
#include "fs/fs_session.h"

#define FS_AS_STORED UINT32_MAX

/* What stat(2) tells, and the kernel checks permissions by, instead of what is stored; each FS_AS_STORED or a value. */
struct fs_shown {
	uint32_t uid, gid;
	uint32_t fmask, dmask; /* permissions are 0777 without these: of all but directories, of directories */
};

#define FS_SHOWN_AS_STORED                                                                         \
	((struct fs_shown){ FS_AS_STORED, FS_AS_STORED, FS_AS_STORED, FS_AS_STORED })

enum fs_atime {
	FS_NOATIME,
	FS_RELATIME,    /* a read is written down where it tells something, see fs/fuse/atime.h */
	FS_STRICTATIME, /* every read */
};

/* Callers who act as somebody else; their permissions are checked by whoever evaluates their requests. */
struct fs_squash {
	bool root, all;    /* whom: uid 0, everybody */
	uint32_t uid, gid; /* as whom */
};

/* What may change while it is mounted. */
struct fs_fuse_live {
	bool read_only; /* the kernel refuses changes; here it ends the writing of access times */
	bool soft;      /* what would be ETIMEDOUT is EIO */
	double attr_timeout, entry_timeout, negative_timeout; /* seconds, upper bounds; 0: the kernel asks each time */
};

#define FS_FUSE_CHANGE_MAX 2048u

/* ioctl(2) on the mounted directory: mount options that shall change; the answer is err, code 0: they did. */
struct fs_fuse_change {
	char list[FS_FUSE_CHANGE_MAX];
	struct err err;
};
#define FS_FUSE_CHANGE _IOWR('q', 0x51, struct fs_fuse_change)

struct fs_fuse_options {
	const char *mountpoint;
	const char *source;  /* shown by findmnt; fsname */
	struct fs_fuse_live live;
	/* FS_FUSE_CHANGE came from root or from who mounted: changes what it asks for, or fills change->err. Thread:
	 * one of those that take requests. NULL: nothing can be changed. */
	void (*change)(void *ctx, struct fs_fuse_change *change);
	void *change_ctx;
	bool allow_other;
	bool no_acl;         /* POSIX ACLs are refused with EOPNOTSUPP; those that are there have no effect */
	bool no_user_xattr;  /* the same for user.* */
	bool direct_io;      /* nothing is read through the kernel's page cache */
	struct fs_shown shown;
	bool nodev, nosuid, noexec; /* root's mounts have none of them unless asked */
	enum fs_atime atime;
	bool nodiratime;     /* directories' access times never move */
	struct fs_squash squash;
	bool allow_root;     /* with allow_other: only root and who mounts */
	uint64_t root_ino;   /* the directory that is mounted; 0: FS_ROOT_INO */
	uint32_t max_threads; /* 0: 16 */
	uint32_t max_idle_threads; /* so many stay when there is less to do; 0: max_threads */
	uint32_t max_read;    /* bytes of one READ, a multiple of 4096; 0: FS_IO_MAX */
	uint32_t readahead;   /* bytes, needs root; 0: 1 MiB */
	bool delegations;    /* plain writes may be gathered: write(2) returns before they are durable */
	bool debug;
	bool local_flock, local_posix; /* such locks are this mount's own affair */
};

struct fs_fuse;

/* Mounts: /dev/fuse, mount(2), INIT corrected (section 0, facts 1 to 4). The session is set by
 * fs_fuse_attach() before fs_fuse_run(). Errors in four parts; -EBUSY: already mounted there. */
int fs_fuse_mount(const struct fs_fuse_options *options, struct fs_fuse **fuse, struct err *err);
void fs_fuse_attach(struct fs_fuse *fuse, struct fs_session *session);
struct fs_board;
/* What it shows is answered without the session. Takes it; NULL: there is none. Any thread. */
void fs_fuse_set_board(struct fs_fuse *fuse, struct fs_board *board);
/* Any thread; requests that are under way may still go by what was before. */
void fs_fuse_set_live(struct fs_fuse *fuse, const struct fs_fuse_live *live);
/* Serves until unmounted or fs_fuse_stop(); started is called once INIT was answered (any thread). */
int fs_fuse_run(struct fs_fuse *fuse, void (*started)(void *ctx), void *ctx);
void fs_fuse_stop(struct fs_fuse *fuse); /* async-signal-safe */
/* After run returned and fs_session_free(), which answers what is open; or when run was never called.
 * Unmounts if still mounted; accepts NULL. */
void fs_fuse_free(struct fs_fuse *fuse);

/* For fs_session_options: which of these inodes has this mount open (counted from the OPEN request)? */
size_t fs_fuse_held(void *fuse, uint64_t *inos, size_t count);
/* The session ended: files whose locks it held fail with EIO until they are closed; what was gathered under its
 * delegations is lost, and the next fsync or close told. */
void fs_fuse_lost(void *fuse, uint64_t session_id);
/* Somebody wants a delegation of this mount's session. */
void fs_fuse_recall(void *fuse, uint64_t ino, uint64_t number);
bool fs_fuse_killed(void *fuse, uint32_t pid); /* /proc/PID/status: SigPnd, ShdPnd */

#endif
