/*
 * store.c - opening a store, and the calls of the log thread; making one is in store_init.c.
 *
 * Opening reads before it writes: superblock and log are checked first, so a damaged store is left
 * as it was found. Then the superblock says "not clean" and carries the next incarnation, and only
 * after that do SQLite and the log touch their files.
 */
#include "store/store.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "base/mark.h"
#include "store/log.h"
#include "store/snapshot.h"
#include "store/store_internal.h"

#define RESERVE_BYTES (64u * 1024u * 1024u)
#define RESERVE_SEGMENTS 4u
#define RESERVE_SHARE 4 /* at most a quarter of the file system */

/* ---- small things -------------------------------------------------------------------------------
 */

void store_group_name(uint32_t group, char name[STORE_NAME_SIZE])
{
	snprintf(name, STORE_NAME_SIZE, "group-%" PRIu32, group);
}

void store_state_name(uint64_t generation, char name[STORE_NAME_SIZE])
{
	snprintf(name, STORE_NAME_SIZE, "state-%" PRIu64, generation);
}

char *store_state_path(const struct store *s, uint64_t generation)
{
	char name[STORE_NAME_SIZE];
	struct buf path = BUF_INIT;

	store_state_name(generation, name);
	buf_printf(&path, "%s/%s", s->group_path, name);
	buf_put_u8(&path, 0);
	return (char *)path.data;
}

uint64_t store_active_generation(struct store *s)
{
	uint64_t generation;

	pthread_mutex_lock(&s->superblock_lock);
	generation = s->sb.generation;
	pthread_mutex_unlock(&s->superblock_lock);
	return generation;
}

int store_check(struct store *s, struct err *err)
{
	if (!atomic_load(&s->poisoned))
		return 0;
	return err_set(err, -EIO, "cannot use store '%s': an earlier write failed", s->dir_path);
}

bool store_has_failed(const struct store *s)
{
	return atomic_load(&s->poisoned);
}

int store_poison(struct store *s, int code)
{
	MARK("store.write.poisoned");
	atomic_store(&s->poisoned, true);
	return code;
}

/* Makes *next what the superblock says, durably. Thread: log. */
static int write_superblock(struct store *s, struct superblock *next, struct err *err)
{
	int ret = superblock_write(s->io, s->superblock_fd, next);

	if (ret < 0) {
		err_set(err, ret, "cannot write superblock of store '%s': %s", s->dir_path,
			strerror(-ret));
		return store_poison(s, ret);
	}
	atomic_fetch_add(&s->superblock_bytes, 2 * SUPERBLOCK_RECORD_SIZE);
	pthread_mutex_lock(&s->superblock_lock);
	s->sb = *next;
	pthread_mutex_unlock(&s->superblock_lock);
	return 0;
}

static struct log_roots roots_of(const struct superblock *sb)
{
	return (struct log_roots){
		.base_index = sb->base_index,
		.base_term = sb->base_term,
		.first_segment = sb->first_segment,
		.frames_before = sb->frames_before,
		.synced_frame = sb->synced_frame,
	};
}

static void set_roots(struct superblock *sb, const struct log_roots *roots)
{
	sb->base_index = roots->base_index;
	sb->base_term = roots->base_term;
	sb->first_segment = roots->first_segment;
	sb->frames_before = roots->frames_before;
	sb->synced_frame = roots->synced_frame;
}

static int damaged(const char *dir, struct err *err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int damaged(const char *dir, struct err *err, const char *fmt, ...)
{
	char why[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, sizeof(why), fmt, args);
	va_end(args);
	return err_set(err, -EUCLEAN, "cannot open store '%s': %s", dir, why);
}

/* ---- opening: directories, lock, superblock
 * --------------------------------------------------------- */

/* Descriptors of DIR and of the group's directory. */
static int open_dirs(const char *dir, uint32_t group, int *dir_fd, int *group_fd, struct err *err)
{
	char name[STORE_NAME_SIZE];
	int ret;

	*group_fd = -1;
	*dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*dir_fd < 0) {
		ret = errno == ENOTDIR ? -EINVAL : -errno;
		err_set(err, ret, "cannot open store '%s': %s", dir, strerror(errno));
		if (ret == -ENOENT)
			err_advise(err, NULL, "quorumfs init %s", dir);
		else
			err_advise(err, NULL, "ls -ld %s", dir);
		return ret;
	}
	store_group_name(group, name);
	*group_fd = openat(*dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*group_fd >= 0)
		return 0;
	ret = errno == ENOENT || errno == ENOTDIR ? -EINVAL : -errno;
	if (ret == -EINVAL) {
		err_set(err, ret, "cannot open store '%s': it is not a store, '%s' is missing", dir,
			name);
		err_advise(err, "nothing was changed", "quorumfs init %s", dir);
	} else {
		err_set(err, ret, "cannot open store '%s': '%s': %s", dir, name, strerror(-ret));
		err_advise(err, "nothing was changed", "ls -l %s", dir);
	}
	close(*dir_fd);
	*dir_fd = -1;
	return ret;
}

