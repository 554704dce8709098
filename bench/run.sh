#!/bin/bash
# bench/run.sh [FILES [MIB [ROUNDS]]] - the local disk (with fsync), one embedded node and three nodes, side
# by side in turns in one run; prints the medians and their ratio to the local disk. As root.
set -u
files=${1:-1000} mib=${2:-512} rounds=${3:-3}
. "$(dirname "$0")/../tests/lib/cluster.sh"
[ -x "$BUILD/bench/files" ] || fail "next: make helper-programs"

mkdir "$T/local"
cluster_init 3
nodes_start
wait_leader
for n in 1 2 3; do mount_node $n; done
mkdir "$T/one"
mount_at "$T/store" "$T/one" embedded create || fail "embedded mount"
l=$(leader)
f=$(follower)
for r in $(seq "$rounds"); do
	for place in "local $T/local sync" "one-node $T/one" "three-leader $T/m$l" "three-follower $T/m$f"; do
		set -- $place
		mkdir -p "$2/b"
		"$BUILD/bench/files" "$2/b" "$files" "$mib" ${3:-} >"$T/run" || fail "$1"
		sed "s/^/$1 /" "$T/run" >>"$T/all"
	done
done
awk '
function median(key,   i, j, t, n, a) {
	n = split(v[key], a, " ")
	for (i = 2; i <= n; i++) for (j = i; j > 1 && a[j - 1] + 0 > a[j] + 0; j--) { t = a[j]; a[j] = a[j - 1]; a[j - 1] = t }
	return a[int((n + 1) / 2)]
}
{ k = $2 SUBSEP $1; v[k] = v[k] " " $3; unit[$2] = $4; if (!($2 in seen)) { seen[$2] = 1; order[++m] = $2 } }
END {
	printf "%-22s %12s %18s %18s %18s\n", "", "local+fsync", "one node", "three, leader", "three, follower"
	for (i = 1; i <= m; i++) {
		o = order[i]; base = median(o SUBSEP "local")
		printf "%-22s %12.0f", o, base
		split("one-node three-leader three-follower", places, " ")
		for (p = 1; p <= 3; p++) { x = median(o SUBSEP places[p]); printf " %9.0f (%5.2fx)", x, x / base }
		print "  " unit[o]
	}
}' "$T/all"
for n in "${!PID[@]}"; do echo "node $n: $(awk '/VmRSS/ { print $2 / 1024 }' "/proc/${PID[$n]}/status") MiB resident"; done
