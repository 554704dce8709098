/*
 * log_rig.h - for the tests of superblock, log and store: a scratch directory, an I/O table that
 * counts and fails on demand, entries that know what they should hold.
 *
 * Only calls of threads that called rig_io_reset() count and fail: the spare maker runs beside it.
 */
#ifndef TESTS_UNIT_STORE_LOG_RIG_H
#define TESTS_UNIT_STORE_LOG_RIG_H

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/io.h"
#include "base/log.h"
#include "store/log.h"
#include "store/store_io.h"

struct rig {
	char path[64];
	int dir_fd;
	struct log_roots roots;
	struct store_log *log;
	struct store_options options;
};

static _Thread_local bool rig_thread; /* this one's calls count */
static struct {
	unsigned calls;   /* all of them */
	unsigned fail_at; /* the call with this number fails; 0: none */
	int error;
	char trace[64]; /* one letter for each call: c w s d r u */
} rig_io_state;

static atomic_int rig_spare_error; /* what every write of the spare maker returns, 0: it works */

static inline bool rig_fails(char letter)
{
	if (!rig_thread)
		return false;
	if (rig_io_state.calls < sizeof(rig_io_state.trace) - 1)
		rig_io_state.trace[rig_io_state.calls] = letter;
	return ++rig_io_state.calls == rig_io_state.fail_at;
}

static inline void rig_io_reset(unsigned fail_at, int error)
{
	memset(&rig_io_state, 0, sizeof(rig_io_state));
	rig_thread = true;
	rig_io_state.fail_at = fail_at;
	rig_io_state.error = error;
}

static inline int rig_create(int dir_fd, const char *name)
{
	return rig_fails('c') ? rig_io_state.error : store_io_posix.create(dir_fd, name);
}

/* A write that fails has written its first half, as a full disk does. */
static inline int rig_pwrite(int fd, const void *data, size_t len, off_t off)
{
	bool fails = rig_fails('w');

	if (!rig_thread && rig_spare_error != 0)
		return rig_spare_error;
	if (!fails)
		return store_io_posix.pwrite(fd, data, len, off);
	store_io_posix.pwrite(fd, data, len / 2, off);
	return rig_io_state.error;
}

static inline int rig_fdatasync(int fd)
{
	return rig_fails('s') ? rig_io_state.error : store_io_posix.fdatasync(fd);
}

static inline int rig_fsync_dir(int dir_fd)
{
	return rig_fails('d') ? rig_io_state.error : store_io_posix.fsync_dir(dir_fd);
}

static inline int rig_rename(int dir_fd, const char *from, const char *to)
{
	return rig_fails('r') ? rig_io_state.error : store_io_posix.rename(dir_fd, from, to);
}

static inline int rig_unlink(int dir_fd, const char *name)
{
	return rig_fails('u') ? rig_io_state.error : store_io_posix.unlink(dir_fd, name);
}

/* Uuids that differ, from a counter. */
static inline int rig_random(void *out, size_t len)
{
	static uint64_t counter;

	memset(out, 0xa5, len);
	counter++;
	memcpy(out, &counter, len < 8 ? len : 8);
	return 0;
}

static const struct store_io rig_io __attribute__((unused)) = {
	.create = rig_create,
	.pwrite = rig_pwrite,
	.fdatasync = rig_fdatasync,
	.fsync_dir = rig_fsync_dir,
	.rename = rig_rename,
	.unlink = rig_unlink,
	.random = rig_random,
};

static const struct store_identity rig_identity
	__attribute__((unused)) = { .cluster = "test cluster 01", .group = 3, .node_id = 7 };

