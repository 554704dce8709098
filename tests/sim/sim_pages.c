/*
 * sim_pages.c - one file of a simulated disk: what programs see, what is on the platter, and when the
 * one becomes the other.
 */
#include <fcntl.h>
#include <string.h>

#include "base/hash.h"
#include "tests/sim/sim_disk_internal.h"

static const uint8_t zeros[SIM_PAGE_SIZE];

/* ---- one page ------------------------------------------------------------------------------------ */

static const uint8_t *bytes_or_zeros(const uint8_t *p)
{
	return p ? p : zeros;
}

/* Gives the cache memory of its own, with what it has now. */
static void cache_own(struct sim_page *p)
{
	if (p->cache && p->cache != p->platter)
		return;
	p->cache = mem_dup(bytes_or_zeros(p->cache), SIM_PAGE_SIZE);
}

static void platter_own(struct sim_page *p)
{
	if (p->platter && p->cache != p->platter)
		return;
	p->platter = mem_dup(bytes_or_zeros(p->platter), SIM_PAGE_SIZE);
}

/* Equal bytes become one memory again. */
static void page_settle(struct sim_page *p)
{
	if (p->dirty != 0 || p->lost != 0 || p->cache == p->platter)
		return;
	free(p->platter);
	p->platter = p->cache;
}

static void copy_sectors(uint8_t *to, const uint8_t *from, unsigned mask)
{
	for (unsigned s = 0; s < SIM_SECTORS; s++)
		if (mask & 1u << s)
			memcpy(to + s * SIM_SECTOR_SIZE,
			       bytes_or_zeros(from) + (from ? s * SIM_SECTOR_SIZE : 0),
			       SIM_SECTOR_SIZE);
}

/* Dirty sectors in the mask get to the platter; the rest stays as it is. */
static void page_flush(struct sim_page *p, unsigned mask)
{
	unsigned wrote = p->dirty & mask & ~p->drop;

	p->lost |= (uint8_t)(p->dirty & mask & p->drop);
	if (wrote == SIM_ALL_DIRTY) {
		if (p->platter != p->cache)
			free(p->platter);
		p->platter = p->cache;
	} else if (wrote != 0) {
		platter_own(p);
		copy_sectors(p->platter, p->cache, wrote);
	}
	p->dirty &= (uint8_t)~mask;
	p->drop &= p->dirty;
	page_settle(p);
}

/* Sectors of the cache become what the platter has. */
static void page_revert(struct sim_page *p, unsigned mask)
{
	if (mask == 0)
		return;
	cache_own(p);
	copy_sectors(p->cache, p->platter, mask);
	p->dirty &= (uint8_t)~mask;
	p->drop &= p->dirty;
	p->lost &= (uint8_t)~mask;
	page_settle(p);
}

static void page_release(struct sim_page *p)
{
	if (p->cache != p->platter)
		free(p->platter);
	free(p->cache);
	*p = (struct sim_page){ .cache = NULL };
}

static void set_allocated(struct sim_disk *d, struct sim_page *p, bool allocated)
{
	if (p->allocated == allocated)
		return;
	p->allocated = allocated;
	d->used_pages += allocated ? 1 : (uint64_t)-1;
}

/* Sectors that a write may leave in an older version on the platter: some went there before. */
static void early_writeback(struct sim_disk *d, struct sim_page *p, unsigned mask)
{
	unsigned early = 0;

	if (!(p->dirty & mask) || !sim_disk_chance(d, 4))
		return;
	early = (unsigned)prng_below(&d->rnd, 256) & p->dirty & mask;
	if (early != 0)
		page_flush(p, early);
}

/* Before sectors of the page become dirty. */
static void note_dirty(struct sim_inode *inode, struct sim_page *p)
{
	size_t index = (size_t)(p - inode->pages);

	if (p->dirty == 0)
		p->since = inode->disk->clock;
	if (inode->dirty_from == inode->dirty_to) {
		inode->dirty_from = index;
		inode->dirty_to = index + 1;
	} else {
		inode->dirty_from = index < inode->dirty_from ? index : inode->dirty_from;
		inode->dirty_to = index >= inode->dirty_to ? index + 1 : inode->dirty_to;
	}
}

static unsigned sector_mask(size_t from, size_t len)
{
	unsigned mask = 0;

	for (size_t s = from / SIM_SECTOR_SIZE; s <= (from + len - 1) / SIM_SECTOR_SIZE; s++)
		mask |= 1u << s;
	return mask;
}

