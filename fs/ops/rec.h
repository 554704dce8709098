/*
 * rec.h - the records behind the keys; layout tables in rec.c.
 *
 * Every record starts with a version byte. Decoders return 0 or -EUCLEAN and leave the result
 * untouched on failure; what they point to is borrowed from the data.
 */
#ifndef FS_OPS_REC_H
#define FS_OPS_REC_H

#include "base/base.h"
#include "base/buf.h"
#include "fs/fs.h"
#include "fs/fs_lock.h"

#define INODE_NO_TRUNCATE UINT32_MAX

enum inode_flags {
	INODE_RECLAIMING = 1, /* an orphan that has lost blocks: nobody may use it any more */
	INODE_LINKABLE = 2,   /* has never had a name, and may get its first (O_TMPFILE) */
	INODE_DELEGATED = 4,  /* there is a delegation record */
};

struct inode_rec {
	uint8_t flags; /* enum inode_flags */
	uint32_t mode, nlink, uid, gid, rdev;
	uint64_t size; /* bytes; of a directory: its entries */
	int64_t atime_ns, mtime_ns, ctime_ns, btime_ns;
	uint64_t data_version;
	uint64_t parent;      /* of a directory; the root's is itself; 0 for all others */
	uint32_t block_count; /* rows stored, stale ones behind trunc_from included */
	uint32_t trunc_from;  /* rows from this block on read as zeros and wait for FS_RECLAIM */
	uint32_t xattr_count;
	uint32_t xattr_bytes;  /* of what LISTXATTR answers */
	const uint8_t *target; /* of a symlink */
	size_t target_len;
};

void inode_rec_encode(const struct inode_rec *rec, struct buf *out);
int inode_rec_decode(struct inode_rec *rec, const void *data, size_t len);
/* Bytes that the counters and st_blocks show: rows, but not beyond the size's last 4 KiB. */
uint64_t inode_rec_bytes(const struct inode_rec *rec);

struct dentry_rec {
	uint64_t ino, cookie;
	uint32_t mode; /* type bits */
};

void dentry_rec_encode(const struct dentry_rec *rec, struct buf *out);
int dentry_rec_decode(struct dentry_rec *rec, const void *data, size_t len);

struct order_rec {
	uint64_t ino;
	uint32_t mode; /* type bits */
	const uint8_t *name;
	size_t name_len;
};

void order_rec_encode(const struct order_rec *rec, struct buf *out);
int order_rec_decode(struct order_rec *rec, const void *data, size_t len);

struct orphan_rec {
	uint32_t holder_count;
	const uint8_t *holders; /* le64 session ids */
};

void orphan_rec_encode(const struct orphan_rec *rec, struct buf *out);
int orphan_rec_decode(struct orphan_rec *rec, const void *data, size_t len);

/* A pending truncate says all it has to say by being there. */
void truncate_rec_encode(struct buf *out);
int truncate_rec_decode(const void *data, size_t len);

struct counters_rec {
	uint64_t next_ino;    /* never goes back, so no number is used twice */
	uint64_t inode_count; /* inode records, orphans included */
	uint64_t bytes_used;  /* sum of inode_rec_bytes() */
};

void counters_rec_encode(const struct counters_rec *rec, struct buf *out);
int counters_rec_decode(struct counters_rec *rec, const void *data, size_t len);

/* Behind a lock's key. */
struct lock_rec {
	uint8_t type; /* enum fs_lock_type, never UNLOCK */
	uint64_t end; /* last byte */
	uint32_t pid;
};

void lock_rec_encode(const struct lock_rec *rec, struct buf *out);
int lock_rec_decode(struct lock_rec *rec, const void *data, size_t len);

/* How many locks a session has on an inode, or in all. */
void holder_rec_encode(uint32_t count, struct buf *out);
int holder_rec_decode(uint32_t *count, const void *data, size_t len);

/* Who may gather writes, and how many bytes of them: see struct fs_delegation. */
void delegation_rec_encode(const struct fs_delegation *rec, struct buf *out);
int delegation_rec_decode(struct fs_delegation *rec, const void *data, size_t len);

/* What one session has of them. */
struct delegated {
	uint64_t session;
	uint32_t count;
	uint64_t bytes;
};

void delegated_encode(const struct delegated *d, struct buf *out);
/* The number of sessions in the record, or -EUCLEAN. */
int delegated_rec_count(const void *data, size_t len);
struct delegated delegated_at(const void *data, size_t i);
/* Begins the record; delegated_encode() follows for each session. */
void delegated_rec_begin(struct buf *out);

/* What a waiter waits for. */
struct waiter_rec {
	uint8_t kind, type;
	uint64_t ino, start, end;
};

void waiter_rec_encode(const struct waiter_rec *rec, struct buf *out);
int waiter_rec_decode(struct waiter_rec *rec, const void *data, size_t len);

#endif
