#!/bin/bash
# Random trees: LTP's fsstress and fsx-linux on real mounts, for DURATION seconds in all.
#
#   1. one process on one mount, and with the same seed on an ordinary directory: every call ends with the same
#      errno and leaves the same tree;
#   2. three mounts of three nodes, six processes in the same directories: only errnos that a race explains,
#      equal trees and state digests, and no inode left once everything is deleted;
#   3. LTP's fsx-linux with its mapped reads and writes.
#
# LTP_DIR names a built checkout of linux-test-project/ltp; its code stays outside of this tree. Skipped (exit
# 77) where there is none. DURATION: default 120; SEED; CALLS of one round, default 1500.
# time-limit: 14400
FSSTRESS=${LTP_DIR:-}/testcases/kernel/fs/fsstress/fsstress
FSX_LINUX=${LTP_DIR:-}/testcases/kernel/fs/fsx-linux/fsx-linux
[ -x "$FSSTRESS" ] && [ -x "$FSX_LINUX" ] || {
	echo "SKIP: LTP_DIR='${LTP_DIR:-}' holds no built fsstress and fsx-linux of the Linux Test Project"
	exit 77
}
. "$(dirname "$0")/../lib/cluster.sh"
DURATION=${DURATION:-120}
SEED=${SEED:-1}
CALLS=${CALLS:-1500}
calls=0

# sync(2) is left out: it reaches no FUSE file system, and waits for every other one here.
stress() { # DIR SEED PROCESSES [OPTION...]: a line for each call, with its errno at the end
	"$FSSTRESS" -d "$1" -s "$2" -p "$3" -n "$CALLS" -c -v -X -f sync=0 "${@:4}" 2>&1
}

# What a kernel may say to such calls, raced by others or not: ENOENT, EEXIST, ENOTDIR, EISDIR, EINVAL, EBUSY,
# EXDEV, ENOTEMPTY, ELOOP, ENAMETOOLONG, EPERM. Prints the lines with any other; fails when there are some.
strange() { # LINES
	! awk '/ [0-9]+$/ && $NF !~ /^(0|1|2|16|17|18|20|21|22|36|39|40)$/ { print; next } !/^[0-9]+\/[0-9]+: / { print }' "$1" |
		head -n 20 | grep .
}

# Names, types, modes, owners, links, sizes and contents; no times, and no sizes of directories.
tree_of() { # DIR
	(cd "$1" && find . -mindepth 1 \( -type d -printf '%p d %m %U %G %n\n' -o -printf '%p %y %m %U %G %n %s %l\n' \) |
		sort && find . -type f -print0 | sort -z | xargs -0 -r sha256sum)
}

inodes() { df --output=iused "$1" | tail -n 1 | tr -d ' '; }
until_second() { [ "$SECONDS" -lt "$1" ]; }

same_as_plain() { # SEED
	mkdir "$T/m1/s" "$T/plain"
	# Direct I/O goes in units of st_blksize, which differs.
	stress "$T/m1/s" "$1" 1 -f dread=0 -f dwrite=0 >"$T/ours"
	stress "$T/plain" "$1" 1 -f dread=0 -f dwrite=0 >"$T/theirs"
	strange "$T/ours" || fail "errnos that such calls do not have, SEED=$1"
	diff "$T/ours" "$T/theirs" >"$T/diff" || fail "a call ended otherwise than on $PLAIN, SEED=$1: $(head -n 6 "$T/diff")"
	tree_of "$T/m1/s" >"$T/tree.ours"
	tree_of "$T/plain" >"$T/tree.theirs"
	diff "$T/tree.ours" "$T/tree.theirs" >"$T/diff" || fail "another tree than on $PLAIN, SEED=$1: $(head -n 6 "$T/diff")"
	calls=$((calls + $(grep -c . "$T/ours")))
	rm -r "$T/m1/s" "$T/plain" || fail "cannot remove the tree, SEED=$1"
}

three_at_once() { # SEED
	local n workers=()
	mkdir "$T/m1/s"
	for n in 1 2 3; do
		stress "$T/m$n/s" $(($1 * 3 + n)) 2 >"$T/lines.$n" &
		workers+=($!)
	done
	wait "${workers[@]}" || fail "fsstress gave up, SEED=$1"
	for n in 1 2 3; do strange "$T/lines.$n" || fail "errnos that no race explains, mount $n, SEED=$1"; done
	for n in 1 2 3; do tree_of "$T/m$n/s" >"$T/tree.$n"; done
	cmp "$T/tree.1" "$T/tree.2" && cmp "$T/tree.1" "$T/tree.3" || fail "mounts show different trees, SEED=$1"
	calls=$((calls + $(cat "$T"/lines.* | grep -c .)))
	rm -r "$T/m2/s" || fail "cannot remove the tree, SEED=$1"
	[ ! -e "$T/m3/s" ] || fail "a removed tree is still seen by another mount"
}

rounds() { # TITLE UNTIL FUNCTION
	local first=$SEED
	calls=0
	while until_second "$2" || [ $first = "$SEED" ]; do
		"$3" "$SEED"
		SEED=$((SEED + 1))
	done
	[ $calls -gt 0 ] || fail "no call was made"
	say "$1: $((SEED - first)) rounds, $calls calls, from SEED=$first: as it should be"
}

cluster_init 3
nodes_start
wait_leader
chmod 755 "$T"
PLAIN=$(stat -f -c %T "$T")
for n in 1 2 3; do mount_node $n; done
before=$(inodes "$T/m1")
rounds "one process, as on $PLAIN" $((DURATION * 3 / 10)) same_as_plain
rounds "six processes, three mounts" $((DURATION * 7 / 10)) three_at_once
digests_equal
# Inodes without a name go with their last handle, a moment after close(2).
for i in $(seq 50); do
	after=$(inodes "$T/m1")
	[ "$after" = "$before" ] && break
	sleep 0.1
done
[ "$after" = "$before" ] || fail "inodes in use: $after, at the start: $before"

mkdir "$T/m2/x"
count=0
while until_second "$DURATION" || [ $count = 0 ]; do
	TMPDIR=$T/m2/x "$FSX_LINUX" -N 10000 >"$T/fsx.out" 2>&1 || fail "fsx-linux: $(grep -aE 'TFAIL|TBROK' "$T/fsx.out" | head -n 3)"
	count=$((count + 1))
done
say "fsx-linux: $count times 10000 calls, all passed"
digests_equal
for n in 1 2 3; do unmount $n; done
