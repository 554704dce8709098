/* fuzz_hello.c - arbitrary bytes as HELLO and as REFUSED, and as the first answer of a node. */
#include "net/frame.h"
#include "tests/fuzz/fuzz.h"

static void check_hello(const uint8_t *data, size_t size)
{
	struct buf again = BUF_INIT;
	struct net_hello hello;

	if (net_hello_decode(&hello, data, size) < 0)
		return;
	net_hello_encode(&hello, &again);
	fuzz_same(&again, data, size);
}

/* Whatever another program says ends up as an error that can be printed on a terminal. */
static void check_refused(const uint8_t *data, size_t size)
{
	struct buf again = BUF_INIT;
	struct err why, back;
	int ret = net_refused_decode(&why, data, size);

	assert(ret < 0 && why.code == ret);
	for (const char *p = why.text; *p; p++)
		assert((unsigned char)*p >= ' ' && *p != 0x7f);
	net_refused_encode(&why, &again);
	assert(net_refused_decode(&back, again.data, again.len) == why.code);
	assert(strcmp(back.text, why.text) == 0 && strcmp(back.next, why.next) == 0);
	buf_release(&again);
}

static void check_answer(const uint8_t *data, size_t size)
{
	struct net_hello said = { .role = NET_ROLE_PEER, .cluster = { 7 }, .to_node_id = 2 };
	struct net_frame_header h = { .type = NET_HELLO_OK, .cluster = { 7 } };
	struct net_hello answer;

	h.payload_len = (uint32_t)size;
	if (net_answer_check(&said, &h, data, "there", &answer, NULL) == 0)
		assert(answer.node_id == 2 && answer.group == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_hello(data, size);
	check_refused(data, size);
	check_answer(data, size);
	return 0;
}
