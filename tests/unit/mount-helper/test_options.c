#include "tests/lib/unit.h"

#include <sys/mount.h>

#include "mount-helper/mount.h"

static int parse(const char *text, bool sloppy, struct mount_options *o, struct err *err)
{
	static char list[512];

	snprintf(list, sizeof(list), "%s", text);
	*o = mount_options_default();
	*err = ERR_INIT;
	return mount_options_parse(list, sloppy, o, err);
}

static void parse_ok(const char *text, struct mount_options *o)
{
	struct err err;

	if (parse(text, false, o, &err) < 0)
		fail_msg("'%s': %s", text, err.text);
}

/* Defaults stand in two places: the table, which the man page repeats, and what programs start from. */
static void the_tables_defaults_are_the_real_ones(void **state)
{
	struct mount_options def = mount_options_default();
	struct err err = ERR_INIT;

	for (size_t i = 0; i < mount_options_count; i++) {
		const struct opt *o = &mount_options_table[i];
		struct mount_options set = def;

		if (!o->def || o->def[0] < '0' || o->def[0] > '9' || (o->kind != OPT_U64 && o->kind != OPT_SIZE && o->kind != OPT_SECONDS))
			continue;
		assert_int_equal(opt_set(o, o->def, &set, &err), 0);
		if (memcmp(&set, &def, sizeof(set)) != 0)
			fail_msg("the default of '%s' is not %s", o->name, o->def);
	}
}

static void names_are_unique(void **state)
{
	for (size_t i = 0; i < mount_options_count; i++)
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(mount_options_table[i].name, mount_options_table[k].name);
}

static void what_is_shown_takes_the_place_of_acls(void **state)
{
	static const struct {
		const char *list;
		uint32_t fmask, dmask;
		uint64_t uid, gid;
		bool no_acl;
	} cases[] = {
		{ "", FS_AS_STORED, FS_AS_STORED, FS_AS_STORED, FS_AS_STORED, false },
		{ "uid=0", FS_AS_STORED, FS_AS_STORED, 0, FS_AS_STORED, true },
		{ "gid=100,acl", FS_AS_STORED, FS_AS_STORED, FS_AS_STORED, 100, true },
		{ "umask=022", 022, 022, FS_AS_STORED, FS_AS_STORED, true },
		{ "dmask=27,umask=0", 0, 027, FS_AS_STORED, FS_AS_STORED, true },
		{ "fmask=777", 0777, FS_AS_STORED, FS_AS_STORED, FS_AS_STORED, true },
	};
	static const char *const bad[] = { "umask=", "umask=8", "umask=1000", "fmask=0x7", "dmask=-1", "uid=-1",
					   "uid=4294967295", "gid=users" };
	struct mount_options o;
	struct err err = ERR_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		parse_ok(cases[i].list, &o);
		assert_int_equal(o.fmask, cases[i].fmask);
		assert_int_equal(o.dmask, cases[i].dmask);
		assert_int_equal(o.uid, cases[i].uid);
		assert_int_equal(o.gid, cases[i].gid);
		assert_int_equal(o.no_acl, cases[i].no_acl);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (parse(bad[i], false, &o, &err) != -EINVAL)
			fail_msg("'%s' was taken", bad[i]);
}

static void bounds_of_caches_combine(void **state)
{
	struct mount_options o;
	struct err err = ERR_INIT;

	parse_ok("actimeo=3,entry-timeout=2,negative-timeout=1", &o);
	assert_true(o.attr_timeout == 3 && o.entry_timeout == 2 && o.negative_timeout == 1);
	parse_ok("actimeo=3,entry_timeout=2,negative_timeout=1,lookupcache=positive", &o);
	assert_true(o.attr_timeout == 3 && o.entry_timeout == 2 && o.negative_timeout == 0);
	parse_ok("actimeo=3,entry_timeout=2,noac", &o);
	assert_true(o.attr_timeout == 0 && o.entry_timeout == 0 && o.negative_timeout == 0);
	parse_ok("actimeo=3", &o);
	assert_true(o.attr_timeout == 3 && o.entry_timeout == 3 && o.negative_timeout == 3);
	parse_ok("lookupcache=none,entry_timeout=2,negative_timeout=1", &o);
	assert_true(o.entry_timeout == 0 && o.negative_timeout == 0);
	parse_ok("max_read=8191", &o);
	assert_int_equal(o.max_read, 4096);
	assert_int_equal(parse("lookupcache=some", false, &o, &err), -EINVAL);
	assert_int_equal(parse("soft,hard", false, &o, &err), -EINVAL);
	assert_int_equal(parse("max_read=4095", false, &o, &err), -EINVAL);
}

