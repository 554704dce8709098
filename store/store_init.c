/*
 * store_init.c - making a store.
 *
 * The superblock is written last: a directory whose superblock has no valid version is no store
 * yet. A marker file, removed after that, tells an init that a crash cut short from a store that
 * lost its superblock; the former is thrown away by the next init, the latter never.
 */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "store/log.h"
#include "store/store_internal.h"

#define INIT_TERM 1u
#define INIT_INDEX 1u

static bool may_stand_beside(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, "lock") == 0 ||
	       strcmp(name, "lost+found") == 0 || strncmp(name, "group-", 6) == 0;
}

/* -ENOTEMPTY when something other than groups lives there. */
static int check_empty(int dir_fd)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *d;
	int ret = 0;

	if (dir == NULL) {
		ret = -errno;
		if (fd >= 0)
			close(fd);
		return ret;
	}
	while (ret == 0 && (d = readdir(dir)) != NULL)
		if (!may_stand_beside(d->d_name))
			ret = -ENOTEMPTY;
	closedir(dir);
	return ret;
}

static bool is_empty_dir(int dir_fd, const char *name)
{
	/* rmdir() is the one call that knows, and an empty group is of no use to anybody. */
	return unlinkat(dir_fd, name, AT_REMOVEDIR) == 0;
}

/* All but the marker, durably: as long as anything else is there, the marker tells what it is. */
static int remove_all_but_marker(int group_fd)
{
	int fd = openat(group_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *d;
	int ret = 0;

	if (dir == NULL) {
		ret = -errno;
		if (fd >= 0)
			close(fd);
		return ret;
	}
	while (ret == 0 && (d = readdir(dir)) != NULL)
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0 &&
		    strcmp(d->d_name, STORE_UNFINISHED) != 0)
			ret = io_remove_tree(group_fd, d->d_name);
	closedir(dir);
	return ret < 0 ? ret : io_fsync_dir(group_fd);
}

/* Clears away what an unfinished init left; -EEXIST when there is a store. */
static int clear_group(int dir_fd, const char *dir, const char *name, struct err *err)
{
	struct superblock sb;
	int group_fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool unfinished;
	int fd = -1, ret;

	if (group_fd < 0 && errno == ENOENT)
		return 0;
	if (group_fd < 0)
		return err_set(err, -errno, "cannot make store '%s': '%s': %s", dir, name,
			       strerror(errno));
	ret = store_read_superblock(group_fd, dir, O_RDONLY, &fd, &sb, NULL);
	if (fd >= 0)
		close(fd);
	unfinished = ret == -EINVAL;
	if (unfinished)
		ret = remove_all_but_marker(group_fd);
	close(group_fd);
	if (unfinished)
		ret = ret < 0 ? ret : io_remove_tree(dir_fd, name);
	else if (is_empty_dir(dir_fd, name))
		ret = 0;
	else
		ret = -EEXIST;
	if (ret == 0)
		return 0;
	err_set(err, ret, "cannot make store '%s': %s", dir,
		ret == -EEXIST ? "there is one already" : strerror(-ret));
	err_advise(err, "the store there was not touched", "quorumfs status %s", dir);
	return ret;
}

