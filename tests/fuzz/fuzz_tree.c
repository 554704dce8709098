/*
 * fuzz_tree.c - a file system of rows that nothing has made: records that contradict each other, names
 * that lead nowhere, directories in circles. fs_check() must say so and not get lost; requests must come
 * back, with an answer or with -EUCLEAN.
 *
 * Input: rows (class, inode, name, value), then requests on the tree that they make.
 */
#include <sys/stat.h>

#include "fs/fs.h"
#include "fs/ops/key.h"
#include "fs/ops/rec.h"
#include "tests/fuzz/fuzz.h"

#define INOS 10u
#define ROWS_MAX 40
#define REQUESTS_MAX 6

static struct kv_view *empty_view(void)
{
	static struct kv_view *view;
	struct kv_meta meta = { .applied_index = 1, .applied_term = 1 };

	if (!view && kv_view_open(kv_new_memory(&meta), &view, NULL) < 0)
		abort();
	return view;
}

static uint64_t take_ino(struct cursor *c)
{
	return cursor_u8(c) % INOS;
}

static uint32_t take_type(struct cursor *c)
{
	static const uint32_t types[] = { S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO };

	return types[cursor_u8(c) % ARRAY_SIZE(types)];
}

/* ---- rows ---- */

static void take_inode(struct cursor *c, struct buf *value)
{
	struct inode_rec rec = {
		.mode = take_type(c) | 0644,
		.nlink = cursor_u8(c) % 4,
		.size = cursor_u8(c),
		.data_version = 1,
		.trunc_from = INODE_NO_TRUNCATE,
	};
	uint8_t odd = cursor_u8(c);

	if (S_ISDIR(rec.mode))
		rec.parent = 1 + take_ino(c);
	if (S_ISLNK(rec.mode)) {
		rec.target = fuzz_slice(c, &rec.target_len);
		rec.size = rec.target_len;
	}
	if (S_ISREG(rec.mode)) {
		rec.size *= odd & 1 ? KV_BLOCK_SIZE : 100;
		rec.block_count = odd >> 1 & 7;
		if (odd & 16)
			rec.trunc_from = (uint32_t)(rec.size / KV_BLOCK_SIZE) + 1;
	}
	rec.xattr_count = odd >> 5 & 1;
	rec.flags = (uint8_t)((odd >> 6 & 1) | (odd & 8 ? INODE_DELEGATED : 0));
	inode_rec_encode(&rec, value);
}

static void take_value(struct cursor *c, uint8_t class, struct buf *value)
{
	struct dentry_rec d;
	struct order_rec o = { .ino = 0 };
	struct counters_rec k;

	switch (class) {
	case KEY_INODE:
		take_inode(c, value);
		break;
	case KEY_DENTRY:
		d = (struct dentry_rec){ .ino = take_ino(c),
					 .cookie = cursor_u8(c) % 8,
					 .mode = take_type(c) };
		dentry_rec_encode(&d, value);
		break;
	case KEY_ORDER:
		o.ino = take_ino(c);
		o.mode = take_type(c);
		o.name = fuzz_slice(c, &o.name_len);
		order_rec_encode(&o, value);
		break;
	case KEY_COUNTERS:
		k = (struct counters_rec){ .next_ino = cursor_u8(c), .inode_count = cursor_u8(c) };
		if (cursor_u8(c) % 16 == 0)
			k.inode_count = UINT64_MAX;
		counters_rec_encode(&k, value);
		break;
	case KEY_DELEGATION:
		delegation_rec_encode(&(struct fs_delegation){ 1 + cursor_u8(c) % 2u, 1 + cursor_u8(c) % 4u, cursor_u8(c) },
				      value);
		break;
	default:
		truncate_rec_encode(value);
	}
}

static void take_row(struct cursor *c, struct kv_txn *txn)
{
	static const uint8_t classes[] = { KEY_INODE,  KEY_DENTRY,   KEY_ORDER,    KEY_XATTR,
					   KEY_ORPHAN, KEY_TRUNCATE, KEY_COUNTERS, KEY_USER,
					   KEY_DELEGATION };
	uint8_t first = cursor_u8(c);
	uint8_t class = classes[first % ARRAY_SIZE(classes)];
	struct buf value = BUF_INIT;
	char name[2] = { (char)('a' + first / 8 % 4), 'x' };
	struct key k;

	if (class == KEY_ORDER)
		key_order(&k, take_ino(c), cursor_u8(c) % 8);
	else if (class == KEY_DENTRY || class == KEY_XATTR)
		key_ino_name(&k, class, take_ino(c), name, 1 + (first >> 7));
	else if (class == KEY_COUNTERS)
		key_counters(&k);
	else if (class == KEY_USER)
		key_user(&k, name, 2);
	else
		key_ino(&k, class, take_ino(c));
	take_value(c, class, &value);
	if (first % 8 == 7 && value.len > 0) /* damaged in one byte */
		value.data[cursor_u8(c) % value.len] ^= cursor_u8(c);
	if (class == KEY_INODE && first >= 248) /* ... or blocks instead of a record */
		kv_txn_write(txn, take_ino(c), cursor_u8(c) * 1000u, "block", 5);
	else
		kv_txn_put(txn, k.data, k.len, value.data, value.len);
	buf_release(&value);
}

/* ---- requests ---- */

