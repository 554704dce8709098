/* limits.h - how many descriptors this process may have. */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

#include "base/base.h"

/* Below this a node says at its start that it may have too few. */
#define LIMITS_FILES_PLENTY 1024u

/**
 * limits_raise_files() - raise the soft limit of descriptors to the hard one, which is the administrator's.
 *
 * Return: the limit now in force. Call it before threads start; children inherit it. Source: setrlimit(2).
 */
uint64_t limits_raise_files(void);
/* The limit in force. Any thread. */
uint64_t limits_files(void);
/*
 * Descriptors are given lowest first, so the number of a new one tells how many there are. True when fd is one of
 * the last, which are kept for the files of the process itself: a quarter of limit, at most 64.
 */
bool limits_is_last_files(uint64_t limit, int fd);

#endif
