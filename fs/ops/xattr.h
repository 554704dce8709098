/* xattr.h - what other operations need of extended attributes. */
#ifndef FS_OPS_XATTR_H
#define FS_OPS_XATTR_H

#include "fs/ops/dir.h"

/* Deletes security.capability if it is there; n is not stored. 0 or the store's errors. */
int xattr_drop_capability(struct eval *ev, struct inode *n);
/* Deletes up to limit attributes; n is not stored, n->rec.xattr_count tells what is left. */
int xattr_drop_some(struct eval *ev, struct inode *n, uint32_t limit);

/* One attribute by its whole name, whatever its name space; n is not stored. */
int xattr_get(struct eval *ev, const struct inode *n,
	      struct name name); /* ev->row; 0, -ENOENT, ... */
/* exists: as xattr_get() has told. */
void xattr_put(struct eval *ev, struct inode *n, struct name name, bool exists, const void *value,
	       size_t len);
void xattr_delete(struct eval *ev, struct inode *n, struct name name); /* which is there */

#endif
