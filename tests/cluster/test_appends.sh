#!/bin/bash
# time-limit: 900
# Numbered records appended by four writers through three mounts while the leader is killed every five
# seconds (three in the short form): each record exactly once, none torn.
. "$(dirname "$0")/../lib/cluster.sh"

total=$((SHORT == 1 ? 6000 : 20000))
each=$((total / 4))
pause_ms=8 # so that it lasts for several kills
every=$((SHORT == 1 ? 30 : 50)) # tenths of a second
cluster_init 3
nodes_start
wait_leader
for n in 1 2 3; do mount_node $n; done
: >"$T/m1/records"
writers=()
for w in 1 2 3 4; do
	"$BUILD/tests/cluster/append_writer" "$T/m$((w % 3 + 1))/records" $w $each $pause_ms >"$T/writer$w.log" 2>&1 &
	writers+=($!)
done
alive() { local p; for p in "${writers[@]}"; do kill -0 "$p" 2>/dev/null && return 0; done; return 1; }
kills=0
while alive; do
	for i in $(seq $every); do alive || break; sleep 0.1; done
	alive || break
	l=$(leader) || continue
	node_kill "$l"
	kills=$((kills + 1))
	sleep 0.5
	node_start "$l"
done
for p in "${writers[@]}"; do wait "$p" || fail "a writer failed: $(cat "$T"/writer*.log)"; done
cat "$T"/writer*.log
say "$kills leaders killed"
[ $kills -ge 1 ] || fail "no leader was killed: too fast"
for n in 1 2 3; do
	if grep -nvE "^writer [1-4] record [0-9]{8} \.{16}$" "$T/m$n/records" >"$T/torn"; then head -n 3 "$T/torn"; fail "torn records on mount $n"; fi
	[ "$(wc -l <"$T/m$n/records")" = $total ] || fail "mount $n has $(wc -l <"$T/m$n/records") records"
	[ "$(sort -u "$T/m$n/records" | wc -l)" = $total ] || fail "records doubled on mount $n"
done
say "$total records, each exactly once"
digests_equal
