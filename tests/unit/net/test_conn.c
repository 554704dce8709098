/*
 * test_conn.c - both ends of connections in one real loop: TCP on 127.0.0.1 and a Unix socket.
 * Also server.c, which has no other way in.
 */
#include "tests/lib/unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/prng.h"
#include "net/frame.h"
#include "tests/unit/net/scratch.h"

#define SOCKET_PATH "conn-test.sock"

struct rig {
	uv_loop_t loop;
	struct net_server *server;
	char address[64];
	uint8_t cluster[16];
	bool echo;
	bool close_in_hello;
	int refuse;
	struct net_conn *accepted; /* the last one */
	unsigned hellos, server_frames, server_closes;
	int why_server; /* of the last close */
	/* the connecting side */
	struct net_hello hello;
	struct net_hello answer;
	unsigned opens, frames, closes;
	struct err why;
	uint64_t bytes;
	uint64_t next_number; /* of numbered frames */
	bool out_of_order;
	bool close_in_frame;
};

static const char *const addresses[] = { "127.0.0.1:0", "unix:" SOCKET_PATH };

/* ---- callbacks ----------------------------------------------------------------------------------- */

static int srv_hello(void *ctx, struct net_conn *conn, const struct net_hello *hello,
		     struct net_hello *answer, struct err *err)
{
	struct rig *r = ctx;

	r->hellos++;
	r->accepted = conn;
	net_conn_set_user(conn, r);
	if (r->close_in_hello)
		net_conn_close(conn);
	if (r->refuse) {
		err_set(err, r->refuse, "not you");
		return err_advise(err, "all others", "quorumfs status");
	}
	answer->node_id = 42;
	return 0;
}

static void srv_frame(void *ctx, struct net_conn *conn, uint8_t type, const uint8_t *payload,
		      size_t len)
{
	struct rig *r = ctx;
	struct buf b = BUF_INIT;

	assert_ptr_equal(net_conn_user(conn), r);
	r->server_frames++;
	if (!r->echo)
		return;
	buf_put(&b, payload, len);
	(void)net_conn_send(conn, type, &b); /* the other side may have left */
}

static void srv_close(void *ctx, struct net_conn *conn, const struct err *why)
{
	struct rig *r = ctx;

	r->server_closes++;
	r->why_server = why->code;
	if (r->accepted == conn)
		r->accepted = NULL;
}

static void cl_open(void *ctx, struct net_conn *conn, const struct net_hello *answer)
{
	struct rig *r = ctx;

	r->opens++;
	r->answer = *answer;
}

static void cl_frame(void *ctx, struct net_conn *conn, uint8_t type, const uint8_t *payload,
		     size_t len)
{
	struct rig *r = ctx;

	r->frames++;
	r->bytes += len;
	if (len >= 8 && load_le64(payload) != r->next_number++)
		r->out_of_order = true;
	if (r->close_in_frame)
		net_conn_close(conn);
}

static void cl_close(void *ctx, struct net_conn *conn, const struct err *why)
{
	struct rig *r = ctx;

	r->closes++;
	r->why = *why;
}

static const struct net_conn_ops server_ops = { .on_hello = srv_hello,
						.on_frame = srv_frame,
						.on_close = srv_close };
static const struct net_conn_ops client_ops = { .on_open = cl_open,
						.on_frame = cl_frame,
						.on_close = cl_close };

/* ---- the rig --------------------------------------------------------------------------------------- */

static void rig_start(struct rig *r, const char *address)
{
	struct err err = ERR_INIT;

	*r = (struct rig){ .cluster = { 7, 7, 7 },
			   .echo = true,
			   .hello = { .role = NET_ROLE_CLIENT } };
	log_set_level(LOG_NONE);
	assert_int_equal(uv_loop_init(&r->loop), 0);
	assert_int_equal(
		net_listen(&r->loop, address, r->cluster, 0, &server_ops, r, &r->server, &err), 0);
	if (strncmp(address, "unix:", 5) == 0)
		snprintf(r->address, sizeof(r->address), "%s", address);
	else
		snprintf(r->address, sizeof(r->address), "127.0.0.1:%d",
			 net_server_port(r->server));
}

/* Everything must end by itself once the server closed; then both sides were told once. */
static void rig_stop(struct rig *r)
{
	net_server_close(r->server);
	net_server_close(NULL);
	uv_run(&r->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&r->loop), 0);
	assert_int_equal(r->server_closes, r->hellos);
}

