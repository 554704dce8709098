/*
 * bench_block.c - what a block size costs: the figures behind KV_BLOCK_SIZE in docs/decisions.md.
 *
 *   make BUILD=/tmp/b16 CFLAGS=-DKV_BLOCK_SIZE=16384u /tmp/b16/bench/bench_block
 *   /tmp/b16/bench/bench_block DIR [MIB]
 *
 * Works on the store library alone, through kv_apply() and kv_txn: the file is written sequentially,
 * patched at random, read at random and in order, warm and (as root) cold. One line per figure: block
 * size, name, by the wall clock, in processor time (what counts on a machine with other work), unit.
 */
#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/prng.h"
#include "store/kv.h"

#define WRITE_SIZE 131072u
#define PATCH_COUNT 20000
#define READ_COUNT 4000
#define ROW_COUNT 100000
#define WAL_LIMIT (64ull << 20)
#define GROUP_MAX 16

struct bench {
	struct kv *kv;
	struct kv_view *view;
	uint64_t index;
	uint64_t wal_written; /* bytes of WAL that were checkpointed away */
	uint64_t file_bytes;
	struct prng prng;
};

static void must(int ret, const struct err *err)
{
	if (ret == 0)
		return;
	err_print(err, "bench_block");
	exit(1);
}

struct span {
	double wall, cpu; /* seconds */
};

static struct span span_now(void)
{
	struct timespec cpu;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	return (struct span){ (double)clock_boot_ns() / 1e9,
			      (double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9 };
}

static struct span span_since(struct span start)
{
	struct span now = span_now();

	return (struct span){ now.wall - start.wall, now.cpu - start.cpu };
}

static void line(const char *name, double wall, double cpu, const char *unit)
{
	printf("%6u  %-44s %9.2f %9.2f %s\n", KV_BLOCK_SIZE, name, wall, cpu, unit);
	fflush(stdout);
}

static void each(const char *name, struct span s, size_t count)
{
	line(name, s.wall * 1e6 / (double)count, s.cpu * 1e6 / (double)count, "us");
}

static void rate(const char *name, struct span s, uint64_t bytes)
{
	double mib = (double)bytes / (1 << 20);

	line(name, mib / s.wall, mib / s.cpu, "MiB/s");
}

static void amount(const char *name, const char *what, double value, const char *unit)
{
	char text[64];

	snprintf(text, sizeof(text), "%s: %s", name, what);
	line(text, value, 0, unit);
}

static void checkpoint(struct bench *b)
{
	struct err err = ERR_INIT;
	uint64_t durable;

	b->wal_written += kv_wal_bytes(b->kv);
	kv_view_unpin(b->view);
	must(kv_checkpoint(b->kv, &durable, &err), &err);
	must(kv_view_refresh(b->view), &err);
}

/* Applies the transactions as one run and frees them. */
static void apply(struct bench *b, struct kv_txn **txns, size_t count)
{
	struct raft_entry run[GROUP_MAX] = { { .index = 0 } };
	struct err err = ERR_INIT;

	for (size_t i = 0; i < count; i++) {
		struct kv_batch_head head = { .prev_index = b->index + i, .prev_term = 1 };

		run[i] = (struct raft_entry){ .index = b->index + 1 + i,
					      .term = 1,
					      .type = RAFT_ENTRY_NORMAL,
					      .data = kv_txn_batch(txns[i], &head) };
		kv_txn_free(txns[i]);
	}
	must(kv_apply(b->kv, run, count, &err), &err);
	for (size_t i = 0; i < count; i++)
		blob_unref(run[i].data);
	b->index += count;
	if (kv_wal_bytes(b->kv) > WAL_LIMIT)
		checkpoint(b);
}

static void write_in_order(struct bench *b, uint64_t ino, size_t group, const char *name)
{
	uint8_t *data = mem_alloc(WRITE_SIZE);
	struct kv_txn *txns[GROUP_MAX];
	struct span start;
	uint64_t wal;

	checkpoint(b);
	start = span_now();
	wal = b->wal_written;
	for (size_t i = 0; i < WRITE_SIZE; i += 8)
		store_le64(data + i, prng_u64(&b->prng));
	for (uint64_t off = 0; off < b->file_bytes;) {
		size_t n = 0;

		for (; n < group && off < b->file_bytes; n++, off += WRITE_SIZE) {
			txns[n] = kv_txn_new(b->view, NULL);
			store_le64(data, off);
			kv_txn_write(txns[n], ino, off, data, WRITE_SIZE);
		}
		apply(b, txns, n);
	}
	checkpoint(b);
	rate(name, span_since(start), b->file_bytes);
	amount(name, "WAL per byte", (double)(b->wal_written - wal) / (double)b->file_bytes, "");
	free(data);
}

static void patch_at_random(struct bench *b, uint32_t size, size_t group, const char *name)
{
	uint8_t data[8192];
	struct kv_txn *txns[GROUP_MAX];
	struct span start;
	uint64_t wal;

	memset(data, 'p', sizeof(data));
	checkpoint(b);
	start = span_now();
	wal = b->wal_written;
	for (size_t i = 0; i < PATCH_COUNT; i += group) {
		for (size_t n = 0; n < group; n++) {
			store_le64(data, prng_u64(&b->prng));
			txns[n] = kv_txn_new(b->view, NULL);
			kv_txn_write(txns[n], 1, prng_below(&b->prng, b->file_bytes / 4096) * 4096,
				     data, size);
		}
		apply(b, txns, group);
	}
	checkpoint(b);
	each(name, span_since(start), PATCH_COUNT);
	amount(name, "WAL each", (double)(b->wal_written - wal) / PATCH_COUNT / 1024, "KiB");
}

/* Appends that grow the last block, as a log file does (100 bytes) or cp without large writes (4 KiB). */
static void append(struct bench *b, uint64_t ino, size_t size, const char *name)
{
	uint8_t data[4096] = "a line of a log file";
	struct span start;
	uint64_t wal;

	checkpoint(b);
	start = span_now();
	wal = b->wal_written;
	for (uint64_t i = 0; i < PATCH_COUNT; i++) {
		struct kv_txn *t = kv_txn_new(b->view, NULL);

		kv_txn_write(t, ino, i * size, data, size);
		apply(b, &t, 1);
	}
	checkpoint(b);
	each(name, span_since(start), PATCH_COUNT);
	amount(name, "WAL each", (double)(b->wal_written - wal) / PATCH_COUNT / 1024, "KiB");
}

static bool drop_caches(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);
	int ret;

