#!/bin/bash
# fcntl and flock locks between processes of one mount, of two and of three: conflicts, waiting, signals,
# deadlocks, and what closing, forking and dying does to them.
. "$(dirname "$0")/../../lib/cluster.sh"
. "$(dirname "$0")/../../lib/lockers.sh"

cluster_init 3
nodes_start
wait_leader
for n in 1 2 3; do mount_node $n; done
for l in a b c; do locker $l; done
locker a2 # another process on the mount of a

entries() { status_of "$(leader)" last_index; }

say "conflicts"
echo 0123456789 >"$T/m1/f"
for s in "a 1" "b 2" "c 3" "a2 1"; do set -- $s; expect ok "$1" open 1 "$T/m$2/f"; done
expect ok a set 1 w 0 10
for l in b c a2; do
	expect EAGAIN $l set 1 r 9 1
	expect ok $l set 1 w 10 5
	expect ok $l set 1 u 10 5
done
expect "w 0 10 0" b get 1 r 0 0
expect "w 0 10 ${LOCKER[a]}" a2 get 1 r 0 0
expect free a get 1 w 0 0
expect ok a set 1 r 3 2 # the middle is downgraded: three ranges
expect ok b set 1 r 3 2
expect EAGAIN b set 1 r 2 2
expect "w 5 5 0" c get 1 r 4 0
expect EAGAIN a set 1 w 0 10
expect ok b set 1 u 0 0
expect ok a set 1 w 0 10
expect ok a set 1 u 0 0
expect free b get 1 w 0 0

say "F_GETLK tells the process, whichever of its threads took the lock"
cat >"$T/thread.py" <<'PY'
import fcntl, os, struct, sys, threading
fd = os.open(sys.argv[1], os.O_RDWR)
taker = threading.Thread(target=fcntl.lockf, args=(fd, fcntl.LOCK_EX))
taker.start()
taker.join()
form = 'hhqqi4x'
asker = os.fork()
if asker == 0:
    lock = fcntl.fcntl(fd, fcntl.F_GETLK, struct.pack(form, fcntl.F_WRLCK, 0, 0, 0, 0))
    os._exit(0 if struct.unpack(form, lock)[4] == os.getppid() else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(asker, 0)[1]))
PY
/usr/bin/python3 "$T/thread.py" "$T/m1/f" || fail "F_GETLK tells another process"

say "waiting"
expect ok a set 1 w 0 10
tell b wait 1 w 5 1
tell c wait 1 w 4 1
[ "$(heard b 1.5)$(heard c 0.1)" = "(nothing)(nothing)" ] || fail "somebody did not wait"
from=${EPOCHREALTIME/./}
expect ok a set 1 u 5 5
[ "$(heard b 5)" = ok ] || fail "b was not woken"
say "a wait ended $(((${EPOCHREALTIME/./} - from) / 1000)) ms after the unlock"
[ "$(heard c 0.2)" = "(nothing)" ] || fail "c did not wait on"
expect ok a close 1
[ "$(heard c 5)" = ok ] || fail "c was not woken by close"
for l in b c; do expect ok $l set 1 u 0 0; done
expect ok a open 1 "$T/m1/f"
# Many hands: each gets it in turn.
expect ok a set 1 w 0 0
for l in a2 b c; do tell $l wait 1 w 0 0; done
expect ok a set 1 u 0 0
for i in 1 2 3; do
	who=
	for t in $(seq 50); do
		for l in a2 b c; do [ "$(heard $l 0.05)" = ok ] && who+=$l; done
		[ -n "$who" ] && break
	done
	[[ $who =~ ^(a2|b|c)$ ]] || fail "round $i: granted to '$who'"
	expect ok "$who" set 1 u 0 0
done

say "signals"
expect ok a set 1 w 0 10
expect ok b alarm 700
expect EINTR b wait 1 w 0 1
expect "w 0 10 0" b get 1 w 0 0
expect ok a set 1 u 0 0
expect free c get 1 w 0 0 # what was interrupted did not get it afterwards
expect ok a set 1 w 0 10
tell b wait 1 w 0 1
sleep 0.5
kill -KILL "${LOCKER[b]}"
for i in $(seq 30); do kill -0 "${LOCKER[b]}" 2>/dev/null || break; sleep 0.1; done
kill -0 "${LOCKER[b]}" 2>/dev/null && fail "a waiting process cannot be killed"
expect ok a set 1 u 0 0
expect free c get 1 w 0 0
locker b
expect ok b open 1 "$T/m2/f"

