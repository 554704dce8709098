/*
 * chunk.h - the pieces of images: 1 MiB, compressed, in files named by their hash.
 *
 * A name says what the bytes must be, so a file is never changed, snapshots share it, and reading is
 * verifying. A file appears under its name by rename, whole and synced; the name itself is durable
 * after chunk_sync().
 */
#ifndef STORE_CHUNK_H
#define STORE_CHUNK_H

#include <stdatomic.h>

#include "base/base.h"
#include "base/buf.h"
#include "store/seal.h"
#include "store/store_io.h"

#define CHUNK_NAME_SIZE (2 * SEAL_HASH_SIZE + 1)
#define CHUNK_TMP_SUFFIX ".tmp"

/* Any thread. */
struct chunk_dir {
	const struct store_io *io;
	int fd;
	_Atomic uint64_t next_tmp; /* so that two writers of one chunk do not share a file */
};

void chunk_name(const uint8_t hash[SEAL_HASH_SIZE], char name[CHUNK_NAME_SIZE]);
/* False when it is no chunk's name. */
bool chunk_name_parse(const char *name, uint8_t hash[SEAL_HASH_SIZE]);

/* Appends the stored form of raw_len bytes. Layout in chunk.c. 0 or -ENOMEM. */
int chunk_encode(const void *raw, uint32_t raw_len, struct buf *out);
/* raw has room for raw_len, which with hash is what the manifest says: 0 or -EUCLEAN. */
int chunk_decode(const uint8_t hash[SEAL_HASH_SIZE], uint32_t raw_len, const void *data, size_t len,
		 void *raw);

bool chunk_exists(struct chunk_dir *dir, const uint8_t hash[SEAL_HASH_SIZE]);
/* data: the stored form, verified by the caller. */
int chunk_write(struct chunk_dir *dir, const uint8_t hash[SEAL_HASH_SIZE], const void *data,
		size_t len);
int chunk_sync(struct chunk_dir *dir);
/*
 * Appends the stored form to out and puts the decoded bytes into raw; verified. -ENOENT, -EUCLEAN,
 * -EIO.
 */
int chunk_read(struct chunk_dir *dir, const uint8_t hash[SEAL_HASH_SIZE], uint32_t raw_len,
	       struct buf *out, void *raw);
/* 0 when it is gone already. */
int chunk_remove(struct chunk_dir *dir, const uint8_t hash[SEAL_HASH_SIZE]);

#endif
