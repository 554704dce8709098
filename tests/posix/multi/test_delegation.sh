#!/bin/bash
# Writes that a mount gathers under a delegation: nobody else ever sees less than what their writer was told, or
# changes the file beside them; a holder that is silent loses them and is told so once.
. "$(dirname "$0")/../../lib/cluster.sh"
. "$(dirname "$0")/../../lib/lockers.sh"

TTL=20000 # so that it is the delegation that ends, and not the session
cluster_init 3
nodes_start --session-ttl=$TTL
wait_leader
for n in 1 2 3; do mount_node $n; done
for l in a b c; do locker $l; done
entries() { status_of "$(leader)" last_index; }

# File $2 of mount 1 is delegated to it, and its writer $1 (slot 1) has "xxxx" and $3 gathered behind that.
hold() {
	local try before
	expect ok "$1" open 1 "$T/m1/$2"
	# Only what is written again and again is; just mounted, the session is not confirmed yet.
	for try in $(seq 40); do
		before=$(entries)
		expect ok "$1" write 1 0 xxxx
		[ "$(entries)" = "$before" ] && break
		[ "$try" -lt 40 ] || fail "$2 is not delegated"
		sleep 0.1
	done
	expect ok "$1" write 1 4 "$3"
}

say "what is gathered costs nothing, close and fsync one entry"
hold a f abcd
expect ok a sync 1
before=$(entries)
for i in 0 1 2 3 4 5 6 7; do expect ok a write 1 $((8 + i)) "$i"; done
[ "$(entries)" = "$before" ] || fail "eight writes made $(($(entries) - before)) entries"
expect ok a sync 1
[ "$(entries)" = $((before + 1)) ] || fail "fsync made $(($(entries) - before)) entries"
expect ok a write 1 16 end
expect ok a mode 1 600
expect ok a mtime 1 1000
expect "19 600 1000" a look 1
before=$(entries)
expect ok a close 1
[ "$(entries)" = $((before + 1)) ] || fail "close made $(($(entries) - before)) entries"
[ "$(stat -c '%s %a %Y' "$T/m2/f")" = "19 600 1000" ] || fail "mount 2 sees $(stat -c '%s %a %Y' "$T/m2/f")"
[ "$(cat "$T/m3/f")" = xxxxabcd01234567end ] || fail "mount 3 reads $(cat "$T/m3/f")"

say "others see what was written, whatever they ask"
see() { # NAME WANT COMMAND...
	local name=$1 want=$2 got
	shift 2
	hold a "$name" "more"
	got=$(timeout 10 "$@" 2>&1) || fail "$*: $got"
	[ "$got" = "$want" ] || fail "$*: '$got', not '$want'"
	expect ok a sync 1
	expect ok a close 1
}
see s1 8 stat -c %s "$T/m2/s1"
see s2 xxxxmore cat "$T/m3/s2"
see s3 8 sh -c "ls -l '$T/m2' | awk '\$NF == \"s3\" { print \$5 }'"
see s4 "" cmp -n 8 "$T/m3/s4" "$T/m2/s2"
see s5 xxxxmore cp "$T/m2/s5" /dev/stdout

say "others change it after what was written"
hold a c1 more
truncate -s 6 "$T/m2/c1"
[ "$(cat "$T/m3/c1")" = xxxxmo ] || fail "truncate: $(cat "$T/m3/c1")"
expect ok a sync 1
[ "$(cat "$T/m1/c1")" = xxxxmo ] || fail "truncate, seen by the holder: $(cat "$T/m1/c1")"
expect ok a close 1
hold a c2 more
chmod 640 "$T/m3/c2"
[ "$(stat -c '%a %s' "$T/m1/c2")" = "640 8" ] || fail "chmod: $(stat -c '%a %s' "$T/m1/c2")"
expect ok a close 1
hold a c3 more
printf tail >>"$T/m2/c3"
[ "$(cat "$T/m1/c3")" = xxxxmoretail ] || fail "append: $(cat "$T/m1/c3")"
expect ok a close 1
hold a c4 more
ln "$T/m2/c4" "$T/m2/c4.link"
rm "$T/m3/c4"
expect xxxxmore a read 1 0 8
expect ok a write 1 8 last
expect ok a close 1
[ "$(cat "$T/m2/c4.link")" = xxxxmorelast ] || fail "unlink: $(cat "$T/m2/c4.link")"
hold a c5 more
echo other >"$T/m2/c5.new"
mv "$T/m2/c5.new" "$T/m2/c5"
expect xxxxmore a read 1 0 8
expect ok a close 1
[ "$(cat "$T/m1/c5")" = other ] || fail "rename over it: $(cat "$T/m1/c5")"
hold a c6 more
mv "$T/m1/c6" "$T/m1/c6.new"
[ "$(cat "$T/m3/c6.new")" = xxxxmore ] || fail "renamed by the holder: $(cat "$T/m3/c6.new")"
expect ok a close 1

