#!/bin/bash
# bench/leases.sh [COUNT] - stat and uncached read through a follower's mount, leases off and on, in turns on three
# nodes; prints medians of five rounds in microseconds and what leases make of them. As root.
count=${1:-2000}
. "$(dirname "$0")/../tests/lib/cluster.sh"
[ -x "$BUILD/bench/reads" ] || fail "next: make helper-programs"

cluster_init 3
for round in $(seq 5); do
	for leases in off 200ms; do
		nodes_start --leases=$leases
		wait_leader
		f=$(follower)
		mount_node "$f"
		[ -f "$T/m$f/file" ] || echo data >"$T/m$f/file"
		"$BUILD/bench/reads" "$T/m$f/file" "$count" | sed "s/^/$leases /" >>"$T/all" || fail "reads"
		unmount "$f"
		for n in 1 2 3; do node_stop $n; done
	done
done
sort -k1,2 -k3n "$T/all" | awk '
{ k = $1 SUBSEP $2; v[k, ++n[k]] = $3 }
END {
	for (i = split("stat read", what, " "); i > 0; i--) {
		off = v["off" SUBSEP what[i], 3]; on = v["200ms" SUBSEP what[i], 3]
		printf "%s: %.0f us without leases, %.0f us with them: %.2fx\n", what[i], off, on, on / off
	}
}'