static struct net_conn *rig_connect(struct rig *r)
{
	return net_connect(&r->loop, r->address, &r->hello, 2000, &client_ops, r);
}

static void on_nudge(uv_timer_t *timer)
{
}

/* Runs the loop until *counter reached want; false after some seconds. */
static bool run_until(struct rig *r, const unsigned *counter, unsigned want)
{
	uint64_t end = clock_boot_ms() + 10000;
	uv_timer_t nudge;

	uv_timer_init(&r->loop, &nudge);
	uv_timer_start(&nudge, on_nudge, 10, 10);
	while (*counter < want && clock_boot_ms() < end)
		uv_run(&r->loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&nudge, NULL);
	uv_run(&r->loop, UV_RUN_NOWAIT);
	return *counter >= want;
}

static struct net_conn *rig_open(struct rig *r)
{
	struct net_conn *conn = rig_connect(r);

	assert_true(run_until(r, &r->opens, r->opens + 1));
	return conn;
}

static struct buf numbered(uint64_t number, size_t len)
{
	struct buf b = BUF_INIT;

	buf_put_le64(&b, number);
	buf_put_zeros(&b, len - 8);
	return b;
}

/* A stranger: a plain socket to the server. */
static int stranger(const struct rig *r)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)net_server_port(r->server)) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0);
	assert_true(connect(fd, (const struct sockaddr *)&in, sizeof(in)) == 0 ||
		    errno == EINPROGRESS);
	return fd;
}

static void run_ms(struct rig *r, uint64_t ms)
{
	uint64_t end = clock_boot_ms() + ms;
	uv_timer_t nudge;

	uv_timer_init(&r->loop, &nudge);
	uv_timer_start(&nudge, on_nudge, 5, 5);
	while (clock_boot_ms() < end)
		uv_run(&r->loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&nudge, NULL);
	uv_run(&r->loop, UV_RUN_NOWAIT);
}

/* Has the server closed this socket? */
static bool closed(int fd)
{
	char byte[4096];
	ssize_t n;

	do {
		n = recv(fd, byte, sizeof(byte), MSG_DONTWAIT);
	} while (n > 0);
	return n == 0 || (errno != EAGAIN && errno != EINTR);
}

/* ---- HELLO ----------------------------------------------------------------------------------------- */

static void hello_is_answered_and_brings_the_cluster(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
		struct rig r;
		struct net_conn *conn;

		rig_start(&r, addresses[i]);
		r.hello.incarnation = 9;
		conn = rig_open(&r);
		assert_int_equal(r.answer.node_id, 42);
		assert_memory_equal(r.answer.cluster, r.cluster, 16);
		assert_int_equal(net_conn_hello(r.accepted)->incarnation, 9);
		assert_string_equal(net_conn_peer_name(conn), r.address);
		if (i == 1)
			assert_string_equal(net_conn_peer_name(r.accepted), "unix");
		else
			assert_int_equal(strncmp(net_conn_peer_name(r.accepted), "127.0.0.1:", 10),
					 0);
		rig_stop(&r);
		assert_int_equal(r.closes, 1);
	}
}

static void a_refused_hello_brings_all_four_parts(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
		struct rig r;

		rig_start(&r, addresses[i]);
		r.refuse = -EXDEV;
		(void)rig_connect(&r);
		assert_true(run_until(&r, &r.closes, 1));
		assert_int_equal(r.opens, 0);
		assert_int_equal(r.why.code, -EXDEV);
		assert_non_null(strstr(r.why.text, "refused: not you"));
		assert_ptr_equal(strchr(r.why.text, '\''), r.why.text); /* who: its address */
		assert_string_equal(r.why.still_works, "all others");
		assert_string_equal(r.why.next, "quorumfs status");
		assert_true(run_until(&r, &r.server_closes, 1));
		assert_int_equal(r.why_server, -EXDEV);
		rig_stop(&r);
	}
}

static void a_node_of_another_cluster_is_not_taken(void **state)
{
	struct rig r;

	rig_start(&r, addresses[0]);
	r.hello.cluster[0] = 1;
	(void)rig_connect(&r);
	assert_true(run_until(&r, &r.closes, 1));
	assert_int_equal(r.opens, 0);
	assert_int_equal(r.why.code, -EXDEV);
	rig_stop(&r);
}

