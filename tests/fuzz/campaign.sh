#!/bin/bash
# Runs every fuzz target RUNS times and prints a table; exit 1 when one found something.
#
#   tests/fuzz/campaign.sh RUNS [TARGET...]     target: the part behind fuzz_, default all
#
# One process at a time, at the lowest priority, from the kept corpus and what earlier campaigns of this
# build found. A find ends its target and stays in $BUILD/crashes. Environment: BUILD (of the fuzz
# programs). Results: $BUILD/fuzz-table.txt, a line for each target as it ends.
set -u

top=$(cd "$(dirname "$0")/../.." && pwd)
build=${BUILD:?BUILD is not set}
runs=${1:?usage: campaign.sh RUNS [TARGET...]}
shift
cd "$top" || exit 1

targets=("$@")
if [ ${#targets[@]} = 0 ]; then
	for program in "$build"/tests/fuzz/fuzz_*; do
		targets+=("${program##*/fuzz_}")
	done
fi
table=$build/fuzz-table.txt
mkdir -p "$build/corpus" "$build/crashes" "$build/logs/fuzz"
# The targets that write files sync them: memory is fast.
scratch=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d)
trap 'rm -rf "$scratch"' EXIT

"$build/tests/fuzz/make_seeds" "$scratch/seeds" || exit 1

number() { # LOG NAME: a figure of libFuzzer's closing statistics
	grep -aoE "stat::$2: *[0-9]+" "$1" | awk '{ n = $2 } END { print n + 0 }'
}

# libFuzzer says something about twice as rarely each time; this says it once a minute.
watch_log() { # LOG NAME
	while sleep 60; do
		printf '  %s: %s of %s runs\n' "$2" \
			"$(grep -aoE '^#[0-9]+' "$1" | tail -n 1 | tr -d '#')" "$runs" >&2
	done
}

run_target() { # NAME
	local name=$1 log=$build/logs/fuzz/campaign-$1.log ret watcher found args
	args=(-runs="$runs" -max_len=4096 -timeout=20 -rss_limit_mb=2048 -print_final_stats=1
		-artifact_prefix="$build/crashes/$name-" "$build/corpus/$name")
	mkdir -p "$build/corpus/$name"
	[ -d "tests/fuzz/corpus/$name" ] && args+=("tests/fuzz/corpus/$name")
	[ -d "$scratch/seeds/$name" ] && args+=("$scratch/seeds/$name")
	[ -f "tests/fuzz/$name.dict" ] && args=(-dict="tests/fuzz/$name.dict" "${args[@]}")
	watch_log "$log" "$name" &
	watcher=$!
	# Short stacks and a small quarantine: half the time of what allocates much goes there.
	ASAN_OPTIONS=${ASAN_OPTIONS:-malloc_context_size=6:quarantine_size_mb=16} \
		TMPDIR=$scratch nice -n 19 "$build/tests/fuzz/fuzz_$name" "${args[@]}" >"$log" 2>&1
	ret=$?
	kill "$watcher" 2>/dev/null
	wait "$watcher" 2>/dev/null
	found=none
	[ $ret = 0 ] || found=$(grep -aoE 'SUMMARY: .*|Assertion .* failed' "$log" | tail -n 1)
	printf '%-12s %12s %9s %6s %6s  %s\n' "$name" "$(number "$log" number_of_executed_units)" \
		"$(number "$log" average_exec_per_sec)" \
		"$(grep -aoE 'cov: [0-9]+' "$log" | tail -n 1 | cut -d' ' -f2)" \
		"$(grep -aoE 'ft: [0-9]+' "$log" | tail -n 1 | cut -d' ' -f2)" "${found:-exit $ret}" |
		tee -a "$table"
	return $ret
}

bad=0
printf '%-12s %12s %9s %6s %6s  %s\n' TARGET RUNS RUNS/S EDGES FEATS FINDING
for name in "${targets[@]}"; do
	run_target "$name" || bad=1
done
exit $bad
