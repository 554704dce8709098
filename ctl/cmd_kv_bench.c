/*
 * cmd_kv_bench.c - how fast is the key-value service of this cluster: clients that each have one operation under
 * way, for a while.
 *
 * The clients of one connection share a session, whose operations go out without waiting for one another. A client
 * asks again from the callback that answers it; alone on its connection it is a thread that waits.
 */
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/clock.h"
#include "ctl/ctl.h"
#include "fs/fs_session.h"
#include "node/node.h"

#define KEY_ROOM 64
#define NS_PER_S 1000000000ull

enum what { PUT, GET, MIXED };

struct bench;

struct line { /* one connection */
	struct bench *bench;
	struct node_remote *remote;
	struct fs_session *session;
	pthread_t thread; /* of its only client */
	bool threaded;
};

struct client {
	struct line *line;
	char key[KEY_ROOM];
	uint64_t asked; /* operations so far */
	uint64_t since_ns;
};

struct bench {
	const struct ctl_args *args;
	enum what what;
	uint8_t *value;
	struct line *lines;
	struct client *clients;
	size_t line_count, client_count;
	uint64_t counts_from_ns, until_ns;
	uint8_t only; /* filling and cleaning: one such operation each; 0: measuring */

	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t changed;
	size_t busy; /* clients that are not done */
	uint32_t *us;
	size_t us_count, us_cap;
	uint64_t errors;
	int first_error;
};

/* ---- operations ---------------------------------------------------------------------------------------- */

static struct fs_request next_request(const struct client *c)
{
	const struct bench *b = c->line->bench;
	uint8_t op = b->only ? b->only : b->what == PUT || (b->what == MIXED && c->asked % 2) ? FS_KV_PUT : FS_KV_GET;
	struct fs_request rq = { .op = op, .name = c->key, .name_len = strlen(c->key) };

	if (op == FS_KV_PUT) {
		rq.data = b->value;
		rq.data_len = b->args->size;
	}
	return rq;
}

/* True: there is more to do. */
static bool count(struct client *c, int status)
{
	struct bench *b = c->line->bench;
	uint64_t now = clock_boot_ns();
	bool more = !b->only && now < b->until_ns;

	c->asked++;
	pthread_mutex_lock(&b->lock);
	if (status < 0) {
		b->errors++;
		b->first_error = b->first_error ? b->first_error : status;
		more = false; /* it would fail again at once, or wait as long again */
	} else if (!b->only && c->since_ns >= b->counts_from_ns && now <= b->until_ns) {
		if (b->us_count == b->us_cap) {
			b->us_cap = b->us_cap ? 2 * b->us_cap : 65536;
			b->us = mem_realloc(b->us, b->us_cap * sizeof(*b->us));
		}
		b->us[b->us_count++] = (uint32_t)min_u64((now - c->since_ns) / 1000, UINT32_MAX);
	}
	if (!more) {
		b->busy--;
		pthread_cond_signal(&b->changed);
	}
	pthread_mutex_unlock(&b->lock);
	return more;
}

static void ask(struct client *c);

static void answered(void *ctx, int status, const struct fs_reply *reply)
{
	struct client *c = ctx;

	(void)reply;
	if (count(c, status))
		ask(c);
}

static void ask(struct client *c)
{
	struct fs_request rq = next_request(c);
	int ret;

	c->since_ns = clock_boot_ns();
	ret = fs_session_submit_aside(c->line->session, &rq, 0, answered, c, NULL);
	if (ret < 0)
		(void)count(c, ret);
}

static void *client_main(void *arg)
{
	struct client *c = arg;
	struct buf hold = BUF_INIT;
	struct fs_reply reply;
	int status;

	do {
		struct fs_request rq = next_request(c);

		c->since_ns = clock_boot_ns();
		status = fs_session_call(c->line->session, &rq, &reply, &hold);
	} while (count(c, status));
	buf_release(&hold);
	return NULL;
}

/* ---- rounds: fill, measure, clean ------------------------------------------------------------------------ */

static void show_progress(struct bench *b, uint64_t began_ns)
{
	double s = (double)(clock_boot_ns() - began_ns) / NS_PER_S;

	if (!isatty(STDERR_FILENO) || b->only)
		return;
	fprintf(stderr, "\r%5.0f s  %10zu operations", s, b->us_count);
}

static void wait_all(struct bench *b)
{
	uint64_t began_ns = clock_boot_ns();
	struct timespec ts;

	pthread_mutex_lock(&b->lock);
	while (b->busy > 0) {
		clock_gettime(CLOCK_REALTIME, &ts);
		ts.tv_sec++;
		pthread_cond_timedwait(&b->changed, &b->lock, &ts);
		show_progress(b, began_ns);
	}
	pthread_mutex_unlock(&b->lock);
	if (isatty(STDERR_FILENO) && !b->only)
		fputc('\n', stderr);
}

/* only: each client does this once; 0: what was asked for, until the time is over. */
static void run_round(struct bench *b, uint8_t only)
{
	bool alone = b->line_count == b->client_count && !only;

	b->only = only;
	b->busy = b->client_count;
	b->counts_from_ns = clock_boot_ns() + b->args->warmup_s * NS_PER_S;
	b->until_ns = b->counts_from_ns + b->args->seconds * NS_PER_S;
	for (size_t i = 0; i < b->client_count; i++) {
		struct line *l = b->clients[i].line;

		l->threaded = alone && pthread_create(&l->thread, NULL, client_main, &b->clients[i]) == 0;
		if (!l->threaded)
			ask(&b->clients[i]);
	}
	wait_all(b);
	for (size_t i = 0; i < b->line_count; i++)
		if (b->lines[i].threaded)
			pthread_join(b->lines[i].thread, NULL);
}

