/* sim_disk.c - see sim_disk.h: lives, crashes, faults, digest. */
#include <string.h>

#include "base/hash.h"
#include "tests/sim/sim_disk_internal.h"

static struct list disks = { &disks, &disks };

/* ---- life --------------------------------------------------------------------------------------- */

struct sim_disk *sim_disk_new(const char *name, uint64_t seed)
{
	struct sim_disk *d = mem_calloc(1, sizeof(*d));
	struct buf path = BUF_INIT;

	assert(name[0] != '\0' && !strchr(name, '/'));
	buf_printf(&path, "%s/%s", SIM_DISK_ROOT, name);
	buf_put_u8(&path, '\0');
	d->root_path = (char *)path.data;
	list_for_each (it, &disks)
		assert(strcmp(list_entry(it, struct sim_disk, link)->root_path, d->root_path) != 0);
	list_init(&d->inodes);
	list_init(&d->changes);
	list_init(&d->faults);
	prng_init(&d->rnd, seed);
	d->seed = seed;
	d->root = sim_inode_new(d, true, d->root_path);
	d->root->parent = d->root;
	d->root->nlink = 1;
	sim_disk_set_capacity(d, UINT64_C(1) << 30);
	list_add_tail(&disks, &d->link);
	sim_vfs_register();
	return d;
}

void sim_disk_free(struct sim_disk *d)
{
	if (!d)
		return;
	sim_disk_forget_handles(d);
	sim_disk_disarm(d);
	sim_changes_clear(d);
	list_for_each (it, &d->inodes) {
		struct sim_inode *inode = list_entry(it, struct sim_inode, link);

		inode->refs++; /* the names below cannot free it under us */
		sim_vfs_crash(inode);
	}
	list_for_each (it, &d->inodes) {
		struct sim_inode *inode = list_entry(it, struct sim_inode, link);

		sim_names_clear(&inode->names);
		sim_names_clear(&inode->platter_names);
	}
	sim_inode_unref(d->root);
	list_for_each_safe (it, &d->inodes) {
		struct sim_inode *inode = list_entry(it, struct sim_inode, link);

		inode->refs = 1; /* SQLite files that nobody closed count no more */
		sim_inode_unref(inode);
	}
	list_del(&d->link);
	free(d->root_path);
	free(d);
}

const char *sim_disk_root(const struct sim_disk *d)
{
	return d->root_path;
}

void sim_disk_crash_at(struct sim_disk *d, uint64_t k)
{
	d->crash_in = k;
}

bool sim_disk_died(const struct sim_disk *d)
{
	return d->died;
}

uint64_t sim_disk_io_count(const struct sim_disk *d)
{
	return d->io_count;
}

void sim_disk_crash(struct sim_disk *d, bool power_loss)
{
	bool evict = sim_disk_chance(d, 2);

	d->dead = d->died = true;
	d->life++;
	if (power_loss)
		sim_names_lose(d);
	list_for_each (it, &d->inodes) {
		struct sim_inode *inode = list_entry(it, struct sim_inode, link);

		inode->flock_owner = NULL;
		sim_vfs_crash(inode);
		if (inode->is_dir)
			continue;
		if (power_loss)
			sim_pages_lose(inode);
		else if (evict)
			sim_pages_evict(inode);
	}
}

void sim_disk_revive(struct sim_disk *d)
{
	d->dead = d->died = false;
	d->crash_in = 0;
	sim_disk_disarm(d);
}

uint64_t sim_disk_draw(struct sim_disk *d)
{
	return prng_u64(&d->rnd);
}

size_t sim_disk_open_handles(const struct sim_disk *d)
{
	return d->open_handles;
}

void sim_disk_forget_handles(struct sim_disk *d)
{
	sim_fds_forget(d);
	d->open_handles = 0;
}

void sim_disk_set_capacity(struct sim_disk *d, uint64_t bytes)
{
	d->capacity_pages = bytes / SIM_PAGE_SIZE;
}

uint64_t sim_disk_used_bytes(const struct sim_disk *d)
{
	return d->used_pages * SIM_PAGE_SIZE;
}

void sim_disk_set_latency(struct sim_disk *d, const struct sim_disk_latency *latency)
{
	d->latency = *latency;
}

