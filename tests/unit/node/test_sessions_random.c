/*
 * test_sessions_random.c - sessions under seeded faults: a short time to live, clients that are silent,
 * come back, move, and begin again in place of what they had; leaders killed, links cut and frozen,
 * images installed, and copies of requests that arrive long afterwards. Every record is there at most
 * once, and exactly once when its client was told so.
 *
 * SEED=n runs that one; RUNS=n as many from 1 on.
 */
#include <stdlib.h>

#include "tests/unit/node/node_rig.h"

#define RUNS_DEFAULT 60
#define CLIENTS 4
#define STEPS 160
#define RECORD_SIZE 8
#define RECORDS_MAX 2048
#define LATE_MAX 64
#define TTL_MS 2000

/* A copy of a request that is still on its way somewhere. */
struct late {
	struct fs_msg m;
	struct buf body;
};

struct load {
	struct rig *rig;
	struct rig_client *c[CLIENTS], *postman;
	struct rig_op *op[RECORDS_MAX];
	size_t count;
	struct late late[LATE_MAX];
	size_t late_count;
	unsigned ended;
};

static void keep_copy(struct load *l, const struct rig_client *c, const struct rig_op *op)
{
	struct late *late = &l->late[l->late_count];

	if (l->late_count == LATE_MAX || op->sent == 0 || prng_below(&l->rig->prng, 3) > 0)
		return;
	l->late_count++;
	*late = (struct late){ .m = { .type = FS_MSG_REQUEST,
				      .flags = prng_below(&l->rig->prng, 2) ? FS_MSG_RETRY : 0,
				      .tag = op->tag,
				      .seq = op->seq,
				      .low = 1 + prng_below(&l->rig->prng, op->seq),
				      .session_id = c->session_id,
				      .stamp = c->session_id ? 0 : c->begin_stamp } };
	late->m.flags |= c->session_id ? 0 : FS_MSG_BEGIN;
	memcpy(late->m.uuid, c->uuid, KV_UUID_SIZE);
	buf_put(&late->body, op->body.data, op->body.len);
}

static void deliver_late(struct load *l)
{
	struct late late;
	size_t at;

	if (l->late_count == 0 || l->postman->id == 0)
		return;
	at = prng_below(&l->rig->prng, l->late_count);
	late = l->late[at];
	l->late[at] = l->late[--l->late_count];
	late.m.body = late.body.data;
	late.m.body_len = late.body.len;
	(void)rig_send_raw(l->postman, &late.m);
	buf_release(&late.body);
}

static void append(struct load *l, struct rig_client *c)
{
	char text[RECORD_SIZE + 1];
	struct fs_request rq;

	if (l->count == RECORDS_MAX)
		return;
	snprintf(text, sizeof(text), "<%06zu>", l->count % 1000000);
	rq = rig_kv_append("log", text);
	l->op[l->count] = rig_send(c, &rq);
	keep_copy(l, c, l->op[l->count++]);
}

static struct rig_node *any_node(struct rig *rig)
{
	return &rig->nodes[prng_below(&rig->prng, rig->count)];
}

static void one_client(struct load *l, struct rig_client *c)
{
	struct rig_node *node = any_node(l->rig);

	if (c->expired) {
		l->ended++;
		(void)rig_client_renew(c, prng_below(&l->rig->prng, 4) > 0);
		return;
	}
	switch (prng_below(&l->rig->prng, 16)) {
	case 0:
		rig_client_move(c, NULL);
		break;
	case 1:
		c->mute = !c->mute;
		break;
	case 2:
		if (c->session_id != 0) /* its process was killed and came back */
			(void)rig_client_renew(c, true);
		break;
	case 3:
	case 4:
		if (node->up)
			rig_client_move(c, node);
		break;
	default:
		append(l, c);
		break;
	}
}

static void one_fault(struct rig *rig)
{
	struct rig_node *a = any_node(rig), *b = any_node(rig);

	switch (prng_below(&rig->prng, 9)) {
	case 0:
		if (a->up)
			rig_crash(a);
		break;
	case 1:
	case 2:
		if (!a->up)
			rig_start(a);
		break;
	case 3:
		if (a != b)
			rig_cut(rig, a, b);
		break;
	case 4:
	case 5:
		rig_heal(rig);
		break;
	case 6:
		if (a != b)
			rig_freeze(rig, a, b, prng_below(&rig->prng, 2));
		break;
	case 7:
		if (a->up)
			(void)replica_transfer(a->replica, b->id);
		break;
	default:
		rig_hold(a, (enum worker_kind)prng_below(&rig->prng, WORKER_COUNT),
			 prng_below(&rig->prng, 3) == 0);
		break;
	}
}