static void closing_inside_on_hello_is_fine(void **state)
{
	struct rig r;

	rig_start(&r, addresses[0]);
	r.close_in_hello = true;
	(void)rig_connect(&r);
	assert_true(run_until(&r, &r.closes, 1));
	assert_int_equal(r.opens, 0);
	rig_stop(&r);
}

/* ---- frames ---------------------------------------------------------------------------------------- */

static void thousands_of_frames_keep_their_order_both_ways(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
		struct rig r;
		struct net_conn *conn;
		uint64_t bytes = 0;
		struct prng p;

		prng_init(&p, 5);
		rig_start(&r, addresses[i]);
		conn = rig_open(&r);
		for (uint64_t n = 0; n < 6000; n++) {
			size_t len = 8 + (size_t)prng_below(&p, n % 500 == 0 ? 300000 : 600);
			struct buf b = numbered(n, len);

			bytes += len;
			assert_true(net_conn_send(conn, NET_CLIENT, &b));
			assert_null(b.data);
			if (n % 64 == 0)
				uv_run(&r.loop, UV_RUN_NOWAIT);
		}
		assert_true(run_until(&r, &r.frames, 6000));
		assert_int_equal(r.bytes, bytes);
		assert_false(r.out_of_order);
		assert_int_equal(net_conn_queued_bytes(conn), 0);
		rig_stop(&r);
	}
}

static void the_largest_frames_pass_between_small_ones(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
		struct rig r;
		struct net_conn *conn;

		rig_start(&r, addresses[i]);
		conn = rig_open(&r);
		for (uint64_t n = 0; n < 9; n++) {
			struct buf b = numbered(n, n % 4 == 1 ? NET_FRAME_PAYLOAD_MAX : 8 + n);

			assert_true(net_conn_send(conn, NET_RAFT, &b));
		}
		assert_true(run_until(&r, &r.frames, 9));
		assert_false(r.out_of_order);
		rig_stop(&r);
	}
}

static void a_frame_above_the_limit_is_dropped_and_nothing_else(void **state)
{
	struct rig r;
	struct net_conn *conn;
	struct buf b = numbered(0, NET_FRAME_PAYLOAD_MAX + 1u);

	rig_start(&r, addresses[0]);
	conn = rig_open(&r);
	assert_false(net_conn_send(conn, NET_RAFT, &b));
	assert_null(b.data);
	b = numbered(0, 8);
	assert_true(net_conn_send(conn, NET_RAFT, &b));
	assert_true(run_until(&r, &r.frames, 1));
	rig_stop(&r);
}

static void a_queue_above_its_limit_takes_no_more(void **state)
{
	struct rig r;
	struct net_conn *conn;
	bool taken = true;
	size_t sent = 0;

	rig_start(&r, addresses[0]);
	r.echo = false;
	conn = rig_open(&r);
	net_conn_set_queue_limit(conn, 4u << 20);
	for (; taken && sent < 200; sent += taken) {
		struct buf b = numbered(sent, 1u << 20);

		taken = net_conn_send(conn, NET_RAFT, &b);
		assert_null(b.data);
	}
	assert_false(taken);
	assert_in_range(net_conn_queued_bytes(conn), 4u << 20, (5u << 20) + 4096);
	assert_true(run_until(&r, &r.server_frames, (unsigned)sent));
	assert_int_equal(net_conn_queued_bytes(conn), 0);
	rig_stop(&r);
}

static void ping_is_answered_without_the_callbacks(void **state)
{
	struct rig r;
	struct net_conn *conn;
	struct buf b = BUF_INIT;

	rig_start(&r, addresses[0]);
	conn = rig_open(&r);
	assert_true(net_conn_send(conn, NET_PING, &b));
	b = numbered(0, 8);
	assert_true(net_conn_send(conn, NET_RAFT, &b));
	assert_true(run_until(&r, &r.frames, 1));
	assert_int_equal(r.server_frames, 1);
	rig_stop(&r);
}

/* ---- ends ------------------------------------------------------------------------------------------- */