static inline void rig_dir_open(struct rig *r)
{
	const char *tmp = getenv("TMPDIR");

	log_set_level(LOG_NONE);
	*r = (struct rig){ .roots = { .first_segment = 1 } };
	r->options =
		(struct store_options){ .segment_bytes = SEGMENT_SIZE_MIN, .spare_segments = 2 };
	snprintf(r->path, sizeof(r->path), "%s/quorumfs-log-XXXXXX",
		 tmp != NULL && strlen(tmp) < 30 ? tmp : "/tmp");
	assert_non_null(mkdtemp(r->path));
	r->dir_fd = open(r->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(r->dir_fd >= 0);
	rig_io_reset(0, 0);
}

static inline void rig_dir_close(struct rig *r)
{
	close(r->dir_fd);
	assert_int_equal(io_remove_tree(AT_FDCWD, r->path), 0);
}

/* Content that tells index, term and salt apart; len may be 0. */
static inline struct blob *rig_data(uint64_t index, uint64_t term, size_t len)
{
	struct blob *b;

	if (len == 0)
		return NULL;
	b = blob_new(len);
	for (size_t i = 0; i < len; i++)
		b->data[i] = (uint8_t)(index * 31 + term * 7 + i);
	return b;
}

static inline struct raft_entry *rig_entries(uint64_t first, size_t count, uint64_t term,
					     size_t len)
{
	struct raft_entry *v = mem_calloc(count, sizeof(*v));

	for (size_t i = 0; i < count; i++)
		v[i] = (struct raft_entry){ .index = first + i,
					    .term = term,
					    .type = len > 0 ? RAFT_ENTRY_NORMAL : RAFT_ENTRY_NOOP,
					    .data = rig_data(first + i, term, len) };
	return v;
}

static inline void rig_entries_free(struct raft_entry *v, size_t count)
{
	for (size_t i = 0; i < count; i++)
		blob_unref(v[i].data);
	free(v);
}

static inline bool rig_entry_is(const struct raft_entry *e, uint64_t index, uint64_t term,
				size_t len)
{
	struct blob *want = rig_data(index, term, len);
	bool same = e->index == index && e->term == term && (e->data == NULL) == (want == NULL) &&
		    (want == NULL || (want->len == e->data->len &&
				      memcmp(want->data, e->data->data, want->len) == 0));

	blob_unref(want);
	return same;
}

static inline int rig_open(struct rig *r)
{
	return store_log_open(&r->log, r->dir_fd, "log", &rig_identity, &r->roots, &r->options,
			      &rig_io, NULL);
}

/* Opens for reading and closes: 0 or the error; *last and *torn as found. */
static inline int rig_probe(struct rig *r, uint64_t *last, bool *torn)
{
	struct store_log *log = NULL;
	int ret = store_log_open(&log, r->dir_fd, "log", &rig_identity, &r->roots, &r->options,
				 &rig_io, NULL);

	if (ret == 0) {
		*last = store_log_last_index(log);
		*torn = log->torn;
		store_log_close(log);
	}
	return ret;
}

static inline int rig_start(struct rig *r)
{
	int ret = rig_open(r);

	return ret < 0 ? ret : store_log_start(r->log, NULL);
}

static inline int rig_append(struct rig *r, uint64_t first, size_t count, uint64_t term, size_t len)
{
	struct raft_entry *v = rig_entries(first, count, term, len);
	bool rolled = false;
	int ret = store_log_check(r->log, v, count, NULL);

	if (ret == 0)
		ret = store_log_append(r->log, v, count, &rolled, NULL);
	rig_entries_free(v, count);
	return ret;
}

/* 0 when lo..hi load whole and have this term and length. */
static inline int rig_expect(struct rig *r, uint64_t lo, uint64_t hi, uint64_t term, size_t len)
{
	while (lo <= hi) {
		struct raft_entry *v = NULL;
		size_t count = 0;
		int ret = store_log_load(r->log, lo, hi, 1024 * 1024, &v, &count, NULL);
		bool same = true;

		if (ret < 0)
			return ret;
		for (size_t i = 0; i < count; i++)
			same = same && rig_entry_is(&v[i], lo + i, term, len);
		rig_entries_free(v, count);
		if (!same || count == 0)
			return -EBADMSG;
		lo += count;
	}
	return 0;
}

/* A crash: what was written stays, nothing else is done. */
static inline void rig_crash(struct rig *r)
{
	store_log_close(r->log);
	r->log = NULL;
}

/* The next life of the log: it opens, whatever the last one left. */
static inline void rig_reopen(struct rig *r)
{
	rig_crash(r);
	assert_int_equal(rig_start(r), 0);
}

/* first to last, each in a group of its own. */
static inline void rig_append_each(struct rig *r, uint64_t first, uint64_t last, uint64_t term,
				   size_t len)
{
	for (uint64_t i = first; i <= last; i++)
		assert_int_equal(rig_append(r, i, 1, term, len), 0);
}

static inline void rig_setup(struct rig *r)
{
	rig_dir_open(r);
	assert_int_equal(rig_start(r), 0);
}

static inline void rig_teardown(struct rig *r)
{
	rig_crash(r);
	rig_dir_close(r);
}

static inline int rig_segment_fd(struct rig *r, uint64_t number)
{
	char name[SPARE_NAME_SIZE];
	int fd;

	segment_name(number, name);
	fd = openat(r->dir_fd, name, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

/* Turns these bits of the byte at off; done twice it is as before. */
static inline void rig_flip(int fd, off_t off, uint8_t bits)
{
	uint8_t byte = 0;

	assert_int_equal(io_pread_all(fd, &byte, 1, off), 0);
	byte ^= bits;
	assert_int_equal(io_pwrite_all(fd, &byte, 1, off), 0);
}

#endif
