/*
 * make_seeds.c - writes seeds for the fuzz targets, made by the encoders: DIR/TARGET/seed-NAME.
 *
 * One or a few for each form that a decoder knows, so that the fuzzer need not guess magic numbers,
 * versions and lengths. tests/fuzz/corpus holds these and what campaigns found beyond them.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/io.h"
#include "base/prng.h"
#include "fs/fs_wire.h"
#include "fs/ops/key.h"
#include "fs/ops/rec.h"
#include "fs/fs_lock.h"
#include "fs/request.h"
#include "net/frame.h"
#include "node/fetch.h"
#include "store/chunk.h"
#include "store/floor.h"
#include "store/kv.h"
#include "store/manifest.h"
#include "store/segment.h"
#include "store/session.h"
#include "store/superblock.h"

static const char *top;

/* Takes what was encoded. */
static void put(const char *target, const char *name, struct buf *bytes)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", top, target);
	(void)mkdir(path, 0777);
	snprintf(path, sizeof(path), "%s/%s/seed-%s", top, target, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0 || io_pwrite_all(fd, bytes->data, bytes->len, 0) < 0) {
		fprintf(stderr, "make_seeds: cannot write '%s'\n", path);
		exit(1);
	}
	close(fd);
	buf_release(bytes);
}

static void put_text(const char *target, const char *name, const char *text)
{
	struct buf b = BUF_INIT;

	buf_put(&b, text, strlen(text));
	put(target, name, &b);
}

/* Structured targets make a scenario of any bytes. */
static void put_random(const char *target, size_t count, size_t len)
{
	struct prng prng;

	prng_init(&prng, hash64(target, strlen(target)));
	for (size_t i = 0; i < count; i++) {
		struct buf b = BUF_INIT;
		char name[32];

		for (size_t k = 0; k < len; k++)
			buf_put_u8(&b, (uint8_t)prng_below(&prng, 256));
		snprintf(name, sizeof(name), "random-%zu", i);
		put(target, name, &b);
	}
}

/* ---- raft ---- */

static struct raft_conf sample_conf(void)
{
	return (struct raft_conf){
		.index = 3,
		.count = 3,
		.members = { { .id = 1, .role = RAFT_VOTER, .address = "a:7900" },
			     { .id = 2,
			       .role = RAFT_VOTER_OUT | RAFT_LEARNER_NEXT,
			       .address = "b:7900" },
			     { .id = 3, .role = RAFT_LEARNER } },
	};
}

static struct raft_snapshot_meta sample_meta(void)
{
	struct raft_snapshot_meta meta = {
		.index = 40, .term = 3, .size_bytes = 5000, .root = { 7 }
	};

	meta.conf = sample_conf();
	return meta;
}

static void seed_conf(void)
{
	struct raft_conf_change change = {
		.transition = RAFT_JOINT_AUTO,
		.count = 2,
		.v = { { .id = 4, .op = RAFT_ADD_VOTER, .address = "d:7900" },
		       { .id = 1, .op = RAFT_REMOVE } },
	};
	struct raft_conf conf = sample_conf();
	struct buf b = BUF_INIT;

	raft_conf_encode(&conf, &b);
	put("conf", "conf", &b);
	raft_conf_change_encode(&change, &b);
	put("conf", "change", &b);
	put_random("conf", 4, 48);
}

static void seed_messages(void)
{
	struct raft_snapshot_meta meta = sample_meta();
	struct buf b = BUF_INIT;

	for (uint8_t type = RAFT_MSG_APPEND; type <= RAFT_MSG_TIMEOUT_NOW; type++) {
		struct raft_entry v[2] = { { .index = 11, .term = 2, .type = RAFT_ENTRY_NOOP },
					   { .index = 12, .term = 2, .type = RAFT_ENTRY_NORMAL } };
		struct raft_message m = {
			.type = type, .from = 1, .to = 2, .term = 3, .log_index = 10
		};

		if (type == RAFT_MSG_APPEND) {
			v[1].data = blob_from("payload", 7);
			m.entries = v;
			m.entry_count = 2;
		}
		if (type == RAFT_MSG_SNAPSHOT)
			m.snapshot = &meta;
		m.reject = type == RAFT_MSG_APPEND_RESP;
		if (type <= RAFT_MSG_HEARTBEAT_RESP)
			m.lease = (struct raft_lease_stamp){ .sent_ns = 1, .echo_ns = 2, .length_ns = 3 };
		raft_message_encode(&m, &b);
		put("raft_wire", raft_message_type_name(type), &b);
		blob_unref(v[1].data);
	}
	raft_snapshot_meta_encode(&meta, &b);
	put("raft_wire", "meta", &b);
}

