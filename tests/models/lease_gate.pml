/*
 * lease_gate.pml - leases and the commit gate: is what was shown anywhere ever missing from a later read?
 *
 * Three nodes with logs, elections, clocks of different rates, messages that are delayed without bound,
 * lost, and replaced by newer ones. Checked in every state: a node that may answer a read by itself (a
 * leader under its lease, a member under a granted one) answers with everything that was ever shown.
 *
 * Time: one tick for all; the clock of node i moves by rate[i], 1 or RATE_MAX. Leases last D, and who must
 * outwait another's clock waits STRETCH times as long. No clock value is kept: only how old a stamp is (up
 * to D, older ones are worth nothing) and how long something still lasts.
 *
 * Abstractions; each allows at least what nodes do, but where said:
 *  - An election is one step: the voters of a quorum take the new term. Real votes come before the
 *    leadership they lead to, which only makes a new leader wait longer.
 *  - One message under way for each pair and direction; a newer one replaces it. An old one stays as long as
 *    it likes, or for ever.
 *  - A message carries the leader's log up to n: what the member is known to have, or all. That logs which
 *    match at (index, term) are equal below makes this the same as entries behind a previous one.
 *  - One register. Every entry writes it but those by which a new leader commits, and with MIXED some more.
 *  - Who knows that an entry is committed has applied it.
 *  - Bounds: TERMS terms, LOG entries, RESTARTS restarts. Unless ANY_LEADER, node 0 leads first and 2 next.
 *
 * BLOC: five nodes, of which node 2 stands for three that are always at one, so the others are a minority.
 *
 * Each rule is left out by -D and its name; run.sh knows what must be found then. The rules are those of
 * raft/lease.c. What a step does is C, which the checker runs on its copy of the state.
 */
#ifndef TERMS
#define TERMS 2
#endif
#ifndef LOG
#define LOG 3
#endif
#ifndef RESTARTS
#define RESTARTS 0
#endif
#ifndef D
#define D 2
#endif
#define STRETCH 2 /* (1 + rho) / (1 - rho) for the rates 1 and 2 */
#ifdef DRIFT      /* clocks that break the assumption */
#define RATE_MAX 4
#else
#define RATE_MAX 2
#endif

