#!/bin/bash
# Two mounts of one cluster see each other's changes at once, also a rewrite of equal size with the mtime
# set back, which attributes alone cannot show.
. "$(dirname "$0")/../lib/cluster.sh"

cluster_init 3
nodes_start
wait_leader
for n in 1 2 3; do mount_node $n; done
for i in $(seq 20); do
	echo "old content $i" >"$T/m1/f"
	[ "$(cat "$T/m2/f")" = "old content $i" ] || fail "m2 does not see the write"
	exec 7<"$T/m2/f" # keeps pages and inode in use
	stamp=$(stat -c %y "$T/m1/f")
	echo "new content $i" >"$T/m3/f"
	touch -d "$stamp" "$T/m3/f"
	[ "$(stat -c '%s %y' "$T/m2/f")" = "$(stat -c '%s %y' "$T/m1/f")" ] || fail "attributes differ"
	[ "$(cat "$T/m2/f")" = "new content $i" ] || fail "round $i: stale pages after a rewrite with equal size and mtime"
	[ "$(cat <&7)" = "new content $i" ] || fail "round $i: stale pages through an open descriptor"
	exec 7<&-
	mv "$T/m1/f" "$T/m1/g"
	[ ! -e "$T/m2/f" ] && [ -e "$T/m3/g" ] || fail "rename is not seen"
	rm "$T/m3/g"
	[ ! -e "$T/m1/g" ] || fail "unlink is not seen"
done
# An open file that another mount unlinks stays readable.
echo held >"$T/m1/held"
exec 8<"$T/m2/held"
rm "$T/m3/held"
sleep 2
[ "$(cat <&8)" = held ] || fail "open file lost by an unlink elsewhere"
exec 8<&-
say "coherent over 20 rounds"
# What one mount shows, though the write of it is still under way, another mount knows a moment later.
: >"$T/m1/count"
for pair in "1 2" "2 1" "2 3"; do
	set -- $pair
	"$BUILD/tests/posix/dirty_read" "$T/m$1/count" "$T/m$2/count" 3 >"$T/dirty" ||
		fail "a read before its write was done: $(cat "$T/dirty")"
done
say "last: $(cat "$T/dirty")"
# SIGKILL ends a process whose write waits for a quorum that is gone.
keep=$(leader)
for n in 1 2 3; do [ $n != "$keep" ] && node_kill $n; done
bash -c "echo x >'$T/m$keep/blocked'" &
blocked=$!
sleep 3
kill -0 $blocked 2>/dev/null || fail "the write did not wait for quorum"
kill -KILL $blocked
for i in $(seq 30); do kill -0 $blocked 2>/dev/null || break; sleep 0.1; done
kill -0 $blocked 2>/dev/null && fail "a waiting process cannot be killed"
say "killable without quorum"
nodes_start
wait_leader
echo again >"$T/m1/again" || fail "no writes after quorum came back"
digests_equal
