/* test_list.c - see base/list.h. */
#include "tests/lib/unit.h"

#include "base/list.h"

struct item {
	int id;
	struct list node;
};

static void assert_ids(struct list *head, const int *want, size_t count)
{
	size_t i = 0;

	list_for_each (n, head) {
		assert_true(i < count);
		assert_int_equal(list_entry(n, struct item, node)->id, want[i]);
		assert_ptr_equal(n->next->prev, n);
		i++;
	}
	assert_int_equal(i, count);
}

static void keeps_order_at_both_ends(void **state)
{
	struct item items[3] = { { .id = 1 }, { .id = 2 }, { .id = 3 } };
	struct list head;

	list_init(&head);
	assert_true(list_empty(&head));
	list_add_tail(&head, &items[1].node);
	list_add_tail(&head, &items[2].node);
	list_add_head(&head, &items[0].node);
	assert_ids(&head, (int[]){ 1, 2, 3 }, 3);
	assert_int_equal(list_first(&head, struct item, node)->id, 1);
}

static void a_loop_may_delete_what_it_stands_on(void **state)
{
	struct item items[4] = { { .id = 0 }, { .id = 1 }, { .id = 2 }, { .id = 3 } };
	struct list head;

	list_init(&head);
	for (int i = 0; i < 4; i++)
		list_add_tail(&head, &items[i].node);
	list_for_each_safe (n, &head)
		if (list_entry(n, struct item, node)->id % 2 == 0)
			list_del(n);
	assert_ids(&head, (int[]){ 1, 3 }, 2);
	list_del(&items[0].node); /* already out: harmless */
	assert_ids(&head, (int[]){ 1, 3 }, 2);
}

static void splice_moves_all_and_keeps_order(void **state)
{
	struct item items[4] = { { .id = 0 }, { .id = 1 }, { .id = 2 }, { .id = 3 } };
	struct list a, b;

	list_init(&a);
	list_init(&b);
	for (int i = 0; i < 4; i++)
		list_add_tail(i < 2 ? &a : &b, &items[i].node);
	list_splice_tail(&a, &b);
	assert_true(list_empty(&b));
	assert_ids(&a, (int[]){ 0, 1, 2, 3 }, 4);
	list_splice_tail(&a, &b);
	list_splice_tail(&b, &a);
	assert_true(list_empty(&a));
	assert_ids(&b, (int[]){ 0, 1, 2, 3 }, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_order_at_both_ends),
		cmocka_unit_test(a_loop_may_delete_what_it_stands_on),
		cmocka_unit_test(splice_moves_all_and_keeps_order),
	};

	return cmocka_run_group_tests_name("base/list", tests, NULL, NULL);
}
