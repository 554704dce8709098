#!/bin/bash
# Sessions of real mounts end: one killed with files open that have no name any more gives their space
# back within the time to live and a few seconds; one that slept longer than that goes on in a new session.
. "$(dirname "$0")/../lib/cluster.sh"

TTL=3000
cluster_init 3
nodes_start --session-ttl=$TTL
wait_leader
for n in 1 2 3; do mount_node $n; done

sessions() { # lines of the list, without its head
	quorumfs status --sessions --node "$T/n1" | tail -n +2
}

wait_for() { # SECONDS WHAT COMMAND...: prints how many ms it took
	local limit=$1 what=$2 from=${EPOCHREALTIME/./} now
	shift 2
	while ! "$@" >/dev/null 2>&1; do
		now=${EPOCHREALTIME/./}
		[ $((now - from)) -lt $((limit * 1000000)) ] || fail "$what: not within $limit s"
		sleep 0.1
	done
	now=${EPOCHREALTIME/./}
	echo $(((now - from) / 1000))
}

# The disk is shared with others, so space is counted in inodes; a row that belongs to none fails digests_equal.
inodes() { df --output=iused "$T/m2" | tail -1 | tr -d " "; }
one_orphan() { [ "$(status_of "$(leader)" orphans)" = 1 ]; }
no_orphans() { [ "$(status_of "$(leader)" orphans)" = 0 ]; }
mounts_are() { [ "$(sessions | grep -c ' mount$')" = "$1" ]; }
sessions_are() { [ "$(status_of 1 sessions)" = "$1" ]; }

# ---- who there is -------------------------------------------------------------------------------------------

wait_for 10 "three mounts are sessions" mounts_are 3 >/dev/null
for n in 1 2 3; do sessions | grep -Eq "^[0-9a-f]{32} +[0-9]+ +$n +[0-2]\.[0-9] s +mount$" || fail "$(sessions)"; done
quorumfs kv put k v --node "$T/n2" || fail "kv put"
[ "$(status_of 1 sessions)" = 4 ] || fail "a command that changed something is no session"
took=$(wait_for $((TTL / 1000 + 4)) "the command's session is gone" sessions_are 3)
say "a command's session was gone after $took ms"
for n in 1 2 3; do # whichever node is asked
	[ "$(quorumfs status --sessions --json --node "$T/n$n" | grep -c '"uuid"')" = 3 ] || fail "list by node $n"
done

# ---- a mount that is killed -----------------------------------------------------------------------------------

before=$(inodes)
head -c 24M /dev/zero | tr '\0' x >"$T/m1/open" || fail "writing"
exec 5<"$T/m1/open"
rm "$T/m1/open"
sleep $((TTL / 1000 + 2))
[ "$(head -c 3 <&5)" = xxx ] || fail "an open file without a name cannot be read"
[ "$(inodes)" = $((before + 1)) ] || fail "it is no inode: $(inodes) after $before"
no_orphans && fail "it is no orphan"
kill -KILL "${MOUNT_PID[1]}"
took=$(wait_for $((TTL / 1000 + 5)) "the space comes back" no_orphans)
[ "$took" -ge $((TTL - 1500)) ] || fail "it was taken away after $took ms, before the time to live"
[ "$(inodes)" = "$before" ] || fail "an inode is missing: $(inodes) after $before"
exec 5<&-
umount -l "$T/m1"
unset "MOUNT_PID[1]"
mounts_are 2 || fail "$(sessions)"
say "its space was back after $took ms"

# ---- one that slept ---------------------------------------------------------------------------------------------

echo old >"$T/m2/held"
# Held by one process that starts no others: each close of a copy would wait for the mount.
mkfifo "$T/go"
perl -e 'open(my $f, "<", $ARGV[0]) or die; open(my $go, "<", $ARGV[1]); <$go>;
	print defined(sysread($f, my $b, 10)) ? "read $b" : "$!"' "$T/m2/held" "$T/go" >"$T/error" &
holder=$!
exec 6>"$T/go"
rm "$T/m3/held"
wait_for 10 "the leader has seen it" one_orphan >/dev/null
id=$(sessions | awk '$3 == 2 { print $2 }')
kill -STOP "${MOUNT_PID[2]}"
CLEANUP+=("kill -CONT ${MOUNT_PID[2]} 2>/dev/null")
wait_for $((TTL / 1000 + 5)) "what it held is taken back" no_orphans >/dev/null
(echo new >"$T/m2/late") & # asked for while it sleeps
late=$!
sleep 0.5
kill -CONT "${MOUNT_PID[2]}"
wait $late || fail "a change that was not sent before the end failed"
[ "$(cat "$T/m3/late")" = new ] || fail "its change is not there"
echo >&6
wait $holder
grep -q 'Stale file handle' "$T/error" || fail "what it had open: $(cat "$T/error")"
exec 6>&-
grep -q 'the session ended' "$T/mount2.log" || fail "its log does not tell"
wait_for 5 "its new session is heard" mounts_are 2 >/dev/null
[ "$(sessions | awk '$3 == 2 { print $2 }')" -gt "$id" ] || fail "it is still session $id"
say "a mount that slept went on in a new session"

# ---- one that is killed and mounted again ------------------------------------------------------------------------

id=$(sessions | awk '$3 == 3 { print $2 }')
kill -KILL "${MOUNT_PID[3]}"
umount -l "$T/m3"
mount_node 3
# Ended by the new one's first entry, not by the time to live.
sessions | awk '{ print $2 }' | grep -qx "$id" && fail "the killed mount's session $id goes on: $(sessions)"
wait_for 2 "the new mount is a session" mounts_are 2 >/dev/null
say "a mount killed and mounted again ended its old session"

# ---- a night without quorum -----------------------------------------------------------------------------------

id=$(sessions | awk '{ print $2 }' | sort)
for n in 1 2 3; do node_kill $n; done
sleep $((TTL / 1000 + 2))
nodes_start --session-ttl=$TTL
wait_leader
echo again >"$T/m2/again" || fail "a change after the night"
wait_for 10 "both are heard again" mounts_are 2 >/dev/null
[ "$(sessions | awk '{ print $2 }' | sort)" = "$id" ] || fail "sessions ended without a leader: $(sessions)"
unmount 2
unmount 3
digests_equal
