/*
 * multi.h - cases that look at one file system through three directories, call by call.
 *
 * A case runs in a process of its own, as root, with umask 022, in a directory of its own; P(m, name) is a
 * path there as mount m = 0, 1, 2 has it. What m completed, the others see in the next call: so a case makes
 * a call on one mount and checks on another. All three may be one directory of an ordinary file system, which
 * is how the cases themselves are judged. The first check that fails prints its line and ends the case.
 */
#ifndef TESTS_POSIX_MULTI_H
#define TESTS_POSIX_MULTI_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/base.h"

#define MOUNTS 3
#define ALICE 1001 /* users without rights, each in the group of the same number */
#define BOB 1002
#define STAFF 1100 /* a group of whoever become_member() makes */

struct multi_case {
	const char *name;
	void (*run)(void);
};

/* Each ends with a NULL name. */
extern const struct multi_case name_cases[], right_cases[], time_cases[], data_cases[],
	space_cases[], xattr_cases[];

/* ---- checks: each evaluates the call once ---- */

/* Not negative; the value. */
#define OK(call) check_ok(__FILE__, __LINE__, #call, (call))
/* -1 with that errno. */
#define FAILS(want, call) check_fails(__FILE__, __LINE__, #call, want, (call))
/* Equal integers. */
#define IS(want, value) check_is(__FILE__, __LINE__, #value, (int64_t)(want), (int64_t)(value))
/* True; the values that go with it are the caller's to print. */
#define TRUE(condition) check_is(__FILE__, __LINE__, #condition, 1, (condition) ? 1 : 0)
/* Ends the case as one that this file system or kernel cannot run. */
#define SKIP(why) case_skip(why)

int64_t check_ok(const char *file, int line, const char *what, int64_t got);
void check_fails(const char *file, int line, const char *what, int want, int64_t got);
void check_is(const char *file, int line, const char *what, int64_t want, int64_t got);
_Noreturn void case_skip(const char *why);

/* ---- the world of a case ---- */

/* A path of this case's directory; valid for the next 15 calls. P(m, "") is the directory itself. */
const char *P(int mount, const char *name);
bool on_fuse(void);   /* else the judge: what is documented to differ is asked of quorumfs only */
bool in_short(void); /* SHORT=1: fewer rounds of the same */
bool one_mount(void); /* all three are the same directory */

/* Effective ids and groups, and so no capabilities; the second group is 0 for none. */
void become(uid_t uid, gid_t gid, gid_t second);
void become_root(void);

/* ---- short forms ---- */

struct stat look(int mount, const char *name); /* lstat(2), which must work */
mode_t mode_of(int mount, const char *name);   /* permission bits of it */
int make_file(int mount, const char *name, const char *text,
	      mode_t mode);                                  /* with exactly that mode */
void text_is(int mount, const char *name, const char *want); /* open, read all, close */
int64_t ns_of(struct timespec ts);
void tick(void); /* until the clock that stamps files has moved */

/* Runs them at once, each in its own process; returns how many said 0. Others' results in bits of *failed. */
int race(int (*const run[])(void), size_t count, uint32_t *failed);

#endif