struct sim_disk *sim_disk_of(const char *path, const char **rest)
{
	list_for_each (it, &disks) {
		struct sim_disk *d = list_entry(it, struct sim_disk, link);
		size_t len = strlen(d->root_path);

		if (strncmp(path, d->root_path, len) == 0 &&
		    (path[len] == '/' || path[len] == '\0')) {
			*rest = path + len;
			return d;
		}
	}
	return NULL;
}

struct sim_disk *sim_disk_next(struct sim_disk *after)
{
	struct list *at = after ? after->link.next : disks.next;

	return at == &disks ? NULL : list_entry(at, struct sim_disk, link);
}

/* ---- what a call runs into ----------------------------------------------------------------------- */

bool sim_disk_chance(struct sim_disk *d, unsigned one_in)
{
	return prng_below(&d->rnd, one_in) == 0;
}

static unsigned calls_of(const struct sim_disk_fault *f)
{
	if (f->calls != 0)
		return f->calls;
	switch (f->kind) {
	case SIM_FAULT_ERROR:
		return SIM_IO_CHANGES | SIM_IO_READ | SIM_IO_OPEN;
	case SIM_FAULT_SHORT:
		return SIM_IO_WRITE | SIM_IO_READ;
	case SIM_FAULT_SYNC:
	case SIM_FAULT_SYNC_REVERT:
		return SIM_IO_SYNC;
	case SIM_FAULT_LIE:
		return SIM_IO_SYNC | SIM_IO_SYNC_DIR;
	case SIM_FAULT_LOST:
	case SIM_FAULT_MISDIRECTED:
		return SIM_IO_WRITE;
	case SIM_FAULT_MISREAD:
		return SIM_IO_READ;
	}
	return 0;
}

static void fault_free(struct sim_fault_slot *slot)
{
	list_del(&slot->link);
	free(slot->name);
	free(slot);
}

static struct sim_fate find_fault(struct sim_disk *d, enum sim_io call, const char *path)
{
	struct sim_fate fate = { .end = SIM_GOES_ON };

	list_for_each_safe (it, &d->faults) {
		struct sim_fault_slot *slot = list_entry(it, struct sim_fault_slot, link);
		struct sim_disk_fault *f = &slot->fault;

		if (!(calls_of(f) & call) || (slot->name && !strstr(path, slot->name)))
			continue;
		if (f->after > 0) {
			f->after--;
			continue;
		}
		if (fate.end != SIM_GOES_ON)
			continue;
		fate.end = f->kind == SIM_FAULT_ERROR ? SIM_FAILS : SIM_HIT;
		fate.error = -f->error;
		fate.kind = f->kind;
		d->hits++;
		if (f->times <= 1)
			fault_free(slot);
		else if (f->times != UINT64_MAX)
			f->times--;
	}
	return fate;
}

struct sim_fate sim_call_begin(struct sim_disk *d, enum sim_io call, const char *path)
{
	if (d->dead)
		return (struct sim_fate){ .end = SIM_FAILS, .error = -EIO };
	if (call & SIM_IO_CHANGES) {
		d->io_count++;
		d->clock++;
		if (d->crash_in > 0 && --d->crash_in == 0) {
			d->dead = d->died = true;
			return (struct sim_fate){ .end = SIM_DIES, .error = -EIO };
		}
	}
	return find_fault(d, call, path);
}

int sim_file_check(const struct sim_file *f)
{
	return f->life != f->disk->life || f->disk->dead ? -EIO : 0;
}

void sim_wait(struct sim_disk *d, uint64_t min_ns, uint64_t max_ns)
{
	if (d->latency.wait_ns && max_ns > 0)
		d->latency.wait_ns(d->latency.ctx,
				   min_ns + prng_below(&d->rnd, max_ns - min_ns + 1));
}

void sim_file_open(struct sim_file *f, struct sim_inode *inode, int flags)
{
	f->disk = inode->disk;
	f->inode = sim_inode_ref(inode);
	f->life = inode->disk->life;
	f->flags = flags;
	f->disk->open_handles++;
}

void sim_file_close(struct sim_file *f)
{
	f->disk->open_handles--;
	sim_inode_unref(f->inode);
	f->inode = NULL;
}

/* ---- faults -------------------------------------------------------------------------------------- */

void sim_disk_arm(struct sim_disk *d, const struct sim_disk_fault *fault)
{
	struct sim_fault_slot *slot = mem_calloc(1, sizeof(*slot));

	slot->fault = *fault;
	slot->name = fault->name ? mem_strdup(fault->name) : NULL;
	slot->fault.name = NULL;
	list_add_tail(&d->faults, &slot->link);
}

