#!/bin/bash
# time-limit: 1800
# The same on three nodes while the leader is killed during the build: the mount on a surviving node sees
# no failed system call; the node comes back and catches up; all states and all mounts are equal.
. "$(dirname "$0")/../lib/cluster.sh"
. "$(dirname "$0")/../lib/source.sh"

source_fetch
cluster_init 3
nodes_start
wait_leader
work=$(follower)
for n in 1 2 3; do mount_node $n; done

# A probe writes every 50 ms next to the work; its longest gap is the stall.
probe() {
	local last now worst=0 gap
	last=$(date +%s%N)
	while [ ! -e "$T/probe.stop" ]; do
		echo x >"$T/m$work/probe" || { echo failed >"$T/probe.failed"; break; }
		now=$(date +%s%N)
		gap=$(((now - last) / 1000000))
		[ $gap -gt $worst ] && { worst=$gap; echo "$worst" >"$T/probe.worst"; }
		last=$now
		sleep 0.05
	done
}
killer() { # the leader dies while make runs
	local l
	while [ ! -e "$T/m$work/work/config.status" ]; do sleep 0.5; done
	sleep 4
	# The work's own node must live; let it lead last.
	l=$(leader)
	[ "$l" = "$work" ] && { echo "leader moved to the work's node" >"$T/killer.skipped"; return; }
	kill -KILL "${PID[$l]}"
	echo "$l" >"$T/killer.node"
}
probe &
probe_pid=$!
killer &
killer_pid=$!
work_on_tree "$T/m$work"
wait $killer_pid
touch "$T/probe.stop"
wait $probe_pid
[ ! -e "$T/probe.failed" ] || fail "a write of the probe failed"
[ -s "$T/killer.node" ] || fail "the leader was not killed: $(cat "$T/killer.skipped" 2>/dev/null)"
dead=$(cat "$T/killer.node")
wait "${PID[$dead]}" 2>/dev/null
unset "PID[$dead]"
say "leader n$dead was killed during the build; longest stall $(cat "$T/probe.worst") ms"
node_start "$dead"
wait_equal
say "n$dead caught up"
digests_equal
dumps_equal "$T/m1" "$T/m2" "$T/m3"
for n in 1 2 3; do unmount $n; done
kill -0 "${PID[1]}" "${PID[2]}" "${PID[3]}" || fail "a node ended with its mount"
# Power off and on.
for n in 1 2 3; do node_stop $n; done
nodes_start
wait_leader
mount_node 2
dump_tree "$T/m2" >"$T/dump.2"
cmp "$T/dump.1" "$T/dump.2" || fail "the tree changed over a restart of all nodes"
say "all nodes restarted: equal"
