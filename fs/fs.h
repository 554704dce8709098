/*
 * fs.h - what files mean: requests, replies, and their evaluation on a kv_txn.
 *
 * fs_eval() is pure: it sees a transaction view and a request that the leader has stamped with the
 * time, and leaves key mutations in the transaction and a reply, or an error, or "blocked". It runs on
 * the in-memory kv in tests, on the embedded single node and on the cluster alike.
 *
 * Reads (fs_op_is_read()) run on any replica once it has applied the read index; everything else runs
 * on the leader and becomes one log entry. No request makes an unbounded entry: what is large
 * (reclaiming a file's blocks, a large truncate) is done by later FS_RECLAIM steps.
 */
#ifndef FS_FS_H
#define FS_FS_H

#include "base/base.h"
#include "base/buf.h"
#include "store/store_kv.h"

#define FS_ROOT_INO 1u
#define FS_NAME_MAX 255u
#define FS_SYMLINK_MAX 4095u
#define FS_XATTR_NAME_MAX 255u
#define FS_ACL_ACCESS "system.posix_acl_access"
#define FS_ACL_DEFAULT "system.posix_acl_default"
#define FS_XATTR_SIZE_MAX 65536u
#define FS_LINK_MAX 65000u
#define FS_SIZE_MAX ((uint64_t)INT64_MAX) /* of a file; data lies below KV_FILE_SIZE_MAX, behind it is a hole */
#define FS_IO_MAX (1024u * 1024u)    /* one read or write */
#define FS_RECLAIM_BLOCKS 1024u      /* blocks that one entry drops at most, unless its stamp says less */
#define FS_KV_KEY_MAX 512u           /* plain user keys */

