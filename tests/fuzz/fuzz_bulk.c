/* fuzz_bulk.c - what a node that pulls a snapshot asks, and what the source answers. */
#include "node/fetch.h"
#include "tests/fuzz/fuzz.h"

static void check_request(const uint8_t *data, size_t size)
{
	struct buf again = BUF_INIT;
	struct job_bulk bulk;

	if (bulk_request_decode(&bulk, data, size) < 0)
		return;
	bulk_request_encode(&bulk, &again);
	fuzz_same(&again, data, size);
}

static void check_reply(const uint8_t *data, size_t size)
{
	struct job_bulk bulk = { .number = 0 };
	struct buf out = BUF_INIT, again = BUF_INIT;
	struct err err = ERR_INIT;
	int ret = bulk_reply_decode(data, size, &out, &err);

	assert(ret == err.code && ret <= 0 && ret >= -4095);
	for (const char *p = err.text; *p; p++)
		assert((unsigned char)*p >= ' ' && *p != 0x7f);
	if (ret == 0) {
		bulk.reply = out;
		bulk_reply_encode(&bulk, &again);
		fuzz_same(&again, data, size);
	}
	buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_request(data, size);
	check_reply(data, size);
	return 0;
}
