/*
 * state_sqlite.c - a kv in one SQLite file: DIR/state.db and its WAL; state_db.c opens and makes it.
 *
 * The writer's connection is the only one that writes or checkpoints (3.40.1 has the WAL-reset bug,
 * which needs two). A read's result stays borrowed until the connection's next call: its statement is kept open
 * as `held` and reset first thing in every call.
 */
#include "store/state_sqlite.h"

#include <inttypes.h>

#include "base/log.h"
#include "base/mark.h"
#include "store/floor.h"
#include "store/kv.h"

#define WAL_HEADER_SIZE 32
#define WAL_FRAME_HEADER_SIZE 24

enum stmt {
	STMT_BEGIN_READ,
	STMT_END, /* COMMIT */
	STMT_GET,
	STMT_SCAN,
	STMT_BLOCK_GET,
	STMT_BLOCK_SUMS,
	STMT_BLOCK_NEXT,
	STMT_META_GET,
	STMT_READER_COUNT,
	STMT_BEGIN_WRITE = STMT_READER_COUNT,
	STMT_INSERT,
	STMT_UPDATE,
	STMT_DELETE,
	STMT_BLOCK_INSERT,
	STMT_BLOCK_UPDATE,
	STMT_BLOCK_DELETE,
	STMT_META_PUT,
	STMT_PAGE_COUNT,
	STMT_FREELIST_COUNT,
	STMT_COUNT,
};

static const char *const stmt_sql[STMT_COUNT] = {
	[STMT_BEGIN_READ] = "BEGIN",
	[STMT_END] = "COMMIT",
	[STMT_GET] = "SELECT s, v FROM kv WHERE k = ?1",
	[STMT_SCAN] = "SELECT s, v, k FROM kv WHERE k >= ?1 AND k < ?2 ORDER BY k",
	[STMT_BLOCK_GET] = "SELECT head, length(data), data FROM block WHERE id = ?1",
	/* length() of a blob reads the record's header only, never its overflow pages. */
	[STMT_BLOCK_SUMS] = "SELECT head, length(data) FROM block WHERE id = ?1",
	[STMT_BLOCK_NEXT] = "SELECT id FROM block WHERE id >= ?1 ORDER BY id LIMIT 1",
	[STMT_META_GET] = STATE_META_GET,
	[STMT_BEGIN_WRITE] = "BEGIN IMMEDIATE",
	[STMT_INSERT] = "INSERT INTO kv(k, s, v) VALUES(?1, ?2, ?3)",
	[STMT_UPDATE] = "UPDATE kv SET s = ?2, v = ?3 WHERE k = ?1",
	[STMT_DELETE] = "DELETE FROM kv WHERE k = ?1",
	[STMT_BLOCK_INSERT] = "INSERT INTO block(id, head, data) VALUES(?1, ?2, ?3)",
	/*
	 * When the length stays the same SQLite overwrites in place, and leaves pages alone whose bytes
	 * do not change; but only if the cell was parsed before, which the always true term brings
	 * about. A 4 KiB patch is a third of the WAL of the REPLACE that looks simpler.
	 */
	[STMT_BLOCK_UPDATE] =
		"UPDATE block SET head = ?2, data = ?3 WHERE id = ?1 AND length(data) > 0",
	[STMT_BLOCK_DELETE] = "DELETE FROM block WHERE id = ?1",
	[STMT_META_PUT] = STATE_META_PUT,
	[STMT_PAGE_COUNT] = "PRAGMA page_count",
	[STMT_FREELIST_COUNT] = "PRAGMA freelist_count",
};

struct sql_conn {
	struct kv_conn conn;
	sqlite3 *db;
	sqlite3_stmt *stmt[STMT_COUNT];
	sqlite3_stmt *held; /* its row is what the last call returned; reset in the next one */
	bool in_txn;
	bool scan_busy;                /* stmt[STMT_SCAN] belongs to a scan */
	uint8_t padded[KV_BLOCK_SIZE]; /* scratch: a row with its zeros */
	bool failed; /* a call failed in SQLite: nothing more may be synced through this */
};

struct sql_scan {
	struct sql_conn *sc;
	sqlite3_stmt *stmt;
	bool own; /* a nested scan prepares its own statement */
};

struct sql_kv {
	struct kv kv;
	struct floor floor;
	uint64_t durable_index; /* all up to here is in the main file and synced */
	uint64_t wal_frames;    /* since the WAL last started anew */
};