static unsigned count_in(const char *text, size_t record)
{
	char want[RECORD_SIZE + 1];
	unsigned n = 0;

	snprintf(want, sizeof(want), "<%06zu>", record % 1000000);
	for (; (text = strstr(text, want)); text += RECORD_SIZE)
		n++;
	return n;
}

static void check_end(struct load *l)
{
	for (size_t i = 0; i < l->rig->count; i++) {
		char *text = strdup(rig_local_get(&l->rig->nodes[i], "log"));

		for (size_t k = 0; k < l->count; k++) {
			unsigned n = count_in(text, k);

			RIG_ASSERT(l->rig, n <= 1);
			RIG_ASSERT(l->rig, !l->op[k]->done || l->op[k]->status != 0 || n == 1);
			RIG_ASSERT(l->rig, !l->op[k]->done || l->op[k]->status == 0 ||
						   l->op[k]->status == -EIO || l->op[k]->expired);
		}
		free(text);
	}
}

static void calm_down(struct load *l)
{
	struct rig *rig = l->rig;

	rig_settle_and_check(rig);
	for (int k = 0; k < CLIENTS; k++) {
		l->c[k]->mute = false;
		rig_client_move(l->c[k], any_node(rig));
	}
	rig_client_move(l->postman, any_node(rig));
	rig_pass(rig, 5000);
	while (l->late_count > 0) { /* the last ones arrive when all is over */
		deliver_late(l);
		rig_pass(rig, 100);
	}
	rig_pass(rig, 5000);
	for (int k = 0; k < CLIENTS; k++)
		rig_client_move(l->c[k], NULL);
	rig_client_move(l->postman, NULL);
	rig_pass(rig, 3 * TTL_MS + 5000);
	RIG_ASSERT(rig, rig_info(rig_leader(rig)).sessions == 0); /* nobody stays for ever */
	rig_settle_and_check(rig);
}

static unsigned run(uint64_t seed)
{
	struct load l = { .rig = rig_new(3, seed) };
	struct rig *rig = l.rig;
	unsigned ended;

	rig->session_ttl_ms = TTL_MS;
	if (seed % 2 == 0) {
		rig->snapshot_interval = 10 + seed % 20;
		rig->snapshot_threshold = 1000;
	}
	for (size_t i = 0; i < rig->count; i++) {
		rig_crash(&rig->nodes[i]);
		rig_start(&rig->nodes[i]);
	}
	(void)rig_leader(rig);
	for (int k = 0; k < CLIENTS; k++)
		l.c[k] = rig_client(rig, any_node(rig), k % 2 == 0);
	l.postman = rig_client(rig, any_node(rig), false);
	rig->shuffle = true;
	for (int step = 0; step < STEPS; step++) {
		one_client(&l, l.c[prng_below(&rig->prng, CLIENTS)]);
		if (prng_below(&rig->prng, 5) == 0)
			deliver_late(&l);
		if (prng_below(&rig->prng, 6) == 0)
			one_fault(rig);
		if (l.postman->id == 0 && rig->nodes[0].up)
			rig_client_move(l.postman, &rig->nodes[0]);
		rig_pass(rig, RIG_TICK_MS * (1 + prng_below(&rig->prng, 12)));
	}
	calm_down(&l);
	check_end(&l);
	ended = l.ended;
	rig_free(rig);
	return ended;
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

static void nothing_is_executed_twice_whoever_ends(void **state)
{
	uint64_t seed = from_environment("SEED", 0), runs = from_environment("RUNS", RUNS_DEFAULT);
	unsigned ended = 0;

	if (seed != 0) {
		(void)run(seed);
		return;
	}
	for (uint64_t s = 1; s <= runs; s++)
		ended += run(s);
	assert_true(ended >= runs); /* else this tests nothing */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_executed_twice_whoever_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