static void close_is_told_once_on_both_sides(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
		struct rig r;
		struct net_conn *conn;
		struct buf b;

		rig_start(&r, addresses[i]);
		conn = rig_open(&r);
		for (int n = 0; n < 40; n++) {
			b = numbered((uint64_t)n, 1u << 20); /* some wait in the queue */
			(void)net_conn_send(conn, NET_RAFT, &b);
		}
		net_conn_close(conn);
		net_conn_close(conn);
		assert_int_equal(r.closes, 0); /* never from inside the call */
		b = numbered(0, 8);
		assert_false(net_conn_send(conn, NET_RAFT, &b));
		assert_true(run_until(&r, &r.closes, 1));
		assert_true(run_until(&r, &r.server_closes, 1));
		rig_stop(&r);
		assert_int_equal(r.closes, 1);
		assert_int_equal(r.server_closes, 1);
	}
}

static void closing_inside_on_frame_delivers_nothing_more(void **state)
{
	struct rig r;
	struct net_conn *conn;

	rig_start(&r, addresses[0]);
	conn = rig_open(&r);
	r.close_in_frame = true;
	for (uint64_t n = 0; n < 20; n++) {
		struct buf b = numbered(n, 64);

		assert_true(net_conn_send(conn, NET_RAFT, &b));
	}
	assert_true(run_until(&r, &r.closes, 1));
	assert_int_equal(r.frames, 1);
	rig_stop(&r);
}

static void a_connect_that_fails_is_told_once_and_later(void **state)
{
	static const struct {
		const char *address;
		int code;
	} cases[] = {
		{ "unix:no-such.sock", -ECONNREFUSED },
		{ "127.0.0.1:1", -ECONNREFUSED },
		{ "no-such-host.invalid:1", -EHOSTUNREACH },
		{ "a b", -EINVAL },
		{ "localhost:1", -ECONNREFUSED },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct rig r;

		rig_start(&r, addresses[0]);
		(void)net_connect(&r.loop, cases[i].address, &r.hello, 8000, &client_ops, &r);
		assert_int_equal(r.closes, 0);
		assert_true(run_until(&r, &r.closes, 1));
		assert_int_equal(r.why.code, cases[i].code);
		assert_true(r.why.text[0] && r.why.still_works[0] && r.why.next[0]);
		rig_stop(&r);
		assert_int_equal(r.closes, 1);
	}
}

static void a_host_name_connects_whatever_its_first_address(void **state)
{
	struct rig r;
	char address[64];

	rig_start(&r, addresses[0]);
	snprintf(address, sizeof(address), "localhost:%d", net_server_port(r.server));
	(void)net_connect(&r.loop, address, &r.hello, 5000, &client_ops, &r);
	assert_true(run_until(&r, &r.opens, 1));
	rig_stop(&r);
}

static void a_connect_can_be_closed_while_the_name_is_looked_up(void **state)
{
	struct rig r;

	rig_start(&r, addresses[0]);
	net_conn_close(net_connect(&r.loop, "localhost:1", &r.hello, 5000, &client_ops, &r));
	assert_true(run_until(&r, &r.closes, 1));
	rig_stop(&r);
	assert_int_equal(r.closes, 1);
}

static void a_node_that_never_answers_hello_times_out(void **state)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct rig r;

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	rig_start(&r, addresses[0]);
	snprintf(r.address, sizeof(r.address), "127.0.0.1:%u", ntohs(in.sin_port));
	(void)net_connect(&r.loop, r.address, &r.hello, 150, &client_ops, &r);
	assert_true(run_until(&r, &r.closes, 1));
	assert_int_equal(r.why.code, -ETIMEDOUT);
	rig_stop(&r);
	close(fd);
}

/* ---- strangers --------------------------------------------------------------------------------------- */