/* ---- results and small steps ---- */

static struct sql_conn *sql_conn(struct kv_conn *c)
{
	return CONTAINER_OF(c, struct sql_conn, conn);
}

static int fail(struct sql_conn *sc, int rc)
{
	sc->failed = true;
	snprintf(sc->conn.detail, sizeof(sc->conn.detail), "sqlite: %s (%d)",
		 sqlite3_errmsg(sc->db), sqlite3_extended_errcode(sc->db));
	return state_sqlite_errno(rc);
}

static sqlite3_stmt *take(struct sql_conn *sc, enum stmt which)
{
	if (sc->held)
		sqlite3_reset(sc->held);
	sc->held = NULL;
	sc->conn.detail[0] = '\0';
	return sc->stmt[which];
}

/* A NULL pointer would bind SQL's NULL instead of no bytes. The bytes must outlive the step. */
static void bind_bytes(sqlite3_stmt *st, int at, const void *data, size_t len)
{
	sqlite3_bind_blob64(st, at, len > 0 ? data : "", len, SQLITE_STATIC);
}

/* Runs a statement that returns no row. */
static int run(struct sql_conn *sc, sqlite3_stmt *st)
{
	int rc = sqlite3_step(st);
	int ret = rc == SQLITE_DONE ? 0 : fail(sc, rc);

	sqlite3_reset(st);
	return ret;
}

/* Steps to a row and holds it: 0, -ENOENT, negative. */
static int hold_row(struct sql_conn *sc, sqlite3_stmt *st)
{
	int rc = sqlite3_step(st);
	int ret;

	if (rc == SQLITE_ROW) {
		sc->held = st;
		return 0;
	}
	ret = rc == SQLITE_DONE ? -ENOENT : fail(sc, rc);
	sqlite3_reset(st);
	return ret;
}

/* ---- transactions ---- */

static int sql_begin(struct kv_conn *c, bool write)
{
	struct sql_conn *sc = sql_conn(c);
	int ret;

	assert(!sc->in_txn);
	ret = run(sc, take(sc, write ? STMT_BEGIN_WRITE : STMT_BEGIN_READ));
	sc->in_txn = ret == 0;
	return ret;
}

static int sql_commit(struct kv_conn *c)
{
	struct sql_conn *sc = sql_conn(c);
	int ret = run(sc, take(sc, STMT_END));

	if (ret == 0)
		sc->in_txn = false;
	return ret;
}

/* For a read COMMIT and ROLLBACK are the same; the prepared one is the cheaper. */
static void sql_rollback(struct kv_conn *c)
{
	struct sql_conn *sc = sql_conn(c);
	sqlite3_stmt *end = take(sc, STMT_END);

	if (sc->in_txn && sqlite3_txn_state(sc->db, NULL) == SQLITE_TXN_WRITE)
		sqlite3_exec(sc->db, "ROLLBACK", NULL, NULL, NULL);
	else if (sc->in_txn && !sqlite3_get_autocommit(sc->db)) {
		sqlite3_step(end);
		sqlite3_reset(end);
	}
	sc->in_txn = false;
}

static void sql_conn_close(struct kv_conn *c)
{
	struct sql_conn *sc = sql_conn(c);
	int rc;

	for (size_t i = 0; i < STMT_COUNT; i++)
		sqlite3_finalize(sc->stmt[i]);
	rc = sqlite3_close(sc->db);
	assert(rc == SQLITE_OK);
	free(sc);
}

/* ---- kv rows ---- */

static void row_of(sqlite3_stmt *st, struct kv_row *row)
{
	row->sum = (uint64_t)sqlite3_column_int64(st, 0);
	row->value = sqlite3_column_blob(st, 1);
	row->len = (size_t)sqlite3_column_bytes(st, 1);
}

static int sql_get(struct kv_conn *c, const void *key, size_t key_len, struct kv_row *row)
{
	struct sql_conn *sc = sql_conn(c);
	sqlite3_stmt *st = take(sc, STMT_GET);
	int ret;

	bind_bytes(st, 1, key, key_len);
	ret = hold_row(sc, st);
	if (ret == 0)
		row_of(st, row);
	return ret;
}