int store_lock(int dir_fd, const char *dir, int *fd, struct err *err)
{
	char text[32] = "";
	ssize_t len;
	int ret = 0;

	*fd = openat(dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (*fd < 0)
		return err_set(err, -errno, "cannot lock store '%s': %s", dir, strerror(errno));
	if (flock(*fd, LOCK_EX | LOCK_NB) < 0) {
		ret = errno == EWOULDBLOCK ? -EBUSY : -errno;
		len = pread(*fd, text, sizeof(text) - 1, 0);
		text[len > 0 ? strcspn(text, "\n") : 0] = '\0';
		close(*fd);
		*fd = -1;
		if (ret != -EBUSY)
			return err_set(err, ret, "cannot lock store '%s': %s", dir, strerror(-ret));
		err_set(err, ret, "cannot open store '%s': process %s has it open", dir,
			text[0] != '\0' ? text : "(unknown)");
		err_advise(err, "the process that has it open goes on", "ps -fp %s",
			   text[0] != '\0' ? text : "PID");
		return ret;
	}
	/* The pid is for messages only; the lock itself is the descriptor's. */
	snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	if (ftruncate(*fd, 0) < 0 || pwrite(*fd, text, strlen(text), 0) < 0)
		log_debug("store", "cannot write pid to lock of store=%s", dir);
	return 0;
}

int store_read_superblock(int group_fd, const char *dir, int flags, int *fd, struct superblock *sb,
			  struct err *err)
{
	bool unfinished = faccessat(group_fd, STORE_UNFINISHED, F_OK, 0) == 0;
	int ret;

	*fd = openat(group_fd, "superblock", flags | O_CLOEXEC);
	if (*fd >= 0) {
		ret = superblock_read(*fd, dir, sb, err);
	} else {
		ret = errno == ENOENT ? -ENODATA : -errno;
		err_set(err, ret, "cannot open superblock of store '%s': %s", dir, strerror(errno));
	}
	if (ret == 0)
		return 0;
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	if (unfinished && (ret == -ENODATA || ret == -EUCLEAN)) {
		MARK("store.open.init-was-interrupted");
		err_set(err, -EINVAL, "cannot open store '%s': its initialisation was not finished",
			dir);
		err_advise(err, "nothing was changed", "quorumfs init %s", dir);
		return -EINVAL;
	}
	if (ret == -ENODATA)
		ret = err_set(err, -EUCLEAN, "cannot open store '%s': its superblock is gone", dir);
	err_advise(err,
		   "nothing was changed here; a majority of other nodes goes on without this one",
		   "cp -a %s %s.damaged", dir, dir);
	return ret;
}

int store_identify(const char *dir, uint32_t group, struct store_identity *identity,
		   struct err *err)
{
	struct superblock sb;
	int dir_fd, group_fd, fd = -1;
	int ret = open_dirs(dir, group, &dir_fd, &group_fd, err);

	if (ret < 0)
		return ret;
	ret = store_read_superblock(group_fd, dir, O_RDONLY, &fd, &sb, err);
	if (ret == 0)
		*identity = sb.identity;
	if (fd >= 0)
		close(fd);
	close(group_fd);
	close(dir_fd);
	return ret;
}

/* ---- opening: the parts
 * ------------------------------------------------------------------------------ */

static struct store *store_new(const char *dir, uint32_t group, const struct store_io *io)
{
	struct store *s = mem_calloc(1, sizeof(*s));
	struct buf path = BUF_INIT;
	char name[STORE_NAME_SIZE];

	store_group_name(group, name);
	buf_printf(&path, "%s/%s", dir, name);
	buf_put_u8(&path, 0);
	s->dir_path = mem_strdup(dir);
	s->group_path = (char *)path.data;
	s->io = io;
	s->lock_fd = s->group_fd = s->log_fd = s->snapshots_fd = s->superblock_fd = -1;
	pthread_mutex_init(&s->superblock_lock, NULL);
	pthread_mutex_init(&s->snapshot_lock, NULL);
	return s;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

/* Closes and frees; writes nothing. */
static void store_free(struct store *s)
{
	snapshot_close(s);
	store_log_close(s->log);
	close_fd(s->superblock_fd);
	close_fd(s->snapshots_fd);
	close_fd(s->log_fd);
	close_fd(s->group_fd);
	close_fd(s->lock_fd); /* last: the next process may enter now */
	pthread_mutex_destroy(&s->superblock_lock);
	pthread_mutex_destroy(&s->snapshot_lock);
	free(s->group_path);
	free(s->dir_path);
	free(s);
}

static int open_subdir(struct store *s, const char *name, int *fd, struct err *err)
{
	*fd = openat(s->group_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*fd >= 0)
		return 0;
	return err_set(err, errno == ENOENT ? -EUCLEAN : -errno, "cannot open store '%s': '%s': %s",
		       s->dir_path, name, strerror(errno));
}

/* Lock, superblock, subdirectories; nothing is written but the lock file. */
static int open_files(struct store *s, uint32_t group, struct err *err)
{
	int dir_fd = -1;
	int ret = open_dirs(s->dir_path, group, &dir_fd, &s->group_fd, err);

	if (ret == 0)
		ret = store_lock(dir_fd, s->dir_path, &s->lock_fd, err);
	close_fd(dir_fd);
	if (ret == 0)
		ret = store_read_superblock(s->group_fd, s->dir_path, O_RDWR, &s->superblock_fd,
					    &s->sb, err);
	if (ret == 0 && s->sb.identity.group != group)
		ret = damaged(s->dir_path, err,
			      "its superblock belongs to group %" PRIu32 ", not %" PRIu32,
			      s->sb.identity.group, group);
	if (ret == 0)
		ret = open_subdir(s, "log", &s->log_fd, err);
	if (ret == 0)
		ret = open_subdir(s, "snapshots", &s->snapshots_fd, err);
	s->identity = s->sb.identity;
	return ret;
}

static int open_log(struct store *s, const struct store_options *options, struct err *err)
{
	struct log_roots roots = roots_of(&s->sb);
	struct buf path = BUF_INIT;
	int ret;

	buf_printf(&path, "%s/log", s->group_path);
	buf_put_u8(&path, 0);
	ret = store_log_open(&s->log, s->log_fd, (const char *)path.data, &s->identity, &roots,
			     options, s->io, err);
	buf_release(&path);
	MARK_IF(ret == 0 && s->log->pos.term > s->sb.hard.term, "store.open.hard-state-lost");
	if (ret == 0 && s->log->pos.term > s->sb.hard.term)
		ret = damaged(s->dir_path, err,
			      "the log has term %" PRIu64 " but the superblock only %" PRIu64
			      ": term and vote were lost, so this node must not vote again",
			      s->log->pos.term, s->sb.hard.term);
	return ret;
}

static int open_state(struct store *s, struct kv **kv, struct kv_meta *meta, struct err *err)
{
	char *path = store_state_path(s, s->sb.generation);
	struct kv_view *view = NULL;
	int ret = kv_open_sqlite(path, kv, err);

	free(path);
	if (ret == -ENOENT) /* the superblock names it, so it was there */
		return damaged(s->dir_path, err, "its state, generation %" PRIu64 ", is missing",
			       s->sb.generation);
	if (ret == 0)
		ret = kv_view_open(*kv, &view, err);
	if (ret < 0)
		return ret;
	*meta = *kv_view_meta(view);
	kv_view_close(view);
	if (memcmp(meta->cluster, s->identity.cluster, sizeof(meta->cluster)) != 0 ||
	    meta->group != s->identity.group)
		return damaged(s->dir_path, err,
			       "its state belongs to another cluster or to group %" PRIu32
			       " instead of %" PRIu32,
			       meta->group, s->identity.group);
	return 0;
}

/* Do state, log and superblock tell one story? Reference, sections 3.1 and 3.3. */
static int check_state(struct store *s, const struct kv_meta *meta, struct err *err)
{
	uint64_t term = 0;

	MARK_IF(meta->applied_term > s->sb.hard.term, "store.open.hard-state-lost");
	MARK_IF(s->log->torn && s->log->torn_index <= meta->applied_index,
		"store.open.damaged-below-applied");
	if (meta->applied_term > s->sb.hard.term)
		return damaged(s->dir_path, err,
			       "the state has term %" PRIu64 " but the superblock only %" PRIu64
			       ": term and vote were lost, so this node must not vote again",
			       meta->applied_term, s->sb.hard.term);
	if (meta->applied_index < s->log->base_index)
		return damaged(s->dir_path, err,
			       "the state ends at entry %" PRIu64
			       " but the log begins after %" PRIu64,
			       meta->applied_index, s->log->base_index);
	if (s->log->torn && s->log->torn_index <= meta->applied_index)
		return damaged(s->dir_path, err,
			       "the log is damaged at entry %" PRIu64
			       ", which was applied: the state is at %" PRIu64,
			       s->log->torn_index, meta->applied_index);
	if (store_log_term_at(s->log, meta->applied_index, &term) && term != meta->applied_term)
		return damaged(s->dir_path, err,
			       "the log has another term at entry %" PRIu64
			       " than the state, %" PRIu64,
			       meta->applied_index, meta->applied_term);
	return 0;
}

/*
 * A committed entry may be applied before this node's own log had it durable; after a power loss
 * the state is then ahead of the log. What it holds is committed, so the log begins anew behind it.
 */
static int adopt_state(struct store *s, const struct kv_meta *meta, struct err *err)
{
	struct superblock next = s->sb;
	struct log_roots roots;
	int ret;

	if (meta->applied_index <= store_log_last_index(s->log))
		return 0;
	MARK("store.open.state-ahead-of-log");
	log_warning("store",
		    "state is ahead of the log applied_index=%" PRIu64 " last_index=%" PRIu64,
		    meta->applied_index, store_log_last_index(s->log));
	store_log_plan_reset(s->log, meta->applied_index, meta->applied_term, &roots);
	set_roots(&next, &roots);
	ret = write_superblock(s, &next, err);
	return ret < 0 ? ret : store_log_carry_out(s->log, &roots, err);
}

static bool is_stale_state(const struct store *s, const char *name)
{
	char active[STORE_NAME_SIZE];

	store_state_name(s->sb.generation, active);
	return strncmp(name, "state-", 6) == 0 && strcmp(name, active) != 0;
}

/* Removes state-* of generations that are not active: old ones, and one received but not installed.
 */
static int remove_stale_states(struct store *s)
{
	int fd = openat(s->group_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *d;
	int ret = 0;

	if (dir == NULL) {
		ret = -errno;
		close_fd(fd);
		return ret;
	}
	while (ret == 0 && (d = readdir(dir)) != NULL)
		if (is_stale_state(s, d->d_name)) {
			MARK("store.open.stale-state-removed");
			ret = io_remove_tree(s->group_fd, d->d_name);
		}
	closedir(dir);
	return ret;
}

/* The first writes of this process: not clean any more, next incarnation. */
static int enter(struct store *s, struct err *err)
{
	struct superblock next = s->sb;
	int ret;

	next.clean = false;
	next.incarnation++;
	ret = write_superblock(s, &next, err);
	if (ret == 0 && unlinkat(s->group_fd, STORE_UNFINISHED, 0) < 0 && errno != ENOENT)
		ret = err_set(err, -errno, "cannot open store '%s': %s", s->dir_path,
			      strerror(errno));
	return ret;
}

static int open_parts(struct store *s, uint32_t group, const struct store_options *options,
		      struct store_boot *boot, struct kv **kv, struct err *err)
{
	struct kv_meta *meta = mem_calloc(1, sizeof(*meta));
	int ret = open_files(s, group, err);

	if (ret == 0)
		ret = open_log(s, options, err);
	boot->was_clean = s->sb.clean;
	MARK_IF(ret == 0 && !s->sb.clean, "store.open.after-crash");
	if (ret == 0)
		ret = enter(s, err);
	if (ret == 0)
		ret = open_state(s, kv, meta, err);
	if (ret == 0)
		ret = check_state(s, meta, err);
	if (ret == 0)
		ret = store_log_start(s->log, err);
	if (ret == 0)
		ret = adopt_state(s, meta, err);
	if (ret == 0) {
		ret = remove_stale_states(s);
		if (ret == 0)
			ret = snapshot_cleanup(s);
		if (ret == 0)
			ret = snapshot_newest(s, meta->applied_index, &boot->snapshot);
		if (ret < 0)
			err_set(err, ret, "cannot open store '%s': %s", s->dir_path,
				strerror(-ret));
	}
	free(meta);
	return ret;
}

static void fill_boot(struct store *s, struct store_boot *boot)
{
	boot->identity = s->identity;
	boot->hard = s->sb.hard;
	boot->incarnation = s->sb.incarnation;
	boot->base_index = s->log->base_index;
	boot->base_term = s->log->base_term;
	boot->last_index = store_log_last_index(s->log);
	store_log_terms(s->log, &boot->terms, &boot->term_count);
	store_log_confs(s->log, &boot->confs, &boot->conf_count);
}

int store_open_io(const char *dir, uint32_t group, const struct store_options *options,
		  const struct store_io *io, struct store **store, struct store_boot *boot,
		  struct kv **kv, struct err *err)
{
	struct store *s = store_new(dir, group, io);
	struct store_boot *found = mem_calloc(1, sizeof(*found));
	struct kv *state = NULL;
	int ret = open_parts(s, group, options, found, &state, err);

	if (ret < 0) {
		err_advise(err,
			   ret == -EUCLEAN ? "nothing was cut away; a majority of other nodes goes "
					     "on without this one"
					   : "nothing was lost",
			   ret == -EUCLEAN ? "cp -a %s %s.damaged" : "ls -l %s", dir, dir);
		kv_unref(state);
		store_free(s);
	} else {
		fill_boot(s, found);
		*boot = *found;
		*kv = state;
		*store = s;
	}
	free(found);
	return ret;
}

int store_open(const char *dir, uint32_t group, const struct store_options *options,
	       struct store **store, struct store_boot *boot, struct kv **kv, struct err *err)
{
	return store_open_io(dir, group, options, &store_io_posix, store, boot, kv, err);
}

void store_boot_release(struct store_boot *boot)
{
	free(boot->terms);
	boot->terms = NULL;
	boot->term_count = 0;
	free(boot->confs);
	boot->confs = NULL;
	boot->conf_count = 0;
}

void store_close(struct store *s)
{
	struct superblock next;

	if (s == NULL)
		return;
	if (store_check(s, NULL) == 0 && !s->log->failed) {
		next = s->sb;
		next.clean = true;
		next.synced_frame = s->log->synced_frame;
		/* When it fails the next open finds an unclean store, which is the truth. */
		(void)write_superblock(s, &next, NULL);
	}
	store_free(s);
}

/* ---- log
 * ---------------------------------------------------------------------------------------------- */

/* What several batches amount to: the last hard state, and the entries that none of them replaces.
 */
struct group_commit {
	bool set_hard;
	struct raft_hard_state hard;
	const struct raft_entry
		*entries; /* borrowed from the only batch that has any, or from own */
	size_t count;
	struct raft_entry *own;
	size_t own_cap;
};

/* Puts a batch's entries behind those gathered before, in place of the ones they replace. */
static int gather_entries(struct group_commit *g, const struct store_batch *b)
{
	uint64_t first = b->entries[0].index;

	if (g->count > 0 && first > g->entries[0].index + g->count)
		return -EINVAL;
	MARK_IF(g->count > 0 && first < g->entries[0].index + g->count,
		"store.persist.later-batch-replaces");
	if (g->count == 0 || first <= g->entries[0].index) {
		g->entries = b->entries;
		g->count = b->entry_count;
		return 0;
	}
	g->count = (size_t)(first - g->entries[0].index);
	if (g->entries != g->own || g->own_cap < g->count + b->entry_count) {
		struct raft_entry *own = mem_calloc(2 * (g->count + b->entry_count), sizeof(*own));

		memcpy(own, g->entries, g->count * sizeof(*own));
		free(g->own);
		g->own = own;
		g->own_cap = 2 * (g->count + b->entry_count);
		g->entries = own;
	}
	memcpy(g->own + g->count, b->entries, b->entry_count * sizeof(*g->own));
	g->count += b->entry_count;
	return 0;
}

static bool hard_state_follows(const struct raft_hard_state *old, const struct raft_hard_state *new)
{
	return new->term > old->term ||
	       (new->term == old->term && (old->vote == 0 || old->vote == new->vote));
}

static int gather(struct store *s, const struct store_batch *batches, size_t count,
		  struct group_commit *g, struct err *err)
{
	g->hard = s->sb.hard;
	for (size_t i = 0; i < count; i++) {
		const struct store_batch *b = &batches[i];

		if (b->set_hard && !hard_state_follows(&g->hard, &b->hard))
			return err_set(err, -EINVAL,
				       "cannot persist term %" PRIu64 " and vote %" PRIu64
				       " in store '%s': term %" PRIu64 " and vote %" PRIu64
				       " are recorded already",
				       b->hard.term, b->hard.vote, s->dir_path, g->hard.term,
				       g->hard.vote);
		if (b->set_hard)
			g->hard = b->hard;
		if (b->entry_count > 0 && gather_entries(g, b) < 0)
			return err_set(err, -EINVAL,
				       "cannot persist entry %" PRIu64
				       " in store '%s': entries before it are missing",
				       b->entries[0].index, s->dir_path);
	}
	g->set_hard = g->hard.term != s->sb.hard.term || g->hard.vote != s->sb.hard.vote;
	if (g->count > 0 && g->entries[g->count - 1].term > g->hard.term)
		return err_set(err, -EINVAL,
			       "cannot persist entry %" PRIu64 " in store '%s': its term %" PRIu64
			       " is above the recorded %" PRIu64,
			       g->entries[g->count - 1].index, s->dir_path,
			       g->entries[g->count - 1].term, g->hard.term);
	return g->count > 0 ? store_log_check(s->log, g->entries, g->count, err) : 0;
}

static int persist_group(struct store *s, const struct group_commit *g, struct err *err)
{
	struct superblock next = s->sb;
	bool rolled = false;
	int ret = 0;

	next.synced_frame = s->log->synced_frame;
	if (g->set_hard) {
		next.hard = g->hard;
		ret = write_superblock(s, &next, err);
	}
	if (ret == 0 && g->count > 0)
		ret = store_log_append(s->log, g->entries, g->count, &rolled, err);
	if (s->log->failed)
		store_poison(s, ret);
	if (ret == 0 && rolled) {
		next = s->sb;
		next.synced_frame = s->log->synced_frame;
		ret = write_superblock(s, &next, err);
	}
	return ret;
}

int store_persist(struct store *s, const struct store_batch *batches, size_t count, struct err *err)
{
	struct group_commit g = { .count = 0 };
	int ret = store_check(s, err);

	if (ret == 0)
		ret = gather(s, batches, count, &g, err);
	if (ret == 0)
		ret = persist_group(s, &g, err);
	free(g.own);
	return ret;
}

int store_load(struct store *s, uint64_t lo, uint64_t hi, size_t max_bytes,
	       struct raft_entry **entries, size_t *count, struct err *err)
{
	int ret = store_check(s, err);

	return ret < 0 ? ret : store_log_load(s->log, lo, hi, max_bytes, entries, count, err);
}

/* Superblock first: from then on the old segments are dead, whatever a crash leaves of them. */
static int move_roots(struct store *s, const struct superblock *sb, const struct log_roots *roots,
		      struct err *err)
{
	struct superblock next = *sb;
	int ret;

	set_roots(&next, roots);
	ret = write_superblock(s, &next, err);
	if (ret == 0)
		ret = store_log_carry_out(s->log, roots, err);
	return ret < 0 ? store_poison(s, ret) : 0;
}

int store_cut_prefix(struct store *s, uint64_t index, struct err *err)
{
	struct log_roots roots;
	int ret = store_check(s, err);

	if (ret < 0 || index <= s->sb.base_index)
		return ret;
	if (index > store_log_last_index(s->log))
		return err_set(err, -EINVAL,
			       "cannot cut log of store '%s' at entry %" PRIu64
			       ": it ends at %" PRIu64,
			       s->dir_path, index, store_log_last_index(s->log));
	store_log_plan_cut(s->log, index, &roots);
	return move_roots(s, &s->sb, &roots, err);
}

uint64_t store_log_bytes(struct store *s)
{
	return store_log_live_bytes(s->log);
}

uint64_t store_bytes_written(struct store *s)
{
	return store_log_bytes_written(s->log) + atomic_load(&s->superblock_bytes);
}

/* ---- space
 * ---------------------------------------------------------------------------------------------- */

int store_space(struct store *s, struct store_space *space)
{
	struct statvfs vfs;
	uint64_t reserve;

	if (fstatvfs(s->group_fd, &vfs) < 0)
		return -errno;
	space->total_bytes = (uint64_t)vfs.f_blocks * vfs.f_frsize;
	space->free_bytes = (uint64_t)vfs.f_bavail * vfs.f_frsize;
	reserve = max_u64(RESERVE_BYTES, RESERVE_SEGMENTS * (uint64_t)s->log->segment_bytes);
	space->reserve_bytes = min_u64(reserve, space->total_bytes / RESERVE_SHARE);
	return 0;
}

/* ---- install
 * ---------------------------------------------------------------------------------------------- */

/* Opens state-<generation> and checks that it is what meta names. */
static int open_received(struct store *s, uint64_t generation,
			 const struct raft_snapshot_meta *meta, struct kv **kv, struct err *err)
{
	char *path = store_state_path(s, generation);
	struct kv_view *view = NULL;
	const struct kv_meta *own;
	int ret = kv_open_sqlite(path, kv, err);

	free(path);
	if (ret == 0)
		ret = kv_view_open(*kv, &view, err);
	if (ret < 0)
		return ret;
	own = kv_view_meta(view);
	if (memcmp(own->cluster, s->identity.cluster, sizeof(own->cluster)) != 0 ||
	    own->group != s->identity.group || own->applied_index != meta->index ||
	    own->applied_term != meta->term)
		ret = err_set(err, -EUCLEAN,
			      "cannot install snapshot %" PRIu64
			      " in store '%s': the image holds entry %" PRIu64 " of term %" PRIu64,
			      meta->index, s->dir_path, own->applied_index, own->applied_term);
	kv_view_close(view);
	return ret;
}

int store_install(struct store *s, const struct raft_snapshot_meta *meta, uint64_t applied_index,
		  struct kv **kv, struct err *err)
{
	struct superblock next = s->sb;
	char old_name[STORE_NAME_SIZE];
	struct kv *state = NULL;
	struct log_roots roots;
	uint64_t term;
	int ret = store_check(s, err);

	if (ret < 0)
		return ret;
	MARK_IF(meta->index <= applied_index, "store.install.stale");
	if (meta->index <= applied_index)
		return err_set(err, -ESTALE,
			       "cannot install snapshot %" PRIu64
			       " in store '%s': the state is at %" PRIu64,
			       meta->index, s->dir_path, applied_index);
	if (meta->term > s->sb.hard.term)
		return err_set(err, -EINVAL,
			       "cannot install snapshot %" PRIu64
			       " in store '%s': its term %" PRIu64
			       " is above the recorded %" PRIu64,
			       meta->index, s->dir_path, meta->term, s->sb.hard.term);
	ret = open_received(s, next.generation + 1, meta, &state, err);
	if (ret < 0)
		goto out;
	if (store_log_term_at(s->log, meta->index, &term) && term == meta->term) {
		MARK("store.install.suffix-kept");
		store_log_plan_cut(s->log, meta->index, &roots);
	} else {
		MARK("store.install.log-replaced");
		store_log_plan_reset(s->log, meta->index, meta->term, &roots);
	}
	store_state_name(next.generation, old_name);
	next.generation++;
	ret = move_roots(s, &next, &roots, err);
	if (ret < 0)
		goto out;
	/* Who still reads the old state has its files open; what cannot be removed goes at the next
	 * open. */
	(void)io_remove_tree(s->group_fd, old_name);
	*kv = state;
	state = NULL;
out:
	kv_unref(state);
	return ret;
}
