/* rig_client.h - the rig's clients as the rest of the rig sees them. */
#ifndef TESTS_UNIT_NODE_RIG_CLIENT_H
#define TESTS_UNIT_NODE_RIG_CLIENT_H

#include "tests/unit/node/node_rig.h"

void rig_client_deliver(struct rig *rig, uint64_t client_id, struct buf *payload); /* taken */
void rig_client_read(struct rig_client *c); /* the first message of its inbox */
void rig_clients_tick(struct rig *rig);     /* ALIVE of holders */
void rig_clients_of_dead_node(struct rig *rig, const struct rig_node *node);
void rig_clients_release(struct rig *rig);

#endif