/* data NULL: zeros */
static void page_write(struct sim_inode *inode, struct sim_page *p, size_t from,
		       const uint8_t *data, size_t len)
{
	unsigned mask = sector_mask(from, len);

	if (!p->cache && !p->platter && p->lost == 0 && (!data || memcmp(data, zeros, len) == 0)) {
		p->bad &= (uint8_t)~mask;
		return; /* zeros already, here and there */
	}
	early_writeback(inode->disk, p, mask);
	cache_own(p);
	memcpy(p->cache + from, data ? data : zeros, len);
	note_dirty(inode, p);
	p->dirty |= (uint8_t)mask;
	p->drop &= (uint8_t)~mask;
	p->lost &= (uint8_t)~mask;
	p->bad &= (uint8_t)~mask;
}

/* The whole page is gone from the file. */
static void page_drop(struct sim_inode *inode, struct sim_page *p)
{
	if (p->cache && p->cache != p->platter)
		free(p->cache);
	p->cache = NULL;
	if (p->platter) {
		note_dirty(inode, p);
		p->dirty = SIM_ALL_DIRTY;
	} else {
		p->dirty = 0;
	}
	p->drop = p->lost = p->bad = 0;
	set_allocated(inode->disk, p, false);
}

void sim_page_flip(struct sim_page *p, uint64_t offset, uint8_t mask)
{
	bool shared = p->cache == p->platter;

	cache_own(p);
	p->cache[offset] ^= mask;
	if (shared) {
		free(p->platter);
		p->platter = p->cache;
	} else {
		platter_own(p);
		p->platter[offset] ^= mask;
	}
}

/* ---- pages of a file ------------------------------------------------------------------------------- */

struct sim_page *sim_page_at(struct sim_inode *inode, uint64_t offset)
{
	size_t index = (size_t)(offset / SIM_PAGE_SIZE);

	if (index >= inode->page_count) {
		size_t count = index + 1 + index / 4;

		inode->pages = mem_realloc(inode->pages, count * sizeof(*inode->pages));
		memset(inode->pages + inode->page_count, 0,
		       (count - inode->page_count) * sizeof(*inode->pages));
		inode->page_count = count;
	}
	return &inode->pages[index];
}

void sim_pages_release(struct sim_inode *inode)
{
	for (size_t i = 0; i < inode->page_count; i++) {
		set_allocated(inode->disk, &inode->pages[i], false);
		page_release(&inode->pages[i]);
	}
	free(inode->pages);
	inode->pages = NULL;
	inode->page_count = 0;
}

static void set_size(struct sim_inode *inode, uint64_t size)
{
	inode->size = size;
	inode->size_min = min_u64(inode->size_min, size);
	inode->size_max = max_u64(inode->size_max, size);
}

/* One of the sizes that the file had since its last sync, or one between. */
static uint64_t draw_size(struct sim_inode *inode)
{
	struct sim_disk *d = inode->disk;

	if (inode->size_min == inode->size_max)
		return inode->size;
	switch (prng_below(&d->rnd, 4)) {
	case 0:
		return inode->size;
	case 1:
		return inode->platter_size;
	case 2:
		return sim_disk_chance(d, 2) ? inode->size_min : inode->size_max;
	default:
		return inode->size_min + prng_below(&d->rnd, inode->size_max - inode->size_min + 1);
	}
}

/* Bytes behind the end read as zeros should the file grow again. */
static void clear_tail(struct sim_inode *inode)
{
	size_t from = (size_t)(inode->size % SIM_PAGE_SIZE);
	size_t first = (size_t)((inode->size + SIM_PAGE_SIZE - 1) / SIM_PAGE_SIZE);

	if (from > 0 && inode->size / SIM_PAGE_SIZE < inode->page_count) {
		struct sim_page *p = &inode->pages[inode->size / SIM_PAGE_SIZE];

		if (p->cache) /* settled: the platter's too */
			memset(p->cache + from, 0, SIM_PAGE_SIZE - from);
	}
	for (size_t i = first; i < inode->page_count; i++) {
		set_allocated(inode->disk, &inode->pages[i], false);
		page_release(&inode->pages[i]);
	}
}

