/* xattr.h - what other operations need of extended attributes. */
#ifndef FS_OPS_XATTR_H
#define FS_OPS_XATTR_H

#include "fs/ops/inode.h"

/* Deletes security.capability if it is there; n is not stored. 0 or the store's errors. */
int xattr_drop_capability(struct eval *ev, struct inode *n);
/* Deletes up to limit attributes; n is not stored, n->rec.xattr_count tells what is left. */
int xattr_drop_some(struct eval *ev, struct inode *n, uint32_t limit);

#endif
