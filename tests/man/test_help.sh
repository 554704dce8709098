#!/bin/bash
# What the programs print of themselves fits a terminal of 80 columns.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
BUILD=${BUILD:-$top/build}
bin=$BUILD/bin
bad=0

# check COMMAND...: it succeeds, says something, and no line is longer than 80 columns.
check() {
	local out
	out=$("$@") || { echo "FAIL: exit $?: $*"; bad=1; }
	[ -n "$out" ] || { echo "FAIL: says nothing: $*"; bad=1; }
	awk -v command="$*" 'length($0) > 80 {
		printf "FAIL: %s: %d columns: %s\n", command, length($0), $0
		bad = 1
	}
	END { exit bad }' <<<"$out" || bad=1
}

check "$bin/quorumfsd" --help
check "$bin/mount.quorumfs" --help
check "$bin/quorumfs" --help
check "$bin/quorumfs" help
verbs=0
while IFS=$'\t' read -r word verb; do
	[ "$word" = verb ] || continue
	# shellcheck disable=SC2086
	check "$bin/quorumfs" $verb --help
	verbs=$((verbs + 1))
done < <("$bin/quorumfs" --print-options)
[ $verbs -ge 11 ] || { echo "FAIL: only $verbs verbs were found"; bad=1; }
exit $bad