static int sql_put(struct kv_conn *c, const void *key, size_t key_len, const struct kv_row *row,
		   bool exists)
{
	struct sql_conn *sc = sql_conn(c);
	sqlite3_stmt *st = take(sc, exists ? STMT_UPDATE : STMT_INSERT);

	bind_bytes(st, 1, key, key_len);
	sqlite3_bind_int64(st, 2, (int64_t)row->sum);
	bind_bytes(st, 3, row->value, row->len);
	return run(sc, st);
}

static int sql_del(struct kv_conn *c, const void *key, size_t key_len)
{
	struct sql_conn *sc = sql_conn(c);
	sqlite3_stmt *st = take(sc, STMT_DELETE);

	bind_bytes(st, 1, key, key_len);
	return run(sc, st);
}

static int sql_scan_open(struct kv_conn *c, const void *from, size_t from_len, const void *to,
			 size_t to_len, struct kv_scan **scan)
{
	static const uint8_t above_all[KV_KEY_MAX + 1] = { [0 ... KV_KEY_MAX] = 0xff };
	struct sql_conn *sc = sql_conn(c);
	struct sql_scan *s = mem_calloc(1, sizeof(*s));
	int rc;

	s->sc = sc;
	s->stmt = sc->stmt[STMT_SCAN];
	if (sc->scan_busy) {
		rc = sqlite3_prepare_v3(sc->db, stmt_sql[STMT_SCAN], -1, 0, &s->stmt, NULL);
		if (rc != SQLITE_OK) {
			free(s);
			return fail(sc, rc);
		}
		s->own = true;
	}
	sc->scan_busy = true;
	/* The bounds are the caller's and need not live as long as the scan. */
	sqlite3_bind_blob64(s->stmt, 1, from_len > 0 ? from : "", from_len, SQLITE_TRANSIENT);
	if (to_len > 0)
		sqlite3_bind_blob64(s->stmt, 2, to, to_len, SQLITE_TRANSIENT);
	else
		bind_bytes(s->stmt, 2, above_all, sizeof(above_all));
	*scan = (struct kv_scan *)s;
	return 0;
}

static int sql_scan_next(struct kv_scan *scan, const uint8_t **key, size_t *key_len,
			 struct kv_row *row)
{
	struct sql_scan *s = (struct sql_scan *)scan;
	int rc = sqlite3_step(s->stmt);

	if (rc != SQLITE_ROW)
		return rc == SQLITE_DONE ? 0 : fail(s->sc, rc);
	row_of(s->stmt, row);
	*key = sqlite3_column_blob(s->stmt, 2);
	*key_len = (size_t)sqlite3_column_bytes(s->stmt, 2);
	return *key_len > 0 && *key_len <= KV_KEY_MAX ? 1 : -EUCLEAN;
}

static void sql_scan_close(struct kv_scan *scan)
{
	struct sql_scan *s = (struct sql_scan *)scan;

	if (s->own) {
		sqlite3_finalize(s->stmt);
	} else {
		sqlite3_reset(s->stmt);
		s->sc->scan_busy = false;
	}
	free(s);
}

/*
 * Block row.                                     size
 *   id: ino * 2^27 + block
 *   head: le32 row length                          4
 *         le64 XXH3 per piece of the capacity      8 each; 0 for pieces past the row length
 *   data: the row, zeros up to its capacity        block_capacity(row length)
 */
static int block_row_of(struct sql_conn *sc, enum stmt which, uint64_t row_id,
			struct block_row *row)
{
	sqlite3_stmt *st = take(sc, which);
	const uint8_t *head;
	int ret;

	sqlite3_bind_int64(st, 1, (int64_t)row_id);
	ret = hold_row(sc, st);
	if (ret < 0)
		return ret;
	head = sqlite3_column_blob(st, 0);
	ret = block_head_decode(row, head, (size_t)sqlite3_column_bytes(st, 0),
				(uint64_t)sqlite3_column_int64(st, 1));
	if (ret < 0)
		return ret;
	if (which == STMT_BLOCK_GET) {
		row->data = sqlite3_column_blob(st, 2);
		if (!row->data)
			return fail(sc, sqlite3_errcode(sc->db));
	}
	return 0;
}

static int sql_block_get(struct kv_conn *c, uint64_t row_id, struct block_row *row)
{
	return block_row_of(sql_conn(c), STMT_BLOCK_GET, row_id, row);
}

static int sql_block_sums(struct kv_conn *c, uint64_t row_id, struct block_row *row)
{
	return block_row_of(sql_conn(c), STMT_BLOCK_SUMS, row_id, row);
}