c_decl {
enum { N = 3, OTHER = 8 };

typedef unsigned char u8;

struct leader_view { /* of another node; all 0 while not leading */
	u8 match, mark, stamp_age, echo_age, spoke;
};

struct node {
	u8 rate, term, last, commit, leads, own_commit;
	u8 proven;       /* equal to this term's leader up to here */
	u8 lease, least; /* what is left of it; the index that must be proven */
	u8 entry[LOG];   /* term, and OTHER when it does not write the register */
	struct leader_view of[N];
};

struct app { /* leader to member */
	u8 full, term, n, commit, stamp_age, sent_age, grant;
};

struct ack { /* and back */
	u8 full, term, n, stamp_age, echo_age;
};

struct world {
	u8 exposed; /* the highest writing entry that was committed by anybody */
	u8 term, restarts, cut_committed;
	u8 leader_log[TERMS + 1][LOG];
	struct node node[N];
	struct app app[N][N];
	struct ack ack[N][N];
};

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define LESS(a, b) ((a) > (b) ? (a) - (b) : 0)
#define OLDER(x, by) ((x) = MIN((x) + (by), D))

static int weight(int i)
{
#ifdef BLOC
	return i == 2 ? 3 : 1;
#else
	return 1;
#endif
}

static int is_quorum(int votes)
{
#ifdef BLOC
	return votes >= 3;
#else
	return votes >= 2;
#endif
}

/* The last entry up to `upto` that writes; 0: none. */
static u8 version(const struct node *n, u8 upto)
{
	while (upto > 0 && (n->entry[upto - 1] & OTHER))
		upto--;
	return upto;
}

/* Messages that will have no effect go: fewer states that differ in nothing. */
static void forget_stale(struct world *w)
{
	for (int i = 0; i < N; i++) {
		for (int j = 0; j < N; j++) {
			if (w->app[i][j].full && w->app[i][j].term < w->node[j].term)
				memset(&w->app[i][j], 0, sizeof(struct app));
			if (w->ack[i][j].full && (!w->node[j].leads ||
						  w->ack[i][j].term != w->node[j].term))
				memset(&w->ack[i][j], 0, sizeof(struct ack));
		}
	}
}

static void stop_leading(struct node *n)
{
	n->leads = n->own_commit = 0;
	memset(n->of, 0, sizeof(n->of));
}

/* Rule 6: the lease goes before anything of the new term leaves. */
static void enter_term(struct node *n, u8 term)
{
	n->term = term;
	n->proven = 0;
#ifndef NO_DROP
	n->lease = n->least = 0;
#endif
	if (n->leads)
		stop_leading(n);
}

/* Rule 2: how old the youngest stamp is that a quorum has echoed; the leader's own is of now. D: no lease. */
static u8 basis(const struct world *w, int i)
{
	for (u8 age = 0; age < D; age++) {
		int votes = weight(i);

		for (int j = 0; j < N; j++) {
			const struct leader_view *v = &w->node[i].of[j];

			if (j != i && v->spoke && v->echo_age <= age)
				votes += weight(j);
		}
		if (is_quorum(votes))
			return age;
	}
	return D;
}

static int may_read(const struct world *w, int i)
{
	const struct node *n = &w->node[i];

	if (n->leads)
		return n->own_commit && basis(w, i) < D;
	if (n->lease == 0)
		return 0;
	/* Rule 7: the leader's log up to `least` is ours, and nothing that writes is pending. */
#ifdef NO_PROVEN
	if (n->last < n->least)
		return 0;
#else
	if (MAX(n->proven, n->commit) < n->least)
		return 0;
#endif
#ifdef NO_BLOCK
	return 1;
#else
	return version(n, n->last) <= n->commit;
#endif
}

static int is_safe(const struct world *w)
{
	for (int i = 0; i < N; i++) {
		if (may_read(w, i) && version(&w->node[i], w->node[i].commit) < w->exposed)
			return 0;
	}
	return !w->cut_committed;
}

static void tick(struct world *w)
{
	for (int i = 0; i < N; i++) {
		struct node *n = &w->node[i];

		n->lease = LESS(n->lease, n->rate);
		n->least = n->lease ? n->least : 0;
		for (int j = 0; j < N; j++) {
			struct leader_view *v = &n->of[j];

			v->mark = LESS(v->mark, n->rate);
			if (v->spoke) {
				OLDER(v->stamp_age, w->node[j].rate);
				OLDER(v->echo_age, n->rate);
			}
			if (w->app[i][j].full) {
				OLDER(w->app[i][j].sent_age, n->rate);
				if (w->app[i][j].grant)
					OLDER(w->app[i][j].stamp_age, w->node[j].rate);
			}
			if (w->ack[i][j].full) {
				OLDER(w->ack[i][j].stamp_age, n->rate);
				OLDER(w->ack[i][j].echo_age, w->node[j].rate);
			}
		}
	}
}

/* Rule 3: a grant goes with a message, after an own commit, and ends no later than the leader's lease. */
static void send(struct world *w, int i, int j, u8 upto)
{
	struct node *n = &w->node[i];
	struct leader_view *v = &n->of[j];
	u8 age = basis(w, i);

	if (w->node[j].term > n->term)
		return; /* would be ignored */
	w->app[i][j] = (struct app){ .full = 1, .term = n->term, .n = upto, .commit = n->commit };
#ifdef FREE_GRANT
	age = 0;
#endif
#ifndef EARLY_GRANT
	if (!n->own_commit)
		return;
#endif
	if (!v->spoke || age >= D || v->stamp_age >= D)
		return;
	w->app[i][j].grant = D - age;
	w->app[i][j].stamp_age = v->stamp_age;
	v->mark = MAX(v->mark, (D - age) * STRETCH);
}

static void append(struct world *w, struct node *n, u8 term, u8 upto)
{
	int equal = 1;

	for (int k = 0; k < upto && k < n->last; k++)
		equal = equal && n->entry[k] == w->leader_log[term][k];
	if (equal && upto <= n->last)
		return;
	memset(n->entry, 0, sizeof(n->entry));
	memcpy(n->entry, w->leader_log[term], upto);
	n->last = upto;
	if (upto < n->commit)
		w->cut_committed = 1;
}

static void deliver(struct world *w, int i, int j)
{
	struct app m = w->app[i][j];
	struct node *n = &w->node[j];

	if (m.term > n->term)
		enter_term(n, m.term);
	append(w, n, m.term, m.n);
	n->proven = MAX(n->proven, m.n);
	n->commit = MAX(n->commit, MIN(m.commit, m.n));
#ifdef FROM_RECEIPT
	m.stamp_age = 0;
#endif
	if (m.grant > m.stamp_age) {
		n->lease = MAX(n->lease, m.grant - m.stamp_age);
#ifndef NO_LEAST
		n->least = MAX(n->least, m.commit);
#endif
	}
	w->ack[j][i] = (struct ack){ .full = 1, .term = n->term, .n = m.n, .echo_age = m.sent_age };
	memset(&w->app[i][j], 0, sizeof(struct app));
	forget_stale(w);
}

static void deliver_unanswered(struct world *w, int i, int j)
{
	deliver(w, i, j);
	memset(&w->ack[j][i], 0, sizeof(struct ack));
}

/* Rule 5: whoever speaks in this term has dropped what others granted before. */
static void answered(struct world *w, int j, int i)
{
	struct ack m = w->ack[j][i];
	struct leader_view *v = &w->node[i].of[j];

#ifdef ECHO_RECEIPT
	m.echo_age = 0;
#endif
	if (!v->spoke) {
		*v = (struct leader_view){ .match = v->match, .spoke = 1, .stamp_age = m.stamp_age,
					   .echo_age = m.echo_age };
	}
	v->stamp_age = MIN(v->stamp_age, m.stamp_age);
	v->echo_age = MIN(v->echo_age, m.echo_age);
	v->match = MAX(v->match, m.n);
	memset(&w->ack[j][i], 0, sizeof(struct ack));
}

/* Rule 4: the highest entry of its own term that a quorum has, and every live holder; or 0. */
static u8 gate(const struct world *w, int i)
{
	const struct node *n = &w->node[i];

	for (u8 c = n->last; c > n->commit && n->entry[c - 1] % OTHER == n->term; c--) {
		int votes = weight(i), held = 0;

		for (int j = 0; j < N; j++) {
			if (j == i)
				continue;
			if (n->of[j].match >= c)
				votes += weight(j);
			else if (n->of[j].mark)
				held = 1;
		}
#ifdef NO_GATE
		held = 0;
#endif
		if (is_quorum(votes) && !held)
			return c;
	}
	return 0;
}

static void advance(struct world *w, int i)
{
	struct node *n = &w->node[i];

	if (gate(w, i) == 0)
		return;
	n->commit = gate(w, i);
	n->own_commit = 1;
	w->exposed = MAX(w->exposed, version(n, n->commit));
}

static void propose(struct world *w, int i, int kind)
{
	struct node *n = &w->node[i];

	n->entry[n->last] = w->leader_log[n->term][n->last] = n->term | kind;
	n->last++;
}

static int can_elect(const struct world *w, int i, int j)
{
	const struct node *n = &w->node[i], *v = &w->node[j];
	u8 own = n->entry[n->last - 1] % OTHER, other = v->entry[v->last - 1] % OTHER;

	if (n->leads || w->term >= TERMS || n->last >= LOG ||
	    !is_quorum(weight(i) + (i == j ? 0 : weight(j))))
		return 0;
	return own > other || (own == other && n->last >= v->last);
}

/* j votes; j == i: its own votes are a quorum. */
static void elect(struct world *w, int i, int j)
{
	struct node *n = &w->node[i];

	if (!can_elect(w, i, j))
		return;
	w->term++;
	enter_term(n, w->term);
	if (i != j)
		enter_term(&w->node[j], w->term);
	memcpy(w->leader_log[w->term], n->entry, LOG);
	n->leads = 1;
	n->lease = n->least = 0;
	propose(w, i, OTHER);
#ifndef NO_WAIT
	for (int k = 0; k < N; k++)
		n->of[k].mark = k == i ? 0 : D * STRETCH; /* rule 5 */
#endif
	forget_stale(w);
}

static void restart(struct world *w, int i)
{
	struct node *n = &w->node[i];

	w->restarts++;
	n->lease = n->least = n->proven = 0;
	if (n->leads)
		stop_leading(n);
	forget_stale(w);
}

/* Node 0 leads in term 1; the first entry is everywhere and committed. */
static void begin(struct world *w)
{
	w->term = 1;
	w->leader_log[1][0] = 1 | OTHER;
	for (int i = 0; i < N; i++) {
		w->node[i].term = w->node[i].last = 1;
		w->node[i].entry[0] = 1 | OTHER;
		w->node[i].proven = i > 0;
		w->node[0].of[i].match = i > 0;
	}
	w->node[0].leads = w->node[0].own_commit = w->node[0].commit = 1;
}
}

