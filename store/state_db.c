/*
 * state_db.c - the SQLite file of a state: its settings, how it is opened and made, its meta row.
 *
 * Settings are those of the reference's section 4.1; the reasons are beside them.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "store/kv.h"
#include "store/state_sqlite.h"

#define APPLICATION_ID 0x51465353 /* "QFSS" */
#define FORMAT_VERSION 1
#define WRITER_CACHE_KIB 32768
#define READER_CACHE_KIB 4096

#define STR2(x) #x
#define STR(x) STR2(x)

/* clang-format off */
static const char schema[] =
	"PRAGMA application_id=" STR(APPLICATION_ID) "; PRAGMA user_version=" STR(FORMAT_VERSION) ";"
	"CREATE TABLE kv(k BLOB PRIMARY KEY NOT NULL, s INTEGER NOT NULL, v BLOB NOT NULL) WITHOUT ROWID;"
	/* id is ino * 2^27 + block. head comes first so that it lies on the leaf page. */
	"CREATE TABLE block(id INTEGER PRIMARY KEY, head BLOB NOT NULL, data BLOB NOT NULL);"
	"CREATE TABLE meta(id INTEGER PRIMARY KEY, row BLOB NOT NULL);";

/*
 * secure_delete makes replicas byte-identical whatever the grouping (4.6). mmap would turn an I/O
 * error into SIGBUS. cell_size_check keeps a damaged or forged file from doing more than failing, as
 * do the db_config calls below.
 */
static const char all_settings[] =
	"PRAGMA page_size=" STR(STATE_PAGE_SIZE) "; PRAGMA auto_vacuum=NONE; PRAGMA secure_delete=ON;"
	"PRAGMA mmap_size=0; PRAGMA cell_size_check=ON; PRAGMA foreign_keys=OFF;"
	"PRAGMA temp_store=MEMORY";
static const char reader_settings[] =
	"PRAGMA query_only=ON; PRAGMA cache_size=-" STR(READER_CACHE_KIB);
static const char writer_settings[] =
	"PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=0;"
	"PRAGMA journal_size_limit=" STR(STATE_WAL_KEEP_BYTES) "; PRAGMA cache_size=-" STR(WRITER_CACHE_KIB);
/* clang-format on */

/* ---- results ---- */