say "two writers in turn"
expect ok a open 1 "$T/m1/turn"
expect ok b open 1 "$T/m2/turn"
for i in $(seq 0 2 58); do
	expect ok a write 1 "$i" a
	expect ok b write 1 $((i + 1)) b
done
want=$(printf 'ab%.0s' $(seq 30))
[ "$(cat "$T/m3/turn")" = "$want" ] || fail "in turn: $(cat "$T/m3/turn")"
for l in a b; do expect ok $l close 1; done

say "a mount that is killed loses what no fsync covered, and no more"
hold a k synced
expect ok a sync 1
expect ok a write 1 10 lost
[ "$(stat -c %s "$T/m1/k")" = 14 ] || fail "the holder sees $(stat -c %s "$T/m1/k")"
kill -KILL "${MOUNT_PID[1]}"
SECONDS=0
got=$(timeout 20 cat "$T/m2/k") || fail "nobody gets at a dead mount's file"
[ "$got" = xxxxsynced ] || fail "a killed mount left '$got'"
[ $SECONDS -le 6 ] || fail "a dead mount's delegation held for $SECONDS s"
locker_kill a
umount -l "$T/m1"
mount_node 1
locker a

say "a mount that is stopped is not waited for; it learns of its loss once"
hold a q kept
expect ok a sync 1
expect ok a write 1 8 gone
tell c open 1 "$T/m2/q"
[ "$(heard c 10)" = ok ] || fail "open beside a holder"
expect xxxxkeptgone c read 1 0 20
expect ok c close 1
expect ok a close 1
sleep 1.2 # after a recall nothing is delegated for a second
hold a q2 kept
expect ok a sync 1
expect ok a write 1 8 gone
kill -STOP "${MOUNT_PID[1]}"
SECONDS=0
got=$(timeout 20 cat "$T/m2/q2") || fail "nobody gets at a stopped mount's file"
[ $SECONDS -le 6 ] || fail "a stopped mount's delegation held for $SECONDS s"
# What left before it stopped has come.
[ "$got" = xxxxkept ] || fail "a stopped mount's file reads '$got'"
echo next >"$T/m3/q2"
kill -CONT "${MOUNT_PID[1]}"
expect EIO a sync 1
expect ok a sync 1
[ "$(cat "$T/m1/q2")" = next ] || fail "after the loss: $(cat "$T/m1/q2")"
expect ok a write 1 4 "!"
expect ok a close 1
[ "$(cat "$T/m2/q2")" = "next!" ] || fail "after the loss, written: $(cat "$T/m2/q2")"

say "a leader dies while writes are gathered"
hold a l before
l=$(leader)
node_kill "$l"
expect ok a write 1 10 after
node_start "$l"
wait_leader
tell a sync 1
[ "$(heard a 20)" = ok ] || fail "fsync over an election"
[ "$(cat "$T/m2/l")" = xxxxbeforeafter ] || fail "after an election: $(cat "$T/m2/l")"
expect ok a close 1

say "without: nodelegations, sync, O_SYNC"
for o in nodelegations sync; do
	unmount 3
	mount_node 3 $o
	expect ok c open 1 "$T/m3/$o"
	for i in 0 1 2 3 4; do expect ok c write 1 $i $i; done
	before=$(entries)
	for i in 5 6 7 8 9; do expect ok c write 1 $i $i; done
	[ "$(entries)" = $((before + 5)) ] || fail "$o: five writes made $(($(entries) - before)) entries"
	expect ok c close 1
done
wait_equal
before=$(entries)
dd if=/dev/zero of="$T/m1/osync" bs=100 count=20 oflag=sync status=none
[ "$(($(entries) - before))" -ge 20 ] || fail "20 writes with O_SYNC made $(($(entries) - before)) entries"
digests_equal
