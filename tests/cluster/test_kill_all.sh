#!/bin/bash
# SIGKILL of every node at once during load; all start again: everything acknowledged is there.
. "$(dirname "$0")/../lib/cluster.sh"

rounds=$((SHORT == 1 ? 2 : 5))
cluster_init 3
nodes_start --snapshot-threshold=2M --segment-size=4M
wait_leader
for n in 1 2 3; do mount_node $n timeo=600; done
writer() { # N: every name that is acknowledged is noted on the local disk afterwards
	local i=0
	while [ ! -e "$T/stop" ]; do
		i=$((i + 1))
		echo "$1 $i" >"$T/m$1/w$1-$i" || { echo "write $i failed" >"$T/failed$1"; return; }
		echo "w$1-$i $1 $i" >>"$T/acked$1"
	done
}
for n in 1 2 3; do writer $n & writers[$n]=$!; done
for r in $(seq $rounds); do
	sleep 3
	kill -KILL "${PID[@]}"
	for n in 1 2 3; do wait "${PID[$n]}" 2>/dev/null; unset "PID[$n]"; done
	say "round $r: all nodes killed after $(cat "$T"/acked* | wc -l) acknowledged files"
	sleep 0.5
	nodes_start --snapshot-threshold=2M --segment-size=4M
	wait_leader
done
sleep 2
touch "$T/stop"
wait "${writers[@]}"
[ -z "$(cat "$T"/failed* 2>/dev/null)" ] || fail "$(cat "$T"/failed*)"
for n in 1 2 3; do
	while read -r name text; do
		[ "$(cat "$T/m$(((n % 3) + 1))/$name")" = "$text" ] || fail "$name is lost or wrong"
	done <"$T/acked$n"
done
say "$(cat "$T"/acked* | wc -l) acknowledged files are all there"
digests_equal
