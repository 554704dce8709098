/* board.c - see fs_board.h. */
#include "fs/fs_board.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BOARD_MAGIC 0x0001647261627371ull /* "qsbard", version 1 */

static void owner_init(pthread_mutex_t *owner)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(owner, &attr);
	pthread_mutexattr_destroy(&attr);
}

struct fs_board *fs_board_new(uint64_t last_index, int *fd, struct err *err)
{
	struct fs_board *b = MAP_FAILED;

	if (!fd)
		b = mmap(NULL, sizeof(*b), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	else
		*fd = memfd_create("quorumfs-board", MFD_CLOEXEC);
	if (fd && *fd >= 0 && ftruncate(*fd, sizeof(*b)) == 0)
		b = mmap(NULL, sizeof(*b), PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	if (b == MAP_FAILED) {
		err_set(err, -errno, "no memory to share with mounts: %s", strerror(errno));
		if (fd && *fd >= 0)
			close(*fd);
		if (fd)
			*fd = -1;
		return NULL;
	}
	owner_init(&b->owner);
	randombytes_buf(&b->nonce, sizeof(b->nonce));
	fs_board_note_all(b, last_index);
	b->magic = BOARD_MAGIC;
	return b;
}

void fs_board_own(struct fs_board *b)
{
	(void)pthread_mutex_lock(&b->owner);
}

void fs_board_disown(struct fs_board *b)
{
	fs_board_set_until(b, 0);
	(void)pthread_mutex_unlock(&b->owner);
}

void fs_board_close(struct fs_board *b)
{
	if (b)
		(void)munmap(b, sizeof(*b));
}

void fs_board_note(struct fs_board *b, const struct kv_mutation *m, uint64_t index)
{
	uint32_t slot;

	if (fs_mutation_slot(m, &slot))
		atomic_store_explicit(&b->changed[slot], index, memory_order_release);
}

void fs_board_note_all(struct fs_board *b, uint64_t index)
{
	for (uint32_t i = 0; i < FS_SLOTS; i++)
		atomic_store_explicit(&b->changed[i], index, memory_order_release);
}

void fs_board_set_until(struct fs_board *b, uint64_t until_ns)
{
	atomic_store_explicit(&b->until_ns, until_ns, memory_order_release);
}

/* ---- mounts --------------------------------------------------------------------------------------- */

static bool same_clock(int pid)
{
	struct stat mine, its;
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/time", pid);
	return stat("/proc/self/ns/time", &mine) == 0 && stat(path, &its) == 0 &&
	       mine.st_ino == its.st_ino && mine.st_dev == its.st_dev;
}

int fs_board_open(int pid, int fd, uint64_t nonce, struct fs_board **board)
{
	struct fs_board *b;
	struct stat st;
	char path[64];
	int own, ret;

	if (!same_clock(pid))
		return -EXDEV;
	(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
	own = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (own < 0)
		return -errno;
	if (fstat(own, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size != sizeof(*b)) {
		close(own);
		return -ESTALE;
	}
	b = mmap(NULL, sizeof(*b), PROT_READ | PROT_WRITE, MAP_SHARED, own, 0);
	ret = b == MAP_FAILED ? -errno : 0;
	close(own);
	if (ret < 0)
		return ret;
	if (b->magic != BOARD_MAGIC || b->nonce != nonce) {
		fs_board_close(b);
		return -ESTALE;
	}
	*board = b;
	return 0;
}

/* Whoever can have it, or has it because its owner died, need not have tried. */
static bool owner_lives(struct fs_board *b)
{
	int ret = pthread_mutex_trylock(&b->owner);

	if (ret == 0 || ret == EOWNERDEAD)
		(void)pthread_mutex_unlock(&b->owner);
	return ret == EBUSY;
}

bool fs_board_speaks(struct fs_board *b, uint64_t (*boot_ns)(void))
{
	/* The lease first: at that moment it lasts, if it does now, and slots that are looked at later only grow. */
	uint64_t until_ns = atomic_load_explicit(&b->until_ns, memory_order_acquire);

	return boot_ns() < until_ns && owner_lives(b);
}

uint64_t fs_board_changed(const struct fs_board *b, uint32_t slot)
{
	return atomic_load_explicit(&b->changed[slot], memory_order_acquire);
}
