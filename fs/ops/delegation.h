/*
 * delegation.h - write delegations in the state: one row for each, none but of regular files, and one row that
 * counts them for each session.
 *
 * Who has one may gather writes before they are logged, so until it ends nobody else may see or change the inode:
 * whatever loads it is EVAL_BLOCKED, with the delegation named, and evaluated again when the row is gone. The leader
 * recalls what blocks. The holder's own requests pass; it orders them and what it gathers by itself.
 *
 * Granted in the entry of a CREATE, TMPFILE or WRITE that asks. Ends with an entry of its holder, with its session,
 * with the inode, or revoked. The number is the grant's own, so that nothing gathered under it can be taken for
 * something that a later one covers.
 *
 * Reserved bytes are counted wherever the state is about to grow: what is gathered finds room whatever others
 * wrote meanwhile. What is flushed while room is short uses its reservation up; else the same bytes may be
 * gathered anew.
 */
#ifndef FS_OPS_DELEGATION_H
#define FS_OPS_DELEGATION_H

#include "fs/ops/inode.h"

#define DELEGATIONS_MAX 16384u /* in all, so that they fit into the entry that ends their sessions */

/* n was loaded, and is delegated: 0 if the request may go on, EVAL_BLOCKED, or the store's errors. */
int delegation_pass(struct eval *ev, const struct inode *n);
/*
 * After everything else of a request that made or wrote n, and stored it: delegates it if that was asked for and may
 * be, with reply.delegation saying so. 0 or the store's errors.
 */
int delegation_grant(struct eval *ev, struct inode *n);
/* n's ends; n is not stored. 0 or the store's errors. */
int delegation_end(struct eval *ev, struct inode *n);
/* -ENOSPC: what room there is has been promised to delegations. */
int delegation_leaves_room(struct eval *ev);
/* Sessions end, named as in FS_SESSION_END. 0 or the store's errors. */
int delegation_sessions_gone(struct eval *ev, const uint8_t *names, size_t count);

/* fs_check() of what is counted: text to out, *problems counts. 0 or the store's errors. */
int delegation_check(struct kv_txn *txn, struct buf *out, unsigned *problems);

#endif
