#!/bin/bash
# Sizes up to the end of off_t, from two mounts: what can be stored, what is a hole, and EFBIG.
. "$(dirname "$0")/../lib/cluster.sh"
cluster_init 2
nodes_start
wait_leader
mount_node 1
mount_node 2
cat >"$T/sizes.py" <<'PY'
import errno, os, resource, signal, sys
here, there = sys.argv[1:]
END, STORED = 2**63 - 1, 2**42
name = 'huge'
fd = os.open(f'{here}/{name}', os.O_CREAT | os.O_RDWR)
other = os.open(f'{there}/{name}', os.O_RDWR)

def fails(number, call, *args):
    try:
        call(*args)
    except OSError as e:
        assert e.errno == number, (call, args, e)
        return
    raise AssertionError((call, args, 'succeeded'))

os.write(fd, b'start')
for size in (STORED + 1, 2**50, END):
    os.ftruncate(fd, size)
    st = os.stat(f'{there}/{name}')
    assert st.st_size == size and st.st_blocks == 64, st
assert os.pread(other, 4, END - 4) == bytes(4)
assert os.pread(other, 10, STORED - 5) == bytes(10)
assert os.lseek(other, 0, os.SEEK_END) == END
assert os.lseek(other, 0, os.SEEK_HOLE) == 32768
fails(errno.ENXIO, os.lseek, other, 32768, os.SEEK_DATA)
assert os.lseek(other, 2**60, os.SEEK_HOLE) == 2**60
fails(errno.EFBIG, os.pwrite, other, b'x', STORED)
fails(errno.EFBIG, os.pwrite, other, b'x', END - 1)
assert os.pwrite(other, b'xyz', STORED - 2) == 2, 'not as much as there is room for'
assert os.pread(fd, 4, STORED - 3) == b'\0xy\0'
assert os.lseek(fd, 32768, os.SEEK_DATA) == STORED - 32768
append = os.open(f'{here}/{name}', os.O_WRONLY | os.O_APPEND)
fails(errno.EFBIG, os.write, append, b'x')
fails(errno.EFBIG, os.posix_fallocate, fd, STORED, 1)
os.ftruncate(other, 5)
assert os.fstat(fd).st_size == 5 and os.pread(fd, 10, 0) == b'start'
assert os.stat(f'{here}/{name}').st_blocks == 8

# A process' own limit: a signal, else EFBIG; what fits is written.
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
assert os.pwrite(fd, bytes(50), 80) == 20
fails(errno.EFBIG, os.pwrite, fd, b'x', 100)
fails(errno.EFBIG, os.ftruncate, fd, 101)
PY
/usr/bin/python3 "$T/sizes.py" "$T/m1" "$T/m2" || fail "sizes"
cp --sparse=always "$T/m1/huge" "$T/m1/copy" && cmp "$T/m1/huge" "$T/m2/copy" || fail "cp"
truncate -s 7E "$T/m1/sparse" && [ "$(du "$T/m2/sparse" | cut -f1)" = 0 ] || fail "a sparse file of 7 EiB"
rm "$T/m2/sparse" "$T/m1/huge"
digests_equal
unmount 1
unmount 2
