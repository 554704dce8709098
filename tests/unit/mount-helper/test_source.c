#include "tests/lib/unit.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "mount-helper/mount.h"

static char work[] = "/tmp/qfs-source-test-XXXXXX";

static int enter(void **state)
{
	return mkdtemp(work) && chdir(work) == 0 && mkdir("mnt", 0755) == 0 ? 0 : -1;
}

static int leave(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", work);
	return chdir("/") == 0 && system(command) == 0 ? 0 : -1;
}

static int resolve(struct mount_args *a, const char *text, const char *target, int *code, struct err *err)
{
	mount_source_release(&a->source);
	a->source = (struct mount_source){ .text = text };
	*err = ERR_INIT;
	*code = -1;
	snprintf(a->target_path, sizeof(a->target_path), "%s/%s", work, target);
	return mount_source_resolve(a, code, err);
}

static void refused(const char *text, int ret, int exit_code, const char *reason)
{
	struct mount_args *a = mem_calloc(1, sizeof(*a));
	struct err err;
	int code;

	assert_int_equal(resolve(a, text, "mnt", &code, &err), ret);
	assert_int_equal(code, exit_code);
	if (!strstr(err.text, reason))
		fail_msg("'%s': %s", text, err.text);
	assert_true(err.still_works[0] != '\0' && err.next[0] != '\0');
	mount_source_release(&a->source);
	free(a);
}

static void hosts_are_split_at_commas(void **state)
{
	static const struct { const char *text; size_t count; const char *last; } cases[] = {
		{ "n1", 1, "n1" },
		{ "n1:7901", 1, "n1:7901" },
		{ "n1:/", 1, "n1" },
		{ "n1,n2:7901,n3:/", 3, "n3" },
		{ "[::1]:7900,10.0.0.2", 2, "10.0.0.2" },
	};
	struct mount_args *a = mem_calloc(1, sizeof(*a));
	struct err err;
	int code;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(resolve(a, cases[i].text, "mnt", &code, &err), 0);
		assert_false(a->source.embedded);
		assert_int_equal(a->source.address_count, cases[i].count);
		assert_string_equal(a->source.addresses[cases[i].count - 1], cases[i].last);
	}
	mount_source_release(&a->source);
	free(a);
	refused("n1:port", -EINVAL, MOUNT_USAGE, "port");
	refused("n1,,n2", -EINVAL, MOUNT_USAGE, "host is missing");
	refused(":/", -EINVAL, MOUNT_USAGE, "empty");
	refused("a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q", -EINVAL, MOUNT_USAGE, "more than 16 hosts");
}

static void a_path_behind_the_source_is_a_directory(void **state)
{
	static const struct { const char *text, *subdir, *address; } cases[] = {
		{ "n1:/", NULL, "n1" },
		{ "n1,n2:7901:/a/b", "a/b", "n2:7901" },
		{ "[::1]:/a:/b", "a:/b", "[::1]" },
		{ "/run/q.sock:/a", "a", "unix:/run/q.sock" },
		{ "unix:/run/q.sock:/a/", "a/", "unix:/run/q.sock" },
		{ "unix:/run/q:/a", NULL, "unix:/run/q:/a" },
		{ "/run/odd:/q.sock", NULL, "unix:/run/odd:/q.sock" },
	};
	struct mount_args *a = mem_calloc(1, sizeof(*a));
	struct err err;
	int code;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(resolve(a, cases[i].text, "mnt", &code, &err), 0);
		assert_string_equal(a->source.addresses[a->source.address_count - 1], cases[i].address);
		if (cases[i].subdir)
			assert_string_equal(a->source.subdir, cases[i].subdir);
		else
			assert_null(a->source.subdir);
	}
	a->options.subdir = "c";
	assert_int_equal(resolve(a, "n1:/", "mnt", &code, &err), 0);
	assert_string_equal(a->source.subdir, "c");
	assert_int_equal(resolve(a, "n1:/d", "mnt", &code, &err), -EINVAL);
	mount_source_release(&a->source);
	free(a);
}

static void further_hosts_stand_behind_those_of_the_source(void **state)
{
	static const struct { const char *colons, *slashes, *last; size_t count; } cases[] = {
		{ NULL, NULL, "n1", 1 },
		{ "b:c", NULL, "c", 3 },
		{ "b:7901:c", NULL, "c", 3 },
		{ "b:c:7902", NULL, "c:7902", 3 },
		{ "[::2]:7901:c:[::3]", NULL, "[::3]", 4 },
		{ NULL, "b/c:7901/[::4]", "[::4]", 4 },
		{ "b", "c", "c", 3 },
	};
	struct mount_args *a = mem_calloc(1, sizeof(*a));
	struct err err;
	int code;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		a->options.backup_servers = cases[i].colons;
		a->options.mon_addr = cases[i].slashes;
		assert_int_equal(resolve(a, "n1", "mnt", &code, &err), 0);
		assert_int_equal(a->source.address_count, cases[i].count);
		assert_string_equal(a->source.addresses[cases[i].count - 1], cases[i].last);
	}
	a->options.mon_addr = "b//c";
	assert_int_equal(resolve(a, "n1", "mnt", &code, &err), -EINVAL);
	assert_int_equal(resolve(a, "/run/q.sock", "mnt", &code, &err), -EINVAL);
	mount_source_release(&a->source);
	free(a);
}