static void garbage_is_closed_and_harms_no_other_connection(void **state)
{
	struct rig r;
	struct net_conn *conn;
	uint8_t junk[4096];
	int fds[20];
	struct prng p;

	prng_init(&p, 3);
	rig_start(&r, addresses[0]);
	conn = rig_open(&r);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		struct buf b = numbered(i, 100);

		fds[i] = stranger(&r);
		for (size_t k = 0; k < sizeof(junk); k++)
			junk[k] = (uint8_t)prng_u64(&p);
		/* Noise, a web browser, and frames whose header is right but not HELLO, or much too long. */
		if (i % 4 == 1)
			memcpy(junk, "GET / HTTP/1.1\r\n\r\n", 18);
		else if (i % 4 == 2)
			net_frame_seal(junk, NET_CLIENT, r.cluster, 0, "boo", 3, NULL, 0);
		else if (i % 4 == 3)
			net_frame_seal(junk, NET_HELLO, r.cluster, 0, junk + 48, 4000, NULL, 0);
		run_ms(&r, 5);
		assert_true(send(fds[i], junk, i % 4 == 1 ? 18 : sizeof(junk), MSG_NOSIGNAL) > 0);
		assert_true(net_conn_send(conn, NET_CLIENT, &b));
	}
	assert_true(run_until(&r, &r.frames, ARRAY_SIZE(fds)));
	run_ms(&r, 50);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		assert_true(closed(fds[i]));
		close(fds[i]);
	}
	assert_int_equal(r.hellos, 1); /* ops saw none of them */
	assert_int_equal(r.closes, 0);
	rig_stop(&r);
}

static void frames_of_another_cluster_after_hello_are_refused(void **state)
{
	struct buf hello = BUF_INIT;
	uint8_t out[256], other[16] = { 9 };
	struct net_frame_header h;
	struct err why;
	ssize_t n, total = 0;
	struct rig r;
	int fd;

	rig_start(&r, addresses[0]);
	fd = stranger(&r);
	net_hello_encode(&r.hello, &hello);
	net_frame_seal(out, NET_HELLO, r.hello.cluster, 0, hello.data, hello.len, NULL, 0);
	memcpy(out + 48, hello.data, hello.len);
	run_ms(&r, 5);
	assert_true(send(fd, out, 48 + hello.len, 0) > 0);
	assert_true(run_until(&r, &r.hellos, 1));
	assert_true(recv(fd, out, 48 + hello.len, 0) == (ssize_t)(48 + hello.len)); /* HELLO_OK */
	net_frame_seal(out, NET_CLIENT, other, 0, NULL, 0, NULL, 0);
	assert_true(send(fd, out, 48, 0) == 48);
	run_ms(&r, 50);
	while ((n = recv(fd, out + total, sizeof(out) - (size_t)total, MSG_DONTWAIT)) > 0)
		total += n;
	assert_int_equal(net_frame_open(&h, out, NULL), 0);
	assert_int_equal(h.type, NET_REFUSED);
	assert_int_equal(net_refused_decode(&why, out + 48, h.payload_len), -EXDEV);
	assert_true(why.text[0] && why.still_works[0] && why.next[0]);
	assert_int_equal(r.server_frames, 0);
	close(fd);
	assert_true(run_until(&r, &r.server_closes, 1));
	assert_int_equal(r.why_server, -EXDEV);
	buf_release(&hello);
	rig_stop(&r);
}

static void a_silent_stranger_is_closed_after_the_time_limit(void **state)
{
	struct rig r;
	int fd;

	rig_start(&r, addresses[0]);
	fd = stranger(&r);
	run_ms(&r, 4500);
	assert_false(closed(fd));
	run_ms(&r, 900);
	assert_true(closed(fd));
	close(fd);
	rig_stop(&r);
}

/* ---- listening ---------------------------------------------------------------------------------------- */

static void a_port_in_use_is_named_with_the_next_command(void **state)
{
	struct net_server *second = NULL;
	struct err err = ERR_INIT;
	char port[16];
	struct rig r;

	rig_start(&r, addresses[0]);
	snprintf(port, sizeof(port), ":%d", net_server_port(r.server));
	assert_int_equal(
		net_listen(&r.loop, r.address, r.cluster, 0, &server_ops, &r, &second, &err),
		-EADDRINUSE);
	assert_non_null(strstr(err.text, "port is in use"));
	assert_non_null(strstr(err.text, port));
	assert_non_null(strstr(err.next, "ss -ltnp"));
	assert_non_null(strstr(err.next, port));
	assert_true(err.still_works[0] != '\0');
	assert_null(second);
	rig_stop(&r);
}

static void an_address_of_another_machine_is_not_available(void **state)
{
	struct net_server *server = NULL;
	struct err err = ERR_INIT;
	struct rig r;

	rig_start(&r, addresses[0]);
	assert_int_equal(
		net_listen(&r.loop, "192.0.2.1:0", r.cluster, 0, &server_ops, &r, &server, &err),
		-EADDRNOTAVAIL);
	assert_true(err.still_works[0] && err.next[0]);
	rig_stop(&r);
}

