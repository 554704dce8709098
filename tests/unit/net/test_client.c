/* test_client.c - the channel comes back by itself, moves, and notices a node that died. */
#include "tests/lib/unit.h"

#include "base/clock.h"
#include "tests/unit/net/echo_rig.h"
#include "tests/unit/net/scratch.h"

struct watch {
	atomic_uint ups, downs, frames;
	atomic_ullong bytes, node_id;
	pthread_mutex_t lock;
	struct err why; /* of the last down; lock */
};

static const struct net_hello hello = { .role = NET_ROLE_CLIENT };

static void on_up(void *ctx, const struct net_hello *answer)
{
	struct watch *w = ctx;

	atomic_store(&w->node_id, answer->node_id);
	atomic_fetch_add(&w->ups, 1);
}

static void on_frame(void *ctx, uint8_t type, const uint8_t *payload, size_t len)
{
	struct watch *w = ctx;

	atomic_fetch_add(&w->bytes, len);
	atomic_fetch_add(&w->frames, 1);
}

static void on_down(void *ctx, const struct err *why)
{
	struct watch *w = ctx;

	pthread_mutex_lock(&w->lock);
	w->why = *why;
	pthread_mutex_unlock(&w->lock);
	atomic_fetch_add(&w->downs, 1);
}

static const struct net_client_ops ops = { .on_up = on_up,
					   .on_frame = on_frame,
					   .on_down = on_down };

static struct net_client *client(struct watch *w, const char *first, const char *second,
				 uint32_t dead_ms)
{
	const char *addresses[] = { first, second };

	*w = (struct watch){ .lock = PTHREAD_MUTEX_INITIALIZER };
	return net_client_new(addresses, second ? 2 : 1, &hello, dead_ms, &ops, w);
}

static bool reached(atomic_uint *counter, unsigned want)
{
	for (int i = 0; i < 1000 && atomic_load(counter) < want; i++)
		clock_sleep_ms(10);
	return atomic_load(counter) >= want;
}

static void frames_go_and_come_in_two_parts(void **state)
{
	struct echo e;
	struct watch w;
	struct net_client *c;

	echo_start(&e, "unix:client-test.sock", 5);
	c = client(&w, e.address, NULL, 3000);
	assert_true(reached(&w.ups, 1));
	assert_int_equal(atomic_load(&w.node_id), 5);
	assert_int_equal(net_client_send(c, NET_CLIENT, "head", 4, "tail", 4), 0);
	assert_int_equal(net_client_send(c, NET_CLIENT, NULL, 0, NULL, 0), 0);
	assert_true(reached(&w.frames, 2));
	assert_int_equal(atomic_load(&w.bytes), 8);
	net_client_free(c);
	echo_stop(&e);
	assert_int_equal(atomic_load(&e.closes), 1);
}

static void without_a_node_sending_fails_and_the_reason_is_told(void **state)
{
	struct watch w;
	struct net_client *c = client(&w, "unix:none.sock", NULL, 3000);

	assert_int_equal(net_client_send(c, NET_CLIENT, "x", 1, NULL, 0), -ENOTCONN);
	assert_true(reached(&w.downs, 1));
	net_client_free(c);
	assert_int_equal(w.why.code, -ECONNREFUSED);
	assert_int_equal(atomic_load(&w.ups), 0);
}

static void the_channel_comes_back_after_the_node_restarts(void **state)
{
	struct echo e;
	struct watch w;
	struct net_client *c;
	char address[128];

	echo_start(&e, "127.0.0.1:0", 5);
	snprintf(address, sizeof(address), "%s", e.address);
	c = client(&w, address, NULL, 3000);
	for (unsigned round = 1; round <= 3; round++) {
		assert_true(reached(&w.ups, round));
		assert_int_equal(net_client_send(c, NET_CLIENT, "x", 1, NULL, 0), 0);
		assert_true(reached(&w.frames, round));
		echo_stop(&e);
		assert_true(reached(&w.downs, round));
		echo_start(&e, address, 5);
	}
	assert_true(reached(&w.ups, 4));
	net_client_free(c);
	echo_stop(&e);
}

static void move_takes_the_next_address(void **state)
{
	struct echo a, b;
	struct watch w;
	struct net_client *c;

	echo_start(&a, "127.0.0.1:0", 1);
	echo_start(&b, "127.0.0.1:0", 2);
	c = client(&w, a.address, b.address, 3000);
	assert_true(reached(&w.ups, 1));
	assert_int_equal(atomic_load(&w.node_id), 1);
	net_client_move(c);
	assert_true(reached(&w.ups, 2));
	assert_int_equal(atomic_load(&w.node_id), 2);
	net_client_move(c);
	assert_true(reached(&w.ups, 3));
	assert_int_equal(atomic_load(&w.node_id), 1);
	echo_stop(&a);
	assert_true(reached(&w.ups, 4));
	assert_int_equal(atomic_load(&w.node_id), 2);
	net_client_free(c);
	echo_stop(&b);
}

