/*
 * store_kv.h - the replicated key-value state: views, transactions, batches, sessions.
 *
 *   struct kv        one replica's state at one applied index; SQLite (kv_open_sqlite) or memory
 *                    (kv_new_memory), under one test suite. kv_apply() is its only writer.
 *   struct kv_view   a pinned read snapshot of a kv, private to one thread.
 *   struct overlay   what was proposed above the view's applied index and is not applied yet.
 *   struct kv_txn    one evaluation: reads see view + overlay + own mutations; mutations gather
 *                    into a batch. All that fs/ops knows of the store. With no overlay: a read.
 *   batch            the payload of a RAFT_ENTRY_NORMAL: a head (where it is valid, session, reply)
 *                    and key mutations. Layout table in batch.c.
 *
 * Keys are 1 to KV_KEY_MAX bytes, ordered by memcmp. Data blocks are apart from the keys and only the
 * block calls touch them, so that their representation can change. A block is KV_BLOCK_SIZE bytes, a
 * hole reads as zeros, a row is stored only up to its last byte ever written; each 4 KiB piece has an
 * XXH3 checksum that every read verifies and that the state digest folds in.
 */
#ifndef STORE_STORE_KV_H
#define STORE_STORE_KV_H

#include "base/base.h"
#include "base/blob.h"
#include "base/buf.h"
#include "base/err.h"
#include "raft/raft.h"

#define KV_KEY_MAX 1024
#define KV_VALUE_MAX (1024 * 1024)
#define KV_PIECE_SIZE 4096u
#ifndef KV_BLOCK_SIZE                 /* part of the format: only bench/bench_block.c is built with others */
#define KV_BLOCK_SIZE 32768u          /* docs/decisions.md tells how it was measured */
#endif
#define KV_BLOCKS_PER_INO (1u << 27)  /* 4 TiB per file; row id = ino * 2^27 + block number */
#define KV_INO_MAX ((1ull << 36) - 1)
#define KV_FILE_SIZE_MAX ((uint64_t)KV_BLOCKS_PER_INO * KV_BLOCK_SIZE)
#define KV_DIGEST_SIZE 32
#define KV_UUID_SIZE 16

/* Limits of a session's window (architecture, section 6). */
#define KV_SESSION_WINDOW 1024u
#define KV_SESSION_REPLY_BYTES (1024u * 1024u)
#define KV_SESSIONS_MAX 65536u    /* in one state; beyond, nobody begins one */
#define KV_SESSION_ENDS_MAX 256u  /* sessions that one entry ends */

/* Keys of class 's' (sessions) belong to the store; a batch that mutates one is -EUCLEAN. */
#define KV_CLASS_SESSION 's'

/* ---- batches ------------------------------------------------------------------------------- */

enum kv_mutation_type {
	KV_PUT = 1,        /* key, data */
	KV_DELETE = 2,     /* key; absent is fine */
	KV_BLOCK_PUT = 3,  /* ino, block: whole content is data (at most a block) */
	KV_BLOCK_PATCH = 4, /* ino, block, off: data over what is there, zeros between */
	KV_BLOCK_PUNCH = 5, /* ino, block, off, len: zeros; at or past the row's end it shortens the row */
	KV_BLOCK_DROP = 6, /* ino, block .. block + len - 1: rows vanish */
};

struct kv_mutation {
	uint8_t type; /* enum kv_mutation_type */
	const uint8_t *key;
	size_t key_len;
	const uint8_t *data;
	size_t data_len;
	uint64_t ino;
	uint32_t block;
	uint32_t off;
	uint32_t len;
};

struct kv_batch_head {
	uint32_t group;
	uint64_t prev_index, prev_term; /* valid only as the entry directly after this one */
	int64_t wall_ns;                /* the leader's stamp */
	uint64_t log_ms;                /* log time: see struct kv_meta */
	bool has_session;
	uint8_t uuid[KV_UUID_SIZE];     /* client */
	uint64_t seq, low;              /* number of this operation; lowest one not answered yet */
	uint64_t session_id;            /* index of the entry that began the session: this one when begins */
	bool begins;
	uint64_t stamp;                 /* begins: the index the client had seen before it sent anything */
	const uint8_t *ends;            /* sessions that end before all else here, kv_session_end_at() */
	uint32_t end_count;
	int32_t status;                 /* 0 or a negative errno: the reply */
	const uint8_t *reply;           /* borrowed */
	size_t reply_len;
};

/* A session that an entry ends; one that is not there any more is no error. */
struct kv_session_end {
	uint8_t uuid[KV_UUID_SIZE];
	uint64_t session_id, stamp;
};

void kv_session_end_encode(const struct kv_session_end *end, struct buf *out); /* for head.ends */
struct kv_session_end kv_session_end_at(const struct kv_batch_head *head, uint32_t i);

