/*
 * test_random.c - clusters under seeded faults and load; every run replays from its seed.
 *
 * Load: clients append numbered records to one key and one file, make and unlink files, over any node.
 * Faults: nodes killed and started, links cut, frozen and joined, workers held, leadership moved,
 * snapshots small enough to be installed. Then faults stop, progress must return, and every record is
 * there exactly once. A read over any node holds every record that was acknowledged, to whomever, before
 * the read was sent.
 *
 * SEED=n runs that one; RUNS=n as many from 1 on.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "tests/unit/node/node_rig.h"

#define RUNS_DEFAULT 100
#define CLIENTS 3
#define RECORDS 12
#define RECORD_SIZE 8
#define READS 64

struct read {
	struct rig_op *op;
	uint64_t acknowledged; /* records, by bit, when it was sent */
};

struct load {
	struct rig *rig;
	struct rig_client *c[CLIENTS];
	struct rig_op *append[CLIENTS][RECORDS];
	int issued[CLIENTS];
	struct read reads[READS];
	size_t read_count;
	uint64_t ino;
	char text[CLIENTS][RECORDS][RECORD_SIZE + 1];
};

static void issue_read(struct load *l, int k)
{
	struct fs_request get = rig_kv_get("log");
	struct read *r = &l->reads[l->read_count];

	if (l->read_count == READS)
		return;
	for (int c = 0; c < CLIENTS; c++)
		for (int n = 0; n < l->issued[c]; n++)
			if (l->append[c][n]->done)
				r->acknowledged |= 1ull << (c * RECORDS + n);
	r->op = rig_send(l->c[k], &get);
	l->read_count++;
}

static void issue(struct load *l, int k)
{
	int n = l->issued[k];
	struct fs_request rq;
	char name[16];

	if (n == RECORDS)
		return;
	snprintf(l->text[k][n], sizeof(l->text[k][n]), "<%d.%04d>", k, n);
	rq = rig_kv_append("log", l->text[k][n]);
	l->append[k][n] = rig_send(l->c[k], &rq);
	rq = rig_write(l->ino, 0, l->text[k][n], RECORD_SIZE);
	rq.flags = O_APPEND;
	(void)rig_send(l->c[k], &rq);
	if (n % 3 == 0) {
		snprintf(name, sizeof(name), "f%d.%d", k, n);
		rq = n % 2 ? rig_create(FS_ROOT_INO, name) : rig_mkdir(FS_ROOT_INO, name);
		(void)rig_send(l->c[k], &rq);
		rq = rig_unlink(FS_ROOT_INO, name); /* EISDIR for the directories */
		(void)rig_send(l->c[k], &rq);
	}
	l->issued[k]++;
}

static struct rig_node *any_node(struct rig *rig)
{
	return &rig->nodes[prng_below(&rig->prng, rig->count)];
}

static void one_fault(struct load *l)
{
	struct rig *rig = l->rig;
	struct rig_node *a = any_node(rig), *b = any_node(rig);
	struct rig_client *c = l->c[prng_below(&rig->prng, CLIENTS)];

	switch (prng_below(&rig->prng, 12)) {
	case 0:
	case 1:
		if (a->up)
			rig_crash(a);
		break;
	case 2:
	case 3:
	case 4:
		if (!a->up)
			rig_start(a);
		break;
	case 5:
		if (a != b)
			rig_cut(rig, a, b);
		break;
	case 6:
		rig_heal(rig);
		break;
	case 7:
		if (a != b)
			rig_freeze(rig, a, b, prng_below(&rig->prng, 2));
		break;
	case 8:
		rig_hold(a, (enum worker_kind)prng_below(&rig->prng, WORKER_COUNT),
			 prng_below(&rig->prng, 3) == 0);
		break;
	case 9:
		if (a->up)
			(void)replica_transfer(a->replica, b->id);
		break;
	case 10:
		if (a->up)
			replica_snapshot_now(a->replica);
		break;
	default:
		rig_client_move(c, a->up ? a : NULL);
		break;
	}
}

static bool all_done(const struct load *l)
{
	for (int k = 0; k < CLIENTS; k++) {
		if (l->issued[k] < RECORDS)
			return false;
		list_for_each (it, &l->c[k]->ops)
			if (!list_entry(it, struct rig_op, link)->done)
				return false;
	}
	return true;
}

static unsigned count_in(const char *text, size_t len, const char *record)
{
	unsigned n = 0;

	for (size_t off = 0; off + RECORD_SIZE <= len; off += RECORD_SIZE)
		n += memcmp(text + off, record, RECORD_SIZE) == 0;
	return n;
}