/* ---- store ---- */

static struct kv_batch_head sample_head(bool session)
{
	return (struct kv_batch_head){
		.group = 1,
		.prev_index = 9,
		.prev_term = 2,
		.wall_ns = 1000,
		.has_session = session,
		.uuid = { 3 },
		.seq = 5,
		.low = 4,
		.session_id = session ? 10 : 0,
		.begins = session,
		.stamp = session ? 8 : 0,
		.log_ms = 77,
		.reply = (const uint8_t *)"reply",
		.reply_len = 5,
	};
}

static void seed_batch(void)
{
	static const struct kv_mutation all[] = {
		{ .type = KV_PUT,
		  .key = (const uint8_t *)"key",
		  .key_len = 3,
		  .data = (const uint8_t *)"value",
		  .data_len = 5 },
		{ .type = KV_DELETE, .key = (const uint8_t *)"key", .key_len = 3 },
		{ .type = KV_BLOCK_PUT,
		  .ino = 2,
		  .block = 1,
		  .data = (const uint8_t *)"whole",
		  .data_len = 5 },
		{ .type = KV_BLOCK_PATCH,
		  .ino = 2,
		  .block = 1,
		  .off = 3,
		  .data = (const uint8_t *)"part",
		  .data_len = 4 },
		{ .type = KV_BLOCK_PUNCH, .ino = 2, .block = 1, .off = 2, .len = 2 },
		{ .type = KV_BLOCK_DROP, .ino = 2, .block = 0, .len = 9 },
	};
	struct kv_batch_head head = sample_head(true), plain = sample_head(false);
	struct kv_batch_head known = head, ended = plain;
	struct kv_session_end end = { .uuid = { 4 }, .session_id = 3, .stamp = 2 };
	struct buf b = BUF_INIT, ends = BUF_INIT;

	kv_batch_encode_head(&plain, &b);
	put("batch", "empty", &b);
	kv_session_end_encode(&end, &ends);
	ended.ends = ends.data;
	ended.end_count = 1;
	kv_batch_encode_head(&ended, &b);
	put("batch", "ends", &b);
	buf_release(&ends);
	known.begins = false;
	known.session_id = 4;
	kv_batch_encode_head(&known, &b);
	put("batch", "known", &b);
	kv_batch_encode_head(&head, &b);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		kv_mutation_encode(&all[i], &b);
	put("batch", "all", &b);
}

static void seed_session(void)
{
	struct kv_batch_head head = sample_head(true);
	struct buf b = BUF_INIT, record = BUF_INIT;

	if (session_record_execute(NULL, 0, &head, 10, &record) < 0)
		abort();
	buf_put_le16(&b, (uint16_t)record.len);
	buf_put(&b, record.data, record.len);
	buf_put(&b, "\1\1\0\5reply\2\0", 11);
	put("session", "one-reply", &b);
	buf_release(&record);
	put_random("session", 2, 32);
}

static void seed_meta(void)
{
	struct kv_meta meta = { .cluster = { 1 }, .applied_index = 4, .applied_term = 2 };
	struct buf b = BUF_INIT;

	meta.conf = sample_conf();
	kv_meta_encode(&meta, &b);
	put("meta", "meta", &b);
}

static void seed_segment(void)
{
	struct segment_header sh = { .identity = { .cluster = { 1 }, .node_id = 1 },
				     .number = 1,
				     .size_bytes = SEGMENT_SIZE_MIN,
				     .first_index = 1 };
	struct superblock sb = { .identity = { .cluster = { 1 }, .node_id = 1 }, .sequence = 1 };
	struct frame_header fh = { .number = 1, .offset = SEGMENT_HEADER_SIZE };
	struct raft_entry e = { .index = 1, .term = 1, .type = RAFT_ENTRY_NORMAL };
	struct buf b = BUF_INIT;

	buf_put_zeros(&b, SUPERBLOCK_RECORD_SIZE);
	superblock_encode(&sb, 0, b.data);
	buf_resize(&b, 256); /* zeros behind it are what the target puts there */
	put("segment", "superblock", &b);
	buf_put_zeros(&b, SEGMENT_HEADER_SIZE);
	segment_header_encode(&sh, b.data);
	buf_resize(&b, 256);
	put("segment", "header", &b);
	e.data = blob_from("entry", 5);
	frame_encode(&fh, &e, 1, &b);
	put("segment", "frame", &b);
	blob_unref(e.data);
	buf_put(&b, "\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\3\5\0\0\0entry", 26);
	put("segment", "entry", &b);
}

