/*
 * json_get.c - json_get KEY... prints the value below these keys (or numbers, in arrays) of the JSON on
 * standard input. Exit 1: there is no such value; 2: it is no JSON, or more than one.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	static char text[1 << 20];
	size_t len = fread(text, 1, sizeof(text) - 1, stdin);
	struct json_tokener *tok = json_tokener_new();
	struct json_object *o, *at;

	json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	at = o = json_tokener_parse_ex(tok, text, (int)len + 1);
	if (!o || json_tokener_get_parse_end(tok) < len)
		return 2;
	for (int i = 1; i < argc; i++) {
		struct json_object *next = NULL;

		if (json_object_is_type(at, json_type_array))
			next = json_object_array_get_idx(at, (size_t)strtoul(argv[i], NULL, 10));
		else
			json_object_object_get_ex(at, argv[i], &next);
		if (!next)
			return 1;
		at = next;
	}
	puts(json_object_get_string(at));
	json_object_put(o);
	json_tokener_free(tok);
	return 0;
}
