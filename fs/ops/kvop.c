/* kvop.c - the plain user key space: get, put, append, delete. */
#include "fs/ops/eval.h"

static int user_key(const struct fs_request *rq, struct key *k)
{
	if (rq->name_len == 0)
		return -EINVAL;
	if (rq->name_len > FS_KV_KEY_MAX)
		return -ENAMETOOLONG;
	key_user(k, rq->name, rq->name_len);
	return 0;
}

int eval_kv_get(struct eval *ev)
{
	struct key k;
	int ret = user_key(ev->rq, &k);

	if (ret == 0)
		ret = eval_get(ev, &k);
	if (ret < 0)
		return ret;
	buf_put(&ev->data, ev->row.data, ev->row.len);
	ev->reply.count = ev->row.len;
	return 0;
}

int eval_kv_put(struct eval *ev)
{
	const struct fs_request *rq = ev->rq;
	struct key k;
	int ret = user_key(rq, &k);

	if (ret < 0)
		return ret;
	if (rq->data_len > KV_VALUE_MAX)
		return -EFBIG;
	kv_txn_put(ev->txn, k.data, k.len, rq->data, rq->data_len);
	ev->reply.count = rq->data_len;
	return 0;
}

/* A key that is not there is an empty value. */
int eval_kv_append(struct eval *ev)
{
	const struct fs_request *rq = ev->rq;
	struct key k;
	int ret = user_key(rq, &k);

	if (ret == 0)
		ret = eval_get(ev, &k);
	if (ret < 0 && ret != -ENOENT)
		return ret;
	if (rq->data_len > KV_VALUE_MAX - ev->row.len)
		return -EFBIG;
	buf_put(&ev->row, rq->data, rq->data_len);
	kv_txn_put(ev->txn, k.data, k.len, ev->row.data, ev->row.len);
	ev->reply.count = ev->row.len;
	return 0;
}

int eval_kv_delete(struct eval *ev)
{
	struct key k;
	int ret = user_key(ev->rq, &k);

	if (ret == 0)
		ret = eval_get(ev, &k);
	if (ret < 0)
		return ret;
	ev->reply.count = ev->row.len;
	eval_delete(ev, &k);
	return 0;
}