int state_sqlite_errno(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EUCLEAN;
	case SQLITE_PERM:
	case SQLITE_READONLY:
	case SQLITE_AUTH:
		return -EACCES;
	case SQLITE_NOMEM:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

/* ---- opening ---- */

char *state_sqlite_path(const char *dir)
{
	struct buf path = BUF_INIT;

	buf_printf(&path, "%s/%s", dir, STATE_DB_NAME);
	buf_put_u8(&path, '\0');
	return (char *)path.data;
}

/* Memory statistics cost a global lock at every allocation. Too late is harmless. */
static void configure_once(void)
{
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

static int open_db(const char *path, int flags, sqlite3 **out, struct err *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	sqlite3 *db = NULL;
	int rc, ret;

	pthread_once(&once, configure_once);
	rc = sqlite3_open_v2(path, &db, flags | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc == SQLITE_OK) {
		sqlite3_extended_result_codes(db, 1);
		sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
		sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
		rc = sqlite3_exec(db, all_settings, NULL, NULL, NULL);
	}
	if (rc == SQLITE_OK) {
		*out = db;
		return 0;
	}
	ret = (rc & 0xff) == SQLITE_CANTOPEN && sqlite3_system_errno(db) == EACCES
		      ? -EACCES
		      : state_sqlite_errno(rc);
	err_set(err, ret, "cannot open state '%s': %s", path, sqlite3_errmsg(db));
	sqlite3_close(db);
	return ret;
}

static int exec(sqlite3 *db, const char *path, const char *sql, struct err *err)
{
	int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);

	if (rc == SQLITE_OK)
		return 0;
	return err_set(err, state_sqlite_errno(rc), "cannot set up state '%s': %s", path,
		       sqlite3_errmsg(db));
}

/* One number from one statement; sql is a constant. */
static int query_int(sqlite3 *db, const char *sql, int64_t *value)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v3(db, sql, -1, 0, &st, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*value = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	return rc == SQLITE_ROW ? 0 : rc == SQLITE_DONE ? -EUCLEAN : state_sqlite_errno(rc);
}

static int check_format(sqlite3 *db, const char *path, struct err *err)
{
	int64_t id = 0, version = 0;
	int ret = query_int(db, "PRAGMA application_id", &id);

	if (ret == 0)
		ret = query_int(db, "PRAGMA user_version", &version);
	if (ret < 0)
		return err_set(err, ret, "cannot open state '%s': %s", path, sqlite3_errmsg(db));
	if (id != APPLICATION_ID)
		return err_set(err, -EUCLEAN, "cannot open state '%s': it is no quorumfs state",
			       path);
	if (version != FORMAT_VERSION)
		return err_set(err, -EUCLEAN,
			       "cannot open state '%s': format %lld, this program knows %d", path,
			       (long long)version, FORMAT_VERSION);
	return 0;
}

static int check_there(const char *path, struct err *err)
{
	struct stat st;

	/* stat(), not open(): see the trap in the header. */
	if (stat(path, &st) < 0)
		return err_set(err, -errno, "cannot open state '%s': %s", path, strerror(errno));
	return 0;
}

int state_sqlite_open_reader(const char *dir, sqlite3 **db, struct err *err)
{
	char *path = state_sqlite_path(dir);
	int ret = check_there(path, err);

	if (ret == 0)
		ret = open_db(path, SQLITE_OPEN_READONLY, db, err);
	if (ret == 0) {
		sqlite3_db_config(*db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
		/* Only recovery of the WAL by another connection makes a reader wait. */
		sqlite3_busy_timeout(*db, 5000);
		ret = exec(*db, path, reader_settings, err);
		if (ret < 0)
			sqlite3_close(*db);
	}
	free(path);
	return ret;
}

/* SQLite answers with the mode it is in, and says nothing when it could not change it. */
static int set_wal_mode(sqlite3 *db, const char *path, struct err *err)
{
	const char *mode = NULL;
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v3(db, "PRAGMA journal_mode=WAL", -1, 0, &st, NULL);
	int ret = 0;

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		mode = (const char *)sqlite3_column_text(st, 0);
	if (!mode || strcmp(mode, "wal") != 0) {
		ret = rc == SQLITE_ROW ? -EIO : state_sqlite_errno(rc);
		err_set(err, ret, "cannot open state '%s': no write-ahead log there: %s", path,
			sqlite3_errmsg(db));
	}
	sqlite3_finalize(st);
	return ret;
}

static int open_writer(const char *path, int flags, sqlite3 **db, struct err *err)
{
	int ret = open_db(path, SQLITE_OPEN_READWRITE | flags, db, err);

	if (ret < 0)
		return ret;
	ret = set_wal_mode(*db, path, err);
	if (ret == 0)
		ret = exec(*db, path, writer_settings, err);
	if (ret < 0)
		sqlite3_close(*db);
	return ret;
}

static int check_page_size(sqlite3 *db, const char *path, struct err *err)
{
	int64_t size = 0;
	int ret = query_int(db, "PRAGMA page_size", &size);

	if (ret == 0 && size == STATE_PAGE_SIZE)
		return 0;
	return err_set(err, ret < 0 ? ret : -EUCLEAN,
		       "cannot open state '%s': page size is %lld, not %d", path, (long long)size,
		       STATE_PAGE_SIZE);
}

int state_sqlite_open_writer(const char *path, sqlite3 **db, struct err *err)
{
	int ret = check_there(path, err);

	if (ret == 0)
		ret = open_writer(path, 0, db, err);
	if (ret < 0)
		return ret;
	ret = check_format(*db, path, err);
	if (ret == 0)
		ret = check_page_size(*db, path, err);
	if (ret < 0)
		sqlite3_close(*db);
	return ret;
}

/* ---- meta from outside a kv ---- */

int state_sqlite_read_meta(sqlite3 *db, struct kv_meta *meta, struct err *err)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v3(db, STATE_META_GET, -1, 0, &st, NULL);
	int ret;

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		ret = kv_meta_decode(meta, sqlite3_column_blob(st, 0),
				     (size_t)sqlite3_column_bytes(st, 0));
		if (ret < 0)
			err_set(err, ret, "cannot read the meta row: it is damaged");
	} else {
		ret = rc == SQLITE_DONE || (rc & 0xff) == SQLITE_ERROR ? -EUCLEAN
								       : state_sqlite_errno(rc);
		err_set(err, ret, "cannot read the meta row: %s", sqlite3_errmsg(db));
	}
	sqlite3_finalize(st);
	return ret;
}

