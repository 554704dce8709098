/* fsmodel.c - see fsmodel.h. */
#include "tests/lib/fsmodel.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/xattr.h>
#include <sys/stat.h>

#define BS KV_BLOCK_SIZE

/* ---- nodes ---- */

static struct mnode *node_new(struct model *m, uint32_t mode)
{
	struct mnode *n = mem_calloc(1, sizeof(*n));

	n->attr = (struct fs_attr){ .mode = mode,
				    .nlink = S_ISDIR(mode) ? 2 : 1,
				    .uid = m->uid,
				    .gid = m->gid,
				    .data_version = 1 };
	n->attr.atime_ns = n->attr.mtime_ns = n->attr.ctime_ns = n->attr.btime_ns = m->now;
	if (m->count == m->cap) {
		m->cap = m->cap ? 2 * m->cap : 16;
		m->nodes = mem_realloc(m->nodes, m->cap * sizeof(struct mnode *));
	}
	m->nodes[m->count++] = n;
	return n;
}

static void node_free(struct mnode *n)
{
	for (size_t i = 0; i < n->entry_count; i++)
		free(n->entries[i].name);
	free(n->entries);
	buf_release(&n->content);
	buf_release(&n->stored);
	free(n);
}

void model_init(struct model *m)
{
	struct mnode *root = node_new(m, S_IFDIR | 0755);

	root->attr.ino = FS_ROOT_INO;
	root->parent = root;
}

void model_release(struct model *m)
{
	for (size_t i = 0; i < m->count; i++)
		node_free(m->nodes[i]);
	free(m->nodes);
}

void model_reclaim(struct model *m, struct mnode *node)
{
	for (size_t i = 0; i < m->count; i++) {
		if (m->nodes[i] == node) {
			node_free(node);
			m->nodes[i] = m->nodes[--m->count];
			return;
		}
	}
}

static int64_t later(const struct model *m, int64_t old)
{
	return m->now > old ? m->now : old + 1;
}

static void changed(const struct model *m, struct mnode *n)
{
	n->attr.ctime_ns = later(m, n->attr.ctime_ns);
}

static void modified(const struct model *m, struct mnode *n)
{
	n->attr.mtime_ns = later(m, n->attr.mtime_ns);
	n->attr.data_version++;
	changed(m, n);
}

/* ---- entries ---- */

static struct mentry *entry_of(struct mnode *dir, const char *name)
{
	for (size_t i = 0; i < dir->entry_count; i++) {
		if (strcmp(dir->entries[i].name, name) == 0)
			return &dir->entries[i];
	}
	return NULL;
}

struct mnode *model_find(const struct mnode *dir, const char *name)
{
	struct mentry *e = entry_of((struct mnode *)dir, name);

	return e ? e->node : NULL;
}

static void entry_add(struct mnode *dir, const char *name, struct mnode *n)
{
	if (dir->entry_count == dir->entry_cap) {
		dir->entry_cap = dir->entry_cap ? 2 * dir->entry_cap : 8;
		dir->entries = mem_realloc(dir->entries, dir->entry_cap * sizeof(*dir->entries));
	}
	dir->entries[dir->entry_count++] = (struct mentry){ mem_strdup(name), n };
	dir->attr.size = dir->entry_count;
}

static void entry_del(struct mnode *dir, const char *name)
{
	struct mentry *e = entry_of(dir, name);

	free(e->name);
	*e = dir->entries[--dir->entry_count];
	dir->attr.size = dir->entry_count;
}

/* Can names of dir be looked at? */
static int dir_usable(const struct mnode *dir)
{
	if (!S_ISDIR(dir->attr.mode))
		return -ENOTDIR;
	return dir->attr.nlink == 0 ? -ENOENT : 0;
}

static bool sticky_forbids(const struct model *m, const struct mnode *dir, const struct mnode *n)
{
	return (dir->attr.mode & S_ISVTX) && m->uid != 0 && m->uid != n->attr.uid &&
	       m->uid != dir->attr.uid;
}

