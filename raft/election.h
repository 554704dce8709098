/*
 * election.h - terms, votes and the change of role.
 *
 * A follower that hears nothing for its randomised timeout asks first whether it could win
 * (pre-vote, no term is spent), then campaigns. A leader that hears no quorum for an election
 * timeout steps down (check-quorum). Whoever heard a live leader within election_ticks ignores
 * campaigns, so a cut-off node disturbs nobody when it returns (dissertation, 4.2.3, 9.6).
 */
#ifndef RAFT_ELECTION_H
#define RAFT_ELECTION_H

#include "raft/raft_internal.h"

enum campaign { CAMPAIGN_PRE, CAMPAIGN_VOTE, CAMPAIGN_TRANSFER };

/* leader 0: unknown. A higher term forgets the vote. */
void election_become_follower(struct raft *r, uint64_t term, uint64_t leader);
/* Does nothing when self may not lead: no voter, configuration unknown, image being installed. */
void election_campaign(struct raft *r, enum campaign kind);
void election_tick(struct raft *r);
/* The (pre-)vote of self counts once the hard state is durable: call after it may have become so. */
void election_count_self(struct raft *r);
/* Something arrived from the leader of this term. */
void election_heard_leader(struct raft *r, uint64_t leader);
void election_leader_unreachable(struct raft *r);
void election_forget_leader(struct raft *r);
/* Is a campaign to be ignored because a live leader was heard within election_ticks? */
bool election_in_lease(const struct raft *r);

void election_on_vote(struct raft *r, const struct raft_message *msg);
void election_on_vote_resp(struct raft *r, const struct raft_message *msg);
void election_on_timeout_now(struct raft *r);

#endif
