#!/bin/bash
# A daemon's limit of descriptors is never an application's EMFILE or ENOMEM: open files cost the daemons none; 64
# mounts on a node with a limit of 256; and where that is not enough, who comes is sent away, in words.
. "$(dirname "$0")/../lib/cluster.sh"
HANDLES=20000 MOUNTS=64
[ "$SHORT" = 1 ] && HANDLES=4000 MOUNTS=24
EACH=$((HANDLES / 4))
[ "$(ulimit -Hn)" -ge $((EACH + 100)) ] || { echo "SKIP: needs a hard limit of $((EACH + 100)) descriptors"; exit 77; }

limit_of() { awk '/^Max open files/ { print $4 }' "/proc/$1/limits"; }
files_of() { find "/proc/$1/fd" -mindepth 1 | wc -l; }
start_with() { # LIMIT: node 1, with that many descriptors
	(ulimit -n "$1" && exec quorumfsd "$T/n1") >>"$T/n1.log" 2>&1 &
	PID[1]=$!
	wait_leader
}

# Four processes have $EACH handles each of a hundred files; both daemons were started with a soft limit.
cluster_init 1
(ulimit -Sn 256 && exec quorumfsd "$T/n1") >>"$T/n1.log" 2>&1 &
PID[1]=$!
wait_leader
[ "$(limit_of "${PID[1]}")" = "$(ulimit -Hn)" ] || fail "the node's soft limit was not raised: $(limit_of "${PID[1]}")"
mkdir "$T/m1"
(ulimit -Sn 1024 && exec mount.quorumfs "$T/n1/node.sock" "$T/m1" -o "log-file=$T/mount1.log") || fail "mount with 1024"
MOUNT_PID[1]=$(pgrep -n -f "mount.quorumfs $T/n1/node.sock $T/m1 ")
[ "$(limit_of "${MOUNT_PID[1]}")" = "$(ulimit -Hn)" ] || fail "the mount's soft limit: $(limit_of "${MOUNT_PID[1]}")"
before=$(files_of "${MOUNT_PID[1]}")
for i in $(seq 0 99); do echo "$i" >"$T/m1/f$i"; done
cat >"$T/open.pl" <<'E2'
my ($dir, $count, $ready, $go) = @ARGV;
my @all;
for my $n (0 .. $count - 1) {
	open(my $f, $n % 2 ? "<" : "+<", "$dir/f" . $n % 100) or die "open $n: $!\n";
	push @all, $f;
}
open(my $r, ">", $ready) or die; close $r;
select(undef, undef, undef, 0.05) until -e $go;
for my $n (0 .. $count - 1) {
	my $f = $all[$n];
	my $line = <$f>;
	defined $line && $line == $n % 100 or die "read $n: $!\n";
}
E2
openers=()
for k in 1 2 3 4; do
	(ulimit -Sn "$(ulimit -Hn)" && exec perl "$T/open.pl" "$T/m1" $EACH "$T/ready$k" "$T/go") 2>>"$T/open.err" &
	openers+=($!)
done
for _ in $(seq 1200); do
	[ -s "$T/open.err" ] && fail "$(cat "$T/open.err")"
	[ -e "$T/ready1" ] && [ -e "$T/ready2" ] && [ -e "$T/ready3" ] && [ -e "$T/ready4" ] && break
	sleep 0.1
done
after=$(files_of "${MOUNT_PID[1]}")
touch "$T/m1/one more" || fail "nothing more can be made"
touch "$T/go"
for p in "${openers[@]}"; do wait "$p" || fail "$(cat "$T/open.err")"; done
[ "$after" -le $((before + 32)) ] || fail "the mount's descriptors grew from $before to $after"
say "$HANDLES handles, the mount has $after descriptors, the node $(files_of "${PID[1]}")"
unmount 1
node_stop 1

mount_many() { # COUNT [OPTIONS]: on $T/c1 ...; prints how many there are
	local k
	for k in $(seq "$1"); do
		mkdir -p "$T/c$k"
		mount.quorumfs "$T/n1/node.sock" "$T/c$k" -o "log-file=$T/c.log,max_threads=8${2:+,$2}" 2>"$T/err" || break
		echo "$k" >"$T/c$k/from$k" || fail "mount $k is not usable"
		many=$k
	done
}
unmount_many() {
	local k
	for k in $(seq "$many"); do umount "$T/c$k" || fail "umount $k"; done
}

# Each mount is one descriptor of the node.
start_with 256
many=0
mount_many $MOUNTS
[ $many = $MOUNTS ] || fail "only $many mounts: $(cat "$T/err")"
for k in $(seq $MOUNTS); do [ "$(cat "$T/c$k/from$((MOUNTS + 1 - k))")" = $((MOUNTS + 1 - k)) ] || fail "mount $k"; done
say "$MOUNTS mounts, the node has $(files_of "${PID[1]}") descriptors of 256"
unmount_many
node_stop 1

# Too few: the log says what is missing, those who are there notice nothing, and a place that gets free is taken.
start_with 64
grep -q 'few descriptors' "$T/n1.log" || fail "the node does not say that its limit is low"
many=0
mount_many 64 mount_timeout=2
[ $many -ge 5 ] && [ $many -lt 64 ] || fail "$many mounts with 64 descriptors"
grep -q '^  next: ' "$T/err" && grep -q 'cannot mount' "$T/err" || fail "who is sent away hears: $(cat "$T/err")"
grep -q 'limit of 64 descriptors' "$T/n1.log" || fail "the log does not tell why"
for k in $(seq $many); do
	seq 1000 >"$T/c$k/data" && [ "$(tail -n 1 "$T/c1/data")" = 1000 ] || fail "mount $k suffers"
done
kill -0 "${PID[1]}" || fail "the node ended"
umount "$T/c$many"
sleep 0.5
mount.quorumfs "$T/n1/node.sock" "$T/c$many" -o "log-file=$T/c.log" || fail "a free place is not taken"
say "$many mounts fit into 64 descriptors, the next was sent away"
unmount_many
node_stop 1
quorumfsd "$T/n1" >>"$T/n1.log" 2>&1 &
PID[1]=$!
wait_leader
digests_equal
exit 0