struct kv_batch_iter {
	const uint8_t *pos, *end;
};

/* Appends version and head; then kv_mutation_encode() any number of times. */
void kv_batch_encode_head(const struct kv_batch_head *head, struct buf *out);
void kv_mutation_encode(const struct kv_mutation *m, struct buf *out);
/* Checks the whole batch, mutations included: 0 or -EUCLEAN. Results borrow from data. */
int kv_batch_decode(struct kv_batch_head *head, struct kv_batch_iter *it, const void *data, size_t len);
bool kv_batch_next(struct kv_batch_iter *it, struct kv_mutation *m); /* after a successful decode */

/* ---- state ---------------------------------------------------------------------------------- */

struct kv_meta {
	uint8_t cluster[16];
	uint32_t group;
	uint64_t applied_index, applied_term;
	struct raft_conf conf; /* as of applied_index */
	/* Log time: how long the log had a leader, in ms. It stands still without one, never jumps with a
	 * wall clock, and a new leader goes on from what the log says. */
	uint64_t log_ms;
	/* No session begins any more with a stamp at or below this: the highest stamp of those that ended.
	 * So a late copy of a session's first operation can never begin it a second time. */
	uint64_t begin_floor;
	uint64_t session_count;
	uint8_t digest[KV_DIGEST_SIZE]; /* additive multiset hash of all rows and pieces; meta is not in it */
};

struct kv; /* reference counted; the last kv_unref() closes it */

/* Opens DIR/state.db with the settings of the reference's section 4.1; -ENOENT when it is missing,
 * -EUCLEAN when it is damaged or of another format. */
int kv_open_sqlite(const char *dir, struct kv **kv, struct err *err);
/* Makes DIR and an empty state at meta's position, durable on return; -EEXIST when there is one. */
int kv_create_sqlite(const char *dir, const struct kv_meta *meta, struct err *err);
struct kv *kv_new_memory(const struct kv_meta *meta);
struct kv *kv_ref(struct kv *kv);
void kv_unref(struct kv *kv);

/**
 * kv_apply() - apply consecutive committed entries in one transaction.
 * Holds rows, session replies, applied index and term, configuration and digest; all or nothing.
 * Return: 0; -EUCLEAN for a batch that does not decode, does not fit its place, or rows that fail
 * their checksum; -EIO, -ENOSPC from below. After any error the process must end (section 5).
 * Thread: apply, and no other.
 */
int kv_apply(struct kv *kv, const struct raft_entry *entries, size_t count, struct err *err);
/* Passive checkpoint; *durable_index = what a power loss cannot take any more. Thread: apply. */
int kv_checkpoint(struct kv *kv, uint64_t *durable_index, struct err *err);
/* Size of the state in bytes (pages in use), for thresholds and statfs. Thread: apply. */
uint64_t kv_size_bytes(struct kv *kv);
uint64_t kv_wal_bytes(struct kv *kv); /* thread: apply; when to checkpoint */
uint64_t kv_session_count(const struct kv *kv); /* as applied. Thread: apply */

/* ---- views ---------------------------------------------------------------------------------- */

struct kv_view; /* one thread's; holds a reference on its kv */

int kv_view_open(struct kv *kv, struct kv_view **view, struct err *err); /* pinned at the newest state */
void kv_view_close(struct kv_view *view);
int kv_view_refresh(struct kv_view *view); /* unpin and pin again at the newest state */
void kv_view_unpin(struct kv_view *view);  /* so that checkpoints get on; refresh before the next use */
/* Borrowed; as of the pin. */
const struct kv_meta *kv_view_meta(const struct kv_view *view);
/* Recomputes the digest from all rows: what `meta.digest` must equal. Also verifies every piece. */
int kv_view_digest(struct kv_view *view, uint8_t digest[KV_DIGEST_SIZE], struct err *err);

/* ---- overlay --------------------------------------------------------------------------------- */

struct overlay; /* one thread's: evaluate */

struct overlay *overlay_new(void);
void overlay_free(struct overlay *o);
/* Adds the batch proposed as entry (index, term); indexes ascend by one or more. Takes a reference.
 * A NULL batch is an entry without mutations. -EUCLEAN when it does not decode. */
int overlay_push(struct overlay *o, uint64_t index, uint64_t term, struct blob *batch);
void overlay_trim(struct overlay *o, uint64_t applied_index); /* the view has these now */
void overlay_reset(struct overlay *o);                        /* forget everything */
size_t overlay_entry_count(const struct overlay *o);
size_t overlay_bytes(const struct overlay *o);

/* ---- transactions ------------------------------------------------------------------------------ */

struct kv_txn;

/* overlay NULL: the view alone. Both are borrowed; the view must be pinned and, with an overlay, no
 * entry at or below its applied index may be missing from the overlay's trim. */
