#!/bin/bash
# A directory that is removed while a process has it open lives until that process closes it, whichever mount
# removed it: fstat and fchmod work, it is empty, nothing is found or made in it (ENOENT, never ESTALE). Then
# it goes.
. "$(dirname "$0")/../lib/cluster.sh"

cluster_init 3
nodes_start --session-ttl=3000
wait_leader
for n in 1 2 3; do mount_node $n; done
echo text >"$T/m1/file"
inodes() { df --output=iused "$T/m1" | tail -n 1; }
gone() { # WHAT: until as many inodes are there as at the start
	local i
	for i in $(seq 300); do
		[ "$(inodes)" = "$before" ] && return 0
		sleep 0.1
	done
	fail "$1: $(inodes) inodes, should be $before"
}

before=$(inodes)
# A new leader removes nothing before it can know every mount.
mkdir "$T/m1/probe" && rmdir "$T/m1/probe"
gone "a directory that nobody has open"

says() { # WANT COMMAND...
	local want=$1
	shift
	"$@" 2>"$T/err" && fail "succeeded in a removed directory: $*"
	grep -q "$want" "$T/err" || fail "$*: $(cat "$T/err"), should be: $want"
}

for remover in 1 2; do
	mkdir "$T/m1/dir"
	exec 9<"$T/m1/dir"
	rmdir "$T/m$remover/dir"
	for round in 1 2; do
		[ "$(stat -L -c '%h %F' /dev/fd/9)" = "0 directory" ] || fail "fstat: $(stat -L -c '%h %F' /dev/fd/9 2>&1)"
		chmod 711 /dev/fd/9 && [ "$(stat -L -c %a /dev/fd/9)" = 711 ] || fail "fchmod"
		[ -z "$(ls -A /dev/fd/9 2>&1)" ] || fail "readdir: $(ls -A /dev/fd/9 2>&1)"
		says "No such file" cat /dev/fd/9/x
		says "No such file" touch /dev/fd/9/x
		says "No such file" mkdir /dev/fd/9/x
		says "No such file" ln -s a /dev/fd/9/x
		says "No such file" ln "$T/m1/file" /dev/fd/9/x
		says "No such file" mv -T "$T/m1/file" /dev/fd/9/x
		# Longer than the leader takes to ask who holds what was removed.
		[ $round = 2 ] || sleep 2.5
	done
	exec 9<&-
done
gone "closed, and still there"
digests_equal
for n in 1 2 3; do unmount $n; done
