/*
 * sim_names.c - directories of a simulated disk. What programs see changes at once; what is on the
 * platter changes when the directory is synced, or by the draw of a power loss.
 */
#include <fcntl.h>
#include <string.h>

#include "tests/sim/sim_disk_internal.h"

/* ---- inodes ---------------------------------------------------------------------------------------- */

struct sim_inode *sim_inode_new(struct sim_disk *d, bool is_dir, const char *path)
{
	struct sim_inode *inode = mem_calloc(1, sizeof(*inode));

	inode->disk = d;
	inode->number = ++d->next_inode;
	inode->refs = 1;
	inode->is_dir = is_dir;
	inode->path = mem_strdup(path);
	list_add_tail(&d->inodes, &inode->link);
	return inode;
}

struct sim_inode *sim_inode_ref(struct sim_inode *inode)
{
	inode->refs++;
	return inode;
}

void sim_inode_unref(struct sim_inode *inode)
{
	if (!inode || --inode->refs > 0)
		return;
	/* The children of a directory that a crash took away do not have it any more. */
	for (size_t i = 0; i < inode->names.count; i++)
		if (inode->names.v[i].inode->parent == inode)
			inode->names.v[i].inode->parent = NULL;
	list_del(&inode->link);
	sim_names_clear(&inode->names);
	sim_names_clear(&inode->platter_names);
	sim_vfs_crash(inode);
	sim_pages_release(inode);
	free(inode->path);
	free(inode);
}

/* ---- tables of names ------------------------------------------------------------------------------- */

