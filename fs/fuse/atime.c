/* atime.c - see atime.h. */
#include "fs/fuse/atime.h"

#include <fcntl.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"

#define WRITE_EVERY_S 10
#define END_S 3
#define DAY_NS INT64_C(86400000000000)

struct note {
	struct hnode node;
	uint64_t ino;
	int64_t read_ns; /* since 1970, by this machine's clock */
};

void atime_table_init(struct atime_table *t, enum fs_atime policy)
{
	*t = (struct atime_table){ .policy = policy, .by_ino = HTABLE_INIT };
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->changed, NULL);
}

static void note_free(struct hnode *node, void *ctx)
{
	(void)ctx;
	free(CONTAINER_OF(node, struct note, node));
}

void atime_table_release(struct atime_table *t)
{
	assert(!t->running);
	htable_each(&t->by_ino, note_free, NULL);
	htable_release(&t->by_ino);
	pthread_cond_destroy(&t->changed);
	pthread_mutex_destroy(&t->lock);
}

/* With the lock held. */
static struct note *find(const struct htable *notes, uint64_t ino)
{
	for (struct hnode *n = htable_first(notes, hash_u64(ino)); n; n = htable_next(n)) {
		struct note *note = CONTAINER_OF(n, struct note, node);

		if (note->ino == ino)
			return note;
	}
	return NULL;
}

void atime_set_read_only(struct atime_table *t, bool read_only)
{
	pthread_mutex_lock(&t->lock);
	t->read_only = read_only;
	pthread_mutex_unlock(&t->lock);
}

bool atime_is_due(const struct fs_attr *attr, int64_t now_ns)
{
	return attr->atime_ns <= attr->mtime_ns || attr->atime_ns <= attr->ctime_ns ||
	       now_ns - attr->atime_ns >= DAY_NS;
}

void atime_note(struct atime_table *t, uint64_t ino, uint32_t open_flags)
{
	if (t->policy == FS_NOATIME || (open_flags & O_NOATIME))
		return;
	pthread_mutex_lock(&t->lock);
	if (t->running && !t->read_only) {
		struct note *note = find(&t->by_ino, ino);

		if (!note) {
			note = mem_calloc(1, sizeof(*note));
			note->ino = ino;
			htable_add(&t->by_ino, &note->node, hash_u64(ino));
		}
		note->read_ns = clock_wall_ns();
	}
	pthread_mutex_unlock(&t->lock);
}

void atime_forget(struct atime_table *t, uint64_t ino)
{
	if (t->policy == FS_NOATIME)
		return;
	pthread_mutex_lock(&t->lock);
	struct note *note = find(&t->by_ino, ino);

	if (note) {
		htable_del(&t->by_ino, &note->node);
		free(note);
	}
	pthread_mutex_unlock(&t->lock);
}

static bool tells_something(const struct atime_table *t, const struct fs_attr *attr, int64_t read_ns)
{
	/* A change after the read says more than the read does; the evaluator has it so, too. */
	if (read_ns <= attr->atime_ns || read_ns < attr->ctime_ns)
		return false;
	return t->policy == FS_STRICTATIME || atime_is_due(attr, read_ns);
}

int64_t atime_shown(struct atime_table *t, const struct fs_attr *attr)
{
	int64_t shown = attr->atime_ns;

	if (t->policy == FS_NOATIME)
		return shown;
	pthread_mutex_lock(&t->lock);
	const struct note *note = find(&t->by_ino, attr->ino);

	if (note && tells_something(t, attr, note->read_ns))
		shown = note->read_ns;
	pthread_mutex_unlock(&t->lock);
	return shown;
}

/* ---- writing ---- */

static void answered(void *ctx, int status, const struct fs_reply *reply)
{
	struct atime_table *t = ctx;

	pthread_mutex_lock(&t->lock);
	t->answered = true;
	t->status = status;
	if (status == 0)
		t->attr = reply->attr;
	pthread_cond_signal(&t->changed);
	pthread_mutex_unlock(&t->lock);
}

/* With the lock held; as long as it takes, or until END_MS after the stop. */
static bool wait_changed(struct atime_table *t)
{
	if (!t->stopping)
		return pthread_cond_wait(&t->changed, &t->lock) == 0;
	return pthread_cond_clockwait(&t->changed, &t->lock, CLOCK_MONOTONIC, &t->until) == 0;
}

