/*
 * test_fetch.c - pulling a sealed snapshot over a real connection: the codec of its questions, resuming,
 * verification, and every way it can fail. The source is a real store behind a socket.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "net/net.h"
#include "node/fetch.h"
#include "tests/lib/unit.h"

static const uint8_t CLUSTER[16] = "fetch-tests";

struct source {
	uv_loop_t loop;
	uv_async_t stop;
	struct net_server *server;
	pthread_t thread;
	char address[RAFT_ADDRESS_MAX];
	struct store *store;
	/* What goes wrong. Set before anybody asks; counts are its thread's own until it is joined. */
	int refuse;             /* the HELLO */
	unsigned corrupt;       /* so many of the next chunks */
	int fail_chunk;         /* status instead of a chunk */
	unsigned hang_up_after; /* chunks; 0: never */
	bool short_answer;
	atomic_bool *stop_reader;
	unsigned manifests, chunks;
};

struct fixture {
	char dir[64], from_dir[80], to_dir[80];
	struct store *from, *to;
	struct raft_snapshot_meta meta;
	struct worker_shared shared; /* the receiver's */
	struct source src;
};

/* ---- the source --------------------------------------------------------------------------------- */

static int on_hello(void *ctx, struct net_conn *conn, const struct net_hello *hello,
		    struct net_hello *answer, struct err *err)
{
	struct source *s = ctx;

	assert_int_equal(hello->role, NET_ROLE_BULK);
	assert_memory_equal(hello->cluster, CLUSTER, 16);
	assert_int_equal(hello->node_id, 2);
	assert_int_equal(hello->to_node_id, 1);
	if (s->refuse)
		return err_set(err, s->refuse, "not here");
	answer->node_id = 1;
	return 0;
}

static void answer_bulk(struct source *s, struct job_bulk *bulk, struct buf *out)
{
	bulk->job.status = bulk->manifest
				   ? store_snapshot_manifest(s->store, &bulk->meta, &bulk->reply,
							     &bulk->job.err)
				   : store_snapshot_chunk(s->store, &bulk->meta, bulk->number,
							  &bulk->reply, &bulk->job.err);
	if (!bulk->manifest && s->fail_chunk)
		bulk->job.status = err_set(&bulk->job.err, s->fail_chunk, "cannot read the chunk");
	if (!bulk->manifest && s->corrupt > 0 && bulk->reply.len > 0) {
		s->corrupt--;
		bulk->reply.data[bulk->reply.len / 2] ^= 0x10;
	}
	bulk_reply_encode(bulk, out);
	if (s->short_answer)
		buf_resize(out, 3);
}

static void on_frame(void *ctx, struct net_conn *conn, uint8_t type, const uint8_t *payload,
		     size_t len)
{
	struct source *s = ctx;
	struct job_bulk *bulk = job_new(JOB_BULK, sizeof(*bulk));
	struct buf out = BUF_INIT;

	assert_int_equal(type, NET_BULK);
	assert_int_equal(bulk_request_decode(bulk, payload, len), 0);
	if (bulk->manifest)
		s->manifests++;
	else
		s->chunks++;
	if (!bulk->manifest && s->hang_up_after > 0 && s->chunks > s->hang_up_after) {
		net_conn_close(conn);
	} else {
		answer_bulk(s, bulk, &out);
		(void)net_conn_send(conn, NET_BULK_REPLY, &out);
	}
	if (!bulk->manifest && s->stop_reader)
		atomic_store(s->stop_reader, true);
	buf_release(&out);
	job_free(&bulk->job);
}

static void on_close(void *ctx, struct net_conn *conn, const struct err *why)
{
}

static const struct net_conn_ops source_ops = {
	.on_hello = on_hello,
	.on_frame = on_frame,
	.on_close = on_close,
};

static void on_stop(uv_async_t *async)
{
	struct source *s = async->data;

	net_server_close(s->server);
	uv_close((uv_handle_t *)&s->stop, NULL);
}

static void *source_main(void *arg)
{
	uv_run(&((struct source *)arg)->loop, UV_RUN_DEFAULT);
	return NULL;
}

static void source_start(struct source *s)
{
	struct err err = ERR_INIT;

	s->manifests = s->chunks = 0;
	assert_int_equal(uv_loop_init(&s->loop), 0);
	uv_async_init(&s->loop, &s->stop, on_stop);
	s->stop.data = s;
	assert_int_equal(
		net_listen(&s->loop, "127.0.0.1:0", CLUSTER, 0, &source_ops, s, &s->server, &err),
		0);
	snprintf(s->address, sizeof(s->address), "127.0.0.1:%d", net_server_port(s->server));
	assert_int_equal(pthread_create(&s->thread, NULL, source_main, s), 0);
}