int state_sqlite_open_image(const char *path, sqlite3 **db, struct err *err)
{
	struct buf uri = BUF_INIT;
	int ret;

	buf_printf(&uri, "file:");
	for (const char *p = path; *p; p++) {
		if (*p == '%' || *p == '?' || *p == '#')
			buf_printf(&uri, "%%%02x", (unsigned int)*p);
		else
			buf_put_u8(&uri, (uint8_t)*p);
	}
	buf_printf(&uri, "?immutable=1");
	buf_put_u8(&uri, '\0');
	ret = open_db((const char *)uri.data, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, db, err);
	buf_release(&uri);
	if (ret < 0)
		return ret;
	ret = check_format(*db, path, err);
	if (ret < 0)
		sqlite3_close(*db);
	return ret;
}

/* ---- creating ---- */

static int put_meta(sqlite3 *db, const struct kv_meta *meta)
{
	struct buf row = BUF_INIT;
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v3(db, STATE_META_PUT, -1, 0, &st, NULL);

	kv_meta_encode(meta, &row);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_blob64(st, 1, row.data, row.len, SQLITE_STATIC);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	sqlite3_finalize(st);
	buf_release(&row);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* Takes db. */
static int fill_new(sqlite3 *db, const char *path, const struct kv_meta *meta, struct err *err)
{
	int ret = exec(db, path, schema, err);

	if (ret == 0) {
		int rc = put_meta(db, meta);

		/* Syncs the main file; closing, which also removes the WAL, would not tell of errors. */
		if (rc == SQLITE_OK)
			rc = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL,
						       NULL);
		if (rc != SQLITE_OK)
			ret = err_set(err, state_sqlite_errno(rc), "cannot set up state '%s': %s",
				      path, sqlite3_errmsg(db));
	}
	sqlite3_close(db);
	return ret;
}

static int sync_parent(const char *dir)
{
	struct buf parent = BUF_INIT;
	int fd, ret;

	buf_printf(&parent, "%s/..", dir);
	buf_put_u8(&parent, '\0');
	fd = open((const char *)parent.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	buf_release(&parent);
	if (fd < 0)
		return -errno;
	ret = io_fsync_dir(fd);
	close(fd);
	return ret;
}

/* Built under another name, so that a crash leaves either no state.db or a whole one. */
static int create_in(int dir_fd, const char *dir, const char *path, const struct kv_meta *meta,
		     struct err *err)
{
	static const char *const leftovers[] = { STATE_DB_NAME ".new", STATE_DB_NAME ".new-wal",
						 STATE_DB_NAME ".new-shm" };
	struct buf tmp = BUF_INIT;
	sqlite3 *db;
	int ret;

	if (faccessat(dir_fd, STATE_DB_NAME, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return err_set(err, -EEXIST, "cannot create state '%s': it exists", path);
	for (size_t i = 0; i < ARRAY_SIZE(leftovers); i++)
		unlinkat(dir_fd, leftovers[i], 0);
	buf_printf(&tmp, "%s.new", path);
	buf_put_u8(&tmp, '\0');
	ret = open_writer((const char *)tmp.data, SQLITE_OPEN_CREATE, &db, err);
	if (ret == 0)
		ret = fill_new(db, (const char *)tmp.data, meta, err);
	if (ret < 0)
		goto out;
	if (renameat(dir_fd, STATE_DB_NAME ".new", dir_fd, STATE_DB_NAME) < 0)
		ret = -errno;
	if (ret == 0)
		ret = io_fsync_dir(dir_fd);
	if (ret == 0)
		ret = sync_parent(dir);
	if (ret < 0)
		err_set(err, ret, "cannot create state '%s': %s", path, strerror(-ret));
out:
	buf_release(&tmp);
	return ret;
}

int kv_create_sqlite(const char *dir, const struct kv_meta *meta, struct err *err)
{
	char *path = state_sqlite_path(dir);
	int dir_fd = -1;
	int ret = io_mkdir_p(dir, 0700);

	if (ret == 0) {
		dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		ret = dir_fd < 0 ? -errno : 0;
	}
	if (ret < 0)
		err_set(err, ret, "cannot create state '%s': %s", path, strerror(-ret));
	else
		ret = create_in(dir_fd, dir, path, meta, err);
	if (dir_fd >= 0)
		close(dir_fd);
	free(path);
	return ret;
}
