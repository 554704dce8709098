#!/bin/bash
# What outlives nodes and mounts: a file that is open and has no name any more, while nodes are killed and started
# again; inode numbers and file handles, on every mount, after that and after mounting anew. (What ends with a
# session: tests/cluster/test_session_end.sh.)
. "$(dirname "$0")/../../lib/cluster.sh"
CALLS=$BUILD/tests/posix/calls

numbers() { # MOUNT: each name with its inode number
	(cd "$T/m$1" && find . -printf '%i %p\n' | sort -k 2)
}

numbers_stay() { # WHEN: as they were at first, on all mounts
	local n
	for n in 1 2 3; do
		[ "$(numbers $n)" = "$NUMBERS" ] || fail "$1: inode numbers on mount $n: $(numbers $n), first $NUMBERS"
	done
}

handles_lead() { # WHEN: to the same inodes, on all mounts
	local n name got
	for n in 1 2 3; do
		for name in f d d/deep/g; do
			got=$("$CALLS" open-handle "$T/m$n" "${HANDLE[$name]}")
			[ "$got" = "$(stat -c %i "$T/m1/$name")" ] || fail "$1: handle of $name on mount $n: $got"
		done
	done
}

open_ones_live() { # WHEN: mount 1 holds it as 5, mount 3 as 6
	local got
	got=$(head -c 5 <&5) && [ "$got" = "$1" ] || fail "$2: read on mount 1: '$got', not '$1'"
	[ "$(stat -Lc %h /dev/fd/6)" = 0 ] || fail "$2: link count $(stat -Lc %h /dev/fd/6)"
}

cluster_init 3
nodes_start
wait_leader
for n in 1 2 3; do mount_node $n; done
mkdir -p "$T/m1/d/deep"
echo text >"$T/m2/f"
echo deep >"$T/m3/d/deep/g"
ln -s f "$T/m1/l"
echo x >"$T/m1/gone"
declare -A HANDLE
for name in f d d/deep/g gone; do HANDLE[$name]=$("$CALLS" handle "$T/m1/$name") || fail "handle of $name"; done
rm "$T/m2/gone"
echo -n 00000111112222233333 >"$T/m2/open"
NUMBERS=$(numbers 1 | grep -v open)
exec 5<>"$T/m1/open" 6<>"$T/m3/open"
rm "$T/m2/open"
numbers_stay "at first"
handles_lead "at first"
open_ones_live 00000 "at first"

l=$(leader)
node_kill "$l"
wait_leader
node_start "$l" 5<&- 6<&- # which would keep the mounts busy
open_ones_live 11111 "after the leader died"
for n in 1 2 3; do node_kill $n; done
nodes_start 5<&- 6<&-
wait_leader
open_ones_live 22222 "after all nodes died"
echo -n abcde >&6 # both still see one file
exec 6>&-
numbers_stay "after all nodes died"
handles_lead "after all nodes died"
[ "$(head -c 5 <&5)" = 33333 ] || fail "mount 1 lost it when mount 3 closed it"
[ "$(head -c 5 /dev/fd/5)" = abcde ] || fail "what mount 3 wrote: $(cat /dev/fd/5)"
exec 5>&-
say "open files without a name outlive nodes"

for n in 1 2 3; do unmount $n; done
for n in 3 2 1; do mount_node $n; done
handles_lead "mounted anew, before anything was looked up"
numbers_stay "mounted anew"
for n in 1 2 3; do
	got=$("$CALLS" open-handle "$T/m$n" "${HANDLE[gone]}")
	[ "$got" = ESTALE ] || fail "handle of what was removed, on mount $n: $got"
done
say "inode numbers and handles outlive mounts"
digests_equal
for n in 1 2 3; do unmount $n; done
