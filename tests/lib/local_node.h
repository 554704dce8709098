/*
 * local_node.h - the smallest server for client sessions: fs_eval() on the in-memory kv, each
 * change applied at once, any number of clients in one process.
 *
 * It keeps exactly-once by the store's session table and reclaims orphans after asking every
 * client, as a node does, but has no Raft, no disk and no network: for tests of what lies above.
 */
#ifndef TESTS_LIB_LOCAL_NODE_H
#define TESTS_LIB_LOCAL_NODE_H

#include <stdatomic.h>

#include "base/base.h"
#include "fs/fs_session.h"

/* May lie in memory shared with another process, which steers by it. Indexed by enum fs_op. */
struct local_control {
	atomic_uint delay_ms[256];       /* answers wait so long */
	atomic_bool silent[256];         /* requests are lost */
	atomic_uint_fast64_t count[256]; /* requests seen */
	atomic_uint orphans;             /* left after the last round */
};

struct local_node;
struct local_channel;

struct local_node *local_node_new(struct local_control *control); /* with a root directory */
void local_node_free(struct local_node *node);                    /* after its channels */
/* fs_check() of the whole tree: 0 clean; prints what is wrong. */
int local_node_check(struct local_node *node);

extern const struct fs_channel_ops local_channel_ops;
struct local_channel *local_channel_new(struct local_node *node);
/* Starts delivering to the session. */
void local_channel_start(struct local_channel *ch, struct fs_session *session);
/* Nothing is delivered any more on return; the session may still send. */
void local_channel_stop(struct local_channel *ch);
void local_channel_free(struct local_channel *ch);

#endif
