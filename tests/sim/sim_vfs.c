/*
 * sim_vfs.c - SQLite on a simulated disk: the default VFS of the simulator's programs.
 *
 * Files below /sim/ are those of the disk. Locks and the WAL index belong to one process, that is to
 * one life of the disk: a crash takes them from the inode, and what a dead connection still holds
 * stays with it until it closes. Where the unix VFS syncs a directory (a new journal or WAL, a
 * deletion), this one does; where it does not, neither does this one. Other paths go to the unix VFS.
 */
#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>

#include "tests/sim/sim_disk_internal.h"

#define FIXED_WALL_NS INT64_C(1700000000000000000)

struct prng sim_machine_rnd;
const struct sim_machine *sim_machine;

struct sim_shm {
	unsigned refs;
	void **regions;
	int region_count, region_size;
	unsigned shared[SQLITE_SHM_NLOCK];
	bool exclusive[SQLITE_SHM_NLOCK];
};

struct vfs_file {
	sqlite3_file base;
	struct sim_file file;
	int level;     /* of the lock it has */
	bool sync_dir; /* with the first sync: its name is new */
	struct sim_shm *shm;
	uint16_t shm_shared, shm_exclusive; /* the slots it has */
};

static sqlite3_vfs *unix_vfs;

static struct vfs_file *vfs_file(sqlite3_file *f)
{
	return (struct vfs_file *)f;
}

/* ---- bytes ------------------------------------------------------------------------------------------- */

static int vfs_read(sqlite3_file *f, void *data, int len, sqlite3_int64 off)
{
	struct vfs_file *v = vfs_file(f);
	int done = 0;

	while (done < len) {
		ssize_t n = sim_file_read(&v->file, (uint8_t *)data + done, (size_t)(len - done),
					  (uint64_t)(off + done));

		if (n < 0)
			return SQLITE_IOERR_READ;
		if (n == 0)
			break;
		done += (int)n;
	}
	memset((uint8_t *)data + done, 0, (size_t)(len - done));
	return done == len ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

static int vfs_write(sqlite3_file *f, const void *data, int len, sqlite3_int64 off)
{
	struct vfs_file *v = vfs_file(f);
	int done = 0;

	while (done < len) {
		ssize_t n = sim_file_write(&v->file, (const uint8_t *)data + done,
					   (size_t)(len - done), (uint64_t)(off + done));

		if (n < 0)
			return n == -ENOSPC ? SQLITE_FULL : SQLITE_IOERR_WRITE;
		done += (int)n;
	}
	return SQLITE_OK;
}

static int vfs_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	int ret = sim_file_truncate(&vfs_file(f)->file, (uint64_t)size);

	return ret < 0 ? SQLITE_IOERR_TRUNCATE : SQLITE_OK;
}

static int sync_parent(const struct sim_inode *inode)
{
	struct sim_inode *dir = inode->disk->root;
	char name[SIM_NAME_MAX + 1];
	const char *rest;
	struct sim_file f;
	int ret;

	if (sim_disk_of(inode->path, &rest) != inode->disk || sim_walk(dir, rest, &dir, name) < 0)
		return SQLITE_OK; /* its directory is gone, and the unix VFS would not mind */
	sim_file_open(&f, dir, O_RDONLY);
	ret = sim_dir_sync(&f);
	sim_file_close(&f);
	return ret < 0 ? SQLITE_IOERR_DIR_FSYNC : SQLITE_OK;
}

static int vfs_sync(sqlite3_file *f, int flags)
{
	struct vfs_file *v = vfs_file(f);

	(void)flags;
	if (sim_file_sync(&v->file) < 0)
		return SQLITE_IOERR_FSYNC;
	if (!v->sync_dir)
		return SQLITE_OK;
	v->sync_dir = false;
	return sync_parent(v->file.inode);
}

static int vfs_file_size(sqlite3_file *f, sqlite3_int64 *size)
{
	struct vfs_file *v = vfs_file(f);

	if (sim_file_check(&v->file) < 0)
		return SQLITE_IOERR_FSTAT;
	*size = (sqlite3_int64)v->file.inode->size;
	return SQLITE_OK;
}

/* ---- locks of the database file ------------------------------------------------------------------------ */

static int take_exclusive(struct vfs_file *v, struct sim_db_lock *l)
{
	if (l->pending && l->pending != v)
		return SQLITE_BUSY;
	l->pending = v;
	v->level = SQLITE_LOCK_PENDING;
	if (l->shared > 1)
		return SQLITE_BUSY;
	l->exclusive = v;
	v->level = SQLITE_LOCK_EXCLUSIVE;
	return SQLITE_OK;
}

