/*
 * fuzz_predecessor.c - the file that remembers the session of a mount point, of any bytes, as they are and
 * with a checksum that fits.
 */
#include "base/hash.h"
#include "mount-helper/predecessor.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t name[FS_SESSION_NAME_SIZE];
	struct buf whole = BUF_INIT;

	if (predecessor_decode(data, size, "/mnt/shared", name))
		assert(size == 1 + sizeof(name) + 2 + strlen("/mnt/shared") + 8 && data[0] == 1);
	buf_put(&whole, data, size);
	buf_put_le64(&whole, hash64(data, size));
	if (predecessor_decode(whole.data, whole.len, "/mnt/shared", name))
		assert(memcmp(name, data + 1, sizeof(name)) == 0);
	buf_release(&whole);
	return 0;
}
