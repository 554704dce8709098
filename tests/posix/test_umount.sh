#!/bin/bash
# The end of a mount: idle, nothing is left of it; busy, umount says so and all goes on; lazily, it serves what is open
# until that is closed; by force, what is open fails and the process ends.
. "$(dirname "$0")/../lib/cluster.sh"
cluster_init 1
nodes_start
wait_leader
F=$T/m1/file

sessions() { find /run/quorumfs -name '*.session' 2>/dev/null | sort; }
node_sockets() { find "/proc/${PID[1]}/fd" -lname 'socket:*' | wc -l; }
mounted() { grep -q " $T/m1 fuse.quorumfs " /proc/mounts; }
ended() { # PID: within five seconds, without a trace
	local i
	for i in $(seq 50); do
		process_gone "$1" && break
		sleep 0.1
	done
	process_gone "$1" || fail "process $1 is there five seconds after $2"
	mounted && fail "still mounted after $2"
	for i in $(seq 50); do
		[ "$(node_sockets)" = "$idle_sockets" ] && break
		sleep 0.1
	done
	[ "$(node_sockets)" = "$idle_sockets" ] || fail "the node keeps a connection after $2"
}
no_trace() {
	sessions >"$T/after"
	[ -z "$(comm -13 "$T/before" "$T/after" | while read -r f; do grep -qaF "$T/m1" "$f" && echo "$f"; done)" ] ||
		fail "a session is remembered after $1"
}

idle_sockets=$(node_sockets)
sessions >"$T/before"

# Idle.
mount_node 1
p=${MOUNT_PID[1]}
echo one >"$F"
[ "$(node_sockets)" -gt "$idle_sockets" ] || fail "a mount has no connection: the test sees nothing"
comm -13 "$T/before" <(sessions) | xargs -r grep -laF "$T/m1" | grep -q . || fail "no session is remembered: the test sees nothing"
umount "$T/m1" || fail "umount of an idle mount"
ended "$p" "an idle umount"
no_trace "an idle umount"
say "idle: nothing is left"

# Busy: by an open file, a directory somebody is in, a mapping.
mount_node 1
p=${MOUNT_PID[1]}
busy() { # WHAT
	LC_ALL=C umount "$T/m1" 2>"$T/err" && fail "unmounted although busy: $1"
	grep -q 'target is busy' "$T/err" || fail "$1: not EBUSY: $(cat "$T/err")"
	[ "$(cat "$F")" = one ] && echo "$1" >"$T/m1/after-busy" || fail "$1: not usable after EBUSY"
}
exec 7<"$F"
busy "an open file"
exec 7<&-
(cd "$T/m1" && exec sleep 60) &
sleeper=$!
for _ in $(seq 50); do [ "$(readlink /proc/$sleeper/cwd)" = "$T/m1" ] && break; sleep 0.05; done
busy "somebody is in it"
kill $sleeper
wait $sleeper 2>/dev/null
exec 7>>"$T/m1/log"
busy "a file open for writing"
echo written >&7 || fail "cannot write through what was open"
exec 7>&-
[ "$(cat "$T/m1/log")" = written ] || fail "what was written is not there"
umount "$T/m1" || fail "no longer busy, but umount fails"
ended "$p" "a umount that was refused before"
no_trace "a umount that was refused before"
say "busy: EBUSY, and all goes on"

# Lazily: gone for names, there for whom has it open.
mount_node 1
p=${MOUNT_PID[1]}
exec 7<>"$T/m1/lazy" 8<"$F"
umount -l "$T/m1" || fail "umount -l"
mounted && fail "umount -l left it mounted"
[ -z "$(ls "$T/m1")" ] || fail "names are there after umount -l"
sleep 1
process_gone "$p" && fail "the process ended with open files"
read -r line <&8 && [ "$line" = one ] || fail "cannot read after umount -l"
echo late >&7 || fail "cannot write after umount -l"
# The mount point is free: another mount there, meanwhile, and it sees what was written.
mount_node 1
second=${MOUNT_PID[1]}
[ "$second" != "$p" ] || fail "no second process"
find "/proc/$second/fd" -lname "*/lazy*" | grep -q . && fail "the process that stays keeps what its caller had open"
[ "$(cat "$T/m1/lazy")" = late ] || fail "another mount does not see what was written after umount -l"
echo later >&7 || fail "the first mount does not survive the second in its place"
[ "$(tail -n 1 "$T/m1/lazy")" = later ] || fail "what the first mount wrote then is not there"
exec 8<&-
process_gone "$p" && fail "the process ended with an open file"
exec 7>&-
for _ in $(seq 50); do process_gone "$p" && break; sleep 0.1; done
process_gone "$p" || fail "the process outlived its last open file by five seconds"
unmount 1
ended "$second" "the second umount"
say "lazy: served to the last close"

# By force: what is open fails, nothing hangs, nothing stays.
mount_node 1
p=${MOUNT_PID[1]}
exec 7<>"$T/m1/forced"
umount -f "$T/m1" 2>/dev/null
echo x 2>/dev/null >&7 && fail "a file still works after umount -f"
exec 7>&-
mounted && { sleep 1; umount "$T/m1" 2>/dev/null; }
ended "$p" "umount -f"
mount_node 1
[ "$(cat "$F")" = one ] || fail "lost after umount -f"
# Without quorum umount -f is the way out: whoever waits gets an error, and it returns.
kill -STOP "${PID[1]}"
sleep 0.5 # until the lease is over, what the mount was told is answered without the node
cat "$F" >/dev/null 2>"$T/cat.err" &
reader=$!
sleep 0.5
process_gone $reader && fail "the reader does not wait for the stopped node: the test sees nothing"
start=$SECONDS
umount -f "$T/m1" 2>/dev/null
wait $reader && fail "a read without a node succeeded"
[ $((SECONDS - start)) -lt 10 ] || fail "umount -f took $((SECONDS - start)) s without quorum"
kill -CONT "${PID[1]}"
p=${MOUNT_PID[1]}
for _ in $(seq 50); do process_gone "$p" && break; sleep 0.1; done
process_gone "$p" || fail "the process outlived umount -f without quorum"
mounted && umount "$T/m1"
mount_node 1
[ "$(cat "$F")" = one ] || fail "lost after umount -f without quorum"
unmount 1
say "forced: errors, and the end"
exit 0