enum fs_op {
	/* reads */
	FS_LOOKUP = 1, /* ino, name */
	FS_GETATTR,    /* ino */
	FS_OPEN,       /* ino, flags: existence and data version; permissions are the kernel's */
	FS_READLINK,   /* ino */
	FS_READ,       /* ino, offset, size */
	FS_READDIR,    /* ino, offset (cookie after which to go on), size (bytes of encoded dirents) */
	FS_GETXATTR,   /* ino, name */
	FS_LISTXATTR,  /* ino */
	FS_STATFS,
	FS_ORPHANS,    /* node's own: offset = last ino seen; list of orphans and pending truncates */
	FS_KV_GET,     /* name = key */
	FS_GETLK,      /* ino, data = struct fs_lock: the first lock that is in its way, or no data */
	FS_LOCK_WAIT,  /* ino, data = struct fs_lock: FS_BLOCKED while something is in its way */
	FS_SEEK = 32,  /* ino, offset, flags (SEEK_DATA, SEEK_HOLE): reply.offset; reply.count 1: no answer
			* yet, ask again from there */
	FS_ACCESS,     /* ino, mode: 4 read, 2 write, 1 execute: 0 or -EACCES */
	/* changes */
	FS_SETATTR = 64, /* ino, valid, mode, uid2, gid2, size, atime, mtime, ino2 as in WRITE */
	FS_CREATE,       /* ino = parent, name, mode, flags (O_EXCL, O_TRUNC), valid = umask; size > 0: a new file
			  * is wanted with a delegation that reserves so many bytes, if that may be (reply.delegation) */
	FS_OPEN_TRUNC,   /* ino: open with O_TRUNC */
	FS_WRITE,        /* ino, offset, data, flags (O_APPEND: offset is ignored), ino2 = session id whose locks
			  * it relies on, or 0: -ENOLCK in any other session; size as in CREATE */
	FS_MKDIR,        /* ino = parent, name, mode, valid = umask */
	FS_RMDIR,        /* ino = parent, name */
	FS_UNLINK,       /* ino = parent, name */
	FS_LINK,         /* ino, ino2 = new parent, name */
	FS_SYMLINK,      /* ino = parent, name, data = target */
	FS_RENAME,       /* ino = parent, name, ino2 = new parent, name2, flags (RENAME_NOREPLACE, RENAME_EXCHANGE) */
	FS_MKNOD,        /* ino = parent, name, mode with type, rdev, valid = umask */
	FS_SETXATTR,     /* ino, name, data, flags (XATTR_CREATE, XATTR_REPLACE); of an ACL also name2 = the
			  * caller's other groups, le32 each */
	FS_REMOVEXATTR,  /* ino, name */
	FS_KV_PUT,       /* name = key, data */
	FS_KV_APPEND,
	FS_KV_DELETE,
	FS_SESSION_BEGIN, /* data: FS_SESSION_NAME_SIZE bytes of the session it replaces, or none. Changes
			   * nothing by itself but is always logged, so a session has begun when it returns */
	FS_SETLK,         /* ino, data = struct fs_lock: lock, or unlock; fs_lock.h */
	FS_LOCK_CANCEL,   /* ino, data = struct fs_lock: this waiter waits no more */
	FS_LOCK_RELEASE,  /* ino, data = struct fs_lock: everything of this kind and owner, waiters included */
	/* Each of these does what one entry may do and answers how far it came: reply.count bytes. The
	 * caller asks again for the rest. */
	FS_ALLOCATE = 96, /* ino, offset, size, flags (enum fs_allocate_flags), ino2 as in WRITE */
	FS_PUNCH,         /* ino, offset, size: zeros without rows where whole blocks allow, size unchanged;
			   * ino2 as in WRITE */
	FS_COPY_RANGE,    /* ino, offset, size, ino2, data = le64 offset there; count 0: end of file */
	FS_TMPFILE,       /* ino = directory, mode, flags (O_EXCL: never to be linked), valid = umask: a file
			   * without a name, an orphan from the beginning; size as in CREATE */
	FS_GATHERED,      /* what was gathered: ino, ino2 = number of the delegation, flags, data = extents; after them
			   * as in SETATTR valid (FS_GATHERED_VALID), mode, uid2, gid2, atime, mtime; offset = what the
			   * holder showed as the time of it (ns); size: so many bytes are to be reserved from now
			   * on, if that is more. -EKEYREVOKED: the session does not have that delegation (any more) */
	FS_DELEGATION_RETURN, /* data: le64 ino and le64 number, FS_DELEGATIONS_AT_ONCE of them at most: not needed any
			       * more; those that are not there are none the worse */
	/* the leader's own, never from clients */
	FS_ORPHAN_HOLD = 128, /* ino, data = list of le64 session ids that hold it open */
	FS_RECLAIM,           /* ino, flags: drop up to FS_RECLAIM_BLOCKS blocks, finally the inode */
	FS_MAKE_ROOT,         /* the first entry of an empty file system; its root is the caller's */
	FS_SESSION_END,       /* data: names of sessions that end; they hold nothing any more. Reply, and that of
			       * SESSION_BEGIN: count = how many of them, from the first, lost all they had;
			       * the others must not end with this entry */
	FS_DELEGATION_REVOKE, /* as RETURN, of any session: its holder is silent */
};

/*
 * A write delegation: its session may gather writes to the inode, and is the authority for its size and times until
 * it gives it back or is known to be silent for longer than it may use it. Others' requests for the inode are
 * FS_BLOCKED meanwhile. fs/ops/delegation.h
 */
struct fs_delegation {
	uint64_t session;
	uint64_t number; /* index of the entry that granted it; 0: none */
	uint64_t bytes;  /* reserved: so much may be gathered and not answered */
};

#define FS_DELEGATION_LEASE_MS 3000u /* since the holder's last confirmed contact */
#define FS_DELEGATION_BYTES_MAX (16u * 1024 * 1024)  /* that one reserves */
#define FS_DELEGATED_BYTES_MAX (4096ull * 1024 * 1024) /* that all reserve */
#define FS_DELEGATIONS_PER_SESSION 1024u             /* they all go in the entry that ends it */
#define FS_DELEGATIONS_AT_ONCE 256u                  /* returned by one entry */
#define FS_GATHERED_EXTENTS_MAX 1024u

enum fs_gathered_flags {
	FS_GATHERED_RETURN = 1, /* the delegation ends with this entry */
};

/* FS_GATHERED's data is a sequence of these, none empty, FS_IO_MAX bytes in all at most. */
struct fs_extent {
	uint64_t offset;
	uint32_t len;
	const uint8_t *data; /* borrowed */
};
#define FS_EXTENT_HEAD_SIZE 12u
void fs_extent_encode(const struct fs_extent *e, struct buf *out);
/* Advances *data and *len; false at the end or on damage. */
bool fs_extent_next(const uint8_t **data, size_t *len, struct fs_extent *e);

