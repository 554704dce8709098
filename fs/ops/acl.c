/*
 * acl.c - see acl.h. Source: POSIX.1e draft 17, sections 23.1.5 and 23.3; fs/posix_acl.c of Linux.
 */
#include "fs/ops/acl.h"

#include <sys/stat.h>

#include "base/cursor.h"
#include "base/mark.h"
#include "fs/ops/xattr.h"

#define ACL_VERSION 2u
#define ACL_NO_ID UINT32_MAX /* entries that name nobody */

enum acl_tag {
	TAG_USER_OBJ = 0x01,
	TAG_USER = 0x02,
	TAG_GROUP_OBJ = 0x04,
	TAG_GROUP = 0x08,
	TAG_MASK = 0x10,
	TAG_OTHER = 0x20,
};

static const struct name access_name = { FS_ACL_ACCESS, sizeof(FS_ACL_ACCESS) - 1 };
static const struct name default_name = { FS_ACL_DEFAULT, sizeof(FS_ACL_DEFAULT) - 1 };

static bool name_equals(struct name a, struct name b)
{
	return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

enum acl_kind acl_kind(struct name name)
{
	if (name_equals(name, access_name))
		return ACL_ACCESS;
	return name_equals(name, default_name) ? ACL_DEFAULT : ACL_NONE;
}

/* ---- values --------------------------------------------------------------------------------------- */

/* One of each of the three, the users between the first two, the groups before the mask, which must be
 * there when anybody is named. */
static bool acl_valid(const struct acl *acl)
{
	uint16_t last = 0;
	bool named = false, mask = false;
	uint32_t seen = 0;

	for (size_t i = 0; i < acl->count; i++) {
		const struct acl_entry *e = &acl->v[i];
		bool many = e->tag == TAG_USER || e->tag == TAG_GROUP;

		if (e->perm > 7 || e->tag < last || (e->tag == last && !many))
			return false;
		switch (e->tag) {
		case TAG_USER:
		case TAG_GROUP:
			if (e->id == ACL_NO_ID)
				return false;
			named = true;
			break;
		case TAG_MASK:
			mask = true;
			break;
		case TAG_USER_OBJ:
		case TAG_GROUP_OBJ:
		case TAG_OTHER:
			seen |= e->tag;
			break;
		default:
			return false;
		}
		last = e->tag;
	}
	return seen == (TAG_USER_OBJ | TAG_GROUP_OBJ | TAG_OTHER) && (mask || !named);
}

/*
 * ACL, as the kernel has it.     off size
 *   version, now 2                 0   4
 *   entries, each:
 *     tag                          0   2
 *     permissions                  2   2
 *     uid or gid, or 2^32 - 1      4   4
 */
int acl_decode(struct acl *acl, const void *data, size_t len)
{
	struct cursor c = cursor_init(data, len);

	if (cursor_le32(&c) != ACL_VERSION)
		return -EINVAL;
	acl->count = 0;
	while (cursor_ok(&c) && !cursor_at_end(&c)) {
		if (acl->count == ACL_ENTRIES_MAX)
			return -E2BIG;
		struct acl_entry *e = &acl->v[acl->count++];

		*e = (struct acl_entry){ .tag = cursor_le16(&c) };
		e->perm = cursor_le16(&c);
		e->id = cursor_le32(&c);
		if (e->tag != TAG_USER && e->tag != TAG_GROUP)
			e->id = ACL_NO_ID;
	}
	return cursor_ok(&c) && acl_valid(acl) ? 0 : -EINVAL;
}

void acl_encode(const struct acl *acl, struct buf *out)
{
	buf_put_le32(out, ACL_VERSION);
	for (size_t i = 0; i < acl->count; i++) {
		buf_put_le16(out, acl->v[i].tag);
		buf_put_le16(out, acl->v[i].perm);
		buf_put_le32(out, acl->v[i].id);
	}
}

/* Where each class of the mode lies in a valid ACL. */
struct classes {
	struct acl_entry *user, *group, *other; /* group: the mask if there is one */
	bool says_all;
};

static struct classes acl_classes(struct acl *acl)
{
	struct classes c = { .says_all = true };

	for (size_t i = 0; i < acl->count; i++) {
		struct acl_entry *e = &acl->v[i];

		switch (e->tag) {
		case TAG_USER_OBJ:
			c.user = e;
			break;
		case TAG_GROUP_OBJ:
			c.group = e;
			break;
		case TAG_MASK:
			c.group = e; /* it comes after the group */
			c.says_all = false;
			break;
		case TAG_OTHER:
			c.other = e;
			break;
		default:
			c.says_all = false;
		}
	}
	assert(c.user && c.group && c.other);
	return c;
}

uint32_t acl_mode(const struct acl *acl, bool *says_all)
{
	struct classes c = acl_classes((struct acl *)acl);

	*says_all = c.says_all;
	return (uint32_t)c.user->perm << 6 | (uint32_t)c.group->perm << 3 | c.other->perm;
}

/* ---- on inodes ------------------------------------------------------------------------------------ */

/* 0, -ENOENT, -EUCLEAN for what acl_set() never stored, or the store's other errors. */
static int load(struct eval *ev, const struct inode *n, struct name name, struct acl *acl)
{
	int ret = xattr_get(ev, n, name);

	if (ret < 0)
		return ret;
	return acl_decode(acl, ev->row.data, ev->row.len) < 0 ? -EUCLEAN : 0;
}

static void put(struct eval *ev, struct inode *n, struct name name, bool exists,
		const struct acl *acl)
{
	struct buf *value = eval_record(ev);

	acl_encode(acl, value);
	xattr_put(ev, n, name, exists, value->data, value->len);
}

int acl_is_there(struct eval *ev, const struct inode *n)
{
	int ret = xattr_get(ev, n, access_name);

	return ret == 0 ? 1 : ret == -ENOENT ? 0 : ret;
}

int acl_grants(struct eval *ev, const struct inode *n, uint32_t wanted)
{
	const struct fs_request *rq = ev->rq;
	uint32_t mask = 7, other = 0;
	bool in_group = false, granted = false;
	struct acl acl;
	int ret = load(ev, n, access_name, &acl);

	if (ret < 0)
		return ret;
	for (size_t i = 0; i < acl.count; i++)
		if (acl.v[i].tag == TAG_MASK)
			mask = acl.v[i].perm;
	for (size_t i = 0; i < acl.count; i++) {
		const struct acl_entry *e = &acl.v[i];
		uint32_t group = e->tag == TAG_GROUP ? e->id : n->rec.gid;

		if (e->tag == TAG_USER && e->id == rq->uid)
			return wanted & ~(e->perm & mask) ? -EACCES : 0;
		if ((e->tag == TAG_GROUP || e->tag == TAG_GROUP_OBJ) && group == rq->gid) {
			in_group = true;
			granted = granted || !(wanted & ~(e->perm & mask));
		}
		if (e->tag == TAG_OTHER)
			other = e->perm;
	}
	if (!in_group)
		granted = !(wanted & ~other);
	return granted ? 0 : -EACCES;
}

/* Is the caller of the group of n, as far as the request tells? */
static bool caller_in_group(const struct fs_request *rq, const struct inode *n)
{
	if (rq->uid == 0 || rq->gid == n->rec.gid)
		return true;
	for (size_t i = 0; i + sizeof(uint32_t) <= rq->name2_len; i += sizeof(uint32_t)) {
		if (load_le32((const uint8_t *)rq->name2 + i) == n->rec.gid)
			return true;
	}
	return false;
}

static int set_access(struct eval *ev, struct inode *n, bool exists, const struct acl *acl)
{
	bool says_all;
	uint32_t mode = acl_mode(acl, &says_all);

	n->rec.mode = (n->rec.mode & ~0777u) | mode;
	if (!caller_in_group(ev->rq, n))
		n->rec.mode &= ~(uint32_t)S_ISGID;
	if (!says_all)
		put(ev, n, access_name, exists, acl);
	else if (exists)
		xattr_delete(ev, n, access_name);
	return 0;
}

int acl_set(struct eval *ev, struct inode *n, bool exists)
{
	const struct fs_request *rq = ev->rq;
	enum acl_kind kind = acl_kind((struct name){ rq->name, rq->name_len });
	struct acl acl;
	int ret;

	if (S_ISLNK(n->rec.mode))
		return -EOPNOTSUPP;
	ret = acl_decode(&acl, rq->data, rq->data_len);
	if (ret < 0)
		return ret;
	if (kind == ACL_ACCESS)
		return set_access(ev, n, exists, &acl);
	if (!S_ISDIR(n->rec.mode))
		return -EACCES;
	put(ev, n, default_name, exists, &acl);
	return 0;
}

int acl_chmod(struct eval *ev, struct inode *n)
{
	struct acl acl;
	struct classes c;
	int ret = load(ev, n, access_name, &acl);

	if (ret < 0)
		return ret == -ENOENT ? 0 : ret;
	MARK("fs.acl.chmod");
	c = acl_classes(&acl);
	c.user->perm = n->rec.mode >> 6 & 7;
	c.group->perm = n->rec.mode >> 3 & 7;
	c.other->perm = n->rec.mode & 7;
	put(ev, n, access_name, true, &acl);
	return 0;
}

/* What the directory grants and what the caller asked for, class by class. */
static void restrict_to(struct inode *n, struct acl *acl)
{
	struct classes c = acl_classes(acl);

	c.user->perm &= n->rec.mode >> 6 & 7;
	c.group->perm &= n->rec.mode >> 3 & 7;
	c.other->perm &= n->rec.mode & 7;
	n->rec.mode = (n->rec.mode & ~0777u) | acl_mode(acl, &c.says_all);
}

int acl_inherit(struct eval *ev, const struct inode *dir, struct inode *n)
{
	struct acl acl;
	bool says_all;
	int ret;

	if (S_ISLNK(n->rec.mode))
		return 0;
	ret = load(ev, dir, default_name, &acl);
	if (ret == -ENOENT) {
		n->rec.mode &= ~(ev->rq->valid & 0777u);
		return 0;
	}
	if (ret < 0)
		return ret;
	MARK("fs.acl.inherited");
	if (S_ISDIR(n->rec.mode))
		put(ev, n, default_name, false, &acl);
	restrict_to(n, &acl);
	acl_mode(&acl, &says_all);
	if (!says_all)
		put(ev, n, access_name, false, &acl);
	return 0;
}
