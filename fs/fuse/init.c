/* init.c - see init.h. INIT is the first request and comes alone: one thread at a time is here. */
#include "fs/fuse/init.h"

#include <linux/fuse.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fs/fuse/front.h"

#define INIT_ADD_FLAGS (FUSE_PARALLEL_DIROPS | FUSE_HANDLE_KILLPRIV_V2)
/* With ACLs a directory may say what the umask would: the kernel leaves applying it to us. */
#define INIT_ACL_FLAGS (FUSE_POSIX_ACL | FUSE_DONT_MASK)
/* Shared mappings of files that are opened for direct I/O; bit 36, since 7.39, so not in our header. */
#define DIRECT_IO_ALLOW_MMAP (1ull << 36)
#define INIT_ADD_FLAGS2 ((uint32_t)(DIRECT_IO_ALLOW_MMAP >> 32))

/*
 * Where a directory below the root is mounted, the kernel's number of it is not ours: 1, in a header or as the
 * directory that gets a name.
 */
static void root_in(uint64_t root, void *request, size_t len)
{
	struct fuse_in_header *in = request;
	void *body = in + 1;
	uint64_t *other = NULL;

	if (in->nodeid == FUSE_ROOT_ID)
		in->nodeid = root;
	if (in->opcode == FUSE_RENAME && len >= sizeof(*in) + sizeof(struct fuse_rename_in))
		other = &((struct fuse_rename_in *)body)->newdir;
	if (in->opcode == FUSE_RENAME2 && len >= sizeof(*in) + sizeof(struct fuse_rename2_in))
		other = &((struct fuse_rename2_in *)body)->newdir;
	if (other && *other == FUSE_ROOT_ID)
		*other = root;
}

/*
 * libfuse 3.14 does not know TMPFILE and would answer ENOSYS. Request and reply are those of CREATE, but for
 * the name, which the kernel gives as "/": what no CREATE has.
 *
 * May be cancelled by libfuse while it waits in read(): nothing is held there.
 */
static ssize_t custom_read(int fd, void *buf, size_t buf_len, void *userdata)
{
	struct init_patch *p = &((struct fs_fuse *)userdata)->init;
	ssize_t n = read(fd, buf, buf_len);
	const struct fuse_in_header *in = buf;

	if (!atomic_load_explicit(&p->done, memory_order_relaxed) &&
	    n >= (ssize_t)(sizeof(*in) + sizeof(struct fuse_init_in)) && in->opcode == FUSE_INIT) {
		const struct fuse_init_in *init = (const void *)(in + 1);

		p->unique = in->unique;
		p->offered = init->flags;
		p->offered2 = init->flags & FUSE_INIT_EXT ? init->flags2 : 0;
	}
	if (n >= (ssize_t)sizeof(*in) && in->opcode == FUSE_TMPFILE)
		((struct fuse_in_header *)buf)->opcode = FUSE_CREATE;
	if (n >= (ssize_t)sizeof(*in))
		root_in(((struct fs_fuse *)userdata)->options.root_ino, buf, (size_t)n);
	return n;
}

static void init_answered(struct fs_fuse *fuse)
{
	atomic_store(&fuse->init.done, true);
	mount_set_readahead(&fuse->mount, fuse->options.readahead);
	if (fuse->init.started)
		fuse->init.started(fuse->init.ctx);
}

static ssize_t custom_writev(int fd, struct iovec *iov, int count, void *userdata)
{
	struct fs_fuse *fuse = userdata;
	struct init_patch *p = &fuse->init;
	const struct fuse_out_header *out = iov[0].iov_base;
	struct fuse_init_out init;

	if (atomic_load_explicit(&p->done, memory_order_relaxed) || p->unique == 0 ||
	    out->unique != p->unique || out->error != 0 || count != 2 ||
	    iov[1].iov_len > sizeof(init))
		return writev(fd, iov, count);
	memset(&init, 0, sizeof(init));
	memcpy(&init, iov[1].iov_base, iov[1].iov_len);
	init.flags |= INIT_ADD_FLAGS & p->offered;
	if (!fuse->options.no_acl)
		init.flags |= INIT_ACL_FLAGS & p->offered;
	if (init.flags & FUSE_INIT_EXT)
		init.flags2 |= INIT_ADD_FLAGS2 & p->offered2;
	p->maps_direct = (init.flags & FUSE_INIT_EXT) && (init.flags2 & INIT_ADD_FLAGS2);
	p->answered = init.flags;
	struct iovec patched[2] = { iov[0], { .iov_base = &init, .iov_len = iov[1].iov_len } };
	ssize_t n = writev(fd, patched, 2);

	if (n >= 0)
		init_answered(fuse);
	return n;
}

int init_use_custom_io(struct fuse_session *se, int fd)
{
	static const struct fuse_custom_io io = { .read = custom_read, .writev = custom_writev };

	return fuse_session_custom_io(se, &io, fd);
}
