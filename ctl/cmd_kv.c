/* cmd_kv.c - kv get, put, append, delete: one session, one operation, through any node. */
#include <sodium.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "fs/fs_session.h"
#include "node/node.h"

static int kv_call(const struct ctl_args *args, const struct fs_request *rq, struct fs_reply *reply,
		   struct buf *hold)
{
	struct fs_session_options so = { .timeo_ms = (uint32_t)args->timeout_ms };
	struct node_remote *remote;
	struct fs_session *session;
	char address[256];
	const char *list[] = { address };
	struct err err = ERR_INIT;
	int ret;

	ctl_address(args->node, address, sizeof(address));
	if (sodium_init() < 0 || ctl_probe(args, &err) < 0)
		return ctl_fail(&err);
	randombytes_buf(so.uuid, sizeof(so.uuid));
	remote = node_remote_new();
	session = fs_session_new(&so, &node_remote_ops, remote);
	node_remote_attach(remote, session, so.uuid, list, 1);
	ret = fs_session_call(session, rq, reply, hold);
	node_remote_mute(remote);
	fs_session_free(session);
	node_remote_free(remote);
	if (ret == 0)
		return CTL_OK;
	err_set(&err, ret, ret == -ENOENT ? "there is no key '%s'" : ret == -ETIMEDOUT ?
			"no answer about key '%s': no quorum" : "the operation on key '%s' failed",
		args->operands[0]);
	if (ret == -ENOENT) {
		err_advise(&err, "all other keys", "quorumfs kv put %s VALUE", args->operands[0]);
		err_print(&err, "quorumfs");
		return CTL_FAILED;
	}
	err_advise(&err, "nothing is lost; a change may still take effect", "quorumfs status");
	return ctl_fail(&err);
}

static struct fs_request request(uint8_t op, const struct ctl_args *args)
{
	return (struct fs_request){
		.op = op,
		.name = args->operands[0],
		.name_len = strlen(args->operands[0]),
	};
}

int cmd_kv_get(const struct ctl_args *args)
{
	struct fs_request rq = request(FS_KV_GET, args);
	struct buf hold = BUF_INIT;
	struct fs_reply reply;
	int code = kv_call(args, &rq, &reply, &hold);

	if (code == CTL_OK && args->json) {
		struct json_object *o = json_object_new_object();

		ctl_put_text(o, "key", args->operands[0], strlen(args->operands[0]));
		ctl_put_text(o, "value", reply.data, reply.data_len);
		ctl_print_json(o);
		json_object_put(o);
	} else if (code == CTL_OK) {
		fwrite(reply.data, 1, reply.data_len, stdout);
		if (isatty(STDOUT_FILENO))
			fputc('\n', stdout);
	}
	buf_release(&hold);
	return code;
}

static int read_stdin(struct buf *value, struct err *err)
{
	for (;;) {
		ssize_t n;

		buf_reserve(value, 65536);
		n = read(STDIN_FILENO, value->data + value->len, 65536);
		if (n < 0)
			return err_set(err, -errno, "cannot read standard input: %s", strerror(errno));
		if (n == 0)
			return 0;
		value->len += (size_t)n;
		if (value->len > KV_VALUE_MAX)
			return err_set(err, -EFBIG, "the value is longer than %d bytes", KV_VALUE_MAX);
	}
}

static int kv_change(const struct ctl_args *args, uint8_t op)
{
	struct fs_request rq = request(op, args);
	struct buf hold = BUF_INIT, value = BUF_INIT;
	struct err err = ERR_INIT;
	struct fs_reply reply;
	int ret = 0, code;

	if (op != FS_KV_DELETE && args->operand_count > 1)
		buf_put(&value, args->operands[1], strlen(args->operands[1]));
	else if (op != FS_KV_DELETE)
		ret = read_stdin(&value, &err);
	rq.data = value.data;
	rq.data_len = value.len;
	code = ret < 0 ? ctl_fail(&err) : kv_call(args, &rq, &reply, &hold);
	if (code == CTL_OK && args->json) {
		struct json_object *o = json_object_new_object();

		ctl_put_text(o, "key", args->operands[0], strlen(args->operands[0]));
		if (op != FS_KV_DELETE)
			json_object_object_add(o, "length", json_object_new_uint64(reply.count));
		ctl_print_json(o);
		json_object_put(o);
	}
	buf_release(&value);
	buf_release(&hold);
	return code;
}

int cmd_kv_put(const struct ctl_args *args)
{
	return kv_change(args, FS_KV_PUT);
}

int cmd_kv_append(const struct ctl_args *args)
{
	return kv_change(args, FS_KV_APPEND);
}

int cmd_kv_delete(const struct ctl_args *args)
{
	return kv_change(args, FS_KV_DELETE);
}
