/* fuzz_record.c - the file system's records and keys: refused, or what encodes to the same bytes. */
#include <sys/stat.h>

#include "fs/ops/key.h"
#include "fs/ops/rec.h"
#include "tests/fuzz/fuzz.h"

static void check_inode(const uint8_t *data, size_t size)
{
	struct buf again = BUF_INIT;
	struct inode_rec rec;

	if (inode_rec_decode(&rec, data, size) < 0)
		return;
	assert(inode_rec_bytes(&rec) <= (uint64_t)rec.block_count * KV_BLOCK_SIZE);
	assert((rec.target_len > 0) == S_ISLNK(rec.mode));
	inode_rec_encode(&rec, &again);
	fuzz_same(&again, data, size);
}

static void check_entries(const uint8_t *data, size_t size)
{
	struct buf again = BUF_INIT;
	struct dentry_rec dentry;
	struct order_rec order;

	if (dentry_rec_decode(&dentry, data, size) == 0) {
		dentry_rec_encode(&dentry, &again);
		fuzz_same(&again, data, size);
	}
	if (order_rec_decode(&order, data, size) == 0) {
		order_rec_encode(&order, &again);
		fuzz_same(&again, data, size);
	}
}

static void check_others(const uint8_t *data, size_t size)
{
	struct buf again = BUF_INIT;
	struct orphan_rec orphan;
	struct counters_rec counters;

	if (orphan_rec_decode(&orphan, data, size) == 0) {
		orphan_rec_encode(&orphan, &again);
		fuzz_same(&again, data, size);
	}
	if (counters_rec_decode(&counters, data, size) == 0) {
		counters_rec_encode(&counters, &again);
		fuzz_same(&again, data, size);
	}
	if (truncate_rec_decode(data, size) == 0) {
		truncate_rec_encode(&again);
		fuzz_same(&again, data, size);
	}
}

static void check_locks(const uint8_t *data, size_t size)
{
	struct buf again = BUF_INIT;
	struct waiter_rec waiter;
	struct lock_rec lock;
	uint32_t count;

	if (lock_rec_decode(&lock, data, size) == 0) {
		lock_rec_encode(&lock, &again);
		fuzz_same(&again, data, size);
	}
	if (waiter_rec_decode(&waiter, data, size) == 0) {
		waiter_rec_encode(&waiter, &again);
		fuzz_same(&again, data, size);
	}
	if (holder_rec_decode(&count, data, size) == 0) {
		holder_rec_encode(count, &again);
		fuzz_same(&again, data, size);
	}
}

static void check_delegations(const uint8_t *data, size_t size)
{
	struct buf again = BUF_INIT;
	struct fs_delegation d;
	int count;

	if (delegation_rec_decode(&d, data, size) == 0) {
		delegation_rec_encode(&d, &again);
		fuzz_same(&again, data, size);
	}
	count = delegated_rec_count(data, size);
	if (count < 0)
		return;
	delegated_rec_begin(&again);
	for (int i = 0; i < count; i++) {
		struct delegated t = delegated_at(data, (size_t)i);

		delegated_encode(&t, &again);
	}
	fuzz_same(&again, data, size);
}

static void build_key(struct key *k, const struct key_parts *parts)
{
	switch (parts->class) {
	case KEY_ORDER:
		key_order(k, parts->ino, parts->cookie);
		break;
	case KEY_LOCK:
		key_lock(k, parts->ino, parts->kind, parts->session, parts->owner, parts->start);
		break;
	case KEY_LOCK_HOLDER:
		key_holder(k, parts->session, parts->ino);
		break;
	case KEY_LOCK_WAITER:
		key_waiter(k, parts->session, parts->owner, parts->start);
		break;
	case KEY_COUNTERS:
		key_counters(k);
		break;
	case KEY_USER:
		key_user(k, parts->rest, parts->rest_len);
		break;
	case KEY_DENTRY:
	case KEY_XATTR:
		key_ino_name(k, parts->class, parts->ino, parts->rest, parts->rest_len);
		break;
	default:
		key_ino(k, parts->class, parts->ino);
	}
}

static void check_key(const uint8_t *data, size_t size)
{
	struct kv_mutation m = { .type = KV_PUT, .key = data, .key_len = size };
	struct key_parts parts;
	struct key k;

	(void)fs_mutation_ino(&m);
	(void)fs_mutation_unlocks(&m);
	(void)(size > 0 && fs_mutation_is_orphan(&m));
	if (key_parse(&parts, data, size) < 0)
		return;
	build_key(&k, &parts);
	assert(k.len == size && memcmp(k.data, data, size) == 0);
	assert(fs_mutation_ino(&m) == parts.ino);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_inode(data, size);
	check_entries(data, size);
	check_others(data, size);
	check_locks(data, size);
	check_delegations(data, size);
	check_key(data, size);
	return 0;
}
