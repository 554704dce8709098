#!/bin/bash
# How long writes wait when the leader's node gets SIGKILL: trials with writers on the mount of a node that
# survives, without leases and with them; and how often a cluster at full load elects a leader though
# nobody died. SHORT: 5 trials each, 20 s of load with leases alone, and no aim but that it comes back.
# time-limit: 2400
. "$(dirname "$0")/../lib/cluster.sh"

trials=${TRIALS:-$((SHORT == 1 ? 5 : 30))}
load_seconds=${LOAD_SECONDS:-$((SHORT == 1 ? 20 : 600))}

# Terms in which there was a leader.
elections() {
	cat "$T"/n*.log | sed -n 's/.* info replica .* term=\([0-9]*\) leader=[1-9].*/\1/p' | sort -u | wc -l
}

# All three run, and the leader has both others up to date: only then a kill is a fair one.
wait_settled() {
	local i
	for i in $(seq 200); do
		quorumfs status --node "$T/n$(leader || echo 1)" --timeout=1000 >/dev/null 2>&1 && return 0
		sleep 0.05
	done
	fail "the cluster is not healthy ten seconds after a restart: $(quorumfs status --node "$T/n1")"
}

cluster_of() { # LEASES
	rm -rf "$T"/n[0-9]*
	cluster_init 3
	nodes_start "--leases=$1"
	wait_leader
	for n in 1 2 3; do mount_node $n; mkdir "$T/m1/d$n"; done
	wait_settled
}

end_cluster() {
	for n in 1 2 3; do unmount $n; done
	for n in 1 2 3; do node_stop $n; done
}

trial() { # LEASES
	local l f before
	l=$(leader)
	before=$(elections)
	f=$(((l % 3) + 1))
	{
		"$BUILD/tests/cluster/failover" --kill="${PID[$l]}" --warm=$((300 + RANDOM % 400)) \
			"$T/m$f/d$f" >>"$T/times" || fail "a write failed when node $l was killed"
		wait "${PID[$l]}"
	} 2>>"$T/shell.log"
	unset "PID[$l]"
	[ "$(elections)" -gt "$before" ] || fail "node $l was killed and nobody elected: it did not lead"
	node_start "$l" "--leases=$1"
	wait_settled
}

run_trials() { # LEASES MEDIAN_MS WORST_MS
	local i median worst
	: >"$T/times"
	for i in $(seq "$trials"); do trial "$1"; done
	sort -n "$T/times" >"$T/times.sorted"
	median=$(sed -n "$(((trials + 1) / 2))p" "$T/times.sorted")
	worst=$(tail -n 1 "$T/times.sorted")
	say "leases=$1: kill to next acknowledged write, $trials trials: median $median ms, worst $worst ms" \
		"(aims $2 and $3); all: $(xargs <"$T/times")"
	[ "$SHORT" = 1 ] && set -- "$1" 5000 10000
	awk "BEGIN { exit !($median < $2 && $worst < $3) }" || fail "leases=$1: the aims are missed"
}

run_load() { # LEASES
	local n before false_elections pids=()
	before=$(elections)
	for n in 1 2 3; do
		"$BUILD/tests/cluster/failover" --seconds="$load_seconds" --threads=16 "$T/m$n/d$n" \
			>"$T/load$n" &
		pids+=($!)
	done
	for n in "${pids[@]}"; do wait "$n" || fail "a write failed at full load"; done
	false_elections=$(($(elections) - before))
	say "leases=$1: $load_seconds s at full load: false elections $false_elections;" \
		"$(cat "$T"/load[1-3] | tr '\n' ';')"
}

for leases in off 200ms; do
	cluster_of $leases
	if [ $leases = off ]; then run_trials off 300 1000; else run_trials $leases 600 1500; fi
	[ "$leases $SHORT" = "off 1" ] || run_load $leases
	digests_equal
	end_cluster
done