static void check_records(struct load *l, const char *what, const char *text, size_t len)
{
	if (len != CLIENTS * RECORDS * RECORD_SIZE)
		fail_msg("%s has %zu bytes; replay: SEED=%llu", what, len,
			 (unsigned long long)l->rig->seed);
	for (int k = 0; k < CLIENTS; k++)
		for (int n = 0; n < RECORDS; n++)
			RIG_ASSERT(l->rig, count_in(text, len, l->text[k][n]) == 1);
}

static void check_reads(struct load *l)
{
	for (size_t i = 0; i < l->read_count; i++) {
		const struct read *r = &l->reads[i];
		const char *text = r->op->status == 0 ? r->op->reply.data : "";
		size_t len = r->op->status == 0 ? r->op->reply.data_len : 0;

		RIG_ASSERT(l->rig, r->op->status == 0 || r->op->status == -ENOENT);
		for (int b = 0; b < CLIENTS * RECORDS; b++)
			if (r->acknowledged >> b & 1)
				RIG_ASSERT(l->rig,
					   count_in(text, len, l->text[b / RECORDS][b % RECORDS]) ==
						   1);
	}
}

static void check_end(struct load *l)
{
	struct rig *rig = l->rig;
	struct fs_request read = { .op = FS_READ, .ino = l->ino, .size = 65536 };
	struct rig_op *op;

	for (int k = 0; k < CLIENTS; k++)
		list_for_each (it, &l->c[k]->ops) {
			const struct rig_op *o = list_entry(it, struct rig_op, link);

			RIG_ASSERT(rig, o->answers >= 1); /* a copy may be answered again */
			/* ENOENT for an unlink too: it was sent without waiting for its create, and a
			 * node that becomes the leader between the two takes only the second. */
			RIG_ASSERT(rig, o->status == 0 || o->status == -ENOENT ||
						(o->seq > 0 && o->status == -EISDIR));
		}
	check_reads(l);
	for (size_t i = 0; i < rig->count; i++) {
		const char *text = rig_local_get(&rig->nodes[i], "log");

		check_records(l, "the key", text, strlen(text));
	}
	op = rig_call(l->c[0], &read);
	check_records(l, "the file", op->reply.data, op->reply.data_len);
}

static void start_load(struct load *l)
{
	struct rig *rig = l->rig;
	struct fs_request make = rig_create(FS_ROOT_INO, "log");
	struct rig_op *op;

	(void)rig_leader(rig);
	for (int k = 0; k < CLIENTS; k++)
		l->c[k] = rig_client(rig, any_node(rig), k == 0);
	op = rig_call(l->c[0], &make);
	assert_int_equal(op->status, 0);
	l->ino = op->reply.attr.ino;
}

static void run(uint64_t seed)
{
	struct load l = { .rig = rig_new(seed % 4 == 0 ? 5 : 3, seed) };
	struct rig *rig = l.rig;

	rig->session_ttl_ms = 3600000; /* nobody expires here; test_sessions_random.c is about that */
	if (seed % 2 == 0) {
		rig->snapshot_interval = 10 + seed % 20;
		rig->snapshot_threshold = 1000; /* so little log is kept */
	}
	for (size_t i = 0; i < rig->count; i++) {
		rig_crash(&rig->nodes[i]);
		rig_start(&rig->nodes[i]);
	}
	start_load(&l);
	rig->shuffle = true;
	for (int step = 0; step < 150 && !all_done(&l); step++) {
		issue(&l, (int)prng_below(&rig->prng, CLIENTS));
		if (prng_below(&rig->prng, 2) == 0)
			issue_read(&l, (int)prng_below(&rig->prng, CLIENTS));
		if (prng_below(&rig->prng, 3) == 0)
			one_fault(&l);
		rig_pass(rig, RIG_TICK_MS * (1 + prng_below(&rig->prng, 12)));
	}
	rig_settle_and_check(rig);
	for (int k = 0; k < CLIENTS; k++) {
		if (l.c[k]->id == 0)
			rig_client_move(l.c[k], any_node(rig));
		while (l.issued[k] < RECORDS)
			issue(&l, k);
	}
	for (int tries = 0; tries < 400 && !all_done(&l); tries++)
		rig_pass(rig, RIG_TICK_MS);
	RIG_ASSERT(rig, all_done(&l));
	rig_settle_and_check(rig);
	check_end(&l);
	rig_free(rig);
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

static void every_record_is_there_once_whatever_fails(void **state)
{
	uint64_t seed = from_environment("SEED", 0);

	if (seed != 0) {
		run(seed);
		return;
	}
	for (uint64_t s = 1; s <= from_environment("RUNS", RUNS_DEFAULT); s++)
		run(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_record_is_there_once_whatever_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