static void of_a_pair_the_last_counts(void **state)
{
	static const struct { const char *list; bool ro; } cases[] = {
		{ "", false },	     { "ro", true },	       { "rw", false },	     { "ro,rw", false },
		{ "rw,ro", true },   { "ro,nodev,rw", false }, { "rw,ro,rw,ro", true },
	};
	struct mount_options o;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		parse_ok(cases[i].list, &o);
		assert_int_equal(o.ro, cases[i].ro);
	}
	parse_ok("nodev,nosuid,noexec,suid,exec", &o);
	assert_true(o.nodev && !o.nosuid && !o.noexec);
	parse_ok("allow_other,noallow_other", &o);
	assert_true(!o.allow_other && o.no_allow_other);
	parse_ok("noallow_other,allow_other", &o);
	assert_true(o.allow_other && !o.no_allow_other);
}

static void what_is_for_others_is_left_out(void **state)
{
	struct mount_options o;

	parse_ok("x-systemd.requires=a.b,rw,X-mount.mkdir=0755,timeo=7,x-y", &o);
	assert_int_equal(o.timeo_ds, 7);
	parse_ok("x-only", &o);
	parse_ok(",,ro,,", &o);
	assert_true(o.ro);
	parse_ok("defaults,_netdev,nofail,comment=a b,noatime", &o);
}

static void fuses_own_options_are_left_out_of_remounts_only(void **state)
{
	struct mount_options o;
	struct err err;

	parse_ok("rw,nosuid,user_id=0,group_id=0,default_permissions,allow_other,max_read=131072,remount,ro", &o);
	assert_true(o.remount && o.ro);
	assert_int_equal(o.flags_set, MS_RDONLY | MS_NOSUID);
	assert_int_equal(o.flags_cleared, 0);
	parse_ok("remount,ro,dev,rw", &o);
	assert_int_equal(o.flags_set, 0);
	assert_int_equal(o.flags_cleared, MS_RDONLY | MS_NODEV);
	assert_int_equal(parse("user_id=0", false, &o, &err), -EINVAL);
}

static void locks_are_local_only_when_asked(void **state)
{
	struct mount_options o;

	parse_ok("ro", &o);
	assert_int_equal(o.local_locks, 0);
	parse_ok("local_lock=flock", &o);
	assert_int_equal(o.local_locks, MOUNT_LOCAL_FLOCK);
	parse_ok("local_lock=posix", &o);
	assert_int_equal(o.local_locks, MOUNT_LOCAL_POSIX);
	parse_ok("local_lock=all", &o);
	assert_int_equal(o.local_locks, MOUNT_LOCAL_FLOCK | MOUNT_LOCAL_POSIX);
	parse_ok("local_lock=all,local_lock=none", &o);
	assert_int_equal(o.local_locks, 0);
}

static void bad_lists_are_refused_with_the_reason(void **state)
{
	static const struct { const char *list, *reason; } cases[] = {
		{ "attr_timout=1", "did you mean 'attr_timeout'" },
		{ "timeo=soon", "'timeo'" },
		{ "timeo=0", "at least 1" },
		{ "timeo", "needs a value" },
		{ "ro=1", "takes no value" },
		{ "hard,softerr", "exclude each other" },
		{ "local_lock=some", "none, flock, posix or all" },
		{ "local_lock", "needs a value" },
		{ "snapshot-threshold=-2", "'snapshot-threshold'" },
	};
	struct mount_options o;
	struct err err;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(parse(cases[i].list, false, &o, &err), -EINVAL);
		if (!strstr(err.text, cases[i].reason))
			fail_msg("'%s': %s", cases[i].list, err.text);
	}
	/* -s forgives names, never values. */
	assert_int_equal(parse("what,is=this,ro", true, &o, &err), 0);
	assert_true(o.ro);
	assert_int_equal(parse("timeo=soon", true, &o, &err), -EINVAL);
}

static void squashed_callers_are_65534_or_who_is_named(void **state)
{
	static const struct {
		const char *list;
		struct fs_squash squash;
	} cases[] = {
		{ "", { false, false, 65534, 65534 } },
		{ "root_squash", { true, false, 65534, 65534 } },
		{ "no_root_squash,root_squash", { true, false, 65534, 65534 } },
		{ "root_squash,no_root_squash", { false, false, 65534, 65534 } },
		{ "root-squash=7:8", { true, false, 7, 8 } },
		{ "all_squash", { false, true, 65534, 65534 } },
		{ "all-squash=0:4294967294", { false, true, 0, 4294967294 } },
		{ "root-squash=7:8,all_squash", { true, true, 65534, 65534 } },
		{ "all-squash=9:10,root-squash=7:8", { true, true, 9, 10 } },
	};
	struct mount_options o;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct fs_squash *want = &cases[i].squash;

		parse_ok(cases[i].list, &o);
		if (o.squash.root != want->root || o.squash.all != want->all || o.squash.uid != want->uid ||
		    o.squash.gid != want->gid)
			fail_msg("'%s': %d %d %u:%u", cases[i].list, o.squash.root, o.squash.all, o.squash.uid,
				 o.squash.gid);
		assert_int_equal(o.no_acl, want->all);
	}
	parse_ok("root_squash,entry_timeout=5,negative_timeout=5,attr_timeout=5", &o);
	assert_true(o.entry_timeout == 0 && o.negative_timeout == 0 && o.attr_timeout == 5);
}

