/*
 * snapshot.h - images: offering ours, taking theirs.
 *
 * Receiver: IDLE -> FETCHING (offer taken, the owner pulls) -> WAITING (sealed here; what was handed
 * out for apply and persist drains) -> INSTALLING (the owner flips) -> IDLE. From WAITING on nothing
 * is handed out for apply and no append is taken, so that at the flip the state, the log on disk
 * and the log in memory agree. An offer that is no news only moves commit.
 */
#ifndef RAFT_SNAPSHOT_H
#define RAFT_SNAPSHOT_H

#include "raft/raft_internal.h"

/* leader */
bool snapshot_offer_to(struct raft *r, struct progress *p); /* true: an offer was sent */
void snapshot_offer_again(struct raft *r,
			  struct progress *p); /* when the last one brought no news */
void snapshot_on_resp(struct raft *r, const struct raft_message *msg);
void snapshot_on_progress(struct raft *r, uint64_t peer);

/* receiver */
bool snapshot_busy(const struct raft *r);
void snapshot_on_offer(struct raft *r, const struct raft_message *msg);
void snapshot_on_received(struct raft *r, const struct raft_snapshot_meta *meta);
void snapshot_on_failed(struct raft *r, const struct raft_snapshot_meta *meta);
void snapshot_on_installed(struct raft *r, const struct raft_snapshot_meta *meta, int result);
void snapshot_recheck(struct raft *r); /* drops a fetch that the log has overtaken */
void snapshot_try_install(struct raft *r);

/* both */
bool snapshot_meta_equal(const struct raft_snapshot_meta *a, const struct raft_snapshot_meta *b);
void snapshot_on_created(struct raft *r, const struct raft_snapshot_meta *meta);
/* How far the log may be cut now; at most base_index when there is nothing to cut. */
uint64_t snapshot_cut_limit(const struct raft *r);

#endif
