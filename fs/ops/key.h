/*
 * key.h - the key classes of the file system and how their keys are built.
 *
 *   'i' ino               inode record
 *   'd' parent name       dentry record
 *   'o' parent cookie     order record: the directory as readdir walks it
 *   'x' ino name          value of an extended attribute, as it is
 *   'u' ino               orphan record: no name left, not reclaimed yet
 *   't' ino               pending truncate: blocks from the inode's trunc_from on are to be dropped
 *   'l' ino kind session owner start   one lock
 *   'h' session ino       how many locks the session has on the inode; ino 0: in all, waiters included
 *   'w' session owner waiter           who waits for a lock
 *   'g' ino               delegation record: a session may gather writes; ino 0: what is delegated in all
 *   'c'                   counters, one row
 *   'k' key               plain user key space, values as they are
 *
 * ino, parent, cookie, session, owner, start and waiter are 8 bytes big-endian, kind is one byte, so that memcmp order is their order; names and user
 * keys end the key. Sessions have class 's' and belong to the store.
 */
#ifndef FS_OPS_KEY_H
#define FS_OPS_KEY_H

#include "base/base.h"
#include "fs/fs.h"

#define KEY_INODE 'i'
#define KEY_DENTRY 'd'
#define KEY_ORDER 'o'
#define KEY_XATTR 'x'
#define KEY_ORPHAN 'u'
#define KEY_TRUNCATE 't'
#define KEY_COUNTERS 'c'
#define KEY_LOCK 'l'
#define KEY_LOCK_HOLDER 'h'
#define KEY_LOCK_WAITER 'w'
#define KEY_DELEGATION 'g'
#define KEY_USER 'k'

#define KEY_CLASS_SIZE 1u
#define KEY_INO_SIZE 9u    /* class and ino: also the prefix of all keys of one class and inode */
#define KEY_ORDER_SIZE 17u /* class, parent and cookie */
#define KEY_LOCK_KIND_SIZE 10u    /* class, ino and kind */
#define KEY_LOCK_SESSION_SIZE 18u /* ... and session */
#define KEY_LOCK_OWNER_SIZE 26u   /* ... and owner */
#define KEY_LOCK_SIZE 34u         /* ... and start */
#define KEY_HOLDER_SIZE 17u       /* class, session, ino */
#define KEY_WAITER_SIZE 25u       /* class, session, owner, waiter */

struct key {
	size_t len;
	uint8_t data[KEY_CLASS_SIZE + FS_KV_KEY_MAX];
};

/* Any class that starts with an inode number: 'i', 'u', 't', 'g', and the prefixes of 'd', 'o', 'x'. */
void key_ino(struct key *k, uint8_t class, uint64_t ino);
/* 'd' and 'x'; name_len at most FS_NAME_MAX. */
void key_ino_name(struct key *k, uint8_t class, uint64_t ino, const void *name, size_t name_len);
void key_order(struct key *k, uint64_t parent, uint64_t cookie);
void key_counters(struct key *k);
/* The first KEY_LOCK_KIND_SIZE, KEY_LOCK_SESSION_SIZE or KEY_LOCK_OWNER_SIZE bytes are prefixes. */
void key_lock(struct key *k, uint64_t ino, uint8_t kind, uint64_t session, uint64_t owner, uint64_t start);
void key_holder(struct key *k, uint64_t session, uint64_t ino);
void key_waiter(struct key *k, uint64_t session, uint64_t owner, uint64_t waiter);
/* user_len 1 to FS_KV_KEY_MAX. */
void key_user(struct key *k, const void *user, size_t user_len);

/* A key taken apart; rest borrows from it. */
struct key_parts {
	uint8_t class;
	uint64_t ino;        /* or parent; 0 for classes without, and for the total of 'h' */
	uint64_t cookie;     /* 'o' only */
	uint8_t kind;        /* 'l' only */
	uint64_t session;    /* 'l', 'h', 'w' */
	uint64_t owner;      /* 'l', 'w' */
	uint64_t start;      /* 'l': first byte; 'w': waiter */
	const uint8_t *rest; /* name or user key */
	size_t rest_len;
};
/* 0, or -EUCLEAN for what no builder makes. */
int key_parse(struct key_parts *parts, const void *key, size_t key_len);

#endif
