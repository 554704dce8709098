/* limits.c - see limits.h. */
#include "base/limits.h"

#include <sys/resource.h>

#define KEPT_MAX 64u

uint64_t limits_raise_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit); /* what holds then is read below */
	}
	return limits_files();
}

uint64_t limits_files(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 0;
}

bool limits_is_last_files(uint64_t limit, int fd)
{
	uint64_t kept = limit / 4 < KEPT_MAX ? limit / 4 : KEPT_MAX;

	return fd >= 0 && (uint64_t)fd >= limit - kept;
}
