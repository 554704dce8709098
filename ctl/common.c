/* common.c - what the verbs share: addresses, admin requests, failures. */
#include <sodium.h>
#include <sys/stat.h>

#include "ctl/ctl.h"
#include "net/net.h"

int ctl_fail(struct err *err)
{
	int code = CTL_FAILED;

	switch (-err->code) {
	case ECONNREFUSED:
	case ENOENT:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case ENOTCONN:
	case ENOTSOCK:
		code = CTL_UNREACHABLE;
		break;
	case ETIMEDOUT:
		code = CTL_NO_QUORUM;
		break;
	case EXDEV:
	case EPERM:
	case EACCES:
		code = CTL_REFUSED;
		break;
	case EUCLEAN:
		code = CTL_DAMAGED;
		break;
	case EINVAL:
		code = CTL_USAGE;
		break;
	default:
		break;
	}
	err_advise(err, "nothing was changed", "quorumfs help");
	err_print(err, "quorumfs");
	return code;
}

void ctl_address(const char *node, char *out, size_t len)
{
	struct stat st;

	if (!node)
		node = getenv("QUORUMFS_NODE");
	if (!node)
		node = "/var/lib/quorumfs";
	if (strncmp(node, "unix:", 5) == 0)
		snprintf(out, len, "%s", node);
	else if (stat(node, &st) == 0 && S_ISDIR(st.st_mode))
		snprintf(out, len, "unix:%s/node.sock", node);
	else if (strchr(node, '/'))
		snprintf(out, len, "unix:%s", node);
	else
		snprintf(out, len, "%s", node);
}

int ctl_probe(const struct ctl_args *args, struct err *err)
{
	struct net_hello hello = { .role = NET_ROLE_ADMIN };
	struct net_hello answer;
	struct net_call *call = NULL;
	char address[256];
	int ret;

	ctl_address(args->node, address, sizeof(address));
	ret = net_call_open(address, &hello, (uint32_t)args->timeout_ms, &call, &answer, err);
	net_call_close(call);
	return ret;
}

int ctl_admin(const struct ctl_args *args, const char *request, struct json_object **answer,
	      struct err *err)
{
	struct net_hello hello = { .role = NET_ROLE_ADMIN };
	struct net_hello other;
	struct net_call *call = NULL;
	struct buf reply = BUF_INIT;
	char address[256];
	int ret;

	ctl_address(args->node, address, sizeof(address));
	ret = net_call_open(address, &hello, (uint32_t)args->timeout_ms, &call, &other, err);
	if (ret == 0)
		ret = net_call(call, NET_ADMIN, request, strlen(request), NET_ADMIN_REPLY, &reply, err);
	if (ret == 0) {
		buf_put_u8(&reply, 0);
		*answer = json_tokener_parse((const char *)reply.data);
		if (!*answer)
			ret = err_set(err, -EPROTO, "the node at '%s' answered no JSON", address);
	}
	if (ret == 0 && !ctl_bool(*answer, "ok")) {
		ret = err_set(err, -EIO, "%s", ctl_str(*answer, "error"));
		err_advise(err, ctl_str(*answer, "still_works"), "%s", ctl_str(*answer, "next"));
		json_object_put(*answer);
		*answer = NULL;
	}
	net_call_close(call);
	buf_release(&reply);
	return ret;
}

uint64_t ctl_u64(struct json_object *o, const char *name)
{
	struct json_object *v;

	return json_object_object_get_ex(o, name, &v) ? json_object_get_uint64(v) : 0;
}

const char *ctl_str(struct json_object *o, const char *name)
{
	struct json_object *v;
	const char *s = json_object_object_get_ex(o, name, &v) ? json_object_get_string(v) : NULL;

	return s ? s : "";
}

bool ctl_bool(struct json_object *o, const char *name)
{
	struct json_object *v;

	return json_object_object_get_ex(o, name, &v) && json_object_get_boolean(v);
}

/* Length of the UTF-8 sequence at p, 0 if it is none: RFC 3629, neither overlong nor a surrogate. */
static size_t utf8_len(const uint8_t *p, size_t left)
{
	static const uint32_t lowest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len = p[0] < 0x80 ? 1 : p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	uint32_t code = len == 1 ? p[0] : p[0] & (0x7fu >> len);

	if ((p[0] & 0xc0) == 0x80 || p[0] >= 0xf8 || len > left)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (p[i] & 0x3f);
	}
	return code < lowest[len] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? 0 : len;
}

static bool is_utf8(const uint8_t *p, size_t left)
{
	while (left > 0) {
		size_t len = utf8_len(p, left);

		if (len == 0)
			return false;
		p += len;
		left -= len;
	}
	return true;
}

void ctl_put_text(struct json_object *o, const char *name, const void *data, size_t len)
{
	char other[64];
	size_t room = sodium_base64_encoded_len(len, sodium_base64_VARIANT_ORIGINAL);
	char *base64;

	if (is_utf8(data, len)) {
		json_object_object_add(o, name, json_object_new_string_len(len > 0 ? data : "", (int)len));
		return;
	}
	base64 = mem_alloc(room);
	sodium_bin2base64(base64, room, data, len, sodium_base64_VARIANT_ORIGINAL);
	snprintf(other, sizeof(other), "%s_base64", name);
	json_object_object_add(o, other, json_object_new_string(base64));
	free(base64);
}

void ctl_print_json(struct json_object *o)
{
	printf("%s\n", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY));
}
