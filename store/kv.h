/*
 * kv.h - the seam inside struct kv: a backend stores rows, everything else is written once above it.
 *
 *   backend (state_sqlite.c, state_mem.c)  rows of two tables and the meta row, transactions,
 *                                          pinned reads
 *   kv.c                                   reference counts, views, row checksums
 *   apply.c                                entries -> rows, sessions, digest, meta
 *   txn.c                                  view + overlay + own mutations
 *
 * A connection is the writer's (one per kv, apply thread) or a view's (one thread each). What a read
 * returns is borrowed until the next call on the same connection.
 */
#ifndef STORE_KV_PRIVATE_H
#define STORE_KV_PRIVATE_H

#include <stdatomic.h>

#include "store/block.h"
#include "store/store_kv.h"

struct kv_conn {
	const struct kv_conn_ops *ops;
	char detail
		[192]; /* why the last call failed, for err texts; empty: the errno says it all */
};

/* A row of the kv table; sum is XXH3 over key and value (kv_row_sum). */
struct kv_row {
	const uint8_t *value;
	size_t len;
	uint64_t sum;
};

struct kv_scan; /* opaque, the backend's */

struct kv_conn_ops {
	void (*close)(struct kv_conn *c);

	/* begin pins the newest state (read) or starts a change (write, the writer's only). */
	int (*begin)(struct kv_conn *c, bool write);
	int (*commit)(struct kv_conn *c);
	void (*rollback)(struct kv_conn *c); /* also ends a read; nothing to end is fine */

	int (*get)(struct kv_conn *c, const void *key, size_t key_len,
		   struct kv_row *row); /* -ENOENT */
	/* Rows with from <= key < to in order; to_len 0: no upper bound. Several may be open. */
	int (*scan_open)(struct kv_conn *c, const void *from, size_t from_len, const void *to,
			 size_t to_len, struct kv_scan **scan);
	/* 1: a row, borrowed until the next call on scan; 0: the end; negative. */
	int (*scan_next)(struct kv_scan *scan, const uint8_t **key, size_t *key_len,
			 struct kv_row *row);
	void (*scan_close)(struct kv_scan *scan);

	int (*block_get)(struct kv_conn *c, uint64_t row_id, struct block_row *row); /* -ENOENT */
	int (*block_sums)(struct kv_conn *c, uint64_t row_id,
			  struct block_row *row); /* data stays NULL */
	int (*block_next)(struct kv_conn *c, uint64_t from_id,
			  uint64_t *row_id); /* first >= from */
	int (*meta_get)(struct kv_conn *c, const uint8_t **data, size_t *len);

	/* Between begin(write) and commit. exists tells what a read of the same transaction found. */
	int (*put)(struct kv_conn *c, const void *key, size_t key_len, const struct kv_row *row,
		   bool exists);
	int (*del)(struct kv_conn *c, const void *key, size_t key_len);
	int (*block_put)(struct kv_conn *c, uint64_t row_id, const struct block_row *row,
			 bool exists);
	int (*block_del)(struct kv_conn *c, uint64_t row_id);
	int (*meta_put)(struct kv_conn *c, const void *data, size_t len);
};

struct kv_ops {
	int (*view_conn)(struct kv *kv, struct kv_conn **conn,
			 struct err *err); /* a view's connection */
	int (*checkpoint)(struct kv *kv, uint64_t *durable_index, struct err *err);
	uint64_t (*size_bytes)(struct kv *kv);
	uint64_t (*wal_bytes)(struct kv *kv);
	void (*close)(struct kv *kv); /* closes the writer and frees kv */
};

/* First member of a backend's own struct. */
struct kv {
	const struct kv_ops *ops;
	atomic_uint refs;
	char *dir;              /* NULL for memory; constant */
	struct kv_conn *writer; /* thread: apply */
	struct kv_meta meta;    /* as last committed; thread: apply */
	void (*on_close)(void *ctx);
	void *on_close_ctx;
};

struct kv_view {
	struct kv *kv;
	struct kv_conn *conn;
	bool pinned;
	struct kv_meta meta;
};

/* Fills the common part; one reference. The backend has opened writer. Reads meta: 0 or -EUCLEAN. */
int kv_init(struct kv *kv, const struct kv_ops *ops, struct kv_conn *writer, struct err *err);
/* fn(ctx) once the last reference is gone and everything is closed, e.g. to remove DIR. */
void kv_on_close(struct kv *kv, void (*fn)(void *ctx), void *ctx);
const char *kv_dir(const struct kv *kv); /* borrowed; NULL for memory */

/* ---- meta row; layout in meta.c ---- */

void kv_meta_encode(const struct kv_meta *meta, struct buf *out);
int kv_meta_decode(struct kv_meta *meta, const void *data, size_t len); /* 0 or -EUCLEAN */
int kv_conn_meta(struct kv_conn *c, struct kv_meta *meta);

/* ---- kv rows with their checksums ---- */

uint64_t kv_row_sum(const void *key, size_t key_len, const void *value, size_t len);
/* 0 or -EUCLEAN. */
int kv_row_verify(const void *key, size_t key_len, const struct kv_row *row);
/* get, verified: 0, -ENOENT, -EUCLEAN, -EIO. */
int kv_conn_get(struct kv_conn *c, const void *key, size_t key_len, struct kv_row *row);
/* What meta.digest must be, from all rows and pieces, each verified: 0, -EUCLEAN, -EIO. */
int kv_conn_digest(struct kv_conn *c, uint8_t digest[KV_DIGEST_SIZE]);
/* Why the last call failed, in words: the connection's detail or the errno's text. */
const char *kv_conn_why(const struct kv_conn *c, int ret);

#endif
