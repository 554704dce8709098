#!/bin/bash
# The load generator on a tmpfs, which is linearizable and uses no inode number twice: the checker must
# find nothing. Then one answer is changed, and it must find that.
# time-limit: 120
set -eu

programs=$BUILD/tests/history
tree=$(mktemp -d /dev/shm/quorumfs-history-XXXXXX) || { echo "cannot write to /dev/shm"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work" "$tree"' EXIT
[ "$(stat -f -c %T "$tree")" = tmpfs ] || { echo "/dev/shm is no tmpfs"; exit 77; }

fail() {
	echo "FAILED: $*"
	exit 1
}

"$programs/load" --history="$work/h" --seconds=3 --rate=1000 --threads=3 "$tree" "$tree" "$tree"
"$programs/check_history" "$work/h" || fail "a tmpfs was found not to be linearizable"
[ "$(grep -c '^b' "$work/h")" -gt 3000 ] || fail "fewer than 3000 operations in three seconds"
for op in create mkdir rmdir symlink unlink rename lookup readdir link write read setattr getattr; do
	grep -q "^b .* op=$op" "$work/h" || fail "no $op in the history"
done

# A value that nobody wrote.
awk '/^e / && / data=[0-9]+\.[0-9]+/ && !done && NR > 2000 { sub(/ data=[0-9]+/, " data=999"); done = 1 } { print }' \
	"$work/h" >"$work/bad"
ret=0
"$programs/check_history" --json "$work/bad" >"$work/out" || ret=$?
[ $ret = 1 ] || fail "a value that nobody wrote gave exit code $ret"
grep -q '"verdict":"not linearizable"' "$work/out" ||
	fail "the JSON says something else: $(cat "$work/out")"

ret=0
"$programs/check_history" "$work/absent" 2>"$work/err" || ret=$?
[ $ret = 2 ] || fail "an absent file gave exit code $ret"
grep -q "cannot read history '$work/absent'" "$work/err" || fail "no clear error: $(cat "$work/err")"

# Killed in the middle, the history is whole lines, and the checker takes what is open as open.
rm -rf "$tree/load"
"$programs/load" --history="$work/killed" --seconds=30 "$tree" "$tree" &
pid=$!
sleep 1
kill -KILL $pid
wait $pid 2>/dev/null || :
sleep 0.2
"$programs/check_history" "$work/killed" || fail "the history of a killed run was not accepted"
echo passed
