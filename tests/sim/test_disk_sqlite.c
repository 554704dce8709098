/*
 * test_disk_sqlite.c - SQLite on a simulated disk: a transaction is there whole or not at all, what was
 * synced stays, connections of one process see each other, and those of a dead one nothing more.
 */
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/lib/unit.h"
#include "tests/sim/sim_disk.h"

#define PATH "/sim/d/x.db"

static int exec(sqlite3 *db, const char *sql)
{
	return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : sqlite3_errcode(db);
}

static sqlite3 *open_db(const char *settings)
{
	sqlite3 *db = NULL;

	if (sqlite3_open_v2(PATH, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) !=
		    SQLITE_OK ||
	    exec(db, settings) != 0) {
		sqlite3_close(db);
		return NULL;
	}
	return db;
}

/* One number from one statement, or -1. */
static int64_t ask(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *st = NULL;
	int64_t n = -1;

	if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK &&
	    sqlite3_step(st) == SQLITE_ROW)
		n = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	return n;
}

static bool is_sound(sqlite3 *db)
{
	return ask(db, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check='ok'") ==
	       1;
}

/* Rows come in pairs; the number of pairs, or -1. */
static int64_t pairs(sqlite3 *db)
{
	int64_t n = ask(db, "SELECT count(*) FROM t");

	assert_true(n % 2 == 0);
	assert_true(n == 0 || ask(db, "SELECT max(id) FROM t") == n); /* no gap: a prefix */
	return n / 2;
}

/* Writes pairs until the process dies; how many commits came back. */
static int64_t write_pairs(sqlite3 *db, int64_t from)
{
	int64_t done = 0;

	for (; done < 40; done++) {
		char sql[200];

		snprintf(sql, sizeof(sql),
			 "BEGIN; INSERT INTO t VALUES(%lld, randomblob(%d));"
			 "INSERT INTO t VALUES(%lld, randomblob(900)); COMMIT",
			 (long long)(2 * (from + done) + 1), 1 + (int)(done * 97 % 9000),
			 (long long)(2 * (from + done) + 2));
		if (exec(db, sql) != 0)
			break;
		if (done % 7 == 6 && exec(db, "PRAGMA wal_checkpoint(PASSIVE)") != 0)
			return done + 1;
	}
	return done;
}

static void die_while_writing(uint64_t seed, const char *settings, bool synced)
{
	struct sim_disk *d;
	int64_t committed = 0;

	sim_machine_seed(seed);
	d = sim_disk_new("d", seed);
	for (int life = 0; life < 4; life++) {
		bool power_loss = sim_disk_draw(d) % 2 == 0;
		int64_t there;
		sqlite3 *db = open_db(settings);

		assert_non_null(db);
		assert_int_equal(exec(db, "CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, "
					  "v BLOB)"),
				 0);
		assert_true(is_sound(db));
		there = pairs(db);
		sim_disk_crash_at(d, 1 + sim_disk_draw(d) % 150);
		committed = there + write_pairs(db, there);
		sim_disk_crash(d, power_loss);
		assert_int_not_equal(exec(db, "INSERT INTO t VALUES(99999, NULL)"), 0);
		sqlite3_close(db);
		sim_disk_revive(d);
		db = open_db(settings);
		assert_non_null(db);
		assert_true(is_sound(db));
		/* The table itself may be lost where nothing is synced. */
		there = ask(db, "SELECT count(*) FROM sqlite_schema") == 1 ? pairs(db) : 0;
		assert_true(there <= committed + 1);
		if (synced || !power_loss)
			assert_true(there >= committed);
		sqlite3_close(db);
	}
	assert_int_equal(sim_disk_open_handles(d), 0);
	sim_disk_free(d);
}

static void synced_commits_survive_any_death(void **state)
{
	for (uint64_t seed = 0; seed < 60; seed++) {
		die_while_writing(seed, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL", true);
		die_while_writing(seed, "PRAGMA journal_mode=DELETE; PRAGMA synchronous=EXTRA",
				  true);
	}
}

static void commits_without_a_sync_vanish_from_the_end_only(void **state)
{
	for (uint64_t seed = 0; seed < 60; seed++)
		die_while_writing(seed,
				  "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
				  "PRAGMA wal_autocheckpoint=0",
				  false);
}

static void connections_of_a_process_see_and_stop_each_other(void **state)
{
	struct sim_disk *d = sim_disk_new("d", 1);
	sqlite3 *writer = open_db("PRAGMA journal_mode=WAL"), *other = open_db("SELECT 1");

	assert_int_equal(exec(writer, "CREATE TABLE t(id INTEGER PRIMARY KEY)"), 0);
	assert_int_equal(ask(other, "SELECT count(*) FROM t"), 0);
	assert_int_equal(exec(other, "BEGIN; SELECT * FROM t"), 0);
	assert_int_equal(exec(writer, "BEGIN IMMEDIATE; INSERT INTO t VALUES(1)"), 0);
	assert_int_equal(exec(other, "INSERT INTO t VALUES(2)"), SQLITE_BUSY);
	assert_int_equal(exec(writer, "COMMIT"), 0);
	assert_int_equal(ask(other, "SELECT count(*) FROM t"), 0); /* its snapshot */
	/* The reader holds the checkpoint back; it ends without an error. */
	assert_int_equal(ask(writer, "PRAGMA wal_checkpoint(TRUNCATE)"), 1);
	assert_int_equal(exec(other, "COMMIT"), 0);
	assert_int_equal(ask(other, "SELECT count(*) FROM t"), 1);
	assert_int_equal(ask(writer, "PRAGMA wal_checkpoint(TRUNCATE)"), 0);
	sqlite3_close(other);
	sqlite3_close(writer);
	assert_int_equal(sim_disk_open_handles(d), 0);
	sim_disk_free(d);
}

static void a_full_disk_is_SQLITE_FULL_and_undone(void **state)
{
	struct sim_disk *d = sim_disk_new("d", 1);
	sqlite3 *db = open_db("PRAGMA journal_mode=WAL");

	assert_int_equal(exec(db, "CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB)"), 0);
	sim_disk_set_capacity(d, sim_disk_used_bytes(d) + 8 * SIM_PAGE_SIZE);
	assert_int_equal(exec(db, "INSERT INTO t VALUES(1, randomblob(100000))"), SQLITE_FULL);
	sim_disk_set_capacity(d, 1 << 30);
	assert_int_equal(exec(db, "INSERT INTO t VALUES(1, randomblob(100000))"), 0);
	assert_true(is_sound(db));
	sqlite3_close(db);
	sim_disk_free(d);
}

static void random_numbers_and_time_are_the_seeds(void **state)
{
	int64_t seen[3], times[3];

	for (int i = 0; i < 3; i++) {
		struct sim_disk *d;
		sqlite3 *db;

		sim_machine_seed(i < 2 ? 5 : 6);
		d = sim_disk_new("d", 1);
		db = open_db("PRAGMA journal_mode=WAL");
		seen[i] = ask(db, "SELECT random()");
		times[i] = ask(db, "SELECT unixepoch('now')");
		sqlite3_close(db);
		sim_disk_free(d);
	}
	assert_int_equal(seen[0], seen[1]);
	assert_int_not_equal(seen[0], seen[2]);
	for (int i = 0; i < 3; i++)
		assert_int_equal(times[i], 1700000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(synced_commits_survive_any_death),
		cmocka_unit_test(commits_without_a_sync_vanish_from_the_end_only),
		cmocka_unit_test(connections_of_a_process_see_and_stop_each_other),
		cmocka_unit_test(a_full_disk_is_SQLITE_FULL_and_undone),
		cmocka_unit_test(random_numbers_and_time_are_the_seeds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