static void sockets_get_absolute_names(void **state)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX, .sun_path = "there" };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	static const struct { const char *text, *path; } cases[] = {
		{ "there", "there" },		     { "./there", "./there" },
		{ "unix:there", "there" },	     { "unix:missing", "missing" },
		{ "./n1/node.sock", "./n1/node.sock" }, { "n1/node.sock", "n1/node.sock" },
	};
	struct mount_args *a = mem_calloc(1, sizeof(*a));
	char want[128];
	struct err err;
	int code;

	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(resolve(a, cases[i].text, "mnt", &code, &err), 0);
		assert_int_equal(a->source.address_count, 1);
		snprintf(want, sizeof(want), "unix:%s/%s", work, cases[i].path);
		assert_string_equal(a->source.addresses[0], want);
	}
	assert_int_equal(resolve(a, "/run/q.sock", "mnt", &code, &err), 0);
	assert_string_equal(a->source.addresses[0], "unix:/run/q.sock");
	mount_source_release(&a->source);
	free(a);
	close(fd);
	refused("/a-path-that-is-long/a-path-that-is-long/a-path-that-is-long/a-path-that-is-long/"
		"a-path-that-is-long/node.sock", -EINVAL, MOUNT_FAILED, "107 bytes");
}

static void directories_must_be_stores(void **state)
{
	assert_int_equal(mkdir("empty", 0755), 0);
	assert_int_equal(close(creat("file", 0644)), 0);
	refused("./missing", -ENOENT, MOUNT_FAILED, "No such file");
	refused("/missing/dir", -ENOENT, MOUNT_FAILED, "No such file");
	refused("empty", -EINVAL, MOUNT_FAILED, "empty");
	refused("file", -ENOTDIR, MOUNT_FAILED, "neither");
}

/* Once mounted, the store would lie behind its own mount: then it must not even be made. */
static void create_makes_nothing_below_the_mount_point(void **state)
{
	static const char *const places[] = { "mnt/new", "mnt/new/", "mnt", "./mnt/./new", "mnt/empty", "link/new" };
	struct mount_args *a = mem_calloc(1, sizeof(*a));
	struct stat st;
	struct err err;
	int code;

	assert_int_equal(mkdir("mnt/empty", 0755), 0);
	assert_int_equal(symlink("mnt", "link"), 0);
	a->options.create = true;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		a->fake = i % 2 == 1;
		assert_int_equal(resolve(a, places[i], "mnt", &code, &err), -ELOOP);
		assert_int_equal(code, MOUNT_FAILED);
		assert_non_null(strstr(err.text, "below its own mount point"));
	}
	assert_int_equal(stat("mnt/new", &st), -1);
	assert_int_equal(rmdir("mnt/empty"), 0); /* still empty */
	a->fake = false;
	assert_int_equal(resolve(a, "mntx", "mnt", &code, &err), 0); /* a name that only begins alike */
	assert_int_equal(stat("mntx/group-0", &st), 0);
	assert_int_equal(unlink("link"), 0);
	free(a);
}

static void create_makes_a_store_of_nothing_only(void **state)
{
	struct mount_args *a = mem_calloc(1, sizeof(*a));
	struct err err;
	int code;

	a->options.create = true;
	a->fake = true;
	assert_int_equal(resolve(a, "fake", "mnt", &code, &err), 0);
	assert_int_not_equal(access("fake", F_OK), 0);
	a->fake = false;
	assert_int_equal(mkdir("private", 0711), 0);
	for (int again = 0; again < 2; again++) {
		struct stat st;

		assert_int_equal(resolve(a, "new", "mnt", &code, &err), 0);
		assert_true(a->source.embedded);
		assert_int_equal(access("new/group-0/superblock", F_OK), 0);
		assert_int_equal(resolve(a, "private", "mnt", &code, &err), 0);
		assert_int_equal(stat("private", &st), 0);
		assert_int_equal(st.st_mode & 07777, 0711);
	}
	assert_int_equal(mkdir("full", 0755), 0);
	assert_int_equal(close(creat("full/file", 0644)), 0);
	assert_true(resolve(a, "full", "mnt", &code, &err) < 0);
	assert_int_equal(code, MOUNT_FAILED);
	assert_int_not_equal(access("full/group-0", F_OK), 0);
	mount_source_release(&a->source);
	free(a);
}

static void a_store_cannot_lie_below_its_mount_point(void **state)
{
	static const struct { const char *target; int ret; } cases[] = {
		{ "outer", -ELOOP }, { "outer/store", -ELOOP }, { "out", 0 }, { "outer/store/x", 0 }, { "outer/sto", 0 },
	};
	struct mount_args *a = mem_calloc(1, sizeof(*a));
	struct err err;
	int code;

	a->options.create = true;
	assert_int_equal(mkdir("outer", 0755), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(resolve(a, "outer/store", cases[i].target, &code, &err), cases[i].ret);
	mount_source_release(&a->source);
	free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hosts_are_split_at_commas),
		cmocka_unit_test(a_path_behind_the_source_is_a_directory),
		cmocka_unit_test(further_hosts_stand_behind_those_of_the_source),
		cmocka_unit_test(sockets_get_absolute_names),
		cmocka_unit_test(directories_must_be_stores),
		cmocka_unit_test(create_makes_nothing_below_the_mount_point),
		cmocka_unit_test(create_makes_a_store_of_nothing_only),
		cmocka_unit_test(a_store_cannot_lie_below_its_mount_point),
	};

	return cmocka_run_group_tests_name("mount-helper/source", tests, enter, leave);
}
