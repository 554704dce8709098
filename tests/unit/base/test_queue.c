/* test_queue.c - see base/queue.h. */
#include "tests/lib/unit.h"

#include "base/clock.h"
#include "base/queue.h"

enum { PRODUCERS = 4, ITEMS = 5000 };

struct item {
	struct list node;
	int producer, nth;
};

struct producer {
	struct queue *q;
	int id;
	struct item items[ITEMS];
};

static int count_of(struct list *head)
{
	int n = 0;

	list_for_each (it, head)
		n++;
	return n;
}

static void push_tells_when_the_queue_was_empty(void **state)
{
	struct list nodes[3], out;
	struct queue q;

	list_init(&out);
	queue_init(&q);
	assert_false(queue_take(&q, &out));
	assert_true(queue_push(&q, &nodes[0]));
	assert_false(queue_push(&q, &nodes[1]));
	assert_true(queue_take(&q, &out));
	assert_int_equal(count_of(&out), 2);
	assert_true(queue_push(&q, &nodes[2]));
	assert_true(queue_take(&q, &out));
	assert_ptr_equal(out.prev, &nodes[2]);
	queue_release(&q);
}

static void waiting_ends_after_its_time(void **state)
{
	uint64_t start_ms = clock_boot_ms();
	struct list out;
	struct queue q;

	list_init(&out);
	queue_init(&q);
	assert_true(queue_wait(&q, &out, 0));
	assert_true(queue_wait(&q, &out, 50));
	assert_true(list_empty(&out));
	assert_true(clock_boot_ms() - start_ms >= 49);
	queue_release(&q);
}

static void what_came_after_close_is_delivered(void **state)
{
	struct list node, out;
	struct queue q;

	list_init(&out);
	queue_init(&q);
	queue_close(&q);
	queue_push(&q, &node);
	assert_true(queue_wait(&q, &out, -1));
	assert_int_equal(count_of(&out), 1);
	assert_false(queue_wait(&q, &out, -1));
	queue_release(&q);
}

static void *produce(void *arg)
{
	struct producer *p = arg;

	for (int i = 0; i < ITEMS; i++) {
		p->items[i].producer = p->id;
		p->items[i].nth = i;
		queue_push(p->q, &p->items[i].node);
	}
	return NULL;
}

static void nothing_is_lost_and_each_producer_keeps_its_order(void **state)
{
	struct producer *producers = calloc(PRODUCERS, sizeof(*producers));
	int next[PRODUCERS] = { 0 }, total = 0;
	pthread_t threads[PRODUCERS];
	struct queue q;

	assert_non_null(producers);
	queue_init(&q);
	for (int i = 0; i < PRODUCERS; i++) {
		producers[i].q = &q;
		producers[i].id = i;
		assert_int_equal(pthread_create(&threads[i], NULL, produce, &producers[i]), 0);
	}
	while (total < PRODUCERS * ITEMS) {
		struct list out;

		list_init(&out);
		assert_true(queue_wait(&q, &out, 10000));
		assert_false(list_empty(&out));
		list_for_each_safe (n, &out) {
			struct item *it = list_entry(n, struct item, node);

			assert_int_equal(it->nth, next[it->producer]++);
			total++;
		}
	}
	for (int i = 0; i < PRODUCERS; i++)
		pthread_join(threads[i], NULL);
	queue_release(&q);
	free(producers);
}

static void *close_soon(void *arg)
{
	clock_sleep_ms(20);
	queue_close(arg);
	return NULL;
}

static void close_wakes_the_consumer(void **state)
{
	pthread_t thread;
	struct queue q;
	struct list out;

	list_init(&out);
	queue_init(&q);
	assert_int_equal(pthread_create(&thread, NULL, close_soon, &q), 0);
	assert_false(queue_wait(&q, &out, -1));
	pthread_join(thread, NULL);
	queue_release(&q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(push_tells_when_the_queue_was_empty),
		cmocka_unit_test(waiting_ends_after_its_time),
		cmocka_unit_test(what_came_after_close_is_delivered),
		cmocka_unit_test(nothing_is_lost_and_each_producer_keeps_its_order),
		cmocka_unit_test(close_wakes_the_consumer),
	};

	return cmocka_run_group_tests_name("base/queue", tests, NULL, NULL);
}