/* How requests name sessions: uuid, then le64 id. */
#define FS_SESSION_NAME_SIZE (KV_UUID_SIZE + 8)

enum fs_setattr_valid {
	FS_SET_MODE = 1,
	FS_SET_UID = 2,
	FS_SET_GID = 4,
	FS_SET_SIZE = 8,
	FS_SET_ATIME = 16,
	FS_SET_MTIME = 32,
	FS_SET_ATIME_NOW = 64,
	FS_SET_MTIME_NOW = 128,
	FS_SET_KILL_PRIV = 256, /* the kernel leaves clearing suid and sgid to us (FATTR_KILL_SUIDGID) */
	FS_SET_CTIME = 512,     /* nothing but that it changes: ctime moves, a file capability goes */
	FS_SET_WAS_READ = 1024, /* alone: atime, if that is later and not before ctime; nothing else moves */
};

/* What a holder may gather: nothing that can be refused, or that says "now". */
#define FS_GATHERED_VALID \
	(FS_SET_MODE | FS_SET_UID | FS_SET_GID | FS_SET_ATIME | FS_SET_MTIME | FS_SET_KILL_PRIV)

enum fs_allocate_flags {
	FS_ALLOCATE_KEEP_SIZE = 1, /* nothing is stored behind the block in which the file ends */
	FS_ALLOCATE_ZERO = 2,      /* what is there becomes zeros */
};

enum fs_reclaim_flags {
	FS_RECLAIM_TRUNCATE = 1, /* as FS_ORPHANS listed it: linked. Ends no orphan, whatever it is by then */
};

/* One flat struct for all operations; unused fields are 0. Pointers are borrowed. */
struct fs_request {
	uint8_t op; /* enum fs_op */
	uint32_t uid, gid;  /* of the caller */
	bool checked;       /* its permissions are to be checked here, as no kernel has done it */
	uint64_t ino, ino2;
	const char *name, *name2; /* not NUL-terminated when decoded: see the lengths */
	size_t name_len, name2_len;
	uint32_t mode, rdev, flags, valid;
	uint32_t uid2, gid2;      /* SETATTR: the new owner */
	uint64_t offset, size;
	int64_t atime_ns, mtime_ns; /* since 1970; any int64 */
	const void *data;
	size_t data_len;
};

struct fs_attr {
	uint64_t ino;
	uint32_t mode; /* with type bits */
	uint32_t nlink, uid, gid, rdev;
	uint64_t size, blocks; /* blocks: 512 byte units really stored */
	int64_t atime_ns, mtime_ns, ctime_ns, btime_ns;
	uint64_t data_version; /* no utimens can restore it */
};

/* A reply as it travels in the log and on channels. What is set depends on the operation. */
struct fs_reply {
	bool has_attr;
	struct fs_attr attr;
	uint64_t old_data_version; /* WRITE, SETATTR, OPEN_TRUNC, CREATE, ...: before this operation */
	uint64_t count;            /* WRITE, ALLOCATE, PUNCH, COPY_RANGE: bytes done; KV: length */
	uint64_t offset;           /* WRITE with O_APPEND: where the bytes went */
	bool created;              /* CREATE: the file is new */
	const void *data;          /* READ, READLINK, READDIR, xattrs, KV_GET; borrowed */
	size_t data_len;
	bool has_dir;              /* CREATE, MKDIR, UNLINK, ...: dir is the parent after it */
	struct fs_attr dir;
	struct fs_delegation delegation; /* CREATE, WRITE, TMPFILE: granted; GATHERED: what is left of it */
	uint64_t index; /* not encoded, known to the session: it shows the state as of this entry; 0: unknown */
};

/* Layout tables in request.c. Decoders: 0 or -EPROTO; results borrow from data. */
void fs_request_encode(const struct fs_request *rq, struct buf *out);
int fs_request_decode(struct fs_request *rq, const void *data, size_t len);
void fs_reply_encode(const struct fs_reply *reply, struct buf *out);
int fs_reply_decode(struct fs_reply *reply, const void *data, size_t len);
bool fs_op_is_read(uint8_t op);
bool fs_op_is_internal(uint8_t op); /* refused when it comes from a client */
bool fs_op_grows(uint8_t op);       /* refused with ENOSPC when space runs out; deletes are not */
bool fs_op_is_lock(uint8_t op);     /* allowed on a mount that is read only */
const char *fs_op_name(uint8_t op);