static void lose_name(struct model *m, struct mnode *n)
{
	changed(m, n);
	n->attr.nlink = S_ISDIR(n->attr.mode) ? 0 : n->attr.nlink - 1;
	if (n->attr.nlink == 0 && S_ISLNK(n->attr.mode) && n->xattr_count == 0)
		model_reclaim(m, n);
}

/* ---- names ---- */

int model_lookup(struct model *m, struct mnode *dir, const char *name, struct mnode **node)
{
	int ret = dir_usable(dir);

	(void)m;
	if (ret < 0)
		return ret;
	*node = model_find(dir, name);
	return *node ? 0 : -ENOENT;
}

/* The name may be taken away: it is there, and a sticky directory allows it. */
static int find_to_remove(struct model *m, struct mnode *dir, const char *name, struct mnode **node)
{
	int ret = model_lookup(m, dir, name, node);

	return ret == 0 && sticky_forbids(m, dir, *node) ? -EPERM : ret;
}

/* The name may be given: the directory takes names, and has none like it. */
static int check_free(const struct mnode *dir, const char *name)
{
	int ret = dir_usable(dir);

	return ret == 0 && model_find(dir, name) ? -EEXIST : ret;
}

int model_make(struct model *m, struct mnode *dir, const char *name, uint32_t mode,
	       const char *target, struct mnode **node)
{
	int ret = check_free(dir, name);
	struct mnode *n;

	if (ret < 0)
		return ret;
	n = *node = node_new(m, mode);
	if (dir->attr.mode & S_ISGID) {
		n->attr.gid = dir->attr.gid;
		if (S_ISDIR(mode))
			n->attr.mode |= S_ISGID;
	}
	if (S_ISDIR(mode)) {
		n->parent = dir;
		dir->attr.nlink++;
	}
	if (target) {
		buf_put(&n->content, target, strlen(target));
		n->attr.size = n->content.len;
	}
	entry_add(dir, name, n);
	modified(m, dir);
	return 0;
}

int model_tmpfile(struct model *m, struct mnode *dir, uint32_t mode, bool linkable, struct mnode **node)
{
	int ret = dir_usable(dir);

	if (ret < 0)
		return ret;
	*node = node_new(m, S_IFREG | mode);
	(*node)->attr.nlink = 0;
	(*node)->may_get_name = linkable;
	if (dir->attr.mode & S_ISGID)
		(*node)->attr.gid = dir->attr.gid;
	return 0;
}

static bool allowed(const struct model *m, const struct mnode *n, bool want_read, bool want_write)
{
	uint32_t mode = n->attr.mode, bits;

	if (m->uid == 0)
		return true;
	if (m->uid == n->attr.uid)
		bits = mode >> 6 & 7;
	else if (m->gid == n->attr.gid)
		bits = mode >> 3 & 7;
	else
		bits = (mode >> 3 & mode) & 7;
	return (!want_read || (bits & 4)) && (!want_write || (bits & 2));
}

