#!/bin/bash
# A node is stopped, the log is compacted past it, it starts: it comes back by snapshot.
. "$(dirname "$0")/../lib/cluster.sh"

threshold=$((SHORT == 1 ? 4 : 16))
cluster_init 3
nodes_start --snapshot-threshold=${threshold}M --segment-size=4M
wait_leader
for n in 1 2 3; do mount_node $n; done
echo before >"$T/m1/before"
lag=$(follower)
on=$(for n in 1 2 3; do [ $n != "$lag" ] && echo $n; done | head -n 1)
node_kill "$lag"
applied=$(status_of "$on" applied_index)
mkdir "$T/m$on/d"
for i in $(seq $((threshold * 8))); do
	dd if=/dev/urandom of="$T/m$on/d/f$i" bs=512k count=1 status=none || fail "write $i"
	[ $((i % 3)) = 0 ] && rm "$T/m$on/d/f$i"
done
for i in $(seq 100); do
	l=$(leader) && first=$(status_of "$l" first_index) && [ "$first" -gt "$applied" ] && break
	sleep 0.2
done
[ "$first" -gt "$applied" ] || fail "the leader's log was not cut: first $first, the node has $applied"
say "log now starts at $first, the stopped node had $applied"
node_start "$lag" --snapshot-threshold=${threshold}M --segment-size=4M
wait_equal
[ "$(status_of "$lag" snapshots_installed)" -ge 1 ] || fail "n$lag caught up without a snapshot"
say "n$lag installed a snapshot"
digests_equal
dumps_equal "$T/m1" "$T/m2" "$T/m3"
grep -q before "$T/m$lag/before" || fail "old file lost"