struct kv_txn *kv_txn_new(struct kv_view *view, struct overlay *overlay);
void kv_txn_free(struct kv_txn *txn);

/* Appends the value to out (may be NULL to test existence). 0, -ENOENT, -EUCLEAN, -EIO. */
int kv_txn_get(struct kv_txn *txn, const void *key, size_t key_len, struct buf *out);

/* Return 0 to go on, anything else to stop; the slices are valid during the call only. */
typedef int (*kv_scan_fn)(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *value,
			  size_t value_len);
/*
 * Calls fn in key order for keys that start with prefix and are > after (after_len 0: from the
 * first). Returns what fn returned last, or a negative errno. fn may call kv_txn_get, not mutate.
 */
int kv_txn_scan(struct kv_txn *txn, const void *prefix, size_t prefix_len, const void *after,
		size_t after_len, kv_scan_fn fn, void *ctx);

void kv_txn_put(struct kv_txn *txn, const void *key, size_t key_len, const void *value, size_t len);
void kv_txn_delete(struct kv_txn *txn, const void *key, size_t key_len);

/* Byte ranges of a file, cut into block mutations; data is copied. off + len <= KV_FILE_SIZE_MAX. */
void kv_txn_write(struct kv_txn *txn, uint64_t ino, uint64_t off, const void *data, size_t len);
/* Zeros [off, off + len): whole blocks are dropped, partial ones punched. */
void kv_txn_punch(struct kv_txn *txn, uint64_t ino, uint64_t off, uint64_t len);
/* Drops whole blocks first .. first + count - 1. */
void kv_txn_drop_blocks(struct kv_txn *txn, uint64_t ino, uint32_t first, uint32_t count);
/* Fills out, holes with zeros. 0, -EUCLEAN when a piece fails its checksum, -EIO. */
int kv_txn_read(struct kv_txn *txn, uint64_t ino, uint64_t off, void *out, size_t len);
/* *block = the first stored block >= from; -ENOENT: none. */
int kv_txn_next_block(struct kv_txn *txn, uint64_t ino, uint32_t from, uint32_t *block);

bool kv_txn_is_empty(const struct kv_txn *txn); /* no mutation was made */
/* Head and mutations as the payload of one entry; one reference. The txn stays usable only to free. */
struct blob *kv_txn_batch(struct kv_txn *txn, const struct kv_batch_head *head);

/* ---- sessions --------------------------------------------------------------------------------- */

/* An operation as its request names it. */
struct kv_session_ask {
	uint8_t uuid[KV_UUID_SIZE];
	uint64_t seq, low;
	uint64_t session_id; /* 0: the client has heard of none; then stamp says which one it means */
	uint64_t stamp;
};

enum kv_session_state {
	KV_SESSION_BEGIN,   /* no such client: a new session begins with this operation */
	KV_SESSION_EXPIRED, /* it ended, or may have: this operation must never execute */
	KV_SESSION_EXECUTE, /* known, the number is new and inside the window */
	KV_SESSION_DONE,    /* executed: status and reply hold what was answered */
	KV_SESSION_PENDING, /* executed in the overlay, not applied yet: the answer will come by the log */
	KV_SESSION_OLD,     /* below low: answered and forgotten; never execute */
	KV_SESSION_AHEAD,   /* beyond the window: later */
};

struct kv_session_lookup {
	enum kv_session_state state;
	uint64_t session_id;  /* index of the entry that began it, proposed ones too; 0 when there is none */
	uint64_t index;       /* DONE, PENDING: entry that executed it */
	int32_t status;       /* DONE, PENDING */
	struct buf reply;     /* DONE, PENDING; release it */
};

/*
 * Looks in the overlay as in the table. low is the request's own: what it makes superfluous does not
 * count against the window, else a session whose numbers were spent on reads would stay AHEAD for
 * ever. A seq of 0 or below low is OLD. 0, -EIO, -EUCLEAN.
 */
int kv_txn_session(struct kv_txn *txn, const struct kv_session_ask *ask, struct kv_session_lookup *out);
/* Fills end->stamp. -ENOENT: there is no such session, or its end is proposed already. */
int kv_txn_session_end(struct kv_txn *txn, struct kv_session_end *end);
uint64_t kv_txn_session_count(const struct kv_txn *txn); /* with those proposed */

struct kv_session_info {
	uint8_t uuid[KV_UUID_SIZE];
	uint64_t session_id;
	uint64_t used_log_ms; /* log time of its last operation */
	uint64_t highest;     /* number executed */
};

/* Those in the view, by uuid, behind after (NULL: from the first). fn as in kv_txn_scan(). */
typedef int (*kv_session_fn)(void *ctx, const struct kv_session_info *info);
int kv_txn_session_scan(struct kv_txn *txn, const uint8_t after[KV_UUID_SIZE], kv_session_fn fn, void *ctx);

#endif