int model_create(struct model *m, struct mnode *dir, const char *name, uint32_t mode,
		 uint32_t flags, struct mnode **node, bool *created)
{
	int ret = dir_usable(dir);
	bool rd = (flags & O_ACCMODE) != O_WRONLY,
	     wr = (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
	struct mnode *n;

	if (ret < 0)
		return ret;
	n = model_find(dir, name);
	*created = !n;
	if (!n)
		return model_make(m, dir, name, S_IFREG | mode, NULL, node);
	if (flags & O_EXCL)
		return -EEXIST;
	if (S_ISDIR(n->attr.mode))
		return -EISDIR;
	if (!S_ISREG(n->attr.mode) || !allowed(m, n, rd, wr))
		return -ESTALE;
	*node = n;
	return flags & O_TRUNC ? model_truncate(m, n, 0, true) : 0;
}

int model_unlink(struct model *m, struct mnode *dir, const char *name)
{
	struct mnode *n;
	int ret = find_to_remove(m, dir, name, &n);

	if (ret < 0)
		return ret;
	if (S_ISDIR(n->attr.mode))
		return -EISDIR;
	entry_del(dir, name);
	modified(m, dir);
	lose_name(m, n);
	return 0;
}

int model_rmdir(struct model *m, struct mnode *dir, const char *name)
{
	struct mnode *n;
	int ret = find_to_remove(m, dir, name, &n);

	if (ret < 0)
		return ret;
	if (!S_ISDIR(n->attr.mode))
		return -ENOTDIR;
	if (n->entry_count > 0)
		return -ENOTEMPTY;
	entry_del(dir, name);
	dir->attr.nlink--;
	modified(m, dir);
	lose_name(m, n);
	return 0;
}

int model_link(struct model *m, struct mnode *node, struct mnode *dir, const char *name)
{
	int ret = check_free(dir, name);

	if (ret < 0)
		return ret;
	if (S_ISDIR(node->attr.mode))
		return -EPERM;
	if (node->attr.nlink == 0 && !node->may_get_name)
		return -ENOENT;
	node->may_get_name = false;
	node->attr.nlink++;
	changed(m, node);
	entry_add(dir, name, node);
	modified(m, dir);
	return 0;
}

static bool below(const struct mnode *dir, const struct mnode *top)
{
	while (dir != top && dir->parent != dir)
		dir = dir->parent;
	return dir == top;
}

static void move_node(struct mnode *n, struct mnode *from, struct mnode *to)
{
	if (!S_ISDIR(n->attr.mode))
		return;
	from->attr.nlink--;
	to->attr.nlink++;
	n->parent = to;
}

static int rename_verdict(const struct model *m, struct mnode *dir, const struct mnode *a,
			  struct mnode *dir2, const struct mnode *b, uint32_t flags)
{
	bool exchange = flags & RENAME_EXCHANGE;

	if (!a)
		return -ENOENT;
	if (b && (flags & RENAME_NOREPLACE))
		return -EEXIST;
	if (!b && exchange)
		return -ENOENT;
	if (S_ISDIR(a->attr.mode) && below(dir2, a))
		return -EINVAL;
	if (exchange && S_ISDIR(b->attr.mode) && below(dir, b))
		return -EINVAL;
	if (a == b)
		return 0;
	if (sticky_forbids(m, dir, a) || (b && sticky_forbids(m, dir2, b)))
		return -EPERM;
	if (!b || exchange)
		return 0;
	if (S_ISDIR(a->attr.mode) != S_ISDIR(b->attr.mode))
		return S_ISDIR(a->attr.mode) ? -ENOTDIR : -EISDIR;
	return b->entry_count > 0 ? -ENOTEMPTY : 0;
}

int model_rename(struct model *m, struct mnode *dir, const char *name, struct mnode *dir2,
		 const char *name2, uint32_t flags)
{
	int ret = dir_usable(dir);
	struct mnode *a, *b;

	if (ret == 0)
		ret = dir_usable(dir2);
	if (ret < 0)
		return ret;
	a = model_find(dir, name);
	b = model_find(dir2, name2);
	ret = rename_verdict(m, dir, a, dir2, b, flags);
	if (ret < 0 || a == b)
		return ret;
	move_node(a, dir, dir2);
	changed(m, a);
	modified(m, dir);
	if (dir2 != dir)
		modified(m, dir2);
	if (flags & RENAME_EXCHANGE) {
		move_node(b, dir2, dir);
		changed(m, b);
		entry_of(dir, name)->node = b;
		entry_of(dir2, name2)->node = a;
		return 0;
	}
	if (b) {
		if (S_ISDIR(b->attr.mode))
			dir2->attr.nlink--;
		entry_del(dir2, name2);
	}
	entry_del(dir, name);
	entry_add(dir2, name2, a);
	if (b)
		lose_name(m, b);
	return 0;
}

/* ---- data and attributes ---- */

static void count_blocks(struct mnode *n)
{
	uint64_t rows = 0, end = (n->content.len + 4095) / 4096 * 4096;

	for (size_t i = 0; i < n->stored.len; i++)
		rows += n->stored.data[i];
	n->attr.size = n->content.len;
	n->attr.blocks = (rows * BS < end ? rows * BS : end) / 512;
}

static void lose_privileges(const struct model *m, struct mnode *n, bool always)
{
	if (always || m->uid != 0) {
		n->attr.mode &= ~(uint32_t)S_ISUID;
		if (n->attr.mode & S_IXGRP)
			n->attr.mode &= ~(uint32_t)S_ISGID;
	}
	for (size_t i = 0; i < n->xattr_count; i++) {
		if (strcmp(n->xattrs[i].name, "security.capability") == 0)
			n->xattrs[i] = n->xattrs[--n->xattr_count];
	}
}

static int data_usable(const struct mnode *n)
{
	if (S_ISDIR(n->attr.mode))
		return -EISDIR;
	return S_ISREG(n->attr.mode) ? 0 : -EINVAL;
}

int model_write(struct model *m, struct mnode *node, uint64_t off, bool append, const void *data,
		size_t len)
{
	int ret = data_usable(node);

	if (ret < 0 || len == 0)
		return ret;
	if (append)
		off = node->content.len;
	if (off > KV_FILE_SIZE_MAX || len > KV_FILE_SIZE_MAX - off)
		return -EFBIG;
	if (off + len > node->content.len)
		buf_resize(&node->content, off + len);
	memcpy(node->content.data + off, data, len);
	if ((off + len - 1) / BS >= node->stored.len)
		buf_resize(&node->stored, (off + len - 1) / BS + 1);
	memset(node->stored.data + off / BS, true, (off + len - 1) / BS - off / BS + 1);
	modified(m, node);
	lose_privileges(m, node, false);
	count_blocks(node);
	return 0;
}

int model_truncate(struct model *m, struct mnode *node, uint64_t size, bool by_open)
{
	int ret = data_usable(node);

	(void)by_open;
	if (ret < 0)
		return ret;
	if (size > KV_FILE_SIZE_MAX)
		return -EFBIG;
	buf_resize(&node->content, size);
	if ((size + BS - 1) / BS < node->stored.len)
		buf_resize(&node->stored, (size + BS - 1) / BS);
	modified(m, node);
	lose_privileges(m, node, false);
	count_blocks(node);
	return 0;
}

static bool is_stored(const struct mnode *n, uint64_t block)
{
	return block < n->stored.len && n->stored.data[block];
}

/* Bytes [off, end) become zeros; blocks of which no byte of the file is left outside lose their row. */
static void make_zeros(struct mnode *n, uint64_t off, uint64_t end)
{
	for (uint64_t i = off; i < end && i < n->content.len; i++)
		n->content.data[i] = 0;
	for (uint64_t b = off / BS; b < n->stored.len && b * BS < end; b++) {
		bool head = off > b * BS, tail = end < (b + 1) * BS && end < n->content.len;

		if (!head && !tail)
			n->stored.data[b] = false;
	}
}

static void space_changed(struct model *m, struct mnode *n)
{
	modified(m, n);
	lose_privileges(m, n, false);
	count_blocks(n);
}

int model_allocate(struct model *m, struct mnode *node, uint64_t off, uint64_t len, bool keep,
		   bool zero)
{
	int ret = data_usable(node);
	uint64_t end = off + len, live = (node->content.len + BS - 1) / BS * BS;

	if (ret < 0)
		return ret;
	if (len == 0)
		return -EINVAL;
	if (keep && end > live)
		end = live;
	if (zero && off < end)
		make_zeros(node, off, end);
	if (!keep && end > node->content.len)
		buf_resize(&node->content, end);
	for (uint64_t b = off / BS; off < end && b * BS < end; b++) {
		if (b >= node->stored.len)
			buf_resize(&node->stored, b + 1);
		node->stored.data[b] = true;
	}
	space_changed(m, node);
	return 0;
}

int model_punch(struct model *m, struct mnode *node, uint64_t off, uint64_t len)
{
	int ret = data_usable(node);

	if (ret < 0)
		return ret;
	if (len == 0)
		return -EINVAL;
	if (off < node->content.len)
		make_zeros(node, off, off + len);
	space_changed(m, node);
	return 0;
}

/* Stretch by stretch, as a hole is not written but made. */
int model_copy(struct model *m, const struct mnode *src, uint64_t from, struct mnode *dst,
	       uint64_t to, uint64_t len)
{
	bool hole = !is_stored(src, from / BS);
	struct buf copy = BUF_INIT;

	assert(from + len <= src->content.len);
	if (!hole) {
		buf_put(&copy, src->content.data + from, len);
		model_write(m, dst, to, false, copy.data, len);
		buf_release(&copy);
		return 0;
	}
	make_zeros(dst, to, to + len);
	if (to + len > dst->content.len)
		buf_resize(&dst->content, to + len);
	space_changed(m, dst);
	return 0;
}

int model_seek(const struct mnode *node, uint64_t off, bool hole, uint64_t *found)
{
	int ret = data_usable(node);
	bool at_end = off >= node->content.len;

	if (ret < 0)
		return ret;
	for (; off < node->content.len; off = off / BS * BS + BS) {
		if (is_stored(node, off / BS) != hole) {
			*found = off;
			return 0;
		}
	}
	*found = node->content.len;
	return hole && !at_end ? 0 : -ENXIO;
}

int model_chmod(struct model *m, struct mnode *node, uint32_t mode)
{
	node->attr.mode = (node->attr.mode & S_IFMT) | mode;
	changed(m, node);
	return 0;
}

int model_chown(struct model *m, struct mnode *node, uint32_t uid)
{
	node->attr.uid = uid;
	if (!S_ISDIR(node->attr.mode))
		lose_privileges(m, node, true);
	changed(m, node);
	return 0;
}

int model_utimens(struct model *m, struct mnode *node, int64_t atime_ns, int64_t mtime_ns)
{
	node->attr.atime_ns = atime_ns;
	node->attr.mtime_ns = mtime_ns;
	changed(m, node);
	return 0;
}

/* ---- attributes by name ---- */

static struct mxattr *xattr_of(struct mnode *n, const char *name)
{
	for (size_t i = 0; i < n->xattr_count; i++) {
		if (strcmp(n->xattrs[i].name, name) == 0)
			return &n->xattrs[i];
	}
	return NULL;
}

const char *model_getxattr(const struct mnode *node, const char *name)
{
	struct mxattr *x = xattr_of((struct mnode *)node, name);

	return x ? x->value : NULL;
}

void model_was_read(struct mnode *node, int64_t at_ns, int64_t now_ns)
{
	int64_t at = at_ns < now_ns ? at_ns : now_ns;

	if (at > node->attr.atime_ns && at >= node->attr.ctime_ns)
		node->attr.atime_ns = at;
}

int model_setxattr(struct model *m, struct mnode *node, const char *name, const char *value,
		   uint32_t flags)
{
	struct mxattr *x = xattr_of(node, name);

	if (x && (flags & XATTR_CREATE))
		return -EEXIST;
	if (!x && (flags & XATTR_REPLACE))
		return -ENODATA;
	if (!x) {
		assert(node->xattr_count < MODEL_XATTRS_MAX);
		x = &node->xattrs[node->xattr_count++];
		snprintf(x->name, sizeof(x->name), "%s", name);
	}
	snprintf(x->value, sizeof(x->value), "%s", value);
	changed(m, node);
	return 0;
}

int model_removexattr(struct model *m, struct mnode *node, const char *name)
{
	struct mxattr *x = xattr_of(node, name);

	if (!x)
		return -ENODATA;
	*x = node->xattrs[--node->xattr_count];
	changed(m, node);
	return 0;
}
