#!/bin/bash
# O_DIRECT beside the page cache and beside other mounts.
#
# A direct write that fails, while the kernel's idea of the size is old, must not cut the file to that size:
# Linux undoes what it takes for an extension by setting the size that it remembers.
. "$(dirname "$0")/../lib/cluster.sh"

cluster_init 1
nodes_start
wait_leader
mount_node 1
mount_at "$T/n1/node.sock" "$T/m2" 2 || fail "second mount"

head -c 64 /dev/zero >"$T/m2/f"
mkfifo "$T/data"
# dd opens the file before the data come, and then writes them where no file may reach.
dd if="$T/data" of="$T/m2/f" bs=512 conv=notrunc oflag=direct,seek_bytes seek=$((1 << 60)) 2>"$T/dd.log" &
writer=$!
exec 9>"$T/data"
for i in $(seq 100); do
	[ "$(readlink /proc/$writer/fd/1)" = "$T/m2/f" ] && break
	sleep 0.05
done
[ "$(readlink /proc/$writer/fd/1)" = "$T/m2/f" ] || fail "dd did not open the file"
head -c 1000 /dev/urandom >"$T/new"
cat "$T/new" >"$T/m1/f" || fail "write through the other mount"
head -c 512 /dev/zero >&9
exec 9>&-
wait $writer && fail "a write beyond the largest file succeeded"
grep -q "File too large" "$T/dd.log" || fail "the write failed otherwise: $(cat "$T/dd.log")"
cmp "$T/new" "$T/m1/f" || fail "the failed write cut the file to $(stat -c %s "$T/m1/f") bytes"
cmp "$T/new" "$T/m2/f" || fail "the mount that failed sees $(stat -c %s "$T/m2/f") bytes"

# Pages that were made by a write through the cache do not outlive a direct one.
for i in $(seq 20); do
	exec 8<>"$T/m1/g"
	printf 'cached %02d' "$i" >&8
	printf 'direct %02d' "$i" | dd of="$T/m1/g" bs=9 conv=notrunc oflag=direct status=none
	[ "$(cat "$T/m1/g")" = "direct $(printf %02d "$i")" ] || fail "stale page: $(cat "$T/m1/g")"
	exec 8>&-
done
for n in 1 2; do unmount $n; done
