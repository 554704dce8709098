#!/bin/bash
# The cases of tests/posix/multi/*.c, each looking through three mounts of a cluster at once, call by call: with the
# mounts in several orders, and through two. The same cases on ext4 and tmpfs, where one directory stands for all
# three, say whether the cases are right.
. "$(dirname "$0")/../../lib/cluster.sh"
MULTI=$BUILD/tests/posix/multi/multi

judged_by() { # KIND MOUNT-OPTIONS...
	local kind=$1 out
	shift
	mkdir -p "$T/$kind"
	mount "$@" "$T/$kind" 2>/dev/null || { say "not judged by $kind, which does not mount here"; return; }
	chmod 755 "$T/$kind"
	out=$("$MULTI" "$T/$kind" "$T/$kind" "$T/$kind") || fail "the cases are not true on $kind: $out"
	say "$kind: ${out##*$'\n'}"
	umount "$T/$kind"
}

through() { # MOUNT MOUNT MOUNT
	local out
	out=$("$MULTI" "$T/m$1" "$T/m$2" "$T/m$3") || fail "through mounts $*: $out"
	say "through mounts $*: ${out##*$'\n'}"
	grep SKIP <<<"$out"
}

chmod 755 "$T"
truncate -s 512M "$T/ext4.img"
mkfs.ext4 -q -I 256 "$T/ext4.img" && judged_by ext4 -o loop "$T/ext4.img"
[ "$SHORT" = 1 ] || judged_by tmpfs -t tmpfs none

cluster_init 3
nodes_start
wait_leader
for n in 1 2 3; do mount_node $n; done
through 1 2 3
if [ "$SHORT" != 1 ]; then
	for order in "2 3 1" "3 1 2" "3 2 1" "1 2 1" "2 1 1" "3 3 3"; do through $order; done
fi
digests_equal
for n in 1 2 3; do unmount $n; done