static int sql_block_next(struct kv_conn *c, uint64_t from_id, uint64_t *row_id)
{
	struct sql_conn *sc = sql_conn(c);
	sqlite3_stmt *st = take(sc, STMT_BLOCK_NEXT);
	int ret;

	sqlite3_bind_int64(st, 1, (int64_t)from_id);
	ret = hold_row(sc, st);
	if (ret == 0)
		*row_id = (uint64_t)sqlite3_column_int64(st, 0);
	return ret;
}

static int sql_block_put(struct kv_conn *c, uint64_t row_id, const struct block_row *row,
			 bool exists)
{
	struct sql_conn *sc = sql_conn(c);
	sqlite3_stmt *st = take(sc, exists ? STMT_BLOCK_UPDATE : STMT_BLOCK_INSERT);

	uint8_t head[BLOCK_HEAD_LEN + BLOCK_PIECES_MAX * BLOCK_SUM_SIZE] = { 0 };
	uint32_t capacity = block_capacity(row->len);
	const uint8_t *data = row->data;

	store_le32(head, row->len);
	memcpy(head + BLOCK_HEAD_LEN, row->sums,
	       (size_t)block_piece_count(row->len) * BLOCK_SUM_SIZE);
	if (capacity > row->len) {
		memcpy(sc->padded, row->data, row->len);
		memset(sc->padded + row->len, 0, capacity - row->len);
		data = sc->padded;
	}
	sqlite3_bind_int64(st, 1, (int64_t)row_id);
	bind_bytes(st, 2, head, block_head_size(capacity));
	bind_bytes(st, 3, data, capacity);
	return run(sc, st);
}

static int sql_block_del(struct kv_conn *c, uint64_t row_id)
{
	struct sql_conn *sc = sql_conn(c);
	sqlite3_stmt *st = take(sc, STMT_BLOCK_DELETE);

	sqlite3_bind_int64(st, 1, (int64_t)row_id);
	return run(sc, st);
}

/* ---- meta ---- */

static int sql_meta_get(struct kv_conn *c, const uint8_t **data, size_t *len)
{
	struct sql_conn *sc = sql_conn(c);
	sqlite3_stmt *st = take(sc, STMT_META_GET);
	int ret = hold_row(sc, st);

	if (ret == 0) {
		*data = sqlite3_column_blob(st, 0);
		*len = (size_t)sqlite3_column_bytes(st, 0);
	}
	return ret;
}

static int sql_meta_put(struct kv_conn *c, const void *data, size_t len)
{
	struct sql_conn *sc = sql_conn(c);
	sqlite3_stmt *st = take(sc, STMT_META_PUT);

	bind_bytes(st, 1, data, len);
	return run(sc, st);
}

static const struct kv_conn_ops conn_ops = {
	.close = sql_conn_close,
	.begin = sql_begin,
	.commit = sql_commit,
	.rollback = sql_rollback,
	.get = sql_get,
	.scan_open = sql_scan_open,
	.scan_next = sql_scan_next,
	.scan_close = sql_scan_close,
	.block_get = sql_block_get,
	.block_sums = sql_block_sums,
	.block_next = sql_block_next,
	.meta_get = sql_meta_get,
	.put = sql_put,
	.del = sql_del,
	.block_put = sql_block_put,
	.block_del = sql_block_del,
	.meta_put = sql_meta_put,
};

/* Takes db, also on failure. */
static int conn_new(sqlite3 *db, const char *path, bool writer, struct kv_conn **conn,
		    struct err *err)
{
	struct sql_conn *sc = mem_calloc(1, sizeof(*sc));
	size_t count = writer ? STMT_COUNT : STMT_READER_COUNT;
	int rc = SQLITE_OK;

	sc->conn.ops = &conn_ops;
	sc->db = db;
	for (size_t i = 0; i < count && rc == SQLITE_OK; i++)
		rc = sqlite3_prepare_v3(db, stmt_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
					&sc->stmt[i], NULL);
	if (rc != SQLITE_OK) {
		/* Tables that are missing or odd are damage, not a programming error. */
		int ret = (rc & 0xff) == SQLITE_ERROR ? -EUCLEAN : state_sqlite_errno(rc);

		err_set(err, ret, "cannot open state '%s': %s", path, sqlite3_errmsg(db));
		sql_conn_close(&sc->conn);
		return ret;
	}
	*conn = &sc->conn;
	return 0;
}

