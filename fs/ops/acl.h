/*
 * acl.h - POSIX ACLs: two attributes that the mode has to agree with.
 *
 * The kernel checks permissions by them; what they make of modes is ours, as each happens in one entry with
 * the change that causes it: an access ACL is stored only if it says more than the mode, and then the mode's
 * group bits are its mask; chmod(2) changes the ACL as well; what is made below a directory with a default
 * ACL inherits it, and then no umask counts.
 */
#ifndef FS_OPS_ACL_H
#define FS_OPS_ACL_H

#include "fs/ops/dir.h"

#define ACL_ENTRIES_MAX 511u /* what the kernel takes: one page */

enum acl_kind { ACL_NONE, ACL_ACCESS, ACL_DEFAULT };

struct acl_entry {
	uint16_t tag, perm; /* the kernel's: enum acl_tag in acl.c, 4 read, 2 write, 1 execute */
	uint32_t id;        /* named users and groups */
};

struct acl {
	struct acl_entry v[ACL_ENTRIES_MAX];
	size_t count;
};

/* Which ACL is the attribute of this name? */
enum acl_kind acl_kind(struct name name);
/* The value of such an attribute; layout table in acl.c. 0; -EINVAL, also for what is no valid ACL; -E2BIG. */
int acl_decode(struct acl *acl, const void *data, size_t len);
void acl_encode(const struct acl *acl, struct buf *out);
/* The nine permission bits that go with it; *says_all: they say all that it says. */
uint32_t acl_mode(const struct acl *acl, bool *says_all);

/* SETXATTR of an ACL on n, whose mode follows; exists: there is one now. n is not stored. -EACCES,
 * -EOPNOTSUPP, -EINVAL, -E2BIG. */
int acl_set(struct eval *ev, struct inode *n, bool exists);
/* n's mode was changed by chmod: so is its ACL. n is not stored. */
int acl_chmod(struct eval *ev, struct inode *n);
/* n is new in dir: its ACLs and the mode that is left of the one asked for. n is not stored. */
int acl_inherit(struct eval *ev, const struct inode *dir, struct inode *n);
/* The caller is not n's owner: does n's access ACL grant it all that is wanted (4, 2, 1, ored)? 0, -EACCES,
 * -ENOENT when there is none, or the store's errors. */
int acl_grants(struct eval *ev, const struct inode *n, uint32_t wanted);
/* Has n an access ACL? 1, 0, or the store's errors. */
int acl_is_there(struct eval *ev, const struct inode *n);

#endif
