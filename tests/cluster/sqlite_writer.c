/*
 * sqlite_writer - numbered commits to an SQLite database, and the proof afterwards that none is missing.
 *
 *   sqlite_writer init DB MODE                        makes the database in this journal mode
 *   sqlite_writer write DB MODE LOG WRITER PAUSE_MS   commits until SIGTERM
 *   sqlite_writer check DB LOG...                     also while others write
 *
 * MODE is one of SQLite's, or "exclusive": WAL without shared memory, held by one process until it closes.
 * LOG lies outside: a line "t WRITER N" before commit N is tried, "a WRITER N" once it was acknowledged. A
 * number is never tried again after its outcome became unknown (EIO, or the writer was killed).
 * Each commit reads the counter, adds one, stores it with its number as a row of t, and replaces one of the
 * pages. So the rows' v are 1, 2, 3... without a gap, whoever wrote them; a page carries the v of its last row.
 *
 * SQLite calls it a malformed database, too, when a read fails with EIO (SQLITE_IOERR_CORRUPTFS becomes
 * SQLITE_CORRUPT in the interpreter): what the last system call said tells the two apart.
 *
 * Exit status: 0; 1 what was acknowledged is not there, or the database is damaged; 2 usage; 3 the check got
 * EIO, as it may where the mount's session ended: it is to be made again.
 */
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <unistd.h>

#include "base/clock.h"

enum {
	PAGES = 64,
	WRITERS_MAX = 16,
	NUMBERS_MAX = 1 << 20,
	BUSY_MS = 2000,
	BUSY_EXCLUSIVE_MS = 100,
	OPEN_PAUSE_MS = 50
};

static volatile sig_atomic_t ended;

static void on_term(int sig)
{
	(void)sig;
	ended = 1;
}

/* A system call on the database failed since it was opened, and not for want of a lock. */
static bool is_eio(sqlite3 *db)
{
	int last_errno = 0;

	return db &&
	       sqlite3_file_control(db, "main", SQLITE_FCNTL_LAST_ERRNO, &last_errno) ==
		       SQLITE_OK &&
	       last_errno == EIO;
}

static void die(const char *what, sqlite3 *db)
{
	fprintf(stderr, "sqlite_writer: %s: %s (%d)%s\n", what,
		db ? sqlite3_errmsg(db) : "no database", db ? sqlite3_extended_errcode(db) : 0,
		is_eio(db) ? ", EIO" : "");
	exit(db && (sqlite3_errcode(db) == SQLITE_IOERR || is_eio(db)) ? 3 : 1);
}

