/*
 * oracle.h - the three kinds of recorded behaviour, each a function from one case to its text.
 *
 * See docs/oracle.md for what is compared and what differs.
 */
#ifndef TESTS_ORACLE_ORACLE_H
#define TESTS_ORACLE_ORACLE_H

#include "tests/oracle/script.h"

struct oracle_kind {
	const char *folder;
	void *(*start)(void); /* a fresh world per script */
	void (*run)(void *world, const struct script_case *c,
		    struct buf *out); /* appends the text */
	void (*stop)(void *world);
	bool projected; /* log lines are dropped from both sides first */
};

extern const struct oracle_kind oracle_quorum, oracle_confchange, oracle_interaction;

struct raft_conf;
/* "voters=(1 2)&&(1) learners=(3) autoleave", as etcd/raft prints it. */
void oracle_put_conf(struct buf *out, const struct raft_conf *conf);

#endif
