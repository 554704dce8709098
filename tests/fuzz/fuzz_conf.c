/*
 * fuzz_conf.c - configurations and changes of them: refused, or what encodes to the same bytes; and any
 * sequence of changes leads from a valid configuration to a valid one, or is refused.
 */
#include "raft/membership.h"
#include "tests/fuzz/fuzz.h"

static void check_conf(const uint8_t *data, size_t size)
{
	struct buf again = BUF_INIT;
	struct raft_conf conf;

	if (raft_conf_decode(&conf, data, size) < 0)
		return;
	raft_conf_encode(&conf, &again);
	fuzz_same(&again, data, size);
}

static void check_change(const uint8_t *data, size_t size)
{
	struct buf again = BUF_INIT;
	struct raft_conf_change change;

	if (raft_conf_change_decode(&change, data, size) < 0)
		return;
	raft_conf_change_encode(&change, &again);
	fuzz_same(&again, data, size);
}

static void take_change(struct cursor *c, struct raft_conf_change *change)
{
	*change = (struct raft_conf_change){ .transition = 1 + cursor_u8(c) % 4,
					     .count = cursor_u8(c) % 5 };
	if (change->transition == RAFT_LEAVE_JOINT)
		change->count = 0;
	for (size_t i = 0; i < change->count; i++) {
		uint8_t byte = cursor_u8(c);

		change->v[i].id = byte % 8;
		change->v[i].op = 1 + byte / 8 % 4;
		if (byte & 128)
			memcpy(change->v[i].address, "h:1", 4);
	}
}

static void check_sequence(struct cursor *c)
{
	struct raft_conf conf = { .count = 1, .members = { { .id = 1, .role = RAFT_VOTER } } };

	for (int i = 0; i < 12 && cursor_left(c) > 0; i++) {
		struct raft_conf_change change;
		struct raft_conf before = conf;
		struct raft_conf next;

		take_change(c, &change);
		if (raft_conf_change(&conf, &change, &next, NULL) < 0) {
			assert(memcmp(&before, &conf, sizeof(conf)) == 0);
			continue;
		}
		assert(conf_valid(&next));
		conf = next;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_init(data, size);

	check_conf(data, size);
	check_change(data, size);
	check_sequence(&c);
	return 0;
}
