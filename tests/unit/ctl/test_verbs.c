#include "tests/lib/unit.h"

#include "ctl/ctl.h"

static void verbs_have_unique_names_of_one_or_two_words(void **state)
{
	for (size_t i = 0; i < ctl_verb_count; i++) {
		const char *space = strchr(ctl_verbs[i].name, ' ');

		assert_true(ctl_verbs[i].name[0] != '\0' && ctl_verbs[i].name[0] != ' ');
		assert_true(!space || (space[1] != '\0' && !strchr(space + 1, ' ')));
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(ctl_verbs[k].name, ctl_verbs[i].name);
	}
}

/* "kv" beside "kv get" would take what belongs to the other. */
static void no_verb_is_the_first_word_of_another(void **state)
{
	for (size_t i = 0; i < ctl_verb_count; i++)
		for (size_t k = 0; k < ctl_verb_count; k++) {
			size_t len = strlen(ctl_verbs[i].name);

			if (i != k && strncmp(ctl_verbs[k].name, ctl_verbs[i].name, len) == 0)
				assert_int_not_equal(ctl_verbs[k].name[len], ' ');
		}
}

static void groups_are_contiguous(void **state)
{
	for (size_t i = 1; i < ctl_verb_count; i++) {
		if (strcmp(ctl_verbs[i].group, ctl_verbs[i - 1].group) == 0)
			continue;
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(ctl_verbs[k].group, ctl_verbs[i].group);
	}
}

/* One line: two spaces, 33 columns, a space, the summary. Above and below: usage, groups, examples. */
static void the_help_fits_a_terminal(void **state)
{
	size_t lines = 1 + 4;

	for (size_t i = 0; i < ctl_verb_count; i++) {
		const struct ctl_verb *v = &ctl_verbs[i];

		if (strlen(v->name) + 1 + strlen(v->operands) > 33 || 36 + strlen(v->summary) > 80)
			fail_msg("the line of '%s' is too long", v->name);
		lines += i == 0 || strcmp(v->group, ctl_verbs[i - 1].group) != 0 ? 2 : 1;
	}
	assert_true(lines <= 24);
}

static void texts_fit_a_terminal(void **state)
{
	for (size_t i = 0; i < ctl_verb_count; i++) {
		const char *p = ctl_verbs[i].text;

		while (p && *p) {
			size_t len = strcspn(p, "\n");

			assert_int_equal(p[len], '\n');
			assert_true(len <= 80);
			p += len + 1;
		}
	}
}

static void verbs_can_be_run_and_asked_for_help(void **state)
{
	for (size_t i = 0; i < ctl_verb_count; i++) {
		const struct ctl_verb *v = &ctl_verbs[i];
		const struct opt *help = opt_find(v->options, v->option_count, "help");

		assert_non_null(v->run);
		assert_non_null(help);
		assert_int_equal(help->short_name, 'h');
		assert_true(v->min_operands <= v->max_operands);
		/* The text for operands says whether there are any. */
		assert_int_equal(v->max_operands > 0, v->operands[0] != '\0');
	}
}

static void options_of_a_verb_do_not_collide(void **state)
{
	for (size_t i = 0; i < ctl_verb_count; i++) {
		const struct ctl_verb *v = &ctl_verbs[i];

		for (size_t a = 0; a < v->option_count; a++)
			for (size_t b = 0; b < a; b++) {
				assert_string_not_equal(v->options[a].name, v->options[b].name);
				if (v->options[a].short_name)
					assert_int_not_equal(v->options[a].short_name, v->options[b].short_name);
			}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verbs_have_unique_names_of_one_or_two_words),
		cmocka_unit_test(no_verb_is_the_first_word_of_another),
		cmocka_unit_test(groups_are_contiguous),
		cmocka_unit_test(the_help_fits_a_terminal),
		cmocka_unit_test(texts_fit_a_terminal),
		cmocka_unit_test(verbs_can_be_run_and_asked_for_help),
		cmocka_unit_test(options_of_a_verb_do_not_collide),
	};

	return cmocka_run_group_tests_name("ctl/verbs", tests, NULL, NULL);
}
