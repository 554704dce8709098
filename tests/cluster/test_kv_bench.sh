#!/bin/bash
# `quorumfs kv bench`: what it counts is what the log took, its keys go, and without quorum it says so.
. "$(dirname "$0")/../lib/cluster.sh"
get=$BUILD/tests/cluster/json_get

cluster_init 3
nodes_start
wait_leader
export QUORUMFS_NODE=$T/n$(leader)

field() { "$get" "$1" <"$T/out"; }
bench() { quorumfs kv bench "$@" --seconds=1 --warmup=0 --json >"$T/out" 2>"$T/err" || fail "exit $?: $*: $(cat "$T/err")"; }
last() { wait_equal; status_of "$(leader)" applied_index; }

for clients in 1 64; do
	before=$(last)
	bench put --clients=$clients --connections=2
	n=$(field operations)
	entries=$(($(last) - before))
	# Each put is an entry; besides them the clients' keys are made and removed, and sessions begin.
	[ "$n" -gt 50 ] || fail "$n puts in a second"
	[ $entries -ge "$n" ] && [ $entries -le $((n + 3 * clients + 50)) ] || fail "$n puts made $entries entries"
	[ "$(field errors)" = 0 ] || fail "errors"
	say "$clients clients: $n puts, $entries entries, p99 $(field p99_ms) ms"
done
bench get --clients=16 --connections=16
[ "$(field clients)" = 16 ] && [ "$(field connections)" = 16 ] || fail "clients or connections"
before=$(last)
bench put --clients=3 --keep
keys=$(($(last) - before - $(field operations)))
[ $keys -ge 3 ] || fail "no keys were made"
quorumfs kv bench gut >"$T/out" 2>"$T/err"
[ $? = 2 ] && grep -q "'gut' is none of" "$T/err" || fail "an unknown operation: $(cat "$T/err")"
quorumfs kv bench put --clients=0 2>"$T/err"
[ $? = 2 ] || fail "no clients"

l=$(leader)
for n in 1 2 3; do [ $n = "$l" ] || node_kill $n; done
quorumfs kv bench put --clients=5 --seconds=1 --timeout=1000 --json >"$T/out" 2>"$T/err"
code=$?
[ "$(field errors)" = 5 ] && [ "$(field operations)" = 0 ] || fail "without quorum: $(cat "$T/out")"
[ $code = 4 ] && grep -q "no quorum" "$T/err" || fail "without quorum: exit $code, $(cat "$T/err")"
say "without quorum: $(head -1 "$T/err")"