static void a_stale_socket_file_is_replaced_a_live_one_is_not(void **state)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX, .sun_path = SOCKET_PATH };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct net_server *second = NULL;
	struct err err = ERR_INIT;
	struct stat st;
	struct rig r;

	(void)unlink(SOCKET_PATH);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	close(fd); /* as a killed node leaves it */
	rig_start(&r, addresses[1]);
	assert_int_equal(stat(SOCKET_PATH, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(
		net_listen(&r.loop, r.address, r.cluster, 0, &server_ops, &r, &second, &err),
		-EADDRINUSE);
	assert_true(err.text[0] && err.still_works[0] && err.next[0]);
	(void)rig_open(&r);
	rig_stop(&r);
	assert_int_equal(stat(SOCKET_PATH, &st), -1); /* removed by its owner */
}

static void a_file_that_is_no_socket_is_left_alone(void **state)
{
	struct net_server *server = NULL;
	struct err err = ERR_INIT;
	struct stat st;
	struct rig r;
	FILE *f = fopen("conn-test.file", "w");

	assert_non_null(f);
	fclose(f);
	rig_start(&r, addresses[0]);
	assert_int_equal(net_listen(&r.loop, "unix:conn-test.file", r.cluster, 0, &server_ops, &r,
				    &server, &err),
			 -EADDRINUSE);
	assert_int_equal(stat("conn-test.file", &st), 0);
	assert_int_equal(net_listen(&r.loop, "unix:no/such/dir", r.cluster, 0, &server_ops, &r,
				    &server, &err),
			 -ENOENT);
	assert_true(err.text[0] && err.still_works[0] && err.next[0]);
	unlink("conn-test.file");
	rig_stop(&r);
}

static void ipv6_works_where_the_machine_has_it(void **state)
{
	struct net_server *server = NULL;
	struct rig r;

	rig_start(&r, addresses[0]);
	if (net_listen(&r.loop, "[::1]:0", r.cluster, 0, &server_ops, &r, &server, NULL) < 0) {
		rig_stop(&r);
		skip();
	}
	snprintf(r.address, sizeof(r.address), "[::1]:%d", net_server_port(server));
	(void)rig_open(&r);
	assert_int_equal(strncmp(net_conn_peer_name(r.accepted), "[::1]:", 6), 0);
	net_server_close(server);
	rig_stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hello_is_answered_and_brings_the_cluster),
		cmocka_unit_test(a_refused_hello_brings_all_four_parts),
		cmocka_unit_test(a_node_of_another_cluster_is_not_taken),
		cmocka_unit_test(closing_inside_on_hello_is_fine),
		cmocka_unit_test(thousands_of_frames_keep_their_order_both_ways),
		cmocka_unit_test(the_largest_frames_pass_between_small_ones),
		cmocka_unit_test(a_frame_above_the_limit_is_dropped_and_nothing_else),
		cmocka_unit_test(a_queue_above_its_limit_takes_no_more),
		cmocka_unit_test(ping_is_answered_without_the_callbacks),
		cmocka_unit_test(close_is_told_once_on_both_sides),
		cmocka_unit_test(closing_inside_on_frame_delivers_nothing_more),
		cmocka_unit_test(a_connect_that_fails_is_told_once_and_later),
		cmocka_unit_test(a_host_name_connects_whatever_its_first_address),
		cmocka_unit_test(a_connect_can_be_closed_while_the_name_is_looked_up),
		cmocka_unit_test(a_node_that_never_answers_hello_times_out),
		cmocka_unit_test(garbage_is_closed_and_harms_no_other_connection),
		cmocka_unit_test(frames_of_another_cluster_after_hello_are_refused),
		cmocka_unit_test(a_silent_stranger_is_closed_after_the_time_limit),
		cmocka_unit_test(a_port_in_use_is_named_with_the_next_command),
		cmocka_unit_test(an_address_of_another_machine_is_not_available),
		cmocka_unit_test(a_stale_socket_file_is_replaced_a_live_one_is_not),
		cmocka_unit_test(a_file_that_is_no_socket_is_left_alone),
		cmocka_unit_test(ipv6_works_where_the_machine_has_it),
	};

	return cmocka_run_group_tests(tests, scratch_enter, scratch_leave);
}