static int vfs_lock(sqlite3_file *f, int level)
{
	struct vfs_file *v = vfs_file(f);
	struct sim_db_lock *l = &v->file.inode->db_lock;

	if (sim_file_check(&v->file) < 0)
		return SQLITE_IOERR_LOCK;
	if (v->level >= level)
		return SQLITE_OK;
	if (v->level == SQLITE_LOCK_NONE) {
		assert(level == SQLITE_LOCK_SHARED);
		if (l->pending || l->exclusive)
			return SQLITE_BUSY;
		l->shared++;
		v->level = SQLITE_LOCK_SHARED;
		return SQLITE_OK;
	}
	if (l->reserved && l->reserved != v)
		return SQLITE_BUSY;
	if (level == SQLITE_LOCK_EXCLUSIVE)
		return take_exclusive(v, l);
	l->reserved = v;
	v->level = SQLITE_LOCK_RESERVED;
	return SQLITE_OK;
}

static int vfs_unlock(sqlite3_file *f, int level)
{
	struct vfs_file *v = vfs_file(f);
	struct sim_db_lock *l = &v->file.inode->db_lock;
	bool lives = v->file.life == v->file.disk->life; /* else they are another process's */

	if (v->level <= level)
		return SQLITE_OK;
	if (lives) {
		l->reserved = l->reserved == v ? NULL : l->reserved;
		l->pending = l->pending == v ? NULL : l->pending;
		l->exclusive = l->exclusive == v ? NULL : l->exclusive;
		if (level == SQLITE_LOCK_NONE)
			l->shared--;
	}
	v->level = level;
	return SQLITE_OK;
}

static int vfs_check_reserved(sqlite3_file *f, int *out)
{
	const struct sim_db_lock *l = &vfs_file(f)->file.inode->db_lock;

	*out = l->reserved || l->pending || l->exclusive;
	return SQLITE_OK;
}

/* ---- the WAL index -------------------------------------------------------------------------------------- */

static void shm_unref(struct sim_shm *shm)
{
	if (!shm || --shm->refs > 0)
		return;
	for (int i = 0; i < shm->region_count; i++)
		free(shm->regions[i]);
	free(shm->regions);
	free(shm);
}

/* The inode holds no reference: the connections do, and the last one leaves the inode without. */
static void shm_attach(struct vfs_file *v)
{
	struct sim_inode *inode = v->file.inode;

	if (!inode->shm)
		inode->shm = mem_calloc(1, sizeof(*inode->shm));
	v->shm = inode->shm;
	v->shm->refs++;
}

static int vfs_shm_map(sqlite3_file *f, int region, int size, int extend, void volatile **out)
{
	struct vfs_file *v = vfs_file(f);

	*out = NULL;
	if (sim_file_check(&v->file) < 0)
		return SQLITE_IOERR_SHMOPEN;
	if (!v->shm)
		shm_attach(v);
	if (region >= v->shm->region_count) {
		struct sim_shm *shm = v->shm;

		if (!extend)
			return SQLITE_OK;
		shm->regions = mem_realloc(shm->regions, (size_t)(region + 1) * sizeof(void *));
		while (shm->region_count <= region)
			shm->regions[shm->region_count++] = mem_calloc(1, (size_t)size);
	}
	*out = v->shm->regions[region];
	return SQLITE_OK;
}

static void shm_release(struct vfs_file *v, int slot)
{
	if (v->shm_shared & 1u << slot)
		v->shm->shared[slot]--;
	if (v->shm_exclusive & 1u << slot)
		v->shm->exclusive[slot] = false;
	v->shm_shared &= (uint16_t) ~(1u << slot);
	v->shm_exclusive &= (uint16_t) ~(1u << slot);
}

static bool shm_is_free(const struct vfs_file *v, int slot, bool exclusive)
{
	unsigned others = v->shm->shared[slot] - (v->shm_shared >> slot & 1);

	if (v->shm->exclusive[slot] && !(v->shm_exclusive & 1u << slot))
		return false;
	return !exclusive || others == 0;
}

static int vfs_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
	struct vfs_file *v = vfs_file(f);
	bool exclusive = flags & SQLITE_SHM_EXCLUSIVE;

	if (flags & SQLITE_SHM_UNLOCK) {
		for (int i = offset; v->shm && i < offset + n; i++)
			shm_release(v, i);
		return SQLITE_OK;
	}
	if (sim_file_check(&v->file) < 0 || !v->shm)
		return SQLITE_IOERR_SHMLOCK;
	for (int i = offset; i < offset + n; i++)
		if (!shm_is_free(v, i, exclusive))
			return SQLITE_BUSY;
	for (int i = offset; i < offset + n; i++) {
		uint16_t bit = (uint16_t)(1u << i);

		if (exclusive) {
			v->shm->exclusive[i] = true;
			v->shm_exclusive |= bit;
		} else if (!(v->shm_shared & bit)) {
			v->shm->shared[i]++;
			v->shm_shared |= bit;
		}
	}
	return SQLITE_OK;
}