static void seed_images(void)
{
	struct manifest m = MANIFEST_INIT;
	struct buf b = BUF_INIT;

	m.meta = sample_meta();
	m.chunk_count = 1;
	buf_put_zeros(&m.hashes, SEAL_HASH_SIZE);
	manifest_seal(&m);
	manifest_encode(&m, &b);
	put("manifest", "one-chunk", &b);
	manifest_release(&m);
	if (chunk_encode("the bytes of a chunk, the bytes of a chunk", 42, &b) < 0)
		abort();
	put("chunk", "chunk", &b);
	put_text("chunk", "name",
		 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff");
}

/* ---- fs ---- */

static void seed_records(void)
{
	struct inode_rec file = {
		.mode = 0100644, .nlink = 1, .size = 10, .trunc_from = INODE_NO_TRUNCATE
	};
	struct inode_rec link = { .mode = 0120777,
				  .nlink = 1,
				  .size = 1,
				  .trunc_from = INODE_NO_TRUNCATE,
				  .target = (const uint8_t *)"t",
				  .target_len = 1 };
	struct dentry_rec d = { .ino = 2, .cookie = 3, .mode = 0100000 };
	struct order_rec o = {
		.ino = 2, .mode = 0040000, .name = (const uint8_t *)"n", .name_len = 1
	};
	struct orphan_rec u = { .holder_count = 1, .holders = (const uint8_t *)"12345678" };
	struct counters_rec c = { .next_ino = 5, .inode_count = 4 };
	struct lock_rec l = { .type = FS_LOCK_WRITE, .end = 9, .pid = 7 };
	struct waiter_rec w = { .kind = FS_LOCK_FLOCK, .type = FS_LOCK_READ, .ino = 2, .end = 9 };
	struct fs_delegation g = { .session = 3, .number = 4, .bytes = 5 };
	struct delegated t = { .session = 3, .count = 1, .bytes = 5 };
	struct buf b = BUF_INIT;
	struct key k;

	inode_rec_encode(&file, &b);
	put("record", "file", &b);
	inode_rec_encode(&link, &b);
	put("record", "symlink", &b);
	dentry_rec_encode(&d, &b);
	put("record", "dentry", &b);
	order_rec_encode(&o, &b);
	put("record", "order", &b);
	orphan_rec_encode(&u, &b);
	put("record", "orphan", &b);
	counters_rec_encode(&c, &b);
	put("record", "counters", &b);
	truncate_rec_encode(&b);
	put("record", "truncate", &b);
	key_order(&k, 2, 3);
	buf_put(&b, k.data, k.len);
	put("record", "key-order", &b);
	key_ino_name(&k, KEY_DENTRY, 2, "name", 4);
	buf_put(&b, k.data, k.len);
	put("record", "key-dentry", &b);
	key_lock(&k, 2, FS_LOCK_POSIX, 3, 4, 5);
	buf_put(&b, k.data, k.len);
	put("record", "key-lock", &b);
	key_holder(&k, 3, 2);
	buf_put(&b, k.data, k.len);
	put("record", "key-holder", &b);
	key_waiter(&k, 3, 4, 5);
	buf_put(&b, k.data, k.len);
	put("record", "key-waiter", &b);
	lock_rec_encode(&l, &b);
	put("record", "lock", &b);
	holder_rec_encode(2, &b);
	put("record", "holder", &b);
	waiter_rec_encode(&w, &b);
	put("record", "waiter", &b);
	delegation_rec_encode(&g, &b);
	put("record", "delegation", &b);
	delegated_rec_begin(&b);
	delegated_encode(&t, &b);
	put("record", "delegated", &b);
	key_ino(&k, KEY_DELEGATION, 2);
	buf_put(&b, k.data, k.len);
	put("record", "key-delegation", &b);
	put_random("tree", 6, 240);
}

static void seed_requests(void)
{
	struct fs_reply reply = {
		.has_attr = true, .attr = { .ino = 2 }, .data = "data", .data_len = 4
	};
	struct fs_dirent d = { .ino = 2, .cookie = 3, .mode = 0100000, .name = "n", .name_len = 1 };
	struct fs_orphan o = { .ino = 2,
			       .holder_count = 1,
			       .holders = (const uint8_t *)"12345678" };
	struct fs_statfs st = { .inode_count = 2 };
	struct fs_lock lock = {
		.kind = FS_LOCK_POSIX, .type = FS_LOCK_WRITE, .end = 9, .owner = 5, .waiter = 1
	};
	struct fs_lock_reply locked = { .session = 3, .index = 4, .left = 1 };
	struct buf b = BUF_INIT, lock_bytes = BUF_INIT;

	fs_lock_encode(&lock, &lock_bytes);
	for (unsigned op = 1; op < 256; op++) {
		struct fs_request rq = { .op = (uint8_t)op,
					 .ino = 2,
					 .ino2 = 1,
					 .name = "f",
					 .name_len = 1,
					 .name2 = "g",
					 .name2_len = 1,
					 .size = 100 };

		if (strcmp(fs_op_name((uint8_t)op), "unknown") == 0)
			continue;
		if (op == FS_WRITE || op == FS_SYMLINK || op == FS_SETXATTR || op == FS_KV_PUT) {
			rq.data = "data";
			rq.data_len = 4;
		}
		if (op == FS_COPY_RANGE) {
			rq.data = "\0\0\1\0\0\0\0\0"; /* le64 65536 */
			rq.data_len = 8;
		}
		if (op == FS_COPY_RANGE || op == FS_ALLOCATE || op == FS_PUNCH || op == FS_SEEK)
			rq.ino = 3;
		rq.flags = op == FS_SEEK ? 3 : 0; /* SEEK_DATA */
		if (op == FS_WRITE || op == FS_READ || op == FS_SETATTR || op == FS_OPEN_TRUNC ||
		    op == FS_LINK)
			rq.ino = 3; /* the file */
		rq.valid = op == FS_SETATTR ? FS_SET_SIZE : 0;
		if (fs_op_is_lock((uint8_t)op)) {
			rq.ino = 3;
			rq.data = lock_bytes.data;
			rq.data_len = lock_bytes.len;
		}
		fs_request_encode(&rq, &b);
		put("request", fs_op_name((uint8_t)op), &b);
	}
	fs_reply_encode(&reply, &b);
	put("request", "reply", &b);
	fs_dirent_encode(&d, &b);
	put("request", "dirent", &b);
	fs_orphan_encode(&o, &b);
	put("request", "orphan", &b);
	fs_statfs_encode(&st, &b);
	put("request", "statfs", &b);
	put("request", "lock", &lock_bytes);
	fs_lock_reply_encode(&locked, &b);
	put("request", "lock-reply", &b);
}

static void seed_wire(void)
{
	struct buf b = BUF_INIT;

	for (uint8_t type = FS_MSG_REQUEST; type <= FS_MSG_STATE; type++) {
		struct fs_msg m = {
			.type = type, .tag = 1, .body = (const uint8_t *)"12345678", .body_len = 8
		};
		char name[8];

		snprintf(name, sizeof(name), "%u", type);
		fs_msg_encode(&m, &b);
		put("wire", name, &b);
	}
}

/* ---- net, node, command line ---- */

static void seed_net(void)
{
	struct net_hello hello = {
		.role = NET_ROLE_PEER, .cluster = { 7 }, .node_id = 2, .to_node_id = 1
	};
	uint8_t header[NET_FRAME_HEADER_SIZE];
	struct buf b = BUF_INIT;
	struct err why;

	net_hello_encode(&hello, &b);
	put("hello", "hello", &b);
	err_set(&why, -EPERM, "not today");
	err_advise(&why, "everything else", "quorumfs status");
	net_refused_encode(&why, &b);
	put("hello", "refused", &b);
	net_frame_seal(header, NET_PING, hello.cluster, 0, NULL, 0, NULL, 0);
	buf_put(&b, header, sizeof(header));
	net_frame_seal(header, NET_RAFT, hello.cluster, 0, "payload", 7, NULL, 0);
	buf_put(&b, header, sizeof(header));
	buf_put(&b, "payload", 7);
	put("frame", "two", &b);
}

static void seed_bulk(void)
{
	struct job_bulk bulk = { .number = 3, .meta = sample_meta() };
	struct buf b = BUF_INIT;

	bulk_request_encode(&bulk, &b);
	put("bulk", "request", &b);
	buf_put(&bulk.reply, "piece", 5);
	bulk_reply_encode(&bulk, &b);
	put("bulk", "reply", &b);
	buf_release(&bulk.reply);
	bulk.job.status = err_set(&bulk.job.err, -ENOENT, "there is none");
	bulk_reply_encode(&bulk, &b);
	put("bulk", "error", &b);
}

static void seed_floor(void)
{
	struct buf b = BUF_INIT;

	floor_encode(4711, buf_extend(&b, FLOOR_COPY_SIZE));
	put("floor", "plain", &b);
}

static void seed_predecessor(void)
{
	uint8_t head[1 + FS_SESSION_NAME_SIZE] = { 1, 5, 6, 7 };
	struct buf b = BUF_INIT;

	buf_put(&b, head, sizeof(head));
	buf_put_bytes16(&b, "/mnt/shared", strlen("/mnt/shared"));
	put("predecessor", "open", &b); /* the target adds the checksum */

	struct buf whole = BUF_INIT;

	buf_put(&whole, head, sizeof(head));
	buf_put_bytes16(&whole, "/mnt/shared", strlen("/mnt/shared"));
	buf_put_le64(&whole, hash64(whole.data, whole.len));
	put("predecessor", "whole", &whole);
}

static void seed_texts(void)
{
	static const char *const options[] = {
		"\1ro,nosuid,timeo=300,snapshot-threshold=64M,attr_timeout=0.5,x-systemd.automount",
		"\1remount,rw,user_id=0,group_id=0",
		"\4flag,noflag,number=7,size=-1,wait=2.5,ignored=x",
		"\2-o\nro\n-vfo\nhard\nSOURCE\nDIR",
		"\3--number=5\n--text\nx\n-fvn7\n--\nOPERAND",
		"\3--signed=-3\n-s64K\n--wait\n1",
	};
	static const char *const addresses[] = {
		"host:7900",    "[::1]:7900", "unix:/run/node.sock",
		"a,b:7901,c:/", "10.0.0.1",   "[fe80::1%eth0]:1"
	};
	static const char *const verbs[] = { "{\"verb\":\"status\"}",
					     "{\"verb\":\"check\",\"tree\":true}",
					     "{\"verb\":\"move-leader\",\"to\":3}" };
	static const char *const answers[] = {
		"{\"ok\":true,\"health\":\"degraded\",\"voters\":3,\"voters_up\":2,\"members\":[{"
		"\"id\":1,\"self\":true,"
		"\"free_bytes\":5000},{\"id\":2,\"connected\":false,\"last_error\":\"refused\"}]}",
		"{\"health\":\"no-quorum\",\"snapshot_error\":\"no space\"}",
	};
	char name[8];

	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		snprintf(name, sizeof(name), "%zu", i);
		put_text("answer", name, answers[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		snprintf(name, sizeof(name), "%zu", i);
		put_text("options", name, options[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
		snprintf(name, sizeof(name), "%zu", i);
		put_text("address", name, addresses[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		snprintf(name, sizeof(name), "%zu", i);
		put_text("admin", name, verbs[i]);
	}
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "Usage: make_seeds DIR\n");
		return 2;
	}
	top = argv[1];
	(void)mkdir(top, 0777);
	seed_conf();
	seed_messages();
	seed_batch();
	seed_session();
	seed_meta();
	seed_segment();
	seed_images();
	seed_records();
	seed_requests();
	seed_wire();
	seed_net();
	seed_bulk();
	seed_floor();
	seed_predecessor();
	seed_texts();
	put_random("block", 4, 40);
	put_random("replica", 8, 200);
	put_random("log", 6, 60);
	put_random("superblock", 6, 48);
	return 0;
}
