/*
 * test_oracle.c - runs recorded behaviour of etcd/raft against our core, one verdict per script.
 *
 *   test_oracle [SCRIPT...]     without arguments, every script below $ORACLE_DIR, or where the
 *                               project keeps it: ../shared/oracle/etcd-raft
 *
 * A script's kind is the folder it lies in. Exit codes: 0 all equal, 1 not, 77 no scripts here.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/oracle/oracle.h"

static const struct oracle_kind *const kinds[] = { &oracle_quorum, &oracle_confchange,
						   &oracle_interaction };

static const char *next_of(const char *line)
{
	const char *end = strchr(line, '\n');

	return end == NULL ? line + strlen(line) : end + 1;
}

/* Of the log lines only those that tell a role, a term or a configuration are compared. */
static bool dropped(const char *line, size_t len)
{
	static const char *const levels[] = { "DEBUG ", "INFO ", "WARN ", "ERROR ", "FATAL " };
	char text[512];

	while (len > 0 && *line == ' ') {
		line++;
		len--;
	}
	snprintf(text, sizeof(text), "%.*s", (int)len, line);
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		if (strncmp(text, levels[i], strlen(levels[i])) != 0)
			continue;
		return strstr(text, " switched to configuration ") == NULL &&
		       (strstr(text, " became ") == NULL || strstr(text, " at term ") == NULL);
	}
	return false;
}

static void project(const struct oracle_kind *kind, const char *text, struct buf *out)
{
	for (const char *line = text; *line != '\0'; line = next_of(line)) {
		size_t len = strcspn(line, "\n");

		if (kind->projected &&
		    (dropped(line, len) || (len == 2 && memcmp(line, "ok", 2) == 0)))
			continue;
		buf_put(out, line, len);
		buf_printf(out, "\n");
	}
	buf_put_u8(out, '\0');
}

static void show(const char *label, const char *text)
{
	printf("  %s:\n", label);
	for (const char *line = text; *line != '\0'; line = next_of(line))
		printf("    | %.*s\n", (int)strcspn(line, "\n"), line);
}

static bool compare(const struct oracle_kind *kind, const struct script_case *c, const char *ours)
{
	struct buf want = BUF_INIT, have = BUF_INIT;
	bool equal;

	project(kind, c->expected, &want);
	project(kind, ours, &have);
	equal = strcmp((char *)want.data, (char *)have.data) == 0;
	if (!equal) {
		printf("  line %zu, command '%s' differs\n", c->line, c->command);
		show("recorded", (char *)want.data);
		show("ours", (char *)have.data);
	}
	buf_release(&want);
	buf_release(&have);
	return equal;
}

/* True if all cases are equal; stops at the first that is not, for later ones follow from it. */
static bool run_script(const struct oracle_kind *kind, const char *path, size_t *cases)
{
	struct script s;
	struct script_case c;
	struct err err = ERR_INIT;
	void *world;
	bool equal = true;
	int ret;

	if (script_open(&s, path, &err) < 0) {
		printf("  %s\n", err.text);
		return false;
	}
	world = kind->start();
	while ((ret = script_next(&s, &c)) == 1 && equal) {
		struct buf ours = BUF_INIT;

		kind->run(world, &c, &ours);
		buf_put_u8(&ours, '\0');
		equal = compare(kind, &c, (char *)ours.data);
		*cases += equal;
		buf_release(&ours);
		script_case_release(&c);
	}
	if (ret != 0)
		script_case_release(&c);
	if (ret < 0)
		printf("  line %zu does not parse\n", s.line);
	kind->stop(world);
	script_close(&s);
	return equal && ret == 0;
}

static const struct oracle_kind *kind_of(const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		char part[64];

		snprintf(part, sizeof(part), "/%s/", kinds[i]->folder);
		if (strstr(path, part) != NULL)
			return kinds[i];
	}
	return &oracle_interaction;
}

struct tally {
	size_t equal, differ, cases;
};

static void run_one(struct tally *t, const char *path)
{
	const struct oracle_kind *kind = kind_of(path);
	const char *name = strrchr(path, '/') == NULL ? path : strrchr(path, '/') + 1;
	size_t cases = 0;
	bool equal;

	fflush(stdout);
	equal = run_script(kind, path, &cases);
	printf("%s %s/%s (%zu cases)\n", equal ? "PASS" : "FAIL", kind->folder, name, cases);
	t->equal += equal;
	t->differ += !equal;
	t->cases += cases;
}

static int is_script(const struct dirent *d)
{
	size_t len = strlen(d->d_name);

	return len > 4 && strcmp(d->d_name + len - 4, ".txt") == 0;
}

static struct tally run_folder(const char *dir, const struct oracle_kind *kind)
{
	struct tally t = { .cases = 0 };
	char folder[4096];
	struct dirent **names = NULL;
	int count;

	snprintf(folder, sizeof(folder), "%s/%s", dir, kind->folder);
	count = scandir(folder, &names, is_script, alphasort);
	for (int i = 0; i < count; i++) {
		char path[8192];

		snprintf(path, sizeof(path), "%s/%s", folder, names[i]->d_name);
		run_one(&t, path);
		free(names[i]);
	}
	free(names);
	return t;
}

static void add(struct tally *sum, const struct tally *t)
{
	sum->equal += t->equal;
	sum->differ += t->differ;
	sum->cases += t->cases;
}

static void print_tally(const char *name, const struct tally *t)
{
	printf("  %-12s %7zu %7zu %7zu\n", name, t->equal, t->differ, t->cases);
}

int main(int argc, char **argv)
{
	const char *dir = getenv("ORACLE_DIR");
	struct tally sum = { .cases = 0 }, of[ARRAY_SIZE(kinds)];
	struct stat st;

	for (int i = 1; i < argc; i++)
		run_one(&sum, argv[i]);
	if (argc > 1)
		return sum.differ > 0;
	if (dir == NULL)
		dir = "../shared/oracle/etcd-raft";
	if (stat(dir, &st) < 0) {
		printf("SKIPPED: etcd's recorded behaviour is not at '%s': nothing outside judged "
		       "the "
		       "core\n",
		       dir);
		return 77;
	}
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		of[i] = run_folder(dir, kinds[i]);
		add(&sum, &of[i]);
	}
	printf("\n  %-12s %7s %7s %7s\n", "scripts", "equal", "differ", "cases");
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		print_tally(kinds[i]->folder, &of[i]);
	print_tally("all", &sum);
	/* As cmocka counts, which tests/run adds up. */
	if (sum.equal > 0)
		printf("[  PASSED  ] %zu test(s).\n", sum.equal);
	if (sum.differ > 0)
		printf("[  FAILED  ] %zu test(s).\n", sum.differ);
	return sum.differ > 0 || sum.equal == 0;
}
