/* sim_disk_internal.h - what the sources of the simulated disk know of each other. */
#ifndef TESTS_SIM_SIM_DISK_INTERNAL_H
#define TESTS_SIM_SIM_DISK_INTERNAL_H

#include <dirent.h>

#include "base/list.h"
#include "base/prng.h"
#include "tests/sim/sim_disk.h"

#define SIM_NAME_MAX 255u
#define SIM_PATH_MAX 1024u
#define SIM_SECTORS (SIM_PAGE_SIZE / SIM_SECTOR_SIZE)
#define SIM_ALL_DIRTY 0xffu

struct sim_inode;

/*
 * One page of a file. NULL is a page of zeros. While both sides have the same bytes they are the same
 * memory; dirty, lost: masks of sectors that may differ.
 */
struct sim_page {
	uint8_t *cache, *platter;
	uint8_t dirty;  /* the next sync brings these to the platter */
	uint8_t lost;   /* differ, but no sync will see them: failed, lost or misdirected writes */
	uint8_t drop;   /* of dirty: the sync will believe it wrote them */
	uint8_t bad;    /* cannot be read */
	bool allocated; /* counts as used */
	uint64_t since; /* the disk's clock when it became dirty */
};

struct sim_name {
	char *name;
	struct sim_inode *inode; /* a reference */
};

struct sim_names { /* sorted */
	struct sim_name *v;
	size_t count, cap;
};

/* The locks and the WAL index that SQLite's connections of one process share (sim_vfs.c). */
struct sim_shm;

struct sim_db_lock {
	unsigned shared;
	const void *reserved, *pending, *exclusive; /* the file that has it */
};

struct sim_inode {
	struct list link; /* in the disk's */
	struct sim_disk *disk;
	uint64_t number;
	unsigned refs;
	unsigned nlink; /* names that programs see */
	bool is_dir;
	char *path; /* the last one it was given, for faults and messages */
	/* files */
	struct sim_page *pages;
	size_t page_count;
	size_t dirty_from, dirty_to; /* no dirty page outside of these */
	uint64_t size, platter_size;
	uint64_t size_min, size_max; /* since the last sync */
	/* directories */
	struct sim_names names, platter_names;
	struct sim_inode *parent; /* borrowed; NULL: removed */
	/* of the process that has it open */
	const void *flock_owner;
	struct sim_db_lock db_lock;
	struct sim_shm *shm;
};

/* A change of directories that no sync has covered yet; a rename is both halves in one. */
struct sim_change {
	struct list link;
	uint64_t at;                         /* the disk's clock */
	bool chosen, forgotten;              /* by the sync or loss under way */
	struct sim_inode *from_dir, *to_dir; /* NULL: no such half; all four are references */
	struct sim_inode *from_inode, *to_inode;
	char *from_name, *to_name;
};

struct sim_fault_slot {
	struct list link;
	struct sim_disk_fault fault;
	char *name;
};

struct sim_disk {
	struct list link; /* in the list of all */
	char *root_path;
	struct sim_inode *root;
	struct list inodes, changes, faults;
	struct prng rnd;
	uint64_t seed, next_inode;
	uint64_t clock; /* +1 with each call that changes something */
	uint64_t life;  /* +1 with each crash: older handles are dead */
	uint64_t io_count, crash_in, hits;
	bool dead, died;
	uint64_t capacity_pages, used_pages;
	struct sim_disk_latency latency;
	size_t open_handles; /* SQLite files among them */
};

/* An open file or directory; of SQLite's files the part that both kinds have. */
struct sim_file {
	struct sim_disk *disk;
	struct sim_inode *inode; /* a reference */
	uint64_t life;
	int flags;
};

/* What a call runs into. */
enum sim_end {
	SIM_GOES_ON,
	SIM_FAILS, /* with .error */
	SIM_DIES,  /* may be done in part, fails with EIO */
	SIM_HIT,   /* by .kind */
};

