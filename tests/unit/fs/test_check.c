/* test_check.c - fs_check() finds every kind of damage. Damage is made in a txn that is thrown away. */
#include <sys/stat.h>

#include "fs/ops/key.h"
#include "fs/ops/rec.h"
#include "tests/lib/fsfix.h"

#define BS ((uint64_t)KV_BLOCK_SIZE)

struct tree {
	struct fsfix *f;
	struct kv_txn *txn;
	uint64_t dir, sub, file, held; /* /dir, /dir/sub, /dir/file, an orphan */
};

static struct tree tree_make(struct fsfix *f)
{
	struct tree t = { .f = f };

	t.dir = fsfix_dir(f, FS_ROOT_INO, "dir");
	t.sub = fsfix_dir(f, t.dir, "sub");
	t.file = fsfix_file(f, t.dir, "file");
	t.held = fsfix_file(f, t.dir, "held");
	assert_int_equal(fsfix_write(f, t.file, 0, "data", 4), 0);
	assert_int_equal(fsfix_setxattr(f, t.file, "user.a", "v", 0), 0);
	assert_int_equal(fsfix_unlink(f, t.dir, "held"), 0);
	t.txn = kv_txn_new(f->view, f->overlay);
	return t;
}

/* The check of the damaged tree says text, and throws the damage away. */
static void assert_found(struct tree *t, const char *text)
{
	struct buf out = BUF_INIT;

	assert_int_equal(fs_check(t->txn, &out), 1);
	buf_put_u8(&out, '\0');
	if (!strstr((char *)out.data, text))
		fail_msg("'%s' is not in:\n%s", text, (char *)out.data);
	buf_release(&out);
	kv_txn_free(t->txn);
	t->txn = kv_txn_new(t->f->view, t->f->overlay);
}

static void put(struct tree *t, const struct key *k, struct buf *rec)
{
	kv_txn_put(t->txn, k->data, k->len, rec->data, rec->len);
	buf_release(rec);
}

static void drop(struct tree *t, const struct key *k)
{
	kv_txn_delete(t->txn, k->data, k->len);
}

static struct inode_rec inode_get(struct tree *t, uint64_t ino)
{
	struct buf row = BUF_INIT;
	struct inode_rec rec;
	struct key k;

	key_ino(&k, KEY_INODE, ino);
	assert_int_equal(kv_txn_get(t->txn, k.data, k.len, &row), 0);
	assert_int_equal(inode_rec_decode(&rec, row.data, row.len), 0);
	buf_release(&row);
	rec.target = NULL;
	return rec;
}

static void inode_put(struct tree *t, uint64_t ino, const struct inode_rec *rec)
{
	struct buf out = BUF_INIT;
	struct key k;

	key_ino(&k, KEY_INODE, ino);
	inode_rec_encode(rec, &out);
	put(t, &k, &out);
}

static struct dentry_rec dentry_get(struct tree *t, uint64_t parent, const char *name)
{
	struct buf row = BUF_INIT;
	struct dentry_rec d;
	struct key k;

	key_ino_name(&k, KEY_DENTRY, parent, name, strlen(name));
	assert_int_equal(kv_txn_get(t->txn, k.data, k.len, &row), 0);
	assert_int_equal(dentry_rec_decode(&d, row.data, row.len), 0);
	buf_release(&row);
	return d;
}

static void dentry_put(struct tree *t, uint64_t parent, const char *name, struct dentry_rec d)
{
	struct buf out = BUF_INIT;
	struct key k;

	key_ino_name(&k, KEY_DENTRY, parent, name, strlen(name));
	dentry_rec_encode(&d, &out);
	put(t, &k, &out);
}

static void a_sound_tree_is_clean(void **state)
{
	struct tree t = tree_make(*state);
	struct buf out = BUF_INIT;

	assert_int_equal(fs_check(t.txn, &out), 0);
	assert_int_equal(out.len, 0);
	kv_txn_free(t.txn);
}

static void an_empty_store_is_clean(void **state)
{
	struct kv_meta meta = { .applied_index = 1, .applied_term = 1 };
	struct kv *kv = kv_new_memory(&meta);
	struct kv_view *view;
	struct kv_txn *txn;
	struct buf out = BUF_INIT;

	assert_int_equal(kv_view_open(kv, &view, NULL), 0);
	txn = kv_txn_new(view, NULL);
	assert_int_equal(fs_check(txn, &out), 0);
	kv_txn_free(txn);
	kv_view_close(view);
	kv_unref(kv);
}