	sync();
	if (fd < 0)
		return false;
	ret = io_write_all(fd, "3", 1);
	close(fd);
	return ret == 0;
}

static void read_at_random(struct bench *b, bool cold, size_t size, const char *name)
{
	uint8_t *data = mem_alloc(size);
	struct err err = ERR_INIT;
	struct span start;

	/* A new view has no pages cached of its own either. */
	kv_view_close(b->view);
	must(kv_view_open(b->kv, &b->view, &err), &err);
	if (!cold || drop_caches()) {
		start = span_now();
		for (int i = 0; i < READ_COUNT; i++) {
			struct kv_txn *t = kv_txn_new(b->view, NULL);
			uint64_t off = prng_below(&b->prng, b->file_bytes / size) * size;

			must(kv_txn_read(t, 1, off, data, size), &err);
			kv_txn_free(t);
		}
		each(name, span_since(start), READ_COUNT);
	}
	free(data);
}

static void read_in_order(struct bench *b, bool cold, const char *name)
{
	uint8_t *data = mem_alloc(WRITE_SIZE);
	struct err err = ERR_INIT;
	struct kv_txn *t;
	struct span start;

	kv_view_close(b->view);
	must(kv_view_open(b->kv, &b->view, &err), &err);
	if (!cold || drop_caches()) {
		t = kv_txn_new(b->view, NULL);
		start = span_now();
		for (uint64_t off = 0; off < b->file_bytes; off += WRITE_SIZE)
			must(kv_txn_read(t, 1, off, data, WRITE_SIZE), &err);
		rate(name, span_since(start), b->file_bytes);
		kv_txn_free(t);
	}
	free(data);
}