static int run(sqlite3 *db, const char *sql)
{
	return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

static int open_db(const char *path, int flags, const char *mode, sqlite3 **db)
{
	char sql[80];
	int ret = sqlite3_open_v2(path, db, flags, NULL);

	if (ret != SQLITE_OK)
		return ret;
	bool exclusive = mode && strcmp(mode, "exclusive") == 0;

	sqlite3_busy_timeout(*db, exclusive ? BUSY_EXCLUSIVE_MS : BUSY_MS);
	if (!mode)
		return SQLITE_OK;
	if (exclusive)
		snprintf(sql, sizeof(sql),
			 "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=wal");
	else
		snprintf(sql, sizeof(sql), "PRAGMA journal_mode=%s", mode);
	return run(*db, sql);
}

/* The only column of the only row. */
static int get_int(sqlite3 *db, const char *sql, sqlite3_int64 *value)
{
	sqlite3_stmt *st;
	int ret = sqlite3_prepare_v2(db, sql, -1, &st, NULL);

	if (ret != SQLITE_OK)
		return ret;
	ret = sqlite3_step(st);
	if (ret == SQLITE_ROW) {
		*value = sqlite3_column_int64(st, 0);
		ret = SQLITE_OK;
	} else if (ret == SQLITE_DONE) {
		ret = SQLITE_CORRUPT;
	}
	sqlite3_finalize(st);
	return ret;
}

static int init(const char *path, const char *mode)
{
	sqlite3 *db;

	if (open_db(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, mode, &db) != SQLITE_OK ||
	    run(db, "BEGIN;"
		    "CREATE TABLE counter(v INTEGER); INSERT INTO counter VALUES(0);"
		    "CREATE TABLE t(v INTEGER, writer INTEGER, n INTEGER, page INTEGER);"
		    "CREATE INDEX t_page ON t(page, v);"
		    "CREATE TABLE page(id INTEGER PRIMARY KEY, v INTEGER, b BLOB);") != SQLITE_OK)
		die("init", db);
	for (int i = 0; i < PAGES; i++) {
		char sql[80];

		snprintf(sql, sizeof(sql), "INSERT INTO page VALUES(%d, 0, randomblob(2000))", i);
		if (run(db, sql) != SQLITE_OK)
			die("init", db);
	}
	if (run(db, "COMMIT") != SQLITE_OK)
		die("init", db);
	return sqlite3_close(db) == SQLITE_OK ? 0 : 1;
}

/* ---- write ---- */

static void note(int fd, char kind, int writer, int n)
{
	char line[48];
	int len = snprintf(line, sizeof(line), "%c %d %d\n", kind, writer, n);

	if (write(fd, line, (size_t)len) != len) {
		perror("sqlite_writer: log");
		exit(1);
	}
}

/* SQLITE_BUSY: surely not committed. */
static int commit_one(sqlite3 *db, int writer, int n)
{
	sqlite3_int64 v;
	char sql[320];
	int page = (int)(random() % PAGES);
	int ret = run(db, "BEGIN IMMEDIATE");

	if (ret != SQLITE_OK)
		return ret;
	ret = get_int(db, "SELECT v FROM counter", &v);
	if (ret == SQLITE_OK) {
		snprintf(sql, sizeof(sql),
			 "UPDATE counter SET v=%lld; INSERT INTO t VALUES(%lld,%d,%d,%d);"
			 "UPDATE page SET v=%lld, b=randomblob(%ld) WHERE id=%d",
			 v + 1, v + 1, writer, n, page, v + 1, random() % 8000, page);
		ret = run(db, sql);
	}
	if (ret == SQLITE_OK)
		ret = run(db, "COMMIT");
	if (ret != SQLITE_OK && !sqlite3_get_autocommit(db) && run(db, "ROLLBACK") != SQLITE_OK &&
	    ret == SQLITE_BUSY)
		ret = SQLITE_IOERR; /* not so surely */
	return ret;
}

static bool is_damage(int ret)
{
	ret &= 0xff;
	return ret == SQLITE_CORRUPT || ret == SQLITE_NOTADB || ret == SQLITE_CONSTRAINT ||
	       ret == SQLITE_SCHEMA || ret == SQLITE_MISUSE || ret == SQLITE_ERROR;
}

static int last_tried(const char *log, int writer)
{
	FILE *f = fopen(log, "re");
	int last = 0, w, n;
	char kind;

	if (!f)
		return 0;
	while (fscanf(f, " %c %d %d", &kind, &w, &n) == 3)
		if (w == writer && n > last)
			last = n;
	fclose(f);
	return last;
}

static int write_until_term(const char *path, const char *mode, const char *log, int writer,
			    uint64_t pause_ms)
{
	int fd = open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
	int n = last_tried(log, writer) + 1, done = 0, busy = 0, errors = 0;
	uint64_t worst_ms = 0;
	sqlite3 *db = NULL;
	bool exclusive = strcmp(mode, "exclusive") == 0;

	if (fd < 0) {
		perror(log);
		return 2;
	}
	signal(SIGTERM, on_term);
	srandom((unsigned)(writer * 1000003 + n));
	while (!ended) {
		uint64_t start_ms = clock_boot_ms();
		bool is_new = !db;
		/* The mode is set in init, and asked for again as any program would. */
		int ret = db ? SQLITE_OK : open_db(path, SQLITE_OPEN_READWRITE, mode, &db);
		bool tried = ret == SQLITE_OK;

		if (tried) {
			note(fd, 't', writer, n);
			ret = commit_one(db, writer, n);
		}
		if (ret == SQLITE_OK) {
			note(fd, 'a', writer, n++);
			done++;
			if (clock_boot_ms() - start_ms > worst_ms)
				worst_ms = clock_boot_ms() - start_ms;
			clock_sleep_ms(pause_ms);
			continue;
		}
		if (is_damage(ret) && !is_eio(db))
			die(is_new ? "open" : "commit", db);
		n += tried && (ret & 0xff) != SQLITE_BUSY;
		if ((ret & 0xff) == SQLITE_BUSY) {
			busy++;
		} else {
			fprintf(stderr, "writer %d: %s%s (%d)\n", writer, sqlite3_errstr(ret),
				is_eio(db) ? ", EIO" : "", ret);
			errors++;
			clock_sleep_ms(OPEN_PAUSE_MS);
		}
		/* In exclusive mode each keeps its shared lock while it waits for the others': nobody would get on. */
		if (!tried || exclusive || (ret & 0xff) != SQLITE_BUSY) {
			sqlite3_close(db);
			db = NULL;
		}
		if (exclusive && (ret & 0xff) == SQLITE_BUSY)
			clock_sleep_ms((uint64_t)random() % 1000);
	}
	sqlite3_close(db);
	printf("writer %d: %d commits, %d times busy, %d errors, longest %llu ms\n", writer, done,
	       busy, errors, (unsigned long long)worst_ms);
	return 0;
}

/* ---- check ---- */

enum { TRIED = 1, ACKNOWLEDGED = 2, FOUND = 4 };
static uint8_t seen[WRITERS_MAX][NUMBERS_MAX];

static int read_log(const char *log)
{
	FILE *f = fopen(log, "re");
	int w, n, acknowledged = 0;
	char kind;

	if (!f) {
		perror(log);
		exit(2);
	}
	while (fscanf(f, " %c %d %d", &kind, &w, &n) == 3) {
		if (w < 0 || w >= WRITERS_MAX || n < 0 || n >= NUMBERS_MAX) {
			fprintf(stderr, "sqlite_writer: '%s' is no log\n", log);
			exit(2);
		}
		seen[w][n] |= kind == 'a' ? ACKNOWLEDGED : TRIED;
		acknowledged += kind == 'a';
	}
	fclose(f);
	return acknowledged;
}

/* All rows, in the order of their v. Return: how many there are. */
static long check_rows(sqlite3 *db)
{
	sqlite3_stmt *st;
	long count = 0;
	int ret;

	if (sqlite3_prepare_v2(db, "SELECT v, writer, n FROM t ORDER BY v", -1, &st, NULL) !=
	    SQLITE_OK)
		die("rows", db);
	while ((ret = sqlite3_step(st)) == SQLITE_ROW) {
		long v = (long)sqlite3_column_int64(st, 0);
		int w = sqlite3_column_int(st, 1), n = sqlite3_column_int(st, 2);

		if (v != ++count) {
			fprintf(stderr, "sqlite_writer: row %ld has v %ld (writer %d, commit %d)\n",
				count, v, w, n);
			exit(1);
		}
		if (w < 0 || w >= WRITERS_MAX || n < 0 || n >= NUMBERS_MAX ||
		    (seen[w][n] & FOUND)) {
			fprintf(stderr,
				"sqlite_writer: commit %d of writer %d is there twice, or "
				"nobody's\n",
				n, w);
			exit(1);
		}
		seen[w][n] |= FOUND;
	}
	if (ret != SQLITE_DONE)
		die("rows", db);
	sqlite3_finalize(st);
	return count;
}

static void check_integrity(sqlite3 *db)
{
	sqlite3_stmt *st;

	if (sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &st, NULL) != SQLITE_OK ||
	    sqlite3_step(st) != SQLITE_ROW)
		die("integrity_check", db);
	if (strcmp((const char *)sqlite3_column_text(st, 0), "ok") != 0) {
		fprintf(stderr, "sqlite_writer: integrity_check: %s\n", sqlite3_column_text(st, 0));
		exit(is_eio(db) ? 3 : 1);
	}
	sqlite3_finalize(st);
}