static void link_counts_are_held_against_names(void **state)
{
	struct tree t = tree_make(*state);
	struct inode_rec rec = inode_get(&t, t.file);

	rec.nlink++;
	inode_put(&t, t.file, &rec);
	assert_found(&t, "nlink 2, but 1 names");
	rec = inode_get(&t, t.dir);
	rec.nlink--;
	inode_put(&t, t.dir, &rec);
	assert_found(&t, "nlink 2, but it should be 3");
	rec = inode_get(&t, t.dir);
	rec.size++;
	inode_put(&t, t.dir, &rec);
	assert_found(&t, "size 3, 2 names, 2 cookies");
	kv_txn_free(t.txn);
}

static void entries_must_lead_somewhere(void **state)
{
	struct tree t = tree_make(*state);
	struct dentry_rec d = dentry_get(&t, t.dir, "file");
	struct key k;

	d.ino = 4242;
	dentry_put(&t, t.dir, "file", d);
	assert_found(&t, "leads to 4242");
	d = dentry_get(&t, t.dir, "file");
	d.mode = S_IFDIR;
	dentry_put(&t, t.dir, "file", d);
	assert_found(&t, "another type");
	key_ino_name(&k, KEY_DENTRY, t.dir, "file", 4);
	drop(&t, &k);
	assert_found(&t, "nlink 1, but 0 names");
	d = dentry_get(&t, t.dir, "file");
	dentry_put(&t, t.file, "below", d);
	assert_found(&t, "is no directory");
	key_ino(&k, KEY_INODE, t.file);
	drop(&t, &k);
	assert_found(&t, "is missing");
	kv_txn_free(t.txn);
}

static void cookies_must_fit_names(void **state)
{
	struct tree t = tree_make(*state);
	struct dentry_rec d = dentry_get(&t, t.dir, "file"), other = dentry_get(&t, t.dir, "sub");
	struct key k;

	key_order(&k, t.dir, d.cookie);
	drop(&t, &k);
	assert_found(&t, "no order record that fits");
	d.cookie = other.cookie;
	dentry_put(&t, t.dir, "file", d);
	assert_found(&t, "no order record that fits");
	key_order(&k, 777, 9);
	put(&t, &k, &(struct buf){ .data = NULL });
	assert_found(&t, "cookie 9 in 777");
	kv_txn_free(t.txn);
}

static void directories_must_reach_the_root(void **state)
{
	struct tree t = tree_make(*state);
	struct dentry_rec d = dentry_get(&t, FS_ROOT_INO, "dir");
	struct inode_rec rec;
	struct key k;

	/* /dir moves below /dir/sub: a circle beside the tree. */
	key_ino_name(&k, KEY_DENTRY, FS_ROOT_INO, "dir", 3);
	drop(&t, &k);
	dentry_put(&t, t.sub, "dir", d);
	rec = inode_get(&t, t.dir);
	rec.parent = t.sub;
	inode_put(&t, t.dir, &rec);
	assert_found(&t, "in a circle");
	rec = inode_get(&t, t.sub);
	rec.parent = FS_ROOT_INO;
	inode_put(&t, t.sub, &rec);
	assert_found(&t, "its parent is 1");
	rec = inode_get(&t, t.sub);
	rec.parent = 999;
	inode_put(&t, t.sub, &rec);
	assert_found(&t, "cannot be reached");
	kv_txn_free(t.txn);
}

static void orphans_are_held_against_the_list(void **state)
{
	struct tree t = tree_make(*state);
	struct buf rec = BUF_INIT;
	struct key k;

	key_ino(&k, KEY_ORPHAN, t.held);
	drop(&t, &k);
	assert_found(&t, "it is not in the orphan list");
	key_ino(&k, KEY_ORPHAN, t.file);
	orphan_rec_encode(&(struct orphan_rec){ .holder_count = 0 }, &rec);
	put(&t, &k, &rec);
	assert_found(&t, "it is in the orphan list");
	key_ino(&k, KEY_ORPHAN, 888);
	orphan_rec_encode(&(struct orphan_rec){ .holder_count = 0 }, &rec);
	put(&t, &k, &rec);
	assert_found(&t, "orphan 888: there is no such inode");
	key_ino(&k, KEY_TRUNCATE, t.file);
	truncate_rec_encode(&rec);
	put(&t, &k, &rec);
	assert_found(&t, "pending truncate");
	kv_txn_free(t.txn);
}

static void blocks_are_held_against_inodes(void **state)
{
	struct tree t = tree_make(*state);

	kv_txn_write(t.txn, t.file, 7 * BS, "x", 1);
	assert_found(&t, "blocks behind its size");
	kv_txn_drop_blocks(t.txn, t.file, 0, 1);
	assert_found(&t, "block count 1, but 0 rows");
	kv_txn_free(t.txn);
}