/* What operations on delegations need as data; the other requests name bytes, or an offset. */
static void take_data(struct cursor *c, struct fs_request *rq)
{
	static uint8_t room[FS_SESSION_NAME_SIZE];

	memset(room, 0, sizeof(room));
	rq->data = room;
	switch (rq->op) {
	case FS_GATHERED: /* an extent of four bytes, and what may be left of another one */
		store_le64(room, cursor_u8(c) * 4096ull);
		store_le32(room + 8, 4);
		rq->data_len = 16 + cursor_u8(c) % 2u;
		break;
	case FS_DELEGATION_RETURN:
	case FS_DELEGATION_REVOKE:
		store_le64(room, take_ino(c));
		store_le64(room + 8, cursor_u8(c) % 8u);
		rq->data_len = 16;
		break;
	case FS_SESSION_END:
		store_le64(room + KV_UUID_SIZE, 1 + cursor_u8(c) % 2u);
		rq->data_len = sizeof(room);
		break;
	default:
		rq->data = "12345678";
		rq->data_len = 8;
	}
}

static void take_request(struct cursor *c, struct fs_request *rq, char names[2][2])
{
	static const uint8_t ops[] = {
		FS_LOOKUP,   FS_GETATTR,     FS_READLINK, FS_READ,        FS_READDIR,
		FS_GETXATTR, FS_LISTXATTR,   FS_STATFS,   FS_ORPHANS,     FS_SETATTR,
		FS_CREATE,   FS_OPEN_TRUNC,  FS_WRITE,    FS_MKDIR,       FS_RMDIR,
		FS_UNLINK,   FS_LINK,        FS_SYMLINK,  FS_RENAME,      FS_MKNOD,
		FS_SETXATTR, FS_REMOVEXATTR, FS_RECLAIM,  FS_ORPHAN_HOLD, FS_MAKE_ROOT,
		FS_SEEK,     FS_ALLOCATE,    FS_PUNCH,    FS_COPY_RANGE,  FS_TMPFILE,
		FS_ACCESS,   FS_OPEN,        FS_GATHERED, FS_DELEGATION_RETURN, FS_DELEGATION_REVOKE,
		FS_SESSION_END,
	};

	names[0][0] = (char)('a' + cursor_u8(c) % 4);
	names[1][0] = (char)('a' + cursor_u8(c) % 4);
	*rq = (struct fs_request){
		.op = ops[cursor_u8(c) % ARRAY_SIZE(ops)],
		.ino = take_ino(c),
		.ino2 = take_ino(c),
		.name = names[0],
		.name_len = 1,
		.name2 = names[1],
		.name2_len = 1,
		.mode = take_type(c) | 0755,
		.uid = cursor_u8(c) % 4,
		.gid = 1,
		.checked = cursor_u8(c) % 2 == 1,
		.flags = cursor_u8(c) % 4,
		.valid = cursor_le16(c) & 2047,
		.offset = cursor_u8(c) * 4096ull,
		.size = cursor_le16(c),
	};
	take_data(c, rq);
}

/* The tree with what this request made of it, or -EUCLEAN: the process would end here. */
static int evaluate(struct overlay *o, uint64_t *index, const struct fs_request *rq)
{
	struct fs_stamp stamp = { .index = *index, .wall_ns = 1000, .session_id = 1 + *index % 2, .room_bytes = UINT64_MAX };
	struct kv_txn *txn = kv_txn_new(empty_view(), o);
	struct kv_batch_head head = { .prev_index = *index - 1 };
	struct fs_result res = { .reply = BUF_INIT };
	int ret = fs_eval(txn, rq, &stamp, &res);
	struct blob *batch;

	assert(ret == 0 || ret == -EUCLEAN);
	if (ret == 0 && res.outcome == FS_OK && !kv_txn_is_empty(txn)) {
		batch = kv_txn_batch(txn, &head);
		if (overlay_push(o, (*index)++, 1, batch) < 0)
			abort();
		blob_unref(batch);
	}
	buf_release(&res.reply);
	kv_txn_free(txn);
	return ret;
}

static void check(struct overlay *o)
{
	struct kv_txn *txn = kv_txn_new(empty_view(), o);
	struct buf out = BUF_INIT;
	int ret = fs_check(txn, &out);

	assert(ret >= 0 && (ret == 0) == (out.len == 0));
	buf_release(&out);
	kv_txn_free(txn);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_init(data, size);
	struct overlay *o = overlay_new();
	struct kv_txn *rows = kv_txn_new(empty_view(), NULL);
	struct kv_batch_head head = { .prev_index = 1 };
	size_t row_count = cursor_u8(&c) % ROWS_MAX;
	struct blob *batch;
	uint64_t index = 2;
	char names[2][2] = { "", "" };

	for (size_t i = 0; i < row_count && cursor_left(&c) > 0; i++)
		take_row(&c, rows);
	batch = kv_txn_batch(rows, &head);
	kv_txn_free(rows);
	if (overlay_push(o, index++, 1, batch) < 0)
		abort();
	blob_unref(batch);
	check(o);
	for (size_t i = 0; i < REQUESTS_MAX && cursor_left(&c) > 0; i++) {
		struct fs_request rq;

		take_request(&c, &rq, names);
		if (evaluate(o, &index, &rq) < 0)
			break;
	}
	overlay_free(o);
	return 0;
}
