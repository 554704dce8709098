/* fetch.c - see fetch.h. The receiver asks only for what it lacks and verifies each piece first. */
#include "node/fetch.h"

#include "base/clock.h"
#include "base/cursor.h"
#include "base/log.h"
#include "base/mark.h"
#include "net/net.h"

#define BULK_VERSION 1
#define BULK_TIMEOUT_MS 10000
#define CHUNK_TRIES 3

enum bulk_kind { BULK_MANIFEST = 0, BULK_CHUNK = 1 };

void bulk_request_encode(const struct job_bulk *bulk, struct buf *out)
{
	buf_put_u8(out, BULK_VERSION);
	buf_put_u8(out, bulk->manifest ? BULK_MANIFEST : BULK_CHUNK);
	buf_put_le32(out, bulk->number);
	raft_snapshot_meta_encode(&bulk->meta, out);
}

int bulk_request_decode(struct job_bulk *bulk, const void *data, size_t len)
{
	struct cursor c = cursor_init(data, len);
	uint8_t version = cursor_u8(&c);
	uint8_t kind = cursor_u8(&c);
	uint32_t number = cursor_le32(&c);
	struct raft_snapshot_meta meta;

	if (!cursor_ok(&c) || version != BULK_VERSION || kind > BULK_CHUNK ||
	    raft_snapshot_meta_decode(&meta, c.pos, cursor_left(&c)) < 0)
		return -EPROTO;
	bulk->manifest = kind == BULK_MANIFEST;
	bulk->number = number;
	bulk->meta = meta;
	return 0;
}

void bulk_reply_encode(const struct job_bulk *bulk, struct buf *out)
{
	buf_put_u8(out, BULK_VERSION);
	buf_put_le32(out, (uint32_t)bulk->job.status);
	if (bulk->job.status < 0)
		buf_put(out, bulk->job.err.text, strlen(bulk->job.err.text));
	else
		buf_put(out, bulk->reply.data, bulk->reply.len);
}

int bulk_reply_decode(const void *data, size_t len, struct buf *out, struct err *err)
{
	struct cursor c = cursor_init(data, len);
	uint8_t version = cursor_u8(&c);
	int32_t status = (int32_t)cursor_le32(&c);
	char text[300];
	size_t text_len;

	if (!cursor_ok(&c))
		return err_set(err, -EPROTO, "the answer is cut short");
	if (version != BULK_VERSION)
		return err_set(err, -EPROTO, "the answer has an unknown version");
	if (status > 0 || status < -4095)
		return err_set(err, -EPROTO, "the answer has a status that is none");
	if (status == 0) {
		buf_put(out, c.pos, cursor_left(&c));
		return 0;
	}
	/* It goes to the log and to terminals: no control bytes. */
	text_len = (size_t)min_u64(cursor_left(&c), sizeof(text));
	for (size_t i = 0; i < text_len; i++)
		text[i] = c.pos[i] < ' ' || c.pos[i] == 0x7f ? '?' : (char)c.pos[i];
	return err_set(err, status, "the source says: %.*s", (int)text_len, text);
}

static int pull(struct net_call *call, bool manifest, uint32_t number,
		const struct raft_snapshot_meta *meta, struct buf *out, struct err *err)
{
	struct job_bulk ask = { .manifest = manifest, .number = number, .meta = *meta };
	struct buf request = BUF_INIT;
	struct buf reply = BUF_INIT;
	int ret;

	bulk_request_encode(&ask, &request);
	ret = net_call(call, NET_BULK, request.data, request.len, NET_BULK_REPLY, &reply, err);
	if (ret == 0)
		ret = bulk_reply_decode(reply.data, reply.len, out, err);
	buf_release(&request);
	buf_release(&reply);
	return ret;
}

static int pull_chunk(struct net_call *call, struct store_receive *rx, uint32_t number,
		      const struct raft_snapshot_meta *meta, struct err *err)
{
	struct buf chunk = BUF_INIT;
	int ret = -EUCLEAN;

	/* A chunk that does not verify is fetched again; nothing of it was used. */
	for (int tries = 0; ret == -EUCLEAN && tries < CHUNK_TRIES; tries++) {
		buf_reset(&chunk);
		ret = pull(call, false, number, meta, &chunk, err);
		if (ret == 0)
			ret = store_receive_chunk(rx, number, chunk.data, chunk.len, err);
		MARK_IF(ret == -EUCLEAN, "node.fetch.chunk-asked-again");
		if (ret == -EUCLEAN)
			log_warning("fetch", "chunk %u does not verify, asking again: %s", number, err->text);
	}
	buf_release(&chunk);
	return ret;
}

static int pull_all(struct worker_shared *shared, struct net_call *call, const struct job_fetch *fetch,
		    struct store_receive *rx, struct err *err)
{
	uint32_t count = store_receive_chunk_count(rx);
	uint32_t pulled = 0;
	uint64_t said_ms = clock_boot_ms();

	for (uint32_t n = store_receive_next(rx, 0); n < count; n = store_receive_next(rx, n + 1)) {
		int ret;

		if (atomic_load(&shared->stopping))
			return err_set(err, -ECANCELED, "the node is stopping");
		ret = pull_chunk(call, rx, n, &fetch->meta, err);
		if (ret < 0)
			return ret;
		pulled++;
		if (clock_boot_ms() - said_ms >= 2000) {
			said_ms = clock_boot_ms();
			log_info("fetch", "receiving snapshot index=%llu chunk %u of %u",
				 (unsigned long long)fetch->meta.index, n + 1, count);
		}
	}
	MARK_IF(pulled < count && pulled > 0, "node.fetch.some-chunks-here-already");
	MARK_IF(pulled == 0, "node.fetch.all-chunks-here-already");
	log_info("fetch", "received snapshot index=%llu from node=%llu: %u of %u chunks were lacking",
		 (unsigned long long)fetch->meta.index, (unsigned long long)fetch->from, pulled, count);
	return store_receive_finish(rx, err);
}

void fetch_run(struct worker_shared *shared, struct job_fetch *fetch)
{
	struct net_hello hello = {
		.role = NET_ROLE_BULK,
		.group = shared->group,
		.node_id = shared->self,
		.to_node_id = fetch->from,
		.incarnation = shared->incarnation,
	};
	struct store_receive *rx = NULL;
	struct net_call *call = NULL;
	struct buf manifest = BUF_INIT;
	struct net_hello answer;
	struct err *err = &fetch->job.err;
	int ret;

	memcpy(hello.cluster, shared->cluster, sizeof(hello.cluster));
	ret = net_call_open(fetch->address, &hello, BULK_TIMEOUT_MS, &call, &answer, err);
	if (ret == 0)
		ret = pull(call, true, 0, &fetch->meta, &manifest, err);
	if (ret == 0)
		ret = store_receive_begin(shared->store, &fetch->meta, manifest.data, manifest.len, &rx, err);
	if (ret == 0)
		ret = pull_all(shared, call, fetch, rx, err);
	if (ret < 0)
		log_warning("fetch", "snapshot index=%llu from node=%llu: %s; the node keeps its state",
			    (unsigned long long)fetch->meta.index, (unsigned long long)fetch->from, err->text);
	fetch->job.status = ret;
	store_receive_free(rx);
	buf_release(&manifest);
	net_call_close(call);
}
