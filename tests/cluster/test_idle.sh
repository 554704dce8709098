#!/bin/bash
# An idle cluster writes nothing: three nodes and three mounts after some work, not one byte in ten seconds
# (sixty in the long form).
. "$(dirname "$0")/../lib/cluster.sh"

cluster_init 3
nodes_start
wait_leader
for n in 1 2 3; do mount_node $n; done
for i in $(seq 50); do echo $i >"$T/m$((i % 3 + 1))/f$i"; done
rm "$T"/m1/f1*
written() { # bytes that nodes and mounts have dirtied so far
	local p
	for p in "${PID[@]}" "${MOUNT_PID[@]}"; do
		sed -n 's/^write_bytes: //p' "/proc/$p/io"
	done | awk '{ s += $1 } END { printf "%d\n", s }'
}
sleep 45 # orphans are reclaimed 30 s after the election, the last checkpoint follows
before=$(written)
[ "$before" -gt 0 ] || fail "the counter counts nothing"
sleep $((SHORT == 1 ? 10 : 60))
after=$(written)
[ "$before" = "$after" ] || fail "an idle cluster wrote $((after - before)) bytes"
say "idle: 0 bytes written"
echo again >"$T/m1/again"
[ "$(written)" -gt "$after" ] || fail "the counter does not see a write"
