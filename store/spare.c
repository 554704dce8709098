/* spare.c - see spare.h. */
#include "store/spare.h"

#include <inttypes.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mark.h"

#define SPARE_STEP (1024u * 1024u)

void spare_name(uint64_t id, const char *suffix, char name[SPARE_NAME_SIZE])
{
	snprintf(name, SPARE_NAME_SIZE, "%016" PRIx64 ".%s", id, suffix);
}

void spares_init(struct spares *p, const struct store_io *io, int dir_fd, size_t segment_bytes,
		 uint32_t wanted)
{
	*p = (struct spares){
		.io = io,
		.dir_fd = dir_fd,
		.segment_bytes = segment_bytes,
		.wanted = wanted < SPARES_MAX ? wanted : SPARES_MAX,
		.next_id = 1,
	};
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->changed, NULL);
}

/* How many recycled ones are worth their room: as many as wanted where the disk is nearly full. */
static uint32_t keep_limit(const struct spares *p)
{
	struct statvfs vfs;
	bool roomy = fstatvfs(p->dir_fd, &vfs) == 0 && vfs.f_bavail > vfs.f_blocks / 4;
	uint32_t limit = p->wanted + (roomy ? SPARES_RECYCLED : 0);

	return limit < SPARES_MAX ? limit : SPARES_MAX;
}

bool spares_adopt(struct spares *p, uint64_t id)
{
	if (id >= p->next_id)
		p->next_id = id + 1;
	if (p->count >= keep_limit(p))
		return false;
	p->ready[p->count++] = id;
	return true;
}

static bool is_stopped(struct spares *p)
{
	bool stop;

	pthread_mutex_lock(&p->lock);
	stop = p->stop;
	pthread_mutex_unlock(&p->lock);
	return stop;
}

static int fill_with_zeros(struct spares *p, int fd)
{
	uint8_t *zeros = mem_calloc(1, SPARE_STEP);
	int ret = 0;

	for (size_t off = 0; off < p->segment_bytes && ret == 0; off += SPARE_STEP) {
		size_t len = (size_t)min_u64(SPARE_STEP, p->segment_bytes - off);

		ret = is_stopped(p) ? -ECANCELED : p->io->pwrite(fd, zeros, len, (off_t)off);
		if (ret == 0)
			atomic_fetch_add(&p->bytes_written, len);
	}
	free(zeros);
	return ret < 0 ? ret : p->io->fdatasync(fd);
}

static int make_spare(struct spares *p, uint64_t id)
{
	char tmp[SPARE_NAME_SIZE], name[SPARE_NAME_SIZE];
	int fd, ret;

	spare_name(id, "tmp", tmp);
	spare_name(id, "spare", name);
	fd = p->io->create(p->dir_fd, tmp);
	if (fd < 0)
		return fd;
	ret = fill_with_zeros(p, fd);
	close(fd);
	if (ret == 0)
		ret = p->io->rename(p->dir_fd, tmp, name);
	if (ret == 0)
		ret = p->io->fsync_dir(p->dir_fd);
	if (ret < 0) {
		MARK_IF(ret == -ENOSPC, "store.spare.no-space");
		(void)p->io->unlink(p->dir_fd, tmp); /* gives the space back after -ENOSPC */
	}
	return ret;
}

static void *spares_main(void *arg)
{
	struct spares *p = arg;

	pthread_mutex_lock(&p->lock);
	while (!p->stop) {
		uint64_t id;
		int ret;

		if (!p->asked || p->error != 0 || p->count >= p->wanted) {
			p->asked = p->asked && p->error == 0 && p->count < p->wanted;
			pthread_cond_wait(&p->changed, &p->lock);
			continue;
		}
		id = p->next_id++;
		pthread_mutex_unlock(&p->lock);
		ret = make_spare(p, id);
		pthread_mutex_lock(&p->lock);
		/* A recycled segment may have taken the place; one more than wanted does no harm.
		 */
		if (ret == 0 && p->count < SPARES_MAX)
			p->ready[p->count++] = id;
		p->error = ret;
		pthread_cond_broadcast(&p->changed);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

int spares_start(struct spares *p)
{
	int ret = pthread_create(&p->thread, NULL, spares_main, p);

	p->started = ret == 0;
	return -ret;
}

void spares_release(struct spares *p)
{
	if (p->started) {
		pthread_mutex_lock(&p->lock);
		p->stop = true;
		pthread_cond_broadcast(&p->changed);
		pthread_mutex_unlock(&p->lock);
		pthread_join(p->thread, NULL);
		p->started = false;
	}
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
}

static void ask_locked(struct spares *p)
{
	if (p->count >= p->wanted || p->asked)
		return;
	p->asked = true;
	p->error = 0;
	pthread_cond_broadcast(&p->changed);
}

void spares_ask(struct spares *p)
{
	pthread_mutex_lock(&p->lock);
	ask_locked(p);
	pthread_mutex_unlock(&p->lock);
}

int spares_take(struct spares *p, uint64_t *id)
{
	int ret = 0;

	pthread_mutex_lock(&p->lock);
	if (p->count == 0) {
		p->error = 0;
		p->asked = true;
		pthread_cond_broadcast(&p->changed);
	}
	MARK_IF(p->count == 0, "store.spare.awaited");
	while (p->count == 0 && p->error == 0)
		pthread_cond_wait(&p->changed, &p->lock);
	if (p->count > 0)
		*id = p->ready[--p->count];
	else
		ret = p->error;
	pthread_mutex_unlock(&p->lock);
	return ret;
}

bool spares_reserve(struct spares *p, uint64_t *id)
{
	uint32_t limit = keep_limit(p);
	bool ok;

	pthread_mutex_lock(&p->lock);
	ok = p->count < limit;
	if (ok)
		*id = p->next_id++;
	pthread_mutex_unlock(&p->lock);
	return ok;
}

void spares_add(struct spares *p, uint64_t id)
{
	pthread_mutex_lock(&p->lock);
	if (p->count < SPARES_MAX)
		p->ready[p->count++] = id;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
}