void sim_pages_lose(struct sim_inode *inode)
{
	struct sim_disk *d = inode->disk;
	uint64_t kept = prng_below(&d->rnd, 5); /* of 4 sectors: none, some, all */

	inode->size = draw_size(inode);
	for (size_t i = 0; i < inode->page_count; i++) {
		struct sim_page *p = &inode->pages[i];
		unsigned mask = 0;

		for (unsigned s = 0; s < SIM_SECTORS; s++)
			if (p->dirty & 1u << s && prng_below(&d->rnd, 4) < kept)
				mask |= 1u << s;
		page_flush(p, mask);
		page_revert(p, p->dirty | p->lost);
		if (p->platter)
			set_allocated(d, p, true);
	}
	clear_tail(inode);
	inode->platter_size = inode->size_min = inode->size_max = inode->size;
	inode->dirty_from = inode->dirty_to = 0;
}

void sim_pages_evict(struct sim_inode *inode)
{
	for (size_t i = 0; i < inode->page_count; i++)
		page_revert(&inode->pages[i], inode->pages[i].lost);
}

static uint64_t digest_bytes(const uint8_t *bytes, uint64_t h)
{
	return bytes ? hash64_seed(bytes, SIM_PAGE_SIZE, h) : hash_u64(h + 1);
}

uint64_t sim_pages_digest(const struct sim_inode *inode, uint64_t seed)
{
	uint64_t h = hash_u64(seed ^ inode->size);

	h = hash_u64(h ^ inode->platter_size);
	for (size_t i = 0; i < inode->page_count; i++) {
		const struct sim_page *p = &inode->pages[i];

		if (!p->cache && !p->platter && p->dirty == 0)
			continue;
		h = hash_u64(h ^ i ^ (uint64_t)p->dirty << 32 ^ (uint64_t)p->lost << 40);
		h = digest_bytes(p->cache, h);
		if (p->platter != p->cache)
			h = digest_bytes(p->platter, h);
	}
	return h;
}

/* ---- reading -------------------------------------------------------------------------------------- */

static bool page_readable(const struct sim_page *p, size_t from, size_t len)
{
	return (p->bad & sector_mask(from, len)) == 0;
}

/* O_DIRECT sees the platter, after what is dirty was written to it. */
static const uint8_t *page_view(struct sim_page *p, bool direct)
{
	if (direct)
		page_flush(p, p->dirty);
	return bytes_or_zeros(direct ? p->platter : p->cache);
}

static uint64_t other_page(struct sim_inode *inode, uint64_t off)
{
	uint64_t count = (inode->size + SIM_PAGE_SIZE - 1) / SIM_PAGE_SIZE;
	uint64_t page = off / SIM_PAGE_SIZE;
	uint64_t other;

	if (count < 2)
		return page;
	other = prng_below(&inode->disk->rnd, count - 1);
	return other < page ? other : other + 1;
}

ssize_t sim_file_read(struct sim_file *f, void *data, size_t len, uint64_t off)
{
	struct sim_inode *inode = f->inode;
	struct sim_fate fate;
	size_t done = 0;

	if (sim_file_check(f) < 0)
		return -EIO;
	fate = sim_call_begin(f->disk, SIM_IO_READ, inode->path);
	if (fate.end == SIM_FAILS)
		return fate.error;
	if (off >= inode->size || len == 0)
		return 0;
	len = (size_t)min_u64(len, inode->size - off);
	if (fate.end == SIM_HIT && fate.kind == SIM_FAULT_SHORT && len > 1)
		len = (size_t)(1 + prng_below(&f->disk->rnd, len - 1));
	if (fate.end == SIM_HIT && fate.kind == SIM_FAULT_MISREAD)
		off = other_page(inode, off) * SIM_PAGE_SIZE + off % SIM_PAGE_SIZE;
	while (done < len) {
		size_t from = (size_t)((off + done) % SIM_PAGE_SIZE);
		size_t n = (size_t)min_u64(SIM_PAGE_SIZE - from, len - done);
		struct sim_page *p = sim_page_at(inode, off + done);

		if (!page_readable(p, from, n))
			return done > 0 ? (ssize_t)done : -EIO;
		memcpy((uint8_t *)data + done, page_view(p, f->flags & O_DIRECT) + from, n);
		done += n;
	}
	return (ssize_t)done;
}

/* ---- writing -------------------------------------------------------------------------------------- */

/* How many bytes from off on there is room for. */
static size_t room_for(struct sim_inode *inode, uint64_t off, size_t len)
{
	struct sim_disk *d = inode->disk;
	uint64_t used = d->used_pages;

	for (uint64_t at = off - off % SIM_PAGE_SIZE; at < off + len; at += SIM_PAGE_SIZE) {
		if (sim_page_at(inode, at)->allocated)
			continue;
		if (used >= d->capacity_pages)
			return at > off ? (size_t)(at - off) : 0;
		used++;
	}
	return len;
}

