/* world.c - the queue of events and one run from its first event to its last. */
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/hash.h"
#include "raft/raft_internal.h"
#include "tests/sim/seams.h"
#include "tests/sim/threads.h"

#define STEPS_MAX 20000000ull /* more are a loop without an end */
#define CALM_NS (90 * SIM_S)  /* progress must have returned by then */

struct sim *sim_now;
struct sim_node *sim_here;

/* ---- the queue ---------------------------------------------------------------------------------- */

static bool before(const struct sim_event *a, const struct sim_event *b)
{
	return a->at != b->at ? a->at < b->at : a->order < b->order;
}

void queue_push(struct sim_queue *q, struct sim_event *e)
{
	size_t i = q->count++;

	if (q->count > q->cap) {
		q->cap = q->cap ? 2 * q->cap : 256;
		q->v = mem_realloc(q->v, q->cap * sizeof(struct sim_event *));
	}
	e->order = q->order++;
	while (i > 0 && before(e, q->v[(i - 1) / 2])) {
		q->v[i] = q->v[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	q->v[i] = e;
}

struct sim_event *queue_pop(struct sim_queue *q)
{
	struct sim_event *first, *last;
	size_t i = 0;

	if (q->count == 0)
		return NULL;
	first = q->v[0];
	last = q->v[--q->count];
	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= q->count)
			break;
		if (child + 1 < q->count && before(q->v[child + 1], q->v[child]))
			child++;
		if (!before(q->v[child], last))
			break;
		q->v[i] = q->v[child];
		i = child;
	}
	q->v[i] = last;
	return first;
}

void event_free(struct sim_event *e)
{
	buf_release(&e->payload);
	free(e);
}

struct sim_event *sim_at(struct sim *s, uint64_t at, enum sim_event_type type,
			 struct sim_node *node)
{
	struct sim_event *e = mem_calloc(1, sizeof(*e));

	e->at = max_u64(at, s->now);
	e->type = type;
	e->node = node ? node->id : 0;
	e->life = node ? node->life : 0;
	queue_push(&s->queue, e);
	return e;
}

/* ---- small things ----------------------------------------------------------------------------------- */

uint64_t sim_between(struct sim *s, enum sim_stream stream, uint64_t lo, uint64_t hi)
{
	return hi <= lo ? lo : lo + prng_below(&s->rnd[stream], hi - lo + 1);
}

bool sim_chance(struct sim *s, enum sim_stream stream, unsigned per_mille)
{
	return per_mille > 0 && prng_below(&s->rnd[stream], 1000) < per_mille;
}

void sim_note(struct sim *s, uint64_t a, uint64_t b)
{
	s->digest = hash_u64(s->digest ^ hash_u64(a + 0x9e3779b97f4a7c15ull * b));
}

void sim_trace(struct sim *s, const char *fmt, ...)
{
	va_list args;

	if (!s->trace)
		return;
	printf("%10llu.%06llu ", (unsigned long long)(s->now / SIM_S),
	       (unsigned long long)(s->now % SIM_S / 1000));
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
}

void sim_fail(struct sim *s, const char *fmt, ...)
{
	va_list args;
	int len = snprintf(s->reason, sizeof(s->reason),
			   "at %llu.%06llu s: ", (unsigned long long)(s->now / SIM_S),
			   (unsigned long long)(s->now % SIM_S / 1000));

	va_start(args, fmt);
	vsnprintf(s->reason + len, sizeof(s->reason) - (size_t)len, fmt, args);
	va_end(args);
	coro_abandon();
	threads_forget();
	siglongjmp(s->failed, 1);
}

/* Assertions of the product end the run, not the program. */
void __assert_fail(const char *text, const char *file, unsigned line, const char *function)
{
	if (sim_now)
		sim_fail(sim_now, "%s:%u: %s: assertion '%s'", file, line, function, text);
	fprintf(stderr, "%s:%u: %s: assertion '%s'\n", file, line, function, text);
	abort();
}

static void on_signal(int number)
{
	if (sim_now)
		sim_fail(sim_now, "signal %d", number);
	_exit(1);
}

/* ---- one run ------------------------------------------------------------------------------------------ */

static void dispatch(struct sim *s, struct sim_event *e)
{
	struct sim_node *node = e->node ? &s->nodes[e->node] : NULL;

	switch (e->type) {
	case SIM_EV_FAULT:
		fault_event(s, e);
		break;
	case SIM_EV_START:
		if (!node->alive && !node->gone)
			node_start(node);
		break;
	case SIM_EV_ROOM:
		disk_event(s, e);
		break;
	case SIM_EV_CLIENT:
	case SIM_EV_TO_CLIENT:
	case SIM_EV_TO_NODE:
		client_event(s, e);
		break;
	case SIM_EV_FRAME:
	case SIM_EV_PEER:
		net_event(s, e);
		break;
	case SIM_EV_CALL:
		call_event(s, e);
		break;
	default:
		node_event(node, e);
		break;
	}
	if (node && node->alive)
		node_after(node);
}