/* ---- images ---- */

int state_sqlite_verify_image(const char *path, struct kv_meta *meta, struct err *err)
{
	uint8_t digest[KV_DIGEST_SIZE];
	struct kv_conn *c;
	sqlite3 *db;
	int ret = state_sqlite_open_image(path, &db, err);

	if (ret == 0)
		ret = conn_new(db, path, false, &c, err);
	if (ret < 0)
		return ret;
	ret = kv_conn_meta(c, meta);
	if (ret == 0)
		ret = kv_conn_digest(c, digest);
	if (ret < 0)
		err_set(err, ret, "cannot verify state image '%s': %s", path, kv_conn_why(c, ret));
	else if (memcmp(digest, meta->digest, sizeof(digest)) != 0)
		ret = err_set(err, -EUCLEAN, "cannot verify state image '%s': its rows are not those that were applied",
			      path);
	c->ops->close(c);
	return ret;
}

/* ---- kv ---- */

static struct sql_kv *sql_kv(struct kv *kv)
{
	return CONTAINER_OF(kv, struct sql_kv, kv);
}

static int sql_view_conn(struct kv *kv, struct kv_conn **conn, struct err *err)
{
	sqlite3 *db;
	int ret = state_sqlite_open_reader(kv->dir, &db, err);

	return ret < 0 ? ret : conn_new(db, kv->dir, false, conn, err);
}

/* After each commit: frames in the WAL, counted from where it last started anew. */
static int on_commit(void *ctx, sqlite3 *db, const char *name, int frames)
{
	(void)db;
	(void)name;
	((struct sql_kv *)ctx)->wal_frames = (uint64_t)frames;
	return SQLITE_OK;
}

/*
 * A WAL that a snapshot or a burst made long would keep its place on the disk until the next commit,
 * which may never come when the disk is full. Everything in it was copied, so this only cuts the file;
 * with a reader in the way it is left for the next time.
 */