static int make_marker(int group_fd)
{
	int fd = openat(group_fd, STORE_UNFINISHED, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	close(fd);
	return io_fsync_dir(group_fd);
}

static int make_state(const char *group_path, const struct store_identity *identity,
		      const struct raft_conf *conf, struct err *err)
{
	struct kv_meta *meta = mem_calloc(1, sizeof(*meta));
	struct buf path = BUF_INIT;
	char name[STORE_NAME_SIZE];
	int ret;

	memcpy(meta->cluster, identity->cluster, sizeof(meta->cluster));
	meta->group = identity->group;
	meta->applied_index = INIT_INDEX;
	meta->applied_term = INIT_TERM;
	meta->conf = *conf;
	meta->conf.index = INIT_INDEX;
	store_state_name(1, name);
	buf_printf(&path, "%s/%s", group_path, name);
	buf_put_u8(&path, 0);
	ret = kv_create_sqlite((const char *)path.data, meta, err);
	buf_release(&path);
	free(meta);
	return ret;
}

static int make_log(int group_fd, const struct store_identity *identity,
		    const struct raft_conf *conf, const struct store_io *io, struct err *err)
{
	struct raft_entry entry = { .index = INIT_INDEX,
				    .term = INIT_TERM,
				    .type = RAFT_ENTRY_CONF };
	struct buf payload = BUF_INIT;
	int fd = openat(group_fd, "log", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int ret;

	if (fd < 0)
		return err_set(err, -errno, "cannot open 'log': %s", strerror(errno));
	raft_conf_encode(conf, &payload);
	entry.data = blob_from(payload.data, payload.len);
	ret = store_log_create(fd, identity, &entry, io, err);
	blob_unref(entry.data);
	buf_release(&payload);
	close(fd);
	return ret;
}

/* From here on it is a store. */
static int make_superblock(int group_fd, const struct store_identity *identity,
			   const struct store_io *io, struct err *err)
{
	struct superblock sb = {
		.identity = *identity,
		.hard = { .term = INIT_TERM },
		.clean = true,
		.generation = 1,
		.first_segment = 1,
		.synced_frame = 1,
	};
	uint8_t *zeros = mem_calloc(1, SUPERBLOCK_SIZE);
	int fd = io->create(group_fd, "superblock");
	int ret = fd < 0 ? fd : io->pwrite(fd, zeros, SUPERBLOCK_SIZE, 0);

	free(zeros);
	if (ret == 0)
		ret = io->fdatasync(fd);
	if (ret == 0)
		ret = io->fsync_dir(group_fd);
	if (ret == 0)
		ret = superblock_write(io, fd, &sb);
	if (fd >= 0)
		close(fd);
	return ret < 0 ? err_set(err, ret, "cannot write superblock: %s", strerror(-ret)) : 0;
}

static int make_parts(int group_fd, const char *group_path, const struct store_identity *identity,
		      const struct raft_conf *conf, const struct store_io *io, struct err *err)
{
	int ret = make_marker(group_fd);

	if (ret == 0 &&
	    (mkdirat(group_fd, "log", 0700) < 0 || mkdirat(group_fd, "snapshots", 0700) < 0))
		ret = -errno;
	if (ret < 0)
		return err_set(err, ret, "cannot make '%s': %s", group_path, strerror(-ret));
	ret = make_log(group_fd, identity, conf, io, err);
	if (ret == 0)
		ret = make_state(group_path, identity, conf, err);
	if (ret == 0)
		ret = make_superblock(group_fd, identity, io, err);
	if (ret < 0)
		return ret;
	ret = io->unlink(group_fd, STORE_UNFINISHED);
	if (ret == 0)
		ret = io->fsync_dir(group_fd);
	return ret < 0 ? err_set(err, ret, "cannot finish '%s': %s", group_path, strerror(-ret))
		       : 0;
}

static int make_group(int dir_fd, const char *dir, const struct store_identity *identity,
		      const struct raft_conf *conf, const struct store_io *io, struct err *err)
{
	char name[STORE_NAME_SIZE];
	struct buf path = BUF_INIT;
	int group_fd = -1, ret;

	store_group_name(identity->group, name);
	ret = clear_group(dir_fd, dir, name, err);
	if (ret < 0)
		return ret;
	if (mkdirat(dir_fd, name, 0700) == 0)
		group_fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ret = group_fd < 0 ? -errno : io_fsync_dir(dir_fd);
	if (ret < 0) {
		err_set(err, ret, "cannot make store '%s': %s", dir, strerror(-ret));
	} else {
		buf_printf(&path, "%s/%s", dir, name);
		buf_put_u8(&path, 0);
		ret = make_parts(group_fd, (const char *)path.data, identity, conf, io, err);
		if (ret < 0 && err != NULL)
			err_prefix(err, "cannot make store '%s'", dir);
	}
	if (group_fd >= 0)
		close(group_fd);
	buf_release(&path);
	return ret;
}

/* DIR itself and its name in the directory above. */
static int make_dir(const char *dir, int *dir_fd, struct err *err)
{
	int parent, ret;

	*dir_fd = -1;
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return err_set(err, -errno, "cannot make store '%s': %s", dir, strerror(errno));
	*dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*dir_fd < 0)
		return err_set(err, -errno, "cannot make store '%s': %s", dir, strerror(errno));
	parent = openat(*dir_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ret = parent < 0 ? -errno : io_fsync_dir(parent);
	if (parent >= 0)
		close(parent);
	if (ret < 0) {
		err_set(err, ret, "cannot make store '%s': %s", dir, strerror(-ret));
		close(*dir_fd);
		*dir_fd = -1;
	}
	return ret;
}

int store_init_io(const char *dir, const struct store_identity *identity,
		  const struct raft_conf *conf, const struct store_io *io, struct err *err)
{
	int dir_fd = -1, lock_fd = -1, ret;

	if (identity->node_id == 0 || conf->count == 0)
		return err_set(err, -EINVAL, "cannot make store '%s': node id 0 or no member", dir);
	ret = make_dir(dir, &dir_fd, err);
	if (ret < 0) {
		err_advise(err, "nothing was changed", "ls -ld %s", dir);
		return ret;
	}
	ret = check_empty(dir_fd);
	if (ret < 0) {
		err_set(err, ret, "cannot make store '%s': %s", dir,
			ret == -ENOTEMPTY ? "the directory has other files in it" : strerror(-ret));
		err_advise(err, "nothing was changed", "ls -lA %s", dir);
	}
	if (ret == 0)
		ret = store_lock(dir_fd, dir, &lock_fd, err);
	if (ret == 0)
		ret = make_group(dir_fd, dir, identity, conf, io, err);
	if (ret < 0)
		err_advise(err, "what init left unfinished is cleared away by the next one",
			   "quorumfs init %s", dir);
	if (lock_fd >= 0)
		close(lock_fd);
	close(dir_fd);
	return ret;
}

int store_init(const char *dir, const struct store_identity *identity, const struct raft_conf *conf,
	       struct err *err)
{
	return store_init_io(dir, identity, conf, &store_io_posix, err);
}