/* true: it was taken care of. */
static bool void_or_late(struct sim *s, struct sim_event *e)
{
	struct sim_node *node = e->node ? &s->nodes[e->node] : NULL;

	if (!node)
		return false;
	if (node->life != e->life) {
		event_free(e);
		return true;
	}
	if (node->alive && node->paused_until > s->now) {
		e->at = node->paused_until;
		queue_push(&s->queue, e);
		return true;
	}
	return false;
}

static void step(struct sim *s)
{
	struct sim_event *e = queue_pop(&s->queue);

	SIM_CHECK(s, e != NULL);
	s->now = e->at;
	if (void_or_late(s, e))
		return;
	s->counts.steps++;
	sim_note(s, e->at, (uint64_t)e->type << 32 ^ e->node << 16 ^ e->a);
	dispatch(s, e);
	if (!e->kept)
		event_free(e);
	if (s->counts.steps > STEPS_MAX)
		sim_fail(s, "%llu events and no end", (unsigned long long)s->counts.steps);
}

static void make_cluster(struct sim *s)
{
	struct raft_conf conf = { .index = 1, .count = s->swarm.nodes };

	for (size_t i = 1; i <= s->swarm.nodes; i++) {
		struct raft_member *m = &conf.members[i - 1];

		m->id = i;
		m->role = RAFT_VOTER;
		snprintf(m->address, sizeof(m->address), "n%zu:1", i);
	}
	s->node_count = s->swarm.nodes;
	for (size_t i = 1; i <= s->node_count; i++)
		node_make(&s->nodes[i], &conf);
	for (size_t i = 1; i <= s->node_count; i++)
		node_start(&s->nodes[i]);
}

static void run_until(struct sim *s, uint64_t end_ns)
{
	while (s->queue.count > 0 && s->queue.v[0]->at <= end_ns)
		step(s);
	s->now = end_ns;
}

/* Who has got how far, and whom he follows. */
static void no_progress(struct sim *s)
{
	char text[900] = "";
	size_t len = 0;

	for (size_t i = 1; i <= s->node_count && len < sizeof(text) - 100; i++) {
		const struct sim_node *node = &s->nodes[i];
		const struct raft *r = node->alive ? node->replica->raft : NULL;

		len += (size_t)snprintf(text + len, sizeof(text) - len, "; %zu %s", i,
					node->gone ? "gone" : node->alive ? "" : "down");
		if (r)
			len += (size_t)snprintf(text + len, sizeof(text) - len,
						"term %llu role %u leader %llu last %llu commit %llu applied %llu",
						(unsigned long long)r->hard.term, r->role,
						(unsigned long long)r->leader,
						(unsigned long long)r->tail.last_index,
						(unsigned long long)r->commit,
						(unsigned long long)r->applied);
		for (size_t k = 0; r && k < r->conf.count && len < sizeof(text) - 20; k++)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%llu%s",
						k == 0 ? " of " : ",",
						(unsigned long long)r->conf.members[k].id,
						r->conf.members[k].role & RAFT_VOTER ? "" : "L");
	}
	sim_fail(s, "no progress: %s within %llu s after the last fault%s",
		 clients_idle(s) ? "states are not equal" : "operations are not answered",
		 (unsigned long long)(CALM_NS / SIM_S), text);
}

/* Faults are over: within bounded time every operation is answered and all states are equal. */
static void run_calm(struct sim *s)
{
	uint64_t end = s->now + CALM_NS;

	faults_stop(s);
	while (!(clients_idle(s) && check_converged(s))) {
		if (s->now >= end)
			no_progress(s);
		run_until(s, s->now + 250 * SIM_MS);
	}
}

static void run(struct sim *s)
{
	net_init(s);
	make_cluster(s);
	load_start(s);
	clients_start(s);
	faults_start(s);
	run_until(s, s->swarm.chaos_ns);
	run_calm(s);
	check_end(s);
	gathers_check_end(s);
	load_check_end(s);
}

int sim_run(struct sim *s)
{
	for (size_t i = 0; i < RND_COUNT; i++)
		prng_init(&s->rnd[i], hash_u64(s->seed) + i);
	for (size_t i = 1; i <= SIM_NODES_MAX; i++) {
		s->nodes[i].sim = s;
		s->nodes[i].id = i;
		list_init(&s->nodes[i].coros);
	}
	calls_forget();
	swarm_draw(s);
	sim_now = s;
	sim_here = NULL;
	sim_machine_seed(hash_u64(s->seed + 1));
	signal(SIGABRT, on_signal);
	signal(SIGSEGV, on_signal);
	if (sigsetjmp(s->failed, 1) != 0) {
		sim_here = NULL;
		return -1;
	}
	run(s);
	return 0;
}

void sim_release(struct sim *s)
{
	struct sim_event *e;

	/* A failed run may have stopped anywhere: its memory is left alone, but for the disks. */
	for (size_t i = 1; i <= SIM_NODES_MAX; i++) {
		if (s->reason[0] == '\0')
			node_release(&s->nodes[i]);
		else if (s->nodes[i].disk)
			sim_disk_free(s->nodes[i].disk);
	}
	if (s->reason[0] == '\0') {
		clients_release(s);
		net_release(s);
		load_release(s);
		while ((e = queue_pop(&s->queue)) != NULL)
			event_free(e);
		free(s->queue.v);
		check_release(s);
	}
	sim_now = NULL;
	sim_here = NULL;
}