static int cut_wal(struct sql_conn *sc, int frames)
{
	int rc;

	if ((uint64_t)frames * STATE_PAGE_SIZE <= STATE_WAL_KEEP_BYTES)
		return SQLITE_OK;
	rc = sqlite3_wal_checkpoint_v2(sc->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	rc &= 0xff;
	return rc == SQLITE_BUSY || rc == SQLITE_LOCKED || rc == SQLITE_FULL ? SQLITE_OK : rc;
}

/*
 * Complete only when the counters say so: with a reader in the way PASSIVE returns OK and leaves
 * frames behind. SQLite syncs the WAL before it copies and the main file after.
 */
static int sql_checkpoint(struct kv *kv, uint64_t *durable_index, struct err *err)
{
	struct sql_kv *sk = sql_kv(kv);
	struct sql_conn *sc = sql_conn(kv->writer);
	int frames = -1, done = -1;
	int rc, ret;

	take(sc, STMT_END);
	*durable_index = sk->durable_index;
	ret = floor_raise(&sk->floor, kv->meta.applied_index);
	MARK_IF(ret == -ENOSPC, "store.floor.no-space");
	if (ret == -ENOSPC) /* later */
		return 0;
	if (ret < 0) {
		sc->failed = true;
		return err_set(err, ret, "cannot checkpoint state '%s': its floor: %s", kv->dir,
			       strerror(-ret));
	}
	rc = sqlite3_wal_checkpoint_v2(sc->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &frames, &done);
	MARK_IF((rc & 0xff) == SQLITE_FULL, "store.checkpoint.no-space");
	if ((rc & 0xff) == SQLITE_FULL) /* all of it is in the WAL still */
		return 0;
	if (rc != SQLITE_OK && (rc & 0xff) != SQLITE_BUSY)
		return err_set(err, fail(sc, rc), "cannot checkpoint state '%s': %s", kv->dir,
			       sc->conn.detail);
	if (rc == SQLITE_OK && frames >= 0 && frames == done) {
		sk->durable_index = kv->meta.applied_index;
		/* The next commit starts the WAL anew, or on_commit() shows that a reader hinders it. */
		sk->wal_frames = 0;
		rc = cut_wal(sc, frames);
		if (rc != SQLITE_OK)
			return err_set(err, fail(sc, rc), "cannot checkpoint state '%s': %s",
				       kv->dir, sc->conn.detail);
	} else if (frames > 0) {
		sk->wal_frames = (uint64_t)frames;
	}
	*durable_index = sk->durable_index;
	return 0;
}

static uint64_t pragma_value(struct sql_conn *sc, enum stmt which)
{
	sqlite3_stmt *st = take(sc, which);
	uint64_t value = 0;

	if (sqlite3_step(st) == SQLITE_ROW)
		value = (uint64_t)sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	return value;
}

static uint64_t sql_size_bytes(struct kv *kv)
{
	struct sql_conn *sc = sql_conn(kv->writer);
	uint64_t pages = pragma_value(sc, STMT_PAGE_COUNT);
	uint64_t unused = pragma_value(sc, STMT_FREELIST_COUNT);

	return unused < pages ? (pages - unused) * STATE_PAGE_SIZE : 0;
}

static uint64_t sql_wal_bytes(struct kv *kv)
{
	uint64_t frames = sql_kv(kv)->wal_frames;

	return frames == 0 ? 0
			   : WAL_HEADER_SIZE + frames * (STATE_PAGE_SIZE + WAL_FRAME_HEADER_SIZE);
}

static void sql_close(struct kv *kv)
{
	struct sql_conn *sc = sql_conn(kv->writer);
	struct err err = ERR_INIT;
	uint64_t durable = 0;

	/* SQLite checkpoints once more when it closes: nothing is left to it. */
	if (!sc->failed && sql_checkpoint(kv, &durable, &err) < 0)
		log_warning("store", "%s", err.text);
	floor_close(&sql_kv(kv)->floor);
	/* After a failed write nothing may be synced a second time. */
	if (sc->failed || durable < kv->meta.applied_index)
		sqlite3_db_config(sc->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	sql_conn_close(&sc->conn);
	free(kv->dir);
	free(sql_kv(kv));
}

static const struct kv_ops sql_ops = {
	.view_conn = sql_view_conn,
	.checkpoint = sql_checkpoint,
	.size_bytes = sql_size_bytes,
	.wal_bytes = sql_wal_bytes,
	.close = sql_close,
};

/* Is it at least what a checkpoint made of it? */
static int check_floor(const struct sql_kv *sk, struct err *err)
{
	if (sk->kv.meta.applied_index >= sk->floor.index)
		return 0;
	MARK("store.floor.state-fell-behind");
	err_set(err, -EUCLEAN,
		"cannot trust state '%s': it was at entry %" PRIu64 " and is at %" PRIu64
		" now: the end of its WAL is damaged",
		sk->kv.dir, sk->floor.index, sk->kv.meta.applied_index);
	return err_advise(err, "the other nodes, and nothing here was changed",
			  "quorumfs status --node of another node, then replace this one");
}

/* Takes floor. */
static int open_kv(const char *dir, const char *path, struct floor floor, struct kv **kv, struct err *err)
{
	struct sql_kv *sk;
	struct kv_conn *writer;
	uint64_t durable;
	sqlite3 *db;
	int ret = state_sqlite_open_writer(path, &db, err);

	if (ret == 0)
		ret = conn_new(db, path, true, &writer, err);
	if (ret < 0) {
		floor_close(&floor);
		return ret;
	}
	sk = mem_calloc(1, sizeof(*sk));
	sk->floor = floor;
	sk->kv.dir = mem_strdup(dir);
	sqlite3_wal_hook(db, on_commit, sk);
	ret = kv_init(&sk->kv, &sql_ops, writer, err);
	take(sql_conn(writer), STMT_END);
	if (ret == 0)
		ret = check_floor(sk, err);
	sk->durable_index = sk->floor.index; /* at least: the WAL was synced up to there */
	/* What an earlier process left in the WAL becomes durable now, so that we know an index. */
	if (ret == 0)
		ret = sql_checkpoint(&sk->kv, &durable, err);
	if (ret < 0) {
		sql_conn(writer)->failed = true;
		sql_close(&sk->kv);
		return ret;
	}
	*kv = &sk->kv;
	return 0;
}

int kv_open_sqlite(const char *dir, struct kv **kv, struct err *err)
{
	char *path = state_sqlite_path(dir);
	struct floor floor;
	int ret = floor_open(&floor, dir);

	if (ret < 0)
		err_set(err, ret, "cannot open state '%s': its floor: %s", dir,
			ret == -EUCLEAN ? "both copies are damaged" : strerror(-ret));
	else
		ret = open_kv(dir, path, floor, kv, err);
	free(path);
	return ret;
}