struct sim_fate {
	enum sim_end end;
	int error;
	enum sim_disk_fault_kind kind;
};

/* sim_disk.c */
struct sim_disk *sim_disk_of(const char *path,
			     const char **rest);        /* NULL: not ours, or no such disk */
struct sim_disk *sim_disk_next(struct sim_disk *after); /* NULL: the first, or the end */
bool sim_disk_chance(struct sim_disk *d, unsigned one_in);
/* Each call begins here: counts, crashes, finds its fault. */
struct sim_fate sim_call_begin(struct sim_disk *d, enum sim_io call, const char *path);
/* -EIO when the file's process is dead. */
int sim_file_check(const struct sim_file *f);
void sim_wait(struct sim_disk *d, uint64_t min_ns, uint64_t max_ns);
void sim_file_open(struct sim_file *f, struct sim_inode *inode,
		   int flags); /* counts it, takes a reference */
void sim_file_close(struct sim_file *f);

/* sim_pages.c; the file_ ones are whole calls with faults: bytes, 0 or a negative errno */
void sim_pages_release(struct sim_inode *inode);
void sim_pages_lose(struct sim_inode *inode); /* power */
void sim_pages_evict(
	struct sim_inode *inode); /* what is clean is read from the platter from now on */
uint64_t sim_pages_digest(const struct sim_inode *inode, uint64_t seed);
struct sim_page *sim_page_at(struct sim_inode *inode, uint64_t offset); /* made if need be */
void sim_page_flip(struct sim_page *page, uint64_t offset, uint8_t mask);
ssize_t sim_file_read(struct sim_file *f, void *data, size_t len, uint64_t off);
ssize_t sim_file_write(struct sim_file *f, const void *data, size_t len, uint64_t off);
int sim_file_truncate(struct sim_file *f, uint64_t size);
int sim_file_punch(struct sim_file *f, uint64_t off, uint64_t len);
int sim_file_allocate(struct sim_file *f, uint64_t off, uint64_t len, bool keep_size);
int sim_file_sync(struct sim_file *f);

/* sim_names.c */
struct sim_inode *sim_inode_new(struct sim_disk *d, bool is_dir, const char *path);
struct sim_inode *sim_inode_ref(struct sim_inode *inode);
void sim_inode_unref(struct sim_inode *inode); /* accepts NULL */
struct sim_inode *sim_names_find(const struct sim_names *names, const char *name); /* borrowed */
void sim_names_clear(struct sim_names *names);
/*
 * Walks from dir to the directory of the last part and copies that part to name ("" for dir itself).
 * 0, -ENOENT, -ENOTDIR, -ENAMETOOLONG. *parent is borrowed.
 */
int sim_walk(struct sim_inode *dir, const char *path, struct sim_inode **parent,
	     char name[SIM_NAME_MAX + 1]);
int sim_lookup(struct sim_inode *dir, const char *path, struct sim_inode **inode); /* borrowed */
/* Each is a whole call with faults; 0 or a negative errno. */
int sim_name_open(struct sim_inode *dir, const char *path, int flags, struct sim_file *f);
int sim_name_mkdir(struct sim_inode *dir, const char *path);
int sim_name_unlink(struct sim_inode *dir, const char *path, bool is_dir);
int sim_name_rename(struct sim_inode *from_dir, const char *from, struct sim_inode *to_dir,
		    const char *to);
int sim_name_link(struct sim_inode *from_dir, const char *from, struct sim_inode *to_dir,
		  const char *to);
int sim_dir_sync(struct sim_file *f);
void sim_names_lose(struct sim_disk *d); /* power */
void sim_changes_clear(struct sim_disk *d);

/* sim_calls.c */
void sim_fds_forget(struct sim_disk *d);

/* sim_vfs.c */
void sim_vfs_register(void);
void sim_vfs_crash(struct sim_inode *inode); /* its process's locks and WAL index */
extern struct prng sim_machine_rnd;
extern const struct sim_machine *sim_machine;

#endif