static int count_row(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *value,
		     size_t len)
{
	(*(size_t *)ctx)++;
	return 0;
}

/* Files of 1 KiB: three rows and one short block each, as creating one makes them. */
static void small_files(struct bench *b)
{
	uint64_t before = kv_size_bytes(b->kv), wal = b->wal_written;
	struct span start = span_now();
	struct kv_txn *txns[8];
	struct err err = ERR_INIT;
	uint8_t data[1024] = "small", value[100] = "inode";
	size_t count = 0;

	for (uint64_t i = 0; i < ROW_COUNT; i += ARRAY_SIZE(txns)) {
		for (size_t n = 0; n < ARRAY_SIZE(txns); n++) {
			uint8_t key[9] = "i";

			txns[n] = kv_txn_new(b->view, NULL);
			for (const char *class = "ide"; *class; class ++) {
				key[0] = (uint8_t) * class;
				store_be64(key + 1, i + n);
				kv_txn_put(txns[n], key, sizeof(key), value, sizeof(value));
			}
			kv_txn_write(txns[n], 1000 + i + n, 0, data, sizeof(data));
		}
		apply(b, txns, ARRAY_SIZE(txns));
	}
	checkpoint(b);
	each("small file, 8 per transaction", span_since(start), ROW_COUNT);
	amount("small file", "WAL each", (double)(b->wal_written - wal) / ROW_COUNT / 1024, "KiB");
	amount("small file", "bytes in the state",
	       (double)(kv_size_bytes(b->kv) - before) / ROW_COUNT, "");
	txns[0] = kv_txn_new(b->view, NULL);
	start = span_now();
	must(kv_txn_scan(txns[0], "d", 1, NULL, 0, count_row, &count), &err);
	each("scan of 1,000 rows", span_since(start), ROW_COUNT / 1000);
	kv_txn_free(txns[0]);
	start = span_now();
	for (int i = 0; i < 10000; i++)
		must(kv_view_refresh(b->view), &err);
	each("refresh of a view", span_since(start), 10000);
}

int main(int argc, char **argv)
{
	struct kv_meta meta = { .applied_index = 1, .applied_term = 1 };
	struct bench b = { .index = 1 };
	struct err err = ERR_INIT;
	uint8_t digest[KV_DIGEST_SIZE];
	struct span start;

	if (argc < 2) {
		fprintf(stderr, "usage: bench_block DIR [MIB]\n");
		return 2;
	}
	b.file_bytes = (argc > 2 ? strtoull(argv[2], NULL, 10) : 512) << 20;
	prng_init(&b.prng, 1);
	io_remove_tree(AT_FDCWD, argv[1]);
	must(kv_create_sqlite(argv[1], &meta, &err), &err);
	must(kv_open_sqlite(argv[1], &b.kv, &err), &err);
	must(kv_view_open(b.kv, &b.view, &err), &err);
	write_in_order(&b, 1, 1, "write 128 KiB, alone");
	write_in_order(&b, 1, 1, "overwrite 128 KiB, alone");
	write_in_order(&b, 2, 8, "write 128 KiB, 8 per transaction");
	patch_at_random(&b, 4096, 1, "patch 4 KiB, alone");
	patch_at_random(&b, 4096, 8, "patch 4 KiB, 8 per transaction");
	append(&b, 3, 100, "append 100 bytes");
	append(&b, 4, 4096, "append 4 KiB");
	read_at_random(&b, false, 4096, "read 4 KiB, warm");
	read_at_random(&b, true, 4096, "read 4 KiB, cold");
	read_at_random(&b, true, WRITE_SIZE, "read 128 KiB, cold");
	read_in_order(&b, false, "read in order, warm");
	read_in_order(&b, true, "read in order, cold");
	small_files(&b);
	start = span_now();
	must(kv_view_digest(b.view, digest, &err), &err);
	rate("digest from scratch", span_since(start), kv_size_bytes(b.kv));
	kv_view_close(b.view);
	kv_unref(b.kv);
	io_remove_tree(AT_FDCWD, argv[1]);
	return 0;
}