static int check(const char *path, char **logs)
{
	sqlite3_int64 v = -1, wrong = -1;
	int acknowledged = 0, missing = 0;
	sqlite3 *db;

	/* First the logs: what they say by now must be there. */
	for (; *logs; logs++)
		acknowledged += read_log(*logs);
	if (open_db(path, SQLITE_OPEN_READWRITE, NULL, &db) != SQLITE_OK)
		die("open", db);
	sqlite3_busy_timeout(db, 60000);
	if (run(db, "BEGIN") != SQLITE_OK || get_int(db, "SELECT v FROM counter", &v) != SQLITE_OK)
		die("begin", db);
	check_integrity(db);
	long count = check_rows(db);

	if (get_int(db,
		    "SELECT count(*) FROM page p WHERE p.v != "
		    "ifnull((SELECT max(v) FROM t WHERE t.page = p.id), 0)",
		    &wrong) != SQLITE_OK)
		die("pages", db);
	for (int w = 0; w < WRITERS_MAX; w++)
		for (int n = 0; n < NUMBERS_MAX; n++)
			if ((seen[w][n] & (ACKNOWLEDGED | FOUND)) == ACKNOWLEDGED) {
				missing++;
				fprintf(stderr,
					"sqlite_writer: commit %d of writer %d was acknowledged "
					"and is not there\n",
					n, w);
			}
	run(db, "COMMIT");
	sqlite3_close(db);
	printf("%d acknowledged, %ld there\n", acknowledged, count);
	if (v != count || wrong != 0)
		fprintf(stderr, "sqlite_writer: counter %lld, %ld rows, %lld wrong pages\n", v,
			count, wrong);
	return v == count && wrong == 0 && missing == 0 ? 0 : 1;
}

/* SQLite's own words, with time and place: they tell where a fault was noticed first. */
static void on_sqlite_log(void *ctx, int code, const char *text)
{
	(void)ctx;
	fprintf(stderr, "%llu sqlite %d: %s\n", (unsigned long long)clock_boot_ms(), code, text);
}

int main(int argc, char **argv)
{
	if (getenv("SQLITE_LOG"))
		sqlite3_config(SQLITE_CONFIG_LOG, on_sqlite_log, NULL);
	if (argc == 4 && strcmp(argv[1], "init") == 0)
		return init(argv[2], argv[3]);
	if (argc == 7 && strcmp(argv[1], "write") == 0)
		return write_until_term(argv[2], argv[3], argv[4], (int)strtol(argv[5], NULL, 10),
					strtoull(argv[6], NULL, 10));
	if (argc >= 4 && strcmp(argv[1], "check") == 0)
		return check(argv[2], argv + 3);
	fprintf(stderr, "usage: sqlite_writer init|write|check DB ...\n");
	return 2;
}
