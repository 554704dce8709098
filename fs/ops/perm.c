/* perm.c - see perm.h. Source: path_resolution(7), acl(5), fs/namei.c and fs/attr.c of Linux. */
#include "fs/ops/perm.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/mark.h"
#include "fs/ops/acl.h"
#include "fs/ops/xattr.h"

#define OPEN_FOR_EXEC 040u /* the kernel's FMODE_EXEC, which it leaves among the flags of OPEN */

static bool is_owner(const struct eval *ev, const struct inode *n)
{
	return ev->rq->uid == 0 || ev->rq->uid == n->rec.uid;
}

int perm_check(struct eval *ev, const struct inode *n, uint32_t wanted)
{
	const struct fs_request *rq = ev->rq;
	uint32_t granted;
	int ret;

	/* Root may do everything but run what nobody may run. */
	if (rq->uid == 0)
		return (wanted & PERM_EXEC) && !S_ISDIR(n->rec.mode) && !(n->rec.mode & 0111) ? -EACCES : 0;
	if (rq->uid == n->rec.uid) {
		granted = n->rec.mode >> 6;
	} else {
		/* As Linux has it (acl_permission_check()), an ACL whose mask is empty does not count. */
		ret = n->rec.mode & 070 ? acl_grants(ev, n, wanted) : -ENOENT;
		if (ret != -ENOENT)
			return ret;
		granted = rq->gid == n->rec.gid ? n->rec.mode >> 3 : n->rec.mode;
	}
	return wanted & ~granted ? -EACCES : 0;
}

static int check_dir(struct eval *ev, uint64_t ino, uint32_t wanted)
{
	struct inode dir;
	int ret = inode_load_dir(ev, ino, &dir);

	return ret < 0 ? ret : perm_check(ev, &dir, wanted);
}

static int check_inode(struct eval *ev, uint64_t ino, uint32_t wanted)
{
	struct inode n;
	int ret = inode_load(ev, ino, &n);

	return ret < 0 ? ret : perm_check(ev, &n, wanted);
}

/* "." comes from whoever has a handle, of anything; else names are looked for in directories. */
static int check_lookup(struct eval *ev)
{
	const struct fs_request *rq = ev->rq;

	if (rq->name_len == 1 && rq->name[0] == '.')
		return 0;
	return check_dir(ev, rq->ino, PERM_EXEC);
}

/* Like dentry_load(), but what is no name that a directory could have is missing: the operation says what it is. */
static int find_name(struct eval *ev, uint64_t dir, const char *data, size_t len, struct dentry_rec *d)
{
	struct name name = { data, len };

	if (name_check_normal(name, -ENOENT) < 0)
		return -ENOENT;
	return dentry_load(ev, dir, name, d);
}

static uint32_t wanted_by_open(uint32_t flags)
{
	static const uint32_t by_mode[] = {
		[O_RDONLY] = PERM_READ,
		[O_WRONLY] = PERM_WRITE,
		[O_RDWR] = PERM_READ | PERM_WRITE,
		[O_ACCMODE] = PERM_READ | PERM_WRITE,
	};
	uint32_t wanted = by_mode[flags & O_ACCMODE];

	if (flags & OPEN_FOR_EXEC)
		wanted = PERM_EXEC;
	return wanted | (flags & O_TRUNC ? PERM_WRITE : 0);
}

/* CREATE opens what is there, or makes it. */
static int check_create(struct eval *ev)
{
	const struct fs_request *rq = ev->rq;
	struct dentry_rec d;
	int ret = check_dir(ev, rq->ino, PERM_EXEC);

	if (ret < 0)
		return ret;
	ret = find_name(ev, rq->ino, rq->name, rq->name_len, &d);
	if (ret == -ENOENT)
		return check_dir(ev, rq->ino, PERM_WRITE);
	return ret < 0 ? ret : check_inode(ev, d.ino, wanted_by_open(rq->flags));
}

static int check_mknod(struct eval *ev)
{
	const struct fs_request *rq = ev->rq;

	if ((S_ISCHR(rq->mode) || S_ISBLK(rq->mode)) && rq->uid != 0)
		return -EPERM;
	return check_dir(ev, rq->ino, PERM_WRITE | PERM_EXEC);
}

/* What moves to another directory gets another "..", which is a change of itself. */
static int check_moved_dir(struct eval *ev, uint64_t dir, const char *name, size_t len)
{
	struct dentry_rec d;
	int ret = find_name(ev, dir, name, len, &d);

	if (ret < 0 || !S_ISDIR(d.mode))
		return ret == -ENOENT ? 0 : ret; /* which rename answers as it must */
	return check_inode(ev, d.ino, PERM_WRITE);
}