static void vfs_shm_barrier(sqlite3_file *f)
{
	(void)f;
}

static int vfs_shm_unmap(sqlite3_file *f, int delete)
{
	struct vfs_file *v = vfs_file(f);

	(void)delete;
	if (!v->shm)
		return SQLITE_OK;
	for (int i = 0; i < SQLITE_SHM_NLOCK; i++)
		shm_release(v, i);
	if (v->shm->refs == 1 && v->file.inode->shm == v->shm)
		v->file.inode->shm = NULL;
	shm_unref(v->shm);
	v->shm = NULL;
	return SQLITE_OK;
}

void sim_vfs_crash(struct sim_inode *inode)
{
	inode->db_lock = (struct sim_db_lock){ .shared = 0 };
	inode->shm = NULL;
}

/* ---- files ------------------------------------------------------------------------------------------------ */

static int vfs_close(sqlite3_file *f)
{
	struct vfs_file *v = vfs_file(f);

	vfs_shm_unmap(f, 0);
	vfs_unlock(f, SQLITE_LOCK_NONE);
	sim_file_close(&v->file);
	return SQLITE_OK;
}

static bool has_moved(const struct sim_file *f)
{
	struct sim_inode *now;
	const char *rest;

	return f->inode->nlink == 0 || sim_disk_of(f->inode->path, &rest) != f->disk ||
	       sim_lookup(f->disk->root, rest, &now) < 0 || now != f->inode;
}

static int vfs_control(sqlite3_file *f, int op, void *arg)
{
	struct vfs_file *v = vfs_file(f);

	switch (op) {
	case SQLITE_FCNTL_LOCKSTATE:
		*(int *)arg = v->level;
		return SQLITE_OK;
	case SQLITE_FCNTL_HAS_MOVED:
		*(int *)arg = has_moved(&v->file);
		return SQLITE_OK;
	case SQLITE_FCNTL_VFSNAME:
		*(char **)arg = sqlite3_mprintf("sim");
		return SQLITE_OK;
	default:
		return SQLITE_NOTFOUND;
	}
}

/* As the unix VFS has them. */
static int vfs_sector_size(sqlite3_file *f)
{
	(void)f;
	return SIM_PAGE_SIZE;
}

