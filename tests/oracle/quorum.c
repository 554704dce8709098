/* quorum.c - committed indexes and results of votes, computed by raft/quorum.c. */
#include <stdlib.h>
#include <string.h>

#include "raft/quorum.h"
#include "tests/oracle/oracle.h"

struct voters {
	uint64_t id[QUORUM_VOTERS_MAX];
	size_t count;
};

struct question {
	struct voters in, out, all; /* all: without repetition, in the order given */
	bool joint;
	bool known[QUORUM_VOTERS_MAX]; /* by position in all */
	uint64_t index[QUORUM_VOTERS_MAX];
	enum vote vote[QUORUM_VOTERS_MAX];
	size_t given;
	const char *bad;
};

static bool has(const struct voters *v, uint64_t id)
{
	for (size_t i = 0; i < v->count; i++) {
		if (v->id[i] == id)
			return true;
	}
	return false;
}

static void add(struct voters *v, uint64_t id)
{
	if (!has(v, id) && v->count < QUORUM_VOTERS_MAX)
		v->id[v->count++] = id;
}

static void read_ids(struct question *q, const struct script_arg *arg, struct voters *v)
{
	for (size_t i = 0; arg != NULL && i < arg->value_count; i++) {
		uint64_t id;

		if (strcmp(arg->values[i], "zero") == 0)
			continue;
		if (!script_number(arg->values[i], &id))
			q->bad = "a voter is no number";
		add(v, id);
		add(&q->all, id);
	}
}

static void read_given(struct question *q, const struct script_arg *arg)
{
	for (size_t i = 0; arg != NULL && i < arg->value_count; i++) {
		const char *text = arg->values[i];

		if (i == QUORUM_VOTERS_MAX) {
			q->bad = "too many values";
			return;
		}
		q->given++;
		q->known[i] = strcmp(text, "_") != 0;
		if (strcmp(arg->key, "votes") == 0)
			q->vote[i] = text[0] == 'y'   ? VOTE_GRANTED
				     : text[0] == 'n' ? VOTE_REJECTED
						      : VOTE_NONE;
		else if (q->known[i] && !script_number(text, &q->index[i]))
			q->bad = "an index is no number";
	}
}

static size_t position(const struct question *q, uint64_t id)
{
	size_t i = 0;

	while (q->all.id[i] != id)
		i++;
	return i;
}

static uint64_t committed(const struct question *q, const struct voters *in,
			  const struct voters *out)
{
	uint64_t a[QUORUM_VOTERS_MAX], b[QUORUM_VOTERS_MAX];

	for (size_t i = 0; i < in->count; i++)
		a[i] = q->index[position(q, in->id[i])];
	for (size_t i = 0; i < out->count; i++)
		b[i] = q->index[position(q, out->id[i])];
	return quorum_commit_joint(a, in->count, b, out->count);
}

static const char *voted(const struct question *q, const struct voters *in,
			 const struct voters *out)
{
	static const char *const names[] = {
		[VOTE_PENDING] = "VotePending", [VOTE_LOST] = "VoteLost", [VOTE_WON] = "VoteWon"
	};
	enum vote a[QUORUM_VOTERS_MAX], b[QUORUM_VOTERS_MAX];

	for (size_t i = 0; i < in->count; i++)
		a[i] = q->vote[position(q, in->id[i])];
	for (size_t i = 0; i < out->count; i++)
		b[i] = q->vote[position(q, out->id[i])];
	return names[quorum_vote_joint(a, in->count, b, out->count)];
}

static int by_id(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* A bar per voter: how many others are strictly behind, equal indexes drawing equal bars. */
static void draw(const struct question *q, struct buf *out)
{
	size_t n = q->all.count;
	uint64_t sorted[QUORUM_VOTERS_MAX];

	if (n == 0) {
		buf_printf(out, "<empty majority quorum>");
		return;
	}
	memcpy(sorted, q->all.id, n * sizeof(sorted[0]));
	qsort(sorted, n, sizeof(sorted[0]), by_id);
	buf_printf(out, "%*s    idx\n", (int)n, "");
	for (size_t i = 0; i < n; i++) {
		size_t at = position(q, sorted[i]);
		size_t bar = 0;

		for (size_t k = 0; k < n; k++)
			bar += q->index[k] < q->index[at];
		if (!q->known[at])
			buf_printf(out, "?%*s", (int)n, "");
		else
			buf_printf(out, "%.*s>%*s", (int)bar, "xxxxxxxxxxxxxxxx", (int)(n - bar),
				   "");
		buf_printf(out, " %5llu    (id=%llx)\n", (unsigned long long)q->index[at],
			   (unsigned long long)sorted[i]);
	}
}

static void put_index(struct buf *out, uint64_t index)
{
	if (index == UINT64_MAX)
		buf_printf(out, "\xe2\x88\x9e\n"); /* the sign for infinity */
	else
		buf_printf(out, "%llu\n", (unsigned long long)index);
}

static void *start(void)
{
	return NULL;
}

static void stop(void *world)
{
	(void)world;
}

static void run(void *world, const struct script_case *c, struct buf *out)
{
	static const struct voters nobody = { .count = 0 };
	struct question q = { .joint = script_arg(c, "cfgj") != NULL };
	bool vote = strcmp(c->command, "vote") == 0;

	(void)world;
	read_ids(&q, script_arg(c, "cfg"), &q.in);
	read_ids(&q, script_arg(c, "cfgj"), &q.out);
	read_given(&q, script_arg(c, vote ? "votes" : "idx"));
	if (q.bad != NULL || (!vote && strcmp(c->command, "committed") != 0)) {
		buf_printf(out, "cannot parse: %s\n", q.bad == NULL ? "unknown command" : q.bad);
		return;
	}
	if (q.given != q.all.count) {
		buf_printf(out, "error: mismatched input (explicit or _)\n");
		return;
	}
	/* The same by other ways: halves exchanged, an empty or an equal second half. */
	if (vote) {
		buf_printf(out, "%s\n", voted(&q, &q.in, &q.out));
		if (voted(&q, &q.out, &q.in) != voted(&q, &q.in, &q.out))
			buf_printf(out, "%s <-- via symmetry\n", voted(&q, &q.out, &q.in));
		return;
	}
	draw(&q, out);
	if (committed(&q, &q.out, &q.in) != committed(&q, &q.in, &q.out))
		buf_printf(out, "<-- via symmetry\n");
	if (!q.joint && committed(&q, &q.in, &q.in) != committed(&q, &q.in, &nobody))
		buf_printf(out, "<-- via self-joint quorum\n");
	put_index(out, committed(&q, &q.in, &q.out));
}

const struct oracle_kind oracle_quorum = {
	.folder = "quorum", .start = start, .run = run, .stop = stop
};
