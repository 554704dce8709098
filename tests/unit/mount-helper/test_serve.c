#include "tests/lib/unit.h"

#include <sys/socket.h>
#include <unistd.h>

#include "mount-helper/mount.h"

/* What the process that stays writes, then its end is closed. */
static int read_report(const void *data, size_t len, struct err *err)
{
	int fds[2], code;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(write(fds[1], data, len), (ssize_t)len);
	close(fds[1]);
	*err = ERR_INIT;
	code = mount_report_read(fds[0], err);
	close(fds[0]);
	return code;
}

static void success_is_one_byte(void **state)
{
	struct err err;

	assert_int_equal(read_report("\0", 1, &err), MOUNT_OK);
	assert_int_equal(err.code, 0);
}

static void an_error_arrives_with_all_its_parts(void **state)
{
	uint8_t message[1 + sizeof(struct err)] = { MOUNT_FAILED };
	struct err sent = ERR_INIT, err;

	err_set(&sent, -EBUSY, "cannot open store '%s': busy", "s");
	err_advise(&sent, "the others", "try again");
	memcpy(message + 1, &sent, sizeof(sent));
	assert_int_equal(read_report(message, sizeof(message), &err), MOUNT_FAILED);
	assert_memory_equal(&err, &sent, sizeof(err));
}

static void silence_is_a_failure(void **state)
{
	uint8_t cut[] = { MOUNT_FAILED, 1, 2 };
	struct err err;

	assert_int_equal(read_report(cut, 0, &err), MOUNT_FAILED);
	assert_non_null(strstr(err.text, "without a word"));
	assert_int_equal(read_report(cut, sizeof(cut), &err), MOUNT_FAILED);
	assert_non_null(strstr(err.text, "without a word"));
}

static void the_confirmation_outlives_the_caller(void **state)
{
	uint8_t byte = 1;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	mount_report_confirm(fds[0]);
	close(fds[0]);
	assert_int_equal(read(fds[1], &byte, 1), 1);
	assert_int_equal(byte, MOUNT_OK);
	assert_int_equal(read(fds[1], &byte, 1), 0);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(success_is_one_byte),
		cmocka_unit_test(an_error_arrives_with_all_its_parts),
		cmocka_unit_test(silence_is_a_failure),
		cmocka_unit_test(the_confirmation_outlives_the_caller),
	};

	return cmocka_run_group_tests_name("mount-helper/serve", tests, NULL, NULL);
}
