#!/bin/bash
# A mount that was stopped longer than its session lives has lost its locks: whoever waited gets them, and what
# the stopped one then writes, reads or cuts fails with EIO until it closes. A mount that is killed loses them
# in that time, too, or at once when it is mounted again.
. "$(dirname "$0")/../../lib/cluster.sh"
. "$(dirname "$0")/../../lib/lockers.sh"

TTL=3000
cluster_init 3
nodes_start --session-ttl=$TTL
wait_leader
for n in 1 2 3; do mount_node $n; done
for l in a b c idle; do locker $l; done
echo 0123456789 >"$T/m2/f"
echo 0123456789 >"$T/m2/g"
expect ok a open 1 "$T/m1/f"
expect ok b open 1 "$T/m2/f"
expect ok c open 1 "$T/m3/f"
expect ok idle open 1 "$T/m1/g"

# A signal is sent at once, but its process stops when it gets to run.
stop_mount() {
	local i
	kill -STOP "${MOUNT_PID[1]}"
	for i in $(seq 100); do
		grep -hq "^State:.[^T]" "/proc/${MOUNT_PID[1]}/task/"*/status || return 0
		sleep 0.02
	done
	fail "the mount does not stop"
}

say "a holder is stopped"
expect ok a set 1 w 0 10
expect ok a write 1 0 mine
tell b wait 1 w 0 10
stop_mount
tell a write 1 0 late # leaves only when the lock is another's
got=$(heard b $((TTL / 1000 + 5)))
[ "$got" = ok ] || fail "the lock of a stopped mount was not released: $got"
expect ok b write 1 0 next
kill -CONT "${MOUNT_PID[1]}"
got=$(heard a 10)
[ "$got" = EIO ] || fail "a write under a lock that moved did not fail: $got"
[ "$(head -c 4 "$T/m3/f")" = next ] || fail "the file was written under another's lock: $(cat "$T/m3/f")"
expect EIO a write 1 5 x
expect EIO a read 1 0 4
expect EIO a cut 1 0
expect EIO a set 1 w 20 1
expect ok idle write 1 0 fine # a file on which nothing was lost
[ "$(cat "$T/m3/f")" = next456789 ] || fail "$(cat "$T/m3/f")"
expect ok a open 2 "$T/m1/f" # a handle opened since then is as good as any
expect next a read 2 0 4
expect EAGAIN a set 2 w 0 10
expect EIO a read 1 0 4
expect ok a close 1
expect ok a close 2
expect ok a open 1 "$T/m1/f"
expect next a read 1 0 4
expect ok b set 1 u 0 0
expect ok a set 1 w 0 10
expect ok a write 1 0 back
expect ok a set 1 u 0 0
grep -q "locks were lost" "$T/mount1.log" || fail "the mount's log does not say so"

say "one that had unlocked in time has lost nothing"
expect ok a set 1 w 0 10
expect ok a set 1 u 0 0
expect ok a open 2 "$T/m1/f"
expect ok a flock 2 ex
expect ok a close 2
sleep 0.5 # a flock's release is not waited for
stop_mount
sleep $((TTL / 1000 + 3))
kill -CONT "${MOUNT_PID[1]}"
expect back a read 1 0 4
expect ok a write 1 0 okay

say "a read is answered under the lock or not at all"
expect ok a set 1 r 0 10
stop_mount
tell a read 1 0 4
tell b wait 1 w 0 10
[ "$(heard b $((TTL / 1000 + 5)))" = ok ] || fail "the lock was not released"
expect ok b write 1 0 newer
kill -CONT "${MOUNT_PID[1]}"
got=$(heard a 10)
[ "$got" = EIO ] || fail "a read under a lock that moved did not fail: $got"
expect ok b set 1 u 0 0

say "a mount is killed"
expect ok c flock 1 ex
tell b flock 1 ex
from=${EPOCHREALTIME/./}
kill -KILL "${MOUNT_PID[3]}"
[ "$(heard b $((TTL / 1000 + 5)))" = ok ] || fail "the lock of a killed mount stays"
say "released after $(((${EPOCHREALTIME/./} - from) / 1000)) ms, time to live $TTL ms"
locker_kill c
umount -l "$T/m3"
mount_node 3
locker c
expect ok c open 1 "$T/m3/f"
expect ok b flock 1 un
expect ok c flock 1 ex
tell b flock 1 ex
kill -KILL "${MOUNT_PID[3]}"
locker_kill c
umount -l "$T/m3"
from=${EPOCHREALTIME/./}
mount_node 3
[ "$(heard b 2)" = ok ] || fail "a new mount in its place does not end its locks"
say "released $(((${EPOCHREALTIME/./} - from) / 1000)) ms after it was mounted again"
digests_equal
