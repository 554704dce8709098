/* cmd_init.c - quorumfs init DIR. */
#include <sodium.h>

#include "ctl/ctl.h"
#include "node/node.h"
#include "store/store.h"

#define MEMBERS_MAX 7

static int parse_cluster(const char *hex, uint8_t cluster[16], struct err *err)
{
	if (strlen(hex) != 32 || sodium_hex2bin(cluster, 16, hex, 32, NULL, NULL, NULL) != 0)
		return err_set(err, -EINVAL, "the cluster '%s' is not 32 hex digits", hex);
	return 0;
}

static size_t split_members(char *list, const char *addresses[MEMBERS_MAX + 1])
{
	size_t count = 0;

	while (list && count <= MEMBERS_MAX) {
		char *comma = strchr(list, ',');

		if (comma)
			*comma = '\0';
		addresses[count++] = list;
		list = comma ? comma + 1 : NULL;
	}
	return count;
}

static void report_json(const char *dir, const struct node_init_options *o)
{
	struct json_object *j = json_object_new_object();
	struct store_identity id;
	char hex[33];

	ctl_put_text(j, "dir", dir, strlen(dir));
	json_object_object_add(j, "node", json_object_new_uint64(o->node_id));
	json_object_object_add(j, "members", json_object_new_uint64(o->member_count));
	if (store_identify(dir, 0, &id, NULL) == 0) {
		sodium_bin2hex(hex, sizeof(hex), id.cluster, sizeof(id.cluster));
		json_object_object_add(j, "cluster", json_object_new_string(hex));
	}
	ctl_print_json(j);
	json_object_put(j);
}

static void report(const char *dir, const struct node_init_options *o)
{
	struct store_identity id;
	struct err err = ERR_INIT;

	printf("made a store in %s: node %llu of %zu", dir, (unsigned long long)o->node_id,
	       o->member_count);
	if (store_identify(dir, 0, &id, &err) == 0) {
		printf(", cluster ");
		for (size_t i = 0; i < sizeof(id.cluster); i++)
			printf("%02x", id.cluster[i]);
	}
	printf("\nsurvives: %zu machine failures\n", (o->member_count - 1) / 2);
	if (o->member_count == 1)
		printf("next: mount -t quorumfs %s DIR     (or serve it: quorumfsd %s)\n", dir, dir);
	else
		printf("next: quorumfs init with the same --members on the other machines,\n"
		       "      then on each: quorumfsd %s\n", dir);
}

int cmd_init(const struct ctl_args *args)
{
	const char *addresses[MEMBERS_MAX + 1] = { "" };
	char *list = args->members ? mem_strdup(args->members) : NULL;
	struct node_init_options o = {
		.dir = args->operands[0],
		.node_id = args->id,
		.addresses = addresses,
		.member_count = 1,
	};
	uint8_t cluster[16];
	struct err err = ERR_INIT;
	int ret = 0;

	if (list)
		o.member_count = split_members(list, addresses);
	if (args->cluster) {
		ret = parse_cluster(args->cluster, cluster, &err);
		o.cluster = cluster;
	}
	if (ret == 0)
		ret = node_init(&o, &err);
	free(list);
	if (ret < 0)
		return ctl_fail(&err);
	if (args->json)
		report_json(args->operands[0], &o);
	else
		report(args->operands[0], &o);
	return CTL_OK;
}
