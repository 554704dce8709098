/*
 * atime.h - access times, lazily: reads are noted here, and every ten seconds and at the end of the mount
 * what was noted becomes one small change an inode.
 *
 * The kernel keeps no access times of a FUSE file (its inodes are S_NOATIME), and a read must never wait
 * for a log entry. So a note costs a hash lookup; this mount shows it at once, the others when it is
 * written; what was noted and not written when the process is killed, or longer than the end of the
 * mount waits for it, is lost. Under relatime (mount(8)) only those are written that tell something: the
 * old time is not later than the last change, or a day older.
 *
 * Reads that the kernel answers from its page cache do not come here: opening for reading is noted instead
 * where pages are kept.
 */
#ifndef FS_FUSE_ATIME_H
#define FS_FUSE_ATIME_H

#include <pthread.h>
#include <time.h>

#include "base/base.h"
#include "base/hash.h"
#include "fs/fs_fuse.h"

struct atime_table {
	enum fs_atime policy;
	struct fs_session *session; /* borrowed from start to stop */
	pthread_mutex_t lock;       /* guards all below */
	pthread_cond_t changed;
	struct htable by_ino;
	bool running, stopping, read_only;
	struct timespec until; /* stopping: writing ends then, by CLOCK_MONOTONIC */
	pthread_t writer;
	bool answered; /* the writer's one request, and its answer */
	int status;
	struct fs_attr attr; /* read by the writer without the lock, between its requests */
};

void atime_table_init(struct atime_table *t, enum fs_atime policy);
void atime_table_release(struct atime_table *t); /* not running */
/* Starts the thread that writes; nothing is noted before. With FS_NOATIME nothing starts. 0 or -errno. */
int atime_start(struct atime_table *t, struct fs_session *session);
/* Writes what is noted, for three seconds at most, and ends the thread. */
void atime_stop(struct atime_table *t);

/* Of a mount that is read only nothing is noted. Any thread. */
void atime_set_read_only(struct atime_table *t, bool read_only);
/* Somebody reads ino, now, through what was opened with these flags (O_NOATIME). Any thread. */
void atime_note(struct atime_table *t, uint64_t ino, uint32_t open_flags);
/* Its times are set by a request of this mount: what was noted before is overtaken. */
void atime_forget(struct atime_table *t, uint64_t ino);
/* What stat(2) shows: attr's atime, or what is noted and will be written. */
int64_t atime_shown(struct atime_table *t, const struct fs_attr *attr);

/* relatime's rule: is a read at now_ns worth writing? Source: relatime_need_update() of Linux. */
bool atime_is_due(const struct fs_attr *attr, int64_t now_ns);

#endif
