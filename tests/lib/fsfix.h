/*
 * fsfix.h - a file system under test: requests are evaluated on a real kv, applied as entries, and the
 * whole tree is checked at the end of every test.
 *
 * FSFIX_BOTH(test) registers a test for both kinds of kv. With f->stack > 0 that many entries stay in
 * the overlay, proposed but not applied, while others are evaluated above them, as on a busy leader.
 */
#ifndef TESTS_LIB_FSFIX_H
#define TESTS_LIB_FSFIX_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fs/fs.h"

#define FSFIX_BOTH(f)                                                                              \
	{ #f " (memory)", f, fsfix_setup_memory, fsfix_teardown, NULL },                           \
	{                                                                                          \
#f " (sqlite)", f, fsfix_setup_sqlite, fsfix_teardown, NULL                        \
	}
#define FSFIX_MEMORY(f)                                                                            \
	{                                                                                          \
#f, f, fsfix_setup_memory, fsfix_teardown, NULL                                    \
	}

#define FSFIX_BLOCKED 1
#define FSFIX_WALL_START 1000000000000000000ll

struct fsfix {
	bool sqlite;
	char base[64]; /* temporary directory */
	char dir[80];
	struct kv *kv;
	struct kv_view *view;
	struct overlay *overlay;
	uint64_t applied, tail;     /* indexes; entries between are in the overlay only */
	struct raft_entry *entries; /* those */
	size_t entry_count, entry_cap;
	size_t stack;         /* how many may wait there */
	int64_t wall_ns;      /* the next stamp; moves by 1000 with each evaluation */
	uint32_t uid, gid;    /* of the caller */
	uint32_t step_blocks; /* of the stamp */
	uint64_t session_id;  /* whose request it is */
	uint64_t room_bytes;  /* of the stamp */
	bool no_delegation;
	/* Somebody is blocked by this delegation; ends it, by evaluating what it likes. NULL: FSFIX_BLOCKED. */
	void (*recall)(void *ctx, uint64_t ino, struct fs_delegation d);
	void *recall_ctx;

	/* Of the last evaluation. */
	struct buf encoded;
	struct fs_reply reply; /* borrows from encoded */
	uint64_t blocked_ino;
	struct fs_delegation blocked_by;
	bool frees;
	bool mutated, orphans; /* it made an entry; one that fs_mutation_is_orphan() tells */
	size_t entry_bytes;
};

int fsfix_setup_memory(void **state);
int fsfix_setup_sqlite(void **state);
int fsfix_teardown(void **state); /* applies, checks tree and digest */

/* 0, a negative errno (what the client would get), or FSFIX_BLOCKED. uid and gid are the fixture's. */
int fsfix_eval(struct fsfix *f, struct fs_request rq);
void fsfix_apply(struct fsfix *f); /* everything that waits in the overlay */
void fsfix_check(struct fsfix *f); /* fails the test when the tree is not sound */

/* ---- shorthands; all return what fsfix_eval() does unless they say otherwise ---- */

int fsfix_lookup(struct fsfix *f, uint64_t parent, const char *name);
int fsfix_getattr(struct fsfix *f, uint64_t ino);
int fsfix_create(struct fsfix *f, uint64_t parent, const char *name, uint32_t mode, uint32_t flags);
int fsfix_mkdir(struct fsfix *f, uint64_t parent, const char *name, uint32_t mode);
int fsfix_rmdir(struct fsfix *f, uint64_t parent, const char *name);
int fsfix_unlink(struct fsfix *f, uint64_t parent, const char *name);
int fsfix_link(struct fsfix *f, uint64_t ino, uint64_t parent, const char *name);
int fsfix_symlink(struct fsfix *f, uint64_t parent, const char *name, const char *target);
int fsfix_rename(struct fsfix *f, uint64_t parent, const char *name, uint64_t parent2,
		 const char *name2, uint32_t flags);
int fsfix_write(struct fsfix *f, uint64_t ino, uint64_t off, const void *data, size_t len);
int fsfix_read(struct fsfix *f, uint64_t ino, uint64_t off, size_t len);
int fsfix_truncate(struct fsfix *f, uint64_t ino, uint64_t size);
int fsfix_chmod(struct fsfix *f, uint64_t ino, uint32_t mode);
int fsfix_setxattr(struct fsfix *f, uint64_t ino, const char *name, const char *value,
		   uint32_t flags);
int fsfix_getxattr(struct fsfix *f, uint64_t ino, const char *name);
int fsfix_reclaim(struct fsfix *f, uint64_t ino);

/* These must succeed; they return the inode number. */
uint64_t fsfix_file(struct fsfix *f, uint64_t parent, const char *name);
uint64_t fsfix_dir(struct fsfix *f, uint64_t parent, const char *name);
/* Attributes by GETATTR, which must succeed. */
struct fs_attr fsfix_attr(struct fsfix *f, uint64_t ino);
/* The content is exactly this text. */
void fsfix_assert_content(struct fsfix *f, uint64_t ino, const char *text);
/* Reclaims until FS_ORPHANS is empty; returns the number of entries it took. */
unsigned fsfix_reclaim_all(struct fsfix *f);

#endif
