/* init.c - makes the store of one node; see node_init() in node.h. */
#include <sodium.h>

#include "net/net.h"
#include "node/node.h"
#include "raft/raft.h"
#include "store/store.h"

/* Nodes of one fixed list must agree without talking: their cluster id is the hash of the list. */
static void derive_cluster(const struct node_init_options *o, uint8_t cluster[16])
{
	crypto_generichash_state st;

	if (o->member_count == 1) {
		randombytes_buf(cluster, 16);
		return;
	}
	crypto_generichash_init(&st, NULL, 0, 16);
	for (size_t i = 0; i < o->member_count; i++)
		crypto_generichash_update(&st, (const unsigned char *)o->addresses[i],
					  strlen(o->addresses[i]) + 1);
	crypto_generichash_final(&st, cluster, 16);
}

static int fill_conf(const struct node_init_options *o, struct raft_conf *conf, struct err *err)
{
	conf->index = 1;
	for (size_t i = 0; i < o->member_count; i++) {
		struct raft_member *m = &conf->members[conf->count++];
		int n = snprintf(m->address, sizeof(m->address), "%s", o->addresses[i]);

		if (n < 0 || (size_t)n >= sizeof(m->address))
			return err_set(err, -EINVAL, "the address '%s' is longer than %zu bytes",
				       o->addresses[i], sizeof(m->address) - 1);
		if (o->member_count > 1 && net_address_check(o->addresses[i], err) < 0)
			return -EINVAL;
		for (size_t k = 0; k < i; k++)
			if (strcmp(o->addresses[k], o->addresses[i]) == 0)
				return err_set(err, -EINVAL, "the address '%s' is given twice",
					       o->addresses[i]);
		m->id = i + 1;
		m->role = RAFT_VOTER;
	}
	return 0;
}

int node_init(const struct node_init_options *o, struct err *err)
{
	struct store_identity identity = { .group = 0, .node_id = o->node_id };
	struct raft_conf *conf = mem_calloc(1, sizeof(*conf));
	int ret = 0;

	if (sodium_init() < 0)
		ret = err_set(err, -EIO, "libsodium cannot be initialised");
	else if (o->member_count < 1 || o->member_count > 7)
		ret = err_set(err, -EINVAL, "%zu members: a cluster has 1 to 7", o->member_count);
	else if (o->node_id < 1 || o->node_id > o->member_count)
		ret = err_set(err, -EINVAL, "node number %llu is not one of 1 to %zu",
			      (unsigned long long)o->node_id, o->member_count);
	if (ret == 0)
		ret = fill_conf(o, conf, err);
	if (ret == 0) {
		if (o->cluster)
			memcpy(identity.cluster, o->cluster, sizeof(identity.cluster));
		else
			derive_cluster(o, identity.cluster);
		ret = store_init(o->dir, &identity, conf, err);
	}
	if (ret < 0)
		err_advise(err, "nothing was changed", "quorumfs init --help");
	free(conf);
	return ret;
}