/* READDIR's data is a sequence of these. */
struct fs_dirent {
	uint64_t ino, cookie; /* cookie: pass as offset to go on after this entry; 63 bits */
	uint32_t mode;        /* type bits */
	const char *name;
	size_t name_len;
};
void fs_dirent_encode(const struct fs_dirent *d, struct buf *out);
/* Advances *data and *len; false at the end or on damage. */
bool fs_dirent_next(const uint8_t **data, size_t *len, struct fs_dirent *d);

/* STATFS' data. */
struct fs_statfs {
	uint64_t inode_count, bytes_used; /* of the replicated tree */
	uint64_t total_bytes, free_bytes; /* of the answering node's disk; fs_statfs_set_space() */
};
int fs_statfs_decode(struct fs_statfs *st, const void *data, size_t len);
/* Replaces both in an encoded fs_reply to FS_STATFS; fs_eval() leaves them 0, as it sees no disk. */
void fs_statfs_set_space(struct buf *reply, uint64_t total_bytes, uint64_t free_bytes);

/* FS_ORPHANS' data: a sequence of these. */
struct fs_orphan {
	uint64_t ino;
	bool linked;          /* a large truncate of a living file: reclaim without asking anybody */
	uint32_t holder_count;
	const uint8_t *holders; /* le64 session ids as last logged */
};
bool fs_orphan_next(const uint8_t **data, size_t *len, struct fs_orphan *o);

/* What the leader fixes once, for all replicas. */
struct fs_stamp {
	uint64_t index;  /* the entry this will be; makes directory cookies */
	int64_t wall_ns;
	uint64_t session_id;  /* whose request it is; 0: nobody's, or not known (reads) */
	uint32_t step_blocks; /* how many blocks one entry drops at most; 0: FS_RECLAIM_BLOCKS */
	uint64_t room_bytes;  /* that the state may still grow on the tightest node; 0: nothing is delegated */
	bool no_delegation;   /* of this inode: it was recalled a moment ago */
};

enum fs_outcome {
	FS_OK,      /* reply; mutations in txn (none for reads) */
	FS_ERROR,   /* status holds the errno; nothing was mutated */
	FS_BLOCKED, /* evaluate again from the start once `blocked_ino` changed */
};

struct fs_result {
	enum fs_outcome outcome;
	int status;           /* FS_ERROR: negative errno */
	uint64_t blocked_ino;
	struct fs_delegation blocked_by; /* to be recalled; number 0: it is none that is in the way */
	bool frees;           /* a delegation ends: who was blocked by it may get on */
	struct buf reply;     /* encoded struct fs_reply; the caller releases it */
};

/*
 * Reads and changes alike. Return 0 with *result filled; a negative errno only when the store itself
 * failed (-EIO, -EUCLEAN), which is not an answer to the client.
 * Thread: any, as the txn is the thread's own. Source: POSIX.1-2017, Linux man pages, section 4 of
 * the FUSE reference.
 */
int fs_eval(struct kv_txn *txn, const struct fs_request *rq, const struct fs_stamp *stamp,
	    struct fs_result *result);

/* The inode that a mutation belongs to, or 0. */
uint64_t fs_mutation_ino(const struct kv_mutation *m);
/* Does it touch the orphan list or a pending truncate? Then the leader has work to look for. */
bool fs_mutation_is_orphan(const struct kv_mutation *m);

/*
 * Attributes come from inode records, names from directory entries; each has a slot (fs_board.h), shared with
 * others. False: m is of another kind.
 */
#define FS_SLOTS 16384u
uint32_t fs_slot_of_ino(uint64_t ino);
uint32_t fs_slot_of_name(uint64_t parent, const void *name, size_t len);
bool fs_mutation_slot(const struct kv_mutation *m, uint32_t *slot);

/* The inode on which a lock went or changed, or whose delegation went, so that somebody may get on who waits; 0: none. */
uint64_t fs_mutation_unlocks(const struct kv_mutation *m);

/* Consistency of the whole tree: link counts, parents, orphans, counters, block references; text lines
 * of what is wrong go to out. 0: clean, 1: not, negative: store error. For tests and ctl. */
int fs_check(struct kv_txn *txn, struct buf *out);

#endif
