/* fuzz_address.c - addresses, and the sources of mounts that name hosts: parsed or refused with a reason. */
#include "mount-helper/mount.h"
#include "net/address.h"
#include "tests/fuzz/fuzz.h"

#define TEXT_MAX 600u

static void check_address(const char *text)
{
	struct net_address a;
	struct sockaddr_un un;
	struct err err = ERR_INIT;
	int ret = net_address_parse(&a, text, &err);

	if (ret < 0) {
		assert(ret == -EINVAL && err.text[0] && err.next[0]);
		return;
	}
	assert(a.host[0] && strlen(a.host) < sizeof(a.host));
	if (a.local) {
		net_address_unix(&a, &un);
		assert(strcmp(un.sun_path, a.host) == 0);
	} else {
		char *end;
		unsigned long port = strtoul(a.port, &end, 10);

		assert(*end == '\0' && a.port[0] && port <= 65535);
	}
}

/* Only what cannot be a path: nothing of the file system may matter here. */
static void check_source(const char *text)
{
	struct mount_args args = { .source = { .text = text } };
	struct err err = ERR_INIT;
	int code = 0, ret;

	if (text[0] == '\0' || text[0] == '.' || strchr(text, '/'))
		return;
	ret = mount_source_resolve(&args, &code, &err);
	assert(ret == 0 || (err.text[0] && code != MOUNT_OK));
	assert(args.source.address_count <= MOUNT_ADDRESSES_MAX);
	for (size_t i = 0; ret == 0 && i < args.source.address_count; i++)
		assert(net_address_check(args.source.addresses[i], NULL) == 0);
	mount_source_release(&args.source);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char text[TEXT_MAX + 1];
	size_t len = (size_t)min_u64(size, TEXT_MAX);

	memcpy(text, data, len);
	text[len] = '\0';
	check_address(text);
	check_source(text);
	return 0;
}