static void source_stop(struct source *s)
{
	uv_async_send(&s->stop);
	pthread_join(s->thread, NULL);
	assert_int_equal(uv_loop_close(&s->loop), 0);
}

/* ---- the fixture ---------------------------------------------------------------------------------- */

static struct store *make_store(const char *dir, uint64_t id, struct kv **kv)
{
	struct store_identity identity = { .node_id = id };
	struct store_options options = { .segment_bytes = 65536 };
	struct raft_conf conf = { .index = 1, .count = 2 };
	struct store_boot boot;
	struct store *s = NULL;
	struct err err = ERR_INIT;

	memcpy(identity.cluster, CLUSTER, 16);
	for (uint64_t i = 0; i < 2; i++)
		conf.members[i] = (struct raft_member){ .id = i + 1, .role = RAFT_VOTER };
	if (store_init(dir, &identity, &conf, &err) < 0 ||
	    store_open(dir, 0, &options, &s, &boot, kv, &err) < 0)
		fail_msg("%s", err.text);
	store_boot_release(&boot);
	return s;
}

/* Three MiB that do not compress, so that there are several chunks. */
static void fill(struct kv *kv)
{
	struct kv_view *view = NULL;
	struct err err = ERR_INIT;
	uint32_t x = 1;

	for (uint64_t index = 2; index < 26; index++) {
		struct kv_batch_head head = { .prev_index = index - 1, .prev_term = 1 };
		struct raft_entry e = { .index = index, .term = 1, .type = RAFT_ENTRY_NORMAL };
		uint8_t data[128 * 1024];
		struct kv_txn *txn;

		for (size_t i = 0; i < sizeof(data); i++)
			data[i] = (uint8_t)((x = x * 1664525u + 1013904223u) >> 24);
		assert_int_equal(kv_view_open(kv, &view, NULL), 0);
		txn = kv_txn_new(view, NULL);
		kv_txn_write(txn, 5, index * sizeof(data), data, sizeof(data));
		e.data = kv_txn_batch(txn, &head);
		kv_txn_free(txn);
		kv_view_close(view);
		if (kv_apply(kv, &e, 1, &err) < 0)
			fail_msg("%s", err.text);
		blob_unref(e.data);
	}
}