static void blocks_without_an_inode_are_found(void **state)
{
	struct tree t = tree_make(*state);
	uint64_t gone = fsfix_file(t.f, FS_ROOT_INO, "gone");

	fsfix_file(t.f, FS_ROOT_INO, "after");
	assert_int_equal(fsfix_unlink(t.f, FS_ROOT_INO, "gone"), 0);
	assert_int_equal(fsfix_reclaim(t.f, gone), 0);
	kv_txn_free(t.txn);
	t.txn = kv_txn_new(t.f->view, t.f->overlay);
	kv_txn_write(t.txn, gone, 0, "x", 1);
	assert_found(&t, "blocks, but no record");
	kv_txn_free(t.txn);
}

static void attributes_are_held_against_inodes(void **state)
{
	struct tree t = tree_make(*state);
	struct key k;

	key_ino_name(&k, KEY_XATTR, t.file, "user.a", 6);
	drop(&t, &k);
	assert_found(&t, "1 attributes, but 0 are there");
	key_ino_name(&k, KEY_XATTR, 999, "user.a", 6);
	put(&t, &k, &(struct buf){ .data = NULL });
	assert_found(&t, "attribute 'user.a' of inode 999");
	kv_txn_free(t.txn);
}

static void counters_are_held_against_all(void **state)
{
	struct tree t = tree_make(*state);
	struct buf rec = BUF_INIT;
	struct key k;

	key_counters(&k);
	counters_rec_encode(&(struct counters_rec){ .next_ino = 2, .inode_count = 9 }, &rec);
	put(&t, &k, &rec);
	assert_found(&t, "counters: 9 inodes and 0 bytes, but there are 5 and 4096");
	counters_rec_encode(
		&(struct counters_rec){ .next_ino = 2, .inode_count = 5, .bytes_used = 4096 },
		&rec);
	put(&t, &k, &rec);
	assert_found(&t, "the next inode is 2");
	drop(&t, &k);
	assert_found(&t, "counters: 0 inodes");
	kv_txn_free(t.txn);
}

static void records_that_do_not_decode_are_named(void **state)
{
	struct tree t = tree_make(*state);
	struct dentry_rec d = dentry_get(&t, t.dir, "file");
	struct key k;

	key_ino(&k, KEY_INODE, t.file);
	put(&t, &k, &(struct buf){ .data = NULL });
	assert_found(&t, "its record does not decode");
	key_ino_name(&k, KEY_DENTRY, t.dir, "file", 4);
	put(&t, &k, &(struct buf){ .data = NULL });
	assert_found(&t, "name 'file': its record does not decode");
	key_order(&k, t.dir, d.cookie);
	put(&t, &k, &(struct buf){ .data = NULL });
	assert_found(&t, "its record does not decode");
	key_ino(&k, KEY_ORPHAN, t.held);
	put(&t, &k, &(struct buf){ .data = NULL });
	assert_found(&t, "its record does not decode");
	kv_txn_put(t.txn, "zz", 2, "", 0);
	assert_found(&t, "a key of class 0x7a");
	key_counters(&k);
	put(&t, &k, &(struct buf){ .data = NULL });
	assert_found(&t, "the counters do not decode");
	kv_txn_free(t.txn);
}

static void a_tree_without_root_is_no_tree(void **state)
{
	struct tree t = tree_make(*state);
	struct key k;

	key_ino(&k, KEY_INODE, FS_ROOT_INO);
	drop(&t, &k);
	assert_found(&t, "there is no root directory");
	kv_txn_free(t.txn);
}

/* fs_eval() must not answer the client from a state that contradicts itself. */
static void evaluation_stops_at_damage(void **state)
{
	struct tree t = tree_make(*state);
	struct fs_request rq = { .op = FS_LOOKUP, .ino = t.dir, .name = "file", .name_len = 4 };
	struct fs_stamp stamp = { .index = 1000 };
	struct fs_result res;
	struct key k;

	key_ino(&k, KEY_INODE, t.file);
	drop(&t, &k);
	assert_int_equal(fs_eval(t.txn, &rq, &stamp, &res), -EUCLEAN);
	assert_int_equal(res.reply.len, 0);
	put(&t, &k, &(struct buf){ .data = NULL });
	assert_int_equal(fs_eval(t.txn, &rq, &stamp, &res), -EUCLEAN);
	kv_txn_free(t.txn);
}