static int check_rename(struct eval *ev)
{
	const struct fs_request *rq = ev->rq;
	int ret = check_dir(ev, rq->ino, PERM_WRITE | PERM_EXEC);

	if (ret == 0)
		ret = check_dir(ev, rq->ino2, PERM_WRITE | PERM_EXEC);
	if (ret == 0 && rq->ino != rq->ino2)
		ret = check_moved_dir(ev, rq->ino, rq->name, rq->name_len);
	/* What is replaced goes; only an exchange moves it. */
	if (ret == 0 && rq->ino != rq->ino2 && rq->flags != 0)
		ret = check_moved_dir(ev, rq->ino2, rq->name2, rq->name2_len);
	return ret;
}

static int check_setattr(struct eval *ev)
{
	const struct fs_request *rq = ev->rq;
	struct inode n;
	int ret = inode_load(ev, rq->ino, &n);

	if (ret < 0 || rq->uid == 0)
		return ret;
	if ((rq->valid & FS_SET_UID) && (!is_owner(ev, &n) || rq->uid2 != n.rec.uid))
		return -EPERM;
	if ((rq->valid & FS_SET_GID) &&
	    (!is_owner(ev, &n) || (rq->gid2 != n.rec.gid && rq->gid2 != rq->gid)))
		return -EPERM;
	if ((rq->valid & (FS_SET_MODE | FS_SET_ATIME | FS_SET_MTIME)) && !is_owner(ev, &n))
		return -EPERM;
	if ((rq->valid & FS_SET_SIZE) ||
	    ((rq->valid & (FS_SET_ATIME_NOW | FS_SET_MTIME_NOW)) && !is_owner(ev, &n)))
		return perm_check(ev, &n, PERM_WRITE);
	return 0;
}

/* xattr(7): user.* goes by the file's permissions, ACLs are the owner's, the rest is for administrators. */
static int check_xattr(struct eval *ev, bool changes)
{
	const struct fs_request *rq = ev->rq;
	struct name name = { rq->name, rq->name_len };
	struct inode n;
	int ret = inode_load(ev, rq->ino, &n);

	if (ret < 0 || rq->uid == 0)
		return ret;
	if (name.len >= 5 && memcmp(name.data, "user.", 5) == 0) {
		if (changes && S_ISDIR(n.rec.mode) && (n.rec.mode & S_ISVTX) && !is_owner(ev, &n))
			return -EPERM;
		return perm_check(ev, &n, changes ? PERM_WRITE : PERM_READ);
	}
	if (acl_kind(name))
		return changes && !is_owner(ev, &n) ? -EPERM : 0;
	if (changes)
		return -EPERM;
	return name.len >= 8 && memcmp(name.data, "trusted.", 8) == 0 ? -ENODATA : 0;
}

static int check(struct eval *ev)
{
	const struct fs_request *rq = ev->rq;

	switch (rq->op) {
	case FS_LOOKUP:
		return check_lookup(ev);
	case FS_OPEN:
	case FS_OPEN_TRUNC:
		return check_inode(ev, rq->ino, wanted_by_open(rq->flags));
	case FS_CREATE:
		return check_create(ev);
	case FS_MKDIR:
	case FS_SYMLINK:
	case FS_TMPFILE:
	case FS_RMDIR:
	case FS_UNLINK:
		return check_dir(ev, rq->ino, PERM_WRITE | PERM_EXEC);
	case FS_MKNOD:
		return check_mknod(ev);
	case FS_LINK:
		return check_dir(ev, rq->ino2, PERM_WRITE | PERM_EXEC);
	case FS_RENAME:
		return check_rename(ev);
	case FS_SETATTR:
		return check_setattr(ev);
	case FS_GETXATTR:
		return check_xattr(ev, false);
	case FS_SETXATTR:
	case FS_REMOVEXATTR:
		return check_xattr(ev, true);
	default:
		return 0;
	}
}

int perm_check_request(struct eval *ev)
{
	int ret = check(ev);

	MARK_IF(ret == -EACCES || ret == -EPERM, "fs.perm.refused");
	return ret;
}

int eval_access(struct eval *ev)
{
	const struct fs_request *rq = ev->rq;
	struct inode n;
	int ret = inode_load(ev, rq->ino, &n);

	if (ret == 0)
		ret = perm_check(ev, &n, rq->mode & (PERM_READ | PERM_WRITE | PERM_EXEC));
	return ret;
}