static void of_the_words_for_access_times_the_last_counts(void **state)
{
	struct mount_options o;

	parse_ok("", &o);
	assert_int_equal(o.atime, FS_NOATIME);
	parse_ok("strictatime,relatime", &o);
	assert_int_equal(o.atime, FS_RELATIME);
	parse_ok("noatime,strictatime,lazytime,nodiratime", &o);
	assert_int_equal(o.atime, FS_STRICTATIME);
	assert_true(o.nodiratime);
	parse_ok("strictatime,atime", &o);
	assert_int_equal(o.atime, FS_RELATIME);
	parse_ok("relatime,noatime,nodiratime,diratime", &o);
	assert_int_equal(o.atime, FS_NOATIME);
	assert_false(o.nodiratime);
}

static void what_is_refused_is_refused_by_name_and_with_sloppy(void **state)
{
	struct mount_options o;
	struct err err;

	for (size_t i = 0; i < mount_options_count; i++) {
		if (mount_options_table[i].kind != OPT_REFUSE)
			continue;
		for (int sloppy = 0; sloppy < 2; sloppy++) {
			assert_int_equal(parse(mount_options_table[i].name, sloppy, &o, &err), -EINVAL);
			assert_non_null(strstr(err.text, " is refused: "));
		}
	}
}

/* Runs take over words split at spaces; "argv" is what must be left. */
static void take(const char *words, const char *want_list, const char *want_argv)
{
	char copy[256], left[256] = "";
	char *argv[32];
	int argc = 0;
	struct err err = ERR_INIT;
	char *list, *save = NULL;

	snprintf(copy, sizeof(copy), "%s", words);
	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	list = mount_options_take(&argc, argv, &err);
	if (!want_list) {
		assert_null(list);
		assert_int_equal(err.code, -EINVAL);
		return;
	}
	assert_non_null(list);
	assert_string_equal(list, want_list);
	free(list);
	for (int i = 0; i < argc; i++)
		snprintf(left + strlen(left), sizeof(left) - strlen(left), "%s%s", i ? " " : "", argv[i]);
	assert_string_equal(left, want_argv);
}

static void every_o_is_taken_and_joined(void **state)
{
	take("m src dir", "", "m src dir");
	take("m src dir -o ro", "ro", "m src dir");
	take("m -o ro src -orw,nodev dir --options=a --options b=c", "ro,rw,nodev,a,b=c", "m src dir");
	take("m src dir -sno ro -vf", "ro", "m src dir -sn -vf");
	take("m src dir -fvoro", "ro", "m src dir -fv");
	take("m src dir -t fuse.quorumfs -N o", "", "m src dir -t fuse.quorumfs -N o");
	take("m src dir -t -o -o x", "x", "m src dir -t -o");
	take("m -- -o dir", "", "m -- -o dir");
	take("m src dir --types=o", "", "m src dir --types=o");
	take("m src dir -o", NULL, NULL);
	take("m src dir --options", NULL, NULL);
	take("m src dir -fo", NULL, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_tables_defaults_are_the_real_ones),
		cmocka_unit_test(names_are_unique),
		cmocka_unit_test(what_is_shown_takes_the_place_of_acls),
		cmocka_unit_test(bounds_of_caches_combine),
		cmocka_unit_test(of_a_pair_the_last_counts),
		cmocka_unit_test(what_is_for_others_is_left_out),
		cmocka_unit_test(fuses_own_options_are_left_out_of_remounts_only),
		cmocka_unit_test(locks_are_local_only_when_asked),
		cmocka_unit_test(bad_lists_are_refused_with_the_reason),
		cmocka_unit_test(squashed_callers_are_65534_or_who_is_named),
		cmocka_unit_test(of_the_words_for_access_times_the_last_counts),
		cmocka_unit_test(what_is_refused_is_refused_by_name_and_with_sloppy),
		cmocka_unit_test(every_o_is_taken_and_joined),
	};

	return cmocka_run_group_tests_name("mount-helper/options", tests, NULL, NULL);
}