struct sender {
	struct net_client *c;
	pthread_t thread;
	int ret;
};

#define SENDERS 8
#define FRAMES_EACH 1500

static void *send_many(void *arg)
{
	struct sender *s = arg;
	static const uint8_t tail[8192];

	for (int i = 0; i < FRAMES_EACH && s->ret == 0; i++)
		s->ret = net_client_send(s->c, NET_CLIENT, "0123456789", 10, tail,
					 (size_t)(i % 8192));
	return NULL;
}

static void many_threads_send_whole_frames(void **state)
{
	struct sender s[SENDERS];
	unsigned long long want = 0;
	struct echo e;
	struct watch w;
	struct net_client *c;

	echo_start(&e, "127.0.0.1:0", 1);
	c = client(&w, e.address, NULL, 5000);
	assert_true(reached(&w.ups, 1));
	for (int i = 0; i < SENDERS; i++) {
		s[i] = (struct sender){ .c = c };
		pthread_create(&s[i].thread, NULL, send_many, &s[i]);
	}
	for (int i = 0; i < SENDERS; i++) {
		pthread_join(s[i].thread, NULL);
		assert_int_equal(s[i].ret, 0);
	}
	for (int i = 0; i < FRAMES_EACH; i++)
		want += SENDERS * (10ull + (unsigned)(i % 8192));
	assert_true(reached(&w.frames, SENDERS * FRAMES_EACH));
	assert_int_equal(atomic_load(&w.bytes), want);
	assert_int_equal(atomic_load(&w.downs), 0);
	net_client_free(c);
	echo_stop(&e);
}

static void a_node_that_stopped_is_noticed_while_idle(void **state)
{
	struct echo a, b;
	struct watch w;
	struct net_client *c;

	echo_start(&a, "127.0.0.1:0", 1);
	echo_start(&b, "127.0.0.1:0", 2);
	c = client(&w, a.address, b.address, 600);
	assert_true(reached(&w.ups, 1));
	clock_sleep_ms(1500);
	assert_int_equal(atomic_load(&w.downs), 0); /* idle is not dead: PONG came */
	echo_freeze(&a);
	assert_true(reached(&w.ups, 2));
	assert_int_equal(atomic_load(&w.node_id), 2);
	pthread_mutex_lock(&w.lock);
	assert_int_equal(w.why.code, -ETIMEDOUT);
	assert_true(w.why.text[0] && w.why.still_works[0] && w.why.next[0]);
	pthread_mutex_unlock(&w.lock);
	echo_thaw(&a);
	net_client_free(c);
	echo_stop(&a);
	echo_stop(&b);
}

static void a_writer_hangs_no_longer_than_the_node_is_taken_for_alive(void **state)
{
	uint8_t *data = mem_calloc(1, 8u << 20);
	uint64_t began;
	struct echo e;
	struct watch w;
	struct net_client *c;
	int ret = 0;

	echo_start(&e, "unix:client-test.sock", 1);
	c = client(&w, e.address, NULL, 500);
	assert_true(reached(&w.ups, 1));
	echo_freeze(&e);
	began = clock_boot_ms();
	while (ret == 0 && clock_boot_ms() - began < 5000)
		ret = net_client_send(c, NET_CLIENT, data, 8u << 20, NULL, 0);
	assert_int_equal(ret, -ENOTCONN);
	assert_in_range(clock_boot_ms() - began, 300, 2500);
	assert_true(reached(&w.downs, 1));
	echo_thaw(&e);
	assert_true(reached(&w.ups, 2));
	net_client_free(c);
	echo_stop(&e);
	free(data);
}

static void freeing_is_quick_in_every_state(void **state)
{
	uint64_t began = clock_boot_ms();
	struct echo e;
	struct watch w;
	struct net_client *c;

	net_client_free(NULL);
	c = client(&w, "unix:none.sock", NULL, 3000); /* connecting, backing off */
	clock_sleep_ms(100);
	net_client_free(c);
	echo_start(&e, "127.0.0.1:0", 1);
	echo_freeze(&e);
	c = client(&w, e.address, NULL, 3000); /* waiting for the answer to HELLO */
	clock_sleep_ms(100);
	net_client_free(c);
	assert_int_equal(atomic_load(&w.ups), 0);
	echo_thaw(&e);
	echo_stop(&e);
	assert_in_range(clock_boot_ms() - began, 0, 1500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_go_and_come_in_two_parts),
		cmocka_unit_test(without_a_node_sending_fails_and_the_reason_is_told),
		cmocka_unit_test(the_channel_comes_back_after_the_node_restarts),
		cmocka_unit_test(move_takes_the_next_address),
		cmocka_unit_test(many_threads_send_whole_frames),
		cmocka_unit_test(a_node_that_stopped_is_noticed_while_idle),
		cmocka_unit_test(a_writer_hangs_no_longer_than_the_node_is_taken_for_alive),
		cmocka_unit_test(freeing_is_quick_in_every_state),
	};

	return cmocka_run_group_tests(tests, scratch_enter, scratch_leave);
}