static int vfs_characteristics(sqlite3_file *f)
{
	(void)f;
	return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static const sqlite3_io_methods vfs_methods = {
	.iVersion = 2,
	.xClose = vfs_close,
	.xRead = vfs_read,
	.xWrite = vfs_write,
	.xTruncate = vfs_truncate,
	.xSync = vfs_sync,
	.xFileSize = vfs_file_size,
	.xLock = vfs_lock,
	.xUnlock = vfs_unlock,
	.xCheckReservedLock = vfs_check_reserved,
	.xFileControl = vfs_control,
	.xSectorSize = vfs_sector_size,
	.xDeviceCharacteristics = vfs_characteristics,
	.xShmMap = vfs_shm_map,
	.xShmLock = vfs_shm_lock,
	.xShmBarrier = vfs_shm_barrier,
	.xShmUnmap = vfs_shm_unmap,
};

static bool is_ours(const char *path)
{
	size_t root = strlen(SIM_DISK_ROOT);

	return path && strncmp(path, SIM_DISK_ROOT, root) == 0 && path[root] == '/';
}

static int open_flags(int flags)
{
	int out = flags & SQLITE_OPEN_READWRITE ? O_RDWR : O_RDONLY;

	if (flags & SQLITE_OPEN_CREATE)
		out |= O_CREAT;
	if (flags & SQLITE_OPEN_EXCLUSIVE)
		out |= O_EXCL;
	return out;
}

static bool is_journal(int flags)
{
	return flags & (SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL | SQLITE_OPEN_WAL);
}

static int vfs_open(sqlite3_vfs *vfs, sqlite3_filename path, sqlite3_file *f, int flags,
		    int *out_flags)
{
	struct vfs_file *v = vfs_file(f);
	struct sim_disk *d;
	const char *rest;
	int ret;

	(void)vfs;
	if (!is_ours(path))
		return unix_vfs->xOpen(unix_vfs, path, f, flags, out_flags);
	memset(v, 0, sizeof(*v));
	d = sim_disk_of(path, &rest);
	if (!d || d->dead)
		return SQLITE_CANTOPEN;
	ret = sim_name_open(d->root, rest, open_flags(flags), &v->file);
	if (ret < 0)
		return ret == -ENOSPC ? SQLITE_FULL : SQLITE_CANTOPEN;
	if (flags & SQLITE_OPEN_DELETEONCLOSE)
		(void)sim_name_unlink(d->root, rest, false);
	v->sync_dir = flags & SQLITE_OPEN_CREATE && is_journal(flags);
	v->base.pMethods = &vfs_methods;
	if (out_flags)
		*out_flags = flags;
	return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *path, int sync_dir)
{
	struct sim_inode *inode;
	struct sim_disk *d;
	const char *rest;
	int ret;

	(void)vfs;
	if (!is_ours(path))
		return unix_vfs->xDelete(unix_vfs, path, sync_dir);
	d = sim_disk_of(path, &rest);
	if (!d || d->dead)
		return SQLITE_IOERR_DELETE;
	if (sim_lookup(d->root, rest, &inode) < 0)
		return SQLITE_IOERR_DELETE_NOENT;
	sim_inode_ref(inode); /* its path tells the directory */
	ret = sim_name_unlink(d->root, rest, false) < 0 ? SQLITE_IOERR_DELETE : SQLITE_OK;
	if (ret == SQLITE_OK && sync_dir)
		ret = sync_parent(inode);
	sim_inode_unref(inode);
	return ret;
}

static int vfs_access(sqlite3_vfs *vfs, const char *path, int flags, int *out)
{
	struct sim_inode *inode;
	struct sim_disk *d;
	const char *rest;

	(void)vfs;
	if (!is_ours(path))
		return unix_vfs->xAccess(unix_vfs, path, flags, out);
	d = sim_disk_of(path, &rest);
	if (!d || d->dead)
		return SQLITE_IOERR_ACCESS;
	*out = sim_lookup(d->root, rest, &inode) == 0 &&
	       (flags != SQLITE_ACCESS_EXISTS || inode->is_dir || inode->size > 0);
	return SQLITE_OK;
}

static int vfs_full_path(sqlite3_vfs *vfs, const char *path, int len, char *out)
{
	(void)vfs;
	if (!is_ours(path))
		return unix_vfs->xFullPathname(unix_vfs, path, len, out);
	if (snprintf(out, (size_t)len, "%s", path) >= len)
		return SQLITE_CANTOPEN;
	return SQLITE_OK;
}

/* ---- the machine ------------------------------------------------------------------------------------------- */

static int vfs_randomness(sqlite3_vfs *vfs, int len, char *out)
{
	(void)vfs;
	for (int i = 0; i < len; i++)
		out[i] = (char)prng_u64(&sim_machine_rnd);
	return len;
}

static int vfs_sleep(sqlite3_vfs *vfs, int us)
{
	(void)vfs;
	if (sim_machine && sim_machine->sleep_ns)
		sim_machine->sleep_ns((uint64_t)us * 1000);
	return us;
}

static int vfs_time_ms(sqlite3_vfs *vfs, sqlite3_int64 *ms)
{
	int64_t ns = sim_machine && sim_machine->wall_ns ? sim_machine->wall_ns() : FIXED_WALL_NS;

	(void)vfs;
	*ms = INT64_C(24405875) * 8640000 +
	      ns / 1000000; /* since noon in -4713, as SQLite counts */
	return SQLITE_OK;
}

static int vfs_time_days(sqlite3_vfs *vfs, double *days)
{
	sqlite3_int64 ms = 0;
	int rc = vfs_time_ms(vfs, &ms);

	*days = (double)ms / 86400000.0;
	return rc;
}

static int vfs_last_error(sqlite3_vfs *vfs, int len, char *out)
{
	(void)vfs;
	(void)len;
	(void)out;
	return EIO;
}

static sqlite3_vfs sim_vfs = {
	.iVersion = 2,
	.szOsFile = sizeof(struct vfs_file),
	.mxPathname = SIM_PATH_MAX - 1,
	.zName = "sim",
	.xOpen = vfs_open,
	.xDelete = vfs_delete,
	.xAccess = vfs_access,
	.xFullPathname = vfs_full_path,
	.xRandomness = vfs_randomness,
	.xSleep = vfs_sleep,
	.xCurrentTime = vfs_time_days,
	.xGetLastError = vfs_last_error,
	.xCurrentTimeInt64 = vfs_time_ms,
};

void sim_vfs_register(void)
{
	int rc;

	if (unix_vfs)
		return;
	unix_vfs = sqlite3_vfs_find("unix");
	assert(unix_vfs);
	if (unix_vfs->szOsFile > sim_vfs.szOsFile)
		sim_vfs.szOsFile = unix_vfs->szOsFile;
	rc = sqlite3_vfs_register(&sim_vfs, 1);
	assert(rc == SQLITE_OK);
}

void sim_machine_seed(uint64_t seed)
{
	sim_vfs_register();
	prng_init(&sim_machine_rnd, seed);
	sqlite3_randomness(0, NULL); /* the next ones are drawn from our seed */
}

void sim_machine_set(const struct sim_machine *machine)
{
	sim_machine = machine;
}