/* 0 with t->attr, or a negative errno. After -ETIMEDOUT, which only a stop brings, no other call may be made. */
static int call(struct atime_table *t, const struct fs_request *rq)
{
	t->answered = false;
	int ret = fs_session_submit(t->session, rq, 0, answered, t, NULL);

	if (ret < 0)
		return ret;
	pthread_mutex_lock(&t->lock);
	while (!t->answered && ret == 0)
		ret = wait_changed(t) ? 0 : -ETIMEDOUT;
	if (t->answered)
		ret = t->status;
	pthread_mutex_unlock(&t->lock);
	return ret;
}

/* Notes are shown until they are written; what was noted again meanwhile waits for the next time. */
static void drop_written(struct atime_table *t, const struct note *written)
{
	pthread_mutex_lock(&t->lock);
	struct note *note = find(&t->by_ino, written->ino);

	if (note && note->read_ns == written->read_ns) {
		htable_del(&t->by_ino, &note->node);
		free(note);
	}
	pthread_mutex_unlock(&t->lock);
}

static int write_note(struct atime_table *t, const struct note *note)
{
	int ret = call(t, &(struct fs_request){ .op = FS_GETATTR, .ino = note->ino });

	if (ret == 0 && tells_something(t, &t->attr, note->read_ns))
		ret = call(t, &(struct fs_request){ .op = FS_SETATTR,
						    .ino = note->ino,
						    .valid = FS_SET_WAS_READ,
						    .atime_ns = note->read_ns });
	/* Gone meanwhile, no quorum, no space: an access time is worth no more than this. */
	if (ret < 0)
		log_debug("fuse", "access time not written ino=%llu: %s",
			  (unsigned long long)note->ino, strerror(-ret));
	drop_written(t, note);
	return ret;
}

static void copy_note(struct hnode *node, void *ctx)
{
	buf_put(ctx, CONTAINER_OF(node, struct note, node), sizeof(struct note));
}

static void write_all(struct atime_table *t)
{
	struct buf copies = BUF_INIT;
	bool in_time = true;

	pthread_mutex_lock(&t->lock);
	htable_each(&t->by_ino, copy_note, &copies);
	pthread_mutex_unlock(&t->lock);
	for (size_t at = 0; at < copies.len && in_time; at += sizeof(struct note)) {
		struct note note;

		memcpy(&note, copies.data + at, sizeof(note));
		in_time = write_note(t, &note) != -ETIMEDOUT;
	}
	buf_release(&copies);
}

static bool wait_for_stop(struct atime_table *t)
{
	struct timespec next;

	clock_gettime(CLOCK_MONOTONIC, &next);
	next.tv_sec += WRITE_EVERY_S;
	pthread_mutex_lock(&t->lock);
	while (!t->stopping &&
	       pthread_cond_clockwait(&t->changed, &t->lock, CLOCK_MONOTONIC, &next) == 0)
		;
	bool stopping = t->stopping;

	pthread_mutex_unlock(&t->lock);
	return stopping;
}

static void *writer_main(void *arg)
{
	struct atime_table *t = arg;

	while (!wait_for_stop(t))
		write_all(t);
	write_all(t);
	return NULL;
}

int atime_start(struct atime_table *t, struct fs_session *session)
{
	if (t->policy == FS_NOATIME)
		return 0;
	t->session = session;
	int ret = -pthread_create(&t->writer, NULL, writer_main, t);

	pthread_mutex_lock(&t->lock);
	t->running = ret == 0;
	pthread_mutex_unlock(&t->lock);
	return ret;
}

void atime_stop(struct atime_table *t)
{
	if (!t->running)
		return;
	pthread_mutex_lock(&t->lock);
	t->stopping = true;
	clock_gettime(CLOCK_MONOTONIC, &t->until);
	t->until.tv_sec += END_S;
	pthread_cond_signal(&t->changed);
	pthread_mutex_unlock(&t->lock);
	pthread_join(t->writer, NULL);
	pthread_mutex_lock(&t->lock);
	t->running = false;
	pthread_mutex_unlock(&t->lock);
}
