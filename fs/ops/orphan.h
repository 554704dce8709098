/* orphan.h - inodes without a name, and how they end. */
#ifndef FS_OPS_ORPHAN_H
#define FS_OPS_ORPHAN_H

#include "fs/ops/inode.h"

/* n has lost its last name: lists it and stores it, or, if nobody can hold it open, deletes it. */
int orphan_add(struct eval *ev, struct inode *n);
/* n gets a name: it is listed no more. The caller stores it. */
void orphan_remove(struct eval *ev, const struct inode *n);

#endif
