/* fuzz_admin.c - admin requests: whatever a local process writes into the socket. */
#include <json-c/json.h>

#include "node/node_internal.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *exact = mem_dup(data, size); /* no NUL behind it, as in a frame */
	const char *verb;
	struct json_object *o = admin_parse(exact, size, &verb);
	struct json_object *field = NULL;

	free(exact); /* nothing of the answer may point there */
	assert(verb != NULL && (o != NULL || verb[0] == '\0'));
	assert(strlen(verb) <= size);
	if (json_object_object_get_ex(o, "to", &field))
		(void)json_object_get_uint64(field);
	if (json_object_object_get_ex(o, "tree", &field))
		(void)json_object_get_boolean(field);
	json_object_put(o);
	return 0;
}