c_state "struct world w" "Global"

#define W (&now.w)
#define STEP(when, what) \
	:: d_step { c_expr { when } -> printf(#what); printf("\n"); c_code { what; }; c_code [is_safe(W)] { ; } }
#define PAIR(i, j) \
	STEP(now.w.node[i].leads, send(W, i, j, now.w.node[i].last)) \
	STEP(now.w.node[i].leads && now.w.node[i].of[j].match < now.w.node[i].last, \
	     send(W, i, j, now.w.node[i].of[j].match)) \
	ANSWER(i, j)
#ifdef ECHO_RECEIPT
#define SLOW_ANSWERS
#endif
#ifdef SLOW_ANSWERS
#define ANSWER(i, j) \
	STEP(now.w.app[i][j].full, deliver(W, i, j)) \
	STEP(now.w.ack[j][i].full, answered(W, j, i))
#else
/* An answer comes at once or never. One that comes late says the same, as its ages count from sending. */
#define ANSWER(i, j) \
	STEP(now.w.app[i][j].full, deliver_unanswered(W, i, j)) \
	STEP(now.w.app[i][j].full, deliver(W, i, j); if (now.w.ack[j][i].full) answered(W, j, i))
#endif
#ifdef MIXED
#define PROPOSE_OTHER(i) STEP(now.w.node[i].leads && now.w.node[i].last < LOG, propose(W, i, OTHER))
#else
#define PROPOSE_OTHER(i)
#endif
#define ONE(i) \
	STEP(now.w.node[i].leads && now.w.node[i].last < LOG, propose(W, i, 0)) \
	PROPOSE_OTHER(i) \
	STEP(now.w.node[i].leads && now.w.node[i].commit < now.w.node[i].last, advance(W, i)) \
	STEP(now.w.restarts < RESTARTS, restart(W, i))
#define ELECT(i, j) STEP(now.w.term < TERMS && !now.w.node[i].leads, elect(W, i, j))
#ifdef RATES /* digits, of node 0 first */
#define RATE(i) d_step { true -> c_code { now.w.node[i].rate = RATES / (i == 0 ? 100 : i == 1 ? 10 : 1) % 10; } }
#else
#define RATE(i) \
	if \
	:: d_step { true -> c_code { now.w.node[i].rate = 1; } } \
	:: d_step { true -> c_code { now.w.node[i].rate = RATE_MAX; } } \
	fi
#endif

active proctype cluster()
{
	d_step { true -> c_code { begin(W); } }
	RATE(0);
	RATE(1);
	RATE(2);
	do
	STEP(1, tick(W))
	PAIR(0, 1) PAIR(0, 2) PAIR(2, 0) PAIR(2, 1)
	ELECT(2, 0) ELECT(2, 1) ELECT(2, 2)
#ifdef ANY_LEADER
	PAIR(1, 0) PAIR(1, 2)
	ELECT(1, 0) ELECT(1, 2) ELECT(0, 1) ELECT(0, 2)
#endif
	ONE(0) ONE(1) ONE(2)
	od
}
