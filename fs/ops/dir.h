/*
 * dir.h - directory entries: each is a dentry record under its name and an order record under its
 * cookie. A cookie is given once and stays with the entry, so a reader's place in the directory stays
 * valid whatever others insert and delete.
 */
#ifndef FS_OPS_DIR_H
#define FS_OPS_DIR_H

#include "fs/ops/inode.h"

#define DIR_COOKIE_SELF 1u   /* "." */
#define DIR_COOKIE_PARENT 2u /* ".." */

struct name {
	const char *data; /* borrowed */
	size_t len;
};

enum name_kind { NAME_NORMAL, NAME_DOT, NAME_DOTDOT };

/* -ENAMETOOLONG, -ENOENT for "", -EINVAL for bytes that no name has; else 0 with *kind. */
int name_check(struct name name, enum name_kind *kind);
/* name_check() that answers "." and ".." with dots_errno. */
int name_check_normal(struct name name, int dots_errno);

/* 0 or -ENOENT. */
int dentry_load(struct eval *ev, uint64_t parent, struct name name, struct dentry_rec *d);
/* The cookie of an entry that this evaluation adds: greater than all before. At most one a directory. */
uint64_t dentry_new_cookie(const struct eval *ev);
/* Adds, and counts it in dir->rec; dir must be stored after. */
void dentry_add(struct eval *ev, struct inode *dir, struct name name, const struct dentry_rec *d);
void dentry_remove(struct eval *ev, struct inode *dir, struct name name,
		   const struct dentry_rec *d);
/* The name now leads to another inode; its cookie stays. */
void dentry_replace(struct eval *ev, const struct inode *dir, struct name name,
		    const struct dentry_rec *d);

/* May the caller remove or rename n's name in a sticky directory? 0 or -EPERM. */
int dir_sticky_check(const struct eval *ev, const struct inode *dir, const struct inode *n);
/* A subdirectory less or more. */
void dir_add_subdir(struct inode *dir, int delta);
/* Directory and new name for a request that creates ino/name: loads dir, 0, or -EEXIST and the like. */
int dir_load_for_new(struct eval *ev, uint64_t parent, struct name name, struct inode *dir);
/* Numbers and stores a new inode (mode, rdev, target set by init) under a name of dir, which it stores. */
int dir_store_new(struct eval *ev, struct inode *dir, struct name name, struct inode *n);
/*
 * n, loaded or new, gets the free name in dir: adds the entry, stores both, and n becomes the answer. The
 * caller has changed n itself (nlink, times) and dir's subdirectories.
 */
int dir_give_name(struct eval *ev, struct inode *dir, struct name name, struct inode *n);
/* Directory, entry and inode for a request that removes parent/name; 0, -ENOENT, -EPERM and the like. */
int dir_load_for_removal(struct eval *ev, uint64_t parent, struct name name, struct inode *dir,
			 struct dentry_rec *d, struct inode *n);
/* The name of n goes out of dir, which is stored; the last one makes n an orphan. */
int dir_take_name(struct eval *ev, struct inode *dir, struct name name, const struct dentry_rec *d,
		  struct inode *n);
/* A new inode with the parent's rules applied, or -EMLINK for a subdirectory too many. */
int dir_init_new(struct eval *ev, const struct inode *dir, uint32_t mode, struct inode *n);

#endif
