/*
 * fsmodel.h - what a POSIX file system does, in the plainest form: nodes with pointers, contents as
 * arrays. Written against the standard and Linux, not against fs/ops, so that the two can disagree.
 *
 * Nodes are told apart by pointer; their inode number is what the file system under test gave them. A
 * node that lost its last name stays until model_reclaim().
 */
#ifndef TESTS_LIB_FSMODEL_H
#define TESTS_LIB_FSMODEL_H

#include "base/buf.h"
#include "fs/fs.h"

#define MODEL_XATTRS_MAX 8

struct mnode;

struct mentry {
	char *name; /* owned */
	struct mnode *node;
};

struct mxattr {
	char name[24];
	char value[24];
};

struct mnode {
	struct fs_attr attr; /* size, blocks and data_version are kept as well */
	struct buf content;  /* files: all bytes; symlinks: the target */
	struct buf stored;   /* files: a byte for each block: was it ever written since it was cut? */
	struct mentry *entries;
	size_t entry_count, entry_cap;
	struct mnode *parent; /* of a directory */
	bool may_get_name;    /* a temporary file that never had one */
	struct mxattr xattrs[MODEL_XATTRS_MAX];
	size_t xattr_count;
};

struct model {
	struct mnode **nodes; /* all, orphans too; nodes[0] is the root */
	size_t count, cap;
	int64_t now; /* of the operation that follows */
	uint32_t uid, gid;
};

void model_init(struct model *m);
void model_release(struct model *m);
struct mnode *model_find(const struct mnode *dir, const char *name); /* NULL: no such name */

/* Each returns 0 or a negative errno, and changes the model as the operation does. */
int model_lookup(struct model *m, struct mnode *dir, const char *name, struct mnode **node);
/* All that make an inode; *node is new when ret is 0 and *created. target: symlinks. */
int model_make(struct model *m, struct mnode *dir, const char *name, uint32_t mode,
	       const char *target, struct mnode **node);
int model_create(struct model *m, struct mnode *dir, const char *name, uint32_t mode,
		 uint32_t flags, struct mnode **node, bool *created);
/* O_TMPFILE; linkable: without O_EXCL. */
int model_tmpfile(struct model *m, struct mnode *dir, uint32_t mode, bool linkable, struct mnode **node);
int model_unlink(struct model *m, struct mnode *dir, const char *name);
int model_rmdir(struct model *m, struct mnode *dir, const char *name);
int model_link(struct model *m, struct mnode *node, struct mnode *dir, const char *name);
int model_rename(struct model *m, struct mnode *dir, const char *name, struct mnode *dir2,
		 const char *name2, uint32_t flags);
int model_write(struct model *m, struct mnode *node, uint64_t off, bool append, const void *data,
		size_t len);
int model_truncate(struct model *m, struct mnode *node, uint64_t size, bool by_open);
/* keep: the size stays, and nothing is stored behind the block in which it ends; zero: what is there goes. */
int model_allocate(struct model *m, struct mnode *node, uint64_t off, uint64_t len, bool keep, bool zero);
int model_punch(struct model *m, struct mnode *node, uint64_t off, uint64_t len);
/* len bytes, all of which may be copied. Holes of whole blocks that lie alike stay holes. */
int model_copy(struct model *m, const struct mnode *src, uint64_t from, struct mnode *dst, uint64_t to,
	       uint64_t len);
int model_seek(const struct mnode *node, uint64_t off, bool hole, uint64_t *found);
int model_chmod(struct model *m, struct mnode *node, uint32_t mode);
int model_chown(struct model *m, struct mnode *node, uint32_t uid);
int model_utimens(struct model *m, struct mnode *node, int64_t atime_ns, int64_t mtime_ns);
void model_was_read(struct mnode *node, int64_t at_ns, int64_t now_ns);
int model_setxattr(struct model *m, struct mnode *node, const char *name, const char *value,
		   uint32_t flags);
int model_removexattr(struct model *m, struct mnode *node, const char *name);
const char *model_getxattr(const struct mnode *node, const char *name); /* NULL: not there */
/* Forgets an orphan. */
void model_reclaim(struct model *m, struct mnode *node);

#endif