/* ---- life ------------------------------------------------------------------------------------------------- */

static void open_lines(struct bench *b)
{
	struct fs_session_options so = { .timeo_ms = (uint32_t)b->args->timeout_ms };
	char address[256];
	const char *list[] = { address };

	ctl_address(b->args->node, address, sizeof(address));
	for (size_t i = 0; i < b->line_count; i++) {
		struct line *l = &b->lines[i];

		l->bench = b;
		randombytes_buf(so.uuid, sizeof(so.uuid));
		l->remote = node_remote_new();
		l->session = fs_session_new(&so, &node_remote_ops, l->remote);
		node_remote_attach(l->remote, l->session, so.uuid, list, 1);
	}
}

static void make_clients(struct bench *b)
{
	uint64_t run = 0;

	randombytes_buf(&run, sizeof(run));
	for (size_t i = 0; i < b->client_count; i++) {
		struct client *c = &b->clients[i];

		c->line = &b->lines[i % b->line_count];
		(void)snprintf(c->key, sizeof(c->key), "bench/%016llx/%zu", (unsigned long long)run, i);
	}
}

static void close_lines(struct bench *b)
{
	for (size_t i = 0; i < b->line_count; i++) {
		node_remote_mute(b->lines[i].remote);
		fs_session_free(b->lines[i].session);
		node_remote_free(b->lines[i].remote);
	}
}

static int by_size(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static double percentile_ms(const struct bench *b, unsigned per_mille)
{
	size_t at = b->us_count == 0 ? 0 : (b->us_count - 1) * per_mille / 1000;

	return b->us_count == 0 ? 0 : b->us[at] / 1000.0;
}

static void put_number(struct json_object *o, const char *name, double value)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%.3f", value);
	json_object_object_add(o, name, json_object_new_double_s(value, text));
}

static void print_result(struct bench *b)
{
	static const char *const names[] = { "put", "get", "mixed" };
	double rate = (double)b->us_count / (double)b->args->seconds;
	struct json_object *o;

	qsort(b->us, b->us_count, sizeof(*b->us), by_size);
	if (!b->args->json) {
		printf("%-10s %8s %8s %10s %8s %12s %9s %9s %9s\n", "operation", "clients", "bytes", "count", "errors",
		       "per second", "p50 ms", "p99 ms", "max ms");
		printf("%-10s %8zu %8llu %10zu %8llu %12.0f %9.3f %9.3f %9.3f\n", names[b->what], b->client_count,
		       (unsigned long long)b->args->size, b->us_count, (unsigned long long)b->errors, rate,
		       percentile_ms(b, 500), percentile_ms(b, 990), percentile_ms(b, 1000));
		return;
	}
	o = json_object_new_object();
	json_object_object_add(o, "operation", json_object_new_string(names[b->what]));
	json_object_object_add(o, "clients", json_object_new_uint64(b->client_count));
	json_object_object_add(o, "connections", json_object_new_uint64(b->line_count));
	json_object_object_add(o, "value_bytes", json_object_new_uint64(b->args->size));
	json_object_object_add(o, "seconds", json_object_new_uint64(b->args->seconds));
	json_object_object_add(o, "operations", json_object_new_uint64(b->us_count));
	json_object_object_add(o, "errors", json_object_new_uint64(b->errors));
	put_number(o, "per_second", rate);
	put_number(o, "p50_ms", percentile_ms(b, 500));
	put_number(o, "p99_ms", percentile_ms(b, 990));
	put_number(o, "max_ms", percentile_ms(b, 1000));
	ctl_print_json(o);
	json_object_put(o);
}

static int fail(struct bench *b)
{
	struct err err = ERR_INIT;

	err_set(&err, b->first_error, b->first_error == -ETIMEDOUT ? "no answer: no quorum" : "an operation failed: %s",
		strerror(-b->first_error));
	err_advise(&err, "nothing is lost; keys below 'bench/' may be left", "quorumfs status");
	return ctl_fail(&err);
}

static int run(struct bench *b)
{
	int code = CTL_OK;

	run_round(b, FS_KV_PUT);
	if (b->errors == 0)
		run_round(b, 0);
	print_result(b);
	if (b->errors > 0)
		code = fail(b);
	else if (!b->args->keep)
		run_round(b, FS_KV_DELETE);
	return code;
}

static bool parse_what(const char *text, enum what *what)
{
	if (strcmp(text, "put") == 0)
		*what = PUT;
	else if (strcmp(text, "get") == 0)
		*what = GET;
	else if (strcmp(text, "mixed") == 0)
		*what = MIXED;
	else
		return false;
	return true;
}

int cmd_kv_bench(const struct ctl_args *args)
{
	struct bench b = {
		.args = args,
		.client_count = args->clients,
		.line_count = min_u64(args->connections, args->clients),
	};
	struct err err = ERR_INIT;
	int code;

	if (!parse_what(args->operands[0], &b.what)) {
		err_set(&err, -EINVAL, "'%s' is none of put, get, mixed", args->operands[0]);
		return ctl_fail(&err);
	}
	if (sodium_init() < 0 || ctl_probe(args, &err) < 0)
		return ctl_fail(&err);
	pthread_mutex_init(&b.lock, NULL);
	pthread_cond_init(&b.changed, NULL);
	b.value = mem_alloc(args->size + 1);
	randombytes_buf(b.value, args->size);
	b.lines = mem_calloc(b.line_count, sizeof(*b.lines));
	b.clients = mem_calloc(b.client_count, sizeof(*b.clients));
	open_lines(&b);
	make_clients(&b);
	code = run(&b);
	close_lines(&b);
	free(b.clients);
	free(b.lines);
	free(b.value);
	free(b.us);
	pthread_cond_destroy(&b.changed);
	pthread_mutex_destroy(&b.lock);
	return code;
}