/* The sectors get to the platter of another page of the file; they only seem to be in place. */
static void misdirect(struct sim_inode *inode, struct sim_page *p, uint64_t off, unsigned mask)
{
	uint64_t page = other_page(inode, off);
	struct sim_page *victim;
	unsigned hit;

	p->drop |= (uint8_t)(p->dirty & mask);
	if (page == off / SIM_PAGE_SIZE)
		return;
	victim = sim_page_at(inode, page * SIM_PAGE_SIZE);
	hit = mask & ~(unsigned)victim->dirty;
	platter_own(victim);
	copy_sectors(victim->platter, p->cache, hit);
	victim->lost |= (uint8_t)hit;
}

static int write_pages(struct sim_inode *inode, const uint8_t *data, size_t len, uint64_t off,
		       const struct sim_fate *fate)
{
	struct sim_disk *d = inode->disk;
	size_t done = 0;

	while (done < len) {
		size_t from = (size_t)((off + done) % SIM_PAGE_SIZE);
		size_t n = (size_t)min_u64(SIM_PAGE_SIZE - from, len - done);
		struct sim_page *p = sim_page_at(inode, off + done);
		unsigned mask = sector_mask(from, n);

		if (p->bad && n < SIM_PAGE_SIZE) /* the rest of the page cannot be read */
			return -EIO;
		page_write(inode, p, from, data ? data + done : NULL, n);
		set_allocated(d, p, true);
		set_size(inode, max_u64(inode->size, off + done + n));
		if (fate->end == SIM_HIT && fate->kind == SIM_FAULT_LOST)
			p->drop |= (uint8_t)(p->dirty & mask);
		if (fate->end == SIM_HIT && fate->kind == SIM_FAULT_MISDIRECTED)
			misdirect(inode, p, off + done, mask);
		done += n;
	}
	return 0;
}

ssize_t sim_file_write(struct sim_file *f, const void *data, size_t len, uint64_t off)
{
	struct sim_inode *inode = f->inode;
	struct sim_disk *d = f->disk;
	struct sim_fate fate;
	size_t room;
	int ret;

	if (sim_file_check(f) < 0)
		return -EIO;
	if (d->latency.write_max_ns > 0)
		sim_wait(d, d->latency.write_min_ns, d->latency.write_max_ns);
	if (sim_file_check(f) < 0)
		return -EIO;
	fate = sim_call_begin(d, SIM_IO_WRITE, inode->path);
	if (fate.end == SIM_FAILS || len == 0)
		return fate.error;
	if (fate.end == SIM_DIES) /* somewhere at a page's end, or not at all */
		len = (size_t)min_u64(len,
				      prng_below(&d->rnd, len / SIM_PAGE_SIZE + 2) * SIM_PAGE_SIZE);
	else if (fate.end == SIM_HIT && fate.kind == SIM_FAULT_SHORT && len > 1)
		len = (size_t)(1 + prng_below(&d->rnd, len - 1));
	room = room_for(inode, off, len);
	ret = write_pages(inode, data, room, off, &fate);
	if (fate.end == SIM_DIES)
		return -EIO;
	if (ret < 0)
		return ret;
	return room == 0 ? -ENOSPC : (ssize_t)room;
}

/* ---- size and space -------------------------------------------------------------------------------- */

static void clear_range(struct sim_inode *inode, uint64_t off, uint64_t end)
{
	uint64_t at = off;

	end = min_u64(end, (uint64_t)inode->page_count * SIM_PAGE_SIZE);
	while (at < end) {
		struct sim_page *p = sim_page_at(inode, at);
		size_t from = (size_t)(at % SIM_PAGE_SIZE);
		size_t n = (size_t)min_u64(SIM_PAGE_SIZE - from, end - at);

		if (n == SIM_PAGE_SIZE)
			page_drop(inode, p);
		else
			page_write(inode, p, from, NULL, n);
		at += n;
	}
}

/* Begins a call that changes size or space: true, then *ret is its result; SIM_DIES: half the time. */
static bool begin_space(struct sim_file *f, bool *dies, int *ret)
{
	struct sim_fate fate;

	*ret = sim_file_check(f);
	if (*ret < 0)
		return true;
	fate = sim_call_begin(f->disk, SIM_IO_TRUNCATE, f->inode->path);
	*dies = fate.end == SIM_DIES;
	*ret = fate.error;
	return fate.end == SIM_FAILS || (*dies && sim_disk_chance(f->disk, 2));
}

