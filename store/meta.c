/* meta.c - the meta row: where a state stands. */
#include "base/cursor.h"
#include "base/hash.h"
#include "store/kv.h"

#define META_VERSION 2

/*
 * Meta row. Little-endian.                     off  size
 *   version, now 2                               0    1
 *   cluster                                      1   16
 *   group                                       17    4
 *   applied_index                               21    8
 *   applied_term                                29    8
 *   digest                                      37   32
 *   log_ms                                      69    8
 *   begin_floor                                 77    8
 *   session_count                               85    8
 *   index of the configuration's entry          93    8
 *   configuration: length, raft_conf_encode()  101    2 + n
 *   XXH3 of all before                               8
 */
void kv_meta_encode(const struct kv_meta *meta, struct buf *out)
{
	size_t start = out->len;
	struct buf conf = BUF_INIT;

	raft_conf_encode(&meta->conf, &conf);
	buf_put_u8(out, META_VERSION);
	buf_put(out, meta->cluster, sizeof(meta->cluster));
	buf_put_le32(out, meta->group);
	buf_put_le64(out, meta->applied_index);
	buf_put_le64(out, meta->applied_term);
	buf_put(out, meta->digest, sizeof(meta->digest));
	buf_put_le64(out, meta->log_ms);
	buf_put_le64(out, meta->begin_floor);
	buf_put_le64(out, meta->session_count);
	buf_put_le64(out, meta->conf.index);
	buf_put_bytes16(out, conf.data, conf.len);
	buf_put_le64(out, hash64(out->data + start, out->len - start));
	buf_release(&conf);
}

int kv_meta_decode(struct kv_meta *meta, const void *data, size_t len)
{
	struct cursor c = cursor_init(data, len);
	struct kv_meta found = { .group = 0 };
	uint8_t version = cursor_u8(&c);
	uint64_t conf_index, sum;
	const uint8_t *conf;
	size_t conf_len;

	cursor_copy(&c, found.cluster, sizeof(found.cluster));
	found.group = cursor_le32(&c);
	found.applied_index = cursor_le64(&c);
	found.applied_term = cursor_le64(&c);
	cursor_copy(&c, found.digest, sizeof(found.digest));
	found.log_ms = cursor_le64(&c);
	found.begin_floor = cursor_le64(&c);
	found.session_count = cursor_le64(&c);
	conf_index = cursor_le64(&c);
	conf = cursor_bytes16(&c, &conf_len);
	sum = cursor_le64(&c);
	if (!cursor_at_end(&c) || version != META_VERSION || sum != hash64(data, len - 8))
		return -EUCLEAN;
	if (raft_conf_decode(&found.conf, conf, conf_len) < 0)
		return -EUCLEAN;
	found.conf.index = conf_index;
	*meta = found;
	return 0;
}

int kv_conn_meta(struct kv_conn *c, struct kv_meta *meta)
{
	const uint8_t *data;
	size_t len;
	int ret = c->ops->meta_get(c, &data, &len);

	return ret == -ENOENT ? -EUCLEAN : ret < 0 ? ret : kv_meta_decode(meta, data, len);
}
