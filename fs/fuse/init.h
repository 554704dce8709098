/*
 * init.h - talking to /dev/fuse ourselves, for the sake of one reply.
 *
 * libfuse 3.14 never sends some INIT flags that it says it wants (FUSE reference, section 0, facts
 * 1 to 4). With fuse_session_custom_io() every byte passes here: the INIT request tells what the
 * kernel offers, its reply gets PARALLEL_DIROPS and HANDLE_KILLPRIV_V2 added, and what ACLs need. Never SETXATTR_EXT:
 * libfuse would parse the longer header wrongly.
 */
#ifndef FS_FUSE_INIT_H
#define FS_FUSE_INIT_H

#include <fuse3/fuse_lowlevel.h>
#include <stdatomic.h>

#include "base/base.h"

struct init_patch {
	atomic_bool done;           /* INIT was answered; nothing more to look at */
	uint64_t unique;            /* of the INIT request; 0 until it was read */
	uint32_t offered;           /* flags in it */
	uint32_t offered2;          /* flags2 of the same */
	uint32_t answered;          /* flags in our reply, for the log and tests */
	bool maps_direct;           /* files opened for direct I/O can be mapped shared (Linux 6.6) */
	void (*started)(void *ctx); /* called once, after the reply has left; may be NULL */
	void *ctx;
};

/* The session's userdata must be a struct fs_fuse. 0 or a negative errno; takes fd on success. */
int init_use_custom_io(struct fuse_session *se, int fd);

#endif