/* The place of the name, or where it belongs. */
static size_t names_at(const struct sim_names *names, const char *name, bool *found)
{
	size_t lo = 0, hi = names->count;

	*found = false;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int order = strcmp(names->v[mid].name, name);

		if (order == 0)
			*found = true;
		if (order < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct sim_inode *sim_names_find(const struct sim_names *names, const char *name)
{
	bool found;
	size_t at = names_at(names, name, &found);

	return found ? names->v[at].inode : NULL;
}

/* Takes the place of what had the name. */
static void names_set(struct sim_names *names, const char *name, struct sim_inode *inode)
{
	bool found;
	size_t at = names_at(names, name, &found);

	sim_inode_ref(inode);
	if (found) {
		sim_inode_unref(names->v[at].inode);
		names->v[at].inode = inode;
		return;
	}
	if (names->count == names->cap) {
		names->cap = names->cap * 2 + 8;
		names->v = mem_realloc(names->v, names->cap * sizeof(*names->v));
	}
	memmove(names->v + at + 1, names->v + at, (names->count - at) * sizeof(*names->v));
	names->v[at] = (struct sim_name){ .name = mem_strdup(name), .inode = inode };
	names->count++;
}

static void names_remove(struct sim_names *names, const char *name)
{
	bool found;
	size_t at = names_at(names, name, &found);
	struct sim_name gone;

	assert(found);
	gone = names->v[at];
	names->count--;
	memmove(names->v + at, names->v + at + 1, (names->count - at) * sizeof(*names->v));
	free(gone.name);
	sim_inode_unref(gone.inode);
}

void sim_names_clear(struct sim_names *names)
{
	while (names->count > 0) {
		names->count--;
		free(names->v[names->count].name);
		sim_inode_unref(names->v[names->count].inode);
	}
	free(names->v);
	*names = (struct sim_names){ .v = NULL };
}

static void names_copy(struct sim_names *to, const struct sim_names *from)
{
	struct sim_names copy = { .v = NULL };

	for (size_t i = 0; i < from->count; i++)
		names_set(&copy, from->v[i].name, from->v[i].inode);
	sim_names_clear(to);
	*to = copy;
}

/* ---- walking --------------------------------------------------------------------------------------- */

static struct sim_inode *step(struct sim_inode *dir, const char *name)
{
	if (name[0] == '\0' || strcmp(name, ".") == 0)
		return dir;
	return strcmp(name, "..") == 0 ? dir->parent : sim_names_find(&dir->names, name);
}

int sim_walk(struct sim_inode *dir, const char *path, struct sim_inode **parent,
	     char name[SIM_NAME_MAX + 1])
{
	name[0] = '\0';
	while (*path == '/')
		path++;
	while (*path != '\0') {
		size_t len = strcspn(path, "/");

		if (len > SIM_NAME_MAX)
			return -ENAMETOOLONG;
		dir = step(dir, name); /* the part before is a directory on the way */
		if (!dir)
			return -ENOENT;
		if (!dir->is_dir)
			return -ENOTDIR;
		memcpy(name, path, len);
		name[len] = '\0';
		path += len;
		while (*path == '/')
			path++;
	}
	*parent = dir;
	return dir->is_dir ? 0 : -ENOTDIR;
}

int sim_lookup(struct sim_inode *dir, const char *path, struct sim_inode **inode)
{
	char name[SIM_NAME_MAX + 1];
	int ret = sim_walk(dir, path, &dir, name);

	if (ret < 0)
		return ret;
	*inode = step(dir, name);
	return *inode ? 0 : -ENOENT;
}

/* ---- changes --------------------------------------------------------------------------------------- */

static void change_free(struct sim_change *c)
{
	list_del(&c->link);
	sim_inode_unref(c->from_inode);
	sim_inode_unref(c->to_inode);
	sim_inode_unref(c->from_dir);
	sim_inode_unref(c->to_dir);
	free(c->from_name);
	free(c->to_name);
	free(c);
}

void sim_changes_clear(struct sim_disk *d)
{
	list_for_each_safe (it, &d->changes)
		change_free(list_entry(it, struct sim_change, link));
}

static void change_from(struct sim_change *c, struct sim_inode *dir, const char *name,
			struct sim_inode *inode)
{
	c->from_dir = sim_inode_ref(dir);
	c->from_name = mem_strdup(name);
	c->from_inode = sim_inode_ref(inode);
}

static void change_to(struct sim_change *c, struct sim_inode *dir, const char *name,
		      struct sim_inode *inode)
{
	c->to_dir = sim_inode_ref(dir);
	c->to_name = mem_strdup(name);
	c->to_inode = sim_inode_ref(inode);
}

static void set_path(struct sim_inode *inode, const struct sim_inode *dir, const char *name)
{
	struct buf path = BUF_INIT;

	buf_printf(&path, "%s/%s", dir->path, name);
	buf_put_u8(&path, '\0');
	free(inode->path);
	inode->path = (char *)path.data;
}

static void lose_name(struct sim_inode *dir, const char *name)
{
	struct sim_inode *inode = sim_names_find(&dir->names, name);

	inode->nlink--;
	if (inode->is_dir)
		inode->parent = NULL;
	names_remove(&dir->names, name);
}

static void gain_name(struct sim_inode *dir, const char *name, struct sim_inode *inode)
{
	sim_inode_ref(inode);
	if (sim_names_find(&dir->names, name))
		lose_name(dir, name);
	names_set(&dir->names, name, inode);
	inode->nlink++;
	set_path(inode, dir, name);
	if (inode->is_dir)
		inode->parent = dir;
	sim_inode_unref(inode);
}

/* Programs see it from now on; the platter has it after a sync, or by luck. Takes c. */
static void change_make(struct sim_disk *d, struct sim_change *c)
{
	c->at = d->clock;
	if (c->from_dir)
		lose_name(c->from_dir, c->from_name);
	if (c->to_dir)
		gain_name(c->to_dir, c->to_name, c->to_inode);
	list_add_tail(&d->changes, &c->link);
}

/* On the platter. What another inode's name has become meanwhile stays. */
static void change_settle(struct sim_change *c)
{
	if (c->from_dir &&
	    sim_names_find(&c->from_dir->platter_names, c->from_name) == c->from_inode)
		names_remove(&c->from_dir->platter_names, c->from_name);
	if (c->to_dir)
		names_set(&c->to_dir->platter_names, c->to_name, c->to_inode);
}

/* Begins a call that changes directories: true, then *ret is its result. */
static bool begin(struct sim_disk *d, enum sim_io call, const struct sim_inode *dir,
		  const char *name, bool *dies, int *ret)
{
	char path[SIM_PATH_MAX];
	struct sim_fate fate;

	snprintf(path, sizeof(path), "%s/%s", dir->path, name);
	fate = sim_call_begin(d, call, path);
	*dies = fate.end == SIM_DIES;
	*ret = fate.error;
	return fate.end == SIM_FAILS || (*dies && sim_disk_chance(d, 2));
}

/* ---- calls ------------------------------------------------------------------------------------------- */

static bool is_special(const char *name)
{
	return name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static int make(struct sim_inode *dir, const char *name, bool is_dir, struct sim_inode **inode)
{
	struct sim_disk *d = dir->disk;
	struct sim_change *c;
	bool dies = false;
	int ret;

	if (begin(d, SIM_IO_CREATE, dir, name, &dies, &ret))
		return ret;
	if (dir->nlink == 0)
		return -ENOENT; /* removed */
	c = mem_calloc(1, sizeof(*c));
	*inode = sim_inode_new(d, is_dir, "");
	change_to(c, dir, name, *inode);
	change_make(d, c);
	sim_inode_unref(*inode); /* the name has it */
	return dies ? -EIO : 0;
}

int sim_name_mkdir(struct sim_inode *dir, const char *path)
{
	char name[SIM_NAME_MAX + 1];
	struct sim_inode *inode;
	int ret = sim_walk(dir, path, &dir, name);

	if (ret < 0)
		return ret;
	if (step(dir, name))
		return -EEXIST;
	return make(dir, name, true, &inode);
}

static int open_existing(struct sim_inode *inode, int flags, struct sim_file *f)
{
	bool writes = (flags & O_ACCMODE) != O_RDONLY;
	struct sim_fate fate;
	int ret = 0;

	if (inode->is_dir && writes)
		return -EISDIR;
	if (!inode->is_dir && flags & O_DIRECTORY)
		return -ENOTDIR;
	fate = sim_call_begin(inode->disk, SIM_IO_OPEN, inode->path);
	if (fate.end == SIM_FAILS)
		return fate.error;
	sim_file_open(f, inode, flags);
	if (flags & O_TRUNC && writes)
		ret = sim_file_truncate(f, 0);
	if (ret < 0)
		sim_file_close(f);
	return ret;
}

int sim_name_open(struct sim_inode *dir, const char *path, int flags, struct sim_file *f)
{
	char name[SIM_NAME_MAX + 1];
	struct sim_inode *inode;
	int ret = sim_walk(dir, path, &dir, name);

	if (ret < 0)
		return ret;
	inode = step(dir, name);
	if (inode && (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		return -EEXIST;
	if (inode)
		return inode->is_dir && flags & O_CREAT ? -EISDIR : open_existing(inode, flags, f);
	if (!(flags & O_CREAT) || is_special(name))
		return -ENOENT;
	ret = make(dir, name, false, &inode);
	if (ret == 0)
		sim_file_open(f, inode, flags);
	return ret;
}

int sim_name_unlink(struct sim_inode *dir, const char *path, bool is_dir)
{
	char name[SIM_NAME_MAX + 1];
	struct sim_inode *inode;
	struct sim_change *c;
	bool dies = false;
	int ret = sim_walk(dir, path, &dir, name);

	if (ret < 0)
		return ret;
	inode = step(dir, name);
	if (!inode)
		return -ENOENT;
	if (is_special(name))
		return -EINVAL;
	if (inode->is_dir != is_dir)
		return is_dir ? -ENOTDIR : -EISDIR;
	if (inode->names.count > 0)
		return -ENOTEMPTY;
	if (begin(dir->disk, SIM_IO_UNLINK, dir, name, &dies, &ret))
		return ret;
	c = mem_calloc(1, sizeof(*c));
	change_from(c, dir, name, inode);
	change_make(dir->disk, c);
	return dies ? -EIO : 0;
}

static bool is_above(const struct sim_inode *inode, const struct sim_inode *dir)
{
	while (dir && dir != inode && dir != dir->parent)
		dir = dir->parent;
	return dir == inode;
}

/* Whether inode may take the place of what has the name. */
static int check_replace(const struct sim_inode *inode, const struct sim_inode *old)
{
	if (!old)
		return 0;
	if (inode->is_dir && !old->is_dir)
		return -ENOTDIR;
	if (!inode->is_dir && old->is_dir)
		return -EISDIR;
	return old->names.count > 0 ? -ENOTEMPTY : 0;
}

int sim_name_rename(struct sim_inode *from_dir, const char *from, struct sim_inode *to_dir,
		    const char *to)
{
	char from_name[SIM_NAME_MAX + 1], to_name[SIM_NAME_MAX + 1];
	struct sim_inode *inode, *old;
	struct sim_change *c;
	bool dies = false;
	int ret = sim_walk(from_dir, from, &from_dir, from_name);

	if (ret == 0)
		ret = sim_walk(to_dir, to, &to_dir, to_name);
	if (ret < 0)
		return ret;
	inode = step(from_dir, from_name);
	if (!inode)
		return -ENOENT;
	if (from_dir->disk != to_dir->disk)
		return -EXDEV;
	if (is_special(from_name) || is_special(to_name))
		return -EINVAL;
	old = sim_names_find(&to_dir->names, to_name);
	if (old == inode)
		return 0;
	if (is_above(inode, to_dir))
		return -EINVAL;
	if (old && is_above(old, from_dir))
		return -ENOTEMPTY;
	ret = check_replace(inode, old);
	if (ret < 0)
		return ret;
	if (begin(from_dir->disk, SIM_IO_RENAME, to_dir, to_name, &dies, &ret))
		return ret;
	c = mem_calloc(1, sizeof(*c));
	change_from(c, from_dir, from_name, inode);
	change_to(c, to_dir, to_name, inode);
	change_make(from_dir->disk, c);
	return dies ? -EIO : 0;
}

int sim_name_link(struct sim_inode *from_dir, const char *from, struct sim_inode *to_dir,
		  const char *to)
{
	char name[SIM_NAME_MAX + 1];
	struct sim_inode *inode;
	struct sim_change *c;
	bool dies = false;
	int ret = sim_lookup(from_dir, from, &inode);

	if (ret == 0)
		ret = sim_walk(to_dir, to, &to_dir, name);
	if (ret < 0)
		return ret;
	if (inode->disk != to_dir->disk)
		return -EXDEV;
	if (step(to_dir, name))
		return -EEXIST;
	if (inode->is_dir)
		return -EPERM;
	if (begin(to_dir->disk, SIM_IO_RENAME, to_dir, name, &dies, &ret))
		return ret;
	c = mem_calloc(1, sizeof(*c));
	change_to(c, to_dir, name, inode);
	change_make(to_dir->disk, c);
	return dies ? -EIO : 0;
}

/* ---- syncing and losing ----------------------------------------------------------------------------- */

static bool concerns(const struct sim_change *c, const struct sim_inode *inode)
{
	return c->from_inode == inode || c->to_inode == inode;
}

/* A change gets to the platter, and before it those that happened to the same inode earlier. */
static void settle(struct sim_disk *d, struct sim_change *c)
{
	const struct sim_inode *inode = c->to_inode ? c->to_inode : c->from_inode;
	struct list *it = d->changes.next;

	while (it != &c->link) {
		struct sim_change *earlier = list_entry(it, struct sim_change, link);

		it = it->next;
		if (concerns(earlier, inode)) {
			change_settle(earlier);
			change_free(earlier);
		}
	}
	change_settle(c);
	change_free(c);
}

/* From the start after each: settling one takes others out of the list. */
static void settle_chosen(struct sim_disk *d)
{
	bool again = true;

	while (again) {
		again = false;
		list_for_each (it, &d->changes) {
			struct sim_change *c = list_entry(it, struct sim_change, link);

			if (!c->chosen)
				continue;
			settle(d, c);
			again = true;
			break;
		}
	}
}

/* All of the directory's until then; some: a drawn half of them, and if it forgets no others ever. */
static void settle_dir(struct sim_disk *d, const struct sim_inode *dir, uint64_t before, bool some,
		       bool forgets)
{
	list_for_each (it, &d->changes) {
		struct sim_change *c = list_entry(it, struct sim_change, link);
		bool covered = c->at <= before && (c->from_dir == dir || c->to_dir == dir);

		c->chosen = covered && (!some || sim_disk_chance(d, 2));
		c->forgotten = covered && forgets && !c->chosen;
	}
	settle_chosen(d);
	list_for_each_safe (it, &d->changes) {
		struct sim_change *c = list_entry(it, struct sim_change, link);

		if (c->forgotten)
			change_free(c);
	}
}

int sim_dir_sync(struct sim_file *f)
{
	struct sim_disk *d = f->disk;
	struct sim_fate fate;
	uint64_t before;

	if (sim_file_check(f) < 0)
		return -EIO;
	fate = sim_call_begin(d, SIM_IO_SYNC_DIR, f->inode->path);
	if (fate.end == SIM_FAILS)
		return fate.error;
	before = d->clock;
	if (fate.end == SIM_DIES) {
		settle_dir(d, f->inode, before, true, false);
		return -EIO;
	}
	if (d->latency.wait_ns) {
		sim_wait(d, d->latency.sync_min_ns, d->latency.sync_max_ns);
		if (sim_file_check(f) < 0)
			return -EIO;
	}
	if (fate.end == SIM_HIT && fate.kind == SIM_FAULT_LIE)
		return 0;
	settle_dir(d, f->inode, before, fate.end == SIM_HIT, fate.end == SIM_HIT);
	return fate.end == SIM_HIT ? -EIO : 0;
}

/* What is on the platter is all there is. */
static void take_platter(struct sim_disk *d)
{
	list_for_each (it, &d->inodes) {
		struct sim_inode *inode = list_entry(it, struct sim_inode, link);

		inode->refs++; /* until all names are those of the platter */
		inode->nlink = inode == d->root ? 1 : 0;
		if (inode != d->root)
			inode->parent = NULL;
	}
	list_for_each (it, &d->inodes) {
		struct sim_inode *dir = list_entry(it, struct sim_inode, link);

		names_copy(&dir->names, &dir->platter_names);
	}
}

/* Counts names and sets paths from the root down; what it does not reach is gone. */
static void name_tree(struct sim_inode *dir)
{
	for (size_t i = 0; i < dir->names.count; i++) {
		struct sim_inode *inode = dir->names.v[i].inode;

		inode->nlink++;
		set_path(inode, dir, dir->names.v[i].name);
		if (!inode->is_dir)
			continue;
		inode->parent = dir;
		name_tree(inode);
	}
}

void sim_names_lose(struct sim_disk *d)
{
	uint64_t kept = prng_below(&d->rnd, 5); /* of 4: none, some, all */

	list_for_each (it, &d->changes)
		list_entry(it, struct sim_change, link)->chosen = prng_below(&d->rnd, 4) < kept;
	settle_chosen(d);
	sim_changes_clear(d);
	take_platter(d);
	name_tree(d->root);
	for (struct list *it = d->inodes.next; it != &d->inodes;) {
		struct sim_inode *inode = list_entry(it, struct sim_inode, link);

		if (inode->nlink == 0) { /* unreachable: its names too */
			sim_names_clear(&inode->names);
			sim_names_clear(&inode->platter_names);
		}
		it = it->next;
	}
	for (struct list *it = d->inodes.next; it != &d->inodes;) {
		struct sim_inode *inode = list_entry(it, struct sim_inode, link);

		it = it->next;
		sim_inode_unref(inode);
	}
}