say "deadlocks"
expect ok a set 1 w 0 1
expect ok b set 1 w 1 1
expect ok c set 1 w 2 1
tell a wait 1 w 1 1
tell b wait 1 w 2 1
sleep 0.5
expect EDEADLK c wait 1 w 0 1
expect ok c set 1 u 0 0
[ "$(heard b 5)" = ok ] || fail "b did not get on"
expect ok b set 1 u 0 0
[ "$(heard a 5)" = ok ] || fail "a did not get on"
expect ok a set 1 u 0 0
# On one mount, too.
expect ok a set 1 w 0 1
expect ok a2 set 1 w 1 1
tell a wait 1 w 1 1
sleep 0.5
expect EDEADLK a2 wait 1 w 0 1
expect ok a2 set 1 u 0 0
[ "$(heard a 5)" = ok ] || fail "a did not get on"
expect ok a set 1 u 0 0

say "closing, forking, dying"
expect ok a open 2 "$T/m1/f"
expect ok a set 1 w 0 10
expect ok a close 2 # any descriptor of the file
expect free b get 1 w 0 0
expect ok a set 1 w 0 10
expect ok a fork 1
expect "w 0 10 0" b get 1 w 0 0
locker_kill a
for i in $(seq 20); do [ "$(ask b get 1 w 0 0)" = free ] && break; sleep 0.1; done
expect free b get 1 w 0 0
locker a
expect ok a open 1 "$T/m1/f"

say "flock"
expect ok a flock 1 sh
expect ok b tryflock 1 sh
expect EAGAIN c tryflock 1 ex
expect ok c set 1 w 0 0 # the other kind
expect ok c set 1 u 0 0
expect ok a dup 1 3
expect ok a close 1
expect EAGAIN b tryflock 1 ex # the copy keeps a's; b's own is given up, as on Linux
expect ok b flock 1 sh
tell b flock 1 ex
[ "$(heard b 0.5)" = "(nothing)" ] || fail "b did not wait"
expect ok a close 3
[ "$(heard b 5)" = ok ] || fail "the last copy's close did not release"
expect EAGAIN c tryflock 1 sh
tell c flock 1 sh
locker_kill b
[ "$(heard c 5)" = ok ] || fail "a killed process keeps its flock"
expect ok c flock 1 un
expect ok a open 1 "$T/m1/f"
for i in $(seq 50); do # the kernel's owner may be the same again
	expect ok a flock 1 ex
	expect ok a close 1
	expect ok a open 1 "$T/m1/f"
done
expect ok a flock 1 ex
sleep 1
expect EAGAIN c tryflock 1 sh
expect ok a flock 1 un

say "open file descriptions"
expect ok a open 2 "$T/m1/f"
expect ok a oset 1 w 0 10
expect EAGAIN a oset 2 w 0 10
expect EAGAIN c oset 1 w 0 10
expect ok a close 2 # not its own
expect EAGAIN c oset 1 w 0 10
tell c owait 1 w 0 10
expect ok a close 1
[ "$(heard c 5)" = ok ] || fail "its close did not release"
expect ok c oset 1 u 0 0

say "a leader dies while others wait"
locker b
expect ok a open 1 "$T/m1/f"
f=$(follower)
locker x
locker y
expect ok x open 1 "$T/m$f/f"
expect ok y open 1 "$T/m$f/f"
expect ok x set 1 w 0 0
tell y wait 1 w 0 0
sleep 0.3
l=$(leader)
node_kill "$l"
[ "$(heard y 2)" = "(nothing)" ] || fail "y did not wait through it"
node_start "$l"
wait_leader
expect ok x set 1 u 0 0
[ "$(heard y 10)" = ok ] || fail "y was not woken under the new leader"
expect ok y set 1 u 0 0

say "who never locked costs nothing"
before=$(entries)
for i in $(seq 20); do cat "$T/m1/f" >/dev/null; done
expect ok b open 1 "$T/m2/f"
expect ok b close 1
[ "$(entries)" = "$before" ] || fail "opening and closing made $(($(entries) - before)) entries"

say "local_lock"
for l in c x y; do locker_kill $l; done
unmount 3
mount_node 3 local_lock=flock
locker c
expect ok c open 1 "$T/m3/f"
expect ok a flock 1 ex
expect ok a set 1 w 0 10
expect ok c tryflock 1 ex
expect EAGAIN c set 1 w 0 10
locker_kill c
unmount 3
mount_node 3 local_lock=all
locker c
expect ok c open 1 "$T/m3/f"
expect ok c tryflock 1 ex
expect ok c set 1 w 0 10
digests_equal
