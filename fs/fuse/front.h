/*
 * front.h - what the files of the FUSE front end share: the mount, one kernel request, the replies.
 *
 * A kernel request becomes a `struct op`. Its handler copies what it needs, hands a request to the
 * session and returns; the session's answer arrives on another thread and ends in exactly one FUSE
 * reply. Where the answer shows that cached pages are stale, a notifier thread drops them first.
 */
#ifndef FS_FUSE_FRONT_H
#define FS_FUSE_FRONT_H

#include <fuse3/fuse_lowlevel.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/list.h"
#include "fs/fs.h"
#include "fs/fs_fuse.h"
#include "fs/fuse/atime.h"
#include "fs/fuse/gather.h"
#include "fs/fuse/init.h"
#include "fs/fuse/kinode.h"
#include "fs/fuse/klock.h"
#include "fs/fuse/lcache.h"
#include "fs/fuse/mount.h"
#include "fs/fuse/notify.h"

#define FRONT_BLOCK_SIZE 4096u /* statfs */
#define FRONT_IO_SIZE 131072u  /* st_blksize: what stdio and cp use at once */

struct fs_fuse {
	struct fs_fuse_options options; /* strings are ours */
	struct fuse_session *se;
	struct fs_session *session; /* borrowed; set by attach, before run */
	struct mount_point mount;
	struct init_patch init;
	struct kinode_table inodes;
	struct klock_table locks;
	struct atime_table atimes;
	struct lcache known;
	struct gather gather;
	_Atomic uint64_t next_fh;     /* handles are numbered, and no number is used twice; odd: it can write */
	_Atomic uint64_t next_waiter; /* likewise those who wait for a lock */
	struct notifier notifier;
	struct {
		atomic_bool soft;
		_Atomic double attr_timeout, entry_timeout, negative_timeout;
	} live; /* as in struct fs_fuse_live */
	atomic_uint creates; /* CREATE requests under way: inode not known yet */
	sem_t stop;          /* fs_fuse_stop(), and the end of run */
	atomic_bool ended;   /* the loop returned */
	atomic_bool drained; /* nobody waits for requests that were never read */
	pthread_t runner;    /* of the loop, to be interrupted */
};

struct op;
/* The session's answer: status 0 with reply, or a negative errno. Ends in a reply. */
typedef void (*op_done_fn)(struct op *op, int status, const struct fs_reply *reply);

struct op {
	struct fs_fuse *fuse;
	fuse_req_t req;
	op_done_fn done;
	void (*finish)(struct op *op); /* replies from attr, after stale pages are gone */
	struct notice notice;
	atomic_uint refs;        /* the handler, the session's callback, the notifier */
	_Atomic uint64_t ticket; /* of the session; 0: not submitted yet */
	atomic_bool interrupted;
	uint64_t ino; /* whose open count this op raised, or that it changes */
	uint64_t offset;
	uint64_t left;  /* bytes that are still to be done, in several requests */
	size_t size;    /* room in the caller's buffer */
	uint32_t flags; /* open(2)'s */
	bool keep_cache;
	bool by_handle;    /* what is asked for was permitted when the file was opened */
	bool sets_atime;
	bool tells_attr;   /* the reply carries attributes to the kernel */
	bool changes;      /* data or size of ino: kinode_change_begin() and end around it */
	bool is_writepage; /* pages of a mapping: no caller, so nothing may be refused or cleared */
	bool aside;        /* it goes on in a callback, which must not block in the channel */
	bool may_gather;   /* a WRITE may be kept here, a new file asked for with a delegation */
	bool asks;         /* ... was asked for */
	bool has_waited;   /* what was gathered when it came is sent */
	struct gather_wait wait;
	void (*synced)(struct op *op, int status); /* of op_sync() */
	struct fs_request held; /* what waits; its names and data in held_bytes */
	struct buf held_bytes;
	uint64_t fh;
	uint64_t fence;      /* session whose locks the data relies on; 0: none */
	struct fs_lock lock; /* of lock requests */
	int status;          /* what a lock request ends with, once it has cleaned up */
	struct buf data;     /* read, but not yet known to be read under the lock */
	void (*confirmed)(struct op *op);
	struct fs_attr attr;
	struct fs_request asked; /* for what the answer teaches: without data, its names in asked_names */
	struct buf asked_names;
};

/* Borrows nothing. The handler must end with op_submit() or op_fail(), which take its reference. */
struct op *op_new(fuse_req_t req, op_done_fn done);
/* Does the caller act as somebody else? Then nobody but the evaluator checks what it may. */
bool op_is_squashed(fuse_req_t req);
/* Fills in the caller and submits; answers by itself when it cannot. rq is borrowed. */
void op_submit(struct op *op, struct fs_request *rq);
/* From the op's own done function, instead of replying: submits another request, whose answer goes to op->done. */
void op_submit_again(struct op *op, struct fs_request *rq);
/* Instead of op_submit(): 0 or a negative errno; op_reply_error() maps it. */
void op_reply_now(struct op *op, int status);
/* Drops stale pages by the notifier when op->attr tells so, then calls finish(op). */
void op_finish_coherent(struct op *op, void (*finish)(struct op *op));

/* Replies; each frees op->req. The errno is mapped so that none of ours escapes. */
void op_reply_error(struct op *op, int status);
void op_reply_attr(struct op *op);  /* from op->attr */
void op_reply_entry(struct op *op); /* from op->attr; counts one lookup */
/* done functions shared by subjects */
void op_done_status(struct op *op, int status, const struct fs_reply *reply);
void op_done_entry(struct op *op, int status, const struct fs_reply *reply);

void op_fill_stat(struct fs_fuse *fuse, const struct fs_attr *attr, struct stat *st);
void op_fill_entry(struct fs_fuse *fuse, const struct fs_attr *attr,
		   struct fuse_entry_param *e);

/* Handlers, by file. */
void ops_lookup_fill(struct fuse_lowlevel_ops *ops); /* lookup forget forget_multi */
void ops_attr_fill(struct fuse_lowlevel_ops *ops);   /* getattr setattr statfs */
void ops_dir_fill(struct fuse_lowlevel_ops *ops);    /* *dir */
void ops_file_fill(struct fuse_lowlevel_ops *ops);   /* open create read write flush fsync ioctl */
void ops_space_fill(struct fuse_lowlevel_ops *ops);  /* fallocate lseek copy_file_range */
void ops_link_fill(struct fuse_lowlevel_ops *ops);   /* *link rename mknod */
void ops_xattr_fill(struct fuse_lowlevel_ops *ops);
void ops_lock_fill(struct fuse_lowlevel_ops *ops, const struct fs_fuse_options *options);

/* Waits for what was gathered of op->ino with last as in gather_sync(), then calls synced; takes op's reference. */
void op_sync(struct op *op, bool last, void (*synced)(struct op *op, int status));
static inline bool fh_can_write(uint64_t fh)
{
	return fh & 1;
}

/* ops_lock.c: op's descriptor (ino, fh, lock.owner) is closed; answers with status if nothing else goes wrong. Takes op's
 * reference. */
void lock_flush(struct op *op, int status);
/* A handle is gone; releases aside what was locked through it. */
void lock_handle_gone(struct fs_fuse *fuse, uint64_t ino, uint64_t fh);
/*
 * From a done function that is about to show data: was it read under the locks that op->fence stands for? False:
 * yes, or there are none. Else it has to be asked, and confirmed() is called if they were there; EIO if not.
 */
bool lock_confirm(struct op *op, void (*confirmed)(struct op *op));

#endif