/* An entry of a client with this uuid, so that the state holds a session. */
static void begin_session(struct fsfix *f, uint8_t uuid_byte)
{
	const struct kv_meta *meta = kv_view_meta(f->view);
	struct kv_batch_head head = {
		.group = meta->group,
		.prev_index = meta->applied_index,
		.prev_term = meta->applied_term,
		.has_session = true,
		.seq = 1,
		.low = 1,
		.session_id = meta->applied_index + 1,
		.begins = true,
		.stamp = meta->applied_index,
	};
	struct raft_entry e = { .term = meta->applied_term, .type = RAFT_ENTRY_NORMAL };
	struct kv_txn *txn = kv_txn_new(f->view, NULL);

	memset(head.uuid, uuid_byte, sizeof(head.uuid));
	e.index = ++f->tail;
	e.data = kv_txn_batch(txn, &head);
	kv_txn_free(txn);
	assert_int_equal(kv_apply(f->kv, &e, 1, NULL), 0);
	blob_unref(e.data);
	f->applied = f->tail;
	assert_int_equal(kv_view_refresh(f->view), 0);
}

/* Sessions are the store's own and skipped; what lies before and behind them, and inodes, is not. */
static void classes_around_sessions_are_seen(void **state)
{
	static const uint8_t odd[] = { 0x00, 'h', 'j', 'r', 'y', 0xff };
	struct tree t = tree_make(*state);
	struct buf out = BUF_INIT;

	kv_txn_free(t.txn);
	begin_session(t.f, 0x00);
	begin_session(t.f, 0x7f);
	begin_session(t.f, 0xff);
	t.txn = kv_txn_new(t.f->view, t.f->overlay);
	assert_int_equal(fs_check(t.txn, &out), 0);
	buf_release(&out);
	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		char text[60];

		kv_txn_put(t.txn, &odd[i], 1, "x", 1);
		snprintf(text, sizeof(text), "a key of class 0x%02x", odd[i]);
		assert_found(&t, text);
	}
	kv_txn_free(t.txn);
}

static void acls_fit_their_modes(void **state)
{
	/* u::rw- u:1:rw- g::r-- m::rw- o::---: 0660 */
	static const uint8_t acl[] = { 2,   0,   0,   0,   1,   0,   6,  0,   255, 255, 255,
				       255, 2,   0,   6,   0,   1,   0,  0,   0,   4,   0,
				       4,   0,   255, 255, 255, 255, 16, 0,   6,   0,   255,
				       255, 255, 255, 32,  0,   0,   0,  255, 255, 255, 255 };
	struct fsfix *f = *state;
	struct tree t = tree_make(f);
	struct inode_rec rec;
	struct key k;

	kv_txn_free(t.txn);
	assert_int_equal(fsfix_eval(f, (struct fs_request){ .op = FS_SETXATTR,
							    .ino = t.file,
							    .name = FS_ACL_ACCESS,
							    .name_len = strlen(FS_ACL_ACCESS),
							    .data = acl,
							    .data_len = sizeof(acl) }),
			 0);
	fsfix_apply(f);
	fsfix_check(f);
	t.txn = kv_txn_new(f->view, f->overlay);
	rec = inode_get(&t, t.file);
	assert_int_equal(rec.mode & 0777, 0660);
	rec.mode ^= 0100;
	inode_put(&t, t.file, &rec);
	assert_found(&t, "mode 760, but its ACL says 660");
	key_ino_name(&k, KEY_XATTR, t.file, FS_ACL_ACCESS, strlen(FS_ACL_ACCESS));
	kv_txn_put(t.txn, k.data, k.len, acl, sizeof(acl) - 1);
	assert_found(&t, "an ACL does not decode");
	rec = inode_get(&t, t.file);
	rec.xattr_count++;
	rec.xattr_bytes += (uint32_t)strlen(FS_ACL_DEFAULT) + 1;
	inode_put(&t, t.file, &rec);
	key_ino_name(&k, KEY_XATTR, t.file, FS_ACL_DEFAULT, strlen(FS_ACL_DEFAULT));
	kv_txn_put(t.txn, k.data, k.len, acl, sizeof(acl));
	assert_found(&t, "a default ACL, but it is no directory");
	kv_txn_free(t.txn);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FSFIX_BOTH(a_sound_tree_is_clean),
		cmocka_unit_test(an_empty_store_is_clean),
		FSFIX_BOTH(link_counts_are_held_against_names),
		FSFIX_BOTH(entries_must_lead_somewhere),
		FSFIX_BOTH(cookies_must_fit_names),
		FSFIX_BOTH(directories_must_reach_the_root),
		FSFIX_BOTH(orphans_are_held_against_the_list),
		FSFIX_BOTH(blocks_are_held_against_inodes),
		FSFIX_BOTH(blocks_without_an_inode_are_found),
		FSFIX_BOTH(attributes_are_held_against_inodes),
		FSFIX_BOTH(acls_fit_their_modes),
		FSFIX_BOTH(counters_are_held_against_all),
		FSFIX_BOTH(records_that_do_not_decode_are_named),
		FSFIX_BOTH(a_tree_without_root_is_no_tree),
		FSFIX_BOTH(evaluation_stops_at_damage),
		FSFIX_BOTH(classes_around_sessions_are_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