static int setup(void **state)
{
	struct fixture *f = mem_calloc(1, sizeof(*f));
	struct kv *kv = NULL;
	struct err err = ERR_INIT;

	log_set_level(LOG_NONE);
	snprintf(f->dir, sizeof(f->dir), "%s/qfs-fetch-XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->from_dir, sizeof(f->from_dir), "%s/from", f->dir);
	snprintf(f->to_dir, sizeof(f->to_dir), "%s/to", f->dir);
	f->from = make_store(f->from_dir, 1, &kv);
	fill(kv);
	if (store_snapshot_create(f->from, kv, &f->meta, NULL, &err) < 0)
		fail_msg("%s", err.text);
	kv_unref(kv);
	f->to = make_store(f->to_dir, 2, &kv);
	kv_unref(kv);
	f->shared.store = f->to;
	f->shared.self = 2;
	memcpy(f->shared.cluster, CLUSTER, 16);
	f->src.store = f->from;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	store_close(f->from);
	store_close(f->to);
	assert_int_equal(io_remove_tree(AT_FDCWD, f->dir), 0);
	free(f);
	return 0;
}

/* Starts the source as the fixture says, pulls, stops it; the job's status. */
static int pull(struct fixture *f, struct err *err)
{
	struct job_fetch *fetch = job_new(JOB_FETCH, sizeof(*fetch));
	int status;

	source_start(&f->src);
	fetch->from = 1;
	memcpy(fetch->address, f->src.address, sizeof(fetch->address));
	fetch->meta = f->meta;
	fetch_run(&f->shared, fetch);
	source_stop(&f->src);
	status = fetch->job.status;
	*err = fetch->job.err;
	job_free(&fetch->job);
	return status;
}

static void assert_sealed(struct fixture *f, bool sealed)
{
	struct raft_snapshot_meta *metas = NULL;
	size_t count = 0;
	struct err err = ERR_INIT;

	assert_int_equal(store_snapshot_list(f->to, &metas, &count), 0);
	free(metas);
	assert_int_equal(count, sealed);
	if (sealed)
		assert_int_equal(store_snapshot_verify(f->to, &f->meta, &err), 0);
}

/* ---- the codec ---------------------------------------------------------------------------------------- */

static void encode_request(const struct fixture *f, uint8_t version, uint8_t kind, uint32_t number,
			   struct buf *out)
{
	buf_put_u8(out, version);
	buf_put_u8(out, kind);
	buf_put_le32(out, number);
	raft_snapshot_meta_encode(&f->meta, out);
}

static void a_request_decodes_to_what_it_says(void **state)
{
	struct fixture *f = *state;
	struct buf frame = BUF_INIT;
	struct job_bulk bulk = { .number = 0 };

	encode_request(f, 1, 1, 77, &frame);
	assert_int_equal(bulk_request_decode(&bulk, frame.data, frame.len), 0);
	assert_false(bulk.manifest);
	assert_int_equal(bulk.number, 77);
	assert_int_equal(bulk.meta.index, f->meta.index);
	assert_memory_equal(bulk.meta.root, f->meta.root, sizeof(bulk.meta.root));
	buf_reset(&frame);
	encode_request(f, 1, 0, 0, &frame);
	assert_int_equal(bulk_request_decode(&bulk, frame.data, frame.len), 0);
	assert_true(bulk.manifest);
	buf_release(&frame);
}

static void damaged_requests_are_refused_and_leave_the_job_as_it_was(void **state)
{
	struct fixture *f = *state;
	struct buf frame = BUF_INIT;
	struct job_bulk bulk = { .number = 4711 };

	encode_request(f, 1, 1, 77, &frame);
	for (size_t len = 0; len < frame.len; len++) {
		uint8_t *exact = mem_dup(frame.data, len); /* so that reading too far is seen */

		assert_int_equal(bulk_request_decode(&bulk, exact, len), -EPROTO);
		free(exact);
	}
	buf_put_u8(&frame, 0);
	assert_int_equal(bulk_request_decode(&bulk, frame.data, frame.len), -EPROTO);
	buf_reset(&frame);
	encode_request(f, 2, 1, 77, &frame);
	assert_int_equal(bulk_request_decode(&bulk, frame.data, frame.len), -EPROTO);
	buf_reset(&frame);
	encode_request(f, 1, 2, 77, &frame);
	assert_int_equal(bulk_request_decode(&bulk, frame.data, frame.len), -EPROTO);
	assert_int_equal(bulk.number, 4711);
	buf_release(&frame);
}

static void an_answer_is_bytes_or_an_error_text(void **state)
{
	struct job_bulk bulk = { .number = 1 };
	struct buf out = BUF_INIT;

	buf_put(&bulk.reply, "piece", 5);
	bulk_reply_encode(&bulk, &out);
	assert_int_equal(out.len, 10);
	assert_memory_equal(out.data, "\1\0\0\0\0piece", 10);
	buf_reset(&out);
	bulk.job.status = err_set(&bulk.job.err, -ENOENT, "no such snapshot");
	bulk_reply_encode(&bulk, &out);
	assert_int_equal((int32_t)load_le32(out.data + 1), -ENOENT);
	assert_memory_equal(out.data + 5, "no such snapshot", 16);
	buf_release(&out);
	buf_release(&bulk.reply);
}

static void an_answer_that_is_none_is_refused(void **state)
{
	struct job_bulk bulk = { .number = 1 };
	struct buf frame = BUF_INIT, out = BUF_INIT;
	struct err err = ERR_INIT;

	bulk.job.status = err_set(&bulk.job.err, -ENOENT, "none\n2026 error forged");
	bulk_reply_encode(&bulk, &frame);
	assert_int_equal(bulk_reply_decode(frame.data, frame.len, &out, &err), -ENOENT);
	/* It goes into the log: it must not be able to forge a second line there. */
	assert_string_equal(err.text, "the source says: none?2026 error forged");
	for (size_t len = 0; len < 5; len++)
		assert_int_equal(bulk_reply_decode(frame.data, len, &out, &err), -EPROTO);
	store_le32(frame.data + 1, 5); /* no errno is positive */
	assert_int_equal(bulk_reply_decode(frame.data, frame.len, &out, &err), -EPROTO);
	store_le32(frame.data + 1, 0x80000000u);
	assert_int_equal(bulk_reply_decode(frame.data, frame.len, &out, &err), -EPROTO);
	store_le32(frame.data + 1, 0);
	frame.data[0] = 2;
	assert_int_equal(bulk_reply_decode(frame.data, frame.len, &out, &err), -EPROTO);
	assert_int_equal(out.len, 0);
	frame.data[0] = 1;
	assert_int_equal(bulk_reply_decode(frame.data, frame.len, &out, &err), 0);
	assert_int_equal(out.len, frame.len - 5);
	buf_release(&frame);
	buf_release(&out);
}

/* ---- pulling ------------------------------------------------------------------------------------------ */

static void a_snapshot_is_pulled_whole_and_sealed(void **state)
{
	struct fixture *f = *state;
	struct err err = ERR_INIT;
	struct kv *kv = NULL;

	assert_int_equal(pull(f, &err), 0);
	assert_sealed(f, true);
	assert_int_equal(f->src.manifests, 1);
	assert_true(f->src.chunks >= 3);
	assert_int_equal(store_install(f->to, &f->meta, 1, &kv, &err), 0);
	kv_unref(kv);
}

static void what_is_there_is_not_asked_for_again(void **state)
{
	struct fixture *f = *state;
	struct err err = ERR_INIT;
	unsigned first;

	f->src.hang_up_after = 2;
	assert_true(pull(f, &err) < 0);
	assert_sealed(f, false);
	first = f->src.chunks - 1; /* the last one was not answered */
	f->src.hang_up_after = 0;
	assert_int_equal(pull(f, &err), 0);
	assert_sealed(f, true);
	assert_int_equal(first, 2);
	/* Together they are what one whole pull takes. */
	{
		struct store *third;
		struct kv *kv = NULL;
		char dir[96];
		unsigned rest = f->src.chunks;

		snprintf(dir, sizeof(dir), "%s/third", f->dir);
		third = make_store(dir, 2, &kv);
		kv_unref(kv);
		f->shared.store = third;
		assert_int_equal(pull(f, &err), 0);
		assert_int_equal(first + rest, f->src.chunks);
		store_close(third);
	}
}

static void a_chunk_that_does_not_verify_is_asked_for_again(void **state)
{
	struct fixture *f = *state;
	struct err err = ERR_INIT;

	f->src.corrupt = 2;
	assert_int_equal(pull(f, &err), 0);
	assert_sealed(f, true);
}

static void but_not_for_ever(void **state)
{
	struct fixture *f = *state;
	struct err err = ERR_INIT;

	f->src.corrupt = 1000;
	assert_int_equal(pull(f, &err), -EUCLEAN);
	assert_true(f->src.chunks <= 5);
	assert_sealed(f, false);
}

static void what_the_source_says_is_told(void **state)
{
	struct fixture *f = *state;
	struct err err = ERR_INIT;

	f->src.fail_chunk = -EIO;
	assert_int_equal(pull(f, &err), -EIO);
	assert_non_null(strstr(err.text, "cannot read the chunk"));
	f->meta.index++; /* a snapshot that the source does not have */
	assert_true(pull(f, &err) < 0);
	assert_non_null(strstr(err.text, "the source says"));
	assert_sealed(f, false);
}

static void a_refusal_and_an_answer_cut_short_are_errors(void **state)
{
	struct fixture *f = *state;
	struct err err = ERR_INIT;

	f->src.refuse = -EXDEV;
	assert_true(pull(f, &err) < 0);
	assert_non_null(strstr(err.text, "not here"));
	f->src.refuse = 0;
	f->src.short_answer = true;
	assert_int_equal(pull(f, &err), -EPROTO);
	assert_sealed(f, false);
}

static void nobody_at_the_address_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct job_fetch *fetch = job_new(JOB_FETCH, sizeof(*fetch));

	snprintf(fetch->address, sizeof(fetch->address), "unix:%.40s/none", f->dir);
	fetch->from = 1;
	fetch->meta = f->meta;
	fetch_run(&f->shared, fetch);
	assert_true(fetch->job.status < 0);
	assert_true(fetch->job.err.text[0] != '\0');
	job_free(&fetch->job);
	assert_sealed(f, false);
}

static void a_node_that_stops_gives_up(void **state)
{
	struct fixture *f = *state;
	struct err err = ERR_INIT;

	f->src.stop_reader = &f->shared.stopping;
	assert_int_equal(pull(f, &err), -ECANCELED);
	assert_true(f->src.chunks <= 2);
	f->src.stop_reader = NULL;
	atomic_store(&f->shared.stopping, false);
	assert_int_equal(pull(f, &err), 0); /* and goes on when it is back */
	assert_sealed(f, true);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_request_decodes_to_what_it_says),
		T(damaged_requests_are_refused_and_leave_the_job_as_it_was),
		T(an_answer_is_bytes_or_an_error_text),
		T(an_answer_that_is_none_is_refused),
		T(a_snapshot_is_pulled_whole_and_sealed),
		T(what_is_there_is_not_asked_for_again),
		T(a_chunk_that_does_not_verify_is_asked_for_again),
		T(but_not_for_ever),
		T(what_the_source_says_is_told),
		T(a_refusal_and_an_answer_cut_short_are_errors),
		T(nobody_at_the_address_is_an_error),
		T(a_node_that_stops_gives_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
