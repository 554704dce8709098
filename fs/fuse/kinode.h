/*
 * kinode.h - what the kernel knows of our inodes: lookup counts, open files, and which data version
 * its cached pages have.
 *
 * The kernel drops an inode's pages by itself when an attribute reply shows another size or mtime than
 * it holds. That is not enough: an mtime can be set back, and attributes whose request was overtaken by
 * a write, a setattr or a notification of the same inode are discarded, after which the reader goes on
 * with old pages. So a reply that shows a version we did not make ourselves waits until a notification
 * has dropped the pages. But a notification is one of those that overtake: it makes the kernel discard
 * that very reply. Where the size is another one the kernel must take it, so such a reply goes out at
 * once, and drops the pages because of the size.
 *
 * Own changes move the recorded version, as every page is either theirs or unchanged by them; but only
 * of a file that was never read here: the kernel does not lock the pages that a WRITE carries, so they
 * may be dropped and read again as they were before it.
 *
 * 64 bytes per inode; the node ids are the inode numbers.
 */
#ifndef FS_FUSE_KINODE_H
#define FS_FUSE_KINODE_H

#include <pthread.h>

#include "base/base.h"
#include "base/hash.h"
#include "fs/fs.h"

struct kinode_table {
	pthread_mutex_t lock; /* guards the table and its inodes; held for a few instructions */
	struct htable by_ino;
};

void kinode_table_init(struct kinode_table *t);
void kinode_table_release(struct kinode_table *t);
size_t kinode_table_count(struct kinode_table *t);

/* One more name was told to the kernel. Before the first one it has no pages, so any version is right. */
void kinode_lookup(struct kinode_table *t, const struct fs_attr *attr);
/* The kernel forgets count lookups; the inode goes with the last of them and the last open. */
void kinode_forget(struct kinode_table *t, uint64_t ino, uint64_t count);

void kinode_open(struct kinode_table *t, uint64_t ino);
/* True: nobody has it open any more. */
bool kinode_close(struct kinode_table *t, uint64_t ino);
uint64_t kinode_opens(struct kinode_table *t, uint64_t ino); /* how many open files */
bool kinode_is_open(struct kinode_table *t, uint64_t ino);

/*
 * A reply that shows attr is about to be sent; told: with attr in it. True: the kernel may hold pages of
 * an older version; drop them and call kinode_dropped() before replying.
 */
bool kinode_observe(struct kinode_table *t, const struct fs_attr *attr, bool told);
void kinode_dropped(struct kinode_table *t, const struct fs_attr *attr);
/* Does the kernel's cache hold exactly this version, so that OPEN may keep it? */
bool kinode_is_current(struct kinode_table *t, uint64_t ino, uint64_t version);
void kinode_read(struct kinode_table *t, uint64_t ino); /* a READ begins */
/* Around each of our own changes of an inode, from before it is sent to after its answer. */
void kinode_change_begin(struct kinode_table *t, uint64_t ino);
void kinode_change_end(struct kinode_table *t, uint64_t ino);
/* It moved old_version to attr's, and the kernel now holds attr's size ... */
void kinode_changed(struct kinode_table *t, const struct fs_attr *attr, uint64_t old_version);
/* ... or, after a write, at least end. */
void kinode_wrote(struct kinode_table *t, const struct fs_attr *attr, uint64_t old_version,
		  uint64_t end);
/* The cache is known to differ from every version. */
void kinode_distrust(struct kinode_table *t, uint64_t ino);

#endif
