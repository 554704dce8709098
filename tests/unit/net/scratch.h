/* scratch.h - group setup and teardown: sockets go to a directory of the run's own. */
#ifndef TESTS_NET_SCRATCH_H
#define TESTS_NET_SCRATCH_H

#include <unistd.h>

static char scratch_dir[] = "/tmp/qfs-net-test-XXXXXX";

static inline int scratch_enter(void **state)
{
	return mkdtemp(scratch_dir) && chdir(scratch_dir) == 0 ? 0 : -1;
}

static inline int scratch_leave(void **state)
{
	/* Fails when a test left a file behind, which is worth knowing. */
	return chdir("/") == 0 && rmdir(scratch_dir) == 0 ? 0 : -1;
}

#endif