void sim_disk_disarm(struct sim_disk *d)
{
	list_for_each_safe (it, &d->faults)
		fault_free(list_entry(it, struct sim_fault_slot, link));
}

uint64_t sim_disk_hits(const struct sim_disk *d)
{
	return d->hits;
}

static int find_file(struct sim_disk *d, const char *path, struct sim_inode **inode)
{
	const char *rest;

	if (sim_disk_of(path, &rest) != d || sim_lookup(d->root, rest, inode) < 0 ||
	    (*inode)->is_dir)
		return -ENOENT;
	return 0;
}

int sim_disk_flip(struct sim_disk *d, const char *path, uint64_t offset, uint8_t mask)
{
	struct sim_inode *inode;

	if (find_file(d, path, &inode) < 0)
		return -ENOENT;
	if (offset >= inode->size)
		return -EINVAL;
	sim_page_flip(sim_page_at(inode, offset), offset % SIM_PAGE_SIZE, mask);
	return 0;
}

int sim_disk_bad_sector(struct sim_disk *d, const char *path, uint64_t offset)
{
	struct sim_inode *inode;

	if (find_file(d, path, &inode) < 0)
		return -ENOENT;
	if (offset >= inode->size)
		return -EINVAL;
	sim_page_at(inode, offset)->bad |=
		(uint8_t)(1u << (offset % SIM_PAGE_SIZE / SIM_SECTOR_SIZE));
	return 0;
}

int sim_disk_flip_any(struct sim_disk *d, const char *name, struct buf *path, uint64_t *offset)
{
	struct sim_inode *found = NULL;
	uint64_t seen = 0;

	/* Each file with the same probability; the list is in the order of creation. */
	list_for_each (it, &d->inodes) {
		struct sim_inode *inode = list_entry(it, struct sim_inode, link);

		if (inode->is_dir || inode->nlink == 0 || inode->size == 0)
			continue;
		if ((!name || strstr(inode->path, name)) && prng_below(&d->rnd, ++seen) == 0)
			found = inode;
	}
	if (!found)
		return -ENOENT;
	*offset = prng_below(&d->rnd, found->size);
	if (path) {
		buf_printf(path, "%s", found->path);
		buf_put_u8(path, '\0');
	}
	sim_page_flip(sim_page_at(found, *offset), *offset % SIM_PAGE_SIZE,
		      (uint8_t)(1u << prng_below(&d->rnd, 8)));
	return 0;
}

int sim_disk_platter(struct sim_disk *d, const char *path, struct buf *out)
{
	static const uint8_t zeros[SIM_PAGE_SIZE];
	struct sim_inode *inode;

	if (find_file(d, path, &inode) < 0)
		return -ENOENT;
	for (uint64_t at = 0; at < inode->platter_size; at += SIM_PAGE_SIZE) {
		size_t len = (size_t)min_u64(SIM_PAGE_SIZE, inode->platter_size - at);
		size_t page = (size_t)(at / SIM_PAGE_SIZE);
		const uint8_t *bytes = page < inode->page_count ? inode->pages[page].platter : NULL;

		buf_put(out, bytes ? bytes : zeros, len);
	}
	return 0;
}

/* ---- digest -------------------------------------------------------------------------------------- */

static uint64_t digest_names(const struct sim_names *names, uint64_t h, bool platter)
{
	for (size_t i = 0; i < names->count; i++) {
		const struct sim_inode *inode = names->v[i].inode;

		h = hash64_seed(names->v[i].name, strlen(names->v[i].name), h);
		h = hash_u64(h ^ inode->number);
		if (inode->is_dir)
			h = digest_names(platter ? &inode->platter_names : &inode->names, h,
					 platter);
		else
			h = sim_pages_digest(inode, h);
	}
	return h;
}

uint64_t sim_disk_digest(const struct sim_disk *d)
{
	uint64_t h = digest_names(&d->root->names, d->seed, false);

	h = digest_names(&d->root->platter_names, h, true);
	list_for_each (it, &d->changes) {
		const struct sim_change *c = list_entry(it, struct sim_change, link);

		if (c->from_name)
			h = hash64_seed(c->from_name, strlen(c->from_name), h);
		if (c->to_name)
			h = hash64_seed(c->to_name, strlen(c->to_name), h);
	}
	return hash_u64(h ^ d->used_pages ^ d->io_count);
}
