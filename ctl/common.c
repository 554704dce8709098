/* common.c - what the verbs share: addresses, admin requests, failures. */
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
