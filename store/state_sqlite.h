/*
 * state_sqlite.h - what other sources of store/ may know of the SQLite file below a kv.
 *
 * One connection writes and checkpoints (struct kv's); everybody else reads on a connection of its own
 * and must never open the file outside SQLite: closing any descriptor of it drops all POSIX locks of
 * this process (reference, section 4.2).
 */
#ifndef STORE_STATE_SQLITE_H
#define STORE_STATE_SQLITE_H

#include <sqlite3.h>

#include "store/store_kv.h"

#define STATE_DB_NAME "state.db"
#ifndef STATE_PAGE_SIZE /* as KV_BLOCK_SIZE */
#define STATE_PAGE_SIZE 4096
#endif

#define STATE_WAL_KEEP_BYTES 16777216 /* a longer WAL file is cut to this when it starts anew */
#define STATE_META_GET       "SELECT row FROM meta WHERE id = 1"
#define STATE_META_PUT       "REPLACE INTO meta(id, row) VALUES(1, ?1)"

/* DIR/state.db; free() it. */
char *state_sqlite_path(const char *dir);
/*
 * A connection for reading DIR/state.db: read-only, query_only, never checkpoints, not even on close.
 * sqlite3_close() it. One thread. -ENOENT, -EACCES, -EUCLEAN, -EIO.
 */
int state_sqlite_open_reader(const char *dir, sqlite3 **db, struct err *err);
/*
 * The connection that writes and checkpoints; path is that of the file, which must be there and be of
 * our format and page size. Errors as above.
 */
int state_sqlite_open_writer(const char *path, sqlite3 **db, struct err *err);
/* The meta row as the connection sees it, inside its transaction if there is one. */
int state_sqlite_read_meta(sqlite3 *db, struct kv_meta *meta, struct err *err);
/* A database file that nobody writes and that has no WAL (an image), for reading; sqlite3_close() it. */
int state_sqlite_open_image(const char *path, sqlite3 **db, struct err *err);
/*
 * The meta row of such a file, after all of its rows and pieces were held against their checksums and its digest:
 * -EUCLEAN when it is damaged, -ENOENT, -EIO. Reads all of the file. Any thread.
 */
int state_sqlite_verify_image(const char *path, struct kv_meta *meta, struct err *err);
/* A result code as a negative errno: full is -ENOSPC, damage -EUCLEAN, what is left -EIO. */
int state_sqlite_errno(int rc);

#endif
