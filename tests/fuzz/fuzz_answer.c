/* fuzz_answer.c - what a node answers to the quorumfs command: any JSON becomes a table. */
#include <stdio.h>

#include "ctl/ctl.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char page[65536];
	static FILE *f;
	char *text = mem_alloc(size + 1);
	struct json_object *o;

	if (!f)
		f = fmemopen(page, sizeof(page), "w");
	if (!f)
		abort();
	memcpy(text, data, size);
	text[size] = '\0';
	o = json_tokener_parse(text);
	free(text);
	(void)ctl_u64(o, "index");
	(void)ctl_str(o, "error");
	(void)ctl_bool(o, "ok");
	rewind(f);
	ctl_print_status(o, f);
	json_object_put(o);
	return 0;
}
