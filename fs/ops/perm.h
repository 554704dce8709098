/*
 * perm.h - permissions of callers that the kernel has not checked.
 *
 * As a rule the kernel checks (default_permissions), by the real caller. Where a mount lets callers act as
 * somebody else (root_squash, all_squash), nobody but us can: requests say so (rq->checked), and are held
 * against modes and ACLs in the same evaluation that does what they ask for.
 */
#ifndef FS_OPS_PERM_H
#define FS_OPS_PERM_H

#include "fs/ops/dir.h"

enum perm {
	PERM_EXEC = 1, /* of directories: look for names in them */
	PERM_WRITE = 2,
	PERM_READ = 4,
};

/*
 * May the caller do what it asks for? 0, -EACCES or -EPERM, or the errors of what it needs to load. What
 * concerns open files and directories (READ, READDIR, WRITE, locks, space) was asked when they were opened.
 */
int perm_check_request(struct eval *ev);
/* May it do this (enum perm, ored) with n? 0, -EACCES, or the store's errors. path_resolution(7), acl(5). */
int perm_check(struct eval *ev, const struct inode *n, uint32_t wanted);

#endif