int sim_file_truncate(struct sim_file *f, uint64_t size)
{
	struct sim_inode *inode = f->inode;
	bool dies = false;
	int ret;

	if (begin_space(f, &dies, &ret))
		return ret;
	if (size < inode->size) {
		uint64_t whole = (size + SIM_PAGE_SIZE - 1) / SIM_PAGE_SIZE * SIM_PAGE_SIZE;

		clear_range(inode, size, min_u64(whole, inode->size));
		clear_range(inode, whole, UINT64_MAX);
	}
	set_size(inode, size);
	return dies ? -EIO : 0;
}

int sim_file_punch(struct sim_file *f, uint64_t off, uint64_t len)
{
	bool dies = false;
	int ret;

	if (begin_space(f, &dies, &ret))
		return ret;
	clear_range(f->inode, off, min_u64(off + len, f->inode->size));
	return dies ? -EIO : 0;
}

int sim_file_allocate(struct sim_file *f, uint64_t off, uint64_t len, bool keep_size)
{
	struct sim_inode *inode = f->inode;
	bool dies = false;
	int ret;

	if (begin_space(f, &dies, &ret))
		return ret;
	if (room_for(inode, off, (size_t)len) < len)
		return -ENOSPC;
	for (uint64_t at = off - off % SIM_PAGE_SIZE; at < off + len; at += SIM_PAGE_SIZE)
		set_allocated(inode->disk, sim_page_at(inode, at), true);
	if (!keep_size)
		set_size(inode, max_u64(inode->size, off + len));
	return dies ? -EIO : 0;
}

/* ---- syncing --------------------------------------------------------------------------------------- */

/* What was dirty at the time `before` gets to the platter; torn: a drawn half of the sectors only. */
static void flush(struct sim_inode *inode, uint64_t before, bool torn)
{
	size_t from = inode->dirty_from, to = inode->dirty_to;

	inode->dirty_from = inode->dirty_to = 0;
	for (size_t i = from; i < to; i++) {
		struct sim_page *p = &inode->pages[i];
		unsigned mask = SIM_ALL_DIRTY;

		if (p->dirty == 0)
			continue;
		if (torn)
			mask = (unsigned)prng_below(&inode->disk->rnd, 256);
		if (p->since <= before)
			page_flush(p, mask);
		if (p->dirty != 0)
			note_dirty(inode, p);
	}
}

/* All pages pass for clean now, but only some of them got there. */
static void sync_fails(struct sim_inode *inode, bool revert)
{
	flush(inode, UINT64_MAX, true);
	for (size_t i = 0; i < inode->page_count; i++) {
		struct sim_page *p = &inode->pages[i];

		if (revert)
			page_revert(p, p->dirty);
		p->drop |= p->dirty;
		page_flush(p, p->dirty);
	}
}

int sim_file_sync(struct sim_file *f)
{
	struct sim_inode *inode = f->inode;
	struct sim_disk *d = f->disk;
	uint64_t before, size;
	struct sim_fate fate;

	if (sim_file_check(f) < 0)
		return -EIO;
	fate = sim_call_begin(d, SIM_IO_SYNC, inode->path);
	if (fate.end == SIM_FAILS)
		return fate.error;
	before = d->clock;
	size = inode->size;
	if (fate.end == SIM_DIES) {
		if (sim_disk_chance(d, 2))
			flush(inode, before, true);
		return -EIO;
	}
	if (d->latency.wait_ns) {
		flush(inode, before, true); /* whoever loses power meanwhile finds a part of it */
		sim_wait(d, d->latency.sync_min_ns, d->latency.sync_max_ns);
		if (sim_file_check(f) < 0)
			return -EIO;
	}
	if (fate.end == SIM_HIT && fate.kind == SIM_FAULT_LIE)
		return 0;
	if (fate.end == SIM_HIT) {
		sync_fails(inode, fate.kind == SIM_FAULT_SYNC_REVERT);
		return -EIO;
	}
	flush(inode, before, false);
	inode->platter_size = size; /* another one, if it changed while this waited */
	inode->size_min = min_u64(size, inode->size);
	inode->size_max = max_u64(size, inode->size);
	return 0;
}
